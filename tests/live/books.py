"""The books that a log says, kept the obvious way: dictionaries, one row after the other, with no code of the engine's.

What a strategy may rely on is what the log says; so whether a book was ever wrong is asked of the log, and here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pinnacle.event import (
    ASK,
    BID,
    BOOK_CLEAR,
    BOOK_LEVEL,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    MARKET_KIND_MAX,
    ORDER_FILLED,
    PLACE,
)

LOST = (LINK_DOWN, LINK_GAP, LINK_STALE)
Levels = dict[int, int]


@dataclass
class Book:
    """One instrument's.  live: from LINK_UP to the next loss.  causes: (kind, aux) of each loss.  ups: LINK_UPs.
    believed: what each side was until the last loss.  placed_blindly: orders placed while it was not live."""

    sides: dict[int, Levels] = field(default_factory=lambda: {BID: {}, ASK: {}})
    live: bool = False
    ups: int = 0
    causes: list[tuple[int, int]] = field(default_factory=list)
    believed: dict[int, Levels] = field(default_factory=lambda: {BID: {}, ASK: {}})
    placed: int = 0
    placed_blindly: int = 0


def ranked(side: int, levels: Levels) -> list[tuple[int, int]]:
    """(price_ticks, lots) of a side, best first."""
    return sorted(levels.items(), key=lambda level: -side * level[0])


class Books:
    """The books of a log, by instrument index.  heard: records of the market taken so far; fills: ours."""

    def __init__(self) -> None:
        self.books: dict[int, Book] = {}
        self.heard = self.fills = 0

    def of(self, instrument: int) -> Book:
        return self.books.setdefault(instrument, Book())

    def take(self, batches: Iterable[np.ndarray]) -> None:
        """The next records of the log."""
        names = ("kind", "instrument", "side", "price_ticks", "qty_lots", "aux")
        for batch in batches:
            self.heard += int((batch["kind"] <= MARKET_KIND_MAX).sum())
            self.fills += int((batch["kind"] == ORDER_FILLED).sum())
            for row in zip(*(batch[name].tolist() for name in names)):
                self._row(*row)

    def _row(self, kind: int, instrument: int, side: int, price_ticks: int, qty_lots: int, aux: int) -> None:
        book = self.of(instrument)
        if kind == BOOK_LEVEL:
            if qty_lots:
                book.sides[side][price_ticks] = qty_lots
            else:
                book.sides[side].pop(price_ticks, None)
        elif kind == BOOK_CLEAR:
            for s in (BID, ASK) if side == 0 else (side,):
                kept = {} if price_ticks == 0 else {p: q for p, q in book.sides[s].items() if s * p < s * price_ticks}
                book.sides[s] = kept
        elif kind == LINK_UP:
            book.live = True
            book.ups += 1
        elif kind in LOST:
            if book.live:
                book.believed = {s: dict(levels) for s, levels in book.sides.items()}
            book.live = False
            book.causes.append((kind, aux))
        elif kind == PLACE:
            book.placed += 1
            book.placed_blindly += not book.live

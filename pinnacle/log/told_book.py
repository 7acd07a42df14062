"""One instrument's levels as records tell them, for whoever reads a log or a feed and has no engine.

Plain dicts: what reads is a person's question or a screen, and shares no code with the books that trade.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BID, BOOK_CLEAR, BOOK_LEVEL, LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP

LINKS = (LINK_UP, LINK_DOWN, LINK_GAP, LINK_STALE)


class ToldBook:
    """levels: lots by price in ticks, bids then asks.  link: LINK_*, what was said last of its health."""

    def __init__(self) -> None:
        self.levels: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.link = LINK_DOWN

    def hear(self, row: np.void) -> None:
        """One record of the instrument; what is neither a level, a clear nor a link changes nothing."""
        kind, side, price_ticks = int(row["kind"]), int(row["side"]), int(row["price_ticks"])
        if kind == BOOK_LEVEL:
            self.set(side, price_ticks, int(row["qty_lots"]))
        elif kind == BOOK_CLEAR:
            self.clear(side, price_ticks)
        elif kind in LINKS:
            self.link = kind

    def set(self, side: int, price_ticks: int, qty_lots: int) -> None:
        """A level's quantity is this now; 0 removes it."""
        levels = self.levels[0 if side == BID else 1]
        if qty_lots:
            levels[price_ticks] = qty_lots
        else:
            levels.pop(price_ticks, None)

    def clear(self, side: int, price_ticks: int) -> None:
        """A side (0: both) loses what is at a price or better (0: all of it)."""
        for sign, levels in zip((BID, -BID), self.levels):
            if side in (0, sign):
                for one in [p for p in levels if not price_ticks or sign * p >= sign * price_ticks]:
                    del levels[one]

    def best(self, side: int) -> int | None:
        """The best price of a side in ticks; None if it is empty."""
        levels = self.levels[0 if side == BID else 1]
        return (max(levels) if side == BID else min(levels)) if levels else None

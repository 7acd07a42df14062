"""Recorded lines, and pinnacle's integer book fed with their decimal text."""

from __future__ import annotations

import bisect
import json
from decimal import Decimal
from pathlib import Path

import numpy as np

from pinnacle.instrument import Instrument
from pinnacle.kernels.book import best_ticks, lots_at, next_below, set_price, ticks_of
from pinnacle.kernels.state import BOOK, NO_PRICE, reset_book

BID, ASK = 1, -1


def instruments(recordings: Path, venue: str, **wanted) -> dict[str, Instrument]:
    """The instruments of a venue by symbol; `wanted` are further fields of instruments.json that must be equal."""
    rows = json.loads((recordings / "instruments.json").read_text())
    return {
        row["symbol"]: Instrument(venue, row["symbol"], Decimal(row["tick_size"]), Decimal(row["lot_size"]))
        for row in rows
        if row["venue"] == venue and all(row.get(name) == value for name, value in wanted.items())
    }


def received(path: Path):
    """The JSON of every line that was received on a connection."""
    for line in path.read_text().splitlines():
        head, _, body = line.partition(": ")
        if body and head.replace(".", "").isdigit():
            yield json.loads(body)


def answers(path: Path):
    """(url, JSON) of every HTTP answer."""
    for line in path.read_text().splitlines():
        head, _, body = line.partition(": {")
        if " -> " in head:
            yield head.split(" -> ")[0], json.loads("{" + body)


class RecordedBook:
    """The engine's book of one instrument, its levels also in order by price where a feed keeps a depth."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._array = np.zeros(1, BOOK)
        self.book = self._array[0]
        reset_book(self.book)
        self._keys: dict[int, list[int]] = {BID: [], ASK: []}  # ticks by side, the best last

    def set(self, side: int, price: str, qty: str) -> None:
        """The quantity at a price is now qty."""
        self.put(side, self.instrument.ticks(price), self.instrument.lots(qty))

    def put(self, side: int, ticks: int, lots: int) -> None:
        """The same in ticks and lots."""
        set_price(self.book, side, ticks, lots)
        keys = self._keys[side]
        at = bisect.bisect_left(keys, side * ticks)
        there = at < len(keys) and keys[at] == side * ticks
        if lots and not there:
            keys.insert(at, side * ticks)
        elif not lots and there:
            del keys[at]

    def keep(self, depth: int) -> None:
        """Drop what is beyond the first `depth` levels of each side."""
        for side, keys in self._keys.items():
            while len(keys) > depth:
                self.put(side, side * keys[0], 0)

    def best(self, side: int) -> tuple[int, int] | None:
        """(ticks, lots) of the best level, None if the side is empty."""
        s = 0 if side == BID else 1
        ticks = best_ticks(self.book, s)
        return None if ticks == NO_PRICE else (int(ticks), int(lots_at(self.book, s, ticks)))

    def top(self, side: int, count: int) -> list[tuple[int, int]]:
        """(ticks, lots) of the first levels of a side, best first, walked in the book's own window."""
        s = 0 if side == BID else 1
        out: list[tuple[int, int]] = []
        x = self.book["best"][s]
        while x >= 0 and len(out) < count:
            out.append((int(ticks_of(self.book, s, x)), int(self.book["lots"][s, x])))
            x = next_below(self.book, s, x)
        return out

    def top_in_order(self, side: int, count: int) -> list[int]:
        """The same prices by the ordered list, which the window must agree with."""
        return [side * key for key in self._keys[side][::-1][:count]]

    def crossed(self) -> bool:
        """Whether a bid is at or above an ask, hidden ones included."""
        bids, asks = self._keys[BID], self._keys[ASK]
        return bool(bids and asks and bids[-1] >= -asks[-1])


def digits(steps: int, step: Decimal, decimals: int) -> str:
    """steps * step written with so many decimals, without the point and leading zeros, as checksums want it."""
    scaled = step.scaleb(decimals) * steps
    assert scaled == int(scaled)
    return str(int(scaled))

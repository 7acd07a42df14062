"""The life of one order, from the log alone: each step, what caused it, and the book as the engine saw it then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle.errors import OperatorError
from pinnacle.event import (
    BID,
    BOOK_CLEAR,
    BOOK_LEVEL,
    CANCEL,
    FILL_ID,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    ORDER_ACKNOWLEDGED,
    OUTPUT_KIND_MIN,
    PLACE,
    REPLACE,
)
from pinnacle.instrument import Instrument
from pinnacle.log.check import record_text
from pinnacle.log.manifest import instruments_of, read_manifest
from pinnacle.log.reader import LogReader

_LIFE = np.zeros(256, bool)
_LIFE[[*range(ORDER_ACKNOWLEDGED, FILL_ID + 1), PLACE, CANCEL, REPLACE]] = True
_LINKS = {LINK_UP: "live", LINK_DOWN: "lost", LINK_GAP: "lost", LINK_STALE: "lost"}


class _Book:
    """One instrument's levels as the log tells them, and whether they are to be trusted."""

    def __init__(self) -> None:
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.link = "lost"

    def hear(self, row: np.void) -> None:
        kind, side, price = int(row["kind"]), int(row["side"]), int(row["price_ticks"])
        if kind == BOOK_LEVEL:
            levels = self.sides[0 if side == BID else 1]
            if row["qty_lots"]:
                levels[price] = int(row["qty_lots"])
            else:
                levels.pop(price, None)
        elif kind == BOOK_CLEAR:
            for k, levels in enumerate(self.sides):
                sign = BID if k == 0 else -BID
                if side in (0, sign):
                    for one in [p for p in levels if price == 0 or (p - price) * sign >= 0]:
                        del levels[one]
        elif kind in _LINKS:
            self.link = _LINKS[kind]

    def text(self, instrument: Instrument) -> str:
        bids, asks = self.sides
        bid = f"{instrument.qty_text(bids[max(bids)])} at {instrument.price_text(max(bids))}" if bids else "none"
        ask = f"{instrument.qty_text(asks[min(asks)])} at {instrument.price_text(min(asks))}" if asks else "none"
        return f"bid {bid}, ask {ask}, link {self.link}"


def why(run: Path, order_id: int) -> Iterator[str]:
    """Lines about an order.  Raises OperatorError if the log has none of this number, or lacks the market."""
    manifest = read_manifest(run)
    instruments = instruments_of(manifest.instruments)
    books = [_Book() for _ in instruments]
    cause: np.void | None = None
    found = 0
    for records in LogReader(run).records():
        mine = (records["order_id"] == order_id) & _LIFE[records["kind"]]
        inputs = records["kind"] < OUTPUT_KIND_MIN
        market = (records["kind"] == BOOK_LEVEL) | (records["kind"] == BOOK_CLEAR) | np.isin(
            records["kind"], list(_LINKS)
        )  # fmt: skip
        for at in np.flatnonzero(mine | market).tolist():
            row = records[at]
            if market[at]:
                books[int(row["instrument"])].hear(row)
            if not mine[at]:
                continue
            found += 1
            instrument = int(row["instrument"])
            yield record_text(row, instruments)
            if row["kind"] >= OUTPUT_KIND_MIN:
                before = np.flatnonzero(inputs[:at])
                caused = records[int(before[-1])] if before.size else cause
                if caused is not None:
                    yield f"    because of  {record_text(caused, instruments)}"
                yield f"    book        {books[instrument].text(instruments[instrument])}"
        heard = np.flatnonzero(inputs)
        if heard.size:
            cause = records[int(heard[-1])].copy()
    if not found:
        raise OperatorError(f"{run}: has no order {order_id}; `pinnacle log inspect --kind place` lists them")

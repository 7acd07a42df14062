"""The life of one order, from the log alone: each step, what caused it, and the book as the engine saw it then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle.errors import OperatorError
from pinnacle.event import (
    ASK,
    BID,
    BOOK_CLEAR,
    BOOK_LEVEL,
    CANCEL,
    FILL_ID,
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
from pinnacle.log.told_book import LINKS, ToldBook

_LIFE = np.zeros(256, bool)
_LIFE[[*range(ORDER_ACKNOWLEDGED, FILL_ID + 1), PLACE, CANCEL, REPLACE]] = True


def _text(book: ToldBook, instrument: Instrument) -> str:
    """Best prices, and whether they are to be trusted."""
    bid, ask = (
        f"{instrument.qty_text(levels[best])} at {instrument.price_text(best)}" if best is not None else "none"
        for levels, best in zip(book.levels, (book.best(BID), book.best(ASK)))
    )
    return f"bid {bid}, ask {ask}, link {'live' if book.link == LINK_UP else 'lost'}"


def why(run: Path, order_id: int) -> Iterator[str]:
    """Lines about an order.  Raises OperatorError if the log has none of this number, or lacks the market."""
    manifest = read_manifest(run)
    instruments = instruments_of(manifest.instruments)
    books = [ToldBook() for _ in instruments]
    cause: np.void | None = None
    found = 0
    for records in LogReader(run).records():
        mine = (records["order_id"] == order_id) & _LIFE[records["kind"]]
        inputs = records["kind"] < OUTPUT_KIND_MIN
        market = (records["kind"] == BOOK_LEVEL) | (records["kind"] == BOOK_CLEAR) | np.isin(
            records["kind"], LINKS
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
                yield f"    book        {_text(books[instrument], instruments[instrument])}"
        heard = np.flatnonzero(inputs)
        if heard.size:
            cause = records[int(heard[-1])].copy()
    if not found:
        raise OperatorError(f"{run}: has no order {order_id}; `pinnacle log inspect --kind place` lists them")

"""A Gemini day of best prices and trades."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from pinnacle import event
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument

ETHUSD = Instrument("gemini", "ETHUSD", Decimal("0.01"), Decimal("0.000001"))


def write(folder, depth, trades):
    """A day's folder."""
    (folder / "market_depth.csv").write_text("time_seconds,bid_price_bid_size,ask_price_ask_size\n" + "\n".join(depth))
    (folder / "trade.csv").write_text("time_seconds,price,size,is_buyer_maker\n" + "\n".join(trades))
    return folder


def test_one_level_a_side_and_trades_in_time(tmp_path):
    """The old best goes before the new comes, what did not change is not said, a trade at the same time is first."""
    folder = write(
        tmp_path, ["100,10.5_1,11_2", "101,10.5_1,11_3", "103,11_1,11.25_3"], ["101,11,0.5,0", "102.647,10.5,0.25,1"]
    )  # fmt: skip
    rows = np.concatenate(list(open_history(folder, ETHUSD)))
    told = [tuple(int(row[n]) for n in ("ts_ns", "kind", "side", "price_ticks", "qty_lots", "flags")) for row in rows]
    s, unit = 1_000_000_000, 1_000_000
    assert told == [
        (100 * s, event.BOOK_LEVEL, 1, 1050, unit, 0),
        (100 * s, event.BOOK_LEVEL, -1, 1100, 2 * unit, event.LAST),
        (101 * s, event.TRADE, 1, 1100, unit // 2, event.LAST),
        (101 * s, event.BOOK_LEVEL, -1, 1100, 3 * unit, event.LAST),
        (102_647_000_000, event.TRADE, -1, 1050, unit // 4, event.LAST),
        (103 * s, event.BOOK_LEVEL, 1, 1050, 0, 0),
        (103 * s, event.BOOK_LEVEL, -1, 1100, 0, 0),
        (103 * s, event.BOOK_LEVEL, 1, 1100, unit, 0),
        (103 * s, event.BOOK_LEVEL, -1, 1125, 3 * unit, event.LAST),
    ]


def test_the_files_may_be_given_themselves(tmp_path):
    """Folder, or the two files in any order: the same rows."""
    folder = write(tmp_path, ["100,10.5_1,11_2"], ["101,11,0.5,0"])
    files = [folder / "market_depth.csv", folder / "trade.csv"]
    whole = np.concatenate(list(open_history(folder, ETHUSD)))
    for given in (files, files[::-1]):
        assert np.concatenate(list(open_history(given, ETHUSD))).tobytes() == whole.tobytes()

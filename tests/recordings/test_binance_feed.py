"""Every Binance recording through the live feed: books bridge, ids chain, tops and rows are the known ones."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from pinnacle.event import BOOK_CLEAR, LAST, LINK_UP
from pinnacle.history.catalog import list_catalog
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from pinnacle.history.tape_check import check_tape
from pinnacle.history.tape_import import import_tape
from pinnacle.instrument import Instrument

SPOT = Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.00001"))
USDM = Instrument("binance-usdm", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))


@pytest.mark.parametrize(
    ("file", "instrument", "depth", "tickers", "trades", "compared", "off_lot"),
    [
        ("spot_btcusdt_20240808.gz", SPOT, 3_451, 28_040, 9_757, 3_449, 3),
        ("usdm_btcusdt_20240808.gz", USDM, 6_551, 66_089, 21_313, 6_547, 0),
        ("usdm_btcusdt_20240718.gz", USDM, 3_326, 7_113, 974, 3_321, 0),
    ],
)
def test_streams_of_2024(recordings, file, instrument, depth, tickers, trades, compared, off_lot):
    """One whole book that is never lost, every message counted, and after each diff the top that the ticker says."""
    report = check_tape([recordings / "binance" / file], instrument.venue, steps=instrument)
    kinds = report.counts.kinds
    assert report.ok, report.lines()
    assert (kinds["depth"], kinds["ticker"], kinds["trade"], kinds["snapshot"]) == (depth, tickers, trades, 1)
    assert report.counts.received == depth + tickers + trades and kinds["other"] == 0
    assert report.whole == {instrument.name: 1} and not report.lost and not report.counts.restarts
    assert kinds["quantities off the lot rounded down to it"] == off_lot
    facts = report.rows[0].facts
    assert facts["book tops compared with the ticker"] == facts["of these equal in price and size"] == compared
    assert facts["trade ids that are not the next one"] == 0


@pytest.mark.parametrize(
    ("file", "instrument"),
    [("spot_btcusdt_20240808.gz", SPOT), ("usdm_btcusdt_20240718.gz", USDM)],
)
def test_the_feed_and_the_importer_write_the_same_rows(recordings, file, instrument):
    """Bit by bit, but for how a whole book begins and ends: the importer clears each side as far as the snapshot goes
    and ends it with its last level; the feed clears all and ends with LINK_UP."""
    path = recordings / "binance" / file
    by_importer, by_feed = (
        np.concatenate([rows.copy() for rows in open_history(path, instrument, ImportOptions(offset_ns=0, feed=feed))])
        for feed in (False, True)
    )
    assert by_importer.size == by_feed.size
    up = int(np.flatnonzero(by_feed["kind"] == LINK_UP)[0])
    parts = []
    for rows in (by_importer, by_feed):
        levels = rows[~np.isin(rows["kind"], (BOOK_CLEAR, LINK_UP))]
        levels["seq"] = 0
        parts.append(levels)
    last_of_snapshot = up - 1  # without the feed's one clear
    assert parts[0]["flags"][last_of_snapshot - 1] == parts[1]["flags"][last_of_snapshot - 1] | LAST
    parts[0]["flags"][last_of_snapshot - 1] &= ~np.uint16(LAST)
    assert (parts[0] == parts[1]).all()


def test_ten_books_of_2021(recordings, tmp_path):
    """Ten books from one connection, snapshots and listing beside it: all bridge, tops are equal, a catalog is made."""
    path = recordings / "binance" / "recorded_20210417" / "ws.raw"
    report, segments = import_tape([path], tmp_path, "binance", [], None, ImportOptions())
    kinds = report.counts.kinds
    assert report.ok, report.lines()
    assert report.counts.received == 1228 and (kinds["depth"], kinds["ticker"], kinds["trade"]) == (614, 570, 24)
    assert len(report.rows) == 10 and set(report.whole.values()) == {1} and report.counts.answers_used == 10
    facts = [one.facts for one in report.rows]
    assert sum(one["book tops compared with the ticker"] for one in facts) == 567
    assert sum(one["of these equal in price and size"] for one in facts) == 567
    assert kinds["levels between two ticks left out"] == 8
    days = list_catalog(tmp_path)
    assert len(days) == len(segments) == 10
    assert [day.rows for day in days] == [one.rows for one in sorted(report.rows, key=lambda one: one.name)]
    assert {day.symbol: str(day.tick) for day in days}["AAVEUPUSDT"] == "0.001"

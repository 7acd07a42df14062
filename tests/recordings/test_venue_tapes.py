"""The recorded tapes of every venue through its feed: messages, whole books, no loss, tops."""

from __future__ import annotations

from decimal import Decimal
from importlib.util import find_spec

import pytest

from pinnacle.history.tape_check import check_tape
from pinnacle.instrument import Instrument
from pinnacle.venues.venues import VENUES


def checked(recordings, venue, files, steps=None):
    """The report on a venue's files; the test is skipped while the venue has no feed."""
    if find_spec(VENUES[venue]) is None:
        pytest.skip(f"no feed of {venue}")
    given = Instrument(venue, "any", Decimal(steps[0]), Decimal(steps[1])) if steps else None
    return check_tape([recordings / file for file in files], venue, steps=given)


@pytest.mark.parametrize(
    ("file", "tick", "books"),
    [("kraken_v2_btcusd_d10_20260816.ndjson", "0.1", 54), ("kraken_v2_minagbp_d25_20260816.ndjson", "0.0001", 30)],
)
def test_kraken_v2(recordings, file, tick, books):
    """Every checksum is equal: one that is not loses the book.  The depth is the tape's own."""
    report = checked(recordings, "kraken", [f"kraken/{file}"], (tick, "0.00000001"))
    assert report.ok and sum(report.whole.values()) == 1 and report.counts.kinds["book"] == books
    assert report.rows[0].messages == books


def test_kraken_of_2021(recordings):
    """Three connections of ten pairs: 14,496 checksums equal, 22 tickers, 12 messages of trades, no book lost."""
    folder = "kraken/recorded_20210405"
    files = [f"{folder}/{name}.raw" for name in ("book", "trade", "ticker")]
    report = checked(recordings, "kraken", [*files, "kraken/assetpairs_20210417.raw"])
    kinds = report.counts.kinds
    assert not report.lost and not report.counts.malformed and not report.absent
    assert (kinds["book"], kinds["ticker"], kinds["trade"], kinds["heartbeat"]) == (14_506, 22, 12, 357)
    assert report.counts.connections == 3 and set(report.whole.values()) == {1} and len(report.whole) == 10


def test_coinbase_of_2021(recordings):
    """Six books of the ten asked for; the top is the ticker's in 85 of 90, the others being older than the book."""
    report = checked(recordings, "coinbase", ["coinbase/recorded_20210417/ws.raw"])
    assert report.ok and report.counts.received == 7_152 and report.trades == 84
    assert sorted(report.absent) == ["BAND-GBP", "CRV-EUR", "NU-GBP", "SKL-BTC"] and len(report.rows) == 6
    assert (report.at_tickers["compared"], report.at_tickers["agree_price"]) == (90, 85)


def test_gemini_of_2021(recordings):
    """Ten books, never crossed; steps from the venue's listing of two months later, its file named too."""
    report = checked(recordings, "gemini", ["gemini/recorded_20210417/ws.raw", "gemini/symbol_details_20210623.raw"])
    assert not report.lost and not report.counts.malformed and report.counts.received == 993 and report.trades == 51
    assert len(report.rows) == 10 and set(report.whole.values()) == {1}


def test_bitstamp_of_2021(recordings):
    """Ten books joined to REST by microtimestamp: ten answers used, no book lost, none crossed."""
    report = checked(recordings, "bitstamp", ["bitstamp/recorded_20210417/ws.raw"])
    assert not report.lost and not report.counts.malformed and report.counts.answers_used == 10
    assert report.counts.received == 677 and report.trades == 16 and set(report.whole.values()) == {1}

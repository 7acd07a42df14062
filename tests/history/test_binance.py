"""Recorded Binance streams to rows."""

from __future__ import annotations

import numpy as np
import pytest

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history import binance, blocks
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from tests.history import tape
from tests.history.tape import FUTURES, START_NS, depth, fast_rows, slow_rows, snapshot, ticker, trade

AS_IT_STANDS = ImportOptions(bridge="as-received", offset_ns=0)


def rows_of(path, options=None):
    """All rows as one array, and the report."""
    history = open_history(path, FUTURES, options)
    return np.concatenate(list(history)), history.report


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_slow_reader(tmp_path, monkeypatch, seed):
    """Any mix of messages, keys in any order, cut into blocks anywhere, gives what json and Decimal give."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << (8 + 2 * seed))
    messages = tape.random_messages(seed, 300, ("BTCUSDT", "ETHUSDT")[: 1 + seed % 2])
    # Venue times up to a second after the local ones: without a clamp the slow reader would have to copy it.
    options = ImportOptions(bridge="as-received", offset_ns=2_000_000_000)
    rows, _ = rows_of(tape.write(tmp_path / "tape.gz", messages), options)
    expected = slow_rows(messages, FUTURES, start_ns=START_NS + 2_000_000_000)
    assert fast_rows([rows]) == expected
    assert rows["seq"].tolist() == list(range(rows.size))


@pytest.mark.parametrize("how", ["as-received", "snapshot"])
def test_a_recording_too_long_to_keep_is_read_twice(tmp_path, monkeypatch, how):
    """Rows, report and damage are the same whether the first pass could keep the rows or not."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 12)
    path = tape.write(tmp_path / "tape.gz", tape.random_messages(3, 400))
    path.write_bytes(path.read_bytes()[:-30])
    options = ImportOptions(bridge=how, partial=True)
    kept, kept_report = rows_of(path, options)
    for limit in (0, 20_000):
        monkeypatch.setattr(binance, "KEEP_BYTES_MAX", limit)
        rows, report = rows_of(path, options)
        assert rows.tobytes() == kept.tobytes()
        assert report.as_dict() == kept_report.as_dict() and report.notes


def test_tickers_can_be_left_out(tmp_path):
    """Without tickers the other rows are the same."""
    path = tape.write(tmp_path / "tape.gz", tape.random_messages(9, 200))
    with_them, _ = rows_of(path, AS_IT_STANDS)
    without, _ = rows_of(path, ImportOptions(bridge="as-received", offset_ns=0, tickers=False))
    assert fast_rows([with_them[with_them["kind"] != event.TICKER]]) == fast_rows([without])


def test_smallest_latency_is_the_floor(tmp_path):
    """A recorder's clock that is behind is moved by one constant, so that the smallest latency is as asked."""
    messages = [trade(k, ms=tape.START_MS + 1500 + 7 * (k % 3)) for k in range(30)]
    path = tape.write(tmp_path / "tape.gz", messages)
    for floor in (0, 250_000):
        rows, report = rows_of(path, ImportOptions(latency_floor_ns=floor))
        assert (rows["ts_ns"] - rows["ts_venue_ns"]).min() == floor
        assert report.offset_ns == floor - report.latency_ns_min
        assert (np.diff(rows["ts_ns"]) == 1_000_000).all()
    rows, report = rows_of(path, ImportOptions(offset_ns=5_000_000_000))
    assert rows["ts_ns"][0] == START_NS + 5_000_000_000


def test_a_good_clock_is_left_alone(tmp_path):
    """Latencies that are positive as recorded are kept."""
    path = tape.write(tmp_path / "tape.gz", [trade(k, ms=tape.START_MS - 40) for k in range(3)])
    rows, report = rows_of(path)
    assert report.offset_ns == 0 and rows["ts_ns"][0] - rows["ts_venue_ns"][0] == 40_000_000


def test_symbols_of_a_combined_stream(tmp_path):
    """Of several symbols the one asked for is read; an unknown one is refused, naming those found."""
    messages = [trade(1), trade(7, price="3.33333", symbol="ETHUSDT"), trade(2), snapshot(9, [("1.23456", "1")])]
    path = tape.write(tmp_path / "tape.gz", messages)
    rows, report = rows_of(path)
    assert rows["aux"].tolist() == [1, 2]
    assert report.skipped["messages of other symbols"] == 1
    assert report.skipped["snapshots without a symbol in a file of several symbols"] == 1
    other = type(FUTURES)("binance", "XRPUSDT", FUTURES.tick, FUTURES.lot)
    with pytest.raises(HistoryError, match="no message of XRPUSDT; the symbols in it are BTCUSDT, ETHUSDT"):
        list(open_history(path, other))


def test_off_tick_and_off_lot(tmp_path):
    """A price off the tick is refused or dropped, a quantity off the lot is rounded down; both are counted."""
    messages = [depth(1, 2, 0, [("100.05", "1.0"), ("99.9", "1.00055")]), trade(1, "100.1")]
    path = tape.write(tmp_path / "tape.gz", messages)
    with pytest.raises(HistoryError, match=r"1 of 3 prices .* tick 0.1 \(line 1: price 100.05 .*set the"):
        list(open_history(path, FUTURES))
    rows, report = rows_of(path, ImportOptions(off_tick="drop"))
    assert rows["price_ticks"].tolist() == [999, 1001] and rows["qty_lots"].tolist() == [1000, 1]
    assert rows["flags"].tolist() == [event.LAST, event.LAST]
    assert report.skipped["rows off the tick"] == 1
    assert report.repaired["quantities off the lot rounded down to it"] == 1
    assert len(report.examples) == 2


def test_trades_that_are_not_of_the_market(tmp_path):
    """Insurance fund and deleveraging are not trades; they are counted."""
    path = tape.write(tmp_path / "tape.gz", [trade(1, X="MARKET"), trade(2, X="INSURANCE_FUND"), trade(3, X="ADL")])
    rows, report = rows_of(path)
    assert rows["aux"].tolist() == [1]
    assert report.skipped["trades that are not of the market (X is not MARKET)"] == 2
    assert report.gaps["trade ids"] == 0 and report.links["trade ids"] == 2


def test_local_time_never_goes_back(tmp_path):
    """A local time that goes back is held at the one before, and said."""
    lines = tape.lines_of([trade(1), trade(2), trade(3)])
    path = tmp_path / "tape.txt"
    path.write_text("\n".join([lines[0], lines[2], lines[1]]))
    rows, report = rows_of(path)
    assert rows["aux"].tolist() == [1, 3, 2] and (np.diff(rows["ts_ns"]) >= 0).all()
    assert report.repaired["local times that went back, held at the one before"] == 1


def test_progress_is_told(tmp_path):
    """Progress rises to the whole and never falls."""
    told = []
    path = tape.write(tmp_path / "tape.gz", [ticker(k, ms=tape.START_MS) for k in range(20)])
    list(open_history(path, FUTURES, progress=lambda *values: told.append(values)))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] == told[-1][1]


@pytest.mark.peer
def test_equals_hftbacktest(recordings, tmp_path):
    """As received and without tickers, every row equals the one of hftbacktest's converter, in its order."""
    pytest.importorskip("hftbacktest")
    from hftbacktest.data.utils import binancefutures

    path = recordings / "binance" / "usdm_btcusdt_20240808.gz"
    theirs = binancefutures.convert(str(path), buffer_size=2_000_000)
    theirs = theirs[(theirs["ev"] & (1 << 30)) != 0]
    rows, report = rows_of(path, ImportOptions(bridge="as-received", tickers=False))
    assert report.offset_ns == 1_272_156_851
    assert rows.size == theirs.size == 466_836
    assert (rows["ts_ns"] == theirs["local_ts"]).all() and (rows["ts_venue_ns"] == theirs["exch_ts"]).all()
    assert (rows["price_ticks"] == np.rint(theirs["px"] * 10)).all()
    assert (rows["qty_lots"] == np.rint(theirs["qty"] * 1000)).all()
    side = np.where(theirs["ev"] & (1 << 29), 1, np.where(theirs["ev"] & (1 << 28), -1, 0))
    assert (rows["side"] == side).all()
    kinds = {1: event.BOOK_LEVEL, 2: event.TRADE, 3: event.BOOK_CLEAR, 4: event.BOOK_LEVEL}
    assert (rows["kind"] == np.array([kinds.get(k, 0) for k in range(5)])[theirs["ev"] & 255]).all()

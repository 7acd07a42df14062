"""What the checker finds, on histories with one thing wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pinnacle import event
from pinnacle.history.catalog import find, import_history
from pinnacle.history.check import check_history, check_rows
from tests.history import tape
from tests.history.tape import FUTURES, depth, snapshot, ticker, trade


def rows_of(*records):
    """EVENT rows a millisecond apart from (kind, side, ticks, lots, aux); each a message of its own."""
    rows = event.empty(len(records))
    for index, record in enumerate(records):
        for name, value in zip(("kind", "side", "price_ticks", "qty_lots", "aux"), record):
            rows[name][index] = value
    rows["ts_ns"] = 10**18 + np.arange(len(records)) * 1_000_000
    rows["ts_venue_ns"] = rows["ts_ns"] - 500_000
    rows["flags"] = event.LAST
    return rows


def level(side, ticks, lots=1, aux=0):
    """A book row."""
    return (event.BOOK_LEVEL, side, ticks, lots, aux)


GOOD = [level(1, 99), level(-1, 101), (event.TRADE, 1, 101, 1, 5), (event.TRADE, -1, 99, 1, 6), level(1, 98)]


def test_a_clean_history_is_clean():
    """Nothing wrong is found where nothing is."""
    report = check_rows([rows_of(*GOOD)], "x")
    assert report.ok and report.rows == 5 and report.messages == 5
    assert report.latency_ns == {"min": 500_000, "median": 500_000, "p99": 500_000, "max": 500_000}
    assert json.loads(json.dumps(report.as_dict()))["ok"] is True
    assert report.lines()[-1] == "  nothing wrong was found"


@pytest.mark.parametrize(
    ("more", "problem", "count"),
    [
        ([level(1, 101), level(1, 50), level(-1, 101, 0)], "messages after which the book is crossed", 2),
        ([(event.TRADE, 1, 101, 1, 6)], "trade ids repeated", 1),
        ([level(1, 97, 1, 7), level(1, 97, 2, 7)], "depth update ids repeated", 1),
        ([level(1, 97, -3)], "negative quantities", 1),
        ([level(1, 0)], "prices that are not positive", 1),
        ([(event.TRADE, 1, 101, 0, 7)], "trades of nothing", 1),
        ([(event.LINK_GAP, 0, 0, 0, 9)], "gaps in the venue's update ids", 1),
        ([(event.TIMER, 0, 0, 0, 0)], "rows of kinds that no market sends", 1),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_each_problem_is_found(more, problem, count, cut):
    """One thing wrong gives exactly that problem and its count, however the rows are cut into arrays."""
    rows = rows_of(*GOOD, *more)
    report = check_rows([rows[k : k + 1] for k in range(rows.size)] if cut else [rows], "x")
    assert {name: n for name, n in report.problems.items() if n} == {problem: count}
    assert any(problem in line and "WRONG" in line for line in report.lines())


def test_disorder_and_silence():
    """Local time that goes back is wrong, venue time that goes back is counted, silences are listed longest first."""
    rows = rows_of(*GOOD, *GOOD)
    rows["aux"] = 0
    rows["ts_ns"][5:] += 60_000_000_000
    rows["ts_ns"][7:] += 20_000_000_000
    rows["ts_venue_ns"][4] -= 3_000_000
    report = check_rows([rows[:5], rows[5:]], "x")
    assert report.ok and [length for _, length in report.silences] == [60_001_000_000, 20_001_000_000]
    assert report.facts["messages with an earlier venue time than one before"] == 1
    assert report.facts["most that venue time went back, ns"] == 2_000_000
    rows["ts_ns"][3] -= 2_000_000
    assert check_rows([rows], "x").problems["local times that go back"] == 1
    assert check_rows([rows], "x").problems["negative latencies"] == 1


def test_crossed_within_a_message_is_not_wrong():
    """A message may cross the book on its way; only its end counts."""
    rows = rows_of(*GOOD, level(1, 102), level(-1, 101, 0), level(-1, 103))
    rows["flags"][5:7] = 0
    assert check_rows([rows], "x").ok


def test_latency_quantiles():
    """Median and p99 are right to the width of their buckets, least and most are exact."""
    rng = np.random.default_rng(5)
    rows = rows_of(*[(event.TRADE, 1, 10, 1, 0)] * 5000)
    latency = np.sort(rng.lognormal(15, 1.5, rows.size).astype(np.int64))
    rows["ts_venue_ns"] = rows["ts_ns"] - rng.permutation(latency)
    found = check_rows([rows], "x").latency_ns
    assert (found["min"], found["max"]) == (latency[0], latency[-1])
    assert abs(found["median"] / latency[2499] - 1) < 0.04 and abs(found["p99"] / latency[4949] - 1) < 0.04


def test_book_against_ticker(tmp_path):
    """The top after a depth message is compared with the last ticker whose id is at most its own, early or late."""
    messages = [
        snapshot(10), ticker(11), depth(11, 12, 10, [("100.0", "1.000")]), ticker(12, "100.0", "101.0"),
        ticker(14, "98.0", "101.0"), depth(13, 13, 12, [("99.5", "1.000")]), depth(14, 15, 13, [("97.0", "1")]),
        ticker(16, "98.0", "101.0"),
    ]  # fmt: skip
    report = check_history(tape.write(tmp_path / "tape.gz", messages), FUTURES)
    # 12: equal at once by the ticker that came after it; 13: by ticker 12, not by 14; 15: ticker 14 says another bid.
    assert report.facts["book tops compared with the ticker"] == 3
    assert report.facts["of these equal in price"] == 2


def test_a_catalog_day_keeps_the_import_report(tmp_path):
    """Checking a day file repeats what its import repaired and left out."""
    path = tape.write(tmp_path / "tape.gz", [trade(1, qty="0.0015"), trade(2)])
    import_history(path, tmp_path / "c", FUTURES)
    report = check_history(find(tmp_path / "c", "binance", "BTCUSDT"))
    assert report.imports[0]["repaired"] == {"quantities off the lot rounded down to it": 1}
    assert any("import repaired: 1" in line for line in report.lines())

"""Joining depth messages to their snapshot."""

from __future__ import annotations

import numpy as np
import pytest

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history import bridge
from pinnacle.history.history import open_history
from tests.history import tape
from tests.history.tape import FUTURES, START_NS, depth, snapshot, trade

SPOT, PERPETUAL = "spot", "futures"


def chain(market, first, last, price):
    """A depth message of ids first..last that sets one bid, chained to the message that ended at first - 1."""
    previous = first - 1 if market == PERPETUAL else None
    return depth(first, last, previous, [(price, "1")])


def read(tmp_path, messages):
    """Rows and report of a recording of these messages."""
    history = open_history(tape.write(tmp_path / "tape.gz", messages), FUTURES)
    return np.concatenate(list(history)), history.report


@pytest.mark.parametrize("market", [SPOT, PERPETUAL])
def test_starts_from_the_snapshot(tmp_path, market):
    """Older messages are dropped, the bridging one and those after it follow the snapshot at its arrival."""
    messages = [chain(market, 1, 10, "10.0"), trade(1), chain(market, 11, 20, "20.0"), chain(market, 21, 30, "30.0")]
    rows, report = read(tmp_path, [*messages, snapshot(15), chain(market, 31, 40, "40.0")])
    levels = rows[rows["kind"] != event.TRADE]
    assert levels["price_ticks"].tolist() == [990, 990, 1010, 1010, 200, 300, 400]
    arrived = report.offset_ns + START_NS + 4_000_000
    assert levels["ts_ns"].tolist() == [arrived] * 6 + [arrived + 1_000_000]
    assert rows["kind"][0] == event.TRADE and (np.diff(rows["ts_ns"]) >= 0).all()
    assert report.skipped["depth messages older than the snapshot"] == 1
    assert levels["flags"].tolist() == [2, 2, 2, 3, 1, 1, 1]
    assert not report.gaps["depth ids"] and report.links["depth ids"] == 3


@pytest.mark.parametrize(("market", "last_dropped"), [(SPOT, 15), (PERPETUAL, 14)])
def test_the_first_kept_message(tmp_path, market, last_dropped):
    """Spot drops messages that end at the snapshot's id, futures keep them: the venue's own two rules."""
    rows, _ = read(
        tmp_path, [snapshot(15), chain(market, 10, last_dropped, "1.0"), chain(market, last_dropped + 1, 20, "2.0")]
    )
    assert rows["price_ticks"][rows["flags"] & event.SNAPSHOT == 0].tolist() == [20]


@pytest.mark.parametrize("market", [SPOT, PERPETUAL])
def test_a_lost_message_is_a_gap(tmp_path, market):
    """A message that does not follow gives a LINK_GAP row before it, and a report; the rows go on."""
    rows, report = read(tmp_path, [snapshot(15), chain(market, 11, 20, "1.0"), chain(market, 31, 40, "2.0")])
    assert rows["kind"].tolist()[-3:] == [event.BOOK_LEVEL, event.LINK_GAP, event.BOOK_LEVEL]
    assert rows["aux"][-2] == 10  # ids 21 to 30 are missing
    assert report.gaps["depth ids"] == 1
    assert report.repaired["gaps in depth ids marked by a LINK_GAP row"] == 1


@pytest.mark.parametrize("market", [SPOT, PERPETUAL])
def test_a_later_snapshot_heals_a_gap(tmp_path, market):
    """After a gap the book waits for the next snapshot of the file and is joined to it as at the start."""
    messages = [snapshot(15), chain(market, 11, 20, "1.0"), chain(market, 31, 40, "2.0"), chain(market, 41, 50, "3.0")]
    rows, _ = read(tmp_path, [*messages, snapshot(45), chain(market, 51, 60, "4.0")])
    after = rows[np.flatnonzero(rows["kind"] == event.LINK_GAP)[0] + 1 :]
    assert after["price_ticks"].tolist() == [990, 990, 1010, 1010, 30, 40]
    rows, report = read(tmp_path, [snapshot(15), chain(market, 11, 20, "1.0"), snapshot(18)])
    assert report.skipped["snapshots older than the book"] == 1 and rows["price_ticks"][-1] == 10


def test_without_a_snapshot(tmp_path):
    """A file without one starts unjoined, says so, and keeps every message."""
    rows, report = read(tmp_path, [chain(SPOT, 1, 10, "1.0"), chain(SPOT, 11, 20, "2.0")])
    assert rows["price_ticks"].tolist() == [10, 20]
    assert any("no snapshot" in note for note in report.notes)


def test_a_message_sent_again_is_dropped(tmp_path):
    """A repeated message changes nothing and is counted."""
    again = chain(SPOT, 11, 20, "1.0")
    rows, report = read(tmp_path, [snapshot(15), again, again, chain(SPOT, 21, 30, "2.0")])
    assert rows["price_ticks"][-2:].tolist() == [10, 20] and (rows["kind"] != event.LINK_GAP).all()
    assert report.skipped["depth messages sent again"] == 1


def test_waiting_is_bounded(tmp_path, monkeypatch):
    """More messages before the snapshot than the limit are refused, naming the line."""
    monkeypatch.setattr(bridge, "BRIDGE_MESSAGES_MAX", 3)
    messages = [chain(SPOT, k, k, "1.0") for k in range(1, 6)] + [snapshot(4)]
    with pytest.raises(HistoryError, match="line 4: more than 3 depth messages wait for a snapshot"):
        read(tmp_path, messages)

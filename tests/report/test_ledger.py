"""Orders and executions, joined from a log and its observations."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pinnacle import event
from pinnacle.errors import DiskError
from pinnacle.report.ledger import NO_MID, OPEN, STATUS_NAMES, UNKNOWN, make_ledger
from pinnacle.report.source import NO_PRICE, read_run
from pinnacle.report.write import write_report
from tests.report.hand import BTC, ETH, START_NS, Hand, small_run


def test_every_order_has_one_end(tmp_path: Path) -> None:
    """Each way an order can end gives its status, times and reason, and what is not known is null."""
    hand = Hand()
    hand.book[0] = (100, 102)
    kinds = (event.ORDER_CANCELLED, event.ORDER_EXPIRED, event.ORDER_REJECTED, event.ORDER_UNKNOWN)
    for order_id in range(1, 9):
        hand.place(0, order_id, 1, 100, 4)
    for order_id, kind in enumerate(kinds, start=1):
        hand.answer(10, kind, order_id, reason=event.END_UNFILLED if kind in kinds[1:3] else 0)
    hand.fill(15, 5, 1, 100, 1)
    hand.fill(20, 5, 1, 100, 3)
    hand.fill(25, 6, 1, 100, 1)
    hand.answer(30, event.ORDER_CANCELLED, 6)
    hand.answer(30, event.ORDER_UNKNOWN, 7)
    hand.answer(35, event.ORDER_ACKNOWLEDGED, 7, aux=11)
    write_report(hand.write(tmp_path / "r"), html=False)
    orders = pq.read_table(tmp_path / "r" / "orders.parquet").to_pylist()
    assert [row["status"] for row in orders] == [
        "cancelled", "expired", "rejected", "unknown", "filled", "cancelled", "open", "open",
    ]  # fmt: skip
    assert [row["reason"] for row in orders] == [None, "unfilled", "unfilled", *[None] * 5]
    assert [row["filled_lots"] for row in orders] == [0, 0, 0, 0, 4, 1, 0, 0]
    assert [row["ahead_lots"] for row in orders] == [None] * 6 + [11, None]
    ends = [None if row["ended_ns"] is None else (row["ended_ns"] - START_NS) / 1e6 for row in orders]
    assert ends == [10, 10, 10, None, 20, 30, None, None]
    assert orders[4]["time_to_fill_ns"] == 15_000_000
    assert STATUS_NAMES[OPEN] == "open" and STATUS_NAMES[UNKNOWN] == "unknown"


def test_fills_carry_what_was_known_then_and_later(tmp_path: Path) -> None:
    """A fill's row holds venue time, exact texts, position after, the mid when heard, and its mark-outs."""
    write_report(small_run().write(tmp_path / "r"), html=False)
    table = pq.read_table(tmp_path / "r" / "fills.parquet")
    first, second = table.to_pylist()
    assert first == {
        "number": 0,
        "ts_ns": START_NS + 500_000_000,
        "ts_venue_ns": START_NS + 490_000_000,
        "instrument": "venue:BTC-USD",
        "side": "B",
        "price": "50.0",
        "price_ticks": 100,
        "qty": "0.02",
        "qty_lots": 2,
        "order_id": 1,
        "submitted_ns": START_NS,
        "reason": "queue_front",
        "maker": True,
        "fee_quote": 3e-9,
        "fee_units": 3,
        "position_lots": 2,
        "mid": 50.5,
        "mid2_ticks": 202,
        "captured_quote": 0.01,
        "markout_1s": 1.25,
        "markout_5s": None,
        "markout_30s": None,
    }
    assert (second["side"], second["position_lots"], second["markout_1s"]) == ("S", 1, 2.5)
    assert table.schema.metadata[b"pinnacle.money_digits"] == b'{"venue:BTC-USD": 9}'


def test_instruments_keep_their_own_position(tmp_path: Path) -> None:
    """Fills count over all instruments in log order; positions and names belong to each."""
    hand = Hand(BTC, ETH)
    hand.book = {0: (100, 102), 1: (50, 51)}
    for k, (me, side, qty) in enumerate([(0, 1, 3), (1, -1, 2), (0, 1, 1), (1, 1, 5)]):
        hand.fill(10 * k, k + 1, side, 100, qty, me=me)
    ledger = make_ledger(read_run(hand.write(tmp_path / "r")))
    assert ledger.fills["number"].tolist() == [0, 1, 2, 3]
    assert ledger.fills["position_lots"].tolist() == [3, -2, 4, 3]
    assert ledger.strays == 4


def test_a_book_with_one_side_has_no_mid(tmp_path: Path) -> None:
    """Nothing is made up where a side of the book was empty: the mid and the mark-out are null."""
    hand = Hand()
    hand.book[0] = (100, NO_PRICE)
    hand.fill(10, 1, 1, 100, 1)
    hand.markout(1010, 0, 0)
    ledger = make_ledger(read_run(hand.write(tmp_path / "r")))
    assert ledger.fills["mid2_ticks"].tolist() == [NO_MID]
    assert (ledger.fills["after2_ticks"] == NO_MID).all()


@pytest.mark.parametrize("what", ["position", "number", "time"])
def test_observations_of_another_run_are_refused(tmp_path: Path, what: str) -> None:
    """A log and observations that do not fit together are told apart before a figure is made of them."""
    hand = small_run()
    row = next(row for row in hand.observed if row["number"][0] == 1)
    row[{"position": "position_lots", "number": "number", "time": "ts_ns"}[what]] += 5
    with pytest.raises(DiskError, match="does not belong to this log"):
        make_ledger(read_run(hand.write(tmp_path / "r")))


def test_an_order_placed_twice_is_damage(tmp_path: Path) -> None:
    """Order ids are unique in a log; a log in which they are not is not read as if it were sound."""
    hand = small_run()
    hand.place(4000, 1, 1, 100, 2)
    with pytest.raises(DiskError, match="places order 1 twice"):
        make_ledger(read_run(hand.write(tmp_path / "r")))


def test_an_interrupted_run_keeps_what_it_has(tmp_path: Path) -> None:
    """Fills heard after the observations end are counted, without a mid, and the summary says how many."""
    hand = small_run()
    hand.fill(4000, 3, 1, 100, 1, seen=False)
    summary = write_report(hand.write(tmp_path / "r", status="interrupted"), html=False)
    figures = summary["instruments"]["venue:BTC-USD"]
    assert figures["fills"]["count"] == 3 and figures["fills"]["captured_spread"]["count"] == 2
    assert figures["inventory"]["final_lots"] == 2
    assert any("1 fills were heard after the observations end" in text for text in summary["warnings"])
    assert any("interrupted" in text for text in summary["warnings"])


def test_time_weights_hold_each_position_until_the_next(tmp_path: Path) -> None:
    """Mean inventory is the integral of the position over the log's span, divided by it."""
    hand = Hand()
    hand.book[0] = (100, 102)
    hand.sample(0)
    hand.fill(1000, 1, 1, 100, 4)
    hand.fill(3000, 2, -1, 100, 6)
    hand.sample(4000)
    config = {"instruments": [{"risk": {"position_max": "0.049"}}]}
    held = write_report(hand.write(tmp_path / "r", **config), html=False)["instruments"]["venue:BTC-USD"]["inventory"]
    # 0 for 1 s, 4 for 2 s, -2 for 1 s, lots of 0.01; the limit is 4 whole lots.
    assert (held["mean_qty"], held["mean_absolute_qty"], held["max_absolute_qty"]) == (0.015, 0.025, 0.04)
    assert (held["limit_qty"], held["at_limit_share"], held["final_qty"]) == (0.04, 0.5, -0.02)

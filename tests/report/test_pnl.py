"""The split of a result into spread, inventory, fees and funding."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.report.ledger import make_ledger
from pinnacle.report.metrics import make_parts, summarise
from pinnacle.report.source import NO_PRICE, read_run
from tests.report.hand import BTC, Hand, small_run

TICKLOT = 5_000_000

steps = st.lists(
    st.tuples(
        st.integers(90, 110),  # bid
        st.integers(1, 6),  # ask above it
        st.sampled_from(["buy", "sell", "sample", "fund"]),
        st.integers(80, 120),  # price
        st.integers(1, 9),  # quantity
        st.integers(-1000, 1000),  # fee or funding
    ),
    min_size=1,
    max_size=30,
)


def written(hand: Hand, folder: Path):
    run = read_run(hand.write(folder))
    ledger = make_ledger(run)
    parts = make_parts(run, ledger)
    return run, ledger, parts


@settings(max_examples=40, deadline=None)
@given(steps)
def test_parts_add_up_to_the_last_unit(tmp_path_factory: pytest.TempPathFactory, walk) -> None:
    """Spread + inventory - fees + funding is the net result exactly, at the end and at every sample, for any walk."""
    hand = Hand()
    spread = Decimal(0)
    for k, (bid, gap, what, price, qty, amount) in enumerate(walk):
        hand.book[0] = (bid, bid + gap)
        if what in ("buy", "sell"):
            side = 1 if what == "buy" else -1
            hand.fill(10 * k, k, side, price, qty, fee=amount)
            spread += side * (Decimal(2 * bid + gap) / 2 * BTC.tick - price * BTC.tick) * qty * BTC.lot
        elif what == "fund":
            hand.account[0]["funding"] += amount
        hand.sample(10 * k + 5)
    _, _, (part,) = written(hand, tmp_path_factory.mktemp("run") / "r")
    split, curve, account = part.split, part.curve, hand.account[0]
    assert split.net2 == split.spread2 + split.inventory2 - split.fees2 + split.funding2
    assert split.fees2 == 2 * account["fees"] and split.cash2 == 2 * account["cash"]
    assert split.net2 == curve.equity2[-1] and split.spread2 == curve.spread2[-1]
    assert Decimal(split.spread2) / 2 / 10**9 == spread
    # Inventory alone: the mid's moves on what was held before each of them.
    assert curve.valued.all()
    assert split.inventory2 == inventory_by_moves(walk)


def inventory_by_moves(walk) -> int:
    """Half units that the mid moved while something was held, step by step."""
    held = total = before = 0
    for k, (bid, gap, what, _, qty, _) in enumerate(walk):
        mid2 = 2 * bid + gap
        total += held * (mid2 - before) * TICKLOT if k else 0
        before = mid2
        held += {"buy": qty, "sell": -qty}.get(what, 0)
    return total


def test_a_result_on_paper(tmp_path: Path) -> None:
    """The numbers of a small run are those worked out by hand, as exact decimal text."""
    run, ledger, parts = written(small_run(), tmp_path / "r")
    pnl = summarise(run, ledger, parts)["instruments"]["venue:BTC-USD"]["pnl"]
    # Bought 2 at 100, mid 101: +2 ticklots.  Sold 1 at 104, mid 102.5: +1.5.  Left: 1 lot, mid 99.
    # Cash -200 + 104 = -96, worth 99: gross 3 ticklots of 0.005.  Inventory 3 - 3.5 = -0.5.
    assert pnl["exact"] == {
        "net": "0.014999998",
        "gross": "0.015",
        "spread": "0.0175",
        "inventory": "-0.0025",
        "fees": "0.000000002",
        "fees_paid": "0.000000003",
        "rebates": "0.000000001",
        "funding": "0",
    }


def test_a_position_without_a_price_has_no_value(tmp_path: Path) -> None:
    """Where the book never had two sides, net and inventory are None; cash, fees and counts are still told."""
    hand = Hand()
    hand.book[0] = (100, NO_PRICE)
    hand.fill(10, 1, 1, 100, 2, fee=4)
    hand.sample(20)
    run, ledger, parts = written(hand, tmp_path / "r")
    summary = summarise(run, ledger, parts)
    pnl = summary["instruments"]["venue:BTC-USD"]["pnl"]
    assert pnl["net"] is None and pnl["inventory"] is None and pnl["note"]
    assert pnl["fees"] == 4e-9
    assert not parts[0].curve.valued.any()
    assert any("a side of the book was empty" in text for text in summary["warnings"])


def test_a_flat_account_needs_no_price(tmp_path: Path) -> None:
    """With nothing held at the end the result is known though the book is empty and nothing was observed."""
    hand = Hand()
    hand.fill(10, 1, 1, 100, 2, fee=4, seen=False)
    hand.fill(20, 2, -1, 103, 2, seen=False)
    run = read_run(hand.write(tmp_path / "r", observed=False))
    ledger = make_ledger(run)
    (part,) = make_parts(run, ledger)
    assert part.split.net2 == 2 * (6 * TICKLOT - 4)
    assert part.curve is None

"""Reconciling: the fewest commands from what works to what is wanted, and never more exposed than was wanted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import (
    ASK,
    BID,
    CANCEL,
    LAST,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_FILLED,
    PLACE,
    TICKER,
)
from pinnacle.kernels import orders
from pinnacle.kernels.step import answer_external, step
from tests.kernels.scene import Scene, add_want, event
from tests.naive.reconcile_naive import commands_naive


class Desk:
    """An engine at its desk: it is told what is wanted, and its commands are seen before anyone acts on them."""

    def __init__(self, overlap=0):
        self.scene = Scene()
        self.state, self.own, self.now = self.scene.state[0], self.scene.own, 10
        self.state["lane"]["overlap"] = overlap

    def hear(self, kind, **fields):
        """Fold one input; returns what it caused."""
        out = self.scene.out[0]
        out["count"] = 0
        step(self.state, event(kind, self.now, **fields)[0], 0, out)
        self.now += 1
        return out

    def want(self, quotes):
        """Wake the strategy, which wants `quotes`: (side, price, lots); returns the commands as records."""
        out = self.hear(TICKER, side=1, flags=LAST)
        for quote in quotes:
            add_want(self.own["want"], *quote)
        answer_external(self.state, out)
        return out["rows"][: int(out["count"])].copy()

    def working(self):
        """(id, (side, price, open lots)) of the live orders, buys first, oldest first."""
        rows = []
        for s, side in ((0, BID), (1, ASK)):
            for slot in self.own["live"][s, : self.own["live_count"][s]]:
                order = self.own["orders"][slot]
                rows.append((int(order["order_id"]), (side, int(order["price_ticks"]), int(order["open_lots"]))))
        return rows

    def acknowledge(self):
        """Every order that was sent rests, and every cancel that was sent has been done."""
        for order_id, (side, _, _) in self.working():
            status = self.own["orders"][orders.slot_of(self.own, order_id)]["status"]
            if status == orders.PLACING:
                self.hear(ORDER_ACKNOWLEDGED, order_id=order_id, side=side)
            elif status == orders.CANCELLING:
                self.hear(ORDER_CANCELLED, order_id=order_id, side=side)


SIDE_WANTS = st.dictionaries(st.integers(90, 96), st.integers(0, 4), max_size=5)
WANTS = st.tuples(SIDE_WANTS, SIDE_WANTS).map(
    lambda sides: (
        [(BID, price, lots) for price, lots in sides[0].items()]
        + [(ASK, price + 10, lots) for price, lots in sides[1].items()]
    )
)


def ids(rows, kind):
    return [int(row["order_id"]) for row in rows if row["kind"] == kind]


@settings(max_examples=150, deadline=None)
@given(st.lists(WANTS, min_size=1, max_size=8), st.data())
def test_equals_naive(turns, data):
    """From any working orders to any wants the commands are those of two lists compared, and no more."""
    desk = Desk()
    for wanted in turns:
        wanted = data.draw(st.permutations(wanted))
        working = desk.working()
        rows = desk.want(wanted)
        cancels, places = commands_naive(working, wanted)
        assert ids(rows, CANCEL) == cancels
        assert [
            (int(r["side"]), int(r["price_ticks"]), int(r["qty_lots"])) for r in rows if r["kind"] == PLACE
        ] == places
        desk.acknowledge()
        # What waited for room is placed at the next wake, and then nothing is left to say.
        desk.want(wanted)
        desk.acknowledge()
        assert desk.want(wanted).size == 0
        assert sorted(q[:2] for _, q in desk.working()) == sorted(q[:2] for q in wanted if q[2] > 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WANTS, st.integers(0, 3)), min_size=1, max_size=10))
def test_never_more_orders_than_wants(turns):
    """Without overlap a side never gains an order beyond its wants, whatever is still on its way; kept ones stay."""
    desk = Desk()
    for wanted, answered in turns:
        before = dict(desk.working())
        rows = desk.want(wanted)
        for s, side in ((0, BID), (1, ASK)):
            wants = sum(1 for quote in wanted if quote[0] == side and quote[2] > 0)
            grew = any(row["kind"] == PLACE and row["side"] == side for row in rows)
            assert desk.own["live_count"][s] <= wants or not grew
        sides = rows["side"].tolist()
        assert sides == sorted(sides, reverse=True)  # buys before sells
        for side in (BID, ASK):
            kinds = rows["kind"][rows["side"] == side].tolist()
            assert kinds == sorted(kinds, reverse=True)  # cancels before places
        for order_id in ids(rows, CANCEL):
            side, price, open_lots = before[order_id]
            fitting = sum(1 for q in wanted if q[:2] == (side, price) and q[2] >= open_lots)
            assert fitting < sum(1 for q in before.values() if q[:2] == (side, price))
        for _ in range(answered):
            desk.acknowledge()


def test_kept_orders_are_untouched():
    """An order that is wanted as it stands keeps its id and its place, even when it is partly filled."""
    desk = Desk()
    first = ids(desk.want([(BID, 95, 4), (ASK, 105, 4)]), PLACE)
    desk.acknowledge()
    desk.hear(ORDER_FILLED, order_id=first[0], side=BID, price=95, lots=3)
    assert desk.want([(BID, 95, 4), (ASK, 105, 4)]).size == 0
    assert desk.want([(BID, 95, 1), (ASK, 105, 9)]).size == 0
    assert ids(desk.want([(BID, 95, 4), (ASK, 105, 3)]), CANCEL) == [first[1]]


@pytest.mark.parametrize("overlap, places", [(0, []), (1, [3, 4])])
def test_overlap_sends_the_new_quote_with_the_cancel(overlap, places):
    """With overlap a new quote goes out with the cancel of the old one; without, after its end is heard."""
    desk = Desk(overlap)
    first = ids(desk.want([(BID, 95, 4), (ASK, 105, 4)]), PLACE)
    desk.acknowledge()
    rows = desk.want([(BID, 94, 4), (ASK, 106, 4)])
    assert ids(rows, CANCEL) == first and ids(rows, PLACE) == places
    assert rows["kind"].tolist() == ([CANCEL, CANCEL] if not overlap else [CANCEL, PLACE, CANCEL, PLACE])


def test_nothing_is_asked_of_an_order_twice():
    """While a place or a cancel is on its way nothing more is said of that order."""
    desk = Desk()
    desk.want([(BID, 95, 4)])
    assert desk.want([(BID, 94, 4)]).size == 0  # not acknowledged yet: it cannot be cancelled
    desk.acknowledge()
    assert desk.want([(BID, 94, 4)])["kind"].tolist() == [CANCEL]
    assert desk.want([]).size == 0
    desk.acknowledge()
    assert desk.own["live_count"].sum() == 0


def test_hold_leaves_everything():
    """A strategy that holds changes nothing, whatever works."""
    desk = Desk()
    desk.want([(BID, 95, 4)])
    desk.acknowledge()
    out = desk.hear(TICKER, side=1, flags=LAST)
    desk.own["want"]["hold"] = 1
    answer_external(desk.state, out)
    assert out["count"] == 0 and desk.own["live_count"].tolist() == [1, 0]


@pytest.mark.xfail(
    strict=True, reason="the first order that fits a want is taken, not the one that leaves the others served"
)
def test_fewest_commands_at_one_price():
    """Orders of 5 and 10 at one price serve wants of 10 and 5 there, in whatever sequence the wants come."""
    desk = Desk()
    desk.want([(BID, 95, 5), (BID, 95, 10)])
    desk.acknowledge()
    assert desk.want([(BID, 95, 10), (BID, 95, 5)]).size == 0

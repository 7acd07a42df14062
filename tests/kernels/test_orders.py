"""The order table: every transition is the table's, and the live lists say exactly what may still be filled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import (
    ASK,
    BID,
    CANCEL_REJECTED,
    KIND_NAMES,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
)
from pinnacle.kernels import orders
from pinnacle.kernels.state import OWN, lane_dtype
from pinnacle.limits import ORDERS_MAX

KINDS = (
    ORDER_ACKNOWLEDGED,
    ORDER_REJECTED,
    ORDER_FILLED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    CANCEL_REJECTED,
    ORDER_UNKNOWN,
)


def new_lane():
    """A lane of one instrument with an empty table.  Returns the array that owns it, the lane, and its own side."""
    owner = np.zeros(1, lane_dtype(1))
    owner[0]["next_order_id"] = 1
    return owner, owner[0], owner[0]["own"][0]


def placed(lane, own, side, lots, price=100):
    """Take a slot and write an order into it; returns its id."""
    order_id = orders.take_slot(lane, own)
    assert order_id > 0
    orders.add(own, order_id, side, price, lots, 0, 7)
    return order_id


def check(own):
    """The live lists are the slots that are not free, each once, oldest first; open lots are their sums."""
    for s, side in ((0, BID), (1, ASK)):
        live = own["live"][s, : own["live_count"][s]].tolist()
        held = [
            k
            for k in range(ORDERS_MAX)
            if own["orders"][k]["status"] != orders.FREE and own["orders"][k]["side"] == side
        ]
        assert sorted(live) == held
        ids = [int(own["orders"][k]["order_id"]) for k in live]
        assert ids == sorted(ids)
        assert own["open_lots"][s] == sum(int(own["orders"][k]["open_lots"]) for k in live)
        assert all(own["orders"][k]["open_lots"] > 0 for k in live)


@pytest.mark.parametrize("kind", KINDS, ids=[KIND_NAMES[kind] for kind in KINDS])
@pytest.mark.parametrize("status", orders.STATUS_NAMES, ids=list(orders.STATUS_NAMES.values()))
def test_every_pair_follows_the_table(status, kind):
    """A pair in the table leads where it says; one that is absent is refused and changes no byte."""
    owner, lane, own = new_lane()
    slot = orders.slot_of(own, placed(lane, own, BID, 5))
    if status == orders.FREE:
        orders.end(own, slot)
    else:
        own["orders"][slot]["status"] = status
    before = owner.tobytes()
    heard = orders.hear(own, slot, kind, 2)
    after = orders.TRANSITIONS.get((status, kind))
    assert heard == (after is not None)
    if after is None:
        assert owner.tobytes() == before
        return
    assert own["orders"][slot]["status"] == after
    assert own["orders"][slot]["open_lots"] == (0 if after == orders.FREE else 3 if kind == ORDER_FILLED else 5)
    check(own)


@pytest.mark.parametrize("status", [s for s, kind in orders.TRANSITIONS if kind == ORDER_FILLED])
def test_fill_of_all_that_is_open_frees_and_of_more_is_refused(status):
    """A fill of the last open lot ends an order; one of more than is open, or of none, changes no byte."""
    owner, lane, own = new_lane()
    slot = orders.slot_of(own, placed(lane, own, ASK, 5))
    own["orders"][slot]["status"] = status
    before = owner.tobytes()
    for lots in (6, 0, -1, 1 << 60):
        assert not orders.hear(own, slot, ORDER_FILLED, lots)
        assert owner.tobytes() == before
    assert orders.hear(own, slot, ORDER_FILLED, 5)
    assert own["orders"][slot]["status"] == orders.FREE
    check(own)


def test_table_is_the_array():
    """The array that kernels read holds exactly the table: nothing beside it is legal."""
    for status in range(orders.NEXT_STATUS.shape[0]):
        for kind in range(orders.NEXT_STATUS.shape[1]):
            expected = orders.TRANSITIONS.get((status, kind), orders.ILLEGAL)
            assert orders.NEXT_STATUS[status, kind] == expected
    assert not any(status == orders.FREE for status, _ in orders.TRANSITIONS)


def test_full_table_gives_no_slot():
    """With every slot held there is no id to be had, and none is used up by asking; one end gives one slot back."""
    owner, lane, own = new_lane()
    ids = [placed(lane, own, BID if k % 2 else ASK, 1) for k in range(ORDERS_MAX)]
    assert ids == list(range(1, ORDERS_MAX + 1))
    before = owner.tobytes()
    assert orders.take_slot(lane, own) == -1
    assert owner.tobytes() == before
    orders.end(own, orders.slot_of(own, ids[100]))
    fresh = placed(lane, own, BID, 1)
    assert fresh > ids[-1] and fresh % ORDERS_MAX == ids[100] % ORDERS_MAX
    assert orders.take_slot(lane, own) == -1
    check(own)


def test_reused_slot_forgets_the_order_before():
    """An id finds its own order alone: neither the one that had its slot before, nor one still to come."""
    _owner, lane, own = new_lane()
    first = placed(lane, own, BID, 3)
    orders.end(own, orders.slot_of(own, first))
    assert orders.slot_of(own, first) == -1
    lane["next_order_id"] = first + ORDERS_MAX
    second = placed(lane, own, ASK, 4)
    assert second == first + ORDERS_MAX
    assert orders.slot_of(own, first) == -1 and orders.slot_of(own, second) == first % ORDERS_MAX
    assert orders.slot_of(own, second + ORDERS_MAX) == -1
    check(own)


STEP = st.tuples(st.integers(0, 9), st.integers(0, 30), st.integers(0, len(KINDS) - 1), st.integers(0, 6))


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=120))
def test_random_sequences_keep_the_table_whole(steps):
    """Whatever is placed and heard, legal or not, the live lists and sums stay those of the slots."""
    _owner, lane, own = new_lane()
    ids = []
    for what, which, kind, lots in steps:
        if what < 3 or not ids:
            ids.append(placed(lane, own, BID if which % 2 else ASK, 1 + lots))
        else:
            slot = orders.slot_of(own, ids[which % len(ids)])
            if slot < 0:
                continue
            if what == 3 and own["orders"][slot]["status"] == orders.WORKING:
                own["orders"][slot]["status"] = orders.CANCELLING
            orders.hear(own, slot, KINDS[kind], lots)
        check(own)


def test_own_record_has_no_hidden_gaps():
    """The table's record is whole words, so that a fingerprint reads every byte of it and no padding."""
    assert OWN.itemsize % 8 == 0
    assert sum(OWN.fields[name][0].itemsize for name in OWN.names) == OWN.itemsize

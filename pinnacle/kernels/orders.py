"""Our own orders as we know them: a table of slots, and the transition table that every answer must obey.

An order leaves the table only when its end has been heard.  Until then it can still be filled, and it counts against
every limit.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    CANCEL_REJECTED,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
)
from pinnacle.kernels.jit import jit
from pinnacle.limits import ORDERS_MAX

FREE = 0  # the slot holds no order
PLACING = 1  # sent, nothing heard yet
WORKING = 2  # the venue said it rests
CANCELLING = 3  # it rests, and a cancel is on its way
UNKNOWN = 4  # a request was lost: it may rest or not, and must be asked about
STATUS_NAMES = {0: "free", 1: "placing", 2: "working", 3: "cancelling", 4: "unknown"}

# (status, what is heard) -> status.  What is absent is illegal: it is counted and changes nothing.  ORDER_FILLED
# leads to FREE instead when nothing is left open.
TRANSITIONS = {
    (PLACING, ORDER_ACKNOWLEDGED): WORKING,
    (PLACING, ORDER_REJECTED): FREE,
    (PLACING, ORDER_EXPIRED): FREE,
    (PLACING, ORDER_FILLED): PLACING,  # real world: a fill is heard before the acknowledgement
    (PLACING, ORDER_CANCELLED): FREE,  # real world: the venue ended it before we heard that it began
    (PLACING, ORDER_UNKNOWN): UNKNOWN,
    (WORKING, ORDER_FILLED): WORKING,
    (WORKING, ORDER_EXPIRED): FREE,
    (WORKING, ORDER_CANCELLED): FREE,  # real world: cancelled by the venue, unasked
    (CANCELLING, ORDER_FILLED): CANCELLING,  # real world: filled while the cancel was on its way
    (CANCELLING, ORDER_CANCELLED): FREE,
    (CANCELLING, ORDER_EXPIRED): FREE,
    (CANCELLING, CANCEL_REJECTED): WORKING,  # only the request is over; the end, if there is one, is heard by itself
    (CANCELLING, ORDER_UNKNOWN): UNKNOWN,
    (UNKNOWN, ORDER_ACKNOWLEDGED): WORKING,
    (UNKNOWN, ORDER_FILLED): UNKNOWN,
    (UNKNOWN, ORDER_CANCELLED): FREE,
    (UNKNOWN, ORDER_EXPIRED): FREE,
    (UNKNOWN, ORDER_REJECTED): FREE,
}
ILLEGAL = 255
_KINDS = max(kind for _, kind in TRANSITIONS) + 1
NEXT_STATUS = np.full((5, _KINDS), ILLEGAL, np.uint8)
for (_status, _kind), _after in TRANSITIONS.items():
    NEXT_STATUS[_status, _kind] = _after


@jit
def slot_of(own, order_id):
    """Slot of a live order, -1 if no live order has this id."""
    slot = order_id & (ORDERS_MAX - 1)
    order = own["orders"][slot]
    return slot if order["order_id"] == order_id and order["status"] != FREE else -1


@jit
def take_slot(lane, own):
    """The next order id whose slot is free, -1 if the table is full.  Ids rise; an id whose slot is held is skipped."""
    order_id = lane["next_order_id"]
    for _ in range(ORDERS_MAX):
        if own["orders"][order_id & (ORDERS_MAX - 1)]["status"] == FREE:
            lane["next_order_id"] = order_id + 1
            return order_id
        order_id += 1
    return -1


@jit
def add(own, order_id, side, price_ticks, qty_lots, flags, ts_ns):
    """Write a new order into its free slot and into the live list."""
    slot = order_id & (ORDERS_MAX - 1)
    order = own["orders"][slot]
    assert order["status"] == FREE
    order["order_id"] = order_id
    order["price_ticks"] = price_ticks
    order["qty_lots"] = qty_lots
    order["open_lots"] = qty_lots
    order["placed_ns"] = ts_ns
    order["status"] = PLACING
    order["side"] = side
    order["flags"] = flags
    s = 0 if side > 0 else 1
    own["live"][s, own["live_count"][s]] = slot
    own["live_count"][s] += 1
    own["open_lots"][s] += qty_lots


@jit
def end(own, slot):
    """Free a slot whose order's end has been heard, and close the gap it leaves in the live list."""
    order = own["orders"][slot]
    s = 0 if order["side"] > 0 else 1
    own["open_lots"][s] -= order["open_lots"]
    order["open_lots"] = 0
    order["status"] = FREE
    count = own["live_count"][s]
    k = 0
    while own["live"][s, k] != slot:
        k += 1
        assert k < count
    while k < count - 1:
        own["live"][s, k] = own["live"][s, k + 1]
        k += 1
    own["live_count"][s] = count - 1


@jit
def hear(own, slot, kind, qty_lots):
    """Move an order by what was heard of it.  False if the transition table has no such row (nothing is changed).

    qty_lots: lots executed, for ORDER_FILLED; a fill of more than is open is illegal.
    """
    order = own["orders"][slot]
    after = NEXT_STATUS[order["status"], kind]
    if after == ILLEGAL:
        return False
    if kind == ORDER_FILLED:
        if qty_lots <= 0 or qty_lots > order["open_lots"]:
            return False
        order["open_lots"] -= qty_lots
        own["open_lots"][0 if order["side"] > 0 else 1] -= qty_lots
        if order["open_lots"] == 0:
            after = FREE
    if after == FREE:
        end(own, slot)
    else:
        order["status"] = after
    return True

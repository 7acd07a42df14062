"""Wanted quotes against working orders: the fewest commands that lead from one to the other.

An order that is wanted as it stands is left alone, because its place in the queue is worth more than any rewrite.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import CANCEL, PLACE
from pinnacle.kernels import orders
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.outbox import say
from pinnacle.kernels.risk import allowed_lots, rate_allows
from pinnacle.kernels.state import STOP_ORDER_TABLE_FULL
from pinnacle.limits import ORDERS_MAX, WANTED_QUOTES_MAX


@jit_inline
def reconcile(market, lane, me, out):
    """Emit cancels and places for one instrument: buys before sells, on each side cancels before places.

    An order is kept if a want has its side, price and flags, and at least its open quantity.  Unless lane.overlap is
    set, a side never has more live orders than wants: an order being cancelled holds its place until its end is
    heard, so exposure never exceeds what was wanted.  Bounded by ORDERS_MAX * WANTED_QUOTES_MAX comparisons; orders
    and wants that come in the same sequence are matched in one pass.
    """
    own = lane["own"][me]
    reconcile_side(market, lane, own, me, 1, out)
    reconcile_side(market, lane, own, me, -1, out)


@jit_inner
def reconcile_side(market, lane, own, me, side, out):
    """One side of reconcile."""
    s = 0 if side > 0 else 1
    want = own["want"]
    wanted, missing = 0, 0
    # A want that an order serves is marked by side 0: the record is ours until the next wake.
    live, guess = own["live_count"][s], 0
    kept = 0
    for k in range(want["count"]):
        if want["side"][k] != side or want["qty_lots"][k] == 0:
            continue
        wanted += 1
        found = False
        for step in range(live):
            j = guess + step
            if j >= live:
                j -= live
            slot = own["live"][s, j]
            order = own["orders"][slot]
            if (
                order["price_ticks"] == want["price_ticks"][k]
                and order["status"] <= orders.WORKING
                and own["served"][slot] != market["seq"] + 1
                and order["open_lots"] <= want["qty_lots"][k]
                and order["flags"] == want["flags"][k]
            ):
                own["served"][slot] = market["seq"] + 1
                guess = j + 1 if j + 1 < live else 0
                found = True
                kept += 1
                break
        if found:
            want["side"][k] = 0
        else:
            missing += 1
    if kept < live:
        cancel_unserved(market, own, me, s, out)
    if missing == 0:
        return
    for k in range(want["count"]):
        if want["side"][k] != side or want["qty_lots"][k] == 0:
            continue
        if lane["overlap"] == 0 and own["live_count"][s] >= wanted:
            return
        place(market, lane, own, me, side, want["price_ticks"][k], want["qty_lots"][k], want["flags"][k], out)


@jit_inline
def cancel_unserved(market, own, me, s, out):
    """Cancel each live order of a side that no want is served by, if it rests and no request is in flight."""
    for j in range(own["live_count"][s]):
        slot = own["live"][s, j]
        order = own["orders"][slot]
        if order["status"] == orders.WORKING and own["served"][slot] != market["seq"] + 1:
            order["status"] = orders.CANCELLING
            own["cancelled"] += 1
            say(
                market,
                me,
                CANCEL,
                order["order_id"],
                np.int64(order["side"]),
                order["price_ticks"],
                order["open_lots"],
                0,
                0,
                out,
            )


@jit_inline
def place(market, lane, own, me, side, price_ticks, qty_lots, flags, out):
    """Send one order, as much of it as the limits leave."""
    qty_lots = allowed_lots(market, own, me, side, price_ticks, qty_lots, out)
    if qty_lots == 0 or not rate_allows(market, own, me, side, price_ticks, qty_lots, out):
        return
    if own["live_count"][0] + own["live_count"][1] >= ORDERS_MAX:
        lane["fault"] = STOP_ORDER_TABLE_FULL
        lane["fault_instrument"] = me
        return
    order_id = orders.take_slot(lane, own)
    orders.add(own, order_id, side, price_ticks, qty_lots, flags, market["ts_ns"])
    own["placed"] += 1
    say(market, me, PLACE, order_id, side, price_ticks, qty_lots, 0, flags, out)


assert WANTED_QUOTES_MAX <= ORDERS_MAX

"""A request arrives at the simulated venue: its filters, its time in force, and what it takes or where it rests."""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    CANCEL,
    CANCEL_REJECTED,
    END_NO_LIQUIDITY,
    END_NOTIONAL_FILTER,
    END_ORDERS_MAX,
    END_PRICE_FILTER,
    END_QTY_FILTER,
    END_SELF_TRADE,
    END_UNFILLED,
    END_UNKNOWN_ORDER,
    END_WOULD_CROSS,
    FILL_TAKER,
    FOK,
    IOC,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    POST_ONLY,
    REASON_SHIFT,
)
from pinnacle.kernels.account import fee_units
from pinnacle.kernels.book import next_below, ticks_of, x_of
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.match import far_level, follow_market, link, remember_taken, taken_at, unlink
from pinnacle.kernels.state import NO_PRICE
from pinnacle.kernels.venue import FILL_WHOLE, STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE
from pinnacle.kernels.wire import answer, drop_request
from pinnacle.limits import BOOK_WINDOW_TICKS, IN_FLIGHT_MAX, ORDERS_MAX

W = BOOK_WINDOW_TICKS


@jit_inner
def arrive(sim, points):
    """The first request of all arrives, at its due time."""
    me = sim["request_at"]
    own = sim["own"][me]
    request = own["requests"][own["request_first"] & (IN_FLIGHT_MAX - 1)]
    sim["clock_ns"] = request["due_ns"]
    order_id, side, price = request["order_id"], request["side"], request["price_ticks"]
    lots, flags = request["qty_lots"], request["flags"]
    if request["kind"] == CANCEL:
        cancel(sim, points, me, order_id, side)
    else:
        reason = filtered(sim, me, price, lots)
        if reason != 0:
            answer(sim, points, me, ORDER_REJECTED, order_id, side, price, lots, 0, reason << REASON_SHIFT)
        else:
            enter(sim, points, me, order_id, side, price, lots, flags)
    drop_request(sim)


@jit_inline
def cancel(sim, points, me, order_id, side):
    """Cancel a resting order, or say that it is not there."""
    own = sim["own"][me]
    slot = order_id & (ORDERS_MAX - 1)
    order = own["resting"][slot]
    if order["order_id"] == order_id:
        price = ticks_of(sim["book"][me], order["s"], order["x"])
        answer(sim, points, me, ORDER_CANCELLED, order_id, side, price, order["open_lots"], 0, 0)
        unlink(own, slot)
    else:
        answer(sim, points, me, CANCEL_REJECTED, order_id, side, 0, 0, 0, END_UNKNOWN_ORDER << REASON_SHIFT)


@jit_inline
def filtered(sim, me, price_ticks, lots):
    """The first filter of the venue that an order breaks (END_*), 0 if none."""
    own = sim["own"][me]
    if price_ticks < own["price_min_ticks"] or price_ticks > own["price_max_ticks"]:
        return END_PRICE_FILTER
    if lots < own["qty_min_lots"] or lots > own["qty_max_lots"]:
        return END_QTY_FILTER
    if price_ticks * lots * own["units_per_ticklot"] < own["notional_min_units"]:
        return END_NOTIONAL_FILTER
    if own["count"][0] + own["count"][1] >= own["orders_max"]:
        return END_ORDERS_MAX
    return 0


@jit_inline
def place_of(sim, me, s, price_ticks):
    """Window index of an order's price, moving the window if it must; -1 if the window cannot hold it."""
    book = sim["book"][me]
    x = x_of(book, s, price_ticks)
    if x < 0 or x >= W:
        if book["base_ticks"] == NO_PRICE:
            return far_level(sim, me, s, price_ticks, 0)
        follow_market(sim, me)
        x = x_of(book, s, price_ticks)
        if x < 0 or x >= W:
            return -1
    return x


@jit_inline
def enter(sim, points, me, order_id, side, price_ticks, lots, flags):
    """A valid order: post-only expires if it would cross; others take what they may, then rest or expire."""
    book, own = sim["book"][me], sim["own"][me]
    s = 0 if side > 0 else 1
    x = place_of(sim, me, s, price_ticks)
    if x < 0:
        answer(sim, points, me, ORDER_REJECTED, order_id, side, price_ticks, lots, 0, END_PRICE_FILTER << REASON_SHIFT)
        return
    crosses = x + book["best"][1 - s] >= W - 1
    if flags & POST_ONLY and crosses:
        answer(sim, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, 0, END_WOULD_CROSS << REASON_SHIFT)
        return
    if x + own["best"][1 - s] >= W - 1 and own["stp"] != STP_NONE:
        if own["stp"] != STP_EXPIRE_TAKER:
            expire_own(sim, points, me, 1 - s, W - 1 - x)
        if own["stp"] != STP_EXPIRE_MAKER:
            answer(sim, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, 0, END_SELF_TRADE << REASON_SHIFT)
            return
    at_once = flags & (IOC | FOK)
    if not crosses and at_once:
        answer(sim, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, 0, END_NO_LIQUIDITY << REASON_SHIFT)
        return
    if flags & FOK and own["fill_model"] != FILL_WHOLE and takeable(sim, me, 1 - s, W - 1 - x, lots) < lots:
        answer(sim, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, 0, END_UNFILLED << REASON_SHIFT)
        return
    if not at_once:
        front = book["lots"][s, x] - taken_at(own, s, x)
        answer(sim, points, me, ORDER_ACKNOWLEDGED, order_id, side, price_ticks, lots, front, flags & POST_ONLY)
    if crosses:
        lots = take(sim, points, me, order_id, side, W - 1 - x, lots)
    if lots == 0:
        return
    if at_once:
        answer(sim, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, 0, END_UNFILLED << REASON_SHIFT)
        return
    rest(own, book, order_id, s, x, lots)


@jit_inline
def rest(own, book, order_id, s, x, lots):
    """An order joins the back of the queue at its price."""
    slot = order_id & (ORDERS_MAX - 1)
    order = own["resting"][slot]
    assert order["order_id"] == 0
    order["order_id"] = order_id
    order["x"] = x
    order["s"] = s
    order["open_lots"] = lots
    order["front"] = float(book["lots"][s, x] - taken_at(own, s, x))
    order["explained_lots"] = 0
    order["next"] = -1
    own["count"][s] += 1
    link(own, slot)


@jit_inline
def takeable(sim, me, o, reach, most):
    """Lots that rest on side o at index `reach` or better and were not taken by us yet, at most `most`."""
    book, own = sim["book"][me], sim["own"][me]
    x, total = book["best"][o], 0
    while x >= reach and x >= 0 and total < most:
        total += max(0, book["lots"][o, x] - taken_at(own, o, x))
        x = next_below(book, o, x)
    return total


@jit_inner
def take(sim, points, me, order_id, side, reach, lots):
    """Execute as taker against side o from its best down to index `reach`; returns what is left of `lots`.

    Whole fills take everything at the best price, whatever rests there, as the peer engines do.
    """
    book, own = sim["book"][me], sim["own"][me]
    o = 1 if side > 0 else 0
    whole = own["fill_model"] == FILL_WHOLE
    x = book["best"][o]
    while lots > 0 and x >= reach and x >= 0:
        there = lots if whole else max(0, book["lots"][o, x] - taken_at(own, o, x))
        got = min(lots, there)
        if got > 0:
            price = ticks_of(book, o, x)
            fee = fee_units(price * got * own["units_per_ticklot"], own["taker_ppb"])
            flags = FILL_TAKER << REASON_SHIFT
            answer(sim, points, me, ORDER_FILLED, order_id, side, price, got, fee, flags)
            if not whole:
                remember_taken(own, o, x, got)
            lots -= got
        x = next_below(book, o, x)
    return lots


@jit_inline
def expire_own(sim, points, me, o, reach):
    """Self-trade prevention: our own orders on side o that an incoming order would meet expire."""
    own = sim["own"][me]
    side = 1 if o == 0 else -1
    while own["best"][o] >= reach:
        slot = np.int64(own["head"][o, own["best"][o]]) - 1
        order = own["resting"][slot]
        price = ticks_of(sim["book"][me], o, order["x"])
        flags = END_SELF_TRADE << REASON_SHIFT
        answer(sim, points, me, ORDER_EXPIRED, order["order_id"], side, price, order["open_lots"], 0, flags)
        unlink(own, slot)


assert STP_EXPIRE_BOTH not in (STP_EXPIRE_TAKER, STP_EXPIRE_MAKER)

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
from pinnacle.kernels.queue import EXACT
from pinnacle.kernels.resting import follow_market, link, next_own, unlink
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NO_PRICE
from pinnacle.kernels.taken import remember_taken, taken_at
from pinnacle.kernels.venue import FILL_WHOLE, STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE
from pinnacle.kernels.wire import answer, drop_request
from pinnacle.limits import BOOK_WINDOW_TICKS, IN_FLIGHT_MAX, ORDERS_MAX

W = BOOK_WINDOW_TICKS


@jit_inner
def arrive(sim, desk, desks, resting, points):
    """A lane's first request arrives, at its due time."""
    me = desk["request_at"]
    own = desk["own"][me]
    request = own["requests"][own["request_first"] & (IN_FLIGHT_MAX - 1)]
    sim["clock_ns"] = request["due_ns"]
    order_id, side, price = request["order_id"], request["side"], request["price_ticks"]
    lots, flags = request["qty_lots"], request["flags"]
    if request["kind"] == CANCEL:
        cancel(sim, desk, resting, points, me, order_id, side)
    else:
        reason = filtered(sim, desk, me, price, lots)
        if reason != 0:
            end_order(sim, desk, points, me, ORDER_REJECTED, order_id, side, price, lots, reason)
        else:
            enter(sim, desk, desks, resting, points, me, order_id, side, price, lots, flags)
    drop_request(sim, desk)


@jit_inner
def end_order(sim, desk, points, me, kind, order_id, side, price_ticks, lots, reason):
    """Say that an order was refused or has expired, and why (END_*)."""
    answer(sim, desk, points, me, kind, order_id, side, price_ticks, lots, 0, reason << REASON_SHIFT)


@jit_inline
def cancel(sim, desk, resting, points, me, order_id, side):
    """Cancel a resting order, or say that it is not there."""
    k = np.int64(desk["own"][me]["place"][order_id & (ORDERS_MAX - 1)]) - 1
    if k >= 0 and nth(resting, k)["order_id"] == order_id:
        order = nth(resting, k)
        price = ticks_of(sim["book"][me], np.int64(order["s"]), order["x"])
        answer(sim, desk, points, me, ORDER_CANCELLED, order_id, side, price, order["open_lots"], 0, 0)
        unlink(sim, desk, resting, k)
    else:
        answer(sim, desk, points, me, CANCEL_REJECTED, order_id, side, 0, 0, 0, END_UNKNOWN_ORDER << REASON_SHIFT)


@jit_inline
def filtered(sim, desk, me, price_ticks, lots):
    """The first filter of the venue that an order breaks (END_*), 0 if none."""
    site, own = sim["site"][me], desk["own"][me]
    if price_ticks < site["price_min_ticks"] or price_ticks > site["price_max_ticks"]:
        return END_PRICE_FILTER
    if lots < site["qty_min_lots"] or lots > site["qty_max_lots"]:
        return END_QTY_FILTER
    if price_ticks * lots * site["units_per_ticklot"] < site["notional_min_units"]:
        return END_NOTIONAL_FILTER
    if own["count"][0] + own["count"][1] >= site["orders_max"]:
        return END_ORDERS_MAX
    return 0


@jit_inline
def place_of(sim, desks, resting, me, s, price_ticks):
    """Window index of an order's price; -1 if the window cannot hold it, or the venue has shown no book yet.

    The market places the window.  Where it has come near an edge the window follows it, which renames places and
    changes nothing else, so that no lane can tell whose order it was.
    """
    book = sim["book"][me]
    if book["base_ticks"] == NO_PRICE:
        return -1
    x = x_of(book, s, price_ticks)
    if x < 0 or x >= W:
        follow_market(sim, desks, resting, me)
        x = x_of(book, s, price_ticks)
    return x if 0 <= x < W else -1


@jit_inline
def enter(sim, desk, desks, resting, points, me, order_id, side, price_ticks, lots, flags):
    """A valid order: post-only expires if it would cross; others take what they may, then rest or expire."""
    book, site, own = sim["book"][me], sim["site"][me], desk["own"][me]
    s = 0 if side > 0 else 1
    x = place_of(sim, desks, resting, me, s, price_ticks)
    if x < 0:
        answer(
            sim,
            desk,
            points,
            me,
            ORDER_REJECTED,
            order_id,
            side,
            price_ticks,
            lots,
            0,
            END_PRICE_FILTER << REASON_SHIFT,
        )
        return
    crosses = x + book["best"][1 - s] >= W - 1
    if flags & POST_ONLY and crosses:
        end_order(sim, desk, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, END_WOULD_CROSS)
        return
    if (
        x + site["best"][1 - s] >= W - 1
        and site["stp"] != STP_NONE
        and meets_own(site, desk, resting, 1 - s, W - 1 - x)
    ):
        if site["stp"] != STP_EXPIRE_TAKER:
            expire_own(sim, desk, resting, points, me, 1 - s, W - 1 - x)
        if site["stp"] != STP_EXPIRE_MAKER:
            answer(
                sim,
                desk,
                points,
                me,
                ORDER_EXPIRED,
                order_id,
                side,
                price_ticks,
                lots,
                0,
                END_SELF_TRADE << REASON_SHIFT,
            )
            return
    at_once = flags & (IOC | FOK)
    if not crosses and at_once:
        end_order(sim, desk, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, END_NO_LIQUIDITY)
        return
    if flags & FOK and site["fill_model"] != FILL_WHOLE and takeable(sim, desk, me, 1 - s, W - 1 - x, lots) < lots:
        end_order(sim, desk, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, END_UNFILLED)
        return
    if not at_once:
        front = ahead_of_new(sim, own, me, s, x)
        answer(sim, desk, points, me, ORDER_ACKNOWLEDGED, order_id, side, price_ticks, lots, front, flags & POST_ONLY)
    if crosses:
        lots = take(sim, desk, points, me, order_id, side, W - 1 - x, lots)
    if lots == 0:
        return
    if at_once:
        end_order(sim, desk, points, me, ORDER_EXPIRED, order_id, side, price_ticks, lots, END_UNFILLED)
        return
    rest(sim, desk, resting, me, order_id, s, x, lots)


@jit_inline
def ahead_of_new(sim, own, me, s, x):
    """Lots ahead of an own order that joins at x.

    What we took is not ahead of us; but single orders stay in a recording's queue until it takes them out itself.
    """
    lots = sim["book"][me]["lots"][s, x]
    if sim["site"][me]["queue_model"] != EXACT:
        lots -= taken_at(own, s, x)
    return lots


@jit_inline
def rest(sim, desk, resting, me, order_id, s, x, lots):
    """An order joins the back of the queue at its price."""
    site, own = sim["site"][me], desk["own"][me]
    slot = order_id & (ORDERS_MAX - 1)
    assert own["place"][slot] == 0
    k = sim["free"]
    order = nth(resting, k)
    sim["free"] = np.int64(order["next"])
    sim["free_count"] -= 1
    own["place"][slot] = k + 1
    order["order_id"] = order_id
    order["x"] = x
    order["s"] = s
    order["instrument"] = me
    order["lane"] = desk["lane"]
    order["open_lots"] = lots
    order["front"] = float(ahead_of_new(sim, own, me, s, x))
    order["entry"] = site["entries"]
    order["explained_lots"] = 0
    own["count"][s] += 1
    site["count"][s] += 1
    link(site, resting, k)


@jit_inline
def takeable(sim, desk, me, o, reach, most):
    """Lots that rest on side o at index `reach` or better and were not taken by us yet, at most `most`."""
    book, own = sim["book"][me], desk["own"][me]
    x, total = book["best"][o], 0
    while x >= reach and x >= 0 and total < most:
        total += max(0, book["lots"][o, x] - taken_at(own, o, x))
        x = next_below(book, o, x)
    return total


@jit_inline
def take(sim, desk, points, me, order_id, side, reach, lots):
    """Execute as taker against side o from its best down to index `reach`; returns what is left of `lots`.

    Whole fills take everything at the best price, whatever rests there, as the peer engines do.
    """
    book, site, own = sim["book"][me], sim["site"][me], desk["own"][me]
    o = 1 if side > 0 else 0
    whole = site["fill_model"] == FILL_WHOLE
    x = book["best"][o]
    while lots > 0 and x >= reach and x >= 0:
        there = lots if whole else max(0, book["lots"][o, x] - taken_at(own, o, x))
        got = min(lots, there)
        if got > 0:
            price = ticks_of(book, o, x)
            fee = fee_units(price * got * site["units_per_ticklot"], site["taker_ppb"])
            flags = FILL_TAKER << REASON_SHIFT
            answer(sim, desk, points, me, ORDER_FILLED, order_id, side, price, got, fee, flags)
            if not whole:
                remember_taken(site, own, o, x, got)
            lots -= got
        x = next_below(book, o, x)
    return lots


@jit_inline
def meets_own(site, desk, resting, o, reach):
    """Whether an order of this lane rests on side o at index `reach` or better."""
    lane = desk["lane"]
    x = site["best"][o]
    while x >= reach and x >= 0:
        k = np.int64(site["head"][o, x]) - 1
        while k >= 0:
            order = nth(resting, k)
            if order["lane"] == lane:
                return True
            k = np.int64(order["next"])
        x = next_own(site, o, x)
    return False


@jit_inline
def expire_own(sim, desk, resting, points, me, o, reach):
    """Self-trade prevention: the lane's own orders on side o that an incoming order would meet expire."""
    site, lane = sim["site"][me], desk["lane"]
    side = 1 if o == 0 else -1
    x = site["best"][o]
    while x >= reach and x >= 0:
        price = ticks_of(sim["book"][me], o, x)
        k = np.int64(site["head"][o, x]) - 1
        while k >= 0:
            order = nth(resting, k)
            following = np.int64(order["next"])
            if order["lane"] == lane:
                lots = order["open_lots"]
                end_order(sim, desk, points, me, ORDER_EXPIRED, order["order_id"], side, price, lots, END_SELF_TRADE)
                unlink(sim, desk, resting, k)
            k = following
        x = next_own(site, o, x)


assert STP_EXPIRE_BOTH not in (STP_EXPIRE_TAKER, STP_EXPIRE_MAKER)

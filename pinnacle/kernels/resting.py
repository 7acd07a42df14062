"""Own orders as they rest at the simulated venue: lists by price, shared by all lanes, and what fills them.

Here is how an order is put into a list, taken out, moved with the window and filled; when and why is in match and fifo.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import MAKER, ORDER_FILLED, REASON_SHIFT
from pinnacle.kernels.account import fee_units
from pinnacle.kernels.book import best_ticks, level_outside, near_edge, recentre, ticks_of, x_of
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NO_PRICE
from pinnacle.kernels.taken import remember_taken, shift_taken
from pinnacle.kernels.venue import FILL_WHOLE
from pinnacle.kernels.wire import answer
from pinnacle.limits import BOOK_WINDOW_TICKS, ORDERS_MAX

W = BOOK_WINDOW_TICKS


@jit_inner
def far_level(sim, desks, resting, me, s, price_ticks, lots):
    """A level outside the venue's window; if the window moves for it, our orders' places move with it."""
    follow_market(sim, desks, resting, me)
    book = sim["book"][me]
    x = x_of(book, s, price_ticks)
    if x < 0 or x >= W:
        base = book["base_ticks"]
        x = level_outside(book, s, price_ticks, lots)
        move_own(sim, desks, resting, me, book["base_ticks"] - base)
    return x


@jit_inner
def follow_market(sim, desks, resting, me):
    """Move the venue's window if its best has come near an edge, and our orders' places with it."""
    book = sim["book"][me]
    if book["base_ticks"] != NO_PRICE and near_edge(book):
        base = book["base_ticks"]
        recentre(book, best_ticks(book, 0 if book["best"][0] >= 0 else 1))
        move_own(sim, desks, resting, me, book["base_ticks"] - base)


@jit_inner
def move_own(sim, desks, resting, me, shift):
    """Follow a window that moved by `shift` ticks.  Orders that fall out of it keep resting at its edge's far side.

    Every order leaves its list and joins the one at its new place, in the order of the pool's lists before, so that
    orders at one price keep their sequence.
    """
    site = sim["site"][me]
    if shift == 0:
        return
    if site["taken_count"] != 0:
        shift_taken(sim, desks, me, shift)
    if site["count"][0] + site["count"][1] == 0:
        return
    for s in range(2):
        # One chain of all orders of the side, by price and in sequence; then each joins anew.
        chain, end = -1, -1
        if site["count"][s] != 0:
            for x in range(site["best"][s], site["low"][s] - 1, -1):
                k = np.int64(site["head"][s, x]) - 1
                site["head"][s, x] = 0
                while k >= 0:
                    order = nth(resting, k)
                    if chain < 0:
                        chain = k
                    else:
                        nth(resting, end)["previous"] = k
                    end = k
                    k = np.int64(order["next"])
                    order["previous"] = -1
        site["best"][s], site["low"][s] = -1, W
        k = chain
        while k >= 0:
            order = nth(resting, k)
            following = np.int64(order["previous"])
            order["x"] = min(W - 1, max(0, order["x"] - shift if s == 0 else order["x"] + shift))
            link(site, resting, k)
            k = following


@jit_inner
def link(site, resting, k):
    """Put a resting order at the end of its price's list."""
    order = nth(resting, k)
    s, x = np.int64(order["s"]), order["x"]
    head = np.int64(site["head"][s, x]) - 1
    order["next"] = -1
    if head < 0:
        site["head"][s, x] = k + 1
        order["previous"] = k
    else:
        first = nth(resting, head)
        order["previous"] = first["previous"]
        nth(resting, np.int64(first["previous"]))["next"] = k
        first["previous"] = k
    site["best"][s] = max(site["best"][s], x)
    site["low"][s] = min(site["low"][s], x)


@jit_inner
def unlink(sim, desk, resting, k):
    """Take a resting order out of its price's list and give its place in the pool back."""
    order = nth(resting, k)
    me, s, x = np.int64(order["instrument"]), np.int64(order["s"]), order["x"]
    site, own = sim["site"][me], desk["own"][me]
    head = np.int64(site["head"][s, x]) - 1
    following, before = np.int64(order["next"]), np.int64(order["previous"])
    if k == head:
        site["head"][s, x] = following + 1
        if following >= 0:
            nth(resting, following)["previous"] = before
    else:
        nth(resting, before)["next"] = following
        nth(resting, following if following >= 0 else head)["previous"] = before
    own["place"][order["order_id"] & (ORDERS_MAX - 1)] = 0
    order["order_id"] = 0
    order["next"] = sim["free"]
    sim["free"] = k
    sim["free_count"] += 1
    own["count"][s] -= 1
    site["count"][s] -= 1
    if site["count"][s] == 0:
        site["best"][s], site["low"][s] = -1, W
    elif site["head"][s, x] == 0:
        while site["head"][s, site["best"][s]] == 0:
            site["best"][s] -= 1
        while site["head"][s, site["low"][s]] == 0:
            site["low"][s] += 1


@jit_inner
def execute(sim, desk, resting, points, me, k, lots, reason):
    """Fill `lots` of a resting order at its own price, as maker, and answer; a filled order leaves."""
    site = sim["site"][me]
    order = nth(resting, k)
    s = np.int64(order["s"])
    side = 1 if s == 0 else -1
    price = ticks_of(sim["book"][me], s, order["x"])
    fee = fee_units(price * lots * site["units_per_ticklot"], site["maker_ppb"])
    order["open_lots"] -= lots
    flags = MAKER | (reason << REASON_SHIFT)
    answer(sim, desk, points, me, ORDER_FILLED, order["order_id"], side, price, lots, fee, flags)
    if order["open_lots"] == 0:
        unlink(sim, desk, resting, k)


@jit_inline
def lots_left(sim, desk, lots):
    """What is left of the execution under way for this lane: each lane is alone in its market."""
    if desk["stamp"] != sim["stamp"]:
        desk["stamp"] = sim["stamp"]
        desk["left_lots"] = lots
    return desk["left_lots"]


@jit_inline
def next_own(site, s, x):
    """Greatest index below x at which an order of ours rests, -1 if none."""
    x = min(x - 1, site["best"][s])
    while x >= site["low"][s] and x >= 0 and site["head"][s, x] == 0:
        x -= 1
    return x if x >= site["low"][s] else -1


@jit_inner
def fill_level(sim, desks, resting, points, me, s, y, lots, reason, from_x):
    """Fill the orders at y of side s in their sequence, each lane's as far as its lots of this execution go.

    from_x: index on the other side whose liquidity is taken by that, and remembered as taken; -1 for none.
    """
    site = sim["site"][me]
    whole = site["fill_model"] == FILL_WHOLE
    k = np.int64(site["head"][s, y]) - 1
    while k >= 0:
        order = nth(resting, k)
        following = np.int64(order["next"])
        desk = nth(desks, np.int64(order["lane"]))
        left, open_lots = lots_left(sim, desk, lots), order["open_lots"]
        if whole or left > 0:
            taken = open_lots if whole else min(open_lots, left)
            execute(sim, desk, resting, points, me, k, taken, reason)
            if not whole:
                desk["left_lots"] = left - taken
                if from_x >= 0:
                    remember_taken(site, desk["own"][me], 1 - s, from_x, taken)
        k = following

"""The simulated venue: what happens to our orders as a recorded market goes by.

The record of the market is a fact and our orders were not in it.  So each fill must be argued from what the record
shows, and carries its reason: a trade through our price, a trade at our price with nothing left ahead of us, the
other side coming to our price, or our own order taking what rested.
"""

from __future__ import annotations

import math

import numpy as np

from pinnacle.event import (
    BOOK_LEVEL,
    FILL_CROSSING_BOOK,
    FILL_QUEUE_FRONT,
    FILL_TRADE_THROUGH,
    MAKER,
    ORDER_FILLED,
    REASON_SHIFT,
    TRADE,
)
from pinnacle.kernels.account import fee_units
from pinnacle.kernels.book import best_ticks, clear, level_outside, near_edge, recentre, set_level, ticks_of, x_of
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.queue import front_after_depth
from pinnacle.kernels.state import NO_PRICE
from pinnacle.kernels.venue import FILL_WHOLE
from pinnacle.kernels.wire import answer
from pinnacle.limits import BOOK_WINDOW_TICKS, ORDERS_MAX, TAKEN_LEVELS_MAX

W = BOOK_WINDOW_TICKS


@jit_inline
def set_clock(sim, row):
    """The venue's clock, and the feed's latency of that moment, are those of a row."""
    sim["clock_ns"] = row["ts_venue_ns"]
    sim["feed_ns"] = row["ts_ns"] - row["ts_venue_ns"]


@jit_inner
def hear_venue_rows(sim, points, rows, j, stop, bound_ns):
    """The venue's half of rows[j:stop] up to time bound_ns: its book moves, and our orders with it.

    Returns the index after the last.  The clock is set where something happens to us, and at the end.
    """
    last = -1
    while j < stop:
        row = rows[j]
        if row["venue_kind"] == BOOK_LEVEL:
            if row["ts_venue_ns"] > bound_ns:
                break
            me = np.int64(row["instrument"])
            book, own = sim["book"][me], sim["own"][me]
            s = 0 if row["side"] > 0 else 1
            x = x_of(book, s, row["price_ticks"])
            if x < 0 or x >= W:
                x = far_level(sim, me, s, row["price_ticks"], row["qty_lots"])
            if x >= 0:
                lots = row["qty_lots"]
                before = book["lots"][s, x]
                better = set_level(book, s, x, lots)
                if own["low"][s] <= x and x <= own["best"][s] and own["head"][s, x] != 0:
                    own_level_changed(own, s, x, before, lots)
                if own["taken_count"] != 0:
                    forget_taken(own, s, x)
                if better and x + own["best"][1 - s] >= W - 1:
                    set_clock(sim, row)
                    side_came_through(sim, points, me, s, x, lots)
            last = j
        elif row["venue_kind"] != 0:
            if row["ts_venue_ns"] > bound_ns:
                break
            set_clock(sim, row)
            hear_venue_rare(sim, points, row)
            last = j
        j += 1
    if last >= 0:
        set_clock(sim, rows[last])
    return j


@jit_inline
def hear_venue_rare(sim, points, row):
    """A trade, or a side that is emptied."""
    me = np.int64(row["instrument"])
    book, own = sim["book"][me], sim["own"][me]
    if row["venue_kind"] == TRADE:
        s = 1 if row["side"] > 0 else 0  # a sell-initiated trade hits bids
        x = x_of(book, s, row["price_ticks"])
        if own["count"][s] > 0 and own["best"][s] >= x:
            trade_reached_us(sim, points, me, s, x, row["qty_lots"])
    else:
        clear(book, np.int64(row["side"]), row["price_ticks"])


@jit_inner
def far_level(sim, me, s, price_ticks, lots):
    """A level outside the venue's window; if the window moves for it, our orders' places move with it."""
    follow_market(sim, me)
    book, own = sim["book"][me], sim["own"][me]
    x = x_of(book, s, price_ticks)
    if x < 0 or x >= W:
        base = book["base_ticks"]
        x = level_outside(book, s, price_ticks, lots)
        move_own(own, book["base_ticks"] - base)
    return x


@jit_inner
def follow_market(sim, me):
    """Move the venue's window if its best has come near an edge, and our orders' places with it."""
    book, own = sim["book"][me], sim["own"][me]
    if book["base_ticks"] != NO_PRICE and near_edge(book):
        base = book["base_ticks"]
        recentre(book, best_ticks(book, 0 if book["best"][0] >= 0 else 1))
        move_own(own, book["base_ticks"] - base)


@jit_inner
def move_own(own, shift):
    """Follow a window that moved by `shift` ticks.  Orders that fall out of it keep resting at its edge's far side."""
    if shift != 0:
        own["taken_count"] = 0
    if shift == 0 or own["count"][0] + own["count"][1] == 0:
        return
    for slot in range(ORDERS_MAX):
        order = own["resting"][slot]
        if order["order_id"] != 0:
            own["head"][order["s"], order["x"]] = 0
    for s in range(2):
        own["best"][s], own["low"][s] = -1, W
    for slot in range(ORDERS_MAX):
        order = own["resting"][slot]
        if order["order_id"] != 0:
            s = order["s"]
            order["x"] = min(W - 1, max(0, order["x"] - shift if s == 0 else order["x"] + shift))
            order["next"] = -1
            link(own, slot)


@jit_inner
def link(own, slot):
    """Put a resting order at the end of its price's list."""
    order = own["resting"][slot]
    s, x = order["s"], order["x"]
    k = np.int64(own["head"][s, x]) - 1
    if k < 0:
        own["head"][s, x] = slot + 1
    else:
        while own["resting"][k]["next"] >= 0:
            k = own["resting"][k]["next"]
        own["resting"][k]["next"] = slot
    own["best"][s] = max(own["best"][s], x)
    own["low"][s] = min(own["low"][s], x)


@jit_inner
def unlink(own, slot):
    """Take a resting order out of its price's list and free its slot."""
    order = own["resting"][slot]
    s, x = order["s"], order["x"]
    k = np.int64(own["head"][s, x]) - 1
    if k == slot:
        own["head"][s, x] = order["next"] + 1
    else:
        while own["resting"][k]["next"] != slot:
            k = own["resting"][k]["next"]
        own["resting"][k]["next"] = order["next"]
    order["order_id"] = 0
    own["count"][s] -= 1
    if own["count"][s] == 0:
        own["best"][s], own["low"][s] = -1, W
    elif own["head"][s, x] == 0:
        while own["head"][s, own["best"][s]] == 0:
            own["best"][s] -= 1
        while own["head"][s, own["low"][s]] == 0:
            own["low"][s] += 1


@jit_inner
def own_level_changed(own, s, x, before_lots, after_lots):
    """A level at which we rest was set anew: each of our orders there learns how much of that was ahead of it."""
    slot = np.int64(own["head"][s, x]) - 1
    while slot >= 0:
        order = own["resting"][slot]
        order["front"] = front_after_depth(
            own["queue_model"],
            own["queue_n"],
            own["lot_qty"],
            order["front"],
            before_lots,
            after_lots,
            order["explained_lots"],
        )
        order["explained_lots"] = 0
        slot = order["next"]


@jit_inner
def execute(sim, points, me, slot, lots, reason):
    """Fill `lots` of a resting order at its own price, as maker, and answer; a filled order leaves."""
    book, own = sim["book"][me], sim["own"][me]
    order = own["resting"][slot]
    side = 1 if order["s"] == 0 else -1
    price = ticks_of(book, order["s"], order["x"])
    fee = fee_units(price * lots * own["units_per_ticklot"], own["maker_ppb"])
    order["open_lots"] -= lots
    flags = MAKER | (reason << REASON_SHIFT)
    answer(sim, points, me, ORDER_FILLED, order["order_id"], side, price, lots, fee, flags)
    if order["open_lots"] == 0:
        unlink(own, slot)


@jit_inner
def trade_reached_us(sim, points, me, s, x, lots):
    """A trade at x on side s, where we rest at x or better: prices better than the trade's first, then its own.

    Whole fills take any size, as the peer engines do.  Partial fills share out what was traded: what one own order
    takes is not there for the next.
    """
    own = sim["own"][me]
    whole = own["fill_model"] == FILL_WHOLE
    while own["count"][s] > 0 and own["best"][s] > x and (whole or lots > 0):
        slot = np.int64(own["head"][s, own["best"][s]]) - 1
        open_lots = own["resting"][slot]["open_lots"]
        taken = open_lots if whole else min(open_lots, lots)
        execute(sim, points, me, slot, taken, FILL_TRADE_THROUGH)
        if not whole:
            lots -= taken
    if own["count"][s] == 0 or own["best"][s] != x:
        return
    slot = np.int64(own["head"][s, x]) - 1
    while slot >= 0:
        order = own["resting"][slot]
        following = order["next"]
        order["explained_lots"] += lots
        if whole:
            order["front"] -= lots
            if math.floor(-order["front"] + 0.5) > 0:
                execute(sim, points, me, slot, order["open_lots"], FILL_QUEUE_FRONT)
        else:
            beyond = int(math.floor(lots - order["front"] + 1e-9))
            order["front"] = max(0.0, order["front"] - lots)
            if beyond > 0:
                taken = min(order["open_lots"], beyond)
                execute(sim, points, me, slot, taken, FILL_QUEUE_FRONT)
                lots -= taken
        slot = following


@jit_inner
def side_came_through(sim, points, me, s, x, lots):
    """A new best of side s at x has come to our orders on the other side, or through them.

    Whole fills fill them all.  Partial fills take what the new level shows, and remember that it was taken.
    """
    own = sim["own"][me]
    o, reach = 1 - s, W - 1 - x
    whole = own["fill_model"] == FILL_WHOLE
    while own["best"][o] >= reach and (whole or lots > 0):
        slot = np.int64(own["head"][o, own["best"][o]]) - 1
        open_lots = own["resting"][slot]["open_lots"]
        taken = open_lots if whole else min(open_lots, lots)
        execute(sim, points, me, slot, taken, FILL_CROSSING_BOOK)
        if not whole:
            lots -= taken
            remember_taken(own, s, x, taken)


@jit_inner
def taken_at(own, s, x):
    """Lots of a level that our own orders took since the venue last set it."""
    for k in range(own["taken_count"]):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            return own["taken_lots"][k]
    return 0


@jit_inner
def remember_taken(own, s, x, lots):
    """Liquidity that an own order consumed stays consumed until the venue refreshes the level.

    Bounded by TAKEN_LEVELS_MAX; beyond it the oldest is forgotten.
    """
    count = own["taken_count"]
    for k in range(count):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            own["taken_lots"][k] += lots
            return
    if count == TAKEN_LEVELS_MAX:
        forget_taken(own, own["taken_s"][0], own["taken_x"][0])
        count -= 1
    own["taken_s"][count], own["taken_x"][count], own["taken_lots"][count] = s, x, lots
    own["taken_count"] = count + 1


@jit_inner
def forget_taken(own, s, x):
    """The venue has set a level: what it shows now is there."""
    count = own["taken_count"]
    for k in range(count):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            for j in range(k, count - 1):
                own["taken_s"][j] = own["taken_s"][j + 1]
                own["taken_x"][j] = own["taken_x"][j + 1]
                own["taken_lots"][j] = own["taken_lots"][j + 1]
            own["taken_count"] = count - 1
            return

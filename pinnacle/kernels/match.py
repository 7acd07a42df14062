"""The simulated venue: what happens to our orders as a recorded market goes by.

The record of the market is a fact and our orders were not in it.  So each fill must be argued from what the record
shows, and carries its reason: a trade through our price, a trade at our price with nothing left ahead of us, the
other side coming to our price, or our own order taking what rested.

The orders of all lanes rest in the same lists: a market row is looked at once, and touches the orders it concerns.
"""

from __future__ import annotations

import math

import numpy as np

from pinnacle.event import (
    BOOK_LEVEL,
    FILL_CROSSING_BOOK,
    FILL_QUEUE_FRONT,
    FILL_TRADE_THROUGH,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    TRADE,
)
from pinnacle.kernels.book import clear, set_level, x_of
from pinnacle.kernels.fifo import all_left, order_told, trade_told
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.order_rows import JOINED, JOINED_AHEAD, LEFT, WHO
from pinnacle.kernels.queue import EXACT, front_after_depth
from pinnacle.kernels.resting import execute, far_level, fill_level, lots_left, next_own, unlink
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NEVER
from pinnacle.kernels.taken import forget_all, forget_level
from pinnacle.kernels.venue import FILL_WHOLE
from pinnacle.kernels.wire import least_of
from pinnacle.limits import BOOK_WINDOW_TICKS, ORDERS_MAX

W = BOOK_WINDOW_TICKS


@jit_inline
def set_clock(sim, row):
    """The venue's clock, and the feed's latency of that moment, are those of a row."""
    sim["clock_ns"] = sim["row_ns"] = row["ts_venue_ns"]
    sim["feed_ns"] = row["ts_ns"] - row["ts_venue_ns"]


@jit_inner
def hear_venue_rows(sim, desks, resting, points, rows, j, stop, bound_ns, i, least_ns):
    """The venue's half of rows[j:stop] up to time bound_ns: its book moves, and our orders with it.

    desks, resting: the first of each.  i: the engine's next row.  A link that is lost makes the engine act at that
    very row: nothing that happens later than the least delay after it, least_ns, may be walked before it was heard.
    Returns (index after the last, that bound, NEVER if there is none).  The clock is set where something happens to us,
    and at the end.
    """
    last, link_ns = -1, NEVER
    while j < stop:
        row = rows[j]
        if row["venue_kind"] == BOOK_LEVEL:
            if row["ts_venue_ns"] > bound_ns:
                break
            me = np.int64(row["instrument"])
            book, site = sim["book"][me], sim["site"][me]
            s = 0 if row["side"] > 0 else 1
            x = x_of(book, s, row["price_ticks"])
            if x < 0 or x >= W:
                x = far_level(sim, desks, resting, me, s, row["price_ticks"], row["qty_lots"])
            if x >= 0:
                lots = row["qty_lots"]
                before = book["lots"][s, x]
                better = set_level(book, s, x, lots)
                if site["low"][s] <= x and x <= site["best"][s] and site["head"][s, x] != 0:
                    own_level_changed(site, resting, s, x, before, lots)
                if site["taken_count"] != 0 and site["taken"][s, x] != 0:
                    forget_level(sim, desks, me, s, x)
                if better and x + site["best"][1 - s] >= W - 1:
                    set_clock(sim, row)
                    side_came_through(sim, desks, resting, points, me, s, x, lots)
            last = j
        elif row["venue_kind"] != 0:
            if row["ts_venue_ns"] > bound_ns:
                break
            set_clock(sim, row)
            hear_venue_rare(sim, desks, resting, points, row)
            last = j
        elif j >= i and LINK_DOWN <= row["kind"] <= LINK_STALE:
            link_ns = min(link_ns, row["ts_ns"] + least_ns)
            bound_ns = min(bound_ns, link_ns)
        j += 1
    if last >= 0:
        set_clock(sim, rows[last])
    return j, link_ns


@jit_inline
def hear_venue_rare(sim, desks, resting, points, row):
    """A trade, a side that is emptied, or what a recording of single orders tells of a queue."""
    me, kind = np.int64(row["instrument"]), np.int64(row["venue_kind"])
    book, site = sim["book"][me], sim["site"][me]
    exact = site["queue_model"] == EXACT
    if kind == TRADE:
        if exact:
            trade_told(sim, desks, resting, points, row)
        else:
            s = 1 if row["side"] > 0 else 0  # a sell-initiated trade hits bids
            x = x_of(book, s, row["price_ticks"])
            if site["count"][s] > 0 and site["best"][s] >= x:
                trade_reached_us(sim, desks, resting, points, me, s, x, row["qty_lots"])
    elif kind == WHO:
        site["mover"] = row["qty_lots"]
    elif kind == JOINED or kind == LEFT or kind == JOINED_AHEAD:
        order_told(sim, desks, resting, points, row)
    else:
        clear(book, np.int64(row["side"]), row["price_ticks"])
        if exact:
            all_left(site, resting, book, np.int64(row["side"]), row["price_ticks"])
        if site["taken_count"] != 0:
            # What is emptied is not there to be taken either.
            for k in range(sim["lanes"]):
                forget_all(site, nth(desks, k)["own"][me])


@jit_inner
def own_level_changed(site, resting, s, x, before_lots, after_lots):
    """A level at which we rest was set anew: each order there learns how much of that was ahead of it.

    Orders that joined at one moment have the same place in the queue whatever lane they are of, so a place that was
    worked out for one is taken over by the next.
    """
    model, n, lot_qty = site["queue_model"], site["queue_n"], site["lot_qty"]
    if model == EXACT:
        return  # a level told again; places move with single orders alone
    known_front, known_explained, after_front = -1.0, -1, 0.0
    k = np.int64(site["head"][s, x]) - 1
    while k >= 0:
        order = nth(resting, k)
        front, explained = order["front"], order["explained_lots"]
        if front != known_front or explained != known_explained:
            known_front, known_explained = front, explained
            after_front = front_after_depth(model, n, lot_qty, front, before_lots, after_lots, explained)
        order["front"] = after_front
        order["explained_lots"] = 0
        k = np.int64(order["next"])


@jit_inner
def trade_reached_us(sim, desks, resting, points, me, s, x, lots):
    """A trade at x on side s, where we rest at x or better: prices better than the trade's first, then its own.

    Whole fills take any size, as the peer engines do.  Partial fills share out what was traded: what one own order
    takes is not there for the lane's next.
    """
    site = sim["site"][me]
    sim["stamp"] += 1
    y = site["best"][s]
    while y > x:
        fill_level(sim, desks, resting, points, me, s, y, lots, FILL_TRADE_THROUGH, -1)
        # Those that found nothing left keep resting there.
        y = next_own(site, s, y)
    if y == x:
        trade_at_us(sim, desks, resting, points, me, s, x, lots)


@jit_inline
def trade_at_us(sim, desks, resting, points, me, s, x, lots):
    """A trade at the price of orders of ours: it eats what is ahead of each, and then into the order itself."""
    site = sim["site"][me]
    whole = site["fill_model"] == FILL_WHOLE
    k = np.int64(site["head"][s, x]) - 1
    while k >= 0:
        order = nth(resting, k)
        following = np.int64(order["next"])
        if whole:
            order["explained_lots"] += lots
            order["front"] -= lots
            if math.floor(-order["front"] + 0.5) > 0:
                desk = nth(desks, np.int64(order["lane"]))
                execute(sim, desk, resting, points, me, k, order["open_lots"], FILL_QUEUE_FRONT)
        else:
            desk = nth(desks, np.int64(order["lane"]))
            left = lots_left(sim, desk, lots)
            order["explained_lots"] += left
            beyond = int(math.floor(left - order["front"] + 1e-9))
            order["front"] = max(0.0, order["front"] - left)
            if beyond > 0:
                taken = min(order["open_lots"], beyond)
                execute(sim, desk, resting, points, me, k, taken, FILL_QUEUE_FRONT)
                desk["left_lots"] = left - taken
        k = following


@jit_inner
def side_came_through(sim, desks, resting, points, me, s, x, lots):
    """A new best of side s at x has come to our orders on the other side, or through them.

    Whole fills fill them all.  Partial fills take what the new level shows, and remember that it was taken.
    """
    site = sim["site"][me]
    if site["queue_model"] == EXACT:
        return  # a level told again; whom single orders meet is decided where they move
    o, reach = 1 - s, W - 1 - x
    sim["stamp"] += 1
    y = site["best"][o]
    while y >= reach:
        fill_level(sim, desks, resting, points, me, o, y, lots, FILL_CROSSING_BOOK, x)
        y = next_own(site, o, y)


@jit
def drop_lane(sim, desk, resting):
    """Take a lane out of the market if it is still in it.  resting: the first of the pool."""
    if desk["ended"] == 0:
        withdraw(sim, desk, resting)


@jit_inner
def withdraw(sim, desk, resting):
    """Take a lane out of the market: its orders leave, and nothing more is on its way."""
    lane = desk["lane"]
    for me in range(sim["instruments"]):
        own = desk["own"][me]
        for slot in range(ORDERS_MAX):
            if own["place"][slot] != 0:
                unlink(sim, desk, resting, np.int64(own["place"][slot]) - 1)
        forget_all(sim["site"][me], own)
        own["request_first"], own["answer_first"] = own["request_end"], own["answer_end"]
    sim["request_due"][lane] = sim["answer_due"][lane] = NEVER
    sim["request_due_ns"] = least_of(sim["request_due"], sim["lanes"])
    sim["answer_due_ns"] = least_of(sim["answer_due"], sim["lanes"])
    desk["ended"] = 1
    sim["running"] -= 1


assert LINK_DOWN <= LINK_GAP <= LINK_STALE

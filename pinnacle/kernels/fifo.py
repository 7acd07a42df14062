"""Exact places in a recorded queue: what single orders of a recording prove about own orders among them.

Each recorded order has an entry stamp, the number of its entry into a queue; it gets a new one whenever it loses its
priority.  An own order takes the stamp of the moment at which it came to rest, so what leaves its price with that stamp
or an older one stood ahead of it, lot for lot, and what leaves with a newer one stood behind.  No part of this is a
guess about who cancelled.

What is counted when an order is executed: the recording says it twice, as a trade and as a change of the order.  The
change alone moves places, whatever caused it; the trade alone fills, and only whom it proves to have been reached:
- at a better price than the trade: its lots went past us;
- at its price, and the executed order stands behind us: the same lots would have met us first;
- at its price, and the trade names no order: first what is ahead of us is taken from its lots, as it was before the
  trade.  A recording whose trades come after the changes they made must therefore name the order or leave out the side;
- a trade without a side proves nothing at its own price.  An executed order that nobody knows is older than the
  recording and so stands ahead.  Which of change and trade comes first does not matter, because stamps outlive their
  orders (see order_rows).

An order that crosses the recorded book is a match under way: the trades that follow say what it took, and while both
sides of the recorded book overlap it meets nobody here.  What is left of it is met at our price once they do not, at
the next word of its side or the next trade.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import FILL_CROSSING_BOOK, FILL_QUEUE_FRONT, FILL_TRADE_THROUGH
from pinnacle.kernels.book import next_below, set_level, x_of
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.order_rows import JOINED, LEFT
from pinnacle.kernels.resting import execute, far_level, fill_level, lots_left, next_own
from pinnacle.kernels.rows import nth
from pinnacle.kernels.taken import leave_taken, remember_taken, taken_at
from pinnacle.kernels.venue import FILL_WHOLE
from pinnacle.limits import BOOK_WINDOW_TICKS

W = BOOK_WINDOW_TICKS


@jit_inline
def order_told(sim, desks, resting, points, row):
    """A recorded order joined the queue at a price or left it, in whole or in part, and whom its side now meets."""
    me, s = np.int64(row["instrument"]), 0 if row["side"] > 0 else 1
    order_moved(sim, desks, resting, row, me, s)
    # Asked here, because most rows end with it and a call that hands on an array costs as much as all before it.
    site = sim["site"][me]
    if site["count"][1 - s] != 0 and sim["book"][me]["best"][s] + site["best"][1 - s] >= W - 1:
        meet(sim, desks, resting, points, me, s)


@jit_inner
def order_moved(sim, desks, resting, row, me, s):
    """The level is what the row says, and our orders there learn of it if it was ahead of them.

    Of an order that left, the row before said the stamp (site.mover).
    """
    kind, lots = np.int64(row["venue_kind"]), row["qty_lots"]
    book, site = sim["book"][me], sim["site"][me]
    stamp = site["mover"]
    site["mover"] = 0
    if kind == JOINED:
        site["entries"] += 1
    x = x_of(book, s, row["price_ticks"])
    if x < 0 or x >= W:
        x = far_level(sim, desks, resting, me, s, row["price_ticks"], lots)
    if x >= 0:
        change = lots - book["lots"][s, x]
        set_level(book, s, x, lots)
        if kind != JOINED and site["low"][s] <= x and x <= site["best"][s] and site["head"][s, x] != 0:
            shift_fronts(site, resting, s, x, change, stamp)
        if kind == LEFT and site["taken_count"] != 0 and site["taken"][s, x] != 0:
            leave_taken(sim, desks, me, s, x, -change, stamp)


@jit_inline
def shift_fronts(site, resting, s, x, change, stamp):
    """Lots that count as ahead of own orders at x changed: all who came no earlier than `stamp` learn of it.

    Negative: an order with that stamp lost so much.  Positive: an order of a snapshot (stamp 0), whose place nobody
    knows, is taken to be ahead of everybody.
    """
    k = np.int64(site["head"][s, x]) - 1
    while k >= 0:
        order = nth(resting, k)
        if stamp <= order["entry"]:
            order["front"] = max(0.0, order["front"] + change)
        k = np.int64(order["next"])


@jit_inner
def trade_told(sim, desks, resting, points, row):
    """A trade: it fills those it went past, and at its price those it must have met."""
    me = np.int64(row["instrument"])
    book, site = sim["book"][me], sim["site"][me]
    stamp, lots = site["mover"], row["qty_lots"]
    site["mover"] = 0
    sim["stamp"] += 1
    for s in range(2):
        # A sell-initiated trade hits bids; without a side it went past whatever was better on either.
        if site["count"][s] > 0 and (row["side"] == 0 or (row["side"] < 0) == (s == 0)):
            x = x_of(book, s, row["price_ticks"])
            y = site["best"][s]
            while y > x and y >= 0:
                fill_level(sim, desks, resting, points, me, s, y, lots, FILL_TRADE_THROUGH, -1)
                y = next_own(site, s, y)
            if y == x and x >= 0 and row["side"] != 0:
                trade_at(sim, desks, resting, points, me, s, x, lots, stamp)
    for s in range(2):
        meet(sim, desks, resting, points, me, s)


@jit_inline
def trade_at(sim, desks, resting, points, me, s, x, lots, stamp):
    """A trade at the price of own orders.  stamp: of the executed order, 0 if the trade names none."""
    site = sim["site"][me]
    whole = site["fill_model"] == FILL_WHOLE
    k = np.int64(site["head"][s, x]) - 1
    while k >= 0:
        order = nth(resting, k)
        following = np.int64(order["next"])
        desk = nth(desks, np.int64(order["lane"]))
        left = lots_left(sim, desk, lots)
        reached = left
        if stamp == 0:
            reached = left - int(order["front"])
        elif stamp <= order["entry"]:
            reached = 0
        if reached > 0:
            taken = order["open_lots"] if whole else min(order["open_lots"], reached)
            execute(sim, desk, resting, points, me, k, taken, FILL_QUEUE_FRONT)
            if not whole:
                desk["left_lots"] = left - taken
        k = following


@jit_inner
def meet(sim, desks, resting, points, me, s):
    """What rests on side s meets own orders on the other side that it has come to, unless the recording overlaps
    itself.

    Each lane takes no more of a level than it shows and that lane has not taken yet.
    """
    book, site = sim["book"][me], sim["site"][me]
    o = 1 - s
    if site["count"][o] == 0 or book["best"][s] + site["best"][o] < W - 1:
        return
    x = next_below(book, s, min(book["high"][s], W - 1) + 1)
    y = next_below(book, o, min(book["high"][o], W - 1) + 1)
    if y >= 0 and x + y >= W - 1:
        return
    while x >= 0 and x + site["best"][o] >= W - 1:
        meet_level(sim, desks, resting, points, me, s, x)
        x = next_below(book, s, x)


@jit_inline
def meet_level(sim, desks, resting, points, me, s, x):
    """Fill own orders on the other side from the level at x of side s: better prices first, each in its sequence."""
    book, site = sim["book"][me], sim["site"][me]
    o = 1 - s
    whole = site["fill_model"] == FILL_WHOLE
    sim["stamp"] += 1
    y = site["best"][o]
    while y >= 0 and x + y >= W - 1:
        k = np.int64(site["head"][o, y]) - 1
        while k >= 0:
            order = nth(resting, k)
            following = np.int64(order["next"])
            desk = nth(desks, np.int64(order["lane"]))
            own = desk["own"][me]
            left = lots_left(sim, desk, book["lots"][s, x] - taken_at(own, s, x))
            if left > 0:
                taken = order["open_lots"] if whole else min(order["open_lots"], left)
                execute(sim, desk, resting, points, me, k, taken, FILL_CROSSING_BOOK)
                if not whole:
                    desk["left_lots"] = left - taken
                    remember_taken(site, own, s, x, taken)
            k = following
        y = next_own(site, o, y)


@jit_inner
def all_left(site, resting, book, side, price_ticks):
    """A side (0: both) was emptied from a price on (0: all of it): nothing is ahead of own orders there any more."""
    for s in range(2):
        if site["count"][s] != 0 and (side == 0 or (side > 0) == (s == 0)):
            worst = x_of(book, s, price_ticks) if price_ticks != 0 else 0
            y = site["best"][s]
            while y >= worst and y >= 0:
                shift_fronts(site, resting, s, y, -(1 << 60), 0)
                y = next_own(site, s, y)

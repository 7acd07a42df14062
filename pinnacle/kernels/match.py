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
    MAKER,
    ORDER_FILLED,
    REASON_SHIFT,
    TRADE,
)
from pinnacle.kernels.account import fee_units
from pinnacle.kernels.book import best_ticks, clear, level_outside, near_edge, recentre, set_level, ticks_of, x_of
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.queue import front_after_depth
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NEVER, NO_PRICE
from pinnacle.kernels.venue import FILL_WHOLE
from pinnacle.kernels.wire import answer, least_of
from pinnacle.limits import BOOK_WINDOW_TICKS, ORDERS_MAX, TAKEN_LEVELS_MAX

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
    """A trade, or a side that is emptied."""
    me = np.int64(row["instrument"])
    book, site = sim["book"][me], sim["site"][me]
    if row["venue_kind"] == TRADE:
        s = 1 if row["side"] > 0 else 0  # a sell-initiated trade hits bids
        x = x_of(book, s, row["price_ticks"])
        if site["count"][s] > 0 and site["best"][s] >= x:
            trade_reached_us(sim, desks, resting, points, me, s, x, row["qty_lots"])
    else:
        clear(book, np.int64(row["side"]), row["price_ticks"])
        if site["taken_count"] != 0:
            # What is emptied is not there to be taken either.
            for k in range(sim["lanes"]):
                forget_all(site, nth(desks, k)["own"][me])


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
def own_level_changed(site, resting, s, x, before_lots, after_lots):
    """A level at which we rest was set anew: each order there learns how much of that was ahead of it.

    Orders that joined at one moment have the same place in the queue whatever lane they are of, so a place that was
    worked out for one is taken over by the next.
    """
    model, n, lot_qty = site["queue_model"], site["queue_n"], site["lot_qty"]
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
def next_own(site, s, x):
    """Greatest index below x at which an order of ours rests, -1 if none."""
    x = min(x - 1, site["best"][s])
    while x >= site["low"][s] and x >= 0 and site["head"][s, x] == 0:
        x -= 1
    return x if x >= site["low"][s] else -1


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
    o, reach = 1 - s, W - 1 - x
    sim["stamp"] += 1
    y = site["best"][o]
    while y >= reach:
        fill_level(sim, desks, resting, points, me, o, y, lots, FILL_CROSSING_BOOK, x)
        y = next_own(site, o, y)


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


@jit_inner
def taken_at(own, s, x):
    """Lots of a level that our own orders took since the venue last set it."""
    for k in range(own["taken_count"]):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            return own["taken_lots"][k]
    return 0


@jit_inner
def remember_taken(site, own, s, x, lots):
    """Liquidity that an own order consumed stays consumed until the venue refreshes the level.

    Bounded by TAKEN_LEVELS_MAX; beyond it the oldest is forgotten.
    """
    count = own["taken_count"]
    for k in range(count):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            own["taken_lots"][k] += lots
            return
    if count == TAKEN_LEVELS_MAX:
        forget_taken(site, own, own["taken_s"][0], own["taken_x"][0])
        count -= 1
    own["taken_s"][count], own["taken_x"][count], own["taken_lots"][count] = s, x, lots
    own["taken_count"] = count + 1
    site["taken"][s, x] += 1
    site["taken_count"] += 1


@jit_inner
def forget_taken(site, own, s, x):
    """The venue has set a level: what it shows now is there for this lane."""
    count = own["taken_count"]
    for k in range(count):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            for j in range(k, count - 1):
                own["taken_s"][j] = own["taken_s"][j + 1]
                own["taken_x"][j] = own["taken_x"][j + 1]
                own["taken_lots"][j] = own["taken_lots"][j + 1]
            own["taken_count"] = count - 1
            site["taken"][s, x] -= 1
            site["taken_count"] -= 1
            return


@jit_inner
def forget_level(sim, desks, me, s, x):
    """The venue has set a level: what it shows now is there for every lane."""
    site = sim["site"][me]
    for k in range(sim["lanes"]):
        own = nth(desks, k)["own"][me]
        if own["taken_count"] != 0:
            forget_taken(site, own, s, x)


@jit_inner
def shift_taken(sim, desks, me, shift):
    """What was taken from a level is remembered where the level is now; what leaves the window is forgotten."""
    site = sim["site"][me]
    for k in range(sim["lanes"]):
        own = nth(desks, k)["own"][me]
        for i in range(own["taken_count"]):
            site["taken"][own["taken_s"][i], own["taken_x"][i]] -= 1
    site["taken_count"] = 0
    for k in range(sim["lanes"]):
        own = nth(desks, k)["own"][me]
        kept = 0
        for i in range(own["taken_count"]):
            s = own["taken_s"][i]
            x = own["taken_x"][i] - shift if s == 0 else own["taken_x"][i] + shift
            if 0 <= x < W:
                own["taken_s"][kept], own["taken_x"][kept], own["taken_lots"][kept] = s, x, own["taken_lots"][i]
                site["taken"][s, x] += 1
                kept += 1
        own["taken_count"] = kept
        site["taken_count"] += kept


@jit_inline
def forget_all(site, own):
    """Forget every level that a lane took from."""
    while own["taken_count"] != 0:
        forget_taken(site, own, own["taken_s"][0], own["taken_x"][0])


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

"""Single orders of a recording as what the engine hears of them, levels, and as what they prove to the simulated venue.

The engine goes on hearing price levels, numbered as inputs, in a backtest and in its replay alike.  The venue is told
one thing more of each: the stamp of the entry into a queue that it concerns.  Until an input is numbered its `seq` is
free, and carries that stamp here: above AHEAD an order joined, below 0 one left with that stamp, and of a trade, whom
it executed.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    BOOK_CLEAR,
    BOOK_LEVEL,
    LAST,
    ORDER_ADD,
    ORDER_DELETE,
    ORDER_MODIFY,
    SNAPSHOT,
    TRADE,
)
from pinnacle.kernels.book import W, best_ticks, near_edge, ticks_of, x_of
from pinnacle.kernels.book_l3 import (
    change_level,
    clear,
    enter,
    head_of,
    join,
    leave,
    possible,
    shrink,
    take_out,
    take_out_entry,
    x_for,
)
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.l3_ids import entry_of
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NO_PRICE

# Kinds of woven rows that the venue alone understands, beside BOOK_LEVEL, TRADE and BOOK_CLEAR.
JOINED = 3  # an order joined the end of the queue; the level is now this
WHO = 4  # the stamp (qty_lots) of whom the instrument's next row is about
LEFT = 5  # the order just named left, or a part of it; the level is now this
JOINED_AHEAD = 7  # an order of a snapshot is there, with a place that nobody knows; the level is now this

# The stamp of orders that a snapshot shows: older than any entry that was seen.
AHEAD = 1
# What a trade says that names an order nobody knows: it is older than the recording.
UNKNOWN = -1
# Orders that left lately and may still be named by the trade that took them; a trade follows its changes at once.
GONE_KEPT = 64

# One recording's walk, beside its book of orders.
WALK = np.dtype(
    [
        ("entries", "<i8"),  # stamps given so far
        ("latest_ns", "<i8"),  # venue time of the last row: single orders are one sequence, in which it never goes back
        ("window_ticks", "<i8"),  # where the window must be moved to, after WINDOW
        ("trades_unnamed", "<i8"),  # trades that name no order
        ("trades_unknown", "<i8"),  # trades that name an order which nobody knows
        ("gone_count", "<i8"),
        ("gone_id", "<i8", (GONE_KEPT,)),
        ("gone_stamp", "<i8", (GONE_KEPT,)),
        ("gone_ticks", "<i8", (GONE_KEPT,)),
    ]
)

# Why a walk pauses.
WALKED = 0
HEARD_FULL = 1  # room for the rows of one event is missing
ORDERS_FULL = 2  # the pool of orders must grow
WINDOW = 3  # the window must be moved to window_ticks

# Rows that one order can make: it leaves one level and joins another, and each can show the other side's best again.
HEARD_ROOM_MIN = 8


@jit
def hear_orders(l3, orders, table, walk, events, first, heard):
    """Walk events[first:] of one recording and write what the engine hears of them, with stamps in seq.

    l3, orders, table: a book_l3 and its parts, moved.  walk: WALK, moved.  events: EVENT[n] in order of arrival.
    heard: EVENT[m], written.  Each event makes 0 to HEARD_ROOM_MIN rows; its LAST stands on the last of them.  Returns
    (index of the next event, rows written, why it paused).
    """
    n, k, why = 0, first, WALKED
    book = l3["book"]
    while k < events.size and why == WALKED:
        event = events[k]
        kind, price = np.int64(event["kind"]), event["price_ticks"]
        s = 0 if event["side"] > 0 else 1
        if n + HEARD_ROOM_MIN > heard.size:
            why = HEARD_FULL
        elif kind == ORDER_ADD and l3["count"] == l3["capacity"]:
            why = ORDERS_FULL
        elif window_wanted(l3, walk, kind, s, price):
            why = WINDOW
        if why != WALKED:
            break
        venue_ns = event["ts_venue_ns"] if event["ts_venue_ns"] != 0 else event["ts_ns"]
        if venue_ns < walk["latest_ns"]:
            venue_ns = walk["latest_ns"]
        elif event["ts_venue_ns"] == 0:
            walk["latest_ns"] = venue_ns
            venue_ns = 0
        else:
            walk["latest_ns"] = venue_ns
        begun = n
        if kind == ORDER_ADD:
            n = added(l3, orders, table, walk, event, s, heard, n)
        elif kind == ORDER_MODIFY or kind == ORDER_DELETE:
            n = changed(l3, orders, table, walk, event, heard, n)
        elif kind == BOOK_CLEAR:
            heard[n] = event
            heard[n]["seq"] = 0
            n = cleared(l3, orders, table, np.int64(event["side"]), price, event, heard, n + 1)
        else:
            heard[n] = event
            heard[n]["seq"] = executed(l3, orders, table, walk, event) if kind == TRADE else 0
            n += 1
        if n == begun and event["flags"] & LAST != 0 and possible(price, 1):
            # It changed nothing, and its message ends all the same: the level is told as it is.
            x = x_of(book, s, price) if book["base_ticks"] != NO_PRICE else -1
            lots = book["lots"][s, x] if 0 <= x < W else 0
            n = say_level(event, s, price, lots, 0, heard, n)
        for row in range(begun, n):
            heard[row]["ts_venue_ns"] = venue_ns
            heard[row]["flags"] = event["flags"] & (0xFFFF ^ LAST)
        if n > begun:
            heard[n - 1]["flags"] = event["flags"]
        k += 1
    return k, n, why


@jit_inline
def window_wanted(l3, walk, kind, s, price):
    """Whether the window must be moved before an event: its price is better than the window, or a best at its edge."""
    book = l3["book"]
    wanted = False
    if book["base_ticks"] != NO_PRICE:
        if (kind == ORDER_ADD or kind == ORDER_MODIFY) and possible(price, 1) and x_of(book, s, price) >= W:
            walk["window_ticks"] = price
            wanted = max(0, price - W // 2) != book["base_ticks"]
        elif near_edge(book):
            walk["window_ticks"] = best_ticks(book, 0 if book["best"][0] >= 0 else 1)
            wanted = max(0, walk["window_ticks"] - W // 2) != book["base_ticks"]
    return wanted


@jit_inline
def say_level(event, s, price_ticks, lots, stamp, heard, n):
    """What rests at a price now, as a row; returns the index of the next."""
    row = heard[n]
    row["seq"] = stamp
    row["ts_ns"] = event["ts_ns"]
    row["order_id"] = event["order_id"]
    row["price_ticks"] = price_ticks
    row["qty_lots"] = lots
    row["aux"] = 0
    row["kind"] = BOOK_LEVEL
    row["side"] = 1 if s == 0 else -1
    row["venue"] = event["venue"]
    row["instrument"] = event["instrument"]
    return n + 1


@jit_inline
def say_left(l3, event, s, x, price_ticks, stamp, shown, heard, n):
    """The level at x as it is after an order left or shrank, then the other side's best if that let it show again.

    shown: the other side's best before.  Outside the window nothing is told.
    """
    book = l3["book"]
    if x >= 0:
        n = say_level(event, s, price_ticks, book["lots"][s, x], -stamp, heard, n)
        best = book["best"][1 - s]
        if best > shown:
            n = say_level(event, 1 - s, ticks_of(book, 1 - s, best), book["lots"][1 - s, best], 0, heard, n)
    return n


@jit_inline
def stamped(l3, walk, event, x):
    """The stamp of an order that joins at x.  Outside the window no entry is told, so none is counted."""
    stamp = AHEAD
    if event["flags"] & SNAPSHOT == 0:
        if x >= 0:
            walk["entries"] += 1
        stamp = walk["entries"]
    return stamp


@jit_inner
def added(l3, orders, table, walk, event, s, heard, n):
    """An order joins the end of its queue; one that is known already or cannot be is counted and changes nothing."""
    order_id, price, lots = event["order_id"], event["price_ticks"], event["qty_lots"]
    if order_id <= 0 or not possible(price, lots):
        l3["refused"] += 1
    elif entry_of(l3, table, order_id) >= 0:
        l3["duplicates"] += 1
    else:
        x = x_for(l3, orders, s, price)
        place = enter(l3, orders, table, order_id, s, x, price, lots, 0, 0)
        stamp = stamped(l3, walk, event, x)
        nth(orders, place)["tag"] = stamp
        if x >= 0:
            n = say_level(event, s, price, l3["book"]["lots"][s, x], stamp, heard, n)
    return n


@jit_inner
def changed(l3, orders, table, walk, event, heard, n):
    """An order's price and open quantity are new, or it leaves: by the rules of book_l3.replace.

    Returns the index after the rows written.
    """
    k = entry_of(l3, table, event["order_id"])
    if k < 0:
        l3["unknown"] += 1
        return n
    place = nth(table, k)["place"]
    order = nth(orders, place)
    book = l3["book"]
    s, x, before = np.int64(order["s"]), np.int64(order["x"]), order["price_ticks"]
    price, lots, stamp, open_lots = event["price_ticks"], event["qty_lots"], order["tag"], order["qty_lots"]
    shown = book["best"][1 - s]
    if event["kind"] == ORDER_DELETE or lots == 0:
        remember_gone(walk, event["order_id"], before, stamp)
        take_out_entry(l3, orders, table, k, place)
        n = say_left(l3, event, s, x, before, stamp, shown, heard, n)
    elif not possible(price, lots):
        l3["refused"] += 1
    elif price == before and lots <= open_lots:
        if lots < open_lots:
            shrink(l3, orders, place, lots)
            n = say_left(l3, event, s, x, before, stamp, shown, heard, n)
    else:
        remember_gone(walk, event["order_id"], before, stamp)
        to_x = x_for(l3, orders, s, price)
        leave(l3, orders, s, x, place)
        change_level(l3, s, x, -open_lots)
        n = say_left(l3, event, s, x, before, stamp, shown, heard, n)
        order["price_ticks"] = price
        order["qty_lots"] = lots
        join(l3, orders, s, to_x, place)
        change_level(l3, s, to_x, lots)
        order["tag"] = stamped(l3, walk, event, to_x)
        if to_x >= 0:
            n = say_level(event, s, price, book["lots"][s, to_x], order["tag"], heard, n)
    return n


@jit_inline
def remember_gone(walk, order_id, price_ticks, stamp):
    """Keep the stamp of an order that left a price for the trade that may still name it."""
    k = walk["gone_count"] % GONE_KEPT
    walk["gone_id"][k] = order_id
    walk["gone_ticks"][k] = price_ticks
    walk["gone_stamp"][k] = stamp
    walk["gone_count"] += 1


@jit_inner
def executed(l3, orders, table, walk, event):
    """The stamp of the order that a trade executed: 0 if it names none, UNKNOWN if nobody knows it at that price."""
    order_id, price = event["order_id"], event["price_ticks"]
    if order_id == 0:
        walk["trades_unnamed"] += 1
        return 0
    k = entry_of(l3, table, order_id)
    if k >= 0:
        order = nth(orders, nth(table, k)["place"])
        if order["price_ticks"] == price:
            return order["tag"]
    count = walk["gone_count"]
    for back in range(1, min(count, GONE_KEPT) + 1):
        k = (count - back) % GONE_KEPT
        if walk["gone_id"][k] == order_id and walk["gone_ticks"][k] == price:
            return walk["gone_stamp"][k]
    walk["trades_unknown"] += 1
    return UNKNOWN


@jit_inner
def cleared(l3, orders, table, side, price_ticks, event, heard, n):
    """A side (0: both) loses every order at price_ticks or better (0: all); what shows again is told after it."""
    book = l3["book"]
    shown_bid, shown_ask = book["best"][0], book["best"][1]
    if price_ticks == 0:
        clear(l3, orders, table, side)
    else:
        for s in range(2):
            if side == 0 or (side > 0) == (s == 0):
                clear_from(l3, orders, table, s, price_ticks)
    for s in range(2):
        best = book["best"][s]
        if side != 0 and (side > 0) != (s == 0) and best > (shown_bid if s == 0 else shown_ask):
            n = say_level(event, s, ticks_of(book, s, best), book["lots"][s, best], 0, heard, n)
    return n


@jit_inner
def clear_from(l3, orders, table, s, price_ticks):
    """Take out every order of side s at a price or better.  Bounded by the side's span and its orders."""
    book = l3["book"]
    if book["base_ticks"] == NO_PRICE:
        return
    worst = x_of(book, s, price_ticks)
    x = min(book["high"][s], W - 1)
    while x >= max(worst, book["low"][s]):
        while head_of(l3, s, x) >= 0:
            take_out(l3, orders, table, head_of(l3, s, x))
        x -= 1
    sign = 1 if s == 0 else -1
    left = l3["aside_count"][s]
    place = head_of(l3, s, -1)
    while left > 0:
        order = nth(orders, place)
        following = np.int64(order["next"])
        if sign * order["price_ticks"] >= sign * price_ticks:
            take_out(l3, orders, table, place)
        place = following
        left -= 1


@jit
def pack_orders(events, woven, late, latest_ns):
    """As weave.pack, of a run in which some history is of single orders: stamps become rows for the venue alone.

    events: EVENT[n], ts_ns rising, with stamps in seq (0 in rows of a history of levels).  woven, late: WOVEN[2 n],
    written.  Returns (rows in woven, rows in late, new latest_ns, index of the first event whose ts_ns goes back or
    -1).
    """
    n, count = 0, 0
    before_ns = events[0]["ts_ns"] if events.size else 0
    for k in range(events.size):
        event = events[k]
        ts_ns, kind, stamp = event["ts_ns"], np.int64(event["kind"]), event["seq"]
        if ts_ns < before_ns:
            return n, count, latest_ns, k
        before_ns = ts_ns
        venue_ns = event["ts_venue_ns"] if event["ts_venue_ns"] != 0 else ts_ns
        venue_kind = 0
        if kind == BOOK_LEVEL:
            venue_kind = BOOK_LEVEL if stamp == 0 else LEFT if stamp < 0 else JOINED_AHEAD if stamp == AHEAD else JOINED
        elif kind == TRADE or kind == BOOK_CLEAR:
            venue_kind = kind
        in_order = venue_ns >= latest_ns
        if venue_kind == LEFT or (kind == TRADE and stamp != 0):
            row = woven[n] if in_order else late[count]
            write_row(row, event, venue_ns, 0, WHO, -stamp if venue_kind == LEFT else stamp)
            if in_order:
                n += 1
            else:
                count += 1
        write_row(woven[n], event, venue_ns, kind, venue_kind if in_order else 0, event["qty_lots"])
        woven[n]["flags"] = event["flags"]
        n += 1
        if venue_kind != 0 and in_order:
            latest_ns = venue_ns
        elif venue_kind != 0:
            write_row(late[count], event, venue_ns, 0, venue_kind, event["qty_lots"])
            count += 1
    return n, count, latest_ns, -1


@jit_inline
def write_row(row, event, venue_ns, kind, venue_kind, qty_lots):
    """One woven row without flags."""
    row["ts_ns"] = event["ts_ns"]
    row["ts_venue_ns"] = venue_ns
    row["price_ticks"] = event["price_ticks"]
    row["qty_lots"] = qty_lots
    row["kind"] = kind
    row["venue_kind"] = venue_kind
    row["flags"] = 0
    row["instrument"] = event["instrument"]
    row["side"] = event["side"]
    row["pad"] = 0

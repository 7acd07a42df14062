"""A recorded market as the others: its levels and trades become orders, so that ours rest among them and meet them.

One order of the background stands for each level.  A level that is said becomes an order there, or the order's new
quantity; a level that goes, a cancel; a trade, an order that takes at the trade's price at most, and so meets
whoever is first in the queue there, us too.

What this cannot do: a level's one order goes to the end of the queue whenever it grows, so ours gain a place that they
might not have had; who in the record would have gone away because of us does not; what we took comes back with the
next word on its level; and a trade that finds nothing at its price (the level was already said without it) is not made.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BOOK_CLEAR, BOOK_LEVEL, CANCEL, MARKET, PLACE, REPLACE, STP_SHIFT, TRADE
from pinnacle.kernels.background import BACKGROUND
from pinnacle.kernels.book import x_of
from pinnacle.kernels.exchange_trade import own_id, place_of
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NEVER
from pinnacle.kernels.venue import STP_NONE

# Ids of taking orders, above those of levels (twice a price, one for each side).
_TAKERS = 1 << 39
# Takers of the background meet its own levels.
_TAKES = MARKET | ((1 + STP_NONE) << STP_SHIFT)


@jit_inline
def need_rows(flow):
    """Whether the owner must hand over the next rows of the history."""
    return flow["recorded"] and flow["row"] == flow["rows"] and not flow["final"]


@jit_inner
def settle_recorded(flow, rows):
    """The time of the history's next row; NEVER after the last."""
    flow["next_ns"] = rows[flow["row"]]["ts_ns"] + flow["shift_ns"] if flow["row"] < flow["rows"] else NEVER


@jit_inner
def play(flow, exchange, orders, table, rows):
    """The history's next row; True if it makes a command, which stands in `command`.  settle_recorded() comes after."""
    row = rows[flow["row"]]
    kind, side = np.int64(row["kind"]), np.int64(row["side"])
    flow["clock_ns"] = flow["next_ns"]
    flow["command"]["ts_ns"] = flow["command"]["ts_venue_ns"] = flow["next_ns"]
    flow["candidates"] += 1
    if kind == BOOK_CLEAR:
        # As many commands as there are levels to clear; the row is done when there is none.
        for s in range(2):
            if (s == 0 and side >= 0) or (s == 1 and side <= 0):
                if write_clear(flow, exchange, orders, s, row["price_ticks"]):
                    return True
        flow["row"] += 1
        return False
    flow["row"] += 1
    if kind == BOOK_LEVEL:
        return write_level(flow, exchange, orders, table, side, row["price_ticks"], row["qty_lots"])
    if kind == TRADE and side != 0 and possible(exchange, row["price_ticks"], row["qty_lots"]):
        flow["markets"] += 1
        flow["orders"] += 1
        command = flow["command"]
        command["kind"], command["order_id"], command["flags"] = PLACE, _TAKERS + flow["orders"], _TAKES
        command["side"], command["price_ticks"], command["qty_lots"] = side, row["price_ticks"], row["qty_lots"]
        return True
    flow["skipped"] += 1
    return False


@jit_inline
def possible(exchange, price_ticks, lots):
    """Whether the exchange takes an order of these numbers."""
    fits = exchange["price_min_ticks"] <= price_ticks <= exchange["price_max_ticks"]
    return fits and 0 < lots <= exchange["qty_max_lots"]


@jit_inline
def write_level(flow, exchange, orders, table, side, price_ticks, lots):
    """The order that stands for a level has these lots from now on."""
    s = 0 if side > 0 else 1
    order_id = 2 * price_ticks + s
    if lots != 0 and not possible(exchange, price_ticks, lots):
        flow["skipped"] += 1
        return False
    k = place_of(exchange, table, BACKGROUND, order_id)
    if k < 0 and lots == 0:
        return False
    command = flow["command"]
    command["order_id"], command["side"], command["flags"] = order_id, side, 0
    command["price_ticks"], command["qty_lots"] = price_ticks, lots
    if k < 0:
        command["kind"] = PLACE
        flow["limits"] += 1
    elif lots == 0:
        command["kind"] = CANCEL
        flow["cancels"] += 1
    else:
        if nth(orders, k)["qty_lots"] == lots:
            return False
        command["kind"] = REPLACE
        flow["limits"] += 1
    return True


@jit_inner
def write_clear(flow, exchange, orders, s, price_ticks):
    """Cancel the background's best order of a side, at price_ticks or better (0: any); False if there is none."""
    book = exchange["l3"]["book"]
    x = book["best"][s]
    last = 0 if price_ticks == 0 else max(0, x_of(book, s, price_ticks))
    while x >= last:
        if book["lots"][s, x] != 0:
            k = np.int64(exchange["l3"]["queue_head"][s, x]) - 1
            while k >= 0:
                order = nth(orders, k)
                if order["owner"] == BACKGROUND:
                    command = flow["command"]
                    command["kind"], command["order_id"], command["flags"] = CANCEL, own_id(order), 0
                    command["side"], command["price_ticks"] = 1 - 2 * s, order["price_ticks"]
                    command["qty_lots"] = 0
                    flow["cancels"] += 1
                    return True
                k = np.int64(order["next"])
        x -= 1
        if x < book["low"][s]:
            return False
    return False

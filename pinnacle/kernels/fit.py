"""Market rows into the orders that made them: the loop under every fit of an order-flow model.

Fitting is array arithmetic but for this: it carries a book from one row to the next.  Not in the trading path.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    ASK,
    BID,
    BOOK_CLEAR,
    BOOK_LEVEL,
    LAST,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    SNAPSHOT,
    TICKER,
    TRADE,
)
from pinnacle.kernels.book import best_ticks, clear, lots_at, set_price, x_of
from pinnacle.kernels.jit import jit, jit_inner
from pinnacle.kernels.state import NO_PRICE
from pinnacle.limits import BOOK_WINDOW_TICKS

LIMIT, CANCEL, MARKET = 0, 1, 2
INFERRED = 1  # flag: an arrival nobody saw, without which a trade cannot have happened
# One order event.  ts_ns: local time.  price_ticks: of the level; of a market order its worst price.  bid_ticks and
# ask_ticks: best prices that the order met.  side: of the resting order, or of the market order itself.
FLOW = np.dtype(
    [
        ("ts_ns", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("bid_ticks", "<i8"),
        ("ask_ticks", "<i8"),
        ("kind", "u1"),
        ("side", "i1"),
        ("flags", "u1"),
        ("pad", "u1", (5,)),
    ]
)
# The best prices after an atomic message that changed them or what rests there.
TOPS = np.dtype(
    [("ts_ns", "<i8"), ("bid_ticks", "<i8"), ("ask_ticks", "<i8"), ("bid_lots", "<i8"), ("ask_lots", "<i8")]
)
# Trades, and decreases of a level, that wait for each other.
WAITING = np.dtype(
    [
        ("ts_ns", "<i8"),
        ("venue_ns", "<i8"),  # 0: not said
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("bid_ticks", "<i8"),
        ("ask_ticks", "<i8"),
        ("order", "<i8"),
        ("side", "<i8"),
    ]
)
WAITING_MAX = 1 << 14
# Levels one row may remove; orders are asked to have room for so many more before each row.
REMOVED_MAX = 1 << 12

WALK = np.dtype(
    [
        ("orders", "<i8"),  # rows written
        ("tops", "<i8"),
        ("open", "<i8"),  # 1 inside a message
        ("message_first", "<i8"),  # first order of the message that is being read
        ("bid_ticks", "<i8"),  # best prices after the last whole message
        ("ask_ticks", "<i8"),
        ("bid_lots", "<i8"),
        ("ask_lots", "<i8"),
        ("known", "<i8"),  # 1 once both sides were there after a message
        ("level_aux", "<i8"),  # newest update id of a level row
        ("ticker_aux", "<i8", (2,)),
        ("ticker_ticks", "<i8", (2,)),
        ("market_order", "<i8"),  # the newest market order, -1 for none
        ("market_ns", "<i8"),  # its time at the venue
        ("trades_head", "<i8"),  # waiting trades are head..tail, positions in the ring by remainder
        ("trades_tail", "<i8"),
        ("falls_head", "<i8"),
        ("falls_tail", "<i8"),
        ("first_ns", "<i8"),
        ("last_ns", "<i8"),
        ("sample_ns", "<i8"),  # time of the next sample of depth
        ("level_rows", "<i8"),
        ("trade_rows", "<i8"),
        ("traded_lots", "<i8"),
        ("matched_lots", "<i8"),
        ("unexplained_trades", "<i8"),
        ("unexplained_lots", "<i8"),
        ("stale_rows", "<i8"),
        ("sideless_trades", "<i8"),
        ("resets", "<i8"),
        ("overflows", "<i8"),
        ("unknown_rows", "<i8"),
    ]
)


@jit_inner
def _order(walk, orders, ts_ns, kind, side, flags, price_ticks, qty_lots, bid_ticks, ask_ticks):
    """Write one order; returns its index."""
    k = walk["orders"]
    order = orders[k]
    order["ts_ns"] = ts_ns
    order["price_ticks"] = price_ticks
    order["qty_lots"] = qty_lots
    order["bid_ticks"] = bid_ticks
    order["ask_ticks"] = ask_ticks
    order["kind"] = kind
    order["side"] = side
    order["flags"] = flags
    walk["orders"] = k + 1
    return k


@jit_inner
def _wait(walk, ring, head, tail, ts_ns, venue_ns, side, price_ticks, qty_lots, order):
    """Put one at the tail of a ring; the oldest is forgotten when it is full.  Returns the new head and tail."""
    one = ring[tail % WAITING_MAX]
    one["ts_ns"] = ts_ns
    one["venue_ns"] = venue_ns
    one["side"] = side
    one["price_ticks"] = price_ticks
    one["qty_lots"] = qty_lots
    one["order"] = order
    one["bid_ticks"] = walk["bid_ticks"]
    one["ask_ticks"] = walk["ask_ticks"]
    tail += 1
    if tail - head > WAITING_MAX:
        walk["overflows"] += 1
        head += 1
    return head, tail


@jit_inner
def _may_be(lots, fall_ns, trade_ns):
    """Whether something is left, and the fall is not of a message that the venue sent before the trade."""
    return lots > 0 and (fall_ns == 0 or trade_ns == 0 or fall_ns >= trade_ns)


@jit_inner
def _change(walk, book, orders, trades, falls, row, side, price_ticks, lots, silent):
    """The quantity at a price becomes `lots`: what rose is a limit order, what fell and no trade explains a cancel."""
    s, ts_ns, venue_ns = 0 if side > 0 else 1, row["ts_ns"], row["ts_venue_ns"]
    rise = lots - lots_at(book, s, price_ticks)
    set_price(book, side, price_ticks, lots)
    # What the window does not hold is kept aside, and what rested there before is not known here.
    if silent or rise == 0 or lots_at(book, s, price_ticks) != lots:
        return
    if rise > 0:
        _order(walk, orders, ts_ns, LIMIT, side, 0, price_ticks, rise, 0, 0)
        return
    fall = -rise
    for k in range(walk["trades_head"], walk["trades_tail"]):
        one = trades[k % WAITING_MAX]
        if (
            one["side"] == side
            and one["price_ticks"] == price_ticks
            and _may_be(one["qty_lots"], venue_ns, one["venue_ns"])
        ):
            used = min(fall, one["qty_lots"])
            one["qty_lots"] -= used
            walk["matched_lots"] += used
            fall -= used
            if fall == 0:
                return
    order = _order(walk, orders, ts_ns, CANCEL, side, 0, price_ticks, fall, 0, 0)
    walk["falls_head"], walk["falls_tail"] = _wait(
        walk, falls, walk["falls_head"], walk["falls_tail"], ts_ns, venue_ns, side, price_ticks, fall, order
    )


@jit_inner
def _remove_better(walk, book, orders, trades, falls, row, side, price_ticks, silent):
    """Every shown level of a side better than a price is gone.  Bounded by REMOVED_MAX, beyond which it is counted."""
    s = 0 if side > 0 else 1
    for _ in range(REMOVED_MAX):
        best = best_ticks(book, s)
        if best == NO_PRICE or (best - price_ticks) * side <= 0:
            return
        _change(walk, book, orders, trades, falls, row, side, best, 0, silent)
    walk["overflows"] += 1
    clear(book, side, price_ticks + side)


@jit_inner
def _ticker(walk, book, orders, trades, falls, row):
    """A best price told between two depth messages: nothing better rests, and this much rests there."""
    side, s = (BID, 0) if row["side"] > 0 else (ASK, 1)
    if row["aux"] != 0 and row["aux"] < walk["level_aux"]:
        walk["stale_rows"] += 1
        return
    walk["ticker_aux"][s] = row["aux"]
    walk["ticker_ticks"][s] = row["price_ticks"]
    silent = walk["known"] == 0
    if row["qty_lots"] <= 0:
        return
    _remove_better(walk, book, orders, trades, falls, row, side, row["price_ticks"], silent)
    _remove_better(walk, book, orders, trades, falls, row, -side, row["price_ticks"] + side, silent)
    _change(walk, book, orders, trades, falls, row, side, row["price_ticks"], row["qty_lots"], silent)


@jit_inner
def _trade(walk, orders, trades, falls, row):
    """A trade belongs to the market order before it if side and venue time agree; then it looks for its decrease."""
    side, lots = int(row["side"]), row["qty_lots"]
    walk["trade_rows"] += 1
    walk["traded_lots"] += lots
    venue_ns = row["ts_venue_ns"] if row["ts_venue_ns"] != 0 else row["ts_ns"]
    k = walk["market_order"]
    if k >= 0 and walk["market_ns"] == venue_ns and orders[k]["side"] == side:
        orders[k]["qty_lots"] += lots
        if (row["price_ticks"] - orders[k]["price_ticks"]) * side > 0:
            orders[k]["price_ticks"] = row["price_ticks"]
    else:
        walk["market_order"] = _order(
            walk, orders, row["ts_ns"], MARKET, side, 0, row["price_ticks"], lots, walk["bid_ticks"], walk["ask_ticks"]
        )
        walk["market_ns"] = venue_ns
    # The newest decrease first: it is the likeliest to be this trade's.
    for i in range(walk["falls_tail"] - 1, walk["falls_head"] - 1, -1):
        one = falls[i % WAITING_MAX]
        here = one["side"] == -side and one["price_ticks"] == row["price_ticks"]
        if here and _may_be(one["qty_lots"], one["venue_ns"], row["ts_venue_ns"]):
            used = min(lots, one["qty_lots"])
            one["qty_lots"] -= used
            orders[one["order"]]["qty_lots"] -= used
            walk["matched_lots"] += used
            lots -= used
            if lots == 0:
                return
    walk["trades_head"], walk["trades_tail"] = _wait(
        walk,
        trades,
        walk["trades_head"],
        walk["trades_tail"],
        row["ts_ns"],
        row["ts_venue_ns"],
        -side,
        row["price_ticks"],
        lots,
        -1,
    )


@jit
def expire(walk, orders, trades, falls, before_ns):
    """Trades older than before_ns that met no decrease: as much must have arrived unseen.  Decreases are cancels."""
    while walk["trades_head"] < walk["trades_tail"]:
        one = trades[walk["trades_head"] % WAITING_MAX]
        if one["ts_ns"] >= before_ns:
            break
        if one["qty_lots"] > 0:
            _order(
                walk, orders, one["ts_ns"], LIMIT, one["side"], INFERRED, one["price_ticks"], one["qty_lots"],
                one["bid_ticks"], one["ask_ticks"],
            )  # fmt: skip
            walk["unexplained_trades"] += 1
            walk["unexplained_lots"] += one["qty_lots"]
        walk["trades_head"] += 1
    while walk["falls_head"] < walk["falls_tail"] and falls[walk["falls_head"] % WAITING_MAX]["ts_ns"] < before_ns:
        walk["falls_head"] += 1


@jit_inner
def _sample_depth(walk, book, edges, depth, samples, ts_ns, every_ns, block_ns):
    """Add what rests, by distance from the other side's best, at each sample time passed since the last message."""
    while walk["sample_ns"] <= ts_ns:
        block = (walk["sample_ns"] - walk["first_ns"]) // block_ns
        until_ns = min(ts_ns, walk["first_ns"] + (block + 1) * block_ns - 1)
        count = (until_ns - walk["sample_ns"]) // every_ns + 1
        samples[block] += count
        for s in range(2):
            top = x_of(book, s, walk["ask_ticks"] if s == 0 else walk["bid_ticks"])
            resting = book["lots"][s]
            for b in range(len(edges) - 1):
                lots = 0
                for d in range(edges[b], edges[b + 1]):
                    x = top - d
                    if 0 <= x < BOOK_WINDOW_TICKS:
                        lots += resting[x]
                depth[block, s, b] += count * lots
        walk["sample_ns"] += count * every_ns


@jit_inner
def _end_message(walk, book, orders, tops, ts_ns):
    """Orders of the message get the best prices they met; the new best is noted if it changed.

    They met the best of before the message, but for a limit order that would have crossed it: the other side had moved
    within the message, so it met the best after it.
    """
    bid, ask = best_ticks(book, 0), best_ticks(book, 1)
    both = bid != NO_PRICE and ask != NO_PRICE
    for k in range(walk["message_first"], walk["orders"]):
        order = orders[k]
        if order["bid_ticks"] != 0:
            continue
        order["bid_ticks"], order["ask_ticks"] = walk["bid_ticks"], walk["ask_ticks"]
        if order["kind"] == LIMIT and both:
            crosses = (
                order["price_ticks"] >= walk["ask_ticks"]
                if order["side"] > 0
                else (order["price_ticks"] <= walk["bid_ticks"])
            )
            if crosses:
                order["bid_ticks"], order["ask_ticks"] = bid, ask
    if not both:
        return
    bid_lots, ask_lots = lots_at(book, 0, bid), lots_at(book, 1, ask)
    if (
        walk["known"] == 0
        or bid != walk["bid_ticks"]
        or ask != walk["ask_ticks"]
        or bid_lots != walk["bid_lots"]
        or ask_lots != walk["ask_lots"]
    ):
        top = tops[walk["tops"]]
        top["ts_ns"] = ts_ns
        top["bid_ticks"], top["ask_ticks"], top["bid_lots"], top["ask_lots"] = bid, ask, bid_lots, ask_lots
        walk["tops"] += 1
    if walk["known"] == 0:
        walk["first_ns"] = ts_ns
        walk["sample_ns"] = ts_ns
        walk["known"] = 1
    walk["bid_ticks"], walk["ask_ticks"], walk["bid_lots"], walk["ask_lots"] = bid, ask, bid_lots, ask_lots


@jit
def walk_rows(walk, book, orders, tops, trades, falls, edges, depth, samples, rows, window_ns, every_ns, block_ns):
    """Market rows into orders and best prices; returns the rows read, fewer than all when `orders` is nearly full.

    walk, book: WALK and BOOK records, kept between calls.  orders: FLOW[.]; tops: TOPS[.], room for a row each.
    trades, falls: WAITING[WAITING_MAX].  edges: int64[b + 1] of distances in ticks; depth: float64[blocks, 2, b] gets
    sums of lots over samples[blocks] moments, every_ns apart.  window_ns: how long a trade and a decrease wait for each
    other. Work a row bounded by the waiting ones and by REMOVED_MAX.
    """
    for i in range(len(rows)):
        if walk["orders"] + REMOVED_MAX * 2 + WAITING_MAX > len(orders) or walk["tops"] + 1 > len(tops):
            return i
        row = rows[i]
        kind, ts_ns = row["kind"], row["ts_ns"]
        if walk["open"] == 0:
            # Between messages the book is whole, and that of the last one stood until now.
            if walk["known"] != 0:
                if walk["sample_ns"] <= ts_ns:
                    _sample_depth(walk, book, edges, depth, samples, ts_ns, every_ns, block_ns)
                walk["last_ns"] = ts_ns
            expire(walk, orders, trades, falls, ts_ns - window_ns)
            walk["message_first"] = walk["orders"]
            walk["open"] = 1
        silent = walk["known"] == 0 or (row["flags"] & SNAPSHOT) != 0
        if kind == BOOK_LEVEL:
            side, s = (BID, 0) if row["side"] > 0 else (ASK, 1)
            passed = (row["price_ticks"] - walk["ticker_ticks"][s]) * side >= 0
            if row["aux"] != 0 and row["aux"] < walk["ticker_aux"][s] and passed and not silent:
                walk["stale_rows"] += 1
            else:
                _change(walk, book, orders, trades, falls, row, side, row["price_ticks"], row["qty_lots"], silent)
            walk["level_rows"] += 1
            walk["level_aux"] = max(walk["level_aux"], row["aux"])
        elif kind == TICKER:
            _ticker(walk, book, orders, trades, falls, row)
        elif kind == TRADE:
            if walk["known"] == 0:
                walk["unknown_rows"] += 1
            elif row["side"] == 0:
                walk["sideless_trades"] += 1
            else:
                _trade(walk, orders, trades, falls, row)
        elif kind == BOOK_CLEAR:
            clear(book, int(row["side"]), row["price_ticks"])
            walk["resets"] += 1
        elif kind == LINK_GAP or kind == LINK_DOWN or kind == LINK_STALE:
            walk["resets"] += 1
        if row["flags"] & LAST:
            walk["open"] = 0
            _end_message(walk, book, orders, tops, ts_ns)
    return len(rows)

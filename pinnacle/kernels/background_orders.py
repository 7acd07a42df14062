"""What the background does at a candidate's time: which of the rates it was, and the order that follows from it.

One block of the generator decides all of a candidate: the wait after it, which rate, where, how large.  When the next
one comes, and what the rates are, is in background.py.
"""

from __future__ import annotations

import math

import numpy as np

from pinnacle.event import CANCEL, MARKET, PLACE
from pinnacle.kernels.background import (
    BACKGROUND,
    CANCEL_BUY,
    MARKET_BUY,
    STREAM_ORDERS,
    STREAM_VALUE,
    UNIT,
    WEIGHT_ONE,
    bucket_at,
    decay,
    excite,
    far_x,
    follow_best,
    hear_exchange,
)
from pinnacle.kernels.exchange import run
from pinnacle.kernels.exchange_state import PAUSE_OUT_FULL
from pinnacle.kernels.exchange_trade import own_id
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.random import exp, ln, normal, words
from pinnacle.kernels.rows import nth
from pinnacle.limits import FLOW_KINDS, FLOW_SIZES


# --- orders -------------------------------------------------------------------------------------------------------
@jit_inline
def write_place(flow, side, price_ticks, lots, flags):
    """The background's next order, into `command`; True."""
    flow["orders"] += 1
    command = flow["command"]
    command["kind"] = PLACE
    command["order_id"] = flow["orders"]
    command["side"] = side
    command["price_ticks"] = price_ticks
    command["qty_lots"] = lots
    command["flags"] = flags
    return True


@jit_inline
def drawn_lots(flow, exchange, quantiles, u, scale):
    """A size at a uniform number: one of the quantiles, scaled, in whole lots that the exchange takes."""
    lots = int(quantiles[int(u * FLOW_SIZES)] * scale + 0.5)
    return min(max(lots, flow["least_lots"]), exchange["qty_max_lots"])


@jit_inner
def distance_at(flow, v):
    """The distance (ticks, >= 1) up to which arrivals of one side come at a rate of v per s."""
    low, high = 0, flow["buckets"] - 1
    while low < high:
        middle = (low + high + 1) // 2
        if flow["limit_below"][middle] <= v:
            low = middle
        else:
            high = middle - 1
    within = int((v - flow["limit_below"][low]) / flow["limit_per_tick"][low]) if flow["limit_per_tick"][low] > 0 else 0
    return min(flow["edges"][low] + within, flow["edges"][low + 1] - 1)


@jit_inner
def write_limit(flow, exchange, s, distance, u):
    """A limit order of side s at a distance, or at the value where that would be on its wrong side."""
    sign = 1 if s == 0 else -1
    price = flow["best_ticks"][1 - s] - sign * distance
    if flow["informed"] and sign * (price - flow["value_ticks"]) > 0.0:
        right = int(math.floor(flow["value_ticks"])) if s == 0 else int(math.ceil(flow["value_ticks"]))
        distance = sign * (flow["best_ticks"][1 - s] - right)
        price = right
        if distance < 1 or distance >= flow["edges"][flow["buckets"]]:
            return False
    if price < exchange["price_min_ticks"] or price > exchange["price_max_ticks"]:
        return False
    b = bucket_at(flow, distance)
    lots = drawn_lots(flow, exchange, flow["limit_lots"], u, flow["limit_scale"][b])
    flow["limits"] += 1
    return write_place(flow, sign, price, lots, 0)


@jit_inline
def own_distance(flow, exchange, s):
    """Distance of side s's best from the other side's; that of the last edge where the side is empty."""
    best = exchange["l3"]["book"]["best"][s]
    last = flow["edges"][flow["buckets"]] - 1
    if best < 0:
        return last
    return min(max(far_x(flow, exchange, s) - best, 1), last)


@jit_inner
def write_far_limit(flow, exchange, v, u):
    """A limit order at constant rates; v: uniform below those of both sides."""
    below = flow["limit_below"][flow["buckets"]]
    s = 0 if v < below else 1
    distance = distance_at(flow, v if s == 0 else v - below)
    if flow["hawkes"] and distance == own_distance(flow, exchange, s):
        return False  # those excite each other
    return write_limit(flow, exchange, s, distance, u)


@jit_inner
def write_near_limit(flow, exchange, s, u_place, u_size):
    """A limit order at its own side's best or better, by the same rates of distance."""
    own = own_distance(flow, exchange, s)
    b = bucket_at(flow, own)
    below = flow["limit_below"][b] + (own + 1 - flow["edges"][b]) * flow["limit_per_tick"][b]
    return write_limit(flow, exchange, s, min(distance_at(flow, u_place * below), own), u_size)


@jit_inner
def write_cancel(flow, exchange, orders, s, x, index):
    """Cancel the order number `index` of the queue at x; False if it is not the background's."""
    k = np.int64(exchange["l3"]["queue_head"][s, x]) - 1
    for _ in range(index):
        k = np.int64(nth(orders, k)["next"])
    order = nth(orders, k)
    if order["owner"] != BACKGROUND:
        return False
    command = flow["command"]
    command["kind"] = CANCEL
    command["order_id"] = own_id(order)
    command["side"] = 1 if s == 0 else -1
    command["price_ticks"] = order["price_ticks"]
    command["qty_lots"] = 0
    command["flags"] = 0
    flow["cancels"] += 1
    return True


@jit_inner
def write_far_cancel(flow, exchange, orders, v):
    """Cancel one of what rests, each by its weight; v: uniform below their sum."""
    left = int(v * WEIGHT_ONE)
    s, b = 0, 0
    while s < 2:
        b = 0
        while b < flow["buckets"]:
            weight = flow["resting"][s, b] * flow["cancel_weight"][b]
            if left < weight:
                break
            left -= weight
            b += 1
        if b < flow["buckets"]:
            break
        s += 1
    if s == 2:
        return False  # the rounding of v
    index = left // flow["cancel_weight"][b]
    zero_x = far_x(flow, exchange, s)
    x = zero_x - flow["edges"][b]
    if b == 0:
        x = max(x, exchange["l3"]["book"]["best"][s])
    while index >= np.int64(flow["seen"][s, x]):
        index -= np.int64(flow["seen"][s, x])
        x -= 1
    if flow["hawkes"] and x == exchange["l3"]["book"]["best"][s]:
        if np.int64(flow["seen"][s, x]) <= flow["crowd_orders"]:
            return False  # those excite each other
    return write_cancel(flow, exchange, orders, s, x, index)


@jit_inner
def write_near_cancel(flow, exchange, orders, s, u):
    """Cancel one of the orders at a side's best."""
    x = exchange["l3"]["book"]["best"][s]
    if x < 0:
        return False
    return write_cancel(flow, exchange, orders, s, x, int(u * np.int64(flow["seen"][s, x])))


@jit_inner
def write_market(flow, exchange, s, price_ticks, u):
    """A market order of side s (0 buys) that goes no further than price_ticks (0: as far as it must)."""
    flow["markets"] += 1
    lots = drawn_lots(flow, exchange, flow["market_lots"], u, 1.0)
    excite(flow, MARKET_BUY + s)
    return write_place(flow, 1 if s == 0 else -1, price_ticks, lots, MARKET)


@jit_inner
def write_informed(flow, exchange, u):
    """A taker who knows the value takes what is on the wrong side of it, and nothing else.

    Its size is of the upper half of all sizes: who knows more takes more, which is why large orders move prices more.
    """
    taker = 1 - flow["stale_side"]
    value = flow["value_ticks"]
    limit = int(math.floor(value)) if taker == 0 else int(math.ceil(value))
    flow["takers_informed"] += 1
    return write_market(flow, exchange, taker, max(limit, exchange["price_min_ticks"]), 0.5 + 0.5 * u)


@jit_inner
def write_withdrawal(flow, exchange, orders, u):
    """One of the orders on the wrong side of the value is cancelled, each as likely."""
    s = flow["stale_side"]
    index = int(u * flow["stale"])
    x = exchange["l3"]["book"]["best"][s]
    while index >= np.int64(flow["seen"][s, x]):
        index -= np.int64(flow["seen"][s, x])
        x -= 1
    if not write_cancel(flow, exchange, orders, s, x, index):
        return False
    flow["withdrawn"] += 1
    return True


@jit_inner
def hear_news(flow, exchange, u):
    """The value moves by a lognormal step up or down, and stays where orders may be."""
    flow["news"] += 1
    step = exp(flow["news_log_mean"] + flow["news_log_sd"] * normal(flow["seed"], STREAM_VALUE, flow["news"]))
    value = flow["value_ticks"] + (step if u < 0.5 else -step)
    flow["value_ticks"] = min(max(value, exchange["price_min_ticks"] + 0.5), exchange["price_max_ticks"] - 0.5)


@jit_inner
def write_excited(flow, exchange, orders, now_ns, v, u_place, u_size):
    """A self-exciting order, if the candidate falls into an intensity as it is now."""
    kind = -1
    decay(flow, now_ns)
    for m in range(FLOW_KINDS):
        v -= flow["base_per_s"][m]
        for k in range(flow["decays"]):
            v -= flow["excited"][m, k]
        if v < 0.0:
            kind = m
            break
    if kind < 0:
        return False
    s = kind & 1
    if kind >= MARKET_BUY:
        return write_market(flow, exchange, s, 0, u_size)
    if kind >= CANCEL_BUY:
        sent = write_near_cancel(flow, exchange, orders, s, u_place)
    else:
        sent = write_near_limit(flow, exchange, s, u_place, u_size)
    if sent:
        excite(flow, kind)
    return sent


@jit_inner
def candidate(flow, exchange, orders):
    """The candidate at next_ns; True if it is a command, which stands in `command`.  settle() comes after it."""
    now = flow["next_ns"]
    a, b, c, d = words(flow["seed"], STREAM_ORDERS, flow["draws"])
    flow["draws"] += 1
    flow["candidates"] += 1
    u_place, u_size = (c + 0.5) * UNIT, (d + 0.5) * UNIT
    v = (b + 0.5) * UNIT * flow["rate"]
    flow["wait"] = -ln((a + 0.5) * UNIT)
    flow["clock_ns"] = now
    flow["command"]["ts_ns"] = flow["command"]["ts_venue_ns"] = now
    sent = False
    if v < flow["limit_rate"]:
        return write_far_limit(flow, exchange, v, u_size)
    v -= flow["limit_rate"]
    if v < flow["market_rate"]:
        s = 0 if u_place < 0.5 else 1
        return write_market(flow, exchange, s, 0, u_size)
    v -= flow["market_rate"]
    if v < flow["cancel_rate"]:
        return write_far_cancel(flow, exchange, orders, v)
    v -= flow["cancel_rate"]
    if flow["informed"]:
        if v < flow["news_rate"]:
            hear_news(flow, exchange, u_place)
            return False
        v -= flow["news_rate"]
        if v < flow["informed_rate"]:
            return write_informed(flow, exchange, u_size)
        v -= flow["informed_rate"]
        if v < flow["withdraw_rate"]:
            return write_withdrawal(flow, exchange, orders, u_place)
        v -= flow["withdraw_rate"]
    if flow["hawkes"]:
        sent = write_excited(flow, exchange, orders, now, v, u_place, u_size)
    return sent


# --- at the exchange ----------------------------------------------------------------------------------------------
@jit_inner
def obey(flow, exchange, participants, orders, table, letters):
    """Send `command` to the exchange, or go on with it; True when it is done, False if the letters must be emptied."""
    first = letters["count"]
    flow["command"]["aux"] = BACKGROUND
    done = run(exchange, participants, orders, table, flow["command"], 0, 1, letters)
    flow["pending"] = 1 - done
    hear_exchange(flow, exchange, letters, first)
    if done == 0:
        # The owner makes room in the pool before each command.
        assert exchange["pause"] == PAUSE_OUT_FULL
        return False
    follow_best(flow, exchange)
    return True


@jit_inline
def pool_full(exchange):
    """Whether the next order may find no room."""
    return exchange["l3"]["count"] >= exchange["l3"]["capacity"]

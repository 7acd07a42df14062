"""The others in a generated market: when the next of them acts, and what it does.  Orders, not prices, are generated.

Everything that may happen next is one sum of rates, in order: limit orders by distance from the other side's best,
market orders, cancels of what rests, news of the value, informed takers, quotes withdrawn from the wrong side of the
value, and self-exciting orders at the best.  A candidate comes after an exponential wait at that sum; which of them it
is, where and how large, comes from one block of the counter-based generator.  A candidate that does not apply (its
order belongs to a stranger, its part of the rate has decayed) does nothing, which thins it exactly.

What depends on the book is kept in whole numbers: how many orders rest in each bucket of distance, and the sum of
their weights.  So a rate never drifts, and a market is the same however its run is cut into calls.

Sources: Cont, Stoikov and Talreja 2010 for rates by distance and cancels per order; Ogata 1981 for thinning; Glosten
and Milgrom 1985 for the mixture of takers.  models/ has the fits.
"""

from __future__ import annotations

import math

import numpy as np

from pinnacle.event import BOOK_LEVEL, CANCEL, EVENT, MARKET, PLACE
from pinnacle.kernels.book import W, best_ticks, x_of
from pinnacle.kernels.exchange import run
from pinnacle.kernels.exchange_state import EVERYONE, PAUSE_OUT_FULL
from pinnacle.kernels.exchange_trade import own_id
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.random import exp, ln, normal, words
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NEVER
from pinnacle.limits import (
    BOOK_WINDOW_TICKS,
    FLOW_BUCKETS_MAX,
    FLOW_DECAYS_MAX,
    FLOW_DISTANCE_MAX,
    FLOW_KINDS,
    FLOW_SIZES,
    FLOW_STALE_LEVELS,
)

# The participant that all of the background's orders belong to.
BACKGROUND = 1
# Weights of cancels are whole multiples of 2^-20 per s and order.
WEIGHT_ONE = 1 << 20
_UNIT = 1.0 / 4294967296.0
_STREAM_ORDERS, _STREAM_VALUE = 0, 1

# Kinds of self-exciting orders, as models/hawkes.py has them: limit, cancel, market; buy before sell.
LIMIT_BUY, LIMIT_SELL, CANCEL_BUY, CANCEL_SELL, MARKET_BUY, MARKET_SELL = range(FLOW_KINDS)

FLOW_STATE = np.dtype(
    [
        # --- what it was made with ---
        ("seed", "<i8"),
        ("hawkes", "<i8"),  # 1: limit orders and cancels at the best and market orders excite each other
        ("informed", "<i8"),  # 1: there is a value, and some know it
        ("buckets", "<i8"),
        ("edges", "<i8", (FLOW_BUCKETS_MAX + 1,)),  # bucket b holds distances edges[b] .. edges[b + 1] - 1, ticks
        ("bucket_of", "<i8", (FLOW_DISTANCE_MAX + 1,)),  # by distance
        ("limit_per_tick", "<f8", (FLOW_BUCKETS_MAX,)),  # orders of one side per s and tick
        ("limit_below", "<f8", (FLOW_BUCKETS_MAX + 1,)),  # orders of one side per s nearer than edges[b]
        ("cancel_weight", "<i8", (FLOW_BUCKETS_MAX,)),  # per order and s, in WEIGHT_ONE
        ("limit_scale", "<f8", (FLOW_BUCKETS_MAX,)),  # size there over that of limit_lots
        ("limit_lots", "<f8", (FLOW_SIZES,)),  # quantiles at (k + 1/2) / FLOW_SIZES
        ("market_lots", "<f8", (FLOW_SIZES,)),
        ("market_per_s", "<f8"),  # of one side
        ("least_lots", "<i8"),  # no order is smaller, so that the exchange's filters refuse none
        ("crowd_orders", "<i8"),  # self-exciting orders: beyond so many at the best the far cancels apply there too
        ("decays", "<i8"),
        ("decay_per_s", "<f8", (FLOW_DECAYS_MAX,)),
        ("base_per_s", "<f8", (FLOW_KINDS,)),
        ("kick_per_s", "<f8", (FLOW_KINDS, FLOW_KINDS, FLOW_DECAYS_MAX)),  # [parent, child, decay]: offspring * decay
        ("news_per_s", "<f8"),
        ("news_log_mean", "<f8"),  # of the logarithm of a move of the value, ticks
        ("news_log_sd", "<f8"),
        ("informed_per_s", "<f8"),  # takers, while a best is on the wrong side of the value
        ("withdraw_per_s", "<f8"),  # of each order that is
        # --- what it remembers ---
        ("clock_ns", "<i8"),  # time up to which the wait is used up
        ("next_ns", "<i8"),  # the next candidate
        ("wait", "<f8"),  # of an exponential of mean 1, what is left
        ("draws", "<i8"),
        ("news", "<i8"),
        ("value_ticks", "<f8"),
        ("orders", "<i8"),  # the background's own id of its last order
        ("best_ticks", "<i8", (2,)),  # of each side; the last there was where a side is empty
        ("resting", "<i8", (2, FLOW_BUCKETS_MAX)),  # orders by side and bucket of distance from the other side's best
        ("cancel_sum", "<i8"),  # of weights of what rests
        ("stale", "<i8"),  # orders on the wrong side of the value, of the side stale_side
        ("stale_side", "<i8"),  # 0 bids, 1 asks, -1 none
        ("hawkes_ns", "<i8"),  # time of `excited`
        ("excited", "<f8", (FLOW_KINDS, FLOW_DECAYS_MAX)),  # intensity per s from the past
        ("limit_rate", "<f8"),  # the parts of the sum, per s
        ("market_rate", "<f8"),
        ("cancel_rate", "<f8"),
        ("news_rate", "<f8"),
        ("informed_rate", "<f8"),
        ("withdraw_rate", "<f8"),
        ("hawkes_rate", "<f8"),  # an upper bound until the next candidate
        ("rate", "<f8"),
        ("pending", "<i8"),  # 1: `command` is under way at the exchange
        ("command", EVENT),
        ("limits", "<i8"),  # what was sent, by kind
        ("cancels", "<i8"),
        ("markets", "<i8"),
        ("takers_informed", "<i8"),
        ("withdrawn", "<i8"),
        ("candidates", "<i8"),
        # --- a recorded market instead ---
        ("recorded", "<i8"),  # 1: rows of a history are played
        ("row", "<i8"),  # next of the rows at hand
        ("rows", "<i8"),
        ("final", "<i8"),  # 1: no row comes after these
        ("shift_ns", "<i8"),  # added to the time of each
        ("skipped", "<i8"),  # rows that no order can be made of
        # last, so that what is hot shares cache lines
        ("seen", "<i4", (2, BOOK_WINDOW_TICKS)),  # orders at each level, as `resting` counts them
    ]
)


# --- what rests ---------------------------------------------------------------------------------------------------
@jit_inline
def far_x(flow, exchange, s):
    """Window index, on side s, of the price at distance 0: the other side's best."""
    return x_of(exchange["l3"]["book"], s, flow["best_ticks"][1 - s])


@jit_inline
def bucket_at(flow, distance):
    """Bucket of a distance; those that lie beyond the other side's best count as 1 tick.  -1 beyond the last edge."""
    if distance >= flow["edges"][flow["buckets"]]:
        return -1
    return flow["bucket_of"][max(distance, 1)]


@jit_inner
def count_level(flow, exchange, s, x):
    """A level was said anew: what rests there now goes into the sums."""
    now = np.int64(exchange["l3"]["queue_count"][s, x])
    more = now - np.int64(flow["seen"][s, x])
    if more != 0:
        flow["seen"][s, x] = now
        b = bucket_at(flow, far_x(flow, exchange, s) - x)
        if b >= 0:
            flow["resting"][s, b] += more
            flow["cancel_sum"] += more * flow["cancel_weight"][b]


@jit_inner
def count_side(flow, exchange, zero_x, s):
    """Count a side from nothing, where its other side's best has moved far.  Bounded by the last edge and the book."""
    for b in range(flow["buckets"]):
        flow["cancel_sum"] -= flow["resting"][s, b] * flow["cancel_weight"][b]
        flow["resting"][s, b] = 0
    low = max(0, zero_x - flow["edges"][flow["buckets"]] + 1)
    # Beyond the other side's best lies what came while that side was empty.
    for x in range(low, exchange["l3"]["book"]["best"][s] + 1):
        n = np.int64(flow["seen"][s, x])
        if n != 0:
            b = bucket_at(flow, zero_x - x)
            flow["resting"][s, b] += n
            flow["cancel_sum"] += n * flow["cancel_weight"][b]


@jit_inner
def shift_side(flow, exchange, s, before_x, after_x):
    """The other side's best moved: levels between the old and the new place of each edge change their bucket."""
    if abs(after_x - before_x) > 48:
        count_side(flow, exchange, after_x, s)
        return
    last = flow["buckets"]
    for b in range(1, last + 1):
        low = min(before_x, after_x) - flow["edges"][b]
        high = max(before_x, after_x) - flow["edges"][b]
        moved = 0
        for x in range(max(0, low + 1), min(W, high + 1)):
            moved += np.int64(flow["seen"][s, x])
        if moved != 0:
            if after_x < before_x:
                moved = -moved
            flow["resting"][s, b - 1] -= moved
            flow["cancel_sum"] -= moved * flow["cancel_weight"][b - 1]
            if b < last:
                flow["resting"][s, b] += moved
                flow["cancel_sum"] += moved * flow["cancel_weight"][b]


@jit_inner
def follow_best(flow, exchange):
    """Distances are from the bests as they are now."""
    book = exchange["l3"]["book"]
    for s in range(2):
        if book["best"][s] >= 0:
            price = best_ticks(book, s)
            before = flow["best_ticks"][s]
            if price != before:
                flow["best_ticks"][s] = price
                o = 1 - s
                shift_side(flow, exchange, o, x_of(book, o, before), x_of(book, o, price))


@jit_inner
def hear_exchange(flow, exchange, letters, first):
    """What the exchange said from letter `first` on changes what rests."""
    book = exchange["l3"]["book"]
    for k in range(first, letters["count"]):
        if letters["to"][k] == EVERYONE:
            row = letters["rows"][k]
            if row["kind"] == BOOK_LEVEL:
                s = 0 if row["side"] > 0 else 1
                count_level(flow, exchange, s, x_of(book, s, row["price_ticks"]))


# --- rates --------------------------------------------------------------------------------------------------------
@jit_inner
def decay(flow, now_ns):
    """The excited intensities at a later time; returns the sum of all intensities of self-exciting orders."""
    elapsed_s = (now_ns - flow["hawkes_ns"]) * 1e-9
    flow["hawkes_ns"] = now_ns
    total = 0.0
    for k in range(flow["decays"]):
        kept = exp(-flow["decay_per_s"][k] * elapsed_s) if elapsed_s > 0.0 else 1.0
        for m in range(FLOW_KINDS):
            flow["excited"][m, k] *= kept
            total += flow["excited"][m, k]
    for m in range(FLOW_KINDS):
        total += flow["base_per_s"][m]
    return total


@jit_inline
def excite(flow, kind):
    """An order of a kind was sent: more follow."""
    if flow["hawkes"]:
        for k in range(flow["decays"]):
            for m in range(FLOW_KINDS):
                flow["excited"][m, k] += flow["kick_per_s"][kind, m, k]


@jit_inner
def count_stale(flow, exchange):
    """How many orders are on the wrong side of the value, on the side where the best is.  Bounded by the levels."""
    book, value = exchange["l3"]["book"], flow["value_ticks"]
    flow["stale"], flow["stale_side"] = 0, -1
    for s in range(2):
        x = book["best"][s]
        sign = 1 if s == 0 else -1
        if x >= 0 and sign * (best_ticks(book, s) - value) > 0.0:
            reach = int(math.ceil(sign * (best_ticks(book, s) - value)))
            stale = 0
            for k in range(min(min(reach, FLOW_STALE_LEVELS), x + 1)):
                stale += np.int64(flow["seen"][s, x - k])
            if stale > 0:
                flow["stale"], flow["stale_side"] = stale, s


@jit_inner
def settle(flow, exchange, now_ns):
    """Use up the wait until now, work out all rates anew, and from them the time of the next candidate.

    To be called after whatever changed the book; the wait that is left has no memory of when that was.
    """
    wait = flow["wait"] - flow["rate"] * ((now_ns - flow["clock_ns"]) * 1e-9)
    flow["wait"] = wait if wait > 0.0 else 0.0
    flow["clock_ns"] = now_ns
    rate = flow["limit_rate"] + flow["market_rate"]
    flow["cancel_rate"] = flow["cancel_sum"] / WEIGHT_ONE
    rate += flow["cancel_rate"]
    if flow["informed"]:
        count_stale(flow, exchange)
        flow["informed_rate"] = flow["informed_per_s"] if flow["stale"] > 0 else 0.0
        flow["withdraw_rate"] = flow["withdraw_per_s"] * flow["stale"]
        rate += flow["news_rate"] + flow["informed_rate"] + flow["withdraw_rate"]
    if flow["hawkes"]:
        flow["hawkes_rate"] = decay(flow, now_ns)
        rate += flow["hawkes_rate"]
    flow["rate"] = rate
    flow["next_ns"] = NEVER
    if rate > 0.0:
        delay_s = flow["wait"] / rate
        if delay_s < 1e9:
            # At least a nanosecond, so that time goes on.
            flow["next_ns"] = now_ns + 1 + int(delay_s * 1e9)


@jit
def begin(flow, exchange, now_ns):
    """The first wait begins at now_ns, over the book as it is then."""
    a, _, _, _ = words(flow["seed"], _STREAM_ORDERS, flow["draws"])
    flow["draws"] += 1
    flow["wait"] = -ln((a + 0.5) * _UNIT)
    flow["clock_ns"] = flow["hawkes_ns"] = now_ns
    flow["rate"] = 0.0
    settle(flow, exchange, now_ns)


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
    step = exp(flow["news_log_mean"] + flow["news_log_sd"] * normal(flow["seed"], _STREAM_VALUE, flow["news"]))
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
    a, b, c, d = words(flow["seed"], _STREAM_ORDERS, flow["draws"])
    flow["draws"] += 1
    flow["candidates"] += 1
    u_place, u_size = (c + 0.5) * _UNIT, (d + 0.5) * _UNIT
    v = (b + 0.5) * _UNIT * flow["rate"]
    flow["wait"] = -ln((a + 0.5) * _UNIT)
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

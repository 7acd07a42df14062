"""What the order flow says: imbalance, micro-price, order-flow imbalance, volatility, and how far trades reach.

A measure that remembers keeps its numbers in a float64 array of the caller's, from index `at` on: a strategy's memory,
which is part of the state and of a snapshot.  All zero is "nothing seen yet".  Each says how many numbers it takes.
Time is the caller's, in ns, and never goes back; a measure that has no data yet is NaN, never a guess.
"""

from __future__ import annotations

import math

from pinnacle.kernels.jit import jit

_NS = 1_000_000_000

# --- layouts ------------------------------------------------------------------------------------------------------
# Order-flow imbalance: the last best prices and quantities, the sum so far, and how many changes it holds.
OFI_BID_TICKS, OFI_BID_LOTS, OFI_ASK_TICKS, OFI_ASK_LOTS, OFI_SUM_LOTS, OFI_COUNT = range(6)
OFI_SIZE = 6
# Variance: 1 once begun, the time of the last sample in two parts, the last mid, the weighted sum of squared moves in
# tick^2, and the weighted time in s that it was gathered over.
VARIANCE_BEGUN, VARIANCE_S, VARIANCE_NS, VARIANCE_MID, VARIANCE_SQUARES, VARIANCE_EXPOSURE_S = range(6)
VARIANCE_SIZE = 6
# Reach of trades: 1 once begun, time in two parts, weighted time in s, distance bucket + 1 of the newest arrival if it
# came at exactly that time (else 0); then the weighted number of arrivals in each bucket.
REACH_BEGUN, REACH_S, REACH_NS, REACH_EXPOSURE_S, REACH_NEWEST = range(5)
REACH_HEADER = 5
# A distance that less than this many arrivals reached says nothing about a rate.
_REACHED_MIN = 1.0


# --- of one moment ------------------------------------------------------------------------------------------------
@jit
def imbalance(bid_lots, ask_lots):
    """(bid - ask) / (bid + ask), within -1 .. 1; NaN if both are 0.  Quantities >= 0: of the best, or of any depth."""
    total = bid_lots + ask_lots
    if not total > 0:
        return math.nan
    return (bid_lots - ask_lots) / total


@jit
def depth_imbalance(bid_lots, ask_lots, levels):
    """Imbalance of the first `levels` levels of two arrays of lots, best first; shorter arrays count whole."""
    bid = 0
    for i in range(min(levels, len(bid_lots))):
        bid += bid_lots[i]
    ask = 0
    for i in range(min(levels, len(ask_lots))):
        ask += ask_lots[i]
    return imbalance(bid, ask)


@jit
def micro_price(bid_ticks, bid_lots, ask_ticks, ask_lots):
    """The mid weighted by the other side's quantity, ticks: (bid Qa + ask Qb) / (Qa + Qb); NaN if both are 0.

    Between bid and ask, nearer to the side with less in it, which is the side more likely to go.
    """
    total = bid_lots + ask_lots
    if not total > 0:
        return math.nan
    # From the bid up, because price * lots may pass 2^63 and difference * lots does not.
    return bid_ticks + (ask_ticks - bid_ticks) * (bid_lots / total)


# --- order-flow imbalance -----------------------------------------------------------------------------------------
@jit
def ofi_event(old_bid_ticks, old_bid_lots, old_ask_ticks, old_ask_lots, bid_ticks, bid_lots, ask_ticks, ask_lots):
    """e_n of one change of the best prices or quantities, lots: what buyers added and sellers took away, net.

    1[Pb >= Pb'] qb - 1[Pb <= Pb'] qb' - 1[Pa <= Pa'] qa + 1[Pa >= Pa'] qa', a prime being the value before.
    Source: Cont, Kukanov and Stoikov 2014, Journal of Financial Econometrics 12(1), section 2.
    A side without lots before or after adds nothing: it has no price to compare.
    """
    e = 0
    if old_bid_lots > 0 and bid_lots > 0:
        if bid_ticks >= old_bid_ticks:
            e += bid_lots
        if bid_ticks <= old_bid_ticks:
            e -= old_bid_lots
    if old_ask_lots > 0 and ask_lots > 0:
        if ask_ticks <= old_ask_ticks:
            e -= ask_lots
        if ask_ticks >= old_ask_ticks:
            e += old_ask_lots
    return e


@jit
def ofi_update(memory, at, bid_ticks, bid_lots, ask_ticks, ask_lots):
    """Note a new best, add e_n to the sum, and return e_n in lots (0 the first time).  Takes OFI_SIZE numbers.

    A strategy reads memory[at + OFI_SUM_LOTS] at the end of its window and sets it and the count to 0.  Exact, since
    prices and quantities are below 2^53.
    """
    e = float(
        ofi_event(
            memory[at + OFI_BID_TICKS], memory[at + OFI_BID_LOTS], memory[at + OFI_ASK_TICKS],
            memory[at + OFI_ASK_LOTS], float(bid_ticks), float(bid_lots), float(ask_ticks), float(ask_lots),
        )
    )  # fmt: skip
    memory[at + OFI_BID_TICKS] = bid_ticks
    memory[at + OFI_BID_LOTS] = bid_lots
    memory[at + OFI_ASK_TICKS] = ask_ticks
    memory[at + OFI_ASK_LOTS] = ask_lots
    memory[at + OFI_SUM_LOTS] += e
    memory[at + OFI_COUNT] += 1.0
    return e


# --- volatility ---------------------------------------------------------------------------------------------------
@jit
def variance_update(memory, at, ts_ns, mid_ticks, half_life_s, sample_ns):
    """Note the mid at ts_ns and return the variance rate, tick^2 / s; NaN before two samples.  VARIANCE_SIZE numbers.

    Squared moves over elapsed time, both forgotten by half each half_life_s (inf: never), so samples may come at any
    time and a constant rate is estimated without bias.  sample_ns: calls sooner than this after the last sample are
    passed over, because a mid that bounces between two prices has no finite variance per second at short distances.
    A mid that is NaN is passed over too.
    """
    assert half_life_s > 0.0
    if memory[at + VARIANCE_BEGUN] != 0.0:
        elapsed_ns = _elapsed_ns(memory, at + VARIANCE_S, ts_ns)
        if elapsed_ns < sample_ns or mid_ticks != mid_ticks:
            return variance_of(memory, at)
        elapsed_s = elapsed_ns / _NS
        keep, share = _forget(elapsed_s, half_life_s)
        move = mid_ticks - memory[at + VARIANCE_MID]
        memory[at + VARIANCE_SQUARES] = memory[at + VARIANCE_SQUARES] * keep + move * move * share
        memory[at + VARIANCE_EXPOSURE_S] = memory[at + VARIANCE_EXPOSURE_S] * keep + elapsed_s * share
    elif mid_ticks != mid_ticks:
        return math.nan
    memory[at + VARIANCE_BEGUN] = 1.0
    memory[at + VARIANCE_MID] = mid_ticks
    _set_time(memory, at + VARIANCE_S, ts_ns)
    return variance_of(memory, at)


@jit
def variance_of(memory, at):
    """Variance rate so far, tick^2 / s; NaN while no time has passed.

    memory[at + VARIANCE_EXPOSURE_S] says over how many seconds: a strategy may wait for enough of them.
    """
    exposure_s = memory[at + VARIANCE_EXPOSURE_S]
    if not exposure_s > 0.0:
        return math.nan
    return memory[at + VARIANCE_SQUARES] / exposure_s


@jit
def volatility(variance):
    """Ticks per sqrt(s) from tick^2 / s; NaN for NaN."""
    return math.sqrt(variance) if variance >= 0.0 else math.nan


@jit
def realised_volatility(ts_ns, mid_ticks):
    """sqrt(sum of squared moves / whole time), ticks per sqrt(s), of samples in time order.  Arrays of one length.

    NaN for fewer than two samples or no time between the first and the last.
    """
    count = len(ts_ns)
    assert len(mid_ticks) == count
    if count < 2 or not ts_ns[count - 1] > ts_ns[0]:
        return math.nan
    squares = 0.0
    for i in range(1, count):
        move = float(mid_ticks[i] - mid_ticks[i - 1])
        squares += move * move
    return math.sqrt(squares / (float(ts_ns[count - 1] - ts_ns[0]) / _NS))


# --- how far trades reach -----------------------------------------------------------------------------------------
@jit
def reach_size(buckets):
    """Numbers of memory that the reach of trades takes."""
    return REACH_HEADER + buckets


@jit
def reach_update(memory, at, buckets, ts_ns, distance_ticks, bucket_ticks, half_life_s):
    """Note that a trade at ts_ns reached distance_ticks from the mid of before (> 0 away from it on its own side).

    Takes REACH_HEADER + buckets numbers.  Bucket i holds distances from i to i + 1 times bucket_ticks, the last one all
    beyond.  Trades of one instant are one arrival, to the deepest: a sweep of five levels is one taker.  A distance
    below 0, or NaN, reached no quote and is passed over.  half_life_s: inf to forget nothing.
    """
    assert bucket_ticks > 0.0
    reach_advance(memory, at, buckets, ts_ns, half_life_s)
    if not distance_ticks >= 0.0:
        return
    place = distance_ticks / bucket_ticks
    bucket = int(place) if place < buckets else buckets - 1
    newest = int(memory[at + REACH_NEWEST]) - 1
    if newest >= bucket:
        return
    if newest >= 0:
        memory[at + REACH_HEADER + newest] -= 1.0
    memory[at + REACH_HEADER + bucket] += 1.0
    memory[at + REACH_NEWEST] = bucket + 1


@jit
def reach_advance(memory, at, buckets, ts_ns, half_life_s):
    """Let time pass to ts_ns: counts and exposure are forgotten alike.  The first call begins the observation."""
    assert half_life_s > 0.0
    if memory[at + REACH_BEGUN] == 0.0:
        memory[at + REACH_BEGUN] = 1.0
        _set_time(memory, at + REACH_S, ts_ns)
        return
    elapsed_s = _elapsed_ns(memory, at + REACH_S, ts_ns) / _NS
    if elapsed_s == 0.0:
        return
    keep, share = _forget(elapsed_s, half_life_s)
    memory[at + REACH_EXPOSURE_S] = memory[at + REACH_EXPOSURE_S] * keep + elapsed_s * share
    for i in range(at + REACH_HEADER, at + REACH_HEADER + buckets):
        memory[i] *= keep
    memory[at + REACH_NEWEST] = 0.0
    _set_time(memory, at + REACH_S, ts_ns)


@jit
def reach_fit(memory, at, buckets, bucket_ticks, first_bucket, sides):
    """(intensity_a per s, intensity_k per tick) of a * exp(-k d), the arrivals of ONE side that reach d or beyond.

    A line through ln(arrivals that reached d / exposure) at d = i * bucket_ticks, i >= first_bucket, each weighted by
    its arrivals (their logarithm's variance is about 1 / arrivals).  sides: 1 if trades of one side were noted, 2 if of
    both.  first_bucket: skip what lies inside the spread, where no trade can print.  Call reach_advance before it.
    (NaN, NaN) unless two distances were reached and fewer arrivals reached the farther ones.
    """
    assert sides == 1 or sides == 2
    exposure_s = memory[at + REACH_EXPOSURE_S] * sides
    if not exposure_s > 0.0:
        return math.nan, math.nan
    weight = mean_x = mean_y = xx = xy = reached = 0.0
    # From far to near, so that the arrivals beyond a distance are a running sum; and Welford's form of the moments.
    for i in range(buckets - 1, first_bucket - 1, -1):
        reached += memory[at + REACH_HEADER + i]
        if reached < _REACHED_MIN:
            continue
        x = i * bucket_ticks
        y = math.log(reached / exposure_s)
        weight += reached
        step_x, step_y = x - mean_x, y - mean_y
        mean_x += step_x * reached / weight
        mean_y += step_y * reached / weight
        xx += reached * step_x * (x - mean_x)
        xy += reached * step_x * (y - mean_y)
    if not (xx > 0.0 and xy < 0.0):
        return math.nan, math.nan
    slope = xy / xx
    log_a = mean_y - slope * mean_x
    # A line so steep that it meets d = 0 beyond the range of a double was fitted to nothing.
    if log_a > 700.0:
        return math.nan, math.nan
    return math.exp(log_a), -slope


# --- time ---------------------------------------------------------------------------------------------------------
@jit
def _forget(elapsed_s, half_life_s):
    """What is kept of the past after elapsed_s, and the mean weight of that time itself: (2^-x, mean of 2^-u to x)."""
    x = 0.6931471805599453 * elapsed_s / half_life_s
    if x == 0.0:
        return 1.0, 1.0
    lost = -math.expm1(-x)
    return 1.0 - lost, lost / x


@jit
def _set_time(memory, at, ts_ns):
    """Keep a time as whole seconds and the rest: a double does not hold ns since 1970 exactly."""
    memory[at] = ts_ns // _NS
    memory[at + 1] = ts_ns % _NS


@jit
def _elapsed_ns(memory, at, ts_ns):
    """Time since _set_time, ns, exact."""
    elapsed_ns = ts_ns - (int(memory[at]) * _NS + int(memory[at + 1]))
    assert elapsed_ns >= 0
    return elapsed_ns

"""How long a request takes to the venue and an answer takes back, by the model of an instrument.

Entry, cancel and response delays are apart, because venues treat them apart.  Chance comes from a counter-based
generator whose counters are in a record, so a run repeats bit for bit.
"""

from __future__ import annotations

import numpy as np

from pinnacle.kernels.jit import jit, jit_inline
from pinnacle.kernels.random import lognormal

CONSTANT = 0
RECORDED = 1  # measured order latencies, linearly interpolated in time
FEED = 2  # a multiple of the feed's own latency of the moment, plus a constant
FITTED = 3  # shift + lognormal
MODELS = {"constant": 0, "recorded": 1, "feed": 2, "fitted": 3}

ENTRY = 0
CANCEL_ENTRY = 1
RESPONSE = 2

LATENCY = np.dtype(
    [
        ("model", "<i8"),
        (
            "constant_ns",
            "<i8",
            (3,),
        ),  # by ENTRY, CANCEL_ENTRY, RESPONSE: CONSTANT's delay, FEED's addend, FITTED's shift
        ("multiplier", "<f8", (3,)),  # FEED
        ("mu", "<f8", (3,)),  # FITTED: mean of the logarithm of the delay in ns, after the shift
        ("sigma", "<f8", (3,)),
        ("seed", "<i8"),
        ("points_start", "<i8"),  # RECORDED: rows of the points array, columns ts, entry, cancel, response in ns
        ("points_stop", "<i8"),
    ]
)


@jit
def delay_ns(latency, drawn, points, leg, ts_ns, feed_ns):
    """Delay of one message sent at ts_ns; never negative.

    drawn: a record whose `drawn` counts the random delays so far by leg, each leg in its own order of messages.
    points: int64[n, 4].  leg: ENTRY, CANCEL_ENTRY or RESPONSE.  feed_ns: the feed's latency at that time.
    """
    model = latency["model"]
    if model == CONSTANT:
        return latency["constant_ns"][leg]
    if model == FEED:
        # Clocks apart can make the feed seem to be heard before it happened; no delay is shorter for that.
        return max(0, int(max(0, feed_ns) * latency["multiplier"][leg]) + latency["constant_ns"][leg])
    if model == FITTED:
        drawn["drawn"][leg] += 1
        drawn_ns = lognormal(latency["seed"], leg, drawn["drawn"][leg], latency["mu"][leg], latency["sigma"][leg])
        return latency["constant_ns"][leg] + int(drawn_ns)
    return interpolated_ns(latency, points, leg, ts_ns)


@jit_inline
def interpolated_ns(latency, points, leg, ts_ns):
    """Delay between the two measurements around ts_ns; the nearest one outside them.  Bisection: log2(n) steps."""
    low, high = latency["points_start"], latency["points_stop"] - 1
    if ts_ns <= points[low, 0]:
        return points[low, 1 + leg]
    if ts_ns >= points[high, 0]:
        return points[high, 1 + leg]
    while high - low > 1:
        middle = (low + high) // 2
        if points[middle, 0] <= ts_ns:
            low = middle
        else:
            high = middle
    span = points[high, 0] - points[low, 0]
    rise = points[high, 1 + leg] - points[low, 1 + leg]
    return points[low, 1 + leg] + int(rise * ((ts_ns - points[low, 0]) / span))


@jit
def least_ns(latency, points, legs_response):
    """A bound that no delay of that direction is below: how far the two clocks may be walked apart.

    legs_response: True for answers, False for requests of either kind.
    """
    model = latency["model"]
    first, last = (RESPONSE, RESPONSE) if legs_response else (ENTRY, CANCEL_ENTRY)
    least = latency["constant_ns"][first]
    for leg in range(first, last + 1):
        least = min(least, latency["constant_ns"][leg])
    if model == FEED:
        return max(0, least)
    if model == RECORDED:
        least = points[latency["points_start"], 1 + first]
        for k in range(latency["points_start"], latency["points_stop"]):
            for leg in range(first, last + 1):
                least = min(least, points[k, 1 + leg])
    return least

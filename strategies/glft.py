"""Gueant, Lehalle and Fernandez-Tapia: closed-form quotes from a market that is measured while quoting.

    half-spread = (c1 + sigma c2 / 2) * adjust_spread       skew = sigma c2 * adjust_skew, for each quote held
    bid = mid - half-spread - q skew                         ask = mid + half-spread - q skew
    c1 = ln(1 + gamma/k) / gamma                             c2 = sqrt(gamma / (2 A k) (1 + gamma/k)^(1 + k/gamma))

Orders that reach a distance d from the mid arrive at rate A exp(-k d).  A and k are fitted to how far from the mid of
the wake before the last trade between two wakes printed: one arrival a wake, which is what quotes renewed once a wake
can meet.  So A is at most one a wake, and both depend on how often the strategy is woken (100 ms is meant).  sigma is
the volatility of the mid.  All three forget the past by half each half_life_s.  q is the position in quotes of
order_qty; gamma counts money in bps of the mid on one quote.  Nothing is quoted until warmup_s were watched, nor
whenever trades give no fit.  Sources: GLFT 2013, Dealing with the inventory risk, Mathematics and Financial Economics
7(4), closed-form approximation; c1 and c2 as in Gueant 2017, Optimal market making, Applied Mathematical Finance 24(2).
"""

from pinnacle.kernels.flow import (
    REACH_EXPOSURE_S,
    REACH_HEADER,
    VARIANCE_SIZE,
    reach_advance,
    reach_fit,
    reach_update,
    variance_update,
    volatility,
)
from pinnacle.kernels.spread import glft_c1, glft_c2, glft_half_spread, glft_skew
from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid

PARAMS = (
    Param("gamma", 0.1, low=1e-6, high=100.0, unit="per bps of the mid", about="risk aversion",
          log=True, search=(0.001, 5.0)),
    Param("adjust_spread", 1.0, low=0.0, high=10.0, unit="factor", about="1 by theory, multiplies the half-spread",
          search=(0.1, 3.0)),
    Param("adjust_skew", 1.0, low=0.0, high=10.0, unit="factor", about="1 by theory, multiplies the skew",
          search=(0.0, 3.0)),
    Param("bucket_bps", 0.05, low=0.001, high=10.0, unit="bps of the mid", about="step of distances",
          log=True, search=(0.01, 0.5)),
    Param("half_life_s", 60.0, low=1.0, high=3600.0, unit="s", about="memory of A, k and sigma",
          log=True, search=(5.0, 300.0)),
    Param("warmup_s", 10.0, low=0.1, high=3600.0, unit="s", about="time watched before the first quote",
          log=True, search=False),
    Param("order_qty", 0.01, low=1e-9, high=1e6, unit="base currency", about="size of each quote",
          log=True, search=False),
    Param("position_max", 0.05, low=0.0, high=1e6, unit="base currency", about="no more on a side than this",
          search=False),
)  # fmt: skip
BUCKETS = 60
REACH_SIZE = REACH_HEADER + BUCKETS
MEMORY = {"variance": VARIANCE_SIZE, "reach": REACH_SIZE, "bucket_ticks": 1, "mid_ticks": 1, "trade_count": 1}

# A mid that bounces by a tick makes short samples look wilder than the market is.
SAMPLE_NS = 500_000_000


@jit
def quote(market, lane, me, params, memory, want):
    """Measure first, then one bid and one ask."""
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)  # no two-sided book: leave what works as it is
        return
    mid_ticks = (top["bid_ticks"] + top["ask_ticks"]) / 2
    intensity_a, intensity_k = measure_reach(market["ts_ns"], top, mid_ticks, params, memory)
    variance = variance_update(memory["variance"], 0, market["ts_ns"], mid_ticks, params["half_life_s"], SAMPLE_NS)
    watched_s = memory["reach"][REACH_EXPOSURE_S]
    if not (watched_s >= min(params["warmup_s"], params["half_life_s"]) and intensity_a > 0.0 and variance >= 0.0):
        return  # too little seen yet: want nothing

    gamma, sigma = params["gamma"] / (mid_ticks / 10_000), volatility(variance)
    c1, c2 = glft_c1(gamma, 1.0, intensity_k), glft_c2(gamma, gamma, 1.0, intensity_a, intensity_k)
    half = glft_half_spread(c1, c2, 1.0, sigma, params["adjust_spread"])
    lots = params["order_qty"] / own["lot"]
    centre = mid_ticks - own["position_lots"] / lots * glft_skew(c2, sigma, params["adjust_skew"])
    if not abs(centre - mid_ticks) + half < mid_ticks:
        return  # further than any price, or not a number: want nothing
    # Our quotes never meet, and never cross the other side's best, where a post-only order would only expire.
    half = max(half, 0.5)
    bid, ask = min(centre - half, top["ask_ticks"] - 1), max(centre + half, top["bid_ticks"] + 1)
    room_lots = params["position_max"] / own["lot"]
    want_bid(want, bid, min(lots, room_lots - own["position_lots"]))
    want_ask(want, ask, min(lots, room_lots + own["position_lots"]))


@jit
def measure_reach(ts_ns, top, mid_ticks, params, memory):
    """Note how far the last trade since the wake before reached, and fit: (A per s, k per tick), NaN without a fit."""
    reach, half_life_s = memory["reach"], params["half_life_s"]
    if memory["bucket_ticks"] == 0.0:
        # Fixed at the first wake: counts of one width cannot be read as counts of another.
        memory["bucket_ticks"] = max(1.0, float(round(params["bucket_bps"] * mid_ticks / 10_000)))
    elif top["trade_count"] != memory["trade_count"]:
        distance_ticks = top["trade_side"] * (top["trade_ticks"] - memory["mid_ticks"])
        reach_update(reach, 0, BUCKETS, ts_ns, distance_ticks, memory["bucket_ticks"], half_life_s)
    reach_advance(reach, 0, BUCKETS, ts_ns, half_life_s)
    memory["mid_ticks"], memory["trade_count"] = mid_ticks, top["trade_count"]
    # The first bucket holds what printed inside the spread or at the best, where no queue of ours would be first.
    return reach_fit(reach, 0, BUCKETS, memory["bucket_ticks"], 1, 2)

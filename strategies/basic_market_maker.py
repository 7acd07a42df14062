"""Basic market maker: a spread that widens with volatility, leaning with the book and against the position.

    centre = mid + imbalance_bps * imbalance - skew_bps * position / position_max
    quotes = centre -+ (half_spread_bps + volatility_factor * volatility over volatility_horizon_s)

imbalance is (bids - asks) / (bids + asks), -1 to 1, of the lots within depth_ticks of each best; more bids than asks
push the price up soon.  Volatility is of the mid, with the past forgotten by half each half_life_s.  Until the mid was
watched for warmup_s nothing is quoted.  The formulas are the trade's plain ones, from no paper.
"""

from pinnacle.kernels.book import lots_at
from pinnacle.kernels.flow import VARIANCE_EXPOSURE_S, VARIANCE_SIZE, imbalance, variance_update, volatility
from pinnacle.kernels.spread import inventory_skew, volatility_half_spread
from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid

PARAMS = (
    Param("half_spread_bps", 0.2, low=0.0, high=100.0, unit="bps of the mid", about="half-spread when nothing moves",
          search=(0.0, 5.0)),
    Param("volatility_factor", 0.5, low=0.0, high=10.0, unit="deviations", about="widens the half-spread",
          search=(0.0, 3.0)),
    Param("volatility_horizon_s", 1.0, low=0.01, high=600.0, unit="s", about="time of one deviation",
          log=True, search=(0.1, 60.0)),
    Param("half_life_s", 30.0, low=1.0, high=3600.0, unit="s", about="memory of the volatility",
          log=True, search=(5.0, 300.0)),
    Param("warmup_s", 5.0, low=0.1, high=3600.0, unit="s", about="time watched before the first quote",
          log=True, search=False),
    Param("imbalance_bps", 0.1, low=-10.0, high=10.0, unit="bps of the mid", about="lean when all the depth is bids",
          search=(-1.0, 1.0)),
    Param("depth_ticks", 20, low=1, high=200, unit="ticks", about="depth from each best that counts",
          whole=True, search=(1, 100)),
    Param("skew_bps", 0.3, low=0.0, high=100.0, unit="bps of the mid", about="lean against a full position",
          search=(0.0, 3.0)),
    Param("order_qty", 0.01, low=1e-9, high=1e6, unit="base currency", about="size of each quote",
          log=True, search=False),
    Param("position_max", 0.05, low=1e-9, high=1e6, unit="base currency", about="no more on a side than this",
          search=False),
)  # fmt: skip
MEMORY = {"variance": VARIANCE_SIZE}

# A mid that bounces by a tick makes short samples look wilder than the market is.
SAMPLE_NS = 500_000_000


@jit
def quote(market, lane, me, params, memory, want):
    """One bid and one ask around the leaning centre."""
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)  # no two-sided book: leave what works as it is
        return
    mid_ticks = (top["bid_ticks"] + top["ask_ticks"]) / 2
    bps = mid_ticks / 10_000  # ticks
    variance = variance_update(memory["variance"], 0, market["ts_ns"], mid_ticks, params["half_life_s"], SAMPLE_NS)
    if not memory["variance"][VARIANCE_EXPOSURE_S] >= min(params["warmup_s"], params["half_life_s"]):
        return  # too little seen yet: want nothing

    bid_lots, ask_lots = 0, 0
    for k in range(int(params["depth_ticks"])):
        bid_lots += lots_at(market["book"][me], 0, top["bid_ticks"] - k)
        ask_lots += lots_at(market["book"][me], 1, top["ask_ticks"] + k)
    centre = mid_ticks + params["imbalance_bps"] * bps * imbalance(bid_lots, ask_lots)
    room_lots = params["position_max"] / own["lot"]
    centre += inventory_skew(own["position_lots"], room_lots, params["skew_bps"] * bps)
    horizon_s, factor = params["volatility_horizon_s"], params["volatility_factor"]
    half = volatility_half_spread(params["half_spread_bps"] * bps, volatility(variance), horizon_s, factor)
    if not abs(centre - mid_ticks) + half < mid_ticks:
        return  # further than any price, or not a number: want nothing
    # Our quotes never meet, and never cross the other side's best, where a post-only order would only expire.
    half = max(half, 0.5)
    bid, ask = min(centre - half, top["ask_ticks"] - 1), max(centre + half, top["bid_ticks"] + 1)
    lots = params["order_qty"] / own["lot"]
    want_bid(want, bid, min(lots, room_lots - own["position_lots"]))
    want_ask(want, ask, min(lots, room_lots + own["position_lots"]))

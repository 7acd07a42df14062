"""Avellaneda and Stoikov: quotes around a reservation price that leans against the position, with a rolling horizon.

    reservation = mid - q gamma sigma^2 T                        equation (29)
    spread      = gamma sigma^2 T + (2 / gamma) ln(1 + gamma/k)   equation (30)

The paper ends its day at a fixed time; a market that never closes has none, so T is horizon_s at every wake, for
ever: a rolling horizon, not the infinite-horizon variant of section 2.3.  q is the position in quotes of order_qty,
sigma the volatility of the mid measured as we go, k how fast the fills thin out with distance.  Money is counted in
bps of the mid on one quote, so that a gamma or a k means the same on every instrument.  Until the mid was watched for
warmup_s nothing is quoted.  Source: Avellaneda and Stoikov 2008, High-frequency trading in a limit order book,
Quantitative Finance 8(3).
"""

from pinnacle.kernels.flow import VARIANCE_EXPOSURE_S, VARIANCE_SIZE, variance_update, volatility
from pinnacle.kernels.spread import as_reservation, as_spread
from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid

PARAMS = (
    Param("gamma", 0.05, low=1e-6, high=100.0, unit="per bps of the mid", about="risk aversion",
          log=True, search=(0.001, 5.0)),
    Param("intensity_k", 1.2, low=0.01, high=1000.0, unit="per bps of the mid", about="thinning of fills",
          log=True, search=(0.1, 20.0)),
    Param("horizon_s", 10.0, low=0.001, high=86_400.0, unit="s", about="T, time the position is held against",
          log=True, search=(1.0, 300.0)),
    Param("half_life_s", 30.0, low=1.0, high=3600.0, unit="s", about="memory of the volatility",
          log=True, search=(5.0, 300.0)),
    Param("warmup_s", 5.0, low=0.1, high=3600.0, unit="s", about="time watched before the first quote",
          log=True, search=False),
    Param("order_qty", 0.01, low=1e-9, high=1e6, unit="base currency", about="size of each quote",
          log=True, search=False),
    Param("position_max", 0.05, low=0.0, high=1e6, unit="base currency", about="no more on a side than this",
          search=False),
)  # fmt: skip
MEMORY = {"variance": VARIANCE_SIZE}

# A mid that bounces by a tick makes short samples look wilder than the market is.
SAMPLE_NS = 500_000_000


@jit
def quote(market, lane, me, params, memory, want):
    """One bid and one ask, half the spread from the reservation price."""
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)  # no two-sided book: leave what works as it is
        return
    mid_ticks = (top["bid_ticks"] + top["ask_ticks"]) / 2
    variance = variance_update(memory["variance"], 0, market["ts_ns"], mid_ticks, params["half_life_s"], SAMPLE_NS)
    if not memory["variance"][VARIANCE_EXPOSURE_S] >= min(params["warmup_s"], params["half_life_s"]):
        return  # too little seen yet: want nothing

    bps = mid_ticks / 10_000  # ticks
    gamma, intensity_k, sigma = params["gamma"] / bps, params["intensity_k"] / bps, volatility(variance)
    lots = params["order_qty"] / own["lot"]
    reservation = as_reservation(mid_ticks, own["position_lots"] / lots, gamma, sigma, params["horizon_s"])
    half = as_spread(gamma, intensity_k, sigma, params["horizon_s"]) / 2
    if not abs(reservation - mid_ticks) + half < mid_ticks:
        return  # further than any price, or not a number: want nothing
    # Our quotes never meet, and never cross the other side's best, where a post-only order would only expire.
    half = max(half, 0.5)
    bid, ask = min(reservation - half, top["ask_ticks"] - 1), max(reservation + half, top["bid_ticks"] + 1)
    room_lots = params["position_max"] / own["lot"]
    want_bid(want, bid, min(lots, room_lots - own["position_lots"]))
    want_ask(want, ask, min(lots, room_lots + own["position_lots"]))

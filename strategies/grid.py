"""Grid: many bids below the mid and many asks above it, each on a whole multiple of the spacing.

The levels are fixed places on the price axis, so a mid that moves leaves the orders between where they are, with their
place in the queue, and only the ends of the grid change.  Level 0 of a side is the nearest multiple at least
half_spread_bps from the centre, which leans against the position by skew_bps; level n holds order_qty * growth^n.
The spacing is a whole number of ticks, at least one, taken at the first mid and anew when the mid has moved by a tenth
of it.  From no paper.
"""

import math

from pinnacle.kernels.spread import inventory_skew
from pinnacle.strategy import ASK, BID, NO_PRICE, POST_ONLY, Param, hold, jit, want_order

PARAMS = (
    Param("levels", 5, low=1, high=20, unit="orders a side", about="levels of each side", whole=True, search=(1, 10)),
    Param("spacing_bps", 1.0, low=0.001, high=1000.0, unit="bps of the mid", about="between two levels",
          log=True, search=(0.1, 10.0)),
    Param("half_spread_bps", 1.0, low=0.0, high=100.0, unit="bps of the mid", about="no level nearer to the centre",
          search=(0.0, 5.0)),
    Param("skew_bps", 2.0, low=0.0, high=100.0, unit="bps of the mid", about="lean against a full position",
          search=(0.0, 10.0)),
    Param("growth", 1.0, low=0.5, high=3.0, unit="factor a level", about="size of a level over the one before it",
          search=(0.75, 1.5)),
    Param("order_qty", 0.01, low=1e-9, high=1e6, unit="base currency", about="size of the nearest level",
          log=True, search=False),
    Param("position_max", 0.05, low=1e-9, high=1e6, unit="base currency", about="no more on a side than this",
          search=False),
)  # fmt: skip
MEMORY = {"measured_at_ticks": 1}


@jit
def quote(market, lane, me, params, memory, want):
    """Both sides of the grid around a centre that leans against the position."""
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)  # no two-sided book: leave what works as it is
        return
    mid_ticks = (top["bid_ticks"] + top["ask_ticks"]) / 2
    if abs(mid_ticks - memory["measured_at_ticks"]) > 0.1 * memory["measured_at_ticks"]:
        memory["measured_at_ticks"] = mid_ticks
    step = max(1.0, float(round(params["spacing_bps"] * memory["measured_at_ticks"] / 10_000)))
    room_lots, bps = params["position_max"] / own["lot"], mid_ticks / 10_000
    centre = mid_ticks + inventory_skew(own["position_lots"], room_lots, params["skew_bps"] * bps)
    half = max(params["half_spread_bps"] * bps, 0.5)
    # Our quotes never meet, and never cross the other side's best, where a post-only order would only expire.
    bid = math.floor(min(centre - half, top["ask_ticks"] - 1) / step) * step
    ask = math.ceil(max(centre + half, top["bid_ticks"] + 1) / step) * step
    lots = params["order_qty"] / own["lot"]
    want_side(want, BID, bid, -step, lots, room_lots - own["position_lots"], params)
    want_side(want, ASK, ask, step, lots, room_lots + own["position_lots"], params)


@jit
def want_side(want, side, price_ticks, step_ticks, lots, room_lots, params):
    """Levels outwards from price_ticks, as far as their sum leaves room."""
    for _ in range(int(params["levels"])):
        want_order(want, side, price_ticks, min(lots, room_lots), POST_ONLY)
        price_ticks += step_ticks
        room_lots -= math.floor(lots + 1e-8)
        lots *= params["growth"]

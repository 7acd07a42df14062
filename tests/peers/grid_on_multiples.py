"""A grid on multiples of a spacing, for comparison with the same grid on another engine."""

from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid

PARAMS = (
    Param("levels", 20, low=1, high=60, unit="orders a side", about="how many", whole=True),
    Param("spacing", 5, low=1, high=1000, unit="ticks", about="distance of two levels", whole=True),
    Param("order_qty", 0.001, low=0.0, high=1e6, unit="base currency", about="size of each"),
    Param(
        "position_max", 0.05, low=0.0, high=1e6, unit="base currency", about="a side stops when the position is here"
    ),
)


@jit
def quote(market, lane, me, params, memory, want):
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)
        return
    levels, spacing = int(params["levels"]), int(params["spacing"])
    lots = params["order_qty"] / own["lot"]
    limit_lots = params["position_max"] / own["lot"] - 0.5
    if own["position_lots"] < limit_lots:
        first = top["bid_ticks"] // spacing * spacing
        for k in range(levels):
            want_bid(want, first - k * spacing, lots)
    if own["position_lots"] > -limit_lots:
        first = -(-top["ask_ticks"] // spacing) * spacing
        for k in range(levels):
            want_ask(want, first + k * spacing, lots)

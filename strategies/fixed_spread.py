"""Fixed spread: one bid and one ask at a constant distance from the mid.  The smallest strategy: copy this one.

It quotes around the mid of the book, a half-spread away on each side, and stops quoting the side that would take the
position beyond its limit.  It knows nothing of volatility or inventory; the others do.
"""

from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid

# Every number the strategy can be tuned by: default, bounds, unit.  The config's [strategy.params] may set any of them.
PARAMS = (
    Param("half_spread_bps", 0.5, low=0.0, high=100.0, unit="bps of the mid",
          about="distance of each quote from the mid", search=(0.0, 5.0)),
    Param("order_qty", 0.01, low=1e-9, high=1e6, unit="base currency", about="size of each quote",
          log=True, search=False),
    Param("position_max", 0.05, low=0.0, high=1e6, unit="base currency", about="no more on a side than this",
          search=False),
)  # fmt: skip


@jit
def quote(market, lane, me, params, memory, want):
    """market: what was heard; lane: our own side; me: the instrument's index; params: by the names above."""
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)  # no two-sided book: leave what works as it is
        return
    mid_ticks = (top["bid_ticks"] + top["ask_ticks"]) / 2
    half_ticks = mid_ticks * params["half_spread_bps"] / 10_000
    lots = params["order_qty"] / own["lot"]
    room_lots = params["position_max"] / own["lot"]
    if own["position_lots"] + lots <= room_lots:
        want_bid(want, mid_ticks - half_ticks, lots)  # rounded down to a tick
    if own["position_lots"] - lots >= -room_lots:
        want_ask(want, mid_ticks + half_ticks, lots)  # rounded up

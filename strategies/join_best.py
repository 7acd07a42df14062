"""Join the best: one bid at the best bid and one ask at the best ask, moved whenever the best moves.

The scenario that pinnacle is compared on with other engines, because it leaves nothing to interpretation: at each wake
an order that is not at its side's best is cancelled, and a new one is sent once the end of the old one was heard.
"""

from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid

PARAMS = (
    Param("order_qty", 0.01, low=1e-9, high=1e6, unit="base currency", about="size of each quote",
          log=True, search=False),
    Param("position_max", 0.05, low=0.0, high=1e6, unit="base currency", about="a side stops when the position is here",
          search=False),
)  # fmt: skip


@jit
def quote(market, lane, me, params, memory, want):
    """Want the side's best price while the position leaves room."""
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)
        return
    lots = params["order_qty"] / own["lot"]
    # Half a lot of tolerance, so that 0.05 / 0.001 is the fifty lots that are meant.
    limit_lots = params["position_max"] / own["lot"] - 0.5
    if own["position_lots"] < limit_lots:
        want_bid(want, top["bid_ticks"], lots)
    if own["position_lots"] > -limit_lots:
        want_ask(want, top["ask_ticks"], lots)

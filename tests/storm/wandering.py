"""A restless strategy for storms: rests at both bests, takes now and then, and turns back at its position's limit."""

from pinnacle.event import ASK, BID, IOC
from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid, want_order

PARAMS = (
    Param("order_lots", 400.0, low=1.0, high=1e6, unit="lots", about="size of each quote"),
    Param("room_lots", 1500.0, low=0.0, high=1e6, unit="lots", about="position at which a side stops"),
    Param("calm_s", 0.0, low=0.0, high=1e3, unit="s", about="how long it keeps its mind, 0 for one event"),
)


@jit
def quote(market, lane, me, params, memory, want):
    """Bids and asks at the best, and now and then one that takes."""
    top, own = market["top"][me], lane["own"][me]
    if top["bid_ticks"] == NO_PRICE or top["ask_ticks"] == NO_PRICE:
        hold(want)
        return
    lots, held = params["order_lots"], own["position_lots"]
    event = market["seq"] % 7
    turn = event if params["calm_s"] == 0.0 else int(market["ts_ns"] / 1e9 / params["calm_s"]) % 7
    if held < params["room_lots"]:
        want_bid(want, top["bid_ticks"] - turn % 3, lots)
    if held > -params["room_lots"]:
        want_ask(want, top["ask_ticks"] + turn % 3, lots)
    if turn == 0 and event == 0:
        side = BID if held <= 0 else ASK
        want_order(want, side, top["ask_ticks"] if side == BID else top["bid_ticks"], lots / 2, IOC)

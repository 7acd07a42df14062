"""What Binance spot is asked, as parameters and paths: orders, cancels and questions, pure and without a signature.

The same parameters serve the websocket API and REST.  Rules: the venue's public documents of July 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnacle.event import BUY, FOK, IOC, MARKET, POST_ONLY
from pinnacle.limits import FILLS_PAGE
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_ALL_COST,
    CANCEL_COST,
    PLACE_COST,
    REPLACE_COST,
    Capabilities,
    Order,
    Window,
)

Params = dict[str, str | int]
ASK_TIME, SUBSCRIBE = "time", "subscribe"
# An order that was signed longer ago than this is refused by the venue.
RECV_WINDOW_MS = 3_000


@dataclass(frozen=True, slots=True)
class Method:
    """One request: its name on the websocket API, and its REST twin ("" where there is none)."""

    name: str
    http: str = ""
    path: str = ""


METHODS = {
    PLACE_COST: Method("order.place", "POST", "/api/v3/order"),
    CANCEL_COST: Method("order.cancel", "DELETE", "/api/v3/order"),
    REPLACE_COST: Method("order.amend.keepPriority", "PUT", "/api/v3/order/amend/keepPriority"),
    CANCEL_ALL_COST: Method("openOrders.cancelAll", "DELETE", "/api/v3/openOrders"),
    ASK_ORDER: Method("order.status", "GET", "/api/v3/order"),
    ASK_OPEN: Method("openOrders.status", "GET", "/api/v3/openOrders"),
    ASK_FILLS: Method("myTrades", "GET", "/api/v3/myTrades"),
    ASK_BALANCES: Method("account.status", "GET", "/api/v3/account"),
    ASK_TIME: Method("time"),
    SUBSCRIBE: Method("userDataStream.subscribe.signature"),
}
# The weights are the venue's; of the order count half of what production allows is used, as the documents' sample says.
CAPABILITIES = Capabilities(
    "binance",
    amend="reduce",
    cancel_all="instrument",
    order_life_ns=RECV_WINDOW_MS * 1_000_000,
    windows=(
        Window("weight", 6_000, 60_000_000_000, 2_000),
        Window("orders", 50, 10_000_000_000, 0),
        Window("orders_day", 160_000, 86_400_000_000, 0),
    ),
    costs={
        PLACE_COST: (("weight", 1), ("orders", 1), ("orders_day", 1)),
        CANCEL_COST: (("weight", 1),),
        CANCEL_ALL_COST: (("weight", 1),),
        REPLACE_COST: (("weight", 4),),
        ASK_ORDER: (("weight", 4),),
        ASK_OPEN: (("weight", 6),),
        ASK_FILLS: (("weight", 20),),
        ASK_BALANCES: (("weight", 20),),
    },
)


def place_params(order: Order) -> Params:
    """A new order.  Own resting orders give way to one that takes (EXPIRE_MAKER): a hedge must not wait for them."""
    instrument = order.followed.instrument
    params: Params = {
        "symbol": instrument.symbol,
        "side": side_text(order),
        "quantity": instrument.qty_text(order.qty_lots),
        "newClientOrderId": order.client_id,
        "newOrderRespType": "FULL",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    if order.flags & MARKET:
        params["type"] = "MARKET"
        return params
    params["price"] = instrument.price_text(order.price_ticks)
    if order.flags & POST_ONLY:
        params["type"] = "LIMIT_MAKER"
    else:
        params["type"] = "LIMIT"
        params["timeInForce"] = "IOC" if order.flags & IOC else "FOK" if order.flags & FOK else "GTC"
    return params


def cancel_params(order: Order) -> Params:
    """A cancel, by client id: that is known before the venue has answered.  An order of others may have none."""
    symbol = order.followed.instrument.symbol
    if not order.client_id:
        return {"symbol": symbol, "orderId": order.venue_id}
    return {"symbol": symbol, "origClientOrderId": order.client_id}


def replace_params(order: Order) -> Params:
    """A smaller quantity at the same price; the client id stays only if it is said again."""
    instrument = order.followed.instrument
    return {
        "symbol": instrument.symbol,
        "origClientOrderId": order.client_id,
        "newClientOrderId": order.client_id,
        "newQty": instrument.qty_text(order.qty_lots + order.done_lots),
    }


def order_params(order: Order) -> Params:
    """How an order stands."""
    return {"symbol": order.followed.instrument.symbol, "origClientOrderId": order.client_id}


def fills_params(symbol: str, first_trade_id: int, venue_id: int) -> Params:
    """Own fills from a trade id on, or of one order; neither: the latest."""
    params: Params = {"symbol": symbol, "limit": FILLS_PAGE}
    if venue_id:
        params["orderId"] = venue_id
    elif first_trade_id:
        params["fromId"] = first_trade_id
    return params


def side_text(order: Order) -> str:
    """A side in the venue's word."""
    return "BUY" if order.side == BUY else "SELL"

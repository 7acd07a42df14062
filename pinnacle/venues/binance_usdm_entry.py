"""What Binance USD-M is asked, as paths and parameters: orders, cancels and questions, pure and without a signature.

What is as on spot is binance_entry.py's.  Orders go by REST: the venue has a websocket for them too, which carries no
news of the account, so that it would be one more connection that could fail and no news the sooner.  Rules: the venue's
public documents of 2026; what they do not say is said here.
"""

from __future__ import annotations

from pinnacle.event import FOK, IOC, MARKET, POST_ONLY, REDUCE
from pinnacle.venues.binance_entry import RECV_WINDOW_MS, Params, side_text
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

ASK_TIME, ASK_MODE, ASK_POSITIONS = "time", "position mode", "positions"
LISTEN, KEEP_LISTENING, DEAD_MAN = "listen key", "listen key kept", "dead man's switch"
LISTEN_PATH = "/fapi/v1/listenKey"
# HTTP method and path of each request.
PATHS = {
    PLACE_COST: ("POST", "/fapi/v1/order"),
    CANCEL_COST: ("DELETE", "/fapi/v1/order"),
    REPLACE_COST: ("PUT", "/fapi/v1/order"),
    CANCEL_ALL_COST: ("DELETE", "/fapi/v1/allOpenOrders"),
    DEAD_MAN: ("POST", "/fapi/v1/countdownCancelAll"),
    ASK_ORDER: ("GET", "/fapi/v1/order"),
    ASK_OPEN: ("GET", "/fapi/v1/openOrders"),
    ASK_FILLS: ("GET", "/fapi/v1/userTrades"),
    ASK_BALANCES: ("GET", "/fapi/v3/balance"),
    ASK_POSITIONS: ("GET", "/fapi/v3/positionRisk"),
    ASK_MODE: ("GET", "/fapi/v1/positionSide/dual"),
    ASK_TIME: ("GET", "/fapi/v1/time"),
    LISTEN: ("POST", LISTEN_PATH),
    KEEP_LISTENING: ("PUT", LISTEN_PATH),
}
# The documents' example; the longest that the venue takes is not documented.
DEAD_MAN_NS = 120_000_000_000
# Weight of an address is 2,400 a minute, of which our feeds plan with half (binance_usdm.py); what the time, the key of
# the stream and the dead-man's switch cost is left over here.  A new order costs orders and no weight by the documents;
# one is counted all the same.  The limits are those of the documents' samples: what applies to an account is in the
# venue's listing.
CAPABILITIES = Capabilities(
    "binance-usdm",
    amend="full",
    cancel_all="instrument",
    dead_man_ns=DEAD_MAN_NS,
    order_life_ns=RECV_WINDOW_MS * 1_000_000,
    windows=(
        Window("weight", 1_000, 60_000_000_000, 500),
        Window("orders", 300, 10_000_000_000, 0),
        Window("orders_minute", 1_200, 60_000_000_000, 0),
    ),
    costs={
        PLACE_COST: (("weight", 1), ("orders", 1), ("orders_minute", 1)),
        CANCEL_COST: (("weight", 1),),
        CANCEL_ALL_COST: (("weight", 1),),
        REPLACE_COST: (("weight", 1), ("orders", 1), ("orders_minute", 1)),
        ASK_ORDER: (("weight", 1),),
        ASK_OPEN: (("weight", 1),),
        ASK_FILLS: (("weight", 5),),
        ASK_BALANCES: (("weight", 10),),  # and the positions
    },
)


def place_params(order: Order) -> Params:
    """A new order, in one-way mode.  One that takes makes our own resting orders give way, as on spot; the documents
    say so of GTC and IOC, and of FOK nothing."""
    instrument = order.followed.instrument
    params: Params = {
        "symbol": instrument.symbol,
        "side": side_text(order),
        "quantity": instrument.qty_text(order.qty_lots),
        "newClientOrderId": order.client_id,
        "newOrderRespType": "RESULT",
    }
    if order.flags & REDUCE:
        params["reduceOnly"] = "true"
    if order.flags & MARKET:
        return params | {"type": "MARKET"}
    params |= {"type": "LIMIT", "price": instrument.price_text(order.price_ticks)}
    if order.flags & POST_ONLY:
        return params | {"timeInForce": "GTX"}
    life = "IOC" if order.flags & IOC else "FOK" if order.flags & FOK else "GTC"
    return params | {"timeInForce": life, "selfTradePreventionMode": "EXPIRE_MAKER"}


def replace_params(order: Order) -> Params:
    """Another price and open quantity; the venue counts what is filled in the quantity, and puts the order at the end
    of its queue."""
    instrument = order.followed.instrument
    return {
        "symbol": instrument.symbol,
        "side": side_text(order),
        "origClientOrderId": order.client_id,
        "quantity": instrument.qty_text(order.qty_lots + order.done_lots),
        "price": instrument.price_text(order.price_ticks),
    }


def dead_man_params(symbol: str, timeout_ns: int) -> Params:
    """The countdown of one symbol, 0 to stop it."""
    assert 0 <= timeout_ns <= DEAD_MAN_NS
    return {"symbol": symbol, "countdownTime": timeout_ns // 1_000_000}

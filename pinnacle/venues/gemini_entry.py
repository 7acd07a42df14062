"""What Gemini is asked, as parameters and payloads: orders, cancels and questions, pure and without a signature.

Orders go over the websocket, where the venue cancels them when the connection ends; all that is asked goes by REST.
Rules: the venue's public documents and official samples of 2026.
"""

from __future__ import annotations

import msgspec

from pinnacle.event import BUY, FOK, IOC, MARKET, POST_ONLY
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_ALL_COST,
    CANCEL_COST,
    PLACE_COST,
    POST_ONLY_ENDED,
    Capabilities,
    Order,
    Window,
)

PLACE, CANCEL, CANCEL_SESSION, CANCEL_ACCOUNT = (
    "order.place",
    "order.cancel",
    "order.cancel_session",
    "order.cancel_all",
)
TIME, SUBSCRIBE = "time", "subscribe"
CANCEL_PATH, STATUS_PATH, OPEN_PATH = "/v1/order/cancel", "/v1/order/status", "/v1/orders"
CANCEL_ACCOUNT_PATH, CANCEL_SESSION_PATH = "/v1/order/cancel/all", "/v1/order/cancel/session"
FILLS_PATH, BALANCES_PATH, HEARTBEAT_PATH = "/v1/mytrades", "/v1/balances", "/v1/heartbeat"
STREAMS = ["orders@account", "balances@account"]
# Fills of one answer, the most that the venue gives.
FILLS_MAX = 500
# A key that "requires heartbeat" loses its orders after so long without a signed request.
DEAD_MAN_NS = 30_000_000_000
# An order over the websocket has no time of its own: it arrives with the connection or not at all.  Bytes of a
# connection that broke are read by the venue within seconds; this is an assumption, and no rule of the venue's.
ORDER_LIFE_NS = 10_000_000_000
# The venue recommends five requests a second by REST and allows 600 a minute; orders 3,500 in ten seconds.
CAPABILITIES = Capabilities(
    "gemini",
    post_only=POST_ONLY_ENDED,
    cancel_all="account",
    cancel_on_disconnect=True,
    dead_man_ns=DEAD_MAN_NS,
    venue_ids_only=True,
    order_life_ns=ORDER_LIFE_NS,
    windows=(
        Window("orders", 3_500, 10_000_000_000, 0),
        Window("messages", 7_000, 10_000_000_000, 1_000),
        Window("rest", 600, 60_000_000_000, 0),
    ),
    costs={
        PLACE_COST: (("orders", 1), ("messages", 1)),
        CANCEL_COST: (("messages", 1),),
        CANCEL_ALL_COST: (("messages", 1),),
        ASK_ORDER: (("rest", 1),),
        ASK_OPEN: (("rest", 1),),
        ASK_FILLS: (("rest", 1),),
        ASK_BALANCES: (("rest", 1),),
    },
)


def request(number: str, method: str, params: object) -> bytes:
    """A request over the websocket; params: an object for orders, an array of names for subscriptions."""
    return msgspec.json.encode({"id": number, "method": method, "params": params})


def place_params(order: Order) -> dict[str, str]:
    """A new order.  MOC (maker or cancel) is post-only: taken up and cancelled where it would take."""
    instrument = order.followed.instrument
    params = {
        "symbol": instrument.symbol.lower(),
        "side": "BUY" if order.side == BUY else "SELL",
        "type": "MARKET" if order.flags & MARKET else "LIMIT",
        "quantity": instrument.qty_text(order.qty_lots),
        "clientOrderId": order.client_id,
    }
    if not order.flags & MARKET:
        params["price"] = instrument.price_text(order.price_ticks)
        flags = order.flags
        params["timeInForce"] = (
            "MOC" if flags & POST_ONLY else "IOC" if flags & IOC else "FOK" if flags & FOK else "GTC"
        )
    return params


def cancel_params(venue_id: int) -> dict[str, str]:
    """A cancel: by the venue's number, as text (a number is refused)."""
    return {"orderId": str(venue_id)}


def payload(path: str, nonce: int, fields: dict[str, object]) -> bytes:
    """What is signed of a REST request, and all that the venue reads of it."""
    return msgspec.json.encode({"request": path, "nonce": str(nonce)} | fields)


def status_fields(client_id: str) -> dict[str, object]:
    """How the orders of a client's id stand."""
    return {"client_order_id": client_id}


def fills_fields(symbol: str, since_ms: int) -> dict[str, object]:
    """Own fills, newest first; since_ms: 0 for the latest."""
    fields: dict[str, object] = {"symbol": symbol.lower(), "limit_trades": FILLS_MAX}
    return fields | ({"timestamp": since_ms} if since_ms else {})


def order_fills_fields(venue_id: int) -> dict[str, object]:
    """One order with its fills."""
    return {"order_id": venue_id, "include_trades": True}

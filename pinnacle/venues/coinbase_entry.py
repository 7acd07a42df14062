"""What Coinbase Exchange is asked, as bodies and paths: orders, cancels and questions, pure and without a signature.

Rules: the venue's public documents of 2025 and 2026.
"""

from __future__ import annotations

import msgspec

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
    Capabilities,
    Order,
    Window,
)

# A request's timestamp may be so far from the venue's clock: so long an order may still be taken.
STAMP_NS_MAX = 30_000_000_000
TIME_PATH, ORDERS_PATH, ACCOUNTS_PATH = "/time", "/orders", "/accounts"
# Private requests are 15 a second and 30 at once, those for fills 10 and 20: counters that fall.
CAPABILITIES = Capabilities(
    "coinbase",
    cancel_all="instrument",
    order_life_ns=STAMP_NS_MAX + 1_000_000_000,
    windows=(
        Window("private", 30, 1_000_000_000, 12, decay_per_s=15.0),
        Window("fills", 20, 1_000_000_000, 0, decay_per_s=10.0),
    ),
    costs={
        PLACE_COST: (("private", 1),),
        CANCEL_COST: (("private", 1),),
        CANCEL_ALL_COST: (("private", 1),),
        ASK_ORDER: (("private", 1),),
        ASK_OPEN: (("private", 1),),
        ASK_FILLS: (("fills", 1),),
        ASK_BALANCES: (("private", 1),),
    },
)


def place_body(order: Order) -> bytes:
    """A new order.  Own resting orders give way to one that takes (co): a hedge must not wait for them."""
    instrument = order.followed.instrument
    said: dict[str, object] = {
        "client_oid": order.client_id,
        "product_id": instrument.symbol,
        "side": "buy" if order.side == BUY else "sell",
    }
    if order.flags & MARKET:
        said |= {"type": "market", "size": instrument.qty_text(order.qty_lots)}
    else:
        said |= {
            "type": "limit",
            "price": instrument.price_text(order.price_ticks),
            "size": instrument.qty_text(order.qty_lots),
        }
        if order.flags & POST_ONLY:
            said["post_only"] = True
        elif order.flags & (IOC | FOK):
            said["time_in_force"] = "IOC" if order.flags & IOC else "FOK"
    said["stp"] = "co"
    return msgspec.json.encode(said)


def order_path(order: Order) -> str:
    """An order, by our id for it: that is known before the venue has answered."""
    return f"{ORDERS_PATH}/client:{order.client_id}"


def cancel_path(order: Order, text: str = "") -> str:
    """The product makes the cancel faster, the documents say.  text: the venue's id, for an order of others that has
    none of a client's."""
    path = order_path(order) if order.client_id else f"{ORDERS_PATH}/{text}"
    return f"{path}?product_id={order.followed.instrument.symbol}"


def cancel_all_path(symbol: str) -> str:
    """Everything of a product; "" for the whole profile."""
    return f"{ORDERS_PATH}?product_id={symbol}" if symbol else ORDERS_PATH


def open_path(symbol: str) -> str:
    """Open orders of a product, of which the venue allows no more than one page."""
    return f"{ORDERS_PATH}?limit=1000&product_id={symbol}&status=open&status=pending"


def fills_path(symbol: str, venue_text: str, after: int) -> str:
    """Own fills, newest first; after: a trade id, those older than it."""
    whose = f"order_id={venue_text}" if venue_text else f"product_id={symbol}"
    return f"/fills?{whose}&limit={FILLS_PAGE}" + (f"&after={after}" if after else "")


def subscription(symbols: list[str], channel: str, signature: dict[str, str]) -> bytes:
    """Ask for a channel; signature: of an authenticated one."""
    return msgspec.json.encode({"type": "subscribe", "product_ids": symbols, "channels": [channel]} | signature)

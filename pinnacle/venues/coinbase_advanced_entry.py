"""What Coinbase Advanced Trade is asked, as bodies and paths: orders, cancels and questions, pure and without a token.

Rules: the venue's official client and public documents of 2026.
"""

from __future__ import annotations

import msgspec

from pinnacle.event import BUY, FOK, IOC, MARKET, POST_ONLY
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_COST,
    PLACE_COST,
    REPLACE_COST,
    Capabilities,
    Order,
    Window,
)
from pinnacle.venues.iso import iso_of_ns
from pinnacle.venues.private.coinbase_advanced import since_ns

API = "/api/v3/brokerage"
TIME_PATH = f"{API}/time"
ORDERS_PATH, CANCEL_PATH, EDIT_PATH = f"{API}/orders", f"{API}/orders/batch_cancel", f"{API}/orders/edit"
# A token is valid for two minutes; that of a new order is dated back, so that an order that is late by more than this
# is refused and its absence proves something soon.
PLACE_LIFE_S = 15
# Orders and fills of one answer; what all of the venue's limits allow.
PAGE = 100
ACCOUNTS_PAGE = 250
# The venue may list an order a little before we think that it was sent: clocks differ.
_BEFORE_NS = 60_000_000_000
CAPABILITIES = Capabilities(
    "coinbase-advanced",
    amend="full",
    venue_ids_only=True,
    order_life_ns=(PLACE_LIFE_S + 1) * 1_000_000_000,
    windows=(Window("private", 30, 1_000_000_000, 12),),
    costs=dict.fromkeys(
        (PLACE_COST, CANCEL_COST, REPLACE_COST, ASK_ORDER, ASK_OPEN, ASK_FILLS, ASK_BALANCES), (("private", 1),)
    ),
)


def place_body(order: Order) -> bytes:
    """A new order."""
    instrument = order.followed.instrument
    size: dict[str, object] = {"base_size": instrument.qty_text(order.qty_lots)}
    limit = size | {"limit_price": instrument.price_text(order.price_ticks)}
    if order.flags & MARKET:
        configuration: dict[str, object] = {"market_market_ioc": size}
    elif order.flags & IOC:
        configuration = {"sor_limit_ioc": limit}
    elif order.flags & FOK:
        configuration = {"limit_limit_fok": limit}
    else:
        configuration = {"limit_limit_gtc": limit | {"post_only": bool(order.flags & POST_ONLY)}}
    return msgspec.json.encode(
        {
            "client_order_id": order.client_id,
            "product_id": instrument.symbol,
            "side": "BUY" if order.side == BUY else "SELL",
            "order_configuration": configuration,
        }
    )


def cancel_body(venue_text: str) -> bytes:
    """A cancel of one order: the venue takes only its own text."""
    return msgspec.json.encode({"order_ids": [venue_text]})


def edit_body(order: Order, venue_text: str) -> bytes:
    """Another price and size; the size is of the whole order, with what was filled."""
    instrument = order.followed.instrument
    return msgspec.json.encode(
        {
            "order_id": venue_text,
            "price": instrument.price_text(order.price_ticks),
            "size": instrument.qty_text(order.qty_lots + order.done_lots),
        }
    )


def order_path(venue_text: str) -> str:
    """How one order stands."""
    return f"{API}/orders/historical/{venue_text}"


def open_path(symbol: str, cursor: str) -> str:
    """Open orders of a product."""
    return f"{API}/orders/historical/batch?order_status=OPEN&product_ids={symbol}&limit={PAGE}{_next(cursor)}"


def recent_path(symbol: str, sent_venue_ns: int, cursor: str) -> str:
    """Orders of a product, open or not, of about when one was sent (0: newest first, from the end)."""
    since = f"&start_date={iso_of_ns(sent_venue_ns - _BEFORE_NS)}" if sent_venue_ns else ""
    return f"{API}/orders/historical/batch?product_ids={symbol}&limit={PAGE}{since}{_next(cursor)}"


def fills_path(symbol: str, venue_text: str, first_trade_id: int, cursor: str) -> str:
    """Own fills, newest first: of one order, or of a product and where possible since a trade."""
    whose = f"order_ids={venue_text}" if venue_text else f"product_ids={symbol}"
    begin_ns = 0 if venue_text else since_ns(first_trade_id)
    since = f"&start_sequence_timestamp={iso_of_ns(begin_ns)}" if begin_ns else ""
    return f"{API}/orders/historical/fills?{whose}&limit={PAGE}{since}{_next(cursor)}"


def accounts_path(cursor: str) -> str:
    """What the account holds."""
    return f"{API}/accounts?limit={ACCOUNTS_PAGE}{_next(cursor)}"


def subscription(channel: str, symbols: list[str], token: str) -> bytes:
    """Ask for a channel; token: of an authenticated one."""
    said: dict[str, object] = {"type": "subscribe", "channel": channel}
    if symbols:
        said["product_ids"] = symbols
    return msgspec.json.encode(said | ({"jwt": token} if token else {}))


def _next(cursor: str) -> str:
    return f"&cursor={cursor}" if cursor else ""

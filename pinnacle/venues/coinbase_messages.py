"""The messages of Coinbase Exchange's websocket and REST, as much of each as a feed reads.

    {"type":"l2update","product_id":"BTC-USD","time":"2022-08-04T15:25:05.010758Z",
     "changes":[["buy","22356.27","0.00000000"],["buy","22356.30","1.00000000"]]}

Level arrays stay text (msgspec.Raw): they are most of a message and go to a kernel.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from pinnacle.limits import INT64_MAX

# A number of the venue's own that ends up in a record.
Id = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]


class Tagged(msgspec.Struct, tag_field="type"):
    """A message that says its type."""


class Snapshot(Tagged, tag="snapshot"):
    """The whole book of a level2 channel."""

    product_id: str
    bids: msgspec.Raw
    asks: msgspec.Raw


class Update(Tagged, tag="l2update"):
    """Levels that are new; rows are [buy|sell, price, size]."""

    product_id: str
    changes: msgspec.Raw
    time: str


class Match(Tagged, tag="match"):
    """A trade.  side: of the MAKER, so the aggressor did the opposite."""

    product_id: str
    trade_id: Id
    sequence: Id
    side: str
    size: str
    price: str
    time: str
    maker_order_id: str = ""


class LastMatch(Match, tag="last_match"):
    """The trade before the subscription."""


class Ticker(Tagged, tag="ticker"):
    """Best prices after a trade; their sizes are absent in old recordings."""

    product_id: str
    sequence: Id = 0
    best_bid: str = ""
    best_ask: str = ""
    best_bid_size: str = "0"
    best_ask_size: str = "0"
    time: str = ""


class Heartbeat(Tagged, tag="heartbeat"):
    """One a second and product."""

    product_id: str
    sequence: Id
    last_trade_id: Id
    time: str


class Channel(msgspec.Struct):
    """One channel of a `subscriptions` message."""

    name: str
    product_ids: list[str] = []


class Subscriptions(Tagged, tag="subscriptions"):
    """What this connection is subscribed to, all of it."""

    channels: list[Channel]


class Refused(Tagged, tag="error"):
    """The venue took a message of ours for wrong."""

    message: str = ""
    reason: str = ""


class Product(msgspec.Struct):
    """One product, of GET /products and of the status channel."""

    id: str
    base_increment: str
    quote_increment: str
    base_currency: str = ""
    quote_currency: str = ""
    base_min_size: str | None = None
    min_market_funds: str | None = None
    status: str = "online"
    post_only: bool = False
    limit_only: bool = False
    cancel_only: bool = False
    trading_disabled: bool = False


class Status(Tagged, tag="status"):
    """All products and what they take."""

    products: list[Product]


# --- single orders (`full`) -------------------------------------------------------------------------------------------


class Received(Tagged, tag="received"):
    """An order was taken in; it is not on the book yet."""

    product_id: str
    sequence: Id
    time: str = ""


class Activate(Tagged, tag="activate"):
    """A stop order was placed or fired."""

    product_id: str
    sequence: Id = 0
    time: str = ""
    timestamp: str = ""


class Open(Tagged, tag="open"):
    """An order joins the book."""

    product_id: str
    sequence: Id
    order_id: str
    side: str
    price: str
    remaining_size: str
    time: str = ""


class Done(Tagged, tag="done"):
    """An order is over; it may never have been on the book."""

    product_id: str
    sequence: Id
    order_id: str
    time: str = ""


class Change(Tagged, tag="change"):
    """An order's size, and if it was modified its price, are new; price is null for a market order."""

    product_id: str
    sequence: Id
    order_id: str
    new_size: str | None = None
    price: str | None = None
    new_price: str | None = None
    time: str = ""


class Noop(Tagged, tag="noop"):
    """level3 only: nothing happened that a book shows, but the sequence moved."""

    product_id: str
    sequence: Id
    time: str = ""


class Schema(Tagged, tag="level3"):
    """The order of fields of the arrays that follow on `level3`."""

    schema: dict[str, list[str]]


Message = (
    Update | Match | Ticker | Heartbeat | LastMatch | Open | Done | Received | Change | Activate | Noop | Snapshot
    | Subscriptions | Status | Schema | Refused
)  # fmt: skip
OrderMessage = Open | Done | Match | Change | Received | Activate | Noop


class OrderSnapshot(msgspec.Struct):
    """GET /products/<id>/book?level=3; rows are [price, size, order id], the orders of a price in queue order."""

    sequence: Id
    bids: list[tuple[str, str, str]]
    asks: list[tuple[str, str, str]]

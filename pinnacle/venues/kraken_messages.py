"""What Kraken's websocket v2 sends, as types.  Arrays of levels, and numbers, stay text: their digits are checksummed.

{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":62802.5,"qty":0.02987767}],"asks":[],
 "checksum":975661613,"timestamp":"2026-08-16T23:37:04.316445Z"}]}
{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,
 "ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}
{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",
 "connection_id":769405522530892351}]}
{"channel":"heartbeat"}
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

Checksum = Annotated[int, Meta(ge=0, lt=1 << 32)]
Id = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_NONE = Raw(b"")
_EMPTY = Raw(b"[]")


class Envelope(Struct):
    """Any message: of a channel, or the answer to a request.  data: its body, by channel."""

    channel: str = ""
    type: str = ""
    data: Raw = _NONE
    method: str = ""
    success: bool = True
    error: str | None = None
    symbol: str | None = None


class Book(Struct):
    """A message of `book` or `level3`."""

    symbol: str
    checksum: Checksum
    bids: Raw = _EMPTY
    asks: Raw = _EMPTY
    timestamp: Raw = _NONE


class Order(Struct):
    """An order of `level3`; event is empty in a snapshot, else add, modify or delete."""

    order_id: str
    limit_price: Raw
    order_qty: Raw
    timestamp: str = ""
    event: str = ""


class Trade(Struct):
    """A trade; side is the taker's."""

    symbol: str
    side: str
    price: Raw
    qty: Raw
    trade_id: Id
    timestamp: str


class Ticker(Struct):
    """Best prices and quantities."""

    symbol: str
    bid: Raw
    bid_qty: Raw
    ask: Raw
    ask_qty: Raw
    timestamp: str = ""


class Pair(Struct):
    """An instrument; the steps are bare numbers."""

    symbol: str
    status: str
    price_precision: Annotated[int, Meta(ge=0, le=18)]
    qty_precision: Annotated[int, Meta(ge=0, le=18)]


class Instruments(Struct):
    """The body of `instrument`."""

    pairs: list[Pair] = []


class Status(Struct):
    """The system's state."""

    system: str


class AssetPair(Struct):
    """A row of REST AssetPairs.  tick_size, costmin and status are absent in 2021."""

    wsname: str = ""
    base: str = ""
    quote: str = ""
    pair_decimals: Annotated[int, Meta(ge=0, le=18)] = 0
    lot_decimals: Annotated[int, Meta(ge=0, le=18)] = 0
    ordermin: str = "0"
    costmin: str = "0"
    tick_size: str = ""
    status: str = "online"


class AssetPairs(Struct):
    """The answer to REST AssetPairs."""

    error: list[str]
    result: dict[str, AssetPair] = {}


def decoder(kind: Any) -> Any:
    """A JSON decoder of a type, as a function of bytes."""
    return msgspec.json.Decoder(kind).decode


envelope = decoder(Envelope)
# A book message holds one book, but a list that one day holds two is taken as it stands.
books = decoder(list[Book])
orders = decoder(list[Order])
trades = decoder(list[Trade])
tickers = decoder(list[Ticker])
instruments = decoder(Instruments)
statuses = decoder(list[Status])
asset_pairs = decoder(AssetPairs)

# What decoding raises for bytes that are not what they should be.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

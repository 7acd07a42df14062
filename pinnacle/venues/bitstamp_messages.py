"""What Bitstamp's websocket v2 and REST send, as types.  Keys come in any order; of two numbers the text counts.

{"data":{"timestamp":"1618677691","microtimestamp":"1618677691704166","bids":[["312.66","0.00000000"]],"asks":[]},
 "channel":"diff_order_book_ltcusd","event":"data"}
{"channel":"live_trades_ltcusd","data":{"amount":6.33171283,"amount_str":"6.33171283","buy_order_id":1351035776413697,
 "id":164507734,"microtimestamp":"1618677693509000","price":312.88,"price_str":"312.88",
 "sell_order_id":1351035736915970,"timestamp":"1618677693","type":0},"event":"trade"}
{"event":"bts:request_reconnect","channel":"","data":null}
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

Id = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_NONE, _EMPTY = Raw(b""), Raw(b"[]")


class Levels(Struct):
    """Changed levels, or with REST a whole book; microtimestamp in us, as text."""

    microtimestamp: str
    bids: Raw = _EMPTY
    asks: Raw = _EMPTY


class Body(Struct, kw_only=True):
    """The body of any message: of levels, a trade (type 0: the taker bought), an order (what is left of it after an
    event, order_type 0: buy), or a refusal.  One type for all, because two decodings of a message cost twice as much.
    """

    microtimestamp: str = ""
    bids: Raw = _EMPTY
    asks: Raw = _EMPTY
    id: Id = 0
    type: int = -1
    order_type: int = -1
    price: Raw = _NONE
    amount: Raw = _NONE
    price_str: str = ""
    amount_str: str = ""
    buy_order_id: Id = 0
    sell_order_id: Id = 0
    code: int | str | None = None
    message: str = ""


class Frame(Struct):
    """Any message.  event_id, pre_event_id: of live_orders, this event and the one before it."""

    event: str
    channel: str = ""
    data: Body | None = None
    event_id: str = ""
    pre_event_id: str = ""


class Orders(Struct):
    """A whole book by orders: (price, amount, id), best first."""

    microtimestamp: str
    bids: list[tuple[str, str, str]]
    asks: list[tuple[str, str, str]]


class TradingPair(Struct):
    """A row of REST trading-pairs-info (older) or markets (newer)."""

    name: str
    base_decimals: Annotated[int, Meta(ge=0, le=18)]
    counter_decimals: Annotated[int, Meta(ge=0, le=18)]
    url_symbol: str = ""
    market_symbol: str = ""
    minimum_order: str = ""
    minimum_order_value: str = ""
    minimum_order_amount: str = ""


frame = msgspec.json.Decoder(Frame).decode
levels = msgspec.json.Decoder(Levels).decode
orders = msgspec.json.Decoder(Orders).decode
trading_pairs = msgspec.json.Decoder(list[TradingPair]).decode

# What decoding raises for bytes that are not what they should be.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def text(words: str, number: Raw) -> str:
    """A number's text, out of a message that has it as text or as a bare number only."""
    return words or bytes(number).decode().strip('"')


def time_ns(microtimestamp: str) -> int:
    """ns of a time in us.  Raises ValueError."""
    if len(microtimestamp) > 16:
        raise ValueError(f"bitstamp: a time of {microtimestamp[:30]!r}")
    return int(microtimestamp) * 1000

"""Coinbase Advanced Trade's market data: levels, trades, best prices; each message of a connection counts one more.

    {"channel":"l2_data","client_id":"","timestamp":"2026-04-07T14:30:01.456789Z","sequence_num":1,
     "events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid",
       "event_time":"2026-04-07T14:30:01.456789Z","price_level":"68900.00","new_quantity":"2.00000000"}]}]}

The number is the connection's, over all channels, so a lost message may be of any book: then all are lost and the
connection is made anew.  Asks are called "offer" here; `ask` has been seen in clients and is taken as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.event import SNAPSHOT
from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase_messages import Id
from pinnacle.venues.coinbase_orders import SIDES
from pinnacle.venues.connection import Connection, once_each
from pinnacle.venues.feed import (
    CAUSE_CROSSED,
    CAUSE_MALFORMED,
    CAUSE_SEQUENCE,
    CAUSE_VENUE,
    Address,
    Followed,
    Malformed,
    Rows,
)
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.levels import Levels
from pinnacle.venues.link import Link
from pinnacle.venues.own_levels import OwnLevels
from pinnacle.venues.singles import Singles

ADDRESS = Address("wss://advanced-trade-ws.coinbase.com", "https://api.coinbase.com")
HEADERS = {"User-Agent": "pinnacle"}
# Heartbeats come each second.
SILENCE_NS = 5_000_000_000
CHANNELS = ("heartbeats", "level2", "market_trades", "ticker")
# Products of their own; every other -USDC product shares the book of its -USD twin, which alone is sent.
_OWN_USDC = ("USDT-USDC", "EURC-USDC")
# A fresh token for one subscription: see signing.coinbase_jwt without uri.
Sign = Callable[[int], str]


class Envelope(msgspec.Struct, tag_field="channel"):
    """What every message begins with."""

    timestamp: str
    sequence_num: Id


class LevelEvent(msgspec.Struct):
    """A whole book or new levels of one product."""

    type: str
    product_id: str
    updates: msgspec.Raw


class LevelData(Envelope, tag="l2_data"):
    """The channel `level2`."""

    events: list[LevelEvent]


class Trade(msgspec.Struct):
    """side: of the maker, as on the Exchange's feed."""

    trade_id: str
    product_id: str
    price: str
    size: str
    side: str
    time: str


class TradeEvent(msgspec.Struct):
    """A snapshot is of trades before the subscription."""

    type: str
    trades: list[Trade]


class Trades(Envelope, tag="market_trades"):
    """Batches of about 250 ms."""

    events: list[TradeEvent]


class BestPrices(msgspec.Struct):
    """One product's ticker."""

    product_id: str
    best_bid: str = ""
    best_bid_quantity: str = "0"
    best_ask: str = ""
    best_ask_quantity: str = "0"


class TickerEvent(msgspec.Struct):
    """Tickers of several products."""

    tickers: list[BestPrices]


class Tickers(Envelope, tag="ticker"):
    """After each trade."""

    events: list[TickerEvent]


class Heartbeats(Envelope, tag="heartbeats"):
    """One a second; its current_time is no RFC 3339 and is not read."""


class Subscriptions(Envelope, tag="subscriptions"):
    """Everything this connection is subscribed to; it counts in the sequence like any message."""


class _Any(msgspec.Struct):
    channel: str = ""
    sequence_num: Id | None = None
    type: str = ""
    message: str = ""


_decoder = msgspec.json.Decoder(LevelData | Trades | Tickers | Heartbeats | Subscriptions)
_any = msgspec.json.Decoder(_Any)
_KNOWN = {"l2_data", "market_trades", "ticker", "heartbeats", "subscriptions"}


class Book:
    """One product's book and the last of its trades."""

    __slots__ = ("levels", "link", "singles", "trade_id")

    def __init__(self, followed: Followed) -> None:
        self.link, self.trade_id = Link(followed), 0
        self.levels = OwnLevels(followed, Levels(followed, ("price_level", "new_quantity", "side")))
        self.singles = Singles(followed)


class AdvancedFeed(Connection):
    """All products on one connection.  sign: makes the subscriptions authenticated, which market data need not be."""

    def __init__(self, followed: Sequence[Followed], sign: Sign | None = None) -> None:
        names = [book_name(one.instrument.symbol) for one in followed]
        once_each("coinbase-advanced", followed, names)
        if any(one.orders for one in followed):
            raise OperatorError("coinbase_advanced: single orders are not offered here; follow levels, or `coinbase`")
        self._books = {name: Book(one) for name, one in zip(names, followed)}
        super().__init__("coinbase-advanced", [book.link for book in self._books.values()], SILENCE_NS, "", HEADERS)
        self._sign = sign
        self._sequence: int | None = None
        self._do: dict[Any, Callable[..., None]] = {
            LevelData: self._levels, Trades: self._trades, Tickers: self._tickers,
        }  # fmt: skip

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """One subscription a channel, heartbeats first: without them a quiet connection is closed after a minute."""
        self.begin(ts_ns)
        self._sequence = None
        for book in self._books.values():
            book.trade_id = 0
            book.link.asked()
        for channel in CHANNELS:
            request: dict[str, object] = {"type": "subscribe", "channel": channel}
            if channel != "heartbeats":
                request["product_ids"] = list(self._books)
            if self._sign is not None:
                request["jwt"] = self._sign(ts_ns)
            self.sends.append(msgspec.json.encode(request))

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One message.  Raises Malformed."""
        self.heard(ts_ns, rows)
        try:
            message = _decoder.decode(data)
        except msgspec.ValidationError as error:
            self._unusual(data, error, ts_ns, rows)
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._spent(str(error), data, ts_ns, rows) from None
        if not self._next(message.sequence_num, ts_ns, rows):
            return
        do = self._do.get(type(message))
        if do is None:
            self.count("heartbeats and acknowledgements")
            return
        try:
            do(message, ts_ns, rows)
        except Malformed as error:
            raise self._spent(str(error), b"", ts_ns, rows) from None
        except ValueError as error:  # a time or a number that is none
            raise self._spent(str(error), data, ts_ns, rows) from None

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """Nothing is ever fetched."""

    def _next(self, number: int, ts_ns: int, rows: Rows) -> bool:
        """Whether this is a message to be heard.  One that is missing takes every book with it."""
        last, self._sequence = self._sequence, number
        if last is None or number == last + 1:
            return not self.restart
        if number <= last:
            self._sequence = last
            self.count("late")
            return False
        self.count("gaps")
        self.lose(CAUSE_SEQUENCE, f"message {last + 1} is missing", ts_ns, rows)
        return False

    def _levels(self, message: LevelData, ts_ns: int, rows: Rows) -> None:
        ts_venue_ns = ns_of_iso(message.timestamp)
        if self.aged(ts_ns, ts_venue_ns, rows):
            return
        for event in message.events:
            book = self._books.get(event.product_id)
            if book is None:
                self.count("not followed")
                continue
            if event.type == "snapshot":
                self._whole(book, event, ts_ns, ts_venue_ns, rows)
                continue
            if event.type != "update":
                raise Malformed(f"coinbase_advanced: {event.product_id}: levels of type {event.type[:20]!r}")
            if not book.link.live:
                self.count("updates before a book")
                continue
            if book.levels.write(event.updates, 0, ts_ns, ts_venue_ns, 0, True, message.sequence_num, rows):
                self._crossed(event.product_id, ts_ns, rows)

    def _whole(self, book: Book, event: LevelEvent, ts_ns: int, ts_venue_ns: int, rows: Rows) -> None:
        book.link.asked()
        book.link.begin(ts_ns, ts_venue_ns, rows)
        book.levels.clear()
        crossed = book.levels.write(event.updates, 0, ts_ns, ts_venue_ns, SNAPSHOT, False, 0, rows)
        book.link.whole(ts_ns, ts_venue_ns, rows)
        if crossed:
            self._crossed(event.product_id, ts_ns, rows)

    def _crossed(self, name: str, ts_ns: int, rows: Rows) -> None:
        self.count("crossed")
        self.lose(CAUSE_CROSSED, f"the book of {name} is crossed", ts_ns, rows)

    def _trades(self, message: Trades, ts_ns: int, rows: Rows) -> None:
        """Trades in the order they happened; those from before the subscription are only remembered."""
        for event in message.events:
            for trade_id, trade in sorted(((number_of(one.trade_id), one) for one in event.trades), key=lambda x: x[0]):
                book = self._books.get(trade.product_id)
                if book is None:
                    self.count("not followed")
                    continue
                if trade_id <= book.trade_id:
                    self.count("late")
                    continue
                book.trade_id = trade_id
                if event.type == "snapshot":
                    continue
                side = SIDES.get(trade.side.lower())
                if side is None:
                    raise Malformed(f"coinbase_advanced: {trade.product_id}: a trade of side {trade.side[:20]!r}")
                book.singles.trade(trade.price, trade.size, -side, trade_id, ts_ns, ns_of_iso(trade.time), rows)

    def _tickers(self, message: Tickers, ts_ns: int, rows: Rows) -> None:
        ts_venue_ns = ns_of_iso(message.timestamp)
        for event in message.events:
            for one in event.tickers:
                book = self._books.get(one.product_id)
                if book is None:
                    self.count("not followed")
                    continue
                book.singles.ticker(
                    one.best_bid or "0", one.best_bid_quantity or "0", one.best_ask or "0",
                    one.best_ask_quantity or "0",
                    message.sequence_num, ts_ns, ts_venue_ns, rows,
                )  # fmt: skip

    def _unusual(self, data: bytes, error: Exception, ts_ns: int, rows: Rows) -> None:
        """A channel that is new counts in the sequence all the same; an error of the venue ends the connection."""
        try:
            message = _any.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._spent(str(error), data, ts_ns, rows) from None
        if message.type == "error":
            self.count("refused")
            self.lose(CAUSE_VENUE, message.message[:200], ts_ns, rows)
            return
        if not message.channel or message.channel in _KNOWN:
            raise self._spent(str(error), data, ts_ns, rows)
        self.count("unknown types")
        if message.sequence_num is not None:
            self._next(message.sequence_num, ts_ns, rows)

    def _spent(self, why: str, data: bytes, ts_ns: int, rows: Rows) -> Malformed:
        """The error to raise, after the books have been given up."""
        self.lose(CAUSE_MALFORMED, "a message that is none", ts_ns, rows)
        return Malformed(f"coinbase_advanced: {why[:300]}{f': {data[:80]!r}' if data else ''}")


def book_name(symbol: str) -> str:
    """The product whose book a symbol trades on, as market data names it."""
    if symbol.endswith("-USDC") and symbol not in _OWN_USDC:
        return symbol.removesuffix("C")
    return symbol


def number_of(text: str) -> int:
    """A trade id.  Raises ValueError for other than up to 18 digits."""
    if not (text.isdigit() and text.isascii() and len(text) <= 18):
        raise ValueError(f"no trade id: {text[:40]!r}")
    return int(text)


def feeds(followed: Sequence[Followed], address: Address = ADDRESS, sign: Sign | None = None) -> Sequence[AdvancedFeed]:
    """One connection for everything."""
    return [AdvancedFeed(followed, sign)]


def recorded(followed: Sequence[Followed], asked: str) -> AdvancedFeed:
    """The feed of a recorded connection; asked: what its recorder subscribed to."""
    return AdvancedFeed(followed)


class _Product(msgspec.Struct):
    product_id: str
    base_increment: str
    price_increment: str = ""
    quote_increment: str = ""
    base_min_size: str = "0"
    quote_min_size: str = "0"
    base_currency_id: str = ""
    quote_currency_id: str = ""


class _Products(msgspec.Struct):
    products: list[_Product]


_products = msgspec.json.Decoder(_Products)
_product = msgspec.json.Decoder(_Product)


def instruments_path(symbols: Sequence[str]) -> str:
    """Where instruments are said, without a key: one product, or all of them."""
    products = "/api/v3/brokerage/market/products"
    return f"{products}/{symbols[0]}" if len(symbols) == 1 else products


def instruments(body: bytes) -> list[Instrument]:
    """Instruments of an answer to instruments_path; what cannot be counted in whole steps is left out.

    price_increment is the tick (quote_increment is that of amounts of money).  Raises Malformed.
    """
    try:
        try:
            products = _products.decode(body).products
        except msgspec.ValidationError:
            products = [_product.decode(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"coinbase_advanced: products: {error}: {body[:80]!r}") from None
    found = []
    for one in products:
        try:
            tick, lot = Decimal(one.price_increment or one.quote_increment), Decimal(one.base_increment)
            found.append(
                Instrument(
                    "coinbase-advanced", one.product_id, tick, lot, qty_min=Decimal(one.base_min_size or 0),
                    notional_min=Decimal(one.quote_min_size or 0), base=one.base_currency_id,
                    quote=one.quote_currency_id,
                )
            )  # fmt: skip
        except (InvalidOperation, OperatorError):
            continue
    return found

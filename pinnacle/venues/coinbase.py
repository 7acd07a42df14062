"""Coinbase Exchange's market data: levels (level2, level2_batch) or single orders (full, level3), trades, best prices.

The level channels have neither sequence nor checksum; the venue guarantees delivery.  What a lost message can be told
by all the same: trade ids of a product follow one another, the heartbeat says the last of them, times of updates never
go back, and a book is never crossed.  A single lost update between two trades that crosses nothing is not noticed, and
no client can.  The order channels count every message of a product, so there any loss shows.

The Coinbase Pro feed of 2021 spoke the same messages, so recordings of it decode here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.event import (
    ASK,
    BID,
    MARKET_STATE,
    SNAPSHOT,
    STATE_OPEN,
)
from pinnacle.kernels.coinbase import update_said
from pinnacle.venues.coinbase_messages import (
    Activate,
    Change,
    Channel,
    Done,
    Heartbeat,
    LastMatch,
    Match,
    Message,
    Noop,
    Open,
    OrderMessage,
    OrderSnapshot,
    Received,
    Refused,
    Schema,
    Snapshot,
    Status,
    Subscriptions,
    Ticker,
    Update,
)
from pinnacle.venues.coinbase_orders import SIDES, OrderBook
from pinnacle.venues.coinbase_products import instruments, instruments_path, state_of
from pinnacle.venues.connection import Connection, once_each
from pinnacle.venues.feed import (
    CAUSE_CROSSED,
    CAUSE_SEQUENCE,
    CAUSE_VENUE,
    LIVE,
    SYNCING,
    Address,
    Fetch,
    Followed,
    Malformed,
    Rows,
)
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.levels import Levels
from pinnacle.venues.link import Link
from pinnacle.venues.own_levels import OwnLevels
from pinnacle.venues.singles import Singles

__all__ = ["ADDRESS", "CoinbaseFeed", "Sign", "feeds", "instruments", "instruments_path", "recorded"]

ADDRESS = Address("wss://ws-feed.exchange.coinbase.com", "https://api.exchange.coinbase.com")
# The venue refuses requests that do not say who asks.
HEADERS = {"User-Agent": "pinnacle"}
# Heartbeats come each second, so this many missing ones are a connection that is half open.
SILENCE_NS = 5_000_000_000
# Fields that make a subscription an authenticated one, for a time: see signing.coinbase_exchange_subscribe.
Sign = Callable[[int], Mapping[str, str]]

_decoder = msgspec.json.Decoder(Message)
_snapshots = msgspec.json.Decoder(OrderSnapshot)
_arrays = msgspec.json.Decoder(list[str])
# How an update begins, and where in it the product's name does.
_UPDATE = b'{"type":"l2update","product_id":"'
_NAME_AT = len(_UPDATE)
_RETRY_NS_MAX = 32_000_000_000
_KNOWN_TYPES = {
    "snapshot", "l2update", "match", "last_match", "ticker", "heartbeat", "subscriptions", "error", "status", "open",
    "done", "change", "received", "activate", "noop", "level3",
}  # fmt: skip


class _Type(msgspec.Struct):
    type: str


_types = msgspec.json.Decoder(_Type)


class LevelBook:
    """One product's book by levels, with what its losses are told by."""

    __slots__ = ("levels", "link", "promised_trade_id", "sides", "trade_id")

    def __init__(self, followed: Followed) -> None:
        self.link = Link(followed)
        self.levels, self.sides = OwnLevels(followed, Levels(followed, (1, 2, 0))), Levels(followed)
        self.begin()

    def begin(self) -> None:
        """A new connection: nothing is known of it yet."""
        self.trade_id = self.promised_trade_id = 0
        self.time_ns = 0

    @property
    def time_ns(self) -> int:
        """The venue's, of the last update."""
        return int(self.levels.own[0]["time_ns"])

    @time_ns.setter
    def time_ns(self, time_ns: int) -> None:
        self.levels.own[0]["time_ns"] = time_ns


class CoinbaseFeed(Connection):
    """All products on one connection.  Levels by `level2` if it can be signed, by `level2_batch` (50 ms) if not.

    orders_channel: "full", or "level3", which is smaller, and whose trades have no ids.
    """

    def __init__(self, followed: Sequence[Followed], sign: Sign | None = None, orders_channel: str = "full") -> None:
        names = [one.instrument.symbol for one in followed]
        once_each("coinbase", followed, names)
        if sign is None and any(one.orders for one in followed):
            raise OperatorError("coinbase: single orders are shown to accounts only; give credentials or follow levels")
        self._sign = sign
        self._singles = {name: Singles(one) for name, one in zip(names, followed)}
        self._followed = dict(zip(names, followed))
        self._books = {name: LevelBook(one) for name, one in zip(names, followed) if not one.orders}
        self._books_by_text = {name.encode(): book for name, book in self._books.items()}
        self._orders: dict[str, OrderBook] = {}
        self._retry_ns: dict[str, int] = {}
        for name, one in zip(names, followed):
            if one.orders:
                self._orders[name] = OrderBook(Link(one), self.count, partial(self._ask, name))
        links = [self._orders[name].link if name in self._orders else self._books[name].link for name in names]
        super().__init__("coinbase", links, SILENCE_NS, "", HEADERS)
        self.levels_channel = "level2_batch" if sign is None else "level2"
        self._orders_channel = orders_channel
        self._schema: dict[str, list[str]] = {}
        self._states: dict[str, int] = {}
        self._do: dict[Any, Callable[..., None]] = {
            Update: self._update, Match: self._match, Ticker: self._ticker, Heartbeat: self._heartbeat,
            Snapshot: self._snapshot, LastMatch: self._last_match, Subscriptions: self._subscribed,
            Status: self._status, Refused: self._refused, Schema: self._learn, Open: self._order, Done: self._order,
            Received: self._order, Change: self._order, Activate: self._order, Noop: self._order,
        }  # fmt: skip

    # --- what the owner of the connection calls -----------------------------------------------------------------------

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """Subscribe to everything in one message; more than five seconds without one and the venue hangs up."""
        self.begin(ts_ns)
        for book in self._books.values():
            book.begin()
            book.link.asked()
        for orders in self._orders.values():
            orders.begin()
        everything, levels, orders_of = list(self._followed), list(self._books), list(self._orders)
        channels: list[Channel] = [Channel("heartbeat", everything), Channel("ticker", everything)]
        if levels:
            channels += [Channel(self.levels_channel, levels), Channel("matches", levels)]
        if orders_of:
            channels.append(Channel(self._orders_channel, orders_of))
            if self._orders_channel == "level3":
                self._schema = {}
        self.sends.append(self._request("subscribe", channels, ts_ns))

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One message.  Raises Malformed."""
        if data.startswith(_UPDATE) and self._plain_update(data, ts_ns, rows):
            return
        self.heard(ts_ns, rows)
        try:
            message = _decoder.decode(data)
            do = self._do[type(message)]
        except msgspec.ValidationError as error:
            message = self._unusual(data, error, ts_ns, rows)
            if message is None:
                return
            do = self._order
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.spent(f"{error}", data, ts_ns, rows) from None
        try:
            do(message, ts_ns, rows)
        except Malformed as error:
            raise self.spent(str(error), b"", ts_ns, rows) from None
        except ValueError as error:  # a time that is none
            raise self.spent(str(error), data, ts_ns, rows) from None

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """A whole book of orders, or that there was none: asked for again, each time after twice as long."""
        orders = self._orders.get(tag)
        if orders is None:
            return
        if status != 200:
            self.count("books refused")
            after_ns = self._retry_ns.get(tag, 500_000_000) * 2
            self._retry_ns[tag] = min(after_ns, _RETRY_NS_MAX)
            self._ask(tag, self._retry_ns[tag])
            return
        self._retry_ns.pop(tag, None)
        try:
            orders.whole(_snapshots.decode(body), ts_ns, rows)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise self.spent(f"{error}", body, ts_ns, rows) from None
        except Malformed as error:
            raise self.spent(str(error), b"", ts_ns, rows) from None

    # --- levels -------------------------------------------------------------------------------------------------------

    def _update(self, message: Update, ts_ns: int, rows: Rows) -> None:
        book = self._books.get(message.product_id)
        if book is None or book.link.state == SYNCING:
            self.count("updates before a book")
            return
        ts_venue_ns = ns_of_iso(message.time)
        if ts_venue_ns < book.time_ns:
            self.count("gaps")
            self._lost(book, CAUSE_SEQUENCE, ts_ns, rows)
            return
        book.time_ns = ts_venue_ns
        if self.aged(ts_ns, ts_venue_ns, rows) or not book.link.live:
            return
        if book.levels.write(message.changes, 0, ts_ns, ts_venue_ns, 0, True, 0, rows):
            self.count("crossed")
            self._lost(book, CAUSE_CROSSED, ts_ns, rows)

    def _plain_update(self, data: bytes, ts_ns: int, rows: Rows) -> bool:
        """The commonest message of all in its commonest form, by one call of a kernel; False leaves it to the rest."""
        at = data.find(b'"', _NAME_AT, _NAME_AT + 64)
        book = self._books_by_text.get(data[_NAME_AT:at])
        least_age_ns = self._least_age_ns
        if book is None or book.link.state != LIVE or ts_ns < self._called_ns or least_age_ns is None:
            return False
        events, begin = rows.events, rows.count
        if events.size - begin < len(data):
            events = rows.room(len(data))
        said = update_said(data, at, ts_ns, least_age_ns, events, begin, book.levels.own)
        if said < 0:
            return False
        self._heard_ns = self._called_ns = ts_ns
        rows.count = said >> 2
        if said & 1:
            self.count("crossed")
            self._lost(book, CAUSE_CROSSED, ts_ns, rows)
        return True

    def _snapshot(self, message: Snapshot, ts_ns: int, rows: Rows) -> None:
        book = self._books.get(message.product_id)
        if book is None:
            self.count("not followed")
            return
        book.link.asked()
        book.link.begin(ts_ns, 0, rows)
        book.levels.clear()
        begin = rows.count
        book.sides.write(message.bids, BID, ts_ns, 0, SNAPSHOT, False, rows)
        book.sides.write(message.asks, ASK, ts_ns, 0, SNAPSHOT, False, rows)
        crossed = book.levels.hear(begin, 0, rows)
        book.link.whole(ts_ns, 0, rows)
        if crossed:
            self.count("crossed")
            self._lost(book, CAUSE_CROSSED, ts_ns, rows)

    def _lost(self, book: LevelBook, cause: int, ts_ns: int, rows: Rows) -> None:
        """One book is not to be trusted: subscribe to it anew, which the venue answers with the whole of it."""
        if not book.link.lost(cause, ts_ns, rows):
            return
        channel = [Channel(self.levels_channel, [book.link.followed.instrument.symbol])]
        self.sends += [self._request("unsubscribe", channel, ts_ns), self._request("subscribe", channel, ts_ns)]
        book.link.asked()
        book.time_ns = 0

    def _leaks(self, ts_ns: int, rows: Rows) -> None:
        """A trade was lost, so the connection loses messages: levels carry no number, and those of any product may be
        among them."""
        self.count("gaps")
        for book in self._books.values():
            self._lost(book, CAUSE_SEQUENCE, ts_ns, rows)

    # --- trades and best prices ---------------------------------------------------------------------------------------

    def _match(self, message: Match, ts_ns: int, rows: Rows) -> None:
        name = message.product_id
        orders = self._orders.get(name)
        if orders is not None:
            orders.heard(message, ts_ns, rows)
            return
        book = self._books.get(name)
        if book is None:
            self.count("not followed")
            return
        if message.trade_id <= book.trade_id:
            self.count("late")
            return
        side = SIDES.get(message.side)
        if side is None:
            raise Malformed(f"coinbase: {name}: a trade of side {message.side[:20]!r}")
        self._singles[name].trade(
            message.price, message.size, -side, message.trade_id, ts_ns, ns_of_iso(message.time), rows
        )
        expected, book.trade_id = book.trade_id + 1, message.trade_id
        if message.trade_id != expected and expected > 1:
            self._leaks(ts_ns, rows)

    def _last_match(self, message: LastMatch, ts_ns: int, rows: Rows) -> None:
        """The trade before the subscription: not news, but the next must follow it."""
        book = self._books.get(message.product_id)
        if book is not None and book.trade_id == 0:
            book.trade_id = message.trade_id

    def _heartbeat(self, message: Heartbeat, ts_ns: int, rows: Rows) -> None:
        """Trades that the heartbeat before this one knew of must have come by now."""
        book = self._books.get(message.product_id)
        if book is None:
            return
        if 0 < book.trade_id < book.promised_trade_id:
            book.trade_id = book.promised_trade_id
            self._leaks(ts_ns, rows)
        book.promised_trade_id = message.last_trade_id

    def _ticker(self, message: Ticker, ts_ns: int, rows: Rows) -> None:
        singles = self._singles.get(message.product_id)
        if singles is None:
            self.count("not followed")
            return
        singles.ticker(
            message.best_bid or "0", message.best_bid_size, message.best_ask or "0", message.best_ask_size,
            message.sequence, ts_ns, ns_of_iso(message.time) if message.time else 0, rows,
        )  # fmt: skip

    # --- single orders ------------------------------------------------------------------------------------------------

    def _order(self, message: OrderMessage, ts_ns: int, rows: Rows) -> None:
        orders = self._orders.get(message.product_id)
        if orders is None:
            self.count("not followed")
            return
        orders.heard(message, ts_ns, rows)

    def _ask(self, name: str, after_ns: int) -> None:
        """Have the whole book of orders fetched."""
        self.fetches.append(Fetch(name, f"/products/{name}/book?level=3", after_ns=after_ns))

    def _learn(self, message: Schema, ts_ns: int, rows: Rows) -> None:
        self._schema = message.schema

    def _unusual(self, data: bytes, error: Exception, ts_ns: int, rows: Rows) -> OrderMessage | None:
        """What is no object of a known type: an array of `level3` (returned), or a type that is new (counted)."""
        if data.lstrip()[:1] == b"[":
            return self._array(data, ts_ns, rows)
        try:
            kind = _types.decode(data).type
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            kind = ""
        if not kind or kind in _KNOWN_TYPES:
            raise self.spent(str(error), data, ts_ns, rows)
        self.count("unknown types")
        return None

    def _array(self, data: bytes, ts_ns: int, rows: Rows) -> OrderMessage | None:
        """A message of `level3`: the values of the fields that its schema names."""
        try:
            values = _arrays.decode(data)
            fields = self._schema.get(values[0])
            if fields is None:
                self.count("unknown types")
                return None
            named = dict(zip(fields, values, strict=True))
            size = named.get("size", "")
            more: dict[str, object] = {"sequence": int(named["sequence"]), "trade_id": 0, "remaining_size": size}
            more |= {"new_size": size, "side": named.get("side", "")}
            return msgspec.convert(named | more, Message)
        except (msgspec.MsgspecError, KeyError, IndexError, ValueError) as error:
            raise self.spent(str(error), data, ts_ns, rows) from None

    # --- the venue about itself ---------------------------------------------------------------------------------------

    def _subscribed(self, message: Subscriptions, ts_ns: int, rows: Rows) -> None:
        self.count("acknowledged")

    def _refused(self, message: Refused, ts_ns: int, rows: Rows) -> None:
        self.count("refused")
        self.lose(CAUSE_VENUE, f"{message.message}: {message.reason}"[:200], ts_ns, rows)

    def _status(self, message: Status, ts_ns: int, rows: Rows) -> None:
        """What each followed product takes, where that is news."""
        for product in message.products:
            followed = self._followed.get(product.id)
            if followed is None:
                continue
            state = state_of(product)
            if self._states.get(product.id, STATE_OPEN) != state:
                rows.add(followed, ts_ns, 0, MARKET_STATE, aux=state)
            self._states[product.id] = state

    def _request(self, what: str, channels: list[Channel], ts_ns: int) -> bytes:
        signed = self._sign(ts_ns) if self._sign is not None else {}
        names = sorted({name for channel in channels for name in channel.product_ids})
        return msgspec.json.encode({"type": what, "product_ids": names, "channels": channels} | dict(signed))


def feeds(followed: Sequence[Followed], address: Address = ADDRESS, sign: Sign | None = None) -> Sequence[CoinbaseFeed]:
    """One connection for everything: the venue puts no limit on products a connection that a market maker meets."""
    return [CoinbaseFeed(followed, sign)]


def recorded(followed: Sequence[Followed], asked: str) -> CoinbaseFeed:
    """The feed of a recorded connection; asked: what its recorder subscribed to."""
    channel = "level3" if '"level3"' in asked else "full"
    return CoinbaseFeed(followed, (lambda ts_ns: {}) if any(one.orders for one in followed) else None, channel)

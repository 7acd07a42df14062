"""Gemini's second market data protocol (api.gemini.com/v2/marketdata), archived since: for recordings of its time.

    {"type":"l2_updates","symbol":"ETHUSD","changes":[["buy","2368.64","0.275036"]]}

The first l2_updates of a symbol is the whole book and the last trades, later ones are changes.  There is no sequence,
no checksum and no time on levels: a lost message shows only if it leaves the book crossed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from pinnacle.event import BUY, SELL, SNAPSHOT
from pinnacle.limits import INT64_MAX
from pinnacle.venues.coinbase_messages import Id, Tagged
from pinnacle.venues.connection import Connection, once_each
from pinnacle.venues.feed import CAUSE_CROSSED, SYNCING, Address, Followed, Malformed, Rows
from pinnacle.venues.link import Link
from pinnacle.venues.loose_levels import LooseLevels
from pinnacle.venues.own_levels import OwnLevels
from pinnacle.venues.singles import Singles

ADDRESS = Address("wss://api.gemini.com", "https://api.gemini.com")
# Heartbeats came every five seconds.
SILENCE_NS = 15_000_000_000
_SIDES = {"buy": BUY, "sell": SELL}


class Levels2(Tagged, tag="l2_updates"):
    """Levels of one symbol; trades and auction events of the first message are of the past."""

    symbol: str
    changes: msgspec.Raw


class Trade(Tagged, tag="trade"):
    """side: the taker's."""

    symbol: str
    event_id: Id
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX // 1_000_000)]
    price: str
    quantity: str
    side: str


class Heartbeat(Tagged, tag="heartbeat"):
    """Of the connection."""


class _Type(msgspec.Struct):
    type: str


_decoder = msgspec.json.Decoder(Levels2 | Trade | Heartbeat)
_types = msgspec.json.Decoder(_Type)


class Book:
    """One symbol's book."""

    __slots__ = ("levels", "link", "singles", "trade_id")

    def __init__(self, followed: Followed, feed: Connection) -> None:
        self.link, self.singles = Link(followed), Singles(followed)
        self.levels = OwnLevels(followed, LooseLevels(followed, (1, 2, 0), feed.count))
        self.trade_id = 0


class Gemini2021Feed(Connection):
    """All symbols on one connection."""

    def __init__(self, followed: Sequence[Followed]) -> None:
        names = [one.instrument.symbol.upper() for one in followed]
        once_each("gemini", followed, names)
        super().__init__("gemini", [], SILENCE_NS, "/v2/marketdata", {"User-Agent": "pinnacle"})
        self._books = {name: Book(one, self) for name, one in zip(names, followed)}
        self.follow([book.link for book in self._books.values()])

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """One subscription for all."""
        self.begin(ts_ns)
        for book in self._books.values():
            book.trade_id = 0
            book.link.asked()
        wanted = {"type": "subscribe", "subscriptions": [{"name": "l2", "symbols": list(self._books)}]}
        self.sends.append(msgspec.json.encode(wanted))

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One message.  Raises Malformed."""
        self.heard(ts_ns, rows)
        try:
            message = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if self._new_type(data):
                self.count("unknown types")
                return
            raise self.spent(str(error), data, ts_ns, rows) from None
        if isinstance(message, Heartbeat):
            return
        book = self._books.get(message.symbol)
        if book is None:
            self.count("not followed")
            return
        try:
            if isinstance(message, Levels2):
                self._levels(book, message, ts_ns, rows)
            else:
                self._trade(book, message, ts_ns, rows)
        except Malformed as error:
            raise self.spent(str(error), b"", ts_ns, rows) from None

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """Nothing is ever fetched."""

    def _levels(self, book: Book, message: Levels2, ts_ns: int, rows: Rows) -> None:
        whole = book.link.state == SYNCING
        if not whole and not book.link.live:
            self.count("updates before a book")
            return
        if whole:
            book.link.begin(ts_ns, 0, rows)
            book.levels.clear()
        crossed = book.levels.write(message.changes, 0, ts_ns, 0, SNAPSHOT if whole else 0, not whole, 0, rows)
        if whole:
            book.link.whole(ts_ns, 0, rows)
        if crossed:
            self.count("crossed")
            self.lose(CAUSE_CROSSED, f"the book of {message.symbol} is crossed", ts_ns, rows)

    def _trade(self, book: Book, message: Trade, ts_ns: int, rows: Rows) -> None:
        if message.event_id <= book.trade_id:
            self.count("late")
            return
        book.trade_id = message.event_id
        side = _SIDES.get(message.side)
        if side is None:
            raise Malformed(f"gemini: {message.symbol}: a trade of side {message.side[:20]!r}")
        book.singles.trade(
            message.price, message.quantity, side, message.event_id, ts_ns, message.timestamp * 1_000_000, rows
        )

    def _new_type(self, data: bytes) -> bool:
        """Whether this is a message of a type that is not read here."""
        try:
            return _types.decode(data).type not in ("l2_updates", "trade", "heartbeat")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False


def feeds(followed: Sequence[Followed], address: Address = ADDRESS) -> Sequence[Gemini2021Feed]:
    """One connection for everything."""
    return [Gemini2021Feed(followed)]

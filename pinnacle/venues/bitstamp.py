"""Bitstamp's market data, websocket v2: levels, or single orders, and trades.

Facts: https://www.bitstamp.net/websocket/v2/, September 2026; the recordings of 2021 speak the same.  One channel a
request; keys come in any order.  A channel of a market that does not exist is granted and stays silent, so a book is
asked for over REST, which says so.  Payloads in bitstamp_messages.py, books in bitstamp_book.py and bitstamp_orders.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation

from pinnacle.errors import OperatorError
from pinnacle.event import BUY, LINK_STALE, SELL
from pinnacle.instrument import Instrument
from pinnacle.limits import BITSTAMP_CHANNELS_MAX
from pinnacle.venues import bitstamp_messages as messages
from pinnacle.venues.bitstamp_book import LevelBook
from pinnacle.venues.bitstamp_orders import OrderBook
from pinnacle.venues.connection import Connection, once_each
from pinnacle.venues.feed import CAUSE_MALFORMED, Address, Feed, Followed, Malformed, Rows
from pinnacle.venues.link import lose_all
from pinnacle.venues.singles import Singles

ADDRESS = Address("wss://ws.bitstamp.net", "https://www.bitstamp.net")
# A quiet market says nothing for a minute, but each heartbeat of ours is answered.
HEARTBEAT_NS = 5_000_000_000
SILENCE_NS = 12_000_000_000
_frame = messages.frame
_HEARTBEAT = b'{"event":"bts:heartbeat"}'
_LEVELS, _ORDERS, _TRADES = "diff_order_book_", "live_orders_", "live_trades_"


class BitstampFeed(Connection):
    """Markets of one connection; see venues/feed.py.  Symbols as the venue's addresses have them: btcusd."""

    def __init__(self, followed: Sequence[Followed]) -> None:
        names = [one.instrument.symbol for one in followed]
        once_each("bitstamp", followed, names)
        self.books: list[LevelBook | OrderBook] = [
            OrderBook(one, self.count) if one.orders else LevelBook(one, self.count) for one in followed
        ]
        self._level_books = {k: book for k, book in enumerate(self.books) if isinstance(book, LevelBook)}
        super().__init__("bitstamp", [book.link for book in self.books], SILENCE_NS, "", {})
        self.refused: dict[str, str] = {}
        self._singles = [Singles(one) for one in followed]
        self._beaten_ns = 0
        # channel -> (place, what to do)
        self._ways: dict[str, tuple[int, Callable[[int, messages.Frame, int, Rows], None]]] = {}
        for k, (one, name) in enumerate(zip(followed, names)):
            if one.orders:
                self._ways[_ORDERS + name] = (k, self._order)
            else:
                self._ways[_LEVELS + name] = (k, self._diff)
            self._ways[_TRADES + name] = (k, self._trade)

    # --- the connection -----------------------------------------------------------------------------------------------

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """Subscribe, one channel a message; each book is asked for when its channel is granted."""
        self.begin(ts_ns)
        self._beaten_ns = ts_ns
        for book in self.books:
            book.begin()
        self.sends += [
            b'{"event":"bts:subscribe","data":{"channel":"%s"}}' % channel.encode() for channel in self._ways
        ]

    def closed(self, ts_ns: int, rows: Rows) -> None:
        """The connection is gone, and with it all that was asked."""
        for book in self.books:
            book.drop()
        super().closed(ts_ns, rows)

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Silence, clocks, heartbeats, and a look at the venue's own book now and then."""
        super().tick(ts_ns, rows)
        if ts_ns - self._beaten_ns >= HEARTBEAT_NS:
            self._beaten_ns = ts_ns
            self.sends.append(_HEARTBEAT)
        for book in self.books:
            book.tick(ts_ns, rows)
            self._collect(book)
        self.counts["changes applied"] = sum(book.applied for book in self._level_books.values())

    def _collect(self, book: LevelBook | OrderBook) -> None:
        if book.fetch is not None:
            self.fetches.append(book.fetch)
            book.fetch = None

    def _spent(self, what: str, first: int, ts_ns: int, rows: Rows) -> Malformed:
        """The error of a message that cannot be read; of its rows, those that tell of a loss are kept."""
        said = rows.events[first : rows.count]
        lost = said[said["kind"] == LINK_STALE].copy()
        rows.count = first + lost.size
        rows.events[first : rows.count] = lost
        for book in self.books:
            book.drop()
        lose_all(self.links, CAUSE_MALFORMED, ts_ns, rows)
        return Malformed(" ".join(what.split())[:300])

    # --- messages -----------------------------------------------------------------------------------------------------

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One message.  Raises Malformed."""
        if ts_ns < self._called_ns:
            self.heard(ts_ns, rows)
        self._heard_ns = self._called_ns = ts_ns
        first = rows.count
        try:
            frame = _frame(data)
            way = self._ways.get(frame.channel)
            if way is None or frame.event[:4] == "bts:":
                self._control(frame, way, ts_ns)
            else:
                way[1](way[0], frame, ts_ns, rows)
        except messages.UNREADABLE as error:
            raise self._spent(f"bitstamp: {error}; it begins {data[:60]!r}", first, ts_ns, rows) from None
        except (Malformed, ValueError) as error:
            raise self._spent(str(error), first, ts_ns, rows) from None

    def _diff(self, k: int, frame: messages.Frame, ts_ns: int, rows: Rows) -> None:
        book = self._level_books[k]
        if frame.data is None:
            raise ValueError("bitstamp: changes without levels")
        if book.link.live and self.aged(ts_ns, messages.time_ns(frame.data.microtimestamp), rows):
            return
        book.diff(frame.data, ts_ns, rows)
        if book.fetch is not None:
            self._collect(book)

    def _order(self, k: int, frame: messages.Frame, ts_ns: int, rows: Rows) -> None:
        book = self.books[k]
        assert isinstance(book, OrderBook)
        book.heard(frame, ts_ns, rows)
        self._collect(book)

    def _trade(self, k: int, frame: messages.Frame, ts_ns: int, rows: Rows) -> None:
        if frame.event != "trade":
            self.count("of no known event")
            return
        self.count("trades")
        trade = frame.data
        if trade is None or trade.type not in (0, 1):
            raise ValueError("bitstamp: a trade without a side")
        side, resting = (BUY, trade.sell_order_id) if trade.type == 0 else (SELL, trade.buy_order_id)
        self._singles[k].trade(
            messages.text(trade.price_str, trade.price), messages.text(trade.amount_str, trade.amount), side, trade.id,
            ts_ns, messages.time_ns(trade.microtimestamp), rows, order_id=resting,
        )  # fmt: skip

    def _control(
        self,
        frame: messages.Frame,
        way: tuple[int, Callable[[int, messages.Frame, int, Rows], None]] | None,
        ts_ns: int,
    ) -> None:
        """Grants, heartbeats, and what the venue says of itself."""
        self.count(frame.event.removeprefix("bts:")[:40] if frame.event.startswith("bts:") else "of no known channel")
        if frame.event == "bts:subscription_succeeded":
            if way is not None and not frame.channel.startswith(_TRADES):
                book = self.books[way[0]]
                if isinstance(book, OrderBook):
                    book.granted(ts_ns)
                elif not book.link.live and not book.tag:
                    book.ask()
                    self._collect(book)
        elif frame.event == "bts:request_reconnect":
            self.restart = self.restart or "bitstamp: it asks to be connected to anew"
        elif frame.event == "bts:error":
            error = frame.data or messages.Body()
            self.refused[""] = f"bitstamp: {error.message[:120]} ({error.code})"

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """A whole book, or why there is none."""
        book = next((one for one in self.books if one.tag == tag), None)
        if book is None or not tag:
            return  # an answer to what was asked before the connection broke or the book was lost
        first, symbol = rows.count, book.link.followed.instrument.symbol
        try:
            if status == 200 and isinstance(book, LevelBook):
                book.whole(messages.levels(body), ts_ns, rows)
            elif status == 200:
                assert isinstance(book, OrderBook)
                book.whole(messages.orders(body), ts_ns, rows)
            elif status == 404:
                self.refused[symbol] = f"bitstamp:{symbol}: the venue has no such market; check the symbol"
                book.drop()
            else:
                self.count("books refused")
                book.ask_again()
        except messages.UNREADABLE as error:
            raise self._spent(f"bitstamp: {error} in a book; it begins {body[:60]!r}", first, ts_ns, rows) from None
        except (Malformed, ValueError) as error:
            raise self._spent(str(error), first, ts_ns, rows) from None
        self._collect(book)


def feeds(followed: Sequence[Followed], address: Address) -> list[Feed]:
    """The connections that together follow these instruments; two channels of each."""
    most = BITSTAMP_CHANNELS_MAX // 2
    return [BitstampFeed(followed[k : k + most]) for k in range(0, len(followed), most)]


def recorded(followed: Sequence[Followed], asked: str) -> BitstampFeed:
    """One feed for all that a recorded connection carries; asked: what its recorder subscribed to."""
    return BitstampFeed(followed)


def instruments_path(symbols: Sequence[str]) -> str:
    """Where the markets are listed."""
    return "/api/v2/trading-pairs-info/"


def instruments(body: bytes) -> list[Instrument]:
    """The markets of a listing, older or newer.  Raises Malformed."""
    try:
        pairs = messages.trading_pairs(body)
    except messages.UNREADABLE as error:
        raise Malformed(f"bitstamp: a listing of instruments that is none: {error}"[:300]) from None
    return [_instrument_of(pair) for pair in pairs]


def _instrument_of(pair: messages.TradingPair) -> Instrument:
    symbol = pair.url_symbol or pair.market_symbol
    base, _, quote = pair.name.partition("/")
    try:
        return Instrument(
            "bitstamp", symbol, Decimal(1).scaleb(-pair.counter_decimals), Decimal(1).scaleb(-pair.base_decimals),
            qty_min=Decimal(pair.minimum_order_amount or "0"),
            notional_min=Decimal(pair.minimum_order_value or pair.minimum_order.partition(" ")[0] or "0"),
            base=base, quote=quote,
        )  # fmt: skip
    except (InvalidOperation, OperatorError) as error:
        raise Malformed(f"bitstamp:{symbol[:40]}: steps that are none: {error}"[:300]) from None

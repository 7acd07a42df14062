"""Gemini's market data (ws.gemini.com): levels that overlap, trades, best prices.

    {"e":"depthUpdate","E":1700000000123456789,"s":"btcusd","U":100,"u":105,"b":[["30000.01","0.5"]],"a":[]}

The first frame of a book after subscribing is the whole of it, and has U == u.  The next begin where the last ended
(U == last u), ids in between are left out at will, so `U > last u + 1` is a loss.  A lost frame that spanned one id
only would go unseen, because U == last u + 1 must be taken too; ids of real frames are far apart.  Trades have no such
chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.event import BUY, SELL, SNAPSHOT
from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase_messages import Id
from pinnacle.venues.connection import Connection, once_each, one_line
from pinnacle.venues.feed import (
    CAUSE_CROSSED,
    CAUSE_SEQUENCE,
    CAUSE_VENUE,
    LIVE,
    Address,
    Followed,
    Malformed,
    Rows,
)
from pinnacle.venues.gemini_2021 import Gemini2021Feed
from pinnacle.venues.link import Link
from pinnacle.venues.loose_levels import LooseLevels
from pinnacle.venues.own_levels import OwnLevels
from pinnacle.venues.singles import Singles

ADDRESS = Address("wss://ws.gemini.com", "https://api.gemini.com")
# There is no heartbeat of the venue's: we ping, and an answer is a sign of life like any frame.
PING_NS = 5_000_000_000
SILENCE_NS = 15_000_000_000
# Streams of one subscribe request; longer lists are sent in several.
_STREAMS_MAX = 100


_NOTHING = msgspec.Raw(b"")


class Frame(msgspec.Struct):
    """Any frame: depth, trade, best prices, or a reply.  They have no type of their own and are told by their keys."""

    symbol: str = msgspec.field(name="s", default="")
    ts_ns: Id = msgspec.field(name="E", default=0)
    first_id: Id = msgspec.field(name="U", default=0)
    last_id: Id = msgspec.field(name="u", default=0)
    bids: msgspec.Raw = msgspec.field(name="b", default=_NOTHING)
    asks: msgspec.Raw = msgspec.field(name="a", default=_NOTHING)
    bid_qty: str = msgspec.field(name="B", default="")
    ask_qty: str = msgspec.field(name="A", default="")
    trade_id: Id = msgspec.field(name="t", default=0)
    price: str = msgspec.field(name="p", default="")
    qty: str = msgspec.field(name="q", default="")
    buyer_made: bool | None = msgspec.field(name="m", default=None)
    id: str | int | None = None
    status: int = 200
    error: msgspec.Raw = _NOTHING


_decoder = msgspec.json.Decoder(Frame)
_text = msgspec.json.Decoder(str)


class Book:
    """One symbol's book, and the ids it has come to."""

    __slots__ = ("levels", "link", "name", "singles", "ticker_id", "trade_id", "update_id")

    def __init__(self, followed: Followed, feed: Connection) -> None:
        self.link, self.singles = Link(followed), Singles(followed)
        self.name = followed.instrument.symbol.lower()
        self.levels = OwnLevels(followed, LooseLevels(followed, (0, 1, -1), feed.count))
        self.update_id = self.trade_id = self.ticker_id = 0


class GeminiFeed(Connection):
    """All symbols on one connection.  depth: levels a side of the whole book, the same for all; 0 for everything."""

    def __init__(self, followed: Sequence[Followed], headers: dict[str, str] | None = None) -> None:
        once_each("gemini", followed, [one.instrument.symbol.lower() for one in followed])
        if any(one.orders for one in followed):
            raise OperatorError("gemini: single orders are not offered; follow levels")
        depths = {one.depth for one in followed}
        if len(depths) > 1:
            raise OperatorError("gemini: one connection has one depth; follow all symbols with the same")
        depth = max(depths, default=0) or -1
        super().__init__("gemini", [], SILENCE_NS, f"/?snapshot={depth}", {"User-Agent": "pinnacle", **(headers or {})})
        self._books = {one.instrument.symbol.lower(): Book(one, self) for one in followed}
        self.follow([book.link for book in self._books.values()])
        self._requests = 0
        self._pinged_ns = 0

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """Subscribe to the depth, trades and best prices of every symbol."""
        self.begin(ts_ns)
        self._pinged_ns = ts_ns
        for book in self._books.values():
            book.update_id = book.trade_id = book.ticker_id = 0
            book.link.asked()
        streams = [f"{name}@{stream}" for name in self._books for stream in ("depth@100ms", "trade", "bookTicker")]
        for k in range(0, len(streams), _STREAMS_MAX):
            self._send("subscribe", streams[k : k + _STREAMS_MAX])

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One frame.  Raises Malformed."""
        self.heard(ts_ns, rows)
        try:
            frame = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.spent(str(error), data, ts_ns, rows) from None
        if frame.id is not None or not frame.symbol:
            self._reply(frame, ts_ns, rows)
            return
        book = self._books.get(frame.symbol) or self._books.get(frame.symbol.lower())
        if book is None:
            self.count("not followed")
            return
        try:
            if frame.first_id:
                self._depth(book, frame, ts_ns, rows)
            elif frame.buyer_made is not None:
                self._trade(book, frame, ts_ns, rows)
            elif frame.bid_qty or frame.ask_qty:
                self._best(book, frame, ts_ns, rows)
            else:
                self.count("unknown types")
        except Malformed as error:
            raise self.spent(str(error), b"", ts_ns, rows) from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.spent(str(error), data, ts_ns, rows) from None

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """Nothing is ever fetched: the REST book says no id by which it could be joined."""

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Pings of ours, besides what every connection looks at."""
        super().tick(ts_ns, rows)
        if not self.restart and (ts_ns - self._pinged_ns >= PING_NS or ts_ns < self._pinged_ns):
            self._pinged_ns = ts_ns
            self._send("ping", [])

    def _depth(self, book: Book, frame: Frame, ts_ns: int, rows: Rows) -> None:
        if frame.last_id < frame.first_id or not (_array(frame.bids) and _array(frame.asks)):
            raise Malformed(f"gemini: {book.name}: a depth frame from {frame.first_id} to {frame.last_id}")
        if book.link.state == LIVE:
            if frame.last_id <= book.update_id:
                self.count("late")
                return
            if frame.first_id > book.update_id + 1:
                self.count("gaps")
                self._lost(book, CAUSE_SEQUENCE, ts_ns, rows)
                return
        elif frame.first_id != frame.last_id:
            self.count("updates before a book")
            return
        if self.aged(ts_ns, frame.ts_ns, rows):
            return
        whole = book.link.state != LIVE
        if whole:
            book.link.asked()
            book.link.begin(ts_ns, frame.ts_ns, rows)
            book.levels.clear()
        crossed = book.levels.write_sides(
            frame.bids, frame.asks, ts_ns, frame.ts_ns, SNAPSHOT if whole else 0, not whole, frame.last_id, rows
        )
        if whole:
            book.link.whole(ts_ns, frame.ts_ns, rows)
        book.update_id = frame.last_id
        if crossed:
            self.count("crossed")
            self._lost(book, CAUSE_CROSSED, ts_ns, rows)

    def _lost(self, book: Book, cause: int, ts_ns: int, rows: Rows) -> None:
        """One book is not to be trusted: subscribing anew brings the whole of it."""
        if not book.link.lost(cause, ts_ns, rows):
            return
        for method in ("unsubscribe", "subscribe"):
            self._send(method, [f"{book.name}@depth@100ms"])
        book.link.asked()

    def _trade(self, book: Book, frame: Frame, ts_ns: int, rows: Rows) -> None:
        if frame.trade_id <= book.trade_id:
            self.count("late")
            return
        book.trade_id = frame.trade_id
        side = SELL if frame.buyer_made else BUY
        book.singles.trade(frame.price, frame.qty, side, frame.trade_id, ts_ns, frame.ts_ns, rows)

    def _best(self, book: Book, frame: Frame, ts_ns: int, rows: Rows) -> None:
        if frame.last_id < book.ticker_id:
            self.count("late")
            return
        book.ticker_id = frame.last_id
        bid, ask = (_text.decode(raw) if len(raw) else "" for raw in (frame.bids, frame.asks))
        book.singles.ticker(
            bid or "0", frame.bid_qty or "0", ask or "0", frame.ask_qty or "0", frame.last_id, ts_ns, frame.ts_ns, rows
        )

    def _reply(self, frame: Frame, ts_ns: int, rows: Rows) -> None:
        """An answer to a request of ours; a refused subscription is a book that would never come."""
        if frame.status == 200 and not frame.error:
            self.count("acknowledged" if frame.id is not None else "unknown types")
            return
        self.count("refused")
        why = bytes(frame.error)[:160].decode(errors="replace")
        self.lose(CAUSE_VENUE, f"request {frame.id} was refused: {why}", ts_ns, rows)

    def _send(self, method: str, params: list[str]) -> None:
        self._requests += 1
        request: dict[str, object] = {"id": str(self._requests), "method": method}
        if params:
            request["params"] = params
        self.sends.append(msgspec.json.encode(request))


def _array(raw: msgspec.Raw) -> bool:
    """Whether this text is a JSON array: it is valid, so its first byte tells."""
    return memoryview(raw)[:1] == b"["


def feeds(
    followed: Sequence[Followed], address: Address = ADDRESS, headers: dict[str, str] | None = None
) -> Sequence[GeminiFeed]:
    """A connection for each depth that is asked for.  headers: of signing.gemini_websocket_headers, where wanted."""
    depths = sorted({one.depth for one in followed})
    return [GeminiFeed([one for one in followed if one.depth == depth], headers) for depth in depths]


def recorded(followed: Sequence[Followed], asked: str) -> GeminiFeed | Gemini2021Feed:
    """The feed of a recorded connection; asked: what its recorder subscribed to, by which the protocol is told."""
    if '"subscriptions"' in asked:
        return Gemini2021Feed(followed)
    return GeminiFeed(followed)


class _Details(msgspec.Struct):
    """Numbers may be JSON numbers, in exponent notation."""

    symbol: str
    tick_size: Decimal
    quote_increment: Decimal
    min_order_size: Decimal = Decimal(0)
    base_currency: str = ""
    quote_currency: str = ""


_details = msgspec.json.Decoder(_Details, strict=False)
_all_details = msgspec.json.Decoder(list[_Details], strict=False)


def instruments_path(symbols: Sequence[str]) -> str:
    """Where instruments are said: one symbol, or all of them."""
    return f"/v1/symbols/details/{symbols[0].lower() if len(symbols) == 1 else 'all'}"


def instruments(body: bytes) -> list[Instrument]:
    """Instruments of an answer to instruments_path; what cannot be counted in whole steps is left out.

    tick_size is the step of quantities, quote_increment that of prices.  Raises Malformed.
    """
    try:
        listed = _all_details.decode(body) if body.lstrip()[:1] == b"[" else [_details.decode(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
        raise Malformed(f"gemini: symbol details: {one_line(str(error))}: {body[:80]!r}") from None
    found = []
    for one in listed:
        try:
            found.append(
                Instrument(
                    "gemini", one.symbol.lower(), one.quote_increment, one.tick_size, qty_min=one.min_order_size,
                    base=one.base_currency, quote=one.quote_currency,
                )
            )  # fmt: skip
        except OperatorError:
            continue
    return found

"""The market data of one Binance connection, spot or USD-M futures.

One combined stream a connection, its symbols named in the address, so there is nothing to say once it is open.  Facts:
https://developers.binance.com/docs/binance-spot-api-docs, July 2026; the payloads of 2021 and 2024 decode as well.

    {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":9,"u":11,"b":[],"a":[]}}
    {"stream":"btcusdt@bookTicker","data":{"u":11,"s":"BTCUSDT","b":"61837.63","B":"3.7","a":"61837.64","A":"1.5"}}
    {"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":7,"p":"61800.3","q":"0.006","T":1,"m":false}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from pinnacle.errors import OperatorError
from pinnacle.event import BUY, FUNDING, SELL
from pinnacle.instrument import Instrument
from pinnacle.kernels.binance_frame import CROSSED, diff, single
from pinnacle.limits import BINANCE_INSTRUMENTS_MAX, FEED_LAG_NS_MAX, INT64_MAX, MESSAGE_BYTES_MAX
from pinnacle.venues import binance_messages as messages
from pinnacle.venues.binance_book import BinanceBook
from pinnacle.venues.binance_market import UNREADABLE, Market, reason
from pinnacle.venues.binance_way import name_way, way_of
from pinnacle.venues.feed import (
    CAUSE_CLOCK,
    CAUSE_CLOSED,
    CAUSE_MALFORMED,
    CAUSE_SILENCE,
    Fetch,
    Followed,
    Malformed,
    Rows,
)
from pinnacle.venues.levels import Levels
from pinnacle.venues.link import lose_all
from pinnacle.venues.own_book import OwnBook
from pinnacle.venues.singles import Singles

# The venue ends a connection after 24 h; ours end before, at a moment of our own.
LIFE_NS = (24 * 3600 - 600) * 1_000_000_000
# A thin symbol may be silent for minutes, so a question is asked whose answer is a message; then silence means loss.
PROBE_NS = 15_000_000_000
# Later than that a tick was not late but the machine asleep: what lies in the socket is old.
ASLEEP_NS = 30_000_000_000
# The clock may be set back by this much without anything being wrong.
CLOCK_BACK_NS = 1_000_000_000
# The venue bans an address for minutes that asks too much.
_BANNED_NS = 60_000_000_000
_START = b'{"stream":"'


class _OfDepth(msgspec.Struct, gc=False):
    data: messages.Depth


class _OfTicker(msgspec.Struct, gc=False):
    data: messages.Ticker


class _OfTrade(msgspec.Struct, gc=False):
    data: messages.Trade


class _OfAggregate(msgspec.Struct, gc=False):
    data: messages.AggregateTrade


class _OfMark(msgspec.Struct, gc=False):
    data: messages.MarkPrice


_decoders: dict[type[msgspec.Struct], Callable[[bytes], Any]] = {
    kind: msgspec.json.Decoder(kind).decode for kind in (_OfDepth, _OfTicker, _OfTrade, _OfAggregate, _OfMark)
}
_COUNTED = {"bookTicker": "ticker", "trade": "trade", "aggTrade": "trade"}
_any = msgspec.json.Decoder(messages.Frame)
_snapshot = msgspec.json.Decoder(messages.Snapshot)


class _Symbol:
    """What a feed keeps of one followed symbol."""

    __slots__ = ("book", "followed", "funding_ms", "mark", "name", "rate", "singles")

    def __init__(self, followed: Followed, book: BinanceBook) -> None:
        self.followed, self.book, self.singles = followed, book, Singles(followed)
        self.name = followed.instrument.symbol
        self.funding_ms, self.rate, self.mark = 0, "0", "0"


_Take = Callable[[Any, _Symbol, int, int, Rows], None]


class _Way:
    """How the messages of one stream are taken: simple ones by the kernel, any by `decode` and `take`.

    array: WAY[1], None where no kernel takes them.  count: the word under which they are counted.
    """

    __slots__ = ("array", "count", "decode", "own", "symbol", "take")

    def __init__(
        self, array: np.ndarray | None, count: str, decode: Callable[[bytes], Any], take: _Take, symbol: _Symbol
    ) -> None:
        self.array, self.count, self.decode, self.take, self.symbol = array, count, decode, take, symbol
        self.own = symbol.book.own if count == "depth" else None


class BinanceFeed:
    """One connection, see venues/feed.py.  aggregates: trades come as aggTrade, and `trade` is passed over, or the
    other way round: taking both would count every trade twice.  books: whether books are asked for at all."""

    silence_ns = 2 * PROBE_NS

    def __init__(
        self, market: Market, followed: Sequence[Followed], url: str, aggregates: bool = False, books: bool = True
    ) -> None:
        self.market, self.url, self.aggregates, self.books = market, url, aggregates, books
        self.headers: Mapping[str, str] = {}
        self.sends: list[bytes] = []
        self.fetches: list[Fetch] = []
        self.restart = ""
        self.counts: dict[str, int] = dict.fromkeys(("depth", "trade", "ticker", "snapshot", "other"), 0)
        self._symbols = [_Symbol(one, self._book(one)) for one in followed]
        self._by_name = {one.name: one for one in self._symbols}
        self._ways: dict[bytes, _Way] = {}
        self._opened_ns = self._heard_ns = self._now_ns = 0
        self._up = False
        self._least_age_ns: int | None = None
        compile_kernels()
        self._probed = 0

    def _book(self, followed: Followed) -> BinanceBook:
        limits = [limit for limit, _ in self.market.weights]
        limit = next((one for one in limits if 0 < followed.depth <= one), limits[-1])
        path = self.market.book.format(symbol=quote(followed.instrument.symbol), limit=limit)
        return BinanceBook(followed, path, self.market.futures)

    # --- the connection -----------------------------------------------------------------------------------------

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """Everything is subscribed by the address; each book is asked for, as many a minute as the venue allows."""
        self._opened_ns = self._heard_ns = self._now_ns = ts_ns
        self._up, self.restart, self._probed = True, "", 0
        self._least_age_ns = None
        weights = dict(self.market.weights)
        spent = 0
        for symbol in self._symbols if self.books else ():
            weight = weights[int(symbol.book.path.rpartition("=")[2])]
            symbol.book.opened(spent // self.market.weight_minute * 60_000_000_000)
            spent += weight
        self._collect()

    def closed(self, ts_ns: int, rows: Rows) -> None:
        """The connection is gone, and with it all that was asked."""
        self._up = False
        for symbol in self._symbols:
            symbol.book.drop()
            symbol.book.link.lost(CAUSE_CLOSED, ts_ns, rows)
        self.fetches.clear()
        self.sends.clear()

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Silence, a jump of the clock, the end of the connection's life."""
        if not self._up:
            return
        late_ns = ts_ns - max(self._now_ns, self._heard_ns)
        self._now_ns = ts_ns
        silent_ns = ts_ns - self._heard_ns
        if late_ns > ASLEEP_NS or late_ns < -CLOCK_BACK_NS:
            self._give_up(CAUSE_CLOCK, f"the clock moved by {late_ns / 1e9:,.1f} s between two ticks", ts_ns, rows)
        elif silent_ns > self.silence_ns:
            self._give_up(CAUSE_SILENCE, f"silent for {silent_ns / 1e9:,.0f} s", ts_ns, rows)
        elif silent_ns > PROBE_NS and self._probed < self._heard_ns:
            self._probed = self._heard_ns
            self.sends.append(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
        elif ts_ns - self._opened_ns > LIFE_NS:
            self.restart = self.restart or "the venue ends connections after 24 h"

    def states(self) -> Sequence[int]:
        """State of each book, in the order they were given."""
        return [symbol.book.link.state for symbol in self._symbols]

    def _give_up(self, cause: int, why: str, ts_ns: int, rows: Rows) -> None:
        lose_all((symbol.book.link for symbol in self._symbols), cause, ts_ns, rows)
        self.restart = self.restart or f"{self.market.venue}: {why}"

    def _collect(self) -> None:
        """What the books want becomes what the feed wants."""
        for symbol in self._symbols:
            self._collect_of(symbol.book)

    def _collect_of(self, book: BinanceBook) -> None:
        if book.fetch is not None:
            self.fetches.append(book.fetch)
            book.fetch = None
        if book.restart:
            self.restart, book.restart = self.restart or f"{self.market.venue}: {book.restart}", ""

    # --- messages -----------------------------------------------------------------------------------------------

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One message of the combined stream."""
        self._heard_ns = ts_ns
        way = self._ways.get(data.partition(b'","')[0])
        if way is not None and way.array is not None and len(data) <= MESSAGE_BYTES_MAX:
            if way.own is None:
                count = single(data, way.array, rows.events, ts_ns, rows.count)
            else:
                count = diff(data, way.array, way.own.array, rows.events, ts_ns, rows.count)
            if count >= 0:
                self.counts[way.count] += 1
                if way.own is None or count == rows.count or not self._aged(rows.events[count - 1], ts_ns, rows):
                    rows.count = count
                return
            if count == CROSSED:
                self.counts[way.count] += 1
                way.symbol.book.crossed(ts_ns, rows)
                self._collect_of(way.symbol.book)
                return
        try:
            if way is None or len(data) > MESSAGE_BYTES_MAX:
                self._unusual(data, ts_ns, rows)
            else:
                message = way.decode(data).data
                if message.s != way.symbol.name:
                    raise Malformed(f"{way.symbol.name}: a message of {message.s[:20]!r} in its stream")
                way.take(message, way.symbol, len(data), ts_ns, rows)
        except UNREADABLE as error:
            self._spent(f"{self.market.venue}: {error}; it begins {data[:60]!r}", ts_ns, rows)
        except Malformed as error:
            self._spent(str(error), ts_ns, rows)

    def _aged(self, row: np.void, ts_ns: int, rows: Rows) -> bool:
        """Whether a change is far older than the freshest of this connection; then the books are of the past.

        The two clocks need not agree: the least age heard stands for their difference.
        """
        venue_ns = int(row["ts_venue_ns"])
        age_ns = ts_ns - venue_ns
        if venue_ns == 0:
            return False
        if self._least_age_ns is None or age_ns < self._least_age_ns:
            self._least_age_ns = age_ns
        late_ns = age_ns - self._least_age_ns
        if late_ns <= FEED_LAG_NS_MAX:
            return False
        self._give_up(CAUSE_CLOCK, f"its data is {late_ns / 1e9:.1f} s late", ts_ns, rows)
        return True

    def _spent(self, what: str, ts_ns: int, rows: Rows) -> None:
        lose_all((symbol.book.link for symbol in self._symbols), CAUSE_MALFORMED, ts_ns, rows)
        raise Malformed(" ".join(what.split())[:300]) from None

    def _depth(self, message: messages.Depth, symbol: _Symbol, size: int, ts_ns: int, rows: Rows) -> None:
        self.counts["depth"] += 1
        if not self.books:
            return
        if message.pu < 0 and self.market.futures:
            raise Malformed(f"{symbol.followed.instrument.name}: depth without pu")
        book = symbol.book
        book.diff(message, size, ts_ns, rows)
        if book.fetch is not None or book.restart:
            self._collect_of(book)

    def _ticker(self, message: messages.Ticker, symbol: _Symbol, size: int, ts_ns: int, rows: Rows) -> None:
        self.counts["ticker"] += 1
        symbol.singles.ticker(
            message.b, message.B, message.a, message.A, message.u, ts_ns, message.T * 1_000_000, rows
        )  # fmt: skip

    def _trade(self, message: messages.Trade, symbol: _Symbol, size: int, ts_ns: int, rows: Rows) -> None:
        if message.X != "MARKET":
            self.counts["other"] += 1  # insurance fund and deleveraging: no trade of the market
            return
        self.counts["trade"] += 1
        symbol.singles.trade(
            message.p, message.q, SELL if message.m else BUY, message.t, ts_ns, message.T * 1_000_000, rows
        )  # fmt: skip

    def _aggregate(self, message: messages.AggregateTrade, symbol: _Symbol, size: int, ts_ns: int, rows: Rows) -> None:
        self.counts["trade"] += 1
        symbol.singles.trade(
            message.p, message.q, SELL if message.m else BUY, message.l, ts_ns, message.T * 1_000_000, rows
        )  # fmt: skip

    def _mark(self, message: messages.MarkPrice, symbol: _Symbol, size: int, ts_ns: int, rows: Rows) -> None:
        """The rate said last before the moment of payment is what was paid."""
        self.counts["mark"] = self.counts.get("mark", 0) + 1
        instrument = symbol.followed.instrument
        try:
            rate = int((Decimal(symbol.rate or "0") * 10**9).to_integral_value())
            mark_ticks = int((Decimal(symbol.mark) / instrument.tick).to_integral_value())
            new = [Decimal(text) for text in (message.r or "0", message.p)]
        except (InvalidOperation, OverflowError, ValueError):
            raise Malformed(f"{instrument.name}: a mark price of {message.p[:40]} at {message.r[:40]}") from None
        if not (all(one.is_finite() for one in new) and abs(new[0]) < 10 and 0 <= new[1] < INT64_MAX):
            raise Malformed(f"{instrument.name}: a mark price of {message.p[:40]} at {message.r[:40]}")
        if message.T > symbol.funding_ms > 0 and mark_ticks < INT64_MAX:
            venue_ns = symbol.funding_ms * 1_000_000
            rows.add(symbol.followed, ts_ns, venue_ns, FUNDING, price_ticks=mark_ticks, qty_lots=rate)
        symbol.funding_ms, symbol.rate, symbol.mark = message.T, message.r, message.p

    def _ignored(self, message: Any, symbol: _Symbol, size: int, ts_ns: int, rows: Rows) -> None:
        self.counts["other"] += 1

    def _unusual(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """A stream met for the first time, an answer, or what the venue says of itself."""
        if len(data) > MESSAGE_BYTES_MAX:
            raise Malformed(f"{self.market.venue}: a message of {len(data):,} bytes")
        envelope = _any.decode(data)
        if envelope.e == "serverShutdown" or envelope.stream == "!serverShutdown":
            self.restart = self.restart or f"{self.market.venue}: it shuts this server down"
        name, _, kind = envelope.stream.partition("@")
        symbol = self._by_name.get(name.upper())
        takes: dict[str, tuple[type[msgspec.Struct], _Take]] = {
            "depth": (_OfDepth, self._depth),
            "bookTicker": (_OfTicker, self._ticker),
            "trade": (_OfTrade, self._ignored if self.aggregates else self._trade),
            "aggTrade": (_OfAggregate, self._aggregate if self.aggregates else self._ignored),
            "markPrice": (_OfMark, self._mark),
        }
        take = takes.get(kind.partition("@")[0])
        if envelope.error is not None or envelope.code is not None:
            self.counts["refused"] = self.counts.get("refused", 0) + 1
        elif symbol is None or take is None:
            self.counts["other"] += 1
        else:
            struct, handler = take
            if len(self._ways) > 16 * len(self._symbols):
                self._ways.clear()
            decode = _decoders[struct]
            self._ways[_START + envelope.stream.encode()] = self._way(envelope.stream, decode, handler, symbol)
            message = decode(data).data
            if message.s != symbol.name:
                raise Malformed(f"{symbol.followed.instrument.name}: a message of {message.s[:20]!r} in its stream")
            handler(message, symbol, len(data), ts_ns, rows)

    def _way(self, stream: str, decode: Callable[[bytes], Any], take: _Take, symbol: _Symbol) -> _Way:
        """The way of a stream met for the first time."""
        kind = stream.partition("@")[2].partition("@")[0]
        if take == self._depth and self.books:
            array, count = symbol.book.way, "depth"
        elif take in (self._ticker, self._trade, self._aggregate):
            array, count = way_of(symbol.followed, kind, self.market.futures), _COUNTED[kind]
        else:
            return _Way(None, "", decode, take, symbol)
        name_way(array, stream)
        return _Way(array, count, decode, take, symbol)

    # --- answers ------------------------------------------------------------------------------------------------

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """A snapshot, or why there is none."""
        self._now_ns = ts_ns
        symbol = self._by_name.get(tag.partition(" ")[0])
        if symbol is None or tag != symbol.book.tag or not self._up:
            return  # an answer to what was asked before the connection broke or the book was lost
        book = symbol.book
        try:
            if status == 200:
                self.counts["snapshot"] += 1
                book.snapshot(_snapshot.decode(body), ts_ns, rows)
            elif status == 0 or status >= 500 or status in (408, 418, 429):
                self.counts["unanswered"] = self.counts.get("unanswered", 0) + 1
                book.ask_again(_BANNED_NS if status in (418, 429) else 0)
            else:
                self.restart = f"{symbol.followed.instrument.name}: no book, status {status}: {reason(body)}"
        except UNREADABLE as error:
            self._spent(f"{self.market.venue}: {error} in a snapshot; it begins {body[:60]!r}", ts_ns, rows)
        except Malformed as error:
            self._spent(str(error), ts_ns, rows)
        self._collect_of(book)

    def off_grid(self) -> dict[str, int]:
        """Levels left out because they stand between two ticks, and quantities rounded down to the lot."""
        return {
            "levels between two ticks left out": sum(one.book.off_tick for one in self._symbols),
            "quantities off the lot rounded down to it": sum(
                one.book.off_lot + one.singles.qty_lots.off for one in self._symbols
            ),
        }


def feeds_of(market: Market, followed: Sequence[Followed]) -> list[BinanceFeed]:
    """Feeds of a market: as many connections as its groups of streams and its limits need.  Raises OperatorError."""
    for one in followed:
        if one.orders:
            raise OperatorError(f"{one.instrument.name}: the venue has no single orders; follow its levels")
    made = []
    for first in range(0, len(followed), BINANCE_INSTRUMENTS_MAX):
        part = followed[first : first + BINANCE_INSTRUMENTS_MAX]
        for route, streams in market.routes:
            names = [f"{one.instrument.symbol.lower()}@{stream}" for one in part for stream in streams]
            books = any(stream.startswith("depth") for stream in streams)
            url = f"{route}/stream?streams={'/'.join(names)}"
            made.append(BinanceFeed(market, part, url, "aggTrade" in streams, books))
    return made


def recorded_of(market: Market, followed: Sequence[Followed], asked: str) -> BinanceFeed:
    """The same of a market."""
    return BinanceFeed(market, followed, "", aggregates="@aggTrade" in asked and "@trade" not in asked)


@cache
def compile_kernels() -> None:
    """Compile or load what a message needs: seconds at the very first start, and not once a connection is open."""
    followed = Followed(Instrument("binance", "X", Decimal(1), Decimal(1)), 0, 0)
    rows, own = Rows(), OwnBook()
    diff(b"{}", way_of(followed, "depth", False), own.array, rows.events, 0, 0)
    single(b"{}", way_of(followed, "trade", False), rows.events, 0, 0)
    Levels(followed).write(b'[["1","1"]]', BUY, 0, 0, 0, False, rows)
    own.crossed(rows, 0, 0, False)

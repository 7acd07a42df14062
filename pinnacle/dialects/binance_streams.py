"""Binance's market streams: what each stream says, made once and sent to all who asked for it.

A depth stream gathers the levels that changed in its interval; its U and u are the house's sequence numbers, so that
the snapshot's lastUpdateId, bookTicker's u and the depth ids are one count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.binance_public import INTERVALS, Aggregated, Public
from pinnacle.dialects.binance_words import MS, ZERO
from pinnacle.dialects.dialect import Session
from pinnacle.dialects.market import Batch, MarketEvent
from pinnacle.dialects.minutes import MINUTE_NS
from pinnacle.event import BID, BUY
from pinnacle.limits import DEPTH_PENDING_MAX

if TYPE_CHECKING:
    from pinnacle.dialects.binance import Binance

encode = msgspec.json.encode
SECOND_NS = 1_000_000_000
_STREAM = re.compile(
    r"(?P<symbol>[a-z0-9_\-]{1,30})@(?:(?P<depth>depth)(?P<levels>5|10|20)?(?:@(?P<speed>[0-9]{1,4})ms)?"
    r"|(?P<kline>kline)_(?P<interval>[0-9]{1,2}[mhd])|(?P<what>[a-zA-Z]{1,20}))"
)


@dataclass(slots=True)
class Stream:
    """One stream and who listens.  name: as subscribed.  due_ns: when it speaks next, of those with an interval."""

    name: str
    instrument: int
    what: str
    every_ns: int = 0
    levels: int = 0
    interval: str = ""
    due_ns: int = 0
    sessions: list[StreamSession] = field(default_factory=list)
    pending: dict[tuple[int, int], int] = field(default_factory=dict)  # (side, price) -> lots
    first: int = 0  # sequence of the first event that is not said yet

    def say(self, payload: bytes) -> None:
        """Send a payload to all who listen; in combined form to those who want that."""
        wrapped = b""
        for session in self.sessions:
            if session.combined:
                wrapped = wrapped or b'{"stream":"' + self.name.encode() + b'","data":' + payload + b"}"
                session.send(wrapped)
            else:
                session.send(payload)


class StreamSession(Session):
    """A client of the streams; what it may say is the dialect's to decide (binance.py)."""

    def __init__(self, dialect: Binance, path: str, peer: str, combined: bool) -> None:
        super().__init__(dialect, path, peer)
        self.venue, self.combined = dialect, combined
        self.names: dict[str, None] = {}  # of its streams, in sequence
        self.route = ""  # the part of its path before /ws or /stream, where the venue has one

    def receive(self, message: bytes, now_ns: int) -> None:
        self.venue.stream_said(self, message, now_ns)

    def pinged(self, now_ns: int) -> None:
        self.venue.count_message(self, now_ns)

    def ponged(self, payload: bytes, now_ns: int) -> None:
        self.venue.heard_pong(self, now_ns)
        self.venue.count_message(self, now_ns)


class Streams:
    """All streams that anyone listens to.  depth_ms: intervals of depth streams, the usual one first."""

    depth_ms: tuple[int, ...] = (1000, 100)

    def __init__(self, public: Public, spoil: Callable[[str], bool]) -> None:
        self.public, self.house, self.words, self._spoil = public, public.house, public.words, spoil
        self._streams: dict[str, Stream] = {}
        self._by_what: list[dict[str, list[Stream]]] = [{} for _ in self.house.listings]
        self._symbols = {symbol.lower(): k for k, symbol in enumerate(self.words.symbols)}
        self._best: list[dict[int, tuple[int, int]]] = [{} for _ in self.house.listings]

    def subscribe(self, session: StreamSession, name: str) -> None:
        """The session hears a stream from now on; one that does not exist says nothing, as at Binance."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._made(name)
            if stream is None:
                return
            stream.first = self.house.sequence(stream.instrument) + 1
            stream.due_ns = (self.house.now_ns // max(1, stream.every_ns) + 1) * stream.every_ns
            self._streams[name] = stream
            self._by_what[stream.instrument].setdefault(stream.what, []).append(stream)
        stream.sessions.append(session)

    def _made(self, name: str) -> Stream | None:
        """A stream by its name, None if there is none."""
        found = _STREAM.fullmatch(name)
        if found is None or found["symbol"] not in self._symbols:
            return None
        k = self._symbols[found["symbol"]]
        if found["depth"]:
            speed_ms = int(found["speed"]) if found["speed"] else self.depth_ms[0]
            if speed_ms not in self.depth_ms:
                return None
            levels = int(found["levels"] or 0)
            return Stream(name, k, "partial" if levels else "depth", speed_ms * MS, levels)
        if found["kline"]:
            interval = found["interval"]
            return Stream(name, k, "kline", SECOND_NS, interval=interval) if interval in INTERVALS else None
        if found["what"] in ("trade", "aggTrade", "bookTicker"):
            return Stream(name, k, found["what"])
        if found["what"] in ("ticker", "miniTicker", "avgPrice"):
            return Stream(name, k, found["what"], SECOND_NS)
        return None

    def unsubscribe(self, session: StreamSession, name: str) -> None:
        """The session hears it no longer."""
        stream = self._streams.get(name)
        if stream is None or session not in stream.sessions:
            return
        stream.sessions.remove(session)
        if not stream.sessions:
            del self._streams[name]
            self._by_what[stream.instrument][stream.what].remove(stream)

    # --- what is said at once -------------------------------------------------------------------------------------
    def market(self, batch: Batch, skew_ns: int) -> None:
        """Say what is said at once, and keep what waits for its interval."""
        by_what = self._by_what[batch.instrument]
        groups = self.public.hear(batch)
        for stream in by_what.get("trade", ()):
            for group in groups:
                for trade in group.trades:
                    stream.say(self._trade(trade, batch.instrument, skew_ns))
        for stream in by_what.get("aggTrade", ()):
            for group in groups:
                stream.say(self._agg_trade(group, batch.instrument, skew_ns))
        if by_what.get("depth"):
            for event in batch.events(e.BOOK_LEVEL):
                for stream in by_what["depth"]:
                    stream.pending[event.side, event.price_ticks] = event.qty_lots
            for stream in by_what["depth"]:
                if stream.every_ns == 0 or len(stream.pending) > DEPTH_PENDING_MAX:
                    self._depth(stream, self.house.now_ns + skew_ns)
        for stream in by_what.get("partial", ()):
            stream.pending[0, 0] = 1
        self._tickers(batch, by_what.get("bookTicker", ()), skew_ns)

    def _trade(self, trade: MarketEvent, k: int, skew_ns: int) -> bytes:
        when = (trade.ts_ns + skew_ns) // MS
        return (
            f'{{"e":"trade","E":{when},"s":"{self.words.symbols[k]}","t":{trade.aux},'
            f'"p":"{self.words.price[k](trade.price_ticks)}","q":"{self.words.qty[k](trade.qty_lots)}",'
            f'"T":{when},"m":{"true" if trade.side != BUY else "false"},"M":true}}'
        ).encode()

    def _agg_trade(self, group: Aggregated, k: int, skew_ns: int) -> bytes:
        one = self.public.agg_trade(k, group)
        one["T"] = (group.trades[0].ts_ns + skew_ns) // MS
        return encode({"e": "aggTrade", "E": one["T"], "s": self.words.symbols[k]} | one)

    def _best_text(self, k: int, number: int, bid: str, bid_qty: str, ask: str, ask_qty: str, ts_ns: int) -> bytes:
        symbol = self.words.symbols[k]
        return f'{{"u":{number},"s":"{symbol}","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}"}}'.encode()

    def _tickers(self, batch: Batch, streams: list[Stream] | tuple[()], skew_ns: int) -> None:
        k, best = batch.instrument, self._best[batch.instrument]
        if not streams:
            best.clear()
            return
        if not best:
            # Nobody listened until now: the best is the book's, which this batch has changed already.
            for side in (BID, -BID):
                found = self.house.levels(k, side, 1)
                best[side] = found[0] if found else (0, 0)
        price, qty = self.words.price[k], self.words.qty[k]
        changed = 0
        for event in batch.events(e.TICKER, e.BOOK_LEVEL, e.TRADE, e.ORDER_ADD, e.ORDER_MODIFY, e.ORDER_DELETE):
            if event.kind == e.TICKER:
                best[event.side] = (event.price_ticks if event.qty_lots else 0, event.qty_lots)
                changed = event.sequence
            if changed and event.last:
                (bid, bid_lots), (ask, ask_lots) = best[BID], best[-BID]
                payload = self._best_text(
                    k, changed, price(bid), qty(bid_lots), price(ask), qty(ask_lots), event.ts_ns + skew_ns
                )
                for stream in streams:
                    stream.say(payload)
                changed = 0

    # --- what is said at intervals --------------------------------------------------------------------------------
    def tick(self, now_ns: int) -> None:
        """Say what is due.  now_ns: the venue's time."""
        house_ns = self.house.now_ns
        for stream in list(self._streams.values()):
            if stream.every_ns == 0 or house_ns < stream.due_ns:
                continue
            stream.due_ns = (house_ns // stream.every_ns + 1) * stream.every_ns
            if stream.what == "depth":
                self._depth(stream, now_ns)
            elif stream.what == "partial":
                self._partial(stream)
            else:
                stream.say(encode(self._statistics(stream, now_ns)))

    def _depth(self, stream: Stream, now_ns: int) -> None:
        """The levels that changed; nothing if none did."""
        k = stream.instrument
        last = self.house.sequence(k)
        if not stream.pending:
            # Events without levels count too, and the next message begins after them.
            return
        price, qty = self.words.price[k], self.words.qty[k]
        sides: dict[int, list[str]] = {BID: [], -BID: []}
        for (side, ticks), lots in stream.pending.items():
            sides[side].append(f'["{price(ticks)}","{qty(lots)}"]')
        first, stream.first = stream.first, last + 1
        stream.pending = {}
        if self._spoil("gap"):
            return
        bids, asks = ",".join(sides[BID]), ",".join(sides[-BID])
        head = self._diff_head(now_ns // MS, self.words.symbols[k], first, last)
        stream.say(f'{head},"b":[{bids}],"a":[{asks}]}}'.encode())

    def _diff_head(self, now_ms: int, symbol: str, first: int, last: int) -> str:
        return f'{{"e":"depthUpdate","E":{now_ms},"s":"{symbol}","U":{first},"u":{last}'

    def _partial(self, stream: Stream) -> None:
        """The best levels, if anything changed."""
        if stream.pending:
            stream.pending = {}
            k = stream.instrument
            stream.say(encode({"lastUpdateId": self.house.sequence(k)} | self.public.sides(k, stream.levels)))

    def _statistics(self, stream: Stream, now_ns: int) -> dict[str, Any]:
        """A ticker or bar of one instrument."""
        k, now = stream.instrument, now_ns // MS
        head = {"e": "24hrTicker", "E": now, "s": self.words.symbols[k]}
        if stream.what == "kline":
            return head | {"e": "kline", "k": self._bar(k, stream.interval)}
        if stream.what == "avgPrice":
            average = self.public.avg_price({"symbol": self.words.symbols[k]})
            return head | {"e": "avgPrice", "i": "5m", "w": average["price"], "T": average["closeTime"]}
        day = self.public.statistics(k)
        small = {
            "c": "lastPrice",
            "o": "openPrice",
            "h": "highPrice",
            "l": "lowPrice",
            "v": "volume",
            "q": "quoteVolume",
        }
        if stream.what == "miniTicker":
            return head | {"e": "24hrMiniTicker"} | {key: day[name] for key, name in small.items()}
        full = {
            "p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "x": "prevClosePrice",
            "Q": "lastQty", "b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty", "O": "openTime",
            "C": "closeTime", "F": "firstId", "L": "lastId", "n": "count",
        } | small  # fmt: skip
        return head | {key: day[name] for key, name in full.items()}

    def _bar(self, k: int, interval: str) -> dict[str, Any]:
        """The bar that is open now."""
        step_ns = INTERVALS[interval] * MINUTE_NS
        start_ns = self.house.now_ns // step_ns * step_ns
        rows = self.public.klines({"symbol": self.words.symbols[k], "interval": interval, "limit": "1"})
        skew = self.public.skew_ns
        row: list[Any] = [
            (start_ns + skew) // MS,
            *[ZERO] * 5,
            (start_ns + step_ns + skew) // MS - 1,
            ZERO,
            0,
            ZERO,
            ZERO,
            "0",
        ]
        if rows and rows[0][0] == row[0]:
            row = rows[0]
        names = {"t": 0, "T": 6, "o": 1, "c": 4, "h": 2, "l": 3, "v": 5, "n": 8, "q": 7, "V": 9, "Q": 10, "B": 11}
        return {key: row[at] for key, at in names.items()} | {
            "s": self.words.symbols[k], "i": interval, "f": -1, "L": -1, "x": False
        }  # fmt: skip

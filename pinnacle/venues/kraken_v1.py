"""Kraken's websocket v1, for recordings made in its time: arrays instead of objects, no checksum on whole books.

The venue still serves it, frozen.  Messages of data are `[channel id, payload.., channel name, pair]`; read from the
end, because an update of both sides has two payloads, with the checksum in the second.

    [320,{"as":[["58700.10000","1.5","1617666423.1"]],"bs":[]},"book-1000","XBT/USD"]
    [320,{"a":[["58700.10000","0.00000000","1617666424.2"]]},{"b":[["58699.0","1.0","1617666424.2","r"]],"c":"974"},
     "book-1000","XBT/USD"]
    [321,[["58700.1","0.5","1617666425.3","b","m",""]],"trade","XBT/USD"]
    {"connectionID":8628615390848610000,"event":"systemStatus","status":"online","version":"1.8.3"}

Its checksum is over the decimals that it sends, which are more than the tick has, so they are read off the first level.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from pinnacle.event import BUY, LAST, SELL
from pinnacle.kernels.kraken import kraken_v1_update
from pinnacle.venues import kraken_messages as messages
from pinnacle.venues.feed import Followed, Malformed, Rows
from pinnacle.venues.kraken import STATE_HALTED, STATES, KrakenFeed
from pinnacle.venues.kraken_depth import Depths, depth_of

_NONE, _NO_LEVELS = Raw(b""), Raw(b"[]")
_TIME = re.compile(rb'"(\d{9,11})\.(\d{6})"')
_FIRST_LEVEL = re.compile(rb'\[\s*\[\s*"\d+(?:\.(\d*))?"\s*,\s*"\d+(?:\.(\d*))?"')


class _Event(Struct):
    event: str = ""
    status: str = ""
    pair: str = ""
    error: str = msgspec.field(name="errorMessage", default="")


class _Book(Struct):
    whole_asks: Raw = msgspec.field(name="as", default=_NONE)
    whole_bids: Raw = msgspec.field(name="bs", default=_NONE)
    asks: Raw = msgspec.field(name="a", default=_NONE)
    bids: Raw = msgspec.field(name="b", default=_NONE)
    checksum: str = msgspec.field(name="c", default="")


class _Ticker(Struct):
    ask: tuple[str, int, str] = msgspec.field(name="a")
    bid: tuple[str, int, str] = msgspec.field(name="b")


_event = messages.decoder(_Event)
_parts = messages.decoder(list[Raw])
_name = messages.decoder(str)
_book = messages.decoder(_Book)
_trades = messages.decoder(list[tuple[str, str, str, str, str, str]])
_ticker = messages.decoder(_Ticker)


class KrakenV1Feed(KrakenFeed):
    """The same feed in the older protocol; symbols as it writes them (XBT/USD)."""

    PATH = ""

    def _depths(self, followed: Sequence[Followed]) -> Depths:
        return Depths(followed, (0, 1, -1), kraken_v1_update)

    def _subscriptions(self) -> list[bytes]:
        names = list(self._places)
        out = []
        for depth in sorted({depth_of(one) for one in self._followed}):
            those = [one.instrument.symbol for one in self._followed if depth_of(one) == depth]
            out.append(_request("subscribe", those, name="book", depth=depth))
        return [*out, _request("subscribe", names, name="trade"), _request("subscribe", names, name="ticker")]

    def _again(self, name: str, depth: int) -> list[bytes]:
        return [_request(what, [name], name="book", depth=depth) for what in ("unsubscribe", "subscribe")]

    def _ping(self) -> bytes:
        return b'{"event":"ping","reqid":%d}' % self._pings

    def _decode(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        if not data.lstrip().startswith(b"["):
            self._happened(_event(data), ts_ns, rows)
            return
        parts = _parts(data)
        if len(parts) < 4:
            raise Malformed(f"kraken: an array of {len(parts)} parts: {data[:60]!r}")
        channel, pair = _name(parts[-2]), _name(parts[-1])
        k = self._places.get(pair)
        if k is None:
            self.count("of an instrument not followed")
        elif channel.startswith("book-"):
            self._book_of(k, parts[1:-2], ts_ns, rows)
        elif channel == "trade":
            self._trades_of(k, parts[1], ts_ns, rows)
        elif channel == "ticker":
            self._ticker_of(k, parts[1], ts_ns, rows)
        else:
            self.count("of no known channel")

    def _happened(self, event: _Event, ts_ns: int, rows: Rows) -> None:
        self.count(event.event or "of no known channel")
        if event.event == "systemStatus":
            self._system = STATES.get(event.status, STATE_HALTED)
            self._say_states(ts_ns, rows)
        elif event.event == "subscriptionStatus" and event.status == "error":
            self.count("refused")
            if event.pair in self._places or not event.pair:
                self.refused[event.pair] = f"kraken: subscribe refused: {event.error[:120]}"

    def _book_of(self, k: int, payloads: list[Raw], ts_ns: int, rows: Rows) -> None:
        """One message: its payloads together are one change."""
        self.counts["book"] += 1
        whole, asks, bids, checksum, time_ns = False, _NO_LEVELS, _NO_LEVELS, -1, 0
        for payload in payloads:
            part = _book(payload)
            whole = whole or bool(part.whole_asks or part.whole_bids)
            asks = part.whole_asks or part.asks or asks
            bids = part.whole_bids or part.bids or bids
            if part.checksum:
                checksum = int(part.checksum)
                if not 0 <= checksum < 1 << 32:
                    raise ValueError(f"kraken: a checksum of {part.checksum[:20]!r}")
            time_ns = max([time_ns, *(_ns(*found) for found in _TIME.findall(payload))])
        if whole:
            first = _FIRST_LEVEL.match(bytes(asks)) or _FIRST_LEVEL.match(bytes(bids))
            if first is not None:
                self.depths.decimals(k, len(first[1] or b""), len(first[2] or b""))
            self._whole(k, bids, asks, time_ns, checksum, ts_ns, rows)
        else:
            self._changes(k, bids, asks, time_ns, checksum, ts_ns, rows)

    def _trades_of(self, k: int, payload: Raw, ts_ns: int, rows: Rows) -> None:
        self.count("trade")
        trades = _trades(payload)
        for n, (price, qty, time, side, _, _) in enumerate(trades):
            if side not in ("b", "s"):
                raise Malformed(f"kraken: a trade of side {side[:20]!r}")
            seconds, _, fraction = time.partition(".")
            self._singles[k].trade(
                price, qty, BUY if side == "b" else SELL, 0, ts_ns,
                int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0")), rows,
                flags=LAST if n == len(trades) - 1 else 0,
            )  # fmt: skip

    def _ticker_of(self, k: int, payload: Raw, ts_ns: int, rows: Rows) -> None:
        self.count("ticker")
        ticker = _ticker(payload)
        (ask, _, ask_qty), (bid, _, bid_qty) = ticker.ask, ticker.bid
        self._singles[k].ticker(bid, bid_qty, ask, ask_qty, 0, ts_ns, 0, rows)


def _ns(seconds: bytes, micros: bytes) -> int:
    return int(seconds) * 1_000_000_000 + int(micros) * 1000


def _request(event: str, pairs: list[str], **subscription: object) -> bytes:
    return msgspec.json.encode({"event": event, "pair": pairs, "subscription": subscription})

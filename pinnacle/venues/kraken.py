"""Kraken's market data, websocket v2: books by depth with a checksum on every message, trades, best prices, states.

Facts: https://docs.kraken.com/api/docs/websocket-v2, July 2026; payloads in kraken_messages.py.  What is peculiar:

- Nothing is numbered.  A lost, doubled or reordered message shows in the CRC32 of the next one, at once.
- What falls out of the depth is not said by the venue, so it is said here; see kernels/depth.py.
- The checksum is over digits, so it needs the venue's own numbers of decimals: the instrument's steps have them, and
  the `instrument` channel corrects them.
- A heartbeat comes each second, so silence is known quickly.

Single orders (level3) are in kraken_orders.py; the protocol of before, v1, in kraken_v1.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.event import (
    BUY,
    LAST,
    LINK_STALE,
    MARKET_STATE,
    SELL,
    STATE_CANCEL_ONLY,
    STATE_HALTED,
    STATE_OPEN,
    STATE_POST_ONLY,
)
from pinnacle.instrument import Instrument
from pinnacle.kernels.depth import ODD, wrong_with
from pinnacle.limits import KRAKEN_SYMBOLS_MAX
from pinnacle.venues import kraken_messages as messages
from pinnacle.venues.connection import Connection, once_each
from pinnacle.venues.feed import CAUSE_MALFORMED, CAUSE_VENUE, Address, Feed, Followed, Malformed, Rows
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.kraken_depth import Depths, depth_of
from pinnacle.venues.link import Link, lose_all
from pinnacle.venues.singles import Singles

ADDRESS = Address("wss://ws.kraken.com", "https://api.kraken.com")
# Heartbeats come each second, so this many missing ones are a connection that is half open.
SILENCE_NS = 5_000_000_000
# The venue hangs up on a client that says nothing for about a minute.
PING_NS = 20_000_000_000
RESUBSCRIBE_NS = 1_000_000_000
# What the system, and a pair, take; anything else they may say is taken as nothing at all.
STATES = {
    "online": STATE_OPEN, "limit_only": STATE_OPEN, "post_only": STATE_POST_ONLY, "cancel_only": STATE_CANCEL_ONLY,
}  # fmt: skip
# States in which a new order may rest: a book is worth having.
_OF_USE = (STATE_OPEN, STATE_POST_ONLY)


class KrakenFeed(Connection):
    """Levels, trades and best prices of its instruments on one connection; see venues/feed.py."""

    PATH = "/v2"

    def __init__(self, followed: Sequence[Followed]) -> None:
        names = [one.instrument.symbol for one in followed]
        once_each("kraken", followed, names)
        super().__init__("kraken", [Link(one) for one in followed], SILENCE_NS, self.PATH, {})
        self.depths = self._depths(followed)
        self.refused: dict[str, str] = {}
        self._followed = list(followed)
        self._places = {name: k for k, name in enumerate(names)}
        self._singles = [Singles(one) for one in followed]
        self._system = STATE_OPEN
        self._pairs = [STATE_OPEN] * len(names)
        self._said = [STATE_OPEN] * len(names)
        self._pinged_ns = self._pings = 0
        self._resubscribed_ns: list[int] = [0] * len(names)
        self._wanted: set[int] = set()
        self.counts["book"] = 0
        self._do: dict[str, Callable[[messages.Envelope, int, Rows], None]] = {
            "book": self._book, "trade": self._trade, "ticker": self._ticker, "instrument": self._instrument,
            "status": self._status, "heartbeat": self._heartbeat,
        }  # fmt: skip

    def _depths(self, followed: Sequence[Followed]) -> Depths:
        """The books, by the protocol's way of writing them."""
        return Depths(followed, ("price", "qty", ""))

    # --- the connection -----------------------------------------------------------------------------------------------

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """Subscribe to everything; what each book is not yet is said by its state."""
        self.begin(ts_ns)
        self._pinged_ns = ts_ns
        self._wanted.clear()
        self._system = STATE_OPEN
        self._pairs = [STATE_OPEN] * len(self._pairs)
        self.sends += self._subscriptions()
        for link in self.links:
            link.asked()

    def _subscriptions(self) -> list[bytes]:
        """What to say when the connection is up."""
        names = list(self._places)
        out = [_request("subscribe", "instrument", snapshot=True)]
        for depth in sorted({depth_of(one) for one in self._followed}):
            those = [one.instrument.symbol for one in self._followed if depth_of(one) == depth]
            out.append(_request("subscribe", "book", those, depth=depth, snapshot=True))
        out.append(_request("subscribe", "trade", names, snapshot=False))
        out.append(_request("subscribe", "ticker", names, event_trigger="bbo", snapshot=True))
        return out

    def _again(self, name: str, depth: int) -> list[bytes]:
        """What to say to have a whole book again."""
        return [
            _request("unsubscribe", "book", [name], depth=depth),
            _request("subscribe", "book", [name], depth=depth, snapshot=True),
        ]

    def _ping(self) -> bytes:
        return b'{"method":"ping","req_id":%d}' % self._pings

    def closed(self, ts_ns: int, rows: Rows) -> None:
        """The connection is gone."""
        for k in range(len(self.links)):
            self.depths.live(k, False)
        super().closed(ts_ns, rows)

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Silence, clocks, and a word now and then so that the venue does not hang up."""
        super().tick(ts_ns, rows)
        for k, link in enumerate(self.links):
            heard_ns, dated_ns = self.depths.dated(k)
            if link.live and dated_ns and self.aged(heard_ns, dated_ns, rows, ts_ns):
                break
        self._follow_links()
        for k in sorted(self._wanted):
            self._resubscribe(k, ts_ns)
        if ts_ns - self._pinged_ns >= PING_NS:
            self._pinged_ns = ts_ns
            self._pings += 1
            self.sends.append(self._ping())

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """Nothing is fetched."""

    # --- messages -----------------------------------------------------------------------------------------------------

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One message.  Raises Malformed."""
        if ts_ns < self._called_ns:
            self.heard(ts_ns, rows)
            self._follow_links()
        self._heard_ns = self._called_ns = ts_ns
        result = self.depths.update(data, ts_ns, rows)
        if result >= 0:
            self.counts["book"] += 1
            return
        wrong, k = wrong_with(result)
        if wrong != ODD:
            self._lost(k, self.depths.cause(k, wrong), ts_ns, rows)
            return
        first = rows.count
        try:
            self._decode(data, ts_ns, rows)
        except messages.UNREADABLE as error:
            raise self._spent(f"kraken: {error}; it begins {data[:60]!r}", first, ts_ns, rows) from None
        except (Malformed, ValueError) as error:
            raise self._spent(str(error), first, ts_ns, rows) from None

    def _decode(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """Any message but the usual one."""
        message = messages.envelope(data)
        do = self._do.get(message.channel)
        if do is not None:
            self.count(message.channel)
            do(message, ts_ns, rows)
        elif message.method:
            self._answer(message)
        else:
            self.count("of no known channel")

    def _spent(self, what: str, first: int, ts_ns: int, rows: Rows) -> Malformed:
        """The error of a message that cannot be read; of its rows, those that tell of a loss are kept."""
        said = rows.events[first : rows.count]
        lost = said[said["kind"] == LINK_STALE].copy()
        rows.count = first + lost.size
        rows.events[first : rows.count] = lost
        lose_all(self.links, CAUSE_MALFORMED, ts_ns, rows)
        self._follow_links()
        return Malformed(" ".join(what.split())[:300])

    def _book(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        for book in messages.books(message.data):
            k = self._places.get(book.symbol)
            if k is None:
                self.count("of an instrument not followed")
                continue
            time = bytes(book.timestamp)
            time_ns = ns_of_iso(time[1:-1].decode()) if time else 0
            take = self._whole if message.type == "snapshot" else self._changes
            take(k, book.bids, book.asks, time_ns, book.checksum, ts_ns, rows)

    def _whole(
        self, k: int, bids: msgspec.Raw, asks: msgspec.Raw, time_ns: int, checksum: int, ts_ns: int, rows: Rows
    ) -> None:
        """A whole book came.  checksum: -1 for none."""
        link = self.links[k]
        if not self._of_use(k):
            self.count("books of a market that is closed")
            return
        if link.live:  # unasked: if it is not good, neither is what we had
            link.lost(CAUSE_VENUE, ts_ns, rows)
        link.asked()
        first = rows.count
        link.begin(ts_ns, time_ns, rows)
        if self.depths.whole(k, bids, asks, time_ns, checksum, ts_ns, rows):
            rows.count = first
            self.count("whole books that fail their checksum or are crossed")
            self._resubscribe(k, ts_ns)
        else:
            link.whole(ts_ns, time_ns, rows)
            self.depths.live(k, True)
            # It may be the answer to an earlier request than the one that waits: that one has become needless.
            self._wanted.discard(k)

    def _changes(
        self, k: int, bids: msgspec.Raw, asks: msgspec.Raw, time_ns: int, checksum: int, ts_ns: int, rows: Rows
    ) -> None:
        if not self.links[k].live:
            self.count("updates of a book that is not whole")
            return
        cause = self.depths.changes(k, bids, asks, time_ns, checksum, ts_ns, rows)
        if cause:
            self._lost(k, cause, ts_ns, rows)

    def _lost(self, k: int, cause: int, ts_ns: int, rows: Rows) -> None:
        """A book cannot be trusted: say so and ask for all of it."""
        self.links[k].lost(cause, ts_ns, rows)
        self.count("books lost")
        self._resubscribe(k, ts_ns)

    def _resubscribe(self, k: int, ts_ns: int) -> None:
        """Ask for all of a book again; not more often than once a second, or a venue gone wrong would be flooded."""
        self.depths.live(k, False)
        self.links[k].asked()
        self._wanted.add(k)
        if ts_ns - self._resubscribed_ns[k] < RESUBSCRIBE_NS:
            return
        self._wanted.discard(k)
        self._resubscribed_ns[k] = ts_ns
        self.sends += self._again(self._followed[k].instrument.symbol, depth_of(self._followed[k]))

    def _follow_links(self) -> None:
        for k, link in enumerate(self.links):
            if not link.live:
                self.depths.live(k, False)

    def _trade(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        if message.type == "snapshot":
            return  # what was traded before we came
        first = rows.count
        for trade in messages.trades(message.data):
            k = self._places.get(trade.symbol)
            if k is None:
                continue
            if trade.side not in ("buy", "sell"):
                raise Malformed(f"kraken:{trade.symbol}: a trade of side {trade.side[:20]!r}")
            self._singles[k].trade(
                _text(trade.price), _text(trade.qty), BUY if trade.side == "buy" else SELL, trade.trade_id, ts_ns,
                ns_of_iso(trade.timestamp), rows, flags=0,
            )  # fmt: skip
        if rows.count > first:
            rows.events[rows.count - 1]["flags"] |= LAST

    def _ticker(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        for ticker in messages.tickers(message.data):
            k = self._places.get(ticker.symbol)
            if k is not None:
                self._singles[k].ticker(
                    _text(ticker.bid), _text(ticker.bid_qty), _text(ticker.ask), _text(ticker.ask_qty), 0, ts_ns,
                    ns_of_iso(ticker.timestamp) if ticker.timestamp else 0, rows,
                )  # fmt: skip

    def _heartbeat(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        """That it came is all it says."""

    # --- states -------------------------------------------------------------------------------------------------------

    def _status(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        for status in messages.statuses(message.data):
            self._system = STATES.get(status.system, STATE_HALTED)
        self._say_states(ts_ns, rows)

    def _instrument(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        for pair in messages.instruments(message.data).pairs:
            k = self._places.get(pair.symbol)
            if k is None:
                continue
            if not self.depths.decimals(k, pair.price_precision, pair.qty_precision):
                instrument = self._followed[k].instrument
                self.refused[pair.symbol] = (
                    f"{instrument.name}: the venue writes {pair.price_precision} and {pair.qty_precision} decimals, "
                    f"too few for the tick {instrument.tick} and the lot {instrument.lot}; read its instrument anew"
                )
            self._pairs[k] = STATES.get(pair.status, STATE_HALTED)
        self._say_states(ts_ns, rows)

    def _of_use(self, k: int) -> bool:
        return self._system in _OF_USE and self._pairs[k] in _OF_USE

    def _say_states(self, ts_ns: int, rows: Rows) -> None:
        """Tell what each market takes now, where that is news; one that takes no orders has no book."""
        for k, link in enumerate(self.links):
            # The narrower of the two: a system that takes nothing leaves nothing to its pairs.
            state = self._system if self._system != STATE_OPEN else self._pairs[k]
            if state == self._said[k]:
                continue
            of_use = self._said[k] in _OF_USE
            self._said[k] = state
            rows.add(self._followed[k], ts_ns, 0, MARKET_STATE, aux=state)
            if not self._of_use(k):
                link.lost(CAUSE_VENUE, ts_ns, rows)
                self.depths.live(k, False)
            elif not of_use and not link.live:
                self._resubscribe(k, ts_ns)

    def _answer(self, message: messages.Envelope) -> None:
        """The answer to a subscription, or a pong.  A refused one leaves the others alone."""
        self.count(message.method)
        if message.success:
            return
        self.count("refused")
        symbol = message.symbol or ""
        if symbol in self._places or not symbol:
            self.refused[symbol] = f"kraken: {message.method} refused: {(message.error or '')[:120]}"


def _request(method: str, channel: str, symbols: Sequence[str] = (), **more: object) -> bytes:
    params: dict[str, object] = {"channel": channel}
    if symbols:
        params["symbol"] = list(symbols)
    return msgspec.json.encode({"method": method, "params": params | more})


def _text(number: msgspec.Raw) -> str:
    """The text of a bare number."""
    return bytes(number).decode()


def recorded(followed: Sequence[Followed], asked: str) -> KrakenFeed:
    """One feed for all that a recorded connection carries; asked: what its recorder subscribed to."""
    if '"event"' in asked:
        from pinnacle.venues.kraken_v1 import KrakenV1Feed

        return KrakenV1Feed(followed)
    return KrakenFeed(followed)


def feeds(followed: Sequence[Followed], address: Address) -> list[Feed]:
    """The connections that together follow these instruments.  Raises OperatorError."""
    for one in followed:
        if one.orders:
            raise OperatorError(
                f"{one.instrument.name}: single orders need a token of an account and another host; follow levels"
            )
    parts = [followed[k : k + KRAKEN_SYMBOLS_MAX] for k in range(0, len(followed), KRAKEN_SYMBOLS_MAX)]
    return [KrakenFeed(part) for part in parts]


def instruments_path(symbols: Sequence[str]) -> str:
    """Where the pairs are listed: all of them, because REST names them otherwise than the websocket."""
    return "/0/public/AssetPairs"


def instruments(body: bytes) -> list[Instrument]:
    """The pairs of a listing, as the websocket names them.  Raises Malformed."""
    try:
        answer = messages.asset_pairs(body)
    except messages.UNREADABLE as error:
        raise Malformed(f"kraken: a listing of instruments that is none: {error}"[:300]) from None
    if answer.error:
        raise Malformed(f"kraken: no listing of instruments: {', '.join(answer.error)}"[:300])
    return [_instrument_of(pair) for pair in answer.result.values() if pair.wsname]


def _instrument_of(pair: messages.AssetPair) -> Instrument:
    base, _, quote = (websocket_name(name) for name in pair.wsname.partition("/"))
    # Written with the venue's decimals, which its checksum wants even where the tick is coarser.
    decimals = Decimal(1).scaleb(-pair.pair_decimals)
    try:
        tick = Decimal(pair.tick_size).quantize(decimals) if pair.tick_size else decimals
        return Instrument(
            "kraken", f"{base}/{quote}", tick, Decimal(1).scaleb(-pair.lot_decimals), qty_min=Decimal(pair.ordermin),
            notional_min=Decimal(pair.costmin), base=base, quote=quote,
        )  # fmt: skip
    except (InvalidOperation, OperatorError) as error:
        raise Malformed(f"kraken:{pair.wsname}: steps that are none: {error}"[:300]) from None


def websocket_name(asset: str) -> str:
    """An asset's name on websocket v2: REST and v1 say XBT and XDG."""
    return {"XBT": "BTC", "XDG": "DOGE"}.get(asset, asset)

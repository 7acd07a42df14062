"""Kraken's single orders (channel level3): each order of the first levels, with a checksum over all of them.

It has a host of its own (wss://ws-l3.kraken.com) and wants an account's token.  As with levels nothing is numbered and
nothing is said of what falls out of the depth, so the checksum is compared after each message, and the orders of levels
that fell out are told as deleted.  Orders of a level come in the order of their queue.

    {"channel":"level3","type":"update","data":[{"symbol":"BTC/USD","checksum":974,"timestamp":"2024-01-15T12:00:01Z",
     "bids":[{"event":"add","order_id":"OABCDE-12345-FGHIJ","limit_price":42000.0,"order_qty":0.1,
     "timestamp":"2024-01-15T12:00:01.000000Z"}],"asks":[]}]}
"""

from __future__ import annotations

import bisect
import zlib
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from pinnacle.event import ASK, BID, LAST, ORDER_ADD, ORDER_DELETE, ORDER_MODIFY, SNAPSHOT
from pinnacle.venues import kraken_messages as messages
from pinnacle.venues.coinbase_orders import order_id_of
from pinnacle.venues.feed import (
    CAUSE_CHECKSUM,
    CAUSE_CROSSED,
    CAUSE_VENUE,
    Address,
    Followed,
    Malformed,
    Rows,
)
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.kraken import KrakenFeed
from pinnacle.venues.singles import Numbers

ADDRESS = Address("wss://ws-l3.kraken.com", "https://api.kraken.com")
DEPTHS = (10, 100, 1000)
CHECKSUM_LEVELS = 10


class OrderDepth:
    """The orders of one pair's first levels.  Each of its methods says in rows what it did."""

    def __init__(self, followed: Followed) -> None:
        self.followed = followed
        self.depth = next((depth for depth in DEPTHS if 0 < followed.depth <= depth), DEPTHS[-1])
        self._ticks, self._lots = Numbers(followed, False), Numbers(followed, True)
        self._units = [_unit(step) for step in (followed.instrument.tick, followed.instrument.lot)]
        self.clear()

    def clear(self) -> None:
        """No orders."""
        # side -> ticks -> order's text id -> lots, in the order of the queue; and the keys (side * ticks) in order.
        self.levels: dict[int, dict[int, dict[str, int]]] = {BID: {}, ASK: {}}
        self._keys: dict[int, list[int]] = {BID: [], ASK: []}
        self._known: dict[str, tuple[int, int]] = {}  # id -> side, ticks

    def decimals(self, price: int, qty: int) -> None:
        """How many decimals the venue writes."""
        one = self.followed.instrument
        units = [step.scaleb(n) for step, n in ((one.tick, price), (one.lot, qty))]
        if all(unit == int(unit) for unit in units):
            self._units = [int(unit) for unit in units]

    def apply(self, side: int, order: messages.Order, ts_ns: int, time_ns: int, flags: int, rows: Rows) -> None:
        """An order of a message; without an event it is one of a whole book.  Raises Malformed."""
        name = order.order_id
        if order.event == "delete":
            known = self._known.get(name)
            if known is not None:
                self._remove(name, known, ts_ns, time_ns, rows)
            return
        price, qty = bytes(order.limit_price).decode(), bytes(order.order_qty).decode()
        ticks, lots = self._ticks[price], self._lots[qty]
        if ticks <= 0 or lots <= 0 or not name or len(name) > 64 or order.event not in ("", "add", "modify"):
            raise Malformed(f"{self.followed.instrument.name}: an order of {qty[:40]} at {price[:40]}")
        known = self._known.get(name)
        if order.event == "modify" and known is None:
            return  # of a level that fell out; if it was not, the checksum says so
        if known == (side, ticks):
            self.levels[side][ticks][name] = lots
            self._say(ORDER_MODIFY, name, side, ticks, lots, ts_ns, time_ns, flags, rows)
            return
        if known is not None:
            self._remove(name, known, ts_ns, time_ns, rows)
        level = self.levels[side].get(ticks)
        if level is None:
            level = self.levels[side][ticks] = {}
            bisect.insort(self._keys[side], side * ticks)
        level[name] = lots
        self._known[name] = (side, ticks)
        self._say(ORDER_ADD, name, side, ticks, lots, ts_ns, time_ns, flags, rows)

    def cut(self, ts_ns: int, time_ns: int, rows: Rows) -> None:
        """Drop the orders of levels beyond the depth."""
        for side, keys in self._keys.items():
            while len(keys) > self.depth:
                ticks = side * keys[0]
                for name in list(self.levels[side][ticks]):
                    self._remove(name, (side, ticks), ts_ns, time_ns, rows)

    def crossed(self) -> bool:
        """Whether a bid is at or above an ask."""
        bids, asks = self._keys[BID], self._keys[ASK]
        return bool(bids and asks) and bids[-1] >= -asks[-1]

    def checksum(self) -> int:
        """CRC-32 over each order of the ten best asks upwards, then bids downwards, in the order of their queues."""
        parts: list[str] = []
        for side in (ASK, BID):
            for key in self._keys[side][: -CHECKSUM_LEVELS - 1 : -1]:
                ticks = side * key
                price = str(ticks * self._units[0])
                for lots in self.levels[side][ticks].values():
                    parts += (price, str(lots * self._units[1]))
        return zlib.crc32("".join(parts).encode())

    def _remove(self, name: str, where: tuple[int, int], ts_ns: int, time_ns: int, rows: Rows) -> None:
        side, ticks = where
        level = self.levels[side][ticks]
        lots = level.pop(name)
        del self._known[name]
        if not level:
            del self.levels[side][ticks]
            del self._keys[side][bisect.bisect_left(self._keys[side], side * ticks)]
        self._say(ORDER_DELETE, name, side, ticks, lots, ts_ns, time_ns, 0, rows)

    def _say(
        self, kind: int, name: str, side: int, ticks: int, lots: int, ts_ns: int, time_ns: int, flags: int, rows: Rows
    ) -> None:
        rows.add(self.followed, ts_ns, time_ns, kind, side, ticks, lots, order_id=order_id_of(name), flags=flags)


class KrakenOrdersFeed(KrakenFeed):
    """Single orders of its pairs on one connection.  token: of GetWebSocketsToken, fresh for each connection; whoever
    opens one sets it before."""

    def __init__(self, followed: Sequence[Followed], token: str) -> None:
        super().__init__(followed)
        self.token = token
        self.orders = [OrderDepth(one) for one in followed]
        self._do["level3"] = self._orders

    def _subscriptions(self) -> list[bytes]:
        out = []
        for depth in sorted({one.depth for one in self.orders}):
            those = [one.followed.instrument.symbol for one in self.orders if one.depth == depth]
            out.append(self._request("subscribe", those, depth))
        return out

    def _again(self, name: str, depth: int) -> list[bytes]:
        depth = self.orders[self._places[name]].depth
        return [self._request(method, [name], depth) for method in ("unsubscribe", "subscribe")]

    def _request(self, method: str, symbols: list[str], depth: int) -> bytes:
        params = {"channel": "level3", "symbol": symbols, "depth": depth, "token": self.token}
        return msgspec.json.encode({"method": method, "params": params})

    def _instrument(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        for pair in messages.instruments(message.data).pairs:
            k = self._places.get(pair.symbol)
            if k is not None:
                self.orders[k].decimals(pair.price_precision, pair.qty_precision)
        super()._instrument(message, ts_ns, rows)

    def _orders(self, message: messages.Envelope, ts_ns: int, rows: Rows) -> None:
        for book in messages.books(message.data):
            k = self._places.get(book.symbol)
            if k is None:
                self.count("of an instrument not followed")
                continue
            time = bytes(book.timestamp)
            time_ns = ns_of_iso(time[1:-1].decode()) if time else 0
            if message.type == "snapshot":
                self._whole_orders(k, book, time_ns, ts_ns, rows)
            elif not self.links[k].live:
                self.count("updates of a book that is not whole")
            elif not (time_ns and self.aged(ts_ns, time_ns, rows)):
                first = rows.count
                cause = self._hear(k, book, ts_ns, time_ns, 0, rows)
                if cause:
                    rows.count = first
                    self._lost(k, cause, ts_ns, rows)
                elif rows.count > first:
                    rows.events[rows.count - 1]["flags"] |= LAST

    def _hear(self, k: int, book: messages.Book, ts_ns: int, time_ns: int, flags: int, rows: Rows) -> int:
        """Rows of a message; returns the cause for which the book cannot be trusted after it, 0 for none."""
        orders = self.orders[k]
        for side, text in ((BID, book.bids), (ASK, book.asks)):
            for order in messages.orders(text):
                orders.apply(side, order, ts_ns, time_ns, flags, rows)
        orders.cut(ts_ns, time_ns, rows)
        if orders.checksum() != book.checksum:
            return CAUSE_CHECKSUM
        return CAUSE_CROSSED if orders.crossed() else 0

    def _whole_orders(self, k: int, book: messages.Book, time_ns: int, ts_ns: int, rows: Rows) -> None:
        link = self.links[k]
        if not self._of_use(k):
            self.count("books of a market that is closed")
            return
        if link.live:  # unasked: if it is not good, neither is what we had
            link.lost(CAUSE_VENUE, ts_ns, rows)
        link.asked()
        first = rows.count
        self.orders[k].clear()
        link.begin(ts_ns, time_ns, rows)
        if self._hear(k, book, ts_ns, time_ns, SNAPSHOT, rows):
            rows.count = first
            self.count("whole books that fail their checksum or are crossed")
            self._resubscribe(k, ts_ns)
        else:
            link.whole(ts_ns, time_ns, rows)


def _unit(step: Decimal) -> int:
    """A step in its own last decimal."""
    return int(step.scaleb(max(0, -int(step.as_tuple().exponent))))

"""One Bitstamp book by single orders (channel live_orders): a REST book of orders and the events after it.

Each event names the one before it, so a lost one is seen.  An order that comes to take is shown by the venue before it
has traded; such a one is not of the book and is held aside until what is left of it rests.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from pinnacle.event import ASK, BID, LAST, ORDER_ADD, ORDER_DELETE, ORDER_MODIFY, SNAPSHOT
from pinnacle.limits import BRIDGE_MESSAGES_MAX, L3_ORDERS_MAX, SNAPSHOT_WAIT_NS_MAX
from pinnacle.venues import bitstamp_messages as messages
from pinnacle.venues.feed import CAUSE_SEQUENCE, Fetch, Followed, Malformed, Rows
from pinnacle.venues.link import Link
from pinnacle.venues.numbers import Numbers

SECOND_NS = 1_000_000_000
CREATED, CHANGED, DELETED = "order_created", "order_changed", "order_deleted"


class _Best:
    """The best price of a side, out of how many orders stand at each."""

    __slots__ = ("_count", "_heap", "_sign")

    def __init__(self, side: int) -> None:
        self._sign, self._heap, self._count = side, list[int](), dict[int, int]()

    def add(self, ticks: int) -> None:
        if self._count.setdefault(ticks, 0) == 0:
            heapq.heappush(self._heap, -self._sign * ticks)
        self._count[ticks] += 1

    def remove(self, ticks: int) -> None:
        self._count[ticks] -= 1

    def ticks(self) -> int:
        """0 if the side is empty."""
        while self._heap:
            ticks = -self._sign * self._heap[0]
            if self._count.get(ticks, 0) > 0:
                return ticks
            heapq.heappop(self._heap)
            self._count.pop(ticks, None)
        return 0


class OrderBook:
    """count: called with what became of a message.  fetch: not None if a REST call is wanted."""

    def __init__(self, followed: Followed, count: Callable[[str], None]) -> None:
        self.link, self._count, self._numbers = Link(followed), count, Numbers(followed.instrument)
        self.fetch: Fetch | None = None
        self.tag = ""
        self._asked = self._tries = 0
        self._last_id = ""
        self._held: list[tuple[str, messages.Body]] = []
        self._clear()

    def _clear(self) -> None:
        self.orders: dict[int, tuple[int, int, int]] = {}  # id -> side, ticks, lots
        self._aside: set[int] = set()  # orders that came to take
        self._best = {BID: _Best(BID), ASK: _Best(ASK)}

    def begin(self) -> None:
        """A new connection."""
        self.drop()
        self._last_id, self._tries = "", 0
        self.link.asked()

    def drop(self) -> None:
        """Forget what is on its way."""
        self._held, self.tag, self.fetch = [], "", None

    def ask(self, after_ns: int = 0) -> None:
        """Want the whole book; events are held back until it comes."""
        self._asked += 1
        symbol = self.link.followed.instrument.symbol
        self.tag = f"{symbol} {self._asked}"
        self.fetch = Fetch(self.tag, f"/api/v2/order_book/{symbol}/?group=2", after_ns=after_ns)

    def ask_again(self) -> None:
        """The answer was none: wait longer each time."""
        self._tries += 1
        self.ask(min(SECOND_NS << min(self._tries, 16), SNAPSHOT_WAIT_NS_MAX))

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Nothing: events are chained."""

    def heard(self, frame: messages.Frame, ts_ns: int, rows: Rows) -> None:
        """One event.  Raises Malformed, ValueError."""
        if frame.event not in (CREATED, CHANGED, DELETED):
            self._count("of no known event")
            return
        order = frame.data
        if order is None:
            raise ValueError("bitstamp: an event without its order")
        if self._last_id and frame.event_id == self._last_id:
            self._count("events sent again")
            return
        follows = not self._last_id or not frame.pre_event_id or frame.pre_event_id == self._last_id
        self._last_id = frame.event_id
        if not follows:
            self._count("gaps")
            if self.link.live:
                self.link.lost(CAUSE_SEQUENCE, ts_ns, rows)
                self.link.asked()
            self.drop()
            self.ask(SECOND_NS if self._tries else 0)
            self._tries += 1
        if self.link.live:
            self._count("events applied")
            self._apply(frame.event, order, ts_ns, rows)
        elif self.tag:
            self._held.append((frame.event, order))
            if len(self._held) > BRIDGE_MESSAGES_MAX:
                self._count("books that came too late")
                self.drop()
                self.ask(SECOND_NS)

    def whole(self, snapshot: messages.Orders, ts_ns: int, rows: Rows) -> None:
        """The book that was asked for.  Raises Malformed, ValueError."""
        time_ns, held = messages.time_ns(snapshot.microtimestamp), self._held
        self.drop()
        self._clear()
        self.link.begin(ts_ns, time_ns, rows)
        for side, orders in ((BID, snapshot.bids), (ASK, snapshot.asks)):
            for price, amount, number in orders:
                ticks, lots, order_id = self._numbers.ticks(price), self._numbers.lots(amount), int(number)
                if ticks <= 0 or lots <= 0 or not 0 < order_id < 1 << 63 or order_id in self.orders:
                    raise Malformed(f"{self.link.followed.instrument.name}: an order of {amount[:40]} at {price[:40]}")
                self._add(order_id, side, ticks, lots, ts_ns, time_ns, SNAPSHOT, rows)
        self.link.whole(ts_ns, time_ns, rows)
        self._tries = 0
        for event, order in held:
            if messages.time_ns(order.microtimestamp) > time_ns:
                self._count("events applied")
                self._apply(event, order, ts_ns, rows)
            else:
                self._count("events older than the book")

    def _add(
        self, order_id: int, side: int, ticks: int, lots: int, ts_ns: int, time_ns: int, flags: int, rows: Rows
    ) -> None:
        if len(self.orders) >= L3_ORDERS_MAX:
            raise Malformed(f"{self.link.followed.instrument.name}: more than {L3_ORDERS_MAX:,} orders")
        self.orders[order_id] = (side, ticks, lots)
        self._best[side].add(ticks)
        rows.add(self.link.followed, ts_ns, time_ns, ORDER_ADD, side, ticks, lots, order_id=order_id, flags=flags)

    def _apply(self, event: str, order: messages.Body, ts_ns: int, rows: Rows) -> None:
        time_ns = messages.time_ns(order.microtimestamp)
        price, amount = messages.text(order.price_str, order.price), messages.text(order.amount_str, order.amount)
        ticks, lots, order_id = self._numbers.ticks(price), self._numbers.lots(amount), order.id
        if order.order_type not in (0, 1) or order_id <= 0 or (ticks <= 0 and event != DELETED):
            raise Malformed(f"{self.link.followed.instrument.name}: an order of {amount[:40]} at {price[:40]}")
        side, known = (BID if order.order_type == 0 else ASK), self.orders.get(order_id)
        followed = self.link.followed
        if event == DELETED or lots == 0:
            self._aside.discard(order_id)
            if known is None:
                self._count("ends of orders that were not in the book")
                return
            del self.orders[order_id]
            self._best[known[0]].remove(known[1])
            rows.add(followed, ts_ns, time_ns, ORDER_DELETE, known[0], known[1], lots, order_id=order_id)
        elif known is None:
            if event == CHANGED and order_id not in self._aside:
                self._count("changes of orders that were not in the book")
                return
            other = self._best[-side].ticks()
            if other and side * ticks >= side * other:
                self._aside.add(order_id)
                return
            self._aside.discard(order_id)
            self._add(order_id, side, ticks, lots, ts_ns, time_ns, LAST, rows)
        else:
            if ticks != known[1]:
                self._best[known[0]].remove(known[1])
                self._best[known[0]].add(ticks)
            self.orders[order_id] = (known[0], ticks, lots)
            rows.add(followed, ts_ns, time_ns, ORDER_MODIFY, known[0], ticks, lots, order_id=order_id)

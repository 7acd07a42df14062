"""Single orders of Coinbase Exchange (channels `full` and `level3`) as rows: one product's book, order by order.

The messages say what happened to an order, the rows what is left of it, so each open order is remembered here.  Each
message of a product is one more than the last; the whole book comes over REST and is joined where its sequence says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from pinnacle.event import ASK, BID, LAST, ORDER_ADD, ORDER_DELETE, ORDER_MODIFY, SNAPSHOT
from pinnacle.limits import BRIDGE_MESSAGES_MAX, L3_ORDERS_MAX
from pinnacle.venues.coinbase_messages import Change, Done, Match, Open, OrderMessage, OrderSnapshot
from pinnacle.venues.feed import CAUSE_SEQUENCE, CAUSE_VENUE, Malformed, Rows
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.link import Link
from pinnacle.venues.singles import Singles

SIDES = {"buy": BID, "sell": ASK}


def order_id_of(uuid: str) -> int:
    """A venue's text id as an id of ours: 63 bits of its BLAKE2b hash, above 0, the same on every machine."""
    return (int.from_bytes(hashlib.blake2b(uuid.encode(), digest_size=8).digest(), "little") & (2**63 - 1)) or 1


class OrderBook:
    """One product's orders.  ask: called with a delay in ns when the whole book is to be fetched.

    sequence: of the last message that the rows hold.  Two orders whose ids fall together in 63 bits would be one: with
    a hundred thousand orders open that is a chance of one in two thousand million.
    """

    def __init__(self, link: Link, count: Callable[[str], None], ask: Callable[[int], None]) -> None:
        self.link, self._count, self._ask = link, count, ask
        self._singles = Singles(link.followed)
        self._ticks, self._lots = self._singles.price_ticks, self._singles.qty_lots
        self.sequence = 0
        # order id as the venue writes it -> [our id, side, ticks, lots]
        self._orders: dict[str, list[int]] = {}
        self._waiting: list[OrderMessage] = []
        self._asked = False

    def begin(self) -> None:
        """A new connection: nothing is known, and the whole book is fetched when its messages have begun to come."""
        self._orders, self._waiting, self._asked = {}, [], False
        self.link.asked()

    def lost(self, cause: int, ts_ns: int, rows: Rows) -> None:
        """A message is missing: what was known is worthless, what comes now waits for a new whole book."""
        self.link.lost(cause, ts_ns, rows)
        self.begin()

    def heard(self, message: OrderMessage, ts_ns: int, rows: Rows) -> None:
        """One message of this product.  Raises Malformed."""
        if message.sequence == 0:
            return  # an `activate`, which is outside the sequence
        if not self.link.live:
            if self._wait(message) and isinstance(message, Match):
                self._trade(message, ts_ns, ns_of_iso(message.time), LAST, rows)
            return
        if message.sequence <= self.sequence:
            self._count("late")
            return
        if message.sequence != self.sequence + 1:
            self._count("gaps")
            self.lost(CAUSE_SEQUENCE, ts_ns, rows)
            self._wait(message)
            return
        self._apply(message, ts_ns, rows, trade=True)

    def whole(self, snapshot: OrderSnapshot, ts_ns: int, rows: Rows) -> None:
        """The book that was asked for, joined with what came meanwhile; asked for again if the two do not meet."""
        if self.link.live:
            return
        waiting = [message for message in self._waiting if message.sequence > snapshot.sequence]
        if waiting and waiting[0].sequence != snapshot.sequence + 1:
            self._count("books too old")
            self._ask(1_000_000_000)
            return
        if len(snapshot.bids) + len(snapshot.asks) > L3_ORDERS_MAX:
            raise Malformed(f"{self.link.followed.instrument.name}: a book of more than {L3_ORDERS_MAX} orders")
        self.link.begin(ts_ns, 0, rows)
        followed, orders = self.link.followed, self._orders
        orders.clear()
        for side, listed in ((BID, snapshot.bids), (ASK, snapshot.asks)):
            for price, size, uuid in listed:
                order = [order_id_of(uuid), side, self._ticks[price], self._lots[size]]
                if order[2] <= 0 or order[3] <= 0 or uuid in orders:
                    raise Malformed(f"{followed.instrument.name}: order {uuid[:40]!r} of {size[:20]} at {price[:20]}")
                orders[uuid] = order
                rows.add(followed, ts_ns, 0, ORDER_ADD, side, order[2], order[3], 0, order[0], SNAPSHOT)
        self.sequence = snapshot.sequence
        self.link.whole(ts_ns, 0, rows)
        self._waiting = []
        for message in waiting:
            self._apply(message, ts_ns, rows, trade=False)

    def _wait(self, message: OrderMessage) -> bool:
        """Keep a message for when the whole book has come; one before which a gap shows begins the row of them anew.

        Returns whether it is new.
        """
        waiting = self._waiting
        if waiting and message.sequence <= waiting[-1].sequence:
            self._count("late")
            return False
        if waiting and message.sequence != waiting[-1].sequence + 1:
            self._count("gaps")
            waiting.clear()
        if len(waiting) >= BRIDGE_MESSAGES_MAX:
            raise Malformed(
                f"{self.link.followed.instrument.name}: {len(waiting)} messages came and no whole book to join them to"
            )
        waiting.append(message)
        if not self._asked:
            self._asked = True
            self._ask(0)
        return True

    def _trade(self, message: Match, ts_ns: int, ts_venue_ns: int, flags: int, rows: Rows) -> None:
        """The TRADE of a match; the side of the maker may be known from the book alone (`level3`)."""
        known = self._orders.get(message.maker_order_id)
        side = SIDES.get(message.side) or (known[1] if known else 0)
        if side == 0:
            self._count("trades of unknown side")
            return
        order_id = order_id_of(message.maker_order_id)
        self._singles.trade(
            message.price, message.size, -side, message.trade_id, ts_ns, ts_venue_ns, rows, order_id, flags
        )

    def _apply(self, message: OrderMessage, ts_ns: int, rows: Rows, trade: bool) -> None:
        """The next message in sequence.  trade: its TRADE has not been said yet."""
        self.sequence = message.sequence
        if not isinstance(message, Open | Done | Match | Change):
            return
        ts_venue_ns = ns_of_iso(message.time)
        followed = self.link.followed
        if isinstance(message, Open):
            self._open(message, ts_ns, ts_venue_ns, rows)
            return
        uuid = message.maker_order_id if isinstance(message, Match) else message.order_id
        order = self._orders.get(uuid)
        if isinstance(message, Match) and trade:
            self._trade(message, ts_ns, ts_venue_ns, 0 if order else LAST, rows)
        if order is None:
            return
        if isinstance(message, Match):
            order[3] -= self._lots[message.size]
            if order[3] < 0:
                raise Malformed(f"{followed.instrument.name}: order {uuid[:40]!r} executed beyond its size")
        elif isinstance(message, Change):
            price = message.new_price if message.new_price is not None else message.price
            if price is None or message.new_size is None:
                return
            order[2], order[3] = self._ticks[price], self._lots[message.new_size]
        if isinstance(message, Done) or order[3] == 0:
            del self._orders[uuid]
            rows.add(followed, ts_ns, ts_venue_ns, ORDER_DELETE, order[1], order[2], order[3], 0, order[0])
        else:
            rows.add(followed, ts_ns, ts_venue_ns, ORDER_MODIFY, order[1], order[2], order[3], 0, order[0])

    def _open(self, message: Open, ts_ns: int, ts_venue_ns: int, rows: Rows) -> None:
        side = SIDES.get(message.side, 0)
        order = [
            order_id_of(message.order_id), side, self._ticks[message.price],
            self._lots[message.remaining_size],
        ]  # fmt: skip
        if side == 0 or order[2] <= 0 or order[3] <= 0 or message.order_id in self._orders:
            raise Malformed(f"{self.link.followed.instrument.name}: an open that cannot be: {message!r:.120}")
        if len(self._orders) >= L3_ORDERS_MAX:
            self._count("orders beyond the limit")
            self.lost(CAUSE_VENUE, ts_ns, rows)
            return
        self._orders[message.order_id] = order
        rows.add(self.link.followed, ts_ns, ts_venue_ns, ORDER_ADD, side, order[2], order[3], 0, order[0])

"""The obvious order-by-order book: a dict of orders, a list of ids at each price, and a plain price-level book.

Slow and plain, so that it can be read against the rules; the compiled book must agree with it after every command.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.naive.book_naive import ASK, BID, BookNaive

DONE, UNKNOWN, DUPLICATE, REFUSED = 0, -1, -3, -4


@dataclass
class OrderNaive:
    """One order: its side, its price and what is open of it."""

    side: int
    price_ticks: int
    lots: int
    owner: int = 0


@dataclass
class BookL3Naive:
    """orders: by id.  queues: ids at (side, price), first in, first out.  view: the levels that they make."""

    orders: dict[int, OrderNaive] = field(default_factory=dict)
    queues: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    view: BookNaive = field(default_factory=BookNaive)

    def add(self, order_id: int, side: int, price_ticks: int, lots: int, owner: int = 0) -> int:
        """A new order at the end of its queue."""
        if order_id <= 0 or price_ticks <= 0 or lots <= 0:
            return REFUSED
        if order_id in self.orders:
            return DUPLICATE
        self.orders[order_id] = OrderNaive(side, price_ticks, lots, owner)
        self.queues.setdefault((side, price_ticks), []).append(order_id)
        self._level(side, price_ticks)
        return DONE

    def remove(self, order_id: int) -> int:
        """The order leaves."""
        if order_id not in self.orders:
            return UNKNOWN
        order = self.orders.pop(order_id)
        queue = self.queues[order.side, order.price_ticks]
        queue.remove(order_id)
        if not queue:
            del self.queues[order.side, order.price_ticks]
        self._level(order.side, order.price_ticks)
        return DONE

    def reduce(self, order_id: int, to_lots: int) -> int:
        """Fewer lots, the same place."""
        if order_id not in self.orders:
            return UNKNOWN
        order = self.orders[order_id]
        if not 0 <= to_lots <= order.lots:
            return REFUSED
        if to_lots == 0:
            return self.remove(order_id)
        order.lots = to_lots
        self._level(order.side, order.price_ticks)
        return DONE

    def replace(self, order_id: int, price_ticks: int, lots: int) -> int:
        """The same price and no more lots keep the place; anything else is a new order at the end of its queue."""
        if order_id not in self.orders:
            return UNKNOWN
        order = self.orders[order_id]
        if lots == 0:
            return self.remove(order_id)
        if lots < 0 or price_ticks <= 0:
            return REFUSED
        if price_ticks == order.price_ticks and lots <= order.lots:
            return self.reduce(order_id, lots)
        self.remove(order_id)
        return self.add(order_id, order.side, price_ticks, lots, order.owner)

    def execute(self, order_id: int, lots: int) -> int:
        """A trade took lots of the order; what is left, or a code."""
        if order_id not in self.orders:
            return UNKNOWN
        left = self.orders[order_id].lots - lots
        if lots <= 0 or left < 0:
            return REFUSED
        self.reduce(order_id, left)
        return left

    def ahead_lots(self, order_id: int) -> int:
        """Lots of the orders that came before it at its price."""
        if order_id not in self.orders:
            return UNKNOWN
        order = self.orders[order_id]
        queue = self.queues[order.side, order.price_ticks]
        return sum(self.orders[other].lots for other in queue[: queue.index(order_id)])

    def clear(self, side: int) -> None:
        """A side's orders leave; 0: both sides'."""
        for one in (BID, ASK):
            if side in (one, 0):
                for order_id in [k for k, order in self.orders.items() if order.side == one]:
                    order = self.orders.pop(order_id)
                    self.queues.pop((one, order.price_ticks), None)
                self.view.clear(one, 0)
                self._show_again(one)

    def _level(self, side: int, price_ticks: int) -> None:
        """The view hears the new sum of a level; one that is gone lets the other side show again."""
        queue = self.queues.get((side, price_ticks), [])
        self.view.level(side, price_ticks, sum(self.orders[k].lots for k in queue))
        if not queue:
            self._show_again(side)

    def _show_again(self, side: int) -> None:
        """The other side shows its best level strictly beyond this side's best."""
        best, other = self.view.best_ticks[side], self.view.best_ticks[-side]
        prices = [price for price in self.view.lots[-side] if best is None or (price - best) * side > 0]
        if prices:
            shown = min(prices) if side == BID else max(prices)
            if other is None or (shown - other) * side < 0:
                self.view.best_ticks[-side] = shown

"""An order-by-order book in plain Python: every order by its id, every price as a queue of orders.

`data check` walks recordings with it, so that what it proves of them does not rest on the compiled book that trades.
"""

from __future__ import annotations

import bisect

from pinnacle.event import ASK, BID

Level = tuple[int, int]  # ticks, lots


class OrderBook:
    """Orders of both sides.  Ids are any integers above 0; prices are ticks, quantities lots.

    A change keeps the order's place in its queue unless the price moves or the quantity grows; then it joins the end.
    `level_changed` collects (side, ticks, lots before) of what the last call changed, for a caller that wants it.
    """

    def __init__(self) -> None:
        self.orders: dict[int, tuple[int, int, int]] = {}  # id: side, ticks, lots
        self.queues: dict[int, dict[int, dict[int, None]]] = {BID: {}, ASK: {}}
        self.lots: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self._keys: dict[int, list[int]] = {BID: [], ASK: []}  # side * ticks in order, the best last
        self.level_changed: list[tuple[int, int, int]] = []

    def add(self, order_id: int, side: int, ticks: int, lots: int) -> bool:
        """The order joins the end of its queue; False, and nothing changed, if the id is in the book already."""
        self.level_changed = []
        if order_id in self.orders:
            return False
        self._join(order_id, side, ticks, lots)
        return True

    def modify(self, order_id: int, side: int, ticks: int, lots: int) -> bool:
        """Price and open quantity are now these; False, and nothing changed, if the id is not in the book."""
        self.level_changed = []
        before = self.orders.get(order_id)
        if before is None:
            return False
        if before[:2] == (side, ticks) and lots <= before[2]:
            self.orders[order_id] = (side, ticks, lots)
            self._level(side, ticks, lots - before[2])
        else:
            self._leave(order_id)
            self._join(order_id, side, ticks, lots)
        return True

    def delete(self, order_id: int) -> bool:
        """The order leaves; False if the id is not in the book."""
        self.level_changed = []
        if order_id not in self.orders:
            return False
        self._leave(order_id)
        return True

    def clear(self, side: int, ticks: int) -> None:
        """A side (0: both) loses every order at `ticks` or better (0: all of them)."""
        self.level_changed = []
        for order_id, (its_side, its_ticks, _) in list(self.orders.items()):
            if side in (0, its_side) and (ticks == 0 or its_side * its_ticks >= its_side * ticks):
                self._leave(order_id)

    def best(self, side: int) -> int | None:
        """Ticks of the best price of a side."""
        keys = self._keys[side]
        return side * keys[-1] if keys else None

    def top(self, side: int, count: int) -> list[Level]:
        """The first levels of a side, best first."""
        lots = self.lots[side]
        return [(side * key, lots[side * key]) for key in self._keys[side][: -count - 1 : -1]]

    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        bids, asks = self._keys[BID], self._keys[ASK]
        return bool(bids and asks and bids[-1] >= -asks[-1])

    def first_in_queue(self, side: int, ticks: int) -> int:
        """Id of the order at the front of a price's queue; 0 if there is none."""
        return next(iter(self.queues[side].get(ticks, {})), 0)

    def _join(self, order_id: int, side: int, ticks: int, lots: int) -> None:
        self.orders[order_id] = (side, ticks, lots)
        queue = self.queues[side].get(ticks)
        if queue is None:
            queue = self.queues[side][ticks] = {}
            bisect.insort(self._keys[side], side * ticks)
        queue[order_id] = None
        self._level(side, ticks, lots)

    def _leave(self, order_id: int) -> None:
        side, ticks, lots = self.orders.pop(order_id)
        queue = self.queues[side][ticks]
        del queue[order_id]
        self._level(side, ticks, -lots)
        if not queue:
            del self.queues[side][ticks], self.lots[side][ticks]
            keys = self._keys[side]
            del keys[bisect.bisect_left(keys, side * ticks)]

    def _level(self, side: int, ticks: int, change: int) -> None:
        before = self.lots[side].get(ticks, 0)
        self.lots[side][ticks] = before + change
        self.level_changed.append((side, ticks, before))

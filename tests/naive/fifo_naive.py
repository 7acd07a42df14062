"""The obvious queue: a list of orders at each price, recorded ones and our own, first in, first out.

Nothing is counted ahead of time: what stands ahead of an own order is what stands before it in the list.  Recorded
orders that left stay in the list with no lots, so that a trade told afterwards still finds where they stood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

BID, ASK = 1, -1


@dataclass(eq=False)
class Entry:
    """A place in a list.  own: our order, else the recording's."""

    order_id: int
    own: bool
    lots: int


@dataclass
class FifoNaive:
    """filled: called with (own order id, side, price, lots, why) for each fill."""

    filled: Callable[[int, int, int, int, str], None]
    queues: dict[tuple[int, int], list[Entry]] = field(default_factory=dict)
    where: dict[int, tuple[int, int, Entry]] = field(default_factory=dict)  # recorded, by id
    own: dict[int, tuple[int, int, Entry]] = field(default_factory=dict)
    taken: dict[tuple[int, int], tuple[int, set[Entry]]] = field(default_factory=dict)
    levels: dict[int, dict[int, int]] = field(default_factory=lambda: {BID: {}, ASK: {}})  # recorded lots by price

    # --- the recording --------------------------------------------------------------------------------------------
    def add(self, order_id: int, side: int, price: int, lots: int) -> None:
        """An order joins the end; one that is known changes nothing."""
        if order_id not in self.where:
            self._join(order_id, side, price, lots)
            self.meet(side)

    def modify(self, order_id: int, price: int, lots: int) -> None:
        """The same price and no more lots keep the place; else it leaves and joins the end."""
        if order_id not in self.where:
            return
        side, before, entry = self.where[order_id]
        if lots == 0:
            self.delete(order_id)
        elif price == before and lots <= entry.lots:
            if lots < entry.lots:
                self._lose(side, before, entry, entry.lots - lots)
                self.meet(side)
        else:
            del self.where[order_id]
            self._lose(side, before, entry, entry.lots)
            self.meet(side)
            self._join(order_id, side, price, lots)
            self.meet(side)

    def delete(self, order_id: int) -> None:
        """An order leaves."""
        if order_id in self.where:
            side, price, entry = self.where.pop(order_id)
            self._lose(side, price, entry, entry.lots)
            self.meet(side)

    def trade(self, aggressor: int, price: int, lots: int, order_id: int) -> None:
        """A trade; order_id: whom it executed, 0 if it does not say.  aggressor: its side, 0 if it does not say."""
        left = lots
        for side in (BID, ASK):
            if aggressor != side:
                for entry, at in self._own_orders(side):
                    if side * at > side * price:
                        left = self._fill(entry, side, at, left, "trade_through")
        if aggressor != 0:
            self._trade_at(-aggressor, price, left, order_id)
        self.meet(BID)
        self.meet(ASK)

    def _trade_at(self, side: int, price: int, left: int, order_id: int) -> None:
        queue = self.queues.get((side, price), [])
        if order_id:
            ids = [0 if entry.own else entry.order_id for entry in queue]
            live = self.where.get(order_id)
            if live is not None and live[:2] == (side, price):
                stop = next(k for k, entry in enumerate(queue) if entry is live[2])
            elif order_id in ids:
                stop = len(ids) - 1 - ids[::-1].index(order_id)
            else:
                stop = 0
            queue = queue[:stop]
        for entry in list(queue):
            if entry.own:
                left = self._fill(entry, side, price, left, "queue_front")
            elif not order_id:
                left -= entry.lots

    def _join(self, order_id: int, side: int, price: int, lots: int) -> None:
        entry = Entry(order_id, False, lots)
        self.queues.setdefault((side, price), []).append(entry)
        self.where[order_id] = (side, price, entry)
        self.levels[side][price] = self.lots(side, price) + lots

    def _lose(self, side: int, price: int, entry: Entry, lots: int) -> None:
        entry.lots -= lots
        self.levels[side][price] -= lots
        if self.levels[side][price] == 0:
            del self.levels[side][price]
        if (side, price) in self.taken:
            taken, who = self.taken[side, price]
            taken -= lots if entry in who else 0
            self.taken[side, price] = (taken, who)
            if taken <= 0 or self.lots(side, price) == 0:
                del self.taken[side, price]

    # --- own orders -----------------------------------------------------------------------------------------------
    def rest(self, order_id: int, side: int, price: int, lots: int) -> None:
        """An own order joins the end."""
        entry = Entry(order_id, True, lots)
        self.queues.setdefault((side, price), []).append(entry)
        self.own[order_id] = (side, price, entry)

    def cancel(self, order_id: int) -> None:
        """An own order leaves."""
        side, price, entry = self.own.pop(order_id)
        self.queues[side, price].remove(entry)

    def ahead(self, order_id: int) -> int:
        """Recorded lots before an own order in its list."""
        side, price, mine = self.own[order_id]
        queue = self.queues[side, price]
        return sum(entry.lots for entry in queue[: queue.index(mine)] if not entry.own)

    def lots(self, side: int, price: int) -> int:
        """Recorded lots at a price."""
        return self.levels[side].get(price, 0)

    def prices(self, side: int) -> list[int]:
        """Prices of a side with recorded lots, best first."""
        return sorted(self.levels[side], key=lambda price: -side * price)

    def meet(self, side: int) -> None:
        """What rests on a side meets own orders it has come to, unless the recorded book overlaps itself."""
        mine = self._own_orders(-side)
        best = max((side * price for price in self.levels[side]), default=None)
        other = min((side * price for price in self.levels[-side]), default=None)
        if not mine or best is None or best < side * mine[0][1] or (other is not None and best >= other):
            return
        for price in self.prices(side):
            for entry, at in self._own_orders(-side):
                if side * price >= side * at:
                    left = self.lots(side, price) - self.taken.get((side, price), (0, set()))[0]
                    before = entry.lots
                    self._fill(entry, -side, at, left, "crossing_book")
                    if before - entry.lots:
                        taken = self.taken.get((side, price), (0, set()))[0] + before - entry.lots
                        self.taken[side, price] = (taken, set(self.queues[side, price]))

    def _own_orders(self, side: int) -> list[tuple[Entry, int]]:
        """Own orders of a side with their prices: the best first, each in its sequence."""
        found = {price for its_side, price, _ in self.own.values() if its_side == side}
        return [
            (entry, price)
            for price in sorted(found, key=lambda price: -side * price)
            for entry in list(self.queues[side, price])
            if entry.own
        ]

    def _fill(self, entry: Entry, side: int, price: int, left: int, why: str) -> int:
        """Fill an own order from what is left of an execution; returns what is left after it."""
        lots = min(entry.lots, left)
        if lots <= 0:
            return left
        entry.lots -= lots
        self.filled(entry.order_id, side, price, lots, why)
        if entry.lots == 0:
            self.cancel(entry.order_id)
        return left - lots

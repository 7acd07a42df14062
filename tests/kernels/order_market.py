"""A hand-made or drawn recording of single orders, as a feed hands it to the drive."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from pinnacle.event import (
    ASK,
    BID,
    BOOK_CLEAR,
    EVENT,
    LAST,
    ORDER_ADD,
    ORDER_DELETE,
    ORDER_MODIFY,
    SNAPSHOT,
    TRADE,
)
from pinnacle.kernels.order_rows import pack_orders
from pinnacle.kernels.queue import EXACT
from pinnacle.kernels.state import NEVER
from pinnacle.kernels.weave import WOVEN, weave
from pinnacle.run.order_walk import OrderWalk
from tests.kernels.scene import Scene, event


def add(ts_ns: int, order_id: int, side: int, price: int, lots: int, flags: int = LAST) -> np.ndarray:
    """An order joins the end of its queue."""
    return event(ORDER_ADD, ts_ns, side, price, lots, order_id=order_id, flags=flags)


def change(ts_ns: int, order_id: int, side: int, price: int, lots: int, flags: int = LAST) -> np.ndarray:
    """An order's price and open lots are now these."""
    return event(ORDER_MODIFY, ts_ns, side, price, lots, order_id=order_id, flags=flags)


def delete(ts_ns: int, order_id: int, side: int, price: int, lots: int = 0, flags: int = LAST) -> np.ndarray:
    """An order leaves."""
    return event(ORDER_DELETE, ts_ns, side, price, lots, order_id=order_id, flags=flags)


def traded(ts_ns: int, aggressor: int, price: int, lots: int, order_id: int = 0, flags: int = LAST) -> np.ndarray:
    """A trade; order_id: whom it executed."""
    return event(TRADE, ts_ns, aggressor, price, lots, order_id=order_id, flags=flags)


def cleared(ts_ns: int, side: int, price: int = 0) -> np.ndarray:
    """A side is emptied."""
    return event(BOOK_CLEAR, ts_ns, side, price, flags=LAST)


def shown(ts_ns: int, order_id: int, side: int, price: int, lots: int) -> np.ndarray:
    """An order of a snapshot."""
    return add(ts_ns, order_id, side, price, lots, SNAPSHOT | LAST)


def heard_and_woven(
    events: np.ndarray, sizes: tuple[int, ...] = (), exact: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """(what the engine hears, the rows that are driven) of a recording walked in batches of `sizes`, repeated."""
    walk, parts, at, k = OrderWalk(), [], 0, 0
    while at < events.size:
        size = sizes[k % len(sizes)] if sizes else events.size
        parts.append(walk.heard(events[at : at + size].copy(), Path("drawn")))
        at, k = at + size, k + 1
    heard = np.concatenate(parts) if parts else np.zeros(0, EVENT)
    if not exact:
        heard["seq"] = 0
    rows, late = np.zeros(2 * heard.size, WOVEN), np.zeros(2 * heard.size, WOVEN)
    count, late_count, _, back = pack_orders(heard, rows, late, -NEVER)
    assert (late_count, back) == (0, -1), "one recording of orders is one sequence"
    target = np.zeros(count, WOVEN)
    assert weave(rows[:count], late[:0], NEVER, target) == (count, 0, count)
    return heard, target


def ordered_scene(script, *rows, whole: bool = False, queue_model: int = EXACT, **how) -> Scene:
    """Run a script over a recording of single orders."""
    events = np.concatenate(rows)
    events = events[np.argsort(events["ts_ns"], kind="stable")]
    made = Scene(script, **how)
    made.venue["queue_model"] = queue_model
    if whole:
        made.whole()
    heard, driven = heard_and_woven(events, exact=queue_model == EXACT)
    return made.run_woven(driven, (), heard)


class Drawn:
    """A recording drawn by seed: orders that come, shrink, grow, move, cancel and trade, in the manner of two venues.

    told_after: trades are told after the changes that they made, and an order that takes is seen in the book first;
    else a trade comes first and its changes after it.  odd: share of rows that make no sense.
    """

    PRICES = range(95, 106)

    def __init__(self, seed: int, count: int, odd: float, apart: bool = False) -> None:
        self.draw, self.apart = random.Random(seed), apart
        self.told_after = self.draw.random() < 0.5 and not apart
        self.rows: list[np.ndarray] = []
        self.live: dict[int, list[int]] = {}  # side, price, lots, in order of entry
        self.gone: list[int] = []
        self.next_id, self.ts_ns, self.odd = 1, 1, odd
        for _ in range(12):
            side = self.draw.choice((BID, ASK))
            self._add(side, 100 - side * self.draw.randint(1, 4), self.draw.randint(1, 9))
        while len(self.rows) < count:
            self._step()
        self.events = np.concatenate(self.rows)

    def _say(self, made: np.ndarray, last: bool = True) -> None:
        made["flags"] = LAST if last else 0
        self.rows.append(made)

    def _add(self, side: int, price: int, lots: int, last: bool = True) -> int:
        order_id, self.next_id = self.next_id, self.next_id + 1
        self.live[order_id] = [side, price, lots]
        self._say(add(self.ts_ns, order_id, side, price, lots), last)
        return order_id

    def _step(self) -> None:
        draw = self.draw
        self.ts_ns += draw.choice((0, 1, 1, 3, 9, 20))
        if draw.random() < self.odd:
            self._odd()
            return
        what = draw.random()
        if what < 0.35 or len(self.live) < 6:
            side = draw.choice((BID, ASK))
            price = 100 - side * draw.randint(0, 4)
            if not self._meets(side, price):
                self._add(side, price, draw.randint(1, 9), draw.random() < 0.8)
        elif what < 0.65:
            self._change(draw.choice(list(self.live)))
        elif what < 0.75:
            order_id = draw.choice(list(self.live))
            side, price, lots = self.live.pop(order_id)
            self.gone.append(order_id)
            self._say(delete(self.ts_ns, order_id, side, price, lots))
        else:
            self._match(draw.choice((BID, ASK)), draw.randint(1, 15), 100 + draw.randint(-4, 4))

    def _change(self, order_id: int) -> None:
        side, price, lots = self.live[order_id]
        how = self.draw.random()
        if how < 0.5:
            lots = self.draw.randint(1, lots)
        elif how < 0.7:
            lots += self.draw.randint(1, 4)
        else:
            price = 100 - side * self.draw.randint(0, 4)
        if self._meets(side, price):
            return
        self._put(order_id, side, price, lots)

    def _meets(self, side: int, price: int) -> bool:
        """Whether an order could not come for this price where the sides are kept apart."""
        return self.apart and any(its == -side and side * at <= side * price for its, at, _ in self.live.values())

    def _put(self, order_id: int, side: int, price: int, lots: int) -> None:
        """The order is now this, at the end of its queue if it lost its priority."""
        before = self.live[order_id]
        if lots == 0:
            del self.live[order_id]
            self.gone.append(order_id)
            self._say(delete(self.ts_ns, order_id, side, price))
            return
        self._say(change(self.ts_ns, order_id, side, price, lots))
        if price != before[1] or lots > before[2]:
            del self.live[order_id]
        self.live[order_id] = [side, price, lots]

    def _match(self, aggressor: int, lots: int, limit: int) -> None:
        """An order takes what it reaches, best price first, then rests with what is left or leaves."""
        taker = self._add(aggressor, limit, lots) if self.told_after else 0
        while lots:
            met = [
                (-side * price, at, order_id)
                for at, (order_id, (side, price, _)) in enumerate(self.live.items())
                if side == -aggressor and aggressor * price <= aggressor * limit
            ]
            if not met:
                break
            order_id = min(met)[2]
            side, price, open_lots = self.live[order_id]
            took = min(lots, open_lots)
            lots -= took
            named = order_id if self.told_after or self.draw.random() < 0.7 else 0
            trade = traded(self.ts_ns, aggressor, price, took, named)
            if not self.told_after:
                self._say(trade, False)
            changes = [(order_id, side, price, open_lots - took)]
            if taker:
                changes.append((taker, aggressor, limit, lots))
                self.draw.shuffle(changes)
            for one in changes:
                self._put(*one)
            if self.told_after:
                self.ts_ns += self.draw.randint(0, 3)
                if self.draw.random() < 0.1:
                    trade["side"] = trade["order_id"] = 0
                self._say(trade)
        if lots and not taker and self.draw.random() < 0.7:
            self._add(aggressor, limit, lots)

    def _odd(self) -> None:
        """A row about an order that nobody knows, an id used twice, or a trade of whoever."""
        draw, price = self.draw, self.draw.choice(self.PRICES)
        side, how = draw.choice((BID, ASK)), self.draw.random()
        stranger = 10_000 + draw.randint(1, 50)
        if how < 0.2:
            self._say(delete(self.ts_ns, stranger, side, price))
        elif how < 0.4:
            self._say(change(self.ts_ns, stranger, side, price, 3))
        elif how < 0.5 and self.live:
            self._say(add(self.ts_ns, draw.choice(list(self.live)), side, price, 3))
        elif how < 0.6:
            self._say(traded(self.ts_ns, side, price, draw.randint(1, 9), stranger))
        elif how < 0.8 and self.live:
            order_id = draw.choice(list(self.live))
            its_side, its_price, _ = self.live[order_id]
            self._say(traded(self.ts_ns, -its_side, its_price, draw.randint(1, 9), order_id))
        else:
            self._say(traded(self.ts_ns, draw.choice((BID, ASK, 0)), price, draw.randint(1, 9)))

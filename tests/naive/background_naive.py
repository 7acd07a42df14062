"""The obvious zero-intelligence background: a list of orders, every rate worked out anew, one order at a time.

It shares with the compiled one the generator of chance and its logarithm, and the tables of sizes; nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinnacle import event as e
from pinnacle.kernels.random import ln, words
from pinnacle.models.zero_intelligence import ZeroIntelligence
from tests.naive.exchange_naive import ExchangeNaive, Order

ONE = 1 << 20
UNIT = 1.0 / 4294967296.0


class BackgroundNaive:
    """Acts at `exchange` as participant 1.  limit_lots, market_lots: tables of sizes; scale: by bucket of distance."""

    def __init__(
        self, model: ZeroIntelligence, seed: int, exchange: ExchangeNaive, start_ns: int, orders: int,
        limit_lots: np.ndarray, market_lots: np.ndarray, scale: np.ndarray,
    ) -> None:  # fmt: skip
        self.model, self.seed, self.exchange, self.orders = model, seed, exchange, orders
        self.limit_lots, self.market_lots, self.scale = limit_lots, market_lots, scale
        self.draws = 0
        self.wait = -ln((self.draw()[0] + 0.5) * UNIT)
        self.best = {1: exchange.best(1), -1: exchange.best(-1)}
        self.now_ns = start_ns

    def draw(self) -> tuple[int, ...]:
        """The next block of chance."""
        self.draws += 1
        return tuple(words(self.seed, 0, self.draws - 1))

    def bucket(self, distance: int) -> int | None:
        """Of a distance from the other side's best; None beyond the last."""
        edges = self.model.edges_ticks
        inside = [b for b in range(len(edges) - 1) if edges[b] <= max(distance, 1) < edges[b + 1]]
        return inside[0] if inside else None

    def resting(self) -> list[tuple[int, int, list[Order]]]:
        """(weight of each, bucket, its orders): bids then asks, buckets from near to far, in each the better price
        and the older order first."""
        found = []
        for side in (1, -1):
            by_bucket: dict[int, list[Order]] = {}
            for price in sorted(self.exchange.queues[side], reverse=side > 0):
                b = self.bucket(side * (self.best[-side] - price))  # type: ignore[operator]
                if b is not None:
                    by_bucket.setdefault(b, []).extend(self.exchange.queues[side][price])
            for b in sorted(by_bucket):
                found.append((round(self.model.cancel_per_s[b] * ONE), b, by_bucket[b]))
        return found

    def limit_below(self) -> list[float]:
        """Rate of limit orders of one side nearer than each edge."""
        edges = self.model.edges_ticks
        return [0.0, *np.cumsum(np.array(self.model.limit_per_s) * np.diff(edges))]

    def act(self) -> tuple[Any, ...] | None:
        """The next candidate: (ts_ns, kind, order_id, side, price, lots, flags) of its order, None if it has none."""
        resting = self.resting()
        cancels = sum(weight * len(orders) for weight, _, orders in resting)
        below = self.limit_below()
        rate = (2.0 * below[-1] + 2.0 * self.model.market_per_s) + cancels / ONE
        self.now_ns += 1 + int(self.wait / rate * 1e9)
        a, b, c, d = self.draw()
        self.wait = -ln((a + 0.5) * UNIT)
        v, place, size = (b + 0.5) * UNIT * rate, (c + 0.5) * UNIT, (d + 0.5) * UNIT
        if v < 2.0 * below[-1]:
            return self.limit(v, below, size)
        v -= 2.0 * below[-1]
        if v < 2.0 * self.model.market_per_s:
            self.orders += 1
            lots = max(1, int(self.market_lots[int(size * self.market_lots.size)] + 0.5))
            return self.now_ns, e.PLACE, self.orders, 1 if place < 0.5 else -1, 0, lots, e.MARKET
        return self.cancel(int((v - 2.0 * self.model.market_per_s) * ONE), resting)

    def limit(self, v: float, below: list[float], size: float) -> tuple[Any, ...]:
        """A limit order whose distance and side are where v falls."""
        side = 1 if v < below[-1] else -1
        v -= 0.0 if side > 0 else below[-1]
        b = max(k for k in range(len(below) - 1) if below[k] <= v)
        edges = self.model.edges_ticks
        distance = min(edges[b] + int((v - below[b]) / self.model.limit_per_s[b]), edges[b + 1] - 1)
        self.orders += 1
        lots = max(1, int(self.limit_lots[int(size * self.limit_lots.size)] * self.scale[b] + 0.5))
        price = self.best[-side] - side * distance  # type: ignore[operator]
        return self.now_ns, e.PLACE, self.orders, side, price, lots, 0

    def cancel(self, left: int, resting: list[tuple[int, int, list[Order]]]) -> tuple[Any, ...] | None:
        """The order that `left` units of weight lead to."""
        for weight, _, orders in resting:
            if left < weight * len(orders):
                order = orders[left // weight]
                return self.now_ns, e.CANCEL, order.order_id, order.side, order.price, 0, 0
            left -= weight * len(orders)
        return None

    def heard(self) -> None:
        """What was sent is done: distances are from the bests that there are now, or were last."""
        for side in (1, -1):
            best = self.exchange.best(side)
            self.best[side] = self.best[side] if best is None else best

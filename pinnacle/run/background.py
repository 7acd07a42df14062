"""A plain background for the local exchange: seeded orders around a wandering price, enough for a market that moves.

It is no model of a real market (those are fitted to history): orders arrive at exponential times, rest at exponential
distances around a fair price that walks at random, are cancelled at random, and some take.  What comes depends on the
seed and the time alone, never on the book, so that stepping in small or large steps gives the same commands.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from pinnacle import event as e
from pinnacle.dialects.market import QuietMarket
from pinnacle.dialects.orders import Listing
from pinnacle.event import EVENT
from pinnacle.kernels.exchange_state import Exchange

_PEOPLE = 8
_MASK = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class BackgroundRates:
    """per_s: commands a second.  resting: orders that rest on average.  distance_ticks: mean distance of orders from
    the fair price.  walk_ticks: standard deviation of the fair price after a second.  qty_lots: mean quantity.  taking:
    share of new orders that take."""

    per_s: float = 200.0
    resting: int = 2_000
    distance_ticks: float = 40.0
    walk_ticks: float = 10.0
    qty_lots: int = 1_000
    taking: float = 0.1


class BackgroundMarket(QuietMarket):
    """A matching engine with a plain background: its participants are the last `_PEOPLE` of the engine's."""

    people = _PEOPLE

    def __init__(
        self, venue: Exchange, listing: Listing, first_ns: int, price_ticks: int, rates: BackgroundRates, seed: int
    ) -> None:
        super().__init__(venue)
        self._listing, self._rates = listing, rates
        self._draw = random.Random(seed)
        self._first_participant = int(venue.exchange[0]["participants"]) - _PEOPLE + 1
        self._fair = float(price_ticks)
        self._at_ns = self._fair_ns = first_ns
        self._live: list[tuple[int, int]] = []  # (participant, order id), some of them gone
        self._next_id = 1
        self._next: tuple[int, tuple[int, ...]] | None = None
        self._begin: list[tuple[int, ...]] = []
        for _ in range(rates.resting):
            self._begin.append(self._new(False))

    def advance(self, to_ns: int) -> tuple[np.ndarray, np.ndarray]:
        rows: list[tuple[int, ...]] = [(self._at_ns, *one) for one in self._begin]
        self._begin = []
        while True:
            if self._next is None:
                self._at_ns += self._wait_ns()
                self._next = (self._at_ns, self._command())
            when, command = self._next
            if when > to_ns:
                break
            rows.append((when, *command))
            self._next = None
        if not rows:
            return np.zeros(0, EVENT), np.zeros(0, np.int32)
        commands = np.zeros(len(rows), EVENT)
        names = ("ts_ns", "kind", "aux", "order_id", "side", "price_ticks", "qty_lots", "flags")
        for name, column in zip(names, zip(*rows)):
            commands[name] = column
        commands["ts_venue_ns"] = commands["ts_ns"]
        return self.submit(commands)

    def change(self, rates: BackgroundRates, now_ns: int) -> None:
        """Go on with other rates from now on, the time of the last `advance`; what was to come next comes at the new
        pace."""
        self._rates = rates
        if self._next is not None:
            self._at_ns = now_ns + self._wait_ns()
            self._next = (self._at_ns, self._next[1])

    def _wait_ns(self) -> int:
        wait_s = -math.log(1.0 - self._draw.random()) / self._rates.per_s
        return max(1, round(wait_s * 1e9))

    def _command(self) -> tuple[int, ...]:
        """(kind, participant, order id, side, price, lots, flags) of the next command."""
        draw, rates = self._draw, self._rates
        seconds = max(0, self._at_ns - self._fair_ns) / 1e9
        self._fair_ns = self._at_ns
        self._fair += draw.gauss(0.0, rates.walk_ticks * math.sqrt(seconds))
        low, high = self._listing.price_min_ticks, self._listing.price_max_ticks
        margin = (high - low) / 10
        self._fair = min(max(self._fair, low + margin), high - margin)
        if len(self._live) > draw.uniform(0.5, 1.5) * rates.resting:
            k = draw.randrange(len(self._live))
            who, order_id = self._live[k]
            self._live[k] = self._live[-1]
            self._live.pop()
            return (e.CANCEL, who, order_id, 0, 0, 0, 0)
        return self._new(draw.random() < rates.taking)

    def _new(self, takes: bool) -> tuple[int, ...]:
        draw = self._draw
        side = 1 if draw.random() < 0.5 else -1
        lots = 1 + min(self._listing.qty_max_lots - 1, int(draw.expovariate(1 / self._rates.qty_lots)))
        who, order_id = self._first_participant + draw.randrange(_PEOPLE), self._next_id
        self._next_id += 1
        assert order_id <= _MASK
        if takes:
            return (e.PLACE, who, order_id, side, 0, lots, e.MARKET)
        away = 1 + int(draw.expovariate(1 / self._rates.distance_ticks))
        price = round(self._fair) - side * away
        price = min(max(price, self._listing.price_min_ticks), self._listing.price_max_ticks)
        self._live.append((who, order_id))
        return (e.PLACE, who, order_id, side, price, lots, 0)

"""The network of a storm: messages that are late, lost, doubled and swapped, and connections that break.

What a client sends is delayed or lost, never doubled: TLS shows a receiver no message twice, and an order doubled by
the network would be the network's second order.  What it hears is doubled and swapped, because venues do that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Later = Callable[[int, Callable[[], None]], None]
MS = 1_000_000


@dataclass(slots=True)
class Weather:
    """Chances of each message; of HTTP: that nothing comes back.  spike_ms: how late a late one is."""

    lost: float = 0.0
    doubled: float = 0.0
    swapped: float = 0.0
    late: float = 0.0
    spike_ms: float = 400.0
    lost_up: float = 0.0
    http_lost: float = 0.0
    latency_ms: float = 3.0


class Pipe:
    """One direction of a connection.  later: calls back after so many ns."""

    def __init__(self, chance: random.Random, weather: Weather, later: Later, up: bool) -> None:
        self._chance, self._weather, self._later, self._up = chance, weather, later, up
        self._last_ns = 0

    def delay_ns(self) -> int:
        """How long one message takes."""
        chance, weather = self._chance, self._weather
        delay_ms = 0.2 + chance.expovariate(1 / weather.latency_ms)
        if chance.random() < weather.late:
            delay_ms += chance.uniform(0.2, 1.0) * weather.spike_ms
        return int(delay_ms * MS)

    def carry(self, now_ns: int, deliver: Callable[[], None]) -> None:
        """Bring one message over, or not."""
        chance, weather = self._chance, self._weather
        if chance.random() < (weather.lost_up if self._up else weather.lost):
            return
        arrives_ns = now_ns + self.delay_ns()
        if not self._up and chance.random() < weather.swapped:
            self._later(arrives_ns + int(chance.uniform(1, 60) * MS) - now_ns, deliver)
            return
        arrives_ns = self._last_ns = max(arrives_ns, self._last_ns + 1)
        self._later(arrives_ns - now_ns, deliver)
        if not self._up and chance.random() < weather.doubled:
            self._later(arrives_ns + int(chance.uniform(0, 80) * MS) - now_ns, deliver)

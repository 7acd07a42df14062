"""A process that dies and does not come back: what the venues end without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Happened, Update
from pinnacle.limits import DEAD_MAN_NS
from tests.storm.network import Weather
from tests.storm.places import PLACES
from tests.storm.world import SECOND, START_NS, Plan, World


class _NeverBack(World):
    """Dead is dead."""

    def _start(self) -> None:
        if not self.deaths:
            super()._start()


class _Cancels:
    """Counts our orders that the exchange cancels."""

    def __init__(self, world: World) -> None:
        self.count = 0
        self._world = world
        world.house.listeners.append(self)

    def private(self, update: Update) -> None:
        ours = update.order.account == 1 and update.order is not self._world.foreign
        self.count += ours and update.what is Happened.CANCELLED

    def market(self, batch: Batch) -> None:
        """Not counted."""


@pytest.mark.parametrize(
    ("place", "within_ns", "ends"),
    [("kraken", DEAD_MAN_NS + 2 * SECOND, True), ("gemini", 2 * SECOND, True), ("binance", 20 * SECOND, False)],
)
def test_nothing_rests_for_long_without_us(place: str, within_ns: int, ends: bool) -> None:
    """Killed with orders resting: the venue cancels them when the switch's time is over, or with the connection; one
    that has neither lets them rest."""
    world = _NeverBack(4, plan=Plan(5.0, Weather()), place=PLACES[place])
    world._venue_tick()
    world._start()
    world.run_until(START_NS + 20 * SECOND, lambda: len(world._ours_open()) >= 2)
    assert len(world._ours_open()) >= 2
    world.market._rates = replace(world.market._rates, taking=0.0, per_s=0.5, walk_ticks=0.0)
    cancels = _Cancels(world)
    world._kill()
    world.run_until(world.now_ns + within_ns)
    assert (cancels.count > 0) == ends
    assert not ends or not world._ours_open()

"""Storms: real engine, gateway, desk and exchange in worlds full of trouble, with an auditor who keeps his own books.

Some worlds here, more with PINNACLE_STORM_WORLDS; `make storm WORLDS=.. SEED=..` runs any number.  A failure says the
seed and the command that repeats that one world.
"""

from __future__ import annotations

import os

import pytest

from tests.storm.auditor import Violation
from tests.storm.mistakes import MISTAKES
from tests.storm.places import PLACES
from tests.storm.world import World

WORLDS = int(os.environ.get("PINNACLE_STORM_WORLDS", "60"))
FIRST_SEED = int(os.environ.get("PINNACLE_STORM_SEED", "1"))
# Worlds in which a planted mistake must show itself.
TRIES = 40


@pytest.mark.parametrize("part", range(6))
def test_no_rule_is_broken_in_any_world(part: int) -> None:
    """No fill is lost or counted twice, no order sent twice or beyond limits, a kill cancels, the log replays."""
    orders = 0
    for seed in range(FIRST_SEED + part, FIRST_SEED + WORLDS, 6):
        world = World(seed)
        try:
            world.run()
        except Violation as violation:
            pytest.fail(f"{violation}\nrepeat: make storm WORLDS=1 SEED={seed}")
        orders += len(world.auditor.sent)
    assert orders > 0


@pytest.mark.parametrize("place", sorted(PLACES.keys() - {"binance"}))
def test_no_rule_is_broken_at_another_venue(place: str) -> None:
    """The same worlds where orders go by REST, where fills are told in sums only, where the socket's end cancels."""
    orders = 0
    for seed in range(FIRST_SEED, FIRST_SEED + max(4, WORLDS // 15)):
        world = World(seed, place=PLACES[place])
        try:
            world.run()
        except Violation as violation:
            pytest.fail(f"{violation}\nrepeat: make storm WORLDS=1 SEED={seed} PLACE={place}")
        orders += len(world.auditor.sent)
    assert orders > 0


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_planted_mistake_is_caught(mistake: str) -> None:
    """Each mistake that a process could make breaks a rule before long."""
    for seed in range(1, 1 + TRIES):
        try:
            World(seed, MISTAKES[mistake]).run()
        except Violation:
            return
    pytest.fail(f"{mistake}, and nobody noticed in {TRIES} worlds")


def test_a_seed_is_a_world() -> None:
    """The same seed gives the same log, byte for byte."""
    logs = []
    for _ in range(2):
        world = World(7)
        world.run()
        logs.append(b"".join(part.tobytes() for part in world.disk.parts))
    assert logs[0] == logs[1] and logs[0]

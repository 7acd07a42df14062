"""Storms: real engine, gateway, desk and exchange in worlds full of trouble, with an auditor who keeps his own books.

A thousand worlds over all places, PINNACLE_STORM_WORLDS for another number; `make storm WORLDS=.. SEED=..` runs any.
A failure says the seed and the command that repeats that one world.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.storm.crowd import Crowd, Told, cores, one, spread
from tests.storm.mistakes import MISTAKES, TRIES, caught
from tests.storm.places import PLACES
from tests.storm.world import World

WORLDS = int(os.environ.get("PINNACLE_STORM_WORLDS", "1000"))
FIRST_SEED = int(os.environ.get("PINNACLE_STORM_SEED", "1"))


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    """Processes that make worlds, as many as there are cores."""
    with Crowd(cores()) as made:
        yield made


@pytest.mark.parametrize("place", sorted(PLACES))
def test_no_rule_is_broken_in_any_world(crowd: Crowd, place: str) -> None:
    """No fill is lost or counted twice, no order sent twice or beyond limits, a kill cancels, the log replays."""
    which = [(seed, at) for seed, at in spread(WORLDS, FIRST_SEED) if at == place]
    told: list[Told] = list(crowd.each(one, which))
    wrong = sorted((world for world in told if world.wrong), key=lambda world: world.seed)
    assert not wrong, "\n".join(map(str, wrong[:10]))
    assert len(told) == len(which) and sum(world.happened["orders"] for world in told) > 0


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_planted_mistake_is_caught(crowd: Crowd, mistake: str) -> None:
    """Each mistake that a process could make breaks a rule before long, at every place where it can show."""
    which = [(mistake, place) for place in MISTAKES[mistake].places]
    unnoticed = [place for place, rule, _ in crowd.each(caught, which) if not rule]
    assert not unnoticed, f"{mistake}, and nobody noticed in {TRIES} worlds at {unnoticed}"


def test_a_seed_is_a_world() -> None:
    """The same seed gives the same log, byte for byte."""
    logs = []
    for _ in range(2):
        world = World(7)
        world.run()
        logs.append(world.disk.log().tobytes())
    assert logs[0] == logs[1] and logs[0]

"""A power cut: the log's end is lost though what it decided was sent, and the process goes on with what is left."""

from __future__ import annotations

import pytest

from pinnacle import event as e
from tests.storm.network import Weather
from tests.storm.places import PLACES
from tests.storm.plan import QUICK, SECOND, Plan
from tests.storm.world import START_NS, World


def placed(world: World) -> list[int]:
    """Numbers of the orders that the log has, in order."""
    return [int(row["order_id"]) for part in world.disk.parts for row in part[part["kind"] == e.PLACE]]


@pytest.mark.parametrize("place", ["binance", "coinbase", "kraken"])
def test_no_order_gets_the_number_of_a_lost_one(place: str) -> None:
    """Half of the orders' records are lost: what is placed afterwards has new numbers, so that no venue takes it for
    one of the old, and the log that is left folds with what came after it."""
    world = World(6, plan=Plan(5.0, Weather(), QUICK), place=PLACES[place])
    world._venue_tick()
    world._start()
    world.run_until(START_NS + 30 * SECOND, lambda: len(world.auditor.sent) >= 12)
    before = placed(world)
    assert len(before) >= 12
    parts = world.disk.parts
    keep = next(k for k, part in enumerate(parts) if (part["order_id"] == before[5])[part["kind"] == e.PLACE].any())
    world._kill()
    world.disk.parts = parts[: keep + 1]
    kept = placed(world)
    # What is lost is nobody's belief any more.
    ids = {int(row["aux"]) for part in world.disk.parts for row in part[part["kind"] == e.FILL_ID]}
    world.auditor.log_fills = {k: fill for k, fill in world.auditor.log_fills.items() if k in ids}
    world.auditor.open_lots.clear()
    world.run_until(world.now_ns + 240 * SECOND, lambda: len(placed(world)) >= len(kept) + 3)
    after = placed(world)[len(kept) :]
    assert len(after) >= 3 and min(after) > max(before)
    world._replay()

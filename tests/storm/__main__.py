"""Storms on the command line: `make storm WORLDS=1000 SEED=1`, or one world with WORLDS=1."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.storm.auditor import Violation
from tests.storm.places import PLACES
from tests.storm.world import START_NS, World

# Kinds of record that every world has in plenty.
_PLENTY = ("book_level", "timer", "trade", "ticker")


def one(seed: int, place: str = "binance") -> tuple[int, str, float, Counter[str]]:
    """(seed, what went wrong or nothing, simulated seconds, what happened) of one world."""
    world, wrong = World(seed, place=PLACES[place]), ""
    try:
        world.run()
    except Violation as violation:
        wrong = str(violation)
    except Exception:
        wrong = traceback.format_exc()
    happened: Counter[str] = Counter(
        {
            "records": world.auditor.records, "orders": len(world.auditor.sent),
            "fills": len(world.auditor.venue_fills), "deaths of our process": world.deaths,
            "broken connections": world.breaks,
        }
    )  # fmt: skip
    happened.update({f"  {k}": n for k, n in world.auditor.counts.items() if k not in _PLENTY})
    if world.process is not None:
        happened.update({f"  desk: {k}": n for k, n in world.process.desk.counts.items()})
        if world.process.safety.why:
            happened[f"  killed for reason {world.process.safety.why}"] += 1
    return seed, wrong, (world.now_ns - START_NS) / 1e9, happened


def main() -> int:
    """Run worlds seed, seed + 1, ..; say what happened in them, and the command that repeats one that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--place", default="binance", choices=sorted(PLACES))
    given = parser.parse_args()
    began_s, simulated_s, failed = time.perf_counter(), 0.0, 0
    totals: Counter[str] = Counter()
    seeds = range(given.seed, given.seed + given.worlds)
    one(given.seed, given.place)  # compiles, before there are several processes
    with ProcessPoolExecutor(given.jobs) as pool:
        for seed, wrong, seconds, happened in pool.map(partial(one, place=given.place), seeds, chunksize=4):
            simulated_s += seconds
            totals.update(happened)
            if wrong:
                failed += 1
                again = f"make storm WORLDS=1 SEED={seed} PLACE={given.place}"
                print(f"world {seed}: {wrong}\n  repeat: {again}", flush=True)
    took_s = time.perf_counter() - began_s
    for name, count in totals.items():
        print(f"{name:36} {count:,}")
    print(
        f"{given.worlds} worlds from seed {given.seed}, {simulated_s:,.0f} simulated s in {took_s:.1f} s "
        f"({simulated_s / took_s:.0f} a second): {failed} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Storms on the command line: `python -m tests.storm --worlds 1000 --seed 1`, or one world with `--worlds 1`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from tests.storm.auditor import Violation
from tests.storm.world import START_NS, World


def main() -> int:
    """Run worlds seed, seed + 1, ..; say what happened in them, and the command that repeats one that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began_s, simulated_s = time.perf_counter(), 0.0
    totals: Counter[str] = Counter()
    failed = []
    for seed in range(given.seed, given.seed + given.worlds):
        world = World(seed)
        try:
            world.run()
        except (Violation, Exception) as error:
            failed.append(seed)
            print(f"world {seed}: {type(error).__name__}: {error}\n  repeat: make storm WORLDS=1 SEED={seed}")
            if not isinstance(error, Violation):
                traceback.print_exc()
        simulated_s += (world.now_ns - START_NS) / 1e9
        totals.update({"records": world.auditor.records, "orders": len(world.auditor.sent), "deaths": world.deaths})
        totals.update({"fills": len(world.auditor.venue_fills), "breaks": world.breaks, "events": world.events})
        for name, count in world.auditor.counts.items():
            if name not in ("book_level", "timer", "trade", "ticker"):
                totals[f"  {name}"] += count
        if world.process is not None:
            for name, count in world.process.desk.counts.items():
                totals[f"  desk: {name}"] += count
            if world.process.safety.why:
                totals[f"  killed: {world.process.safety.why}"] += 1
    took_s = time.perf_counter() - began_s
    for name, count in totals.items():
        print(f"{name:32} {count:,}")
    print(
        f"{given.worlds} worlds from seed {given.seed}, {simulated_s:,.0f} simulated s in {took_s:.1f} s "
        f"({simulated_s / took_s:.1f} a second): {len(failed)} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

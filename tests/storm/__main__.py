"""Storms on the command line: `make storm WORLDS=1000 SEED=1`, at one place or all, or one world with WORLDS=1."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.storm.crowd import Crowd, Told, cores, one, spread
from tests.storm.places import PLACES


def main() -> int:
    """Run worlds seed, seed + 1, ..; say what happened in them, and the command that repeats one that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=cores())
    parser.add_argument("--place", default="all", choices=("all", *sorted(PLACES)))
    given = parser.parse_args()
    if given.place == "all":
        which = spread(given.worlds, given.seed)
    else:
        which = [(given.seed + k, given.place) for k in range(given.worlds)]
    totals: Counter[str] = Counter()
    worlds: Counter[str] = Counter()
    simulated_s: Counter[str] = Counter()
    failed, began_s = 0, time.perf_counter()
    # Ctrl-C ends it, and what was done until then is told.
    with contextlib.suppress(KeyboardInterrupt), _worlds(which, given.jobs) as ready:
        began_s = time.perf_counter()
        for told in ready:
            for name in (told.pace, told.place, "all"):
                worlds[name] += 1
                simulated_s[name] += told.seconds  # type: ignore[assignment]
            totals.update(told.happened)
            if told.wrong:
                failed += 1
                print(told, flush=True)
    took_s = time.perf_counter() - began_s
    for name, count in totals.items():
        print(f"{name:36} {count:,}")
    for name in sorted(worlds.keys() - {"all"}):
        print(f"{name:20} {worlds[name]:7,} worlds {simulated_s[name]:12,.0f} simulated s")
    print(
        f"{worlds['all']} worlds of {given.worlds} from seed {given.seed}, {simulated_s['all']:,.0f} simulated s in "
        f"{took_s:.1f} s by {given.jobs} ({worlds['all'] / took_s:.1f} worlds and "
        f"{simulated_s['all'] / took_s:,.0f} simulated s a second): {failed} failed"
    )
    return 1 if failed or worlds["all"] < len(which) else 0


@contextlib.contextmanager
def _worlds(which: list[tuple[int, str]], jobs: int) -> Iterator[Iterable[Told]]:
    """The worlds as they are ready: in this process if there is one job or world, where a debugger can follow."""
    if jobs == 1 or len(which) == 1:
        yield map(one, which)
        return
    with Crowd(jobs) as crowd:
        yield crowd.each(one, which)


if __name__ == "__main__":
    sys.exit(main())

"""Many worlds on the cores of the machine: each in a process of a pool, which ends with whoever started it.

A world is a seed and a place, so it does not matter which process makes it.  Ctrl-C goes to the caller alone, who ends
the pool; a process that is lost or stuck shows itself by a deadline, not by a wait without end.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.storm.auditor import Violation
from tests.storm.places import PLACES
from tests.storm.plan import SECOND, Plan
from tests.storm.world import START_NS, World

# The slowest world takes a few seconds on a quiet core.
DEADLINE_S = 240.0
# Of all worlds at all places: the share of the first one; the others have the rest in equal parts.
FIRST, FIRST_SHARE = "binance", 0.6
# Kinds of record that every world has in plenty.
_PLENTY = ("book_level", "timer", "trade", "ticker")


@dataclass(frozen=True)
class Told:
    """What came of a world: what went wrong, "" if nothing did, and what happened in it."""

    seed: int
    place: str
    pace: str
    wrong: str
    seconds: float
    happened: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"world {self.seed} at {self.place}: {self.wrong}\n  repeat: {again(self.seed, self.place)}"


def again(seed: int, place: str) -> str:
    """The command that repeats one world."""
    return f"make storm WORLDS=1 SEED={seed} PLACE={place}"


def one(what: tuple[int, str]) -> Told:
    """One world, by its seed and place."""
    seed, place = what
    world, wrong = World(seed, place=PLACES[place]), ""
    try:
        world.run()
    except Violation as violation:
        wrong = str(violation)
    except Exception:
        wrong = traceback.format_exc()
    auditor, process = world.auditor, world.process
    happened: Counter[str] = Counter(
        {
            "records": auditor.records, "orders": len(auditor.sent), "fills": len(auditor.venue_fills),
            "deaths of our process": world.deaths, "broken connections": world.breaks,
        }
    )  # fmt: skip
    happened.update({f"  {k}": n for k, n in auditor.counts.items() if k not in _PLENTY})
    if process is not None:
        happened.update({f"  desk: {k}": n for k, n in process.desk.counts.items()})
        if process.safety.why:
            happened[f"  killed for reason {process.safety.why}"] += 1
    seconds = (world.now_ns - START_NS) / SECOND
    return Told(seed, place, Plan.drawn(seed).pace.name, wrong, seconds, happened)


def spread(worlds: int, seed: int) -> list[tuple[int, str]]:
    """(seed, place) of so many worlds from a seed on, over all places; each place begins at the seed."""
    others = sorted(PLACES.keys() - {FIRST})
    each = max(1, round(worlds * (1 - FIRST_SHARE) / len(others)))
    counts = dict.fromkeys(others, each) | {FIRST: max(0, worlds - each * len(others))}
    return [(seed + k, place) for place, count in counts.items() for k in range(count)]


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


class Crowd:
    """A pool of processes that make worlds.  Use it in a `with`: what runs at its end is ended."""

    def __init__(self, jobs: int) -> None:
        # Compiled before there are several who would compile the same; and a process of its own each, because a fork
        # would take along whatever threads the caller has.
        one((1, FIRST))
        self._pool = multiprocessing.get_context("spawn").Pool(jobs, _worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.terminate()
        self._pool.join()

    def each(self, call: Callable[[Any], Any], of: Iterable[Any]) -> Iterator[Any]:
        """What a function of a module makes of each, in the order in which it is ready.  Raises TimeoutError when
        nothing is ready for DEADLINE_S."""
        ready = self._pool.imap_unordered(call, of)
        while True:
            try:
                yield ready.next(DEADLINE_S)
            except StopIteration:
                return
            except multiprocessing.TimeoutError:
                raise TimeoutError(f"no world was ready within {DEADLINE_S:.0f} s") from None


def _worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

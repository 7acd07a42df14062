"""A simulated market with a strategy in it: events a second on one core.

    python benchmarks/simulate.py [--seconds 600] [--rounds 5]

An event is a command that reached the exchange (the background's and our own) or an input that the engine heard (rows
of the market, answers, timers); both counts are printed apart.  The loop is timed as a run calls it, with its log and
observations written into their buffers; left out: making the market and its warm-up, what Python does with full
buffers (they are emptied into nothing), reports.  Candidates of the background that came to nothing are work that is
done and not counted.

In the same run, for a ratio: the same background commands, obeyed by the plain twin of the matching engine that the
tests compare with (tests/naive), without an engine, a strategy or a generator.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions
from pinnacle.kernels import simulate as loop
from pinnacle.run.prepare_simulation import prepare_simulation
from pinnacle.run.simulate import World
from tests.naive.exchange_naive import ExchangeNaive, Person
from tests.simulated.capture import captured

SCENARIOS = {
    # name: settings
    "informed, 100 ms": (),
    "informed, woken at every message": ("wake.on_book=true", "wake.every_ms=0"),
    "zero-intelligence, 100 ms": ("simulate.model=zero-intelligence",),
    "hawkes, 100 ms": ("simulate.model=hawkes",),
}


def driven(settings: tuple[str, ...], seconds: float, seed: int) -> tuple[float, World]:
    """Seconds that one run of the loop took, and what it left."""
    run = prepare_simulation(None, None, ["run.snapshots=false", *settings], seed, None, seconds, None)
    world = World(run)
    record, observed = world.out[0], world.observed[0]
    began = time.perf_counter()
    while True:
        code = world.run()
        if code == loop.ENDED:
            break
        if code == loop.OUT_FULL:
            record["count"] = world.cursor[0]["sent"] = 0
        elif code == loop.OBSERVED_FULL:
            observed["count"] = 0
        else:
            assert code in (loop.POOL_FULL, loop.PAUSED), code
            world.market.attend(code)
    return time.perf_counter() - began, world


def naive_rate(count: int, seed: int) -> float:
    """Commands a second of the plain twin, on the informed background's own commands."""
    run = prepare_simulation(None, None, (), seed, None, 60, None)
    market = run.market(run.start_ns)
    exchange = market.exchange.exchange[0]
    people = [Person(stp=3) for _ in range(3)]
    low, high, most = (int(exchange[name]) for name in ("price_min_ticks", "price_max_ticks", "qty_max_lots"))
    twin = ExchangeNaive(people, low, high, most, int(exchange["units_per_ticklot"]))
    twin.publish = int(exchange["publish"])
    for command in market.first_orders:
        twin.obey(command)
    commands = captured(market, count)
    began = time.perf_counter()
    for command in commands:
        twin.obey(command)
        twin.said = []
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="simulated, of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--naive", type=int, default=20_000, help="commands of the plain twin")
    args = parser.parse_args()
    print_conditions("a simulated market with a strategy (fixed_spread), one core")
    print(f"input    configs/simulate.toml, {args.seconds:g} simulated s a run, {args.rounds} alternating rounds\n")
    for settings in SCENARIOS.values():
        driven(settings, 1, 1)
    spent: dict[str, list[float]] = {name: [] for name in SCENARIOS}
    worlds: dict[str, World] = {}
    for seed in range(1, args.rounds + 1):
        for name, settings in SCENARIOS.items():
            seconds, worlds[name] = driven(settings, args.seconds, seed)
            cursor, heard = worlds[name].cursor[0], int(worlds[name].state[0]["market"]["seq"]) + 1
            commands = int(cursor["commands"] + cursor["own_commands"])
            spent[name].append((commands + heard) / seconds)
    plain = naive_rate(args.naive, 1)
    columns = ("M events/s", "least", "M cmds/s", "M inputs/s", "x real time", "x plain")
    print(f"{'':36s}" + "".join(f"{name:>12s}" for name in columns))
    for name, rates in spent.items():
        cursor, heard = worlds[name].cursor[0], int(worlds[name].state[0]["market"]["seq"]) + 1
        commands = int(cursor["commands"] + cursor["own_commands"])
        rate = statistics.median(rates)
        share = commands / (commands + heard)
        faster = args.seconds * rate / (commands + heard)
        print(
            f"{name:36s}{rate / 1e6:12.2f}{min(rates) / 1e6:12.2f}{rate * share / 1e6:12.2f}"
            f"{rate * (1 - share) / 1e6:12.2f}{faster:12,.0f}{rate * share / plain:12.0f}"
        )
    print(f"\nplain twin of the matching engine alone: {plain / 1e6:.4f} M commands/s")


if __name__ == "__main__":
    main()

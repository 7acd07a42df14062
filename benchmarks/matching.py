"""The matching engine alone: commands a second on one core, and what the slowest of them take.

    python benchmarks/matching.py [--commands 1000000] [--rounds 5]

The mix is 10 % new limit orders, 5 % market orders, 35 % cancels and 50 % replaces, at 10,000 resting orders of 100
participants.  More leaves than comes in that mix, so it is obeyed in blocks of 1,000 commands, and orders are added
between the blocks, outside the time, until 10,000 rest again.

The commands are prepared beforehand.  Left out: preparing them, refilling, and what an owner does with the records
that the engine says (they are written, all reports and all market data, and then overwritten).  Kept in: one call
from Python for each block.  In the same run, on the first blocks: the plain twin that the tests compare with, and
lightmatchingengine from PyPI where it is installed (it knows no replace, which is a cancel and an order there, and
says trades only).

Latency is measured one command at a time, by the processor's time-stamp counter read in compiled code on both sides of
each call of the engine; what two readings cost by themselves is measured too, and not taken off.  The largest is what
the machine's other work left of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions
from pinnacle.event import CANCEL, EVENT, MARKET, PLACE, REPLACE
from pinnacle.kernels.exchange import run
from pinnacle.kernels.exchange_state import Exchange, new_exchange
from pinnacle.kernels.jit import jit
from tests.naive.exchange_naive import ExchangeNaive, Person

RESTING, BLOCK, PEOPLE = 10_000, 1_000, 100
MIDDLE, AWAY_TICKS = 100_000, 60
QTY_MAX = 1_000
MIX = {"new limit": 0.10, "market": 0.05, "cancel": 0.35, "replace": 0.50}


@intrinsic
def cycles(typingctx: Any) -> Any:
    """The processor's time-stamp counter."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        counter = ir.FunctionType(ir.IntType(64), [])
        return builder.call(builder.module.declare_intrinsic("llvm.readcyclecounter", fnty=counter), [])

    return types.int64(), codegen


@jit
def timed(exchange, participants, orders, table, commands, count, out, spent):  # type: ignore[no-untyped-def]
    """One command after another, with the counter's steps of each in spent[k]."""
    for k in range(count):
        before = cycles()
        done = run(exchange, participants, orders, table, commands, k, k + 1, out)
        spent[k] = cycles() - before
        if done == k:
            out["count"] = 0
            before = cycles()
            run(exchange, participants, orders, table, commands, k, k + 1, out)
            spent[k] = cycles() - before


@jit
def timed_nothing(spent):  # type: ignore[no-untyped-def]
    """What two readings of the counter cost by themselves."""
    for k in range(spent.size):
        before = cycles()
        spent[k] = cycles() - before


def venue() -> Exchange:
    """An empty venue with room, and fees so that they are worked out."""
    made = new_exchange(PEOPLE, MIDDLE - 5_000, MIDDLE + 5_000, QTY_MAX, 1_000, 2 * RESTING)
    made.exchange[0]["maker_ppb"], made.exchange[0]["taker_ppb"] = 100_000, 400_000
    return made


def obey(made: Exchange, commands: np.ndarray) -> None:
    """A block of commands; what is said is thrown away."""
    exchange, participants, orders, table = made.args
    out = made.out[0]
    out["count"] = 0
    done = 0
    while True:
        done = run(exchange, participants, orders, table, commands[0], done, commands.size, out)
        if done == commands.size:
            return
        out["count"] = 0


def limit_orders(draw: np.random.Generator, commands: np.ndarray) -> None:
    """Sides, prices and quantities of orders that rest: exponentially away from the middle."""
    n = commands.size
    side = draw.choice(np.array([1, -1]), n)
    commands["side"] = side
    commands["price_ticks"] = MIDDLE - side * (1 + np.minimum(4_000, draw.exponential(AWAY_TICKS, n).astype(np.int64)))
    commands["qty_lots"] = draw.integers(1, 20, n)


def prepare(blocks: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(refills, blocks): what is added before each block, and the block; drawn while a venue obeys them."""
    draw = np.random.default_rng(7)
    made = venue()
    next_id, seq = 1, 0
    refills, mixed = [], []
    kinds = np.array([PLACE, PLACE, CANCEL, REPLACE])
    for _ in range(blocks):
        refill = np.zeros(RESTING - int(made.exchange[0]["l3"]["count"]), EVENT)
        mix = np.zeros(BLOCK, EVENT)
        for commands in (refill, mix):
            what = np.zeros(commands.size, np.int64)
            if commands is mix:
                what = draw.choice(4, BLOCK, p=list(MIX.values()))
            commands["seq"] = commands["ts_ns"] = seq + np.arange(commands.size)
            seq += commands.size
            commands["kind"] = kinds[what]
            limit_orders(draw, commands)
            new = what <= 1
            commands["aux"] = draw.integers(1, PEOPLE + 1, commands.size)
            commands["order_id"][new] = next_id + np.arange(np.count_nonzero(new))
            next_id += int(np.count_nonzero(new))
            market = what == 1
            commands["flags"][market], commands["price_ticks"][market] = MARKET, 0
            if commands is mix:
                live = made.book.orders[made.book.orders["order_id"] != 0]
                # Each order is cancelled at most once in a block, and replaced on its own side only.
                chosen = live[draw.permutation(live.size)[:BLOCK]][what > 1]
                commands["aux"][~new] = chosen["owner"]
                commands["order_id"][~new] = chosen["order_id"] & ((1 << 40) - 1)
                side = 1 - 2 * chosen["s"].astype(np.int64)
                away = np.abs(commands["price_ticks"][~new] - MIDDLE)
                commands["side"][~new], commands["price_ticks"][~new] = side, MIDDLE - side * away
            if commands.size:
                obey(made, commands)
        refills.append(refill)
        mixed.append(mix)
    return refills, mixed


def speed(refills: list[np.ndarray], blocks: list[np.ndarray]) -> float:
    """Commands a second of one pass."""
    made = venue()
    spent = 0
    for refill, block in zip(refills, blocks):
        if refill.size:
            obey(made, refill)
        start = time.perf_counter_ns()
        obey(made, block)
        spent += time.perf_counter_ns() - start
    return BLOCK * len(blocks) / spent * 1e9


def latencies(refills: list[np.ndarray], blocks: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """(nanoseconds of each command, nanoseconds of a reading alone), by the time-stamp counter."""
    made = venue()
    steps = np.zeros((len(blocks), BLOCK), np.int64)
    empty = np.zeros(BLOCK, np.int64)
    timed_nothing(empty)
    timed(*made.args, blocks[0][0], 0, made.out[0], steps[0])
    start, start_ns = steps_now(), time.perf_counter_ns()
    for k, (refill, block) in enumerate(zip(refills, blocks)):
        if refill.size:
            obey(made, refill)
        made.out[0]["count"] = 0
        timed(*made.args, block[0], BLOCK, made.out[0], steps[k])
    ns_per_step = (time.perf_counter_ns() - start_ns) / (steps_now() - start)
    return steps.ravel() * ns_per_step, float(np.median(empty)) * ns_per_step


@jit
def steps_now():  # type: ignore[no-untyped-def]
    """The counter, for its rate against the clock."""
    return cycles()


def naive_speed(refills: list[np.ndarray], blocks: list[np.ndarray]) -> float:
    """Commands a second of the plain twin."""
    people = [Person(100_000, 400_000) for _ in range(PEOPLE + 1)]
    naive = ExchangeNaive(people, MIDDLE - 5_000, MIDDLE + 5_000, QTY_MAX, 1_000)
    spent = 0
    for refill, block in zip(refills, blocks):
        for command in refill:
            naive.obey(command)
        naive.said = []
        start = time.perf_counter_ns()
        for command in block:
            naive.obey(command)
        spent += time.perf_counter_ns() - start
        naive.said = []
    return BLOCK * len(blocks) / spent * 1e9


def command_of(row: np.void) -> tuple[int, tuple[int, int], int, int, int]:
    """(kind, (participant, its id), side, price, lots) as plain numbers."""
    kind, who, order_id = int(row["kind"]), int(row["aux"]), int(row["order_id"])
    return kind, (who, order_id), int(row["side"]), int(row["price_ticks"]), int(row["qty_lots"])


def peer_speed(refills: list[np.ndarray], blocks: list[np.ndarray]) -> float | None:
    """Commands a second of lightmatchingengine, None where it is not installed."""
    try:
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine
    except ImportError:
        return None
    engine, theirs, spent = LightMatchingEngine(), {}, 0

    def one(kind: int, key: tuple[int, int], side: int, price: int, lots: int) -> None:
        if kind != PLACE:
            order = theirs.pop(key, None)
            # It forgets to forget orders that were filled, and would stop at one.
            if order is None or order.leaves_qty == 0:
                return
            engine.cancel_order(order.order_id, "x")
        if kind != CANCEL:
            order, _ = engine.add_order("x", price, lots, 1 if side > 0 else 2)
            theirs[key] = order

    for refill, block in zip(refills, blocks):
        plain = [[command_of(row) for row in commands] for commands in (refill, block)]
        for command in plain[0]:
            one(*command)
        start = time.perf_counter_ns()
        for command in plain[1]:
            one(*command)
        spent += time.perf_counter_ns() - start
    return BLOCK * len(blocks) / spent * 1e9


def print_said(refills: list[np.ndarray], blocks: list[np.ndarray]) -> None:
    """What came of the commands, so that a reader sees that they do what their names say."""
    from pinnacle.event import KIND_NAMES
    from pinnacle.kernels.exchange import submit

    made = venue()
    kinds = np.zeros(256, np.int64)
    for refill, block in zip(refills, blocks):
        submit(made, refill)
        rows, _ = submit(made, block)
        kinds += np.bincount(rows["kind"], minlength=256)
    per = {KIND_NAMES[k]: kinds[k] / (BLOCK * len(blocks)) for k in np.flatnonzero(kinds).tolist()}
    print("said     " + ", ".join(f"{name} {share:.3f}" for name, share in per.items()) + " a command")
    print(f"         {sum(per.values()):.2f} records a command")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    count = max(1, chosen.commands // BLOCK)
    mix = ", ".join(f"{100 * share:.0f} % {name}" for name, share in MIX.items())
    print_conditions(f"matching: {count * BLOCK:,} commands, {mix}; {RESTING:,} resting orders, {PEOPLE} participants")
    refills, blocks = prepare(count)
    print_said(refills[:100], blocks[:100])
    few = min(count, 20)
    ours, plain, peers = [], [], []
    for _ in range(chosen.rounds):
        ours.append(speed(refills, blocks))
        plain.append(naive_speed(refills[:few], blocks[:few]))
        peer = peer_speed(refills[:few], blocks[:few])
        if peer is not None:
            peers.append(peer)
    here = statistics.median(ours)
    print(f"speed    {here / 1e6:.2f} M commands/s ({min(ours) / 1e6:.2f} to {max(ours) / 1e6:.2f}), asked: 5")
    for name, found in (("plain twin", plain), ("lightmatchingengine", peers)):
        if found:
            there = statistics.median(found)
            print(
                f"         {here / there:,.0f} times {name} ({there / 1e6:.3f} M commands/s on the first {few} blocks)"
            )
        else:
            print(f"         {name} is not installed: not measured")
    for _ in range(chosen.rounds):
        found, alone = latencies(refills, blocks)
        points = np.percentile(found, [50, 99, 99.9, 99.99])
        shown = ", ".join(f"p{p} {v:,.0f} ns" for p, v in zip((50, 99, 99.9, 99.99), points))
        print(f"latency  {shown}, max {found.max():,.0f} ns; asked: p99.9 below 2,000; readings alone {alone:.0f} ns")


if __name__ == "__main__":
    main()

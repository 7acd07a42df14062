"""Lanes in random worlds: each equals its own run alone, however hostile the market, the rules and the neighbours.

A recording is one kind of market; what breaks the isolation of lanes hides where clocks cross, windows move and
orders of several lanes meet at one price.  So worlds are drawn by seed, and a failure prints the seed.

    PINNACLE_WORLDS=5000:600 pytest -q tests/run/test_lanes_random.py -k worlds     600 worlds from seed 5000 on
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnacle.config import parse_config
from pinnacle.engine.strategy import Strategy, load_strategy
from pinnacle.event import (
    BOOK_CLEAR,
    BOOK_LEVEL,
    EVENT,
    FUNDING,
    LAST,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    MAKER,
    ORDER_FILLED,
    TICKER,
    TRADE,
)
from pinnacle.log.reader import LogReader
from pinnacle.log.segment import write_segment
from pinnacle.run.backtest import Backtest
from pinnacle.run.lanes import LaneResult, Track
from pinnacle.run.replay import replay
from pinnacle.run.tape import make_tape
from pinnacle.run.window import Window

BEGIN_NS = 1_700_000_000_000_000_000
LINGER_NS = 120_000_000_000
# Worlds that once failed at their end, and one that still does: tests of their own say why.
ENDS = (1, 19, 27, 45, 87)
FAR = (130,)
# Asks for anything that the rules allow, by a hash of the clock and a parameter: quotes that cross each other, takers,
# one price twice, far away prices, nothing at all.
STRATEGY = """
from pinnacle.strategy import ASK, BID, FOK, IOC, NO_PRICE, POST_ONLY, Param, hold, jit, want_order

PARAMS = (
    Param('salt', 1.0, low=0.0, high=1e6, unit='', about=''),
    Param('width', 3.0, low=-50.0, high=3e6, unit='', about=''),
    Param('levels', 3.0, low=0.0, high=40.0, unit='', about='', whole=True),
    Param('size', 5.0, low=0.0, high=1e5, unit='', about=''),
    Param('takers', 0.2, low=0.0, high=1.0, unit='', about=''),
    Param('blank', 0.1, low=0.0, high=1.0, unit='', about=''),
    Param('raises', 0.0, low=0.0, high=1e9, unit='', about=''),
    Param('odd', 0.0, low=0.0, high=1e9, unit='', about=''),
)
MEMORY = {'state': 1, 'mid': 1}


@jit
def draw(memory):
    memory['state'] = (memory['state'] * 1103515245.0 + 12345.0) % 2147483648.0
    return memory['state'] / 2147483648.0


@jit
def quote(market, lane, me, params, memory, want):
    top = market['top'][me]
    memory['state'] = (market['ts_ns'] % 1000003 + params['salt'] * 7919.0 + lane['wakes']) % 2147483648.0
    draw(memory)
    if params['raises'] > 0 and lane['wakes'] == params['raises']:
        raise ValueError('as asked')
    if params['odd'] > 0 and lane['wakes'] == params['odd']:
        want_order(want, BID, 0.0 * 1e308 * 10.0 * 0.0 / 0.0, 1.0, 0)
    if draw(memory) < params['blank']:
        if draw(memory) < 0.5:
            hold(want)
        return
    if top['bid_ticks'] != NO_PRICE and top['ask_ticks'] != NO_PRICE:
        memory['mid'] = (top['bid_ticks'] + top['ask_ticks']) / 2.0
    elif top['trade_ticks'] != NO_PRICE:
        memory['mid'] = top['trade_ticks'] + 0.0
    if memory['mid'] == 0.0:
        return
    for k in range(int(params['levels'])):
        side = BID if draw(memory) < 0.5 else ASK
        away = params['width'] * draw(memory) * draw(memory)
        price = memory['mid'] - side * away
        kind = draw(memory)
        flags = POST_ONLY
        if kind < params['takers']:
            flags = IOC if kind < params['takers'] * 0.4 else (FOK if kind < params['takers'] * 0.7 else 0)
            price = memory['mid'] + side * abs(away)
        want_order(want, side, price, 1.0 + params['size'] * draw(memory) * draw(memory), flags)
"""


@dataclass(frozen=True)
class Oddness:
    """What a market may do beyond being random.  skew: the venue's clock may be ahead of ours.  links: the link is
    lost at times.  far: prices may leave the book's window.  answers: strategies may be woken by answers."""

    skew: bool = True
    links: bool = True
    far: bool = True
    answers: bool = True
    breaks: bool = True
    instruments: tuple[int, ...] = (1, 2)


@dataclass
class World:
    """One world: its config, its rows by instrument, and the parameter sets that walk it."""

    seed: int
    raw: dict[str, Any]
    rows: list[np.ndarray]
    sets: list[dict[str, float]]
    bucket_ns: int
    window: Window
    stages: list[tuple[int, list[int]]] = field(default_factory=list)


def world_of(seed: int, odd: Oddness) -> World:
    """The world of a seed."""
    rng = random.Random(seed)
    count = rng.choice(odd.instruments)
    span_ns = rng.choice((1, 3, 20)) * 1_000_000_000
    rows = [market(rng, span_ns, odd) for _ in range(count)]
    raw: dict[str, Any] = {
        "run": {"seed": rng.randrange(99), "checkpoint_every": rng.choice((97, 1 << 20)), "snapshots": False},
        "strategy": {"path": "nasty"},
        "wake": wake(rng, odd),
        "instruments": [instrument(rng, k, count) for k in range(count)],
    }
    for one in raw["instruments"]:
        if raw["wake"]["on_order"] and one["latency"]["entry_ms"] + one["latency"]["response_ms"] < 1:
            one["latency"] |= {"entry_ms": rng.choice((0, 3)), "response_ms": 3}  # else it is asked a million times
    lanes = rng.choice((2, 3, 8, 8, 40)) if rng.random() < 0.9 else 1
    sets = [params(rng, odd) for _ in range(lanes)]
    first = BEGIN_NS + (rng.randrange(span_ns) if rng.random() < 0.4 else 0)
    linger = LINGER_NS if rng.random() < 0.1 else 2_000_000_000
    stop = rng.choice((BEGIN_NS + span_ns + linger, first + 1 + rng.randrange(span_ns)))
    world = World(
        seed, raw, rows, sets, rng.choice((span_ns // 7, 1_000_000_000, 77_777_777)), Window("w", first, stop)
    )
    at = sorted(rng.randrange(first + 1, stop + 1) for _ in range(rng.randrange(4)))
    world.stages = [(ns, rng.sample(range(lanes), rng.randrange(1 + lanes // 3))) for ns in at]
    return world


def wake(rng: random.Random, odd: Oddness) -> dict[str, Any]:
    feed, timer, answers = rng.random() < 0.5, rng.random() < 0.6, odd.answers and rng.random() < 0.5
    every = rng.choice((3.7, 20, 50, 700)) if timer or not (feed or answers) else 0
    return {"every_ms": every, "on_book": feed, "on_order": answers, "listen": rng.choice(("own", "all"))}


def instrument(rng: random.Random, k: int, count: int) -> dict[str, Any]:
    """One instrument with rules of its own."""
    model = rng.choice(("constant", "constant", "feed", "fitted"))
    delays = (0, 0, 0.001, 3, 40, 900)
    latency = {"model": model, "entry_ms": rng.choice(delays), "response_ms": rng.choice(delays)}
    if rng.random() < 0.5:
        latency["cancel_ms"] = rng.choice(delays)
    if model == "fitted":
        latency |= {"entry_median_ms": rng.choice((0.01, 5, 80)), "response_sigma": rng.choice((0, 0.5, 2))}
    if model == "feed":
        latency |= {"entry_multiplier": rng.choice((0, 1, 3)), "response_multiplier": rng.choice((0, 0.5, 1))}
    risk: dict[str, Any] = {}
    for name, values in {
        "position_max": ("0", "3", "50"), "order_max": ("1", "20"), "open_orders_max": (0, 2, 9),
        "band_pct": (0.5, 20), "notional_max": ("1000", "100000"), "rate_max": (1, 20),
    }.items():  # fmt: skip
        if rng.random() < 0.15:
            risk[name] = rng.choice(values)
    return {
        "venue": "v", "symbol": f"S{k}", "tick": "0.1", "lot": rng.choice(("0.001", "1")), "quote": "Q",
        "trade": count == 1 or k == 0 or rng.random() < 0.7, "latency": latency, "risk": risk,
        "notional_min": rng.choice(("0", "0", "0.5")), "qty_min": rng.choice(("0", "0", "3")),
        "queue": {
            "model": rng.choice(("risk-averse", "power", "power2", "power3", "log", "log2")),
            "n": rng.choice((0.5, 1, 3)),
        },
        "fills": {
            "model": rng.choice(("partial", "partial", "whole")),
            "self_trade": rng.choice(("expire-taker", "expire-maker", "expire-both", "none")),
        },
        "fees": {"maker_bps": rng.choice((0, -0.5, 1.3)), "taker_bps": rng.choice((0, 4, 5.7))},
        "funding": rng.choice(({}, {"rate_bps": rng.choice((1, -3)), "every_h": 0.0007})),
    }  # fmt: skip


def params(rng: random.Random, odd: Oddness) -> dict[str, float]:
    far = odd.far and rng.random() < 0.2
    return {
        # One order a side may be far away: each that leaves costs a walk over the window's empty prices.
        "salt": float(rng.randrange(50)),  # so that some lanes are twins
        "width": rng.choice((6e5, 2.5e6)) if far else rng.choice((-4.0, 0.0, 2.0, 6.0, 25.0)),
        "levels": 2.0 if far else float(rng.choice((0, 1, 2, 2, 5, 12) if rng.random() < 0.9 else (40,))),
        "size": rng.choice((0.0, 4.0, 30.0, 900.0)),
        "takers": rng.choice((0.0, 0.1, 0.6)),
        "blank": rng.choice((0.0, 0.1, 0.6)),
        "raises": float(rng.randrange(1, 300)) if odd.breaks and rng.random() < 0.02 else 0.0,
        "odd": float(rng.randrange(1, 300)) if odd.breaks and rng.random() < 0.03 else 0.0,
    }


def market(rng: random.Random, span_ns: int, odd: Oddness) -> np.ndarray:
    """The rows of one instrument: a book around a mid that walks and sometimes jumps, in messages."""
    count = rng.choice((60, 400, 1500))
    far = odd.far and rng.random() < 0.3
    mid = rng.choice((300, 5_000, 1_400_000))
    lots = rng.choice((3, 40, 2_000))
    odds = {
        "trade": rng.choice((0.05, 0.4)),
        "clear": rng.choice((0, 0.004)),
        "link": odd.links * rng.choice((0, 0.01, 0.08)),
    }
    late = rng.choice(("none", "constant", "random", "ahead" if odd.skew else "random"))
    rows: list[tuple[int, ...]] = []
    ts_ns, step = BEGIN_NS + rng.randrange(10_000_000), max(1, span_ns // count)
    while len(rows) < count:
        if rng.random() < 0.7:
            ts_ns += rng.randrange(2 * step) if rng.random() < 0.9 else step * 20
        if ts_ns > BEGIN_NS + span_ns:
            break
        mid = max(30, mid + rng.choice((-2, -1, 0, 0, 1, 2)))
        if far and rng.random() < 0.01:
            mid = max(30, mid + rng.choice((-1, 1)) * rng.choice((100_000, 470_000, 530_000, 1_200_000)))
        venue_ns = {
            "none": 0, "constant": ts_ns - 3_000_000,
            "random": ts_ns - rng.choice((0, 1, 50_000, 4_000_000, 90_000_000)),
            "ahead": ts_ns + rng.choice((-4_000_000, 0, 3_000_000, 60_000_000, 500_000_000)),
        }[late]  # fmt: skip
        draw, side = rng.random(), rng.choice((-1, 1))
        for _ in range(1 if draw < 0.8 else rng.randrange(1, 6)):
            kind, price, qty = BOOK_LEVEL, mid - side * (abs(round(rng.gauss(0, 4))) + 1), rng.choice((0, 0, 1, 2, 3))
            qty = qty and 1 + rng.randrange(lots)
            if rng.random() < 0.05:
                price = mid + side * rng.randrange(6)  # crosses
            if far and rng.random() < 0.05:
                price = max(1, price - side * rng.choice((400_000, 600_000, 1_500_000)))
            if rng.random() < odds["trade"]:
                kind, price, qty = TRADE, max(1, mid + rng.randrange(-3, 4)), 1 + rng.randrange(lots)
            elif rng.random() < odds["clear"]:
                kind, side, price, qty = BOOK_CLEAR, rng.choice((-1, 0, 1)), rng.choice((0, mid)), 0
            elif rng.random() < 0.02:
                kind = TICKER
            elif rng.random() < 0.004:
                kind, price, qty = FUNDING, rng.choice((0, mid)), rng.choice((-50_000, 90_000))
            elif rng.random() < odds["link"]:
                kind, price, qty = rng.choice((LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP, LINK_UP)), 0, 0
            flags = LAST if rng.random() < 0.4 else 0
            aside = kind in (LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP)
            rows.append((0, ts_ns, 0 if aside else venue_ns, 0, price, qty, 0, kind, side, flags, 0, 0))
    made = np.array(rows or [(0, ts_ns, 0, 0, mid, 1, 0, BOOK_LEVEL, 1, LAST, 0, 0)], EVENT)
    made["seq"] = np.arange(made.size)
    return made


@cache
def nasty(folder: Path) -> Strategy:
    """The strategy, compiled once for all worlds."""
    path = folder / "nasty.py"
    path.write_text(STRATEGY)
    return load_strategy(path)


def backtest_of(world: World, folder: Path, strategy: Strategy) -> Backtest:
    """The world as a prepared run, its day files written."""
    folder.mkdir(parents=True)
    for k, rows in enumerate(world.rows):
        world.raw["instruments"][k]["data"] = str(folder / f"S{k}.parquet")
        write_segment(folder / f"S{k}.parquet", [rows])
    config = parse_config(world.raw, f"world {world.seed}")
    run = Backtest(config=config, where="world", beside=None, strategy=strategy, out=folder / "run")
    run.open_histories()
    return run


def same(one: LaneResult, other: LaneResult) -> bool:
    """Whether two results are equal to the last bit, where NaN equals NaN."""
    return (
        (one.fills_hash, one.fingerprint) == (other.fills_hash, other.fingerprint)
        and list(one.metrics) == list(other.metrics)
        and np.array_equal(list(one.metrics.values()), list(other.metrics.values()), equal_nan=True)
        and np.array_equal(one.equity_quote, other.equity_quote, equal_nan=True)
    )


def differences(one: LaneResult | None, other: LaneResult | None) -> str:
    """What differs between two results, "" if nothing; of one that broke, what is said of it must be equal."""
    if one is None or other is None:
        return "" if one is other else "one is None"
    if one.fault or other.fault:
        return "" if one.fault == other.fault else f"fault {one.fault!r} and {other.fault!r}"
    if same(one, other):
        return ""
    said = {
        name: (value, other.metrics[name])
        for name, value in one.metrics.items()
        if not np.array_equal(value, other.metrics[name], True)
    }
    return f"fills_hash {one.fills_hash == other.fills_hash} fingerprint {one.fingerprint == other.fingerprint} {said}"


def staged(track: Track, world: World) -> list[LaneResult | None]:
    """The world walked in its stages, lanes dropped at each."""
    under_way = track.start(world.sets, world.window)
    gone: set[int] = set()
    for at_ns, lanes in world.stages:
        under_way.advance(max(at_ns, world.window.first_ns + 1))
        under_way.drop([lane for lane in lanes if lane not in gone])
        gone.update(lanes)
    return list(under_way.advance(world.window.stop_ns))


def check(seed: int, odd: Oddness, folder: Path, strategy: Strategy) -> int:
    """All properties of one world; returns its fills."""
    world = world_of(seed, odd)
    run = backtest_of(world, folder, strategy)
    tape = make_tape(folder / "tape", run.sources(), str(seed))
    track = Track(run.config, run.where, run.strategy, run.instruments, tape, world.bucket_ns)
    if world.window.first_ns < tape.first_ns:
        world.window = Window("w", tape.first_ns, max(world.window.stop_ns, tape.first_ns + 1))
    how = f"world {seed} of {odd}"
    together = track.run(world.sets, world.window)
    for k, one in enumerate(world.sets):
        differ = differences(track.run([one], world.window)[0], together[k])
        assert not differ, f"{how}: lane {k} of {len(world.sets)} alone and together: {differ}"
    dropped = {lane for _, lanes in world.stages for lane in lanes}
    for k, result in enumerate(staged(track, world)):
        expected = None if k in dropped else together[k]
        differ = differences(result, expected)
        assert not differ, f"{how}: lane {k} in stages {world.stages} and at once: {differ}"
    if seed % 5 == 0:
        check_log(world, run, together, how)
    return sum(int(one.metrics["fills"]) for one in together if not one.fault)


def check_log(world: World, run: Backtest, together: list[LaneResult], how: str) -> None:
    """A lane that did not break has the fills of the run that is logged, and that run's replay is equal."""
    hears_from_the_start = world.window.first_ns <= min(int(rows["ts_ns"][0]) for rows in world.rows)
    k = next((k for k, one in enumerate(together) if not one.fault and one.metrics["fills"]), None)
    if k is None:
        return
    world.raw["strategy"]["params"] = world.sets[k]
    world.raw["run"] |= {"start_ns": world.window.first_ns, "stop_ns": world.window.stop_ns}
    config = parse_config(world.raw, f"world {world.seed}")
    logged = Backtest(config=config, where="world", beside=None, strategy=run.strategy, out=run.out)
    logged.run()
    events = np.concatenate([rows.copy() for rows in LogReader(run.out / "log").records(0)])
    fills = events[events["kind"] == ORDER_FILLED]
    metrics = together[k].metrics
    assert fills.size == metrics["fills"], how
    assert ((fills["flags"] & MAKER) != 0).sum() == metrics["maker_fills"], how
    lots = [float(one.lot) for one in run.instruments]
    held = sum(float(row["side"]) * int(row["qty_lots"]) * lots[int(row["instrument"])] for row in fills)
    assert held == pytest.approx(metrics["position_end_qty"], abs=1e-6), how
    if world.raw["wake"]["on_book"] and not hears_from_the_start:
        return  # see test_a_run_that_starts_late_replays
    replayed = replay(run.out)
    assert replayed.divergence is None and replayed.fingerprint == replayed.fingerprint_expected, how


@pytest.fixture(scope="module")
def strategy(tmp_path_factory: pytest.TempPathFactory) -> Strategy:
    """The strategy, compiled once for all worlds."""
    return nasty(tmp_path_factory.mktemp("strategy"))


def test_worlds(tmp_path: Path, strategy: Strategy) -> None:
    """In each random world every lane equals its own run alone, in stages and at once, and the run that is logged."""
    first, _, count = os.environ.get("PINNACLE_WORLDS", "0:60").partition(":")
    fills = 0
    for seed in range(int(first), int(first) + int(count)):
        if seed not in FAR:
            fills += check(seed, Oddness(), tmp_path / str(seed), strategy)
    assert fills > 0


@pytest.mark.parametrize("seed", ENDS)
def test_worlds_that_end_differently(seed: int, tmp_path: Path, strategy: Strategy) -> None:
    """At the end of a window and of the market, too, a lane hears what it would hear alone."""
    check(seed, Oddness(), tmp_path / str(seed), strategy)


@pytest.mark.xfail(strict=True, reason="a neighbour's far order or answer moves the window of a book that all share")
@pytest.mark.parametrize("seed", FAR)
def test_worlds_whose_prices_leave_the_window(seed: int, tmp_path: Path, strategy: Strategy) -> None:
    """Where prices leave the book's window, too, a lane has what it would have alone."""
    check(seed, Oddness(), tmp_path / str(seed), strategy)


def test_a_run_that_starts_late_replays(tmp_path: Path) -> None:
    """A run whose strategy is woken by the book and starts after the first row replays to the same outputs."""
    from tests.cli.command import FIRST_NS, backtest, sliced

    start = f"run.start_ns={FIRST_NS + 2_000_000_000}"
    run = tmp_path / "run"
    backtest(run, "--data", sliced(tmp_path / "catalog", 5), "--set", "wake.on_book=true", "--set", start)
    assert replay(run).divergence is None

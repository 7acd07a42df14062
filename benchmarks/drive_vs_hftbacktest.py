"""Rows a second of the whole backtest loop beside hftbacktest: same rows, identical fills, alternating rounds.

    python benchmarks/drive_vs_hftbacktest.py [--repeat 10] [--rounds 7]

Timed: the run alone, after compiling and loading, on rows in memory.  Left out for both: reading files, writing logs.
The recording is repeated, each time later by its own span, so that first touches of memory do not count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions, recordings
from pinnacle.engine.strategy import bind
from pinnacle.event import LAST, ORDER_FILLED, empty
from pinnacle.kernels import drive as drives
from pinnacle.kernels.observe import new_observed
from pinnacle.kernels.state import NEVER, OUT
from pinnacle.kernels.weave import WOVEN
from pinnacle.run.backtest import Backtest
from pinnacle.run.feeds import Feed
from pinnacle.run.prepare import prepare_backtest
from pinnacle.run.settings import engine_state, least_latency, simulated_venue
from tests.peers import scenarios

MS = 1_000_000
GRID = str(Path(scenarios.__file__).with_name("grid_on_multiples.py"))
SCENARIOS = {
    # name: (strategy, woken by the feed, wake ms, at least this ratio)
    "reference strategy, 100 ms": (None, False, 100, 5.0),
    "woken at every message": (None, True, 0, 5.5),
    "20+20 grid, 100 ms": (GRID, False, 100, 5.0),
}


def repeated(rows: np.ndarray, times: tuple[str, ...], span_ns: int, count: int) -> np.ndarray:
    """The rows `count` times, each time later by span_ns."""
    parts = []
    for k in range(count):
        part = rows.copy()
        for name in times:
            part[name] += k * span_ns
        parts.append(part)
    return np.concatenate(parts)


class Ours:
    """One scenario of ours on rows in memory."""

    def __init__(self, run: Backtest, rows: np.ndarray, first_ns: int) -> None:
        self.run, self.rows, self.first_ns = run, rows, first_ns

    def once(self) -> tuple[list[tuple[int, int, int, int]], float]:
        """(fills sorted by venue time and order id, seconds of the drive)."""
        run = self.run
        state = engine_state(run.config, run.instruments, run.strategy, "benchmark")
        venues, points = simulated_venue(run.config, run.instruments, "benchmark")
        quote = bind(run.strategy, 1)
        cursor, out, observed = np.zeros(1, drives.CURSOR), np.zeros(1, OUT), new_observed(0, (1, 1, 1))
        record = cursor[0]
        every = round(run.config.wake.every_ms * MS)
        record["timer_every_ns"], record["timer_ns"] = every, self.first_ns + every if every else NEVER
        record["rows"], record["final"], record["stop_ns"] = self.rows.size, 1, NEVER - 1
        record["market_end_ns"] = self.rows["ts_ns"].max()
        record["request_least_ns"], record["answer_least_ns"] = least_latency(venues, points, 1)
        logs = []
        start = time.perf_counter()
        while True:
            code = drives.drive(
                state[0]["market"], state[0]["lane"], venues.sim[0], venues.desks[0], venues.resting[0],
                record, self.rows, empty(0), points, quote, out[0], observed[0],
            )  # fmt: skip
            logs.append(out[0]["rows"][: int(out[0]["count"])].copy())
            out[0]["count"], record["sent"], observed[0]["count"] = 0, 0, 0
            if code == drives.ENDED:
                break
            assert code in (drives.OUT_FULL, drives.OBSERVED_FULL), code
        seconds = time.perf_counter() - start
        log = np.concatenate(logs)
        fills = log[log["kind"] == ORDER_FILLED]
        fields = ("ts_venue_ns", "side", "price_ticks", "order_id")
        return sorted(tuple(int(fill[field]) for field in fields) for fill in fills), seconds


def prepared(strategy: str | None, by_feed: bool, wake_ms: int, recording: Path, folder: Path) -> Backtest:
    """A backtest whose history is imported and ready."""
    settings = [
        "queue.model=log",
        f"wake.every_ms={wake_ms}",
        f"wake.on_book={'true' if by_feed else 'false'}",
        "risk={}",
        "run.checkpoint_every=1000000000000",
    ]
    run = prepare_backtest("reference", strategy, [str(recording)], settings, folder, None)
    folder.mkdir()
    run.open_histories()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10, help="times the recording is repeated")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    recording = recordings() / "binance" / "usdm_btcusdt_20240808.gz"
    print_conditions("backtest loop beside hftbacktest 2.4.4, one core, fixed-window ladder on both")
    data = scenarios.rows_of(recording)
    span_ns = int(data["local_ts"].max() - data["exch_ts"].min()) + 1_000_000_000
    data = repeated(data, ("local_ts", "exch_ts"), span_ns, chosen.repeat)
    print(f"input    {recording.name} x {chosen.repeat}: {len(data):,} rows of theirs (disordered rows stand twice)")
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, (strategy, by_feed, wake_ms, least)) in enumerate(SCENARIOS.items()):
            run = prepared(strategy, by_feed, wake_ms, recording, Path(folder) / str(k))
            feed = Feed(run.sources())
            woven = np.concatenate([batch[0] for batch in feed.woven()])
            ours = Ours(run, repeated(woven, ("ts_ns", "ts_venue_ns"), span_ns, chosen.repeat), feed.first_ns)
            compare(name, ours, data, strategy, by_feed, wake_ms, least, chosen.rounds)
    assert WOVEN.itemsize == 40 and LAST == 1


def compare(
    name: str,
    ours: Ours,
    data: np.ndarray,
    strategy: str | None,
    by_feed: bool,
    wake_ms: int,
    least: float,
    rounds: int,
) -> None:
    """Alternate the two engines and print the ratio of each round's times."""

    def theirs(timed: bool = True) -> tuple[list[tuple[int, int, int, int]], float]:
        made = scenarios.asset(data, "log", 1, 10 * MS, 10 * MS)
        if strategy is None:
            return scenarios.run(data, made, scenarios.join_best, by_feed, wake_ms * MS, 0.01, 0.05, timed=timed)
        return scenarios.run(data, made, scenarios.grid, wake_ms * MS, 20, 5, 0.001, 0.05, timed=timed)

    expected, _ = theirs(timed=False)
    found, _ = ours.once()
    if found != expected:
        sys.exit(f"error: {name}: fills differ ({len(found)} and {len(expected)}); the comparison would mean nothing")
    ratios, mine, others = [], [], []
    for _ in range(rounds):
        their_s, our_s = theirs()[1], ours.once()[1]
        ratios.append(their_s / our_s)
        mine.append(our_s)
        others.append(their_s)
    rate, their_rate = (len(data) / statistics.median(one) / 1e6 for one in (mine, others))
    ratio = statistics.median(ratios)
    print(
        f"{name:<28} {len(found):>6,} equal fills  ours {rate:6.1f} M rows/s  hftbacktest {their_rate:5.1f}  "
        f"ratio {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), asked for {least}"
    )


if __name__ == "__main__":
    main()

"""What one more candidate costs: lanes beside hftbacktest run once for each, beside our own single backtest, and on
two processes beside one.

    python benchmarks/lanes_vs_hftbacktest.py [--repeat 10] [--rounds 5] [--lanes 64]

Timed: passes over rows that are decoded already, after compiling and loading.  Left out for all: reading files.  The
recording is repeated, each time later by its own span.  The fills of candidates that both engines ran are compared
first.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions, recordings
from benchmarks.drive_vs_hftbacktest import MS, prepared, repeated
from pinnacle.optimize.evaluate import Judges, Place
from pinnacle.run.account import Accounts
from pinnacle.run.lanes import Track
from pinnacle.run.tape import Tape, make_tape
from pinnacle.run.window import Window
from pinnacle.run.workers import open_workers
from tests.peers import scenarios

LEAST_PEER, LEAST_SINGLE, LEAST_TWO = 60, 12, 1.8


def candidates(count: int) -> list[dict[str, float]]:
    """Sizes and limits of the reference strategy, which joins the best: all it can be tuned by."""
    return [{"order_qty": 0.001 * (1 + k % 16), "position_max": 0.001 * (20 + 9 * (k // 4))} for k in range(count)]


def long_tape(tape: Tape, folder: Path, count: int) -> Tape:
    """The tape `count` times, each time later by its span, on disk as a tape is."""
    span_ns = int(tape.rows["ts_ns"].max() - tape.rows["ts_venue_ns"].min()) + 1_000_000_000
    folder.mkdir()
    rows = repeated(tape.rows, ("ts_ns", "ts_venue_ns"), span_ns, count)
    tops = [repeated(one, ("ts_ns",), span_ns, count) for one in tape.tops]
    rows.tofile(folder / "rows.bin")
    for k, one in enumerate(tops):
        one.tofile(folder / f"tops{k}.bin")
    end_ns = tape.end_ns + (count - 1) * span_ns
    about = {"rows": rows.size, "tops": [one.size for one in tops], "first_ns": tape.first_ns, "end_ns": end_ns}
    (folder / "tape.json").write_text(json.dumps({"key": "long", "bytes_read": tape.bytes_read, **about}))
    return make_tape(folder, [], "long")


class Kept(Accounts):
    """Accounts that keep each lane's fills too, to compare them."""

    fills: ClassVar[list[np.ndarray]] = []

    def add(self, rows: np.ndarray, stop_ns: int) -> None:
        Kept.fills.append(rows.copy())
        super().add(rows, stop_ns)


def compare_fills(track: Track, window: Window, sets: list[dict[str, float]], theirs: list[Any]) -> int:
    """Check lane by lane that fills are those of the peer; returns how many.  Exits if they differ."""
    from pinnacle.run import lanes as module

    before, module.Accounts = module.Accounts, Kept  # type: ignore[misc]
    Kept.fills = []
    track.run(sets, window)
    module.Accounts = before  # type: ignore[misc]
    rows = np.concatenate(Kept.fills)
    total = 0
    for k, expected in enumerate(theirs):
        mine = rows[rows["lane"] == k]
        position = np.diff(mine["position_lots"], prepend=0)
        price = np.diff(mine["cash_units"], prepend=0) // -position // track.instruments[0].units_per_ticklot
        found = sorted((int(s > 0), int(p)) for s, p in zip(position, price))
        if found != sorted((int(one[1] == 1), int(one[2])) for one in expected):
            sys.exit(f"error: candidate {k}: fills differ ({len(found)} and {len(expected)})")
        total += len(found)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10, help="times the recording is repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lanes", type=int, default=64)
    chosen = parser.parse_args()
    recording = recordings() / "binance" / "usdm_btcusdt_20240808.gz"
    print_conditions(f"{chosen.lanes} candidates of the reference strategy in one pass, asked every 100 ms")
    data = scenarios.rows_of(recording)
    span_ns = int(data["local_ts"].max() - data["exch_ts"].min()) + 1_000_000_000
    data = repeated(data, ("local_ts", "exch_ts"), span_ns, chosen.repeat)
    sets = candidates(chosen.lanes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = prepared(None, False, 100, recording, folder / "run")
        short = make_tape(folder / "short", run.sources(), "short")
        tape = long_tape(short, folder / "long", chosen.repeat)
        track = Track(run.config, run.where, run.strategy, run.instruments, tape, 60_000_000_000)
        window = Window("all", tape.first_ns, tape.end_ns + 60_000_000_000)
        print(
            f"input    {recording.name} x {chosen.repeat}: {tape.rows.size:,} rows, "
            f"{tape.rows.nbytes / 1e6:.0f} MB mapped"
        )

        def theirs(one: dict[str, float], timed: bool) -> tuple[list[Any], float]:
            made = scenarios.asset(data, "log", 1, 10 * MS, 10 * MS)
            order, limit = one["order_qty"], one["position_max"]
            return scenarios.run(data, made, scenarios.join_best, False, 100 * MS, order, limit, timed=timed)

        def seconds(many: list[dict[str, float]]) -> float:
            start = time.perf_counter()
            track.run(many, window)
            return time.perf_counter() - start

        compared = sets[:: max(1, len(sets) // 4)][:4]
        equal = compare_fills(track, window, compared, [theirs(one, False)[0] for one in compared])
        seconds(sets[:2])
        seconds(sets[:1])
        rounds = []
        for k in range(chosen.rounds):
            one = compared[k % len(compared)]
            rounds.append((theirs(one, True)[1], seconds([one]), seconds(sets) / len(sets)))
        peer, single, lane = (statistics.median(column) for column in zip(*rounds))
        print(f"equal    {equal:,} fills of {len(compared)} candidates, side and price, with hftbacktest's")
        rows = tape.rows.size
        print(f"cost of a candidate: hftbacktest {peer:.3f} s, single {single:.3f} s, lane {lane:.4f} s")
        print(
            f"                     {lane / rows * 1e9:.2f} ns a row and lane; single {single / rows * 1e9:.1f} ns a row"
        )
        _say("hftbacktest / lane", [one[0] / one[2] for one in rounds], LEAST_PEER)
        _say("single / lane", [one[1] / one[2] for one in rounds], LEAST_SINGLE)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"read     {tape.bytes_read:,} bytes of history, decoded once")
        print(f"         a pass walks {tape.rows.nbytes:,} mapped bytes once for all its lanes")
        print(f"memory   {peak:.0f} MB at most, {data.nbytes / 1e6:.0f} MB of it hftbacktest's rows")
        place = Place(
            run.config, run.where, run.strategy.path, run.strategy.source, run.instruments, run.sources(),
            tape.folder, "long", track.bucket_ns,
        )  # fmt: skip
        two_processes(replace(place), sets, window, chosen.rounds)


def two_processes(place: Place, sets: list[dict[str, float]], window: Window, rounds: int) -> None:
    """The same batches by one process and by two, alternating; results must be equal."""
    with open_workers(place, 1) as one, open_workers(place, 2) as two:
        alone, both = Judges(one, len(sets)), Judges(two, len(sets))
        ratios, fastest = [], [math.inf, math.inf]
        for k in range(rounds + 1):
            # Other candidates each time: a worker that has a result does not walk for it again.
            batch = [
                {**one, "position_max": one["position_max"] + 0.004 * k + 0.001 * j} for j in range(4) for one in sets
            ]
            times, results = [], []
            for judges in (alone, both):
                start = time.perf_counter()
                results.append(judges.evaluate(batch, window, False).advance(window.stop_ns))
                times.append(time.perf_counter() - start)
            prints = [[one.fingerprint for one in some if one is not None] for some in results]
            assert prints[0] == prints[1] and len(prints[0]) == len(batch)
            if k:  # the first round starts the processes
                ratios.append(times[0] / times[1])
                fastest = [min(before, now) for before, now in zip(fastest, times)]
        _say(f"one process / two, {len(batch)} candidates", ratios, LEAST_TWO)
        print(f"{'the same, fastest round of each':<36} {fastest[0] / fastest[1]:.2f}")


def _say(what: str, ratios: list[float], least: float) -> None:
    print(f"{what:<36} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), asked for {least}")


if __name__ == "__main__":
    main()

"""Whole processes: seconds from start to exit and peak memory, cold and warm, short history and long.

    python benchmarks/startup_and_memory.py [--rounds 5]

Beside them, in the same run: the time python takes to import numba and pyarrow, which is the floor of any start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import ROOT, print_conditions
from pinnacle.log.segment import read_segment, segment_info, write_segment

SAMPLE = ROOT / "data" / "catalog" / "binance-usdm" / "BTCUSDT" / "2024-08-08.parquet"
PINNACLE = [sys.executable, "-m", "pinnacle.cli"]


def once(command: list[str], cache: Path, folder: Path) -> tuple[float, float]:
    """(seconds, peak MB) of one process, in an empty folder."""
    work = Path(tempfile.mkdtemp(dir=folder))
    environment = {**os.environ, "PINNACLE_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=work, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"error: {' '.join(command)} exited with {process.returncode}: {errors.decode()}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def show(name: str, command: list[str], rounds: int, cache: Path, folder: Path, asked: str) -> None:
    """Print the median of several rounds."""
    results = [once(command, cache, folder) for _ in range(rounds)]
    seconds = [one[0] for one in results]
    print(
        f"{name:<44} {statistics.median(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})  "
        f"peak {max(one[1] for one in results):5.0f} MB  {asked}"
    )


def repeated(count: int) -> Iterator[np.ndarray]:
    """The sample's rows `count` times, each time later by its own span."""
    info = segment_info(SAMPLE)
    span_ns = info.last_ts_ns - min(info.venue_floor_ns) + 1_000_000_000
    seq = 0
    for k in range(count):
        for rows in read_segment(SAMPLE):
            rows["ts_ns"] += k * span_ns
            rows["ts_venue_ns"] += k * span_ns
            rows["seq"] = seq + np.arange(rows.size)
            seq += rows.size
            yield rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    print_conditions("whole processes on the bundled sample (598,664 perpetual and 191,513 spot rows)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "cache"
        once([*PINNACLE, "backtest", "--quiet", "--out", "run"], folder / "other", folder)  # file cache of the system
        show(
            "backtest, cold: compiles everything",
            [*PINNACLE, "backtest", "--quiet", "--out", "run"],
            1,
            cache,
            folder,
            "asked: 20 s",
        )
        floor = [sys.executable, "-c", "import numba, pyarrow.parquet"]
        show("floor: import numba, pyarrow", floor, chosen.rounds, cache, folder, "")
        show("pinnacle --help", [*PINNACLE, "--help"], chosen.rounds, cache, folder, "asked: 0.25 s")
        show(
            "backtest --json --no-report",
            [*PINNACLE, "backtest", "--json", "--no-report", "--out", "run"],
            chosen.rounds,
            cache,
            folder,
            "asked: 0.6 s, 300 MB",
        )
        show(
            "backtest with report",
            [*PINNACLE, "backtest", "--quiet", "--out", "run"],
            chosen.rounds,
            cache,
            folder,
            "asked: 1.5 s, 300 MB",
        )
        metadata = dict(segment_info(SAMPLE).metadata)
        for count in (1, 20):
            path = folder / f"x{count}.parquet"
            write_segment(path, repeated(count), metadata)
            command = [*PINNACLE, "backtest", "reference", "--data", str(path), "--json", "--no-report", "--out", "run"]
            command += ["--set", "run.sample_ms=1000", "--set", "instruments.0.tick='0.1'"]
            show(f"reference, perpetual x {count} ({598_664 * count:,} rows)", command, 2, cache, folder, "asked: flat")


if __name__ == "__main__":
    main()

"""Runs of a strategy on the bundled sample, whole or cut short.

As a program, `python -m tests.strategies.sample CATALOG OUT NAME ...` runs each strategy on a catalog and keeps its log
as OUT/NAME.npy: that is how a test runs strategies interpreted, which is decided when numba is imported.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.config import apply_settings, parse_config, read_toml
from pinnacle.engine.strategy import load_strategy
from pinnacle.log.manifest import Manifest
from pinnacle.log.reader import LogReader
from pinnacle.log.segment import read_segment, segment_info, write_segment
from pinnacle.run.backtest import Backtest

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = ROOT / "configs" / "default.toml"
CATALOG = ROOT / "data" / "catalog"
NAMES = tuple(sorted(path.stem for path in (ROOT / "strategies").glob("*.py")))
# Enough time for every strategy to quote, when those that watch first are told to watch for a second.
CUT_S = 8


@dataclass(frozen=True)
class Run:
    """A finished run: its manifest and its whole log."""

    manifest: Manifest
    events: np.ndarray


def settings_for(name: str, given: Mapping[str, float]) -> list[str]:
    """`given` as far as the strategy has parameters of those names."""
    known = {param.name for param in load_strategy(strategy_path(name)).params}
    return [f"strategy.params.{key}={value}" for key, value in given.items() if key in known]


def strategy_path(name: str) -> Path:
    """The file of a shipped strategy."""
    return ROOT / "strategies" / f"{name}.py"


def run(path: Path, out: Path, settings: Sequence[str] = (), catalog: Path = CATALOG) -> Run:
    """Backtest a strategy file under the default config with the strategy's own defaults."""
    raw: dict[str, Any] = read_toml(CONFIG)
    raw["strategy"] = {"path": str(path)}
    apply_settings(raw, [f"data.catalog={catalog}", *settings])
    config = parse_config(raw, str(CONFIG))
    manifest = Backtest(config, str(CONFIG), CONFIG.parent, load_strategy(path), out).run()
    return Run(manifest, np.concatenate(list(LogReader(out).records())))


def cut_catalog(folder: Path, seconds: float) -> Path:
    """A catalog with the sample's first seconds only; returns its folder."""
    for day in sorted(CATALOG.glob("*/*/2024-08-08.parquet")):
        first_ns = segment_info(day).first_ts_ns
        events = np.concatenate(
            [batch for batch in read_segment(day) if batch["ts_ns"][0] - first_ns < seconds * 10**9]
        )
        target = folder / day.relative_to(CATALOG)
        target.parent.mkdir(parents=True)
        write_segment(target, [events[events["ts_ns"] - first_ns < seconds * 10**9]], segment_info(day).metadata)
    return folder


def main(catalog: str, out: str, names: Sequence[str]) -> None:
    """Run strategies one after the other and keep their logs."""
    for name in names:
        folder = Path(out) / name
        log = run(strategy_path(name), folder, settings_for(name, {"warmup_s": 1}), Path(catalog)).events
        np.save(Path(out) / f"{name}.npy", log)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

"""Paper is a backtest that does not know its future: the same market gives the same log, whatever the latencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnacle import event
from pinnacle.log.reader import LogReader
from pinnacle.log.segment import write_segment
from pinnacle.resources import find_file
from pinnacle.run.recovery import Files
from tests.cli.command import ran
from tests.run.local_venue import CONFIG
from tests.run.paper_scene import Scene

# A feed takes 0.2 ms in a scene, so an answer that takes at least that finds every row in its place.
LATENCIES = {
    "constant": ("latency.entry_ms=3", "latency.response_ms=3"),
    "quick": ("latency.entry_ms=0", "latency.response_ms=0.2"),
    "slow": ("latency.entry_ms=60", "latency.cancel_ms=20", "latency.response_ms=45"),
    "feed": ("latency.model=feed", "latency.entry_multiplier=7", "latency.entry_ms=1", "latency.response_ms=1"),
    "fitted": ("latency.model=fitted", "latency.entry_ms=0", "latency.response_ms=1", "run.seed=4"),
    "own answers": ("wake.on_order=true", "wake.on_book=false", "wake.every_ms=7"),
    "whole fills": ("fills.model=whole", "fees.maker_bps=-0.5"),
    "plain Python": ("strategy.path={folder}/plain.py",),
    "in queue": ("strategy.path=join_best", "strategy.params={{}}", "queue.model=risk-averse"),
}


def played(folder: Path, seed: int, sets: tuple[str, ...]) -> np.ndarray:
    """The log of a paper session over 1,500 messages of a seeded market."""
    folder.mkdir()
    scene = Scene(folder, seed, sets)
    engine = scene.open(Files())
    scene.play(engine, 1500)
    scene.log.abandon()
    return np.concatenate(list(LogReader(folder).records()))


def own(records: np.ndarray, until_ns: int) -> np.ndarray:
    """Our side of a log up to a time: beyond its market's end a backtest goes on and a session does not."""
    kinds = records["kind"]
    mine = ((kinds >= event.TIMER) & (kinds < event.BALANCE)) | (kinds >= event.OUTPUT_KIND_MIN)
    return records[mine & (records["ts_ns"] < until_ns)]


@pytest.mark.parametrize("case", sorted(LATENCIES))
def test_paper_is_the_backtest_of_what_it_heard(tmp_path: Path, case: str, seed: int) -> None:
    """For each latency model, rhythm, fill and queue model: every timer, answer, fill, command and fingerprint of a
    paper session is byte for byte that of a backtest over the market in its log."""
    text = find_file("fixed_spread", None, "strategies", ".py").read_text()
    (tmp_path / "plain.py").write_text(text.replace("@jit\n", ""))
    given = tuple(setting.format(folder=tmp_path) for setting in LATENCIES[case])
    records = played(tmp_path / "paper", seed, given)
    market = records[records["kind"] <= event.MARKET_KIND_MAX].copy()
    market["seq"] = np.arange(market.size)
    write_segment(tmp_path / "market.parquet", [market])
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    sets = [word for setting in (*given, "run.record=full") for word in ("--set", setting)]
    data, out = tmp_path / "market.parquet", tmp_path / "run"
    ran("backtest", config, "--data", data, "--out", out, "--quiet", "--no-report", *sets)
    until_ns = int(market["ts_ns"][-1])
    mine, theirs = own(records, until_ns), own(np.concatenate(list(LogReader(out).records())), until_ns)
    assert (mine["kind"] == event.PLACE).sum() > 3 and mine.size > 100
    differs = np.flatnonzero(mine[: theirs.size] != theirs[: mine.size])
    assert differs.size == 0, f"seed {seed}: {mine[differs[0]]} and {theirs[differs[0]]}"
    assert mine.size == theirs.size

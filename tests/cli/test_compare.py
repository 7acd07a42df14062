"""`pinnacle log compare`: the parts of a difference are the difference, to the last money unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnacle.report.compare import PARTS, compare_runs
from tests.cli.command import backtest, pinnacle, ran, refused

WITHIN_NS = 100_000_000
CHANGES = {
    "fees": ("fees.maker_bps=0.7",),
    "latency": ("latency.entry_ms=40", "latency.response_ms=30"),
    "queue": ("queue.model=risk-averse",),
    "missed quotes": ("wake.every_ms=150",),
}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backtest that trades, in a queue."""
    out = tmp_path_factory.mktemp("busy") / "run"
    backtest(out, "--strategy", "join_best", "--set", "fees.maker_bps=0.5")
    return out


def test_a_run_equals_itself(busy: Path) -> None:
    """Every order is in both, and no part is anything."""
    for one in compare_runs(busy, busy, 0):
        assert one.one2 == one.other2 and not any(one.parts2.values()) and not any(one.counts.values())
    assert "orders are in both" in ran("log", "compare", busy, busy).out


@pytest.mark.parametrize("part", sorted(CHANGES))
def test_the_parts_are_the_difference(tmp_path: Path, busy: Path, part: str) -> None:
    """Another fee, latency, queue model or rhythm: the parts add up exactly, the part that was changed shows, and a
    change of fees alone shows in fees alone; seen from the other side every part has the other sign."""
    changes = ("fees.maker_bps=0.5", *CHANGES[part])
    sets = [word for change in changes for word in ("--set", change)]
    backtest(tmp_path / "run", "--strategy", "join_best", *sets)
    there = compare_runs(busy, tmp_path / "run", WITHIN_NS)
    back = compare_runs(tmp_path / "run", busy, WITHIN_NS)
    assert any(one.counts[part] for one in there)
    for one, other in zip(there, back):
        assert sum(one.parts2.values()) == one.one2 - one.other2
        assert one.parts2 == {name: -other.parts2[name] for name in PARTS}
        if part == "fees":
            assert {name for name in PARTS if one.counts[name]} <= {"fees"}


def test_what_is_no_run_is_refused(tmp_path: Path, busy: Path) -> None:
    """A folder without a manifest is one clear line."""
    assert "no log here" in refused(pinnacle("log", "compare", busy, tmp_path))

"""Equal inputs give equal bytes: whatever the process, the size of a batch, the kind of strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinnacle.history.catalog import list_catalog
from pinnacle.log.segment import read_segment, segment_info, write_segment
from tests.cli.command import CATALOG, backtest, manifest, pinnacle, process, sliced


def log_bytes(run: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((run / "log").iterdir())]


def identity(run: Path, *without: str) -> dict[str, Any]:
    """A manifest without what may differ between equal runs."""
    told = manifest(run)
    for name in ("informational", *without):
        del told[name]
    return told


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Two fresh processes that hash strings differently write equal log files and manifests, but for the times."""
    for name, seed in (("a", "1"), ("b", "2")):
        words = ["--out", tmp_path / name, "--set", "latency.model=fitted", "--no-report", "--quiet"]
        said = process("backtest", *words, PYTHONHASHSEED=seed)
        assert (said.code, said.out, said.err) == (0, "", "")
    a, b = tmp_path / "a", tmp_path / "b"
    assert log_bytes(a) == log_bytes(b)
    assert identity(a) == identity(b)
    assert (a / "observations.parquet").read_bytes() == (b / "observations.parquet").read_bytes()


def cut_again(catalog: Path, rows: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundled sample with row groups of `rows`."""
    with monkeypatch.context() as patch:
        patch.setattr("pinnacle.log.segment.ROW_GROUP_ROWS", rows)
        for day in list_catalog(CATALOG):
            target = catalog / day.venue / day.symbol / day.path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_segment(target, read_segment(day.path), segment_info(day.path).metadata)
    return catalog


def test_the_size_of_a_batch_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of any size give the same records, byte for byte, and the same observations."""
    backtest(tmp_path / "whole")
    for rows in (997, 50_000, 1_000_000):
        run = tmp_path / str(rows)
        backtest(run, "--data", cut_again(tmp_path / f"catalog{rows}", rows, monkeypatch))
        assert pinnacle("log", "diff", run, tmp_path / "whole").out == "equal\n"
        assert (run / "observations.parquet").read_bytes() == (tmp_path / "whole" / "observations.parquet").read_bytes()
        assert pinnacle("replay", run, "--quiet").code == 0
        without = ("histories", "config", "run_id", "segments")
        assert identity(run, *without) == identity(tmp_path / "whole", *without)


@pytest.mark.parametrize("name", ["fixed_spread", "grid"])
def test_a_plain_python_strategy_equals_the_compiled_one(tmp_path: Path, name: str) -> None:
    """The same strategy without its decorator gives the same records, byte for byte."""
    from pinnacle.resources import shipped

    text = (shipped("strategies") / f"{name}.py").read_text()
    head, decorator, rest = text.partition("@jit\ndef quote")
    assert decorator
    catalog = sliced(tmp_path / "catalog", 6)
    for kind, source in (("compiled", text), ("plain", f"{head}def quote{rest}")):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / f"{name}.py").write_text(source)
        backtest(folder / "run", "--data", catalog, "--strategy", folder / f"{name}.py", "--set", "wake.every_ms=50")
    compiled, plain = tmp_path / "compiled" / "run", tmp_path / "plain" / "run"
    assert pinnacle("log", "diff", plain, compiled).out == "equal\n"
    assert manifest(plain)["counts"] == manifest(compiled)["counts"] and manifest(plain)["counts"]["place"] > 0

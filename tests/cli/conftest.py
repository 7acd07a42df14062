"""Runs that many tests look at, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import backtest, ran, sliced


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default backtest on the bundled sample with its report.  Not to be changed."""
    out = tmp_path_factory.mktemp("sample") / "run"
    ran("backtest", "--out", out, "--quiet")
    return out


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first twelve seconds of the bundled sample as a catalog.  Not to be changed."""
    return sliced(tmp_path_factory.mktemp("slice") / "catalog", 12)


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory, catalog: Path) -> Path:
    """A backtest on `catalog`.  Not to be changed."""
    out = tmp_path_factory.mktemp("short") / "run"
    backtest(out, "--data", catalog)
    return out

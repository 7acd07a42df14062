"""An installed pinnacle needs no checkout: the wheel carries strategies, configs and the sample."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.cli.command import FIRST_NS, ROOT

# For each step: seconds on an idle machine.
PATIENCE_S = 240


@pytest.mark.slow
@pytest.mark.timeout(5 * PATIENCE_S)
def test_a_wheel_runs_from_an_empty_folder(tmp_path: Path) -> None:
    """A wheel built from the tree, installed into a fresh environment, runs the default backtest from anywhere."""
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", wheels, ROOT]
    built = subprocess.run(build, capture_output=True, text=True, timeout=PATIENCE_S)
    if built.returncode and "No matching distribution found for hatchling" in built.stderr:
        pytest.skip("the build backend is not here and cannot be fetched")
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    python = tmp_path / "venv" / "bin" / "python"
    venv.create(tmp_path / "venv", symlinks=True)
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, timeout=PATIENCE_S)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    # The dependencies are those of this environment: the wheel is what is tried, not the package index.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    away = tmp_path / "away"
    away.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PINNACLE_CACHE_DIR": _cache()}
    # Interpreted and short: compiled kernels are kept by the path of their source, and would all be compiled anew.
    short = f"run.stop_ns={FIRST_NS + 10_000_000_000}"
    words = [python.with_name("pinnacle"), "backtest", "--json", "--no-report", "--no-jit", "--set", short]
    done = subprocess.run(words, cwd=away, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["run"]["status"] == "complete"
    assert all(str(site) in one["path"] for one in summary["run"]["histories"])
    assert [path.name for path in away.iterdir()] == ["runs"]
    listed = subprocess.run(
        [python.with_name("pinnacle"), "data", "list"],
        cwd=away,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert listed.returncode == 0 and listed.stdout.count("BTCUSDT") == 4
    shutil.rmtree(tmp_path / "venv")


def _cache() -> str:
    from pinnacle.kernels.jit import cache_root

    return str(cache_root())

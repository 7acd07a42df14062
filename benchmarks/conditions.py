"""The conditions of a measurement, printed above every result: machine, versions, commit, input."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def recordings() -> Path:
    """The folder of raw recordings: PINNACLE_RECORDINGS, or shared/data beside the checkout."""
    folder = Path(os.environ.get("PINNACLE_RECORDINGS") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        sys.exit(
            "error: no recordings; set PINNACLE_RECORDINGS to the folder that holds binance/usdm_btcusdt_20240808.gz"
        )
    return folder


def cpu_name() -> str:
    """The processor as the kernel names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.processor()
    return platform.processor()


def print_conditions(what: str) -> None:
    """Print machine, load, versions and commit."""
    import numba
    import numpy

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    print(f"{what}")
    print(f"machine  {cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {platform.platform()}")
    print(
        f"versions python {platform.python_version()}, numba {numba.__version__}, numpy {numpy.__version__}, "
        f"commit {commit.stdout.strip() or 'none'}"
    )

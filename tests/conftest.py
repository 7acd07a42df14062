"""What all tests share: the seed of what they draw, and recordings that may not be shipped, with how they skip."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ("tests.too_long",)

# How long an example takes depends on what else the machine does, and says nothing about the code.  Examples are the
# same in every run, unless PINNACLE_SEED is set, and then others in each.
settings.register_profile("pinnacle", deadline=None, derandomize="PINNACLE_SEED" not in os.environ)
settings.load_profile("pinnacle")

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process they start would as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def seed() -> int:
    """Of whatever a test draws: always the same, so that a run can be repeated; PINNACLE_SEED explores others."""
    seed = int(os.environ.get("PINNACLE_SEED", "1"))
    print(f"PINNACLE_SEED={seed}")
    return seed


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded market data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("PINNACLE_RECORDINGS") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("recordings not present (set PINNACLE_RECORDINGS)")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of published numbers and other engines' fills; the test is skipped where it is absent."""
    folder = Path(os.environ.get("PINNACLE_REFERENCE") or ROOT.parent / "shared" / "reference")
    if not folder.is_dir():
        pytest.skip("reference numbers not present (set PINNACLE_REFERENCE)")
    return folder

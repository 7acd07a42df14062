"""A test that hangs fails by itself, says where, and lets the next one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT

HANGING = """
import asyncio, subprocess, threading, time, pytest

@pytest.mark.timeout(1)
def test_loop():
    import uvloop
    async def main(): await asyncio.Event().wait()
    uvloop.run(main())

@pytest.mark.timeout(1)
def test_pipe():
    with subprocess.Popen(["sleep", "5"], stdout=subprocess.PIPE) as child:
        child.stdout.readline()

@pytest.fixture
def stuck():
    def for_ever(): time.sleep(60)
    thread = threading.Thread(target=for_ever, daemon=True)
    thread.start()
    thread.join()

@pytest.mark.timeout(1)
def test_setup(stuck): pass

def test_next(): pass
"""


def test_a_hung_test_fails_and_the_run_goes_on(tmp_path: Path) -> None:
    """In an event loop, at a pipe, in a fixture's wait for a thread: each is one failure with every thread's stack."""
    pytest.importorskip("pytest_timeout")
    (tmp_path / "test_hanging.py").write_text(HANGING)
    words = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "tests.too_long", tmp_path]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "2 failed, 1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    for where in ("test_loop", "test_pipe", "for_ever"):
        assert f"in {where}\n" in done.stdout

"""Ctrl-C at any moment is exit code 130 and one line, whatever was going on and whatever a library made of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pinnacle import interrupt
from pinnacle.cli import main
from pinnacle.errors import DiskError
from tests.cli.command import ROOT, ended, killed_after

PRESSES = int(os.environ.get("PINNACLE_PRESSES", "6"))
# A command whose first signal handler tells that it is there: what the interpreter does before is not ours.
TELLING = """
import signal, sys
import pinnacle.__main__ as entry
was = signal.signal
def telling(*given):
    signal.signal = was
    was(*given)
    print("listening", flush=True)
signal.signal = telling
entry.main()
"""


def test_a_press_at_any_moment_of_a_start(seed: int, tmp_path: Path) -> None:
    """From our first line on, in the middle of imports or not: 130, and not a line of a traceback.  PINNACLE_PRESSES
    says how often it is tried."""
    chance = random.Random(seed)
    for number in range(PRESSES):
        words = [sys.executable, "-c", TELLING, "simulate", "--duration", "3600", "--out", str(tmp_path / str(number))]
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with killed_after(process):
            assert process.stdout.readline() == "listening\n"
        after_s = chance.uniform(0, 0.3) if number % 2 else chance.uniform(0, 4)
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        _, complained = ended(process)
        said = f"seed {seed}, press {number} after {after_s:.3f} s: {complained}"
        assert process.returncode == interrupt.EXIT_CODE == 130 and "Traceback" not in complained, said
        assert complained.splitlines()[-1].startswith("interrupted"), said


def mistaken() -> None:
    """A lock that is given back by a cleanup, which finds it gone: the library's failure hides what it comes from."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise DiskError("the lock: cannot be written") from None


def forgotten() -> None:
    """A callback's exception is printed or dropped, never raised; what fails much later does not know of it."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt as error:
        del error
    raise DiskError("half a file")


def swallowed() -> None:
    """Nothing comes of it at all: the next look at what was heard says it."""
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    interrupt.check()


@pytest.mark.parametrize("library", [mistaken, forgotten, swallowed])
def test_whatever_a_library_makes_of_it(library: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A press that comes out as another error, or as none, ends the command as one that was raised; the next command
    knows nothing of it, and an error of its own keeps its own exit code."""

    def interrupted(*given: Any, **named: Any) -> None:
        library()

    doctor = main.commands["doctor"]
    monkeypatch.setattr(doctor, "callback", interrupted)
    before = signal.getsignal(signal.SIGINT)
    said = CliRunner().invoke(main, ["doctor"])
    assert said.exit_code == 130 and said.stderr.startswith("interrupted") and signal.getsignal(signal.SIGINT) == before

    def fails(*given: Any, **named: Any) -> None:
        raise DiskError("full")

    monkeypatch.setattr(doctor, "callback", fails)
    assert CliRunner().invoke(main, ["doctor"]).exit_code == DiskError.exit_code

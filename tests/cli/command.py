"""The command line as a test calls it, inside this process or in one of its own, and history small enough to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, AnyStr

from click.testing import CliRunner

from pinnacle.history.catalog import list_catalog
from pinnacle.log.segment import read_segment, segment_info, write_segment

ROOT = Path(__file__).resolve().parent.parent.parent
CATALOG = ROOT / "data" / "catalog"
PERP, SPOT = "binance-usdm:BTCUSDT", "binance:BTCUSDT"
# The first row of the sample that is heard, on either market.
FIRST_NS = 1_723_161_255_362_652_722


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def pinnacle(*args: str | Path) -> Said:
    """Run a command inside this process.  A traceback fails the test here."""
    result = CliRunner().invoke(_main(), [str(arg) for arg in args], prog_name="pinnacle")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def _main() -> Any:
    from pinnacle.cli import main

    return main


def process(*args: str | Path, cwd: Path | None = None, **environment: str) -> Said:
    """Run a command in a process of its own."""
    done = subprocess.run(
        command(*args), cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    return Said(done.returncode, done.stdout, done.stderr)


def command(*args: str | Path) -> list[str]:
    """The words that start a command in a process of its own."""
    return [sys.executable, "-m", "pinnacle", *map(str, args)]


def wait_until(process: subprocess.Popen[Any], true: Callable[[], bool], patience_s: float = 120) -> None:
    """Wait until something is so that a process does; fails where the process ends before, or takes too long."""
    deadline_s = time.monotonic() + patience_s
    while not true():
        if process.poll() is not None or time.monotonic() > deadline_s:
            process.kill()
            raise AssertionError(f"ended with {process.returncode} before, or too late: {ended(process)}")
        time.sleep(0.02)


@contextmanager
def killed_after(process: subprocess.Popen[Any], patience_s: float = 120) -> Iterator[None]:
    """While the block reads a process's pipes: it is killed when that takes too long, which ends every read."""
    alarm = threading.Timer(patience_s, process.kill)
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def ended(process: subprocess.Popen[AnyStr], patience_s: float = 60) -> tuple[AnyStr, AnyStr]:
    """What a process has said and complained of when it ends; one that does not is killed, and the test fails."""
    try:
        return process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate(timeout=patience_s)
        raise AssertionError(f"did not end within {patience_s} s, and had said {said}") from None


def ran(*args: str | Path) -> Said:
    """Run a command that must succeed."""
    said = pinnacle(*args)
    assert said.code == 0, said.err + said.out
    return said


def refused(said: Said) -> str:
    """The one line of a command that refused to go on: no traceback, no result, an exit code that says so."""
    assert said.code not in (0, None)
    assert "Traceback" not in said.err + said.out
    lines = [line for line in said.err.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("error: "), said.err
    assert said.out == ""
    return lines[0].removeprefix("error: ")


def backtest(out: Path, *args: str | Path) -> Said:
    """A backtest that must succeed, without its page, silent."""
    return ran("backtest", *args, "--out", out, "--no-report", "--quiet")


def sliced(catalog: Path, seconds: float) -> Path:
    """A catalog of the first seconds of the bundled sample, both markets, one day file each."""
    for day in list_catalog(CATALOG):
        if day.first_ts_ns >= FIRST_NS + 300_000_000_000:
            continue
        until_ns = FIRST_NS + round(seconds * 1e9)
        target = catalog / day.venue / day.symbol / day.path.name
        target.parent.mkdir(parents=True)
        rows = (batch[batch["ts_ns"] < until_ns] for batch in read_segment(day.path))
        write_segment(target, rows, segment_info(day.path).metadata)
    return catalog


def manifest(run: Path) -> dict[str, Any]:
    """The manifest of a run as plain values."""
    return dict(json.loads((run / "manifest.json").read_text()))


def edit_manifest(run: Path, **changes: Any) -> None:
    """Change a manifest by hand, as a person with an editor would."""
    (run / "manifest.json").write_text(json.dumps({**manifest(run), **changes}))

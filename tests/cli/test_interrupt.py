"""Ctrl-C and a full disk in the middle of a run: what was written is whole up to there, and marked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Said, backtest, command, ended, manifest, pinnacle, ran, refused, sliced, wait_until

SLOW = """
import time
from pinnacle.strategy import NO_PRICE, want_bid

def quote(market, lane, me, params, memory, want):
    time.sleep(0.002)
    top = market["top"][me]
    if top["bid_ticks"] != NO_PRICE:
        want_bid(want, top["bid_ticks"] - lane["wakes"] % 3, 10.0)
"""


def test_an_interrupted_run_is_marked_and_replays(tmp_path: Path) -> None:
    """Ctrl-C in the middle: exit 130, one line, status interrupted, an intact log that replays as far as it came."""
    strategy = tmp_path / "slow.py"
    strategy.write_text(SLOW)
    out = tmp_path / "run"
    words = ["--strategy", strategy, "--out", out, "--set", "run.checkpoint_every=20000", "--set", "wake.every_ms=50"]
    process = subprocess.Popen(command("backtest", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(process, (out / "checkpoints").exists)
    process.send_signal(signal.SIGINT)
    said, complained = ended(process)
    assert (process.returncode, said) == (130, b"")
    assert complained.decode().splitlines()[-1].startswith("interrupted") and b"Traceback" not in complained
    told = manifest(out)
    assert told["status"] == "interrupted" and told["informational"]["ended"] and told["counts"]["place"] > 0
    assert ran("log", "verify", out).out.endswith("intact\n")
    assert ran("report", out, "--json").json["run"]["status"] == "interrupted"
    whole = ran("replay", out)
    assert whole.out.startswith("equal: ") and whole.err.startswith(
        "note: the run is interrupted: replayed up to input"
    )
    assert ran("replay", out, "--from-checkpoint", "-1").out.startswith("equal: ")
    assert ran("replay", out, "--until", "10000").out.startswith("equal: ")
    assert "choose a new --out" in refused(pinnacle("backtest", *words))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB; skipped where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no small disk can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True, timeout=30)


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(small_disk: Path) -> None:
    """A disk that fills up is one error with the remedy, exit 5; the log says how far it is good."""
    out = small_disk / "run"
    said = pinnacle("backtest", "--out", out, "--record", "full", "--quiet", "--no-report")
    message = refused(said)
    assert said.code == 5 and "disk is full" in message and str(out) in message
    assert manifest(out)["status"] in ("failed", "running")
    records = (
        ran("log", "inspect", out, "--limit", "3").out.splitlines() if manifest(out)["status"] == "running" else []
    )
    checked = pinnacle("log", "verify", out)
    assert "Traceback" not in checked.err and ("records" in checked.out or records)


def test_a_disk_without_room_for_the_first_byte(small_disk: Path) -> None:
    """A disk that is full already refuses the run at once."""
    fill = os.open(small_disk / "fill", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space left"):
        while True:
            os.write(fill, bytes(4096))
    os.close(fill)
    said = pinnacle("backtest", "--out", small_disk / "run", "--quiet", "--no-report")
    assert said.code == 5 and "full" in refused(said)


def test_a_full_disk_while_reporting_leaves_the_run(small_disk: Path) -> None:
    """A report that does not fit is refused; the run is whole and the report can be made elsewhere."""
    out = small_disk / "run"
    backtest(out, "--data", sliced(small_disk / "catalog", 2))
    room = os.statvfs(small_disk)
    (small_disk / "fill").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - (200 << 10))))
    said = pinnacle("report", out)
    assert said.code == 5 and "full" in refused(said)
    assert not (out / "report.html").exists() and manifest(out)["status"] == "complete"
    assert ran("log", "verify", out).out.endswith("intact\n")


def test_a_killed_run_replays_as_far_as_it_came(tmp_path: Path) -> None:
    """Killed without a warning, a run still says running; its log is read up to its last record and replays equal."""
    strategy = tmp_path / "slow.py"
    strategy.write_text(SLOW)
    out = tmp_path / "run"
    words = ["--strategy", strategy, "--out", out, "--record", "full", "--quiet"]
    process = subprocess.Popen(command("backtest", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    journal = out / "log" / "log-000000.journal"
    wait_until(process, journal.exists)
    wait_until(process, lambda: len(ran("log", "inspect", out, "--limit", "9").out.splitlines()) >= 9)
    process.kill()
    ended(process)
    assert manifest(out)["status"] == "running"
    assert ran("log", "verify", out).out.endswith("intact, still running\n")
    assert ran("replay", out).out.startswith("equal: ")


def test_a_disk_that_refuses_to_grow_a_file_ends_the_run(tmp_path: Path) -> None:
    """Where files may not grow beyond 5 MB, a run that needs more is one error, exit 5, and marked failed."""
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20)); "
    limited += "os.execv(sys.argv[1], sys.argv[1:])"
    out = tmp_path / "run"
    words = [sys.executable, "-c", limited]
    words += command("backtest", "--out", out, "--record", "full", "--quiet", "--no-report")
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    message = refused(Said(done.returncode, done.stdout, done.stderr))
    assert done.returncode == 5 and "cannot be written" in message
    assert manifest(out)["status"] == "failed"
    assert ran("replay", out).out.startswith("equal: ")

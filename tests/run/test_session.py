"""`pinnacle live --paper` and `pinnacle record` against an exchange on loopback that makes every mistake a venue makes.

PINNACLE_SIGKILLS says how often a session of its own process is killed, 3 if it does not.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnacle import event
from pinnacle.log.reader import LogReader
from pinnacle.transport.control import ask
from tests.cli.command import Said, pinnacle, ran, refused
from tests.run import local_venue
from tests.run.local_venue import CONFIG, NAME, ROOT, LocalExchange

SIGKILLS = int(os.environ.get("PINNACLE_SIGKILLS", "3"))
# The venue's answer on paper: as long as a machine that does other things too may need to hear a row.
RESPONSE_MS = 50
LOST = (event.LINK_DOWN, event.LINK_GAP, event.LINK_STALE)


@pytest.fixture(autouse=True)
def known_venue() -> None:
    local_venue.install()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def sets(exchange: LocalExchange, *more: str) -> list[str]:
    return [word for setting in (*exchange.settings(), *more) for word in ("--set", setting)]


def session(
    config: Path,
    out: Path,
    exchange: LocalExchange,
    seconds: float,
    *more: str,
    command: tuple[str, ...] = ("live", "run"),
) -> Said:
    """A session of so many seconds, which must end well."""
    return ran(*command, config, "--out", out, "--headless", "--for", str(seconds), *sets(exchange), *more)


def records_of(run: Path) -> np.ndarray:
    return np.concatenate(list(LogReader(run).records()))


def own(records: np.ndarray) -> np.ndarray:
    """Timers, answers and commands: our side of a log, up to the operator's last word."""
    kinds = records["kind"]
    kills = np.flatnonzero(kinds == event.OPERATOR_KILL)
    mine = ((kinds >= event.TIMER) & (kinds < event.BALANCE)) | ((kinds >= event.PLACE) & (kinds < event.ALERT))
    return records[: kills[0] if kills.size else None][mine[: kills[0] if kills.size else None]]


def late_ns(records: np.ndarray) -> int:
    """When the first row of the market was heard later than RESPONSE_MS after it happened, or before it happened."""
    rows = records[(records["kind"] <= event.MARKET_KIND_MAX) & (records["ts_venue_ns"] != 0)]
    took_ns = rows["ts_ns"] - rows["ts_venue_ns"]
    late = rows["ts_ns"][(took_ns > RESPONSE_MS * 1_000_000) | (took_ns < 0)]
    return int(late[0]) if late.size else int(records["ts_ns"][-1]) + 1


def quoted_on_a_stale_book(records: np.ndarray) -> int:
    """Orders placed while the link of the one instrument was lost."""
    stale, wrong = True, 0
    for kind in records["kind"].tolist():
        if kind in LOST:
            stale = True
        elif kind == event.LINK_UP:
            stale = False
        elif kind == event.PLACE and stale:
            wrong += 1
    return wrong


@pytest.mark.parametrize("fault", ["none", "lose", "hang up", "rubbish", "silence"])
def test_a_session_is_the_backtest_of_what_it_heard(tmp_path: Path, config: Path, fault: str) -> None:
    """With each fault: the book recovers, nothing is quoted on a stale one, every byte replays, the log is intact, and
    a backtest of the market it recorded gives the same timers, answers, fills and commands to the last byte.

    That is promised while the feed is faster than the venue's answer, which a busy machine is not: what is compared
    ends where a row came later than that.  tests/run/test_paper.py compares without sockets, and always to the end."""
    exchange = LocalExchange(seed=3, rate=400, faults={150: fault})
    silence = 300 if fault == "silence" else 5000
    with exchange.running():
        words = ("--set", f"live.silence_ms={silence}", "--set", f"latency.response_ms={RESPONSE_MS}")
        session(config, tmp_path / "run", exchange, 1.8, *words)
    heard = records_of(tmp_path / "run")
    kinds = heard["kind"]
    assert exchange.clients == (1 if fault == "none" else 2)
    assert (kinds == event.LINK_UP).sum() == exchange.clients
    assert (kinds == event.PLACE).sum() > 10 and quoted_on_a_stale_book(heard) == 0
    assert ran("replay", tmp_path / "run").out.startswith("equal: ")
    assert ran("log", "verify", tmp_path / "run").code == 0
    ran(
        "backtest", config, "--data", tmp_path / "run", "--out", tmp_path / "again", "--no-report", "--quiet",
        "--set", "run.record=full", "--set", f"latency.response_ms={RESPONSE_MS}",
    )  # fmt: skip
    until_ns = late_ns(heard)
    mine, theirs = (one[one["ts_ns"] < until_ns] for one in (own(heard), own(records_of(tmp_path / "again"))))
    print(f"{mine.size} records of ours are compared, {own(heard).size} there are")
    assert np.array_equal(mine, theirs[: mine.size])


def test_the_operator_is_heard(tmp_path: Path, config: Path) -> None:
    """pause, resume, flatten, stop and status from another thread: each an event in the log, and it does what it says;
    the report of the session can be written."""
    exchange, out = LocalExchange(seed=4, rate=400), tmp_path / "run"
    said: list[dict[str, Any]] = []

    def operate() -> None:
        wait_for(out / "control.sock")
        for word in ("status", "pause", "resume", "flatten"):
            time.sleep(0.4)
            said.append(ask(out, {"do": word}))
        time.sleep(0.3)
        said.append(ask(out, {"do": "status"}))
        said.append(ask(out, {"do": "fly"}))
        ask(out, {"do": "stop"})

    with exchange.running():
        operator = threading.Thread(target=operate, daemon=True)
        operator.start()
        session(config, out, exchange, 20)
        operator.join(60)
        assert not operator.is_alive()
    heard = records_of(out)
    kinds = heard["kind"].tolist()
    words = [kind for kind in kinds if event.OPERATOR_PAUSE <= kind <= event.OPERATOR_KILL]
    assert words == [event.OPERATOR_PAUSE, event.OPERATOR_RESUME, event.OPERATOR_FLATTEN, event.OPERATOR_KILL]
    paused = kinds[kinds.index(event.OPERATOR_PAUSE) : kinds.index(event.OPERATOR_RESUME)]
    assert event.PLACE not in paused
    # Those that were on their way to their end already are not cancelled again.
    until = heard[: kinds.index(event.OPERATOR_RESUME)]
    ends = (event.CANCEL, event.ORDER_FILLED, event.ORDER_EXPIRED, event.ORDER_REJECTED)
    placed, ended = (set(until["order_id"][np.isin(until["kind"], of)].tolist()) for of in ([event.PLACE], ends))
    assert placed and placed <= ended, "a pause takes every quote back"
    assert said[0]["connections"][0]["books"] == ["live"] and said[1]["paused"] and not said[2]["paused"]
    assert "fly" in said[-1]["error"]
    assert said[-2]["instruments"][0]["position"] == "0.00", "flatten takes the position off"
    summary = ran("report", out, "--json").json
    assert summary and (out / "report.html").exists()
    assert ran("replay", out).out.startswith("equal: ")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_recording_is_backtest_input(tmp_path: Path, config: Path) -> None:
    """What was recorded over several sealed files, with the raw tape, runs as a backtest; recording goes on in the same
    folder after it was cut, and not after it was stopped.  An empty log, left by a start that was killed before its
    manifest was written, is in nobody's way."""
    exchange, out = LocalExchange(seed=5, rate=600), tmp_path / "recorded"
    (out / "log").mkdir(parents=True)
    with exchange.running():
        session(config, out, exchange, 2.5, "--tape", "--set", "live.rotate_s=1", command=("record",))
        again = pinnacle("record", config, "--out", out, "--headless", *sets(exchange))
    assert len(list((out / "log").glob("*.parquet"))) >= 2 and list((out / "tape").iterdir())
    assert ran("log", "verify", out).code == 0
    assert "choose a new --out" in refused(again)
    ran("backtest", config, "--data", out, "--out", tmp_path / "run", "--no-report", "--quiet")
    assert ran("replay", tmp_path / "run").out.startswith("equal: ")


def test_a_disk_that_fills_up(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: quotes are pulled in the log, one clear error, everything before is whole; with space it goes on."""
    import pinnacle.log.journal as journals

    exchange, out = LocalExchange(seed=6, rate=500), tmp_path / "run"
    full = threading.Event()
    allocate = os.posix_fallocate

    def limited(fd: int, offset: int, size: int) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(fd, offset, size)

    monkeypatch.setattr(journals, "WINDOW_BYTES", 1 << 17)
    monkeypatch.setattr("pinnacle.run.livelog.JOURNAL_AHEAD_BYTES", 1 << 16)
    monkeypatch.setattr(os, "posix_fallocate", limited)
    with exchange.running():
        timer = threading.Timer(3.0, full.set)
        timer.start()
        said = pinnacle("live", "run", config, "--out", out, "--headless", "--for", "20", *sets(exchange))
        timer.join(10)
        assert said.code == 5 and "full" in said.err
        heard = records_of(out)
        last = heard["kind"][np.flatnonzero(heard["kind"] == event.LINK_DOWN)[-1] :].tolist()
        assert event.PLACE not in last and quoted_on_a_stale_book(heard) == 0
        full.clear()
        session(config, out, exchange, 0.8)
    assert (records_of(out)[heard.size :]["kind"] == event.PLACE).any()
    assert ran("replay", out).out.startswith("equal: ")


def test_refusals(tmp_path: Path, config: Path) -> None:
    """Two processes, another config, another strategy, real orders, an unknown venue, a host that does not exist, an
    instrument whose steps nobody knows: one clear line each."""
    exchange, out = LocalExchange(seed=7), tmp_path / "run"
    with exchange.running():
        child = started(config, out, exchange)
        try:
            wait_for(out / "control.sock")
            assert "another process" in refused(pinnacle("live", "run", config, "--out", out, "--headless"))
        finally:
            child.kill()
            child.wait(20)
        other = pinnacle("live", "run", config, "--out", out, "--headless", "--set", "wake.every_ms=50")
        assert "another config" in refused(other)
        other = pinnacle("live", "run", config, "--out", out, "--headless", "--strategy", "grid")
        assert "another" in refused(other)
    assert "--i-understand" in refused(pinnacle("live", "--live", config))
    assert "nowhere" in refused(pinnacle("live", "run", config, "--set", "instruments.0.venue=nowhere"))
    unknown = tmp_path / "unknown.toml"
    unknown.write_text(CONFIG.replace('tick = "0.01"\nlot = "0.01"\n', ""))
    where = f"live.venues.{NAME}.rest=http://no-such-host.invalid"
    said = refused(pinnacle("live", "run", unknown, "--out", tmp_path / "new", "--headless", "--set", where))
    assert "no-such-host.invalid" in said
    assert "no session runs there" in refused(pinnacle("live", "status", tmp_path))


def started(config: Path, out: Path, exchange: LocalExchange) -> subprocess.Popen[bytes]:
    """A session in a process of its own."""
    words = ["live", "run", str(config), "--out", str(out), "--headless", *sets(exchange)]
    program = [sys.executable, "-m", "tests.run.local_venue", *words]
    return subprocess.Popen(program, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_killed_process_goes_on(tmp_path: Path, config: Path, seed: int) -> None:
    """SIGKILL at a random moment, again and again, in one folder; at last SIGTERM: exit 0, and the one log of all these
    lives replays byte for byte, with no order left open by any of them."""
    chance = random.Random(seed)
    exchange, out = LocalExchange(seed=8, rate=500), tmp_path / "run"
    with exchange.running(), ExitStack() as children:
        before = 0
        for _ in range(SIGKILLS):
            child = started(config, out, exchange)
            children.callback(child.kill)
            wait_for(out / "control.sock")
            time.sleep(0.2 + chance.random())
            child.send_signal(signal.SIGKILL)
            child.wait(20)
            (out / "control.sock").unlink()
            now = records_of(out).size
            assert now > before
            before = now
        child = started(config, out, exchange)
        children.callback(child.kill)
        wait_for(out / "control.sock")
        time.sleep(0.5)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert json.loads((out / "manifest.json").read_text())["status"] == "complete"
    kinds = records_of(out)["kind"]
    assert (kinds == event.LINK_UP).sum() == SIGKILLS + 1
    assert ran("log", "verify", out).code == 0
    assert ran("replay", out).out.startswith("equal: ")

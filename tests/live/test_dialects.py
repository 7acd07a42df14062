"""Each dialect of the local exchange followed by a session on paper: real websockets over loopback with TLS."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from pinnacle.dialects.names import DIALECTS
from pinnacle.event import ORDER_FILLED
from pinnacle.report.compare import compare_runs
from tests.cli.command import ROOT, command, ran
from tests.live.books import Books
from tests.live.market import BASES, played, records_of, scene, wait_for


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_session_trades_and_its_log_is_everything(tmp_path: Path, dialect: str) -> None:
    """Steps and lots are asked of the venue; the books are the house's level by level; it quotes and is filled; its log
    is intact, replays byte for byte, and is a backtest's input at once; the parts in which log compare splits the
    difference to that backtest, and to one with another fee, are the difference to the last money unit.

    That paper is the backtest of its market to the last byte holds while the feed is faster than the venue's answer,
    which a busy machine does not promise: tests/run/test_paper.py shows it without sockets."""
    with scene(dialect, tmp_path) as one:

        def play() -> None:
            wait_for("live books", one.live)
            one.runs(400)
            wait_for("fills", lambda: one.read().fills > 3)
            assert one.at_rest() == []
            one.thaw()
            wait_for("live books at the end", one.live)

        played(one, play)
    heard = records_of(one.out)
    books = Books()
    books.take([heard])
    assert all(books.of(k).placed and not books.of(k).placed_blindly for k in range(len(BASES)))
    assert ran("log", "verify", one.out).code == 0
    assert ran("replay", one.out).out.startswith("equal: ")
    again, dearer = tmp_path / "again", tmp_path / "dearer"
    words = ("backtest", one.config, "--data", one.out, "--no-report", "--quiet")
    ran(*words, "--out", again)
    assert ran("report", one.out, "--json").json and (one.out / "report.html").exists()
    ran(*words, "--out", dearer, "--set", "fees.maker_bps=1")
    for other in (again, dearer):
        for difference in compare_runs(one.out, other, 100_000_000):
            assert sum(difference.parts2.values()) == difference.one2 - difference.other2
            assert difference.matched and (other == again or difference.counts["fees"])
    assert "orders are in both" in ran("log", "compare", one.out, again).out


@pytest.mark.parametrize("dialect", ["kraken", "coinbase"])
def test_what_a_process_records_is_backtest_input(tmp_path: Path, dialect: str) -> None:
    """`pinnacle record` in a process of its own ends with 0 on SIGINT, its log is sealed and whole, and a strategy runs
    on it."""
    with scene(dialect, tmp_path) as one, (tmp_path / "said").open("w") as sink:
        words = command("record", one.config, "--out", one.out, "--headless")
        child = subprocess.Popen(words, cwd=ROOT, stdout=sink, stderr=sink)
        try:
            wait_for("the recording", (one.out / "control.sock").exists, 200)
            wait_for("live books", one.live)
            one.runs(300)
            assert one.at_rest() == []
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 0, (tmp_path / "said").read_text()
        finally:
            child.kill()
    assert ran("log", "verify", one.out).code == 0
    assert not list((one.out / "log").glob("*.journal"))
    ran("backtest", one.config, "--data", one.out, "--out", tmp_path / "traded", "--no-report", "--quiet")
    assert (records_of(tmp_path / "traded")["kind"] == ORDER_FILLED).any()
    assert ran("replay", tmp_path / "traded").out.startswith("equal: ")

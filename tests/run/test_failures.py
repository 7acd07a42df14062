"""After a failure the log holds a prefix of what was computed, without a hole, and a start goes on from there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnacle.config_live import Live
from pinnacle.errors import DiskError
from pinnacle.event import BOOK_LEVEL, LAST, OUTPUT_KIND_MIN, empty
from pinnacle.execution.budget import Budget
from pinnacle.log.journal import read_journal
from pinnacle.log.manifest import Manifest, Versions
from pinnacle.run.keeper import Keeper
from pinnacle.run.livelog import LiveLog
from pinnacle.venues.gateway import Capabilities, Window
from tests.cli.command import pinnacle
from tests.run import local_venue
from tests.run.local_venue import CONFIG, LocalExchange


def market(count: int, first: int) -> np.ndarray:
    rows = empty(count)
    rows["seq"] = np.arange(first, first + count)
    rows["ts_ns"], rows["kind"], rows["flags"] = 1, BOOK_LEVEL, LAST
    return rows


def test_a_journal_that_cannot_be_begun_leaves_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up as a journal is followed by the next: what was to be appended is not there, and the log takes
    no last words after it, which would follow a hole that no start recovers from."""
    (tmp_path / "log").mkdir()
    manifest = Manifest(
        run_id="00" * 16, mode="record", status="running", code_hash="", versions=Versions("", "", "", "", "")
    )
    keeper = Keeper(tmp_path, manifest, None)
    log = LiveLog(tmp_path / "log", "00" * 16, Live(fsync="never"), keeper, 0, 0, None)
    log._rotate_bytes = 64 * 100
    log.append(market(50, 0))

    def full() -> None:
        raise DiskError("the disk is full")

    monkeypatch.setattr(log, "_begin", full)
    with pytest.raises(DiskError):
        log.append(market(80, 50))
    assert log.records == 50 and not log.whole
    log.ending = True
    with pytest.raises(AssertionError):
        log.append(market(1, 130))
    log.abandon()


def test_a_budget_never_lets_more_through_than_the_window(tmp_path: Path) -> None:
    """Requests joined into one entry count until the last of them is old enough: no window of the venue's, wherever it
    begins, sees more than it allows."""
    length_ns = 1_000_000
    window = Window("orders", 10, length_ns, 0)
    budget = Budget(Capabilities("here", windows=(window,), costs={"place": (("orders", 1),)}))
    times = [0] * 5 + [9_000] * 10 + [length_ns] * 10 + [length_ns + 15_000] * 10 + [3 * length_ns] * 20
    sent = [now for now in times if budget.take("place", 0, now, False)]
    assert len(sent) >= 20
    for begin in sent:
        assert sum(begin <= at < begin + length_ns for at in sent) <= 10


def test_a_strategy_that_raises_ends_the_log_there(tmp_path: Path) -> None:
    """Messages that came in the same bytes as the one a strategy raised at are not heard: what a state that stopped
    half way made of them would be in the log, which could then be neither replayed nor gone on with."""
    local_venue.install()
    config, strategy = tmp_path / "config.toml", tmp_path / "raises.py"
    config.write_text(CONFIG)
    strategy.write_text(
        "PARAMS = ()\n\n\ndef quote(market, lane, me, params, memory, want):\n"
        "    if market['seq'] > 200:\n        raise ValueError('too many')\n"
    )
    exchange, out = LocalExchange(seed=3, rate=20_000), tmp_path / "run"
    with exchange.running():
        words: list[str | Path] = [
            "live",
            "run",
            config,
            "--strategy",
            strategy,
            "--out",
            out,
            "--headless",
            "--for",
            "10",
        ]
        words += [word for setting in exchange.settings() for word in ("--set", setting)]
        said, again = pinnacle(*words), pinnacle(*words)
    assert said.code != 0 and "too many" in said.err
    # The start after it folds the whole log, and comes to the same place.
    assert again.code == said.code and "too many" in again.err
    heard = np.concatenate(list(read_journal(out / "log" / "log-000000.journal", live=True)))
    inputs = heard["seq"][heard["kind"] < OUTPUT_KIND_MIN]
    assert inputs.size > 20 and np.array_equal(inputs, np.arange(inputs.size))

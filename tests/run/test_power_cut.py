"""What a power cut leaves of a session with real orders, and what a start after it may not do again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from pinnacle import event
from pinnacle.log.reader import LogReader
from tests.cli.command import edit_manifest, pinnacle
from tests.run.served import served
from tests.run.test_trouble import session_of


def numbers(run: Path) -> list[int]:
    records = np.concatenate(list(LogReader(run).records()))
    return [int(one) for one in records["order_id"][records["kind"] == event.PLACE]]


def test_nothing_of_the_log_is_left_and_no_number_is_given_twice(tmp_path: Path) -> None:
    """The manifest was on the disk and not one record: the venue knows orders of this run, and new ones have others'
    numbers.  Where numbers go on is on the disk before any of them is sent."""
    with served("binance", ("flow.model=plain", "flow.per_s=200")) as one:
        first = session_of(tmp_path, one, 3)
        assert first.code == 0, first.err
        run = tmp_path / "run"
        before = numbers(run)
        shutil.rmtree(run / "log")
        (run / "log").mkdir()
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
        edit_manifest(run, status="running", segments=[], counts={})
        keys = tmp_path / "keys"
        again = pinnacle(
            "live", "--live", "--i-understand", tmp_path / "config.toml", "--out", run, "--headless", "--for", "3",
            "--vault", keys / "vault", "--password-file", keys / "password",
        )  # fmt: skip
    assert again.code == 0, again.err
    after = numbers(run)
    assert before and after and min(after) > max(before) + 1_000

"""`pinnacle cancel-all` over several venues and `pinnacle watchdog` beside a lost disk, with the sweeps played."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pinnacle.commands import cancel_all
from pinnacle.errors import DiskError, OperatorError, VenueError
from tests.cli.command import pinnacle


def test_a_venue_that_fails_leaves_no_orders_at_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first venue cannot be reached: the orders at the others are cancelled, and the exit says what failed."""
    swept: list[str] = []

    def sweep(place: SimpleNamespace, *_: object) -> int:
        swept.append(place.name)
        if place.name != "kraken":
            raise VenueError(f"{place.name}: orders may rest")
        return 3

    vault = SimpleNamespace(wipe=lambda: None)
    monkeypatch.setattr("pinnacle.run.cancel_all.cancel_all", sweep)
    monkeypatch.setattr(
        cancel_all, "places", lambda *_: [SimpleNamespace(name=one) for one in ("binance", "kraken", "gemini")]
    )
    monkeypatch.setattr(cancel_all, "with_key", lambda place, *_: place)
    monkeypatch.setattr(cancel_all, "open_keys", lambda *_: (vault, None))
    said = pinnacle("cancel-all", "run")
    assert swept == ["binance", "kraken", "gemini"] and said.code == 4 and "kraken: 3 cancelled" in said.out
    assert "binance: orders may rest" in said.err and "gemini: orders may rest" in said.err


def test_a_watchdog_acts_though_the_disk_is_lost_with_the_session(tmp_path: Path, monkeypatch: Any) -> None:
    """The session answers, then falls silent with its manifest unreadable: its orders are cancelled all the same."""
    (tmp_path / "manifest.json").write_text("{")
    answers, read = [True, True], ["kraken"]

    def ask(*_: object) -> dict[str, object]:
        if not answers:
            raise OperatorError("no session runs there")
        answers.pop()
        return {}

    def places(*_: object) -> list[SimpleNamespace]:
        if not read:
            raise DiskError("manifest.json cannot be read")
        return [SimpleNamespace(name=read.pop())]

    def sweep(place: SimpleNamespace, *_: object) -> int:
        raise KeyboardInterrupt(place.name)

    monkeypatch.setattr("pinnacle.transport.control.ask", ask)
    monkeypatch.setattr("pinnacle.run.cancel_all.cancel_all", sweep)
    monkeypatch.setattr(cancel_all, "places", places)
    monkeypatch.setattr(cancel_all, "with_key", lambda place, *_: place)
    monkeypatch.setattr(cancel_all, "open_keys", lambda *_: (None, None))
    said = pinnacle("watchdog", tmp_path, "--after", "0.1")
    assert "cancelling" in said.out and said.code == 130

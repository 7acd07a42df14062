"""`pinnacle cancel-all` over several venues, with the sweeps themselves played."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pinnacle.commands import cancel_all
from pinnacle.errors import VenueError
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

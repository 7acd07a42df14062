"""One key in several processes at venues that want rising nonces: none is refused for ever, whatever clocks do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pinnacle.run import cancel_all as sweeping
from pinnacle.run.cancel_all import Place, cancel_all
from pinnacle.run.real_orders import Account
from pinnacle.transport.clock import Clock
from pinnacle.transport.websocket import Route
from pinnacle.vault.nonces import NonceFile
from pinnacle.venues.credentials import signer
from pinnacle.venues.feed import Address
from tests.run.exchange_process import SPOTS
from tests.run.served import Served, served

HOUR_NS = 3_600_000_000_000


@pytest.fixture(params=["kraken", "gemini"])
def exchange(request: pytest.FixtureRequest) -> Iterator[tuple[str, Served]]:
    spot = SPOTS[request.param]
    with served(spot.name, ["flow.model=none", f"accounts.0.key={spot.fields['api_key']}"]) as one:
        yield spot.name, one


def sweep(name: str, served: Served, vault: Path) -> list[str]:
    """Cancel all as a process of its own would, with the key's file of nonces; what was said of trouble."""
    spot, said = SPOTS[name], []
    fields = spot.fields
    account = Account(
        fields["api_key"], signer(name, fields["secret"].encode())[1], b"", NonceFile(vault, name, fields["api_key"])
    )
    address = Address(served.ws, served.http)
    place = Place(name, (spot.symbol,), address, address, account)

    def say(what: str, **fields: Any) -> None:
        said.append(f"{what} {fields}")

    assert cancel_all(place, Route(), say) == 0
    return [line for line in said if line.startswith(("unreachable", "malformed"))]


def test_a_clock_that_was_set_back(
    exchange: tuple[str, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the machine's clock went back an hour the same key is taken at once, with no refusal."""
    name, one = exchange
    assert sweep(name, one, tmp_path / "vault") == []
    monkeypatch.setattr(sweeping, "Clock", lambda: Clock(wall=lambda: time.time_ns() - HOUR_NS))
    began = one.call(lambda: dict(one.desk.dialect._nonces))
    assert sweep(name, one, tmp_path / "vault") == []
    ((_, last),) = one.call(lambda: dict(one.desk.dialect._nonces)).items()
    assert last > max(began.values())


def test_two_processes_at_once(exchange: tuple[str, Served], tmp_path: Path) -> None:
    """Several of them on one key all come to their end."""
    name, one = exchange
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(sweep, name, one, tmp_path / "vault") for _ in range(3)]
        assert len([each.result(90) for each in done]) == 3


def test_another_machine_whose_clock_is_ahead(exchange: tuple[str, Served], tmp_path: Path) -> None:
    """A key that somewhere else has used greater nonces with is taken again after a few refusals."""
    name, one = exchange
    ahead_ns, unit = (6_000_000_000, 1_000_000) if name == "gemini" else (5_000_000_000, 1_000)

    def elsewhere() -> None:
        key = 1 if name == "kraken" else SPOTS[name].fields["api_key"]
        one.desk.dialect._nonces[key] = (time.time_ns() + ahead_ns) // unit

    one.call(elsewhere)
    ((key, greater),) = one.call(lambda: dict(one.desk.dialect._nonces)).items()
    sweep(name, one, tmp_path / "vault")
    assert one.call(lambda: dict(one.desk.dialect._nonces))[key] > greater

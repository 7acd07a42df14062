"""`pinnacle live --live` on USD-M futures against the local exchange over sockets: killed, it goes on, its position is
the exchange's, and cancel-all works with the engine dead.

PINNACLE_SIGKILLS says how often the session is killed, 2 if it does not.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pinnacle import event
from tests.cli.command import ran
from tests.run.served import Served, served
from tests.run.test_real_orders import PASSWORD, next_all, signed

VENUE = "binance-usdm"
SIGKILLS = int(os.environ.get("PINNACLE_SIGKILLS", "2"))
# How long anything is waited for; moments, but on a machine that has to compile first.
PATIENCE_S = 300.0


@pytest.fixture
def exchange() -> Iterator[Served]:
    """A local exchange of futures in this process."""
    with served(VENUE, ["flow.model=plain", "flow.per_s=200"]) as one:
        yield one


def wait_for(true: Callable[[], object], what: str) -> None:
    """Until it is so; fails after PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


class Scene:
    """The vault, the command and the exchange's own answers."""

    def __init__(self, folder: Path, one: Served) -> None:
        self.folder, self.one, self.host = folder, one, f"127.0.0.1:{one.port}"
        self.account = one.desk.dialect.house.accounts[0]
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        fields = {"api_key": self.account.key, "secret": self.account.secret, "passphrase": ""}
        for name, text in (("password", PASSWORD), ("fields", json.dumps(fields))):
            (keys / name).touch(mode=0o600)
            (keys / name).write_text(text)
        self.unlock = ["--vault", str(keys / "vault"), "--password-file", str(keys / "password")]
        ran("keys", "add", VENUE, "--permissions", "trade", "--fields", keys / "fields", *self.unlock)
        self.starts = 0

    def command(self, *more: str) -> list[str]:
        settings = (
            f"instruments.0.venue={VENUE}", f"live.venues.{VENUE}.websocket=ws://{self.host}",
            f"live.venues.{VENUE}.rest=http://{self.host}", f"live.notional_max.{VENUE}=100000",
            "strategy.params.order_qty=0.001", "strategy.params.position_max=0.005", "risk.position_max=0.006",
        )  # fmt: skip
        words = ["live", "--live", "--i-understand", "live", "--out", str(self.folder / "run"), "--headless"]
        words += [*self.unlock, "--strategy", "join_best"]
        return words + [word for one in settings for word in ("--set", one)] + list(more)

    def started(self) -> tuple[subprocess.Popen[bytes], Path]:
        """A session in a process of its own, and the file of what it says."""
        self.starts += 1
        said = self.folder / f"said.{self.starts}"
        with said.open("wb") as sink:
            words = [sys.executable, "-m", "pinnacle.cli", *self.command()]
            return subprocess.Popen(words, stdout=sink, stderr=sink), said

    def asked(self, path: str, **params: object) -> Any:
        return signed(self.host, path, **params)


def test_a_killed_session_holds_the_exchanges_position(tmp_path: Path, exchange: Served) -> None:
    """After each SIGKILL it goes on; no order rests at the end, the position is the exchange's, and the log replays."""
    scene, chance = Scene(tmp_path, exchange), random.Random(5)
    house = exchange.desk.dialect.house
    for _ in range(SIGKILLS):
        before = len(exchange.call(house.fills, 1))
        process, said = scene.started()
        try:
            wait_for(lambda s=said: b'"ready": true' in s.read_bytes(), "the account")  # type: ignore[misc]
            wait_for(lambda b=before: len(exchange.call(house.fills, 1)) > b, "a fill")  # type: ignore[misc]
            time.sleep(chance.uniform(0.0, 1.0))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_S)
    last = ran(*scene.command("--for", "3")).out.splitlines()[-1]
    assert scene.asked("/fapi/v1/openOrders", symbol="BTCUSDT") == []
    trades = scene.asked("/fapi/v1/userTrades", symbol="BTCUSDT", limit=1000)
    records = next_all(tmp_path / "run")
    ids = [int(row["aux"]) for row in records if row["kind"] == event.FILL_ID]
    assert sorted(ids) == sorted(trade["id"] for trade in trades) and len(set(ids)) == len(ids) > 0
    held = Decimal(json.loads(last)["instruments"][0]["position"])
    positions = scene.asked("/fapi/v3/positionRisk", symbol="BTCUSDT")
    assert held == (Decimal(positions[0]["positionAmt"]) if positions else 0)
    assert held == exchange.call(house.position, 1, 0).lots * house.listings[0].instrument.lot
    assert ran("replay", tmp_path / "run").out.startswith("equal: ")
    assert ran("log", "verify", tmp_path / "run").code == 0
    key = exchange.call(exchange.desk.dialect.private_streams.give, scene.account, time.time_ns())["listenKey"]
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            assert scene.account.secret.encode() not in text and key.encode() not in text, f"{path} holds a secret"


def test_cancel_all_and_hedge_mode(tmp_path: Path, exchange: Served) -> None:
    """With nothing running, cancel-all takes what rests; in hedge mode a session says why it does not trade."""
    scene, house = Scene(tmp_path, exchange), exchange.desk.dialect.house
    for price in ("55000.00", "56000.00"):
        signed(
            scene.host, "/fapi/v1/order", "POST", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTX",
            quantity="0.001", price=price,
        )  # fmt: skip
    at = ("--websocket", f"ws://{scene.host}", "--rest", f"http://{scene.host}")
    assert "2 cancelled, none is left" in ran("cancel-all", VENUE, "BTCUSDT", *at, *scene.unlock).out
    assert exchange.call(house.open_orders, 1) == []
    exchange.call(exchange.desk.dialect.usdm_orders.hedged.add, 1)
    process, said = scene.started()
    try:
        wait_for(lambda: b"hedge mode" in said.read_bytes(), "why it does not trade")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
    assert '"what": "killed"' in said.read_text()
    assert not [row for row in next_all(tmp_path / "run") if row["kind"] == event.PLACE]
    assert exchange.call(house.fills, 1) == []

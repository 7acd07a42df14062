"""`pinnacle live --live` against the local exchange over sockets: killed again and again, its books are the exchange's.

PINNACLE_SIGKILLS says how often the session is killed, 2 if it does not.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinnacle import event
from pinnacle.log.reader import LogReader
from tests.cli.command import pinnacle, ran, refused

SIGKILLS = int(os.environ.get("PINNACLE_SIGKILLS", "2"))
KEY, SECRET = "pinnacle-demo-key", "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE="
PASSWORD = "a password of the test"
QUOTING = (
    "live.notional_max.binance=100000", "strategy.params.order_qty=0.001", "strategy.params.position_max=0.005",
    "risk.position_max=0.006",
)  # fmt: skip


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    """host:port of a local exchange in a process of its own."""
    log = (tmp_path / "exchange.log").open("w+")
    process = subprocess.Popen(
        [
            sys.executable, "-m", "pinnacle.cli", "simulate", "--listen", "127.0.0.1:0", "--dialect", "binance",
            "--symbol", "BTCUSDT", "--set", "flow.model=plain", "--set", "flow.per_s=300",
        ],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        found = None
        while found is None:
            assert time.monotonic() < deadline and process.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
            found = re.search(r"listens on (\S+)", Path(log.name).read_text())
        yield found.group(1)
    finally:
        process.terminate()
        process.wait()
        log.close()


def signed(host: str, path: str, **params: object) -> Any:
    """What the exchange itself says of the account."""
    query = "&".join(f"{k}={v}" for k, v in (params | {"timestamp": time.time_ns() // 1_000_000}).items())
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(f"http://{host}{path}?{query}&signature={signature}")
    request.add_header("X-MBX-APIKEY", KEY)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def command(tmp_path: Path, host: str, *more: str) -> list[str]:
    words = ["live", "--live", "--i-understand", "live", "--out", str(tmp_path / "run"), "--headless"]
    settings = (f"live.venues.binance.websocket=ws://{host}", f"live.venues.binance.rest=http://{host}", *QUOTING)
    words += [
        "--vault", str(tmp_path / "keys" / "vault"), "--password-file", str(tmp_path / "keys" / "password"),
        "--strategy", "join_best",
    ]  # fmt: skip
    return words + [word for one in settings for word in ("--set", one)] + list(more)


def add_key(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    for name, text in (
        ("password", PASSWORD),
        ("fields", json.dumps({"api_key": KEY, "secret": SECRET, "passphrase": ""})),
    ):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    ran(
        "keys", "add", "binance", "--permissions", "trade", "--fields", folder / "fields", "--vault", folder / "vault",
        "--password-file", folder / "password",
    )  # fmt: skip


def test_a_session_killed_again_and_again_holds_what_the_exchange_says(tmp_path: Path, exchange: str) -> None:
    """After each SIGKILL it goes on; at the end no order rests, every fill is counted once, and the log replays."""
    add_key(tmp_path)
    chance = random.Random(5)
    for _ in range(SIGKILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "pinnacle.cli", *command(tmp_path, exchange)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if '"ready": true' in line:
                break
        time.sleep(chance.uniform(0.3, 2.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    last = ran(*command(tmp_path, exchange, "--for", "3")).out.splitlines()[-1]
    assert signed(exchange, "/api/v3/openOrders", symbol="BTCUSDT") == []
    trades = signed(exchange, "/api/v3/myTrades", symbol="BTCUSDT", limit=1000)
    records = next_all(tmp_path / "run")
    ids = [int(row["aux"]) for row in records if row["kind"] == event.FILL_ID]
    assert sorted(ids) == sorted(trade["id"] for trade in trades) and len(set(ids)) == len(ids)
    held = sum((1 if trade["isBuyer"] else -1) * round(float(trade["qty"]) * 1e5) for trade in trades)
    assert round(float(json.loads(last)["instruments"][0]["position"]) * 1e5) == held
    assert sum(record["kind"] == event.PLACE for record in records) > 3
    assert ran("replay", tmp_path / "run").out.startswith("equal: ")
    assert ran("log", "verify", tmp_path / "run").code == 0
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), f"{path} holds a secret"


def next_all(run: Path) -> list[Any]:
    return [record for part in LogReader(run).records() for record in part]


def test_real_orders_are_refused_without_everything_they_need(tmp_path: Path) -> None:
    """Without the word, a cap, a key, or a venue that takes orders: one sentence, and nothing is sent."""
    words = command(tmp_path, "127.0.0.1:1")
    assert "--i-understand" in refused(pinnacle(*[w for w in words if w != "--i-understand"]))
    uncapped = [w for w in words if not w.startswith("live.notional_max")]
    uncapped = [w for k, w in enumerate(uncapped) if not (w == "--set" and uncapped[k + 1 : k + 2] == ["--set"])]
    assert "live.notional_max.binance" in refused(pinnacle(*uncapped))
    assert "vault" in refused(pinnacle(*words))
    assert "gemini" in refused(pinnacle(*words, "--set", "instruments.0.venue=gemini"))

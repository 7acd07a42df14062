"""`pinnacle live --live` against the local exchange over sockets: what is refused, and done without it."""

from __future__ import annotations

import hashlib
import hmac
import json
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
from tests.run.exchange_process import KEY, PASSWORD, SECRET, SPOTS, exchange_process, until

# So far from the mid that nothing of it is filled: what rested when the session was killed rests until it is cancelled.
QUOTING = (
    "strategy.params.half_spread_bps=30", "live.notional_max.binance=100000",
    "strategy.params.order_qty=0.001", "strategy.params.position_max=0.005",
    "risk.position_max=0.006",
)  # fmt: skip


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    """host:port of a local exchange in a process of its own."""
    with exchange_process(SPOTS["binance"], tmp_path, "flow.model=plain", "flow.per_s=300") as served:
        yield served.host


def signed(host: str, path: str, method: str = "GET", **params: object) -> Any:
    """What the exchange itself says of the account."""
    query = "&".join(f"{k}={v}" for k, v in (params | {"timestamp": time.time_ns() // 1_000_000}).items())
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(f"http://{host}{path}?{query}&signature={signature}", method=method)
    request.add_header("X-MBX-APIKEY", KEY)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def command(tmp_path: Path, host: str, *more: str) -> list[str]:
    words = ["live", "--live", "--i-understand", "live", "--out", str(tmp_path / "run"), "--headless"]
    settings = (f"live.venues.binance.websocket=ws://{host}", f"live.venues.binance.rest=http://{host}", *QUOTING)
    words += [
        "--vault", str(tmp_path / "keys" / "vault"), "--password-file", str(tmp_path / "keys" / "password"),
        "--strategy", "fixed_spread",
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


def test_orders_are_cancelled_with_the_engine_dead(tmp_path: Path, exchange: str) -> None:
    """The watchdog cancels a killed session's orders and nobody else's; cancel-all all; `log why` tells."""
    add_key(tmp_path)
    unlock = ("--vault", tmp_path / "keys" / "vault", "--password-file", tmp_path / "keys" / "password")
    by_hand = signed(
        exchange, "/api/v3/order", "POST", symbol="BTCUSDT", side="BUY", type="LIMIT_MAKER", quantity="0.001",
        price="57000.00", newClientOrderId="by-hand",
    )  # fmt: skip
    words = [sys.executable, "-m", "pinnacle.cli", *command(tmp_path, exchange)]
    said, watched = tmp_path / "session.out", tmp_path / "watchdog.out"
    watching_words = [sys.executable, "-m", "pinnacle.cli", "watchdog", str(tmp_path / "run"), "--after", "1.5"]
    with said.open("w") as session_out, watched.open("w") as watchdog_out:
        process = subprocess.Popen(words, stdout=session_out, stderr=session_out)
        watching = subprocess.Popen([*watching_words, *map(str, unlock)], stdout=watchdog_out, stderr=watchdog_out)
    try:
        resting = lambda: signed(exchange, "/api/v3/openOrders", symbol="BTCUSDT")  # noqa: E731
        until(lambda: len(resting()) >= 2, 120, said.read_text)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: re.search("[1-9] cancelled, none is left", watched.read_text()), 120, watched.read_text)
    finally:
        for one in (process, watching):
            one.kill()
            one.wait()
    assert [one["orderId"] for one in resting()] == [by_hand["orderId"]]
    at = ("--websocket", f"ws://{exchange}", "--rest", f"http://{exchange}")
    assert "1 cancelled, none is left" in ran("cancel-all", "binance", "BTCUSDT", *at, *unlock).out
    assert signed(exchange, "/api/v3/openOrders", symbol="BTCUSDT") == []
    order_id = next(int(row["order_id"]) for row in next_all(tmp_path / "run") if row["kind"] == event.PLACE)
    lines = ran("log", "why", tmp_path / "run", str(order_id)).out
    assert " place " in lines and "because of" in lines and "link live" in lines
    assert "no order 999999" in refused(pinnacle("log", "why", tmp_path / "run", "999999"))


def next_all(run: Path) -> list[Any]:
    return [record for part in LogReader(run).records() for record in part]


def test_real_orders_are_refused_without_everything_they_need(tmp_path: Path) -> None:
    """Without the word, a cap, a key, or a venue that takes orders: one sentence, and nothing is sent."""
    words = command(tmp_path, "127.0.0.1:1")
    assert "--i-understand" in refused(pinnacle(*[w for w in words if w != "--i-understand"]))
    uncapped = [w for w in words if not w.startswith("live.notional_max")]
    uncapped = [w for k, w in enumerate(uncapped) if not (w == "--set" and uncapped[k + 1 : k + 2] == ["--set"])]
    assert "live.notional_max.binance" in refused(pinnacle(*uncapped))
    assert "do not depend" in refused(pinnacle(*words, "--set", "live.venues.binance.tier=pro"))
    kraken = ("instruments.0.venue=kraken", "live.notional_max.kraken=100", "live.venues.kraken.tier=gold")
    wrong = refused(pinnacle(*words, *(word for one in kraken for word in ("--set", one))))
    assert "gold" in wrong and "starter, intermediate, pro" in wrong
    assert "vault" in refused(pinnacle(*words))
    assert "gemini" in refused(pinnacle(*words, "--set", "instruments.0.venue=gemini"))

"""What the operator is told, over sockets: of a wrong key, missing funds, a halted market.

Each time the state is safe, the venue's own words and a remedy are said, and trading goes on by itself only where that
is safe.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle import event
from pinnacle.dialects.house import House
from pinnacle.log.reader import LogReader
from pinnacle.run.trouble import HELD, KILLED, Trouble
from pinnacle.venues.private.said import Note
from tests.cli.command import ran
from tests.run.served import Served, served

SECRET = "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE="
CONFIG = """
[strategy]
path = "join_best"
[strategy.params]
order_qty = 0.001
position_max = 0.005
[risk]
position_max = "0.006"
[[instruments]]
venue = "binance"
symbol = "BTCUSDT"
tick = "0.01"
lot = "0.00001"
[live]
disk_free_mb = 0
notional_max = {{ binance = "1000" }}
[live.venues.binance]
websocket = "{ws}"
rest = "{http}"
"""


def lines_of(folder: Path, one: Served, seconds: float, secret: str = SECRET) -> list[dict[str, Any]]:
    """What a session of real orders says in so many seconds."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    given = {"password": "a password of the test", "fields": json.dumps(
        {"api_key": "pinnacle-demo-key", "secret": secret, "passphrase": ""}
    )}  # fmt: skip
    for name, text in given.items():
        (keys / name).touch(mode=0o600)
        (keys / name).write_text(text)
    unlock = ("--vault", keys / "vault", "--password-file", keys / "password")
    ran("keys", "add", "binance", "--permissions", "trade", "--fields", keys / "fields", *unlock)
    (folder / "config.toml").write_text(CONFIG.format(ws=one.ws, http=one.http))
    said = ran(
        "live", "--live", "--i-understand", folder / "config.toml", "--out", folder / "run", "--headless",
        "--for", str(seconds), *unlock,
    )  # fmt: skip
    assert ran("replay", folder / "run").out.startswith("equal: ")
    return [json.loads(line) for line in said.out.splitlines()]


def found(lines: list[dict[str, Any]], what: str, **fields: str) -> list[dict[str, Any]]:
    return [one for one in lines if one["what"] == what and all(one.get(k) == v for k, v in fields.items())]


def once_said(folder: Path, text: str, one: Served, call: Callable[[House], None]) -> threading.Thread:
    """Something happens at the exchange once the session has said a text."""

    def wait() -> None:
        said, deadline = folder / "run" / "session.jsonl", time.monotonic() + 120
        while not said.exists() or text not in said.read_text():
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        one.call(call, one.desk.dialect.house)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_missing_funds_are_said_and_trading_waits(tmp_path: Path) -> None:
    """An account without money: refused by the venue, its words and the remedy said, no fill; a deposit ends it."""
    with served("binance", ("flow.model=plain", "flow.per_s=200")) as one:
        held = one.desk.dialect.house.accounts[0].balances
        before = {asset: balance.total_units for asset, balance in held.items()}
        for balance in held.values():
            balance.total_units = 0

        def deposit(house: House) -> None:
            for asset, units in before.items():
                house.accounts[0].balances[asset].total_units = units

        waits = once_said(tmp_path, '"why": "funds"', one, deposit)
        lines = lines_of(tmp_path, one, 12)
        waits.join(1)
    assert found(lines, "venue says", about="refused")
    (waiting, *_) = found(lines, "waiting", why="funds")
    assert "deposit" in waiting["remedy"] and not found(lines, "killed", why="mistake")
    kinds = np.concatenate(list(LogReader(tmp_path / "run").records()))["kind"].tolist()
    assert kinds.index(event.ORDER_REJECTED) < kinds.index(event.ORDER_ACKNOWLEDGED)


def test_a_halted_market_is_waited_for(tmp_path: Path) -> None:
    """The venue halts: said with the remedy; it opens: orders are taken again, and nobody had to do anything."""
    with served("binance", ("flow.model=plain", "flow.per_s=200")) as one:
        one.call(one.desk.dialect.house.set_state, 0, event.STATE_HALTED)
        waits = once_said(tmp_path, '"why": "halted"', one, lambda house: house.set_state(0, event.STATE_OPEN))
        lines = lines_of(tmp_path, one, 12)
        waits.join(1)
    assert found(lines, "waiting", why="halted") and found(lines, "trading")
    kinds = np.concatenate(list(LogReader(tmp_path / "run").records()))["kind"].tolist()
    assert kinds.index(event.ORDER_REJECTED) < kinds.index(event.ORDER_ACKNOWLEDGED)


def test_a_wrong_key_stops_trading_and_says_so(tmp_path: Path) -> None:
    """The venue's words about the key, the kill with its remedy, and not one order."""
    with served("binance", ("flow.model=plain", "flow.per_s=200")) as one:
        lines = lines_of(tmp_path, one, 4, secret="d3Jvbmc=")
    said = found(lines, "venue says", about="permission")
    assert said and "ignature" in said[0]["text"]
    (killed,) = found(lines, "killed", why="refused")
    assert "keys test" in killed["remedy"] and "new folder" in killed["then"]
    assert lines[-1]["instruments"][0]["fills"] == 0 and not found(lines, "trading")


def test_every_stop_has_words() -> None:
    """Each reason to stop or wait says what to do, once; what waited and goes on is said too."""
    for reason in KILLED:
        said: list[tuple[str, dict[str, Any]]] = []
        trouble = Trouble(lambda what, said=said, **fields: said.append((what, fields)))  # type: ignore[misc]
        for _ in range(3):
            trouble.standing(True, reason, [])
        assert [what for what, _ in said] == ["killed"] and len(said[0][1]["remedy"]) > 20
    said = []
    trouble = Trouble(lambda what, **fields: said.append((what, fields)))
    for holds in ([], [event.HOLD_LINK], [event.HOLD_LINK], sorted(HELD), [event.HOLD_RATE], [], []):
        trouble.standing(False, 0, holds)
    assert [what for what, _ in said] == ["waiting"] * len(HELD) + ["trading"]


def test_a_venue_that_refuses_everything_does_not_fill_the_disk() -> None:
    """A thousand refusals in a minute are a few lines, and another kind is still heard; the next minute says again."""
    said: list[dict[str, Any]] = []
    trouble = Trouble(lambda what, **fields: said.append(fields))
    for k in range(1000):
        trouble.note("kraken", Note("refused", f"no {k}"), k * 50_000_000)
    trouble.note("kraken", Note("bust", "trade 7"), 0)
    trouble.note("kraken", Note("accepted", "order 8"), 0)
    assert [one["about"] for one in said] == ["refused"] * 5 + ["bust"] and "more" in said[4]
    trouble.note("kraken", Note("refused", "again"), 61_000_000_000)
    assert said[-1]["text"] == "again"

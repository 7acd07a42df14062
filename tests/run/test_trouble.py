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
import pytest

from pinnacle import event
from pinnacle.dialects.house import House
from pinnacle.errors import DiskError
from pinnacle.execution.desk import Desk
from pinnacle.execution.safety import Safety
from pinnacle.log.manifest import read_manifest
from pinnacle.log.reader import LogReader
from pinnacle.run import session
from pinnacle.run.real_orders import RealOrders
from pinnacle.run.trouble import HELD, KILLED, Trouble
from pinnacle.venues.private.said import Note
from tests.cli.command import Said, pinnacle, ran
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


def session_of(folder: Path, one: Served, seconds: float, secret: str = SECRET) -> Said:
    """A session of real orders that lasts so many seconds."""
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
    return pinnacle(
        "live", "--live", "--i-understand", folder / "config.toml", "--out", folder / "run", "--headless",
        "--for", str(seconds), *unlock,
    )  # fmt: skip


def lines_of(folder: Path, one: Served, seconds: float, secret: str = SECRET) -> list[dict[str, Any]]:
    """What a session of real orders says that comes to a good end."""
    said = session_of(folder, one, seconds, secret)
    assert said.code == 0, said.err + said.out
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


@pytest.mark.parametrize("full", [False, True])
def test_orders_whose_end_is_not_heard_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    """The venue cancels nothing, with or without a disk that is full when the quotes are pulled: who started the
    session is told that orders may rest, and no exit code, manifest or watchdog takes it for a good end."""
    for name in ("STOP_S_MAX", "REAL_STOP_S_MAX"):
        monkeypatch.setattr(session, name, 0.5)
    monkeypatch.setattr(Desk, "_cancel", lambda *_: None)
    if full:
        operator = RealOrders.operator

        def fills_up(ear: RealOrders, kind: int, now_ns: int) -> None:
            operator(ear, kind, now_ns)
            ear.trader._fail(DiskError("the disk is full"), now_ns)

        monkeypatch.setattr(RealOrders, "operator", fills_up)
    with served("binance", ("flow.model=plain", "flow.per_s=200")) as one:
        said = session_of(tmp_path, one, 5)
        assert len(one.desk.dialect.house.open_orders(1)) > 0
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert found(lines, "orders may rest") and "cancel-all" in said.err
    assert said.code not in (0, None) and ("disk is full" in said.err) == full
    assert read_manifest(tmp_path / "run").status == "interrupted"


def test_a_session_that_was_stopped_for_good_does_not_say_that_it_flattens() -> None:
    """Told to flatten or to resume after a kill, it would do nothing: it says so, and what does it."""
    ear = RealOrders.__new__(RealOrders)
    ear.safety = Safety()
    ear.safety.kill(event.KILL_LOSS, 1)
    one = session.Session.__new__(session.Session)
    one.mode, one.strategy, one.ear = "live", True, ear  # type: ignore[assignment]
    for word in ("flatten", "resume"):
        assert "pinnacle live stop" in one._answer({"do": word})["error"]

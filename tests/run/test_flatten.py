"""`pinnacle flatten` against the local exchange over sockets: what is held is taken off, by the exchange's books."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.config_live import VenueAddress
from pinnacle.errors import OperatorError
from pinnacle.execution.desk import Desk
from pinnacle.limits import FLATTEN_S
from pinnacle.log.manifest import read_manifest
from pinnacle.log.reader import LogReader
from pinnacle.run.cancel_all import Place
from pinnacle.run.flatten import moved, patience_s
from pinnacle.run.flatten_position import limit_ticks, only_one
from pinnacle.run.real_orders import Account
from pinnacle.run.serve import Client
from pinnacle.venues.binance import ADDRESS
from tests.cli.command import ROOT, command, edit_manifest, pinnacle, ran, refused
from tests.run.served import Served, served

KEY, SECRET, PASSPHRASE = "pinnacle-demo-key", "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE=", "pinnacle-demo"
OURS, OTHER = 1, 2  # accounts of the exchange
BID, ASK, DEEP = 5_999_000, 6_001_000, 5_998_000  # ticks of 0.01
SYMBOLS = {"binance": "BTCUSDT", "bitstamp": "btcusd", "coinbase": "BTC-USD"}
WAIT_S = 120.0
RAISING = '\n    if own["position_lots"] != 0:\n        raise ValueError("as a strategy may")'


class House:
    """The exchange's books, and the other account's orders: called in the exchange's own thread."""

    def __init__(self, exchange: Served) -> None:
        self._call, self._house = exchange.call, exchange.desk.dialect.house
        self.at = ("--websocket", exchange.ws, "--rest", exchange.http)

    def place(self, side: int, lots: int, price_ticks: int, account: int = OTHER, flags: int = 0) -> Any:
        return self._call(lambda: self._house.place(account, 0, side, lots, price_ticks, flags))

    def cancel(self, order: Any) -> None:
        self._call(self._house.cancel, order)

    def open(self, account: int = OURS) -> list[Any]:
        return list(self._call(self._house.open_orders, account))

    def fills(self) -> list[Any]:
        return list(self._call(self._house.fills, OURS))

    def net_lots(self) -> int:
        """Bought less sold."""
        return sum(fill.side * fill.qty_lots for fill in self.fills())


@contextmanager
def quiet(dialect: str = "binance", faults: Sequence[str] = ()) -> Iterator[House]:
    """An exchange where nobody trades but whom the test lets."""
    with served(dialect, ["flow.model=none"], faults=faults) as exchange:
        yield House(exchange)


@pytest.fixture
def unlock(tmp_path: Path) -> Callable[..., list[str]]:
    """Makes a vault with the key of a venue; the options that open it."""

    def make(venue: str) -> list[str]:
        folder = tmp_path / "keys"
        folder.mkdir(mode=0o700)
        fields = {"api_key": KEY, "secret": SECRET, "passphrase": PASSPHRASE if venue == "coinbase" else ""}
        for name, text in (("password", "a password of the test"), ("fields", json.dumps(fields))):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text)
        options = ["--vault", str(folder / "vault"), "--password-file", str(folder / "password")]
        ran("keys", "add", venue, "--permissions", "trade", "--fields", folder / "fields", *options)
        return options

    return make


def until(what: Callable[[], Any], why: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


# --- by the log -------------------------------------------------------------------------------------------------------
def records_of(run: Path) -> np.ndarray:
    return np.concatenate(list(LogReader(run).records()))


@pytest.mark.parametrize("end", ["killed", "torn", "stopped", "raised"])
def test_a_dead_session_is_flattened_in_its_own_log(tmp_path: Path, unlock: Any, end: str) -> None:
    """However a session died holding something: it is flat by the exchange's books, nothing of it rests, what others
    have is untouched, and the one log replays; its strategy's file is not needed."""
    options, run, strategy = unlock("binance"), tmp_path / "run", tmp_path / "joining.py"
    source = (ROOT / "strategies" / "join_best.py").read_text()
    if end == "raised":
        own = 'top, own = market["top"][me], lane["own"][me]'
        assert source.count(own) == 1
        source = source.replace(own, own + RAISING)
    strategy.write_text(source)
    with quiet() as house:
        best = house.place(e.BUY, 50_000, BID)
        house.place(e.BUY, 50_000, DEEP)
        house.place(e.SELL, 50_000, ASK)
        words = ["live", "--live", "--i-understand", "live", "--out", str(run), "--headless", *options]
        words += ["--strategy", str(strategy)]
        fsync = "never" if end == "torn" else "batch"
        for setting in (
            f"live.fsync={fsync}",
            f"live.venues.binance.websocket={house.at[1]}", f"live.venues.binance.rest={house.at[3]}",
            "live.notional_max.binance=1000", "strategy.params.order_qty=0.001", "strategy.params.position_max=0.005",
        ):  # fmt: skip
            words += ["--set", setting]
        output = tmp_path / "output"
        with output.open("w") as sink:
            session = subprocess.Popen(command(*words), stdout=sink, stderr=sink)
        try:
            until(lambda: len(house.open()) == 2, output.read_text)
            assert "pinnacle live flatten" in refused(pinnacle("flatten", run, "--i-understand", *options))
            house.cancel(best)
            house.place(e.SELL, 100, BID, flags=e.IOC)
            assert house.net_lots() == 100
            if end == "raised":
                session.wait(WAIT_S)
            else:
                until(lambda: len(house.open()) == 2, output.read_text)
                session.send_signal(signal.SIGHUP if end == "stopped" else signal.SIGKILL)
                session.wait(WAIT_S)
        finally:
            session.kill()
            session.wait()
        resting = 2 if end in ("killed", "torn") else 0
        assert len(house.open()) == resting and house.net_lots() == 100, output.read_text()
        assert read_manifest(run).status == {"stopped": "complete", "raised": "failed"}.get(end, "running")
        if end == "killed":
            damaged(run, tmp_path / "damaged", options)
        elif end == "torn":
            torn(run)
        strategy.write_text("raise RuntimeError('this is why it died')")
        others = house.open(OTHER)
        if end == "torn":
            # The venue tells of those fills no more than its own number of the order: they cannot be told from others'.
            said = pinnacle("flatten", run, "--i-understand", *options)
            assert said.code == 4 and "fills of orders that it does not know" in said.err and house.open() == []
            words = ["flatten", "binance", "BTCUSDT", "--i-understand", *house.at, *options, "--position", "0.001"]
            assert "sold 0.00100 BTCUSDT for 59.98 USDT" in ran(*words).out and house.net_lots() == 0
            return
        said = ran("flatten", run, "--i-understand", *options)
        assert "sold 0.00100 BTCUSDT for 59.98 USDT in 1 fill" in said.out and "flat " in said.out
        assert house.net_lots() == 0 and house.open() == [] and house.open(OTHER) == others
        assert ran("replay", run).out.startswith("equal: ")
        assert ran("log", "verify", run).code == 0
        records = records_of(run)
        said_last = np.flatnonzero(
            (records["kind"] == e.OPERATOR_FLATTEN) & (records["flags"] >> e.REASON_SHIFT & 15 == 0)
        )[-1]
        placed = records[said_last:][records[said_last:]["kind"] == e.PLACE]
        assert placed.size and (placed["flags"] == e.IOC | e.REDUCE).all() and (placed["side"] == e.SELL).all()
        ids = records["aux"][records["kind"] == e.FILL_ID].tolist()
        assert sorted(ids) == sorted(fill.id for fill in house.fills()) and len(set(ids)) == len(ids)

        strategy.write_text(source)
        if end == "stopped":
            assert "was stopped" in refused(pinnacle(*words))
            return
        last = json.loads(ran(*words, "--for", "2").out.splitlines()[-1])
        assert Decimal(last["instruments"][0]["position"]) == 0 and last["instruments"][0]["fills"] == 2
        assert house.net_lots() == 0 and house.open() == []
        assert ran("replay", run).out.startswith("equal: ")
        edit_manifest(run, mode="paper")
        assert "no real orders" in refused(pinnacle("flatten", run, "--i-understand", *options))


def torn(run: Path) -> None:
    """What a power cut leaves of a log that was not forced to the disk: its first half, before anything was filled."""
    (journal,) = (run / "log").glob("*.journal")
    data = journal.read_bytes()
    kept = len(data.rstrip(b"\0")) // 3
    journal.write_bytes(data[:kept] + bytes(len(data) - kept))


def damaged(run: Path, copy: Path, options: list[str]) -> None:
    """A copy of a session with a flipped byte is refused, with what to do instead, and left as it is."""
    shutil.copytree(run, copy, ignore=lambda _, names: [name for name in names if name.endswith(".sock")])
    (journal,) = (copy / "log").glob("*.journal")
    data = bytearray(journal.read_bytes())
    data[len(bytes(data).rstrip(b"\0")) // 2] ^= 1
    journal.write_bytes(data)
    said = refused(pinnacle("flatten", copy, "--i-understand", *options))
    assert "pinnacle flatten binance BTCUSDT --position QTY" in said and journal.read_bytes() == bytes(data)


def test_a_session_that_cannot_be_reached_is_left_as_it_was(tmp_path: Path) -> None:
    """What is wrong before anything is sent: one sentence, and no trace in the folder."""
    assert "--i-understand" in refused(pinnacle("flatten", tmp_path))
    assert "manifest.json" in refused(pinnacle("flatten", tmp_path, "--i-understand"))
    assert "--position" in refused(pinnacle("flatten", "binance", "--i-understand"))
    assert "leave the rest out" in refused(pinnacle("flatten", tmp_path, "BTCUSDT", "--i-understand"))
    assert "--for" in refused(pinnacle("flatten", tmp_path, "--i-understand", "--for", "0"))
    assert os.listdir(tmp_path) == []


# --- by what a person says --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("venue", "sign"), [("binance", 1), ("bitstamp", -1), ("coinbase", 1)])
def test_a_position_is_taken_off_without_a_log(unlock: Any, venue: str, sign: int) -> None:
    """Every order of the account on the symbol is cancelled, QTY is traded to the lot, within the price that is
    allowed, and what the book does not take is left, and said."""
    options, symbol, side = unlock(venue), SYMBOLS[venue], -sign
    with quiet(venue) as house:
        near, far = (BID, DEEP) if sign > 0 else (ASK, ASK + 1_000)
        house.place(sign, 300, near)
        house.place(sign, 400, far)
        others = house.place(side, 100, (ASK if side == e.SELL else BID) + side * -50_000)
        house.place(e.SELL, 100, ASK + 50_000, account=OURS)
        house.place(e.BUY, 100, DEEP - 50_000, account=OURS)
        words = ["flatten", venue, symbol, "--i-understand", *house.at, *options]
        said = ran(*words, "--position", f"{sign * 0.005:f}")
        assert house.net_lots() == side * 500 and house.open() == []
        assert "cancelled 2 orders" in said.out and f"{'sold' if sign > 0 else 'bought'} 0.00500 {symbol}" in said.out
        assert said.out.count("fill ") == len(house.fills()) == 2

        more = pinnacle(*words, "--position", f"{sign * 0.01:f}", "--for", "3")
        left = f"{sign * 0.008:.5f}"
        assert more.code == 4 and f"{left} of {sign * 0.01:f} {symbol} is left" in more.err and "Trace" not in more.err
        assert house.net_lots() == side * 700 and house.open() == [] and house.open(OTHER) == [others]


def test_no_unknown_outcome_makes_it_trade_more_than_it_was_told(unlock: Any, monkeypatch: Any) -> None:
    """An order that never arrives and one whose answer and fills are never told: each is asked about before another one
    is sent, and what is sold in the end is QTY, as it says."""
    options, places = unlock("binance"), []
    receive = Client.received

    def received(self: Client, message: bytes) -> None:
        if b"order.place" not in message:
            receive(self, message)
            return
        places.append(json.loads(message)["params"]["quantity"])
        if len(places) == 1:
            return
        if len(places) == 2:
            self._desk.faults.ask("lost_ack")
        receive(self, message)

    monkeypatch.setattr(Client, "received", received)
    with quiet() as house:
        house.place(e.BUY, 1_200, BID)
        house.place(e.BUY, 5_000, DEEP)
        words = ["flatten", "binance", "BTCUSDT", "--i-understand", *house.at, *options]
        said = ran(*words, "--position", "0.02", "--for", "60")
        assert house.net_lots() == -2_000 and house.open() == []
        assert places == ["0.02000", "0.02000"] and "sold 0.02000 BTCUSDT" in said.out


def test_what_cannot_be_begun_is_refused_and_nothing_is_sent(unlock: Any) -> None:
    """A wrong venue, symbol, quantity, key or address: one sentence, and the account's orders still rest."""
    options = unlock("binance")
    with quiet() as house:
        order = house.place(e.BUY, 100, DEEP, account=OURS)

        def said(*words: str, at: Sequence[str] = house.at, where: Sequence[str] = ("binance", "BTCUSDT")) -> str:
            return refused(pinnacle("flatten", *where, "--i-understand", *at, *options, *words))

        assert "multiple of the lot" in said("--position", "0.0000001")
        assert "must be a number" in said("--position", "some")
        assert "nothing is held" in said("--position", "0")
        assert "--through-bps" in said("--position", "1", "--through-bps", "-1")
        assert "NOPE" in said("--position", "1", where=("binance", "NOPE"))
        assert "nowhere" in said("--position", "1", where=("nowhere", "BTCUSDT"))
        assert "cannot be reached" in said("--position", "1", at=("--rest", "http://127.0.0.1:1"))
        assert "no key binance/spare" in said("--position", "1", "--key", "spare")
        assert house.open() == [order] and house.net_lots() == 0


@pytest.mark.parametrize("life_s", [5, 150])
def test_an_order_that_may_still_arrive_is_waited_for(life_s: int) -> None:
    """With an order of unknown fate it tries for longer than the venue may still take it, unless it was told how long;
    with none, no longer than it says."""
    gateway = SimpleNamespace(capabilities=SimpleNamespace(order_life_ns=life_s * 10**9))
    doubted, known = (cast(Desk, SimpleNamespace(gateway=gateway, orders=orders)) for orders in ({1: None}, {}))
    assert life_s + 10 < patience_s(None, [known, doubted]) < life_s + 2 * FLATTEN_S
    assert patience_s(FLATTEN_S, [doubted]) == FLATTEN_S and patience_s(None, [known]) == FLATTEN_S


def test_two_at_once_do_not_trade_twice() -> None:
    """Whoever begins while another takes off the same position of the same account is refused; of another symbol not,
    and not when the first has ended."""
    account = Account("a-key", b"")
    one, other = (Place("binance", (symbol,), ADDRESS, ADDRESS, account) for symbol in ("BTCUSDT", "ETHUSDT"))
    with only_one(one), only_one(other), pytest.raises(OperatorError, match="nothing was sent"), only_one(one):
        raise AssertionError("both would sell")
    with only_one(one):
        pass


@given(
    st.integers(1, 1 << 40), st.sampled_from((e.BUY, e.SELL)), st.decimals(0, 9_999, places=3, allow_nan=False)
)  # fmt: skip
def test_a_limit_is_never_further_through_than_allowed(best_ticks: int, side: int, through_bps: Decimal) -> None:
    """The worst price taken is within through_bps of the best, and the tick before it would not be."""
    limit, far = limit_ticks(best_ticks, side, through_bps), best_ticks * through_bps / 10_000
    assert side * (limit - best_ticks) <= far and limit > 0
    assert side * (limit + side - best_ticks) > far or limit in (1, (1 << 40) - 1)


def test_another_address_leaves_the_accounts_tier() -> None:
    """Where a venue is now is said, or stays as it was; what its limits go by stays."""
    was = VenueAddress("wss://a", "https://a", "pro")
    assert moved(was, "", "") == was
    assert moved(was, "wss://b", "") == VenueAddress("wss://b", "https://a", "pro")
    assert moved(was, "", "https://b") == VenueAddress("wss://a", "https://b", "pro")

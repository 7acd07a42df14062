"""The local exchange over real sockets: foreign clients, every fault, and clients that harm only themselves."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from pinnacle.errors import OperatorError
from pinnacle.event import STATE_HALTED
from pinnacle.run.local_exchange import prepare_exchange
from pinnacle.transport.faults import KINDS
from tests.run.served import Served, served

FLOW = ("flow.model=plain", "flow.per_s=300", "flow.resting=300")


@pytest.fixture(scope="module")
def exchange() -> Iterator[Served]:
    with served() as one:
        yield one


def get(one: Served, target: str) -> Any:
    with urllib.request.urlopen(one.http + target, timeout=10) as answer:
        return json.loads(answer.read())


def fault(one: Served, kind: str, count: int = 1) -> None:
    """Ask for a fault as a test of somebody else would."""
    body = json.dumps({"kind": kind, "count": count}).encode()
    with urllib.request.urlopen(urllib.request.Request(one.http + "/pinnacle/fault", body), timeout=10) as answer:
        assert answer.status == 200


def hear(client: ClientConnection, count: int) -> list[Any]:
    return [json.loads(client.recv(timeout=10)) for _ in range(count)]


def follow(one: Served, seconds: float) -> tuple[int, int, bool]:
    """(diffs applied, gaps, whether the book equals the venue's) of a client that keeps a book for so long, until the
    market is halted."""
    applied = gaps = 0
    with connect(f"{one.ws}/ws/btcusdt@depth@100ms", max_queue=None) as client:
        waiting = hear(client, 1)
        snapshot = get(one, "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        book = {side: {Decimal(p): Decimal(q) for p, q in snapshot[side]} for side in ("bids", "asks")}
        at, end = snapshot["lastUpdateId"], time.monotonic() + seconds
        halted = False
        while True:
            for said in waiting:
                if said["u"] <= at:
                    continue
                gaps += said["U"] > at + 1
                for side, rows in (("bids", said["b"]), ("asks", said["a"])):
                    for price, qty in rows:
                        book[side][Decimal(price)] = Decimal(qty)
                        if not Decimal(qty):
                            del book[side][Decimal(price)]
                at = said["u"]
                applied += 1
            if time.monotonic() > end and not halted:
                one.call(one.desk.dialect.house.set_state, 0, STATE_HALTED)
                halted = True
            try:
                waiting = [json.loads(client.recv(timeout=0.5 if halted else 10))]
            except TimeoutError:
                break
        fresh = get(one, "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        here = {side: {Decimal(p): Decimal(q) for p, q in fresh[side]} for side in ("bids", "asks")}
    return applied, gaps, book == here


# --- clients ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "flow",
    [("flow.model=plain", "flow.per_s=20", "flow.resting=300"), ("flow.rate_factor=0.02",)],
    ids=["plain", "fitted"],
)
def test_a_raw_client_keeps_the_houses_book(flow: tuple[str, ...]) -> None:
    """Snapshot and diffs over real sockets give the house's own book, with no gap."""
    with served(settings=flow) as one:
        applied, gaps, equal = follow(one, 1.0)
    assert applied >= 5 and gaps == 0 and equal


@pytest.mark.peer
def test_ccxt_trades(exchange: Served) -> None:
    """ccxt loads markets, sees book, trades, tickers and bars, places, sees, amends and cancels orders."""
    ccxt = pytest.importorskip("ccxt")
    client = ccxt.binance(
        {
            "apiKey": "pinnacle-demo-key",
            "secret": "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE=",
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False},
        }
    )
    for name in ("public", "private"):
        client.urls["api"][name] = exchange.http + "/api/v3"
    market = client.load_markets()["BTC/USDT"]
    assert (market["precision"]["price"], market["limits"]["cost"]["min"]) == (0.01, 5.0)
    assert market["precision"]["amount"] == 0.00001
    book = client.fetch_order_book("BTC/USDT", 20)
    assert len(book["bids"]) == 20 and book["bids"][0][0] < book["asks"][0][0]
    assert client.fetch_ticker("BTC/USDT")["bid"] > 50_000
    assert client.fetch_trades("BTC/USDT") and client.fetch_ohlcv("BTC/USDT", "1m")
    before = client.fetch_balance()["USDT"]
    placed = client.create_order("BTC/USDT", "limit", "buy", 0.01, 58_000, {"postOnly": True})
    assert [one["id"] for one in client.fetch_open_orders("BTC/USDT")] == [placed["id"]]
    assert client.fetch_order(placed["id"], "BTC/USDT")["status"] == "open"
    assert client.fetch_balance()["USDT"]["used"] == before["used"] + 580
    edited = client.edit_order(placed["id"], "BTC/USDT", "limit", "buy", 0.02, 57_000)
    assert client.fetch_order(placed["id"], "BTC/USDT")["status"] == "canceled"
    client.cancel_order(edited["id"], "BTC/USDT")
    bought = client.create_order("BTC/USDT", "market", "buy", 0.01)
    assert bought["status"] == "closed" and bought["fee"]["currency"] == "BTC"
    assert client.fetch_my_trades("BTC/USDT")[-1]["order"] == bought["id"]
    client.create_order("BTC/USDT", "limit", "sell", 0.01, 64_000)
    client.cancel_all_orders("BTC/USDT")
    assert client.fetch_open_orders("BTC/USDT") == []
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order("BTC/USDT", "limit", "sell", 50, 60_000)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        client.create_order("BTC/USDT", "limit", "buy", 0.01, 64_000, {"postOnly": True})
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("1", "BTC/USDT")
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_balance()


# --- faults -------------------------------------------------------------------------------------------------------
def trades(one: Served) -> ClientConnection:
    return connect(f"{one.ws}/ws/btcusdt@bookTicker")


def test_every_message_fault_does_what_it_says(exchange: Served) -> None:
    """drop loses one, duplicate doubles one, reorder swaps two, delay holds all back, disconnect ends, silence goes
    on without a word: seen in the ids of a stream that otherwise rise."""
    with trades(exchange) as client:
        hear(client, 5)
        ids = [one["u"] for one in hear(client, 20)]
        assert ids == sorted(set(ids))
        fault(exchange, "duplicate")
        ids = [one["u"] for one in hear(client, 60)]
        assert len(set(ids)) == len(ids) - 1 and ids == sorted(ids)
        fault(exchange, "reorder")
        ids = [one["u"] for one in hear(client, 60)]
        assert ids != sorted(ids) and len(set(ids)) == len(ids)
        fault(exchange, "delay")
        waits = []
        for _ in range(60):
            before = time.monotonic()
            hear(client, 1)
            waits.append(time.monotonic() - before)
        assert max(waits) > 0.15
        fault(exchange, "disconnect")
        with pytest.raises(ConnectionClosed):
            hear(client, 10_000)
    with trades(exchange) as client:
        hear(client, 3)
        fault(exchange, "silence")
        with pytest.raises(TimeoutError):
            for _ in range(10_000):
                client.recv(timeout=0.5)
        pong = client.ping()
        assert not pong.wait(0.3)
    counts = get(exchange, "/pinnacle/fault")["counts"]
    assert all(counts[kind] == 1 for kind in ("duplicate", "reorder", "delay", "disconnect", "silence"))
    assert sum("fault silence at /ws/btcusdt@bookTicker" in line for line in exchange.lines) == 1


def test_a_dropped_message_is_missing_and_a_gap_is_seen() -> None:
    """After a dropped or skipped diff the book's ids do not join, and without they do."""
    for kind in ("drop", "gap"):
        with served(settings=FLOW) as one, connect(f"{one.ws}/ws/btcusdt@depth@100ms") as client:
            said = hear(client, 2)
            fault(one, kind)
            # What was on its way already comes first.
            while len(said) < 100 and said[-1]["U"] == said[-2]["u"] + 1:
                said += hear(client, 1)
            said += hear(client, 3)
        joins = [two["U"] == one_["u"] + 1 for one_, two in itertools.pairwise(said)]
        assert joins.count(False) == 1


def test_request_faults(exchange: Served) -> None:
    """429 and 503 answer once and do nothing; a lost acknowledgement hangs up after the order was taken."""
    for kind, status in (("http_429", 429), ("http_5xx", 503)):
        fault(exchange, kind)
        with pytest.raises(urllib.error.HTTPError) as found:
            get(exchange, "/api/v3/time")
        assert found.value.code == status
        get(exchange, "/api/v3/time")
    house = exchange.desk.dialect.house
    before = len(house.open_orders(2))
    fault(exchange, "lost_ack")
    with pytest.raises((urllib.error.URLError, ConnectionError, socket.timeout)):
        post_order(exchange, "pinnacle-other-key", "cGlubmFjbGUtZGVtby1zZWNyZXQtMDI=")
    assert exchange.call(lambda: len(house.open_orders(2))) == before + 1


def test_a_lost_acknowledgement_on_the_websocket_api(exchange: Served) -> None:
    """The order is at the venue and its answer never comes; the next request is answered as if nothing was."""
    house = exchange.desk.dialect.house
    with connect(exchange.ws + "/ws-api/v3") as client:
        params: dict[str, Any] = {
            "symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1",
            "price": "2500", "apiKey": "pinnacle-other-key", "timestamp": time.time_ns() // 10**6,
        }  # fmt: skip
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hmac.new(b"cGlubmFjbGUtZGVtby1zZWNyZXQtMDI=", text.encode(), hashlib.sha256).hexdigest()
        fault(exchange, "lost_ack")
        client.send(json.dumps({"id": 1, "method": "order.place", "params": params}))
        client.send(json.dumps({"id": 2, "method": "time"}))
        assert hear(client, 1)[0]["id"] == 2
    assert len(exchange.call(lambda: house.open_orders(2, house.instrument_of("ETHUSDT")))) == 1


def post_order(one: Served, key: str, secret: str) -> Any:
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=57000.00"
    query += f"&timestamp={time.time_ns() // 10**6}"
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    target = f"{one.http}/api/v3/order?{query}&signature={signature}"
    request = urllib.request.Request(target, b"", {"X-MBX-APIKEY": key}, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def test_clock_skew_moves_the_venues_clock_and_its_judgement() -> None:
    """With the clock ten seconds ahead the venue says so, and refuses a true timestamp as too old."""
    with served(settings=FLOW, faults=("clock_skew=10000",)) as one:
        ahead_ms = get(one, "/api/v3/time")["serverTime"] - time.time_ns() // 10**6
        assert 9_000 < ahead_ms < 11_000
        with pytest.raises(urllib.error.HTTPError) as found:
            post_order(one, "pinnacle-demo-key", "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE=")
        assert json.loads(found.value.read())["code"] == -1021


# --- who harms only himself ---------------------------------------------------------------------------------------
def test_a_client_that_does_not_read_is_cut_and_others_do_not_notice() -> None:
    """Its buffer stays below the bound, it is cut, and another client's ids have no hole meanwhile."""
    bound = 1 << 18
    with served(
        settings=("flow.model=plain", "flow.per_s=8000", "flow.resting=500"), send_buffer_bytes_max=bound
    ) as one:
        streams = "/".join(f"btcusdt@{name}" for name in ("bookTicker", "trade", "aggTrade"))
        lazy = socket.create_connection(("127.0.0.1", one.port))
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.sendall(
            f"GET /stream?streams={streams} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        with connect(f"{one.ws}/ws/btcusdt@trade", max_queue=None) as client:
            ids, most, end = [], 0, time.monotonic() + 20
            while one.server.slow_readers == 0 and time.monotonic() < end:
                ids += [said["t"] for said in hear(client, 50)]
                waiting = one.call(lambda: [c.wire.waiting_bytes for c in one.desk.clients.values()])
                most = max(most, *waiting)
            ids += [said["t"] for said in hear(client, 200)]
        lazy.close()
        assert one.server.slow_readers == 1 and most <= bound
        assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_large_frames_bodies_and_malformed_input_end_only_their_own_connection(exchange: Served) -> None:
    """A message above the limit closes with 1009, a body gets 413, no HTTP gets 400, and the venue serves on."""
    with trades(exchange) as calm:
        with connect(exchange.ws + "/ws-api/v3", max_size=None) as large:
            large.send("x" * ((1 << 20) + 1))
            with pytest.raises(ConnectionClosed) as found:
                while True:
                    large.recv(timeout=10)
            assert found.value.rcvd is not None and found.value.rcvd.code == 1009
        with pytest.raises((urllib.error.URLError, ConnectionError)) as refused:
            request = urllib.request.Request(exchange.http + "/api/v3/order", b"x" * ((1 << 20) + 10), method="POST")
            urllib.request.urlopen(request, timeout=10)
        if isinstance(refused.value, urllib.error.HTTPError):
            assert refused.value.code == 413
        with socket.create_connection(("127.0.0.1", exchange.port)) as raw:
            raw.sendall(b"\x00\xff nonsense\r\n\r\n")
            assert b" 400 " in raw.recv(100)
        with connect(exchange.ws + "/ws-api/v3") as wrong:
            wrong.send("{not json")
            assert json.loads(wrong.recv(timeout=10))["error"]["code"] == -1135
        hear(calm, 20)
    assert get(exchange, "/api/v3/ping") == {}


def test_one_client_too_many_is_hung_up_on() -> None:
    """Beyond the most clients a connection is refused at once, and when one has gone another may come."""
    with served(settings=FLOW, clients_max=3) as one, ExitStack() as held:
        first = held.enter_context(connect(f"{one.ws}/ws"))
        for _ in range(2):
            held.enter_context(connect(f"{one.ws}/ws"))
        with pytest.raises((OSError, WebSocketException)), connect(f"{one.ws}/ws", open_timeout=5):
            pass
        assert one.server.refused == 1
        first.close()
        end = time.monotonic() + 10
        while one.server.clients == 3 and time.monotonic() < end:
            time.sleep(0.01)
        with connect(f"{one.ws}/ws") as another:
            another.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
            assert hear(another, 1) == [{"result": [], "id": 1}]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dialect": "binanse"}, "did you mean binance"),
        ({"symbols": ("XYZ",)}, "has no such symbol; it has BTCUSDT, ETHUSDT"),
        ({"listen": "nowhere"}, "must be HOST:PORT"),
        ({"faults": ("drop",)}, "KIND=RATE"),
        ({"faults": ("drop=2",)}, "share from 0 to 1"),
        ({"faults": ("explode=1",)}, "there are drop"),
        ({"settings": ("flow.nothing=1",)}, "nothing"),
        ({"settings": ("symbols.0.qty_max=1000000000",)}, "too much money"),
        ({"settings": ("symbols.0.price=60000.001",)}, "multiple of the tick"),
        ({"tapes": (Path("/nowhere.raw"),)}, "no such tape"),
        ({"speed": 2.0}, "--tape"),
    ],
)
def test_the_operators_mistakes_are_said_in_one_line(given: dict[str, Any], says: str) -> None:
    """Each names what was given and what to do."""
    arguments: dict[str, Any] = {
        "config": None, "settings": (), "listen": None, "dialect": None, "symbols": (), "tapes": (), "speed": None,
        "faults": (), "tls": False, "seed": None, "out": None, "tell": lambda line: None,
    }  # fmt: skip
    with pytest.raises(OperatorError, match=says) as found:
        prepare_exchange(**(arguments | given))
    assert "\n" not in str(found.value)


def test_every_fault_is_in_the_shipped_config() -> None:
    """configs/exchange.toml names each kind, so that a reader finds them."""
    from pinnacle.run.exchange_config import read_exchange_config

    config, _ = read_exchange_config(None, ())
    assert set(config.faults) == set(KINDS) | {"delay_ms"}

"""Binance's protocol without sockets: books can be kept from it, orders do what they say, wrong input is answered."""

from __future__ import annotations

import base64
import hashlib
import hmac
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.dialects.binance import Binance, Fail
from pinnacle.dialects.binance_public import WEIGHT_MINUTE
from pinnacle.dialects.dialect import Close, Ping, Session
from pinnacle.dialects.signatures import hmac_hex
from pinnacle.event import BID, SELL
from tests.dialects.rig import NS, PEM, Rig, body_of

MS = 1_000_000
KEY: Any = serialization.load_der_private_key(base64.b64decode(PEM), None)
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
).decode()


def rig_of(per_s: float = 0.0, **more: Any) -> Rig:
    return Rig(Binance, ("BTCUSDT", "ETHUSDT"), per_s, public_key=PUBLIC, **more)


def signed(rig: Rig, method: str, path: str, account: int = 0, **params: object) -> tuple[int, Any]:
    """(status, body) of a signed request."""
    one = rig.accounts[account]
    params.setdefault("timestamp", rig.now_ns // MS)
    query = "&".join(f"{name}={quote(str(value))}" for name, value in params.items())
    signature = hmac.new(one.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    found = rig.request(method, f"{path}?{query}&signature={signature}", headers={"x-mbx-apikey": one.key})
    return found.status, body_of(found)


def order(rig: Rig, account: int = 0, **params: object) -> tuple[int, Any]:
    """A limit order at 59,000, but for what is said."""
    given: dict[str, object] = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
        "price": "59000.00",
    }  # fmt: skip
    return signed(rig, "POST", "/api/v3/order", account, **{k: v for k, v in (given | params).items() if v is not None})


def call(rig: Rig, session: Session, name: str, account: int | None = 0, **params: Any) -> dict[str, Any]:
    """The answer to a request of the websocket API; account None: unsigned."""
    if account is not None:
        one = rig.accounts[account]
        params |= {"apiKey": one.key, "timestamp": rig.now_ns // MS}
        text = "&".join(f"{k}={params[k]}" for k in sorted(params))
        params["signature"] = hmac_hex(one.secret, text)
    rig.say(session, {"id": "x", "method": name, "params": params})
    return [one for one in rig.hear(session) if isinstance(one, dict) and one.get("id") == "x"][-1]


# --- market data --------------------------------------------------------------------------------------------------
class Book:
    """A client's book, by the documented procedure."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.id = snapshot["lastUpdateId"]
        self.sides = {side: {Decimal(p): Decimal(q) for p, q in snapshot[side]} for side in ("bids", "asks")}
        self.gaps = self.applied = 0

    def hear(self, said: dict[str, Any]) -> None:
        if said["u"] <= self.id:
            return
        if said["U"] > self.id + 1:
            self.gaps += 1
        for side, rows in (("bids", said["b"]), ("asks", said["a"])):
            for price, qty in rows:
                self.sides[side][Decimal(price)] = Decimal(qty)
                if not Decimal(qty):
                    del self.sides[side][Decimal(price)]
        self.id = said["u"]
        self.applied += 1


@pytest.mark.parametrize("speed", ["100ms", "1000ms"])
def test_a_book_kept_from_snapshot_and_diffs_is_the_house_book(speed: str) -> None:
    """Buffered diffs bridge the snapshot, none is missing, and the book is the house's; its best is bookTicker's."""
    rig = rig_of(per_s=500)
    session = rig.connect(f"/stream?streams=btcusdt@depth@{speed}/btcusdt@bookTicker")
    rig.step(2 * NS)
    buffered = rig.hear(session)
    book = Book(body_of(rig.request("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000")))
    rig.step(3 * NS)
    best = None
    for said in buffered + rig.hear(session):
        if said["stream"].endswith("bookTicker"):
            best = said["data"]
        else:
            book.hear(said["data"])
    assert book.gaps == 0 and book.applied >= 3
    snapshot = body_of(rig.request("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000"))
    fresh = Book(snapshot)
    rig.house.set_state(0, e.STATE_CANCEL_ONLY)
    rig.step(NS)
    for said in rig.hear(session):
        if not said["stream"].endswith("bookTicker"):
            book.hear(said["data"])
        else:
            best = said["data"]
    fresh = Book(body_of(rig.request("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000")))
    assert book.sides == fresh.sides and book.gaps == 0
    assert best is not None
    assert (Decimal(best["b"]), Decimal(best["a"])) == (max(fresh.sides["bids"]), min(fresh.sides["asks"]))


def test_a_gap_on_demand_is_seen_by_the_rule() -> None:
    """A diff that is left out shows as U beyond the book's id plus one, and only then."""
    rig = rig_of(per_s=500)
    session = rig.connect("/ws/btcusdt@depth@100ms")
    book = Book(body_of(rig.request("GET", "/api/v3/depth?symbol=BTCUSDT&limit=5000")))
    rig.step(NS)
    due = [True]
    rig.dialect.spoil = lambda kind: kind == "gap" and bool(due) and due.pop()
    rig.step(NS)
    for said in rig.hear(session):
        book.hear(said)
    assert book.gaps == 1


def test_trades_are_everyones_and_their_ids_have_no_gap() -> None:
    """trade has each execution once, aggTrade covers the same ids, and REST tells the same."""
    rig = rig_of(per_s=1_000)
    session = rig.connect("/stream?streams=btcusdt@trade/btcusdt@aggTrade")
    first = len(rig.house.trades[0])
    rig.step(NS)
    said = rig.hear(session)
    trades = [one["data"] for one in said if one["stream"].endswith("@trade")]
    ids = [one["t"] for one in trades]
    assert ids == list(range(first + 1, first + 1 + len(ids))) and len(ids) > 20
    joined = [one["data"] for one in said if one["stream"].endswith("aggTrade")]
    assert [one["a"] for one in joined] == list(range(joined[0]["a"], joined[0]["a"] + len(joined)))
    covered = [k for one in joined for k in range(one["f"], one["l"] + 1)]
    assert covered == ids
    rest = body_of(rig.request("GET", f"/api/v3/trades?symbol=BTCUSDT&limit={len(ids)}"))
    assert [(one["id"], one["price"], one["qty"], one["isBuyerMaker"]) for one in rest] == [
        (one["t"], one["p"], one["q"], one["m"]) for one in trades
    ]
    bar = body_of(rig.request("GET", "/api/v3/klines?symbol=BTCUSDT&interval=1d"))[-1]
    assert Decimal(bar[5]) == sum((Decimal(one["qty"]) for one in body_of(
        rig.request("GET", "/api/v3/trades?symbol=BTCUSDT&limit=1000"))), Decimal(0))  # fmt: skip


def test_all_other_streams_speak() -> None:
    """Each stream sends something in a second, in its own form, and an unknown one nothing at all."""
    rig = rig_of(per_s=500)
    names = ["depth5", "depth20@100ms", "ticker", "miniTicker", "avgPrice", "kline_1m", "depth"]
    session = rig.connect("/ws")
    rig.say(session, {"method": "SUBSCRIBE", "params": [f"btcusdt@{n}" for n in names] + ["nosuch@trade"], "id": 7})
    assert rig.hear(session) == [{"result": None, "id": 7}]
    rig.step(NS + NS // 2)
    said = rig.hear(session)
    assert {one.get("e") for one in said} >= {"24hrTicker", "24hrMiniTicker", "avgPrice", "kline", "depthUpdate"}
    assert {len(one["bids"]) for one in said if "lastUpdateId" in one} == {5, 20}
    rig.say(session, {"method": "LIST_SUBSCRIPTIONS", "id": 8})
    assert rig.hear(session)[0]["result"][-1] == "nosuch@trade"


# --- orders -------------------------------------------------------------------------------------------------------
def test_an_order_lives_as_the_documents_say() -> None:
    """Place, query, amend, partly fill, cancel: each answer and each event of the user data stream agrees."""
    rig = rig_of()
    api = rig.connect("/ws-api/v3")
    assert call(rig, api, "userDataStream.subscribe.signature")["result"] == {"subscriptionId": 0}
    status, placed = order(
        rig, newClientOrderId="mm-1", type="LIMIT_MAKER", timeInForce=None, newOrderRespType="RESULT"
    )
    assert status == 200 and placed["status"] == "NEW" and placed["clientOrderId"] == "mm-1"
    news = [one["event"] for one in rig.hear(api)]
    assert [one["e"] for one in news] == ["executionReport", "outboundAccountPosition"]
    assert (news[0]["x"], news[0]["X"], news[0]["c"], news[0]["i"]) == ("NEW", "NEW", "mm-1", placed["orderId"])
    assert news[1]["B"][1] == {"a": "USD", "f": "999410.00000000", "l": "590.00000000"}

    _, amended = signed(
        rig, "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", orderId=placed["orderId"], newQty="0.008"
    )
    assert amended["amendedOrder"]["qty"] == "0.00800000"
    assert [one["event"]["x"] for one in rig.hear(api) if one["event"]["e"] == "executionReport"] == ["REPLACED"]
    _, sold = order(rig, 1, side="SELL", quantity="0.003", price="59000.00")
    assert sold["status"] == "FILLED" and sold["fills"][0]["commissionAsset"] == "USD"
    report = next(one["event"] for one in rig.hear(api))
    assert (report["x"], report["X"], report["l"], report["z"], report["m"]) == (
        "TRADE", "PARTIALLY_FILLED", "0.00300000", "0.00300000", True,
    )  # fmt: skip
    assert (report["n"], report["N"], report["t"]) == ("0.00000300", "BTC", sold["fills"][0]["tradeId"])
    _, queried = signed(rig, "GET", "/api/v3/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert queried["executedQty"] == "0.00300000" and queried["cummulativeQuoteQty"] == "177.00000000"
    _, mine = signed(rig, "GET", "/api/v3/myTrades", symbol="BTCUSDT")
    assert [one["id"] for one in mine] == [report["t"]]
    _, gone = signed(
        rig,
        "DELETE",
        "/api/v3/order",
        symbol="BTCUSDT",
        origClientOrderId=queried["clientOrderId"],
        newClientOrderId="c-1",
    )
    assert gone["status"] == "CANCELED" and gone["clientOrderId"] == "c-1"
    report = next(one["event"] for one in rig.hear(api))
    assert (report["x"], report["c"], report["C"]) == ("CANCELED", "c-1", queried["clientOrderId"])
    assert signed(rig, "GET", "/api/v3/openOrders")[1] == []
    _, account = signed(rig, "GET", "/api/v3/account", omitZeroBalances="true")
    assert {one["asset"]: one["locked"] for one in account["balances"]}["USD"] == "0.00000000"


def test_every_kind_of_order_over_both_doors() -> None:
    """IOC, FOK, MARKET by quantity and value, cancelReplace and cancel-all answer alike at both doors."""
    rig = rig_of()
    api = rig.connect("/ws-api/v3")
    for price in ("60000.00", "60001.00"):
        order(rig, 1, side="SELL", price=price, quantity="0.10000")
    assert order(rig, timeInForce="FOK", price="60000.00", quantity="0.2")[1]["status"] == "EXPIRED"
    assert order(rig, timeInForce="IOC", price="60000.00", quantity="0.15")[1]["executedQty"] == "0.10000000"
    market: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "newOrderRespType": "FULL"}
    bought = call(rig, api, "order.place", quoteOrderQty="600.01", **market)["result"]
    assert (bought["status"], bought["executedQty"]) == ("FILLED", "0.01000000")
    taken = call(rig, api, "order.place", quantity="0.5", **market)["result"]
    assert taken["status"] == "EXPIRED" and Decimal(taken["executedQty"]) < Decimal("0.1")
    resting = call(
        rig,
        api,
        "order.place",
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.01",
        price="59000",
    )["result"]
    replaced = call(
        rig, api, "order.cancelReplace", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.02",
        price="58000", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=resting["orderId"],
    )["result"]  # fmt: skip
    assert (replaced["cancelResult"], replaced["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    failed = call(
        rig, api, "order.cancelReplace", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.02",
        price="58000", cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=resting["orderId"],
    )  # fmt: skip
    assert failed["status"] == 409 and failed["error"]["code"] == -2021
    assert len(call(rig, api, "openOrders.cancelAll", symbol="BTCUSDT")["result"]) == 2
    assert call(rig, api, "openOrders.cancelAll", symbol="BTCUSDT")["error"]["code"] == -2011


def test_a_session_logs_on_with_ed25519_and_needs_no_signature_then() -> None:
    """session.logon with the account's key, then orders and the user data stream without one; logout ends both."""
    rig = rig_of()
    api = rig.connect("/ws-api/v3")
    key, stamp = rig.accounts[0].key, rig.now_ns // MS
    signature = base64.b64encode(KEY.sign(f"apiKey={key}&timestamp={stamp}".encode())).decode()
    wrong = call(rig, api, "session.logon", None, apiKey=key, timestamp=stamp, signature=signature[:-8] + "AAAAAAA=")
    assert wrong["error"]["code"] == -1022
    assert call(rig, api, "session.logon", None, apiKey=key, timestamp=stamp, signature=signature)["status"] == 200
    assert call(rig, api, "userDataStream.subscribe", None)["result"] == {"subscriptionId": 0}
    assert call(rig, api, "openOrders.status", None, timestamp=stamp)["result"] == []
    assert call(rig, api, "openOrders.status", None)["error"]["code"] == -1102
    rig.say(api, {"id": 1, "method": "session.logout"})
    assert [one.get("event", {}).get("e") for one in rig.hear(api)] == ["eventStreamTerminated", None]
    assert call(rig, api, "openOrders.status", None, timestamp=stamp)["status"] == 401


def test_the_published_signatures_are_accepted() -> None:
    """HMAC and Ed25519 of the documents' examples verify, byte by byte as the dialect checks them."""
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    assert hmac_hex(secret, payload) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    rig = rig_of()
    rig.accounts[0].secret = secret
    params = dict(part.split("=") for part in payload.split("&"))
    check = rig.dialect.check

    def refused(payload: str, params: dict[str, str], now_ns: int) -> int:
        with pytest.raises(Fail) as found:
            check(rig.accounts[0], payload, params, now_ns)
        return int(found.value.code)

    params["signature"], now_ns = hmac_hex(secret, payload), 1499827319559 * MS
    check(rig.accounts[0], payload, params, now_ns)
    assert refused(payload + "0", params, now_ns) == -1022
    assert refused(payload, params, now_ns + 5001 * MS) == -1021
    payload = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.001&price=30000.01&newClientOrderId=mm-1"
        "&timestamp=1700000000000"
    )
    params = dict(part.split("=") for part in payload.split("&"))
    params["signature"] = "nZGEeDDCvU5+Ze9tE8uKqitUpp2AGq7MYQaKNzUxZ8awuGhQT8ckJfruL7st2FAPzNGV5VPOf8gV43RLlj2kAA=="
    check(rig.accounts[0], payload, params, 1700000000000 * MS)
    assert refused(payload + "0", params, 1700000000000 * MS) == -1022
    params["signature"] = "A" + params["signature"][1:]
    assert refused(payload, params, 1700000000000 * MS) == -1022


def test_answers_have_the_fields_of_the_venues_own(recordings: Path) -> None:
    """Every field of the venue's published answers and events is in ours, with the same kind of value."""
    rig = rig_of()
    api = rig.connect("/ws-api/v3")
    call(rig, api, "userDataStream.subscribe.signature")
    order(rig, 1, side="SELL", price="59000.00")
    new = order(rig, quantity="0.005", selfTradePreventionMode="NONE")[1]
    resting = order(rig, price="58000.00")[1]
    listed = {"symbol": "BTCUSDT"}
    ours = {
        "new_order_full_response": new,
        "account_trades_response": signed(rig, "GET", "/api/v3/myTrades", **listed)[1],
        "open_orders_response": signed(rig, "GET", "/api/v3/openOrders")[1],
        "all_orders_response": signed(rig, "GET", "/api/v3/allOrders", **listed)[1],
        "order_response": signed(rig, "GET", "/api/v3/order", orderId=resting["orderId"], **listed)[1],
        "account_response": signed(rig, "GET", "/api/v3/account")[1],
    }
    for path in ("avg_price", "depth", "klines", "ticker_24hr", "ticker_price", "trades", "book_ticker"):
        target = {"ticker_24hr": "ticker/24hr", "ticker_price": "ticker/price", "book_ticker": "ticker/bookTicker"}
        found = rig.request("GET", f"/api/v3/{target.get(path, _camel(path))}?symbol=BTCUSDT&interval=1m")
        ours[f"{path}_response"] = body_of(found)
    ours["cancel_order_response"] = signed(rig, "DELETE", "/api/v3/order", orderId=resting["orderId"], **listed)[1]
    events = [one["event"] for one in rig.hear(api)]
    reports = {one["x"]: one for one in events if one["e"] == "executionReport"}
    for name, kind in (("new", "NEW"), ("trade", "TRADE"), ("canceled", "CANCELED"), ("wrapped", "NEW")):
        ours[f"execution_report_{name}"] = reports[kind]
    ours["account_position"] = next(one for one in events if one["e"] == "outboundAccountPosition")
    samples = {path.stem: path for path in (recordings / "exec/binance/nautilus/spot").glob("*/*.json")}
    for name, found in ours.items():
        theirs = msgspec.json.decode(samples[name].read_bytes())
        theirs = theirs.get("event", theirs) if isinstance(theirs, dict) else theirs
        _alike(theirs, found, name)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _alike(theirs: Any, ours: Any, where: str) -> None:
    if isinstance(theirs, dict):
        assert theirs.keys() <= ours.keys(), (where, theirs.keys() - ours.keys())
        for key, value in theirs.items():
            if value is not None and ours[key] is not None:
                _alike(value, ours[key], f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list) and (not theirs or ours), where
        for one in ours[:1]:
            _alike(theirs[0], one, where)
    else:
        assert type(theirs) is type(ours), (where, theirs, ours)


# --- what is wrong ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "params"),
    [
        (-1121, {"symbol": "NOSUCH"}),
        (-1102, {"symbol": None}),
        (-1117, {"side": "HOLD"}),
        (-1116, {"type": "STOP_LOSS"}),
        (-1115, {"timeInForce": "GTD"}),
        (-1100, {"price": "-1"}),
        (-1100, {"quantity": "1e3"}),
        (-1111, {"price": "59000.0000000001"}),
        (-1013, {"price": "59000.001"}),
        (-1013, {"quantity": "0.000001"}),
        (-1013, {"quantity": "0.00001"}),
        (-1013, {"price": "1.00"}),
        (-2010, {"quantity": "90"}),
        (-1100, {"newClientOrderId": "a b"}),
        (-1106, {"type": "MARKET", "timeInForce": None}),
        (-1021, {"timestamp": 1_600_000_000_000}),
        (-1021, {"timestamp": 1_900_000_000_000}),
        (-1102, {"timestamp": "now"}),
        (-1131, {"recvWindow": "60001"}),
    ],
)
def test_a_wrong_order_is_refused_in_binances_words(code: int, params: dict[str, object]) -> None:
    """Each kind of wrong parameter has its code, and leaves nothing behind."""
    rig = rig_of()
    status, body = order(rig, **params)
    assert (status, body["code"]) == (400, code), body
    assert rig.house.open_orders(1) == [] and rig.accounts[0].balances["USD"].held_units == 0


def test_wrong_keys_signatures_and_paths() -> None:
    """No key, an unknown key, a wrong signature, an unknown path, a wrong method: 401, 400, 404 and 405."""
    rig = rig_of()
    assert rig.request("GET", "/api/v3/account").status == 401
    assert rig.request("GET", "/api/v3/account", headers={"x-mbx-apikey": "nobody"}).status == 401
    key = {"x-mbx-apikey": rig.accounts[0].key}
    now = rig.now_ns // MS
    wrong = rig.request("GET", f"/api/v3/account?timestamp={now}&signature={'0' * 64}", headers=key)
    assert body_of(wrong)["code"] == -1022
    assert body_of(rig.request("GET", f"/api/v3/account?timestamp={now}", headers=key))["code"] == -1102
    assert rig.request("GET", "/api/v3/nothing").status == 404
    assert rig.request("PATCH", "/api/v3/order").status == 405


def test_post_only_that_would_take_and_a_client_id_in_use() -> None:
    """-2010 with the texts that clients look for; the id is free again when its order is gone."""
    rig = rig_of()
    order(rig, 1, side="SELL", price="59000.00")
    _, body = order(rig, type="LIMIT_MAKER", timeInForce=None)
    assert (body["code"], body["msg"]) == (-2010, "Order would immediately match and take.")
    assert order(rig, newClientOrderId="a", price="58000.00")[0] == 200
    assert order(rig, newClientOrderId="a", price="58000.00")[1]["msg"] == "Duplicate order sent."
    assert signed(rig, "DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="a")[0] == 200
    assert order(rig, newClientOrderId="a", price="58000.00")[0] == 200
    assert signed(rig, "DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="b")[1]["code"] == -2011
    assert signed(rig, "GET", "/api/v3/order", symbol="BTCUSDT", orderId="12")[1]["code"] == -2013


def test_too_many_requests_then_a_ban_then_peace() -> None:
    """429 beyond the weight of a minute, 418 for who goes on, another address unharmed, and later 200."""
    rig = rig_of()
    target = "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    statuses = [rig.request("GET", target).status for _ in range(WEIGHT_MINUTE // 250 + 70)]
    assert statuses[: WEIGHT_MINUTE // 250] == [200] * (WEIGHT_MINUTE // 250) and set(statuses) == {200, 429, 418}
    refused = rig.request("GET", target)
    assert refused.status == 418 and int(refused.headers["Retry-After"]) > 60 and body_of(refused)["code"] == -1003
    assert rig.request("GET", target, peer="2.2.2.2").status == 200
    rig.step(121 * NS)
    assert rig.request("GET", target).status == 200


def test_too_many_orders() -> None:
    """-1015 beyond the orders of ten seconds; those that were filled do not count."""
    rig = rig_of()
    found = [order(rig, price="56000.00", quantity="0.001")[1].get("code") for _ in range(101)]
    assert found[:100] == [None] * 100 and found[100] == -1015
    rig.step(10 * NS)
    assert order(rig)[0] == 200


def test_a_client_of_the_streams_that_says_too_much_is_cut() -> None:
    """Five messages a second are answered, the sixth ends the connection; another client does not notice."""
    rig = rig_of()
    loud, calm = rig.connect("/ws"), rig.connect("/ws")
    for k in range(7):
        rig.say(loud, {"method": "LIST_SUBSCRIPTIONS", "id": k})
    heard = rig.hear(loud)
    assert len(heard) == 6 and isinstance(heard[-1], Close) and heard[-1].code == 1008
    rig.say(calm, {"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert rig.hear(calm) == [{"result": [], "id": 1}]


def test_who_does_not_pong_is_cut_and_no_connection_lives_for_ever() -> None:
    """A ping every 20 s; a minute without a pong ends the connection; with them it ends after 24 h."""
    rig = rig_of()
    rig.dialect.tick_ns = NS
    mute, alive = rig.connect("/ws"), rig.connect("/ws")
    for _ in range(6):
        rig.step(20 * NS)
        alive.ponged(b"", rig.now_ns)
    assert [type(one) for one in rig.hear(mute)][-1] is Close
    assert {type(one) for one in rig.hear(alive)} == {Ping}
    rig.dialect.tick_ns = 60 * NS
    for _ in range(1_441):
        rig.step(60 * NS)
        alive.ponged(b"", rig.now_ns)
    assert isinstance(rig.hear(alive)[-1], Close)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["id", "method", "params", "symbol", "apiKey", "x"]), inner, max_size=4
                ),
            ),
            max_leaves=8,
        ),
    )
)
def test_garbage_is_answered_and_never_raises(said: object) -> None:
    """Whatever is said on either websocket, each gives one answer or an end, and the house is as it was."""
    rig = rig_of() if not _RIG else _RIG[0]
    _RIG[:] = [rig]
    rig.now_ns += NS
    rig.house.advance(rig.now_ns)
    for target in ("/ws", "/ws-api/v3"):
        session = rig.dialect.connect(rig_request(target), rig.now_ns)
        rig.dialect.opened(session, rig.now_ns)
        rig.say(session, said)
        assert len(rig.hear(session)) == 1
        rig.dialect.closed(session, rig.now_ns)
    rig.dialect._attempts._used.clear()
    assert rig.house.open_orders(1) == [] and rig.dialect.sessions == []


_RIG: list[Rig] = []


def rig_request(target: str) -> Any:
    from pinnacle.dialects.dialect import Request

    return Request("GET", target)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.binary(max_size=30))
def test_garbage_in_requests_never_raises(path: str, query: str, body: bytes) -> None:
    """Any path, query and body gives an HTTP status below 500."""
    rig = rig_of() if not _RIG else _RIG[0]
    _RIG[:] = [rig]
    rig.now_ns += NS
    for start in ("/api/v3/depth", "/api/v3/order", quote(path)):
        for form in ({}, {"content-type": "application/x-www-form-urlencoded", "x-mbx-apikey": "key1"}):
            found = rig.request("GET", f"{start}?symbol=BTCUSDT&limit={quote(query)}&timestamp=1", body, form)
            assert 200 <= found.status < 500


def test_same_seed_and_same_commands_same_bytes() -> None:
    """Two exchanges with one seed and the same requests at the same times say the same bytes to everyone."""
    said = []
    for _ in range(2):
        rig = rig_of(per_s=300, seed=5)
        streams = rig.connect("/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker")
        api = rig.connect("/ws-api/v3")
        call(rig, api, "userDataStream.subscribe.signature")
        heard: list[object] = []
        for k in range(10):
            rig.step(NS // 10)
            heard.append(order(rig, side="SELL" if k % 2 else "BUY", price="60000.00", quantity="0.00500"))
            heard += [streams.outbox[:], api.outbox[:]]
        said.append(heard)
    assert said[0] == said[1]
    assert any(rig.house.fills(1)) and rig.house.levels(0, BID) and rig.house.levels(0, SELL)

"""Binance's futures: the snapshot rule with pu, the routes, accounts on margin, keys, and fields that spot has not."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import itertools
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pinnacle import event as e
from pinnacle.dialects.binance_usdm import BinanceUsdm
from tests.dialects.rig import NS, Rig, body_of


def rig_of(per_s: float = 500.0) -> Rig:
    return Rig(BinanceUsdm, ("BTCUSDT", "ETHUSDT"), per_s)


@pytest.mark.parametrize("speed", ["", "@100ms", "@0ms"])
def test_a_book_by_the_futures_rule_is_the_house_book(speed: str) -> None:
    """Diffs before the snapshot bridge it by U <= lastUpdateId <= u, each pu is the u before, and the book is right."""
    rig = rig_of()
    session = rig.connect(f"/public/ws/btcusdt@depth{speed}")
    rig.step(NS)
    buffered = rig.hear(session)
    snapshot = body_of(rig.request("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))
    rig.step(NS)
    book = {side: {Decimal(p): Decimal(q) for p, q in snapshot[side]} for side in ("bids", "asks")}
    last, begun = snapshot["lastUpdateId"], False
    for said in buffered + rig.hear(session):
        if said["u"] < snapshot["lastUpdateId"]:
            continue
        if begun:
            assert said["pu"] == last
        else:
            assert said["U"] <= snapshot["lastUpdateId"] <= said["u"]
            begun = True
        for side, rows in (("bids", said["b"]), ("asks", said["a"])):
            for price, qty in rows:
                book[side][Decimal(price)] = Decimal(qty)
        last = said["u"]
    assert begun
    fresh = body_of(rig.request("GET", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"))
    if fresh["lastUpdateId"] == last:
        for side in ("bids", "asks"):
            assert {p: q for p, q in book[side].items() if q} == {Decimal(p): Decimal(q) for p, q in fresh[side]}
    else:
        assert speed != "@0ms"


def test_streams_speak_on_their_route_alone() -> None:
    """depth and bookTicker on /public, trades on /market, nothing on the paths of before."""
    rig = rig_of()
    names = "btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade/btcusdt@aggTrade"
    sessions = {route: rig.connect(f"{route}/stream?streams={names}") for route in ("/public", "/market", "")}
    rig.step(NS)
    heard = {route: {one["stream"] for one in rig.hear(session)} for route, session in sessions.items()}
    assert heard == {
        "/public": {"btcusdt@depth@100ms", "btcusdt@bookTicker"}, "/market": {"btcusdt@trade", "btcusdt@aggTrade"},
        "": set(),
    }  # fmt: skip
    assert rig.request("POST", "/api/v3/order").status == 404


def test_messages_have_the_fields_of_the_venues_own(recordings: Path) -> None:
    """Every field of a recorded trade, ticker and diff is in ours, with the same kind of value."""
    rig = rig_of()
    found: dict[str, Any] = {}
    for route in ("/public", "/market"):
        session = rig.connect(f"{route}/ws")
        streams = [f"btcusdt@{name}" for name in ("depth@100ms", "bookTicker", "trade", "aggTrade")]
        rig.say(session, {"method": "SUBSCRIBE", "params": streams, "id": 1})
        rig.step(NS)
        found |= {one["e"]: one for one in rig.hear(session) if "e" in one}
    kinds = set()
    with gzip.open(recordings / "binance/usdm_btcusdt_20240808.gz") as source:
        for line in itertools.islice(source, 2_000):
            theirs = msgspec.json.decode(line.partition(b" ")[2])
            if "stream" in theirs:
                theirs = theirs["data"]
                kinds.add(theirs["e"])
                ours = found[theirs["e"]]
                assert theirs.keys() == ours.keys()
                assert all(type(ours[key]) is type(value) for key, value in theirs.items())
    assert kinds == {"depthUpdate", "bookTicker", "trade"}
    info = body_of(rig.request("GET", "/fapi/v1/exchangeInfo"))
    assert [one["contractType"] for one in info["symbols"]] == ["PERPETUAL", "PERPETUAL"]


# --- accounts -----------------------------------------------------------------------------------------------------
def signed(rig: Rig, method: str, path: str, account: int = 0, **params: Any) -> Any:
    """A signed request of an account; its answer."""
    one = rig.accounts[account]
    query = "&".join(f"{k}={v}" for k, v in (params | {"timestamp": rig.now_ns // 10**6}).items())
    signature = hmac.new(one.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    answer = rig.request(method, f"{path}?{query}&signature={signature}", headers={"x-mbx-apikey": one.key})
    return body_of(answer)


def placed(rig: Rig, account: int = 0, **more: Any) -> Any:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    return signed(rig, "POST", "/fapi/v1/order", account, **(order | {"price": "59000.00"} | more))


def listening(rig: Rig) -> Any:
    """A session that hears the first account."""
    key = body_of(rig.request("POST", "/fapi/v1/listenKey", headers={"x-mbx-apikey": "key1"}))["listenKey"]
    return rig.connect(f"/private/ws/{key}")


def test_answers_and_events_have_the_fields_of_the_venues_own(recordings: Path) -> None:
    """Every field of the samples of orders, wallets, positions and events is in ours, with the same kind of value."""
    rig = rig_of(0)
    folder = recordings / "exec/binance/nautilus/futures"
    session = listening(rig)
    ours: dict[str, Any] = {"order_update_new": None}
    placed(rig, newClientOrderId="mine")
    ours["order_update_new"] = rig.hear(session)[0]
    placed(rig, 1, side="SELL", quantity="0.004", timeInForce="IOC")
    ours["trade_lite"], ours["account_update"], ours["order_update_trade"] = rig.hear(session)
    ours["order_response"] = signed(rig, "GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="mine")
    ours["balance"] = signed(rig, "GET", "/fapi/v3/balance")
    ours["position_risk"] = signed(rig, "GET", "/fapi/v2/positionRisk")
    ours["account_info_v2"] = signed(rig, "GET", "/fapi/v2/account")
    # What we have not: what is of trailing stops, and of limits by size.
    absent = {"AP", "cr", "tradeGroupId", "maxNotional"}

    def compared(theirs: Any, found: Any, where: str) -> None:
        if isinstance(theirs, dict):
            for key, value in theirs.items():
                if key not in absent:
                    assert key in found, f"{where}.{key}"
                    compared(value, found[key], f"{where}.{key}")
        elif isinstance(theirs, list):
            assert bool(theirs) == bool(found), where
            for one in theirs[:1]:
                compared(one, found[0], where)
        else:
            assert type(theirs) is type(found), (where, theirs, found)

    for name, found in ours.items():
        (path,) = folder.glob(f"*/{name}.json")
        compared(msgspec.json.decode(path.read_bytes()), found, name)


def test_an_account_on_margin_is_a_naive_account() -> None:
    """After any trades the wallet with what positions would win is the money put in, less paid, more received."""
    for seed in range(5):
        chance = random.Random(seed)
        rig = rig_of(0)
        house = rig.house
        cash, lots, fees = Fraction(1_000_000), 0, Fraction(0)
        for _ in range(60):
            side, qty = chance.choice((1, -1)), chance.randrange(20, 400)
            price = chance.randrange(5_900_000, 6_100_000)
            house.place(2, 0, -side, qty + 10, price)
            order = house.place(1, 0, side, qty, price, e.IOC)
            house.cancel_all(2)
            cash -= side * qty * Fraction(price) / 100 / 100_000
            lots += side * qty
            fees += Fraction(house.amount("USD", order.fees["USD"]))
        position, wallet = house.position(1, 0), house.accounts[0].balances["USD"].total_units
        assert position.lots == lots and (lots or position.cost_units == 0)
        cost = Fraction(house.amount("USD", position.cost_units)) * (1 if lots > 0 else -1)
        assert Fraction(house.amount("USD", wallet)) - cost == cash - fees, f"seed {seed}"
        assert house.accounts[0].balances["BTC"].total_units == house.units("BTC", Decimal(10))
        house.place(2, 0, 1, 10, 5_990_000)
        house.place(2, 0, -1, 10, 6_010_000)
        worth = Fraction(house.amount("USD", house.unrealised(1, 0)))
        assert worth == Fraction(60_000) * lots / 100_000 - cost, f"seed {seed}"


def test_margin_is_held_for_what_could_open() -> None:
    """A twentieth of an order's worth and its fee; nothing for one that reduces; without margin an order is refused."""
    rig = rig_of(0)
    house = rig.house
    before = Decimal(signed(rig, "GET", "/fapi/v3/balance")[0]["availableBalance"])
    placed(rig, quantity="1")
    after = Decimal(signed(rig, "GET", "/fapi/v3/balance")[0]["availableBalance"])
    assert abs(before - after - Decimal("59000") / 20 - Decimal("118")) < Decimal("0.001")
    house.leverage = 1
    assert placed(rig, quantity="99", price="59000.00")["code"] == -2019
    assert placed(rig, quantity="0.00001", price="59000.00")["code"] == -4164
    for wrong, code in (
        ({"price": "59000.001"}, -4014), ({"quantity": "0.000001"}, -4023), ({"type": "STOP_MARKET"}, -4120),
        ({"timeInForce": "GTD"}, -1115), ({"positionSide": "LONG"}, -4061), ({"symbol": "XRPUSDT"}, -1121),
        ({"reduceOnly": "true"}, -2022), ({"newOrderRespType": "FULL"}, -1136),
    ):  # fmt: skip
        assert placed(rig, **wrong)["code"] == code, wrong


def test_only_the_right_key_hears_and_every_key_ends() -> None:
    """The account's own key is the same while it is good; another one hears nothing; a deleted one no more."""
    rig = rig_of(0)
    first, again = listening(rig), listening(rig)
    other = rig.connect("/private/ws/" + "0" * 64)
    by_query = rig.connect(f"/private/ws?listenKey={next(iter(first.names))}")
    combined = rig.connect(f"/private/stream?streams={next(iter(first.names))}")
    assert first.names == again.names
    placed(rig)
    for session in (first, again, by_query):
        assert [one["e"] for one in rig.hear(session)] == ["ORDER_TRADE_UPDATE"]
    assert [one["data"]["e"] for one in rig.hear(combined)] == ["ORDER_TRADE_UPDATE"] and not rig.hear(other)
    headers = {"x-mbx-apikey": "key1"}
    assert rig.request("PUT", "/fapi/v1/listenKey", headers=headers).status == 200
    assert rig.request("DELETE", "/fapi/v1/listenKey", headers=headers).status == 200
    assert body_of(rig.request("PUT", "/fapi/v1/listenKey", headers=headers))["code"] == -1125
    assert rig.request("POST", "/fapi/v1/listenKey", headers={"x-mbx-apikey": "who"}).status == 401
    placed(rig)
    assert not rig.hear(first)

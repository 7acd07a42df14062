"""Binance's futures feed: the snapshot rule with pu, the routes, and the fields that spot has not."""

from __future__ import annotations

import gzip
import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

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

"""Every sample of Advanced Trade's private side is read for what it says, and so is the local exchange."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pinnacle.event import (
    BUY,
    MAKER,
    ORDER_CANCELLED,
    ORDER_FILLED,
    SELL,
)
from pinnacle.instrument import Instrument
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.coinbase_advanced import instruments
from pinnacle.venues.coinbase_advanced_gateway import CoinbaseAdvancedGateway
from pinnacle.venues.coinbase_orders import order_id_of
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.private.coinbase_advanced import CAUSES, PrivateSide
from pinnacle.venues.private.said import CAUSES as KNOWN
from pinnacle.venues.private.said import Balance
from pinnacle.venues.signing import private_key
from tests.dialects.test_coinbase_advanced import order, private, rig, token

KEY = private_key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
LOT, TICK = Decimal("0.00000001"), Decimal("0.01")
FOLLOWED = {
    name: Followed(Instrument("coinbase-advanced", name, TICK, LOT, base=name[:3], quote="USD"), 1, k)
    for k, name in enumerate(("BTC-USD", "ETH-USD"))
}
SIDE = PrivateSide(FOLLOWED, {"11111-000000-000001": 5, "a": 1}.get)


def test_every_cause_is_one_of_the_houses():
    """The venue's reasons lead to words that the owner knows."""
    assert set(CAUSES.values()) <= set(KNOWN)


def test_samples(recordings):
    """Orders, fills, accounts and the user channel of the published samples."""
    folder = recordings / "exec" / "coinbase" / "nautilus"
    (one,) = SIDE.standings((folder / "http_order.json").read_bytes())
    standing = one.standing
    assert (standing.price_ticks, standing.qty_lots, standing.done_lots, standing.end) == (10**6, 10**5, 10**5, 0)
    assert (one.venue_text, standing.venue_id) == ("0000-000000-000000", order_id_of("0000-000000-000000"))
    listed = [named.standing for named in SIDE.standings((folder / "http_orders_list.json").read_bytes())]
    assert (listed[0].order_id, listed[0].side, listed[0].end) == (5, BUY, 0)
    assert (listed[1].order_id, listed[1].side, listed[1].end) == (None, SELL, ORDER_FILLED)
    fills, notes = SIDE.fills((folder / "http_fills.json").read_bytes())
    assert [fill.price_ticks for fill in fills] == [307_692, 4_512_345] and not notes
    assert bool(fills[1].flags & MAKER) and FOLLOWED["BTC-USD"].instrument.money(fills[1].fee_units) == Decimal("1.14")
    assert SIDE.balances((folder / "http_accounts.json").read_bytes()) == [
        Balance("BTC", "1.23456789", "0.00500000"), Balance("USD", "10000.50", "450.00")
    ]  # fmt: skip
    (told,) = SIDE.read((folder / "ws_user.json").read_bytes())
    assert (told.standing.order_id, told.standing.qty_lots, told.standing.end) == (5, 10**5, 0)
    assert told.standing.ts_venue_ns == 1_775_572_195_123_456_000
    assert SIDE.read((folder / "ws_heartbeats.json").read_bytes()) == []


def test_every_sample_has_a_reader(recordings):
    """No file of the folder is left out: what is not the account's is the market's, and its feed or table reads it."""
    folder = recordings / "exec" / "coinbase" / "nautilus"
    gateway = CoinbaseAdvancedGateway(list(FOLLOWED.values()), ClientIds("6d1b345e282140e2ad834ecb18a06876"), "k", KEY)
    read = set()
    for path in sorted(folder.glob("*.json")):
        body = path.read_bytes()
        if path.stem.startswith("ws_"):
            gateway.opened(1)
            gateway.said.clear()
            gateway.received(body, 1)
            channel = json.loads(body)["channel"]
            assert gateway.counts or gateway.said, path.name
            noted = [one.text for one in gateway.said if getattr(one, "what", "") == "unknown_event"]
            assert bool(noted) == (channel not in ("user", "heartbeats", "subscriptions")), path.name
        elif path.stem in ("http_product", "http_products"):
            products = json.loads(body).get("products") or [json.loads(body)]
            found = instruments(json.dumps({"products": products}).encode())
            assert {one.symbol for one in found} <= {one["product_id"] for one in products} and found
        elif path.stem in ("http_order", "http_orders_list"):
            assert SIDE.standings(body)
        elif path.stem == "http_fills":
            assert len(SIDE.fills(body)[0]) == 2
        elif path.stem == "http_accounts":
            assert len(SIDE.balances(body)) == 2
        else:
            assert path.stem in ("http_product_book", "http_ticker"), "of the market by REST, which nothing asks for"
        read.add(path.stem)
    assert len(read) == 15


def test_an_account_at_the_local_exchange():
    """What the user channel and REST say of the same order is the same; refusals lead to their causes."""
    made = rig()
    side = PrivateSide(
        {listing.instrument.symbol: Followed(listing.instrument, 0, k) for k, listing in enumerate(made.listings)},
        {"a": 1}.get,
    )
    session = made.connect("/")
    made.say(session, {"type": "subscribe", "channel": "user", "jwt": token(made.now_ns)})
    made.hear(session)
    placed = private(made, "POST", "/orders", order())
    assert side.failure(placed.status, placed.body) == ""
    made.house.place(2, 0, SELL, 4_000, 5_900_000)
    told = [named for text in made.hear(session) for named in side.read(json.dumps(text).encode())]
    assert [one.standing.done_lots for one in told] == [0, 4_000] and told[0].standing.order_id == 1
    (asked,) = side.standings(private(made, "GET", f"/orders/historical/{told[0].venue_text}").body)
    assert (asked.standing.qty_lots, asked.standing.done_lots, asked.standing.price_ticks) == (10_000, 4_000, 5_900_000)
    assert asked.standing.venue_id == told[0].standing.venue_id
    (fill,), _ = side.fills(private(made, "GET", f"/orders/historical/fills?order_ids={told[0].venue_text}").body)
    trade = made.house.open_orders(1)[0].fills[0]
    assert (fill.trade_id, fill.qty_lots, fill.venue_id) == (trade.id, 4_000, asked.standing.venue_id)
    made.house.cancel(made.house.open_orders(1)[0])
    (gone,) = [named for text in made.hear(session) for named in side.read(json.dumps(text).encode())]
    assert (gone.standing.end, gone.standing.done_lots) == (ORDER_CANCELLED, 4_000)
    for said, cause in (
        (order(size="90", client_order_id="b"), "funds"),
        (order(price="1.001", client_order_id="c"), "price_filter"),
    ):
        answer = private(made, "POST", "/orders", said)
        assert side.failure(answer.status, answer.body) == cause
    assert side.failure(401, b"") == "permission" and side.failure(429, b"") == "rate_limit"
    assert side.failure(503, b"<html>") == side.failure(0, b"") == "outcome_unknown"
    assert {one.asset for one in side.balances(private(made, "GET", "/accounts").body)} == {"BTC", "ETH", "USD"}


def test_garbage():
    """What is no answer is Malformed, in one line."""
    for read in (SIDE.read, SIDE.standings, SIDE.fills, SIDE.balances):
        for text in (b"", b"[", b"[]", b"\xff", b'{"channel":"user","events":[{"x":1}]}'):
            with pytest.raises(Malformed, match="coinbase-advanced"):
                read(text)
    bad = {"order_id": "x", "product_id": "BTC-USD", "order_side": "UP", "status": "OPEN"}
    for change in ({}, {"order_side": "BUY", "status": "?"}, {"order_side": "BUY", "cumulative_quantity": "x"}):
        with pytest.raises(Malformed):
            SIDE.read(
                json.dumps({"channel": "user", "events": [{"type": "update", "orders": [bad | change]}]}).encode()
            )

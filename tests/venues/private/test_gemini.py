"""Every sample of Gemini's private side is read for what it says, and so are the local exchange's events."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pinnacle.event import (
    BUY,
    KIND_NAMES,
    MAKER,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    SELL,
)
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.private.gemini import CAUSES, PrivateSide
from pinnacle.venues.private.said import CAUSES as KNOWN
from pinnacle.venues.private.said import Balance, Note, Step
from tests.dialects.test_gemini import Client, rig

STEPS = {"btcusd": ("0.01", "1e-8"), "ethusd": ("0.01", "1e-6"), "ltcbtc": ("0.00001", "1e-5")}
FOLLOWED = {
    name: Followed(
        Instrument("gemini", name, Decimal(tick), Decimal(lot), base=name[:3].upper(), quote=name[3:].upper()), 1, k
    )
    for k, (name, (tick, lot)) in enumerate(STEPS.items())
}
SIDE = PrivateSide(FOLLOWED, {"TESTID0": 7, "a": 1, "b": 2, "c": 3}.get)


def test_every_cause_is_one_of_the_houses():
    """The venue's reasons lead to words that the owner knows."""
    assert set(CAUSES.values()) <= set(KNOWN)


def test_samples_of_orders(recordings):
    """Old and new forms: number, sides, quantities, ends."""
    found = {}
    for path in sorted((recordings / "exec" / "gemini" / "xchange").glob("*order*.json")):
        (standing,) = SIDE.standings(path.read_bytes())
        found[path.stem] = (standing.venue_id, standing.side, standing.qty_lots, standing.done_lots, standing.end)
    assert found == {
        "example-cancel-order-data": (4003242, SELL, 10**6, 0, ORDER_CANCELLED),
        "example-get-order-data": (54323412782, SELL, 1000, 0, 0),
        "example-limit-order-status": (44375901, BUY, 3 * 10**8, 3 * 10**8, ORDER_FILLED),
        "example-open-orders-data": (4003242, SELL, 8 * 10**6, 2 * 10**6, 0),
        "example-place-order-data": (4003264, SELL, 10**6, 0, 0),
        "limit-order-untouched": (44375901, BUY, 3 * 10**8, 0, 0),
    }
    (ours,) = SIDE.standings((recordings / "exec" / "gemini" / "xchange" / "example-get-order-data.json").read_bytes())
    assert ours.order_id == 7 and ours.ts_venue_ns == 1629770740526 * 10**6


def test_samples_of_routes(recordings):
    """Every recorded answer: orders, trades with their fees, balances, and refusals by their cause."""
    routes = json.loads((recordings / "exec" / "gemini" / "gocryptotrader" / "private_routes.json").read_text())
    told = []
    for route in routes:
        body, path = json.dumps(route["response"]).encode(), route["path"]
        cause = SIDE.failure(200, body)
        if cause:
            told.append((path, cause))
        elif path == "/v1/balances":
            balances = SIDE.balances(body)
            assert balances[0] == Balance("BTC", "2015", "0") and len(balances) == 6
        elif path == "/v1/mytrades":
            fills, notes = SIDE.fills(body, FOLLOWED["btcusd"])
            assert [fill.trade_id for fill in fills] == sorted(fill.trade_id for fill in fills) and not notes
            if fills:
                fill = next(fill for fill in fills if fill.trade_id == 72877196)
                assert (fill.price_ticks, fill.qty_lots, fill.side, fill.flags & MAKER) == (436544, 10**8, BUY, 0)
                assert FOLLOWED["btcusd"].instrument.money(fill.fee_units) == Decimal("10.9136")
        elif path in ("/v1/order/new", "/v1/order/cancel", "/v1/order/status", "/v1/orders"):
            told += [(path, KIND_NAMES.get(one.end, "open")) for one in SIDE.standings(body)]
    assert told == [
        ("/v1/mytrades", "malformed"), ("/v1/order/cancel", "order_cancelled"), ("/v1/order/cancel", "order_filled"),
        ("/v1/order/new", "open"), ("/v1/order/new", "malformed"), ("/v1/order/new", "malformed"),
        ("/v1/order/new", "malformed"), ("/v1/order/new", "order_filled"), ("/v1/order/new", "permission"),
        ("/v1/order/new", "permission"), ("/v1/order/new", "open"), ("/v1/order/status", "order_cancelled"),
    ]  # fmt: skip


def test_an_account_at_the_local_exchange():
    """Events of orders placed over the websocket: taken up, filled by trade id, cancelled, ended, refused, foreign."""
    made = rig()
    client = Client(made)
    session = client.connect("/")
    private = PrivateSide(
        {listing.instrument.symbol: Followed(listing.instrument, 0, k) for k, listing in enumerate(made.listings)},
        {"a": 1, "b": 2, "c": 3}.get,
    )

    def hear():
        said = [one for text in made.hear(session) for one in private.read(json.dumps(text).encode())]
        return [one for one in said if isinstance(one, Step)], [one for one in said if not isinstance(one, Step)]

    def ask(method, **params):
        made.say(session, {"id": "1", "method": method, "params": params})
        return hear()

    made.say(session, {"id": "0", "method": "subscribe", "params": ["orders@account", "balances@account"]})
    hear()
    limit = {"symbol": "btcusd", "side": "BUY", "type": "LIMIT", "price": "59000.00", "quantity": "0.1"}
    steps, rest = ask("order.place", **limit, clientOrderId="a")
    assert {KIND_NAMES[step.kind] for step in steps} == {"order_acknowledged"} and steps[0].order_id == 1
    assert any(isinstance(one, Balance) and one.asset == "USD" and float(one.locked) > 5900 for one in rest)
    made.house.place(2, 0, SELL, 4_000, 5_900_000)
    (fill,), _ = hear()
    order = made.house.open_orders(1)[0]
    trade = order.fills[0]
    assert (fill.kind, fill.qty_lots, fill.price_ticks, fill.done_lots) == (ORDER_FILLED, 4_000, 5_900_000, 4_000)
    assert (fill.trade_id, fill.venue_id, bool(fill.flags & MAKER)) == (trade.id, order.id, True)
    (gone,), _ = ask("order.cancel", orderId=str(order.id))
    assert (gone.kind, gone.qty_lots, gone.done_lots) == (ORDER_CANCELLED, 6_000, 4_000)
    made.house.place(2, 0, SELL, 1_000, 6_000_000)
    steps, _ = ask("order.place", **limit | {"price": "60000.00"}, timeInForce="MOC", clientOrderId="b")
    assert (steps[-1].kind, steps[-1].cause) == (ORDER_EXPIRED, "would_cross")
    steps, _ = ask("order.place", **limit | {"quantity": "50"}, clientOrderId="c")
    assert [(KIND_NAMES[step.kind], step.cause) for step in steps] == [("order_rejected", "funds")]
    steps, notes = ask("order.place", **limit, clientOrderId="of-others")
    assert steps[0].order_id is None and any(isinstance(one, Note) and one.what == "foreign_order" for one in notes)
    (open_one,) = private.standings(client.post("/v1/orders").body)
    assert open_one.client_id == "of-others" and open_one.end == 0
    fills, _ = private.fills(client.post("/v1/mytrades").body, Followed(made.listings[0].instrument, 0, 0))
    assert [fill.trade_id for fill in fills] == [trade.id]
    assert private.failure(404, client.post("/v1/order/cancel", order_id=1).body) == "unknown_order"
    assert private.failure(502, b"<html>") == "outcome_unknown" and private.failure(200, b'{"result":"ok"}') == ""


def test_garbage():
    """What is no event is Malformed, in one line."""
    for text in (b"", b"[]", b"\xff", b'{"X":"NEW","s":"btcusd","S":"UP"}',
                 b'{"X":"NEW","s":"btcusd","S":"BUY","q":"x"}',
                 b'{"X":"FILLED","s":"btcusd","S":"BUY","t":"y"}', b'{"B":[{"a":"USD","f":"x","c":"1"}]}'):  # fmt: skip
        with pytest.raises(Malformed, match="gemini"):
            SIDE.read(text)
    assert SIDE.read(b'{"id":"1","status":200}') == []
    assert SIDE.read(b'{"X":"WHAT","s":"btcusd","S":"BUY","c":"a"}')[0].what == "unknown_step"
    for read in (SIDE.standings, SIDE.balances, lambda text: SIDE.fills(text, FOLLOWED["btcusd"])):
        with pytest.raises(Malformed):
            read(b'[{"x":1}]')

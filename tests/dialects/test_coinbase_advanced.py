"""Advanced Trade's dialect: a client of ours sees the house's book, tokens are looked at, orders are entered."""

from __future__ import annotations

import base64
import json

import pytest

from pinnacle.dialects.coinbase_advanced import CoinbaseAdvanced
from pinnacle.dialects.dialect import Close
from pinnacle.event import BUY, LINK_GAP, SELL
from pinnacle.venues.coinbase_advanced import AdvancedFeed, instruments
from pinnacle.venues.feed import Followed
from pinnacle.venues.signing import coinbase_jwt, coinbase_jwt_headers, private_key
from tests.dialects.rig import NS, PEM, Rig, body_of
from tests.dialects.wire import Wire, backwards, double, drop

SEED = base64.b64decode(PEM)[-32:]
SECRET = private_key(base64.b64encode(SEED))
PUBLIC = base64.b64encode(SECRET.public_key().public_bytes_raw()).decode()
API = "/api/v3/brokerage"


def rig(per_s=0.0, **how):
    return Rig(CoinbaseAdvanced, ("BTC-USD", "ETH-USD"), per_s, public_key=PUBLIC, **how)


def followed(rig):
    return [Followed(listing.instrument, 0, k) for k, listing in enumerate(rig.listings)]


def token(now_ns, key="key1", secret=SECRET):
    return coinbase_jwt(secret, key, now_ns // NS, "00ff")


def private(rig, method, target, body=None, key="key1", secret=SECRET, signed=None, now_s=None):
    raw = json.dumps(body).encode() if body is not None else b""
    headers = coinbase_jwt_headers(secret, key, now_s or rig.now_ns // NS, "00ff", method, signed or API + target)
    lower = {name.lower(): value for name, value in headers.items()} | {"user-agent": "t"}
    return rig.request(method, API + target, raw, lower)


def public(rig, target):
    return rig.request("GET", API + target, headers={"user-agent": "t"})


def order(price="59000.00", size="0.1", client_order_id="a", **more):
    limit = {"base_size": size, "limit_price": price} | more
    return {
        "client_order_id": client_order_id, "product_id": "BTC-USD", "side": "BUY",
        "order_configuration": {"limit_limit_gtc": limit},
    }  # fmt: skip


def test_a_client_sees_the_books_of_the_house():
    """Levels, trades by the aggressor's side, tickers: equal at every look; signed or not."""
    made = rig(200, seed=3)
    wire = Wire(made, AdvancedFeed(followed(made), lambda ts_ns: token(ts_ns)))
    for _ in range(60):
        wire.step(50_000_000)
        assert wire.live() and wire.same_levels(0) and wire.same_levels(1)
    assert not wire.restarts
    for k in (0, 1):
        told = [trade[1:] for trade in wire.books.trades if trade[0] == k]
        house = [(t.side, t.price_ticks, t.qty_lots, t.aux) for t in made.house.trades[k]]
        begin = house.index(told[0])
        assert len(told) > 5 and house[begin : begin + len(told)] == told
    assert wire.books.tickers


@pytest.mark.parametrize("fault", [drop(3), drop(20), backwards])
def test_lost_and_swapped_messages_lose_every_book(fault):
    """The connection's number has a hole: every book is stale, the connection is new, the books come again."""
    made = rig(300, seed=4)
    wire = Wire(made, AdvancedFeed(followed(made)))
    wire.step(NS)
    wire.fault = lambda messages: messages if wire.restarts else fault(messages)
    for _ in range(40):
        wire.step(50_000_000)
    kinds = [kind for _, kind, _ in wire.books.links]
    assert kinds.count(LINK_GAP) == 2 and len(wire.restarts) == 1 and "missing" in wire.restarts[0]
    assert wire.live() and wire.same_levels(0) and wire.same_levels(1)


def test_doubled_messages_and_a_gap_on_demand():
    """Everything twice changes nothing; a message left out by the dialect is noticed."""
    made = rig(300, seed=5)
    wire = Wire(made, AdvancedFeed(followed(made)))
    wire.fault = double
    for _ in range(10):
        wire.step(50_000_000)
        assert wire.live() and wire.same_levels(0)
    wire.fault = None
    asked = []
    made.dialect.spoil = lambda kind: asked.append(kind) or len(asked) == 3
    for _ in range(20):
        wire.step(50_000_000)
    assert len(wire.restarts) == 1 and wire.live() and set(asked) == {"gap"}


def test_what_a_subscription_may_be():
    """One channel a message; wrong ones are errors; the user channel needs a token; silence is disconnected."""
    made = rig(50, seed=6)
    session = made.connect("/")

    def said(**message):
        made.step(NS)
        made.hear(session)
        made.say(session, message)
        return made.hear(session)

    level2 = {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]}
    first = said(**level2)
    assert [one["channel"] for one in first] == ["l2_data", "subscriptions"]
    assert [one["sequence_num"] for one in first] == [0, 1]
    assert first[1]["events"] == [{"subscriptions": {"level2": ["BTC-USD"]}}]
    assert {one["side"] for one in first[0]["events"][0]["updates"]} == {"bid", "offer"}
    for wrong in ({"type": "x"}, level2 | {"channel": "candle"}, level2 | {"product_ids": ["X-Y"]},
                  level2 | {"product_ids": 5},
                  level2 | {"product_ids": [[]]}, level2 | {"channel": []}, level2 | {"jwt": "x.y.z"},
                  level2 | {"channel": "user"}):  # fmt: skip
        assert [one["type"] for one in said(**wrong)] == ["error"], wrong
    for text in (b"{", b"[]", b"\xff"):
        made.step(NS)
        made.hear(session)
        made.say(session, text)
        assert made.hear(session)[0]["type"] == "error"
    beats = said(type="subscribe", channel="heartbeats")
    assert beats[-1]["events"][0]["subscriptions"].keys() == {"level2", "heartbeats"}
    made.step(2 * NS)
    beat = [one for one in made.hear(session) if one["channel"] == "heartbeats"][-1]["events"][0]
    assert " " in beat["current_time"] and beat["heartbeat_counter"] > 0
    quiet = made.connect("/")
    made.step(6 * NS)
    assert isinstance(made.hear(quiet)[-1], Close)


def test_the_user_channel_is_cumulative():
    """A snapshot of open orders, then each order as it is after what happened."""
    made = rig()
    made.house.place(1, 0, BUY, 1000, 5_900_000, client_id="first")
    session = made.connect("/")
    made.say(session, {"type": "subscribe", "channel": "user", "jwt": token(made.now_ns)})
    snapshot, _ = made.hear(session)
    assert [one["client_order_id"] for one in snapshot["events"][0]["orders"]] == ["first"]
    made.house.place(2, 0, SELL, 400, 5_900_000)
    made.house.cancel(made.house.open_orders(1)[0])
    partly, gone = (one["events"][0]["orders"][0] for one in made.hear(session))
    assert (partly["status"], partly["cumulative_quantity"], partly["leaves_quantity"]) == (
        "OPEN",
        "0.00400000",
        "0.00600000",
    )
    assert (gone["status"], gone["leaves_quantity"]) == ("CANCELLED", "0.00000000")


def test_products_and_books():
    """What everyone may ask; instruments read by the client are the house's."""
    made = rig(300, seed=7)
    made.step(NS)
    found = instruments(public(made, "/market/products").body)
    assert [(one.symbol, one.tick, one.lot) for one in found] == [
        (listing.instrument.symbol, listing.instrument.tick, listing.instrument.lot) for listing in made.listings
    ]
    book = body_of(public(made, "/market/product_book?product_id=BTC-USD&limit=3"))["pricebook"]
    assert len(book["bids"]) == len(book["asks"]) == 3
    trades = body_of(public(made, "/market/products/BTC-USD/ticker?limit=2"))
    last = made.house.trades[0][-1]
    assert trades["trades"][0]["trade_id"] == str(last.aux) and trades["best_bid"] == book["bids"][0]["price"]
    assert trades["trades"][0]["side"] == ("SELL" if last.side == BUY else "BUY")
    assert body_of(public(made, "/market/products/BTC-USD/candles?granularity=ONE_MINUTE"))["candles"]
    assert body_of(public(made, "/time"))["epochSeconds"] == str(made.now_ns // NS)
    assert public(made, "/market/products/X").status == 404 and public(made, "/nothing").status == 401
    assert [public(made, "/time").status for _ in range(12)].count(429) >= 2


def test_an_order_from_place_to_cancel():
    """Placed, shown, edited, cancelled; the same client_order_id again is the same order; fills with commissions."""
    made = rig()
    placed = body_of(private(made, "POST", "/orders", order(post_only=True)))
    number = placed["success_response"]["order_id"]
    again = body_of(private(made, "POST", "/orders", order(price="58000.00")))
    assert again["success"] and again["success_response"]["order_id"] == number
    open_orders = body_of(private(made, "GET", "/orders/historical/batch?order_status=OPEN&product_ids=BTC-USD"))[
        "orders"
    ]
    assert [one["order_id"] for one in open_orders] == [number]
    usd = {one["currency"]: one for one in body_of(private(made, "GET", "/accounts"))["accounts"]}["USD"]
    assert float(usd["hold"]["value"]) == pytest.approx(5900 * 1.002, abs=1e-3)
    assert body_of(private(made, "POST", "/orders/edit", {"order_id": number, "price": "58000.00", "size": "0.2"}))[
        "success"
    ]
    shown = body_of(private(made, "GET", f"/orders/historical/{number}"))["order"]
    assert (shown["status"], shown["filled_size"]) == ("OPEN", "0.00000000")
    results = body_of(private(made, "POST", "/orders/batch_cancel", {"order_ids": [number, "x"]}))["results"]
    assert [one["success"] for one in results] == [True, False]
    assert results[1]["failure_reason"] == "UNKNOWN_CANCEL_ORDER"
    made.house.place(2, 0, SELL, 10_000, 6_000_000)
    crossing = body_of(private(made, "POST", "/orders", order("60000.00", client_order_id="b", post_only=True)))
    assert crossing["error_response"]["error"] == "INVALID_LIMIT_PRICE_POST_ONLY"
    market = order(client_order_id="c") | {"order_configuration": {"market_market_ioc": {"quote_size": "600"}}}
    bought = body_of(private(made, "POST", "/orders", market))["order_id"]
    (fill,) = body_of(private(made, "GET", f"/orders/historical/fills?order_ids={bought}"))["fills"]
    assert fill["liquidity_indicator"] == "TAKER" and float(fill["commission"]) == 1.2 and fill["size"] == "0.01000000"
    assert body_of(private(made, "GET", "/transaction_summary"))["fee_tier"]["maker_fee_rate"] == "0.0010"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (order(price="59000.001"), "INVALID_PRICE_PRECISION"), (order(size="0.0000001"), "INVALID_SIZE_PRECISION"),
        (order(size="90"), "INSUFFICIENT_FUND"), (order() | {"product_id": "X"}, "INVALID_PRODUCT_ID"),
        (order() | {"side": "buy"}, "INVALID_SIDE"), (order(client_order_id=""), "INVALID_CLIENT_ORDER_ID"),
        (order() | {"order_configuration": {"limit_limit_gtd": {}}}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        (order() | {"order_configuration": []}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        (order(price=None), "INVALID_PRICE_PRECISION"),
    ],
)  # fmt: skip
def test_orders_that_are_refused(said, reason):
    """HTTP 200, success false, and the venue's reason; nothing is placed."""
    made = rig()
    answer = private(made, "POST", "/orders", said)
    assert answer.status == 200 and body_of(answer)["success"] is False
    assert body_of(answer)["error_response"]["error"] == reason and made.house.open_orders(1) == []


def test_tokens():
    """Another path, method, key or time, and what is no token: 401.  Bodies that are no object: 400."""
    made = rig()
    assert private(made, "GET", "/accounts").status == 200
    other = private_key(base64.b64encode(bytes(range(32))))
    for how in ({"signed": API + "/orders"}, {"key": "key2"}, {"key": "nobody"}, {"secret": other},
                {"now_s": made.now_ns // NS - 121}, {"now_s": made.now_ns // NS + 60}):  # fmt: skip
        assert private(made, "GET", "/accounts", **how).status == 401, how
    for header in ({}, {"authorization": "Bearer x"}, {"authorization": "Bearer a.b.c"}, {"authorization": "Basic x"},
                   {"authorization": f"Bearer {token(made.now_ns)}"}):  # fmt: skip
        assert made.request("GET", API + "/accounts", headers={"user-agent": "t"} | header).status == 401
    assert made.request("GET", API + "/accounts").status == 400
    for raw in (b"", b"{", b"[]"):
        headers = coinbase_jwt_headers(SECRET, "key1", made.now_ns // NS, "0", "POST", API + "/orders")
        lower = {name.lower(): value for name, value in headers.items()} | {"user-agent": "t"}
        assert made.request("POST", API + "/orders", raw, lower).status == 400
    assert [private(made, "GET", "/key_permissions").status for _ in range(40)].count(429) >= 10

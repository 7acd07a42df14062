"""Gemini's dialect: a client of ours sees the house's book; orders by REST and websocket, nonces, reasons."""

from __future__ import annotations

import base64
import json

import pytest

from pinnacle import event as e
from pinnacle.dialects.dialect import Request, Response
from pinnacle.dialects.gemini import Gemini
from pinnacle.event import BUY, LINK_GAP, LINK_STALE, SELL
from pinnacle.venues.feed import Followed
from pinnacle.venues.gemini import GeminiFeed, instruments
from pinnacle.venues.signing import gemini_headers, gemini_websocket_headers
from tests.dialects.rig import NS, Rig, body_of
from tests.dialects.wire import Wire, backwards, double, drop

SYMBOLS = ("btcusd", "ethusd")
KEY, SECRET = "key1", b"c2VjcmV0MQ=="


def rig(per_s=0.0, **how):
    return Rig(Gemini, SYMBOLS, per_s, **how)


def followed(rig):
    return [Followed(listing.instrument, 0, k) for k, listing in enumerate(rig.listings)]


class Client:
    """A key with its nonces."""

    def __init__(self, rig, key=KEY, secret=SECRET):
        self.rig, self.key, self.secret, self.nonce = rig, key, secret, rig.now_ns // 10**6

    def post(self, path, **said):
        self.nonce += 1
        payload = json.dumps({"request": path, "nonce": str(self.nonce)} | said).encode()
        headers = {name.lower(): value for name, value in gemini_headers(self.key, self.secret, payload).items()}
        return self.rig.request("POST", path, b"", headers)

    def connect(self, target="/"):
        self.nonce += 1
        headers = gemini_websocket_headers(self.key, self.secret, str(self.nonce))
        return self.rig.connect(target, {name.lower(): value for name, value in headers.items()})


def order(**more):
    return {"symbol": "btcusd", "amount": "0.1", "price": "59000.00", "side": "buy", "type": "exchange limit"} | more


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_client_sees_the_books_of_the_house():
    """Whole books at first, then overlapping frames of 100 ms: equal at every look; trades and tickers beside them."""
    made = rig(200, seed=3)
    wire = Wire(made, GeminiFeed(followed(made)))
    for _ in range(40):
        wire.step(100_000_000)
        assert wire.live() and wire.same_levels(0) and wire.same_levels(1)
    assert not wire.restarts and not wire.player.feed.counts.keys() - {"acknowledged", "late"}
    for k in (0, 1):
        told = [trade[1:] for trade in wire.books.trades if trade[0] == k]
        house = [(t.side, t.price_ticks, t.qty_lots, t.aux) for t in made.house.trades[k]]
        assert len(told) > 10 and told == house[-len(told) :]
        (_, _, bid, _, _), (_, _, ask, _, _) = [one for one in wire.books.tickers if one[0] == k][-2:]
        assert (bid, ask) == wire.books.best(k)


@pytest.mark.parametrize("fault", [drop(4), drop(11)])
def test_a_lost_frame_is_noticed_and_mended(fault):
    """Ids that do not meet: LINK_GAP, a new subscription, a whole book."""
    made = rig(300, seed=4)
    wire = Wire(made, GeminiFeed(followed(made)[:1]))
    wire.step(NS)
    lost = fault
    wire.fault = lambda messages: (
        [text for text in messages if b"depthUpdate" not in text]
        + lost([text for text in messages if b"depthUpdate" in text])
    )
    for _ in range(20):
        wire.step(100_000_000)
    wire.fault = None
    assert [kind for _, kind, _ in wire.books.links].count(LINK_GAP) == 1
    for _ in range(3):
        wire.step(100_000_000)
    assert wire.live() and wire.same_levels(0) and not wire.restarts


def test_doubled_and_swapped_frames():
    """Twice: nothing.  Backwards: a frame that is early is a gap, one that is late is left out."""
    made = rig(300, seed=5)
    wire = Wire(made, GeminiFeed(followed(made)[:1]))
    wire.fault = double
    for _ in range(10):
        wire.step(100_000_000)
        assert wire.live() and wire.same_levels(0)
    wire.fault = backwards
    for _ in range(5):
        made.step(100_000_000)
        made.step(100_000_000)
        wire.pump()
    assert LINK_GAP in [kind for _, kind, _ in wire.books.links]
    wire.fault = None
    for _ in range(3):
        wire.step(100_000_000)
    assert wire.live() and wire.same_levels(0)


def test_a_gap_on_demand_and_silence():
    """The dialect leaves a frame out when told to; silence ends the connection although we ping."""
    made = rig(300, seed=6)
    wire = Wire(made, GeminiFeed(followed(made)[:1]))
    asked = []
    made.dialect.spoil = lambda kind: asked.append(kind) or len(asked) == 3
    for _ in range(10):
        wire.step(100_000_000)
    assert [kind for _, kind, _ in wire.books.links].count(LINK_GAP) == 1 and wire.live()
    wire.fault = lambda messages: messages if wire.restarts else []
    for _ in range(16):
        wire.step(NS)
    wire.fault = None
    assert wire.restarts and LINK_STALE in [kind for _, kind, _ in wire.books.links]
    wire.step(100_000_000)
    wire.step(100_000_000)
    assert wire.live() and wire.same_levels(0)


def test_requests_of_a_websocket():
    """Replies with the id they answer; arrays of names only; unknown streams, methods and shapes are -1013."""
    made = rig(50)
    session = made.connect("/?snapshot=2")

    def ask(**said):
        made.say(session, {"id": "7"} | said)
        return made.hear(session)

    assert ask(method="PING") == [{"id": "7", "status": 200, "result": {}}]
    assert ask(method="time")[0]["result"]["serverTime"] == made.now_ns // 10**6
    assert ask(method="conninfo")[0]["result"]["rateLimits"]["ORDERS"] == 3500
    reply, first = ask(method="subscribe", params=["btcusd@depth@100ms"])
    assert reply["status"] == 200 and first["U"] == first["u"] and len(first["b"]) == len(first["a"]) == 2
    assert [one.keys() for one in ask(method="subscribe", params=["ethusd@depth5"])][1] == {
        "lastUpdateId",
        "bids",
        "asks",
    }
    assert ask(method="list_subscriptions")[0]["result"] == ["btcusd@depth@100ms", "ethusd@depth5"]
    assert len(ask(method="depth", params={"symbol": "BTCUSD", "limit": 3})[0]["result"]["bids"]) == 3
    assert ask(method="unsubscribe", params=["btcusd@depth@100ms"])[0]["status"] == 200
    for wrong in ({"method": "subscribe", "params": {"a": 1}}, {"method": "subscribe", "params": ["x@depth"]},
                  {"method": "subscribe", "params": [5]}, {"method": "dance"}, {"method": "depth", "params": []},
                  {"method": "depth", "params": {"symbol": "btcusd", "limit": 9999}}):  # fmt: skip
        assert ask(**wrong)[0]["error"]["code"] == -1013, wrong
    for text in (b"{", b"[]", b"\xff"):
        made.say(session, text)
        assert made.hear(session)[0]["status"] == 400
    assert ask(method="order.place", params={})[0]["status"] == 401
    assert ask(method="subscribe", params=["orders@account"])[0]["status"] == 401


# --- REST -------------------------------------------------------------------------------------------------------------


def test_symbols_and_books():
    """Instruments read by the client are the house's: tick_size is the lot; the book has amounts and no id."""
    made = rig(300, seed=7)
    made.step(NS)
    assert body_of(made.request("GET", "/v1/symbols")) == ["btcusd", "ethusd"]
    found = instruments(made.request("GET", "/v1/symbols/details/all").body)
    assert [(one.symbol, one.tick, one.lot) for one in found] == [
        (listing.instrument.symbol, listing.instrument.tick, listing.instrument.lot) for listing in made.listings
    ]
    book = body_of(made.request("GET", "/v1/book/BTCUSD?limit_bids=2&limit_asks=0"))
    assert len(book["bids"]) == 2 and len(book["asks"]) > 10 and book.keys() == {"bids", "asks"}
    trades = body_of(made.request("GET", "/v1/trades/btcusd?limit_trades=3"))
    last = made.house.trades[0][-1]
    assert trades[0]["tid"] == last.aux and trades[0]["type"] == ("buy" if last.side == BUY else "sell")
    assert body_of(made.request("GET", "/v1/pubticker/btcusd"))["bid"] == book["bids"][0]["price"]
    assert body_of(made.request("GET", "/v2/ticker/btcusd"))["symbol"] == "BTCUSD"
    assert body_of(made.request("GET", "/v2/candles/btcusd/1m"))
    for path, status, reason in (("/v1/book/xyz", 400, "InvalidSymbol"), ("/v1/nothing", 404, "EndpointNotFound")):
        answer = made.request("GET", path)
        assert answer.status == status and body_of(answer)["reason"] == reason
    assert [made.request("GET", "/v1/symbols").status for _ in range(130)].count(429) >= 10


def test_an_order_from_place_to_cancel():
    """Placed, shown, found by both ids, cancelled; filled ones with their trades and fees."""
    made = rig()
    client = Client(made)
    placed = body_of(client.post("/v1/order/new", **order(client_order_id="mm-1", options=["maker-or-cancel"])))
    assert placed["is_live"] and placed["client_order_id"] == "mm-1" and placed["options"] == ["maker-or-cancel"]
    assert [one["order_id"] for one in body_of(client.post("/v1/orders"))] == [placed["order_id"]]
    usd = {one["currency"]: one for one in body_of(client.post("/v1/balances"))}["USD"]
    assert float(usd["amount"]) - float(usd["available"]) == pytest.approx(5900 * 1.002, abs=1e-3)
    assert body_of(client.post("/v1/order/status", order_id=int(placed["order_id"])))["is_live"]
    assert len(body_of(client.post("/v1/order/status", client_order_id="mm-1"))) == 1
    gone = body_of(client.post("/v1/order/cancel", order_id=placed["order_id"]))
    assert gone["is_cancelled"] and gone["reason"] == "Requested"
    assert body_of(client.post("/v1/order/cancel", order_id=placed["order_id"]))["is_cancelled"]
    made.house.place(2, 0, SELL, 5_000, 6_000_000)
    taken = body_of(client.post("/v1/order/new", **order(price="60000.00", options=["maker-or-cancel"])))
    assert taken["is_cancelled"] and taken["reason"] == "MakerOrCancelWouldTake"
    rest = body_of(client.post("/v1/order/new", **order(price="60000.00", options=["immediate-or-cancel"])))
    assert rest["executed_amount"] == "0.05000" and rest["reason"] == "ImmediateOrCancelWouldPost"
    (trade,) = body_of(client.post("/v1/mytrades", symbol="BTCUSD"))
    assert trade["aggressor"] and float(trade["fee_amount"]) == 6 and trade["order_id"] == rest["order_id"]
    client.post("/v1/order/new", **order())
    assert len(body_of(client.post("/v1/order/cancel/all"))["details"]["cancelledOrders"]) == 1
    assert body_of(client.post("/v1/notionalvolume"))["api_taker_fee_bps"] == 20
    assert body_of(client.post("/v1/heartbeat")) == {"result": "ok"}
    assert len(body_of(client.post("/v1/orders/history"))) == 4


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"symbol": "xyz"}, 400, "InvalidSymbol"), ({"price": "59000.001"}, 400, "LimitPriceOffTick"),
        ({"amount": "1e-9"}, 400, "InvalidQuantity"), ({"amount": "100"}, 406, "InsufficientFunds"),
        ({"side": "long"}, 400, "InvalidSide"), ({"type": "market"}, 400, "InvalidOrderType"),
        ({"price": "x"}, 400, "InvalidPrice"), ({"price": "1.00"}, 400, "InvalidPrice"),
        ({"amount": "0"}, 400, "InvalidQuantity"),
        ({"options": "maker-or-cancel"}, 400, "OptionsMustBeArray"),
        ({"options": ["auction-only"]}, 400, "UnsupportedOption"),
        ({"options": ["maker-or-cancel", "fill-or-kill"]}, 400, "ConflictingOptions"),
        ({"client_order_id": "x" * 100}, 400, "ClientOrderIdTooLong"),
        ({"client_order_id": 5}, 400, "ClientOrderIdMustBeString"),
    ],
)  # fmt: skip
def test_orders_that_are_refused(change, status, reason):
    """Each with the venue's reason, and nothing placed."""
    made = rig()
    answer = Client(made).post("/v1/order/new", **order(**change))
    assert answer.status == status and body_of(answer) == body_of(answer) | {"result": "error", "reason": reason}
    assert made.house.open_orders(1) == []


def test_signatures_and_nonces():
    """A reused or lower nonce, over REST and websocket alike, another path's payload, a wrong signature, no payload."""
    made = rig()
    client = Client(made)
    assert client.post("/v1/balances").status == 200
    client.nonce -= 1
    assert body_of(client.post("/v1/balances"))["reason"] == "InvalidNonce"
    assert client.connect().account == 1
    client.nonce -= 1
    assert body_of(client.post("/v1/balances"))["reason"] == "InvalidNonce"
    assert body_of(client.post("/v1/balances", nonce="x"))["reason"] == "InvalidNonce"
    assert body_of(client.post("/v1/balances", nonce=True))["reason"] == "InvalidNonce"
    assert body_of(client.post("/v1/balances", request="/v1/orders"))["reason"] == "EndpointMismatch"
    assert body_of(Client(made, secret=b"wrong").post("/v1/balances"))["reason"] == "InvalidSignature"
    assert body_of(Client(made, key="nobody").post("/v1/balances"))["reason"] == "InvalidApiKey"
    assert body_of(made.request("POST", "/v1/balances"))["reason"] == "MissingApikeyHeader"
    assert body_of(client.post("/v1/order/status"))["reason"] == "MissingOrderField"
    assert body_of(client.post("/v1/order/cancel", order_id=5))["reason"] == "OrderNotFound"
    assert body_of(client.post("/v1/order/none"))["reason"] == "EndpointNotFound"
    for payload in (b"{", b"[]", b"\xff"):
        headers = {name.lower(): value for name, value in gemini_headers(KEY, SECRET, payload).items()}
        assert body_of(made.request("POST", "/v1/balances", b"", headers))["reason"] == "InvalidJson"
    old = gemini_websocket_headers("key2", b"c2VjcmV0Mg==", str(made.now_ns // NS - 31))
    refused = made.dialect.connect(Request("GET", "/", "", {k.lower(): v for k, v in old.items()}), made.now_ns)
    assert isinstance(refused, Response) and body_of(refused)["reason"] == "InvalidNonce"
    assert base64.b64decode(old["X-GEMINI-PAYLOAD"]).decode() == old["X-GEMINI-NONCE"]


def test_orders_over_the_websocket():
    """The reply has no id, the events do; MOC that would take is taken up and cancelled; refusals come twice."""
    made = rig()
    client = Client(made)
    session = client.connect("/?cancelOnDisconnect=true")

    def ask(method, **params):
        made.say(session, {"id": "1", "method": method, "params": params})
        heard = made.hear(session)
        return next(one for one in heard if "id" in one), [one for one in heard if one.get("e") == "executionReport"]

    made.say(session, {"id": "0", "method": "subscribe", "params": ["orders@account", "balances@account"]})
    made.hear(session)
    limit = {"symbol": "btcusd", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    limit |= {"price": "59000.00", "quantity": "0.1"}
    reply, events = ask("order.place", **limit, clientOrderId="a")
    assert reply == {"id": "1", "status": 200, "result": {}}
    assert [one["X"] for one in events] == ["NEW", "OPEN"] and events[0]["c"] == "a"
    made.house.place(2, 0, SELL, 4_000, 5_900_000)
    (fill,) = [one for one in made.hear(session) if one.get("e") == "executionReport"]
    assert (fill["X"], fill["z"], fill["Z"]) == ("PARTIALLY_FILLED", "0.06000", "0.04000")
    assert (fill["L"], fill["m"]) == ("59000.00", True)
    assert ask("order.place", **limit, clientOrderId="a")[0]["error"]["msg"] == "DuplicateOrder"
    reply, events = ask("order.place", **limit | {"quantity": "50"})
    assert reply["error"]["code"] == -2010 and [one["r"] for one in events] == ["InsufficientFunds"]
    made.house.place(2, 0, SELL, 1_000, 6_000_000)
    reply, events = ask("order.place", **limit | {"price": "60000.00", "timeInForce": "MOC"})
    assert reply["status"] == 200 and [one["X"] for one in events] == ["NEW", "CANCELED"]
    assert events[1]["r"] == "MakerOrCancelWouldTake"
    assert ask("order.cancel", orderId=int(fill["i"]))[0]["error"]["code"] == -1013
    reply, events = ask("order.cancel", orderId=fill["i"])
    assert reply["status"] == 200 and events[0]["X"] == "CANCELED" and events[0]["Z"] == "0.04000"
    assert "already filled" in ask("order.cancel", orderId=fill["i"])[0]["error"]["msg"]
    ask("order.place", **limit)
    ask("order.place", **limit | {"symbol": "ethusd", "price": "2900.00"})
    assert len(made.house.open_orders(1)) == 2
    assert ask("order.cancel_session")[0]["result"] == {"cancelled": 2}
    ask("order.place", **limit)
    made.house.place(1, 1, BUY, 10_000, 290_000)
    made.dialect.closed(session, made.now_ns)
    assert [one.instrument for one in made.house.open_orders(1)] == [1], "only what this connection placed"
    made.house.set_state(0, e.STATE_CANCEL_ONLY)
    assert body_of(client.post("/v1/order/new", **order()))["reason"] == "MarketNotOpen"

"""Bitstamp's dialect without sockets: our own feed has the house's book, faults are noticed, orders live."""

from __future__ import annotations

import itertools
from decimal import Decimal
from urllib.parse import urlencode

import msgspec
import pytest

from pinnacle import event as e
from pinnacle.dialects.bitstamp import Bitstamp
from pinnacle.dialects.dialect import Close, Ping
from pinnacle.event import ASK, BID
from pinnacle.limits import BITSTAMP_AUDIT_NS
from pinnacle.venues.bitstamp import BitstampFeed, instruments, instruments_path
from pinnacle.venues.feed import CAUSE_SEQUENCE, LIVE, Followed, Rows
from pinnacle.venues.signing import bitstamp_headers, bitstamp_response_signature, text_key
from tests.dialects.rig import NS, Rig, body_of
from tests.venues.fold import Fold

SYMBOLS = ("btcusd", "ethusd")
KEYS = {"key1": "c2VjcmV0MQ==", "key2": "c2VjcmV0Mg=="}
_numbers = itertools.count(1)


def rig(**how):
    return Rig(Bitstamp, SYMBOLS, **how)


def uuid(number):
    return f"{number:08x}-0000-4000-8000-000000000000"


def call(world, path, key="key1", method="POST", change=None, nonce=None, late_ns=0, **params):
    """A private REST call, signed as our own client signs."""
    path, body = f"/api/v2/{path}", urlencode(params).encode()
    stamp, nonce = (world.now_ns - late_ns) // 1_000_000, nonce or uuid(next(_numbers))
    headers = bitstamp_headers(key, text_key(KEYS.get(key, KEYS["key1"])), nonce, stamp, method, path, body)
    headers = {name.lower(): value for name, value in headers.items()} | (change or {})
    answer = world.request(method, path, body, headers)
    if "X-Server-Auth-Signature" in answer.headers:
        right = bitstamp_response_signature(text_key(KEYS[key]), nonce, stamp, "application/json", answer.body)
        assert answer.headers["X-Server-Auth-Signature"] == right
    return body_of(answer)


class Wired:
    """Our own feed on a session of the dialect and its REST, the records folded."""

    def __init__(self, world, orders=False):
        self.world, self.rows = world, Rows()
        self.feed = BitstampFeed(
            [Followed(one.instrument, 0, k, orders=orders) for k, one in enumerate(world.listings)]
        )
        self.folds = [Fold(k) for k in range(2)]
        self.session = world.connect("/")
        self.feed.opened(world.now_ns, self.rows)
        self.pass_on()

    def hear(self):
        taken = self.rows.take()
        for fold in self.folds:
            fold.hear(taken[taken["instrument"] == fold.instrument])

    def pass_on(self):
        """Everything queued goes either way, REST calls are answered."""
        world, feed = self.world, self.feed
        while True:
            world.dialect.take_waiting()
            outbox, self.session.outbox = self.session.outbox, []
            for message in outbox:
                if isinstance(message, bytes):
                    feed.received(message, world.now_ns, self.rows)
                    self.hear()
            sends, feed.sends = feed.sends, []
            for message in sends:
                self.session.receive(message, world.now_ns)
            fetches, feed.fetches = feed.fetches, []
            for fetch in fetches:
                answer = world.request(fetch.method, fetch.path)
                feed.answered(fetch.tag, answer.status, answer.body, world.now_ns, self.rows)
                self.hear()
            if not outbox and not sends and not fetches:
                return

    def step(self, ns):
        self.world.step(ns)
        self.pass_on()
        self.feed.tick(self.world.now_ns, self.rows)
        self.hear()
        self.pass_on()

    def right(self):
        house = self.world.house
        return all(fold.side(side) == house.levels(fold.instrument, side) for fold in self.folds for side in (BID, ASK))


@pytest.mark.parametrize("orders", [False, True])
def test_our_feed_has_the_houses_book(orders):
    """Under random flow, after every tick, the book that our feed says is the house's, by levels and by orders."""
    wired = Wired(rig(per_s=300, seed=3), orders)
    wired.step(NS // 10)
    for _ in range(60):
        wired.step(NS // 10)
        assert wired.feed.states() == [LIVE, LIVE] and wired.right()
        if orders:
            for fold in wired.folds:
                house = wired.world.house.resting(fold.instrument, BID)
                mine = [(n, t, q) for n, (side, t, q) in fold.orders.items() if side == BID]
                assert sorted(mine) == sorted(house)
    assert not any(fold.losses for fold in wired.folds) and wired.feed.counts["trades"] > 0


def test_a_lost_order_event_is_noticed_at_once():
    """An event kept back breaks the chain; the book is fetched anew and right again."""
    wired = Wired(rig(per_s=300, seed=4), orders=True)
    wired.step(NS)
    left = [1]
    wired.world.dialect.spoil = lambda kind: kind == "gap" and bool(left) and bool(left.pop())
    for _ in range(30):
        wired.step(NS // 10)
    assert [loss for fold in wired.folds for loss in fold.losses] == [(e.LINK_GAP, CAUSE_SEQUENCE)]
    assert wired.feed.states() == [LIVE, LIVE] and wired.right()


def test_a_lost_change_is_noticed_by_comparing():
    """Changes kept back are noticed at the latest when the venue's book is compared."""
    wired = Wired(rig(per_s=300, seed=4))
    left = [1, 1]
    wired.world.dialect.spoil = lambda kind: kind == "gap" and bool(left) and bool(left.pop())
    for _ in range(BITSTAMP_AUDIT_NS // NS + 8):
        wired.step(NS)
    assert not left and wired.feed.states() == [LIVE, LIVE] and wired.right()


def test_instruments_over_rest():
    """Both listings, read by our own client, give the house's instruments."""
    world = rig()
    for path in (instruments_path(()), "/api/v2/markets/"):
        found = {one.symbol: one for one in instruments(world.request("GET", path).body)}
        for listing in world.listings:
            one, ours = listing.instrument, found[listing.instrument.symbol]
            assert (ours.tick, ours.lot, ours.notional_min) == (one.tick, one.lot, one.notional_min)
    for path in ("ticker/btcusd/", "ticker/", "transactions/btcusd/", "currencies/"):
        assert world.request("GET", f"/api/v2/{path}").status == 200
    answer = world.request("GET", "/api/v2/order_book/nousd/")
    assert (answer.status, body_of(answer)["code"]) == (404, "404.003")
    assert world.request("GET", "/api/v2/nothing/").status == 404 == world.request("GET", "/").status


def test_signatures_nonces_and_times():
    """Each header that is wrong is refused with its own code, a nonce used before too, and nothing is done."""
    world = rig()
    assert {row["currency"] for row in call(world, "account_balances/")} == {"btc", "eth", "usd"}
    for change, code in [
        ({"x-auth": ""}, "API0013"),
        ({"x-auth": "BITSTAMP nobody"}, "API0001"),
        ({"x-auth-nonce": "7"}, "API0014"),
        ({"x-auth-timestamp": "now"}, "API0016"),
        ({"x-auth-version": "v1"}, "API0018"),
        ({"x-auth-signature": "00"}, "API0005"),
        ({"content-type": "application/x-www-form-urlencoded"}, "API0020"),
    ]:
        assert call(world, "account_balances/", change=change)["code"] == code
    assert call(world, "account_balances/", late_ns=151 * NS)["code"] == "API0017"
    assert isinstance(call(world, "account_balances/", nonce=uuid(1 << 30)), list)
    assert call(world, "account_balances/", nonce=uuid(1 << 30))["code"] == "API0004"
    world.step(151 * NS)
    assert isinstance(call(world, "account_balances/", nonce=uuid(1 << 30)), list)
    for _ in range(401):
        answer = call(world, "account_balances/")
    assert answer["code"] == "400.002"


def test_an_orders_life():
    """Placed, seen, replaced, traded, cancelled; status, histories and balances agree."""
    world = rig()
    made = call(world, "buy/btcusd/", amount="0.5", price="59000.5", client_order_id="mm-1", moc_order="True")
    assert (made["type"], made["price"], made["amount"], made["client_order_id"]) == (
        "0",
        "59000.50",
        "0.50000",
        "mm-1",
    )
    (row,) = call(world, "open_orders/all/")
    assert (row["id"], row["amount"], row["currency_pair"]) == (made["id"], "0.50000", "BTC/USD")
    assert call(world, "open_orders/ethusd/") == []
    moved = call(world, "replace_order/", id=made["id"], price="59001", client_order_id="mm-2")
    assert moved["id"] != made["id"] and moved["price"] == "59001.00"
    assert call(world, "order_status/", id=made["id"])["status"] == "Canceled"
    sold = call(world, "sell/btcusd/", key="key2", amount="0.1", price="59000", ioc_order="True")
    assert call(world, "order_status/", key="key2", id=sold["id"])["status"] == "Finished"
    status = call(world, "order_status/", client_order_id="mm-2")
    assert (status["status"], status["amount_remaining"]) == ("Open", "0.40000")
    assert status["transactions"][0]["btc"] == "0.10000" and status["transactions"][0]["usd"] == "5900.1"
    (row,) = call(world, "user_transactions/btcusd/")
    assert (row["btc"], row["usd"], row["btc_usd"]) == ("0.10000", "-5900.1", "59001.00")
    assert call(world, "trade_history/", method="GET")[0]["type"] == "MAKER"
    usd = {row["currency"]: row for row in call(world, "account_balances/")}["usd"]
    assert Decimal(usd["reserved"]) > 0 and Decimal(usd["total"]) == Decimal(usd["available"]) + Decimal(
        usd["reserved"]
    )
    gone = call(world, "cancel_order/", id=moved["id"])
    assert (gone["id"], gone["amount"], gone["status"]) == (int(moved["id"]), 0.4, "Canceled")
    assert call(world, "cancel_order/", id=moved["id"])["code"] == "404.002"
    call(world, "buy/btcusd/", amount="0.5", price="58000")
    call(world, "sell/ethusd/", amount="0.5", price="3500")
    assert len(call(world, "cancel_all_orders/btcusd/")["canceled"]) == 1
    assert len(call(world, "cancel_all_orders/")["canceled"]) == 1
    assert call(world, "fees/trading/btcusd/")["fees"] == {"maker": "0.100", "taker": "0.200"}


@pytest.mark.parametrize(
    ("path", "change", "code"),
    [
        ("buy/nousd/", {}, "404.003"),
        ("buy/btcusd/", {"price": ""}, "400.006"),
        ("buy/btcusd/", {"amount": ""}, "400.005"),
        ("buy/btcusd/", {"price": "59000.001"}, "400.007"),
        ("buy/btcusd/", {"price": "1"}, "400.021"),
        ("buy/btcusd/", {"amount": "0.00001"}, "400.046"),
        ("buy/btcusd/", {"amount": "99"}, "400.009"),
        ("buy/btcusd/", {"client_order_id": "taken"}, "400.019"),
        ("buy/btcusd/", {"moc_order": "True", "ioc_order": "True"}, "400.007"),
        ("cancel_order/", {"id": "7"}, "404.002"),
        ("cancel_order/", {}, "400.004"),
        ("order_status/", {"id": "x"}, "400.007"),
    ],
)
def test_orders_refused(path, change, code):
    """What cannot be is refused with Bitstamp's code, and no order more exists afterwards."""
    world = rig()
    call(world, "buy/btcusd/", amount="0.01", price="58000", client_order_id="taken")
    order = {"amount": "0.5", "price": "59000"} if path.startswith("buy") else {}
    assert call(world, path, **(order | change))["code"] == code
    assert len(call(world, "open_orders/")) == 1


def test_a_maker_or_cancel_order_that_would_take():
    """It is taken up and cancelled, without a trade."""
    world = rig()
    call(world, "sell/btcusd/", amount="0.5", price="60000")
    made = call(world, "buy/btcusd/", key="key2", amount="0.5", price="60000", moc_order="True")
    assert call(world, "order_status/", key="key2", id=made["id"])["status"] == "Canceled"
    assert len(call(world, "open_orders/")) == 1


# --- websocket --------------------------------------------------------------------------------------------------------


def subscribe(channel, **more):
    return {"event": "bts:subscribe", "data": {"channel": channel} | more}


def test_private_channels():
    """One's own orders and trades, with a token of the last minute only; the same events again over REST."""
    world = rig()
    told = call(world, "websockets_token/")
    session = world.connect("/")
    for channel in ("private-my_orders_btcusd-1", "private-my_trades_btcusd-1"):
        world.say(session, subscribe(channel, auth=told["token"]))
    world.say(session, subscribe("private-my_orders_btcusd-2", auth=told["token"]))
    world.say(session, subscribe("private-my_orders_btcusd-1"))
    heard = world.hear(session)
    assert [one["event"] for one in heard] == ["bts:subscription_succeeded"] * 2 + ["bts:error"] * 2
    assert heard[2]["data"]["code"] == 4009
    call(world, "buy/btcusd/", amount="0.5", price="59000", client_order_id="a")
    call(world, "sell/btcusd/", key="key2", amount="0.2", price="59000")
    call(world, "cancel_all_orders/")
    heard = world.hear(session)
    assert [one["event"] for one in heard] == ["order_created", "trade", "order_changed", "order_deleted"]
    assert [one["data"]["amount_str"] for one in heard if one["event"] != "trade"] == ["0.50000", "0.30000", "0.30000"]
    assert heard[1]["data"]["client_order_id"] == "a" and heard[1]["data"]["amount"] == "0.20000"
    rows = call(world, "account_order_data/", market="btcusd", order_source="orderbook")["data"]
    assert [row["event_id"] for row in rows] == [one["event_id"] for one in heard if one["event"] != "trade"]
    later = call(world, "account_order_data/", market="btcusd", since_id=rows[0]["event_id"])["data"]
    assert later == rows[1:]
    world.step(61 * NS)
    other = world.connect("/")
    world.say(other, subscribe("private-my_orders_btcusd-1", auth=told["token"]))
    assert world.hear(other)[0]["event"] == "bts:error"


def test_what_a_client_may_say():
    """A market that does not exist is granted and silent; nonsense is answered; big frames end the connection."""
    world = rig(per_s=100)
    session = world.connect("/")
    world.say(session, subscribe("diff_order_book_nousd"))
    assert world.hear(session)[0]["event"] == "bts:subscription_succeeded"
    for message, said in [
        (b"{", "Incorrect JSON format."),
        (b"[" * 500, "Incorrect JSON format."),
        ([1], "Bad subscription string."),
        ({"event": "bts:subscribe", "data": {}}, "Bad subscription string."),
        (subscribe("diff_order_book_BTC/USD"), "Invalid channel provided."),
        (subscribe("gossip"), "Invalid channel provided."),
    ]:
        world.say(session, message)
        assert [one["data"]["message"] for one in world.hear(session)] == [said]
    world.say(session, {"event": "bts:heartbeat"})
    assert world.hear(session)[0]["data"] == {"status": "success"}
    world.step(55 * NS)
    assert world.hear(session) == [Ping()]
    for channel in ("order_book_btcusd", "detail_order_book_btcusd", "live_trades_btcusd"):
        world.say(session, subscribe(channel))
    world.hear(session)
    world.step(NS)
    heard = world.hear(session)
    assert {one["channel"] for one in heard} >= {"order_book_btcusd", "detail_order_book_btcusd"}
    world.say(session, {"event": "bts:unsubscribe", "data": {"channel": "order_book_btcusd"}})
    assert world.hear(session)[0]["event"] == "bts:unsubscription_succeeded"
    world.say(session, msgspec.json.encode({"event": "bts:subscribe", "data": {"channel": "x" * 500}}))
    assert isinstance(world.hear(session)[-1], Close)

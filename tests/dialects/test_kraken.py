"""Kraken's dialect without sockets: our feed has the house's book, faults are noticed, orders live."""

from __future__ import annotations

import itertools
from decimal import Decimal

import msgspec
import pytest

from pinnacle import event as e
from pinnacle.dialects.dialect import Close
from pinnacle.dialects.kraken import Kraken
from pinnacle.dialects.kraken_orders import Counter
from pinnacle.dialects.kraken_words import Fail, order_id_of, order_text
from pinnacle.event import ASK, BID
from pinnacle.venues.feed import CAUSE_CHECKSUM, CAUSE_VENUE, LIVE, SYNCING, Followed, Rows
from pinnacle.venues.kraken import KrakenFeed, instruments, instruments_path
from pinnacle.venues.signing import base64_key, kraken_headers
from tests.dialects.rig import NS, Rig, body_of
from tests.venues.fold import Fold

SYMBOLS = ("BTC/USD", "ETH/USD")
KEYS = {"key1": "c2VjcmV0MQ==", "key2": "c2VjcmV0Mg=="}
_nonces = itertools.count(1_700_000_000_000)


def rig(**how):
    return Rig(Kraken, SYMBOLS, **how)


def call(world, name, body=None, key="key1", nonce=None, sign=None, **params):
    """A private REST call, signed as our own client signs."""
    path, nonce = f"/0/private/{name}", next(_nonces) if nonce is None else nonce
    if body is None:
        text = "&".join(f"{name}={value}" for name, value in {"nonce": nonce, **params}.items()).encode()
        kind = "application/x-www-form-urlencoded"
    else:
        text, kind = msgspec.json.encode({"nonce": str(nonce)} | body), "application/json"
    headers = kraken_headers(key, base64_key(KEYS.get(key, KEYS["key1"])), path, nonce, text if sign is None else sign)
    headers = {name.lower(): value for name, value in headers.items()} | {"content-type": kind}
    return body_of(world.request("POST", path, text, headers))


def token(world, key="key1"):
    return call(world, "GetWebSocketsToken", key=key)["result"]["token"]


class Wired:
    """Our own feed on a session of the dialect, its records folded."""

    def __init__(self, world, depth=10):
        self.world, self.rows = world, Rows()
        self.followed = [Followed(one.instrument, 0, k, depth=depth) for k, one in enumerate(world.listings)]
        self.feed, self.folds = KrakenFeed(self.followed), [Fold(k) for k in range(2)]
        self.session = world.connect("/v2")
        self.feed.opened(world.now_ns, self.rows)
        self.pass_on()

    def pass_on(self, drop=()):
        """Everything queued goes either way, but messages whose number is in drop."""
        while True:
            self.world.dialect.take_waiting()
            outbox, self.session.outbox = self.session.outbox, []
            for k, message in enumerate(outbox):
                if isinstance(message, bytes) and k not in drop:
                    self.feed.received(message, self.world.now_ns, self.rows)
                    taken = self.rows.take()
                    for fold in self.folds:
                        fold.hear(taken[taken["instrument"] == fold.instrument])
            sends, self.feed.sends = self.feed.sends, []
            for message in sends:
                self.session.receive(message, self.world.now_ns)
            if not outbox and not sends:
                return len(outbox)

    def step(self, ns, **how):
        self.world.step(ns)
        self.pass_on(**how)
        self.feed.tick(self.world.now_ns, self.rows)
        taken = self.rows.take()
        for fold in self.folds:
            fold.hear(taken[taken["instrument"] == fold.instrument])

    def right(self, depth):
        house = self.world.house
        return all(
            fold.side(side) == house.levels(fold.instrument, side, depth) for fold in self.folds for side in (BID, ASK)
        )


@pytest.mark.parametrize("depth", [10, 25, 1000])
def test_our_feed_has_the_houses_book(depth):
    """Under random flow, after every step, the book that our feed says is the house's to the depth subscribed to."""
    wired = Wired(rig(per_s=400, seed=3), depth)
    for _ in range(60):
        wired.step(NS // 20)
        assert wired.feed.states() == [LIVE, LIVE] and wired.right(depth)
    assert not any(fold.losses for fold in wired.folds) and wired.feed.counts["book"] > 60
    assert wired.feed.counts["trade"] > 0 and wired.feed.counts["ticker"] > 0 and not wired.feed.refused


@pytest.mark.parametrize("kind", ["checksum", "gap"])
def test_faults_are_noticed_and_healed(kind):
    """A wrong checksum, or a message kept back, costs the book's trust until it has been sent whole again."""
    wired = Wired(rig(per_s=400, seed=5))
    world, left = wired.world, [2]

    def spoil(what):
        if what == kind and left[0]:
            left[0] -= 1
            return True
        return False

    world.dialect.spoil = spoil
    for _ in range(60):
        wired.step(NS // 20)
        for fold in wired.folds:
            if fold.live and not left[0] and kind == "checksum":
                assert fold.side(BID) == world.house.levels(fold.instrument, BID, 10)
    losses = [loss for fold in wired.folds for loss in fold.losses]
    assert losses and set(losses) == {(e.LINK_GAP, CAUSE_CHECKSUM)} and left == [0]
    assert wired.feed.states() == [LIVE, LIVE] and wired.right(10)


def test_a_halt_is_told():
    """A market that is halted is told on the instrument channel; its book is stale until it opens again."""
    wired = Wired(rig(per_s=200))
    wired.step(NS)
    wired.world.house.set_state(0, e.STATE_HALTED)
    wired.pass_on()
    assert wired.folds[0].losses == [(e.LINK_STALE, CAUSE_VENUE)] and wired.feed.states()[1] == LIVE
    wired.world.house.set_state(0, e.STATE_OPEN)
    for _ in range(30):
        wired.step(NS // 10)
    assert wired.feed.states() == [LIVE, LIVE] and wired.right(10)


def test_instruments_over_rest():
    """AssetPairs read by our own client gives the house's instruments, under the websocket's names."""
    world = rig()
    found = {one.symbol: one for one in instruments(world.request("GET", instruments_path(())).body)}
    for listing in world.listings:
        one, ours = listing.instrument, found[listing.instrument.symbol]
        assert (ours.tick, ours.lot, ours.notional_min) == (one.tick, one.lot, one.notional_min)
    assert body_of(world.request("GET", "/0/public/Time"))["result"]["unixtime"] == world.now_ns // NS
    assert body_of(world.request("GET", "/0/public/Depth?pair=NO")) == {"error": ["EQuery:Unknown asset pair"]}
    assert body_of(world.request("GET", "/0/public/Nothing"))["error"] == ["EGeneral:Unknown method"]
    assert world.request("GET", "/favicon.ico").status == 404
    for name in ("SystemStatus", "Assets", "Ticker", "Trades?pair=XBTUSD", "Depth?pair=XXBTZUSD"):
        assert body_of(world.request("GET", f"/0/public/{name}"))["error"] == []


def test_ids_as_text():
    """Ids go to text and back; what is no such text is no id."""
    for number in (1, 36**5, 2**40 + 7, 2**36):
        assert order_id_of(order_text(number)) == number and len(order_text(number)) == 18
    for text in ("", "O", "OABCDE-12345-FGHI", "OABCDE-12345-fghij", "TABCDE-12345-FGHIJ"):
        assert order_id_of(text) == 0


# --- REST orders ------------------------------------------------------------------------------------------------------


def test_signatures_and_nonces():
    """Wrong key, signature, and a nonce used before are refused in Kraken's words; nothing is done."""
    world = rig()
    assert call(world, "Balance", nonce=10)["error"] == []
    assert call(world, "Balance", nonce=10) == {"error": ["EAPI:Invalid nonce"]}
    assert call(world, "Balance", nonce=9) == {"error": ["EAPI:Invalid nonce"]}
    assert call(world, "Balance", key="nobody") == {"error": ["EAPI:Invalid key"]}
    assert call(world, "Balance", sign=b"nonce=11") == {"error": ["EAPI:Invalid signature"]}
    assert call(world, "Balance", nonce=12)["result"]["XXBT"] == "10"
    assert call(world, "NoSuchCall")["error"] == ["EGeneral:Unknown method"]
    for _ in range(30):
        answer = call(world, "Balance")
    assert answer == {"error": ["EAPI:Rate limit exceeded"]}
    world.step(2 * NS)
    assert call(world, "Balance")["error"] == []


def test_an_orders_life_over_rest():
    """Place, see, amend, edit, cancel; trade against another account; the histories and balances agree."""
    world = rig()
    made = call(world, "AddOrder", pair="XBTUSD", type="buy", ordertype="limit", price="59000.5", volume="0.5",
                oflags="post", cl_ord_id="mm-1")["result"]  # fmt: skip
    (name,) = made["txid"]
    assert made["descr"]["order"] == "buy 0.50000 XBTUSD @ limit 59000.50"
    row = call(world, "OpenOrders")["result"]["open"][name]
    assert (row["status"], row["cl_ord_id"], row["vol"], row["oflags"]) == ("open", "mm-1", "0.50000", "fciq,post")
    assert call(world, "BalanceEx")["result"]["ZUSD"]["hold_trade"] != "0"
    assert call(world, "AmendOrder", txid=name, order_qty="0.4", limit_price="59000.6")["error"] == []
    assert call(world, "QueryOrders", txid=name)["result"][name]["descr"]["price"] == "59000.60"
    sold = call(world, "AddOrder", key="key2", pair="XBTUSD", type="sell", ordertype="market", volume="0.1")["result"]
    trades = call(world, "TradesHistory")["result"]
    (trade,) = trades["trades"].values()
    assert trades["count"] == 1 and (trade["maker"], trade["price"], trade["vol"]) == (True, "59000.60", "0.10000")
    assert trade["cost"] == "5900.06" and Decimal(trade["fee"]) == Decimal("5.90006")
    closed = call(world, "ClosedOrders", key="key2")["result"]["closed"][sold["txid"][0]]
    assert (closed["status"], closed["vol_exec"]) == ("closed", "0.10000")
    edited = call(world, "EditOrder", txid=name, pair="XBTUSD", price="58999")["result"]
    assert edited["originaltxid"] == name != edited["txid"] and edited["volume"] == "0.30000"
    assert call(world, "CancelOrder", txid=name)["error"] == ["EOrder:Unknown order"]
    assert call(world, "CancelOrder", txid=edited["txid"])["result"] == {"count": 1}
    assert call(world, "OpenOrders")["result"]["open"] == {}
    assert call(world, "BalanceEx")["result"]["ZUSD"]["hold_trade"] == "0"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pair": "NONE"}, "EQuery:Unknown asset pair"),
        ({"price": "59000.001"}, "EOrder:Tick size check failed"),
        ({"price": "x"}, "EGeneral:Invalid arguments:limit_price"),
        ({"volume": "0.000001"}, "EGeneral:Invalid arguments:volume"),
        ({"volume": "0.00001"}, "EOrder:Cost minimum not met"),
        ({"volume": "100"}, "EOrder:Insufficient funds"),
        ({"type": "hold"}, "EGeneral:Invalid arguments:type"),
        ({"ordertype": "iceberg"}, "EGeneral:Invalid arguments:ordertype"),
        ({"timeinforce": "DAY"}, "EGeneral:Invalid arguments:timeinforce"),
        ({"stptype": "none"}, "EGeneral:Invalid arguments:stptype"),
        ({"deadline": "2023-01-01T00:00:00Z"}, "EService:Deadline elapsed"),
    ],
)
def test_orders_refused(change, error):
    """What cannot be is refused with Kraken's text, and no order exists afterwards."""
    world = rig()
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "59000", "volume": "0.5"} | change
    assert call(world, "AddOrder", **order)["error"] == [error]
    assert call(world, "OpenOrders")["result"]["open"] == {}


def test_the_rate_counter():
    """Orders cancelled at once cost nine points of 180, so the twentieth pair is too much, until time has passed; a
    cancel is never refused for it."""
    counter = Counter(180, 3750)
    for _ in range(20):
        counter.add(1, 0, 1, 0)
        counter.add(1, 0, 8, 0, must=False)
    with pytest.raises(Fail, match="Rate limit"):
        counter.add(1, 0, 1, 0)
    counter.add(1, 1, 1, 0)
    counter.add(1, 0, 1, NS)
    assert counter.points(1, 0, 60 * NS) == 0


# --- websocket orders -------------------------------------------------------------------------------------------------


def private(world, key="key1"):
    """A session that hears its executions and balances, and its token."""
    session, mine = world.connect("/v2"), token(world, key)
    for channel in ("executions", "balances"):
        world.say(session, {"method": "subscribe", "params": {"channel": channel, "token": mine}})
    return session, mine, world.hear(session)


def order(mine, number=1, **change):
    params = {"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "limit_price": 59000.5, "order_qty": 0.5}
    return {"method": "add_order", "req_id": number, "params": params | {"token": mine} | change}


def subscribe(**params):
    return {"method": "subscribe", "params": params}


def of(messages, channel):
    return [row for one in messages if one.get("channel") == channel for row in one["data"]]


def test_an_orders_life_over_the_websocket():
    """Acknowledged, amended, partly filled, cancelled: answers and executions in order, each sequence without a gap."""
    world = rig()
    session, mine, begin = private(world)
    assert [one.get("channel") or one["method"] for one in begin] == [
        "status", "subscribe", "executions", "subscribe", "balances",
    ]  # fmt: skip
    assert {row["asset"]: row["balance"] for row in of(begin, "balances")} == {"BTC": 10, "ETH": 100, "USD": 1_000_000}
    world.say(session, order(mine, cl_ord_id="a", post_only=True))
    heard = world.hear(session)
    (answer,) = [one for one in heard if one.get("method")]
    assert answer["success"] and answer["req_id"] == 1 and answer["result"]["cl_ord_id"] == "a"
    name = answer["result"]["order_id"]
    assert [row["exec_type"] for row in of(heard, "executions")] == ["pending_new", "new"]
    world.say(session, {"method": "amend_order", "params": {"order_id": name, "order_qty": 0.4, "token": mine}})
    heard = world.hear(session)
    assert of(heard, "executions")[0]["exec_type"] == "amended" and of(heard, "executions")[0]["order_qty"] == 0.4
    other, theirs, _ = private(world, "key2")
    world.say(other, order(theirs, side="sell", order_qty=0.1, time_in_force="ioc"))
    assert [row["exec_type"] for row in of(world.hear(other), "executions")] == [
        "pending_new",
        "new",
        "trade",
        "filled",
    ]
    heard = world.hear(session)
    (trade,) = of(heard, "executions")
    assert (trade["exec_type"], trade["liquidity_ind"], trade["last_qty"], trade["cum_qty"]) == ("trade", "m", 0.1, 0.1)
    moves = {row["asset"]: (row["amount"], row["balance"]) for row in of(heard, "balances")}
    assert moves["BTC"] == (0.1, 10.1) and moves["USD"][0] == -5900.05
    world.say(session, {"method": "cancel_order", "req_id": 9, "params": {"cl_ord_id": ["a", "b"], "token": mine}})
    heard = world.hear(session)
    assert [one["success"] for one in heard if one.get("method")] == [True, False]
    (gone,) = of(heard, "executions")
    assert (gone["exec_type"], gone["reason"], gone["cum_qty"]) == ("canceled", "User requested", 0.1)
    world.say(session, order(mine, order_qty=0.2))
    everything = begin + heard + world.hear(session)
    sequences = [one["sequence"] for one in everything if one.get("channel") == "executions"]
    assert sequences == sorted(set(sequences)) and sequences[0] == 1


def test_post_only_ioc_and_batches():
    """A post-only order that would take is taken up and cancelled; a batch answers for each of its orders."""
    world = rig()
    session, mine, _ = private(world)
    world.say(session, order(mine, side="sell", limit_price=60000, order_qty=1))
    world.hear(session)
    other, theirs, _ = private(world, "key2")
    world.say(other, order(theirs, limit_price=60000, post_only=True))
    heard = world.hear(other)
    assert [one["success"] for one in heard if one.get("method")] == [True]
    assert [(row["exec_type"], row.get("reason")) for row in of(heard, "executions")] == [
        ("pending_new", None), ("canceled", "Post only order"),
    ]  # fmt: skip
    orders = [
        {"order_type": "limit", "side": "buy", "limit_price": 50 + 55000, "order_qty": q} for q in (0.01, 50, 0.02)
    ]
    world.say(other, {"method": "batch_add", "params": {"symbol": "BTC/USD", "orders": orders, "token": theirs}})
    (answer,) = [one for one in world.hear(other) if one.get("method")]
    assert [one["success"] for one in answer["result"]["orders"]] == [True, False, True]
    assert answer["result"]["orders"][1]["error"] == "EOrder:Insufficient funds"
    world.say(other, {"method": "cancel_all", "params": {"token": theirs}})
    assert [one["result"] for one in world.hear(other) if one.get("method")] == [{"count": 2}]


def test_the_dead_mans_switch_and_expiry():
    """Everything is cancelled when the time is up, once; an order with an end goes at its end."""
    world = rig()
    session, mine, _ = private(world)
    world.say(session, order(mine))
    world.say(session, order(mine, time_in_force="gtd", expire_time="2023-11-14T22:13:25Z"))
    world.say(session, {"method": "cancel_all_orders_after", "params": {"timeout": 20, "token": mine}})
    world.hear(session)
    for _ in range(15):
        world.step(NS)
        world.say(session, {"method": "ping"})
    heard = world.hear(session)
    assert [row["exec_type"] for row in of(heard, "executions")] == ["expired"]
    world.step(10 * NS)
    assert [row["exec_type"] for row in of(world.hear(session), "executions")] == ["canceled"]
    world.say(session, order(mine))
    world.step(40 * NS)
    assert "canceled" not in [row["exec_type"] for row in of(world.hear(session), "executions")]


def test_tokens_silence_and_nonsense():
    """No token, a token too old, and what is no request are answered; a client that says nothing is hung up on."""
    world = rig()
    session, mine = world.connect("/v2"), token(world)
    world.hear(session)
    for message, error in [
        (b"{", "EGeneral:Invalid arguments:Malformed request"),
        (b"[" * 5000, "EGeneral:Invalid arguments:Malformed request"),
        ({"method": "dance"}, "EGeneral:Invalid arguments:Unknown method"),
        ({"method": "add_order", "params": {}}, "EGeneral:Invalid arguments:token"),
        (order("stolen"), "EAPI:Invalid token"),
        (subscribe(channel="gossip"), "EGeneral:Invalid arguments:channel"),
        (subscribe(channel="book", symbol=["XBT/USD"]), "Currency pair not supported XBT/USD"),
        (subscribe(channel="book", symbol=["BTC/USD"], depth=7), "EGeneral:Invalid arguments:depth"),
    ]:  # fmt: skip
        world.say(session, message)
        (answer,) = world.hear(session)
        assert answer["success"] is False and answer["error"] == error
    world.say(session, {"method": "ping", "req_id": 4})
    assert world.hear(session)[0]["method"] == "pong"
    world.dialect.orders.now_ns = world.now_ns
    for _ in range(19):
        world.step(50 * NS)
        world.say(session, {"method": "ping"})
    world.hear(session)
    world.say(session, order(mine))
    assert world.hear(session)[0]["error"] == "ESession:Invalid session"
    world.step(61 * NS)
    assert any(isinstance(one, Close) for one in world.hear(session))


def test_a_client_that_lags_behind_does_not_harm_others():
    """Two depths of one book are each told in full, whoever else is there or has gone."""
    world = rig(per_s=300)
    first, second = Wired(world, 10), Wired(world, 25)
    for step in range(30):
        world.step(NS // 20)
        first.pass_on()
        second.pass_on()
        if step == 15:
            world.dialect.closed(first.session, world.now_ns)
    assert second.right(25) and second.feed.states() == [LIVE, LIVE] and first.feed.states() != [SYNCING, SYNCING]

"""Coinbase Exchange's dialect: a client of ours sees the house's book, and REST answers as the venue does."""

from __future__ import annotations

import json

import pytest

from pinnacle import event as e
from pinnacle.dialects.coinbase import Coinbase
from pinnacle.dialects.coinbase_words import ORDERS, number_of, uuid_of
from pinnacle.dialects.dialect import Close
from pinnacle.event import BUY, LINK_GAP, LINK_STALE, SELL
from pinnacle.venues.coinbase import CoinbaseFeed, instruments
from pinnacle.venues.coinbase_orders import order_id_of
from pinnacle.venues.feed import Followed
from pinnacle.venues.signing import base64_key, coinbase_exchange_headers, coinbase_exchange_subscribe
from tests.dialects.rig import NS, Rig, body_of
from tests.dialects.wire import Wire, backwards, double, drop

SYMBOLS = ("BTC-USD", "ETH-USD")
KEYS = ("key1", base64_key("c2VjcmV0MQ=="), "phrase1")
UUID = "6d1b345e-2821-40e2-ad83-4ecb18a06876"


def rig(per_s=0.0, **how):
    return Rig(Coinbase, SYMBOLS, per_s, **how)


def sign(ts_ns):
    return coinbase_exchange_subscribe(*KEYS, f"{ts_ns // 10**6 / 1000:.3f}")


def followed(rig, orders=False):
    return [Followed(listing.instrument, 0, k, orders=orders) for k, listing in enumerate(rig.listings)]


def private(rig, method, target, body=None, keys=KEYS, stamp=None, headers=None):
    raw = json.dumps(body).encode() if body is not None else b""
    stamp = stamp or str(rig.now_ns // NS)
    signed = coinbase_exchange_headers(*keys, stamp, method, target, raw)
    lower = {name.lower(): value for name, value in (signed | (headers or {})).items()} | {"user-agent": "t"}
    return rig.request(method, target, raw, lower)


def public(rig, target):
    return rig.request("GET", target, headers={"user-agent": "t"})


def order(**more):
    return {"type": "limit", "side": "buy", "product_id": "BTC-USD", "price": "59000.00", "size": "0.1"} | more


# --- the feed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [False, True])
def test_a_client_sees_the_books_of_the_house(signed):
    """Levels by level2_batch and by level2, trades and tickers, over seconds of random flow: equal at every look."""
    made = rig(200, seed=3)
    wire = Wire(made, CoinbaseFeed(followed(made), sign if signed else None))
    for _ in range(60):
        wire.step(50_000_000)
        assert wire.live() and (wire.same_levels(0) and wire.same_levels(1))
    assert not wire.restarts and wire.player.feed.counts.keys() <= {"acknowledged"}
    for k in (0, 1):
        told = [trade[1:] for trade in wire.books.trades if trade[0] == k]
        house = [(t.side, t.price_ticks, t.qty_lots, t.aux) for t in made.house.trades[k]]
        assert len(told) > 10 and told == house[-len(told) :], "by the aggressor's side"
    assert wire.books.tickers


@pytest.mark.parametrize("channel", ["full", "level3"])
def test_a_client_sees_every_order(channel):
    """full and level3, joined to the REST book by its sequence: the same orders in the same sizes, without a gap."""
    made = rig(200, seed=4)
    wire = Wire(made, CoinbaseFeed(followed(made, orders=True), sign, channel))
    ours = lambda number: order_id_of(uuid_of(ORDERS, number))  # noqa: E731
    for _ in range(40):
        wire.step(50_000_000)
        if wire.live():
            assert wire.same_orders(ours, 0) and wire.same_orders(ours, 1)
    assert wire.live() and wire.books.trades
    made.house.place(1, 0, BUY, 1000, 5_600_000)
    made.house.place(2, 0, BUY, 3000, 5_600_000)
    resting = made.house.open_orders(2)[0]
    made.house.replace(resting, 5_600_100, 2000)
    made.house.place(1, 0, SELL, 100, 5_500_000, e.IOC)
    wire.step(50_000_000)
    made.house.cancel(made.house.open_orders(1)[0])
    wire.step(50_000_000)
    assert wire.live() and wire.same_orders(ours, 0)
    assert set(wire.player.feed.counts) <= {"acknowledged", "books too old"}


@pytest.mark.parametrize("fault", [drop(3), drop(10), backwards])
def test_lost_and_swapped_order_messages_are_noticed(fault):
    """The count of a product's messages has no hole that goes unseen; a new whole book mends it."""
    made = rig(300, seed=5)
    wire = Wire(made, CoinbaseFeed(followed(made, orders=True)[:1], sign))
    for _ in range(5):
        wire.step(50_000_000)
    assert wire.live()
    wire.fault = fault
    for _ in range(8):
        wire.step(50_000_000)
    wire.fault = None
    assert LINK_GAP in [kind for _, kind, _ in wire.books.links]
    for _ in range(60):
        wire.step(50_000_000)
    assert wire.live() and wire.same_orders(lambda number: order_id_of(uuid_of(ORDERS, number)), 0)


def test_doubled_messages_change_nothing():
    """Everything twice: the same book, live all along; trades are said once."""
    made = rig(200, seed=6)
    wire = Wire(made, CoinbaseFeed(followed(made)))
    wire.fault = double
    for _ in range(40):
        wire.step(50_000_000)
        assert wire.live() and wire.same_levels(0)
    numbers = [trade[4] for trade in wire.books.trades if trade[0] == 0]
    assert numbers == sorted(set(numbers)) and numbers


def test_a_lost_trade_is_noticed_and_a_lost_level_may_not_be():
    """Levels carry no number: the alarm is the trade that is missing, at the next trade or the second heartbeat."""
    made = rig(200, seed=7)
    wire = Wire(made, CoinbaseFeed(followed(made)[:1]))
    for _ in range(10):
        wire.step(50_000_000)
    wire.fault = lambda messages: [text for text in messages if b'"type":"match"' not in text]
    for _ in range(25):
        wire.step(50_000_000)
    wire.fault = None
    for _ in range(50):
        wire.step(50_000_000)
    assert LINK_GAP in [kind for _, kind, _ in wire.books.links]
    assert wire.live() and wire.same_levels(0)


def test_a_gap_on_demand_and_silence():
    """The dialect leaves a message out when told to; a connection on which nothing comes is given up."""
    made = rig(200, seed=8)
    wire = Wire(made, CoinbaseFeed(followed(made, orders=True)[:1], sign))
    for _ in range(5):
        wire.step(50_000_000)
    asked = []
    made.dialect.spoil = lambda kind: asked.append(kind) or len(asked) == 3
    for _ in range(10):
        wire.step(50_000_000)
    assert [kind for _, kind, _ in wire.books.links].count(LINK_GAP) == 1 and set(asked) == {"gap"}
    made.dialect.spoil = lambda kind: False
    wire.fault = lambda messages: []
    for _ in range(6):
        wire.step(NS)
    wire.fault = None
    assert wire.restarts and LINK_STALE in [kind for _, kind, _ in wire.books.links]
    for _ in range(20):
        wire.step(100_000_000)
    assert wire.live()


def test_what_a_subscription_may_be():
    """Wrong products, channels, signatures and shapes are said as errors; silence for five seconds is disconnected."""
    made = rig()
    session = made.connect("/")

    def said(message):
        made.say(session, message)
        return made.hear(session)

    wanted = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2_batch", "matches", "heartbeat"]}
    first = said(wanted)
    assert [one["type"] for one in first] == ["subscriptions", "snapshot"]
    assert [one["name"] for one in first[0]["channels"]] == ["level2_50", "matches", "heartbeat"]
    more = said({"type": "subscribe", "channels": [{"name": "ticker", "product_ids": ["ETH-USD"]}]})
    assert [one["name"] for one in more[0]["channels"]] == ["level2_50", "matches", "heartbeat", "ticker"]
    assert len(said(wanted | {"type": "unsubscribe"})[0]["channels"]) == 1
    for wrong in (b"{", b"\xff", b"[]", {"type": "hello"}, wanted | {"channels": ["nothing"]},
                  wanted | {"product_ids": []}, wanted | {"product_ids": ["X-Y"]}, wanted | {"channels": 5},
                  wanted | {"channels": ["full"]},
                  wanted | {"channels": [{"name": []}]}, wanted | {"product_ids": [{}]}):  # fmt: skip
        assert [one["type"] for one in said(wrong)] == ["error"], wrong
    good = wanted | {"channels": ["full"]}
    assert said(good | sign(made.now_ns) | {"signature": "x"})[0]["reason"] == "invalid signature"
    assert said(good | sign(made.now_ns) | {"passphrase": "x"})[0]["reason"] == "Invalid Passphrase"
    assert said(good | sign(made.now_ns) | {"key": "x"})[0]["reason"] == "Invalid API Key"
    assert said(good | sign(made.now_ns - 31 * NS))[0]["reason"] == "request timestamp expired"
    assert said(good | sign(made.now_ns))[0]["type"] == "subscriptions"
    quiet = made.connect("/")
    made.step(6 * NS)
    assert isinstance(made.hear(quiet)[-1], Close)
    chatty = made.connect("/")
    for _ in range(102):
        made.say(chatty, {"type": "hello"})
    assert isinstance(made.hear(chatty)[-1], Close) and made.request("GET", "/time").status == 400


def test_heartbeats_and_status():
    """One heartbeat a second with the last trade; the state of a market where it changes."""
    made = rig()
    session = made.connect("/")
    made.say(session, {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["heartbeat", "status"]})
    assert [one["type"] for one in made.hear(session)] == ["subscriptions", "status"]
    made.step(1)
    made.hear(session)
    made.step(3 * NS)
    beats = [one for one in made.hear(session) if one["type"] == "heartbeat"]
    assert len(beats) == 3 and beats[0]["last_trade_id"] == 0
    made.house.set_state(0, e.STATE_CANCEL_ONLY)
    (status,) = made.hear(session)
    assert status["products"][0]["cancel_only"] is True
    assert private(made, "POST", "/orders", order()).status == 400


# --- REST -------------------------------------------------------------------------------------------------------------


def test_products_books_and_trades():
    """What REST tells everyone, in the venue's shapes; instruments read by the client are the house's."""
    made = rig(300, seed=9)
    made.step(NS)
    found = instruments(public(made, "/products").body)
    assert [(one.symbol, one.tick, one.lot) for one in found] == [
        (listing.instrument.symbol, listing.instrument.tick, listing.instrument.lot) for listing in made.listings
    ]
    book3, book2, book1 = (body_of(public(made, f"/products/BTC-USD/book?level={level}")) for level in (3, 2, 1))
    assert len(book1["bids"]) == 1 and book1["bids"][0] == book2["bids"][0]
    levels = {}
    for price, size, _ in book3["asks"]:
        levels.setdefault(price, []).append(float(size))
    assert {p: (pytest.approx(sum(sizes)), len(sizes)) for p, sizes in levels.items()} == {
        p: (float(size), count) for p, size, count in book2["asks"]
    }
    trades = body_of(public(made, "/products/BTC-USD/trades?limit=5"))
    last = made.house.trades[0][-1]
    assert trades[0]["trade_id"] == last.aux and trades[0]["side"] == ("sell" if last.side == BUY else "buy")
    ticker = body_of(public(made, "/products/BTC-USD/ticker"))
    assert ticker["bid"] == book1["bids"][0][0] and ticker["trade_id"] == last.aux
    assert body_of(public(made, "/products/BTC-USD/candles?granularity=60"))
    assert body_of(public(made, "/time"))["epoch"] == made.now_ns / 1e9
    made.now_ns += NS
    for path, status in (("/products/X", 404), ("/nothing", 404), ("/products/BTC-USD/book?level=9", 400),
                         ("/products/BTC-USD/trades?limit=x", 400)):  # fmt: skip
        answer = public(made, path)
        assert answer.status == status and body_of(answer)["message"]


def test_an_order_from_place_to_cancel():
    """Placed, shown, found by both ids, cancelled; what it held is free again."""
    made = rig()
    placed = body_of(private(made, "POST", "/orders", order(client_oid=UUID, post_only=True)))
    assert placed["status"] == "open" and placed["client_oid"] == UUID and placed["price"] == "59000.00"
    held = {one["currency"]: one for one in body_of(private(made, "GET", "/accounts"))}["USD"]
    assert float(held["hold"]) == pytest.approx(5900 * 1.002, abs=1e-3)
    assert [one["id"] for one in body_of(private(made, "GET", "/orders?status=open&product_id=BTC-USD"))] == [
        placed["id"]
    ]
    assert body_of(private(made, "GET", f"/orders/client:{UUID}"))["id"] == placed["id"]
    assert private(made, "POST", "/orders", order(client_oid=UUID)).status == 409
    assert body_of(private(made, "DELETE", f"/orders/{placed['id']}")) == placed["id"]
    again = private(made, "DELETE", f"/orders/{placed['id']}")
    assert again.status == 400 and body_of(again)["message"] == "Order already done"
    shown = body_of(private(made, "GET", f"/orders/{placed['id']}"))
    assert (shown["status"], shown["done_reason"]) == ("done", "canceled")
    body_of(private(made, "POST", "/orders", order()))
    assert len(body_of(private(made, "DELETE", "/orders?product_id=BTC-USD"))) == 1
    assert number_of(ORDERS, placed["id"]) is not None and number_of(ORDERS, UUID) is None


def test_fills_and_fees():
    """A taker and a maker: sizes, sides, fees in quote currency, and the rejected post-only order that is no error."""
    made = rig()
    made.house.place(2, 0, SELL, 50_000, 6_000_000)
    rejected = private(made, "POST", "/orders", order(price="60000.00", post_only=True))
    assert rejected.status == 200 and body_of(rejected)["status"] == "rejected"
    assert "post only" in body_of(rejected)["reject_reason"]
    done = body_of(private(made, "POST", "/orders", order(price="60001.00", size="0.2", time_in_force="IOC")))
    assert done["status"] == "done" and float(done["filled_size"]) == 0.2 and float(done["executed_value"]) == 12_000
    (fill,) = body_of(private(made, "GET", f"/fills?order_id={done['id']}"))
    assert fill["liquidity"] == "T" and float(fill["fee"]) == 24 == float(done["fill_fees"])
    market = body_of(
        private(made, "POST", "/orders", {"type": "market", "side": "buy", "product_id": "BTC-USD", "funds": "600"})
    )
    assert float(market["filled_size"]) == 0.01
    assert len(body_of(private(made, "GET", "/fills?product_id=BTC-USD"))) == 2
    assert body_of(private(made, "GET", "/fees"))["taker_fee_rate"] == "0.0020"


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"product_id": "X-Y"}, 404, "Product not found"), ({"price": "59000.001"}, 400, "price too precise"),
        ({"size": "0.000001"}, 400, "size is too accurate"), ({"size": "100"}, 400, "Insufficient funds"),
        ({"side": "both"}, 400, "Invalid side"), ({"price": "abc"}, 400, "Invalid Price"),
        ({"size": None}, 400, "Size"),
        ({"time_in_force": "IOC", "post_only": True}, 400, "post_only"), ({"type": "stop"}, 400, "order type"),
        ({"client_oid": "mine"}, 400, "UUID"), ({"price": "1e3000000"}, 400, "Invalid Price"), ({"stp": 5}, 400, "stp"),
        ({"size": "0.00001", "price": "56000"}, 400, "funds is too small"), ({"price": "-59000"}, 400, "Invalid Price"),
    ],
)  # fmt: skip
def test_orders_that_are_refused(change, status, text):
    """Each in the venue's words, with nothing placed."""
    made = rig()
    answer = private(made, "POST", "/orders", order(**change))
    assert answer.status == status and text in body_of(answer)["message"]
    assert made.house.open_orders(1) == []


def test_signatures_and_limits():
    """Wrong key, passphrase, signature, body and time; too many requests."""
    made = rig()
    for keys, text in (
        (("nobody", *KEYS[1:]), "Invalid API Key"),
        ((*KEYS[:2], "wrong"), "Invalid Passphrase"),
        ((KEYS[0], b"other", KEYS[2]), "invalid signature"),
    ):
        answer = private(made, "GET", "/accounts", keys=keys)
        assert answer.status == 401 and body_of(answer)["message"] == text
    answer = private(made, "GET", "/accounts", stamp=str(made.now_ns // NS - 31))
    assert body_of(answer)["message"] == "request timestamp expired"
    assert private(made, "GET", "/accounts", stamp="now").status == 401
    assert made.request("GET", "/accounts", headers={"user-agent": "t"}).status == 401
    for bad in (b"", b"{", b"[]", b"\xff"):
        stamp = str(made.now_ns // NS)
        headers = coinbase_exchange_headers(*KEYS, stamp, "POST", "/orders", bad)
        lower = {name.lower(): value for name, value in headers.items()} | {"user-agent": "t"}
        assert made.request("POST", "/orders", bad, lower).status == 400
    assert [private(made, "GET", "/fees").status for _ in range(40)].count(429) >= 8
    assert [public(made, "/time").status for _ in range(20)].count(429) == 5
    made.step(2 * NS)
    assert public(made, "/time").status == private(made, "GET", "/fees").status == 200
    assert private(made, "GET", "/orders/nothing").status == 400
    assert private(made, "GET", f"/orders/{UUID}").status == 404


def test_the_user_channel_tells_own_orders_only():
    """received, open, match, done of the account's own; nothing of others'."""
    made = rig()
    session = made.connect("/")
    made.say(session, {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["user"]} | sign(made.now_ns))
    made.hear(session)
    mine = made.house.place(1, 0, BUY, 1000, 5_900_000, client_id=UUID)
    made.house.place(2, 0, BUY, 1000, 5_800_000)
    made.house.place(2, 0, SELL, 400, 5_900_000, e.IOC)
    made.house.cancel(mine)
    said = made.hear(session)
    assert [one["type"] for one in said] == ["received", "open", "match", "done"]
    assert all(one["user_id"] for one in said) and said[0]["client_oid"] == UUID
    assert said[2]["side"] == "buy" and said[2]["maker_fee_rate"] == "0.0010" and said[2]["size"] == "0.00400000"
    assert said[3]["reason"] == "canceled" and said[3]["remaining_size"] == "0.00600000"
    taker = made.house.place(1, 0, SELL, 200, 5_800_000)
    assert [one["type"] for one in made.hear(session)] == ["received", "match", "done"] and not taker.live


def test_a_book_subscribed_to_again_is_the_houses():
    """Levels that wait for their batch when the last listener leaves are not told after the next one's snapshot."""
    made = rig(300, seed=9, resting=40)
    session, book = made.connect("/", headers={"user-agent": "t"}), {}
    batch = {"channels": [{"name": "level2_batch", "product_ids": ["BTC-USD"]}]}
    for k in range(80):
        made.say(session, {"type": "subscribe"} | batch)
        made.step((90 + k) * 1_000_000)
        for said in made.hear(session):
            if said["type"] == "snapshot":
                book = {("buy", p): q for p, q in said["bids"]} | {("sell", p): q for p, q in said["asks"]}
            elif said["type"] == "l2update":
                book |= {(which, p): q for which, p, q in said["changes"]}
        # What is newer than the last batch waits for the next.
        made.house.advance(made.now_ns)
        words = made.dialect.words
        true = {
            (name, words.price[0](ticks)): words.qty[0](lots)
            for name, which in (("buy", BUY), ("sell", SELL))
            for ticks, lots in made.house.levels(0, which)
        }
        pending = {ticks for _, ticks in made.dialect.feed._pending[0]}
        waits = {words.price[0](ticks) for ticks in pending}
        resting = {level: float(q) for level, q in book.items() if float(q) and level[1] not in waits}
        assert resting == {level: float(q) for level, q in true.items() if level[1] not in waits}, k
        made.say(session, {"type": "unsubscribe"} | batch)
        made.step((k % 7) * 3_000_000)
        made.hear(session)


def test_a_connection_that_loses_a_trade_is_believed_in_nothing():
    """A lost trade of one product makes the levels of all of the connection be asked for anew: they carry no number."""
    made = rig(200, seed=11)
    wire = Wire(made, CoinbaseFeed(followed(made)))
    for _ in range(20):
        wire.step(50_000_000)
    assert wire.live()
    wire.fault = lambda messages: [text for text in messages if b'"type":"match"' not in text or b"ETH" in text]
    before = len(wire.books.links)
    for _ in range(30):
        wire.step(50_000_000)
    wire.fault = None
    for _ in range(50):
        wire.step(50_000_000)
    lost = {instrument for instrument, kind, _ in wire.books.links[before:] if kind == LINK_GAP}
    assert lost == {0, 1}
    assert wire.live() and wire.same_levels(0) and wire.same_levels(1)

"""Bitstamp's order entry against the local exchange in memory: every outcome is told once and is what the house did."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest

from pinnacle.dialects.bitstamp import Bitstamp
from pinnacle.event import BUY, FOK, IOC, MAKER, ORDER_CANCELLED, ORDER_FILLED, POST_ONLY, SELL
from pinnacle.venues.bitstamp_gateway import BitstampGateway
from pinnacle.venues.feed import Malformed
from pinnacle.venues.signing import text_key
from tests.dialects.rig import NS, Rig
from tests.venues.conversation import IDS, KEY_SECRET, Talk


def talk(secret=KEY_SECRET, **how):
    """A gateway on a quiet market with somebody else's order on either side."""
    rig = Rig(Bitstamp, ("btcusd", "ethusd"), **how)
    house, one = rig.house, rig.listings[0].instrument
    for side, price in ((BUY, "59990"), (SELL, "60010")):
        house.place(2, 0, side, one.lots("0.5"), one.ticks(price), POST_ONLY)
    return Talk(rig, lambda followed: BitstampGateway(followed, IDS, "key1", text_key(secret)))


def placed(one, order):
    """Place it, and give it the venue's number that was told."""
    one.place(order)
    venue_id = next(s.venue_id for s in one.said if getattr(s, "order_id", None) == order.order_id and s.venue_id)
    return replace(order, venue_id=venue_id)


def test_placed_filled_and_cancelled():
    """An order is acknowledged, filled in part by others, and cancelled, with what is left and done."""
    one = talk()
    assert one.gateway.ready and not one.restarts
    order = one.order(1, price="59995", qty="0.03")
    sent_ns = one.rig.now_ns
    expires_ns = one.place(order)
    assert set(one.take()) == {"order_acknowledged"} and abs(expires_ns - sent_ns - 150 * NS) <= NS
    assert all(s.order_id == 1 and s.venue_id for s in one.steps)
    one.rig.house.place(2, 0, SELL, order.qty_lots // 3, order.price_ticks, IOC)
    one.step()
    assert one.take() == ["order_filled", "order_acknowledged"]
    fill, left = one.steps
    assert (fill.order_id, fill.qty_lots, fill.price_ticks) == (1, order.qty_lots // 3, order.price_ticks)
    assert fill.flags & MAKER and fill.trade_id > 0 and fill.fee_units > 0 and left.done_lots == fill.qty_lots
    one.gateway.cancel(order, one.rig.now_ns)
    one.step()
    assert one.take() == ["order_cancelled", "order_cancelled"]  # by the channel and by the answer
    assert {(s.done_lots, s.qty_lots) for s in one.steps} == {(fill.qty_lots, order.qty_lots - fill.qty_lots)}
    assert not one.house_orders()


def test_what_takes():
    """IOC is filled and the rest expires, a FOK that cannot be filled expires whole, post-only never takes."""
    one = talk()
    lots = one.rig.listings[0].instrument.lots("0.5")
    one.place(one.order(1, price="60010", qty="0.6", flags=IOC))
    told = one.take()
    assert [k for k in told if k != "order_acknowledged"] == ["order_filled", "order_expired unfilled"]
    (fill,) = [s for s in one.steps if s.kind == ORDER_FILLED]
    assert fill.qty_lots == lots and not fill.flags & MAKER
    one.place(one.order(2, price="60010", flags=FOK))
    assert [k for k in one.take() if k != "order_acknowledged"] == ["order_expired unfilled"]
    one.place(one.order(3, price="59990", side=SELL))
    assert [k for k in one.take() if k != "order_acknowledged"] == ["order_expired would_cross"]


@pytest.mark.parametrize(
    ("number", "how", "wanted"),
    [
        (1, {"qty": "100"}, "order_rejected funds"),
        (2, {"qty": "0.00001"}, "order_rejected notional_filter"),
        (3, {}, "order_rejected duplicate"),
    ],
)
def test_refusals(number, how, wanted):
    """A refused order is told with its cause, once, and nothing rests."""
    one = talk()
    if number == 3:
        one.place(one.order(3))
        one.take()
    one.place(one.order(number, **how))
    assert one.take() == [wanted] and len(one.house_orders()) == (number == 3)


def test_cancel_of_nothing():
    """A cancel of what is not there says unknown order."""
    one = talk()
    one.gateway.cancel(one.order(7), one.rig.now_ns)
    one.step()
    assert one.take() == ["cancel_rejected unknown_order"]


def test_questions():
    """Open orders, one order, fills from an id on or of one order, and balances are what the house has."""
    one = talk()
    order = placed(one, one.order(1, price="59995", qty="0.04"))
    for _ in range(4):
        one.rig.house.place(2, 0, SELL, order.qty_lots // 8, order.price_ticks, IOC)
    one.step()
    fills = [step for step in one.said if getattr(step, "kind", 0) == ORDER_FILLED]
    gateway, now = one.gateway, one.rig.now_ns
    shown = one.ask(gateway.ask_open(order.followed, now)).standings
    assert [(s.order_id, s.qty_lots, s.done_lots, s.end, s.venue_id) for s in shown] == [
        (1, order.qty_lots, order.qty_lots // 2, 0, order.venue_id)
    ]
    assert not one.ask(gateway.ask_open(one.followed[1], now)).standings
    assert one.ask(gateway.ask_order(order, now)).standings == shown
    assert one.ask(gateway.ask_order(one.order(5), now)).cause == "unknown_order"
    history = one.ask(gateway.ask_fills(order.followed, 0, None, now)).fills
    assert [(f.trade_id, f.qty_lots, f.price_ticks, f.fee_units, f.side, f.venue_id) for f in history] == [
        (f.trade_id, f.qty_lots, f.price_ticks, f.fee_units, f.side, f.venue_id) for f in fills
    ]
    assert len(one.ask(gateway.ask_fills(order.followed, fills[2].trade_id, None, now)).fills) == 2
    assert len(one.ask(gateway.ask_fills(order.followed, 0, order, now)).fills) == 4
    assert gateway.ask_fills(order.followed, 0, one.order(1), now) == 0  # without the venue's number it cannot be asked
    assert not one.ask(gateway.ask_fills(one.followed[1], 0, None, now)).fills
    held = {b.asset: b for b in one.ask(gateway.ask_balances(now)).balances}
    account = one.rig.house.accounts[0]
    assert held["USD"].locked == f"{one.rig.house.amount('USD', account.balances['USD'].held_units).normalize():f}"
    assert set(held) == {"BTC", "ETH", "USD"}
    gateway.cancel(order, one.rig.now_ns)
    one.step()
    (after,) = one.ask(gateway.ask_order(order, one.rig.now_ns)).standings
    assert (after.end, after.done_lots, after.qty_lots) == (ORDER_CANCELLED, order.qty_lots // 2, order.qty_lots)


def test_a_lost_answer_is_unknown_and_asked_about():
    """The answer to an order is lost: it is of unknown outcome, and the question by client id shows it."""
    one = talk()
    one.fault = lambda messages: []
    one.keep_call = lambda call: "answer" if "/buy/" in call.path else True
    one.place(one.order(1))
    assert one.take() == ["order_unknown outcome_unknown"]
    one.fault = lambda messages: messages
    (standing,) = one.ask(one.gateway.ask_order(one.order(1), one.rig.now_ns)).standings
    assert standing.end == 0 and standing.order_id == 1


def test_an_order_that_never_arrived_is_proven_absent():
    """An order is lost on its way: once its signature is too old by the venue's own clock, there is none."""
    one = talk()
    one.keep_call = lambda call: "/buy/" not in call.path
    expires_ns = one.place(one.order(1))
    assert one.take() == ["order_unknown outcome_unknown"]
    steps = 0
    while one.gateway.venue_ns <= expires_ns:
        one.step(NS)
        steps += 1
    assert 150 <= steps <= 160 and one.gateway.ready
    assert one.ask(one.gateway.ask_order(one.order(1), one.rig.now_ns)).cause == "unknown_order"


def test_reconnecting():
    """While the channels are away cancels go on and places are refused; a new connection has a new token."""
    one = talk()
    one.place(one.order(1))
    one.place(one.order(2, price="59001"))
    one.take()
    one.close()
    one.gateway.cancel(one.order(1), one.rig.now_ns)
    assert one.gateway.place(one.order(3), one.rig.now_ns) == 0
    one.pump()
    assert one.take() == ["order_rejected busy", "order_cancelled"]
    assert [o.client_id for o in one.house_orders()] == [IDS.text(2)]
    one.open()
    assert one.gateway.ready
    assert len([call for call in one.calls if call.path.endswith("/websockets_token/")]) == 2
    (standing,) = one.ask(one.gateway.ask_open(one.followed[0], one.rig.now_ns)).standings
    assert standing.order_id == 2


def test_a_request_to_reconnect_and_silence():
    """The venue may ask for another connection; one that says nothing is given up."""
    one = talk()
    one.gateway.received(b'{"event":"bts:request_reconnect","channel":"","data":null}', one.rig.now_ns)
    one.pump()
    one.step(3 * NS)
    assert one.restarts == ["bitstamp: the venue asks for another connection"] and one.gateway.ready
    for _ in range(70):
        one.step(NS)
    assert len(one.restarts) == 1  # heartbeats are answered
    one.gateway.tick(one.rig.now_ns + 16 * NS)
    assert one.gateway.restart.startswith("bitstamp: silent") and not one.gateway.ready


def test_an_event_twice_and_one_that_is_missing():
    """An event that comes twice is heard once; a break in the chain is noted, and what is done says what is missing."""
    one = talk()
    one.fault = lambda messages: [m for m in messages for _ in range(1 + (b"my_orders" in m and b"event_id" in m))]
    one.place(one.order(1, price="59995", qty="0.03"))
    assert one.take() == ["order_acknowledged"] * 2 and "doubled" in one.notes()
    one.fault = lambda messages: [m for m in messages if b"my_trades" not in m and b"order_changed" not in m]
    one.rig.house.place(2, 0, SELL, 1000, one.order(1, price="59995").price_ticks, IOC)
    one.step()
    one.fault = lambda messages: messages
    one.rig.house.place(2, 0, SELL, 500, one.order(1, price="59995").price_ticks, IOC)
    one.step()
    assert one.take() == ["order_filled", "order_acknowledged"] and "chain" in one.notes()
    assert one.steps[1].done_lots == 1500


def test_foreign_orders_are_shown_and_left_alone():
    """An order placed by hand is a step without an id of ours, and a note."""
    one = talk()
    one.rig.house.place(1, 0, BUY, 1000, 5_900_000, POST_ONLY, "by-hand")
    one.step()
    assert one.take() == ["order_acknowledged"] and one.steps[0].order_id is None
    assert "foreign_order" in one.notes()


@pytest.mark.parametrize("away", [False, True])
def test_an_order_without_a_client_id(away):
    """Somebody else's order that a question showed can be cancelled by the venue's own name for it, when told to."""
    one = talk()
    one.rig.house.place(1, 0, BUY, 1000, 5_900_000, POST_ONLY)
    (shown,) = one.ask(one.gateway.ask_open(one.followed[0], one.rig.now_ns)).standings
    assert shown.order_id is None and not shown.client_id
    foreign = replace(one.order(1), client_id="", venue_id=shown.venue_id)
    assert one.ask(one.gateway.ask_order(foreign, one.rig.now_ns)).standings == (shown,)
    if away:
        one.close()
    one.gateway.cancel(foreign, one.rig.now_ns)
    one.pump()
    assert not one.house_orders()


def test_cancel_all():
    """Of a market or of the account, whatever is known of the orders."""
    one = talk()
    one.place(one.order(1))
    one.place(one.order(2, price="2000", qty="0.1", k=1))
    one.take()
    one.gateway.cancel_all(one.followed[1], one.rig.now_ns)
    one.step()
    assert one.take() == ["order_cancelled"] and len(one.house_orders()) == 1
    one.gateway.cancel_all(None, one.rig.now_ns)
    one.step()
    assert one.take() == ["order_cancelled"] and not one.house_orders()


def test_a_wrong_key():
    """A wrong secret is a matter of permission that the operator is told of, and nothing is ever ready."""
    one = talk(secret="d3Jvbmc=")
    assert not one.gateway.ready and "permission" in one.notes()
    assert one.ask(one.gateway.ask_balances(one.rig.now_ns)).cause == "permission"


def test_a_clock_that_is_off():
    """Ours is an hour behind: requests are signed with the venue's time; one that is refused by its age is measured
    anew."""
    rig = Rig(Bitstamp, ("btcusd", "ethusd"))
    rig.dialect.skew_ns = 3600 * NS
    one = Talk(rig, lambda followed: BitstampGateway(followed, IDS, "key1", text_key(KEY_SECRET)))
    assert one.gateway.ready
    one.place(one.order(1))
    assert set(one.take()) == {"order_acknowledged"}
    rig.dialect.skew_ns = 0
    one.gateway.ask_balances(rig.now_ns)
    one.pump()
    assert [a.cause for a in one.said if hasattr(a, "number")] == ["clock"]
    one.step(3 * NS)
    one.step(3 * NS)
    assert one.ask(one.gateway.ask_balances(rig.now_ns)).cause == "" and one.gateway.ready


def test_a_nonce_twice():
    """A request whose nonce was used is refused as a matter of clocks; our own are never used twice."""
    one = talk()
    call = one.calls[-1]
    one.gateway.ask_balances(one.rig.now_ns)
    (fresh,) = one.gateway.calls
    one.gateway.calls[:] = [replace(call, tag=fresh.tag)]
    one.pump()
    assert [a.cause for a in one.said if hasattr(a, "number")] == ["clock"]
    for _ in range(20):
        one.gateway.ask_balances(one.rig.now_ns)
    nonces = [call.headers["X-Auth-Nonce"] for call in [*one.calls, *one.gateway.calls] if call.headers]
    assert len(set(nonces)) == len(nonces) - 1
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}", one) for one in nonces)


@pytest.mark.parametrize(("status", "wanted"), [(0, "outcome_unknown"), (500, "outcome_unknown"), (429, "rate_limit")])
def test_answers_that_are_none(status, wanted):
    """No answer, a server's error or HTML leaves the outcome unknown; too many requests is known, and waited for."""
    one = talk()
    gateway = one.gateway
    number = gateway.ask_balances(one.rig.now_ns)
    (call,) = gateway.calls
    gateway.answered(call.tag, status, b"<html>bad gateway</html>", one.rig.now_ns)
    assert (gateway.said[0].number, gateway.said[0].cause) == (number, wanted)
    gateway.calls.clear()
    gateway.place(one.order(1), one.rig.now_ns)
    gateway.answered(gateway.calls[0].tag, status, b"<html>bad gateway</html>", one.rig.now_ns)
    one.said += gateway.said
    assert one.take() == [
        "order_rejected rate_limit" if wanted == "rate_limit" else "order_unknown outcome_unknown"
    ]  # fmt: skip
    assert (gateway.retry_ns > one.rig.now_ns) == (wanted == "rate_limit")
    gateway.answered("h999999", 200, b"", one.rig.now_ns)
    assert gateway.counts["late"] == 1


def test_an_answer_that_cannot_be_read():
    """An answer that says it was done, in words of no kind that is known, is of unknown outcome, and told as such."""
    one = talk()
    gateway = one.gateway
    gateway.place(one.order(1), one.rig.now_ns)
    with pytest.raises(Malformed):
        gateway.answered(gateway.calls[0].tag, 200, b'{"id":"x"}', one.rig.now_ns)
    one.said += gateway.said
    assert one.take() == ["order_unknown outcome_unknown"]


def test_no_trade_with_oneself():
    """An order that takes is refused while one of ours might meet it, also one that only a question showed."""
    one = talk()
    resting = placed(one, one.order(1, price="59995"))
    one.take()
    for _ in range(2):
        one.place(one.order(2, side=SELL, price="59995", flags=IOC))
        assert one.take() == ["order_rejected self_trade"]
        one.place(one.order(3, side=SELL, price="59996", flags=POST_ONLY))
        assert "order_acknowledged" in one.take()
        one.gateway.cancel(one.order(3), one.rig.now_ns)
        one.step()
        one.take()
        one.close()  # a new process has to be shown what rests
        one.rig.step(NS)
        one.gateway = BitstampGateway(one.followed, IDS, "key1", text_key(KEY_SECRET))
        one.said = []
        one.open()
        one.ask(one.gateway.ask_open(one.followed[0], one.rig.now_ns))
    one.gateway.cancel(resting, one.rig.now_ns)
    one.step()
    one.place(one.order(4, side=SELL, price="59990", flags=IOC))
    assert "order_filled" in one.take()


CHANNEL = "private-my_orders_btcusd-1"
GARBAGE = [
    b"", b"<html>", b"[]", b"\xff", b"{", b"{}", b'{"event":5}',
    b'{"event":"order_created","channel":"private-my_orders_btcusd-1","data":5}',
    b'{"event":"trade","channel":"private-my_trades_btcusd-1","data":{"id":1}}',
    b'{"event":"trade","channel":"private-my_trades_btcusd-1","data":{"id":1,"order_id":1,"amount":"0","price":"1",'
    b'"fee":"0","side":"buy","microtimestamp":"1"}}',
    b'{"event":"bts:error","data":5}',
]  # fmt: skip


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage(data):
    """What is no message of the venue raises the one error, short, and costs the connection."""
    one = talk()
    with pytest.raises(Malformed) as caught:
        one.gateway.received(data, one.rig.now_ns)
    assert len(str(caught.value)) < 400 and one.gateway.restart and not one.gateway.ready


def test_what_is_new_is_noted():
    """A channel, an event or a message that nobody knows is a note, and the connection lives."""
    one = talk()
    for message in (
        {"event": "data", "channel": "order_book_btcusd", "data": {}},
        {"event": "invented", "channel": CHANNEL, "data": {}},
        {"event": "order_replaced", "channel": CHANNEL, "data": {}},
        {"event": "bts:invented", "channel": "", "data": {}},
    ):
        one.gateway.received(msgspec.json.encode(message), one.rig.now_ns)
    one.pump()
    assert one.notes() == ["unknown_channel", "unknown_event", "order_replaced", "unknown_event"] and not one.restarts

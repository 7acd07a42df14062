"""Orders at Coinbase Exchange: what is asked, and whole conversations with its dialect, by way of the desk."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from pinnacle.dialects.coinbase import Coinbase
from pinnacle.event import (
    BUY,
    CANCEL_REJECTED,
    IOC,
    ORDER_EXPIRED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
    POST_ONLY,
    SELL,
    STATE_CANCEL_ONLY,
)
from pinnacle.instrument import Instrument
from pinnacle.venues import coinbase_entry as entry
from pinnacle.venues.coinbase_gateway import CoinbaseGateway
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import ASK_ORDER, Order
from pinnacle.venues.signing import base64_key, coinbase_exchange_signature
from tests.dialects.rig import NS, Rig
from tests.venues.account_wire import AccountWire

SYMBOLS = ("BTC-USD", "ETH-USD")
KEYS = ("key1", base64_key("c2VjcmV0MQ=="), "phrase1")


def wire(keys=KEYS, up=True, **how):
    made = AccountWire(Rig(Coinbase, SYMBOLS, **how), lambda followed, ids: CoinbaseGateway(followed, ids, *keys), up)
    made.ready()
    return made


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_requests_are_those_of_the_venues_documents():
    """A post-only order's body and its signature are the published ones, but for the mode of own trades at the end."""
    one = Followed(Instrument("coinbase", "BTC-USD", Decimal("0.01"), Decimal("0.001")), 0, 0)
    order = Order(one, 1, "6d1b345e-2821-40e2-ad83-4ecb18a06876", BUY, 3_000_001, 1, POST_ONLY)
    body = entry.place_body(order)
    published = (
        b'{"client_oid":"6d1b345e-2821-40e2-ad83-4ecb18a06876","product_id":"BTC-USD","side":"buy","type":"limit",'
        b'"price":"30000.01","size":"0.001","post_only":true}'
    )
    assert body == published[:-1] + b',"stp":"co"}'
    key = base64_key("ZmFrZS1zZWNyZXQtbm90LWEtcmVhbC1rZXktMDEyMzQ1Njc4OQ==")
    signature = coinbase_exchange_signature(key, "1700000000", "POST", entry.ORDERS_PATH, published)
    assert signature == "d2APlZkZvIcuyjfZDmeb1WC8Bb6lPhkwbbBr2lPuD6w="
    assert json.loads(entry.place_body(replace(order, flags=IOC)))["time_in_force"] == "IOC"
    assert entry.cancel_path(order) == f"/orders/client:{order.client_id}?product_id=BTC-USD"
    assert entry.open_path("BTC-USD").startswith("/orders?limit=1000&product_id=BTC-USD&status=open")
    assert entry.fills_path("BTC-USD", "", 7) == "/fills?product_id=BTC-USD&limit=1000&after=7"


# --- conversations ----------------------------------------------------------------------------------------------------


def test_an_order_rests_is_filled_in_parts_and_cancelled():
    """Acknowledged, two fills by trade id with the fee of the venue's list, a cancel that tells what was left."""
    made = wire()
    number = made.place(BUY, 5_900_000, 10_000, POST_ONLY)
    assert made.life(number) == ["order_acknowledged"]
    made.rig.house.place(2, 0, SELL, 4_000, 5_900_000)
    made.step()
    made.rig.house.place(2, 0, SELL, 1_000, 5_900_000)
    made.step()
    assert made.filled(number) == 5_000 == made.position()
    made.cancel(number)
    made.step()
    assert made.life(number) == ["order_acknowledged", "order_filled", "order_filled", "order_cancelled"]
    fills = [one for one in made.said if getattr(one, "trade_id", 0)]
    made.said.clear()
    made.gateway.ask_fills(made.followed[0], 1, None, made.rig.now_ns)
    made.pump()
    (answer,) = [one for one in made.answers() if one.fills]
    assert {one.trade_id: one.fee_units for one in answer.fills} == {one.trade_id: one.fee_units for one in fills}
    assert all(one.fee_units for one in fills) and not made.malformed and made.desk.settled


def test_an_order_is_filled_whole_at_once():
    """An order that takes is filled by its matches; the answer and the channel count each once."""
    made = wire()
    made.rig.house.place(2, 0, SELL, 3_000, 6_000_000)
    made.rig.house.place(2, 0, SELL, 3_000, 6_000_100)
    number = made.place(BUY, 6_000_100, 5_000, IOC)
    made.step(2 * NS)
    assert made.filled(number) == 5_000 and made.life(number)[-1] == "order_filled" and not made.desk.orders
    part = made.place(BUY, 6_000_100, 5_000, IOC)
    made.step(2 * NS)
    assert made.filled(part) == 1_000 and made.life(part)[-1] == "order_expired"


def test_refusals_have_causes():
    """Would cross, funds, a market that takes no orders, an order that is not there."""
    made = wire()
    made.rig.house.place(2, 0, SELL, 1_000, 6_000_000)
    crossing = made.place(BUY, 6_000_000, 1_000, POST_ONLY)
    made.step()
    assert made.life(crossing)[-1] in ("order_rejected", "order_expired")
    assert "would_cross" in made.causes(ORDER_REJECTED) + made.causes(ORDER_EXPIRED)
    rich = made.place(BUY, 5_900_000, 9_000_000)
    made.step()
    assert made.life(rich) == ["order_rejected"] and made.causes(ORDER_REJECTED)[-1] == "funds"
    made = wire()  # another account: the first holds its quotes until it has looked at its balances
    made.rig.house.set_state(0, STATE_CANCEL_ONLY)
    halted = made.place(BUY, 5_900_000, 1_000)
    made.step()
    assert made.life(halted) == ["order_rejected"] and made.causes(ORDER_REJECTED)[-1] == "halted"
    gone = Order(made.followed[0], 77, made.ids.text(77), BUY, 1, 1)
    made.gateway.cancel(gone, made.rig.now_ns)
    made.pump()
    assert made.causes(CANCEL_REJECTED) == ["unknown_order"] and not made.safety.killed


@pytest.mark.parametrize("arrives", [False, True])
def test_a_lost_answer_is_asked_about_by_client_id(arrives):
    """The answer is lost and the channel silent: unknown, then found or proven absent; nothing is sent again."""
    made = wire()
    made.lost = lambda what, text: (
        (what == ("answer" if arrives else "call") and b"POST /orders" in text)
        or (what == "message" and b"order_id" in text)
    )
    number = made.place(BUY, 5_900_000, 10_000)
    assert made.life(number)[0] == "order_unknown"
    made.lost = lambda what, text: False
    made.step(3 * NS if arrives else 40 * NS)
    assert made.life(number)[-1] == ("order_acknowledged" if arrives else "order_rejected")
    assert sum(call.method == "POST" for call in made.calls) == 1
    assert made.desk.settled and len(made.rig.house.open_orders(1)) == arrives


def test_what_happened_while_away_is_found():
    """A fill, and the end of an order, while the connection was gone: told after it is back, once."""
    made = wire()
    first, second = made.place(BUY, 5_900_000, 10_000), made.place(BUY, 5_890_000, 10_000)
    made.rig.house.place(1, 0, SELL, 10, 6_100_000, client_id="not-ours")
    made.step()
    made.disconnect()
    assert not made.gateway.ready
    made.rig.house.place(2, 0, SELL, 4_000, 5_900_000)
    made.rig.house.cancel(next(one for one in made.rig.house.open_orders(1) if one.price_ticks == 5_890_000))
    made.connect()
    made.step(4 * NS)
    assert made.filled(first) == 4_000 and made.life(second)[-1] in ("order_cancelled", "order_expired")
    assert made.desk.settled and made.desk.counts["foreign"] and not made.safety.killed
    made.step(2 * NS)
    assert made.filled(first) == 4_000 and len(made.rig.house.open_orders(1)) == 2


def test_a_lost_match_is_found_when_the_order_ends():
    """A match that the channel lost: its order's end shows that it is missing, and it is asked for."""
    made = wire()
    number = made.place(BUY, 5_900_000, 10_000)
    made.lost = lambda what, text: what == "message" and b'"match"' in text
    made.rig.house.place(2, 0, SELL, 4_000, 5_900_000)
    made.step()
    made.lost = lambda what, text: False
    assert made.filled(number) == 0
    made.cancel(number)
    made.step(NS)
    assert made.filled(number) == 4_000 and made.life(number)[-1] == "order_cancelled"


@pytest.mark.parametrize("keys", [("key1", b"wrong", "phrase1"), ("nobody", KEYS[1], "phrase1"), (*KEYS[:2], "other")])
def test_a_key_that_is_not_taken_stops_trading(keys):
    """Wrong signature, unknown key, wrong passphrase: never ready, and the operator is told."""
    made = wire(keys, up=False)
    made.connect()
    made.step(NS)
    assert not made.gateway.ready and made.safety.killed
    assert any(note.startswith("permission") for note in made.notes())


def test_a_clock_that_is_off_is_measured():
    """The venue's clock is 40 s ahead: requests are dated by it; a jump is refused once as such, then measured anew."""
    made = wire(up=False)
    made.rig.dialect.skew_ns = 40 * NS
    made.connect()
    made.step(2 * NS)
    assert made.gateway.ready and made.desk.settled
    made.rig.dialect.skew_ns = -40 * NS
    number = made.place(BUY, 5_900_000, 10_000)
    assert made.life(number)[-1] == "order_rejected" and made.causes(ORDER_REJECTED) == ["clock"]
    made.step(6 * NS)
    assert made.gateway.ready and not made.safety.killed


def test_too_many_requests_wait():
    """429 is a rate limit: the gateway says until when nothing is wanted."""
    made = wire()
    for _ in range(40):
        made.gateway.ask_balances(made.rig.now_ns)
    made.pump()
    assert any(one.cause == "rate_limit" for one in made.answers()) and made.gateway.retry_ns > made.rig.now_ns


def test_silence_and_garbage():
    """A silent channel is given up; what is no message or no answer is Malformed, and a question about it unknown."""
    made = wire()
    made.lost = lambda what, text: what == "message"
    made.step(6 * NS)
    assert "silent" in made.restarts[0]
    made = wire()
    product = b'"product_id":"BTC-USD"'
    received = b'{"type":"received",%s,"order_id":"x","side":"up","time":""}' % product
    match = b'{"type":"match",%s,"trade_id":-1}' % product
    for text in (b"", b"[]", b"\xff", received, match, b'{"type":"heartbeat","time":"x"}'):
        made.receive(text)
    assert len(made.malformed) == 6 and made.gateway.restart and not made.gateway.ready
    made.gateway.received(b'{"type":"what"}', made.rig.now_ns)
    for body in (b"<html>", b"", b"{}", b'{"id":1}', b"[" * 100_000, b"null"):
        made = wire()
        number = made.gateway.ask_order(Order(made.followed[0], 9, made.ids.text(9), BUY, 1, 1), made.rig.now_ns)
        tag = made.gateway.calls[-1].tag
        made.answer(tag, 200, body)
        (answer,) = [one for one in made.gateway.said if getattr(one, "number", 0) == number]
        assert (answer.what, answer.cause) == (ASK_ORDER, "outcome_unknown") and len(made.malformed) == 1
        place = Order(made.followed[0], 8, made.ids.text(8), BUY, 5_900_000, 1000)
        made.gateway.place(place, made.rig.now_ns)
        tag = made.gateway.calls[-1].tag
        made.answer(tag, 200, body)
        assert any(getattr(one, "kind", 0) == ORDER_UNKNOWN for one in made.gateway.said)

"""Orders at Gemini: what is asked, and whole conversations with its dialect, by way of the desk."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import pytest

from pinnacle.dialects.gemini import Gemini
from pinnacle.event import (
    BUY,
    CANCEL_REJECTED,
    FOK,
    IOC,
    ORDER_EXPIRED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
    POST_ONLY,
    SELL,
    STATE_HALTED,
)
from pinnacle.instrument import Instrument
from pinnacle.limits import ANSWER_NS_MAX
from pinnacle.venues import gemini_entry as entry
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import Order
from pinnacle.venues.gemini_gateway import GeminiGateway
from pinnacle.venues.signing import gemini_headers
from tests.dialects.rig import NS, Rig
from tests.venues.account_wire import AccountWire

KEYS = ("key1", b"c2VjcmV0MQ==")


def wire(keys=KEYS, up=True):
    made = AccountWire(Rig(Gemini, ("btcusd", "ethusd")), lambda followed, ids: GeminiGateway(followed, ids, *keys), up)
    made.ready()
    return made


def nonces(made):
    """Nonces of the requests by REST, in the order in which they left."""
    read = [json.loads(base64.b64decode(call.headers["X-GEMINI-PAYLOAD"])) for call in made.calls]
    return [int(one["nonce"]) for one in read]


def test_requests_are_those_of_the_venues_documents():
    """Each time in force by its name; a payload and its signature are the published ones."""
    one = Followed(Instrument("gemini", "BTCUSD", Decimal("0.01"), Decimal("0.01")), 0, 0)
    for flags, name in ((POST_ONLY, "MOC"), (IOC, "IOC"), (FOK, "FOK"), (0, "GTC")):
        assert entry.place_params(Order(one, 1, "mm-1", BUY, 3_000_001, 1, flags)) == {
            "symbol": "btcusd", "side": "BUY", "type": "LIMIT", "timeInForce": name, "price": "30000.01",
            "quantity": "0.01", "clientOrderId": "mm-1",
        }  # fmt: skip
    assert entry.cancel_params(7) == {"orderId": "7"}
    assert json.loads(entry.request("1", entry.SUBSCRIBE, entry.STREAMS)) == {
        "id": "1", "method": "subscribe", "params": ["orders@account", "balances@account"]
    }  # fmt: skip
    said = entry.payload(entry.BALANCES_PATH, 1_700_000_000_000, {})
    assert said == b'{"request":"/v1/balances","nonce":"1700000000000"}'
    headers = gemini_headers("account-fakekey", b"fakesecret", said)
    assert headers["X-GEMINI-SIGNATURE"].startswith("83f95b5bf7dea9767800f3cf49d55fe9104b62cb")


def test_an_order_rests_is_filled_in_parts_and_cancelled():
    """Acknowledged, two fills by trade id, a cancel that tells what was left; placed and cancelled by the socket."""
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
    assert made.desk.settled and not made.malformed
    assert not any(b"order/" in call.path.encode() for call in made.calls)


def test_orders_that_take():
    """Filled whole, and filled in part and ended, as far as the book goes."""
    made = wire()
    made.rig.house.place(2, 0, SELL, 6_000, 6_000_000)
    number = made.place(BUY, 6_000_000, 5_000, IOC)
    made.step(NS)
    assert made.filled(number) == 5_000 and not made.desk.orders
    part = made.place(BUY, 6_000_000, 5_000, IOC)
    made.step(NS)
    assert made.filled(part) == 1_000 and made.life(part)[-1] == "order_expired"
    assert made.causes(ORDER_EXPIRED) == ["unfilled"]


def test_refusals_have_causes():
    """Would cross (taken up and ended), funds (said twice, counted once), halted, a cancel of what is not there."""
    made = wire()
    made.rig.house.place(2, 0, SELL, 1_000, 6_000_000)
    crossing = made.place(BUY, 6_000_000, 1_000, POST_ONLY)
    made.step()
    assert made.life(crossing)[-1] == "order_expired" and made.causes(ORDER_EXPIRED) == ["would_cross"]
    rich = made.place(BUY, 5_900_000, 9_000_000)
    made.step()
    assert made.life(rich) == ["order_rejected"] and made.causes(ORDER_REJECTED) == ["funds", "funds"]
    made = wire()  # another account: the first holds its quotes until it has looked at its balances
    made.rig.house.set_state(0, STATE_HALTED)
    halted = made.place(BUY, 5_900_000, 1_000)
    made.step()
    assert made.life(halted) == ["order_rejected"] and made.causes(ORDER_REJECTED)[-1] == "halted"
    for venue_id in (0, 12345):
        gone = Order(made.followed[0], 77, made.ids.text(77), BUY, 1, 1, venue_id=venue_id)
        made.gateway.cancel(gone, made.rig.now_ns)
        made.pump()
    assert made.causes(CANCEL_REJECTED) == ["unknown_order", "unknown_order"] and not made.safety.killed


@pytest.mark.parametrize("arrives", [False, True])
def test_a_lost_reply_is_asked_about_by_client_id(arrives):
    """No reply and no event: overdue, unknown, then found or proven absent; nothing is sent again."""
    made = wire()
    made.lost = lambda what, text: (
        (not arrives and what == "frame" and b"order.place" in text)
        or (what == "message" and b"serverTime" not in text)
        or (what == "call" and b"/v1/order/status" in text)
    )
    number = made.place(BUY, 5_900_000, 10_000)
    made.step(ANSWER_NS_MAX + NS)
    assert made.life(number) == ["order_unknown"]
    made.lost = lambda what, text: False
    made.step(4 * NS if arrives else 20 * NS)
    assert made.life(number)[-1] == ("order_acknowledged" if arrives else "order_rejected")
    assert sum(b"order.place" in frame for frame in made.frames) == 1
    assert made.desk.settled and len(made.rig.house.open_orders(1)) == arrives


def test_the_connections_end_cancels_what_it_placed():
    """Cancel on disconnect: what was filled and what was cancelled is told when the connection is back."""
    made = wire()
    first, second = made.place(BUY, 5_900_000, 10_000), made.place(BUY, 5_890_000, 10_000)
    made.rig.house.place(1, 0, SELL, 10, 6_100_000, client_id="not-ours")
    made.lost = lambda what, text: what == "message"
    made.rig.house.place(2, 0, SELL, 4_000, 5_900_000)
    made.step()
    made.disconnect()
    assert len(made.rig.house.open_orders(1)) == 1
    made.lost = lambda what, text: False
    made.connect()
    made.step(4 * NS)
    assert made.filled(first) == 4_000 and made.life(first)[-1] in ("order_cancelled", "order_expired")
    assert made.life(second)[-1] in ("order_cancelled", "order_expired") and made.filled(second) == 0
    assert made.desk.settled and made.desk.counts["foreign"] and not made.safety.killed


def test_a_cancel_while_away_goes_by_rest():
    """Without a connection: by the venue's number, and by ours, which is looked for first."""
    made = wire()
    house = made.rig.house
    known = house.place(1, 0, BUY, 1_000, 5_900_000, client_id=made.ids.text(8))
    house.place(1, 0, BUY, 1_000, 5_890_000, client_id=made.ids.text(9))
    made.disconnect()
    one = Order(made.followed[0], 8, made.ids.text(8), BUY, 5_900_000, 1_000, venue_id=known.id)
    made.gateway.cancel(one, made.rig.now_ns)
    made.gateway.cancel(Order(made.followed[0], 9, made.ids.text(9), BUY, 0, 0), made.rig.now_ns)
    made.pump()
    assert not house.open_orders(1)
    house.place(1, 0, BUY, 1_000, 5_880_000)
    made.gateway.cancel_all(None, made.rig.now_ns)
    made.pump()
    assert not house.open_orders(1)


def test_nonces_rise_and_one_request_is_out():
    """Many questions at once: they leave one after the other, each with a greater nonce; one that was used is refused
    as the clock's, and the next is taken."""
    made = wire()
    made.gateway.calls.clear()
    for _ in range(5):
        made.gateway.ask_balances(made.rig.now_ns)
    assert len(made.gateway.calls) == 1
    made.pump()
    assert nonces(made) == sorted(set(nonces(made))) and all(one.cause == "" for one in made.answers()[-5:])
    made.rig.dialect._nonces["key1"] = nonces(made)[-1] + 5
    made.gateway.ask_balances(made.rig.now_ns)
    made.pump()
    assert made.answers()[-1].cause == "clock"
    made.step(2 * NS)
    made.gateway.ask_balances(made.rig.now_ns)
    made.pump()
    assert made.answers()[-1].cause == "" and made.gateway.ready


def test_heartbeats_of_a_key_that_needs_them():
    """At least one signed request in 15 s while the process lives, none by itself once disarmed."""
    made = wire()
    before = len(made.calls)
    made.step(40 * NS)
    beats = [call for call in made.calls[before:] if call.path == entry.HEARTBEAT_PATH]
    assert len(beats) >= 2 and made.gateway.counts["heartbeat"] == len(beats)
    made.desk.leave(made.rig.now_ns)
    before = len(made.calls)
    made.step(20 * NS)
    assert not [call for call in made.calls[before:] if call.path == entry.HEARTBEAT_PATH]


def test_a_key_that_is_not_taken():
    """A wrong signature: the connection is refused, and a question by REST stops trading."""
    made = wire(("key1", b"wrong"), up=False)
    made.connect()
    assert "InvalidSignature" in made.restarts[0]
    made.step(4 * NS)
    made.gateway.ask_balances(made.rig.now_ns)
    made.step(NS)
    assert made.answers()[-1].cause == "permission" and made.safety.killed and not made.gateway.ready


def test_silence_and_garbage():
    """A silent socket is given up; what is no message or no answer is Malformed, and a question about it unknown."""
    made = wire()
    made.lost = lambda what, text: what == "message"
    made.step(6 * NS)
    assert "silent" in made.restarts[0]
    made = wire()
    for text in (b"", b"[]", b"\xff", b'{"X":"NEW","s":"btcusd","S":"UP"}', b'{"B":[{"a":"USD","f":"x"}]}'):
        made.receive(text)
    assert len(made.malformed) == 5 and made.gateway.restart and not made.gateway.ready
    made.gateway.received(b'{"e":"what"}', made.rig.now_ns)
    made.gateway.received(b'{"id":"w999","status":400,"error":{"code":-1013,"msg":"late"}}', made.rig.now_ns)
    assert [one.what for one in made.gateway.said[-2:]] == ["unknown_event", "refused"]
    for body in (b"<html>", b"", b"[" * 100_000, b'{"order_id":"x"}', b'[{"symbol":"btcusd"}]', b"7"):
        made = wire()
        number = made.gateway.ask_order(Order(made.followed[0], 9, made.ids.text(9), BUY, 1, 1), made.rig.now_ns)
        tag = made.gateway.calls[-1].tag
        made.answer(tag, 200, body)
        (answer,) = [one for one in made.gateway.said if getattr(one, "number", 0) == number]
        assert answer.cause == "outcome_unknown" and len(made.malformed) == 1
    made = wire()
    made.gateway.place(Order(made.followed[0], 8, made.ids.text(8), BUY, 5_900_000, 1000), made.rig.now_ns)
    tag = json.loads(made.gateway.sends[-1])["id"]
    made.gateway.received(b'{"id":"%s","status":500,"error":{"code":-1000,"msg":"?"}}' % tag.encode(), made.rig.now_ns)
    assert any(getattr(one, "kind", 0) == ORDER_UNKNOWN for one in made.gateway.said)

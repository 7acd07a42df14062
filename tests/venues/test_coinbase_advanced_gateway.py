"""Orders at Coinbase Advanced Trade: what is asked, and whole conversations with its dialect, by way of the desk."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from pinnacle.dialects.coinbase_advanced import CoinbaseAdvanced
from pinnacle.event import (
    BUY,
    CANCEL_REJECTED,
    FOK,
    IOC,
    ORDER_EXPIRED,
    ORDER_REJECTED,
    ORDER_REPLACED,
    ORDER_UNKNOWN,
    POST_ONLY,
    REPLACE_REJECTED,
    SELL,
)
from pinnacle.instrument import Instrument
from pinnacle.venues import coinbase_advanced_entry as entry
from pinnacle.venues.coinbase_advanced_gateway import CoinbaseAdvancedGateway
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import Order
from pinnacle.venues.private.coinbase_advanced import since_ns, trade_number
from pinnacle.venues.signing import private_key
from tests.dialects.rig import NS, Rig
from tests.dialects.test_coinbase_advanced import PUBLIC, SECRET
from tests.venues.account_wire import AccountWire

OTHER = private_key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")


def wire(secret=SECRET, up=True, name="key1"):
    rig = Rig(CoinbaseAdvanced, ("BTC-USD", "ETH-USD"), public_key=PUBLIC)
    made = AccountWire(rig, lambda followed, ids: CoinbaseAdvancedGateway(followed, ids, name, secret), up)
    made.ready()
    return made


def test_requests_are_those_of_the_venues_documents():
    """Each kind of order by the name of its configuration; list parameters; sizes of edits are of the whole order."""
    one = Followed(Instrument("coinbase-advanced", "BTC-USD", Decimal("0.01"), Decimal("0.001")), 0, 0)
    order = Order(one, 1, "a", BUY, 3_000_001, 1, POST_ONLY)
    body = json.loads(entry.place_body(order))
    limit = {"base_size": "0.001", "limit_price": "30000.01"}
    assert body == {
        "client_order_id": "a", "product_id": "BTC-USD", "side": "BUY",
        "order_configuration": {"limit_limit_gtc": limit | {"post_only": True}},
    }  # fmt: skip
    for flags, name in ((IOC, "sor_limit_ioc"), (FOK, "limit_limit_fok")):
        assert json.loads(entry.place_body(replace(order, flags=flags)))["order_configuration"] == {name: limit}
    assert json.loads(entry.edit_body(replace(order, qty_lots=3, done_lots=2), "t")) == {
        "order_id": "t", "price": "30000.01", "size": "0.005"
    }  # fmt: skip
    assert json.loads(entry.cancel_body("t")) == {"order_ids": ["t"]}
    assert "order_status=OPEN&product_ids=BTC-USD" in entry.open_path("BTC-USD", "")
    assert entry.fills_path("BTC-USD", "t", 0, "c").startswith("/api/v3/brokerage/orders/historical/fills?order_ids=t&")


def test_trades_named_by_text_rise_with_time():
    """A text's number holds its millisecond, so that a list can begin there; a number of the market stays itself."""
    first, second = (
        trade_number("1111-a", 1_700_000_000_123_456_789),
        trade_number("1111-b", 1_700_000_000_124 * 10**6),
    )
    assert 0 < first < second < 1 << 63 and since_ns(first) == 1_700_000_000_123_000_000
    assert trade_number("995098700", 1) == 995098700 and since_ns(995098700) == 0
    assert "start_sequence_timestamp=2023-11-14T22:13:20.123000Z" in entry.fills_path("BTC-USD", "", first, "")


def test_an_order_rests_is_filled_in_parts_and_cancelled():
    """The channel says how much was filled, the fills are asked for and counted by trade id."""
    made = wire()
    number = made.place(BUY, 5_900_000, 10_000, POST_ONLY)
    assert made.life(number) == ["order_acknowledged"]
    made.rig.house.place(2, 0, SELL, 4_000, 5_900_000)
    made.step()
    made.rig.house.place(2, 0, SELL, 1_000, 5_900_000)
    made.step(NS)
    assert made.filled(number) == 5_000 == made.position()
    fills = made.rig.house.open_orders(1)[0].fills
    assert [(one.trade_id, one.qty_lots) for one in made.said if getattr(one, "trade_id", 0)] == []
    counted = {one.trade_id for answer in made.answers() for one in answer.fills}
    assert counted == {one.id for one in fills}
    made.cancel(number)
    made.step()
    assert made.life(number) == ["order_acknowledged", "order_filled", "order_filled", "order_cancelled"]
    assert made.desk.settled and not made.malformed


def test_an_order_of_many_fills():
    """More fills than questions that are allowed in vain: each is heard before the next, and none is a mistake."""
    made = wire()
    number = made.place(BUY, 5_900_000, 100_000)
    for count in range(1, 71):
        made.rig.house.place(2, 0, SELL, 1_000, 5_900_000)
        made.step(100_000_000)
        assert made.filled(number) == 1_000 * count
    assert not made.safety.killed


def test_orders_that_take():
    """Filled whole, and filled in part and ended, as far as the book goes."""
    made = wire()
    made.rig.house.place(2, 0, SELL, 6_000, 6_000_000)
    number = made.place(BUY, 6_000_000, 5_000, IOC)
    made.step(NS)
    assert made.filled(number) == 5_000 and not made.desk.orders
    part = made.place(BUY, 6_000_000, 5_000, IOC)
    made.step(2 * NS)
    assert made.filled(part) == 1_000 and made.life(part)[-1] == "order_expired"


def test_refusals_have_causes():
    """Would cross, funds, a cancel and an edit of what is not there; an edit that is done."""
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
    gone = Order(made.followed[0], 77, made.ids.text(77), BUY, 5_900_000, 1_000)
    made.gateway.cancel(gone, made.rig.now_ns)
    made.gateway.replace(gone, made.rig.now_ns)
    made.pump()
    assert made.causes(CANCEL_REJECTED) == ["unknown_order"] == made.causes(REPLACE_REJECTED)
    number = made.place(BUY, 5_900_000, 10_000)
    edited = replace(made.desk.orders[number].order, price_ticks=5_910_000, qty_lots=6_000)
    made.gateway.replace(edited, made.rig.now_ns)
    made.pump()
    assert any(getattr(one, "kind", 0) == ORDER_REPLACED for one in made.said)
    resting = made.rig.house.open_orders(1)[0]
    assert (resting.price_ticks, resting.open_lots) == (5_910_000, 6_000) and not made.safety.killed


@pytest.mark.parametrize("arrives", [False, True])
def test_a_lost_answer_is_looked_for_by_client_id(arrives):
    """The answer is lost and the channel silent: unknown, then found in the list or proven absent within its life."""
    made = wire()
    made.lost = lambda what, text: (
        (what == ("answer" if arrives else "call") and b"POST /api/v3/brokerage/orders " in text)
        or (what == "message" and b'"user"' in text)
    )
    number = made.place(BUY, 5_900_000, 10_000)
    assert made.life(number)[0] == "order_unknown"
    made.lost = lambda what, text: False
    made.step(3 * NS if arrives else 25 * NS)
    assert made.life(number)[-1] == ("order_acknowledged" if arrives else "order_rejected")
    assert sum(call.path == entry.ORDERS_PATH for call in made.calls) == 1
    assert made.desk.settled and len(made.rig.house.open_orders(1)) == arrives
    if arrives:
        made.cancel(number)
        made.step()
        assert made.life(number)[-1] == "order_cancelled"


def test_an_order_of_a_process_before_this_can_be_cancelled():
    """Nothing is remembered of an order but its client id: it is looked for, and then cancelled."""
    made = wire()
    made.rig.house.place(1, 0, BUY, 1_000, 5_900_000, client_id=made.ids.text(9))
    made.gateway.cancel(Order(made.followed[0], 9, made.ids.text(9), BUY, 0, 0), made.rig.now_ns)
    made.pump()
    assert not made.rig.house.open_orders(1)


def test_what_happened_while_away_is_found():
    """A fill, and the end of an order, while the connection was gone: told after it is back, once."""
    made = wire()
    first, second = made.place(BUY, 5_900_000, 10_000), made.place(BUY, 5_890_000, 10_000)
    made.rig.house.place(1, 0, SELL, 10, 6_100_000, client_id="not-ours")
    made.step()
    made.disconnect()
    made.rig.house.place(2, 0, SELL, 4_000, 5_900_000)
    made.rig.house.cancel(next(one for one in made.rig.house.open_orders(1) if one.price_ticks == 5_890_000))
    made.connect()
    made.step(4 * NS)
    assert made.filled(first) == 4_000 and made.life(second)[-1] in ("order_cancelled", "order_expired")
    assert made.desk.settled and made.desk.counts["foreign"] and not made.safety.killed
    assert len(made.rig.house.open_orders(1)) == 2


def test_a_lost_message_ends_the_connection():
    """The channel's numbers show a hole; the next connection tells how every order stands."""
    made = wire()
    number = made.place(BUY, 5_900_000, 10_000)
    left = [1]

    def lose(what, text):
        if what == "message" and b'"user"' in text and left[0]:
            left[0] = 0
            return True
        return False

    made.lost = lose
    made.rig.house.place(2, 0, SELL, 4_000, 5_900_000)
    made.step(4 * NS)
    assert any("came after" in why for why in made.restarts) and made.filled(number) == 4_000 and made.desk.settled


@pytest.mark.parametrize(("secret", "name"), [(OTHER, "key1"), (SECRET, "nobody")])
def test_a_key_that_is_not_taken_stops_trading(secret, name):
    """A token of another key, or of one that nobody has: never ready, and the operator is told."""
    made = wire(secret, False, name)
    made.connect()
    made.step(NS)
    assert not made.gateway.ready and made.safety.killed
    assert any(note.startswith("permission") for note in made.notes())


def test_a_clock_that_is_off_is_measured():
    """The venue's clock is 200 s behind, where a token of ours would not be valid yet: tokens are dated by it."""
    made = wire(up=False)
    made.rig.dialect.skew_ns = -200 * NS
    made.connect()
    made.step(2 * NS)
    assert made.gateway.ready and made.desk.settled
    assert made.life(made.place(BUY, 5_900_000, 10_000)) == ["order_acknowledged"]


def test_no_token_is_used_twice():
    """Each request has a token of its own."""
    made = wire()
    for _ in range(3):
        made.place(BUY, 5_900_000, 1_000)
    tokens = [call.headers["Authorization"] for call in made.calls if "Authorization" in call.headers]
    assert len(set(tokens)) == len(tokens) > 5


def test_silence_and_garbage():
    """A silent channel is given up; what is no message or no answer is Malformed, and a question about it unknown."""
    made = wire()
    made.lost = lambda what, text: what == "message"
    made.step(6 * NS)
    assert "silent" in made.restarts[0]
    made = wire()
    bad = b'{"channel":"user","sequence_num":%d,"events":[{"type":"update","orders":[{"order_id":1}]}]}'
    for text in (b"", b"[]", b"\xff", b'{"channel":"heartbeats","sequence_num":-1}', bad % 99):
        made.receive(text)
    assert len(made.malformed) == 5 and made.gateway.restart and not made.gateway.ready
    for body in (b"<html>", b"", b"[" * 100_000, b"null", b'{"order":{"order_id":"x"}}', b'{"orders":7}'):
        made = wire()
        number = made.gateway.ask_order(Order(made.followed[0], 9, made.ids.text(9), BUY, 1, 1), made.rig.now_ns)
        tag = made.gateway.calls[-1].tag
        made.answer(tag, 200, body)
        (answer,) = [one for one in made.gateway.said if getattr(one, "number", 0) == number]
        assert answer.cause == "outcome_unknown"
        made.gateway.place(Order(made.followed[0], 8, made.ids.text(8), BUY, 5_900_000, 1000), made.rig.now_ns)
        tag = made.gateway.calls[-1].tag
        made.answer(tag, 200, body)
        assert any(getattr(one, "kind", 0) == ORDER_UNKNOWN for one in made.gateway.said)

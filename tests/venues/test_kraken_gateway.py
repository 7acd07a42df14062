"""Kraken's order entry against the local exchange in memory: every outcome is told once and is what the house did."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from pinnacle.dialects.kraken import Kraken
from pinnacle.event import BUY, FOK, IOC, MAKER, ORDER_CANCELLED, ORDER_EXPIRED, ORDER_FILLED, POST_ONLY, SELL
from pinnacle.vault.nonces import NonceFile
from pinnacle.venues.feed import Malformed
from pinnacle.venues.kraken_gateway import KrakenGateway
from pinnacle.venues.private.said import Balance
from pinnacle.venues.signing import base64_key
from tests.dialects.rig import NS, Rig
from tests.venues.conversation import IDS, KEY_SECRET, Talk

MS = 1_000_000


def talk(secret=KEY_SECRET, tier="pro", **how):
    """A gateway on a quiet market with somebody else's order on either side."""
    rig = Rig(Kraken, ("BTC/USD", "ETH/USD"), **how)
    house, one = rig.house, rig.listings[0].instrument
    for side, price in ((BUY, "59990"), (SELL, "60010")):
        house.place(2, 0, side, one.lots("0.5"), one.ticks(price), POST_ONLY)
    return Talk(rig, lambda followed: KrakenGateway(followed, IDS, "key1", base64_key(secret), tier))


def test_placed_filled_and_cancelled():
    """An order is acknowledged, filled in part by others, and cancelled: each step once, with what is left and done."""
    one = talk()
    assert one.gateway.ready and not one.restarts
    order = one.order(1, price="59995", qty="0.03")
    expires_ns = one.place(order)
    assert one.take() == ["order_acknowledged"] and expires_ns == one.rig.now_ns - NS // 10 + 3 * NS
    assert one.steps[0].order_id == 1 and one.steps[0].venue_id
    one.rig.house.place(2, 0, SELL, order.qty_lots // 3, order.price_ticks, IOC)
    one.step()
    assert one.take() == ["order_filled"]
    fill = one.steps[0]
    assert (fill.order_id, fill.qty_lots, fill.price_ticks) == (1, order.qty_lots // 3, order.price_ticks)
    assert fill.flags & MAKER and fill.trade_id > 0 and fill.fee_units > 0 and fill.done_lots == fill.qty_lots
    one.gateway.cancel(order, one.rig.now_ns)
    one.step()
    assert one.take() == ["order_cancelled"]
    assert (one.steps[0].done_lots, one.steps[0].qty_lots) == (fill.qty_lots, order.qty_lots - fill.qty_lots)
    assert not one.house_orders()
    moved = [b for b in one.said if isinstance(b, Balance) and b.delta]
    assert {b.asset for b in moved} == {"BTC", "USD"}


def test_what_takes():
    """IOC is filled and the rest expires; a FOK that cannot be filled expires whole, by REST; post-only never takes."""
    one = talk()
    lots = one.rig.listings[0].instrument.lots("0.5")
    one.place(one.order(1, price="60010", qty="0.6", flags=IOC))
    assert one.take() == ["order_acknowledged", "order_filled", "order_expired unfilled"]
    assert one.steps[1].qty_lots == lots and not one.steps[1].flags & MAKER
    one.place(one.order(2, price="60010", flags=FOK))
    assert one.take()[-1] == "order_expired unfilled"
    assert any(call.path.endswith("AddOrder") for call in one.calls)
    one.place(one.order(3, price="59990", side=SELL))
    assert one.take() == ["order_expired would_cross"]
    assert one.steps[0].done_lots == 0


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


def test_cancel_of_nothing_and_late_orders():
    """A cancel of what is not there says unknown order; an order that travels too long is refused, not placed."""
    one = talk()
    one.gateway.cancel(one.order(7), one.rig.now_ns)
    one.step()
    assert one.take() == ["cancel_rejected unknown_order"]
    one.gateway.place(one.order(8), one.rig.now_ns)
    one.rig.step(4 * NS)
    one.pump()
    assert one.take() == ["order_rejected busy"] and not one.house_orders()


def test_amended():
    """An amend gives price and open quantity, keeps post-only, and is told as a step; one that is gone is refused."""
    one = talk()
    order = one.order(1, price="59995", qty="0.03")
    one.place(order)
    one.rig.house.place(2, 0, SELL, order.qty_lots // 3, order.price_ticks, IOC)
    one.step()
    one.take()
    wanted = replace(order, price_ticks=order.price_ticks - 200, qty_lots=500, done_lots=order.qty_lots // 3)
    one.gateway.replace(wanted, one.rig.now_ns)
    one.step()
    assert one.take() == ["order_replaced"] and one.steps[0].price_ticks == wanted.price_ticks
    (resting,) = one.house_orders()
    assert (resting.open_lots, resting.price_ticks, resting.flags & POST_ONLY) == (500, wanted.price_ticks, POST_ONLY)
    one.gateway.replace(replace(wanted, client_id=IDS.text(99)), one.rig.now_ns)
    one.step()
    assert one.take() == ["replace_rejected unknown_order"]


def test_questions():
    """Open orders, one order, fills from an id on or of one order, and balances are what the house has."""
    one = talk()
    order = one.order(1, price="59995", qty="0.04")
    one.place(order)
    for _ in range(4):
        one.rig.house.place(2, 0, SELL, order.qty_lots // 8, order.price_ticks, IOC)
    one.step()
    fills = [step for step in one.said if getattr(step, "kind", 0) == ORDER_FILLED]
    named = replace(order, venue_id=fills[0].venue_id)
    gateway, now = one.gateway, one.rig.now_ns
    shown = one.ask(gateway.ask_open(order.followed, now)).standings
    assert [(s.order_id, s.qty_lots, s.done_lots, s.end, s.venue_id) for s in shown] == [
        (1, order.qty_lots, order.qty_lots // 2, 0, named.venue_id)
    ]
    assert not one.ask(gateway.ask_open(one.followed[1], now)).standings
    assert one.ask(gateway.ask_order(order, now)).standings == shown
    assert one.ask(gateway.ask_order(one.order(5), now)).cause == "unknown_order"
    history = one.ask(gateway.ask_fills(order.followed, 0, None, now)).fills
    assert [(f.trade_id, f.qty_lots, f.price_ticks, f.fee_units, f.flags, f.side, f.venue_id) for f in history] == [
        (f.trade_id, f.qty_lots, f.price_ticks, f.fee_units, f.flags, f.side, f.venue_id) for f in fills
    ]
    assert len(one.ask(gateway.ask_fills(order.followed, fills[2].trade_id, None, now)).fills) == 2
    assert len(one.ask(gateway.ask_fills(order.followed, 0, named, now)).fills) == 4
    assert not one.ask(gateway.ask_fills(one.followed[1], 0, None, now)).fills
    held = {b.asset: b for b in one.ask(gateway.ask_balances(now)).balances}
    account = one.rig.house.accounts[0]
    assert held["USD"].locked == f"{one.rig.house.amount('USD', account.balances['USD'].held_units).normalize():f}"
    assert set(held) == {"BTC", "ETH", "USD"}
    one.gateway.cancel(order, one.rig.now_ns)
    one.step()
    assert one.ask(gateway.ask_order(order, one.rig.now_ns)).standings[0].end == ORDER_CANCELLED


def test_many_fills_are_paged():
    """Fills beyond a page of the history are asked for until the first one wanted is there."""
    one = talk()
    order = one.order(1, price="59995", qty="1")
    one.place(order)
    for _ in range(130):
        one.rig.house.place(2, 0, SELL, 100, order.price_ticks, IOC)
    one.step()
    ids = [step.trade_id for step in one.said if getattr(step, "kind", 0) == ORDER_FILLED]
    assert len(ids) == 130
    answer = one.ask(one.gateway.ask_fills(order.followed, ids[0], None, one.rig.now_ns))
    assert [f.trade_id for f in answer.fills] == ids
    named = replace(order, venue_id=answer.fills[0].venue_id)
    answer = one.ask(one.gateway.ask_fills(order.followed, 0, named, one.rig.now_ns))
    assert [f.trade_id for f in answer.fills] == ids


def test_a_lost_acknowledgement_is_asked_about():
    """Answer and events of an order are lost: nothing is said of it until it is asked for by its client id."""
    one = talk()
    one.fault = lambda messages: [m for m in messages if b"pong" in m]
    one.place(one.order(1))
    assert one.take() == []
    one.fault = lambda messages: messages
    (standing,) = one.ask(one.gateway.ask_order(one.order(1), one.rig.now_ns)).standings
    assert standing.end == 0 and standing.order_id == 1


def test_an_order_that_never_arrived_is_proven_absent():
    """The frame of an order is lost: after its deadline, by the venue's own clock, there is none, and never will be."""
    one = talk()
    one.keep_send = lambda frame: b"add_order" not in frame
    expires_ns = one.place(one.order(1))
    while one.gateway.venue_ns <= expires_ns:
        one.step(NS)
    assert one.ask(one.gateway.ask_order(one.order(1), one.rig.now_ns)).cause == "unknown_order"
    assert one.take() == []


def test_a_message_that_is_missing_costs_the_connection():
    """A gap in the channel's count begins the connection anew, with a new token; a message twice is heard once."""
    one = talk()
    first = [call for call in one.calls if call.path.endswith("GetWebSocketsToken")]
    lost = [1]

    def lose(messages):
        kept = []
        for message in messages:
            if b'"executions"' in message and lost and b"pending_new" in message:
                lost.pop()
                continue
            kept.append(message)
        return kept

    one.fault = lose
    one.place(one.order(1))
    assert not one.gateway.ready or one.restarts
    one.step(3 * NS)
    one.step(NS)
    assert one.restarts == ["kraken: executions 2 did not come"] and one.gateway.ready
    assert len([call for call in one.calls if call.path.endswith("GetWebSocketsToken")]) == len(first) + 1
    assert one.take() == ["order_acknowledged"]  # by the snapshot of the next connection
    one.fault = lambda messages: [m for m in messages for _ in range(2)]
    one.place(one.order(2, price="59000.01"))
    assert one.take() == ["order_acknowledged"] and one.gateway.counts["doubled"] > 0


def test_reconnecting():
    """While the connection is away cancels go by REST with an outcome to be asked for; what rests is shown anew."""
    one = talk()
    one.place(one.order(1))
    one.place(one.order(2, price="59001"))
    one.take()
    one.close()
    one.gateway.cancel(one.order(1), one.rig.now_ns)
    assert one.gateway.place(one.order(3), one.rig.now_ns) == 0
    one.pump()
    assert one.take() == ["order_rejected busy", "order_unknown outcome_unknown"]
    assert [o.client_id for o in one.house_orders()] == [IDS.text(2)]
    standing = one.ask(one.gateway.ask_order(one.order(1), one.rig.now_ns)).standings[0]
    assert standing.end == ORDER_CANCELLED
    one.rig.step(3 * NS)
    one.open()
    assert one.gateway.ready and one.take() == ["order_acknowledged"] and one.steps[0].order_id == 2


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


def test_the_switch_and_cancel_all():
    """The dead man's switch cancels when it is not set again, and cancel_all at once, by either way."""
    one = talk()
    one.place(one.order(1))
    one.gateway.dead_man(5 * NS, one.rig.now_ns)
    for _ in range(3):
        one.step(NS)
    assert one.house_orders()
    one.gateway.dead_man(5 * NS, one.rig.now_ns)
    for _ in range(7):
        one.step(NS)
    assert not one.house_orders() and "order_cancelled" in one.take()
    one.place(one.order(2))
    one.gateway.cancel_all(None, one.rig.now_ns)
    one.step()
    assert one.take() == ["order_acknowledged", "order_cancelled"]
    one.place(one.order(3))
    one.close()
    one.gateway.cancel_all(one.followed[0], one.rig.now_ns)
    one.pump()
    assert not one.house_orders()


def test_a_wrong_key():
    """A wrong secret is a matter of permission that the operator is told of, and nothing is ever ready."""
    one = talk(secret="d3Jvbmc=")
    assert not one.gateway.ready and "permission" in one.notes()
    answer = one.ask(one.gateway.ask_balances(one.rig.now_ns))
    assert answer.cause == "permission"


def test_nonces_rise(tmp_path):
    """A nonce that was used is refused as a matter of clocks, and no call leaves for a while; the key's last nonce,
    which all processes share, prevents it."""
    one = talk()
    other = KrakenGateway(one.followed, IDS, "key1", base64_key(KEY_SECRET))
    one.gateway = other
    one.gateway.ask_balances(one.rig.now_ns - 3600 * NS)
    one.pump()
    assert [a.cause for a in one.said if hasattr(a, "cause") and hasattr(a, "number")] == ["clock"]
    assert one.gateway.ask_balances(one.rig.now_ns) == 0
    one.rig.step(6 * NS)
    assert one.ask(one.gateway.ask_balances(one.rig.now_ns)).cause == ""
    shared = NonceFile(tmp_path / "vault", "kraken", "key1")
    shared.take(one.rig.now_ns // 1_000 + 7_200_000_000, 1_000)
    late = KrakenGateway(one.followed, IDS, "key1", base64_key(KEY_SECRET), nonces=shared)
    one.gateway, one.said = late, []
    assert one.ask(late.ask_balances(one.rig.now_ns)).cause == ""
    nonces = [int(call.body.split(b"&")[0].removeprefix(b"nonce=")) for call in one.calls]
    assert len(set(nonces)) == len(nonces)


def test_one_call_at_a_time():
    """A call waits for the answer to the one before, or nonces could arrive in disorder; cancels go first."""
    one = talk()
    gateway, now = one.gateway, one.rig.now_ns
    one.close()
    gateway.ask_balances(now)
    gateway.ask_open(one.followed[0], now)
    gateway.cancel(one.order(1), now)
    assert len(gateway.calls) == 1 and gateway.calls[0].path.endswith("BalanceEx")
    one.pump()
    assert [call.path.rpartition("/")[2] for call in one.calls[-3:]] == ["BalanceEx", "CancelOrder", "OpenOrders"]
    gateway.calls.clear()
    gateway.ask_balances(one.rig.now_ns)
    gateway.cancel(one.order(1), one.rig.now_ns)
    gateway.tick(one.rig.now_ns + 6 * NS)
    # The first was never answered; the cancel has waited longer than its owner has.
    assert [call.path.rpartition("/")[2] for call in gateway.calls] == ["BalanceEx"]


@pytest.mark.parametrize("status", [0, 500, 502, 403, 200])
def test_answers_that_are_none(status):
    """No answer, a server's error or HTML leaves the outcome unknown, whatever it was."""
    one = talk()
    gateway = one.gateway
    one.close()
    number = gateway.ask_balances(one.rig.now_ns)
    (call,) = gateway.calls
    gateway.answered(call.tag, status, b"<html>bad gateway</html>", one.rig.now_ns)
    assert gateway.said[0].number == number and gateway.said[0].cause == "outcome_unknown"
    gateway.said.clear()
    gateway.calls.clear()
    gateway.cancel(one.order(1), one.rig.now_ns)
    gateway.answered(gateway.calls[0].tag, status, b"<html>bad gateway</html>", one.rig.now_ns)
    one.said += gateway.said
    assert one.take() == ["order_unknown outcome_unknown"]
    gateway.answered("h999999", 200, b"", one.rig.now_ns)
    assert gateway.counts["late"] == 1


def test_silence_and_age():
    """A connection that says nothing is given up."""
    one = talk()
    one.gateway.tick(one.rig.now_ns + 6 * NS)
    assert one.gateway.restart.startswith("kraken: silent") and not one.gateway.ready


GARBAGE = [
    b"", b"<html>", b"[]", b"\xff", b"{", b'{"channel":"executions","data":5,"sequence":2}',
    b'{"channel":"executions","type":"update","data":[{"exec_type":"trade","order_id":"O","symbol":"BTC/USD"}]}',
    b'{"channel":"balances","data":[{"asset":"BTC","balance":"x"}]}', b'{"method":"pong","req_id":"x"}',
    b'{"channel":"executions","data":[{"exec_type":"new","order_id":"O","symbol":"BTC/USD","side":"buy","order_qty":1e999}]}',
]  # fmt: skip


@pytest.mark.parametrize("data", GARBAGE)
def test_garbage(data):
    """What is no message of the venue raises the one error, short, and costs the connection."""
    one = talk()
    with pytest.raises(Malformed) as caught:
        one.gateway.received(data, one.rig.now_ns)
    assert len(str(caught.value)) < 400 and one.gateway.restart and not one.gateway.ready


def test_what_is_new_is_noted():
    """A channel, an event or a state that nobody knows is a note, and the connection lives."""
    one = talk()
    row = {"exec_type": "invented", "order_id": "OX", "symbol": "BTC/USD", "side": "buy", "cl_ord_id": IDS.text(5)}
    for message in (
        {"channel": "invented", "data": []},
        {"channel": "status", "type": "update", "data": [{"system": "maintenance"}]},
        {"channel": "executions", "type": "update", "data": [row], "sequence": 2},
        {
            "channel": "executions",
            "type": "update",
            "data": [row | {"symbol": "XRP/USD", "order_id": "OY"}],
            "sequence": 3,
        },
    ):
        one.gateway.received(msgspec.json.encode(message), one.rig.now_ns)
    one.pump()
    assert {"unknown_channel", "unknown_step", "foreign_symbol", "status"} <= set(one.notes()) and not one.restarts


def test_a_self_trade_ends_the_older_order():
    """An order that would meet our own takes its place: the resting one expires, the new one trades or rests."""
    one = talk()
    one.place(one.order(1, price="59995"))
    one.take()
    one.place(one.order(2, side=SELL, price="59995", flags=IOC))
    assert "order_expired self_trade" in one.take()
    assert {s.order_id for s in one.steps if s.kind == ORDER_EXPIRED} <= {1, 2}

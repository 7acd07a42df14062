"""Coinbase Exchange's private side: every kind of message and answer is read, and nothing is dropped without a word."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import HistoryError
from pinnacle.event import BUY, KIND_NAMES, MAKER, POST_ONLY, SELL
from pinnacle.instrument import Instrument
from pinnacle.venues.account_connection import UNREADABLE
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import Order
from pinnacle.venues.private.coinbase import TEXTS, PrivateSide, cause_of, failure
from pinnacle.venues.private.said import CAUSES, Note, Step

ONE = Followed(Instrument("coinbase", "BTC-USD", Decimal("0.01"), Decimal("0.00000001"), base="BTC", quote="USD"), 1, 0)
TIME = "2026-04-07T14:30:00.123456Z"
BASE = {"product_id": "BTC-USD", "time": TIME, "sequence": 7, "user_id": "u", "profile_id": "p"}


def side():
    return PrivateSide({"BTC-USD": ONE}, {"ours": 5}.get)


def read(private, **message):
    return private.read(json.dumps(BASE | message).encode())


def told(said):
    return [KIND_NAMES[one.kind] if isinstance(one, Step) else one.what for one in said]


def received(private, **more):
    return read(
        private, type="received", order_id="v", client_oid="ours", side="buy", size="1.5", price="100.00",
        order_type="limit", **more,
    )  # fmt: skip


def test_causes_are_the_houses():
    """The venue's texts lead to words that the owner knows; the published ones to those that are meant."""
    assert {cause for _, cause in TEXTS} <= set(CAUSES)
    for text, cause in {
        "Insufficient funds": "funds", "Invalid Price": "price_filter", "size is too accurate": "qty_filter",
        "NotFound": "unknown_order", "order not found": "unknown_order", "Order already done": "unknown_order",
        "Invalid API Key": "permission", "invalid signature": "permission", "Invalid Passphrase": "permission",
        "request timestamp expired": "clock", "Invalid order id": "unknown_order", "Product not found": "malformed",
        "Trading pair not available": "halted", "Cancel only mode": "halted", "price too precise": "price_filter",
        "size is too small": "qty_filter", "under maintenance": "halted", "Private rate limit exceeded": "rate_limit",
        "post only": "would_cross", "what is this": "other",
    }.items():  # fmt: skip
        assert cause_of(text) == cause, text
    assert failure(404, b'{"message":"NotFound"}')[0] == "unknown_order"
    assert failure(401, b'{"message":"?"}')[0] == "permission" and failure(429, b"<html>")[0] == "rate_limit"
    for status, body in ((0, b"no answer"), (502, b"<html>"), (500, b'{"message":"Insufficient funds"}'), (400, b"[")):
        assert failure(status, body)[0] == "outcome_unknown"


def test_a_life_by_the_channel():
    """Received, open, match, done: with the client's id throughout, which only the first message has."""
    private = side()
    (step,) = received(private)
    assert (step.order_id, step.side, step.qty_lots, step.price_ticks) == (5, BUY, 150_000_000, 10_000)
    (rests,) = read(private, type="open", order_id="v", side="buy", price="100.00", remaining_size="1.5")
    assert rests.order_id == 5 and rests.done_lots == 0
    match = {
        "type": "match", "trade_id": 9, "maker_order_id": "v", "taker_order_id": "w", "side": "buy", "size": "0.5",
        "price": "100.00", "maker_user_id": "u", "maker_fee_rate": "0.0040",
    }  # fmt: skip
    (fill,) = read(private, **match)
    assert (fill.trade_id, fill.qty_lots, fill.side, fill.done_lots) == (9, 50_000_000, BUY, 50_000_000)
    assert fill.flags & MAKER and ONE.instrument.money(fill.fee_units) == Decimal("0.2")
    assert read(private, **match)[0].done_lots == 50_000_000, "the same trade twice is one"
    (gone,) = read(
        private, type="done", order_id="v", side="buy", price="100.00", remaining_size="1", reason="canceled"
    )
    assert (KIND_NAMES[gone.kind], gone.qty_lots, gone.done_lots) == ("order_cancelled", 100_000_000, 50_000_000)


def test_who_traded():
    """As taker the side is the other one; of nobody we know, a note; without a rate the fee is noted."""
    private = side()
    received(private)
    match = {"type": "match", "trade_id": 9, "maker_order_id": "w", "taker_order_id": "v", "side": "sell",
             "size": "0.5", "price": "99.00"}  # fmt: skip
    said = read(private, **match, taker_user_id="u", taker_fee_rate="0.006")
    assert told(said) == ["order_filled"] and said[0].side == BUY and not said[0].flags & MAKER
    assert told(read(private, **match | {"trade_id": 10})) == ["order_filled", "fee_unknown"]
    assert told(read(private, **match | {"taker_order_id": "x"})) == ["unknown_step"]
    both = read(private, **match, taker_user_id="u", maker_user_id="u", taker_fee_rate="0", maker_fee_rate="0")
    assert [one.side for one in both if isinstance(one, Step)] == [SELL, BUY] and both[-1].what == "self_trade"


@pytest.mark.parametrize(
    ("code", "flags", "wanted"),
    [("", 0, ("order_cancelled", "")), ("101", POST_ONLY, ("order_expired", "would_cross")),
     ("101", 0, ("order_expired", "unfilled")), ("102", 0, ("order_expired", "self_trade")),
     (104, 0, ("order_expired", "price_filter"))],
)  # fmt: skip
def test_why_an_order_ended(code, flags, wanted):
    """The codes of cancels, and none, which is our own."""
    private = side()
    private.names.placed(Order(ONE, 5, "ours", BUY, 10_000, 150_000_000, flags), 0)
    received(private)
    (step,) = read(
        private, type="done", order_id="v", side="buy", remaining_size="1.5", reason="canceled", cancel_reason=code
    )
    assert (KIND_NAMES[step.kind], step.cause) == wanted


def test_a_lost_match_shows_when_it_is_done():
    """Filled, and not all of it heard: a fill without an id says how much; an order never heard of is unknown."""
    private = side()
    received(private)
    (step,) = read(private, type="done", order_id="v", side="buy", remaining_size="0", reason="filled")
    assert (KIND_NAMES[step.kind], step.trade_id, step.done_lots) == ("order_filled", 0, 150_000_000)
    (step,) = read(private, type="done", order_id="other", side="buy", remaining_size="0", reason="canceled")
    assert (KIND_NAMES[step.kind], step.order_id) == ("order_unknown", None)


def test_the_rest_is_noted():
    """Changes, stops, kinds nobody knows, products that are not followed, orders of others."""
    private = side()
    received(private)
    (change,) = read(
        private, type="change", order_id="v", side="buy", old_size="1.5", new_size="1", price="100.00", reason="STP"
    )
    assert (KIND_NAMES[change.kind], change.qty_lots, change.cause) == ("order_replaced", 100_000_000, "self_trade")
    assert told(read(private, type="activate", order_id="v")) == ["activate"]
    assert told(read(private, type="what")) == ["unknown_event"]
    assert told(received(private, product_id="ETH-USD")) == ["foreign_symbol"]
    theirs = read(private, type="received", order_id="z", client_oid="theirs", side="sell", size="1", price="1")
    assert told(theirs) == ["foreign_order", "order_acknowledged"] and theirs[1].order_id is None


def test_answers_of_rest():
    """An order open, done, filled and refused; fills with their fees; balances."""
    private = side()
    order = {"id": "v", "product_id": "BTC-USD", "side": "buy", "status": "open", "client_oid": "ours",
             "price": "100.00", "size": "1.5", "filled_size": "0.5", "created_at": TIME}  # fmt: skip
    for change, wanted in (
        ({}, "open"), ({"status": "pending"}, "open"),
        ({"status": "done", "done_reason": "canceled"}, "order_cancelled"),
        ({"status": "done", "done_reason": "filled", "filled_size": "1.5"}, "order_filled"),
        ({"status": "done", "done_reason": "canceled", "time_in_force": "IOC"}, "order_expired"),
        ({"status": "rejected", "reject_reason": "post only"}, "order_rejected"),
    ):  # fmt: skip
        ((one,), notes) = private.standings(json.dumps([order | change]).encode())
        assert KIND_NAMES.get(one.end, "open") == wanted and not notes and one.order_id == 5
    assert private.standings(json.dumps(order | {"product_id": "X-Y"}).encode())[1][0].what == "foreign_symbol"
    with pytest.raises(ValueError, match="what"):
        private.standings(json.dumps(order | {"status": "what"}).encode())
    fill = {"trade_id": 3, "product_id": "BTC-USD", "order_id": "v", "price": "100.00", "size": "0.5", "side": "buy",
            "liquidity": "M", "fee": "0.2", "created_at": TIME}  # fmt: skip
    ((step,), notes, count) = private.fills(json.dumps([fill]).encode())
    assert (step.order_id, step.trade_id, count, notes) == (5, 3, 1, [])
    assert ONE.instrument.money(step.fee_units) == Decimal("0.2")
    account = {"id": "a", "currency": "USD", "balance": "3", "available": "1", "hold": "2"}
    (balance,) = private.balances(json.dumps([account]).encode())
    assert (balance.asset, balance.free, balance.locked) == ("USD", "1", "2")


MESSAGES = [
    json.dumps(BASE | one).encode()
    for one in (
        {"type": "received", "order_id": "v", "client_oid": "ours", "side": "buy", "size": "1.5", "price": "100.00"},
        {"type": "match", "trade_id": 9, "maker_order_id": "v", "taker_order_id": "w", "side": "buy", "size": "0.5",
         "price": "100.00", "maker_user_id": "u", "maker_fee_rate": "0.0040"},
        {"type": "done", "order_id": "v", "side": "buy", "remaining_size": "1", "reason": "canceled"},
        {"type": "change", "order_id": "v", "side": "buy", "new_size": "1", "price": "100.00", "reason": "STP"},
    )
]  # fmt: skip


@settings(max_examples=300)
@given(st.sampled_from(MESSAGES), st.integers(0, 400), st.integers(0, 400), st.binary(max_size=6))
def test_garbage(message, begin, end, put):
    """A message with a piece cut out or put in is said, noted, or refused with one of the errors that mean garbage."""
    private = side()
    received(private)
    begin, end = min(begin, end), max(begin, end)
    try:
        said = private.read(message[:begin] + put + message[end:])
    except UNREADABLE:
        return
    assert all(isinstance(one, Step | Note) for one in said)
    assert HistoryError in UNREADABLE

"""Garbage on the private side of Kraken and Bitstamp: the one error or things said, whatever comes, and bounded memory.

Real messages of a conversation with the local exchange, spoiled at random; PINNACLE_FUZZ asks for more rounds, and a
failure says its seed.
"""

from __future__ import annotations

import os
import random
from typing import Any

import msgspec
import pytest

from pinnacle.dialects.bitstamp import Bitstamp
from pinnacle.dialects.kraken import Kraken
from pinnacle.event import IOC, SELL
from pinnacle.limits import PRIVATE_ORDERS_MAX
from pinnacle.venues.bitstamp_gateway import BitstampGateway
from pinnacle.venues.feed import Malformed
from pinnacle.venues.gateway import Answer
from pinnacle.venues.kraken_gateway import KrakenGateway
from pinnacle.venues.private.kraken import Message, PrivateStream
from pinnacle.venues.private.said import CAUSES, Balance, Note, Step
from pinnacle.venues.signing import base64_key, text_key
from tests.dialects.rig import NS, Rig
from tests.venues.conversation import IDS, KEY_SECRET, Talk

ROUNDS = int(os.environ.get("PINNACLE_FUZZ", "1500"))
VENUES = {
    "kraken": (
        Kraken, ("BTC/USD", "ETH/USD"),
        lambda followed: KrakenGateway(followed, IDS, "key1", base64_key(KEY_SECRET), "pro"),
    ),
    "bitstamp": (
        Bitstamp, ("btcusd", "ethusd"), lambda followed: BitstampGateway(followed, IDS, "key1", text_key(KEY_SECRET)),
    ),
}  # fmt: skip
TOKENS = [
    b"null", b"true", b"-1", b"1e999", b"1e-999", b'"x"', b"[]", b"{}", b"9" * 30, b"[" * 200, b'"\xff"', b"0.1", b'""',
    b'{"a":' * 50, b'"2026-13-45T99:99:99Z"',
]  # fmt: skip


def recorded(venue: str) -> tuple[Any, list[bytes], list[tuple[str, bytes]]]:
    """(what makes the gateway with its instruments, messages heard, answers by path) of an order's whole life."""
    dialect, symbols, gateway_of = VENUES[venue]
    one = Talk(Rig(dialect, symbols), gateway_of)
    heard: list[bytes] = []
    answers: list[tuple[str, bytes]] = []
    one.fault = lambda messages: heard.extend(messages) or messages  # type: ignore[func-returns-value]
    hear = one.gateway.answered

    def answered(tag: str, status: int, body: bytes, ts_ns: int) -> None:
        answers.append((next(call.path for call in reversed(one.calls) if call.tag == tag), body))
        hear(tag, status, body, ts_ns)

    one.gateway.answered = answered
    order = one.order(1, price="59995", qty="0.03")
    one.place(order)
    one.rig.house.place(2, 0, SELL, 1000, order.price_ticks, IOC)
    one.step()
    for what in range(4):
        one.ask(asked(one.gateway, order, what, one.rig.now_ns))
    one.gateway.cancel(order, one.rig.now_ns)
    one.step()
    one.gateway.cancel(order, one.rig.now_ns)
    one.step()
    assert len(heard) >= 4 and len(answers) >= 4
    return (lambda: (gateway_of(one.followed), one)), heard, answers


def spoiled(chance: random.Random, data: bytes) -> bytes:
    """A message with something wrong: cut, a byte changed, a value replaced, a part doubled."""
    kind = chance.randrange(4)
    at = chance.randrange(len(data) + 1)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    if kind == 2:
        ends = [k for k, byte in enumerate(data) if byte in b",}]"]
        starts = [k for k, byte in enumerate(data) if byte in b":[,"]
        start = chance.choice(starts or [0])
        end = next((k for k in ends if k > start), len(data))
        return data[: start + 1] + chance.choice(TOKENS) + data[end:]
    return data[:at] + data[at // 2 :]


def asked(gateway: Any, order: Any, what: int, ts_ns: int) -> int:
    """One of the four questions."""
    if what == 0:
        return int(gateway.ask_open(order.followed, ts_ns))
    if what == 1:
        return int(gateway.ask_order(order, ts_ns))
    if what == 2:
        return int(gateway.ask_fills(order.followed, 0, None, ts_ns))
    return int(gateway.ask_balances(ts_ns))


def sound(said: list[Any]) -> None:
    """Everything that was said is of the four kinds, with a cause that has a reaction and numbers that fit."""
    for one in said:
        assert isinstance(one, (Step, Balance, Note, Answer))
        if isinstance(one, Note):
            assert len(one.what) + len(one.text) < 400
        elif not isinstance(one, Balance):
            assert one.cause in CAUSES
        if isinstance(one, Step):
            assert abs(one.price_ticks) < 1 << 62 and abs(one.qty_lots) < 1 << 62 and 0 <= one.venue_id < 1 << 62
            assert 0 <= one.ts_venue_ns < 1 << 63 and abs(one.fee_units) < 1 << 62 and one.trade_id < 1 << 62


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_spoiled_messages(venue: str) -> None:
    """A spoiled message is the one error, short, or is said; nothing else is raised and nothing odd is said."""
    make, heard, _ = recorded(venue)
    malformed = 0
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        gateway, one = make()
        gateway.opened(one.rig.now_ns)
        data = spoiled(chance, chance.choice(heard))
        try:
            gateway.received(data, one.rig.now_ns)
        except Malformed as error:
            malformed += 1
            assert len(str(error)) < 400 and gateway.restart and not gateway.ready, f"seed {seed}: {data!r}"
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r} of {data!r}") from error
        sound(gateway.said)
    assert ROUNDS // 10 < malformed < ROUNDS


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_spoiled_answers(venue: str) -> None:
    """A spoiled answer to a question is answered all the same: with what it shows, or as of unknown outcome."""
    make, _, answers = recorded(venue)
    kinds = set()
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        gateway, one = make()
        order, now = one.order(1, price="59995", qty="0.03"), one.rig.now_ns
        what = chance.randrange(4)
        path, body = chance.choice(answers)
        number = asked(gateway, order, what, now)
        (call,) = gateway.calls
        data = body if seed % 5 == 0 else spoiled(chance, body)
        try:
            gateway.answered(call.tag, chance.choice((200, 200, 200, 400, 403, 500)), data, now)
        except Malformed as error:
            assert len(str(error)) < 400
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r} of {data!r} to {call.path} ({path})") from error
        sound(gateway.said)
        found = [one for one in gateway.said if isinstance(one, Answer)]
        assert [one.number for one in found] in ([number], []), f"seed {seed}"
        kinds |= {one.cause for one in found}
    assert {"", "outcome_unknown"} <= kinds


def test_memory_is_bounded() -> None:
    """However many orders come and go, those remembered are a bounded number, and the open ones are kept longest."""
    reader = PrivateStream({one.instrument.symbol: one for one in _followed()}, lambda text: None)
    for number in range(3 * PRIVATE_ORDERS_MAX):
        row = (
            f'[{{"exec_type":"{"new" if number == 0 else "canceled"}","order_id":"O{number}","symbol":"BTC/USD",'
            f'"side":"buy","order_qty":1,"limit_price":60000}}]'
        )
        reader.read(_message(row))
    assert len(reader._known) <= PRIVATE_ORDERS_MAX and "O0" in reader._known


def _followed() -> list[Any]:
    return Talk(Rig(*VENUES["kraken"][:2]), VENUES["kraken"][2]).followed


def _message(rows: str) -> Message:
    return Message(channel="executions", data=msgspec.Raw(rows.encode()))


def test_a_huge_answer() -> None:
    """Ten thousand rows are read like one; a list nested without end is no answer."""
    make, _, _ = recorded("bitstamp")
    gateway, one = make()
    number = gateway.ask_open(one.followed[0], one.rig.now_ns)
    row = b'{"id":"5","type":"0","price":"1.00","amount":"1","amount_at_create":"2","market":"BTC/USD"}'
    gateway.answered(gateway.calls[0].tag, 200, b"[" + b",".join([row] * 10_000) + b"]", one.rig.now_ns)
    assert gateway.said[0].number == number and len(gateway.said[0].standings) == 10_000
    gateway.said.clear()
    gateway.calls.clear()
    gateway.ask_open(one.followed[0], one.rig.now_ns)
    gateway.answered(gateway.calls[0].tag, 200, b"[" * 1_000_000, one.rig.now_ns + NS)
    assert gateway.said[0].cause == "outcome_unknown"

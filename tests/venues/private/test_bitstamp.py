"""Every sample of Bitstamp's private side is read for what it says, and nothing of it is dropped without a word."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pinnacle.event import BUY, FOK, IOC, KIND_NAMES, LAST, MAKER, POST_ONLY, SELL
from pinnacle.instrument import Instrument
from pinnacle.venues import bitstamp_entry as entry
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import CANCEL_COST, PLACE_COST, Order, Standing
from pinnacle.venues.private import bitstamp_answers as answers
from pinnacle.venues.private.bitstamp import CancelledAll, Message, Placed, Reader
from pinnacle.venues.private.kraken import UNREADABLE
from pinnacle.venues.private.said import CAUSES, Balance, Note, Said, Step
from pinnacle.venues.signing import bitstamp_signature

INSTRUMENT = Instrument("bitstamp", "btcusd", Decimal("0.01"), Decimal("0.00000001"), base="BTC", quote="USD")
ONE = Followed(INSTRUMENT, 3, 0)
FOLLOWED = {"btcusd": ONE}
OURS = {"123456789": 7, "1234123412341234": 8, "mm-1": 9}
LOT = 100_000_000


@pytest.fixture(scope="module")
def samples(recordings: Path) -> Path:
    """The folder of samples; the test is skipped where it is absent."""
    folder = recordings / "exec" / "bitstamp"
    if not folder.is_dir():
        pytest.skip("no samples of Bitstamp's private side")
    return folder


def reader() -> Reader:
    return Reader(FOLLOWED, OURS.get)


def order(number: int = 9, flags: int = POST_ONLY, qty: str = "0.01", side: int = BUY) -> Order:
    text = next(name for name, one in OURS.items() if one == number)
    return Order(ONE, number, text, side, INSTRUMENT.ticks("30000"), INSTRUMENT.lots(qty), flags)


def told(said: list[Said]) -> list[str]:
    """What was said, in short."""
    return [
        KIND_NAMES[one.kind] if isinstance(one, Step) else "balance" if isinstance(one, Balance) else one.what
        for one in said
    ]


def routes(samples: Path) -> Iterator[tuple[str, bytes]]:
    """(path, body of the answer) of each recorded request, numbers with their own digits."""
    text = (samples / "gocryptotrader" / "private_routes.json").read_bytes()
    for row in msgspec.json.decode(text, type=list[dict[str, Raw]]):
        yield msgspec.json.decode(row["path"]), bytes(row["response"])


def test_every_recorded_route(samples: Path) -> None:
    """Each recorded answer says what is listed here, and the list has every one."""
    seen = []
    for path, body in routes(samples):
        seen.append(path)
        assert answers.refusal(200, body) == ("", "")
        read = reader()
        if path == "/api/cancel_all_orders/":
            assert body == b"true"  # of old; the channels say the rest
        elif "/balance/" in path:
            held = {one.asset: one for one in read.balances(body)}
            assert held["BTC"] == Balance("BTC", "9.1000000", "2.10000000")
            assert held["USDT"] == Balance("USDT", "42.42", "1295.00") and len(held) == 8
        elif "/fees/" in path:
            continue  # asked for by nobody: a fill says its fee
        elif path.endswith("order_status/"):
            # The sample has names in braces where currencies stand, which is no answer of the venue.
            with pytest.raises(UNREADABLE):
                read.standing(msgspec.json.decode(body, type=Placed))
            whole = body.replace(b"{from_currency}", b"usd").replace(b"{to_currency}", b"btc")
            one = read.standing(msgspec.json.decode(whole, type=Placed))
            assert isinstance(one, Standing)
            assert (one.side, one.price_ticks, one.qty_lots, one.done_lots, one.end) == (BUY, 5000, 201 * LOT, LOT, 0)
            assert one.ts_venue_ns == 1_643_640_195 * 10**9
        elif "/buy/" in path:
            step = read.acknowledged(body, order(7))
            assert told([step]) == ["order_acknowledged"] and step.order_id == 7
            assert step.venue_id == 1234123412341234 and step.ts_venue_ns == 1_643_640_195_796_000_000
        elif path.endswith("cancel_order/"):
            step_or_none = read.cancelled(body, order(9, qty="1"))
            assert step_or_none is not None
            assert (step_or_none.qty_lots, step_or_none.done_lots) == (2_035_278, LOT - 2_035_278)
            assert step_or_none.venue_id == 1453282316578816
        elif "/open_orders/" in path:
            (row,) = msgspec.json.decode(body, type=list[Placed])
            one = read.standing(row)
            assert isinstance(one, Standing)
            assert (one.order_id, one.side, one.price_ticks, one.qty_lots, one.done_lots, one.end) == (
                8, BUY, 10_000, LOT // 2, 0, 0,
            )  # fmt: skip
        else:
            rows = msgspec.json.decode(body, type=list[dict[str, Raw]])
            counted = Counter(what for row in rows for what in told(read.transaction(row, ONE, None)))
            assert counted == {"order_filled": 11} | ({"no_trade": 6} if path.endswith("transactions/") else {})
    assert len(seen) == 12


def test_a_transaction_is_a_fill(samples: Path) -> None:
    """A row of own transactions says side, price, quantity, fee and order, whether numbers are bare or text."""
    body = dict(routes(samples))["/api/v2/user_transactions/btcusd/"]
    rows = msgspec.json.decode(body, type=list[dict[str, Raw]])
    (fill,) = reader().transaction(rows[0], ONE, None)
    assert isinstance(fill, Step)
    assert (fill.side, fill.price_ticks, fill.qty_lots, fill.trade_id, fill.venue_id) == (
        BUY, 1_117_021, 94_492_494, 50197020, 857979733,
    )  # fmt: skip
    assert fill.fee_units * 10**2 == 2639 * 10**INSTRUMENT.money_digits and fill.flags == LAST
    sold = rows[0] | {"btc": Raw(b'"-0.5"')}
    (fill,) = reader().transaction(sold, ONE, None)
    assert isinstance(fill, Step) and (fill.side, fill.qty_lots) == (SELL, LOT // 2)


def test_every_other_sample(samples: Path) -> None:
    """Answers from 2013 on, whole and in error, each with what it says; the list has every file."""
    folder, read = samples / "xchange", reader()

    def body(name: str) -> bytes:
        return (folder / f"{name}.json").read_bytes()

    held = {one.asset: one for one in read.balances(body("example-accountinfo-data"))}
    assert held["USD"] == Balance("USD", "0.00", "172.87") and set(held) == {"BTC", "USD", "EUR", "XRP"}
    gone = msgspec.json.decode(body("example-cancel-all-orders"), type=CancelledAll)
    assert gone.success and bytes(gone.canceled[0].amount) == b"0.00018632"
    assert read.cancelled(body("example-cancel-order"), order()) is None
    old = [read.standing(row, order()) for row in msgspec.json.decode(body("example-openorders"), type=list[Placed])]
    shown = [one.qty_lots for one in old if isinstance(one, Standing) and one.price_ticks == 1293]
    assert shown == [263_031_710] and len(old) == 4
    for name in ("example-place-instant-order", "example-place-limit-order"):
        assert read.acknowledged(body(name), order()).venue_id == 1273070
    assert answers.refusal(200, body("example-place-limit-order-error"))[0] == "notional_filter"
    rows = msgspec.json.decode(body("example-user-transactions"), type=list[dict[str, Raw]])
    assert [told(read.transaction(row, ONE, None)) for row in rows] == [
        ["order_filled"], ["odd_transaction"], ["no_trade"], ["no_trade"], ["no_trade"],
    ]  # fmt: skip
    errors = [json.dumps(one).encode() for one in _objects(body("errors").decode())]
    assert [answers.refusal(200, one)[0] for one in errors] == [
        "permission", "permission", "funds", "unknown_order", "notional_filter",
    ]  # fmt: skip
    for name in ("order-book-v2", "trade-v2"):  # public channels: the feed's
        message = msgspec.json.decode(body(name), type=Message)
        assert told(read.read(message)) == ["unknown_channel"]
    known = {
        "errors", "example-accountinfo-data", "example-cancel-all-orders", "example-cancel-order", "example-openorders",
        "example-place-instant-order", "example-place-limit-order", "example-place-limit-order-error",
        "example-user-transactions", "order-book", "order-book-v2", "trade", "trade-v2",
    }  # fmt: skip
    assert {file.stem for file in folder.glob("*.json")} == known


def _objects(text: str) -> Iterator[Any]:
    """JSON objects one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        found, end = decoder.raw_decode(text[at:].lstrip())
        at += len(text[at:]) - len(text[at:].lstrip()) + end
        yield found


def test_what_is_asked() -> None:
    """Orders are the forms of the venue's sheet, and sign as its vectors say."""
    assert entry.place_path(order()) == "/api/v2/buy/btcusd/" and entry.place_path(order(side=SELL)).startswith(
        "/api/v2/sell/"
    )
    assert entry.encoded(entry.place_form(order())) == (
        b"amount=0.01000000&price=30000.00&client_order_id=mm-1&moc_order=True"
    )
    assert entry.place_form(order(flags=IOC))["ioc_order"] == "True"
    assert entry.place_form(order(flags=FOK))["fok_order"] == "True"
    assert "moc_order" not in entry.place_form(order(flags=0))
    body = b"amount=0.01&price=30000&client_order_id=mm-1&moc_order=True"
    nonce = "f93c979d-b00d-43a9-9b9c-fd4cd9547fa6"
    signed = bitstamp_signature(
        "fakekey", b"fakesecret", nonce, 1700000000000, "POST", "/api/v2/buy/btcusd/", body, "www.bitstamp.net"
    )
    assert signed == "16c5c832a5bf871916b9d73b13dc7b6052a6f7ee991af40e6e5f3162d627a056"
    assert entry.encoded({}) == b""
    texts = [entry.nonce_text(number) for number in (0, 1, 1_700_000_000_000_000, (1 << 63) - 1)]
    assert len(set(texts)) == 4
    assert all(len(one) == 36 and one[14] == "4" and one[19] == "8" for one in texts)


EVENT = {
    "id": 5, "id_str": "5", "client_order_id": "mm-1", "order_type": 0, "microtimestamp": "1700000000000000",
    "amount": 1e-05, "amount_str": "0.00001000", "amount_traded": "0.00999", "amount_at_create": "0.01",
    "price": 30000, "price_str": "30000.00",
}  # fmt: skip
TRADE = {
    "id": 77, "order_id": 5, "client_order_id": "mm-1", "amount": "0.00999", "price": "30000.00", "fee": "0.3",
    "side": "buy", "microtimestamp": "1700000000000000",
}  # fmt: skip


def event(name: str, data: Any, what: str = "orders", **more: str) -> Message:
    """A message of a private channel."""
    channel = f"private-my_{what}_btcusd-12"
    return Message(name, channel, Raw(json.dumps(data).encode()), **more)


def test_a_life() -> None:
    """An order is told with what is left and done; its fills come by their own channel, with the fee."""
    read = reader()
    read.placed(order())
    (step,) = read.read(event("order_created", EVENT))
    assert isinstance(step, Step)
    assert (step.order_id, step.venue_id, step.qty_lots, step.done_lots) == (9, 5, 1_000, 999_000)
    assert step.ts_venue_ns == 1_700_000_000 * 10**9
    (fill,) = read.read(event("trade", TRADE, "trades"))
    assert isinstance(fill, Step) and (fill.trade_id, fill.flags, fill.qty_lots) == (77, LAST | MAKER, 999_000)
    assert told(read.read(event("order_changed", EVENT))) == ["order_acknowledged"]
    assert told(read.read(event("order_deleted", EVENT | {"microtimestamp": "1700000009000000"}))) == [
        "order_cancelled"
    ]
    assert told(read.read(event("order_deleted", EVENT | {"amount_str": "0", "amount_traded": "0.01"}))) == [
        "order_acknowledged"
    ]
    assert told(read.read(event("order_created", EVENT | {"client_order_id": None}))) == [
        "foreign_order", "order_acknowledged",
    ]  # fmt: skip
    assert told(read.read(event("trade", TRADE | {"client_order_id": ""}, "trades"))) == [
        "foreign_order", "order_filled",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "later_us", "wanted"),
    [
        (POST_ONLY, 0, ("order_expired", "would_cross")),
        (POST_ONLY, 60_000_000, ("order_cancelled", "")),
        (IOC, 10, ("order_expired", "unfilled")),
        (FOK, 10, ("order_expired", "unfilled")),
        (0, 0, ("order_cancelled", "")),
    ],
)
def test_ends(flags: int, later_us: int, wanted: tuple[str, str]) -> None:
    """Why an order ended with something left is told from what it was, and how soon."""
    read = reader()
    read.placed(order(flags=flags))
    read.read(event("order_created", EVENT))
    ended = EVENT | {"microtimestamp": str(1700000000000000 + later_us)}
    (step,) = read.read(event("order_deleted", ended))
    assert isinstance(step, Step) and (KIND_NAMES[step.kind], step.cause) == wanted


def test_standings() -> None:
    """Each state that the venue has, with what was filled by the transactions; one that is new cannot be read."""
    row = {
        "id": "5", "type": "0", "price": "30000.00", "market": "BTC/USD", "amount_remaining": "0.00400000",
        "transactions": [{"tid": 1, "btc": "0.006", "usd": "180", "price": "30000", "fee": "0.1", "type": 2}],
    }  # fmt: skip
    for status, flags, end, cause in (
        ("Open", 0, None, ""), ("In Queue", 0, None, ""), ("Cancel pending", 0, None, ""),
        ("Finished", 0, "order_cancelled", ""), ("Canceled", 0, "order_cancelled", ""),
        ("Canceled", IOC, "order_expired", "unfilled"), ("Expired", 0, "order_expired", ""),
    ):  # fmt: skip
        data = json.dumps(row | {"status": status}).encode()
        one = reader().standing(msgspec.json.decode(data, type=Placed), order(flags=flags))
        assert isinstance(one, Standing)
        assert (one.done_lots, one.qty_lots) == (600_000, 1_000_000)
        assert (KIND_NAMES.get(one.end), one.cause) == (end, cause)
    with pytest.raises(ValueError, match="Invented"):
        reader().standing(msgspec.json.decode(json.dumps(row | {"status": "Invented"}).encode(), type=Placed))
    other = msgspec.json.decode(json.dumps(row | {"status": "Open", "market": "ETH/USD"}).encode(), type=Placed)
    assert isinstance(reader().standing(other), Note)


ERRORS = [
    ("400.002", "", "rate_limit"), ("400.067", "", "rate_limit"), ("400.068", "", "rate_limit"),
    ("404.001", "Order not found.", "unknown_order"), ("404.002", "", "unknown_order"), ("404.003", "", "malformed"),
    ("400.003", "Trading on this market is disabled.", "halted"), ("400.003", "", "malformed"),
    ("400.001", "", "malformed"), ("400.004", "", "malformed"), ("400.005", "", "malformed"),
    ("400.006", "", "malformed"), ("400.007", "", "malformed"), ("validation-error", "", "malformed"),
    ("403.004", "", "permission"), ("400.009", "", "funds"), ("400.075", "", "funds"), ("400.019", "", "duplicate"),
    ("400.020", "Minimum order size is not met.", "qty_filter"), ("400.046", "Minimum order size", "notional_filter"),
    ("400.037", "", "qty_filter"), ("400.037", "Too many open orders.", "orders_max"), ("400.021", "", "price_filter"),
    ("500.001", "", "outcome_unknown"), ("API0001", "API key not found", "permission"), ("API0011", "", "permission"),
    ("API0002", "", "permission"), ("API0003", "", "permission"), ("API0005", "Invalid signature", "permission"),
    ("API0006", "", "permission"), ("API0013", "", "malformed"), ("API0017", "", "clock"), ("API0004", "", "clock"),
    ("999.999", "Never heard of", "other"), ("400.009", "Maker-or-cancel order would be executed", "would_cross"),
    ("", "Something new", "other"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "words", "cause"), ERRORS)
@pytest.mark.parametrize("status", [200, 400])
def test_errors(status: int, code: str, words: str, cause: str) -> None:
    """Each code, and each word of old, has one cause, whatever HTTP says."""
    body = json.dumps({"status": "error", "reason": {"__all__": [words]}, "code": code, "response_code": code}).encode()
    assert answers.refusal(status, body)[0] == cause and cause in CAUSES
    assert KIND_NAMES[answers.kind_of(PLACE_COST, cause)] == (
        "order_unknown" if cause == "outcome_unknown" else "order_rejected"
    )
    assert KIND_NAMES[answers.kind_of(CANCEL_COST, "unknown_order")] == "cancel_rejected"
    assert set(answers.CODES.values()) | set(answers.WORDS.values()) <= set(CAUSES)


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (0, b"", "outcome_unknown"), (502, b'{"status":"error","code":"400.009","reason":"x"}', "outcome_unknown"),
        (200, b"<html>", "outcome_unknown"), (200, b'{"id":', "outcome_unknown"), (403, b"<html>", "outcome_unknown"),
        (400, b"{}", "outcome_unknown"), (429, b"<html>", "rate_limit"), (200, b"", "outcome_unknown"),
        (200, b"true", ""), (200, b"[]", ""), (200, b'{"id":"5","status":"Open"}', ""),
        (200, b"\xff", "outcome_unknown"),
    ],
)  # fmt: skip
def test_outcomes_that_are_not_known(status: int, body: bytes, cause: str) -> None:
    """A server's error, no answer, or one that cannot be read leaves the outcome open."""
    assert answers.refusal(status, body)[0] == cause


def test_garbage_is_malformed() -> None:
    """Events that are none raise the one error, short."""
    for name, data, what in (
        ("order_created", {}, "orders"), ("order_created", EVENT | {"order_type": 2}, "orders"),
        ("order_created", EVENT | {"price_str": "1e999"}, "orders"), ("order_changed", EVENT | {"id": -1}, "orders"),
        ("order_created", EVENT | {"amount_str": "x"}, "orders"), ("trade", TRADE | {"side": "hold"}, "trades"),
        ("trade", TRADE | {"price": "30000.001"}, "trades"), ("trade", TRADE | {"fee": "NaN"}, "trades"),
        ("trade", TRADE | {"microtimestamp": "now"}, "trades"), ("trade", TRADE | {"id": 1e300}, "trades"),
    ):  # fmt: skip
        with pytest.raises(Malformed) as caught:
            reader().read(event(name, data, what))
        assert len(str(caught.value)) < 400

"""Every sample of Binance's private side is read for what it says, and nothing of it is dropped without a word."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pinnacle.event import END_REASON_NAMES, EVENT, KIND_NAMES, LAST, MAKER, REASON_SHIFT, reason_of
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Followed, Malformed, Rows
from pinnacle.venues.private import binance_answers as answers
from pinnacle.venues.private import binance_usdm as usdm
from pinnacle.venues.private.binance import PrivateStream
from pinnacle.venues.private.said import CAUSES, Balance, Note, Said, Step, fee_of

STEPS = {
    "ETHUSDT": ("0.01", "0.0001", "ETH", "USDT"),
    "ETHBTC": ("0.0000001", "0.0001", "ETH", "BTC"),
    "LTCBTC": ("0.000001", "0.001", "LTC", "BTC"),
    "BTCUSDT": ("0.000001", "0.000001", "BTC", "USDT"),
}
FOLLOWED = {
    symbol: Followed(Instrument("binance", symbol, Decimal(tick), Decimal(lot), base=base, quote=quote), 3, index)
    for index, (symbol, (tick, lot, base, quote)) in enumerate(STEPS.items())
}
OURS = {
    "x-TD67BGP9-T0000000000000": 7,
    "mUvoqJxFIILMdfAW5iGSOW": 8,
    "myOrder1": 9,
    "TEST": 10,
    "6gCrw2kRUAF9CvJDGP16IP": 11,
}
STREAM = PrivateStream(FOLLOWED, OURS.get)
ANSWERS = answers.Answers(FOLLOWED, OURS.get)


@pytest.fixture(scope="module")
def samples(recordings: Path) -> Path:
    """The folder of samples; the test is skipped where it is absent."""
    folder = recordings / "exec" / "binance" / "nautilus"
    if not folder.is_dir():
        pytest.skip("no samples of Binance's private side")
    return folder


def told(said: list[Said]) -> list[str]:
    """What was said, in short."""
    return [
        KIND_NAMES[one.kind] if isinstance(one, Step) else "balance" if isinstance(one, Balance) else one.what
        for one in said
    ]


SPOT = {
    "account_position": ["balance", "balance"],
    "account_position_wrapped": ["balance"],
    "balance_update": ["balance"],
    "balance_update_wrapped": ["balance"],
    "execution_report_canceled": ["order_cancelled"],
    "execution_report_expired": ["order_expired"],
    "execution_report_new": ["order_acknowledged"],
    "execution_report_stop_loss": ["foreign_order", "order_acknowledged"],
    "execution_report_trade": ["order_filled", "fee_elsewhere"],
    "execution_report_wrapped": ["order_acknowledged"],
    "list_status_wrapped": ["listStatus"],
}
USDM = {
    "account_update": ["balance", "position", "position", "position"],
    "account_update_bnfcr": ["balance"],
    "algo_update_canceled": ["ALGO_UPDATE"],
    "algo_update_new": ["ALGO_UPDATE"],
    "order_update_adl": ["foreign_order", "order_filled"],
    "order_update_calculated": ["foreign_order", "order_filled"],
    "order_update_calculated_pending": ["foreign_order", "unknown_step"],
    "order_update_delivery": ["foreign_symbol"],
    "order_update_insurance": ["foreign_order", "order_filled"],
    "order_update_new": ["order_acknowledged"],
    "order_update_settlement": ["foreign_order", "order_filled"],
    "order_update_trade": ["order_filled"],
    "order_update_trade_partial": ["order_filled"],
    "trade_lite": ["TRADE_LITE"],
}


@pytest.mark.parametrize(("folder", "wanted"), [("spot", SPOT), ("futures", USDM)])
def test_every_event_of_the_stream(samples: Path, folder: str, wanted: dict[str, list[str]]) -> None:
    """Each sample of a user stream says what is listed here, and the list has every sample."""
    files = {file.stem: file for file in (samples / folder / "user_data_json").glob("*.json")}
    assert {name: told(STREAM.read(file.read_bytes())) for name, file in files.items()} == wanted


ORDER_ANSWERS = {
    "spot/http_json/all_orders_response": ["order_acknowledged"],
    "spot/http_json/cancel_open_orders_response": [
        "foreign_order", "order_cancelled", "foreign_order", "order_cancelled", "list_or_algo",
    ],
    "spot/http_json/cancel_order_response": ["order_cancelled"],
    "spot/http_json/new_order_full_response": ["order_filled"] * 5,
    "spot/http_json/open_orders_response": ["order_acknowledged"],
    "spot/http_json/order_response": ["order_acknowledged"],
    "futures/http_json/order_response": ["foreign_order", "order_acknowledged"],
    "futures/http_json/open_algo_orders": ["list_or_algo"],
}  # fmt: skip
OTHER_ANSWERS = {
    "spot/http_json/account_response": answers.Account,
    "spot/http_json/account_trades_response": list[answers.Trade],
    "futures/http_json/balance": list[usdm.Held],
    "futures/http_json/position_risk": list[usdm.PositionAt],
}
# Public market data, and the whole account of USD-M, of which wallets and positions are asked for apart.
NOT_READ_HERE = {
    "spot": {"avg_price", "book_ticker", "depth", "exchange_info", "klines", "ping", "server_time", "ticker_24hr",
             "ticker_price", "trades"},
    "futures": {"account_info_v2"},
}  # fmt: skip


def test_every_answer(samples: Path) -> None:
    """Each sample of an answer about orders says what is listed; every other one is in a list of its own."""
    listed = set(ORDER_ANSWERS) | set(OTHER_ANSWERS)
    listed |= {f"spot/http_json/{name}_response" for name in NOT_READ_HERE["spot"]}
    listed |= {f"futures/http_json/{name}" for name in NOT_READ_HERE["futures"]}
    found = {str(file.relative_to(samples).with_suffix("")) for file in samples.glob("*/http_json/*.json")}
    assert found == listed
    for name, wanted in ORDER_ANSWERS.items():
        assert told(ANSWERS.read((samples / f"{name}.json").read_bytes())) == wanted, name
    for name, kind in OTHER_ANSWERS.items():
        assert msgspec.json.decode((samples / f"{name}.json").read_bytes(), type=kind)


def test_what_a_futures_account_holds(samples: Path) -> None:
    """Wallets as they are; a position as the base that it is of, none where none is listed; hedge positions noted."""
    folder = samples / "futures" / "http_json"
    assert usdm.balances_of((folder / "balance.json").read_bytes()) == [Balance("USDT", "122.12345678")]
    listed = (folder / "position_risk.json").read_bytes()
    btc = {"BTCUSDT": FOLLOWED["BTCUSDT"]}
    assert usdm.positions_of(listed, btc) == ([Balance("BTC", "0.001")], [])
    assert usdm.positions_of(b"[]", btc) == ([Balance("BTC", "0")], [])
    assert usdm.positions_of(listed, FOLLOWED)[0] == [Balance("LTC", "0"), Balance("BTC", "0.001")]  # two are of ETH
    hedged = listed.replace(b"BOTH", b"SHORT")
    assert [one.what for one in usdm.positions_of(hedged, btc)[1]] == ["hedge_position"]


def test_an_answer_that_shows_no_fills_says_how_much_there_is() -> None:
    """Where the fills come by the stream alone, an order that is filled at once rests, with so much of it filled."""
    order = {
        "symbol": "LTCBTC", "orderId": 1, "clientOrderId": "myOrder1", "price": "0.1", "origQty": "1.0",
        "executedQty": "1.0", "status": "FILLED", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
    }  # fmt: skip
    (step,) = answers.Answers(FOLLOWED, OURS.get, shows_fills=False).read(json.dumps(order).encode())
    assert isinstance(step, Step) and (told([step]), step.done_lots) == (["order_acknowledged"], 1_000)


@pytest.mark.parametrize(
    ("execution", "status", "wanted"),
    [
        ("NEW", "NEW", "order_acknowledged"), ("CANCELED", "CANCELED", "order_cancelled"),
        ("EXPIRED", "EXPIRED", "order_expired"), ("EXPIRED", "EXPIRED_IN_MATCH", "order_expired"),
        ("AMENDMENT", "NEW", "order_replaced"), ("AMENDMENT", "PARTIALLY_FILLED", "order_replaced"),
        ("CALCULATED", "FILLED", "order_filled"), ("TRADE", "FILLED", "order_filled"),
    ],
)  # fmt: skip
def test_every_execution_type_of_futures(execution: str, status: str, wanted: str) -> None:
    """NEW, CANCELED, CALCULATED, EXPIRED, TRADE and AMENDMENT of ORDER_TRADE_UPDATE, each is one step."""
    fill = {"l": "0.5", "z": "0.5", "L": "2500", "t": 5} if wanted == "order_filled" else {}
    inner = json.loads(report(x=execution, X=status, **fill))
    data = json.dumps({"e": "ORDER_TRADE_UPDATE", "T": 1, "E": 1, "o": inner}).encode()
    assert told(STREAM.read(data)) == [wanted]


USDM_ERRORS = [
    (-2019, "Margin is insufficient.", "funds"),
    (-2022, "ReduceOnly Order is rejected.", "funds"),
    (-2026, "This OrderType is not supported when reduceOnly.", "malformed"),
    (-4061, "Order's position side does not match user's setting.", "permission"),
    (-4116, "ClientOrderId is duplicated.", "duplicate"),
    (-4164, "Order's notional must be no smaller than 5.", "notional_filter"),
    (-5021, "the FOK order has been rejected.", "unfilled"),
    (-5022, "the Post Only order will be rejected.", "would_cross"),
    (-5027, "No need to modify the order.", "amend"),
    (-5028, "Timestamp for this request is outside of the ME recvWindow.", "clock"),
    (-1000, "An unknown error occured while processing the request.", "outcome_unknown"),
    (-2010, "Order would immediately match and take.", "would_cross"),
    (-2011, "Unknown order sent.", "unknown_order"),
    (-2013, "Order does not exist.", "unknown_order"),
    (-1021, "Timestamp for this request is outside of the recvWindow.", "clock"),
    (-1015, "Too many new orders.", "rate_limit"),
    (-4999, "Never heard of", "other"),
]


@pytest.mark.parametrize(("code", "text", "cause"), USDM_ERRORS)
def test_refusals_of_futures(code: int, text: str, cause: str) -> None:
    """The same numbers do not always mean the same as on spot; every cause has a reaction."""
    body = json.dumps({"code": code, "msg": text}).encode()
    found = answers.refusal(answers.PLACE, 400, body, usdm.cause_of)
    assert found is not None and found[1] == cause
    assert set(usdm.CODES.values()) <= set(CAUSES)


def report(**changed: Any) -> bytes:
    """An executionReport of our order 7, changed."""
    fields = {
        "e": "executionReport", "E": 1709654401000, "s": "ETHUSDT", "c": "x-TD67BGP9-T0000000000000", "S": "BUY",
        "o": "LIMIT", "f": "GTC", "q": "1.00000000", "p": "2500.00000000", "x": "NEW", "X": "NEW", "r": "NONE",
        "i": 12345678, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None,
        "T": 1709654401000, "t": -1, "m": False, "C": "",
    }  # fmt: skip
    return json.dumps(fields | changed).encode()


def one(**changed: Any) -> Step:
    """The only thing that a report says, which is a step."""
    (step,) = STREAM.read(report(**changed))
    assert isinstance(step, Step)
    return step


def test_a_fill_in_full() -> None:
    """Price, lots, fee in money units rounded against us, maker, trade id, what is filled in all; and as a record."""
    fill = {"x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.25", "z": "0.5", "L": "2499.99", "t": 5, "m": True}
    step = one(**fill, n="0.1000000001", N="USDT")
    assert (step.price_ticks, step.qty_lots, step.done_lots, step.trade_id) == (249999, 2500, 5000, 5)
    assert step.fee_units == 100_000_001 and FOLLOWED["ETHUSDT"].instrument.money_digits == 9
    assert step.flags == LAST | MAKER
    assert one(**(fill | {"m": False})).flags >> REASON_SHIFT == 4
    rows = Rows()
    step.write(rows, 123)
    (row,) = rows.take()
    assert row.dtype == EVENT
    assert row.tolist() == (
        0, 123, 1709654401000 * 10**6, 7, 249999, 2500, 100_000_001, step.kind, 1, LAST | MAKER, 3, 0,
    )  # fmt: skip


def test_fees_in_other_assets_are_noted() -> None:
    """In the base asset a fee is valued at the fill's price and noted; in a third it counts as none and is noted."""
    eth = FOLLOWED["ETHUSDT"].instrument
    assert fee_of(eth, "0.001", "ETH", 250000)[0] == 2_500_000_000
    assert fee_of(eth, "0.001", "BNB", 250000)[0] == 0
    for asset in ("ETH", "BNB"):
        note = fee_of(eth, "0.001", asset, 250000)[1]
        assert note is not None and note.what == "fee_elsewhere" and f"0.001 {asset}" in note.text
    assert fee_of(eth, "-0.5", "USDT", 1) == (-500_000_000, None)
    assert fee_of(eth, "0", "BNB", 1) == (0, None)


@pytest.mark.parametrize(
    ("changed", "kind", "cause"),
    [
        ({"x": "REJECTED", "X": "REJECTED", "r": "WOULD_MATCH_IMMEDIATELY"}, "order_rejected", "would_cross"),
        ({"x": "REJECTED", "X": "REJECTED", "r": "INSUFFICIENT_BALANCES"}, "order_rejected", "funds"),
        ({"x": "REJECTED", "X": "REJECTED", "r": "SOMETHING_NEW"}, "order_rejected", "other"),
        ({"x": "EXPIRED", "X": "EXPIRED", "f": "IOC"}, "order_expired", "unfilled"),
        ({"x": "EXPIRED", "X": "EXPIRED", "f": "FOK"}, "order_expired", "unfilled"),
        ({"x": "EXPIRED", "X": "EXPIRED", "f": "GTX"}, "order_expired", "would_cross"),
        ({"x": "EXPIRED", "X": "EXPIRED", "o": "MARKET"}, "order_expired", "no_liquidity"),
        ({"x": "EXPIRED", "X": "EXPIRED"}, "order_expired", ""),
        ({"x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH"}, "order_expired", "self_trade"),
        ({"x": "REPLACED", "X": "NEW"}, "order_replaced", ""),
    ],
)
def test_ends_and_their_causes(changed: dict[str, str], kind: str, cause: str) -> None:
    """Each way an order ends or changes has its record and its cause; the record's reason is the cause's number."""
    step = one(**changed)
    assert (KIND_NAMES[step.kind], step.cause) == (kind, cause)
    rows = Rows()
    step.write(rows, 1)
    assert reason_of(rows.take()["flags"][0]) == CAUSES[cause]


def test_a_cancel_is_about_the_order_it_cancelled() -> None:
    """The cancelled order's id is in C where the cancel has an id of its own; what was still open is said."""
    step = one(x="CANCELED", X="CANCELED", c="cancel-1", C="x-TD67BGP9-T0000000000000", z="0.25")
    assert (step.order_id, step.qty_lots, step.done_lots) == (7, 7500, 2500)
    assert one(x="CANCELED", X="CANCELED").order_id == 7


def test_what_is_not_known_is_noted() -> None:
    """Somebody else's order, another symbol, another event, another step: each is a note, none an error."""
    for data, what in (
        (report(s="XRPUSDT"), ["foreign_symbol"]),
        (report(c="autoclose-1"), ["foreign_order", "order_acknowledged"]),
        (report(x="NEWLY_INVENTED"), ["unknown_step"]),
        (report(x="TRADE_PREVENTION", X="PARTIALLY_FILLED"), ["unknown_step"]),
        (b'{"e":"newEvent"}', ["unknown_event"]),
        (b'{"id":"1","status":200}', ["unknown_event"]),
    ):
        assert told(STREAM.read(data)) == what
    foreign = STREAM.read(report(c="somebody"))[1]
    assert isinstance(foreign, Step) and foreign.order_id is None
    with pytest.raises(AssertionError):
        foreign.write(Rows(), 1)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html>", b"[]", b"\xff", report()[:-9], report(S="HOLD"), report(q="1e999"), report(p="2500.001"),
        report(q="x"), report(T=-1), report(i="7"), report(x="TRADE", l="1", L="2500", n="1e99", N="USDT"),
        report(x="TRADE", l="1", L="2500", n="x", N="USDT"), report(x="TRADE", l="1", L="2500", n="NaN", N="USDT"),
        report(x="TRADE", l="1", L="2500", n="1e99999999", N="BNB"),
        b'{"e":"executionReport"}', b'{"e":"ORDER_TRADE_UPDATE"}', b'{"e":"ACCOUNT_UPDATE"}', b'{"event":{"e":1}}',
    ],
)  # fmt: skip
def test_garbage_is_malformed(data: bytes) -> None:
    """What is not what the venue promises raises the one error, short, whatever is wrong with it."""
    for reader in (STREAM, ANSWERS):
        try:
            reader.read(data)
        except Malformed as error:
            assert len(str(error)) < 400
        else:
            assert reader is not STREAM, data


def test_every_cut_of_a_message_is_malformed() -> None:
    """A message cut off anywhere is no message."""
    whole = report(x="TRADE", l="1", z="1", L="2500", t=5)
    for size in range(len(whole)):
        with pytest.raises(Malformed):
            STREAM.read(whole[:size])


ERRORS = [
    (-2010, "Account has insufficient balance for requested action.", "funds"),
    (-2010, "Duplicate order sent.", "duplicate"),
    (-2010, "Order would immediately match and take.", "would_cross"),
    (-2010, "Market is closed.", "halted"),
    (-2010, "Something new.", "other"),
    (-1013, "Filter failure: PRICE_FILTER", "price_filter"),
    (-1013, "Filter failure: LOT_SIZE", "qty_filter"),
    (-1013, "Filter failure: NOTIONAL", "notional_filter"),
    (-1013, "Filter failure: MAX_NUM_ORDERS", "orders_max"),
    (-1013, "Unknown order sent.", "unknown_order"),
    (-1021, "Timestamp for this request is outside of the recvWindow.", "clock"),
    (-1022, "Signature for this request is not valid.", "permission"),
    (-2015, "Invalid API-key, IP, or permissions for action.", "permission"),
    (-1003, "Too much request weight used.", "rate_limit"),
    (-1015, "Too many new orders.", "rate_limit"),
    (-1008, "Server is currently overloaded.", "busy"),
    (-2011, "Unknown order sent.", "unknown_order"),
    (-2013, "Order does not exist.", "unknown_order"),
    (-2038, "The requested action would change no state; rejecting", "amend"),
    (-1111, "Precision is over the maximum defined for this asset.", "malformed"),
    (-9999, "Never heard of", "other"),
]


@pytest.mark.parametrize(("code", "text", "cause"), ERRORS)
@pytest.mark.parametrize("request_", [answers.PLACE, answers.CANCEL, answers.REPLACE])
def test_refusals(request_: str, code: int, text: str, cause: str) -> None:
    """Each error has one cause, and is the refusal of what was asked for."""
    body = json.dumps({"code": code, "msg": text}).encode()
    kind, found, words = answers.refusal(request_, 400, body) or (0, "", "")
    assert (found, KIND_NAMES[kind]) == (cause, KIND_NAMES[answers.REFUSALS[request_]]) and text in words


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (0, b"timed out"), (500, b'{"code":-1000,"msg":"x"}'), (502, b"<html>bad gateway</html>"), (503, b""),
        (400, b'{"code":-1007,"msg":"Timeout waiting for response"}'), (403, b"<html>"), (400, b'{"code":'),
        (504, b'{"code":-2010,"msg":"Duplicate order sent."}'),
    ],
)  # fmt: skip
def test_outcomes_that_are_not_known(status: int, body: bytes) -> None:
    """A server's error, no answer, or one that cannot be read: the order may be there, whatever the text says."""
    kind, cause, _ = answers.refusal(answers.PLACE, status, body) or (0, "", "")
    assert (KIND_NAMES[kind], cause) == ("order_unknown", "outcome_unknown")


def test_limits_and_busy_are_known_outcomes() -> None:
    """A request over the limit was not done, with or without words; neither was one to a busy server."""
    for status, body, wanted in (
        (429, b"<html>", "rate_limit"),
        (418, b'{"code":-1003,"msg":"banned"}', "rate_limit"),
        (503, b'{"code":-1008,"msg":"Server is currently overloaded"}', "busy"),
    ):
        kind, cause, _ = answers.refusal(answers.PLACE, status, body) or (0, "", "")
        assert (KIND_NAMES[kind], cause) == ("order_rejected", wanted)
    assert answers.refusal(answers.PLACE, 200, b"{}") is None


def test_fills_that_an_answer_does_not_show_are_noted() -> None:
    """An order that is filled by more than the answer's fills says so: the rest is to be asked for."""
    order = {
        "symbol": "LTCBTC", "orderId": 1, "clientOrderId": "myOrder1", "price": "0.1", "origQty": "1.0",
        "executedQty": "0.4", "status": "PARTIALLY_FILLED", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
    }  # fmt: skip
    said = ANSWERS.read(json.dumps(order).encode())
    assert told(said) == ["order_acknowledged", "fills_not_shown"]
    assert isinstance(said[0], Step) and (said[0].qty_lots, said[0].done_lots) == (600, 400)
    for status, wanted in (
        ("CANCELED", "order_cancelled"), ("EXPIRED", "order_expired"), ("EXPIRED_IN_MATCH", "order_expired"),
        ("REJECTED", "order_rejected"), ("PENDING_CANCEL", "unknown_status"),
    ):  # fmt: skip
        assert told(ANSWERS.read(json.dumps(order | {"status": status}).encode())) == ["fills_not_shown", wanted]


def test_causes_have_the_records_reasons() -> None:
    """A cause with a number has that reason's name, so that a log and the code call it the same."""
    names = {"halted": "state", "rate_limit": "busy"}
    for cause, number in CAUSES.items():
        if number:
            assert END_REASON_NAMES[number] == names.get(cause, cause)
    counted = Counter(number for cause, number in CAUSES.items() if number and cause != "rate_limit")
    assert max(counted.values()) == 1
    used = {cause for *_, cause in ERRORS} | set(answers.CODES.values())
    assert used <= set(CAUSES)
    assert isinstance(STREAM.read(b'{"e":"x"}')[0], Note)

"""Every sample of Kraken's private side is read for what it says, and nothing of it is dropped without a word."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pinnacle.event import BUY, FOK, IOC, KIND_NAMES, LAST, MAKER, POST_ONLY, SELL
from pinnacle.execution.budget import Budget
from pinnacle.instrument import Instrument
from pinnacle.venues import kraken_entry as entry
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import CANCEL_COST, PLACE_COST, REPLACE_COST, Order, Standing
from pinnacle.venues.private import kraken_answers as answers
from pinnacle.venues.private.kraken import UNREADABLE, Message, PrivateStream, ended, venue_id
from pinnacle.venues.private.said import CAUSES, Balance, Note, Said, Step
from pinnacle.venues.signing import base64_key, kraken_signature

NS = 1_000_000_000
STEPS = {"BTC/USD": ("0.1", "0.00000001"), "BTC/USDT": ("0.01", "0.00000001"), "ETH/USDT": ("0.01", "0.00000001")}
FOLLOWED = {
    symbol: Followed(
        Instrument("kraken", symbol, Decimal(tick), Decimal(lot), base=symbol[:3], quote=symbol[4:]), 3, index
    )
    for index, (symbol, (tick, lot)) in enumerate(STEPS.items())
}
OURS = {"O-20260505-000001": 7, "O-A": 8, "O-B": 9}
ANSWERS = answers.Answers(FOLLOWED, OURS.get)


@pytest.fixture(scope="module")
def samples(recordings: Path) -> Path:
    """The folder of samples; the test is skipped where it is absent."""
    folder = recordings / "exec" / "kraken" / "nautilus"
    if not folder.is_dir():
        pytest.skip("no samples of Kraken's private side")
    return folder


def stream() -> PrivateStream:
    return PrivateStream(FOLLOWED, OURS.get)


def read(reader: PrivateStream, *rows: dict[str, Any], channel: str = "executions") -> list[Said]:
    """What a message of a channel with these rows says."""
    return reader.read(Message(channel=channel, data=msgspec.Raw(json.dumps(rows).encode())))


def told(said: list[Said]) -> list[str]:
    """What was said, in short."""
    return [
        KIND_NAMES[one.kind] if isinstance(one, Step) else "balance" if isinstance(one, Balance) else one.what
        for one in said
    ]


def seen(name: str, data: bytes) -> list[str]:
    """What a sample says, in short, to whatever of ours reads such a message."""
    if name.startswith("ws_"):
        message = msgspec.json.decode(data, type=Message)
        if message.method and message.time_out:  # answers
            orders = msgspec.json.decode(message.result).get("orders", []) if message.result else []
            if orders:
                return [answers.cause_of(one["error"]) if "error" in one else "done" for one in orders]
            return ["done" if message.success and not message.error else answers.cause_of(message.error or "")]
        if message.method:
            return [f"request {message.method}"]
        return told(stream().read(message))
    result, cause, _ = answers.opened_envelope(200, data)
    if cause:
        return [cause]
    found = msgspec.json.decode(result)
    if "open" in found or "closed" in found:
        rows = msgspec.convert(found.get("open") or found.get("closed"), dict[str, Any])
        kept = []
        for txid in rows:
            row = msgspec.json.decode(msgspec.json.encode(rows[txid]), type=answers.OrderRow)
            one = ANSWERS.standing(txid, row)
            kept.append(
                f"{one.side} {one.done_lots}/{one.qty_lots} {KIND_NAMES.get(one.end)}"
                if isinstance(one, Standing)
                else one.what
            )
        return kept
    if "trades" in found:
        page = msgspec.json.decode(result, type=answers.TradesPage)
        steps = [ANSWERS.fill(txid, row)[0] for txid, row in page.trades.items()]
        return [
            f"{s.side} {s.qty_lots} at {s.price_ticks} fee {s.fee_units} maker {bool(s.flags & MAKER)}"
            for s in steps
            if s
        ]
    if name == "http_spot_balance":
        return [f"{one.asset} {one.free}" for one in ANSWERS.balances(result)]
    return sorted(found)[:2]


WANTED = {
    "http_add_order_spot": ["descr", "txid"],
    "http_cancel_order_spot": ["count"],
    "http_closed_orders": ["1 50000000/50000000 order_filled", "-1 100000000/100000000 order_filled"],
    "http_open_orders": ["1 0/50000000 None", "-1 0/100000000 None"],
    "http_spot_balance": ["USD 200000.00", "BTC 0.5", "ETH 2.0"],
    "http_trades_history": [
        "1 50000000 at 2950050 fee 236000000000 maker True", "-1 100000000 at 179975 fee 36000000000 maker False",
    ],
    "ws_add_order_request": ["request add_order"],
    "ws_add_order_response_failure": ["funds"],
    "ws_add_order_response_success": ["done"],
    "ws_amend_order_request": ["request amend_order"],
    "ws_batch_add_request": ["request batch_add"],
    "ws_batch_add_response_partial": ["done", "price_filter"],
    "ws_cancel_order_request": ["request cancel_order"],
    "ws_pong": ["done"],
    "ws_subscribe_response": ["done"],
}  # fmt: skip
# Not of the account: read by the feed, or asked for by nobody.  Positions and margin are not traded.
PUBLIC = {
    "http_asset_pairs", "http_asset_pairs_tokenized", "http_order_book", "http_server_time", "http_system_status",
    "http_ticker", "http_spot_open_positions", "http_spot_trade_balance",
}  # fmt: skip


def test_every_sample_is_read(samples: Path) -> None:
    """Each sample of spot says what is listed here; those of the other product are seen to be none of ours."""
    for file in sorted(samples.glob("*.json")):
        name, data = file.stem, file.read_bytes()
        if name in PUBLIC:
            assert answers.opened_envelope(200, data)[1] == ""
        elif "futures" in name:
            try:
                found = seen(name, data)
            except UNREADABLE:
                found = ["outcome_unknown"]
            # Another venue's answer: no envelope, or a message of no channel of ours.
            assert found in (["outcome_unknown"], ["unknown_channel"]), name
        elif name in WANTED:
            assert seen(name, data) == WANTED[name], name
        else:
            assert name.startswith("ws_") and seen(name, data) == ["unknown_channel"], name
            # Channels of markets, which are the feed's.
    missing = set(WANTED) - {file.stem for file in samples.glob("*.json")}
    assert not missing


def order(number: int, flags: int = POST_ONLY, side: int = BUY, **more: Any) -> Order:
    one = FOLLOWED["BTC/USD"]
    return Order(one, number, "O-20260505-000001", side, 300_000, 1_000_000, flags, **more)


def test_requests_are_the_samples(samples: Path) -> None:
    """What we send says what the samples of a client of the venue say, number for number."""

    def sent(params: entry.Params) -> dict[str, Any]:
        return msgspec.json.decode(msgspec.json.encode(params))

    def sample(name: str) -> dict[str, Any]:
        found = msgspec.json.decode((samples / f"{name}.json").read_bytes())["params"]
        del found["token"]
        return found

    ours = sent(entry.add_params(order(7), 1_800_000_000 * NS))
    theirs = sample("ws_add_order_request") | {"time_in_force": "gtc"}  # taken in either case
    assert {name: ours[name] for name in theirs} == theirs
    assert {name: ours[name] for name in ours.keys() - theirs.keys()} == {
        "stp_type": "cancel_oldest", "deadline": "2027-01-15T08:00:00.000Z",
    }  # fmt: skip
    changed = Order(*[getattr(order(7), name) for name in Order.__slots__][:5], 500_000, POST_ONLY)
    assert sent(entry.cancel_params(order(7))) == {"cl_ord_id": ["O-20260505-000001"]}
    assert sample("ws_amend_order_request").keys() - {"order_id"} <= entry.amend_params(changed, NS).keys()


def test_numbers_are_bare_and_exact() -> None:
    """A price is written with the instrument's digits, outside quotes, and an amend gives the whole quantity."""
    text = msgspec.json.encode(entry.add_params(order(7, IOC), NS))
    assert b'"limit_price":30000.0,' in text and b'"order_qty":0.01000000,' in text and b'"ioc"' in text
    assert b"post_only" not in text
    params = entry.amend_params(order(7, done_lots=5), NS)
    assert bytes(params["order_qty"]) == b"0.01000005" and params["post_only"] is True
    assert entry.rest_add_params(order(7, FOK, SELL), NS)["timeinforce"] == "FOK"


def test_a_signed_body_is_the_sheets() -> None:
    """A form body signs as the published vectors say, nonce first."""
    key = base64_key("ZmFrZS1zZWNyZXQtbm90LWEtcmVhbC1rZXktMDEyMzQ1Njc4OQ==")
    body = entry.form(1700000000000, {"pair": "XBTUSD", "type": "buy"})
    assert body == b"nonce=1700000000000&pair=XBTUSD&type=buy"
    assert kraken_signature(key, "/0/private/AddOrder", 1700000000000, body) == (
        "RtHIg6K8MgZgdcRLjsuIohsT9AEUTzX3mAFV8Bt41oqk0n/cd6BoLTkRbntSuAZoC/cFkMtNWfpKJvQHjbqTEg=="
    )
    assert entry.form(5, {"trades": True, "a": "b c"}) == b"nonce=5&trades=true&a=b+c"


def test_names() -> None:
    """Assets and pairs are known by all their names."""
    for old, new in (
        ("XXBT", "BTC"),
        ("XBT", "BTC"),
        ("ZUSD", "USD"),
        ("XXDG", "DOGE"),
        ("ETH", "ETH"),
        ("XTZ", "XTZ"),
    ):
        assert entry.asset_of(old) == new
    assert {"XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD"} <= entry.pair_names(FOLLOWED["BTC/USD"].instrument)
    assert entry.altname(FOLLOWED["BTC/USD"].instrument) == "XBTUSD"
    ids = {venue_id(f"O{number:05d}-ABCDE-FGHIJK") for number in range(10_000)}
    assert len(ids) == 10_000 and all(0 < one < 1 << 62 for one in ids)


NEW = {
    "exec_type": "new", "order_id": "OA-B-C", "cl_ord_id": "O-A", "symbol": "BTC/USD", "side": "buy",
    "order_type": "limit", "order_qty": 0.5, "limit_price": 30000.1, "order_status": "new", "time_in_force": "GTC",
    "timestamp": "2026-05-05T10:00:00.123456Z", "cum_qty": 0.0,
}  # fmt: skip
TRADE = {
    "exec_type": "trade", "order_id": "OA-B-C", "exec_id": "T1", "trade_id": 12, "last_qty": 0.2, "last_price": 30000.1,
    "liquidity_ind": "m", "fees": [{"asset": "USD", "qty": 9.0}], "cum_qty": 0.2, "order_status": "partially_filled",
    "timestamp": "2026-05-05T10:00:01Z",
}  # fmt: skip


def test_a_life() -> None:
    """Events that name an order by its number alone are of what was said of it before."""
    reader = stream()
    assert told(read(reader, NEW | {"exec_type": "pending_new"})) == ["pending_new"]
    assert told(read(reader, NEW)) == ["order_acknowledged"]
    (fill,) = read(reader, TRADE)
    assert isinstance(fill, Step)
    assert (fill.order_id, fill.side, fill.qty_lots, fill.price_ticks, fill.trade_id) == (
        8,
        BUY,
        20_000_000,
        300_001,
        12,
    )
    assert fill.flags == LAST | MAKER and fill.fee_units == 9 * 10 ** FOLLOWED["BTC/USD"].instrument.money_digits
    assert fill.done_lots == 20_000_000 and fill.ts_venue_ns == 1_777_975_201 * NS
    (amended,) = read(reader, {"exec_type": "amended", "order_id": "OA-B-C", "order_qty": 0.3, "limit_price": 30000.2})
    assert isinstance(amended, Step) and (amended.price_ticks, amended.qty_lots) == (300_002, 10_000_000)
    (end,) = read(reader, {"exec_type": "canceled", "order_id": "OA-B-C", "reason": "User requested", "cum_qty": 0.2})
    assert isinstance(end, Step) and (KIND_NAMES[end.kind], end.done_lots) == ("order_cancelled", 20_000_000)
    # Real world: an execution that is told after the end.
    assert told(read(reader, TRADE | {"trade_id": 13})) == ["order_filled"]
    assert told(read(reader, TRADE | {"order_id": "OTHER"})) == ["foreign_order"]
    assert told(read(reader, TRADE | {"order_id": "OTHER", "cl_ord_id": "O-B"})) == ["order_not_shown"]


@pytest.mark.parametrize(
    ("exec_type", "reason", "flags", "wanted"),
    [
        ("canceled", "User requested", 0, ("order_cancelled", "")),
        ("canceled", "Post only order", POST_ONLY, ("order_expired", "would_cross")),
        ("canceled", "Self trade prevented", 0, ("order_expired", "self_trade")),
        ("canceled", "", IOC, ("order_expired", "unfilled")),
        ("canceled", "No liquidity", 0, ("order_expired", "no_liquidity")),
        ("canceled", "", 0, ("order_cancelled", "")),
        ("expired", "Order expired", 0, ("order_expired", "")),
    ],
)
def test_ends(exec_type: str, reason: str, flags: int, wanted: tuple[str, str]) -> None:
    """Who ended an order, and why, is told from its reason and from what it was."""
    kind, cause = ended(exec_type, reason, flags)
    assert (KIND_NAMES[kind], cause) == wanted


def test_balances() -> None:
    """A balance is the total, an update also what changed it; a kind of movement that is new changes nothing."""
    (one,) = read(stream(), {"asset": "BTC", "balance": 1.2, "asset_class": "currency"}, channel="balances")
    assert one == Balance("BTC", "1.2")
    (one,) = read(stream(), {"asset": "BTC", "balance": 1.2, "amount": -1e-05, "type": "invented"}, channel="balances")
    assert one == Balance("BTC", "1.2", delta="-0.00001")


ERRORS = [
    ("EOrder:Insufficient funds", "funds"),
    ("EOrder:Rate limit exceeded", "rate_limit"),
    ("EOrder:Domain rate limit exceeded", "rate_limit"),
    ("EOrder:Orders limit exceeded", "orders_max"),
    ("EOrder:Scheduled orders limit exceeded", "orders_max"),
    ("EOrder:Order minimum not met", "qty_filter"),
    ("EOrder:Cost minimum not met", "notional_filter"),
    ("EOrder:Tick size check failed", "price_filter"),
    ("EOrder:Invalid price", "price_filter"),
    ("EOrder:Post only order", "would_cross"),
    ("EOrder:Unknown order", "unknown_order"),
    ("EGeneral:Invalid arguments", "malformed"),
    ("EGeneral:Invalid arguments:price", "price_filter"),
    ("EOrder:Duplicate client order id", "duplicate"),
    ("EAPI:Invalid nonce", "clock"),
    ("EGeneral:Temporary lockout", "permission"),
    ("EAPI:Rate limit exceeded", "rate_limit"),
    ("EGeneral:Too many requests", "rate_limit"),
    ("EAPI:Invalid key", "permission"),
    ("EAPI:Invalid signature", "permission"),
    ("EAuth:Account temporary disabled", "permission"),
    ("EAuth:Account unconfirmed", "permission"),
    ("EGeneral:Permission denied", "permission"),
    ("EAccount:Invalid permissions", "permission"),
    ("ETrade:User Locked", "permission"),
    ("EQuery:Unknown asset pair", "malformed"),
    ("EQuery:Invalid asset pair", "malformed"),
    ("EService:Unavailable", "outcome_unknown"),
    ("EService:Busy", "outcome_unknown"),
    ("EService:Market in cancel_only mode", "halted"),
    ("EService:Market in post_only mode", "halted"),
    ("EService:Deadline elapsed", "busy"),
    ("EInvented:Something", "other"),
    ("", "other"),
]


@pytest.mark.parametrize(("text", "cause"), ERRORS)
def test_errors(text: str, cause: str) -> None:
    """Each error text has one cause, by websocket and by REST; a warning is none."""
    assert answers.cause_of(text) == cause and cause in CAUSES
    body = json.dumps({"error": ["WGeneral:Careful", text], "result": {}}).encode()
    assert answers.opened_envelope(200, body)[1] == cause
    assert answers.opened_envelope(200, b'{"error":["WGeneral:Careful"],"result":{}}')[1:] == ("", "WGeneral:Careful")
    assert set(answers.CAUSES.values()) <= set(CAUSES)


def test_the_counter_of_a_pair() -> None:
    """Orders wait when the pair's counter is full, by the age of what is cancelled; cancels count, and never wait."""
    caps = entry.capabilities("starter")
    budget = Budget(caps)
    assert budget.take(PLACE_COST, 0, 0, False)
    for _ in range(20):
        assert budget.take(CANCEL_COST, 0, 0, True, 400 * NS)  # old ones cost nothing
    for _ in range(4):
        assert budget.take(CANCEL_COST, 0, 0, True, NS)
    assert budget.take(PLACE_COST, 0, 0, False)  # 34 of the 40 that are not in reserve
    assert budget.take(REPLACE_COST, 0, 0, False, NS)
    assert not budget.take(REPLACE_COST, 0, 0, False, NS) and budget.take(REPLACE_COST, 0, 0, False, 20 * NS)
    assert budget.take(PLACE_COST, 0, 0, False)  # the fortieth
    assert not budget.take(PLACE_COST, 0, 0, False) and budget.take(PLACE_COST, 1, 0, False)
    for _ in range(30):
        assert budget.take(CANCEL_COST, 0, 0, True, NS)
    assert not budget.take(PLACE_COST, 0, 240 * NS, False)  # 280 points, one a second
    assert budget.take(PLACE_COST, 0, 241 * NS, False)


def test_garbage_is_malformed() -> None:
    """Rows that are none raise the one error, short."""
    for row in (
        {}, NEW | {"side": "hold"}, NEW | {"order_qty": "x"}, NEW | {"limit_price": 30000.12}, NEW | {"order_id": 5},
        NEW | {"timestamp": "noon"}, {k: v for k, v in NEW.items() if k != "side"},
        NEW | {"exec_type": "trade", "last_qty": 0, "last_price": 1},
    ):  # fmt: skip
        with pytest.raises(Malformed) as caught:
            read(stream(), row)
        assert len(str(caught.value)) < 400


def test_statuses_that_are_new() -> None:
    """A state of an order that nobody knows is an answer that cannot be read."""
    row = answers.OrderRow("invented", answers._Descr("XBTUSD", "buy", "1"), msgspec.Raw(b"1"), msgspec.Raw(b"0"))
    with pytest.raises(ValueError, match="invented"):
        ANSWERS.standing("O", row)
    assert isinstance(ANSWERS.standing("O", msgspec.structs.replace(row, descr=answers._Descr("XX", "buy", "1"))), Note)

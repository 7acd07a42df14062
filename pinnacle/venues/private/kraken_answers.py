"""What Kraken answers to a request: its error texts as causes, and what its REST answers show.

HTTP says 200 whether or not it was done, so the list of errors decides.  An answer that cannot be read, a server's
error or none at all is of unknown outcome: the order may be there, so it is asked about and nothing is sent again.
Rules: the venue's public documents of July 2026, and samples of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec
from msgspec import Raw, Struct

from pinnacle.event import (
    CANCEL_REJECTED,
    FILL_TAKER,
    FOK,
    IOC,
    LAST,
    MAKER,
    ORDER_CANCELLED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
    REASON_SHIFT,
    REPLACE_REJECTED,
)
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import CANCEL_COST, PLACE_COST, REPLACE_COST, Order, Standing
from pinnacle.venues.kraken_entry import asset_of, pair_names
from pinnacle.venues.private.kraken import SIDES, Id, ended, number, venue_id
from pinnacle.venues.private.said import Balance, Note, Said, Step, fee_of

REFUSALS = {PLACE_COST: ORDER_REJECTED, CANCEL_COST: CANCEL_REJECTED, REPLACE_COST: REPLACE_REJECTED}
# The connection's token is not taken: nothing was looked at, and another one is wanted.
SESSION = ("EAPI:Invalid token", "ESession:")
# By the beginning of the text; the longest that fits counts.
CAUSES = {
    "EOrder:Insufficient": "funds",
    "EOrder:Rate limit exceeded": "rate_limit",
    "EOrder:Domain rate limit exceeded": "rate_limit",
    "EAPI:Rate limit exceeded": "rate_limit",
    "EGeneral:Too many requests": "rate_limit",
    "EOrder:Orders limit exceeded": "orders_max",
    "EOrder:Scheduled orders limit exceeded": "orders_max",
    "EOrder:Order minimum not met": "qty_filter",
    "EOrder:Cost minimum not met": "notional_filter",
    "EOrder:Tick size check failed": "price_filter",
    "EOrder:Invalid price": "price_filter",
    "EOrder:Post only order": "would_cross",
    "EOrder:Unknown order": "unknown_order",
    "EOrder:Duplicate": "duplicate",
    # Ours are well formed, so what is wrong with one can only be that it is there already.
    "EGeneral:Invalid arguments:cl_ord_id": "duplicate",
    "EGeneral:Invalid arguments:price": "price_filter",
    "EGeneral:Invalid arguments:volume": "qty_filter",
    # It came too late to be looked at.
    "EGeneral:Invalid arguments:deadline": "busy",
    "EService:Deadline elapsed": "busy",
    "EGeneral:Invalid arguments": "malformed",
    "EQuery:": "malformed",
    "EGeneral:Unknown method": "malformed",
    "EAPI:Bad request": "malformed",
    # Another process has the key, or a clock was set back.
    "EAPI:Invalid nonce": "clock",
    "EAPI:Invalid token": "busy",
    "ESession:": "busy",
    "EAPI:Invalid key": "permission",
    "EAPI:Invalid signature": "permission",
    "EAuth:": "permission",
    "EAccount:": "permission",
    "EGeneral:Permission denied": "permission",
    "EGeneral:Temporary lockout": "permission",
    "ETrade:User Locked": "permission",
    "EService:Market in": "halted",
    "EService:": "outcome_unknown",
    "EGeneral:Internal error": "outcome_unknown",
}
_BY_LENGTH = sorted(CAUSES, key=len, reverse=True)
_TOO_MANY, _DONE = 429, 200


class _Envelope(Struct):
    error: list[str]
    result: Raw = Raw(b"")


class _Descr(Struct):
    pair: str
    type: str
    price: str
    ordertype: str = ""


class OrderRow(Struct):
    """An order of OpenOrders, ClosedOrders and QueryOrders."""

    status: str
    descr: _Descr
    vol: Raw
    vol_exec: Raw
    cl_ord_id: str | None = None
    opentm: Raw = Raw(b"")
    closetm: Raw = Raw(b"")
    reason: str | None = None
    trades: list[str] = []


class TradeRow(Struct):
    """An execution of TradesHistory and QueryTrades; its fee is in the quote currency."""

    ordertxid: str
    pair: str
    time: Raw
    type: str
    price: Raw
    vol: Raw
    fee: Raw
    trade_id: Id = 0
    maker: bool = False


class OpenOrders(Struct):
    open: dict[str, OrderRow]


class TradesPage(Struct):
    trades: dict[str, TradeRow]
    count: int = 0


class Token(Struct):
    token: str
    expires: int = 0


class _Held(Struct):
    balance: Raw
    hold_trade: Raw = Raw(b"")


def cause_of(text: str) -> str:
    """Our name for an error text; "other" for what is in no table, which stops what asked for it."""
    for beginning in _BY_LENGTH:
        if text.startswith(beginning):
            return CAUSES[beginning]
    return "other"


def refusal(request: str, cause: str) -> int:
    """The record that says a request was refused for a cause."""
    return ORDER_UNKNOWN if cause == "outcome_unknown" else REFUSALS[request]


def opened_envelope(status: int, body: bytes) -> tuple[Raw, str, str]:
    """(result, cause, the venue's words) of a REST answer: the cause is empty if it was done.  status: of HTTP, 0 if
    nothing came."""
    if status != _DONE:
        cause = "rate_limit" if status == _TOO_MANY else "outcome_unknown"
        return Raw(b""), cause, f"status {status}"
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Raw(b""), "outcome_unknown", "an answer that is none"
    wrong = [text for text in envelope.error if not text.startswith("W")]
    if wrong:
        return Raw(b""), cause_of(wrong[0]), ", ".join(wrong)[:200]
    return envelope.result, "", ", ".join(envelope.error)[:200]


class Answers:
    """Reads good answers.  followed: the instruments; order_id_of: our order id of a client id."""

    def __init__(self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None]) -> None:
        self._order_id_of = order_id_of
        self._pairs = {name: one for one in followed.values() for name in pair_names(one.instrument)}

    def standing(self, txid: str, row: OrderRow, asked: Order | None = None) -> Standing | Note:
        """How an order stands; a note if its pair is not followed.  asked: what we know of it, if it was asked for."""
        followed = self._pairs.get(row.descr.pair)
        if followed is None:
            return Note("foreign_symbol", f"{row.descr.pair}: order {txid} {row.status}")
        instrument, client_id = followed.instrument, row.cl_ord_id or ""
        qty_lots, done_lots = instrument.lots(number(row.vol)), instrument.lots(number(row.vol_exec))
        end, cause = 0, ""
        if row.status in ("canceled", "expired"):
            end, cause = ended(row.status, row.reason or "", asked.flags & (IOC | FOK) if asked else 0)
        elif row.status == "closed":
            end = ORDER_FILLED if done_lots >= qty_lots else ORDER_CANCELLED
        elif row.status not in ("open", "pending"):
            raise ValueError(f"order {txid} is {row.status[:40]}")
        return Standing(
            followed, self._order_id_of(client_id), client_id, venue_id(txid), SIDES[row.descr.type],
            instrument.ticks(row.descr.price), qty_lots, done_lots, end, cause, seconds_ns(row.closetm or row.opentm),
        )  # fmt: skip

    def fill(self, txid: str, row: TradeRow, order: Order | None = None) -> tuple[Step | None, list[Said]]:
        """An execution, and what is to be noted of it; no step if its pair is not followed."""
        followed = self._pairs.get(row.pair)
        if followed is None:
            return None, [Note("foreign_symbol", f"{row.pair}: trade {txid}")]
        instrument = followed.instrument
        price_ticks, lots = instrument.ticks(number(row.price)), instrument.lots(number(row.vol))
        if price_ticks <= 0 or lots <= 0:
            raise ValueError(f"trade {txid} is of {lots} lots at {price_ticks} ticks")
        fee_units, note = fee_of(instrument, number(row.fee), instrument.quote, price_ticks)
        flags = LAST | (MAKER if row.maker else FILL_TAKER << REASON_SHIFT)
        step = Step(
            ORDER_FILLED, followed, order.order_id if order else None, order.client_id if order else "",
            venue_id(row.ordertxid), SIDES[row.type], price_ticks, lots, seconds_ns(row.time), fee_units, flags,
            row.trade_id,
        )  # fmt: skip
        return step, [note] if note else []

    def balances(self, result: Raw) -> tuple[Balance, ...]:
        """Of BalanceEx, with what orders hold, or of Balance, without."""
        found = []
        for name, raw in msgspec.json.decode(result, type=dict[str, Raw]).items():
            if bytes(raw).lstrip().startswith(b"{"):
                held = msgspec.json.decode(raw, type=_Held)
                total, locked = Decimal(number(held.balance)), Decimal(number(held.hold_trade))
                found.append(Balance(asset_of(name), f"{total - locked:f}", f"{locked:f}"))
            else:
                found.append(Balance(asset_of(name), number(raw)))
        return tuple(found)


def seconds_ns(raw: Raw) -> int:
    """Seconds since 1970 as a bare number with a fraction, as ns."""
    value = Decimal(number(raw))
    if not 0 <= value < 1 << 33:
        raise ValueError(f"a time of {value}")
    return int(value * 1_000_000_000)

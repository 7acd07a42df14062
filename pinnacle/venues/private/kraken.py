"""Kraken's private channels of websocket v2: executions and balances as steps of orders, balances and notes.

An event of an order may lack what the one before said, so open orders are remembered by the venue's number.  Numbers
are bare JSON and are read by their digits.  Rules: the venue's public documents of July 2026, and samples of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pinnacle.errors import HistoryError
from pinnacle.event import (
    BUY,
    FILL_TAKER,
    FOK,
    IOC,
    LAST,
    MAKER,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REPLACED,
    POST_ONLY,
    REASON_SHIFT,
    SELL,
)
from pinnacle.limits import PRIVATE_ORDERS_MAX
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Order
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.private.said import Balance, Note, Said, Step, fee_of

Id = Annotated[int, Meta(ge=0, lt=1 << 62)]
Sequence = Annotated[int, Meta(ge=0, lt=1 << 62)]
SIDES = {"buy": BUY, "sell": SELL}
CHANNELS = ("executions", "balances")
UNREADABLE = (msgspec.MsgspecError, HistoryError, ValueError, KeyError, ArithmeticError, RecursionError)
# Events that change nothing that we keep; noted and no more.
ONLY_NOTED = ("pending_new", "filled", "iceberg_refill", "status")
# An event of an order of ours that was never shown whole: a message is missing.
NOT_SHOWN = "order_not_shown"
_NONE = Raw(b"")
_NUMBER_CHARACTERS_MAX = 64


class Message(Struct):
    """Any message: of a channel, or the answer to a request (method)."""

    channel: str = ""
    type: str = ""
    data: Raw = _NONE
    sequence: Sequence | None = None
    method: str = ""
    req_id: int | None = None
    success: bool = True
    error: str | None = None
    result: Raw = _NONE
    time_in: str = ""
    time_out: str = ""


class _Fee(Struct):
    asset: str
    qty: Raw


class _Execution(Struct):
    """An event of `executions`; which fields are there varies with exec_type."""

    exec_type: str
    order_id: str
    cl_ord_id: str | None = None
    symbol: str = ""
    side: str = ""
    order_qty: Raw = _NONE
    limit_price: Raw = _NONE
    time_in_force: str = ""
    post_only: bool = False
    cum_qty: Raw = _NONE
    last_qty: Raw = _NONE
    last_price: Raw = _NONE
    trade_id: Id = 0
    liquidity_ind: str = ""
    fees: list[_Fee] = []
    reason: str | None = None
    cancel_reason: str | None = None
    timestamp: str = ""


class _Balance(Struct):
    """balance: over all wallets, with what orders hold.  amount: of an update, what changed it."""

    asset: str
    balance: Raw
    amount: Raw = _NONE
    timestamp: str = ""


def number(raw: Raw) -> str:
    """A number, bare or quoted, as plain decimal text; "0" for an absent one.  Raises ValueError."""
    text = bytes(raw).decode()
    if text.startswith('"'):
        text = msgspec.json.decode(raw, type=str)
    if not text:
        return "0"
    value = Decimal(text)
    if len(text) > _NUMBER_CHARACTERS_MAX or not value.is_finite() or abs(value.adjusted()) > _NUMBER_CHARACTERS_MAX:
        raise ValueError(f"a number of {text[:40]}")
    return f"{value:f}"


def venue_id(order_id: str) -> int:
    """A number that stands for the venue's text of an order (OABCDE-12345-FGHIJ), which is longer than 64 bits: the
    first 62 of a hash.  Of a million orders two have the same with a chance of one in ten million.  To the venue orders
    are named by client id, never by this."""
    return int.from_bytes(hashlib.blake2b(order_id.encode(), digest_size=8).digest()) >> 2 or 1


def ended(exec_type: str, reason: str, flags: int) -> tuple[int, str]:
    """(kind of record, cause) of an end: what the venue did by itself is an expiry.  flags: of the order, if known."""
    words = reason.lower()
    if "post only" in words:
        return ORDER_EXPIRED, "would_cross"
    if "self trade" in words or "stp" in words:
        return ORDER_EXPIRED, "self_trade"
    if exec_type == "expired":
        return ORDER_EXPIRED, "unfilled" if flags & (IOC | FOK) else ""
    if flags & (IOC | FOK) and "user" not in words:
        return ORDER_EXPIRED, "unfilled"
    if "liquidity" in words:
        return ORDER_EXPIRED, "no_liquidity"
    return ORDER_CANCELLED, ""


@dataclass(slots=True)
class _Known:
    """What is remembered of an order."""

    followed: Followed
    order_id: int | None
    client_id: str
    venue_id: int
    side: int
    price_ticks: int
    qty_lots: int
    flags: int
    done_lots: int = 0
    over: bool = False


class PrivateStream:
    """Turns one account's channels into what is said.

    followed: by the venue's symbol.  order_id_of: our order id of a client id, None if we did not give it.
    """

    def __init__(self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None]) -> None:
        self._followed = followed
        self._order_id_of = order_id_of
        self._known: dict[str, _Known] = {}  # by the venue's text
        self._placed: dict[str, Order] = {}  # by client id

    def placed(self, order: Order) -> None:
        """An order that is about to be sent: its flags say why it may end."""
        self._placed[order.client_id] = order
        if len(self._placed) > PRIVATE_ORDERS_MAX:
            del self._placed[next(iter(self._placed))]

    def read(self, message: Message) -> list[Said]:
        """What a message of a channel says, in order.  Raises Malformed."""
        try:
            if message.channel == "executions":
                rows = msgspec.json.decode(message.data, type=list[_Execution])
                return [one for row in rows for one in self._execution(row)]
            if message.channel == "balances":
                return [self._balance(row) for row in msgspec.json.decode(message.data, type=list[_Balance])]
        except UNREADABLE as error:
            raise Malformed(f"kraken: {str(error)[:120]} in {bytes(message.data)[:80]!r}") from None
        return [Note("unknown_channel", message.channel[:40] or "a message of no channel")]

    def _balance(self, row: _Balance) -> Balance:
        delta = number(row.amount) if row.amount else ""
        return Balance(row.asset, number(row.balance), delta=delta, ts_venue_ns=_ns(row.timestamp))

    # --- orders ---------------------------------------------------------------------------------------------------
    def _execution(self, row: _Execution) -> list[Said]:
        known = self._find(row)
        if isinstance(known, Note):
            return [known]
        said: list[Said] = []
        if known.order_id is None:
            text = f"{known.followed.instrument.symbol}: order {row.order_id} {known.client_id}, {row.exec_type}"
            said.append(Note("foreign_order", text))
        if row.cum_qty:
            known.done_lots = known.followed.instrument.lots(number(row.cum_qty))
        if row.exec_type in ONLY_NOTED:
            return [*said, Note(row.exec_type, f"order {row.order_id}")]
        step = Step(
            0, known.followed, known.order_id, known.client_id, known.venue_id, known.side, known.price_ticks,
            max(0, known.qty_lots - known.done_lots), _ns(row.timestamp), done_lots=known.done_lots,
        )  # fmt: skip
        if row.exec_type == "trade":
            return said + self._fill(row, step)
        if row.exec_type == "new":
            return [*said, replace(step, kind=ORDER_ACKNOWLEDGED)]
        if row.exec_type in ("amended", "restated"):
            return [*said, replace(step, kind=ORDER_REPLACED)]
        if row.exec_type in ("canceled", "expired"):
            known.over = True
            kind, cause = ended(row.exec_type, row.reason or row.cancel_reason or "", known.flags)
            return [*said, replace(step, kind=kind, cause=cause)]
        return [*said, Note("unknown_step", f"order {row.order_id} {row.exec_type[:40]}")]

    def _fill(self, row: _Execution, step: Step) -> list[Said]:
        instrument = step.followed.instrument
        price_ticks, lots = instrument.ticks(number(row.last_price)), instrument.lots(number(row.last_qty))
        if price_ticks <= 0 or lots <= 0:
            raise ValueError(f"a trade of {lots} lots at {price_ticks} ticks")
        notes, fee_units = [], 0
        for fee in row.fees:
            units, note = fee_of(instrument, number(fee.qty), fee.asset, price_ticks)
            fee_units += units
            notes += [note] if note else []
        flags = LAST | (MAKER if row.liquidity_ind == "m" else FILL_TAKER << REASON_SHIFT)
        fill = replace(step, kind=ORDER_FILLED, price_ticks=price_ticks, qty_lots=lots, fee_units=fee_units)
        return [replace(fill, flags=flags, trade_id=row.trade_id), *notes]

    def _find(self, row: _Execution) -> _Known | Note:
        """What is known of the event's order, with what the event says of it; a note if that is too little."""
        known = self._known.get(row.order_id)
        placed = self._placed.get(row.cl_ord_id or "")
        if known is None:
            symbol = row.symbol or (placed.followed.instrument.symbol if placed else "")
            followed = self._followed.get(symbol)
            if followed is None:
                what = "foreign_symbol" if symbol else "foreign_order"
                if not symbol and self._order_id_of(row.cl_ord_id or "") is not None:
                    what = NOT_SHOWN
                return Note(what, f"{symbol or 'a pair not said'}: order {row.order_id} {row.exec_type[:40]}")
            if placed is None and row.side not in SIDES:
                raise ValueError(f"order {row.order_id} has no side")
            client_id = row.cl_ord_id or ""
            known = _Known(
                followed, self._order_id_of(client_id), client_id, venue_id(row.order_id),
                placed.side if placed else SIDES[row.side], placed.price_ticks if placed else 0,
                placed.qty_lots if placed else 0, placed.flags if placed else 0,
            )  # fmt: skip
            self._remember(row.order_id, known)
        instrument = known.followed.instrument
        if row.side and SIDES[row.side] != known.side:
            raise ValueError(f"order {row.order_id} has two sides")
        if row.limit_price:
            known.price_ticks = instrument.ticks(number(row.limit_price))
        if row.order_qty:
            known.qty_lots = instrument.lots(number(row.order_qty))
        known.flags |= {"IOC": IOC, "FOK": FOK}.get(row.time_in_force.upper(), 0) | (POST_ONLY if row.post_only else 0)
        return known

    def _remember(self, order_id: str, known: _Known) -> None:
        if len(self._known) >= PRIVATE_ORDERS_MAX:
            self._known = {text: one for text, one in self._known.items() if not one.over}
            if len(self._known) >= PRIVATE_ORDERS_MAX:
                del self._known[next(iter(self._known))]
        self._known[order_id] = known


def _ns(text: str) -> int:
    return ns_of_iso(text) if text else 0

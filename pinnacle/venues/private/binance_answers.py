"""What Binance answers to a request about orders, by REST or ws-api: its outcome, and the orders it shows.

Three outcomes, and no fourth: done, refused with a cause, or not known.  An answer that cannot be read, a server's
error or none at all is the third: the order may be there, so it is asked about by client id and nothing is sent again.
Rules: the venue's public documents of July 2026 (errors, order endpoints), and samples of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.event import (
    BUY,
    CANCEL_REJECTED,
    FILL_TAKER,
    LAST,
    MAKER,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
    REASON_SHIFT,
    REPLACE_REJECTED,
    SELL,
)
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Order, Standing
from pinnacle.venues.private.binance import SIDES, Id, Ms, expired
from pinnacle.venues.private.said import Note, Said, Step, fee_of

# What a request wanted, and the record that says it was refused.
PLACE, CANCEL, REPLACE = "place", "cancel", "replace"
REFUSALS = {PLACE: ORDER_REJECTED, CANCEL: CANCEL_REJECTED, REPLACE: REPLACE_REJECTED}

# Error codes that mean one thing.
CODES = {
    -1003: "rate_limit",
    -1007: "outcome_unknown",
    -1008: "busy",
    -1015: "rate_limit",
    -1021: "clock",
    -1022: "permission",
    -1111: "malformed",
    -2011: "unknown_order",
    -2013: "unknown_order",
    -2015: "permission",
    -2026: "unknown_order",
    -2038: "amend",
    -2039: "malformed",
}
# Codes that mean several, told apart by a part of their text, in lower case.
TEXTS = {
    -2010: {
        "insufficient balance": "funds",
        "duplicate order": "duplicate",
        "immediately match": "would_cross",
        "market is closed": "halted",
    },
    -1013: {
        "price_filter": "price_filter",
        "percent_price": "price_filter",
        "lot_size": "qty_filter",
        "notional": "notional_filter",
        "max_num": "orders_max",
        "unknown order": "unknown_order",
    },
}
STATUSES = {418: "rate_limit", 429: "rate_limit"}
_SERVER = 500
_DONE = 200
# How an order stands, by its status: open, or how it ended.
STANDS = {
    "NEW": 0, "PENDING_NEW": 0, "PARTIALLY_FILLED": 0, "PENDING_CANCEL": 0, "FILLED": ORDER_FILLED,
    "CANCELED": ORDER_CANCELLED, "EXPIRED": ORDER_EXPIRED, "EXPIRED_IN_MATCH": ORDER_EXPIRED,
    "REJECTED": ORDER_REJECTED,
}  # fmt: skip


class _Error(msgspec.Struct):
    code: int
    msg: str


class _Fill(msgspec.Struct):
    price: str
    qty: str
    commission: str
    commissionAsset: str
    tradeId: Id = 0


class OrderAnswer(msgspec.Struct):
    """An order as placing, cancelling and asking show it; USD-M's has the same names.  fills: of FULL answers only."""

    symbol: str
    orderId: Id
    clientOrderId: str
    price: str
    origQty: str
    executedQty: str
    status: str
    side: str
    type: str
    timeInForce: str = ""
    origClientOrderId: str = ""
    fills: list[_Fill] = []
    transactTime: Ms = 0
    updateTime: Ms = 0
    time: Ms = 0


class _Trade(msgspec.Struct):
    """A fill as the list of own trades shows it: what reconciliation counts by id."""

    symbol: str
    id: Id
    orderId: Id
    price: str
    qty: str
    commission: str
    commissionAsset: str
    time: Ms


class Trade(_Trade):
    isBuyer: bool
    isMaker: bool


class FuturesTrade(_Trade):
    """On USD-M two of the names are other ones."""

    isBuyer: bool = msgspec.field(name="buyer")
    isMaker: bool = msgspec.field(name="maker")


class Held(msgspec.Struct):
    asset: str
    free: Annotated[str, msgspec.Meta(max_length=64)]
    locked: Annotated[str, msgspec.Meta(max_length=64)]


class Account(msgspec.Struct):
    """Spot balances, and whether the key's account may trade at all."""

    canTrade: bool
    balances: list[Held]


def cause_of(code: int, text: str) -> str:
    """Our name for a code and its words; "other" for what is in no table, which stops what asked for it."""
    known = TEXTS.get(code)
    if known is not None:
        lower = text.lower()
        return next((cause for part, cause in known.items() if part in lower), "other")
    return CODES.get(code, "other")


def refusal(
    request: str, status: int, body: bytes, cause_of: Callable[[int, str], str] = cause_of
) -> tuple[int, str, str] | None:
    """(kind of record, cause, the venue's words) of an answer other than a good one; None for a good one.

    request: PLACE, CANCEL or REPLACE.  status: of HTTP or of a ws-api answer, 0 if nothing came.  body: of HTTP, or the
    `error` of a ws-api answer.  cause_of: our name for an error's code and words, by the market.
    """
    if status == _DONE:
        return None
    try:
        error = msgspec.json.decode(body, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        cause = STATUSES.get(status, "outcome_unknown")
        words = f"status {status}, and no error that can be read"
    else:
        cause = STATUSES.get(status) or cause_of(error.code, error.msg)
        words = f"{error.code} {error.msg}"[:200]
    # Busy is the one error of a server after which nothing was done.
    if (status == 0 or status >= _SERVER) and cause != "busy":
        cause = "outcome_unknown"
    return (ORDER_UNKNOWN if cause == "outcome_unknown" else REFUSALS[request]), cause, words


class Answers:
    """Reads good answers.  followed, order_id_of: as of the private stream.  shows_fills: whether an answer to a new
    order has its fills in it; where it has none, an order filled at once is said to rest, and how much was filled."""

    def __init__(
        self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None], shows_fills: bool = True
    ) -> None:
        self._followed = followed
        self._order_id_of = order_id_of
        self._shows_fills = shows_fills

    def read(self, body: bytes) -> list[Said]:
        """An order, or a list of them, as steps; a list of orders that hang together (OCO) as a note.  Malformed."""
        try:
            if body.lstrip().startswith(b"["):
                found = [part for one in msgspec.json.decode(body, type=list[msgspec.Raw]) for part in self._one(one)]
            else:
                found = self._one(msgspec.Raw(body))
        except (msgspec.DecodeError, HistoryError, ValueError, KeyError, ArithmeticError) as error:
            raise Malformed(f"binance: {str(error)[:120]} in {body[:80]!r}") from None
        return found

    def _one(self, body: msgspec.Raw) -> list[Said]:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "contingencyType" in fields or "algoId" in fields:
            return [Note("list_or_algo", "orders of a kind that we do not place were answered")]
        order = msgspec.json.decode(body, type=OrderAnswer)
        followed = self._followed.get(order.symbol)
        if followed is None:
            return [Note("foreign_symbol", f"{order.symbol}: order {order.orderId} {order.status}")]
        return self._steps(order, followed)

    def _steps(self, order: OrderAnswer, followed: Followed) -> list[Said]:
        """That it rests or rested, its fills, and its end; a fill that the answer does not show in full is noted."""
        instrument, side = followed.instrument, SIDES[order.side]
        client_id = order.origClientOrderId or order.clientOrderId
        order_id = self._order_id_of(client_id)
        ts_ns = (order.transactTime or order.updateTime or order.time) * 1_000_000
        price_ticks, done_lots = instrument.ticks(order.price), instrument.lots(order.executedQty)
        left_lots = instrument.lots(order.origQty) - done_lots

        def step(kind: int, price: int, lots: int, done: int, **more: int | str) -> Step:
            return Step(
                kind, followed, order_id, client_id, order.orderId, side, price, lots, ts_ns, done_lots=done,
                **more,  # type: ignore[arg-type]
            )  # fmt: skip

        said: list[Said] = []
        if order_id is None:
            said.append(Note("foreign_order", f"{order.symbol}: order {order.orderId} {client_id}, {order.status}"))
        if order.status in ("NEW", "PARTIALLY_FILLED") or (order.status == "FILLED" and not self._shows_fills):
            said.append(step(ORDER_ACKNOWLEDGED, price_ticks, left_lots, done_lots))
        shown = 0
        for fill in order.fills:
            fill_ticks, lots = instrument.ticks(fill.price), instrument.lots(fill.qty)
            fee_units, note = fee_of(instrument, fill.commission, fill.commissionAsset, fill_ticks)
            shown += lots
            # What an answer shows was taken on arrival; what rests is filled later and comes by the stream.
            flags = LAST | FILL_TAKER << REASON_SHIFT
            said.append(
                step(ORDER_FILLED, fill_ticks, lots, shown, fee_units=fee_units, flags=flags, trade_id=fill.tradeId)
            )
            said += [note] if note else []
        if shown != done_lots and self._shows_fills:
            said.append(
                Note("fills_not_shown", f"{order.symbol}: order {order.orderId} filled {done_lots} lots, {shown} shown")
            )
        if order.status == "CANCELED":
            said.append(step(ORDER_CANCELLED, price_ticks, left_lots, done_lots))
        elif order.status in ("EXPIRED", "EXPIRED_IN_MATCH"):
            cause = expired(order.status, order.timeInForce, order.type)
            said.append(step(ORDER_EXPIRED, price_ticks, left_lots, done_lots, cause=cause))
        elif order.status == "REJECTED":
            said.append(step(ORDER_REJECTED, price_ticks, left_lots, done_lots, cause="other"))
        elif order.status not in ("NEW", "PARTIALLY_FILLED", "FILLED"):
            said.append(Note("unknown_status", f"{order.symbol}: order {order.orderId} is {order.status}"))
        return said

    def standings(self, shown: Iterable[OrderAnswer]) -> tuple[tuple[Standing, ...], list[Note]]:
        """How orders stand, and notes on those of symbols that are not followed."""
        found: list[Standing] = []
        notes: list[Note] = []
        for one in shown:
            followed = self._followed.get(one.symbol)
            if followed is None:
                notes.append(Note("foreign_symbol", f"{one.symbol}: order {one.orderId} {one.status}"))
                continue
            instrument, end = followed.instrument, STANDS[one.status]
            cause = expired(one.status, one.timeInForce, one.type) if end == ORDER_EXPIRED else ""
            client_id = one.origClientOrderId or one.clientOrderId
            found.append(
                Standing(
                    followed, self._order_id_of(client_id), client_id, one.orderId, SIDES[one.side],
                    instrument.ticks(one.price), instrument.lots(one.origQty), instrument.lots(one.executedQty), end,
                    cause, (one.updateTime or one.time) * 1_000_000,
                )
            )  # fmt: skip
        return tuple(found), notes


def fill_of(trade: Trade | FuturesTrade, followed: Followed, order: Order | None) -> tuple[Step, Note | None]:
    """A fill of the list of own trades, and a note on its fee.  order: the one asked about; else the list says only the
    venue's number."""
    instrument = followed.instrument
    price_ticks = instrument.ticks(trade.price)
    fee_units, note = fee_of(instrument, trade.commission, trade.commissionAsset, price_ticks)
    flags = LAST | (MAKER if trade.isMaker else FILL_TAKER << REASON_SHIFT)
    step = Step(
        ORDER_FILLED, followed, order.order_id if order else None, order.client_id if order else "", trade.orderId,
        BUY if trade.isBuyer else SELL, price_ticks, instrument.lots(trade.qty), trade.time * 1_000_000, fee_units,
        flags, trade.id,
    )  # fmt: skip
    return step, note

"""Gemini's private side: order and balance events of its websocket, and its REST answers, in the house's words.

In an order's event z is what REMAINS (at Binance the same letter is what was filled), Z is this execution's quantity
on a fill and the whole filled quantity otherwise, and what is zero or empty may be absent.  A post-only order that
would take is taken up and cancelled, never refused.  Balances are dated in ms, all else in ns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.event import (
    BUY,
    FILL_TAKER,
    LAST,
    MAKER,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_REPLACED,
    REASON_SHIFT,
    SELL,
)
from pinnacle.limits import INT64_MAX
from pinnacle.venues.connection import one_line
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Standing
from pinnacle.venues.private.said import Balance, Note, Said, Step, fee_of

Ns = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
SIDES = {"buy": BUY, "sell": SELL}
# Reasons of the venue's, of refusals, of orders that it ended and of requests that failed.
CAUSES = {
    "MarketNotOpen": "halted", "InsufficientFunds": "funds", "InvalidPrice": "price_filter",
    "LimitPriceOffTick": "price_filter", "ExceedsPriceLimits": "price_filter", "InvalidQuantity": "qty_filter",
    "DuplicateOrder": "duplicate", "InsufficientLiquidity": "no_liquidity", "UnknownInstrument": "malformed",
    "InvalidSymbol": "malformed", "SelfCrossPrevented": "self_trade", "FillOrKillWouldNotFill": "unfilled",
    "ImmediateOrCancelWouldPost": "unfilled", "MakerOrCancelWouldTake": "would_cross", "OrderNotFound": "unknown_order",
    "InvalidNonce": "clock", "InvalidTimestampInPayload": "malformed", "InvalidSignature": "permission",
    "InvalidApiKey": "permission", "MissingRole": "permission", "RateLimit": "rate_limit", "Maintenance": "halted",
    "System": "outcome_unknown", "InvalidOrderType": "malformed", "InvalidSide": "malformed",
    "InvalidJson": "malformed",
    "MissingOrderField": "malformed", "ConflictingOptions": "malformed", "UnsupportedOption": "malformed",
    "OptionsMustBeArray": "malformed", "ClientOrderIdTooLong": "malformed", "ClientOrderIdMustBeString": "malformed",
    "EndpointMismatch": "malformed", "EndpointNotFound": "malformed", "MissingApikeyHeader": "malformed",
    "MissingPayloadHeader": "malformed", "MissingSignatureHeader": "malformed", "AuctionNotOpen": "halted",
    "IneligibleTiming": "halted", "InvalidStopPrice": "price_filter", "InvalidTotalSpend": "qty_filter",
    "AccountNotOfTypeRequired": "permission",
    "MissingAccounts": "permission",
}  # fmt: skip
# Codes of the websocket whose text names no reason.
CODES = {-2010: "funds", -1003: "rate_limit", -2015: "permission"}


def cause_of(reason: str) -> str:
    """A reason in the house's words; "other" for one that is not known."""
    return CAUSES.get(reason, "other") if reason else ""


class _Asset(msgspec.Struct):
    a: str
    f: str = "0"
    c: str = "0"


class _Event(msgspec.Struct):
    """An order's event has X, a balance's has B.  i: order id, t: trade id, both may be text or number."""

    e: str = ""
    E: Ns = 0
    s: str = ""
    i: str | int = 0
    c: str = ""
    S: str = ""
    X: str = ""
    p: str = "0"
    q: str = "0"
    z: str | None = None
    Z: str = "0"
    L: str = "0"
    t: str | int = 0
    m: bool = False
    n: str = "0"
    r: str = ""
    T: Ns = 0
    B: list[_Asset] | None = None


class _Order(msgspec.Struct):
    """An order of REST; older answers lack some fields and have numbers for ids."""

    symbol: str
    side: str
    price: str
    original_amount: str
    executed_amount: str = "0"
    is_live: bool = False
    is_cancelled: bool = False
    order_id: str | int | None = None
    id: str | int | None = None
    client_order_id: str = ""
    reason: str = ""
    timestampms: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX // 1_000_000)] = 0


class _Trade(msgspec.Struct):
    price: str
    amount: str
    type: str
    aggressor: bool
    tid: Ns
    order_id: str | int
    fee_amount: str = "0"
    fee_currency: str = ""
    client_order_id: str = ""
    timestampms: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX // 1_000_000)] = 0
    broken: str | bool | None = msgspec.field(default=None, name="break")


class _Traded(msgspec.Struct):
    """An order with its executions."""

    trades: list[_Trade] = []


class _Balance(msgspec.Struct):
    currency: str
    amount: str
    available: str
    type: str = "exchange"


class _Failure(msgspec.Struct):
    result: str
    reason: str
    message: str = ""


def refusal_of(code: int, text: str, cancel: bool) -> str:
    """Why a request over the websocket was refused, in the house's words: by a reason in its text, else by its code."""
    for word in text.replace(":", " ").replace(",", " ").split():
        if word in CAUSES:
            return CAUSES[word]
    if "not found" in text.lower():
        return "unknown_order"
    return CODES.get(code, "other") if code != -1013 else ("unknown_order" if cancel else "malformed")


class PrivateSide:
    """Turns one account's messages into what is said.

    followed: by the venue's symbol in small letters.  order_id_of: our order id of a client id, None for others'.
    """

    def __init__(self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None]) -> None:
        self._followed = {name.lower(): one for name, one in followed.items()}
        self._order_id_of = order_id_of

    # --- the websocket ------------------------------------------------------------------------------------------------
    def read(self, data: bytes) -> list[Said]:
        """What one event says, in order; nothing for a reply to a request.  Raises Malformed."""
        try:
            event = msgspec.json.decode(data, type=_Event)
            if event.B is not None:
                return [_held(one.a, one.c, one.f, event.E * 1_000_000) for one in event.B]
            return self._order_event(event) if event.X else []
        except (msgspec.MsgspecError, UnicodeDecodeError, HistoryError, KeyError, ValueError, ArithmeticError) as error:
            raise _malformed(error, data) from None

    def _order_event(self, event: _Event) -> list[Said]:
        followed = self._followed.get(event.s.lower())
        if followed is None:
            return [Note("foreign_symbol", f"{event.s}: order {event.i} {event.X}")]
        one, side, number = followed.instrument, SIDES[event.S.lower()], _number(event.i)
        order_id = self._order_id_of(event.c)
        said: list[Said] = []
        if order_id is None:
            said.append(Note("foreign_order", f"{event.s}: order {event.i} {event.c}, somebody else's, {event.X}"))
        qty_lots = one.lots(event.q)
        if event.z is not None or event.X in ("PARTIALLY_FILLED", "FILLED"):
            open_lots = one.lots(event.z or "0")
        else:
            # Absent, which need not mean that nothing remains: Z is all that was filled, but on a fill.
            open_lots = qty_lots - one.lots(event.Z)
        done_lots = qty_lots - open_lots
        ts_ns = event.T or event.E

        def step(kind: int, price: str, lots: int, cause: str = "", **more: int) -> Step:
            return Step(
                kind, followed, order_id, event.c, number, side, one.ticks(price), lots, ts_ns, done_lots=done_lots,
                cause=cause, **more,
            )  # fmt: skip

        match event.X:
            case "NEW" | "OPEN":
                said.append(step(ORDER_ACKNOWLEDGED, event.p, open_lots))
            case "PARTIALLY_FILLED" | "FILLED":
                fee_units, note = fee_of(one, event.n, one.quote, one.ticks(event.L))
                flags = LAST | (MAKER if event.m else FILL_TAKER << REASON_SHIFT)
                said.append(
                    step(
                        ORDER_FILLED,
                        event.L,
                        one.lots(event.Z),
                        trade_id=_number(event.t),
                        fee_units=fee_units,
                        flags=flags,
                    )
                )
                said += [note] if note else []
            case "CANCELED":
                ours = event.r in ("", "Requested")
                said.append(
                    step(
                        ORDER_CANCELLED if ours else ORDER_EXPIRED,
                        event.p,
                        open_lots,
                        "" if ours else cause_of(event.r),
                    )
                )
            case "REJECTED":
                said.append(step(ORDER_REJECTED, event.p, open_lots, cause_of(event.r) or "other"))
            case "MODIFIED":
                said.append(step(ORDER_REPLACED, event.p, open_lots))
            case _:
                said.append(Note("unknown_step", f"{event.s}: order {event.i} {event.X}"))
        return said

    # --- REST ---------------------------------------------------------------------------------------------------------
    def standings(self, body: bytes) -> list[Standing]:
        """How orders stand, out of one order or a list; other symbols are left out.  Raises Malformed."""
        try:
            orders = msgspec.json.decode(body, type=list[_Order] | _Order | None)
            listed = orders if isinstance(orders, list) else [orders] if orders is not None else []
            return [standing for order in listed if (standing := self._standing(order)) is not None]
        except (msgspec.MsgspecError, UnicodeDecodeError, HistoryError, KeyError, ValueError, ArithmeticError) as error:
            raise _malformed(error, body) from None

    def _standing(self, order: _Order) -> Standing | None:
        followed = self._followed.get(order.symbol.lower())
        if followed is None:
            return None
        one = followed.instrument
        qty, done = one.lots(order.original_amount), one.lots(order.executed_amount)
        end, cause = 0, ""
        if order.is_cancelled:
            ours = order.reason in ("", "Requested")
            end, cause = (ORDER_CANCELLED, "") if ours else (ORDER_EXPIRED, cause_of(order.reason))
        elif not order.is_live and qty == done:
            end = ORDER_FILLED
        number = order.order_id if order.order_id is not None else order.id
        return Standing(
            followed, self._order_id_of(order.client_order_id), order.client_order_id, _number(number or 0),
            SIDES[order.side.lower()], one.ticks(order.price), qty, done, end, cause, order.timestampms * 1_000_000,
        )  # fmt: skip

    def fills(self, body: bytes, followed: Followed) -> tuple[list[Step], list[Note]]:
        """Own executions of one symbol, or of one order, oldest first, each by its trade id; and notes on them.

        An order of ours that names no client id is for the owner to know by its number.  Raises Malformed.
        """
        try:
            if body.lstrip().startswith(b"{"):
                trades = msgspec.json.decode(body, type=_Traded).trades
            else:
                trades = msgspec.json.decode(body, type=list[_Trade] | None) or []
            steps, notes = [], []
            for trade in sorted(trades, key=lambda trade: trade.tid):
                one = followed.instrument
                if trade.broken:
                    # It was taken back: the owner sees that what it counted is no longer shown.
                    notes.append(Note("bust", f"{one.symbol}: trade {trade.tid} was broken: {str(trade.broken)[:40]}"))
                    continue
                ticks = one.ticks(trade.price)
                fee_units, note = fee_of(one, trade.fee_amount, trade.fee_currency, ticks)
                flags = LAST | (FILL_TAKER << REASON_SHIFT if trade.aggressor else MAKER)
                steps.append(
                    Step(
                        ORDER_FILLED, followed, self._order_id_of(trade.client_order_id), trade.client_order_id,
                        _number(trade.order_id), SIDES[trade.type.lower()], ticks, one.lots(trade.amount),
                        trade.timestampms * 1_000_000, fee_units, flags, trade.tid,
                    )
                )  # fmt: skip
                notes += [note] if note else []
            return steps, notes
        except (msgspec.MsgspecError, UnicodeDecodeError, HistoryError, KeyError, ValueError, ArithmeticError) as error:
            raise _malformed(error, body) from None

    def balances(self, body: bytes) -> list[Balance]:
        """What the account holds to trade with; deposits and other purses are left out.  Raises Malformed."""
        try:
            held = msgspec.json.decode(body, type=list[_Balance] | _Balance)
            listed = held if isinstance(held, list) else [held]
            return [_held(one.currency, one.amount, one.available, 0) for one in listed if one.type == "exchange"]
        except (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError) as error:
            raise _malformed(error, body) from None

    def failure(self, status: int, body: bytes) -> str:
        """Why a request was not done, "" if it was; what says nothing certain is outcome_unknown."""
        try:
            said = msgspec.json.decode(body, type=_Failure)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "" if status == 200 else "rate_limit" if status == 429 else "outcome_unknown"
        if said.result != "error":
            return ""
        if (status == 0 or status >= 500) and said.reason != "Maintenance":
            return "outcome_unknown"
        return cause_of(said.reason) or "other"


def _held(asset: str, total: str, free: str, ts_venue_ns: int) -> Balance:
    """All of an asset and what is free of it, as free and locked."""
    return Balance(asset.upper(), free, format(Decimal(total) - Decimal(free), "f"), ts_venue_ns=ts_venue_ns)


def _number(text: str | int) -> int:
    """An id as a number.  Raises ValueError."""
    number = int(text)
    if not 0 <= number <= INT64_MAX:
        raise ValueError(f"an id of {text}")
    return number


def _malformed(error: Exception, data: bytes) -> Malformed:
    return Malformed(f"gemini: {one_line(str(error))[:150]} in {data[:80]!r}")

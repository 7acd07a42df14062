"""Coinbase Advanced Trade's private side: the user channel and REST answers, in the house's words.

The user channel says how an order stands, in cumulative numbers, and never a single fill: where `done_lots` has grown
the fills are asked for over REST and counted once by their trade id.  Orders are named by text there; the number that
stands for it is 63 bits of its hash, and the text is kept by whoever cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.event import (
    BUY,
    FILL_TAKER,
    LAST,
    MAKER,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    REASON_SHIFT,
    SELL,
)
from pinnacle.venues.coinbase_orders import order_id_of as number_of_text
from pinnacle.venues.connection import one_line
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Standing
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.private.said import Balance, Note, Step, fee_of

SIDES = {"BUY": BUY, "SELL": SELL}
# status -> kind of its end, 0 while it is open.
ENDS = {
    "PENDING": 0, "OPEN": 0, "QUEUED": 0, "CANCEL_QUEUED": 0, "UNKNOWN_ORDER_STATUS": 0, "EDIT_QUEUED": 0,
    "FILLED": ORDER_FILLED, "CANCELLED": ORDER_CANCELLED, "EXPIRED": ORDER_EXPIRED, "FAILED": ORDER_REJECTED,
}  # fmt: skip
# Bits of a trade's number that are not its millisecond: two of one millisecond are one in 4 million times.
_HASH_BITS = 22
# Reasons of refusals; some come with the prefix PREVIEW_.
CAUSES = {
    "INSUFFICIENT_FUND": "funds", "INVALID_LIMIT_PRICE_POST_ONLY": "would_cross",
    "INVALID_PRICE_PRECISION": "price_filter", "INVALID_SIZE_PRECISION": "qty_filter",
    "INVALID_PRODUCT_ID": "malformed", "UNKNOWN_CANCEL_ORDER": "unknown_order", "INVALID_CANCEL_REQUEST": "malformed",
    "DUPLICATE_CANCEL_REQUEST": "unknown_order", "CANNOT_EDIT_TO_BELOW_FILLED_SIZE": "amend",
    "UNSUPPORTED_ORDER_CONFIGURATION": "malformed", "INVALID_ARGUMENT": "malformed", "INVALID_SIDE": "malformed",
    "INVALID_CLIENT_ORDER_ID": "malformed", "PERMISSION_DENIED": "permission", "NOT_FOUND": "unknown_order",
    "ORDER_NOT_FOUND": "unknown_order", "UNKNOWN_EDIT_FAILURE_REASON": "amend",
    "ORDER_ENTRY_DISABLED": "halted", "RESOURCE_EXHAUSTED": "rate_limit", "RATE_LIMIT_EXCEEDED": "rate_limit",
}  # fmt: skip


def cause_of(reason: str) -> str:
    """A reason in the house's words; "other" for one that is not known."""
    return CAUSES.get(reason.upper().removeprefix("PREVIEW_"), "other") if reason else ""


class _Limit(msgspec.Struct):
    base_size: str = "0"
    limit_price: str = "0"


class _Order(msgspec.Struct):
    """An order of REST."""

    order_id: str
    product_id: str
    side: str
    status: str
    client_order_id: str = ""
    order_configuration: dict[str, _Limit] = {}
    filled_size: str = "0"
    created_time: str = ""
    reject_reason: str = ""


class _Told(msgspec.Struct):
    """An order of the user channel; what it may cost is not among the published fields."""

    order_id: str
    product_id: str
    order_side: str
    status: str
    client_order_id: str = ""
    cumulative_quantity: str = "0"
    leaves_quantity: str = "0"
    limit_price: str = "0"
    creation_time: str = ""
    reject_reason: str = ""


class _Event(msgspec.Struct):
    type: str
    orders: list[_Told] = []


class _Message(msgspec.Struct):
    channel: str = ""
    events: msgspec.Raw = msgspec.Raw(b"[]")


class _Orders(msgspec.Struct):
    orders: list[_Order]


class _One(msgspec.Struct):
    order: _Order


class _Fill(msgspec.Struct):
    trade_id: str
    order_id: str
    product_id: str
    price: str
    size: str
    side: str
    liquidity_indicator: str
    commission: str = "0"
    trade_time: str = ""


class _Fills(msgspec.Struct):
    fills: list[_Fill]
    cursor: str = ""


class _Page(msgspec.Struct):
    cursor: str = ""
    has_next: bool | None = None


class _Money(msgspec.Struct):
    value: str
    currency: str


class _Account(msgspec.Struct):
    currency: str
    available_balance: _Money
    hold: _Money


class _Accounts(msgspec.Struct):
    accounts: list[_Account]


class _Cancelled(msgspec.Struct):
    order_id: str
    success: bool
    failure_reason: str = ""


class _Cancels(msgspec.Struct):
    results: list[_Cancelled]


class _EditError(msgspec.Struct):
    edit_failure_reason: str = ""
    preview_failure_reason: str = ""


class _Edit(msgspec.Struct):
    success: bool
    errors: list[_EditError] = []


class _Success(msgspec.Struct):
    order_id: str
    client_order_id: str = ""


class _Placed(msgspec.Struct):
    success_response: _Success


class _Refusal(msgspec.Struct):
    error: str = ""
    new_order_failure_reason: str = ""
    preview_failure_reason: str = ""


class _Result(msgspec.Struct):
    success: bool | None = None
    error: str = ""
    error_response: _Refusal | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """How an order stands, with the text by which the venue knows it."""

    standing: Standing
    venue_text: str


class PrivateSide:
    """Turns one account's messages into what is said.

    followed: by product.  order_id_of: our order id of a client id, None for others'.
    """

    def __init__(self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None]) -> None:
        self._followed, self._order_id_of = followed, order_id_of

    def read(self, data: bytes) -> list[Named]:
        """How orders stand by a message of the user channel; nothing for another channel's.  Raises Malformed.

        price_ticks is 0 where the channel does not say it.
        """
        try:
            message = msgspec.json.decode(data, type=_Message)
            if message.channel != "user":
                return []
            events = msgspec.json.decode(message.events, type=list[_Event])
            told = [order for event in events for order in event.orders]
            return [named for order in told if (named := self._told(order)) is not None]
        except (msgspec.MsgspecError, UnicodeDecodeError, HistoryError, KeyError, ValueError) as error:
            raise _malformed(error, data) from None

    def _told(self, order: _Told) -> Named | None:
        followed = self._followed.get(order.product_id)
        if followed is None:
            return None
        done = followed.instrument.lots(order.cumulative_quantity)
        return self._named(
            followed, order, SIDES[order.order_side], order.limit_price,
            done + followed.instrument.lots(order.leaves_quantity), done, order.creation_time,
        )  # fmt: skip

    def standings(self, body: bytes) -> list[Named]:
        """How orders stand by an answer of REST: one order, or a list.  Raises Malformed."""
        try:
            try:
                orders = msgspec.json.decode(body, type=_Orders).orders
            except msgspec.ValidationError:
                orders = [msgspec.json.decode(body, type=_One).order]
            return [named for order in orders if (named := self._standing(order)) is not None]
        except (msgspec.MsgspecError, UnicodeDecodeError, HistoryError, KeyError, ValueError) as error:
            raise _malformed(error, body) from None

    def _standing(self, order: _Order) -> Named | None:
        followed = self._followed.get(order.product_id)
        if followed is None:
            return None
        limit = next(iter(order.order_configuration.values()), _Limit())
        one = followed.instrument
        done = one.lots(order.filled_size)
        return self._named(
            followed, order, SIDES[order.side], limit.limit_price, max(done, one.lots(limit.base_size)), done,
            order.created_time,
        )  # fmt: skip

    def _named(
        self, followed: Followed, order: _Order | _Told, side: int, price: str, qty: int, done: int, when: str
    ) -> Named:
        standing = Standing(
            followed, self._order_id_of(order.client_order_id), order.client_order_id, number_of_text(order.order_id),
            side, followed.instrument.ticks(price), qty, done, ENDS[order.status],
            cause_of(order.reject_reason) if order.status == "FAILED" else "", ns_of_iso(when) if when else 0,
        )  # fmt: skip
        return Named(standing, order.order_id)

    def fills(self, body: bytes) -> tuple[list[Step], list[Note]]:
        """Own executions, oldest first, each by its trade id; the order is known by its number.  Raises Malformed."""
        try:
            steps, notes = [], []
            for fill in msgspec.json.decode(body, type=_Fills).fills:
                followed = self._followed.get(fill.product_id)
                if followed is None:
                    notes.append(Note("foreign_symbol", f"{fill.product_id}: fill {fill.trade_id}"))
                    continue
                one = followed.instrument
                ticks, ts_ns = one.ticks(fill.price), ns_of_iso(fill.trade_time)
                fee_units, note = fee_of(one, fill.commission, one.quote, ticks)
                flags = LAST | (MAKER if fill.liquidity_indicator == "MAKER" else FILL_TAKER << REASON_SHIFT)
                steps.append(
                    Step(
                        ORDER_FILLED, followed, None, "", number_of_text(fill.order_id), SIDES[fill.side], ticks,
                        one.lots(fill.size), ts_ns, fee_units, flags, trade_number(fill.trade_id, ts_ns),
                    )
                )  # fmt: skip
                notes += [note] if note else []
            return sorted(steps, key=lambda step: step.ts_venue_ns), notes
        except (msgspec.MsgspecError, UnicodeDecodeError, HistoryError, KeyError, ValueError, ArithmeticError) as error:
            raise _malformed(error, body) from None

    def balances(self, body: bytes) -> list[Balance]:
        """What the account holds.  Raises Malformed."""
        try:
            accounts = msgspec.json.decode(body, type=_Accounts).accounts
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _malformed(error, body) from None
        return [Balance(one.currency, one.available_balance.value, one.hold.value) for one in accounts]

    def cursor(self, body: bytes) -> str:
        """Where the next page begins, "" if there is none.  Raises Malformed."""
        try:
            page = msgspec.json.decode(body, type=_Page)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _malformed(error, body) from None
        return page.cursor if page.has_next in (None, True) else ""

    def placed(self, body: bytes) -> str:
        """The venue's text of an order that it took.  Raises Malformed."""
        try:
            return msgspec.json.decode(body, type=_Placed).success_response.order_id
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _malformed(error, body) from None

    def cancelled(self, body: bytes) -> str:
        """Why the cancel of one order was refused, "" if it was not.  Raises Malformed."""
        try:
            (result,) = msgspec.json.decode(body, type=_Cancels).results
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise _malformed(error, body) from None
        return "" if result.success else cause_of(result.failure_reason) or "other"

    def edited(self, body: bytes) -> str:
        """Why an edit was refused, "" if it was not.  Raises Malformed."""
        try:
            edit = msgspec.json.decode(body, type=_Edit)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _malformed(error, body) from None
        reason = next((one.edit_failure_reason or one.preview_failure_reason for one in edit.errors), "")
        return "" if edit.success else cause_of(reason) or "other"

    def failure(self, status: int, body: bytes) -> str:
        """Why a request was not done, "" if it was; what says nothing certain is outcome_unknown."""
        if status == 429:
            return "rate_limit"
        if status in (401, 403):
            return "permission"
        if status == 0 or status >= 500:
            return "outcome_unknown"
        try:
            said = msgspec.json.decode(body, type=_Result)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "outcome_unknown"
        refusal = said.error_response or _Refusal()
        reason = refusal.new_order_failure_reason or refusal.error or refusal.preview_failure_reason or said.error
        if said.success is False or reason:
            return cause_of(reason) or "other"
        return "" if status == 200 else "outcome_unknown"


def trade_number(text: str, ts_ns: int) -> int:
    """A trade's number, as the market data has it; of a text its millisecond and a hash, so that it rises with time."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    ms = ts_ns // 1_000_000
    if ms >= 1 << 41:
        raise ValueError(f"a trade of {ts_ns} ns")
    return ms << _HASH_BITS | number_of_text(text) & ((1 << _HASH_BITS) - 1)


def since_ns(trade_id: int) -> int:
    """When a trade of that number was, if it was made of a text; 0 for a number of the market's."""
    ms = trade_id >> _HASH_BITS
    return ms * 1_000_000 if ms > 1_000_000_000_000 else 0


def _malformed(error: Exception, data: bytes) -> Malformed:
    return Malformed(f"coinbase-advanced: {one_line(str(error))[:150]} in {data[:80]!r}")

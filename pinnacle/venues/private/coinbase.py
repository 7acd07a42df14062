"""Coinbase Exchange's private side: the user channel and REST answers, in the house's words.

The user channel is the market's own messages about the account's orders.  Only `received` says the client's id, so what
each order was is remembered (names.py), and what it had filled when it ended is what it was less what remained.  The
side of a match is the maker's.  Fees are in quote currency; a match says the rate, the list of fills the amount.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import msgspec

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
    ORDER_UNKNOWN,
    POST_ONLY,
    REASON_SHIFT,
    SELL,
)
from pinnacle.limits import CASH_UNITS_MAX, INT64_MAX
from pinnacle.venues.coinbase_orders import order_id_of as number_of_text
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Order, Standing
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.private.names import Known, Names
from pinnacle.venues.private.said import Balance, Note, Said, Step, fee_of

Id = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
SIDES = {"buy": BUY, "sell": SELL}
# Why the venue ended an order by itself; no code is our own cancel.  101: its time in force.
CANCEL_REASONS = {
    "102": "self_trade", "103": "", "104": "price_filter", "105": "funds", "106": "no_liquidity", "107": "",
}  # fmt: skip
# Parts of the venue's texts, in lower case; the first that is found counts.
TEXTS = (
    ("request timestamp expired", "clock"),
    ("invalid timestamp", "clock"),
    ("api key", "permission"),
    ("invalid signature", "permission"),
    ("passphrase", "permission"),
    ("ip does not match", "permission"),
    ("forbidden", "permission"),
    ("authentication", "permission"),
    ("rate limit", "rate_limit"),
    ("insufficient funds", "funds"),
    ("duplicate", "duplicate"),
    ("product not found", "malformed"),
    ("order not found", "unknown_order"),
    ("already done", "unknown_order"),
    ("invalid order id", "unknown_order"),
    ("notfound", "unknown_order"),
    ("post only mode", "halted"),
    ("limit only mode", "halted"),
    ("cancel only", "halted"),
    ("pair not available", "halted"),
    ("trading disabled", "halted"),
    ("maintenance", "halted"),
    ("too many open orders", "orders_max"),
    ("invalid post_only", "malformed"),
    ("post only", "would_cross"),
    ("post_only", "would_cross"),
    ("funds is too small", "notional_filter"),
    ("invalid price", "price_filter"),
    ("price too precise", "price_filter"),
    ("price is too", "price_filter"),
    ("invalid size", "qty_filter"),
    ("size is too", "qty_filter"),
    ("bad request", "malformed"),
    ("is required", "malformed"),
    ("invalid", "malformed"),
)
STATUSES = {401: "permission", 403: "permission", 404: "unknown_order", 409: "duplicate", 429: "rate_limit"}
ONLY_NOTED = {"activate": "a stop order: we place none"}


def cause_of(text: str) -> str:
    """The venue's words in the house's; "other" for what is in no table, which stops what asked for it."""
    lower = text.lower()
    return next((cause for part, cause in TEXTS if part in lower), "other")


class _Message(msgspec.Struct):
    """Any message about an order; which fields it has depends on its type."""

    type: str
    product_id: str = ""
    time: str = ""
    order_id: str = ""
    client_oid: str = ""
    side: str = ""
    size: str | None = None
    price: str | None = None
    remaining_size: str | None = None
    reason: str = ""
    cancel_reason: str | int = ""
    trade_id: Id = 0
    maker_order_id: str = ""
    taker_order_id: str = ""
    maker_user_id: str = ""
    taker_user_id: str = ""
    maker_fee_rate: str = ""
    taker_fee_rate: str = ""
    new_size: str | None = None
    new_price: str | None = None


class _Order(msgspec.Struct):
    """An order of REST."""

    id: str
    product_id: str
    side: str
    status: str
    client_oid: str = ""
    price: str = "0"
    size: str = "0"
    filled_size: str = "0"
    time_in_force: str = ""
    post_only: bool = False
    done_reason: str = ""
    reject_reason: str = ""
    created_at: str = ""
    done_at: str = ""


class _Fill(msgspec.Struct):
    trade_id: Id
    product_id: str
    order_id: str
    price: str
    size: str
    side: str
    liquidity: str
    fee: str = "0"
    created_at: str = ""


class _Account(msgspec.Struct):
    currency: str
    available: str
    hold: str


class _Failure(msgspec.Struct):
    message: str


class PrivateSide:
    """Turns one account's messages into what is said.

    followed: by product.  order_id_of: our order id of a client id, None for others'.  names: what is known of orders.
    """

    def __init__(self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None]) -> None:
        self._followed, self._order_id_of = followed, order_id_of
        self.names = Names()

    # --- the user channel -----------------------------------------------------------------------------------------
    def read(self, data: bytes) -> list[Said]:
        """What one message about an order says; raises what decoding raises, or Malformed."""
        message = msgspec.json.decode(data, type=_Message)
        followed = self._followed.get(message.product_id)
        if followed is None:
            return [Note("foreign_symbol", f"{message.product_id}: {message.type} {message.order_id}")]
        match message.type:
            case "received" | "open":
                return self._taken_up(message, followed)
            case "match":
                return self._match(message, followed)
            case "done":
                return self._done(message, followed)
            case "change":
                return self._change(message, followed)
        if message.type in ONLY_NOTED:
            return [Note(message.type, ONLY_NOTED[message.type])]
        return [Note("unknown_event", message.type[:40])]

    def _step(
        self, kind: int, followed: Followed, text: str, known: Known, side: int, ticks: int, lots: int, ts_ns: int,
        **more: int | str,
    ) -> Step:  # fmt: skip
        order_id = self._order_id_of(known.client_id) if known.client_id else None
        return Step(
            kind, followed, order_id, known.client_id, number_of_text(text), side, ticks, lots, ts_ns,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def _taken_up(self, message: _Message, followed: Followed) -> list[Said]:
        """It was taken up, and it rests."""
        one, side = followed.instrument, SIDES[message.side]
        known = self.names.name(message.order_id, message.client_oid)
        ticks = one.ticks(message.price) if message.price else 0
        if message.type == "received":
            left = one.lots(message.size) if message.size else 0
            known.side, known.price_ticks, known.qty_lots = side, ticks, known.qty_lots or left
        else:
            left = one.lots(message.remaining_size or "0")
        said: list[Said] = []
        if known.client_id and self._order_id_of(known.client_id) is None:
            said.append(Note("foreign_order", f"{one.symbol}: order {message.order_id}, somebody else's"))
        done = max(0, known.qty_lots - left) if known.qty_lots and message.type == "open" else 0
        step = self._step(
            ORDER_ACKNOWLEDGED, followed, message.order_id, known, side, ticks, left, ns_of_iso(message.time),
            done_lots=done,
        )  # fmt: skip
        return [*said, step]

    def _match(self, message: _Message, followed: Followed) -> list[Said]:
        """An execution: ours as maker, as taker, or (against the account's own order) as both."""
        said: list[Said] = []
        for maker, text, owner, rate in (
            (True, message.maker_order_id, message.maker_user_id, message.maker_fee_rate),
            (False, message.taker_order_id, message.taker_user_id, message.taker_fee_rate),
        ):
            named = self.names.of_text(text)
            if owner or (named is not None and not message.maker_user_id and not message.taker_user_id):
                said += self._fill(message, followed, maker, text, named or Known(""), rate)
        if not said:
            said.append(Note("unknown_step", f"{message.product_id}: match {message.trade_id} of no order of ours"))
        elif len(said) > 1 and all(isinstance(one, Step) for one in said):
            said.append(Note("self_trade", f"{message.product_id}: match {message.trade_id} of two own orders"))
        return said

    def _fill(
        self, message: _Message, followed: Followed, maker: bool, text: str, known: Known, rate: str
    ) -> list[Said]:
        one = followed.instrument
        side = SIDES[message.side] if maker else -SIDES[message.side]
        ticks, lots = one.ticks(message.price or ""), one.lots(message.size or "")
        if message.trade_id not in known.trades:
            known.trades.add(message.trade_id)
            known.done_lots += lots
        said: list[Said] = []
        fee_units = 0
        if rate:
            fee_units = _fee_units(one.money_digits, rate, message.price or "", message.size or "")
        else:
            said.append(Note("fee_unknown", f"{one.symbol}: match {message.trade_id} says no rate"))
        flags = LAST | (MAKER if maker else FILL_TAKER << REASON_SHIFT)
        step = self._step(
            ORDER_FILLED, followed, text, known, side, ticks, lots, ns_of_iso(message.time), fee_units=fee_units,
            flags=flags, trade_id=message.trade_id, done_lots=known.done_lots,
        )  # fmt: skip
        return [step, *said]

    def _done(self, message: _Message, followed: Followed) -> list[Said]:
        """It is over.  One whose size is not known has to be asked about: how much of it was filled is not said."""
        one = followed.instrument
        side, ts_ns = SIDES[message.side], ns_of_iso(message.time)
        known = self.names.of_text(message.order_id) or Known("")
        left = one.lots(message.remaining_size or "0")
        ticks = one.ticks(message.price) if message.price else known.price_ticks

        def step(kind: int, cause: str = "", done: int = 0) -> Step:
            return self._step(
                kind, followed, message.order_id, known, side, ticks, left, ts_ns, done_lots=done, cause=cause
            )

        if message.reason not in ("filled", "canceled"):
            return [Note("unknown_step", f"{one.symbol}: order {message.order_id} done, {message.reason[:40]}")]
        if not known.qty_lots:
            return [step(ORDER_UNKNOWN, "outcome_unknown")]
        done = known.qty_lots - left
        if message.reason == "filled":
            if known.done_lots >= done:
                return []  # each of its matches was heard
            # A match was lost: this says so, and has no trade of its own.
            return [step(ORDER_FILLED, done=done)]
        code = str(message.cancel_reason)
        if code == "101":
            return [step(ORDER_EXPIRED, "would_cross" if known.flags & POST_ONLY else "unfilled", done)]
        if code in CANCEL_REASONS:
            return [step(ORDER_EXPIRED, CANCEL_REASONS[code], done)]
        said: list[Said] = [step(ORDER_CANCELLED, done=done)]
        return said if not code else [*said, Note("unknown_cancel_reason", f"{one.symbol}: {code[:40]}")]

    def _change(self, message: _Message, followed: Followed) -> list[Said]:
        """Another size or price: amended, or made smaller instead of trading with ourselves."""
        one = followed.instrument
        known = self.names.of_text(message.order_id) or Known("")
        left = one.lots(message.new_size or "0")
        price = message.new_price or message.price
        ticks = one.ticks(price) if price else known.price_ticks
        if known.qty_lots:
            known.qty_lots, known.price_ticks = known.done_lots + left, ticks
        step = self._step(
            ORDER_REPLACED, followed, message.order_id, known, SIDES[message.side], ticks, left,
            ns_of_iso(message.time), done_lots=known.done_lots, cause="self_trade" if message.reason == "STP" else "",
        )  # fmt: skip
        return [step]

    # --- REST -----------------------------------------------------------------------------------------------------
    def placed(self, body: bytes, order: Order) -> list[Said]:
        """What the answer to a new order says: taken up, over already, or refused in a good answer's clothes."""
        one = msgspec.json.decode(body, type=_Order)
        standing = self._standing(one)
        if standing is None or standing.client_id not in ("", order.client_id):
            raise Malformed(f"coinbase: order {order.client_id} was answered with {one.client_oid[:40]}")
        known = self.names.name(one.id, order.client_id)
        ticks, left = standing.price_ticks, standing.qty_lots - standing.done_lots

        def step(kind: int, cause: str = "") -> Step:
            return self._step(
                kind, order.followed, one.id, known, order.side, ticks, left, standing.ts_venue_ns,
                done_lots=standing.done_lots, cause=cause,
            )  # fmt: skip

        if standing.end == ORDER_REJECTED:
            return [step(ORDER_REJECTED, standing.cause or "other")]
        said: list[Said] = [step(ORDER_ACKNOWLEDGED)]
        if standing.end in (ORDER_CANCELLED, ORDER_EXPIRED):
            said.append(step(standing.end, standing.cause))
        return said

    def standings(self, body: bytes) -> tuple[list[Standing], list[Note]]:
        """How orders stand, out of one order or a list; of other products only a note."""
        shown = msgspec.json.decode(body, type=list[_Order] | _Order)
        found, notes = [], []
        for order in shown if isinstance(shown, list) else [shown]:
            standing = self._standing(order)
            if standing is None:
                notes.append(Note("foreign_symbol", f"{order.product_id}: order {order.id} {order.status}"))
            else:
                found.append(standing)
        return found, notes

    def _standing(self, order: _Order) -> Standing | None:
        followed = self._followed.get(order.product_id)
        if followed is None:
            return None
        one = followed.instrument
        done = one.lots(order.filled_size)
        qty = max(done, one.lots(order.size))
        end, cause = _end(order, qty == done)
        known = self.names.name(order.id, order.client_oid)
        known.qty_lots = known.qty_lots or qty
        when = order.done_at or order.created_at
        client_id = order.client_oid or known.client_id
        return Standing(
            followed, self._order_id_of(client_id), client_id, number_of_text(order.id), SIDES[order.side],
            one.ticks(order.price), qty, done, end, cause, ns_of_iso(when) if when else 0,
        )  # fmt: skip

    def fills(self, body: bytes) -> tuple[list[Step], list[Note], int]:
        """Own executions, each by its trade id; notes; and how many the answer had, of whichever product."""
        shown = msgspec.json.decode(body, type=list[_Fill])
        steps, notes = [], []
        for fill in shown:
            followed = self._followed.get(fill.product_id)
            if followed is None:
                notes.append(Note("foreign_symbol", f"{fill.product_id}: fill {fill.trade_id}"))
                continue
            one = followed.instrument
            ticks = one.ticks(fill.price)
            fee_units, note = fee_of(one, fill.fee, one.quote, ticks)
            notes += [note] if note else []
            flags = LAST | (MAKER if fill.liquidity == "M" else FILL_TAKER << REASON_SHIFT)
            known = self.names.of_text(fill.order_id) or Known("")
            steps.append(
                self._step(
                    ORDER_FILLED, followed, fill.order_id, known, SIDES[fill.side], ticks, one.lots(fill.size),
                    ns_of_iso(fill.created_at), fee_units=fee_units, flags=flags, trade_id=fill.trade_id,
                )
            )  # fmt: skip
        return steps, notes, len(shown)

    def balances(self, body: bytes) -> list[Balance]:
        """What the account holds."""
        accounts = msgspec.json.decode(body, type=list[_Account])
        return [Balance(one.currency, one.available, one.hold) for one in accounts]


def failure(status: int, body: bytes) -> tuple[str, str]:
    """(cause, the venue's words) of an answer, "" for a good one; what says nothing certain is outcome_unknown."""
    if status == 200:
        return "", ""
    try:
        words = msgspec.json.decode(body, type=_Failure).message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ("rate_limit" if status == 429 else "outcome_unknown"), f"status {status}, and no error that can be read"
    if status == 0 or status >= 500:
        return "outcome_unknown", words
    cause = cause_of(words)
    return (STATUSES.get(status, cause) if cause in ("other", "malformed") else cause), f"{status} {words}"


def _end(order: _Order, whole: bool) -> tuple[int, str]:
    """(how it ended, why) of an order; 0 while it is open."""
    if order.status in ("open", "pending", "active", "received"):
        return 0, ""
    if order.status == "rejected" or order.done_reason == "rejected":
        return ORDER_REJECTED, cause_of(order.reject_reason) if order.reject_reason else "other"
    if order.status not in ("done", "settled"):
        raise ValueError(f"an order that is {order.status[:40]}")
    if order.done_reason == "filled" or (not order.done_reason and whole):
        return ORDER_FILLED, ""
    if order.time_in_force in ("IOC", "FOK"):
        return ORDER_EXPIRED, "unfilled"
    return ORDER_CANCELLED, ""


def _fee_units(digits: int, rate: str, price: str, size: str) -> int:
    """Money units of a fee that is a rate of the value; rounded against us."""
    fee = Fraction(1)
    for text in (rate, price, size):
        decimal = Decimal(text)
        if not decimal.is_finite() or abs(decimal.adjusted()) > 40:
            raise ValueError(f"a number of {text[:40]}")
        fee *= Fraction(decimal)
    units = int(-(-fee * 10**digits // 1))
    if abs(units) > CASH_UNITS_MAX:
        raise ValueError(f"a fee of {rate[:40]}")
    return units

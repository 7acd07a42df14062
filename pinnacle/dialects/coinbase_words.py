"""Coinbase's words for what the house knows: products, orders, executions, money, ids and errors.

Shared by the Exchange's REST and websocket and by Advanced Trade, which call the same things by other names.  Facts:
Coinbase Exchange's documentation of 2025 and 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.house import House
from pinnacle.dialects.orders import Fill, Order, Status, Why
from pinnacle.event import BUY
from pinnacle.instrument import Instrument
from pinnacle.kernels.exchange_state import STP_DECREMENT
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER
from pinnacle.venues.iso import iso_of_ns

# Self-trade prevention: decrement and cancel, cancel oldest, cancel newest, cancel both.
STP_MODES = {"dc": STP_DECREMENT, "co": STP_EXPIRE_MAKER, "cn": STP_EXPIRE_TAKER, "cb": STP_EXPIRE_BOTH}
# The last 48 bits of an id's text are the house's number, the rest is the kind of thing it names.
ORDERS, ACCOUNTS, PROFILES, USERS = "0d00", "acc0", "0f10", "05e0"
_ID_MAX = 1 << 48
# What refuses an order, as (HTTP status, message).
SAID = {
    Why.PRICE: (400, "Invalid Price"),
    Why.QTY: (400, "size is too small"),
    Why.NOTIONAL: (400, "funds is too small. Minimum size is reached"),
    Why.ORDERS_MAX: (400, "too many open orders"),
    Why.FUNDS: (400, "Insufficient funds"),
    Why.CLIENT_ID: (409, "client_oid is a duplicate of an open order"),
    Why.DUPLICATE: (409, "client_oid is a duplicate of an open order"),
    Why.STATE: (400, "Trading pair not available"),
    Why.UNKNOWN_ORDER: (404, "order not found"),
}


class Fail(Exception):
    """An error as Coinbase Exchange says it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def uuid_of(kind: str, number: int) -> str:
    """A number of ours as the text of an id."""
    assert 0 <= number < _ID_MAX
    return f"c01ba5e0-{kind}-4000-8000-{number:012x}"


def number_of(kind: str, text: str) -> int | None:
    """The number that an id's text names, None if it names none of the kind."""
    head = f"c01ba5e0-{kind}-4000-8000-"
    tail = text[len(head) :]
    if len(text) != 36 or not text.startswith(head) or not all(c in "0123456789abcdef" for c in tail):
        return None
    return int(tail, 16)


def plain(step: Decimal, digits_min: int = 0) -> Callable[[int], str]:
    """A function from whole steps to text with the decimals of the step, exact."""
    digits = max(digits_min, -int(step.normalize().as_tuple().exponent), 0)
    scaled, one = int(step.scaleb(digits)), 10**digits

    def text(count: int) -> str:
        whole, rest = divmod(count * scaled, one)
        return f"{whole}.{rest:0{digits}d}" if digits else str(whole)

    return text


def steps(text: object, step: Decimal) -> int | None:
    """How many steps a decimal, as text or number, is: None if no whole number of them.  Raises ValueError for none."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        raise ValueError("no number") from None
    if isinstance(text, bool) or not value.is_finite() or abs(value.adjusted()) > 30 or len(str(text)) > 60:
        raise ValueError("no number")
    found = Fraction(value) / Fraction(step)
    return found.numerator if found.denominator == 1 else None


def money(value: Decimal, digits: int = 16) -> str:
    """A decimal amount as the venue writes balances and fees."""
    return f"{value:.{digits}f}"


class Words:
    """What is written of each instrument, worked out once."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.instruments = [listing.instrument for listing in house.listings]
        self.symbols = [one.symbol for one in self.instruments]
        self.price = [plain(one.tick) for one in self.instruments]
        self.qty = [plain(one.lot, 8) for one in self.instruments]
        self.skew_ns = 0

    def time(self, ts_ns: int) -> str:
        """A time of the house by the venue's clock."""
        return iso_of_ns(ts_ns + self.skew_ns)

    def product(self, k: int) -> dict[str, Any]:
        """One product of GET /products and of the status channel."""
        one, listing, state = self.instruments[k], self.house.listings[k], self.house.states[k]
        return {
            "id": one.symbol, "base_currency": one.base, "quote_currency": one.quote,
            "quote_increment": self.price[k](1), "base_increment": plain(one.lot)(1),
            "display_name": f"{one.base}/{one.quote}", "min_market_funds": str(one.notional_min or 1),
            "margin_enabled": False, "post_only": state == e.STATE_POST_ONLY, "limit_only": False,
            "cancel_only": state == e.STATE_CANCEL_ONLY, "status": "online", "status_message": "",
            "trading_disabled": state == e.STATE_HALTED, "fx_stablecoin": False,
            "max_slippage_percentage": "0.02000000", "auction_mode": False,
            "high_bid_limit_percentage": "", "base_min_size": self.qty[k](max(1, one.lots(str(one.qty_min)))),
            "base_max_size": self.qty[k](listing.qty_max_lots),
        }  # fmt: skip

    def value(self, k: int, units: int) -> str:
        """Money units of an instrument."""
        return money(self.instruments[k].money(units))

    def fees(self, order: Order) -> str:
        """What an order paid, in quote currency."""
        quote = self.instruments[order.instrument].quote
        return money(self.house.amount(quote, order.fees.get(quote, 0)))

    def order(self, order: Order) -> dict[str, Any]:
        """An order as REST shows it."""
        k = order.instrument
        status = "open" if order.live else "done"
        if order.end_reason == e.END_WOULD_CROSS:
            status = "rejected"
        shown: dict[str, Any] = {
            "id": uuid_of(ORDERS, order.id), "product_id": self.symbols[k],
            "profile_id": uuid_of(PROFILES, order.account), "side": side(order.side),
            "type": order.extra.get("type", "limit"), "post_only": bool(order.flags & e.POST_ONLY),
            "created_at": self.time(order.created_ns), "fill_fees": self.fees(order),
            "filled_size": self.qty[k](order.filled_lots), "executed_value": self.value(k, order.value_units),
            "market_type": "spot", "status": status, "settled": status == "done",
            "stp": order.extra.get("stp_text", "dc"), "size": self.qty[k](order.qty_lots),
        }  # fmt: skip
        if shown["type"] == "limit":
            shown |= {"price": self.price[k](order.price_ticks), "time_in_force": order.extra.get("tif", "GTC")}
        if order.extra.get("funds"):
            shown["funds"] = order.extra["funds"]
        if order.client_id:
            shown["client_oid"] = order.client_id
        if status == "rejected":
            shown["reject_reason"] = "post only"
        if status == "done":
            filled = order.status is Status.FILLED
            shown |= {"done_at": self.time(order.updated_ns), "done_reason": "filled" if filled else "canceled"}
        return shown

    def fill(self, fill: Fill) -> dict[str, Any]:
        """An execution of GET /fills."""
        k = fill.order.instrument
        return {
            "trade_id": fill.id, "product_id": self.symbols[k], "order_id": uuid_of(ORDERS, fill.order.id),
            "user_id": uuid_of(USERS, fill.order.account), "profile_id": uuid_of(PROFILES, fill.order.account),
            "liquidity": "M" if fill.maker else "T", "price": self.price[k](fill.price_ticks),
            "size": self.qty[k](fill.qty_lots), "side": side(fill.side), "created_at": self.time(fill.ts_ns),
            "fee": money(self.house.amount(fill.fee_currency, fill.fee_units)), "settled": True,
            "usd_volume": self.value(k, fill.value_units), "market_type": "spot", "funding_currency": None,
        }  # fmt: skip

    def instrument(self, k: int) -> Instrument:
        """An instrument by its number."""
        return self.instruments[k]


def side(sign: int) -> str:
    """buy or sell."""
    return "buy" if sign == BUY else "sell"

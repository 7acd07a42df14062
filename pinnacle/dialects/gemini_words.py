"""Gemini's words for what the house knows: symbols, orders, executions, reasons and errors.

Shared by its REST, its streams and its orders over the websocket.  Facts: Gemini's documentation of 2026.
"""

from __future__ import annotations

from typing import Any

from pinnacle import event as e
from pinnacle.dialects.coinbase_words import money, plain
from pinnacle.dialects.house import House
from pinnacle.dialects.orders import Account, Fill, Order, Status, Why
from pinnacle.event import BUY

MS = 1_000_000
STATES = {
    e.STATE_OPEN: "open", e.STATE_HALTED: "closed", e.STATE_CANCEL_ONLY: "cancel_only", e.STATE_POST_ONLY: "post_only",
}  # fmt: skip
# What refuses an order: (HTTP status, reason).
REASONS = {
    Why.PRICE: (400, "InvalidPrice"),
    Why.QTY: (400, "InvalidQuantity"),
    Why.NOTIONAL: (400, "InvalidQuantity"),
    Why.FUNDS: (406, "InsufficientFunds"),
    Why.STATE: (400, "MarketNotOpen"),
    Why.CLIENT_ID: (400, "DuplicateOrder"),
    Why.DUPLICATE: (400, "DuplicateOrder"),
    Why.NO_LIQUIDITY: (400, "InsufficientLiquidity"),
    Why.UNKNOWN_ORDER: (404, "OrderNotFound"),
}


class Fail(Exception):
    """An error as Gemini's REST says it; over the websocket the reason is what counts."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.message = status, reason, message or reason

    def body(self) -> dict[str, str]:
        """What is written."""
        return {"result": "error", "reason": self.reason, "message": self.message}


class Words:
    """What is written of each instrument, worked out once."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.instruments = [listing.instrument for listing in house.listings]
        self.symbols = [one.symbol.lower() for one in self.instruments]
        self.price = [plain(one.tick) for one in self.instruments]
        self.qty = [plain(one.lot) for one in self.instruments]
        self.numbers = {name: k for k, name in enumerate(self.symbols)}
        self.skew_ns = 0

    def instrument(self, name: object) -> int:
        """The number of a symbol, in either case.  Raises Fail."""
        found = self.numbers.get(name.lower()) if isinstance(name, str) else None
        if found is None:
            raise Fail(400, "InvalidSymbol", f"Supplied value '{str(name)[:40]}' is not a valid symbol")
        return found

    def details(self, k: int) -> dict[str, Any]:
        """One symbol: tick_size is the step of quantities, quote_increment that of prices."""
        one = self.instruments[k]
        return {
            "symbol": one.symbol.upper(), "base_currency": one.base, "quote_currency": one.quote,
            "tick_size": float(one.lot), "quote_increment": float(one.tick),
            "min_order_size": str(one.qty_min or one.lot), "status": STATES[self.house.states[k]],
            "wrap_enabled": False, "product_type": "spot", "contract_type": "vanilla",
        }  # fmt: skip

    def reason(self, order: Order) -> str:
        """Why an order ended without being filled, "" while it lives."""
        if order.status is Status.CANCELLED:
            return "Requested"
        if order.status is not Status.EXPIRED:
            return ""
        if order.end_reason == e.END_SELF_TRADE:
            return "SelfCrossPrevented"
        if order.end_reason == e.END_WOULD_CROSS:
            return "MakerOrCancelWouldTake"
        return "FillOrKillWouldNotFill" if order.flags & e.FOK else "ImmediateOrCancelWouldPost"

    def order(self, order: Order, trades: bool = False) -> dict[str, Any]:
        """An order as REST shows it."""
        k = order.instrument
        one, when_ns = self.instruments[k], order.created_ns + self.skew_ns
        average = one.money(order.value_units) / (order.filled_lots * one.lot) if order.filled_lots else 0
        shown: dict[str, Any] = {
            "order_id": str(order.id), "id": str(order.id), "symbol": self.symbols[k], "exchange": "gemini",
            "avg_execution_price": f"{average:.{-int(one.tick.as_tuple().exponent)}f}",
            "side": side(order.side), "type": "exchange limit", "timestamp": str(when_ns // 1_000_000_000),
            "timestampms": when_ns // MS, "is_live": order.live,
            "is_cancelled": order.status in (Status.CANCELLED, Status.EXPIRED), "is_hidden": False,
            "was_forced": False, "executed_amount": self.qty[k](order.filled_lots),
            "options": order.extra.get("options", []), "price": self.price[k](order.price_ticks),
            "original_amount": self.qty[k](order.qty_lots), "remaining_amount": self.qty[k](order.rest_lots),
        }  # fmt: skip
        if order.client_id:
            shown["client_order_id"] = order.client_id
        if self.reason(order):
            shown["reason"] = self.reason(order)
        if trades:
            shown["trades"] = [self.fill(fill) for fill in order.fills]
        return shown

    def fill(self, fill: Fill) -> dict[str, Any]:
        """An execution of /v1/mytrades."""
        k, when_ns = fill.order.instrument, fill.ts_ns + self.skew_ns
        shown = {
            "price": self.price[k](fill.price_ticks), "amount": self.qty[k](fill.qty_lots),
            "timestamp": when_ns // 1_000_000_000, "timestampms": when_ns // MS,
            "type": "Buy" if fill.side == BUY else "Sell", "aggressor": not fill.maker,
            "fee_currency": fill.fee_currency, "fee_amount": self.amount(fill.fee_currency, fill.fee_units),
            "tid": fill.id, "order_id": str(fill.order.id), "exchange": "gemini", "is_auction_fill": False,
            "is_clearing_fill": False, "symbol": self.instruments[k].symbol.upper(),
        }  # fmt: skip
        return shown | ({"client_order_id": fill.order.client_id} if fill.order.client_id else {})

    def amount(self, currency: str, units: int) -> str:
        """Units of a currency."""
        return money(self.house.amount(currency, units), self.house.digits[currency])

    def balance(self, account: Account, currency: str) -> tuple[str, str]:
        """(total, available) of a currency."""
        balance = account.balances[currency]
        return self.amount(currency, balance.total_units), self.amount(currency, balance.free_units)


def side(sign: int) -> str:
    """buy or sell."""
    return "buy" if sign == BUY else "sell"

"""Binance's words for what the house knows: numbers, symbols, orders, executions and errors.

Shared by its REST, its websocket API and its streams.  Facts: Binance's spot API documentation of 2026-07.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.house import House
from pinnacle.dialects.orders import Fill, Order, Status
from pinnacle.event import BUY
from pinnacle.instrument import Instrument
from pinnacle.kernels.exchange_state import STP_DECREMENT
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE

DIGITS = 8  # of every price and quantity it writes
ZERO = "0.00000000"
STP_MODES = {
    "NONE": STP_NONE,
    "EXPIRE_TAKER": STP_EXPIRE_TAKER,
    "EXPIRE_MAKER": STP_EXPIRE_MAKER,
    "EXPIRE_BOTH": STP_EXPIRE_BOTH,
    "DECREMENT": STP_DECREMENT,
}
STP_DEFAULT = "EXPIRE_MAKER"
STATES = {
    e.STATE_OPEN: "TRADING",
    e.STATE_HALTED: "HALT",
    e.STATE_CANCEL_ONLY: "CANCEL_ONLY",
    e.STATE_POST_ONLY: "TRADING",
}
MS = 1_000_000


class Fail(Exception):
    """An error as Binance says it: HTTP status, code and message; data: what some answers add."""

    def __init__(self, code: int, message: str, status: int = 400, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.data = code, message, status, data

    def body(self) -> dict[str, Any]:
        """What is written."""
        return {"code": self.code, "msg": self.message} | ({"data": self.data} if self.data else {})


def eight(step: Decimal) -> Callable[[int], str]:
    """A function from whole steps to text with eight decimals (more if the step has more), exact."""
    digits = max(DIGITS, -int(step.normalize().as_tuple().exponent))
    scaled, one = int(step.scaleb(digits)), 10**digits

    def text(count: int) -> str:
        whole, rest = divmod(count * scaled, one)
        return f"{whole}.{rest:0{digits}d}"

    return text


def amount(value: Decimal) -> str:
    """A decimal amount with eight decimals, cut below them."""
    scaled = int(value.scaleb(DIGITS))
    sign, scaled = ("-" if scaled < 0 else ""), abs(scaled)
    return f"{sign}{scaled // 10**DIGITS}.{scaled % 10**DIGITS:0{DIGITS}d}"


def steps(value: Decimal, step: Decimal) -> int | None:
    """How many steps a decimal is, None if it is no whole number of them."""
    found = Fraction(value) / Fraction(step)
    return found.numerator if found.denominator == 1 else None


class Words:
    """What is written of each instrument, worked out once."""

    def __init__(self, house: House) -> None:
        self.house = house
        instruments = [listing.instrument for listing in house.listings]
        self.symbols = [one.symbol for one in instruments]
        self.price = [eight(one.tick) for one in instruments]
        self.qty = [eight(one.lot) for one in instruments]

    def instrument(self, index: int) -> Instrument:
        return self.house.listings[index].instrument

    def quote(self, index: int, value_units: int) -> str:
        """Money units of an instrument as text."""
        return amount(self.instrument(index).money(value_units))

    def status(self, order: Order) -> str:
        """An order's status."""
        if order.status is Status.EXPIRED:
            return "EXPIRED_IN_MATCH" if order.end_reason == e.END_SELF_TRADE else "EXPIRED"
        return {
            Status.OPEN: "NEW", Status.PARTIAL: "PARTIALLY_FILLED", Status.FILLED: "FILLED",
            Status.CANCELLED: "CANCELED", Status.REJECTED: "REJECTED",
        }[order.status]  # fmt: skip

    def order(self, order: Order) -> dict[str, Any]:
        """What every answer about an order has."""
        k = order.instrument
        return {
            "symbol": self.symbols[k],
            "orderId": order.id,
            "orderListId": -1,
            "clientOrderId": order.client_id,
            "price": self.price[k](order.price_ticks),
            "origQty": self.qty[k](order.qty_lots),
            "executedQty": self.qty[k](order.filled_lots),
            "origQuoteOrderQty": order.extra.get("quote_qty", ZERO),
            "cummulativeQuoteQty": self.quote(k, order.value_units),
            "status": self.status(order),
            "timeInForce": order.extra.get("tif", "GTC"),
            "type": order.extra.get("type", "LIMIT"),
            "side": side(order.side),
            "selfTradePreventionMode": order.extra.get("stp_text", STP_DEFAULT),
        }

    def queried(self, order: Order, skew_ns: int) -> dict[str, Any]:
        """An order as a query shows it."""
        created = (order.created_ns + skew_ns) // MS
        return self.order(order) | {
            "stopPrice": ZERO,
            "icebergQty": ZERO,
            "time": created,
            "updateTime": (order.updated_ns + skew_ns) // MS,
            "isWorking": True,
            "workingTime": created if order.engine_id or order.filled_lots else -1,
        }

    def fill(self, fill: Fill) -> dict[str, Any]:
        """An execution in the answer to an order."""
        k = fill.order.instrument
        return {
            "price": self.price[k](fill.price_ticks),
            "qty": self.qty[k](fill.qty_lots),
            "commission": self.fee(fill),
            "commissionAsset": fill.fee_currency,
            "tradeId": fill.id,
        }

    def fee(self, fill: Fill) -> str:
        """What an execution cost."""
        return amount(self.house.amount(fill.fee_currency, fill.fee_units))

    def my_trade(self, fill: Fill, skew_ns: int) -> dict[str, Any]:
        """An execution as a query shows it."""
        k = fill.order.instrument
        return {
            "symbol": self.symbols[k],
            "id": fill.id,
            "orderId": fill.order.id,
            "orderListId": -1,
            "price": self.price[k](fill.price_ticks),
            "qty": self.qty[k](fill.qty_lots),
            "quoteQty": self.quote(k, fill.value_units),
            "commission": self.fee(fill),
            "commissionAsset": fill.fee_currency,
            "time": (fill.ts_ns + skew_ns) // MS,
            "isBuyer": fill.side == BUY,
            "isMaker": fill.maker,
            "isBestMatch": True,
        }

    def exchange_symbol(self, index: int) -> dict[str, Any]:
        """An instrument as exchangeInfo shows it."""
        listing = self.house.listings[index]
        one = listing.instrument
        step = self.qty[index](1)
        least = self.qty[index](listing.qty_min_lots)
        most = self.qty[index](listing.qty_max_lots)
        return {
            "symbol": one.symbol,
            "status": STATES[self.house.states[index]],
            "baseAsset": one.base,
            "baseAssetPrecision": 8,
            "quoteAsset": one.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": self.price[index](listing.price_min_ticks),
                    "maxPrice": self.price[index](listing.price_max_ticks),
                    "tickSize": self.price[index](1),
                },
                {"filterType": "LOT_SIZE", "minQty": least, "maxQty": most, "stepSize": step},
                {"filterType": "MARKET_LOT_SIZE", "minQty": least, "maxQty": most, "stepSize": step},
                {
                    "filterType": "NOTIONAL",
                    "minNotional": amount(one.notional_min),
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.00000000",
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": listing.orders_max},
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": STP_DEFAULT,
            "allowedSelfTradePreventionModes": list(STP_MODES),
        }


def side(sign: int) -> str:
    """BUY or SELL."""
    return "BUY" if sign == BUY else "SELL"

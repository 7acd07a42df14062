"""Bitstamp's words for what the house knows: markets, orders and executions, times, errors."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.house import House
from pinnacle.dialects.orders import Fill, Order, Refused, Status, Why
from pinnacle.event import BUY
from pinnacle.instrument import Instrument
from pinnacle.venues.iso import iso_of_ns

SECOND_NS = 1_000_000_000


class Fail(Exception):
    """What Bitstamp answers instead: a code, a reason, and the HTTP status it comes with."""

    def __init__(self, code: str, reason: object, status: int = 400) -> None:
        super().__init__(code, reason)
        self.code, self.reason, self.status = code, reason, status

    def body(self) -> dict[str, Any]:
        """As it is written."""
        return {"status": "error", "reason": self.reason, "code": self.code, "response_code": self.code}


_SAID = {
    Why.PRICE: ("400.021", {"__all__": ["Price is out of range."]}),
    Why.QTY: ("400.020", {"__all__": ["Minimum order size is not met."]}),
    Why.NOTIONAL: ("400.046", {"__all__": ["Minimum order size is not met."]}),
    Why.NO_LIQUIDITY: ("400.009", {"__all__": ["There is not enough liquidity to fill that order."]}),
    Why.ORDERS_MAX: ("400.037", {"__all__": ["Too many open orders."]}),
    Why.FUNDS: ("400.009", {"__all__": ["You need more to open that order. Check your account balance for details."]}),
    Why.CLIENT_ID: ("400.019", {"__all__": ["Order with this client order id exists already."]}),
    Why.DUPLICATE: ("400.019", {"__all__": ["Order with this client order id exists already."]}),
    Why.UNKNOWN_ORDER: ("404.002", "Order not found."),
    Why.STATE: ("400.003", {"__all__": ["Trading on this market is disabled."]}),
}


def said(refused: Refused) -> Fail:
    """A refusal of the house as Bitstamp says it."""
    code, reason = _SAID.get(refused.why, ("400.007", {"__all__": ["Invalid parameter."]}))
    return Fail(code, reason, 404 if code.startswith("404") else 400)


def datetime_text(ts_ns: int) -> str:
    """A time as REST writes it."""
    return iso_of_ns(ts_ns, 6)[:-1].replace("T", " ")


def plain(value: Decimal) -> str:
    """A decimal without zeros at its end."""
    return f"{value.normalize():f}"


class Words:
    """The house's instruments and orders in Bitstamp's words."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.symbols = [listing.instrument.symbol for listing in house.listings]
        self._places = {symbol: k for k, symbol in enumerate(self.symbols)}

    def place(self, symbol: str) -> int | None:
        return self._places.get(symbol)

    def instrument(self, k: int) -> Instrument:
        return self.house.listings[k].instrument

    def name(self, k: int) -> str:
        """BTC/USD."""
        one = self.instrument(k)
        return f"{one.base}/{one.quote}"

    def price(self, k: int, ticks: int) -> str:
        return self.instrument(k).price_text(ticks)

    def amount(self, k: int, lots: int) -> str:
        return self.instrument(k).qty_text(lots)

    def money(self, currency: str, units: int) -> str:
        """Units of a currency."""
        return plain(self.house.amount(currency, units))

    def level_rows(self, k: int, levels: list[tuple[int, int]]) -> list[list[str]]:
        """[price, amount] each."""
        return [[self.price(k, ticks), self.amount(k, lots)] for ticks, lots in levels]

    def status(self, order: Order) -> str:
        """Of order_status."""
        return {
            Status.OPEN: "Open", Status.PARTIAL: "Open", Status.FILLED: "Finished", Status.CANCELLED: "Canceled",
            Status.EXPIRED: "Canceled", Status.REJECTED: "Canceled",
        }[order.status]  # fmt: skip

    def placed(self, order: Order) -> dict[str, Any]:
        """The answer to a new order."""
        k = order.instrument
        row = {
            "id": str(order.id), "market": self.name(k), "datetime": datetime_text(order.created_ns),
            "type": "0" if order.side == BUY else "1", "price": self.order_price(order),
            "amount": self.amount(k, order.qty_lots),
        }  # fmt: skip
        if order.client_id:
            row["client_order_id"] = order.client_id
        return row

    def order_price(self, order: Order) -> str:
        """Its limit, or what a market order was executed at on average."""
        if not order.flags & e.MARKET:
            return self.price(order.instrument, order.price_ticks)
        if not order.filled_lots:
            return "0"
        one = self.instrument(order.instrument)
        average = one.money(order.value_units) / (order.filled_lots * one.lot * one.contract)
        return f"{average.quantize(one.tick):f}"

    def open_order(self, order: Order) -> dict[str, Any]:
        """A row of open_orders."""
        k = order.instrument
        row = self.placed(order) | {
            "amount": self.amount(k, order.open_lots), "amount_at_create": self.amount(k, order.qty_lots),
            "limit_price": None, "currency_pair": self.name(k),
        }  # fmt: skip
        row.setdefault("client_order_id", None)
        return row

    def transaction(self, fill: Fill) -> dict[str, Any]:
        """A row of an order's transactions."""
        one = self.instrument(fill.order.instrument)
        base, quote = one.base.lower(), one.quote.lower()
        return {
            "tid": fill.id, "price": self.price(fill.order.instrument, fill.price_ticks),
            base: self.amount(fill.order.instrument, fill.qty_lots), quote: plain(one.money(fill.value_units)),
            "fee": self.money(fill.fee_currency, fill.fee_units), "datetime": datetime_text(fill.ts_ns), "type": 2,
        }  # fmt: skip

    def user_transaction(self, fill: Fill) -> dict[str, Any]:
        """A row of user_transactions: one key per currency, signed, and the pair's price."""
        k = fill.order.instrument
        one = self.instrument(k)
        base, quote = one.base.lower(), one.quote.lower()
        amount, value = self.amount(k, fill.qty_lots * fill.side), plain(one.money(fill.value_units) * -fill.side)
        return {
            "id": fill.id, "datetime": datetime_text(fill.ts_ns), "type": "2", "order_id": fill.order.id,
            "fee": self.money(fill.fee_currency, fill.fee_units), base: amount, quote: value,
            f"{base}_{quote}": self.price(k, fill.price_ticks),
        }  # fmt: skip


def needed(params: Mapping[str, str], name: str) -> str:
    """A parameter that must be there.  Raises Fail."""
    value = params.get(name, "")
    if not value:
        code = {"amount": "400.005", "price": "400.006"}.get(name, "400.004")
        raise Fail(code, {name: ["This field is required."]})
    return value


def steps(params: Mapping[str, str], name: str, step: Decimal) -> int:
    """A positive number of whole steps.  Raises Fail."""
    text = needed(params, name)
    try:
        value = Decimal(text)
        if not value.is_finite() or len(text) > 40 or value <= 0 or abs(value.adjusted()) > 20:
            raise ValueError
    except (ArithmeticError, ValueError):
        raise Fail("400.007", {name: ["Enter a number."]}) from None
    if value % step:
        places = max(0, -int(step.as_tuple().exponent))
        raise Fail("400.007", {name: [f"Ensure that there are no more than {places} decimal places."]})
    return int(value / step)


def flag(params: Mapping[str, str], name: str) -> bool:
    """A boolean of a form."""
    return params.get(name, "").lower() in ("true", "1")

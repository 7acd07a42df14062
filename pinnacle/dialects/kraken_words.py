"""Kraken's words for what the house knows: names of assets and pairs, ids as text, times, orders, errors.

Websocket v2 says BTC/USD and numbers bare; REST says XXBTZUSD and numbers as text.  Both are written from here.
"""

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
ASSETS = {
    "BTC": "XXBT",
    "ETH": "XETH",
    "LTC": "XLTC",
    "XRP": "XXRP",
    "DOGE": "XXDG",
    "USD": "ZUSD",
    "EUR": "ZEUR",
    "GBP": "ZGBP",
}
_V1 = {"BTC": "XBT", "DOGE": "XDG"}
SYSTEM = {
    e.STATE_OPEN: "online", e.STATE_HALTED: "maintenance", e.STATE_CANCEL_ONLY: "cancel_only",
    e.STATE_POST_ONLY: "post_only",
}  # fmt: skip
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Fail(Exception):
    """What Kraken answers instead: its error texts."""

    def __init__(self, *errors: str) -> None:
        super().__init__(*errors)
        self.errors = list(errors)


_SAID = {
    Why.PRICE: "EOrder:Invalid price",
    Why.QTY: "EOrder:Order minimum not met",
    Why.NOTIONAL: "EOrder:Cost minimum not met",
    Why.NO_LIQUIDITY: "EOrder:Insufficient funds",
    Why.ORDERS_MAX: "EOrder:Orders limit exceeded",
    Why.FUNDS: "EOrder:Insufficient funds",
    Why.CLIENT_ID: "EOrder:Duplicate client order id",
    Why.DUPLICATE: "EOrder:Duplicate client order id",
    Why.UNKNOWN_ORDER: "EOrder:Unknown order",
    Why.WOULD_CROSS: "EOrder:Post only order",
}
# Why the exchange ended an order by itself, as `executions` says it.
ENDED = {
    e.END_WOULD_CROSS: "Post only order",
    e.END_SELF_TRADE: "Self trade prevented",
    e.END_UNFILLED: "Order could not be filled at once",
    e.END_NO_LIQUIDITY: "No liquidity",
}


def said(refused: Refused, state: int) -> Fail:
    """A refusal of the house as Kraken says it; state: STATE_* of the instrument."""
    if refused.why is Why.STATE:
        if state == e.STATE_HALTED:
            return Fail("EService:Unavailable")
        return Fail(f"EService:Market in {SYSTEM[state]} mode")
    return Fail(_SAID.get(refused.why, "EGeneral:Invalid arguments"))


def order_text(order_id: int, letter: str = "O") -> str:
    """An id as Kraken writes ids: `OABCDE-12345-FGHIJ`, and back by order_id_of."""
    digits = ""
    while order_id:
        order_id, digit = divmod(order_id, 36)
        digits = _DIGITS[digit] + digits
    digits = digits.rjust(15, "0")
    return f"{letter}{digits[:5]}-{digits[5:10]}-{digits[10:]}"


def order_id_of(text: str, letter: str = "O") -> int:
    """The id of such a text, 0 if it is none."""
    digits = text[1:].replace("-", "")
    if len(text) != 18 or text[0] != letter or len(digits) != 15 or any(one not in _DIGITS for one in digits):
        return 0
    return int(digits, 36)


def seconds(ts_ns: int) -> float:
    """A time as REST writes it."""
    return ts_ns / SECOND_NS


def time(ts_ns: int) -> str:
    """A time as the websocket writes it."""
    return iso_of_ns(ts_ns, 6)


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


class Words:
    """The house's instruments and orders in Kraken's words."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.symbols = [listing.instrument.symbol for listing in house.listings]
        self.keys: list[str] = []
        self.altnames: list[str] = []
        self.wsnames: list[str] = []
        self._places: dict[str, int] = {}
        for k, listing in enumerate(house.listings):
            one = listing.instrument
            base, quote = _V1.get(one.base, one.base), _V1.get(one.quote, one.quote)
            both = one.base in ASSETS and one.quote in ASSETS
            self.altnames.append(base + quote)
            self.wsnames.append(f"{base}/{quote}")
            self.keys.append(ASSETS[one.base] + ASSETS[one.quote] if both else base + quote)
            for name in (one.symbol, self.keys[k], self.altnames[k], self.wsnames[k]):
                self._places[name] = k

    def place(self, name: str) -> int | None:
        """The instrument that REST or the websocket names so."""
        return self._places.get(name)

    def instrument(self, k: int) -> Instrument:
        return self.house.listings[k].instrument

    def price(self, k: int, ticks: int) -> str:
        return self.instrument(k).price_text(ticks)

    def qty(self, k: int, lots: int) -> str:
        return self.instrument(k).qty_text(lots)

    def decimals(self, k: int) -> tuple[int, int]:
        """(of prices, of quantities), as written."""
        one = self.instrument(k)
        return tuple(max(0, -int(step.as_tuple().exponent)) for step in (one.tick, one.lot))  # type: ignore[return-value]

    def cost(self, k: int, value_units: int) -> str:
        """Money units of an instrument as text."""
        return _plain(self.instrument(k).money(value_units))

    def amount(self, currency: str, units: int) -> str:
        """Units of a currency as text."""
        return _plain(self.house.amount(currency, units))

    def average(self, order: Order) -> str:
        """Average price of what was executed, 0 if nothing was."""
        if not order.filled_lots:
            return "0"
        one = self.instrument(order.instrument)
        value = one.money(order.value_units) / (order.filled_lots * one.lot * one.contract)
        return _plain(value.quantize(one.tick / 100))

    def fee(self, order: Order) -> str:
        """Fees so far; Kraken's are in quote currency."""
        quote = self.instrument(order.instrument).quote
        return self.amount(quote, order.fees.get(quote, 0))

    # --- REST ---------------------------------------------------------------------------------------------------------

    def description(self, order: Order) -> dict[str, str]:
        """descr of an order."""
        k, kind = order.instrument, "market" if order.flags & e.MARKET else "limit"
        side = "buy" if order.side == BUY else "sell"
        price = self.price(k, order.price_ticks) if kind == "limit" else "0"
        at = f"limit {price}" if kind == "limit" else "market"
        return {
            "pair": self.altnames[k], "type": side, "ordertype": kind, "price": price, "price2": "0",
            "leverage": "none", "order": f"{side} {self.qty(k, order.qty_lots)} {self.altnames[k]} @ {at}", "close": "",
        }  # fmt: skip

    def rest_order(self, order: Order) -> dict[str, Any]:
        """A row of OpenOrders, ClosedOrders or QueryOrders."""
        k = order.instrument
        status = {
            Status.OPEN: "open", Status.PARTIAL: "open", Status.FILLED: "closed", Status.CANCELLED: "canceled",
            Status.EXPIRED: "expired" if order.extra.get("expired") else "canceled", Status.REJECTED: "canceled",
        }[order.status]  # fmt: skip
        row: dict[str, Any] = {
            "refid": None, "userref": order.extra.get("userref", 0), "cl_ord_id": order.client_id or None,
            "status": status, "opentm": seconds(order.created_ns), "starttm": 0, "expiretm": 0,
            "descr": self.description(order), "vol": self.qty(k, order.qty_lots),
            "vol_exec": self.qty(k, order.filled_lots), "cost": self.cost(k, order.value_units),
            "fee": self.fee(order), "price": self.average(order), "stopprice": "0.00000", "limitprice": "0.00000",
            "misc": "", "oflags": "fciq,post" if order.flags & e.POST_ONLY else "fciq",
        }  # fmt: skip
        if not order.live:
            row["closetm"] = seconds(order.updated_ns)
            row["reason"] = self.reason(order)
        if order.fills:
            row["trades"] = [self.trade_text(fill) for fill in order.fills]
        return row

    def reason(self, order: Order) -> str | None:
        """Why an order ended, None if it was filled."""
        if order.status is Status.FILLED:
            return None
        if order.extra.get("expired"):
            return "Order expired"
        return ENDED.get(order.end_reason, "User requested")

    def trade_text(self, fill: Fill) -> str:
        """The id of an execution."""
        return order_text(fill.id * 1000 + fill.order.instrument * 2 + (fill.side == BUY), "T")

    def rest_trade(self, fill: Fill) -> dict[str, Any]:
        """A row of TradesHistory."""
        order, k = fill.order, fill.order.instrument
        return {
            "ordertxid": order_text(order.id), "postxid": "TKH2SE-M7IF5-CFI7LT", "pair": self.keys[k],
            "time": seconds(fill.ts_ns), "type": "buy" if fill.side == BUY else "sell",
            "ordertype": "market" if order.flags & e.MARKET else "limit", "price": self.price(k, fill.price_ticks),
            "cost": self.cost(k, fill.value_units), "fee": self.amount(fill.fee_currency, fill.fee_units),
            "vol": self.qty(k, fill.qty_lots), "margin": "0.00000", "misc": "", "trade_id": fill.id,
            "maker": fill.maker, "ledgers": [],
        }  # fmt: skip


def decimal(params: Mapping[str, Any], name: str) -> Decimal | None:
    """A number that a client sent as text or bare, None if it is absent.  Raises Fail."""
    value = params.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or len(str(value)) > 40:
            raise ValueError
        number = Decimal(value)
        if not number.is_finite() or number < 0 or abs(number.adjusted()) > 20:
            raise ValueError
    except (ArithmeticError, ValueError):
        raise Fail(f"EGeneral:Invalid arguments:{name}") from None
    return number


def text(params: Mapping[str, Any], name: str, default: str = "") -> str:
    """A text that a client sent.  Raises Fail."""
    value = params.get(name, default)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > 100:
        raise Fail(f"EGeneral:Invalid arguments:{name}")
    return value


def flag(params: Mapping[str, Any], name: str) -> bool:
    """A boolean that a client sent, as JSON or as text."""
    value = params.get(name, False)
    return value is True or value == "true"

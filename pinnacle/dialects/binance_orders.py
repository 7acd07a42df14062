"""Binance's signed methods: orders, cancels, amendments, queries and accounts, the same for REST and websocket API.

Each takes the account, the parameters as text and the venue's time, and returns what is written as the result, or
raises Fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from pinnacle import event as e
from pinnacle.dialects.binance_words import MS, STP_DEFAULT, STP_MODES, ZERO, Fail, Words, amount, steps
from pinnacle.dialects.house import House
from pinnacle.dialects.orders import Account, Order, Refused, Why
from pinnacle.dialects.windows import Window
from pinnacle.event import BUY, SELL

Params = dict[str, str]
SECOND_NS = 1_000_000_000
ORDERS_10S, ORDERS_DAY = 100, 200_000

_NUMBER = re.compile(r"([0-9]{1,20})(\.[0-9]{1,20})?")
_CLIENT_ID = re.compile(r"[a-zA-Z0-9\-_.:/]{1,36}")
_SAID = {
    Why.PRICE: (-1013, "Filter failure: PRICE_FILTER"),
    Why.QTY: (-1013, "Filter failure: LOT_SIZE"),
    Why.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    Why.ORDERS_MAX: (-1013, "Filter failure: MAX_NUM_ORDERS"),
    Why.FUNDS: (-2010, "Account has insufficient balance for requested action."),
    Why.CLIENT_ID: (-2010, "Duplicate order sent."),
    Why.DUPLICATE: (-2010, "Duplicate order sent."),
    Why.WOULD_CROSS: (-2010, "Order would immediately match and take."),
    Why.STATE: (-2010, "Market is closed."),
    Why.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
}


def needed(params: Params, name: str) -> str:
    """A parameter that must be there."""
    value = params.get(name, "")
    if not value:
        raise Fail(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def decimal(params: Params, name: str) -> Decimal:
    """A positive decimal of at most eight decimals."""
    text = needed(params, name)
    if not _NUMBER.fullmatch(text):
        legal = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
        raise Fail(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")
    value = Decimal(text)
    if -int(value.normalize().as_tuple().exponent) > 8:
        raise Fail(-1111, f"Parameter '{name}' has too much precision.")
    return value


def whole(params: Params, name: str, default: int | None = None, most: int = (1 << 63) - 1) -> int:
    """A whole number, or the default where it is absent."""
    text = params.get(name, "")
    if text == "" and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Fail(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return min(int(text), most)


class Limit(NamedTuple):
    """So many new orders of an account in a window; header: of answers, that says how many there were."""

    interval: str
    number: int
    seconds: int
    most: int
    header: str


class Orders:
    """The methods by the house's means.  limits, refusals: of the market."""

    limits: ClassVar[tuple[Limit, ...]] = (
        Limit("SECOND", 10, 10, ORDERS_10S, "X-MBX-ORDER-COUNT-10S"),
        Limit("DAY", 1, 86_400, ORDERS_DAY, "X-MBX-ORDER-COUNT-1D"),
    )
    refusals: ClassVar[dict[Why, tuple[int, str]]] = _SAID

    def __init__(self, house: House, words: Words) -> None:
        self.house, self.words = house, words
        self.now_ns = 0
        self._named = 0
        self._windows = [(limit, Window(limit.seconds * SECOND_NS, limit.most)) for limit in self.limits]

    @property
    def skew_ns(self) -> int:
        """The venue's clock less the house's."""
        return self.now_ns - self.house.now_ns

    def instrument(self, params: Params) -> int:
        """The instrument that `symbol` names."""
        found = self.house.instrument_of(needed(params, "symbol"))
        if found is None:
            raise Fail(-1121, "Invalid symbol.")
        return found

    def optional_instrument(self, params: Params) -> int | None:
        return self.instrument(params) if params.get("symbol") else None

    # --- new orders -----------------------------------------------------------------------------------------------
    def order_count(self, account: Account) -> dict[str, str]:
        """Headers that say how many orders count against the limits."""
        return {limit.header: str(window.used(account.index, self.now_ns)) for limit, window in self._windows}

    def filled(self, account: int) -> None:
        """An order of the account was filled for the first time: it counts no longer."""
        for _, window in self._windows:
            window.use(account, -1, self.now_ns)

    def _count(self, account: Account) -> None:
        for limit, window in self._windows:
            if not window.use(account.index, 1, self.now_ns):
                every = f"{limit.number} {limit.interval}"
                raise Fail(-1015, f"Too many new orders; current limit is {limit.most} orders per {every}.", 429)

    def _client_id(self, params: Params, name: str = "newClientOrderId") -> str:
        text = params.get(name, "")
        if not text:
            self._named += 1
            return f"pinnacle{self._named:014d}"
        if not _CLIENT_ID.fullmatch(text):
            legal = r"^[a-zA-Z0-9-_.:/]{1,36}$"
            raise Fail(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")
        return text

    def _read(self, params: Params) -> dict[str, Any]:
        """What House.place wants, out of an order's parameters."""
        k = self.instrument(params)
        one = self.words.instrument(k)
        sides = {"BUY": BUY, "SELL": SELL}
        if needed(params, "side") not in sides:
            raise Fail(-1117, "Invalid side.")
        kind, said = needed(params, "type"), params.get("timeInForce", "")
        if kind not in ("LIMIT", "LIMIT_MAKER", "MARKET"):
            raise Fail(-1116, "Invalid orderType.")
        flags = {"LIMIT": 0, "LIMIT_MAKER": e.POST_ONLY, "MARKET": e.MARKET}[kind]
        if kind == "LIMIT":
            times = {"GTC": 0, "IOC": e.IOC, "FOK": e.FOK}
            if needed(params, "timeInForce") not in times:
                raise Fail(-1115, "Invalid timeInForce.")
            flags |= times[said]
        elif said:
            raise Fail(-1106, "Parameter 'timeInForce' sent when not required.")
        stp = params.get("selfTradePreventionMode", STP_DEFAULT)
        if stp not in STP_MODES:
            raise Fail(
                -1102, "Mandatory parameter 'selfTradePreventionMode' was not sent, was empty/null, or malformed."
            )
        price, quote_text = 0, ZERO
        if kind == "MARKET":
            if params.get("price"):
                raise Fail(-1106, "Parameter 'price' sent when not required.")
        else:
            found = steps(decimal(params, "price"), one.tick)
            if found is None or found <= 0:
                raise Fail(-1013, "Filter failure: PRICE_FILTER")
            price = found
        if kind == "MARKET" and params.get("quoteOrderQty") and not params.get("quantity"):
            wanted = decimal(params, "quoteOrderQty")
            lots: int | None = self.house.lots_for(k, sides[params["side"]], self.house.units(one.quote, wanted))
            quote_text = amount(wanted)
            if not lots:
                raise Fail(-1013, "Filter failure: NOTIONAL")
        else:
            lots = steps(decimal(params, "quantity"), one.lot)
            if lots is None or lots <= 0:
                raise Fail(-1013, "Filter failure: LOT_SIZE")
        return {
            "instrument": k, "side": sides[params["side"]], "qty_lots": lots, "price_ticks": price, "flags": flags,
            "client_id": self._client_id(params), "stp": STP_MODES[stp],
            "type": kind, "tif": said or "GTC", "stp_text": stp, "quote_qty": quote_text,
        }  # fmt: skip

    def place(self, account: Account, params: Params) -> dict[str, Any]:
        """POST /api/v3/order."""
        shape = params.get("newOrderRespType") or ("ACK" if params.get("type") == "LIMIT_MAKER" else "FULL")
        if shape not in ("ACK", "RESULT", "FULL"):
            raise Fail(-1102, "Mandatory parameter 'newOrderRespType' was not sent, was empty/null, or malformed.")
        read = self._read(params)
        self._count(account)
        return self.placed(self._place(account, read), shape)

    def _place(self, account: Account, read: dict[str, Any]) -> Order:
        try:
            order = self.house.place(account.index, **read)
        except Refused as refused:
            raise self.fail(refused) from None
        if order.end_reason == e.END_WOULD_CROSS:
            raise Fail(*self.refusals[Why.WOULD_CROSS])
        return order

    def test(self, account: Account, params: Params) -> dict[str, Any]:
        """POST /api/v3/order/test: read as an order is, and nothing more."""
        self._read(params)
        return {}

    def placed(self, order: Order, shape: str) -> dict[str, Any]:
        """The answer to a new order."""
        whole_order = self.words.order(order)
        when = (order.created_ns + self.skew_ns) // MS
        if shape == "ACK":
            names = ("symbol", "orderId", "orderListId", "clientOrderId")
            return {name: whole_order[name] for name in names} | {"transactTime": when}
        answer = whole_order | {"transactTime": when, "workingTime": when}
        if shape == "FULL":
            answer["fills"] = [self.words.fill(fill) for fill in order.fills]
        return answer

    # --- cancels and amendments -----------------------------------------------------------------------------------
    def find(self, account: Account, params: Params, by_id: str, by_name: str) -> Order | None:
        """The order that an id or a client id names, on the symbol given."""
        k = self.instrument(params)
        if params.get(by_id):
            found = self.house.order(account.index, whole(params, by_id))
            if found is not None and params.get(by_name) and found.client_id != params[by_name]:
                raise Fail(-2039, "The provided order id and client order id do not refer to the same order.")
        elif params.get(by_name):
            found = self.house.order_by_client_id(account.index, params[by_name])
        else:
            raise Fail(-1102, f"Param '{by_name}' or '{by_id}' must be sent, but both were empty/null!")
        return found if found is not None and found.instrument == k else None

    def cancel(self, account: Account, params: Params) -> dict[str, Any]:
        """DELETE /api/v3/order."""
        order = self.find(account, params, "orderId", "origClientOrderId")
        return self._cancel(order, params, "newClientOrderId")

    def _cancel(self, order: Order | None, params: Params, name: str) -> dict[str, Any]:
        only = params.get("cancelRestrictions", "")
        if order is None or not order.live:
            raise Fail(*self.refusals[Why.UNKNOWN_ORDER])
        if (
            only
            and {"ONLY_NEW": order.filled_lots == 0, "ONLY_PARTIALLY_FILLED": order.filled_lots > 0}.get(only) is False
        ):
            raise Fail(-2011, "Order was not canceled due to cancel restrictions.")
        order.extra["cancel_id"] = self._client_id(params, name)
        try:
            self.house.cancel(order)
        except Refused as refused:
            raise self.fail(refused) from None
        return self.cancelled(order)

    def cancelled(self, order: Order) -> dict[str, Any]:
        """The answer to a cancel."""
        answer = self.words.order(order)
        answer["origClientOrderId"] = order.client_id
        answer["clientOrderId"] = order.extra.get("cancel_id", order.client_id)
        answer["transactTime"] = (order.updated_ns + self.skew_ns) // MS
        return answer

    def cancel_open(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """DELETE /api/v3/openOrders: of one symbol."""
        k = self.instrument(params)
        for order in self.house.open_orders(account.index, k):
            order.extra["cancel_id"] = self._client_id({})
        try:
            gone = self.house.cancel_all(account.index, k)
        except Refused as refused:
            raise self.fail(refused) from None
        if not gone:
            raise Fail(*self.refusals[Why.UNKNOWN_ORDER])
        return [self.cancelled(order) for order in gone]

    def cancel_replace(self, account: Account, params: Params) -> dict[str, Any]:
        """POST /api/v3/order/cancelReplace: a cancel, then an order, each with its own outcome."""
        mode = needed(params, "cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise Fail(-1102, "Mandatory parameter 'cancelReplaceMode' was not sent, was empty/null, or malformed.")
        shape = params.get("newOrderRespType") or ("ACK" if params.get("type") == "LIMIT_MAKER" else "FULL")
        self._read(dict(params) | {"newClientOrderId": params.get("newClientOrderId", "x")})
        order = self.find(account, params, "cancelOrderId", "cancelOrigClientOrderId")
        done: dict[str, Any] = {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
        try:
            cancelled: dict[str, Any] = self._cancel(order, params, "cancelNewClientOrderId")
            done = {"cancelResult": "SUCCESS", "cancelResponse": cancelled} | done
        except Fail as fail:
            done = {"cancelResult": "FAILURE", "cancelResponse": fail.body()} | done
        if done["cancelResult"] == "SUCCESS" or mode == "ALLOW_FAILURE":
            try:
                read = self._read(params)
                self._count(account)
                placed = self.placed(self._place(account, read), shape)
                done |= {"newOrderResult": "SUCCESS", "newOrderResponse": placed}
            except Fail as fail:
                done |= {"newOrderResult": "FAILURE", "newOrderResponse": fail.body()}
        outcomes = done["cancelResult"], done["newOrderResult"]
        if outcomes == ("SUCCESS", "SUCCESS"):
            return done
        if "SUCCESS" in outcomes:
            raise Fail(-2021, "Order cancel-replace partially failed.", 409, done)
        raise Fail(-2022, "Order cancel-replace failed.", 400, done)

    def amend(self, account: Account, params: Params) -> dict[str, Any]:
        """PUT /api/v3/order/amend/keepPriority: a smaller quantity at the same place of the queue."""
        order = self.find(account, params, "orderId", "origClientOrderId")
        if order is None or not order.live:
            raise Fail(-2038, "Order amend (quantity reduction) is not allowed: Unknown order sent.")
        one = self.words.instrument(order.instrument)
        lots = steps(decimal(params, "newQty"), one.lot)
        if lots is None:
            raise Fail(-1013, "Filter failure: LOT_SIZE")
        if lots == order.qty_lots:
            raise Fail(-2038, "The requested action would change no state; rejecting.")
        if lots > order.qty_lots or lots <= order.filled_lots:
            raise Fail(-2038, "The new quantity must be less than the order's and more than was executed.")
        before, new_id = order.client_id, self._client_id(params)
        try:
            if new_id != before:
                self.house.rename(order, new_id)
            order.extra["orig_id"] = before
            self.house.replace(order, order.price_ticks, lots - order.filled_lots)
        except Refused as refused:
            if order.client_id != before:
                self.house.rename(order, before)
            raise self.fail(refused) from None
        amended = self.words.order(order)
        executed = amended.pop("executedQty")
        amended.pop("cummulativeQuoteQty")
        return {
            "transactTime": (order.updated_ns + self.skew_ns) // MS,
            "executionId": order.id,
            "amendedOrder": amended | {"qty": amended.pop("origQty"), "executedQty": executed, "preventedQty": ZERO,
                                       "origClientOrderId": before},
        }  # fmt: skip

    # --- queries --------------------------------------------------------------------------------------------------
    def query(self, account: Account, params: Params) -> dict[str, Any]:
        """GET /api/v3/order."""
        order = self.find(account, params, "orderId", "origClientOrderId")
        if order is None:
            raise Fail(-2013, "Order does not exist.")
        return self.words.queried(order, self.skew_ns)

    def open_orders(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """GET /api/v3/openOrders: of one symbol or all."""
        found = self.house.open_orders(account.index, self.optional_instrument(params))
        return [self.words.queried(order, self.skew_ns) for order in found]

    def all_orders(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """GET /api/v3/allOrders: of one symbol, oldest first."""
        k, first = self.instrument(params), whole(params, "orderId", 0)
        found = self.house.ended_orders(account.index, k) + self.house.open_orders(account.index, k)
        found = sorted((o for o in found if o.id >= first), key=lambda order: order.id)
        limit = whole(params, "limit", 500, 1000)
        chosen = found[:limit] if first else found[-limit:]
        return [self.words.queried(order, self.skew_ns) for order in chosen]

    def my_trades(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """GET /api/v3/myTrades: of one symbol, oldest first."""
        found = self.house.fills(account.index, self.instrument(params))
        first, limit = whole(params, "fromId", 0), whole(params, "limit", 500, 1000)
        since_ns = whole(params, "startTime", 0) * MS - self.skew_ns
        last_ns = whole(params, "endTime", 1 << 42) * MS - self.skew_ns
        order_id = whole(params, "orderId", 0)
        found = [
            f for f in found
            if f.id >= first and since_ns <= f.ts_ns <= last_ns and order_id in (0, f.order.id)
        ]  # fmt: skip
        chosen = found[:limit] if first or params.get("startTime") else found[-limit:]
        return [self.words.my_trade(fill, self.skew_ns) for fill in chosen]

    def account(self, account: Account, params: Params) -> dict[str, Any]:
        """GET /api/v3/account."""
        maker, taker = self.house.rates(account.index, 0)
        rates = {"maker": amount(Decimal(maker).scaleb(-9)), "taker": amount(Decimal(taker).scaleb(-9))}
        return {
            "makerCommission": maker // 100_000,
            "takerCommission": taker // 100_000,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": rates | {"buyer": ZERO, "seller": ZERO},
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.now_ns // MS,
            "accountType": "SPOT",
            "balances": self.balances(account, params.get("omitZeroBalances") == "true"),
            "permissions": ["SPOT"],
            "uid": account.index,
        }

    def balances(self, account: Account, omit_zero: bool = False) -> list[dict[str, str]]:
        """Every currency's free and locked amount."""
        return [
            {
                "asset": currency,
                "free": amount(self.house.amount(currency, balance.free_units)),
                "locked": amount(self.house.amount(currency, balance.held_units)),
            }
            for currency, balance in account.balances.items()
            if balance.total_units or not omit_zero
        ]

    def commission(self, account: Account, params: Params) -> dict[str, Any]:
        """GET /api/v3/account/commission."""
        k = self.instrument(params)
        maker, taker = self.house.rates(account.index, k)
        rates = {"maker": amount(Decimal(maker).scaleb(-9)), "taker": amount(Decimal(taker).scaleb(-9))}
        nothing = {"maker": ZERO, "taker": ZERO, "buyer": ZERO, "seller": ZERO}
        return {
            "symbol": self.words.symbols[k],
            "standardCommission": rates | {"buyer": ZERO, "seller": ZERO},
            "specialCommission": nothing,
            "taxCommission": nothing,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": ZERO,
            },
        }

    def order_limits(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """GET /api/v3/rateLimit/order."""
        return [
            {"rateLimitType": "ORDERS", "interval": limit.interval, "intervalNum": limit.number, "limit": limit.most,
             "count": window.used(account.index, self.now_ns)}
            for limit, window in self._windows
        ]  # fmt: skip

    def fail(self, refused: Refused) -> Fail:
        """The house's refusal in the market's words."""
        return Fail(*self.refusals.get(refused.why, (-2010, "Order was rejected.")))


Method = Callable[[Account, Params], Any]

"""Binance USD-M's signed methods: orders, cancels, amendments, the countdown, positions and wallets, by REST.

One-way mode trades; an account may be put into hedge mode, in which every order is refused.  Stricter than the venue: a
reduce-only order beyond the position is refused, where the venue cuts it.  An amended order keeps its place in the
queue where only its quantity fell, where the venue puts it at the end.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from pinnacle import event as e
from pinnacle.dialects.binance_orders import Limit, Orders, Params, decimal, needed, whole
from pinnacle.dialects.binance_usdm_words import UsdmWords
from pinnacle.dialects.binance_words import MS, STP_MODES, Fail, amount, steps
from pinnacle.dialects.house import House
from pinnacle.dialects.orders import Account, Order, Refused, Why
from pinnacle.event import BUY, SELL

_TIMES = {"GTC": 0, "IOC": e.IOC, "FOK": e.FOK, "GTX": e.POST_ONLY}
_COUNTDOWN_MS_MAX = 86_400_000
_UNKNOWN = (-2011, "Unknown order sent.")
_REDUCE = (-2022, "ReduceOnly Order is rejected.")


class UsdmOrders(Orders):
    """The methods by the house's means.  hedged: accounts in hedge mode."""

    limits: ClassVar[tuple[Limit, ...]] = (
        Limit("SECOND", 10, 10, 300, "X-MBX-ORDER-COUNT-10S"),
        Limit("MINUTE", 1, 60, 1_200, "X-MBX-ORDER-COUNT-1M"),
    )
    refusals: ClassVar[dict[Why, tuple[int, str]]] = {
        Why.PRICE: (-4016, "Limit price can't be higher or lower than the symbol's bounds."),
        Why.QTY: (-4005, "Quantity greater than max quantity."),
        Why.NOTIONAL: (-4164, "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
        Why.ORDERS_MAX: (-2025, "Reach max open order limit."),
        Why.FUNDS: (-2019, "Margin is insufficient."),
        Why.CLIENT_ID: (-4116, "ClientOrderId is duplicated."),
        Why.DUPLICATE: (-4116, "ClientOrderId is duplicated."),
        Why.WOULD_CROSS: (
            -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected."
        ),
        Why.STATE: (-4141, "Symbol is closed."),
        Why.UNKNOWN_ORDER: _UNKNOWN,
    }  # fmt: skip

    def __init__(self, house: House, words: UsdmWords) -> None:
        super().__init__(house, words)
        self.usdm = words
        self.hedged: set[int] = set()
        # (account, instrument) -> the house's time at which everything is cancelled
        self._countdowns: dict[tuple[int, int], int] = {}
        self._reducing: dict[int, Order] = {}

    def tick(self) -> None:
        """Time passes: countdowns, and orders that have nothing left to reduce."""
        for (account, k), due_ns in list(self._countdowns.items()):
            if self.house.now_ns >= due_ns:
                del self._countdowns[account, k]
                if self.house.states[k] != e.STATE_HALTED:
                    self.house.cancel_all(account, k)
        for order in list(self._reducing.values()):
            if not order.live:
                del self._reducing[order.id]
            elif order.open_lots > self._reducible(order.account, order.instrument, order.side):
                order.extra["expires"] = True
                if self.house.states[order.instrument] != e.STATE_HALTED:
                    self.house.cancel(order)

    def _reducible(self, account: int, k: int, side: int) -> int:
        """Lots of the position that an order on this side would take off."""
        return max(0, -side * self.house.position(account, k).lots)

    # --- new orders -----------------------------------------------------------------------------------------------
    def _read(self, params: Params) -> dict[str, Any]:
        k = self.instrument(params)
        one, listing = self.words.instrument(k), self.house.listings[k]
        sides = {"BUY": BUY, "SELL": SELL}
        if needed(params, "side") not in sides:
            raise Fail(-1117, "Invalid side.")
        kind, life = needed(params, "type"), params.get("timeInForce", "")
        if kind not in ("LIMIT", "MARKET"):
            # Stop orders have had a service of their own since 2025-12.
            raise Fail(
                -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
            )
        reduces = params.get("reduceOnly", "false").lower()
        if reduces not in ("true", "false"):
            raise Fail(-4062, "Invalid or improper reduceOnly value.")
        if params.get("positionSide", "BOTH") != "BOTH":
            raise Fail(-4061, "Order's position side does not match user's setting.")
        stp = params.get("selfTradePreventionMode", "NONE")
        if stp not in STP_MODES or stp == "DECREMENT":
            raise Fail(-5039, "Invalid self trade prevention mode")
        price, flags = 0, e.REDUCE if reduces == "true" else 0
        if kind == "MARKET":
            flags |= e.MARKET
        else:
            if needed(params, "timeInForce") not in _TIMES:
                raise Fail(-1115, "Invalid timeInForce.")
            flags |= _TIMES[life]
            price = self._price(params, one.tick)
        lots = steps(decimal(params, "quantity"), one.lot)
        if lots is None:
            raise Fail(-4023, "Quantity not increased by step size.")
        if lots < listing.qty_min_lots:
            raise Fail(-4003 if lots <= 0 else -4004, "Quantity less than or equal to zero or min quantity.")
        return {
            "instrument": k, "side": sides[params["side"]], "qty_lots": lots, "price_ticks": price, "flags": flags,
            "client_id": self._client_id(params), "stp": STP_MODES[stp], "type": kind, "tif": life or "GTC",
            "stp_text": stp,
        }  # fmt: skip

    @staticmethod
    def _price(params: Params, tick: Decimal) -> int:
        found = steps(decimal(params, "price"), tick)
        if found is None:
            raise Fail(-4014, "Price not increased by tick size.")
        if found <= 0:
            raise Fail(-4001, "Price less than 0.")
        return found

    def place(self, account: Account, params: Params) -> dict[str, Any]:
        """POST /fapi/v1/order."""
        if params.get("newOrderRespType", "ACK") not in ("ACK", "RESULT"):
            raise Fail(-1136, "Invalid newOrderRespType.")
        if account.index in self.hedged:
            raise Fail(-4061, "Order's position side does not match user's setting.")
        read = self._read(params)
        self._count(account)
        k, side, reduces = read["instrument"], read["side"], bool(read["flags"] & e.REDUCE)
        if reduces:
            others = sum(
                one.open_lots for one in self._reducing.values()
                if one.live and (one.account, one.instrument, one.side) == (account.index, k, side)
            )  # fmt: skip
            if read["qty_lots"] > self._reducible(account.index, k, side) - others:
                raise Fail(*_REDUCE)
        order = self._place(account, read)
        if reduces and order.live:
            self._reducing[order.id] = order
        return self.words.order(order) | {"updateTime": (order.updated_ns + self.skew_ns) // MS}

    # --- cancels and amendments -----------------------------------------------------------------------------------
    def cancel(self, account: Account, params: Params) -> dict[str, Any]:
        """DELETE /fapi/v1/order."""
        order = self.find(account, params, "orderId", "origClientOrderId")
        if order is None or not order.live:
            raise Fail(*_UNKNOWN)
        try:
            self.house.cancel(order)
        except Refused as refused:
            raise self.fail(refused) from None
        return self.words.order(order) | {"updateTime": (order.updated_ns + self.skew_ns) // MS}

    def cancel_all(self, account: Account, params: Params) -> dict[str, Any]:
        """DELETE /fapi/v1/allOpenOrders: of one symbol, and good if there are none."""
        try:
            self.house.cancel_all(account.index, self.instrument(params))
        except Refused as refused:
            raise self.fail(refused) from None
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def modify(self, account: Account, params: Params) -> dict[str, Any]:
        """PUT /fapi/v1/order: price and whole quantity, both said."""
        order = self.find(account, params, "orderId", "origClientOrderId")
        one = self.words.instrument(self.instrument(params))
        price = self._price(params, one.tick)
        lots = steps(decimal(params, "quantity"), one.lot)
        if lots is None:
            raise Fail(-4023, "Quantity not increased by step size.")
        if order is None or not order.live:
            raise Fail(-2013, "Order does not exist.")
        if needed(params, "side") != ("BUY" if order.side == BUY else "SELL"):
            raise Fail(-1117, "Invalid side.")
        if (price, lots) == (order.price_ticks, order.qty_lots):
            raise Fail(-5027, "No need to modify the order.")
        self._count(account)
        try:
            if lots <= order.filled_lots:
                self.house.cancel(order)
            else:
                self.house.replace(order, price, lots - order.filled_lots, order.flags & e.POST_ONLY)
        except Refused as refused:
            if refused.why is not Why.WOULD_CROSS:
                raise self.fail(refused) from None
            order.extra["expires"] = True
            self.house.cancel(order)
        order.extra["stp_text"] = "NONE"
        return self.words.order(order) | {"updateTime": (order.updated_ns + self.skew_ns) // MS}

    def count_down(self, account: Account, params: Params) -> dict[str, str]:
        """POST /fapi/v1/countdownCancelAll: everything of a symbol is cancelled then, unless it is said again; 0 ends
        it."""
        k, after_ms = self.instrument(params), whole(params, "countdownTime")
        if after_ms > _COUNTDOWN_MS_MAX:
            raise Fail(-1130, "Data sent for parameter 'countdownTime' is not valid.")
        self._countdowns.pop((account.index, k), None)
        if after_ms:
            self._countdowns[account.index, k] = self.house.now_ns + after_ms * MS
        return {"symbol": self.words.symbols[k], "countdownTime": str(after_ms)}

    # --- the account ----------------------------------------------------------------------------------------------
    def open_order(self, account: Account, params: Params) -> dict[str, Any]:
        """GET /fapi/v1/openOrder: one that is open."""
        order = self.find(account, params, "orderId", "origClientOrderId")
        if order is None or not order.live:
            raise Fail(-2013, "Order does not exist.")
        return self.words.queried(order, self.skew_ns)

    def mode(self, account: Account, params: Params) -> dict[str, bool]:
        """GET /fapi/v1/positionSide/dual."""
        return {"dualSidePosition": account.index in self.hedged}

    def set_mode(self, account: Account, params: Params) -> dict[str, Any]:
        """POST /fapi/v1/positionSide/dual."""
        wanted = needed(params, "dualSidePosition").lower()
        if wanted not in ("true", "false"):
            raise Fail(-1130, "Data sent for parameter 'dualSidePosition' is not valid.")
        if (wanted == "true") == (account.index in self.hedged):
            raise Fail(-4059, "No need to change position side.")
        if self.house.open_orders(account.index):
            raise Fail(-4067, "Position side cannot be changed if there exists open orders.")
        if any(self.house.position(account.index, k).lots for k in range(len(self.house.listings))):
            raise Fail(-4068, "Position side cannot be changed if there exists position.")
        self.hedged ^= {account.index}
        return {"code": 200, "msg": "success"}

    def balance(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """GET /fapi/v3/balance."""
        return [self.usdm.balance(account, currency) for currency in self.usdm.quotes()]

    def positions(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """GET /fapi/v3/positionRisk: symbols with a position or open orders."""
        k = self.optional_instrument(params)
        return [
            self.usdm.position(account, one)
            for one in range(len(self.house.listings))
            if k in (None, one) and self._used(account, one)
        ]

    def _used(self, account: Account, k: int) -> bool:
        return bool(self.house.position(account.index, k).lots or self.house.open_orders(account.index, k))

    def account(self, account: Account, params: Params) -> dict[str, Any]:
        """GET /fapi/v3/account."""
        assets = [self.usdm.asset(account, currency) for currency in self.usdm.quotes()]
        totals = {
            f"total{name[0].upper()}{name[1:]}": amount(sum((Decimal(one[name]) for one in assets), Decimal(0)))
            for name in ("initialMargin", "maintMargin", "walletBalance", "unrealizedProfit", "marginBalance",
                         "positionInitialMargin", "openOrderInitialMargin", "crossWalletBalance", "crossUnPnl")
        }  # fmt: skip
        free = amount(sum((Decimal(one["availableBalance"]) for one in assets), Decimal(0)))
        return totals | {
            "feeTier": account.tier, "canTrade": True, "canDeposit": False, "canWithdraw": False, "updateTime": 0,
            "multiAssetsMargin": False, "availableBalance": free, "maxWithdrawAmount": free, "assets": assets,
            "positions": [
                one | {"isolated": False, "unrealizedProfit": one["unRealizedProfit"]}
                for one in self.positions(account, {})
            ],
        }  # fmt: skip

    def brackets(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """GET /fapi/v1/leverageBracket: one for all sizes, with nothing to maintain."""
        k = self.optional_instrument(params)
        one = {"bracket": 1, "initialLeverage": self.house.leverage, "notionalCap": 1_000_000_000, "notionalFloor": 0,
               "maintMarginRatio": 0, "cum": 0}  # fmt: skip
        return [{"symbol": s, "brackets": [one]} for n, s in enumerate(self.words.symbols) if k in (None, n)]

    def commission(self, account: Account, params: Params) -> dict[str, Any]:
        """GET /fapi/v1/commissionRate."""
        k = self.instrument(params)
        maker, taker = (amount(Decimal(rate).scaleb(-9)) for rate in self.house.rates(account.index, k))
        return {"symbol": self.words.symbols[k], "makerCommissionRate": maker, "takerCommissionRate": taker}

"""Kraken's private REST calls: their parameters in the websocket's words, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.house import House
from pinnacle.dialects.kraken_orders import BATCH_CANCEL_MAX, Orders
from pinnacle.dialects.kraken_words import ASSETS, Fail, Words, flag, order_id_of, order_text
from pinnacle.dialects.orders import Account, Fill, Order
from pinnacle.venues.iso import iso_of_ns

Params = Mapping[str, Any]
Call = Callable[[Account, dict[str, Any]], Any]
PAGE = 50


class Private:
    """token: makes a websocket's token."""

    def __init__(self, house: House, words: Words, orders: Orders, token: Callable[[Account], dict[str, Any]]) -> None:
        self.house, self.words, self.orders = house, words, orders
        # name -> (function, points of the REST counter)
        self._calls: dict[str, tuple[Call, int]] = {
            "Balance": (self._balance, 1), "BalanceEx": (self._balance_ex, 1), "TradeVolume": (self._volume, 1),
            "OpenOrders": (self._open_orders, 1), "ClosedOrders": (self._closed_orders, 1),
            "QueryOrders": (self._query_orders, 1), "TradesHistory": (self._trades, 2),
            "QueryTrades": (self._query_trades, 1), "GetWebSocketsToken": (lambda account, _: token(account), 1),
            "AddOrder": (self._add, 0), "AddOrderBatch": (self._add_batch, 0), "AmendOrder": (self._amend, 0),
            "EditOrder": (self._edit, 0), "CancelOrder": (self._cancel, 0),
            "CancelOrderBatch": (self._cancel_batch, 0), "CancelAll": (self._cancel_all, 0),
            "CancelAllOrdersAfter": (self._after, 0),
        }  # fmt: skip

    def find(self, name: str) -> tuple[Call, int]:
        """A call and its points.  Raises Fail."""
        if name not in self._calls:
            raise Fail("EGeneral:Unknown method")
        return self._calls[name]

    # --- the account --------------------------------------------------------------------------------------------------

    def _balance(self, account: Account, params: Params) -> dict[str, str]:
        return {
            ASSETS.get(asset, asset): self.words.amount(asset, balance.total_units)
            for asset, balance in account.balances.items()
        }

    def _balance_ex(self, account: Account, params: Params) -> dict[str, Any]:
        return {
            ASSETS.get(asset, asset): {
                "balance": self.words.amount(asset, balance.total_units),
                "hold_trade": self.words.amount(asset, balance.held_units),
            }
            for asset, balance in account.balances.items()
        }

    def _volume(self, account: Account, params: Params) -> dict[str, Any]:
        rows: dict[str, Any] = {"currency": "ZUSD", "volume": "0.0000", "fees": {}, "fees_maker": {}}
        for k, key in enumerate(self.words.keys):
            for name, rate in zip(("fees_maker", "fees"), self.house.rates(account.index, k)):
                rows[name][key] = {"fee": f"{rate / 1e7:.4f}", "minfee": "0.0000", "maxfee": "1.0000"}
        return rows

    def _rows(self, orders: list[Order]) -> dict[str, Any]:
        return {order_text(order.id): self.words.rest_order(order) for order in orders}

    def _wanted(self, params: Params, orders: list[Order]) -> list[Order]:
        for name, of in (
            ("userref", lambda one: str(one.extra.get("userref", 0))),
            ("cl_ord_id", lambda one: one.client_id),
        ):
            if params.get(name):
                orders = [one for one in orders if of(one) == str(params[name])]
        return orders

    def _open_orders(self, account: Account, params: Params) -> dict[str, Any]:
        return {"open": self._rows(self._wanted(params, self.house.open_orders(account.index)))}

    def _closed_orders(self, account: Account, params: Params) -> dict[str, Any]:
        orders = self._wanted(params, self.house.ended_orders(account.index))[::-1]
        return {"closed": self._rows(self._page(orders, params)), "count": len(orders)}

    def _page(self, rows: list[Any], params: Params) -> list[Any]:
        text = str(params.get("ofs", "0"))
        first = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
        return rows[first : first + PAGE]

    def _query_orders(self, account: Account, params: Params) -> dict[str, Any]:
        names = [name for name in str(params.get("txid", "")).split(",") if name][:PAGE]
        found = [self.house.order(account.index, order_id_of(name)) for name in names]
        if params.get("cl_ord_id"):
            found = [self.house.order_by_client_id(account.index, str(params["cl_ord_id"]))]
        if not found or None in found:
            raise Fail("EOrder:Unknown order" if found else "EGeneral:Invalid arguments:txid")
        return self._rows([one for one in found if one is not None])

    def _trades(self, account: Account, params: Params) -> dict[str, Any]:
        fills: list[Fill] = self.house.fills(account.index)[::-1]
        return {
            "trades": {self.words.trade_text(one): self.words.rest_trade(one) for one in self._page(fills, params)},
            "count": len(fills),
        }

    def _query_trades(self, account: Account, params: Params) -> dict[str, Any]:
        names = [name for name in str(params.get("txid", "")).split(",") if name][:PAGE]
        by_name = {self.words.trade_text(one): one for one in self.house.fills(account.index)}
        if not names or any(name not in by_name for name in names):
            raise Fail("EQuery:Unknown trade" if names else "EGeneral:Invalid arguments:txid")
        return {name: self.words.rest_trade(by_name[name]) for name in names}

    # --- orders -------------------------------------------------------------------------------------------------------

    def _words(self, params: Params) -> dict[str, Any]:
        """An order's REST parameters in the websocket's words."""
        flags = str(params.get("oflags", "")).split(",")
        reference = str(params.get("userref", ""))
        read: dict[str, Any] = {
            "order_type": params.get("ordertype", ""), "side": params.get("type", ""),
            "order_qty": params.get("volume"),
            "limit_price": params.get("price"), "time_in_force": params.get("timeinforce", "gtc"),
            "post_only": "post" in flags, "cl_ord_id": params.get("cl_ord_id", ""),
            "stp_type": params.get("stptype", "cancel-newest"), "deadline": params.get("deadline"),
            "validate": flag(params, "validate"),
        }  # fmt: skip
        if reference.lstrip("-").isdigit() and len(reference) < 12:
            read["order_userref"] = int(reference)
        if "viqc" in flags:
            read |= {"cash_order_qty": params.get("volume"), "order_qty": None}
        if params.get("expiretm"):
            read["expire_time"] = self._expiry(str(params["expiretm"]))
        return read

    def _expiry(self, text: str) -> str:
        """Seconds since 1970, or from now with a plus before them."""
        digits = text.removeprefix("+")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
            raise Fail("EGeneral:Invalid arguments:expiretm")
        begin_ns = self.orders.now_ns if text.startswith("+") else 0
        return iso_of_ns(begin_ns + int(digits) * 1_000_000_000)

    def _pair(self, params: Params) -> str:
        name = params.get("pair", "")
        if not isinstance(name, str) or self.words.place(name) is None:
            raise Fail("EQuery:Unknown asset pair")
        return name

    def _add(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        read, name = self._words(params), self._pair(params)
        order = self.orders.add(account, read, name)
        if order is None:
            return {"descr": {"order": f"{read['side']} {read['order_qty']} {name}"}}
        if order.end_reason == e.END_WOULD_CROSS:
            raise Fail("EOrder:Post only order")
        return {"descr": self.words.description(order), "txid": [order_text(order.id)]}

    def _add_batch(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        orders = params.get("orders")
        if not isinstance(orders, list) or not all(isinstance(one, dict) for one in orders):
            raise Fail("EGeneral:Invalid arguments:orders")
        done = self.orders.add_many(account, params, [self._words(one) for one in orders], self._pair(params))
        return {
            "orders": [
                {"error": one.errors[0]}
                if isinstance(one, Fail)
                else {"descr": self.words.description(one), "txid": order_text(one.id)}
                for one in done
            ]
        }

    def _amend(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        read = params | {"order_id": params.get("txid")}
        return {"amend_id": self.orders.amend(account, read)[1]}

    def _edit(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        given = {name: params[name] for name in ("volume", "price", "oflags", "userref") if params.get(name)}
        words = {"volume": "order_qty", "price": "limit_price"}
        read: dict[str, Any] = {words[name]: value for name, value in given.items() if name in words}
        if "oflags" in given:
            read["post_only"] = "post" in str(given["oflags"]).split(",")
        old, new = self.orders.edit(account, read | {"order_id": params.get("txid")}, self._pair(params))
        return {
            "status": "ok", "txid": order_text(new.id), "originaltxid": order_text(old.id), "orders_cancelled": 1,
            "descr": self.words.description(new), "volume": self.words.qty(new.instrument, new.qty_lots),
            "price": self.words.price(new.instrument, new.price_ticks),
        }  # fmt: skip

    def _cancel(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        name = str(params.get("txid", ""))
        if name and name.lstrip("-").isdigit():
            found = self.orders.by_userref(account, int(name))
            for order in found:
                self.orders.cancel(account, order_text(order.id), None)
            return {"count": len(found)}
        self.orders.cancel(account, name, params.get("cl_ord_id"))
        return {"count": 1}

    def _cancel_batch(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        names = params.get("orders")
        if not isinstance(names, list) or not 0 < len(names) <= BATCH_CANCEL_MAX:
            raise Fail("EGeneral:Invalid arguments:orders")
        count = 0
        for name in names:
            try:
                self.orders.cancel(account, name.get("txid") if isinstance(name, dict) else name, None)
                count += 1
            except Fail:
                continue
        return {"count": count}

    def _cancel_all(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        return {"count": self.orders.cancel_all(account.index)}

    def _after(self, account: Account, params: dict[str, Any]) -> dict[str, Any]:
        when_ns = self.orders.cancel_all_after(account, params)
        skew_ns = self.orders.now_ns - self.house.now_ns
        return {
            "currentTime": iso_of_ns(self.orders.now_ns, 0),
            "triggerTime": iso_of_ns(when_ns + skew_ns, 0) if when_ns else "0",
        }

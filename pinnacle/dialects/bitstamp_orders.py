"""Bitstamp's private REST calls: orders, cancels, queries, balances, fees, and the websocket's token."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.bitstamp_words import Fail, Words, flag, needed, said, steps
from pinnacle.dialects.house import House
from pinnacle.dialects.orders import Account, Order, Refused
from pinnacle.event import BUY, SELL
from pinnacle.kernels.venue import STP_NONE

Params = dict[str, str]
Call = Callable[[Account, Params, str], Any]
CLIENT_ID_CHARACTERS_MAX = 72
PAGE, PAGE_MAX = 100, 1000


class Orders:
    """token: makes a websocket's token.  events: those of an account's orders in a market, for account_order_data."""

    def __init__(
        self,
        house: House,
        words: Words,
        token: Callable[[Account], dict[str, Any]],
        events: Callable[[Account, int], list[dict[str, Any]]],
    ) -> None:
        self.house, self.words, self._token, self._events = house, words, token, events
        # first part of the path below /api/v2/ -> function of (account, form, rest of the path)
        self._calls: dict[str, Call] = {
            "buy": lambda account, params, rest: self._new(account, params, rest, BUY),
            "sell": lambda account, params, rest: self._new(account, params, rest, SELL),
            "cancel_order": self._cancel, "cancel_all_orders": self._cancel_all, "replace_order": self._replace,
            "order_status": self._status, "open_orders": self._open_orders, "account_balances": self._balances,
            "fees": self._fees, "user_transactions": self._transactions, "trade_history": self._trade_history,
            "websockets_token": lambda account, params, rest: self._token(account),
            "account_order_data": self._order_data,
        }  # fmt: skip

    def find(self, name: str) -> Call | None:
        """A private call."""
        return self._calls.get(name)

    def market(self, symbol: str) -> int:
        """The instrument of a symbol.  Raises Fail."""
        k = self.words.place(symbol)
        if k is None:
            raise Fail("404.003", "Invalid market.", 404)
        return k

    # --- new orders ---------------------------------------------------------------------------------------------------

    def _new(self, account: Account, params: Params, rest: str, side: int) -> dict[str, Any]:
        kind, _, symbol = rest.rpartition("/")
        if kind not in ("", "market", "instant"):
            raise Fail("404", "Not found.", 404)
        return self.words.placed(self._place(account, params, self.market(symbol), side, kind))

    def _place(self, account: Account, params: Params, k: int, side: int, kind: str) -> Order:
        one = self.words.instrument(k)
        client_id = params.get("client_order_id", "")
        if len(client_id) > CLIENT_ID_CHARACTERS_MAX:
            raise Fail("400.007", {"client_order_id": ["Ensure this value has at most 72 characters."]})
        price, flags = 0, e.MARKET
        if kind == "instant" and side == BUY:
            spent = Decimal(steps(params, "amount", Decimal("0.01"))) * Decimal("0.01")
            lots = self.house.lots_for(k, side, self.house.units(one.quote, spent))
            if lots <= 0:
                raise Fail("400.020", {"__all__": ["Minimum order size is not met."]})
        else:
            lots = steps(params, "amount", one.lot)
        if not kind:
            price = steps(params, "price", one.tick)
            wanted = [
                value
                for name, value in (("moc_order", e.POST_ONLY), ("ioc_order", e.IOC), ("fok_order", e.FOK))
                if flag(params, name)
            ]
            if len(wanted) > 1 or flag(params, "gtd_order") or flag(params, "daily_order"):
                raise Fail("400.007", {"__all__": ["Invalid combination of order parameters."]})
            flags = wanted[0] if wanted else 0
        try:
            # Orders of one account do trade with each other at this venue.
            return self.house.place(account.index, k, side, lots, price, flags, client_id, STP_NONE)
        except Refused as refused:
            raise said(refused) from None

    def _replace(self, account: Account, params: Params, rest: str) -> dict[str, Any]:
        """A cancel and a new order with another id."""
        order = self._named(account, params, "id", "orig_client_order_id")
        if not order.live:
            raise Fail("404.002", "Order not found.", 404)
        k = order.instrument
        given = {"price": self.words.price(k, order.price_ticks), "amount": self.words.amount(k, order.open_lots)}
        if order.flags & e.POST_ONLY:
            given["moc_order"] = "True"
        form = given | {name: params[name] for name in ("price", "amount", "client_order_id") if params.get(name)}
        one = self.words.instrument(k)
        for name, step in (("price", one.tick), ("amount", one.lot)):
            steps(form, name, step)
        self._end(order)
        return self.words.placed(self._place(account, form, k, order.side, ""))

    # --- cancels and queries ------------------------------------------------------------------------------------------

    def _named(self, account: Account, params: Params, by_id: str, by_name: str) -> Order:
        found = None
        text = params.get(by_id, "")
        if text:
            if not (text.isascii() and text.isdigit() and len(text) < 20):
                raise Fail("400.007", {by_id: ["Enter a whole number."]})
            found = self.house.order(account.index, int(text))
        elif params.get(by_name):
            found = self.house.order_by_client_id(account.index, params[by_name])
        else:
            raise Fail("400.004", {"id": ["This field is required."]})
        if found is None:
            raise Fail("404.002", "Order not found.", 404)
        return found

    def _end(self, order: Order) -> None:
        try:
            self.house.cancel(order)
        except Refused as refused:
            raise said(refused) from None

    def _cancel(self, account: Account, params: Params, rest: str) -> dict[str, Any]:
        order = self._named(account, params, "id", "client_order_id")
        if not order.live:
            raise Fail("404.002", "Order not found.", 404)
        self._end(order)
        k = order.instrument
        # Numbers here, where other answers have text.
        return {
            "id": order.id, "amount": float(self.words.amount(k, order.rest_lots)),
            "price": float(self.words.order_price(order)), "type": 0 if order.side == BUY else 1,
            "market": self.words.name(k), "status": "Canceled",
        }  # fmt: skip

    def _cancel_all(self, account: Account, params: Params, rest: str) -> dict[str, Any]:
        k = self.market(rest) if rest else None
        try:
            gone = self.house.cancel_all(account.index, k)
        except Refused as refused:
            raise said(refused) from None
        rows = [
            {"id": one.id, "amount": float(self.words.amount(one.instrument, one.rest_lots)),
             "price": float(self.words.order_price(one)), "type": 0 if one.side == BUY else 1,
             "currency_pair": self.words.name(one.instrument)}
            for one in gone
        ]  # fmt: skip
        return {"canceled": rows, "success": True}

    def _status(self, account: Account, params: Params, rest: str) -> dict[str, Any]:
        order = self._named(account, params, "id", "client_order_id")
        row = self.words.placed(order) | {
            "status": self.words.status(order),
            "amount_remaining": self.words.amount(order.instrument, order.open_lots),
            "transactions": [],
        }  # fmt: skip
        if not flag(params, "omit_transactions"):
            row["transactions"] = [self.words.transaction(fill) for fill in order.fills]
        return row

    def _open_orders(self, account: Account, params: Params, rest: str) -> list[dict[str, Any]]:
        k = None if rest in ("", "all") else self.market(rest)
        return [self.words.open_order(order) for order in self.house.open_orders(account.index, k)]

    def _order_data(self, account: Account, params: Params, rest: str) -> dict[str, Any]:
        """account_order_data: the events of one's orders after since_id, the tool of recovery."""
        k, since = self.market(needed(params, "market")), params.get("since_id", "")
        rows = self._events(account, k)
        ids = [row["event_id"] for row in rows]
        if since:
            if since not in ids:
                raise Fail("400.007", {"since_id": ["Unknown event."]})
            rows = rows[ids.index(since) + 1 :]
        return {"market": self.words.symbols[k], "data": rows[:PAGE_MAX]}

    # --- the account --------------------------------------------------------------------------------------------------

    def _balances(self, account: Account, params: Params, rest: str) -> Any:
        rows = [
            {"currency": currency.lower(), "total": self.words.money(currency, balance.total_units),
             "available": self.words.money(currency, balance.free_units),
             "reserved": self.words.money(currency, balance.held_units)}
            for currency, balance in account.balances.items()
        ]  # fmt: skip
        if not rest:
            return rows
        found = next((row for row in rows if row["currency"] == rest), None)
        if found is None:
            raise Fail("404", "Currency not found.", 404)
        return found

    def _fees(self, account: Account, params: Params, rest: str) -> Any:
        kind, _, symbol = rest.partition("/")
        if kind != "trading":
            raise Fail("404", "Not found.", 404)
        rows = []
        for k in [self.market(symbol)] if symbol else range(len(self.words.symbols)):
            maker, taker = (f"{rate / 1e7:.3f}" for rate in self.house.rates(account.index, k))
            rows.append({"market": self.words.symbols[k], "currency_pair": self.words.symbols[k],
                         "fees": {"maker": maker, "taker": taker}})  # fmt: skip
        return rows[0] if symbol else rows

    def _fills(self, account: Account, params: Params, rest: str) -> list[Any]:
        fills = self.house.fills(account.index, self.market(rest) if rest else None)
        if params.get("sort", "desc") != "asc":
            fills = fills[::-1]
        whole = {}
        for name, default, most in (("offset", 0, 200_000), ("limit", PAGE, PAGE_MAX)):
            text = params.get(name, str(default))
            if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= most):
                raise Fail("400.007", {name: ["Invalid value."]})
            whole[name] = int(text)
        return fills[whole["offset"] : whole["offset"] + whole["limit"]]

    def _transactions(self, account: Account, params: Params, rest: str) -> list[dict[str, Any]]:
        return [self.words.user_transaction(fill) for fill in self._fills(account, params, rest)]

    def _trade_history(self, account: Account, params: Params, rest: str) -> list[dict[str, Any]]:
        return [
            {
                "id": str(fill.id), "order_id": str(fill.order.id), "market": self.words.symbols[fill.order.instrument],
                "side": "BUY" if fill.side == BUY else "SELL", "type": "MAKER" if fill.maker else "TAKER",
                "price": self.words.price(fill.order.instrument, fill.price_ticks),
                "amount": self.words.amount(fill.order.instrument, fill.qty_lots),
                "fee": self.words.money(fill.fee_currency, fill.fee_units), "fee_currency": fill.fee_currency,
                "timestamp": str(fill.ts_ns // 1000),
            }
            for fill in self._fills(account, params, rest)
        ]  # fmt: skip

"""Coinbase Exchange's private REST: accounts, orders, fills, fees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.coinbase_words import (
    ACCOUNTS,
    ORDERS,
    PROFILES,
    SAID,
    STP_MODES,
    Fail,
    Words,
    money,
    number_of,
    steps,
    uuid_of,
)
from pinnacle.dialects.orders import Account, Fill, Order, Refused
from pinnacle.event import BUY, SELL

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SIDES = {"buy": BUY, "sell": SELL}
_TIMES = {"GTC": 0, "IOC": e.IOC, "FOK": e.FOK}
_PAGE = 1000


class Orders:
    """The methods that need a key, each for the account whose it is."""

    def __init__(self, words: Words) -> None:
        self.words, self.house = words, words.house

    def answer(self, account: Account, method: str, parts: list[str], params: Mapping[str, str], body: bytes) -> Any:
        """What a signed request answers.  Raises Fail."""
        match method, parts:
            case "GET", ["accounts"]:
                return [self._account(account, currency) for currency in self.house.digits]
            case "GET", ["accounts", name]:
                for currency in self.house.digits:
                    if self._account(account, currency)["id"] == name:
                        return self._account(account, currency)
            case "GET", ["profiles"]:
                return [{"id": uuid_of(PROFILES, account.index), "name": account.name, "active": True}]
            case "GET", ["fees"]:
                return self._fees(account)
            case "GET", ["fills"]:
                return self._fills(account, params)
            case "POST", ["orders"]:
                return self._place(account, body)
            case "GET", ["orders"]:
                return self._list(account, params)
            case "GET", ["orders", name]:
                return self.words.order(self.find(account, name))
            case "DELETE", ["orders"]:
                return self._cancel_all(account, params.get("product_id") or _object(body, {}).get("product_id"))
            case "DELETE", ["orders", *name] if len(name) in (1, 2):
                return self._cancel(account, ":".join(name))
        raise Fail(404, "NotFound")

    def find(self, account: Account, name: str) -> Order:
        """The order of an id, or of `client:` and a client's.  Raises Fail."""
        if name.startswith("client:"):
            found = self.house.order_by_client_id(account.index, name.removeprefix("client:"))
        elif not _UUID.fullmatch(name):
            raise Fail(400, "Invalid order id")
        else:
            number = number_of(ORDERS, name)
            found = self.house.order(account.index, number) if number is not None else None
        if found is None:
            raise Fail(404, "order not found")
        return found

    def _place(self, account: Account, body: bytes) -> dict[str, Any]:
        """POST /orders."""
        read = self._read(_object(body))
        try:
            order = self.house.place(account.index, **read)
        except Refused as refused:
            raise said(refused) from None
        return self.words.order(order)

    def _read(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """What House.place wants, out of an order's fields.  Raises Fail."""
        k = self.house.instrument_of(str(wanted.get("product_id", "")))
        if k is None:
            raise Fail(404, "Product not found")
        one, kind, tif = self.words.instruments[k], wanted.get("type", "limit"), wanted.get("time_in_force") or "GTC"
        if wanted.get("side") not in _SIDES:
            raise Fail(400, "Invalid side")
        if kind not in ("limit", "market") or wanted.get("stop"):
            raise Fail(400, "Invalid order type: only limit and market are offered here")
        if wanted.get("stp", "dc") not in STP_MODES:
            raise Fail(400, "Invalid stp")
        client_id = wanted.get("client_oid") or ""
        if client_id and not (isinstance(client_id, str) and _UUID.fullmatch(client_id)):
            raise Fail(400, "Bad Request: client_oid must be a UUID")
        sign = _SIDES[wanted["side"]]
        flags, price, lots, funds = e.MARKET, 0, 0, ""
        if kind == "limit":
            if tif not in _TIMES:
                raise Fail(400, "Invalid time_in_force: GTC, IOC and FOK are offered here")
            flags = _TIMES[tif]
            if wanted.get("post_only") is True:
                if flags:
                    raise Fail(400, f"Invalid post_only with time_in_force {tif}")
                flags = e.POST_ONLY
            price = _number(wanted, "price", one.tick, "price too precise")
        if kind == "market" and wanted.get("size") is None:
            try:
                units = steps(wanted.get("funds"), one.tick)
            except ValueError:
                raise Fail(400, "size or funds is required") from None
            if units is None:
                raise Fail(400, "funds is too precise")
            lots = self.house.lots_for(k, sign, self.house.units(one.quote, units * one.tick))
            funds = str(wanted["funds"])
            if lots <= 0:
                raise Fail(400, "funds is too small")
        else:
            lots = _number(wanted, "size", one.lot, "size is too accurate")
        return {
            "instrument": k, "side": sign, "qty_lots": lots, "price_ticks": price, "flags": flags,
            "client_id": client_id.lower(), "stp": STP_MODES[wanted.get("stp", "dc")], "type": kind, "tif": tif,
            "stp_text": wanted.get("stp", "dc"), "funds": funds,
        }  # fmt: skip

    def _cancel(self, account: Account, name: str) -> str:
        """DELETE /orders/<id>: the id."""
        order = self.find(account, name)
        if not order.live:
            raise Fail(400, "Order already done")
        try:
            self.house.cancel(order)
        except Refused as refused:
            raise said(refused) from None
        return uuid_of(ORDERS, order.id)

    def _cancel_all(self, account: Account, product: object) -> list[str]:
        """DELETE /orders: ids of what went."""
        k = self.house.instrument_of(str(product)) if product else None
        if product and k is None:
            raise Fail(404, "Product not found")
        try:
            return [uuid_of(ORDERS, order.id) for order in self.house.cancel_all(account.index, k)]
        except Refused as refused:
            raise said(refused) from None

    def _list(self, account: Account, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """GET /orders: open ones, and finished ones where `status` says so; newest first."""
        k = self.house.instrument_of(params["product_id"]) if params.get("product_id") else None
        if params.get("product_id") and k is None:
            raise Fail(404, "Product not found")
        status = params.get("status", "open")
        orders: list[Order] = []
        if status in ("open", "active", "all", "pending"):
            orders += self.house.open_orders(account.index, k)
        if status in ("done", "all"):
            orders += self.house.ended_orders(account.index, k)
        orders.sort(key=lambda order: -order.id)
        return [self.words.order(order) for order in orders[:_PAGE]]

    def _fills(self, account: Account, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """GET /fills: of an order or of a product, newest first."""
        found: list[Fill]
        if params.get("order_id"):
            found = self.find(account, params["order_id"]).fills
        elif params.get("product_id"):
            k = self.house.instrument_of(params["product_id"])
            if k is None:
                raise Fail(404, "Product not found")
            found = self.house.fills(account.index, k)
        else:
            raise Fail(400, "Either order_id or product_id is required")
        return [self.words.fill(fill) for fill in reversed(found[-_PAGE:])]

    def _account(self, account: Account, currency: str) -> dict[str, Any]:
        balance = account.balances[currency]
        total, held, free = (
            money(self.house.amount(currency, units))
            for units in (balance.total_units, balance.held_units, balance.free_units)
        )
        number = account.index << 16 | list(self.house.digits).index(currency)
        return {
            "id": uuid_of(ACCOUNTS, number), "currency": currency, "balance": total, "hold": held, "available": free,
            "profile_id": uuid_of(PROFILES, account.index), "trading_enabled": True, "pending_deposit": "0",
            "display_name": currency,
        }  # fmt: skip

    def _fees(self, account: Account) -> dict[str, Any]:
        maker, taker = self.house.rates(account.index, 0)
        volume = sum(fill.value_units for fill in self.house.fills(account.index, 0))
        return {
            "maker_fee_rate": f"{maker / 1e9:.4f}", "taker_fee_rate": f"{taker / 1e9:.4f}",
            "usd_volume": self.words.value(0, volume),
        }  # fmt: skip


def said(refused: Refused) -> Fail:
    """What the house refused, in the venue's words."""
    return Fail(*SAID.get(refused.why, (400, refused.why.name.lower().replace("_", " "))))


def _number(wanted: dict[str, Any], name: str, step: Any, too_fine: str) -> int:
    """A positive number of an order in steps.  Raises Fail."""
    try:
        found = steps(wanted.get(name), step)
    except ValueError:
        raise Fail(400, f"Invalid {name.capitalize()}") from None
    if found is None:
        raise Fail(400, too_fine)
    if not 0 < found < 1 << 62:
        raise Fail(400, f"Invalid {name.capitalize()}")
    return found


def _object(body: bytes, empty: dict[str, Any] | None = None) -> dict[str, Any]:
    """A JSON object; `empty` where there is no body.  Raises Fail."""
    if not body and empty is not None:
        return empty
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Fail(400, "Bad Request: invalid JSON") from None
    if not isinstance(found, dict):
        raise Fail(400, "Bad Request: an object is wanted")
    return found

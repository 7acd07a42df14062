"""Advanced Trade's orders: placed, cancelled in batches, edited; refusals come with HTTP 200 and a reason."""

from __future__ import annotations

from typing import Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.coinbase_words import ORDERS, Words, number_of, steps, uuid_of
from pinnacle.dialects.orders import Account, Order, Refused, Why
from pinnacle.event import BUY, SELL

_CANCELS_MAX = 100
# order_configuration -> (flags, time in force as shown)
_KINDS = {
    "limit_limit_gtc": (0, "GOOD_UNTIL_CANCELLED"), "limit_limit_fok": (e.FOK, "FILL_OR_KILL"),
    "sor_limit_ioc": (e.IOC, "IMMEDIATE_OR_CANCEL"), "market_market_ioc": (e.MARKET, "IMMEDIATE_OR_CANCEL"),
}  # fmt: skip
_REASONS = {
    Why.FUNDS: "INSUFFICIENT_FUND", Why.PRICE: "INVALID_PRICE_PRECISION", Why.QTY: "INVALID_SIZE_PRECISION",
    Why.NOTIONAL: "INVALID_SIZE_PRECISION", Why.WOULD_CROSS: "INVALID_LIMIT_PRICE_POST_ONLY",
    Why.STATE: "ORDER_ENTRY_DISABLED", Why.UNKNOWN_ORDER: "UNKNOWN_CANCEL_ORDER",
}  # fmt: skip


class Fail(Exception):
    """An answer that is an error by its HTTP status.  body: as JSON."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


class Bad(Exception):
    """A refused order: its reason, which comes with HTTP 200."""


class Entry:
    """What an account may do with orders.  Each method returns what is answered."""

    def __init__(self, words: Words) -> None:
        self.words, self.house = words, words.house

    def find(self, account: Account, name: object) -> Order | None:
        """The order of an id."""
        number = number_of(ORDERS, name) if isinstance(name, str) else None
        return self.house.order(account.index, number) if number is not None else None

    def place(self, account: Account, said: dict[str, Any]) -> dict[str, Any]:
        """POST /orders; the same client_order_id again is answered with the order that has it already."""
        client_id = said.get("client_order_id")
        try:
            if not isinstance(client_id, str) or not client_id or len(client_id) > 128:
                raise Bad("INVALID_CLIENT_ORDER_ID")
            order = self.house.order_by_client_id(account.index, client_id)
            if order is None:
                try:
                    order = self.house.place(account.index, client_id=client_id, **self._read(said))
                except Refused as refused:
                    raise Bad(_REASONS.get(refused.why, "UNKNOWN_FAILURE_REASON")) from None
                if order.end_reason == e.END_WOULD_CROSS:
                    raise Bad("INVALID_LIMIT_PRICE_POST_ONLY")
        except Bad as bad:
            reason = str(bad)
            return {
                "success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": "",
                "error_response": {"error": reason, "message": reason.replace("_", " ").lower(), "error_details": "",
                                   "preview_failure_reason": f"PREVIEW_{reason}", "new_order_failure_reason": reason},
                "order_configuration": said.get("order_configuration"),
            }  # fmt: skip
        shown = {
            "order_id": uuid_of(ORDERS, order.id), "product_id": self.words.symbols[order.instrument],
            "side": big(order.side), "client_order_id": order.client_id,
        }  # fmt: skip
        return {
            "success": True, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": shown["order_id"],
            "success_response": shown, "order_configuration": order.extra.get("configuration"),
        }  # fmt: skip

    def _read(self, said: dict[str, Any]) -> dict[str, Any]:
        """What House.place wants.  Raises Bad."""
        name, configuration = said.get("product_id"), said.get("order_configuration")
        k = self.house.instrument_of(name) if isinstance(name, str) else None
        if k is None:
            raise Bad("INVALID_PRODUCT_ID")
        if said.get("side") not in ("BUY", "SELL"):
            raise Bad("INVALID_SIDE")
        if not isinstance(configuration, dict) or len(configuration) != 1:
            raise Bad("UNSUPPORTED_ORDER_CONFIGURATION")
        ((kind, fields),) = configuration.items()
        if kind not in _KINDS or not isinstance(fields, dict):
            raise Bad("UNSUPPORTED_ORDER_CONFIGURATION")
        flags, tif = _KINDS[kind]
        sign, one = BUY if said["side"] == "BUY" else SELL, self.words.instruments[k]
        price = 0
        if flags != e.MARKET:
            price = _steps(fields.get("limit_price"), one.tick, "INVALID_PRICE_PRECISION")
        if kind == "limit_limit_gtc" and fields.get("post_only") is True:
            flags = e.POST_ONLY
        if flags == e.MARKET and fields.get("quote_size") is not None:
            units = _steps(fields["quote_size"], one.tick, "INVALID_SIZE_PRECISION")
            lots = self.house.lots_for(k, sign, self.house.units(one.quote, units * one.tick))
        else:
            lots = _steps(fields.get("base_size"), one.lot, "INVALID_SIZE_PRECISION")
        return {
            "instrument": k, "side": sign, "qty_lots": lots, "price_ticks": price, "flags": flags, "unique": False,
            "configuration": configuration, "tif": tif,
        }  # fmt: skip

    def cancel(self, account: Account, said: dict[str, Any]) -> dict[str, Any]:
        """POST /orders/batch_cancel: each with what came of it."""
        names = said.get("order_ids")
        if not isinstance(names, list) or len(names) > _CANCELS_MAX:
            raise invalid("order_ids")
        results = []
        for name in names:
            order, failed = self.find(account, name), ""
            if order is None or not order.live:
                failed = "UNKNOWN_CANCEL_ORDER"
            else:
                try:
                    self.house.cancel(order)
                except Refused as refused:
                    failed = _REASONS.get(refused.why, "INVALID_CANCEL_REQUEST")
            reason = failed or "UNKNOWN_CANCEL_FAILURE_REASON"
            results.append({"success": not failed, "failure_reason": reason, "order_id": str(name)})
        return {"results": results}

    def edit(self, account: Account, said: dict[str, Any]) -> dict[str, Any]:
        """POST /orders/edit: price and size, both; the size is of the whole order."""
        order = self.find(account, said.get("order_id"))
        try:
            if order is None or not order.live or order.flags & (e.IOC | e.FOK):
                raise Bad("UNKNOWN_EDIT_FAILURE_REASON" if order else "ORDER_NOT_FOUND")
            one = self.words.instruments[order.instrument]
            ticks = _steps(said.get("price"), one.tick, "INVALID_PRICE_PRECISION")
            lots = _steps(said.get("size"), one.lot, "INVALID_SIZE_PRECISION")
            if lots <= order.filled_lots:
                raise Bad("CANNOT_EDIT_TO_BELOW_FILLED_SIZE")
            try:
                self.house.replace(order, ticks, lots - order.filled_lots, order.flags & e.POST_ONLY)
            except Refused as refused:
                raise Bad(_REASONS.get(refused.why, "UNKNOWN_EDIT_FAILURE_REASON")) from None
        except Bad as bad:
            return {"success": False, "errors": [{"edit_failure_reason": str(bad), "preview_failure_reason": ""}]}
        return {"success": True, "errors": []}


def big(sign: int) -> str:
    """BUY or SELL."""
    return "BUY" if sign == BUY else "SELL"


def _steps(value: object, step: Any, reason: str) -> int:
    """A positive number in steps.  Raises Bad."""
    try:
        found = steps(value, step)
    except ValueError:
        found = None
    if found is None or not 0 < found < 1 << 62:
        raise Bad(reason)
    return found


def object_of(body: bytes) -> dict[str, Any]:
    """A JSON object.  Raises Fail."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid("body") from None
    if not isinstance(found, dict):
        raise invalid("body")
    return found


def invalid(name: str) -> Fail:
    """A parameter that cannot be."""
    return Fail(400, {"error": "INVALID_ARGUMENT", "error_details": f"invalid {name}", "message": f"invalid {name}"})

"""Gemini's websocket for an account: orders placed and cancelled, and what it is told of them and of its money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.gemini_orders import Orders
from pinnacle.dialects.gemini_words import Fail, Words
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Happened, Order, Status, Update
from pinnacle.event import BUY, SELL
from pinnacle.limits import HOUSE_ORDER_ID_FIRST

if TYPE_CHECKING:
    from pinnacle.dialects.gemini_feed import GeminiSession

encode = msgspec.json.encode
ACCOUNT_STREAMS = ("orders@account", "balances@account")
_TIMES = {"GTC": 0, "IOC": e.IOC, "FOK": e.FOK, "MOC": e.POST_ONLY}


class Refuse(Exception):
    """A request over the websocket that is refused: its status, code and message."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "msg": message}


class AccountStreams:
    """listeners: of each of ACCOUNT_STREAMS."""

    def __init__(self, words: Words, orders: Orders) -> None:
        self.words, self.house, self.orders = words, words.house, orders
        self.listeners: dict[str, list[GeminiSession]] = {name: [] for name in ACCOUNT_STREAMS}

    def obey(self, session: GeminiSession, method: str, params: Any, now_ns: int) -> dict[str, Any]:
        account = self.house.accounts[session.account - 1]
        if method in ("order.cancel_all", "order.cancel_session"):
            try:
                return {"cancelled": len(self.orders.cancel_all(account, {})["details"]["cancelledOrders"])}
            except Fail as fail:
                raise Refuse(-1013, fail.reason) from None
        wanted = object_of(params)
        if method == "order.cancel":
            number = wanted.get("orderId")
            if not isinstance(number, str):
                raise Refuse(-1013, "orderId must be a string")
            try:
                order = self.orders.find(account, number)
            except Fail:
                raise Refuse(-1013, "order not found or already filled") from None
            if not order.live:
                raise Refuse(-1013, "order not found or already filled")
            self.orders.take_back(order)
            return {}
        if not session.venue.may_order(session.account, now_ns):
            raise Refuse(-1003, "Too many orders", 429)
        side, kind, time = wanted.get("side"), wanted.get("type"), wanted.get("timeInForce", "GTC")
        if side not in ("BUY", "SELL") or kind not in ("LIMIT", "MARKET") or time not in _TIMES:
            raise Refuse(-1013, "invalid side, type or timeInForce")
        flags = e.MARKET if kind == "MARKET" else _TIMES[time]
        try:
            k = self.words.instrument(wanted.get("symbol"))
            client_id = self.orders.client_id(wanted.get("clientOrderId"))
            order = self.orders.place(
                account, k, BUY if side == "BUY" else SELL, wanted.get("price"), wanted.get("quantity"), flags,
                client_id, True, [],
            )  # fmt: skip
        except Fail as fail:
            self._rejected(session.account, wanted, fail.reason)
            raise Refuse(-2010 if fail.reason == "InsufficientFunds" else -1013, fail.reason) from None
        if session.cancels:
            session.placed = {number: one for number, one in session.placed.items() if one.live}
            session.placed[order.id] = order
        return {}

    def _rejected(self, account: int, wanted: dict[str, Any], reason: str) -> None:
        """The event that goes with a refusal, for all connections of the account."""
        now_ns = self.house.now_ns + self.words.skew_ns
        shown = {
            key: wanted[name]
            for key, name in zip("scSopq", ("symbol", "clientOrderId", "side", "type", "price", "quantity"))
            if isinstance(wanted.get(name), str)
        }
        message = encode({"e": "executionReport", "E": now_ns} | shown | {"X": "REJECTED", "r": reason, "T": now_ns})
        for session in self.listeners["orders@account"]:
            if session.account == account:
                session.send(message)

    def private(self, update: Update) -> None:
        """Tell an account what became of its order and of its money."""
        if update.what is Happened.REJECTED:
            return
        order = update.order
        events = self._events(update)
        if update.what is Happened.EXPIRED and update.reason == e.END_WOULD_CROSS:
            # Taken up and then cancelled, never refused.
            events = [self._report(order, "NEW", update.ts_ns), *events]
        for session in self.listeners["orders@account"]:
            if session.account == order.account:
                for one in events:
                    session.send(encode(one))
        traded, account = self.words.instruments[order.instrument], self.house.accounts[order.account - 1]
        for session in self.listeners["balances@account"]:
            if session.account == order.account:
                money = [(currency, *self.words.balance(account, currency)) for currency in (traded.base, traded.quote)]
                listed = [{"a": currency, "f": free, "c": total} for currency, total, free in money]
                now_ms = (update.ts_ns + self.words.skew_ns) // 1_000_000
                session.send(encode({"e": "balanceUpdate", "E": now_ms, "B": listed}))

    def _events(self, update: Update) -> list[dict[str, Any]]:
        order, k = update.order, update.order.instrument
        match update.what:
            case Happened.ACCEPTED:
                return [self._report(order, "NEW", update.ts_ns)]
            case Happened.FILLED:
                fill = update.fill
                assert fill is not None
                state = "FILLED" if order.status is Status.FILLED else "PARTIALLY_FILLED"
                more: dict[str, Any] = {
                    "Z": self.words.qty[k](fill.qty_lots), "L": self.words.price[k](fill.price_ticks),
                    "t": str(fill.id), "m": fill.maker,
                }  # fmt: skip
                if state == "FILLED":
                    currency = self.words.instruments[k].quote
                    more["n"] = self.words.amount(currency, order.fees.get(currency, 0))
                return [self._report(order, state, update.ts_ns) | more]
            case Happened.REPLACED:
                return [self._report(order, "MODIFIED", update.ts_ns)]
        return [self._report(order, "CANCELED", update.ts_ns) | {"r": self.words.reason(order)}]

    def _report(self, order: Order, state: str, ts_ns: int) -> dict[str, Any]:
        """What every event of an order has; z is what remains, Z what was executed in all."""
        k, when_ns = order.instrument, ts_ns + self.words.skew_ns
        shown = {
            "e": "executionReport", "E": when_ns, "s": self.words.symbols[k].upper(), "i": str(order.id),
            "S": "BUY" if order.side == BUY else "SELL", "o": "MARKET" if order.flags & e.MARKET else "LIMIT",
            "X": state, "p": self.words.price[k](order.price_ticks), "q": self.words.qty[k](order.qty_lots),
            "z": self.words.qty[k](order.rest_lots), "Z": self.words.qty[k](order.filled_lots), "T": when_ns,
        }  # fmt: skip
        return shown | ({"c": order.client_id} if order.client_id else {})

    def cancel_of(self, session: GeminiSession) -> None:
        """Cancel what was placed over a connection that has gone."""
        for order in list(session.placed.values()):
            if order.live:
                self.orders.take_back(order)

    def market(self, batch: Batch) -> None:
        """An account's order rests now: its OPEN event."""
        if not self.listeners["orders@account"]:
            return
        for event in batch.events(e.ORDER_ADD):
            if event.order_id < HOUSE_ORDER_ID_FIRST:
                continue
            for session in self.listeners["orders@account"]:
                order = self.house.order(session.account, event.order_id)
                if order is not None:
                    session.send(encode(self._report(order, "OPEN", event.ts_ns)))


def object_of(params: Any) -> dict[str, Any]:
    """Parameters that are named.  Raises Refuse."""
    if not isinstance(params, dict):
        raise Refuse(-1013, "params must be an object")
    return params

"""Gemini's private methods over REST, and the placing of orders that its websocket shares."""

from __future__ import annotations

from typing import Any

from pinnacle import event as e
from pinnacle.dialects.coinbase_words import steps
from pinnacle.dialects.gemini_words import REASONS, Fail, Words
from pinnacle.dialects.orders import Account, Order, Refused
from pinnacle.event import BUY, SELL

OPTIONS = {"maker-or-cancel": e.POST_ONLY, "immediate-or-cancel": e.IOC, "fill-or-kill": e.FOK}
CLIENT_ID_MAX = 99
_TRADES_MAX = 500


class Orders:
    """Each method takes the account and the payload, and returns what is answered, or raises Fail."""

    def __init__(self, words: Words) -> None:
        self.words, self.house = words, words.house
        self.methods = {
            "/v1/order/new": self.new, "/v1/order/cancel": self.cancel, "/v1/order/status": self.status,
            "/v1/order/cancel/all": self.cancel_all, "/v1/order/cancel/session": self.cancel_all,
            "/v1/orders": self.live, "/v1/orders/history": self.history, "/v1/mytrades": self.my_trades,
            "/v1/balances": self.balances, "/v1/notionalvolume": self.volume, "/v1/heartbeat": self.heartbeat,
        }  # fmt: skip

    def place(
        self, account: Account, k: int, side: int, price: object, quantity: object, flags: int, client_id: str,
        unique: bool, options: list[str], session: int = 0,
    ) -> Order:  # fmt: skip
        """A new order, by REST or websocket.  flags: of event.py.  Raises Fail with a reason of Gemini's."""
        one = self.words.instruments[k]
        ticks = lots = 0
        try:
            if not flags & e.MARKET:
                found = steps(price, one.tick)
                if found is None:
                    raise Fail(400, "LimitPriceOffTick", f"price {price} is off the tick {one.tick}")
                ticks = found
        except ValueError:
            raise Fail(400, "InvalidPrice", f"Invalid price for symbol: {str(price)[:40]}") from None
        try:
            lots = steps(quantity, one.lot) or 0
        except ValueError:
            lots = 0
        if not 0 < lots < 1 << 62:
            raise Fail(400, "InvalidQuantity", f"Invalid quantity for symbol: {str(quantity)[:40]}")
        if not flags & e.MARKET and not 0 < ticks < 1 << 62:
            raise Fail(400, "InvalidPrice", f"Invalid price for symbol: {str(price)[:40]}")
        try:
            return self.house.place(
                account.index, k, side, lots, ticks, flags, client_id, unique=unique, options=options, session=session
            )
        except Refused as refused:
            status, reason = REASONS.get(refused.why, (400, refused.why.name.title().replace("_", "")))
            raise Fail(status, reason) from None

    def client_id(self, text: object) -> str:
        """A client's id of an order, "" for none.  Raises Fail."""
        if text is None:
            return ""
        if not isinstance(text, str):
            raise Fail(400, "ClientOrderIdMustBeString")
        if len(text) > CLIENT_ID_MAX:
            raise Fail(400, "ClientOrderIdTooLong")
        return text

    def new(self, account: Account, said: dict[str, Any]) -> dict[str, Any]:
        """/v1/order/new: limit orders, one option at most."""
        for name in ("symbol", "amount", "price", "side", "type"):
            if name not in said:
                raise Fail(400, "MissingOrderField", f"Required field '{name}' is missing")
        if said["type"] != "exchange limit":
            raise Fail(400, "InvalidOrderType", f"Invalid order type for symbol: '{str(said['type'])[:40]}'")
        if said["side"] not in ("buy", "sell"):
            raise Fail(400, "InvalidSide", f"Invalid side for symbol: '{str(said['side'])[:40]}'")
        options = said.get("options") or []
        if not isinstance(options, list):
            raise Fail(400, "OptionsMustBeArray")
        if len(options) > 1:
            raise Fail(400, "ConflictingOptions", "A single order supports at most one of these options")
        if options and (not isinstance(options[0], str) or options[0] not in OPTIONS):
            raise Fail(400, "UnsupportedOption", f"Option '{str(options[0])[:40]}' is not supported")
        flags = OPTIONS[options[0]] if options else 0
        k, sign = self.words.instrument(said["symbol"]), BUY if said["side"] == "buy" else SELL
        client_id = self.client_id(said.get("client_order_id"))
        return self.words.order(
            self.place(account, k, sign, said["price"], said["amount"], flags, client_id, False, options)
        )

    def find(self, account: Account, number: object) -> Order:
        """The order of an id, given as text or number.  Raises Fail."""
        text = str(number)
        found = (
            self.house.order(account.index, int(text)) if text.isascii() and text.isdigit() and len(text) < 19 else None
        )
        if found is None or isinstance(number, bool):
            raise Fail(404, "OrderNotFound", f"Order {text[:40]} not found")
        return found

    def cancel(self, account: Account, said: dict[str, Any]) -> dict[str, Any]:
        """/v1/order/cancel: the order; one that is over already comes back as it is."""
        order = self.find(account, said.get("order_id"))
        if order.live:
            self.take_back(order)
        return self.words.order(order)

    def take_back(self, order: Order) -> None:
        """Cancel an open order.  Raises Fail."""
        try:
            self.house.cancel(order)
        except Refused as refused:
            raise Fail(*REASONS.get(refused.why, (400, "System"))) from None

    def cancel_all(self, account: Account, said: dict[str, Any]) -> dict[str, Any]:
        """All orders of the account, or of this key, which is the same here."""
        try:
            gone = self.house.cancel_all(account.index)
        except Refused as refused:
            raise Fail(*REASONS.get(refused.why, (400, "System"))) from None
        return {"result": "ok", "details": {"cancelledOrders": [order.id for order in gone], "cancelRejects": []}}

    def status(self, account: Account, said: dict[str, Any]) -> Any:
        """/v1/order/status: of an id one order, of a client's id a list, because those may repeat."""
        trades = said.get("include_trades") is True
        if said.get("order_id") is not None:
            return self.words.order(self.find(account, said["order_id"]), trades)
        wanted = self.client_id(said.get("client_order_id"))
        if not wanted:
            raise Fail(400, "MissingOrderField", "order_id or client_order_id is wanted")
        known = self.house.open_orders(account.index) + self.house.ended_orders(account.index)
        found = [self.words.order(order, trades) for order in known if order.client_id == wanted]
        if not found:
            raise Fail(404, "OrderNotFound")
        return found

    def live(self, account: Account, said: dict[str, Any]) -> list[dict[str, Any]]:
        """/v1/orders: the open ones."""
        return [self.words.order(order) for order in self.house.open_orders(account.index)]

    def history(self, account: Account, said: dict[str, Any]) -> list[dict[str, Any]]:
        """/v1/orders/history: finished ones, newest first."""
        k = self.words.instrument(said["symbol"]) if said.get("symbol") is not None else None
        ended = self.house.ended_orders(account.index, k)[-_TRADES_MAX:]
        return [self.words.order(order, True) for order in reversed(ended)]

    def my_trades(self, account: Account, said: dict[str, Any]) -> list[dict[str, Any]]:
        """/v1/mytrades: newest first, of a symbol or all, since a time in ms."""
        k = self.words.instrument(said["symbol"]) if said.get("symbol") is not None else None
        limit, since_ms = said.get("limit_trades", 50), said.get("timestamp", 0)
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise Fail(400, "InvalidJson", "limit_trades must be a positive integer")
        try:
            since_ns = int(since_ms) * 1_000_000
        except (TypeError, ValueError):
            raise Fail(400, "InvalidTimestampInPayload") from None
        fills = [fill for fill in self.house.fills(account.index, k) if fill.ts_ns + self.words.skew_ns >= since_ns]
        return [self.words.fill(fill) for fill in reversed(fills[-min(limit, _TRADES_MAX) :])]

    def balances(self, account: Account, said: dict[str, Any]) -> list[dict[str, Any]]:
        """/v1/balances."""
        found = []
        for currency in self.house.digits:
            total, free = self.words.balance(account, currency)
            found.append(
                {"type": "exchange", "currency": currency, "amount": total, "available": free,
                 "availableForWithdrawal": free}
            )  # fmt: skip
        return found

    def volume(self, account: Account, said: dict[str, Any]) -> dict[str, Any]:
        """/v1/notionalvolume: fees in basis points."""
        maker, taker = (rate / 100_000 for rate in self.house.rates(account.index, 0))
        kinds = ("web", "api", "fix", "block")
        fees = {f"{kind}_{role}_fee_bps": bps for kind in kinds for role, bps in (("maker", maker), ("taker", taker))}
        value = sum(fill.value_units for fill in self.house.fills(account.index, 0))
        return fees | {"notional_30d_volume": float(self.words.instruments[0].money(value)), "notional_1d_volume": []}

    def heartbeat(self, account: Account, said: dict[str, Any]) -> dict[str, str]:
        """/v1/heartbeat."""
        return {"result": "ok"}

"""A client of Kraken's websocket v2: subscriptions, order entry, and what it is sent of its own.

Public and private are one class: what needs a token says so for each request, as the venue's does.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle.dialects.dialect import Session
from pinnacle.dialects.kraken_orders import BATCH_CANCEL_MAX
from pinnacle.dialects.kraken_streams import DEPTHS, SNAPSHOT_TRADES
from pinnacle.dialects.kraken_words import Fail, order_text, time
from pinnacle.dialects.orders import Account

if TYPE_CHECKING:
    from pinnacle.dialects.kraken import Kraken

PRIVATE = ("executions", "balances")
# A number is kept with its digits: a price must not go through a binary float.
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
encode = msgspec.json.encode


class KrakenSession(Session):
    """See the file's first words.  channels: (channel, pair or -1) -> depth."""

    def __init__(self, dialect: Kraken, path: str, peer: str, now_ns: int) -> None:
        super().__init__(dialect, path, peer)
        self.venue = dialect
        self.channels: dict[tuple[str, int], int] = {}
        self.account: Account | None = None  # whose private channels it hears
        self.executions = self.balances = 0  # messages of each so far
        self.heard_ns = self.said_ns = now_ns

    def send(self, message: bytes) -> None:
        """Queue one message; heartbeats fill the silence between."""
        self.said_ns = self.venue.now_ns
        super().send(message)

    def receive(self, message: bytes, now_ns: int) -> None:
        venue = self.venue
        venue.set_time(now_ns)
        self.heard_ns = now_ns
        method: Any = ""
        number: Any = None
        try:
            try:
                said = _decoder.decode(message)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                raise Fail("EGeneral:Invalid arguments:Malformed request") from None
            method, number = said.get("method"), said.get("req_id")
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                number = None
                raise Fail("EGeneral:Invalid arguments:req_id")
            params = said.get("params") or {}
            do = {
                "ping": self._ping, "subscribe": self._subscribe, "unsubscribe": self._subscribe,
                "add_order": self._add, "amend_order": self._amend, "edit_order": self._edit,
                "cancel_order": self._cancel, "cancel_all": self._cancel_all, "batch_add": self._batch_add,
                "batch_cancel": self._batch_cancel, "cancel_all_orders_after": self._after,
            }.get(method) if isinstance(method, str) else None  # fmt: skip
            if do is None:
                raise Fail("EGeneral:Invalid arguments:Unknown method")
            if not isinstance(params, dict):
                raise Fail("EGeneral:Invalid arguments:params")
            do(method, params, number, now_ns)
        except Fail as fail:
            self._answer(method if isinstance(method, str) else "", number, now_ns, error=fail.errors[0])

    def _answer(
        self, method: str, number: int | None, now_ns: int, result: object = None, error: str = "", **more: object
    ) -> None:
        answer: dict[str, Any] = {"method": method}
        if number is not None:
            answer["req_id"] = number
        if error:
            answer |= {"error": error, "success": False}
        elif method != "pong":
            answer |= {"result": result, "success": True}
        self.send(encode(answer | more | {"time_in": time(now_ns), "time_out": time(now_ns)}))

    def _ping(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        self._answer("pong", number, now_ns)

    def _who(self, params: dict[str, Any], now_ns: int) -> Account:
        """Whose token it is.  Raises Fail."""
        return self.venue.token_account(params.get("token"), self, now_ns)

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def _subscribe(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        channel, joining = params.get("channel"), method == "subscribe"
        if channel in PRIVATE:
            self._subscribe_private(method, channel, params, number, now_ns)
        elif channel == "instrument":
            known = ("instrument", -1) in self.channels
            if joining == known:
                raise Fail("Already subscribed" if joining else "Subscription Not Found")
            self._answer(method, number, now_ns, {"channel": channel, "snapshot": True})
            if joining:
                self.channels["instrument", -1] = 0
                self.venue.streams.instruments[self] = None
                if params.get("snapshot", True):
                    self.send(
                        self.venue.streams.instrument_message("snapshot", list(range(len(self.venue.words.symbols))))
                    )
            else:
                del self.channels["instrument", -1]
                self.venue.streams.instruments.pop(self, None)
        elif channel in ("book", "trade", "ticker"):
            symbols = params.get("symbol")
            if not isinstance(symbols, list) or not symbols or len(symbols) > 1000:
                raise Fail("EGeneral:Invalid arguments:symbol")
            for symbol in symbols:
                try:
                    self._subscribe_one(method, channel, symbol, params, number, now_ns)
                except Fail as fail:
                    self._answer(
                        method, number, now_ns, error=fail.errors[0], symbol=symbol if isinstance(symbol, str) else ""
                    )
        else:
            raise Fail("EGeneral:Invalid arguments:channel")

    def _subscribe_one(
        self, method: str, channel: str, symbol: object, params: dict[str, Any], number: int | None, now_ns: int
    ) -> None:
        """One answer a symbol, then its snapshot."""
        venue, joining, streams = self.venue, method == "subscribe", self.venue.streams
        k = venue.words.place(symbol) if isinstance(symbol, str) else None
        if k is None or symbol != venue.words.symbols[k]:
            raise Fail(f"Currency pair not supported {symbol}"[:100])
        result: dict[str, Any] = {"channel": channel, "symbol": symbol}
        depth = params.get("depth", 10)
        if channel == "book":
            if depth not in DEPTHS or isinstance(depth, bool):
                raise Fail("EGeneral:Invalid arguments:depth")
            result["depth"] = depth
        snapshot = params.get("snapshot", channel != "trade") is True
        known = self.channels.get((channel, k))
        if joining and known is not None:
            raise Fail("Already subscribed")
        if not joining and (known is None or (channel == "book" and known != depth)):
            raise Fail("Subscription Not Found")
        if joining:
            result["snapshot"] = snapshot
        self._answer(method, number, now_ns, result)
        if not joining:
            del self.channels[channel, k]
            if channel == "book":
                streams.leave_book(self, k, depth)
            else:
                (streams.trades if channel == "trade" else streams.tickers)[k].pop(self, None)
            return
        self.channels[channel, k] = depth if channel == "book" else 0
        if channel == "book":
            streams.join_book(self, k, depth, snapshot, now_ns)
        elif channel == "trade":
            streams.trades[k][self] = None
            if snapshot:
                last = list(venue.house.trades[k])[-SNAPSHOT_TRADES:]
                self.send(streams.trade_message("snapshot", k, last, venue.skew_ns))
        else:
            streams.tickers[k][self] = "bbo" if params.get("event_trigger") == "bbo" else "trades"
            if snapshot:
                self.send(streams.ticker_message("snapshot", k, now_ns))

    def _subscribe_private(
        self, method: str, channel: str, params: dict[str, Any], number: int | None, now_ns: int
    ) -> None:
        account, known = self._who(params, now_ns), (channel, -1) in self.channels
        if (method == "subscribe") == known:
            raise Fail("Subscription Not Found" if not known else "Already subscribed")
        if self.account not in (None, account):
            raise Fail("EGeneral:Permission denied")
        if known:
            del self.channels[channel, -1]
            self._answer(method, number, now_ns, {"channel": channel})
            return
        self.account = account
        self.channels[channel, -1] = 0
        self.venue.reports.join(self, channel)
        result: dict[str, Any] = {"channel": channel, "snapshot": True}
        if channel == "executions":
            result |= {"maxratecount": self.venue.orders.threshold, "snap_orders": True, "snap_trades": False}
        self._answer(method, number, now_ns, result)
        self.venue.reports.snapshot(self, channel, params)

    # --- orders -------------------------------------------------------------------------------------------------------

    def _add(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        order = self.venue.orders.add(self._who(params, now_ns), params)
        result: dict[str, Any] = {}
        if order is not None:
            result = {"order_id": order_text(order.id)}
            if order.client_id:
                result["cl_ord_id"] = order.client_id
            result["order_userref"] = order.extra.get("userref", 0)
        self._answer(method, number, now_ns, result)

    def _amend(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        order, amendment = self.venue.orders.amend(self._who(params, now_ns), params)
        result = {"amend_id": amendment, "order_id": order_text(order.id)}
        if order.client_id:
            result["cl_ord_id"] = order.client_id
        self._answer(method, number, now_ns, result)

    def _edit(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        old, new = self.venue.orders.edit(self._who(params, now_ns), params)
        result = {"order_id": order_text(new.id), "original_order_id": order_text(old.id)}
        self._answer(method, number, now_ns, result)

    def _cancel(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        """One answer an order; the lists of the three kinds of names cannot be combined."""
        account, orders = self._who(params, now_ns), self.venue.orders
        given = [name for name in ("order_id", "cl_ord_id", "order_userref") if params.get(name)]
        if len(given) != 1 or not isinstance(params[given[0]], list) or len(params[given[0]]) > BATCH_CANCEL_MAX:
            raise Fail("EGeneral:Invalid arguments:order_id")
        for name in params[given[0]]:
            try:
                if given[0] == "order_userref":
                    gone = [
                        orders.cancel(account, order_text(one.id), None) for one in orders.by_userref(account, name)
                    ]
                else:
                    by_id = given[0] == "order_id"
                    gone = [orders.cancel(account, name if by_id else None, None if by_id else name)]
            except Fail as fail:
                self._answer(method, number, now_ns, error=fail.errors[0])
                continue
            for order in gone:
                result = {"order_id": order_text(order.id)}
                if order.client_id:
                    result["cl_ord_id"] = order.client_id
                self._answer(method, number, now_ns, result)

    def _cancel_all(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        account = self._who(params, now_ns)
        self._answer(method, number, now_ns, {"count": self.venue.orders.cancel_all(account.index)})

    def _batch_add(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        symbol = params.get("symbol")
        done = self.venue.orders.add_many(
            self._who(params, now_ns), params, params.get("orders"), symbol if isinstance(symbol, str) else "?"
        )
        rows: list[dict[str, Any]] = []
        for one in done:
            if isinstance(one, Fail):
                rows.append({"success": False, "error": one.errors[0]})
            else:
                rows.append({"order_id": order_text(one.id), "success": True})
                if one.client_id:
                    rows[-1]["cl_ord_id"] = one.client_id
        self._answer(method, number, now_ns, {"orders": rows})

    def _batch_cancel(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        account, orders = self._who(params, now_ns), self.venue.orders
        by_id, by_name = params.get("orders") or [], params.get("cl_ord_id") or []
        if not isinstance(by_id, list) or not isinstance(by_name, list):
            raise Fail("EGeneral:Invalid arguments:orders")
        if not 2 <= len(by_id) + len(by_name) <= BATCH_CANCEL_MAX:
            raise Fail("EGeneral:Invalid arguments:orders")
        count = 0
        for order_id, name in [*((one, None) for one in by_id), *((None, one) for one in by_name)]:
            try:
                orders.cancel(account, order_id, name)
                count += 1
            except Fail:
                continue
        self._answer(method, number, now_ns, None, orders_cancelled=count)

    def _after(self, method: str, params: dict[str, Any], number: int | None, now_ns: int) -> None:
        when_ns = self.venue.orders.cancel_all_after(self._who(params, now_ns), params)
        trigger = time(when_ns + self.venue.skew_ns) if when_ns else "0"
        self._answer(method, number, now_ns, {"currentTime": time(now_ns), "triggerTime": trigger})

"""Kraken's orders: placed, amended, edited and cancelled, with its rate counter, the same for websocket and REST.

What a client sends is read into the websocket's words first; each function takes the account and those, and returns
what both answers are written from, or raises Fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.house import House
from pinnacle.dialects.kraken_words import Fail, Words, decimal, flag, order_id_of, said, text
from pinnacle.dialects.orders import Account, Order, Refused
from pinnacle.event import BUY, SELL
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER
from pinnacle.limits import WINDOW_KEYS_MAX
from pinnacle.venues.iso import ns_of_iso

SECOND_NS = 1_000_000_000
Params = Mapping[str, Any]
STP = {"cancel_newest": STP_EXPIRE_TAKER, "cancel_oldest": STP_EXPIRE_MAKER, "cancel_both": STP_EXPIRE_BOTH}
# Points of an operation by the age of the order it is about: up to so many seconds, so many points.
AMEND_AGE = ((5, 3), (10, 2), (15, 1))
EDIT_AGE = ((5, 6), (10, 5), (15, 4), (45, 2), (90, 1))
CANCEL_AGE = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
BATCH_ADD_MAX, BATCH_CANCEL_MAX = 15, 50
DEADLINE_NS = (SECOND_NS // 2, 60 * SECOND_NS)
_CLIENT_ID = re.compile(r"[ -~]{1,18}|[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TIMES = {"gtc": 0, "ioc": e.IOC, "fok": e.FOK, "gtd": 0}


class Counter:
    """The rate counter of an account and pair: operations add points, time takes them away.  In thousandths."""

    def __init__(self, threshold: int, decay_thousandths: int) -> None:
        self.threshold, self.decay = threshold * 1000, decay_thousandths
        self._kept: dict[tuple[int, int], tuple[int, int]] = {}

    def points(self, account: int, instrument: int, now_ns: int) -> int:
        """What it stands at, in thousandths."""
        points, since_ns = self._kept.get((account, instrument), (0, now_ns))
        return max(0, points - (now_ns - since_ns) * self.decay // SECOND_NS)

    def add(self, account: int, instrument: int, points: float, now_ns: int, must: bool = True) -> None:
        """Count; Fail, with nothing counted, where that is above the threshold and the operation `must` fit."""
        after = self.points(account, instrument, now_ns) + int(points * 1000)
        if must and after > self.threshold:
            raise Fail("EOrder:Rate limit exceeded")
        if len(self._kept) >= WINDOW_KEYS_MAX:
            self._kept.clear()
        self._kept[account, instrument] = (after, now_ns)


def _by_age(ages: tuple[tuple[int, int], ...], age_ns: int) -> int:
    return next((points for seconds, points in ages if age_ns < seconds * SECOND_NS), 0)


class Orders:
    """now_ns: the venue's clock, set before each call."""

    threshold, decay_thousandths = 180, 3750

    def __init__(self, house: House, words: Words) -> None:
        self.house, self.words = house, words
        self.now_ns = 0
        self.counter = Counter(self.threshold, self.decay_thousandths)
        self._expiring: dict[int, int] = {}  # order id -> the house's time
        self._switches: dict[int, int] = {}  # account -> when everything of it is cancelled
        self._amendments = 0

    # --- new orders ---------------------------------------------------------------------------------------------------

    def add(self, account: Account, params: Params, symbol: str = "") -> Order | None:
        """add_order: the order, None if it was to be checked only."""
        read, expire_ns = self._read(params, symbol)
        self._deadline(params)
        if flag(params, "validate"):
            return None
        self.counter.add(account.index, read["instrument"], 1, self.now_ns)
        return self._place(account, read, expire_ns)

    def add_many(self, account: Account, params: Params, orders: object, symbol: str) -> list[Order | Fail]:
        """batch_add: 2 to 15 orders of one pair; one that cannot be read refuses all, one that the engine refuses is
        refused alone."""
        if not isinstance(orders, list) or not 2 <= len(orders) <= BATCH_ADD_MAX:
            raise Fail("EGeneral:Invalid arguments:orders")
        if not all(isinstance(one, dict) for one in orders):
            raise Fail("EGeneral:Invalid arguments:orders")
        reads = [self._read(one, symbol) for one in orders]
        self._deadline(params)
        if flag(params, "validate"):
            return []
        self.counter.add(account.index, reads[0][0]["instrument"], len(reads) / 2, self.now_ns)
        done: list[Order | Fail] = []
        for read, expire_ns in reads:
            try:
                done.append(self._place(account, read, expire_ns))
            except Fail as fail:
                done.append(fail)
        return done

    def _place(self, account: Account, read: dict[str, Any], expire_ns: int) -> Order:
        try:
            order = self.house.place(account.index, **read)
        except Refused as refused:
            raise said(refused, self.house.states[read["instrument"]]) from None
        if expire_ns and order.live:
            self._expiring[order.id] = expire_ns
        return order

    def instrument(self, name: str) -> int:
        """The instrument of a name.  Raises Fail."""
        k = self.words.place(name)
        if k is None:
            raise Fail("EQuery:Unknown asset pair")
        return k

    def _read(self, params: Params, symbol: str) -> tuple[dict[str, Any], int]:
        """(what House.place wants, when it expires) of an order."""
        k = self.instrument(symbol or text(params, "symbol"))
        kind, side = text(params, "order_type"), text(params, "side")
        if kind not in ("limit", "market"):
            raise Fail("EGeneral:Invalid arguments:ordertype")
        if side not in ("buy", "sell"):
            raise Fail("EGeneral:Invalid arguments:type")
        tif = text(params, "time_in_force", "gtc").lower()
        if tif not in _TIMES:
            raise Fail("EGeneral:Invalid arguments:timeinforce")
        flags = _TIMES[tif]
        if kind == "market":
            flags = e.MARKET
        elif flag(params, "post_only"):
            if flags:
                raise Fail("EGeneral:Invalid arguments:post_only")
            flags = e.POST_ONLY
        stp = text(params, "stp_type", "cancel_newest").replace("-", "_")
        if stp not in STP:
            raise Fail("EGeneral:Invalid arguments:stptype")
        client_id, userref = text(params, "cl_ord_id"), params.get("order_userref")
        if client_id and (not _CLIENT_ID.fullmatch(client_id) or userref):
            raise Fail("EGeneral:Invalid arguments:cl_ord_id")
        side_sign = BUY if side == "buy" else SELL
        price_ticks = 0 if kind == "market" else self._price(k, params)
        cash = decimal(params, "cash_order_qty")
        if kind == "market" and cash is not None and params.get("order_qty") is None:
            lots = self.house.lots_for(k, side_sign, self.house.units(self.words.instrument(k).quote, cash))
            if lots <= 0:
                raise Fail("EOrder:Order minimum not met")
        else:
            lots = self._lots(k, params)
        expire_ns = 0
        if tif == "gtd":
            expire_ns = self._time(params, "expire_time") - (self.now_ns - self.house.now_ns)
            if expire_ns <= self.house.now_ns:
                raise Fail("EGeneral:Invalid arguments:expiretm")
        return {
            "instrument": k, "side": side_sign, "qty_lots": lots, "price_ticks": price_ticks, "flags": flags,
            "client_id": client_id, "stp": STP[stp], "tif": tif,
            "userref": userref if isinstance(userref, int) and not isinstance(userref, bool) else 0,
        }, expire_ns  # fmt: skip

    def _price(self, k: int, params: Params) -> int:
        price, tick = decimal(params, "limit_price"), self.words.instrument(k).tick
        if price is None or price <= 0:
            raise Fail("EGeneral:Invalid arguments:price")
        if price % tick:
            raise Fail("EOrder:Tick size check failed")
        return int(price / tick)

    def _lots(self, k: int, params: Params) -> int:
        qty, lot = decimal(params, "order_qty"), self.words.instrument(k).lot
        if qty is None or qty <= 0:
            raise Fail("EGeneral:Invalid arguments:volume")
        if qty % lot:
            raise Fail("EGeneral:Invalid arguments:volume")
        return int(qty / lot)

    def _time(self, params: Params, name: str) -> int:
        try:
            return ns_of_iso(text(params, name))
        except ValueError:
            raise Fail(f"EGeneral:Invalid arguments:{name}") from None

    def _deadline(self, params: Params) -> None:
        """The latest time at which the engine may take an order up."""
        if not params.get("deadline"):
            return
        left_ns = self._time(params, "deadline") - self.now_ns
        if left_ns <= 0:
            raise Fail("EService:Deadline elapsed")
        if not DEADLINE_NS[0] <= left_ns <= DEADLINE_NS[1]:
            raise Fail("EGeneral:Invalid arguments:deadline")

    # --- changes ------------------------------------------------------------------------------------------------------

    def find(self, account: Account, order_id: object, client_id: object) -> Order:
        """An account's order by either id.  Raises Fail."""
        found = None
        if isinstance(order_id, str) and order_id:
            found = self.house.order(account.index, order_id_of(order_id))
        elif isinstance(client_id, str) and client_id:
            found = self.house.order_by_client_id(account.index, client_id)
        else:
            raise Fail("EGeneral:Invalid arguments:order_id")
        if found is None:
            raise Fail("EOrder:Unknown order")
        return found

    def amend(self, account: Account, params: Params) -> tuple[Order, str]:
        """amend_order: (the order, the amendment's id); it keeps its id, and its place where the price allows."""
        order = self.find(account, params.get("order_id"), params.get("cl_ord_id"))
        if not order.live:
            raise Fail("EOrder:Unknown order")
        self._deadline(params)
        k = order.instrument
        price = self._price(k, params) if params.get("limit_price") is not None else order.price_ticks
        lots = self._lots(k, params) if params.get("order_qty") is not None else order.qty_lots
        age_ns = self.house.now_ns - order.extra.get("amended_ns", order.created_ns)
        self.counter.add(account.index, k, 1 + _by_age(AMEND_AGE, age_ns), self.now_ns)
        self._amendments += 1
        order.extra["amended_ns"] = self.house.now_ns
        if lots <= order.filled_lots:
            self._cancel(order)
        else:
            order.extra["amended"] = True
            flags = e.POST_ONLY if flag(params, "post_only") else 0
            try:
                self.house.replace(order, price, lots - order.filled_lots, flags)
            except Refused as refused:
                raise said(refused, self.house.states[k]) from None
        return order, f"T{self._amendments:05d}-AMEND-{order.id % 10**6:06d}"

    def edit(self, account: Account, params: Params, symbol: str = "") -> tuple[Order, Order]:
        """edit_order: (the old order, the new one): a cancel and a new order with another id."""
        order = self.find(account, params.get("order_id"), params.get("cl_ord_id"))
        if not order.live:
            raise Fail("EOrder:Unknown order")
        k = order.instrument
        merged = {
            "symbol": self.words.symbols[k], "order_type": "limit", "side": "buy" if order.side == BUY else "sell",
            "limit_price": self.words.price(k, order.price_ticks), "order_qty": self.words.qty(k, order.open_lots),
            "post_only": bool(order.flags & e.POST_ONLY),
        } | {name: value for name, value in params.items() if name not in ("order_id", "cl_ord_id")}  # fmt: skip
        read, expire_ns = self._read(merged, symbol)
        if read["instrument"] != k:
            raise Fail("EGeneral:Invalid arguments:pair")
        self.counter.add(account.index, k, 1 + _by_age(EDIT_AGE, self._age_ns(order)), self.now_ns)
        self._cancel(order)
        return order, self._place(account, read, expire_ns)

    def _age_ns(self, order: Order) -> int:
        return self.house.now_ns - int(order.extra.get("amended_ns", order.created_ns))

    # --- cancels ------------------------------------------------------------------------------------------------------

    def cancel(self, account: Account, order_id: object, client_id: object) -> Order:
        """cancel_order, of one."""
        order = self.find(account, order_id, client_id)
        if not order.live:
            raise Fail("EOrder:Unknown order")
        # A cancel is counted and never refused for it.
        points = _by_age(CANCEL_AGE, self._age_ns(order))
        self.counter.add(account.index, order.instrument, points, self.now_ns, must=False)
        self._cancel(order)
        return order

    def by_userref(self, account: Account, userref: object) -> list[Order]:
        """Open orders with a number of the client's.  Raises Fail if there are none."""
        found = [
            one for one in self.house.open_orders(account.index) if userref and one.extra.get("userref") == userref
        ]
        if not found:
            raise Fail("EOrder:Unknown order")
        return found

    def _cancel(self, order: Order) -> None:
        try:
            self.house.cancel(order)
        except Refused as refused:
            raise said(refused, self.house.states[order.instrument]) from None

    def cancel_all(self, account: int) -> int:
        """cancel_all: how many went, of all pairs."""
        try:
            return len(self.house.cancel_all(account))
        except Refused:
            raise Fail("EService:Unavailable") from None

    def cancel_all_after(self, account: Account, params: Params) -> int:
        """cancel_all_orders_after: the dead man's switch; when it will fire (the house's time), 0 if it is off."""
        timeout = decimal(params, "timeout")
        if timeout is None or timeout % 1 or timeout >= 86400:
            raise Fail("EGeneral:Invalid arguments:timeout")
        if timeout == 0:
            self._switches.pop(account.index, None)
            return 0
        self._switches[account.index] = self.house.now_ns + int(timeout) * SECOND_NS
        return self._switches[account.index]

    def tick(self, now_ns: int) -> None:
        """Orders that expire, and switches that fire, once."""
        self.now_ns = now_ns
        for order_id, when_ns in list(self._expiring.items()):
            if when_ns <= self.house.now_ns:
                del self._expiring[order_id]
                for account in self.house.accounts:
                    order = self.house.order(account.index, order_id)
                    if order is not None and order.live:
                        order.extra["expired"] = True
                        self._try_cancel(order)
        for index, when_ns in list(self._switches.items()):
            if when_ns <= self.house.now_ns:
                del self._switches[index]
                for order in self.house.open_orders(index):
                    self._try_cancel(order)

    def _try_cancel(self, order: Order) -> None:
        try:
            self.house.cancel(order)
        except Refused:
            self._expiring[order.id] = self.house.now_ns + SECOND_NS

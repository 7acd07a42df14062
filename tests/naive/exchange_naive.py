"""The obvious matching engine: dicts and lists, one method a command, each record said as a tuple.

Slow and plain, so that it can be read against the rules; the compiled engine must say the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pinnacle import event as e
from pinnacle.event import EVENT
from pinnacle.kernels.state import NO_PRICE

EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH, NONE, DECREMENT = range(5)
ORDERS, LEVELS, TRADES, TICKER = 1, 2, 4, 8
AT_ONCE = e.IOC | e.FOK | e.MARKET
PPB = 1_000_000_000


@dataclass(eq=False)
class Order:
    """An order that rests, or is about to."""

    owner: int
    order_id: int
    venue_id: int
    side: int
    price: int
    lots: int


@dataclass
class Person:
    """A participant; orders: its open ones by its own id, the oldest first."""

    maker_ppb: int = 0
    taker_ppb: int = 0
    stp: int = NONE
    orders_max: int = 1 << 32
    orders: dict[int, Order] = field(default_factory=dict)
    bought: int = 0
    sold: int = 0
    fees: int = 0


class ExchangeNaive:
    """One instrument; people[0] is nobody.  `said` collects (to, record as a tuple) until it is taken."""

    def __init__(self, people: list[Person], price_min: int, price_max: int, qty_max: int, units: int = 1) -> None:
        self.people = people
        self.price_min, self.price_max, self.qty_min, self.qty_max = price_min, price_max, 1, qty_max
        self.notional_min, self.notional_max, self.units = 0, 1 << 61, units
        self.publish = 15
        self.state = e.STATE_OPEN
        self.queues: dict[int, dict[int, list[Order]]] = {1: {}, -1: {}}
        self.commands = self.trades = self.venue_ids = 0
        self.top: dict[int, tuple[int, int]] = {1: (NO_PRICE, 0), -1: (NO_PRICE, 0)}
        self.said: list[list[Any]] = []

    # --- the books
    def best(self, side: int) -> int | None:
        """Best price of a side."""
        prices = self.queues[side]
        return None if not prices else max(prices) if side > 0 else min(prices)

    def level(self, side: int, price: int) -> int:
        """Lots at a price."""
        return sum(order.lots for order in self.queues[side].get(price, []))

    def reaches(self, side: int, price: int) -> bool:
        """Whether an order of this side and price meets the other side's best."""
        best = self.best(-side)
        return best is not None and (price - best) * side >= 0

    def enter(self, order: Order) -> None:
        """An order joins its queue."""
        self.queues[order.side].setdefault(order.price, []).append(order)

    def leave(self, order: Order) -> None:
        """An order leaves its queue."""
        queue = self.queues[order.side][order.price]
        queue.remove(order)
        if not queue:
            del self.queues[order.side][order.price]

    # --- saying
    def say(self, to: int, kind: int, order_id: int, side: int, price: int, lots: int, aux: int, flags: int) -> None:
        """One record."""
        self.said.append([to, self.seq, self.ts_ns, self.ts_ns, order_id, price, lots, aux, kind, side, flags, 0, 0])

    def end(self, to: int, kind: int, order_id: int, side: int, price: int, lots: int, reason: int = 0) -> None:
        """An end or a refusal."""
        self.say(to, kind, order_id, side, price, lots, 0, reason << e.REASON_SHIFT)

    def say_order(self, kind: int, order: Order) -> None:
        """Market data by order."""
        if self.publish & ORDERS:
            lots = 0 if kind == e.ORDER_DELETE else order.lots
            self.say(0, kind, order.venue_id, order.side, order.price, lots, 0, 0)

    def say_level(self, side: int, price: int) -> None:
        """Market data by level."""
        if self.publish & LEVELS:
            self.say(0, e.BOOK_LEVEL, 0, side, price, self.level(side, price), self.commands, 0)

    # --- commands
    def obey(self, command: np.void) -> None:
        """One command."""
        self.seq, self.ts_ns = int(command["seq"]), int(command["ts_ns"])
        names = ("kind", "aux", "order_id", "side", "price_ticks", "qty_lots", "flags")
        kind, owner, order_id, side, price, lots, flags = (int(command[name]) for name in names)
        self.commands += 1
        start = len(self.said)
        if kind == e.MARKET_STATE:
            if 0 <= owner <= 3:
                self.state = owner
                self.say(0, e.MARKET_STATE, 0, 0, 0, 0, owner, 0)
        elif not 0 < owner < len(self.people):
            pass
        elif kind == e.CANCEL:
            self.cancel(owner, order_id, side)
        elif kind == e.CANCEL_ALL:
            self.cancel_all(owner, side)
        elif kind == e.REPLACE:
            self.replace(owner, order_id, side, price, lots, flags)
        elif kind == e.PLACE:
            self.place(owner, order_id, side, price, lots, flags)
        for one in (1, -1):
            best = self.best(one)
            top = (NO_PRICE, 0) if best is None else (best, self.level(one, best))
            if self.publish & TICKER and top != self.top[one]:
                self.top[one] = top
                self.say(0, e.TICKER, 0, one, *top, self.commands, 0)
        market = [row for row in self.said[start:] if row[0] == 0]
        if market:
            market[-1][10] |= e.LAST

    def cancel(self, owner: int, order_id: int, side: int) -> None:
        """Cancel one order."""
        order = self.people[owner].orders.get(order_id)
        if self.state == e.STATE_HALTED:
            self.end(owner, e.CANCEL_REJECTED, order_id, side, 0, 0, e.END_STATE)
        elif order is None:
            self.end(owner, e.CANCEL_REJECTED, order_id, side, 0, 0, e.END_UNKNOWN_ORDER)
        else:
            self.end(owner, e.ORDER_CANCELLED, order_id, order.side, order.price, order.lots)
            self.depart(order)
            self.say_level(order.side, order.price)

    def cancel_all(self, owner: int, side: int) -> None:
        """Cancel all of a participant's orders of a side."""
        if self.state == e.STATE_HALTED:
            self.end(owner, e.CANCEL_REJECTED, 0, side, 0, 0, e.END_STATE)
            return
        for order in list(self.people[owner].orders.values()):
            if side in (0, order.side):
                self.cancel(owner, order.order_id, side)

    def filtered(self, price: int, lots: int, at: int | None) -> int:
        """The filters of the venue, in their order."""
        if not self.price_min <= price <= self.price_max:
            return e.END_PRICE_FILTER
        if not self.qty_min <= lots <= self.qty_max:
            return e.END_QTY_FILTER
        if at is not None and not self.notional_min <= at * lots * self.units <= self.notional_max:
            return e.END_NOTIONAL_FILTER
        return 0

    def refusal(self, owner: int, order_id: int, side: int, price: int, at: int | None, lots: int, flags: int) -> int:
        """Why a new order is refused."""
        kinds = [flag for flag in (e.IOC, e.FOK, e.POST_ONLY) if flags & flag]
        if len(kinds) > 1 or (flags & e.MARKET and flags & (e.POST_ONLY | e.FOK)):
            return e.END_MALFORMED
        if side not in (1, -1) or (flags >> e.STP_SHIFT) & 7 > 5 or not 0 < order_id < 1 << 40:
            return e.END_MALFORMED
        if self.state in (e.STATE_HALTED, e.STATE_CANCEL_ONLY):
            return e.END_STATE
        if self.state == e.STATE_POST_ONLY and flags & AT_ONCE:
            return e.END_STATE
        if order_id in self.people[owner].orders:
            return e.END_DUPLICATE
        reason = self.filtered(price, lots, at)
        if reason == 0 and not flags & AT_ONCE and len(self.people[owner].orders) >= self.people[owner].orders_max:
            return e.END_ORDERS_MAX
        return reason

    def place(self, owner: int, order_id: int, side: int, price: int, lots: int, flags: int) -> None:
        """A new order."""
        said, at = price, price
        if flags & e.MARKET:
            if price == 0:
                # As the rules count sides: what does not buy sells.
                price = self.price_max if side > 0 else self.price_min
            at = self.best(-1 if side > 0 else 1)
        reason = self.refusal(owner, order_id, side, price, at, lots, flags)
        if reason:
            self.end(owner, e.ORDER_REJECTED, order_id, side, said, lots, reason)
            return
        crosses = self.reaches(side, price)
        stp = self.stp_of(owner, flags)
        if crosses and (flags & e.POST_ONLY or self.state == e.STATE_POST_ONLY):
            reason = e.END_WOULD_CROSS
        elif crosses and flags & e.FOK and not self.fillable(owner, stp, side, price, lots):
            reason = e.END_UNFILLED
        elif not crosses and flags & AT_ONCE:
            reason = e.END_NO_LIQUIDITY
        if reason:
            self.end(owner, e.ORDER_EXPIRED, order_id, side, said, lots, reason)
            return
        order = Order(owner, order_id, 0, side, said, lots)
        if not flags & AT_ONCE:
            self.venue_ids += 1
            order.venue_id = self.venue_ids
            self.say(owner, e.ORDER_ACKNOWLEDGED, order_id, side, price, lots, order.venue_id, flags & e.POST_ONLY)
        self.trade(order, price, stp)
        self.come_to_rest(order, flags)

    def replace(self, owner: int, order_id: int, side: int, price: int, lots: int, flags: int) -> None:
        """Another price and quantity for an open order."""
        order = self.people[owner].orders.get(order_id)
        reason = 0
        if self.state in (e.STATE_HALTED, e.STATE_CANCEL_ONLY):
            reason = e.END_STATE
        elif order is None:
            reason = e.END_UNKNOWN_ORDER
        elif flags & AT_ONCE or (flags >> e.STP_SHIFT) & 7 > 5:
            reason = e.END_MALFORMED
        else:
            reason = self.filtered(price, lots, price)
        if reason or order is None:
            self.end(owner, e.REPLACE_REJECTED, order_id, side, price, lots, reason)
            return
        crosses = self.reaches(order.side, price)
        if crosses and (flags & e.POST_ONLY or self.state == e.STATE_POST_ONLY):
            self.end(owner, e.REPLACE_REJECTED, order_id, order.side, price, lots, e.END_WOULD_CROSS)
            return
        self.say(owner, e.ORDER_REPLACED, order_id, order.side, price, lots, order.venue_id, flags & e.POST_ONLY)
        before = order.price
        if crosses:
            self.depart(order)
            self.say_level(order.side, before)
            order = Order(owner, order_id, order.venue_id, order.side, price, lots)
            self.trade(order, price, self.stp_of(owner, flags))
            self.come_to_rest(order, flags)
            return
        if price == before and lots <= order.lots:
            order.lots = lots
        else:
            self.leave(order)
            order.price, order.lots = price, lots
            self.enter(order)
        self.say_order(e.ORDER_MODIFY, order)
        if price != before:
            self.say_level(order.side, before)
        self.say_level(order.side, price)

    # --- trading
    def stp_of(self, owner: int, flags: int) -> int:
        """The order's word on self-trades, else its participant's."""
        said = (flags >> e.STP_SHIFT) & 7
        return said - 1 if said else self.people[owner].stp

    def fillable(self, owner: int, stp: int, side: int, price: int, lots: int) -> bool:
        """Whether a fill-or-kill order fills, walking every order it would meet."""
        for at in sorted(self.queues[-side], reverse=side < 0):
            if (price - at) * side < 0:
                break
            for order in self.queues[-side][at]:
                if lots <= 0:
                    return True
                if order.owner != owner or stp == NONE:
                    lots -= order.lots
                elif stp != EXPIRE_MAKER:
                    return False
        return lots <= 0

    def trade(self, taker: Order, limit: int, stp: int) -> None:
        """Best price first, first come first."""
        touched = None
        while taker.lots and self.reaches(taker.side, limit):
            price = self.best(-taker.side)
            assert price is not None
            maker = self.queues[-taker.side][price][0]
            own = maker.owner == taker.owner and stp != NONE
            if own and stp == EXPIRE_TAKER:
                self.expire_taker(taker)
                break
            if touched is not None and touched != price:
                self.say_level(-taker.side, touched)
            touched = price
            if own:
                self.meet_own(taker, maker, stp)
                continue
            lots = min(taker.lots, maker.lots)
            self.trades += 1
            one, other = self.people[maker.owner], self.people[taker.owner]
            value = price * lots * self.units
            # Rounded up: against the participant, for a fee and for a rebate alike.
            maker_fee, taker_fee = -(-value * one.maker_ppb // PPB), -(-value * other.taker_ppb // PPB)
            front, took = e.FILL_QUEUE_FRONT << e.REASON_SHIFT, e.FILL_TAKER << e.REASON_SHIFT
            kind = e.ORDER_FILLED
            self.say(maker.owner, kind, maker.order_id, maker.side, price, lots, maker_fee, e.MAKER | front)
            self.say(taker.owner, kind, taker.order_id, taker.side, price, lots, taker_fee, took)
            if self.publish & TRADES:
                self.say(0, e.TRADE, maker.venue_id, taker.side, price, lots, self.trades, 0)
            for person, side, fee in ((one, maker.side, maker_fee), (other, taker.side, taker_fee)):
                person.fees += fee
                if side > 0:
                    person.bought += lots
                else:
                    person.sold += lots
            taker.lots -= lots
            self.lower(maker, lots)
        if touched is not None:
            self.say_level(-taker.side, touched)

    def lower(self, maker: Order, lots: int) -> None:
        """A resting order has less open."""
        if maker.lots == lots:
            self.depart(maker)
        else:
            maker.lots -= lots
            self.say_order(e.ORDER_MODIFY, maker)

    def expire_taker(self, taker: Order) -> None:
        """Self-trade prevention ends the incoming order."""
        self.end(taker.owner, e.ORDER_EXPIRED, taker.order_id, taker.side, taker.price, taker.lots, e.END_SELF_TRADE)
        taker.lots = 0

    def meet_own(self, taker: Order, maker: Order, stp: int) -> None:
        """Self-trade prevention that changes the resting order."""
        lots = maker.lots
        if stp == DECREMENT:
            lots = min(lots, taker.lots)
            for order in (maker, taker):
                if order.lots == lots:
                    self.end(
                        order.owner, e.ORDER_EXPIRED, order.order_id, order.side, order.price, lots, e.END_SELF_TRADE
                    )
                else:
                    self.say(
                        order.owner, e.ORDER_REPLACED, order.order_id, order.side, order.price, order.lots - lots,
                        order.venue_id, e.END_SELF_TRADE << e.REASON_SHIFT,
                    )  # fmt: skip
            taker.lots -= lots
        else:
            self.end(maker.owner, e.ORDER_EXPIRED, maker.order_id, maker.side, maker.price, lots, e.END_SELF_TRADE)
        self.lower(maker, lots)
        if stp == EXPIRE_BOTH:
            self.expire_taker(taker)

    def come_to_rest(self, order: Order, flags: int) -> None:
        """What is left of an incoming order."""
        if order.lots == 0:
            return
        if flags & AT_ONCE:
            self.end(order.owner, e.ORDER_EXPIRED, order.order_id, order.side, order.price, order.lots, e.END_UNFILLED)
            return
        self.enter(order)
        self.people[order.owner].orders[order.order_id] = order
        self.say_order(e.ORDER_ADD, order)
        self.say_level(order.side, order.price)

    def depart(self, order: Order) -> None:
        """A resting order leaves."""
        self.say_order(e.ORDER_DELETE, order)
        self.leave(order)
        del self.people[order.owner].orders[order.order_id]

    def take_said(self) -> tuple[np.ndarray, np.ndarray]:
        """(EVENT[n], int32[n]): what was said since, and to whom."""
        rows = np.array([tuple(row[1:]) for row in self.said], EVENT)
        to = np.array([row[0] for row in self.said], np.int32)
        self.said = []
        return rows, to

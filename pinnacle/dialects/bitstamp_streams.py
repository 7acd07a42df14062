"""Bitstamp's channels: levels whole and changed, single orders in a chain of events, trades, and one's own orders.

Levels of a market are told together every tick, single orders and trades at once.  Each step of a market has a
microsecond of its own, rising, which is what clients join a REST book with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.bitstamp_words import Words
from pinnacle.dialects.market import Batch, MarketEvent
from pinnacle.dialects.orders import Account, Happened, Order, Update
from pinnacle.event import ASK, BID, BUY
from pinnacle.limits import HOUSE_ENDED_ORDERS_MAX

if TYPE_CHECKING:
    from pinnacle.dialects.bitstamp import BitstampSession

BOOK_LEVELS = 100
encode = msgspec.json.encode
PUBLIC = ("order_book_", "diff_order_book_", "detail_order_book_", "live_orders_", "live_trades_")
PRIVATE = ("private-my_orders_", "private-my_trades_")
_EVENTS = {e.ORDER_ADD: "order_created", e.ORDER_MODIFY: "order_changed", e.ORDER_DELETE: "order_deleted"}


class _Chain:
    """Numbers of events, each naming the one before it."""

    def __init__(self, mark: int) -> None:
        self._mark, self._count = mark, 0
        self.last = self._text()

    def _text(self) -> str:
        high, middle, low = self._count >> 32, self._count >> 16 & 0xFFFF, self._count & 0xFFFF
        return f"{high:08x}-{middle:04x}-{low:04x}-0000-{self._mark:012x}"

    def next(self) -> tuple[str, str]:
        """(this event's, the one's before)."""
        before, self._count = self.last, self._count + 1
        self.last = self._text()
        return self.last, before


class Streams:
    """Who hears what.  spoil: the dialect's faults."""

    def __init__(self, words: Words, spoil: Callable[[str], bool]) -> None:
        self.words, self.spoil = words, spoil
        count = len(words.symbols)
        self.micros = [0] * count  # of the last step of each market
        self._sessions: dict[str, dict[BitstampSession, None]] = {}
        self._changed: list[dict[tuple[int, int], int]] = [{} for _ in range(count)]
        self._moved = [False] * count
        self._orders: list[dict[int, tuple[int, int, int]]] = [{} for _ in range(count)]  # side, ticks, lots
        self._chains = [_Chain(k + 1) for k in range(count)]
        self._own_chains = [_Chain(k + 1001) for k in range(count)]
        self._own_events: dict[tuple[int, int], deque[dict[str, Any]]] = {}

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def join(self, session: BitstampSession, channel: str) -> None:
        self._sessions.setdefault(channel, {})[session] = None

    def leave(self, session: BitstampSession, channel: str) -> None:
        sessions = self._sessions.get(channel)
        if sessions is not None:
            sessions.pop(session, None)
            if not sessions:
                del self._sessions[channel]

    def _send(self, channel: str, message: dict[str, Any]) -> None:
        sessions = self._sessions.get(channel)
        if sessions:
            raw = encode(message)
            for session in sessions:
                session.send(raw)

    # --- the market ---------------------------------------------------------------------------------------------------

    def market(self, batch: Batch, skew_ns: int) -> None:
        """A step of a market: orders and trades go out at once, levels wait for the tick."""
        k, symbol = batch.instrument, self.words.symbols[batch.instrument]
        micro = self.micros[k] = max(self.micros[k] + 1, (batch.ts_ns + skew_ns) // 1000)
        orders_wanted = f"live_orders_{symbol}" in self._sessions
        for one in batch.events():
            if one.kind == e.BOOK_LEVEL:
                self._changed[k][one.side, one.price_ticks] = one.qty_lots
                self._moved[k] = True
            elif one.kind == e.TRADE:
                self._trade(k, one, micro)
            elif one.kind in _EVENTS:
                self._order(k, one, micro, orders_wanted)

    def _trade(self, k: int, one: MarketEvent, micro: int) -> None:
        words, buy = self.words, one.side == BUY
        price, amount = words.price(k, one.price_ticks), words.amount(k, one.qty_lots)
        data = {
            "id": one.aux, "id_str": str(one.aux), "timestamp": str(micro // 1_000_000), "microtimestamp": str(micro),
            "amount": float(amount), "amount_str": amount, "price": float(price), "price_str": price,
            "type": 0 if buy else 1, "buy_order_id": one.taker_id if buy else one.order_id,
            "sell_order_id": one.order_id if buy else one.taker_id,
        }  # fmt: skip
        channel = f"live_trades_{words.symbols[k]}"
        self._send(channel, {"data": data, "channel": channel, "event": "trade"})

    def _order(self, k: int, one: MarketEvent, micro: int, wanted: bool) -> None:
        """An event of the chain; the chain goes on whether or not someone hears it."""
        number, before = self._chains[k].next()
        orders = self._orders[k]
        if one.kind == e.ORDER_DELETE:
            had = orders.pop(one.order_id, (one.side, one.price_ticks, one.qty_lots))
        else:
            had = orders[one.order_id] = (one.side, one.price_ticks, one.qty_lots)
        if not wanted or self.spoil("gap"):
            return
        words = self.words
        price, amount = words.price(k, had[1]), words.amount(k, one.qty_lots)
        data = {
            "id": one.order_id, "id_str": str(one.order_id), "order_type": 0 if had[0] == BUY else 1,
            "order_subtype": 0, "datetime": str(micro // 1_000_000), "microtimestamp": str(micro),
            "amount": float(amount), "amount_str": amount, "price": float(price), "price_str": price,
        }  # fmt: skip
        channel = f"live_orders_{words.symbols[k]}"
        self._send(channel, {
            "data": data, "channel": channel, "event": _EVENTS[one.kind], "event_id": number, "pre_event_id": before,
            "order_source": "orderbook",
        })  # fmt: skip

    def tick(self) -> None:
        """Levels that changed since the last tick, and whole books of the markets that moved."""
        for k, symbol in enumerate(self.words.symbols):
            changed, self._changed[k] = self._changed[k], {}
            if not self._moved[k]:
                continue
            self._moved[k] = False
            times = {"timestamp": str(self.micros[k] // 1_000_000), "microtimestamp": str(self.micros[k])}
            channel = f"diff_order_book_{symbol}"
            if channel in self._sessions and not self.spoil("gap"):
                sides = {
                    side: sorted(((p, q) for (s, p), q in changed.items() if s == side), reverse=side == BID)
                    for side in (BID, ASK)
                }
                self._send(channel, {"data": times | self._sides(k, sides), "channel": channel, "event": "data"})
            channel = f"order_book_{symbol}"
            if channel in self._sessions:
                sides = {side: self.words.house.levels(k, side, BOOK_LEVELS) for side in (BID, ASK)}
                self._send(channel, {"data": times | self._sides(k, sides), "channel": channel, "event": "data"})
            channel = f"detail_order_book_{symbol}"
            if channel in self._sessions:
                self._send(channel, {"data": times | self.detail(k, BOOK_LEVELS), "channel": channel, "event": "data"})

    def _sides(self, k: int, sides: dict[int, list[tuple[int, int]]]) -> dict[str, list[list[str]]]:
        return {"bids": self.words.level_rows(k, sides[BID]), "asks": self.words.level_rows(k, sides[ASK])}

    def detail(self, k: int, depth: int) -> dict[str, list[list[str]]]:
        """A book by orders: [price, amount, id]."""
        words = self.words
        return {
            name: [[words.price(k, ticks), words.amount(k, lots), str(number)]
                   for number, ticks, lots in words.house.resting(k, side, depth)]
            for name, side in (("bids", BID), ("asks", ASK))
        }  # fmt: skip

    def book(self, k: int, group: int) -> dict[str, Any]:
        """REST order_book, all of it; group 2: by orders."""
        self.micros[k] = self.micros[k] or self.words.house.now_ns // 1000
        times = {"timestamp": str(self.micros[k] // 1_000_000), "microtimestamp": str(self.micros[k])}
        if group == 2:
            return times | self.detail(k, 0)
        return times | self._sides(k, {side: self.words.house.levels(k, side) for side in (BID, ASK)})

    # --- one's own ----------------------------------------------------------------------------------------------------

    def private(self, update: Update, skew_ns: int) -> None:
        """An update of the house, as events of an account's own channels."""
        order, what = update.order, update.what
        names = {
            Happened.ACCEPTED: "order_created", Happened.FILLED: "order_changed", Happened.REPLACED: "order_changed",
            Happened.CANCELLED: "order_deleted", Happened.EXPIRED: "order_deleted",
        }  # fmt: skip
        if what not in names:
            return
        symbol, micro = self.words.symbols[order.instrument], (update.ts_ns + skew_ns) // 1000
        name = "order_deleted" if what is Happened.FILLED and not order.open_lots else names[what]
        if what is Happened.EXPIRED and update.reason == e.END_WOULD_CROSS:
            self._own(order, "order_created", micro, symbol)
        if update.fill is not None:
            fill, k = update.fill, order.instrument
            channel = f"private-my_trades_{symbol}-{order.account}"
            data = {
                "id": fill.id, "order_id": order.id, "client_order_id": order.client_id,
                "amount": self.words.amount(k, fill.qty_lots), "price": self.words.price(k, fill.price_ticks),
                "fee": self.words.money(fill.fee_currency, fill.fee_units),
                "side": "buy" if fill.side == BUY else "sell", "microtimestamp": str(micro),
                "trade_account_id": 0,
            }  # fmt: skip
            self._send(channel, {"data": data, "channel": channel, "event": "trade"})
        self._own(order, name, micro, symbol)

    def _own(self, order: Order, name: str, micro: int, symbol: str) -> None:
        number, before = self._own_chains[order.instrument].next()
        words, k = self.words, order.instrument
        rest = words.amount(k, order.open_lots if order.live else order.rest_lots)
        price = words.order_price(order)
        data = {
            "id": order.id, "id_str": str(order.id), "client_order_id": order.client_id,
            "order_type": 0 if order.side == BUY else 1, "order_subtype": 0, "datetime": str(micro // 1_000_000),
            "microtimestamp": str(micro), "amount": float(rest), "amount_str": rest,
            "amount_traded": words.amount(k, order.filled_lots), "amount_at_create": words.amount(k, order.qty_lots),
            "price": float(price), "price_str": price, "is_liquidation": False, "trade_account_id": 0,
        }  # fmt: skip
        channel = f"private-my_orders_{symbol}-{order.account}"
        message = {
            "data": data, "channel": channel, "event": name, "event_id": number, "pre_event_id": before,
            "order_source": "orderbook",
        }  # fmt: skip
        kept = self._own_events.setdefault((order.account, k), deque(maxlen=HOUSE_ENDED_ORDERS_MAX))
        kept.append({name: value for name, value in message.items() if name != "channel"})
        self._send(channel, message)

    def own_events(self, account: Account, k: int) -> list[dict[str, Any]]:
        """The events of an account's orders in a market that are remembered, oldest first."""
        return list(self._own_events.get((account.index, k), ()))

"""How a session stands, worked out from its log alone: books, quotes, positions, money, links, rates.

It follows the same records as the engine and shares no code with it, so that what is seen on the screen is a second
opinion.  Whole batches are taken with arrays; only what is left of them is looked at one by one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from pinnacle import event
from pinnacle.instrument import Instrument
from pinnacle.log.told_book import ToldBook

# Latencies kept for a percentile, fills kept for a list.
_LATENCIES = 4096
_FILLS = 5

_LINKS = {
    event.LINK_UP: "live", event.LINK_DOWN: "down", event.LINK_GAP: "gap", event.LINK_STALE: "stale",
}  # fmt: skip
_ENDS = (event.ORDER_REJECTED, event.ORDER_CANCELLED, event.ORDER_EXPIRED)


@dataclass
class Order:
    """One of our orders as far as the log says."""

    side: int
    price_ticks: int
    open_lots: int


@dataclass
class Place:
    """One instrument."""

    instrument: Instrument
    link: str = "down"
    book: ToldBook = field(default_factory=ToldBook)
    orders: dict[int, Order] = field(default_factory=dict)
    position_lots: int = 0
    cash_units: int = 0
    fees_units: int = 0
    fills: int = 0
    trade_ticks: int = 0

    def quote(self, side: int) -> int | None:
        prices = [one.price_ticks for one in self.orders.values() if one.side == side]
        if not prices:
            return None
        return max(prices) if side > 0 else min(prices)

    @property
    def pnl_units(self) -> int:
        """Cash and what is held at the mid, less fees."""
        bid, ask = self.book.best(1), self.book.best(-1)
        mid2 = bid + ask if bid is not None and ask is not None else 2 * self.trade_ticks
        held2 = self.position_lots * mid2 * self.instrument.units_per_ticklot
        return self.cash_units - self.fees_units + held2 // 2


class Standing:
    """take: the next records of the log."""

    def __init__(self, instruments: list[Instrument]) -> None:
        self.places = [Place(one) for one in instruments]
        self.records = self.rows = self.messages = self.commands = 0
        self.last_ns = 0
        self.paused = ""
        self.alerts: dict[str, int] = {}
        self.latencies_ns: deque[int] = deque(maxlen=_LATENCIES)
        self.fills: deque[tuple[int, int, int, int, int]] = deque(maxlen=_FILLS)

    def take(self, records: np.ndarray) -> None:
        kinds = records["kind"]
        self.records += records.size
        if records.size:
            self.last_ns = int(records["ts_ns"][-1])
        market = kinds <= event.MARKET_KIND_MAX
        self.rows += int(market.sum())
        self.messages += int((market & (records["flags"] & event.LAST != 0)).sum())
        self.commands += int(((kinds == event.PLACE) | (kinds == event.CANCEL)).sum())
        told = (kinds == event.BOOK_LEVEL) | (kinds == event.TRADE)
        dated = records[told & (records["ts_venue_ns"] != 0)][-_LATENCIES:]
        self.latencies_ns.extend((dated["ts_ns"] - dated["ts_venue_ns"]).tolist())
        for k, place in enumerate(self.places):
            self._books(place, records[(records["instrument"] == k) & (kinds <= event.BOOK_LEVEL)])
        rest = records[~told & (kinds > event.BOOK_LEVEL) & (kinds != event.TIMER) & (kinds != event.TICKER)]
        for record in rest:
            self._one(record)
        trades = records[kinds == event.TRADE]
        for k, place in enumerate(self.places):
            mine = trades["price_ticks"][trades["instrument"] == k]
            if mine.size:
                place.trade_ticks = int(mine[-1])

    def _books(self, place: Place, rows: np.ndarray) -> None:
        """Levels and clears of one instrument, in order."""
        clears = np.flatnonzero(rows["kind"] == event.BOOK_CLEAR)
        start = 0
        for at in clears.tolist():
            self._levels(place, rows[start:at])
            place.book.clear(int(rows["side"][at]), int(rows["price_ticks"][at]))
            start = at + 1
        self._levels(place, rows[start:])

    def _levels(self, place: Place, rows: np.ndarray) -> None:
        """The last word on each level of a stretch without clears."""
        for side in (1, -1):
            mine = rows[rows["side"] == side][::-1]
            prices, first = np.unique(mine["price_ticks"], return_index=True)
            for ticks, lots in zip(prices.tolist(), mine["qty_lots"][first].tolist()):
                place.book.set(side, ticks, lots)

    def _one(self, record: np.void) -> None:
        kind, k = int(record["kind"]), int(record["instrument"])
        place, order_id = self.places[k], int(record["order_id"])
        if kind in _LINKS:
            place.link = _LINKS[kind]
        elif kind == event.PLACE:
            place.orders[order_id] = Order(int(record["side"]), int(record["price_ticks"]), int(record["qty_lots"]))
        elif kind == event.ORDER_FILLED:
            self._fill(place, record)
        elif kind in _ENDS:
            place.orders.pop(order_id, None)
        elif kind == event.OPERATOR_RESUME:
            self.paused = ""
        elif event.OPERATOR_PAUSE <= kind <= event.OPERATOR_KILL:
            self.paused = event.KIND_NAMES[kind].removeprefix("operator_")
        elif kind == event.ALERT:
            name = event.ALERT_NAMES.get(int(record["aux"]), "other")
            self.alerts[name] = self.alerts.get(name, 0) + 1

    def _fill(self, place: Place, record: np.void) -> None:
        side, lots, ticks = int(record["side"]), int(record["qty_lots"]), int(record["price_ticks"])
        place.fills += 1
        place.position_lots += side * lots
        place.cash_units -= side * lots * ticks * place.instrument.units_per_ticklot
        place.fees_units += int(record["aux"])
        order = place.orders.get(int(record["order_id"]))
        if order is not None:
            order.open_lots -= lots
            if order.open_lots <= 0:
                del place.orders[int(record["order_id"])]
        self.fills.append((int(record["ts_ns"]), int(record["instrument"]), side, ticks, lots))

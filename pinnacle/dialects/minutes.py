"""An instrument's prices by the minute: what tickers and charts of a venue are made of.

Whole ticks and lots; at most limits.HOUSE_MINUTES_MAX minutes, the oldest forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from pinnacle.dialects.market import MarketEvent
from pinnacle.event import BUY
from pinnacle.limits import HOUSE_MINUTES_MAX

MINUTE_NS = 60_000_000_000


@dataclass(slots=True)
class Minute:
    """Trades from start_ns on.  value_ticklots: sum of price_ticks * lots; taken_*: those in which the taker bought."""

    start_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    lots: int = 0
    value_ticklots: int = 0
    taken_lots: int = 0
    taken_ticklots: int = 0
    count: int = 0
    first_id: int = 0
    last_id: int = 0

    def add(self, trade: MarketEvent) -> None:
        """Count one trade."""
        price, lots = trade.price_ticks, trade.qty_lots
        self.high_ticks, self.low_ticks = max(self.high_ticks, price), min(self.low_ticks, price)
        self.close_ticks = price
        self.lots += lots
        self.value_ticklots += price * lots
        if trade.side == BUY:
            self.taken_lots += lots
            self.taken_ticklots += price * lots
        self.count += 1
        self.first_id = self.first_id or trade.aux
        self.last_id = trade.aux

    def join(self, later: Minute) -> None:
        """Take a later stretch into this one."""
        self.high_ticks, self.low_ticks = max(self.high_ticks, later.high_ticks), min(self.low_ticks, later.low_ticks)
        self.close_ticks, self.last_id = later.close_ticks, later.last_id
        self.lots += later.lots
        self.value_ticklots += later.value_ticklots
        self.taken_lots += later.taken_lots
        self.taken_ticklots += later.taken_ticklots
        self.count += later.count


class Minutes:
    """The minutes of one instrument, oldest first; those without trades are not kept."""

    def __init__(self) -> None:
        self.kept: deque[Minute] = deque(maxlen=HOUSE_MINUTES_MAX)

    def add(self, trade: MarketEvent) -> None:
        """Count a trade; times never go back."""
        start_ns = trade.ts_ns // MINUTE_NS * MINUTE_NS
        if not self.kept or self.kept[-1].start_ns != start_ns:
            price = trade.price_ticks
            self.kept.append(Minute(start_ns, price, price, price, price))
        self.kept[-1].add(trade)

    def bars(self, step_ns: int, first_ns: int = 0, last_ns: int = 1 << 62) -> Iterator[Minute]:
        """Bars of step_ns (whole minutes) that begin in first_ns .. last_ns, oldest first; those without trades are
        left out."""
        bar: Minute | None = None
        for minute in self.kept:
            start_ns = minute.start_ns // step_ns * step_ns
            if not first_ns <= start_ns <= last_ns:
                continue
            if bar is None or bar.start_ns != start_ns:
                if bar is not None:
                    yield bar
                bar = Minute(start_ns, minute.open_ticks, minute.high_ticks, minute.low_ticks, minute.close_ticks)
                bar.first_id = minute.first_id
            bar.join(minute)
        if bar is not None:
            yield bar

    def since(self, first_ns: int) -> Minute | None:
        """Everything from first_ns on as one; None without trades."""
        found: Minute | None = None
        for minute in self.kept:
            if minute.start_ns < first_ns:
                continue
            if found is None:
                found = Minute(
                    minute.start_ns, minute.open_ticks, minute.high_ticks, minute.low_ticks, minute.close_ticks
                )
                found.first_id = minute.first_id
            found.join(minute)
        return found

"""What the desk knows from the log alone: which fills were counted, what the venue calls our orders, what was decided.

This is all that must survive a crash, and all of it is records: ORDER_FILLED behind its FILL_ID, the venue's number in
ORDER_ACKNOWLEDGED, OPERATOR_* and RECONCILED.  A fill whose FILL_ID is the last record of a torn log was not counted,
and is found again by the first comparison.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from pinnacle.event import (
    DIFFERENCE_NONE,
    FILL_ID,
    OPERATOR_FLATTEN,
    OPERATOR_KILL,
    OPERATOR_PAUSE,
    OPERATOR_RESUME,
    ORDER_ACKNOWLEDGED,
    ORDER_FILLED,
    RECONCILED,
)
from pinnacle.execution.safety import Safety
from pinnacle.limits import ENDED_ORDERS_MAX, FILL_IDS_MAX


class FillIds:
    """Trade ids of one instrument that were counted; the last limits.FILL_IDS_MAX."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._order: deque[int] = deque()

    def __contains__(self, trade_id: int) -> bool:
        return trade_id in self._ids

    def add(self, trade_id: int) -> None:
        if trade_id in self._ids:
            return
        self._ids.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) > FILL_IDS_MAX:
            self._ids.discard(self._order.popleft())

    def between(self, first: int, last: int) -> list[int]:
        """Those from first to last, both included."""
        return sorted(one for one in self._ids if first <= one <= last)


class Memory:
    """fills: by instrument.  venue_ids: order -> venue's number, of the last orders.  filled: order -> lots.
    watermark: instrument -> trade id up to which every fill is known.  price_ticks: instrument -> of its last fill."""

    def __init__(self) -> None:
        self.fills: dict[int, FillIds] = {}
        self.venue_ids: dict[int, int] = {}
        self.filled: dict[int, int] = {}
        self.watermark: dict[int, int] = {}
        self.price_ticks: dict[int, int] = {}
        self.ts_ns = 0
        self._fill_id = 0

    def of(self, instrument: int) -> FillIds:
        """The counted fills of an instrument."""
        return self.fills.setdefault(instrument, FillIds())

    def name(self, order_id: int, venue_id: int) -> None:
        """The venue calls our order so."""
        self.venue_ids[order_id] = venue_id
        while len(self.venue_ids) > 4 * ENDED_ORDERS_MAX:
            self.venue_ids.pop(next(iter(self.venue_ids)))

    def counted(self, order_id: int, lots: int) -> None:
        """That much more of an order was filled."""
        self.filled[order_id] = self.filled.get(order_id, 0) + lots
        while len(self.filled) > 4 * ENDED_ORDERS_MAX:
            self.filled.pop(next(iter(self.filled)))

    def take(self, records: np.ndarray, safety: Safety) -> None:
        """The next records of the log."""
        for record in records[_KINDS[records["kind"]]]:
            kind, instrument = int(record["kind"]), int(record["instrument"])
            self.ts_ns = int(record["ts_ns"])
            if kind == FILL_ID:
                self._fill_id = int(record["aux"])
            elif kind == ORDER_FILLED:
                self.of(instrument).add(self._fill_id)
                self.price_ticks[instrument] = int(record["price_ticks"])
                self.counted(int(record["order_id"]), int(record["qty_lots"]))
            elif kind == ORDER_ACKNOWLEDGED:
                if record["aux"]:
                    self.name(int(record["order_id"]), int(record["aux"]))
            elif kind == RECONCILED:
                if int(record["aux"]) == DIFFERENCE_NONE:
                    self.watermark[instrument] = int(record["order_id"])
            else:
                safety.remember(record)


_KINDS = np.zeros(256, bool)
_KINDS[[
    FILL_ID, ORDER_FILLED, ORDER_ACKNOWLEDGED, RECONCILED, OPERATOR_PAUSE, OPERATOR_RESUME, OPERATOR_FLATTEN,
    OPERATOR_KILL,
]] = True  # fmt: skip

"""What a reader of a feed's records knows: its book, whether it may be trusted, and the contract it can hold it to."""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    ASK,
    BID,
    BOOK_CLEAR,
    BOOK_LEVEL,
    LAST,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    ORDER_ADD,
    ORDER_DELETE,
    ORDER_MODIFY,
    SNAPSHOT,
)

LOSSES = (LINK_DOWN, LINK_GAP, LINK_STALE)
OF_THE_BOOK = (BOOK_CLEAR, BOOK_LEVEL, ORDER_ADD, ORDER_MODIFY, ORDER_DELETE)


class Fold:
    """One instrument's records, kept in dicts.  Asserts that nothing is said of a book that is not live."""

    def __init__(self, instrument: int = 0) -> None:
        self.instrument = instrument
        self.levels: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self.orders: dict[int, tuple[int, int, int]] = {}  # side, ticks, lots, in the order of their queues
        self.live = False
        self.losses: list[tuple[int, int]] = []
        self.rows = 0

    def hear(self, rows: np.ndarray) -> None:
        """The records of one call of a feed."""
        if rows.size:
            assert rows["flags"][-1] & LAST and not rows["seq"].any()
        whole = False
        for row in rows[rows["instrument"] == self.instrument]:
            self.rows += 1
            kind, side, ticks, lots = (int(row[name]) for name in ("kind", "side", "price_ticks", "qty_lots"))
            order = int(row["order_id"])
            if kind == BOOK_CLEAR:
                whole = True
                self.levels, self.orders = {BID: {}, ASK: {}}, {}
            elif kind == LINK_UP:
                assert whole
                whole, self.live = False, True
            elif kind in LOSSES:
                self.live = False
                self.losses.append((kind, int(row["aux"])))
            if kind in OF_THE_BOOK:
                assert self.live or whole
                assert bool(row["flags"] & SNAPSHOT) == whole
            if kind == BOOK_LEVEL:
                if lots:
                    self.levels[side][ticks] = lots
                else:
                    self.levels[side].pop(ticks, None)
            elif kind == ORDER_ADD:
                assert order > 0 and order not in self.orders
                self.orders[order] = (side, ticks, lots)
            elif kind == ORDER_MODIFY:
                before = self.orders[order]
                if before[1] != ticks or lots > before[2]:
                    del self.orders[order]
                self.orders[order] = (side, ticks, lots)
            elif kind == ORDER_DELETE:
                del self.orders[order]
        assert not whole

    def side(self, side: int) -> list[tuple[int, int]]:
        """(price_ticks, qty_lots), best first, of levels or of the orders summed."""
        levels = dict(self.levels[side])
        for own_side, ticks, lots in self.orders.values():
            if own_side == side:
                levels[ticks] = levels.get(ticks, 0) + lots
        return sorted(levels.items(), reverse=side == BID)

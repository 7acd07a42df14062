"""A recording of single orders on its way into a run: batches of order rows become the levels that the engine hears.

The book of orders is kept here, once for all lanes and in a replay just as in the run; what the venue must know of each
order travels with the rows.  Orders that nobody knows change nothing and are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pinnacle.errors import HistoryError
from pinnacle.event import ASK, BID, BOOK_LEVEL, EVENT, ORDER_ADD, ORDER_DELETE, ORDER_MODIFY
from pinnacle.kernels.book_l3 import move_window, new_book_l3
from pinnacle.kernels.order_rows import AHEAD, HEARD_FULL, HEARD_ROOM_MIN, ORDERS_FULL, WALK, WALKED, hear_orders
from pinnacle.kernels.state import NO_PRICE
from pinnacle.limits import BOOK_WINDOW_TICKS, L3_ORDERS_MAX, L3_WALK_ORDERS_START
from pinnacle.log.segment import read_segment

_ORDER_KINDS = (ORDER_ADD, ORDER_MODIFY, ORDER_DELETE)


def holds_orders(paths: Sequence[Path]) -> bool:
    """Whether a history is of single orders: its first rows tell.  Raises DiskError for a file that cannot be read."""
    for path in paths:
        for events in read_segment(path):
            if events.size:
                return has_orders(events)
    return False


def has_orders(events: np.ndarray) -> bool:
    """Whether a row of single orders is among events."""
    return bool(np.isin(events["kind"], _ORDER_KINDS).any())


class OrderWalk:
    """The book of one recording of single orders, and the rows it becomes, a batch at a time."""

    def __init__(self) -> None:
        self._book = new_book_l3(L3_WALK_ORDERS_START)
        self._walk = np.zeros(1, WALK)
        self._walk["entries"] = AHEAD

    @property
    def counts(self) -> dict[str, int]:
        """What was found and left out so far, by name."""
        book, walk = self._book.books[0], self._walk[0]
        return {
            "changes and deletions of unknown orders": int(book["unknown"]),
            "orders added twice": int(book["duplicates"]),
            "orders that cannot be": int(book["refused"]),
            "trades that name no order": int(walk["trades_unnamed"]),
            "trades of unknown orders": int(walk["trades_unknown"]),
        }

    def heard(self, events: np.ndarray, path: Path) -> np.ndarray:
        """What the engine hears of the next events of the recording, with stamps in seq (see kernels/order_rows).

        Raises HistoryError if levels stand among the orders, or more orders are open than limits.L3_ORDERS_MAX.
        """
        if (events["kind"] == BOOK_LEVEL).any():
            raise HistoryError(
                f"{path}: holds levels among single orders, so that neither book is whole; import the recording of one "
                "of them alone"
            )
        parts: list[np.ndarray] = []
        at = 0
        while True:
            target = np.zeros(2 * (events.size - at) + HEARD_ROOM_MIN, EVENT)
            at, count, why = hear_orders(*self._book.args, self._walk[0], events, at, target)
            parts.append(target[:count])
            if why == WALKED:
                return parts[0] if len(parts) == 1 else np.concatenate(parts)
            if why == ORDERS_FULL:
                if not self._book.grow():
                    raise HistoryError(
                        f"{path}: more than {L3_ORDERS_MAX:,} orders are open at once; the recording does not say when "
                        "they leave, so import it from a later start"
                    )
            elif why != HEARD_FULL:
                parts.append(self._moved(events[at]))

    def _moved(self, event: np.void) -> np.ndarray:
        """Move the window as the walk asks: rows of the levels that leave it, as empty, and of those that come in."""
        before = self._levels()
        book, orders, _ = self._book.args
        move_window(book, orders, int(self._walk[0]["window_ticks"]))
        after = self._levels()
        changes: list[tuple[int, int, int]] = []
        for side in (BID, ASK):
            changes += [(side, price, 0) for price in before[side] if price not in after[side]]
        for side in (BID, ASK):
            changes += [(side, price, lots) for price, lots in after[side].items() if before[side].get(price) != lots]
        rows = np.zeros(len(changes), EVENT)
        for name in ("ts_ns", "venue", "instrument"):
            rows[name] = event[name]
        rows["ts_venue_ns"] = self._walk[0]["latest_ns"]
        rows["kind"] = BOOK_LEVEL
        if changes:
            rows["side"], rows["price_ticks"], rows["qty_lots"] = (list(column) for column in zip(*changes))
        return rows

    def _levels(self) -> dict[int, dict[int, int]]:
        """By side: lots at each price that the window holds."""
        book = self._book.books[0]["book"]
        found: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        base = int(book["base_ticks"])
        if base == NO_PRICE:
            return found
        for s, side in enumerate((BID, ASK)):
            at = np.flatnonzero(book["lots"][s])
            prices = base + (at if side == BID else BOOK_WINDOW_TICKS - 1 - at)
            found[side] = dict(zip(prices.tolist(), book["lots"][s][at].tolist()))
        return found

"""What the tests of feeds share: recorded lines with their times, and a plain book made of a feed's records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
    TICKER,
    TRADE,
)
from pinnacle.venues.feed import Feed, Rows


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(time of receipt in ns, message) of each line of a `.raw` tape that was received on its connection."""
    for line in path.read_bytes().splitlines():
        head, _, body = line.partition(b": ")
        if body and head.replace(b".", b"").isdigit():
            whole, _, fraction = head.decode().partition(".")
            yield int(whole + fraction.ljust(9, "0")[:9]), body


class PlainBooks:
    """Books by (venue, instrument) out of records, with dicts, and the promises that a feed makes about records."""

    def __init__(self) -> None:
        self.levels: dict[int, dict[int, dict[int, int]]] = {}
        self.orders: dict[int, dict[int, list[int]]] = {}
        self.live: dict[int, bool] = {}
        self.trades: list[tuple[int, int, int, int, int]] = []  # instrument, side, ticks, lots, id
        self.tickers: list[tuple[int, int, int, int, int]] = []  # instrument, side, ticks, lots, aux
        self.links: list[tuple[int, int, int]] = []  # instrument, kind, cause
        self._whole: set[int] = set()

    def hear(self, rows: np.ndarray) -> None:
        """Records of one call of a feed."""
        for row in rows:
            who, kind, side = int(row["instrument"]), int(row["kind"]), int(row["side"])
            ticks, lots = int(row["price_ticks"]), int(row["qty_lots"])
            levels = self.levels.setdefault(who, {BID: {}, ASK: {}})
            orders = self.orders.setdefault(who, {})
            assert row["seq"] == 0
            if kind == BOOK_CLEAR:
                levels[BID].clear(), levels[ASK].clear(), orders.clear()
                self._whole.add(who)
            elif kind == LINK_UP:
                assert who in self._whole and row["flags"] & LAST
                self.live[who] = True
                self._whole.discard(who)
                self.links.append((who, kind, int(row["aux"])))
            elif kind in (LINK_DOWN, LINK_GAP, LINK_STALE):
                assert row["flags"] & LAST and row["aux"] > 0
                self.live[who] = False
                self.links.append((who, kind, int(row["aux"])))
            elif kind in (BOOK_LEVEL, ORDER_ADD, ORDER_MODIFY, ORDER_DELETE):
                assert self.live.get(who) or who in self._whole, "a level of a book that is not live"
                if kind == BOOK_LEVEL:
                    if lots:
                        levels[side][ticks] = lots
                    else:
                        levels[side].pop(ticks, None)
                else:
                    self._order(orders, kind, int(row["order_id"]), side, ticks, lots)
            elif kind == TRADE:
                self.trades.append((who, side, ticks, lots, int(row["aux"])))
            elif kind == TICKER:
                self.tickers.append((who, side, ticks, lots, int(row["aux"])))
        assert not rows.size or rows[-1]["flags"] & LAST, "the last record of a message says so"

    def _order(self, orders: dict[int, list[int]], kind: int, order_id: int, side: int, ticks: int, lots: int) -> None:
        if kind == ORDER_ADD:
            assert order_id not in orders
            orders[order_id] = [side, ticks, lots]
        elif kind == ORDER_MODIFY:
            assert orders[order_id][0] == side
            orders[order_id] = [side, ticks, lots]
        else:
            assert orders.pop(order_id)[0] == side

    def summed(self, who: int) -> dict[int, dict[int, int]]:
        """The levels that the single orders make."""
        levels: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        for side, ticks, lots in self.orders[who].values():
            levels[side][ticks] = levels[side].get(ticks, 0) + lots
        return levels

    def best(self, who: int) -> tuple[int, int]:
        """(best bid, best ask) in ticks, 0 where a side is empty."""
        return max(self.levels[who][BID], default=0), min(self.levels[who][ASK], default=0)


class Player:
    """A feed and the books of what it says."""

    def __init__(self, feed: Feed, ts_ns: int = 1_000_000_000) -> None:
        self.feed, self.rows, self.books, self.ts_ns = feed, Rows(), PlainBooks(), ts_ns
        feed.opened(ts_ns, self.rows)
        self.hear()

    def hear(self) -> np.ndarray:
        """Take what was written."""
        said = self.rows.take().copy()
        self.books.hear(said)
        return said

    def receive(self, data: bytes, ts_ns: int | None = None) -> np.ndarray:
        """One message."""
        self.ts_ns = self.ts_ns if ts_ns is None else ts_ns
        self.feed.received(data, self.ts_ns, self.rows)
        return self.hear()

    def answer(self, tag: str, status: int, body: bytes) -> np.ndarray:
        """What came of a fetch."""
        self.feed.answered(tag, status, body, self.ts_ns, self.rows)
        return self.hear()

    def tick(self, ts_ns: int) -> np.ndarray:
        """Time goes by."""
        self.ts_ns = ts_ns
        self.feed.tick(ts_ns, self.rows)
        return self.hear()

    def close(self) -> np.ndarray:
        """The connection ended."""
        self.feed.closed(self.ts_ns, self.rows)
        return self.hear()

    def sent(self) -> list[bytes]:
        """What the feed wants sent, taken."""
        sends, self.feed.sends = list(self.feed.sends), []
        return sends

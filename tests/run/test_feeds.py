"""Feeds: a history of single orders becomes levels and stamps, beside levels too; what cannot be walked is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnacle.errors import HistoryError
from pinnacle.event import ASK, BID, BOOK_LEVEL, LAST, TRADE
from pinnacle.kernels.order_rows import JOINED, LEFT, WHO
from pinnacle.log.segment import write_segment
from pinnacle.run.feeds import Feed, Source
from tests.kernels.order_market import add, change, delete, traded
from tests.kernels.scene import ask, bid


def history(path: Path, *rows: np.ndarray) -> Path:
    """A day file of rows."""
    events = np.concatenate(rows)
    events["seq"] = np.arange(events.size)
    write_segment(path, [events], {})
    return path


ORDERS = (
    add(1, 7, BID, 100, 5), add(2, 8, BID, 100, 3), change(3, 7, BID, 100, 9), delete(4, 8, BID, 100),
    traded(5, ASK, 100, 3, 8), delete(6, 99, BID, 101),
)  # fmt: skip


def test_single_orders_are_heard_as_levels_and_told_to_the_venue_by_entry(tmp_path: Path) -> None:
    """Order 7 grows, so it leaves and joins again behind 8; the trade is told which entry it executed; strangers change
    nothing and end their message all the same."""
    feed = Feed([Source([history(tmp_path / "orders.parquet", *ORDERS)], 0, 0)])
    rows, heard = next(feed.woven())
    assert heard["kind"].tolist() == [BOOK_LEVEL] * 5 + [TRADE, BOOK_LEVEL]
    assert heard["qty_lots"].tolist() == [5, 8, 3, 12, 9, 3, 0]
    assert heard["flags"].tolist() == [LAST, LAST, 0, LAST, LAST, LAST, LAST]
    assert heard["order_id"].tolist() == [7, 8, 7, 7, 8, 8, 99]
    told = rows[rows["venue_kind"] != 0]
    assert told["venue_kind"].tolist() == [JOINED, JOINED, WHO, LEFT, JOINED, WHO, LEFT, WHO, TRADE, BOOK_LEVEL]
    assert told["qty_lots"][told["venue_kind"] == WHO].tolist() == [2, 3, 3]
    assert rows[rows["kind"] != 0].size == heard.size
    assert feed.walks[0] is not None and feed.walks[0].counts["changes and deletions of unknown orders"] == 1


def test_orders_beside_levels_keep_the_venues_order(tmp_path: Path) -> None:
    """Orders and levels of two markets are merged by time; a number of a level's row is never taken for an entry."""
    levels = history(
        tmp_path / "levels.parquet", *[bid(k, 50, k, flags=LAST) for k in range(1, 7)], ask(7, 51, 1, ts_venue_ns=2)
    )
    orders = history(tmp_path / "orders.parquet", *ORDERS)
    rows = np.concatenate([batch for batch, _ in Feed([Source([orders], 0, 0), Source([levels], 1, 0)]).woven()])
    alone = np.concatenate([batch for batch, _ in Feed([Source([orders], 0, 0)]).woven()])
    lived = rows[rows["venue_kind"] != 0]
    assert (np.diff(lived["ts_venue_ns"]) >= 0).all()
    assert rows[rows["instrument"] == 0].tobytes() == alone.tobytes()
    assert set(lived["venue_kind"][lived["instrument"] == 1].tolist()) == {BOOK_LEVEL}


def test_levels_and_orders_in_one_history_are_refused(tmp_path: Path) -> None:
    """Neither book would be whole, so such a history is an error that names the file and never a wrong market."""
    mixed = history(tmp_path / "mixed.parquet", *ORDERS, bid(9, 50, 1))
    with pytest.raises(HistoryError, match=r"mixed\.parquet: holds levels among single orders"):
        list(Feed([Source([mixed], 0, 0)]).woven())
    first, second = history(tmp_path / "1.parquet", bid(1, 50, 1)), history(tmp_path / "2.parquet", *ORDERS)
    with pytest.raises(HistoryError, match=r"2\.parquet: holds single orders, and the history .* begins with levels"):
        list(Feed([Source([first, second], 0, 0)]).woven())

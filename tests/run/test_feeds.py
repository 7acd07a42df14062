"""Feeds: what a run cannot walk is refused before it starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnacle.errors import HistoryError
from pinnacle.event import EVENT, LAST, ORDER_ADD
from pinnacle.log.segment import write_segment
from pinnacle.run.feeds import Feed, Source


def test_history_of_single_orders_is_refused(tmp_path: Path) -> None:
    """A book of single orders is not kept by a backtest, so such a history is an error and never an empty market."""
    rows = np.zeros(3, EVENT)
    rows["ts_ns"] = rows["ts_venue_ns"] = [1, 2, 3]
    rows["kind"], rows["order_id"], rows["side"], rows["flags"] = ORDER_ADD, [1, 2, 3], 1, LAST
    rows["price_ticks"], rows["qty_lots"], rows["seq"] = 100, 5, [0, 1, 2]
    path = tmp_path / "orders.parquet"
    write_segment(path, [rows], {})
    with pytest.raises(HistoryError, match=r"orders\.parquet: holds single orders"):
        next(Feed([Source([path], 0, 0)]).woven())

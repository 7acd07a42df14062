"""Tardis CSV files (incremental_book_L2, trades, quotes, book_ticker) as column maps; times are microseconds.

Format: https://docs.tardis.dev/downloadable-csv-files.  A file holds one kind of one symbol and day; several of them
given together are merged on local_timestamp, trades before quotes before book at equal times.
"""

from __future__ import annotations

from pinnacle import event
from pinnacle.history.columns import ColumnMap

_SIDES = {"bid": event.BID, "ask": event.ASK, "buy": event.BUY, "sell": event.SELL}

TRADES = ColumnMap(
    ts="local_timestamp", ts_unit="us", ts_venue="timestamp", symbol="symbol",
    kind="trade", side="side", side_values=_SIDES, price="price", qty="amount", id="id",
)  # fmt: skip
QUOTES = ColumnMap(
    ts="local_timestamp", ts_unit="us", ts_venue="timestamp", symbol="symbol", kind="quote",
    bid_price="bid_price", bid_qty="bid_amount", ask_price="ask_price", ask_qty="ask_amount",
)  # fmt: skip
BOOK = ColumnMap(
    ts="local_timestamp", ts_unit="us", ts_venue="timestamp", symbol="symbol",
    kind="book", side="side", side_values=_SIDES, price="price", qty="amount", snapshot="is_snapshot",
)  # fmt: skip

# In the order in which they are merged at equal times: what a trade did to the book is told after the trade.
MAPS = {"trades": TRADES, "quotes": QUOTES, "incremental_book_L2": BOOK}


def tardis_kind(names: list[str]) -> str:
    """Which of MAPS has these columns, "" if none."""
    if not {"local_timestamp", "timestamp", "symbol"} <= set(names):
        return ""
    return next((kind for kind, columns in MAPS.items() if set(columns.names()) <= set(names)), "")

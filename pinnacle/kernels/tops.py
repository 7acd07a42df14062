"""Every change of an instrument's best prices, written down in one walk of the market.

What a position is worth at any time follows from this and its fills alone, so lanes need not be sampled while they
run.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BOOK_CLEAR, BOOK_LEVEL
from pinnacle.kernels.book import best_ticks, clear
from pinnacle.kernels.jit import jit
from pinnacle.kernels.step import hear_level, refresh_top

CHANGE = np.dtype(
    [
        ("ts_ns", "<i8"),  # when we heard it
        ("bid_ticks", "<i8"),  # best prices from then on
        ("ask_ticks", "<i8"),
        ("instrument", "<i8"),
    ]
)


@jit
def record_tops(market, rows, first, changes):
    """Hear rows[first:] until all are heard or `changes` is full.

    market: its books are moved.  rows: WOVEN[n].  changes: CHANGE[m], written; each row is one change of a best price,
    and of several at one time the last counts.  While a side is empty the last mid stands, so nothing is written.
    Returns (index of the first row not heard, changes written).
    """
    n, k = 0, first
    while k < rows.size and n < changes.size:
        row = rows[k]
        k += 1
        me = np.int64(row["instrument"])
        book = market["book"][me]
        if row["kind"] == BOOK_LEVEL:
            best_bid, best_ask, base = book["best"][0], book["best"][1], book["base_ticks"]
            hear_level(market, row)
            if best_bid == book["best"][0] and best_ask == book["best"][1] and base == book["base_ticks"]:
                continue
        elif row["kind"] == BOOK_CLEAR:
            clear(book, np.int64(row["side"]), row["price_ticks"])
        else:
            continue
        refresh_top(market, me)
        if book["best"][0] < 0 or book["best"][1] < 0:
            continue
        change = changes[n]
        change["ts_ns"] = row["ts_ns"]
        change["bid_ticks"] = best_ticks(book, 0)
        change["ask_ticks"] = best_ticks(book, 1)
        change["instrument"] = me
        n += 1
    return k, n

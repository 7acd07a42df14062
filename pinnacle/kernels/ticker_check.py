"""Holds the book against tickers that carry no update id: at the moment of each, is the best price what it says?

A ticker and the levels are two streams, so one that is a message ahead of the other differs without anything being
wrong; most of them equal is what a right book looks like.
"""

import numpy as np

from pinnacle.event import ASK, BOOK_CLEAR, BOOK_LEVEL, LAST, LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP, TICKER
from pinnacle.kernels.book import best_ticks, clear, lots_at, set_price
from pinnacle.kernels.jit import jit

TICKERS = np.dtype(
    [
        ("live", "<i8"),
        ("differs_price", "<i8"),
        ("differs_size", "<i8"),
        ("compared", "<i8"),
        ("agree_price", "<i8"),
        ("agree_size", "<i8"),
    ]
)


@jit
def compare_tickers(rows, books, states):
    """Walk EVENT[n] of one instrument: books (BOOK[1]) and states (TICKERS[1]) are changed.  Bounded by the rows."""
    book, state = books[0], states[0]
    for k in range(rows.size):
        row = rows[k]
        kind = row["kind"]
        if kind == BOOK_LEVEL:
            set_price(book, row["side"], row["price_ticks"], row["qty_lots"])
        elif kind == BOOK_CLEAR:
            clear(book, row["side"], row["price_ticks"])
        elif kind == LINK_UP:
            state["live"] = 1
        elif kind == LINK_DOWN or kind == LINK_GAP or kind == LINK_STALE:
            state["live"] = 0
        elif kind == TICKER and state["live"]:
            s = 1 if row["side"] == ASK else 0
            ticks = best_ticks(book, s)
            if ticks != row["price_ticks"]:
                state["differs_price"] = 1
            elif lots_at(book, s, ticks) != row["qty_lots"]:
                state["differs_size"] = 1
            if row["flags"] & LAST:
                state["compared"] += 1
                if not state["differs_price"]:
                    state["agree_price"] += 1
                    if not state["differs_size"]:
                        state["agree_size"] += 1
                state["differs_price"] = state["differs_size"] = 0

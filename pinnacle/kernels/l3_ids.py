"""The table that finds an order of the venue by its id: open addressing, at most half full, without tombstones.

Every record of an order-by-order feed begins here, so one probe that hits the cache is what matters; entries that were
pushed along move back when one leaves, and a table that has run for a day is as quick as a new one.
"""

from __future__ import annotations

import numpy as np

from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.rows import nth

# One entry.  order_id 0: empty.
PLACE_L3 = np.dtype([("order_id", "<i8"), ("place", "<i8")])

# Fibonacci hashing (Knuth, The Art of Computer Programming 6.4): ids that follow one another spread evenly.
_SPREAD = 0x9E3779B97F4A7C15 - (1 << 64)


@jit_inline
def home_of(l3, order_id):
    """The table's entry at which the search for an id begins."""
    return ((int(order_id) * _SPREAD) >> int(l3["table_shift"])) & int(l3["table_mask"])


@jit_inner
def entry_of(l3, table, order_id):
    """The table's entry that holds an id, -1 if none does."""
    mask = l3["table_mask"]
    k = home_of(l3, order_id)
    while True:
        known = nth(table, k)["order_id"]
        if known == order_id:
            return k
        if known == 0:
            return -1
        k = (k + 1) & mask


@jit_inner
def enter_id(l3, table, order_id, place):
    """Remember where an order is.  Its id must not be in the table."""
    mask = l3["table_mask"]
    k = home_of(l3, order_id)
    while nth(table, k)["order_id"] != 0:
        k = (k + 1) & mask
    entry = nth(table, k)
    entry["order_id"] = order_id
    entry["place"] = place


@jit_inner
def forget_id(l3, table, hole):
    """Empty a table's entry, and move back those that had been pushed past it."""
    mask = l3["table_mask"]
    k = hole
    while True:
        k = (k + 1) & mask
        entry = nth(table, k)
        order_id = entry["order_id"]
        if order_id == 0:
            break
        if ((k - home_of(l3, order_id)) & mask) >= ((k - hole) & mask):
            empty = nth(table, hole)
            empty["order_id"] = order_id
            empty["place"] = entry["place"]
            hole = k
    nth(table, hole)["order_id"] = 0

"""The book of a matching engine as a snapshot needs it: levels, and orders in their queues.

They are copies: what is answered now does not change with the market.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BID
from pinnacle.kernels.book import W
from pinnacle.kernels.exchange_state import Exchange

# Window indices looked at in one step: most books have their levels near the best.
_STRIDE = 4096


def _occupied(lots: np.ndarray, best: int, least: int, depth: int) -> list[int]:
    """Window indices with lots, best first, at most `depth` (0: all).  least: none is below."""
    found: list[int] = []
    high = best + 1
    while high > least and (depth == 0 or len(found) < depth):
        low = max(least, high - _STRIDE)
        found += (low + np.flatnonzero(lots[low:high])[::-1]).tolist()
        high = low
    return found[:depth] if depth else found


def _side(venue: Exchange, side: int) -> tuple[int, np.void, int, int]:
    book = venue.exchange[0]["l3"]["book"]
    s = 0 if side == BID else 1
    return s, book, int(book["best"][s]), int(book["low"][s])


def _price(book: np.void, s: int, x: int) -> int:
    base = int(book["base_ticks"])
    return base + x if s == 0 else base + W - 1 - x


def levels(venue: Exchange, side: int, depth: int = 0) -> list[tuple[int, int]]:
    """(price_ticks, lots) best first, at most `depth` levels (0: all)."""
    s, book, best, least = _side(venue, side)
    lots = book["lots"][s]
    return [(_price(book, s, x), int(lots[x])) for x in _occupied(lots, best, least, depth)]


def resting(venue: Exchange, side: int, depth: int = 0) -> list[tuple[int, int, int, int]]:
    """(engine's order id, price_ticks, lots, participant) best price first and in queue order, of at most `depth`
    levels (0: all)."""
    s, book, best, least = _side(venue, side)
    heads, pool = venue.exchange[0]["l3"]["queue_head"][s], venue.book.orders
    found = []
    for x in _occupied(book["lots"][s], best, least, depth):
        place = int(heads[x]) - 1
        while place >= 0:
            order = pool[place]
            found.append((int(order["tag"]), int(order["price_ticks"]), int(order["qty_lots"]), int(order["owner"])))
            place = int(order["next"])
    return found

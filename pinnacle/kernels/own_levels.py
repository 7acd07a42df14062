"""A feed's levels in one call: text to records, and whether the book is crossed by them.

Feeds without sequence and checksum have a crossed book as their only alarm.  To see it, the prices of each side near
its best are enough: they are kept here in order, best last, so that what changes most moves least.  A window of ticks
would do the same with a page fault for every few hundred ticks that a whole book spans.
"""

import numpy as np

from pinnacle.event import LAST
from pinnacle.kernels.jit import jit, jit_inner
from pinnacle.kernels.levels import LEVELS, rows_of_levels
from pinnacle.limits import OWN_LEVELS_MAX

N = OWN_LEVELS_MAX

OWN = np.dtype(
    [
        ("levels", LEVELS),
        ("time_ns", "<i8"),  # of the last message, where the venue says it
        ("count", "<i8", (2,)),  # keys of bids, of asks
        ("keys", "<i8", (2, N)),  # side * price in ascending order: the last is the best of either side
    ]
)


@jit_inner
def hear_level(own, side, price_ticks, lots):
    """A level of the book: its price is kept, or forgotten where lots is 0.  Bounded by OWN_LEVELS_MAX."""
    s = 0 if side > 0 else 1
    key = side * price_ticks
    count = own["count"][s]
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        if own["keys"][s, middle] < key:
            low = middle + 1
        else:
            high = middle
    there = low < count and own["keys"][s, low] == key
    if lots == 0:
        if there:
            for i in range(low, count - 1):
                own["keys"][s, i] = own["keys"][s, i + 1]
            own["count"][s] = count - 1
        return
    if there:
        return
    if count == N:
        # The worst makes room; what is worse than all is not kept.
        if low == 0:
            return
        for i in range(low - 1):
            own["keys"][s, i] = own["keys"][s, i + 1]
        own["keys"][s, low - 1] = key
        return
    for i in range(count, low, -1):
        own["keys"][s, i] = own["keys"][s, i - 1]
    own["keys"][s, low] = key
    own["count"][s] = count + 1


@jit_inner
def fill_side(own, s, events, begin, end):
    """The prices of an empty side out of rows that come best first, at once; False where they do not come so."""
    side = 1 if s == 0 else -1
    count = 0
    before = 0
    for k in range(begin, end):
        row = events[k]
        if row["side"] == side and row["qty_lots"] > 0:
            key = side * row["price_ticks"]
            if count > 0 and key >= before:
                return False
            before = key
            if count < N:
                own["keys"][s, N - 1 - count] = key
                count += 1
    for i in range(count):
        own["keys"][s, i] = own["keys"][s, N - count + i]
    own["count"][s] = count
    return True


@jit
def hear_levels(events, begin, end, update_id, own):
    """Hear the BOOK_LEVEL rows begin..end-1, which get update_id as aux; 1 if the book is then crossed, else 0.

    own: OWN[1], mutated.
    """
    return heard(events, begin, end, update_id, own[0])


@jit_inner
def heard(events, begin, end, update_id, own):
    """hear_levels with the one record."""
    bids_done = asks_done = False
    if end - begin > 32:
        if own["count"][0] == 0:
            bids_done = fill_side(own, 0, events, begin, end)
        if own["count"][1] == 0:
            asks_done = fill_side(own, 1, events, begin, end)
    for k in range(begin, end):
        row = events[k]
        row["aux"] = update_id
        if not (bids_done if row["side"] > 0 else asks_done):
            hear_level(own, row["side"], row["price_ticks"], row["qty_lots"])
    return crossed(own)


@jit_inner
def crossed(own):
    """1 if the best bid stands at or above the best ask."""
    bids, asks = own["count"][0], own["count"][1]
    if bids == 0 or asks == 0:
        return 0
    return 1 if own["keys"][0, bids - 1] + own["keys"][1, asks - 1] >= 0 else 0


@jit_inner
def said(end, odd_before, is_crossed, spec):
    """What became of a message in one number: 4 * end + 2 where a level was rounded or left out + crossed."""
    odd = 1 if spec["rounded"] + spec["left_out"] != odd_before else 0
    return 4 * end + 2 * odd + is_crossed


@jit
def levels_said(data, side, ts_ns, ts_venue_ns, flags, last, update_id, events, count, own):
    """Write and hear the levels of a JSON array, see levels.level_rows; `said` of the count of rows after it.

    data: bytes.  update_id: aux of each row.  own: OWN[1], mutated.  -1 where a level is odd: nothing was heard then.
    """
    spec = own[0]["levels"]
    before = spec["rounded"] + spec["left_out"]
    end = rows_of_levels(data, spec, side, ts_ns, ts_venue_ns, flags, last, events, count)
    if end < 0:
        return -1
    return said(end, before, heard(events, count, end, update_id, own[0]), spec)


@jit
def sides_said(bids, asks, ts_ns, ts_venue_ns, flags, last, update_id, events, count, own):
    """The same with an array of each side, as one message."""
    spec = own[0]["levels"]
    before = spec["rounded"] + spec["left_out"]
    middle = rows_of_levels(bids, spec, 1, ts_ns, ts_venue_ns, flags, 0, events, count)
    if middle < 0:
        return -1
    end = rows_of_levels(asks, spec, -1, ts_ns, ts_venue_ns, flags, 0, events, middle)
    if end < 0:
        return -1
    if last and end > count:
        events[end - 1]["flags"] |= LAST
    return said(end, before, heard(events, count, end, update_id, own[0]), spec)

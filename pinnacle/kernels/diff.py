"""Changed levels of a message into records and into the feed's own copy of the book, in one call.

For venues whose changes have no sequence: a crossed book is the one sign of a lost message, so a copy of the book is
kept to see it, and a call from Python costs as much as the work.
"""

import numpy as np

from pinnacle.event import EVENT, LAST
from pinnacle.kernels.crossing import crossed_after
from pinnacle.kernels.jit import jit
from pinnacle.kernels.levels import LEVELS, level_rows
from pinnacle.kernels.state import BOOK

_LIST = 91
ODD = -1
CROSSED = -2


@jit
def diff_rows(bids, asks, levels_octets, book_octets, ts_ns, ts_venue_ns, flags, event_octets, count):
    """Rows of the levels of both sides, the final one with LAST unless flags has SNAPSHOT; the count of rows after it.

    bids, asks: bytes, JSON arrays of levels, valid.  The octets are u1[] of LEVELS[1], BOOK[1] and EVENT[], because
    arrays of records cost three times as much to hand over; events has room for (len(bids) + len(asks)) / 6 + 2 rows
    after `count`.  ODD if a level is not plain (the book is then untouched), CROSSED if the book is crossed after it;
    then rows from `count` on are to be forgotten.
    """
    levels = levels_octets.view(LEVELS)
    events = event_octets.view(EVENT)
    first = count
    if len(bids) < 2 or len(asks) < 2 or bids[0] != _LIST or asks[0] != _LIST:
        return ODD
    if len(bids) > 2:
        count = level_rows(np.frombuffer(bids, np.uint8), levels, 1, ts_ns, ts_venue_ns, flags, 0, events, count)
        if count < 0:
            return ODD
    if len(asks) > 2:
        count = level_rows(np.frombuffer(asks, np.uint8), levels, -1, ts_ns, ts_venue_ns, flags, 0, events, count)
        if count < 0:
            return ODD
    if count > first:
        if crossed_after(book_octets.view(BOOK), events, first, count):
            return CROSSED
        if flags == 0:
            events[count - 1]["flags"] = LAST
    return count

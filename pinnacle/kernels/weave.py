"""The market as the drive walks it: one row a record, in our order and in the venue's at once.

The engine hears rows in the order in which they reached us, the simulated venue lives them in the order in which
they happened, and both walk the same small rows, so that what one has read is in cache for the other.  Where the two
orders differ a row stands twice: once for the engine alone and once, earlier, for the venue alone.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BOOK_CLEAR, BOOK_LEVEL, TRADE
from pinnacle.kernels.jit import jit

WOVEN = np.dtype(
    [
        ("ts_ns", "<i8"),  # when we hear it
        ("ts_venue_ns", "<i8"),  # when it happens at the venue; ts_ns where the venue does not say
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("kind", "u1"),  # what the engine hears, 0 for nothing
        ("venue_kind", "u1"),  # what happens at the venue, 0 for nothing
        ("flags", "<u2"),
        ("instrument", "<u2"),
        ("side", "i1"),
        ("pad", "u1"),
    ]
)
assert WOVEN.itemsize == 40


@jit
def pack(events, woven, late, latest_ns):
    """Write each event as one woven row; those that happened before `latest_ns`, the running maximum, are set aside.

    events: EVENT[n], ts_ns rising.  woven: WOVEN[n], written.  late: WOVEN[n], written: the venue's half of each row
    that is out of the venue's order.  Returns (rows in late, new latest_ns, index of the first event whose ts_ns goes
    back or -1).
    """
    count = 0
    before_ns = events[0]["ts_ns"] if events.size else 0
    for k in range(events.size):
        event, row = events[k], woven[k]
        ts_ns = event["ts_ns"]
        if ts_ns < before_ns:
            return count, latest_ns, k
        before_ns = ts_ns
        venue_ns = event["ts_venue_ns"] if event["ts_venue_ns"] != 0 else ts_ns
        kind = event["kind"]
        row["ts_ns"] = ts_ns
        row["ts_venue_ns"] = venue_ns
        row["price_ticks"] = event["price_ticks"]
        row["qty_lots"] = event["qty_lots"]
        row["kind"] = kind
        row["flags"] = event["flags"]
        row["instrument"] = event["instrument"]
        row["side"] = event["side"]
        row["pad"] = 0
        if kind != BOOK_LEVEL and kind != TRADE and kind != BOOK_CLEAR:
            row["venue_kind"] = 0
        elif venue_ns >= latest_ns:
            row["venue_kind"] = kind
            latest_ns = venue_ns
        else:
            row["venue_kind"] = 0
            late[count] = row
            late[count]["kind"] = 0
            late[count]["venue_kind"] = kind
            late[count]["flags"] = 0
            count += 1
    return count, latest_ns, -1


@jit
def weave(woven, late, floor_ns, target):
    """Merge the venue's halves of late rows into the rest, as far as no row still to come can be earlier.

    woven: WOVEN[n] as packed.  late: WOVEN[m], ts_venue_ns rising.  floor_ns: no row still to come happened before it.
    target: WOVEN[n + m], written.  Returns (rows taken of woven, rows taken of late, rows written).
    """
    i, j, n = 0, 0, 0
    while i < woven.size:
        row = woven[i]
        if row["venue_kind"] != 0:
            venue_ns = row["ts_venue_ns"]
            if venue_ns > floor_ns:
                break
            # At equal times a late row came after those that were in order.
            while j < late.size and late[j]["ts_venue_ns"] < venue_ns:
                target[n] = late[j]
                j += 1
                n += 1
        target[n] = row
        i += 1
        n += 1
    return i, j, n


@jit
def merge(first, second, target):
    """Merge two EVENT arrays by ts_ns into target[first.size + second.size]; at equal times `first` comes first."""
    i, j = 0, 0
    for n in range(target.size):
        if j == second.size or (i < first.size and first[i]["ts_ns"] <= second[j]["ts_ns"]):
            target[n] = first[i]
            i += 1
        else:
            target[n] = second[j]
            j += 1

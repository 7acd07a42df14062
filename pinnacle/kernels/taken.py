"""Liquidity that own orders took from the recorded book and the venue has not shown anew: it cannot be taken twice.

The record of the market was made without us, so a level goes on showing what we have taken from it.  Each lane
remembers its own; a count per level of the lanes that do keeps it off the path of most rows.
"""

from __future__ import annotations

from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.queue import EXACT
from pinnacle.kernels.rows import nth
from pinnacle.limits import BOOK_WINDOW_TICKS, TAKEN_LEVELS_MAX

W = BOOK_WINDOW_TICKS


@jit_inner
def taken_at(own, s, x):
    """Lots of a level that our own orders took since the venue last set it."""
    for k in range(own["taken_count"]):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            return own["taken_lots"][k]
    return 0


@jit_inner
def remember_taken(site, own, s, x, lots):
    """Liquidity that an own order consumed stays consumed until the venue refreshes the level.

    Bounded by TAKEN_LEVELS_MAX; beyond it the oldest is forgotten.
    """
    count = own["taken_count"]
    for k in range(count):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            own["taken_lots"][k] += lots
            own["taken_entry"][k] = site["entries"]
            return
    if count == TAKEN_LEVELS_MAX:
        forget_taken(site, own, own["taken_s"][0], own["taken_x"][0])
        count -= 1
    own["taken_s"][count], own["taken_x"][count], own["taken_lots"][count] = s, x, lots
    own["taken_entry"][count] = site["entries"]
    own["taken_count"] = count + 1
    site["taken"][s, x] += 1
    site["taken_count"] += 1


@jit_inner
def forget_taken(site, own, s, x):
    """The venue has set a level: what it shows now is there for this lane."""
    count = own["taken_count"]
    for k in range(count):
        if own["taken_s"][k] == s and own["taken_x"][k] == x:
            for j in range(k, count - 1):
                own["taken_s"][j] = own["taken_s"][j + 1]
                own["taken_x"][j] = own["taken_x"][j + 1]
                own["taken_lots"][j] = own["taken_lots"][j + 1]
                own["taken_entry"][j] = own["taken_entry"][j + 1]
            own["taken_count"] = count - 1
            site["taken"][s, x] -= 1
            site["taken_count"] -= 1
            return


@jit_inner
def forget_level(sim, desks, me, s, x):
    """The venue has set a level: what it shows now is there for every lane.

    Not where the recording is of single orders and the level was only told again.
    """
    site = sim["site"][me]
    if site["queue_model"] == EXACT:
        return
    for k in range(sim["lanes"]):
        own = nth(desks, k)["own"][me]
        if own["taken_count"] != 0:
            forget_taken(site, own, s, x)


@jit_inner
def leave_taken(sim, desks, me, s, x, lots, stamp):
    """An order of the recording lost lots at x: of orders that a lane could have taken, it takes them off what was
    taken.

    What was taken stood in front, so an order that was there then is held to be one of those.  A level that is empty,
    and only that, is forgotten whole; orders that join refresh nothing but themselves.
    """
    site, book = sim["site"][me], sim["book"][me]
    for lane in range(sim["lanes"]):
        own = nth(desks, lane)["own"][me]
        for k in range(own["taken_count"]):
            if own["taken_s"][k] == s and own["taken_x"][k] == x:
                if stamp <= own["taken_entry"][k]:
                    own["taken_lots"][k] -= lots
                if own["taken_lots"][k] <= 0 or book["lots"][s, x] == 0:
                    forget_taken(site, own, s, x)
                break


@jit_inner
def shift_taken(sim, desks, me, shift):
    """What was taken from a level is remembered where the level is now; what leaves the window is forgotten."""
    site = sim["site"][me]
    for k in range(sim["lanes"]):
        own = nth(desks, k)["own"][me]
        for i in range(own["taken_count"]):
            site["taken"][own["taken_s"][i], own["taken_x"][i]] -= 1
    site["taken_count"] = 0
    for k in range(sim["lanes"]):
        own = nth(desks, k)["own"][me]
        kept = 0
        for i in range(own["taken_count"]):
            s = own["taken_s"][i]
            x = own["taken_x"][i] - shift if s == 0 else own["taken_x"][i] + shift
            if 0 <= x < W:
                own["taken_s"][kept], own["taken_x"][kept], own["taken_lots"][kept] = s, x, own["taken_lots"][i]
                own["taken_entry"][kept] = own["taken_entry"][i]
                site["taken"][s, x] += 1
                kept += 1
        own["taken_count"] = kept
        site["taken_count"] += kept


@jit_inline
def forget_all(site, own):
    """Forget every level that a lane took from."""
    while own["taken_count"] != 0:
        forget_taken(site, own, own["taken_s"][0], own["taken_x"][0])

"""Price-level book (L2): a window of ticks a side, the quantity at each, and the best.

A market maker asks a book for its best many times for each time that it changes, and nearly every change is near
the best, so a flat window beats a tree or a hash: one store, one comparison.  Asks are mirrored, see state.BOOK.
"""

from __future__ import annotations

from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.state import NO_PRICE
from pinnacle.limits import BOOK_ASIDE_LEVELS, BOOK_WINDOW_TICKS

W = BOOK_WINDOW_TICKS
# A window whose best comes this close to an edge is moved.
_EDGE = W // 16


@jit_inline
def x_of(book, s, price_ticks):
    """Window index of a price on side s (0 bids, 1 asks); outside 0..W-1 when the window does not hold it."""
    x = price_ticks - book["base_ticks"]
    return x if s == 0 else W - 1 - x


@jit_inline
def ticks_of(book, s, x):
    """Price of window index x on side s; NO_PRICE for x < 0."""
    if x < 0:
        return NO_PRICE
    return book["base_ticks"] + (x if s == 0 else W - 1 - x)


@jit_inline
def best_ticks(book, s):
    """Best price of side s, NO_PRICE if the side is empty."""
    return ticks_of(book, s, book["best"][s])


@jit
def lots_at(book, s, price_ticks):
    """Lots resting at a price of side s; 0 outside the window."""
    x = x_of(book, s, price_ticks)
    return book["lots"][s, x] if 0 <= x < W else 0


@jit
def next_below(book, s, x):
    """Greatest index below x that holds lots, -1 if none.  Bounded by the window and by the side's low mark."""
    low = book["low"][s]
    x -= 1
    while x >= low:
        if book["lots"][s, x] != 0:
            return x
        x -= 1
    return -1


@jit_inner
def uncross(book, s, x):
    """The other side's best gives way to a new best of side s at x: the newest information wins.

    Levels it passes stay stored but hidden, because the venue will say itself when they are gone.
    """
    book["crossings"] += 1
    o = 1 - s
    book["best"][o] = next_below(book, o, W - 1 - x)


@jit_inline
def place_window(book, price_ticks):
    """Centre the window of a book that has none yet; prices below zero do not exist, so it never starts there."""
    book["base_ticks"] = max(0, price_ticks - W // 2)


@jit_inline
def set_level(book, s, x, lots):
    """The quantity at x becomes `lots` (0 removes); True if that made a better best.  x must be in the window."""
    before = book["lots"][s, x]
    book["lots"][s, x] = lots
    best = book["best"][s]
    if x < best:
        if x < book["low"][s]:
            book["low"][s] = x
        return False
    if lots == 0:
        if x == best and before != 0:
            book["best"][s] = next_below(book, s, x)
        return False
    if x == best:
        return False
    book["best"][s] = x
    if x > book["high"][s]:
        book["high"][s] = x
    if x < book["low"][s]:
        book["low"][s] = x
    if x + book["best"][1 - s] >= W - 1:
        uncross(book, s, x)
    return True


@jit_inner
def level_outside(book, s, price_ticks, lots):
    """A level whose price the window does not hold: place the window, move it, or keep the level aside.

    Returns x in the window after that, or -1 if the level was kept aside.
    """
    if book["base_ticks"] == NO_PRICE:
        place_window(book, price_ticks)
        return x_of(book, s, price_ticks)
    book["outside"] += 1
    # A price that would be the new best beyond the window: the market has left it.
    x = x_of(book, s, price_ticks)
    if lots > 0 and x >= W:
        recentre(book, price_ticks)
        return x_of(book, s, price_ticks)
    keep_aside(book, s, price_ticks, lots)
    return -1


@jit_inner
def keep_aside(book, s, price_ticks, lots):
    """Remember a level outside the window.  Bounded by BOOK_ASIDE_LEVELS; beyond it the level is counted as lost."""
    count = book["aside_count"][s]
    for k in range(count):
        if book["aside_ticks"][s, k] == price_ticks:
            if lots == 0:
                book["aside_ticks"][s, k] = book["aside_ticks"][s, count - 1]
                book["aside_lots"][s, k] = book["aside_lots"][s, count - 1]
                book["aside_count"][s] = count - 1
            else:
                book["aside_lots"][s, k] = lots
            return
    if lots == 0:
        return
    if count == BOOK_ASIDE_LEVELS:
        book["lost"] += 1
        return
    book["aside_ticks"][s, count] = price_ticks
    book["aside_lots"][s, count] = lots
    book["aside_count"][s] = count + 1


@jit
def recentre(book, price_ticks):
    """Move the window so that price_ticks is in its middle.  Levels that fall out go aside, kept ones come back in.

    Work bounded by the window; rare, because a window spans a million ticks.
    """
    old_base = book["base_ticks"]
    new_base = max(0, price_ticks - W // 2)
    shift = new_base - old_base
    if shift == 0:
        return
    book["recentres"] += 1
    best_bid, best_ask = best_ticks(book, 0), best_ticks(book, 1)
    for s in range(2):
        # On the mirrored side the same move of prices runs the other way.
        move = shift if s == 0 else -shift
        low, high = book["low"][s], book["high"][s]
        x, step = (low, 1) if move > 0 else (high, -1)
        new_low, new_high = W, -1
        for _ in range(high - low + 1):
            lots = book["lots"][s, x]
            if lots != 0:
                book["lots"][s, x] = 0
                target = x - move
                if 0 <= target < W:
                    book["lots"][s, target] = lots
                    new_low, new_high = min(new_low, target), max(new_high, target)
                else:
                    keep_aside(book, s, old_base + (x if s == 0 else W - 1 - x), lots)
            x += step
        book["low"][s], book["high"][s] = new_low, new_high
    book["base_ticks"] = new_base
    for s in range(2):
        k = 0
        while k < book["aside_count"][s]:
            x = x_of(book, s, book["aside_ticks"][s, k])
            if 0 <= x < W:
                book["lots"][s, x] = book["aside_lots"][s, k]
                book["low"][s], book["high"][s] = min(book["low"][s], x), max(book["high"][s], x)
                keep_aside(book, s, book["aside_ticks"][s, k], 0)
            else:
                k += 1
    for s in range(2):
        best = best_bid if s == 0 else best_ask
        x = x_of(book, s, best)
        book["best"][s] = -1
        if best != NO_PRICE:
            book["best"][s] = x if 0 <= x < W else next_below(book, s, W)
    # A side that showed nothing may show what came back in; what crosses the other side's best was hidden and stays so.
    for s in range(2):
        if (best_bid if s == 0 else best_ask) == NO_PRICE:
            other = book["best"][1 - s]
            book["best"][s] = next_below(book, s, W if other < 0 else W - 1 - other)


@jit
def clear(book, side, price_ticks):
    """Empty a side (0: both) of every level at price_ticks or better, hidden ones included; 0 empties all of it."""
    for s in range(2):
        if (side > 0 and s == 1) or (side < 0 and s == 0):
            continue
        low, high = book["low"][s], book["high"][s]
        stop = low
        if price_ticks != 0 and book["base_ticks"] != NO_PRICE:
            stop = max(low, x_of(book, s, price_ticks))
        for x in range(stop, high + 1):
            book["lots"][s, x] = 0
        if stop <= low:
            book["low"][s], book["high"][s], book["best"][s] = W, -1, -1
        else:
            book["high"][s] = min(high, stop - 1)
            # A best that was worse already stays: hidden levels between the two were not shown before either.
            if book["best"][s] >= stop:
                book["best"][s] = next_below(book, s, stop)
        k = 0
        while k < book["aside_count"][s]:
            ticks = book["aside_ticks"][s, k]
            if price_ticks == 0 or (ticks >= price_ticks if s == 0 else ticks <= price_ticks):
                keep_aside(book, s, ticks, 0)
            else:
                k += 1


@jit_inline
def near_edge(book):
    """Whether a side's best has come so close to the window's edge that it should be moved."""
    for s in range(2):
        x = book["best"][s]
        if x >= 0 and (x < _EDGE or x >= W - _EDGE) and book["base_ticks"] > 0:
            return True
    return False


@jit
def set_price(book, side, price_ticks, lots):
    """The quantity at a price becomes `lots`; True if that made a better best.  For use off the hot path."""
    s = 0 if side > 0 else 1
    x = x_of(book, s, price_ticks)
    if x < 0 or x >= W:
        x = level_outside(book, s, price_ticks, lots)
        if x < 0:
            return False
    return set_level(book, s, x, lots)

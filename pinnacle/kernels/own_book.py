"""A feed's own copy of the book it speaks of, only to know whether what the venue said is crossed.

A crossed book is a book that a message is missing from, at venues that say nothing else about it.  Only whether a price
has a quantity is kept, a bit a tick, so that a book costs a quarter of a megabyte and its snapshot touches few pages.
"""

import numpy as np

from pinnacle.event import BID, LAST
from pinnacle.kernels.jit import jit, jit_inline

# Ticks that the window spans a side, around the first price.  Levels outside it are not kept, so that a crossing with
# one of them is not seen; when the market leaves the window it starts again, empty, where the market is.
OWN_TICKS = 1 << 20
_WORDS = OWN_TICKS // 64
_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)

# Asks are mirrored (x = OWN_TICKS - 1 - i), so that the best of both sides is the greatest x.
OWN_BOOK = np.dtype(
    [
        ("placed", "<i8"),  # 0 until the first level
        ("base_ticks", "<i8"),
        ("best", "<i8", (2,)),  # x of the best level of bids and asks, -1 for none
        ("bits", "<u8", (2, _WORDS)),
    ]
)


@jit_inline
def top_bit(word):
    """Index of the highest bit of a word that is not 0."""
    index = 0
    for shift in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(shift):
            word >>= np.uint64(shift)
            index += shift
    return index


@jit
def best_below(own, s, x):
    """Greatest x below this one that has a level, -1 if none.  Bounded by the words of the window."""
    if x <= 0:
        return np.int64(-1)
    w = x >> 6
    word = own["bits"][s, w] & ((_ONE << np.uint64(x & 63)) - _ONE) if x < OWN_TICKS else np.uint64(0)
    if x >= OWN_TICKS:
        w = np.int64(_WORDS)
    while word == 0:
        w -= 1
        if w < 0:
            return np.int64(-1)
        word = own["bits"][s, w]
    return np.int64((w << 6) + top_bit(word))


@jit
def _place(own, price_ticks):
    """The window begins anew around this price, with nothing in it."""
    if own["placed"] != 0:
        own["bits"][:, :] = 0
    own["placed"] = 1
    own["base_ticks"] = max(0, price_ticks - OWN_TICKS // 2)
    own["best"][0] = own["best"][1] = -1


@jit
def set_own(own, side, price_ticks, lots):
    """The level at a price now has a quantity, or (0 lots) none."""
    if own["placed"] == 0:
        _place(own, price_ticks)
    s = 0 if side == BID else 1
    x = price_ticks - own["base_ticks"]
    if s == 1:
        x = OWN_TICKS - 1 - x
    if x < 0:
        return
    if x >= OWN_TICKS:
        # Better than any price of the window: the market has left it.
        if lots == 0:
            return
        _place(own, price_ticks)
        x = price_ticks - own["base_ticks"]
        if s == 1:
            x = OWN_TICKS - 1 - x
    w = x >> 6
    bit = _ONE << np.uint64(x & 63)
    if lots > 0:
        own["bits"][s, w] |= bit
        if x > own["best"][s]:
            own["best"][s] = x
    else:
        own["bits"][s, w] &= bit ^ _ALL
        if x == own["best"][s]:
            own["best"][s] = best_below(own, s, x)


@jit_inline
def is_crossed(own):
    """Whether the best bid is at or above the best ask."""
    return own["best"][0] >= 0 and own["best"][1] >= 0 and own["best"][0] + own["best"][1] >= OWN_TICKS - 1


@jit
def follow(events, begin, end, update_id, last, books):
    """Set the levels of events[begin:end] in the book; 1 if a bid is then at or above an ask, else 0.

    events: EVENT[n], BOOK_LEVEL rows of one message: each gets update_id as aux, and the final one LAST if last is 1.
    books: OWN_BOOK[1], changed.  Within a message the two sides may pass each other, so only its end is judged.
    Bounded by the rows times the words of the window.
    """
    own = books[0]
    for k in range(begin, end):
        row = events[k]
        row["aux"] = update_id
        set_own(own, row["side"], row["price_ticks"], row["qty_lots"])
    if last and end > begin:
        events[end - 1]["flags"] |= LAST
    return 1 if is_crossed(own) else 0

"""A feed's own copy of the book it speaks of, only to know whether what the venue said is crossed.

A crossed book is a book that a message is missing from, at venues that say nothing else about it.
"""

from pinnacle.event import LAST
from pinnacle.kernels.book import W, next_below, set_price
from pinnacle.kernels.jit import jit


@jit
def follow(events, begin, end, update_id, last, book):
    """Set the levels of events[begin:end] in the book; 1 if a bid is then at or above an ask, else 0.

    events: EVENT[n], BOOK_LEVEL rows of one message: each gets update_id as aux, and the final one LAST if last is 1.
    book: BOOK[1], changed.  Within a message the two sides may pass each other, so only its end is judged.  Bounded by
    the rows, and by the window where one crossed.
    """
    own = book[0]
    crossings = own["crossings"]
    for k in range(begin, end):
        row = events[k]
        row["aux"] = update_id
        set_price(own, row["side"], row["price_ticks"], row["qty_lots"])
    if last and end > begin:
        events[end - 1]["flags"] |= LAST
    if own["crossings"] == crossings:
        return 0
    # What a crossing hid shows again here: the message is whole now, and the venue's levels are what they are.
    for s in range(2):
        own["best"][s] = next_below(own, s, min(own["high"][s], W - 1) + 1)
    bid, ask = own["best"][0], own["best"][1]
    return 1 if bid >= 0 and ask >= 0 and bid + ask >= W - 1 else 0

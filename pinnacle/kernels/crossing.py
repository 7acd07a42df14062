"""Whether a book is crossed when a message has been heard whole: the alarm of feeds that have no better one.

Within a message the sides may pass each other, because levels come in the venue's order; so what is removed is heard
before what is set, and only then is asked.
"""

from pinnacle.event import BOOK_CLEAR, BOOK_LEVEL
from pinnacle.kernels.book import clear, set_price
from pinnacle.kernels.jit import jit


@jit
def crossed_after(books, events, begin, end):
    """Hear rows begin..end-1 of one book; 1 if a level then stands at or through the other side's best, else 0.

    books: BOOK[1], mutated.  events: EVENT[]; of its rows BOOK_CLEAR and BOOK_LEVEL count.  Bounded by the rows.
    """
    book = books[0]
    before = book["crossings"]
    for k in range(begin, end):
        row = events[k]
        if row["kind"] == BOOK_CLEAR:
            clear(book, row["side"], row["price_ticks"])
        elif row["kind"] == BOOK_LEVEL and row["qty_lots"] == 0:
            set_price(book, row["side"], row["price_ticks"], 0)
    for k in range(begin, end):
        row = events[k]
        if row["kind"] == BOOK_LEVEL and row["qty_lots"] != 0:
            set_price(book, row["side"], row["price_ticks"], row["qty_lots"])
    return 1 if book["crossings"] != before else 0

"""A feed's own copy of a book, kept for one question: is it crossed?

A crossed book is the only sign of a lost message on feeds without sequence numbers and checksums, and on the others it
is the sign of a venue or a parser gone wrong.
"""

from __future__ import annotations

import numpy as np

from pinnacle.kernels.crossing import crossed_after
from pinnacle.kernels.state import BOOK, reset_book
from pinnacle.venues.feed import Rows


class Crossing:
    """Of one book.  Memory is the book's window, of which the system gives only the pages that are touched."""

    __slots__ = ("_books",)

    def __init__(self) -> None:
        self._books = np.zeros(1, BOOK)
        reset_book(self._books[0])

    def forget(self) -> None:
        """The next rows are of another book (rows with a BOOK_CLEAR need no such call)."""
        self._books = np.zeros(1, BOOK)
        reset_book(self._books[0])

    def after(self, rows: Rows, begin: int) -> bool:
        """Whether the book is crossed now that the rows from `begin` on, one whole message, have been said."""
        return bool(crossed_after(self._books, rows.events, begin, rows.count))

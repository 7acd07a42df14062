"""The copy of a book that a feed keeps to see that it is not crossed, see kernels/own_book.py."""

from __future__ import annotations

import numpy as np

from pinnacle.kernels.own_book import follow
from pinnacle.kernels.state import BOOK, reset_book
from pinnacle.venues.feed import Rows


class OwnBook:
    """A window of ticks a side; its 16 MB are address space until a level is written near."""

    __slots__ = ("_book",)

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Every level is gone.  A new book costs less than emptying a used one."""
        self._book = np.zeros(1, BOOK)
        reset_book(self._book[0])

    def crossed(self, rows: Rows, begin: int, update_id: int, last: bool) -> bool:
        """Take the BOOK_LEVEL rows from `begin` on as one message; whether the book is crossed after it.

        Writes update_id into their aux, and LAST into the final one where it ends the message.
        """
        return bool(follow(rows.events, begin, rows.count, update_id, last, self._book))

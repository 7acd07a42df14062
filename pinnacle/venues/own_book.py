"""The copy of a book that a feed keeps to see that it is not crossed, see kernels/own_book.py."""

from __future__ import annotations

import numpy as np

from pinnacle.kernels.own_book import OWN_BOOK, follow
from pinnacle.venues.feed import Rows


class OwnBook:
    """Which prices of a window have a level.

    array: OWN_BOOK[1], another one after each `clear`.
    """

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Every level is gone.  A new book costs less than emptying a used one."""
        self.array = np.zeros(1, OWN_BOOK)
        self.array["best"] = -1

    def crossed(self, rows: Rows, begin: int, update_id: int, last: bool) -> bool:
        """Take the BOOK_LEVEL rows from `begin` on as one message; whether the book is crossed after it.

        Writes update_id into their aux, and LAST into the final one where it ends the message.
        """
        return bool(follow(rows.events, begin, rows.count, update_id, last, self.array))

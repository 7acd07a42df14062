"""Levels of one followed book into records, with the one alarm that every feed has: is the book crossed?

Writes as `levels.Levels` does and keeps the prices near the best, in one call of a kernel a message.
"""

from __future__ import annotations

import msgspec
import numpy as np

from pinnacle.kernels.own_levels import OWN, hear_levels, levels_said
from pinnacle.venues.feed import Followed, Rows
from pinnacle.venues.levels import Levels

# The shortest level, [1,2], and its comma.
_LEVEL_BYTES_MIN = 6


class OwnLevels:
    """levels: how they are written, and who has the words for odd ones.  own: OWN[1], the kernels' side of it."""

    __slots__ = ("_levels", "own")

    def __init__(self, followed: Followed, levels: Levels) -> None:
        self._levels = levels
        self.own = np.zeros(1, OWN)
        self.own[0]["levels"] = levels.spec[0]

    def clear(self) -> None:
        """The levels that follow are of a new whole book."""
        self.own[0]["count"] = 0

    def write(
        self,
        text: msgspec.Raw,
        side: int,
        ts_ns: int,
        ts_venue_ns: int,
        flags: int,
        last: bool,
        update_id: int,
        rows: Rows,
    ) -> bool:
        """Append a BOOK_LEVEL for each level, as Levels.write does; whether the book is crossed now.

        update_id: aux of each.  Raises Malformed.
        """
        data = bytes(text)
        begin = rows.count
        events = rows.events
        if begin + len(data) // _LEVEL_BYTES_MIN + 1 > events.size:
            events = rows.room(len(data) // _LEVEL_BYTES_MIN + 1)
        said: int = levels_said(data, side, ts_ns, ts_venue_ns, flags, last, update_id, events, begin, self.own)
        if said >= 0:
            rows.count = said >> 1
            return bool(said & 1)
        self._levels.write(data, side, ts_ns, ts_venue_ns, flags, last, rows)
        return self.hear(begin, update_id, rows)

    def hear(self, begin: int, update_id: int, rows: Rows) -> bool:
        """Hear levels that were written otherwise, the rows from begin on; whether the book is crossed now."""
        return bool(hear_levels(rows.events, begin, rows.count, update_id, self.own))

"""Levels of one followed book into records, with the one alarm that every feed has: is the book crossed?

Writes as `levels.Levels` does and keeps the prices near the best, in one call of a kernel a message.
"""

from __future__ import annotations

import msgspec
import numpy as np

from pinnacle.event import ASK, BID, LAST
from pinnacle.kernels.own_levels import OWN, hear_levels, levels_said, sides_said
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
            return self._said(said, rows)
        self._levels.write(data, side, ts_ns, ts_venue_ns, flags, last, rows)
        return self.hear(begin, update_id, rows)

    def write_sides(
        self,
        bids: msgspec.Raw,
        asks: msgspec.Raw,
        ts_ns: int,
        ts_venue_ns: int,
        flags: int,
        last: bool,
        update_id: int,
        rows: Rows,
    ) -> bool:
        """The same of a message with an array of each side."""
        bid_text, ask_text = bytes(bids), bytes(asks)
        begin = rows.count
        events = rows.events
        room = (len(bid_text) + len(ask_text)) // _LEVEL_BYTES_MIN + 2
        if begin + room > events.size:
            events = rows.room(room)
        said: int = sides_said(bid_text, ask_text, ts_ns, ts_venue_ns, flags, last, update_id, events, begin, self.own)
        if said >= 0:
            return self._said(said, rows)
        self._levels.write(bid_text, BID, ts_ns, ts_venue_ns, flags, False, rows)
        self._levels.write(ask_text, ASK, ts_ns, ts_venue_ns, flags, False, rows)
        if last and rows.count > begin:
            rows.events[rows.count - 1]["flags"] |= LAST
        return self.hear(begin, update_id, rows)

    def _said(self, said: int, rows: Rows) -> bool:
        """Take what a kernel did; whether the book is crossed now."""
        rows.count = said >> 2
        if said & 2:
            spec = self.own[0]["levels"]
            self._levels.told_odd(int(spec["rounded"]), int(spec["left_out"]))
            spec["rounded"] = spec["left_out"] = 0
        return bool(said & 1)

    def hear(self, begin: int, update_id: int, rows: Rows) -> bool:
        """Hear levels that were written otherwise, the rows from begin on; whether the book is crossed now."""
        return bool(hear_levels(rows.events, begin, rows.count, update_id, self.own))

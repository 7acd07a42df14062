"""The state of one followed book, and the records that say it: LINK_* with their cause, each once.

Every feed has the same four states and must speak of them the same way, or a strategy would trust a book of one venue
that it would not trust of another.  So the venue files decide what happened, and this file what is said about it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pinnacle.event import BOOK_CLEAR, LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP, SNAPSHOT
from pinnacle.venues import feed
from pinnacle.venues.feed import EMPTY, LIVE, NEXT, STALE, SYNCING, Followed, Rows

# Why a book is lost -> (what is said, state after).  Only the end of the connection leaves nothing to resynchronise.
LOSSES = {
    feed.CAUSE_CLOSED: (LINK_DOWN, EMPTY),
    feed.CAUSE_SEQUENCE: (LINK_GAP, STALE),
    feed.CAUSE_CHECKSUM: (LINK_GAP, STALE),
    feed.CAUSE_SILENCE: (LINK_STALE, STALE),
    feed.CAUSE_CROSSED: (LINK_STALE, STALE),
    feed.CAUSE_CLOCK: (LINK_STALE, STALE),
    feed.CAUSE_MALFORMED: (LINK_STALE, STALE),
    feed.CAUSE_VENUE: (LINK_STALE, STALE),
}


class Link:
    """One book of a feed.

    What happens            EMPTY      SYNCING    LIVE       STALE      said
    asked for (again)       SYNCING    SYNCING    SYNCING    SYNCING    nothing
    whole book came         -          LIVE       -          -          BOOK_CLEAR, levels, LINK_UP
    lost, but connected     EMPTY      SYNCING    STALE      STALE      LINK_GAP or LINK_STALE, if it was LIVE
    connection ended        EMPTY      EMPTY      EMPTY      EMPTY      LINK_DOWN, unless it was EMPTY

    A whole book that comes unasked while LIVE (a venue that sends its book again): `asked`, `begin` and `whole` within
    that one message, so that nobody sees a book that is neither live nor lost.
    """

    __slots__ = ("followed", "state")

    def __init__(self, followed: Followed) -> None:
        self.followed, self.state = followed, EMPTY

    @property
    def live(self) -> bool:
        """Whether what was said is the venue's book."""
        return self.state == LIVE

    def asked(self) -> None:
        """A whole book was asked for: at the start, or because this one is lost."""
        if self.state != SYNCING:
            self._become(SYNCING)

    def begin(self, ts_ns: int, ts_venue_ns: int, rows: Rows) -> None:
        """Say that the levels which follow are a whole book; write them with SNAPSHOT and without LAST."""
        assert self.state == SYNCING
        rows.add(self.followed, ts_ns, ts_venue_ns, BOOK_CLEAR, flags=SNAPSHOT)

    def whole(self, ts_ns: int, ts_venue_ns: int, rows: Rows) -> None:
        """The whole book has been written: it is live from here on."""
        self._become(LIVE)
        rows.add(self.followed, ts_ns, ts_venue_ns, LINK_UP)

    def lost(self, cause: int, ts_ns: int, rows: Rows) -> bool:
        """The book cannot be trusted any more, see LOSSES; returns whether that was news, and so was said."""
        kind, after = LOSSES[cause]
        before = self.state
        if after == EMPTY:
            said = before != EMPTY
        else:
            said = before == LIVE
            after = STALE if said else before
        if after != before:
            self._become(after)
        if said:
            rows.add(self.followed, ts_ns, 0, kind, aux=cause)
        return said

    def _become(self, state: int) -> None:
        assert state in NEXT[self.state], (feed.BOOK_STATE_NAMES[self.state], feed.BOOK_STATE_NAMES[state])
        self.state = state


def lose_all(links: Iterable[Link], cause: int, ts_ns: int, rows: Rows) -> bool:
    """Every book is lost for the same cause; returns whether that was news for any."""
    said = [link.lost(cause, ts_ns, rows) for link in links]
    return any(said)

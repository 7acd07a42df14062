"""What the feed of one connection keeps whatever its venue: its books, what it wants done, and when it heard something.

Silence, a clock that jumps and a book that never comes are the same at every venue, and must have the same answer: the
books are stale and the connection is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pinnacle.errors import OperatorError
from pinnacle.limits import FEED_CLOCK_BACK_NS_MAX, FEED_LAG_NS_MAX, FEED_SYNC_NS_MAX
from pinnacle.venues.feed import (
    CAUSE_CLOCK,
    CAUSE_CLOSED,
    CAUSE_MALFORMED,
    CAUSE_SILENCE,
    SYNCING,
    Fetch,
    Followed,
    Malformed,
    Rows,
)
from pinnacle.venues.link import Link, lose_all


class Connection:
    """The half of a Feed that does not depend on the venue; see feed.Feed for the attributes."""

    def __init__(
        self, venue: str, links: Sequence[Link], silence_ns: int, url: str, headers: Mapping[str, str]
    ) -> None:
        self.venue, self.silence_ns = venue, silence_ns
        self.url, self.headers = url, headers
        self.sends: list[bytes] = []
        self.fetches: list[Fetch] = []
        self.restart = ""
        self.counts: dict[str, int] = {}
        self._heard_ns = self._called_ns = 0
        self._least_age_ns: int | None = None
        self.follow(links)

    def follow(self, links: Sequence[Link]) -> None:
        """These are the books of the connection, in the order they were given."""
        self.links = list(links)
        self._syncing_since_ns: list[int | None] = [None] * len(self.links)

    def begin(self, ts_ns: int) -> None:
        """A connection is up: what was wanted of the last one is forgotten."""
        self.sends, self.fetches, self.restart = [], [], ""
        self._heard_ns = self._called_ns = ts_ns
        self._least_age_ns = None
        self._syncing_since_ns = [None] * len(self.links)

    def count(self, what: str) -> None:
        """One more message of which this became."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def heard(self, ts_ns: int, rows: Rows) -> None:
        """Something came.  A clock that went back makes all that was measured with it worthless."""
        if ts_ns < self._called_ns - FEED_CLOCK_BACK_NS_MAX:
            self.lose(CAUSE_CLOCK, f"our clock went back by {(self._called_ns - ts_ns) / 1e9:.1f} s", ts_ns, rows)
        self._heard_ns = self._called_ns = ts_ns

    def aged(self, ts_ns: int, ts_venue_ns: int, rows: Rows, now_ns: int = 0) -> bool:
        """Whether what the venue dates so is far older than the freshest of this connection, and the books so stale.

        The two clocks need not agree: the least age heard stands for their difference.  ts_ns: when it was heard;
        now_ns: the present, where that is later.
        """
        age_ns = ts_ns - ts_venue_ns
        least_ns = self._least_age_ns
        if least_ns is None or age_ns < least_ns:
            self._least_age_ns = age_ns
            return False
        if age_ns - least_ns <= FEED_LAG_NS_MAX:
            return False
        self.lose(CAUSE_CLOCK, f"its data is {(age_ns - least_ns) / 1e9:.1f} s late", now_ns or ts_ns, rows)
        return True

    def lose(self, cause: int, why: str, ts_ns: int, rows: Rows) -> None:
        """Every book is lost, and only a new connection mends it."""
        lose_all(self.links, cause, ts_ns, rows)
        self.restart = self.restart or f"{self.venue}: {one_line(why)}"

    def spent(self, why: str, data: bytes, ts_ns: int, rows: Rows) -> Malformed:
        """The error to raise for a message that is none, after the books have been given up.  data: the message."""
        self.lose(CAUSE_MALFORMED, "a message that is none", ts_ns, rows)
        begins = f": {data[:80]!r}" if data else ""
        return Malformed(f"{self.venue}: {one_line(why.removeprefix(f'{self.venue}: '))}{begins}")

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Silence of the connection, our clock, and books that have been asked for and do not come."""
        if ts_ns < self._called_ns - FEED_CLOCK_BACK_NS_MAX:
            self.lose(CAUSE_CLOCK, f"our clock went back by {(self._called_ns - ts_ns) / 1e9:.1f} s", ts_ns, rows)
            self._heard_ns = ts_ns
        self._called_ns = ts_ns
        if ts_ns - self._heard_ns > self.silence_ns:
            self.lose(CAUSE_SILENCE, f"nothing came for {(ts_ns - self._heard_ns) / 1e9:.1f} s", ts_ns, rows)
        for k, link in enumerate(self.links):
            since_ns = self._syncing_since_ns[k]
            if link.state != SYNCING:
                self._syncing_since_ns[k] = None
            elif since_ns is None:
                self._syncing_since_ns[k] = ts_ns
            elif ts_ns - since_ns > FEED_SYNC_NS_MAX and not self.restart:
                self.restart = (
                    f"{self.venue}: no book of {link.followed.instrument.symbol} came in "
                    f"{FEED_SYNC_NS_MAX // 1_000_000_000} s; if it goes on, check the symbol"
                )

    def closed(self, ts_ns: int, rows: Rows) -> None:
        """The connection is gone."""
        lose_all(self.links, CAUSE_CLOSED, ts_ns, rows)
        self.sends, self.fetches = [], []

    def states(self) -> Sequence[int]:
        """State of each followed instrument's book, in the order they were given."""
        return [link.state for link in self.links]


def once_each(venue: str, followed: Sequence[Followed], names: Sequence[str]) -> None:
    """OperatorError if two of what is followed are one book at the venue."""
    for k, name in enumerate(names):
        if name in names[:k]:
            raise OperatorError(f"{venue}: {followed[k].instrument.name} is followed twice; follow it once")


def one_line(text: str) -> str:
    """A venue's or a parser's words as part of a message: one line, and not a long one."""
    return " ".join(text.split())[:300]

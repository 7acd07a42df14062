"""One Bitstamp book by levels: a REST snapshot and the changes after it, joined by the venue's microsecond.

Changes have neither sequence nor checksum, so a lost one cannot be seen by itself.  Two things bound the harm.  The
book is compared with the venue's own over REST now and then: changes are absolute, so the venue's book of a moment
and the changes after it are the present book, and a difference is a loss.  And a crossed book is a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pinnacle.event import ASK, BID, SNAPSHOT
from pinnacle.kernels.diff import CROSSED, ODD, diff_rows
from pinnacle.kernels.state import BOOK, NO_PRICE, reset_book
from pinnacle.limits import BITSTAMP_AUDIT_NS, BRIDGE_MESSAGES_MAX, HELD_BYTES_MAX, SNAPSHOT_WAIT_NS_MAX
from pinnacle.venues import bitstamp_messages as messages
from pinnacle.venues.feed import CAUSE_CROSSED, CAUSE_SEQUENCE, Fetch, Followed, Malformed, Rows
from pinnacle.venues.levels import Levels
from pinnacle.venues.link import Link

SECOND_NS = 1_000_000_000
# A change that a snapshot holds already is heard within a second.
_CHANGE_WAIT_NS = 5 * SECOND_NS


class _Copy:
    """A book of ticks in a window."""

    __slots__ = ("book", "octets")

    def __init__(self) -> None:
        self.book = np.zeros(1, BOOK)
        reset_book(self.book[0])
        self.octets = self.book.view(np.uint8)


class LevelBook:
    """count: called with what became of a message.  applied: changes so far.  fetch: a REST call that is wanted."""

    def __init__(self, followed: Followed, count: Callable[[str], None]) -> None:
        self.link, self.levels, self._count = Link(followed), Levels(followed), count
        self.applied = 0
        self.fetch: Fetch | None = None
        self.tag = ""
        self._spec = self.levels.spec.view(np.uint8)
        self._copy = _Copy()
        self._held: list[messages.Levels | messages.Body] = []
        self._held_bytes = 0
        self._last_ns = 0  # of the last change that was heard
        self._joined_ns = 0  # of the whole book
        self._asked = self._tries = 0
        self._audited_ns = 0
        self._audit: messages.Levels | None = None
        self._events: np.ndarray = np.zeros(0, np.uint8)
        self._event_octets: np.ndarray = self._events

    # --- asking -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new connection: the book is asked for when its changes have begun to come."""
        self.drop()
        self._last_ns = self._tries = 0
        self.link.asked()

    def drop(self) -> None:
        """Forget what is on its way."""
        self._held, self._held_bytes, self.tag, self._audit, self.fetch = [], 0, "", None, None

    def ask(self, after_ns: int = 0) -> None:
        """Want the whole book; changes are held back until it comes."""
        self._asked += 1
        symbol = self.link.followed.instrument.symbol
        self.tag = f"{symbol} {self._asked}"
        self.fetch = Fetch(self.tag, f"/api/v2/order_book/{symbol}/?group=1", after_ns=after_ns)

    def ask_again(self) -> None:
        """The answer was none: wait longer each time."""
        self._tries += 1
        if self.link.live:
            self.drop()
        else:
            self.ask(min(SECOND_NS << min(self._tries, 16), SNAPSHOT_WAIT_NS_MAX))

    def lost(self, cause: int, ts_ns: int, rows: Rows) -> None:
        """Say so, and begin anew."""
        self.link.lost(cause, ts_ns, rows)
        self.drop()
        self.link.asked()
        self.ask(SECOND_NS if self._tries else 0)
        self._tries += 1

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Compare with the venue's book when it is time.  One that no change follows is compared as it stands: what it
        holds and we do not has been on its way for too long."""
        if not self.link.live:
            return
        waited_ns = ts_ns - self._audited_ns
        if self._audit is not None and waited_ns >= _CHANGE_WAIT_NS:
            self._compare(ts_ns, rows)
        elif not self.tag and waited_ns >= BITSTAMP_AUDIT_NS:
            self._audited_ns = ts_ns
            self.ask()

    # --- messages -----------------------------------------------------------------------------------------------------

    def diff(self, change: messages.Levels | messages.Body, ts_ns: int, rows: Rows) -> None:
        """Changed levels.  Raises Malformed, ValueError."""
        time_ns = messages.time_ns(change.microtimestamp)
        if time_ns <= self._last_ns:
            self._count("changes sent again" if time_ns == self._last_ns else "changes out of order")
            if time_ns < self._last_ns and self.link.live:
                self.lost(CAUSE_SEQUENCE, ts_ns, rows)
            return
        self._last_ns = time_ns
        if self.tag or self._audit is not None:
            self._hold(change)
        if not self.link.live:
            return
        if time_ns <= self._joined_ns:
            self._count("changes older than the book")
            return
        wrong = self._write(change, self._copy, 0, ts_ns, time_ns, rows)
        if wrong:
            self._count("books crossed")
            self.lost(CAUSE_CROSSED, ts_ns, rows)
            return
        self.applied += 1
        if self._audit is not None and time_ns > messages.time_ns(self._audit.microtimestamp):
            self._compare(ts_ns, rows)

    def whole(self, snapshot: messages.Levels, ts_ns: int, rows: Rows) -> None:
        """The book that was asked for.  Raises Malformed, ValueError."""
        self.tag = ""
        if self.link.live:
            self._audit = snapshot
            if self._last_ns > messages.time_ns(snapshot.microtimestamp):
                self._compare(ts_ns, rows)
            return
        time_ns, first, held = messages.time_ns(snapshot.microtimestamp), rows.count, self._held
        self.drop()
        self._copy = _Copy()
        self.link.begin(ts_ns, time_ns, rows)
        if self._write(snapshot, self._copy, SNAPSHOT, ts_ns, time_ns, rows):
            rows.count = first
            self._count("whole books crossed")
            self._tries += 1
            self.ask(SECOND_NS)
            return
        self.link.whole(ts_ns, time_ns, rows)
        self._joined_ns, self._audited_ns = time_ns, ts_ns
        for change in held:
            change_ns = messages.time_ns(change.microtimestamp)
            if change_ns <= time_ns:
                self._count("changes older than the book")
            elif self._write(change, self._copy, 0, ts_ns, change_ns, rows):
                self._count("books crossed")
                self.lost(CAUSE_CROSSED, ts_ns, rows)
                return
            else:
                self.applied += 1
        self._tries = 0

    def _hold(self, change: messages.Levels | messages.Body) -> None:
        self._held.append(change)
        self._held_bytes += len(memoryview(change.bids)) + len(memoryview(change.asks))
        if self._held_bytes > HELD_BYTES_MAX or len(self._held) > BRIDGE_MESSAGES_MAX:
            self._count("books that came too late")
            live = self.link.live
            self.drop()
            if not live:
                self.ask(SECOND_NS)

    def _compare(self, ts_ns: int, rows: Rows) -> None:
        """Whether the venue's book with the changes after it is ours; if not, something was lost."""
        snapshot, held = self._audit, self._held
        assert snapshot is not None
        self.drop()
        other, scratch = _Copy(), Rows()
        time_ns = messages.time_ns(snapshot.microtimestamp)
        wrong = self._write(snapshot, other, SNAPSHOT, ts_ns, 0, scratch)
        # A venue that one day shows less than all of its book says nothing of what is worse than its last level.
        lows = other.book[0]["low"].tolist()
        for change in held:
            if messages.time_ns(change.microtimestamp) > time_ns:
                wrong = wrong or self._write(change, other, 0, ts_ns, 0, scratch)
        if wrong or _differ(self._copy.book[0], other.book[0], lows):
            self._count("books that differ from the venue's")
            self.lost(CAUSE_SEQUENCE, ts_ns, rows)
        else:
            self._count("books compared with the venue's")

    def _write(
        self, change: messages.Levels | messages.Body, copy: _Copy, flags: int, ts_ns: int, time_ns: int, rows: Rows
    ) -> bool:
        """Rows of both sides, and the levels into a copy; True if that is crossed then, and no row was kept."""
        bids, asks = bytes(change.bids), bytes(change.asks)
        first, room = rows.count, (len(bids) + len(asks)) // 6 + 2
        events = rows.events if first + room <= rows.events.size else rows.room(room)
        if events is not self._events:
            self._events, self._event_octets = events, events.view(np.uint8)
        result = diff_rows(
            bids, asks, self._spec, copy.octets, ts_ns, time_ns, flags, self._event_octets, first
        )  # fmt: skip
        if result == ODD:
            self._odd(bids, asks)
        if result == CROSSED:
            return True
        rows.count = result
        return False

    def _odd(self, bids: bytes, asks: bytes) -> None:
        """Raise Malformed with what is wrong; a venue that writes its numbers otherwise is not read by guessing."""
        scratch = Rows()
        for side, text in ((BID, bids), (ASK, asks)):
            if not text.startswith(b"["):
                raise Malformed(f"{self.link.followed.instrument.name}: levels that are none: {text[:40]!r}")
            self.levels.write(text, side, 0, 0, 0, False, scratch)
        raise Malformed(f"{self.link.followed.instrument.name}: levels written otherwise: {bids[:40]!r}")


def _differ(one: np.void, other: np.void, lows: list[int]) -> bool:
    """Whether two books hold different quantities at prices both windows hold, from other's index lows[side] on."""
    if NO_PRICE in (one["base_ticks"], other["base_ticks"]):
        return bool(one["base_ticks"] != other["base_ticks"])
    shift = int(other["base_ticks"] - one["base_ticks"])
    for s in range(2):
        size = one["lots"][s].size
        move = shift if s == 0 else -shift  # asks are mirrored
        low = max(lows[s] + move, 0, move)
        high = min(int(max(one["high"][s], other["high"][s] + move)), size - 1, size - 1 + move)
        if low <= high and not np.array_equal(
            one["lots"][s][low : high + 1], other["lots"][s][low - move : high + 1 - move]
        ):
            return True
    return False

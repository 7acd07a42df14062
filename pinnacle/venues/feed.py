"""What a venue's market data is to the rest of the house: bytes in, records out, and what it asks to have sent.

A feed is the protocol of ONE connection, without the connection: it never opens, awaits, sleeps or reads a clock.  So
it can be fed a recording, a fuzzer, or one message twice.  Whoever owns the socket calls it with what was received and
the time at which it was, and afterwards takes what the feed wants done (`sends`, `fetches`, `restart`).

**What a feed says.**  Records of the kinds a market has (event.py), seq left 0.  Of each message the last record
carries LAST.  `ts_ns` is the time it was called with, `ts_venue_ns` the venue's own where it has one, else 0.

- A whole book: BOOK_CLEAR (side 0, price 0), BOOK_LEVEL for each level with SNAPSHOT, then LINK_UP with LAST.  From
  there to the next LINK_STALE, LINK_GAP or LINK_DOWN the book is live.
- A book that cannot be trusted any more: LINK_GAP (sequence, checksum), LINK_STALE (silence, crossed, clock), LINK_DOWN
  (the connection ended), each with LAST and a CAUSE_* in aux, once; then nothing of that book until it is whole again.
- Levels of a book that is not live are never said.  Trades and tickers are, whatever the book's state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pinnacle.errors import VenueError
from pinnacle.event import EVENT, LAST
from pinnacle.instrument import Instrument

# State of one book of a feed.
EMPTY = 0  # nothing was asked for yet, or the connection is down
SYNCING = 1  # subscribed; the whole book has not come yet
LIVE = 2  # what was said is the venue's book, as far as the venue lets one know
STALE = 3  # it was, and is no more; a new whole book has been asked for
BOOK_STATE_NAMES = {EMPTY: "empty", SYNCING: "syncing", LIVE: "live", STALE: "stale"}
# Which states may follow; what is absent is a mistake of ours.
NEXT = {EMPTY: {SYNCING}, SYNCING: {LIVE, STALE, EMPTY}, LIVE: {STALE, SYNCING, EMPTY}, STALE: {SYNCING, EMPTY}}

# Why a book is not to be trusted (aux of LINK_GAP, LINK_STALE, LINK_DOWN).
CAUSE_CLOSED = 1  # the connection ended
CAUSE_SEQUENCE = 2  # a message is missing
CAUSE_CHECKSUM = 3
CAUSE_SILENCE = 4  # nothing came for longer than a healthy feed is silent
CAUSE_CROSSED = 5  # best bid at or above best ask
CAUSE_CLOCK = 6  # the venue's clock or ours jumped
CAUSE_MALFORMED = 7  # a message that is not what the venue promises
CAUSE_VENUE = 8  # the venue says so itself (maintenance, error, reconnect request)
CAUSE_START = 9  # nothing was heard yet
CAUSE_NAMES = {
    1: "closed", 2: "sequence", 3: "checksum", 4: "silence", 5: "crossed", 6: "clock", 7: "malformed", 8: "venue",
    9: "start",
}  # fmt: skip


class Malformed(VenueError):
    """The one error of a parser: bytes that are not what the venue promises.  The feed is spent: drop the connection.

    The message says the venue, what was wrong and the first bytes of it, never more than a line.
    """


@dataclass(frozen=True, slots=True)
class Followed:
    """One instrument that a feed follows.  venue, index: of the run's tables, written into every record.

    depth: levels a side to subscribe to where the venue lets one choose, 0 for its deepest.  orders: single orders
    (ORDER_ADD, ORDER_MODIFY, ORDER_DELETE) instead of levels, where the venue offers them.
    """

    instrument: Instrument
    venue: int
    index: int
    depth: int = 0
    orders: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """A REST call that a feed wants made; its answer comes back through `answered` with the same tag.

    path: with its query, below the venue's REST address.  after_ns: not before this long from now.
    """

    tag: str
    path: str
    method: str = "GET"
    after_ns: int = 0


@dataclass(slots=True)
class Rows:
    """Records being written: EVENT[capacity] and how many are there.  A feed grows it, its owner empties it."""

    events: np.ndarray = field(default_factory=lambda: np.zeros(4096, EVENT))
    count: int = 0

    def room(self, count: int) -> np.ndarray:
        """The whole array, with room for `count` more rows after self.count; what is beyond it is zero or stale."""
        if self.count + count > self.events.size:
            grown = np.zeros(max(2 * self.events.size, self.count + count), EVENT)
            grown[: self.count] = self.events[: self.count]
            self.events = grown
        return self.events

    def add(
        self,
        followed: Followed,
        ts_ns: int,
        ts_venue_ns: int,
        kind: int,
        side: int = 0,
        price_ticks: int = 0,
        qty_lots: int = 0,
        aux: int = 0,
        order_id: int = 0,
        flags: int = LAST,
    ) -> None:
        """Append one record: for what is rare; levels are written by kernels."""
        events = self.room(1)
        events[self.count] = (
            0, ts_ns, ts_venue_ns, order_id, price_ticks, qty_lots, aux, kind, side, flags, followed.venue,
            followed.index,
        )  # fmt: skip
        self.count += 1

    def take(self) -> np.ndarray:
        """What was written, as a view that holds until the next call of a feed; the buffer counts as empty."""
        taken = self.events[: self.count]
        self.count = 0
        return taken


class Feed(Protocol):
    """The market data of one connection.

    url: what to open, below the venue's websocket address.  headers: to open it with.  sends: text frames to send, in
    order.  fetches: REST calls to make.  restart: not empty means close this connection and open a new one, and says
    why.  The owner takes and clears these after every call.  counts: messages by what became of them, for people.

    silence_ns: a connection from which nothing at all came for so long is half open; `tick` says LINK_STALE for its
    books and sets restart.
    """

    url: str
    headers: Mapping[str, str]
    sends: list[bytes]
    fetches: list[Fetch]
    restart: str
    counts: dict[str, int]
    silence_ns: int

    def opened(self, ts_ns: int, rows: Rows) -> None:
        """The connection is up: say what to subscribe to.  May come again after `closed`."""

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        """One message.  Raises Malformed; what was written to rows before that is to be kept."""

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        """What came of a Fetch; status 0 if nothing came, and body says why.  Raises Malformed."""

    def tick(self, ts_ns: int, rows: Rows) -> None:
        """Time goes by: called at least once a second.  Silence, pings of the venue's own, retries."""

    def closed(self, ts_ns: int, rows: Rows) -> None:
        """The connection is gone: LINK_DOWN for each book that was not empty."""

    def states(self) -> Sequence[int]:
        """State of each followed instrument's book, in the order they were given."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a venue is: websocket and REST addresses without a trailing slash; a local exchange has its own."""

    websocket: str
    rest: str

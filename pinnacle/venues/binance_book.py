"""One book of a Binance connection: diffs joined to a snapshot by update ids, and held to the chain from there on.

The rule is the venue's own ("How to manage a local order book correctly"), and spot and futures differ:

    spot     first diff after the snapshot: U <= lastUpdateId + 1 <= u     then U <= previous u + 1
    futures  first diff after the snapshot: U <= lastUpdateId <= u         then pu == previous u
             (or pu == lastUpdateId: the message before it is all in the snapshot)

A diff that is older than the book is passed over; one that does not follow is a gap: the book is lost and asked for
anew.  A snapshot that is older than the first diff held joins nothing and is asked for again.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec

from pinnacle.event import ASK, BID, SNAPSHOT
from pinnacle.limits import BRIDGE_MESSAGES_MAX, HELD_BYTES_MAX, SNAPSHOT_TRIES_MAX, SNAPSHOT_WAIT_NS_MAX
from pinnacle.venues.binance_messages import Depth, Snapshot
from pinnacle.venues.binance_way import way_of
from pinnacle.venues.feed import CAUSE_CROSSED, CAUSE_SEQUENCE, LIVE, Fetch, Followed, Malformed, Rows
from pinnacle.venues.levels import Levels
from pinnacle.venues.link import Link
from pinnacle.venues.own_book import OwnBook

_FIRST_WAIT_NS = 1_000_000_000
# A book that held so long was a good one: what happens next is not the same trouble again.
_STEADY_NS = 60_000_000_000
_levels = msgspec.json.Decoder(list[list[msgspec.Raw]])
# Numbers of more digits are nobody's price; they are left to the writer, which refuses them.
_DIGITS_MAX = 40


class BinanceBook:
    """The book of one followed symbol.  path: of its snapshot.  futures: which rule holds.

    fetch: what is to be asked for, taken by the feed.  restart: why the connection is to be given up, if not empty.
    own, way: what the kernel that takes simple diffs needs (kernels/binance_frame.py); the update id is in the way.
    off_tick, off_lot: levels left out because they stand between two ticks (orders older than the tick), and
    quantities rounded down to the lot.
    """

    def __init__(self, followed: Followed, path: str, futures: bool) -> None:
        self.followed, self.path, self.futures = followed, path, futures
        self.link = Link(followed)
        self.fetch: Fetch | None = None
        self.restart = ""
        self.off_tick = self.off_lot = self.old = 0
        self._levels = Levels(followed)
        self.own = OwnBook()
        self.way = way_of(followed, "depth", futures)
        self._chain = self.way[0]
        self._chained(-1, False)
        self._held: deque[tuple[Depth, int]] = deque()
        self._held_bytes = 0
        self._tries = self._asked = 0
        self._live_since_ns = 0

    # --- asking for a whole book --------------------------------------------------------------------------------

    def ask(self, after_ns: int = 0) -> None:
        """A whole book is wanted, not before after_ns from now."""
        self._asked += 1
        self._tries += 1
        if self._tries > SNAPSHOT_TRIES_MAX:
            self.restart = (
                f"{SNAPSHOT_TRIES_MAX} snapshots in a row did not make a book of {self.followed.instrument.name}"
            )
            return
        self.fetch = Fetch(self.tag, self.path, after_ns=after_ns)

    def crossed(self, ts_ns: int, rows: Rows) -> None:
        """A diff left the book crossed, and nothing of it was said."""
        self._lost(CAUSE_CROSSED, ts_ns, rows)

    @property
    def last_id(self) -> int:
        """Update id of the book, -1 if there is none."""
        return int(self._chain["last_id"])

    def _chained(self, last_id: int, joined: bool) -> None:
        """The book has this id; joined: the next diff must follow it, so that the kernel may take it."""
        self._chain["last_id"], self._chain["ready"] = last_id, joined
        self._joining = last_id >= 0 and not joined

    @property
    def tag(self) -> str:
        """Of the one answer that is waited for; of an earlier one it differs."""
        return f"{self.followed.instrument.symbol} {self._asked}"

    def ask_again(self, wait_ns: int = 0) -> None:
        """The same after a wait that doubles each time."""
        doubled: int = _FIRST_WAIT_NS << min(max(self._tries - 1, 0), 6)
        self.ask(min(max(doubled, wait_ns), SNAPSHOT_WAIT_NS_MAX))

    def opened(self, after_ns: int) -> None:
        """The connection is up."""
        self.drop()
        self._tries = 0
        self.link.asked()
        self.ask(after_ns)

    def drop(self) -> None:
        """Nothing of the book is known any more, and nothing is waited for."""
        self._held.clear()
        self._held_bytes = 0
        self._chained(-1, False)
        self._asked += 1
        self.fetch, self.restart = None, ""

    # --- what comes ---------------------------------------------------------------------------------------------

    def snapshot(self, message: Snapshot, ts_ns: int, rows: Rows) -> None:
        """The answer that was waited for.  Raises Malformed and leaves nothing of it."""
        if self.link.live:
            return
        snapshot_id = message.lastUpdateId
        while self._held and not self._newer(self._held[0][0], snapshot_id):
            self._held_bytes -= self._held.popleft()[1]
            self.old += 1
        if self._held and not self._joins(self._held[0][0], snapshot_id):
            self.ask_again()
            return
        begin = rows.count
        ts_venue_ns = (message.T or message.E) * 1_000_000
        self.link.asked()
        self.link.begin(ts_ns, ts_venue_ns, rows)
        self.own.clear()
        crossed = self._write(message.bids, message.asks, snapshot_id, SNAPSHOT, ts_ns, ts_venue_ns, begin, rows)
        if crossed:
            rows.count = begin
            self.ask_again()
            return
        self.link.whole(ts_ns, ts_venue_ns, rows)
        self._chained(snapshot_id, False)
        self._live_since_ns = ts_ns
        held, self._held, self._held_bytes = self._held, deque(), 0
        for diff, size in held:
            self.diff(diff, size, ts_ns, rows)

    def diff(self, message: Depth, size: int, ts_ns: int, rows: Rows) -> None:
        """One diff message of `size` bytes.  Raises Malformed and leaves nothing of it."""
        if self.link.state != LIVE:
            self._hold(message, size)
            return
        last = self.last_id
        if not self._newer(message, last):
            self.old += 1
            return
        if self._joining:
            follows = self._joins(message, last)
        elif self.futures:
            follows = message.pu == last
        else:
            follows = last + 1 >= message.U
        if not follows:
            self._lost(CAUSE_SEQUENCE, ts_ns, rows)
            self._hold(message, size)
            return
        ts_venue_ns = (message.T or message.E) * 1_000_000
        begin = rows.count
        if self._write(message.b, message.a, message.u, 0, ts_ns, ts_venue_ns, begin, rows):
            rows.count = begin
            self._lost(CAUSE_CROSSED, ts_ns, rows)
            return
        self._chained(message.u, True)

    def _newer(self, message: Depth, book_id: int) -> bool:
        """Whether the diff says anything that a book of this id does not have."""
        if self.futures and (self._joining or not self.link.live):
            return message.u >= book_id
        return message.u > book_id

    def _joins(self, message: Depth, snapshot_id: int) -> bool:
        if self.futures:
            return snapshot_id >= message.U or message.pu == snapshot_id
        return snapshot_id + 1 >= message.U

    def _lost(self, cause: int, ts_ns: int, rows: Rows) -> None:
        self.link.lost(cause, ts_ns, rows)
        self.drop()
        if ts_ns - self._live_since_ns > _STEADY_NS:
            self._tries = 0
        # At once the first time: a gap is rare, and quotes are pulled until the book is whole.
        if self._tries <= 1:
            self.ask()
        else:
            self.ask_again()

    def _hold(self, message: Depth, size: int) -> None:
        """Keep a diff until the snapshot comes; one that does not follow the diffs held makes them worthless."""
        if self._held:
            before = self._held[-1][0]
            if message.u <= before.u:
                self.old += 1
                return
            if message.pu != before.u if self.futures else before.u + 1 < message.U:
                self._held.clear()
                self._held_bytes = 0
        self._held.append((message, size))
        self._held_bytes += size
        if len(self._held) > BRIDGE_MESSAGES_MAX or self._held_bytes > HELD_BYTES_MAX:
            self.restart = f"no snapshot of {self.followed.instrument.name} came while {len(self._held):,} diffs did"
            self._held.clear()
            self._held_bytes = 0

    # --- levels -------------------------------------------------------------------------------------------------

    def _write(
        self,
        bids: msgspec.Raw,
        asks: msgspec.Raw,
        update_id: int,
        flags: int,
        ts_ns: int,
        ts_venue_ns: int,
        undo: int,
        rows: Rows,
    ) -> bool:
        """Both sides of one message; whether the book is crossed after it.  undo: rows to fall back to if Malformed."""
        begin = rows.count
        try:
            for side, raw in ((BID, bids), (ASK, asks)):
                text = bytes(raw)
                if text[:1] != b"[":
                    raise Malformed(f"{self.followed.instrument.name}: levels that are none: {text[:80]!r}")
                if len(text) > 2:
                    self._side(text, side, flags, ts_ns, ts_venue_ns, rows)
        except Malformed:
            rows.count = undo
            raise
        if rows.count == begin:
            return False
        return self.own.crossed(rows, begin, update_id, not flags)

    def _side(self, text: bytes, side: int, flags: int, ts_ns: int, ts_venue_ns: int, rows: Rows) -> None:
        try:
            self._levels.write(text, side, ts_ns, ts_venue_ns, flags, False, rows)
        except Malformed:
            self._levels.write(self._on_grid(text), side, ts_ns, ts_venue_ns, flags, False, rows)

    def _on_grid(self, text: bytes) -> bytes:
        """The levels without those between two ticks, quantities rounded down to the lot; what else is odd stays.

        Real world: BUSDTRY of April 2021 held orders older than its tick, BTCUSDT of August 2024 asks finer than its
        lot.  A connection must not die of them.  A tick that is wrong is seen at the next trade or ticker.
        """
        tick, lot = Fraction(self.followed.instrument.tick), self.followed.instrument.lot
        out = []
        try:
            for level in _levels.decode(text):
                price, qty = (_number(field) for field in level[:2])
                if price % tick:
                    self.off_tick += 1
                    continue
                lots, rest = divmod(qty, Fraction(lot))
                self.off_lot += bool(rest)
                out.append([level[0], f"{lots * lot:f}"])
        except (msgspec.MsgspecError, InvalidOperation, ValueError, RecursionError):
            return text
        return msgspec.json.encode(out)


def _number(text: msgspec.Raw) -> Fraction:
    """A number as it is quoted.  Raises ValueError or InvalidOperation if it is none, or a very long one."""
    value = Decimal(bytes(text).decode().strip('"'))
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS_MAX:
        raise ValueError
    return Fraction(value)

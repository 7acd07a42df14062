"""What the gateway of one account keeps whatever its venue: what it wants done, what it awaits, and the venue's clock.

Silence, a clock that is off, an answer that comes twice and a request that was refused are the same at every venue, and
must be said in the same way, or the owner would react differently to the same trouble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.event import CANCEL_REJECTED, ORDER_REJECTED, ORDER_UNKNOWN, REPLACE_REJECTED
from pinnacle.limits import FILL_PAGES_MAX
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.connection import one_line
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import (
    CANCEL_COST,
    PLACE_COST,
    REPLACE_COST,
    Answer,
    Call,
    Capabilities,
    Order,
    Standing,
)
from pinnacle.venues.private.said import Balance, Note, Said, Step

ASK_TIME = "time"
# An answer that took longer says too little of the venue's clock.
TIME_ROUND_NS_MAX = 1_500_000_000
TIME_EVERY_NS = 1_000_000_000
# Between opening a connection, or losing the venue's clock, and being ready.
READY_NS_MAX = 5_000_000_000
# Requests without an answer are forgotten then; their owner has long given them up.
PENDING_NS_MAX = 60_000_000_000
_PENDING_MANY = 64
# How long nothing is asked after "too many requests" where the venue does not say how long.
RATE_NS = 2_000_000_000
REFUSALS = {PLACE_COST: ORDER_REJECTED, CANCEL_COST: CANCEL_REJECTED, REPLACE_COST: REPLACE_REJECTED}
# What decoding raises for bytes that are none of the venue's.
UNREADABLE = (
    msgspec.MsgspecError, UnicodeDecodeError, HistoryError, Malformed, ValueError, KeyError, ArithmeticError,
    RecursionError,
)  # fmt: skip


@dataclass(slots=True)
class Pending:
    """A request whose answer is awaited.

    number: of a question, 0 for a command and what the gateway asks for itself.  first_id: fills are wanted from this
    trade id on.  seeking: the order's name at the venue is looked for first; what is wanted comes after.  steps,
    standings, balances: what the pages before this one showed; pages: how many.
    """

    what: str
    sent_ns: int
    order: Order | None = None
    followed: Followed | None = None
    number: int = 0
    first_id: int = 0
    seeking: bool = False
    pages: int = 0
    steps: dict[int, Step] = field(default_factory=dict)
    standings: list[Standing] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)


class AccountConnection:
    """The half of a Gateway that does not depend on the venue; see gateway.Gateway for the attributes."""

    def __init__(
        self, venue: str, capabilities: Capabilities, followed: Sequence[Followed], ids: ClientIds, url: str,
        silence_ns: int,
    ) -> None:  # fmt: skip
        self.venue, self.capabilities, self.url, self.silence_ns = venue, capabilities, url, silence_ns
        self.followed = {one.instrument.symbol: one for one in followed}
        self.ids = ids
        self.sends: list[bytes] = []
        self.calls: list[Call] = []
        self.restart = ""
        self.said: list[Said | Answer] = []
        self.counts: dict[str, int] = {}
        self.ready = self.up = self.heard_by = False
        self.retry_ns = self.venue_ns = 0
        self.pending: dict[str, Pending] = {}
        self.away_ns: int | None = None  # the venue's clock less ours
        self._count = 0
        self._heard_ns = self._unready_ns = self._time_ns = 0

    # --- the connection -------------------------------------------------------------------------------------------
    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        """Headers for the connection about to be opened."""
        return {}

    def begin(self, ts_ns: int) -> None:
        """A connection is up: nothing of the account is heard on it yet."""
        self.up, self.ready, self.heard_by, self.restart = True, False, False, ""
        self._heard_ns = self._unready_ns = ts_ns
        self.sends.clear()
        self._forget_frames()

    def closed(self, ts_ns: int) -> None:
        """The connection is gone; what was asked by HTTP is still answered."""
        self.up = self.ready = self.heard_by = False
        self.sends.clear()
        self._forget_frames()

    def _forget_frames(self) -> None:
        self.pending = {tag: one for tag, one in self.pending.items() if tag.startswith("h")}

    def heard(self, ts_ns: int) -> None:
        """Something came on the connection."""
        self._heard_ns = ts_ns

    def watch(self, ts_ns: int) -> None:
        """Time goes by: silence, and a connection that does not become ready."""
        if len(self.pending) > _PENDING_MANY:
            self.pending = {t: p for t, p in self.pending.items() if ts_ns - p.sent_ns < PENDING_NS_MAX}
        if not self.up:
            return
        if ts_ns - self._heard_ns > self.silence_ns:
            self.give_up(f"{self.venue}: silent for {(ts_ns - self._heard_ns) / 1e9:.1f} s")
        elif not self.ready and ts_ns - self._unready_ns > READY_NS_MAX:
            self.give_up(f"{self.venue}: no private stream came of the connection")

    def give_up(self, why: str) -> None:
        """Nothing is heard of orders any more until there is another connection."""
        self.ready = False
        self.restart = self.restart or why

    def spent(self, error: Exception, data: bytes) -> Malformed:
        """The error to raise for a message that is none; only another connection mends it."""
        self.give_up(f"{self.venue}: a message that is none")
        return error if isinstance(error, Malformed) else self.unreadable(error, data)

    def unreadable(self, error: Exception, data: bytes) -> Malformed:
        """The error to raise for an answer that is none."""
        if isinstance(error, Malformed):
            return error
        return Malformed(f"{self.venue}: {one_line(str(error))[:120]} in {data[:80]!r}")

    # --- the venue's clock ----------------------------------------------------------------------------------------
    def clock_ns(self, ts_ns: int) -> int:
        """The venue's time as far as it is known."""
        return ts_ns + (self.away_ns or 0)

    def time_due(self, ts_ns: int) -> bool:
        """Whether the venue's time is to be asked for, which then counts as asked."""
        if self._time_ns and 0 <= ts_ns - self._time_ns < TIME_EVERY_NS:
            return False
        self._time_ns = ts_ns
        return True

    def told(self, venue_ns: int) -> None:
        """The venue itself has said what time it is, or was."""
        self.venue_ns = max(self.venue_ns, venue_ns)

    def hear_time(self, server_ns: int, sent_ns: int, ts_ns: int) -> None:
        """The venue's clock lies between what it was when we asked and when we heard; the middle is taken."""
        self.told(server_ns)
        if 0 <= ts_ns - sent_ns <= TIME_ROUND_NS_MAX:
            self.away_ns = server_ns - (sent_ns + ts_ns) // 2
        else:
            self._time_ns = 0

    def lose_clock(self, ts_ns: int) -> None:
        """The venue finds our time wrong: it is measured before anything else is sent."""
        self.away_ns, self.ready, self._unready_ns, self._time_ns = None, False, ts_ns, 0

    # --- requests -------------------------------------------------------------------------------------------------
    def keep(self, pending: Pending, how: str) -> str:
        """The tag under which a request's answer will come.  how: "h" by HTTP, "w" by the connection."""
        self._count += 1
        tag = f"{how}{self._count}"
        self.pending[tag] = pending
        return tag

    def question(self, pending: Pending) -> Pending:
        """Give a question its number."""
        self._count += 1
        pending.number = self._count
        return pending

    def take(self, tag: str) -> Pending | None:
        """What an answer is to; None for one that comes twice, or was given up."""
        pending = self.pending.pop(tag, None)
        self.tally("answer" if pending is not None else "late")
        return pending

    # --- what is said ---------------------------------------------------------------------------------------------
    def refuse(self, kind: int, order: Order, cause: str) -> None:
        """A command that is not sent."""
        self.said.append(step_about(kind, order, cause))

    def refused(self, pending: Pending, cause: str, words: str, ts_ns: int) -> None:
        """A request was not done, or nobody knows: an Answer to a question, a Step to a command, and a Note."""
        if cause == "rate_limit":
            self.retry_ns = max(self.retry_ns, ts_ns + RATE_NS)
        elif cause == "clock":
            self.lose_clock(ts_ns)
        if pending.number:
            self.said.append(Answer(pending.number, pending.what, cause))
        elif pending.order is not None:
            kind = ORDER_UNKNOWN if cause == "outcome_unknown" else REFUSALS[pending.what]
            self.said.append(step_about(kind, pending.order, cause))
        what = "permission" if cause == "permission" else "refused"
        self.said.append(Note(what, one_line(f"{pending.what}: {words}")[:200]))

    def unknown(self, pending: Pending) -> None:
        """An answer could not be read: the outcome of what it answers is not known."""
        if pending.number:
            self.said.append(Answer(pending.number, pending.what, "outcome_unknown"))
        elif pending.order is not None:
            self.said.append(step_about(ORDER_UNKNOWN, pending.order, "outcome_unknown"))

    def paged(self, pending: Pending, steps: Sequence[Step], full: bool) -> bool:
        """Take a page of fills, newest page first; whether an older one is wanted.

        A page that shows nothing new ends it, whatever the venue says: what is missing is noted, not asked for ever.
        """
        news = {step.trade_id: step for step in steps if step.trade_id not in pending.steps}
        oldest = min((step.trade_id for step in steps), default=0)
        pending.steps |= news
        pending.pages += 1
        if not full or (pending.order is None and oldest <= max(pending.first_id, 1)):
            return False
        if pending.order is None and not pending.first_id:
            return False  # only the latest ones were wanted
        if not news or pending.pages >= FILL_PAGES_MAX:
            self.said.append(Note("fills_cut", f"the venue shows fills from {oldest} on, not from {pending.first_id}"))
            return False
        return True

    def shown_fills(self, pending: Pending) -> None:
        """The answer of all pages: oldest first, of one order where one was asked about."""
        found = [step for trade_id, step in sorted(pending.steps.items()) if trade_id >= pending.first_id]
        if pending.order is not None:
            found = [step for step in found if step.venue_id == pending.order.venue_id]
        self.said.append(Answer(pending.number, pending.what, fills=tuple(found)))

    def tally(self, what: str) -> None:
        """One more of this."""
        self.counts[what] = self.counts.get(what, 0) + 1


def step_about(kind: int, order: Order, cause: str) -> Step:
    """What became of a command about an order, where the answer itself does not show the order."""
    return Step(
        kind, order.followed, order.order_id, order.client_id, order.venue_id, order.side, order.price_ticks,
        order.qty_lots, 0, cause=cause,
    )  # fmt: skip

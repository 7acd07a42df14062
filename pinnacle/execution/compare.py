"""Our picture of an account against the venue's: open orders, balances, and fills since the last known one.

At the start, after each time the private stream was away, and on a timer.  What is found is told with its cause
(RECONCILED) and set right by the steps that follow.  Absence proves nothing: an order of ours that the list does not
show is asked about by its id, because the list may be older than the order.  Fills come last, when every order of ours
is known by the venue's number.  Foreign orders are reported, never adopted and never cancelled.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING

from pinnacle.event import (
    DIFFERENCE_BALANCE,
    DIFFERENCE_BUST,
    DIFFERENCE_FILL,
    DIFFERENCE_NONE,
    KILL_REFUSED,
)
from pinnacle.limits import ANSWER_NS_MAX
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import ASK_BALANCES, ASK_FILLS, ASK_OPEN, Answer
from pinnacle.venues.private.said import Balance

if TYPE_CHECKING:
    from pinnacle.execution.desk import Desk

_AGAIN_NS = 1_000_000_000
IDLE, LOOKING, FILLS = 0, 1, 2
# Fills since the comparison before of orders that the log does not know: by hand, or of an end of the log that a power
# cut took, where the venue tells of a fill no more than its own number of the order.
STRANGE = "fill of no order here"


class Comparison:
    """One account's comparisons, one at a time.  It asks through the desk's gateway and tells through the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.phase = IDLE
        self.done = 0
        self._due_ns: int | None = None
        self._asked: dict[int, tuple[str, Followed | None, int]] = {}
        self._left: list[tuple[str, Followed | None]] = []
        self._first: dict[int, int] = {}
        self._totals: dict[str, Fraction] = {}
        self._before: dict[str, Fraction] = {}
        self._gross: dict[int, int] = {}
        self._filled_then: dict[int, tuple[int, int]] = {}

    def start(self, ts_ns: int) -> None:
        """From the beginning, whatever was under way."""
        self.phase, self._asked = LOOKING, {}
        self._left = [(ASK_OPEN, one) for one in self._desk.followed.values()] + [(ASK_BALANCES, None)]
        self._due_ns = None

    def soon(self, ts_ns: int) -> None:
        """Something does not fit: compare within a second."""
        if self.phase == IDLE:
            self._due_ns = min(self._due_ns or ts_ns + _AGAIN_NS, ts_ns + _AGAIN_NS)

    def tick(self, ts_ns: int) -> None:
        desk = self._desk
        if not desk.gateway.ready:
            return
        if self.phase == IDLE:
            if self._due_ns is not None and ts_ns >= self._due_ns:
                self.start(ts_ns)
            return
        for number, (what, followed, at_ns) in list(self._asked.items()):
            if ts_ns - at_ns > ANSWER_NS_MAX:
                del self._asked[number]
                self._left.append((what, followed))
        if ts_ns >= desk.gateway.retry_ns:
            self._ask(ts_ns)
        if self._left or self._asked:
            return
        if self.phase == LOOKING and not any(o.doubt or o.missing_lots > 0 for o in desk.orders.values()):
            self.phase = FILLS
            self._first = {k: desk.memory.watermark.get(k, 0) for k in desk.followed}
            self._left = [(ASK_FILLS, one) for one in desk.followed.values()]
            self._ask(ts_ns)
        elif self.phase == FILLS:
            self._over(ts_ns)

    def _ask(self, ts_ns: int) -> None:
        desk, gateway = self._desk, self._desk.gateway
        for what, followed in list(self._left):
            index = followed.index if followed is not None else 0
            if not desk.budget.take(what, index, ts_ns, True):
                return
            if what == ASK_BALANCES:
                number = gateway.ask_balances(ts_ns)
            elif what == ASK_OPEN:
                assert followed is not None
                number = gateway.ask_open(followed, ts_ns)
            else:
                assert followed is not None
                number = gateway.ask_fills(followed, self._first[index], None, ts_ns)
            if number:
                self._left.remove((what, followed))
                self._asked[number] = (what, followed, ts_ns)

    def hear(self, answer: Answer, ts_ns: int) -> None:
        """An answer that is about no single order."""
        found = self._asked.pop(answer.number, None)
        if found is None:
            return
        what, followed, at_ns = found
        if answer.cause:
            self._left.append((what, followed))
            if answer.cause == "permission":
                self._desk.safety.kill(KILL_REFUSED, ts_ns)
        elif what == ASK_OPEN:
            assert followed is not None
            self._open(answer, followed, at_ns, ts_ns)
        elif what == ASK_FILLS:
            assert followed is not None
            self._fills(answer, followed, ts_ns)
        else:
            self._balances(answer.balances, ts_ns)

    def _open(self, answer: Answer, followed: Followed, at_ns: int, ts_ns: int) -> None:
        desk, shown = self._desk, set()
        for one in answer.standings:
            if one.order_id is None:
                desk.foreign(one.followed, one.venue_id, ts_ns)
                continue
            shown.add(one.order_id)
            live = desk.orders.get(one.order_id)
            if live is not None:
                desk.stands(live, one, ts_ns)
            elif not desk.ended_lately(one.order_id, at_ns):
                desk.orphan(one.followed, one.order_id, one.client_id, one.venue_id, one.side, ts_ns)
        for live in list(desk.orders.values()):
            if live.order.followed is followed and live.sent and live.sent_ns < at_ns and not live.due_ns:
                if live.order.order_id not in shown:
                    desk.suspect(live, ts_ns)

    def _fills(self, answer: Answer, followed: Followed, ts_ns: int) -> None:
        desk, index = self._desk, followed.index
        counted, ids = desk.memory.of(index), [one.trade_id for one in answer.fills]
        for one in answer.fills:
            order_id = desk.owner(one)
            if order_id is not None and one.trade_id not in counted:
                desk.difference(DIFFERENCE_FILL, followed, order_id, ts_ns)
                desk.fill(one, order_id, ts_ns)
            elif order_id is None and one.trade_id > desk.memory.watermark.get(index, 0):
                desk.counts[STRANGE] = desk.counts.get(STRANGE, 0) + 1
        if ids:
            listed = set(ids)
            for trade_id in counted.between(max(1, self._first[index], min(ids)), max(ids)):
                if trade_id not in listed:
                    desk.difference(DIFFERENCE_BUST, followed, trade_id, ts_ns)
            self._first[index] = max(ids)
            if answer.more and max(ids) > min(ids):
                self._left.append((ASK_FILLS, followed))

    def _balances(self, balances: tuple[Balance, ...], ts_ns: int) -> None:
        try:
            self._totals = {
                one.asset: Fraction(Decimal(one.free or "0")) + Fraction(Decimal(one.locked or "0")) for one in balances
            }
        except (InvalidOperation, ValueError, OverflowError):
            self._totals = {}
        self._filled_then = dict(self._desk.positions)

    def _over(self, ts_ns: int) -> None:
        """Everything was answered and set right."""
        desk = self._desk
        self.phase, self._due_ns = IDLE, ts_ns + desk.limits.reconcile_ns
        self.done += 1
        self._compare_balances(ts_ns)
        for index, followed in desk.followed.items():
            desk.memory.watermark[index] = self._first[index]
            desk.difference(DIFFERENCE_NONE, followed, self._first[index], ts_ns)
        desk.compared(ts_ns)

    def _compare_balances(self, ts_ns: int) -> None:
        """The base currency must have moved by what was filled, but for fees taken from it (below a hundredth)."""
        desk = self._desk
        for index, followed in desk.followed.items():
            instrument = followed.instrument
            total, then = self._totals.get(instrument.base), desk.positions.get(index, (0, 0))
            if total is None or not instrument.base or self._filled_then.get(index, (0, 0)) != then:
                continue  # it moved while we looked: the next comparison says
            before = self._before.get(instrument.base)
            net, gross = then
            now = total / Fraction(instrument.lot * instrument.contract) - net
            self._before[instrument.base] = now
            if before is None:
                self._gross[index] = gross
                continue
            traded = gross - self._gross.get(index, 0)
            self._gross[index] = gross
            away = now - before
            if abs(away) > 1 + Fraction(traded, 100):
                desk.difference(DIFFERENCE_BALANCE, followed, 0, ts_ns, int(away))

"""The desk of one account: commands of the engine to the venue, what the venue says to records that the engine hears.

A command has three outcomes: accepted, refused, unknown.  An unknown one is asked about by client id until the venue
shows the order, or proves that it has none: by saying so at a time when the order could no longer arrive.  Nothing that
was sent is ever sent again but a cancel, which does no harm twice.

A fill is counted once, by its trade id, whichever way it came; its id stands in the log before it, so that a crash does
not forget.  An order's end is told when all its fills are: what the venue says was filled is compared with what was
heard, and the rest is asked for.  The engine hears one step at a time, each only where its table has a row for it.

No clock and no socket: who owns them calls `command`, `hear` and `tick`, takes `rows` one group at a time, and has the
engine hear each before the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from pinnacle.event import (
    CANCEL,
    CANCEL_REJECTED,
    DIFFERENCE_ENDED,
    DIFFERENCE_FOREIGN,
    DIFFERENCE_OPEN,
    FILL_ID,
    HOLD_LINK,
    HOLD_SWITCH,
    KILL_CAP,
    KILL_ERRORS,
    KILL_MISTAKE,
    KILL_REFUSED,
    LAST,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
    PLACE,
    REASON_SHIFT,
    RECONCILED,
    empty,
)
from pinnacle.execution.budget import Budget
from pinnacle.execution.cap import Cap
from pinnacle.execution.compare import Comparison
from pinnacle.execution.dead_man import DeadMan
from pinnacle.execution.live_order import (
    CANCELLING,
    PLACING,
    UNKNOWN,
    WORKING,
    End,
    LiveOrder,
    end_heard,
    legal,
)
from pinnacle.execution.memory import Memory
from pinnacle.execution.reactions import REACTIONS
from pinnacle.execution.safety import FOR_EVER, Safety
from pinnacle.limits import (
    ANSWER_NS_MAX,
    DEAD_MAN_NS,
    ENDED_ORDERS_MAX,
    HOLD_NS,
    KILL_AGAIN_NS,
    ORDER_ASK_NS,
    ORDER_ASK_NS_MAX,
    ORDER_ASKED_MAX,
    RECONCILE_NS,
    REFUSALS_MAX,
    REFUSALS_NS,
    UNSENT_NS_MAX,
)
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import ASK_FILLS, ASK_ORDER, CANCEL_COST, PLACE_COST, Answer, Gateway, Order, Standing
from pinnacle.venues.private.said import CAUSES, Balance, Note, Said, Step

# A fill may come after the message that counts it; only then is it asked for.
_GRACE_NS = 300_000_000
_CANCEL_AGAIN_NS = 250_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows at this venue.  notional_max: what we could come to hold, long or short, were all open
    orders of one side filled, in quote currency, beside the engine's own limits; None for none.  reconcile_ns: between
    two comparisons.  dead_man_ns: after which the venue cancels everything if it does not hear of us; 0: never."""

    notional_max: Decimal | None = None
    reconcile_ns: int = RECONCILE_NS
    refusals_max: int = REFUSALS_MAX
    dead_man_ns: int = DEAD_MAN_NS


class Desk:
    """See the file's first words.  venue: its index in the run's table.  memory: what the log says, of a new run
    nothing.  orders: those whose end has not been told."""

    def __init__(
        self,
        gateway: Gateway,
        followed: Sequence[Followed],
        ids: ClientIds,
        safety: Safety,
        memory: Memory | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.gateway, self.ids, self.safety = gateway, ids, safety
        self.followed = {one.index: one for one in followed}
        self.venue = followed[0].venue
        self.memory, self.limits = memory or Memory(), limits or Limits()
        self.budget = Budget(gateway.capabilities)
        self.orders: dict[int, LiveOrder] = {}
        self.rows: deque[np.ndarray] = deque()
        self.counts: dict[str, int] = {}
        self.notes: deque[Note] = deque(maxlen=100)
        self._owner = {number: order_id for order_id, number in self.memory.venue_ids.items()}
        # (bought less sold, bought and sold) in lots since the process began, by instrument.
        self.positions: dict[int, tuple[int, int]] = {}
        # Instruments whose book is not whole: nothing is placed on them.
        self.stale: set[int] = set(self.followed)
        self._ended_ns: dict[int, int] = {}
        self._foreign: dict[int, None] = {}
        self._asked: dict[int, int] = {}  # question -> order
        self._refusals: deque[int] = deque()
        self._swept_ns = self._now_ns = 0
        self._synced = self._was_ready = False
        self._comparison = Comparison(self)
        self.dead_man = DeadMan(gateway, self.limits.dead_man_ns)
        self.cap = Cap(self.limits.notional_max, self.followed)

    # --- the start ------------------------------------------------------------------------------------------------
    def adopt(self, order: Order, status: int, filled_lots: int) -> None:
        """An order that the engine believes open, at a recovery: whatever was on its way is of unknown outcome."""
        live = LiveOrder(order, status, sent=True, expires_ns=None, filled_lots=filled_lots, doubt=True)
        live.order = replace(order, venue_id=self.memory.venue_ids.get(order.order_id, 0))
        live.acknowledged = status in (WORKING, CANCELLING) or bool(live.order.venue_id)
        live.done_lots = filled_lots
        self.orders[order.order_id] = live

    def begin(self, ts_ns: int) -> None:
        """Before the first event: nothing is known of the venue yet."""
        self.safety.hold(self.venue, HOLD_LINK, FOR_EVER, ts_ns)
        self._mind_switch(ts_ns)
        for live in list(self.orders.values()):
            self._doubt(live, ts_ns)

    # --- commands -------------------------------------------------------------------------------------------------
    def command(self, record: np.void, ts_ns: int) -> None:
        """A command that stands in the log."""
        self._sense(ts_ns)
        order_id, followed = int(record["order_id"]), self.followed[int(record["instrument"])]
        if record["kind"] == PLACE:
            assert order_id not in self.orders
            order = Order(
                followed, order_id, self.ids.text(order_id), int(record["side"]), int(record["price_ticks"]),
                int(record["qty_lots"]), int(record["flags"]),
            )  # fmt: skip
            live = self.orders[order_id] = LiveOrder(order, sent_ns=ts_ns)
            if self.cap.beyond(live, self.orders.values()):
                self._never_sent(live, "notional_filter", ts_ns)
                self.safety.kill(KILL_CAP, ts_ns)
            else:
                self._place(live, ts_ns)
        elif record["kind"] == CANCEL:
            found = self.orders.get(order_id)
            if found is None:
                return  # its end is on its way to the engine
            found.status = CANCELLING
            if found.end is None:
                self._cancel(found, ts_ns)
        else:
            raise AssertionError(f"the engine says {int(record['kind'])}, which the desk does not know")

    def _place(self, live: LiveOrder, ts_ns: int) -> None:
        """Send it, or leave it for the next tick where the budget is short; what waits too long is given up unsent."""
        gateway = self.gateway
        if self.safety.killed or self.safety.held or not self._synced or live.order.followed.index in self.stale:
            self._never_sent(live, "halted", ts_ns)
        elif ts_ns >= gateway.retry_ns and self.budget.take(PLACE_COST, live.order.followed.index, ts_ns, False):
            live.sent, live.sent_ns, live.due_ns = True, ts_ns, ts_ns + ANSWER_NS_MAX
            live.expires_ns = gateway.place(live.order, ts_ns)
        elif ts_ns - live.sent_ns > UNSENT_NS_MAX:
            self._never_sent(live, "rate_limit", ts_ns)

    def _never_sent(self, live: LiveOrder, cause: str, ts_ns: int) -> None:
        assert not live.sent
        self._tally(f"unsent {cause}")
        self._say(live, ORDER_REJECTED, ts_ns, 0, live.order.qty_lots, cause=cause)
        self._forget(live)

    def _cancel(self, live: LiveOrder, ts_ns: int) -> None:
        """Send a cancel; where it cannot be sent, it is tried again soon."""
        live.cancel_ns = ts_ns + _CANCEL_AGAIN_NS
        index, age_ns = live.order.followed.index, ts_ns - live.sent_ns
        if ts_ns >= self.gateway.retry_ns and self.budget.take(CANCEL_COST, index, ts_ns, True, age_ns):
            live.cancel_ns, live.due_ns = 0, ts_ns + ANSWER_NS_MAX
            live.cancels += 1
            self.gateway.cancel(live.order, ts_ns)

    # --- what the venue says --------------------------------------------------------------------------------------
    def hear(self, said: Said | Answer, ts_ns: int) -> None:
        """One thing that it said."""
        self._sense(ts_ns)
        if isinstance(said, Step):
            self._step(said, ts_ns)
        elif isinstance(said, Answer):
            order_id = self._asked.pop(said.number, None)
            if order_id is not None:
                self._answer(order_id, said, ts_ns)
            else:
                self._comparison.hear(said, ts_ns)
        elif isinstance(said, Note):
            self._tally(said.what)
            self.notes.append(said)
            self.dead_man.hear(said, ts_ns)
            self._mind_switch(ts_ns)
            if said.what == "permission":
                self.safety.kill(KILL_REFUSED, ts_ns)
            elif said.what == "liquidation":
                # The venue traded our position itself: what is held is not what the log says.
                self.safety.kill(KILL_MISTAKE, ts_ns)
        else:
            assert isinstance(said, Balance)

    def owner(self, step: Step) -> int | None:
        """Our order that a step is about."""
        return step.order_id if step.order_id is not None else self._owner.get(step.venue_id)

    def _step(self, step: Step, ts_ns: int) -> None:
        order_id = self.owner(step)
        if order_id is None:
            self.foreign(step.followed, step.venue_id, ts_ns)
            return
        if step.kind == ORDER_FILLED:
            self.fill(step, order_id, ts_ns)
            return
        live = self.orders.get(order_id)
        if live is None:
            if step.kind == ORDER_ACKNOWLEDGED and order_id not in self.memory.venue_ids:
                self.orphan(step.followed, order_id, step.client_id, step.venue_id, step.side, ts_ns)
            return
        self._name(live, step.venue_id)
        live.done_lots = max(live.done_lots, step.done_lots)
        if step.kind == ORDER_ACKNOWLEDGED:
            self._acknowledged(live, ts_ns)
        elif step.kind in (ORDER_CANCELLED, ORDER_EXPIRED):
            self._end(live, End(step.kind, step.done_lots, step.cause, step.ts_venue_ns), ts_ns)
        elif step.kind == ORDER_REJECTED:
            self._rejected(live, step, ts_ns)
        elif step.kind == CANCEL_REJECTED:
            self._cancel_rejected(live, step, ts_ns)
        elif step.kind == ORDER_UNKNOWN:
            self._doubt(live, ts_ns)
        else:
            self._tally("amended")
        self._react(step.cause, ts_ns)

    def _acknowledged(self, live: LiveOrder, ts_ns: int) -> None:
        if live.status == PLACING:
            live.due_ns = 0
        if live.end is None and (live.status == PLACING or (live.status == UNKNOWN and not live.acknowledged)):
            self._rests(live, ts_ns)
        live.acknowledged = True

    def _rests(self, live: LiveOrder, ts_ns: int) -> None:
        """The engine hears that it rests."""
        live.doubt, live.asked, live.due_ns = False, 0, 0
        live.status = WORKING
        self._say(live, ORDER_ACKNOWLEDGED, ts_ns, live.order.price_ticks, live.open_lots, aux=live.order.venue_id)

    def _rejected(self, live: LiveOrder, step: Step, ts_ns: int) -> None:
        if live.acknowledged or REACTIONS[step.cause].doubt:
            self._doubt(live, ts_ns)
        else:
            self._end(live, End(ORDER_REJECTED, 0, step.cause, step.ts_venue_ns), ts_ns)

    def _cancel_rejected(self, live: LiveOrder, step: Step, ts_ns: int) -> None:
        """It is gone (so look), or the cancel was not looked at (so send it again): the engine need not know."""
        if REACTIONS[step.cause].doubt:
            if live.end is None:
                self._doubt(live, ts_ns)
        else:
            live.due_ns = 0
            again_ns = ts_ns + (_CANCEL_AGAIN_NS << min(live.cancels, 4))
            live.cancel_ns = max(again_ns, self.gateway.retry_ns)

    def _end(self, live: LiveOrder, end: End, ts_ns: int) -> None:
        """The venue ended it: told once every fill is."""
        if live.end is None or end.done_lots > live.end.done_lots:
            live.end = end
        live.due_ns = live.cancel_ns = 0
        self._settle(live, ts_ns)

    def _settle(self, live: LiveOrder, ts_ns: int) -> None:
        """Tell the end, if it has come and nothing is missing; else the missing fills are asked for soon."""
        if live.missing_lots > 0:
            live.missing_ns = live.missing_ns or ts_ns + _GRACE_NS
        elif live.end is not None:
            end = live.end
            kind = end_heard(live.status, end.kind)
            self._say(live, kind, ts_ns, live.order.price_ticks, live.open_lots, end.cause, ts_venue_ns=end.ts_venue_ns)
            self._forget(live)

    def fill(self, step: Step, order_id: int, ts_ns: int) -> bool:
        """Count an execution of our order, if it was not counted; whether it was news."""
        instrument = step.followed.index
        live = self.orders.get(order_id)
        if live is not None:
            self._name(live, step.venue_id)
            live.done_lots = max(live.done_lots, step.done_lots)
        if step.trade_id <= 0:
            self._tally("fill without an id")
            if live is not None:
                live.missing_ns = live.missing_ns or ts_ns
            return False
        if self._counted(instrument, step.trade_id):
            return False
        self.memory.of(instrument).add(step.trade_id)
        self.memory.counted(order_id, step.qty_lots)
        net, gross = self.positions.get(instrument, (0, 0))
        self.positions[instrument] = net + step.side * step.qty_lots, gross + step.qty_lots
        self.cap.filled(instrument, step.side, step.qty_lots, step.price_ticks)
        rows = empty(2)
        self._row(rows[0], FILL_ID, step.followed, ts_ns, order_id, aux=step.trade_id)
        self._row(
            rows[1], ORDER_FILLED, step.followed, ts_ns, order_id, step.side, step.price_ticks, step.qty_lots,
            step.fee_units, step.flags, step.ts_venue_ns,
        )  # fmt: skip
        self.rows.append(rows)
        if live is None:
            self._tally("fill after the end")
            return True
        live.filled_lots += step.qty_lots
        if live.open_lots < 0:
            self.safety.kill(KILL_MISTAKE, ts_ns)
        if live.open_lots <= 0:
            self._forget(live)
        else:
            self._settle(live, ts_ns)
        return True

    def _counted(self, instrument: int, trade_id: int) -> bool:
        return trade_id in self.memory.of(instrument)

    # --- what is not known ----------------------------------------------------------------------------------------
    def _doubt(self, live: LiveOrder, ts_ns: int) -> None:
        """The outcome of a request about it is unknown: the engine hears so, and it is asked about."""
        if legal(live.status, ORDER_UNKNOWN):
            live.status = UNKNOWN
            self._say(live, ORDER_UNKNOWN, ts_ns, live.order.price_ticks, live.open_lots)
        live.due_ns, live.ask_ns, live.doubt = 0, ts_ns, True

    def suspect(self, live: LiveOrder, ts_ns: int) -> None:
        """A comparison does not show it: ask."""
        if not live.doubt:
            live.doubt, live.ask_ns = True, ts_ns

    def _ask(self, live: LiveOrder, ts_ns: int) -> None:
        """One question about one order, if none is out and it is time."""
        gateway, missing = self.gateway, live.missing_ns and live.order.venue_id
        what = ASK_FILLS if missing else ASK_ORDER
        if not self.budget.take(what, live.order.followed.index, ts_ns, True):
            return
        if missing:
            number = gateway.ask_fills(live.order.followed, 0, live.order, ts_ns)
        else:
            number = gateway.ask_order(live.order, ts_ns)
        live.ask_ns = ts_ns + min(ORDER_ASK_NS << min(live.asked, 8), ORDER_ASK_NS_MAX)
        if number:
            live.asking, live.asked_ns, live.asked_venue_ns = number, ts_ns, gateway.venue_ns
            live.asked += 1
            self._asked[number] = live.order.order_id
        if live.asked > ORDER_ASKED_MAX:
            live.asked = 0
            self.safety.kill(KILL_MISTAKE, ts_ns)

    def _answer(self, order_id: int, answer: Answer, ts_ns: int) -> None:
        live = self.orders.get(order_id)
        if live is None or live.asking != answer.number:
            return
        live.asking = 0
        if answer.cause == "unknown_order":
            if not live.acknowledged and self._proven(live):
                self._end(live, End(ORDER_REJECTED, 0, "", 0), ts_ns)
        elif answer.cause:
            self._react(answer.cause, ts_ns)
        elif answer.what == ASK_FILLS:
            live.missing_ns = 0
            news = [self.fill(step, order_id, ts_ns) for step in answer.fills]
            if any(news):
                # Not asked in vain: where only questions show fills, there is one for each.
                live.asked, live.ask_ns = 0, ts_ns
            if order_id in self.orders:
                self._settle(live, ts_ns)
        else:
            for standing in answer.standings:
                self.stands(live, standing, ts_ns)

    def _proven(self, live: LiveOrder) -> bool:
        """Whether a "no such order" is the last word: it was asked when the order could not arrive any more."""
        return live.expires_ns is not None and live.asked_venue_ns > live.expires_ns

    def stands(self, live: LiveOrder, standing: Standing, ts_ns: int) -> None:
        """The venue shows one of ours."""
        self._name(live, standing.venue_id)
        live.acknowledged = True
        live.done_lots = max(live.done_lots, standing.done_lots)
        if standing.end in (ORDER_CANCELLED, ORDER_EXPIRED, ORDER_REJECTED):
            if live.status == WORKING and live.end is None:
                self._difference(DIFFERENCE_ENDED, live.order.followed, live.order.order_id, ts_ns)
            self._end(live, End(standing.end, standing.done_lots, standing.cause, standing.ts_venue_ns), ts_ns)
        elif live.missing_lots > 0:
            live.missing_ns = live.missing_ns or ts_ns
        elif live.status in (PLACING, UNKNOWN) and live.end is None:
            self._rests(live, ts_ns)
        else:
            live.doubt, live.asked = False, 0

    def foreign(self, followed: Followed, venue_id: int, ts_ns: int) -> None:
        """An order that this run did not place: reported once, and left alone."""
        self._tally("foreign")
        if venue_id not in self._foreign:
            self._foreign[venue_id] = None
            if len(self._foreign) > ENDED_ORDERS_MAX:
                del self._foreign[next(iter(self._foreign))]
            self._difference(DIFFERENCE_FOREIGN, followed, venue_id, ts_ns)

    def orphan(self, followed: Followed, order_id: int, client_id: str, venue_id: int, side: int, ts_ns: int) -> None:
        """An order of this run is open that the engine believes gone: it is cancelled, and its fills are counted."""
        self._difference(DIFFERENCE_OPEN, followed, order_id, ts_ns)
        self.memory.name(order_id, venue_id)
        self._owner[venue_id] = order_id
        if self.budget.take(CANCEL_COST, followed.index, ts_ns, True):
            self.gateway.cancel(Order(followed, order_id, client_id, side, 0, 0, 0, venue_id), ts_ns)

    def ended_lately(self, order_id: int, since_ns: int) -> bool:
        """Whether its end was told after that: a list asked for then may still show it."""
        return self._ended_ns.get(order_id, 0) >= since_ns

    # --- time -----------------------------------------------------------------------------------------------------
    def tick(self, ts_ns: int) -> None:
        """Several times a second, and after everything that happened to the gateway."""
        self._sense(ts_ns)
        for live in list(self.orders.values()):
            if not live.sent:
                self._place(live, ts_ns)
                continue
            if live.due_ns and ts_ns >= live.due_ns:
                self._tally("overdue")
                self._doubt(live, ts_ns)
            if live.cancel_ns and ts_ns >= live.cancel_ns:
                self._cancel(live, ts_ns)
            if live.asking and ts_ns - live.asked_ns > ANSWER_NS_MAX:
                self._asked.pop(live.asking, None)
                live.asking = 0
            if live.missing_lots > 0 and not live.missing_ns:
                live.missing_ns = ts_ns + _GRACE_NS
            missing = live.missing_ns and ts_ns >= live.missing_ns and live.missing_lots > 0
            if (live.doubt or missing) and not live.asking and ts_ns >= live.ask_ns:
                self._ask(live, ts_ns)
        if self.safety.killed and ts_ns - self._swept_ns >= KILL_AGAIN_NS:
            self._swept_ns = ts_ns
            self.sweep(ts_ns)
        self._comparison.tick(ts_ns)
        self.dead_man.tick(ts_ns)
        self._mind_switch(ts_ns)

    def _mind_switch(self, ts_ns: int) -> None:
        """Nothing is quoted where the venue would not end it without us."""
        if self.dead_man.holds(ts_ns):
            self.safety.hold(self.venue, HOLD_SWITCH, FOR_EVER, ts_ns)
        elif self.dead_man.timeout_ns:
            self.safety.release(self.venue, HOLD_SWITCH, ts_ns)

    def leave(self, ts_ns: int) -> None:
        """The session ends: the dead-man's switch is let go, unless something may rest that it has to end."""
        if not self.orders:
            self.dead_man.leave(ts_ns)

    def sweep(self, ts_ns: int) -> None:
        """Cancel all that may rest, whatever is known of it; what is already being cancelled is left to its answer."""
        for live in list(self.orders.values()):
            if live.sent and live.end is None and not (live.status == CANCELLING and live.due_ns):
                self._cancel(live, ts_ns)

    def _sense(self, ts_ns: int) -> None:
        """Notice that the private side came or went."""
        self._now_ns = ts_ns
        ready = self.gateway.ready
        if ready and not self._was_ready:
            for live in self.orders.values():
                if live.expires_ns is None:
                    # Signed by the process before this one, so before now.
                    live.expires_ns = self.gateway.venue_ns + self.gateway.capabilities.order_life_ns
            self._comparison.start(ts_ns)
        elif self._was_ready and not ready:
            self._lost(ts_ns)
        self._was_ready = ready

    def _lost(self, ts_ns: int) -> None:
        """Nothing is heard any more: what was on its way is of unknown outcome."""
        self._synced = False
        self.dead_man.lost()
        self.safety.hold(self.venue, HOLD_LINK, FOR_EVER, ts_ns)
        self._asked.clear()
        for live in list(self.orders.values()):
            live.asking = 0
            if not live.sent:
                self._never_sent(live, "halted", ts_ns)
            elif live.due_ns:
                self._doubt(live, ts_ns)

    def compared(self, ts_ns: int) -> None:
        """The account at the venue is what we think it is."""
        if self.gateway.ready:
            self._synced = True
            self.safety.release(self.venue, HOLD_LINK, ts_ns)

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way, in doubt or missing."""
        return self._synced and not any(o.doubt or o.due_ns or o.missing_lots > 0 for o in self.orders.values())

    # --- reactions ------------------------------------------------------------------------------------------------
    def _react(self, cause: str, ts_ns: int) -> None:
        if not cause:
            return
        reaction = REACTIONS[cause]
        self._tally(f"cause {cause}")
        if reaction.kill:
            self.safety.kill(reaction.kill, ts_ns)
        if reaction.hold:
            self.safety.hold(self.venue, reaction.hold, max(ts_ns + HOLD_NS, self.gateway.retry_ns), ts_ns)
        if reaction.compare:
            self._comparison.soon(ts_ns)
        if reaction.counted:
            self._refusals.append(ts_ns)
            while self._refusals and self._refusals[0] <= ts_ns - REFUSALS_NS:
                self._refusals.popleft()
            if len(self._refusals) > self.limits.refusals_max:
                self.safety.kill(KILL_ERRORS, ts_ns)

    # --- records --------------------------------------------------------------------------------------------------
    def _name(self, live: LiveOrder, venue_id: int) -> None:
        if venue_id and live.order.venue_id != venue_id:
            live.order = replace(live.order, venue_id=venue_id)
            self._owner[venue_id] = live.order.order_id
            self.memory.name(live.order.order_id, venue_id)

    def _forget(self, live: LiveOrder) -> None:
        del self.orders[live.order.order_id]
        self._ended_ns[live.order.order_id] = self._now_ns
        if len(self._ended_ns) > ENDED_ORDERS_MAX:
            del self._ended_ns[next(iter(self._ended_ns))]
        if len(self._owner) > 4 * ENDED_ORDERS_MAX:
            known = self.memory.venue_ids
            self._owner = {number: one for number, one in self._owner.items() if one in known}

    def _say(
        self,
        live: LiveOrder,
        kind: int,
        ts_ns: int,
        price_ticks: int,
        qty_lots: int,
        cause: str = "",
        aux: int = 0,
        ts_venue_ns: int = 0,
    ) -> None:
        order, rows = live.order, empty(1)
        flags = LAST | CAUSES[cause] << REASON_SHIFT
        self._row(
            rows[0], kind, order.followed, ts_ns, order.order_id, order.side, price_ticks, qty_lots, aux, flags,
            ts_venue_ns,
        )  # fmt: skip
        self.rows.append(rows)

    def _difference(self, what: int, followed: Followed, order_id: int, ts_ns: int, qty_lots: int = 0) -> None:
        self._tally(f"difference {what}")
        rows = empty(1)
        self._row(rows[0], RECONCILED, followed, ts_ns, order_id, 0, 0, qty_lots, what)
        self.rows.append(rows)

    difference = _difference

    @staticmethod
    def _row(
        row: np.void,
        kind: int,
        followed: Followed,
        ts_ns: int,
        order_id: int,
        side: int = 0,
        price_ticks: int = 0,
        qty_lots: int = 0,
        aux: int = 0,
        flags: int = LAST,
        ts_venue_ns: int = 0,
    ) -> None:
        row["ts_ns"], row["ts_venue_ns"], row["order_id"], row["kind"] = ts_ns, ts_venue_ns, order_id, kind
        row["side"], row["price_ticks"], row["qty_lots"], row["aux"], row["flags"] = (
            side, price_ticks, qty_lots, aux, flags,
        )  # fmt: skip
        row["venue"], row["instrument"] = followed.venue, followed.index

    def _tally(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

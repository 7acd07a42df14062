"""What hears a session with real orders: compute, record, act, for every event, in the call that brought it.

The engine's fold, the log, and the desks of the venues, without sockets and clocks: a session gives it market events,
what the gateways heard, and the time.  A record is in the log before anything that follows from it is sent; what the
venues say is heard one step at a time, so that each command meets a desk that knows what the engine knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pinnacle.engine.strategy import Strategy, raised
from pinnacle.event import (
    CANCEL,
    DIFFERENCE_STARTED,
    EVENT,
    HOLD_LINK,
    LAST,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    PLACE,
    RECONCILED,
    TIMER,
    empty,
)
from pinnacle.execution.desk import Desk
from pinnacle.execution.safety import FOR_EVER, Safety
from pinnacle.instrument import Instrument
from pinnacle.kernels.orders import FREE
from pinnacle.kernels.state import NEVER, OUT
from pinnacle.kernels.step import fold
from pinnacle.limits import ORDERS_LOST_MAX
from pinnacle.run.backtest import call_strategy, stopped
from pinnacle.venues.gateway import Order

# Whose hold it is where no venue's trouble is the reason.
NO_VENUE = -1


class Log(Protocol):
    """Where records are kept before anything is done about them."""

    def append(self, records: np.ndarray) -> None:
        """All of them, or none and DiskError."""


class Trader:
    """state: an array of one record, new or as a recovery left it.  quote: the strategy's address.  desks: one a venue.
    failed: why the log could not be written; from then on only cancels are sent.  broken: the engine stopped inside an
    event, and hears no more.  stopped: by `stop`."""

    def __init__(
        self,
        state: np.ndarray,
        quote: int,
        strategy: Strategy,
        instruments: list[Instrument],
        log: Log,
        desks: Sequence[Desk],
        safety: Safety,
        timer_every_ns: int = 0,
    ) -> None:
        self.state, self._quote, self._strategy, self._instruments = state, quote, strategy, instruments
        self._log, self._safety = log, safety
        self.desks = {desk.venue: desk for desk in desks}
        self._out = np.zeros(1, OUT)
        self._lane, self._market = state[0]["lane"], state[0]["market"]
        self._every_ns, self._timer_ns = timer_every_ns, int(NEVER)
        self.failed: Exception | None = None
        self.broken = self.stopped = False
        # Compiled or loaded now, while nothing has been heard.
        fold(state, empty(0), 0, quote, self._out)

    def begin(self, now_ns: int, recovered: bool = False) -> None:
        """Before the first event.  recovered: what the engine believes open is the desks' to find out about."""
        if recovered:
            self._adopt()
            self._go_on(now_ns)
        if self._every_ns:
            self._timer_ns = now_ns + self._every_ns
        for desk in self.desks.values():
            desk.begin(now_ns)
        self.settle(now_ns)

    def _go_on(self, now_ns: int) -> None:
        """Orders that the log lost in a power cut have numbers too, and the venues know them: none is given twice."""
        started = empty(1)
        started[0]["kind"], started[0]["aux"], started[0]["flags"] = RECONCILED, DIFFERENCE_STARTED, LAST
        started[0]["order_id"] = int(self._lane["next_order_id"]) + ORDERS_LOST_MAX
        self._fold(started, now_ns)

    def _adopt(self) -> None:
        for k, instrument in enumerate(self._instruments):
            desk = self.desks[int(self._market["venue_of"][k])]
            for one in self._lane["own"][k]["orders"]:
                if one["status"] != FREE:
                    order_id = int(one["order_id"])
                    order = Order(
                        desk.followed[k], order_id, desk.ids.text(order_id), int(one["side"]), int(one["price_ticks"]),
                        int(one["qty_lots"]), int(one["flags"]),
                    )  # fmt: skip
                    desk.adopt(order, int(one["status"]), int(one["qty_lots"]) - int(one["open_lots"]))
            desk.cap.found(k, int(self._lane["own"][k]["position_lots"]), desk.memory.price_ticks.get(k, 0))
            assert desk.followed[k].instrument is instrument

    # --- events ---------------------------------------------------------------------------------------------------
    def hear(self, events: np.ndarray, now_ns: int) -> None:
        """Market events of one moment.  Raises EngineStopped or StrategyError where the engine stops."""
        if events.size:
            for row in events[_LINKS[events["kind"]]]:
                stale = self.desks[int(row["venue"])].stale
                (stale.discard if row["kind"] == LINK_UP else stale.add)(int(row["instrument"]))
            self._fold(events, now_ns)
        self.settle(now_ns)

    def tick(self, now_ns: int) -> None:
        """Time goes by: timers, questions, cancels that must be sent again, the end of holds."""
        if now_ns >= self._timer_ns:
            timer = empty(1)
            timer[0]["kind"] = TIMER
            self._fold(timer, now_ns)
            self._timer_ns = now_ns + self._every_ns
        self._safety.tick(now_ns)
        self.settle(now_ns)
        for desk in self.desks.values():
            desk.tick(now_ns)
        self.settle(now_ns)

    def settle(self, now_ns: int) -> None:
        """Hear all that is to be heard, one step at a time, until nothing follows from it any more."""
        safety = self._safety
        while True:
            if safety.rows:
                self._fold(safety.rows.popleft(), now_ns)
                continue
            for desk in self.desks.values():
                if desk.rows:
                    self._fold(desk.rows.popleft(), now_ns)
                    break
                if desk.gateway.said:
                    desk.hear(desk.gateway.said.pop(0), now_ns)
                    break
            else:
                return

    # --- compute, record, act -------------------------------------------------------------------------------------
    def _fold(self, events: np.ndarray, now_ns: int) -> None:
        """Number the events, fold them, write both down, then do what was decided."""
        if self.failed is not None or self.broken:
            return
        seq = int(self._market["seq"]) + 1
        events["seq"] = np.arange(seq, seq + events.size)
        events["ts_ns"] = max(now_ns, int(self._market["ts_ns"]))
        parts: list[np.ndarray] = []
        heard = 0
        try:
            while heard < events.size or self._lane["due"]:
                heard = self._step(events, heard, parts)
        except BaseException:
            # The log ends before these events.  What the venues still say would follow on a state that it cannot make
            # again; the next start finds it by comparing.
            self.broken = True
            raise
        outputs = _joined(parts)
        records = events if not outputs.size else merged(events, outputs)
        try:
            self._log.append(records)
        except Exception as error:
            # Mostly the disk's; whatever it is, the log takes nothing more, and the orders must end all the same.
            self._fail(error, now_ns)
            return
        for command in outputs[_COMMANDS[outputs["kind"]]]:
            self.desks[int(command["venue"])].command(command, now_ns)

    def _step(self, events: np.ndarray, heard: int, parts: list[np.ndarray]) -> int:
        record = self._out[0]
        if self._lane["due"]:
            call_strategy(self._strategy, self.state, self._out)
        else:
            try:
                heard = int(fold(self.state, events, heard, self._quote, self._out))
            except Exception as error:
                if self._lane["calling"]:
                    raise raised(self._strategy, error) from error
                raise
        count = int(record["count"])
        if count:
            parts.append(record["rows"][:count].copy())
            record["count"] = 0
        if self._lane["fault"]:
            self.stop(int(events[0]["ts_ns"]))
            raise stopped(self._strategy, self._instruments, int(self._lane["fault"]), self.state)
        return heard

    def _fail(self, error: Exception, now_ns: int) -> None:
        """The log cannot be written: nothing more is computed from what is heard, and everything is cancelled."""
        self.failed = error
        self.stop(now_ns)

    def stop(self, now_ns: int) -> None:
        """Cancel everything without the engine, which cannot decide any more; desks go on until the ends are heard."""
        # An engine that hears on must know that it waits: each order that it wanted would be refused here at once, and
        # wanted again at the refusal.  A hold, because a start after this one may trade.
        self._safety.hold(NO_VENUE, HOLD_LINK, FOR_EVER, now_ns)
        self.stopped = self._safety.killed = True
        for desk in self.desks.values():
            desk.sweep(now_ns)

    def open_orders(self) -> int:
        """Orders whose end was not heard."""
        return sum(len(desk.orders) for desk in self.desks.values())


def merged(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Inputs and the outputs that follow from them, in the order of the log."""
    both = _joined((inputs, outputs))
    return both[np.argsort(both["seq"], kind="stable")]


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """EVENT arrays behind each other: numpy's own joining compares the fields of records each time, which costs more
    than all the rest of a turn."""
    if len(parts) == 1:
        return parts[0]
    joined = np.empty(sum(part.size for part in parts), EVENT)
    at = 0
    for part in parts:
        joined[at : at + part.size] = part
        at += part.size
    return joined


def _kinds(*kinds: int) -> np.ndarray:
    """bool[256]: whether a kind is among these."""
    table = np.zeros(256, bool)
    table[list(kinds)] = True
    return table


_LINKS = _kinds(LINK_UP, LINK_DOWN, LINK_GAP, LINK_STALE)
_COMMANDS = _kinds(PLACE, CANCEL)

"""What hears a session's events: number them, fold them, write them down, and only then act.

All of it happens in the call that brought the event, with no queue between.  `Engine` is a strategy over the simulated
venue; `Recorder` writes the market down and thinks nothing of it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from pinnacle.config import Config
from pinnacle.engine.strategy import Strategy, bind, raised
from pinnacle.event import END_VENUE_GONE, EVENT, LAST, empty
from pinnacle.instrument import Instrument
from pinnacle.kernels import turn as turns
from pinnacle.kernels.state import NEVER, OUT
from pinnacle.kernels.weave import WOVEN
from pinnacle.limits import EXPIRED_MAX, PENDING_ROWS_START
from pinnacle.run.backtest import call_strategy, fingerprint_text, stopped
from pinnacle.run.livelog import LiveLog
from pinnacle.run.settings import choose_queue_model, least_latency, simulated_venue

_NOTHING = empty(0)


class Ear(Protocol):
    """Who hears a session's events."""

    def hear(self, events: np.ndarray, now_ns: int) -> None:
        """EVENT[n] of one moment, dated now_ns; and all that is due by then."""

    def due_ns(self) -> int:
        """When it wants to be called without an event; NEVER if not."""

    def open_orders(self) -> int:
        """Orders whose end has not been heard."""

    def told(self) -> dict[str, Any]:
        """What there is to say of it, for `live status` and the end of a session."""


class Recorder:
    """Market events into the log, numbered.  seq: of the next one."""

    def __init__(self, log: LiveLog, seq: int) -> None:
        self._log, self._seq = log, seq

    def hear(self, events: np.ndarray, now_ns: int) -> None:
        if events.size:
            events["seq"] = np.arange(self._seq, self._seq + events.size)
            self._seq += events.size
            self._log.append(events)

    def due_ns(self) -> int:
        return int(NEVER)

    def open_orders(self) -> int:
        return 0

    def told(self) -> dict[str, Any]:
        return {"heard": self._seq}


class Engine:
    """A strategy, its state, and the simulated venue.  state: an array of one record, as it was left.

    The venue begins empty whatever the state believes: see `begin`.
    """

    def __init__(
        self,
        config: Config,
        where: str,
        instruments: list[Instrument],
        strategy: Strategy,
        state: np.ndarray,
        log: LiveLog,
    ) -> None:
        self.state, self._strategy, self._instruments, self._log = state, strategy, instruments, log
        for one in config.instruments:
            choose_queue_model(one, orders=False, where=where)
        venues, self._points = simulated_venue(config, instruments, where)
        self._venues = venues
        self._quote = bind(strategy, len(state[0]["lane"]["own"]))
        self._cursor = np.zeros(1, turns.TURN)
        self._out = np.zeros(1, OUT)
        self._pending = np.zeros(PENDING_ROWS_START, WOVEN)
        cursor = self._cursor[0]
        least = least_latency(venues, self._points, len(instruments))
        cursor["request_least_ns"], cursor["answer_least_ns"] = least
        cursor["timer_every_ns"] = round(config.wake.every_ms * 1_000_000)
        cursor["timer_ns"] = NEVER
        self._market, self._lane = state[0]["market"], state[0]["lane"]
        self._cursor_record, self._out_record = cursor, self._out[0]
        self._out_rows = self._out_record["rows"]
        self._end = self._cursor["end"]
        self._next_ns = int(NEVER)
        # Compiled or loaded now, while no time goes by in the log: nothing is due and nothing is heard.
        self._turn(_NOTHING, 0, 1)

    def begin(self, now_ns: int) -> int:
        """Before the first event: what the state believes to rest has gone with the venue's process, and expires.

        Returns how many orders that were.
        """
        cursor = self._cursor_record
        if cursor["timer_every_ns"]:
            cursor["timer_ns"] = now_ns + cursor["timer_every_ns"]
        expired = np.zeros(EXPIRED_MAX, EVENT)
        count = turns.expire_open(
            self._lane, len(self._instruments), self._market["venue_of"], END_VENUE_GONE, now_ns, expired
        )
        if count:
            expired[count - 1]["flags"] |= LAST
            self.hear(expired[:count], now_ns)
        return int(count)

    def hear(self, events: np.ndarray, now_ns: int) -> None:
        """Raises EngineStopped or StrategyError where the engine stops, DiskError where the log cannot be written."""
        if self._end[0] + events.size > self._pending.size:
            self._make_room(events.size)
        fresh = 1
        while True:
            code, count, self._next_ns = self._turn(events, now_ns, fresh)
            if count:
                self._log.append(self._out_rows[:count])
            if code == turns.DONE:
                return
            fresh = 0
            self._out_record["count"] = self._cursor_record["sent"] = 0
            if code == turns.CALL_STRATEGY:
                call_strategy(self._strategy, self.state, self._out)
            elif code == turns.FAULT:
                fault = int(self._lane["fault"] or self._venues.desks[0]["fault"])
                raise stopped(self._strategy, self._instruments, fault, self.state)

    def _turn(self, events: np.ndarray, now_ns: int, fresh: int) -> tuple[int, int, int]:
        venues = self._venues
        try:
            return turns.turn(
                self.state, venues.sim, venues.desks, venues.resting, self._points, self._cursor, self._pending, events,
                now_ns, self._quote, self._out, fresh,
            )  # fmt: skip
        except Exception as error:
            if self._lane["calling"]:
                raise raised(self._strategy, error) from error
            raise

    def _make_room(self, count: int) -> None:
        """Room for more rows that wait for the venue: those before the first are gone, then the array grows."""
        cursor = self._cursor_record
        first, end = int(cursor["first"]), int(cursor["end"])
        grown = np.zeros(max(self._pending.size, 2 * (end - first + count)), WOVEN)
        grown[: end - first] = self._pending[first:end]
        self._pending = grown
        cursor["first"], cursor["end"] = 0, end - first

    def due_ns(self) -> int:
        return self._next_ns

    def open_orders(self) -> int:
        own = self._lane["own"][: len(self._instruments)]
        return int(own["live_count"].sum())

    @property
    def heard(self) -> int:
        """Inputs heard in all."""
        return int(self._market["seq"]) + 1

    def fingerprint(self) -> str:
        return fingerprint_text(self.state)

    def told(self) -> dict[str, Any]:
        lane, words = self._lane, []
        for k, instrument in enumerate(self._instruments):
            own, top = lane["own"][k], self._market["top"][k]
            mid2 = int(top["mid2_ticks"])
            worth = int(own["position_lots"]) * mid2 * int(own["units_per_ticklot"])
            units2 = 2 * int(own["cash_units"] - own["fees_units"] + own["funding_units"]) + worth
            words.append(
                {
                    "instrument": instrument.name, "traded": bool(own["traded"]),
                    "position": instrument.qty_text(int(own["position_lots"])),
                    "pnl": f"{instrument.money(units2 // 2):f}", "fills": int(own["fills"]),
                    "orders": int(own["live_count"].sum()), "link": "live" if top["link"] == 0 else "stale",
                }
            )  # fmt: skip
        return {
            "heard": self.heard, "wakes": int(lane["wakes"]), "paused": bool(lane["paused"]),
            "killed": bool(lane["killed"]), "instruments": words,
        }  # fmt: skip

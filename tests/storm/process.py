"""Our process in a storm: feed, gateway, desk, engine and log as they are in a session, and a disk that outlives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.engine.strategy import Strategy, bind, load_strategy
from pinnacle.errors import DiskError
from pinnacle.event import EVENT, LAST, LINK_DOWN, empty
from pinnacle.execution.desk import Desk, Limits
from pinnacle.execution.memory import Memory
from pinnacle.execution.safety import Safety
from pinnacle.instrument import Instrument
from pinnacle.kernels.state import WAKE_FEED, WAKE_ORDER, WAKE_TIMER, new_state
from pinnacle.run.refold import Refold
from pinnacle.run.trader import Trader
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import CAUSE_START, Followed, Malformed, Rows
from tests.storm.auditor import Violation
from tests.storm.places import Place
from tests.storm.plan import Pace

RUN_ID = "6d1b345e282140e2ad834ecb18a06876"
POSITION_MAX, ORDER_MAX, OPEN_MAX = 2_000, 400, 6


class Killed(BaseException):
    """The process died at this point; no handler of its own may notice."""


class Disk:
    """What was written.  wrote: told of what is durable.  kill_after: appends after which the process dies, 0 for
    never, having written but not yet acted; torn: only that share of the last append's records is kept.  fail_after:
    appends after which the disk is full."""

    def __init__(self, wrote: Callable[[np.ndarray], None]) -> None:
        self.parts: list[np.ndarray] = []
        self.wrote = wrote
        self.kill_after = self.fail_after = 0
        self.torn = 1.0

    def append(self, records: np.ndarray) -> None:
        if self.fail_after:
            self.fail_after -= 1
            if not self.fail_after:
                self.fail_after = 1
                raise DiskError("the disk is full")
        dies = self.kill_after == 1
        self.kill_after = max(0, self.kill_after - 1)
        kept = records[: int(records.size * self.torn)] if dies else records
        if kept.size:
            self.parts.append(kept.copy())
            self.wrote(kept)
        if dies:
            raise Killed

    def log(self) -> np.ndarray:
        """All of it."""
        if len(self.parts) > 1:
            self.parts = [np.frombuffer(b"".join(part.tobytes() for part in self.parts), EVENT).copy()]
        return self.parts[0] if self.parts else empty(0)


_STRATEGY: list[tuple[Strategy, int]] = []


def strategy() -> tuple[Strategy, int]:
    """The storm's strategy and its address, compiled once a process."""
    if not _STRATEGY:
        loaded = load_strategy(Path(__file__).parent / "wandering.py")
        _STRATEGY.append((loaded, bind(loaded, 1)))
    return _STRATEGY[0]


def first_state(instrument: Instrument, calm_s: float) -> np.ndarray:
    """The engine before the first event.  calm_s: the strategy's."""
    state = new_state(1)
    market, lane = state[0]["market"], state[0]["lane"]
    market["instruments"] = 1
    lane["wake_on"] = WAKE_TIMER | WAKE_FEED | WAKE_ORDER
    lane["checkpoint_every"], lane["checkpoint_seq"] = 500, 499
    own = lane["own"][0]
    own["traded"], own["units_per_ticklot"] = 1, instrument.units_per_ticklot
    own["tick"], own["lot"] = float(instrument.tick), float(instrument.lot)
    values = strategy()[0].values({"calm_s": calm_s}, "storm")
    own["params"][: len(values)] = list(values.values())
    risk = own["risk"]
    risk["position_max_lots"], risk["order_max_lots"], risk["open_orders_max"] = POSITION_MAX, ORDER_MAX, OPEN_MAX
    return state


def refold(instrument: Instrument, log: np.ndarray, calm_s: float) -> Refold:
    """The log folded again; Diverged where it is not what its inputs make."""
    loaded, quote = strategy()
    fold = Refold(first_state(instrument, calm_s), loaded, quote, [instrument])
    fold.take(log)
    return fold


class Process:
    """One life of our process, at one place.  key: what signs.  bad_frames: whether the exchange may say what cannot be
    understood: then the connection is opened anew, as in a session; else it is a mistake."""

    desk_of: type[Desk] = Desk

    def __init__(
        self, place: Place, disk: Disk, api_key: str, key: Any, now_ns: int, pace: Pace, bad_frames: bool = False
    ) -> None:
        self.rows, instrument = Rows(), place.instrument
        self.bad_frames = bad_frames
        followed = Followed(instrument, 0, 0, depth=100)
        self.feed = place.feeds([followed])
        self.safety, memory = Safety(), Memory()
        loaded, quote = strategy()
        recovered = bool(disk.parts)
        if recovered:
            log = disk.log()
            again = refold(instrument, log, pace.calm_s)
            state, unsaid = again.state, again.unsaid()
            if unsaid.size:
                disk.append(unsaid)
            memory.take(log, self.safety)
        else:
            state = first_state(instrument, pace.calm_s)
        self.last_ns = max(now_ns, int(disk.parts[-1]["ts_ns"].max()) if recovered else 0)
        self.gateway = place.gateway([followed], ClientIds(RUN_ID), api_key, key, b"phrase1")
        self.desk = self.desk_of(
            self.gateway, [followed], ClientIds(RUN_ID), self.safety, memory, Limits(reconcile_ns=pace.reconcile_ns)
        )
        self.trader = Trader(state, quote, loaded, [instrument], disk, [self.desk], self.safety, pace.timer_ns)
        self.trader.begin(self.last_ns, recovered)
        down = empty(1)
        down[0]["kind"], down[0]["flags"], down[0]["aux"] = LINK_DOWN, LAST, CAUSE_START
        self.trader.hear(down, self.last_ns)

    def now(self, wall_ns: int) -> int:
        """The process's clock, which never goes back."""
        self.last_ns = max(self.last_ns, wall_ns)
        return self.last_ns

    def of_feed(self, call: Callable[[], None], now_ns: int) -> None:
        """Call the feed, and hear what it wrote."""
        try:
            call()
        except Malformed as error:
            self.feed.restart = self.feed.restart or str(error)
        self.trader.hear(self.rows.take().copy(), now_ns)

    def of_gateway(self, call: Callable[[], None], now_ns: int) -> None:
        """Call the gateway, and hear what it said."""
        try:
            call()
        except Malformed as error:
            if not self.bad_frames:
                raise Violation(f"the exchange was not understood: {error}") from None
            self.gateway.restart = self.gateway.restart or str(error)
        self.trader.settle(now_ns)
        self.desk.tick(now_ns)
        self.trader.settle(now_ns)

    def slower(self, timer_ns: int) -> None:
        """The strategy's timer comes less often from now on: nothing of a replay depends on when it comes."""
        self.trader._every_ns = max(timer_ns, self.trader._every_ns)

    def tick(self, now_ns: int) -> None:
        """Time goes by."""
        self.of_feed(lambda: self.feed.tick(now_ns, self.rows), now_ns)
        self.of_gateway(lambda: self.gateway.tick(now_ns), now_ns)
        self.trader.tick(now_ns)

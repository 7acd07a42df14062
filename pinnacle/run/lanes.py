"""Many parameter sets over one walk of a window of history; each gives exactly what a backtest of it alone gives.

The kernels hear the market once for all lanes and write down each lane's fills; everything else that is said of a
lane here follows from its fills and from the changes of the best prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from pinnacle.config import Config
from pinnacle.engine.strategy import Strategy, bind, raised
from pinnacle.event import empty
from pinnacle.instrument import Instrument
from pinnacle.kernels import drive as drives
from pinnacle.kernels.fingerprint import own_fingerprint
from pinnacle.kernels.match import drop_lane
from pinnacle.kernels.observe import new_observed
from pinnacle.kernels.state import NEVER, OUT, lane_dtype, zeroed
from pinnacle.kernels.venue import Venues
from pinnacle.limits import LANES_MAX
from pinnacle.run.account import METRICS, Accounts
from pinnacle.run.backtest import STOPS, call_strategy
from pinnacle.run.settings import capacity_for, engine_state, least_latency, simulated_venue
from pinnacle.run.tape import Tape
from pinnacle.run.window import Window

# Rows that are walked between two looks at whether to stop: some tenths of a second with many lanes.
_ROWS_AT_ONCE = 1 << 18
_NO_CHECKPOINT = 1 << 62


class LaneResult(msgspec.Struct, frozen=True):
    """What one parameter set did in a window.

    fault: "", or one sentence on why it stopped early; then every metric is NaN.  metrics: all of account.METRICS,
    NaN where one has no value.  equity_quote: float64[n + 1], at the start (0) and after each full bucket.
    fills_hash: of every fill.  fingerprint: of its own side at the end.
    """

    fault: str
    metrics: dict[str, float]
    equity_quote: np.ndarray
    fills_hash: int
    fingerprint: int


@dataclass(frozen=True)
class Track:
    """What the lanes of a study have in common: everything but their parameters.  bucket_ns: step of the equity."""

    config: Config
    where: str
    strategy: Strategy
    instruments: list[Instrument]
    tape: Tape
    bucket_ns: int

    def run(self, sets: Sequence[Mapping[str, float]], window: Window) -> list[LaneResult]:
        """Each parameter set's result on a window."""
        results = self.start(sets, window).advance(window.stop_ns)
        assert all(result is not None for result in results)
        return [result for result in results if result is not None]

    def start(self, sets: Sequence[Mapping[str, float]], window: Window) -> LaneRun | OneByOne:
        """Parameter sets at the start of a window; at most limits.LANES_MAX.

        A set gives values by name, over the config's; what an instrument has for itself stays.
        """
        assert 0 < len(sets) <= LANES_MAX
        return OneByOne(self, sets, window) if self.strategy.external else LaneRun(self, sets, window)


class LaneRun:
    """Parameter sets under way through a window."""

    def __init__(self, track: Track, sets: Sequence[Mapping[str, float]], window: Window) -> None:
        self.track, self.sets, self.window = track, list(sets), window
        self._raised: dict[int, str] = {}  # by lane: what its strategy raised
        self._stages: list[tuple[int, list[int]]] = []  # (time, lanes dropped there)
        self._at_ns = window.first_ns
        self._begin()

    def _begin(self) -> None:
        """Everything as it is before the first row, without the lanes that are known to raise."""
        track, count = self.track, len(self.sets)
        self._state = engine_state(track.config, track.instruments, track.strategy, track.where)
        self._lanes = _lanes(track, self.sets, self.window, self._state)
        self._venues, self._points = simulated_venue(track.config, track.instruments, track.where, count)
        self._quote = bind(track.strategy, len(self._state[0]["lane"]["own"]))
        self._cursor = window_cursor(track, self.window, self._venues, self._points)
        self._out = np.zeros(1, OUT)
        self._observed = new_observed(0, (1, 1, 1), count)
        # Fills are written down as of many lanes even when there is one.
        self._observed[0]["lanes"] = max(2, count)
        self._accounts = Accounts(track.instruments, track.tape.tops, count, self.window, track.bucket_ns)
        for lane in self._raised:
            self._withdraw(lane)

    def _withdraw(self, lane: int) -> None:
        drop_lane(self._venues.sim[0], self._venues.desks[lane], self._venues.resting[0])

    def drop(self, lanes: Sequence[int]) -> None:
        """Go on without these lanes: their results are None from now on."""
        self._stages.append((self._at_ns, list(lanes)))
        for lane in lanes:
            self._withdraw(lane)

    def advance(self, stop_ns: int) -> list[LaneResult | None]:
        """Walk on to stop_ns; results as if the window ended there, None for lanes that were dropped before."""
        again = False
        while True:
            try:
                if again:
                    for at_ns, lanes in self._stages:
                        self._walk(at_ns)
                        for lane in lanes:
                            self._withdraw(lane)
                self._walk(stop_ns)
                break
            except Exception as error:
                # The walk broke off in the middle, so it begins again without the lane that broke it.
                lane = self._calling()
                if lane < 0:
                    raise
                self._raised[lane] = str(raised(self.track.strategy, error))
                self._begin()
                again = True
        self._at_ns = stop_ns
        return self._results(stop_ns)

    def _calling(self) -> int:
        """The lane whose strategy is being called, -1 if none is."""
        return next((k for k in range(len(self.sets)) if self._lanes[k]["calling"]), -1)

    def _walk(self, stop_ns: int) -> None:
        """Drive to stop_ns, the rows at hand growing by a stretch each time, so that Ctrl-C is heard in between."""
        cursor, rows = self._cursor[0], self.track.tape.rows
        cursor["stop_ns"] = stop_ns
        out, observed = self._out[0], self._observed[0]
        market, venues = self._state[0]["market"], self._venues
        nothing = empty(0)
        while True:
            code = drives.drive(
                market, self._lanes[0], venues.sim[0], venues.desks[0], venues.resting[0],
                cursor, rows, nothing, self._points, self._quote, out, observed,
            )  # fmt: skip
            if code == drives.NEED_ROWS:
                more_rows(cursor, self.track.tape)
            elif code == drives.OBSERVED_FULL or code == drives.ENDED:
                self._accounts.add(observed["rows"][: int(observed["count"])], stop_ns)
                observed["count"] = 0
                if code == drives.ENDED:
                    return
            elif code == drives.OUT_FULL:
                out["count"] = cursor["sent"] = 0
            elif code == drives.CALL_STRATEGY:
                call_strategy(self.track.strategy, self._state, self._out)
            else:
                # One lane alone stops the drive where of many it is set aside.
                assert code == drives.FAULT and len(self.sets) == 1
                self._accounts.add(observed["rows"][: int(observed["count"])], stop_ns)
                observed["count"] = 0
                return

    def _results(self, stop_ns: int) -> list[LaneResult | None]:
        gone = {lane for _, lanes in self._stages for lane in lanes}
        results: list[LaneResult | None] = []
        instruments = len(self.track.instruments)
        self._accounts.close(stop_ns)
        for k in range(len(self.sets)):
            if k in gone:
                results.append(None)
                continue
            fault = self._fault(k)
            metrics, equity, fills_hash = self._accounts.result(k)
            if fault:
                metrics = dict.fromkeys(METRICS, float("nan"))
            lane = self._lanes[k]
            metrics["orders"] = float("nan") if fault else float(sum(int(own["placed"]) for own in lane["own"]))
            results.append(LaneResult(fault, metrics, equity, fills_hash, int(own_fingerprint(lane, instruments))))
        return results

    def _fault(self, k: int) -> str:
        if k in self._raised:
            return self._raised[k]
        code = int(self._lanes[k]["fault"] or self._venues.desks[k]["fault"])
        if not code:
            return ""
        me = int(self._lanes[k]["fault_instrument"])
        return f"{self.track.strategy.path}: on {self.track.instruments[me].name} it {STOPS[code]}"


class OneByOne:
    """The same for a strategy that is no compiled one: each parameter set walks the window alone."""

    def __init__(self, track: Track, sets: Sequence[Mapping[str, float]], window: Window) -> None:
        self._runs: list[LaneRun | None] = [LaneRun(track, [one], window) for one in sets]

    def advance(self, stop_ns: int) -> list[LaneResult | None]:
        """As LaneRun.advance."""
        return [None if run is None else run.advance(stop_ns)[0] for run in self._runs]

    def drop(self, lanes: Sequence[int]) -> None:
        """As LaneRun.drop."""
        for lane in lanes:
            self._runs[lane] = None


def _lanes(track: Track, sets: Sequence[Mapping[str, float]], window: Window, state: np.ndarray) -> np.ndarray:
    """One lane for each parameter set, each as the run's own would be."""
    if track.strategy.external:
        lanes = state["lane"]
    else:
        lanes = zeroed(lane_dtype(capacity_for(len(track.instruments))), len(sets))
        lanes[:] = state["lane"]
    lanes["checkpoint_seq"] = _NO_CHECKPOINT
    lanes["start_ns"] = window.first_ns
    for lane, given in zip(lanes, sets):
        for k, one in enumerate(track.config.instruments):
            values = track.strategy.values({**track.config.strategy.params, **given, **one.params}, track.where)
            lane["own"][k]["params"][: len(values)] = list(values.values())
    return lanes


def window_cursor(track: Track, window: Window, venues: Venues, points: np.ndarray) -> np.ndarray:
    """A cursor at the tape's first row that asks nobody before the window begins."""
    cursor = np.zeros(1, drives.CURSOR)
    record = cursor[0]
    every_ns = round(track.config.wake.every_ms * 1_000_000)
    record["timer_every_ns"] = every_ns
    record["timer_ns"] = window.first_ns + every_ns if every_ns else NEVER
    record["request_least_ns"], record["answer_least_ns"] = least_latency(venues, points, len(track.instruments))
    more_rows(record, track.tape)
    return cursor


def more_rows(cursor: np.void, tape: Tape) -> None:
    """Let the drive walk another stretch of the mapped rows."""
    cursor["rows"] = min(tape.rows.size, int(cursor["rows"]) + _ROWS_AT_ONCE)
    if cursor["rows"] == tape.rows.size:
        cursor["final"] = 1
        cursor["market_end_ns"] = tape.end_ns

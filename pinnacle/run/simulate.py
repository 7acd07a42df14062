"""A simulation: a strategy in a generated market, into the same run directory as a backtest.

A short wiring: who trades is in kernels/background.py, what meets in kernels/exchange.py, the order of it all in
kernels/simulate.py.  The market is recorded in full, so a replay needs neither the model nor its chance.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from pinnacle import interrupt
from pinnacle.config import Config
from pinnacle.engine.snapshot import write_snapshot
from pinnacle.engine.strategy import Strategy, bind, raised
from pinnacle.errors import DiskError, EngineStopped, OperatorError
from pinnacle.event import EVENT, KIND_NAMES, OUTPUT_KIND_MIN
from pinnacle.instrument import Instrument
from pinnacle.kernels import simulate as loop
from pinnacle.kernels.exchange_state import PUBLISH_LEVELS, PUBLISH_TICKER, PUBLISH_TRADES
from pinnacle.kernels.jit import CODE_HASH
from pinnacle.kernels.observe import new_observed, observe_end
from pinnacle.kernels.state import NEVER, OUT, STOP_AT_ONCE, zeroed
from pinnacle.kernels.venue import Venues
from pinnacle.limits import ANSWERS_AT_ONCE_MAX
from pinnacle.log.manifest import (
    HistoryFile,
    Informational,
    Manifest,
    StrategySource,
    file_sha256,
    instrument_rows,
    write_manifest,
)
from pinnacle.run.backtest import (
    HORIZONS_NS,
    call_strategy,
    fingerprint_text,
    make_run_folder,
    now_text,
    stopped,
    stopping_cleanly,
    versions,
    write_last,
)
from pinnacle.run.generated_facts import write_facts
from pinnacle.run.logbook import Logbook
from pinnacle.run.market import GeneratedMarket
from pinnacle.run.observations import ObservationFile
from pinnacle.run.settings import choose_queue_model, engine_state, simulated_venue

# Between two looks at Ctrl-C and the progress bar, and the longest sleep of a paced run.
_LOOK_SHARE = 200
_PACE_S = 0.02


@dataclass
class Simulation:
    """What one simulation is made of.  market: makes it.  progress: simulated ms, of how many."""

    config: Config
    where: str
    strategy: Strategy
    out: Path
    instrument: Instrument
    start_ns: int
    market: Callable[[int], GeneratedMarket]
    histories: list[Path] = field(default_factory=list)
    progress: Callable[[int, int], None] | None = None
    interrupted: bool = False

    def run(self) -> Manifest:
        """Run it; the run directory is complete afterwards, or says in its manifest how far it came.

        Raises PinnacleError; KeyboardInterrupt after the log has been closed.
        """
        make_run_folder(self.out)
        manifest = self.manifest()
        write_manifest(self.out, manifest)
        try:
            with stopping_cleanly(self):
                self._drive(manifest)
            manifest.status = "complete"
        except BaseException as error:
            manifest.status = "interrupted" if interrupt.is_behind(error) else "failed"
            manifest.informational.ended = now_text()
            write_last(self.out, manifest)
            if isinstance(error, OSError):
                raise DiskError(f"{self.out}: cannot be written: {error.strerror}; the run stopped there") from error
            raise
        manifest.informational.ended = now_text()
        write_manifest(self.out, manifest)
        write_facts(self.out, self.config, self.instrument)
        return manifest

    def manifest(self) -> Manifest:
        """What is known before the first order.  Equal runs have equal ids; how fast one is paced is not part of it."""
        config = msgspec.to_builtins(self.config)
        strategy = StrategySource(
            path=self.strategy.path, name=self.strategy.name, sha256=self.strategy.sha256, source=self.strategy.source
        )
        files = [
            HistoryFile(path=str(path), sha256=file_sha256(path), rows=0, instruments=[0]) for path in self.histories
        ]
        unpaced = {**config, "simulate": {**config["simulate"], "speed": 0}}
        identity = ["simulate", CODE_HASH, strategy.sha256, unpaced, [one.sha256 for one in files]]
        return Manifest(
            run_id=hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32],
            mode="simulate",
            status="running",
            code_hash=CODE_HASH,
            versions=versions(),
            config=config,
            strategy=strategy,
            params=self.strategy.values(self.config.strategy.params, self.where),
            instruments=instrument_rows([self.instrument]),
            histories=files,
            seed=self.config.run.seed,
            informational=Informational(started=now_text()),
        )

    def _drive(self, manifest: Manifest) -> None:
        """Warm the market up, let the engine join it, and go on to the end."""
        world = World(self)
        logbook = Logbook(self.out / "log", manifest.run_id)
        try:
            with ObservationFile(self.out / "observations.parquet") as observations:
                try:
                    self._go(world, logbook, observations)
                finally:
                    world.empty_out(logbook)
                    observations.append(world.observed)
        except BaseException:
            logbook.abandon()
            manifest.counts = world.named_counts()
            raise
        manifest.segments = logbook.finish()
        manifest.counts = world.named_counts()
        manifest.fingerprint = fingerprint_text(world.state)

    def _go(self, world: World, logbook: Logbook, observations: ObservationFile) -> None:
        """Call the loop until it ends, doing each time what it asks for.  Raises EngineStopped, StrategyError."""
        state, cursor = world.state, world.cursor[0]
        assert self.config.simulate is not None
        pace = _Pace(self.start_ns, int(cursor["stop_ns"]), self.config.simulate.speed)
        cursor["pause_ns"] = pace.next_ns
        while True:
            if self.interrupted:
                raise KeyboardInterrupt
            try:
                code = world.run()
            except Exception as error:
                if state[0]["lane"]["calling"]:
                    raise raised(self.strategy, error) from error
                raise
            if code == loop.PAUSED:
                cursor["pause_ns"] = pace.wait()
                if self.progress is not None:
                    self.progress((pace.passed_ns - self.start_ns) // 1_000_000, pace.total_ns // 1_000_000)
            elif code == loop.OUT_FULL:
                world.empty_out(logbook)
            elif code == loop.OBSERVED_FULL:
                observations.append(world.observed)
            elif code == loop.CALL_STRATEGY:
                call_strategy(self.strategy, state, world.out)
            elif code == loop.KEEP_STATE:
                cursor["snapped"] = state[0]["lane"]["checkpoint_seq"]
                write_snapshot(self.out, state)
            elif code == loop.FAULT:
                raise self._stopped(world)
            elif code == loop.ENDED:
                observe_end(state[0]["market"], state[0]["lane"], world.observed[0])
                return
            else:
                world.attend(code)

    def _stopped(self, world: World) -> Exception:
        """Why the loop cannot go on, as one error."""
        desk = world.venues.desks[0]
        fault = int(world.state[0]["lane"]["fault"] or desk["fault"])
        if fault == 0 and desk["at_once"] > ANSWERS_AT_ONCE_MAX // 8:
            # Each of our orders is said to all, so time that stands still fills the feed first.
            fault = STOP_AT_ONCE
        if fault == 0:
            return EngineStopped(
                f"{self.where}: more than limits.FEED_ROWS_MAX rows of the market are on their way to the engine; "
                "lower simulate.feed_ms or simulate.rate_factor"
            )
        return stopped(self.strategy, [self.instrument], fault, world.state)


class World:
    """The records of one simulation and the call that moves them on; what a benchmark and a test use too."""

    def __init__(self, simulation: Simulation) -> None:
        config, instrument = simulation.config, simulation.instrument
        assert config.simulate is not None
        start_ns = simulation.start_ns
        self.state = engine_state(config, [instrument], simulation.strategy, simulation.where)
        self.venues: Venues
        for one in config.instruments:
            # Of no effect here, where queues are real, but a venue is not set up without one.
            choose_queue_model(one, orders=False, where=simulation.where)
        self.venues, self.points = simulated_venue(config, [instrument], simulation.where)
        self.quote = bind(simulation.strategy, len(self.state[0]["lane"]["own"]))
        self.market = simulation.market(start_ns - round(config.simulate.warm_up_s * 1e9))
        self._take_rules(config.simulate.tickers)
        self.market.skip(start_ns)
        if self.market.flow[0]["next_ns"] == NEVER:
            raise OperatorError(
                f"{simulation.where}: the market is over before the strategy starts; simulate.warm_up_s is "
                f"{config.simulate.warm_up_s:g}, make it shorter than the history"
            )
        self.feed = zeroed(loop.FEED)
        self.feed[0]["delay_ns"] = round(config.simulate.feed_ms * 1e6)
        loop.join_feed(self.market.exchange.exchange[0], self.feed[0], np.zeros(1, EVENT)[0], start_ns)
        self.out = np.zeros(1, OUT)
        self.observed = new_observed(config.run.sample_ms * 1_000_000, HORIZONS_NS)
        self.observed[0]["sample_ns"] = self.observed[0]["due_ns"] = start_ns + config.run.sample_ms * 1_000_000
        self.cursor = np.zeros(1, loop.SIMULATED)
        record = self.cursor[0]
        every_ns = round(config.wake.every_ms * 1_000_000)
        record["timer_every_ns"] = every_ns
        record["timer_ns"] = start_ns + every_ns if every_ns else NEVER
        record["snapshots"] = config.run.snapshots
        record["snapped"] = config.run.checkpoint_every - 1
        record["stop_ns"] = start_ns + round(config.simulate.duration_s * 1e9)
        record["pause_ns"] = NEVER
        self.counts: dict[int, int] = {}

    def _take_rules(self, tickers: bool) -> None:
        """Our terms at the exchange are those of the simulated venue: fees, filters, what prevents self-trades."""
        site = self.venues.sim[0]["site"][0]
        record = self.market.exchange.exchange[0]
        record["publish"] = PUBLISH_LEVELS | PUBLISH_TRADES | (PUBLISH_TICKER if tickers else 0)
        record["maker_ppb"][1], record["taker_ppb"][1] = site["maker_ppb"], site["taker_ppb"]
        ours = self.market.exchange.participants[loop.OURSELVES]
        ours["tier"], ours["stp"] = 1, site["stp"]

    def run(self) -> int:
        """One call of the loop; returns what it asks for."""
        market = self.market
        exchange, participants, orders, table = market.exchange.args
        return int(
            loop.simulate(
                self.state[0], self.venues.sim[0], self.venues.desks[0], market.flow[0], exchange, participants,
                orders, table, market.exchange.out[0], self.feed[0], self.cursor[0], market.rows, self.points,
                self.quote, self.out[0], self.observed[0],
            )
        )  # fmt: skip

    def attend(self, code: int) -> None:
        """Do what the loop asked for on the market's side.  A recorded market that is over ends the run."""
        self.market.attend(code)
        flow, cursor = self.market.flow[0], self.cursor[0]
        if code == loop.NEED_ROWS and flow["final"]:
            cursor["stop_ns"] = min(int(cursor["stop_ns"]), int(flow["clock_ns"] + self.feed[0]["delay_ns"]))

    def empty_out(self, logbook: Logbook | None) -> None:
        """Move records into the log; all commands among them are on their way already."""
        record = self.out[0]
        records = record["rows"][: int(record["count"])]
        if logbook is not None:
            logbook.append(records)
        for kind, n in enumerate(np.bincount(records["kind"], minlength=256)):
            if n:
                self.counts[kind] = self.counts.get(kind, 0) + int(n)
        record["count"] = 0
        self.cursor[0]["sent"] = 0

    def named_counts(self) -> dict[str, int]:
        """Records of the log by name, and what was done at the exchange."""
        outputs = sum(n for kind, n in self.counts.items() if kind >= OUTPUT_KIND_MIN)
        total = sum(self.counts.values())
        flow = self.market.flow[0]
        return {
            **{KIND_NAMES[kind]: n for kind, n in sorted(self.counts.items())},
            "records": total, "outputs": outputs, "inputs": total - outputs,
            "heard": int(self.state[0]["market"]["seq"]) + 1, "market_rows": int(self.cursor[0]["market_rows"]),
            "wakes": int(self.state[0]["lane"]["wakes"]),
            "background_commands": int(self.cursor[0]["commands"]), "own_commands": int(self.cursor[0]["own_commands"]),
            "background_limits": int(flow["limits"]), "background_cancels": int(flow["cancels"]),
            "background_markets": int(flow["markets"]), "background_informed": int(flow["takers_informed"]),
        }  # fmt: skip


class _Pace:
    """How far the loop may go before it looks up: a share of the run, or as far as real time has come."""

    def __init__(self, start_ns: int, stop_ns: int, speed: float) -> None:
        self._start_ns, self._stop_ns, self._speed = start_ns, stop_ns, speed
        self.total_ns = stop_ns - start_ns
        step_ns = round(_PACE_S * speed * 1e9) if speed else self.total_ns // _LOOK_SHARE
        self._step_ns = max(1_000_000, step_ns)
        self.next_ns = start_ns + self._step_ns
        self.passed_ns = start_ns
        self._began_s = time.perf_counter()

    def wait(self) -> int:
        """All up to the last answer was simulated; returns the next time to go to, after waiting for it."""
        self.passed_ns = self.next_ns
        if self._speed:
            due_s = self._began_s + (self.next_ns - self._start_ns) / 1e9 / self._speed
            time.sleep(max(0.0, due_s - time.perf_counter()))
        self.next_ns += self._step_ns
        return self.next_ns

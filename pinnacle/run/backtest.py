"""A backtest: recorded history through the simulated venue and the engine, into a run directory.

A short wiring: every decision is in the kernels, every unit conversion in `settings`, every row in `feeds`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

import pinnacle
from pinnacle import interrupt
from pinnacle.config import Config
from pinnacle.engine.snapshot import write_snapshot
from pinnacle.engine.strategy import Strategy, bind, quote_outside, raised
from pinnacle.errors import DiskError, EngineStopped, OperatorError, PinnacleError, StrategyError
from pinnacle.event import KIND_NAMES, OUTPUT_KIND_MIN, empty
from pinnacle.history.catalog import open_catalog
from pinnacle.history.from_log import LogHistory, is_log
from pinnacle.history.history import SegmentHistory, open_history
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument
from pinnacle.kernels import drive as drives
from pinnacle.kernels.fingerprint import fingerprint
from pinnacle.kernels.jit import CODE_HASH
from pinnacle.kernels.observe import new_observed, observe_end
from pinnacle.kernels.state import (
    NEVER,
    OUT,
    STOP_AT_ONCE,
    STOP_MONEY,
    STOP_ORDER_TABLE_FULL,
    STOP_RING_FULL,
    STOP_STRATEGY_VALUE,
    STOP_TIME_BACK,
    STOP_TOO_MANY_QUOTES,
)
from pinnacle.kernels.step import answer_external
from pinnacle.kernels.venue import Venues
from pinnacle.kernels.weave import WOVEN
from pinnacle.log.manifest import (
    HistoryFile,
    Informational,
    Manifest,
    StrategySource,
    Versions,
    file_sha256,
    instrument_rows,
    write_manifest,
)
from pinnacle.log.segment import write_segment
from pinnacle.run.ahead import ReadAhead
from pinnacle.run.feeds import Feed, Source, funding_schedule
from pinnacle.run.logbook import Logbook
from pinnacle.run.observations import ObservationFile
from pinnacle.run.order_walk import holds_orders
from pinnacle.run.settings import choose_queue_model, engine_state, least_latency, simulated_venue, venue_table

HORIZONS_NS = (1_000_000_000, 5_000_000_000, 30_000_000_000)
_EMPTY_EVENTS = empty(0)
STOPS = {
    STOP_STRATEGY_VALUE: "asked for a price, size or side that is not a number or out of range",
    STOP_TOO_MANY_QUOTES: "wants more quotes at once than limits.WANTED_QUOTES_MAX",
    STOP_ORDER_TABLE_FULL: "has limits.ORDERS_MAX orders open and wants another",
    STOP_MONEY: "traded more money than 64-bit units hold; use a coarser lot or a shorter run",
    STOP_RING_FULL: "has more messages in flight than limits.IN_FLIGHT_MAX; quote less often or shorten the latency",
    STOP_AT_ONCE: "answers every answer at the same instant without end; give the venue a latency above 0",
    STOP_TIME_BACK: "heard an event dated before the one before it; the history is out of order",
}


@dataclass
class Backtest:
    """What one backtest is made of.  progress: rows read, rows in all; told: a line about what is being done."""

    config: Config
    where: str
    beside: Path | None
    strategy: Strategy
    out: Path
    progress: Callable[[int, int], None] | None = None
    told: Callable[[str], None] | None = None
    interrupted: bool = False
    instruments: list[Instrument] = field(default_factory=list)
    paths: list[list[Path]] = field(default_factory=list)

    def run(self) -> Manifest:
        """Run it; the run directory is complete afterwards, or says in its manifest how far it came.

        Raises PinnacleError; KeyboardInterrupt after the log has been closed.
        """
        make_run_folder(self.out)
        manifest = None
        try:
            self.open_histories()
            feed = Feed(self.sources(), self.progress)
            manifest = self.manifest(feed)
            write_manifest(self.out, manifest)
            with stopping_cleanly(self):
                self._drive(feed, manifest)
            manifest.status = "complete"
        except BaseException as error:
            if manifest is not None:
                manifest.status = "interrupted" if interrupt.is_behind(error) else "failed"
                manifest.informational.ended = now_text()
                write_last(self.out, manifest)
            if isinstance(error, OSError):
                raise DiskError(f"{self.out}: cannot be written: {error.strerror}; the run stopped there") from error
            raise
        manifest.informational.ended = now_text()
        write_manifest(self.out, manifest)
        return manifest

    def open_histories(self, may_import: bool = True) -> None:
        """Find every instrument's day files; a raw recording is imported into the run's own folder first.

        may_import: False where no folder is to be made yet; a raw recording is an error then.
        """
        for one in self.config.instruments:
            known = one.instrument(self.where)
            kept = self.out / "history" / f"{one.venue}_{one.symbol}.parquet".replace("/", "-")
            if one.data and kept.exists():
                # Imported when this folder was begun.
                history = open_history(kept, known, self._import_options(), None)
            elif one.data and is_log(_located(one.data, self.beside)):
                heard = LogHistory(_located(one.data, self.beside), one.venue, one.symbol)
                kept.parent.mkdir(exist_ok=True)
                write_segment(kept, heard, heard.metadata())
                history = open_history(kept, known, self._import_options(), None)
            elif one.data:
                history = open_history(_located(one.data, self.beside), known, self._import_options(), None)
            else:
                data = self.config.data
                if not data.catalog:
                    raise OperatorError(
                        f"{self.where}: {one.name} has no data; give --data RECORDING, or set data.catalog, or the "
                        "instrument's data"
                    )
                first, last = _day(data.first, "data.first"), _day(data.last, "data.last")
                catalog = _located(data.catalog, self.beside)
                history = open_catalog(catalog, one.venue, one.symbol, first, last)
            if isinstance(history, SegmentHistory):
                self.paths.append([Path(path).resolve() for path in history.paths])
                self.instruments.append(known or _named(history.instrument, one.venue, one.symbol))
                continue
            if not may_import:
                raise OperatorError(
                    f"{self.where}: {one.data} is a raw recording; import it first with pinnacle data import"
                )
            if self.told is not None:
                self.told(f"importing {one.data}")
            kept.parent.mkdir(exist_ok=True)
            batches = list(history) if os.path.getsize(history.source.paths[0]) < (64 << 20) else history
            write_segment(kept, batches, history.metadata())
            self.paths.append([kept])
            self.instruments.append(history.instrument)

        self._choose_queue_models()

    def _choose_queue_models(self) -> None:
        """Settle what the histories decide: exact places in the queue where they hold single orders."""
        for one, paths in zip(self.config.instruments, self.paths):
            asked, orders = one.queue.model, holds_orders(paths)
            choose_queue_model(one, orders, self.where)
            if asked == "auto" and orders and self.told is not None:
                self.told(f"{one.name}: its history holds single orders, so places in the queue are exact")

    def _import_options(self) -> ImportOptions:
        data = self.config.data
        return ImportOptions(bridge=data.bridge, tickers=data.tickers, offset_ns=data.offset_ns)

    def sources(self) -> list[Source]:
        """The run's sources in the order of its instrument table."""
        return sources_of(self.config, self.instruments, self.paths)

    def manifest(self, feed: Feed) -> Manifest:
        """What is known before the first event.  Equal runs have equal ids."""
        config = msgspec.to_builtins(self.config)
        strategy = StrategySource(
            path=self.strategy.path, name=self.strategy.name, sha256=self.strategy.sha256, source=self.strategy.source
        )
        histories = [
            HistoryFile(path=_relative(path, self.out), sha256=file_sha256(path), rows=segment.rows, instruments=[k])
            for k, paths in enumerate(self.paths)
            for path, segment in zip(paths, feed.segments[k])
        ]
        identity = [CODE_HASH, strategy.sha256, config, [[one.sha256, one.instruments] for one in histories]]
        return Manifest(
            run_id=hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:32],
            mode="backtest",
            status="running",
            code_hash=CODE_HASH,
            versions=versions(),
            config=config,
            strategy=strategy,
            params=self.strategy.values(self.config.strategy.params, self.where),
            instruments=instrument_rows(self.instruments),
            histories=histories,
            seed=self.config.run.seed,
            informational=Informational(started=now_text()),
        )

    def _drive(self, feed: Feed, manifest: Manifest) -> None:
        """Feed the drive and empty what it writes, until it ends."""
        # Reading begins before compiling or loading the kernels, which takes as long.
        with closing(ReadAhead(feed.woven())) as market:
            self._drive_through(market, feed, manifest)
        self._tell_left_out(feed)

    def _drive_through(self, market: ReadAhead[tuple[np.ndarray, np.ndarray]], feed: Feed, manifest: Manifest) -> None:
        """Drive a market that is being read."""
        state = engine_state(self.config, self.instruments, self.strategy, self.where)
        venues, points = simulated_venue(self.config, self.instruments, self.where)
        quote = bind(self.strategy, len(state[0]["lane"]["own"]))
        cursor = self._cursor(feed, venues, points)
        observed = new_observed(self.config.run.sample_ms * 1_000_000, HORIZONS_NS)
        begins_ns = max(feed.first_ns, self.config.run.start_ns)
        observed[0]["sample_ns"] = observed[0]["due_ns"] = begins_ns + self.config.run.sample_ms * 1_000_000
        out = np.zeros(1, OUT)
        counts: dict[int, int] = {}
        logbook = Logbook(self.out / "log", manifest.run_id)
        try:
            with ObservationFile(self.out / "observations.parquet") as observations:
                try:
                    drive_to_end(
                        self, market, state, venues, cursor, points, quote, out, observed, logbook, observations, counts
                    )
                finally:
                    _empty_out(out, cursor, logbook, counts)
                    observations.append(observed)
        except BaseException:
            logbook.abandon()
            manifest.counts = _named_counts(counts, state, cursor)
            raise
        manifest.segments = logbook.finish()
        manifest.counts = _named_counts(counts, state, cursor)
        manifest.fingerprint = fingerprint_text(state)

    def _tell_left_out(self, feed: Feed) -> None:
        """What a recording of single orders said of orders that nobody knows: counted, and never guessed."""
        for one, walk in zip(self.instruments, feed.walks):
            found = [f"{count:,} {noun}" for noun, count in walk.counts.items() if count] if walk is not None else []
            if found and self.told is not None:
                self.told(f"{one.name}: the recording holds {', '.join(found)}")

    def _cursor(self, feed: Feed, venues: Venues, points: np.ndarray) -> np.ndarray:
        cursor = np.zeros(1, drives.CURSOR)
        record = cursor[0]
        every_ns = round(self.config.wake.every_ms * 1_000_000)
        record["timer_every_ns"] = every_ns
        record["timer_ns"] = max(feed.first_ns, self.config.run.start_ns) + every_ns if every_ns else NEVER
        record["record_full"] = self.config.run.record == "full"
        record["snapshots"] = self.config.run.snapshots
        record["snapped"] = self.config.run.checkpoint_every - 1
        record["stop_ns"] = self.config.run.stop_ns or NEVER - 1
        least = least_latency(venues, points, len(self.instruments))
        record["request_least_ns"], record["answer_least_ns"] = least
        return cursor


def drive_to_end(
    run: Backtest,
    market: ReadAhead[tuple[np.ndarray, np.ndarray]],
    state: np.ndarray,
    venues: Venues,
    cursor: np.ndarray,
    points: np.ndarray,
    quote: int,
    out: np.ndarray,
    observed: np.ndarray,
    logbook: Logbook,
    observations: ObservationFile,
    counts: dict[int, int],
) -> None:
    """Call the drive until it ends, doing each time what it asks for.  Raises EngineStopped, StrategyError."""
    rows, events = np.zeros(0, WOVEN), _EMPTY_EVENTS
    record, full = cursor[0], bool(cursor[0]["record_full"])
    while True:
        if run.interrupted:
            raise KeyboardInterrupt
        try:
            code = drives.drive(
                state[0]["market"], state[0]["lane"], venues.sim[0], venues.desks[0], venues.resting[0],
                record, rows, events, points, quote, out[0], observed[0],
            )  # fmt: skip
        except Exception as error:
            if state[0]["lane"]["calling"]:
                raise raised(run.strategy, error) from error
            raise
        if code == drives.NEED_ROWS:
            rows, events = _more_rows(market, record, rows, events, full)
        elif code == drives.OUT_FULL:
            _empty_out(out, cursor, logbook, counts)
        elif code == drives.OBSERVED_FULL:
            observations.append(observed)
        elif code == drives.CALL_STRATEGY:
            call_strategy(run.strategy, state, out)
        elif code == drives.SNAPSHOT:
            record["snapped"] = state[0]["lane"]["checkpoint_seq"]
            write_snapshot(run.out, state)
        elif code == drives.FAULT:
            fault = int(state[0]["lane"]["fault"] or venues.desks[0]["fault"])
            raise stopped(run.strategy, run.instruments, fault, state)
        else:
            observe_end(state[0]["market"], state[0]["lane"], observed[0])
            return


def _more_rows(
    market: ReadAhead[tuple[np.ndarray, np.ndarray]], cursor: np.void, rows: np.ndarray, events: np.ndarray, full: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Append the feed's next rows to what neither the engine nor the venue has passed yet."""
    batch = next(market, None)
    if batch is None:
        cursor["final"] = 1
        cursor["market_end_ns"] = rows["ts_ns"].max() if rows.size else cursor["market_end_ns"]
        return rows, events
    passed = int(min(cursor["i"], cursor["j"]))
    if batch[0].size == 0:
        passed = 0
    rows = np.concatenate((rows[passed:], batch[0])) if passed < rows.size else batch[0]
    cursor["i"] -= passed
    cursor["j"] -= passed
    cursor["rows"] = rows.size
    if full:
        heard = int(cursor["heard"] - cursor["events_first"])
        events = np.concatenate((events[heard:], batch[1]))
        cursor["events_first"] = cursor["heard"]
    return rows, events


def _empty_out(out: np.ndarray, cursor: np.ndarray, logbook: Logbook, counts: dict[int, int]) -> None:
    """Move records into the log.  Compute, record, act: what was not looked at for commands yet stays marked so."""
    record = out[0]
    count = int(record["count"])
    records = record["rows"][:count]
    logbook.append(records)
    for kind, n in enumerate(np.bincount(records["kind"], minlength=256)):
        if n:
            counts[kind] = counts.get(kind, 0) + int(n)
    record["count"] = 0
    cursor[0]["sent"] = 0


def call_strategy(strategy: Strategy, state: np.ndarray, out: np.ndarray) -> None:
    """Ask a plain Python strategy about every instrument that is due, and go on.  Raises StrategyError."""
    lane = state[0]["lane"]
    for me in range(int(state[0]["market"]["instruments"])):
        if lane["own"][me]["due"]:
            try:
                quote_outside(strategy, state[0], me)
            except Exception as error:
                raise raised(strategy, error) from error
    answer_external(state[0], out[0])


def stopped(strategy: Strategy, instruments: list[Instrument], fault: int, state: np.ndarray) -> PinnacleError:
    """Why the engine stopped, as one error."""
    me = int(state[0]["lane"]["fault_instrument"])
    seq = int(state[0]["market"]["seq"])
    kind = StrategyError if fault in (STOP_STRATEGY_VALUE, STOP_TOO_MANY_QUOTES) else EngineStopped
    return kind(
        f"{strategy.path}: on {instruments[me].name}, at input {seq}, it {STOPS[fault]}; "
        "the run stopped there, what was logged before is intact"
    )


class Interruptible(Protocol):
    """A run that looks at `interrupted` wherever it may stop."""

    interrupted: bool


@contextmanager
def stopping_cleanly(run: Interruptible) -> Iterator[None]:
    """The first Ctrl-C waits for the end of the stretch that is being driven, so that no record is lost or doubled.

    The second one does not wait.  Outside the main thread, where signals cannot be heard, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: object) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def sources_of(config: Config, instruments: list[Instrument], paths: list[list[Path]]) -> list[Source]:
    """The sources of a run: its day files with the indices of venue and instrument, and its funding schedule."""
    venues = venue_table(instruments)
    return [
        Source(
            paths=paths[k],
            instrument=k,
            venue=venues.index(instruments[k].venue),
            funding_ppb=funding_schedule(one.funding.rate_bps, one.funding.every_h)[0],
            funding_every_ns=funding_schedule(one.funding.rate_bps, one.funding.every_h)[1],
            exact=one.queue.model == "exact",
        )
        for k, one in enumerate(config.instruments)
    ]


def make_run_folder(out: Path) -> None:
    """A new, empty folder for a run.  Raises OperatorError if something is there already, DiskError if it cannot be."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OperatorError(f"{out}: is there already; a run never overwrites another, choose a new --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"{out}: cannot be made: {error.strerror}; choose another --out") from None


def versions() -> Versions:
    """What compiles and runs the kernels here."""
    import numba

    return Versions(
        pinnacle=pinnacle.__version__,
        numba=numba.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
        cpu=_cpu(),
    )


def _cpu() -> str:
    import llvmlite.binding as llvm

    return f"{platform.machine()} {llvm.get_host_cpu_name()}"


def fingerprint_text(state: np.ndarray) -> str:
    """The fingerprint of a state as 16 hex digits."""
    print_ = int(fingerprint(state[0]["market"], state[0]["lane"]))
    return f"{print_ & ((1 << 64) - 1):016x}"


def _named_counts(counts: dict[int, int], state: np.ndarray, cursor: np.ndarray) -> dict[str, int]:
    outputs = sum(n for kind, n in counts.items() if kind >= OUTPUT_KIND_MIN)
    total = sum(counts.values())
    named = {KIND_NAMES[kind]: n for kind, n in sorted(counts.items())}
    heard = int(state[0]["market"]["seq"]) + 1
    return {
        **named, "records": total, "outputs": outputs, "inputs": total - outputs,
        "heard": heard, "market_rows": int(cursor[0]["heard"]), "wakes": int(state[0]["lane"]["wakes"]),
    }  # fmt: skip


def write_last(out: Path, manifest: Manifest) -> None:
    """Write the manifest of a run that is failing; a disk that refuses even that leaves it marked as running."""
    try:
        write_manifest(out, manifest)
    except DiskError:
        return


def now_text() -> str:
    """Wall time as a manifest keeps it: ISO 8601 in UTC."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def _located(name: str, beside: Path | None) -> Path:
    """A data path as given, or beside the config."""
    path = Path(name).expanduser()
    if not path.is_absolute() and not path.exists() and beside is not None and (beside / path).exists():
        return beside / path
    return path


def _relative(path: Path, out: Path) -> str:
    """A path inside the run relative to it, so that a run can be moved; others as they are."""
    return str(path.relative_to(out.resolve())) if path.is_relative_to(out.resolve()) else str(path)


def _day(text: str, what: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"{what} is {text!r}, and must be a day as YYYY-MM-DD") from None


def _named(instrument: Instrument, venue: str, symbol: str) -> Instrument:
    """The history's instrument, checked to be the one the config names."""
    if (instrument.venue, instrument.symbol) != (venue, symbol):
        raise OperatorError(
            f"the data given for {venue}:{symbol} is of {instrument.name}; name that under [[instruments]]"
        )
    return instrument

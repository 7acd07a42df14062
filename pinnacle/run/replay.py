"""Replay: fold a recorded log's inputs again and compare every output with the recorded one, byte for byte.

The market comes from the log itself if it was recorded in full, or else from the history files that the manifest
names, which must be the very same bytes.  The simulated venue takes no part: its answers are inputs of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pinnacle.config import Config
from pinnacle.engine.snapshot import read_snapshot, snapshot_path
from pinnacle.engine.strategy import Strategy, bind, load_strategy, raised
from pinnacle.errors import DiskError, HistoryError, OperatorError
from pinnacle.event import OUTPUT_KIND_MIN, empty
from pinnacle.instrument import Instrument
from pinnacle.kernels.jit import CODE_HASH
from pinnacle.kernels.state import OUT
from pinnacle.kernels.step import fold
from pinnacle.log.check import record_text
from pinnacle.log.manifest import Manifest, file_sha256, instruments_of
from pinnacle.log.reader import LogReader
from pinnacle.run.backtest import call_strategy, fingerprint_text, sources_of, stopped
from pinnacle.run.feeds import Feed
from pinnacle.run.settings import engine_state

NEVER = (1 << 63) - 1


@dataclass(frozen=True)
class Divergence:
    """The first output that differs.  seq: of the input that caused it; expected, found: as text, "nothing" if none."""

    seq: int
    expected: str
    found: str


@dataclass(frozen=True)
class Replayed:
    """What a replay proved.  equal: outputs compared and equal; commands: places and cancels among them."""

    equal: int
    commands: int
    inputs: int
    fingerprint: str
    fingerprint_expected: str
    divergence: Divergence | None
    notes: tuple[str, ...] = ()


def replay(
    path: Path,
    until: int | None = None,
    from_checkpoint: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Replay a run.  path: a run's folder, or its log folder or manifest.

    until: last input to fold.  from_checkpoint: seq of a kept state to start from, -1 for the last one there is.
    Raises OperatorError, HistoryError, DiskError for what cannot be replayed.
    """
    reader = LogReader(path)
    run = path if (path / "manifest.json").exists() else path.parent
    manifest = reader.manifest
    if manifest is None or manifest.strategy is None:
        raise OperatorError(f"{path}: has no manifest of a strategy's run, so there is nothing to fold it with")
    return _Replay(run, manifest, reader, until, from_checkpoint, progress).run()


class _Replay:
    """One replay in progress."""

    def __init__(
        self,
        run: Path,
        manifest: Manifest,
        reader: LogReader,
        until: int | None,
        from_checkpoint: int | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.folder, self.manifest, self.reader, self.progress = run, manifest, reader, progress
        self.config = config_of(manifest)
        self.instruments: list[Instrument] = instruments_of(manifest.instruments)
        if [one.name for one in self.config.instruments] != [one.name for one in self.instruments]:
            raise DiskError(f"{run}: manifest.json: config and instruments disagree; it was edited, restore it")
        strategy = manifest.strategy
        assert strategy is not None
        self.strategy: Strategy = load_replayed(strategy.path, strategy.source)
        self.notes: list[str] = []
        last_seq = self._last_certain()
        self.last_seq = last_seq if until is None else min(until, last_seq)
        self.whole = until is None or until >= last_seq
        self.state = engine_state(self.config, self.instruments, self.strategy, str(run))
        if from_checkpoint is not None:
            self.state = read_snapshot(checkpoint_path(run, from_checkpoint))
        self.first_seq = int(self.state[0]["market"]["seq"]) + 1
        self.quote = bind(self.strategy, len(self.state[0]["lane"]["own"]))
        self.out = np.zeros(1, OUT)
        self.expected = _Expected(reader, self.first_seq, self.last_seq)
        self.equal = self.commands = 0
        if manifest.code_hash != CODE_HASH:
            self.notes.append("the kernels are not those that made the log; a divergence may come from that alone")

    def _last_certain(self) -> int:
        """The last input whose outputs are all in the log.

        A run that ended early may have been stopped between an input and what it causes, so its last record's input
        is left out; what it heard after that it said nothing to.
        """
        if self.manifest.status == "complete":
            return self.manifest.counts["heard"] - 1
        last = [int(rows["seq"][-1]) for rows in self.reader.records(max(0, self.reader.rows - 1)) if rows.size]
        last_seq = last[-1] - 1 if last else -1
        self.notes.append(f"the run is {self.manifest.status}: replayed up to input {last_seq}, the last that is whole")
        return last_seq

    def run(self) -> Replayed:
        """Fold everything and compare as it comes."""
        divergence = None
        for events in self._inputs():
            divergence = self._fold(events)
            if divergence is not None:
                break
        if divergence is None:
            divergence = self._compare(empty(0), last=True)
        expected = self.manifest.fingerprint if self.whole else ""
        return Replayed(
            equal=self.equal,
            commands=self.commands,
            inputs=int(self.state[0]["market"]["seq"]) + 1 - self.first_seq,
            fingerprint=fingerprint_text(self.state),
            fingerprint_expected=expected,
            divergence=divergence,
            notes=tuple(self.notes),
        )

    def _fold(self, events: np.ndarray) -> Divergence | None:
        """Fold a batch of inputs; the first difference, if there is one."""
        at = 0
        lane = self.state[0]["lane"]
        while at < events.size:
            try:
                at = fold(self.state, events, at, self.quote, self.out)
            except Exception as error:
                if lane["calling"]:
                    raise raised(self.strategy, error) from error
                raise
            if lane["due"]:
                call_strategy(self.strategy, self.state, self.out)
            if lane["fault"]:
                raise stopped(self.strategy, self.instruments, int(lane["fault"]), self.state)
            record = self.out[0]
            found = record["rows"][: int(record["count"])].copy()
            record["count"] = 0
            divergence = self._compare(found)
            if divergence is not None:
                return divergence
        return None

    def _compare(self, found: np.ndarray, last: bool = False) -> Divergence | None:
        """Compare outputs with the recorded ones, in order."""
        expected = self.expected.take(found.size if not last else NEVER)
        same = min(found.size, expected.size)
        differs = np.flatnonzero(found[:same] != expected[:same])
        good = int(differs[0]) if differs.size else same
        self.equal += good
        self.commands += int((found[:good]["kind"] < 140).sum())
        if good == found.size and good == expected.size:
            return None
        one, other = expected[good : good + 1], found[good : good + 1]
        seq = int((one if one.size else other)["seq"][0])
        return Divergence(seq, self._text(one), self._text(other))

    def _text(self, rows: np.ndarray) -> str:
        return record_text(rows[0], self.instruments) if rows.size else "nothing"

    def _inputs(self) -> Iterator[np.ndarray]:
        """Every input from first_seq to last_seq, in order, as EVENT arrays."""
        logged = _logged_inputs(self.reader, self.first_seq, self.last_seq)
        if self.config.run.record == "full":
            yield from logged
            return
        own = sum(rows.size for rows in _logged_inputs(self.reader, 0, self.first_seq - 1)) if self.first_seq else 0
        market = _skipped(self._market(), self.first_seq - own)
        yield from _interleaved(market, logged, self.first_seq, self.last_seq)

    def _market(self) -> Iterator[np.ndarray]:
        """The market rows of the history that the manifest names.  Raises HistoryError if a file is not the same."""
        paths: list[list[Path]] = [[] for _ in self.instruments]
        for history in self.manifest.histories:
            path = Path(history.path)
            path = path if path.is_absolute() else self.folder / path
            if file_sha256(path) != history.sha256:
                raise HistoryError(f"{path}: is not the file the run read (its sha256 differs); restore it")
            for k in history.instruments:
                if not 0 <= k < len(paths):
                    raise DiskError(
                        f"{self.folder}: manifest.json: history {path.name} is of no instrument; restore it"
                    )
                paths[k].append(path)
        if not all(paths):
            raise DiskError(f"{self.folder}: manifest.json: an instrument has no history; it was edited, restore it")
        yield from Feed(sources_of(self.config, self.instruments, paths), self.progress).events()


class _Expected:
    """The recorded outputs, taken a few at a time."""

    def __init__(self, reader: LogReader, first_seq: int, last_seq: int) -> None:
        self._batches = (
            rows[(rows["kind"] >= OUTPUT_KIND_MIN) & (rows["seq"] >= first_seq) & (rows["seq"] <= last_seq)]
            for rows in reader.records()
        )
        self._held = empty(0)

    def take(self, count: int) -> np.ndarray:
        """The next `count` outputs, fewer at the end."""
        while self._held.size < count:
            batch: Any = next(self._batches, None)
            if batch is None:
                break
            self._held = np.concatenate((self._held, batch))
        taken, self._held = self._held[:count], self._held[count:]
        return taken


def _logged_inputs(reader: LogReader, first_seq: int, last_seq: int) -> Iterator[np.ndarray]:
    for rows in reader.records():
        wanted = rows[(rows["kind"] < OUTPUT_KIND_MIN) & (rows["seq"] >= first_seq) & (rows["seq"] <= last_seq)]
        if wanted.size:
            yield wanted


def _interleaved(
    market: Iterator[np.ndarray], logged: Iterator[np.ndarray], first_seq: int, last_seq: int
) -> Iterator[np.ndarray]:
    """Market rows between the logged inputs, numbered.

    A log that keeps its own inputs alone still numbers every input, so the numbers that it leaves out are the
    market's, in order.  Holds one batch of each.
    """
    seq = first_seq
    own, more_own = empty(0), True
    rows, more_rows = empty(0), True
    while seq <= last_seq and (more_own or more_rows or own.size or rows.size):
        if own.size == 0 and more_own:
            own = next(logged, empty(0))
            more_own = own.size > 0
        if rows.size == 0 and more_rows:
            rows = next(market, empty(0))
            more_rows = rows.size > 0
        # How many market rows come before each logged input.
        before = own["seq"] - seq - np.arange(own.size)
        count = int(np.searchsorted(before, rows.size, side="right"))
        taken = rows.size
        if count == own.size and more_own:
            taken = int(before[-1]) if own.size else 0
        joined = np.insert(rows[:taken], before[:count], own[:count])
        joined["seq"] = seq + np.arange(joined.size)
        seq += joined.size
        own, rows = own[count:], rows[taken:]
        if joined.size:
            yield joined[joined["seq"] <= last_seq]


def _skipped(market: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The market without its first `count` rows."""
    for rows in market:
        if count < rows.size:
            yield rows[count:]
        count = max(0, count - rows.size)


def checkpoint_path(run: Path, seq: int) -> Path:
    """The kept state after input `seq`, or the last one for -1.  Raises OperatorError listing those there are."""
    there = sorted(int(path.name.split(".")[0]) for path in (run / "checkpoints").glob("*.state.zst"))
    if not there:
        raise OperatorError(
            f"{run}: keeps no states; run with a smaller run.checkpoint_every, or replay from the start"
        )
    if seq == -1:
        seq = there[-1]
    if seq not in there:
        raise OperatorError(f"{run}: keeps no state after input {seq}; there are {', '.join(map(str, there))}")
    return snapshot_path(run, seq)


def config_of(manifest: Manifest) -> Config:
    """The typed config that a manifest keeps."""
    try:
        return msgspec.convert(manifest.config, Config)
    except msgspec.ValidationError as error:
        raise OperatorError(f"manifest.json: config: {error}; it was made by another version or edited") from None


def load_replayed(path: str, source: str) -> Strategy:
    """The strategy as the manifest keeps it: from its file if that still holds the same text, else from the text."""
    file = Path(path)
    try:
        same = file.read_text() == source
    except OSError:
        same = False
    return load_strategy(file) if same else load_strategy(file, source)

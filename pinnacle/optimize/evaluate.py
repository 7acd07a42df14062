"""Judging a batch: its candidates are dealt out as lanes to workers, and come back in their order.

How many workers there are decides how the batch is cut, and nothing else: a lane does not know its neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pinnacle.config import Config
from pinnacle.engine.strategy import load_strategy
from pinnacle.instrument import Instrument
from pinnacle.limits import LANES_MAX
from pinnacle.run.feeds import Source
from pinnacle.run.lanes import LaneResult, LaneRun, OneByOne, Track
from pinnacle.run.tape import make_tape, spare_folder
from pinnacle.run.window import Window
from pinnacle.run.workers import Workers


@dataclass(frozen=True)
class Place:
    """All that a worker needs to judge candidates: it can be sent to another process or machine.

    tape_folder: of the decoded history; a machine that cannot reach it decodes the history again for itself.
    """

    config: Config
    where: str
    strategy_path: str
    strategy_source: str
    instruments: list[Instrument]
    sources: list[Source]
    tape_folder: Path
    tape_key: str
    bucket_ns: int

    @property
    def paths(self) -> list[Path]:
        """The history files that every machine must have."""
        return [Path(path) for source in self.sources for path in source.paths]

    def open(self) -> Bench:
        """A bench of this process.  Raises PinnacleError if the history or the strategy cannot be read."""
        folder = self.tape_folder if self.tape_folder.is_dir() else spare_folder(self.tape_key)
        strategy = load_strategy(Path(self.strategy_path), self.strategy_source)
        tape = make_tape(folder, self.sources, self.tape_key)
        return Bench(Track(self.config, self.where, strategy, self.instruments, tape, self.bucket_ns))


class Task(msgspec.Struct, frozen=True):
    """Candidates to be walked to stop_ns.

    key: names them; who walked them last under it may go on from there.  slot: which part of the batch they are, None
    where nobody needs to go on.
    stages: (time, numbers of those dropped there) before.
    """

    key: str
    slot: int | None
    sets: list[dict[str, float]]
    window: Window
    stages: list[tuple[int, list[int]]]
    stop_ns: int


class Bench:
    """One worker's place of work.  It keeps the candidates it walked last, so that a stage need not be walked again."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._key = ""
        self._run: LaneRun | OneByOne | None = None
        self._stages = 0
        self._at_ns = 0

    def run(self, task: Task) -> list[LaneResult | None]:
        """The candidates' results at task.stop_ns: the same whether it goes on or begins anew."""
        if self._run is None or task.key != self._key or len(task.stages) < self._stages or task.stop_ns < self._at_ns:
            self._run = self._track.start(task.sets, task.window)
            self._key, self._stages, self._at_ns = task.key, 0, task.window.first_ns
        for at_ns, dropped in task.stages[self._stages :]:
            if self._at_ns < at_ns:
                self._run.advance(at_ns)
            self._run.drop(dropped)
        self._stages = len(task.stages)
        results = self._run.advance(task.stop_ns)
        self._at_ns = task.stop_ns
        return results

    def close(self) -> None:
        """Let go of the history and of what was walked last."""
        self._run = None


@dataclass
class _Part:
    """Neighbouring candidates of a batch that walk together."""

    key: str
    first: int
    sets: list[dict[str, float]]
    stages: list[tuple[int, list[int]]] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)


class Judges:
    """Judges batches with some workers; `evaluate` is what a search asks for.

    lanes: the most candidates of one worker in one pass.  passes, lane_windows: walks over a window so far, and
    candidates times windows.
    """

    def __init__(self, workers: Workers, lanes: int) -> None:
        self._workers, self._lanes = workers, min(lanes, LANES_MAX)
        self.passes = 0
        self.lane_windows = 0

    def evaluate(self, sets: list[dict[str, float]], window: Window, staged: bool) -> Judged:
        """A batch at the start of a window.  staged: it will be stopped on the way, so each part keeps its worker."""
        size = min(self._lanes, -(-len(sets) // self._workers.count))
        parts = []
        for first in range(0, len(sets), size):
            some = sets[first : first + size]
            text = repr((window, [sorted(one.items()) for one in some])).encode()
            parts.append(_Part(hashlib.sha256(text).hexdigest()[:16], first, some))
        self.passes += len(parts)
        self.lane_windows += len(sets)
        return Judged(self._workers, window, parts, len(sets), staged)


class Judged:
    """A batch under way."""

    def __init__(self, workers: Workers, window: Window, parts: list[_Part], count: int, staged: bool) -> None:
        self._workers, self._window, self._parts, self._count = workers, window, parts, count
        self._staged = staged
        self._at_ns = window.first_ns

    def advance(self, stop_ns: int) -> Sequence[LaneResult | None]:
        """Results at stop_ns in the order of the batch, None for those dropped."""
        going = [(slot, part) for slot, part in enumerate(self._parts) if len(part.dropped) < len(part.sets)]
        tasks = [
            Task(part.key, slot if self._staged else None, part.sets, self._window, list(part.stages), stop_ns)
            for slot, part in going
        ]
        results: list[LaneResult | None] = [None] * self._count
        for (_, part), found in zip(going, self._workers.map(tasks)):
            results[part.first : part.first + len(part.sets)] = found
        self._at_ns = stop_ns
        return results

    def drop(self, indices: list[int]) -> None:
        """These candidates of the batch are not walked any further."""
        for part in self._parts:
            mine = [index - part.first for index in indices if part.first <= index < part.first + len(part.sets)]
            if mine:
                part.stages.append((self._at_ns, mine))
                part.dropped.update(mine)

"""What processes and a cluster share: handing the tasks of one map to workers, and how a worker answers.

Order, slots, retries and errors are decided here once, so results are the same whatever runs the tasks.
"""

from __future__ import annotations

import bisect
import itertools
import pickle
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from pinnacle import interrupt
from pinnacle.errors import EngineStopped, PinnacleError

# Workers that one task may end before the map gives up: a machine fails now and then, a task that kills always does.
ATTEMPTS_MAX = 3
# Protocol 5 writes arrays as bytes in one piece; they come back as they were, writable or not.
PROTOCOL = 5


class RemoteTraceback(Exception):
    """The cause of an exception that a task raised in another process; its text is the traceback there."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Reborn:
    """Pickles as an exception that is rebuilt without its __init__, which may want other arguments than it kept."""

    def __init__(self, error: BaseException) -> None:
        self._parts = (type(error), error.args, vars(error))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reborn, self._parts


def _reborn(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def pack_error(error: BaseException) -> bytes:
    """An exception and its traceback as bytes: its own class if that survives the journey, else the nearest of ours,
    else a RuntimeError; the text is kept in any case."""
    told = "".join(traceback.format_exception(error))
    for way in (error, _Reborn(error)):
        try:
            packed = pickle.dumps((way, told), protocol=PROTOCOL)
            back = pickle.loads(packed)[0]
        except Exception:
            continue
        if type(back) is type(error) and str(back) == str(error):
            return packed
    ours = next((cls for cls in type(error).__mro__ if cls.__module__ == PinnacleError.__module__), None)
    if ours is not None:
        return pickle.dumps((_Reborn(_reborn(ours, (str(error),), {})), told), protocol=PROTOCOL)
    return pickle.dumps((RuntimeError(f"{type(error).__name__}: {error}"), told), protocol=PROTOCOL)


def unpack_error(packed: bytes) -> BaseException:
    """The exception of pack_error; one that is not ours has the traceback of its process as its cause."""
    error, told = pickle.loads(packed)
    if not isinstance(error, PinnacleError):
        error.__cause__ = RemoteTraceback(told)
    assert isinstance(error, BaseException)
    return error


class Seat:
    """The worker's side: a bench that is opened with the first task; tasks in, answers out, as bytes."""

    def __init__(self, workplace: bytes) -> None:
        self._workplace = workplace
        self._bench: Any = None

    def work(self, task: bytes) -> tuple[bool, bytes]:
        """(True, the result) or (False, the exception that was raised), packed.  Raises nothing a task can raise."""
        try:
            if self._bench is None:
                self._bench = pickle.loads(self._workplace).open()
            return True, pickle.dumps(self._bench.run(pickle.loads(task)), protocol=PROTOCOL)
        except MemoryError:
            full = "a worker could not get the memory it asked for; use fewer workers, or less memory for each"
            return False, pack_error(EngineStopped(full))
        except Exception as error:
            return False, pack_error(error)

    def close(self) -> None:
        if self._bench is not None:
            self._bench.close()
            self._bench = None


class Answer(NamedTuple):
    """What was heard of a worker: it has started, it has answered its task, or it is no more and `how` says why."""

    worker: int
    kind: str
    packed: bytes = b""
    how: str = ""


STARTED, DONE, FAILED, LOST = "started", "done", "failed", "lost"


class Round:
    """One map's bookkeeping: which tasks wait, which are out, what came back.  No process, no clock.

    A task that fails lets those before it finish and stops those after it from being given out, so the error that is
    raised is that of the first failing task, whichever worker was quicker.
    """

    def __init__(self, slots: Sequence[int | None], homes: dict[int, int]) -> None:
        self.results: list[Any] = [None] * len(slots)
        self.finished = 0
        self.error: BaseException | None = None
        self._slots, self._homes = slots, homes
        self._waiting = list(range(len(slots)))
        self._out: dict[int, int] = {}
        self._losses = [0] * len(slots)
        self._end = len(slots)

    @property
    def unfinished(self) -> int:
        return len(self._waiting) + len(self._out)

    @property
    def over(self) -> bool:
        """No task before the first failing one is left; without a failure, no task at all."""
        return not self._waiting and not any(index < self._end for index in self._out.values())

    def assign(self, free: Iterable[int], alive: Iterable[int]) -> list[tuple[int, int]]:
        """(worker, task) for each free worker that has something to do.

        A slot goes where it was last if that worker is free; a worker without such a task takes the first that has no
        home, and if there is none the last one that waits for a busy worker, which works on its own from the front.
        """
        living = set(alive)
        pairs, idle = [], []
        for worker in sorted(free):
            index = next((one for one in self._waiting if self._home(one) == worker), None)
            if index is None:
                idle.append(worker)
            else:
                pairs.append((worker, self._hand(worker, index)))
        for worker in idle:
            if not self._waiting:
                break
            homeless = (one for one in self._waiting if self._home(one) not in living)
            pairs.append((worker, self._hand(worker, next(homeless, self._waiting[-1]))))
        return pairs

    def _home(self, index: int) -> int | None:
        slot = self._slots[index]
        return None if slot is None else self._homes.get(slot)

    def _hand(self, worker: int, index: int) -> int:
        self._waiting.remove(index)
        self._out[worker] = index
        slot = self._slots[index]
        if slot is not None:
            self._homes[slot] = worker
        return index

    def done(self, worker: int, result: Any) -> int:
        """Keep a worker's result; the index of its task."""
        index = self._out.pop(worker)
        self.results[index] = result
        self.finished += 1
        return index

    def failed(self, worker: int, error: BaseException) -> None:
        """Keep the error of a worker's task, unless an earlier task has failed too."""
        self._fail(self._out.pop(worker), error)

    def lost(self, worker: int, how: str) -> None:
        """A worker is no more: its task waits again, or fails if it has ended too many."""
        index = self._out.pop(worker)
        self._losses[index] += 1
        if self._losses[index] >= ATTEMPTS_MAX:
            told = (
                f"task {index + 1} of {len(self._slots)} ended {ATTEMPTS_MAX} workers, the last one {how}; "
                "use fewer workers, or less memory for each"
            )
            self._fail(index, EngineStopped(told))
        elif index < self._end:
            bisect.insort(self._waiting, index)

    def _fail(self, index: int, error: BaseException) -> None:
        if index < self._end:
            self._end, self.error = index, error
            self._waiting = [one for one in self._waiting if one < index]


class Crew(ABC):
    """Workers somewhere else.  A subclass says how one is started, given a task, heard and ended, and how all are
    closed.

    count: workers at most; they are started when a map has work for them, and numbered, never twice the same number.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._numbers = itertools.count()
        self._starting: set[int] = set()
        self._free: set[int] = set()
        self._busy: set[int] = set()
        self._homes: dict[int, int] = {}
        self._closed = False

    @abstractmethod
    def _start(self, worker: int) -> bool:
        """Start a worker; True if it can be given a task at once, False if it will be heard when it can."""

    @abstractmethod
    def _give(self, worker: int, task: bytes) -> None:
        """Send a task to a free worker; that it has gone is heard, not raised."""

    @abstractmethod
    def _hear(self) -> list[Answer]:
        """Wait for one or more answers."""

    @abstractmethod
    def _end(self, worker: int) -> None:
        """End a worker at once, whatever it is doing."""

    @abstractmethod
    def close(self) -> None:
        """End all workers, the idle ones orderly.  Closing again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def map(self, tasks: Sequence[Any], done: Callable[[int], None] | None = None) -> list[Any]:
        """Results in the order of the tasks; done(index) is called as each finishes, in whatever order they do.

        Raises what the first failing task raised, EngineStopped if a task ends worker after worker, and
        KeyboardInterrupt at once; busy workers are ended then.
        """
        assert not self._closed, "map after close"
        round_ = Round([getattr(task, "slot", None) for task in tasks], self._homes)
        try:
            while not round_.over:
                interrupt.check()
                self._staff(round_.unfinished)
                for worker, index in round_.assign(self._free, self._free | self._busy):
                    self._free.remove(worker)
                    self._busy.add(worker)
                    self._give(worker, pickle.dumps(tasks[index], protocol=PROTOCOL))
                for answer in self._hear():
                    self._note(round_, answer, done)
        finally:
            # Only after an error is somebody still at work: what they make is wanted by nobody.
            for worker in sorted(self._busy):
                self._busy.remove(worker)
                self._end(worker)
        if round_.error is not None:
            raise round_.error
        return round_.results

    def _staff(self, tasks: int) -> None:
        """Start workers until there is one for each task, or as many as there may be."""
        while len(self._starting) + len(self._free) + len(self._busy) < min(self.count, tasks):
            worker = next(self._numbers)
            (self._free if self._start(worker) else self._starting).add(worker)

    def _note(self, round_: Round, answer: Answer, done: Callable[[int], None] | None) -> None:
        worker, kind, packed, how = answer
        if kind == STARTED:
            self._starting.remove(worker)
            self._free.add(worker)
        elif worker in self._busy:
            self._busy.remove(worker)
            if kind == LOST:
                round_.lost(worker, how)
                return
            self._free.add(worker)
            if kind == FAILED:
                round_.failed(worker, unpack_error(packed))
                return
            index = round_.done(worker, pickle.loads(packed))
            if done is not None:
                done(index)
        else:
            # Lost without a task, so another is started when there is work for it; or late news of one that was ended.
            self._starting.discard(worker)
            self._free.discard(worker)

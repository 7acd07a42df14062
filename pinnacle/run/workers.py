"""Many independent tasks on this process, on several processes, or on a Ray cluster.

A search runs thousands of backtests that know nothing of each other; who runs them is a number on the command line and
never changes a result.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from pinnacle import interrupt
from pinnacle.errors import EngineStopped, OperatorError
from pinnacle.run.crew import DONE, FAILED, LOST, PROTOCOL, Answer, Crew, Seat

# More processes than any one machine has cores; a typing error should not fork a thousand times more.
WORKERS_MAX = 1024
# How long idle workers may take to close their benches.
_LEAVE_S = 1.0
# A worker is one thread: parallelism is the number of workers, and libraries that add their own would fight for cores.
ONE_THREAD = dict.fromkeys(
    ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)


class Bench(Protocol):
    """What a worker works at.  run is pure: the same task gives the same result, whatever was run before."""

    def run(self, task: Any) -> Any: ...

    def close(self) -> None: ...


class Workplace(Protocol):
    """A picklable description of how to work; each worker opens it once, with its first task.

    Its class must be importable by name in another process.  Attribute `paths`, where it has one, lists the absolute
    paths of the files that a bench reads: each node of a cluster is asked for them before it is given work.
    """

    def open(self) -> Bench: ...


class Workers(Protocol):
    """Whoever runs the tasks.  count: how many can be at work at once.

    A task or result is anything that can be pickled.  Tasks that carry an attribute `slot` (int or None) go to the
    worker that had the same slot last, if it is free: a bench may keep what it needs to go on.
    """

    count: int

    def map(self, tasks: Sequence[Any], done: Callable[[int], None] | None = None) -> list[Any]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Workers: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_workers(workplace: Workplace, workers: int = 1, ray: str = "") -> Workers:
    """Workers at a workplace: this process for 1, that many processes for more, or actors of a Ray cluster.

    ray: "auto" joins the cluster of this machine, an address joins that one; its workers are one per CPU of the
    cluster, or `workers` if that is more than 1 and less.  Raises OperatorError.
    """
    if not 1 <= workers <= WORKERS_MAX:
        raise OperatorError(f"{workers} workers asked for; give a number from 1 to {WORKERS_MAX}")
    if ray:
        from pinnacle.run.cluster import RayCrew

        return RayCrew(workplace, workers, ray)
    return ThisProcess(workplace) if workers == 1 else Processes(workplace, workers)


def default_workers() -> int:
    """CPUs this process may use: its affinity, cut by the quota of its control group, at least 1."""
    cpus = len(os.sched_getaffinity(0))
    quota_cpus = _quota_cpus(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    # Rounded down: part of a CPU is not worth the memory of another worker.
    return cpus if quota_cpus is None else max(1, min(cpus, int(quota_cpus)))


def _quota_cpus(own: Path, root: Path) -> float | None:
    """CPUs by the tightest quota of a control group (version 1 or 2) and those above it; None if there is none.

    own: a file like /proc/self/cgroup, lines of id:controllers:path.  root: where the groups are mounted.
    """
    quotas = []
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, inside = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            group = root / controllers / inside.lstrip("/")
            # In a container the path is often that of the host and not there; the mount itself is then the group.
            for folder in (group, *group.parents):
                quotas += _quota_of(folder)
                if folder == root:
                    break
    return min(quotas, default=None)


def _quota_of(group: Path) -> list[float]:
    """The quota of one control group in CPUs, as a list of none or one."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text().split()
        return [] if quota == "max" else [int(quota) / int(period)]
    with contextlib.suppress(OSError, ValueError):
        quota_us = int((group / "cpu.cfs_quota_us").read_text())
        return [quota_us / int((group / "cpu.cfs_period_us").read_text())] if quota_us > 0 else []
    return []


class ThisProcess:
    """One worker: the caller.  The bench is opened with the first task."""

    count = 1

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._bench: Bench | None = None

    def map(self, tasks: Sequence[Any], done: Callable[[int], None] | None = None) -> list[Any]:
        """Results in the order of the tasks, which are run in that order; what a task raises is raised here."""
        results = []
        for index, task in enumerate(tasks):
            interrupt.check()
            if self._bench is None:
                self._bench = self._workplace.open()
            results.append(self._bench.run(task))
            if done is not None:
                done(index)
        return results

    def close(self) -> None:
        bench, self._bench = self._bench, None
        if bench is not None:
            bench.close()

    def __enter__(self) -> ThisProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def launch(entry: str, quiet: bool = False) -> tuple[subprocess.Popen[bytes], Connection]:
    """A fresh interpreter that runs entry ("module:function") with the file descriptor of its end of a pipe.

    Not multiprocessing: that imports the caller's main script again, which must then be written for it, and a name
    typed at a prompt has none.  quiet: what it prints is dropped.  Raises EngineStopped if the system has no room.
    """
    module, function = entry.split(":")
    ours, theirs = multiprocessing.Pipe()
    path = [str(folder) for folder in sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from {module} import {function}; {function}({theirs.fileno()})"
    # Held back until the worker says that it ignores it; otherwise a Ctrl-C during its start would print a traceback.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process = None
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else None,
            stderr=subprocess.DEVNULL if quiet else None,
            env={**os.environ, **ONE_THREAD},
        )
        # A Ctrl-C that came meanwhile is raised here.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except OSError as error:
        ours.close()
        raise EngineStopped(f"a worker process could not be started ({error.strerror}); use fewer workers") from error
    except KeyboardInterrupt:
        ours.close()
        if process is not None:
            process.kill()
            process.wait()
        raise
    finally:
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process, ours


def listen(fd: int) -> tuple[Connection, queue.SimpleQueue[bytes]]:
    """The worker's end of its pipe, and what comes through it, read by a thread; the last message is empty.

    The thread is what notices that the parent has gone, however it went and however long the present task takes: it
    ends the process then.  Ctrl-C is the parent's to decide about, and ignored here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    connection = Connection(fd)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        try:
            while message := connection.recv_bytes():
                inbox.put(message)
        except (EOFError, OSError):
            os._exit(1)
        inbox.put(b"")

    threading.Thread(target=read, name="listen", daemon=True).start()
    return connection, inbox


def serve(fd: int) -> None:
    """A worker process: the workplace, then tasks, until the empty message; two messages for each answer."""
    connection, inbox = listen(fd)
    seat = Seat(inbox.get())
    while task := inbox.get():
        good, packed = seat.work(task)
        connection.send_bytes(b"1" if good else b"0")
        connection.send_bytes(packed)
    seat.close()


def how_ended(code: int) -> str:
    """How a process ended, in words, from its exit code as subprocess gives it."""
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, as the system does when memory runs out"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"left with exit status {code}"


class Processes(Crew):
    """Workers that are processes of this machine, each with a pipe of its own; one that dies is replaced.

    Not concurrent.futures: one death breaks its pool and loses what the others were doing.
    """

    def __init__(self, workplace: Workplace, count: int) -> None:
        super().__init__(count)
        self._workplace = pickle.dumps(workplace, protocol=PROTOCOL)
        self._processes: dict[int, tuple[subprocess.Popen[bytes], Connection]] = {}

    def _start(self, worker: int) -> bool:
        self._processes[worker] = launch("pinnacle.run.workers:serve")
        self._give(worker, self._workplace)
        return True

    def _give(self, worker: int, task: bytes) -> None:
        # A worker that died while it was idle is heard as lost, with this task.
        with contextlib.suppress(OSError):
            self._processes[worker][1].send_bytes(task)

    def _hear(self) -> list[Answer]:
        of = {self._processes[worker][1]: worker for worker in self._busy}
        return [self._read(of[ready]) for ready in wait(list(of))]  # type: ignore[index]

    def _read(self, worker: int) -> Answer:
        process, connection = self._processes[worker]
        try:
            good = connection.recv_bytes() == b"1"
            return Answer(worker, DONE if good else FAILED, connection.recv_bytes())
        except (EOFError, OSError):
            # Its pipe has closed, so it is about to be gone if it is not yet.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LEAVE_S)
            self._end(worker)
            return Answer(worker, LOST, how=how_ended(process.returncode))

    def _end(self, worker: int) -> None:
        process, connection = self._processes.pop(worker)
        connection.close()
        process.kill()
        process.wait()

    def close(self) -> None:
        """Let idle workers close their benches, and end those that do not."""
        self._closed = True
        for worker in self._processes:
            self._give(worker, b"")
        until_s = time.monotonic() + _LEAVE_S
        for worker in list(self._processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._processes[worker][0].wait(max(0.0, until_s - time.monotonic()))
            self._end(worker)
        self._free.clear()

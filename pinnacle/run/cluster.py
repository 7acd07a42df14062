"""Workers that are actors of a Ray cluster, one a CPU; an actor or node that is lost costs its task another try.

Ray lives in a process of its own, the relay: it may take minutes to give up, prints to whatever terminal it has, and
ends the process it runs in when its cluster is gone.  None of that may happen to a search that has hours of results.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pickle
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pinnacle
from pinnacle.errors import OperatorError
from pinnacle.run.crew import DONE, FAILED, LOST, PROTOCOL, STARTED, Answer, Crew, Seat, pack_error, unpack_error
from pinnacle.run.workers import ONE_THREAD, launch, listen

if TYPE_CHECKING:
    from pinnacle.run.workers import Workplace

# How long a cluster may take to let us join.  Ray itself would try for minutes.
_JOIN_S = 30.0
# How long to wait for a first worker when none is at work: the start of an actor is seconds, a busy cluster is not.
_STARTED_S = 90.0
# How long one connection to the cluster's head may take when a worker was lost.
_HEAD_S = 5.0
# How long the relay may take to leave the cluster; what it has not given back then, the cluster takes.
_LEAVE_S = 3.0
# Workers in a row that may be lost before they could start.
_STARTS_MAX = 3

# What the relay tells, beside what it heard of a worker (crew.STARTED ... crew.LOST).
_JOINED, _REFUSED, _GONE = "joined", "refused", "gone"
_START, _GIVE, _END = "start", "give", "end"


class RayCrew(Crew):
    """Workers on a cluster.

    Raises OperatorError: Ray is not installed, no cluster answers, a node has other files or another pinnacle than
    this machine, no CPU becomes free, or the whole cluster is lost (what had finished was told to `done` before).
    """

    def __init__(self, workplace: Workplace, workers: int, address: str) -> None:
        if importlib.util.find_spec("ray") is None:
            raise OperatorError(f"--ray {address}: ray is not installed; pip install 'pinnacle-mm[ray]'")
        self._address = address
        self._lost_starting = 0
        self._relay, self._pipe = launch("pinnacle.run.cluster:relay", quiet=True)
        try:
            cpus = self._join(_terms(workplace))
        except BaseException:
            self._stop()
            raise
        super().__init__(min(workers, cpus) if workers > 1 else cpus)

    def _join(self, terms: dict[str, Any]) -> int:
        """CPUs of the cluster, once the relay has joined it."""
        self._tell((self._address, pickle.dumps(terms, protocol=PROTOCOL)))
        how = f"it did not answer within {_JOIN_S:.0f} s"
        if self._pipe.poll(_JOIN_S):
            try:
                kind, told = pickle.loads(self._pipe.recv_bytes())
            except (EOFError, OSError):
                kind, told = _REFUSED, "the connection broke"
            if kind == _JOINED:
                if told < 1:
                    raise OperatorError(f"--ray {self._address}: the cluster has no CPU for workers; add a node")
                return int(told)
            how = told
        raise OperatorError(
            f"--ray {self._address}: cannot join the cluster: {how}; "
            "check the address and `ray status`, or start a cluster with `ray start --head`"
        )

    def _tell(self, message: tuple[Any, ...]) -> None:
        # That the relay has gone is seen where it is listened to.
        with contextlib.suppress(OSError):
            self._pipe.send_bytes(pickle.dumps(message, protocol=PROTOCOL))

    def _start(self, worker: int) -> bool:
        self._tell((_START, worker))
        return False

    def _give(self, worker: int, task: bytes) -> None:
        self._tell((_GIVE, worker, task))

    def _end(self, worker: int) -> None:
        self._tell((_END, worker))

    def _hear(self) -> list[Answer]:
        if not self._busy and not self._pipe.poll(_STARTED_S):
            raise OperatorError(
                f"--ray {self._address}: no worker could start within {_STARTED_S:.0f} s, so no CPU is free or the "
                "cluster no longer answers; check `ray status`, or run without --ray"
            )
        try:
            kind, worker, told = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            kind, worker, told = _GONE, -1, "the connection to it broke"
        if kind == _GONE:
            raise OperatorError(
                f"--ray {self._address}: the cluster is lost: {told}; start it again, or run without --ray"
            )
        if kind == _REFUSED:
            raise unpack_error(told)
        if kind == LOST:
            self._lost_starting += worker in self._starting
            if self._lost_starting >= _STARTS_MAX:
                raise OperatorError(
                    f"--ray {self._address}: {_STARTS_MAX} workers in a row could not start, the last one {told}; "
                    f"check that each node has pinnacle-mm {pinnacle.__version__} and memory to spare"
                )
            return [Answer(worker, kind, how=told)]
        self._lost_starting = 0
        return [Answer(worker, kind, told)]

    def close(self) -> None:
        """Leave the cluster and end the relay."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._pipe.send_bytes(b"")
            self._relay.wait(_LEAVE_S)
        self._stop()

    def _stop(self) -> None:
        """End the relay at once; a cluster ends the actors of one that has gone."""
        self._pipe.close()
        self._relay.kill()
        self._relay.wait()


def _terms(workplace: Workplace) -> dict[str, Any]:
    """What a node is told and asked before it is given work."""
    paths = [os.fspath(path) for path in getattr(workplace, "paths", ())]
    assert all(os.path.isabs(path) for path in paths), "a path must mean the same on every node"
    return {
        "workplace": pickle.dumps(workplace, protocol=PROTOCOL),
        "sizes": {path: os.path.getsize(path) if os.path.isfile(path) else None for path in paths},
        "code": _code(),
        "cache": os.environ.get("PINNACLE_CACHE_DIR"),
        "import_path": [str(folder) for folder in sys.path],
    }


def _code() -> str:
    """This pinnacle, by version and the sha256 of its source: two that differ may differ in results."""
    root = Path(pinnacle.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return f"{pinnacle.__version__} ({digest.hexdigest()[:12]})"


class Desk:
    """The actor: a seat on some node of the cluster."""

    def begin(self, packed: bytes) -> tuple[bool, bytes]:
        """(True, nothing) if this node can do the work, else (False, the error that names it)."""
        terms = pickle.loads(packed)
        os.environ.update(ONE_THREAD)
        if terms["cache"] and os.path.isdir(terms["cache"]):
            os.environ.setdefault("PINNACLE_CACHE_DIR", terms["cache"])
        # Last, so that it finds only what this node has not installed itself: a workplace beside the caller's script.
        sys.path += [folder for folder in terms["import_path"] if folder not in sys.path]
        try:
            _fit(f"node {platform.node()} ({_own_address()})", terms["code"], terms["sizes"])
        except OperatorError as error:
            return False, pack_error(error)
        self._seat = Seat(terms["workplace"])
        return True, b""

    def work(self, task: bytes) -> tuple[bool, bytes]:
        return self._seat.work(task)


def _fit(node: str, code: str, sizes: dict[str, int | None]) -> None:
    """Raise OperatorError unless this node has the same pinnacle and the same files as the caller.

    sizes: bytes of each file that is read, None where the caller does not have it itself.
    """
    if _code() != code:
        raise OperatorError(f"{node} has pinnacle {_code()}, this machine has {code}; install the same on both")
    for path, size in sizes.items():
        if not os.path.exists(path):
            raise OperatorError(f"{node} has no file {path}; copy it there under the same path, or share its folder")
        if size is not None and os.path.getsize(path) != size:
            raise OperatorError(
                f"{node}: {path} has {os.path.getsize(path)} bytes there and {size} here; copy the same file there"
            )


def _own_address() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


def relay(fd: int) -> None:
    """The process that speaks Ray: orders come through a pipe, what is heard of the actors goes back."""
    pipe, inbox = listen(fd)
    address, terms = pickle.loads(inbox.get())
    try:
        cpus, head = _join(address)
    except Exception as error:
        pipe.send_bytes(pickle.dumps((_REFUSED, _first_line(error)), protocol=PROTOCOL))
        return
    pipe.send_bytes(pickle.dumps((_JOINED, cpus), protocol=PROTOCOL))
    _relay(pipe, inbox, terms, head)


def _join(address: str) -> tuple[int, str]:
    """(CPUs of the cluster, host:port of its head)."""
    if address != "auto":
        # Ray tries for long what a refused connection tells at once.
        _reach(address.removeprefix("ray://"))
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    head = address.removeprefix("ray://")
    return int(ray.cluster_resources().get("CPU", 0)), ray.get_runtime_context().gcs_address or head


def _reach(head: str) -> None:
    """Raise OSError unless something listens at host:port."""
    host, _, port = head.rpartition(":")
    if not host or not port.isdigit():
        raise OSError(f"{head} is not an address like HOST:6379")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_HEAD_S).close()


def _relay(pipe: Any, inbox: Any, terms: bytes, head: str) -> None:
    """Follow orders and tell what is heard until the empty message."""
    import ray

    desk = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")(Desk)
    actors: dict[int, Any] = {}

    def expect(worker: int, kind: str, call: Any) -> None:
        """When an actor's call is over it lies in the inbox, between the orders."""
        call.future().add_done_callback(lambda future: inbox.put((kind, worker, future)))

    while message := inbox.get():
        kind, worker, *rest = message if isinstance(message, tuple) else pickle.loads(message)
        if kind == _START:
            actors[worker] = desk.remote()
            expect(worker, STARTED, actors[worker].begin.remote(terms))
        elif kind == _GIVE:
            if worker in actors:
                expect(worker, DONE, actors[worker].work.remote(rest[0]))
        elif kind == _END:
            if worker in actors:
                ray.kill(actors.pop(worker))
        elif worker in actors:
            told = _told(kind, worker, rest[0], head)
            if told[0] == LOST:
                del actors[worker]
            pipe.send_bytes(pickle.dumps(told, protocol=PROTOCOL))
    ray.shutdown()


def _told(kind: str, worker: int, future: Any, head: str) -> tuple[str, int, Any]:
    """What to tell of a call that is over: (kind, worker, packed answer or words)."""
    import ray

    try:
        good, packed = future.result()
    except ray.exceptions.RayTaskError as error:
        # Not the task's own error, which comes as an answer: this one is ours.
        return _REFUSED, worker, pack_error(RuntimeError(str(error)))
    except Exception as error:
        try:
            _reach(head)
        except OSError as lost:
            return _GONE, worker, f"its head {head} does not answer ({_first_line(lost)})"
        return LOST, worker, _how_lost(error)
    if not good:
        return (_REFUSED if kind == STARTED else FAILED), worker, packed
    return kind, worker, packed


def _how_lost(error: Exception) -> str:
    """How an actor was lost, in words, from Ray's page about it."""
    page = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    absent = re.search(r"No module named '[^']*'", page)
    if absent:
        node = re.search(r"\bip=([^,)\s]+)", page)
        return f"was lost (node {node[1] if node else 'unknown'}: {absent[0]})"
    return f"was lost ({_first_line(page)})"


def _first_line(told: object) -> str:
    """The first line of a message, without the stop at its end: ours goes on after it."""
    lines: Sequence[str] = str(told).strip().splitlines() or [type(told).__name__]
    return lines[0].rstrip(" .:")

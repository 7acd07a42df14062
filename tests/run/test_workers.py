"""Whoever runs the tasks, results are the same and in order; whatever a worker dies of, its task is done or named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import EngineStopped, LogDamaged, OperatorError
from pinnacle.run import workers as subject
from pinnacle.run.crew import ATTEMPTS_MAX, RemoteTraceback, Round
from pinnacle.run.workers import default_workers, open_workers

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Task:
    """What the bench of these tests is told: a verb, its number, and where to leave a mark."""

    verb: str
    number: int = 0
    slot: int | None = None
    mark: str = ""


class Odd(OperatorError):
    """An error whose __init__ wants other arguments than its text."""

    def __init__(self, path: str, count: int) -> None:
        self.path = path
        super().__init__(f"{path}: {count} bytes too many")


def _first_time(mark: str) -> bool:
    """Whether nobody was here before; the next one will find that somebody was."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Bench:
    def __init__(self, left: str) -> None:
        self._left = left

    def run(self, task: Task) -> Any:
        verb = task.verb
        if verb == "square":
            return task.number**2
        if verb == "array":
            return np.random.default_rng(task.number).normal(size=1 << 19)
        if verb == "where":
            time.sleep(0.02)
            return os.getpid()
        if verb == "environment":
            return os.environ.get(task.mark)
        if verb == "interrupt handling":
            return signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        if verb == "die once":
            if _first_time(task.mark):
                os.kill(os.getpid(), task.number)
            return os.getpid()
        if verb == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if verb == "leave":
            os._exit(task.number)
        if verb == "odd after mark":
            _until(Path(task.mark).exists)
            time.sleep(0.1)
        if verb == "mark and odd":
            Path(task.mark).touch()
        if verb == "sleep":
            Path(task.mark).write_text(str(os.getpid()))
            time.sleep(600)
        if "odd" in verb:
            raise Odd("there", task.number)
        if verb == "damaged":
            raise LogDamaged("log", 1, 2, 3, "crc differs")
        if verb == "wrong":
            raise FileNotFoundError(2, "No such file", "nowhere")
        if verb == "unsendable":
            return lambda: None
        return None

    def close(self) -> None:
        if self._left:
            Path(self._left, str(os.getpid())).touch()


@dataclass(frozen=True)
class Place:
    left: str = ""
    fault: str = ""

    def open(self) -> Bench:
        if self.fault:
            raise OperatorError(self.fault)
        return Bench(self.left)


def _alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)


def _children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_are_in_the_order_of_the_tasks(workers: int) -> None:
    """map is map: the same list for any number of workers, each task announced once, and again on a second call."""
    tasks = [Task("square", number) for number in range(17)]
    with open_workers(Place(), workers) as crew:
        for _ in range(2):
            announced: list[int] = []
            assert crew.map(tasks, announced.append) == [number**2 for number in range(17)]
            assert sorted(announced) == list(range(17))
        assert crew.map([]) == []
        assert crew.count == workers


def test_arrays_come_back_bit_for_bit_and_writable() -> None:
    """A result of megabytes crosses the pipe as it was made."""
    tasks = [Task("array", number) for number in range(4)]
    with open_workers(Place(), 1) as here, open_workers(Place(), 2) as there:
        for expected, array in zip(here.map(tasks), there.map(tasks), strict=True):
            assert array.tobytes() == expected.tobytes() and array.flags.writeable


def test_a_slot_returns_to_its_worker() -> None:
    """Slots that were spread over two workers are where they were in the next map, while nobody needs to help."""
    with open_workers(Place(), 2) as crew:
        first = crew.map([Task("where", slot=slot) for slot in range(2)])
        assert len(set(first)) == 2
        assert crew.map([Task("where", slot=slot) for slot in (1, 0)]) == first[::-1]


def test_a_worker_is_one_thread_ignores_ctrl_c_and_knows_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker process inherits: one thread for numba, the cache folder, and no Ctrl-C."""
    monkeypatch.setenv("PINNACLE_CACHE_DIR", "/somewhere")
    asked = [Task("environment", mark=name) for name in ("NUMBA_NUM_THREADS", "PINNACLE_CACHE_DIR")]
    with open_workers(Place(), 2) as crew:
        assert crew.map([*asked, Task("interrupt handling")]) == ["1", "/somewhere", True]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_replaced_and_its_task_done(tmp_path: Path, number: int) -> None:
    """Killed in the middle of a task, a worker costs time and no result; none of its remains is left."""
    before = _children()
    tasks = [Task("square", 3), Task("die once", number, mark=str(tmp_path / "mark")), Task("square", 4)]
    with open_workers(Place(), 2) as crew:
        results = crew.map(tasks)
        assert (results[0], results[2]) == (9, 16) and results[1] != os.getpid()
        assert len(_children() - before) <= 2
    assert _children() == before


def test_a_worker_that_dies_between_maps_is_replaced() -> None:
    """An idle worker that was killed costs nothing but the start of another."""
    with open_workers(Place(), 2) as crew:
        pids = set(crew.map([Task("where", slot=slot) for slot in range(2)]))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        _until(lambda: not any(_alive(pid) for pid in pids))
        assert not pids & set(crew.map([Task("where", slot=slot) for slot in range(2)]))


@pytest.mark.parametrize(("task", "how"), [(Task("die"), "SIGKILL"), (Task("leave", 7), "exit status 7")])
def test_a_task_that_ends_every_worker_is_named(task: Task, how: str) -> None:
    """After a bounded number of deaths one error says which task, how it ended its workers, and what to do."""
    with open_workers(Place(), 2) as crew, pytest.raises(EngineStopped) as raised:
        crew.map([Task("square", 1), task])
    assert "task 2 of 2" in str(raised.value) and how in str(raised.value) and "fewer workers" in str(raised.value)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("verb", ["odd", "damaged", "wrong"])
def test_an_error_is_raised_as_it_was(workers: int, verb: str) -> None:
    """Class, text and attributes of what a task raises survive the journey, and the workers survive the error."""
    try:
        Bench("").run(Task(verb, 5))
    except Exception as error:
        expected = error
    with open_workers(Place(), workers) as crew:
        with pytest.raises(type(expected)) as raised:
            crew.map([Task("square", 1), Task(verb, 5), Task("square", 2)])
        assert type(raised.value) is type(expected)
        assert str(raised.value) == str(expected) and vars(raised.value) == vars(expected)
        if workers > 1 and verb == "wrong":
            cause = raised.value.__cause__
            assert isinstance(cause, RemoteTraceback) and "test_workers.py" in str(cause)
        assert crew.map([Task("square", 3)]) == [9]


def test_the_first_failing_task_is_the_one_raised(tmp_path: Path) -> None:
    """Two tasks fail and the later one is the quicker: the error is that of the earlier, as in one process."""
    mark = str(tmp_path / "mark")
    tasks = [Task("odd after mark", 1, mark=mark), Task("mark and odd", 2, mark=mark), Task("square", 3)]
    with open_workers(Place(), 2) as crew, pytest.raises(Odd, match="1 bytes"):
        crew.map(tasks)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_workplace_that_cannot_be_opened_says_so(workers: int) -> None:
    """What opening raises is raised by map, whoever opened."""
    with open_workers(Place(fault="no such recording"), workers) as crew, pytest.raises(OperatorError, match="no such"):
        crew.map([Task("square"), Task("square")])


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    """A worker answers even if it cannot say what it found."""
    with open_workers(Place(), 2) as crew, pytest.raises(Exception, match="pickle"):
        crew.map([Task("unsendable")])


@pytest.mark.parametrize("workers", [1, 2])
def test_closing_closes_each_bench(tmp_path: Path, workers: int) -> None:
    """Each bench that was opened is closed by the process that opened it; closing twice is closing."""
    crew = open_workers(Place(str(tmp_path)), workers)
    pids = set(crew.map([Task("where", slot=slot) for slot in range(workers)]))
    crew.close()
    crew.close()
    assert {int(path.name) for path in tmp_path.iterdir()} == pids


def test_nothing_is_started_before_there_is_work() -> None:
    """Opening workers is free, and a map of one task starts one process."""
    before = _children()
    with open_workers(Place(), 3) as crew:
        assert _children() == before
        crew.map([Task("square")])
        assert len(_children() - before) == 1


@pytest.mark.parametrize("workers", [0, -1, 1_000_000])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers: int) -> None:
    """The operator is told the range."""
    with pytest.raises(OperatorError, match="from 1 to"):
        open_workers(Place(), workers)


PARENT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from test_workers import Place, Task
from pinnacle.run.workers import open_workers
try:
    with open_workers(Place(), 2) as crew:
        crew.map([Task("sleep", mark=mark) for mark in {marks!r}])
except KeyboardInterrupt:
    print("interrupted")
"""


def _busy_parent(tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process whose two workers are in the middle of tasks that never end, and their process ids."""
    marks = [str(tmp_path / "one"), str(tmp_path / "two")]
    code = PARENT.format(tests=str(Path(__file__).parent), root=str(ROOT), marks=marks)
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _until(lambda: all(Path(mark).exists() and Path(mark).read_text() for mark in marks))
    return parent, [int(Path(mark).read_text()) for mark in marks]


def test_ctrl_c_ends_the_workers_and_is_raised(tmp_path: Path) -> None:
    """Ctrl-C in the terminal reaches everyone; the parent alone decides, quietly, and takes its workers with it."""
    parent, pids = _busy_parent(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)
    said, complained = parent.communicate(timeout=30)
    assert (said, complained, parent.returncode) == ("interrupted\n", "", 0)
    assert not any(_alive(pid) for pid in pids)


def test_a_parent_that_is_killed_leaves_no_workers(tmp_path: Path) -> None:
    """Workers in the middle of a task notice that nobody wants it any more."""
    parent, pids = _busy_parent(tmp_path)
    parent.kill()
    parent.communicate(timeout=30)
    _until(lambda: not any(_alive(pid) for pid in pids))
    assert len(pids) > 1 and not any(_alive(pid) for pid in pids)


@settings(max_examples=200, deadline=None)
@given(
    slots=st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=12),
    count=st.integers(1, 4),
    chance=st.randoms(use_true_random=False),
    unlucky=st.sets(st.integers(0, 11), max_size=3),
    failing=st.sets(st.integers(0, 11), max_size=3),
)
def test_any_course_of_events_ends_the_same(
    slots: list[int | None], count: int, chance: Any, unlucky: set[int], failing: set[int]
) -> None:
    """Whichever worker is quick and whichever is lost: every task is done once, or the first failing one raised."""
    round_ = Round(slots, {})
    numbers = iter(range(1000))
    free, busy, done = {next(numbers) for _ in range(count)}, {}, []
    while not round_.over:
        for worker, index in round_.assign(free, free | busy.keys()):
            free.remove(worker)
            busy[worker] = index
        worker = chance.choice(sorted(busy))
        index = busy.pop(worker)
        if index in unlucky:
            unlucky = unlucky - {index}
            round_.lost(worker, "was unlucky")
            free.add(next(numbers))
        elif index in failing:
            round_.failed(worker, OperatorError(str(index)))
            free.add(worker)
        else:
            done.append(round_.done(worker, -index))
            free.add(worker)
    wrong = sorted(index for index in failing if index < len(slots))
    if wrong:
        assert str(round_.error) == str(wrong[0])
    else:
        assert round_.error is None
        assert sorted(done) == list(range(len(slots))) and round_.results == [-index for index in range(len(slots))]


def test_free_workers_take_their_own_slots_first() -> None:
    """A worker never takes what another free worker has at home, and helps a busy one from the back."""
    round_ = Round([0, 1, 2, 3, None], {0: 7, 1: 8, 2: 7, 3: 7})
    assert round_.assign([7, 8], [7, 8]) == [(7, 0), (8, 1)]
    round_.done(8, None)
    assert round_.assign([8], [7, 8]) == [(8, 4)]
    round_.done(8, None)
    assert round_.assign([8], [7, 8]) == [(8, 3)]


def test_a_task_is_tried_a_bounded_number_of_times() -> None:
    """The attempts of one task are counted, wherever they were made."""
    round_ = Round([None], {})
    for worker in range(ATTEMPTS_MAX):
        assert round_.assign([worker], [worker]) == [(worker, 0)]
        round_.lost(worker, "fell over")
    assert round_.over and isinstance(round_.error, EngineStopped)


@pytest.mark.parametrize(
    ("files", "groups", "expected_cpus"),
    [
        ({}, "0::/a/b\n", None),
        ({"a/b/cpu.max": "max 100000"}, "0::/a/b\n", None),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, "0::/a/b\n", 1.5),
        ({"cpu.max": "400000 100000"}, "0::/host/only\n", 4.0),
        ({"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"}, "1:cpu:/x\n0::/\n", 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/x\n2:memory:/x\n", None),
    ],
)
def test_quotas_of_control_groups(
    tmp_path: Path, files: dict[str, str], groups: str, expected_cpus: float | None
) -> None:
    """The tightest quota from the group up to the mount, in either version."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "own").write_text(groups)
    assert subject._quota_cpus(tmp_path / "own", tmp_path) == expected_cpus


def test_default_workers_fit_the_affinity() -> None:
    """Never more workers than CPUs this process may use, and never none."""
    assert 1 <= default_workers() <= len(os.sched_getaffinity(0))
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nimport json, pinnacle.run.workers as w\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code + "print(json.dumps(w.default_workers()))"],
        capture_output=True,
        cwd=ROOT,
        timeout=240,
    )
    assert json.loads(said.stdout) == 1

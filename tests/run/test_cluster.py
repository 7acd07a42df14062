"""A Ray cluster gives the same results in the same order, also when a node of it goes, and says clearly when all do."""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from pinnacle.errors import EngineStopped, LogDamaged, OperatorError
from pinnacle.run import cluster as subject
from pinnacle.run.workers import open_workers

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="ray is not installed")


@dataclass(frozen=True)
class Task:
    number: int
    verb: str = "array"
    slot: int | None = None
    mark: str = ""
    node: str = ""


class Bench:
    def run(self, task: Task) -> Any:
        if task.verb == "damaged":
            raise LogDamaged("log", 1, 2, 3, "crc differs")
        if task.verb == "die once" and not Path(task.mark).exists():
            Path(task.mark).touch()
            os._exit(9)
        if task.verb == "hold" and not Path(task.mark).exists() and _node() == task.node:
            Path(task.mark).touch()
            time.sleep(600)
        if task.verb == "exit":
            os._exit(9)
        if task.verb == "sleep":
            time.sleep(600)
        if task.verb == "where":
            time.sleep(0.05)
            return os.getpid()
        time.sleep(0.01)
        return np.random.default_rng(task.number).normal(size=1 << 15)

    def close(self) -> None:
        pass


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


@dataclass(frozen=True)
class Place:
    paths: tuple[str, ...] = ()

    def open(self) -> Bench:
        return Bench()


class Nodes:
    """Two nodes on this machine: a head and one that may be lost, one CPU each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        few = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=few)
        self.second = self.cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        self.cluster.wait_for_nodes()
        self.address = str(self.cluster.address)

    def lose_second(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)
        # Until the head has noticed, whoever joins may be sent to the node that is gone.
        self.cluster.wait_for_nodes()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray")
    nodes = Nodes()
    yield nodes
    nodes.cluster.shutdown()


def _here(tasks: list[Task]) -> list[bytes]:
    with open_workers(Place()) as crew:
        return [array.tobytes() for array in crew.map(tasks)]


@needs_ray
@pytest.mark.slow
def test_a_cluster_gives_what_this_process_gives(nodes: Nodes) -> None:
    """Results, their order, errors and slots are those of one process; arrays may be written to."""
    tasks = [Task(number) for number in range(12)]
    with open_workers(Place((__file__,)), ray=nodes.address) as crew:
        assert crew.count == 2
        announced: list[int] = []
        arrays = crew.map(tasks, announced.append)
        assert [array.tobytes() for array in arrays] == _here(tasks) and arrays[0].flags.writeable
        assert sorted(announced) == list(range(12))
        first = crew.map([Task(slot, "where", slot) for slot in range(2)])
        assert crew.map([Task(slot, "where", slot) for slot in (1, 0)]) == first[::-1]
        with pytest.raises(LogDamaged, match="crc differs in frame 1"):
            crew.map([*tasks, Task(0, "damaged")])
        assert len(crew.map(tasks[:3])) == 3


@needs_ray
@pytest.mark.slow
def test_an_actor_that_dies_is_replaced(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends in the middle of a task costs time and no result; auto is the cluster of RAY_ADDRESS."""
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    tasks = [Task(0), Task(1, "die once", mark=str(tmp_path / "mark")), Task(2)]
    with open_workers(Place(), ray="auto") as crew:
        assert [array.tobytes() for array in crew.map(tasks)] == _here(tasks)
    assert Path(tasks[1].mark).exists()


@needs_ray
@pytest.mark.slow
def test_a_task_that_ends_every_actor_is_named(nodes: Nodes) -> None:
    """After a bounded number of deaths one error says which task and what to do."""
    with open_workers(Place(), ray=nodes.address) as crew, pytest.raises(EngineStopped, match="task 2 of 2 ended 3"):
        crew.map([Task(0), Task(1, "exit")])


@needs_ray
@pytest.mark.slow
def test_a_node_without_the_files_is_named(nodes: Nodes, tmp_path: Path) -> None:
    """Histories are read by path on each node, and a node that has none says which it is and which file."""
    absent = str(tmp_path / "absent.parquet")
    with open_workers(Place((absent,)), ray=nodes.address) as crew, pytest.raises(OperatorError) as raised:
        crew.map([Task(1)])
    assert absent in str(raised.value) and socket.gethostname() in str(raised.value)


@needs_ray
@pytest.mark.slow
def test_a_node_lost_in_the_middle_changes_nothing(nodes: Nodes, tmp_path: Path) -> None:
    """The tasks of a node that is killed are done by those that are left: same results, same order."""
    mark = tmp_path / "mark"
    tasks = [Task(number, "hold", mark=str(mark), node=nodes.second.node_id) for number in range(12)]

    def lose() -> None:
        deadline_s = time.monotonic() + 120
        while not mark.exists() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        nodes.lose_second()

    loser = Thread(target=lose, daemon=True)
    loser.start()
    with open_workers(Place(), ray=nodes.address) as crew:
        arrays = crew.map(tasks)
    loser.join(30)
    assert mark.exists() and [array.tobytes() for array in arrays] == _here(tasks)


@needs_ray
@pytest.mark.slow
def test_a_cluster_lost_as_a_whole_is_one_error(nodes: Nodes) -> None:
    """When nothing is left the caller is told so, and knows what had finished.  (The last test of this cluster.)"""
    finished: list[int] = []

    def first(index: int) -> None:
        finished.append(index)
        nodes.cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)

    lost = pytest.raises(OperatorError, match="the cluster is lost")
    with open_workers(Place(), ray=nodes.address) as crew, lost:
        crew.map([Task(0), Task(1, "sleep"), Task(2, "sleep")], first)
    assert finished == [0]


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_a_cluster_that_cannot_be_joined_is_one_error(address: str) -> None:
    """A wrong address ends in one sentence with what to do."""
    with pytest.raises(OperatorError, match=r"cannot join the cluster.*ray start --head"):
        open_workers(Place(), ray=address)


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is optional; who asks for it without having it is told what to install."""
    monkeypatch.setattr(subject.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OperatorError, match=r"pip install 'pinnacle-mm\[ray\]'"):
        open_workers(Place(), ray="auto")


def test_a_node_must_have_the_same_code_and_files(tmp_path: Path) -> None:
    """A node fits if source and file sizes agree; each difference is named with the node."""
    file = tmp_path / "day.parquet"
    file.write_bytes(b"12345")
    code = subject._code()
    subject._fit("node a", code, {str(file): 5})
    subject._fit("node a", code, {str(file): None})
    with pytest.raises(OperatorError, match=r"node a.*5 bytes there and 6 here"):
        subject._fit("node a", code, {str(file): 6})
    with pytest.raises(OperatorError, match=r"node a has no file .*other\.parquet"):
        subject._fit("node a", code, {str(tmp_path / "other.parquet"): 5})
    with pytest.raises(OperatorError, match=r"node a has pinnacle .* this machine has 9.9 \(x\)"):
        subject._fit("node a", "9.9 (x)", {})

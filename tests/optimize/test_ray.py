"""A search on a Ray cluster of two nodes, one of which is killed in the middle, ends as one on this process does."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import command, ran
from tests.cli.test_optimize import same_tables
from tests.run.test_cluster import Nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]
WORDS = ("--strategy", "glft", "--trials", "256", "--batch", "32", "--set", "optimize.purge_s=5", "--no-report")


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two nodes of one CPU each."""
    nodes = Nodes()
    yield nodes
    nodes.cluster.shutdown()


def test_a_node_lost_in_the_middle_of_a_search_changes_nothing(nodes: Nodes, tmp_path: Path) -> None:
    """The trial table, the curves and the best parameters are those of one process."""
    out = tmp_path / "cluster"
    process = subprocess.Popen(
        command("optimize", *WORDS, "--ray", nodes.address, "--out", out),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    for _ in range(3000):
        if len(list((out / "curves").glob("*.parquet"))) >= 2:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    nodes.lose_second()
    said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    ran("optimize", *WORDS, "--out", tmp_path / "here", "--json")
    assert same_tables(out, tmp_path / "here")
    best = [json.loads((folder / "summary.json").read_text())["best"] for folder in (out, tmp_path / "here")]
    assert best[0] == best[1]

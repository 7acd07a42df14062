"""Each dialect of the local exchange followed by a session on paper: real websockets over loopback with TLS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnacle import event
from pinnacle.dialects.names import DIALECTS
from pinnacle.log.reader import LogReader
from tests.cli.command import ran
from tests.live.market import BASES, Scene, played, scene, wait_for


def records_of(run: Path) -> np.ndarray:
    return np.concatenate(list(LogReader(run).records()))


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_session_trades_and_its_log_is_everything(tmp_path: Path, dialect: str) -> None:
    """x"""
    with scene(dialect, tmp_path) as one:

        def play() -> None:
            wait_for("live books", one.live)
            one.runs(600)
            found = one.at_rest()
            assert found == []
            assert one.live()

        said = played(one, play)
    print(said.out)
    for k in range(len(BASES)):
        b = one.books.of(k)
        print(k, b.ups, b.causes, b.placed, b.placed_blindly, len(b.sides[1]), len(b.sides[-1]))
        assert b.placed_blindly == 0
    heard = records_of(one.out)
    print({event.KIND_NAMES[int(k)]: int(n) for k, n in zip(*np.unique(heard["kind"], return_counts=True))})
    assert ran("replay", one.out).out.startswith("equal: ")

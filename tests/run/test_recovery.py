"""Kill anywhere: whatever byte a session ends at, a start finds the state that an uninterrupted one had there.

PINNACLE_KILLS says how many cuts are tried, 40 if it does not.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from pinnacle.errors import LogDamaged
from pinnacle.event import OUTPUT_KIND_MIN
from pinnacle.kernels.fingerprint import fingerprint
from pinnacle.log.check import verify
from pinnacle.log.reader import LogReader
from pinnacle.run.recovery import Files, fold_again, put_in_order
from tests.run.paper_scene import Scene

KILLS = int(os.environ.get("PINNACLE_KILLS", "40"))
ROTATE_BYTES = 256 << 10


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a session that stopped living without a word: two or more sealed segments, and a journal."""
    folder = tmp_path_factory.mktemp("killed")
    scene = Scene(folder, seed=7)
    engine = scene.open(Files(), rotate_bytes=ROTATE_BYTES)
    scene.play(engine, 6_000)
    deadline_s = time.monotonic() + 120
    while len(list((folder / "log").glob("*.journal"))) > 1:
        scene.keeper.check()
        assert time.monotonic() < deadline_s, "the keeper has not sealed what was full"
        time.sleep(0.01)
    assert len(list((folder / "log").glob("*.parquet"))) >= 2 and list((folder / "checkpoints").iterdir())
    copy = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(folder, copy)
    scene.log.abandon()
    return copy


@pytest.fixture(scope="module")
def records(killed: Path) -> np.ndarray:
    """Everything the session wrote."""
    return np.concatenate(list(LogReader(killed).records()))


def fingerprint_after(scene: Scene, records: np.ndarray, seq: int) -> int:
    """The state after input `seq`, from the beginning, uninterrupted."""
    refold = scene.refold(None)
    refold.take(records[records["seq"] <= seq])
    return int(fingerprint(refold.state[0]["market"], refold.state[0]["lane"]))


def recovered(folder: Path) -> tuple[Scene, Files, np.ndarray, np.ndarray]:
    """A scene on the folder, its files in order, the state and the outputs that were torn off."""
    scene = Scene(folder, seed=8)
    files = put_in_order(folder / "log")
    refold, unsaid = fold_again(files, folder, scene.refold)
    return scene, files, refold.state, unsaid


def last_journal(folder: Path) -> Path:
    return sorted((folder / "log").glob("*.journal"))[-1]


def test_a_cut_at_any_byte_is_recovered(tmp_path: Path, killed: Path, records: np.ndarray, seed: int) -> None:
    """Cut the journal at a random byte, or flip one bit of its last frame: every whole frame before is kept, the state
    is that of an uninterrupted run, the session goes on, and its whole log folds to the same state again."""
    chance = random.Random(seed)
    for number in range(KILLS):
        folder = tmp_path / f"run{number}"
        shutil.copytree(killed, folder)
        journal = last_journal(folder)
        data = bytearray(journal.read_bytes())
        used = len(bytes(data).rstrip(b"\0"))
        cut = chance.randrange(64, used)
        if chance.random() < 0.3:
            cut = used - chance.randrange(1, 60)
            data[cut] ^= 1 << chance.randrange(8)
        else:
            data = data[:cut]
        journal.write_bytes(data)
        scene, files, state, unsaid = recovered(folder)
        kept = np.concatenate(list(LogReader(folder).records()))
        assert np.array_equal(kept, records[: kept.size]), f"seed {seed}, kill {number}"
        assert (records.size - kept.size) * 64 <= used - cut + 64 * 1025, "more was lost than the torn frame"
        seq = int(state[0]["market"]["seq"])
        assert seq == int(kept["seq"][-1])
        expected = fingerprint_after(scene, records, seq)
        assert fingerprint(state[0]["market"], state[0]["lane"]) == expected, f"seed {seed}, kill {number}"
        if number % 8 == 0:
            goes_on(scene, files, state, unsaid)
        shutil.rmtree(folder)


def goes_on(scene: Scene, files: Files, state: np.ndarray, unsaid: np.ndarray) -> None:
    """The session goes on: no order is left open that no venue knows, and the whole log is one fold."""
    assert scene.folder is not None
    scene_files = files
    if unsaid.size:
        assert files.journal is not None
        files.journal.append(unsaid)
        files.records += unsaid.size
    engine = scene.open(scene_files, state)
    assert engine.open_orders() == 0
    scene.play(engine, 200)
    print_ = engine.fingerprint()
    scene.log.abandon()
    again = scene.refold(None)
    for batch in LogReader(scene.folder).records():
        again.take(batch)
    assert again.unsaid().size == 0
    from pinnacle.run.backtest import fingerprint_text

    assert fingerprint_text(again.state) == print_


def test_a_death_while_sealing_loses_nothing(tmp_path: Path, killed: Path, records: np.ndarray) -> None:
    """Half a Parquet file beside its journal, or a journal that was never closed before the next: all is found."""
    folder = tmp_path / "run"
    shutil.copytree(killed, folder)
    sealed = sorted((folder / "log").glob("*.parquet"))[-1]
    rows = np.concatenate(list(LogReader(sealed).records()))
    scene = Scene(tmp_path / "other", seed=1)
    (tmp_path / "other").mkdir()
    from pinnacle.log.journal import Journal

    first = records.size - sum(1 for _ in records[records["seq"] >= rows["seq"][0]])
    journal = Journal.create(sealed.with_suffix(".journal"), bytes(16), first)
    journal.append(rows)
    journal._release()
    sealed.write_bytes(sealed.read_bytes()[:1000])
    files = put_in_order(folder / "log")
    assert files.waiting == [sealed.with_suffix(".journal")] and not sealed.exists()
    refold, unsaid = fold_again(files, folder, scene.refold)
    assert unsaid.size == 0 and int(refold.state[0]["market"]["seq"]) == int(records["seq"][-1])
    assert files.records == records.size


def test_damage_before_the_tear_is_no_tear(tmp_path: Path, killed: Path) -> None:
    """A byte that was safe on the disk and has changed is damage: refused, named, and nothing is changed."""
    folder = tmp_path / "run"
    shutil.copytree(killed, folder)
    from pinnacle.log.journal import Journal

    journal = last_journal(folder)
    opened, _ = Journal.open(journal)
    opened.append(np.concatenate(list(LogReader(folder).records()))[-3:])
    opened._release()
    data = bytearray(journal.read_bytes())
    data[64 + 70] ^= 1
    journal.write_bytes(data)
    with pytest.raises(LogDamaged):
        put_in_order(folder / "log")
    assert journal.read_bytes() == bytes(data)


def test_what_was_recorded_is_in_order(killed: Path, records: np.ndarray) -> None:
    """Every output stands right behind its input, numbers count up, times never go back."""
    inputs = records[records["kind"] < OUTPUT_KIND_MIN]
    assert np.array_equal(inputs["seq"], np.arange(inputs.size))
    assert (np.diff(inputs["ts_ns"]) >= 0).all()
    assert verify(killed / "log").problems == []

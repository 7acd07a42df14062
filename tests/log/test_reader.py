"""A log is one stream of records, however it is cut into files and whether it is still being written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pinnacle.errors import DiskError, OperatorError
from pinnacle.event import empty
from pinnacle.log.journal import Journal, NotClosed
from pinnacle.log.manifest import Manifest, Versions, write_manifest
from pinnacle.log.reader import JOURNAL_SUFFIX, SEGMENT_SUFFIX, LogReader, log_name
from pinnacle.log.segment import seal

Make = Callable[..., np.ndarray]
VERSIONS = Versions(pinnacle="0", numba="0", numpy="0", python="0", cpu="0")


def write_log(folder: Path, rows: np.ndarray, cuts: list[int], sealed: int) -> None:
    """The rows as log files cut at `cuts`, the first `sealed` of them as Parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    first = 0
    for number, part in enumerate(np.split(rows, cuts)):
        with Journal.create(folder / log_name(number, JOURNAL_SUFFIX), bytes(16), first) as journal:
            journal.append(part)
        first += part.size
        if number < sealed:
            seal(journal.path, folder / log_name(number, SEGMENT_SUFFIX))
            journal.path.unlink()


def read(path: Path, start: int = 0) -> np.ndarray:
    return np.concatenate([empty(0), *LogReader(path).records(start)])


@pytest.mark.parametrize("sealed", [0, 1, 2, 3])
def test_files_are_one_stream(tmp_path: Path, make_records: Make, small_groups: int, sealed: int) -> None:
    """Whatever is sealed, a log reads as the records that were written, from any start, whole or by its run."""
    rows = make_records(700)
    write_log(tmp_path / "run" / "log", rows, [130, 460], sealed)
    for path in (tmp_path / "run", tmp_path / "run" / "log"):
        assert LogReader(path).rows == 700
        for start in (0, 1, 129, 130, 131, 459, 460, 555, 699, 700, 9000):
            assert read(path, start).tobytes() == rows[start:].tobytes()


def test_a_single_file_is_a_log(tmp_path: Path, make_records: Make) -> None:
    """A journal or a segment by its own path reads as its own records."""
    rows = make_records(300)
    write_log(tmp_path, rows, [100], 1)
    assert read(tmp_path / "log-000000.parquet").tobytes() == rows[:100].tobytes()
    assert read(tmp_path / "log-000001.journal", 50).tobytes() == rows[150:].tobytes()


def test_parquet_stands_for_the_journal_it_was_made_from(tmp_path: Path, make_records: Make) -> None:
    """Between sealing and removing the journal both are there, and the records are read once."""
    rows = make_records(300)
    write_log(tmp_path, rows, [100], 0)
    seal(tmp_path / "log-000000.journal", tmp_path / "log-000000.parquet")
    assert [file.name for file in LogReader(tmp_path).files] == ["log-000000.parquet", "log-000001.journal"]
    assert read(tmp_path).tobytes() == rows.tobytes()


def test_a_live_tail_is_read_while_the_run_goes_on(tmp_path: Path, make_records: Make) -> None:
    """The open journal of a running run reads to where it is written; a finished run's must have its end."""
    rows = make_records(200)
    write_log(tmp_path / "log", rows[:150], [100], 1)
    manifest = Manifest(run_id="00", mode="live", status="running", code_hash="", versions=VERSIONS)
    write_manifest(tmp_path, manifest)
    (tmp_path / "log" / "log-000001.journal").unlink()
    with Journal.create(tmp_path / "log" / "log-000001.journal", bytes(16), 100) as journal:
        for start in range(100, 200, 10):
            journal.append(rows[start : start + 10])
            assert LogReader(tmp_path).rows == start + 10
            assert read(tmp_path).tobytes() == rows[: start + 10].tobytes()
        manifest.status = "failed"
        write_manifest(tmp_path, manifest)
        with pytest.raises(NotClosed):
            read(tmp_path)


def test_only_the_last_journal_may_lack_its_end(tmp_path: Path, make_records: Make) -> None:
    """An earlier journal that was cut at a frame boundary is not read over."""
    rows = make_records(100)
    write_log(tmp_path, rows, [50], 0)
    path = tmp_path / "log-000000.journal"
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(NotClosed, match="50 records intact"):
        read(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path, make_records: Make) -> None:
    """No log, a lost file in the middle, a file that does not continue the one before: each says which."""
    for path in (tmp_path, tmp_path / "absent", tmp_path / "a.txt"):
        with pytest.raises(OperatorError, match="no log"):
            LogReader(path)
    write_log(tmp_path / "a", make_records(300), [100, 200], 1)
    (tmp_path / "a" / "log-000001.journal").rename(tmp_path / "kept")
    with pytest.raises(DiskError, match="log-000001 is missing"):
        LogReader(tmp_path / "a")
    (tmp_path / "a" / "log-000002.journal").rename(tmp_path / "a" / "log-000001.journal")
    with pytest.raises(DiskError, match="begins at record 200, but the files before it end at 100"):
        read(tmp_path / "a")


def test_older_files_may_be_archived(tmp_path: Path, make_records: Make) -> None:
    """A log whose first files were moved away reads from the first one that is left."""
    rows = make_records(300)
    write_log(tmp_path, rows, [100, 200], 1)
    (tmp_path / "log-000000.parquet").unlink()
    assert read(tmp_path).tobytes() == rows[100:].tobytes()

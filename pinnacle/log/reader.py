"""A whole log read as one stream of records, whatever files it lies in: the one way in for every reader of a run.

A run's folder holds manifest.json and log/; the log's folder holds log-000000.parquet, log-000001.journal ... in the
order of their numbers.  Where a number has both, the Parquet is read: the journal is what sealing had not removed yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle.errors import DiskError, OperatorError
from pinnacle.log.journal import JournalReader, read_journal
from pinnacle.log.manifest import MANIFEST_NAME, Manifest, read_manifest
from pinnacle.log.segment import read_segment, segment_info

JOURNAL_SUFFIX, SEGMENT_SUFFIX = ".journal", ".parquet"
_LOG_NAME = re.compile(r"log-(\d{6})\.(journal|parquet)")


def log_name(number: int, suffix: str) -> str:
    """The name of the log's file number `number`, with JOURNAL_SUFFIX or SEGMENT_SUFFIX."""
    assert 0 <= number < 1_000_000 and suffix in (JOURNAL_SUFFIX, SEGMENT_SUFFIX)
    return f"log-{number:06d}{suffix}"


class LogReader:
    """The records of a log in order, in bounded memory.

    path: a run's folder, a log's folder, or a single .journal or .parquet file.  `manifest` is None where there is
    none.  Only the last journal of a log whose run still goes on (or that has no manifest) may lack its end.
    Raises OperatorError where there is no log, DiskError where a file of it is missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest: Manifest | None = None
        if self.path.is_dir():
            self.folder = self.path / "log" if (self.path / "log").is_dir() else self.path
            for run in (self.path, self.folder.parent):
                if self.manifest is None and (run / MANIFEST_NAME).is_file():
                    self.manifest = read_manifest(run)
            self.files = _log_files(self.folder)
        elif self.path.suffix in (JOURNAL_SUFFIX, SEGMENT_SUFFIX) and self.path.is_file():
            self.folder, self.files = self.path.parent, [self.path]
        else:
            raise OperatorError(
                f"{self.path}: no log; give a run's folder, a log's folder, or a .journal or .parquet file"
            )

    @property
    def going_on(self) -> bool:
        """Whether the last journal may still be written."""
        return self.manifest is None or self.manifest.status == "running"

    @property
    def rows(self) -> int:
        """Records in the log now.  Reads footers, and verifies journals, whose length only their frames tell."""
        return sum(self._rows(file) for file in self.files)

    def _rows(self, file: Path) -> int:
        if file.suffix == SEGMENT_SUFFIX:
            return segment_info(file).rows
        return sum(batch.size for batch in read_journal(file, self._may_lack_end(file)))

    def _may_lack_end(self, file: Path) -> bool:
        # While a session runs, the journal before the last is closed in the background; that none of its records is
        # missing is seen from where the next one begins.
        running = self.manifest is not None and self.manifest.status == "running"
        return (file == self.files[-1] and self.going_on) or (running and file in self.files[-2:])

    def records(self, start: int = 0) -> Iterator[np.ndarray]:
        """EVENT arrays from the record of index `start` (0: the first one that is here) to the end.

        Raises LogDamaged after everything before the damage was handed out, DiskError where a file does not begin at
        the record at which the one before it ended.
        """
        assert start >= 0
        index = 0
        base = first_record(self.files[0]) or 0
        for file in self.files:
            first = first_record(file)
            if first is not None and first != base + index:
                raise DiskError(
                    f"{file}: begins at record {first}, but the files before it end at {base + index}; restore them"
                )
            if file.suffix == SEGMENT_SUFFIX:
                rows = segment_info(file).rows
                if start < index + rows:
                    yield from read_segment(file, max(0, start - index))
                index += rows
                continue
            for batch in read_journal(file, self._may_lack_end(file)):
                if start < index + batch.size:
                    yield batch[max(0, start - index) :]
                index += batch.size


def first_record(file: Path) -> int | None:
    """The index in its log at which a file says it begins; None if it does not say."""
    if file.suffix == JOURNAL_SUFFIX:
        with JournalReader(file) as reader:
            return reader.first_record
    told = segment_info(file).metadata.get("first_record")
    return None if told is None else int(told)


def _log_files(folder: Path) -> list[Path]:
    """The files of a log in order, Parquet before journal.  Raises where there are none or a number is missing."""
    by_number: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = _LOG_NAME.fullmatch(path.name)
        if match and (match[2] == "parquet" or int(match[1]) not in by_number):
            by_number[int(match[1])] = path
    if not by_number:
        raise OperatorError(f"{folder}: no log here (no log-000000.journal or .parquet); give the folder of a run")
    # Older files may have been moved to an archive; one missing in the middle is a loss.
    for number in range(min(by_number), max(by_number)):
        if number not in by_number:
            raise DiskError(f"{folder}: log-{number:06d} is missing between its neighbours; restore it")
    return [by_number[number] for number in sorted(by_number)]

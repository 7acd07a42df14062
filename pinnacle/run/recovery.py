"""Start is recovery: the files of a log put in order after any end, and the state at its last record.

A session that was killed leaves a journal without an end, perhaps a torn frame, perhaps a journal whose Parquet twin is
half way.  What is whole is kept; what the last input makes and the tear took is made again, because it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pinnacle.engine.snapshot import read_snapshot, snapshot_path
from pinnacle.errors import DiskError, LogDamaged, OperatorError
from pinnacle.event import empty
from pinnacle.kernels.frames import walk_frames
from pinnacle.log.journal import Journal, read_journal
from pinnacle.log.manifest import Manifest
from pinnacle.log.reader import JOURNAL_SUFFIX, SEGMENT_SUFFIX, first_record, log_name
from pinnacle.log.segment import read_segment, segment_info
from pinnacle.run.refold import Refold


@dataclass
class Files:
    """The files of a log after they were put in order.

    sealed: Parquet files.  waiting: closed journals still to be sealed.  journal: the one to go on in, None if the log
    goes on in a new one, number `number`.  records: in all.  notes: what was done, a sentence each.
    """

    sealed: list[Path] = field(default_factory=list)
    waiting: list[Path] = field(default_factory=list)
    journal: Journal | None = None
    number: int = 0
    records: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        last = [] if self.journal is None else [self.journal.path]
        return [*self.sealed, *self.waiting, *last]


def put_in_order(folder: Path) -> Files:
    """Open the log of a session that has ended somehow.  Raises LogDamaged, and then changes nothing of that file,
    where bytes that were safe have changed; DiskError where a file is missing."""
    files = Files()
    for partial in folder.glob(".log-*.partial"):
        partial.unlink()
    numbers = sorted({int(path.stem[4:]) for path in folder.glob("log-??????.*")})
    for number in numbers:
        last = number == numbers[-1]
        journal, sealed = folder / log_name(number, JOURNAL_SUFFIX), folder / log_name(number, SEGMENT_SUFFIX)
        if number != numbers[0] + len(files.sealed) + len(files.waiting):
            raise DiskError(f"{folder}: log-{number - 1:06d} is missing; restore it")
        if sealed.exists() and journal.exists() and not _is_whole(sealed):
            sealed.unlink()
        if sealed.exists():
            journal.unlink(missing_ok=True)
            files.sealed.append(sealed)
            _follows(sealed, files.records)
            files.records += segment_info(sealed).rows
            continue
        _follows(journal, files.records)
        opened, torn = Journal.open(journal, walk_frames)
        if torn is not None:
            files.notes.append(
                f"{journal.name}: an unfinished frame of {torn.size} bytes at byte {torn.offset} was dropped "
                f"({torn.what}); {opened.records} records before it are kept"
            )
        files.records += opened.records
        if last:
            files.journal = opened
        else:
            opened.close()
            files.waiting.append(journal)
    files.number = numbers[-1] + (files.journal is None) if numbers else 0
    return files


def _is_whole(sealed: Path) -> bool:
    try:
        for _ in read_segment(sealed, verify=True):
            pass
    except (LogDamaged, DiskError):
        return False
    return True


def _follows(file: Path, records: int) -> None:
    first = first_record(file)
    if first is not None and first != records:
        raise DiskError(f"{file}: begins at record {first}, but the files before it end at {records}; restore them")


def fold_again(files: Files, run: Path, make: Callable[[np.ndarray | None], Refold]) -> tuple[Refold, np.ndarray]:
    """The state after the last record of a log, from the last kept state that the log reaches.

    make: a Refold from a kept state, or from the beginning for None.  Returns it and the outputs that the log lacks.
    Raises Diverged where the log is not what its inputs make, DiskError for a kept state that is damaged.
    """
    start, seq = len(files.sealed), -1
    while start > 0:
        last = _last_seq(files.sealed[start - 1])
        if last >= 0 and snapshot_path(run, last).exists():
            seq = last
            break
        start -= 1
    refold = make(read_snapshot(snapshot_path(run, seq)) if start > 0 else None)
    for path in files.paths[start:]:
        if path.suffix == SEGMENT_SUFFIX:
            for records in read_segment(path):
                refold.take(records)
            continue
        for records in read_journal(path, live=True, walk=walk_frames):
            refold.take(records)
    return refold, refold.unsaid()


def sealed_state(files: Files, run: Path, make: Callable[[np.ndarray | None], Refold]) -> Refold:
    """The fold at the end of what is sealed, for whoever seals the rest."""
    only = Files(sealed=files.sealed)
    return fold_again(only, run, make)[0]


def _last_seq(sealed: Path) -> int:
    rows = segment_info(sealed).rows
    last = [int(records["seq"][-1]) for records in read_segment(sealed, max(0, rows - 1)) if records.size]
    return last[-1] if last else -1


def all_records(files: Files) -> Iterator[np.ndarray]:
    """Every record of a log, in order."""
    for path in files.paths:
        yield from read_segment(path) if path.suffix == SEGMENT_SUFFIX else read_journal(path, live=True)


def last_record(files: Files) -> np.ndarray:
    """EVENT[1], the last record of a log, or EVENT[0]."""
    for path in reversed(files.paths):
        if path.suffix == SEGMENT_SUFFIX:
            batches = read_segment(path, max(0, segment_info(path).rows - 1))
        else:
            batches = read_journal(path, live=True, walk=walk_frames)
        last = [records[-1:] for records in batches if records.size]
        if last:
            return last[-1]
    return empty(0)


def check_same(manifest: Manifest, run: Path, stopped_too: bool = False, **now: object) -> None:
    """That a session goes on with what it began with.  now: by what it is, what is there now.  Raises OperatorError.

    stopped_too: also one that was stopped for good, to take off what it still holds.
    """
    was = {
        "code": manifest.code_hash,
        "strategy": manifest.strategy.sha256 if manifest.strategy is not None else "",
        "mode": manifest.mode,
        "config": {key: value for key, value in manifest.config.items() if key != "live"},
    }
    words = {
        "code": "of another version of the kernels; go on with the pinnacle that began it",
        "strategy": "of another strategy, or its file was edited; restore the file",
        "mode": f"a {manifest.mode} session",
        "config": "of another config; restore the config",
    }
    # What `pinnacle flatten` sealed was not stopped for good: a stop is a kill in the log.
    flattened = manifest.mode == "live" and not manifest.counts.get("operator_kill")
    if manifest.status == "complete" and not flattened and not stopped_too:
        raise OperatorError(f"{run}: this session was stopped and its log is sealed; choose a new --out")
    for what, value in now.items():
        if was[what] != value:
            raise OperatorError(f"{run}: the log there is {words[what]}, or choose a new --out")

"""Writing a run's log: records into the journal, full journals sealed into Parquet, bounded whatever the length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinnacle.log.journal import Journal
from pinnacle.log.manifest import SegmentEntry
from pinnacle.log.reader import JOURNAL_SUFFIX, SEGMENT_SUFFIX, log_name
from pinnacle.log.segment import seal


class Logbook:
    """The log folder of one run.  A journal that has no room left is sealed and the next one begun."""

    def __init__(self, folder: Path, run_id: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self._run_id = folder, bytes.fromhex(run_id)
        self.segments: list[SegmentEntry] = []
        self.records = 0
        self._journal = self._begin()

    def _begin(self) -> Journal:
        name = log_name(len(self.segments), JOURNAL_SUFFIX)
        return Journal.create(self.folder / name, self._run_id, first_record=self.records)

    def append(self, records: np.ndarray) -> None:
        """Append records in order.  Raises DiskError; what was appended before it is safe."""
        at = 0
        while at < records.size:
            count = min(records.size - at, self._journal.room)
            if count == 0:
                self._seal()
                self._journal = self._begin()
                continue
            self._journal.append(records[at : at + count])
            self.records += count
            at += count

    def _seal(self) -> None:
        """Close the journal, write its Parquet twin, and remove it once that is verified."""
        self._journal.close()
        number = len(self.segments)
        journal = self.folder / log_name(number, JOURNAL_SUFFIX)
        sealed = self.folder / log_name(number, SEGMENT_SUFFIX)
        segment = seal(journal, sealed)
        journal.unlink()
        self.segments.append(SegmentEntry(name=sealed.name, rows=segment.rows, sha256=segment.sha256, kind="parquet"))

    def finish(self) -> list[SegmentEntry]:
        """Seal what is open; returns the log's files."""
        self._seal()
        return self.segments

    def abandon(self) -> None:
        """Close the journal as it is: whole up to its last record, for whoever wants to know what happened."""
        self._journal.close()

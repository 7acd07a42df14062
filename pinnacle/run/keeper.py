"""What happens to a session's journals behind its back: closed, sealed to Parquet, folded again, a state kept, counted.

All of it in one thread, so that the loop never waits for a disk; the loop hands over a journal and goes on in the next.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from queue import Queue

import numpy as np

from pinnacle.engine.snapshot import write_snapshot
from pinnacle.errors import EngineStopped, PinnacleError
from pinnacle.event import KIND_NAMES, OUTPUT_KIND_MIN
from pinnacle.limits import SEGMENTS_WAITING_MAX
from pinnacle.log.journal import Journal
from pinnacle.log.manifest import Manifest, SegmentEntry, write_manifest
from pinnacle.log.reader import SEGMENT_SUFFIX
from pinnacle.log.segment import read_segment, seal
from pinnacle.run.refold import Refold


class Keeper:
    """manifest: its segments and counts are this thread's until `finish`.  refold: at the end of what is sealed, or
    None for a log without a strategy."""

    def __init__(self, out: Path, manifest: Manifest, refold: Refold | None) -> None:
        self._out, self._manifest, self._refold = out, manifest, refold
        self._queue: Queue[Journal | Path | None] = Queue()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._error: BaseException | None = None
        self._thread.start()

    def give(self, journal: Journal | Path) -> None:
        """Hand over a journal that is full (or, at a recovery, the path of one that is closed)."""
        self.check()
        if self._queue.qsize() >= SEGMENTS_WAITING_MAX:
            raise EngineStopped(f"{self._out}: {SEGMENTS_WAITING_MAX} journals wait to be sealed; the disk is too slow")
        self._queue.put(journal)

    def check(self) -> None:
        """Raise what went wrong in the background, if anything did."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait until everything given is sealed.  Raises what went wrong."""
        self._queue.put(None)
        self._thread.join()
        self.check()

    def _run(self) -> None:
        # The loop comes first where processors are few.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        try:
            while (journal := self._queue.get()) is not None:
                self._keep(journal)
        except PinnacleError as error:
            self._error = error
        except BaseException as error:
            self._error = error
            raise

    def _keep(self, journal: Journal | Path) -> None:
        if isinstance(journal, Journal):
            journal.close()
            journal = journal.path
        sealed = journal.with_suffix(SEGMENT_SUFFIX)
        segment = seal(journal, sealed)
        for records in read_segment(sealed):
            count(records, self._manifest.counts)
            if self._refold is not None:
                self._refold.take(records)
        entry = SegmentEntry(name=sealed.name, rows=segment.rows, sha256=segment.sha256, kind="parquet")
        self._manifest.segments.append(entry)
        if self._refold is not None and self._refold.state[0]["market"]["seq"] >= 0:
            write_snapshot(self._out, self._refold.state)
        write_manifest(self._out, self._manifest)
        journal.unlink()


def count(records: np.ndarray, counts: dict[str, int]) -> None:
    """Add records to counts by kind, and by "records", "inputs", "outputs"."""
    kinds = np.bincount(records["kind"], minlength=256)
    outputs = int(kinds[OUTPUT_KIND_MIN:].sum())
    found = {KIND_NAMES[int(kind)]: int(kinds[kind]) for kind in np.flatnonzero(kinds)}
    for name, n in {**found, "records": records.size, "inputs": records.size - outputs, "outputs": outputs}.items():
        counts[name] = counts.get(name, 0) + n

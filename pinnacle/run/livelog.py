"""The log of a session while it grows: one journal being written, those before it sealed behind the loop's back.

What each policy of forcing it to the disk loses: a crash of the process loses nothing in any, because a mapped file
outlives the process; a power cut loses nothing with "batch", up to fsync_ms with "interval", and what the system had
not written by itself (some thirty seconds) with "never".
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pinnacle.config_live import Live
from pinnacle.errors import DiskError, OperatorError
from pinnacle.limits import FRAME_RECORDS_MAX, JOURNAL_AHEAD_BYTES, JOURNAL_BYTES_MAX
from pinnacle.log.journal import UNIT, Journal
from pinnacle.log.reader import JOURNAL_SUFFIX, log_name
from pinnacle.run.keeper import Keeper


class FolderLock:
    """One process per run folder.  Held until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        try:
            self._fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DiskError(f"{folder}: cannot be written: {error.strerror}; choose another --out") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise OperatorError(
                f"{folder}: another process runs this session; stop it first, or choose another --out"
            ) from None

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LiveLog:
    """The log folder of a session.  journal: the last one, to go on in; None to begin log number `number`."""

    def __init__(
        self, folder: Path, run_id: str, how: Live, keeper: Keeper, number: int, records: int, journal: Journal | None
    ) -> None:
        self._folder, self._run_id, self._keeper, self._number = folder, bytes.fromhex(run_id), keeper, number
        self._how = how
        self.whole, self.ending = True, False
        self._rotate_bytes = min(how.rotate_mb << 20, JOURNAL_BYTES_MAX - 4 * UNIT)
        self._sync_each = how.fsync == "batch"
        self.records = records
        self._journal = journal or self._begin()
        self._begun_s = time.monotonic()
        self._syncer = ThreadPoolExecutor(1, "fsync") if how.fsync == "interval" else None
        self._syncing: Future[None] | None = None

    def _begin(self) -> Journal:
        return Journal.create(self._folder / log_name(self._number, JOURNAL_SUFFIX), self._run_id, self.records)

    @property
    def unsynced(self) -> int:
        """Records of the journal that a power cut now could lose."""
        return self._journal.records - self._journal.synced

    def append(self, records: np.ndarray) -> None:
        """Append records: all of them, or none and DiskError.

        A full disk is met ahead of time: DiskError comes after records that were appended, `whole` is still True, and
        there is room for some more once `ending` is set.
        """
        assert self.whole, "what was computed is ahead of the log, which ends there"
        journal = self._journal
        count = records.size
        # Also while the next journal is begun: who appends after a failure there would leave these records out.
        self.whole = False
        # A frame's header for each FRAME_RECORDS_MAX records at most, one more, and the end.
        if journal.size + (count + count // FRAME_RECORDS_MAX + 2) * UNIT > self._rotate_bytes:
            journal = self.rotate()
        journal.append(records)
        self.whole = True
        self.records += count
        if self._sync_each:
            journal.sync()
        if not self.ending:
            # What was appended is safe; this keeps the room in which a session says its last words.
            journal.reserve(JOURNAL_AHEAD_BYTES)

    def force(self) -> None:
        """Wait until all of it is on the disk, whatever the policy.  Raises DiskError."""
        self._settle()
        self._journal.sync()

    def rotate(self) -> Journal:
        """Begin the next journal, and have the one before closed and sealed in the background."""
        full = self._journal
        if full.records == 0:
            return full
        self._number += 1
        self._journal = self._begin()
        self._begun_s = time.monotonic()
        self._settle()
        self._keeper.give(full)
        return self._journal

    def tick(self) -> None:
        """What falls due with time: rotation by age, and forcing to the disk.  Raises what failed in the background."""
        self._keeper.check()
        if time.monotonic() - self._begun_s > self._how.rotate_s:
            self.rotate()
        if self._syncer is not None and self.unsynced and (self._syncing is None or self._syncing.done()):
            if self._syncing is not None:
                self._syncing.result()
            self._syncing = self._syncer.submit(self._journal.sync_aside)

    def _settle(self) -> None:
        """Wait for a sync under way, whose file is about to be closed by another thread."""
        if self._syncing is not None:
            self._syncing.result()
            self._syncing = None

    def finish(self) -> None:
        """Close and seal everything.  Raises DiskError."""
        self._settle()
        if self._syncer is not None:
            self._syncer.shutdown()
        if self._journal.records or self._number == 0:
            self._keeper.give(self._journal)
        else:
            self._journal.close()
            self._journal.path.unlink()
        self._keeper.finish()

    def abandon(self) -> None:
        """Close the journal as it is, whole up to its last record; it is not sealed, and what was given to be is."""
        if self._syncing is not None:
            self._syncing.exception()
        if self._syncer is not None:
            self._syncer.shutdown()
        self._journal.close()
        # Its thread writes the manifest too, so it ends before its owner does.  What it complains of is not why.
        with contextlib.suppress(Exception):
            self._keeper.finish()

"""The log of a running session followed to its end, file after file: how a screen or an exporter sees what happens.

A reader like any other: it holds no lock, the session does not know of it, and where it falls behind it reads more at
a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle.errors import LogDamaged, OperatorError
from pinnacle.log.journal import JournalReader
from pinnacle.log.reader import JOURNAL_SUFFIX, SEGMENT_SUFFIX, log_name
from pinnacle.log.segment import read_segment


class Tail:
    """The records of a log from its beginning; `more` gives what has come since the last call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = -1
        self._journal: JournalReader | None = None

    def more(self) -> Iterator[np.ndarray]:
        """EVENT arrays that were not given yet, as far as the log is written."""
        while True:
            if self._journal is None and not self._open():
                yield from self._sealed()
                if self._journal is None and not self._open():
                    return
            journal = self._journal
            if journal is None:
                continue
            # Asked before reading: what was appended before the next file was begun is then read now.
            passed_on = self._exists(self._number + 1)
            try:
                yield from journal.read()
            except LogDamaged:
                # A frame that is being written looks torn for a moment; if it is, the next start says so.
                return
            if not journal.closed and not passed_on:
                return
            journal.close()
            self._journal = None

    def _exists(self, number: int) -> bool:
        return any((self._folder / log_name(number, suffix)).exists() for suffix in (JOURNAL_SUFFIX, SEGMENT_SUFFIX))

    def _open(self) -> bool:
        """Open the next file if it is a journal."""
        try:
            self._journal = JournalReader(self._folder / log_name(self._number + 1, JOURNAL_SUFFIX))
        except (OperatorError, LogDamaged):
            return False
        self._number += 1
        return True

    def _sealed(self) -> Iterator[np.ndarray]:
        """The next files that are Parquet already."""
        while (path := self._folder / log_name(self._number + 1, SEGMENT_SUFFIX)).exists():
            self._number += 1
            yield from read_segment(path)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

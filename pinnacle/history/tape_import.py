"""A tape of many symbols into the catalog: each symbol's days as if it had been recorded alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pinnacle.errors import HistoryError
from pinnacle.history.catalog import import_history
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.tape_check import TapeReport, check_tape
from pinnacle.instrument import Instrument
from pinnacle.log.segment import Segment


def import_tape(
    paths: Sequence[Path],
    catalog: Path,
    venue_name: str,
    symbols: Sequence[str],
    steps: Instrument | None,
    options: ImportOptions,
    replace: bool = False,
    progress: Progress | None = None,
) -> tuple[TapeReport, list[Segment]]:
    """Import every symbol of which the tape has something: what the tape proves, and the day files made.

    symbols, steps: see Tape.instruments.  Raises HistoryError, OperatorError and DiskError as import_history does; the
    symbols before the one that failed are in the catalog then.
    """
    report = check_tape(paths, venue_name, symbols, steps, progress)
    if not report.instruments:
        raise HistoryError(f"{paths[0]}: nothing of {', '.join(report.absent)} is on it")
    segments = []
    for one in report.instruments:
        segments += import_history(paths, catalog, one, options, replace)[1]
    return report, segments

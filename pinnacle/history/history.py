"""A history: market rows of one instrument in order of arrival, from a recording or from a catalog.

Whoever runs a backtest asks for a history and does not know which of the two it got.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import pinnacle
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history.merge import hold_time
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.history.source import SEGMENT, Source, open_source, recognise
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import file_sha256, instrument_rows, instruments_of


class History:
    """Rows of one source, in order of arrival; iterating reads it from the start and fills `report`.

    Each array is EVENT; seq numbers the rows from 0, ts_ns never goes back, ts_venue_ns is never after ts_ns, venue
    and instrument are 0 for the run to fill.  BOOK_LEVEL and TICKER rows carry the venue's update id in aux (0 if it
    has none), TRADE rows the trade id.
    """

    def __init__(
        self, source: Source, instrument: Instrument, options: ImportOptions, progress: Progress | None = None
    ) -> None:
        self.source, self.instrument, self.options = source, instrument, options
        self._read = open_source(source, instrument, options, progress)
        self.report = ImportReport(format=source.format, sources=[path.name for path in source.paths])

    def __iter__(self) -> Iterator[np.ndarray]:
        self.report = report = ImportReport(
            format=self.source.format, sources=[path.name for path in self.source.paths]
        )
        last_ns = 0
        for rows in self._read(report):
            if rows.size == 0:
                continue
            last_ns = hold_time(rows, last_ns, report)
            rows["seq"] = np.arange(report.rows, report.rows + rows.size)
            report.rows += rows.size
            yield rows
        if report.rows == 0:
            raise HistoryError(f"{self.source.paths[0]}: no row of {self.instrument.symbol} in it")

    def metadata(self) -> dict[str, str]:
        """What is kept beside the rows, as JSON: the instrument; sources with their sha256, options and report.

        Complete once the rows have been read.
        """
        return {
            "instrument": json.dumps(instrument_rows([self.instrument])[0]),
            "imports": json.dumps(
                [
                    {
                        "importer": f"pinnacle {pinnacle.__version__}",
                        "sources": [{"name": path.name, "sha256": file_sha256(path)} for path in self.source.paths],
                        "options": self.options.as_dict(),
                        "report": self.report.as_dict(),
                    }
                ]
            ),
        }


class SegmentHistory:
    """Sealed day files one after the other; rows are numbered through from 0, the report is that of their import."""

    def __init__(self, paths: Sequence[Path], instrument: Instrument, progress: Progress | None = None) -> None:
        self.paths, self.instrument, self.progress = list(paths), instrument, progress
        self.report = ImportReport(format=SEGMENT, sources=[path.name for path in self.paths])

    def __iter__(self) -> Iterator[np.ndarray]:
        from pinnacle.log.segment import read_segment

        self.report = report = ImportReport(format=SEGMENT, sources=[path.name for path in self.paths])
        total = sum(path.stat().st_size for path in self.paths)
        done = 0
        last_ns = 0
        for path in self.paths:
            for rows in read_segment(path):
                last_ns = hold_time(rows, last_ns, report)
                rows["seq"] = np.arange(report.rows, report.rows + rows.size)
                report.rows += rows.size
                yield rows
            done += path.stat().st_size
            if self.progress is not None:
                self.progress(done, total, report.rows)

    def metadata(self) -> dict[str, str]:
        """The instrument, and the imports that made these files, each once."""
        from pinnacle.log.segment import segment_info

        metadata = [segment_info(path).metadata for path in self.paths]
        imports = [one for told in metadata for one in json.loads(told.get("imports", "[]"))]
        unique = list({json.dumps(one, sort_keys=True): one for one in imports}.values())
        return {**metadata[0], "imports": json.dumps(unique)}


def open_history(
    path: Path | str | Sequence[Path | str],
    instrument: Instrument | None = None,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
) -> History | SegmentHistory:
    """A recording (a file, a Gemini folder, or files of one symbol given together), or a day file, as rows.

    instrument: gives tick and lot; may be left out where the file carries its own.  Raises HistoryError for a file
    that is missing, damaged or unknown, OperatorError when the instrument is needed and not given.
    """
    chosen = options or ImportOptions()
    source = recognise(path, chosen)
    if source.format == SEGMENT:
        return SegmentHistory(source.paths, instrument or segment_instrument(source.paths[0]), progress)
    if instrument is None:
        raise OperatorError(
            f"{source.paths[0]}: tick and lot of the instrument are not known; a recording does not say them, so give "
            "--tick and --lot, or set tick and lot of the instrument in the config"
        )
    return History(source, instrument, chosen, progress)


def segment_instrument(path: Path) -> Instrument:
    """The instrument a day file was imported with.  Raises HistoryError if it does not carry one."""
    from pinnacle.log.segment import segment_info

    text = segment_info(path).metadata.get("instrument")
    if text is None:
        raise HistoryError(f"{path}: carries no instrument; give its tick and lot")
    return instruments_of([json.loads(text)])[0]

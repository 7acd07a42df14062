"""Opens a recording of any known format as one stream of rows, so that it can stand where a catalog stands.

The format is seen from the file itself, not from its name: recordings are renamed, their bytes are not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import pinnacle
from pinnacle.history.binance import read_binance
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.instrument import Instrument


class History:
    """Rows of one source, in order of arrival; iterating reads it once from the start and fills `report`.

    Each array is EVENT; seq numbers the rows from 0, ts_ns never goes back, ts_venue_ns is never after ts_ns, venue
    and instrument are 0 for the run to fill.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        instrument: Instrument,
        options: ImportOptions,
        progress: Progress | None = None,
    ) -> None:
        self.paths, self.instrument, self.options, self.progress = list(paths), instrument, options, progress
        self.report = ImportReport()
        self.format = "binance-stream"

    def __iter__(self) -> Iterator[np.ndarray]:
        self.report = report = ImportReport(format=self.format, sources=[path.name for path in self.paths])
        last_ns = 0
        for rows in read_binance(self.paths[0], self.instrument, self.options, report, self.progress):
            last_ns = _hold_time(rows, last_ns, report)
            rows["seq"] = np.arange(report.rows, report.rows + rows.size)
            report.rows += rows.size
            yield rows

    def metadata(self) -> dict[str, str]:
        """What is kept beside the rows: instrument, sources with their sha256, options, report; after iterating."""
        return {
            "instrument": json.dumps(instrument_dict(self.instrument)),
            "sources": json.dumps([{"name": path.name, "sha256": file_sha256(path)} for path in self.paths]),
            "importer": f"pinnacle {pinnacle.__version__} {self.format}",
            "options": json.dumps(self.options.as_dict()),
            "offset_ns": str(self.report.offset_ns),
            "report": json.dumps(self.report.as_dict()),
        }


def open_history(
    path: Path | Sequence[Path],
    instrument: Instrument,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
) -> History:
    """A recording (or several files of one) as rows.  Raises HistoryError for a file that is missing or unknown."""
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    return History(paths, instrument, options or ImportOptions(), progress)


def instrument_dict(instrument: Instrument) -> dict[str, str]:
    """The instrument as text, exact."""
    return {name: str(getattr(instrument, name)) for name in Instrument.__dataclass_fields__}


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hold_time(rows: np.ndarray, last_ns: int, report: ImportReport) -> int:
    """Local time never goes back, and nothing is heard before it happened; what had to be held is counted."""
    times = rows["ts_ns"]
    if rows.size and (times[0] < last_ns or (times[1:] < times[:-1]).any()):
        held = np.maximum(np.maximum.accumulate(times), last_ns)
        report.repaired["local times that went back, held at the one before"] += int((held != times).sum())
        rows["ts_ns"] = held
        times = rows["ts_ns"]
    early = rows["ts_venue_ns"] > times
    if early.any():
        report.repaired["venue times after the local time, set to it"] += int(early.sum())
        rows["ts_venue_ns"][early] = times[early]
    return int(times[-1]) if rows.size else last_ns

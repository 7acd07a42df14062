"""A catalog: imported history as CATALOG/VENUE/SYMBOL/YYYY-MM-DD.parquet, one file a UTC day of local time.

A day file appears whole or not at all, and only after the whole recording was read: an import that is cut, or refused
at its last line, leaves the catalog as it was.  A recording that runs over midnight makes two days; the recording of
the next day is then joined to the second, if no time is covered by both.  A day whose recording has no snapshot starts
with a book that is not known: the rows of the day before can be read in front of it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from pinnacle.errors import DiskError, HistoryError, OperatorError
from pinnacle.event import EVENT
from pinnacle.history.history import History, SegmentHistory, open_history, segment_instrument
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.instrument import Instrument
from pinnacle.limits import ROW_GROUP_ROWS
from pinnacle.log.manifest import file_sha256
from pinnacle.log.segment import Segment, read_segment, segment_info, write_segment

_DAY_NS = 86_400_000_000_000
_STAGING = ".importing-"


@dataclass(frozen=True, slots=True)
class CatalogDay:
    """One day file.  Times are ns since 1970 UTC; tick and lot as text; sha256 of the file, in hex."""

    path: Path
    venue: str
    symbol: str
    day: date
    rows: int
    first_ts_ns: int
    last_ts_ns: int
    size_bytes: int
    tick: str
    lot: str
    sha256: str


def import_history(
    path: Path | str | Sequence[Path | str],
    catalog: Path | str,
    instrument: Instrument | None,
    options: ImportOptions | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> tuple[ImportReport, list[Segment]]:
    """Read a recording into the catalog: what was found, and the day files it made.

    replace: a day that is there already is written anew; without it such an import is refused, unless the day came of
    another recording and the two share no time: then they are joined.
    Raises HistoryError for the recording, OperatorError for a day that is there, DiskError for the catalog.
    """
    history = open_history(path, instrument, options, progress)
    if not isinstance(history, History):
        raise OperatorError(f"{history.paths[0]}: is a day file already; copy it into the catalog")
    folder = instrument_folder(Path(catalog), history.instrument)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=catalog))
    except OSError as error:
        raise DiskError(f"{folder}: cannot be made ({error.strerror}); choose another catalog") from None
    try:
        staged = _stage(history, staging)
        metadata = history.metadata()
        plans = [_plan(day, folder, metadata, replace) for day in staged]
        return history.report, [_publish(*plan) for plan in plans]
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def instrument_folder(catalog: Path, instrument: Instrument) -> Path:
    """Where the days of an instrument are; signs that a path may not hold are percent-encoded."""
    return catalog / quote(instrument.venue, safe="") / quote(instrument.symbol, safe="")


def _stage(history: History, staging: Path) -> list[Path]:
    """The rows of the whole recording as one file of plain records a day, not yet in the catalog."""
    files: dict[str, Path] = {}
    for day, rows in _by_day(history):
        files.setdefault(day, staging / day)
        try:
            with files[day].open("ab") as file:
                file.write(rows.tobytes())
        except OSError as error:
            raise DiskError(
                f"{files[day]}: cannot be written ({error.strerror}); free space or move the catalog"
            ) from None
    return list(files.values())


def _staged_rows(path: Path) -> Iterator[np.ndarray]:
    """What `_stage` wrote, in arrays of one row group."""
    with path.open("rb") as file:
        while (rows := np.fromfile(file, EVENT, ROW_GROUP_ROWS)).size:
            yield rows


def _by_day(history: History) -> Iterator[tuple[str, np.ndarray]]:
    """(day, rows) with no array over a midnight UTC."""
    for rows in history:
        days = rows["ts_ns"] // _DAY_NS
        for part in np.split(rows, np.flatnonzero(np.diff(days)) + 1):
            yield datetime.fromtimestamp(int(part["ts_ns"][0]) // 1_000_000_000, UTC).date().isoformat(), part


def _renumbered(batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows with seq from 0."""
    count = 0
    for rows in batches:
        rows["seq"] = np.arange(count, count + rows.size)
        count += rows.size
        yield rows


def _plan(
    staged: Path, folder: Path, metadata: dict[str, str], replace: bool
) -> tuple[Path, list[Path], dict[str, str]]:
    """(day file, files whose rows it gets in order, metadata).  Raises OperatorError if the day is there already."""
    target = folder / f"{staged.name}.parquet"
    if not target.exists() or replace:
        return target, [staged], metadata
    there = segment_info(target)
    first_ts_ns, last_ts_ns = _span(staged)
    sources_there = {one["sha256"] for part in json.loads(there.metadata["imports"]) for one in part["sources"]}
    sources_new = {one["sha256"] for one in json.loads(metadata["imports"])[0]["sources"]}
    before = there.last_ts_ns <= first_ts_ns
    if sources_there & sources_new or not (before or last_ts_ns <= there.first_ts_ns):
        why = "from this very recording" if sources_there & sources_new else "from a recording of the same time"
        raise OperatorError(f"{target}: that day was imported already {why}; give --replace to write it anew")
    if there.metadata["instrument"] != metadata["instrument"]:
        raise OperatorError(
            f"{target}: was imported with another instrument ({there.metadata['instrument']}); one day has one tick, "
            "lot and contract, give --replace to write it anew"
        )
    imports = json.loads(there.metadata["imports"]) + json.loads(metadata["imports"])
    parts = [target, staged] if before else [staged, target]
    return target, parts, {**metadata, "imports": json.dumps(imports if before else imports[::-1])}


def _span(staged: Path) -> tuple[int, int]:
    """Local time of the first and of the last staged row."""
    rows = np.memmap(staged, EVENT, "r")
    return int(rows["ts_ns"][0]), int(rows["ts_ns"][-1])


def _publish(target: Path, parts: list[Path], metadata: dict[str, str]) -> Segment:
    """Write a day file out of staged ones; it takes its place at once."""
    rows = (
        batch for part in parts for batch in (read_segment(part) if part.suffix == ".parquet" else _staged_rows(part))
    )
    return write_segment(target, _renumbered(rows), metadata)


def list_catalog(catalog: Path | str) -> list[CatalogDay]:
    """Every day file by venue, symbol and day.  Raises HistoryError if there is no such folder."""
    root = Path(catalog)
    if not root.is_dir():
        raise HistoryError(f"{root}: no such catalog; import a recording first (pinnacle data import)")
    return [_listed(path) for path in sorted(root.glob("*/*/*.parquet")) if not path.parts[-3].startswith(".")]


def _listed(path: Path) -> CatalogDay:
    segment = segment_info(path)
    instrument = segment_instrument(path)
    return CatalogDay(
        path=path,
        venue=unquote(path.parts[-3]),
        symbol=unquote(path.parts[-2]),
        day=_day_of(path),
        rows=segment.rows,
        first_ts_ns=segment.first_ts_ns,
        last_ts_ns=segment.last_ts_ns,
        size_bytes=path.stat().st_size,
        tick=str(instrument.tick),
        lot=str(instrument.lot),
        sha256=file_sha256(path),
    )


def find(
    catalog: Path | str, venue: str, symbol: str, first: date | None = None, last: date | None = None
) -> list[Path]:
    """Day files of one instrument from `first` to `last`, both included, oldest first.

    Raises HistoryError where there are none, naming what the catalog has instead, and for a day missing in between.
    """
    root = Path(catalog)
    if not root.is_dir():
        raise HistoryError(f"{root}: no such catalog; import a recording first (pinnacle data import)")
    folder = root / quote(venue, safe="") / quote(symbol, safe="")
    every = {_day_of(path): path for path in sorted(folder.glob("*.parquet"))}
    days = [day for day in every if (first is None or day >= first) and (last is None or day <= last)]
    if not days:
        has = ", ".join(sorted(f"{unquote(p.parts[-2])}:{unquote(p.parts[-1])}" for p in root.glob("[!.]*/*")))
        span = f"; it has {min(every)} to {max(every)} of it" if every else f"; it has {has or 'nothing'}"
        raise HistoryError(
            f"{root}: no day of {venue}:{symbol} from {first or 'the start'} to {last or 'the end'}{span}"
        )
    return [every[day] for day in days]


def open_catalog(
    catalog: Path | str,
    venue: str,
    symbol: str,
    first: date | None = None,
    last: date | None = None,
    progress: Progress | None = None,
) -> SegmentHistory:
    """The days of one instrument as one history.  Raises HistoryError if the days' ticks or lots differ."""
    paths = find(catalog, venue, symbol, first, last)
    instruments = [segment_instrument(path) for path in paths]
    other = next((path for path, one in zip(paths, instruments) if one != instruments[0]), None)
    if other is not None:
        raise HistoryError(
            f"{other}: was imported with another instrument than {paths[0].name}; a run needs one tick and one lot, so "
            "run the days apart or import them again"
        )
    return SegmentHistory(paths, instruments[0], progress)


def missing_days(days: Sequence[date]) -> list[date]:
    """Days between the first and the last that are not there."""
    there = set(days)
    if not there:
        return []
    span = (max(there) - min(there)).days
    return [day for day in (min(there) + timedelta(n) for n in range(span)) if day not in there]


def _day_of(path: Path) -> date:
    try:
        return date.fromisoformat(path.stem)
    except ValueError:
        raise HistoryError(
            f"{path}: is not named after a day (YYYY-MM-DD.parquet); move it out of the catalog"
        ) from None

"""Opens a recording of any known format as one stream of rows, so that it can stand where a catalog stands.

The format is seen in the file itself, not in its name: recordings are renamed, their bytes are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnacle.errors import HistoryError
from pinnacle.history import bitstamp, coinbase, gemini, mbo, tardis
from pinnacle.history.binance import clock_offset_ns, read_binance
from pinnacle.history.blocks import DamagedFile, LineBlocks, existing_file
from pinnacle.history.columns import ColumnMap, column_map
from pinnacle.history.merge import merged
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.history.rows import RowReader
from pinnacle.history.table import Table
from pinnacle.history.tape_items import answers_beside, is_tape
from pinnacle.history.venue_book import VenueBook
from pinnacle.instrument import Instrument

BINANCE, TARDIS, GEMINI, COLUMNS, SEGMENT = "binance-stream", "tardis", "gemini-day", "columns", "segment"
BITSTAMP, COINBASE, MBO = "bitstamp-orders", "coinbase-snapshot", "dbn-mbo"
TAPE = "venue-tape"
KNOWN = (
    "Binance streams (lines of `<local_ns> <json>`), Tardis CSV (incremental_book_L2, trades, quotes), a Gemini day "
    "(market_depth.csv beside trade.csv), Bitstamp order by order (lines of `<local_ms> <event> <json>`), Coinbase "
    "book snapshots (level 2 and 3), Databento DBN of the schema MBO, tapes of a venue's feed (.raw, .ndjson), "
    "pinnacle's own Parquet, or any CSV or Parquet with a column map"
)
_LINES = {
    BINANCE: re.compile(rb"\s*\d{13,19} \{"),
    BITSTAMP: re.compile(rb"\d{13} (order_(created|changed|deleted|book)|trade) "),
    COINBASE: re.compile(rb'\s*\{"product":'),
}
_OWN_COLUMNS = {"seq", "ts_ns", "ts_venue_ns", "price_ticks", "qty_lots", "kind", "side", "flags"}

Reader = Callable[[ImportReport], Iterator[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one history and what they are.  names: the columns of each file, empty for one that has none."""

    format: str
    paths: list[Path]
    names: list[list[str]]


def recognise(path: Path | str | Sequence[Path | str], options: ImportOptions) -> Source:
    """What the file, the folder or the files given together are.  Raises HistoryError saying what was seen instead."""
    given = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    if not given:
        raise HistoryError("no recording was given; name at least one file")
    if len(given) == 1 and given[0].is_dir():
        files = gemini.gemini_files(given[0])
        if not files:
            raise HistoryError(
                f"{given[0]}: a folder that is no run with a log and no Gemini day; "
                "name a file in it, or of a catalog the venue and symbol"
            )
        given = files
    if any(is_tape(one, options.feed) for one in given):
        given += answers_beside(given)
        return Source(TAPE, given, [[] for _ in given])
    seen = [_seen(one) for one in given]
    names = [columns for _, columns in seen]
    formats = {known or _format(one, columns, options) for one, (known, columns) in zip(given, seen)}
    if len(formats) > 1 or (len(given) > 1 and formats & {BINANCE, BITSTAMP, MBO}):
        raise HistoryError(
            f"{', '.join(one.name for one in given)}: files of {' and '.join(sorted(formats))} cannot be read as one; "
            "give them one after the other"
        )
    return Source(formats.pop(), given, names)


def open_source(source: Source, instrument: Instrument, options: ImportOptions, progress: Progress | None) -> Reader:
    """A function that reads the source's rows from the start, each time it is called, into the report it is given."""

    def read(report: ImportReport) -> Iterator[np.ndarray]:
        if source.format == BINANCE:
            yield from read_binance(source.paths[0], instrument, options, report, progress)
        elif source.format == BITSTAMP:
            yield from bitstamp.read_bitstamp(source.paths[0], instrument, options, report, progress)
        elif source.format == MBO:
            yield from mbo.read_mbo(source.paths[0], instrument, options, report, progress)
        elif source.format == TAPE:
            # Imported when it is met, because it brings the venues with it.
            from pinnacle.history.tape_history import read_tape

            yield from read_tape(source.paths, instrument, options, report, progress)
        elif source.format == COINBASE:
            yield from coinbase.read_coinbase(source.paths, instrument, options, report, progress)
        else:
            yield from _tables(source, instrument, options, report, progress)

    return read


def venue_books(source: Source, instrument: Instrument, options: ImportOptions) -> Iterator[VenueBook] | None:
    """The venue's own books that a recording of orders can be held to; None for the formats that have none."""
    if source.format == BITSTAMP and options.tickers:
        return bitstamp.venue_books(source.paths[0], instrument, options)
    if source.format == COINBASE:
        return coinbase.venue_books(source.paths, instrument, options)
    return None


def _tables(
    source: Source, instrument: Instrument, options: ImportOptions, report: ImportReport, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Rows of tables, merged on local time."""
    tables = [Table(path, options.partial) for path in source.paths]
    pairs: list[tuple[int, RowReader | gemini.TopOfBook]] = []
    for table in tables:
        if set(gemini.DEPTH_COLUMNS) <= set(table.names):
            pairs.append((len(tardis.MAPS), gemini.TopOfBook(table, instrument, options, report)))
            continue
        rank, columns = _map_of(table, options)
        pairs.append((rank, RowReader(table, columns, instrument, options, report)))
    readers = [reader for _, reader in sorted(pairs, key=lambda pair: pair[0])]
    floors = [reader.latency_ns_min() for reader in readers if isinstance(reader, RowReader)]
    known = [floor for floor in floors if floor is not None]
    report.latency_ns_min = min(known) if known else None
    report.offset_ns = clock_offset_ns(report.latency_ns_min, options)
    total = sum(table.bytes_total for table in tables)
    done = [0] * len(readers)

    def told(index: int) -> Progress | None:
        if progress is None:
            return None

        def tell(bytes_done: int, _bytes_total: int, _rows: int) -> None:
            done[index] = bytes_done
            progress(sum(done), total, report.rows)

        return tell

    yield from merged([reader.rows(report.offset_ns, told(index)) for index, reader in enumerate(readers)], report)
    if progress is not None:
        progress(total, total, report.rows)


def _map_of(table: Table, options: ImportOptions) -> tuple[int, ColumnMap]:
    """(rank among files merged at equal times, the column map) of a table."""
    if options.columns:
        return 0, column_map(options.columns)
    kind = tardis.tardis_kind(table.names)
    if kind:
        return list(tardis.MAPS).index(kind), tardis.MAPS[kind]
    return 0, gemini.TRADES


def _format(path: Path, names: list[str], options: ImportOptions) -> str:
    if set(names) >= _OWN_COLUMNS:
        return SEGMENT
    if options.columns:
        return COLUMNS
    if tardis.tardis_kind(names):
        return TARDIS
    if set(names) in ({*gemini.DEPTH_COLUMNS}, {*gemini.TRADE_COLUMNS}):
        return GEMINI
    seen = ", ".join(names)
    raise HistoryError(f"{path}: not a known format (it begins with {seen[:80]!r}); known are {KNOWN}")


def _seen(path: Path) -> tuple[str, list[str]]:
    """(format, no columns) of a file that shows its format in its first bytes, ("", its columns) of any other."""
    existing_file(path)
    with path.open("rb") as file:
        magic = file.read(4)
    if path.suffix != ".gz" and (magic == mbo.ZSTD or magic.startswith(mbo.DBN)):
        return MBO, []
    if magic != b"PAR1":
        try:
            first = LineBlocks(path).first()
        except DamagedFile as damage:
            raise HistoryError(f"{path}: {damage.what}; not one line of it is intact") from None
        if not first.strip():
            raise HistoryError(f"{path}: the file is empty; nothing was recorded in it")
        for known, line in _LINES.items():
            if line.match(first):
                return known, []
    return "", Table(path, True).names

"""A sealed part of a log, or recorded history: Parquet with the record's own twelve columns, lossless both ways.

Any Parquet reader opens it with no code of ours.  Ours reads it faster and checks more: under the key `pinnacle` the
footer keeps, by row group, the earliest venue time (what merging by venue time needs), the CRC32C of the record bytes,
and the columns that hold one value only, which are then never decoded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pinnacle.errors import DiskError, HistoryError, LogDamaged, OperatorError
from pinnacle.event import EVENT
from pinnacle.limits import ROW_GROUP_ROWS
from pinnacle.log.crc import crc32c, crc32c_of_array
from pinnacle.log.journal import JournalReader, read_journal
from pinnacle.log.manifest import file_sha256, replacing

VERSION = 1
FIELDS: tuple[str, ...] = tuple(EVENT.names or ())
FOOTER_KEY, FOOTER_CRC_KEY = b"pinnacle", b"pinnacle.crc32c"
# Measured on depth and trades of a perpetual, bytes and ns a row of each column under every encoding: seq counts up;
# prices and quantities have busy low bytes and constant high ones; times and ids repeat in runs, which zstd finds by
# itself, faster than a dictionary.  Columns absent here hold a few small values: a dictionary.
ENCODINGS = {
    "seq": "DELTA_BINARY_PACKED",
    "ts_ns": "PLAIN",
    "ts_venue_ns": "PLAIN",
    "order_id": "PLAIN",
    "price_ticks": "BYTE_STREAM_SPLIT",
    "qty_lots": "BYTE_STREAM_SPLIT",
    "aux": "PLAIN",
}
ZSTD_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment says of itself.

    sha256: of the file, in hex; "" where only the footer was read.  first_ts_ns, last_ts_ns: of its first and last row
    (0 where it is empty).  Per row group: group_rows; group_crcs, CRC32C of the record bytes; venue_floor_ns, the
    smallest effective venue time (ts_venue_ns, or ts_ns where it is 0); constants, the columns with one value.
    """

    path: Path
    rows: int
    sha256: str
    first_ts_ns: int
    last_ts_ns: int
    venue_floor_ns: tuple[int, ...]
    group_rows: tuple[int, ...] = ()
    group_crcs: tuple[int, ...] = ()
    constants: tuple[dict[str, int], ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)


def write_segment(
    path: str | Path, batches: Iterable[np.ndarray], metadata: Mapping[str, str] | None = None
) -> Segment:
    """Write EVENT arrays as one segment, at once or not at all, in bounded memory (one row group).

    metadata: texts of the caller's, kept in the footer.  Raises DiskError (then nothing is left behind); errors of
    `batches` pass through.
    """
    path = Path(path)
    groups = _Groups()
    with replacing(path) as sink:
        _write_parquet(sink, _row_groups(batches), groups, dict(metadata or {}))
        sink.flush()
        digest = file_sha256(sink.name)
    return replace(groups.segment(path, dict(metadata or {})), sha256=digest)


class _Groups:
    """What is learned of each row group while it is written."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.crcs: list[int] = []
        self.floors: list[int] = []
        self.constants: list[dict[str, int]] = []
        self.first_ts_ns = self.last_ts_ns = 0

    def add(self, group: np.ndarray) -> None:
        """Learn one row group, EVENT[n] contiguous and not empty."""
        venue = group["ts_venue_ns"]
        if not self.rows:
            self.first_ts_ns = int(group["ts_ns"][0])
        self.last_ts_ns = int(group["ts_ns"][-1])
        self.rows.append(group.size)
        self.crcs.append(crc32c_of_array(group))
        self.floors.append(int(np.where(venue != 0, venue, group["ts_ns"]).min()))
        self.constants.append({name: int(group[name][0]) for name in FIELDS if (group[name] == group[name][0]).all()})

    def segment(self, path: Path, metadata: dict[str, str]) -> Segment:
        """The finished segment, without its file's hash."""
        floors, rows, crcs = tuple(self.floors), tuple(self.rows), tuple(self.crcs)
        return Segment(
            path, sum(rows), "", self.first_ts_ns, self.last_ts_ns, floors, rows, crcs, tuple(self.constants), metadata
        )


def _row_groups(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The batches' records, cut again into ROW_GROUP_ROWS (fewer in the last); the array is reused."""
    group = np.empty(ROW_GROUP_ROWS, EVENT)
    used = 0
    for batch in batches:
        assert batch.dtype == EVENT and batch.ndim == 1
        start = 0
        while start < batch.size:
            count = min(batch.size - start, group.size - used)
            group[used : used + count] = batch[start : start + count]
            start, used = start + count, used + count
            if used == group.size:
                yield group
                used = 0
    if used:
        yield group[:used]


def _arrow_schema() -> Any:
    import pyarrow as pa

    return pa.schema([pa.field(name, pa.from_numpy_dtype(EVENT[name]), nullable=False) for name in FIELDS])


def _write_parquet(sink: BinaryIO, batches: Iterable[np.ndarray], groups: _Groups, metadata: dict[str, str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _arrow_schema()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[name for name in FIELDS if name not in ENCODINGS],
        column_encoding=ENCODINGS,
        store_schema=False,
    ) as writer:
        for group in batches:
            groups.add(group)
            columns = [pa.array(np.ascontiguousarray(group[name])) for name in FIELDS]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=group.size)
        footer = _footer_text(groups, metadata)
        writer.add_key_value_metadata({FOOTER_KEY: footer, FOOTER_CRC_KEY: f"{crc32c(footer.encode()):08x}"})


def _footer_text(groups: _Groups, metadata: dict[str, str]) -> str:
    """The footer's own words: our JSON, whose checksum stands beside it because Parquet has none for its footer."""
    return json.dumps(
        {
            "version": VERSION,
            "first_ts_ns": groups.first_ts_ns,
            "last_ts_ns": groups.last_ts_ns,
            "venue_floor_ns": groups.floors,
            "group_rows": groups.rows,
            "group_crc32c": groups.crcs,
            "constants": groups.constants,
            "metadata": metadata,
        },
        sort_keys=True,
    )


def segment_info(path: str | Path) -> Segment:
    """What a segment's footer says; nothing else of the file is read, so sha256 is empty.

    Raises OperatorError for a missing file, HistoryError for one that is no segment, LogDamaged for a damaged one.
    """
    with _opened(Path(path)) as opened:
        return opened.segment


def read_segment(path: str | Path, start_row: int = 0, verify: bool = False) -> Iterator[np.ndarray]:
    """The rows from `start_row` as EVENT arrays of one row group each.

    verify: check each group against its checksum (about 5 ns a row) before it is handed out.
    Raises as segment_info does; LogDamaged names the row group as its frame, after every group before it was given.
    """
    assert start_row >= 0
    with _opened(Path(path)) as opened:
        skip = start_row
        for index, rows in enumerate(opened.segment.group_rows):
            if skip < rows:
                yield opened.group(index, verify)[skip:]
            skip = max(0, skip - rows)


class _opened:
    """An open segment, its schema and its own metadata checked."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        size = _checked_ends(path)
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise LogDamaged(str(path), 0, size, 0, f"an unreadable Parquet footer ({_short(error)})") from None
        try:
            self.segment = self._read_footer(size)
        except BaseException:
            self._file.close()
            raise

    def _read_footer(self, size: int) -> Segment:
        """The segment as its footer tells it, after the checks that need no page."""
        import pyarrow as pa

        try:
            keys = self._file.metadata.metadata or {}
            schema = self._file.schema_arrow
        except (pa.ArrowException, OSError, ValueError) as error:
            raise LogDamaged(str(self.path), 0, size, 0, f"an unreadable Parquet footer ({_short(error)})") from None
        if FOOTER_KEY not in keys and FOOTER_CRC_KEY not in keys:
            raise HistoryError(
                f"{self.path}: Parquet, but not pinnacle's (columns {', '.join(schema.names[:4])}...); "
                "import the recording it was made from, or write it with pinnacle.log.segment.write_segment"
            )
        footer = keys.get(FOOTER_KEY, b"")
        if keys.get(FOOTER_CRC_KEY) != b"%08x" % crc32c(footer):
            raise LogDamaged(str(self.path), 0, size, 0, "a footer whose checksum differs")
        told = json.loads(footer)
        if told["version"] != VERSION:
            raise HistoryError(
                f"{self.path}: segment version {told['version']}, and this pinnacle reads {VERSION}; "
                "import the recording again, or read it with the pinnacle that wrote it"
            )
        if not schema.equals(_arrow_schema()):
            raise LogDamaged(str(self.path), 0, size, 0, "columns that are not the record's")
        rows = tuple(told["group_rows"])
        if self._file.metadata.num_rows != sum(rows) or self._file.metadata.num_row_groups != len(rows):
            raise LogDamaged(str(self.path), 0, size, 0, "a footer whose row counts disagree")
        floors, crcs, constants = told["venue_floor_ns"], told["group_crc32c"], told["constants"]
        first, last = told["first_ts_ns"], told["last_ts_ns"]
        return Segment(
            self.path, sum(rows), "", first, last, tuple(floors), rows, tuple(crcs), tuple(constants), told["metadata"]
        )

    def group(self, index: int, verify: bool) -> np.ndarray:
        """EVENT[group_rows[index]], decoded."""
        import pyarrow as pa

        segment = self.segment
        constants = segment.constants[index]
        fields = [name for name in FIELDS if name not in constants]
        group = np.zeros(segment.group_rows[index], EVENT)
        for name, value in constants.items():
            if value:
                group[name] = value
        if fields:
            try:
                table = self._file.read_row_group(index, columns=fields, use_threads=True)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise self._damaged(index, f"an unreadable page ({_short(error)})") from None
            if table.num_rows != group.size:
                raise self._damaged(index, f"{table.num_rows} rows where the footer says {group.size}")
            for name in fields:
                group[name] = table.column(name).to_numpy()
        if verify and crc32c_of_array(group) != segment.group_crcs[index]:
            raise self._damaged(index, "a row group whose checksum differs")
        return group

    def _damaged(self, index: int, what: str) -> LogDamaged:
        column = self._file.metadata.row_group(index).column(0)
        offset = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
        return LogDamaged(str(self.path), index, offset, sum(self.segment.group_rows[:index]), what)

    def __enter__(self) -> _opened:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def _checked_ends(path: Path) -> int:
    """The file's size, if it begins and ends as Parquet does."""
    try:
        with open(path, "rb") as source:
            head = source.read(4)
            size = source.seek(0, 2)
            source.seek(max(0, size - 4))
            tail = source.read(4)
    except FileNotFoundError:
        raise OperatorError(f"{path}: no such file; give the path of a .parquet segment") from None
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error.strerror}") from error
    if head != b"PAR1" and tail != b"PAR1":
        raise HistoryError(f"{path}: not a Parquet file; give a segment that pinnacle wrote, or import the recording")
    if head != b"PAR1" or tail != b"PAR1" or size < 12:
        where = 0 if head != b"PAR1" else size
        raise LogDamaged(
            str(path), 0, where, 0, "no Parquet magic at both ends (the file was cut short or overwritten)"
        )
    return size


def _short(error: BaseException) -> str:
    """The first line of another library's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def seal(journal_path: str | Path, segment_path: str | Path) -> Segment:
    """Write a closed journal as a segment and read it back; the journal stays, for the caller to remove.

    Its run id and the index of its first record go into the metadata.  Raises LogDamaged (NotClosed) for a journal
    that is not whole, and then writes nothing.
    """
    with JournalReader(journal_path) as reader:
        metadata = {"run_id": reader.run_id.hex(), "first_record": str(reader.first_record)}
    segment = write_segment(segment_path, read_journal(journal_path), metadata)
    try:
        for _ in read_segment(segment_path, verify=True):
            pass
    except LogDamaged:
        Path(segment_path).unlink()
        raise
    return segment

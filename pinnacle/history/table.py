"""CSV and Parquet files as blocks of columns of text, so that every number is read from the digits that were written.

A CSV reader that guesses types makes binary floats of prices.  Here every column stays text until a kernel makes
ticks, lots or nanoseconds of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pinnacle.errors import HistoryError
from pinnacle.history.blocks import DamagedFile, LineBlocks, existing_file
from pinnacle.history.options import Progress

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET = b"PAR1"
_BATCH_ROWS = 1 << 16


class Table:
    """One file of columns; `blocks` can be called any number of times.

    names: its columns, in order.  floats: columns that a Parquet file keeps as binary floats.
    Raises HistoryError for a missing, empty or unreadable file.
    """

    def __init__(self, path: Path, partial: bool) -> None:
        self.path = existing_file(path)
        self.partial = partial
        self.damage = ""
        self.bytes_total = path.stat().st_size
        self.floats: list[str] = []
        with path.open("rb") as file:
            self.is_parquet = file.read(4) == _PARQUET
        self.names = self._parquet_names() if self.is_parquet else self._csv_names()

    def require(self, names: list[str]) -> None:
        """Raises HistoryError naming the columns that are absent, and those that are there."""
        absent = [name for name in names if name not in self.names]
        if absent:
            raise HistoryError(
                f"{self.path}: has no column {', '.join(absent)}; its columns are {', '.join(self.names)}"
            )

    def blocks(self, names: list[str], progress: Progress | None = None) -> Iterator[dict[str, pa.Array]]:
        """The named columns as arrays of text, one dict a block, rows in order of the file."""
        self.require(names)
        return self._parquet_blocks(names) if self.is_parquet else self._csv_blocks(names, progress)

    def _csv_names(self) -> list[str]:
        first = LineBlocks(self.path).first()
        line = first.split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8", "replace").lstrip("\ufeff")
        return [name.strip().strip('"') for name in line.split(",")]

    def _csv_blocks(self, names: list[str], progress: Progress | None) -> Iterator[dict[str, pa.Array]]:
        import pyarrow as pa
        from pyarrow import csv

        lines = LineBlocks(self.path)
        convert = csv.ConvertOptions(
            column_types={name: pa.string() for name in self.names}, include_columns=names, strings_can_be_null=False
        )
        read = csv.ReadOptions(column_names=self.names, use_threads=False)
        before = 0
        try:
            for block in lines:
                if before == 0:
                    block = block[block.find(b"\n") + 1 :]
                    before = 1
                if block:
                    try:
                        table = csv.read_csv(pa.BufferReader(block), read_options=read, convert_options=convert)
                    except pa.ArrowInvalid as error:
                        raise HistoryError(f"{self.path}: after line {before:,}: {_first_line(error)}") from None
                    yield {name: _flat(table.column(name)) for name in names}
                    before += block.count(b"\n")
                if progress is not None:
                    progress(lines.bytes_done, self.bytes_total, 0)
        except DamagedFile as damage:
            self.damage = f"{damage.what}; {max(0, before - 1):,} rows before it are intact"
            if not self.partial:
                raise HistoryError(f"{self.path}: {self.damage}; import them alone with --partial") from None

    def _parquet_names(self) -> list[str]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            schema = parquet.read_schema(self.path)
        except (pa.ArrowInvalid, OSError) as error:
            raise HistoryError(f"{self.path}: not a readable Parquet file: {_first_line(error)}") from None
        self.floats = [field.name for field in schema if pa.types.is_floating(field.type)]
        return list(schema.names)

    def _parquet_blocks(self, names: list[str]) -> Iterator[dict[str, pa.Array]]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                    yield {name: _as_text(batch.column(batch.schema.get_field_index(name))) for name in names}
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise HistoryError(f"{self.path}: cannot be read: {_first_line(error)}") from None


def text_buffers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(bytes u1, offsets i4 of n + 1) of an array of text; a null is an empty text."""
    column = column.fill_null("") if column.null_count else column
    if len(column) == 0:
        return np.zeros(1, np.uint8), np.zeros(1, np.int32)
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int32, len(column) + 1, column.offset * 4)
    if data is None or data.size == 0:
        return np.zeros(1, np.uint8), starts
    return np.frombuffer(data, np.uint8), starts


def _flat(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    flat = column.combine_chunks()
    if isinstance(flat, pa.ChunkedArray):
        flat = pa.concat_arrays(flat.chunks) if flat.num_chunks else pa.array([], pa.string())
    return flat


def _as_text(column: pa.Array) -> pa.Array:
    """Any column as text: times as integer ns, floats as the shortest text that reads back as the same float."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    return column.cast(pa.string())


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0]

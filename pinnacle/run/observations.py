"""Observations on their way to RUN/observations.parquet, a row group at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pinnacle.errors import DiskError
from pinnacle.kernels.observe import OBSERVATION

# A run has one lane.
COLUMNS = tuple(name for name in OBSERVATION.names or () if name != "lane")


class ObservationFile:
    """A Parquet file with the columns of an OBSERVATION of one lane; it appears when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._writer: Any = None

    def append(self, observed: np.ndarray) -> None:
        """Take all rows out of an observer (an array of one OBSERVED record).  Raises DiskError."""
        import pyarrow as pa

        record = observed[0]
        rows = record["rows"][: int(record["count"])]
        columns = {name: np.ascontiguousarray(rows[name]) for name in COLUMNS}
        try:
            self._open(pa).write_table(pa.table(columns))
        except OSError as error:
            raise DiskError(f"{self.path}: cannot be written: {error}; free space and run again") from None
        record["count"] = 0

    def _open(self, pa: Any) -> Any:
        if self._writer is None:
            import pyarrow.parquet as pq

            schema = pa.schema([(name, pa.from_numpy_dtype(OBSERVATION[name])) for name in COLUMNS])
            self._writer = pq.ParquetWriter(self._partial, schema, compression="zstd")
        return self._writer

    def __enter__(self) -> ObservationFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._partial.replace(self.path)

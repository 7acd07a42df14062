"""A segment is lossless Parquet that anyone can read, and finds what was changed in it."""

from __future__ import annotations

import errno
import hashlib
import os
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import DiskError, HistoryError, LogDamaged, OperatorError, PinnacleError
from pinnacle.event import EVENT, empty
from pinnacle.log import manifest as manifest_module
from pinnacle.log.crc import crc32c
from pinnacle.log.journal import Journal, NotClosed
from pinnacle.log.segment import FIELDS, read_segment, seal, segment_info, write_segment

Make = Callable[..., np.ndarray]
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def rows_of(path: Path, start_row: int = 0, verify: bool = True) -> np.ndarray:
    return np.concatenate([empty(0), *read_segment(path, start_row, verify)])


@st.composite
def extreme_records(draw: st.DrawFn) -> np.ndarray:
    """Rows whose every field takes any value of its type, extremes often, some columns constant."""
    count = draw(st.integers(0, 40))
    rows = empty(count)
    for name in FIELDS:
        info = np.iinfo(EVENT[name])
        value = st.integers(info.min, info.max) | st.sampled_from([info.min, info.max, 0])
        values = draw(st.lists(value, min_size=count, max_size=count) | value.map(lambda one: [one] * count))
        rows[name] = np.array(values, EVENT[name])
    return rows


@settings(max_examples=60, deadline=None)
@given(rows=extreme_records(), cut=st.integers(0, 40))
def test_records_journal_parquet_records(tmp_path_factory: pytest.TempPathFactory, rows: np.ndarray, cut: int) -> None:
    """Records to journal to Parquet and back are the same bytes, whatever their values."""
    folder = tmp_path_factory.mktemp("seal")
    with Journal.create(folder / "a.journal", b"r" * 16, first_record=3) as journal:
        journal.append(rows[:cut])
        journal.append(rows[cut:])
    segment = seal(folder / "a.journal", folder / "a.parquet")
    assert rows_of(folder / "a.parquet").tobytes() == rows.tobytes()
    assert segment.rows == rows.size and segment.metadata == {"run_id": (b"r" * 16).hex(), "first_record": "3"}
    assert segment.sha256 == hashlib.sha256((folder / "a.parquet").read_bytes()).hexdigest()
    assert segment_info(folder / "a.parquet") == replace(segment, sha256="")


@pytest.mark.parametrize("cuts", [[], [1], [99, 100, 101], [250, 250, 260]])
def test_row_groups_do_not_depend_on_batches(
    tmp_path: Path, make_records: Make, small_groups: int, cuts: list[int]
) -> None:
    """Any batching of the same records gives the same file, byte for byte, with the same facts in its footer."""
    rows = make_records(350)
    whole = write_segment(tmp_path / "whole.parquet", [rows], {"b": "2", "a": "1"})
    parts = write_segment(tmp_path / "parts.parquet", np.split(rows, cuts), {"b": "2", "a": "1"})
    assert replace(parts, path=whole.path) == whole
    assert whole.group_rows == (100, 100, 100, 50) and whole.metadata == {"a": "1", "b": "2"}
    venue = np.where(rows["ts_venue_ns"] == 0, rows["ts_ns"], rows["ts_venue_ns"])
    assert whole.venue_floor_ns == tuple(int(part.min()) for part in np.split(venue, [100, 200, 300]))
    assert (whole.first_ts_ns, whole.last_ts_ns) == (rows["ts_ns"][0], rows["ts_ns"][-1])
    for start in (0, 1, 99, 100, 237, 349, 350, 10**6):
        assert rows_of(tmp_path / "parts.parquet", start).tobytes() == rows[start:].tobytes()


def test_anyone_can_read_it(tmp_path: Path, make_records: Make, small_groups: int) -> None:
    """Plain pyarrow sees the record's own twelve columns, names, types and values, and none of ours in between."""
    rows = make_records(230)
    write_segment(tmp_path / "a.parquet", [rows])
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.names == list(EVENT.names or ())
    for name in FIELDS:
        assert table.schema.field(name).type == pa.from_numpy_dtype(EVENT[name])
        assert np.array_equal(table.column(name).to_numpy(), rows[name])
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_batches_handed_out_are_the_callers(tmp_path: Path, make_records: Make, small_groups: int) -> None:
    """Each batch read is an array of its own that may be changed and kept."""
    rows = make_records(250)
    write_segment(tmp_path / "a.parquet", [rows])
    kept = list(read_segment(tmp_path / "a.parquet"))
    kept[0]["seq"] = 0
    assert np.concatenate(kept[1:]).tobytes() == rows[100:].tobytes()


def test_every_flipped_byte_is_found_or_harmless(
    tmp_path: Path, make_records: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Change any byte: verified reading gives the very same records or one of our errors, never other records."""
    monkeypatch.setattr("pinnacle.log.segment.ROW_GROUP_ROWS", 20)
    rows = make_records(25)
    rows["instrument"], rows["venue"], rows["order_id"], rows["aux"] = 1, 2, 3, 4
    path = tmp_path / "a.parquet"
    write_segment(path, [rows])
    data = bytearray(path.read_bytes())
    found = 0
    for offset in range(len(data)):
        data[offset] ^= 0xFF if offset % 2 else 1 << offset % 8
        path.write_bytes(data)
        kept = empty(0)
        try:
            for batch in read_segment(path, verify=True):
                kept = np.concatenate([kept, batch])
        except PinnacleError as error:
            found += 1
            assert str(path) in str(error)
            assert kept.tobytes() == rows[: kept.size].tobytes(), offset
            if isinstance(error, LogDamaged):
                assert error.records_usable == kept.size, offset
        else:
            assert kept.tobytes() == rows.tobytes(), offset
        data[offset] ^= 0xFF if offset % 2 else 1 << offset % 8
    assert found > len(data) // 2


def test_every_truncation_is_found(tmp_path: Path, make_records: Make) -> None:
    """A segment cut at any length is refused before any record, and one cut to nothing is no Parquet file."""
    path = tmp_path / "a.parquet"
    write_segment(path, [make_records(50)])
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(LogDamaged if length >= 4 else HistoryError):
            segment_info(path)


def test_a_damaged_page_is_named_by_its_row_group(tmp_path: Path, make_records: Make, small_groups: int) -> None:
    """A byte changed inside the second group's prices: verify names group 1 and its offset, and gave group 0 before."""
    rows = make_records(300)
    path = tmp_path / "a.parquet"
    write_segment(path, [rows])
    column = pq.ParquetFile(path).metadata.row_group(1).column(FIELDS.index("price_ticks"))
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 9] ^= 4
    path.write_bytes(data)
    batches: Iterator[np.ndarray] = read_segment(path, verify=True)
    assert next(batches).tobytes() == rows[:100].tobytes()
    with pytest.raises(LogDamaged) as caught:
        next(batches)
    assert caught.value.frame == 1 and caught.value.records_usable == 100
    assert 0 < caught.value.offset <= column.data_page_offset


def test_foreign_files_are_refused(tmp_path: Path, make_records: Make) -> None:
    """Missing, not Parquet, Parquet of others, of another version, of other columns: each with its own sentence."""
    path = tmp_path / "a.parquet"
    with pytest.raises(OperatorError, match="no such file"):
        segment_info(path)
    path.write_bytes(b"seq,ts_ns\n1,2\n")
    with pytest.raises(HistoryError, match="not a Parquet file"):
        next(read_segment(path))
    pq.write_table(pa.table({"price": [1.5]}), path)
    with pytest.raises(HistoryError, match=r"not pinnacle's \(columns price"):
        segment_info(path)
    for version, error, message in ((9, HistoryError, "version 9"), (1, LogDamaged, "not the record's")):
        footer = f'{{"version": {version}}}'.encode()
        keys = {b"pinnacle": footer, b"pinnacle.crc32c": b"%08x" % crc32c(footer)}
        pq.write_table(pa.table({"price": [1.5]}).replace_schema_metadata(keys), path)
        with pytest.raises(error, match=message):
            segment_info(path)


def test_memory_is_bounded(tmp_path: Path, make_records: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing and reading a segment of many row groups holds a few of them at a time."""
    monkeypatch.setattr("pinnacle.log.segment.ROW_GROUP_ROWS", 1 << 12)
    rows = make_records(1 << 12)
    write_segment(tmp_path / "warm.parquet", [rows])
    tracemalloc.start()
    arrow_before = pa.total_allocated_bytes()
    segment = write_segment(tmp_path / "a.parquet", (rows for _ in range(80)))
    total = sum(batch.size for batch in read_segment(tmp_path / "a.parquet"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert segment.rows == total == 80 << 12
    assert peak < 8 * rows.nbytes and pa.total_allocated_bytes() - arrow_before < 8 * rows.nbytes


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, make_records: Make, small_groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a failing source or rename: the old file stays, no other is left, and the error is ours."""
    path = tmp_path / "a.parquet"
    rows = make_records(300)
    write_segment(path, [rows])
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def breaking() -> Iterator[np.ndarray]:
        yield rows[:150]
        raise HistoryError("the recording ends in the middle of a line")

    with pytest.raises(HistoryError, match="middle of a line"):
        write_segment(path, breaking())
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(manifest_module.os, name, full)
            with pytest.raises(DiskError, match="disk is full"):
                write_segment(path, [rows])
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.parquet"]
    with pytest.raises(DiskError, match="No such file"):
        write_segment(tmp_path / "absent" / "a.parquet", [rows])


def test_a_disk_that_fills_under_the_parquet_writer_is_our_error(
    tmp_path: Path, make_records: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that the system refuses, in the middle of a row group, is a DiskError and leaves nothing."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DiskError, match="cannot be written"):
            write_segment(tmp_path / "a.parquet", (make_records(4000, seed) for seed in range(3)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_only_a_whole_journal_is_sealed(tmp_path: Path, make_records: Make) -> None:
    """A journal without its end is not sealed, and no segment appears."""
    journal = Journal.create(tmp_path / "a.journal", bytes(16))
    journal.append(make_records(5))
    with pytest.raises(NotClosed):
        seal(tmp_path / "a.journal", tmp_path / "a.parquet")
    assert os.listdir(tmp_path) == ["a.journal"]
    journal.close()
    assert seal(tmp_path / "a.journal", tmp_path / "a.parquet").rows == 5

"""verify finds what is wrong with a log, inspect says what is in it, diff says where two part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import event
from pinnacle.errors import LogDamaged, OperatorError
from pinnacle.instrument import Instrument
from pinnacle.log.check import diff, inspect, record_text, time_text, verify
from pinnacle.log.journal import Journal
from pinnacle.log.manifest import (
    HistoryFile,
    Manifest,
    SegmentEntry,
    Versions,
    file_sha256,
    instrument_rows,
    write_manifest,
)
from pinnacle.log.segment import seal, write_segment

Make = Callable[..., np.ndarray]
BTC = Instrument("binance", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))


def write_run(run: Path, rows: np.ndarray, **changes: object) -> Manifest:
    """A finished run of one sealed and one open file, with everything its manifest can promise."""
    log = run / "log"
    log.mkdir(parents=True)
    half = rows.size // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        with Journal.create(log / f"log-{number:06d}.journal", bytes(16), number * half) as journal:
            journal.append(part)
    seal(log / "log-000000.journal", log / "log-000000.parquet")
    (log / "log-000000.journal").unlink()
    files = (("log-000000.parquet", half, "parquet"), ("log-000001.journal", rows.size - half, "journal"))
    outputs = int((rows["kind"] >= 128).sum())
    fields: dict = {
        "run_id": "00" * 16,
        "mode": "live",
        "status": "complete",
        "code_hash": "",
        "versions": Versions(pinnacle="0", numba="0", numpy="0", python="0", cpu="0"),
        "instruments": instrument_rows([BTC]),
        "segments": [SegmentEntry(name, count, file_sha256(log / name), kind) for name, count, kind in files],
        "counts": {"records": rows.size, "outputs": outputs, "trade": int((rows["kind"] == event.TRADE).sum())},
    }
    manifest = Manifest(**(fields | changes))
    write_manifest(run, manifest)
    return manifest


def problems(path: Path) -> str:
    result = verify(path)
    assert not result.ok
    return "\n".join(result.lines())


def test_a_whole_run_is_intact(tmp_path: Path, make_records: Make) -> None:
    """Everything written is counted and found as it was, by run, by log and by file."""
    rows = make_records(500)
    write_run(tmp_path, rows)
    result = verify(tmp_path)
    assert result.ok and result.records == 500 and [check.records for check in result.files] == [250, 250]
    names = Counter(event.KIND_NAMES[int(kind)] for kind in rows["kind"])
    assert {name: result.counts[name] for name in names} == dict(names)
    assert list(result.lines())[-1].endswith("500 records, intact")
    for path in (tmp_path / "log", tmp_path / "log" / "log-000000.parquet", tmp_path / "log" / "log-000001.journal"):
        assert verify(path).ok
    with pytest.raises(OperatorError):
        verify(tmp_path / "absent")


def test_any_damaged_byte_makes_a_run_not_intact(tmp_path: Path, make_records: Make) -> None:
    """A byte changed in any file of a run is reported with the file's name, and the other files are still checked."""
    write_run(tmp_path, make_records(200))
    random = np.random.default_rng(1)
    for name in ("log-000000.parquet", "log-000001.journal"):
        path = tmp_path / "log" / name
        data = path.read_bytes()
        for offset in random.integers(0, len(data), 25):
            bad = bytearray(data)
            bad[offset] ^= 0x10
            path.write_bytes(bad)
            result = verify(tmp_path)
            assert not result.ok and len(result.files) == 2
            assert any(name in line for line in result.lines())
        path.write_bytes(data)
    assert verify(tmp_path).ok


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seq", -1, "seq goes back: record 300"),
        ("ts_ns", 5, "ts_ns of an input goes back: record 300"),
    ],
)
def test_order_is_checked(tmp_path: Path, make_records: Make, field: str, value: int, message: str) -> None:
    """A number or a time that goes back is named with its record, also at the beginning of a file."""
    rows = make_records(600)
    rows["kind"][300] = event.TIMER
    rows[field][300] = value
    write_run(tmp_path, rows)
    assert message in problems(tmp_path)


def test_outputs_follow_their_cause(tmp_path: Path, make_records: Make) -> None:
    """An output that names another input than the last is found, unless a history beside the log may hold its cause."""
    rows = make_records(100)
    rows["kind"][:60], rows["seq"][:60] = event.TIMER, np.arange(60)
    rows["kind"][60:], rows["seq"][60:] = event.PLACE, 59
    write_run(tmp_path / "good", rows)
    assert verify(tmp_path / "good").ok
    rows["seq"][80:] = 61
    write_run(tmp_path / "bad", rows)
    assert "an output does not follow its input: record 80" in problems(tmp_path / "bad")
    write_run(tmp_path / "beside", rows, histories=[HistoryFile("h.parquet", "", 9)])
    assert verify(tmp_path / "beside").ok
    rows["kind"][99] = event.TIMER
    write_run(tmp_path / "late", rows, histories=[HistoryFile("h.parquet", "", 9)])
    assert "an input does not come after what it caused, or comes twice: record 99" in problems(tmp_path / "late")


def test_the_manifest_is_held_to_its_word(tmp_path: Path, make_records: Make) -> None:
    """Other counts, other hashes, files more or less than the manifest names: each is a problem of its own."""
    rows = make_records(200)
    manifest = write_run(tmp_path, rows)
    first, second = manifest.segments
    other = SegmentEntry("log-000007.journal", 1, "", "journal")
    changed = {
        "100 good records, the manifest says 99": {"segments": [SegmentEntry(first.name, 99, "", "parquet"), second]},
        "its sha256 differs": {"segments": [SegmentEntry(first.name, 100, "00", "parquet"), second]},
        "log-000001.journal is not in the manifest": {"segments": [first]},
        "log-000007.journal is in the manifest and not in": {"segments": [first, second, other]},
        "200 records were read, the manifest says 201": {"counts": {"records": 201}},
        "0 funding were read, the manifest says 4": {"counts": {"funding": 4, "of the caller's own": 7}},
    }
    for message, fields in changed.items():
        for name, value in fields.items():
            kept = getattr(manifest, name)
            setattr(manifest, name, value)
            write_manifest(tmp_path, manifest)
            assert message in problems(tmp_path)
            setattr(manifest, name, kept)


def test_a_running_log_is_intact_without_its_end(tmp_path: Path, make_records: Make) -> None:
    """The open journal of a running run is fine; of a run that says it is complete it is not."""
    (tmp_path / "log").mkdir()
    fields: dict = {"run_id": "", "mode": "live", "code_hash": "", "versions": Versions("0", "0", "0", "0", "0")}
    with Journal.create(tmp_path / "log" / "log-000000.journal", bytes(16)) as journal:
        journal.append(make_records(10))
        write_manifest(tmp_path, Manifest(status="running", **fields))
        result = verify(tmp_path)
        assert result.ok and "not closed, 10 records intact" in "\n".join(result.lines())
        write_manifest(tmp_path, Manifest(status="complete", **fields))
        assert "not closed, 10 records intact" in problems(tmp_path)


def test_a_file_that_does_not_continue_is_a_problem(tmp_path: Path, make_records: Make) -> None:
    """Files of a log that leave records out between them are found even where every byte of each is good."""
    rows = make_records(30)
    for number, (start, stop) in enumerate(((0, 10), (20, 30))):
        with Journal.create(tmp_path / f"log-{number:06d}.journal", bytes(16), start) as journal:
            journal.append(rows[start:stop])
    assert "log-000001.journal begins at record 20, but the files before it end at 10" in problems(tmp_path)


def test_inspect_filters(tmp_path: Path, make_records: Make) -> None:
    """Each filter keeps exactly the records it describes, in order, under their index in the log."""
    rows = make_records(400)
    write_run(tmp_path, rows)
    index = np.arange(400)
    trade = rows["kind"] == event.TRADE
    between = (rows["seq"] >= 40) & (rows["seq"] <= 90)
    one = rows["order_id"] == rows["order_id"][123]
    for keep, options in (
        (trade | ~trade, {}),
        (trade, {"kinds": [event.TRADE]}),
        (between, {"seq_first": 40, "seq_last": 90}),
        (trade & between, {"kinds": {event.TRADE}, "seq_first": 40, "seq_last": 90}),
        (one, {"order_id": int(rows["order_id"][123])}),
    ):
        lines = list(inspect(tmp_path, **options))  # type: ignore[arg-type]
        assert [int(line.split()[0]) for line in lines] == list(index[keep])
        assert list(inspect(tmp_path, limit=3, **options)) == lines[:3]  # type: ignore[arg-type]


def test_a_record_reads_as_what_it_means() -> None:
    """Prices, quantities and fees are exact decimals, reasons and flags words, a fingerprint hex, a blob text."""
    row = event.empty(1)
    row["seq"], row["ts_ns"], row["kind"], row["side"] = 7, 1_723_161_256_302_471_518, event.ORDER_FILLED, 1
    row["price_ticks"], row["qty_lots"], row["aux"], row["order_id"] = 587_102, 14, -15, 9
    row["flags"] = event.MAKER | event.FILL_QUEUE_FRONT << event.REASON_SHIFT
    assert record_text(row[0], [BTC]) == (
        "seq=7 2024-08-08T23:54:16.302471518Z order_filled binance:BTCUSDT buy price=58710.2 qty=0.014 "
        "fee=-0.000000015 order=9 MAKER|queue_front"
    )
    assert "price_ticks=587102 qty_lots=14 fee_units=-15" in record_text(row[0])
    for kind, aux, text in (
        (event.CHECKPOINT, -2, "fingerprint=fffffffffffffffe"),
        (event.ALERT, event.ALERT_STALE, "stale"),
        (event.PARAMETER_SET, 3, "parameter=3 value_millionths=587102"),
        (77, 5, "kind_77"),
    ):
        row["kind"], row["aux"] = kind, aux
        assert text in record_text(row[0], [BTC])
    row["kind"] = event.BLOB
    words = np.frombuffer(b"a reject's reason".ljust(32, b"\0"), "<i8")
    row["order_id"], row["price_ticks"], row["qty_lots"], row["aux"] = words
    assert record_text(row[0]).endswith('blob b"a reject\'s reason"')


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None)
def test_any_record_has_a_text(seed: int) -> None:
    """Whatever 64 bytes a record holds, it is shown on one line."""
    row = np.frombuffer(np.random.default_rng(seed).bytes(64), event.EVENT)
    assert "\n" not in record_text(row[0], [BTC]) and "\n" not in record_text(row[0])


def test_times_are_exact_at_the_ends_of_int64() -> None:
    """Every int64 of nanoseconds has a time, without rounding."""
    assert time_text((1 << 63) - 1) == "2262-04-11T23:47:16.854775807Z"
    assert time_text(-(1 << 63)) == "1677-09-21T00:12:43.145224192Z"


@pytest.mark.parametrize("at", [0, 1, 99, 100, 101, 249])
@pytest.mark.parametrize("name", ["seq", "qty_lots", "side", "instrument"])
def test_diff_names_the_first_difference(
    tmp_path: Path, make_records: Make, small_groups: int, at: int, name: str
) -> None:
    """Two logs cut differently differ first exactly where they do, in exactly the fields that do, whatever follows."""
    rows = make_records(250)
    changed = rows.copy()
    changed[name][at] += 1
    changed["aux"][at + 1 :] = 5
    write_segment(tmp_path / "a.parquet", [rows])
    with Journal.create(tmp_path / "b.journal", bytes(16)) as journal:
        for part in np.split(changed, [7, 120]):
            journal.append(part)
    found = diff(tmp_path / "a.parquet", tmp_path / "b.journal")
    assert found is not None and (found.index, found.fields) == (at, (name,))
    assert found.seq == rows["seq"][at] and (found.a_records, found.b_records) == (250, 250)
    assert found.a_text == record_text(rows[at]) and found.b_text == record_text(changed[at])


def test_diff_of_equal_and_of_longer_logs(tmp_path: Path, make_records: Make, small_groups: int) -> None:
    """Equal logs have no difference, whatever files hold them; a longer one differs where the other has ended."""
    rows = make_records(250)
    write_run(tmp_path / "run", rows)
    write_segment(tmp_path / "same.parquet", [rows])
    assert diff(tmp_path / "run", tmp_path / "same.parquet") is None
    for length in (0, 100, 149):
        write_segment(tmp_path / "short.parquet", [rows[:length]])
        for left, right in (("run", "short.parquet"), ("short.parquet", "run")):
            found = diff(tmp_path / left, tmp_path / right)
            assert found is not None and found.index == length and found.fields == ()
            assert sorted((found.a_records, found.b_records)) == [length, 250]
            assert "(ended)" in "\n".join(found.lines()) and f"seq={rows['seq'][length]}" in found.a_text + found.b_text


def test_diff_of_a_damaged_log_raises(tmp_path: Path, make_records: Make) -> None:
    """A damaged log is reported as damaged and not as different."""
    rows = make_records(250)
    for name in ("a", "b"):
        with Journal.create(tmp_path / f"{name}.journal", bytes(16)) as journal:
            journal.append(rows)
    data = bytearray((tmp_path / "b.journal").read_bytes())
    data[5000] ^= 1
    (tmp_path / "b.journal").write_bytes(data)
    with pytest.raises(LogDamaged):
        diff(tmp_path / "a.journal", tmp_path / "b.journal")

"""The journal keeps what it was given, and finds and names every byte that is not what was written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import DiskError, LogDamaged, OperatorError
from pinnacle.event import EVENT
from pinnacle.log import journal as journal_module
from pinnacle.log.crc import crc32c, crc32c_of_array
from pinnacle.log.journal import Journal, JournalReader, NotClosed, TornTail, read_journal

Make = Callable[..., np.ndarray]
UNIT = 64


def write(path: Path, run_id: bytes, *batches: np.ndarray, close: bool = True) -> bytes:
    """The bytes of a journal of the batches; unclosed: as its writer's death leaves them."""
    journal = Journal.create(path, run_id)
    for batch in batches:
        journal.append(batch)
    if not close:
        data = path.read_bytes()
        journal.close()
        path.write_bytes(data)
    else:
        journal.close()
    return path.read_bytes()


def salvage(path: Path, live: bool = False) -> tuple[bytes, LogDamaged | None]:
    """Everything a reader hands out before it raises, and what it raises."""
    kept = b""
    try:
        for batch in read_journal(path, live):
            kept += batch.tobytes()
    except LogDamaged as damage:
        return kept, damage
    return kept, None


def usable_before(data: bytes, offset: int) -> int:
    """Naive: records in the whole frames that end at or before `offset`, walking counts only."""
    at, records = UNIT, 0
    while at + UNIT <= len(data):
        count = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + UNIT * (1 + count) > offset or count == 0:
            break
        at, records = at + UNIT * (1 + count), records + count
    return records if offset >= UNIT else 0


def test_crc32c_is_castagnoli_and_chains(make_records: Make) -> None:
    """The checksum has the published check value, and a chain over pieces equals one over the whole."""
    assert crc32c(b"123456789") == 0xE3069283
    rows = make_records(3000)
    assert crc32c_of_array(rows) == crc32c(rows.tobytes()) == crc32c(rows[7:].tobytes(), crc32c_of_array(rows[:7]))


def test_every_truncation_is_found_and_named(
    tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int
) -> None:
    """Cut a closed journal at any length: the reader names the frame and byte, after every record before it."""
    rows = make_records(11)
    path = tmp_path / "a.journal"
    data = write(path, run_id, rows[:3], rows[3:])
    assert salvage(path) == (rows.tobytes(), None)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        kept, damage = salvage(path)
        records = usable_before(data, length)
        assert damage is not None and damage.records_usable == records
        assert kept == rows[:records].tobytes()
        assert damage.offset <= length and f"{damage.offset}" in str(damage)
        assert isinstance(damage, NotClosed) == (length == damage.offset and length >= UNIT)


def test_every_flipped_bit_is_found_and_named(
    tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int
) -> None:
    """Flip any single bit of a closed journal: the reader names the frame it lies in, after every record before it."""
    rows = make_records(6)
    path = tmp_path / "a.journal"
    data = bytearray(write(path, run_id, rows[:3], rows[3:]))
    for offset in range(len(data)):
        for bit in range(8):
            data[offset] ^= 1 << bit
            path.write_bytes(data)
            data[offset] ^= 1 << bit
            kept, damage = salvage(path)
            records = usable_before(data, offset)
            assert damage is not None and damage.records_usable == records, (offset, bit)
            assert kept == rows[:records].tobytes()
            assert damage.offset <= offset < damage.offset + UNIT * 5


def test_every_flipped_byte_of_an_unclosed_journal_is_found(
    tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unclosed journal says so; with any byte changed, also in the zeros after its last frame, it is damaged."""
    monkeypatch.setattr(journal_module, "WINDOW_BYTES", 4096)
    rows = make_records(6)
    path = tmp_path / "a.journal"
    data = bytearray(write(path, run_id, rows, close=False))
    kept, damage = salvage(path)
    assert isinstance(damage, NotClosed) and kept == rows.tobytes() and "not closed, 6 records intact" in str(damage)
    assert salvage(path, live=True) == (rows.tobytes(), None)
    for offset in range(len(data)):
        data[offset] ^= 0x5A
        path.write_bytes(data)
        data[offset] ^= 0x5A
        kept, damage = salvage(path)
        assert damage is not None and not isinstance(damage, NotClosed), offset
        assert kept == rows[: damage.records_usable].tobytes()
        assert damage.records_usable == (6 if offset >= UNIT * 9 else usable_before(data, offset))


def test_frames_cannot_be_moved(tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int) -> None:
    """Swapped, doubled, dropped, or foreign frames of the same shape break the chain at the first wrong place."""
    rows = make_records(12)
    path, other = tmp_path / "a.journal", tmp_path / "b.journal"
    data = write(path, run_id, rows)
    foreign = write(other, run_id[::-1], rows)
    head, frames, end = (
        data[:UNIT],
        [data[UNIT * (1 + 5 * i) : UNIT * (6 + 5 * i)] for i in range(3)],
        data[UNIT * 16 :],
    )
    one, two, three = frames
    damaged = {
        "swapped": (head + two + one + three + end, 0),
        "swapped later": (head + one + three + two + end, 1),
        "doubled": (head + one + one + two + three + end, 1),
        "dropped": (head + one + three + end, 1),
        "dropped before the end": (head + one + two + end, 2),
        "foreign": (head + one + foreign[UNIT * 6 : UNIT * 11] + three + end, 1),
        "foreign header": (foreign[:UNIT] + one + two + three + end, 0),
        "after the end": (data + one, 3),
        "zeros after the end": (data + bytes(UNIT), 3),
    }
    for what, (bytes_, frame) in damaged.items():
        path.write_bytes(bytes_)
        kept, damage = salvage(path)
        assert damage is not None and damage.frame == frame, what
        assert kept == rows[: 4 * frame].tobytes(), what


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=64 * 40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_any_records_come_back(tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int]) -> None:
    """Records of any 64 bytes whatever, appended in any batches, are read back byte for byte, aligned to their size."""
    rows = np.frombuffer(data[: len(data) // UNIT * UNIT], EVENT)
    path = tmp_path_factory.mktemp("journal") / "a.journal"
    with Journal.create(path, bytes(16), first_record=7) as journal:
        for batch in np.split(rows, sorted(cuts)):
            journal.append(batch)
        assert journal.records == rows.size
    assert path.stat().st_size % UNIT == 0
    assert salvage(path) == (rows.tobytes(), None)


def test_a_strided_view_is_appended_whole(tmp_path: Path, run_id: bytes, make_records: Make) -> None:
    """Records that are not contiguous in memory are written as the records they are."""
    rows = make_records(50)
    write(tmp_path / "a.journal", run_id, rows[::3])
    assert salvage(tmp_path / "a.journal") == (rows[::3].tobytes(), None)


@pytest.mark.parametrize("keep", [64 * 6, 64 * 6 + 1, 64 * 7, 64 * 8 + 13, 64 * 11 - 8])
def test_a_torn_journal_goes_on(
    tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int, keep: int
) -> None:
    """Reopened after losing its tail, a journal drops the torn frame, says what it dropped, and takes more records."""
    rows = make_records(10)
    path = tmp_path / "a.journal"
    data = write(path, run_id, rows[:8], close=False)
    path.write_bytes(data[:keep] + bytes(1000))
    journal, torn = Journal.open(path)
    assert journal.records == 4 and journal.synced == 4
    if keep == 64 * 6:
        assert torn is None
    else:
        assert torn is not None and (torn.frame, torn.offset) == (1, 64 * 6) and 0 < torn.size <= keep - 64 * 6
    journal.append(rows[4:])
    journal.close()
    assert salvage(path) == (rows.tobytes(), None)


def test_a_closed_journal_goes_on(tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int) -> None:
    """Closing and reopening changes nothing about what is read."""
    rows = make_records(10)
    path = tmp_path / "a.journal"
    write(path, run_id, rows[:5])
    for start in range(5, 10):
        journal, torn = Journal.open(path)
        assert torn is None and journal.records == start and journal.run_id == run_id
        with journal:
            journal.append(rows[start : start + 1])
    assert salvage(path) == (rows.tobytes(), None)


def test_damage_is_not_mistaken_for_tearing(
    tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int
) -> None:
    """A bad byte in what had been synced makes reopening refuse and leave the file as it is; unsynced, it is torn."""
    rows = make_records(12)
    path = tmp_path / "a.journal"
    closed = write(path, run_id, rows)
    unsynced = write(tmp_path / "b.journal", run_id, rows, close=False)
    for data, damage in ((closed, True), (unsynced, False)):
        for offset in (UNIT * 7, UNIT * 8 + 5):
            bad = bytearray(data)
            bad[offset] ^= 1
            path.write_bytes(bad)
            if damage:
                with pytest.raises(LogDamaged) as caught:
                    Journal.open(path)
                assert caught.value.frame == 1 and path.read_bytes() == bytes(bad)
            else:
                journal, torn = Journal.open(path)
                assert journal.records == 4 and isinstance(torn, TornTail) and torn.size > 64 * 5
                journal.close()


def test_a_zeroed_synced_frame_is_damage(tmp_path: Path, run_id: bytes, make_records: Make, small_frames: int) -> None:
    """A synced frame that reads as zeros, with later frames intact, is refused and not taken for the end."""
    path = tmp_path / "a.journal"
    data = write(path, run_id, make_records(12))
    path.write_bytes(data[: UNIT * 6] + bytes(UNIT * 5) + data[UNIT * 11 :])
    with pytest.raises(LogDamaged, match="zeroed in frame 1"):
        Journal.open(path)


def test_a_reader_follows_a_live_journal(tmp_path: Path, run_id: bytes, make_records: Make) -> None:
    """One reader, asked again and again, hands out each record once while the writer goes on, and sees the end."""
    rows = make_records(100)
    journal = Journal.create(tmp_path / "a.journal", run_id)
    seen = b""
    with JournalReader(tmp_path / "a.journal") as reader:
        for start in range(0, 100, 9):
            journal.append(rows[start : start + 9])
            seen += b"".join(batch.tobytes() for batch in reader.read())
            assert reader.records == min(100, start + 9) and not reader.closed
        journal.close()
        assert list(reader.read()) == [] and reader.closed
    assert seen == rows.tobytes()


def test_memory_is_bounded(tmp_path: Path, run_id: bytes, make_records: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing and reading a journal many times the window allocates and maps no more than windows."""
    monkeypatch.setattr(journal_module, "WINDOW_BYTES", 256 << 10)
    rows = make_records(2000)
    path = tmp_path / "a.journal"
    total = 0
    tracemalloc.start()
    with Journal.create(path, run_id) as journal:
        for _ in range(150):
            journal.append(rows)
            assert journal._window is not None and len(journal._window) <= 256 << 10
    for batch in read_journal(path):
        total += batch.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 300_000 and path.stat().st_size > 70 * (256 << 10)
    assert peak < 4 << 20


def test_a_full_disk_is_an_error_that_keeps_everything(
    tmp_path: Path, run_id: bytes, make_records: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space: DiskError says how many records are safe, the append did nothing, and closing and going on work."""
    monkeypatch.setattr(journal_module, "WINDOW_BYTES", 256 << 10)
    rows = make_records(3000)
    path = tmp_path / "a.journal"
    journal = Journal.create(path, run_id)
    journal.append(rows[:2000])

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(DiskError, match="disk is full; 2000 records are safe"):
            for _ in range(9):
                journal.append(rows[2000:] if journal.records == 3000 else np.tile(rows, 3))
        assert journal.records == 2000
    journal.append(rows[2000:])
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        journal.close()
    assert salvage(path) == (rows.tobytes(), None)


_LIMITED = """
import resource, sys, numpy as np
from pinnacle import event
from pinnacle.errors import DiskError
from pinnacle.log import journal
journal.WINDOW_BYTES = 256 << 10
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
log = journal.Journal.create(sys.argv[1], bytes(16))
try:
    while True:
        log.append(event.empty(500))
except DiskError as error:
    log.close()
    print(log.records, error)
"""


def test_a_file_size_limit_is_an_error_and_not_a_signal(tmp_path: Path) -> None:
    """A system that really refuses to grow the file gives DiskError, and the closed journal has what it says."""
    path = tmp_path / "a.journal"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=True, timeout=240
    )
    records = int(done.stdout.split()[0])
    assert f"{records} records are safe" in done.stdout and records % 500 == 0 and records > 10_000
    assert len(salvage(path)[0]) == records * UNIT and salvage(path)[1] is None


_KILLED = """
import os, signal, sys
from pinnacle import event
from pinnacle.log.journal import Journal
log = Journal.create(sys.argv[1], bytes(16))
for count in (3, 5, 1100):
    log.append(event.empty(count))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_appended_survives_a_kill(tmp_path: Path) -> None:
    """A process killed right after an append, without sync or close, leaves every record readable."""
    path = tmp_path / "a.journal"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL
    kept, damage = salvage(path)
    assert len(kept) == 1108 * UNIT and isinstance(damage, NotClosed)
    journal, torn = Journal.open(path)
    assert torn is None and journal.records == 1108
    journal.close()


def test_one_writer_at_a_time(tmp_path: Path, run_id: bytes) -> None:
    """A journal being written cannot be opened for writing again, nor made again; the message says what to do."""
    path = tmp_path / "a.journal"
    with Journal.create(path, run_id):
        with pytest.raises(OperatorError, match="another process is writing"):
            Journal.open(path)
        with pytest.raises(OperatorError, match="exists already"):
            Journal.create(path, run_id)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.journal"]


def test_a_full_journal_says_how_much_room_is_left(
    tmp_path: Path, run_id: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`room` is exactly what one append can take below the limit, with space for the end frame."""
    monkeypatch.setattr(journal_module, "JOURNAL_BYTES_MAX", 1 << 18)
    path = tmp_path / "a.journal"
    with Journal.create(path, run_id) as journal:
        room = journal.room
        with pytest.raises(AssertionError):
            journal.append(np.zeros(room + 1, EVENT))
        journal.append(np.zeros(room, EVENT))
        assert journal.room == 0
    assert (1 << 18) - 2 * UNIT < path.stat().st_size <= 1 << 18


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, OperatorError, "no such journal"),
        (b"", LogDamaged, "0 bytes of the 64"),
        (b"PAR1" * 40, LogDamaged, "foreign"),
    ],
)
def test_what_is_no_journal_is_refused(
    tmp_path: Path, content: bytes | None, error: type[Exception], message: str
) -> None:
    """A missing, empty or foreign file is refused with a sentence, by readers and by writers."""
    path = tmp_path / "a.journal"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        list(read_journal(path))
    with pytest.raises((error, DiskError)):
        Journal.open(path)
    with pytest.raises(DiskError, match="No such file"):
        Journal.create(tmp_path / "absent" / "a.journal", bytes(16))


def test_another_version_is_the_operators_affair(tmp_path: Path, run_id: bytes) -> None:
    """A journal of a later version, intact, is not called damaged."""
    path = tmp_path / "a.journal"
    write(path, run_id)
    header = journal_module.FILE_HEADER.pack(journal_module.FILE_MAGIC, 2, UNIT, run_id, 0, 0)[:-4]
    path.write_bytes(header + crc32c(header).to_bytes(4, "little"))
    with pytest.raises(OperatorError, match="journal version 2"):
        list(read_journal(path))

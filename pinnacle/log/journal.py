"""The live tail of a log: an append-only, memory-mapped file of checksummed frames of records.

A record is in the journal before its command leaves, so an append must cost a microsecond or two, survive the death
of the process at any byte, and show afterwards exactly what was kept.  A store into a shared mapping does that: it
outlives the process at once, and `sync` makes it outlive the machine.

    file   = file header (64 bytes), frames, end frame (only when closed; the file ends with it)
    frame  = frame header (64 bytes), records (64 bytes each)

Both headers are as long as a record, so every record lies aligned to a cache line and there is no padding between.
Each frame's CRC32C continues that of the frame before it, the first that of the file header, which carries the run's
id: a frame that is changed, dropped, doubled, swapped or taken from another run breaks the chain.  The space of a
frame is allocated before it is written, so that a full disk is an error here and not a SIGBUS in a store.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from pinnacle.errors import DiskError, LogDamaged, OperatorError
from pinnacle.event import EVENT
from pinnacle.limits import FRAME_RECORDS_MAX, JOURNAL_BYTES_MAX
from pinnacle.log.crc import crc32c
from pinnacle.log.manifest import saying, sync_folder

UNIT = EVENT.itemsize
VERSION = 1
FILE_MAGIC = b"PINJRNL\n"
# Every byte of both is set, so that no flipped byte turns one into the zero that means "nothing written yet".
DATA_MAGIC = int.from_bytes(b"FRAM", "little")
END_MAGIC = int.from_bytes(b"DONE", "little")
# magic, version, record size, run id, index of the first record, zeros, CRC32C of the bytes before it
FILE_HEADER = struct.Struct("<8sII16sQ20xI")
# magic, record count, index of the first record, records known to be on the disk when the frame was begun,
# chained CRC32C before it, zeros, chained CRC32C of the bytes before it and the records after it
FRAME_HEADER = struct.Struct("<IIQQI32xI")
assert FILE_HEADER.size == FRAME_HEADER.size == UNIT

# What is mapped, and allocated ahead, at a time.  The mapping never grows: pages behind it belong to the kernel, which
# writes them out and reclaims them as it likes.
WINDOW_BYTES = 4 << 20
# What a reader holds at a time; at least one whole frame.
READ_BYTES = 1 << 20
assert READ_BYTES >= (FRAME_RECORDS_MAX + 1) * UNIT and WINDOW_BYTES >= 2 * (FRAME_RECORDS_MAX + 1) * UNIT


# What passes right frames faster than this file does: (words of a chunk, checksum before it, index of its first record,
# room for the records) -> (words passed, frames, records, checksum after them).  See kernels/frames.py.
Walk = Callable[[np.ndarray, int, int, np.ndarray], tuple[int, int, int, int]]


class NotClosed(LogDamaged):
    """A journal whose writer did not close it: every frame is intact, but nothing says that no frame is missing."""

    def __init__(self, path: str, frame: int, offset: int, records_usable: int) -> None:
        super().__init__(path, frame, offset, records_usable, "no end")
        self.args = (
            f"{path}: not closed, {records_usable} records intact (frame {frame} or the end belongs at byte {offset}); "
            "its writer runs, was killed, or the file was cut: reopen it to go on, or read it as live",
        )


@dataclass(frozen=True, slots=True)
class TornTail:
    """What reopening a journal dropped: an unfinished frame at `offset`, reaching `size` bytes to its last byte set."""

    frame: int
    offset: int
    size: int
    what: str


class JournalReader:
    """A journal read front to back, each frame verified before its records are handed out.

    Holds at most READ_BYTES of the file.  `records`, `frames`, `offset` say how far it came, `closed` whether the end
    was reached.  A live journal can be read again later with the same reader, which goes on where it stopped.
    Raises LogDamaged for a bad file header, OperatorError for a missing file, DiskError for an unreadable one.
    """

    def __init__(self, path: str | Path, walk: Walk | None = None) -> None:
        self.path = Path(path)
        self._walk = walk
        self.frames = self.records = 0
        self.offset = 0
        self.closed = False
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise OperatorError(f"{self.path}: no such journal; give the path of a .journal file") from None
        except OSError as error:
            raise DiskError(f"{self.path}: cannot be read: {error.strerror}") from error
        try:
            self._read_file_header()
        except BaseException:
            self.close()
            raise

    def _read_file_header(self) -> None:
        header = self._bytes(0, UNIT)
        if len(header) < UNIT:
            raise self.damaged(f"{len(header)} bytes of the 64 of the file header")
        magic, version, record_size, self.run_id, self.first_record, crc = FILE_HEADER.unpack(header)
        if magic != FILE_MAGIC:
            raise self.damaged("no journal's file header (the first 8 bytes are foreign)")
        if crc32c(header[:-4]) != crc:
            raise self.damaged("a file header whose checksum differs")
        if version != VERSION or record_size != UNIT:
            raise OperatorError(
                f"{self.path}: journal version {version} with records of {record_size} bytes; "
                f"this pinnacle reads version {VERSION} with {UNIT}, so read it with the one that wrote it"
            )
        self.chain, self.offset = crc, UNIT

    def _bytes(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise DiskError(f"{self.path}: cannot be read at byte {offset}: {error.strerror}") from error

    def read(self) -> Iterator[np.ndarray]:
        """EVENT arrays (the records of some whole frames each) from where the reader is to the end of what is written.

        Raises LogDamaged at a bad frame, after everything before it was handed out.
        """
        while not self.closed:
            chunk = self._bytes(self.offset, READ_BYTES)
            parts: list[np.ndarray] = []
            at = 0 if self._walk is None else self._stride(chunk, parts)
            while True:
                size, what = self._take(chunk, at, parts)
                if size == 0:
                    break
                at += size
            if parts:
                # As bytes: joining structured arrays promotes and copies field by field, ten times slower.
                yield (parts[0] if len(parts) == 1 else np.concatenate(parts)).view(EVENT)
            # A frame is condemned only as the first of a fresh read, because a chunk can end inside one.
            if at == 0:
                if what:
                    raise self.damaged(what)
                return

    def _stride(self, chunk: bytes, parts: list[np.ndarray]) -> int:
        """Pass the whole and right frames that begin a chunk, many at a time; their bytes."""
        assert self._walk is not None
        words = np.frombuffer(chunk, "<u8", len(chunk) // 8)
        target = np.empty(words.size, np.uint64)
        passed, frames, records, self.chain = self._walk(words, self.chain, self.first_record + self.records, target)
        if records:
            parts.append(target[: records * (UNIT // 8)].view(np.uint8))
        self.frames += frames
        self.records += records
        self.offset += passed * 8
        return passed * 8

    def _take(self, chunk: bytes, at: int, parts: list[np.ndarray]) -> tuple[int, str]:
        """Verify the frame at chunk[at:] and append its records' bytes to `parts`: (its bytes, "").

        (0, "") where nothing is written yet, (0, what is wrong) for a bad frame.
        """
        left = len(chunk) - at
        if left < UNIT:
            return 0, f"{left} bytes of the 64 of a frame header" if left else ""
        magic, count, first, synced, previous, crc = FRAME_HEADER.unpack_from(chunk, at)
        if magic == 0:
            return 0, ""
        end = magic == END_MAGIC
        if (magic != DATA_MAGIC and not end) or (count == 0) != end or count > FRAME_RECORDS_MAX:
            return 0, "no frame header"
        if left < (1 + count) * UNIT:
            return 0, f"{left - UNIT} bytes of the {count * UNIT} of the records (cut short)"
        if _frame_crc(chunk, at, count, previous) != crc:
            return 0, "checksum differs"
        if previous != self.chain or first != self.first_record + self.records:
            return 0, f"a frame of record {first} that does not follow (swapped, doubled, or one is missing)"
        if synced > self.first_record + self.records:
            return 0, "an impossible count of records on the disk"
        if end and self.offset + UNIT != os.fstat(self._fd).st_size:
            return 0, "bytes after the end"
        if end:
            self.closed = True
            return 0, ""
        parts.append(np.frombuffer(chunk, np.uint8, count * UNIT, at + UNIT))
        self.chain = crc
        self.frames += 1
        self.records += count
        self.offset += (1 + count) * UNIT
        return (1 + count) * UNIT, ""

    def damaged(self, what: str) -> LogDamaged:
        """The error for the frame the reader stands at."""
        return LogDamaged(str(self.path), self.frames, self.offset, self.records, what)

    def require_closed(self) -> None:
        """Raise NotClosed where the end frame is missing, LogDamaged if bytes are set where nothing was written."""
        if self.closed:
            return
        size = self.tail_size()
        if size:
            raise self.damaged(f"{size} bytes that are no whole frame (torn)")
        raise NotClosed(str(self.path), self.frames, self.offset, self.records)

    def tail_size(self) -> int:
        """Bytes from where the reader stands to the last byte of the file that is not zero."""
        size, offset = 0, self.offset
        while chunk := self._bytes(offset, READ_BYTES):
            used = len(chunk.rstrip(b"\0"))
            if used:
                size = offset + used - self.offset
            offset += len(chunk)
        return size

    def synced_beyond(self) -> int:
        """The most records that an intact frame after this place says were on the disk when it was begun; 0 if none.

        More than what was read means that bytes once safe have changed: damage, and not a torn tail.
        """
        most, offset = 0, self.offset + UNIT
        while chunk := self._bytes(offset, READ_BYTES + (1 + FRAME_RECORDS_MAX) * UNIT):
            words = np.frombuffer(chunk, "<u4", len(chunk) // UNIT * (UNIT // 4))[:: UNIT // 4]
            for index in np.flatnonzero((words == DATA_MAGIC) | (words == END_MAGIC)):
                at = int(index) * UNIT
                _, count, _, synced, previous, crc = FRAME_HEADER.unpack_from(chunk, at)
                if count <= FRAME_RECORDS_MAX and _frame_crc(chunk, at, count, previous) == crc:
                    most = max(most, synced - self.first_record)
            offset += READ_BYTES
        return most

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _frame_crc(chunk: bytes, at: int, count: int, previous: int) -> int:
    """The chained checksum of the frame at chunk[at:]: of its header without the checksum, then of its records."""
    return crc32c(chunk[at + UNIT : at + (1 + count) * UNIT], crc32c(chunk[at : at + UNIT - 4], previous))


def read_journal(path: str | Path, live: bool = False, walk: Walk | None = None) -> Iterator[np.ndarray]:
    """The records of a journal as EVENT arrays, verified, in bounded memory.

    walk: see Walk.  live: the file may have no end yet; what is written is read and its tail is not judged.
    Raises LogDamaged (NotClosed where only the end is missing), after everything intact was handed out.
    """
    with JournalReader(path, walk) as reader:
        yield from reader.read()
        if not live:
            reader.require_closed()


def _locked(path: Path, flags: int) -> int:
    """A descriptor for reading and writing `path`, with the one writer's lock on it."""
    with saying(path, "nothing was written"):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise OperatorError(f"{path}: another process is writing this journal; stop it first") from None
    return fd


class Journal:
    """A journal open for appending, by one writer at a time (a lock on the file sees to it).

    `records` counts what is in it, `synced` what is known to be on the disk.  What was appended survives the death of
    the process; what was synced survives that of the machine.  A medium that fails under a mapped page kills the
    process with SIGBUS, as for every mapped file; a full disk does not.
    """

    def __init__(self, path: Path, fd: int, run_id: bytes, first_record: int) -> None:
        """Not for callers: use Journal.create or Journal.open."""
        self.path, self._fd, self.run_id, self.first_record = path, fd, run_id, first_record
        self.records = self.synced = 0
        self._chain = self._offset = self._allocated = self._window_start = 0
        self._window: mmap.mmap | None = None

    @classmethod
    def create(cls, path: str | Path, run_id: bytes, first_record: int = 0) -> Journal:
        """Begin a new journal.  run_id: 16 bytes of the run.  first_record: index in the log of its first record.

        It gets its name when its header is on the disk, so that no crash and no reader meets one without.
        Raises OperatorError if the file exists, DiskError if it cannot be made or the disk is full.
        """
        assert len(run_id) == 16 and first_record >= 0
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        journal = cls(path, _locked(partial, os.O_CREAT | os.O_TRUNC), run_id, first_record)
        try:
            journal._allocate(2 * UNIT)
            header = FILE_HEADER.pack(FILE_MAGIC, VERSION, UNIT, run_id, first_record, 0)[:-4]
            journal._chain = crc32c(header)
            window, at = journal._place(UNIT)
            window[at : at + UNIT] = header + journal._chain.to_bytes(4, "little")
            journal._offset = UNIT
            journal.sync()
            with saying(path, "nothing was written"):
                os.link(partial, path)
                sync_folder(path.parent)
        except BaseException as error:
            journal._release()
            if isinstance(error.__cause__, FileExistsError):
                raise OperatorError(
                    f"{path}: exists already, and a log is never overwritten; use a new folder"
                ) from None
            raise
        finally:
            partial.unlink()
        return journal

    @classmethod
    def open(cls, path: str | Path, walk: Walk | None = None) -> tuple[Journal, TornTail | None]:
        """Reopen for appending after verifying every frame; a torn tail is dropped and said.

        Raises LogDamaged, and changes nothing, where bytes that had been synced are bad: that is damage, not tearing.
        """
        path = Path(path)
        fd = _locked(path, 0)
        try:
            with JournalReader(path, walk) as reader:
                what = ""
                try:
                    for _ in reader.read():
                        pass
                except LogDamaged as damage:
                    if reader.synced_beyond() > reader.records:
                        raise
                    what = damage.what
                if not what and not reader.closed and reader.synced_beyond() > reader.records:
                    raise reader.damaged("a frame header that was zeroed")
                size = 0 if reader.closed else reader.tail_size()
                torn = TornTail(reader.frames, reader.offset, size, what or "an unfinished frame") if size else None
                journal = cls(path, fd, reader.run_id, reader.first_record)
                journal.records, journal._offset = reader.records, reader.offset
                journal._chain = reader.chain
            # Cut and allocate again: what was dropped must read as zeros, which mean "nothing written yet".
            with saying(path, f"{journal.records} records are safe in it"):
                os.ftruncate(fd, journal._offset)
            journal._allocated = journal._offset
            journal._allocate(UNIT)
            journal.sync()
        except BaseException:
            os.close(fd)
            raise
        return journal, torn

    def append(self, records: np.ndarray) -> None:
        """Append EVENT[n] as frames of at most FRAME_RECORDS_MAX records: all of them, or none and DiskError."""
        # `is` first: comparing two structured dtypes costs as much as the rest of a small append.
        assert self._fd >= 0 and records.ndim == 1 and (records.dtype is EVENT or records.dtype == EVENT)
        count = records.size
        if count == 0:
            return
        # One unit more, so that closing never needs space that a full disk does not have.
        size = (count + -(-count // FRAME_RECORDS_MAX) + 1) * UNIT
        assert self._offset + size <= JOURNAL_BYTES_MAX, "a full journal is sealed and the next one begun"
        if self._offset + size > self._allocated:
            self._allocate(size)
        if count <= FRAME_RECORDS_MAX:
            self._put(DATA_MAGIC, records.tobytes())
            return
        for start in range(0, count, FRAME_RECORDS_MAX):
            self._put(DATA_MAGIC, records[start : start + FRAME_RECORDS_MAX].tobytes())

    @property
    def room(self) -> int:
        """Records that still fit below JOURNAL_BYTES_MAX in one append; begin the next journal when it is too few."""
        units = (JOURNAL_BYTES_MAX - self._offset) // UNIT - 1
        return max(0, units - -(-units // (FRAME_RECORDS_MAX + 1)))

    def _put(self, magic: int, payload: bytes) -> None:
        """Write one frame: everything but the magic, then the magic, so that a frame is there only when it is whole."""
        count, size = len(payload) // UNIT, UNIT + len(payload)
        first, synced = self.first_record + self.records, self.first_record + self.synced
        header = FRAME_HEADER.pack(magic, count, first, synced, self._chain, 0)[:-4]
        crc = crc32c(payload, crc32c(header, self._chain))
        window, at = self._window, self._offset - self._window_start
        if window is None or at + size > len(window):
            window, at = self._place(size)
        window[at + 4 : at + size] = header[4:] + crc.to_bytes(4, "little") + payload
        window[at : at + 4] = header[:4]
        self._chain = crc
        self._offset += size
        self.records += count

    def _place(self, size: int) -> tuple[mmap.mmap, int]:
        """The window, moved if need be, and where in it the next `size` bytes go."""
        at = self._offset - self._window_start
        if self._window is None or at + size > len(self._window):
            self._unmap()
            self._window_start = self._offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            at = self._offset - self._window_start
            length = min(WINDOW_BYTES, self._allocated - self._window_start)
            with saying(self.path, f"{self.records} records are safe in it"):
                self._window = mmap.mmap(self._fd, length, offset=self._window_start)
        assert at + size <= len(self._window)
        return self._window, at

    def _allocate(self, size: int) -> None:
        """See that `size` bytes after what is written have their blocks.  Raises DiskError on a full disk."""
        if self._offset + size <= self._allocated:
            return
        grown = max(self._offset + size, self._allocated + WINDOW_BYTES)
        with saying(self.path, f"{self.records} records are safe in it"):
            os.posix_fallocate(self._fd, 0, grown)
        self._allocated = grown

    def reserve(self, size: int) -> None:
        """See that `size` more bytes can be written whatever the disk does.  Raises DiskError, and changes nothing."""
        if self._offset + size > self._allocated:
            self._allocate(size)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._offset

    def sync_aside(self) -> None:
        """As `sync`, from another thread while this one appends; nobody may close it meanwhile.

        The kernel knows which pages of the mapping were written, so the file's own fsync reaches them.
        """
        records = self.records
        with saying(self.path, f"{self.synced} of its {self.records} records are known to be on the disk"):
            os.fsync(self._fd)
        self.synced = max(self.synced, records)

    def sync(self) -> None:
        """Wait until everything appended is on the disk.  Raises DiskError; then nothing after `synced` is certain."""
        with saying(self.path, f"{self.synced} of its {self.records} records are known to be on the disk"):
            if self._window is not None:
                self._window.flush()
            # Windows left behind are dirty pages of the file, which msync of this window does not reach.
            os.fsync(self._fd)
        self.synced = self.records

    def close(self) -> None:
        """Write the end frame and cut the file to its length, so that anything missing later is seen as missing."""
        if self._fd < 0:
            return
        try:
            self.sync()
            # Cut first: a reader that sees the end frame may then rely on it being the last bytes of the file.
            with saying(self.path, f"{self.records} records are safe in it"):
                os.ftruncate(self._fd, self._offset + UNIT)
            self._allocated = self._offset + UNIT
            self._put(END_MAGIC, b"")
            self.sync()
        finally:
            self._release()

    def _unmap(self) -> None:
        if self._window is not None:
            self._window.close()
            self._window = None

    def _release(self) -> None:
        self._unmap()
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

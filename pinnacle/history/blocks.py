"""A recorded text file as blocks of whole lines, gzip or plain, in bounded memory, with its damage named.

A recorder that is killed leaves a gzip file without its end.  What was written before is intact, and how much of it
there is decides whether a person wants it: so damage is an error that comes after the last intact line.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pinnacle.errors import HistoryError
from pinnacle.limits import MESSAGE_BYTES_MAX

# A block fits the second-level cache together with the records that come of it.
BLOCK_BYTES = 1 << 20
_READ_BYTES = 1 << 16
_GZIP = b"\x1f\x8b"


class DamagedFile(HistoryError):
    """The file's bytes are not what a gzip writer wrote.  what: the sentence's middle, for the caller to complete."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        super().__init__(f"{path}: {what}")


def existing_file(path: Path) -> Path:
    """The path itself.  Raises HistoryError if there is no such file, or it is empty or unreadable."""
    try:
        if not path.is_file():
            raise HistoryError(f"{path}: no such file; give the path of a recording or of a catalog")
        if path.stat().st_size == 0:
            raise HistoryError(f"{path}: the file is empty; nothing was recorded in it")
    except OSError as error:
        raise HistoryError(f"{path}: cannot be read ({error.strerror})") from None
    return path


class LineBlocks:
    """Blocks of whole lines of one file, each ending with a newline; can be iterated any number of times.

    bytes_total: size of the file.  bytes_done: how far the current pass has read.
    Iterating raises DamagedFile after the last whole line before the damage, and HistoryError for a line longer than
    limits.MESSAGE_BYTES_MAX.  A last line without a newline is given with one.
    """

    def __init__(self, path: Path) -> None:
        self.path = existing_file(path)
        self.bytes_total = path.stat().st_size
        self.bytes_done = 0
        with self.path.open("rb") as file:
            magic = file.read(2)
        self.compressed = magic == _GZIP
        if path.suffix == ".gz" and not self.compressed:
            raise HistoryError(
                f"{path}: not a gzip file (it begins with {magic.hex()}, gzip begins with 1f8b); "
                "rename it without .gz if it is plain text"
            )

    def __iter__(self) -> Iterator[bytes]:
        # The next block is inflated while the caller works on this one: zlib and the kernels both let go of the
        # interpreter, and each takes about half of the time.
        blocks = self._blocks()
        with ThreadPoolExecutor(1, "inflate") as reader:
            ahead = reader.submit(next, blocks, b"")
            while block := ahead.result():
                ahead = reader.submit(next, blocks, b"")
                yield block

    def first(self) -> bytes:
        """The first block alone, empty if there is no line."""
        return next(self._blocks(), b"")

    def _blocks(self) -> Iterator[bytes]:
        tail = b""
        pieces = self._inflated() if self.compressed else self._plain()
        gathered: list[bytes] = []
        gathered_bytes = 0
        damage: DamagedFile | None = None
        while damage is None:
            try:
                piece = next(pieces, b"")
            except DamagedFile as error:
                damage, piece = error, b""
            gathered.append(piece)
            gathered_bytes += len(piece)
            if piece and gathered_bytes < BLOCK_BYTES:
                continue
            block = b"".join((tail, *gathered))
            gathered, gathered_bytes = [], 0
            if not piece and damage is None and block and not block.endswith(b"\n"):
                block += b"\n"
            end = block.rfind(b"\n") + 1
            block, tail = block[:end], block[end:]
            if len(tail) > MESSAGE_BYTES_MAX:
                raise HistoryError(f"{self.path}: a line is longer than {MESSAGE_BYTES_MAX:,} bytes; not a recording")
            if block:
                yield block
            if not piece:
                break
        if damage is not None:
            raise damage

    def _plain(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            self.bytes_done = 0
            while piece := file.read(BLOCK_BYTES):
                self.bytes_done += len(piece)
                yield piece

    def _inflated(self) -> Iterator[bytes]:
        """Decompressed pieces; members that follow one another are one stream, as gzip(1) reads them."""
        with self.path.open("rb") as file:
            self.bytes_done = 0
            inflater = zlib.decompressobj(31)
            pending = b""
            while True:
                if not pending:
                    pending = file.read(_READ_BYTES)
                    self.bytes_done += len(pending)
                    if not pending:
                        break
                if inflater.eof:
                    pending = pending.lstrip(b"\0")  # padding after a member
                    if not pending:
                        continue
                    inflater = zlib.decompressobj(31)
                try:
                    piece = inflater.decompress(pending, BLOCK_BYTES)
                except zlib.error as error:
                    at = self.bytes_done - len(pending)
                    raise DamagedFile(
                        self.path, f"corrupt gzip between bytes {at:,} and {self.bytes_done:,} ({error})"
                    ) from None
                pending = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                if piece:
                    yield piece
            if not inflater.eof:
                raise DamagedFile(
                    self.path, f"truncated gzip, it ends at byte {self.bytes_done:,} without its checksum"
                )

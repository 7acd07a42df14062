"""Raw bytes of a session's connections as they came, compressed: what a parser's mistake is found with afterwards.

A line of JSON a message, `{"at": ns, "from": connection, "text": ...}`, in zstd frames that end every second or so, so
that a file cut short is readable up to there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pinnacle.errors import DiskError
from pinnacle.limits import TAPE_FRAME_BYTES


class TapeFile:
    """An open tape.  Raises DiskError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        self._codec: Any = pa.Codec("zstd")
        self._lines: list[bytes] = []
        self._size = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = path.open("ab")
        except OSError as error:
            raise DiskError(f"{path}: cannot be written: {error.strerror}") from None

    def write(self, source: str, ts_ns: int, data: bytes) -> None:
        line = json.dumps({"at": ts_ns, "from": source, "text": data.decode(errors="replace")}).encode() + b"\n"
        self._lines.append(line)
        self._size += len(line)
        if self._size >= TAPE_FRAME_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one frame."""
        if not self._lines:
            return
        frame = self._codec.compress(b"".join(self._lines), asbytes=True)
        self._lines.clear()
        self._size = 0
        try:
            self._file.write(frame)
            self._file.flush()
        except OSError as error:
            raise DiskError(f"{self.path}: cannot be written: {error.strerror}; the log itself is whole") from None

    def close(self) -> None:
        self.flush()
        self._file.close()

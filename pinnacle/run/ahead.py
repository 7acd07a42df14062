"""Reading ahead: the next batches of an iterator, made in a thread while the present one is worked on.

Decoding and the kernels leave the interpreter's lock, so on two cores the slower of reading and running is what counts.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
# Batches that wait: enough to keep both sides busy, few enough to bound memory.
_WAITING_MAX = 1


class ReadAhead(Generic[Item]):
    """Iterate another iterator from a thread of its own, in the same order.  What that raises is raised here."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(_WAITING_MAX)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put((item, None)):
                    return
        except BaseException as raised:
            error = raised
        self._put((None, error))

    def _put(self, entry: tuple[Item | None, BaseException | None]) -> bool:
        """Wait for room; False once the reader has lost interest."""
        while not self._closed.is_set():
            try:
                self._waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> ReadAhead[Item]:
        return self

    def __next__(self) -> Item:
        if self._closed.is_set():
            raise StopIteration
        item, error = self._waiting.get()
        if item is None:
            self.close()
            if error is not None:
                raise error
            raise StopIteration
        return item

    def close(self) -> None:
        """Stop reading; what was read and not taken is dropped."""
        self._closed.set()

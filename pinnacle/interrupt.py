"""Ctrl-C, written down as well as raised, so that whatever a library makes of one is still an interruption.

A KeyboardInterrupt is raised wherever the interpreter happens to be.  Inside a library it may come out as that
library's own failure (a lock file that is gone, a module that is half imported), or be swallowed by a callback; the
person who pressed the keys means the same in each case.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_CODE = 130  # 128 and the number of SIGINT, as shells say it
_heard = False


@contextmanager
def written_down() -> Iterator[None]:
    """While the block runs, Ctrl-C is written down and raised.

    Outside the main thread, where signals cannot be heard, and in a process that was told to ignore it, nothing is
    changed.
    """
    global _heard
    _heard = False
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, _hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _hear(number: int, frame: Any) -> None:
    global _heard
    _heard = True
    signal.default_int_handler(number, frame)


def stopping() -> list[int]:
    """The signals by which whoever has orders at a venue is told to cancel them and end: Ctrl-C, the system's word, and
    the end of the terminal (a line that breaks, a window that is closed), unless `nohup` said to ignore that."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hung_up]


def check() -> None:
    """Raise the KeyboardInterrupt that was heard and did not come through; for the head of a long loop."""
    if _heard:
        raise KeyboardInterrupt


def is_behind(error: BaseException) -> bool:
    """Whether an error comes of a Ctrl-C: it is one, one is among its causes, or one was heard since the start."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return _heard or cause is not None

"""A test that hangs fails with the stack of every thread, and the run goes on: the hooks of pytest-timeout, our way.

Its own exception is swallowed by uvloop, which lets a KeyboardInterrupt through and nothing else; and one of these
would end the whole run.  So what is raised here is a KeyboardInterrupt, and a failure before pytest sees it.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest


class TooLong(KeyboardInterrupt):
    """A test has taken longer than `timeout` in pyproject.toml, or the one of its own mark."""


def _stacks() -> str:
    """What every thread is doing."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    told = [
        f"thread {names.get(number, number)}:\n{''.join(traceback.format_stack(frame))}"
        for number, frame in sys._current_frames().items()
    ]
    return "\n".join(told)


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    def ring(number: int, frame: Any) -> None:
        raise TooLong(f"not done after {settings.timeout:g} s\n{_stacks()}")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return True


def _failing() -> Iterator[None]:
    try:
        return (yield)
    except TooLong as late:
        pytest.fail(str(late))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    return (yield from _failing())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    return (yield from _failing())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    return (yield from _failing())

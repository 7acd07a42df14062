"""A command on a terminal of its own, with somebody who types."""

from __future__ import annotations

import os
import pty
import select
import time
from pathlib import Path

from tests.cli.command import Said, command

_PATIENCE_S = 30.0


def typed(*args: str | Path, answers: list[tuple[str, str]], **environment: str) -> Said:
    """Run a command; each time a text of `answers` has been said, in their order, type what goes with it.

    What is typed is sent as it is: end it with a line end, or send a control character.
    """
    words = command(*args)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(words[0], words, {**os.environ, **environment})
    said, seen, until = "", 0, time.monotonic() + _PATIENCE_S
    waiting = list(answers)
    while time.monotonic() < until:
        if waiting and waiting[0][0] in said[seen:]:
            seen = said.index(waiting[0][0], seen) + len(waiting[0][0])
            # The prompt is written before echoing is switched off; what comes between would be seen.
            time.sleep(0.1)
            os.write(terminal, waiting.pop(0)[1].encode())
        ready, _, _ = select.select([terminal], [], [], 0.05)
        if ready:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            if not part:
                break
            said += part.decode()
    # Also one that has closed its terminal may go on for ever.
    ended, status = os.waitpid(pid, os.WNOHANG)
    while not ended and time.monotonic() < until:
        time.sleep(0.01)
        ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, 9)
        _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert not waiting, f"never asked {waiting[0][0]!r}: {said}"
    return Said(os.waitstatus_to_exitcode(status), said, "")

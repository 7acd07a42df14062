"""Where a process of pinnacle begins: Ctrl-C is answered from here on, before the command line is even imported.

An import takes tenths of a second and an interrupted one leaves a page of traceback.  Nothing is begun before the
command line takes over, nor after it has ended, so the process may leave as it stands.
"""

from __future__ import annotations

import os
import signal
from typing import Any


def main() -> None:
    """The command line.  What it may write is said there."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from pinnacle.cli import main as command

    command(prog_name="pinnacle")


def _leave(number: int, frame: Any) -> None:
    os.write(2, b"interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()

"""Every error a person can meet, by whose fault it is.

The class says who must act; the message says who, what was found, and what to do next. The command line prints the
message alone and exits with `exit_code`; anything that is not a PinnacleError is our own mistake and keeps its
traceback.
"""

from __future__ import annotations


class PinnacleError(Exception):
    """Root of the errors a person can act on.  str(error) is one sentence or two, without a traceback."""

    exit_code = 1


class OperatorError(PinnacleError):
    """The operator's: a config, a path, an option, a strategy file.  The message names the file and the remedy."""

    exit_code = 2


class StrategyError(OperatorError):
    """A strategy that does not load, does not compile, raises, or asks for something that is not a number."""


class HistoryError(PinnacleError):
    """Recorded data that cannot be used as it is: wrong format, corrupt, empty, off the tick, out of order."""

    exit_code = 3


class VenueError(PinnacleError):
    """A venue broke its contract, or refused what we are allowed to ask."""

    exit_code = 4


class DiskError(PinnacleError):
    """The disk's: full, unwritable, or a file that is not what was written."""

    exit_code = 5


class LogDamaged(DiskError):
    """A log whose bytes are not what was written.

    path: the file.  frame: index of the first bad frame.  offset: its first byte in the file.
    records_usable: records of this file that were verified before it and can be read.
    """

    def __init__(self, path: str, frame: int, offset: int, records_usable: int, what: str) -> None:
        self.path, self.frame, self.offset, self.records_usable, self.what = path, frame, offset, records_usable, what
        super().__init__(
            f"{path}: {what} in frame {frame} at byte {offset}; "
            f"{records_usable} records before it are intact and readable"
        )


class Diverged(PinnacleError):
    """A replay whose output differs from the recorded one."""

    exit_code = 1


class EngineStopped(PinnacleError):
    """A limit of the engine was reached and it stopped rather than go on wrong.  The message names the limit."""

    exit_code = 6

"""The wall clock in nanoseconds, as one that never goes back, and what it did that a clock should not.

It runs with the machine's monotonic clock, so that a step of the wall clock cannot reverse two events or freeze a
timer; a small difference to the wall clock is worked off slowly, a large one is a jump that its owner must hear of.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# A difference that no disciplined clock shows within a second.
JUMP_NS = 250_000_000
# How much of a second the clock may be pulled towards the wall clock in a second, as time daemons do.
SLEW = 500e-6


class Clock:
    """now_ns: rises always.  floor_ns: it starts above this, whatever the wall clock says."""

    def __init__(
        self,
        floor_ns: int = 0,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._checked_ns = steady()
        self._offset_ns = max(wall(), floor_ns) - self._checked_ns
        self._last_ns = 0
        self.jumps = 0

    def now_ns(self) -> int:
        """Nanoseconds since 1970 UTC, never less than before."""
        now_ns = self._steady() + self._offset_ns
        if now_ns < self._last_ns:
            return self._last_ns
        self._last_ns = now_ns
        return now_ns

    def check(self) -> int:
        """Compare with the wall clock, about once a second: how far that has jumped since, 0 if it has not.

        A jump ahead is followed at once; a jump back is only worked off, because time may not go back here.
        """
        steady_ns = self._steady()
        away_ns = self._wall() - (steady_ns + self._offset_ns)
        passed_ns = steady_ns - self._checked_ns
        self._checked_ns = steady_ns
        if away_ns > JUMP_NS:
            self._offset_ns += away_ns
            self.jumps += 1
            return away_ns
        step_ns = int(passed_ns * SLEW)
        self._offset_ns += max(-step_ns, min(step_ns, away_ns))
        if away_ns < -JUMP_NS and not self._behind:
            self._behind = True
            self.jumps += 1
            return away_ns
        self._behind = away_ns < -JUMP_NS
        return 0

    _behind = False

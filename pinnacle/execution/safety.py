"""Whether we may trade: the kill switch, which latches, and holds, which end by themselves; one for all venues.

What is decided here becomes a record that the engine hears, so a replay decides the same.  A kill is for what a person
must look at.  A hold is for what passes: no connection, a rate limit, a halted market.  The operator's own pause is
kept apart from both: the end of a hold gives back what the operator wanted, and nothing more.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from pinnacle.event import (
    HOLD_OVER,
    LAST,
    OPERATOR_FLATTEN,
    OPERATOR_KILL,
    OPERATOR_PAUSE,
    OPERATOR_RESUME,
    REASON_SHIFT,
    empty,
    reason_of,
)

FOR_EVER = (1 << 63) - 1


class Safety:
    """killed: whether trading stopped for good, and why (KILL_*, 0 the operator).  rows: records to be heard."""

    def __init__(self) -> None:
        self.killed = False
        self.why = 0
        self.rows: deque[np.ndarray] = deque()
        self._operator = OPERATOR_RESUME
        self._holds: dict[tuple[int, int], int] = {}  # (venue, HOLD_*) -> until
        self._told = False

    @property
    def wanted(self) -> int:
        """OPERATOR_PAUSE, _RESUME or _FLATTEN: what the operator said last."""
        return self._operator

    @property
    def held(self) -> bool:
        return bool(self._holds)

    def holds(self) -> list[int]:
        """HOLD_* of what holds now."""
        return sorted({reason for _, reason in self._holds})

    def remember(self, record: np.void) -> None:
        """An OPERATOR_* record of the log, at a recovery: what the operator wanted, and whether a kill latched."""
        kind, reason = int(record["kind"]), reason_of(int(record["flags"]))
        if kind == OPERATOR_KILL:
            self.killed, self.why = True, reason
        elif reason == 0:
            self._operator = kind

    def operator(self, kind: int, ts_ns: int) -> None:
        """What the operator says: OPERATOR_PAUSE, _RESUME, _FLATTEN or _KILL."""
        if kind == OPERATOR_KILL:
            self.kill(0, ts_ns)
            return
        self._operator = kind
        if not self.killed and (kind == OPERATOR_PAUSE or not self._holds):
            self._say(kind, 0, ts_ns)

    def reopen(self, ts_ns: int) -> None:
        """Before the first event of a process that does nothing but take positions off: the operator's flatten is the
        first thing said, and a kill in the log does not stop it, because the engine wants nothing else any more."""
        assert not self.rows and not self._holds
        self.killed, self.why, self._operator = False, 0, OPERATOR_FLATTEN
        self._say(OPERATOR_FLATTEN, 0, ts_ns)

    def kill(self, reason: int, ts_ns: int) -> None:
        """Stop for good; said once."""
        if not self.killed:
            self.killed, self.why = True, reason
            self._say(OPERATOR_KILL, reason, ts_ns)

    def hold(self, venue: int, reason: int, until_ns: int, ts_ns: int) -> None:
        """No quotes until then, FOR_EVER: until it is released."""
        key = (venue, reason)
        self._holds[key] = max(self._holds.get(key, 0), until_ns)
        if not self._told:
            self._told = True
            self._say(OPERATOR_PAUSE, reason, ts_ns)

    def release(self, venue: int, reason: int, ts_ns: int) -> None:
        """That is over."""
        self._holds.pop((venue, reason), None)
        self.tick(ts_ns)

    def tick(self, ts_ns: int) -> None:
        """Holds end with time, and the last of them gives back what the operator wanted."""
        if self._holds:
            self._holds = {key: until for key, until in self._holds.items() if until > ts_ns}
        if self._told and not self._holds:
            self._told = False
            if self._operator != OPERATOR_PAUSE and not self.killed:
                self._say(self._operator, HOLD_OVER, ts_ns)

    def _say(self, kind: int, reason: int, ts_ns: int) -> None:
        row = empty(1)
        row[0]["ts_ns"], row[0]["kind"], row[0]["flags"] = ts_ns, kind, LAST | reason << REASON_SHIFT
        self.rows.append(row)

"""Numbers that only rise, one source a key: what venues demand so that no request can be played to them twice.

They are made from the time, and what was given last is kept outside the process by who owns the key (`LastNonce`), so
that neither a clock set back between two processes nor two of them at once is refused for a number that was used.
"""

from __future__ import annotations

from typing import Protocol

from pinnacle.limits import NONCE_AHEAD_NS_MAX

# How far a nonce that was refused is left behind at first; it doubles with each refusal in a row.
_SKIP_NS = 1_000_000_000


class LastNonce(Protocol):
    """What was given last of one key, whoever gave it."""

    def take(self, at_least: int, unit_ns: int) -> int:
        """A number that nobody was given: at_least, or one above the last; both in units of unit_ns."""


class Nonces:
    """unit_ns: of the clock they are made from (a millisecond, a microsecond).  shared: of all processes that have the
    key.  ahead_ns_max: how far they may run ahead of the time where another machine has used greater ones: no further
    than the venue takes them."""

    def __init__(self, unit_ns: int, shared: LastNonce | None = None, ahead_ns_max: int = NONCE_AHEAD_NS_MAX) -> None:
        self._unit_ns, self._last, self._shared = unit_ns, 0, shared
        self._ahead_ns_max, self._refusals = ahead_ns_max, 0
        self._alone = self._trusted = False

    def next(self, ts_ns: int) -> int:
        """The next one: the time, or one more than the last where that is not above it."""
        number = max(self._last + 1, ts_ns // self._unit_ns)
        if self._shared is not None:
            shared = self._shared.take(number, self._unit_ns)
            # A clock that was hours ahead once leaves such a number behind.  Where the venue takes none so far from its
            # time it took none of those either, and whoever kept to them could not even cancel until that time is
            # there.  Or it is ours that is behind now: so both are tried, and what the venue takes is kept to.
            far = self._ahead_ns_max < NONCE_AHEAD_NS_MAX and shared * self._unit_ns > ts_ns + self._ahead_ns_max
            self._alone = far and (self._trusted or self._refusals % 2 == 1)
            if far and not self._alone:
                return shared
            number = number if self._alone else shared
        self._last = number
        return number

    def refused(self, ts_ns: int) -> None:
        """The venue has seen a greater one: of a request that overtook ours, or of another machine whose clock is
        ahead.  The next is farther up, twice as far each time, until the venue is passed."""
        most = (ts_ns + self._ahead_ns_max) // self._unit_ns
        above = max(self._last, ts_ns // self._unit_ns) + (_SKIP_NS << min(self._refusals, 20)) // self._unit_ns
        self._last = max(self._last, min(above, most))
        self._refusals += 1

    def taken(self) -> None:
        """The venue took one."""
        self._refusals, self._trusted = 0, self._trusted or self._alone

"""Numbers that only rise, one source a key: what venues demand so that no request can be played to them twice."""

from __future__ import annotations


class Nonces:
    """unit_ns: of the clock they are made from (a millisecond, a microsecond).  floor_ns: they begin above it; a
    session gives the time of its log's last record, so that a clock set back between two runs does no harm."""

    def __init__(self, unit_ns: int, floor_ns: int = 0) -> None:
        self._unit_ns, self._last = unit_ns, floor_ns // unit_ns

    def next(self, ts_ns: int) -> int:
        """The next one: the time, or one more than the last where that is not above it."""
        self._last = max(self._last + 1, ts_ns // self._unit_ns)
        return self._last

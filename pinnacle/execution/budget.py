"""A venue's rate limits as we count them: what may be sent now, with a part that only cancels and questions may use.

The venue refuses, and then bans, whoever does not count for himself.  Windows are counted from our own clock and begin
anew wherever the venue's do, so what is allowed here in a window is what two of the venue's could share at worst: the
windows slide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pinnacle.venues.gateway import Capabilities, Window, costs_of


class _Count:
    """Weights used in one window, or a counter that decays."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._used: deque[tuple[int, int]] = deque()
        self._sum = 0
        self._level, self._level_ns = 0.0, 0

    def used(self, now_ns: int) -> float:
        """What counts against the limit now."""
        window = self.window
        if window.decay_per_s:
            fallen = (now_ns - self._level_ns) / 1e9 * window.decay_per_s
            self._level, self._level_ns = max(0.0, self._level - fallen), now_ns
            return self._level
        # An entry stands for what was sent within a hundredth of the window after it, so it counts that much longer.
        while self._used and self._used[0][0] <= now_ns - window.length_ns - window.length_ns // 100:
            self._sum -= self._used.popleft()[1]
        return self._sum

    def add(self, weight: int, now_ns: int) -> None:
        """A request was sent."""
        self.used(now_ns)
        if self.window.decay_per_s:
            self._level += weight
            return
        self._sum += weight
        # Joined within a hundredth of the window, so that the memory is bounded.
        if self._used and now_ns - self._used[-1][0] < self.window.length_ns // 100:
            at_ns, before = self._used.pop()
            self._used.append((at_ns, before + weight))
        else:
            self._used.append((now_ns, weight))


class Budget:
    """The limits of one account."""

    def __init__(self, capabilities: Capabilities, ignored: bool = False) -> None:
        """ignored: nothing is held back; for tests that show what then happens."""
        self._capabilities, self._ignored = capabilities, ignored
        self._windows = {window.name: window for window in capabilities.windows}
        self._counts: dict[tuple[str, int], _Count] = {}

    def take(self, request: str, instrument: int, now_ns: int, urgent: bool, age_ns: int = 0) -> bool:
        """Count a request if it may be sent now.  urgent: a cancel or a question, which may use the reserve.  age_ns:
        of the order it is about."""
        costs: Sequence[tuple[str, int]] = costs_of(self._capabilities, request, age_ns)
        counts = [(self._count(name, instrument), weight) for name, weight in costs]
        if not self._ignored and request not in self._capabilities.counted_only:
            for count, weight in counts:
                most = count.window.most - (0 if urgent else count.window.reserve)
                if count.used(now_ns) + weight > most:
                    return False
        for count, weight in counts:
            count.add(weight, now_ns)
        return True

    def _count(self, name: str, instrument: int) -> _Count:
        window = self._windows[name]
        key = (name, instrument if window.per_instrument else -1)
        found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = _Count(window)
        return found

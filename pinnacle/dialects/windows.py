"""Counting what clients do in fixed windows of time: the rate limits of most venues.

A window begins at whole multiples of its length, as Binance counts; a bucket that refills is another rule and another
class.  Memory is bounded: the counts of a window are forgotten when the next one begins.
"""

from __future__ import annotations

from pinnacle.limits import WINDOW_KEYS_MAX


class Window:
    """How much each key (an address, an account) used in the present window of window_ns, and the most it may."""

    def __init__(self, window_ns: int, most: int) -> None:
        self.window_ns, self.most = window_ns, most
        self._number = -1
        self._used: dict[object, int] = {}

    def _turn(self, now_ns: int) -> None:
        number = now_ns // self.window_ns
        if number != self._number:
            self._number = number
            self._used.clear()

    def used(self, key: object, now_ns: int) -> int:
        """What a key has used in the window."""
        self._turn(now_ns)
        return self._used.get(key, 0)

    def use(self, key: object, amount: int, now_ns: int) -> bool:
        """Count an amount; False if that is more than the most, and it is counted all the same.

        Keys beyond limits.WINDOW_KEYS_MAX in one window are refused: that many addresses at once are no clients.
        """
        self._turn(now_ns)
        if key not in self._used and len(self._used) >= WINDOW_KEYS_MAX:
            return False
        self._used[key] = max(0, self._used.get(key, 0) + amount)
        return self._used[key] <= self.most

    def left_ns(self, now_ns: int) -> int:
        """Time until the next window."""
        return self.window_ns - now_ns % self.window_ns


class Bucket:
    """Tokens of each key: `most` at first, refilled by `rate` a second, never more than `most`.

    A token bucket whose answer is exact in integers: tokens are counted in parts per 1e9.
    """

    def __init__(self, rate: int, most: int) -> None:
        self.rate, self.most = rate, most
        self._kept: dict[object, tuple[int, int]] = {}  # key -> (parts, when)

    def take(self, key: object, tokens: int, now_ns: int) -> bool:
        """Take tokens; False, and none taken, if there are not enough."""
        parts, since = self._kept.get(key, (self.most * 1_000_000_000, now_ns))
        parts = min(self.most * 1_000_000_000, parts + max(0, now_ns - since) * self.rate)
        enough = parts >= tokens * 1_000_000_000
        if key not in self._kept and len(self._kept) >= WINDOW_KEYS_MAX:
            self._kept.clear()
        self._kept[key] = (parts - tokens * 1_000_000_000 if enough else parts, max(since, now_ns))
        return enough

"""Levels of a venue whose books hold numbers that nobody trades on: far-away prices, dust finer than the lot.

Gemini's have asks at a million million dollars, and of 2021 some sizes below the stated lot.  Such a level must not
cost the book: it is left out or rounded down, and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import msgspec

from pinnacle.event import BOOK_LEVEL, LAST
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX
from pinnacle.venues.feed import Followed, Malformed, Rows
from pinnacle.venues.levels import Levels
from pinnacle.venues.singles import Numbers

_exact = msgspec.json.Decoder(list[list[str]])


class LooseLevels(Levels):
    """Levels in arrays of text.  count: told of each level that was left out or rounded."""

    def __init__(self, followed: Followed, columns: tuple[int, int, int], count: Callable[[str], None]) -> None:
        super().__init__(followed, columns)
        self._count = count
        self.spec[0]["loose"] = 1
        # In a message of one odd level the others are plain.
        self._ticks, self._lots = Numbers(followed, False), _Exact(followed, True)

    def told_odd(self, rounded: int, left_out: int) -> None:
        """A kernel found levels of both kinds."""
        for what, many in (("levels finer than the lot", rounded), ("levels out of bounds", left_out)):
            for _ in range(many):
                self._count(what)

    def _odd(self, text: bytes, side: int, ts_ns: int, ts_venue_ns: int, flags: int, last: bool, rows: Rows) -> int:
        """Level by level; what is no number at all is Malformed."""
        instrument, before = self.followed.instrument, rows.count
        try:
            for level in _exact.decode(text):
                price, qty, own_side = self._fields(level, side)
                try:
                    ticks, lots, off_tick, off_lot = self._ticks[price], self._lots[qty], False, False
                except Malformed:
                    ticks, off_tick = _steps(price, instrument.tick)
                    lots, off_lot = _steps(qty, instrument.lot)
                if ticks <= 0 or lots < 0 or off_tick:
                    raise Malformed(f"{instrument.name}: a level of price {price[:40]} and quantity {qty[:40]}")
                if ticks >= PRICE_TICKS_MAX or lots >= QTY_LOTS_MAX:
                    self._count("levels out of bounds")
                    continue
                if off_lot:
                    self._count("levels finer than the lot")
                rows.add(self.followed, ts_ns, ts_venue_ns, BOOK_LEVEL, own_side, ticks, lots, flags=flags)
        except Malformed:
            rows.count = before
            raise
        except (msgspec.MsgspecError, IndexError, ValueError, ArithmeticError):
            rows.count = before
            raise Malformed(f"{instrument.name}: levels that are none: {text[:80]!r}") from None
        if last and rows.count > before:
            rows.events[rows.count - 1]["flags"] = flags | LAST
        return rows.count - before


class _Exact(Numbers):
    """Quantities off the lot are left to who counts them."""

    def _odd(self, text: str) -> int:
        raise Malformed(text[:40])


def _steps(text: str, step: Decimal) -> tuple[int, bool]:
    """(whole steps rounded down, whether there was a rest).  Raises ValueError or ArithmeticError for no number."""
    if len(text) > 60:
        raise ValueError("a number of so many digits is none")
    value = Decimal(text)
    if not value.is_finite() or abs(value.adjusted()) > 40:
        raise ValueError("no number of a market")
    steps = Fraction(value) / Fraction(step)
    whole = steps.numerator // steps.denominator
    return whole, whole != steps

"""Decimal text of single prices and quantities to ticks and lots, quickly where it is plain.

Levels come by the hundred and have a kernel; a trade's two numbers do not pay for the call of one.
"""

from __future__ import annotations

from decimal import Decimal

from pinnacle.errors import HistoryError
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Malformed

# Digits that are a number below both bounds whatever the step; longer ones take the careful way.
_DIGITS_MAX = 12


class Numbers:
    """ticks(text), lots(text) of one instrument.  Both raise Malformed for what is no number of it, or negative."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._tick_digits, self._tick_step = _digits(instrument.tick)
        self._lot_digits, self._lot_step = _digits(instrument.lot)

    def ticks(self, text: str) -> int:
        """Exact ticks of a price."""
        steps = _plain(text, self._tick_digits, self._tick_step)
        return self._careful(text, price=True) if steps < 0 else steps

    def lots(self, text: str) -> int:
        """Exact lots of a quantity."""
        steps = _plain(text, self._lot_digits, self._lot_step)
        return self._careful(text, price=False) if steps < 0 else steps

    def _careful(self, text: str, price: bool) -> int:
        try:
            steps = self.instrument.ticks(text) if price else self.instrument.lots(text)
        except HistoryError as error:
            raise Malformed(str(error)[:300]) from None
        if steps < 0:
            raise Malformed(f"{self.instrument.name}: {text} is negative; it was not taken")
        return steps


def _digits(step: Decimal) -> tuple[int, int]:
    """(digits, units) with step == units * 10^-digits."""
    digits = max(0, -int(step.as_tuple().exponent))
    return digits, int(step.scaleb(digits))


def _plain(text: str, digits: int, step: int) -> int:
    """Whole steps of short plain decimal text, -1 for anything else."""
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    both = whole + fraction
    if len(whole) > _DIGITS_MAX - digits or len(fraction) > digits or not (both.isdigit() and both.isascii()):
        return -1
    steps, rest = divmod(int(both) * 10 ** (digits - len(fraction)), step)
    return -1 if rest else steps

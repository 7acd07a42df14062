"""The step of a price or quantity as integers, for kernels that read decimal text."""

from __future__ import annotations

from decimal import Decimal


def decimal_step(step: Decimal | int) -> tuple[int, int]:
    """(digits, units) with step == units * 10^-digits: 0.1 is (1, 1), 0.25 is (2, 25), 10 is (0, 10)."""
    exact = Decimal(step)
    digits = max(0, -int(exact.as_tuple().exponent))
    return digits, int(exact.scaleb(digits))

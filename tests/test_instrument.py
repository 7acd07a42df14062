"""Decimal text to whole ticks and lots, and back."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.errors import HistoryError
from pinnacle.instrument import Instrument

STEPS = st.sampled_from(("0.1", "0.10", "0.01", "0.25", "1", "0.00001", "5E-3"))
NUMBERS = st.decimals(min_value=-1_000_000, max_value=1_000_000, places=6)


@given(STEPS, NUMBERS)
def test_steps_are_exact(step: str, number: Decimal) -> None:
    """A price is a whole number of ticks exactly where a fraction says so, and comes back as the same number."""
    one = Instrument("venue", "X", Decimal(step), Decimal("0.001"))
    wanted = Fraction(number) / Fraction(Decimal(step))
    if wanted.denominator != 1:
        with pytest.raises(HistoryError, match="not a multiple"):
            one.ticks(str(number))
        return
    assert one.ticks(str(number)) == wanted
    assert Decimal(one.price_text(int(wanted))) == number


def test_a_number_has_the_decimals_of_its_step() -> None:
    """Equal steps that are written differently are not taken for each other."""
    coarse, fine = (Instrument("venue", "X", Decimal(step), Decimal(1)) for step in ("0.1", "0.10"))
    assert [one.price_text(15) for one in (coarse, fine, coarse)] == ["1.5", "1.50", "1.5"]

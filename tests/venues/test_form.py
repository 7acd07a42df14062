"""Forms and steps, made faster than the obvious way, are what the obvious way makes."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.errors import HistoryError
from pinnacle.instrument import Instrument
from pinnacle.venues.form import form_text

VALUES = st.one_of(st.text(), st.integers(), st.sampled_from(("2026-01-01T00:00:00.000Z", "a:b c", "", "~.-_", "%:")))


@given(st.dictionaries(st.text("abcdefgh_[]"[:9], min_size=1), VALUES))
def test_a_form_is_what_the_library_makes(params: dict[str, object]) -> None:
    """Any text and number is quoted as urlencode does; booleans are in lower case."""
    assert form_text(params) == urlencode(params)
    assert form_text({"a": True, "b": False}) == "a=true&b=false"


DECIMALS = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False)


@given(DECIMALS, st.sampled_from(("0.01", "0.00001", "0.05", "1", "25", "1E-8", "0.3", "2.5")))
def test_steps_are_the_exact_quotient(value: Decimal, step: str) -> None:
    """A price is so many ticks as the fraction says, or off the tick."""
    one = Instrument("venue", "X", Decimal(step), Decimal("0.00001"))
    exact = Fraction(value) / Fraction(Decimal(step))
    if exact.denominator == 1 and abs(exact) < 1 << 40:
        assert one.ticks(str(value)) == exact
    else:
        with pytest.raises(HistoryError):
            one.ticks(str(value))

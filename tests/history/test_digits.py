"""Decimal text to whole steps."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.history.steps import decimal_step
from pinnacle.kernels.digits import EXACT, NOT_DECIMAL, OFF_STEP, TOO_LARGE, decimal_column

STEPS = ["0.1", "0.01", "0.25", "0.5", "10", "1", "0.00000001", "0.0005", "25"]


def steps_of(texts, step):
    """(values, status) of the column reader."""
    data = np.frombuffer("".join(texts).encode() + b"\n", np.uint8)
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    values, status = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    decimal_column(data, offsets, *decimal_step(Decimal(step)), values, status)
    return values.tolist(), status.tolist()


def exact(text, step):
    """The same with fractions: (value, status)."""
    quotient = Fraction(Decimal(text)) / Fraction(Decimal(step))
    whole = int(quotient)  # towards zero
    return whole, EXACT if whole == quotient else OFF_STEP


plain = st.builds(
    lambda sign, whole, part: sign + whole + part,
    st.sampled_from(["", "-", "+"]),
    st.from_regex(r"[0-9]{1,9}", fullmatch=True),
    st.from_regex(r"(\.[0-9]{0,12})?", fullmatch=True),
)
written = st.builds(lambda text, tail: text + tail, plain, st.sampled_from(["", "", "e0", "e-3", "E+2", "e-7", "e2"]))


@settings(max_examples=300, deadline=None)
@given(st.lists(written, min_size=1, max_size=20), st.sampled_from(STEPS))
def test_equals_exact_fractions(texts, step):
    """Any decimal text, with sign and exponent or without, gives exactly the fraction's whole part and remainder."""
    values, status = steps_of(texts, step)
    for text, value, what in zip(texts, values, status):
        if what == TOO_LARGE:
            assert abs(Fraction(Decimal(text))) * 10 ** decimal_step(Decimal(step))[0] >= 9 * 10**18
        else:
            assert (value, what) == exact(text, step), text


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789.eE+-x ,", max_size=12))
def test_garbage_is_refused(text):
    """A text that Decimal does not take is refused, and none is taken for another number."""
    values, status = steps_of([text], "0.1")
    try:
        number = Decimal(text) if text == text.strip() else None
    except ArithmeticError:
        number = None
    if number is None:
        assert status == [NOT_DECIMAL]
    elif status[0] >= 0:
        assert (values[0], status[0]) == exact(text, "0.1")
    else:
        assert status == [TOO_LARGE] and number.copy_abs() >= 10**16


def test_times_in_ns():
    """Nineteen digits, a time in ns, are exact; what an int64 cannot hold is refused."""
    texts = ["1625097621.647000001", "1723161255.03", "8999999999.999999999", "9000000000", "99999999999"]
    values, status = steps_of(texts, "0.000000001")
    assert values[:3] == [1625097621647000001, 1723161255030000000, 9 * 10**18 - 1]
    assert status == [EXACT, EXACT, EXACT, TOO_LARGE, TOO_LARGE]

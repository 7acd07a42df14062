"""Latency models: bounded below as promised, exact at the measured points, and repeatable."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.kernels.latency import (
    CANCEL_ENTRY,
    CONSTANT,
    ENTRY,
    FEED,
    FITTED,
    LATENCY,
    RECORDED,
    RESPONSE,
    delay_ns,
    least_ns,
)

NONE = np.zeros((0, 4), np.int64)
DRAWS = np.zeros(1, [("drawn", "<i8", (3,))])
LEGS = (ENTRY, CANCEL_ENTRY, RESPONSE)


def latency(model, constants=(0, 0, 0), **fields):
    """A latency record and the array that owns it."""
    owner = np.zeros(1, LATENCY)
    owner[0]["model"], owner[0]["constant_ns"][:] = model, constants
    for name, value in fields.items():
        owner[0][name] = value
    return owner, owner[0]


def test_constant():
    """A constant latency is that of its leg, whenever and whatever the feed does."""
    _owner, one = latency(CONSTANT, (3, 5, 7))
    assert [delay_ns(one, DRAWS[0], NONE, leg, 99, 1_000) for leg in LEGS] == [3, 5, 7]
    assert (least_ns(one, NONE, False), least_ns(one, NONE, True)) == (3, 7)


POINTS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)),
    min_size=1,
    max_size=12,
    unique_by=lambda point: point[0],
)


@settings(max_examples=200, deadline=None)
@given(POINTS, st.integers(-10, 10**6 + 10))
def test_recorded_is_the_line_between_measurements(points, now):
    """A recorded delay lies on the line between the two measurements around it, and never below the least promised."""
    points.sort()
    # The rows before and after belong to other instruments.
    table = np.array([(0, -9, -9, -9), *points, (0, -9, -9, -9)], np.int64)
    _owner, one = latency(RECORDED, points_start=1, points_stop=1 + len(points))
    times = [point[0] for point in points]
    for leg in LEGS:
        k = bisect_right(times, now)
        low, high = points[max(0, k - 1)], points[min(k, len(points) - 1)]
        share = Fraction(now - low[0], high[0] - low[0]) if low[0] < now and high[0] > low[0] else Fraction(0)
        exact = low[1 + leg] + share * (high[1 + leg] - low[1 + leg])
        delay = delay_ns(one, DRAWS[0], table, leg, now, 0)
        assert abs(delay - exact) <= 1 + abs(exact) * Fraction(1, 10**12)
        assert delay >= least_ns(one, table, leg == RESPONSE)
        if now in times:
            assert delay == points[times.index(now)][1 + leg]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**12), st.floats(0.0, 10.0), st.integers(-(10**9), 10**9))
def test_feed_is_scaled_and_never_negative(feed, multiplier, constant):
    """A feed delay is the feed's own times a factor plus a constant, cut at zero, and not below the least promised."""
    _owner, one = latency(FEED, (constant,) * 3, multiplier=multiplier)
    for leg in LEGS:
        delay = delay_ns(one, DRAWS[0], NONE, leg, 0, feed)
        assert delay == max(0, int(feed * multiplier) + constant)
        assert delay >= least_ns(one, NONE, leg == RESPONSE)


def test_feed_ahead_of_its_own_clock_keeps_the_bound():
    """With clocks apart a row is heard before its venue dates it; even then no delay is below the least promised."""
    _owner, one = latency(FEED, (1_000,) * 3, multiplier=1.0)
    for leg in LEGS:
        assert delay_ns(one, DRAWS[0], NONE, leg, 0, -400) >= least_ns(one, NONE, leg == RESPONSE)


def test_fitted_repeats_and_keeps_its_shift():
    """Drawn delays repeat from the same counts, each leg counts its own messages, and none undercuts the shift."""

    def drawn(counter):
        _owner, one = latency(FITTED, (100, 200, 300), seed=5, mu=3.0, sigma=1.0)
        draws = np.full_like(DRAWS, counter)
        delays = [[delay_ns(one, draws[0], NONE, leg, 0, 0) for leg in LEGS] for _ in range(50)]
        assert draws[0]["drawn"].tolist() == [counter + 50] * 3
        assert least_ns(one, NONE, False) == 100 and least_ns(one, NONE, True) == 300
        return delays

    first = drawn(0)
    assert first == drawn(0) != drawn(7)
    assert all(row[0] >= 100 and row[1] >= 200 and row[2] >= 300 for row in first)
    # The median of a lognormal is exp(mu).
    assert np.median([row[0] - 100 for row in first]) == pytest.approx(np.exp(3.0), rel=0.5)

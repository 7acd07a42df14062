"""Queue position: the six models against hand-worked rows, and what none of them may ever do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.kernels import queue

# hftbacktest's queue models, restated in its documentation ("Order Fill"); worked out independently from the formulas.
PUBLISHED = [
    # model, exponent, traded and so explained, lots ahead afterwards of 60 when 100 became 80
    (queue.RISK_AVERSE, 0.0, 0, 60.0),
    (queue.RISK_AVERSE, 0.0, 5, 60.0),
    (queue.POWER, 2.0, 0, 46.153846),
    (queue.POWER, 2.0, 5, 49.615385),
    (queue.POWER, 3.0, 0, 44.571429),
    (queue.POWER, 3.0, 5, 48.428571),
    (queue.LOG, 0.0, 0, 49.492230),
    (queue.LOG, 0.0, 5, 52.119173),
    (queue.LOG2, 0.0, 0, 56.093066),
    (queue.LOG2, 0.0, 5, 57.069800),
    (queue.POWER2, 2.0, 0, 43.2),
    (queue.POWER2, 2.0, 5, 47.4),
    (queue.POWER3, 3.0, 0, 55.68),
    (queue.POWER3, 3.0, 5, 56.76),
]
PROBABILITIES = [model for model in queue.MODELS.values() if model != queue.RISK_AVERSE]


@pytest.mark.parametrize("model, n, explained, front", PUBLISHED)
def test_published_positions(model, n, explained, front):
    """Every model moves an order with 60 lots ahead of it as its formula says when the level goes from 100 to 80."""
    assert queue.front_after_depth(model, n, 1.0, 60.0, 100, 80, explained) == pytest.approx(front, abs=5e-7)


@given(
    st.sampled_from(sorted(queue.MODELS.values())),
    st.floats(0.5, 5.0),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
@settings(max_examples=300, deadline=None)
def test_position_never_worsens(model, n, ahead, behind, after, explained):
    """News of a level never puts more ahead of us than was, nor more than the level holds."""
    front = queue.front_after_depth(model, n, 0.001, float(ahead), ahead + behind, after, explained)
    assert not math.isnan(front)
    assert front <= after + 1e-6 and front <= ahead + 1e-6


@given(st.sampled_from(PROBABILITIES), st.floats(0.5, 5.0), st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=300, deadline=None)
def test_probability_is_one_or_undefined(model, n, front, back):
    """Of quantities that can be, the probability is in 0..1; of nothing ahead and behind there is none."""
    p = queue.probability_behind(model, n, front * 0.001, back * 0.001)
    assert math.isnan(p) if front + back == 0 else 0.0 <= p <= 1.0


@pytest.mark.parametrize("model", PROBABILITIES)
def test_probability_at_the_ends(model):
    """All ahead: none of what left was behind.  All behind: all of it was.  Nothing at all: no probability."""
    assert queue.probability_behind(model, 3.0, 7.0, 0.0) == 0.0
    assert queue.probability_behind(model, 3.0, 0.0, 7.0) == 1.0
    assert math.isnan(queue.probability_behind(model, 3.0, 0.0, 0.0))


@pytest.mark.parametrize("model", PROBABILITIES)
def test_undefined_probability_leaves_the_level(model):
    """Where there is no probability the whole new level is taken to be ahead of us, and never more."""
    assert queue.front_after_depth(model, 3.0, 1.0, 0.0, 0, 0, 0) == 0.0
    # More ahead of us than the level held: the back is negative, where logarithms and odd powers end.
    front = queue.front_after_depth(model, 2.5, 1.0, np.float64(50.0), 10, 4, 0)
    assert front <= 4.0


@pytest.mark.parametrize("model", sorted(queue.MODELS.values()))
def test_growth_is_behind_us(model):
    """A level that grows leaves us where we are."""
    assert queue.front_after_depth(model, 3.0, 1.0, 12.0, 20, 90, 0) == 12.0


@pytest.mark.parametrize("model", sorted(queue.MODELS.values()))
def test_traded_lots_are_not_taken_twice(model):
    """What trades explain came off the front already: a level that shrank by just that leaves us where we are."""
    assert queue.front_after_depth(model, 3.0, 1.0, 12.0, 60, 50, 10) == 12.0

"""What the neighbours of the best keep tells a plateau, a ridge and a spike apart, in any unit and on any scale."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.optimize.space import Axis, Space
from pinnacle.optimize.stability import Stability, stability

SPACE = Space((Axis("spread", 0.1, 10.0, log=True), Axis("skew", 0.0, 2.0), Axis("levels", 1, 5, whole=True)), {})
Worth = Callable[[np.ndarray], np.ndarray]
seeds = st.integers(0, 2**32 - 1)


def candidates(seed: int, count: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [
        {"spread": 10 ** rng.uniform(-1, 1), "skew": rng.uniform(0, 2), "levels": float(rng.integers(1, 6))}
        for _ in range(count)
    ]


def looked_at(worth: Worth, seed: int = 1, count: int = 400, minimize: bool = False) -> Stability:
    tried = candidates(seed, count)
    values = worth(SPACE.normalise(tried))
    best = int(values.argmin() if minimize else values.argmax())
    return stability(SPACE, tried, values, best, "minimize" if minimize else "maximize")


def hill(width: float) -> Worth:
    return lambda points: 10 * np.exp(-((points - 0.5) ** 2).sum(axis=1) / (2 * width**2))


def test_a_broad_hill_is_a_plateau_and_a_needle_a_spike() -> None:
    """The wider the hill, the more its neighbours keep, and the words follow."""
    found = [looked_at(hill(width)) for width in (1.0, 0.3, 0.05)]
    assert found[0].share > found[1].share > found[2].share
    assert found[0].shape == "plateau" and found[2].shape == "spike"


def test_a_ridge_is_fragile_across_and_not_along() -> None:
    """Where only the spread matters, it alone is fragile, and the other parameters hold further."""
    found = looked_at(lambda points: 10 * np.exp(-((points[:, 0] - 0.5) ** 2) / 0.02), count=1500)
    shares = {row["param"]: row["share_of_best"] for row in found.rows}
    assert found.fragile == ["spread"] and shares["spread"] < min(shares["skew"], shares["levels"])
    assert found.rows[1]["high"] - found.rows[1]["low"] > 1.0


@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_noise_is_no_plateau(seed: int) -> None:
    """If parameters do nothing, the best is a spike among neighbours of middling rank."""
    found = looked_at(lambda points: np.random.default_rng(seed).normal(size=len(points)), seed)
    assert found.shape == "spike" and 0.2 < found.rank < 0.8


@given(seeds, st.floats(0.01, 1e6))
def test_the_unit_does_not_matter(seed: int, scale: float) -> None:
    """The objective in another currency gives the same shares and ranges."""
    one = looked_at(hill(0.2), seed, 60)
    other = looked_at(lambda points: scale * hill(0.2)(points), seed, 60)
    assert other.share == pytest.approx(one.share) and other.shape == one.shape
    assert [(row["low"], row["high"]) for row in one.rows] == [(row["low"], row["high"]) for row in other.rows]


@given(seeds, st.integers(1, 80), st.booleans(), st.floats(-100, 100))
def test_every_answer_has_sense(seed: int, count: int, minimize: bool, level: float) -> None:
    """Of any sign, direction and number of trials: shares from -1 to 1, the best inside its range, JSON without NaN."""
    noise = np.random.default_rng(seed).normal(size=count)
    found = looked_at(lambda points: level + noise, seed, count, minimize)
    tried = candidates(seed, count)
    for row in found.rows:
        assert row["low"] <= row["value"] <= row["high"]
        assert {row["low"], row["high"]} <= {one[row["param"]] for one in tried}, "ends are values that were tried"
        assert row["share_of_best"] is None or -1 <= row["share_of_best"] <= 1
    assert math.isnan(found.share) or (-1 <= found.share <= 1 and 0 <= found.rank <= 1)
    assert found.shape == "unknown" or found.neighbours >= 5
    json.dumps([found.rows, found.as_json()], allow_nan=False)


def test_a_cost_is_measured_from_the_median() -> None:
    """A drawdown to be small, and a loss to be small, have no zero of use: the median trial is what 0 means."""
    cost = looked_at(lambda points: 5 + ((points - 0.5) ** 2).sum(axis=1), minimize=True)
    loss = looked_at(lambda points: -5 - ((points - 0.5) ** 2).sum(axis=1))
    assert cost.measured_from == loss.measured_from == "median" and cost.share == pytest.approx(loss.share)
    assert 0 < cost.share < 1


def test_all_alike_is_a_plateau() -> None:
    """If every trial has the best's value, there is nothing that could be lost, whatever the sign."""
    for level in (7.0, 0.0, -7.0):
        found = looked_at(lambda points, level=level: np.full(len(points), level))  # type: ignore[misc]
        assert found.shape == "plateau" and found.share == 1


def test_copies_of_the_best_are_no_neighbours() -> None:
    """The best tried again says nothing of its neighbourhood, and neither do near copies against real steps."""
    tried = candidates(2, 100)
    values = np.zeros(100)
    values[0] = 10.0
    near = [{**tried[0], "spread": tried[0]["spread"] * (1 + 1e-9 * k)} for k in range(50)]
    found = stability(SPACE, tried + near, np.concatenate([values, np.full(50, 10.0)]), 0, "maximize")
    assert found.share < 0.01


def test_too_few_or_too_far_is_unknown() -> None:
    """A handful of trials, or ones at the other end of the space, tell nothing about the shape."""
    assert looked_at(hill(1.0), count=4).shape == "unknown" and looked_at(hill(1.0), count=1).shape == "unknown"
    corner = [{"spread": 0.1, "skew": 0.0, "levels": 1.0}]
    far = corner + [{"spread": 10.0 - k * 0.01, "skew": 2.0, "levels": 5.0} for k in range(20)]
    assert stability(SPACE, far, np.ones(21), 0, "maximize").shape == "unknown"

"""Drawdown and ratios of an equity curve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pinnacle.report.risk import CHANGES_MIN, drawdown, ratios, underwater
from pinnacle.report.thin import thin, thin_evenly

SECOND_NS = 1_000_000_000
curves = hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(-20, 20))


def naive_drawdown(equity: list[int]) -> tuple[int, float]:
    """Deepest fall below the peak so far, and the longest run of seconds not at a peak, one sample after the other."""
    peak = deepest = longest = 0
    since = 0
    for k, value in enumerate(equity):
        if value >= peak:
            if k and (equity[k - 1] < max([0, *equity[:k]]) or (since < k - 1)):
                longest = max(longest, k - since)
            peak, since = value, k
        else:
            deepest = max(deepest, peak - value)
            longest = max(longest, k - since)
    return deepest, float(longest)


@given(curves)
def test_drawdown_is_the_naive_one(equity: np.ndarray) -> None:
    """The deepest fall and the longest time below a peak agree with walking the curve; it starts from 0."""
    found = drawdown(np.arange(equity.size) * SECOND_NS, equity)
    assert (int(found["max"]), found["longest_s"]) == naive_drawdown(equity.tolist())
    assert -underwater(equity).min() == found["max"]


def test_drawdown_on_paper() -> None:
    """A known curve: down 7 from its peak, last at 4 s, to its trough at 5 s, below that peak until 7 s."""
    found = drawdown(np.arange(9) * SECOND_NS, np.array([0, 3, 5, 4, 5, -2, 1, 6, 5]))
    assert found == {"max": 7, "peak_ns": 4 * SECOND_NS, "trough_ns": 5 * SECOND_NS, "longest_s": 3.0}


def test_a_silence_at_the_peak_is_no_drawdown() -> None:
    """Samples that were left out because nothing happened do not count as time below the peak."""
    found = drawdown(np.array([0, 1, 500, 501, 502]) * SECOND_NS, np.array([0, 4, 4, 3, 4]))
    assert found["longest_s"] == 2.0


def test_sharpe_and_sortino_of_a_known_series() -> None:
    """Changes of +3 and -1 in turn, each second: mean 1, deviation 2 (n - 1), downside sqrt(1/2), year of 365 days."""
    changes = np.array([3, -1] * 50)
    equity = np.concatenate(([0], np.cumsum(changes))) * 1.0
    found = ratios(np.arange(101) * SECOND_NS, equity)
    yearly = math.sqrt(365 * 86_400)
    sharpe = 1 / (2 * math.sqrt(100 / 99))
    assert found["sharpe"] == pytest.approx(sharpe * yearly, rel=1e-12)
    assert found["sortino"] == pytest.approx(math.sqrt(2) * yearly, rel=1e-12)
    assert found["sharpe_standard_error"] == pytest.approx(math.sqrt((1 + sharpe**2 / 2) / 100) * yearly, rel=1e-12)
    assert (found["ratio_interval_s"], found["ratio_changes"]) == (1.0, 100)
    assert "annualised from 100 s" in found["ratio_note"]


def test_finer_samples_are_looked_at_every_second() -> None:
    """Samples ten times a second give the ratio of the seconds among them."""
    rng = np.random.default_rng(3)
    equity = np.cumsum(rng.normal(size=1001))
    fine = ratios(np.arange(1001) * (SECOND_NS // 10), equity)
    coarse = ratios(np.arange(101) * SECOND_NS, equity[::10])
    assert fine == coarse


def test_samples_left_out_of_a_silence_change_nothing() -> None:
    """A ratio is the same whether the samples in which nothing happened were kept or not."""
    rng = np.random.default_rng(4)
    equity = np.cumsum(rng.integers(-3, 4, 200) * (rng.random(200) < 0.3)).astype(float)
    ts = np.arange(200) * SECOND_NS
    moved = np.concatenate(([True], np.diff(equity) != 0))
    moved[[1, -1]] = True
    assert ratios(ts[moved], equity[moved]) == ratios(ts, equity)


@pytest.mark.parametrize(
    ("equity", "why"),
    [
        (np.zeros(0), "no two samples"),
        (np.zeros(1), "no two samples"),
        (np.arange(CHANGES_MIN) * 1.0, "fewer than"),
        (np.arange(100) * 2.0, "same amount throughout"),
    ],
)
def test_a_ratio_that_is_not_defined_says_why(equity: np.ndarray, why: str) -> None:
    """Too few changes, or no deviation, give None and a reason, never a zero or an infinity."""
    found = ratios(np.arange(equity.size) * SECOND_NS, equity)
    assert found["sharpe"] is None and found["sortino"] is None and why in found["ratio_note"]


@given(hnp.arrays(np.float64, st.integers(1, 400), elements=st.floats(-9, 9) | st.just(math.nan)), st.integers(12, 60))
def test_thinning_keeps_peaks_and_ends(line: np.ndarray, most: int) -> None:
    """A thinned line has its bound of points, rises, and keeps the first, the last and the extremes."""
    kept = thin(line, line * -1 + np.arange(line.size), most=most)
    assert kept.size <= max(most, 12) and (np.diff(kept) > 0).all()
    assert kept[0] == 0 and kept[-1] == line.size - 1
    known = line[~np.isnan(line)]
    if known.size:
        assert np.nanmin(line[kept]) == known.min() and np.nanmax(line[kept]) == known.max()


@given(st.integers(0, 500), st.integers(2, 50))
def test_thinned_marks_keep_their_bound(count: int, most: int) -> None:
    """Evenly thinned marks are at most as many as asked for, and all of them where they are few."""
    kept = thin_evenly(count, most)
    assert kept.size <= most and (kept.size == count or count > most)

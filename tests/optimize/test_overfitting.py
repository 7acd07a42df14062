"""The statistics of luck agree with their papers' example, with naive recomputation, and with what chance must give."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.optimize.overfitting import (
    deflated_sharpe,
    effective_trials,
    expected_max_sharpe,
    minimum_backtest_length,
    minimum_track_record,
    moments,
    overfitting_probability,
    probabilistic_sharpe,
    sharpes,
)

seeds = st.integers(0, 2**32 - 1)


def naive_sharpe(returns: np.ndarray) -> float:
    deviation = returns.std(ddof=1)
    return 0.0 if deviation < 1e-9 * max(1e-300, np.abs(returns).max()) else float(returns.mean() / deviation)


def naive_overfitting(returns: np.ndarray, splits: int) -> tuple[list[float], list[float], list[float]]:
    """Logits and the best's two Sharpe ratios, combination by combination, as the paper tells it."""
    rows = returns.shape[0] // splits
    parts = [returns[k * rows : (k + 1) * rows] for k in range(splits)]
    logits, inside, outside = [], [], []
    for picked in combinations(range(splits), splits // 2):
        these = np.concatenate([parts[k] for k in picked])
        those = np.concatenate([parts[k] for k in range(splits) if k not in picked])
        first = [round(naive_sharpe(column), 10) for column in these.T]
        second = [round(naive_sharpe(column), 10) for column in those.T]
        best = first.index(max(first))
        rank = sum(one < second[best] for one in second) + (second.count(second[best]) + 1) / 2
        place = rank / (len(second) + 1)
        logits.append(math.log(place / (1 - place)))
        inside.append(first[best])
        outside.append(second[best])
    return logits, inside, outside


def test_deflated_sharpe_reproduces_the_paper() -> None:
    """The published example: ratio 2.5 a year over 1,250 days, 100 trials of variance 1/2, is 0.9004 sure."""
    found = deflated_sharpe(2.5 / math.sqrt(250), 0.5 / 250, 100, 1250, -3.0, 10.0)
    assert round(found, 4) == 0.9004


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_the_best_of_many_is_as_expected(trials: int) -> None:
    """The expected maximum is near the mean maximum of so many normal draws."""
    drawn = np.random.default_rng(trials).normal(scale=3.0, size=(4000, trials)).max(axis=1).mean()
    assert expected_max_sharpe(9.0, trials) == pytest.approx(drawn, rel=0.03)


@given(
    st.floats(-0.5, 0.5), st.floats(0, 1), st.floats(1, 1e6), st.integers(2, 10**6), st.floats(-2, 2), st.floats(5, 20)
)
def test_trying_more_never_makes_surer(
    sharpe: float, variance: float, trials: float, count: int, skew: float, kurtosis: float
) -> None:
    """Deflated is at most probabilistic, falls with the number of trials, and equals it for a single trial."""
    alone = probabilistic_sharpe(sharpe, 0.0, count, skew, kurtosis)
    few, many = (deflated_sharpe(sharpe, variance, n, count, skew, kurtosis) for n in (trials, 2 * trials))
    assert 0 <= many <= few <= alone <= 1
    assert deflated_sharpe(sharpe, variance, 1, count, skew, kurtosis) == alone


@given(st.floats(0.01, 0.5), st.floats(-2, 2), st.floats(5, 20), st.floats(0.6, 0.99))
def test_the_track_record_is_just_long_enough(sharpe: float, skew: float, kurtosis: float, confidence: float) -> None:
    """At the minimum length the probability reaches the confidence, and one return earlier it does not."""
    count = math.ceil(minimum_track_record(sharpe, 0.0, skew, kurtosis, confidence))
    assert probabilistic_sharpe(sharpe, 0.0, count, skew, kurtosis) >= confidence - 1e-12
    if count > 2:
        assert probabilistic_sharpe(sharpe, 0.0, count - 1, skew, kurtosis) < confidence + 1e-12
    assert minimum_track_record(-sharpe, 0.0, skew, kurtosis) == math.inf


def test_the_minimum_backtest_hides_no_luck() -> None:
    """At the minimum length the best of so much noise shows the very Sharpe ratio."""
    length = minimum_backtest_length(0.1, 45)
    assert math.sqrt(1 / length) * expected_max_sharpe(1.0, 45) == pytest.approx(0.1)
    assert minimum_backtest_length(0.0, 45) == math.inf


def test_what_is_unknown_stays_unknown() -> None:
    """NaN, a flat series and a single return give NaN and no number."""
    flat = moments(np.full(50, 0.1))
    assert math.isnan(flat.sharpe) and math.isnan(flat.skew) and math.isnan(flat.kurtosis)
    assert math.isnan(moments(np.array([1.0])).sharpe) and math.isnan(moments(np.array([1.0, math.nan])).sharpe)
    nan = math.nan
    assert math.isnan(probabilistic_sharpe(nan, 0, 100, 0, 3)) and math.isnan(probabilistic_sharpe(0.1, nan, 100, 0, 3))
    assert math.isnan(probabilistic_sharpe(0.1, 0, 1, 0, 3)) and math.isnan(deflated_sharpe(0.1, nan, 9, 100, 0, 3))
    assert math.isnan(minimum_track_record(nan, 0, 0, 3)) and math.isnan(minimum_backtest_length(nan, 9))
    with pytest.raises(ValueError, match="at least one"):
        expected_max_sharpe(1.0, 0.5)


@given(seeds)
def test_moments_are_those_of_the_definition(seed: int) -> None:
    """Sharpe, skew and kurtosis of a series, and the Sharpe of each column of a matrix, equal their definitions."""
    returns = np.random.default_rng(seed).gamma(2.0, size=(60, 3)) - 1.5
    for column, together in zip(returns.T, sharpes(returns)):
        one, unit = moments(column), (column - column.mean()) / column.std()
        assert one.sharpe == pytest.approx(column.mean() / column.std(ddof=1)) == pytest.approx(together)
        assert one.skew == pytest.approx((unit**3).mean()) and one.kurtosis == pytest.approx((unit**4).mean())


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(8, 61), st.integers(2, 9), st.sampled_from([4, 6, 8]))
def test_halving_agrees_with_the_naive_loop(seed: int, count: int, trials: int, splits: int) -> None:
    """All combinations from sums equal the loop over slices, with flat trials, twins, idle halves and a huge offset."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(size=(count, trials))
    for column in range(trials):
        match rng.integers(6):
            case 0:
                returns[:, column] = rng.choice([0.0, 0.1, -3.0])
            case 1:
                returns[:, column] = returns[:, 0]
            case 2:
                returns[: count // 2, column] = 0.0
            case 3:
                returns[:, column] = 1e4 + returns[:, column]
    found = overfitting_probability(returns, splits)
    used = min(splits, count // 4 * 2)
    logits, inside, outside = naive_overfitting(returns, used)
    assert (found.splits, found.combinations) == (used, math.comb(used, used // 2))
    assert found.rows_used == count // used * used
    pairs = [
        sorted(zip(*three)) for three in ((found.sharpe_in, found.sharpe_out, found.logits), (inside, outside, logits))
    ]
    np.testing.assert_allclose(pairs[0], pairs[1], rtol=1e-6, atol=1e-6)
    assert found.probability == pytest.approx(np.mean([1.0 if x < -1e-12 else 0.5 * (abs(x) <= 1e-12) for x in logits]))
    assert found.loss_probability == np.mean([x < 0 for x in outside])
    if np.ptp(inside) > 1e-6:
        assert (found.slope, found.intercept) == pytest.approx(
            tuple(np.polyfit(inside, outside, 1)), rel=1e-4, abs=1e-6
        )


@pytest.mark.parametrize("trials", [2, 9, 50])
def test_noise_is_overfitted_half_of_the_time(trials: int) -> None:
    """Among trials without skill the best of one half is above the median of the other as often as below it."""
    found = [
        overfitting_probability(np.random.default_rng([trials, seed]).normal(size=(96, trials)), 8).probability
        for seed in range(300)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / math.sqrt(len(found)))


def test_a_true_edge_is_not_overfitting() -> None:
    """With one trial that earns, the best is the same in every half: a probability near 0, no loss."""
    returns = np.random.default_rng(3).normal(size=(400, 100))
    returns[:, 42] += 0.5
    found = overfitting_probability(returns)
    assert found.probability < 0.1 and found.loss_probability < 0.1 and found.combinations == 12_870


def test_the_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounding the memory changes no combination."""
    returns = np.random.default_rng(4).normal(size=(80, 30))
    whole = overfitting_probability(returns, 8)
    monkeypatch.setattr("pinnacle.optimize.overfitting._CHUNK_VALUES", 100)
    cut = overfitting_probability(returns, 8)
    assert np.allclose(np.sort(whole.logits), np.sort(cut.logits)) and whole.probability == cut.probability


def test_the_same_trial_many_times_is_no_evidence() -> None:
    """Twins share their mean rank, so nothing is chosen and nothing is overfitted: exactly a half; flat ones too."""
    one = np.random.default_rng(5).normal(size=(64, 1))
    for returns in (np.repeat(one, 7, axis=1), np.zeros((64, 7)), np.full((64, 7), 0.1)):
        found = overfitting_probability(returns, 8)
        assert found.probability == 0.5 and (found.logits == 0).all()
    assert math.isnan(found.slope) and (found.sharpe_out == 0).all()


def test_too_little_is_refused() -> None:
    """Seven returns, one trial, odd parts and NaN are refused, each saying what must be."""
    noise = np.random.default_rng(6).normal(size=(40, 3))
    assert overfitting_probability(noise[:8]).splits == 4 and overfitting_probability(noise[:31]).splits == 14
    for returns, splits, told in (
        (noise[:7], 16, "at least 8 returns"), (noise[:, :1], 16, "of 2 trials"), (noise, 7, "even number"),
        (noise, 40, "from 4 to 20"), (noise[:, 0], 16, "two: time and trials"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            overfitting_probability(returns, splits)
    noise[3, 1] = math.nan
    with pytest.raises(ValueError, match="column 1"):
        overfitting_probability(noise)


@pytest.mark.parametrize(("count", "trials"), [(400, 20), (200, 500)])
def test_independent_trials_count_in_full_and_copies_once(count: int, trials: int) -> None:
    """Noise counts all its columns, also with more columns than returns; copies of five series count five."""
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(count, trials))
    assert effective_trials(noise) == pytest.approx(trials, rel=0.05)
    copies = np.repeat(noise[:, :5], trials // 5, axis=1) * rng.uniform(0.5, 2, trials)
    assert effective_trials(copies) == pytest.approx(5, rel=0.1)
    assert effective_trials(np.column_stack([copies, np.zeros(count)])) == pytest.approx(6, rel=0.1)
    assert effective_trials(np.repeat(noise[:, :1], 9, axis=1)) == pytest.approx(1)


@given(seeds, st.integers(4, 30), st.integers(1, 40), st.floats(0, 1))
def test_effective_trials_lie_between_one_and_all(seed: int, count: int, trials: int, shared: float) -> None:
    """However they are correlated there is one trial at least, and never more than there are."""
    rng = np.random.default_rng(seed)
    returns = shared * rng.normal(size=(count, 1)) + (1 - shared) * rng.normal(size=(count, trials))
    assert 1 - 1e-9 <= effective_trials(returns) <= trials + 1e-9

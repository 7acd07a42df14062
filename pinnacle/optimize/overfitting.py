"""How far the best of many trials may be luck: the published statistics, as functions of numbers and matrices.

A search shows its best trial, and the best of many worthless ones looks good; how good, and how often, can be computed.

Sources: [PSR] Bailey and Lopez de Prado, The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2), 2012.
[DSR] Bailey and Lopez de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014.
[MinBTL] Bailey, Borwein, Lopez de Prado and Zhu, Pseudo-Mathematics and Financial Charlatanism, Notices of the AMS
61(5), 2014.  [CSCV] the same four, The Probability of Backtest Overfitting, Journal of Computational Finance 20(4),
2017.

A return is a change of equity over one bucket; every Sharpe ratio here is of one bucket unless its name says otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
SPLITS_MIN, SPLITS_MAX = 4, 20
# Values computed at once, so that memory does not grow with the number of combinations: 8 MB an array.
_CHUNK_VALUES = 1_000_000
# Below these, relative to the values themselves, a deviation is what rounding left.
_FLAT_IN_PART, _FLAT_IN_ALL = 1e-12, 1e-18
_TIE = 1e-9


@dataclass(frozen=True)
class Moments:
    """Of one series of returns.  sharpe: mean over deviation, per bucket.  kurtosis: 3 for a normal law.

    A series without deviation has none of the three: NaN.
    """

    count: int
    sharpe: float
    skew: float
    kurtosis: float


def moments(returns: np.ndarray) -> Moments:
    """Moments of float64[T] returns; NaN where it is flat, has fewer than two values, or one that is not finite."""
    count = returns.size
    if count < 2 or not np.isfinite(returns).all():
        return Moments(count, math.nan, math.nan, math.nan)
    mean = float(returns.mean())
    away = returns - mean
    variance = float((away**2).mean())
    if variance <= _FLAT_IN_ALL * float((returns**2).mean()):
        return Moments(count, math.nan, math.nan, math.nan)
    sharpe = mean / math.sqrt(variance * count / (count - 1))
    unit = away / math.sqrt(variance)
    return Moments(count, sharpe, float((unit**3).mean()), float((unit**4).mean()))


def sharpes(returns: np.ndarray) -> np.ndarray:
    """float64[N]: Sharpe ratio of each column of float64[T, N] returns, T >= 2; 0 for a flat one, which earned nothing
    for the risk of nothing and must take part in a ranking."""
    parts = _Parts(returns, 1)
    return parts.sharpes(np.ones((1, 1)))[0]


def probabilistic_sharpe(sharpe: float, benchmark: float, count: int, skew: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio is above the benchmark, when `count` returns showed `sharpe` [PSR].

    Both ratios per bucket.  It supposes that returns do not depend on those before.  NaN if anything is, or count < 2.
    """
    error = sharpe_error(sharpe, count, skew, kurtosis)
    if math.isnan(error) or math.isnan(benchmark):
        return math.nan
    if error == 0.0:
        return 0.5 if sharpe == benchmark else float(sharpe > benchmark)
    return _NORMAL.cdf((sharpe - benchmark) / error)


def sharpe_error(sharpe: float, count: int, skew: float, kurtosis: float) -> float:
    """Standard error of a Sharpe ratio seen in `count` returns [PSR]; NaN if anything is, or count < 2."""
    # Not below 0 for the moments of any series (Pearson: kurtosis >= skew^2 + 1); rounding may take it there.
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if count < 2 or math.isnan(spread):
        return math.nan
    return math.sqrt(max(0.0, spread) / (count - 1))


def expected_max_sharpe(variance: float, trials: float) -> float:
    """The Sharpe ratio that the best of `trials` independent trials without skill is expected to show [DSR].

    variance: of the trials' Sharpe ratios; the result is in their unit.  0 for one trial, where nothing is chosen.
    trials: need not be whole, see `effective_trials`.  Raises ValueError below 1.
    """
    if not trials >= 1:
        raise ValueError(f"the best of {trials} trials is asked for, and there must be at least one")
    if math.isnan(variance):
        return math.nan
    if trials == 1:
        return 0.0
    gamma = float(np.euler_gamma)
    most = (1 - gamma) * _NORMAL.inv_cdf(1 - 1 / trials) + gamma * _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    # The approximation is for many trials, and turns negative between one and two.
    return math.sqrt(variance) * max(0.0, most)


def deflated_sharpe(
    sharpe: float, variance: float, trials: float, count: int, skew: float, kurtosis: float
) -> float:  # fmt: skip
    """Probability that the true Sharpe ratio is above what the best of `trials` shows by luck [DSR].

    sharpe, variance (of the trials' ratios): per bucket.  count, skew, kurtosis: of the returns of the chosen trial.
    NaN if anything is.  Trials that truly differ raise the variance as luck does, so a wide search is judged severely.
    """
    return probabilistic_sharpe(sharpe, expected_max_sharpe(variance, trials), count, skew, kurtosis)


def minimum_track_record(
    sharpe: float, benchmark: float, skew: float, kurtosis: float, confidence: float = 0.95
) -> float:  # fmt: skip
    """How many returns it takes until `sharpe` is above the benchmark with that confidence [PSR].

    Infinite where sharpe is not above the benchmark.  NaN if anything is.
    """
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if math.isnan(spread) or math.isnan(benchmark):
        return math.nan
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + max(0.0, spread) * (_NORMAL.inv_cdf(confidence) / (sharpe - benchmark)) ** 2


def minimum_backtest_length(sharpe: float, trials: float) -> float:
    """How many returns it takes until the best of `trials` trials of pure noise is expected to show less [MinBTL].

    Infinite where sharpe is not above 0.  NaN if it is.
    """
    if math.isnan(sharpe):
        return math.nan
    return (expected_max_sharpe(1.0, trials) / sharpe) ** 2 if sharpe > 0 else math.inf


def effective_trials(returns: np.ndarray) -> float:
    """How many independent trials the columns of float64[T, N] returns amount to, 1 to N.

    An optimiser tries much the same many times, so its trials are correlated.  N^2 over the sum of all squared
    correlations, which is (sum l)^2 / sum l^2 of the correlation matrix's eigenvalues l: Bretherton and others, The
    Effective Number of Spatial Degrees of Freedom of a Time-Varying Field, Journal of Climate 12, 1999.  In T values
    even independent columns have squared correlations of about 1/T, which are taken off.  A flat column counts as one.
    Raises ValueError for fewer than four rows or a value that is not finite.
    """
    count, all_columns = _checked(returns)
    if count < 4:
        raise ValueError(f"correlations are asked of {count} returns, and need at least 4")
    scale = np.sqrt((returns**2).mean(axis=0))
    away = returns - returns.mean(axis=0)
    deviation = np.sqrt((away**2).mean(axis=0))
    moving = deviation > math.sqrt(_FLAT_IN_ALL) * scale
    columns = int(moving.sum())
    unit = away[:, moving] / (deviation[moving] * math.sqrt(count))
    # unit' unit and unit unit' have the same eigenvalues; the smaller is taken.
    product = unit.T @ unit if columns <= count else unit @ unit.T
    squares = float((product**2).sum()) - columns
    pairs = columns * (columns - 1)
    squares = min(max(squares - (pairs - squares) / (count - 2), 0.0), float(pairs))
    independent = columns**2 / (columns + squares) if columns else 0.0
    return max(1.0, independent + all_columns - columns)


@dataclass(frozen=True, eq=False)
class Overfitting:
    """What choosing in one half of the time and looking in the other found, over all ways to halve it [CSCV].

    probability: of overfitting (PBO): share of combinations in which the best in sample is below the median out of
    sample; one at the median counts half.  logits: float64[combinations], of the best's rank out of sample, 0 at the
    median.  sharpe_in, sharpe_out: float64[combinations], of the best, per bucket.  slope, intercept: of the line of
    sharpe_out on sharpe_in; NaN where sharpe_in does not vary.  loss_probability: share with sharpe_out below 0.
    splits: parts the time was cut into.  rows_used: returns of each trial that took part.
    """

    probability: float
    logits: np.ndarray
    sharpe_in: np.ndarray
    sharpe_out: np.ndarray
    slope: float
    intercept: float
    loss_probability: float
    splits: int
    rows_used: int

    @property
    def combinations(self) -> int:
        return self.logits.size


def overfitting_probability(returns: np.ndarray, splits: int = 16) -> Overfitting:
    """Combinatorially symmetric cross-validation [CSCV] of float64[T, N] returns, one column a trial.

    The time is cut into `splits` equal parts (what remains of T at the end is dropped), fewer and still even ones if
    they would have less than two rows each.  For every choice of half of the parts the trial with the greatest Sharpe
    ratio there (of equal ones the first) is ranked by its ratio in the other half; of equal ones each has their mean
    rank.  A trial that is flat in a half has ratio 0 there.  Work is N * C(splits, splits / 2), memory is bounded.
    Raises ValueError for splits that are odd or not from 4 to 20, for fewer than 8 rows or 2 trials, and for a value
    that is not finite.
    """
    if splits % 2 or not SPLITS_MIN <= splits <= SPLITS_MAX:
        raise ValueError(f"splits is {splits}, and must be an even number from {SPLITS_MIN} to {SPLITS_MAX}")
    count, columns = _checked(returns)
    if count < 2 * SPLITS_MIN or columns < 2:
        raise ValueError(
            f"{count} returns of {columns} trials are too few to halve the time; there must be at least "
            f"{2 * SPLITS_MIN} returns of 2 trials"
        )
    splits = min(splits, count // 2 // 2 * 2)
    parts = _Parts(returns, splits)
    # The first half of the combinations; the complements of those are the second half, in reverse.
    halves = list(combinations(range(splits), splits // 2))
    halves = halves[: len(halves) // 2]
    picked = np.zeros((len(halves), splits))
    np.put_along_axis(picked, np.array(halves), 1.0, axis=1)
    step = max(1, _CHUNK_VALUES // columns)
    found = []
    for start in range(0, len(halves), step):
        one = picked[start : start + step]
        these, those = parts.sharpes(one), parts.sharpes(1.0 - one)
        found += [_chosen(these, those), _chosen(those, these)]
    sharpe_in, sharpe_out, logits = (np.concatenate([one[k] for one in found]) for k in range(3))
    away = sharpe_in - sharpe_in.mean()
    varied = float((away**2).sum())
    slope = math.nan
    if varied > _FLAT_IN_PART * float((sharpe_in**2).sum()):
        slope = float((away * sharpe_out).sum()) / varied
    return Overfitting(
        probability=float(((logits < 0) + 0.5 * (logits == 0)).mean()),
        logits=logits,
        sharpe_in=sharpe_in,
        sharpe_out=sharpe_out,
        slope=slope,
        intercept=float(sharpe_out.mean() - slope * sharpe_in.mean()),
        loss_probability=float((sharpe_out < 0).mean()),
        splits=splits,
        rows_used=count // splits * splits,
    )


def _chosen(sharpe_in: np.ndarray, sharpe_out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row of two float64[combinations, N] the best's ratio in and out of sample, and its logit out of sample.

    Equal within rounding is equal: the same trial twice must not be two by the order in which a sum was taken.
    """
    top = sharpe_in.max(axis=1, keepdims=True)
    best = np.argmax(sharpe_in >= top - _TIE * np.maximum(np.abs(top), _TIE), axis=1)[:, None]
    own_in, own_out = np.take_along_axis(sharpe_in, best, 1), np.take_along_axis(sharpe_out, best, 1)
    room = _TIE * np.maximum(np.abs(own_out), _TIE)
    below = (sharpe_out < own_out - room).sum(axis=1)
    equal = (sharpe_out <= own_out + room).sum(axis=1) - below
    # Twice the rank, in whole numbers, so that the middle is exactly the middle.
    twice_rank, twice_places = 2 * below + equal + 1, 2 * (sharpe_in.shape[1] + 1)
    return own_in[:, 0], own_out[:, 0], np.log(twice_rank / (twice_places - twice_rank))


class _Parts:
    """Sums over equal parts of the time, from which the Sharpe ratio of any union of them follows.

    sums, squares: float64[parts, N], of the returns less each trial's own mean, so that no digits cancel.
    """

    def __init__(self, returns: np.ndarray, parts: int) -> None:
        self.rows = returns.shape[0] // parts
        used = returns[: self.rows * parts]
        self.mean = used.mean(axis=0)
        away = (used - self.mean).reshape(parts, self.rows, -1)
        self.sums, self.squares = away.sum(axis=1), (away**2).sum(axis=1)
        self._least = _FLAT_IN_ALL * (used**2).mean(axis=0)

    def sharpes(self, picked: np.ndarray) -> np.ndarray:
        """float64[combinations, N] for float64[combinations, parts] of ones and zeros, as many ones in each row."""
        count = self.rows * float(picked[0].sum())
        mean, square = picked @ self.sums / count, picked @ self.squares / count
        variance = square - mean**2
        flat = (variance <= _FLAT_IN_PART * square) | (variance <= self._least)
        variance[flat] = 1.0
        mean += self.mean
        mean[flat] = 0.0
        return mean / np.sqrt(variance * (count / (count - 1)))


def _checked(returns: np.ndarray) -> tuple[int, int]:
    """Rows and columns.  Raises ValueError if it is no matrix, or a value is not finite."""
    if returns.ndim != 2:
        raise ValueError(f"returns have {returns.ndim} dimensions, and must have two: time and trials")
    if not np.isfinite(returns).all():
        column = int(np.argmin(np.isfinite(returns).all(axis=0)))
        raise ValueError(f"returns of column {column} are not all finite; leave that trial out")
    return returns.shape[0], returns.shape[1]

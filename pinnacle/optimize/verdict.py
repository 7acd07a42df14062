"""Whether to trade what a search found, in one sentence and with its reasons.

Everything must speak for it: a result nobody can doubt is rare, and a doubt that is not said costs money.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pinnacle.optimize.objectives import Objective
from pinnacle.optimize.overfitting import (
    Overfitting,
    deflated_sharpe,
    effective_trials,
    expected_max_sharpe,
    moments,
    overfitting_probability,
    probabilistic_sharpe,
    sharpe_ratios,
    shortest_record,
)
from pinnacle.optimize.stability import Stability

_YEAR_S = 365 * 86_400
# Fewer fills say nothing of a strategy that lives of many small ones.
FILLS_MIN = 30
CONFIDENCE = 0.95
# An objective that keeps less than this of itself out of sample was fitted to the past.
KEPT_MIN = 0.5


@dataclass(frozen=True)
class Evidence:
    """What there is to judge by.

    objective: the one that was wanted first, in `unit`.  pace: the test window's length in train windows.  train,
    validation, test: the chosen trial's value of it in each window, NaN where it has none.  test_fills: of the chosen
    one in the test window.  returns: float64[periods, trials], changes of equity in train and validation, of every
    trial that has both.  chosen: its column, -1 if it is not there.  trials: tried in all, pruned and failed ones too.
    correlation: of ranks, train against validation.  test_returns: float64[n].  bucket_s: length of a period.
    walk_forward: float64[n], changes of equity over the folds' tests, None without folds.
    """

    objective: Objective
    unit: str
    pace: float
    train: float
    validation: float
    test: float
    test_fills: float
    returns: np.ndarray
    chosen: int
    trials: int
    correlation: float
    test_returns: np.ndarray
    bucket_s: float
    stability: Stability
    walk_forward: np.ndarray | None


@dataclass(frozen=True)
class Judgement:
    """The figures that the verdict rests on; Sharpe ratios are annualised, NaN where one has no value."""

    deflated_sharpe: float
    probabilistic_sharpe: float
    expected_max_sharpe: float
    trials_counted: int
    trials_effective: float
    overfitting: Overfitting | None
    sharpe_chosen: float
    sharpe_test: float
    sharpe_walk_forward: float
    test_needed_s: float


@dataclass(frozen=True)
class Verdict:
    """text: the sentence.  reasons: against trading it, each a sentence; none if trade."""

    trade: bool
    text: str
    reasons: list[str]


def judged(evidence: Evidence) -> Judgement:
    """The figures.  The deflated Sharpe ratio is of train and validation together, over all trials counted."""
    year = math.sqrt(_YEAR_S / evidence.bucket_s)
    deflated = probable = chosen_sharpe = math.nan
    expected, effective = 0.0, float(evidence.returns.shape[1])
    overfit = None
    if evidence.returns.shape[1] and evidence.chosen >= 0:
        chosen = moments(evidence.returns[:, evidence.chosen])
        chosen_sharpe = chosen.sharpe * year
        ratios = sharpe_ratios(evidence.returns)
        variance = float(ratios.var(ddof=1)) if ratios.size > 1 else 0.0
        expected = expected_max_sharpe(variance, evidence.trials)
        effective = effective_trials(evidence.returns)
        shape = (chosen.count, chosen.skew, chosen.kurtosis)
        probable = probabilistic_sharpe(chosen.sharpe, 0.0, *shape)
        deflated = deflated_sharpe(chosen.sharpe, *shape, variance, evidence.trials)
        if evidence.returns.shape[1] >= 2 and evidence.returns.shape[0] >= 4:
            overfit = overfitting_probability(evidence.returns)
    test = moments(evidence.test_returns)
    needed = shortest_record(test.sharpe, 0.0, test.skew, test.kurtosis, CONFIDENCE) * evidence.bucket_s
    walk = evidence.walk_forward
    return Judgement(
        deflated_sharpe=deflated,
        probabilistic_sharpe=probable,
        expected_max_sharpe=expected * year,
        trials_counted=evidence.trials,
        trials_effective=effective,
        overfitting=overfit,
        sharpe_chosen=chosen_sharpe,
        sharpe_test=test.sharpe * year if evidence.test_returns.size > 1 else math.nan,
        sharpe_walk_forward=moments(walk).sharpe * year if walk is not None and walk.size > 1 else math.nan,
        test_needed_s=needed,
    )


def verdict_of(evidence: Evidence, judgement: Judgement) -> Verdict:
    """The sentence and its reasons: every doubt is one, and what is not known is a doubt."""
    reasons = [*_out_of_sample(evidence, judgement), *_luck(evidence, judgement), *_shape(evidence)]
    unit = f" {evidence.unit}" if evidence.unit else ""
    said = f"in sample {_number(evidence.train)}{unit}, out of sample {_number(evidence.test)}{unit}"
    ending = "do not trade this" if reasons else "nothing here speaks against trading it, small at first"
    return Verdict(not reasons, f"{said}: {ending}", reasons)


def _out_of_sample(evidence: Evidence, judgement: Judgement) -> list[str]:
    """What the test window and the walk-forward say."""
    reasons = []
    name, sign = evidence.objective.name, evidence.objective.sign
    pace = evidence.pace if evidence.objective.sums else 1.0
    if math.isnan(evidence.test):
        fills = f"{evidence.test_fills:g} fills" if evidence.test_fills == evidence.test_fills else "no result"
        reasons.append(f"the run out of sample has {fills} and no {name}: nothing is known of it there")
    else:
        if sign > 0 and evidence.test <= 0:
            reasons.append(f"it loses out of sample: {name} is {_number(evidence.test)}")
        elif _worse(evidence.train * pace, evidence.test, sign):
            same = "" if pace == 1 else " that the same pace would give"
            reasons.append(
                f"it keeps less than half of its {name} out of sample: {_number(evidence.test)} of the "
                f"{_number(evidence.train * pace)}{same}"
            )
        if not evidence.test_fills >= FILLS_MIN:
            reasons.append(
                f"{evidence.test_fills:g} fills out of sample are too few to tell; {FILLS_MIN} are the least"
            )
        length_s = evidence.test_returns.size * evidence.bucket_s
        if evidence.test > 0 and not judgement.test_needed_s <= length_s:
            needed = judgement.test_needed_s
            how_long = f"{_span(needed)} would be needed" if math.isfinite(needed) else "no length would do"
            reasons.append(f"{_span(length_s)} out of sample are too short to tell its profit from chance: {how_long}")
    if evidence.walk_forward is not None:
        total = float(evidence.walk_forward.sum())
        if not evidence.walk_forward.size:
            reasons.append("the walk-forward chose nothing that could be run: nothing is known of it")
        elif total <= 0:
            reasons.append(f"chosen anew in each fold it loses on what follows: {_number(total)} in all")
    return reasons


def _luck(evidence: Evidence, judgement: Judgement) -> list[str]:
    """Whether so many tries would have shown as much by chance."""
    reasons = []
    if math.isnan(judgement.deflated_sharpe):
        reasons.append("its deflated Sharpe ratio has no value: whether it is luck is not known")
    elif judgement.deflated_sharpe < CONFIDENCE:
        reasons.append(
            f"the best of {judgement.trials_counted} tries would show a Sharpe ratio of "
            f"{_number(judgement.expected_max_sharpe)} by luck alone, and it has {_number(judgement.sharpe_chosen)}: "
            f"that it has any skill is {judgement.deflated_sharpe:.0%} sure"
        )
    if judgement.overfitting is None:
        reasons.append("too few trials have a value to say how often choosing the best misleads")
    elif judgement.overfitting.probability > 0.5:
        reasons.append(
            f"in {judgement.overfitting.probability:.0%} of the ways to halve the data, the best of one half is below "
            "the middle in the other"
        )
    if evidence.correlation < 0:
        reasons.append(
            f"trials that were better on train were worse on validation: rank correlation {evidence.correlation:.2f}"
        )
    return reasons


def _shape(evidence: Evidence) -> list[str]:
    if evidence.stability.shape == "spike":
        return [
            f"only {evidence.stability.share:.0%} of its {evidence.stability.neighbours} nearest neighbours do nearly "
            "as well: it stands alone"
        ]
    return []


def _worse(train: float, test: float, sign: int) -> bool:
    """Whether more than half of an objective is lost; a cost may double."""
    if sign < 0:
        return test > train / KEPT_MIN
    return train > 0 and test < KEPT_MIN * train


def _number(value: float) -> str:
    return "nothing" if math.isnan(value) else f"{value:.3g}"


def _span(seconds: float) -> str:
    """A length of time in the unit a person would use."""
    for unit, length in (("years", _YEAR_S), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"

"""Whether what a search found should be traded: the measurements, and a plain sentence with its reasons.

The burden of proof is on the search: what speaks against trading is a reason, and so is whatever is not known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinnacle.optimize import overfitting as luck
from pinnacle.optimize.objectives import Objective
from pinnacle.optimize.stability import Stability

# Below so many fills a mean says nothing: the usual rule of thumb for the normal law to hold of a mean.
FILLS_MIN = 30
# What is asked for: of the deflated and the probabilistic Sharpe ratio; the most of the overfitting probability; what
# must be left of an objective out of sample.
CONFIDENCE, PBO_MAX, KEPT_MIN = 0.95, 0.5, 0.5
_YEAR_S = 365 * 86_400
# What grows with the length of a window, and is compared by the hour; a drawdown grows with its root.
_GROWING = ("net", "net_minus_inventory", "turnover", "fills")
_SPANS_S = (("s", 1.0), ("minutes", 60.0), ("hours", 3600.0), ("days", 86_400.0), ("years", float(_YEAR_S)))


@dataclass(frozen=True)
class Evidence:
    """All that a judgement is made of.

    objectives: the first is what the sentence is about.  bucket_ns: of every series of changes.  lengths_s: of the
    windows "train", "validation" and "test".  metrics: of the chosen trial by window; a window that was not run, and a
    metric that has no value (None or NaN), count against it.  faults: by window why it stopped early there, "" if not.
    changes: float64[T, N], the equity changes of all complete trials, of train and then of validation, NaN from where a
    trial stopped early.  train_rows: how many are of train.  chosen: the column of the chosen one.
    train_values, validation_values: float64[N], the first objective of the same trials, NaN where it has no value.
    test_changes: float64[n] of the chosen one, None if it was not run.  trials_tried: all that were compared, those
    that were pruned too.  stability: None if it was not looked at.  walk_forward: as a summary holds it; None if it was
    not asked for.
    """

    objectives: Sequence[Objective]
    quote: str
    bucket_ns: int
    lengths_s: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, float | None]]
    faults: Mapping[str, str]
    changes: np.ndarray
    train_rows: int
    chosen: int
    train_values: np.ndarray
    validation_values: np.ndarray
    test_changes: np.ndarray | None
    trials_tried: int
    stability: Stability | None
    walk_forward: Mapping[str, Any] | None

    def metric(self, window: str, name: str) -> float:
        """A metric of the chosen trial, NaN where it has no value."""
        return _float(self.metrics.get(window, {}).get(name))

    def value(self, window: str, objective: Objective) -> float:
        """An objective of the chosen trial, NaN where it has no value."""
        known = {name: self.metric(window, name) for name in self.metrics.get(window, {})}
        return float(objective.of(defaultdict(lambda: math.nan, known)))


@dataclass(frozen=True)
class Judged:
    """judgement, verdict: as a summary holds them, ready for JSON.  warnings: worth knowing, and no reason."""

    judgement: dict[str, Any]
    verdict: dict[str, Any]
    warnings: list[str]


def judge(evidence: Evidence) -> Judged:
    """Measure, then say whether to trade: only if nothing speaks against it and nothing that was asked is unknown."""
    measured, warnings = _measure(evidence)
    reasons = [
        *_about_windows(evidence),
        *_about_objectives(evidence),
        *_about_luck(evidence, measured),
        *_about_length(evidence, measured),
        *_about_stability(evidence),
        *_about_walk_forward(evidence),
    ]
    if evidence.walk_forward is None:
        warnings.append("there was no walk-forward: one choice in one stretch of time was judged; set optimize.folds")
    trade = not reasons
    verdict = {"trade": trade, "text": f"{_compared(evidence)}: {'trade' if trade else 'do not trade'} this"}
    return Judged({name: _plain(value) for name, value in measured.items()}, verdict | {"reasons": reasons}, warnings)


def nothing_to_judge(tried: int, reason: str) -> dict[str, Any]:
    """The verdict where no trial is complete.  reason: the commonest one for it, "" if none was tried."""
    told = f"none of {tried:,} trials is complete" if tried else "no trial was run"
    return {"trade": False, "text": f"{told}: there is nothing to trade", "reasons": [reason] if reason else []}


# --- measurements -------------------------------------------------------------------------------------------------
def _measure(evidence: Evidence) -> tuple[dict[str, Any], list[str]]:
    """What a summary holds as judgement, NaN where it has no value; and warnings.  Sharpe ratios are by the year."""
    bucket_s = evidence.bucket_ns / 1e9
    year = math.sqrt(_YEAR_S / bucket_s)
    train = evidence.changes[: evidence.train_rows]
    own = luck.moments(train[:, evidence.chosen])
    tested = luck.moments(np.zeros(0) if evidence.test_changes is None else evidence.test_changes)
    trials = max(evidence.trials_tried, evidence.changes.shape[1])
    known = np.isfinite(train).all() and train.shape[0] > 3 and train.shape[1] > 1
    variance = float(luck.sharpes(train).var(ddof=1)) if known else math.nan
    effective = luck.effective_trials(train) if known else math.nan
    noise = math.nan if own.count < 2 else 1 / (own.count - 1)

    def deflated(spread: float, count: float) -> float:
        if math.isnan(count):
            return math.nan
        return luck.deflated_sharpe(own.sharpe, spread, count, own.count, own.skew, own.kurtosis)

    measured = {
        "deflated_sharpe": deflated(variance, trials),
        # The same with the trials that are independent of each other, and with those of pure noise: both are milder.
        "deflated_sharpe_effective": deflated(variance, effective),
        "deflated_sharpe_noise": deflated(noise, trials),
        "probabilistic_sharpe": luck.probabilistic_sharpe(own.sharpe, 0.0, own.count, own.skew, own.kurtosis),
        "probabilistic_sharpe_test": luck.probabilistic_sharpe(
            tested.sharpe, 0.0, tested.count, tested.skew, tested.kurtosis
        ),
        "expected_max_sharpe": luck.expected_max_sharpe(variance, trials) * year,
        "trials_counted": trials,
        "trials_effective": effective,
        "sharpe_train": evidence.metric("train", "sharpe"),
        "sharpe_validation": evidence.metric("validation", "sharpe"),
        "sharpe_test": evidence.metric("test", "sharpe"),
        "test_needed_s": luck.minimum_track_record(tested.sharpe, 0.0, tested.skew, tested.kurtosis)
        * bucket_s,
        "train_needed_s": luck.minimum_backtest_length(own.sharpe, trials) * bucket_s,
        "rank_correlation": rank_correlation(*(
            evidence.objectives[0].sign * values for values in (evidence.train_values, evidence.validation_values)
        )),
        "stability": None if evidence.stability is None else evidence.stability.as_json(),
    }  # fmt: skip
    halved, warnings = _halved(evidence)
    return measured | halved, warnings


def _halved(evidence: Evidence) -> tuple[dict[str, Any], list[str]]:
    """The probability of overfitting over train and validation together, or why it has no value."""
    whole = np.isfinite(evidence.changes).all(axis=0)
    count, trials = int(whole.sum()), whole.size
    names = ("pbo", "pbo_splits", "pbo_parts", "pbo_logits", "pbo_slope", "pbo_loss", "pbo_missing")
    unknown: dict[str, Any] = dict.fromkeys(names)
    if not whole[evidence.chosen]:
        return unknown | {"pbo_missing": "the chosen trial stopped early in the validation"}, []
    if 2 * count < trials:
        # What is left would be the survivors, and their ranks no news of those that fell.
        return unknown | {"pbo_missing": f"{trials - count:,} of {trials:,} trials stopped early in the validation"}, []
    try:
        found = luck.overfitting_probability(evidence.changes[:, whole])
    except ValueError as error:
        return unknown | {"pbo_missing": str(error)}, []
    told = {
        "pbo": found.probability, "pbo_splits": found.combinations, "pbo_parts": found.splits,
        "pbo_logits": [round(float(one), 4) for one in found.logits], "pbo_slope": found.slope,
        "pbo_loss": found.loss_probability,
    }  # fmt: skip
    if count == trials:
        return unknown | told, []
    left_out = f"{trials - count:,} of {trials:,} trials stopped early in the validation"
    return unknown | told, [f"{left_out}; the probability of overfitting is without them"]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, of two float64[N] in which more is better; NaN for fewer than 3 pairs or where one is all equal.

    A trial without a value (NaN) is ranked below all others: it did not hold.
    """
    if first.size < 3:
        return math.nan
    ranks = []
    for values in (first, second):
        filled = np.where(np.isnan(values), -np.inf, values)
        ordered = np.sort(filled)
        ranks.append(np.searchsorted(ordered, filled, "left") + np.searchsorted(ordered, filled, "right"))
    away = [one - one.mean() for one in ranks]
    scale = math.sqrt(float((away[0] ** 2).sum()) * float((away[1] ** 2).sum()))
    return float((away[0] * away[1]).sum()) / scale if scale > 0 else math.nan


# --- reasons ------------------------------------------------------------------------------------------------------
def _about_windows(evidence: Evidence) -> Iterator[str]:
    """Each window was run to its end, with enough fills, and earned something."""
    for window in ("train", "validation", "test"):
        fault = evidence.faults.get(window)
        fills, net = evidence.metric(window, "fills"), evidence.metric(window, "net_quote")
        if fault:
            yield f"the {window} run stopped early: {fault}"
        elif not evidence.metrics.get(window):
            yield f"the {window} window was not run: nothing is known"
        elif math.isnan(fills) or math.isnan(net):
            missing = "number of fills" if math.isnan(fills) else "net result"
            yield f"the {window} run has no {missing}: nothing is known"
        elif fills == 0:
            yield f"the {window} run made no fills: nothing is known"
        else:
            if fills < FILLS_MIN:
                yield f"the {window} run made {fills:,.0f} fills, and fewer than {FILLS_MIN} tell little"
            if net <= 0:
                yield f"it {_won(net, evidence.quote)} in the {window} window, after fees"


def _about_objectives(evidence: Evidence) -> Iterator[str]:
    """What was searched for is there, and is still there out of sample."""
    for one in evidence.objectives:
        before = evidence.value("train", one)
        if math.isnan(before):
            yield f"{_name(one)} has no value in the train window"
            continue
        if one.direction == "maximize" and before <= 0:
            yield f"{_name(one)} is {_valued(evidence, 'train', one)} even in sample"
            continue
        for window in ("validation", "test"):
            after = evidence.value(window, one)
            if math.isnan(after):
                # Without a run or a fill that has been said, and the objective is not what is missing.
                if evidence.metric(window, "fills") > 0:
                    yield f"{_name(one)} has no value in the {window} window"
                continue
            kept = _kept(one, *(_comparable(evidence, name, one) for name in ("train", window)))
            if kept < KEPT_MIN:
                texts = [_valued(evidence, name, one) for name in ("train", window)]
                yield f"{_name(one)} goes from {texts[0]} in sample to {texts[1]} in the {window} window"


def _about_luck(evidence: Evidence, measured: Mapping[str, Any]) -> Iterator[str]:
    """The choice is better than what the best of so many shows by luck, and choosing helps at all."""
    deflated, trials = measured["deflated_sharpe"], measured["trials_counted"]
    if math.isnan(deflated):
        yield "the deflated Sharpe ratio has no value: the train curve is flat or too short, or there is only one trial"
    elif deflated < CONFIDENCE:
        noise = measured["deflated_sharpe_noise"]
        yield (
            f"the Sharpe ratio in sample, {_number(measured['sharpe_train'])}, may be the luck of {trials:,} trials, "
            f"whose best is expected to show {_number(measured['expected_max_sharpe'])} without skill: deflated Sharpe "
            f"{_number(deflated)}, and {CONFIDENCE:g} is asked for"
            + (f" (against trials of pure noise alone it is {_number(noise)})" if noise >= CONFIDENCE else "")
        )
    if measured["pbo"] is None:
        yield f"the probability of overfitting is not known: {measured['pbo_missing']}"
    elif measured["pbo"] > PBO_MAX:
        yield (
            f"the probability of overfitting is {measured['pbo']:.0%}: the best of one half of the time is mostly "
            "below the median in the other"
        )
    correlation = measured["rank_correlation"]
    if math.isnan(correlation):
        yield "trials cannot be compared between train and validation: too few of them, or all alike"
    elif correlation < 0:
        yield f"trials that were better in sample were worse in the validation: rank correlation {_number(correlation)}"


def _about_length(evidence: Evidence, measured: Mapping[str, Any]) -> Iterator[str]:
    """The test is long enough to tell its Sharpe ratio from none."""
    sure, length_s = measured["probabilistic_sharpe_test"], evidence.lengths_s.get("test", math.nan)
    if math.isnan(sure):
        # A test without fills has been said.
        if evidence.metric("test", "fills") > 0:
            yield "the test run has no Sharpe ratio: its equity is flat or not known"
    elif sure < CONFIDENCE and math.isfinite(measured["test_needed_s"]):
        yield (
            f"the test window of {_span(length_s)} is too short to tell its Sharpe ratio from none "
            f"(probability {sure:.0%}); at this ratio it takes {_span(measured['test_needed_s'])}"
        )
    elif sure < CONFIDENCE and not evidence.metric("test", "net_quote") <= 0:
        # A loss has been said.
        yield "the Sharpe ratio of the test is not above 0: no length of it would be enough"


def _about_stability(evidence: Evidence) -> Iterator[str]:
    """The result does not hang on the exact parameters."""
    found = evidence.stability
    if found is None or found.shape == "unknown":
        yield "too few trials are near the best one to tell whether it is more than a coincidence; try more"
    elif found.shape == "spike":
        yield f"the best is a spike: {found.neighbours:,} trials around it keep {found.share:.0%} of it on average"


def _about_walk_forward(evidence: Evidence) -> Iterator[str]:
    """Choosing again and again, and trading what was chosen, earns something."""
    walk = evidence.walk_forward
    if walk is None:
        return
    nets = {one["number"]: _float((one.get("test") or {}).get("net_quote")) for one in walk["folds"]}
    missing = [str(number) for number, net in nets.items() if math.isnan(net)]
    if missing:
        yield f"the walk-forward has no result in fold {', '.join(missing)}"
    total = _float(walk.get("net_quote"))
    if math.isnan(total) or not nets:
        yield "the walk-forward has no net result: nothing is known"
    elif total <= 0:
        yield f"the walk-forward {_won(total, evidence.quote)} over {len(nets)} folds"
    winning = sum(net > 0 for net in nets.values())
    if total > 0 and 2 * winning < len(nets):
        yield f"only {winning} of {len(nets)} folds of the walk-forward earned something"


# --- words --------------------------------------------------------------------------------------------------------
def _compared(evidence: Evidence) -> str:
    """The chosen one in sample and out of it, by the first objective."""
    one = evidence.objectives[0]
    before, after = _valued(evidence, "train", one), _valued(evidence, "test", one)
    if math.isnan(evidence.value("test", one)) or not evidence.metric("test", "fills") > 0:
        after = "nothing is known"
    return f"in sample {_name(one)} {before}, out of sample {after}"


def _valued(evidence: Evidence, window: str, one: Objective) -> str:
    """An objective with its unit; what grows with time by the hour."""
    value = evidence.value(window, one)
    if math.isnan(value):
        return "without value"
    unit = evidence.quote if one.unit == "quote" else one.unit
    if one.name in _GROWING:
        return f"{_number(value * 3600 / evidence.lengths_s[window])} {unit} an hour"
    return _number(value) if one.name == "sharpe" else f"{_number(value)} {unit}"


def _comparable(evidence: Evidence, window: str, one: Objective) -> float:
    """An objective as it may be compared between windows of different length."""
    value, length_s = evidence.value(window, one), evidence.lengths_s[window]
    if one.name in _GROWING:
        return value / length_s
    return value / math.sqrt(length_s) if one.name == "drawdown" else value


def _kept(one: Objective, before: float, after: float) -> float:
    """The share of an objective that is left, 1 if it is as good."""
    if one.direction == "maximize":
        return after / before
    return 1.0 if after <= before else before / after


def _name(one: Objective) -> str:
    return one.name.replace("_", " ")


def _won(net: float, quote: str) -> str:
    return f"lost {_number(-net)} {quote}" if net < 0 else "earned nothing"


def _number(value: float) -> str:
    """Three digits, and never in powers of ten."""
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "without bound"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.6f}"


def _span(seconds: float) -> str:
    """A length of time in the greatest unit of which it has two."""
    if not math.isfinite(seconds):
        return "unknown length"
    name, unit = next(((name, unit) for name, unit in reversed(_SPANS_S) if seconds >= 2 * unit), _SPANS_S[0])
    return f"{_number(seconds / unit)} {name}"


def _float(value: float | None) -> float:
    """A number from JSON's point of view: what has no value is NaN."""
    return math.nan if value is None or not math.isfinite(value) else float(value)


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value

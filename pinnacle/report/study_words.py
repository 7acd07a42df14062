"""What the numbers of a study are called, and what each means in one sentence.

One table, so that the page and the terminal say the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from pinnacle.report.study import Study
from pinnacle.report.study_files import Axis, Metrics, Objective
from pinnacle.report.wording import NOT_MEASURED, amount, count, plain, quantity, share, span

# Of an objective: what it is called, its unit ("" is the quote currency), and the metric it is read from.
_OBJECTIVES = {
    "net": ("net result", "", "net_quote"),
    "sharpe": ("Sharpe ratio", "a year", "sharpe"),
    "markout": ("mark-out after 5 s", "bps", "markout_5s_bps"),
    "markout_1s": ("mark-out after 1 s", "bps", "markout_1s_bps"),
    "markout_30s": ("mark-out after 30 s", "bps", "markout_30s_bps"),
    "net_minus_inventory": ("net less inventory risk", "", "net_quote"),
    "drawdown": ("largest drawdown", "", "max_drawdown_quote"),
    "turnover": ("turnover", "", "turnover_quote"),
    "fills": ("fills", "fills", "fills"),
}
# What grows with the length of a window, and is compared by the hour.
_GROWING = ("net", "net_minus_inventory", "turnover", "fills")
# Of a metric: what it is called, its unit ("" is the quote currency), and how it is written.
_METRICS = {
    "net_quote": ("net result", "", "signed"),
    "fees_quote": ("fees paid", "", "amount"),
    "turnover_quote": ("turnover", "", "amount"),
    "fills": ("fills", "count", "count"),
    "maker_fills": ("of them as maker", "count", "count"),
    "orders": ("orders", "count", "count"),
    "sharpe": ("Sharpe ratio", "a year", "ratio"),
    "max_drawdown_quote": ("largest drawdown", "", "amount"),
    "position_mean_abs_qty": ("mean absolute position", "quantity", "quantity"),
    "position_end_qty": ("position at the end", "quantity", "quantity"),
    "inventory_risk_quote": ("inventory risk", "", "amount"),
    "markout_1s_bps": ("mark-out after 1 s", "bps", "bps"),
    "markout_5s_bps": ("mark-out after 5 s", "bps", "bps"),
    "markout_30s_bps": ("mark-out after 30 s", "bps", "bps"),
}
WINDOWS = ("train", "validation", "test")
WINDOW_MEANINGS = {"train": "in sample", "validation": "out of sample, for the judgement",
                   "test": "out of sample, run once, by the chosen one"}  # fmt: skip


def objective_label(objective: Objective, quote: str) -> str:
    """An objective with its unit, for an axis."""
    name, unit, _ = _OBJECTIVES.get(objective.name, (objective.name, "", ""))
    return f"{name}, {unit or quote}"


def objective_name(name: str) -> str:
    return _OBJECTIVES.get(name, (name.replace("_", " "), "", ""))[0]


def parameter(value: float | None) -> str:
    """A parameter's value, as short as it can be told apart."""
    return NOT_MEASURED if value is None else f"{value:.5g}".replace("-", "\N{MINUS SIGN}")


def metric_rows(quote: str, groups: dict[str, Metrics | None]) -> list[tuple[str, ...]]:
    """A row a metric: its name with the unit, and its value in each group."""
    named = [name for name in _METRICS if any(name in (metrics or {}) for metrics in groups.values())]
    named += sorted({name for metrics in groups.values() for name in metrics or {}} - set(_METRICS))
    return [
        (f"{metric_name(name)}, {unit_of(name, quote)}", *(metric_text(name, m) for m in groups.values()))
        for name in named
    ]


def metric_name(name: str) -> str:
    return _METRICS.get(name, (name.replace("_", " "), "", ""))[0]


def unit_of(name: str, quote: str) -> str:
    unit = _METRICS.get(name, ("", "as named", ""))[1]
    return unit or quote


def metric_text(name: str, metrics: Metrics | None) -> str:
    """A metric as text; a dash where it was not measured."""
    value = (metrics or {}).get(name)
    if value is None:
        return NOT_MEASURED
    how = _METRICS.get(name, ("", "", "quantity"))[2]
    if how == "count":
        return count(round(value))
    if how == "ratio":
        return plain(value, 2)
    if how == "bps":
        return plain(value, 3, True)
    return quantity(value) if how == "quantity" else amount(value, how == "signed")


def compared(study: Study, objective: Objective) -> tuple[np.ndarray, np.ndarray, str] | None:
    """The objective of every trial in train and in validation, and its name with the unit; None where it is not known.

    Both float64[n], NaN where a trial has none.  What grows with time is by the hour, because windows differ in length.
    """
    name, unit, metric = _OBJECTIVES.get(objective.name, (objective.name, "", objective.name))
    pair = []
    for window, metrics in (("train", study.trials.train), ("validation", study.trials.validation)):
        values = metrics.get(metric)
        if values is None or window not in study.made.windows:
            return None
        if objective.name == "net_minus_inventory":
            risk = metrics.get("inventory_risk_quote")
            penalty = (study.made.config.get("optimize") or {}).get("inventory_penalty")
            if risk is None or not isinstance(penalty, (int, float)):
                return None
            values = values - penalty * risk
        hours = study.made.windows[window].length_s / 3600
        pair.append(values / hours if objective.name in _GROWING and hours > 0 else values)
    unit = unit or study.made.quote
    return pair[0], pair[1], f"{name}, {unit} an hour" if objective.name in _GROWING else f"{name}, {unit}"


def judgement_rows(study: Study) -> Iterator[tuple[str, str, str, float | None]]:
    """Name, value, what it means in one sentence, and a number that is above 0 if it speaks for trading."""
    one = study.found.judgement
    if one is None:
        return
    tried = "the tried ones" if one.trials_counted is None else f"{one.trials_counted:,.0f} tries"
    yield (
        "deflated Sharpe", share(one.deflated_sharpe),
        f"Probability that the Sharpe ratio is above what the best of {tried} shows by luck; 95% is usually asked for.",
        _against(one.deflated_sharpe, 0.95),
    )  # fmt: skip
    yield (
        "probabilistic Sharpe", share(one.probabilistic_sharpe),
        "Probability that the Sharpe ratio is above 0, by the length and the shape of its changes, as if it had been "
        "the only try.",
        _against(one.probabilistic_sharpe, 0.95),
    )  # fmt: skip
    yield (
        "Sharpe of pure luck", plain(one.expected_max_sharpe, 2),
        f"The Sharpe ratio that the best of {tried} is expected to show if none has any skill.", None,
    )  # fmt: skip
    if one.trials_effective is not None:
        yield (
            "separate tries", plain(one.trials_effective, 1),
            f"What {tried} come to when those that move together are counted as one.", None,
        )  # fmt: skip
    parts = "" if one.pbo_splits is None else f", cut into {one.pbo_splits:,.0f} parts,"
    yield (
        "overfitting (PBO)", share(one.pbo),
        f"Share of the ways to halve the data{parts} in which the best of one half is below the median in the other; "
        "50% is what chance gives.",
        None if one.pbo is None else 0.5 - one.pbo,
    )  # fmt: skip
    yield (
        "rank correlation", plain(one.rank_correlation, 2, True),
        "How well the order of the trials in sample holds out of sample: 1 is the same order, 0 none.",
        one.rank_correlation,
    )  # fmt: skip
    near = study.found.neighbourhood
    if near is not None and near.share is not None:
        yield (
            "stability", share(near.share),
            f"What its {near.neighbours:,} nearest neighbours keep of its result, on average: a {near.shape}.",
            None if near.shape == "unknown" else -1.0 if near.shape == "spike" else 1.0,
        )  # fmt: skip
    meanings = {
        "train": "In sample, where it was chosen: mean over deviation of its equity's changes, scaled to a year.",
        "validation": "Out of sample, the same of the time after.",
        "both": "Train and validation together.",
        "test": "Out of sample, of the time that nothing else was run on.",
    }
    for window, value in sharpes(study).items():
        yield f"Sharpe, {window}", plain(value, 2), meanings[window], value
    if one.test_needed_s is not None:
        yield (
            "test needed", span(one.test_needed_s),
            "How long the test would have to be for a profit like its to be told from chance.",
            (study.made.windows["test"].length_s if "test" in study.made.windows else 0.0) - one.test_needed_s,
        )  # fmt: skip


def sharpes(study: Study) -> dict[str, float | None]:
    """The chosen one's Sharpe ratio a year, by window."""
    one, best = study.found.judgement, study.found.best
    found: dict[str, float | None] = {}
    for window in ("train", "validation", "both", "test"):
        told = getattr(one, f"sharpe_{'chosen' if window == 'both' else window}", None)
        metrics = None if window == "both" else getattr(best, window, None)
        value = (metrics or {}).get("sharpe") if told is None else told
        if window != "both" or value is not None:
            found[window] = value
    return found


def _against(value: float | None, threshold: float) -> float | None:
    return None if value is None else value - threshold


def place_words(axis: Axis, value: float) -> str:
    """Where a value lies in its searched range, and that it lies at an end, which asks for a wider range."""
    if axis.choices is not None:
        return f"one of {', '.join(parameter(choice) for choice in axis.choices)}"
    place = float(axis.place(value))
    told = f"{parameter(axis.low)} to {parameter(axis.high)}{', log' if axis.log else ''}"
    end = "lower" if place <= 0.02 else "upper" if place >= 0.98 else ""
    return f"{told}; at its {end} end" if end else told


def reasons(study: Study) -> list[tuple[str, str, int, int]]:
    """State, reason, number of trials and the first of them, the commonest first.

    Sentences that differ in their numbers alone count as one, told by the first trial's.
    """
    trials = study.trials
    told = [
        (state, re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", reason), index)
        for index, (state, reason) in enumerate(zip(trials.state.tolist(), trials.reason.tolist()))
        if state != "complete"
    ]
    counts = Counter((state, shape) for state, shape, _ in told)
    first: dict[tuple[str, str], int] = {}
    for state, shape, index in told:
        first.setdefault((state, shape), index)
    return [
        (state, trials.reason[first[state, shape]] or "no reason was written", number,
         int(trials.number[first[state, shape]]))
        for (state, shape), number in counts.most_common()
    ]  # fmt: skip


def faults(study: Study) -> list[str]:
    """Where the chosen one, or a fold's, stopped early, a sentence each."""
    best, walk = study.found.best, study.found.walk_forward
    told = [] if best is None else [("validation", best.validation_fault), ("test", best.test_fault)]
    told += [(f"the test of fold {fold.number}", fold.fault) for fold in (walk.folds if walk else [])]
    return [f"It stopped early in {where}: {fault}" for where, fault in told if fault]


def rate_words(study: Study) -> str:
    """How fast it went."""
    told = study.found.study
    words = [] if told.candidates_per_s is None else [f"{told.candidates_per_s:,.3g} candidates a second"]
    if told.seconds is not None:
        words.append(f"{span(told.seconds)} in all")
    if told.rows is not None:
        words.append(f"{told.rows:,} rows of data")
    if told.bytes_read is not None:
        words.append(f"{told.bytes_read / 1e6:,.1f} MB read")
    return ", ".join(words)


def trials_words(study: Study) -> str:
    """How many trials became what."""
    told = study.found.study
    total = told.trials_complete + told.trials_pruned + told.trials_failed
    each = [(told.trials_complete, "complete"), (told.trials_pruned, "pruned"), (told.trials_failed, "failed")]
    return f"{total:,} trials: " + ", ".join(
        f"{number:,} {name}" for number, name in each if number or name != "pruned"
    )

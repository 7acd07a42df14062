"""From a study's outcomes and curves to the judgement, stability and verdict in its summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pinnacle.optimize.outcome import Outcome, plain
from pinnacle.optimize.results import FoldResult, Study
from pinnacle.optimize.stability import Stability, stability
from pinnacle.optimize.study import Search
from pinnacle.optimize.verdict import Evidence, judge, nothing_to_judge
from pinnacle.run.lanes import LaneResult

# Logits that go into the summary, for the report to draw.
_LOGITS_SHOWN = 500
_YEAR_NS = 365 * 86_400 * 1_000_000_000
_DAY_S = 86_400


def judgement_of(
    study: Study,
    main: Search,
    best: Outcome | None,
    tested: LaneResult | None,
    folds: Sequence[FoldResult],
    curves: Any,
    chained: np.ndarray,
) -> dict[str, Any]:
    """`judgement`, `stability`, `neighbourhood`, `walk_forward`, `verdict` and `warnings` of a summary.

    curves: the frame of curves.parquet.  chained: float64[n], changes of equity over the folds' tests.
    """
    walk_forward = _walk_forward(study, folds, chained)
    if best is None or tested is None:
        reasons = [one.reason for one in main.outcomes if one.reason]
        commonest = max(set(reasons), key=reasons.count) if reasons else ""
        verdict = nothing_to_judge(len(main.outcomes), commonest)
        empty: dict[str, Any] = {"judgement": None, "stability": [], "neighbourhood": None, "warnings": []}
        return {**empty, "walk_forward": walk_forward, "verdict": verdict}
    complete = [one for one in main.outcomes if one.state == "complete"]
    chosen = next(k for k, one in enumerate(complete) if one.number == best.number)
    objective, plan = main.objectives[0], study.plan
    windows = {"train": plan.train, "validation": plan.validation, "test": plan.test}
    found = stability(
        study.space,
        [one.params for one in complete],
        np.array([one.values[0] for one in complete]),
        chosen,
        objective.direction,
    )
    changes, train_rows = _changes(study, curves, [one.number for one in complete])
    judged = judge(
        Evidence(
            objectives=main.objectives,
            quote=study.quote,
            bucket_ns=plan.bucket_ns,
            lengths_s={name: (one.stop_ns - one.first_ns) / 1e9 for name, one in windows.items()},
            metrics={"train": best.train, "validation": best.validation, "test": tested.metrics},
            faults={"train": "", "validation": best.validation_fault, "test": tested.fault},
            changes=changes,
            train_rows=train_rows,
            chosen=chosen,
            train_values=np.array([one.values[0] for one in complete]),
            validation_values=np.array(
                [float(objective.of(one.validation)) if one.validation else math.nan for one in complete]
            ),
            test_changes=None if tested.fault else np.diff(tested.equity_quote),
            trials_tried=len(main.outcomes),
            stability=found,
            walk_forward=walk_forward,
        )
    )
    return {
        "judgement": _told(judged.judgement),
        "stability": found.rows,
        "neighbourhood": found.as_json(),
        "walk_forward": walk_forward,
        "verdict": judged.verdict,
        "warnings": [*judged.warnings, *_warnings(study, main, found)],
    }


def _changes(study: Study, curves: Any, numbers: list[int]) -> tuple[np.ndarray, int]:
    """float64[periods, trials]: changes of equity over train, then validation, NaN where a trial has none; and how
    many of the periods are of train."""
    import polars as pl

    parts = []
    for window in (study.plan.train, study.plan.validation):
        count = (window.stop_ns - window.first_ns) // study.plan.bucket_ns
        equity = np.full((len(numbers), count + 1), np.nan)
        table = curves.filter((pl.col("fold") == 0) & (pl.col("window") == window.name))
        for (number,), rows in table.group_by("number"):
            if number in numbers:
                values = rows.sort("ts_ns")["equity_quote"].to_numpy()
                equity[numbers.index(number), : values.size] = values
        parts.append(np.diff(equity, axis=1))
    return np.concatenate(parts, axis=1).T, parts[0].shape[1]


def _told(judgement: dict[str, Any]) -> dict[str, Any]:
    """The measurements with as many logits as a picture needs."""
    told = {name: value for name, value in judgement.items() if name not in ("pbo_logits", "stability")}
    logits = judgement["pbo_logits"] or []
    shown = np.quantile(logits, np.linspace(0, 1, _LOGITS_SHOWN)).tolist() if logits else []
    # The ways to halve the data are of interest to nobody; the parts are what a reader can change.
    told["pbo_splits"] = told.pop("pbo_parts")
    return told | {"logits": [round(one, 4) for one in shown]}


def _walk_forward(study: Study, folds: Sequence[FoldResult], chained: np.ndarray) -> dict[str, Any] | None:
    """The folds in order, what they earned together, and the annualised Sharpe ratio of that."""
    if not folds:
        return None
    sharpe = None
    if chained.size > 1 and chained.std(ddof=1) > 0:
        year = math.sqrt(_YEAR_NS / study.plan.bucket_ns)
        sharpe = float(chained.mean() / chained.std(ddof=1)) * year
    return {
        "folds": [
            {
                "number": one.fold.number,
                "trial": None if one.best is None else one.best.number,
                "params": None if one.best is None else one.best.params,
                "train": {} if one.best is None else plain(one.best.train),
                "test": {} if one.tested is None else plain(one.tested.metrics),
                "fault": "" if one.tested is None else one.tested.fault,
            }
            for one in folds
        ],
        "net_quote": sum(
            one.tested.metrics["net_quote"] for one in folds if one.tested is not None and not one.tested.fault
        ),
        "sharpe": sharpe,
    }


def _warnings(study: Study, main: Search, found: Stability) -> list[str]:
    """What a reader must know of the figures."""
    said = []
    length_s = (study.plan.test.stop_ns - study.plan.test.first_ns) / 1e9
    if length_s < _DAY_S:
        said.append(
            f"the test window is {length_s:,.0f} s long: an annualised Sharpe ratio of less than a day is only a "
            "figure to compare by"
        )
    failed = [one for one in main.outcomes if one.state == "failed"]
    if failed:
        said.append(f"{len(failed)} of {len(main.outcomes)} trials have no value; the first: {failed[0].reason}")
    if found.fragile:
        said.append(f"a step along {' or '.join(found.fragile)} loses more than half of the result")
    return said

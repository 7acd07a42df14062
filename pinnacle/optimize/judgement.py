"""From a study's outcomes and curves to the judgement, stability and verdict in its summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pinnacle.optimize.outcome import Outcome, plain
from pinnacle.optimize.overfitting import rank_correlation
from pinnacle.optimize.results import FoldResult, Study
from pinnacle.optimize.stability import Stability, stability
from pinnacle.optimize.study import Search
from pinnacle.optimize.verdict import Evidence, Judgement, judged, verdict_of
from pinnacle.run.lanes import LaneResult
from pinnacle.run.window import Window

# Logits that go into the summary, for the report to draw.
_LOGITS_SHOWN = 500


def judgement_of(
    study: Study,
    main: Search,
    best: Outcome | None,
    tested: LaneResult | None,
    folds: Sequence[FoldResult],
    curves: Any,
    walk_forward: np.ndarray,
) -> dict[str, Any]:
    """`judgement`, `stability`, `walk_forward`, `verdict` and `warnings` of a summary.

    curves: the frame of curves.parquet.  walk_forward: float64[n], changes of equity over the folds' tests.
    """
    told = _walk_forward(folds, walk_forward)
    if best is None or tested is None:
        return {
            "judgement": None,
            "stability": [],
            "walk_forward": told,
            "verdict": {"trade": False, "text": _nothing(main), "reasons": [_nothing(main)]},
            "warnings": [],
        }
    complete = [one for one in main.outcomes if one.state == "complete"]
    objective = main.objectives[0]
    both = [one for one in complete if one.validation and not one.validation_fault]
    numbers = [one.number for one in both]
    returns = _returns(curves, numbers)
    validation = np.array([objective.of(one.validation) for one in both], dtype=np.float64)
    known = np.isfinite(validation)
    train = np.array([one.values[0] for one in both], dtype=np.float64)
    found = _stability(study, main, complete, best)
    evidence = Evidence(
        objective=objective,
        unit={"quote": study.quote, "per year": "a year"}.get(objective.unit, objective.unit),
        pace=_length(study.plan.test) / _length(study.plan.train),
        train=best.values[0],
        validation=_value(objective.of, best.validation),
        test=_value(objective.of, {} if tested.fault else tested.metrics),
        test_fills=tested.metrics["fills"],
        returns=returns,
        chosen=numbers.index(best.number) if best.number in numbers else -1,
        trials=len(main.outcomes),
        correlation=rank_correlation(train[known], validation[known]),
        test_returns=np.diff(tested.equity_quote) if not tested.fault else np.zeros(0),
        bucket_s=study.plan.bucket_ns / 1e9,
        stability=found,
        walk_forward=walk_forward if folds else None,
    )
    judgement = judged(evidence)
    verdict = verdict_of(evidence, judgement)
    if told is not None:
        told["sharpe"] = _json(judgement.sharpe_walk_forward)
    return {
        "judgement": _told(evidence, judgement),
        "stability": [{**one, "shape": found.shape} for one in found.params],
        "neighbourhood": plain({"share": found.share, "percentile": found.percentile})
        | {"shape": found.shape, "neighbours": found.neighbours},
        "walk_forward": told,
        "verdict": asdict(verdict),
        "warnings": _warnings(study, tested, main),
    }


def _returns(curves: Any, numbers: list[int]) -> np.ndarray:
    """float64[periods, trials]: changes of equity over train and validation, one column for each of `numbers`."""
    import polars as pl

    parts = []
    for window in ("train", "validation"):
        table = curves.filter((pl.col("fold") == 0) & (pl.col("window") == window))
        table = table.filter(pl.col("number").is_in(numbers)).sort("number", "ts_ns")
        if table.height == 0:
            return np.zeros((0, 0))
        equity = table["equity_quote"].to_numpy().reshape(len(numbers), -1)
        parts.append(np.diff(equity, axis=1))
    return np.concatenate(parts, axis=1).T


def _stability(study: Study, main: Search, complete: Sequence[Outcome], best: Outcome) -> Stability:
    places = study.space.normalise([one.params for one in complete])
    values = np.array([one.values[0] for one in complete]) * main.objectives[0].sign
    at = next(k for k, one in enumerate(complete) if one.number == best.number)
    return stability([axis.name for axis in study.space.axes], places, values, at, [one.params for one in complete])


def _length(window: Window) -> int:
    return window.stop_ns - window.first_ns


def _value(of: Any, metrics: dict[str, float]) -> float:
    return float(of(metrics)) if metrics else math.nan


def _told(evidence: Evidence, judgement: Judgement) -> dict[str, Any]:
    overfit = judgement.overfitting
    figures = {
        "deflated_sharpe": judgement.deflated_sharpe,
        "probabilistic_sharpe": judgement.probabilistic_sharpe,
        "expected_max_sharpe": judgement.expected_max_sharpe,
        "trials_counted": float(judgement.trials_counted),
        "trials_effective": judgement.trials_effective,
        "pbo": math.nan if overfit is None else overfit.probability,
        "pbo_splits": math.nan if overfit is None else float(overfit.splits),
        "pbo_slope": math.nan if overfit is None else overfit.slope,
        "pbo_loss": math.nan if overfit is None else overfit.loss,
        "rank_correlation": evidence.correlation,
        "sharpe_chosen": judgement.sharpe_chosen,
        "sharpe_test": judgement.sharpe_test,
        "test_needed_s": judgement.test_needed_s,
        "train": evidence.train,
        "validation": evidence.validation,
        "test": evidence.test,
    }
    logits = [] if overfit is None else np.quantile(overfit.logits, np.linspace(0, 1, _LOGITS_SHOWN)).tolist()
    return {**plain(figures), "logits": logits}


def _walk_forward(folds: Sequence[FoldResult], changes: np.ndarray) -> dict[str, Any] | None:
    if not folds:
        return None
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
        "net_quote": float(changes.sum()),
        "sharpe": None,
    }


def _warnings(study: Study, tested: LaneResult, main: Search) -> list[str]:
    said = []
    if tested.fault:
        said.append(f"the chosen parameters failed out of sample: {tested.fault}")
    length_s = (study.plan.test.stop_ns - study.plan.test.first_ns) / 1e9
    if length_s < 86_400:
        said.append(
            f"the test window is {length_s:.0f} s long; annualised Sharpe ratios of less than a day are figures of "
            "speech"
        )
    failed = [one for one in main.outcomes if one.state == "failed"]
    if failed:
        said.append(f"{len(failed)} trials have no value; the first: {failed[0].reason}")
    return said


def _nothing(main: Search) -> str:
    """Why there is no best."""
    failed = [one.reason for one in main.outcomes if one.reason]
    common = max(set(failed), key=failed.count) if failed else "none was judged"
    return (
        f"no candidate of {len(main.outcomes)} has a value, so nothing was chosen; most often: {common}; widen the "
        "search, or check the data and the strategy with `pinnacle backtest`"
    )


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None

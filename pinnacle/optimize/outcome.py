"""What became of a candidate, and which of many is the best.

Apart from the search, because tables and judgement are made of outcomes alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pinnacle.optimize.objectives import Objective

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Outcome:
    """One candidate, judged.

    params: the searched ones.  reason: "" if complete.  values: one an objective if complete; the last one judged, of a
    part of the train window, if pruned, where there was one; else none.  train, validation: metrics of the whole
    windows, empty where it was not run.  validation_fault: "" or why the candidate stopped early there.
    """

    number: int
    params: dict[str, float]
    state: State
    reason: str = ""
    values: tuple[float, ...] = ()
    train: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    validation_fault: str = ""


def signed(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> np.ndarray:
    """float64[n, objectives]: the values of complete outcomes, turned so that more is better."""
    values = np.array([one.values for one in outcomes], dtype=np.float64).reshape(len(outcomes), len(objectives))
    return values * np.array([one.sign for one in objectives], dtype=np.float64)


def pareto(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> list[int]:
    """Numbers of the complete outcomes that no other beats in one objective without losing in another, rising.

    Of equal ones the first stands for all; with one objective that leaves the best alone.
    """
    complete = [one for one in outcomes if one.state == "complete"]
    values = signed(complete, objectives)
    front = []
    for index, own in enumerate(values):
        as_good = (values >= own).all(axis=1)
        better = as_good & (values > own).any(axis=1)
        twin = as_good[:index] & (values[:index] == own).all(axis=1)
        if not better.any() and not twin.any():
            front.append(complete[index].number)
    return sorted(front)


def best(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> Outcome | None:
    """The chosen outcome, None if none is complete.

    With one objective the best value.  With several the one of the Pareto front that is nearest to the ideal point,
    which has the front's best of each; distances are Euclidean, with each objective's spread over the front as 1.
    Ties go to the lower number.
    """
    numbers = set(pareto(outcomes, objectives))
    front = sorted((one for one in outcomes if one.number in numbers), key=lambda one: one.number)
    if not front:
        return None
    values = signed(front, objectives)
    ideal = values.max(axis=0)
    spread = ideal - values.min(axis=0)
    short = (ideal - values) / np.where(spread > 0, spread, 1.0)
    return front[int(np.argmin((short**2).sum(axis=1)))]


def plain(metrics: dict[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can say them: what has no value is null."""
    return {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}


def numbers(metrics: dict[str, float | None] | None) -> dict[str, float]:
    """The metrics again, NaN for null."""
    return {name: math.nan if value is None else float(value) for name, value in (metrics or {}).items()}

"""How much of the best result hangs on its exact parameters.

A best that its neighbours share is a property of the market; one that a small step loses is a coincidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

# A neighbour keeps the result if its value is no further from the best than this part of the trials' own range
# (10th percentile to best).
KEPT_SHARE = 0.25
_NEIGHBOURS_MIN, _NEIGHBOURS_SHARE = 5, 0.1

Shape = Literal["plateau", "ridge", "spike", "unknown"]


@dataclass(frozen=True)
class Stability:
    """Of the best trial.  neighbours: how many were looked at.  share: of them, those that keep the result.
    percentile: mean rank of the neighbours among all trials, 0 to 1.  params: by parameter, see `stability`."""

    shape: Shape
    neighbours: int
    share: float
    percentile: float
    params: list[dict[str, Any]]


def stability(
    names: list[str], places: np.ndarray, values: np.ndarray, best: int, params: list[dict[str, float]]
) -> Stability:
    """What the trials near the best say.

    places: float64[n, axes], trials in the unit cube of the search space.  values: float64[n], more is better.  best:
    row of the best.  params: of each trial by name.  For each parameter `low` and `high` are the ends of its values
    among the neighbours that keep the result, `share_of_best` the share of those, among the half of the neighbours that
    are furthest along that parameter, that keep it: what a step along it costs.
    """
    n = len(values)
    count = min(n - 1, max(_NEIGHBOURS_MIN, round(_NEIGHBOURS_SHARE * n)))
    if n < 2 * _NEIGHBOURS_MIN:
        return Stability("unknown", 0, math.nan, math.nan, [])
    distance = np.sqrt(np.square(places - places[best]).sum(axis=1))
    distance[best] = math.inf
    near = np.argsort(distance, kind="stable")[:count]
    reach = float(values[best] - np.quantile(values, 0.1))
    kept = values[near] >= values[best] - KEPT_SHARE * reach
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable") / (n - 1)
    along = []
    for column, name in enumerate(names):
        among = [params[k][name] for k in near[kept]] + [params[best][name]]
        step = np.abs(places[near, column] - places[best, column])
        far = step >= np.median(step)
        along.append(
            {
                "param": name,
                "value": params[best][name],
                "low": min(among),
                "high": max(among),
                "share_of_best": float(kept[far].mean()),
            }
        )
    share = float(kept.mean())
    shape: Shape = "plateau" if share >= 0.6 else "ridge" if share >= 0.3 else "spike"
    return Stability(shape, count, share, float(order[near].mean()), along)

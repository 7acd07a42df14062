"""How much a result depends on the exact parameters: what the trials around the best kept of it.

A best that its neighbours do not share is a coincidence of the data; one on a plateau survives being slightly wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pinnacle.optimize.space import Space

Shape = Literal["plateau", "ridge", "spike", "unknown"]

# A neighbour that has this much of the best's value has kept it.
KEEPS = 0.8
# What neighbours keep on average, from which it is a plateau, and below which a spike.
PLATEAU_SHARE, SPIKE_SHARE = 0.7, 0.3
NEIGHBOURS_MIN = 5
# Distances are root mean squares over the parameters, each as a part of its range; two points anywhere are 0.41 apart.
_NEAR, _FAR = 0.1, 0.3
# Along the one parameter that is asked about, neighbours may be so many times further away than along the others.
_STRETCH = 4.0


@dataclass(frozen=True)
class Stability:
    """rows: one dict a parameter, for a study's summary: param, value (of the best), low, high (where it holds around
    the best, in the parameter's own unit), share_of_best (what neighbours that differ in it above all keep, 1 to -1;
    None if there are none), neighbours (how many).

    share: what neighbours in all directions keep.  rank: their mean place among all trials, 0 worst to 1 best; both NaN
    without neighbours.  neighbours: how many; radius: distance of the furthest of them.  measured_from: what a share of
    0 is: "zero", or the "median" or "worst" trial.  shape: "unknown" if the neighbours are too few or too far to tell.
    """

    rows: list[dict[str, Any]]
    share: float
    rank: float
    neighbours: int
    radius: float
    measured_from: str
    shape: Shape

    @property
    def fragile(self) -> list[str]:
        """Parameters along which the neighbours keep less than half of the best."""
        return [row["param"] for row in self.rows if row["share_of_best"] is not None and row["share_of_best"] < 0.5]

    def as_json(self) -> dict[str, Any]:
        """All but the rows, as a study's files hold it."""
        names = ("share", "rank", "neighbours", "radius", "measured_from", "shape")
        plain = {name: getattr(self, name) for name in names}
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in plain.items()
        } | {"fragile": self.fragile}


def stability(
    space: Space,
    candidates: Sequence[Mapping[str, float]],
    values: np.ndarray,
    best: int,
    direction: Literal["maximize", "minimize"],
) -> Stability:
    """What the neighbours of the best keep.

    candidates: the complete trials' parameters.  values: float64[n], the objective of each, finite.  best: index of the
    chosen one.  A trial's neighbours are all within a tenth of the range, and the nearest ones at least (the root of n,
    and 5); they weigh by their distance, since near copies of the best say little.  Trials of the same parameters count
    once.
    """
    assert len(candidates) == values.size and np.isfinite(values).all()
    all_points = space.normalise(candidates)
    here = all_points[best]
    points, first = np.unique(all_points, axis=0, return_index=True)
    other = (points != here).any(axis=1)
    away, index = np.abs(points[other] - here), first[other]
    signed = values if direction == "maximize" else -values
    kept_by_all, measured_from = _shares(signed, best, direction)
    kept, place = kept_by_all[index], _places(signed)[index]
    least = max(NEIGHBOURS_MIN, round(math.sqrt(len(candidates))))
    rows = [
        _row(space, number, [candidates[i] for i in index], candidates[best], away, kept, least)
        for number in range(len(space.axes))
    ]
    distance = np.sqrt((away**2).mean(axis=1))
    near = _nearest(distance, least)
    share, rank = _mean(kept[near], distance[near]), _mean(place[near], distance[near])
    radius = float(distance[near].max()) if near.size else math.nan
    told = near.size >= NEIGHBOURS_MIN and float(np.median(distance[near])) <= _FAR
    return Stability(rows, share, rank, int(near.size), radius, measured_from, _shape(share) if told else "unknown")


def _shape(share: float) -> Shape:
    if share >= PLATEAU_SHARE:
        return "plateau"
    return "spike" if share < SPIKE_SHARE else "ridge"


def _shares(signed: np.ndarray, best: int, direction: str) -> tuple[np.ndarray, str]:
    """float64[n]: what each trial has of the best's value, 1 to -1, and what 0 of it means.

    signed: more is better.  What is earned is measured from zero, what is lost or avoided has no such zero and is
    measured from the median trial.  No trial has more than 1, and one that loses more than the best gains has -1, so
    that a single disaster does not outweigh everything.
    """
    top = float(signed[best])
    floor, measured_from = 0.0, "zero"
    if direction == "minimize" or top <= 0:
        floor, measured_from = float(np.median(signed)), "median"
        if not top > floor:
            floor, measured_from = float(signed.min()), "worst"
    if not top > floor:
        # All are equal to the best, or it is the worst and there is nothing to keep.
        return (signed >= top).astype(np.float64), measured_from
    return np.clip((signed - floor) / (top - floor), -1.0, 1.0), measured_from


def _places(signed: np.ndarray) -> np.ndarray:
    """float64[n]: each one's place, 0 to 1, by how many are below it; of equal ones each has their middle."""
    ordered = np.sort(signed)
    below, upto = np.searchsorted(ordered, signed, "left"), np.searchsorted(ordered, signed, "right")
    return (below + upto - 1) / 2 / max(1, signed.size - 1)


def _nearest(distance: np.ndarray, least: int) -> np.ndarray:
    """Indices of those within _NEAR, and of the `least` nearest at least; nearest first."""
    order = np.argsort(distance, kind="stable")
    return order[: max(least, int((distance <= _NEAR).sum()))]


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / weights.sum()) if weights.sum() > 0 else math.nan


def _row(
    space: Space, number: int, others: Sequence[Mapping[str, float]], chosen: Mapping[str, float], away: np.ndarray,
    kept: np.ndarray, least: int,
) -> dict[str, Any]:  # fmt: skip
    """One parameter: its neighbours are near in the others and may be further away in this one."""
    axis = space.axes[number]
    weight = np.ones(len(space.axes))
    weight[number] = 1 / _STRETCH
    near = _nearest(np.sqrt(((away * weight) ** 2).mean(axis=1)), least)
    # Those that do not differ in this parameter say nothing about it, and weigh nothing.
    moved = near[away[near, number] > 0]
    share = _mean(kept[moved], away[moved, number])
    value = float(chosen[axis.name])
    low, high = (
        _reach([(float(others[i][axis.name]), float(kept[i])) for i in moved], value, side) for side in (-1, 1)
    )
    return {
        "param": axis.name, "value": value, "low": low, "high": high,
        "share_of_best": None if math.isnan(share) else share, "neighbours": int(moved.size),
    }  # fmt: skip


def _reach(neighbours: Sequence[tuple[float, float]], value: float, side: int) -> float:
    """How far a parameter holds on one side: the furthest neighbour that keeps the best, most up to it keeping it too.

    Most, and not all: neighbours differ in the other parameters as well, and one may fail by those.
    """
    beside = sorted((side * (at - value), share) for at, share in neighbours if side * (at - value) > 0)
    reach, keeping = 0.0, 0
    for count, (distance, share) in enumerate(beside, 1):
        keeping += share >= KEEPS
        if share >= KEEPS and 2 * keeping > count:
            reach = distance
    # Going back and forth may miss the neighbour's own value by a last bit.
    return min((at for at, _ in neighbours), key=lambda at: abs(at - value - side * reach)) if reach else value

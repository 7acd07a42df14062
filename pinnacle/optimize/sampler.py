"""Optuna's samplers and pruners as a search uses them, and the order in which a grid is walked.

Each candidate gets a sampler of its own, seeded by the search's seed and the candidate's number: what is asked next is
then a pure function of what was told before, so a search that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

import numpy as np

from pinnacle.config_optimize import Optimize
from pinnacle.errors import OperatorError
from pinnacle.optimize.space import Space

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


def check_sampler(optimize: Optimize, space: Space, where: str) -> None:
    """Raises OperatorError if the sampler cannot walk the space or is not installed."""
    if optimize.sampler != "cma-es":
        return
    if importlib.util.find_spec("cmaes") is None:
        raise OperatorError(
            f"{where}: optimize.sampler cma-es needs the package cmaes; run `pip install cmaes`, or take tpe"
        )
    for axis in space.axes:
        if axis.choices is not None:
            raise OperatorError(
                f"{where}: optimize.search.{axis.name} has choices, which cma-es cannot walk; give low and high, or "
                "take sampler tpe"
            )
    if len(space.axes) < 2:
        raise OperatorError(f"{where}: cma-es needs two parameters or more, and one is searched; take sampler tpe")


def sampler_for(optimize: Optimize, number: int) -> BaseSampler:
    """The sampler that asks for candidate `number`, with no memory but the study's."""
    from optuna import samplers

    seed = int(np.random.SeedSequence([optimize.seed, number]).generate_state(1)[0])
    if optimize.sampler == "tpe":
        # Candidates of the batch under way count as bad ones, so that a batch spreads (constant liar).
        return samplers.TPESampler(seed=seed, constant_liar=True)
    # A generation is told at once with the batch; a quarter of it may fail or be pruned without costing another.
    population = max(8, optimize.batch * 3 // 4)
    if optimize.sampler == "cma-es":
        return samplers.CmaEsSampler(seed=seed, popsize=population, warn_independent_sampling=False)
    if optimize.sampler == "nsga2":
        return samplers.NSGAIISampler(seed=seed, population_size=min(50, population))
    # The grid's candidates are given and never drawn.
    return samplers.RandomSampler(seed=seed)


def pruner_of(optimize: Optimize) -> BasePruner:
    """The pruner, with a step for each rung.  median keeps the better half at a rung, percentile the best quarter."""
    from optuna import pruners

    if optimize.pruner == "median":
        return pruners.MedianPruner()
    if optimize.pruner == "percentile":
        return pruners.PercentilePruner(25.0)
    if optimize.pruner == "successive-halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    if optimize.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=optimize.rungs, reduction_factor=2)
    return pruners.NopPruner()


class Grid:
    """Every combination of the axes' points, each once, in a shuffled order that needs no memory.

    The order is number -> (start + number * stride) mod size with a stride near the golden section of the size and
    prime to it, so the first n points of a grid too large to finish are spread over it.
    """

    def __init__(self, space: Space, points: int, seed: int) -> None:
        self.names = [axis.name for axis in space.axes]
        self.points = [axis.points(points) for axis in space.axes]
        self.size = math.prod(len(points) for points in self.points)
        self.start = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) % self.size
        self.stride = max(1, round(self.size * (math.sqrt(5) - 1) / 2))
        while math.gcd(self.stride, self.size) > 1:
            self.stride += 1

    def candidate(self, number: int) -> dict[str, float]:
        """The values of candidate `number`, below size."""
        assert 0 <= number < self.size
        place = (self.start + number * self.stride) % self.size
        values = {}
        for name, points in zip(self.names, self.points):
            place, index = divmod(place, len(points))
            values[name] = points[index]
        return values

"""Which parameters made a difference: the share of the values' ranks that each one, and each pair, explains.

So that a person looks at two parameters instead of ten.  It needs no model and no chance: an analysis of variance over
bins of equally many trials.  Ranks are taken for values, because one ruinous trial would otherwise be all the variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

# With fewer, two bins a parameter hold too few trials to tell an effect from chance.
TRIALS_MIN = 20
# Bins of one parameter and, each way, of a pair; fewer where they would hold too few trials.
_BINS_MAX, _PAIR_BINS_MAX = 12, 6
_PER_BIN, _PER_CELL = 8, 6


@dataclass(frozen=True, slots=True)
class Effect:
    """What one parameter explains alone, or a pair beyond what its two explain alone.

    share: of the variance of the values' ranks, 0 to 1.  direction: rank correlation with the value, NaN for a pair.
    together: of a pair, its two and what they do together; of one parameter its share.
    """

    params: tuple[str, ...]
    share: float
    direction: float
    together: float


def effects(params: Mapping[str, np.ndarray], values: np.ndarray) -> list[Effect]:
    """The effect of each parameter and of each pair, the greatest share first.

    params: float64[n] by name.  values: float64[n], finite.  Empty where there are fewer than TRIALS_MIN trials or all
    values are equal: then nothing can be told.  The shares of what a search drew say where it looked, too: a parameter
    that it hardly moved has no effect here.
    """
    count = values.size
    if count < TRIALS_MIN or np.all(values == values[0]):
        return []
    ranked = ranks(values)
    of_one = min(_BINS_MAX, max(2, count // _PER_BIN))
    of_pair = min(_PAIR_BINS_MAX, max(2, int((count / _PER_CELL) ** 0.5)))
    found = []
    for name, column in params.items():
        share = explained(bins(column, of_one), ranked)
        found.append(Effect((name,), share, rank_correlation(column, values), share))
    coarse = {name: bins(column, of_pair) for name, column in params.items()}
    alone = {name: explained(groups, ranked) for name, groups in coarse.items()}
    for one, other in combinations(params, 2):
        together = explained(coarse[one] * of_pair + coarse[other], ranked)
        beyond = max(0.0, together - alone[one] - alone[other])
        found.append(Effect((one, other), beyond, float("nan"), together))
    return sorted(found, key=lambda effect: -effect.share)


def ranks(values: np.ndarray) -> np.ndarray:
    """float64[n]: ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation, NaN for fewer than three points or where one of the two does not vary."""
    if one.size < 3 or np.all(one == one[0]) or np.all(other == other[0]):
        return float("nan")
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def bins(values: np.ndarray, most: int) -> np.ndarray:
    """int64[n]: at most `most` groups of about equally many values; equal values share a group."""
    distinct, inverse = np.unique(values, return_inverse=True)
    if distinct.size <= most:
        return inverse.astype(np.int64)
    return np.minimum(((ranks(values) - 0.5) * most / values.size).astype(np.int64), most - 1)


def explained(groups: np.ndarray, values: np.ndarray) -> float:
    """The share of the values' variance that lies between groups, less what chance alone would put there.

    groups: int64[n], from 0.  Epsilon squared (Kelley 1935), on ranks Kruskal and Wallis's effect size; not below 0,
    and 0 where every value has a group of its own.
    """
    sizes = np.bincount(groups)
    there = int((sizes > 0).sum())
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0 or there >= values.size:
        return 0.0
    means = np.bincount(groups, weights=values) / np.maximum(sizes, 1)
    within = float(((values - means[groups]) ** 2).sum())
    return max(0.0, (total - within - (there - 1) * within / (values.size - there)) / total)

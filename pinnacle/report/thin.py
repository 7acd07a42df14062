"""Long lines cut down to what a screen can show, without losing a peak."""

from __future__ import annotations

import numpy as np

# Points of one line: more than a wide screen has columns, few enough to draw at once.
POINTS_MAX = 4_000


def thin(*lines: np.ndarray, most: int = POINTS_MAX) -> np.ndarray:
    """Rising indices of at most `most` points that keep the first, the last, and each stretch's least and greatest
    value of every line.

    lines: float arrays of one length, NaN where there is no value.  All points where they are few enough.
    """
    size = lines[0].size
    if size <= most:
        return np.arange(size)
    stretches = max(1, (most - 2) // (2 * len(lines)))
    edges = np.linspace(0, size, stretches + 1).astype(np.int64)
    kept = [np.array([0, size - 1])]
    for line in lines:
        assert line.size == size
        for fill, better in ((np.inf, np.minimum), (-np.inf, np.maximum)):
            values = np.where(np.isnan(line), fill, line)
            best = np.repeat(better.reduceat(values, edges[:-1]), np.diff(edges))
            found, first = np.unique(np.repeat(np.arange(stretches), np.diff(edges))[values == best], return_index=True)
            kept.append(np.flatnonzero(values == best)[first])
            assert found.size == stretches
    return np.unique(np.concatenate(kept))


def thin_evenly(count: int, most: int = POINTS_MAX) -> np.ndarray:
    """Rising indices of at most `most` of `count` marks, evenly spread."""
    return np.arange(count) if count <= most else np.unique(np.linspace(0, count - 1, most).astype(np.int64))

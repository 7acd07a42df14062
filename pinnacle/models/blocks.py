"""Standard errors from blocks of time: how far an average would move had we seen another day like this one.

Orders come in bursts and one return tells of the next, so errors for independent data would be several times too small.
What is averaged within a block of some seconds carries most of that dependence, and blocks are compared as if
independent (batch means).  Where blocks still agree with their neighbours the error is too small, and nothing here says
so.
"""

from __future__ import annotations

import math

import numpy as np

from pinnacle.models.events import Flow

_BLOCKS_MIN = 8
_BLOCKS_MAX = 64
_BLOCK_S = 5.0


def time_blocks(flow: Flow) -> int:
    """Into how many equal stretches of time a flow is cut: of 5 s or more each, 8 to 64."""
    return int(min(_BLOCKS_MAX, max(_BLOCKS_MIN, flow.seconds // _BLOCK_S)))


def block_of(flow: Flow, ts_ns: np.ndarray, blocks: int) -> np.ndarray:
    """The block, 0 to blocks - 1, of each time."""
    share = (ts_ns - flow.first_ns) / max(1, flow.last_ns - flow.first_ns)
    return np.clip((share * blocks).astype(np.int64), 0, blocks - 1)


def standard_error(by_block: np.ndarray) -> np.ndarray:
    """Of the mean over blocks, from their scatter: float64[blocks, ...] -> float64[...]; NaN blocks are left out, and
    fewer than three of them say nothing."""
    known = np.isfinite(by_block).sum(axis=0)
    mean = np.where(np.isfinite(by_block), by_block, 0.0).sum(axis=0) / np.maximum(known, 1)
    squares = np.where(np.isfinite(by_block), (by_block - mean) ** 2, 0.0).sum(axis=0)
    error: np.ndarray = np.where(known >= 3, np.sqrt(squares / np.maximum(known - 1, 1) / np.maximum(known, 1)), np.nan)
    return error


def mean_and_error(values: np.ndarray, block: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """(weighted mean, its standard error) of values that carry their block; NaN values are left out.

    The mean is a ratio of two sums over blocks, so its error is that of a ratio (linearised); NaN below three blocks.
    """
    keep = np.isfinite(values)
    weight = np.ones(values.size) if weights is None else weights.astype(float)
    if not keep.any() or not weight[keep].sum() > 0:
        return math.nan, math.nan
    top = np.bincount(block[keep], values[keep] * weight[keep])
    low = np.bincount(block[keep], weight[keep])
    mean = top.sum() / low.sum()
    used = int((low > 0).sum())
    if used < 3:
        return float(mean), math.nan
    squares = float(((top - mean * low) ** 2).sum())
    return float(mean), math.sqrt(squares * used / (used - 1)) / float(low.sum())

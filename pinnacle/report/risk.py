"""Figures of an equity curve: drawdown, and Sharpe and Sortino ratios with everything they depend on stated.

A ratio without its interval, its annualisation and its sample count says nothing, so they travel together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

DAYS_PER_YEAR = 365  # crypto venues do not close
_YEAR_NS = DAYS_PER_YEAR * 86_400 * 1_000_000_000
# Equity is looked at every second, or as rarely as it was sampled: much finer, and one tick of the mid is the return.
INTERVAL_NS = 1_000_000_000
# Fewer changes than these give a deviation that is noise itself.
CHANGES_MIN = 30
# Points at which equity is looked at: a month of seconds; a longer run is looked at less often.
POINTS_MAX = 1 << 22


def sampling_ns(ts_ns: np.ndarray) -> int | None:
    """The interval of a run's samples, None for fewer than two.  A silence may have been left out, so: the least."""
    return int(np.diff(ts_ns).min()) if ts_ns.size > 1 else None


def ratios(ts_ns: np.ndarray, equity: np.ndarray) -> dict[str, Any]:
    """Annualised Sharpe and Sortino of the changes of equity over a fixed interval, risk-free rate 0.

    ts_ns: rising.  equity: any unit.  Between samples equity is the last one known (samples are left out only where
    nothing happened).  A ratio is None where it is not defined, and `ratio_note` says why.
    """
    found: dict[str, Any] = {
        "sharpe": None, "sharpe_standard_error": None, "sortino": None, "ratio_interval_s": None, "ratio_changes": 0,
        "ratio_note": "",
    }  # fmt: skip
    every_ns = sampling_ns(ts_ns)
    if every_ns is None or every_ns <= 0:
        return found | {"ratio_note": "no two samples of equity"}
    span_ns = int(ts_ns[-1] - ts_ns[0])
    coarsest_ns = max(INTERVAL_NS, span_ns // POINTS_MAX)
    interval_ns = every_ns * -(-coarsest_ns // every_ns)
    at_ns = np.arange(int(ts_ns[0]), int(ts_ns[-1]) + 1, interval_ns)
    changes = np.diff(equity[np.searchsorted(ts_ns, at_ns, side="right") - 1])
    found |= {"ratio_interval_s": interval_ns / 1e9, "ratio_changes": int(changes.size)}
    if changes.size < CHANGES_MIN:
        return found | {"ratio_note": f"{changes.size} changes of equity, fewer than {CHANGES_MIN}"}
    mean, deviation = float(changes.mean()), float(changes.std(ddof=1))
    if not deviation > 0:
        return found | {"ratio_note": "equity changed by the same amount throughout"}
    yearly = math.sqrt(_YEAR_NS / interval_ns)
    sharpe = mean / deviation
    # Standard error for independent changes: Lo, The Statistics of Sharpe Ratios, FAJ 58(4), 2002, eq. 9.
    error = math.sqrt((1 + sharpe * sharpe / 2) / changes.size)
    found |= {"sharpe": sharpe * yearly, "sharpe_standard_error": error * yearly}
    downside = math.sqrt(float(np.square(np.minimum(changes, 0.0)).mean()))
    if downside > 0:
        found["sortino"] = mean / downside * yearly
    else:
        found["ratio_note"] = "Sortino: equity never fell"
    if span_ns < 86_400_000_000_000:
        note = f"annualised from {span_ns / 1e9:,.0f} s of data"
        found["ratio_note"] = "; ".join(text for text in (found["ratio_note"], note) if text)
    return found


def drawdown(ts_ns: np.ndarray, equity: np.ndarray) -> dict[str, Any]:
    """The deepest fall of equity below its peak so far (a run starts at 0), and the longest time below a peak.

    equity: any unit, exact where it is integer.  The longest time counts to the sample that is back at the peak, or to
    the last sample.
    """
    if not equity.size:
        return {"max": None, "peak_ns": 0, "trough_ns": 0, "longest_s": None}
    peak = np.maximum(np.maximum.accumulate(equity), 0)
    below = peak - equity
    trough = int(np.argmax(below))
    if not below[trough] > 0:
        return {"max": below[trough], "peak_ns": 0, "trough_ns": 0, "longest_s": 0.0}
    at_peak = np.flatnonzero(below == 0)
    before = at_peak[at_peak < trough]
    peak_ns = int(ts_ns[before[-1]]) if before.size else int(ts_ns[0])
    # From peak to peak, beginning and ending with the samples; only stretches with something below in them count.
    marks = np.unique(np.concatenate(([0], at_peak, [equity.size - 1])))
    wet = (below[marks[:-1]] > 0) | (below[marks[:-1] + 1] > 0)
    longest_ns = int(np.diff(ts_ns[marks])[wet].max()) if wet.any() else 0
    return {"max": below[trough], "peak_ns": peak_ns, "trough_ns": int(ts_ns[trough]), "longest_s": longest_ns / 1e9}


def underwater(equity: np.ndarray) -> np.ndarray:
    """How far equity is below its peak so far: 0 or negative."""
    return equity - np.maximum(np.maximum.accumulate(equity), 0)

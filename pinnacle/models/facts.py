"""Stylised facts of a market: what prices and orders do everywhere, as numbers with standard errors.

A generated market is worth training in only as far as it shares them with the real one; so both are measured by the
same code, and compared by a rule that is stated for each fact.

The facts and their first sources: Cont 2001, Quantitative Finance 1(2) (returns: no autocorrelation, heavy tails,
clustered volatility); Lillo and Farmer 2004, Studies in Nonlinear Dynamics 8(3) (long memory of trade signs); Bouchaud,
Mezard and Potters 2002, Quantitative Finance 2(4) (shape of the book); Andersen, Bollerslev, Diebold and Labys 2000,
Risk (signature plot); Hill 1975, Annals of Statistics 3(5) (tail exponent).

Unless said otherwise the error of a fact is from its scatter over blocks of time (see models/blocks.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pinnacle.instrument import Instrument
from pinnacle.models.blocks import block_of, mean_and_error, standard_error, time_blocks
from pinnacle.models.events import KINDS, MARKET, NS, Flow, order_flow
from pinnacle.models.informed import LEAD_NS, sampled_mid

FORMAT_VERSION = 1
DEPTH_TICKS = (1, 2, 3, 5, 8, 20, 50, 100, 200, 500, 1000)
RETURN_S = 0.1
RETURN_LAGS = (1, 2, 5, 10, 50)
TAIL_S = (0.1, 1.0, 10.0)
CLUSTER_S = 1.0
CLUSTER_LAGS = (1, 2, 5, 10, 30)
SIGNATURE_S = (0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
SIGN_LAGS = (1, 2, 5, 10, 20, 50)
IMPACT_S = 1.0
IMPACT_GROUPS = 5
MARKOUT_S = (0.1, 1.0, 5.0)
# Share of the largest moves that the tail exponent is taken from; fewer than so many say nothing.
HILL_SHARE = 0.05
HILL_MIN = 10
# What a venue stamps its messages with: gaps below it are not told apart.
GAP_NS = 1_000_000

# (first part of a fact's name, rule, tolerance, why this much).  The first that fits decides.
#   factor t: generated / real lies within 1/t .. t;  near t: |generated - real| <= t.
RULES: tuple[tuple[str, str, float, str], ...] = (
    ("spread.mean", "factor", 1.5, "the maker's income is proportional to it"),
    ("spread.share", "near", 0.15, "a share of time"),
    ("spread.", "factor", 2.0, "a quantile moves in whole ticks"),
    ("depth.", "factor", 3.0, "depth differs as much from hour to hour"),
    ("gap.rate", "factor", 1.5, "what is counted most surely"),
    ("gap.cv", "factor", 2.0, "1 is a Poisson flow, real ones are burstier"),
    ("gap.", "factor", 3.0, "a quantile of a heavy tail"),
    ("returns.autocorrelation", "near", 0.1, "no money lies in less"),
    ("tail.hill", "factor", 1.5, "2 to 5 everywhere; the class of the tail is what counts"),
    ("tail.kurtosis", "factor", 3.0, "a fourth moment of few moves"),
    ("clustering.", "near", 0.1, "its sign and order of size"),
    ("signature.variance", "factor", 2.0, "volatility within 1.4"),
    ("signature.", "factor", 1.5, "a ratio of variances"),
    ("impact.", "factor", 2.0, "what a taker of that size moves"),
    ("signs.", "near", 0.15, "its sign and order of size"),
    ("maker.half_spread", "factor", 1.5, "as the spread"),
    ("maker.loss", "factor", 2.0, "whether a passive fill loses to the next move"),
)


def measure(batches: Iterable[np.ndarray], instrument: Instrument, **options: Any) -> dict[str, Any]:
    """The facts of EVENT arrays in order of arrival; options are those of `order_flow`.  See `facts`."""
    return facts(order_flow(batches, instrument, **options))


def facts(flow: Flow) -> dict[str, Any]:
    """Stylised facts of a flow as a dict that JSON takes: {"format_version", "instrument", "seconds", "orders",
    "truncated", "matching", "facts": {name: {"value", "se", "unit"}}}; None for what has no value (too little seen).
    """
    found: dict[str, dict[str, Any]] = {}
    for part in (_spread, _depth, _gaps, _returns, _tails, _clustering, _signature, _impact, _signs, _maker):
        for name, value, error, unit in part(flow):
            if not flow.depth_known and name.startswith(("depth.", "gap.")) and not name.endswith("_market"):
                value = error = math.nan  # what rests and is cancelled was not recorded
            found[name] = {"value": _number(value), "se": _number(error), "unit": unit}
    return {
        "format_version": FORMAT_VERSION,
        "instrument": flow.instrument.name,
        "seconds": flow.seconds,
        "orders": int(flow.orders.size),
        "truncated": flow.truncated,
        "matching": flow.matching.as_dict(),
        "facts": found,
    }


def compare(real: dict[str, Any], generated: dict[str, Any]) -> dict[str, Any]:
    """Fact by fact whether a generated market is like the real one, each by its rule of RULES.

    A fact is in range if its rule holds, or if the difference is within two standard errors of both together: then this
    much data cannot tell the two apart.  `sure` is False when it is in range for the second reason only.
    Returns {"in_range", "out_of_range", "unknown": counts, "facts": {name: {"real", "generated", "rule", "in_range":
    bool or None where either has no value, "sure", "text"}}}.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, one in real["facts"].items():
        other = generated["facts"].get(name, {"value": None, "se": None})
        rows[name] = _compared(name, one, other)
    verdicts = [row["in_range"] for row in rows.values()]
    return {
        "in_range": verdicts.count(True),
        "out_of_range": verdicts.count(False),
        "unknown": verdicts.count(None),
        "facts": rows,
    }


def rule_of(name: str) -> tuple[str, float, str]:
    """(rule, tolerance, reason) of a fact, see RULES."""
    return next((rule, tolerance, why) for start, rule, tolerance, why in RULES if name.startswith(start))


def _compared(name: str, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    rule, tolerance, why = rule_of(name)
    said = f"within a factor of {tolerance:g}" if rule == "factor" else f"within {tolerance:g}"
    row = {"real": one["value"], "generated": other["value"], "rule": f"{said}: {why}", "in_range": None, "sure": False}
    if one["value"] is None or other["value"] is None:
        return {**row, "text": f"{name}: not measurable on both sides"}
    a, b = float(one["value"]), float(other["value"])
    if rule == "factor":
        holds = a == b or (a * b > 0 and 1.0 / tolerance <= b / a <= tolerance)
    else:
        holds = abs(b - a) <= tolerance
    both = math.hypot(one["se"] or 0.0, other["se"] or 0.0)
    text = f"{name}: real {a:.4g}, generated {b:.4g}, difference {abs(b - a):.2g} at a standard error of {both:.2g}"
    row["in_range"] = holds or abs(b - a) <= 2.0 * both
    row["sure"] = holds or not row["in_range"]
    return {**row, "text": text}


Fact = tuple[str, float, float, str]


def _spread(flow: Flow) -> Iterator[Fact]:
    """Weighted by the time it stood."""
    tops = flow.tops
    spread = (tops["ask_ticks"] - tops["bid_ticks"]).astype(float)
    stood = np.diff(tops["ts_ns"], append=flow.last_ns).astype(float)
    block = block_of(flow, tops["ts_ns"], time_blocks(flow))
    yield "spread.mean", *mean_and_error(spread, block, stood), "ticks"
    yield "spread.share_at_1_tick", *mean_and_error((spread <= 1.0).astype(float), block, stood), "share of time"
    for level in (0.5, 0.9, 0.99):
        value, error = _by_block(block, lambda rows, q=level: weighted_quantile(spread[rows], stood[rows], q))
        yield f"spread.quantile_{level:g}", value, error, "ticks"


def _depth(flow: Flow) -> Iterator[Fact]:
    """Mean lots per tick at a distance from the other side's best, both sides."""
    widths = np.diff(flow.edges_ticks)
    weight = flow.samples / max(1, flow.samples.sum())
    by_block = flow.depth_lots.mean(axis=1) / widths
    mean, errors = (np.nan_to_num(by_block) * weight[:, None]).sum(0), standard_error(by_block)
    for ticks in DEPTH_TICKS:
        if ticks < flow.edges_ticks[-1]:
            k = int(np.searchsorted(flow.edges_ticks, ticks, side="right")) - 1
            yield f"depth.at_{ticks}", float(mean[k]), float(errors[k]), "lots per tick"


def _gaps(flow: Flow) -> Iterator[Fact]:
    """Of each kind and both sides: orders per s, and the gaps between the milliseconds that have one."""
    for kind, noun in enumerate(KINDS):
        orders = flow.kind(kind)
        blocks = time_blocks(flow)
        counts = np.bincount(block_of(flow, orders["ts_ns"], blocks), minlength=blocks) * (blocks / flow.seconds)
        yield f"gap.rate_{noun}", float(counts.mean()), float(standard_error(counts)), "1/s"
        moments = np.unique(orders["ts_ns"] // GAP_NS)
        gaps = np.diff(moments) * (GAP_NS / NS)
        block = block_of(flow, moments[1:] * GAP_NS, blocks)
        yield f"gap.mean_{noun}", *mean_and_error(gaps, block), "s"
        yield f"gap.cv_{noun}", *_by_block(block, lambda rows, g=gaps: _ratio(g[rows].std(), g[rows].mean())), "1"
        for q in (0.1, 0.5, 0.9, 0.99):
            value, error = _by_block(block, lambda rows, g=gaps, q=q: float(np.quantile(g[rows], q)))
            yield f"gap.quantile_{q:g}_{noun}", value, error, "s"


def _returns(flow: Flow) -> Iterator[Fact]:
    """Autocorrelation of moves of the mid over RETURN_S; lags in such steps."""
    moves, block = _moves(flow, RETURN_S)
    for lag in RETURN_LAGS:
        yield f"returns.autocorrelation_{lag * RETURN_S:g}s", *_autocorrelation(moves, block, lag), "1"


def _tails(flow: Flow) -> Iterator[Fact]:
    """Hill's exponent of the largest moves (its error supposes them independent) and excess kurtosis by horizon."""
    for horizon in TAIL_S:
        moves, block = _moves(flow, horizon)
        yield f"tail.hill_{horizon:g}s", *hill(np.abs(moves)), "1"
        yield f"tail.kurtosis_{horizon:g}s", *_jackknife(block, lambda rows, m=moves: _kurtosis(m[rows])), "1"


def _clustering(flow: Flow) -> Iterator[Fact]:
    """Autocorrelation of the size of moves over CLUSTER_S: volatile seconds follow volatile ones."""
    moves, block = _moves(flow, CLUSTER_S)
    for lag in CLUSTER_LAGS:
        yield f"clustering.autocorrelation_{lag * CLUSTER_S:g}s", *_autocorrelation(np.abs(moves), block, lag), "1"


def _signature(flow: Flow) -> Iterator[Fact]:
    """Realised variance per s by sampling interval, and each beside that of the longest: 1 for a random walk."""
    squares, blocks = {}, time_blocks(flow)
    for interval in SIGNATURE_S:
        moves, block = _moves(flow, interval)
        squares[interval] = np.bincount(block, moves**2, blocks)
        yield f"signature.variance_{interval:g}s", *mean_and_error(moves**2 / interval, block), "ticks^2/s"
    longest = squares[SIGNATURE_S[-1]]
    for interval in SIGNATURE_S[:-1]:
        # All intervals cover the same time, so the ratio of sums of squares is that of variances.
        value, error = _jackknife(
            np.arange(blocks), lambda rows, s=squares[interval]: _ratio(s[rows].sum(), longest[rows].sum())
        )
        yield f"signature.ratio_{interval:g}s", value, error, "1"


def _impact(flow: Flow) -> Iterator[Fact]:
    """Mean move of the mid, in the taker's direction, over IMPACT_S after a market order, by fifths of its size."""
    orders, before, block = _taken(flow)
    moves = _answer(flow, orders, before, IMPACT_S)
    group = np.zeros(orders.size, np.int64)
    if orders.size:
        # By rank, so that fifths stay fifths where many orders have one size; ties in order of time.
        group[np.argsort(orders["qty_lots"], kind="stable")] = np.arange(orders.size) * IMPACT_GROUPS // orders.size
    for k in range(IMPACT_GROUPS):
        yield f"impact.size_fifth_{k + 1}", *mean_and_error(moves[group == k], block[group == k]), "ticks"


def _signs(flow: Flow) -> Iterator[Fact]:
    """Autocorrelation of the direction of market orders, lags in orders."""
    orders = flow.kind(MARKET)
    block = block_of(flow, orders["ts_ns"], time_blocks(flow))
    for lag in SIGN_LAGS:
        yield f"signs.autocorrelation_{lag}", *_autocorrelation(orders["side"].astype(float), block, lag), "1"


def _maker(flow: Flow) -> Iterator[Fact]:
    """What the maker at the best earned from a market order, and what the mid then took back: above 1 it lost."""
    orders, before, block = _taken(flow)
    bid, ask = flow.best_ticks(orders["ts_ns"] - LEAD_NS, before=True)
    half, half_se = mean_and_error((ask - bid) / 2.0, block)
    yield "maker.half_spread", half, half_se, "ticks"
    for horizon in MARKOUT_S:
        lost, lost_se = mean_and_error(_answer(flow, orders, before, horizon), block)
        ratio = _ratio(lost, half)
        yield f"maker.loss_over_half_spread_{horizon:g}s", ratio, abs(_ratio(lost_se, half)), "1"


def _taken(flow: Flow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(market orders, mid before each, block of each)."""
    orders = flow.kind(MARKET)
    before = flow.mid_ticks(orders["ts_ns"] - LEAD_NS, before=True)
    return orders, before, block_of(flow, orders["ts_ns"], time_blocks(flow))


def _answer(flow: Flow, orders: np.ndarray, before: np.ndarray, horizon_s: float) -> np.ndarray:
    """Move of the mid in the taker's direction over a horizon, ticks; NaN where the flow ends sooner."""
    then_ns = orders["ts_ns"] + round(horizon_s * NS)
    return np.where(then_ns <= flow.last_ns, orders["side"] * (flow.mid_ticks(then_ns) - before), np.nan)


def _moves(flow: Flow, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(moves of the mid over separate steps, ticks; the block of each)."""
    ts_ns, mid = sampled_mid(flow, step_s)
    return np.diff(mid), block_of(flow, ts_ns[:-1], time_blocks(flow))


def _autocorrelation(values: np.ndarray, block: np.ndarray, lag: int) -> tuple[float, float]:
    """(autocorrelation at a lag, its error): mean product over mean square, so the error is that of the products."""
    if values.size < lag + HILL_MIN:
        return math.nan, math.nan
    centred = values - values.mean()
    variance = float((centred * centred).mean())
    if not variance > 0.0:
        return math.nan, math.nan
    return mean_and_error(centred[lag:] * centred[:-lag] / variance, block[lag:])


def hill(sizes: np.ndarray, share: float = HILL_SHARE) -> tuple[float, float]:
    """(tail exponent, its error) of the largest `share` of sizes; NaN if they are fewer than HILL_MIN or all alike."""
    count = int(sizes.size * share)
    if count < HILL_MIN:
        return math.nan, math.nan
    top = np.sort(sizes)[-count - 1 :]
    excess = float(np.log(top[1:] / top[0]).mean()) if top[0] > 0 else 0.0
    return (1.0 / excess, 1.0 / excess / math.sqrt(count)) if excess > 0 else (math.nan, math.nan)


def weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """The least value below or at which a share `level` of the weight lies; NaN without weight."""
    if not weights.sum() > 0:
        return math.nan
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(reached, level * reached[-1]), values.size - 1)])


def _kurtosis(values: np.ndarray) -> float:
    """Excess kurtosis, 0 for a normal distribution."""
    if values.size < HILL_MIN:
        return math.nan
    centred = values - values.mean()
    return _ratio(float((centred**4).mean()), float((centred**2).mean()) ** 2) - 3.0


def _by_block(block: np.ndarray, statistic: Any) -> tuple[float, float]:
    """(statistic of all rows, error from its scatter over blocks); blocks with fewer than HILL_MIN rows are left
    out.
    """
    if block.size < HILL_MIN:
        return math.nan, math.nan
    rows = [np.flatnonzero(block == k) for k in range(int(block.max()) + 1)]
    each = np.array([statistic(one) if one.size >= HILL_MIN else math.nan for one in rows])
    return float(statistic(np.arange(block.size))), float(standard_error(each))


def _jackknife(block: np.ndarray, statistic: Any) -> tuple[float, float]:
    """(statistic of all rows, its error by leaving out one block at a time): for what a block alone cannot say."""
    blocks = int(block.max(initial=0)) + 1
    if blocks < 3:
        return math.nan, math.nan
    without = np.array([statistic(np.flatnonzero(block != k)) for k in range(blocks)])
    return float(statistic(np.arange(block.size))), math.sqrt(
        (blocks - 1) / blocks * ((without - without.mean()) ** 2).sum()
    )


def _ratio(top: float, low: float) -> float:
    return float(top / low) if low != 0 and math.isfinite(low) else math.nan


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None

"""Zero-intelligence order flow: independent Poisson arrivals of limit orders, cancels and market orders.

It is the least a generated market must have right: how often orders come, how far from the best, how large, and how
long they stay.  What such a flow lacks (clustering, memory, information) is what the other models add.

Sources: Cont, Stoikov and Talreja 2010, "A stochastic model for order book dynamics", Operations Research 58(3), for
the rates by distance from the OTHER side's best, their power law, and cancels per resting quantity; Smith, Farmer,
Gillemot and Krishnamurthy 2003, "Statistical theory of the continuous double auction", Quantitative Finance 3(6), for
the scales of spread and depth that follow.  Both sides are pooled: a rate is that of one side.

Standard errors come from blocks of time (the scatter of a rate between blocks), so that clustering widens them; the
Poisson ones would be several times too small on real flow.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.models.blocks import block_of, standard_error, time_blocks
from pinnacle.models.events import CANCEL, LIMIT, MARKET, Flow

# Probabilities of the quantiles that are kept of sizes.
QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
# Orders without which a rate is no fit but an anecdote.
_ORDERS_MIN = 100


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of one kind of order, lots: lognormal (mean and standard deviation of the logarithm) and as they were.

    quantiles_lots[i] is the QUANTILES[i] quantile; drawing: interpolate it at a uniform number.  log_mean_se is the
    standard error of log_mean if sizes were independent.
    """

    count: int
    mean_lots: float
    log_mean: float
    log_mean_se: float
    log_sd: float
    quantiles_lots: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ZeroIntelligence:
    """Rates of one side, per s, by distance in ticks from the other side's best.

    Bucket i holds distances edges_ticks[i] .. edges_ticks[i + 1] - 1.  limit_per_s[i]: orders per s and TICK of the
    bucket.  cancel_per_s[i]: share of what rests there that is cancelled, per s (lots cancelled / lots resting).
    cancel_orders_per_s[i]: cancels per s and tick, as counted.  depth_lots[i]: mean lots resting per tick.
    limit_mean_lots[i], cancel_mean_lots[i]: mean size of such orders there, which differs near and far.
    NaN where nothing ever rested or came.  limit_within_per_s: limit orders of one side at or beyond the other side's
    best of the moment, which no distance counts (batches; inferred ones).  limit_beyond_per_s: those farther than the
    last edge. tail_scale, tail_power: limit_per_s of distance d is tail_scale * d^-tail_power from tail_from_ticks on.
    market_per_s: market orders of one side.  *_se: standard errors.
    """

    venue: str
    symbol: str
    seconds: float
    edges_ticks: tuple[int, ...]
    limit_per_s: tuple[float, ...]
    limit_per_s_se: tuple[float, ...]
    cancel_per_s: tuple[float, ...]
    cancel_per_s_se: tuple[float, ...]
    cancel_orders_per_s: tuple[float, ...]
    limit_mean_lots: tuple[float, ...]
    cancel_mean_lots: tuple[float, ...]
    depth_lots: tuple[float, ...]
    limit_within_per_s: float
    limit_beyond_per_s: float
    tail_scale: float
    tail_power: float
    tail_power_se: float
    tail_from_ticks: int
    market_per_s: float
    market_per_s_se: float
    limit_sizes: Sizes
    cancel_sizes: Sizes
    market_sizes: Sizes

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and text, as TOML and JSON take them (NaN is TOML's nan)."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> ZeroIntelligence:
        """The inverse of as_dict.  Raises OperatorError for a missing, unknown or misshapen entry."""
        try:
            fields: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
            }
            for name in ("limit_sizes", "cancel_sizes", "market_sizes"):
                sizes = dict(fields[name])
                fields[name] = Sizes(**{**sizes, "quantiles_lots": tuple(sizes["quantiles_lots"])})
            model = cls(**fields)
        except (KeyError, TypeError) as error:
            raise OperatorError(f"zero-intelligence model: {error}; fit it again") from None
        if any(len(getattr(model, name)) != len(model.edges_ticks) - 1 for name in _BY_DISTANCE):
            raise OperatorError("zero-intelligence model: rates and edges_ticks differ in length; fit it again")
        return model

    def santa_fe(self) -> dict[str, float]:
        """The scales of Smith, Farmer et al. 2003, with all flow taken as even over the first eight ticks.

        alpha: lots of limit orders per tick and s; mu: lots of market orders per s (both sides); delta: share of
        resting lots cancelled per s.  spread_ticks = mu / 2 alpha, depth_lots_per_tick = alpha / delta, and epsilon =
        2 delta / mu in orders: how fast cancels are beside market orders.
        """
        widths = np.diff(self.edges_ticks)
        near = np.asarray(self.edges_ticks[1:]) <= 9
        resting = np.nan_to_num(np.array(self.depth_lots)) * widths
        cancelled = np.nan_to_num(np.array(self.cancel_per_s)) * resting
        arriving = np.array(self.limit_per_s) * widths * np.nan_to_num(np.array(self.limit_mean_lots))
        alpha = float(arriving[near].sum() / widths[near].sum())
        mu = 2.0 * self.market_per_s * self.market_sizes.mean_lots
        delta = float(cancelled[near].sum() / resting[near].sum()) if resting[near].sum() > 0 else math.nan
        return {
            "alpha_lots_per_tick_s": alpha,
            "mu_lots_per_s": mu,
            "delta_per_s": delta,
            "spread_ticks": mu / (2.0 * alpha) if alpha > 0 else math.nan,
            "depth_lots_per_tick": alpha / delta if delta > 0 else math.nan,
            "epsilon": 2.0 * delta * self.market_sizes.mean_lots / mu if mu > 0 else math.nan,
        }


_BY_DISTANCE = (
    "limit_per_s", "limit_per_s_se", "cancel_per_s", "cancel_per_s_se", "cancel_orders_per_s", "limit_mean_lots",
    "cancel_mean_lots", "depth_lots",
)  # fmt: skip


def fit_zero_intelligence(flow: Flow, tail_from_ticks: int = 1) -> ZeroIntelligence:
    """Rates by counting, which is maximum likelihood for Poisson arrivals; the tail by Poisson regression on ln d.

    tail_from_ticks: distances nearer than this are left out of the power law.  Raises HistoryError with too few orders
    or without depth.
    """
    flow.need_depth()
    limits, cancels, markets = flow.kind(LIMIT), flow.kind(CANCEL), flow.kind(MARKET)
    for name, orders in (("limit orders", limits), ("cancels", cancels), ("market orders", markets)):
        if orders.size < _ORDERS_MIN:
            raise HistoryError(
                f"{flow.instrument.name}: {orders.size} {name} in {flow.seconds:.0f} s are too few to fit; "
                f"give a history with {_ORDERS_MIN} or more"
            )
    edges, seconds = flow.edges_ticks, flow.seconds
    widths = np.diff(edges).astype(float)
    blocks = time_blocks(flow)
    block_s = seconds / blocks
    limit_distance = flow.opposite_ticks(limits)
    arrived = _by_block(flow, limits, limit_distance, None, blocks)  # [blocks, buckets]
    cancelled = _by_block(flow, cancels, flow.opposite_ticks(cancels), None, blocks)
    arrived_lots = _by_block(flow, limits, limit_distance, limits["qty_lots"], blocks)
    cancelled_lots = _by_block(flow, cancels, flow.opposite_ticks(cancels), cancels["qty_lots"], blocks)
    exposure = 2.0 * block_s
    per_s = arrived.sum(0) / (2.0 * seconds)
    resting = _resting(flow)  # lots of one side, mean over sides and time, by bucket
    with np.errstate(invalid="ignore", divide="ignore"):
        cancel_rate = cancelled_lots.sum(0) / (2.0 * seconds) / resting
        limit_lots, cancel_lots = arrived_lots.sum(0) / arrived.sum(0), cancelled_lots.sum(0) / cancelled.sum(0)
        # The scatter of the numerator between blocks; what rests is averaged over all of them.
        cancel_se = standard_error(cancelled_lots / exposure) / resting
    rate_se = standard_error(arrived / exposure) / widths
    scale, power, power_se = _power_law(arrived, edges, exposure, tail_from_ticks)
    market_blocks = np.bincount(block_of(flow, markets["ts_ns"], blocks), minlength=blocks) / exposure
    return ZeroIntelligence(
        venue=flow.instrument.venue,
        symbol=flow.instrument.symbol,
        seconds=seconds,
        edges_ticks=tuple(int(edge) for edge in edges),
        limit_per_s=_floats(per_s / widths),
        limit_per_s_se=_floats(rate_se),
        cancel_per_s=_floats(cancel_rate),
        cancel_per_s_se=_floats(cancel_se),
        cancel_orders_per_s=_floats(cancelled.sum(0) / (2.0 * seconds) / widths),
        limit_mean_lots=_floats(limit_lots),
        cancel_mean_lots=_floats(cancel_lots),
        depth_lots=_floats(resting / widths),
        limit_within_per_s=float((limit_distance < 1).sum() / (2.0 * seconds)),
        limit_beyond_per_s=float((limit_distance >= edges[-1]).sum() / (2.0 * seconds)),
        tail_scale=scale,
        tail_power=power,
        tail_power_se=power_se,
        tail_from_ticks=tail_from_ticks,
        market_per_s=markets.size / (2.0 * seconds),
        market_per_s_se=float(standard_error(market_blocks[:, None])[0]),
        limit_sizes=_sizes(limits["qty_lots"]),
        cancel_sizes=_sizes(cancels["qty_lots"]),
        market_sizes=_sizes(markets["qty_lots"]),
    )


def _by_block(
    flow: Flow, orders: np.ndarray, distance: np.ndarray, weights: np.ndarray | None, blocks: int
) -> np.ndarray:
    """Orders (or lots) counted by block of time and bucket of distance; outside the edges they are left out."""
    buckets = flow.edges_ticks.size - 1
    bucket = np.searchsorted(flow.edges_ticks, distance, side="right") - 1
    inside = (bucket >= 0) & (bucket < buckets)
    cell = block_of(flow, orders["ts_ns"], blocks)[inside] * buckets + bucket[inside]
    counted = np.bincount(cell, None if weights is None else weights[inside].astype(float), blocks * buckets)
    return counted.reshape(blocks, buckets).astype(float)


def _resting(flow: Flow) -> np.ndarray:
    """Mean lots per bucket of one side: over both sides, and over time by the number of samples."""
    weight = flow.samples / max(1, flow.samples.sum())
    mean: np.ndarray = (np.nan_to_num(flow.depth_lots) * weight[:, None, None]).sum(0).mean(0)
    return mean


def _power_law(
    arrived: np.ndarray, edges: np.ndarray, exposure_s: float, from_ticks: int
) -> tuple[float, float, float]:
    """(scale, power, standard error of power) of rate(d) = scale d^-power per tick, by Poisson regression.

    Newton's iterations on counts with mean exposure * width * scale * d^-power, d the geometric middle of a bucket.
    The standard error is a jackknife over blocks of time.  NaN if fewer than three buckets have arrivals.
    """
    use = (edges[:-1] >= from_ticks) & (arrived.sum(0) > 0)
    if use.sum() < 3:
        return math.nan, math.nan, math.nan
    middle = np.log(np.sqrt(edges[:-1] * (edges[1:] - 1.0)))[use]
    offset = np.log(np.diff(edges)[use] * exposure_s)
    x = np.stack((np.ones_like(middle), middle), axis=1)
    counts, blocks = arrived[:, use], arrived.shape[0]

    def fitted(total: np.ndarray, log_blocks: float) -> np.ndarray:
        rate = np.log(total + 0.5) - offset - log_blocks
        beta = np.linalg.lstsq(x * np.sqrt(total + 0.5)[:, None], rate * np.sqrt(total + 0.5), rcond=None)[0]
        for _ in range(50):
            mean = np.exp(x @ beta + offset + log_blocks)
            step = np.linalg.solve(x.T @ (x * mean[:, None]), x.T @ (total - mean))
            beta = beta + np.clip(step, -1.0, 1.0)
            if np.abs(step).max() < 1e-10:
                break
        return beta

    beta = fitted(counts.sum(0), math.log(blocks))
    without = np.array([fitted(counts.sum(0) - counts[k], math.log(blocks - 1))[1] for k in range(blocks)])
    spread = math.sqrt((blocks - 1) / blocks * float(((without - without.mean()) ** 2).sum()))
    return float(math.exp(beta[0])), float(-beta[1]), spread


def _sizes(lots: np.ndarray) -> Sizes:
    logs = np.log(lots.astype(float))
    return Sizes(
        count=int(lots.size),
        mean_lots=float(lots.mean()),
        log_mean=float(logs.mean()),
        log_mean_se=float(logs.std(ddof=1) / math.sqrt(lots.size)),
        log_sd=float(logs.std(ddof=1)),
        quantiles_lots=_floats(np.quantile(lots, QUANTILES)),
    )


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value

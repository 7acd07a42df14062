"""Fitted models into the numbers that the background's kernels draw orders from, and the book it begins with.

The fits say what happened; a generator needs rates that add up to a market that goes on: nothing negative, nothing
missing, nothing that grows without end.  That is checked here, once, with an error that names what is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pinnacle.errors import OperatorError
from pinnacle.event import EVENT, PLACE
from pinnacle.kernels.background import BACKGROUND, FLOW_STATE, WEIGHT_ONE
from pinnacle.kernels.random import exp, ln, uniform
from pinnacle.kernels.state import zeroed
from pinnacle.limits import FLOW_BUCKETS_MAX, FLOW_DECAYS_MAX, FLOW_DISTANCE_MAX, FLOW_KINDS, FLOW_SIZES
from pinnacle.models.hawkes import KINDS as HAWKES_KINDS
from pinnacle.models.hawkes import Hawkes, spectral_radius
from pinnacle.models.value import Value
from pinnacle.models.zero_intelligence import QUANTILES, Sizes, ZeroIntelligence

# Orders at the best beyond this multiple of what rests there on average leave as those behind the best do.  Times that
# excite each other do not see the book, and alone would let it grow for ever.
CROWD = 4.0
_STREAM_BOOK = 2


@dataclass(frozen=True, slots=True)
class Generator:
    """A background: rates by distance and sizes always, self-exciting times and a value where there are any.

    size_factor: every order's size over the fitted one; rate_factor: every rate, so 10 is ten times as busy.
    """

    zero_intelligence: ZeroIntelligence
    hawkes: Hawkes | None = None
    value: Value | None = None
    rate_factor: float = 1.0

    def state(self, seed: int) -> np.ndarray:
        """FLOW_STATE[1], before its first order.  Raises OperatorError for numbers that make no market."""
        array = zeroed(FLOW_STATE)
        flow = array[0]
        flow["seed"] = seed
        flow["stale_side"] = -1
        self._set_rates(flow)
        if self.hawkes is not None:
            self._set_hawkes(flow, self.hawkes)
        else:
            flow["market_rate"] = 2.0 * flow["market_per_s"]
        if self.value is not None:
            self._set_value(flow, self.value)
        flow["limit_rate"] = 2.0 * flow["limit_below"][flow["buckets"]]
        return array

    def _set_rates(self, flow: np.void) -> None:
        model = self.zero_intelligence
        edges = model.edges_ticks
        count = len(edges) - 1
        if not 1 <= count <= FLOW_BUCKETS_MAX or edges[0] != 1 or edges[-1] > FLOW_DISTANCE_MAX:
            raise OperatorError(
                f"zero_intelligence.edges_ticks has {count} buckets from {edges[0]} to {edges[-1]}, and must have 1 to "
                f"{FLOW_BUCKETS_MAX} from 1 to at most {FLOW_DISTANCE_MAX} ticks"
            )
        if any(b <= a for a, b in pairwise(edges)):
            raise OperatorError("zero_intelligence.edges_ticks must rise")
        limits = _rates(model.limit_per_s, "zero_intelligence.limit_per_s") * self.rate_factor
        cancels = _rates(model.cancel_per_s, "zero_intelligence.cancel_per_s") * self.rate_factor
        means = _rates(model.limit_mean_lots, "zero_intelligence.limit_mean_lots")
        market = float(_rates((model.market_per_s,), "zero_intelligence.market_per_s")[0]) * self.rate_factor
        widths = np.diff(edges)
        if not limits.sum() > 0:
            raise OperatorError("zero_intelligence.limit_per_s is 0 throughout; a market needs limit orders")
        # Where orders come and none was ever seen to be cancelled, what rests would grow for ever.
        least = float(cancels[cancels > 0].min()) if (cancels > 0).any() else 0.0
        if least == 0.0:
            raise OperatorError("zero_intelligence.cancel_per_s is 0 throughout; a market needs cancels")
        cancels = np.where(cancels > 0, cancels, least)
        flow["buckets"] = count
        flow["edges"][: count + 1] = edges
        flow["bucket_of"][:] = np.clip(np.searchsorted(edges, np.arange(FLOW_DISTANCE_MAX + 1), "right") - 1, 0, count)
        flow["limit_per_tick"][:count] = limits
        flow["limit_below"][1 : count + 1] = np.cumsum(limits * widths)
        flow["cancel_weight"][:count] = np.maximum(1, np.round(cancels * WEIGHT_ONE))
        table = size_table(model.limit_sizes, "limit_sizes")
        flow["limit_lots"][:] = table
        flow["limit_scale"][:count] = np.where(means > 0, means, model.limit_sizes.mean_lots) / table.mean()
        table = size_table(model.market_sizes, "market_sizes")
        flow["market_lots"][:] = table * (model.market_sizes.mean_lots / table.mean())
        flow["market_per_s"] = market

    def _set_hawkes(self, flow: np.void, model: Hawkes) -> None:
        if tuple(model.kinds) != HAWKES_KINDS:
            raise OperatorError(f"hawkes.kinds is {model.kinds}, and must be {HAWKES_KINDS}")
        if not 1 <= len(model.decays_per_s) <= FLOW_DECAYS_MAX:
            raise OperatorError(f"hawkes.decays_per_s has {len(model.decays_per_s)}, and at most {FLOW_DECAYS_MAX} fit")
        base = _rates(model.base_per_s, "hawkes.base_per_s")
        offspring = np.array(model.offspring, float)
        decays = _rates(model.decays_per_s, "hawkes.decays_per_s")
        _rates(offspring.ravel(), "hawkes.offspring")
        if not decays.min() > 0:
            raise OperatorError("hawkes.decays_per_s must be above 0")
        radius = spectral_radius(offspring.sum(2))
        if radius >= 1.0:
            raise OperatorError(
                f"hawkes.offspring has a spectral radius of {radius:.3f}, so each order brings more than one other and "
                "the flow never ends; it must be below 1: fit it again, or scale it down"
            )
        flow["hawkes"] = 1
        flow["decays"] = decays.size
        # Time runs rate_factor times as fast.
        flow["decay_per_s"][: decays.size] = decays * self.rate_factor
        flow["base_per_s"][:] = base * self.rate_factor
        for parent in range(FLOW_KINDS):
            for child in range(FLOW_KINDS):
                flow["kick_per_s"][parent, child, : decays.size] = offspring[child, parent] * decays * self.rate_factor
        near = float(model.rates_per_s[2:4].mean()) * self.rate_factor
        flow["crowd_orders"] = max(1, round(CROWD * near * WEIGHT_ONE / float(flow["cancel_weight"][0])))

    def _set_value(self, flow: np.void, value: Value) -> None:
        flow["informed"] = 1
        flow["news_per_s"] = flow["news_rate"] = value.news_per_s * self.rate_factor
        # A step is as large however busy the market, so its variance per s grows with the rate.
        flow["news_log_mean"], flow["news_log_sd"] = value.news_log_mean, value.news_log_sd
        flow["informed_per_s"] = value.informed_per_s * self.rate_factor
        flow["withdraw_per_s"] = value.withdraw_per_s * self.rate_factor
        # The informed take the place of others, so that as many trade.
        left = 1.0 - value.informed_share
        flow["market_rate"] *= left
        if self.hawkes is not None:
            rates = self.hawkes.rates_per_s * self.rate_factor
            for kind in (4, 5):
                less = value.informed_share * rates[kind]
                flow["base_per_s"][kind] = max(0.1 * flow["base_per_s"][kind], flow["base_per_s"][kind] - less)

    def first_orders(self, flow: np.void, seed: int, bid_ticks: int, price_min_ticks: int, ts_ns: int) -> np.ndarray:
        """EVENT[n], orders of the background that make a book one tick wide with the depth that was measured."""
        model = self.zero_intelligence
        depth = np.nan_to_num(np.array(model.depth_lots))
        sizes = flow["limit_lots"]
        rows: list[tuple[int, int, int]] = []
        draw = 0
        for side in (1, -1):
            for d in range(1, int(flow["edges"][flow["buckets"]])):
                b = int(flow["bucket_of"][d])
                mean = float(sizes.mean() * flow["limit_scale"][b])
                price = bid_ticks + 1 - d if side > 0 else bid_ticks + d
                wanted = depth[b] / max(mean, 1.0)
                count = int(wanted + uniform(seed, _STREAM_BOOK, draw))
                draw += 1
                if d == 1:
                    count = max(count, 1)
                for _ in range(count if price >= price_min_ticks else 0):
                    u = uniform(seed, _STREAM_BOOK, draw)
                    draw += 1
                    rows.append(
                        (side, price, max(1, round(float(sizes[int(u * FLOW_SIZES)] * flow["limit_scale"][b]))))
                    )
        orders = np.zeros(len(rows), EVENT)
        orders["kind"], orders["aux"], orders["ts_ns"], orders["ts_venue_ns"] = PLACE, BACKGROUND, ts_ns, ts_ns
        orders["order_id"] = int(flow["orders"]) + 1 + np.arange(orders.size)
        for name, column in zip(("side", "price_ticks", "qty_lots"), zip(*rows)):
            orders[name] = column
        flow["orders"] += orders.size
        return orders


def size_table(sizes: Sizes, name: str) -> np.ndarray:
    """float64[FLOW_SIZES], sizes in lots at probabilities (k + 1/2) / FLOW_SIZES; between the quantiles, geometrically.

    By our own logarithm, so that the bits are the same everywhere.  Raises OperatorError for what is no distribution.
    """
    known = [float(lots) for lots in sizes.quantiles_lots]
    if len(known) != len(QUANTILES) or min(known) <= 0 or any(b < a for a, b in pairwise(known)):
        raise OperatorError(
            f"zero_intelligence.{name}.quantiles_lots must be {len(QUANTILES)} sizes above 0 that do not fall"
        )
    if not (math.isfinite(sizes.mean_lots) and sizes.mean_lots > 0):
        raise OperatorError(f"zero_intelligence.{name}.mean_lots is {sizes.mean_lots}, and must be above 0")
    logs = [float(ln(lots)) for lots in known]
    at = (np.arange(FLOW_SIZES) + 0.5) / FLOW_SIZES
    return np.array([float(exp(float(one))) for one in np.interp(at, QUANTILES, logs)])


def _rates(values: object, name: str) -> np.ndarray:
    """Numbers of at least 0, NaN (nothing was seen) as 0.  Raises OperatorError."""
    found = np.nan_to_num(np.array(values, float), nan=0.0, posinf=math.inf)
    if not np.isfinite(found).all() or (found < 0).any():
        bad = found[~np.isfinite(found) | (found < 0)][0]
        raise OperatorError(f"{name} has {bad:g}, and a rate is a finite number of at least 0; fit it again")
    return found

"""Self-exciting order flow: six kinds of order that make each other more likely, fitted by maximum likelihood.

Real orders come in bursts: a trade brings cancels, cancels bring limit orders.  A Hawkes process says how many direct
children an order of one kind has of each other kind, and how soon; the rest comes by itself, at a base rate.

The intensity of kind m is base[m] + sum over past events (kind j, age a) of offspring[m, j, k] decay[k] exp(-decay[k]
a). With decays given it is linear in what is fitted, so the likelihood is concave: EM steps (Veen and Schoenberg 2008,
JASA 103) find the neighbourhood and Newton's steps on the free parameters the top, kind by kind.  Decays come from a
grid.

Sources: Hawkes 1971, Biometrika 58(1); Ogata 1981 (recursion, thinning); Bowsher 2007, J. Econometrics 141 (time
rescaling of order flow); Bacry, Mastromatteo and Muzy 2015, Market Microstructure and Liquidity 1(1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.kernels.excite import excitation, residuals, thinning
from pinnacle.models.events import CANCEL, LIMIT, MARKET, NS, Flow

KINDS = ("limit buy", "limit sell", "cancel buy", "cancel sell", "market buy", "market sell")
# Half of what an order causes has come after ln 2 / decay: from a millisecond to seconds.
DECAYS_PER_S = (0.3, 3.0, 30.0, 300.0, 1000.0)
# Events that decide the decays, and events that are fitted: the first so many of a history.
SEARCH_EVENTS_MAX = 60_000
FIT_EVENTS_MAX = 500_000
# What venues stamp their messages with, and what a recorder's reading blurs.
RESOLUTION_NS = 1_000_000
# A fit at or above 1 describes a flow that never ends; it is scaled down to this, and says so.
RADIUS_MAX = 0.98
_EM_STEPS = 30
_NEWTON_STEPS = 60


@dataclass(frozen=True, slots=True)
class Hawkes:
    """A fitted process.  Rates per s; rows of offspring are children, columns parents.

    base_per_s[m]; offspring[m][j][k]: mean number of direct children of kind m of one event of kind j at
    decays_per_s[k]. *_se: standard errors from the observed information (0 for a parameter that the data pushed to 0).
    log_likelihood of `events` events in `seconds`.  radius_fitted: spectral radius as fitted; radius: of what is
    kept here.  scaled: they differ, because the fit did not lead to a stationary flow.
    ks: Kolmogorov-Smirnov distance of each kind's rescaled waits from an exponential; ks_p: its p-value.
    """

    kinds: tuple[str, ...]
    base_per_s: tuple[float, ...]
    base_per_s_se: tuple[float, ...]
    offspring: tuple[tuple[tuple[float, ...], ...], ...]
    offspring_se: tuple[tuple[tuple[float, ...], ...], ...]
    decays_per_s: tuple[float, ...]
    log_likelihood: float
    poisson_log_likelihood: float
    events: int
    seconds: float
    radius_fitted: float
    radius: float
    scaled: bool
    ks: tuple[float, ...]
    ks_p: tuple[float, ...]

    @property
    def branching(self) -> np.ndarray:
        """float64[m, m]: direct children of each kind (row) by one event of each kind (column), all decays together."""
        matrix: np.ndarray = np.array(self.offspring).sum(axis=2)
        return matrix

    @property
    def rates_per_s(self) -> np.ndarray:
        """float64[m]: stationary rates, (I - branching)^-1 base."""
        rates: np.ndarray = np.linalg.solve(np.eye(len(self.kinds)) - self.branching, np.array(self.base_per_s))
        return rates

    @property
    def endogenous_share(self) -> float:
        """The branching ratio: share of all events that earlier events caused, 1 - sum of base / sum of rates."""
        return 1.0 - float(sum(self.base_per_s) / self.rates_per_s.sum())

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and text, as TOML and JSON take them."""
        return {name: _lists(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Hawkes:
        """The inverse of as_dict.  Raises OperatorError for a missing, unknown or misshapen entry."""
        try:
            model = cls(**{name: _tuples(value) for name, value in table.items()})
            shape = np.array(model.offspring).shape
        except (TypeError, ValueError) as error:
            raise OperatorError(f"Hawkes model: {error}; fit it again") from None
        kinds = len(model.kinds)
        if shape != (kinds, kinds, len(model.decays_per_s)) or len(model.base_per_s) != kinds:
            raise OperatorError(f"Hawkes model: offspring has shape {shape} for {kinds} kinds; fit it again")
        return model


def points(
    flow: Flow, near_ticks: int = 0, resolution_ns: int = RESOLUTION_NS, seed: int = 1
) -> tuple[np.ndarray, np.ndarray, float]:
    """(times in s from the start, kinds as in KINDS, length in s) of a flow's orders near the best, by time.

    near_ticks: limit orders and cancels farther behind their own best are left out.  resolution_ns: below it times say
    how a venue batches and a recorder reads, not how orders follow each other (half the messages of a burst are read
    within microseconds); so the orders of each stretch of it are drawn apart evenly over it, in their order (Bowsher
    2007).  Seeded.  Raises HistoryError for a history without depth.
    """
    flow.need_depth()
    orders = flow.orders[(flow.orders["kind"] == MARKET) | (flow.own_ticks(flow.orders) <= near_ticks)]
    kinds = 2 * orders["kind"].astype(np.int64) + (orders["side"] < 0)
    assert (LIMIT, CANCEL, MARKET) == (0, 1, 2)
    stretch = (orders["ts_ns"] - flow.first_ns) // resolution_ns
    within = np.random.default_rng(seed).random(orders.size)
    # Sorted by stretch and then by draw, so that each stretch's draws rise while its orders keep their order.
    within = within[np.lexsort((within, stretch))]
    times_s = np.minimum((stretch + within) * (resolution_ns / NS), flow.seconds)
    return times_s, kinds, flow.seconds


def fit_hawkes(
    times_s: np.ndarray,
    kinds: np.ndarray,
    seconds: float,
    names: Sequence[str] = KINDS,
    decays_per_s: Sequence[float] = DECAYS_PER_S,
    decays_count: int = 2,
) -> Hawkes:
    """The process that makes these events likeliest.

    times_s: rising, 0 to seconds.  kinds: int64 below len(names).  decays_per_s: the grid; decays_count: how many of it
    (1 or 2) the process may use, chosen by likelihood over the first SEARCH_EVENTS_MAX events.  Of more than
    FIT_EVENTS_MAX events the first so many are fitted.  A spectral radius of RADIUS_MAX or more is scaled down to that
    (offspring shrunk, base raised to keep the observed rates) and `scaled` says so.
    Raises HistoryError if a kind has fewer than 30 events: nothing can be said of its parents.
    """
    if times_s.size > FIT_EVENTS_MAX:
        seconds = float(times_s[FIT_EVENTS_MAX])
        times_s, kinds = times_s[:FIT_EVENTS_MAX], kinds[:FIT_EVENTS_MAX]
    times_s, kinds = np.ascontiguousarray(times_s, np.float64), np.ascontiguousarray(kinds, np.int64)
    counts = np.bincount(kinds, minlength=len(names))
    if counts.min() < 30:
        poor = int(counts.argmin())
        raise HistoryError(
            f"{counts[poor]} events of kind {names[poor]!r} in {seconds:.0f} s are too few for a Hawkes fit; "
            "give a longer history"
        )
    chosen = _chosen_decays(times_s, kinds, seconds, len(names), tuple(decays_per_s), decays_count)
    base, offspring, base_se, offspring_se, likelihood = _fit(times_s, kinds, seconds, len(names), chosen)
    rates = counts / seconds
    fitted_radius = spectral_radius(offspring.sum(2))
    ks, ks_p = goodness(times_s, kinds, base, offspring, np.array(chosen))
    model = Hawkes(
        kinds=tuple(names), base_per_s=_tuples(base.tolist()), base_per_s_se=_tuples(base_se.tolist()),
        offspring=_tuples(offspring.tolist()), offspring_se=_tuples(offspring_se.tolist()), decays_per_s=chosen,
        log_likelihood=likelihood, poisson_log_likelihood=float((counts * (np.log(rates) - 1.0)).sum()),
        events=int(times_s.size), seconds=float(seconds), radius_fitted=fitted_radius, radius=fitted_radius,
        scaled=False, ks=ks, ks_p=ks_p,
    )  # fmt: skip
    return model if fitted_radius < RADIUS_MAX else _stationary(model, rates)


def spectral_radius(matrix: np.ndarray) -> float:
    """Greatest absolute eigenvalue: below 1 a burst dies out."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def simulate(model: Hawkes, seconds: float, seed: int, events_max: int = 2_000_000) -> tuple[np.ndarray, np.ndarray]:
    """(times in s, kinds) of a path from an empty past, by Ogata's thinning; the same for the same seed.

    Raises OperatorError when events_max is reached: the process is nearly explosive or the stretch too long.
    """
    times_s, kinds = np.empty(events_max), np.empty(events_max, np.int64)
    count = thinning(
        np.array(model.base_per_s),
        np.array(model.offspring),
        np.array(model.decays_per_s),
        seconds,
        seed,
        times_s,
        kinds,
    )
    if count == events_max:
        raise OperatorError(f"Hawkes simulation: {events_max} events came before {seconds:g} s; ask for less time")
    return times_s[:count].copy(), kinds[:count].copy()


def goodness(
    times_s: np.ndarray, kinds: np.ndarray, base: np.ndarray, offspring: np.ndarray, decays_per_s: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(KS distance, asymptotic p-value) by kind: the time between events, measured in expected events, is
    exponential with mean 1 if the process is right (Papangelou; Bowsher 2007)."""
    waits = np.empty(times_s.size)
    residuals(times_s, kinds, base, offspring, decays_per_s, waits)
    distances = [_ks_exponential(waits[kinds == kind]) for kind in range(base.size)]
    return tuple(d for d, _ in distances), tuple(p for _, p in distances)


def _ks_exponential(waits: np.ndarray) -> tuple[float, float]:
    n = waits.size
    level = -np.expm1(-np.sort(waits))
    rank = np.arange(n)
    distance = float(max((level - rank / n).max(), ((rank + 1) / n - level).max()))
    # Kolmogorov's distribution with Stephens' correction for finite n.
    x = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if x < 0.2:
        return distance, 1.0
    return distance, min(
        1.0, max(0.0, 2.0 * sum((-1) ** (k - 1) * math.exp(-2.0 * k * k * x * x) for k in range(1, 101)))
    )


def _chosen_decays(
    times_s: np.ndarray, kinds: np.ndarray, seconds: float, m: int, grid: tuple[float, ...], count: int
) -> tuple[float, ...]:
    """The set of at most `count` decays under which the first SEARCH_EVENTS_MAX events are likeliest (BIC)."""
    if len(grid) <= 1:
        return grid
    if times_s.size > SEARCH_EVENTS_MAX:
        seconds = float(times_s[SEARCH_EVENTS_MAX])
        times_s, kinds = times_s[:SEARCH_EVENTS_MAX], kinds[:SEARCH_EVENTS_MAX]
    memories = {decay: _memory(times_s, kinds, m, decay) for decay in grid}
    scores = {}
    for size in range(1, count + 1):
        for chosen in combinations(sorted(grid), size):
            likelihood = _fit(times_s, kinds, seconds, m, chosen, memories)[4]
            scores[chosen] = likelihood - 0.5 * m * m * size * math.log(times_s.size)
    return max(scores, key=lambda chosen: scores[chosen])


def _memory(times_s: np.ndarray, kinds: np.ndarray, m: int, decay: float) -> np.ndarray:
    target = np.empty((times_s.size, m))
    excitation(times_s, kinds, m, decay, target)
    return target


def _fit(
    times_s: np.ndarray, kinds: np.ndarray, seconds: float, m: int, decays: tuple[float, ...],
    memories: dict[float, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:  # fmt: skip
    """(base[m], offspring[m, m, k], their standard errors, log-likelihood) at given decays."""
    parts = [memories[decay] if memories else _memory(times_s, kinds, m, decay) for decay in decays]
    # What one unit of each parameter adds to the expected number of events: its exposure.
    exposure = [np.array([seconds])]
    for decay in decays:
        reached = -np.expm1(-decay * (seconds - times_s))
        exposure.append(np.bincount(kinds, reached, m))
    weights = np.concatenate(exposure)
    base, base_se = np.empty(m), np.empty(m)
    offspring, offspring_se = np.empty((m, m, len(decays))), np.empty((m, m, len(decays)))
    likelihood = 0.0
    for kind in range(m):
        rows = kinds == kind
        x = np.column_stack([np.ones(int(rows.sum())), *(part[rows] for part in parts)])
        theta, errors, one = _most_likely(x, weights)
        base[kind], base_se[kind] = theta[0], errors[0]
        offspring[kind] = theta[1:].reshape(len(decays), m).T
        offspring_se[kind] = errors[1:].reshape(len(decays), m).T
        likelihood += one
    return base, offspring, base_se, offspring_se, likelihood


def _most_likely(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The theta >= 0 with the greatest sum(ln(x theta)) - weights theta; its standard errors, and the value.

    x: float64[n, p] >= 0 with a first column of ones; weights: float64[p] > 0.  Concave; EM keeps theta positive and
    never falls, then Newton steps run over what is not at 0 (projected, halved until the value rises).
    """
    n, p = x.shape
    # Begin with a flow that is half caused, evenly.
    theta = np.full(p, 0.5 * n / (p - 1) if p > 1 else n) / weights
    theta[0] = 0.5 * n / weights[0] if p > 1 else n / weights[0]
    for _ in range(_EM_STEPS):
        theta *= ((1.0 / (x @ theta)) @ x) / weights
    value = float(np.log(x @ theta).sum() - weights @ theta)
    floor = 1e-9 * n / weights
    for _ in range(_NEWTON_STEPS):
        inverse = 1.0 / (x @ theta)
        slope = inverse @ x - weights
        free = (theta > floor) | (slope > 0)
        scaled = x[:, free] * inverse[:, None]
        step = np.zeros(p)
        step[free] = np.linalg.lstsq(scaled.T @ scaled, slope[free], rcond=None)[0]
        size, better = 1.0, False
        while size > 1e-6 and not better:
            tried = np.maximum(theta + size * step, 0.0)
            tried[0] = max(tried[0], floor[0])
            tried_value = float(np.log(x @ tried).sum() - weights @ tried)
            better = tried_value > value
            size /= 2.0
        if not better or tried_value - value < 1e-9 * max(1.0, abs(value)):
            if better:
                theta, value = tried, tried_value
            break
        theta, value = tried, tried_value
    free = theta > floor
    scaled = x[:, free] / (x @ theta)[:, None]
    errors = np.zeros(p)
    errors[free] = np.sqrt(np.maximum(np.diag(np.linalg.pinv(scaled.T @ scaled)), 0.0))
    theta[~free] = 0.0
    return theta, errors, value


def _stationary(model: Hawkes, rates_per_s: np.ndarray) -> Hawkes:
    """The model with offspring shrunk to a spectral radius of RADIUS_MAX and base raised to keep the observed rates."""
    shrink = RADIUS_MAX / model.radius_fitted
    offspring = np.array(model.offspring) * shrink
    base = np.maximum(rates_per_s - offspring.sum(2) @ rates_per_s, 0.0)
    return replace(
        model, base_per_s=_tuples(base.tolist()), offspring=_tuples(offspring.tolist()), radius=RADIUS_MAX, scaled=True
    )


def _lists(value: Any) -> Any:
    return [_lists(one) for one in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, (list, tuple)) else value

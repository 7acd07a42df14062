"""What takers know: how much of the flow is informed, how fast the price learns it, and how far the value moves.

A generated market needs a value that wanders and takers of whom some see it; otherwise a maker earns the spread for
nothing, and everything learnt against it is wrong.  Three numbers are taken from history for that:

- sigma: the volatility of the value.  The mid at long horizons moves as the value does, whatever it does at short ones.
- share: the informed share of takers.  If an informed taker is always on the side of the next move and an uninformed
  one on either, a share s of informed makes a fraction p = (1 + s) / 2 right, so s = 2 p - 1 (the mixture of Glosten
  and Milgrom 1985, J. Financial Economics 14, read backwards).
- learning time: R(l) = mean of sign * (mid l after a trade - mid before it), the response, rises to what a trade
  tells for good as R (1 - exp(-l / tau)) (Bouchaud, Gefen, Potters and Wyart 2004, Quantitative Finance 4(2)).

Beside them, to be judged by: Kyle's lambda (1985, Econometrica 53), the slope of moves on net taken lots; and of
Hasbrouck 1991 (J. Finance 46; Review of Financial Studies 4) what a trade moves in the long run, and the part of the
value's variance that trades bring.

What this cannot tell apart.  A taker who follows the last trade is right while moves go on, so the share is an
upper bound where signs repeat; and moves that come as news, without a trade, count for no one.  A price that trades
push and that comes back later than the longest lag looks informed.  Which taker is informed is not identified at all,
nor whether few know much or many know little: the share and what they know enter the response as a product.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.models.blocks import block_of, mean_and_error, time_blocks
from pinnacle.models.events import MARKET, NS, Flow

LAGS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
KYLE_S = (0.1, 1.0, 5.0)
# A trade is heard before or after the book it changed; the mid of before it is taken so much earlier.
LEAD_NS = 2_000_000
_TRADES_MIN = 200
_VAR_LAGS = 5
_VAR_STEPS = 200


@dataclass(frozen=True, slots=True)
class Kyle:
    """Move of the mid over interval_s on lots taken net: ticks per lot, its error (White 1980), and R squared."""

    interval_s: float
    lambda_ticks_per_lot: float
    lambda_se: float
    r_squared: float


@dataclass(frozen=True, slots=True)
class Informed:
    """What takers know, in ticks and s.  *_se: standard errors (NaN where too little was seen).

    response_ticks[i] at lags_s[i].  permanent_ticks and learning_s: the fitted limit and time of the response;
    transient_ticks: what the response falls from its peak to the longest lag, 0 if it is highest there.
    share at horizon share_s.  sigma_ticks: volatility per sqrt(s) over sigma_s; sigma_short_ticks: over the shortest
    lag. half_spread_ticks: mean of what was quoted before market orders.  var_impact_ticks: what one market
    order moves in the long run; var_share: of the value's variance, what trades bring.
    """

    venue: str
    symbol: str
    trades: int
    seconds: float
    lags_s: tuple[float, ...]
    response_ticks: tuple[float, ...]
    response_ticks_se: tuple[float, ...]
    permanent_ticks: float
    permanent_ticks_se: float
    transient_ticks: float
    learning_s: float
    share: float
    share_se: float
    share_s: float
    sigma_ticks: float
    sigma_ticks_se: float
    sigma_s: float
    sigma_short_ticks: float
    half_spread_ticks: float
    half_spread_ticks_se: float
    var_impact_ticks: float
    var_share: float
    kyle: tuple[Kyle, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and text, as TOML and JSON take them."""
        table = asdict(self)
        for name in ("lags_s", "response_ticks", "response_ticks_se", "kyle"):
            table[name] = list(table[name])
        return table

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Informed:
        """The inverse of as_dict.  Raises OperatorError for a missing or unknown entry."""
        try:
            fields: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
            }
            fields["kyle"] = tuple(Kyle(**one) for one in fields["kyle"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise OperatorError(f"informed model: {error}; fit it again") from None


def fit_informed(
    flow: Flow, lags_s: tuple[float, ...] = LAGS_S, share_s: float = 1.0, sigma_s: float | None = None
) -> Informed:
    """The numbers of `Informed` from market orders and mids.

    share_s: horizon of the next move.  sigma_s: horizon of the value's volatility; None: 30 s, or a twentieth of the
    flow if that is less.  Raises HistoryError with fewer than 200 market orders.
    """
    orders = flow.kind(MARKET)
    if orders.size < _TRADES_MIN:
        raise HistoryError(
            f"{flow.instrument.name}: {orders.size} market orders are too few to say what takers know; "
            f"give a history with {_TRADES_MIN} or more"
        )
    sign = orders["side"].astype(float)
    before = flow.mid_ticks(orders["ts_ns"] - LEAD_NS, before=True)
    block = block_of(flow, orders["ts_ns"], time_blocks(flow))
    lags = tuple(lag for lag in lags_s if lag < flow.seconds / 4)
    answers = [mean_and_error(sign * _move(flow, orders["ts_ns"], before, lag), block) for lag in lags]
    response, errors = np.array([a[0] for a in answers]), np.array([a[1] for a in answers])
    permanent, permanent_se, learning = _saturation(np.array(lags), response, errors)
    share, share_se = _share(sign * _move(flow, orders["ts_ns"], before, share_s), block)
    horizon = sigma_s or min(30.0, flow.seconds / 20.0)
    sigma, sigma_se = volatility(flow, horizon)
    bid, ask = flow.best_ticks(orders["ts_ns"] - LEAD_NS, before=True)
    half, half_se = mean_and_error((ask - bid) / 2.0, block)
    impact, var_share = _hasbrouck(before, sign)
    return Informed(
        venue=flow.instrument.venue, symbol=flow.instrument.symbol, trades=int(orders.size), seconds=flow.seconds,
        lags_s=lags, response_ticks=tuple(map(float, response)), response_ticks_se=tuple(map(float, errors)),
        permanent_ticks=permanent, permanent_ticks_se=permanent_se,
        transient_ticks=float(response.max() - response[-1]), learning_s=learning, share=share, share_se=share_se,
        share_s=share_s, sigma_ticks=sigma, sigma_ticks_se=sigma_se, sigma_s=horizon,
        sigma_short_ticks=volatility(flow, lags[0])[0], half_spread_ticks=half, half_spread_ticks_se=half_se,
        var_impact_ticks=impact, var_share=var_share,
        kyle=tuple(kyle_lambda(flow, interval) for interval in KYLE_S if interval < flow.seconds / 20.0),
    )  # fmt: skip


def _move(flow: Flow, ts_ns: np.ndarray, before: np.ndarray, lag_s: float) -> np.ndarray:
    """Mid lag_s after a time less the mid before it, ticks; NaN where the flow ends sooner."""
    then_ns = ts_ns + round(lag_s * NS)
    return np.where(then_ns <= flow.last_ns, flow.mid_ticks(then_ns) - before, np.nan)


def sampled_mid(flow: Flow, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(times in ns, mid in ticks) every step_s from the first known mid to the end."""
    first_ns = int(flow.tops["ts_ns"][0])
    ts_ns = np.arange(first_ns, flow.last_ns + 1, round(step_s * NS), dtype=np.int64)
    return ts_ns, flow.mid_ticks(ts_ns)


def volatility(flow: Flow, horizon_s: float) -> tuple[float, float]:
    """(ticks per sqrt(s), standard error) of moves of the mid over horizon_s, overlapping at a tenth of it.

    The error supposes that moves of separate horizons are independent with the kurtosis they have.
    """
    _, mid = sampled_mid(flow, horizon_s / 10.0)
    squares = (mid[10:] - mid[:-10]) ** 2 / horizon_s
    if squares.size == 0:
        return math.nan, math.nan
    variance = float(squares.mean())
    apart = max(1.0, squares.size / 10.0)
    error = float(squares.std()) / math.sqrt(apart)
    sigma = math.sqrt(variance)
    return sigma, error / (2.0 * sigma) if sigma > 0 else math.nan


def kyle_lambda(flow: Flow, interval_s: float) -> Kyle:
    """Slope of the mid's move on lots bought less lots sold, over separate intervals."""
    ts_ns, mid = sampled_mid(flow, interval_s)
    orders = flow.kind(MARKET)
    slot = np.searchsorted(ts_ns, orders["ts_ns"] - LEAD_NS, side="right") - 1
    inside = (slot >= 0) & (slot < ts_ns.size - 1)
    net = np.bincount(slot[inside], (orders["side"] * orders["qty_lots"]).astype(float)[inside], ts_ns.size - 1)
    x, y = net - net.mean(), np.diff(mid) - np.diff(mid).mean()
    squares = float((x * x).sum())
    if not squares > 0.0:
        return Kyle(interval_s, math.nan, math.nan, math.nan)
    slope = float((x * y).sum()) / squares
    rest = y - slope * x
    error = math.sqrt(float((x * x * rest * rest).sum())) / squares
    total = float((y * y).sum())
    return Kyle(interval_s, slope, error, 1.0 - float((rest * rest).sum()) / total if total > 0 else math.nan)


def _share(moves: np.ndarray, block: np.ndarray) -> tuple[float, float]:
    """2 p - 1 of moves with their taker's sign, those without a move left out: it is the mean sign of a move."""
    signs = np.where(moves == 0.0, np.nan, np.sign(moves))
    return mean_and_error(signs, block)


def _saturation(lags_s: np.ndarray, response: np.ndarray, errors: np.ndarray) -> tuple[float, float, float]:
    """(limit, its standard error, time) of limit * (1 - exp(-lag / time)) by weighted least squares over a grid of
    times.

    Lags share their trades, so the error is no fit's but that of the response itself once it has risen by 95 %.
    """
    # A lag at which nothing ever moved has no scatter, and must not outweigh all others.
    floor = max(0.1 * float(np.nanmax(errors, initial=0.0)), 1e-9)
    weight = 1.0 / np.maximum(np.nan_to_num(errors, nan=np.inf), floor) ** 2
    if not weight.sum() > 0:
        return math.nan, math.nan, math.nan
    best = (math.inf, math.nan, math.nan)
    for time_s in np.geomspace(lags_s[0] / 20.0, lags_s[-1], 200):
        shape = -np.expm1(-lags_s / time_s)
        limit = float((weight * shape * response).sum() / (weight * shape * shape).sum())
        misfit = float((weight * (response - limit * shape) ** 2).sum())
        if misfit < best[0]:
            best = (misfit, limit, float(time_s))
    risen = min(int(np.searchsorted(lags_s, 3.0 * best[2])), lags_s.size - 1)
    return best[1], float(errors[risen]), best[2]


def _hasbrouck(before: np.ndarray, sign: np.ndarray) -> tuple[float, float]:
    """(long-run move by one unexpected market order in ticks, share of the value's variance that trades bring).

    A vector autoregression of five lags in the time of market orders: the move until the next one, and the sign, where
    a trade moves the price at once and the price moves a trade only later (Hasbrouck 1991).
    """
    move = np.diff(before)
    sign = sign[:-1]
    keep = np.isfinite(move)
    move, sign = move[keep], sign[keep]
    rows = np.arange(_VAR_LAGS, move.size)
    past = np.column_stack([series[rows - k] for k in range(1, _VAR_LAGS + 1) for series in (move, sign)])
    x_move = np.column_stack((sign[rows], past, np.ones(rows.size)))
    x_sign = np.column_stack((past, np.ones(rows.size)))
    a = np.linalg.lstsq(x_move, move[rows], rcond=None)[0]
    b = np.linalg.lstsq(x_sign, sign[rows], rcond=None)[0]
    move_variance = float((move[rows] - x_move @ a).var())
    sign_variance = float((sign[rows] - x_sign @ b).var())

    def long_run(first_move: float, first_sign: float) -> float:
        moves, signs = [0.0] * _VAR_LAGS + [first_move + a[0] * first_sign], [0.0] * _VAR_LAGS + [first_sign]
        for _ in range(_VAR_STEPS):
            lagged = np.array([series[-k] for k in range(1, _VAR_LAGS + 1) for series in (moves, signs)])
            next_sign = float(lagged @ b[:-1])
            moves.append(float(a[0] * next_sign + lagged @ a[1:-1]))
            signs.append(next_sign)
        return float(sum(moves))

    by_trade, by_news = long_run(0.0, 1.0), long_run(1.0, 0.0)
    trades, news = by_trade**2 * sign_variance, by_news**2 * move_variance
    return by_trade, trades / (trades + news) if trades + news > 0 else math.nan

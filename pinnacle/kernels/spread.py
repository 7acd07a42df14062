"""Where to quote: reservation prices, half-spreads, skews, and the rounding to ticks.

Pure functions of numbers, in floats, that inform a decision; `bid_ticks_floor` and `ask_ticks_ceil` make it one.
Prices and distances are in ticks, q is the position in units of one quote's size (a float, negative when short).

    gamma   risk aversion, per tick (of the profit of one quote's size)
    intensity_a, intensity_k   orders that reach a distance d arrive at rate a * exp(-k * d): a per s, k per tick
    sigma   volatility of the mid, ticks per sqrt(s)

A parameter outside its domain, or NaN, gives NaN, which the rounding turns into INVALID_TICKS: no quote, never a
quote made from a guess.  Any coherent set of units works (Avellaneda and Stoikov use dollars and a day).
Sources: AS: Avellaneda and Stoikov 2008, Quantitative Finance 8(3).  GLFT: Gueant, Lehalle and Fernandez-Tapia 2013,
Mathematics and Financial Economics 7(4).  G: Gueant 2017, Applied Mathematical Finance 24(2).
"""

from __future__ import annotations

import math

import numpy as np

from pinnacle.kernels.jit import jit
from pinnacle.limits import PRICE_TICKS_MAX

# What the rounding gives where there is no price to quote.
INVALID_TICKS = -(1 << 62)

# The widest inventory of the exact quotes; the work grows with its cube at worst, some 50 ms at this width.
Q_MAX = 100

# Poisson events a step of `glft_log_v` covers: exp(-32) and its terms are far from the ends of a double.
_EVENTS_PER_STEP = 32.0
# Terms of one step's series: a Poisson variable of mean 32 exceeds 200 with probability 1e-80.
_TERMS_MAX = 200
# A step that changes no ratio of v by more than this share has only rounding left to add.
_AT_REST = 1e-13
# Below this a ratio of v nears the doubles that have lost digits.
_V_MIN = 1e-290


# --- Avellaneda and Stoikov ---------------------------------------------------------------------------------------
@jit
def liquidity_half_spread(gamma, intensity_k):
    """(1/gamma) ln(1 + gamma/k), ticks: half-spread against arrival rates alone; 1/k at gamma = 0.  AS (30)."""
    if not (gamma >= 0.0 and intensity_k > 0.0):
        return math.nan
    if gamma == 0.0:
        return 1.0 / intensity_k
    return math.log1p(gamma / intensity_k) / gamma


@jit
def as_reservation(mid_ticks, q, gamma, sigma, horizon_s):
    """Reservation price, ticks: mid - q gamma sigma^2 (T - t).  horizon_s: T - t >= 0.  AS (29).

    mid_ticks and q may also be arrays of one shape.
    """
    if not (gamma >= 0.0 and sigma >= 0.0 and horizon_s >= 0.0):
        return mid_ticks * math.nan
    return mid_ticks - q * (gamma * sigma * sigma * horizon_s)


@jit
def as_spread(gamma, intensity_k, sigma, horizon_s):
    """Total spread, ticks, to be quoted half a side around the reservation price.  AS (30).

    gamma sigma^2 (T - t) + (2/gamma) ln(1 + gamma/k).
    """
    if not (sigma >= 0.0 and horizon_s >= 0.0):
        return math.nan
    return gamma * sigma * sigma * horizon_s + 2.0 * liquidity_half_spread(gamma, intensity_k)


@jit
def as_infinite_discount(gamma, sigma, q_max):
    """Discount rate omega = gamma^2 sigma^2 (q_max + 1)^2 / 2, per s: the least that keeps prices finite at q_max."""
    if not (gamma > 0.0 and sigma > 0.0 and q_max >= 0.0):
        return math.nan
    root = gamma * sigma * (q_max + 1.0)
    return 0.5 * root * root


@jit
def as_infinite_bid(mid_ticks, q, gamma, sigma, discount):
    """Infinite-horizon reservation bid, ticks: what one more unit is worth.  AS section 2.3.  NaN where unbounded.

    mid + (1/gamma) ln(1 - (1 + 2q) gamma^2 sigma^2 / (2 omega - gamma^2 q^2 sigma^2)); discount: omega, per s.
    """
    return mid_ticks + _as_infinite_shift(q, gamma, sigma, discount)


@jit
def as_infinite_ask(mid_ticks, q, gamma, sigma, discount):
    """Infinite-horizon reservation ask, ticks: the bid of the mirrored position, mirrored.

    AS print mid + (1/gamma) ln(1 + (1 - 2q) ...), which agrees to first order only: it is not the mirror of their bid
    and leaves the utility of selling at it different from not selling.  This is what their definition gives:
    mid - (1/gamma) ln(1 - (1 - 2q) gamma^2 sigma^2 / (2 omega - gamma^2 q^2 sigma^2)).
    """
    return mid_ticks - _as_infinite_shift(-q, gamma, sigma, discount)


@jit
def _as_infinite_shift(q, gamma, sigma, discount):
    """Reservation bid less the mid, ticks."""
    variance = gamma * sigma * gamma * sigma
    room = 2.0 * discount - variance * q * q
    if not (gamma > 0.0 and room > 0.0):
        return math.nan
    inside = -(1.0 + 2.0 * q) * variance / room
    if not inside > -1.0:
        return math.nan
    return math.log1p(inside) / gamma


# --- Gueant, Lehalle and Fernandez-Tapia: closed form -------------------------------------------------------------
@jit
def glft_c1(xi, lots_per_quote, intensity_k):
    """c1 = ln(1 + xi d / k) / (xi d), ticks; 1/k at xi = 0; d = lots_per_quote, in units of q.  G.

    xi is gamma for an owner with exponential utility of everything, 0 for one who minds only the price risk of the
    position.  With d = 1 and xi = gamma this is GLFT's closed form.
    """
    if not lots_per_quote > 0.0:
        return math.nan
    return liquidity_half_spread(xi * lots_per_quote, intensity_k)


@jit
def glft_c2(gamma, xi, lots_per_quote, intensity_a, intensity_k):
    """c2 = sqrt(gamma / (2 a d k) (1 + xi d / k)^(1 + k / (xi d))), ticks per unit of q and per sigma."""
    if not (gamma >= 0.0 and xi >= 0.0 and lots_per_quote > 0.0 and intensity_a > 0.0 and intensity_k > 0.0):
        return math.nan
    x = xi * lots_per_quote / intensity_k
    # (1 + x)^(1 + 1/x) tends to e as x goes to 0; through log1p it gets there without cancellation.
    power = (1.0 + 1.0 / x) * math.log1p(x) if x > 0.0 else 1.0
    return math.sqrt(0.5 * gamma / intensity_a / lots_per_quote / intensity_k) * math.exp(0.5 * power)


@jit
def glft_half_spread(c1, c2, lots_per_quote, sigma, adjustment):
    """(c1 + d/2 sigma c2) * adjustment, ticks.  adjustment: 1 by theory, tuned by practitioners."""
    if not (sigma >= 0.0 and adjustment >= 0.0):
        return math.nan
    return (c1 + 0.5 * lots_per_quote * sigma * c2) * adjustment


@jit
def glft_skew(c2, sigma, adjustment):
    """sigma c2 * adjustment, ticks per unit of q: quote around mid - q * skew, so bid = mid - half - q * skew."""
    if not (sigma >= 0.0 and adjustment >= 0.0):
        return math.nan
    return sigma * c2 * adjustment


# --- Gueant, Lehalle and Fernandez-Tapia: exact quotes with |q| <= q_max ------------------------------------------
@jit
def glft_eta(gamma, intensity_a, intensity_k):
    """eta = a (1 + gamma/k)^-(1 + k/gamma), per s; a/e at gamma = 0."""
    if not (gamma >= 0.0 and intensity_a > 0.0 and intensity_k > 0.0):
        return math.nan
    x = gamma / intensity_k
    power = (1.0 + 1.0 / x) * math.log1p(x) if x > 0.0 else 1.0
    return intensity_a * math.exp(-power)


@jit
def glft_log_v(gamma, intensity_a, intensity_k, sigma, horizon_s, q_max):
    """ln(v_q / v_0) for q = -q_max .. q_max at index q + q_max: float64[2 q_max + 1], v = exp(-M T) 1.  GLFT theorem 1.

    M is tridiagonal, k gamma sigma^2 / 2 q^2 on the diagonal and -eta beside it; T = horizon_s.  Quotes need ratios
    of v alone, and v itself leaves the range of a double after some thousand seconds.  All NaN for parameters outside
    their domain (q_max within 1 .. Q_MAX), or where some v_q is below 1e-290 of v_0, beyond what a double can tell.

    By uniformisation: with Lambda = max diagonal + 2 eta, B = Lambda - M has no negative entry, so the series of
    exp(B h) adds only positive numbers and every v_q, however small, keeps its relative accuracy.  Steps of
    Lambda h <= 32 are taken until T, or until v grows alike at every q: its ratios have come to rest then.
    Bounded: all modes but the slowest die within (2 q_max + 1)^2 steps, of at most 200 terms each.  Allocates.
    """
    log_v = np.full(2 * q_max + 1 if 1 <= q_max <= Q_MAX else 1, math.nan)
    eta = glft_eta(gamma, intensity_a, intensity_k)
    alpha = 0.5 * intensity_k * gamma * sigma * sigma
    rate = alpha * q_max * q_max + 2.0 * eta
    if not (log_v.size > 1 and sigma >= 0.0 and 0.0 <= horizon_s < math.inf and 0.0 < rate < math.inf):
        return log_v
    size = log_v.size
    v, term, diagonal = np.ones(size), np.empty(size), np.empty(size)
    for i in range(size):
        diagonal[i] = rate - alpha * (i - q_max) * (i - q_max)

    steps_left = max(1.0, float(np.ceil(rate * horizon_s / _EVENTS_PER_STEP)))
    step_s = horizon_s / steps_left
    budget = 64 + size * size
    moving = True
    while moving and steps_left > 0.0:
        if budget == 0:
            return log_v
        budget -= 1
        steps_left -= 1.0
        moving = _step_v(v, term, diagonal, eta, step_s)
        # The ends are the least, and only fall.
        if v[0] < _V_MIN or v[size - 1] < _V_MIN:
            return log_v
    for i in range(size):
        log_v[i] = math.log(v[i])
    return log_v


@jit
def _step_v(v, term, diagonal, eta, step_s):
    """v = exp(B step_s) v, divided by its middle; whether the ratios of v still moved.  In place; term: scratch."""
    size = v.size
    before = v.copy()
    _apply_exponential(v, term, diagonal, eta, step_s)
    centre = v[size // 2]
    moving = False
    for i in range(size):
        v[i] /= centre
        moving = moving or abs(v[i] - before[i]) > _AT_REST * v[i]
    return moving


@jit
def _apply_exponential(v, term, diagonal, eta, step_s):
    """v = exp(B step_s) v, in place; B has `diagonal` and eta beside it.  v > 0.  term: scratch."""
    size = v.size
    term[:] = v
    for n in range(1, _TERMS_MAX):
        before = 0.0
        done = True
        for i in range(size):
            here = term[i]
            after = term[i + 1] if i + 1 < size else 0.0
            term[i] = (diagonal[i] * here + eta * (before + after)) * (step_s / n)
            before = here
            v[i] += term[i]
            done = done and term[i] <= 1e-18 * v[i]
        if done:
            return


@jit
def glft_bid_distance(log_v, q, gamma, intensity_k):
    """Exact distance of the bid below the mid, ticks, at position q (an integer); infinite at q >= q_max: no bid.

    (1/k) ln(v_q / v_{q+1}) + (1/gamma) ln(1 + gamma/k).  log_v: from glft_log_v, at the time that is left.
    """
    q_max = (log_v.size - 1) // 2
    if q >= q_max:
        return math.inf
    q = max(q, -q_max)
    here = q + q_max
    return (log_v[here] - log_v[here + 1]) / intensity_k + liquidity_half_spread(gamma, intensity_k)


@jit
def glft_ask_distance(log_v, q, gamma, intensity_k):
    """Exact distance of the ask above the mid, ticks; infinite at q <= -q_max: no ask.  See glft_bid_distance."""
    q_max = (log_v.size - 1) // 2
    if q <= -q_max:
        return math.inf
    q = min(q, q_max)
    here = q + q_max
    return (log_v[here] - log_v[here - 1]) / intensity_k + liquidity_half_spread(gamma, intensity_k)


# --- simpler quotes -----------------------------------------------------------------------------------------------
@jit
def inventory_skew(position_lots, position_max_lots, skew_ticks):
    """Shift of both quotes, ticks, against the position: -skew_ticks at the long limit, +skew_ticks at the short one.

    Linear between; beyond the limit it stays at its end.  position_max_lots > 0.
    """
    if not position_max_lots > 0:
        return math.nan
    share = position_lots / position_max_lots
    # Not min and max: what they make of NaN depends on the order of their arguments.
    if share > 1.0:
        share = 1.0
    elif share < -1.0:
        share = -1.0
    return -skew_ticks * share


@jit
def volatility_half_spread(half_spread_min_ticks, sigma, horizon_s, deviations):
    """Half-spread, ticks, widened by the move to be expected in horizon_s: minimum + deviations sigma sqrt(horizon)."""
    if not (sigma >= 0.0 and horizon_s >= 0.0 and deviations >= 0.0):
        return math.nan
    return half_spread_min_ticks + deviations * sigma * math.sqrt(horizon_s)


# --- rounding -----------------------------------------------------------------------------------------------------
@jit
def bid_ticks_floor(price_ticks):
    """A bid's price in whole ticks, rounded DOWN, away from the market: never better for the taker than was decided.

    INVALID_TICKS for NaN, an infinity, or a price of PRICE_TICKS_MAX and more either way.
    """
    if not abs(price_ticks) < PRICE_TICKS_MAX:
        return INVALID_TICKS
    return math.floor(price_ticks)


@jit
def ask_ticks_ceil(price_ticks):
    """An ask's price in whole ticks, rounded UP, away from the market.  INVALID_TICKS as for bid_ticks_floor."""
    if not abs(price_ticks) < PRICE_TICKS_MAX:
        return INVALID_TICKS
    return math.ceil(price_ticks)

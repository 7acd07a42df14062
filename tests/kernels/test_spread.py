"""Quoting math: limits, symmetries and monotonicity of the formulas, and the rounding."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.kernels import spread
from pinnacle.limits import PRICE_TICKS_MAX

positive = st.floats(1e-3, 1e3)
prices = st.floats(-float(PRICE_TICKS_MAX), float(PRICE_TICKS_MAX), exclude_min=True, exclude_max=True)

# Prints what must not depend on how it is run.
SCRIPT = """
import math
from pinnacle.kernels import spread as s
for gamma in (0.0, 1e-9, 0.01, 0.1, 3.0, -1.0, math.nan):
    for k in (1e-3, 0.3, 1.5, 0.0, math.inf):
        c1, c2 = s.glft_c1(gamma, 2.0, k), s.glft_c2(gamma, gamma, 2.0, 0.9, k)
        numbers = [s.liquidity_half_spread(gamma, k), s.as_spread(gamma, k, 0.3, 60.0), c1, c2,
                   s.as_reservation(100.5, 3.0, gamma, 0.3, 60.0), s.glft_eta(gamma, 0.9, k),
                   s.glft_half_spread(c1, c2, 2.0, 0.3, 0.7), s.glft_skew(c2, 0.3, 0.7),
                   s.as_infinite_bid(100.5, 2.0, gamma, 0.3, s.as_infinite_discount(gamma, 0.3, 5.0)),
                   s.as_infinite_ask(100.5, 9.0, gamma, 0.3, s.as_infinite_discount(gamma, 0.3, 5.0))]
        log_v = s.glft_log_v(gamma, 0.9, k, 0.3, 20.0, 4)
        numbers += list(log_v)
        numbers += [s.glft_bid_distance(log_v, q, gamma, k) for q in range(-5, 6)]
        numbers += [s.glft_ask_distance(log_v, q, gamma, k) for q in range(-5, 6)]
        numbers += [s.inventory_skew(gamma, 5.0, k), s.volatility_half_spread(k, gamma, 4.0, 2.0)]
        print(*(float(x).hex() for x in numbers))
        print(*(s.bid_ticks_floor(x) for x in numbers), *(s.ask_ticks_ceil(x) for x in numbers))
"""


def test_compiled_equals_interpreted():
    """Every function gives the same bits compiled and interpreted, outside its domain too, without a warning."""
    printed = []
    for switch in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": switch}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    assert printed[0].count("\n") == 2 * 7 * 5


# --- rounding -----------------------------------------------------------------------------------------------------
@given(prices)
def test_rounding_is_passive(price):
    """A bid is rounded to the nearest tick not above its price and an ask to the nearest not below, exactly."""
    bid, ask, exact = spread.bid_ticks_floor(price), spread.ask_ticks_ceil(price), Fraction(price)
    assert isinstance(bid, int) and isinstance(ask, int)
    assert bid <= exact < bid + 1
    assert ask - 1 < exact <= ask


@given(st.integers(-PRICE_TICKS_MAX + 1, PRICE_TICKS_MAX - 1))
def test_whole_ticks_stay(price):
    """A price that is a whole number of ticks stays as it is, whether it comes as an integer or a float."""
    for value in (price, float(price)):
        assert spread.bid_ticks_floor(value) == price
        assert spread.ask_ticks_ceil(value) == price


def test_what_is_no_price():
    """NaN, infinities and prices beyond the limit become INVALID_TICKS, which no price can be."""
    for value in (math.nan, math.inf, -math.inf, 1e300, float(PRICE_TICKS_MAX), -float(PRICE_TICKS_MAX)):
        assert spread.bid_ticks_floor(value) == spread.INVALID_TICKS
        assert spread.ask_ticks_ceil(value) == spread.INVALID_TICKS
    assert spread.INVALID_TICKS == -(1 << 62) < -PRICE_TICKS_MAX


# --- Avellaneda and Stoikov ---------------------------------------------------------------------------------------
@given(positive)
def test_liquidity_half_spread_tends_to_its_limit(k):
    """Without risk aversion the half-spread is 1/k; with a little it is just below; and it falls with more."""
    assert spread.liquidity_half_spread(0.0, k) == 1.0 / k
    assert spread.liquidity_half_spread(1e-12 * k, k) == pytest.approx(1.0 / k, rel=1e-11)
    assert spread.liquidity_half_spread(2.0 * k, k) < spread.liquidity_half_spread(k, k) < 1.0 / k


@given(st.floats(-1e6, 1e6), st.integers(-100, 100), positive, positive, positive)
def test_reservation_leans_against_the_position(mid, q, gamma, sigma, horizon_s):
    """The reservation price is the mid when flat or out of time, below it when long, and mirrored when short."""
    price = spread.as_reservation(mid, q, gamma, sigma, horizon_s)
    assert spread.as_reservation(mid, 0, gamma, sigma, horizon_s) == mid
    assert spread.as_reservation(mid, q, gamma, sigma, 0.0) == mid
    assert (price <= mid) if q >= 0 else (price >= mid)
    assert price - mid == -(spread.as_reservation(-mid, -q, gamma, sigma, horizon_s) + mid)


@given(st.floats(0.01, 1.0), st.floats(0.01, 3.0), st.integers(0, 20), st.data())
def test_infinite_horizon_prices_are_indifferent(gamma, sigma, q_max, data):
    """Buying at the infinite-horizon bid, or selling at the ask, leaves the expected discounted utility as it is.

    Holding q forever is worth -exp(-gamma (x + q s)) / (omega - gamma^2 q^2 sigma^2 / 2), which is what AS start from.
    """
    q, mid = data.draw(st.integers(-q_max, q_max)), 10.0
    discount = spread.as_infinite_discount(gamma, sigma, q_max) * 1.001

    def log_value(cash, position):
        room = discount - 0.5 * gamma**2 * position**2 * sigma**2
        return -gamma * (cash + position * mid) - math.log(room)

    bid = spread.as_infinite_bid(mid, q, gamma, sigma, discount)
    ask = spread.as_infinite_ask(mid, q, gamma, sigma, discount)
    assert log_value(-bid, q + 1) == pytest.approx(log_value(0.0, q), abs=1e-8)
    assert log_value(ask, q - 1) == pytest.approx(log_value(0.0, q), abs=1e-8)
    assert bid < ask


def test_infinite_horizon_is_bounded():
    """At the least discount a quote that would pass q_max has no price, and every other one has."""
    discount = spread.as_infinite_discount(0.1, 2.0, 5)
    assert math.isnan(spread.as_infinite_bid(100.0, 6, 0.1, 2.0, discount))
    assert all(math.isfinite(spread.as_infinite_bid(100.0, q, 0.1, 2.0, discount)) for q in range(-5, 5))


# --- Gueant, Lehalle and Fernandez-Tapia --------------------------------------------------------------------------
@given(positive, positive, positive, st.floats(0.1, 10.0))
def test_coefficients_without_inventory_risk(gamma, a, k, lots):
    """xi -> 0 gives c1 = 1/k and c2 = sqrt(gamma e / (2 a d k)), continuously."""
    limit = math.sqrt(gamma * math.e / (2.0 * a * lots * k))
    assert spread.glft_c1(0.0, lots, k) == pytest.approx(1.0 / k)
    assert spread.glft_c2(gamma, 0.0, lots, a, k) == pytest.approx(limit)
    assert spread.glft_c1(1e-9 * k, lots, k) == pytest.approx(1.0 / k, rel=1e-7)
    assert spread.glft_c2(gamma, 1e-9 * k, lots, a, k) == pytest.approx(limit, rel=1e-7)


@given(positive, positive, st.floats(0.1, 10.0), st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_adjustments_scale(c1, c2, lots, sigma, adjustment):
    """An adjustment multiplies the half-spread, or the skew, and 0 volatility leaves c1 alone."""
    half = spread.glft_half_spread(c1, c2, lots, sigma, 1.0)
    assert spread.glft_half_spread(c1, c2, lots, sigma, adjustment) == pytest.approx(half * adjustment)
    assert spread.glft_skew(c2, sigma, adjustment) == pytest.approx(spread.glft_skew(c2, sigma, 1.0) * adjustment)
    assert spread.glft_half_spread(c1, c2, lots, 0.0, 1.0) == c1


@given(
    st.floats(1e-3, 1.0), st.floats(0.05, 20.0), st.floats(0.05, 5.0), st.floats(0.01, 3.0), st.floats(0.0, 100.0),
    st.integers(1, 8),
)  # fmt: skip
def test_exact_quotes_lean_with_the_position(gamma, a, k, sigma, horizon_s, q_max):
    """The longer, the lower both quotes: exact bids move away and exact asks come nearer, whatever the parameters."""
    log_v = spread.glft_log_v(gamma, a, k, sigma, horizon_s, q_max)
    assert log_v.shape == (2 * q_max + 1,) and log_v[q_max] == 0.0
    np.testing.assert_allclose(log_v, log_v[::-1], rtol=1e-12, atol=1e-12)
    bids = [spread.glft_bid_distance(log_v, q, gamma, k) for q in range(-q_max, q_max)]
    asks = [spread.glft_ask_distance(log_v, q, gamma, k) for q in range(-q_max + 1, q_max + 1)]
    assert all(near <= far + 1e-9 for near, far in pairwise(bids))
    assert all(far >= near - 1e-9 for far, near in pairwise(asks))


@pytest.mark.parametrize("horizon_s", [1e5, 1e9, 1e15, 1e300])
@pytest.mark.parametrize("gamma, sigma, q_max", [(0.01, 0.3, 30), (1e-6, 1e-3, 30), (0.3, 2.0, 10), (1e-9, 1.0, 60)])
def test_long_horizons_come_to_rest(gamma, sigma, q_max, horizon_s):
    """However far the end, the quotes are those of M's slowest mode, within the bounded number of steps."""
    a, k = 0.9, 0.3
    log_v = spread.glft_log_v(gamma, a, k, sigma, horizon_s, q_max)
    alpha, eta = k * gamma * sigma**2 / 2, spread.glft_eta(gamma, a, k)
    size = 2 * q_max + 1
    q = np.arange(-q_max, q_max + 1)
    _, vectors = np.linalg.eigh(np.diag(alpha * q**2.0) - eta * (np.eye(size, k=1) + np.eye(size, k=-1)))
    slowest = np.abs(vectors[:, 0])
    np.testing.assert_allclose(np.exp(log_v), slowest / slowest[q_max], rtol=1e-8, atol=1e-12)


def test_nothing_from_nothing():
    """Parameters outside their domain give NaN, and so no quote, from every formula."""
    bad = [
        spread.liquidity_half_spread(-1.0, 1.0), spread.liquidity_half_spread(1.0, 0.0),
        spread.as_reservation(1.0, 1.0, 1.0, -1.0, 1.0), spread.as_spread(1.0, 1.0, 1.0, -1.0),
        spread.as_infinite_discount(0.0, 1.0, 1.0), spread.as_infinite_bid(1.0, 1.0, 0.0, 1.0, 1.0),
        spread.glft_c1(-1.0, 1.0, 1.0), spread.glft_c1(1.0, 0.0, 1.0), spread.glft_c2(1.0, 1.0, 1.0, 0.0, 1.0),
        spread.glft_half_spread(math.nan, 1.0, 1.0, 1.0, 1.0), spread.glft_skew(1.0, -1.0, 1.0),
        spread.glft_eta(1.0, -1.0, 1.0), spread.inventory_skew(1.0, 0.0, 1.0),
        spread.inventory_skew(math.nan, 1.0, 1.0), spread.volatility_half_spread(1.0, math.nan, 1.0, 1.0),
    ]  # fmt: skip
    for i, value in enumerate(bad):
        assert math.isnan(value), i
        assert spread.bid_ticks_floor(100.0 - value) == spread.INVALID_TICKS
    for q_max in (-3, 0, spread.Q_MAX + 1):
        assert np.isnan(spread.glft_log_v(0.01, 0.9, 0.3, 0.3, 600.0, q_max)).all()
    assert np.isnan(spread.glft_log_v(0.01, 0.9, 0.3, 0.3, math.inf, 3)).all()
    # v falls by more than a double spans: refused as a whole rather than quoted from what is left of it.
    assert np.isnan(spread.glft_log_v(1.0, 1e-6, 0.3, 1e3, 1e3, 100)).all()


# --- simpler quotes -----------------------------------------------------------------------------------------------
@given(st.integers(-200, 200), st.integers(1, 100), positive)
def test_inventory_skew_is_odd_and_bounded(position, most, ticks):
    """The skew is odd in the position, against it, linear within the limit and constant beyond."""
    skew = spread.inventory_skew(position, most, ticks)
    assert skew == -spread.inventory_skew(-position, most, ticks)
    assert skew == pytest.approx(-ticks * max(-1.0, min(1.0, position / most)))


@given(positive, positive, positive, positive)
def test_volatility_widens(least, sigma, horizon_s, deviations):
    """The half-spread is its minimum in a still market and grows with the square root of the horizon."""
    assert spread.volatility_half_spread(least, 0.0, horizon_s, deviations) == least
    once = spread.volatility_half_spread(least, sigma, horizon_s, deviations) - least
    assert spread.volatility_half_spread(least, sigma, 4.0 * horizon_s, deviations) - least == pytest.approx(
        2.0 * once, rel=1e-6, abs=1e-9
    )

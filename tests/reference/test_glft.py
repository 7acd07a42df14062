"""Gueant, Lehalle and Fernandez-Tapia 2013: exact and closed-form quotes at the paper's parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pinnacle.kernels import spread

SIGMA, A, K, GAMMA, T, Q = 0.3, 0.9, 0.3, 0.01, 600.0, 30


@pytest.fixture(scope="module")
def log_v():
    return spread.glft_log_v(GAMMA, A, K, SIGMA, T, Q)


def test_exact_quotes(log_v):
    """eta and the exact distances of the bid at t = 0 have the computed values to every digit given."""
    assert spread.glft_eta(GAMMA, A, K) == pytest.approx(0.32567836, abs=5e-9)
    assert spread.glft_bid_distance(log_v, 0, GAMMA, K) == pytest.approx(3.313045, abs=5e-7)
    assert spread.glft_bid_distance(log_v, 1, GAMMA, K) == pytest.approx(3.381168, abs=5e-7)


def test_closed_form():
    """The closed form at q = 0 has the computed value, on both sides, by its own formula and by c1 and c2."""
    c1, c2 = spread.glft_c1(GAMMA, 1.0, K), spread.glft_c2(GAMMA, GAMMA, 1.0, A, K)
    half, skew = spread.glft_half_spread(c1, c2, 1.0, SIGMA, 1.0), spread.glft_skew(c2, SIGMA, 1.0)
    assert half == pytest.approx(3.312915, abs=5e-7)
    for q in range(-Q, Q):
        root = math.sqrt(SIGMA**2 * GAMMA / (2 * K * A) * (1 + GAMMA / K) ** (1 + K / GAMMA))
        bid = math.log(1 + GAMMA / K) / GAMMA + (2 * q + 1) / 2 * root
        ask = math.log(1 + GAMMA / K) / GAMMA - (2 * q - 1) / 2 * root
        assert half + q * skew == pytest.approx(bid, rel=1e-12)
        assert half - q * skew == pytest.approx(ask, rel=1e-12)


def test_symmetry(log_v):
    """The bid at q is as far as the ask at -q, for every q, exactly."""
    for q in range(-Q, Q + 1):
        bid, ask = spread.glft_bid_distance(log_v, q, GAMMA, K), spread.glft_ask_distance(log_v, -q, GAMMA, K)
        assert bid == pytest.approx(ask, rel=1e-13)
    assert spread.glft_bid_distance(log_v, Q, GAMMA, K) == math.inf
    assert spread.glft_ask_distance(log_v, -Q, GAMMA, K) == math.inf


def test_closed_form_approximates_the_exact_quotes(log_v):
    """Far from the limits and from the end the exact quotes are the closed form's within a hundredth of a tick."""
    c1, c2 = spread.glft_c1(GAMMA, 1.0, K), spread.glft_c2(GAMMA, GAMMA, 1.0, A, K)
    half, skew = spread.glft_half_spread(c1, c2, 1.0, SIGMA, 1.0), spread.glft_skew(c2, SIGMA, 1.0)
    for q in range(-8, 8):
        assert spread.glft_bid_distance(log_v, q, GAMMA, K) == pytest.approx(half + q * skew, abs=0.01)


@pytest.mark.parametrize("horizon_s", [0.0, 0.5, 30.0, 600.0, 5000.0])
def test_log_v_is_the_matrix_exponential(horizon_s):
    """ln v is that of exp(-M T) 1 by the eigenvectors of M, at any horizon, in every component."""
    alpha, eta = K * GAMMA * SIGMA**2 / 2, spread.glft_eta(GAMMA, A, K)
    q = np.arange(-Q, Q + 1)
    values, vectors = np.linalg.eigh(np.diag(alpha * q**2.0) - eta * (np.eye(2 * Q + 1, k=1) + np.eye(2 * Q + 1, k=-1)))
    v = vectors @ (np.exp(-(values - values[0]) * horizon_s) * (vectors.T @ np.ones(2 * Q + 1)))
    log_v = spread.glft_log_v(GAMMA, A, K, SIGMA, horizon_s, Q)
    np.testing.assert_allclose(log_v, np.log(v / v[Q]), rtol=0, atol=1e-9)

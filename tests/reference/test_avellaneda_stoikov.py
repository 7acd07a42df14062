"""Avellaneda and Stoikov 2008, section 3.3: the published simulation, made again with the kernels' quotes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pinnacle.kernels import spread

MID, HORIZON, SIGMA, STEP, K, A, PATHS = 100.0, 1.0, 2.0, 0.005, 1.5, 140.0, 1000

# gamma, strategy: the published average spread, profit, its deviation and that of the final position; then what 50,000
# paths give, which is less noisy than the published 1,000.
LITERAL = [
    (0.1, "inventory", (1.49, 65.0, 6.6, 2.9), (64.81, 6.57, 2.92)),
    (0.1, "symmetric", (1.49, 68.4, 12.7, 8.4), (68.28, 13.45, 8.40)),
    (0.01, "inventory", (1.35, 68.6, 8.7, 5.1), (68.35, 9.00, 5.21)),
    (0.01, "symmetric", (1.35, 68.8, 12.8, 8.7), (68.72, 13.68, 8.72)),
]


def simulate(gamma, strategy, poisson, seed):
    """Average spread, and profit and final position of each path.

    poisson: a fill within one step has probability 1 - exp(-lambda dt), else lambda dt as in the paper.
    """
    # RandomState's stream is frozen by NumPy, so that the outcome does not change with its version.
    draws = np.random.RandomState(seed)
    steps = round(HORIZON / STEP)
    spreads = [spread.as_spread(gamma, K, SIGMA, HORIZON - i * STEP) for i in range(steps)]
    average = sum(spreads) / steps
    mid, cash, q = np.full(PATHS, MID), np.zeros(PATHS), np.zeros(PATHS)
    for i in range(steps):
        if strategy == "inventory":
            centre = spread.as_reservation(mid, q, gamma, SIGMA, HORIZON - i * STEP)
            half = 0.5 * spreads[i]
        else:
            centre, half = mid, 0.5 * average
        bid, ask = centre - half, centre + half
        bought = draws.random_sample(PATHS) < fill_probability(mid - bid, poisson)
        sold = draws.random_sample(PATHS) < fill_probability(ask - mid, poisson)
        cash += np.where(sold, ask, 0.0) - np.where(bought, bid, 0.0)
        q += bought.astype(float) - sold
        mid = mid + np.where(draws.random_sample(PATHS) < 0.5, -1.0, 1.0) * SIGMA * math.sqrt(STEP)
    return average, cash + q * mid, q


def fill_probability(distance, poisson):
    expected = A * np.exp(-K * distance) * STEP
    return -np.expm1(-expected) if poisson else expected


@pytest.mark.parametrize("gamma, strategy, published, computed", LITERAL)
def test_published_table(gamma, strategy, published, computed):
    """1,000 paths give the published spread, profit and deviations when the fill probability is lambda dt."""
    average, profit, q = simulate(gamma, strategy, poisson=False, seed=20080317)
    print(
        f"\ngamma {gamma} {strategy}: spread {average:.2f} profit {profit.mean():.2f} std {profit.std():.2f} "
        f"final q {q.mean():.2f} std(q) {q.std():.2f}; published {published}, 50,000 paths {computed}"
    )
    profit_mean, profit_std, q_std = computed
    assert average == pytest.approx(published[0], abs=0.005)
    assert abs(profit.mean() - profit_mean) < 3.0 * profit_std / math.sqrt(PATHS)
    assert profit.std() == pytest.approx(profit_std, rel=0.10)
    assert q.std() == pytest.approx(q_std, rel=0.10)
    assert abs(q.mean()) < 3.0 * q_std / math.sqrt(PATHS)


def test_poisson_fills_differ():
    """With fills of probability 1 - exp(-lambda dt) the gamma = 0.1 inventory row becomes 57.1 and 6.4."""
    _, profit, _ = simulate(0.1, "inventory", poisson=True, seed=20080317)
    print(f"\npoisson gamma 0.1 inventory: profit {profit.mean():.2f} std {profit.std():.2f}; computed 57.1, 6.4")
    assert abs(profit.mean() - 57.1) < 3.0 * 6.4 / math.sqrt(PATHS)
    assert profit.std() == pytest.approx(6.4, rel=0.10)


@pytest.mark.parametrize("poisson", [False, True])
def test_inventory_strategy_earns_steadier(poisson):
    """Under both conventions the inventory strategy's profit and position spread less than the symmetric one's."""
    _, profit, q = simulate(0.1, "inventory", poisson, seed=1)
    _, profit_symmetric, q_symmetric = simulate(0.1, "symmetric", poisson, seed=1)
    assert profit.std() < 0.7 * profit_symmetric.std()
    assert q.std() < 0.5 * q_symmetric.std()

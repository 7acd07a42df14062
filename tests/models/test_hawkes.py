"""Self-exciting flow: the fit finds what a simulation was made with, and the recursions equal the double sums."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument
from pinnacle.kernels.excite import excitation, residuals
from pinnacle.models.events import order_flow
from pinnacle.models.hawkes import KINDS, RADIUS_MAX, Hawkes, fit_hawkes, goodness, points, simulate, spectral_radius
from tests.models.market import INSTRUMENT, NaiveMarket

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "catalog" / "binance-usdm" / "BTCUSDT" / "2024-08-08.parquet"
BASE = np.array([0.6, 0.4])
OFFSPRING = np.array([[[0.2, 0.3], [0.0, 0.1]], [[0.25, 0.0], [0.15, 0.2]]])
DECAYS = (1.0, 20.0)


def model_of(base, offspring, decays) -> Hawkes:
    m = len(base)
    zeros = (0.0,) * m
    radius = spectral_radius(np.array(offspring).sum(2))
    as_tuples = tuple(tuple(tuple(map(float, one)) for one in row) for row in offspring)
    return Hawkes(
        kinds=tuple(f"kind {k}" for k in range(m)), base_per_s=tuple(map(float, base)), base_per_s_se=zeros,
        offspring=as_tuples, offspring_se=as_tuples, decays_per_s=tuple(decays), log_likelihood=0.0,
        poisson_log_likelihood=0.0, events=0, seconds=0.0, radius_fitted=radius, radius=radius, scaled=False, ks=zeros,
        ks_p=zeros,
    )  # fmt: skip


TRUTH = model_of(BASE, OFFSPRING, DECAYS)


def log_likelihood_naive(times, kinds, seconds, base, offspring, decays) -> float:
    """Double sum over all pairs of events."""
    total = -float(np.sum(base)) * seconds
    for i, (t, kind) in enumerate(zip(times, kinds)):
        rate = base[kind]
        for s, parent in zip(times[:i], kinds[:i]):
            rate += sum(offspring[kind][parent][k] * b * math.exp(-b * (t - s)) for k, b in enumerate(decays) if s < t)
        total += math.log(rate)
        total -= sum(
            offspring[m][kind][k] * (1 - math.exp(-b * (seconds - t)))
            for m in range(len(base))
            for k, b in enumerate(decays)
        )
    return total


@pytest.fixture(scope="module")
def path():
    seconds = 4000.0
    return *simulate(TRUTH, seconds, seed=7), seconds


@pytest.fixture(scope="module")
def fitted(path):
    return fit_hawkes(*path, names=TRUTH.kinds, decays_per_s=(0.1, 1.0, 20.0, 200.0))


def test_known_parameters_are_found(fitted):
    """Decays are chosen from the grid, and base rates and children lie within four standard errors of the truth."""
    assert fitted.decays_per_s == DECAYS
    assert (np.abs(np.array(fitted.base_per_s) - BASE) < 4 * np.array(fitted.base_per_s_se)).all()
    # A parameter at its bound has no error; what it stands for is small.
    errors = np.maximum(np.array(fitted.offspring_se), 0.01)
    assert (np.abs(np.array(fitted.offspring) - OFFSPRING) < 4 * errors).all()
    assert (errors < 0.05).all()
    assert fitted.radius == pytest.approx(TRUTH.radius, abs=0.06) and not fitted.scaled
    assert fitted.endogenous_share == pytest.approx(TRUTH.endogenous_share, abs=0.06)


def test_the_likelihood_is_greatest_where_it_was_fitted(path):
    """The reported likelihood is that of the double sum, above that of the truth and of any small step away."""
    times, kinds, seconds = path[0][:400], path[1][:400], float(path[0][400])
    model = fit_hawkes(times, kinds, seconds, names=TRUTH.kinds, decays_per_s=DECAYS)
    base, offspring = np.array(model.base_per_s), np.array(model.offspring)
    decays = model.decays_per_s
    value = log_likelihood_naive(times, kinds, seconds, base, offspring, decays)
    assert model.log_likelihood == pytest.approx(value, rel=1e-9)
    kept = OFFSPRING[:, :, [DECAYS.index(b) for b in decays]]
    assert value >= log_likelihood_naive(times, kinds, seconds, BASE, kept, decays)
    draw = np.random.default_rng(2)
    for _ in range(10):
        near = np.maximum(offspring + draw.normal(0, 0.02, offspring.shape), 0.0)
        assert value >= log_likelihood_naive(times, kinds, seconds, base * draw.uniform(0.95, 1.05, 2), near, decays)


def test_the_fit_passes_its_own_test_and_a_wrong_one_does_not(path, fitted):
    """Rescaled waits of the true and of the fitted process look exponential; those of a Poisson process do not."""
    times, kinds, seconds = path
    assert min(fitted.ks_p) > 1e-3
    assert min(goodness(times, kinds, BASE, OFFSPRING, np.array(DECAYS))[1]) > 1e-3
    rates = np.bincount(kinds) / seconds
    assert max(goodness(times, kinds, rates, np.zeros((2, 2, 1)), np.array([1.0]))[1]) < 1e-6


def test_a_simulation_has_the_stationary_rates(path):
    """Mean rates are (I - branching)^-1 base; the same seed gives the same path, another another."""
    times, kinds, seconds = path
    assert np.bincount(kinds) / seconds == pytest.approx(TRUTH.rates_per_s, rel=0.08)
    assert (np.diff(times) > 0).all() and times[-1] < seconds
    again, other = simulate(TRUTH, 100.0, seed=7), simulate(TRUTH, 100.0, seed=8)
    assert again[0].tolist() == times[times < 100.0].tolist()
    assert other[0].tolist() != again[0].tolist()
    with pytest.raises(OperatorError, match="ask for less time"):
        simulate(TRUTH, 1e6, seed=1, events_max=1000)


def test_independent_orders_have_no_children():
    """A Poisson flow is fitted with a branching ratio near zero."""
    draw = np.random.default_rng(3)
    times = np.sort(draw.uniform(0.0, 3000.0, 9000))
    model = fit_hawkes(times, draw.integers(0, 2, 9000), 3000.0, names=TRUTH.kinds, decays_per_s=(1.0, 10.0))
    assert model.endogenous_share < 0.06
    assert min(model.ks_p) > 1e-3


def test_a_flow_that_never_ends_is_scaled_and_says_so(path):
    """A fit at a spectral radius above the bound is shrunk to it, keeps the observed rates, and tells both numbers."""
    # Each second has more than twice the events of the one before.
    times = np.concatenate([k + np.sort(np.random.default_rng(k).uniform(0, 1, 3**k)) for k in range(1, 9)])
    model = fit_hawkes(times, np.arange(times.size) % 2, 9.0, names=TRUTH.kinds, decays_per_s=(1.0,), decays_count=1)
    assert model.radius_fitted > RADIUS_MAX and model.scaled
    assert spectral_radius(model.branching) == pytest.approx(RADIUS_MAX) == model.radius
    assert np.isfinite(model.rates_per_s).all()


def test_recursions_equal_sums_over_pairs():
    """Excitation, and the integral of the intensity, are the sums over all earlier events, ties apart."""
    draw = np.random.default_rng(4)
    times = np.sort(np.round(draw.uniform(0, 5, 60), 1))
    kinds = draw.integers(0, 2, 60)
    target = np.empty((60, 2))
    excitation(times, kinds, 2, 3.0, target)
    gap = times[:, None] - times[None, :]
    pairs = np.where(gap > 0, 3.0 * np.exp(-3.0 * np.maximum(gap, 0.0)), 0.0)
    np.testing.assert_allclose(target, np.stack([pairs[:, kinds == j].sum(1) for j in (0, 1)], axis=1), atol=1e-12)
    waits = np.empty(60)
    residuals(times, kinds, BASE, OFFSPRING, np.array(DECAYS), waits)
    for m in (0, 1):
        at = times[kinds == m]
        grown = [
            BASE[m] * t
            + sum(
                OFFSPRING[m, j, k] * (1 - math.exp(-b * (t - s)))
                for s, j in zip(times, kinds) if s < t for k, b in enumerate(DECAYS)
            )
            for t in at
        ]  # fmt: skip
        np.testing.assert_allclose(waits[kinds == m], np.diff(grown, prepend=0.0), atol=1e-9)


def test_points_of_a_flow():
    """Orders near the best, as six kinds in their order, drawn apart within a millisecond and never out of the flow."""
    flow = order_flow([NaiveMarket(2, np.array([2.0, 1.0, 1.0]), 0.2, 1.0).run(200.0).rows()], INSTRUMENT)
    times, kinds, seconds = points(flow, near_ticks=1)
    keep = flow.orders[(flow.orders["kind"] == 2) | (flow.own_ticks(flow.orders) <= 1)]
    assert 100 < times.size == keep.size < flow.orders.size
    assert kinds.tolist() == [2 * int(o["kind"]) + (int(o["side"]) < 0) for o in keep] and max(kinds) < len(KINDS)
    assert np.abs(times - (keep["ts_ns"] - flow.first_ns) / 1e9).max() <= 1e-3
    assert (np.diff(times) >= 0).all() and times[0] >= 0 and times[-1] <= seconds
    assert points(flow, 1)[0].tolist() == times.tolist() != points(flow, 1, seed=2)[0].tolist()


def test_the_bundled_sample_excites_itself():
    """On the real perpetual: most orders are caused by orders, the flow is stationary, far likelier than a Poisson
    flow, nearer to its own law than that, and a simulation of the fit has the rates that were observed."""
    instrument = Instrument("binance-usdm", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
    times, kinds, seconds = points(order_flow(open_history(SAMPLE), instrument))
    model = fit_hawkes(times, kinds, seconds)
    assert 0.5 < model.endogenous_share < 1.0 and model.radius < 1.0 and not model.scaled
    assert model.log_likelihood > model.poisson_log_likelihood + times.size
    rates = np.bincount(kinds) / seconds
    poisson = goodness(times, kinds, rates, np.zeros((6, 6, 1)), np.array([1.0]))[0]
    assert max(model.ks) < 0.1 < min(poisson)
    simulated = np.bincount(simulate(model, seconds, seed=1)[1]) / seconds
    assert simulated == pytest.approx(rates, rel=0.15) and model.rates_per_s == pytest.approx(rates, rel=0.02)
    # Limit orders, cancels and trades call above all for their own kind.
    assert model.branching.argmax(axis=1).tolist()[:4] == [0, 1, 2, 3]


def test_a_model_survives_toml(fitted):
    """Through TOML and back it is the same, and a table that is not a model is refused."""
    assert Hawkes.from_dict(tomllib.loads(tomli_w.dumps(fitted.as_dict()))) == fitted
    with pytest.raises(OperatorError, match="Hawkes"):
        Hawkes.from_dict({"kinds": ["a"]})
    with pytest.raises(OperatorError, match="shape"):
        Hawkes.from_dict(replace(fitted, offspring=((1.0,),)).as_dict())  # type: ignore[arg-type]


def test_too_few_events_are_refused():
    """A kind that hardly ever came has no parents to be fitted."""
    with pytest.raises(HistoryError, match="'kind 1'"):
        fit_hawkes(np.arange(100.0), np.zeros(100, np.int64), 100.0, names=TRUTH.kinds)

"""Stylised facts: of markets that have none, of distributions that are known, and of the real sample."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.event import ASK, BID, LAST, TICKER, TRADE
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument
from pinnacle.models import facts as facts_
from pinnacle.models.blocks import mean_and_error, standard_error
from pinnacle.models.facts import compare, facts, hill, measure, rule_of, weighted_quantile
from tests.models.market import INSTRUMENT, NS, START_NS, NaiveMarket, rows_of

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "catalog" / "binance-usdm" / "BTCUSDT" / "2024-08-08.parquet"
RATES = np.array([2.0, 1.5, 1.0, 0.7, 0.4])


@pytest.fixture(scope="module")
def dull():
    """Facts of a zero-intelligence market."""
    return facts_of_naive(1)


def facts_of_naive(seed: int, seconds: float = 600.0, rates: np.ndarray = RATES) -> dict:
    return measure([NaiveMarket(seed, rates, 0.2, 1.0).run(seconds).rows()], INSTRUMENT)


@pytest.fixture(scope="module")
def real():
    """Facts of the bundled perpetual."""
    instrument = Instrument("binance-usdm", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
    return measure(open_history(SAMPLE), instrument)


def wanderer(seed: int, count: int = 40_000) -> np.ndarray:
    """A mid that takes an independent normal step (of 20 ticks) every 50 ms, and takers that toss a coin."""
    draw = np.random.default_rng(seed)
    mids = 1_000_000 + np.cumsum(np.round(draw.normal(0, 20, count))).astype(int)
    listed = []
    for k, mid in enumerate(mids.tolist()):
        ts_ns = START_NS + k * NS // 20
        listed += [(ts_ns, TICKER, BID, mid - 1, 5, 0), (ts_ns, TICKER, ASK, mid + 1, 5, LAST)]
        if draw.random() < 0.2:
            side = 1 if draw.random() < 0.5 else -1
            listed.append((ts_ns + NS // 40, TRADE, side, mid + side, 1, LAST))
    return rows_of(listed)


def test_a_random_walk_has_no_facts():
    """Independent normal steps: no autocorrelation of moves or of their size, kurtosis 0, a flat signature, signs
    that forget, trades that move nothing; each within five standard errors."""
    found = measure([wanderer(3)], INSTRUMENT)["facts"]
    none = ("returns.autocorrelation", "clustering.", "tail.kurtosis", "signs.", "impact.", "maker.loss")
    for name, fact in found.items():
        if name.startswith(none):
            assert abs(fact["value"]) < 5 * fact["se"], name
        if name.startswith(none[:4]):
            assert fact["se"] < 0.4, name
        if name.startswith("signature.ratio"):
            assert abs(fact["value"] - 1.0) < 5 * fact["se"] < 2.0, name
        if name.startswith("signature.variance"):
            assert abs(fact["value"] - 400 * 20) < 5 * fact["se"], name
    assert found["spread.mean"]["value"] == 2.0
    assert found["maker.half_spread"]["value"] == 1.0
    # Best prices alone say nothing of what rests behind them.
    assert found["depth.at_1"]["value"] is None and found["gap.rate_limit"]["value"] is None
    assert found["gap.rate_market"]["value"] == pytest.approx(4.0, rel=0.1)


def test_poisson_orders_have_a_coefficient_of_variation_of_one(dull):
    """Gaps of orders that know nothing of each other are exponential; their rates are those of the market."""
    found = dull["facts"]
    assert found["gap.cv_limit"]["value"] == pytest.approx(1.0, abs=0.05)
    assert found["gap.cv_market"]["value"] == pytest.approx(1.0, abs=0.1)
    assert abs(found["gap.rate_limit"]["value"] - 2 * RATES.sum()) < 5 * found["gap.rate_limit"]["se"]
    mean = found["gap.mean_limit"]["value"]
    assert found["gap.quantile_0.5_limit"]["value"] == pytest.approx(mean * math.log(2.0), rel=0.1)


def test_the_spread_is_weighted_by_time():
    """A spread of 2 for 9 s and of 4 for 1 s has mean 2.2 and its 0.9 quantile at 2."""
    listed = [(START_NS, TICKER, BID, 100, 1, 0), (START_NS, TICKER, ASK, 102, 1, LAST)]
    for k in range(1, 40):
        ts_ns = START_NS + k * 10 * NS
        listed += [(ts_ns - NS, TICKER, ASK, 104, 1, LAST), (ts_ns, TICKER, ASK, 102, 1, LAST)]
    found = measure([rows_of(listed)], INSTRUMENT)["facts"]
    assert found["spread.mean"]["value"] == pytest.approx(2.2)
    assert found["spread.quantile_0.5"]["value"] == 2.0 and found["spread.quantile_0.99"]["value"] == 4.0
    assert found["spread.share_at_1_tick"]["value"] == 0.0


def test_the_real_market_has_the_facts(real):
    """The bundled sample: heavy tails, bursts of orders, trade signs with memory, larger trades that move more, and
    makers at the best that lose to the next move."""
    value = {name: fact["value"] for name, fact in real["facts"].items()}
    assert value["tail.kurtosis_0.1s"] > 10 and 1.0 < value["tail.hill_0.1s"] < 5
    assert value["gap.cv_market"] > 1.2
    assert value["signs.autocorrelation_1"] > value["signs.autocorrelation_20"] > 0.05
    assert value["impact.size_fifth_5"] > value["impact.size_fifth_1"] > 0
    assert value["maker.loss_over_half_spread_1s"] > 1
    assert value["spread.share_at_1_tick"] > 0.9
    assert all(fact["se"] is None or fact["se"] >= 0 for fact in real["facts"].values())


def test_facts_are_json(real, dull):
    """Plain JSON without NaN, and the same after a round trip; every fact has a rule."""
    assert json.loads(json.dumps(real, allow_nan=False)) == real
    assert real["facts"].keys() == dull["facts"].keys()
    for name in real["facts"]:
        rule, tolerance, why = rule_of(name)
        assert rule in ("factor", "near") and tolerance > 0 and why


def test_a_market_is_like_itself_and_like_its_twin(real, dull):
    """Nothing is out of range against itself, and next to nothing against another path of the same market."""
    assert compare(real, real)["out_of_range"] == 0
    assert all(row["sure"] for row in compare(real, real)["facts"].values() if row["in_range"])
    twin = compare(dull, facts_of_naive(2))
    assert twin["out_of_range"] <= 0.05 * len(twin["facts"]), [n for n, r in twin["facts"].items() if not r["in_range"]]


def test_a_market_of_another_kind_is_told_apart(real, dull):
    """A zero-intelligence market is not taken for the real one: what it lacks is out of range, by name."""
    rows = compare(real, dull)["facts"]
    for name in ("gap.rate_market", "signs.autocorrelation_1", "depth.at_1"):
        assert rows[name]["in_range"] is False and name in rows[name]["text"]


def test_a_fact_is_judged_by_its_rule():
    """A factor is a factor both ways, a wide error excuses and says so, and no value is no verdict."""

    def verdict(name, a, b, a_se=0.0, b_se=0.0):
        real = {"facts": {name: {"value": a, "se": a_se}}}
        return compare(real, {"facts": {name: {"value": b, "se": b_se}}})["facts"][name]

    for a, b in ((1.0, 1.4), (1.4, 1.0)):
        assert verdict("spread.mean", a, b)["in_range"] and verdict("spread.mean", a, b)["sure"]
    assert verdict("spread.mean", 1.0, 2.0)["in_range"] is False and verdict("spread.mean", 1.0, 2.0)["sure"]
    wide = verdict("spread.mean", 1.0, 2.0, 0.4, 0.4)
    assert wide["in_range"] and not wide["sure"]
    assert verdict("impact.size_fifth_1", 1.0, -1.0)["in_range"] is False
    assert verdict("signs.autocorrelation_1", 0.2, 0.3)["in_range"]
    assert verdict("spread.mean", None, 2.0)["in_range"] is None
    assert compare({"facts": {"spread.mean": {"value": 1.0, "se": 0.0}}}, {"facts": {}})["unknown"] == 1


@pytest.mark.parametrize("power", [1.5, 3.0])
def test_a_known_tail_is_found(power):
    """Hill's exponent of Pareto draws, within four standard errors; nothing from few or equal values."""
    value, error = hill(np.random.default_rng(1).pareto(power, 20_000) + 1.0)
    assert abs(value - power) < 4 * error < power
    assert math.isnan(hill(np.ones(20))[0]) and math.isnan(hill(np.zeros(1000))[0])


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 5)), min_size=1, max_size=20), st.floats(0.01, 1.0))
def test_a_weighted_quantile_is_one_of_repeated_values(pairs, level):
    """Weights are repetitions: the quantile is that of the long list."""
    values, weights = np.array([v for v, _ in pairs], float), np.array([w for _, w in pairs], float)
    repeated = sorted(v for v, w in pairs for _ in range(w))
    if not repeated:
        assert math.isnan(weighted_quantile(values, weights, level))
        return
    assert (
        weighted_quantile(values, weights, level)
        == repeated[min(math.ceil(level * len(repeated)) - 1, len(repeated) - 1)]
    )


def test_errors_of_independent_values_are_the_classical_ones():
    """Block errors of independent draws are near sd / sqrt(n); of values that repeat within a block far larger."""
    draw = np.random.default_rng(5)
    values, block = draw.normal(3.0, 2.0, 6400), np.repeat(np.arange(64), 100)
    mean, error = mean_and_error(values, block)
    assert mean == pytest.approx(values.mean()) and error == pytest.approx(2.0 / 80.0, rel=0.3)
    assert mean_and_error(np.repeat(values[:64], 100), block)[1] == pytest.approx(2.0 / 8.0, rel=0.3)
    assert standard_error(values.reshape(64, 100).mean(1)[:, None])[0] == pytest.approx(error, rel=0.05)
    assert math.isnan(mean_and_error(values[:100], block[:100])[1])
    assert math.isnan(mean_and_error(np.full(5, np.nan), np.arange(5))[0])


def test_a_day_of_best_prices_is_measured(recordings):
    """A whole day with one best price a second and every trade: what can be told is, the rest is None."""
    instrument = Instrument("gemini", "ETHUSD", Decimal("0.01"), Decimal("0.000001"))
    found = measure(open_history(recordings / "gemini" / "ethusd_20210701", instrument), instrument)["facts"]
    assert found["signs.autocorrelation_1"]["value"] > 0.3
    assert found["tail.hill_10s"]["value"] < 5
    assert found["depth.at_1"]["value"] is None
    assert facts_.FORMAT_VERSION == 1 and facts is facts_.facts

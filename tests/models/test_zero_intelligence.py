"""Rates of arrivals, cancels and market orders: against markets that were made with known ones."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.event import ASK, BID, LAST, TICKER, TRADE
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument
from pinnacle.models.events import order_flow
from pinnacle.models.zero_intelligence import QUANTILES, ZeroIntelligence, fit_zero_intelligence
from tests.models.market import INSTRUMENT, NS, START_NS, NaiveMarket, rows_of

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "catalog" / "binance-usdm" / "BTCUSDT" / "2024-08-08.parquet"
POWER = 0.7
RATES = 3.0 * np.arange(1, 9.0) ** -POWER
CANCEL, MARKET = 0.15, 0.8


@pytest.fixture(scope="module")
def fitted():
    truth = NaiveMarket(11, RATES, CANCEL, MARKET).run(900.0)
    return truth, fit_zero_intelligence(order_flow([truth.rows()], INSTRUMENT, depth_ticks=8, sample_ns=20_000_000))


def test_known_rates_are_found(fitted):
    """Arrivals by distance, cancels by resting lot and market orders lie within four standard errors of the truth,
    and the errors are those of that many orders."""
    model = fitted[1]
    assert model.edges_ticks == tuple(range(1, 10))
    limit, limit_se = np.array(model.limit_per_s), np.array(model.limit_per_s_se)
    assert (np.abs(limit - RATES) < 4 * limit_se).all()
    poisson = np.sqrt(RATES / (2 * 900.0))
    assert (limit_se < 2 * poisson).all() and (limit_se > poisson / 2).all()
    cancel, cancel_se = np.array(model.cancel_per_s), np.array(model.cancel_per_s_se)
    assert (np.abs(cancel - CANCEL) < 4 * cancel_se).all()
    assert (cancel_se < 0.1).all()
    assert abs(model.market_per_s - MARKET) < 4 * model.market_per_s_se < 0.5
    assert model.limit_within_per_s == model.limit_beyond_per_s == 0.0


def test_a_known_power_law_is_found(fitted):
    """The exponent of arrivals by distance, and their scale."""
    model = fitted[1]
    assert abs(model.tail_power - POWER) < 4 * model.tail_power_se < 0.2
    assert model.tail_scale == pytest.approx(3.0, rel=0.1)


def test_sizes_are_those_of_the_orders(fitted):
    """Moments and quantiles of sizes are the naive ones of the orders that were made."""
    truth, model = fitted
    for kind, sizes in enumerate((model.limit_sizes, model.cancel_sizes, model.market_sizes)):
        lots = np.array([one[4] for one in truth.truth if one[1] == kind])
        assert sizes.count == lots.size
        assert sizes.mean_lots == pytest.approx(lots.mean())
        assert sizes.log_sd == pytest.approx(np.log(lots).std(ddof=1))
        assert sizes.quantiles_lots[-1] == lots.max() and len(sizes.quantiles_lots) == len(QUANTILES)


def test_what_arrives_is_what_leaves(fitted):
    """In a market that neither fills nor empties, lots that arrive leave by cancels and market orders."""
    model = fitted[1]
    arrive = (np.array(model.limit_per_s) * np.array(model.limit_mean_lots)).sum()
    cancelled = (np.array(model.cancel_orders_per_s) * np.array(model.cancel_mean_lots)).sum()
    assert cancelled + model.market_per_s * model.market_sizes.mean_lots == pytest.approx(arrive, rel=0.03)
    by_share = (np.array(model.cancel_per_s) * np.array(model.depth_lots)).sum()
    assert by_share == pytest.approx(cancelled, rel=1e-9)


def test_the_bundled_sample_has_its_shape():
    """On the real perpetual: most orders come at the best, arrivals thin out with distance, errors are a fraction."""
    instrument = Instrument("binance-usdm", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
    model = fit_zero_intelligence(order_flow(open_history(SAMPLE), instrument))
    assert model.limit_per_s[0] > 10 * model.limit_per_s[1] > 10 * model.limit_per_s[-1]
    assert 0.3 < model.tail_power < 2.0
    assert model.market_per_s_se < 0.2 * model.market_per_s
    assert model.limit_sizes.log_sd > 1.0


def test_the_scales_of_the_double_auction(fitted):
    """Depth and spread scales follow from the rates by their formulas."""
    model = fitted[1]
    scales = model.santa_fe()
    lots = (np.array(model.limit_per_s) * np.array(model.limit_mean_lots)).mean()
    assert scales["alpha_lots_per_tick_s"] == pytest.approx(lots)
    assert scales["spread_ticks"] == pytest.approx(model.market_per_s * model.market_sizes.mean_lots / lots)
    assert scales["delta_per_s"] == pytest.approx(CANCEL, rel=0.1)


def test_a_model_survives_toml(fitted):
    """Through TOML and back it is the same, and a table that is not a model is refused by name."""
    model = fitted[1]
    assert ZeroIntelligence.from_dict(tomllib.loads(tomli_w.dumps(model.as_dict()))) == model
    with pytest.raises(OperatorError, match="zero-intelligence"):
        ZeroIntelligence.from_dict({"venue": "x"})
    with pytest.raises(OperatorError, match="length"):
        ZeroIntelligence.from_dict({**model.as_dict(), "limit_per_s": [1.0]})


def test_too_little_is_refused():
    """A history with few orders, or with best prices alone, gives an error and no numbers."""
    few = order_flow([NaiveMarket(1, RATES, CANCEL, MARKET).run(2.0).rows()], INSTRUMENT)
    with pytest.raises(HistoryError, match="too few"):
        fit_zero_intelligence(few)
    tops = [
        (START_NS + k * NS, *rest)
        for k in range(9)
        for rest in ((TICKER, BID, 100 + k, 5, 0), (TICKER, ASK, 102 + k, 5, LAST), (TRADE, BID, 102 + k, 1, LAST))
    ]
    with pytest.raises(HistoryError, match="depth"):
        fit_zero_intelligence(order_flow([rows_of(tops)], INSTRUMENT))

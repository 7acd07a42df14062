"""What takers know: against a market in which a known share of them sees the next move."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest
import tomli_w

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.event import ASK, BID, BOOK_LEVEL, LAST, TRADE
from pinnacle.models.events import order_flow
from pinnacle.models.informed import Informed, fit_informed, kyle_lambda, sampled_mid, volatility
from tests.models.market import INSTRUMENT, NS, START_NS, rows_of

JUMP_TICKS, HALF_SPREAD_TICKS, EVERY_NS, AFTER_NS = 3, 2, NS // 2, NS // 5


def seer_market(seed: int, share: float, moments: int = 6000, lots_of_move: int = 0) -> np.ndarray:
    """Every half second a taker, and a fifth of a second after it a move of three ticks up or down.

    A share of takers goes with the coming move, the rest either way.  lots_of_move: if not 0, takers are no seers, and
    the move is net lots times this many ticks per lot instead.
    """
    draw = np.random.default_rng(seed)
    mid, listed = 100_000, []

    def quotes(ts_ns: int, old: int | None) -> None:
        for side in (BID, ASK):
            if old is not None:
                listed.append((ts_ns, BOOK_LEVEL, side, old - side * HALF_SPREAD_TICKS, 0, 0))
        for side in (BID, ASK):
            listed.append((ts_ns, BOOK_LEVEL, side, mid - side * HALF_SPREAD_TICKS, 50, LAST if side == ASK else 0))

    quotes(START_NS, None)
    for k in range(moments):
        ts_ns = START_NS + (k + 1) * EVERY_NS + NS // 10
        up = 1 if draw.random() < 0.5 else -1
        side = up if draw.random() < share else (1 if draw.random() < 0.5 else -1)
        lots = 1 + int(draw.integers(5))
        listed.append((ts_ns, TRADE, side, mid + side * HALF_SPREAD_TICKS, lots, LAST))
        old, mid = mid, mid + (side * lots * lots_of_move if lots_of_move else up * JUMP_TICKS)
        quotes(ts_ns + AFTER_NS, old)
    return rows_of(listed)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_known_share_is_found(share):
    """The share of takers that go with the next move, within four standard errors, and what their trades tell."""
    flow = order_flow([seer_market(1, share)], INSTRUMENT)
    model = fit_informed(flow, lags_s=(0.1, 0.3, 5.0), share_s=0.3)
    assert abs(model.share - share) < 4 * model.share_se < 0.1
    response, errors = np.array(model.response_ticks), np.array(model.response_ticks_se)
    # Nothing before the move, then share * jump for good.
    assert response[0] == 0.0
    assert abs(response[1] - share * JUMP_TICKS) < 4 * errors[1] < 0.3
    assert abs(response[2] - share * JUMP_TICKS) < 4 * errors[2]
    assert model.half_spread_ticks == HALF_SPREAD_TICKS and model.half_spread_ticks_se == 0.0


def test_the_volatility_of_a_random_walk_is_found():
    """Independent jumps of three ticks every half second are 3 sqrt(2) ticks per sqrt(s) at every long horizon."""
    flow = order_flow([seer_market(2, 0.0)], INSTRUMENT)
    for horizon in (5.0, 20.0):
        sigma, error = volatility(flow, horizon)
        assert abs(sigma - JUMP_TICKS * math.sqrt(2.0)) < 4 * error < 2.0


def test_a_known_slope_is_found():
    """Moves of two ticks a lot taken are Kyle's lambda, and explain all there is; in the long run too."""
    flow = order_flow([seer_market(3, 0.0, lots_of_move=2)], INSTRUMENT)
    # Intervals that begin and end between a move and the next trade.
    found = kyle_lambda(flow, 2.0)
    assert found.r_squared > 0.9
    assert abs(found.lambda_ticks_per_lot - 2.0) < max(4 * found.lambda_se, 0.1)
    model = fit_informed(flow)
    assert model.var_share > 0.8
    assert model.var_impact_ticks == pytest.approx(2.0 * 3.0, rel=0.1)
    # The move comes at once, a fifth of a second late, which no exponential follows closely.
    assert model.permanent_ticks == pytest.approx(2.0 * 3.0, rel=0.2)


def test_trades_that_tell_nothing_have_no_share_of_the_value():
    """Takers that go either way bring none of the variance, and their slope is zero within its error."""
    flow = order_flow([seer_market(4, 0.0)], INSTRUMENT)
    model = fit_informed(flow)
    assert model.var_share < 0.02
    assert abs(model.kyle[-1].lambda_ticks_per_lot) < 4 * model.kyle[-1].lambda_se


def test_sampled_mid_is_the_last_one_known():
    """Samples take the newest mid at or before their time."""
    flow = order_flow([seer_market(5, 0.5, moments=40)], INSTRUMENT)
    ts_ns, mid = sampled_mid(flow, 0.13)
    for t, m in zip(ts_ns, mid):
        top = [top for top in flow.tops if top["ts_ns"] <= t][-1]
        assert m == (top["bid_ticks"] + top["ask_ticks"]) / 2


def test_a_model_survives_toml_and_too_little_is_refused():
    """Through TOML and back it is the same; a wrong table and a short history are errors."""
    model = fit_informed(order_flow([seer_market(6, 0.3, moments=600)], INSTRUMENT))
    assert Informed.from_dict(tomllib.loads(tomli_w.dumps(model.as_dict()))) == model
    with pytest.raises(OperatorError, match="informed"):
        Informed.from_dict({"kyle": []})
    with pytest.raises(HistoryError, match="too few"):
        fit_informed(order_flow([seer_market(6, 0.3, moments=60)], INSTRUMENT))

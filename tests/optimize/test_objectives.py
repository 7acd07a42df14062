"""An objective is a number of the result or a reason why there is none, and never a zero that stands for nothing."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.config_optimize import OBJECTIVES
from pinnacle.errors import OperatorError
from pinnacle.optimize.objectives import judge, objectives_of

# What each objective reads, where it reads one metric.
READS = {
    "net": "net_quote", "sharpe": "sharpe", "markout": "markout_5s_bps", "markout_1s": "markout_1s_bps",
    "markout_30s": "markout_30s_bps", "drawdown": "max_drawdown_quote", "turnover": "turnover_quote", "fills": "fills",
}  # fmt: skip
METRICS = sorted({*READS.values(), "inventory_risk_quote"})
any_number = st.floats(allow_nan=True, allow_infinity=True)


def result(metrics: dict[str, float], fault: str = "") -> Any:
    return SimpleNamespace(fault=fault, metrics=metrics, equity_quote=None)


def test_every_name_of_the_config_is_an_objective() -> None:
    """The names that a config may use are those of the table, in its order, and only drawdown is minimised."""
    objectives = objectives_of(OBJECTIVES, 1.0)
    assert tuple(one.name for one in objectives) == OBJECTIVES
    assert [one.name for one in objectives if one.direction == "minimize"] == ["drawdown"]
    assert all(one.unit and one.about for one in objectives)
    with pytest.raises(OperatorError, match="'nett'"):
        objectives_of(["nett"], 1.0)


@given(st.fixed_dictionaries(dict.fromkeys(METRICS, any_number)), st.floats(0, 100), st.integers(0, 5))
def test_a_value_is_finite_or_a_reason(metrics: dict[str, float], penalty: float, fills_min: int) -> None:
    """Every objective gives its metric if that is finite and there were fills enough, and else a sentence."""
    for one in objectives_of(OBJECTIVES, penalty):
        judged = judge(result(metrics), [one], fills_min)
        if one.name in READS:
            expected = metrics[READS[one.name]]
        else:
            expected = metrics["net_quote"] - penalty * metrics["inventory_risk_quote"]
        if metrics["fills"] >= fills_min and math.isfinite(expected):
            assert judged == (expected,)
        else:
            assert isinstance(judged, str) and judged


def test_a_fault_is_the_reason_whatever_the_metrics_say() -> None:
    """A candidate that stopped early has no value, even where its numbers look whole."""
    assert (
        judge(result(dict.fromkeys(METRICS, 1.0), "no money left"), objectives_of(["net"], 1.0), 0) == "no money left"
    )


def test_one_objective_without_a_value_leaves_none() -> None:
    """With several objectives all must have a value, and the one that has none is named."""
    metrics = {**dict.fromkeys(METRICS, 1.0), "sharpe": math.nan}
    judged = judge(result(metrics), objectives_of(["net", "sharpe"], 1.0), 1)
    assert isinstance(judged, str) and judged.startswith("sharpe is nan")

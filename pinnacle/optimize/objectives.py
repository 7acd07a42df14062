"""What a search may want: each objective by name, with its direction, its unit and how it is read from a result.

One table, so that the search, the tables and the report mean the same by a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from pinnacle.errors import OperatorError

Metrics = Mapping[str, float]


class Result(Protocol):
    """What one candidate did in one window.

    fault: "" or one sentence: why it stopped early, and then the metrics are NaN.  metrics: by name, NaN where one has
    no value.  equity_quote: float64[n + 1], 0 at the start and then after each bucket.
    """

    @property
    def fault(self) -> str: ...
    @property
    def metrics(self) -> dict[str, float]: ...
    @property
    def equity_quote(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Objective:
    """One thing wanted.  of: its value from a result's metrics, NaN where it has none.  about: a phrase for people."""

    name: str
    direction: Literal["maximize", "minimize"]
    unit: str
    about: str
    of: Callable[[Metrics], float]

    @property
    def sums(self) -> bool:
        """Whether twice the time brings about twice as much."""
        return self.name in ("net", "net_minus_inventory", "turnover", "fills")

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1

    def as_json(self) -> dict[str, str]:
        """Name and direction, as a study's files hold it."""
        return {"name": self.name, "direction": self.direction}


def _metric(name: str) -> Callable[[Metrics], float]:
    return lambda metrics: metrics[name]


def _table(inventory_penalty: float) -> tuple[Objective, ...]:
    def net_minus_inventory(metrics: Metrics) -> float:
        return metrics["net_quote"] - inventory_penalty * metrics["inventory_risk_quote"]

    risky = f"net less {inventory_penalty:g} times the deviation of what holding made"
    return (
        Objective("net", "maximize", "quote", "profit after fees, position at the mid", _metric("net_quote")),
        Objective("sharpe", "maximize", "per year", "annualised Sharpe ratio of the equity", _metric("sharpe")),
        Objective("markout", "maximize", "bps", "mid 5 s after fills over their price", _metric("markout_5s_bps")),
        Objective("markout_1s", "maximize", "bps", "mid 1 s after fills over their price", _metric("markout_1s_bps")),
        Objective(
            "markout_30s", "maximize", "bps", "mid 30 s after fills over their price", _metric("markout_30s_bps")
        ),
        Objective("net_minus_inventory", "maximize", "quote", risky, net_minus_inventory),
        Objective("drawdown", "minimize", "quote", "greatest fall from a peak", _metric("max_drawdown_quote")),
        Objective("turnover", "maximize", "quote", "value of all that was filled", _metric("turnover_quote")),
        Objective("fills", "maximize", "fills", "number of fills", _metric("fills")),
    )


def objectives_of(names: Sequence[str], inventory_penalty: float) -> tuple[Objective, ...]:
    """The objectives of those names, in that order.  Raises OperatorError for a name that is none."""
    table = {one.name: one for one in _table(inventory_penalty)}
    for name in names:
        if name not in table:
            raise OperatorError(f"optimize.objectives has {name!r}, and must be of {', '.join(table)}")
    return tuple(table[name] for name in names)


def judge(result: Result, objectives: Sequence[Objective], fills_min: int) -> tuple[float, ...] | str:
    """The value of each objective, finite; or in one sentence why the result has none.

    A result without a value is never a zero: a strategy that did not trade has not broken even.
    """
    if result.fault:
        return result.fault
    fills = result.metrics["fills"]
    # The comparison is false for NaN.
    if not fills >= fills_min:
        return f"{fills:g} fills, and optimize.min_fills asks for {fills_min}"
    values = tuple(float(one.of(result.metrics)) for one in objectives)
    for one, value in zip(objectives, values):
        if not math.isfinite(value):
            return f"{one.name} is {value:g}: it has no value over these {fills:g} fills"
    return values

"""A value that moves by news, takers who know it, and quotes that are withdrawn when it has passed them.

`Informed` says what takers know in a recorded market; a generated one needs the machinery behind it.  News comes as a
Poisson process with lognormal steps up or down.  Whoever knows takes what is on the wrong side of the value; whoever
quotes there withdraws after the learning time.  So a maker that is slower is filled when it should not be.

How it is found: the share of short intervals without a move of the mid gives how often news comes; the volatility of
the value its size; the kurtosis of short moves how unequal the steps are (a sum of n steps of kurtosis k has k / n);
the fitted learning time how soon quotes are withdrawn; the informed share of takers how many take meanwhile.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinnacle.errors import OperatorError
from pinnacle.models.events import Flow
from pinnacle.models.informed import Informed, sampled_mid

STEP_S = 0.1
# Beyond it the largest step of an hour would be the whole price.
_LOG_SD_MAX = 1.5
# A dozen orders that leave independently are all gone after about so many times the mean stay of one.
_WITHDRAWN_TIMES = 3.0


@dataclass(frozen=True, slots=True)
class Value:
    """news_per_s: moves of the value.  news_log_mean, news_log_sd: of the logarithm of one, ticks.  informed_share: of
    takers.  informed_per_s: informed takers while a best is on the wrong side.  withdraw_per_s: of an order that is."""

    news_per_s: float
    news_log_mean: float
    news_log_sd: float
    informed_share: float
    informed_per_s: float
    withdraw_per_s: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Value:
        """The inverse of as_dict.  Raises OperatorError for a missing or unknown entry, or one that cannot be."""
        try:
            value = cls(**table)
        except TypeError as error:
            raise OperatorError(f"value: {error}; fit it again") from None
        for name, one in asdict(value).items():
            if not isinstance(one, (int, float)) or not math.isfinite(one) or (one < 0 and name != "news_log_mean"):
                raise OperatorError(f"value: {name} is {one!r}, and must be a number of at least 0; fit it again")
        if value.informed_share > 1 or value.news_log_sd > 2 * _LOG_SD_MAX or abs(value.news_log_mean) > 10:
            raise OperatorError(
                f"value: informed_share {value.informed_share:g}, news_log_sd {value.news_log_sd:g} or news_log_mean "
                f"{value.news_log_mean:g} is out of range; fit it again"
            )
        return value


def fit_value(flow: Flow, informed: Informed, market_per_s: float) -> Value:
    """The value of a recorded market.  market_per_s: market orders of both sides."""
    _, mid = sampled_mid(flow, STEP_S)
    moves = np.diff(mid)
    still = float((moves == 0.0).mean())
    news = -math.log(min(max(still, 0.02), 0.98)) / STEP_S
    variance = float((moves**2).mean())
    kurtosis = float((moves**4).mean()) / variance**2 - 3.0 if variance > 0 else 0.0
    of_a_step = max(1.0, kurtosis * STEP_S * news)
    log_sd = min(_LOG_SD_MAX, math.sqrt(math.log(of_a_step) / 4.0))
    sigma = informed.sigma_ticks if math.isfinite(informed.sigma_ticks) and informed.sigma_ticks > 0 else 1.0
    share = min(max(informed.share if math.isfinite(informed.share) else 0.0, 0.0), 0.9)
    learning_s = informed.learning_s if informed.learning_s > 0 else STEP_S
    exposed = -math.expm1(-news * learning_s)
    return Value(
        news_per_s=news,
        news_log_mean=math.log(sigma / math.sqrt(news)) - log_sd**2,
        news_log_sd=log_sd,
        informed_share=share,
        informed_per_s=share * market_per_s / exposed,
        withdraw_per_s=_WITHDRAWN_TIMES / learning_s,
    )

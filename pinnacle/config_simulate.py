"""The [simulate] section of a config: what market is generated, from which fits, and for how long.

A file of its own because it is a noun of its own; `config.py` reads it like every other section.  The tables of fitted
numbers are checked where they are used, by the models that they belong to.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pinnacle.errors import OperatorError
from pinnacle.limits import SIMULATED_SECONDS_MAX

Seconds = Annotated[float, Meta(ge=0, le=SIMULATED_SECONDS_MAX)]


class Simulate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A generated market.

    model: "zero-intelligence": orders at constant rates by distance; "hawkes": those at the best and market orders
    excite each other; "informed": a value moves and some know it; "recorded": a history's levels and trades as orders.
    excited: of the informed model, orders at the best and market orders excite each other too.
    duration_s: of the run.  warm_up_s: of the background alone before it.  start: of the run, ISO 8601 in UTC ("" for a
    recorded market: its own time).  price: where a generated market begins, quote currency.
    feed_ms: from the exchange to the engine.  tickers: best prices are published too.
    speed: simulated seconds in one real one, 0 for as fast as possible.  rate_factor: all rates times this.
    zero_intelligence, hawkes, value: the fitted numbers, as `pinnacle simulate --calibrate` writes them.
    fitted_on: where they are from.  real_facts: by name [value, standard error] of the market they are from.
    """

    model: Literal["zero-intelligence", "hawkes", "informed", "recorded"] = "informed"
    excited: bool = False
    duration_s: Annotated[float, Meta(gt=0, le=SIMULATED_SECONDS_MAX)] = 60
    warm_up_s: Seconds = 10
    start: str = "2026-01-01T00:00:00"
    price: str | int | float = ""
    feed_ms: Annotated[float, Meta(ge=0, le=1e6)] = 5
    tickers: bool = False
    speed: Annotated[float, Meta(ge=0, le=1e6)] = 0
    rate_factor: Annotated[float, Meta(gt=0, le=1e6)] = 1
    zero_intelligence: dict[str, Any] = {}
    hawkes: dict[str, Any] = {}
    value: dict[str, Any] = {}
    fitted_on: str = ""
    real_facts: dict[str, list[float]] = {}


def check_simulate(simulate: Simulate, where: str) -> None:
    """What types cannot say.  Raises OperatorError naming the file, the key, what was found and the remedy."""
    start_ns(simulate, where)
    for name, pair in simulate.real_facts.items():
        if len(pair) != 2:
            raise OperatorError(f"{where}: simulate.real_facts.{name} is {pair}, and must be [value, standard error]")


def start_ns(simulate: Simulate, where: str) -> int:
    """The run's first moment, ns since 1970 UTC; 0 for the recorded market's own.  Raises OperatorError."""
    if not simulate.start:
        return 0
    try:
        moment = datetime.fromisoformat(simulate.start)
    except ValueError:
        raise OperatorError(
            f"{where}: simulate.start is {simulate.start!r}, and must be a time such as 2026-01-01T00:00:00"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    if not 86_400 <= seconds < 8e9:
        raise OperatorError(f"{where}: simulate.start is {simulate.start!r}, and must lie between 1970 and 2200")
    return round(seconds) * 1_000_000_000

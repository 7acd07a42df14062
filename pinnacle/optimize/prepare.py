"""From what a person typed to a search that can start: everything is checked before anything is read or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pinnacle.errors import OperatorError
from pinnacle.optimize.objectives import objectives_of
from pinnacle.optimize.optimize import Optimization
from pinnacle.optimize.sampler import check_sampler
from pinnacle.run.prepare import prepare_backtest
from pinnacle.run.workers import WORKERS_MAX


def prepare_optimization(
    config: str | None,
    strategy: str | None,
    data: Sequence[str],
    settings: Sequence[str],
    options: Mapping[str, Any],
    out: Path | None,
    workers: int,
    ray: str,
) -> Optimization:
    """A search that is ready to run.  options: keys of [optimize] that the command line sets, None where it does not.

    Raises OperatorError for anything that does not fit together.
    """
    if not 1 <= workers <= WORKERS_MAX:
        raise OperatorError(f"{workers} workers asked for; give a number from 1 to {WORKERS_MAX}, or 0 for one per CPU")
    said = [f"optimize.{key}={_toml(value)}" for key, value in options.items() if value is not None]
    run = prepare_backtest(config, strategy, data, [*settings, *said], None, None)
    run.out = out or Path("runs") / f"optimize-{run.strategy.name}-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}"
    if run.config.run.record == "full":
        raise OperatorError(f"{run.where}: run.record is full, and a search logs nothing; leave it out")
    optimization = Optimization(run, workers, ray)
    space = optimization.space()
    optimize = run.config.optimize
    objectives_of(optimize.objectives, optimize.inventory_penalty)
    check_sampler(optimize, space, run.where)
    return optimization


def _toml(value: Any) -> str:
    """A value as --set reads it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)

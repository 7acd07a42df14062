"""What a study leaves in its folder: tables, curves, the summary and the best parameters as a config.

Whoever wants to check the search finds every trial and every curve here, and needs no code of ours to read them.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.engine.strategy import Strategy
from pinnacle.errors import DiskError, OperatorError
from pinnacle.instrument import Instrument
from pinnacle.kernels.jit import CODE_HASH
from pinnacle.optimize.batch import Evaluated
from pinnacle.optimize.outcome import Outcome, plain
from pinnacle.optimize.space import Space
from pinnacle.optimize.study import Ended, Search
from pinnacle.optimize.windows import Fold, Plan
from pinnacle.run.account import METRICS
from pinnacle.run.lanes import LaneResult
from pinnacle.run.window import Window

FORMAT_VERSION = 1


@dataclass
class Study:
    """What a study is, apart from what it found.  began, ended: seconds since 1970."""

    folder: Path
    config: dict[str, Any]
    beside: Path | None
    strategy: Strategy
    space: Space
    plan: Plan
    instruments: list[Instrument]
    quote: str
    histories: list[dict[str, Any]]
    tape_key: str
    versions: dict[str, str]
    market_hash: str
    began: float
    rows: int
    bytes_read: int
    ended: float = 0.0
    status: str = "running"
    passes: int = 0
    candidate_windows: int = 0


@dataclass(frozen=True)
class FoldResult:
    """One fold: its search's outcomes, the chosen one and what that did on the fold's test window."""

    fold: Fold
    outcomes: list[Outcome]
    best: Outcome | None
    tested: LaneResult | None


def write_study(folder: Path, study: Study) -> None:
    """study.json: what is searched, on what, and how.  Raises DiskError."""
    optimize = study.config["optimize"]
    plan, strategy = study.plan, study.strategy
    told = {
        "format_version": FORMAT_VERSION,
        "status": study.status,
        "strategy": {
            "name": strategy.name, "path": strategy.path, "sha256": strategy.sha256, "source": strategy.source,
        },
        "config": study.config,
        "code_hash": CODE_HASH,
        "instruments": [one.name for one in study.instruments],
        "quote": study.quote,
        "space": study.space.as_json(),
        "fixed": dict(study.space.fixed),
        "objectives": _objectives(optimize),
        **{name: optimize[name] for name in ("seed", "batch", "lanes", "sampler", "pruner")},
        "bucket_ns": plan.bucket_ns,
        "windows": {one.name: _window(one) for one in (plan.train, plan.validation, plan.test)},
        "folds": [
            {"number": one.number, "train": _window(one.train), "test": _window(one.test)} for one in plan.folds
        ],
        "histories": study.histories,
        "versions": study.versions,
        "started": _time(study.began),
        "ended": _time(study.ended) if study.ended else None,
    }  # fmt: skip
    _write_json(folder / "study.json", told)


class Curves:
    """The equity curves of one search, kept batch by batch so that a stop loses none."""

    def __init__(self, folder: Path, fold: int, bucket_ns: int, train: Window, validation: Window | None) -> None:
        self._folder, self._fold, self._bucket_ns = folder / "curves", fold, bucket_ns
        self._windows = (("train", train), ("validation", validation))

    def keep(self, batch: Sequence[Evaluated]) -> None:
        """Keep the curves of a batch.  Raises DiskError."""
        import polars as pl

        parts = []
        for one in batch:
            if one.outcome.state != "complete":
                continue
            curves = (one.train_equity_quote, one.validation_equity_quote)
            for (name, window), equity in zip(self._windows, curves):
                if window is not None and equity is not None:
                    parts.append(curve_table(self._fold, one.outcome.number, name, window, self._bucket_ns, equity))
        first = batch[0].outcome.number if batch else 0
        with writing(self._folder):
            self._folder.mkdir(exist_ok=True)
            if parts:
                path = self._folder / f"{self._fold:03d}-{first:07d}.parquet"
                partial = path.with_suffix(".partial")
                pl.concat(parts).write_parquet(partial)
                partial.replace(path)


def curve_table(fold: int, number: int, name: str, window: Window, bucket_ns: int, equity: np.ndarray) -> Any:
    """One curve as rows of curves.parquet."""
    import polars as pl

    n = equity.size
    return pl.DataFrame(
        {
            "fold": np.full(n, fold, np.int32),
            "number": np.full(n, number, np.int32),
            "window": [name] * n,
            "ts_ns": window.first_ns + bucket_ns * np.arange(n, dtype=np.int64),
            "equity_quote": equity,
        }
    )


def write_results(
    study: Study,
    main: Search,
    ended: Ended,
    best: Outcome | None,
    tested: LaneResult | None,
    folds: Sequence[FoldResult],
) -> dict[str, Any]:
    """trials.parquet, curves.parquet, walk_forward.parquet and summary.json; returns the summary.  Raises DiskError."""
    from pinnacle.optimize.judgement import judgement_of

    with writing(study.folder):
        curves = _curves(study, main, best, tested)
        _trials(study, main, folds)
        chained = _walk_forward(study, folds)
        judged = judgement_of(study, main, best, tested, folds, curves, chained)
        summary = {
            "format_version": FORMAT_VERSION,
            "study": _about(study, main, ended),
            "objectives": _objectives(study.config["optimize"]),
            "best": _best(study, main, best, tested),
            "pareto": main.pareto(),
            **judged,
        }
        _write_json(study.folder / "summary.json", summary)
    return summary


def write_best(study: Study, best: Outcome) -> None:
    """best.toml: the study's config with the chosen parameters, as `pinnacle backtest` takes it.  Raises DiskError."""
    import tomli_w

    config = json.loads(json.dumps(study.config))
    config["strategy"]["params"] = study.space.whole_params(best.params)
    config["strategy"]["path"] = str(Path(study.strategy.path).resolve())
    # Beside the study's own folder relative paths would lead elsewhere.
    beside = study.beside or Path()
    for table, key in [(config["data"], "catalog"), *((one, "data") for one in config["instruments"])]:
        if table.get(key):
            path = Path(table[key]).expanduser()
            table[key] = str((path if path.exists() else beside / path).resolve())
    for table in (config, *config["instruments"]):
        _drop_none(table)
    head = (
        f"# {study.strategy.name}: trial {best.number} of {study.folder.name}, the best on its train window.\n"
        "# See report.html beside this file before you trade it.\n\n"
    )
    with writing(study.folder):
        (study.folder / "best.toml").write_text(head + tomli_w.dumps(config))


# --- parts --------------------------------------------------------------------------------------------------------
def _check_curves(study: Study, main: Search, whole: Any) -> None:
    """Every complete trial of the storage has its curve.  Raises OperatorError: without it no judgement would hold."""
    import polars as pl

    there = set(whole.filter((pl.col("fold") == 0) & (pl.col("window") == "train"))["number"].unique().to_list())
    lost = [one.number for one in main.outcomes if one.state == "complete" and one.number not in there]
    if lost:
        raise OperatorError(
            f"{study.folder}: curves.parquet lacks {len(lost)} trials that the search has judged, the first is "
            f"{lost[0]}; restore the file, or begin anew with another --out"
        )


def _curves(study: Study, main: Search, best: Outcome | None, tested: LaneResult | None) -> Any:
    """curves.parquet from the batches' parts and the chosen one's test run; returns its frame."""
    import polars as pl

    target = study.folder / "curves.parquet"
    # What an earlier, shorter search left; its chosen one may be another now.
    before = [pl.read_parquet(target).filter(pl.col("window") != "test")] if target.exists() else []
    parts = [pl.read_parquet(part) for part in sorted((study.folder / "curves").glob("*.parquet"))]
    whole = pl.concat([_no_curves(), *before, *parts])
    _check_curves(study, main, whole)
    # A batch that was cut short was kept before and is kept again.
    whole = whole.unique(["fold", "number", "window", "ts_ns"], keep="last", maintain_order=True)
    if best is not None and tested is not None and not tested.fault:
        test = curve_table(0, best.number, "test", study.plan.test, study.plan.bucket_ns, tested.equity_quote)
        whole = pl.concat([whole, test])
    partial = target.with_suffix(".partial")
    whole.write_parquet(partial)
    partial.replace(target)
    shutil.rmtree(study.folder / "curves", ignore_errors=True)
    return whole


def _no_curves() -> Any:
    import polars as pl

    schema = {"fold": pl.Int32, "number": pl.Int32, "window": pl.String, "ts_ns": pl.Int64, "equity_quote": pl.Float64}
    return pl.DataFrame(schema=schema)


def _trials(study: Study, main: Search, folds: Sequence[FoldResult]) -> None:
    """trials.parquet: every trial of every search."""
    import polars as pl

    rows = []
    for fold, outcomes in [(0, main.outcomes), *((one.fold.number, one.outcomes) for one in folds)]:
        for one in outcomes:
            row: dict[str, Any] = {"fold": fold, "number": one.number, "state": one.state, "reason": one.reason}
            values = one.values or (math.nan,) * len(main.objectives)
            row |= {f"value_{objective.name}": value for objective, value in zip(main.objectives, values)}
            row |= {f"param_{name}": value for name, value in one.params.items()}
            for window, metrics in (("train", one.train), ("validation", one.validation)):
                row |= {f"{window}_{name}": float(metrics.get(name, math.nan)) for name in METRICS}
            rows.append(row)
    schema: dict[str, Any] = {"fold": pl.Int32, "number": pl.Int32, "state": pl.String, "reason": pl.String}
    names = [f"value_{one.name}" for one in main.objectives] + [f"param_{one.name}" for one in study.space.axes]
    names += [f"{window}_{name}" for window in ("train", "validation") for name in METRICS]
    schema |= dict.fromkeys(names, pl.Float64)
    pl.DataFrame(rows, schema=schema).write_parquet(study.folder / "trials.parquet")


def _walk_forward(study: Study, folds: Sequence[FoldResult]) -> np.ndarray:
    """walk_forward.parquet, each fold's test begun where the last ended; returns the changes of its equity."""
    import polars as pl

    level, parts = 0.0, []
    changes: list[np.ndarray] = [np.zeros(0)]
    for one in folds:
        if one.best is None or one.tested is None or one.tested.fault:
            continue
        equity = one.tested.equity_quote
        table = curve_table(
            one.fold.number, one.best.number, "test", one.fold.test, study.plan.bucket_ns, equity + level
        )
        parts.append(table.drop("window"))
        level += float(equity[-1])
        changes.append(np.diff(equity))
    if parts:
        pl.concat(parts).write_parquet(study.folder / "walk_forward.parquet")
    return np.concatenate(changes)


def _about(study: Study, main: Search, ended: Ended) -> dict[str, Any]:
    """What was done, and what it cost."""
    optimize = study.config["optimize"]
    states = [one.state for one in main.outcomes]
    seconds = time.time() - study.began
    mine, theirs = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "strategy": study.strategy.name,
        "instruments": [one.name for one in study.instruments],
        "quote": study.quote,
        "trials_complete": states.count("complete"),
        "trials_pruned": states.count("pruned"),
        "trials_failed": states.count("failed"),
        "ended": ended,
        "seed": optimize["seed"],
        "sampler": optimize["sampler"],
        "seconds": seconds,
        "candidates_per_s": len(states) / seconds if seconds > 0 else 0.0,
        "candidate_windows": study.candidate_windows,
        "passes": study.passes,
        "rows": study.rows,
        "bytes_read": study.bytes_read,
        "peak_memory_bytes": max(mine, theirs) * 1024,
    }


def _best(study: Study, main: Search, best: Outcome | None, tested: LaneResult | None) -> dict[str, Any] | None:
    """The chosen trial in all three windows."""
    if best is None:
        return None
    return {
        "number": best.number,
        "params": study.space.whole_params(best.params),
        "values": {one.name: value for one, value in zip(main.objectives, best.values)},
        "train": plain(best.train),
        "validation": plain(best.validation),
        "validation_fault": best.validation_fault,
        "test": plain(tested.metrics) if tested is not None else {},
        "test_fault": tested.fault if tested is not None else "",
    }


def _objectives(optimize: Mapping[str, Any]) -> list[dict[str, str]]:
    from pinnacle.optimize.objectives import objectives_of

    return [one.as_json() for one in objectives_of(optimize["objectives"], optimize["inventory_penalty"])]


def _window(one: Window) -> dict[str, int]:
    return {"first_ns": one.first_ns, "stop_ns": one.stop_ns}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _drop_none(table: dict[str, Any]) -> None:
    """TOML has no null: what is not set is left out."""
    for key, value in list(table.items()):
        if value is None:
            del table[key]
        elif isinstance(value, dict):
            _drop_none(value)


def _write_json(path: Path, what: Any) -> None:
    """A JSON file, whole or not at all.  Raises DiskError."""
    with writing(path.parent):
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(json.dumps(what, indent=1, allow_nan=False))
        partial.replace(path)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A disk that refuses is one sentence.  Raises DiskError."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{folder}: cannot be written: {error.strerror or error}; free space and run again") from None

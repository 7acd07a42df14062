"""Writes synthetic studies: a folder as a search leaves it, from a rule that says what each candidate is worth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

METRICS = (
    "net_quote", "fees_quote", "turnover_quote", "fills", "maker_fills", "orders", "sharpe", "max_drawdown_quote",
    "position_mean_abs_qty", "position_end_qty", "inventory_risk_quote", "markout_1s_bps", "markout_5s_bps",
    "markout_30s_bps",
)  # fmt: skip
METRIC_OF = {"net": "net_quote", "sharpe": "sharpe", "drawdown": "max_drawdown_quote", "markout": "markout_5s_bps"}
DIRECTION = {"drawdown": "minimize"}
SPACE: dict[str, dict[str, Any]] = {
    "half_spread_bps": {"low": 0.1, "high": 20.0, "log": True, "step": None, "whole": False, "choices": None},
    "skew": {"low": 0.0, "high": 2.0, "log": False, "step": None, "whole": False, "choices": None},
    "levels": {"low": 1.0, "high": 5.0, "log": False, "step": None, "whole": True, "choices": None},
    "horizon_s": {"low": 1.0, "high": 60.0, "log": False, "step": None, "whole": False, "choices": [1.0, 5.0, 60.0]},
    "noise": {"low": -1.0, "high": 1.0, "log": False, "step": None, "whole": False, "choices": None},
}
START_NS = 1_700_000_000_000_000_000
HOUR_NS = 3_600_000_000_000
BUCKET_NS = 120_000_000_000
FAILURES = ("{} fills, and optimize.min_fills asks for 10", "the candidate lost more than risk.loss_max: {} USDT")


def write_study_folder(
    folder: Path, trials: int = 60, *, objectives: tuple[str, ...] = ("net",), folds: int = 0, seed: int = 1,
    pruned: float = 0.1, failed: float = 0.1, trade: bool = False, logits: bool = True, status: str = "complete",
    name: str = "fixed_spread", outliers: bool = False,
) -> Path:  # fmt: skip
    """A whole study's folder.  pruned, failed: shares of the trials; failed=1 leaves nothing to choose."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = [_trial(rng, 0, number, objectives, pruned, failed, outliers) for number in range(trials)]
    chosen = [row for row in rows if row["state"] == "complete"]
    best = _best(chosen, objectives)
    for fold in range(1, folds + 1):
        rows += [_trial(rng, fold, number, objectives, 0, 0, False) for number in range(10)]
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema(objectives)), folder / "trials.parquet")
    windows = {"train": (0, 6), "validation": (6.05, 8), "test": (8.05, 10)}
    _write_curves(rng, folder, chosen, best, windows)
    studied = [
        {"number": k, "train": _window(0, k), "test": _window(k, k + 1)} for k in range(1, folds + 1)
    ]  # fmt: skip
    (folder / "study.json").write_text(json.dumps({
        "format_version": 1, "status": status,
        "strategy": {"name": name, "path": f"strategies/{name}.py", "sha256": "ab" * 32, "source": "a < b & c"},
        "config": {"optimize": {"trials": trials, "inventory_penalty": 1.0}, "queue": {"model": "log"}},
        "code_hash": "cd" * 32, "instruments": ["binance:BTCUSDT"], "quote": "USDT", "space": SPACE,
        "fixed": {"quote_qty": 0.01}, "seed": seed, "batch": 64, "lanes": 64, "sampler": "tpe", "pruner": "median",
        "objectives": [{"name": one, "direction": DIRECTION.get(one, "maximize")} for one in objectives],
        "bucket_ns": BUCKET_NS, "windows": {key: _window(*ends) for key, ends in windows.items()}, "folds": studied,
        "histories": [{"path": "data/catalog/btc.parquet", "sha256": "ef" * 32, "rows": 1_234_567}],
        "versions": {"pinnacle": "0.1", "optuna": "5.0.0", "cpu": "any"}, "started": "2024-01-01T00:00:00Z",
        "ended": "",
    }))  # fmt: skip
    _write_summary(rng, folder, rows[:trials], objectives, best, folds, trade, logits)
    if folds:
        _write_walk(rng, folder, folds)
    (folder / "best.toml").write_text("# chosen\n")
    return folder


def _window(first_h: float, stop_h: float) -> dict[str, int]:
    return {"first_ns": START_NS + round(first_h * HOUR_NS), "stop_ns": START_NS + round(stop_h * HOUR_NS)}


def worth(params: dict[str, float]) -> float:
    """What a candidate earns an hour: a ridge in the spread, bent by the skew; the noise does nothing."""
    away = math.log(params["half_spread_bps"] / 2.0) - 0.6 * (params["skew"] - 1.0)
    return 12.0 * math.exp(-(away**2)) + 1.5 * (params["levels"] - 3) - 4.0


def _trial(
    rng: np.random.Generator, fold: int, number: int, objectives: tuple[str, ...], pruned: float, failed: float,
    outliers: bool,
) -> dict[str, Any]:  # fmt: skip
    params = {}
    for name, axis in SPACE.items():
        if axis["choices"]:
            params[name] = float(rng.choice(axis["choices"]))
        elif axis["whole"]:
            params[name] = float(rng.integers(axis["low"], axis["high"] + 1))
        elif axis["log"]:
            params[name] = float(np.exp(rng.uniform(np.log(axis["low"]), np.log(axis["high"]))))
        else:
            params[name] = float(rng.uniform(axis["low"], axis["high"]))
    state = str(rng.choice(["complete", "pruned", "failed"], p=[max(0.0, 1 - pruned - failed), pruned, failed]))
    hourly = worth(params) - (4_000.0 if outliers and rng.uniform() < 0.02 else 0.0)
    train = _metrics(rng, 6 * hourly + 4 * rng.normal(), 6)
    validation = _metrics(rng, 2 * (0.5 * hourly - 1) + 4 * rng.normal(), 2)
    nothing = dict.fromkeys(METRICS, math.nan)
    done = state == "complete"
    reason = (
        "" if done else "behind the median at part 2 of 4" if state == "pruned" else FAILURES[number % 2].format(number)
    )
    values = {one: train[METRIC_OF[one]] for one in objectives}
    if state == "failed":
        values = dict.fromkeys(objectives, math.nan)
    return {
        "fold": fold, "number": number, "state": state, "reason": reason,
        **{f"value_{key}": value for key, value in values.items()}, **{f"param_{key}": v for key, v in params.items()},
        **{f"train_{key}": value for key, value in (train if done else nothing).items()},
        **{f"validation_{key}": value for key, value in (validation if done and not fold else nothing).items()},
    }  # fmt: skip


def _metrics(rng: np.random.Generator, net: float, hours: float) -> dict[str, float]:
    fills = float(rng.integers(20, 60) * hours)
    return {
        "net_quote": net, "fees_quote": fills * 0.01, "turnover_quote": fills * 420.0, "fills": fills,
        "maker_fills": fills, "orders": fills * 9, "sharpe": net * 2.5, "max_drawdown_quote": 6 + 3 * rng.uniform(),
        "position_mean_abs_qty": 0.02, "position_end_qty": -0.01, "inventory_risk_quote": 2 + rng.uniform(),
        "markout_1s_bps": 0.2, "markout_5s_bps": 0.1 + net / 100, "markout_30s_bps": math.nan,
    }  # fmt: skip


def _schema(objectives: tuple[str, ...]) -> pa.Schema:
    floats = [f"value_{one}" for one in objectives] + [f"param_{name}" for name in SPACE]
    floats += [f"{window}_{name}" for window in ("train", "validation") for name in METRICS]
    whole = [("fold", pa.int32()), ("number", pa.int32()), ("state", pa.string()), ("reason", pa.string())]
    return pa.schema([*whole, *((name, pa.float64()) for name in floats)])


def _best(chosen: list[dict[str, Any]], objectives: tuple[str, ...]) -> dict[str, Any] | None:
    sign = -1 if DIRECTION.get(objectives[0]) == "minimize" else 1
    return max(chosen, key=lambda row: sign * row[f"value_{objectives[0]}"]) if chosen else None


def _front(chosen: list[dict[str, Any]], objectives: tuple[str, ...]) -> list[int]:
    signs = [-1 if DIRECTION.get(one) == "minimize" else 1 for one in objectives]
    points = [[sign * row[f"value_{one}"] for sign, one in zip(signs, objectives)] for row in chosen]
    return [
        row["number"] for row, own in zip(chosen, points)
        if not any(all(a >= b for a, b in zip(other, own)) and other != own for other in points)
    ]  # fmt: skip


def _write_curves(
    rng: np.random.Generator, folder: Path, chosen: list[dict[str, Any]], best: dict[str, Any] | None,
    windows: dict[str, tuple[float, float]],
) -> None:  # fmt: skip
    parts = []
    for row in chosen[:5] + ([best] if best is not None and best not in chosen[:5] else []):
        for window, (first, stop) in windows.items():
            if window != "test" or row is best:
                ts_ns = np.arange(START_NS + round(first * HOUR_NS), START_NS + round(stop * HOUR_NS) + 1, BUCKET_NS)
                drift = row["train_net_quote"] / 180 * (1.0 if window == "train" else 0.3)
                equity = np.concatenate(([0.0], np.cumsum(drift + 0.6 * rng.normal(size=ts_ns.size - 1))))
                parts.append((row["number"], window, ts_ns, equity))
    columns = {
        "fold": np.zeros(sum(p[2].size for p in parts), np.int32),
        "number": np.concatenate([np.full(p[2].size, p[0], np.int32) for p in parts] or [np.zeros(0, np.int32)]),
        "window": [p[1] for p in parts for _ in range(p[2].size)],
        "ts_ns": np.concatenate([p[2] for p in parts] or [np.zeros(0, np.int64)]),
        "equity_quote": np.concatenate([p[3] for p in parts] or [np.zeros(0)]),
    }
    types = [pa.int32(), pa.int32(), pa.string(), pa.int64(), pa.float64()]
    pq.write_table(pa.table(columns, schema=pa.schema(zip(columns, types))), folder / "curves.parquet")


def _write_walk(rng: np.random.Generator, folder: Path, folds: int) -> None:
    ts_ns = np.arange(START_NS + HOUR_NS, START_NS + (folds + 1) * HOUR_NS, BUCKET_NS)
    fold = ((ts_ns - START_NS) // HOUR_NS).astype(np.int32)
    equity = np.cumsum(0.05 + 0.5 * rng.normal(size=ts_ns.size))
    table = {"fold": fold, "number": np.zeros(ts_ns.size, np.int32), "ts_ns": ts_ns, "equity_quote": equity}
    pq.write_table(pa.table(table), folder / "walk_forward.parquet")


def _plain(row: dict[str, Any], window: str) -> dict[str, float | None]:
    values = {name: row[f"{window}_{name}"] for name in METRICS}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _write_summary(
    rng: np.random.Generator, folder: Path, rows: list[dict[str, Any]], objectives: tuple[str, ...],
    best: dict[str, Any] | None, folds: int, trade: bool, logits: bool,
) -> None:  # fmt: skip
    states = [row["state"] for row in rows]
    chosen = [row for row in rows if row["state"] == "complete"]
    summary: dict[str, Any] = {
        "format_version": 1,
        "study": {"strategy": "fixed_spread", "instruments": ["binance:BTCUSDT"], "quote": "USDT", "seed": 1,
                  "trials_complete": states.count("complete"), "trials_pruned": states.count("pruned"),
                  "trials_failed": states.count("failed"), "sampler": "tpe", "seconds": 12.5,
                  "candidates_per_s": len(rows) / 12.5, "rows": 1_234_567, "bytes_read": 45_000_000},
        "objectives": [{"name": one} for one in objectives], "best": None, "pareto": _front(chosen, objectives),
        "judgement": None, "stability": [], "walk_forward": None, "warnings": ["The test window holds 12 fills only."],
        "verdict": {"trade": False, "text": "no trial is complete: there is nothing to trade", "reasons": []},
    }  # fmt: skip
    if best is not None:
        params = {name: best[f"param_{name}"] for name in SPACE}
        values = {one: best[f"value_{one}"] for one in objectives}
        test = {**_plain(best, "validation"), "net_quote": 0.8, "sharpe": 0.4}
        summary["best"] = {"number": best["number"], "params": {**params, "quote_qty": 0.01}, "values": values,
                           "train": _plain(best, "train"), "validation": _plain(best, "validation"),
                           "test": test}  # fmt: skip
        summary["judgement"] = {
            "deflated_sharpe": 0.97 if trade else 0.41, "probabilistic_sharpe": 0.98, "expected_max_sharpe": 2.7,
            "trials_counted": float(len(chosen)), "trials_effective": 11.5, "pbo": 0.2 if trade else 0.63,
            "pbo_splits": 16.0, "rank_correlation": 0.42, "sharpe_chosen": 2.6, "test_needed_s": 86_400.0 * 40,
            "sharpe_test": None if len(rows) < 5 else 0.4, "logits": [],
        }  # fmt: skip
        if logits:
            summary["judgement"]["logits"] = rng.normal(-0.4, 1.2, 500).tolist()
        summary["neighbourhood"] = {"share": 0.7, "percentile": 0.9, "shape": "plateau", "neighbours": 12}
        summary["stability"] = [
            {"param": name, "value": params[name], "low": max(axis["low"], params[name] * 0.8),
             "high": min(axis["high"], params[name] * 1.3), "share_of_best": 0.83}
            for name, axis in SPACE.items() if name != "noise"
        ]  # fmt: skip
        unknown = dict.fromkeys(("low", "high", "share_of_best"))
        summary["stability"].append({"param": "noise", "value": params["noise"], **unknown})
        summary["verdict"] = {
            "trade": trade,
            "text": "in sample 3.1, out of sample 2.4: trade this" if trade
            else "in sample 3.1, out of sample 0.4: do not trade this",
            "reasons": ["the Sharpe ratio falls from 3.1 to 0.4 out of sample",
                        "the best of so many tries shows 2.7 by luck alone"],
        }  # fmt: skip
        if folds:
            told = [
                {"number": k, "params": params, "train": _plain(best, "train"), "test": test}
                for k in range(1, folds + 1)
            ]
            told.append({"number": folds + 1, "params": None, "train": {}, "test": {}, "fault": ""})
            summary["walk_forward"] = {"folds": told, "net_quote": -1.5, "sharpe": -0.3}
    (folder / "summary.json").write_text(json.dumps(summary, allow_nan=False))

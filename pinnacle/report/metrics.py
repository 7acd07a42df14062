"""The summary of a run: one JSON-able dict, by instrument and in total by quote currency, every number with its unit.

Amounts of different currencies are never added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pinnacle.instrument import decimal_of
from pinnacle.log.manifest import MANIFEST_NAME
from pinnacle.report import figures
from pinnacle.report.figures import HORIZON_NAMES, Part, money2
from pinnacle.report.ledger import NO_MID, Ledger
from pinnacle.report.pnl import make_curve, make_split
from pinnacle.report.risk import DAYS_PER_YEAR, drawdown, ratios, sampling_ns
from pinnacle.report.source import Recorded

FORMAT_VERSION = 1

# The unit of a figure by the end of its name, or by its group where the whole group has one.
UNITS = {
    "_quote": "quote currency of the instrument or total",
    "_qty": "units of quantity (base currency or contracts)",
    "_lots": "lots",
    "_bps": "basis points (1e-4) of the fill's price; quoted spread: of its own middle",
    "_share": "fraction, 0 to 1",
    "_ms": "milliseconds",
    "_s": "seconds",
    "_ns": "nanoseconds since 1970 UTC",
    "pnl": "quote currency; net = spread + inventory - fees + funding, fees = fees_paid - rebates",
    "pnl.exact": "the same as exact decimal text",
    "_count": "count",
    "orders": "count",
    "fills": "count",
    "count": "count",
    "error": "standard error of the mean beside it, as if fills were independent",
    "markouts": "side * (mid a horizon after the fill was heard - fill price), positive when good for us",
    "captured_spread": "side * (mid when the fill was heard - fill price)",
    "sharpe": "annualised, risk-free rate 0, of changes of equity every ratio_interval_s",
    "sharpe_standard_error": "annualised standard error for independent changes (Lo 2002)",
    "sortino": "annualised, as sharpe, over the downside deviation against 0",
    "ratio_changes": "count of changes the ratios are made of",
    "groups": "orders that rested, sorted by what lay ahead, in groups of equal count",
}


def make_parts(run: Recorded, ledger: Ledger) -> list[Part]:
    """The run's instruments, each with its own rows."""
    parts = []
    for index, instrument in enumerate(run.instruments):
        fills = ledger.fills[ledger.fills["instrument"] == index]
        parts.append(
            Part(
                index=index,
                instrument=instrument,
                fills=fills,
                orders=ledger.orders[ledger.orders["instrument"] == index],
                curve=make_curve(run, ledger.fills, index),
                split=make_split(run, fills, index),
                cancels_sent=int(ledger.cancels_sent[index]),
                cancels_refused=int(ledger.cancels_refused[index]),
                position_limit_lots=position_limit_lots(run, index),
            )
        )
    return parts


def position_limit_lots(run: Recorded, index: int) -> int | None:
    """The most whole lots the config lets instrument `index` hold, None where it sets no limit."""
    limit = instrument_config(run, index).get("risk", {}).get("position_max")
    if limit is None:
        return None
    return int(decimal_of(str(limit), f"{MANIFEST_NAME}: risk.position_max") // run.instruments[index].lot)


def instrument_config(run: Recorded, index: int) -> dict[str, Any]:
    """What the manifest's config says of instrument `index` alone; empty where it says nothing."""
    rows = run.manifest.config.get("instruments")
    return rows[index] if isinstance(rows, list) and index < len(rows) and isinstance(rows[index], dict) else {}


def summarise(run: Recorded, ledger: Ledger, parts: Sequence[Part]) -> dict[str, Any]:
    """The summary; `warnings` are sentences that qualify the figures."""
    by_currency: dict[str, list[Part]] = {}
    for part in parts:
        by_currency.setdefault(part.instrument.quote or "quote", []).append(part)
    alone = {part.instrument.name: _total([part], part.instrument.quote or "quote") for part in parts}
    total = {
        currency: alone[of[0].instrument.name] if len(of) == 1 else _total(of, currency)
        for currency, of in sorted(by_currency.items())
    }
    return {
        "format_version": FORMAT_VERSION,
        "run": _run(run),
        "span": _span(run, parts),
        "total": total,
        "instruments": {part.instrument.name: alone[part.instrument.name] | _held(part, run) for part in parts},
        "alerts": ledger.alerts,
        "warnings": _warnings(run, ledger, parts),
        "units": UNITS,
    }


def _run(run: Recorded) -> dict[str, Any]:
    """What was run, by name and hash."""
    manifest = run.manifest
    strategy = manifest.strategy
    return {
        "run_id": manifest.run_id,
        "mode": manifest.mode,
        "status": manifest.status,
        "strategy": strategy.name if strategy else "",
        "strategy_sha256": strategy.sha256 if strategy else "",
        "params": manifest.params,
        "code_hash": manifest.code_hash,
        "fingerprint": manifest.fingerprint,
        "seed": manifest.seed,
        "histories": [{"path": h.path, "sha256": h.sha256, "rows": h.rows} for h in manifest.histories],
        "records": run.counts,
    }


def _span(run: Recorded, parts: Sequence[Part]) -> dict[str, Any]:
    curves = [part.curve for part in parts if part.curve is not None]
    every_ns = sampling_ns(curves[0].ts_ns) if curves else None
    return {
        "first_ns": run.first_ts_ns,
        "last_ns": run.last_ts_ns,
        "length_s": (run.last_ts_ns - run.first_ts_ns) / 1e9,
        "samples_count": max((curve.ts_ns.size for curve in curves), default=0),
        "sample_interval_s": None if every_ns is None else every_ns / 1e9,
        "year": f"{DAYS_PER_YEAR} days",
        "horizons": list(HORIZON_NAMES),
    }


def _total(parts: Sequence[Part], currency: str) -> dict[str, Any]:
    groups = {name: group(parts) for name, group in figures.SHARED.items()}
    return {"currency": currency, "instruments": [p.instrument.name for p in parts], "risk": _risk(parts)} | groups


def _held(part: Part, run: Recorded) -> dict[str, Any]:
    """What has a meaning for one instrument only."""
    return {
        "inventory": figures.inventory(part, run.first_ts_ns, run.last_ts_ns),
        "quotes": figures.quotes(part),
        "queue": figures.queue(part),
    }


def equity_series(parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray, int]:
    """Times and equity of one currency (int64, half units of 10^-digits), and digits.

    Samples without a price are left out.
    Where an instrument has no sample at a time, its last one before counts, and 0 before its first.
    """
    curves = [(part, part.curve) for part in parts if part.curve is not None and part.curve.valued.any()]
    digits = max((part.instrument.money_digits for part, _ in curves), default=0)
    if not curves:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), digits
    times = [curve.ts_ns[curve.valued] for _, curve in curves]
    ts_ns = times[0] if len(times) == 1 else np.unique(np.concatenate(times))
    total = np.zeros(ts_ns.size, np.int64)
    for (part, curve), mine in zip(curves, times):
        equity = curve.equity2[curve.valued] * 10 ** (digits - part.instrument.money_digits)
        at = np.searchsorted(mine, ts_ns, side="right") - 1
        total += np.where(at >= 0, equity[at], 0)
    return ts_ns, total, digits


def _risk(parts: Sequence[Part]) -> dict[str, Any]:
    """Drawdown and ratios of the equity of one currency."""
    ts_ns, equity2, digits = equity_series(parts)
    fell = drawdown(ts_ns, equity2)
    figures_of = ratios(ts_ns, equity2 / (2.0 * 10**digits))
    if not any(part.fills.size for part in parts):
        fell["max"] = fell["longest_s"] = None
        figures_of["ratio_note"] = "no fills"
    return {
        "drawdown_max_quote": None if fell["max"] is None else int(fell["max"]) / (2 * 10**digits),
        "drawdown_peak_ns": fell["peak_ns"],
        "drawdown_trough_ns": fell["trough_ns"],
        "drawdown_longest_s": fell["longest_s"],
    } | figures_of


def _warnings(run: Recorded, ledger: Ledger, parts: Sequence[Part]) -> list[str]:
    """What a reader must know before believing a figure."""
    found = list(run.warnings)
    if not ledger.orders.size:
        found.append("No order was placed: there is nothing to measure but the market.")
    elif not ledger.fills.size:
        found.append("No order was filled: there is no result, and no zero stands for one.")
    unobserved = int((~ledger.fills["observed"]).sum())
    if run.observed is not None and unobserved:
        found.append(f"{unobserved:,} fills were heard after the observations end; they have no mid and no mark-out.")
    if ledger.strays:
        found.append(f"{ledger.strays:,} fills are of orders that this log does not place.")
    for part in parts:
        name, split = part.instrument.name, part.split
        one_sided = int((part.fills["observed"] & (part.fills["mid2_ticks"] == NO_MID)).sum())
        if one_sided:
            found.append(
                f"{name}: {one_sided:,} fills were heard while a side of the book was empty; they count as no spread."
            )
        if part.curve is not None and not part.curve.valued.all():
            count = int((~part.curve.valued).sum())
            found.append(f"{name}: {count:,} samples of equity have no price for the position and are left out.")
        if split.position_lots and split.mid2_ticks is not None:
            left = part.instrument.qty_text(split.position_lots)
            worth = money2(part.instrument, split.position_lots * split.mid2_ticks * part.instrument.units_per_ticklot)
            found.append(
                f"{name}: the run ends with a position of {left}, valued at the last mid "
                f"({float(worth):,.2f} {part.instrument.quote}); closing it would cost half a spread and a fee."
            )
    return found

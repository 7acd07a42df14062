"""The figures of a run, one function a group, over one instrument or several of one quote currency.

A figure that was not measured is None, never 0: a run without fills has no mark-out, and not one of nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from pinnacle import event
from pinnacle.instrument import Instrument
from pinnacle.report.ledger import CANCELLED, EXPIRED, FILLED, NO_MID, OPEN, REJECTED, UNKNOWN
from pinnacle.report.pnl import Curve, Split, quote_of
from pinnacle.report.source import HORIZONS_NS, NO_PRICE

HORIZON_NAMES = tuple(f"{ns // 1_000_000_000}s" for ns in HORIZONS_NS)
# Queue positions are told in so many groups of equally many orders.
QUEUE_GROUPS = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One instrument of a run: its own fills and orders, its samples (None if not observed) and its result."""

    index: int
    instrument: Instrument
    fills: np.ndarray
    orders: np.ndarray
    curve: Curve | None
    split: Split
    cancels_sent: int
    cancels_refused: int
    position_limit_lots: int | None

    @property
    def traded(self) -> bool:
        """Whether an order was placed or filled."""
        return bool(self.orders.size or self.fills.size)


def money2(instrument: Instrument, half_units: int) -> Decimal:
    """Half money units as quote currency, exact."""
    return Decimal(5 * int(half_units)).scaleb(-instrument.money_digits - 1)


def edge_quote(part: Part, mid2_ticks: np.ndarray) -> np.ndarray:
    """What each fill was better than a mid, in quote currency, NaN where there is none.  mid2_ticks: int64[fills]."""
    fills = part.fills
    edge2 = fills["side"] * (mid2_ticks - 2 * fills["price_ticks"]) * fills["qty_lots"]
    quote = quote_of(part.instrument, edge2) * (part.instrument.units_per_ticklot / 2)
    return np.where(mid2_ticks != NO_MID, quote, np.nan)


def edge_bps(part: Part, mid2_ticks: np.ndarray) -> np.ndarray:
    """The same in basis points of the fill's price."""
    price = part.fills["price_ticks"]
    edge = part.fills["side"] * (mid2_ticks / (2.0 * np.where(price == 0, 1, price)) - 1.0) * 1e4
    return np.where((mid2_ticks != NO_MID) & (price != 0), edge, np.nan)


def pnl(parts: Sequence[Part]) -> dict[str, Any]:
    """The result and where it came from, in quote currency; `exact` has the same as decimal text."""
    names = ("net", "gross", "spread", "inventory", "fees", "fees_paid", "rebates", "funding")
    nothing: dict[str, Any] = dict.fromkeys(names)
    active = [part for part in parts if part.fills.size or part.split.funding2]
    if not active:
        return nothing | {"exact": {}, "note": "no fills, so there is no result"}
    sums: dict[str, Decimal | None] = {}
    for name in names:
        each = [getattr(part.split, f"{name}2") for part in active]
        known = None not in each
        sums[name] = sum((money2(p.instrument, v) for p, v in zip(active, each)), Decimal(0)) if known else None
    note = "" if sums["net"] is not None else "the position left at the end has no price, so net and inventory are open"
    figures: dict[str, Any] = {name: None if value is None else float(value) for name, value in sums.items()}
    exact = {name: f"{value.normalize():f}" for name, value in sums.items() if value is not None}
    return figures | {"exact": exact, "note": note}


def orders(parts: Sequence[Part]) -> dict[str, Any]:
    """Counts of orders by what became of them."""
    rows = np.concatenate([part.orders for part in parts])
    status = rows["status"]
    placed = int(rows.size)
    touched = int((rows["filled_lots"] > 0).sum())
    found: dict[str, Any] = {"placed": placed, "acknowledged": int((rows["acknowledged_ns"] > 0).sum())}
    for name, code in (
        ("filled", FILLED),
        ("cancelled", CANCELLED),
        ("expired", EXPIRED),
        ("rejected", REJECTED),
        ("open", OPEN),
        ("unknown", UNKNOWN),
    ):
        found[name] = int((status == code).sum())
    found["filled_in_part"] = touched - found["filled"]
    found["cancels_sent"] = sum(part.cancels_sent for part in parts)
    found["cancels_refused"] = sum(part.cancels_refused for part in parts)
    for name, code in (("expired_by_reason", EXPIRED), ("rejected_by_reason", REJECTED)):
        found[name] = _by_name(rows["reason"][status == code], event.END_REASON_NAMES)
    found["fill_rate_share"] = found["filled"] / placed if placed else None
    return found


def fills(parts: Sequence[Part]) -> dict[str, Any]:
    """Counts of executions, turnover, and what they captured of the spread."""
    rows = np.concatenate([part.fills for part in parts])
    captured = np.concatenate([edge_quote(part, part.fills["mid2_ticks"]) for part in parts])
    in_bps = np.concatenate([edge_bps(part, part.fills["mid2_ticks"]) for part in parts])
    count = int(rows.size)
    return {
        "count": count,
        "buys": int((rows["side"] > 0).sum()),
        "sells": int((rows["side"] < 0).sum()),
        "maker_share": float(rows["maker"].mean()) if count else None,
        "turnover_quote": float(sum((_turnover(part) for part in parts), Decimal(0))),
        "captured_spread": _moments(captured, "quote") | _moments(in_bps, "bps"),
        "by_reason": _by_name(rows["reason"], event.FILL_REASON_NAMES),
    }


def _turnover(part: Part) -> Decimal:
    value = int((np.abs(part.fills["price_ticks"]) * part.fills["qty_lots"]).sum())
    return part.instrument.money(value * part.instrument.units_per_ticklot)


def markouts(parts: Sequence[Part]) -> dict[str, Any]:
    """By horizon and side: mean and standard error of side * (mid then - fill price), positive when good for us."""
    found: dict[str, Any] = {}
    side = np.concatenate([part.fills["side"] for part in parts])
    for h, name in enumerate(HORIZON_NAMES):
        quote = np.concatenate([edge_quote(part, part.fills["after2_ticks"][:, h]) for part in parts])
        bps = np.concatenate([edge_bps(part, part.fills["after2_ticks"][:, h]) for part in parts])
        found[name] = {
            label: _moments(quote[pick], "quote") | _moments(bps[pick], "bps")
            for label, pick in (("all", side != 0), ("buy", side > 0), ("sell", side < 0))
        }
    return found


def latency(parts: Sequence[Part]) -> dict[str, Any]:
    """Milliseconds: decision to acknowledgement heard, its two legs, decision to cancel heard, execution to heard."""
    rows = np.concatenate([part.orders for part in parts])
    heard = np.concatenate([part.fills for part in parts])
    acknowledged = rows[rows["acknowledged_ns"] > 0]
    dated = acknowledged[acknowledged["acknowledged_venue_ns"] > 0]
    cancelled = rows[(rows["cancelled_ns"] > 0) & (rows["cancel_sent_ns"] > 0)]
    dated_fills = heard[heard["ts_venue_ns"] > 0]
    return {
        "round_trip": quantiles_ms(acknowledged["acknowledged_ns"] - acknowledged["placed_ns"]),
        "entry": quantiles_ms(dated["acknowledged_venue_ns"] - dated["placed_ns"]),
        "response": quantiles_ms(dated["acknowledged_ns"] - dated["acknowledged_venue_ns"]),
        "cancel_round_trip": quantiles_ms(cancelled["cancelled_ns"] - cancelled["cancel_sent_ns"]),
        "fill_heard": quantiles_ms(dated_fills["ts_ns"] - dated_fills["ts_venue_ns"]),
    }


def quantiles_ms(spans_ns: np.ndarray) -> dict[str, Any]:
    """Count, minimum, median, 99th percentile and maximum in milliseconds."""
    if not spans_ns.size:
        return {"count": 0, "min_ms": None, "median_ms": None, "p99_ms": None, "max_ms": None}
    middle, p99 = np.quantile(spans_ns, (0.5, 0.99)) / 1e6
    return {
        "count": int(spans_ns.size),
        "min_ms": int(spans_ns.min()) / 1e6,
        "median_ms": float(middle),
        "p99_ms": float(p99),
        "max_ms": int(spans_ns.max()) / 1e6,
    }


def inventory(part: Part, first_ts_ns: int, last_ts_ns: int) -> dict[str, Any]:
    """The position over the whole log, weighted by time, in units of quantity."""
    limit = part.position_limit_lots
    found: dict[str, Any] = {
        "final_qty": _qty(part, part.split.position_lots), "final_lots": part.split.position_lots, "mean_qty": None,
        "mean_absolute_qty": None, "max_absolute_qty": None, "limit_qty": _qty(part, limit),
        "at_limit_share": None,
    }  # fmt: skip
    ts = np.concatenate(([first_ts_ns], part.fills["ts_ns"], [last_ts_ns]))
    held = np.concatenate(([0], part.fills["position_lots"])).astype(np.float64)
    weight = np.diff(ts).astype(np.float64)
    if not part.fills.size or not weight.sum() > 0:
        return found
    size = np.abs(held)
    found["mean_qty"] = _qty(part, float((held * weight).sum() / weight.sum()))
    found["mean_absolute_qty"] = _qty(part, float((size * weight).sum() / weight.sum()))
    found["max_absolute_qty"] = _qty(part, float(size.max()))
    if limit is not None:
        found["at_limit_share"] = float(weight[size >= limit].sum() / weight.sum())
    return found


def quotes(part: Part) -> dict[str, Any]:
    """How we quoted, weighted by time over the samples; each sample stands until the next."""
    found: dict[str, Any] = {"two_sided_share": None, "quoted_share": None, "spread_quote": None, "spread_bps": None}
    curve = part.curve
    if curve is None or curve.ts_ns.size < 2:
        return found
    weight = np.diff(curve.ts_ns).astype(np.float64)
    buys, sells = (curve.buy_ticks != NO_PRICE)[:-1], (curve.sell_ticks != NO_PRICE)[:-1]
    both = buys & sells
    found["two_sided_share"] = float(weight[both].sum() / weight.sum())
    found["quoted_share"] = float(weight[buys | sells].sum() / weight.sum())
    if both.any():
        spread = (curve.sell_ticks[:-1] - curve.buy_ticks[:-1])[both]
        middle = (curve.sell_ticks[:-1] + curve.buy_ticks[:-1])[both] / 2.0
        found["spread_quote"] = float(np.average(spread, weights=weight[both])) * float(part.instrument.tick)
        found["spread_bps"] = float(np.average(spread / middle, weights=weight[both])) * 1e4
    return found


def queue(part: Part) -> dict[str, Any]:
    """What lay ahead when orders began to rest, what became of them by that, and how long it took."""
    rested = part.orders[(part.orders["ahead_lots"] >= 0) & (part.orders["acknowledged_ns"] > 0)]
    to_fill_ns = (rested["first_fill_ns"] - rested["acknowledged_ns"])[rested["first_fill_ns"] > 0]
    unfilled = rested[(rested["filled_lots"] == 0) & (rested["ended_ns"] > 0)]
    found: dict[str, Any] = {
        "rested_count": int(rested.size),
        "ahead_mean_qty": _qty(part, float(rested["ahead_lots"].mean()) if rested.size else None),
        "ahead_median_qty": _qty(part, float(np.median(rested["ahead_lots"])) if rested.size else None),
        "time_to_fill": _times_s(to_fill_ns),
        "time_unfilled": _times_s(unfilled["ended_ns"] - unfilled["acknowledged_ns"]),
        "groups": [],
    }
    ended = rested[rested["status"] != OPEN]
    ended = ended[np.argsort(ended["ahead_lots"], kind="stable")]
    for group in np.array_split(ended, QUEUE_GROUPS) if ended.size >= QUEUE_GROUPS else []:
        hit = group["first_fill_ns"] > 0
        found["groups"].append(
            {
                "ahead_from_qty": _qty(part, int(group["ahead_lots"][0])),
                "ahead_to_qty": _qty(part, int(group["ahead_lots"][-1])),
                "orders": int(group.size),
                "filled_share": float(hit.mean()),
                "time_to_fill_median_s": _median_s((group["first_fill_ns"] - group["acknowledged_ns"])[hit]),
            }
        )
    return found


def _qty(part: Part, lots: float | None) -> float | None:
    """Lots in units of quantity; through decimals, so that 2,139 lots of 0.001 read 2.139."""
    return None if lots is None else float(Decimal(str(lots)) * part.instrument.lot)


def _times_s(spans_ns: np.ndarray) -> dict[str, Any]:
    if not spans_ns.size:
        return {"count": 0, "median_s": None, "mean_s": None, "p90_s": None}
    middle, p90 = np.quantile(spans_ns, (0.5, 0.9)) / 1e9
    mean = float(spans_ns.mean()) / 1e9
    return {"count": int(spans_ns.size), "median_s": float(middle), "mean_s": mean, "p90_s": float(p90)}


def _median_s(spans_ns: np.ndarray) -> float | None:
    return float(np.median(spans_ns)) / 1e9 if spans_ns.size else None


def _moments(values: np.ndarray, unit: str) -> dict[str, Any]:
    """Count, mean and standard error of what is known of `values`; the error of one value is None."""
    values = values[~np.isnan(values)]
    count = int(values.size)
    return {
        "count": count,
        f"mean_{unit}": float(values.mean()) if count else None,
        f"error_{unit}": float(values.std(ddof=1)) / count**0.5 if count > 1 else None,
    }


def _by_name(codes: np.ndarray, names: dict[int, str]) -> dict[str, int]:
    """Count by name of code, most frequent first, names breaking ties."""
    found, counts = np.unique(codes, return_counts=True)
    named = [(names.get(int(code), f"reason_{code}"), int(count)) for code, count in zip(found, counts)]
    return dict(sorted(named, key=lambda item: (-item[1], item[0])))


Group = Callable[[Sequence[Part]], dict[str, Any]]
# What is told of one instrument and of several alike.
SHARED: dict[str, Group] = {"pnl": pnl, "fills": fills, "orders": orders, "markouts": markouts, "latency": latency}

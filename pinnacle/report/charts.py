"""The charts of a report as plain data in plotly's schema; nothing is drawn and nothing is imported to make them.

Two words of ours are resolved in the page: "@name" is a column of the payload (so that a time axis is kept once), and
"$name" a colour of the page's theme (so that light and dark need no second copy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pinnacle import event
from pinnacle.report.figures import HORIZON_NAMES, Part, edge_bps
from pinnacle.report.ledger import CANCELLED, FILLED, NO_MID
from pinnacle.report.metrics import equity_series
from pinnacle.report.pnl import Curve, samples_quote
from pinnacle.report.risk import underwater
from pinnacle.report.source import NO_PRICE
from pinnacle.report.thin import thin, thin_evenly

Figure = dict[str, Any]
_BINS = 60


class Charts:
    """The figures of one view.  columns: arrays by name; figures: by id; notes: what was left out of a figure, by id."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.columns: dict[str, list[Any]] = {}
        self.figures: dict[str, Figure] = {}
        self.notes: dict[str, str] = {}

    def column(self, name: str, values: Any) -> str:
        """Keep a column and say its reference.  NaN becomes null."""
        key = f"{self.prefix}.{name}"
        values = np.asarray(values)
        if values.dtype.kind == "f":
            values = np.round(values, 8)
        self.columns[key] = values.tolist()
        return f"@{key}"

    def add(self, name: str, data: list[Figure], layout: Figure | None = None, note: str = "") -> None:
        """Keep a figure."""
        self.figures[f"{self.prefix}-{name}"] = {"data": data, "layout": layout or {}}
        if note:
            self.notes[f"{self.prefix}-{name}"] = note


def instrument_charts(part: Part) -> Charts:
    """Every chart of one instrument that its data allows."""
    charts = Charts(f"i{part.index}")
    if part.curve is not None:
        _price(charts, part, part.curve)
        _inventory(charts, part, part.curve)
        _split(charts, part, part.curve)
    if part.fills.size:
        _markouts(charts, part)
        _distribution(charts, part)
        _reasons(charts, part)
    equity_chart(charts, [part])
    if part.orders.size:
        _latency(charts, part)
        _queue(charts, part)
    return charts


def total_charts(parts: Sequence[Part], number: int) -> Charts:
    """The charts of several instruments of one currency together.  number: of the currency, for the ids."""
    charts = Charts(f"t{number}")
    equity_chart(charts, parts)
    return charts


def _ms(ts_ns: np.ndarray) -> np.ndarray:
    """Times as plotly's date axis takes them: milliseconds since 1970 UTC, to the microsecond."""
    return np.asarray(ts_ns // 1_000) / 1e3


def _line(name: str, x: str, y: str, colour: str, **more: Any) -> Figure:
    line = {"color": f"${colour}", "width": more.pop("width", 1.5)} | more.pop("line", {})
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line} | more


def _thinned(all_points: int, kept: int) -> str:
    return f"Lines show {kept:,} of {all_points:,} samples; every stretch keeps its extremes." if kept < all_points else ""


def _ticks(values: np.ndarray, tick: float) -> np.ndarray:
    return np.where(values == NO_PRICE, np.nan, values * tick)


def _price(charts: Charts, part: Part, curve: Curve) -> None:
    """The mid, our quotes, and our fills on it."""
    tick = float(part.instrument.tick)
    mid = np.where(curve.mid2_ticks == NO_MID, np.nan, curve.mid2_ticks * tick / 2)
    kept = thin(mid)
    t = charts.column("t", _ms(curve.ts_ns[kept]))
    data = []
    for name, ticks, colour in (("our bid", curve.buy_ticks, "buy"), ("our ask", curve.sell_ticks, "sell")):
        if (ticks != NO_PRICE).any():
            y = charts.column(name.replace(" ", "_"), _ticks(ticks[kept], tick))
            data.append(_line(name, t, y, colour, width=1, line={"shape": "hv"}, opacity=0.45, hoverinfo="skip"))
    y = charts.column("mid", mid[kept])
    data.append(_line("mid", t, y, "ink", width=1.2, hovertemplate="mid %{y}<extra></extra>"))
    shown = part.fills[thin_evenly(part.fills.size)]
    for name, side, colour, symbol in (("buys", 1, "buy", "triangle-up"), ("sells", -1, "sell", "triangle-down")):
        mine = shown[shown["side"] == side]
        if mine.size:
            data.append(_fill_marks(charts, part, mine, name, colour, symbol))
    note = _thinned(mid.size, kept.size)
    if shown.size < part.fills.size:
        note += f" Marks show {shown.size:,} of {part.fills.size:,} fills, evenly spread."
    charts.add("price", data, {"yaxis": {"title": {"text": part.instrument.quote}, "tickformat": ",~f"}}, note.strip())


def _fill_marks(charts: Charts, part: Part, fills: np.ndarray, name: str, colour: str, symbol: str) -> Figure:
    instrument = part.instrument
    told = [
        f"{event.FILL_REASON_NAMES.get(reason, str(reason)).replace('_', ' ')}, {'maker' if maker else 'taker'}"
        f"<br>{instrument.qty_text(qty)} @ {instrument.price_text(price)}"
        f"<br>fee {float(instrument.money(fee)):.8g} {instrument.quote}"
        f"<br>position {instrument.qty_text(position)}<br>order {order_id}, fill {number}"
        for reason, maker, qty, price, fee, position, order_id, number in zip(
            *(fills[field].tolist() for field in (
                "reason", "maker", "qty_lots", "price_ticks", "fee_units", "position_lots", "order_id", "number",
            ))
        )
    ]  # fmt: skip
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": charts.column(f"{name}_t", _ms(fills["ts_ns"])),
        "y": charts.column(f"{name}_price", fills["price_ticks"] * float(instrument.tick)),
        "text": told,
        "hovertemplate": f"<b>{name[:-1]}</b> %{{text}}<extra></extra>",
        "marker": {"color": f"${colour}", "symbol": symbol, "size": 8, "line": {"color": "$paper", "width": 0.8}},
    }


def _inventory(charts: Charts, part: Part, curve: Curve) -> None:
    """The position, exact at every fill, and the limit on it."""
    lot = float(part.instrument.lot)
    ts = np.concatenate((curve.ts_ns[:1], part.fills["ts_ns"], curve.ts_ns[-1:]))
    held = np.concatenate(([0], part.fills["position_lots"], curve.position_lots[-1:])) * lot
    kept = thin(held)
    t, y = charts.column("held_t", _ms(ts[kept])), charts.column("held", held[kept])
    data = [_line("position", t, y, "accent", line={"shape": "hv"}, fill="tozeroy", fillcolor="$accentsoft")]
    shapes = []
    if part.position_limit_lots is not None:
        limit = part.position_limit_lots * lot
        shapes = [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y,
             "line": {"color": "$loss", "width": 1, "dash": "dash"}}
            for y in (limit, -limit)
        ]  # fmt: skip
    unit = part.instrument.base or "quantity"
    charts.add("inventory", data, {"yaxis": {"title": {"text": unit}}, "shapes": shapes}, _thinned(ts.size, kept.size))


def equity_chart(charts: Charts, parts: Sequence[Part]) -> None:
    """Equity of one currency and how far it is below its peak."""
    ts_ns, equity2, digits = equity_series(parts)
    if not ts_ns.size:
        return
    equity, below = equity2 / (2.0 * 10**digits), underwater(equity2) / (2.0 * 10**digits)
    kept = thin(equity, below)
    t = charts.column("equity_t", _ms(ts_ns[kept]))
    data = [
        _line("equity", t, charts.column("equity", equity[kept]), "accent", width=1.8),
        _line("drawdown", t, charts.column("below", below[kept]), "loss", width=1, yaxis="y2", fill="tozeroy",
              fillcolor="$losssoft"),
    ]  # fmt: skip
    currency = parts[0].instrument.quote
    layout = {
        "yaxis": {"title": {"text": currency}, "domain": [0.36, 1]},
        "yaxis2": {"title": {"text": "below peak"}, "domain": [0, 0.28]},
        "xaxis": {"anchor": "y2"},
    }
    charts.add("equity", data, layout, _thinned(ts_ns.size, kept.size))


def _split(charts: Charts, part: Part, curve: Curve) -> None:
    """What the result is made of, growing over time."""
    money = samples_quote(part.instrument, curve)
    lines = [("spread captured", "spread", "gain"), ("inventory", "inventory", "sell"), ("fees", "fees", "buy")]
    if curve.funding_units.any():
        lines.append(("funding", "funding", "muted"))
    kept = thin(*(money[name] for _, name, _ in lines), money["equity"])
    t = charts.column("split_t", _ms(curve.ts_ns[kept]))
    data = [_line(label, t, charts.column(name, money[name][kept]), colour) for label, name, colour in lines]
    data.append(_line("net", t, charts.column("net", money["equity"][kept]), "ink", width=2.2))
    layout = {"yaxis": {"title": {"text": part.instrument.quote}}}
    charts.add("split", data, layout, _thinned(curve.ts_ns.size, kept.size))


def _markouts(charts: Charts, part: Part) -> None:
    """Mean of the mark-out at each horizon with its standard error, by side."""
    at = [edge_bps(part, part.fills["mid2_ticks"])]
    at += [edge_bps(part, part.fills["after2_ticks"][:, h]) for h in range(len(HORIZON_NAMES))]
    side = part.fills["side"]
    data = []
    for name, pick, colour in (("all", side != 0, "ink"), ("buys", side > 0, "buy"), ("sells", side < 0, "sell")):
        known = [values[pick & ~np.isnan(values)] for values in at]
        if any(values.size for values in known):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "x": ["at fill", *HORIZON_NAMES],
                    "y": [float(values.mean()) if values.size else None for values in known],
                    "error_y": {
                        "type": "data",
                        "array": [float(v.std(ddof=1)) / v.size**0.5 if v.size > 1 else 0 for v in known],
                        "thickness": 1.2,
                        "width": 4,
                        "color": f"${colour}",
                    },
                    "customdata": [int(values.size) for values in known],
                    "hovertemplate": "%{y:.3f} bps over %{customdata} fills<extra>" + name + "</extra>",
                    "line": {"color": f"${colour}", "width": 2 if name == "all" else 1.2},
                    "marker": {"size": 7},
                }
            )
    if data:
        charts.add("markouts", data, {"yaxis": {"title": {"text": "bps"}}, "xaxis": {"type": "category"}})


def _distribution(charts: Charts, part: Part) -> None:
    """How the mark-outs are spread, one outline a horizon, over the same bins."""
    known = {}
    for h, name in enumerate(HORIZON_NAMES):
        values = edge_bps(part, part.fills["after2_ticks"][:, h])
        if (~np.isnan(values)).any():
            known[name] = values[~np.isnan(values)]
    if not known:
        return
    # The outermost half percent on each side would squeeze the rest into a few bins.
    low, high = np.quantile(np.concatenate(list(known.values())), (0.005, 0.995))
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    x = charts.column("bins", (edges[:-1] + edges[1:]) / 2)
    data = [
        _line(name, x, charts.column(f"spread_{name}", np.histogram(np.clip(values, low, high), edges)[0] / values.size),
              colour, line={"shape": "hvh"}, hovertemplate="%{x:.2f} bps: %{y:.1%}<extra>" + name + "</extra>")
        for (name, values), colour in zip(known.items(), ("buy", "gain", "sell"))
    ]  # fmt: skip
    layout = {"xaxis": {"title": {"text": "mark-out, bps"}}, "yaxis": {"title": {"text": "share"}, "tickformat": ".0%"}}
    charts.add("distribution", data, layout, "The outermost 0.5% a side is counted in the first and last bin.")


def _reasons(charts: Charts, part: Part) -> None:
    """Fills by why they happened, by side."""
    reasons = np.unique(part.fills["reason"]).tolist()
    names = [event.FILL_REASON_NAMES.get(reason, f"reason {reason}").replace("_", " ") for reason in reasons]
    data = []
    for name, side, colour in (("buys", 1, "buy"), ("sells", -1, "sell")):
        mine = part.fills["reason"][part.fills["side"] == side]
        counts = [int((mine == reason).sum()) for reason in reasons]
        data.append(_bars(name, names, counts, colour) | {"orientation": "h", "x": counts, "y": names})
    layout = {"barmode": "stack", "xaxis": {"title": {"text": "fills"}}, "yaxis": {"automargin": True}}
    charts.add("reasons", data, layout | {"hovermode": "closest"})


def _bars(name: str, x: Any, y: Any, colour: str) -> Figure:
    return {"type": "bar", "name": name, "x": x, "y": y, "marker": {"color": f"${colour}"}}


def _latency(charts: Charts, part: Part) -> None:
    """Round trip of an order, and how long we waited to hear of a fill."""
    orders, fills = part.orders, part.fills
    spans = {
        "order to acknowledgement": (orders["acknowledged_ns"] - orders["placed_ns"])[orders["acknowledged_ns"] > 0],
        "fill to hearing of it": (fills["ts_ns"] - fills["ts_venue_ns"])[fills["ts_venue_ns"] > 0],
    }
    spans = {name: values / 1e6 for name, values in spans.items() if values.size}
    if not spans:
        return
    every = np.concatenate(list(spans.values()))
    low, high = min(0.0, float(every.min())), float(np.quantile(every, 0.995)) * 1.05
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    data = []
    for (name, values), colour in zip(spans.items(), ("accent", "sell")):
        counts = np.histogram(np.clip(values, low, edges[-1]), edges)[0]
        bars = _bars(name, charts.column("latency_bins", (edges[:-1] + edges[1:]) / 2), counts.tolist(), colour)
        data.append(bars | {"opacity": 0.8, "hovertemplate": "%{x:.2f} ms: %{y}<extra>" + name + "</extra>"})
    layout = {"barmode": "overlay", "bargap": 0, "xaxis": {"title": {"text": "ms"}}, "yaxis": {"title": {"text": "count"}}}
    charts.add("latency", data, layout, "What is slower than the 99.5th percentile is counted in the last bin.")


def _queue(charts: Charts, part: Part) -> None:
    """What lay ahead of an order when it began to rest, against how long it rested and how that ended."""
    rested = part.orders[(part.orders["ahead_lots"] >= 0) & (part.orders["acknowledged_ns"] > 0)]
    lot = float(part.instrument.lot)
    data = []
    for name, status, colour in (("filled", FILLED, "gain"), ("cancelled", CANCELLED, "muted")):
        mine = rested[rested["status"] == status]
        mine = mine[thin_evenly(mine.size)]
        until = mine["first_fill_ns"] if status == FILLED else mine["ended_ns"]
        if mine.size:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    # One lot is added because an empty queue has no place on a logarithmic axis.
                    "x": charts.column(f"{name}_ahead", (mine["ahead_lots"] + 1) * lot),
                    "y": charts.column(f"{name}_s", np.maximum((until - mine["acknowledged_ns"]) / 1e9, 1e-3)),
                    "marker": {"color": f"${colour}", "size": 5, "opacity": 0.65},
                    "hovertemplate": "ahead %{x}, after %{y:.3f} s<extra>" + name + "</extra>",
                }
            )
    if data:
        unit = part.instrument.base or "quantity"
        layout = {
            "xaxis": {"type": "log", "title": {"text": f"ahead at acknowledgement + 1 lot, {unit}"}},
            "yaxis": {"type": "log", "title": {"text": "s until filled or cancelled"}},
            "hovermode": "closest",
        }
        charts.add("queue", data, layout)

"""The charts of how orders were executed: mark-outs, queue, latency, and why fills happened."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinnacle import event
from pinnacle.report.columns import Charts, Figure, line
from pinnacle.report.figures import HORIZON_NAMES, Part, edge_bps
from pinnacle.report.ledger import CANCELLED, FILLED
from pinnacle.report.thin import thin_evenly

_BINS = 60


def execution_charts(charts: Charts, part: Part) -> None:
    """Add every one of them that the instrument's data allows."""
    if part.fills.size:
        _markouts(charts, part)
        _distribution(charts, part)
        _reasons(charts, part)
    if part.orders.size:
        _latency(charts, part)
        _queue(charts, part)


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
        line(name, x, charts.column(f"spread_{name}", np.histogram(np.clip(values, low, high), edges)[0] / values.size),
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
    layout = {
        "barmode": "overlay",
        "bargap": 0,
        "xaxis": {"title": {"text": "ms"}},
        "yaxis": {"title": {"text": "count"}},
    }
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
            "xaxis": {"type": "log", "dtick": 1, "title": {"text": f"ahead at acknowledgement + 1 lot, {unit}"}},
            "yaxis": {"type": "log", "dtick": 1, "title": {"text": "s until filled or cancelled"}},
            "hovermode": "closest",
        }
        charts.add("queue", data, layout)

"""The charts of the chosen one: its equity over the windows, the walk-forward, and how far to believe it."""

from __future__ import annotations

import numpy as np

from pinnacle.report.columns import Charts, Figure, line
from pinnacle.report.study import Curve, Study
from pinnacle.report.study_charts import short
from pinnacle.report.study_files import Judgement, Stability
from pinnacle.report.study_words import WINDOWS, parameter, sharpes
from pinnacle.report.thin import thin
from pinnacle.report.wording import NOT_MEASURED, share

_COLOURS = {"train": "muted", "validation": "accent", "test": "sell"}
_BINS = 30


def equity_chart(charts: Charts, study: Study) -> None:
    """Equity of the chosen one over train, validation and test, each beginning where the one before ended."""
    curve, windows = study.curve, study.made.windows
    if curve is None:
        return
    data, level = [], 0.0
    names = [name for name in WINDOWS if (curve.label == name).any()]
    names.sort(key=lambda name: int(curve.ts_ns[curve.label == name][0]))
    for name in names:
        mine = curve.label == name
        equity = curve.equity_quote[mine] + level
        kept = thin(equity, most=1_200)
        t = charts.column(f"{name}_t", _ms(curve.ts_ns[mine][kept]))
        data.append(line(name, t, charts.column(f"{name}_equity", equity[kept]), _COLOURS[name], width=2))
        known = equity[np.isfinite(equity)]
        level = float(known[-1]) if known.size else level
    borders = [(name, windows[name].first_ns, windows[name].stop_ns) for name in WINDOWS if name in windows]
    shapes, marks = _borders(borders)
    # Above the plot is the legend, which says the same where a window is too short for its name.
    marks = [mark | {"y": 0} for mark in marks]
    layout = {"yaxis": {"title": {"text": f"equity, {study.made.quote}"}}, "shapes": shapes, "annotations": marks,
              "xaxis": _dates(), "margin": {"l": 8, "r": 8, "t": 22, "b": 8}}  # fmt: skip
    charts.add("equity", data, layout)


def walk_chart(charts: Charts, study: Study) -> None:
    """Equity of the walk-forward, fold after fold, each with the parameters that the time before it chose."""
    curve = study.walk
    if curve is None:
        return
    kept = thin(curve.equity_quote, most=1_500)
    t = charts.column("walk_t", _ms(curve.ts_ns[kept]))
    data = [line("walk-forward", t, charts.column("walk", curve.equity_quote[kept]), "sell", width=2)]
    borders = [(str(fold.number), fold.test.first_ns, fold.test.stop_ns) for fold in study.made.folds]
    shapes, marks = _borders(borders or _from_curve(curve))
    if marks:
        marks[0] |= {"text": f"fold {marks[0]['text']}"}
    layout = {"yaxis": {"title": {"text": f"equity, {study.made.quote}"}}, "shapes": shapes, "annotations": marks,
              "xaxis": _dates(), "showlegend": False, "margin": {"l": 8, "r": 8, "t": 22, "b": 8}}  # fmt: skip
    charts.add("walk", data, layout)


def _from_curve(curve: Curve) -> list[tuple[str, int, int]]:
    """The folds' stretches as their points show them."""
    spans = [(fold, curve.ts_ns[curve.label == fold]) for fold in np.unique(curve.label).tolist()]
    return [(str(fold), int(ts_ns[0]), int(ts_ns[-1])) for fold, ts_ns in spans]


def _borders(spans: list[tuple[str, int, int]]) -> tuple[list[Figure], list[Figure]]:
    """Upright lines at both ends of each span of time, and its name above its middle."""
    shapes = [
        {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": ts, "x1": ts,
         "line": {"color": "$muted", "width": 1, "dash": "dot"}}
        for ts in sorted({end // 1_000_000 for _, first, stop in spans for end in (first, stop)})
    ]  # fmt: skip
    marks = [
        {"x": (first + stop) // 2_000_000, "y": 1, "yref": "paper", "yanchor": "bottom", "text": name,
         "showarrow": False, "font": {"size": 11, "color": "$muted"}}
        for name, first, stop in spans
    ]  # fmt: skip
    return shapes, marks


def _ms(ts_ns: np.ndarray) -> np.ndarray:
    """Times as plotly's date axis takes them: whole milliseconds since 1970 UTC, kept exactly."""
    return np.asarray(ts_ns // 1_000_000, dtype=np.int64)


def _dates() -> Figure:
    return {"type": "date", "title": {"text": "UTC"}, "nticks": 6, "tickangle": 0}


def stability_chart(charts: Charts, study: Study) -> None:
    """For each parameter the range in which the result holds, as a part of what was searched."""
    told = [one for one in study.found.stability or [] if one.param in study.made.space]
    if not told:
        return
    told = told[::-1]
    names = [one.param for one in told]
    held = [_held(study, one) for one in told]
    ends = np.array([[np.nan, np.nan] if one is None else one for one in held])
    value = [float(study.made.space[one.param].place(one.value)) for one in told]
    kept = [NOT_MEASURED if one.share_of_best is None else share(one.share_of_best) for one in told]
    said = [
        f"{one.param} {parameter(one.value)}<br>holds from {parameter(one.low)} to {parameter(one.high)}"
        f"<br>neighbours a step away along it keep {text} of the result"
        for one, text in zip(told, kept)
    ]
    data: list[Figure] = [
        {"type": "bar", "orientation": "h", "name": "searched", "y": names, "x": [1.0] * len(names), "width": 0.1,
         "marker": {"color": "$rule"}, "hoverinfo": "skip"},
        {"type": "bar", "orientation": "h", "name": "the result holds", "y": names,
         "base": charts.column("stable_low", ends[:, 0]), "x": charts.column("stable_width", ends[:, 1] - ends[:, 0]),
         "width": 0.42, "marker": {"color": "$accent", "opacity": 0.55}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "markers", "name": "chosen", "x": charts.column("stable_at", np.array(value)),
         "y": names, "text": said, "hovertemplate": "%{text}<extra></extra>",
         "marker": {"color": "$sell", "symbol": "star", "size": 14, "line": {"color": "$paper", "width": 1}}},
    ]  # fmt: skip
    marks = [
        {"xref": "paper", "x": 1, "xanchor": "left", "y": name, "text": text, "showarrow": False, "xshift": 6,
         "font": {"size": 11, "color": "$muted"}}
        for name, text in zip(names, kept)
    ]  # fmt: skip
    layout = {
        "xaxis": {"range": [-0.03, 1.03], "tickvals": [0, 0.5, 1], "ticktext": ["lowest", "middle", "highest"],
                  "title": {"text": "place in the searched range"}, "zeroline": False},
        "yaxis": {"type": "category", "tickfont": {"size": 11}}, "annotations": marks, "barmode": "overlay",
        "hovermode": "closest", "margin": {"l": 8, "r": 58, "t": 6, "b": 8},
    }  # fmt: skip
    charts.add("stability", data, layout)


def _held(study: Study, one: Stability) -> list[float] | None:
    if one.low is None or one.high is None:
        return None
    return [float(study.made.space[one.param].place(end)) for end in (one.low, one.high)]


def sharpe_chart(charts: Charts, study: Study, judgement: Judgement) -> None:
    """The chosen one's Sharpe ratio by window, beside what luck alone would give the best."""
    bars = {name: value for name, value in sharpes(study).items() if value is not None}
    if not bars:
        return
    data: list[Figure] = [
        {"type": "bar", "name": "chosen", "x": list(range(len(bars))), "text": list(bars), "textposition": "none",
         "y": charts.column("sharpes", np.array(list(bars.values()))), "marker": {"color": "$accent"}, "width": 0.5,
         "hovertemplate": "%{text}: %{y:.2f} a year<extra></extra>"}
    ]  # fmt: skip
    ends = [-0.5, len(bars) - 0.5]
    if judgement.expected_max_sharpe is not None:
        luck = float(short(np.array([judgement.expected_max_sharpe]))[0])
        data.append({"type": "scatter", "mode": "lines", "name": f"best of pure luck, {luck:,.2f}", "x": ends,
                     "y": [luck, luck], "line": {"color": "$loss", "width": 1.6, "dash": "dash"},
                     "hoverinfo": "skip"})  # fmt: skip
    layout = {
        "xaxis": {"tickvals": list(range(len(bars))), "ticktext": list(bars), "range": ends, "zeroline": False},
        "yaxis": {"title": {"text": "Sharpe ratio, a year"}}, "hovermode": "closest",
    }  # fmt: skip
    charts.add("sharpe", data, layout)


def logit_chart(charts: Charts, judgement: Judgement) -> None:
    """Where the best in sample ended out of sample, over all ways to halve the data."""
    values = np.array(judgement.logits or [], dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return
    most = max(1.0, float(np.abs(values).max()))
    # An even number of bins, so that zero is a border and no bar is of both kinds.
    edges = np.linspace(-most, most, _BINS + 1)
    shares = np.histogram(values, edges)[0] / values.size
    middle = (edges[1:] + edges[:-1]) / 2
    data = []
    for name, pick, colour in (("below the median", middle < 0, "loss"), ("above it", middle > 0, "gain")):
        data.append(
            {"type": "bar", "name": name, "x": charts.column(f"logit_{colour}", middle[pick]),
             "y": charts.column(f"share_{colour}", shares[pick]),
             "marker": {"color": f"${colour}"}, "hovertemplate": "%{x:.2f}: %{y:.1%}<extra></extra>"}
        )  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "logit of the rank out of sample"}}, "bargap": 0.05, "barmode": "overlay",
        "yaxis": {"title": {"text": "share of the ways"}, "tickformat": ".0%"}, "hovermode": "closest",
    }  # fmt: skip
    charts.add("logit", data, layout)

"""The charts of the parameters: which made a difference, where the good values lie, and which go together.

A pair is drawn as medians over cells, and a cell without a complete trial stays blank: nothing is interpolated there.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from pinnacle.report.columns import Figure, line
from pinnacle.report.importance import Effect
from pinnacle.report.study_charts import StudyCharts, short
from pinnacle.report.study_files import Axis
from pinnacle.report.study_words import objective_name, parameter
from pinnacle.report.thin import thin_evenly

_LINES_MAX, _CELLS_MAX, _PAIRS_MAX, _EFFECTS_MAX = 200, 12, 4, 14
# Told apart by every common kind of colour blindness, and by lightness alone.
_SCALE = "Viridis"
# The tools of a chart lie at its upper right, and would lie on its best dots and on the scale of colours.
_MARGIN = {"l": 8, "r": 8, "t": 30, "b": 8}


def importance_chart(charts: StudyCharts, found: list[Effect]) -> None:
    """The share of the values' ranks that each parameter and the strongest pairs explain."""
    pairs = [effect for effect in found if len(effect.params) == 2 and effect.share >= 0.01][:5]
    bars = sorted([e for e in found if len(e.params) == 1][: _EFFECTS_MAX - len(pairs)] + pairs, key=lambda e: e.share)
    if not bars:
        return
    data = []
    for name, size, colour in (("alone", 1, "accent"), ("a pair, beyond its two alone", 2, "sell")):
        mine = [effect for effect in bars if len(effect.params) == size]
        if mine:
            told = [f"rank correlation {e.direction:+.2f}" if e.direction == e.direction else "" for e in mine]
            data.append(
                {"type": "bar", "orientation": "h", "name": name, "x": [round(e.share, 4) for e in mine],
                 "y": [" × ".join(e.params) for e in mine], "marker": {"color": f"${colour}"}, "text": told,
                 "textposition": "none", "hovertemplate": "%{y}: %{x:.1%}<br>%{text}<extra></extra>"}
            )  # fmt: skip
    order = [" × ".join(effect.params) for effect in bars]
    layout = {
        "xaxis": {"title": {"text": "share of the variance explained"},
                  "tickformat": ".0%", "rangemode": "tozero", "nticks": 6},
        "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": order, "tickfont": {"size": 11}},
        "hovermode": "closest", "barmode": "overlay",
    }  # fmt: skip
    charts.add("importance", data, layout)


def slice_charts(charts: StudyCharts) -> list[tuple[str, str]]:
    """The value against each parameter; gives each chart's name and its parameter."""
    trials, at = charts.study.trials, charts.shown
    if not at.size:
        return []
    limits, note = charts.value_range(charts.values[charts.complete])
    made = []
    for k, (name, axis) in enumerate(charts.study.made.space.items()):
        x, y = charts.column(f"p{k}", axis.drawn(trials.params[name][at])), charts.column("v", charts.values[at])
        data = [charts.dots(x, y, at)]
        if charts.chosen is not None:
            data += charts.star(
                float(axis.drawn(trials.params[name][charts.chosen])), float(charts.values[charts.chosen])
            )
        layout: Figure = {"xaxis": _axis(name, axis), "yaxis": {"title": {"text": charts.label}},
                          "hovermode": "closest", "showlegend": False, "margin": _MARGIN}  # fmt: skip
        if limits:
            layout["yaxis"]["range"] = limits
        charts.add(f"slice{k}", data, layout, note if k == 0 else "")
        made.append((f"slice{k}", name))
    return made


def _axis(name: str, axis: Axis) -> Figure:
    told: Figure = {"title": {"text": name}}
    if axis.choices is not None:
        ticks = list(range(len(axis.choices)))
        labels = [parameter(choice) for choice in axis.choices]
        return told | {"tickvals": ticks, "ticktext": labels, "range": [-0.5, len(ticks) - 0.5]}
    if axis.log:
        low, high = float(np.log10(axis.low)), float(np.log10(axis.high))
        told |= {"dtick": 1} if high - low >= 2 else {"nticks": 6}
        return told | {"type": "log", "range": [low - 0.04 * (high - low), high + 0.04 * (high - low)]}
    aside = max(0.04 * (axis.high - axis.low), 0.5 if axis.whole else 0.0)
    return told | {"nticks": 6, "range": [axis.low - aside, axis.high + aside]}


def pair_charts(charts: StudyCharts, found: list[Effect]) -> list[tuple[str, str]]:
    """The value over pairs of parameters, the most telling pairs first; gives each chart's name and its title."""
    if charts.complete.size < 2:
        return []
    pairs = [effect.params for effect in sorted(found, key=lambda e: -e.together) if len(effect.params) == 2]
    pairs = pairs or list(combinations(charts.study.made.space, 2))
    made = []
    for k, (one, other) in enumerate(pairs[:_PAIRS_MAX]):
        _pair(charts, k, one, other)
        made.append((f"pair{k}", f"{one} and {other}"))
    return made


def _pair(charts: StudyCharts, k: int, one: str, other: str) -> None:
    """Median value by cell, blank where no trial is complete, and the trials on it."""
    trials, space, at = charts.study.trials, charts.study.made.space, charts.shown
    values = charts.values[charts.complete]
    low, high = np.quantile(values, (0.1, 1.0) if charts.objective.sign > 0 else (0.0, 0.9))
    names = list(space)
    across, up = (space[name].drawn(trials.params[name]) for name in (one, other))
    x = charts.column(f"p{names.index(one)}", across[at])
    y = charts.column(f"p{names.index(other)}", up[at])
    colours = {"colorscale": _SCALE, "reversescale": charts.objective.sign < 0}
    bar = {"title": {"text": charts.label, "side": "right", "font": {"size": 11, "color": "$muted"}}, "thickness": 12,
           "tickfont": {"size": 11, "color": "$muted"}}  # fmt: skip
    ends = {} if high <= low else {"min": float(low), "max": float(high)}
    data: list[Figure] = []
    cells = min(_CELLS_MAX, int((values.size / 4) ** 0.5))
    dot: Figure = {"size": 4, "opacity": 0.55, "color": "$paper", "line": {"color": "$ink", "width": 0.7}}
    if cells >= 3:
        x_edges, y_edges = _edges(space[one], across, cells), _edges(space[other], up, cells)
        at_x, at_y = _cell(x_edges, across[charts.complete]), _cell(y_edges, up[charts.complete])
        medians, numbers = cell_medians(at_y, at_x, values, (y_edges.size - 1, x_edges.size - 1))
        data.append(
            {"type": "heatmap", "x": short(x_edges).tolist(), "y": short(y_edges).tolist(),
             "z": charts.column(f"cells{k}", medians), "customdata": numbers.tolist(), "name": "median",
             "colorbar": bar, **colours, **{f"z{key}": value for key, value in ends.items()}, "showlegend": False,
             "hovertemplate": "median %{z:.4~g} over %{customdata} trials<extra></extra>", "hoverongaps": False}
        )  # fmt: skip
    else:
        dot = {"size": 9, "opacity": 1, "color": charts.column("v", charts.values[at]), "colorbar": bar,
               "line": {"color": "$ink", "width": 0.7}, **colours,
               **{f"c{key}": value for key, value in ends.items()}}  # fmt: skip
    data.append(charts.dots(x, y, at, **dot))
    if charts.chosen is not None:
        data += charts.star(float(across[charts.chosen]), float(up[charts.chosen]))
    layout = {"xaxis": _axis(one, space[one]), "yaxis": _axis(other, space[other]), "hovermode": "closest",
              "showlegend": False, "margin": _MARGIN}  # fmt: skip
    charts.add(f"pair{k}", data, layout)


def cell_medians(
    row: np.ndarray, column: np.ndarray, values: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The median of the values in each cell, NaN where there is none, and how many there are.

    row, column: int64[n], the cell of each value.  A mean would show a single ruinous trial and hide its neighbours.
    """
    medians, numbers = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    cells = row * shape[1] + column
    for cell in np.unique(cells).tolist():
        mine = values[cells == cell]
        medians.flat[cell], numbers.flat[cell] = np.median(mine), mine.size
    return medians, numbers


def _cell(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, edges.size - 2)


def _edges(axis: Axis, drawn: np.ndarray, cells: int) -> np.ndarray:
    """Rising borders of the cells of an axis; each choice, and each of few whole numbers, has a cell of its own.

    drawn: float64[n], where the trials lie.  A search that went on from another may hold values beside today's range.
    """
    if axis.choices is not None:
        return np.arange(len(axis.choices) + 1) - 0.5
    low, high = min(axis.low, float(drawn.min())), max(axis.high, float(drawn.max()))
    if axis.whole and not axis.log and high - low < cells:
        return np.arange(low, high + 2) - 0.5
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    edges = np.geomspace(low, high, cells + 1) if axis.log else np.linspace(low, high, cells + 1)
    edges[0], edges[-1] = low, high
    return np.asarray(edges)


def parallel_chart(charts: StudyCharts) -> None:
    """Every shown trial as a line over all parameters and its value; the best tenth stands out."""
    trials, space = charts.study.trials, charts.study.made.space
    if not charts.complete.size:
        return
    sign = charts.objective.sign
    ranked = charts.complete[np.argsort(-sign * charts.values[charts.complete], kind="stable")]
    tenth = max(1, ranked.size // 10)
    best, rest = ranked[:tenth], ranked[tenth:]
    best = best[thin_evenly(best.size, _LINES_MAX // 3)]
    rest = rest[thin_evenly(rest.size, _LINES_MAX)]
    limits, _ = charts.value_range(charts.values[charts.complete])
    ends = limits or [float(charts.values[charts.complete].min()), float(charts.values[charts.complete].max())]
    last = Axis(ends[0], ends[1])
    places = np.column_stack(
        [*(axis.place(trials.params[name]) for name, axis in space.items()), last.place(charts.values)]
    )
    groups = [("the rest", rest, "muted", 0.28, 1.0), (f"best {tenth:,}", best, "accent", 0.75, 1.3)]
    if charts.chosen is not None:
        groups.append(("chosen", np.array([charts.chosen]), "sell", 1.0, 3.0))
    width = places.shape[1]
    data = []
    for k, (name, at, colour, opacity, thick) in enumerate(groups):
        if at.size:
            y = np.column_stack([places[at], np.full(at.size, np.nan)]).ravel()
            x = np.tile(np.append(np.arange(width, dtype=np.float64), np.nan), at.size)
            data.append(line(name, charts.column(f"par_x{k}", x), charts.column(f"par_y{k}", np.round(y, 3)), colour,
                             width=thick, opacity=opacity, hoverinfo="skip"))  # fmt: skip
    ranges = [(parameter(axis.low), parameter(axis.high)) for axis in space.values()]
    ranges.append((parameter(ends[0]), parameter(ends[1])))
    marks = [
        {"x": k, "y": y, "text": text, "showarrow": False, "yshift": shift, "font": {"size": 10, "color": "$muted"}}
        for k, pair in enumerate(ranges)
        for y, shift, text in ((0, -10, pair[0]), (1, 10, pair[1]))
    ]
    layout = {
        "xaxis": {"tickvals": list(range(width)), "ticktext": [*space, objective_name(charts.objective.name)],
                  "range": [-0.3, width - 0.7], "zeroline": False, "tickangle": 0 if width <= 5 else 20},
        "yaxis": {"showticklabels": False, "range": [-0.1, 1.1], "showgrid": False, "zeroline": False},
        "annotations": marks, "hovermode": False,
    }  # fmt: skip
    note = (
        ""
        if best.size + rest.size == ranked.size
        else f"{best.size + rest.size:,} of {ranked.size:,} trials are drawn."
    )
    charts.add("parallel", data, layout, note)

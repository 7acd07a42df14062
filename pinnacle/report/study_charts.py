"""The charts of what a search tried and what came of it: by trial, in sample against out of sample, the front.

At most TRIALS_MAX complete trials are drawn as dots, the best of them first; every figure is computed from all.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import msgspec
import numpy as np

from pinnacle.report.columns import Charts, Figure, line
from pinnacle.report.importance import rank_correlation
from pinnacle.report.study import Study
from pinnacle.report.study_files import Objective
from pinnacle.report.study_words import compared, objective_label, objective_name
from pinnacle.report.thin import thin_evenly

TRIALS_MAX, BEST_KEPT = 500, 100
_MARKS_MAX = 250


class StudyCharts(Charts):
    """The figures of one objective.  chosen: index of the best trial, or None.  shown: indices drawn as dots.

    The dots are the same for every objective, so that what they say is kept once.
    """

    def __init__(self, study: Study, objective: Objective, prefix: str, known: dict[bytes, str] | None = None) -> None:
        """known: references of the page's columns by their content, filled as columns are kept."""
        super().__init__(prefix)
        self.study, self.objective = study, objective
        self._known = {} if known is None else known
        self.complete = study.trials.where("complete")
        self.values = study.trials.values[objective.name]
        self.label = objective_label(objective, study.made.quote)
        wanted = study.made.objectives
        evenly = self.complete[thin_evenly(self.complete.size, TRIALS_MAX - BEST_KEPT)]
        few = self.complete.size <= TRIALS_MAX
        kept = [evenly]
        for one in wanted:
            order = np.argsort(-one.sign * study.trials.values[one.name][self.complete], kind="stable")
            kept.append(self.complete[order[: BEST_KEPT // len(wanted)]])
        kept.append(np.flatnonzero(np.isin(study.trials.number, study.found.pareto)))
        self.shown = self.complete if few else np.unique(np.concatenate(kept))
        best = study.found.best
        self.chosen = None if best is None else int(np.flatnonzero(study.trials.number == best.number)[0])
        said = f"Dots show {self.shown.size:,} of {self.complete.size:,} complete trials, the best among them."
        self.dots_note = "" if few else said

    def column(self, name: str, values: Any) -> str:
        """Keep a column and say its reference: five significant digits, null where a float is not finite."""
        values = np.asarray(values)
        if values.dtype.kind == "f":
            values = short(values)
        return self.keep(name, values.tolist())

    def keep(self, name: str, listed: list[Any]) -> str:
        """Keep a column as it is, once for the whole page, and say its reference."""
        content = msgspec.json.encode(listed)
        if content not in self._known:
            self._known[content] = key = f"{self.prefix}.{name}"
            self.columns[key] = listed
        return f"@{self._known[content]}"

    def dots(self, x: str, y: str, at: np.ndarray, name: str = "trials", **marker: Any) -> Figure:
        """A trace of trials whose hover says all their parameters and values."""
        told = self.told(at)
        return {
            "type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, **told,
            "marker": {"color": "$accent", "size": 6 if at.size > 30 else 9, "opacity": 0.6} | marker,
        }  # fmt: skip

    def star(self, x: float | None, y: float | None) -> list[Figure]:
        """The chosen trial's mark, nothing where it has no place."""
        if self.chosen is None or x is None or y is None or not np.isfinite((x, y)).all():
            return []
        return [
            {"type": "scatter", "mode": "markers", "name": "chosen", "x": [x], "y": [y],
             "marker": {"color": "$sell", "symbol": "star", "size": 15, "line": {"color": "$paper", "width": 1}},
             **self.told(np.array([self.chosen]))}
        ]  # fmt: skip

    def told(self, at: np.ndarray) -> Figure:
        """What the hover of these trials says, rows kept once."""
        trials = self.study.trials
        names = {**{objective_name(k): v for k, v in trials.values.items()}, **trials.params}
        rows = short(np.column_stack([column[at] for column in names.values()])).tolist()
        numbered = [[number, *row] for number, row in zip(trials.number[at].tolist(), rows)]
        reference = self.keep(f"told{len(self.columns)}", numbered)
        lines = [f"{name} %{{customdata[{k}]:.5~g}}" for k, name in enumerate(names, start=1)]
        template = "<b>trial %{customdata[0]:d}</b><br>" + "<br>".join(lines) + "<extra></extra>"
        return {"customdata": reference, "hovertemplate": template}

    def value_range(self, values: np.ndarray) -> tuple[list[float] | None, str]:
        """The part of an axis to show where a few ruinous values would flatten the rest, and a note of that."""
        values = values[np.isfinite(values)] * self.objective.sign
        if values.size < 20:
            return None, ""
        low, top, least = float(np.quantile(values, 0.1)), float(values.max()), float(values.min())
        if top - low <= 0 or (top - low) * 4 > top - least:
            return None, ""
        ends = np.array([low - 0.6 * (top - low), top + 0.08 * (top - low)])
        outside = int((values < ends[0]).sum())
        ends = np.sort(ends * self.objective.sign)
        return ends.tolist(), f"{outside:,} trials lie outside what is shown; a double click shows them."


def short(values: np.ndarray, digits: int = 5) -> np.ndarray:
    """Floats of so many significant digits; what is not finite becomes NaN."""
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    size = np.where((values == 0) | np.isnan(values), 1.0, np.abs(values))
    # Beyond this a power of ten has no inverse, and no axis needs it.
    exponent = np.clip(digits - 1 - np.floor(np.log10(size)), -290, 290)
    scale = 10.0**exponent
    return np.where(exponent >= 0, np.round(values * scale) / scale, np.round(values * scale) * 10.0**-exponent)


def history_chart(charts: StudyCharts) -> None:
    """Value by trial, the best so far, and below it where trials were pruned or failed."""
    trials, one = charts.study.trials, charts.objective
    data: list[Figure] = []
    limits, note = charts.value_range(charts.values[charts.complete])
    if charts.complete.size:
        at = charts.shown
        data.append(charts.dots(charts.column("n", trials.number[at]), charts.column("v", charts.values[at]), at))
        best = np.maximum.accumulate(one.sign * charts.values[charts.complete]) * one.sign
        steps = np.flatnonzero(np.concatenate(([True], np.diff(best) != 0)))
        x = np.append(trials.number[charts.complete[steps]], trials.number[-1])
        y = charts.column("so_far", np.append(best[steps], best[-1]))
        data.append(line("best so far", charts.column("so_far_n", x), y, "gain", width=2, line={"shape": "hv"},
                         hovertemplate="best so far %{y:.5~g}<extra></extra>"))  # fmt: skip
        if charts.chosen is not None:
            data += charts.star(float(trials.number[charts.chosen]), float(charts.values[charts.chosen]))
    rest = [state for state in ("pruned", "failed") if trials.where(state).size]
    for state, colour, symbol in (("pruned", "muted", "line-ns"), ("failed", "loss", "x-thin")):
        every = trials.where(state)
        if every.size:
            at = every[thin_evenly(every.size, _MARKS_MAX)]
            if at.size < every.size:
                note += f" Marks show {at.size:,} of {every.size:,} {state} trials."
            data.append(_stopped(charts, state, at, colour, symbol, len(rest) - 1 - rest.index(state)))
    layout: Figure = {
        "xaxis": {"title": {"text": "trial"}, "anchor": "y2" if rest else "y"},
        "yaxis": {"title": {"text": charts.label}, "domain": [0.2 if rest else 0, 1]},
        "hovermode": "closest",
    }
    if limits:
        layout["yaxis"]["range"] = limits
    if rest:
        # Numbers instead of categories: of those plotly leaves out names where it is short of room.
        layout["yaxis2"] = {
            "domain": [0, 0.14 if charts.complete.size else 1], "zeroline": False, "range": [-0.6, len(rest) - 0.4],
            "tickvals": list(range(len(rest))), "ticktext": rest[::-1],
        }  # fmt: skip
    if not charts.complete.size:
        layout["yaxis"] = {"visible": False}
    charts.add("history", data, layout, f"{charts.dots_note} {note}".strip())


def _stopped(charts: StudyCharts, state: str, at: np.ndarray, colour: str, symbol: str, height: int) -> Figure:
    trials = charts.study.trials
    told = charts.told(at)
    return {
        "type": "scatter", "mode": "markers", "name": state, "yaxis": "y2", **told,
        "x": charts.column(f"{state}_n", trials.number[at]), "y": [height] * at.size,
        "text": charts.column(f"{state}_why", [_inert(text) for text in trials.reason[at].tolist()]),
        "hovertemplate": told["hovertemplate"].replace("</b>", f"</b>, {state}: %{{text}}", 1),
        "marker": {"symbol": symbol, "size": 7, "color": f"${colour}", "line": {"width": 1.2, "color": f"${colour}"}},
    }  # fmt: skip


def _inert(text: str) -> str:
    """A sentence out of a file, without what plotly would read as markup, and not longer than a hover can show."""
    text = text if len(text) <= 100 else f"{text[:97]}..."
    return text.replace("&", "&amp;").replace("<", "&lt;")


def sample_chart(charts: StudyCharts) -> float | None:
    """Validation against train, with the diagonal; gives the rank correlation over all trials that have both."""
    both = compared(charts.study, charts.objective)
    if both is None:
        return None
    train, validation, label = both
    known = charts.complete[np.isfinite(train[charts.complete]) & np.isfinite(validation[charts.complete])]
    if not known.size:
        return None
    at = charts.shown[np.isin(charts.shown, known)]
    found = rank_correlation(train[known], validation[known])
    data = [charts.dots(charts.column("in", train[at]), charts.column("out", validation[at]), at)]
    x_range, x_note = charts.value_range(train[known])
    y_range, y_note = charts.value_range(validation[known])
    # The axes are those of the dots, whatever part of the diagonal they leave out.
    x_range, y_range = x_range or _padded(train[known]), y_range or _padded(validation[known])
    ends = [min(x_range[0], y_range[0]), max(x_range[1], y_range[1])]
    data.append({"type": "scatter", "mode": "lines", "name": "as in sample", "x": ends, "y": ends, "hoverinfo": "skip",
                 "line": {"color": "$muted", "width": 1.2, "dash": "dash"}})  # fmt: skip
    if charts.chosen is not None:
        data += charts.star(float(train[charts.chosen]), float(validation[charts.chosen]))
    layout: Figure = {
        "xaxis": {"title": {"text": f"train: {label}"}, "nticks": 7, "range": x_range},
        "yaxis": {"title": {"text": f"validation: {label}"}, "range": y_range},
        "hovermode": "closest",
    }
    charts.add("sample", data, layout, f"{charts.dots_note} {x_note or y_note}".strip())
    return None if np.isnan(found) else found


def _padded(values: np.ndarray) -> list[float]:
    """A range with room around all values."""
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - room, high + room]


def pareto_charts(charts: StudyCharts) -> list[tuple[str, str]]:
    """Each two objectives against each other with the front; gives each chart's name and title."""
    made, trials = [], charts.study.trials
    front = np.flatnonzero(np.isin(trials.number, charts.study.found.pareto))
    if not charts.complete.size:
        return []
    for k, (one, other) in enumerate(list(combinations(charts.study.made.objectives, 2))[:3]):
        x, y = trials.values[one.name], trials.values[other.name]
        at, on = charts.shown, front[np.argsort(x[front], kind="stable")]
        shown = charts.column(f"front_x{k}", x[at]), charts.column(f"front_y{k}", y[at])
        data = [charts.dots(*shown, at, color="$muted", opacity=0.4)]
        if on.size:
            name = f"not beaten in all: {on.size:,}"
            mark = charts.dots(
                charts.column(f"on_x{k}", x[on]), charts.column(f"on_y{k}", y[on]), on, name, size=8, opacity=1
            )
            # With three objectives the front is a surface, and a line through its shadow would mean nothing.
            joined = {"mode": "lines+markers", "line": {"color": "$accent", "width": 1.2, "dash": "dot"}}
            data.append(mark | (joined if len(charts.study.made.objectives) == 2 else {}))
        if charts.chosen is not None:
            data += charts.star(float(x[charts.chosen]), float(y[charts.chosen]))
        quote = charts.study.made.quote
        more = {1: "more is better", -1: "less is better"}
        layout = {
            "xaxis": {"title": {"text": f"{objective_label(one, quote)} ({more[one.sign]})"}},
            "yaxis": {"title": {"text": f"{objective_label(other, quote)} ({more[other.sign]})"}},
            "hovermode": "closest",
        }
        charts.add(f"pareto{k}", data, layout)
        made.append((f"pareto{k}", f"{objective_name(one.name).capitalize()} against {objective_name(other.name)}"))
    return made

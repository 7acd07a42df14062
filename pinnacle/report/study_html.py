"""report.html of a study: one file with everything it needs inside it, drawn from the study's folder alone.

Its look, its script and its content policy are those of a run's report.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from pinnacle.log.manifest import replacing
from pinnacle.report import study_sections as text
from pinnacle.report.columns import Charts
from pinnacle.report.html import POLICY, plotly_js
from pinnacle.report.importance import TRIALS_MIN, effects
from pinnacle.report.script import SCRIPT
from pinnacle.report.study import Study, read_study
from pinnacle.report.study_charts import StudyCharts, history_chart, pareto_charts, sample_chart
from pinnacle.report.study_curves import equity_chart, logit_chart, sharpe_chart, stability_chart, walk_chart
from pinnacle.report.study_slices import importance_chart, pair_charts, parallel_chart, slice_charts
from pinnacle.report.study_words import objective_name
from pinnacle.report.style import STYLE

HTML_NAME = "report.html"
_STYLE = """
.verdict { margin: 20px 0 0; padding: 16px 20px; background: var(--paper); border: 1px solid var(--rule);
  border-left: 6px solid var(--loss); border-radius: 10px; }
.verdict.yes { border-left-color: var(--gain); }
.verdict .answer { font-size: 13px; font-weight: 650; text-transform: uppercase; letter-spacing: .06em;
  color: var(--loss); }
.verdict.yes .answer { color: var(--gain); }
.verdict .said { font-size: 21px; font-weight: 600; letter-spacing: -.01em; margin: 2px 0 0; overflow-wrap: anywhere; }
.verdict ul { margin: 10px 0 0; padding-left: 20px; color: var(--muted); }
.words td:last-child { text-align: left; color: var(--muted); min-width: 220px; }
.words th, .words td:nth-child(2) { white-space: nowrap; padding-right: 18px; }
.times th, .times td { white-space: nowrap; }
.reasons th:first-child { overflow-wrap: anywhere; min-width: 200px; }
.panel + .panel, .grid + .grid { margin-top: 0; }
main > h2 + .grid, section > .grid { margin-bottom: 14px; }
@media (max-width: 900px) { .modebar-container { display: none; } .verdict .said { font-size: 18px; } }
@media (max-width: 600px) { .words:not(.times) tr { display: grid; grid-template-columns: 1fr auto; }
  .words:not(.times) td:last-child { grid-column: 1 / -1; border-top: 0; padding-top: 0; } }
"""
# A chart to be shown: where it is, its name, its title, what it says.
_Shown = tuple[Charts, str, str, str]
_IMPORTANCE = (
    "Analysis of variance on the ranks of the values, over bins of equally many trials; epsilon squared, so that a "
    "parameter without effect is near 0. Where the search hardly looked, it cannot tell."
)
_BELIEF = (
    "Out of sample against in sample. On the dashed line nothing was lost; without skill the dots are a round cloud."
)


def write_study_report(folder: str | Path) -> Path:
    """Write report.html into a study's folder, at once or not at all, and say where it is.

    The same folder gives the same bytes.  Raises OperatorError where a file is missing, HistoryError where one is
    damaged, DiskError where the page cannot be written.
    """
    folder = Path(folder)
    page = render(read_study(folder))
    with replacing(folder / HTML_NAME) as sink:
        for piece in page:
            sink.write(piece)
    return folder / HTML_NAME


def render(study: Study) -> list[bytes]:
    """The page in pieces, to be written one after the other.  Raises OperatorError where plotly is not installed."""
    body, charts = _views(study)
    payload: dict[str, Any] = {
        "columns": {name: values for one in charts for name, values in one.columns.items()},
        "figures": {name: figure for one in charts for name, figure in one.figures.items()},
        "timed": [],
    }
    # "<" cannot end the script element early when it is written as an escape, which JSON allows inside its strings.
    data = msgspec.json.encode(payload).replace(b"<", b"\\u003c")
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(study.made.strategy.name)} – optimize report</title>\n<style>{STYLE}{_STYLE}</style>\n"
        f"</head>\n<body>\n{text.header(study)}\n<main>\n{text.verdict(study)}\n{text.warnings(study)}\n"
        f"{body}\n{text.details(study)}\n<footer>{_FOOTER}</footer>\n</main>\n"
    )
    return [
        head.encode(),
        b'<script type="application/json" id="payload">', data, b"</script>\n<script>",
        plotly_js().read_bytes(), b"</script>\n<script>", SCRIPT.encode(), b"</script>\n</body>\n</html>\n",
    ]  # fmt: skip


_FOOTER = (
    "A year has 365 days; the risk-free rate is 0. Amounts are after fees, the position at the mid. "
    "Every trial: trials.parquet; every equity curve: curves.parquet; figures by name: summary.json; "
    "the chosen parameters as a config: best.toml."
)


def _views(study: Study) -> tuple[str, list[Charts]]:
    """One view with everything, and one more with the parameters of each further objective."""
    own = Charts("c")
    first, *more = study.made.objectives
    known: dict[bytes, str] = {}
    main = StudyCharts(study, first, "o0", known)
    body = text.tiles(study) + _grid("Result", _result(study, own) + text.metrics_table(study))
    body += _grid("How far to believe it", _belief(study, own, main))
    body += _grid("Walk-forward", _walk(study, own))
    body += _grid("Search", _search(study, main))
    body += _parameters(study, main)
    body += _grid("What did not complete", text.reasons_table(study))
    views, charts = [("all", f"All, by {objective_name(first.name)}", body)], [own, main]
    for number, objective in enumerate(more, start=1):
        one = StudyCharts(study, objective, f"o{number}", known)
        views.append((f"o{number}", f"Parameters by {objective_name(objective.name)}", _further(study, one)))
        charts.append(one)
    buttons = "".join(
        f'<button type="button" data-view="{key}" aria-pressed="false">{escape(label)}</button>'
        for key, label, _ in views
    )
    nav = f'<nav class="views" aria-label="Objectives">{buttons}</nav>\n' if more and main.complete.size else ""
    shown = views if nav else views[:1]
    sections = [
        f'<section class="view" data-view="{key}" aria-label="{escape(label)}">{inside}</section>'
        for key, label, inside in shown
    ]
    return nav + "\n".join(sections), charts[: len(shown) + 1]


def _result(study: Study, own: Charts) -> str:
    equity_chart(own, study)
    stability_chart(own, study)
    said = "Of the chosen one after fees; each window begins flat and is drawn from where the one before ended."
    out = text.best_table(study) + _panel(own, "equity", "Equity of the chosen one", said, wide=True, size="tall")
    said = "Where neighbours keep the result; at the right: what those a step away along it keep of it."
    height = 90 + 34 * len(study.made.space)
    return out + _panel(own, "stability", "Stability around the best", said, wide=True, height=height)


def _belief(study: Study, own: Charts, main: StudyCharts) -> str:
    judged = study.found.judgement
    if judged is not None:
        sharpe_chart(own, study, judged)
        logit_chart(own, judged)
    panels: list[_Shown] = [
        (own, "sharpe", "Sharpe ratio by window", "The chosen one against what the best shows by pure luck.")
    ]
    said = "Ways to halve the data by where the best of one half ended in the other; left of 0 it was below the median."
    panels.append((own, "logit", "Probability of overfitting", said))
    return text.judgement_table(study) + _several(panels + _sample(main))


def _sample(charts: StudyCharts) -> list[_Shown]:
    found = sample_chart(charts)
    told = "" if found is None else f" Their rank correlation is {found:+.2f}."
    return [(charts, "sample", "In sample and out of sample", _BELIEF + told)]


def _walk(study: Study, own: Charts) -> str:
    walk_chart(own, study)
    said = "Each stretch was traded with what the time before it chose; nothing of it was seen by the choice."
    return _panel(own, "walk", "Equity of the walk-forward", said, wide=True, size="tall") + text.walk_table(study)


def _search(study: Study, main: StudyCharts) -> str:
    if not study.trials.number.size:
        return '<div class="panel wide"><p>No trial was made.</p></div>'
    history_chart(main)
    said = f"{objective_name(main.objective.name).capitalize()} on the train window by trial."
    height = 0 if main.complete.size else 170
    out = _panel(main, "history", "Optimisation history", said, wide=True, size="tall", height=height)
    fronts = pareto_charts(main)
    said = "Each dot is a trial on the train window; on the front none is better in one without being worse in another."
    return out + _several([(main, name, title, said) for name, title in fronts]) + text.front_table(study)


def _parameters(study: Study, charts: StudyCharts) -> str:
    """Importance, slices, pairs and parallel coordinates of one objective."""
    if not charts.complete.size:
        return ""
    at = charts.complete
    found = effects({name: column[at] for name, column in study.trials.params.items()}, charts.values[at])
    importance_chart(charts, found)
    inside = _importance(charts, found)
    parallel_chart(charts)
    said = "Each line is a trial; each upright a parameter from its lowest to its highest value, the last the result."
    least = 110 * (len(study.made.space) + 1)
    inside += _panel(charts, "parallel", "Parallel coordinates", said, wide=True, size="tall", width=least)
    out = _grid(f"Parameters, by {objective_name(charts.objective.name)}", inside)
    said = "Median on the train window by cell; brighter is better. A blank cell has no complete trial."
    pairs = [(charts, name, escape(title), said) for name, title in pair_charts(charts, found)]
    out += _grid("Pairs of parameters", _several(pairs))
    slices = [(charts, name, escape(param), "") for name, param in slice_charts(charts)]
    return out + _grid("Slices: the value against each parameter", _several(slices))


def _importance(charts: StudyCharts, found: list[Any]) -> str:
    if not found:
        why = f"It needs {TRIALS_MIN} complete trials whose values differ; there are {charts.complete.size:,}."
        return f'<div class="panel wide"><h3>Importance of the parameters</h3><p>Not measured. {why}</p></div>'
    bars = len(charts.figures[f"{charts.prefix}-importance"]["layout"]["yaxis"]["categoryarray"])
    height = max(240, 80 + 28 * bars)
    chart = _panel(charts, "importance", "Importance of the parameters", _IMPORTANCE, height=height)
    return chart + text.effects_table(charts.objective, found)


def _further(study: Study, charts: StudyCharts) -> str:
    history_chart(charts)
    said = f"{objective_name(charts.objective.name).capitalize()} on the train window by trial."
    out = _panel(charts, "history", "Optimisation history", said, wide=True, size="tall")
    return _grid("Search", out + _several(_sample(charts))) + _parameters(study, charts)


def _grid(heading: str, inside: str) -> str:
    return f'<h2>{escape(heading)}</h2>\n<div class="grid">{inside}</div>\n' if inside else ""


def _several(panels: Sequence[_Shown]) -> str:
    """Panels side by side, those that there are; an odd one at the end takes the whole width."""
    there = [panel for panel in panels if f"{panel[0].prefix}-{panel[1]}" in panel[0].figures]
    last = len(there) - 1 if len(there) % 2 else -1
    return "".join(
        _panel(charts, name, title, said, wide=k == last, size="tall" if k == last else "")
        for k, (charts, name, title, said) in enumerate(there)
    )


def _panel(
    charts: Charts,
    name: str,
    title: str,
    said: str,
    *,
    wide: bool = False,
    size: str = "",
    height: int = 0,
    width: int = 0,
) -> str:
    """One chart with its title and what it says, nothing where it was not drawn.  width: px; beyond it is scrolled."""
    key = f"{charts.prefix}-{name}"
    if key not in charts.figures:
        return ""
    style = "".join(f"{what}:{px}px;" for what, px in (("height", height), ("min-width", width)) if px)
    note = f'<p class="note">{escape(charts.notes[key])}</p>' if key in charts.notes else ""
    label = escape(f"{title}: {said}" if said else title)
    under = f"<p>{escape(said)}</p>" if said else ""
    return (
        f'<div class="panel{" wide" if wide else ""}{" sideways" if width else ""}"><h3>{title}</h3>{under}'
        f'<div class="chart{" " + size if size else ""}" id="{key}" role="img" aria-label="{label}" '
        f'style="{style}"></div>{note}</div>'
    )

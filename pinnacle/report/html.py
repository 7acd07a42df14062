"""report.html: one file that shows a run, with everything it needs inside it.

plotly.js is copied into the page from the plotly package without importing it, and a content policy in the page forbids
every request, so that a report can be opened anywhere and tells nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.report import wording
from pinnacle.report.charts import instrument_charts, total_charts
from pinnacle.report.columns import Charts
from pinnacle.report.figures import Part
from pinnacle.report.script import SCRIPT
from pinnacle.report.sections import details, facts, instrument_tables, model_rows, total_tables, warnings
from pinnacle.report.simulated import market_view, read_facts
from pinnacle.report.source import Recorded
from pinnacle.report.style import STYLE
from pinnacle.report.tiles import tiles

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
# Charts of an instrument, in the order of the page: title, what it says, whether it is wide.
_TIMED = ("price", "inventory", "equity", "split")
_WIDE = ("price", "inventory")
_RESULT = (
    (
        "equity",
        "Equity and drawdown",
        "Cash plus position at the mid, after fees and funding; below: distance to the peak.",
    ),
    ("split", "Where the result comes from", "Spread captured + inventory + fees + funding = net, at every moment."),
)
_TRADING = (
    (
        "price",
        "Price, quotes and fills",
        "Our fills at the time we heard of them. Drag to zoom; time axes move together.",
    ),
    ("inventory", "Inventory", "The position, exact at every fill; dashed: its limit."),
)
_QUALITY = (
    ("markouts", "Mark-out by horizon", "side × (mid a while after the fill − fill price); positive is good for us. "
     "Bars: one standard error, as if fills were independent."),
    ("distribution", "Distribution of mark-outs", "Share of fills by mark-out at each horizon."),
    ("queue", "Queue position and outcome", "Each dot is an order that rested: what lay ahead, how long it rested."),
    ("reasons", "Fills by reason", "Why the venue filled us."),
    ("latency", "Latency", "From decision to acknowledgement heard, and from execution to hearing of it."),
)  # fmt: skip


def render(run: Recorded, parts: Sequence[Part], summary: dict[str, Any]) -> list[bytes]:
    """The page in pieces, to be written one after the other.  Raises OperatorError where plotly is not installed."""
    views, charts = _views(run, parts, summary)
    payload = {
        "columns": {name: values for one in charts for name, values in one.columns.items()},
        "figures": {name: figure for one in charts for name, figure in one.figures.items()},
        "timed": [name for one in charts for name in one.figures if name.rsplit("-", 1)[1] in _TIMED],
    }
    # "<" cannot end the script element early when it is written as an escape, which JSON allows inside its strings.
    data = msgspec.json.encode(payload).replace(b"<", b"\\u003c")
    title = escape(f"{summary['run']['strategy'] or 'run'} – {summary['run']['mode']} report")
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{_header(run, summary)}\n<main>\n{warnings(summary)}\n{views}\n{details(run, summary)}\n"
        f"<footer>{_footer(summary)}</footer>\n</main>\n"
    )
    return [
        head.encode(),
        b'<script type="application/json" id="payload">', data, b"</script>\n<script>",
        plotly_js().read_bytes(), b"</script>\n<script>", SCRIPT.encode(), b"</script>\n</body>\n</html>\n",
    ]  # fmt: skip


def plotly_js() -> Path:
    """plotly.min.js of the installed plotly package; importing the package would cost more than the whole report."""
    spec = find_spec("plotly")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path
    raise OperatorError(
        "report.html needs plotly's package data; install plotly again, or write the report without html"
    )


def _views(run: Recorded, parts: Sequence[Part], summary: dict[str, Any]) -> tuple[str, list[Charts]]:
    """The views of a page and their charts: totals where several instruments traded, those, then the others."""
    views: list[tuple[str, str, str]] = []
    charts: list[Charts] = []
    active = [part for part in parts if part.traded]
    for number, (currency, total) in enumerate(summary["total"].items()):
        of = [part for part in active if part.instrument.name in total["instruments"]]
        if len(of) > 1:
            charts.append(total_charts(of, number))
            body = tiles(total) + _panels(charts[-1], "Result", _RESULT) + total_tables(total, summary)
            views.append((f"t{number}", f"All in {currency}", body))
    for part in active + [part for part in parts if not part.traded]:
        mine = summary["instruments"][part.instrument.name]
        charts.append(instrument_charts(part))
        body = tiles(mine)
        for heading, panels in (("Result", _RESULT), ("Trading", _TRADING), ("Execution", _QUALITY)):
            body += _panels(charts[-1], heading, panels)
        views.append(
            (f"i{part.index}", part.instrument.name, body + instrument_tables(mine, model_rows(run, part.index)))
        )
    told = read_facts(run.run_dir)
    if told is not None:
        body, market = market_view(told)
        charts.append(market)
        views.append(("market", "The generated market", body))
    buttons = "".join(
        f'<button type="button" data-view="{key}" aria-pressed="false">{escape(label)}</button>'
        for key, label, _ in views
    )
    nav = f'<nav class="views" aria-label="Instruments">{buttons}</nav>\n' if len(views) > 1 else ""
    sections = "\n".join(
        f'<section class="view" data-view="{key}" aria-label="{escape(label)}">{body}</section>'
        for key, label, body in views
    )
    return nav + sections, charts


def _panels(charts: Charts, heading: str, panels: Sequence[tuple[str, str, str]]) -> str:
    """The charts of one heading that there are; an odd one at the end takes the whole width."""
    there = [panel for panel in panels if f"{charts.prefix}-{panel[0]}" in charts.figures]
    if not there:
        return ""
    out = []
    for k, (name, title, says) in enumerate(there):
        key = f"{charts.prefix}-{name}"
        wide = " wide" if name in _WIDE or (len(there) % 2 and k == len(there) - 1) else ""
        size = " main" if name == "price" else " tall" if name in ("equity", "split") else ""
        note = f'<p class="note">{escape(charts.notes[key])}</p>' if key in charts.notes else ""
        out.append(
            f'<div class="panel{wide}"><h3>{title}</h3><p>{says}</p>'
            f'<div class="chart{size}" id="{key}" role="img" aria-label="{escape(title)}: {escape(says)}"></div>'
            f"{note}</div>"
        )
    return f'<h2>{heading}</h2>\n<div class="grid">' + "\n".join(out) + "</div>\n"


def _header(run: Recorded, summary: dict[str, Any]) -> str:
    what, span = summary["run"], summary["span"]
    names = ", ".join(part.name for part in run.instruments)
    bad = "" if what["status"] == "complete" else " bad"
    when = (
        f"{wording.moment(span['first_ns'])} – {wording.moment(span['last_ns'])} UTC ({wording.span(span['length_s'])})"
    )
    rows = [("data", when), *facts(run, summary)]
    listed = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in rows)
    return (
        f"<header><div><h1>{escape(what['strategy'] or 'run')} <small>on {escape(names)}</small>"
        f'<span class="badge">{escape(what["mode"])}</span>'
        f'<span class="badge{bad}">{escape(what["status"])}</span></h1>'
        f'<dl class="facts">{listed}</dl></div></header>'
    )


def _footer(summary: dict[str, Any]) -> str:
    every = summary["span"]["sample_interval_s"]
    sampled = f"Equity sampled every {wording.span(every)}. " if every else ""
    return (
        f"{sampled}A year has {summary['span']['year']}; the risk-free rate is 0. "
        "Figures by name and unit: summary.json; "
        "every fill, order and sample: fills.parquet, orders.parquet, equity.parquet."
    )

"""The generated market of a simulation beside the real one: its view of the page, and its part of the summary.

Everything is in the run's facts.json, which the run wrote; nothing is measured here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from pinnacle.errors import DiskError
from pinnacle.report.columns import Charts, Figure
from pinnacle.report.sections import table

FACTS_NAME = "facts.json"
# Chart, title, what it says, the facts by the beginning of their names, whether its values span decades.
_CHARTS: tuple[tuple[str, str, str, str, bool], ...] = (
    ("spread", "Spread", "Ticks, weighted by the time it stood; the share of time at one tick.", "spread.", True),
    ("depth", "Depth profile", "Lots resting per tick, by distance in ticks from the other side's best.", "depth.at_",
     True),
    ("gaps", "Time between market orders", "Rate, mean, variation and quantiles of the gaps.", "gap.", True),
    ("returns", "Autocorrelation of returns", "Of moves of the mid over 0.1 s, by lag.", "returns.autocorrelation_",
     False),
    ("tails", "Tails of returns", "Hill's exponent and excess kurtosis of moves, by horizon.", "tail.", True),
    ("clustering", "Volatility clustering", "Autocorrelation of the size of moves over 1 s, by lag.",
     "clustering.autocorrelation_", False),
    ("signature", "Signature plot", "Realised variance of the mid per s, ticks², by sampling interval.",
     "signature.variance_", False),
    ("impact", "Impact against size", "Mean move of the mid in a taker's direction over 1 s, ticks, by fifths of size.",
     "impact.size_fifth_", False),
    ("signs", "Memory of trade signs", "Autocorrelation of the direction of market orders, by lag in orders.",
     "signs.autocorrelation_", False),
    ("maker", "What a maker loses", "Half-spread in ticks; of it, what the mid takes back after a fill, by horizon.",
     "maker.", False),
)  # fmt: skip
# Charts whose values are of different kinds, so that no line joins them.
_APART = ("spread", "gaps", "tails", "maker")


def read_facts(run_dir: Path) -> dict[str, Any] | None:
    """facts.json of a run, None where there is none.  Raises DiskError for one that is not what a run writes."""
    path = run_dir / FACTS_NAME
    if not path.exists():
        return None
    try:
        told = json.loads(path.read_text())
        _ = told["generated"], told["real"]["facts"], told["comparison"], told["claimed"], told["note"], told["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DiskError(f"{path}: is not what a simulation writes ({error}); restore it, or remove it") from None
    return dict(told)


def summary_of(told: dict[str, Any]) -> dict[str, Any]:
    """What the summary says: counts, and each fact with its verdict."""
    comparison = told["comparison"]
    found: dict[str, Any] = {
        "model": told["model"], "fitted_on": told["fitted_on"], "note": told["note"],
        "in_range": None, "out_of_range": None, "claimed": None, "claimed_in_range": None, "facts": {},
    }  # fmt: skip
    generated = told["generated"]["facts"] if told["generated"] else {}
    rows = comparison["facts"] if comparison else {}
    for name, one in generated.items():
        row = rows.get(name, {})
        found["facts"][name] = {
            "generated": one["value"], "generated_error": one["se"], "real": row.get("real"), "unit": one["unit"],
            "in_range": row.get("in_range"), "claimed": name in told["claimed"],
        }  # fmt: skip
    if comparison:
        known = [rows[name]["in_range"] for name in told["claimed"] if rows[name]["in_range"] is not None]
        found |= {
            "in_range": comparison["in_range"], "out_of_range": comparison["out_of_range"], "claimed": len(known),
            "claimed_in_range": sum(known),
        }  # fmt: skip
    return found


def market_view(told: dict[str, Any]) -> tuple[str, Charts]:
    """The view's HTML and its charts."""
    charts = Charts("market")
    if told["generated"] is None:
        return f"<h2>The generated market</h2>\n<p>{escape(told['note'])}</p>\n", charts
    for name, _, _, start, decades in _CHARTS:
        _chart(charts, name, told, start, decades)
    panels = "\n".join(
        f'<div class="panel"><h3>{title}</h3><p>{says}</p>'
        f'<div class="chart" id="market-{name}" role="img" aria-label="{escape(title)}: {escape(says)}"></div></div>'
        for name, title, says, _, _ in _CHARTS
        if f"market-{name}" in charts.figures
    )
    body = f'<h2>The generated market beside the real one</h2>\n<p class="lead">{escape(_verdict(told))}</p>\n'
    body += f'<div class="grid">{panels}</div>\n'
    head = ("fact", "real", "generated", "unit", "rule", "verdict")
    return body + table("Stylised facts, one by one; * claimed by the model", head, _rows(told)), charts


def _verdict(told: dict[str, Any]) -> str:
    """One paragraph: what was compared with what, and how it came out."""
    said = summary_of(told)
    if told["comparison"] is None:
        return (
            f"Model {told['model']}. The config carries no facts of a real market, so there is nothing to compare with."
        )
    return (
        f"Model {told['model']}, fitted on {told['fitted_on'] or 'an unnamed market'}. Of {said['claimed']} facts that "
        f"this model claims and that both markets show, {said['claimed_in_range']} are in range; of all facts "
        f"{said['in_range']} are and {said['out_of_range']} are not. Error bars are two standard errors. The generated "
        "market is as the engine heard it, with its own orders in it."
    )


def _chart(charts: Charts, name: str, told: dict[str, Any], start: str, decades: bool) -> None:
    """Real and generated beside each other with two standard errors."""
    generated, real = told["generated"]["facts"], told["real"]["facts"]
    names = [fact for fact in generated if fact.startswith(start) and _shown(fact)]
    data: list[Figure] = []
    for label, facts, colour in (("real", real, "muted"), ("generated", generated, "accent")):
        there = [fact for fact in names if fact in facts and facts[fact]["value"] is not None]
        there = [fact for fact in there if not decades or facts[fact]["value"] > 0]
        if not there:
            continue
        errors = [2.0 * (facts[fact]["se"] or 0.0) for fact in there]
        values = [facts[fact]["value"] for fact in there]
        if decades:
            errors = [min(error, 0.9 * value) for error, value in zip(errors, values)]
        data.append(
            {
                "type": "scatter", "mode": "markers" if name in _APART else "lines+markers",
                "name": label, "x": charts.column(f"{name}_{label}_x", [_label(fact, start) for fact in there]),
                "y": charts.column(f"{name}_{label}_y", values),
                "error_y": {"type": "data", "array": charts.column(f"{name}_{label}_e", errors), "color": f"${colour}",
                            "thickness": 1.2, "width": 3},
                "marker": {"color": f"${colour}", "size": 8, "symbol": "diamond" if label == "real" else "circle"},
                "line": {"color": f"${colour}", "width": 1.5},
            }
        )  # fmt: skip
    if data:
        order = [_label(fact, start) for fact in names]
        axis = {"type": "category", "categoryorder": "array", "categoryarray": order}
        layout = {"xaxis": axis, "yaxis": {"type": "log"} if decades else {}, "hovermode": "x unified"}
        charts.add(name, data, layout)


def _shown(fact: str) -> bool:
    """Gaps of limit orders and cancels are in the table alone: recordings batch them."""
    return not fact.startswith("gap.") or fact.endswith("_market")


def _label(fact: str, start: str) -> str:
    """What is left of a fact's name under its chart's title."""
    return fact.removeprefix(start).removesuffix("_market").replace("_", " ")


def _rows(told: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    generated, real = told["generated"]["facts"], told["real"]["facts"]
    compared = told["comparison"]["facts"] if told["comparison"] else {}
    for name, one in generated.items():
        row = compared.get(name)
        verdict = "not compared"
        if row is not None and row["in_range"] is not None:
            verdict = "in range" if row["in_range"] else "out of range"
            if row["in_range"] and not row["sure"]:
                verdict = "within the error"
        mark = " *" if name in told["claimed"] else ""
        rule = row["rule"].split(":")[0] if row else ""
        yield name + mark, _number(real.get(name)), _number(one), one["unit"], rule, verdict


def _number(one: dict[str, Any] | None) -> str:
    if one is None or one["value"] is None:
        return "–"
    error = f" ± {one['se']:.2g}" if one["se"] else ""
    return f"{one['value']:.4g}{error}"

"""The parts of the report page that are text: facts of the run, warnings, tables, and what is folded away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pinnacle.report.metrics import instrument_config
from pinnacle.report.source import Recorded
from pinnacle.report.wording import NOT_MEASURED, amount, count, mean_and_error, plain, quantity, share, span

Rows = Iterable[tuple[str, str]]


def facts(run: Recorded, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What a reader must know of a run at once."""
    what = summary["run"]
    found = [("strategy", f"{what['strategy_sha256'][:12]}")] if what["strategy_sha256"] else []
    found += [("code", what["code_hash"][:12]), ("run", what["run_id"][:12]), ("seed", str(what["seed"]))]
    if what["fingerprint"]:
        found.append(("state", what["fingerprint"]))
    models = [dict(model_rows(run, index)) for index in range(len(run.instruments))]
    for section in ("queue", "latency", "fees"):
        said = {model.get(section, "") for model in models}
        if any(said):
            found.append((section, said.pop() if len(said) == 1 else "by instrument, see its table"))
    return found + [(key, _value(value)) for key, value in what["params"].items()]


# Settings of a latency model that have an effect, by model; a model that is not here shows them all.
_DELAYS = ("entry_ms", "cancel_ms", "response_ms")
_OF_LATENCY = {
    "constant": _DELAYS,
    "recorded": ("file",),
    "feed": (*_DELAYS, "entry_multiplier", "cancel_multiplier", "response_multiplier"),
}


def model_rows(run: Recorded, index: int) -> list[tuple[str, str]]:
    """The models and limits of one instrument, as its config has them; what has no effect is left out."""
    config = instrument_config(run, index)
    # Orders in a generated market have a real place in a real queue.
    modelled = () if run.manifest.mode == "simulate" else ("queue",)
    rows = []
    for section in (*modelled, "latency", "fills", "fees", "funding", "risk", "params"):
        settings = config.get(section)
        if isinstance(settings, dict) and not (section == "funding" and not any(settings.values())):
            said = {key: value for key, value in settings.items() if value not in (None, "", {})}
            model = said.pop("model", None)
            if section == "latency" and model in _OF_LATENCY:
                said = {key: value for key, value in said.items() if key in _OF_LATENCY[model]}
            if section == "risk" and "rate_max" not in said:
                said.pop("rate_window_ms", None)
            words = [] if model is None else [str(model)]
            rows.append((section, ", ".join(words + [f"{key} {_value(value)}" for key, value in said.items()])))
    return [(key, value) for key, value in rows if value]


def warnings(summary: dict[str, Any]) -> str:
    """The summary's warnings and alerts as a list, nothing where there are none."""
    said = list(summary["warnings"])
    said += [
        f"The engine raised {number:,} alerts: {name.replace('_', ' ')}." for name, number in summary["alerts"].items()
    ]
    items = "".join(f"<li>{escape(text)}</li>" for text in said)
    return f'<div class="warnings" role="note"><ul>{items}</ul></div>' if items else ""


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names its rows; texts are escaped here."""
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(text)}</td>" for text in row[1:]) + "</tr>"
        for row in rows
    )
    header = f"<thead><tr>{top}</tr></thead>" if top else ""
    inside = f"<caption>{escape(caption)}</caption>{header}<tbody>{body}</tbody>"
    return f'<div class="panel scroll"><table>{inside}</table></div>'


def instrument_tables(figures: dict[str, Any], models: Rows) -> str:
    """The tables of one instrument."""
    out = [_pnl(figures), _orders(figures), _markouts(figures), _latency(figures), _queue(figures), _quoting(figures)]
    if models := list(models):
        out.append(table("Models and limits", (), models))
    return '<h2>Tables</h2>\n<div class="grid">' + "".join(out) + "</div>\n"


def total_tables(total: dict[str, Any], summary: dict[str, Any]) -> str:
    """The tables of a total: its own, and its instruments side by side."""
    rows = []
    for name in total["instruments"]:
        mine = summary["instruments"][name]
        pnl = mine["pnl"]
        fees = None if pnl["fees"] is None else -pnl["fees"]
        money = (pnl["net"], pnl["spread"], pnl["inventory"], fees, pnl["funding"])
        marked = plain(mine["markouts"]["5s"]["all"]["mean_bps"], 3, True)
        held = quantity(mine["inventory"]["final_qty"])
        rows.append((name, *(amount(value, True) for value in money), count(mine["fills"]["count"]), marked, held))
    head = ("instrument", "net", "spread", "inventory", "fees", "funding", "fills", "5 s mark-out, bps", "position")
    both = table(f"Instruments, {total['currency']}", head, rows).replace("panel scroll", "panel scroll wide")
    shared = _pnl(total) + _orders(total) + _markouts(total) + _latency(total)
    return f'<h2>Tables</h2>\n<div class="grid">{both}{shared}</div>\n'


def _pnl(figures: dict[str, Any]) -> str:
    pnl, risk = figures["pnl"], figures["risk"]
    fees = None if pnl["fees"] is None else -pnl["fees"]
    rows = [
        ("spread captured", amount(pnl["spread"], True)),
        ("inventory", amount(pnl["inventory"], True)),
        ("gross", amount(pnl["gross"], True)),
        ("fees", amount(fees, True)),
        ("funding", amount(pnl["funding"], True)),
        ("net", amount(pnl["net"], True)),
        ("net, exact", pnl["exact"].get("net", NOT_MEASURED)),
        ("Sharpe ratio a year", plain(risk["sharpe"], 2)),
        ("its standard error", plain(risk["sharpe_standard_error"], 2)),
        ("Sortino ratio a year", plain(risk["sortino"], 2)),
        ("of changes over", f"{span(risk['ratio_interval_s'])}, {count(risk['ratio_changes'])} of them"),
        ("largest drawdown", amount(risk["drawdown_max_quote"])),
        ("longest time below a peak", span(risk["drawdown_longest_s"])),
    ]
    return table(f"Result, {figures['currency']}", (), rows)


def _orders(figures: dict[str, Any]) -> str:
    orders = figures["orders"]
    names = (
        "placed",
        "acknowledged",
        "filled",
        "filled_in_part",
        "cancelled",
        "expired",
        "rejected",
        "unknown",
        "open",
    )
    rows = [(name.replace("_", " "), count(orders[name])) for name in names]
    rows += [(f"expired: {_words(name)}", count(number)) for name, number in orders["expired_by_reason"].items()]
    rows += [(f"rejected: {_words(name)}", count(number)) for name, number in orders["rejected_by_reason"].items()]
    rows += [("cancels sent", count(orders["cancels_sent"])), ("cancels refused", count(orders["cancels_refused"]))]
    return table("Orders", (), rows)


def _markouts(figures: dict[str, Any]) -> str:
    captured = figures["fills"]["captured_spread"]
    rows = [_markout("at fill", "all", captured)]
    for horizon, sides in figures["markouts"].items():
        rows += [_markout(horizon, side, moments) for side, moments in sides.items()]
    return table("Mark-outs", ("horizon and side", "bps", f"{figures['currency']} a fill", "fills"), rows)


def _markout(horizon: str, side: str, moments: dict[str, Any]) -> tuple[str, ...]:
    in_quote = mean_and_error(moments["mean_quote"], moments["error_quote"], 4)
    return (
        f"{horizon}, {side}",
        mean_and_error(moments["mean_bps"], moments["error_bps"]),
        in_quote,
        count(moments["count"]),
    )


def _latency(figures: dict[str, Any]) -> str:
    names = {
        "round_trip": "order to acknowledgement", "entry": "order to venue",
        "response": "venue to acknowledgement heard", "cancel_round_trip": "cancel to answer",
        "fill_heard": "fill to hearing of it",
    }  # fmt: skip
    rows = [
        (
            names[name],
            *(plain(figure[key], 2) for key in ("min_ms", "median_ms", "p99_ms", "max_ms")),
            count(figure["count"]),
        )
        for name, figure in figures["latency"].items()
    ]
    return table("Latency, ms", ("", "least", "median", "99%", "most", "count"), rows)


def _queue(figures: dict[str, Any]) -> str:
    queue = figures["queue"]
    rows = [
        (f"{quantity(group['ahead_from_qty'])} to {quantity(group['ahead_to_qty'])}", count(group["orders"]),
         share(group["filled_share"]), span(group["time_to_fill_median_s"]))
        for group in queue["groups"]
    ]  # fmt: skip
    rows.append(("mean ahead", quantity(queue["ahead_mean_qty"]), "", ""))
    rows.append(("median time until filled", "", "", span(queue["time_to_fill"]["median_s"])))
    rows.append(("median time until ended unfilled", "", "", span(queue["time_unfilled"]["median_s"])))
    return table("Queue ahead when an order began to rest", ("ahead", "orders", "filled", "median wait"), rows)


def _quoting(figures: dict[str, Any]) -> str:
    quotes, held = figures["quotes"], figures["inventory"]
    rows = [
        ("two-sided", share(quotes["two_sided_share"])),
        ("at least one side", share(quotes["quoted_share"])),
        ("our spread, when two-sided", f"{quantity(quotes['spread_quote'])} ({plain(quotes['spread_bps'], 3)} bps)"),
        ("mean position", quantity(held["mean_qty"])),
        ("mean absolute position", quantity(held["mean_absolute_qty"])),
        ("largest position", quantity(held["max_absolute_qty"])),
        ("time at the limit", share(held["at_limit_share"])),
        ("position at the end", quantity(held["final_qty"])),
    ]
    return table("Quoting and inventory, weighted by time", (), rows)


def details(run: Recorded, summary: dict[str, Any]) -> str:
    """What identifies the run, its whole config and the strategy's text, folded."""
    manifest, what = run.manifest, summary["run"]
    rows = [("run", what["run_id"]), ("code", what["code_hash"]), ("strategy", what["strategy_sha256"])]
    rows += [("state after the last input", what["fingerprint"]), ("seed", str(what["seed"]))]
    rows += [(f"history {one['path']}", f"{one['sha256']} ({one['rows']:,} rows)") for one in what["histories"]]
    rows += [(key, str(getattr(manifest.versions, key))) for key in ("pinnacle", "numba", "numpy", "python", "cpu")]
    rows += [(f"records: {_words(name)}", count(number)) for name, number in what["records"].items()]
    out = [folded("Identity", listing(rows))]
    out.append(folded("Configuration", listing(flat(manifest.config))))
    if manifest.strategy and manifest.strategy.source:
        source = f"<pre>{escape(manifest.strategy.source)}</pre>"
        out.append(folded(f"Strategy, {Path(manifest.strategy.path).name}", source))
    return "<h2>Run</h2>\n" + "".join(out)


def folded(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary><div>{body}</div></details>\n"


def listing(rows: Rows) -> str:
    cells = "".join(
        f"<tr><td>{escape(key)}</td><td><code>{escape(value)}</code></td></tr>" for key, value in rows if value
    )
    return f"<table><tbody>{cells}</tbody></table>"


def flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """A config as dotted keys, in its own order."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        return [(path, _value(value))]
    return [row for key, inner in pairs for row in flat(inner, f"{path}.{key}" if path else str(key))]


def _value(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")

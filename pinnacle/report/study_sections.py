"""The parts of a study's page that are text: the verdict, tables, and how it was done."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from pinnacle.report.importance import Effect
from pinnacle.report.sections import flat, folded, listing, table
from pinnacle.report.study import Study
from pinnacle.report.study_files import Objective, Window
from pinnacle.report.study_words import (
    WINDOW_MEANINGS,
    WINDOWS,
    faults,
    judgement_rows,
    metric_rows,
    metric_text,
    objective_label,
    objective_name,
    parameter,
    place_words,
    rate_words,
    reasons,
    trials_words,
)
from pinnacle.report.tiles import card
from pinnacle.report.wording import NOT_MEASURED, amount, moment, plain, share, span

_REASONS_MAX, _FRONT_MAX = 20, 30


def header(study: Study) -> str:
    """What was searched, on what, and when."""
    made = study.made
    bad = "" if made.status == "complete" else " bad"
    ends = [end for window in made.windows.values() for end in (window.first_ns, window.stop_ns)]
    rows = [("trials", trials_words(study))]
    if ends:
        length = span((max(ends) - min(ends)) / 1e9)
        rows.insert(0, ("data", f"{moment(min(ends))} – {moment(max(ends))} UTC ({length})"))
    wanted = ", ".join(f"{objective_name(one.name)} ({one.direction}d)" for one in made.objectives)
    rows += [("wanted", wanted), ("sampler", made.sampler), ("seed", str(made.seed)), ("rate", rate_words(study))]
    listed = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in rows if value)
    return (
        f"<header><div><h1>{escape(made.strategy.name)} <small>on {escape(', '.join(made.instruments))}</small>"
        f'<span class="badge">optimize</span><span class="badge{bad}">{escape(made.status)}</span></h1>'
        f'<dl class="facts">{listed}</dl></div></header>'
    )


def verdict(study: Study) -> str:
    """Whether to trade it, first of all, and why."""
    told = study.found.verdict
    tone, answer = ("yes", "Trade") if told.trade else ("no", "Do not trade")
    items = "".join(f"<li>{escape(text)}</li>" for text in told.reasons)
    why = f"<ul>{items}</ul>" if items else ""
    return (
        f'<div class="verdict {tone}" role="status"><div class="answer">{answer}</div>'
        f'<div class="said">{escape(told.text)}</div>{why}</div>'
    )


def warnings(study: Study) -> str:
    """The summary's warnings as a list, nothing where there are none."""
    said = list(study.found.warnings)
    if study.made.status != "complete":
        said.insert(0, f"The study's status is '{study.made.status}': this page covers what its folder holds so far.")
    said += [text for text in faults(study) if text not in said]
    items = "".join(f"<li>{escape(text)}</li>" for text in said)
    return f'<div class="warnings" role="note"><ul>{items}</ul></div>' if items else ""


def tiles(study: Study) -> str:
    """The figures that are asked for first."""
    best, judged, quote = study.found.best, study.found.judgement, study.made.quote
    cards = []
    for name in WINDOWS:
        metrics = (
            None if best is None else {"train": best.train, "validation": best.validation, "test": best.test}[name]
        )
        net = (metrics or {}).get("net_quote")
        under = f"Sharpe {metric_text('sharpe', metrics)}, {metric_text('fills', metrics)} fills"
        cards.append(card(f"Net result, {name}", amount(net, True), quote, under if metrics else "not run", net))
    if judged is not None:
        cards.append(
            card("Deflated Sharpe", share(judged.deflated_sharpe), "", "that it is more than luck; 95% asked for")
        )
        cards.append(card("Overfitting (PBO)", share(judged.pbo), "", "50% is what chance gives"))
        cards.append(
            card("Rank correlation", plain(judged.rank_correlation, 2, True), "", "in sample to out of sample")
        )
    if study.found.walk_forward is not None:
        walk = study.found.walk_forward
        under = f"Sharpe {plain(walk.sharpe, 2)}, {len(walk.folds)} folds"
        cards.append(card("Walk-forward", amount(walk.net_quote, True), quote, under, walk.net_quote))
    told = study.found.study
    if told.candidates_per_s is not None:
        cards.append(card("Rate", f"{told.candidates_per_s:,.3g}", "candidates/s", span(told.seconds)))
    return f'<div class="cards">{"".join(cards)}</div>\n'


def best_table(study: Study) -> str:
    """The chosen parameters, where they lie in what was searched, and how far each can move."""
    best = study.found.best
    if best is None:
        return table("Best parameters", (), [("none", "no trial is complete, so there is nothing to choose")])
    held = {one.param: one for one in study.found.stability or []}
    rows = []
    for name, axis in study.made.space.items():
        one = held.get(name)
        known = one is not None and one.low is not None and one.high is not None
        range_ = f"{parameter(one.low)} to {parameter(one.high)}" if known and one else NOT_MEASURED
        kept = NOT_MEASURED if one is None else share(one.share_of_best)
        rows.append((name, parameter(best.params[name]), place_words(axis, best.params[name]), range_, kept))
    rows += [(name, parameter(value), "not searched", "", "") for name, value in study.made.fixed.items()]
    head = ("parameter", "best", "searched", "result holds from", "kept a step away")
    return table(f"Best parameters, trial {best.number:,}", head, rows).replace("panel scroll", "panel scroll wide")


def metrics_table(study: Study) -> str:
    """The chosen one in sample and out of sample, side by side."""
    best = study.found.best
    if best is None:
        return ""
    windows = [study.made.windows.get(name) for name in WINDOWS]
    lengths = ("length", *(NOT_MEASURED if one is None else span(one.length_s) for one in windows))
    groups = {"train": best.train, "validation": best.validation, "test": best.test}
    hourly = ["net result, " + study.made.quote + " an hour"]
    for window, metrics in zip(windows, groups.values()):
        net = (metrics or {}).get("net_quote")
        short = window is None or window.length_s <= 0 or net is None
        hourly.append(
            NOT_MEASURED if short or net is None or window is None else amount(net / window.length_s * 3600, True)
        )
    rows = [lengths, tuple(hourly), *metric_rows(study.made.quote, groups)]
    head = ("", "train: in sample", "validation: out of sample", "test: run once")
    return table("The chosen one in each window", head, rows).replace("panel scroll", "panel scroll wide")


def judgement_table(study: Study) -> str:
    """How far to believe it: each number with what it means."""
    if study.found.judgement is None:
        return ""
    rows = [(name, value, meaning) for name, value, meaning, _ in judgement_rows(study)]
    return table("What the numbers mean", (), rows).replace("panel scroll", "panel scroll wide words")


def effects_table(objective: Objective, found: list[Effect]) -> str:
    """The importance of each parameter as numbers, with the way it points."""
    rows = []
    for effect in found:
        if len(effect.params) == 1:
            direction = None if math.isnan(effect.direction) else round(effect.direction, 2) + 0.0
            rows.append((effect.params[0], share(effect.share), plain(direction, 2, True)))
    name = objective_name(objective.name)
    return (
        table(f"Importance for {name}", ("parameter", "share", f"rank correlation with {name}"), rows) if rows else ""
    )


def front_table(study: Study) -> str:
    """The trials of the Pareto front."""
    objectives, trials = study.made.objectives, study.trials
    if len(objectives) < 2 or not study.found.pareto:
        return ""
    index = {int(number): k for k, number in enumerate(trials.number.tolist())}
    shown = study.found.pareto[:_FRONT_MAX]
    rows = [
        (f"trial {number:,}", *(parameter(float(trials.values[one.name][index[number]])) for one in objectives),
         *(parameter(float(column[index[number]])) for column in trials.params.values()))
        for number in shown
    ]  # fmt: skip
    head = ("", *(objective_label(one, study.made.quote) for one in objectives), *trials.params)
    more = f", {len(shown)} of {len(study.found.pareto):,}" if len(shown) < len(study.found.pareto) else ""
    return table(f"Trials that none beats in every objective{more}", head, rows).replace("scroll", "scroll wide")


def walk_table(study: Study) -> str:
    """What each fold chose, and what became of it."""
    walk = study.found.walk_forward
    if walk is None:
        return ""
    quote = study.made.quote
    rows = [
        (f"fold {fold.number}", metric_text("net_quote", fold.train), metric_text("sharpe", fold.train),
         metric_text("net_quote", fold.test), metric_text("sharpe", fold.test), metric_text("fills", fold.test),
         *(parameter((fold.params or {}).get(name)) for name in study.made.space))
        for fold in walk.folds
    ]  # fmt: skip
    rows.append(
        ("all tests", "", "", amount(walk.net_quote, True), plain(walk.sharpe, 2), "", *[""] * len(study.made.space))
    )
    head = ("", f"train net, {quote}", "Sharpe", f"test net, {quote}", "Sharpe", "fills", *study.made.space)
    return table("Folds", head, rows).replace("panel scroll", "panel scroll wide times")


def reasons_table(study: Study) -> str:
    """Why trials ended early, by reason."""
    told = reasons(study)
    if not told:
        return ""
    rows = [(text, state, f"{number:,}", f"{first:,}") for state, text, number, first in told[:_REASONS_MAX]]
    if len(told) > _REASONS_MAX:
        rest = told[_REASONS_MAX:]
        rows.append((f"{len(rest):,} other reasons", "", f"{sum(number for _, _, number, _ in rest):,}", ""))
    head = ("reason, in the words of the first", "state", "trials", "first trial")
    return table("Trials that did not complete", head, rows).replace("panel scroll", "panel scroll wide reasons")


def details(study: Study) -> str:
    """How it was done: all that is needed to do it again, folded but for the windows and the space."""
    made = study.made
    windows = [(name, WINDOW_MEANINGS.get(name, ""), one) for name, one in made.windows.items()]
    for fold in made.folds:
        windows += [(f"fold {fold.number} train", "", fold.train), (f"fold {fold.number} test", "", fold.test)]
    rows = [(name, *_window(window), what) for name, what, window in windows]
    head = ("window", "from, UTC", "until, UTC", "length", "")
    out = ['<h2>How it was done</h2>\n<div class="grid">']
    out.append(table("Windows", head, rows).replace("panel scroll", "panel scroll wide words times"))
    out.append(table("Search", (), _settings(study)))
    space = [
        (name, place_words(axis, (axis.low + axis.high) / 2), _kind(axis.whole, axis.log, axis.step))
        for name, axis in made.space.items()
    ]
    out.append(table("Searched parameters", ("parameter", "range", "kind"), space) + "</div><br>\n")
    identity = [("code", made.code_hash), ("strategy", made.strategy.sha256), ("strategy file", made.strategy.path)]
    for one in made.histories:
        identity.append((f"history {one.path}", one.sha256 + ("" if one.rows is None else f" ({one.rows:,} rows)")))
    identity += [(key, str(value)) for key, value in made.versions.items()]
    out.append(folded("Identity", listing(identity)))
    out.append(folded("Configuration", listing(flat(made.config))))
    if made.strategy.source:
        title = f"Strategy, {Path(made.strategy.path).name or made.strategy.name}"
        out.append(folded(title, f"<pre>{escape(made.strategy.source)}</pre>"))
    return "".join(out)


def _window(window: Window) -> tuple[str, str, str]:
    return moment(window.first_ns), moment(window.stop_ns), span(window.length_s)


def _kind(whole: bool, log: bool, step: float | None) -> str:
    words = [text for text, said in (("whole", whole), ("logarithmic", log)) if said]
    return ", ".join(words + ([] if step is None else [f"step {parameter(step)}"])) or "continuous"


def _settings(study: Study) -> list[tuple[str, str]]:
    made, told = study.made, study.found.study
    rows = [
        ("sampler", made.sampler), ("pruner", made.pruner), ("seed", str(made.seed)),
        ("batch", "" if made.batch is None else f"{made.batch:,} candidates asked for at once"),
        ("lanes", "" if made.lanes is None else f"{made.lanes:,} candidates in one pass over the data"),
        ("equity steps", span(made.bucket_ns / 1e9) if made.bucket_ns else ""),
        ("trials", trials_words(study).partition(": ")[2]),
        ("trials of the folds", f"{study.fold_trials:,}" if study.fold_trials else ""),
        ("time", span(told.seconds) if told.seconds is not None else ""),
        ("rate", "" if told.candidates_per_s is None else f"{told.candidates_per_s:,.3g} candidates a second"),
        ("rows of data", "" if told.rows is None else f"{told.rows:,}"),
        ("started", made.started), ("ended", made.ended or ""),
    ]  # fmt: skip
    return [(key, value) for key, value in rows if value]

"""What a search found, on a terminal: the verdict first, then what was chosen and how far to believe it, in 80 columns.

Colour appears only on a terminal; a pipe or a file gets the same words as plain lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TextIO

from pinnacle.report.study import Study, read_study
from pinnacle.report.study_html import HTML_NAME
from pinnacle.report.study_words import (
    faults,
    judgement_rows,
    metric_rows,
    objective_label,
    parameter,
    place_words,
    rate_words,
    reasons,
    trials_words,
)
from pinnacle.report.terminal import WIDTH, writable
from pinnacle.report.wording import NOT_MEASURED, amount, moment, plain, share, span

_REASONS_MAX, _PARAM_MAX = 3, 24
# Of the files a study leaves, what each is for; said where it is there.
_FILES = (
    (HTML_NAME, "the page"), ("best.toml", "config of the best, for pinnacle backtest"), ("summary.json", "figures"),
    ("trials.parquet", "every trial"), ("curves.parquet", "equity curves"),
    ("walk_forward.parquet", "equity of the walk-forward"), ("study.json", "how it was done"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line of at most WIDTH characters; style: of the terminal's colours, "" for none."""

    text: str
    style: str = ""


def print_study(folder: str | Path, stream: TextIO | None = None) -> None:
    """Write the summary of a study's folder to a stream (the standard output), in colour where it is a terminal.

    Raises OperatorError where a file is missing, HistoryError where one is damaged.
    """
    stream = stream or sys.stdout
    told = list(lines(read_study(folder)))
    if not stream.isatty():
        stream.write(writable("\n".join(line.text for line in told) + "\n", stream))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, soft_wrap=True)
    for line in told:
        console.print(Text(line.text, style=line.style))


def lines(study: Study) -> Iterator[Line]:
    """The summary, line by line."""
    yield from _verdict(study)
    yield from _what(study)
    yield from _best(study)
    yield from _windows(study)
    yield from _judgement(study)
    yield from _walk(study)
    yield from _ended_early(study)
    for text in [*study.found.warnings, *faults(study)]:
        yield Line("")
        yield from _wrapped(f"! {text}", "yellow", "  ")
    yield Line("")
    yield from _wrapped(rate_words(study), "dim")
    yield from _files(study.folder)


def _wrapped(text: str, style: str = "", indent: str = "", first: str = "") -> Iterator[Line]:
    for part in wrap(text, WIDTH, initial_indent=first, subsequent_indent=indent):
        yield Line(part, style)


def _verdict(study: Study) -> Iterator[Line]:
    told = study.found.verdict
    style = "bold green" if told.trade else "bold red"
    yield from _wrapped(f"{'TRADE' if told.trade else 'DO NOT TRADE'}: {told.text}", style)
    for reason in told.reasons:
        yield from _wrapped(f"- {reason}", "", "  ")
    yield Line("")


def _what(study: Study) -> Iterator[Line]:
    made = study.made
    yield from _wrapped(f"{made.strategy.name} on {', '.join(made.instruments)} (optimize, {made.status})", "bold")
    ends = [end for window in made.windows.values() for end in (window.first_ns, window.stop_ns)]
    if ends:
        when = f"{moment(min(ends))} to {moment(max(ends))} UTC, {span((max(ends) - min(ends)) / 1e9)}"
        yield from _wrapped(when, "dim")
    yield from _wrapped(f"{trials_words(study)}; {made.sampler}, seed {made.seed}", "dim")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[Line]:
    """Columns wide enough for what they hold; the first `left` ones to the left, the last cut to what is left over."""
    every = [head, *rows]
    widths = [max(len(row[k]) for row in every) for k in range(len(head))]
    widths[0] = min(widths[0], WIDTH - 4 - sum(widths[1:]) - 2 * (len(widths) - 2)) if len(widths) > 1 else widths[0]
    widths[0] = max(widths[0], 10)
    for number, row in enumerate(every):
        cells = [
            _cut(text, width).ljust(width) if k < left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths))
        ]
        yield Line(_cut(("  " + "  ".join(cells)).rstrip(), WIDTH), "bold" if number == 0 else "")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"


def _best(study: Study) -> Iterator[Line]:
    best = study.found.best
    yield Line("")
    if best is None:
        yield Line("No best parameters: no trial is complete.", "bold")
        return
    held = {one.param: one for one in study.found.stability or []}
    wanted = ", ".join(
        f"{objective_label(one, '').removesuffix(', ')} {parameter(best.values.get(one.name))}"
        f"{'' if ', ' in objective_label(one, '').removesuffix(', ') else ' ' + study.made.quote}"
        for one in study.made.objectives
    )
    yield from _wrapped(f"Best parameters, trial {best.number:,} ({wanted} in sample)", "bold")
    rows = []
    for name, axis in study.made.space.items():
        one = held.get(name)
        known = one is not None and one.low is not None and one.high is not None
        holds = f"holds {parameter(one.low)} to {parameter(one.high)}" if one is not None and known else ""
        rows.append((_cut(name, _PARAM_MAX), parameter(best.params[name]), place_words(axis, best.params[name]), holds))
    widths = [max(len(row[k]) for row in rows) for k in range(2)] if rows else [0, 0]
    for name, value, place, holds in rows:
        start = f"  {name:<{widths[0]}}  {value:>{widths[1]}}  "
        told = (place if place.startswith("one of") else f"of {place}") + (f"; {holds}" if holds else "")
        yield from _wrapped(start + told, "", " " * len(start))


def _windows(study: Study) -> Iterator[Line]:
    best = study.found.best
    if best is None:
        return
    groups = {"train": best.train, "validation": best.validation, "test": best.test}
    windows = [study.made.windows.get(name) for name in groups]
    lengths = ("length", *(NOT_MEASURED if one is None else span(one.length_s) for one in windows))
    yield Line("")
    yield from _table(
        ("", "in sample", "validation", "out of sample"), [lengths, *metric_rows(study.made.quote, groups)]
    )


def _judgement(study: Study) -> Iterator[Line]:
    rows = list(judgement_rows(study))
    if not rows:
        return
    yield Line("")
    yield Line("How far to believe it", "bold")
    label, width = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    for name, value, meaning, speaks in rows:
        start = f"  {name:<{label}}  {value:>{width}}  "
        style = "" if speaks is None else "green" if speaks > 0 else "red"
        told = list(_wrapped(start + meaning, style, " " * len(start)))
        yield from (told[:1] + [Line(line.text, "dim") for line in told[1:]])


def _walk(study: Study) -> Iterator[Line]:
    walk = study.found.walk_forward
    if walk is None:
        return
    gained = sum(1 for fold in walk.folds if ((fold.test or {}).get("net_quote") or 0) > 0)
    net = f"{amount(walk.net_quote, True)} {study.made.quote}" if walk.net_quote is not None else NOT_MEASURED
    yield Line("")
    yield Line("Walk-forward", "bold")
    yield from _wrapped(
        f"net {net}, Sharpe {plain(walk.sharpe, 2)} a year; {gained} of {len(walk.folds)} folds gained out of sample",
        "", "  ", "  ",
    )  # fmt: skip


def _ended_early(study: Study) -> Iterator[Line]:
    told = reasons(study)
    if not told:
        return
    total = max(1, study.trials.number.size)
    yield Line("")
    yield Line("Trials that did not complete", "bold")
    for state, reason, number, _ in told[:_REASONS_MAX]:
        yield from _wrapped(f"{number:,} {state} ({share(number / total)}): {reason}", "", "    ", "  ")
    if len(told) > _REASONS_MAX:
        yield Line(f"  and {len(told) - _REASONS_MAX:,} other reasons, see {HTML_NAME}")


def _files(folder: Path) -> Iterator[Line]:
    """Where the files are; a path is never broken or cut, or it could not be copied."""
    yield Line("")
    yield Line(f"files in {folder}", "bold")
    for name, what in _FILES:
        if (folder / name).is_file():
            yield Line(f"  {name:<22}{what}")

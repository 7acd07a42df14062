"""What a person sees while a command runs: notes, bars, JSON, short paths.

Imports stay inside, so that --help answers at once and --no-jit can be decided before numba is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click


def interpret() -> None:
    """Switch compilation off, before numba is loaded."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"


def say_if_compiling(silent: bool) -> None:
    """The first start compiles; say so, because it takes seconds in which nothing else is seen."""
    from pinnacle.kernels.jit import CACHE_DIR, INTERPRETED, compiled_before

    if not silent and not INTERPRETED and not compiled_before():
        note(f"compiling the kernels, once for this version (about 20 s); kept in {CACHE_DIR}")


def note(text: str) -> None:
    click.secho(text, dim=True, err=True)


def print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


@contextmanager
def progress(what: str, silent: bool, unit: str = "rows") -> Iterator[Callable[[int, int], None] | None]:
    """A bar with rate and time left on a terminal, for rows (or what `unit` says) done and in all."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    with _bar(what, unit) as update:
        yield update


@contextmanager
def run_progress(silent: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Runs of a sweep that are done, runs in all, and the time left."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("sweep", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def search_progress(silent: bool) -> Iterator[Callable[[str, Any], None] | None]:
    """Candidates done and in all, the best value so far, candidates a second and the time left."""
    if silent:
        yield None
        return
    if not sys.stderr.isatty():

        def plain(what: str, now: Any) -> None:
            note(f"{what}: {now.done} of {now.total}{_best_so_far(now)}, {now.candidates_per_s:.1f} a second")

        yield plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"), TimeRemainingColumn(compact=True),
    ]  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(what: str, now: Any) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=now.total, said="")
            bars.update(
                tasks[what], completed=now.done, total=now.total,
                said=f"{now.candidates_per_s:.1f}/s{_best_so_far(now)}",
            )  # fmt: skip

        yield update


def _best_so_far(now: Any) -> str:
    """The best values of a search so far."""
    return "" if now.best is None else ", best " + " ".join(f"{value:.4g}" for value in now.best.values)


@contextmanager
def byte_progress(what: str, silent: bool) -> Iterator[Callable[[int, int, int], None] | None]:
    """The same for bytes done, bytes in all and rows so far."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    with _bar(what, "bytes") as update:
        yield lambda done, total, rows: update(done, total)


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    ]  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, rate="")

        def update(done: int, total: int) -> None:
            speed = progress.tasks[task].speed or 0
            progress.update(task, completed=done, total=total, rate=f"{speed / 1e6:.1f} M {unit}/s")

        yield update

"""The command line: click commands and what a person sees while they run; no logic.

Imports stay inside the commands, so that --help answers at once and --no-jit can be decided before numba is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pinnacle import __version__
from pinnacle.errors import OperatorError, PinnacleError

_INTERRUPTED = 130


class _Group(click.Group):
    """Turns an error that a person can act on into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PinnacleError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.secho("interrupted: what was written is marked as partial", fg="yellow", err=True)
            ctx.exit(_INTERRUPTED)
        except RuntimeError as error:
            # Ctrl-C while a library is being imported comes out as the library's own failure.
            if not _was_interrupted(error):
                raise
            click.secho("interrupted: nothing was begun yet", fg="yellow", err=True)
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has gone, as `head` does; what is left unsaid is no error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether a Ctrl-C is among the causes of an error."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pinnacle")
def main() -> None:
    """An event-sourced market-making engine: backtest a quoting strategy, and replay anything it ever did."""


@main.command()
@click.argument("config", required=False)
@click.option("--strategy", help="Strategy file, or the name of a shipped one.")
@click.option(
    "--data", multiple=True, help="Recording, day file or catalog; VENUE:SYMBOL=PATH where there are several."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the config.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; a new one under runs/ by default.")
@click.option("--record", type=click.Choice(["own", "full"]), help="What the log keeps: our side, or the market too.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else.")
@click.option("--report/--no-report", default=True, help="Write report.html.")
@click.option("--no-jit", is_flag=True, help="Interpret everything, for a debugger; slow.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--sweep", is_flag=True, help="A run for each day of the catalog and each traded instrument.")
@click.option("--workers", type=int, help="Processes of a sweep; 0 for one per CPU, 1 by default.")
@click.option("--ray", default="", metavar="auto|ADDRESS", help="Run a sweep on this Ray cluster.")
def backtest(
    config: str | None,
    strategy: str | None,
    data: tuple[str, ...],
    settings: tuple[str, ...],
    out: Path | None,
    record: str | None,
    as_json: bool,
    report: bool,
    no_jit: bool,
    quiet: bool,
    sweep: bool,
    workers: int | None,
    ray: str,
) -> None:
    """Run a strategy over recorded history.

    Without CONFIG it runs a fixed spread on the bundled sample of BTCUSDT.  CONFIG is a TOML file, or the name of a
    shipped one.  With --sweep every day and traded instrument is a run of its own, and --out a folder of them; one
    that is there is gone on with.
    """
    if not sweep and (workers is not None or ray):
        given = f"--ray {ray}" if ray else f"--workers {workers}"
        raise OperatorError(f"{given}: is for many runs; add --sweep, or leave it out")
    if no_jit:
        _interpret()
    if sweep:
        said = {
            "config": config, "strategy": strategy, "data": data, "settings": settings, "out": out, "record": record
        }  # fmt: skip
        _sweep(said, 1 if workers is None else workers, ray, report, as_json, quiet)
        return
    from pinnacle.run.prepare import prepare_backtest

    silent = quiet or as_json
    run = prepare_backtest(config, strategy, data, settings, out, record)
    _say_if_compiling(silent)
    with _progress("backtest", silent) as progress:
        run.progress = progress
        run.told = None if silent else _note
        run.run()
    from pinnacle.report.write import write_report

    summary = write_report(run.out, html=report)
    if as_json:
        _print_json(summary)
    elif not quiet:
        from pinnacle.report.terminal import print_summary

        print_summary(summary)
        click.echo(f"\nrun     {_shown(run.out)}")
        if report:
            click.echo(f"report  {_shown(run.out / 'report.html')}")
        click.echo(f"replay  pinnacle replay {_shown(run.out)}")


@main.command()
@click.argument("config", required=False)
@click.option("--strategy", help="Strategy file, or the name of a shipped one.")
@click.option(
    "--data", multiple=True, help="Recording, day file or catalog; VENUE:SYMBOL=PATH where there are several."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the config.")
@click.option("--trials", type=int, help="Candidates in all.")
@click.option("--timeout", "timeout_s", type=float, metavar="SECONDS", help="Begin no batch after this.")
@click.option("--objective", "objectives", multiple=True, help="What is wanted; several for a Pareto front.")
@click.option("--sampler", help="tpe, cma-es, nsga2, grid or random.")
@click.option("--pruner", help="none, median, percentile, successive-halving or hyperband.")
@click.option("--seed", type=int, help="Of every draw.")
@click.option("--batch", type=int, help="Candidates asked for at once.")
@click.option("--folds", type=int, help="Of a walk-forward; 0 for none.")
@click.option("--storage", help="journal, sqlite, or the URL of a database.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes; 0 for one per CPU.")
@click.option("--ray", default="", metavar="auto|ADDRESS", help="Run on this Ray cluster.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the study; one that is there is gone on with.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else.")
@click.option("--report/--no-report", default=True, help="Write report.html.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def optimize(
    config: str | None,
    strategy: str | None,
    data: tuple[str, ...],
    settings: tuple[str, ...],
    objectives: tuple[str, ...],
    workers: int,
    ray: str,
    out: Path | None,
    as_json: bool,
    report: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Search a strategy's parameters, and judge what was found on data the search never saw.

    Without CONFIG it tunes a fixed spread on the bundled sample of BTCUSDT.  The best parameters are written as
    best.toml, which `pinnacle backtest` takes as it is.
    """
    from pinnacle.optimize.prepare import prepare_optimization
    from pinnacle.run.workers import default_workers

    silent = quiet or as_json
    options["objectives"] = objectives or None
    search = prepare_optimization(config, strategy, data, settings, options, out, workers or default_workers(), ray)
    _say_if_compiling(silent)
    search.told = None if silent else _note
    try:
        with _search_progress(silent) as search.progress:
            summary = search.optimize()
    except KeyboardInterrupt:
        if (search.run.out / "study.json").exists():
            _note(f"what was judged is kept; run the same again with --out {_shown(search.run.out)} to go on")
        raise
    if report:
        from pinnacle.report.study_html import write_study_report

        write_study_report(search.run.out)
    if as_json:
        _print_json(summary)
    elif not quiet:
        from pinnacle.report.study_terminal import print_study

        print_study(search.run.out)
    if summary["best"] is None:
        raise OperatorError(summary["verdict"]["text"])


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--until", type=int, metavar="SEQ", help="Stop after this input.")
@click.option(
    "--from-checkpoint", type=int, metavar="SEQ", help="Start from the state kept after this input; -1 for the last."
)
@click.option("--no-jit", is_flag=True, help="Interpret everything; slow.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors and a divergence.")
def replay(run: Path, until: int | None, from_checkpoint: int | None, no_jit: bool, quiet: bool) -> None:
    """Fold a recorded log again and compare every output with the recorded one, byte for byte.

    RUN is the folder of a run.  Exit 0 if all are equal, 1 at the first divergence.
    """
    if no_jit:
        _interpret()
    from pinnacle.run.replay import replay as fold_again

    _say_if_compiling(quiet)
    with _progress("replay", quiet) as progress:
        result = fold_again(run, until, from_checkpoint, progress)
    for note in result.notes:
        _note(f"note: {note}")
    if result.divergence is not None:
        one = result.divergence
        click.secho(f"diverged at input {one.seq}, after {result.equal:,} equal outputs", fg="red")
        click.echo(f"  expected  {one.expected}\n  found     {one.found}")
        raise click.exceptions.Exit(1)
    if result.fingerprint_expected and result.fingerprint != result.fingerprint_expected:
        click.secho(
            f"every output is equal, but the state after the last input is {result.fingerprint} and was "
            f"{result.fingerprint_expected}",
            fg="red",
        )
        raise click.exceptions.Exit(1)
    if not quiet:
        state = f", state {result.fingerprint}" if result.fingerprint_expected else ""
        click.secho(
            f"equal: {result.commands:,} commands, {result.equal:,} outputs from {result.inputs:,} inputs{state}",
            fg="green",
        )


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def report(run: Path, as_json: bool) -> None:
    """Write the tables and report.html of a finished or interrupted run anew, or the page of a study."""
    if (run / "study.json").exists():
        from pinnacle.report.study_html import write_study_report
        from pinnacle.report.study_terminal import print_study

        write_study_report(run)
        if as_json:
            click.echo((run / "summary.json").read_text())
        else:
            print_study(run)
        return
    from pinnacle.report.write import write_report

    summary = write_report(run)
    if as_json:
        _print_json(summary)
    else:
        from pinnacle.report.terminal import print_summary

        print_summary(summary)
        click.echo(f"\nreport  {_shown(run / 'report.html')}")


@main.group()
def data() -> None:
    """Recorded history: import it, list it, check it."""


_INSTRUMENT_OPTIONS = [
    click.option("--venue", help="Name of the venue, as the catalog shall have it."),
    click.option("--symbol", help="Symbol on the venue."),
    click.option("--tick", help="Price step, as a decimal."),
    click.option("--lot", help="Quantity step, as a decimal."),
    click.option("--contract", default="1", show_default=True, help="Base currency in one unit of quantity."),
    click.option("--qty-min", default="0", help="Smallest order the venue takes."),
    click.option("--notional-min", default="0", help="Smallest value of an order the venue takes."),
    click.option("--base", default="", help="Base currency."),
    click.option("--quote", default="", help="Quote currency."),
    click.option("--bridge", type=click.Choice(["snapshot", "as-received"]), default="snapshot", show_default=True),
    click.option("--tickers/--no-tickers", default=True, help="Keep best bid and ask messages."),
    click.option("--offset-ns", type=int, help="Add this to every local time instead of the measured offset."),
    click.option("--partial", is_flag=True, help="Use what precedes the damage of a damaged file."),
    click.option("--off-tick", type=click.Choice(["refuse", "drop"]), default="refuse", show_default=True),
    click.option("--columns", type=click.Path(path_type=Path), help="TOML file with the column map of a table."),
]


def _instrument_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_INSTRUMENT_OPTIONS):
        command = option(command)
    return command


@data.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--catalog", type=click.Path(path_type=Path), default=Path("catalog"), show_default=True)
@click.option("--replace", is_flag=True, help="Write a day anew that is there already.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@_instrument_options
def import_(paths: tuple[Path, ...], catalog: Path, replace: bool, quiet: bool, **how: Any) -> None:
    """Read recordings into the catalog, by venue, symbol and day."""
    from pinnacle.run.prepare import import_options, instrument_from

    instrument = instrument_from(how)
    options = import_options(how)
    _say_if_compiling(quiet)
    from pinnacle.history.catalog import import_history

    with _byte_progress("import", quiet) as progress:
        found, segments = import_history(list(paths), catalog, instrument, options, replace, progress)
    if not quiet:
        for line in found.lines():
            click.echo(line)
        for segment in segments:
            click.echo(f"{_shown(segment.path)}  {segment.rows:,} rows  sha256 {segment.sha256[:16]}")


@data.command("list")
@click.argument("catalog", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(catalog: Path | None, as_json: bool) -> None:
    """List the days of a catalog; the bundled sample's by default."""
    from pinnacle.history.catalog import list_catalog
    from pinnacle.resources import shipped

    days = list_catalog(catalog or shipped("data") / "catalog")
    if as_json:
        _print_json([{name: str(getattr(day, name)) for name in day.__slots__} for day in days])
        return
    click.echo(f"{'venue':<14}{'symbol':<12}{'day':<12}{'rows':>12}{'MB':>8}  {'tick':<8}{'lot':<10}")
    for day in days:
        click.echo(
            f"{day.venue:<14}{day.symbol:<12}{day.day!s:<12}{day.rows:>12,}{day.size_bytes / 1e6:>8.1f}"
            f"  {day.tick:<8}{day.lot:<10}"
        )


@data.command("check")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--quiet", is_flag=True, help="No progress.")
@_instrument_options
def check(paths: tuple[Path, ...], as_json: bool, quiet: bool, **how: Any) -> None:
    """Say what a recording, day file or catalog proves, and what is wrong with it.  Changes nothing.

    Exit 0 if nothing is wrong, 3 if something is.
    """
    from pinnacle.run.prepare import check_paths

    _say_if_compiling(quiet or as_json)
    with _byte_progress("check", quiet or as_json) as progress:
        reports = check_paths(list(paths), how, progress)
    if as_json:
        _print_json([one.as_dict() for one in reports])
    else:
        for one in reports:
            for line in one.lines():
                click.echo(line)
    if not all(one.ok for one in reports):
        raise click.exceptions.Exit(3)


@main.group()
def log() -> None:
    """A run's log: verify it, read it, compare two."""


@log.command()
@click.argument("path", type=click.Path(path_type=Path))
def verify(path: Path) -> None:
    """Check every frame, row group, number and time of a log.  Exit 0 if it is whole, 5 if it is not."""
    from pinnacle.log.check import verify as verify_log

    result = verify_log(path)
    for line in result.lines():
        click.echo(line)
    if not result.ok:
        raise click.exceptions.Exit(5)


@log.command("inspect")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--kind", "kinds", multiple=True, help="Only records of this kind, by name.")
@click.option("--from", "seq_first", type=int, help="First seq.")
@click.option("--to", "seq_last", type=int, help="Last seq.")
@click.option("--order", "order_id", type=int, help="Only records of this order.")
@click.option("--limit", type=int, default=1000, show_default=True, help="At most this many records; 0 for all.")
def inspect_(
    path: Path, kinds: tuple[str, ...], seq_first: int | None, seq_last: int | None, order_id: int | None, limit: int
) -> None:
    """Print records of a log, a line each."""
    from pinnacle.log.check import inspect

    for line in inspect(path, _kind_numbers(kinds), seq_first, seq_last, order_id, limit or None):
        click.echo(line)


@log.command()
@click.argument("one", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path))
def diff(one: Path, other: Path) -> None:
    """The first record in which two logs differ.  Exit 0 if they are equal, 1 if not."""
    from pinnacle.log.check import diff as diff_logs

    found = diff_logs(one, other)
    if found is None:
        click.secho("equal", fg="green")
        return
    for line in found.lines():
        click.echo(line)
    raise click.exceptions.Exit(1)


def _kind_numbers(names: tuple[str, ...]) -> list[int]:
    from pinnacle.event import KIND_NAMES

    numbers = {name: number for number, name in KIND_NAMES.items()}
    for name in names:
        if name not in numbers:
            raise OperatorError(f"--kind {name}: is no kind; there are {', '.join(sorted(numbers))}")
    return [numbers[name] for name in names]


def _sweep(said: dict[str, Any], workers: int, ray: str, report: bool, as_json: bool, quiet: bool) -> None:
    """Run a sweep and print its table; after it the error of a sweep with failed runs."""
    from pinnacle.report.sweep import print_sweep
    from pinnacle.run.workers import default_workers
    from pinnacle.sweep import failure, prepare_sweep

    silent = quiet or as_json
    sweep = prepare_sweep(**said, workers=workers or default_workers(), ray=ray, html=report)
    _say_if_compiling(silent)
    try:
        with _run_progress(silent) as sweep.progress:
            told = sweep.run()
    except KeyboardInterrupt:
        if (sweep.out / "sweep.json").exists():
            _note(f"finished runs are kept; run the same again with --out {_shown(sweep.out)} to go on")
        raise
    if as_json:
        _print_json(told)
    elif not quiet:
        print_sweep(told)
        click.echo(f"\nsweep   {_shown(sweep.out)}")
    error = failure(sweep, told)
    if error is not None:
        raise error


def _interpret() -> None:
    """Switch compilation off, before numba is loaded."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"


def _say_if_compiling(silent: bool) -> None:
    """The first start compiles; say so, because it takes seconds in which nothing else is seen."""
    from pinnacle.kernels.jit import CACHE_DIR, INTERPRETED, compiled_before

    if not silent and not INTERPRETED and not compiled_before():
        _note(f"compiling the kernels, once for this version (about 20 s); kept in {CACHE_DIR}")


def _note(text: str) -> None:
    click.secho(text, dim=True, err=True)


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


@contextmanager
def _progress(what: str, silent: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with rate and time left on a terminal, for rows done and rows in all."""
    if silent or not sys.stderr.isatty():
        yield None
        return
    with _bar(what, "rows") as update:
        yield update


@contextmanager
def _run_progress(silent: bool) -> Iterator[Callable[[int, int], None] | None]:
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
def _search_progress(silent: bool) -> Iterator[Callable[[str, Any], None] | None]:
    """Candidates done and in all, the best value so far, candidates a second and the time left."""
    if silent:
        yield None
        return
    if not sys.stderr.isatty():

        def note(what: str, now: Any) -> None:
            _note(f"{what}: {now.done} of {now.total}{_best_so_far(now)}, {now.candidates_per_s:.1f} a second")

        yield note
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
def _byte_progress(what: str, silent: bool) -> Iterator[Callable[[int, int, int], None] | None]:
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


if __name__ == "__main__":
    main()

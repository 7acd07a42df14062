"""The command line: click commands and what a person sees while they run; no logic.

Imports stay inside the commands, so that --help answers at once and --no-jit can be decided before numba is loaded.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from pinnacle import __version__, interrupt
from pinnacle.commands import screen
from pinnacle.commands.cancel_all import cancel_all, watchdog
from pinnacle.commands.data import data
from pinnacle.commands.doctor import doctor
from pinnacle.commands.flatten import flatten
from pinnacle.commands.keys import keys
from pinnacle.commands.listen import with_listen
from pinnacle.commands.live import live
from pinnacle.commands.log import log
from pinnacle.commands.record import record
from pinnacle.commands.simulate import simulate
from pinnacle.errors import OperatorError, PinnacleError


class _Group(click.Group):
    """Turns an error that a person can act on, and Ctrl-C, into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        with interrupt.written_down():
            try:
                return super().invoke(ctx)
            except (click.exceptions.Exit, click.ClickException):
                raise
            except BrokenPipeError:
                # The reader of our output has gone, as `head` does; what is left unsaid is no error.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                ctx.exit(1)
            except (Exception, KeyboardInterrupt) as error:
                if interrupt.is_behind(error):
                    click.secho("interrupted: what was written is marked as partial", fg="yellow", err=True)
                    ctx.exit(interrupt.EXIT_CODE)
                if not isinstance(error, PinnacleError):
                    raise
                click.secho(f"error: {error}", fg="red", err=True)
                ctx.exit(error.exit_code)


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
        screen.interpret()
    if sweep:
        said = {
            "config": config, "strategy": strategy, "data": data, "settings": settings, "out": out, "record": record
        }  # fmt: skip
        _sweep(said, 1 if workers is None else workers, ray, report, as_json, quiet)
        return
    from pinnacle.run.prepare import prepare_backtest

    silent = quiet or as_json
    run = prepare_backtest(config, strategy, data, settings, out, record)
    screen.say_if_compiling(silent)
    with screen.progress("backtest", silent) as progress:
        run.progress = progress
        run.told = None if silent else screen.note
        run.run()
    from pinnacle.report.write import write_report

    summary = write_report(run.out, html=report)
    if as_json:
        screen.print_json(summary)
    elif not quiet:
        from pinnacle.report.terminal import print_summary

        print_summary(summary)
        click.echo(f"\nrun     {screen.shown(run.out)}")
        if report:
            click.echo(f"report  {screen.shown(run.out / 'report.html')}")
        click.echo(f"replay  pinnacle replay {screen.shown(run.out)}")


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
    screen.say_if_compiling(silent)
    search.told = None if silent else screen.note
    try:
        with screen.search_progress(silent) as search.progress:
            summary = search.optimize()
    except BaseException as error:
        if interrupt.is_behind(error) and (search.run.out / "study.json").exists():
            screen.note(
                f"what was judged is kept; run the same again with --out {screen.shown(search.run.out)} to go on"
            )
        raise
    if report:
        from pinnacle.report.study_html import write_study_report

        write_study_report(search.run.out)
    if as_json:
        screen.print_json(summary)
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
        screen.interpret()
    from pinnacle.run.replay import replay as fold_again

    screen.say_if_compiling(quiet)
    with screen.progress("replay", quiet) as progress:
        result = fold_again(run, until, from_checkpoint, progress)
    for note in result.notes:
        screen.note(f"note: {note}")
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
    from pinnacle.run.observed import observe_session

    observe_session(run)
    summary = write_report(run)
    if as_json:
        screen.print_json(summary)
    else:
        from pinnacle.report.terminal import print_summary

        print_summary(summary)
        click.echo(f"\nreport  {screen.shown(run / 'report.html')}")


for _command in (data, doctor, keys, live, log, record, with_listen(simulate), cancel_all, flatten, watchdog):
    main.add_command(_command)


def _sweep(said: dict[str, Any], workers: int, ray: str, report: bool, as_json: bool, quiet: bool) -> None:
    """Run a sweep and print its table; after it the error of a sweep with failed runs."""
    from pinnacle.report.sweep import print_sweep
    from pinnacle.run.workers import default_workers
    from pinnacle.sweep import failure, prepare_sweep

    silent = quiet or as_json
    sweep = prepare_sweep(**said, workers=workers or default_workers(), ray=ray, html=report)
    screen.say_if_compiling(silent)
    try:
        with screen.run_progress(silent) as sweep.progress:
            told = sweep.run()
    except BaseException as raised:
        if interrupt.is_behind(raised) and (sweep.out / "sweep.json").exists():
            screen.note(f"finished runs are kept; run the same again with --out {screen.shown(sweep.out)} to go on")
        raise
    if as_json:
        screen.print_json(told)
    elif not quiet:
        print_sweep(told)
        click.echo(f"\nsweep   {screen.shown(sweep.out)}")
    error = failure(sweep, told)
    if error is not None:
        raise error


if __name__ == "__main__":
    main()

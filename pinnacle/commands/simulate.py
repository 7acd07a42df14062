"""`pinnacle simulate`: a strategy in a generated market, and the fitting of such a market to a real one.

Imports stay inside the command, so that --help answers at once and --no-jit can be decided before numba is loaded.
"""

from __future__ import annotations

from pathlib import Path

import click

from pinnacle.commands import screen
from pinnacle.errors import OperatorError


@click.command()
@click.argument("config", required=False)
@click.option("--strategy", help="Strategy file, or the name of a shipped one.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the config.")
@click.option("--seed", type=click.IntRange(0, 1 << 53), help="Of every draw; another seed is another market.")
@click.option("--duration", "duration_s", type=float, metavar="SECONDS", help="Simulated time of the run.")
@click.option("--speed", type=float, help="Simulated seconds in a real one; 0 for as fast as possible.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run, or file of --calibrate.")
@click.option("--calibrate", type=click.Path(path_type=Path), metavar="DATA", help="Fit a market to DATA and write it.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else.")
@click.option("--report/--no-report", default=True, help="Write report.html.")
@click.option("--no-jit", is_flag=True, help="Interpret everything, for a debugger; slow.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def simulate(
    config: str | None,
    strategy: str | None,
    settings: tuple[str, ...],
    seed: int | None,
    duration_s: float | None,
    speed: float | None,
    out: Path | None,
    calibrate: Path | None,
    as_json: bool,
    report: bool,
    no_jit: bool,
    quiet: bool,
) -> None:
    """Run a strategy in a market that answers back.

    Other participants' orders are generated and meet the strategy's in a full matching engine.  Without CONFIG it is
    a market fitted on the bundled sample of BTCUSDT.  With --calibrate DATA (a recording, a day file or a catalog)
    nothing is run: a market is fitted to DATA and written as a config that this command takes.
    """
    if no_jit:
        screen.interpret()
    silent = quiet or as_json
    if calibrate is not None:
        if strategy is not None or seed is not None or duration_s is not None or speed is not None:
            raise OperatorError("--calibrate runs no strategy; leave --strategy, --seed, --duration and --speed out")
        _calibrate(calibrate, config, settings, out, as_json, quiet)
        return
    from pinnacle.run.prepare_simulation import prepare_simulation

    run = prepare_simulation(config, strategy, settings, seed, out, duration_s, speed)
    screen.say_if_compiling(silent)
    with screen.progress("simulate", silent, "simulated ms") as run.progress:
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


def _calibrate(
    data: Path, config: str | None, settings: tuple[str, ...], out: Path | None, as_json: bool, quiet: bool
) -> None:
    """Fit, write, and say what was found."""
    from pinnacle.run.calibrate import calibrate

    screen.say_if_compiling(quiet or as_json)
    made = calibrate(data, config, settings, out)
    if as_json:
        click.echo(made.beside.read_text(), nl=False)
    elif not quiet:
        for line in made.lines():
            click.echo(line)
        click.echo(f"\nmarket  {screen.shown(made.path)}\nfits    {screen.shown(made.beside)}")
        click.echo(f"run it  pinnacle simulate {screen.shown(made.path)}")

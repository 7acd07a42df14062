"""`pinnacle log`: a run's log, down to the frame and the byte."""

from __future__ import annotations

from pathlib import Path

import click

from pinnacle.errors import OperatorError


@click.group()
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


@log.command()
@click.argument("live", type=click.Path(path_type=Path))
@click.argument("backtest", type=click.Path(path_type=Path))
@click.option("--within-ms", type=float, default=100.0, show_default=True, help="Orders decided so close are the same.")
def compare(live: Path, backtest: Path, within_ms: float) -> None:
    """Split the difference of two runs over the same market into fills, fees, latency, queue and missed quotes.

    LIVE is a session, BACKTEST one over what it recorded: `pinnacle backtest CONFIG --data LIVE`.
    """
    from pinnacle.report.compare import compare_runs
    from pinnacle.run.observed import observe_session

    for run in (live, backtest):
        observe_session(run)
    for one in compare_runs(live, backtest, round(within_ms * 1e6)):
        for line in one.lines():
            click.echo(line)


@log.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("order_id", type=int)
def why(run: Path, order_id: int) -> None:
    """The whole life of an order of RUN: each step, the event that caused it, and the book as the engine saw it."""
    from pinnacle.report.why import why as lines

    for line in lines(run, order_id):
        click.echo(line)


def _kind_numbers(names: tuple[str, ...]) -> list[int]:
    from pinnacle.event import KIND_NAMES

    numbers = {name: number for number, name in KIND_NAMES.items()}
    for name in names:
        if name not in numbers:
            raise OperatorError(f"--kind {name}: is no kind; there are {', '.join(sorted(numbers))}")
    return [numbers[name] for name in names]

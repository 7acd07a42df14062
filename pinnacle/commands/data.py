"""`pinnacle data`: recorded history, imported, listed and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pinnacle.commands import screen


@click.group()
def data() -> None:
    """Recorded history: import it, list it, check it."""


_INSTRUMENT_OPTIONS = [
    click.option("--venue", help="Name of the venue, as the catalog shall have it; of a tape, whose feed reads it."),
    click.option("--symbol", help="Symbol on the venue; of a tape, those wanted, with commas (else all of it)."),
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
    click.option("--feed", is_flag=True, help="Read a Binance stream through the live feed, as tapes are."),
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
    from pinnacle.history.tape_items import is_tape
    from pinnacle.run.prepare import import_options, instrument_from, tape_steps

    options = import_options(how)
    tape = any(is_tape(path, options.feed) for path in paths)
    instrument = None if tape else instrument_from(how)
    screen.say_if_compiling(quiet)
    with screen.byte_progress("import", quiet) as progress:
        if tape:
            from pinnacle.history.tape_import import import_tape

            on_tape, segments = import_tape(list(paths), catalog, *tape_steps(how), options, replace, progress)
            lines = on_tape.lines()
        else:
            from pinnacle.history.catalog import import_history

            found, segments = import_history(list(paths), catalog, instrument, options, replace, progress)
            lines = found.lines()
    if not quiet:
        for line in lines:
            click.echo(line)
        for segment in segments:
            click.echo(f"{screen.shown(segment.path)}  {segment.rows:,} rows  sha256 {segment.sha256[:16]}")


@data.command("list")
@click.argument("catalog", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(catalog: Path | None, as_json: bool) -> None:
    """List the days of a catalog; the bundled sample's by default."""
    from pinnacle.history.catalog import list_catalog
    from pinnacle.resources import shipped

    days = list_catalog(catalog or shipped("data") / "catalog")
    if as_json:
        screen.print_json([{name: str(getattr(day, name)) for name in day.__slots__} for day in days])
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

    screen.say_if_compiling(quiet or as_json)
    with screen.byte_progress("check", quiet or as_json) as progress:
        reports = check_paths(list(paths), how, progress)
    if as_json:
        screen.print_json([one.as_dict() for one in reports])
    else:
        for one in reports:
            for line in one.lines():
                click.echo(line)
    if not all(one.ok for one in reports):
        raise click.exceptions.Exit(3)

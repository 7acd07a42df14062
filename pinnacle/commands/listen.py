"""`pinnacle simulate --listen`: the matching engine behind a real venue's protocol, or a recorded tape served.

It is an option of `pinnacle simulate` and not a command of its own, because it is the same market for other traders:
`with_listen` gives the options to a command, and takes over when --listen is given.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from pinnacle.errors import OperatorError

_OPTIONS = (
    click.option("--listen", metavar="HOST:PORT", help="Serve the market on this address instead; port 0: any free."),
    click.option("--dialect", metavar="VENUE", help="The venue whose protocol is spoken (with --listen)."),
    click.option("--symbol", "symbols", multiple=True, help="Serve only this symbol of the config (with --listen)."),
    click.option("--tape", "tapes", multiple=True, type=click.Path(path_type=Path), help="Serve a recording instead."),
    click.option("--fault", "faults", multiple=True, metavar="KIND=RATE", help="Make faults (with --listen)."),
    click.option("--tls", is_flag=True, help="Serve with a self-made certificate (with --listen)."),
)
_OURS = ("dialect", "symbols", "tapes", "faults", "tls")


def with_listen(command: click.Command) -> click.Command:
    """The command with the options of a local exchange; without --listen it does what it did before."""
    inner = command.callback
    assert inner is not None

    def callback(**given: Any) -> Any:
        listen = given.pop("listen")
        ours = {name: given.pop(name) for name in _OURS}
        if listen is None and not ours["tapes"]:
            said = [name for name in _OURS if ours[name]]
            if said:
                option = {"symbols": "symbol", "faults": "fault"}.get(said[0], said[0])
                raise OperatorError(f"--{option}: is for a local exchange; add --listen HOST:PORT")
            return inner(**given)
        for name in ("strategy", "calibrate", "as_json"):
            if given.get(name):
                raise OperatorError(f"--{name.removeprefix('as_')}: does not go with --listen; leave one of them out")
        return serve(
            given.get("config"), given.get("settings", ()), listen, ours["dialect"], ours["symbols"], ours["tapes"],
            given.get("speed"), ours["faults"], ours["tls"], given.get("seed"), given.get("out"),
            given.get("duration_s"), given.get("quiet", False),
        )  # fmt: skip

    command.callback = callback
    holder: Any = lambda: None  # noqa: E731
    for option in reversed(_OPTIONS):
        option(holder)
    command.params = command.params + list(reversed(holder.__click_params__))
    return command


def serve(
    config: str | None,
    settings: tuple[str, ...],
    listen: str | None,
    dialect: str | None,
    symbols: tuple[str, ...],
    tapes: tuple[Path, ...],
    speed: float | None,
    faults: tuple[str, ...],
    tls: bool,
    seed: int | None,
    out: Path | None,
    duration_s: float | None,
    quiet: bool,
) -> None:
    """Serve until Ctrl-C."""
    if listen == "":
        raise OperatorError("--listen is empty; give HOST:PORT, for example 127.0.0.1:8080")
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s > 0):
        raise OperatorError(f"--duration {duration_s:g}: must be a number of seconds above 0")
    from pinnacle.commands import screen
    from pinnacle.run.local_exchange import prepare_exchange

    screen.say_if_compiling(quiet)
    live = sys.stderr.isatty() and not quiet

    def tell(text: str) -> None:
        if not quiet:
            click.echo(text)

    def status(text: str) -> None:
        click.echo(f"\r\x1b[2K{text}", nl=False, err=True)

    exchange = prepare_exchange(
        config, settings, listen, dialect, symbols, tapes, speed, faults, tls, seed, out, tell, status if live else None
    )
    exchange.run(duration_s)

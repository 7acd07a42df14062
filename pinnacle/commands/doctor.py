"""`pinnacle doctor`: what a live session needs of this machine, a line each."""

from __future__ import annotations

from pathlib import Path

import click

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command()
@click.argument("config", required=False)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the config.")
@click.option("--offline", is_flag=True, help="Try no venue.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Where sessions are kept.")
def doctor(config: str | None, settings: tuple[str, ...], offline: bool, out: Path) -> None:
    """Look at clock, disk, limits, processor, kernels, credentials and the venues of CONFIG.

    Exit 0 if a session could start, 1 if something failed.
    """
    from pinnacle.config import apply_settings, parse_config, read_toml
    from pinnacle.resources import find_file
    from pinnacle.run.doctor import FAILED, examine

    path = find_file(config or "live", None, "configs", ".toml")
    raw = read_toml(path)
    apply_settings(raw, settings)
    parsed = parse_config(raw, config or path.name)
    failed = False
    for one in examine(None if offline else parsed, out):
        failed = failed or one.state == FAILED
        remedy = f"; {one.remedy}" if one.remedy else ""
        click.echo(f"{click.style(f'{one.state:<8}', fg=_COLOURS[one.state])} {one.what:<14} {one.found}{remedy}")
    if failed:
        raise click.exceptions.Exit(1)

"""`pinnacle record`: feeds into a log, with no strategy; what it records is backtest input at once."""

from __future__ import annotations

from pathlib import Path

import click

from pinnacle.commands import screen
from pinnacle.commands.live import Said


@click.command()
@click.argument("config", required=False)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the config.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the recording; one that ended is gone on with.")
@click.option("--tape", is_flag=True, help="Keep the raw bytes of every message too.")
@click.option("--headless", is_flag=True, help="A JSON object a line on standard output.")
@click.option("--for", "stop_after_s", type=float, default=0, metavar="SECONDS", help="Stop by itself after this.")
def record(
    config: str | None,
    settings: tuple[str, ...],
    out: Path | None,
    tape: bool,
    headless: bool,
    stop_after_s: float,
) -> None:
    """Record the venues' feeds of a config's instruments, for days.

    Journals are sealed to Parquet in the background (live.rotate_mb, live.rotate_s); Ctrl-C seals the last one and
    exits 0.  `pinnacle backtest --data RECORDING` runs on it.
    """
    from pinnacle.run.prepare_live import prepare_session

    say = Said(headless)
    more = ("live.tape=true",) if tape else ()
    session = prepare_session(config, None, (*settings, *more), out, "record", say, stop_after_s)
    say.file = session.out / "session.jsonl"
    if not headless:
        screen.note(f"recording into {screen.shown(session.out)}; Ctrl-C to stop")
    manifest = session.run()
    if not headless:
        click.echo(f"recorded {manifest.counts.get('inputs', 0):,} rows in {len(manifest.segments)} files")
        click.echo(f"backtest pinnacle backtest CONFIG --data {screen.shown(session.out)}")

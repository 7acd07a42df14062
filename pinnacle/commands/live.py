"""`pinnacle live`: a session on real feeds, and the words an operator says to one that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinnacle.commands import screen
from pinnacle.commands.keys import open_keys, unlocking
from pinnacle.errors import OperatorError, VenueError

if TYPE_CHECKING:
    from pinnacle.run.session import Session


class _RunByDefault(click.Group):
    """`live [CONFIG]` runs a session; `live WORD RUN` speaks to one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] not in (["-h"], ["--help"]) and (not args or args[0] not in self.commands):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault)
def live() -> None:
    """Run a strategy on real feeds, on paper; pause it, resume it, flatten it, stop it.

    `pinnacle live --paper [CONFIG]` runs; see `pinnacle live run --help`.
    """


@live.command()
@click.argument("config", required=False)
@click.option("--paper/--live", default=True, show_default=True, help="Orders go to the simulated venue, or are real.")
@click.option("--i-understand", is_flag=True, help="With --live: real orders cost real money.")
@click.option("--key", "names", multiple=True, metavar="VENUE/NAME", help="With --live: which key (default: default).")
@click.option("--strategy", help="Strategy file, or the name of a shipped one.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the config.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the session; one that ended is gone on with.")
@click.option("--headless", is_flag=True, help="No screen: a JSON object a line on standard output.")
@click.option("--for", "stop_after_s", type=float, default=0, metavar="SECONDS", help="Stop by itself after this.")
@unlocking
def run(
    config: str | None,
    paper: bool,
    i_understand: bool,
    names: tuple[str, ...],
    strategy: str | None,
    settings: tuple[str, ...],
    out: Path | None,
    headless: bool,
    stop_after_s: float,
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> None:
    """Run a strategy on the venues' feeds.

    --live sends real orders, with keys from the vault (`pinnacle keys`) and a cap for each venue in the config
    (live.notional_max); a session goes on as what it was begun as.

    CONFIG is a TOML file, or the name of a shipped one (live by default).  Ctrl-C cancels the quotes, seals the log and
    exits 0.  A session that was killed goes on when it is started again with the same --out.
    """
    if not paper and not i_understand:
        raise OperatorError("--live: sends real orders; say --i-understand with it, or leave it out to trade on paper")
    from pinnacle.run.prepare_live import prepare_accounts, prepare_session

    say = Said(headless)
    session = prepare_session(config, strategy, settings, out, "paper" if paper else "live", say, stop_after_s)
    if not paper:
        prepare_accounts(session, names, lambda: open_keys(path, password_file, password_fd)[0])
    screen.say_if_compiling(headless)
    watcher = Watcher(session.out) if sys.stdout.isatty() and not headless else None
    say.file = session.out / "session.jsonl"
    try:
        manifest = session.run()
    except Exception:
        if session.may_rest:
            click.secho(_may_rest(session), fg="red", err=True)
        raise
    finally:
        if watcher is not None:
            watcher.close()
    if not headless:
        counts = manifest.counts
        click.echo(
            f"stopped: {counts.get('heard', 0):,} inputs, {counts.get('place', 0):,} orders, "
            f"{counts.get('order_filled', 0):,} fills"
        )
        click.echo(f"run     {screen.shown(session.out)}")
        click.echo(f"report  pinnacle report {screen.shown(session.out)}")
        click.echo(f"replay  pinnacle replay {screen.shown(session.out)}")
    if session.may_rest:
        raise VenueError(_may_rest(session))


def _may_rest(session: Session) -> str:
    return (
        f"{session.out}: {session.may_rest} orders may rest at the venue, their end was not heard: pinnacle cancel-all "
        f"{session.out}"
    )


def _word(name: str, text: str) -> None:
    @live.command(name, help=text)
    @click.argument("session", metavar="RUN", type=click.Path(path_type=Path))
    def say(session: Path) -> None:
        from pinnacle.transport.control import ask

        answer = ask(session, {"do": name})
        if "error" in answer:
            raise OperatorError(f"{session}: {answer['error']}")
        screen.print_json(answer)


_word("status", "Say how a running session stands, as JSON.")
_word("pause", "Pull the quotes of a running session, until it is resumed.")
_word("resume", "Let a paused session quote again.")
_word("flatten", "Pull the quotes of a running session and take its positions off at the market, until it is resumed.")
_word("stop", "Stop a running session: quotes pulled, log sealed.")


@live.command("watch")
@click.argument("session", metavar="RUN", type=click.Path(path_type=Path))
def watch(session: Path) -> None:
    """The screen of a running session, from its log, in another terminal."""
    from pinnacle.watch.screen import watch_session

    watch_session(session)


class Said:
    """What a session says: a JSON object a line on standard output if headless, and into its folder."""

    def __init__(self, headless: bool) -> None:
        self._headless = headless
        self.file: Path | None = None

    def __call__(self, what: str, **fields: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": now, "what": what, **fields}, default=str)
        if self._headless:
            try:
                click.echo(line)
            except OSError:
                # Whoever read it has gone; that is no reason to leave a market, and the file has it all.
                self._headless = False
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if self.file is not None and self.file.parent.is_dir():
            try:
                with self.file.open("a") as sink:
                    sink.write(line + "\n")
            except OSError:
                # A full disk is met by the log, which says so.
                self.file = None


class Watcher:
    """The screen in a process of its own, so that nothing it does is waited for by the session."""

    def __init__(self, out: Path) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "pinnacle.watch.screen", str(out)])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

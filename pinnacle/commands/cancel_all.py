"""`pinnacle cancel-all` and `pinnacle watchdog`: orders cancelled with the engine dead, by a person or by a process."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinnacle.commands.keys import open_keys, unlocking
from pinnacle.errors import DiskError, OperatorError, PinnacleError
from pinnacle.limits import WATCHDOG_AFTER_S

if TYPE_CHECKING:
    from pinnacle.run.cancel_all import Place
    from pinnacle.vault.vault import Vault


def _say(what: str, **fields: Any) -> None:
    if what in ("cancel", "unreachable", "malformed"):
        click.echo(" ".join([what, *(f"{name}={value}" for name, value in fields.items())]))


@click.command("cancel-all")
@click.argument("what")
@click.argument("symbols", nargs=-1)
@click.option("--key", "name", default="default", show_default=True, help="Name of the key in the vault.")
@click.option("--websocket", default="", help="Address of the venue's private websocket, for a local exchange.")
@click.option("--rest", default="", help="Its REST address.")
@unlocking
def cancel_all(
    what: str,
    symbols: tuple[str, ...],
    name: str,
    websocket: str,
    rest: str,
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> None:
    """Cancel open orders at a venue; no session need run.

    WHAT is a session's folder: then its own orders are cancelled, and nobody else's.  Or it is a venue, and SYMBOLS
    follow: then every open order of the account on them is cancelled, whoever placed it.  Exit 0 once the venue shows
    that none is left, 4 if it does not.
    """
    from pinnacle.run.cancel_all import cancel_all as sweep
    from pinnacle.transport.websocket import Route

    found = places(what, symbols)
    vault, failures = open_keys(path, password_file, password_fd)[0], []
    for place in found:
        # What is wrong at one venue is no reason to leave orders at another.
        try:
            count = sweep(with_key(place, vault, name, websocket, rest), Route(), _say)
            click.secho(f"{place.name}: {count} cancelled, none is left", fg="green")
        except PinnacleError as error:
            failures.append(error)
    vault.wipe()
    for failure in failures[:-1]:
        click.secho(f"error: {failure}", fg="red", err=True)
    if failures:
        raise failures[-1]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--after", "after_s", type=float, default=WATCHDOG_AFTER_S, show_default=True, help="Seconds of silence.")
@click.option("--key", "name", default="default", show_default=True, help="Name of the key in the vault.")
@click.option("--websocket", default="", help="Address of the venue's private websocket, for a local exchange.")
@click.option("--rest", default="", help="Its REST address.")
@unlocking
def watchdog(
    run: Path,
    after_s: float,
    name: str,
    websocket: str,
    rest: str,
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> None:
    """Watch a session with real orders, and cancel its orders when it no longer answers.

    For venues that have no dead-man's switch.  Run it beside `pinnacle live --live`; it ends when the session was
    stopped and its log sealed, and goes on watching after it had to act, because the session may be started again.
    """
    from pinnacle.log.manifest import read_manifest
    from pinnacle.run.cancel_all import cancel_all as sweep
    from pinnacle.transport.control import ask
    from pinnacle.transport.websocket import Route

    vault = open_keys(path, password_file, password_fd)[0]
    heard_s, looked_s = time.monotonic(), -math.inf
    # A session may have lived and died between two questions, so it is looked again, more seldom, while none answers.
    again_s = max(5.0, 3 * after_s)
    found: list[Place] = []
    click.echo(f"watching {run}: its orders are cancelled after {after_s:g} s without an answer")
    while True:
        try:
            ask(run, {"do": "status"})
            heard_s, looked_s = time.monotonic(), -math.inf
            found = found or places(str(run), ())
        except PinnacleError:
            with contextlib.suppress(DiskError):
                if (run / "manifest.json").exists() and read_manifest(run).status == "complete":
                    click.echo("the session was stopped")
                    return
        now_s = time.monotonic()
        due = now_s - heard_s > after_s and now_s - looked_s > again_s
        if due:
            # A disk that is lost with the session is what it watches for: what was read of it before is kept.
            with contextlib.suppress(DiskError):
                found = places(str(run), ()) if (run / "manifest.json").exists() else found
        if due and found:
            first, done = looked_s < heard_s, True
            if first:
                click.secho(f"no answer for {after_s:g} s: cancelling", fg="red")
            for place in found:
                try:
                    count = sweep(with_key(place, vault, name, websocket, rest), Route(), _say)
                    if count or first:
                        click.echo(f"{place.name}: {count} cancelled, none is left")
                except PinnacleError as error:
                    click.secho(f"{error}; trying again", fg="red")
                    done = False
            if done:
                looked_s = time.monotonic()
        time.sleep(min(1.0, after_s / 4))


def places(what: str, symbols: tuple[str, ...]) -> list[Place]:
    """Where to look, without a key yet: the venues of a session, or one venue and its symbols."""
    from pinnacle.log.manifest import instruments_of, read_manifest
    from pinnacle.run.cancel_all import Place
    from pinnacle.run.real_orders import Account
    from pinnacle.venues.venues import gateway_address, venue

    nobody = Account("", b"")
    if Path(what).is_dir():
        if symbols:
            raise OperatorError(f"{what} is a session's folder, and symbols go with a venue; leave them out")
        manifest = read_manifest(Path(what))
        if manifest.mode != "live":
            raise OperatorError(f"{what}: is a session of mode {manifest.mode}, which has no real orders")
        listed = instruments_of(manifest.instruments)
        given = manifest.config.get("live", {}).get("venues", {})
        found = []
        for one in dict.fromkeys(instrument.venue for instrument in listed):
            own, public = given.get(one, {}), gateway_address(one)
            address = type(public)(own.get("websocket") or public.websocket, own.get("rest") or public.rest)
            mine = tuple(each for each in listed if each.venue == one)
            found.append(Place(one, (), address, address, nobody, manifest.run_id, mine))
        return found
    if not symbols:
        raise OperatorError(f"{what}: is no session's folder; a venue wants the symbols whose orders are cancelled")
    return [Place(what, symbols, gateway_address(what), venue(what).ADDRESS, nobody)]


def with_key(place: Place, vault: Vault, name: str, websocket: str, rest: str) -> Place:
    """The same with what signs there, and other addresses where they are given."""
    from dataclasses import replace

    from pinnacle.run.real_orders import account_of

    key = vault.key(place.name, name)
    kind = type(place.address)
    return replace(
        place,
        account=account_of(key, vault.path),
        address=kind(websocket or place.address.websocket, rest or place.address.rest),
        public=kind(websocket or place.public.websocket, rest or place.public.rest),
    )

"""`pinnacle keys`: the encrypted vault of the venues' keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pinnacle.errors import OperatorError, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinnacle.vault.secret import Secret
    from pinnacle.vault.vault import Credential, Vault

Command = TypeVar("Command", bound="Callable[..., Any]")
_UNLOCKING = "--password-file or --password-fd"
_RENEWING = "--new-password-file or --new-password-fd"


def unlocking(command: Command) -> Command:
    """The options by which a vault is found and opened; other commands that need keys take the same."""
    for option in (
        click.option("--password-fd", type=int, help="Read it from this open descriptor."),
        click.option(
            "--password-file", type=click.Path(path_type=Path), help="The vault's password from a file of mode 0600."
        ),
        click.option("--vault", "path", type=click.Path(path_type=Path), help="The vault; one in your data folder."),
    ):
        command = option(command)
    return command


def _renewing(command: Command) -> Command:
    for option in (
        click.option("--new-password-fd", type=int, help="The same from an open file descriptor."),
        click.option("--new-password-file", type=click.Path(path_type=Path), help="A new password from a file."),
    ):
        command = option(command)
    return command


@click.group()
def keys() -> None:
    """The venues' keys, encrypted: add, list, test, remove, rotate.

    The vault's password is asked for, or comes from --password-file, --password-fd, or the environment variable
    PINNACLE_VAULT_PASSWORD.  No secret is ever an option's value, and none is ever printed.
    """


@keys.command()
@click.argument("venue")
@click.argument("name", default="default")
@click.option("--permissions", type=click.Choice(["read", "trade"]), required=True, help="What the key may do there.")
@click.option(
    "--fields",
    type=click.Path(path_type=Path, allow_dash=True),
    help='JSON {"api_key", "secret", "passphrase"}; - for stdin.',
)
@click.option(
    "--secret-file", type=click.Path(path_type=Path), help="The secret alone from a file of mode 0600: a PEM."
)
@unlocking
def add(
    venue: str,
    name: str,
    permissions: str,
    fields: Path | None,
    secret_file: Path | None,
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> None:
    """Add a key of VENUE under NAME; the first one makes the vault.

    VENUE is binance (spot), binance-usdm (futures: the same key may serve both, added under each), bitstamp, coinbase
    (Exchange), coinbase-advanced, gemini or kraken.  The key is asked for, or read from --fields (the file that
    Coinbase offers for download will do).  A key for reading needs no right to trade: give it none at the venue.
    """
    from pinnacle.vault.vault import Credential, changing, check_name, create_vault, open_vault
    from pinnacle.venues.credentials import handed_out

    handed_out(venue)
    check_name(venue, name)
    where = _where(path)
    if where.exists() or where.is_symlink():
        password = _password(password_file, password_fd)
        vault = open_vault(where, password)
        vault.check_free(venue, name)
    else:
        password = _password(password_file, password_fd, new=True)
        vault = None
    api_key, secret, passphrase, kind = _asked_for(venue, fields, secret_file)
    vault = vault or create_vault(where, password)
    key = Credential(venue, name, api_key, secret, passphrase, kind, permissions, _now())  # type: ignore[arg-type]
    with changing(vault, password) as current:
        current.add(key)
    click.secho(f"added {key.label}: {kind} {_short(api_key)}, {permissions}; {_shown(where)}", fg="green")
    _remind(secret_file or fields)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON and nothing else.")
@unlocking
def list_(as_json: bool, path: Path | None, password_file: Path | None, password_fd: int | None) -> None:
    """List the keys: venue, name, kind, shortened id, permissions, when added.  Never a secret."""
    from pinnacle.commands import screen

    vault = open_keys(path, password_file, password_fd)[0]
    rows = [
        {
            "venue": key.venue, "name": key.name, "kind": key.kind, "key": _short(key.api_key),
            "permissions": key.permissions, "added": key.added, "changed": key.changed,
        }
        for key in vault.keys
    ]  # fmt: skip
    if as_json:
        screen.print_json(rows)
        return
    if not rows:
        click.echo("no keys; `pinnacle keys add VENUE` adds one")
        return
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


@keys.command()
@click.argument("venue", required=False)
@click.argument("name", required=False)
@click.option("--online", is_flag=True, help="Ask the venue: one signed question, no order.")
@click.option("--websocket", default="", help="With --online: address of the private websocket, for a local exchange.")
@click.option("--rest", default="", help="Its REST address.")
@unlocking
def test(
    venue: str | None,
    name: str | None,
    online: bool,
    websocket: str,
    rest: str,
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> None:
    """Try whether keys can be read and sign: all, those of VENUE, or one.

    With --online each venue is asked what the account holds, and what it says is said: the key works, or which of
    secret, rights, address and clock is wrong.  No order is placed or touched.

    Exit 0 if all can, 2 if one cannot, 4 if a venue did not answer.
    """
    from pinnacle.venues.credentials import trial

    if (websocket or rest) and not (online and venue):
        raise OperatorError("--websocket and --rest are for one VENUE that is asked: name it, and add --online")
    vault = open_keys(path, password_file, password_fd)[0]
    if venue and name:
        chosen = [vault.key(venue, name)]
    else:
        chosen = [key for key in vault.keys if venue in (None, key.venue)]
    if not chosen:
        raise OperatorError(f"{vault.path}: there is no key{f' of {venue}' if venue else ''} to test")
    failed = []
    for key in chosen:
        try:
            said = trial(key.venue, key.api_key, key.secret.reveal(), key.passphrase.reveal())
            click.secho(f"{key.label}  {said}", fg="green")
        except OperatorError as error:
            failed.append(key.label)
            click.secho(f"{key.label}  {error}", fg="red")
    if not online:
        click.echo("tested here only: whether the venue knows a key, and what it may do there, was not asked")
    silent: list[str] = []
    if online:
        silent = _tried_online([key for key in chosen if key.label not in failed], vault, websocket, rest, failed)
    if failed:
        raise OperatorError(f"{len(failed)} of {len(chosen)} keys cannot be used: {', '.join(failed)}")
    if silent:
        raise VenueError(f"{len(silent)} of {len(chosen)} keys could not be tried: {', '.join(silent)}")


def _tried_online(chosen: list[Credential], vault: Vault, websocket: str, rest: str, failed: list[str]) -> list[str]:
    """Ask the venues, and say what each says; refused keys are added to `failed`, those without an answer returned."""
    from pinnacle.run.key_online import try_key
    from pinnacle.run.real_orders import account_of
    from pinnacle.transport.websocket import Route
    from pinnacle.venues.venues import gateway_address

    silent: list[str] = []
    for key in chosen:
        public = gateway_address(key.venue)
        address = type(public)(websocket or public.websocket, rest or public.rest)
        verdict = try_key(key.venue, account_of(key, vault.path), address, Route())
        click.secho(f"{key.label}  {verdict.text}", fg="green" if verdict.good else "red")
        if not verdict.good:
            (failed if verdict.reached else silent).append(key.label)
    return silent


@keys.command()
@click.argument("venue")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@unlocking
def remove(
    venue: str, name: str, yes: bool, path: Path | None, password_file: Path | None, password_fd: int | None
) -> None:
    """Remove a key from the vault.  At the venue it stays until it is deleted there."""
    from pinnacle.vault.vault import changing

    vault, password = open_keys(path, password_file, password_fd)
    key = vault.key(venue, name)
    if not yes:
        if not _person():
            raise OperatorError(f"remove {key.label}: nobody is there to be asked; add --yes")
        click.confirm(f"remove {key.label}, {key.kind} {_short(key.api_key)}?", abort=True)
    with changing(vault, password) as current:
        current.remove(venue, name)
    click.secho(f"removed {key.label}; delete it at the venue too if it is no longer used", fg="green")


@keys.command()
@click.argument("venue", required=False)
@click.argument("name", required=False)
@click.option("--permissions", type=click.Choice(["read", "trade"]), help="What the new key may do; as before.")
@click.option("--fields", type=click.Path(path_type=Path, allow_dash=True), help="The new key as JSON; - for stdin.")
@click.option("--secret-file", type=click.Path(path_type=Path), help="The new secret alone from a file of mode 0600.")
@_renewing
@unlocking
def rotate(
    venue: str | None,
    name: str | None,
    permissions: str | None,
    fields: Path | None,
    secret_file: Path | None,
    new_password_file: Path | None,
    new_password_fd: int | None,
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> None:
    """Give the vault a new password, or with VENUE and NAME put a new key in an old one's place.

    A new password comes with a new salt and today's cost of guessing, and every byte is encrypted anew.  Copies of the
    old file still open with the old password: delete them.
    """
    if (venue is None) != (name is None):
        raise OperatorError("keys rotate: name VENUE and NAME to replace a key, or neither for a new password")
    if venue is None or name is None:
        if fields or secret_file or permissions:
            raise OperatorError(
                "keys rotate: --fields, --secret-file and --permissions are for a key; name VENUE and NAME"
            )
        _rotate_password(path, password_file, password_fd, new_password_file, new_password_fd)
        return
    if new_password_file or new_password_fd is not None:
        raise OperatorError("keys rotate: a new password is for the whole vault; leave VENUE and NAME out")
    from pinnacle.vault.vault import Credential, changing

    vault, password = open_keys(path, password_file, password_fd)
    old = vault.key(venue, name)
    api_key, secret, passphrase, kind = _asked_for(venue, fields, secret_file)
    may: Any = permissions or old.permissions
    key = Credential(venue, name, api_key, secret, passphrase, kind, may, old.added, _now())
    with changing(vault, password) as current:
        current.replace(key)
    click.secho(
        f"replaced {key.label}: {old.kind} {_short(old.api_key)} by {kind} {_short(api_key)}; "
        "delete the old one at the venue",
        fg="green",
    )
    _remind(secret_file or fields)


def _rotate_password(
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
    new_password_file: Path | None,
    new_password_fd: int | None,
) -> None:
    from pinnacle.vault.vault import changing

    vault, password = open_keys(path, password_file, password_fd)
    fresh = _password(new_password_file, new_password_fd, new=True, again=True)
    with changing(vault, password) as current:
        current.change_password(fresh)
        cost = current.cost
    click.secho(
        f"encrypted anew: AES-256-GCM, scrypt 2^{cost.log2_n} x {128 * cost.r} bytes x {cost.p} "
        f"({cost.memory_bytes >> 20} MiB); {_shown(vault.path)}",
        fg="green",
    )


def _where(path: Path | None) -> Path:
    from pinnacle.vault.place import default_path

    return path or default_path()


def open_keys(path: Path | None, password_file: Path | None, password_fd: int | None) -> tuple[Vault, Secret]:
    """(the vault, its password); what there is to say about the file is said before the password is asked for."""
    from pinnacle.vault.place import read_vault
    from pinnacle.vault.vault import open_vault

    where = _where(path)
    read_vault(where)
    password = _password(password_file, password_fd)
    return open_vault(where, password), password


def _password(file: Path | None, descriptor: int | None, new: bool = False, again: bool = False) -> Secret:
    """The vault's password; new: one that is chosen now, typed twice; again: in an old one's place."""
    from pinnacle.vault.password import NEW_VARIABLE, VARIABLE, Source, check_new

    def ask() -> str:
        text = "New password of the vault" if new else "Password of the vault"
        typed: str = click.prompt(text, hide_input=True, confirmation_prompt=new, err=True)
        return typed

    options, variable = (_RENEWING, NEW_VARIABLE) if again else (_UNLOCKING, VARIABLE)
    password = Source(file, descriptor, variable, ask if _person() else None, options).password()
    return check_new(password) if new else password


def _asked_for(venue: str, fields: Path | None, secret_file: Path | None) -> tuple[str, Secret, Secret, str]:
    """(id, secret, passphrase, kind) of a key, from JSON or a person; OperatorError if it is none of the venue's."""
    from pinnacle.commands.key_fields import typed_fields, written_fields
    from pinnacle.venues.credentials import check

    if fields is not None and secret_file is not None:
        raise OperatorError("--fields and --secret-file: give one of the two")
    if fields is not None:
        api_key, secret, passphrase = written_fields(fields)
    elif _person():
        api_key, secret, passphrase = typed_fields(venue, secret_file)
    else:
        raise OperatorError("the key is asked for and nobody is there; give --fields FILE, or --fields - for stdin")
    kind = check(venue, api_key, secret.reveal(), passphrase.reveal())
    return api_key, secret, passphrase, kind


def _remind(left: Path | None) -> None:
    """Say, once the key is in the vault, that it still lies about as it was."""
    if left is not None and str(left) != "-":
        click.secho(f"note: {left} holds the secret unencrypted; delete it: shred -u {left}", fg="yellow", err=True)


def _person() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _short(api_key: str) -> str:
    """Enough of an id to tell two apart, and no more."""
    tail = api_key.rpartition("/")[2]
    return f"{tail[:4]}...{tail[-4:]}" if len(tail) > 16 else f"{tail[:2]}..."


def _shown(path: Path) -> str:
    from pinnacle.commands.screen import shown

    return shown(path)


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""How a key comes to `pinnacle keys`: as JSON from a file or stdin, or typed by a person."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from pinnacle import limits
from pinnacle.errors import OperatorError
from pinnacle.vault.place import read_private
from pinnacle.vault.secret import Secret
from pinnacle.venues.credentials import HMAC, handed_out


class _Fields(msgspec.Struct):
    """Our names, and those of the file that Coinbase offers for download; others are not ours to judge."""

    api_key: str = ""
    secret: str = ""
    passphrase: str = ""
    name: str = ""
    id: str = ""
    privateKey: str = ""


def written_fields(path: Path) -> tuple[str, Secret, Secret]:
    """(id, secret, passphrase) from JSON; OperatorError, which shows nothing of it, if that is not in it."""
    if str(path) == "-":
        given = bytearray(sys.stdin.buffer.read(limits.SECRET_BYTES_MAX + 1))
        if len(given) > limits.SECRET_BYTES_MAX:
            raise OperatorError(f"stdin: has more than {limits.SECRET_BYTES_MAX:,} bytes; it is not a key")
        path = Path("stdin")
    else:
        given = read_private(path, limits.SECRET_BYTES_MAX)
    with Secret(given) as text:
        try:
            found = msgspec.json.decode(text.lend(), type=_Fields)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise OperatorError(f'{path}: is not JSON of the form {{"api_key": "...", "secret": "..."}}') from None
    api_key, secret = found.api_key or found.name or found.id, found.secret or found.privateKey
    if not api_key or not secret:
        raise OperatorError(f"{path}: has no {'secret' if api_key else 'api_key'}; both are wanted")
    return api_key, Secret(secret), Secret(found.passphrase)


def typed_fields(venue: str, secret_file: Path | None) -> tuple[str, Secret, Secret]:
    """(id, secret, passphrase) as a person types them; secrets are not seen."""
    row = handed_out(venue)
    api_key: str = click.prompt(f"Id of the {venue} key ({row.example})", err=True)
    if secret_file is not None:
        secret = Secret(bytes(read_private(secret_file, limits.SECRET_BYTES_MAX)).strip())
    else:
        if set(row.kinds) - {HMAC}:
            click.echo(
                "(a PEM has several lines: press Ctrl-C and give --secret-file, or type its line ends as \\n)", err=True
            )
        secret = Secret(click.prompt("Secret", hide_input=True, err=True).strip())
    passphrase = Secret(click.prompt("Passphrase", hide_input=True, err=True) if row.passphrase else "")
    return api_key.strip(), secret, passphrase

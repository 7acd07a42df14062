"""The keys of all venues in one encrypted file: named, several a venue, changed one command at a time.

A reader opens the vault with a password and gets a `Vault`, which is what the file held at that moment.  A change is
made under the file's lock, to what the file holds then (`changing`), and written as a whole: of two commands that add a
key at once neither loses the other's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from pinnacle import limits
from pinnacle.errors import DiskError, OperatorError
from pinnacle.vault import sealed as sealing
from pinnacle.vault.place import make_folder, only_writer, read_vault, write_vault
from pinnacle.vault.sealed import STANDARD, Cost, Lock
from pinnacle.vault.secret import Secret, deny_core_dumps

Permissions = Literal["read", "trade"]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Credential:
    """One key of a venue.

    api_key: what names it at the venue; no secret, though nothing to show around.  secret: of an HMAC or the text of a
    private key.  passphrase: empty where the venue has none.  kind: what the secret is, as the venue's table of kinds
    calls it.  permissions: what its owner says it may do; the venue was not asked.  added, changed: ISO 8601 in UTC.
    """

    venue: str
    name: str
    api_key: str = field(repr=False)
    secret: Secret
    passphrase: Secret
    kind: str
    permissions: Permissions
    added: str
    changed: str = ""

    @property
    def label(self) -> str:
        return f"{self.venue}/{self.name}"


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    """A credential as it is encrypted; the secrets are base64 in JSON, and bytearrays of their own once read."""

    venue: str
    name: str
    api_key: str
    secret: bytearray
    passphrase: bytearray
    kind: str
    permissions: Permissions
    added: str
    changed: str


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_Key]


class Vault:
    """An open vault.  `keys` are in the order of venue and name."""

    def __init__(self, path: Path, lock: Lock, keys: list[Credential]) -> None:
        self.path = path
        self._lock = lock
        self._keys = {(key.venue, key.name): key for key in keys}

    @property
    def cost(self) -> Cost:
        return self._lock.cost

    @property
    def keys(self) -> list[Credential]:
        return [self._keys[at] for at in sorted(self._keys)]

    def key(self, venue: str, name: str) -> Credential:
        """The key of this name; OperatorError that lists the venue's others if there is none."""
        found = self._keys.get((venue, name))
        if found is None:
            others = [key.name for key in self.keys if key.venue == venue]
            known = f"it has {', '.join(others)}" if others else f"there is no key of {venue} at all"
            raise OperatorError(f"{self.path}: there is no key {venue}/{name}; {known}")
        return found

    def check_free(self, venue: str, name: str) -> None:
        """OperatorError unless a key can be added under this name."""
        check_name(venue, name)
        if (venue, name) in self._keys:
            raise OperatorError(
                f"{self.path}: there is a key {venue}/{name} already; choose another name, or replace its secret: "
                f"pinnacle keys rotate {venue} {name}"
            )
        if len(self._keys) >= limits.VAULT_KEYS_MAX:
            raise OperatorError(f"{self.path}: holds {len(self._keys)} keys, which is all it may; remove some")

    def add(self, key: Credential) -> None:
        """A new key; OperatorError if the name is taken or none."""
        self.check_free(key.venue, key.name)
        self._keys[key.venue, key.name] = key

    def replace(self, key: Credential) -> None:
        """Another key under the name of one that is there."""
        self.key(key.venue, key.name)
        self._keys[key.venue, key.name] = key

    def remove(self, venue: str, name: str) -> None:
        self.key(venue, name)
        del self._keys[venue, name]

    def change_password(self, password: Secret, cost: Cost = STANDARD) -> None:
        """Another password, salt and cost from the next writing on."""
        self._lock = sealing.new_lock(password, cost)

    def wipe(self) -> None:
        """Overwrite every secret that this vault holds in memory."""
        for key in self._keys.values():
            key.secret.wipe()
            key.passphrase.wipe()
        self._keys.clear()
        self._lock.key.wipe()

    def sealed(self) -> bytes:
        """The bytes of its file, under a fresh nonce."""
        content = _Content([
            _Key(
                key.venue, key.name, key.api_key, key.secret.lend(), key.passphrase.lend(), key.kind, key.permissions,
                key.added, key.changed,
            )
            for key in self.keys
        ])  # fmt: skip
        with Secret(bytearray()) as plain:
            msgspec.json.Encoder().encode_into(content, plain.lend())
            sealed = sealing.seal(self._lock, plain.lend())
        if len(sealed) > limits.VAULT_BYTES_MAX:
            raise OperatorError(f"{self.path}: would have {len(sealed):,} bytes, more than {limits.VAULT_BYTES_MAX:,}")
        return sealed


def check_name(venue: str, name: str) -> None:
    """OperatorError unless venue and name are short plain words: they are typed, listed and kept in logs."""
    for what, text in (("venue", venue), ("name", name)):
        if not _NAME.fullmatch(text):
            raise OperatorError(
                f"{what} {text!r}: use up to 64 of a-z, 0-9, dot, dash and underscore, none of these first"
            )


def create_vault(path: Path, password: Secret, cost: Cost = STANDARD) -> Vault:
    """A new, empty vault on the disk; OperatorError if there is one already.  Tests pass a cheaper cost."""
    deny_core_dumps()
    make_folder(path.parent)
    with only_writer(path):
        if path.is_symlink() or path.exists():
            raise OperatorError(f"{path}: there is a vault already; run the command again to add to it")
        made = Vault(path, sealing.new_lock(password, cost), [])
        write_vault(path, made.sealed())
    return made


def open_vault(path: Path, password: Secret) -> Vault:
    """What the vault holds now.  Unopened for a wrong password or a changed file, DiskError for what is no vault."""
    deny_core_dumps()
    sealed = read_vault(path)
    return _opened(path, sealed, sealing.lock_of(password, sealed, str(path)))


@contextmanager
def changing(vault: Vault, password: Secret) -> Iterator[Vault]:
    """Change what the vault's file holds by now: with the lock held, from a fresh reading to a whole writing.

    vault: as it was opened before; its stretched password serves again unless the file has another salt by now.  An
    exception inside leaves the file as it is.
    """
    with only_writer(vault.path):
        sealed = read_vault(vault.path)
        lock = vault._lock
        if not lock.fits(sealed):
            lock = sealing.lock_of(password, sealed, str(vault.path))
        current = _opened(vault.path, sealed, lock)
        yield current
        write_vault(vault.path, current.sealed())


def _opened(path: Path, sealed: bytes, lock: Lock) -> Vault:
    with sealing.unseal(lock, sealed, str(path)) as plain:
        try:
            content = msgspec.json.decode(plain.lend(), type=_Content)
        except msgspec.DecodeError:
            # Nobody else could have written it: it has the right tag.
            raise DiskError(
                f"{path}: holds what this pinnacle does not understand; use the one that wrote it"
            ) from None
    keys = [
        Credential(
            key.venue, key.name, key.api_key, Secret(key.secret), Secret(key.passphrase), key.kind, key.permissions,
            key.added, key.changed,
        )
        for key in content.keys
    ]  # fmt: skip
    return Vault(path, lock, keys)

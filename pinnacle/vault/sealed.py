"""Bytes under a password: AES-256-GCM with a key that scrypt makes of it.  No file, no chance of its own.

    magic      8  "PNCLVLT" and a line feed, which a transfer as text would change
    version    2  of this layout
    log2_n     2  scrypt's cost: 2^log2_n blocks ...
    r          4  ... of 128 * r bytes each, which is the memory it takes
    p          4  passes over it
    salt      16  of the password
    nonce     12  of this writing; never used twice
    cipher text, as long as the plain text, and its tag of 16 bytes

Everything before the cipher text is authenticated with it (it is GCM's associated data): a changed byte anywhere is
noticed.  The header says nothing of what is inside: names of keys and venues are in the cipher text too, and the plain
text is filled up, so that the file's size tells how much is in it but roughly.

A wrong password and a changed file fail in the same place, GCM's tag, and cannot be told apart: a check of the password
alone would be one more thing to guess against, and a changed salt looks like a wrong password even then.  What can be
known without the password (it is no vault, it was cut off, its layout is a later one) is said as such.  An older vault
put back in the newer one's place is a vault with a right tag: no file can tell that by itself.

The tag is compared in constant time by the cipher's library.  `decrypt_into` and `derive_into` are those of later
versions of it; with an earlier one the plain text also stands in an object that nothing can wipe.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pinnacle import limits
from pinnacle.errors import DiskError, OperatorError
from pinnacle.vault.secret import Secret

MAGIC = b"PNCLVLT\n"
VERSION = 1
_HEADER = struct.Struct("<8sHHII16s12s")
HEADER_BYTES = _HEADER.size
TAG_BYTES = 16
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32


class Unopened(OperatorError):
    """The password is wrong or the file was changed; which of the two is not known."""


@dataclass(frozen=True)
class Cost:
    """What one guess of a password costs.  The defaults take 128 MiB, and a third of a second on a slow core."""

    log2_n: int = 17
    r: int = 8
    p: int = 1

    @property
    def memory_bytes(self) -> int:
        return 128 * self.r << self.log2_n

    def bounded(self) -> bool:
        """Whether a machine can be asked to pay it."""
        return (
            1 <= self.log2_n < min(32, 16 * self.r)  # RFC 7914: n below 2^(128 r / 8)
            and 1 <= self.p <= limits.VAULT_KDF_PASSES_MAX
            and self.memory_bytes <= limits.VAULT_KDF_MEMORY_MAX
        )


STANDARD = Cost()
assert limits.VAULT_KDF_MEMORY_MIN <= STANDARD.memory_bytes <= limits.VAULT_KDF_MEMORY_MAX


@dataclass(frozen=True)
class Lock:
    """What a password, a salt and a cost make: the key of as many writings as keep the salt."""

    cost: Cost
    salt: bytes
    key: Secret

    def fits(self, sealed: bytes) -> bool:
        """Whether sealed bytes have this salt and cost, so that the password need not be stretched again."""
        cost, salt, _ = _read_header(sealed, "the vault")
        return (cost, salt) == (self.cost, self.salt)


def new_lock(password: Secret, cost: Cost = STANDARD) -> Lock:
    """A lock with a salt of its own.  Tests pass a cheaper cost; nothing else does."""
    return _lock(password, cost, os.urandom(_SALT_BYTES))


def lock_of(password: Secret, sealed: bytes, path: str) -> Lock:
    """The lock of sealed bytes, if the password is the right one (which only `unseal` shows)."""
    cost, salt, _ = _read_header(sealed, path)
    return _lock(password, cost, salt)


def _lock(password: Secret, cost: Cost, salt: bytes) -> Lock:
    assert cost.bounded()
    scrypt = Scrypt(salt=salt, length=_KEY_BYTES, n=1 << cost.log2_n, r=cost.r, p=cost.p)
    key = Secret(bytearray(_KEY_BYTES))
    try:
        if hasattr(scrypt, "derive_into"):
            scrypt.derive_into(password.lend(), key.lend())
        else:
            key = Secret(scrypt.derive(password.lend()))
        return Lock(cost, salt, key)
    except MemoryError:
        raise OperatorError(
            f"opening the vault takes {cost.memory_bytes >> 20} MiB of memory, which this machine did not give; "
            "free some and try again"
        ) from None


def seal(lock: Lock, plain: bytearray) -> bytes:
    """plain, filled up and encrypted under a nonce of its own."""
    padded = plain + b" " * (-len(plain) % limits.VAULT_PADDING_BYTES)
    nonce = os.urandom(_NONCE_BYTES)
    header = _HEADER.pack(MAGIC, VERSION, lock.cost.log2_n, lock.cost.r, lock.cost.p, lock.salt, nonce)
    try:
        return header + AESGCM(lock.key.lend()).encrypt(nonce, padded, header)
    finally:
        Secret(padded).wipe()


def unseal(lock: Lock, sealed: bytes, path: str) -> Secret:
    """The plain text, with its filling.  Unopened if the tag is not right."""
    _, _, nonce = _read_header(sealed, path)
    header, body = sealed[:HEADER_BYTES], sealed[HEADER_BYTES:]
    cipher, plain = AESGCM(lock.key.lend()), Secret(bytearray(len(body) - TAG_BYTES))
    try:
        if hasattr(cipher, "decrypt_into"):
            cipher.decrypt_into(nonce, body, header, plain.lend())
        else:
            plain = Secret(cipher.decrypt(nonce, body, header))
    except InvalidTag:
        plain.wipe()
        raise Unopened(
            f"{path}: the password is wrong, or the file was changed since it was written; the two cannot be told "
            "apart: try the password again, and if it is right for certain put back a copy of the file"
        ) from None
    return plain


def _read_header(sealed: bytes, path: str) -> tuple[Cost, bytes, bytes]:
    """(cost, salt, nonce), or an error that says what the bytes are not."""
    if not sealed.startswith(MAGIC):
        what = "is empty" if not sealed else "is no vault of pinnacle"
        raise DiskError(f"{path}: {what}; name another file with --vault, or put back a copy of it")
    if len(sealed) < HEADER_BYTES + TAG_BYTES:
        raise DiskError(f"{path}: was cut off after {len(sealed)} bytes; put back a copy of it")
    _, version, log2_n, r, p, salt, nonce = _HEADER.unpack_from(sealed)
    if version != VERSION:
        raise DiskError(f"{path}: has layout {version} and this pinnacle knows {VERSION}; use a pinnacle that wrote it")
    cost = Cost(log2_n, r, p)
    if not cost.bounded():
        raise DiskError(f"{path}: its header asks for a cost that no pinnacle writes; put back a copy of it")
    return cost, salt, nonce

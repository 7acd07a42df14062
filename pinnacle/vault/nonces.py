"""The last nonce of a key in a small file beside the vault, shared by all processes that have the key.

A venue refuses a nonce that is not above the last one it has seen of the key.  A clock set back between two sessions,
or a watchdog beside a session, would make such ones; so every process takes its nonces from this file.  It holds a
number and no part of a key; its name is a hash.  A number is written before it is used, so a killed process leaves it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
from pathlib import Path

from pinnacle.errors import DiskError
from pinnacle.limits import NONCE_LOCK_TRIES

# The number in ns, and its complement: a file that is torn or of something else is no floor.
_FORM = struct.Struct("<QQ")
_MASK = (1 << 64) - 1
_SPINS, _WAIT_S = 10, 100e-6


class NonceFile:
    """One key's.  Raises DiskError where there is none and it cannot be made; when it cannot be written, numbers still
    rise within the process."""

    def __init__(self, vault: Path, venue: str, api_key: str) -> None:
        folder = vault.with_name(vault.name + ".nonces")
        self.path = folder / hashlib.sha256(f"{venue} {api_key}".encode()).hexdigest()[:32]
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            try:
                # A disk that takes no writes any more must not keep anybody from cancelling: what it kept is a floor.
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                raise DiskError(
                    f"{self.path}: cannot be made: {error.strerror}; it keeps the last nonce of {venue}'s key, without "
                    "which the venue may refuse what is asked: let the vault's folder be writable"
                ) from None
        self._last_ns = 0

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def take(self, at_least: int, unit_ns: int) -> int:
        """A number that nobody was given: at_least, or one above the last; both in units of unit_ns."""
        locked = self._lock()
        try:
            number = max(at_least, max(self._last_ns, self._read()) // unit_ns + 1)
            self._last_ns = number * unit_ns
            self._write()
        finally:
            if locked:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return number

    def _lock(self) -> bool:
        for tried in range(NONCE_LOCK_TRIES):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if tried > _SPINS:
                    # Who holds it is not running: on a machine with few processors it wants this one's.
                    time.sleep(_WAIT_S)
            except OSError:
                return False
        return False

    def _read(self) -> int:
        try:
            data = os.pread(self._descriptor, _FORM.size, 0)
        except OSError:
            return 0
        if len(data) != _FORM.size:
            return 0
        number, check = _FORM.unpack(data)
        return int(number) if number == check ^ _MASK else 0

    def _write(self) -> None:
        try:
            os.pwrite(self._descriptor, _FORM.pack(self._last_ns & _MASK, ~self._last_ns & _MASK), 0)
        except OSError:
            return  # the disk's trouble; the log will meet it too, and says so

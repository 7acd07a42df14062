"""The file a vault lives in: who may read it, how it is written, and that two do not write at once.

Written so that at every moment the file is whole, the old one or the new: the new bytes go to a file beside it, to the
disk, and then to its name in one step.  The folder is the owner's alone and so is the file; where that is no longer so
the vault is not read, because then its secrets may have been copied already and that is for its owner to know.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pinnacle import limits
from pinnacle.errors import DiskError, OperatorError

_LOOSER = 0o077
_POLL_S = 0.05


def default_path() -> Path:
    """keys.vault in the data folder of the XDG rules."""
    home = os.environ.get("XDG_DATA_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "share"
    return base / "pinnacle" / "keys.vault"


def check_private(path: Path, bytes_max: int) -> int:
    """Size of a plain file that is ours and closed to all others; OperatorError with the remedy if it is not."""
    try:
        found = path.lstat()
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise OperatorError(f"{path}: is not a plain file; name the file itself")
    _check_closed(path, found)
    if found.st_size > bytes_max:
        raise OperatorError(
            f"{path}: has {found.st_size:,} bytes, more than {bytes_max:,}; it is not what is asked for"
        )
    return found.st_size


def read_private(path: Path, bytes_max: int) -> bytearray:
    """The bytes of such a file."""
    check_private(path, bytes_max)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            # What was opened is looked at again: the name may have been given to another file meanwhile.
            _check_closed(path, os.fstat(descriptor))
            return bytearray(file.read(bytes_max + 1)[:bytes_max])
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read: {error.strerror}") from None


def read_vault(path: Path) -> bytes:
    """The vault's bytes; OperatorError with the remedy where there is none or others could read it."""
    if not os.path.lexists(path):
        raise OperatorError(f"{path}: there is no vault; `pinnacle keys add` makes one")
    check_folder(path.parent)
    return bytes(read_private(path, limits.VAULT_BYTES_MAX))


def check_folder(folder: Path) -> None:
    """OperatorError unless the folder is ours and closed to all others."""
    try:
        found = folder.stat()
    except OSError as error:
        raise OperatorError(f"{folder}: cannot be read: {error.strerror}") from None
    _check_owner(folder, found)
    if found.st_mode & _LOOSER:
        raise OperatorError(
            f"{folder}: is open to other users (mode {_mode(found)}), and a vault wants a folder of its own that "
            f"is not: make one (mkdir -m 700 ...) and name it with --vault, or if this is one: chmod 700 {folder}"
        )


def _check_closed(path: Path, found: os.stat_result) -> None:
    _check_owner(path, found)
    if found.st_mode & _LOOSER:
        raise OperatorError(
            f"{path}: is open to other users (mode {_mode(found)}); close it: chmod 600 {path}, and if others use this "
            "machine what it holds may be known to them: make it new"
        )


def _check_owner(path: Path, found: os.stat_result) -> None:
    mine = os.geteuid()
    if found.st_uid != mine:
        raise OperatorError(f"{path}: belongs to another user (uid {found.st_uid}); make it yours: chown {mine} {path}")


def _mode(found: os.stat_result) -> str:
    return f"{stat.S_IMODE(found.st_mode):04o}"


def make_folder(folder: Path) -> None:
    """The vault's folder, made with mode 0700 if it is not there; one that is there is left as it is."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DiskError(f"{folder}: cannot be made: {error.strerror}") from None
    check_folder(folder)


def write_vault(path: Path, sealed: bytes) -> None:
    """Put new bytes in a vault's place, in one step; the caller holds its lock (`only_writer`)."""
    assert len(sealed) <= limits.VAULT_BYTES_MAX
    fresh = _beside(path, ".new")
    try:
        # One that is left from a crash is of no use to anyone: it was never the vault.
        fresh.unlink(missing_ok=True)
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(sealed)
                file.flush()
                os.fsync(descriptor)
            os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DiskError(f"{path}: cannot be written: {error.strerror}; the vault is as it was") from None
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise DiskError(
            f"{path}: was written, but the disk did not say that it will stay ({error.strerror}); look with "
            "`pinnacle keys list` after the next start of this machine"
        ) from None


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the vault's lock, a file beside it; OperatorError if another process keeps it for too long."""
    lock = _beside(path, ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DiskError(f"{lock}: cannot be made: {error.strerror}") from None
    try:
        until = time.monotonic() + limits.VAULT_LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise OperatorError(
                        f"{path}: another process has been writing it for {limits.VAULT_LOCK_WAIT_S} s; "
                        "let it end, or end it, and try again"
                    ) from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)

"""Where a password comes from: a file, a file descriptor, the environment, or a prompt, in this order.

Never an option's value: the list of processes shows those to everyone on the machine.  The environment is the weakest
of the four (a process's environment can be read by its owner as long as it runs) and there for where nothing else can
be had; the variable is taken out of our own environment, so that no child process gets it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pinnacle import limits
from pinnacle.errors import OperatorError
from pinnacle.vault.place import read_private
from pinnacle.vault.secret import Secret

VARIABLE = "PINNACLE_VAULT_PASSWORD"
NEW_VARIABLE = "PINNACLE_VAULT_NEW_PASSWORD"


@dataclass(frozen=True)
class Source:
    """Where a password is to be had.

    prompt: asks a person and gives what was typed; None where there is nobody to ask.  options: how the caller's
    options are called, for what is said when there is no password.
    """

    file: Path | None
    descriptor: int | None
    variable: str
    prompt: Callable[[], str] | None
    options: str

    def password(self) -> Secret:
        """The password.  OperatorError where there is none, or an empty one."""
        if self.file is not None and self.descriptor is not None:
            raise OperatorError(f"{self.options}: give one of the two")
        if self.file is not None:
            return _first_line(read_private(self.file, limits.SECRET_BYTES_MAX), str(self.file))
        if self.descriptor is not None:
            return _first_line(_read_descriptor(self.descriptor), f"file descriptor {self.descriptor}")
        given = os.environ.pop(self.variable, None)
        if given is not None:
            return _first_line(bytearray(given, "utf-8", "surrogateescape"), self.variable)
        if self.prompt is None:
            raise OperatorError(
                f"the vault's password is asked for and nobody is there; give {self.options} or {self.variable}"
            )
        return _first_line(bytearray(self.prompt(), "utf-8", "surrogateescape"), "the prompt")


def check_new(password: Secret) -> Secret:
    """A password that is chosen, if it is long enough."""
    try:
        count = len(password.reveal().decode())
    except UnicodeDecodeError:
        count = len(password.lend())
    if count < limits.VAULT_PASSWORD_CHARS_MIN:
        raise OperatorError(
            f"the new password has {count} characters; take {limits.VAULT_PASSWORD_CHARS_MIN} or more: five words, say"
        )
    return password


def _first_line(given: bytearray, whence: str) -> Secret:
    """Up to the first line end, which every editor adds."""
    end = min((at for at in (given.find(b"\n"), given.find(b"\r")) if at >= 0), default=len(given))
    password = Secret(given[:end])
    Secret(given).wipe()
    if not password:
        raise OperatorError(f"{whence}: holds no password on its first line")
    return password


def _read_descriptor(descriptor: int) -> bytearray:
    """All that an open descriptor has, up to a bound; it is closed then."""
    try:
        with open(descriptor, "rb", buffering=0) as file:
            given = bytearray()
            while len(given) <= limits.SECRET_BYTES_MAX:
                part = file.read(limits.SECRET_BYTES_MAX)
                if not part:
                    break
                given += part
            return given[: limits.SECRET_BYTES_MAX]
    except OSError as error:
        raise OperatorError(f"file descriptor {descriptor}: cannot be read: {error.strerror}") from None

"""A text that must not be seen, and a process that does not leave it behind.

Why a type of its own: secrets leak by being shown, in a log line, an error, a debugger's repr, a pickle.  A Secret
shows itself nowhere; its bytes are got by two names, `reveal` and `lend`, which are easy to search for.

What Python lets one do about memory is limited, and this is what is done: the bytes live in a bytearray that is
overwritten by `wipe` and when the Secret is dropped; what was revealed, typed at a prompt or taken from the environment
is an ordinary immutable object, and stays in memory until that is used for something else.  So a process that holds
secrets also gives up its core dumps and its debuggers (`deny_core_dumps`).  Swap is the machine's: encrypt it.
"""

from __future__ import annotations

import ctypes
import hmac
import resource
import sys
from typing import NoReturn

_PR_SET_DUMPABLE = 4
_HIDDEN = "<secret>"


class Secret:
    """Bytes that are shown by nothing but `reveal`.  Equality takes as long for a wrong secret as for a right one."""

    __slots__ = ("_held",)

    def __init__(self, held: str | bytes | bytearray) -> None:
        """A bytearray is taken over, not copied: whoever gave it lets go of it."""
        if isinstance(held, str):
            # What a terminal cannot decode comes as surrogates, and goes back to the bytes that were typed.
            held = held.encode("utf-8", "surrogateescape")
        self._held = held if isinstance(held, bytearray) else bytearray(held)

    def reveal(self) -> bytes:
        """The bytes, as a copy that nothing wipes."""
        return bytes(self._held)

    def lend(self) -> bytearray:
        """The bytes themselves, to be read and not kept: for encoders and ciphers that take a buffer."""
        return self._held

    def wipe(self) -> None:
        """Overwrite the bytes; the Secret is empty from now on."""
        for i in range(len(self._held)):
            self._held[i] = 0
        self._held = bytearray()

    def __del__(self) -> None:
        self.wipe()

    def __enter__(self) -> Secret:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __bool__(self) -> bool:
        return bool(self._held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._held, other._held)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return _HIDDEN

    def __format__(self, _: str) -> str:
        return _HIDDEN

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a secret is not copied or pickled; pass it on, or reveal it where it is used")


def deny_core_dumps() -> None:
    """No core dump and no debugger of this process from now on, for as long as it lives.

    Both are asked for: the limit alone is not obeyed where a kernel pipes dumps to a program, and the flag is Linux's
    alone.  Child processes inherit the limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":
        # Fails on no kernel since 2.4; where there is no prctl after all the limit is what there is.
        prctl = getattr(ctypes.CDLL(None), "prctl", None)
        if prctl is not None:
            prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)

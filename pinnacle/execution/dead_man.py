"""The venue's dead-man's switch, wound again and again while we live: it cancels what rests when nothing winds it.

It is for the end that no code of ours can see to: the process killed, the machine or its line gone.  Nothing is quoted
where it was not set, because then nothing would end what rests.  It takes everything on the account along, other
people's orders too; so it is let go when we leave with nothing resting.
"""

from __future__ import annotations

from pinnacle.venues.gateway import Gateway
from pinnacle.venues.private.said import SWITCH_REFUSED, SWITCH_SET, Note

# Wound four times in its time, so that three messages may be lost.
_WINDS = 4
_AGAIN_NS = 1_000_000_000


class DeadMan:
    """timeout_ns: after which the venue cancels, 0 where there is no switch or it is not wanted."""

    def __init__(self, gateway: Gateway, timeout_ns: int) -> None:
        self._gateway = gateway
        self.timeout_ns = min(timeout_ns, gateway.capabilities.dead_man_ns)
        self._sent_ns = self._set_ns = self._due_ns = 0
        self._leaving = self._off = False

    def holds(self, ts_ns: int) -> bool:
        """Whether nothing may be placed: the switch is wanted, and is not known to be set."""
        return self.timeout_ns > 0 and (not self._set_ns or ts_ns - self._set_ns >= self.timeout_ns)

    def tick(self, ts_ns: int) -> None:
        """Several times a second."""
        gateway = self._gateway
        if self.timeout_ns and not self._leaving and gateway.ready and ts_ns >= max(self._due_ns, gateway.retry_ns):
            self._due_ns = ts_ns + (self.timeout_ns // _WINDS if self._set_ns else _AGAIN_NS)
            self._sent_ns = ts_ns
            gateway.dead_man(self.timeout_ns, ts_ns)

    def hear(self, note: Note, ts_ns: int) -> None:
        """What the venue said of it."""
        if note.what == SWITCH_SET:
            # It runs from when the venue heard us, which was after we sent.
            self._off = self._off or self._leaving
            self._set_ns = 0 if self._leaving else self._sent_ns
        elif note.what == SWITCH_REFUSED:
            self._due_ns = min(self._due_ns, ts_ns + _AGAIN_NS)

    def lost(self) -> None:
        """The connection is gone: it runs on at the venue, and is wound as soon as the connection is back."""
        self._due_ns = 0

    def leave(self, ts_ns: int) -> None:
        """Let it go: nothing of ours rests any more."""
        if self.timeout_ns and not self._leaving:
            self._leaving = True
            # Also where no answer has come yet: what was asked for may be set by then.
            if self._sent_ns and self._gateway.ready:
                self._gateway.dead_man(0, ts_ns)

    @property
    def left(self) -> bool:
        """Whether it is known to be off, or never was on."""
        return not self.timeout_ns or not self._sent_ns or self._off

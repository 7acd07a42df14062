"""Faults on demand, seeded: what networks and venues do to a client, done on purpose and written down.

Faults are made between who answers and the socket: to each message of a websocket, or to each request.  Three kinds
(`gap`, `checksum`, `clock_skew`) need to be understood to be made; who answers asks for those itself.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from pinnacle.errors import OperatorError
from pinnacle.limits import DELAYED_WRITES_MAX
from pinnacle.transport.server import Wire

# of each message of a websocket
MESSAGE_KINDS = {
    "drop": "the message is not sent",
    "duplicate": "it is sent twice",
    "reorder": "it is sent after the one that follows it",
    "delay": "it and all that follow on its connection are sent later by delay_ms",
    "disconnect": "the connection is cut instead",
    "silence": "from it on the connection is half open: nothing is sent, pongs neither, and nothing is heard",
}
# of each HTTP request; lost_ack of each message of a websocket's client too
REQUEST_KINDS = {
    "http_429": "refused with 429 and Retry-After, and not done",
    "http_5xx": "answered with 503, and not done",
    "lost_ack": "done, and the answer is never sent",
}
# made by who answers
OTHER_KINDS = {
    "gap": "sequence numbers are skipped, as if a message was lost",
    "checksum": "a checksum is wrong",
    "clock_skew": "the venue's clock is this many ms ahead (negative: behind); no rate",
}
KINDS = MESSAGE_KINDS | REQUEST_KINDS | OTHER_KINDS
Told = Callable[[str, str], None]


class Faults:
    """Which faults happen: each kind at its rate, by draws of its own, and those that are asked for once.

    rates: kind -> share of the messages or requests, 0 .. 1; clock_skew in ms.  told: is given kind and place of each.
    Raises OperatorError for a kind that does not exist or a rate that is none.
    """

    def __init__(self, rates: dict[str, float], seed: int, told: Told, delay_ms: float = 200.0) -> None:
        self.rates: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        self.delay_s = delay_ms / 1000
        self._told, self._asked = told, Counter[str]()
        self._draws = {kind: random.Random(f"{seed}:{kind}") for kind in KINDS}
        for kind, rate in rates.items():
            self.set(kind, rate)

    def set(self, kind: str, rate: float) -> None:
        """A kind happens at this rate from now on.  Raises OperatorError."""
        if kind not in KINDS:
            raise OperatorError(f"--fault {kind}: no such fault; there are {', '.join(KINDS)}")
        if kind != "clock_skew" and not 0 <= rate <= 1:
            raise OperatorError(f"--fault {kind}={rate}: must be a share from 0 to 1")
        if not -1e9 < rate < 1e9:
            raise OperatorError(f"--fault {kind}={rate}: must be a number of ms below 1e9")
        self.rates[kind] = rate

    def ask(self, kind: str, count: int = 1) -> None:
        """Let a kind happen at its next `count` occasions.  Raises OperatorError."""
        if kind not in KINDS or kind == "clock_skew":
            raise OperatorError(f"fault {kind}: cannot be asked for once; there are {', '.join(KINDS)}")
        self._asked[kind] = min(self._asked[kind] + count, 1 << 20)

    @property
    def any(self) -> bool:
        """Whether any fault of messages may happen: a quick way past for who has none."""
        return any(self.rates.get(kind) or self._asked[kind] for kind in MESSAGE_KINDS)

    @property
    def skew_ns(self) -> int:
        """The venue's clock less the true one."""
        return round(self.rates.get("clock_skew", 0.0) * 1_000_000)

    def strikes(self, kind: str, where: str) -> bool:
        """Whether a kind happens at this occasion; it is told if so."""
        rate = self.rates.get(kind, 0.0)
        struck = False
        if self._asked[kind]:
            self._asked[kind] -= 1
            struck = True
        elif rate:
            struck = self._draws[kind].random() < rate
        if struck:
            self.counts[kind] += 1
            self._told(kind, where)
        return struck


class FaultyWire:
    """A wire whose messages meet faults.  later: call_later of the loop, for delays and held messages."""

    def __init__(self, wire: Wire, faults: Faults, where: str, later: Callable[[float, Callable[[], None]], object]):
        self.wire, self._faults, self._where, self._later = wire, faults, where, later
        self._held: bytes | None = None  # to be sent after the next
        self._late: list[Callable[[], None]] = []  # what waits for a delay to end, in sequence
        self._delayed = 0

    def send(self, messages: list[bytes]) -> None:
        """Send text messages, as the faults leave them."""
        if not self._faults.any and self._held is None:
            self._pass(lambda: self.wire.send(messages))
            return
        out: list[bytes] = []
        strikes, where = self._faults.strikes, self._where
        for message in messages:
            if strikes("drop", where):
                continue
            if strikes("disconnect", where):
                self._flush(out)
                self._pass(self.wire.cut)
                return
            if strikes("silence", where):
                self._flush(out)
                self._pass(self._fall_silent)
                return
            if strikes("delay", where):
                self._flush(out)
                out = []
                self._delay()
            if self._held is None and strikes("reorder", where):
                self._held = message
                # If nothing follows, it comes late instead of never.
                self._later(1.0, self._release)
                continue
            out.append(message)
            if strikes("duplicate", where):
                out.append(message)
            if self._held is not None:
                out.append(self._held)
                self._held = None
        self._flush(out)

    def ping(self, payload: bytes) -> None:
        self._pass(lambda: self.wire.ping(payload))

    def close(self, code: int, reason: str) -> None:
        self._pass(lambda: self.wire.close(code, reason))

    def _flush(self, messages: list[bytes]) -> None:
        if messages:
            self._pass(lambda: self.wire.send(messages))

    def _pass(self, act: Callable[[], None]) -> None:
        """Do it now, or after the delay that is running."""
        if self._delayed:
            self._late.append(act)
            if len(self._late) > DELAYED_WRITES_MAX:
                self.wire.cut()
        else:
            act()

    def _delay(self) -> None:
        self._delayed += 1
        self._later(self._faults.delay_s, self._end_delay)

    def _end_delay(self) -> None:
        self._delayed -= 1
        if not self._delayed:
            late, self._late = self._late, []
            for act in late:
                act()

    def _release(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._flush([held])

    def _fall_silent(self) -> None:
        self.wire.silent = True

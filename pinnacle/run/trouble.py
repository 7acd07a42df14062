"""What a person is told when a venue refuses, trading stops or waits: the venue's words, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from pinnacle import event
from pinnacle.limits import TROUBLE_NS, TROUBLES_MAX
from pinnacle.venues.private.said import SWITCH_REFUSED, Note

# Notes that come in any good session, and say nothing to a person.
_QUIET = {
    "TRADE_LITE", "accepted", "chain", "doubled", "foreign_order", "foreign_symbol", "foreign_trade", "heartbeat",
    "no_trade", "pending_new", "filled", "position", "replaced", "switch_set",
}  # fmt: skip
KILLED = {
    0: "the operator's word; what rests is cancelled",
    event.KILL_LOSS: "live.loss_max was passed; the position is still held: `pinnacle live stop RUN`, then `pinnacle "
    "flatten RUN` takes it off",
    event.KILL_ERRORS: "the venue refused too much in a short time; its words are in the lines before this one",
    event.KILL_STALE: "a book was lost for longer than live.stale_s_max; look whether the venue is up",
    event.KILL_LOG: "the log cannot be written; free space on its disk, then start again",
    event.KILL_REFUSED: "the venue does not take this key: look at its rights, its expiry and the addresses it is "
    "bound to; `pinnacle keys test VENUE --online` asks the venue",
    event.KILL_MISTAKE: "the venue says that we asked for what it does not do, or says what is in no table of ours: "
    "look at its words in the lines before this one and at the account, before anything is started again",
    event.KILL_CAP: "an order would have gone beyond live.notional_max; set risk.position_max so that it stays within",
}
_KILLED_FOR_GOOD = "it stays stopped: start a new session in a new folder once that is seen to"
HELD = {
    event.HOLD_LINK: "no private connection, or the account is being compared; it trades on by itself",
    event.HOLD_RATE: "the venue's limits; it trades on by itself",
    event.HOLD_CLOCK: "our clock and the venue's differ: let NTP set it; it trades on once the venue takes requests",
    event.HOLD_HALTED: "the venue's market is halted; it trades on when it opens",
    event.HOLD_FUNDS: "the account does not hold what an order needs: deposit, or make orders smaller; it tries again",
    event.HOLD_SWITCH: "the venue's dead-man's switch is not set; it trades on once it is",
}
assert HELD.keys() | KILLED.keys() | {event.HOLD_OVER} == event.STOP_NAMES.keys()


class Trouble:
    """say: a line for people, by name and fields.  The same kind of note is said a few times a minute at most."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._killed = False
        self._holds: list[int] = []
        self._said: dict[tuple[str, str], tuple[int, int]] = {}  # (venue, note) -> (since, how often)

    def note(self, venue: str, note: Note, now_ns: int) -> None:
        """Something that a venue said."""
        if note.what in _QUIET:
            return
        since_ns, count = self._said.get((venue, note.what), (now_ns, 0))
        if now_ns - since_ns >= TROUBLE_NS:
            since_ns, count = now_ns, 0
        self._said[venue, note.what] = since_ns, count + 1
        if count < TROUBLES_MAX:
            last = {"more": "not said for a minute"} if count == TROUBLES_MAX - 1 else {}
            self._say("venue says", venue=venue, about=note.what, text=note.text, **last)

    def standing(self, killed: bool, why: int, holds: list[int]) -> None:
        """Whether trading stopped for good, and what makes it wait; said when it changes."""
        if killed and not self._killed:
            self._killed = True
            latched = {} if why == 0 else {"then": _KILLED_FOR_GOOD}
            self._say("killed", why=event.STOP_NAMES[why], remedy=KILLED[why], **latched)
        if killed:
            return
        for reason in holds:
            if reason not in self._holds:
                self._say("waiting", why=event.STOP_NAMES[reason], remedy=HELD[reason])
        if self._holds and not holds:
            self._say("trading")
        self._holds = holds


assert SWITCH_REFUSED not in _QUIET

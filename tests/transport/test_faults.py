"""Faults are seeded, happen at their rate, do to a stream of messages what they say, and are each told once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import OperatorError
from pinnacle.transport.faults import KINDS, MESSAGE_KINDS, Faults, FaultyWire


class PaperWire:
    """Writes down what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.silent = self.was_cut = False

    def send(self, messages: list[bytes]) -> None:
        if not self.silent and not self.was_cut:
            self.sent += messages

    def ping(self, payload: bytes) -> None:
        self.send([b"ping"])

    def close(self, code: int, reason: str) -> None:
        self.send([b"close"])

    def cut(self) -> None:
        self.was_cut = True


class Later:
    """Things that are to happen later, when a test says so."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, act: Callable[[], None]) -> None:
        self.due.append((seconds, act))

    def run(self) -> None:
        while self.due:
            due, self.due = self.due, []
            for _, act in due:
                act()


def play(rates: dict[str, float], seed: int, count: int) -> tuple[PaperWire, list[tuple[str, str]], Faults, Later]:
    told: list[tuple[str, str]] = []
    faults = Faults(rates, seed, lambda kind, where: told.append((kind, where)))
    wire, later = PaperWire(), Later()
    faulty = FaultyWire(wire, faults, "here", later)  # type: ignore[arg-type]
    for k in range(0, count, 5):
        faulty.send([str(k + n).encode() for n in range(5)])
    return wire, told, faults, later


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["drop", "duplicate", "reorder", "delay"]), st.floats(0, 0.4)),
    st.integers(0, 1 << 30),
)
def test_what_comes_out_is_what_the_faults_say(rates: dict[str, float], seed: int) -> None:
    """In all, each message comes out once, less the dropped, plus the doubled; the same seed does the same; each fault
    is told."""
    wire, told, faults, later = play(rates, seed, 400)
    later.run()
    again, _, _, later_again = play(rates, seed, 400)
    later_again.run()
    assert wire.sent == again.sent
    counts = faults.counts
    assert len(wire.sent) == 400 - counts["drop"] + counts["duplicate"]
    assert len(set(wire.sent)) == 400 - counts["drop"]
    assert len(told) == sum(counts.values()) and {where for _, where in told} <= {"here"}
    if not counts["reorder"]:
        numbers = [int(one) for one in wire.sent]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("kind", sorted(MESSAGE_KINDS))
def test_a_rate_is_kept_and_nought_is_never(kind: str) -> None:
    """Over many occasions a kind happens at about its rate (five standard deviations), and at 0 not at all."""
    faults = Faults({kind: 0.2}, 1, lambda kind, where: None)
    struck = sum(faults.strikes(kind, "") for _ in range(4_000))
    assert abs(struck - 800) < 5 * (4_000 * 0.2 * 0.8) ** 0.5
    faults.set(kind, 0)
    assert not any(faults.strikes(kind, "") for _ in range(1_000)) and not faults.any


def test_cut_and_silent() -> None:
    """A cut ends the stream at that message; silence lets nothing out from then on, pings neither."""
    for kind in ("disconnect", "silence"):
        faults = Faults({}, 0, lambda kind, where: None)
        wire, later = PaperWire(), Later()
        faulty = FaultyWire(wire, faults, "", later)  # type: ignore[arg-type]
        faulty.send([b"1"])
        faults.ask(kind)
        faulty.send([b"2", b"3"])
        faulty.send([b"4"])
        faulty.ping(b"")
        assert wire.sent == [b"1"] and (wire.was_cut, wire.silent) == (kind == "disconnect", kind == "silence")


def test_a_held_message_is_not_lost_when_nothing_follows() -> None:
    """The last message of a stream, chosen to be reordered, comes late."""
    wire, _, _, later = play({"reorder": 1.0}, 0, 5)
    before = list(wire.sent)
    later.run()
    assert len(before) == 4 and sorted(wire.sent) == [b"0", b"1", b"2", b"3", b"4"]


def test_what_is_no_fault_is_refused() -> None:
    """An unknown kind, a rate that is no share, a skew asked for once: an error with what there is."""
    faults = Faults({}, 0, lambda kind, where: None)
    for act in (
        lambda: faults.set("explode", 0.1), lambda: faults.set("drop", 1.1), lambda: faults.ask("clock_skew"),
        lambda: faults.set("clock_skew", float("inf")), lambda: faults.set("drop", float("nan")),
    ):  # fmt: skip
        with pytest.raises(OperatorError):
            act()
    assert set(KINDS) >= {"drop", "gap", "lost_ack"} and faults.rates == {}

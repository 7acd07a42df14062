"""Every fault of the local exchange against every dialect: a session's book is the house's or stale, and never wrong.

What is compared is the whole book that the log says with the house's, at moments at which nobody trades.  Where a
venue's protocol cannot show a loss, what it promises instead is tested:

- Kraken's checksum is of the ten best levels a side; only they are compared.
- Bitstamp numbers nothing: the book is compared with the venue's own every so often (here each second), and a change
  that was lost shows then and not before.
- Coinbase Exchange promises that no change of its level2 is lost, and numbers none; a connection that loses messages
  shows by those of its other channels that are numbered.
- Gemini's numbers overlap, and what was lost shows with the next change of the same book.

PINNACLE_LIVE_DIALECTS says which dialects take part (`all`, or names with commas; three of the seven if it does not,
because each takes a quarter of a minute); PINNACLE_LIVE_ROUNDS how often each fault is made, once if it does not;
PINNACLE_SEED the sequence.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pinnacle.dialects.names import DIALECTS
from pinnacle.event import LINK_DOWN, LINK_GAP, LINK_STALE
from pinnacle.venues.feed import CAUSE_CHECKSUM, CAUSE_CLOCK, CAUSE_CLOSED, CAUSE_SEQUENCE, CAUSE_SILENCE
from tests.cli.command import ran
from tests.live.books import Books
from tests.live.market import BASES, Scene, played, records_of, scene, wait_for

ROUNDS = int(os.environ.get("PINNACLE_LIVE_ROUNDS", "1"))
_ASKED = os.environ.get("PINNACLE_LIVE_DIALECTS", "binance,coinbase,kraken")
TAKE_PART = sorted(DIALECTS) if _ASKED == "all" else _ASKED.split(",")
# A fault of messages is made until so many books were lost, if it has not struck often enough before: where each blow
# costs a connection, as at coinbase-advanced, that takes long enough.
LOSSES = 12
# Fault -> the loss of a book that it must lead to; None where it may pass unnoticed, because nothing is missing.
MUST = {
    "drop": (LINK_GAP, CAUSE_SEQUENCE),
    "gap": (LINK_GAP, CAUSE_SEQUENCE),
    "duplicate": None,
    "reorder": None,
    "delay": None,
    "disconnect": (LINK_DOWN, CAUSE_CLOSED),
    "http_429": (LINK_DOWN, CAUSE_CLOSED),
    "http_5xx": (LINK_DOWN, CAUSE_CLOSED),
    "clock_skew": (LINK_STALE, CAUSE_CLOCK),
    "silence": (LINK_STALE, CAUSE_SILENCE),
}
MUST_AT = {
    # One change that is skipped may lie behind the ten best and so not show; sixty messages do.
    "kraken": {"gap": None, **dict.fromkeys(("drop", "checksum"), (LINK_GAP, CAUSE_CHECKSUM))},
    # An audit has no fixed cause: what it finds may as well show as a crossed book, or as one that fell silent before.
    # And its stamps only rise, whatever its clock does.
    "bitstamp": dict.fromkeys(("gap", "drop", "clock_skew")),
}


def happens(one: Scene, kind: str) -> None:
    """Make a fault, so that it meets changes of a book where it is one of messages."""
    before = one.struck(kind)
    # Books and trades come on two connections there, and a fault is to meet both.
    two = one.dialect == "binance-usdm"
    if kind in ("drop", "duplicate", "reorder"):
        lost = one.losses()
        one.rate(kind, 0.5 if kind == "reorder" else 1.0)
        wait_for(kind, lambda: one.struck(kind) >= before + 60 or one.losses() >= lost + LOSSES)
        one.rate(kind, 0.0)
    elif kind == "clock_skew":
        for ms in (20_000, -20_000, 0):
            one.rate(kind, ms)
            one.runs(100)
    elif kind in ("http_429", "http_5xx"):
        one.fault(kind, 2)
        one.fault("disconnect", 4 if two else 1)
        wait_for(kind, lambda: one.struck(kind) > before)
    else:
        lost = one.losses()
        one.fault(kind, {"silence": 20, "disconnect": 4}.get(kind, 1) if two else 1)
        wait_for(kind, lambda: one.struck(kind) > before)
        if kind == "silence":
            # A connection that says nothing is known to be behind when it has said nothing for long, and not before.
            wait_for("the silence to be heard", lambda: one.losses() > lost)


@pytest.mark.parametrize("dialect", TAKE_PART)
def test_a_book_is_right_or_stale_and_nothing_is_quoted_on_a_stale_one(
    tmp_path: Path, dialect: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """After each fault every book that is live is the house's, level by level; where the loss can be seen it was said,
    with its cause; it comes back each time; no order was placed on a book that was not live; and the whole session with
    all its faults replays byte for byte."""
    monkeypatch.setattr("pinnacle.transport.reconnect.BACKOFF_S_MAX", 0.5)
    # As many faults in a minute as otherwise in days: more connections than a session makes in five minutes.
    monkeypatch.setattr("pinnacle.transport.reconnect.CONNECTIONS_IN_WINDOW_MAX", 1_000)
    monkeypatch.setattr("pinnacle.venues.bitstamp_book.BITSTAMP_AUDIT_NS", 1_000_000_000)
    must = MUST | MUST_AT.get(dialect, {})
    kinds = [kind for _ in range(ROUNDS) for kind in random.Random(seed).sample(sorted(must), len(must))]
    print(f"seed {seed}: {kinds}")
    with scene(dialect, tmp_path, silence_ms=2500) as one:

        def play() -> None:
            for kind in kinds:
                wait_for(f"live books before {kind}", one.live)
                before = [len(one.books.of(k).causes) for k in range(len(BASES))]
                happens(one, kind)
                one.runs(100)
                assert one.at_rest() == [], f"seed {seed}: wrong after {kind}"
                one.thaw()
                expected = must[kind]
                if expected is not None:
                    said = lambda: [c for k, n in enumerate(before) for c in one.read().of(k).causes[n:]]  # noqa: E731, B023
                    wait_for(f"the loss by {kind} to be said", lambda: expected in said())  # noqa: B023
            wait_for("live books at the end", one.live)

        played(one, play)
    books = Books()
    books.take([records_of(one.out)])
    for k in range(len(BASES)):
        assert books.of(k).placed and not books.of(k).placed_blindly
    assert ran("log", "verify", one.out).code == 0
    assert ran("replay", one.out).out.startswith("equal: ")

"""Every fault of the local exchange against every dialect: a session's book is the house's or stale, and never wrong.

Where a venue's protocol cannot show a loss, what it promises instead is written beside it and tested.
PINNACLE_LIVE_FAULTS=all makes each fault three times, in a random sequence.
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

GAP, CHECKSUM = (LINK_GAP, CAUSE_SEQUENCE), (LINK_GAP, CAUSE_CHECKSUM)
CLOSED, SILENT, OLD = (LINK_DOWN, CAUSE_CLOSED), (LINK_STALE, CAUSE_SILENCE), (LINK_STALE, CAUSE_CLOCK)
AUDIT = GAP  # Bitstamp numbers nothing: the book is compared with the venue's own every so often, and that shows it
KINDS = (
    "drop", "duplicate", "reorder", "delay", "gap", "checksum", "disconnect", "http_429", "http_5xx", "clock_skew",
    "silence",
)  # fmt: skip
# What a fault must lead to, where it must lead to anything.  A message lost or skipped shows by the venue's numbers or
# checksum; the others by the connection, its silence, or the age of what it says.
MUST = {
    "drop": GAP, "gap": GAP, "disconnect": CLOSED, "http_429": CLOSED, "http_5xx": CLOSED, "clock_skew": OLD,
    "silence": SILENT,
}  # fmt: skip
MUST_AT = {
    "kraken": {"drop": CHECKSUM, "gap": CHECKSUM, "checksum": CHECKSUM},
    "bitstamp": {"drop": AUDIT, "gap": AUDIT},
}
"""WIP"""


def happens(one: Scene, kind: str) -> None:
    """Make a fault, so that it meets changes of a book where it is one of messages."""
    before = one.struck(kind)
    if kind in ("drop", "duplicate", "reorder"):
        one.rate(kind, 0.5 if kind == "reorder" else 1.0)
        wait_for(kind, lambda: one.struck(kind) >= before + 60)
        one.rate(kind, 0.0)
    elif kind == "clock_skew":
        for ms in (20_000, -20_000, 0):
            one.rate(kind, ms)
            one.runs(100)
    elif kind in ("http_429", "http_5xx"):
        one.fault(kind, 2)
        one.fault("disconnect", 4)
        wait_for(kind, lambda: one.struck(kind) >= before + 1)
    else:
        one.fault(kind)
        if kind != "checksum":
            wait_for(kind, lambda: one.struck(kind) > before)
    if kind == "silence":
        # A connection that says nothing cannot be known to be behind until it has said nothing for long.
        lost = [len(one.books.of(k).causes) for k in range(len(BASES))]
        wait_for("silence heard", lambda: any(len(one.read().of(k).causes) > lost[k] for k in range(len(BASES))))


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_book_is_right_or_stale_and_never_quoted_on_when_stale(
    tmp_path: Path, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x"""
    import time

    monkeypatch.setattr("pinnacle.transport.reconnect.BACKOFF_S_MAX", 0.5)
    monkeypatch.setattr("pinnacle.venues.bitstamp_book.BITSTAMP_AUDIT_NS", 1_000_000_000)
    with scene(dialect, tmp_path, silence_ms=2500) as one:

        def play() -> None:
            for kind in KINDS:
                wait_for("live books", one.live)
                b4 = [len(one.books.of(k).causes) for k in range(2)]
                t0 = time.monotonic()
                happens(one, kind)
                t1 = time.monotonic()
                one.runs(150)
                t1 = time.monotonic()
                found = one.at_rest()
                t2 = time.monotonic()
                causes = [one.books.of(k).causes[n:] for k, n in enumerate(b4)]
                one.thaw()
                print(
                    f"{dialect} {kind}: {'WRONG ' + str(found) if found else 'right'} {causes} struck {one.struck(kind)} {t1 - t0:.1f} {t2 - t1:.1f}",
                    flush=True,
                )

        said = played(one, play)
    for k in range(len(BASES)):
        b = one.books.of(k)
        print(k, b.ups, b.causes, b.placed, b.placed_blindly)
        assert b.placed_blindly == 0
    print("\n".join(l for l in said.out.splitlines() if '"connected"' not in l)[:5000])
    assert ran("replay", one.out).out.startswith("equal: ")

"""Warming a venue: afterwards its feed compiles nothing more, whatever it hears."""

from __future__ import annotations

import subprocess
import sys

from pinnacle.venues.venues import VENUES

# In a process of its own: another test may have compiled everything already.
PROGRAM = """
import sys
from numba.core.dispatcher import Dispatcher
from pinnacle.venues.feed import Followed, Rows
from pinnacle.venues.venues import VENUES, venue
from pinnacle.venues.warm import warm
from pinnacle.dialects.names import dialect_class
from tests.dialects.rig import NS, Rig

KERNELS = ("binance_frame", "diff", "coinbase", "depth", "kraken", "levels", "own_book", "own_levels")

def compiled():
    modules = [sys.modules[f"pinnacle.kernels.{name}"] for name in KERNELS if f"pinnacle.kernels.{name}" in sys.modules]
    found = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)}
    return sum(len(one.overloads) for one in found.values())

for name in VENUES:
    warm(name)
before = compiled()
assert before > 8, before
for name in VENUES:
    spoken = dialect_class(name)
    rig = Rig(spoken, (spoken.symbol("BTC", spoken.quote), spoken.symbol("ETH", spoken.quote)), per_s=60.0, resting=20)
    feed = venue(name).feeds([Followed(rig.listings[0].instrument, 0, 0)], venue(name).ADDRESS)[0]
    rows, heard = Rows(), 0
    session = rig.connect(feed.url or "/", {"user-agent": "test"})
    feed.opened(rig.now_ns, rows)
    for _ in range(60):
        for frame in feed.sends:
            rig.say(session, frame)
        feed.sends.clear()
        for fetch in list(feed.fetches):
            feed.fetches.remove(fetch)
            answer = rig.request(fetch.method, fetch.path, b"", {"user-agent": "test"})
            feed.answered(fetch.tag, answer.status, answer.body, rig.now_ns, rows)
        rig.dialect.take_waiting()
        outbox, session.outbox = session.outbox, []
        for message in outbox:
            if isinstance(message, bytes):
                feed.received(message, rig.now_ns, rows)
        heard += rows.take().size
        rig.step(NS // 20)
    assert not feed.restart and heard > 50, (name, feed.restart, heard)
    assert compiled() == before, (name, compiled(), before)
print("nothing more")
"""


def test_nothing_is_compiled_after_it() -> None:
    """Each venue's feed, warmed, follows a market of its dialect for three seconds and compiles nothing."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=280, check=False)
    assert done.stdout == "nothing more\n", done.stderr
    assert len(VENUES) >= 7

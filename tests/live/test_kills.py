"""Kill a session that follows the local exchange, anywhere: whenever it dies and whatever is torn, a start goes on.

PINNACLE_LIVE_KILLS says how often it is killed, 4 if it does not; PINNACLE_SEED repeats a run's choices.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from pinnacle.errors import LogDamaged
from pinnacle.event import LINK_UP, ORDER_FILLED, PLACE, empty
from pinnacle.limits import FRAME_RECORDS_MAX
from pinnacle.log.manifest import read_manifest
from pinnacle.log.reader import LogReader
from tests.cli.command import ROOT, command, ran
from tests.live.books import Books
from tests.live.market import scene, wait_for

KILLS = int(os.environ.get("PINNACLE_LIVE_KILLS", "4"))
HEADER_BYTES = 64


def records_of(run: Path) -> np.ndarray:
    """What is whole in the log of a session that runs or was killed; nothing where it had not begun."""
    parts = [empty(0)]
    if not list(run.glob("log/log-*")):
        return parts[0]
    try:
        for batch in LogReader(run).records():
            parts.append(batch)
    except LogDamaged as torn:
        assert torn.path == str(sorted(run.glob("log/log-*"))[-1]), "damage before the end of the log"
    return np.concatenate(parts)


def tear(run: Path, chance: random.Random) -> str:
    """Do to the end of the last journal what a power cut does: a part of it is missing, or is not what was written."""
    journals = sorted(run.glob("log/*.journal"))
    if not journals:
        return "nothing to tear"
    data = bytearray(journals[-1].read_bytes())
    used = len(bytes(data).rstrip(b"\0"))
    if used < HEADER_BYTES + 200:
        return "nothing to tear"
    what = chance.choice(("cut short", "zeros at its end", "a bit flipped"))
    at = used - chance.randrange(1, 60)
    if what == "cut short":
        data = data[:at]
    elif what == "zeros at its end":
        data[at:] = bytes(len(data) - at)
    else:
        data[at] ^= 1 << chance.randrange(8)
    journals[-1].write_bytes(data)
    return what


def test_a_session_killed_anywhere_goes_on(tmp_path: Path, seed: int) -> None:
    """SIGKILL at a random moment of its life (loading, recovering, connecting, trading, sealing), sometimes with its
    last frame torn as well, again and again in one folder: nothing that was whole is ever lost or changed, the next
    start always recovers, no order is placed on a book that is not live, and all its lives are one log that replays."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    with scene("binance", tmp_path) as one, ExitStack() as children:
        words = command(
            "live", "run", one.config, "--out", one.out, "--headless", "--set", "live.rotate_s=1",
            "--set", "run.checkpoint_every=197",
        )  # fmt: skip

        def start() -> subprocess.Popen[bytes]:
            with (tmp_path / "said").open("a") as sink:
                child = subprocess.Popen(words, cwd=ROOT, stdout=sink, stderr=sink)
            children.callback(child.kill)
            return child

        # The first life compiles the kernels where that was not done; the second shows how long a start takes.
        for _ in range(2):
            (one.out / "control.sock").unlink(missing_ok=True)
            child, began = start(), time.monotonic()
            wait_for("the session", (one.out / "control.sock").exists, 300)
            alive_s = time.monotonic() - began
            child.send_signal(signal.SIGKILL)
            child.wait(20)
        before = records_of(one.out)
        for number in range(KILLS):
            child = start()
            time.sleep(chance.uniform(0.2 * alive_s, 2 * alive_s + 0.5))
            assert child.poll() is None, (tmp_path / "said").read_text()[-2000:]
            child.send_signal(signal.SIGKILL)
            child.wait(20)
            after = records_of(one.out)
            assert np.array_equal(after[: before.size], before), f"seed {seed}, kill {number}: something was lost"
            counts["kills that heard something new"] += after.size > before.size
            before = after
            if chance.random() < 0.5:
                counts[tear(one.out, chance)] += 1
                before = records_of(one.out)
                assert np.array_equal(after[: before.size], before)
                assert after.size - before.size <= FRAME_RECORDS_MAX, "more was lost than the last frame"
        (one.out / "control.sock").unlink(missing_ok=True)
        child = start()
        wait_for("the session", (one.out / "control.sock").exists)
        # It trades, so it is as good as ever.
        placed = int((before["kind"] == PLACE).sum())
        wait_for("an order", lambda: sum(book.placed for book in one.read().books.values()) > placed)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0, (tmp_path / "said").read_text()[-2000:]
    heard = records_of(one.out)
    assert np.array_equal(heard[: before.size], before)
    assert read_manifest(one.out).status == "complete"
    books = Books()
    books.take([heard])
    assert all(book.placed and not book.placed_blindly for book in books.books.values())
    assert ran("log", "verify", one.out).code == 0
    replayed = ran("replay", one.out).out
    assert replayed.startswith("equal: ")
    counts["lives with a live book"] = int((heard["kind"] == LINK_UP).sum() // 2)
    counts["orders"], counts["fills"] = (int((heard["kind"] == kind).sum()) for kind in (PLACE, ORDER_FILLED))
    print(f"{KILLS} kills, {alive_s:.1f} s to a running session: {dict(counts)}; {replayed.strip()}")

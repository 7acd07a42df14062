"""A local exchange on loopback with TLS, a session that follows it, and the hand that makes the faults between them.

Exchange and session run in this process, on threads of their own; the session's log is all that is looked at of it, and
the house's book is the truth that it is held to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pinnacle.dialects.names import dialect_class
from pinnacle.event import ASK, BID, EVENT
from pinnacle.log.reader import LogReader
from pinnacle.transport.control import ask
from pinnacle.venues.feed import CAUSE_SILENCE
from pinnacle.watch.tail import Tail
from tests.cli.command import Said, pinnacle
from tests.live.books import Books, ranked
from tests.run.served import Served, served

# Generous: what is waited for comes within tenths of a second on an idle machine.
PATIENCE_S = 40.0
# After so long without a word of the market nothing is on its way any more, and Bitstamp's comparison, which waits five
# seconds for a change to follow, has been made.  It is waited for only where a book is not the house's.
QUIET_S = 10.0
# Levels a side that a venue's protocol can vouch for, where these are not all: Kraken's checksum is of the best ten, so
# a change that is lost behind them shows when it comes among them.
CHECKED = {"kraken": 10}
BASES = ("BTC", "ETH")
FLOW = ("flow.model=plain", "flow.per_s=150", "flow.resting=150", "flow.taking=0.2")


def wait_for(what: str, true: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until something is so; what: for whoever reads that it never was."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def config_of(dialect: str, one: Served, certificate: Path, bases: tuple[str, ...] = BASES, silence_ms: int = 0) -> str:
    """The text of a session's config: the best joined on the served instruments, over TLS."""
    spoken = dialect_class(dialect)
    secure = one.wss.removeprefix("wss://")
    followed = "".join(
        f'[[instruments]]\nvenue = "{dialect}"\nsymbol = "{spoken.symbol(base, spoken.quote)}"\n' for base in bases
    )
    return f"""
[strategy]
path = "join_best"
[strategy.params]
order_qty = 0.01
position_max = 0.2
[wake]
every_ms = 50
on_book = true
[latency]
entry_ms = 3
response_ms = 30
[run]
checkpoint_every = 997
[live]
disk_free_mb = 0
silence_ms = {silence_ms}
ca_file = "{certificate}"
[live.venues.{dialect}]
websocket = "wss://{secure}"
rest = "https://{secure}"
{followed}"""


class Scene:
    """The exchange, the session's folder, and its log as it grows."""

    def __init__(self, dialect: str, one: Served, folder: Path, silence_ms: int) -> None:
        self.dialect, self.one = dialect, one
        self.config, self.out = folder / "config.toml", folder / "run"
        self.config.write_text(config_of(dialect, one, folder / "trusted.pem", silence_ms=silence_ms))
        self.books = Books()
        self.depth = CHECKED.get(dialect)
        self._tail: Tail | None = None
        self._causes = [0] * len(BASES)

    # --- the log --------------------------------------------------------------------------------------------------
    def read(self) -> Books:
        """The books as the log says them now."""
        if self._tail is None:
            wait_for("the session's log", (self.out / "log").is_dir)
            self._tail = Tail(self.out / "log")
        self.books.take(self._tail.more())
        return self.books

    def live(self) -> bool:
        """Whether every book is live."""
        books = self.read()
        return all(books.of(k).live for k in range(len(BASES)))

    def losses(self) -> int:
        """How often a book was lost so far."""
        books = self.read()
        return sum(len(books.of(k).causes) for k in range(len(BASES)))

    def close(self) -> None:
        if self._tail is not None:
            self._tail.close()

    # --- the exchange ---------------------------------------------------------------------------------------------
    def truth(self, instrument: int, side: int) -> list[tuple[int, int]]:
        """The house's levels, best first."""
        house = self.one.desk.dialect.house
        return list(self.one.call(house.levels, instrument, side))

    def freeze(self) -> None:
        """Nobody but clients trades until `thaw`; clocks and heartbeats go on."""
        for market in self.one.desk.dialect.house.markets:
            vars(market)["advance"] = lambda to_ns: (np.zeros(0, EVENT), np.zeros(0, np.int32))
        # What was under way is done when this has been called there.
        self.one.call(self.one.desk.step)

    def thaw(self) -> None:
        for market in self.one.desk.dialect.house.markets:
            vars(market).pop("advance", None)

    def runs(self, messages: int) -> None:
        """Let the market go on until so many more messages were sent."""
        sent = self.one.desk.messages_sent
        wait_for(f"{messages} messages", lambda: self.one.desk.messages_sent >= sent + messages)

    def fault(self, kind: str, count: int = 1) -> None:
        """A fault is to happen at its next occasions."""
        self.one.call(self.one.desk.faults.ask, kind, count)

    def rate(self, kind: str, rate: float) -> None:
        self.one.call(self.one.desk.faults.set, kind, rate)

    def struck(self, kind: str) -> int:
        """How often a fault has happened."""
        return self.one.desk.faults.counts[kind]

    # --- one against the other ------------------------------------------------------------------------------------
    def differences(self) -> list[str]:
        """Where live books are not the house's, with the market frozen; a book that is not live claims nothing.

        A book that was lost for silence since the freeze did claim: what it was until then is compared.
        """
        books, found = self.read(), []
        for k, base in enumerate(BASES):
            book = books.of(k)
            silenced = any(cause == CAUSE_SILENCE for _, cause in book.causes[self._causes[k] :])
            for side in (BID, ASK):
                true = self.truth(k, side)
                for claimed, levels in ((book.live, book.sides), (silenced, book.believed)):
                    mine = ranked(side, levels[side])
                    if claimed and mine[: self.depth] != true[: self.depth]:
                        wrong = sorted(set(mine) ^ set(true))[:4]
                        found.append(f"{base} side {side}: {len(mine)} levels, {len(true)} true, differing at {wrong}")
        return found

    def at_rest(self) -> list[str]:
        """Freeze the market and wait until what was sent has arrived: the differences of live books there are then.

        Quiet means that the log has said nothing for seconds but what time says.
        """
        self.freeze()
        self.read()
        self._causes = [len(self.books.of(k).causes) for k in range(len(BASES))]
        quiet_since, heard = time.monotonic(), -1
        while True:
            found = self.differences()
            if not found:
                return found
            if self.books.heard != heard:
                quiet_since, heard = time.monotonic(), self.books.heard
            if time.monotonic() - quiet_since > QUIET_S:
                return found
            time.sleep(0.02)


@contextmanager
def scene(
    dialect: str, folder: Path, silence_ms: int = 0, flow: tuple[str, ...] = FLOW, delay_ms: int = 300
) -> Iterator[Scene]:
    """A served market of a dialect, with the files of a session that follows it."""
    with served(dialect, flow, faults=(f"delay_ms={delay_ms}",), certificate=folder / "trusted.pem") as one:
        made = Scene(dialect, one, folder, silence_ms)
        try:
            yield made
        finally:
            made.close()


def played(scene: Scene, play: Callable[[], None], *more: str, command: tuple[str, ...] = ("live", "run")) -> Said:
    """Run a session here while `play` runs in another thread; it stops when that has ended, and its error is ours."""
    failed: list[BaseException] = []

    def go() -> None:
        try:
            play()
        except BaseException as error:
            failed.append(error)
        finally:
            scene.thaw()
            try:
                wait_for("the session's door", (scene.out / "control.sock").exists)
                ask(scene.out, {"do": "stop"})
            except Exception as error:
                failed.append(error)

    player = threading.Thread(target=go, daemon=True)
    player.start()
    said = pinnacle(*command, scene.config, "--out", scene.out, "--headless", "--for", "200", *more)
    player.join(2 * PATIENCE_S)
    assert not player.is_alive(), "whoever plays has not ended"
    if failed:
        print(said.err, said.out[-4000:])
        raise failed[0]
    assert said.code == 0, said.err + said.out[-2000:]
    return said


def records_of(run: Path) -> np.ndarray:
    """The whole log of a session that has ended."""
    return np.concatenate(list(LogReader(run).records()))

"""A live session: feeds, clock, log and engine in one loop, from the start (which is a recovery) to a clean end.

A short wiring: what is heard is decided by the venues' files, what follows from it by the kernels, how it is kept by
the log.  Here is only who calls whom, and in which order things end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle import interrupt
from pinnacle.config import Config
from pinnacle.engine.strategy import Strategy
from pinnacle.errors import DiskError, OperatorError, PinnacleError
from pinnacle.event import (
    KIND_NAMES,
    LAST,
    LINK_DOWN,
    LINK_STALE,
    OPERATOR_FLATTEN,
    OPERATOR_KILL,
    OPERATOR_PAUSE,
    OPERATOR_RESUME,
    OUTPUT_KIND_MIN,
    empty,
)
from pinnacle.instrument import Instrument
from pinnacle.kernels.state import NEVER
from pinnacle.limits import LEAVE_S_MAX, REAL_STOP_S_MAX, STOP_S_MAX, TICK_S
from pinnacle.log.manifest import (
    Manifest,
    write_manifest,
)
from pinnacle.run.backtest import now_text
from pinnacle.run.connections import FeedConnection
from pinnacle.run.gateway_connection import GatewayConnection
from pinnacle.run.livelog import FolderLock
from pinnacle.run.loop import Engine
from pinnacle.run.opening import Opening, address_of
from pinnacle.run.real_orders import Account, RealOrders
from pinnacle.run.settings import venue_table
from pinnacle.run.tapefile import TapeFile
from pinnacle.transport.control import ControlServer
from pinnacle.transport.http import Http
from pinnacle.transport.websocket import Route
from pinnacle.venues.feed import CAUSE_CLOCK, CAUSE_CLOSED, CAUSE_NAMES, CAUSE_START, Address, Followed
from pinnacle.venues.venues import gateway_address, venue
from pinnacle.venues.warm import warm

_OPERATOR = {"pause": OPERATOR_PAUSE, "resume": OPERATOR_RESUME, "flatten": OPERATOR_FLATTEN}
_EMPTY = empty(0)
STOPPED_FOR_GOOD = (
    "trading was stopped for good, so nothing was done; what is held is taken off once the session has ended: "
    "pinnacle live stop RUN, then pinnacle flatten RUN"
)


@dataclass
class Session:
    """What a session is made of.  mode: "paper", or "record" without a strategy.  out: its folder, new or one to go on
    with.  say: a line for people, by name and fields.  stop_after_s: ends by itself then, 0 for never.  may_rest: real
    orders whose end was not heard when it ended."""

    config: Config
    where: str
    mode: str
    strategy: Strategy | None
    out: Path
    say: Callable[..., None]
    stop_after_s: float = 0
    seed: int = 0
    instruments: list[Instrument] = field(default_factory=list)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    may_rest: int = 0

    def run(self) -> Manifest:
        """Run until it is stopped; the log is sealed afterwards.  Raises PinnacleError for what ended it otherwise."""
        import uvloop

        assert (self.strategy is None) == (self.mode == "record")
        make_folder(self.out)
        lock = FolderLock(self.out)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(self._main())
        finally:
            lock.release()

    async def _main(self) -> Manifest:
        # Asked for at once, so that a signal while kernels compile is a stop and not a death.  One that came before
        # and was lost in a library is a stop too.
        interrupt.check()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        for number in interrupt.stopping():
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        live = self.config.live
        self._route = Route(ca_file=live.ca_file, proxy=live.proxy)
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = NEVER
        # Before anything is connected, and out of the loop's way: a first run compiles for half a minute.
        for name in dict.fromkeys(one.venue for one in self.config.instruments):
            await asyncio.to_thread(warm, name)
        async with Http(self._route) as http:
            opened = await self._opening().open(http)
            self.manifest, self.log, self.ear, self.clock = opened.manifest, opened.log, opened.ear, opened.clock
            self.instruments = opened.instruments
            tape = self._tape()
            try:
                self._begin()
                await self._converse(http, tape)
            except BaseException as error:
                self._failure = self._failure or error
            finally:
                if tape is not None:
                    tape.close()
            return self._end()

    # --- the start ------------------------------------------------------------------------------------------------
    def _opening(self) -> Opening:
        return Opening(self.config, self.where, self.mode, self.strategy, self.out, self.say, accounts=self.accounts)

    def _begin(self) -> None:
        """First of all every book is stale: nothing was heard yet."""
        now_ns = self.clock.now_ns()
        if isinstance(self.ear, RealOrders):
            self.ear.begin(now_ns, self.say)
        if isinstance(self.ear, Engine):
            expired = self.ear.begin(now_ns)
            if expired:
                self.say("expired", orders=expired, why="the simulated venue ended with its process")
        if isinstance(self.ear, Engine | RealOrders):
            told = self.ear.told()
            if told["killed"]:
                self.say("stopping", why="it was being stopped when it ended")
                self._stop.set()
            elif told["paused"] and not isinstance(self.ear, RealOrders):
                self.say("paused", why="the operator paused it, and has to resume it")
            elif isinstance(self.ear, RealOrders) and self.ear.safety.wanted != OPERATOR_RESUME:
                self.say("paused", why=f"the operator paused or flattened it: pinnacle live resume {self.out}")
        self._all_links(LINK_DOWN, CAUSE_START, now_ns)
        self.say("started", mode=self.mode, out=str(self.out), instruments=[one.name for one in self.instruments])

    # --- while it runs --------------------------------------------------------------------------------------------
    def _feeds(self, http: Http, tape: TapeFile | None) -> list[FeedConnection]:
        venues = venue_table(self.instruments)
        chance = random.Random(self.seed or None)
        connections = []
        for v, name in enumerate(venues):
            followed = [
                Followed(instrument=one, venue=v, index=k, depth=self.config.live.depth)
                for k, one in enumerate(self.instruments)
                if one.venue == name
            ]
            address = address_of(self.config, name)
            for n, feed in enumerate(venue(name).feeds(followed, address)):
                if self.config.live.silence_ms:
                    feed.silence_ns = round(self.config.live.silence_ms * 1e6)
                connections.append(
                    FeedConnection(
                        f"{name}/{n}", feed, address, self._route, http, self.clock,
                        random.Random(chance.getrandbits(64)), self.hear, self._fail, self.say, tape,
                    )
                )  # fmt: skip
        return connections

    def _gateways(self, http: Http) -> list[GatewayConnection]:
        """The accounts' connections, where orders are real."""
        if not isinstance(self.ear, RealOrders):
            return []
        ear, chance = self.ear, random.Random(self.seed or None)

        def heard(now_ns: int) -> None:
            if not self._over:
                ear.heard(now_ns)
                if not self._failure:
                    ear.failed()

        made = []
        for name, gateway in ear.gateways().items():
            public, own = gateway_address(name), self.config.live.venues.get(name)
            address = public if own is None else Address(own.websocket or public.websocket, own.rest or public.rest)
            made.append(
                GatewayConnection(
                    f"{name}/account", gateway, address, self._route, http, self.clock,
                    random.Random(chance.getrandbits(64)), heard, self._fail, self.say,
                )
            )  # fmt: skip

        def flush() -> None:
            for one in made:
                one.do_wishes()

        ear.flush = flush
        return made

    def _tape(self) -> TapeFile | None:
        if not self.config.live.tape:
            return None
        number = len(list((self.out / "tape").glob("*.zst"))) if (self.out / "tape").is_dir() else 0
        return TapeFile(self.out / "tape" / f"tape-{number:06d}.jsonl.zst")

    def hear(self, events: np.ndarray, now_ns: int) -> None:
        """Events of one moment, and what is due by then; then see when something is due next."""
        if self._over or (self._failure is not None and not self.log.ending):
            # A connection that ends after the log; or messages that came in the same bytes as the one that failed,
            # which a state that stopped half way must not hear: what it made of them would not replay.
            return
        self.ear.hear(events, now_ns)
        if isinstance(self.ear, RealOrders) and not self._failure:
            self.ear.failed()
        due_ns = self.ear.due_ns()
        if due_ns < self._timer_ns:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_ns = due_ns
            self._timer = asyncio.get_running_loop().call_later(max(0.0, (due_ns - now_ns) / 1e9), self._due)

    def _due(self) -> None:
        self._timer, self._timer_ns = None, NEVER
        try:
            self.hear(_EMPTY, self.clock.now_ns())
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stop.set()

    async def _converse(self, http: Http, tape: TapeFile | None) -> None:
        """Connect, listen, and let time go by until it is stopped."""
        feeds = self._feeds(http, tape)
        gateways = self._gateways(http)
        self._connections: list[FeedConnection | GatewayConnection] = [*feeds, *gateways]
        control = ControlServer(self.out, self._answer)
        await control.start()
        # The first call has loaded or compiled what it needs.
        self.hear(_EMPTY, self.clock.now_ns())
        tasks = [asyncio.create_task(one.connection.run()) for one in self._connections]
        ticking = asyncio.create_task(self._ticks(self._connections))
        for task in (*tasks, ticking):
            task.add_done_callback(self._task_done)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self.stop_after_s or None)
        try:
            try:
                if self._failure is None:
                    await self._pull_quotes()
            except Exception as error:
                # As when the disk is full by now: the orders must end all the same.
                self._failure = self._failure or error
            if isinstance(self.ear, RealOrders):
                await self._drain(self.ear)
        finally:
            control.close()
            for task in (ticking, *tasks):
                task.cancel()
            await asyncio.gather(ticking, *tasks, return_exceptions=True)
            if self._timer is not None:
                self._timer.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            assert error is not None
            self._fail(error)

    async def _pull_quotes(self) -> None:
        """Say the last word, and wait for the orders to end."""
        self.say("stopping")
        if self.strategy is None:
            return
        self._operator(OPERATOR_KILL)
        deadline = asyncio.get_running_loop().time() + STOP_S_MAX
        while self.ear.open_orders() and self._failure is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
            self.hear(_EMPTY, self.clock.now_ns())

    async def _drain(self, ear: RealOrders) -> None:
        """Whatever ended the session, its real orders must end too, and be heard to."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + REAL_STOP_S_MAX
        if self._failure is not None:
            ear.stop(self.clock.now_ns())
        while ear.open_orders() and loop.time() < deadline:
            await asyncio.sleep(0.05)
            for one in self._connections:
                if isinstance(one, GatewayConnection):
                    one.tick()  # who else does may be what failed
            try:
                ear.trader.tick(self.clock.now_ns())
            except Exception as error:
                # As a strategy may raise even now: what rests is cancelled without it.
                self._fail(error)
                ear.stop(self.clock.now_ns())
            ear.flush()
        deadline = loop.time() + LEAVE_S_MAX
        while not ear.leave(self.clock.now_ns()) and loop.time() < deadline:
            await asyncio.sleep(0.05)
        self.may_rest = ear.open_orders()
        if self.may_rest:
            self.say(
                "orders may rest", orders=self.may_rest,
                why=f"no end of them was heard in {REAL_STOP_S_MAX:.0f} s: look at the venue, and cancel there",
            )  # fmt: skip

    async def _ticks(self, feeds: Sequence[FeedConnection | GatewayConnection]) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            jumped_ns = self.clock.check()
            if jumped_ns:
                self.say("clock jumped", ms=round(jumped_ns / 1e6))
                self._all_links(LINK_STALE, CAUSE_CLOCK, self.clock.now_ns())
                for feed in feeds:
                    feed.connection.restart("the clock jumped")
            for feed in feeds:
                feed.tick()
            self.log.tick()
            free = os.statvfs(self.out)
            if free.f_bavail * free.f_frsize < self.config.live.disk_free_mb << 20:
                raise DiskError(
                    f"{self.out}: less than {self.config.live.disk_free_mb} MB of its disk are free "
                    "(live.disk_free_mb); quotes were pulled and the log is whole: free space and start again"
                )

    def _all_links(self, kind: int, cause: int, now_ns: int) -> None:
        """Say of every instrument that its book is not to be trusted."""
        self.hear(self._link_rows(kind, cause, now_ns), now_ns)
        self.say("links", state=KIND_NAMES[kind], cause=CAUSE_NAMES[cause])

    def _link_rows(self, kind: int, cause: int, now_ns: int) -> np.ndarray:
        venues = venue_table(self.instruments)
        rows = empty(len(self.instruments))
        for k, instrument in enumerate(self.instruments):
            row = rows[k]
            row["ts_ns"], row["kind"], row["aux"], row["flags"] = now_ns, kind, cause, LAST
            row["venue"], row["instrument"] = venues.index(instrument.venue), k
        return rows

    def _operator(self, kind: int) -> None:
        now_ns = self.clock.now_ns()
        if isinstance(self.ear, RealOrders):
            self.ear.operator(kind, now_ns)
            self.say("operator", said=KIND_NAMES[kind])
            return
        event = empty(1)
        event["ts_ns"], event["kind"], event["flags"] = now_ns, kind, LAST
        self.hear(event, now_ns)
        self.say("operator", said=KIND_NAMES[kind])

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the local door is asked."""
        word = str(asked.get("do", ""))
        if word == "stop":
            self._stop.set()
        elif word in _OPERATOR and self.strategy is not None:
            if word != "pause" and isinstance(self.ear, RealOrders) and self.ear.safety.killed:
                return {"error": STOPPED_FOR_GOOD}
            try:
                self._operator(_OPERATOR[word])
            except PinnacleError as error:
                self._fail(error)
                return {"error": str(error)}
        elif word != "status":
            return {"error": f"{word!r} is not understood by a session of mode {self.mode}"}
        return {"done": word, **self.status()}

    def status(self) -> dict[str, Any]:
        """What there is to say of the session now."""
        return {
            "mode": self.mode, "pid": os.getpid(), "records": self.log.records, "unsynced": self.log.unsynced,
            **self.ear.told(), "connections": [one.told() for one in self._connections],
        }  # fmt: skip

    # --- the end --------------------------------------------------------------------------------------------------
    def _end(self) -> Manifest:
        """Seal the log, or after a failure close it as it is; the manifest says which."""
        manifest, error = self.manifest, self._failure
        if error is None:
            self._over = True
            self.log.finish()
            # Who watches it acts on what may rest only where it did not come to a good end.
            manifest.status = "interrupted" if self.may_rest else "complete"
            if isinstance(self.ear, Engine | RealOrders):
                manifest.fingerprint = self.ear.fingerprint()
            manifest.counts["heard"] = manifest.counts.get("inputs", 0)
            manifest.informational.ended = now_text()
            write_manifest(self.out, manifest)
            self.say("stopped", **self.ear.told())
            return manifest
        self._last_words()
        manifest.status = "interrupted" if isinstance(error, DiskError | KeyboardInterrupt) else "failed"
        manifest.informational.ended = now_text()
        try:
            write_manifest(self.out, manifest)
        except DiskError:
            # It stays marked as running, which a start recovers from as well.
            self.say("manifest not written", why="the disk is full")
        self.say("failed", error=str(error))
        if isinstance(error, OSError) and not isinstance(error, PinnacleError):
            raise DiskError(f"{self.out}: {error.strerror or error}; the log is whole up to there") from error
        raise error

    def _last_words(self) -> None:
        """After a failure: every link is lost, which pulls the quotes, if that can still be written; then it is closed.

        A link and not a pause, so that a start after it quotes again when its books are whole.
        """
        self.log.ending = True
        try:
            if self.log.whole and isinstance(self._failure, DiskError):
                self._all_links(LINK_DOWN, CAUSE_CLOSED, self.clock.now_ns())
        except PinnacleError as error:
            self.say("last words not written", error=str(error))
        finally:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
            self.log.abandon()


def make_folder(out: Path) -> None:
    """A folder for a session, or the one of a session to go on with.  Raises OperatorError for another kind."""
    if out.exists() and not (out / "manifest.json").exists():
        # What a start leaves that was killed before it wrote its manifest.
        begun = [out / "lock", out / "session.jsonl", out / "log"]
        if not out.is_dir() or any(path not in begun for path in out.iterdir()):
            raise OperatorError(f"{out}: is there already and is no session's folder; choose a new --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"{out}: cannot be made: {error.strerror}; choose another --out") from None


assert OUTPUT_KIND_MIN > OPERATOR_KILL

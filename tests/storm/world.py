"""One world of a storm: an exchange, a network, a disk and our process, in simulated time, from one seed.

Everything runs in one thread from one heap of events, so a seed is a world: the same faults at the same nanoseconds.
The exchange is the local exchange's at the place (places.py), with its matching engine, rate limits and signatures;
ours is the real feed, gateway, desk and engine.  After the storm the weather clears, everything must settle, and the
books are compared.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.dialect import Close, Ping, Request, Session
from pinnacle.dialects.house import House, new_venue
from pinnacle.dialects.orders import Listing
from pinnacle.errors import PinnacleError
from pinnacle.run.background import BackgroundMarket, BackgroundRates
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import LIVE
from tests.storm.auditor import Auditor, Violation
from tests.storm.network import MS, Pipe, Weather
from tests.storm.places import PLACES, Place
from tests.storm.process import OPEN_MAX, ORDER_MAX, POSITION_MAX, RUN_ID, Disk, Killed, Process, refold

START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
USER_AGENT = {"user-agent": "storm"}
VENUE_TICK_NS, OUR_TICK_NS = 40 * MS, 50 * MS


@dataclass
class Plan:
    """What befalls a world, drawn from its seed."""

    seconds: float
    weather: Weather
    breaks: list[tuple[float, str]] = field(default_factory=list)  # (when, "api" or "feed")
    break_at_order: int = 0  # the frame of an order or cancel at which the connection breaks
    break_before: bool = False  # before it arrives, or after
    jumps: list[tuple[float, float]] = field(default_factory=list)  # (when, by how many seconds)
    kills: list[float] = field(default_factory=list)
    kill_at_append: int = 0
    torn: float = 1.0
    disk_full_after: int = 0
    refusals: float = 0.0
    per_s: float = 150.0

    @staticmethod
    def drawn(seed: int) -> Plan:
        """Some worlds are calm, most have two or three kinds of trouble, a few have all."""
        chance = random.Random(seed ^ 0x5EED)
        seconds = chance.uniform(1.5, 4.0)
        trouble = chance.random()

        def some(most: float) -> float:
            return chance.uniform(0, most) if chance.random() < trouble else 0.0

        def times(most: int) -> list[float]:
            return sorted(chance.uniform(0.5, seconds) for _ in range(chance.randint(0, most)))

        weather = Weather(
            lost=some(0.08), doubled=some(0.15), swapped=some(0.15), late=some(0.05), lost_up=some(0.08),
            spike_ms=chance.choice((50.0, 400.0, 2_000.0, 5_000.0)), http_lost=some(0.4),
            latency_ms=chance.choice((0.5, 3.0, 15.0)),
        )  # fmt: skip
        plan = Plan(seconds, weather, refusals=some(0.2), per_s=chance.choice((40.0, 100.0, 200.0)))
        if chance.random() < trouble:
            plan.breaks = [(when, chance.choice(("api", "feed", "api"))) for when in times(3)]
        if chance.random() < trouble:
            plan.break_at_order, plan.break_before = chance.randint(1, 30), chance.random() < 0.5
        if chance.random() < trouble:
            plan.jumps = [(when, chance.choice((-5.0, -0.4, 0.3, 2.0, 8.0))) for when in times(2)]
        if chance.random() < trouble:
            plan.kills = times(2)
        if chance.random() < 0.5 * trouble:
            plan.kill_at_append, plan.torn = chance.randint(5, 400), chance.choice((0.0, 0.5, 1.0))
        if chance.random() < 0.15 * trouble:
            plan.disk_full_after = chance.randint(50, 400)
        return plan


class Socket:
    """One websocket between our process and the exchange."""

    def __init__(self, world: World, name: str, path: str) -> None:
        self.world, self.name, self.path = world, name, path
        self.session: Session | None = None
        self.headers: dict[str, str] = {}
        self.ours = True  # our side believes in it
        self.open = False
        self.down = Pipe(world.chance, world.weather, world.later, False)
        self.up = Pipe(world.chance, world.weather, world.later, True)


class World:
    """seed: of everything.  process: the class of our process, for planted mistakes.  place: at which venue."""

    def __init__(
        self, seed: int, process: type[Process] = Process, plan: Plan | None = None, place: Place = PLACES["binance"]
    ) -> None:
        self.place, self.instrument = place, place.instrument
        self.seed, self.plan = seed, plan or Plan.drawn(seed)
        self.chance = random.Random(seed)
        self.weather = self.plan.weather
        self.now_ns = START_NS
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._orders = 0
        self.events = 0
        self.process_of = process
        self.process: Process | None = None
        self.sockets: dict[str, Socket] = {}
        self._jumped_ns = 0
        self._life = 0
        self.deaths = self.breaks = 0
        self._build_exchange()
        self.disk = Disk(self.auditor.wrote)
        self.key = place.key()

    def _build_exchange(self) -> None:
        listing = Listing(self.instrument, 5_990_000, 6_010_000, 10_000_000, ((1_000_000, 2_000_000),))
        venue = new_venue(listing, 1, BackgroundMarket.people, self.place.dialect.publish)
        rates = BackgroundRates(per_s=self.plan.per_s, resting=60, distance_ticks=6.0, walk_ticks=8.0, taking=0.3)
        market = self.market = BackgroundMarket(venue, listing, START_NS, 6_000_000, rates, self.seed)
        self.account = self.place.account
        self.house = House([listing], [self.account], [market], self.place.dialect.fees_in, self.place.dialect.publish)
        self.house.deposit(1, self.place.quote, Decimal(1_000_000))
        self.house.deposit(1, "BTC", Decimal(10))
        self.dialect: Any = self.place.dialect(self.house)
        self.auditor = Auditor(ClientIds(RUN_ID), self.instrument, 1, POSITION_MAX, ORDER_MAX, OPEN_MAX)
        self.house.listeners.append(self.auditor)
        self.house.advance(START_NS)
        # Somebody else trades on the account by hand.
        self.foreign = self.house.place(1, 0, 1, 100, 5_991_000, client_id="web_by_hand")
        if self.place.moods is not None:
            self.place.moods(self.dialect, self.chance, lambda: self.plan.refusals)

    # --- time -----------------------------------------------------------------------------------------------------
    def later(self, ns: int, call: Callable[[], None]) -> None:
        """Do it after so long."""
        self._count += 1
        heapq.heappush(self._heap, (self.now_ns + max(1, ns), self._count, call))

    def run_until(self, end_ns: int, done: Callable[[], bool] | None = None) -> None:
        """Let everything happen up to then, or until it is done."""
        while self._heap and self._heap[0][0] <= end_ns:
            self.now_ns, _, call = heapq.heappop(self._heap)
            self.events += 1
            try:
                call()
            except Killed:
                self._die()
            self._deliver()
            if done is not None and done():
                return
        self.now_ns = max(self.now_ns, end_ns)

    def our_ns(self) -> int:
        """What our process's clock says now."""
        assert self.process is not None
        return self.process.now(self.now_ns + self._jumped_ns)

    # --- the whole ------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Storm, clear weather, settling, a kill, a replay.  Raises Violation."""
        plan = self.plan
        self.disk.kill_after, self.disk.torn, self.disk.fail_after = (
            plan.kill_at_append, plan.torn, plan.disk_full_after,
        )  # fmt: skip
        self._venue_tick()
        self._start()
        for when, name in plan.breaks:
            self.later(int(when * SECOND), lambda name=name: self._break(name))  # type: ignore[misc]
        for when, by in plan.jumps:
            self.later(int(when * SECOND), lambda by=by: self._jump(by))  # type: ignore[misc]
        for when in plan.kills:
            self.later(int(when * SECOND), self._kill)
        self.run_until(START_NS + int(plan.seconds * SECOND))
        late_ns = int(self.weather.spike_ms * MS) if self.weather.late else 0
        self._clear()
        self.run_until(self.now_ns + late_ns)  # what is late holds up what is behind it
        self.run_until(self.now_ns + self.place.settle_ns, self._quiet)
        if not self._quiet():
            raise Violation(f"not settled {self.place.settle_ns // SECOND} s after the storm: {self._state()}")
        # It trades on in fair weather, and is stopped in the middle of that.
        self.run_until(self.now_ns + int(self.chance.uniform(0.2, 1.0) * SECOND))
        process = self.process
        assert process is not None
        # Nobody takes any more: what is left resting is seen to rest.
        self.market._rates = replace(self.market._rates, taking=0.0)
        process.safety.operator(e.OPERATOR_KILL, self.our_ns())
        self._turn(lambda: process.trader.tick(self.our_ns()))
        self.run_until(
            self.now_ns + self.place.kill_ns, lambda: not self._ours_open() and process.trader.open_orders() == 0
        )
        if self._ours_open():
            raise Violation(f"{len(self._ours_open())} orders rest {self.place.kill_ns // SECOND} s after a kill")
        if process.trader.open_orders():
            raise Violation(f"orders have not ended {self.place.kill_ns // SECOND} s after a kill: {self._state()}")
        # What the venue did just before is still on its way.
        self.run_until(self.now_ns + SECOND // 2)
        self.auditor.settled(int(process.trader.state[0]["lane"]["own"][0]["position_lots"]))
        if not self.foreign.live and not self.foreign.filled_lots:
            raise Violation("somebody else's order was cancelled")
        self._replay()

    def _quiet(self) -> bool:
        process = self.process
        return process is not None and process.trader.failed is None and process.desk.settled

    def _state(self) -> str:
        process = self.process
        if process is None:
            return "no process"
        orders = [
            (o.order.order_id, o.status, o.doubt, o.due_ns, o.missing_lots, o.asked)
            for o in process.desk.orders.values()
        ]
        return (
            f"ready {process.gateway.ready} holds {process.safety.holds()} killed {process.safety.killed} "
            f"{process.safety.why} orders {orders[:5]} phase {process.desk._comparison.phase} "
            f"counts {process.desk.counts} failed {process.trader.failed}"
        )

    def _ours_open(self) -> list[Any]:
        return [one for one in self.house.open_orders(1, 0) if one is not self.foreign]

    def _clear(self) -> None:
        """The weather clears: nothing fails any more, and a process that failed is started again."""
        weather = self.weather
        weather.lost = weather.doubled = weather.swapped = weather.late = weather.lost_up = weather.http_lost = 0.0
        self.plan.refusals, self.plan.break_at_order = 0.0, 0
        self.disk.kill_after = 0
        process = self.process
        if process is not None and process.trader.failed is not None:
            self.run_until(self.now_ns + self.place.kill_ns, lambda: not self._ours_open())
            if self._ours_open():
                raise Violation("orders rest though the log failed")
            self.disk.fail_after = 0
            self._die()
        self.disk.fail_after = 0

    def _replay(self) -> None:
        """The log, folded again, says every output byte for byte and ends in the same state."""
        process = self.process
        assert process is not None
        try:
            again = refold(self.instrument, self.disk.parts)
        except PinnacleError as error:
            raise Violation(f"the log does not replay: {error}") from None
        if again.unsaid().size:
            raise Violation("the log lacks outputs")
        for name in ("position_lots", "cash_units", "fees_units", "odd"):
            one, other = (state[0]["lane"]["own"][0][name] for state in (again.state, process.trader.state))
            if one != other:
                raise Violation(f"after the replay {name} is {one} and not {other}")

    # --- our process ----------------------------------------------------------------------------------------------
    def _start(self) -> None:
        self._life += 1
        try:
            self.process = self.process_of(self.place, self.disk, "key1", self.key, self.now_ns + self._jumped_ns)
        except Killed:
            self._die()
            return
        except PinnacleError as error:
            raise Violation(f"no recovery: {error}") from None
        life = self._life
        self._connect("feed", 0)
        self._connect("api", 0)
        self.later(OUR_TICK_NS, lambda: self._our_tick(life))

    def _our_tick(self, life: int) -> None:
        process = self.process
        if process is None or life != self._life:
            return
        self._turn(lambda: process.tick(self.our_ns()))
        self.later(OUR_TICK_NS, lambda: self._our_tick(life))

    def _turn(self, call: Callable[[], None]) -> None:
        """Our process does something, and then what it wants is done."""
        try:
            call()
        except Killed:
            self._die()
            return
        self._wishes()

    def _kill(self) -> None:
        if self.process is not None:
            self._die()

    def _die(self) -> None:
        """The process is gone, its connections with it; another one starts soon."""
        self.deaths += 1
        self.process = None
        self._life += 1
        for socket in list(self.sockets.values()):
            self._close_theirs(socket)
        self.sockets = {}
        self.later(int(self.chance.uniform(0.05, 0.4) * SECOND), self._start)

    def _jump(self, by_s: float) -> None:
        self._jumped_ns += int(by_s * SECOND)

    def _wishes(self) -> None:
        process = self.process
        if process is None:
            return
        self.auditor.book_live = process.feed.states()[0] == LIVE
        for name, one in (("feed", process.feed), ("api", process.gateway)):
            socket = self.sockets.get(name)
            for frame in one.sends:
                if name == "api":
                    self.auditor.left(self.place.order_of("frame", frame))
                if socket is not None:
                    self._send(socket, frame)
            one.sends.clear()
            if one.restart:
                one.restart = ""
                if socket is not None:
                    self._drop(socket)
        for fetch in process.feed.fetches:
            tag = fetch.tag
            self._http(
                fetch.method, fetch.path, dict(USER_AGENT),
                lambda s, b, p=process, t=tag: self._fetched(p, t, s, b), fetch.after_ns,
            )  # type: ignore[misc]  # fmt: skip
        process.feed.fetches.clear()
        calls = list(process.gateway.calls)
        process.gateway.calls.clear()
        for call in calls:
            headers = {name.lower(): value for name, value in call.headers.items()}
            order = self.place.order_of(f"{call.method} {call.path}", call.body)
            self.auditor.left(order)
            self._http(
                call.method, call.path, headers,
                lambda s, b, p=process, t=call.tag: self._answered(p, t, s, b), 0, call.body,
            )  # type: ignore[misc]  # fmt: skip
            if order is not None:
                self._order_left()

    def _fetched(self, process: Process, tag: str, status: int, body: bytes) -> None:
        if process is self.process:
            now_ns = self.our_ns()
            self._turn(
                lambda: process.of_feed(lambda: process.feed.answered(tag, status, body, now_ns, process.rows), now_ns)
            )

    def _answered(self, process: Process, tag: str, status: int, body: bytes) -> None:
        if process is self.process:
            now_ns = self.our_ns()
            self._turn(lambda: process.of_gateway(lambda: process.gateway.answered(tag, status, body, now_ns), now_ns))

    # --- connections ----------------------------------------------------------------------------------------------
    def _connect(self, name: str, after_ns: int) -> None:
        process = self.process
        assert process is not None
        headers = process.feed.headers if name == "feed" else process.gateway.opening(self.our_ns())
        if headers is None:
            # Something is asked for by HTTP first.
            life = self._life
            self.sockets.pop(name, None)
            self.later(after_ns + OUR_TICK_NS, lambda: self._connect(name, 0) if life == self._life else None)
            return
        path = process.feed.url if name == "feed" else process.gateway.url
        socket = self.sockets[name] = Socket(self, name, path)
        socket.headers = USER_AGENT | {key.lower(): value for key, value in headers.items()}
        self.later(after_ns + socket.up.delay_ns(), lambda: self._accept(socket))

    def _accept(self, socket: Socket) -> None:
        if not socket.ours:
            return
        path, _, query = socket.path.partition("?")
        session = self.dialect.connect(Request("GET", path, query, socket.headers), self.now_ns)
        if not isinstance(session, Session):
            self._drop(socket)
            return
        self.dialect.opened(session, self.now_ns)
        socket.session = session
        self.later(socket.down.delay_ns(), lambda: self._opened(socket))

    def _opened(self, socket: Socket) -> None:
        process = self.process
        if process is None or not socket.ours:
            return
        socket.open = True
        now_ns = self.our_ns()
        if socket.name == "feed":
            self._turn(lambda: process.of_feed(lambda: process.feed.opened(now_ns, process.rows), now_ns))
        else:
            self._turn(lambda: process.of_gateway(lambda: process.gateway.opened(now_ns), now_ns))

    def _send(self, socket: Socket, frame: bytes) -> None:
        """A frame leaves; at one of them the connection breaks, just before it arrives or just after."""
        if socket.name == "api" and (b"order." in frame or b'_order"' in frame) and b"status" not in frame:
            if not self._order_left():
                return
        socket.up.carry(self.now_ns, lambda: self._arrive(socket, frame))

    def _order_left(self) -> bool:
        """An order or cancel leaves; whether the connection is still there for it."""
        self._orders += 1
        if self._orders == self.plan.break_at_order:
            if self.plan.break_before:
                self._break("api")
                return False
            self.later(int(self.chance.uniform(0.1, 30) * MS), lambda: self._break("api"))
        return True

    def _arrive(self, socket: Socket, frame: bytes) -> None:
        if socket.session is not None:
            self.house.advance(self.now_ns)
            socket.session.receive(frame, self.now_ns)

    def _deliver(self) -> None:
        """What the exchange wants to send, to those who are connected."""
        for session in self.dialect.take_waiting():
            outbox, session.outbox = session.outbox, []
            socket = next((one for one in self.sockets.values() if one.session is session), None)
            if socket is None:
                continue
            for out in outbox:
                if isinstance(out, Ping):
                    session.ponged(out.payload, self.now_ns)
                elif isinstance(out, Close):
                    self._drop(socket)
                else:
                    socket.down.carry(self.now_ns, lambda s=socket, m=out: self._hear(s, m))  # type: ignore[misc]

    def _hear(self, socket: Socket, message: bytes) -> None:
        process = self.process
        if process is None or not socket.ours or not socket.open:
            return
        now_ns = self.our_ns()
        if socket.name == "feed":
            self._turn(lambda: process.of_feed(lambda: process.feed.received(message, now_ns, process.rows), now_ns))
        else:
            self._turn(lambda: process.of_gateway(lambda: process.gateway.received(message, now_ns), now_ns))

    def _break(self, name: str) -> None:
        """A connection breaks: what is on its way to the exchange may still arrive, what comes from it does not."""
        socket = self.sockets.get(name)
        if socket is not None and socket.ours and self.process is not None:
            self.breaks += 1
            self._drop(socket)

    def _drop(self, socket: Socket) -> None:
        """Our side is told that it is gone, the exchange's a little later; then another one is opened."""
        process = self.process
        if process is None or not socket.ours:
            return
        socket.ours = False
        self.later(int(self.chance.uniform(0, 40) * MS), lambda: self._close_theirs(socket))
        now_ns = self.our_ns()
        self._connect(socket.name, int(self.chance.uniform(0.02, 0.4) * SECOND))
        if socket.name == "feed":
            self._turn(lambda: process.of_feed(lambda: process.feed.closed(now_ns, process.rows), now_ns))
        else:
            self._turn(lambda: process.of_gateway(lambda: process.gateway.closed(now_ns), now_ns))

    def _close_theirs(self, socket: Socket) -> None:
        socket.ours = False
        session, socket.session = socket.session, None
        if session is not None and session in self.dialect.sessions:
            self.dialect.closed(session, self.now_ns)

    # --- the exchange ---------------------------------------------------------------------------------------------
    def _venue_tick(self) -> None:
        self.house.advance(self.now_ns)
        self.dialect.tick(self.now_ns)
        self.later(VENUE_TICK_NS, self._venue_tick)

    def _http(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        back: Callable[[int, bytes], None],
        after_ns: int = 0,
        body: bytes = b"",
    ) -> None:
        """A request by HTTP: it may be lost on the way there or back, which looks the same."""
        pipe = Pipe(self.chance, self.weather, self.later, True)
        fate = self.chance.random() if self.chance.random() < self.weather.http_lost else 1.0
        path, _, query = target.partition("?")

        def arrive() -> None:
            if fate < 0.5:
                self.later(2 * SECOND, lambda: back(0, b"no answer"))
                return
            self.house.advance(self.now_ns)
            answer = self.dialect.request(Request(method, path, query, headers, body), self.now_ns)
            if fate < 1.0:
                self.later(2 * SECOND, lambda: back(0, b"no answer"))
            else:
                self.later(pipe.delay_ns(), lambda: back(answer.status, answer.body))

        self.later(after_ns + pipe.delay_ns(), arrive)

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
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.dialect import Close, Ping, Request, Session
from pinnacle.dialects.house import House, new_venue
from pinnacle.dialects.orders import Listing, Refused, Status
from pinnacle.errors import PinnacleError
from pinnacle.limits import ANSWER_NS_MAX
from pinnacle.run.background import BackgroundMarket, BackgroundRates
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import LIVE
from tests.storm.auditor import Auditor, Violation
from tests.storm.moods import front
from tests.storm.network import MS, Pipe
from tests.storm.places import PLACES, Left, Place
from tests.storm.plan import SECOND, Plan
from tests.storm.process import OPEN_MAX, ORDER_MAX, POSITION_MAX, RUN_ID, Disk, Killed, Process, refold

START_NS = 1_700_000_000_000_000_000
USER_AGENT = {"user-agent": "storm"}
# Another run's orders on the same account: named as ours are, and not ours.
OTHER_RUN_ID = "a08e2c117fd34b5c9d21e6b3f0948c75"
# While everything settles the market is slow, and so is our process: it may take minutes.
CALM_PER_S, CALM_NS = 4.0, 250 * MS
# How long after its end at the venue an order's end may be heard of, in fair weather.
HEARD_NS = ANSWER_NS_MAX + 2 * SECOND


class Socket:
    """One websocket between our process and the exchange."""

    def __init__(self, world: World, name: str, path: str) -> None:
        self.world, self.name, self.path = world, name, path
        self.session: Session | None = None
        self.headers: dict[str, str] = {}
        self.ours = True  # our side believes in it
        self.open = False
        self.mute_until_ns = 0
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
        self._our_tick_ns, self._venue_tick_ns = self.plan.pace.our_tick_ns, self.plan.pace.venue_tick_ns
        self._lively = 0
        self.deaths = self.breaks = self._strangers = 0
        self.rude = self.plan.rude > 0.0
        self._build_exchange()
        self.disk = Disk(self.auditor.wrote)
        self.key = place.key()

    def _build_exchange(self) -> None:
        listing = Listing(self.instrument, 5_990_000, 6_010_000, 10_000_000, ((1_000_000, 2_000_000),))
        venue = new_venue(listing, 1, BackgroundMarket.people, self.place.dialect.publish)
        pace = self.plan.pace
        walk_ticks = min(8.0, pace.per_s)  # as far as orders can follow
        self.rates = BackgroundRates(pace.per_s, 60, 6.0, walk_ticks, self.plan.lots, taking=0.3)
        market = self.market = BackgroundMarket(venue, listing, START_NS, 6_000_000, self.rates, self.seed)
        self.account = self.place.account
        self.house = House([listing], [self.account], [market], self.place.dialect.fees_in, self.place.dialect.publish)
        self.house.deposit(1, self.place.quote, Decimal(1_000_000))
        self.house.deposit(1, "BTC", Decimal(10))
        self.dialect: Any = self.place.dialect(self.house)
        self.auditor = Auditor(ClientIds(RUN_ID), self.instrument, 1, POSITION_MAX, ORDER_MAX, OPEN_MAX)
        self.auditor.switched = lambda: self.place.switched(self.dialect)
        self.house.listeners.append(self.auditor)
        self.house.advance(START_NS)
        # Somebody else trades on the account by hand.
        self.foreign = [self.house.place(1, 0, 1, 100, 5_991_000, client_id="web_by_hand")]
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
        self._storm()
        self._settle()
        self._stop()
        self._replay()

    def _storm(self) -> None:
        plan = self.plan
        self.disk.kill_after, self.disk.torn, self.disk.fail_after = (
            plan.kill_at_append, plan.torn, plan.disk_full_after,
        )  # fmt: skip
        self._venue_tick()
        self._start()
        for when, name in plan.breaks:
            self.later(int(when * SECOND), lambda name=name: self._break(name))  # type: ignore[misc]
        for when, name, long_s in plan.silences:
            self.later(int(when * SECOND), lambda name=name, long_s=long_s: self._mute(name, long_s))  # type: ignore[misc]
        for when, by in plan.jumps:
            self.later(int(when * SECOND), lambda by=by: self._jump(by))  # type: ignore[misc]
        for when in plan.kills:
            self.later(int(when * SECOND), self._kill)
        for when in plan.strangers:
            self.later(int(when * SECOND), self._stranger)
        if plan.stop:
            self.later(int(plan.stop * SECOND), self._operator)
        if plan.pace.lively_per_s > plan.pace.per_s:
            for begin, end in plan.lively():
                self.later(int(begin * SECOND), lambda: self._liven(1))
                self.later(int(end * SECOND), lambda: self._liven(-1))
        self.run_until(START_NS + int(plan.seconds * SECOND))

    def _settle(self) -> None:
        """The weather clears, and what is in doubt is found out."""
        late_ns = int(self.weather.spike_ms * MS) if self.weather.late else 0
        self._clear()
        self._quieten(CALM_PER_S)
        self.run_until(self.now_ns + late_ns)  # what is late holds up what is behind it
        self.run_until(self.now_ns + self.place.settle_ns, self._quiet)
        if not self._quiet():
            raise Violation(f"not settled {self.place.settle_ns // SECOND} s after the storm: {self._state()}")

    def _stop(self) -> None:
        """It trades on in fair weather, and is stopped in the middle of that; whatever comes then, it stays so."""
        self._set_rates(replace(self.rates, per_s=self.plan.pace.lively_per_s))
        self.run_until(self.now_ns + int(self.chance.uniform(0.2, 1.0) * SECOND))
        process = self.process
        assert process is not None
        # Nobody takes any more: what is left resting is seen to rest.
        self._set_rates(replace(self.rates, per_s=CALM_PER_S, taking=0.0))
        self._operator()
        # Where the venue wants nothing to be asked for a while, that comes first; and a clock that was set back stands
        # still until it is where it was.
        wait_ns = max(0, max(process.gateway.retry_ns, self.our_ns()) - (self.now_ns + self._jumped_ns))
        self.run_until(
            self.now_ns + wait_ns + self.place.kill_ns,
            lambda: not self._ours_open() and process.trader.open_orders() == 0,
        )
        if self._ours_open():
            raise Violation(f"{len(self._ours_open())} orders rest {self.place.kill_ns // SECOND} s after a kill")
        # An answer that is lost with a connection is missed after a while only.
        self.run_until(self.now_ns + HEARD_NS, lambda: process.trader.open_orders() == 0)
        if process.trader.open_orders():
            raise Violation(f"orders have not ended {HEARD_NS // SECOND} s after they ended: {self._state()}")
        # What the venue did just before is still on its way.
        self.run_until(self.now_ns + SECOND // 2)
        self._after_stop()
        process = self.process
        assert process is not None
        self.auditor.settled(int(process.trader.state[0]["lane"]["own"][0]["position_lots"]))
        if any(order.status is Status.CANCELLED for order in self.foreign):
            raise Violation("somebody else's order was cancelled")

    def _after_stop(self) -> None:
        """One more trouble when all has stopped: nothing may begin again, and nothing be counted anew."""
        what = self.plan.after_stop
        if not what:
            return
        if what == "death":
            self._kill()
        else:
            self._break(what)
        self.run_until(self.now_ns + SECOND)  # the connection or the process is back
        self.run_until(self.now_ns + self.place.settle_ns, self._quiet)
        if not self._quiet():
            raise Violation(f"not settled {self.place.settle_ns // SECOND} s after the end: {self._state()}")
        self.run_until(self.now_ns + SECOND // 2)

    def _operator(self) -> None:
        """The operator stops all, if there is a process to hear it."""
        process = self.process
        if process is not None:
            process.safety.operator(e.OPERATOR_KILL, self.our_ns())
            self._turn(lambda: process.trader.tick(self.our_ns()))

    def _stranger(self) -> None:
        """Another hand trades on the account: takes, or rests where it will be taken."""
        self.house.advance(self.now_ns)
        side = self.chance.choice((1, -1))
        best = self.house.levels(0, -side, 1)
        if not best:
            return
        takes = self.chance.random() < 0.5
        self._strangers += 1
        name = self.chance.choice((f"web_{self._strangers}", ClientIds(OTHER_RUN_ID).text(self._strangers)))
        price, flags = (best[0][0], e.IOC) if takes else (best[0][0] - side, 0)
        try:
            order = self.house.place(1, 0, side, 30, price, flags, client_id=name)
        except Refused:
            return
        if not takes:
            self.foreign.append(order)

    def _set_rates(self, rates: BackgroundRates) -> None:
        self.house.advance(self.now_ns)
        self.market.change(rates, self.now_ns)

    def _liven(self, more: int) -> None:
        self._lively += more
        pace = self.plan.pace
        self._set_rates(replace(self.rates, per_s=pace.lively_per_s if self._lively else pace.per_s))

    def _quieten(self, per_s: float) -> None:
        self._lively = 0
        self._set_rates(replace(self.rates, per_s=min(per_s, self.rates.per_s)))
        self._our_tick_ns = self._venue_tick_ns = CALM_NS
        if self.process is not None:
            self.process.slower(CALM_NS)

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
        return [one for one in self.house.open_orders(1, 0) if self.auditor.ids.order_id(one.client_id) is not None]

    def _clear(self) -> None:
        """The weather clears: nothing fails any more, and a process that failed is started again."""
        weather = self.weather
        weather.lost = weather.doubled = weather.swapped = weather.late = weather.lost_up = weather.http_lost = 0.0
        for socket in self.sockets.values():
            socket.mute_until_ns = 0
        self.plan.refusals, self.plan.rude, self.plan.break_at_order = 0.0, 0.0, 0
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
            again = refold(self.instrument, self.disk.log(), self.plan.pace.calm_s)
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
        self.auditor.born()
        try:
            self.process = self.process_of(
                self.place, self.disk, "key1", self.key, self.now_ns + self._jumped_ns, self.plan.pace,
                self.rude,
            )  # fmt: skip
        except Killed:
            self._die()
            return
        except PinnacleError as error:
            raise Violation(f"no recovery: {error}") from None
        life = self._life
        self._connect("feed", 0)
        self._connect("api", 0)
        self.later(self._our_tick_ns, lambda: self._our_tick(life))

    def _our_tick(self, life: int) -> None:
        process = self.process
        if process is None or life != self._life:
            return
        self._turn(lambda: process.tick(self.our_ns()))
        self.later(self._our_tick_ns, lambda: self._our_tick(life))

    def _turn(self, call: Callable[[], None]) -> None:
        """Our process does something, and then what it wants is done."""
        self.auditor.turn()
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
            frames = list(one.sends)
            one.sends.clear()
            for frame in frames:
                if process is not self.process:
                    return  # it died of what a break brought about
                if name == "api":
                    self._leaves(self.place.order_of("frame", frame))
                if socket is not None:
                    self._send(socket, frame)
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
            if process is not self.process:
                return
            headers = {name.lower(): value for name, value in call.headers.items()}
            order = self.place.order_of(f"{call.method} {call.path}", call.body)
            self._leaves(order)
            breaks = order is not None and self._orders + 1 == self.plan.break_at_order
            self._http(
                call.method, call.path, headers, lambda s, b, p=process, t=call.tag: self._answered(p, t, s, b),
                int(self.plan.held_s * SECOND) if breaks else 0, call.body,
            )  # type: ignore[misc]  # fmt: skip
            if order is not None:
                self._order_left()

    def _leaves(self, order: Left | None) -> None:
        if order is not None:
            self.auditor.ordered(order, self.our_ns())

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
            wait_ns = after_ns + self._our_tick_ns
            self.later(wait_ns, lambda: self._connect(name, 0) if life == self._life else None)
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
            self.auditor.opened()
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
                elif self.now_ns >= socket.mute_until_ns:
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

    def _mute(self, name: str, long_s: float) -> None:
        """A connection brings nothing for a while, and is not closed."""
        socket = self.sockets.get(name)
        if socket is not None:
            socket.mute_until_ns = self.now_ns + int(long_s * SECOND)

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
        self.later(self._venue_tick_ns, self._venue_tick)

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
            request = Request(method, path, query, headers, body)
            answer = front(lambda: self.dialect.request(request, self.now_ns), self.chance, self.plan.rude)
            if fate < 1.0:
                self.later(2 * SECOND, lambda: back(0, b"no answer"))
            else:
                self.later(pipe.delay_ns(), lambda: back(answer.status, answer.body))

        self.later(after_ns + pipe.delay_ns(), arrive)

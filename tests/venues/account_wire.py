"""A desk and a gateway of ours joined to a dialect without sockets: what one says the other hears, faults included.

Answers by HTTP come within the same step; `lost` says which of them, and which of the frames, never do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pinnacle.dialects.dialect import Close, Request, Session
from pinnacle.event import CANCEL, KIND_NAMES, PLACE, RECONCILED, empty, reason_of
from pinnacle.execution.desk import Desk
from pinnacle.execution.safety import Safety
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Answer
from pinnacle.venues.private.said import Note, Step
from tests.dialects.rig import Rig

RUN_ID = "6d1b345e282140e2ad834ecb18a06876"
STEP_NS = 50_000_000
Lost = Callable[[str, bytes], bool]


class AccountWire:
    """One account.  of: makes the gateway out of what is followed and the ids.

    lost: asked with "call", "answer", "frame" or "message" and the text, whether it is lost.  said: all that the
    gateway said; told: the desk's records as (kind, order, lots, reason).
    """

    def __init__(self, rig: Rig, of: Callable[[list[Followed], ClientIds], Any], up: bool = True) -> None:
        self.rig = rig
        self.followed = [Followed(listing.instrument, 0, k) for k, listing in enumerate(rig.listings)]
        self.ids = ClientIds(RUN_ID)
        self.gateway = of(self.followed, self.ids)
        self.safety = Safety()
        self.desk = Desk(self.gateway, self.followed, self.ids, self.safety)
        self.lost: Lost = lambda what, text: False
        self.session: Session | None = None
        self.said: list[Any] = []
        self.told: list[tuple[str, int, int, int]] = []
        self.calls: list[Any] = []
        self.frames: list[bytes] = []
        self.malformed: list[Malformed] = []
        self.restarts: list[str] = []
        self._orders = 0
        self.desk.begin(rig.now_ns)
        if up:
            self.connect()
            self.step(3_000_000_000)
            assert self.gateway.ready and self.desk.settled, (self.notes(), self.restarts)

    def ready(self) -> None:
        """Books are live: orders may be placed."""
        self.desk.stale.clear()

    # --- the connection -------------------------------------------------------------------------------------------
    def connect(self) -> None:
        """Open a connection; whether the venue takes it is its own affair."""
        now_ns = self.rig.now_ns
        headers = self.gateway.opening(now_ns)
        assert headers is not None
        path, _, query = (self.gateway.url or "/").partition("?")
        lower = {"user-agent": "test"} | {name.lower(): value for name, value in headers.items()}
        session = self.rig.dialect.connect(Request("GET", path, query, lower, b"", "1.1.1.1"), now_ns)
        if not isinstance(session, Session):
            self.restarts.append(f"not connected: {session.body.decode()}")
            return
        self.rig.dialect.opened(session, now_ns)
        self.session = session
        self.gateway.opened(now_ns)
        self.pump()

    def disconnect(self) -> None:
        """The connection breaks."""
        if self.session is not None:
            session, self.session = self.session, None
            self.rig.dialect.closed(session, self.rig.now_ns)
            self.gateway.closed(self.rig.now_ns)
            self._hear()

    # --- time -----------------------------------------------------------------------------------------------------
    def step(self, ns: int = STEP_NS) -> None:
        """Time passes at both ends."""
        end_ns = self.rig.now_ns + ns
        while self.rig.now_ns < end_ns:
            self.rig.step(min(STEP_NS, end_ns - self.rig.now_ns))
            self.gateway.tick(self.rig.now_ns)
            self.pump()
            if self.gateway.restart:
                self.restarts.append(self.gateway.restart)
                self.gateway.restart = ""
                self.disconnect()
                self.connect()
            elif self.session is not None and self.session.closing:
                self.restarts.append("closed by the venue")
                self.disconnect()
                self.connect()

    def pump(self) -> None:
        """Pass everything that is waiting both ways, until nothing is."""
        gateway, rig = self.gateway, self.rig
        for _ in range(200):
            self._hear()
            frames, calls = list(gateway.sends), list(gateway.calls)
            gateway.sends.clear()
            gateway.calls.clear()
            for frame in frames:
                self.frames.append(frame)
                if self.session is not None and not self.lost("frame", frame):
                    rig.say(self.session, frame)
            for call in calls:
                self.calls.append(call)
                self._call(call)
            heard = False
            rig.dialect.take_waiting()
            if self.session is not None:
                outbox, self.session.outbox = self.session.outbox, []
                for message in outbox:
                    if isinstance(message, bytes) and not self.lost("message", message):
                        heard = True
                        self.receive(message)
                    elif isinstance(message, Close):
                        self.session.closing = True
            if not frames and not calls and not heard:
                return
        raise AssertionError("the two never stop talking")

    def _call(self, call: Any) -> None:
        text = f"{call.method} {call.path} ".encode() + call.body
        headers = {name.lower(): value for name, value in call.headers.items()}
        if self.lost("call", text):
            self.answer(call.tag, 0, b"no answer")
            return
        answer = self.rig.request(call.method, call.path, call.body, headers)
        if self.lost("answer", text):
            self.answer(call.tag, 0, b"no answer")
        else:
            self.answer(call.tag, answer.status, answer.body)

    def receive(self, message: bytes) -> None:
        """The gateway receives something, which may be none of the venue's."""
        self._guard(lambda: self.gateway.received(message, self.rig.now_ns))

    def answer(self, tag: str, status: int, body: bytes) -> None:
        """A request is answered so."""
        self._guard(lambda: self.gateway.answered(tag, status, body, self.rig.now_ns))

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Malformed as error:
            self.malformed.append(error)

    def _hear(self) -> None:
        said, self.gateway.said = list(self.gateway.said), []
        for one in said:
            self.said.append(one)
            self.desk.hear(one, self.rig.now_ns)
        self.desk.tick(self.rig.now_ns)
        while self.desk.rows:
            for row in self.desk.rows.popleft():
                name = KIND_NAMES[int(row["kind"])]
                reason = int(row["aux"]) if row["kind"] == RECONCILED else reason_of(int(row["flags"]))
                self.told.append((name, int(row["order_id"]), int(row["qty_lots"]), reason))

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, side: int, price_ticks: int, lots: int, flags: int = 0, instrument: int = 0) -> int:
        """The engine places an order; its id."""
        self._orders += 1
        row = empty(1)[0]
        row["kind"], row["order_id"], row["side"], row["price_ticks"], row["qty_lots"] = (
            PLACE, self._orders, side, price_ticks, lots,
        )  # fmt: skip
        row["flags"], row["instrument"] = flags, instrument
        self.desk.command(row, self.rig.now_ns)
        self.pump()
        return self._orders

    def cancel(self, order_id: int, instrument: int = 0) -> None:
        """The engine cancels an order."""
        row = empty(1)[0]
        row["kind"], row["order_id"], row["instrument"] = CANCEL, order_id, instrument
        self.desk.command(row, self.rig.now_ns)
        self.pump()

    # --- what came of it ------------------------------------------------------------------------------------------
    def life(self, order_id: int) -> list[str]:
        """The records of one order."""
        return [
            kind for kind, number, _, _ in self.told if number == order_id and kind not in ("fill_id", "reconciled")
        ]

    def filled(self, order_id: int) -> int:
        """Lots that the engine heard of as filled."""
        return sum(lots for kind, number, lots, _ in self.told if number == order_id and kind == "order_filled")

    def causes(self, kind: int) -> list[str]:
        """Causes of the steps of a kind that the gateway said."""
        return [one.cause for one in self.said if isinstance(one, Step) and one.kind == kind]

    def notes(self) -> list[str]:
        """What was noted."""
        return [f"{one.what}: {one.text}" for one in self.said if isinstance(one, Note)]

    def answers(self) -> list[Answer]:
        """What questions were answered with."""
        return [one for one in self.said if isinstance(one, Answer)]

    def position(self, instrument: int = 0) -> int:
        """Bought less sold, as the desk counted it."""
        return self.desk.positions.get(instrument, (0, 0))[0]

"""A gateway joined to a dialect without sockets: what one says the other hears, faults included, and the house's books.

The desk is left out: what the gateway said is kept in a list, and commands are called by the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pinnacle.dialects.dialect import Close
from pinnacle.event import BUY, KIND_NAMES, POST_ONLY
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import Answer, Call, Order
from pinnacle.venues.private.said import Note, Step
from tests.dialects.rig import NS, Rig

IDS = ClientIds("6d1b345e282140e2ad834ecb18a06876")
KEY_SECRET = "c2VjcmV0MQ=="


class Talk:
    """One account's private side.  gateway_of: makes the gateway of the followed instruments.  fault: what becomes of
    the messages of one round on their way to us; keep_call: whether a call is made and answered (True), made and its
    answer lost ("answer"), or lost on the way (False)."""

    def __init__(self, rig: Rig, gateway_of: Callable[[list[Followed]], Any]) -> None:
        self.rig = rig
        self.followed = [Followed(one.instrument, 0, k) for k, one in enumerate(rig.listings)]
        self.gateway = gateway_of(self.followed)
        self.fault: Callable[[list[bytes]], list[bytes]] = lambda messages: messages
        self.keep_call: Callable[[Call], bool | str] = lambda call: True
        self.keep_send: Callable[[bytes], bool] = lambda frame: True
        self.said: list[Any] = []
        self.restarts: list[str] = []
        self.calls: list[Call] = []
        self.frames: list[bytes] = []
        self.open()

    # --- the connection -------------------------------------------------------------------------------------------
    def open(self) -> None:
        """Connect, and talk until nothing is left to say."""
        assert self.gateway.opening(self.rig.now_ns) is not None
        self.session = self.rig.connect(self.gateway.url or "/")
        self.gateway.opened(self.rig.now_ns)
        self.pump()

    def close(self) -> None:
        """The connection ends; the exchange is told."""
        self.gateway.closed(self.rig.now_ns)
        self.rig.dialect.closed(self.session, self.rig.now_ns)
        self.session.outbox = []

    def pump(self) -> None:
        """Pass everything that is waiting both ways, until nothing is."""
        gateway, rig = self.gateway, self.rig
        for _ in range(100):
            self.said += gateway.said
            gateway.said.clear()
            sends, calls = list(gateway.sends), list(gateway.calls)
            gateway.sends.clear()
            gateway.calls.clear()
            for frame in sends:
                self.frames.append(frame)
                if self.keep_send(frame):
                    rig.say(self.session, frame)
            for call in calls:
                self._call(call)
            rig.dialect.take_waiting()
            outbox, self.session.outbox = self.session.outbox, []
            for message in self.fault([one for one in outbox if isinstance(one, bytes)]):
                gateway.received(message, rig.now_ns)
            if gateway.restart or any(isinstance(one, Close) for one in outbox):
                self.restarts.append(gateway.restart)
                self.close()
                rig.step(NS // 2)
                self.session = rig.connect(gateway.url or "/")
                gateway.opened(rig.now_ns)
            elif not sends and not calls and not outbox and not gateway.said:
                return
        raise AssertionError("the two never stop talking")

    def _call(self, call: Call) -> None:
        self.calls.append(call)
        keep = self.keep_call(call)
        status, body = 0, b"no answer"
        if keep:
            headers = {name.lower(): value for name, value in call.headers.items()}
            answer = self.rig.request(call.method, call.path, call.body, headers)
            if keep != "answer":
                status, body = answer.status, answer.body
        self.gateway.answered(call.tag, status, body, self.rig.now_ns)

    def step(self, ns: int = NS // 10) -> None:
        """Time passes at both ends."""
        self.rig.step(ns)
        self.pump()
        self.gateway.tick(self.rig.now_ns)
        self.pump()

    # --- what is asked --------------------------------------------------------------------------------------------
    def order(
        self, number: int, side: int = BUY, price: str = "59000", qty: str = "0.01", flags: int = POST_ONLY, k: int = 0
    ) -> Order:
        """An order of ours."""
        one = self.followed[k].instrument
        return Order(self.followed[k], number, IDS.text(number), side, one.ticks(price), one.lots(qty), flags)

    def place(self, order: Order) -> int:
        expires_ns = self.gateway.place(order, self.rig.now_ns)
        self.step()
        return int(expires_ns)

    def ask(self, number: int) -> Answer:
        """The one answer to a question that was just put."""
        assert number
        for _ in range(20):
            self.step()
            found = [one for one in self.said if isinstance(one, Answer) and one.number == number]
            if found:
                assert len(found) == 1
                return found[0]
        raise AssertionError("no answer")

    def take(self) -> list[str]:
        """The steps since last asked, in short: kind, and its cause if there is one."""
        steps = [one for one in self.said if isinstance(one, Step)]
        self.said = [one for one in self.said if not isinstance(one, Step)]
        self.steps = steps
        return [KIND_NAMES[one.kind] + (f" {one.cause}" if one.cause else "") for one in steps]

    def notes(self) -> list[str]:
        return [one.what for one in self.said if isinstance(one, Note)]

    def house_orders(self) -> list[Any]:
        """What rests of ours at the exchange."""
        return [one for k in range(len(self.followed)) for one in self.rig.house.open_orders(1, k)]

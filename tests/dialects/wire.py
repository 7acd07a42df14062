"""A client's feed joined to a dialect without sockets: what one says the other hears, faults included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pinnacle.dialects.dialect import Close, Session
from pinnacle.event import ASK, BID
from pinnacle.venues.feed import LIVE
from tests.dialects.rig import Rig
from tests.venues.tape import PlainBooks, Player

Fault = Callable[[list[bytes]], list[bytes]]


class Wire:
    """One connection.  fault: what becomes of the messages of one step on their way to the client."""

    def __init__(self, rig: Rig, feed: Any, headers: dict[str, str] | None = None) -> None:
        self.rig, self.headers = rig, {"user-agent": "test"} | (headers or {})
        self.fault: Fault | None = None
        self.restarts: list[str] = []
        self.session: Session = rig.connect(feed.url or "/", self.headers)
        self.player = Player(feed, rig.now_ns)
        self.pump()

    @property
    def books(self) -> PlainBooks:
        return self.player.books

    def pump(self) -> None:
        """Pass everything that is waiting both ways, until nothing is."""
        feed = self.player.feed
        for _ in range(100):
            said = False
            for text in self.player.sent():
                said = True
                self.rig.say(self.session, text)
            fetches, feed.fetches = list(feed.fetches), []
            for fetch in fetches:
                said = True
                answer = self.rig.request(fetch.method, fetch.path, headers=self.headers)
                self.player.ts_ns = self.rig.now_ns
                self.player.answer(fetch.tag, answer.status, answer.body)
            self.rig.dialect.take_waiting()
            outbox, self.session.outbox = self.session.outbox, []
            messages = [one for one in outbox if isinstance(one, bytes)]
            closed = any(isinstance(one, Close) for one in outbox)
            for text in self.fault(messages) if self.fault else messages:
                said = True
                self.player.receive(text, self.rig.now_ns)
            if feed.restart or closed:
                said = True
                self.restarts.append(feed.restart or "closed by the venue")
                self.reconnect()
            if not said:
                return
        raise AssertionError("the two never stop talking")

    def reconnect(self) -> None:
        """Close the connection and open another."""
        self.player.close()
        self.rig.dialect.closed(self.session, self.rig.now_ns)
        self.rig.now_ns += 1_000_000_000
        self.rig.house.advance(self.rig.now_ns)
        self.session = self.rig.connect(self.player.feed.url or "/", self.headers)
        self.player.ts_ns = self.rig.now_ns
        self.player.feed.opened(self.rig.now_ns, self.player.rows)
        self.player.hear()

    def step(self, ns: int) -> None:
        """Time passes at both ends."""
        self.rig.step(ns)
        self.pump()
        self.player.tick(self.rig.now_ns)
        self.pump()

    def live(self) -> bool:
        """Whether every book is."""
        return all(state == LIVE for state in self.player.feed.states())

    def same_levels(self, instrument: int = 0, index: int | None = None) -> bool:
        """Whether the client's levels are the house's."""
        mine = self.books.levels[instrument if index is None else index]
        return all(dict(self.rig.house.levels(instrument, side)) == mine[side] for side in (BID, ASK))

    def same_orders(self, ids: Callable[[int], int], instrument: int = 0) -> bool:
        """Whether the client's orders are the house's; ids: the client's number of a house's order."""
        wanted = {
            ids(number): [side, price, lots]
            for side in (BID, ASK)
            for number, price, lots in self.rig.house.resting(instrument, side)
        }
        return wanted == self.books.orders[instrument]


def drop(count: int) -> Fault:
    """The count-th message from now is lost."""
    left = [count]

    def fault(messages: list[bytes]) -> list[bytes]:
        kept = []
        for text in messages:
            left[0] -= 1
            if left[0] != 0:
                kept.append(text)
        return kept

    return fault


def double(messages: list[bytes]) -> list[bytes]:
    """Every message comes twice."""
    return [text for text in messages for _ in range(2)]


def backwards(messages: list[bytes]) -> list[bytes]:
    """The messages of a step come in the wrong order."""
    return messages[::-1]

"""A venue's feed on its connection: bytes to the protocol, its records to whoever hears, its wishes to the socket.

The protocol knows no socket and the socket no protocol; this is the one place where they meet.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from pinnacle.errors import DiskError, VenueError
from pinnacle.run.tapefile import TapeFile
from pinnacle.transport.clock import Clock
from pinnacle.transport.http import Http
from pinnacle.transport.reconnect import Connection
from pinnacle.transport.websocket import Route
from pinnacle.venues.feed import BOOK_STATE_NAMES, Address, Feed, Fetch, Malformed, Rows

Hear = Callable[[np.ndarray, int], None]


class FeedConnection:
    """One feed, connected.  hear: takes records and their time, at once.  failed: told of what must end the session.
    said: a structured line for people."""

    def __init__(
        self,
        name: str,
        feed: Feed,
        address: Address,
        route: Route,
        http: Http,
        clock: Clock,
        chance: random.Random,
        hear: Hear,
        fail: Callable[[BaseException], None],
        said: Callable[..., None],
        tape: TapeFile | None,
    ) -> None:
        self.name, self.feed, self._address, self._http = name, feed, address, http
        self._clock, self._hear, self._fail, self._said, self._tape = clock, hear, fail, said, tape
        self._rows = Rows()
        self._fetches: set[asyncio.Task[None]] = set()
        self.messages = 0
        self.connection = Connection(self._url, lambda: feed.headers, route, self, chance)

    def _url(self) -> str:
        return self._address.websocket + self.feed.url

    # --- what the connection says ---------------------------------------------------------------------------------
    def opened(self) -> None:
        self._said("connected", connection=self.name)
        now_ns = self._clock.now_ns()
        self._guarded(lambda: self.feed.opened(now_ns, self._rows), now_ns)

    def received(self, data: bytes) -> None:
        # The path of every message: no closure, no second lookup of the clock.
        now_ns = self._clock.now_ns()
        self.messages += 1
        try:
            if self._tape is not None:
                self._tape.write(self.name, now_ns, data)
            try:
                self.feed.received(data, now_ns, self._rows)
            except Malformed as error:
                self._said("malformed", connection=self.name, error=str(error))
                self.feed.restart = self.feed.restart or str(error)
            if self._rows.count:
                self._hear(self._rows.take(), now_ns)
            feed = self.feed
            if feed.sends or feed.fetches or feed.restart:
                self._do_wishes()
        except BaseException as error:
            self._fail(error)

    def closed(self, why: str) -> None:
        self._said("disconnected", connection=self.name, why=why)
        for task in self._fetches:
            task.cancel()
        now_ns = self._clock.now_ns()
        self._guarded(lambda: self.feed.closed(now_ns, self._rows), now_ns)

    def failed(self, why: str) -> None:
        self._said("unreachable", connection=self.name, why=why)

    def tick(self) -> None:
        """At least once a second."""
        now_ns = self._clock.now_ns()
        self._guarded(lambda: self.feed.tick(now_ns, self._rows), now_ns)

    # --- what the feed wants --------------------------------------------------------------------------------------
    def _guarded(self, call: Callable[[], None], now_ns: int) -> None:
        """Call the feed, hear what it wrote, do what it wants; what must end the session is told."""
        try:
            try:
                call()
            except Malformed as error:
                self._said("malformed", connection=self.name, error=str(error))
                self.feed.restart = self.feed.restart or str(error)
            if self._rows.count:
                self._hear(self._rows.take(), now_ns)
            self._do_wishes()
        except BaseException as error:
            self._fail(error)

    def _do_wishes(self) -> None:
        feed = self.feed
        for text in feed.sends:
            self.connection.send(text)
        feed.sends.clear()
        for fetch in feed.fetches:
            task = asyncio.get_running_loop().create_task(self._fetch(fetch))
            self._fetches.add(task)
            task.add_done_callback(self._fetches.discard)
        feed.fetches.clear()
        if feed.restart:
            why, feed.restart = feed.restart, ""
            self.connection.restart(why)

    async def _fetch(self, fetch: Fetch) -> None:
        if fetch.after_ns:
            await asyncio.sleep(fetch.after_ns / 1e9)
        status, body = await self._http.call(fetch.method, self._address.rest + fetch.path)
        now_ns = self._clock.now_ns()
        if status != 200:
            self._said("fetch failed", connection=self.name, status=status, answer=body[:200].decode(errors="replace"))
        if self._tape is not None:
            try:
                self._tape.write(f"{self.name} {fetch.tag}", now_ns, body)
            except DiskError as error:
                # Nobody waits for this task, and the feed would wait for its answer for ever.
                self._fail(error)
                return
        self._guarded(lambda: self.feed.answered(fetch.tag, status, body, now_ns, self._rows), now_ns)

    def told(self) -> dict[str, Any]:
        """Its state, for people."""
        return {
            "connection": self.name, "open": self.connection.socket is not None, "connects": self.connection.connects,
            "messages": self.messages, "books": [BOOK_STATE_NAMES[state] for state in self.feed.states()],
            "counts": dict(self.feed.counts),
        }  # fmt: skip


async def fetch_text(http: Http, url: str) -> bytes:
    """The body of a GET that must succeed.  Raises VenueError."""
    status, body = await http.call("GET", url)
    if status != 200:
        said = body[:200].decode(errors="replace")
        # Where no answer came the text names the address already.
        raise VenueError(f"{url}: status {status}: {said}" if status else body.decode(errors="replace"))
    return body

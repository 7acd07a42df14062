"""A venue's gateway on its connection: bytes to the protocol, what it said to the desk, its wishes to the sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from pinnacle.transport.clock import Clock
from pinnacle.transport.http import Http
from pinnacle.transport.reconnect import Connection
from pinnacle.transport.websocket import Route
from pinnacle.venues.feed import Address, Malformed
from pinnacle.venues.gateway import Call, Gateway


class GatewayConnection:
    """One account, connected.  heard: called after the gateway was told something, with the time; it hears what the
    gateway said.  fail: told of what must end the session.  said: a structured line for people, never with a key."""

    def __init__(
        self,
        name: str,
        gateway: Gateway,
        address: Address,
        route: Route,
        http: Http,
        clock: Clock,
        chance: random.Random,
        heard: Callable[[int], None],
        fail: Callable[[BaseException], None],
        said: Callable[..., None],
    ) -> None:
        self.name, self.gateway, self._address, self._http = name, gateway, address, http
        self._clock, self._heard, self._fail, self._said = clock, heard, fail, said
        self._calls: set[asyncio.Task[None]] = set()
        self._was_ready = False
        self.messages = 0
        self.connection = Connection(self._url, self._headers, route, self, chance)

    def _url(self) -> str:
        return self._address.websocket + self.gateway.url

    def _headers(self) -> Mapping[str, str] | None:
        headers = self.gateway.opening(self._clock.now_ns())
        if headers is None:
            self.do_wishes()
        return headers

    # --- what the connection says ---------------------------------------------------------------------------------
    def opened(self) -> None:
        self._said("connected", connection=self.name)
        self._guarded(lambda: self.gateway.opened(self._clock.now_ns()))

    def received(self, data: bytes) -> None:
        self.messages += 1
        self._guarded(lambda: self.gateway.received(data, self._clock.now_ns()))

    def closed(self, why: str) -> None:
        self._said("disconnected", connection=self.name, why=why)
        self._guarded(lambda: self.gateway.closed(self._clock.now_ns()))

    def failed(self, why: str) -> None:
        self._said("unreachable", connection=self.name, why=why)

    def tick(self) -> None:
        """Several times a second."""
        self._guarded(lambda: self.gateway.tick(self._clock.now_ns()))

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            try:
                call()
            except Malformed as error:
                self._said("malformed", connection=self.name, error=str(error))
                self.gateway.restart = self.gateway.restart or str(error)
            self._heard(self._clock.now_ns())
            self.do_wishes()
        except BaseException as error:
            self._fail(error)

    # --- what the gateway wants -----------------------------------------------------------------------------------
    def do_wishes(self) -> None:
        """Send what the gateway wants sent: after everything that could have made it want something."""
        gateway = self.gateway
        if gateway.ready != self._was_ready:
            self._was_ready = gateway.ready
            self._said("account", connection=self.name, ready=gateway.ready)
        for text in gateway.sends:
            self.connection.send(text)
        gateway.sends.clear()
        for call in gateway.calls:
            task = asyncio.get_running_loop().create_task(self._call(call))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        gateway.calls.clear()
        if gateway.restart:
            why, gateway.restart = gateway.restart, ""
            self.connection.restart(why)

    async def _call(self, call: Call) -> None:
        status, body = await self._http.call(call.method, self._address.rest + call.path, call.body, call.headers)
        if status == 0:
            # What is said of a failed request holds its address, and that its signature.
            body = b"no answer"
        self._guarded(lambda: self.gateway.answered(call.tag, status, body, self._clock.now_ns()))

    def told(self) -> dict[str, Any]:
        """Its state, for people."""
        return {
            "connection": self.name, "open": self.connection.socket is not None, "ready": self.gateway.ready,
            "connects": self.connection.connects, "messages": self.messages, "counts": dict(self.gateway.counts),
        }  # fmt: skip

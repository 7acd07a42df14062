"""A connection that is opened again when it ends: back-off with jitter, and a bound on attempts in a window.

A venue that restarts meets all its clients at once; whoever does not spread out is banned.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from pinnacle.errors import VenueError
from pinnacle.limits import (
    BACKOFF_S_MAX,
    BACKOFF_S_MIN,
    CONNECTIONS_IN_WINDOW_MAX,
    CONNECTIONS_WINDOW_S,
    HEADERS_AGAIN_S,
    PING_EVERY_S,
    PONG_S_MAX,
    STABLE_S,
)
from pinnacle.transport.websocket import Route, WebSocket, connect


class Listener(Protocol):
    """Who hears of a connection.  All are called in the turn of the loop in which it happens."""

    def opened(self) -> None:
        """It is open: send what is to be subscribed to."""

    def received(self, data: bytes) -> None:
        """One whole message."""

    def closed(self, why: str) -> None:
        """It was open, and is no more."""

    def failed(self, why: str) -> None:
        """It could not be opened; it will be tried again."""


def backoff_s(attempt: int, chance: random.Random) -> float:
    """How long to wait before attempt number `attempt` in a row (from 1): doubling, drawn from its upper half."""
    whole = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0 ** min(attempt - 1, 32))
    return whole * (0.5 + 0.5 * chance.random())


class Connection:
    """One connection kept open.  headers, url: asked for at each attempt, in this sequence, because a feed may change
    them; headers None: not yet, ask again soon."""

    def __init__(
        self,
        url: Callable[[], str],
        headers: Callable[[], Mapping[str, str] | None],
        route: Route,
        listener: Listener,
        chance: random.Random,
    ) -> None:
        self._url, self._headers, self._route, self._listener, self._chance = url, headers, route, listener, chance
        self._socket: WebSocket | None = None
        self._ended = asyncio.Event()
        self._attempts: deque[float] = deque()
        self.connects = 0

    @property
    def socket(self) -> WebSocket | None:
        """The open connection, None while there is none."""
        return self._socket

    def send(self, text: bytes) -> None:
        if self._socket is not None:
            self._socket.send(text)

    def restart(self, why: str) -> None:
        """Close what is open; it is opened again as after any other end."""
        if self._socket is not None:
            self._socket.drop(why)

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        loop = asyncio.get_running_loop()
        failures = 0
        try:
            while True:
                await self._within_limits(loop)
                while (headers := self._headers()) is None:
                    await asyncio.sleep(HEADERS_AGAIN_S)
                self._ended.clear()
                began = loop.time()
                try:
                    opened = await connect(
                        self._url(), headers, self._route, self._listener.received, self._gone, self._begun
                    )
                except VenueError as error:
                    failures += 1
                    self._listener.failed(str(error))
                else:
                    await self._watch(opened)
                    # One that held is no failure: the first attempt after it comes soon.
                    failures = 1 if loop.time() - began > STABLE_S else failures + 1
                await asyncio.sleep(backoff_s(failures, self._chance))
        finally:
            if self._socket is not None:
                self._socket.drop("we end it")

    def _begun(self, opened: WebSocket) -> None:
        self._socket = opened
        self.connects += 1
        self._listener.opened()

    def _gone(self, why: str) -> None:
        self._socket = None
        self._ended.set()
        self._listener.closed(why)

    async def _watch(self, opened: WebSocket) -> None:
        """Ping until it ends; one that does not answer is half open."""
        while not self._ended.is_set():
            heard, pongs = opened.bytes_in, opened.pongs_in
            # Not wait_for: in Python 3.11 a cancellation in the moment in which the connection ends is lost in it, and
            # whoever cancelled waits for ever.
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    await self._ended.wait()
            except TimeoutError:
                if opened.bytes_in != heard:
                    continue
                opened.ping()
                try:
                    async with asyncio.timeout(PONG_S_MAX):
                        await self._ended.wait()
                except TimeoutError:
                    if opened.pongs_in == pongs and opened.bytes_in == heard:
                        opened.drop(f"no answer to a ping within {PONG_S_MAX} s")
                        await self._ended.wait()

    async def _within_limits(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until another attempt is within what venues allow."""
        while self._attempts and loop.time() - self._attempts[0] > CONNECTIONS_WINDOW_S:
            self._attempts.popleft()
        if len(self._attempts) >= CONNECTIONS_IN_WINDOW_MAX:
            await asyncio.sleep(CONNECTIONS_WINDOW_S - (loop.time() - self._attempts[0]))
        self._attempts.append(loop.time())

"""A connection whose headers or address have to be asked for first waits for them, and shows no part of the address."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest
from websockets.asyncio.server import ServerConnection, serve

from pinnacle.errors import VenueError
from pinnacle.transport.reconnect import Connection
from pinnacle.transport.websocket import Route, connect
from tests.transport.test_connections import run


class Told:
    """A listener that only counts.  url: known once the headers are."""

    def __init__(self, port: int) -> None:
        self.asked, self.url, self.port = 0, "", port
        self.open = asyncio.Event()

    def headers(self) -> Mapping[str, str] | None:
        self.asked += 1
        if self.asked < 4:
            return None
        self.url = f"ws://127.0.0.1:{self.port}/private/ws/secret-key"
        return {}

    def opened(self) -> None:
        self.open.set()

    def received(self, data: bytes) -> None:
        """Nothing comes."""

    def closed(self, why: str) -> None:
        """It is ended by the test."""

    def failed(self, why: str) -> None:
        raise AssertionError(why)


def test_a_connection_waits_until_it_has_headers() -> None:
    """None means not yet: nothing is opened, no attempt fails, and the address is asked for after the headers."""

    async def main() -> None:
        paths = []

        async def seen(connection: ServerConnection) -> None:
            assert connection.request is not None
            paths.append(connection.request.path)
            await connection.wait_closed()

        async with serve(seen, "127.0.0.1", 0) as server:
            told = Told(next(iter(server.sockets)).getsockname()[1])
            kept = Connection(lambda: told.url, told.headers, Route(), told, random.Random(1))
            task = asyncio.create_task(kept.run())
            await told.open.wait()
            assert told.asked == 4 and kept.connects == 1
            while not paths:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert paths == ["/private/ws/secret-key"]

    run(main)


def test_what_is_said_of_a_failed_opening_shows_no_key() -> None:
    """An address may hold a key after the host: neither a refused handshake nor a closed one says it."""

    async def main() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            if answers:
                writer.write(answers.pop())
            writer.close()

        answers = [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"]
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for _ in range(2):
            with pytest.raises(VenueError) as caught:
                await connect(
                    f"ws://127.0.0.1:{port}/private/ws/secret-key", {}, Route(), lambda data: None, lambda why: None
                )
            assert "secret-key" not in str(caught.value) and str(port) in str(caught.value)
        server.close()

    run(main)

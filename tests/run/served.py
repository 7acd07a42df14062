"""A local exchange that serves on a loopback port in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pinnacle.run.local_exchange import LocalExchange, prepare_exchange
from pinnacle.run.serve import serve
from pinnacle.transport.server import Server


class Served:
    """What a test needs of it.  call: run a function in the server's thread, and its result."""

    def __init__(
        self, exchange: LocalExchange, server: Server, loop: asyncio.AbstractEventLoop, lines: list[str]
    ) -> None:
        self.exchange, self.server, self.loop, self.lines = exchange, server, loop, lines
        self.desk = exchange.desk
        self.http, self.ws = f"http://127.0.0.1:{server.port}", f"ws://127.0.0.1:{server.port}"
        self.port = server.port

    def call(self, function: Any, *given: Any) -> Any:
        async def run() -> Any:
            return function(*given)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)


@contextmanager
def served(
    dialect: str = "binance",
    settings: Sequence[str] = (),
    tapes: Sequence[Path] = (),
    speed: float | None = None,
    faults: Sequence[str] = (),
    send_buffer_bytes_max: int = 8 << 20,
    clients_max: int = 64,
) -> Iterator[Served]:
    """Serve until the block ends."""
    lines: list[str] = []
    exchange = prepare_exchange(
        None,
        settings,
        "127.0.0.1:0",
        None if tapes else dialect,
        (),
        tapes,
        speed,
        faults,
        False,
        1,
        None,
        lines.append,
    )
    ready, found = threading.Event(), []

    async def run() -> None:
        server = Server(exchange.desk, clients_max=clients_max, send_buffer_bytes_max=send_buffer_bytes_max)
        await server.start("127.0.0.1", 0)
        stop = asyncio.Event()
        found.append((server, asyncio.get_running_loop(), stop))
        exchange.desk.step()
        ready.set()
        await serve(exchange.desk, server, stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(120)
    server, loop, stop = found[0]
    try:
        yield Served(exchange, server, loop, lines)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()

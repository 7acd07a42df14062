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
from pinnacle.transport.certificate import self_made
from pinnacle.transport.server import Server


class Served:
    """What a test needs of it.  call: run a function in the server's thread, and its result."""

    def __init__(
        self,
        exchange: LocalExchange,
        server: Server,
        loop: asyncio.AbstractEventLoop,
        lines: list[str],
        secure_port: int,
    ) -> None:
        self.exchange, self.server, self.loop, self.lines = exchange, server, loop, lines
        self.desk = exchange.desk
        self.http, self.ws = f"http://127.0.0.1:{server.port}", f"ws://127.0.0.1:{server.port}"
        self.wss = f"wss://127.0.0.1:{secure_port}"
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
    certificate: Path | None = None,
) -> Iterator[Served]:
    """Serve until the block ends; certificate: on a second port with TLS too, and where its certificate is written."""
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
        secure = Server(exchange.desk)
        server = Server(exchange.desk, clients_max=clients_max, send_buffer_bytes_max=send_buffer_bytes_max)
        await server.start("127.0.0.1", 0)
        if certificate is not None:
            await secure.start("127.0.0.1", 0, self_made(certificate, "127.0.0.1"))
        stop = asyncio.Event()
        found.append((server, secure.port, asyncio.get_running_loop(), stop))
        exchange.desk.step()
        ready.set()
        await serve(exchange.desk, server, stop)
        await secure.stop()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(120)
    server, secure_port, loop, stop = found[0]
    try:
        yield Served(exchange, server, loop, lines, secure_port)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()

"""Websocket, reconnection, HTTP and the local door over loopback: bytes arrive whole, what fails says why."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from pinnacle.errors import OperatorError, VenueError
from pinnacle.limits import BACKOFF_S_MAX, BACKOFF_S_MIN
from pinnacle.transport import control, reconnect
from pinnacle.transport.http import Http
from pinnacle.transport.websocket import Route, connect

Handler = Callable[[ServerConnection], Awaitable[None]]


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    import uvloop

    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await main()

    return uvloop.run(bounded())


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-made certificate for localhost and its key, as PEM files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return pem, secret


async def echo(connection: ServerConnection) -> None:
    async for data in connection:
        await connection.send(data)


class Heard:
    """What a client heard, and why it ended."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.why = ""
        self.ended = asyncio.Event()

    def received(self, data: bytes) -> None:
        self.messages.append(data)

    def gone(self, why: str) -> None:
        self.why = why
        self.ended.set()

    async def until(self, count: int) -> None:
        while len(self.messages) < count:
            await asyncio.sleep(0.001)


def test_messages_of_any_size_come_back_whole_over_tls(tmp_path: Path) -> None:
    """Texts from one byte to megabytes, in frames and fragments, are echoed equal through TLS with a CA of our own."""
    pem, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    sizes = (1, 125, 126, 65_535, 65_536, 3_000_000)

    async def fragments(connection: ServerConnection) -> None:
        async for data in connection:
            assert isinstance(data, str)
            half = len(data) // 2
            await connection.send([data[:half], data[half:]] if half else data)

    async def main() -> None:
        async with serve(fragments, "localhost", 0, ssl=context, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            heard = Heard()
            url = f"wss://localhost:{port}/x"
            opened = await connect(url, {"X-One": "1"}, Route(ca_file=str(pem)), heard.received, heard.gone)
            for n, size in enumerate(sizes):
                opened.send(b"x" * size)
                await heard.until(n + 1)
            assert [len(one) for one in heard.messages] == list(sizes)
            opened.drop("enough")
            await heard.ended.wait()
            assert heard.why == "enough"
            with pytest.raises(VenueError, match=r"certificate is not trusted.*live\.ca_file"):
                await connect(url, {}, Route(), heard.received, heard.gone)

    run(main)


def test_what_is_said_on_a_connection_that_has_ended_is_lost() -> None:
    """Text, ping and drop after the socket is gone raise nothing, whether its end was heard of yet or not."""

    async def main() -> None:
        async with serve(echo, "localhost", 0) as server:
            heard = Heard()
            url = f"ws://localhost:{server.sockets[0].getsockname()[1]}/"
            opened = await connect(url, {}, Route(), heard.received, heard.gone)
            assert opened._transport is not None
            opened._transport.abort()
            opened.send(b"late")
            await heard.ended.wait()
            opened.send(b"later")
            opened.ping()
            opened.drop("at last")

    run(main)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ws://no-such-host.invalid/", "does not resolve"),
        ("ws://localhost:9/", "cannot be reached"),
        ("ws://localhost:{http}/", "no websocket"),
    ],
)
def test_what_cannot_be_opened_says_why(url: str, why: str) -> None:
    """A host without an address, a port without a listener, a server that speaks no websocket: one VenueError each."""

    async def main() -> None:
        runner = web.AppRunner(web.Application())
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0)
        await site.start()
        port = runner.addresses[0][1]
        with pytest.raises(VenueError, match=why):
            await connect(url.format(http=port), {}, Route(), lambda data: None, lambda why: None)
        await runner.cleanup()

    run(main)


def test_a_proxy_is_asked_to_connect() -> None:
    """Through an HTTP proxy the same bytes arrive; one that refuses is named."""

    async def main() -> None:
        asked: list[bytes] = []
        refuse = False

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head.split(b"\r\n")[0])
            if refuse:
                writer.write(b"HTTP/1.1 403 No\r\n\r\n")
                writer.close()
                return
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            there_reader, there = await asyncio.open_connection("localhost", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(1 << 16):
                    sink.write(data)
                sink.close()

            await asyncio.gather(pump(reader, there), pump(there_reader, writer))

        async with serve(echo, "localhost", 0) as server:
            port = server.sockets[0].getsockname()[1]
            middle = await asyncio.start_server(proxy, "localhost", 0)
            route = Route(proxy=f"http://localhost:{middle.sockets[0].getsockname()[1]}")
            heard = Heard()
            opened = await connect(f"ws://localhost:{port}/", {}, route, heard.received, heard.gone)
            opened.send(b"through")
            await heard.until(1)
            assert heard.messages == [b"through"] and asked == [f"CONNECT localhost:{port} HTTP/1.1".encode()]
            opened.drop("enough")
            refuse = True
            with pytest.raises(VenueError, match="the proxy refuses"):
                await connect(f"ws://localhost:{port}/", {}, route, heard.received, heard.gone)
            middle.close()

    run(main)


def test_a_loop_that_was_held_up_while_it_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that opens in the very turn in which it is given up ends in the venue's error, whatever of it was
    begun hears that it is gone, and the next attempt opens."""
    monkeypatch.setattr("pinnacle.transport.websocket.HANDSHAKE_S_MAX", 0.3)

    async def main() -> list[str]:
        said: list[str] = []
        async with serve(echo, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for held_s in (0.5, 0.0):
                heard = Heard()

                def begun(opened: object, held_s: float = held_s) -> None:
                    said.append("begun")
                    time.sleep(held_s)

                def gone(why: str) -> None:
                    said.append("gone")

                try:
                    made = await connect(url, {}, Route(), heard.received, gone, begun)
                    made.drop("over")
                    await asyncio.sleep(0.01)
                except VenueError:
                    said.append("refused")
        return said

    said = run(main)
    assert said[-2:] == ["begun", "gone"]
    assert said[:-2] in (["begun", "gone", "refused"], ["begun", "gone"])


def test_backoff_doubles_within_bounds_and_repeats() -> None:
    """Waits lie in the upper half of a doubling bound, never above BACKOFF_S_MAX, and follow from the generator."""
    waits = [[reconnect.backoff_s(n, random.Random(seed)) for n in range(1, 40)] for seed in (1, 1, 2)]
    assert waits[0] == waits[1] != waits[2]
    for n, wait in enumerate(waits[0]):
        whole = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0**n)
        assert whole / 2 <= wait <= whole


def test_a_connection_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs up again and again is met again each time; its listener hears of each end once, in order."""
    monkeypatch.setattr(reconnect, "BACKOFF_S_MIN", 0.01)
    monkeypatch.setattr(reconnect, "BACKOFF_S_MAX", 0.02)
    said: list[str] = []

    class Ear:
        def opened(self) -> None:
            said.append("opened")

        def received(self, data: bytes) -> None:
            said.append(data.decode())

        def closed(self, why: str) -> None:
            said.append("closed")

        def failed(self, why: str) -> None:
            said.append("failed")

    async def hang_up(connection: ServerConnection) -> None:
        await connection.send("hello")

    async def main() -> None:
        async with serve(hang_up, "localhost", 0) as server:
            url = f"ws://localhost:{server.sockets[0].getsockname()[1]}/"
            kept = reconnect.Connection(lambda: url, dict, Route(), Ear(), random.Random(3))
            task = asyncio.create_task(kept.run())
            while said.count("closed") < 4:
                await asyncio.sleep(0.005)
        while "failed" not in said:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main)
    assert said[:12] == ["opened", "hello", "closed"] * 4


def test_a_connection_that_ends_as_it_is_cancelled_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ends a connection in the very moment in which it breaks waits for it no longer: however many steps of the
    loop lie between the two, it does not connect again."""
    monkeypatch.setattr(reconnect, "BACKOFF_S_MIN", 0.001)
    made: list[Callable[[str], None]] = []

    class Opened:
        bytes_in = pongs_in = 0

        def drop(self, why: str) -> None: ...

    async def connects(url: Any, headers: Any, route: Any, received: Any, gone: Any, begun: Any) -> Any:
        made.append(gone)
        opened = Opened()
        begun(opened)
        return opened

    class Ear:
        def opened(self) -> None: ...

        def received(self, data: bytes) -> None: ...

        def closed(self, why: str) -> None: ...

        def failed(self, why: str) -> None: ...

    monkeypatch.setattr(reconnect, "connect", connects)

    async def main() -> None:
        for steps in range(8):
            kept = reconnect.Connection(lambda: "", dict, Route(), Ear(), random.Random(3))
            made.clear()
            task = asyncio.create_task(kept.run())
            while not made:
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            made[0]("broken")
            for _ in range(steps):
                await asyncio.sleep(0)
            before = len(made)  # on a slow machine it may rightly have connected again by now
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=1)
            assert done and task.cancelled() and len(made) == before, f"after {steps} steps"

    run(main)


def test_half_open_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that answers no ping is dropped."""
    monkeypatch.setattr(reconnect, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(reconnect, "PONG_S_MAX", 0.1)
    ended = asyncio.Event()
    told: list[str] = []

    class Ear:
        def opened(self) -> None: ...

        def received(self, data: bytes) -> None: ...

        def closed(self, why: str) -> None:
            told.append(why)
            ended.set()

        def failed(self, why: str) -> None: ...

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.server import ServerProtocol

        protocol = ServerProtocol()
        while data := await reader.read(4096):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if not told and hasattr(event, "headers"):
                    protocol.send_response(protocol.accept(event))
                    writer.write(b"".join(protocol.data_to_send()))
                    await asyncio.sleep(30)

    async def main() -> None:
        server = await asyncio.start_server(silent, "localhost", 0)
        url = f"ws://localhost:{server.sockets[0].getsockname()[1]}/"
        kept = reconnect.Connection(lambda: url, dict, Route(), Ear(), random.Random(3))
        task = asyncio.create_task(kept.run())
        await ended.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main)
    assert "no answer to a ping" in told[0]


def test_http_bounds_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole answer with its status; one that is too long, too slow or of no host at all is status 0 and says why."""
    monkeypatch.setattr("pinnacle.transport.http.HTTP_BYTES_MAX", 1000)
    monkeypatch.setattr("pinnacle.transport.http.HTTP_S_MAX", 0.3)

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.sleep(2)
        if request.method == "POST":
            return web.Response(status=201, body=await request.read())
        return web.Response(status=404 if request.path == "/no" else 200, body=b"x" * int(request.query.get("n", 3)))

    async def main() -> None:
        app = web.Application()
        app.router.add_route("*", "/{any}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "localhost", 0).start()
        url = f"http://localhost:{runner.addresses[0][1]}"
        async with Http(Route()) as http:
            assert await http.call("GET", f"{url}/a") == (200, b"xxx")
            assert await http.call("GET", f"{url}/no") == (404, b"xxx")
            assert await http.call("POST", f"{url}/a", b"body") == (201, b"body")
            for path, why in (("/a?n=2000", b"more than 1000 bytes"), ("/slow", b"no answer within")):
                status, said = await http.call("GET", url + path)
                assert status == 0 and why in said
            assert (await http.call("GET", "http://no-such-host.invalid/"))[0] == 0
        await runner.cleanup()

    run(main)


@contextmanager
def long_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)
    yield folder


def test_the_local_door(tmp_path: Path) -> None:
    """A question and its answer through a path longer than a socket's name can be; only its owner may knock; rubbish is
    answered and does no harm; a folder without a session says so."""
    with long_folder(tmp_path) as folder:

        async def main() -> None:
            server = control.ControlServer(folder, lambda asked: {"echo": asked})
            await server.start()
            assert (folder / control.NAME).stat().st_mode & 0o777 == 0o600
            loop = asyncio.get_running_loop()
            told = await loop.run_in_executor(None, control.ask, folder, {"do": "status"})
            assert told == {"echo": {"do": "status"}}
            server.close()

        run(main)
        with pytest.raises(OperatorError, match="no session runs there"):
            control.ask(folder, {"do": "status"})

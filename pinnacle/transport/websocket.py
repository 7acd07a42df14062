"""One websocket connection as a client: bytes in, bytes out, in the turn of the loop in which they come.

The websockets library's protocol without I/O is driven straight from the socket's own callback.  Its coroutine API
would put every message through a queue and wake a task for it; benchmarks/live_path.py measures what that costs.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from pinnacle.errors import OperatorError, VenueError
from pinnacle.limits import HANDSHAKE_S_MAX, WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_WRITE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Route:
    """How hosts are reached.  ca_file: further certificate authorities to trust, "" for the system's alone.
    proxy: http://HOST:PORT that is asked to CONNECT, "" for none."""

    ca_file: str = ""
    proxy: str = ""

    def tls(self) -> ssl.SSLContext:
        """What certificates are checked against.  Raises OperatorError for a file that holds none."""
        context = ssl.create_default_context()
        if self.ca_file:
            try:
                context.load_verify_locations(self.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise OperatorError(f"live.ca_file {self.ca_file}: holds no certificates ({error})") from None
        return context


class WebSocket(asyncio.Protocol):
    """An open connection, or one that is opening.  Made by `connect`.

    received: called with each whole message.  gone: called once, with why, when an open connection has ended.
    bytes_in, messages_in: totals, for people.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        received: Callable[[bytes], None],
        gone: Callable[[str], None],
        begun: Callable[[WebSocket], None],
        opened: asyncio.Future[None],
    ) -> None:
        # An address may hold a key after the host: it is not shown.
        parts = urlsplit(url)
        self._host = f"{parts.scheme}://{parts.netloc}"
        self._headers = headers
        self._received, self._gone, self._begun, self._opened = received, gone, begun, opened
        self._protocol = ClientProtocol(parse_uri(url), max_size=WEBSOCKET_MESSAGE_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._parts_size = 0
        self._said_gone = False
        self._failure = ""
        self.bytes_in = self.messages_in = self.pongs_in = 0

    # --- what the loop calls --------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asyncio's own class under uvloop, but all that it promises.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(WEBSOCKET_WRITE_BYTES_MAX)
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self.bytes_in += len(data)
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            elif protocol.handshake_exc is None and not self._opened.done():
                self._opened.set_result(None)
                # Here and not in the task that waits for it: the first message may lie behind it in these bytes.
                self._begun(self)
        if protocol.handshake_exc is not None and not self._opened.done():
            self._opened.set_exception(VenueError(f"{self._host}: no websocket: {protocol.handshake_exc}"))
        self._flush()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(
                VenueError(f"{self._host}: closed while it was opening ({error or 'no reason'})")
            )
            return
        if self._opened.cancelled() or self._opened.exception() is not None:
            # It was never open, and who wanted it has been told why.
            return
        self._say_gone(self._failure or str(error or self._why_closed()))

    # --- frames ---------------------------------------------------------------------------------------------------
    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY or frame.opcode is Opcode.CONT:
            data = frame.data if type(frame.data) is bytes else bytes(frame.data)
            if not frame.fin or self._parts:
                self._parts.append(data)
                if not frame.fin:
                    return
                data = b"".join(self._parts)
                self._parts.clear()
            self.messages_in += 1
            self._received(data)
        elif frame.opcode is Opcode.PONG:
            self.pongs_in += 1

    def send(self, text: bytes) -> None:
        """Send one text message.  What is sent on a connection that has ended is lost, as it would be on the way."""
        if self._protocol.state is OPEN:
            self._protocol.send_text(text)
            self._flush()
            transport = self._transport
            if transport is not None and transport.get_write_buffer_size() > WEBSOCKET_WRITE_BYTES_MAX:
                self.drop("the other side takes nothing any more")

    def ping(self) -> None:
        """Ask the other side for a sign of life; `pongs_in` counts them."""
        if self._protocol.state is OPEN:
            self._protocol.send_ping(b"pinnacle")
            self._flush()

    def drop(self, why: str) -> None:
        """End the connection at once."""
        self._failure = self._failure or why
        if self._protocol.state is OPEN:
            self._protocol.send_close(1000)
            self._flush()
        if self._transport is not None:
            self._transport.abort()

    def begun_in_vain(self, why: str) -> None:
        """It was given up in the very turn in which it opened (the loop was held up): who heard `begun` hears `gone`,
        which the loop does not say of a socket that was closed like this."""
        if self._opened.done() and not self._opened.cancelled() and self._opened.exception() is None:
            self._say_gone(why)

    def _flush(self) -> None:
        transport = self._transport
        assert transport is not None
        # Taken from the protocol in any case; on a socket that has ended it has nowhere to go.
        ended = transport.is_closing()
        for data in self._protocol.data_to_send():
            if ended:
                continue
            try:
                if data:
                    transport.write(data)
                elif transport.can_write_eof():
                    transport.write_eof()
                else:
                    transport.close()
            except RuntimeError:
                # uvloop ends the socket of a connect that was given up, and does not say that it is closing.
                ended = True
        if self._protocol.close_expected() and not transport.is_closing():
            transport.close()

    def _why_closed(self) -> str:
        code = self._protocol.close_code
        reason = self._protocol.close_reason
        error = self._protocol.parser_exc
        if error is not None:
            return f"a frame that breaks the protocol ({error})"
        return f"closed by the other side ({code}{' ' + reason if reason else ''})" if code else "closed"

    def _say_gone(self, why: str) -> None:
        if not self._said_gone:
            self._said_gone = True
            self._gone(why)


async def connect(
    url: str,
    headers: Mapping[str, str],
    route: Route,
    received: Callable[[bytes], None],
    gone: Callable[[str], None],
    begun: Callable[[WebSocket], None] = lambda opened: None,
) -> WebSocket:
    """Open a connection; `begun` is called with it before any message.

    Raises VenueError saying which host and what failed: name, route, certificate, handshake.
    """
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    opened: asyncio.Future[None] = loop.create_future()
    # Whoever gives up waiting for it has its own reason to tell.
    opened.add_done_callback(lambda told: told.cancelled() or told.exception())
    made: list[WebSocket] = []

    def factory() -> WebSocket:
        made.append(WebSocket(url, headers, received, gone, begun, opened))
        return made[0]

    tls = route.tls() if secure else None
    try:
        async with asyncio.timeout(HANDSHAKE_S_MAX):
            if route.proxy:
                through = await _through_proxy(route.proxy, host, port)
                await loop.create_connection(factory, sock=through, ssl=tls, server_hostname=host if tls else None)
            else:
                await loop.create_connection(factory, host, port, ssl=tls)
            await opened
    except TimeoutError:
        why = f"no answer within {HANDSHAKE_S_MAX} s"
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted ({error.verify_message}); see live.ca_file"
    except socket.gaierror as error:
        why = f"the host does not resolve ({error.strerror})"
    except (OSError, WebSocketException) as error:
        why = f"cannot be reached ({error})"
    except BaseException:
        if made:
            made[0].drop("given up")
        raise
    else:
        return made[0]
    if made:
        made[0].drop(why)
        made[0].begun_in_vain(why)
    raise VenueError(f"{parts.scheme}://{host}:{port}: {why}")


async def _through_proxy(proxy: str, host: str, port: int) -> socket.socket:
    """A socket that a proxy has connected to host:port."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(proxy)
    if parts.scheme != "http" or parts.hostname is None:
        raise OperatorError(f"live.proxy is {proxy!r}, and must be http://HOST:PORT")
    through = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    through.setblocking(False)
    try:
        found = await loop.getaddrinfo(parts.hostname, parts.port or 8080, type=socket.SOCK_STREAM)
        await loop.sock_connect(through, found[0][4])
        asked = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        await loop.sock_sendall(through, asked.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < 1 << 16:
            data = await loop.sock_recv(through, 4096)
            if not data:
                break
            answer += data
        status = answer.split(b" ")
        if len(status) < 2 or status[1] != b"200":
            raise VenueError(
                f"{proxy}: the proxy refuses {host}:{port} ({answer[:80].decode(errors='replace').strip()})"
            )
    except BaseException:
        through.close()
        raise
    return through

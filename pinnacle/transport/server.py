"""One port that serves HTTP and websockets: bytes in, bytes out, and every buffer bounded.

What is said belongs to an Endpoint, which is told of requests and messages and writes on a Wire; here are sockets and
their limits alone.  A client that stops reading is cut off when what waits for it passes its bound, and nobody else
notices: a write never waits.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from pinnacle.errors import OperatorError
from pinnacle.limits import CLIENTS_MAX, REQUEST_BODY_BYTES_MAX, SEND_BUFFER_BYTES_MAX, SOCKET_MESSAGE_BYTES_MAX

# status, headers, body; None: hang up without an answer
Answer = tuple[int, Mapping[str, str], bytes] | None
_CLOSE_S = 2.0
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A


class Channel(Protocol):
    """An endpoint's side of one websocket."""

    def received(self, message: bytes) -> None:
        """One whole message, text or binary."""

    def pinged(self) -> None:
        """A ping came; it is answered already."""

    def ponged(self, payload: bytes) -> None:
        """A ping of ours was answered."""

    def gone(self) -> None:
        """The connection has ended, whoever ended it."""


class Endpoint(Protocol):
    """What answers."""

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes, peer: str) -> Answer:
        """An HTTP request.  target: path and query as sent; header names in lower case."""

    async def opening(
        self, target: str, headers: Mapping[str, str], peer: str
    ) -> Callable[[Wire], Channel] | tuple[int, Mapping[str, str], bytes] | None:
        """A websocket asks to be opened: what makes its channel, or the refusal."""


class Wire:
    """The writing end of one websocket.  Nothing here waits."""

    def __init__(self, server: Server, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._server, self._socket, self._transport = server, socket, transport
        self.messages = 0  # sent
        self.silent = False  # half open: nothing is sent, and nothing that comes is looked at
        self._closing: asyncio.Task[bool] | None = None

    @property
    def waiting_bytes(self) -> int:
        """What the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    @property
    def open(self) -> bool:
        """Whether anything can still be sent."""
        return self._closing is None and not self._transport.is_closing()

    def send(self, messages: list[bytes]) -> None:
        """Send text messages, all in one write."""
        if not self.open or self.silent:
            return
        self._write(b"".join([part for message in messages for part in (_head(_TEXT, len(message)), message)]))
        self.messages += len(messages)

    def ping(self, payload: bytes) -> None:
        """Send a ping; at most 125 bytes."""
        assert len(payload) < 126
        if self.open and not self.silent:
            self._write(_head(_PING, len(payload)) + payload)

    def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        if self.open and not self.silent:
            self._write(_head(_PONG, len(payload)) + payload)

    def close(self, code: int, reason: str) -> None:
        """End the connection in order, after what was sent."""
        if self.open and not self.silent:
            closing = self._socket.close(code=code, message=reason.encode()[:120])
            self._closing = asyncio.get_running_loop().create_task(closing)

    def cut(self) -> None:
        """End the connection at once; what waits is lost."""
        self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self.waiting_bytes + len(data) > self._server.send_buffer_bytes_max:
            self._server.slow_readers += 1
            self.cut()
            return
        self._transport.write(data)


def _head(kind: int, size: int) -> bytes:
    """The head of a server's frame (RFC 6455 5.2): whole, unmasked."""
    if size < 126:
        return bytes((kind, size))
    if size < 1 << 16:
        return struct.pack("!BBH", kind, 126, size)
    return struct.pack("!BBQ", kind, 127, size)


class _Refusal(asyncio.Protocol):
    """Hangs up: one client too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _Door(web.Server):
    """aiohttp's server with a bound on its clients."""

    clients_max = CLIENTS_MAX
    refused = 0

    def __call__(self) -> Any:
        if len(self.connections) >= self.clients_max:
            self.refused += 1
            return _Refusal()
        return super().__call__()


class Server:
    """Listens until stopped.  clients, slow_readers, refused: counts for whoever wants to know."""

    def __init__(
        self,
        endpoint: Endpoint,
        clients_max: int = CLIENTS_MAX,
        send_buffer_bytes_max: int = SEND_BUFFER_BYTES_MAX,
        message_bytes_max: int = SOCKET_MESSAGE_BYTES_MAX,
        body_bytes_max: int = REQUEST_BODY_BYTES_MAX,
    ) -> None:
        self._endpoint = endpoint
        self.send_buffer_bytes_max, self._message_bytes_max = send_buffer_bytes_max, message_bytes_max
        self._body_bytes_max = body_bytes_max
        self.slow_readers = self.websockets = 0
        self._door = _Door(self._handle, request_factory=self._make_request, access_log=None)
        self._door.clients_max = clients_max
        self._listening: asyncio.Server | None = None
        self.port = 0

    @property
    def clients(self) -> int:
        """Connections there are."""
        return len(self._door.connections)

    @property
    def refused(self) -> int:
        """Connections that were one too many."""
        return self._door.refused

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen; `port` is then the one that was given, or found for 0.  Raises OperatorError."""
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(self._door, host, port, ssl=tls, backlog=128)
        except OSError as error:
            raise OperatorError(
                f"--listen {host}:{port}: {error.strerror or error}; choose another address or port"
            ) from None
        self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no longer, and end every connection."""
        if self._listening is not None:
            self._listening.close()
        await self._door.shutdown(_CLOSE_S)

    def _make_request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=self._body_bytes_max)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        peer = request.remote or ""
        if headers.get("upgrade", "").lower() == "websocket":
            return await self._websocket(request, headers, peer)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        return _response(request, await self._endpoint.request(request.method, request.raw_path, headers, body, peer))

    async def _websocket(self, request: web.BaseRequest, headers: Mapping[str, str], peer: str) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            timeout=_CLOSE_S, autoping=False, compress=False, max_msg_size=self._message_bytes_max
        )
        # Asked before the endpoint is, so that it makes nothing for a handshake that cannot be.
        if not socket.can_prepare(request).ok:
            return web.Response(status=400)
        made = await self._endpoint.opening(request.raw_path, headers, peer)
        if made is None or isinstance(made, tuple):
            return _response(request, made)
        transport = request.transport
        assert transport is not None
        wire = Wire(self, socket, transport)
        try:
            await socket.prepare(request)
        except BaseException:
            made(wire).gone()
            raise
        channel = made(wire)
        self.websockets += 1
        try:
            await self._listen(socket, wire, channel)
        finally:
            self.websockets -= 1
            channel.gone()
        return socket

    async def _listen(self, socket: web.WebSocketResponse, wire: Wire, channel: Channel) -> None:
        """Hand over what comes until it ends."""
        while True:
            message = await socket.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            if wire.silent:
                continue
            if message.type is WSMsgType.PING:
                wire.pong(bytes(message.data))
                channel.pinged()
            elif message.type is WSMsgType.PONG:
                channel.ponged(bytes(message.data))
            else:
                data = message.data
                channel.received(data.encode() if isinstance(data, str) else bytes(data))


def _response(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """An endpoint's answer; None hangs up."""
    if answer is None:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
    status, headers, body = answer
    return web.Response(status=status, headers=headers, body=body)


GOING_AWAY = int(WSCloseCode.GOING_AWAY)

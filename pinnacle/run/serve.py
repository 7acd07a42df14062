"""The local exchange: house, background, dialect, faults and server on one loop, paced by the wall clock.

Everything that decides is called from here with a time; the loop adds nothing but that time and the sequence in which
clients are heard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from pinnacle.dialects.dialect import Close, Dialect, Ping, Request, Response, Session
from pinnacle.errors import OperatorError
from pinnacle.limits import EXCHANGE_STEP_NS
from pinnacle.run.books import books_of
from pinnacle.transport.faults import Faults, FaultyWire
from pinnacle.transport.server import GOING_AWAY, Answer, Server, Wire

CONTROL = "/pinnacle/"
_LOOPBACK = ("127.0.0.1", "::1")
# Steps of the market: short enough for a stream of 100 ms, long enough to be cheap.
PACE_S = 0.002
Opened = Callable[[Wire], "Client"]


class Client:
    """One websocket of a client: the dialect's session on one side, the wire on the other."""

    def __init__(self, desk: Desk, session: Session, wire: Wire) -> None:
        self._desk, self.session, self.wire = desk, session, wire
        session.unread_bytes = lambda: wire.waiting_bytes
        self._faulty = FaultyWire(wire, desk.faults, f"{session.path} {session.peer}", desk.later)

    def received(self, message: bytes) -> None:
        desk = self._desk
        now_ns = desk.advance()
        lost = desk.faults.strikes("lost_ack", self.session.path)
        before = len(self.session.outbox)
        self.session.receive(message, now_ns)
        if lost:
            # News of what the message did are lost with the answer, as when the line breaks at that moment.
            del self.session.outbox[before:]
        desk.flush()

    def pinged(self) -> None:
        self.session.pinged(self._desk.advance())
        self._desk.flush()

    def ponged(self, payload: bytes) -> None:
        self.session.ponged(payload, self._desk.advance())
        self._desk.flush()

    def gone(self) -> None:
        self._desk.leave(self)

    def flush(self) -> None:
        """Put what waits on the wire."""
        outbox, self.session.outbox = self.session.outbox, []
        texts: list[bytes] = []
        for item in outbox:
            if isinstance(item, bytes):
                texts.append(item)
                continue
            if texts:
                self._faulty.send(texts)
                texts = []
            if isinstance(item, Ping):
                self._faulty.ping(item.payload)
            elif isinstance(item, Close):
                self._faulty.close(item.code, item.reason)
        if texts:
            self._faulty.send(texts)


class Desk:
    """The endpoint of the server: requests and websockets to the dialect, with the time and the faults.

    clock: ns since 1970; a test gives its own.
    """

    def __init__(self, dialect: Dialect, faults: Faults, clock: Callable[[], int]) -> None:
        self.dialect, self.faults, self._clock = dialect, faults, clock
        dialect.spoil = lambda kind: faults.strikes(kind, dialect.name)
        self.clients: dict[Session, Client] = {}
        self.requests = self.messages_sent = 0
        self.later: Callable[[float, Callable[[], None]], object] = lambda seconds, act: (
            asyncio.get_running_loop().call_later(seconds, act)
        )

    def advance(self) -> int:
        """Bring the market to the present; the venue's time."""
        house, now_ns = self.dialect.house, self._clock()
        if house.now_ns:
            while house.now_ns + EXCHANGE_STEP_NS < now_ns:
                house.advance(house.now_ns + EXCHANGE_STEP_NS)
        house.advance(now_ns)
        self.dialect.skew_ns = self.faults.skew_ns
        return house.now_ns + self.dialect.skew_ns

    def step(self) -> None:
        """One step of the market, and what is due then."""
        now_ns = self.advance()
        self.dialect.tick(now_ns)
        self.flush()

    def flush(self) -> None:
        """Put what every session has to say on its wire."""
        for session in self.dialect.take_waiting():
            client = self.clients.get(session)
            if client is not None:
                self.messages_sent += len(session.outbox)
                client.flush()

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes, peer: str) -> Answer:
        self.requests += 1
        path, _, query = target.partition("?")
        if path.startswith(CONTROL):
            return self._control(method, path, body, peer)
        if self.faults.strikes("http_429", target):
            return 429, {"Retry-After": "1", "content-type": "application/json"}, b"{}"
        if self.faults.strikes("http_5xx", target):
            return 503, {"content-type": "text/html"}, b"<html><body>503 Service Unavailable</body></html>"
        now_ns = self.advance()
        response = self.dialect.request(Request(method, path, query, headers, body, peer), now_ns)
        self.flush()
        if method != "GET" and self.faults.strikes("lost_ack", target):
            return None
        return _answer(response)

    async def opening(self, target: str, headers: Mapping[str, str], peer: str) -> Opened | Answer:
        path, _, query = target.partition("?")
        if self.faults.strikes("http_429", target):
            return 429, {"Retry-After": "1"}, b""
        if self.faults.strikes("http_5xx", target):
            return 503, {"content-type": "text/html"}, b""
        made = self.dialect.connect(Request("GET", path, query, headers, b"", peer), self.advance())
        if isinstance(made, Response):
            return _answer(made)

        def join(wire: Wire) -> Client:
            client = self.clients[made] = Client(self, made, wire)
            self.dialect.opened(made, self.advance())
            # What was said while the handshake was under way is in no list of who waits any more.
            client.flush()
            self.flush()
            return client

        return join

    def leave(self, client: Client) -> None:
        """A websocket has gone."""
        del self.clients[client.session]
        self.dialect.closed(client.session, self.advance())
        self.flush()

    def _control(self, method: str, path: str, body: bytes, peer: str) -> Answer:
        """POST /pinnacle/fault {"kind": "drop", "count": 1} or {"kind": "drop", "rate": 0.1}; GET: what there is.
        GET /pinnacle/books: what the exchange has of its accounts."""
        headers = {"content-type": "application/json"}
        if peer not in _LOOPBACK:
            return 403, headers, b'{"error": "only from this machine"}'
        if path == CONTROL + "books" and method == "GET":
            self.advance()
            return 200, headers, msgspec.json.encode(books_of(self.dialect.house))
        if path != CONTROL + "fault":
            return 404, headers, b'{"error": "there is /pinnacle/fault, and GET /pinnacle/books"}'
        if method == "POST":
            try:
                wanted = msgspec.json.decode(body, type=FaultWanted)
                if wanted.rate is not None:
                    self.faults.set(wanted.kind, wanted.rate)
                else:
                    self.faults.ask(wanted.kind, wanted.count)
            except (msgspec.DecodeError, OperatorError) as error:
                return 400, headers, msgspec.json.encode({"error": str(error)})
        return 200, headers, msgspec.json.encode({"rates": self.faults.rates, "counts": dict(self.faults.counts)})


class FaultWanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of the control endpoint."""

    kind: str
    count: int = 1
    rate: float | None = None


def _answer(response: Response) -> Answer:
    return response.status, {"content-type": response.content_type} | response.headers, response.body


def wall_clock() -> Callable[[], int]:
    """ns since 1970 that never go back: the wall clock once, and then the monotonic one."""
    began_ns, mark_ns = time.time_ns(), time.monotonic_ns()
    return lambda: began_ns + time.monotonic_ns() - mark_ns


async def serve(desk: Desk, server: Server, stop: asyncio.Event) -> None:
    """Step the market until told to stop, then end every connection.  The server listens already."""
    while not stop.is_set():
        desk.step()
        await asyncio.sleep(PACE_S)
    for client in list(desk.clients.values()):
        client.wire.close(GOING_AWAY, "the exchange has closed")
    await server.stop()

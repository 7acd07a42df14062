"""What a dialect is: a venue's protocol on top of the house, as bytes in and bytes out.

No socket, no clock: whoever has them says the time with each call.  A dialect is written once and can be served, fed
by a test, or fed by a fuzzer.

**The contract for who writes a dialect**: subclass `Dialect` and `Session`, register the class in
pinnacle/dialects/names.py, and

- `request` answers an HTTP request.  It never raises for what a client sent: a wrong request is answered as the venue
  answers it.  What a client may ask is bounded by pinnacle/limits.py.
- `connect` answers a websocket's opening with a Session, or with a Response that refuses it.  `Session.receive` takes
  one whole message; `Session.send` queues one.  Whoever serves takes the queue (`Session.outbox`) after each call.
- `market` and `private` are called by the house while a command is obeyed (they are its Listener): format once, send
  to each session that wants it.  They give no commands.
- `tick` is called at least every `tick_ns`: heartbeats, batches of an interval (a depth stream of 100 ms), windows of
  rate limits, timeouts.  It may be called more often; look at now_ns.
- `publish` says which market events the house should make at all (PUBLISH_* of the kernels): L3 feeds want orders.
- now_ns is the *venue's* clock, the house's time plus `skew_ns`, which is 0 but for a clock-skew fault.  Write it into
  messages and judge timestamps and nonces by it; add skew_ns to the times of batches, updates and orders, which are the
  house's.  Before each call the house has been advanced, so `house.now_ns` is current.
- Faults that only a dialect can make are asked for at the place where they would happen: `self.spoil("gap")` before a
  sequence number is used (True: skip one, as if a message was lost), `self.spoil("checksum")` before a checksum is
  written (True: write a wrong one).  Everything else is made between the dialect and the socket.

The order of what a session is sent is the order of `send`.  Answers to commands and the private stream's news may come
in either order at a real venue; here the news of a command comes first, unless the dialect keeps it back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from urllib.parse import parse_qsl

from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Update
from pinnacle.kernels.exchange_state import PUBLISH_LEVELS, PUBLISH_TICKER, PUBLISH_TRADES


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came.  path and query: as sent, percent-encoded, without the `?`.  headers: names in lower
    case.  peer: the client's address, for limits by IP."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = "127.0.0.1"

    def params(self) -> dict[str, str]:
        """The query and a form body as one dict, decoded; the last of a name counts."""
        found = dict(parse_qsl(self.query, keep_blank_values=True))
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            found |= dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        return found


@dataclass(slots=True)
class Response:
    """An HTTP answer.  headers: beside content-type, which content_type says."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Ping:
    """A websocket ping in an outbox."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a connection in an outbox: what is before it is still sent."""

    code: int = 1000
    reason: str = ""


Outgoing = bytes | Ping | Close


class Session(ABC):
    """One websocket of a client, as the dialect sees it."""

    def __init__(self, dialect: Dialect, path: str, peer: str) -> None:
        self.dialect, self.path, self.peer = dialect, path, peer
        self.outbox: list[Outgoing] = []
        self.closing = False
        # Bytes that were taken from the outbox and the client has not read yet; set by who serves.
        self.unread_bytes: Callable[[], int] = _nothing

    def send(self, message: bytes) -> None:
        """Queue one text message (UTF-8)."""
        if not self.closing:
            if not self.outbox:
                self.dialect.waiting.append(self)
            self.outbox.append(message)

    def ping(self, payload: bytes = b"") -> None:
        """Queue a ping; `ponged` is called with the answer."""
        if not self.closing:
            if not self.outbox:
                self.dialect.waiting.append(self)
            self.outbox.append(Ping(payload))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close after what is queued; nothing can be sent afterwards."""
        if not self.closing:
            if not self.outbox:
                self.dialect.waiting.append(self)
            self.outbox.append(Close(code, reason))
            self.closing = True

    @abstractmethod
    def receive(self, message: bytes, now_ns: int) -> None:
        """One whole message of the client, text or binary.  Never raises for what it is."""

    def pinged(self, now_ns: int) -> None:  # noqa: B027
        """The client sent a ping, which is answered already: for limits that count them."""

    def ponged(self, payload: bytes, now_ns: int) -> None:  # noqa: B027
        """The client answered a ping."""


class Dialect(ABC):
    """A venue's protocol over a house.  One object serves all clients."""

    # The name on the command line, and what the house is to be like for this venue.
    name: ClassVar[str]
    publish: ClassVar[int] = PUBLISH_LEVELS | PUBLISH_TRADES | PUBLISH_TICKER
    fees_in: ClassVar[Literal["received", "quote"]] = "quote"
    tick_ns: ClassVar[int] = 10_000_000
    # The quote currency that is usual there; and how an instrument is called, from its currencies.
    quote: ClassVar[str] = "USD"

    @classmethod
    def symbol(cls, base: str, quote: str) -> str:
        """A symbol in the venue's own spelling."""
        return base + quote

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        """host: `name:port` under which clients reach it, for those who sign the host or are told links."""
        self.house, self.host = house, host
        self.sessions: list[Session] = []
        self.waiting: list[Session] = []  # with something in their outbox, in sequence
        self.spoil: Callable[[str], bool] = _never
        self.skew_ns = 0  # venue's clock less the house's: to be added to times of batches and updates
        house.listeners.append(self)

    @abstractmethod
    def request(self, request: Request, now_ns: int) -> Response:
        """Answer an HTTP request."""

    @abstractmethod
    def connect(self, request: Request, now_ns: int) -> Session | Response:
        """Answer a websocket's opening: a Session (which may have messages in its outbox), or why not."""

    def opened(self, session: Session, now_ns: int) -> None:
        """The websocket of `connect` is open: called by who serves, before anything else is."""
        self.sessions.append(session)

    def closed(self, session: Session, now_ns: int) -> None:
        """The websocket has gone, whoever ended it.  Overriders call this too."""
        session.closing = True
        session.outbox.clear()
        self.sessions.remove(session)

    def take_waiting(self) -> list[Session]:
        """The sessions with something in their outbox, once; the outbox is the caller's to take."""
        waiting, self.waiting = self.waiting, []
        return waiting

    @abstractmethod
    def market(self, batch: Batch) -> None:
        """The house tells what everyone may hear."""

    @abstractmethod
    def private(self, update: Update) -> None:
        """The house tells what became of an account's order."""

    @abstractmethod
    def tick(self, now_ns: int) -> None:
        """Time has passed."""

    def urls(self, http: str, websocket: str) -> dict[str, str]:
        """What to point a client at, by what a client calls it; http, websocket: `http://host:port` and `ws://host:port`."""
        return {"REST": http, "websocket": websocket}


def _nothing() -> int:
    return 0


def _never(kind: str) -> bool:
    return False

"""A tape as a dialect: the recorded answers to requests, and to each websocket the recorded messages it asked for.

Each websocket hears the tape from its beginning, from the moment at which it first asks for something, at the recorded
pace times a speed.  When the tape has ended the connection is closed, as by a venue that goes away.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Update
from pinnacle.dialects.tape import Tape, Wanted
from pinnacle.limits import TAPE_AHEAD_BYTES

# Messages handed to one session at a time: a client that joins at any speed does not stop the others.
_AT_ONCE = 5_000


class TapeSession(Session):
    """One client of the tape."""

    def __init__(self, dialect: Replayed, request: Request) -> None:
        super().__init__(dialect, request.path, request.peer)
        self.tape = dialect
        names = request.params().get("streams", "")
        if request.path.startswith("/ws/"):
            names = request.path[4:]
        self.wanted = Wanted(names)
        self.bare = request.path == "/ws" or request.path.startswith("/ws/")
        self.began_ns = -1
        self.next = 0

    def receive(self, message: bytes, now_ns: int) -> None:
        try:
            said: Any = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError):
            self.send(b'{"error":"no JSON"}')
            return
        self.wanted.add(said)
        if isinstance(said, dict) and said.get("method") in ("SUBSCRIBE", "UNSUBSCRIBE"):
            self.send(msgspec.json.encode({"result": None, "id": said.get("id")}))
        if self.began_ns < 0:
            self.began_ns = now_ns

    def play(self, now_ns: int) -> None:
        """Send what is due."""
        heard, speed = self.tape.tape.heard, self.tape.speed
        if self.began_ns < 0 or self.closing:
            return
        elapsed_ns = now_ns - self.began_ns
        first_ns = heard[0].at_ns if heard else 0
        # At any speed but "as fast as the client reads" a client that does not keep up is cut, as by a venue.
        room = TAPE_AHEAD_BYTES - self.unread_bytes() if speed == 0 else 1 << 62
        last = min(len(heard), self.next + _AT_ONCE)
        while self.next < last and room > 0:
            one = heard[self.next]
            if speed and (one.at_ns - first_ns) / speed > elapsed_ns:
                return
            self.next += 1
            if self.wanted.has(one):
                body = one.body
                if self.bare and one.stream:
                    body = bytes(msgspec.json.decode(body, type=_Frame).data)
                self.send(body)
                room -= len(body)
        if self.next == len(heard):
            self.close(1001, "the tape has ended")


class _Frame(msgspec.Struct):
    data: msgspec.Raw


class Replayed(Dialect):
    """See the file's first words.  speed: recorded seconds in a real one; 0: as fast as the client reads."""

    name = "tape"
    tick_ns = 1_000_000

    def __init__(self, tape: Tape, speed: float = 1.0, host: str = "127.0.0.1") -> None:
        super().__init__(House([], []), host)
        self.tape, self.speed = tape, speed

    def request(self, request: Request, now_ns: int) -> Response:
        body = self.tape.answer(request.path, request.query)
        if body is None:
            return Response(404, b'{"error":"not on the tape"}')
        return Response(200, body)

    def connect(self, request: Request, now_ns: int) -> Session | Response:
        session = TapeSession(self, request)
        if session.wanted.names:
            session.began_ns = now_ns
        return session

    def market(self, batch: Batch) -> None:
        raise AssertionError("a tape has no market")

    def private(self, update: Update) -> None:
        raise AssertionError("a tape has no orders")

    def tick(self, now_ns: int) -> None:
        for session in self.sessions:
            assert isinstance(session, TapeSession)
            session.play(now_ns)

    def urls(self, http: str, websocket: str) -> dict[str, str]:
        paths = sorted({one.path for one in self.tape.heard})
        found = {f"websocket {path}": websocket + path for path in paths[:5]}
        requests = sorted({path for path, _ in self.tape.answers})
        return found | {f"REST {path}": http + path for path in requests[:5]}

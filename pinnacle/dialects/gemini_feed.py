"""Gemini's websocket: streams of the market and of an account, and orders.

Ids of updates are the house's count times four, so that they leave out numbers as the venue's do, and no frame spans so
few that its loss could pass for a frame that follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.dialect import Request, Session
from pinnacle.dialects.gemini_account import ACCOUNT_STREAMS, AccountStreams, Refuse, object_of
from pinnacle.dialects.gemini_orders import Orders
from pinnacle.dialects.gemini_words import Fail, Words
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Order
from pinnacle.event import ASK, BID, BUY
from pinnacle.limits import DEPTH_PENDING_MAX, SESSION_STREAMS_MAX

if TYPE_CHECKING:
    from pinnacle.dialects.gemini import Gemini

encode = msgspec.json.encode
SECOND_NS = 1_000_000_000
_IDS = 4
_STREAM = re.compile(r"([a-z0-9]{2,20})@(depth(5|10|20)?(?:@(100ms|1000ms|1s))?|trade|bookTicker)")


@dataclass(slots=True)
class Stream:
    """One stream of one symbol and who listens.  last_id: up to which the depth has been told."""

    name: str
    instrument: int
    what: str
    levels: int = 0
    every_ns: int = 0
    due_ns: int = 0
    last_id: int = 0
    sessions: list[GeminiSession] = field(default_factory=list)
    pending: dict[tuple[int, int], int] = field(default_factory=dict)

    def say(self, message: bytes) -> None:
        """To all who listen."""
        for session in self.sessions:
            session.send(message)


class GeminiSession(Session):
    """One websocket.  depth: levels of the book it is sent at first (-1: all, 0: none); account: 0 if it is not signed;
    cancels: its orders end with it."""

    def __init__(self, dialect: Gemini, request: Request, depth: int, account: int, cancels: bool) -> None:
        super().__init__(dialect, request.path, request.peer)
        self.venue, self.depth, self.account, self.cancels = dialect, depth, account, cancels
        self.names: dict[str, None] = {}
        self.placed: dict[int, Order] = {}

    def receive(self, message: bytes, now_ns: int) -> None:
        self.venue.words.skew_ns = now_ns - self.venue.house.now_ns
        self.venue.streams.said(self, message, now_ns)


class GeminiStreams:
    """All that is said over websockets."""

    def __init__(self, words: Words, orders: Orders, spoil: Callable[[str], bool]) -> None:
        self.words, self.house, self._spoil = words, words.house, spoil
        self._streams: dict[str, Stream] = {}
        self._of: list[dict[str, list[Stream]]] = [{} for _ in words.symbols]
        self.accounts = AccountStreams(words, orders)

    # --- requests -----------------------------------------------------------------------------------------------------
    def said(self, session: GeminiSession, message: bytes, now_ns: int) -> None:
        """One request of a client, and its reply; what a subscription begins with comes after the reply."""
        number: object = None
        try:
            wanted = msgspec.json.decode(message)
            if not isinstance(wanted, dict):
                raise Refuse(-1013, "a request is an object")
            number = wanted.get("id")
            if not session.venue.may_say(session, now_ns):
                raise Refuse(-1003, "Too many requests", 429)
            method = str(wanted.get("method", "")).lower()
            result, after = self._obey(session, method, wanted.get("params", []), now_ns)
            session.send(encode({"id": number, "status": 200, "result": result}))
            for stream in after:
                self._begin(session, stream)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            session.send(encode({"id": None, "status": 400, "error": {"code": -1013, "msg": "malformed JSON"}}))
        except Refuse as refuse:
            session.send(encode({"id": number, "status": refuse.status, "error": refuse.body}))

    def _obey(self, session: GeminiSession, method: str, params: Any, now_ns: int) -> tuple[Any, list[Stream]]:
        """(result, streams that begin with something)."""
        match method:
            case "ping":
                return {}, []
            case "time":
                return {"serverTime": now_ns // 1_000_000}, []
            case "conninfo":
                limits = {"ORDERS": 3_500, "REQUEST_WEIGHT": 7_000}
                return {"authenticated": session.account > 0, "rateLimits": limits}, []
            case "list_subscriptions":
                return list(session.names), []
            case "subscribe" | "unsubscribe":
                if not isinstance(params, list) or not params or not all(isinstance(name, str) for name in params):
                    raise Refuse(-1013, "params must be an array of stream names")
                if method == "subscribe":
                    return {}, self._subscribe(session, params)
                for name in params:
                    self._drop(session, name)
                return {}, []
            case "depth":
                return self._book(object_of(params)), []
            case "order.place" | "order.cancel" | "order.cancel_all" | "order.cancel_session":
                if session.account == 0:
                    raise Refuse(-2015, "this connection is not authenticated", 401)
                return self.accounts.obey(session, method, params if params else {}, now_ns), []
        raise Refuse(-1013, f"unknown method {method[:40]!r}")

    def _subscribe(self, session: GeminiSession, names: list[str]) -> list[Stream]:
        found: list[Stream | str] = []
        for name in names:
            match = _STREAM.fullmatch(name.lower().replace("bookticker", "bookTicker"))
            if name in ACCOUNT_STREAMS:
                if session.account == 0:
                    raise Refuse(-2015, f"{name} needs an authenticated connection", 401)
                found.append(name)
            elif match is None or match[1] not in self.words.numbers:
                raise Refuse(-1013, f"invalid stream {name[:60]!r}")
            else:
                found.append(self._stream(name, match))
        if len(session.names) + len(found) > SESSION_STREAMS_MAX:
            raise Refuse(-1013, "too many streams")
        begin = []
        for name, one in zip(names, found):
            if name in session.names:
                continue
            session.names[name] = None
            if isinstance(one, str):
                self.accounts.listeners[one].append(session)
                continue
            if one.name not in self._streams:
                self._streams[one.name] = one
                self._of[one.instrument].setdefault(one.what, []).append(one)
            one.sessions.append(session)
            if one.what in ("depth", "partial"):
                begin.append(one)
        return begin

    def _stream(self, name: str, match: re.Match[str]) -> Stream:
        known = self._streams.get(name)
        if known is not None:
            return known
        k = self.words.numbers[match[1]]
        what = "partial" if match[3] else "depth" if match[2].startswith("depth") else match[2]
        stream = Stream(name, k, what, int(match[3] or 0))
        if what in ("depth", "partial"):
            stream.every_ns = SECOND_NS // 10 if match[4] == "100ms" else SECOND_NS
            stream.due_ns = (self.house.now_ns // stream.every_ns + 1) * stream.every_ns
            stream.last_id = self.house.sequence(k) * _IDS
        return stream

    def _begin(self, session: GeminiSession, stream: Stream) -> None:
        """The whole book, as a frame that begins and ends with the same id."""
        if stream.what == "partial":
            session.send(self._partial(stream))
            return
        if session.depth != 0:
            now = self.house.sequence(stream.instrument) * _IDS
            sides = [self.house.levels(stream.instrument, one, max(0, session.depth)) for one in (BID, ASK)]
            session.send(self._frame(stream.instrument, now, now, sides[0], sides[1]))

    def _drop(self, session: GeminiSession, name: str) -> None:
        if session.names.pop(name, "absent") == "absent":
            return
        if name in ACCOUNT_STREAMS:
            self.accounts.listeners[name].remove(session)
            return
        stream = self._streams[name]
        stream.sessions.remove(session)
        if not stream.sessions:
            del self._streams[name]
            self._of[stream.instrument][stream.what].remove(stream)

    def leave(self, session: GeminiSession) -> None:
        """A session has gone."""
        for name in list(session.names):
            self._drop(session, name)

    def _book(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            k = self.words.instrument(params.get("symbol"))
        except Fail as fail:
            raise Refuse(-1013, fail.message) from None
        limit = params.get("limit", 100)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit <= 5000:
            raise Refuse(-1013, "limit must be 1 to 5000")
        price, qty = self.words.price[k], self.words.qty[k]
        bids, asks = ([[price(p), qty(q)] for p, q in self.house.levels(k, one, limit)] for one in (BID, ASK))
        return {"lastUpdateId": self.house.sequence(k) * _IDS, "bids": bids, "asks": asks}

    # --- the market ---------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        """Say what is said at once, and keep what waits for its interval."""
        k = batch.instrument
        streams = self._of[k]
        if streams.get("trade"):
            for trade in batch.events(e.TRADE):
                message = (
                    f'{{"E":{trade.ts_ns + self.words.skew_ns},"s":"{self.words.symbols[k]}","t":{trade.aux},'
                    f'"p":"{self.words.price[k](trade.price_ticks)}","q":"{self.words.qty[k](trade.qty_lots)}",'
                    f'"m":{"true" if trade.side != BUY else "false"}}}'
                ).encode()
                for stream in streams["trade"]:
                    stream.say(message)
        waiting = streams.get("depth", []) + streams.get("partial", [])
        if waiting:
            for event in batch.events(e.BOOK_LEVEL):
                for stream in waiting:
                    stream.pending[event.side, event.price_ticks] = event.qty_lots
            for stream in waiting:
                if len(stream.pending) > DEPTH_PENDING_MAX:
                    self._flush(stream)
        if streams.get("bookTicker") and any(True for _ in batch.events(e.TICKER)):
            message = self._best(k)
            for stream in streams["bookTicker"]:
                stream.say(message)
        self.accounts.market(batch)

    def _best(self, k: int) -> bytes:
        now_ns = self.house.now_ns + self.words.skew_ns
        said: dict[str, Any] = {"u": self.house.sequence(k) * _IDS, "E": now_ns, "s": self.words.symbols[k]}
        for price, qty, which in (("b", "B", BID), ("a", "A", ASK)):
            level = self.house.levels(k, which, 1)
            ticks, lots = level[0] if level else (0, 0)
            said[price], said[qty] = self.words.price[k](ticks), self.words.qty[k](lots)
        return encode(said)

    def tick(self) -> None:
        """Say what is due."""
        now_ns = self.house.now_ns
        for stream in list(self._streams.values()):
            if stream.every_ns and now_ns >= stream.due_ns:
                stream.due_ns = (now_ns // stream.every_ns + 1) * stream.every_ns
                if stream.pending:
                    self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        """The levels that changed; a frame begins where the last ended."""
        pending, stream.pending = stream.pending, {}
        if stream.what == "partial":
            stream.say(self._partial(stream))
            return
        first, stream.last_id = stream.last_id, self.house.sequence(stream.instrument) * _IDS
        if self._spoil("gap"):
            return
        bids = [(price, lots) for (side, price), lots in pending.items() if side == BID]
        asks = [(price, lots) for (side, price), lots in pending.items() if side == ASK]
        stream.say(self._frame(stream.instrument, first, stream.last_id, bids, asks))

    def _partial(self, stream: Stream) -> bytes:
        k = stream.instrument
        price, qty = self.words.price[k], self.words.qty[k]
        bids, asks = ([[price(p), qty(q)] for p, q in self.house.levels(k, s, stream.levels)] for s in (BID, ASK))
        return encode({"lastUpdateId": self.house.sequence(k) * _IDS, "bids": bids, "asks": asks})

    def _frame(self, k: int, first: int, last: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> bytes:
        price, qty = self.words.price[k], self.words.qty[k]
        sides = [",".join(f'["{price(p)}","{qty(q)}"]' for p, q in one) for one in (bids, asks)]
        return (
            f'{{"e":"depthUpdate","E":{self.house.now_ns + self.words.skew_ns},"s":"{self.words.symbols[k]}",'
            f'"U":{first},"u":{last},"b":[{sides[0]}],"a":[{sides[1]}]}}'
        ).encode()

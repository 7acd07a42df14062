"""Binance spot as a protocol over the house: REST, market streams, websocket API and user data stream.

Paths, not hosts, tell its services apart, so that all of them are one port: `/api/v3/..`, `/ws`, `/stream`, and
`/ws-api/v3`.  Not spoken: margin, order lists, stop and iceberg orders, SBE, and the listenKey that spot gave up in
2026.  Commissions are in the asset received, as at Binance without BNB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec

from pinnacle.dialects.binance_api import ApiSession, UserEvents
from pinnacle.dialects.binance_orders import Method, Orders, Params
from pinnacle.dialects.binance_public import WEIGHT_MINUTE, Public, weight_of
from pinnacle.dialects.binance_streams import Streams, StreamSession
from pinnacle.dialects.binance_words import MS, Fail, Words
from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Account, Happened, Update
from pinnacle.dialects.signatures import ed25519_ok, hmac_hex, same
from pinnacle.dialects.windows import Window
from pinnacle.limits import SESSION_STREAMS_MAX

SECOND_NS = 1_000_000_000
encode = msgspec.json.encode
_RECV_WINDOW_MS, _RECV_WINDOW_MS_MAX = 5_000, 60_000
# Refused requests of an address in a minute after which it is banned, as who does not back off is.
_REFUSED_MAX = 60
_BAN_NS = 120 * SECOND_NS


class Binance(Dialect):
    """See the file's first words."""

    name = "binance"
    streams_class: ClassVar[type[Streams]] = Streams
    api_path: ClassVar[str] = "/ws-api/v3"
    fees_in = "received"
    quote = "USDT"
    weight_minute: ClassVar[int] = WEIGHT_MINUTE

    # Of one connection of streams, and of one address.
    messages_second = 5
    connections_5min = 300
    ping_ns = 20 * SECOND_NS
    pong_ns = 60 * SECOND_NS
    life_ns = 86_400 * SECOND_NS

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        self.words = Words(house)
        self.public, self.orders = Public(house, self.words), Orders(house, self.words)
        self.streams = self.streams_class(self.public, lambda kind: self.spoil(kind))
        self.user_events = UserEvents(self.words)
        self._weight = Window(60 * SECOND_NS, self.weight_minute)
        self._attempts = Window(300 * SECOND_NS, self.connections_5min)
        self._messages = Window(SECOND_NS, self.messages_second)
        self._refused: dict[str, int] = {}
        self._banned_until_ns: dict[str, int] = {}
        self._opened_ns: dict[Session, int] = {}
        self._pinged_ns: dict[Session, int] = {}
        self._ponged_ns: dict[Session, int] = {}
        public, orders = self.public, self.orders
        # (HTTP method, path): (method of the websocket API, weight, function)
        self.open_methods: dict[tuple[str, str], tuple[str, int, Callable[[Params], Any]]] = {
            ("GET", "/api/v3/ping"): ("ping", 1, public.ping),
            ("GET", "/api/v3/time"): ("time", 1, public.time),
            ("GET", "/api/v3/exchangeInfo"): ("exchangeInfo", 20, public.exchange_info),
            ("GET", "/api/v3/depth"): ("depth", 5, public.depth),
            ("GET", "/api/v3/trades"): ("trades.recent", 25, public.trades),
            ("GET", "/api/v3/historicalTrades"): ("trades.historical", 25, public.old_trades),
            ("GET", "/api/v3/aggTrades"): ("trades.aggregate", 4, public.agg_trades),
            ("GET", "/api/v3/klines"): ("klines", 2, public.klines),
            ("GET", "/api/v3/uiKlines"): ("uiKlines", 2, public.klines),
            ("GET", "/api/v3/avgPrice"): ("avgPrice", 2, public.avg_price),
            ("GET", "/api/v3/ticker/24hr"): ("ticker.24hr", 2, public.day),
            ("GET", "/api/v3/ticker/price"): ("ticker.price", 2, public.price),
            ("GET", "/api/v3/ticker/bookTicker"): ("ticker.book", 2, public.book_ticker),
        }
        self.signed_methods: dict[tuple[str, str], tuple[str, int, Method]] = {
            ("POST", "/api/v3/order"): ("order.place", 1, orders.place),
            ("POST", "/api/v3/order/test"): ("order.test", 1, orders.test),
            ("DELETE", "/api/v3/order"): ("order.cancel", 1, orders.cancel),
            ("DELETE", "/api/v3/openOrders"): ("openOrders.cancelAll", 1, orders.cancel_open),
            ("POST", "/api/v3/order/cancelReplace"): ("order.cancelReplace", 1, orders.cancel_replace),
            ("PUT", "/api/v3/order/amend/keepPriority"): ("order.amend.keepPriority", 4, orders.amend),
            ("GET", "/api/v3/order"): ("order.status", 4, orders.query),
            ("GET", "/api/v3/openOrders"): ("openOrders.status", 6, orders.open_orders),
            ("GET", "/api/v3/allOrders"): ("allOrders", 20, orders.all_orders),
            ("GET", "/api/v3/myTrades"): ("myTrades", 20, orders.my_trades),
            ("GET", "/api/v3/account"): ("account.status", 20, orders.account),
            ("GET", "/api/v3/account/commission"): ("account.commission", 20, orders.commission),
            ("GET", "/api/v3/rateLimit/order"): ("account.rateLimits.orders", 40, orders.order_limits),
        }
        self.by_name = {
            entry[0]: (key, entry) for table in (self.open_methods, self.signed_methods) for key, entry in table.items()
        }

    # --- HTTP -----------------------------------------------------------------------------------------------------
    def request(self, request: Request, now_ns: int) -> Response:
        self.public.now_ns = self.orders.now_ns = now_ns
        try:
            return self._answer(request, now_ns)
        except Fail as fail:
            headers = {"X-MBX-USED-WEIGHT-1M": str(self._weight.used(request.peer, now_ns))}
            if fail.status in (418, 429):
                headers["Retry-After"] = str(self.retry_after_s(request.peer, now_ns))
            return Response(fail.status, encode(fail.body()), headers)

    def _answer(self, request: Request, now_ns: int) -> Response:
        key = (request.method, request.path)
        opened, signed = self.open_methods.get(key), self.signed_methods.get(key)
        params = request.params()
        if opened is not None:
            self.weigh(request.peer, weight_of(opened[0], opened[1], params), now_ns)
            body, headers = encode(opened[2](params)), {}
        elif signed is not None:
            self.weigh(request.peer, weight_of(signed[0], signed[1], params), now_ns)
            account = self.account(request.headers.get("x-mbx-apikey", ""))
            payload = unsigned(request.query) + unsigned(request.body.decode("utf-8", "replace"))
            self.check(account, payload, params, now_ns)
            body = encode(signed[2](account, params))
            headers = self.orders.order_count(account) if signed[0].startswith("order.") else {}
        elif any(path == request.path for _, path in (*self.open_methods, *self.signed_methods)):
            return Response(405, b"", {"Allow": "GET, POST, PUT, DELETE"})
        else:
            return Response(404, b"<html><body><h2>404 Not found</h2></body></html>", {}, "text/html")
        headers["X-MBX-USED-WEIGHT-1M"] = headers["X-MBX-USED-WEIGHT"] = str(self._weight.used(request.peer, now_ns))
        return Response(200, body, headers)

    def weigh(self, peer: str, weight: int, now_ns: int) -> None:
        """Count a request of an address against its weight.  Raises Fail when it is too much."""
        until = self._banned_until_ns.get(peer, 0)
        if now_ns < until:
            raise Fail(-1003, f"Way too much request weight used; IP banned until {until // MS}.", 418)
        if self._weight.use(peer, weight, now_ns):
            self._refused.pop(peer, None)
            return
        self._refused[peer] = self._refused.get(peer, 0) + 1
        if self._refused[peer] > _REFUSED_MAX:
            self._refused.pop(peer)
            self._banned_until_ns = {one: ns for one, ns in self._banned_until_ns.items() if ns > now_ns}
            self._banned_until_ns[peer] = now_ns + _BAN_NS
        raise Fail(
            -1003,
            f"Too much request weight used; current limit is {self.weight_minute} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
            429,
        )

    def retry_after_s(self, peer: str, now_ns: int) -> int:
        """Seconds after which an address may ask again."""
        until = self._banned_until_ns.get(peer, 0)
        left = until - now_ns if until > now_ns else self._weight.left_ns(now_ns)
        return -(-left // SECOND_NS)

    def opened_ns(self, session: Session) -> int:
        """When a session began."""
        return self._opened_ns[session]

    def used_weight(self, peer: str, now_ns: int) -> int:
        return self._weight.used(peer, now_ns)

    # --- who is it ------------------------------------------------------------------------------------------------
    def account(self, key: str) -> Account:
        """The account with a key.  Raises Fail."""
        if not key:
            raise Fail(-2014, "API-key format invalid.", 401)
        account = self.house.account_of(key)
        if account is None:
            raise Fail(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return account

    def check(self, account: Account, payload: str, params: Params, now_ns: int) -> None:
        """A signed request's time and signature.  Raises Fail."""
        signature = params.get("signature", "")
        if not signature:
            raise Fail(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        self.check_time(params, now_ns)
        by_secret = same(hmac_hex(account.secret, payload), signature.lower())
        if not by_secret and not (account.public_key and ed25519_ok(account.public_key, payload, signature)):
            raise Fail(-1022, "Signature for this request is not valid.")

    def check_time(self, params: Params, now_ns: int) -> None:
        """timestamp within recvWindow.  Raises Fail."""
        text, window = params.get("timestamp", ""), params.get("recvWindow", "")
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            raise Fail(-1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
        stamp_ns = int(text) * (1_000 if len(text) > 14 else MS)
        whole, _, part = window.partition(".")
        if window and not (
            (whole + part).isascii() and (whole + part).isdigit() and len(whole) <= 5 and len(part) <= 3
        ):
            raise Fail(-1102, "Mandatory parameter 'recvWindow' was not sent, was empty/null, or malformed.")
        window_ns = (int(whole) * MS + int(part.ljust(3, "0")) * 1_000) if window else _RECV_WINDOW_MS * MS
        if window_ns > _RECV_WINDOW_MS_MAX * MS:
            raise Fail(-1131, "recvWindow must be less than 60000.")
        if stamp_ns >= now_ns + SECOND_NS:
            raise Fail(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now_ns - stamp_ns > window_ns:
            raise Fail(-1021, "Timestamp for this request is outside of the recvWindow.")

    # --- websockets -----------------------------------------------------------------------------------------------
    def connect(self, request: Request, now_ns: int) -> Session | Response:
        if not self._attempts.use(request.peer, 1, now_ns):
            return Response(429, encode({"code": -1003, "msg": "Too many connection attempts; please back off."}))
        session: Session
        route, path = self.split(request.path)
        if path == self.api_path:
            session = ApiSession(self, request.path, request.peer)
        elif path == "/ws" or path.startswith("/ws/"):
            session = self._stream_session(request, route, unquote(path[4:]), False)
        elif path == "/stream":
            session = self._stream_session(request, route, request.params().get("streams", ""), True)
        else:
            return Response(404, b"", {}, "text/html")
        self._opened_ns[session] = self._pinged_ns[session] = self._ponged_ns[session] = now_ns
        return session

    def split(self, path: str) -> tuple[str, str]:
        """(route, rest) of a websocket's path; spot has no routes."""
        return "", path

    def _stream_session(self, request: Request, route: str, names: str, combined: bool) -> StreamSession:
        session = StreamSession(self, request.path, request.peer, combined)
        session.route = route
        for name in [name for name in names.split("/") if name][:SESSION_STREAMS_MAX]:
            self.subscribe(session, name)
        return session

    def subscribe(self, session: StreamSession, name: str) -> None:
        """Let a session hear a stream, once."""
        if name not in session.names:
            session.names[name] = None
            self.streams.subscribe(session, name)

    def closed(self, session: Session, now_ns: int) -> None:
        if isinstance(session, StreamSession):
            for name in session.names:
                self.streams.unsubscribe(session, name)
        else:
            assert isinstance(session, ApiSession)
            self.user_events.leave(session)
        for times in (self._opened_ns, self._pinged_ns, self._ponged_ns):
            times.pop(session, None)
        super().closed(session, now_ns)

    def count_message(self, session: Session, now_ns: int) -> bool:
        """Whether a client of the streams may say one more thing; it is disconnected if not."""
        if self._messages.use(session, 1, now_ns):
            return True
        session.close(1008, "Too many requests")
        return False

    def stream_said(self, session: StreamSession, message: bytes, now_ns: int) -> None:
        """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, or what is wrong."""
        if not self.count_message(session, now_ns):
            return
        try:
            said = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            session.send(encode({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}))
            return
        try:
            session.send(encode(self._control(session, said)))
        except Fail as fail:
            number = said.get("id") if isinstance(said, dict) else None
            session.send(encode({"error": {"code": fail.code, "msg": fail.message}, "id": number}))

    def _control(self, session: StreamSession, said: object) -> dict[str, Any]:
        if not isinstance(said, dict):
            raise Fail(2, "Invalid request: request must be an object")
        number, method, names = said.get("id"), said.get("method"), said.get("params", [])
        if isinstance(number, bool) or not (number is None or isinstance(number, int | str)):
            raise Fail(2, "Invalid request: request ID must be an unsigned integer")
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(session.names), "id": number}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            raise Fail(2, f"Invalid request: unknown variant `{method}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
                          "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`")  # fmt: skip
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Fail(2, "Invalid request: params must be an array of strings")
        if method == "SUBSCRIBE" and len(set(names) | set(session.names)) > SESSION_STREAMS_MAX:
            raise Fail(2, f"Invalid request: more than {SESSION_STREAMS_MAX} streams")
        for name in names:
            if method == "SUBSCRIBE":
                self.subscribe(session, name)
            elif name in session.names:
                del session.names[name]
                self.streams.unsubscribe(session, name)
        return {"result": None, "id": number}

    def heard_pong(self, session: Session, now_ns: int) -> None:
        """A client answered a ping."""
        self._ponged_ns[session] = now_ns

    # --- news -----------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        self.streams.market(batch, self.skew_ns)

    def private(self, update: Update) -> None:
        if update.what is Happened.FILLED and len(update.order.fills) == 1:
            self.orders.filled(update.order.account)
        self.user_events.say(update, self.skew_ns)

    def tick(self, now_ns: int) -> None:
        self.public.now_ns = self.orders.now_ns = now_ns
        self.streams.tick(now_ns)
        for session in self.sessions:
            if now_ns - self._opened_ns[session] > self.life_ns:
                session.close(1001, "Connection has lived for 24 hours")
            elif now_ns - self._pinged_ns[session] >= self.ping_ns:
                if now_ns - self._ponged_ns[session] > self.pong_ns + self.ping_ns:
                    session.close(1008, "Pong timeout")
                else:
                    self._pinged_ns[session] = now_ns
                    session.ping(str(now_ns // MS).encode())

    def urls(self, http: str, websocket: str) -> dict[str, str]:
        return {
            "REST": f"{http}/api/v3",
            "streams": f"{websocket}/ws or {websocket}/stream?streams=",
            "websocket API": f"{websocket}/ws-api/v3",
        }


def unsigned(text: str) -> str:
    """A query string or form body without its signature: what was signed."""
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))

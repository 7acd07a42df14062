"""Coinbase Advanced Trade as a protocol over the house: REST under /api/v3/brokerage, and one websocket.

Requests are signed with a JWT that is bound to method and path; its host is not looked at, because clients of a local
exchange sign whichever they were pointed at.  Not spoken: stops, brackets, orders that end at a time, previews that are
more than an order's checks, portfolios, futures.  Fees are in quote currency.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qs, unquote

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pinnacle.dialects.coinbase_advanced_feed import AdvancedChannels, AdvancedSession
from pinnacle.dialects.coinbase_advanced_orders import Fail
from pinnacle.dialects.coinbase_advanced_rest import BROKERAGE, Rest
from pinnacle.dialects.coinbase_words import Words
from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Account, Update
from pinnacle.dialects.windows import Bucket
from pinnacle.kernels.exchange_state import PUBLISH_LEVELS, PUBLISH_TICKER, PUBLISH_TRADES
from pinnacle.venues.signing import JWT_VALID_S, read_jwt

SECOND_NS = 1_000_000_000
encode = msgspec.json.encode
# How far a token's beginning may lie in the future: clocks differ.
_AHEAD_S = 5


class CoinbaseAdvanced(Dialect):
    """See the file's first words."""

    name = "coinbase-advanced"
    publish = PUBLISH_LEVELS | PUBLISH_TRADES | PUBLISH_TICKER
    fees_in = "quote"
    quote = "USD"

    @classmethod
    def symbol(cls, base: str, quote: str) -> str:
        return f"{base}-{quote}"

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        self.words = Words(house)
        self.rest = Rest(self.words)
        self.channels = AdvancedChannels(self.words, self.rest, self.who, lambda kind: self.spoil(kind))
        self._public, self._private = Bucket(10, 10), Bucket(30, 30)
        self._connects, self._messages = Bucket(8, 20), Bucket(8, 8)

    # --- who is it ----------------------------------------------------------------------------------------------------
    def who(self, token: str, request: str | None, now_ns: int) -> Account | None:
        """Whose a token is, None if it is nobody's.  request: `METHOD /path` that it must be of, None for a channel."""
        try:
            header = msgspec.json.decode(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
            account = self.house.account_of(str(header["kid"]))
            if account is None:
                return None
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(account.public_key))
        except (KeyError, TypeError, ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
            return None
        read = read_jwt(key, token)
        if read is None:
            return None
        claims, now_s = read[1], now_ns // SECOND_NS
        begin, end = claims.get("nbf"), claims.get("exp")
        if claims.get("sub") != account.key or not isinstance(begin, int) or not isinstance(end, int):
            return None
        if begin > now_s + _AHEAD_S or end <= now_s or end - begin > JWT_VALID_S:
            return None
        if request is None:
            return account
        # The official form is one text; keys of one kind once wrote a list of them.
        listed = claims.get("uris")
        uris = [claims.get("uri"), *(listed if isinstance(listed, list) else [])]
        return account if any(isinstance(uri, str) and _bare(uri) == request for uri in uris) else None

    # --- HTTP ---------------------------------------------------------------------------------------------------------
    def request(self, request: Request, now_ns: int) -> Response:
        self.words.skew_ns = now_ns - self.house.now_ns
        if not request.headers.get("user-agent"):
            return Response(400, b"User-Agent is required", {}, "text/plain")
        try:
            return Response(200, encode(self._answer(request, now_ns)))
        except Fail as fail:
            return Response(fail.status, encode(fail.body))

    def _answer(self, request: Request, now_ns: int) -> object:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        params = parse_qs(request.query, keep_blank_values=True)
        public = parts[:1] == ["v2"] or parts[:4] == [*BROKERAGE, "market"] or parts == [*BROKERAGE, "time"]
        if public:
            if not self._public.take(request.peer, 1, now_ns):
                raise _too_many()
            return self.rest.public([*parts[:3], *parts[4:]] if parts[3:4] == ["market"] else parts, params, now_ns)
        if parts[:3] != BROKERAGE:
            raise Fail(404, {"error": "NOT_FOUND", "message": "route not found"})
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        account = self.who(token, f"{request.method} {request.path}", now_ns) if scheme == "Bearer" else None
        if account is None:
            raise Fail(401, "Unauthorized")
        if not self._private.take(account.index, 1, now_ns):
            raise _too_many()
        return self.rest.private(account, request.method, parts, params, request.body, now_ns)

    # --- websocket ----------------------------------------------------------------------------------------------------
    def connect(self, request: Request, now_ns: int) -> Session | Response:
        if request.path not in ("", "/"):
            return Response(404, b"", {}, "text/plain")
        if not self._connects.take(request.peer, 1, now_ns):
            return Response(429, encode(_too_many().body))
        return AdvancedSession(self, request.path, request.peer, now_ns)

    def may_say(self, session: AdvancedSession, now_ns: int) -> bool:
        """Whether a client may say one more thing; clients without a key have a limit by address."""
        if session.account or self._messages.take(session.peer, 1, now_ns):
            return True
        session.close(1008, "rate limit exceeded")
        return False

    def closed(self, session: Session, now_ns: int) -> None:
        assert isinstance(session, AdvancedSession)
        self.channels.leave(session)
        super().closed(session, now_ns)

    # --- news ---------------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        self.words.skew_ns = self.skew_ns
        self.channels.market(batch)

    def private(self, update: Update) -> None:
        self.words.skew_ns = self.skew_ns
        self.channels.private(update)

    def tick(self, now_ns: int) -> None:
        self.words.skew_ns = now_ns - self.house.now_ns
        for session in self.sessions:
            assert isinstance(session, AdvancedSession)
            if session.silent_too_long(now_ns):
                session.close(1008, "no subscribe message was received within 5 seconds")
        self.channels.tick()

    def urls(self, http: str, websocket: str) -> dict[str, str]:
        return {"REST": f"{http}/api/v3/brokerage", "websocket": websocket}


def _too_many() -> Fail:
    return Fail(429, {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]})


def _bare(uri: str) -> str:
    """`METHOD /path` of a token's claim, without scheme and host."""
    method, _, rest = uri.partition(" ")
    return f"{method} /{rest.removeprefix('https://').removeprefix('http://').partition('/')[2]}"

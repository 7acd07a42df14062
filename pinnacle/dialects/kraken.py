"""Kraken spot as a protocol over the house: REST, websocket v2 with its channels and order entry, private channels.

Paths tell the services apart, so that all of them are one port: `/0/public/..`, `/0/private/..`, and `/v2` for every
websocket.  Not spoken: margin, conditional and iceberg orders, level3, websocket v1.  Fees are in quote currency.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.house import House
from pinnacle.dialects.kraken_orders import Orders
from pinnacle.dialects.kraken_private import Private
from pinnacle.dialects.kraken_public import Public
from pinnacle.dialects.kraken_reports import Reports
from pinnacle.dialects.kraken_session import PRIVATE, KrakenSession
from pinnacle.dialects.kraken_streams import Streams
from pinnacle.dialects.kraken_words import SYSTEM, Fail, Words
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Account, Update
from pinnacle.dialects.windows import Bucket, Window
from pinnacle.errors import OperatorError
from pinnacle.limits import WINDOW_KEYS_MAX
from pinnacle.venues.signing import base64_key, kraken_signature, same

SECOND_NS = 1_000_000_000
TOKEN_NS = 900 * SECOND_NS
# Connection attempts of an address in ten minutes; silence of a client after which it is hung up on.
ATTEMPTS_10MIN = 150
SILENCE_NS = 60 * SECOND_NS
# The private REST counter: most, and what it loses each second; and public calls of an address each second.
REST_MOST, REST_DECAY, PUBLIC_SECOND = 20, 1, 20
encode = msgspec.json.encode
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class Kraken(Dialect):
    """See the file's first words."""

    name = "kraken"
    fees_in = "quote"
    quote = "USD"
    tick_ns = 50_000_000

    @classmethod
    def symbol(cls, base: str, quote: str) -> str:
        return f"{base}/{quote}"

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        self.words = Words(house)
        self.now_ns = house.now_ns
        self.public, self.orders = Public(self.words), Orders(house, self.words)
        self.private_calls = Private(house, self.words, self.orders, self.token)
        self.streams = Streams(self.words, lambda kind: self.spoil(kind))
        self.reports = Reports(self.words)
        self._attempts = Window(600 * SECOND_NS, ATTEMPTS_10MIN)
        self._public_calls = Bucket(PUBLIC_SECOND, PUBLIC_SECOND)
        self._private_calls = Bucket(REST_DECAY, REST_MOST)
        self._nonces: dict[int, int] = {}
        self._tokens: dict[str, tuple[Account, int]] = {}
        self._tokens_made = 0
        self._connections = 0
        public = self.public
        self.open_calls: dict[str, Callable[[dict[str, str], int], Any]] = {
            "Time": public.time, "SystemStatus": public.system_status, "Assets": public.assets,
            "AssetPairs": public.asset_pairs, "Depth": public.depth, "Trades": public.trades, "Ticker": public.ticker,
        }  # fmt: skip

    def set_time(self, now_ns: int) -> None:
        """The venue's clock, for whatever is done next."""
        self.now_ns = self.orders.now_ns = now_ns
        self.reports.skew_ns = self.skew_ns

    # --- HTTP -----------------------------------------------------------------------------------------------------
    def request(self, request: Request, now_ns: int) -> Response:
        self.set_time(now_ns)
        parts = request.path.split("/")
        if len(parts) != 4 or parts[:2] != ["", "0"] or parts[2] not in ("public", "private"):
            return Response(404, encode({"error": ["EGeneral:Unknown method"]}))
        try:
            if parts[2] == "public":
                result = self._open(request, parts[3], now_ns)
            else:
                result = self._closed(request, parts[3], now_ns)
        except Fail as fail:
            return Response(200, encode({"error": fail.errors}))
        return Response(200, encode({"error": [], "result": result}))

    def _open(self, request: Request, name: str, now_ns: int) -> object:
        call = self.open_calls.get(name)
        if call is None:
            raise Fail("EGeneral:Unknown method")
        if not self._public_calls.take(request.peer, 1, now_ns):
            raise Fail("EGeneral:Too many requests")
        return call(request.params(), now_ns)

    def _closed(self, request: Request, name: str, now_ns: int) -> object:
        """A private call: who it is, its nonce, its signature; then the counter."""
        if request.method != "POST":
            raise Fail("EAPI:Bad request")
        account = self.house.account_of(request.headers.get("api-key", ""))
        if account is None:
            raise Fail("EAPI:Invalid key")
        params = self._params(request)
        nonce = str(params.get("nonce", ""))
        if not (nonce.isascii() and nonce.isdigit() and len(nonce) <= 20 and int(nonce) < 1 << 64):
            raise Fail("EAPI:Invalid nonce")
        right = kraken_signature(_key(account.secret), request.path, int(nonce), request.body)
        if not same(right, request.headers.get("api-sign", "")) or nonce != str(int(nonce)):
            raise Fail("EAPI:Invalid signature")
        if int(nonce) <= self._nonces.get(account.index, -1):
            raise Fail("EAPI:Invalid nonce")
        self._nonces[account.index] = int(nonce)
        call, weight = self.private_calls.find(name)
        if weight and not self._private_calls.take(account.index, weight, now_ns):
            raise Fail("EAPI:Rate limit exceeded")
        return call(account, params)

    def _params(self, request: Request) -> dict[str, Any]:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return dict(request.params())
        try:
            return _decoder.decode(request.body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise Fail("EGeneral:Invalid arguments") from None

    # --- tokens -----------------------------------------------------------------------------------------------------
    def token(self, account: Account) -> dict[str, Any]:
        """GetWebSocketsToken: to be used within a quarter of an hour."""
        self._tokens_made += 1
        text = hashlib.sha256(f"{account.secret} {self._tokens_made}".encode()).hexdigest()
        if len(self._tokens) >= WINDOW_KEYS_MAX:
            self._tokens = {one: kept for one, kept in self._tokens.items() if self.now_ns - kept[1] < TOKEN_NS}
        self._tokens[text] = (account, self.now_ns)
        return {"token": text, "expires": TOKEN_NS // SECOND_NS}

    def token_account(self, token: object, session: KrakenSession, now_ns: int) -> Account:
        """Whose token it is; one with which the session holds a private subscription stays valid.  Raises Fail."""
        found = self._tokens.get(token) if isinstance(token, str) else None
        if found is None:
            raise Fail("EAPI:Invalid token" if token else "EGeneral:Invalid arguments:token")
        account, since_ns = found
        held = session.account is account and any(channel in PRIVATE for channel, _ in session.channels)
        if now_ns - since_ns > TOKEN_NS and not held:
            raise Fail("ESession:Invalid session")
        return account

    # --- websockets -----------------------------------------------------------------------------------------------
    def connect(self, request: Request, now_ns: int) -> Session | Response:
        self.set_time(now_ns)
        if request.path.rstrip("/") != "/v2":
            return Response(404, b"", {}, "text/html")
        if not self._attempts.use(request.peer, 1, now_ns):
            return Response(429, b"Too many connection attempts", {}, "text/plain")
        session = KrakenSession(self, request.path, request.peer, now_ns)
        self._connections += 1
        session.send(self._status())
        return session

    def _status(self) -> bytes:
        states = set(self.house.states)
        state = states.pop() if len(states) == 1 else e.STATE_OPEN
        return encode({
            "channel": "status", "type": "update",
            "data": [{"version": "2.0.10", "system": SYSTEM[state], "api_version": "v2",
                      "connection_id": (1 << 63) + self._connections}],
        })  # fmt: skip

    def closed(self, session: Session, now_ns: int) -> None:
        assert isinstance(session, KrakenSession)
        self.streams.leave(session)
        self.reports.leave(session)
        super().closed(session, now_ns)

    # --- news -----------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        self.now_ns = self.house.now_ns + self.skew_ns
        self.streams.market(batch, self.skew_ns)
        if (batch.rows["kind"] == e.MARKET_STATE).any() and len(set(self.house.states)) == 1:
            for session in self.sessions:
                session.send(self._status())

    def private(self, update: Update) -> None:
        self.now_ns = self.house.now_ns + self.skew_ns
        self.reports.private(update)

    def tick(self, now_ns: int) -> None:
        self.set_time(now_ns)
        self.orders.tick(now_ns)
        for session in self.sessions:
            assert isinstance(session, KrakenSession)
            if session.channels and now_ns - session.said_ns >= SECOND_NS:
                session.send(b'{"channel":"heartbeat"}')
            if now_ns - session.heard_ns > SILENCE_NS:
                session.close(1001, "No activity")

    def urls(self, http: str, websocket: str) -> dict[str, str]:
        return {"REST": http, "websocket v2": f"{websocket}/v2"}


def _key(secret: str) -> bytes:
    """The HMAC key of an account's secret, which is base64 as the venue hands it out."""
    try:
        return base64_key(secret)
    except OperatorError:
        return secret.encode()

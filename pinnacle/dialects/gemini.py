"""Gemini as a protocol over the house: REST with signed payloads, and the websocket with streams and orders.

One port: the websocket is at `/`, REST at its own paths.  A key's nonces must rise, over REST and websocket together; a
websocket's must be of its time as well.  Not spoken: the archived market data sockets, auctions, stop orders, master
keys, FIX.  Fees are in quote currency.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote

import msgspec

from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.gemini_feed import GeminiSession, GeminiStreams
from pinnacle.dialects.gemini_orders import Orders
from pinnacle.dialects.gemini_public import Public
from pinnacle.dialects.gemini_words import Fail, Words
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Account, Update
from pinnacle.dialects.windows import Window
from pinnacle.kernels.exchange_state import PUBLISH_ALL
from pinnacle.venues.signing import gemini_signature, same

SECOND_NS = 1_000_000_000
encode = msgspec.json.encode
# A websocket's nonce may be so far from the venue's time.
NONCE_S_MAX = 30


class Gemini(Dialect):
    """See the file's first words."""

    name = "gemini"
    publish = PUBLISH_ALL
    fees_in = "quote"
    quote = "USD"

    @classmethod
    def symbol(cls, base: str, quote: str) -> str:
        return f"{base}{quote}".lower()

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        self.words = Words(house)
        self.orders, self.public = Orders(self.words), Public(self.words)
        self.streams = GeminiStreams(self.words, self.orders, lambda kind: self.spoil(kind))
        self._public, self._private = Window(60 * SECOND_NS, 120), Window(60 * SECOND_NS, 600)
        self._attempts = Window(300 * SECOND_NS, 300)
        # Requests of a websocket in ten seconds, and orders of an account.
        self._messages, self._order_rate = Window(10 * SECOND_NS, 7_000), Window(10 * SECOND_NS, 3_500)
        self._nonces: dict[str, int] = {}

    # --- HTTP ---------------------------------------------------------------------------------------------------------
    def request(self, request: Request, now_ns: int) -> Response:
        self.words.skew_ns = now_ns - self.house.now_ns
        try:
            return Response(200, encode(self._answer(request, now_ns)))
        except Fail as fail:
            return Response(fail.status, encode(fail.body()))

    def _answer(self, request: Request, now_ns: int) -> Any:
        if request.method == "GET":
            if not self._public.use(request.peer, 1, now_ns):
                raise Fail(429, "RateLimit", "Requests were made too frequently")
            return self.public.answer([unquote(part) for part in request.path.strip("/").split("/")], request.params())
        method = self.orders.methods.get(request.path)
        if method is None or request.method != "POST":
            raise Fail(404, "EndpointNotFound", f"API entry point `{request.path[:80]}` not found")
        account, said = self._signed(request)
        if not self._private.use(account.index, 1, now_ns):
            raise Fail(429, "RateLimit", "Requests were made too frequently")
        return method(account, said)

    def _account(self, request: Request) -> tuple[Account, str]:
        """Whose a signed payload is, and the payload's text.  Raises Fail."""
        headers = request.headers
        for name in ("Apikey", "Payload", "Signature"):
            if not headers.get(f"x-gemini-{name.lower()}"):
                raise Fail(400, f"Missing{name}Header", f"Must provide 'X-GEMINI-{name.upper()}' header")
        account = self.house.account_of(headers["x-gemini-apikey"])
        if account is None:
            raise Fail(400, "InvalidApiKey", "Invalid API key")
        payload = headers["x-gemini-payload"]
        if not same(gemini_signature(account.secret.encode(), payload), headers["x-gemini-signature"].lower()):
            raise Fail(400, "InvalidSignature", "InvalidSignature")
        return account, payload

    def _signed(self, request: Request) -> tuple[Account, dict[str, Any]]:
        """Whose request this is, and its payload.  Raises Fail."""
        account, payload = self._account(request)
        try:
            said = msgspec.json.decode(base64.b64decode(payload, validate=True))
        except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
            raise Fail(400, "InvalidJson", "The payload is not base64 of JSON") from None
        if not isinstance(said, dict):
            raise Fail(400, "InvalidJson", "The payload is no object")
        if said.get("request") != request.path:
            raise Fail(400, "EndpointMismatch", f"EndpointMismatch: payload is of {str(said.get('request'))[:60]}")
        self._nonce(account, said.get("nonce"))
        return account, said

    def _nonce(self, account: Account, nonce: object) -> int:
        """A nonce above all before it of the key, which it then is.  Raises Fail."""
        text = str(nonce)
        if isinstance(nonce, bool) or not (text.isascii() and text.isdigit() and len(text) < 19):
            raise Fail(400, "InvalidNonce", f"Invalid nonce '{text[:40]}'")
        number, last = int(text), self._nonces.get(account.key, -1)
        if number <= last:
            raise Fail(400, "InvalidNonce", f"Nonce '{number}' has not increased since your last call, '{last}'")
        self._nonces[account.key] = number
        return number

    # --- websocket ----------------------------------------------------------------------------------------------------
    def connect(self, request: Request, now_ns: int) -> Session | Response:
        if not self._attempts.use(request.peer, 1, now_ns):
            return Response(429, encode(Fail(429, "RateLimit").body()))
        if request.path not in ("", "/"):
            return Response(404, encode(Fail(404, "EndpointNotFound").body()))
        params, headers, account = request.params(), request.headers, 0
        depth = params.get("snapshot", "0")
        if not depth.removeprefix("-").isdigit() or not depth.isascii() or len(depth) > 9:
            return Response(400, encode(Fail(400, "InvalidParameter", "snapshot must be a number").body()))
        if any(name.startswith("x-gemini-") for name in headers):
            try:
                owner, payload = self._account(request)
                nonce = headers.get("x-gemini-nonce", "")
                if base64.b64encode(nonce.encode()).decode() != payload:
                    raise Fail(400, "InvalidNonce", "The payload is not the nonce")
                number = self._nonce(owner, nonce)
                stamp_ns = number * (1_000_000 if number >= 100_000_000_000 else SECOND_NS)
                if abs(now_ns - stamp_ns) > NONCE_S_MAX * SECOND_NS:
                    raise Fail(400, "InvalidNonce", "Nonce is not within 30 seconds of server time")
            except Fail as fail:
                return Response(401, encode(fail.body()))
            account = owner.index
        return GeminiSession(self, request, int(depth), account, params.get("cancelOnDisconnect") == "true")

    def may_say(self, session: Session, now_ns: int) -> bool:
        """Whether a client may say one more thing in these ten seconds."""
        return self._messages.use(session, 1, now_ns)

    def may_order(self, account: int, now_ns: int) -> bool:
        """Whether an account may send one more order in these ten seconds."""
        return self._order_rate.use(account, 1, now_ns)

    def closed(self, session: Session, now_ns: int) -> None:
        assert isinstance(session, GeminiSession)
        self.streams.leave(session)
        super().closed(session, now_ns)
        if session.cancels:
            self.streams.accounts.cancel_of(session)

    # --- news ---------------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        self.words.skew_ns = self.skew_ns
        self.streams.market(batch)

    def private(self, update: Update) -> None:
        self.words.skew_ns = self.skew_ns
        self.streams.accounts.private(update)

    def tick(self, now_ns: int) -> None:
        self.words.skew_ns = now_ns - self.house.now_ns
        self.streams.tick()

"""Coinbase Exchange as a protocol over the house: REST, and the websocket feed with its channels.

One port: the websocket is at `/`, REST at its own paths.  Not spoken: stop orders and orders that end at a time, other
profiles than one for each account, reports, transfers, FIX.  Fees are in quote currency, as at Coinbase.
"""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from pinnacle.dialects.coinbase_feed import ExchangeFeed, FeedSession
from pinnacle.dialects.coinbase_orders import Orders
from pinnacle.dialects.coinbase_public import Public
from pinnacle.dialects.coinbase_words import Fail, Words
from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Account, Update
from pinnacle.dialects.windows import Bucket
from pinnacle.errors import OperatorError
from pinnacle.kernels.exchange_state import PUBLISH_ALL
from pinnacle.venues.signing import base64_key, coinbase_exchange_signature, same

SECOND_NS = 1_000_000_000
# A signed request's time may be so far from the venue's.
STAMP_S_MAX = 30
encode = msgspec.json.encode


class Coinbase(Dialect):
    """See the file's first words."""

    name = "coinbase"
    publish = PUBLISH_ALL
    fees_in = "quote"
    quote = "USD"

    @classmethod
    def symbol(cls, base: str, quote: str) -> str:
        return f"{base}-{quote}"

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        self.words = Words(house)
        self.feed = ExchangeFeed(self.words, self.stamp_fault, lambda kind: self.spoil(kind))
        self.public, self.orders = Public(self.words, self.feed), Orders(self.words)
        # Requests a second of an address, of an account, and of an account for its fills; messages of an address.
        self._public, self._private, self._fills = Bucket(10, 15), Bucket(15, 30), Bucket(10, 20)
        self._connects, self._messages = Bucket(8, 20), Bucket(100, 100)

    # --- HTTP ---------------------------------------------------------------------------------------------------------
    def request(self, request: Request, now_ns: int) -> Response:
        self.words.skew_ns = now_ns - self.house.now_ns
        try:
            if not request.headers.get("user-agent"):
                raise Fail(400, "User-Agent header is required.")
            return Response(200, encode(self._answer(request, now_ns)))
        except Fail as fail:
            return Response(fail.status, encode({"message": fail.message}))

    def _answer(self, request: Request, now_ns: int) -> object:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        if parts[0] in ("products", "currencies", "time"):
            if not self._public.take(request.peer, 1, now_ns):
                raise Fail(429, "Public rate limit exceeded")
            if request.method != "GET":
                raise Fail(405, "Method not allowed")
            return self.public.answer(parts, request.params(), now_ns)
        if parts[0] not in ("accounts", "orders", "fills", "fees", "profiles"):
            raise Fail(404, "NotFound")
        account = self._who(request, now_ns)
        limit = self._fills if parts[0] == "fills" else self._private
        if not limit.take(account.index, 1, now_ns):
            raise Fail(429, "Private rate limit exceeded")
        return self.orders.answer(account, request.method, parts, request.params(), request.body)

    def _who(self, request: Request, now_ns: int) -> Account:
        """The account whose signature a request has.  Raises Fail."""
        headers = request.headers
        for name in ("key", "sign", "timestamp", "passphrase"):
            if not headers.get(f"cb-access-{name}"):
                raise Fail(401, f"CB-ACCESS-{name.upper()} header is required")
        path = f"{request.path}?{request.query}" if request.query else request.path
        fault = self.stamp_fault(
            headers["cb-access-key"], headers["cb-access-passphrase"], headers["cb-access-timestamp"],
            headers["cb-access-sign"], request.method, path, request.body, now_ns,
        )  # fmt: skip
        if isinstance(fault, str):
            raise Fail(401 if fault != "request timestamp expired" else 400, fault)
        return fault

    def stamp_fault(
        self, key: str, passphrase: str, stamp: str, sign: str, method: str, path: str, body: bytes, now_ns: int
    ) -> Account | str:
        """Whose request this is, or what is wrong with it, in the venue's words."""
        account = self.house.account_of(key)
        if account is None:
            return "Invalid API Key"
        whole, _, part = stamp.partition(".")
        digits = whole + part
        if not (digits.isascii() and digits.isdigit() and whole and len(digits) <= 20):
            return "invalid timestamp"
        stamp_ns = int(whole) * SECOND_NS + int((part + "0" * 9)[:9])
        if abs(now_ns - stamp_ns) > STAMP_S_MAX * SECOND_NS:
            return "request timestamp expired"
        if not same(account.passphrase, passphrase):
            return "Invalid Passphrase"
        try:
            secret = base64_key(account.secret)
        except OperatorError:
            return "invalid signature"
        if not same(coinbase_exchange_signature(secret, stamp, method, path, body), sign):
            return "invalid signature"
        return account

    # --- websocket ----------------------------------------------------------------------------------------------------
    def connect(self, request: Request, now_ns: int) -> Session | Response:
        if request.path not in ("", "/"):
            return Response(404, encode({"message": "NotFound"}))
        if not self._connects.take(request.peer, 1, now_ns):
            return Response(429, encode({"message": "Public rate limit exceeded"}))
        return FeedSession(self, request.path, request.peer, now_ns)

    def may_say(self, session: Session, now_ns: int) -> bool:
        """Whether a client may say one more thing; it is disconnected if not."""
        if self._messages.take(session.peer, 1, now_ns):
            return True
        session.close(1008, "rate limit exceeded")
        return False

    def closed(self, session: Session, now_ns: int) -> None:
        assert isinstance(session, FeedSession)
        self.feed.leave(session)
        super().closed(session, now_ns)

    # --- news ---------------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        self.words.skew_ns = self.skew_ns
        self.feed.market(batch)

    def private(self, update: Update) -> None:
        self.words.skew_ns = self.skew_ns
        self.feed.private(update)

    def tick(self, now_ns: int) -> None:
        self.words.skew_ns = now_ns - self.house.now_ns
        for session in self.sessions:
            assert isinstance(session, FeedSession)
            if session.silent_too_long(now_ns):
                session.close(1008, "no subscribe message was received within 5 seconds")
        self.feed.tick()

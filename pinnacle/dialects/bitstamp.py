"""Bitstamp as a protocol over the house: REST, and websocket v2 with its public and private channels.

`/api/v2/..` is REST, every other path opens the websocket.  Orders are given over REST only, as there.  Not spoken:
perpetuals, stop orders, orders with an end, FIX.  Fees are in quote currency.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.bitstamp_orders import Orders
from pinnacle.dialects.bitstamp_streams import PRIVATE, PUBLIC, Streams
from pinnacle.dialects.bitstamp_words import SECOND_NS, Fail, Words
from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Account, Update
from pinnacle.dialects.signatures import hmac_hex, same
from pinnacle.dialects.windows import Window
from pinnacle.event import ASK, BID, BUY
from pinnacle.kernels.exchange_state import PUBLISH_ALL
from pinnacle.limits import WINDOW_KEYS_MAX
from pinnacle.venues.signing import BITSTAMP_HOST, FORM

MS = 1_000_000
WINDOW_NS = 150 * SECOND_NS
TOKEN_NS = 60 * SECOND_NS
PING_NS, LIFE_NS = 54 * SECOND_NS, 90 * 86_400 * SECOND_NS
FRAME_BYTES_MAX, CHANNELS_MAX = 512, 1024
SECOND_MOST, TEN_MINUTES_MOST = 400, 10_000
encode = msgspec.json.encode
_NONCE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SYMBOL = re.compile(r"[a-z0-9]{2,20}(?:-perp)?")


class Bitstamp(Dialect):
    """See the file's first words."""

    name = "bitstamp"
    publish = PUBLISH_ALL
    fees_in = "quote"
    quote = "USD"
    tick_ns = 100_000_000

    @classmethod
    def symbol(cls, base: str, quote: str) -> str:
        return (base + quote).lower()

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        self.words = Words(house)
        self.streams = Streams(self.words, lambda kind: self.spoil(kind))
        self.orders = Orders(house, self.words, self._token, self.streams.own_events)
        self.now_ns = house.now_ns
        self._second, self._ten_minutes = Window(SECOND_NS, SECOND_MOST), Window(600 * SECOND_NS, TEN_MINUTES_MOST)
        self._nonces: dict[str, int] = {}
        self._tokens: dict[str, tuple[Account, int]] = {}
        self._tokens_made = 0
        self._times: dict[Session, tuple[int, int]] = {}  # opened, pinged

    # --- HTTP -----------------------------------------------------------------------------------------------------
    def request(self, request: Request, now_ns: int) -> Response:
        self.now_ns = now_ns
        signed: tuple[Account, str, str] | None = None
        try:
            for window in (self._second, self._ten_minutes):
                if not window.use(request.peer, 1, now_ns):
                    raise Fail("400.002", "Request rate limit exceeded.", 429)
            parts = request.path.strip("/").split("/")
            if parts[:2] != ["api", "v2"] or len(parts) < 3:
                return Response(404, b"<html><body>Not Found</body></html>", {}, "text/html")
            call, rest = self.orders.find(parts[2]), "/".join(parts[3:])
            if call is None:
                result = self._open(request, parts[2], rest)
            else:
                account = self._who(request, now_ns)
                signed = (account, request.headers["x-auth-nonce"], request.headers["x-auth-timestamp"])
                result = call(account, request.params(), rest)
            status, body = 200, encode(result)
        except Fail as fail:
            status, body = fail.status, encode(fail.body())
        headers = {}
        if signed is not None:
            account, nonce, stamp = signed
            said = f"{nonce}{stamp}application/json".encode() + body
            headers["X-Server-Auth-Signature"] = hmac_hex(account.secret, said)
        return Response(status, body, headers)

    def _who(self, request: Request, now_ns: int) -> Account:
        """Who signed a request, by the headers of version 2.  Raises Fail."""
        heads = request.headers
        scheme, _, key = heads.get("x-auth", "").partition(" ")
        if scheme != "BITSTAMP" or not key:
            raise Fail("API0013", "Missing X-Auth header.", 403)
        account = self.house.account_of(key)
        if account is None:
            raise Fail("API0001", "API key not found", 403)
        nonce, stamp = heads.get("x-auth-nonce", ""), heads.get("x-auth-timestamp", "")
        if not _NONCE.fullmatch(nonce):
            raise Fail("API0014", "Wrong X-Auth-Nonce header.", 403)
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) == 13):
            raise Fail("API0016", "Wrong X-Auth-Timestamp header.", 403)
        if abs(int(stamp) * MS - now_ns) > WINDOW_NS:
            raise Fail("API0017", "X-Auth-Timestamp is outside of the allowed window.", 403)
        if heads.get("x-auth-version") != "v2":
            raise Fail("API0018", "Wrong X-Auth-Version header.", 403)
        kind = heads.get("content-type", "")
        if bool(request.body) != bool(kind) or kind not in ("", FORM):
            raise Fail("API0020", "Wrong Content-Type header.", 403)
        query = f"?{request.query}" if request.query else ""
        right = False
        # The venue's own host is what its clients sign; ours may be written with its scheme by who knows https only.
        for host in (BITSTAMP_HOST, self.host, heads.get("host", ""), "http://" + heads.get("host", "")):
            told = f"BITSTAMP {key}{request.method}{host}{request.path}{query}{kind}{nonce}{stamp}v2".encode()
            right |= same(hmac_hex(account.secret, told + request.body), heads.get("x-auth-signature", "").lower())
        if not right:
            raise Fail("API0005", "Invalid signature", 403)
        if now_ns - self._nonces.get(f"{key} {nonce}", -WINDOW_NS) < WINDOW_NS:
            raise Fail("API0004", "Invalid nonce", 403)
        if len(self._nonces) >= WINDOW_KEYS_MAX:
            self._nonces = {one: ns for one, ns in self._nonces.items() if now_ns - ns < WINDOW_NS}
        self._nonces[f"{key} {nonce}"] = now_ns
        return account

    def _token(self, account: Account) -> dict[str, Any]:
        self._tokens_made += 1
        text = hashlib.sha256(f"{account.secret} {self._tokens_made}".encode()).hexdigest()[:32]
        if len(self._tokens) >= WINDOW_KEYS_MAX:
            self._tokens = {one: kept for one, kept in self._tokens.items() if self.now_ns - kept[1] < TOKEN_NS}
        self._tokens[text] = (account, self.now_ns)
        return {"token": text, "user_id": account.index, "valid_sec": str(TOKEN_NS // SECOND_NS)}

    # --- public REST --------------------------------------------------------------------------------------------------
    def _open(self, request: Request, name: str, rest: str) -> Any:
        params, words = request.params(), self.words
        everything = range(len(words.symbols))
        if name == "order_book":
            group = params.get("group", "1")
            if group not in ("0", "1", "2"):
                raise Fail("400.007", {"group": ["Invalid value."]})
            return self.streams.book(self.orders.market(rest), int(group))
        if name == "ticker":
            return self._ticker(self.orders.market(rest)) if rest else [self._ticker(k) for k in everything]
        if name == "transactions":
            k = self.orders.market(rest)
            return [
                {"date": str(one.ts_ns // SECOND_NS), "tid": str(one.aux), "amount": words.amount(k, one.qty_lots),
                 "price": words.price(k, one.price_ticks), "type": "0" if one.side == BUY else "1"}
                for one in reversed(self.house.trades[k])
                if self.house.now_ns - one.ts_ns < 3600 * SECOND_NS
            ]  # fmt: skip
        if name in ("markets", "trading-pairs-info") and not rest:
            return [self._market(k) if name == "markets" else self._pair(k) for k in everything]
        if name == "currencies" and not rest:
            return [
                {"name": currency, "currency": currency, "type": "crypto", "symbol": currency, "decimals": digits}
                for currency, digits in self.house.digits.items()
            ]
        raise Fail("404", "Not found.", 404)

    def _decimals(self, k: int) -> dict[str, int]:
        one = self.words.instrument(k)
        return {
            "base_decimals": max(0, -int(one.lot.normalize().as_tuple().exponent)),
            "counter_decimals": max(0, -int(one.tick.normalize().as_tuple().exponent)),
        }

    def _market(self, k: int) -> dict[str, Any]:
        one, listing = self.words.instrument(k), self.house.listings[k]
        trading = "Enabled" if self.house.states[k] == e.STATE_OPEN else "Disabled"
        return {
            "name": self.words.name(k), "market_symbol": one.symbol, "base_currency": one.base,
            "counter_currency": one.quote, "minimum_order_value": f"{one.notional_min:f}",
            "maximum_order_value": None, "minimum_order_amount": f"{max(one.qty_min, one.lot):f}",
            "maximum_order_amount": self.words.amount(k, listing.qty_max_lots), "trading": trading,
            "instant_order_counter_decimals": 2, "instant_and_market_orders": "Enabled",
            "description": f"{one.base} / {one.quote}", "market_type": "SPOT",
        } | self._decimals(k)  # fmt: skip

    def _pair(self, k: int) -> dict[str, Any]:
        one, market = self.words.instrument(k), self._market(k)
        return {
            "name": market["name"], "url_symbol": one.symbol, "minimum_order": f"{one.notional_min:f} {one.quote}",
            "trading": market["trading"], "instant_and_market_orders": "Enabled", "description": market["description"],
        } | self._decimals(k)  # fmt: skip

    def _ticker(self, k: int) -> dict[str, Any]:
        words = self.words
        best = {side: next(iter(self.house.levels(k, side, 1)), (0, 0))[0] for side in (BID, ASK)}
        day = self.house.minutes[k].since(self.house.now_ns - 86_400 * SECOND_NS)
        prices = {
            "last": day.close_ticks if day else 0, "high": day.high_ticks if day else 0,
            "low": day.low_ticks if day else 0, "open": day.open_ticks if day else 0,
            "open_24": day.open_ticks if day else 0,
            "vwap": day.value_ticklots // day.lots if day and day.lots else 0, "bid": best[BID], "ask": best[ASK],
        }  # fmt: skip
        return {name: words.price(k, ticks) for name, ticks in prices.items()} | {
            "timestamp": str(self.now_ns // SECOND_NS), "volume": words.amount(k, day.lots if day else 0),
            "percent_change_24": "0.00", "side": "0", "pair": words.name(k), "market_type": "SPOT",
        }  # fmt: skip

    # --- websockets -----------------------------------------------------------------------------------------------
    def connect(self, request: Request, now_ns: int) -> Session | Response:
        if request.path.startswith("/api/"):
            return Response(404, b"", {}, "text/html")
        session = BitstampSession(self, request.path, request.peer)
        self._times[session] = (now_ns, now_ns)
        return session

    def closed(self, session: Session, now_ns: int) -> None:
        assert isinstance(session, BitstampSession)
        for channel in session.channels:
            self.streams.leave(session, channel)
        self._times.pop(session, None)
        super().closed(session, now_ns)

    def allowed(self, channel: str, auth: object, now_ns: int) -> bool:
        """Whether a channel may be heard: a public one of any market, one's own with a fresh token.  Raises Fail."""
        for prefix in PUBLIC:
            if channel.startswith(prefix):
                return bool(_SYMBOL.fullmatch(channel.removeprefix(prefix)))
        for prefix in PRIVATE:
            if channel.startswith(prefix):
                symbol, _, user = channel.removeprefix(prefix).rpartition("-")
                account, since_ns = self._tokens.get(auth, (None, 0)) if isinstance(auth, str) else (None, 0)
                if account is None or now_ns - since_ns > TOKEN_NS or user != str(account.index):
                    raise Fail("4009", "Connection is unauthorized.")
                return bool(_SYMBOL.fullmatch(symbol))
        return False

    # --- news -----------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        self.streams.market(batch, self.skew_ns)

    def private(self, update: Update) -> None:
        self.streams.private(update, self.skew_ns)

    def tick(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.streams.tick()
        for session, (opened_ns, pinged_ns) in self._times.items():
            if now_ns - opened_ns > LIFE_NS:
                session.close(1001, "Connection has lived for 90 days")
            elif now_ns - pinged_ns >= PING_NS:
                self._times[session] = (opened_ns, now_ns)
                session.ping()

    def urls(self, http: str, websocket: str) -> dict[str, str]:
        return {"REST": f"{http}/api/v2", "websocket": websocket}


class BitstampSession(Session):
    """A client of the websocket."""

    def __init__(self, dialect: Bitstamp, path: str, peer: str) -> None:
        super().__init__(dialect, path, peer)
        self.venue = dialect
        self.channels: dict[str, None] = {}

    def _fail(self, message: str, code: object = None) -> None:
        self.send(encode({"event": "bts:error", "channel": "", "data": {"code": code, "message": message}}))

    def receive(self, message: bytes, now_ns: int) -> None:
        if len(message) > FRAME_BYTES_MAX:
            self.close(1009, "Message too big")
            return
        try:
            said = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._fail("Incorrect JSON format.")
            return
        event = said.get("event") if isinstance(said, dict) else None
        if event == "bts:heartbeat":
            self.send(encode({"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}}))
            return
        data = said.get("data") if isinstance(said, dict) else None
        channel = data.get("channel") if isinstance(data, dict) else None
        if event not in ("bts:subscribe", "bts:unsubscribe") or not isinstance(channel, str):
            self._fail("Bad subscription string.")
            return
        assert isinstance(data, dict)
        if event == "bts:unsubscribe":
            if channel in self.channels:
                del self.channels[channel]
                self.venue.streams.leave(self, channel)
            self.send(encode({"event": "bts:unsubscription_succeeded", "channel": channel, "data": {}}))
            return
        try:
            allowed = self.venue.allowed(channel, data.get("auth"), now_ns)
        except Fail as fail:
            self._fail(str(fail.reason), int(fail.code))
            return
        if not allowed:
            self._fail("Invalid channel provided.")
            return
        if channel not in self.channels and len(self.channels) >= CHANNELS_MAX:
            self.close(1000)
            return
        self.channels[channel] = None
        self.venue.streams.join(self, channel)
        self.send(encode({"event": "bts:subscription_succeeded", "channel": channel, "data": {}}))

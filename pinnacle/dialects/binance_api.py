"""Binance's websocket API: requests by name on a socket, sessions that log on, and the user data stream.

One socket carries answers and the user's events, in the sequence in which they come about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.binance_orders import Params
from pinnacle.dialects.binance_public import WEIGHT_MINUTE, weight_of
from pinnacle.dialects.binance_words import MS, ZERO, Fail, Words, amount, side
from pinnacle.dialects.dialect import Session
from pinnacle.dialects.orders import Account, Happened, Order, Update
from pinnacle.dialects.signatures import ed25519_ok
from pinnacle.event import POST_ONLY

if TYPE_CHECKING:
    from pinnacle.dialects.binance import Binance

encode = msgspec.json.encode
_EXECUTIONS = {
    Happened.ACCEPTED: "NEW", Happened.FILLED: "TRADE", Happened.REPLACED: "REPLACED",
    Happened.CANCELLED: "CANCELED", Happened.EXPIRED: "EXPIRED", Happened.REJECTED: "REJECTED",
}  # fmt: skip

# Why an order expired; Binance names more, which do not happen here.
_EXPIRED = {e.END_SELF_TRADE: "SELF_TRADE_PREVENTION", e.END_WOULD_CROSS: "WOULD_MATCH_IMMEDIATELY"}


class UserEvents:
    """Who hears which account's news, and how they are written."""

    def __init__(self, words: Words) -> None:
        self.words, self.house = words, words.house
        self._listeners: dict[int, list[tuple[ApiSession, int]]] = {}
        self._executions = 0

    def join(self, session: ApiSession, account: Account, number: int) -> None:
        """The session hears the account's news, as subscription `number`."""
        self._listeners.setdefault(account.index, []).append((session, number))

    def leave(self, session: ApiSession, number: int | None = None) -> None:
        """It hears them no longer; None: none of its subscriptions."""
        for account, listening in self._listeners.items():
            self._listeners[account] = [
                (one, n) for one, n in listening if one is not session or number not in (None, n)
            ]

    def say(self, update: Update, skew_ns: int) -> None:
        """Tell an update: the order's report, and the balances it changed."""
        self._executions += 1
        order = update.order
        if update.what is Happened.EXPIRED and update.reason == e.END_WOULD_CROSS:
            return
        listening = self._listeners.get(order.account)
        if not listening or update.what is Happened.REJECTED:
            return
        report = encode(self.report(update, skew_ns))
        position = encode(self._position(order, update.ts_ns + skew_ns))
        for session, number in listening:
            for event in (report, position):
                session.send(b'{"subscriptionId":' + str(number).encode() + b',"event":' + event + b"}")

    def report(self, update: Update, skew_ns: int) -> dict[str, Any]:
        """executionReport."""
        order, fill, k = update.order, update.fill, update.order.instrument
        when = (update.ts_ns + skew_ns) // MS
        client_id, original = order.client_id, ""
        if update.what is Happened.CANCELLED:
            client_id, original = order.extra.get("cancel_id", order.client_id), order.client_id
        elif update.what is Happened.REPLACED:
            original = order.extra.get("orig_id", "")
        execution = _EXECUTIONS[update.what]
        if update.reason == e.END_SELF_TRADE:
            execution = "TRADE_PREVENTION" if update.what is Happened.REPLACED else "EXPIRED"
        price, qty, words = self.words.price[k], self.words.qty[k], self.words
        resting = bool(order.engine_id) and order.live
        said = {
            "e": "executionReport", "E": when, "s": words.symbols[k], "c": client_id, "S": side(order.side),
            "o": order.extra.get("type", "LIMIT"), "f": order.extra.get("tif", "GTC"), "q": qty(order.qty_lots),
            "p": price(order.price_ticks), "P": ZERO, "F": ZERO, "g": -1, "C": original, "x": execution,
            "X": "NEW" if update.what is Happened.ACCEPTED else words.status(order), "r": "NONE", "i": order.id,
            "l": qty(fill.qty_lots) if fill else ZERO, "z": qty(order.filled_lots),
            "L": price(fill.price_ticks) if fill else ZERO, "n": words.fee(fill) if fill else "0",
            "N": fill.fee_currency if fill else None, "T": when, "t": fill.id if fill else -1, "I": self._executions,
            "w": resting, "m": fill.maker if fill else bool(order.flags & POST_ONLY), "M": False,
            "O": (order.created_ns + skew_ns) // MS, "Z": words.quote(k, order.value_units),
            "Y": words.quote(k, fill.value_units) if fill else ZERO, "Q": order.extra.get("quote_qty", ZERO),
        }  # fmt: skip
        if resting or order.filled_lots:
            said["W"] = (order.created_ns + skew_ns) // MS
        said["V"] = order.extra.get("stp_text", "EXPIRE_MAKER")
        if update.what is Happened.EXPIRED:
            said["eR"] = _EXPIRED.get(update.reason, "INSUFFICIENT_LIQUIDITY")
        return said

    def _position(self, order: Order, ts_ns: int) -> dict[str, Any]:
        """outboundAccountPosition: the two currencies of the instrument."""
        one = self.words.instrument(order.instrument)
        balances = self.house.accounts[order.account - 1].balances
        return {
            "e": "outboundAccountPosition", "E": ts_ns // MS, "u": ts_ns // MS,
            "B": [
                {"a": currency, "f": amount(self.house.amount(currency, balances[currency].free_units)),
                 "l": amount(self.house.amount(currency, balances[currency].held_units))}
                for currency in (one.base, one.quote)
            ],
        }  # fmt: skip


class ApiSession(Session):
    """A client of the websocket API."""

    def __init__(self, dialect: Binance, path: str, peer: str) -> None:
        super().__init__(dialect, path, peer)
        self.venue = dialect
        self.account: Account | None = None  # logged on
        self.logged_on_ns = 0
        self.subscriptions: dict[int, Account] = {}
        self._next_subscription = 0

    def ponged(self, payload: bytes, now_ns: int) -> None:
        self.venue.heard_pong(self, now_ns)

    def receive(self, message: bytes, now_ns: int) -> None:
        venue = self.venue
        venue.public.now_ns = venue.orders.now_ns = now_ns
        number: Any = None
        try:
            try:
                said = msgspec.json.decode(message)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                raise Fail(-1135, "Invalid JSON Request") from None
            if not isinstance(said, dict):
                raise Fail(-1135, "Invalid JSON Request")
            number = said.get("id")
            if isinstance(number, float | bool | list | dict):
                number = None
                raise Fail(-1100, "Illegal characters found in parameter 'id'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.")
            answer = {"id": number, "status": 200, "result": self._call(said, now_ns)}
        except Fail as fail:
            answer = {"id": number, "status": fail.status, "error": fail.body()}
            if fail.status in (418, 429):
                after = venue.retry_after_s(self.peer, now_ns)
                answer["error"].setdefault(
                    "data", {"serverTime": now_ns // MS, "retryAfter": now_ns // MS + 1000 * after}
                )
        answer["rateLimits"] = self._limits(now_ns)
        self.send(encode(answer))

    def _limits(self, now_ns: int) -> list[dict[str, Any]]:
        used = self.venue.used_weight(self.peer, now_ns)
        return [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MINUTE,
                 "count": used}]  # fmt: skip

    def _call(self, said: dict[str, Any], now_ns: int) -> Any:
        """Do what a request asks; its result."""
        venue, method = self.venue, said.get("method")
        given = said.get("params") or {}
        if not isinstance(method, str) or not isinstance(given, dict):
            raise Fail(-1135, "Invalid JSON Request")
        params = {name: _text(value) for name, value in given.items()}
        own = {
            "session.logon": self._log_on, "session.status": self._status, "session.logout": self._log_out,
            "session.subscriptions": self._list, "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }.get(method)  # fmt: skip
        if own is not None:
            venue.weigh(self.peer, 2, now_ns)
            return own(params, now_ns)
        found = venue.by_name.get(method)
        if found is None:
            raise Fail(-1110 if not method else -1000, f"Unknown method: {method}" if method else "Method is empty")
        key, (_, weight, _) = found
        venue.weigh(self.peer, weight_of(method, weight, params), now_ns)
        opened = venue.open_methods.get(key)
        if opened is not None:
            return opened[2](params)
        account = self._who(params, now_ns)
        return venue.signed_methods[key][2](account, params)

    def _who(self, params: Params, now_ns: int) -> Account:
        """The account of a signed request: by its own key and signature, or the one logged on."""
        if params.get("apiKey") or self.account is None:
            account = self.venue.account(params.get("apiKey", ""))
            self.venue.check(account, signed_text(params), params, now_ns)
            return account
        self.venue.check_time(params, now_ns)
        return self.account

    # --- sessions -------------------------------------------------------------------------------------------------
    def _status(self, params: Params, now_ns: int) -> dict[str, Any]:
        account = self.account
        return {
            "apiKey": account.key if account else None,
            "authorizedSince": self.logged_on_ns // MS if account else None,
            "connectedSince": self.venue.opened_ns(self) // MS,
            "returnRateLimits": True,
            "serverTime": now_ns // MS,
            "userDataStream": bool(self.subscriptions),
        }

    def _log_on(self, params: Params, now_ns: int) -> dict[str, Any]:
        """session.logon: Ed25519 keys only."""
        account = self.venue.account(params.get("apiKey", ""))
        self.venue.check_time(params, now_ns)
        if not account.public_key:
            raise Fail(-4056, "HMAC_SHA256 API key is not supported.")
        if not ed25519_ok(account.public_key, signed_text(params), params.get("signature", "")):
            raise Fail(-1022, "Signature for this request is not valid.")
        self.account, self.logged_on_ns = account, now_ns
        return self._status(params, now_ns)

    def _log_out(self, params: Params, now_ns: int) -> dict[str, Any]:
        for number, account in list(self.subscriptions.items()):
            if account is self.account:
                self._end(number, now_ns)
        self.account, self.logged_on_ns = None, 0
        return self._status(params, now_ns)

    # --- the user data stream -------------------------------------------------------------------------------------
    def _subscribe(self, params: Params, now_ns: int) -> dict[str, int]:
        if self.account is None:
            raise Fail(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return self._join(self.account)

    def _subscribe_signed(self, params: Params, now_ns: int) -> dict[str, int]:
        account = self.venue.account(params.get("apiKey", ""))
        self.venue.check(account, signed_text(params), params, now_ns)
        return self._join(account)

    def _join(self, account: Account) -> dict[str, int]:
        if account in self.subscriptions.values():
            raise Fail(-2035, "User Data Stream subscription already active.")
        number = self._next_subscription
        self._next_subscription += 1
        self.subscriptions[number] = account
        self.venue.user_events.join(self, account, number)
        return {"subscriptionId": number}

    def _unsubscribe(self, params: Params, now_ns: int) -> dict[str, Any]:
        said = params.get("subscriptionId", "")
        if said and not (said.isascii() and said.isdigit() and int(said) in self.subscriptions):
            raise Fail(-2036, "User Data Stream subscription not active.")
        for number in [int(said)] if said else list(self.subscriptions):
            self._end(number, now_ns)
        return {}

    def _end(self, number: int, now_ns: int) -> None:
        del self.subscriptions[number]
        self.venue.user_events.leave(self, number)
        event = {"subscriptionId": number, "event": {"e": "eventStreamTerminated", "E": now_ns // MS}}
        self.send(encode(event))

    def _list(self, params: Params, now_ns: int) -> list[dict[str, int]]:
        return [{"subscriptionId": number} for number in self.subscriptions]


def signed_text(params: Params) -> str:
    """What a request of the websocket API signs: everything else, by name."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")


def _text(value: object) -> str:
    """A parameter as its text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return encode(value).decode()
    return "" if value is None else str(value)

"""Binance spot's private side: the websocket API for orders, questions and the account's stream on one socket.

Every request is signed by itself, so that HMAC and Ed25519 keys are served alike and a connection has no log-on that
could fail.  REST stands in for the socket while it is away, for cancels and questions: places wait for the stream, or
nobody would hear what becomes of them.  The venue's time is asked each second: it signs requests, proves that an order
can no longer arrive, and is the sign of life of a connection that may rightly be silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.event import ORDER_REJECTED, ORDER_UNKNOWN, REPLACE_REJECTED
from pinnacle.limits import FILLS_PAGE
from pinnacle.venues import binance_entry as entry
from pinnacle.venues.binance_entry import ASK_TIME, METHODS, SUBSCRIBE, Params
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Address, Followed, Malformed
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_ALL_COST,
    CANCEL_COST,
    PLACE_COST,
    REPLACE_COST,
    Answer,
    Call,
    Order,
    Standing,
)
from pinnacle.venues.private import binance_answers as answers
from pinnacle.venues.private.binance import PrivateStream
from pinnacle.venues.private.said import Balance, Note, Said, Step
from pinnacle.venues.signing import (
    BinanceKey,
    binance_headers,
    binance_signed_query,
    binance_websocket_params,
)

ADDRESS = Address("wss://ws-api.binance.com:443", "https://api.binance.com")
MS = 1_000_000
TIME_EVERY_NS = 1_000_000_000
# An answer that took longer says too little of the venue's clock.
TIME_ROUND_NS_MAX = 1_500_000_000
LIFE_NS = (24 * 3600 - 900) * 1_000_000_000
# Between opening a connection, or losing the venue's clock, and being ready.
READY_NS_MAX = 5_000_000_000
# Requests without an answer are forgotten then; their owner has long given them up.
PENDING_NS_MAX = 60_000_000_000
# The limit of new orders: cancels and questions are still taken.
_TOO_MANY_ORDERS = "-1015 "
REQUESTS = {PLACE_COST: answers.PLACE, CANCEL_COST: answers.CANCEL, REPLACE_COST: answers.REPLACE}
ASKS = (ASK_ORDER, ASK_OPEN, ASK_FILLS, ASK_BALANCES)
_malformed = (msgspec.MsgspecError, HistoryError, ValueError, KeyError, ArithmeticError, RecursionError)
_encode = msgspec.json.encode


class _Head(msgspec.Struct):
    """A message of the websocket API: an answer has an id and a status, an event has neither."""

    id: str | None = None
    status: int = 0
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class _Data(msgspec.Struct):
    serverTime: int = 0
    retryAfter: int = 0


class _Refusal(msgspec.Struct):
    data: _Data | None = None


class _Time(msgspec.Struct):
    serverTime: int


@dataclass(slots=True)
class _Pending:
    """A request whose answer is awaited."""

    what: str
    sent_ns: int
    order: Order | None = None
    followed: Followed | None = None
    number: int = 0


class BinanceGateway:
    """See venues/gateway.py.  followed: the instruments traded; api_key, key: as credentials.signer gives them."""

    silence_ns = 5_000_000_000
    url = "/ws-api/v3"

    def __init__(self, followed: Sequence[Followed], ids: ClientIds, api_key: str, key: BinanceKey) -> None:
        self.capabilities = entry.CAPABILITIES
        self.followed = {one.instrument.symbol: one for one in followed}
        self.sends: list[bytes] = []
        self.calls: list[Call] = []
        self.restart = ""
        self.said: list[Said | Answer] = []
        self.counts: dict[str, int] = {}
        self.ready = False
        self.retry_ns = self.venue_ns = 0
        self._api_key, self._key, self._ids = api_key, key, ids
        self._stream = PrivateStream(self.followed, ids.order_id)
        self._answers = answers.Answers(self.followed, ids.order_id)
        self._pending: dict[str, _Pending] = {}
        self._count = 0
        self._up = self._subscribed = False
        self._away_ns: int | None = None  # the venue's clock less ours
        self._opened_ns = self._heard_ns = self._time_ns = self._unready_ns = 0

    # --- the connection -------------------------------------------------------------------------------------------
    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        return {}

    def opened(self, ts_ns: int) -> None:
        self._up, self.ready, self.restart = True, False, ""
        self._subscribed = False
        self._opened_ns = self._heard_ns = self._unready_ns = ts_ns
        self._pending = {}
        self.sends.clear()
        self._away_ns = None
        self._ask_time(ts_ns)

    def closed(self, ts_ns: int) -> None:
        self._up = self.ready = False
        self.sends.clear()
        self._pending = {tag: one for tag, one in self._pending.items() if tag.startswith("h")}

    def tick(self, ts_ns: int) -> None:
        if len(self._pending) > 64:
            self._pending = {t: p for t, p in self._pending.items() if ts_ns - p.sent_ns < PENDING_NS_MAX}
        if not self._up:
            return
        if ts_ns - self._heard_ns > self.silence_ns:
            self._give_up(f"binance: silent for {(ts_ns - self._heard_ns) / 1e9:.1f} s")
        elif not self.ready and ts_ns - self._unready_ns > READY_NS_MAX:
            self._give_up("binance: no private stream came of the connection")
        elif ts_ns - self._opened_ns > LIFE_NS:
            self._give_up("binance: the connection is a day old")
        elif ts_ns - self._time_ns >= TIME_EVERY_NS:
            self._ask_time(ts_ns)

    def _give_up(self, why: str) -> None:
        self.ready = False
        self.restart = self.restart or why

    def _ask_time(self, ts_ns: int) -> None:
        self._time_ns = ts_ns
        self._frame(_Pending(ASK_TIME, ts_ns), {}, False)

    # --- sending --------------------------------------------------------------------------------------------------
    def _send(self, pending: _Pending, params: Params, ts_ns: int) -> bool:
        """By the socket if it is there, else by REST if the venue's clock is known and there is a way."""
        if self._away_ns is None:
            return False
        params["timestamp"] = (ts_ns + self._away_ns) // MS
        params["recvWindow"] = entry.RECV_WINDOW_MS
        if self._up:
            self._frame(pending, params, True)
            return True
        method = METHODS[pending.what]
        if not method.path or pending.what == PLACE_COST:
            return False
        self._count += 1
        tag = f"h{self._count}"
        self._pending[tag] = pending
        query = binance_signed_query(self._key, params)
        self.calls.append(Call(tag, method.http, f"{method.path}?{query}", binance_headers(self._api_key)))
        return True

    def _frame(self, pending: _Pending, params: Params, signed: bool) -> None:
        self._count += 1
        tag = f"w{self._count}"
        self._pending[tag] = pending
        if signed:
            params["apiKey"] = self._api_key
            params = binance_websocket_params(self._key, params)
        self.sends.append(_encode({"id": tag, "method": METHODS[pending.what].name, "params": params}))

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        if not self.ready or not self._send(_Pending(PLACE_COST, ts_ns, order), entry.place_params(order), ts_ns):
            self._refuse(ORDER_REJECTED, order, "busy")
            return 0
        assert self._away_ns is not None
        return ts_ns + self._away_ns + entry.RECV_WINDOW_MS * MS

    def cancel(self, order: Order, ts_ns: int) -> None:
        if not self._send(_Pending(CANCEL_COST, ts_ns, order), entry.cancel_params(order), ts_ns):
            self._refuse(answers.REFUSALS[answers.CANCEL], order, "busy")

    def replace(self, order: Order, ts_ns: int) -> None:
        if not self.ready or not self._send(_Pending(REPLACE_COST, ts_ns, order), entry.replace_params(order), ts_ns):
            self._refuse(REPLACE_REJECTED, order, "busy")

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        for one in self.followed.values() if followed is None else (followed,):
            params: Params = {"symbol": one.instrument.symbol}
            self._send(_Pending(CANCEL_ALL_COST, ts_ns, None, one), params, ts_ns)

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        raise AssertionError("the venue has no dead-man's switch")

    def _refuse(self, kind: int, order: Order, cause: str) -> None:
        self.said.append(_step(kind, order, cause))

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        return self._ask(_Pending(ASK_ORDER, ts_ns, order), entry.order_params(order), ts_ns)

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        return self._ask(_Pending(ASK_OPEN, ts_ns, None, followed), {"symbol": followed.instrument.symbol}, ts_ns)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        if order is not None and not order.venue_id:
            return 0
        params = entry.fills_params(followed.instrument.symbol, first_trade_id, order.venue_id if order else 0)
        return self._ask(_Pending(ASK_FILLS, ts_ns, order, followed), params, ts_ns)

    def ask_balances(self, ts_ns: int) -> int:
        return self._ask(_Pending(ASK_BALANCES, ts_ns), {"omitZeroBalances": "true"}, ts_ns)

    def _ask(self, pending: _Pending, params: Params, ts_ns: int) -> int:
        self._count += 1
        pending.number = self._count
        return pending.number if self._send(pending, params, ts_ns) else 0

    # --- what comes -----------------------------------------------------------------------------------------------
    def received(self, data: bytes, ts_ns: int) -> None:
        self._heard_ns = ts_ns
        try:
            head = msgspec.json.decode(data, type=_Head)
            if head.id is not None or head.status:
                self._answer(head.id or "", head.status, bytes(head.result), bytes(head.error), ts_ns)
                return
            said = self._stream.read(data)
        except Malformed as error:
            self._give_up(str(error))
            raise
        except _malformed as error:
            self._give_up("binance: a message that is none")
            raise Malformed(f"binance: {str(error)[:120]} in {data[:80]!r}") from None
        for one in said:
            if isinstance(one, (Step, Balance)):
                self.venue_ns = max(self.venue_ns, one.ts_venue_ns)
            elif one.what in ("eventStreamTerminated", "listenKeyExpired"):
                self._give_up(f"binance: {one.text}")
        self.said += said
        self._tally("event")

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        good = status == 200
        try:
            self._answer(tag, status, body if good else b"", b"" if good else body, ts_ns)
        except Malformed:
            raise
        except _malformed as error:
            raise Malformed(f"binance: {str(error)[:120]} in {body[:80]!r}") from None

    def _answer(self, tag: str, status: int, result: bytes, error: bytes, ts_ns: int) -> None:
        pending = self._pending.pop(tag, None)
        if pending is None:
            self._tally("late")  # an answer twice, or to what was given up
            return
        self._tally("answer")
        what = pending.what
        if what == ASK_TIME:
            if status == 200:
                self._hear_time(msgspec.json.decode(result, type=_Time).serverTime * MS, pending.sent_ns, ts_ns)
            return
        refusal = answers.refusal(REQUESTS.get(what, answers.PLACE), status, error)
        if refusal is not None:
            self._refused(pending, refusal, error, ts_ns)
        elif what == SUBSCRIBE:
            self.ready = self._subscribed = True
        elif what in ASKS:
            try:
                self.said.append(self._shown(pending, result))
            except _malformed:
                self.said.append(Answer(pending.number, what, "outcome_unknown"))
                raise
        else:
            self._done(pending, result)

    def _refused(self, pending: _Pending, refusal: tuple[int, str, str], error: bytes, ts_ns: int) -> None:
        kind, cause, words = refusal
        if cause == "rate_limit" and not words.startswith(_TOO_MANY_ORDERS):
            self.retry_ns = max(self.retry_ns, ts_ns + _retry_after_ns(error))
        elif cause == "clock":
            self._away_ns = None
            self.ready, self._unready_ns = False, ts_ns
            if self._up:
                self._ask_time(ts_ns)
        if pending.what == SUBSCRIBE:
            self.said.append(Note("permission" if cause == "permission" else "subscription", words))
            self._give_up(f"binance: no private stream: {words}")
        elif pending.what in ASKS:
            self.said.append(Answer(pending.number, pending.what, cause))
        elif pending.order is not None:
            self.said.append(_step(kind, pending.order, cause))
        self.said.append(Note("refused", f"{pending.what}: {words}"))

    def _done(self, pending: _Pending, result: bytes) -> None:
        """A command was done; what cannot be read has an unknown outcome."""
        if pending.what == REPLACE_COST:
            self.said.append(Note("replaced", "the order's stream says what became of it"))
            return
        try:
            self.said += self._answers.read(result)
        except Malformed:
            if pending.order is not None:
                self.said.append(_step(ORDER_UNKNOWN, pending.order, "outcome_unknown"))
            raise

    def _hear_time(self, server_ns: int, sent_ns: int, ts_ns: int) -> None:
        """The venue's clock lies between what it was when we asked and when we heard; the middle is taken."""
        self.venue_ns = max(self.venue_ns, server_ns)
        if ts_ns - sent_ns > TIME_ROUND_NS_MAX:
            if self._away_ns is None:
                self._ask_time(ts_ns)
            return
        known = self._away_ns is not None
        self._away_ns = server_ns - (sent_ns + ts_ns) // 2
        if self._subscribed:
            self.ready = self.ready or not (known or self.restart)
        elif not known and self._up:
            params: Params = {}
            self._send(_Pending(SUBSCRIBE, ts_ns), params, ts_ns)

    # --- what questions show --------------------------------------------------------------------------------------
    def _shown(self, pending: _Pending, result: bytes) -> Answer:
        number, what = pending.number, pending.what
        if what == ASK_ORDER:
            one = msgspec.json.decode(result, type=answers.OrderAnswer)
            return Answer(number, what, standings=self._standings([one]))
        if what == ASK_OPEN:
            return Answer(
                number, what, standings=self._standings(msgspec.json.decode(result, type=list[answers.OrderAnswer]))
            )
        if what == ASK_BALANCES:
            account = msgspec.json.decode(result, type=answers.Account)
            held = tuple(Balance(one.asset, one.free, one.locked) for one in account.balances)
            if not account.canTrade:
                self.said.append(Note("permission", "the account may not trade; see its state at the venue"))
            return Answer(number, what, balances=held)
        trades = msgspec.json.decode(result, type=list[answers.Trade])
        assert pending.followed is not None
        fills = tuple(self._fill(one, pending.followed, pending.order) for one in trades)
        return Answer(number, what, fills=fills, more=len(trades) >= FILLS_PAGE)

    def _standings(self, shown: Sequence[answers.OrderAnswer]) -> tuple[Standing, ...]:
        found, notes = self._answers.standings(shown)
        self.said += notes
        return found

    def _fill(self, trade: answers.Trade, followed: Followed, order: Order | None) -> Step:
        step, note = answers.fill_of(trade, followed, order)
        self.said += [note] if note else []
        return step

    def _tally(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def gateway(
    followed: Sequence[Followed], ids: ClientIds, api_key: str, key: BinanceKey, passphrase: bytes = b""
) -> BinanceGateway:
    """The gateway of one account; the venue has no passphrases."""
    return BinanceGateway(followed, ids, api_key, key)


def _step(kind: int, order: Order, cause: str) -> Step:
    """What became of a command about an order, where the answer itself does not show the order."""
    return Step(
        kind, order.followed, order.order_id, order.client_id, order.venue_id, order.side, order.price_ticks,
        order.qty_lots, 0, cause=cause,
    )  # fmt: skip


def _retry_after_ns(error: bytes) -> int:
    """How long the venue wants to be left alone; a minute's window may just have begun where it does not say."""
    try:
        data = msgspec.json.decode(error, type=_Refusal).data
    except _malformed:
        data = None
    if data is None or data.retryAfter <= data.serverTime:
        return 10_000_000_000
    return min(data.retryAfter - data.serverTime, 3_600_000) * MS

"""Gemini's private side: orders and their news on one signed websocket, questions by REST.

A key's nonces must rise over websocket and REST together, in the order in which the venue reads them, so one source
makes them all and one signed request by REST is out at a time; the others wait here, cancels first, and are signed when
they leave.  The connection's end cancels what was placed on it.  While the process lives a heartbeat goes out, for keys
that lose their orders without one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from pinnacle.event import (
    CANCEL_REJECTED,
    ORDER_FILLED,
    ORDER_REJECTED,
    REPLACE_REJECTED,
)
from pinnacle.limits import ANSWER_NS_MAX, REST_WAITING_MAX
from pinnacle.venues import gemini_entry as entry
from pinnacle.venues.account_connection import (
    ASK_TIME,
    UNREADABLE,
    AccountConnection,
    Pending,
    step_about,
)
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_ALL_COST,
    CANCEL_COST,
    PLACE_COST,
    Answer,
    Call,
    Order,
    Standing,
)
from pinnacle.venues.gemini import ADDRESS
from pinnacle.venues.nonce import LastNonce, Nonces
from pinnacle.venues.private.gemini import PrivateSide, refusal_of
from pinnacle.venues.private.said import SWITCH_SET, Balance, Note, Step
from pinnacle.venues.signing import gemini_headers, gemini_websocket_headers

__all__ = ["ADDRESS", "GeminiGateway", "gateway"]
MS, SECOND = 1_000_000, 1_000_000_000
# The unit of nonces.  The venue's pages say seconds; milliseconds were seen to be taken, and seconds would allow one
# request a second.
NONCE_NS = MS
# A nonce by the time may be half a minute from the venue's.
NONCE_AHEAD_NS_MAX = 20 * SECOND
SUBSCRIBE, HEARTBEAT = "subscribe", "heartbeat"
# While a connection is being opened, no request by REST may overtake its nonce; but not for ever.
OPENING_NS_MAX = 2_000_000_000


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Head(msgspec.Struct):
    """A reply has an id and a status, an event has neither."""

    id: str | int | None = None
    status: int = 0
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None
    e: str = ""
    X: str = ""
    B: msgspec.Raw = msgspec.Raw(b"")


class _Time(msgspec.Struct):
    serverTime: Annotated[int, msgspec.Meta(ge=0, lt=1 << 43)]


@dataclass(slots=True)
class _Waiting:
    """A signed request that has not left."""

    pending: Pending
    path: str
    fields: dict[str, object]


class GeminiGateway(AccountConnection):
    """See venues/gateway.py.  followed: the instruments traded; key: as credentials.signer gives it.  nonces:
    see nonce.py."""

    def __init__(
        self,
        followed: Sequence[Followed],
        ids: ClientIds,
        api_key: str,
        key: bytes,
        nonces: LastNonce | None = None,
    ) -> None:
        super().__init__("gemini", entry.CAPABILITIES, followed, ids, "/?cancelOnDisconnect=true", 5 * SECOND)
        self._api_key, self._key = api_key, key
        self._private = PrivateSide(self.followed, ids.order_id)
        self._nonces = Nonces(NONCE_NS, nonces, NONCE_AHEAD_NS_MAX)
        self._waiting: deque[_Waiting] = deque()
        self._out = ""  # the tag of the signed request that is out
        self._out_ns = self._opening_ns = self._signed_ns = 0
        self._beat_ns = entry.DEAD_MAN_NS // 2
        self._fill_ms: dict[int, int] = {}  # trade id -> when it was, of the newest of each instrument
        self._subscribing = self._tried = False

    # --- the connection -------------------------------------------------------------------------------------------
    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        """A signed handshake.  One signed request may be out, and is refused if the handshake overtakes it."""
        self._opening_ns = ts_ns
        if self._tried:
            # Why the attempt before this one failed is not told here; it may have been its nonce.  What waits to be
            # asked or cancelled by REST is not held up for attempts without end.
            self._nonces.refused(self.clock_ns(ts_ns))
            self._opening_ns = 0
        self._tried = True
        nonce = self._nonces.next(self.clock_ns(ts_ns))
        return gemini_websocket_headers(self._api_key, self._key, str(nonce))

    def opened(self, ts_ns: int) -> None:
        self.begin(ts_ns)
        self._subscribing, self._opening_ns, self._tried = False, 0, False
        self._nonces.taken()
        self._ask_time(ts_ns)
        self._release(ts_ns)

    def tick(self, ts_ns: int) -> None:
        if self.up and self.time_due(ts_ns):
            self._ask_time(ts_ns)
        self._signed_ns = self._signed_ns or ts_ns  # not at once: the connection is about to be opened
        if self._beat_ns and ts_ns - self._signed_ns >= self._beat_ns and not self._waiting and not self._out:
            self._queue(Pending(HEARTBEAT, ts_ns), entry.HEARTBEAT_PATH, {}, ts_ns)
        self._release(ts_ns)
        self.watch(ts_ns)

    def _ask_time(self, ts_ns: int) -> None:
        self.time_due(ts_ns)
        self._frame(Pending(ASK_TIME, ts_ns), entry.TIME, {})

    def _prepare(self, ts_ns: int) -> None:
        """The clock is known: ask for the private streams, or be ready again."""
        if self.up and self.away_ns is not None and not self.ready:
            if self.heard_by:
                self.ready = True
            elif not self._subscribing:
                self._subscribing = True
                self._frame(Pending(SUBSCRIBE, ts_ns), entry.SUBSCRIBE, entry.STREAMS)

    # --- sending --------------------------------------------------------------------------------------------------
    def _frame(self, pending: Pending, method: str, params: object) -> None:
        self.sends.append(entry.request(self.keep(pending, "w"), method, params))

    def _queue(self, pending: Pending, path: str, fields: dict[str, object], ts_ns: int, first: bool = False) -> bool:
        """Let a signed request leave when its turn comes.  first: before those that wait."""
        if len(self._waiting) >= REST_WAITING_MAX:
            return False
        waiting = _Waiting(pending, path, fields)
        self._waiting.appendleft(waiting) if first else self._waiting.append(waiting)
        self._release(ts_ns)
        return True

    def _release(self, ts_ns: int) -> None:
        """Sign and send what waits, if nothing is out."""
        if self._out and ts_ns - self._out_ns >= ANSWER_NS_MAX:
            self._out = ""  # no answer will come
        if self._opening_ns and ts_ns - self._opening_ns >= OPENING_NS_MAX:
            self._opening_ns = 0
        while (
            self._waiting
            and self._waiting[0].pending.number
            and (ts_ns - self._waiting[0].pending.sent_ns >= ANSWER_NS_MAX)
        ):
            self._waiting.popleft()  # a question whose owner has given it up
            self.tally("stale")
        if self._out or self._opening_ns or not self._waiting or ts_ns < self.retry_ns:
            return
        one = self._waiting.popleft()
        self._out, self._out_ns, self._signed_ns = self.keep(one.pending, "h"), ts_ns, ts_ns
        nonce = self._nonces.next(self.clock_ns(ts_ns))
        headers = gemini_headers(self._api_key, self._key, entry.payload(one.path, nonce, one.fields))
        self.calls.append(Call(self._out, "POST", one.path, headers | {"User-Agent": "pinnacle"}))

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        if not self.ready:
            self.refuse(ORDER_REJECTED, order, "busy")
            return 0
        self._frame(Pending(PLACE_COST, ts_ns, order), entry.PLACE, entry.place_params(order))
        return self.clock_ns(ts_ns) + self.capabilities.order_life_ns

    def cancel(self, order: Order, ts_ns: int) -> None:
        """By the venue's number; where that is not known it is looked for by our id first."""
        pending = Pending(CANCEL_COST, ts_ns, order)
        if order.venue_id and self.up:
            self._frame(pending, entry.CANCEL, entry.cancel_params(order.venue_id))
            return
        pending.seeking = not order.venue_id
        if pending.seeking:
            sent = self._queue(pending, entry.STATUS_PATH, entry.status_fields(order.client_id), ts_ns, True)
        else:
            sent = self._queue(pending, entry.CANCEL_PATH, {"order_id": order.venue_id}, ts_ns, True)
        if not sent:
            self.refuse(CANCEL_REJECTED, order, "busy")

    def replace(self, order: Order, ts_ns: int) -> None:
        self.refuse(REPLACE_REJECTED, order, "amend")

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        """The account's, or (there is none of one instrument) this key's."""
        pending = Pending(CANCEL_ALL_COST, ts_ns)
        if self.up:
            self._frame(pending, entry.CANCEL_ACCOUNT if followed is None else entry.CANCEL_SESSION, {})
        else:
            path = entry.CANCEL_ACCOUNT_PATH if followed is None else entry.CANCEL_SESSION_PATH
            self._queue(pending, path, {}, ts_ns, True)

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        """The switch itself is a setting of the key; this says how often it hears from us, 0 for not by itself."""
        assert 0 <= timeout_ns <= entry.DEAD_MAN_NS
        self._beat_ns = timeout_ns // 2
        self.said.append(Note(SWITCH_SET, "as far as the key has one; the connection's end cancels in any case"))

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        return self._ask(
            Pending(ASK_ORDER, ts_ns, order), entry.STATUS_PATH, entry.status_fields(order.client_id), ts_ns
        )

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        return self._ask(Pending(ASK_OPEN, ts_ns, None, followed), entry.OPEN_PATH, {}, ts_ns)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        if order is not None:
            if not order.venue_id:
                return 0
            pending = Pending(ASK_FILLS, ts_ns, order, followed)
            return self._ask(pending, entry.STATUS_PATH, entry.order_fills_fields(order.venue_id), ts_ns)
        fields = entry.fills_fields(followed.instrument.symbol, self._fill_ms.get(first_trade_id, 0))
        pending = Pending(ASK_FILLS, ts_ns, None, followed, first_id=first_trade_id)
        return self._ask(pending, entry.FILLS_PATH, fields, ts_ns)

    def ask_balances(self, ts_ns: int) -> int:
        return self._ask(Pending(ASK_BALANCES, ts_ns), entry.BALANCES_PATH, {}, ts_ns)

    def _ask(self, pending: Pending, path: str, fields: dict[str, object], ts_ns: int) -> int:
        return self.question(pending).number if self._queue(pending, path, fields, ts_ns) else 0

    # --- what comes by the connection -----------------------------------------------------------------------------
    def received(self, data: bytes, ts_ns: int) -> None:
        self.heard(ts_ns)
        try:
            head = msgspec.json.decode(data, type=_Head)
            if head.id is not None or head.status:
                self._replied(head, ts_ns)
                return
            said = self._private.read(data)
            for one in said:
                if isinstance(one, (Step, Balance)):
                    self.told(one.ts_venue_ns)
            self.said += said or ([] if head.X or head.B else [Note("unknown_event", head.e[:40] or repr(data[:60]))])
            self.tally("event")
        except UNREADABLE as error:
            raise self.spent(error, data) from None

    def _replied(self, head: _Head, ts_ns: int) -> None:
        """A reply: no proof of an order, which only its event is; but a refusal is one."""
        pending = self.take(str(head.id))
        if pending is None:
            if head.error is not None:
                self.said.append(Note("refused", f"{head.error.code} {head.error.msg}"[:200]))
            return
        good = head.status == 200 and head.error is None
        error = head.error or _Error(0, f"status {head.status}")
        words = f"{error.code} {error.msg}"
        if pending.what == ASK_TIME:
            if good:
                self.hear_time(msgspec.json.decode(head.result, type=_Time).serverTime * MS, pending.sent_ns, ts_ns)
                self._prepare(ts_ns)
        elif pending.what == SUBSCRIBE:
            if good:
                self.heard_by = True
                self._prepare(ts_ns)
            else:
                cause = refusal_of(error.code, error.msg, False)
                self.said.append(Note("permission" if cause == "permission" else "subscription", words[:200]))
                self.give_up(f"gemini: no private stream: {words[:120]}")
        elif not good:
            unknown = head.status >= 500 or head.error is None
            cause = "outcome_unknown" if unknown else refusal_of(error.code, error.msg, pending.what == CANCEL_COST)
            if cause == "unknown_order" and pending.what == PLACE_COST:
                cause = "malformed"
            self.refused(pending, cause, words, ts_ns)

    # --- what is answered by REST ---------------------------------------------------------------------------------
    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        if tag == self._out:
            self._out = ""
        pending = self.take(tag)
        try:
            if pending is not None:
                self._answer(pending, status, body, ts_ns)
        except UNREADABLE as error:
            assert pending is not None
            self.unknown(pending)
            raise self.unreadable(error, body) from None
        finally:
            self._release(ts_ns)

    def _answer(self, pending: Pending, status: int, body: bytes, ts_ns: int) -> None:
        cause, what, number = self._private.failure(status, body), pending.what, pending.number
        if cause == "clock":
            self._nonces.refused(self.clock_ns(ts_ns))
        elif not cause:
            self._nonces.taken()
        if cause:
            if what == HEARTBEAT and cause != "permission":
                self.said.append(Note("heartbeat", f"status {status}: {_words(body)}"))
            else:
                self.refused(pending, cause, f"status {status}: {_words(body)}", ts_ns)
        elif what in (HEARTBEAT, CANCEL_ALL_COST):
            self.tally(what)
        elif what == CANCEL_COST:
            self._cancelled(pending, body, ts_ns)
        elif what == ASK_BALANCES:
            self.said.append(Answer(number, what, balances=tuple(self._private.balances(body))))
        elif what == ASK_FILLS:
            self._fills(pending, body)
        elif what == ASK_ORDER:
            assert pending.order is not None
            found = self._one_of(body, pending.order)
            if found is None:
                self.refused(pending, "unknown_order", "it is in no list", ts_ns)
            else:
                self.said.append(Answer(number, what, standings=(found,)))
        else:
            standings = self._private.standings(body)
            shown = tuple(one for one in standings if one.followed is pending.followed)
            self.said.append(Answer(number, what, standings=shown))

    def _one_of(self, body: bytes, order: Order) -> Standing | None:
        """The order that is meant: client ids are not unique for ever, so the last one that has it."""
        found = [one for one in self._private.standings(body) if one.client_id == order.client_id]
        named = [one for one in found if one.venue_id == order.venue_id]
        return max(named or found, key=lambda one: one.venue_id, default=None)

    def _cancelled(self, pending: Pending, body: bytes, ts_ns: int) -> None:
        """An order was found that is to be cancelled, or was cancelled; its event says what became of it."""
        order = pending.order
        assert order is not None
        if not pending.seeking:
            one = next(iter(self._private.standings(body)), None)
            if one is None or not one.end:
                self.refused(pending, "outcome_unknown", "the answer shows no end", ts_ns)
            elif one.end == ORDER_FILLED:
                self.refused(pending, "unknown_order", "it was filled before", ts_ns)
            else:
                left, done = one.qty_lots - one.done_lots, one.done_lots
                step = step_about(one.end, order, one.cause)
                self.said.append(replace(step, qty_lots=left, done_lots=done, ts_venue_ns=one.ts_venue_ns))
            return
        found = self._one_of(body, order)
        if found is None or found.end:
            self.refused(pending, "unknown_order", "it is over, or was not there", ts_ns)
            return
        pending.seeking = False
        if self.up:
            self._frame(pending, entry.CANCEL, entry.cancel_params(found.venue_id))
        elif not self._queue(pending, entry.CANCEL_PATH, {"order_id": found.venue_id}, ts_ns, True):
            self.refuse(CANCEL_REJECTED, order, "busy")

    def _fills(self, pending: Pending, body: bytes) -> None:
        followed = pending.followed
        assert followed is not None
        steps, notes = self._private.fills(body, followed)
        self.said += notes
        if pending.order is None:
            if steps:
                if len(self._fill_ms) > 64:
                    self._fill_ms.clear()
                self._fill_ms[steps[-1].trade_id] = steps[-1].ts_venue_ns // MS
            if pending.first_id and len(steps) >= entry.FILLS_MAX and steps[0].trade_id > pending.first_id:
                text = f"{followed.instrument.symbol}: the venue shows fills from {steps[0].trade_id} on"
                self.said.append(Note("fills_cut", f"{text}, not from {pending.first_id}"))
        self.paged(pending, steps, False)
        self.shown_fills(pending)


def gateway(
    followed: Sequence[Followed],
    ids: ClientIds,
    api_key: str,
    key: bytes,
    passphrase: bytes = b"",
    nonces: LastNonce | None = None,
) -> GeminiGateway:
    """The gateway of one account; the venue has no passphrases."""
    return GeminiGateway(followed, ids, api_key, key, nonces=nonces)


def _words(body: bytes) -> str:
    """The beginning of what the venue said."""
    return body[:160].decode("utf-8", "replace")

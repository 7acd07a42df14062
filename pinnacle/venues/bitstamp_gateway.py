"""Bitstamp's private side: orders and questions by REST, what happens to them on the websocket's private channels.

Orders may be sent while the private channels are open, because only they tell of fills at once; cancels and questions
always.  A signed request is good for 150 seconds, so an order without an answer can be proven absent only after that,
by the venue's own clock: its ticker tells the time, which is asked for every few seconds.  There is no dead man's
switch and nothing is cancelled when a connection ends: that is a watchdog's task.  Nor does the venue keep an account
from trading with itself, which it would print as one trade: an order that might is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw, Struct

from pinnacle.event import (
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
)
from pinnacle.limits import BITSTAMP_FILL_PAGES_MAX
from pinnacle.venues import bitstamp_entry as entry
from pinnacle.venues.bitstamp_entry import Form
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
    Answer,
    Call,
    Order,
    Standing,
)
from pinnacle.venues.nonce import LastNonce, Nonces
from pinnacle.venues.own_orders import OwnOrders
from pinnacle.venues.private import bitstamp as private
from pinnacle.venues.private import bitstamp_answers as answers
from pinnacle.venues.private.kraken import UNREADABLE
from pinnacle.venues.private.said import Balance, Note, Said, Step
from pinnacle.venues.signing import bitstamp_headers

ADDRESS = Address("wss://ws.bitstamp.net", "https://www.bitstamp.net")
MS = 1_000_000
SECOND_NS = 1_000_000_000
TIME_EVERY_NS = 5 * SECOND_NS
# An answer that took longer says too little of the venue's clock.
TIME_ROUND_NS_MAX = 3 * SECOND_NS
HEARTBEAT_EVERY_NS = 5 * SECOND_NS
# A request that failed on the way to being ready is made again after so long.
AGAIN_NS = 2 * SECOND_NS
READY_NS_MAX = 20 * SECOND_NS
# How long nothing is asked after the venue said that it is too much: its longer window is ten minutes.
RATE_WAIT_NS = 10 * SECOND_NS
PENDING_NS_MAX = 60 * SECOND_NS
TIME, TOKEN = "time", "token"
ASKS = (ASK_ORDER, ASK_OPEN, ASK_FILLS, ASK_BALANCES)
_HEARTBEAT = b'{"event":"bts:heartbeat"}'


class _Ticker(Struct):
    timestamp: Raw


class _Wrong(Struct):
    """The data of bts:error."""

    code: Raw = Raw(b"null")
    message: str = ""


@dataclass(slots=True)
class _Pending:
    """A request whose answer is awaited."""

    what: str
    sent_ns: int
    order: Order | None = None
    followed: Followed | None = None
    number: int = 0
    first_trade_id: int = 0
    page: int = 0
    venue_ns: int = 0  # the latest venue's time that was known when it was asked
    fills: list[Step] = field(default_factory=list)


class BitstampGateway:
    """See venues/gateway.py.  followed: the instruments traded; api_key, key: as credentials.signer gives them.
    nonces: see nonce.py."""

    silence_ns = 15_000_000_000
    url = ""

    def __init__(
        self,
        followed: Sequence[Followed],
        ids: ClientIds,
        api_key: str,
        key: bytes,
        nonces: LastNonce | None = None,
    ) -> None:
        self.capabilities = entry.CAPABILITIES
        self.followed = {one.instrument.symbol: one for one in followed}
        self.sends: list[bytes] = []
        self.calls: list[Call] = []
        self.restart = ""
        self.said: list[Said | Answer] = []
        self.counts: dict[str, int] = {}
        self.ready = False
        self.retry_ns = self.venue_ns = 0
        self._api_key, self._key = api_key, key
        self._nonces = Nonces(1_000, nonces)
        self._reader = private.Reader(self.followed, ids.order_id)
        self._own = OwnOrders(entry.WINDOW_NS)
        self._pending: dict[str, _Pending] = {}
        self._count = 0
        self._up = False
        self._away_ns: int | None = None  # the venue's clock less ours
        self._missing: set[str] = set()  # channels that are not open yet
        self._joined = False
        self._opened_ns = self._heard_ns = self._beat_ns = self._time_ns = self._token_ns = 0

    # --- the connection -------------------------------------------------------------------------------------------
    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        return {}

    def opened(self, ts_ns: int) -> None:
        self._up, self.ready, self.restart, self._joined = True, False, "", False
        self._opened_ns = self._heard_ns = self._beat_ns = ts_ns
        self._reader.restarted()
        self.sends.clear()
        if self._away_ns is None:
            self._ask_time(ts_ns)
        else:
            self._ask_token(ts_ns)

    def closed(self, ts_ns: int) -> None:
        self._up = self.ready = False
        self.sends.clear()

    def tick(self, ts_ns: int) -> None:
        if len(self._pending) > 64:
            self._pending = {tag: p for tag, p in self._pending.items() if ts_ns - p.sent_ns < PENDING_NS_MAX}
        every_ns = TIME_EVERY_NS if self._away_ns is not None else AGAIN_NS
        if ts_ns - self._time_ns >= every_ns:
            self._ask_time(ts_ns)
        if not self._up:
            return
        if ts_ns - self._heard_ns > self.silence_ns:
            self._give_up(f"bitstamp: silent for {(ts_ns - self._heard_ns) / 1e9:.1f} s")
        elif not self.ready and self._joined and ts_ns - self._opened_ns > READY_NS_MAX:
            self._give_up("bitstamp: no private channels came of the connection")
        elif ts_ns - self._beat_ns >= HEARTBEAT_EVERY_NS:
            self._beat_ns = ts_ns
            self.sends.append(_HEARTBEAT)
        if not self._joined and self._away_ns is not None and ts_ns - self._token_ns >= AGAIN_NS:
            self._ask_token(ts_ns)

    def _give_up(self, why: str) -> None:
        self.ready = False
        self.restart = self.restart or why

    def _ask_time(self, ts_ns: int) -> None:
        self._time_ns = ts_ns
        tag = self._tag(_Pending(TIME, ts_ns))
        self.calls.append(Call(tag, "GET", f"/api/v2/ticker/{next(iter(self.followed))}/", {}))

    def _ask_token(self, ts_ns: int) -> None:
        if ts_ns < self.retry_ns:
            return
        self._token_ns = ts_ns
        self._post(_Pending(TOKEN, ts_ns), "/api/v2/websockets_token/", {}, ts_ns)

    # --- sending --------------------------------------------------------------------------------------------------
    def _tag(self, pending: _Pending) -> str:
        self._count += 1
        tag = f"h{self._count}"
        self._pending[tag] = pending
        return tag

    def _post(self, pending: _Pending, path: str, form: Form, ts_ns: int) -> int:
        """Sign and send; returns the venue's time after which it is not taken any more."""
        stamp_ms = (ts_ns + (self._away_ns or 0)) // MS
        nonce, body = entry.nonce_text(self._nonces.next(ts_ns)), entry.encoded(form)
        headers = bitstamp_headers(self._api_key, self._key, nonce, stamp_ms, "POST", path, body)
        self.calls.append(Call(self._tag(pending), "POST", path, headers, body))
        return stamp_ms * MS + entry.WINDOW_NS

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        if not self.ready:
            self.said.append(_step(ORDER_REJECTED, order, "busy"))
            return 0
        if self._own.meets(order):
            self.said.append(_step(ORDER_REJECTED, order, "self_trade"))
            return 0
        self._reader.placed(order)
        pending = _Pending(PLACE_COST, ts_ns, order)
        expires_ns = self._post(pending, entry.place_path(order), entry.place_form(order), ts_ns)
        self._own.sent(order, expires_ns)
        return expires_ns

    def cancel(self, order: Order, ts_ns: int) -> None:
        self._post(_Pending(CANCEL_COST, ts_ns, order), "/api/v2/cancel_order/", entry.order_form(order), ts_ns)

    def replace(self, order: Order, ts_ns: int) -> None:
        raise AssertionError("the venue's replacement is a cancel and a new order, in two steps")

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        market = f"{followed.instrument.symbol}/" if followed is not None else ""
        self._post(_Pending(CANCEL_ALL_COST, ts_ns), f"/api/v2/cancel_all_orders/{market}", {}, ts_ns)

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        raise AssertionError("the venue has no dead-man's switch")

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        self._own.asked(order, self.venue_ns)
        return self._ask(
            _Pending(ASK_ORDER, ts_ns, order, venue_ns=self.venue_ns), "order_status/", entry.order_form(order), ts_ns
        )

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        path = f"open_orders/{followed.instrument.symbol}/"
        return self._ask(_Pending(ASK_OPEN, ts_ns, None, followed), path, {}, ts_ns)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        if order is not None and not order.venue_id:
            return 0
        return self._ask_page(_Pending(ASK_FILLS, ts_ns, order, followed, first_trade_id=first_trade_id), ts_ns)

    def ask_balances(self, ts_ns: int) -> int:
        return self._ask(_Pending(ASK_BALANCES, ts_ns), "account_balances/", {}, ts_ns)

    def _ask_page(self, pending: _Pending, ts_ns: int) -> int:
        assert pending.followed is not None
        path = f"user_transactions/{pending.followed.instrument.symbol}/"
        return self._ask(pending, path, entry.fills_form(pending.page), ts_ns)

    def _ask(self, pending: _Pending, path: str, form: Form, ts_ns: int) -> int:
        if not pending.number:
            self._count += 1
            pending.number = self._count
        self._post(pending, f"/api/v2/{path}", form, ts_ns)
        return pending.number

    # --- what comes on the websocket ------------------------------------------------------------------------------
    def received(self, data: bytes, ts_ns: int) -> None:
        self._heard_ns = ts_ns
        try:
            message = msgspec.json.decode(data, type=private.Message)
            if message.event.startswith("bts:"):
                self._control(message)
                return
            said = self._reader.read(message)
        except Malformed as error:
            self._give_up(str(error))
            raise
        except UNREADABLE as error:
            self._give_up("bitstamp: a message that is none")
            raise Malformed(f"bitstamp: {str(error)[:120]} in {data[:80]!r}") from None
        for one in said:
            if isinstance(one, (Step, Balance)):
                self.venue_ns = max(self.venue_ns, one.ts_venue_ns)
            if isinstance(one, Step):
                self._mind(one)
        self.said += said
        self._tally("event")

    def _control(self, message: private.Message) -> None:
        self._tally(message.event[:40])
        if message.event == "bts:subscription_succeeded":
            self._missing.discard(message.channel)
            self.ready = self._joined and not self._missing
        elif message.event == "bts:request_reconnect":
            self._give_up("bitstamp: the venue asks for another connection")
        elif message.event == "bts:error":
            wrong = msgspec.json.decode(message.data, type=_Wrong)
            self.said.append(Note("refused", f"websocket: {wrong.message[:160]}"))
            self._give_up(f"bitstamp: {wrong.message[:80]}")
        elif message.event != "bts:heartbeat":
            self.said.append(Note("unknown_event", message.event[:40]))

    # --- what comes by REST ---------------------------------------------------------------------------------------
    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        pending = self._pending.pop(tag, None)
        if pending is None:
            self._tally("late")
            return
        self._tally("answer")
        cause, words = answers.refusal(status, body)
        try:
            if cause:
                self._refused(pending, cause, words, ts_ns)
            else:
                self._done(pending, body, ts_ns)
        except UNREADABLE as error:
            if pending.what in ASKS:
                self.said.append(Answer(pending.number, pending.what, "outcome_unknown"))
            elif pending.order is not None:
                self.said.append(_step(ORDER_UNKNOWN, pending.order, "outcome_unknown"))
            raise Malformed(f"bitstamp: {str(error)[:120]} in {body[:80]!r}") from None

    def _refused(self, pending: _Pending, cause: str, words: str, ts_ns: int) -> None:
        what = pending.what
        if cause == "rate_limit":
            self.retry_ns = max(self.retry_ns, ts_ns + RATE_WAIT_NS)
        elif cause == "clock" and "API0017" in words:
            self._away_ns, self.ready, self._joined = None, False, False
            self._ask_time(ts_ns)
        if what in ASKS:
            if cause == "unknown_order" and pending.order is not None:
                self._own.absent(pending.order.order_id, pending.venue_ns)
            self.said.append(Answer(pending.number, what, cause))
        elif pending.order is not None:
            step = _step(answers.kind_of(what, cause), pending.order, cause)
            self._mind(step)
            self.said.append(step)
        elif cause == "permission":
            self.said.append(Note("permission", f"{what}: {words[:160]}"))
        self.said.append(Note("refused", f"{what}: {words[:160]}"))

    def _done(self, pending: _Pending, body: bytes, ts_ns: int) -> None:
        what, order = pending.what, pending.order
        if what == TIME:
            seconds = private.whole(msgspec.json.decode(body, type=_Ticker).timestamp)
            self._hear_time(seconds * SECOND_NS, pending.sent_ns, ts_ns)
        elif what == TOKEN:
            self._join(msgspec.json.decode(body, type=private.Token))
        elif what == PLACE_COST:
            assert order is not None
            self._tell(self._reader.acknowledged(body, order))
        elif what == CANCEL_COST:
            assert order is not None
            step = self._reader.cancelled(body, order)
            # Done, but how much of it was filled before is not said.
            self._tell(step or _step(ORDER_UNKNOWN, order, "outcome_unknown"))
        elif what == CANCEL_ALL_COST:
            self.said.append(Note("accepted", "cancel all: the channels say what becomes of each order"))
        else:
            self._shown(pending, body, ts_ns)

    def _tell(self, step: Step) -> None:
        self.venue_ns = max(self.venue_ns, step.ts_venue_ns)
        self._mind(step)
        self.said.append(step)

    def _mind(self, step: Step) -> None:
        """What has ended trades no more."""
        whole = step.kind == ORDER_ACKNOWLEDGED and not step.qty_lots
        if whole or step.kind in (ORDER_CANCELLED, ORDER_EXPIRED, ORDER_REJECTED):
            self._own.ended(step.order_id)

    def _hear_time(self, server_ns: int, sent_ns: int, ts_ns: int) -> None:
        """The venue tells whole seconds: on average it is half of one later."""
        self.venue_ns = max(self.venue_ns, server_ns)
        if ts_ns - sent_ns > TIME_ROUND_NS_MAX:
            return
        self._away_ns = server_ns + SECOND_NS // 2 - (sent_ns + ts_ns) // 2
        if self._up and not self._joined and ts_ns - self._token_ns >= AGAIN_NS:
            self._ask_token(ts_ns)

    def _join(self, token: private.Token) -> None:
        """Open the private channels of every market; the token is good for a minute."""
        if not self._up or self._joined:
            return
        names = entry.channels(self.followed, private.text(token.user_id))
        self._joined, self._missing = True, set(names)
        for name in names:
            data = {"channel": name, "auth": token.token}
            self.sends.append(msgspec.json.encode({"event": "bts:subscribe", "data": data}))

    # --- what questions show --------------------------------------------------------------------------------------
    def _shown(self, pending: _Pending, body: bytes, ts_ns: int) -> None:
        number, what = pending.number, pending.what
        if what == ASK_FILLS:
            self._fills(pending, body, ts_ns)
        elif what == ASK_BALANCES:
            self.said.append(Answer(number, what, balances=self._reader.balances(body)))
        else:
            rows = (
                [msgspec.json.decode(body, type=private.Placed)]
                if what == ASK_ORDER
                else msgspec.json.decode(body, type=list[private.Placed])
            )
            found = [self._reader.standing(row, pending.order) for row in rows]
            self.said += [note for note in found if isinstance(note, Note)]
            shown = tuple(one for one in found if isinstance(one, Standing))
            for one in shown:
                self._own.shown(one)
            if what == ASK_OPEN:
                shown = tuple(one for one in shown if one.followed is pending.followed)
            self.said.append(Answer(number, what, standings=shown))

    def _fills(self, pending: _Pending, body: bytes, ts_ns: int) -> None:
        """A page of transactions, newest first; and the next one, if the first fill wanted is not there yet."""
        assert pending.followed is not None
        rows = msgspec.json.decode(body, type=list[dict[str, Raw]])
        ids = [private.whole(row["id"]) for row in rows]
        for row in rows:
            for one in self._reader.transaction(row, pending.followed, pending.order):
                if isinstance(one, Step):
                    pending.fills.append(one)
                else:
                    self.said.append(one)
        pending.page += 1
        first = pending.first_trade_id
        whole = len(rows) < entry.TRANSACTIONS_PAGE or (pending.order is None and (not first or min(ids) <= first))
        if not whole and pending.page < BITSTAMP_FILL_PAGES_MAX:
            pending.sent_ns = ts_ns
            self._ask_page(pending, ts_ns)
            return
        if not whole:
            self.said.append(Note("fills_beyond", f"more than {len(pending.fills)} fills since the last one known"))
        fills = sorted({one.trade_id: one for one in pending.fills if one.trade_id >= first}.values(), key=_by_id)
        self.said.append(Answer(pending.number, ASK_FILLS, fills=tuple(fills)))

    def _tally(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def gateway(
    followed: Sequence[Followed],
    ids: ClientIds,
    api_key: str,
    key: bytes,
    passphrase: bytes = b"",
    nonces: LastNonce | None = None,
) -> BitstampGateway:
    """The gateway of one account; the venue has no passphrases."""
    return BitstampGateway(followed, ids, api_key, key, nonces=nonces)


def _by_id(step: Step) -> int:
    return step.trade_id


def _step(kind: int, order: Order, cause: str) -> Step:
    """What became of a command about an order, where the answer itself does not show the order."""
    return Step(
        kind, order.followed, order.order_id, order.client_id, order.venue_id, order.side, order.price_ticks,
        order.qty_lots, 0, cause=cause,
    )  # fmt: skip

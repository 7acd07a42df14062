"""Coinbase Advanced Trade's private side: orders and questions by REST, and the user channel of its websocket.

The channel numbers all that it says, so a lost message is noticed, and another connection tells how every open order
stands.  It says how much of an order is filled, never by which trades: an increase is a fill without an id, after which
the owner asks for the fills.  The venue cancels by its own text only and cannot be asked by a client's id, so where the
text is not known it is first looked for among the orders of that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

import msgspec

from pinnacle.event import (
    CANCEL_REJECTED,
    FOK,
    IOC,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_REPLACED,
    REPLACE_REJECTED,
)
from pinnacle.limits import INT64_MAX
from pinnacle.venues import coinbase_advanced_entry as entry
from pinnacle.venues.account_connection import (
    ASK_TIME,
    UNREADABLE,
    AccountConnection,
    Pending,
    step_about,
)
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.coinbase_orders import order_id_of as number_of_text
from pinnacle.venues.feed import Address, Followed
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_COST,
    PLACE_COST,
    REPLACE_COST,
    Answer,
    Call,
    Order,
    Standing,
)
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.private.coinbase_advanced import Named, PrivateSide
from pinnacle.venues.private.names import Names
from pinnacle.venues.private.said import Note, Said, Step
from pinnacle.venues.signing import JWT_VALID_S, PrivateKey, coinbase_jwt, coinbase_jwt_headers

ADDRESS = Address("wss://advanced-trade-ws-user.coinbase.com", "https://api.coinbase.com")
MS, SECOND = 1_000_000, 1_000_000_000
# Pages of orders among which one is looked for by its client id.
SEEK_PAGES_MAX = 10


class _Heartbeat(msgspec.Struct):
    current_time: str = ""


class _Subscriptions(msgspec.Struct):
    subscriptions: dict[str, list[str]] = {}


class _Head(msgspec.Struct):
    channel: str = ""
    sequence_num: Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)] = -1
    timestamp: str = ""
    events: msgspec.Raw = msgspec.Raw(b"[]")
    type: str = ""
    message: str = ""


class _Time(msgspec.Struct):
    epochMillis: str | int


class CoinbaseAdvancedGateway(AccountConnection):
    """See venues/gateway.py.  followed: the instruments traded; key_name, key: as credentials.signer gives them."""

    def __init__(self, followed: Sequence[Followed], ids: ClientIds, key_name: str, key: PrivateKey) -> None:
        super().__init__("coinbase-advanced", entry.CAPABILITIES, followed, ids, "", 5 * SECOND)
        self._key_name, self._key = key_name, key
        self._private = PrivateSide(self.followed, ids.order_id)
        self._names = Names()
        self._subscribing = False
        self._sequence: int | None = None
        self._tokens = 0

    # --- the connection -------------------------------------------------------------------------------------------
    def opened(self, ts_ns: int) -> None:
        self.begin(ts_ns)
        self._subscribing, self._sequence = False, None
        # The venue wants to hear within five seconds what is wanted; this needs no token.
        self.sends.append(entry.subscription("heartbeats", [], ""))
        self._ask_time(ts_ns)

    def tick(self, ts_ns: int) -> None:
        if self.time_due(ts_ns):
            self._ask_time(ts_ns)
        self.watch(ts_ns)

    def _ask_time(self, ts_ns: int) -> None:
        self.time_due(ts_ns)
        tag = self.keep(Pending(ASK_TIME, ts_ns), "h")
        self.calls.append(Call(tag, "GET", entry.TIME_PATH, {"User-Agent": "pinnacle"}))

    def _nonce(self, ts_ns: int) -> str:
        """A text never used before: our time and a count."""
        self._tokens += 1
        return f"{ts_ns:016x}{self._tokens:016x}"

    def _prepare(self, ts_ns: int) -> None:
        """The clock is known: ask for the private channel, or be ready again."""
        if self.up and self.away_ns is not None and not self.ready:
            if self.heard_by:
                self.ready = True
            elif not self._subscribing:
                self._subscribing = True
                token = coinbase_jwt(self._key, self._key_name, self.clock_ns(ts_ns) // SECOND, self._nonce(ts_ns))
                self.sends.append(entry.subscription("user", list(self.followed), token))

    # --- sending --------------------------------------------------------------------------------------------------
    def _send(self, pending: Pending, method: str, path: str, ts_ns: int, body: bytes = b"", back_s: int = 0) -> bool:
        """back_s: by how much the token is dated back, which makes it end sooner."""
        if self.away_ns is None:
            return False
        headers = coinbase_jwt_headers(
            self._key, self._key_name, self.clock_ns(ts_ns) // SECOND - back_s, self._nonce(ts_ns), method, path
        )
        headers |= {"User-Agent": "pinnacle", "Content-Type": "application/json"}
        self.calls.append(Call(self.keep(pending, "h"), method, path, headers, body))
        return True

    def _named(self, pending: Pending, ts_ns: int) -> bool:
        """Send what needs the venue's text of an order, or look for that first."""
        order = pending.order
        assert order is not None
        text, symbol = self._names.text(order), order.followed.instrument.symbol
        if not text:
            pending.seeking = True
            return self._send(pending, "GET", self._seek_path(pending, ""), ts_ns)
        pending.seeking = False
        if pending.what == CANCEL_COST:
            return self._send(pending, "POST", entry.CANCEL_PATH, ts_ns, entry.cancel_body(text))
        if pending.what == REPLACE_COST:
            return self._send(pending, "POST", entry.EDIT_PATH, ts_ns, entry.edit_body(order, text))
        if pending.what == ASK_FILLS:
            return self._send(pending, "GET", entry.fills_path(symbol, text, 0, ""), ts_ns)
        return self._send(pending, "GET", entry.order_path(text), ts_ns)

    def _seek_path(self, pending: Pending, cursor: str) -> str:
        assert pending.order is not None
        known = self._names.of_client(pending.order.client_id)
        sent_ns = known.sent_venue_ns if known is not None else 0
        return entry.recent_path(pending.order.followed.instrument.symbol, sent_ns, quote(cursor, safe=""))

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        back_s = JWT_VALID_S - entry.PLACE_LIFE_S
        pending = Pending(PLACE_COST, ts_ns, order)
        if not self.ready or not self._send(pending, "POST", entry.ORDERS_PATH, ts_ns, entry.place_body(order), back_s):
            self.refuse(ORDER_REJECTED, order, "busy")
            return 0
        venue_ns = self.clock_ns(ts_ns)
        self._names.placed(order, venue_ns)
        return venue_ns + self.capabilities.order_life_ns

    def cancel(self, order: Order, ts_ns: int) -> None:
        if not self._named(Pending(CANCEL_COST, ts_ns, order), ts_ns):
            self.refuse(CANCEL_REJECTED, order, "busy")

    def replace(self, order: Order, ts_ns: int) -> None:
        if not self.ready or not self._named(Pending(REPLACE_COST, ts_ns, order), ts_ns):
            self.refuse(REPLACE_REJECTED, order, "busy")

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        raise AssertionError("the venue cancels orders one by one only")

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        raise AssertionError("the venue has no dead-man's switch")

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        pending = Pending(ASK_ORDER, ts_ns, order, order.followed)
        return self.question(pending).number if self._named(pending, ts_ns) else 0

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        path = entry.open_path(followed.instrument.symbol, "")
        return self._ask(Pending(ASK_OPEN, ts_ns, None, followed), path, ts_ns)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        if order is not None:
            pending = Pending(ASK_FILLS, ts_ns, order, followed)
            return self.question(pending).number if order.venue_id and self._named(pending, ts_ns) else 0
        path = entry.fills_path(followed.instrument.symbol, "", first_trade_id, "")
        return self._ask(Pending(ASK_FILLS, ts_ns, None, followed, first_id=first_trade_id), path, ts_ns)

    def ask_balances(self, ts_ns: int) -> int:
        return self._ask(Pending(ASK_BALANCES, ts_ns), entry.accounts_path(""), ts_ns)

    def _ask(self, pending: Pending, path: str, ts_ns: int) -> int:
        return self.question(pending).number if self._send(pending, "GET", path, ts_ns) else 0

    # --- what comes by the channel --------------------------------------------------------------------------------
    def received(self, data: bytes, ts_ns: int) -> None:
        self.heard(ts_ns)
        try:
            head = msgspec.json.decode(data, type=_Head)
            if head.type == "error":
                self._failed(head.message, ts_ns)
                return
            if self._sequence is not None and head.sequence_num != self._sequence + 1:
                self.tally("gap")
                self.give_up(f"coinbase-advanced: message {head.sequence_num} came after {self._sequence}")
            self._sequence = head.sequence_num
            if head.timestamp:
                self.told(ns_of_iso(head.timestamp))
            if head.channel == "user":
                for named in self._private.read(data):
                    self.said += self._steps(named)
                self.tally("event")
            elif head.channel == "subscriptions":
                events = msgspec.json.decode(head.events, type=list[_Subscriptions])
                if any("user" in one.subscriptions for one in events):
                    self.heard_by = True
                    self._prepare(ts_ns)
                self.tally("acknowledged")
            elif head.channel == "heartbeats":
                msgspec.json.decode(head.events, type=list[_Heartbeat])
                self.tally("heartbeat")
            else:
                self.said.append(Note("unknown_event", f"channel {head.channel[:40]!r}"))
        except UNREADABLE as error:
            raise self.spent(error, data) from None

    def _failed(self, words: str, ts_ns: int) -> None:
        what = "permission" if "authentication" in words.lower() else "subscription"
        self.said.append(Note(what, words[:200]))
        self.give_up(f"coinbase-advanced: no private stream: {words[:120]}")

    def _steps(self, named: Named) -> list[Said]:
        """What an order's state says that was not said before."""
        one, said = named.standing, list[Said]()
        known = self._names.name(named.venue_text, one.client_id)
        if one.order_id is None:
            name = one.followed.instrument.symbol
            said.append(Note("foreign_order", f"{name}: order {named.venue_text} {one.client_id}, somebody else's"))
        grown, known.done_lots = one.done_lots - known.done_lots, max(known.done_lots, one.done_lots)
        if not known.qty_lots:
            known.side, known.qty_lots, known.price_ticks = one.side, one.qty_lots, one.price_ticks
        if one.end != ORDER_FILLED:
            kind, cause = one.end or ORDER_ACKNOWLEDGED, one.cause
            if kind == ORDER_CANCELLED and known.flags & (IOC | FOK):
                kind, cause = ORDER_EXPIRED, "unfilled"
            if kind == ORDER_REJECTED:
                cause = cause or "other"
            said.append(self._step(kind, one, known.price_ticks, one.qty_lots - one.done_lots, cause))
        if grown > 0:
            said.append(self._step(ORDER_FILLED, one, known.price_ticks, grown, ""))
        return said

    @staticmethod
    def _step(kind: int, one: Standing, price_ticks: int, lots: int, cause: str) -> Step:
        return Step(
            kind, one.followed, one.order_id, one.client_id, one.venue_id, one.side, one.price_ticks or price_ticks,
            lots, one.ts_venue_ns, done_lots=one.done_lots, cause=cause,
        )  # fmt: skip

    # --- what is answered -----------------------------------------------------------------------------------------
    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        pending = self.take(tag)
        if pending is None:
            return
        try:
            cause = self._private.failure(status, body)
            if pending.what == ASK_TIME:
                if not cause:
                    server_ns = int(msgspec.json.decode(body, type=_Time).epochMillis) * MS
                    self.hear_time(server_ns, pending.sent_ns, ts_ns)
                    self._prepare(ts_ns)
            elif cause and pending.what != REPLACE_COST:
                if cause == "unknown_order" and (pending.what == PLACE_COST or pending.seeking):
                    cause = "malformed"
                self.refused(pending, cause, f"status {status}: {_words(body)}", ts_ns)
            elif pending.seeking:
                self._sought(pending, body, ts_ns)
            else:
                self._done(pending, status, body, cause, ts_ns)
        except UNREADABLE as error:
            self.unknown(pending)
            raise self.unreadable(error, body) from None

    def _sought(self, pending: Pending, body: bytes, ts_ns: int) -> None:
        """A page of orders, among which may be the one whose text is wanted."""
        order = pending.order
        assert order is not None
        found = None
        for named in self._private.standings(body):
            self._names.name(named.venue_text, named.standing.client_id)
            if named.standing.client_id == order.client_id:
                found = named.standing
        pending.pages += 1
        cursor = self._private.cursor(body)
        if found is not None:
            if pending.what == ASK_ORDER:
                self.said.append(Answer(pending.number, ASK_ORDER, standings=(found,)))
            elif not self._named(pending, ts_ns):
                self.refused(pending, "busy", "the venue's clock is not known", ts_ns)
        elif not cursor:
            self.refused(pending, "unknown_order", "it is in no list", ts_ns)
        elif pending.pages >= SEEK_PAGES_MAX or not self._send(pending, "GET", self._seek_path(pending, cursor), ts_ns):
            self.refused(pending, "outcome_unknown", f"it is not in {pending.pages} pages of orders", ts_ns)

    def _done(self, pending: Pending, status: int, body: bytes, cause: str, ts_ns: int) -> None:
        what, order = pending.what, pending.order
        if what == PLACE_COST:
            assert order is not None
            known = self._names.name(self._private.placed(body), order.client_id)
            self.said.append(self._about(ORDER_ACKNOWLEDGED, order, known.text, known.done_lots))
        elif what == CANCEL_COST:
            assert order is not None
            cause = self._private.cancelled(body)
            if cause:
                self.refused(pending, cause, _words(body), ts_ns)
        elif what == REPLACE_COST:
            assert order is not None
            cause = self._private.edited(body) if status == 200 else cause
            if cause:
                self.refused(pending, cause, _words(body), ts_ns)
            else:
                self.said.append(self._about(ORDER_REPLACED, order, self._names.text(order), order.done_lots))
        else:
            self._shown(pending, body, ts_ns)

    @staticmethod
    def _about(kind: int, order: Order, text: str, done_lots: int) -> Step:
        return replace(step_about(kind, order, ""), venue_id=number_of_text(text), done_lots=done_lots)

    def _shown(self, pending: Pending, body: bytes, ts_ns: int) -> None:
        """A page of what was asked for; the answer is of all pages."""
        what, number = pending.what, pending.number
        symbol = pending.followed.instrument.symbol if pending.followed is not None else ""
        if what == ASK_FILLS:
            steps, notes = self._private.fills(body)
            self.said += notes
            cursor = quote(self._private.cursor(body), safe="")
            text = self._names.text(pending.order) if pending.order is not None else ""
            path = entry.fills_path(symbol, text, pending.first_id, cursor)
            if not self.paged(pending, steps, bool(cursor)) or not self._send(pending, "GET", path, ts_ns):
                self.shown_fills(pending)
            return
        if what == ASK_BALANCES:
            pending.balances += self._private.balances(body)
        else:
            for named in self._private.standings(body):
                self._names.name(named.venue_text, named.standing.client_id)
                pending.standings.append(named.standing)
        cursor = quote(self._private.cursor(body), safe="") if what != ASK_ORDER else ""
        path = entry.accounts_path(cursor) if what == ASK_BALANCES else entry.open_path(symbol, cursor)
        pending.pages += 1
        if cursor and pending.pages < SEEK_PAGES_MAX and self._send(pending, "GET", path, ts_ns):
            return
        if cursor:
            self.said.append(Note("pages_cut", f"{what}: more than {pending.pages} pages"))
        self.said.append(Answer(number, what, standings=tuple(pending.standings), balances=tuple(pending.balances)))


def gateway(
    followed: Sequence[Followed], ids: ClientIds, api_key: str, key: PrivateKey, passphrase: bytes = b""
) -> CoinbaseAdvancedGateway:
    """The gateway of one account; the venue has no passphrases here."""
    return CoinbaseAdvancedGateway(followed, ids, api_key, key)


def _words(body: bytes) -> str:
    """The beginning of what the venue said."""
    return body[:160].decode("utf-8", "replace")

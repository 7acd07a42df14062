"""Coinbase Exchange's private side: orders and questions by REST, and the user channel of the websocket.

The venue's private messages carry no number of their own, so a lost one cannot be seen: the owner's comparisons find
it.  Heartbeats of the products followed are the sign of life of a channel that may rightly be silent.  Requests are
dated by the venue's clock, which is asked each second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from pinnacle.event import CANCEL_REJECTED, ORDER_CANCELLED, ORDER_REJECTED, REPLACE_REJECTED
from pinnacle.limits import FILLS_PAGE
from pinnacle.venues import coinbase_entry as entry
from pinnacle.venues.account_connection import (
    ASK_TIME,
    UNREADABLE,
    AccountConnection,
    Pending,
)
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.coinbase import ADDRESS
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
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.private.coinbase import PrivateSide, cause_of, failure
from pinnacle.venues.private.said import Balance, Note, Step
from pinnacle.venues.signing import coinbase_exchange_headers, coinbase_exchange_subscribe

__all__ = ["ADDRESS", "CoinbaseGateway", "gateway"]
MS = 1_000_000


class _Channel(msgspec.Struct):
    name: str


class _Head(msgspec.Struct):
    """What tells messages apart, and the fields of those that are about no order."""

    type: str
    time: str = ""
    message: str = ""
    reason: str = ""
    channels: list[_Channel] = []


class _Time(msgspec.Struct):
    epoch: Annotated[float, msgspec.Meta(ge=0, lt=9e9)]


class CoinbaseGateway(AccountConnection):
    """See venues/gateway.py.  followed: the instruments traded; key: as credentials.signer gives it."""

    def __init__(self, followed: Sequence[Followed], ids: ClientIds, api_key: str, key: bytes, passphrase: str) -> None:
        super().__init__("coinbase", entry.CAPABILITIES, followed, ids, "", 5_000_000_000)
        self._api_key, self._key, self._passphrase = api_key, key, passphrase
        self._private = PrivateSide(self.followed, ids.order_id)
        self._subscribing = False

    # --- the connection -------------------------------------------------------------------------------------------
    def opened(self, ts_ns: int) -> None:
        self.begin(ts_ns)
        self._subscribing = False
        # The venue wants to hear within five seconds what is wanted; this needs no clock.
        self.sends.append(entry.subscription(list(self.followed), "heartbeat", {}))
        self._ask_time(ts_ns)

    def tick(self, ts_ns: int) -> None:
        if self.time_due(ts_ns):
            self._ask_time(ts_ns)
        self.watch(ts_ns)

    def _ask_time(self, ts_ns: int) -> None:
        self.time_due(ts_ns)
        tag = self.keep(Pending(ASK_TIME, ts_ns), "h")
        self.calls.append(Call(tag, "GET", entry.TIME_PATH, {"User-Agent": "pinnacle"}))

    def _stamp(self, ts_ns: int) -> str:
        """The venue's time as it is signed: seconds with three digits behind the point."""
        ms = self.clock_ns(ts_ns) // MS
        return f"{ms // 1000}.{ms % 1000:03d}"

    def _prepare(self, ts_ns: int) -> None:
        """The clock is known: ask for the private channel, or be ready again."""
        if self.up and self.away_ns is not None and not self.ready:
            if self.heard_by:
                self.ready = True
            elif not self._subscribing:
                self._subscribing = True
                signature = coinbase_exchange_subscribe(self._api_key, self._key, self._passphrase, self._stamp(ts_ns))
                self.sends.append(entry.subscription(list(self.followed), "user", signature))

    # --- sending --------------------------------------------------------------------------------------------------
    def _send(self, pending: Pending, method: str, path: str, ts_ns: int, body: bytes = b"") -> bool:
        if self.away_ns is None:
            return False
        headers = coinbase_exchange_headers(
            self._api_key, self._key, self._passphrase, self._stamp(ts_ns), method, path, body
        )
        headers |= {"User-Agent": "pinnacle", "Content-Type": "application/json"}
        self.calls.append(Call(self.keep(pending, "h"), method, path, headers, body))
        return True

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        pending = Pending(PLACE_COST, ts_ns, order)
        if not self.ready or not self._send(pending, "POST", entry.ORDERS_PATH, ts_ns, entry.place_body(order)):
            self.refuse(ORDER_REJECTED, order, "busy")
            return 0
        venue_ns = self.clock_ns(ts_ns)
        self._private.names.placed(order, venue_ns)
        return venue_ns + self.capabilities.order_life_ns

    def cancel(self, order: Order, ts_ns: int) -> None:
        path = entry.cancel_path(order, self._private.names.text(order))
        if not self._send(Pending(CANCEL_COST, ts_ns, order), "DELETE", path, ts_ns):
            self.refuse(CANCEL_REJECTED, order, "busy")

    def replace(self, order: Order, ts_ns: int) -> None:
        self.refuse(REPLACE_REJECTED, order, "amend")

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        symbol = followed.instrument.symbol if followed is not None else ""
        self._send(Pending(CANCEL_ALL_COST, ts_ns), "DELETE", entry.cancel_all_path(symbol), ts_ns)

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        raise AssertionError("the venue has no dead-man's switch")

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        return self._ask(Pending(ASK_ORDER, ts_ns, order), entry.order_path(order), ts_ns)

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        path = entry.open_path(followed.instrument.symbol)
        return self._ask(Pending(ASK_OPEN, ts_ns, None, followed), path, ts_ns)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        if order is not None and not order.venue_id:
            return 0
        pending = Pending(ASK_FILLS, ts_ns, order, followed, first_id=0 if order else first_trade_id)
        return self._ask(pending, self._fills_path(pending), ts_ns)

    def ask_balances(self, ts_ns: int) -> int:
        return self._ask(Pending(ASK_BALANCES, ts_ns), entry.ACCOUNTS_PATH, ts_ns)

    def _ask(self, pending: Pending, path: str, ts_ns: int) -> int:
        return self.question(pending).number if self._send(pending, "GET", path, ts_ns) else 0

    def _fills_path(self, pending: Pending) -> str:
        """The next page.  An order whose text is not known, of a process before this, is found in its product's."""
        assert pending.followed is not None
        text = self._private.names.text(pending.order) if pending.order is not None else ""
        return entry.fills_path(pending.followed.instrument.symbol, text, min(pending.steps, default=0))

    # --- what comes -----------------------------------------------------------------------------------------------
    def received(self, data: bytes, ts_ns: int) -> None:
        self.heard(ts_ns)
        try:
            head = msgspec.json.decode(data, type=_Head)
            if head.type == "heartbeat":
                self.told(ns_of_iso(head.time))
                self.tally("heartbeat")
            elif head.type == "subscriptions":
                if any(one.name == "user" for one in head.channels):
                    self.heard_by = True
                    self._prepare(ts_ns)
                self.tally("acknowledged")
            elif head.type == "error":
                self._failed(f"{head.message}: {head.reason}", ts_ns)
            else:
                said = self._private.read(data)
                for one in said:
                    if isinstance(one, (Step, Balance)):
                        self.told(one.ts_venue_ns)
                self.said += said
                self.tally("event")
        except UNREADABLE as error:
            raise self.spent(error, data) from None

    def _failed(self, words: str, ts_ns: int) -> None:
        """The venue does not take a subscription."""
        cause = cause_of(words)
        if cause == "clock":
            self.lose_clock(ts_ns)
        self.said.append(Note("permission" if cause == "permission" else "subscription", words[:200]))
        self.give_up(f"coinbase: no private stream: {words[:120]}")

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        pending = self.take(tag)
        if pending is None:
            return
        cause, words = failure(status, body)
        try:
            if pending.what == ASK_TIME:
                if not cause:
                    server_ns = int(msgspec.json.decode(body, type=_Time).epoch * 1000) * MS
                    self.hear_time(server_ns, pending.sent_ns, ts_ns)
                    self._prepare(ts_ns)
            elif cause:
                self._refused(pending, cause, words, ts_ns)
            else:
                self._done(pending, body, ts_ns)
        except UNREADABLE as error:
            self.unknown(pending)
            raise self.unreadable(error, body) from None

    def _refused(self, pending: Pending, cause: str, words: str, ts_ns: int) -> None:
        order = pending.order
        if pending.what == ASK_ORDER and cause == "unknown_order" and order is not None and order.venue_id:
            # The venue forgets what ended without a fill: what it once named, and knows no more, was cancelled.
            standing = Standing(
                order.followed, order.order_id, order.client_id, order.venue_id, order.side, order.price_ticks,
                order.qty_lots, 0, ORDER_CANCELLED,
            )  # fmt: skip
            self.said.append(Answer(pending.number, ASK_ORDER, standings=(standing,)))
            self.said.append(Note("forgotten", f"{order.client_id}: {words}"))
            return
        if cause == "unknown_order" and pending.what == PLACE_COST:
            cause = "malformed"
        self.refused(pending, cause, words, ts_ns)

    def _done(self, pending: Pending, body: bytes, ts_ns: int) -> None:
        what, number = pending.what, pending.number
        if what == PLACE_COST:
            assert pending.order is not None
            self.said += self._private.placed(body, pending.order)
        elif what in (CANCEL_COST, CANCEL_ALL_COST):
            msgspec.json.decode(body, type=str | list[str])
            self.tally("cancelled")  # the channel says what became of the order, and how much was filled
        elif what in (ASK_ORDER, ASK_OPEN):
            standings, notes = self._private.standings(body)
            self.said.append(Answer(number, what, standings=tuple(standings)))
            self.said += notes
        elif what == ASK_BALANCES:
            self.said.append(Answer(number, what, balances=tuple(self._private.balances(body))))
        else:
            steps, notes, count = self._private.fills(body)
            self.said += notes
            more = self.paged(pending, steps, count >= FILLS_PAGE)
            if not more or not self._send(pending, "GET", self._fills_path(pending), ts_ns):
                self.shown_fills(pending)


def gateway(
    followed: Sequence[Followed], ids: ClientIds, api_key: str, key: bytes, passphrase: bytes = b""
) -> CoinbaseGateway:
    """The gateway of one account."""
    return CoinbaseGateway(followed, ids, api_key, key, passphrase.decode())

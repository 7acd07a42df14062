"""Binance's private stream, spot and USD-M: its events as steps of orders, balances and notes.

Spot events come bare or wrapped with a subscriptionId; both years and both forms are read by one struct each, with
every field optional that one of them lacks.  Rules: the venue's public documents of July 2026 (user data stream), and
samples of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.event import (
    BUY,
    FILL_TAKER,
    LAST,
    MAKER,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_REPLACED,
    REASON_SHIFT,
    SELL,
)
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.private.said import Balance, Note, Said, Step, fee_of

Ms = Annotated[int, msgspec.Meta(ge=0, lt=(1 << 63) // 1_000_000)]
Id = Annotated[int, msgspec.Meta(ge=-1, lt=1 << 62)]
SIDES = {"BUY": BUY, "SELL": SELL}
# r of a spot report that refused the order.
REFUSED = {
    "NONE": "",
    "INSUFFICIENT_BALANCES": "funds",
    "WOULD_MATCH_IMMEDIATELY": "would_cross",
    "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY": "other",
    "OCO_BAD_PRICES": "price_filter",
}
# Orders that the venue places by itself on USD-M begin their client ids so: liquidation, deleveraging, settlement.
VENUES_OWN = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")
# What only says again, or says about orders of a kind that we do not place; noted and no more.
ONLY_NOTED = {
    "TRADE_LITE": "a fill that ORDER_TRADE_UPDATE says whole",
    "ALGO_UPDATE": "a conditional order: we place none",
    "CONDITIONAL_ORDER_TRIGGER_REJECT": "a conditional order: we place none",
    "MARGIN_CALL": "the venue asks for margin: add some or reduce the position, before it is liquidated",
    "ACCOUNT_CONFIG_UPDATE": "leverage or margin mode was changed by hand",
    "listStatus": "a list of orders: we place none",
    "externalLockUpdate": "a lock from elsewhere",
    "eventStreamTerminated": "the private stream ended: subscribe anew and reconcile",
    "listenKeyExpired": "the private stream ended: subscribe anew and reconcile",
}


class _Order(msgspec.Struct):
    """executionReport, and the o of ORDER_TRADE_UPDATE; one letter means the same in both but where noted.

    c: client id; C: on spot, of a cancel, the cancelled order's (c is the cancel's then).  x: what happened; X: what
    the order is now.  l, L: last fill; z: filled in all.  n, N: fee and its asset.  eR: why it expired.
    """

    s: str
    c: str
    S: str
    o: str
    f: str
    q: str
    p: str
    x: str
    X: str
    i: Id
    l: str  # noqa: E741
    z: str
    L: str
    T: Ms
    t: Id = -1
    C: str = ""
    r: str = "NONE"
    n: str | None = None
    N: str | None = None
    m: bool = False
    eR: str | int = ""


class _Update(msgspec.Struct):
    o: _Order
    T: Ms = 0


class _Asset(msgspec.Struct):
    """f, l: free and locked, spot.  wb, bc: wallet and what changed it, USD-M."""

    a: str
    f: str = ""
    l: str = ""  # noqa: E741
    wb: str = ""
    bc: str = ""


class _Position(msgspec.Struct):
    s: str
    pa: str
    ps: str = "BOTH"


class _Account(msgspec.Struct):
    B: list[_Asset] = []
    P: list[_Position] = []
    m: str = ""


class _Event(msgspec.Struct):
    """The head of an event, and what the small ones have; a wrapped one has only `event`."""

    e: str = ""
    E: Ms = 0
    T: Ms = 0
    u: Ms = 0
    a: msgspec.Raw = msgspec.Raw(b"null")
    d: str = ""
    B: list[_Asset] = []
    event: msgspec.Raw = msgspec.Raw(b"")


class PrivateStream:
    """Turns one account's messages into what is said.

    followed: by the venue's symbol.  order_id_of: our order id of a client id, None if we did not give it.
    """

    def __init__(self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None]) -> None:
        self._followed = followed
        self._order_id_of = order_id_of

    def read(self, data: bytes) -> list[Said]:
        """What one message says, in order.  Raises Malformed."""
        try:
            return self._read(data)
        except (msgspec.DecodeError, HistoryError, ValueError, KeyError, ArithmeticError) as error:
            raise Malformed(f"binance: {str(error)[:120]} in {data[:80]!r}") from None

    def _read(self, data: bytes) -> list[Said]:
        head = msgspec.json.decode(data, type=_Event)
        if head.event:
            data, head = bytes(head.event), msgspec.json.decode(head.event, type=_Event)
        if head.e == "executionReport":
            return self._order(msgspec.json.decode(data, type=_Order))
        if head.e == "ORDER_TRADE_UPDATE":
            return self._order(msgspec.json.decode(data, type=_Update).o)
        if head.e == "outboundAccountPosition":
            return [Balance(one.a, one.f, one.l, ts_venue_ns=head.u * 1_000_000) for one in head.B]
        if head.e == "balanceUpdate":
            asset = msgspec.json.decode(head.a, type=str)
            return [Balance(asset, delta=head.d, ts_venue_ns=head.T * 1_000_000)]
        if head.e == "ACCOUNT_UPDATE":
            account = msgspec.json.decode(head.a, type=_Account)
            said: list[Said] = [
                Balance(one.a, one.wb, delta=one.bc, ts_venue_ns=head.T * 1_000_000) for one in account.B
            ]
            return said + [Note("position", f"{one.s} {one.ps} {one.pa} after {account.m}") for one in account.P]
        if head.e in ONLY_NOTED:
            return [Note(head.e, ONLY_NOTED[head.e])]
        return [Note("unknown_event", head.e or repr(data[:80]))]

    def _order(self, order: _Order) -> list[Said]:
        followed = self._followed.get(order.s)
        if followed is None:
            return [Note("foreign_symbol", f"{order.s}: order {order.i} {order.x} {order.X}, {order.l} at {order.L}")]
        # A cancel has an id of its own in c; the order it is about is in C, on spot, where there is one.
        client_id = order.C if order.x in ("CANCELED", "REPLACED") and order.C else order.c
        instrument, side = followed.instrument, SIDES[order.S]
        qty_lots, done_lots = instrument.lots(order.q), instrument.lots(order.z)
        step = Step(
            0, followed, self._order_id_of(client_id), client_id, order.i, side, instrument.ticks(order.p),
            qty_lots - done_lots, order.T * 1_000_000, done_lots=done_lots,
        )  # fmt: skip
        said: list[Said] = []
        if step.order_id is None:
            whose = "the venue's own" if client_id.startswith(VENUES_OWN) else "somebody else's"
            said.append(Note("foreign_order", f"{order.s}: order {order.i} {client_id}, {whose}, {order.x} {order.X}"))
        lots = instrument.lots(order.l)
        if order.x in ("TRADE", "CALCULATED") and lots:
            price_ticks = instrument.ticks(order.L)
            fee_units, note = fee_of(instrument, order.n or "0", order.N or "", price_ticks)
            flags = LAST | (MAKER if order.m else FILL_TAKER << REASON_SHIFT)
            fill = replace(step, kind=ORDER_FILLED, price_ticks=price_ticks, qty_lots=lots, fee_units=fee_units)
            said.append(replace(fill, flags=flags, trade_id=max(0, order.t)))
            return said + ([note] if note else [])
        kind, cause = ended(order)
        if kind:
            said.append(replace(step, kind=kind, cause=cause))
        else:
            said.append(Note("unknown_step", f"{order.s}: order {order.i} {order.x} {order.X}"))
        return said


def ended(order: _Order) -> tuple[int, str]:
    """(kind of record, cause) of what happened to an order other than a fill; kind 0 for what is not known."""
    if order.x == "NEW":
        return ORDER_ACKNOWLEDGED, ""
    if order.x == "CANCELED":
        return ORDER_CANCELLED, ""
    if order.x in ("REPLACED", "AMENDMENT"):
        return ORDER_REPLACED, ""
    if order.x == "REJECTED":
        return ORDER_REJECTED, REFUSED.get(order.r, "other")
    if order.x == "EXPIRED" or (order.x == "TRADE_PREVENTION" and order.X in ("EXPIRED", "EXPIRED_IN_MATCH")):
        return ORDER_EXPIRED, expired(order.X, order.f, order.o)
    return 0, ""


def expired(status: str, time_in_force: str, order_type: str) -> str:
    """Why the venue ended an order by itself, as far as its status and what it was tell."""
    if status == "EXPIRED_IN_MATCH":
        return "self_trade"
    if order_type == "MARKET":
        return "no_liquidity"
    if time_in_force in ("IOC", "FOK"):
        return "unfilled"
    # GTX is post-only on USD-M: it expires where it would take.
    return "would_cross" if time_in_force == "GTX" else ""

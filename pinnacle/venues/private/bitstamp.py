"""Bitstamp's private channels and its REST answers, as steps of orders, standings, fills, balances and notes.

Numbers come as text or bare, by endpoint and year; all are read by their digits.  An event of an order says what is
left of it, an event of a trade says what was filled and the fee: fills are told by the second, and the first shows
whether one is missing.  Rules: the venue's public pages of September 2026, and samples from 2013 on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from pinnacle.event import (
    BUY,
    FOK,
    IOC,
    LAST,
    MAKER,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    POST_ONLY,
    SELL,
)
from pinnacle.limits import PRIVATE_ORDERS_MAX
from pinnacle.venues.bitstamp_entry import market_names
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Order, Standing
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.private.kraken import UNREADABLE, number
from pinnacle.venues.private.said import Balance, Note, Said, Step, fee_of

Id = Annotated[int, Meta(ge=0, lt=1 << 62)]
ORDERS, TRADES = "private-my_orders_", "private-my_trades_"
SIDES = {"0": BUY, "1": SELL, "buy": BUY, "sell": SELL}
# What only says again, or of orders of a kind that we do not place; noted and no more.
ONLY_NOTED = ("order_replaced", "stop_active", "stop_inactive", "self_trade")
# An order that would take is ended in the step that took it up; somebody's cancel comes later.
_AT_ONCE_NS = 50_000_000
_TRADE = "2"
_NONE = Raw(b"")


class Message(Struct):
    """A message of the websocket."""

    event: str
    channel: str = ""
    data: Raw = _NONE
    event_id: str = ""
    pre_event_id: str = ""


class _Order(Struct):
    """An event of an order.  amount: what is left."""

    id: Raw
    order_type: int
    amount_traded: Raw
    microtimestamp: Raw
    amount: Raw = _NONE
    price: Raw = _NONE
    amount_str: str = ""
    price_str: str = ""
    amount_at_create: Raw = _NONE
    client_order_id: str | None = None


class _Trade(Struct):
    """An own trade."""

    id: Raw
    order_id: Raw
    amount: Raw
    price: Raw
    fee: Raw
    side: str
    microtimestamp: Raw
    client_order_id: str | None = None


class Placed(Struct):
    """A new order as it was taken up, a row of open orders, or how one stands; numbers are text or bare.

    amount: of a row of open orders what is left, else all.  type: 0 to buy, 1 to sell.
    """

    id: Raw
    type: Raw
    price: Raw
    amount: Raw = _NONE
    datetime: str = ""
    market: str = ""
    currency_pair: str = ""
    client_order_id: str | None = None
    status: str = ""
    amount_at_create: Raw = _NONE
    amount_remaining: Raw = _NONE
    transactions: list[dict[str, Raw]] = []


class Cancelled(Struct):
    """A cancelled order.  amount: what was left of it."""

    id: Raw
    amount: Raw
    price: Raw
    type: Raw
    market: str = ""
    currency_pair: str = ""
    status: str = ""


class CancelledAll(Struct):
    canceled: list[Cancelled]
    success: bool = False


class _Held(Struct):
    currency: str
    total: Raw
    available: Raw
    reserved: Raw


class Token(Struct):
    token: str
    user_id: Raw
    valid_sec: Raw = _NONE


def whole(raw: Raw) -> int:
    """An id or a time in microseconds, as text or bare.  Raises ValueError."""
    value = int(number(raw))
    if not 0 <= value < 1 << 62:
        raise ValueError(f"an id of {value}")
    return value


def text(raw: Raw) -> str:
    """Text, or a bare number by its digits."""
    return msgspec.json.decode(raw, type=str) if bytes(raw).startswith(b'"') else number(raw)


class Reader:
    """Reads one account's messages and answers.

    followed: by the venue's symbol.  order_id_of: our order id of a client id, None if we did not give it.
    """

    def __init__(self, followed: Mapping[str, Followed], order_id_of: Callable[[str], int | None]) -> None:
        self._followed = followed
        self._markets = {name: one for one in followed.values() for name in market_names(one.instrument)}
        self._order_id_of = order_id_of
        self._placed: dict[str, Order] = {}  # by client id
        self._born: dict[int, int] = {}  # when an order was taken up, by the venue's number
        self._chain: dict[str, str] = {}  # the last event of each channel

    def placed(self, order: Order) -> None:
        """An order that is about to be sent: its flags say why it may end."""
        self._placed[order.client_id] = order
        _bound(self._placed)

    # --- the channels ---------------------------------------------------------------------------------------------
    def read(self, message: Message) -> list[Said]:
        """What a message of a private channel says, in order.  Raises Malformed."""
        try:
            return self._read(message)
        except UNREADABLE as error:
            raise Malformed(f"bitstamp: {str(error)[:120]} in {bytes(message.data)[:80]!r}") from None

    def _read(self, message: Message) -> list[Said]:
        prefix = next((one for one in (ORDERS, TRADES) if message.channel.startswith(one)), "")
        followed = self._followed.get(message.channel.removeprefix(prefix).rpartition("-")[0])
        if not prefix or followed is None:
            return [Note("unknown_channel", f"{message.event[:40]} of {message.channel[:60]}")]
        said: list[Said] = []
        if message.event_id:
            before = self._chain.get(message.channel)
            if before == message.event_id:
                return [Note("doubled", message.event_id[:60])]
            if before is not None and message.pre_event_id != before:
                # What follows from it is seen by the amounts traded; the next comparison shows the rest.
                said.append(Note("chain", f"{message.channel[:60]}: {message.pre_event_id[:60]} after {before[:60]}"))
            self._chain[message.channel] = message.event_id
        if prefix == TRADES and message.event == "trade":
            return said + self._trade(msgspec.json.decode(message.data, type=_Trade), followed)
        if message.event in ("order_created", "order_changed", "order_deleted"):
            return said + self._order(msgspec.json.decode(message.data, type=_Order), followed, message.event)
        what = message.event if message.event in ONLY_NOTED else "unknown_event"
        return [*said, Note(what, f"{message.event[:40]} of {message.channel[:60]}")]

    def restarted(self) -> None:
        """A new connection: what was missed between two is not a break in a chain."""
        self._chain.clear()

    def _order(self, row: _Order, followed: Followed, event: str) -> list[Said]:
        instrument, venue_id, client_id = followed.instrument, whole(row.id), row.client_order_id or ""
        left_lots = instrument.lots(row.amount_str or number(row.amount))
        ts_ns = whole(row.microtimestamp) * 1_000
        kind, cause = ORDER_ACKNOWLEDGED, ""
        if event == "order_created":
            self._born[venue_id] = ts_ns
            _bound(self._born)
        elif event == "order_deleted" and left_lots:
            kind, cause = self._ended(client_id, venue_id, ts_ns)
        step = Step(
            kind, followed, self._order_id_of(client_id), client_id, venue_id, SIDES[str(row.order_type)],
            instrument.ticks(row.price_str or number(row.price)), left_lots, ts_ns,
            done_lots=instrument.lots(number(row.amount_traded)), cause=cause,
        )  # fmt: skip
        foreign = Note("foreign_order", f"{instrument.symbol}: order {venue_id} {client_id[:80]}, {event}")
        return [step] if step.order_id is not None else [foreign, step]

    def _ended(self, client_id: str, venue_id: int, ts_ns: int) -> tuple[int, str]:
        """(kind of record, cause) of an end with something left, as far as what it was tells."""
        placed = self._placed.get(client_id)
        flags = placed.flags if placed is not None else 0
        if flags & (IOC | FOK):
            return ORDER_EXPIRED, "unfilled"
        if flags & POST_ONLY and ts_ns - self._born.get(venue_id, 0) <= _AT_ONCE_NS:
            return ORDER_EXPIRED, "would_cross"
        return ORDER_CANCELLED, ""

    def _trade(self, row: _Trade, followed: Followed) -> list[Said]:
        client_id = row.client_order_id or ""
        said = self._fill(
            followed, whole(row.id), whole(row.order_id), client_id, SIDES[row.side], number(row.price),
            number(row.amount), number(row.fee), whole(row.microtimestamp) * 1_000,
        )  # fmt: skip
        if self._order_id_of(client_id) is None:
            said.insert(
                0, Note("foreign_order", f"{followed.instrument.symbol}: a trade of order {whole(row.order_id)}")
            )
        return said

    def _fill(
        self,
        followed: Followed,
        trade_id: int,
        venue_id: int,
        client_id: str,
        side: int,
        price: str,
        amount: str,
        fee: str,
        ts_ns: int,
    ) -> list[Said]:
        """A fill.  Who made and who took is not said; what was post-only can only have made."""
        instrument = followed.instrument
        price_ticks, lots = instrument.ticks(price), instrument.lots(amount)
        if price_ticks <= 0 or lots <= 0:
            raise ValueError(f"a trade of {lots} lots at {price_ticks} ticks")
        fee_units, note = fee_of(instrument, fee, instrument.quote, price_ticks)
        placed = self._placed.get(client_id)
        flags = LAST | (MAKER if placed is not None and placed.flags & POST_ONLY else 0)
        step = Step(
            ORDER_FILLED, followed, self._order_id_of(client_id), client_id, venue_id, side, price_ticks, lots, ts_ns,
            fee_units, flags, trade_id,
        )  # fmt: skip
        return [step, note] if note else [step]

    # --- answers --------------------------------------------------------------------------------------------------
    def acknowledged(self, result: bytes, order: Order) -> Step:
        """A new order that was taken up; what it traded at once comes by the channels."""
        row = msgspec.json.decode(result, type=Placed)
        return Step(
            ORDER_ACKNOWLEDGED, order.followed, order.order_id, order.client_id, whole(row.id), order.side,
            order.price_ticks, order.qty_lots, _ns(row.datetime),
        )  # fmt: skip

    def cancelled(self, result: bytes, order: Order) -> Step | None:
        """A cancel that was done, with what was filled before; None where the answer does not say that."""
        if result.strip() == b"true" or not order.qty_lots:
            return None
        row = msgspec.json.decode(result, type=Cancelled)
        left_lots = order.followed.instrument.lots(number(row.amount))
        done_lots = order.qty_lots - left_lots
        if not 0 <= done_lots <= order.qty_lots:
            raise ValueError(f"order {whole(row.id)} has {left_lots} lots left of {order.qty_lots}")
        return Step(
            ORDER_CANCELLED, order.followed, order.order_id, order.client_id, whole(row.id), order.side,
            order.price_ticks, left_lots, 0, done_lots=done_lots,
        )  # fmt: skip

    def standing(self, row: Placed, asked: Order | None = None) -> Standing | Note:
        """How an order stands; a note if its market is not followed.  asked: the order, if it was asked for."""
        followed = self._markets.get(row.market or row.currency_pair) or (asked.followed if asked else None)
        venue_id = whole(row.id)
        if followed is None or (row.market and row.market not in self._markets):
            return Note("foreign_symbol", f"{row.market or row.currency_pair}: order {venue_id} {row.status}")
        instrument, client_id = followed.instrument, row.client_order_id or (asked.client_id if asked else "")
        traded_lots = sum(instrument.lots(self._moved(one, instrument.base)) for one in row.transactions)
        if row.amount_at_create:  # a row of open orders
            qty_lots = instrument.lots(number(row.amount_at_create))
            done_lots = qty_lots - instrument.lots(number(row.amount))
        elif row.status:
            done_lots = traded_lots
            open_lots = instrument.lots(number(row.amount_remaining))
            qty_lots = instrument.lots(number(row.amount)) if row.amount else done_lots + open_lots
            qty_lots = asked.qty_lots if asked and asked.qty_lots else qty_lots
        else:  # a row of 2013: nothing but what is left
            qty_lots, done_lots = instrument.lots(number(row.amount)), 0
        end, cause = 0, ""
        if row.status == "Finished":
            end = ORDER_FILLED if done_lots >= qty_lots else ORDER_CANCELLED
        elif row.status in ("Canceled", "Expired"):
            end, cause = ORDER_CANCELLED, ""
            if row.status == "Expired" or (asked and asked.flags & (IOC | FOK)):
                end, cause = ORDER_EXPIRED, "unfilled" if asked and asked.flags & (IOC | FOK) else ""
        elif row.status not in ("", "Open", "In Queue", "Cancel pending"):
            raise ValueError(f"order {venue_id} is {row.status[:40]}")
        return Standing(
            followed, self._order_id_of(client_id), client_id, venue_id, SIDES[text(row.type)],
            instrument.ticks(number(row.price)), qty_lots, done_lots, end, cause, _ns(row.datetime),
        )  # fmt: skip

    def _moved(self, row: Mapping[str, Raw], base: str) -> str:
        """What a transaction of an order moved of the base currency, without its sign."""
        return number(row[base.lower()]).lstrip("-")

    def transaction(self, row: Mapping[str, Raw], followed: Followed, order: Order | None) -> list[Said]:
        """A row of user_transactions as a fill; what is no trade of the market is noted."""
        instrument = followed.instrument
        base, quote = instrument.base.lower(), instrument.quote.lower()
        price = row.get(f"{base}_{quote}", _NONE)
        kind, number_ = text(row["type"]), whole(row["id"])
        if kind != _TRADE or not price or bytes(row.get("order_id", b"null")) == b"null":
            return [Note("no_trade", f"transaction {number_} of type {kind[:10]}")]
        amount, at = Decimal(number(row[base])), Decimal(number(price))
        if not amount or at <= 0:
            return [Note("odd_transaction", f"transaction {number_}: {amount} at {at}")]
        venue_id, client_id = whole(row["order_id"]), ""
        if order is not None:
            if order.venue_id and venue_id != order.venue_id:
                return []
            client_id = order.client_id
        time = msgspec.json.decode(row["datetime"], type=str)
        side = BUY if amount > 0 else SELL
        return self._fill(
            followed, number_, venue_id, client_id, side, f"{at:f}", f"{abs(amount):f}", number(row["fee"]), _ns(time)
        )

    def balances(self, result: bytes) -> tuple[Balance, ...]:
        """Rows of a currency each, or the flat keys of old: btc_balance, btc_available, btc_reserved."""
        if result.lstrip().startswith(b"["):
            rows = msgspec.json.decode(result, type=list[_Held])
            return tuple(Balance(one.currency.upper(), number(one.available), number(one.reserved)) for one in rows)
        flat = msgspec.json.decode(result, type=dict[str, Raw])
        names = [key.removesuffix("_balance") for key in flat if key.endswith("_balance")]
        return tuple(
            Balance(name.upper(), number(flat[f"{name}_available"]), number(flat.get(f"{name}_reserved", Raw(b"0"))))
            for name in names
        )


def _ns(time: str) -> int:
    return ns_of_iso(time) if time else 0


def _bound(kept: dict[Any, Any]) -> None:
    if len(kept) > PRIVATE_ORDERS_MAX:
        del kept[next(iter(kept))]

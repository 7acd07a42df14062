"""The market's events as Coinbase tells single orders: received, open, match, change, done, in its two spellings.

The engine says what is left of a resting order after a trade; Coinbase says the trade, and that an order is done.  So
what a command did is heard event by event, and what a trade explains is not told twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from pinnacle import event as e
from pinnacle.dialects.coinbase_words import ORDERS, Words, side, uuid_of
from pinnacle.dialects.market import MarketEvent


class Told(NamedTuple):
    """One message.  side: the order's, of a match the maker's."""

    kind: str
    order_id: int
    side: int
    price_ticks: int
    qty_lots: int
    ts_ns: int
    taker_id: int = 0
    trade_id: int = 0
    filled: bool = False


class GroupTeller:
    """Turns the events of one command at a time into messages."""

    def __init__(self) -> None:
        self._traded: set[int] = set()  # resting orders whose next event a trade explains
        self._takers: dict[int, MarketEvent] = {}  # incoming orders that traded and do not rest so far

    def hear(self, event: MarketEvent) -> Iterator[Told]:
        """What one event means."""
        order_id, price, lots, ts_ns = event.order_id, event.price_ticks, event.qty_lots, event.ts_ns
        if event.kind == e.TRADE:
            if event.taker_id not in self._takers:
                yield Told("received", event.taker_id, event.side, price, lots, ts_ns)
            self._takers[event.taker_id] = event
            self._traded.add(order_id)
            yield Told("match", order_id, -event.side, price, lots, ts_ns, event.taker_id, event.aux)
        elif event.kind == e.ORDER_ADD:
            if self._takers.pop(order_id, None) is None:
                yield Told("received", order_id, event.side, price, lots, ts_ns)
            yield Told("open", order_id, event.side, price, lots, ts_ns)
        elif event.kind == e.ORDER_DELETE:
            self._traded.discard(order_id)
            yield Told("done", order_id, event.side, price, lots, ts_ns, filled=lots == 0)
        elif event.kind == e.ORDER_MODIFY:
            if order_id in self._traded:
                self._traded.discard(order_id)
            else:
                yield Told("change", order_id, event.side, price, lots, ts_ns)

    def end(self) -> Iterator[Told]:
        """The command is over: incoming orders that do not rest are done."""
        for order_id, event in self._takers.items():
            yield Told("done", order_id, event.side, event.price_ticks, 0, event.ts_ns, filled=True)
        self._takers.clear()
        self._traded.clear()


def object_of(told: Told, k: int, sequence: int, words: Words) -> dict[str, Any]:
    """A message of `full`."""
    price, size = words.price[k](told.price_ticks), words.qty[k](told.qty_lots)
    base = {
        "type": told.kind, "side": side(told.side), "product_id": words.symbols[k], "time": words.time(told.ts_ns),
        "sequence": sequence,
    }  # fmt: skip
    number = uuid_of(ORDERS, told.order_id)
    if told.kind == "match":
        return base | {
            "trade_id": told.trade_id, "maker_order_id": number, "taker_order_id": uuid_of(ORDERS, told.taker_id),
            "size": size, "price": price,
        }  # fmt: skip
    base |= {"order_id": number, "price": price}
    if told.kind == "received":
        return base | {"size": size, "order_type": "limit"}
    if told.kind == "open":
        return base | {"remaining_size": size}
    if told.kind == "change":
        return base | {"new_size": size, "new_price": price, "reason": "modify_order"}
    return base | {"remaining_size": size, "reason": "filled" if told.filled else "canceled"}


# The fields of the arrays of `level3`, which its first message says.
_FIELDS = {
    "change": ["type", "product_id", "sequence", "order_id", "price", "size", "time"],
    "done": ["type", "product_id", "sequence", "order_id", "time"],
    "match": ["type", "product_id", "sequence", "maker_order_id", "taker_order_id", "price", "size", "time"],
    "noop": ["type", "product_id", "sequence", "time"],
    "open": ["type", "product_id", "sequence", "order_id", "side", "price", "size", "time"],
}


def schema() -> bytes:
    """The first message of `level3`."""
    return msgspec.json.encode({"type": "level3", "schema": _FIELDS})


def array_of(told: Told, k: int, sequence: int, words: Words) -> list[str]:
    """A message of `level3`; what changes no book is a noop, which counts."""
    kind = told.kind if told.kind in _FIELDS else "noop"
    number = uuid_of(ORDERS, told.order_id)
    values = {
        "type": kind, "product_id": words.symbols[k], "sequence": str(sequence), "order_id": number,
        "maker_order_id": number, "taker_order_id": uuid_of(ORDERS, told.taker_id), "side": side(told.side),
        "price": words.price[k](told.price_ticks), "size": words.qty[k](told.qty_lots), "time": words.time(told.ts_ns),
    }  # fmt: skip
    return [values[name] for name in _FIELDS[kind]]

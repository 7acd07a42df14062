"""What the exchange says of a market after each step, and where the steps come from: an engine, with or without flow.

A dialect reads batches; the house drives a Market.  A market with background flow is another class with the same
three members, so that a flow model may run inside compiled code together with the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np

from pinnacle import event as e
from pinnacle.event import EVENT
from pinnacle.kernels.exchange import submit
from pinnacle.kernels.exchange_state import Exchange


class Market(Protocol):
    """One instrument's matching engine and whatever else trades there.  first: the engine's number of the house's first
    account; the others follow it."""

    @property
    def first(self) -> int: ...

    @property
    def venue(self) -> Exchange:
        """The engine's arrays, which are read and never written by others."""
        ...

    def submit(self, commands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Obey EVENT[n] of others now; (EVENT[m], int32[m]): what was said, and to whom (0: everyone)."""
        ...

    def advance(self, to_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Let everything of its own happen up to and including to_ns; answers as `submit` does.  Stepping to b by way
        of a gives what stepping to b gives."""
        ...


class QuietMarket:
    """A matching engine at which nobody trades but the clients."""

    first = 1

    def __init__(self, venue: Exchange) -> None:
        self.venue = venue
        self.commands = 0

    def submit(self, commands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        commands["seq"] = self.commands + 1 + np.arange(commands.size)
        self.commands += commands.size
        return submit(self.venue, commands)

    def advance(self, to_ns: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(0, EVENT), np.zeros(0, np.int32)


class MarketEvent(NamedTuple):
    """One thing that everyone may hear.  kind: ORDER_ADD, ORDER_MODIFY, ORDER_DELETE, BOOK_LEVEL, TRADE, TICKER or
    MARKET_STATE of event.py; the other fields as kernels/exchange.py says them, but for the ids: order_id of an
    account's order is Order.id.  taker_id: of a TRADE, the incoming order's id.  sequence: counts this instrument's
    events."""

    kind: int
    side: int
    price_ticks: int
    qty_lots: int
    order_id: int
    aux: int
    ts_ns: int
    flags: int
    taker_id: int
    sequence: int

    @property
    def last(self) -> bool:
        """Whether the command that caused it is done: the book is whole."""
        return bool(self.flags & e.LAST)


@cache
def among(kinds: tuple[int, ...]) -> np.ndarray:
    """bool[256]: whether a kind is among these."""
    table = np.zeros(256, bool)
    table[list(kinds)] = True
    return table


@dataclass(frozen=True, slots=True)
class Batch:
    """What everyone may hear of one instrument after a step, in its order.

    rows: EVENT[n] with public ids; taker_ids: int64[n].  first_sequence: of rows[0]; the others count on.
    """

    instrument: int
    rows: np.ndarray
    taker_ids: np.ndarray
    first_sequence: int
    ts_ns: int  # the house's time

    @property
    def last_sequence(self) -> int:
        return self.first_sequence + self.rows.size - 1

    def events(self, *kinds: int) -> Iterator[MarketEvent]:
        """The events, of some kinds or of all."""
        rows, takers = self.rows, self.taker_ids
        sequence: np.ndarray = np.arange(self.first_sequence, self.first_sequence + rows.size)
        if kinds:
            keep = among(kinds)[rows["kind"]]
            if not keep.any():
                return iter(())
            rows, takers, sequence = rows[keep], takers[keep], sequence[keep]
        names = ("kind", "side", "price_ticks", "qty_lots", "order_id", "aux", "ts_ns", "flags")
        columns = [rows[name].tolist() for name in names]
        return map(MarketEvent._make, zip(*columns, takers.tolist(), sequence.tolist()))

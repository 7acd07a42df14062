"""What the matching engine remembers, and how it says something: its records, and the rows it writes.

It is kept apart from the rules of trading (exchange.py), which read better without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinnacle.event import (
    BOOK_LEVEL,
    EVENT,
    ORDER_DELETE,
    REASON_SHIFT,
    TICKER,
    TRADE,
)
from pinnacle.kernels.book import best_ticks, ticks_of
from pinnacle.kernels.book_l3 import BOOK_L3, BookL3, new_book_l3
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.state import NO_PRICE, zeroed
from pinnacle.kernels.venue import STP_NONE
from pinnacle.limits import (
    BOOK_WINDOW_TICKS,
    CASH_UNITS_MAX,
    EXCHANGE_OUT_RECORDS,
    FEE_TIERS_MAX,
    L3_ORDERS_START,
    PARTICIPANTS_MAX,
)

# Self-trade prevention, beside what venue.py has: both orders lose the lesser quantity, and nothing is traded.
STP_DECREMENT = STP_NONE + 1

# What of the market is said to everyone.
PUBLISH_ORDERS = 1  # ORDER_ADD, ORDER_MODIFY, ORDER_DELETE
PUBLISH_LEVELS = 2  # BOOK_LEVEL
PUBLISH_TRADES = 4
PUBLISH_TICKER = 8
PUBLISH_ALL = 15

# What is under way between two calls of run().
IDLE = 0
TAKING = 1
CANCELLING = 2

# Why run() came back before the last command.
PAUSE_OUT_FULL = 1  # empty `out` and go on
PAUSE_POOL_FULL = 2  # give the book more room and go on

PARTICIPANT = np.dtype(
    [
        ("tier", "<i8"),  # row of the fee schedule
        ("stp", "<i8"),  # STP_*, where an order does not say another
        ("orders_max", "<i8"),  # open orders it may have
        ("open_orders", "<i8", (2,)),  # by side, 0 buys
        ("head", "<i8"),  # 1 + place in the pool of its oldest order, 0 if it has none
        ("bought_lots", "<i8"),
        ("sold_lots", "<i8"),
        ("fees_units", "<i8"),  # paid; negative when rebates were more
        ("fills", "<i8"),
    ]
)

# The incoming order while it trades.  It lives here and not in variables, so that it can be gone on with.
TAKER = np.dtype(
    [
        ("owner", "<i8"),
        ("order_id", "<i8"),  # the participant's own
        ("venue_order_id", "<i8"),
        ("s", "<i8"),  # its own side, 0 buys
        ("x", "<i8"),  # window index of its price
        ("price_ticks", "<i8"),
        ("open_lots", "<i8"),
        ("flags", "<i8"),
        ("stp", "<i8"),
        ("touched", "<i8"),  # window index on the other side of the level it is at, -1 for none yet
    ]
)

EXCHANGE = np.dtype(
    [
        ("venue", "<i8"),
        ("instrument", "<i8"),
        ("units_per_ticklot", "<i8"),
        ("price_min_ticks", "<i8"),
        ("price_max_ticks", "<i8"),  # less than a window above price_min_ticks, so that the window never moves
        ("qty_min_lots", "<i8"),
        ("qty_max_lots", "<i8"),
        ("notional_min_units", "<i8"),
        ("notional_max_units", "<i8"),
        ("publish", "<i8"),  # PUBLISH_* bits; orders or levels are among them
        ("state", "<i8"),  # STATE_*
        ("participants", "<i8"),  # numbers 1 .. participants are known
        ("maker_ppb", "<i8", (FEE_TIERS_MAX,)),  # fee on value in parts per 1e9; negative is a rebate
        ("taker_ppb", "<i8", (FEE_TIERS_MAX,)),
        ("seq", "<i8"),  # of the command under way
        ("ts_ns", "<i8"),
        ("commands", "<i8"),  # taken up so far
        ("trades", "<i8"),  # id of the last trade
        ("orders", "<i8"),  # the venue's id of the last order that it gave one
        ("strangers", "<i8"),  # commands of participants that do not exist, to whom nothing can be said
        ("unknown", "<i8"),  # commands of a kind or state that does not exist
        ("stage", "<i8"),  # IDLE, TAKING, CANCELLING
        ("pause", "<i8"),  # PAUSE_*, 0 when every command is done
        ("last_row", "<i8"),  # row of `out` with the command's last market record, -1 for none
        ("top_ticks", "<i8", (2,)),  # as last said
        ("top_lots", "<i8", (2,)),
        ("taker", TAKER),
        ("l3", BOOK_L3),
    ]
)

# Records on their way to whom they are for; the owner empties it.
LETTERS = np.dtype([("count", "<i8"), ("rows", EVENT, (EXCHANGE_OUT_RECORDS,)), ("to", "<i4", (EXCHANGE_OUT_RECORDS,))])
EVERYONE = 0


# --- saying -------------------------------------------------------------------------------------------------------
@jit_inner
def say(exchange, out, to, kind, order_id, side, price_ticks, qty_lots, aux, flags):
    """Append one record.  Room was asked for before the command, or before the order that it meets."""
    n = out["count"]
    row = out["rows"][n]
    row["seq"] = exchange["seq"]
    row["ts_ns"] = exchange["ts_ns"]
    row["ts_venue_ns"] = exchange["ts_ns"]
    row["order_id"] = order_id
    row["price_ticks"] = price_ticks
    row["qty_lots"] = qty_lots
    row["aux"] = aux
    row["kind"] = kind
    row["side"] = side
    row["flags"] = flags
    row["venue"] = exchange["venue"]
    row["instrument"] = exchange["instrument"]
    out["to"][n] = to
    out["count"] = n + 1
    if to == EVERYONE:
        exchange["last_row"] = n


@jit_inline
def say_end(exchange, out, to, kind, order_id, side, price_ticks, qty_lots, reason):
    """Tell a participant that something was refused or has ended, and why (END_*; 0: as it asked)."""
    say(exchange, out, to, kind, order_id, side, price_ticks, qty_lots, 0, reason << REASON_SHIFT)


@jit_inner
def say_order(exchange, out, kind, order):
    """Tell everyone of a resting order: it came, it has this much open now, or it is gone."""
    if exchange["publish"] & PUBLISH_ORDERS:
        side = 1 if order["s"] == 0 else -1
        lots = 0 if kind == ORDER_DELETE else order["qty_lots"]
        say(exchange, out, EVERYONE, kind, order["tag"], side, order["price_ticks"], lots, 0, 0)


@jit_inner
def say_level(exchange, out, s, x):
    """Tell everyone the quantity of a level."""
    if exchange["publish"] & PUBLISH_LEVELS:
        book = exchange["l3"]["book"]
        side, lots = 1 - 2 * s, book["lots"][s, x]
        say(exchange, out, EVERYONE, BOOK_LEVEL, 0, side, ticks_of(book, s, x), lots, exchange["commands"], 0)


@jit_inline
def say_trade(exchange, out, side, price_ticks, lots, resting_id):
    """Tell everyone of a trade; side is the taker's."""
    if exchange["publish"] & PUBLISH_TRADES:
        say(exchange, out, EVERYONE, TRADE, resting_id, side, price_ticks, lots, exchange["trades"], 0)


@jit_inline
def say_top(exchange, out):
    """Tell everyone the best of a side that is not what was said last; NO_PRICE and 0 lots for an empty side."""
    if exchange["publish"] & PUBLISH_TICKER:
        book = exchange["l3"]["book"]
        for s in range(2):
            x = book["best"][s]
            price, lots = best_ticks(book, s), 0
            if x >= 0:
                lots = book["lots"][s, x]
            if price != exchange["top_ticks"][s] or lots != exchange["top_lots"][s]:
                exchange["top_ticks"][s], exchange["top_lots"][s] = price, lots
                say(exchange, out, EVERYONE, TICKER, 0, 1 - 2 * s, price, lots, exchange["commands"], 0)


# --- what Python owns ---------------------------------------------------------------------------------------------
@dataclass
class Exchange:
    """A matching engine's arrays: `exchange` (one record), `participants` (0 is nobody), the pool and table, `out`."""

    exchange: np.ndarray
    participants: np.ndarray
    book: BookL3
    out: np.ndarray

    @property
    def args(self) -> tuple:
        """The records that every function of exchange.py begins with."""
        return self.exchange[0], self.participants[0], self.book.orders[0], self.book.table[0]


def new_exchange(
    participants: int,
    price_min_ticks: int,
    price_max_ticks: int,
    qty_max_lots: int,
    units_per_ticklot: int = 1,
    orders: int = L3_ORDERS_START,
) -> Exchange:
    """An open venue of one instrument at which nothing rests, with `participants` participants and no fees.

    Prices run from price_min_ticks (> 0) over less than limits.BOOK_WINDOW_TICKS ticks.  All else that the records
    EXCHANGE and PARTICIPANT hold may be set before the first command.  The dearest order must fit in money.
    """
    assert 1 <= participants <= PARTICIPANTS_MAX
    assert 0 < price_min_ticks <= price_max_ticks < price_min_ticks + BOOK_WINDOW_TICKS
    assert qty_max_lots > 0 and price_max_ticks * qty_max_lots * units_per_ticklot <= CASH_UNITS_MAX
    array = zeroed(EXCHANGE)
    book = new_book_l3(orders, array["l3"])
    record = array[0]
    record["l3"]["book"]["base_ticks"] = record["price_min_ticks"] = price_min_ticks
    record["price_max_ticks"], record["qty_max_lots"], record["qty_min_lots"] = price_max_ticks, qty_max_lots, 1
    record["notional_max_units"], record["units_per_ticklot"] = CASH_UNITS_MAX, units_per_ticklot
    record["publish"], record["participants"] = PUBLISH_ALL, participants
    record["top_ticks"][:] = NO_PRICE
    record["last_row"] = -1
    people = zeroed(PARTICIPANT, participants + 1)
    people["orders_max"] = 1 << 32
    people["stp"] = STP_NONE
    return Exchange(array, people, book, zeroed(LETTERS))

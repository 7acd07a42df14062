"""Everything the engine remembers, as ONE structured record: a snapshot is its bytes.

`market` is what was heard and does not depend on what we do; `lane` is our own side.  They are apart so that many
parameter sets can walk one market.  Numba passes a record as a bare pointer, where an array costs seven words and a
reference count, so nothing here is an array of its own.
"""

from __future__ import annotations

import mmap
from functools import cache

import numpy as np

from pinnacle.event import EVENT
from pinnacle.limits import (
    BOOK_ASIDE_LEVELS,
    BOOK_WINDOW_TICKS,
    ORDERS_MAX,
    OUT_RECORDS,
    STRATEGY_MEMORY_MAX,
    STRATEGY_PARAMS_MAX,
    WANTED_QUOTES_MAX,
)

# A price that is not there: no best on that side, no trade yet.
NO_PRICE = -(1 << 62)
# Time that never comes.
NEVER = (1 << 63) - 1

# One side is index 0 (bids) or 1 (asks).  A level's place x in the window grows towards the better price on BOTH
# sides (asks are mirrored), so the best is the greatest x and one code serves both.
BOOK = np.dtype(
    [
        ("base_ticks", "<i8"),  # price of the window's first tick; NO_PRICE until the first level
        ("best", "<i8", (2,)),  # x of the best level of each side, -1 if there is none
        ("low", "<i8", (2,)),  # no level of the side is below this x
        ("high", "<i8", (2,)),  # no level, hidden ones included, is above this x
        ("crossings", "<i8"),  # times a level came at or through the other side's best
        ("outside", "<i8"),  # levels that came for a price outside the window
        ("recentres", "<i8"),
        ("lost", "<i8"),  # levels outside the window that the aside table had no room for
        ("aside_count", "<i8", (2,)),
        ("aside_ticks", "<i8", (2, BOOK_ASIDE_LEVELS)),  # levels outside the window, kept for a re-centring
        ("aside_lots", "<i8", (2, BOOK_ASIDE_LEVELS)),
        ("lots", "<i8", (2, BOOK_WINDOW_TICKS)),  # last, so that what is hot shares cache lines
    ]
)

# The top of an instrument's book and what else its market said last; refreshed before a strategy is woken.
TOP = np.dtype(
    [
        ("bid_ticks", "<i8"),
        ("ask_ticks", "<i8"),  # NO_PRICE where a side is empty
        ("mid2_ticks", "<i8"),  # best bid + best ask, 0 where a side is empty
        ("bid_lots", "<i8"),
        ("ask_lots", "<i8"),
        ("trade_ticks", "<i8"),
        ("trade_lots", "<i8"),
        ("trade_side", "<i8"),
        ("trade_count", "<i8"),
        ("bought_lots", "<i8"),  # sum of trades whose aggressor bought
        ("sold_lots", "<i8"),
        ("ticker_bid_ticks", "<i8"),
        ("ticker_ask_ticks", "<i8"),
        ("ticker_bid_lots", "<i8"),
        ("ticker_ask_lots", "<i8"),
        ("link", "<i8"),  # LINK_LIVE or LINK_STALE
    ]
)
LINK_LIVE = 0
LINK_IS_STALE = 1
PAUSED_FLATTENING = 2

ORDER = np.dtype(
    [
        ("order_id", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),  # as placed
        ("open_lots", "<i8"),  # not yet filled
        ("placed_ns", "<i8"),
        ("status", "u1"),  # orders.FREE and so on
        ("side", "i1"),
        ("flags", "<u2"),
        ("pad", "u1", (4,)),
    ]
)

# What a strategy wants to have working; it writes, the engine reads.
WANT = np.dtype(
    [
        ("count", "<i8"),
        ("hold", "<i8"),  # 1: leave what works as it is
        ("fault", "<i8"),  # FAULT_*: the first thing wrong with what it asked for
        ("price_ticks", "<i8", (WANTED_QUOTES_MAX,)),
        ("qty_lots", "<i8", (WANTED_QUOTES_MAX,)),
        ("side", "<i8", (WANTED_QUOTES_MAX,)),
        ("flags", "<i8", (WANTED_QUOTES_MAX,)),
    ]
)
FAULT_NOT_A_NUMBER = 1
FAULT_TOO_MANY = 2
FAULT_SIDE = 3

# Limits of one instrument; the largest integer where there is none.
RISK = np.dtype(
    [
        ("position_max_lots", "<i8"),
        ("order_max_lots", "<i8"),
        ("open_orders_max", "<i8"),
        ("band_ppm", "<i8"),  # a price may be this far from the mid, in parts per million of it
        ("notional_max_units", "<i8"),  # position and open orders of one side, at the order's price
        ("rate_max", "<i8"),  # commands in one window; cancels are never held back
        ("rate_window_ns", "<i8"),
        ("rate_start_ns", "<i8"),
        ("rate_count", "<i8"),
        ("alerts", "<i8"),  # bit ALERT_*: said already, not to be repeated until it is over
        ("refused", "<i8"),  # wants cut or dropped
    ]
)

# Our own side of one instrument.
OWN = np.dtype(
    [
        ("traded", "<i8"),  # 1: the strategy quotes it
        ("due", "<i8"),  # 1: a strategy outside the kernels is asked for it now
        ("units_per_ticklot", "<i8"),
        ("tick", "<f8"),  # price step in quote currency and quantity step in base currency, for strategies to read
        ("lot", "<f8"),
        ("position_lots", "<i8"),
        ("cash_units", "<i8"),  # what fills paid and brought, fees apart
        ("fees_units", "<i8"),  # paid; negative when rebates were more
        ("rebates_units", "<i8"),  # the part of fees_units that came from negative fees, as a positive number
        ("funding_units", "<i8"),  # received; negative when paid
        ("bought_lots", "<i8"),
        ("sold_lots", "<i8"),
        ("turnover_units", "<i8"),
        ("fills", "<i8"),
        ("maker_fills", "<i8"),
        ("placed", "<i8"),
        ("cancelled", "<i8"),
        ("rejected", "<i8"),
        ("expired", "<i8"),
        ("odd", "<i8"),  # answers that no row of the transition table allows
        ("open_lots", "<i8", (2,)),
        ("live_count", "<i8", (2,)),
        ("live", "<i8", (2, ORDERS_MAX)),  # slots of the orders that may still be filled, oldest first
        ("served", "<i8", (ORDERS_MAX,)),  # by slot: 1 + seq of the wake at which a want last asked for the order
        ("orders", ORDER, (ORDERS_MAX,)),
        ("risk", RISK),
        ("want", WANT),
        ("params", "<f8", (STRATEGY_PARAMS_MAX,)),
        ("memory", "<f8", (STRATEGY_MEMORY_MAX,)),
    ]
)

# Records on their way to the log; the owner empties it.
OUT = np.dtype([("count", "<i8"), ("rows", EVENT, (OUT_RECORDS,))])

WAKE_TIMER = 1
WAKE_FEED = 2
WAKE_ORDER = 4


@cache
def market_dtype(instruments: int) -> np.dtype:
    """The market side for a capacity of `instruments`."""
    return np.dtype(
        [
            ("seq", "<i8"),  # number of the last input heard, -1 before the first
            ("ts_ns", "<i8"),  # the engine's clock: time of the last input
            ("instruments", "<i8"),  # of this run, at most the capacity
            ("venue_of", "<i8", (instruments,)),
            ("top", TOP, (instruments,)),
            ("book", BOOK, (instruments,)),
        ],
        align=False,
    )


@cache
def lane_dtype(instruments: int) -> np.dtype:
    """Our own side for a capacity of `instruments`."""
    return np.dtype(
        [
            ("next_order_id", "<i8"),
            ("wakes", "<i8"),
            ("wake_on", "<i8"),  # WAKE_* bits
            ("overlap", "<i8"),  # 1: a new quote may go out while the one it replaces is still being cancelled
            ("paused", "<i8"),  # 1: no quotes; PAUSED_FLATTENING: none, and the position is taken off
            ("killed", "<i8"),
            ("external", "<i8"),  # 1: the strategy is called from outside the kernels
            ("due", "<i8"),  # 1: an external strategy must be called now
            ("listen_all", "<i8"),  # 1: every instrument is quoted anew when any book changes
            ("start_ns", "<i8"),  # before this time the market is heard, and its messages ask nobody
            ("checkpoint_every", "<i8"),  # inputs
            ("checkpoint_seq", "<i8"),  # input after which the next one is said
            ("calling", "<i8"),  # 1: inside the strategy, so what is raised is the strategy's
            ("fault", "<i8"),  # STOP_*: why the engine stopped
            ("fault_instrument", "<i8"),
            ("own", OWN, (instruments,)),
        ]
    )


STOP_STRATEGY_VALUE = 1  # a price or size that is not a number or out of range
STOP_TOO_MANY_QUOTES = 2
STOP_ORDER_TABLE_FULL = 3
STOP_MONEY = 4
STOP_RING_FULL = 5
STOP_TIME_BACK = 6
STOP_AT_ONCE = 7


@cache
def state_dtype(instruments: int) -> np.dtype:
    """The whole state for a capacity of `instruments`; one of limits.INSTRUMENT_CAPACITIES."""
    return np.dtype([("market", market_dtype(instruments)), ("lane", lane_dtype(instruments))])


def zeroed(dtype: np.dtype, count: int = 1) -> np.ndarray:
    """`count` records of zeros in pages of the system's own size.

    numpy asks for huge pages, and each touch of a sparse window would then take 2 MiB of memory for a few levels.
    """
    return np.frombuffer(mmap.mmap(-1, dtype.itemsize * count), dtype, count)


def new_state(instruments: int) -> np.ndarray:
    """A state that has heard nothing: an array of one record.  Untouched pages of its books take no memory."""
    state = zeroed(state_dtype(instruments))
    market, lane = state[0]["market"], state[0]["lane"]
    for k in range(instruments):
        reset_book(market["book"][k])
        top = market["top"][k]
        for field in ("bid_ticks", "ask_ticks", "trade_ticks", "ticker_bid_ticks", "ticker_ask_ticks"):
            top[field] = NO_PRICE
        risk = lane["own"][k]["risk"]
        for field in ("position_max_lots", "order_max_lots", "open_orders_max", "band_ppm", "notional_max_units"):
            risk[field] = NEVER
        risk["rate_max"] = NEVER
        risk["rate_window_ns"] = 1_000_000_000
    market["seq"] = -1
    lane["next_order_id"] = 1
    lane["wake_on"] = WAKE_TIMER
    lane["checkpoint_seq"] = 1 << 62
    return state


def reset_book(book: np.void) -> None:
    """An empty book whose window is not placed yet."""
    book["base_ticks"] = NO_PRICE
    book["best"][:] = -1
    book["low"][:] = BOOK_WINDOW_TICKS
    book["high"][:] = -1

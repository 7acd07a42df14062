"""How a strategy says what it wants: each call adds one quote to its `want` record.

A price may be a float on the way here; it becomes whole ticks by the passive direction, a bid down and an ask up, so
that rounding never makes a quote more aggressive than was computed.  What is not a number is marked, not traded.
"""

from __future__ import annotations

import math

from pinnacle.event import ASK, BID, POST_ONLY
from pinnacle.kernels.jit import jit
from pinnacle.kernels.state import FAULT_NOT_A_NUMBER, FAULT_TOO_MANY
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX, WANTED_QUOTES_MAX


@jit
def want_order(want, side, price_ticks, qty_lots, flags):
    """Want an order: side BID or ASK, price and quantity in ticks and lots (floats allowed), flags of pinnacle.event.

    The price is floored for a bid and ceiled for an ask, the quantity floored; a quantity below one lot adds nothing.
    """
    if math.isnan(price_ticks) or math.isnan(qty_lots) or abs(price_ticks) >= PRICE_TICKS_MAX:
        want["fault"] = FAULT_NOT_A_NUMBER
        return
    if abs(qty_lots) >= QTY_LOTS_MAX:
        want["fault"] = FAULT_NOT_A_NUMBER
        return
    # A hundred-millionth of a tick of tolerance: 61800.2 / 0.1 is a whole number of ticks that floats miss.
    price = int(math.floor(price_ticks + 1e-8)) if side == BID else int(math.ceil(price_ticks - 1e-8))
    lots = int(math.floor(qty_lots + 1e-8))
    if lots < 1 or price < 1:
        return
    n = want["count"]
    if n >= WANTED_QUOTES_MAX:
        want["fault"] = FAULT_TOO_MANY
        return
    want["side"][n] = side
    want["price_ticks"][n] = price
    want["qty_lots"][n] = lots
    want["flags"][n] = flags
    want["count"] = n + 1


@jit
def want_bid(want, price_ticks, qty_lots):
    """Want to rest a post-only buy."""
    want_order(want, BID, price_ticks, qty_lots, POST_ONLY)


@jit
def want_ask(want, price_ticks, qty_lots):
    """Want to rest a post-only sell."""
    want_order(want, ASK, price_ticks, qty_lots, POST_ONLY)


@jit
def hold(want):
    """Leave every working order as it is."""
    want["hold"] = 1

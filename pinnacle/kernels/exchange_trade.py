"""How orders meet at the matching engine: price first, then time, and never a participant with itself unless it will.

The commands that bring orders here are in exchange.py; what is said of them in exchange_state.py.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    END_SELF_TRADE,
    END_UNFILLED,
    FILL_QUEUE_FRONT,
    FILL_TAKER,
    FOK,
    IOC,
    MAKER,
    MARKET,
    ORDER_ADD,
    ORDER_DELETE,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_MODIFY,
    ORDER_REPLACED,
    REASON_SHIFT,
    STP_SHIFT,
)
from pinnacle.kernels.account import fee_units
from pinnacle.kernels.book import W, next_below
from pinnacle.kernels.book_l3 import enter, shrink, take_out
from pinnacle.kernels.exchange_state import (
    STP_DECREMENT,
    TAKING,
    say,
    say_end,
    say_level,
    say_order,
    say_trade,
)
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.l3_ids import entry_of
from pinnacle.kernels.rows import nth
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE
from pinnacle.limits import EXCHANGE_OUT_RECORDS, EXCHANGE_ROOM_MIN, PARTICIPANT_ORDER_ID_MAX

# The book knows an order by its participant and the participant's own id together.
_OWN_BITS = 40
assert PARTICIPANT_ORDER_ID_MAX < 1 << _OWN_BITS
# What rests nowhere.
AT_ONCE = IOC | FOK | MARKET


# --- a participant's orders ---------------------------------------------------------------------------------------
@jit_inline
def key_of(owner, order_id):
    """The book's id of a participant's order; 0, which no order has, for an id out of range."""
    return (owner << _OWN_BITS) | order_id if 0 < order_id <= PARTICIPANT_ORDER_ID_MAX else 0


@jit_inline
def own_id(order):
    """The participant's own id of an order in the book."""
    return order["order_id"] & ((1 << _OWN_BITS) - 1)


@jit_inner
def place_of(exchange, table, owner, order_id):
    """Where in the pool a participant's open order is, -1 if it has none of this id."""
    key = key_of(owner, order_id)
    k = entry_of(exchange["l3"], table, key) if key != 0 else -1
    return nth(table, k)["place"] if k >= 0 else -1


@jit_inner
def rest(exchange, participants, orders, table, owner, order_id, venue_order_id, s, x, price_ticks, lots, flags, out):
    """An order joins the end of the queue at its price, and its participant's list."""
    key = key_of(owner, order_id)
    k = enter(exchange["l3"], orders, table, key, s, x, price_ticks, lots, owner, flags)
    order = nth(orders, k)
    order["tag"] = venue_order_id
    participant = nth(participants, owner)
    participant["open_orders"][s] += 1
    head = participant["head"] - 1
    order["chain_next"] = -1
    if head < 0:
        participant["head"] = k + 1
        order["chain_previous"] = k
    else:
        oldest = nth(orders, head)
        newest = np.int64(oldest["chain_previous"])
        order["chain_previous"] = newest
        nth(orders, newest)["chain_next"] = k
        oldest["chain_previous"] = k
    say_order(exchange, out, ORDER_ADD, order)
    say_level(exchange, out, s, x)


@jit_inner
def depart(exchange, participants, orders, table, k, out):
    """A resting order leaves the book and its participant's list; the level is said by the caller."""
    order = nth(orders, k)
    say_order(exchange, out, ORDER_DELETE, order)
    participant = nth(participants, order["owner"])
    participant["open_orders"][np.int64(order["s"])] -= 1
    head = participant["head"] - 1
    following, before = np.int64(order["chain_next"]), np.int64(order["chain_previous"])
    if k == head:
        participant["head"] = following + 1
        if following >= 0:
            nth(orders, following)["chain_previous"] = before
    else:
        nth(orders, before)["chain_next"] = following
        nth(orders, following if following >= 0 else head)["chain_previous"] = before
    take_out(exchange["l3"], orders, table, k)


# --- trading ------------------------------------------------------------------------------------------------------
@jit_inline
def stp_of(participants, owner, flags):
    """What prevents a trade of this order with one of its own participant."""
    said = (flags >> STP_SHIFT) & 7
    return said - 1 if said != 0 else nth(participants, owner)["stp"]


@jit_inline
def be_taker(exchange, owner, order_id, venue_order_id, s, x, price_ticks, lots, flags, stp):
    """Write down the incoming order that is about to trade."""
    taker = exchange["taker"]
    taker["owner"] = owner
    taker["order_id"] = order_id
    taker["venue_order_id"] = venue_order_id
    taker["s"] = s
    taker["x"] = x
    taker["price_ticks"] = price_ticks
    taker["open_lots"] = lots
    taker["flags"] = flags
    taker["stp"] = stp
    taker["touched"] = -1
    exchange["stage"] = TAKING


@jit_inner
def fillable(exchange, participants, orders, owner, stp, o, reach, lots):
    """Whether an order of `lots` can be filled whole on side o down to window index `reach`.

    Own orders that self-trade prevention would remove do not count; those that would stop it end the count.  Bounded
    by the levels in reach, and by their orders where own ones may be among them.
    """
    l3 = exchange["l3"]
    book = l3["book"]
    by_order = stp != STP_NONE and nth(participants, owner)["open_orders"][o] != 0
    x = book["best"][o]
    while x >= reach and lots > 0:
        if not by_order:
            lots -= book["lots"][o, x]
        else:
            k = np.int64(l3["queue_head"][o, x]) - 1
            while k >= 0 and lots > 0:
                order = nth(orders, k)
                if order["owner"] != owner:
                    lots -= order["qty_lots"]
                elif stp != STP_EXPIRE_MAKER:
                    return False
                k = np.int64(order["next"])
        x = next_below(book, o, x)
    return lots <= 0


@jit_inline
def take(exchange, participants, orders, table, out):
    """The incoming order meets the other side, best price first and first come first; False if `out` is too full."""
    l3, taker = exchange["l3"], exchange["taker"]
    book = l3["book"]
    o = 1 - taker["s"]
    reach = W - 1 - taker["x"]
    while taker["open_lots"] > 0 and book["best"][o] >= reach:
        x = book["best"][o]
        k = np.int64(l3["queue_head"][o, x]) - 1
        own = nth(orders, k)["owner"] == taker["owner"] and taker["stp"] != STP_NONE
        if own and taker["stp"] == STP_EXPIRE_TAKER:
            expire_taker(exchange, out)
            break
        # Whatever comes now changes the book, so that the last market record of the command is still to come.
        if out["count"] > EXCHANGE_OUT_RECORDS - EXCHANGE_ROOM_MIN:
            return False
        if taker["touched"] != x:
            if taker["touched"] >= 0:
                say_level(exchange, out, o, taker["touched"])
            taker["touched"] = x
        if own:
            meet_own(exchange, participants, orders, table, k, out)
        else:
            trade(exchange, participants, orders, table, k, out)
    if taker["touched"] >= 0:
        say_level(exchange, out, o, taker["touched"])
    return True


@jit_inline
def trade(exchange, participants, orders, table, k, out):
    """The incoming order and the resting one at place k trade what they can, at the resting one's price."""
    taker, order = exchange["taker"], nth(orders, k)
    owner, maker = taker["owner"], order["owner"]
    side = 1 - 2 * taker["s"]
    price = order["price_ticks"]
    lots = min(taker["open_lots"], order["qty_lots"])
    value = price * lots * exchange["units_per_ticklot"]
    taking, making = nth(participants, owner), nth(participants, maker)
    maker_fee = fee_units(value, exchange["maker_ppb"][making["tier"]])
    taker_fee = fee_units(value, exchange["taker_ppb"][taking["tier"]])
    exchange["trades"] += 1
    flags = MAKER | (FILL_QUEUE_FRONT << REASON_SHIFT)
    say(exchange, out, maker, ORDER_FILLED, own_id(order), -side, price, lots, maker_fee, flags)
    flags = FILL_TAKER << REASON_SHIFT
    say(exchange, out, owner, ORDER_FILLED, taker["order_id"], side, price, lots, taker_fee, flags)
    say_trade(exchange, out, side, price, lots, order["tag"])
    account(making, -side, lots, maker_fee)
    account(taking, side, lots, taker_fee)
    taker["open_lots"] -= lots
    lower(exchange, participants, orders, table, k, lots, out)


@jit_inline
def account(participant, side, lots, fee):
    """Add an execution to a participant's sums."""
    if side > 0:
        participant["bought_lots"] += lots
    else:
        participant["sold_lots"] += lots
    participant["fees_units"] += fee
    participant["fills"] += 1


@jit_inner
def lower(exchange, participants, orders, table, k, lots, out):
    """A resting order has `lots` less open, and leaves if that was all."""
    order = nth(orders, k)
    left = order["qty_lots"] - lots
    if left == 0:
        depart(exchange, participants, orders, table, k, out)
    else:
        shrink(exchange["l3"], orders, k, left)
        say_order(exchange, out, ORDER_MODIFY, order)


@jit_inner
def expire_taker(exchange, out):
    """The incoming order met one of its own participant: what is left of it expires."""
    taker = exchange["taker"]
    side, price, lots = 1 - 2 * taker["s"], taker["price_ticks"], taker["open_lots"]
    say_end(exchange, out, taker["owner"], ORDER_EXPIRED, taker["order_id"], side, price, lots, END_SELF_TRADE)
    taker["open_lots"] = 0


@jit_inner
def meet_own(exchange, participants, orders, table, k, out):
    """The incoming order met one of its own participant's, at place k, and not only itself gives way."""
    taker, order = exchange["taker"], nth(orders, k)
    owner, stp, side = taker["owner"], taker["stp"], 1 - 2 * taker["s"]
    lots = order["qty_lots"]
    if stp == STP_DECREMENT:
        lots = min(lots, taker["open_lots"])
        left, price = order["qty_lots"] - lots, order["price_ticks"]
        say_less(exchange, out, owner, own_id(order), -side, price, lots, left, order["tag"])
        left, price = taker["open_lots"] - lots, taker["price_ticks"]
        say_less(exchange, out, owner, taker["order_id"], side, price, lots, left, taker["venue_order_id"])
        taker["open_lots"] = left
    else:
        say_end(exchange, out, owner, ORDER_EXPIRED, own_id(order), -side, order["price_ticks"], lots, END_SELF_TRADE)
    lower(exchange, participants, orders, table, k, lots, out)
    if stp == STP_EXPIRE_BOTH:
        expire_taker(exchange, out)


@jit_inner
def say_less(exchange, out, owner, order_id, side, price_ticks, lots, left, venue_order_id):
    """Tell a participant that self-trade prevention took `lots` of its order: `left` are open, or it has expired."""
    if left == 0:
        say_end(exchange, out, owner, ORDER_EXPIRED, order_id, side, price_ticks, lots, END_SELF_TRADE)
    else:
        flags = END_SELF_TRADE << REASON_SHIFT
        say(exchange, out, owner, ORDER_REPLACED, order_id, side, price_ticks, left, venue_order_id, flags)


@jit_inline
def come_to_rest(exchange, participants, orders, table, out):
    """What is left of the incoming order rests, or expires if it may not."""
    taker = exchange["taker"]
    lots, flags, owner, order_id = taker["open_lots"], taker["flags"], taker["owner"], taker["order_id"]
    s, price = taker["s"], taker["price_ticks"]
    if lots == 0:
        return
    if flags & AT_ONCE:
        say_end(exchange, out, owner, ORDER_EXPIRED, order_id, 1 - 2 * s, price, lots, END_UNFILLED)
    else:
        venue_id, x = taker["venue_order_id"], taker["x"]
        rest(exchange, participants, orders, table, owner, order_id, venue_id, s, x, price, lots, flags, out)

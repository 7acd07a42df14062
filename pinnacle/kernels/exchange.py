"""A matching engine: commands of many participants in, execution reports and market data out, records both.

A simulated market needs the venue itself and not a model of it: orders in price-time priority, the rules that turn
an order away, and each answer in the order in which a venue gives it.  It is a fold like the engine's: the same
commands give the same bytes.

**Commands** are EVENT records; `ts_ns` is the venue's clock, `aux` the participant (1 ..), `order_id` the
participant's own (1 .. limits.PARTICIPANT_ORDER_ID_MAX, unique among its open orders):

- PLACE: side, price, quantity and flags: none rests (good till cancelled), POST_ONLY, IOC, FOK, or MARKET with
  price_ticks as its protection (0: none).  Bits from STP_SHIFT may say another self-trade prevention than its own.
- REPLACE: order_id has this price and quantity open from now on.  It keeps its place in the queue if the price is the
  same and the quantity did not grow; else it goes to the end, and trades first if it crosses.
- CANCEL: order_id.  CANCEL_ALL: all orders of the participant on `side` (0: both), the oldest first.
- MARKET_STATE: aux is the new STATE_*; said by the venue's operator, not by a participant.

**Outputs** are EVENT records too, with the seq and time of their command; `out.to` beside each is the participant it
is for, 0 for everyone (market data).  In sequence: the taker's acknowledgement; for each execution the maker's fill,
the taker's fill, the TRADE and the resting order's L3_MODIFY or L3_DELETE; a BOOK_LEVEL for each level when the command
is done with it; what came of the rest; TICKER for each side whose best changed.  The last market record of a command
carries LAST.  In reports order_id is the participant's own, and `aux` the fee of a fill or the venue's order id of an
acknowledgement or replacement.  In market data order_id is the venue's, which an order keeps for life, whatever it is
replaced with; a TRADE has that of the resting order, and the trade's id in `aux`; the aux of BOOK_LEVEL and TICKER is
the command's number.

As at the simulated venue of a backtest, IOC, FOK and MARKET orders are not acknowledged, and post-only orders that
would cross expire.  `run` stops when the outputs are nearly full or the pool of orders is, and goes on from there.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    CANCEL,
    CANCEL_ALL,
    CANCEL_REJECTED,
    END_DUPLICATE,
    END_MALFORMED,
    END_NO_LIQUIDITY,
    END_NOTIONAL_FILTER,
    END_ORDERS_MAX,
    END_PRICE_FILTER,
    END_QTY_FILTER,
    END_SELF_TRADE,
    END_STATE,
    END_UNFILLED,
    END_UNKNOWN_ORDER,
    END_WOULD_CROSS,
    FILL_QUEUE_FRONT,
    FILL_TAKER,
    FOK,
    IOC,
    L3_ADD,
    L3_DELETE,
    L3_MODIFY,
    LAST,
    MAKER,
    MARKET,
    MARKET_STATE,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_REPLACED,
    PLACE,
    POST_ONLY,
    REASON_SHIFT,
    REPLACE,
    REPLACE_REJECTED,
    STATE_CANCEL_ONLY,
    STATE_HALTED,
    STATE_OPEN,
    STATE_POST_ONLY,
    STP_SHIFT,
)
from pinnacle.kernels.account import fee_units
from pinnacle.kernels.book import W, best_ticks, next_below, x_of
from pinnacle.kernels.book_l3 import enter, entry_of, move, shrink, take_out
from pinnacle.kernels.exchange_state import (
    CANCELLING,
    EVERYONE,
    IDLE,
    PAUSE_OUT_FULL,
    PAUSE_POOL_FULL,
    STP_DECREMENT,
    TAKING,
    Exchange,
    say,
    say_end,
    say_level,
    say_order,
    say_top,
    say_trade,
)
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NO_PRICE
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE
from pinnacle.limits import EXCHANGE_OUT_RECORDS, EXCHANGE_ROOM_MIN, PARTICIPANT_ORDER_ID_MAX

# The book knows an order by its participant and the participant's own id together.
_OWN_BITS = 40
assert PARTICIPANT_ORDER_ID_MAX < 1 << _OWN_BITS
_AT_ONCE = IOC | FOK | MARKET


@jit
def run(exchange, participants, orders, table, commands, first, count, out):
    """Obey commands[first:count] in sequence; returns the index of the first that is not done.

    participants, orders, table, commands: the first record of each.  Stops short of `count` with the reason in
    exchange["pause"]: PAUSE_OUT_FULL when `out` (LETTERS) must be emptied, PAUSE_POOL_FULL when the book must grow;
    a command that was under way then is gone on with when run is called again with it as `first`.
    """
    exchange["pause"] = 0
    exchange["last_row"] = -1
    k = first
    while k < count:
        if out["count"] > EXCHANGE_OUT_RECORDS - EXCHANGE_ROOM_MIN:
            exchange["pause"] = PAUSE_OUT_FULL
            return k
        command = nth(commands, k)
        if exchange["stage"] == IDLE:
            if command["kind"] == PLACE and exchange["l3"]["count"] == exchange["l3"]["capacity"]:
                exchange["pause"] = PAUSE_POOL_FULL
                return k
            take_up(exchange, participants, orders, table, command, out)
        if exchange["stage"] == TAKING:
            if not take(exchange, participants, orders, table, out):
                exchange["pause"] = PAUSE_OUT_FULL
                return k
            come_to_rest(exchange, participants, orders, table, out)
        elif exchange["stage"] == CANCELLING:
            if not cancel_all(exchange, participants, orders, table, command, out):
                exchange["pause"] = PAUSE_OUT_FULL
                return k
        exchange["stage"] = IDLE
        say_top(exchange, out)
        if exchange["last_row"] >= 0:
            out["rows"][exchange["last_row"]]["flags"] |= LAST
            exchange["last_row"] = -1
        k += 1
    return k


@jit_inline
def take_up(exchange, participants, orders, table, command, out):
    """Begin a command; what can take long is left for its stage."""
    exchange["seq"] = command["seq"]
    exchange["ts_ns"] = command["ts_ns"]
    exchange["commands"] += 1
    kind, owner = np.int64(command["kind"]), command["aux"]
    if kind == MARKET_STATE:
        if STATE_OPEN <= owner <= STATE_POST_ONLY:
            exchange["state"] = owner
            say(exchange, out, EVERYONE, MARKET_STATE, 0, 0, 0, 0, owner, 0)
        else:
            exchange["unknown"] += 1
    elif owner < 1 or owner > exchange["participants"]:
        exchange["strangers"] += 1
    elif kind == CANCEL:
        cancel(exchange, participants, orders, table, owner, command, out)
    elif kind == REPLACE:
        replace(exchange, participants, orders, table, owner, command, out)
    elif kind == PLACE:
        place(exchange, participants, orders, table, owner, command, out)
    elif kind == CANCEL_ALL:
        if exchange["state"] == STATE_HALTED:
            say_end(exchange, out, owner, CANCEL_REJECTED, 0, np.int64(command["side"]), 0, 0, END_STATE)
        else:
            exchange["stage"] = CANCELLING
    else:
        exchange["unknown"] += 1


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
    say_order(exchange, out, L3_ADD, order)
    say_level(exchange, out, s, x)


@jit_inner
def depart(exchange, participants, orders, table, k, out):
    """A resting order leaves the book and its participant's list; the level is said by the caller."""
    order = nth(orders, k)
    say_order(exchange, out, L3_DELETE, order)
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


@jit_inner
def cancel_at(exchange, participants, orders, table, k, out):
    """Cancel the order at a place of the pool, at its participant's request."""
    order = nth(orders, k)
    s, x = np.int64(order["s"]), np.int64(order["x"])
    price, lots = order["price_ticks"], order["qty_lots"]
    say_end(exchange, out, order["owner"], ORDER_CANCELLED, own_id(order), 1 - 2 * s, price, lots, 0)
    depart(exchange, participants, orders, table, k, out)
    say_level(exchange, out, s, x)


@jit_inline
def cancel(exchange, participants, orders, table, owner, command, out):
    """Cancel one order, or say why not."""
    order_id = command["order_id"]
    reason = END_STATE if exchange["state"] == STATE_HALTED else 0
    k = -1
    if reason == 0:
        k = place_of(exchange, table, owner, order_id)
        reason = END_UNKNOWN_ORDER if k < 0 else 0
    if reason != 0:
        say_end(exchange, out, owner, CANCEL_REJECTED, order_id, np.int64(command["side"]), 0, 0, reason)
    else:
        cancel_at(exchange, participants, orders, table, k, out)


@jit_inline
def cancel_all(exchange, participants, orders, table, command, out):
    """Cancel a participant's orders of a side (0: both), the oldest first; False if `out` is too full to go on.

    Bounded by its orders; those of the other side are passed over again after each pause.
    """
    k = nth(participants, command["aux"])["head"] - 1
    side = np.int64(command["side"])
    while k >= 0:
        order = nth(orders, k)
        following = np.int64(order["chain_next"])
        if side == 0 or (side > 0) == (order["s"] == 0):
            if out["count"] > EXCHANGE_OUT_RECORDS - EXCHANGE_ROOM_MIN:
                return False
            cancel_at(exchange, participants, orders, table, k, out)
        k = following
    return True


# --- what is refused ----------------------------------------------------------------------------------------------
@jit_inline
def filtered(exchange, price_ticks, at_ticks, lots):
    """The first filter that a price and quantity break (END_*), 0 if none.  at_ticks: the price its
    value is taken at, NO_PRICE where there is none."""
    if price_ticks < exchange["price_min_ticks"] or price_ticks > exchange["price_max_ticks"]:
        return END_PRICE_FILTER
    if lots < exchange["qty_min_lots"] or lots > exchange["qty_max_lots"]:
        return END_QTY_FILTER
    if at_ticks != NO_PRICE:
        value = at_ticks * lots * exchange["units_per_ticklot"]
        if value < exchange["notional_min_units"] or value > exchange["notional_max_units"]:
            return END_NOTIONAL_FILTER
    return 0


@jit_inline
def malformed(side, flags):
    """Whether an order says no side, or contradicts itself."""
    kinds = (flags & IOC) // IOC + (flags & FOK) // FOK + (flags & POST_ONLY) // POST_ONLY
    wrong = kinds > 1 or (flags & MARKET and flags & (POST_ONLY | FOK))
    return wrong or (side != 1 and side != -1) or (flags >> STP_SHIFT) & 7 > 1 + STP_DECREMENT


@jit_inline
def refusal(exchange, participants, table, owner, command, price_ticks, at_ticks):
    """Why a new order is refused (END_*), 0 if it is not.  price_ticks: the worst it may trade at."""
    side, flags, order_id = np.int64(command["side"]), np.int64(command["flags"]), command["order_id"]
    state = exchange["state"]
    if malformed(side, flags) or key_of(owner, order_id) == 0:
        return END_MALFORMED
    if state == STATE_HALTED or state == STATE_CANCEL_ONLY or (state == STATE_POST_ONLY and flags & _AT_ONCE):
        return END_STATE
    if place_of(exchange, table, owner, order_id) >= 0:
        return END_DUPLICATE
    reason = filtered(exchange, price_ticks, at_ticks, command["qty_lots"])
    if reason != 0:
        return reason
    participant = nth(participants, owner)
    if flags & _AT_ONCE == 0:
        if participant["open_orders"][0] + participant["open_orders"][1] >= participant["orders_max"]:
            return END_ORDERS_MAX
    return 0


# --- new and replaced orders --------------------------------------------------------------------------------------
@jit_inline
def place(exchange, participants, orders, table, owner, command, out):
    """A new order: refused, expired, resting, or about to trade."""
    book = exchange["l3"]["book"]
    side, flags = np.int64(command["side"]), np.int64(command["flags"])
    order_id, lots, said_ticks = command["order_id"], command["qty_lots"], command["price_ticks"]
    s = 0 if side > 0 else 1
    price = at_ticks = said_ticks
    if flags & MARKET:
        if said_ticks == 0:
            price = exchange["price_max_ticks"] if s == 0 else exchange["price_min_ticks"]
        at_ticks = best_ticks(book, 1 - s)
    reason = refusal(exchange, participants, table, owner, command, price, at_ticks)
    if reason != 0:
        say_end(exchange, out, owner, ORDER_REJECTED, order_id, side, said_ticks, lots, reason)
        return
    x = x_of(book, s, price)
    crosses = x + book["best"][1 - s] >= W - 1
    stp = stp_of(participants, owner, flags)
    if crosses:
        if flags & POST_ONLY or exchange["state"] == STATE_POST_ONLY:
            reason = END_WOULD_CROSS
        elif flags & FOK and not fillable(exchange, participants, orders, owner, stp, 1 - s, W - 1 - x, lots):
            reason = END_UNFILLED
    elif flags & _AT_ONCE:
        reason = END_NO_LIQUIDITY
    if reason != 0:
        say_end(exchange, out, owner, ORDER_EXPIRED, order_id, side, said_ticks, lots, reason)
        return
    venue_order_id = 0
    if flags & _AT_ONCE == 0:
        venue_order_id = exchange["orders"] = exchange["orders"] + 1
        shown = flags & POST_ONLY
        say(exchange, out, owner, ORDER_ACKNOWLEDGED, order_id, side, price, lots, venue_order_id, shown)
        if not crosses:
            rest(exchange, participants, orders, table, owner, order_id, venue_order_id, s, x, price, lots, flags, out)
            return
    be_taker(exchange, owner, order_id, venue_order_id, s, x, said_ticks, lots, flags, stp)


@jit_inline
def replace(exchange, participants, orders, table, owner, command, out):
    """An open order gets another price and quantity, or the replace is refused and it stays as it was."""
    l3 = exchange["l3"]
    book = l3["book"]
    flags, order_id = np.int64(command["flags"]), command["order_id"]
    price, lots = command["price_ticks"], command["qty_lots"]
    k = place_of(exchange, table, owner, order_id)
    state, reason = exchange["state"], 0
    if state == STATE_HALTED or state == STATE_CANCEL_ONLY:
        reason = END_STATE
    elif k < 0:
        reason = END_UNKNOWN_ORDER
    elif flags & _AT_ONCE or (flags >> STP_SHIFT) & 7 > 1 + STP_DECREMENT:
        reason = END_MALFORMED
    else:
        reason = filtered(exchange, price, price, lots)
    if reason != 0:
        say_end(exchange, out, owner, REPLACE_REJECTED, order_id, np.int64(command["side"]), price, lots, reason)
        return
    order = nth(orders, k)
    s, from_x = np.int64(order["s"]), np.int64(order["x"])
    x, side = x_of(book, s, price), 1 - 2 * s
    crosses = x + book["best"][1 - s] >= W - 1
    if crosses and (flags & POST_ONLY or state == STATE_POST_ONLY):
        say_end(exchange, out, owner, REPLACE_REJECTED, order_id, side, price, lots, END_WOULD_CROSS)
        return
    venue_order_id = order["tag"]
    say(exchange, out, owner, ORDER_REPLACED, order_id, side, price, lots, venue_order_id, flags & POST_ONLY)
    if crosses:
        depart(exchange, participants, orders, table, k, out)
        say_level(exchange, out, s, from_x)
        stp = stp_of(participants, owner, flags)
        be_taker(exchange, owner, order_id, venue_order_id, s, x, price, lots, flags, stp)
        return
    order["flags"] = flags
    if x == from_x and lots <= order["qty_lots"]:
        shrink(l3, orders, k, lots)
    else:
        move(l3, orders, k, x, price, lots)
    say_order(exchange, out, L3_MODIFY, order)
    if x != from_x:
        say_level(exchange, out, s, from_x)
    say_level(exchange, out, s, x)


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
        say_order(exchange, out, L3_MODIFY, order)


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
    if flags & _AT_ONCE:
        say_end(exchange, out, owner, ORDER_EXPIRED, order_id, 1 - 2 * s, price, lots, END_UNFILLED)
    else:
        venue_id, x = taker["venue_order_id"], taker["x"]
        rest(exchange, participants, orders, table, owner, order_id, venue_id, s, x, price, lots, flags, out)


def submit(venue: Exchange, commands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Obey EVENT[n]; returns (EVENT[m], int32[m]): what the venue says, and to which participant each record goes.

    Room is made wherever it is wanted.  The arrays are copies.
    """
    rows, to = [], []
    out = venue.out[0]
    done = 0
    while True:
        if commands.size:
            done = run(*venue.args, commands[0], done, commands.size, out)
        rows.append(out["rows"][: out["count"]].copy())
        to.append(out["to"][: out["count"]].copy())
        out["count"] = 0
        if done == commands.size:
            return np.concatenate(rows), np.concatenate(to)
        if venue.exchange[0]["pause"] == PAUSE_POOL_FULL:
            grown = venue.book.grow()
            # What may rest is bounded by the participants' limits, which are the owner's to set.
            assert grown

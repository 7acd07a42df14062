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
the taker's fill, the TRADE and the resting order's ORDER_MODIFY or ORDER_DELETE; a BOOK_LEVEL for each level when the
command is done with it; what came of the rest; TICKER for each side whose best changed.  The last market record of a
command carries LAST.  In reports order_id is the participant's own, and `aux` the fee of a fill or the venue's order id
of an acknowledgement or replacement.  In market data order_id is the venue's, which an order keeps for life, whatever
it is replaced with; a TRADE has that of the resting order, and the trade's id in `aux`; the aux of BOOK_LEVEL and
TICKER is the command's number.

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
    END_STATE,
    END_UNFILLED,
    END_UNKNOWN_ORDER,
    END_WOULD_CROSS,
    FOK,
    IOC,
    LAST,
    MARKET,
    MARKET_STATE,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_MODIFY,
    ORDER_REJECTED,
    ORDER_REPLACED,
    PLACE,
    POST_ONLY,
    REPLACE,
    REPLACE_REJECTED,
    STATE_CANCEL_ONLY,
    STATE_HALTED,
    STATE_OPEN,
    STATE_POST_ONLY,
    STP_SHIFT,
)
from pinnacle.kernels.book import W, best_ticks, x_of
from pinnacle.kernels.book_l3 import move, shrink
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
)
from pinnacle.kernels.exchange_trade import (
    AT_ONCE,
    be_taker,
    come_to_rest,
    depart,
    fillable,
    key_of,
    own_id,
    place_of,
    rest,
    stp_of,
    take,
)
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NO_PRICE
from pinnacle.limits import EXCHANGE_OUT_RECORDS, EXCHANGE_ROOM_MIN


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


# --- cancels ---------------------------------------------------------------------------------------
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
    if state == STATE_HALTED or state == STATE_CANCEL_ONLY or (state == STATE_POST_ONLY and flags & AT_ONCE):
        return END_STATE
    if place_of(exchange, table, owner, order_id) >= 0:
        return END_DUPLICATE
    reason = filtered(exchange, price_ticks, at_ticks, command["qty_lots"])
    if reason != 0:
        return reason
    participant = nth(participants, owner)
    if flags & AT_ONCE == 0:
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
    elif flags & AT_ONCE:
        reason = END_NO_LIQUIDITY
    if reason != 0:
        say_end(exchange, out, owner, ORDER_EXPIRED, order_id, side, said_ticks, lots, reason)
        return
    venue_order_id = 0
    if flags & AT_ONCE == 0:
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
    elif flags & AT_ONCE or (flags >> STP_SHIFT) & 7 > 1 + STP_DECREMENT:
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
    say_order(exchange, out, ORDER_MODIFY, order)
    if x != from_x:
        say_level(exchange, out, s, from_x)
    say_level(exchange, out, s, x)


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
            return (rows[0], to[0]) if len(rows) == 1 else (np.concatenate(rows), np.concatenate(to))
        if venue.exchange[0]["pause"] == PAUSE_POOL_FULL:
            grown = venue.book.grow()
            # What may rest is bounded by the participants' limits, which are the owner's to set.
            assert grown

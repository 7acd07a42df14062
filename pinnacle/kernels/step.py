"""The fold: one event in, commands out.  Read this first.

Everything pinnacle does is this function over a log.  A backtest, a live session and a replay differ in who supplies
the events and who receives the commands; none of them can do anything that is not written here.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    ALERT,
    ALERT_ODD_TRANSITION,
    ALERT_STALE,
    BOOK_CLEAR,
    BOOK_LEVEL,
    CANCEL_REJECTED,
    CHECKPOINT,
    DIFFERENCE_STARTED,
    FUNDING,
    IOC,
    LAST,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    MARKET_KIND_MAX,
    OPERATOR_FLATTEN,
    OPERATOR_KILL,
    OPERATOR_PAUSE,
    OPERATOR_RESUME,
    ORDER_ACKNOWLEDGED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    ORDER_UNKNOWN,
    PARAMETER_SCALE,
    PARAMETER_SET,
    RECONCILED,
    REDUCE,
    TICKER,
    TIMER,
    TRADE,
)
from pinnacle.kernels import account, orders
from pinnacle.kernels.book import best_ticks, clear, level_outside, near_edge, recentre, set_level, x_of
from pinnacle.kernels.call import call_quote
from pinnacle.kernels.fingerprint import fingerprint
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.outbox import say
from pinnacle.kernels.reconcile import reconcile
from pinnacle.kernels.risk import want_in_range
from pinnacle.kernels.state import (
    FAULT_TOO_MANY,
    LINK_IS_STALE,
    LINK_LIVE,
    NO_PRICE,
    PAUSED_FLATTENING,
    STOP_MONEY,
    STOP_STRATEGY_VALUE,
    STOP_TIME_BACK,
    STOP_TOO_MANY_QUOTES,
    WAKE_FEED,
    WAKE_ORDER,
    WAKE_TIMER,
)
from pinnacle.limits import BOOK_WINDOW_TICKS, OUT_RECORDS, OUT_ROOM_MIN


@jit
def step(state, event, quote, out):
    """Fold one input into the state and append what follows from it to `out`.

    event: an EVENT record with kind below 128; its seq must be market.seq + 1 and its ts_ns not before market.ts_ns.
    quote: address of the strategy.  out: at least limits.OUT_ROOM_MIN free rows.
    """
    market, lane = state["market"], state["lane"]
    if event["ts_ns"] < market["ts_ns"]:
        lane["fault"] = STOP_TIME_BACK
        return
    market["seq"] += 1
    market["ts_ns"] = event["ts_ns"]
    # Small unsigned fields become int64 at once: each other type would compile every callee again.
    if event["kind"] <= MARKET_KIND_MAX:
        if event["kind"] == BOOK_LEVEL:
            hear_level(market, event)
        else:
            me, kind, side = np.int64(event["instrument"]), np.int64(event["kind"]), np.int64(event["side"])
            hear_market_rare(market, me, kind, side, event["price_ticks"], event["qty_lots"])
            if kind >= FUNDING:
                hear_market_own(market, lane, me, kind, event["price_ticks"], event["qty_lots"], out)
        if event["flags"] & LAST and lane["wake_on"] & WAKE_FEED and event["ts_ns"] >= lane["start_ns"]:
            refresh_tops(market)
            wake_feed(market, lane, np.int64(event["instrument"]), quote, out)
    else:
        hear_other(market, lane, event, quote, out)
    end_of_input(market, lane, out)


@jit_inline
def hear_level(market, event):
    """A level of a book: the one thing that most events are."""
    book = market["book"][event["instrument"]]
    s = 0 if event["side"] > 0 else 1
    x = x_of(book, s, event["price_ticks"])
    if x < 0 or x >= BOOK_WINDOW_TICKS:
        x = level_outside(book, s, event["price_ticks"], event["qty_lots"])
    if x >= 0:
        set_level(book, s, x, event["qty_lots"])


@jit_inner
def hear_market_rare(market, me, kind, side, price_ticks, qty_lots):
    """What trades, tickers, clears and the health of the link change in the market's own record."""
    top = market["top"][me]
    if kind == TRADE:
        top["trade_ticks"] = price_ticks
        top["trade_lots"] = qty_lots
        top["trade_side"] = side
        top["trade_count"] += 1
        if side > 0:
            top["bought_lots"] += qty_lots
        else:
            top["sold_lots"] += qty_lots
    elif kind == TICKER:
        if side > 0:
            top["ticker_bid_ticks"], top["ticker_bid_lots"] = price_ticks, qty_lots
        else:
            top["ticker_ask_ticks"], top["ticker_ask_lots"] = price_ticks, qty_lots
    elif kind == BOOK_CLEAR:
        clear(market["book"][me], side, price_ticks)
    elif kind == LINK_UP:
        top["link"] = LINK_LIVE
    elif kind == LINK_DOWN or kind == LINK_GAP or kind == LINK_STALE:
        top["link"] = LINK_IS_STALE


@jit_inner
def hear_market_own(market, lane, me, kind, price_ticks, qty_lots, out):
    """What funding and a lost link change on our side."""
    own = lane["own"][me]
    if kind == FUNDING:
        if price_ticks == 0:
            refresh_top(market, me)
            price_ticks = market["top"][me]["mid2_ticks"] // 2
            if price_ticks == 0:
                price_ticks = max(0, market["top"][me]["trade_ticks"])
        account.book_funding(own, qty_lots, price_ticks)
    elif kind == LINK_DOWN or kind == LINK_GAP or kind == LINK_STALE:
        say(market, me, ALERT, 0, 0, 0, 0, ALERT_STALE, 0, out)
        for k in range(market["instruments"]):
            if k == me or lane["listen_all"]:
                pull(market, lane, k, out)


@jit_inner
def pull(market, lane, me, out):
    """Cancel what works on one instrument."""
    own = lane["own"][me]
    if own["traded"]:
        own["want"]["count"] = 0
        reconcile(market, lane, me, out)


@jit_inline
def may_quote(market, lane, me):
    """Whether the book that an instrument is quoted on is whole; where all listen to each other, every book."""
    whole = market["top"][me]["link"] == LINK_LIVE
    if lane["listen_all"]:
        for k in range(market["instruments"]):
            whole = whole and market["top"][k]["link"] == LINK_LIVE
    return whole


@jit_inner
def hear_other(market, lane, event, quote, out):
    """Timers, answers to our commands, and what the operator says."""
    kind, me = np.int64(event["kind"]), np.int64(event["instrument"])
    if kind == TIMER:
        if lane["wake_on"] & WAKE_TIMER:
            refresh_tops(market)
            wake_all(market, lane, quote, out)
    elif ORDER_ACKNOWLEDGED <= kind <= ORDER_UNKNOWN:
        hear_answer(market, lane, event, out)
        if lane["wake_on"] & WAKE_ORDER:
            refresh_tops(market)
            wake(market, lane, me, quote, out)
    elif kind == OPERATOR_PAUSE:
        lane["paused"] = 1
        refresh_tops(market)
        wake_all(market, lane, quote, out)
    elif kind == OPERATOR_RESUME:
        if lane["killed"] == 0:
            lane["paused"] = 0
    elif kind == OPERATOR_KILL or kind == OPERATOR_FLATTEN:
        lane["paused"] = PAUSED_FLATTENING if kind == OPERATOR_FLATTEN else 1
        if kind == OPERATOR_KILL:
            lane["killed"] = 1
        refresh_tops(market)
        wake_all(market, lane, quote, out)
    elif kind == RECONCILED:
        if event["aux"] == DIFFERENCE_STARTED:
            lane["next_order_id"] = max(lane["next_order_id"], event["order_id"] + 1)
    elif kind == PARAMETER_SET:
        lane["own"][me]["params"][event["aux"]] = event["price_ticks"] / PARAMETER_SCALE


@jit_inline
def hear_answer(market, lane, event, out):
    """An answer moves its order by the transition table; an execution moves the account, whatever the table says.

    A fill is money: it is booked even when it comes for an order that we believed gone.
    """
    me, kind, side = np.int64(event["instrument"]), np.int64(event["kind"]), np.int64(event["side"])
    own = lane["own"][me]
    slot = orders.slot_of(own, event["order_id"])
    if kind == ORDER_FILLED:
        fee, qty = event["aux"], event["qty_lots"]
        if not account.book_fill(own, side, event["price_ticks"], qty, fee, np.int64(event["flags"])):
            lane["fault"] = STOP_MONEY
            lane["fault_instrument"] = me
            return
    elif kind == ORDER_REJECTED:
        own["rejected"] += 1
    elif kind == ORDER_EXPIRED:
        own["expired"] += 1
    if slot >= 0:
        if orders.hear(own, slot, kind, event["qty_lots"]):
            return
    elif kind == CANCEL_REJECTED:
        return  # real world: the order's end was heard while our cancel was on its way
    own["odd"] += 1
    say(market, me, ALERT, event["order_id"], side, 0, 0, ALERT_ODD_TRANSITION, 0, out)


@jit_inner
def refresh_top(market, me):
    """Best prices and quantities of an instrument's book, and a window that is still around them."""
    book, top = market["book"][me], market["top"][me]
    if near_edge(book):
        recentre(book, best_ticks(book, 0 if book["best"][0] >= 0 else 1))
    top["bid_ticks"], top["ask_ticks"] = best_ticks(book, 0), best_ticks(book, 1)
    both = book["best"][0] >= 0 and book["best"][1] >= 0
    top["mid2_ticks"] = top["bid_ticks"] + top["ask_ticks"] if both else 0
    top["bid_lots"] = book["lots"][0, book["best"][0]] if book["best"][0] >= 0 else 0
    top["ask_lots"] = book["lots"][1, book["best"][1]] if book["best"][1] >= 0 else 0


@jit_inner
def refresh_tops(market):
    """The tops of all instruments, before any strategy is woken."""
    for k in range(market["instruments"]):
        refresh_top(market, k)


@jit_inline
def wake_feed(market, lane, heard, quote, out):
    """A whole message was heard: quote its instrument anew, or all of them if they listen to each other."""
    if lane["listen_all"]:
        wake_all(market, lane, quote, out)
    else:
        wake(market, lane, heard, quote, out)


@jit_inner
def wake_all(market, lane, quote, out):
    """Quote every traded instrument anew."""
    for me in range(market["instruments"]):
        wake(market, lane, me, quote, out)


@jit_inner
def wake(market, lane, me, quote, out):
    """Ask the strategy what it wants on one instrument, then send the fewest commands that give it that.

    The tops must be fresh.
    """
    own = lane["own"][me]
    if own["traded"] == 0:
        return
    want = own["want"]
    want["count"], want["hold"], want["fault"] = 0, 0, 0
    if lane["paused"] == PAUSED_FLATTENING:
        want_flat(market, own, me)
    elif lane["paused"] == 0 and may_quote(market, lane, me):
        lane["wakes"] += 1
        if lane["external"]:
            own["due"] = 1
            lane["due"] = 1
            return
        call_quote(quote, market, lane, me)
    answer_want(market, lane, me, out)


@jit_inner
def want_flat(market, own, me):
    """Want the whole position taken off at the other side's best, at once; what that does not fill is tried again."""
    want, top, held = own["want"], market["top"][me], own["position_lots"]
    price = top["bid_ticks"] if held > 0 else top["ask_ticks"]
    if held != 0 and price != NO_PRICE and top["link"] == LINK_LIVE:
        want["count"] = 1
        want["price_ticks"][0] = price
        want["qty_lots"][0] = abs(held)
        want["side"][0] = -1 if held > 0 else 1
        want["flags"][0] = IOC | REDUCE


@jit_inner
def answer_want(market, lane, me, out):
    """Check what the strategy wrote, and reconcile."""
    own = lane["own"][me]
    want = own["want"]
    if want["fault"] != 0 or not want_in_range(want):
        lane["fault"] = STOP_TOO_MANY_QUOTES if want["fault"] == FAULT_TOO_MANY else STOP_STRATEGY_VALUE
        lane["fault_instrument"] = me
        return
    if want["hold"]:
        return
    refused = own["risk"]["refused"]
    reconcile(market, lane, me, out)
    if own["risk"]["refused"] == refused:
        own["risk"]["alerts"] = 0


@jit
def answer_external(state, out):
    """Go on after a strategy outside the kernels has written what it wants on each instrument that was due."""
    market, lane = state["market"], state["lane"]
    lane["due"] = 0
    for me in range(market["instruments"]):
        if lane["own"][me]["due"]:
            lane["own"][me]["due"] = 0
            answer_want(market, lane, me, out)
    end_of_input(market, lane, out)


@jit_inline
def end_of_input(market, lane, out):
    """A checkpoint after every so many inputs, so that a replay can tell early where it went another way."""
    if market["seq"] == lane["checkpoint_seq"] and lane["due"] == 0:
        checkpoint(market, lane, out)


@jit_inner
def checkpoint(market, lane, out):
    """Say the fingerprint of the state as it is after this input, and when the next one is due."""
    say(market, 0, CHECKPOINT, 0, 0, 0, 0, fingerprint(market, lane), 0, out)
    lane["checkpoint_seq"] += lane["checkpoint_every"]


@jit
def fold(states, events, first, quote, outs):
    """Fold events[first:] into the state until all are heard, `out` is full, or the strategy is due outside.

    states, outs: of one record each; a live turn pays for what crosses from Python, and a large record costs ten
    microseconds where an array costs less than one.  events: EVENT[n], inputs in order.  Returns the index of the
    first event that was not heard.
    """
    state, out = states[0], outs[0]
    lane = state["lane"]
    k = first
    while k < events.size and lane["due"] == 0 and lane["fault"] == 0:
        if out["count"] >= OUT_RECORDS - OUT_ROOM_MIN:
            break
        step(state, events[k], quote, out)
        k += 1
    return k

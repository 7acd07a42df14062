"""A market that answers back, in one loop: the others' orders, the matching engine, the lines to it, and the engine.

All is one order of time.  At equal times: at the exchange the background before our own requests; then what we
hear: market data, answers, timers.  What is decided at a time reaches the exchange after all that happened there then.

The market's rows leave the exchange as they are made and are heard after the feed's delay, a command's rows together;
answers and requests are on the lines of the simulated venue of a backtest (wire.py), with its latencies.  The engine
is the fold of step.py, and every input goes into the log before it, so a replay needs nothing else.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    BOOK_LEVEL,
    CANCEL,
    EVENT,
    LAST,
    ORDER_ACKNOWLEDGED,
    SNAPSHOT,
    TIMER,
)
from pinnacle.kernels.background import candidate, follow_best, hear_exchange, obey, pool_full, settle
from pinnacle.kernels.book import next_below, ticks_of
from pinnacle.kernels.book_l3 import ahead_lots
from pinnacle.kernels.exchange import run
from pinnacle.kernels.exchange_state import EVERYONE, PAUSE_POOL_FULL
from pinnacle.kernels.exchange_trade import key_of
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.observe import observe_answer, observe_due
from pinnacle.kernels.outbox import keep
from pinnacle.kernels.recorded import need_rows, play, settle_recorded
from pinnacle.kernels.state import NEVER, STOP_AT_ONCE
from pinnacle.kernels.step import step
from pinnacle.kernels.wire import answer, drop_answer, drop_request, least_of, send
from pinnacle.limits import (
    ANSWERS_AT_ONCE_MAX,
    EXCHANGE_OUT_RECORDS,
    EXCHANGE_ROOM_MIN,
    FEED_ROWS_MAX,
    FEED_SNAPSHOT_LEVELS,
    IN_FLIGHT_MAX,
    OBSERVATIONS_MAX,
    OBSERVED_ROOM_MIN,
    OUT_RECORDS,
    OUT_ROOM_MIN,
)

# The participant that the engine's orders belong to.
OURSELVES = 2

# The market's rows on their way to the engine, in the order in which the exchange said them.
FEED = np.dtype(
    [
        ("first", "<i8"),
        ("end", "<i8"),
        ("delay_ns", "<i8"),
        ("lost", "<i8"),  # rows for which there was no room: the run must stop
        ("rows", EVENT, (FEED_ROWS_MAX,)),
    ]
)
_FEED = FEED_ROWS_MAX - 1
assert FEED_ROWS_MAX & _FEED == 0 and 4 * FEED_SNAPSHOT_LEVELS <= FEED_ROWS_MAX

# Where the loop is between two calls, and how it was set up.
SIMULATED = np.dtype(
    [
        ("timer_ns", "<i8"),  # next timer, NEVER if there is none
        ("timer_every_ns", "<i8"),
        ("stop_ns", "<i8"),  # nothing after this time happens
        ("pause_ns", "<i8"),  # come back to the owner before this time is passed
        ("snapshots", "<i8"),  # 1: pause after each checkpoint, for the owner to keep the state
        ("snapped", "<i8"),  # input of the next checkpoint when that was done last
        ("sent", "<i8"),  # rows of out before this were looked at for commands
        ("timer", EVENT),
        ("command", EVENT),  # of ours, at the exchange
        ("pending", "<i8"),  # 1: it is under way there
        ("market_rows", "<i8"),  # heard
        ("own_commands", "<i8"),  # arrived at the exchange
        ("commands", "<i8"),  # of the background
    ]
)

# What the loop asks of its owner.
ENDED = 0
OUT_FULL = 1
OBSERVED_FULL = 2
CALL_STRATEGY = 3
FAULT = 4
KEEP_STATE = 5
POOL_FULL = 6
NEED_ROWS = 7
PAUSED = 8
LETTERS_FULL = 9


# --- the background alone -----------------------------------------------------------------------------------------
@jit_inline
def others_act(flow, exchange, orders, table, rows):
    """What the background does at its next time; True if that is a command."""
    if flow["recorded"]:
        return play(flow, exchange, orders, table, rows)
    return candidate(flow, exchange, orders)


@jit_inline
def others_next(flow, exchange, now_ns, rows):
    """The background's next time, after whatever happened at now_ns."""
    if flow["recorded"]:
        settle_recorded(flow, rows)
    else:
        settle(flow, exchange, now_ns)


@jit
def advance(flow, exchange, participants, orders, table, rows, letters, to_ns):
    """The background alone up to a time, that time included; what the exchange says is appended to `letters`.

    Returns ENDED, or what the owner must do before calling again: LETTERS_FULL, POOL_FULL, NEED_ROWS.
    """
    while True:
        if letters["count"] > EXCHANGE_OUT_RECORDS - 2 * EXCHANGE_ROOM_MIN:
            return LETTERS_FULL
        if flow["pending"]:
            if obey(flow, exchange, participants, orders, table, letters):
                others_next(flow, exchange, flow["command"]["ts_ns"], rows)
            continue
        if need_rows(flow):
            return NEED_ROWS
        if flow["next_ns"] == 0:
            settle_recorded(flow, rows)
        if flow["next_ns"] > to_ns:
            return ENDED
        if pool_full(exchange):
            return POOL_FULL
        now = flow["next_ns"]
        if others_act(flow, exchange, orders, table, rows):
            flow["pending"] = 1
        else:
            others_next(flow, exchange, now, rows)


@jit
def intrude(flow, exchange, participants, orders, table, rows, commands, first, count, letters):
    """Commands of other participants, commands[first:count], at times that the background has not passed.

    Returns the index of the first that is not done: empty `letters`, or give the pool room (exchange.pause says
    which), and call again from there.
    """
    before = letters["count"]
    done = run(exchange, participants, orders, table, commands, first, count, letters)
    hear_exchange(flow, exchange, letters, before)
    follow_best(flow, exchange)
    if done == count and not flow["recorded"]:
        settle(flow, exchange, max(flow["clock_ns"], exchange["ts_ns"]))
    return done


# --- the feed -----------------------------------------------------------------------------------------------------
@jit_inline
def tell(feed, row):
    """Put a row of the market on its way to the engine."""
    end = feed["end"]
    if end - feed["first"] >= FEED_ROWS_MAX:
        feed["lost"] += 1
        return
    feed["rows"][end & _FEED] = row
    feed["rows"][end & _FEED]["ts_ns"] = row["ts_venue_ns"] + feed["delay_ns"]
    feed["end"] = end + 1


@jit
def join_feed(exchange, feed, row, now_ns):
    """The engine joins a market that is going on: it is told the book's levels in one message, best first.

    row: an EVENT to write in.  At most FEED_SNAPSHOT_LEVELS of each side; the farther ones are heard when they change.
    """
    book = exchange["l3"]["book"]
    row["ts_venue_ns"] = now_ns
    row["kind"] = BOOK_LEVEL
    row["flags"] = SNAPSHOT
    row["venue"], row["instrument"] = exchange["venue"], exchange["instrument"]
    for s in range(2):
        x = book["best"][s]
        levels = 0
        while x >= 0 and levels < FEED_SNAPSHOT_LEVELS:
            row["side"] = 1 - 2 * s
            row["price_ticks"] = ticks_of(book, s, x)
            row["qty_lots"] = book["lots"][s, x]
            tell(feed, row)
            x = next_below(book, s, x)
            levels += 1
    if feed["end"] > feed["first"]:
        feed["rows"][(feed["end"] - 1) & _FEED]["flags"] |= LAST


@jit_inner
def hand_over(exchange, orders, table, letters, sim, desk, points, feed):
    """What the exchange said goes on its way: market data to the feed, reports to us on the line of answers."""
    for k in range(letters["count"]):
        row = letters["rows"][k]
        to = np.int64(letters["to"][k])
        if to == EVERYONE:
            tell(feed, row)
        elif to == OURSELVES:
            kind, aux = np.int64(row["kind"]), row["aux"]
            if kind == ORDER_ACKNOWLEDGED:
                # The report says where in its queue an order began; the venue's own id means nothing to the engine.
                aux = max(0, ahead_lots(exchange["l3"], orders, table, key_of(to, row["order_id"])))
            side, flags = np.int64(row["side"]), np.int64(row["flags"])
            answer(
                sim, desk, points, 0, kind, row["order_id"], side, row["price_ticks"], row["qty_lots"], aux, flags
            )  # fmt: skip
    letters["count"] = 0


# --- the loop -----------------------------------------------------------------------------------------------------
@jit
def simulate(
    state, sim, desk, flow, exchange, participants, orders, table, letters, feed, cursor, rows, points, quote, out,
    observed,
):  # fmt: skip
    """Run until the owner is needed; returns why (ENDED ..).

    state, sim, flow, exchange, letters, feed, cursor, out, observed: records.  desk: the lane's.  participants, orders,
    table: the first record of each.  rows: EVENT[n], of the history where one is played.  points: int64[k, 4], see
    latency.  quote: the strategy's address.
    """
    market, lane = state["market"], state["lane"]
    while True:
        if cursor["sent"] < out["count"]:
            cursor["sent"] = send(sim, desk, points, out, cursor["sent"], feed["delay_ns"])
        code = why_pause(lane, desk, flow, exchange, feed, cursor, out, observed)
        if code >= 0:
            return code
        if flow["next_ns"] == 0:
            settle_recorded(flow, rows)
        others_ns, request_ns, answer_ns = flow["next_ns"], sim["request_due_ns"], sim["answer_due_ns"]
        feed_ns = NEVER
        if feed["first"] < feed["end"]:
            feed_ns = feed["rows"][feed["first"] & _FEED]["ts_ns"]
        heard_ns = min(feed_ns, min(answer_ns, cursor["timer_ns"]))
        now = min(heard_ns, min(others_ns, request_ns))
        if now > cursor["stop_ns"]:
            return ENDED
        if now > cursor["pause_ns"]:
            return PAUSED
        if others_ns == now:
            if others_act(flow, exchange, orders, table, rows):
                sim["clock_ns"] = now
                cursor["commands"] += 1
                while not obey(flow, exchange, participants, orders, table, letters):
                    hand_over(exchange, orders, table, letters, sim, desk, points, feed)
                hand_over(exchange, orders, table, letters, sim, desk, points, feed)
            others_next(flow, exchange, now, rows)
        elif request_ns == now:
            request_arrives(sim, desk, flow, exchange, participants, orders, table, letters, feed, cursor, rows, points)
        elif observed["due_ns"] < now:
            observe_due(market, lane, now, observed)
        elif feed_ns == now:
            hear_message(state, feed, cursor, quote, out)
        elif answer_ns == now:
            hear_answer(state, sim, desk, quote, out, observed)
        else:
            timer = cursor["timer"]
            timer["kind"] = TIMER
            timer["ts_ns"] = now
            cursor["timer_ns"] = now + cursor["timer_every_ns"]
            keep(timer, market["seq"] + 1, now, out)
            step(state, timer, quote, out)


@jit_inline
def why_pause(lane, desk, flow, exchange, feed, cursor, out, observed):
    """What the owner must do before anything more can happen, -1 if nothing."""
    code = -1
    if lane["fault"] != 0 or desk["fault"] != 0 or feed["lost"] != 0:
        code = FAULT
    elif lane["due"] != 0:
        code = CALL_STRATEGY
    elif cursor["snapshots"] != 0 and cursor["snapped"] != lane["checkpoint_seq"]:
        code = KEEP_STATE
    elif out["count"] >= OUT_RECORDS - OUT_ROOM_MIN:
        code = OUT_FULL
    elif observed["count"] >= OBSERVATIONS_MAX - OBSERVED_ROOM_MIN:
        code = OBSERVED_FULL
    elif pool_full(exchange):
        code = POOL_FULL
    elif need_rows(flow):
        code = NEED_ROWS
    return code


@jit_inner
def request_arrives(sim, desk, flow, exchange, participants, orders, table, letters, feed, cursor, rows, points):
    """Our next request reaches the exchange, and all that it causes there happens at once."""
    now = sim["request_due_ns"]
    sim["clock_ns"] = now
    own = desk["own"][0]
    request = own["requests"][own["request_first"] & (IN_FLIGHT_MAX - 1)]
    command = cursor["command"]
    command["ts_ns"] = command["ts_venue_ns"] = now
    command["order_id"] = request["order_id"]
    command["price_ticks"], command["qty_lots"] = request["price_ticks"], request["qty_lots"]
    command["kind"], command["side"] = request["kind"], request["side"]
    command["flags"] = 0 if request["kind"] == CANCEL else request["flags"]
    command["aux"] = OURSELVES
    drop_request(sim, desk)
    sim["request_due_ns"] = least_of(sim["request_due"], 1)
    cursor["own_commands"] += 1
    done = 0
    while done == 0:
        done = run(exchange, participants, orders, table, command, 0, 1, letters)
        hear_exchange(flow, exchange, letters, 0)
        hand_over(exchange, orders, table, letters, sim, desk, points, feed)
        # Room in the pool was asked for before.
        assert exchange["pause"] != PAUSE_POOL_FULL
    follow_best(flow, exchange)
    if not flow["recorded"]:
        settle(flow, exchange, now)


@jit_inner
def hear_message(state, feed, cursor, quote, out):
    """The engine hears the rows of one command of the exchange, which are all heard at one time, or as room is left."""
    market, lane = state["market"], state["lane"]
    going = True
    while going:
        row = feed["rows"][feed["first"] & _FEED]
        going = row["flags"] & LAST == 0
        keep(row, market["seq"] + 1, row["ts_ns"], out)
        step(state, row, quote, out)
        feed["first"] += 1
        cursor["market_rows"] += 1
        if feed["first"] == feed["end"] or out["count"] >= OUT_RECORDS - OUT_ROOM_MIN or lane["fault"] != 0:
            going = False
        if cursor["snapshots"] != 0 and cursor["snapped"] != lane["checkpoint_seq"]:
            going = False


@jit_inner
def hear_answer(state, sim, desk, quote, out, observed):
    """The engine hears what became of a request, or of an order."""
    market, lane = state["market"], state["lane"]
    now = sim["answer_due_ns"]
    own = desk["own"][0]
    row = own["answers"][own["answer_first"] & (IN_FLIGHT_MAX - 1)]
    keep(row, market["seq"] + 1, now, out)
    step(state, row, quote, out)
    observe_answer(market, lane, 0, row, observed)
    drop_answer(sim, desk)
    sim["answer_due_ns"] = least_of(sim["answer_due"], 1)
    # With no latency a strategy can answer each answer at the same instant for ever.
    desk["at_once"] = desk["at_once"] + 1 if now == desk["at_once_ns"] else 0
    desk["at_once_ns"] = now
    if desk["at_once"] > ANSWERS_AT_ONCE_MAX:
        desk["fault"] = STOP_AT_ONCE

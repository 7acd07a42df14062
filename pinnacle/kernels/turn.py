"""One turn of a live loop over paper: what was just heard, and what has come due, through simulated venue and engine.

The drive knows its whole market; a live loop knows what has come so far.  So the venue here lags: it is walked up to
the moment whose answers are heard now, and no further, and rows wait for it until then.  As long as a feed is faster
than the venue's answer every row is in its place by that time, and each answer, timer and command is dated as a
backtest of the recorded market would date it.  A row that comes later than that is lived when it comes.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import (
    BOOK_CLEAR,
    BOOK_LEVEL,
    EVENT,
    ORDER_EXPIRED,
    ORDER_FILLED,
    OUTPUT_KIND_MIN,
    REASON_SHIFT,
    TIMER,
    TRADE,
)
from pinnacle.kernels.arrive import arrive
from pinnacle.kernels.drive import count_at_once
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.match import hear_venue_rows
from pinnacle.kernels.observe import observe_answer, observe_due
from pinnacle.kernels.outbox import keep
from pinnacle.kernels.state import NEVER
from pinnacle.kernels.step import step
from pinnacle.kernels.wire import drop_answer, least_of, send
from pinnacle.limits import (
    IN_FLIGHT_MAX,
    OBSERVATIONS_MAX,
    OBSERVED_ROOM_MIN,
    ORDERS_MAX,
    OUT_RECORDS,
    OUT_ROOM_MIN,
    TIMER_LATE_NS_MAX,
)

TURN = np.dtype(
    [
        ("heard", "<i8"),  # events of the batch at hand that the engine has heard
        ("told", "<i8"),  # events of the batch at hand that wait for the venue, or have been there
        ("first", "<i8"),  # rows pending[first:end] have not happened at the venue yet
        ("end", "<i8"),
        ("request_least_ns", "<i8"),  # no request takes less
        ("answer_least_ns", "<i8"),
        ("timer_ns", "<i8"),  # next timer, NEVER if there is none
        ("timer_every_ns", "<i8"),
        ("sent", "<i8"),  # rows of out before this were looked at for commands
        ("feed_ns", "<i8"),  # latency of the last row heard
        ("timers_skipped", "<i8"),
        ("timer", EVENT),
    ]
)

# What a turn asks of its owner.
DONE = 0
OUT_FULL = 1
CALL_STRATEGY = 2
FAULT = 3
OBSERVED_FULL = 4
DIVERGED = 5

# How far a recorded log was held to its inputs.
REFOLD = np.dtype([("checked", "<i8"), ("inputs", "<i8")])


@jit
def turn(states, sims, desks, pool, points, cursors, pending, events, now_ns, quote, outs, fresh):
    """Hear events and all that is due up to now_ns.

    states, sims, desks, cursors, outs: arrays of one record each, because Python hands an array over thirty times as
    fast as a record.  pool: RESTING[k].  points: int64[k, 4], see latency.  pending: WOVEN[m] with room for events.size
    rows after cursor.end.  events: EVENT[n], all dated now_ns or before, and not before what was heard; numbered here.
    out: inputs and outputs in one order, for the log.  fresh: 1 for a new batch, whose `out` begins empty; 0 to go on
    with it after a pause, for which the owner has emptied `out` and set cursor.sent to 0.

    Returns (why it paused: DONE .., rows in out, when something is due next).
    """
    cursor, out = cursors[0], outs[0]
    if fresh:
        cursor["heard"] = cursor["told"] = 0
        out["count"] = cursor["sent"] = 0
    code = hear_all(states[0], sims[0], desks[0], pool[0], points, cursor, pending, events, now_ns, quote, out)
    return code, out["count"], due_next_ns(sims[0], cursor, pending)


@jit_inner
def hear_all(state, sim, desk, resting, points, cursor, pending, events, now_ns, quote, out):
    """Events and answers and timers, each in its time, and the venue walked as far as they let it be."""
    lane = state["lane"]
    tell_venue(sim, cursor, pending, events)
    while True:
        if lane["fault"] != 0 or desk["fault"] != 0:
            return FAULT
        if lane["due"] != 0:
            return CALL_STRATEGY
        send_out(sim, desk, points, cursor, out)
        if out["count"] >= OUT_RECORDS - OUT_ROOM_MIN:
            return OUT_FULL
        answer_ns, timer_ns = sim["answer_due_ns"], cursor["timer_ns"]
        row_ns = events[cursor["heard"]]["ts_ns"] if cursor["heard"] < events.size else NEVER
        next_ns = min(now_ns, min(row_ns, min(answer_ns, timer_ns)))
        happens_ns = sim["request_due_ns"]
        if cursor["first"] < cursor["end"]:
            happens_ns = min(happens_ns, pending[cursor["first"]]["ts_venue_ns"])
        # What happens now is answered later than this, and nothing decided from here on can come before it.
        bound_ns = min(now_ns - cursor["answer_least_ns"], next_ns + cursor["request_least_ns"])
        if happens_ns <= bound_ns:
            after_ns = happens_ns + cursor["answer_least_ns"] + cursor["request_least_ns"]
            walk_venue(sim, desk, resting, points, cursor, pending, min(bound_ns, after_ns))
        elif row_ns <= answer_ns and row_ns <= timer_ns and row_ns != NEVER:
            hear_rows(state, sim, desk, points, cursor, events, row_ns, quote, out)
        elif answer_ns <= timer_ns and answer_ns <= now_ns:
            hear_due_answer(state, sim, desk, quote, out)
        elif timer_ns <= now_ns:
            hear_timer(state, cursor, now_ns, quote, out)
        else:
            return DONE


@jit_inline
def tell_venue(sim, cursor, pending, events):
    """Put the batch's rows where the venue will live them: by its own time, at equal times as they came.

    A row that is dated after we heard it (clocks apart) happened when we heard it; one that comes too late for its
    place happens now.  An insertion looks at the rows that wait, as many as come in the least time of an answer.
    """
    if cursor["first"] == cursor["end"]:
        cursor["first"] = cursor["end"] = 0
    for k in range(cursor["told"], events.size):
        event = events[k]
        kind = event["kind"]
        if kind == BOOK_LEVEL or kind == TRADE or kind == BOOK_CLEAR:
            ts_ns, venue_ns = event["ts_ns"], event["ts_venue_ns"]
            if venue_ns == 0 or venue_ns > ts_ns:
                venue_ns = ts_ns
            venue_ns = max(venue_ns, sim["clock_ns"])
            n = cursor["end"]
            while n > cursor["first"] and pending[n - 1]["ts_venue_ns"] > venue_ns:
                pending[n] = pending[n - 1]
                n -= 1
            row = pending[n]
            row["ts_ns"] = ts_ns
            row["ts_venue_ns"] = venue_ns
            row["price_ticks"] = event["price_ticks"]
            row["qty_lots"] = event["qty_lots"]
            row["kind"] = 0
            row["venue_kind"] = kind
            row["flags"] = 0
            row["instrument"] = event["instrument"]
            row["side"] = event["side"]
            cursor["end"] += 1
    cursor["told"] = events.size


@jit_inner
def walk_venue(sim, desk, resting, points, cursor, pending, bound_ns):
    """The venue's events up to bound_ns: rows, and our requests as they arrive; at equal times rows first."""
    while True:
        due_ns = sim["request_due_ns"]
        first, _ = hear_venue_rows(
            sim, desk, resting, points, pending, cursor["first"], cursor["end"], min(bound_ns, due_ns), 0, 0
        )
        cursor["first"] = first
        if due_ns > bound_ns or desk["fault"] != 0:
            return
        arrive(sim, desk, desk, resting, points)
        sim["request_due_ns"] = least_of(sim["request_due"], sim["lanes"])


@jit_inline
def send_out(sim, desk, points, cursor, out):
    """Send the commands that stand in `out` beyond those that were sent."""
    if cursor["sent"] < out["count"]:
        cursor["sent"] = send(sim, desk, points, out, cursor["sent"], cursor["feed_ns"])


@jit_inner
def hear_rows(state, sim, desk, points, cursor, events, row_ns, quote, out):
    """Hear the rows of one moment, until there is no room or a strategy outside is asked."""
    market, lane = state["market"], state["lane"]
    k = cursor["heard"]
    while k < events.size and events[k]["ts_ns"] == row_ns and lane["fault"] == 0 and lane["due"] == 0:
        if out["count"] >= OUT_RECORDS - OUT_ROOM_MIN:
            break
        event = events[k]
        keep(event, market["seq"] + 1, event["ts_ns"], out)
        if event["kind"] == BOOK_LEVEL or event["kind"] == TRADE:
            venue_ns = event["ts_venue_ns"]
            cursor["feed_ns"] = event["ts_ns"] - venue_ns if venue_ns != 0 else 0
        step(state, event, quote, out)
        send_out(sim, desk, points, cursor, out)
        k += 1
    cursor["heard"] = k


@jit_inner
def hear_due_answer(state, sim, desk, quote, out):
    """The answer that is heard next, when it was due, or now if something was heard since."""
    market = state["market"]
    own = desk["own"][desk["answer_at"]]
    row = own["answers"][own["answer_first"] & (IN_FLIGHT_MAX - 1)]
    due_ns = row["ts_ns"]
    row["ts_ns"] = max(due_ns, market["ts_ns"])
    desk["inputs"] += 1
    keep(row, market["seq"] + 1, row["ts_ns"], out)
    step(state, row, quote, out)
    drop_answer(sim, desk)
    count_at_once(desk, due_ns)
    sim["answer_due_ns"] = least_of(sim["answer_due"], sim["lanes"])


@jit_inner
def hear_timer(state, cursor, now_ns, quote, out):
    """A timer, dated when it was due.  After a sleep of the machine those that were missed are left out."""
    market = state["market"]
    late = now_ns - cursor["timer_ns"]
    if late > TIMER_LATE_NS_MAX:
        missed = late // cursor["timer_every_ns"]
        cursor["timers_skipped"] += missed
        cursor["timer_ns"] += missed * cursor["timer_every_ns"]
    timer = cursor["timer"]
    timer["kind"] = TIMER
    timer["ts_ns"] = max(cursor["timer_ns"], market["ts_ns"])
    cursor["timer_ns"] += cursor["timer_every_ns"]
    keep(timer, market["seq"] + 1, timer["ts_ns"], out)
    step(state, timer, quote, out)


@jit_inner
def due_next_ns(sim, cursor, pending):
    """When something is due by itself: a timer, an answer, or what may be answered then; NEVER if nothing is."""
    due_ns = min(cursor["timer_ns"], sim["answer_due_ns"])
    happens_ns = sim["request_due_ns"]
    resting = 0
    for k in range(sim["instruments"]):
        resting += sim["site"][k]["count"][0] + sim["site"][k]["count"][1]
    # With nothing of ours at the venue its rows can wait for the next turn.
    if cursor["first"] < cursor["end"] and resting > 0:
        happens_ns = min(happens_ns, pending[cursor["first"]]["ts_venue_ns"])
    if happens_ns != NEVER:
        due_ns = min(due_ns, happens_ns + cursor["answer_least_ns"])
    return due_ns


@jit
def expire_open(lane, instruments, venue_of, reason, ts_ns, events):
    """Write an ORDER_EXPIRED for every order the engine believes open, for a venue that is no more.

    venue_of: int64[n].  events: EVENT[m], m at least instruments * ORDERS_MAX, written from the front.  Returns how
    many.
    """
    n = 0
    for me in range(instruments):
        own = lane["own"][me]
        for s in range(2):
            for k in range(min(own["live_count"][s], ORDERS_MAX)):
                order = own["orders"][own["live"][s, k]]
                event = events[n]
                event["ts_ns"] = ts_ns
                event["order_id"] = order["order_id"]
                event["price_ticks"] = order["price_ticks"]
                event["qty_lots"] = order["open_lots"]
                event["kind"] = ORDER_EXPIRED
                event["side"] = order["side"]
                event["flags"] = reason << REASON_SHIFT
                event["venue"] = venue_of[me]
                event["instrument"] = me
                n += 1
    return n


@jit
def refold(state, records, first, quote, out, check, observed):
    """Fold the inputs among records[first:] again and hold every recorded output to what the state says now.

    records: EVENT[n] in the order of the log.  check: REFOLD.  observed: what a report needs is written down there as
    it is passed; nothing if its due_ns is NEVER.  out holds the outputs of the last input; those from check.checked on
    were not seen recorded yet.  Returns (index of the first record that was not taken, DONE, CALL_STRATEGY, FAULT,
    OBSERVED_FULL or DIVERGED).
    """
    market, lane = state["market"], state["lane"]
    k = first
    while k < records.size:
        record = records[k]
        if lane["fault"] != 0:
            return k, FAULT
        if lane["due"] != 0:
            return k, CALL_STRATEGY
        if record["kind"] >= OUTPUT_KIND_MIN:
            if check["checked"] >= out["count"] or not same(record, out["rows"][check["checked"]]):
                return k, DIVERGED
            check["checked"] += 1
        elif check["checked"] != out["count"] or record["seq"] != market["seq"] + 1:
            return k, DIVERGED
        elif observed["due_ns"] < record["ts_ns"]:
            if observed["count"] >= OBSERVATIONS_MAX - OBSERVED_ROOM_MIN:
                return k, OBSERVED_FULL
            observe_due(market, lane, record["ts_ns"], observed)
            continue
        else:
            if observed["count"] >= OBSERVATIONS_MAX - OBSERVED_ROOM_MIN:
                return k, OBSERVED_FULL
            out["count"] = check["checked"] = 0
            step(state, record, quote, out)
            check["inputs"] += 1
            if record["kind"] == ORDER_FILLED and observed["sample_every_ns"] != 0:
                observe_answer(market, lane, 0, record, observed)
        k += 1
    if lane["fault"] != 0:
        return k, FAULT
    return k, CALL_STRATEGY if lane["due"] != 0 else DONE


@jit_inline
def same(one, other):
    """Whether two records are equal in every field."""
    return (
        one["seq"] == other["seq"]
        and one["ts_ns"] == other["ts_ns"]
        and one["ts_venue_ns"] == other["ts_venue_ns"]
        and one["order_id"] == other["order_id"]
        and one["price_ticks"] == other["price_ticks"]
        and one["qty_lots"] == other["qty_lots"]
        and one["aux"] == other["aux"]
        and one["kind"] == other["kind"]
        and one["side"] == other["side"]
        and one["flags"] == other["flags"]
        and one["venue"] == other["venue"]
        and one["instrument"] == other["instrument"]
    )

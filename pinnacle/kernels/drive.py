"""History, simulated venue and engine in one loop, each side in its own time.

The venue may be walked ahead of the engine up to the earliest moment at which a command could reach it, and the
engine up to the earliest moment at which an answer could; within such a stretch each side is a plain run over its
own rows.  Where the stretches end is decided by the data alone, so a run does not depend on how it was fed.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BOOK_LEVEL, LAST, TIMER
from pinnacle.kernels.arrive import arrive
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.match import hear_venue_rows
from pinnacle.kernels.observe import observe_answer, observe_due
from pinnacle.kernels.outbox import keep
from pinnacle.kernels.state import NEVER, STOP_AT_ONCE, STOP_TIME_BACK, WAKE_FEED, WAKE_ORDER, WAKE_TIMER
from pinnacle.kernels.step import end_of_input, hear_level, hear_market_rare, hear_other, wake_feed
from pinnacle.kernels.wire import drop_answer, send
from pinnacle.limits import (
    AFTER_MARKET_NS,
    ANSWERS_AT_ONCE_MAX,
    IN_FLIGHT_MAX,
    OBSERVATIONS_MAX,
    OBSERVED_ROOM_MIN,
    OUT_RECORDS,
    OUT_ROOM_MIN,
)

# Where the drive is between two calls, and how it was set up.
CURSOR = np.dtype(
    [
        ("rows", "<i8"),  # of the market at hand
        ("final", "<i8"),  # 1: no row comes after these
        ("i", "<i8"),  # next row for the engine
        ("j", "<i8"),  # next row for the venue
        ("market_end_ns", "<i8"),  # time of the last market row, 0 until it is known
        ("heard", "<i8"),  # market rows that the engine has heard in all
        ("events_first", "<i8"),  # number of the first of the events at hand
        ("phase", "<i8"),
        ("venue_limit_ns", "<i8"),  # the venue's rows up to here may be walked, this one included
        ("local_limit_ns", "<i8"),
        ("request_least_ns", "<i8"),  # no request takes less
        ("answer_least_ns", "<i8"),
        ("timer_ns", "<i8"),  # next timer, NEVER if there is none
        ("timer_every_ns", "<i8"),
        ("record_full", "<i8"),  # 1: the market's rows go to the log too
        ("snapshots", "<i8"),  # 1: pause after each checkpoint, for the owner to keep the state
        ("snapped", "<i8"),  # input of the next checkpoint when that was done last
        ("sent", "<i8"),  # rows of out before this were looked at for commands
        ("feed_ns", "<i8"),  # latency of the last row heard
        ("stop_ns", "<i8"),  # nothing after this time is heard
    ]
)

# Phases.
PLAN = 0
VENUE = 1
LOCAL = 2

# What the drive asks of its owner.
ENDED = 0
NEED_ROWS = 1
OUT_FULL = 2
OBSERVED_FULL = 3
CALL_STRATEGY = 4
FAULT = 5
SNAPSHOT = 6


@jit
def drive(state, sim, cursor, rows, events, points, quote, out, observed):
    """Run until the owner is needed; returns why (ENDED ..).

    rows: WOVEN[n], the market.  events: EVENT[m], the same as it goes to the log when rows are recorded, from number
    cursor.events_first on.  points: int64[k, 4], see latency.  quote: the strategy's address.  out, observed: OUT and
    OBSERVED records that the owner empties.
    """
    while True:
        code = -1
        if cursor["phase"] == PLAN:
            code = plan(state, sim, cursor, rows)
        if code < 0 and cursor["phase"] == VENUE:
            code = walk_venue(sim, cursor, rows, points)
        if code < 0:
            code = walk_local(state, sim, cursor, rows, events, points, quote, out, observed)
        if code >= 0:
            return code


@jit_inline
def next_venue_ns(sim, cursor, rows):
    """Time of the venue's next event, row or arrival; NEVER if there is none."""
    due = sim["request_due_ns"]
    if cursor["j"] < cursor["rows"]:
        due = min(due, rows[cursor["j"]]["ts_venue_ns"])
    return due


@jit_inline
def later(ts_ns, delay_ns):
    """ts_ns + delay_ns, where NEVER stays NEVER."""
    return NEVER if ts_ns == NEVER else ts_ns + delay_ns


@jit_inline
def next_heard(rows, i, stop):
    """Index of the next row that the engine hears; rows of the venue alone are stepped over."""
    while i < stop and rows[i]["kind"] == 0:
        i += 1
    return i


@jit_inline
def next_lived(rows, j, stop):
    """Index of the next row that happens at the venue; rows for the engine alone are stepped over."""
    while j < stop and rows[j]["venue_kind"] == 0:
        j += 1
    return j


@jit_inline
def plan(state, sim, cursor, rows):
    """How far the venue may be walked: to the earliest moment at which a command not sent yet could reach it."""
    code = -1
    cursor["i"] = next_heard(rows, cursor["i"], cursor["rows"])
    cursor["j"] = next_lived(rows, cursor["j"], cursor["rows"])
    if max(cursor["i"], cursor["j"]) == cursor["rows"] and not cursor["final"]:
        code = NEED_ROWS
    else:
        wake_on = state["lane"]["wake_on"]
        decision = cursor["timer_ns"] if wake_on & WAKE_TIMER else NEVER
        if wake_on & WAKE_FEED and cursor["i"] < cursor["rows"]:
            decision = min(decision, rows[cursor["i"]]["ts_ns"])
        if wake_on & WAKE_ORDER:
            decision = min(decision, sim["answer_due_ns"])
            decision = min(decision, later(next_venue_ns(sim, cursor, rows), cursor["answer_least_ns"]))
        cursor["venue_limit_ns"] = later(decision, cursor["request_least_ns"])
        cursor["phase"] = VENUE
    return code


@jit_inline
def walk_venue(sim, cursor, rows, points):
    """The venue's events up to its limit, in time; at equal times the market's before our requests."""
    limit, n = cursor["venue_limit_ns"], cursor["rows"]
    code = -2
    while code == -2:
        j = hear_venue_rows(sim, points, rows, cursor["j"], n, min(limit, sim["request_due_ns"]))
        j = next_lived(rows, j, n)
        cursor["j"] = j
        if sim["fault"] != 0:
            code = FAULT
        elif j == n and not cursor["final"]:
            code = NEED_ROWS
        elif sim["request_due_ns"] > limit or sim["request_due_ns"] == NEVER:
            cursor["local_limit_ns"] = later(next_venue_ns(sim, cursor, rows), cursor["answer_least_ns"])
            cursor["phase"] = LOCAL
            code = -1
        else:
            arrive(sim, points)
    return code


@jit_inner
def hear_rows(market, lane, cursor, rows, stop, bound_ns, by_message, out):
    """The market's rows up to index `stop` and time bound_ns, or to the end of one message.  True if it ended one.

    Levels are most rows and touch nothing but their book; the clock is set where somebody could read it.
    """
    i = cursor["i"]
    heard_before = market["seq"] - cursor["heard"]
    seq = market["seq"]
    last, dated = -1, -1
    ended = False
    while i < stop and not ended:
        row = rows[i]
        if row["kind"] == BOOK_LEVEL:
            if row["ts_ns"] > bound_ns:
                break
            hear_level(market, row)
            seq += 1
            last = i
            if row["venue_kind"] != 0:
                dated = i
        elif row["kind"] != 0:
            if row["ts_ns"] > bound_ns:
                break
            seq += 1
            market["seq"], market["ts_ns"] = seq, row["ts_ns"]
            me, kind, side = np.int64(row["instrument"]), np.int64(row["kind"]), np.int64(row["side"])
            hear_market_rare(market, lane, me, kind, side, row["price_ticks"], row["qty_lots"], out)
            last = i
            if row["venue_kind"] != 0:
                dated = i
        ended = by_message and row["flags"] & LAST != 0
        i += 1
    cursor["i"] = i
    if last >= 0:
        row = rows[last]
        cursor["heard"] = seq - heard_before
        market["seq"], market["ts_ns"] = seq, row["ts_ns"]
    if dated >= 0:
        cursor["feed_ns"] = rows[dated]["ts_ns"] - rows[dated]["ts_venue_ns"]
    return ended


@jit_inner
def keep_rows(events, first, stop, seq, count, out):
    """Copy heard events[first:stop] into the log under their numbers.  count: rows of out before the run.

    Rows that made the engine speak by themselves are rare; the log keeps inputs before outputs, by seq.
    """
    spoke = out["count"] > count
    for k in range(first, stop):
        keep(events[k], seq + k - first, events[k]["ts_ns"], out)
    if spoke:
        order_by_seq(out, count)


@jit_inline
def row_bound(market, lane, cursor, out):
    """Index at which a run of rows must pause: the next checkpoint, or the room left when rows are recorded."""
    i, stop = cursor["i"], cursor["rows"]
    stop = min(stop, i + lane["checkpoint_seq"] - market["seq"])
    if cursor["record_full"]:
        stop = min(stop, i + OUT_RECORDS - OUT_ROOM_MIN - out["count"])
    return stop


@jit_inline
def walk_local(state, sim, cursor, rows, events, points, quote, out, observed):
    """The engine's inputs up to its limit; at equal times market rows, then answers, then timers."""
    market, lane = state["market"], state["lane"]
    by_message = lane["wake_on"] & WAKE_FEED != 0
    code = -2
    while code == -2:
        if cursor["sent"] < out["count"]:
            cursor["sent"] = send(sim, points, out, cursor["sent"], cursor["feed_ns"])
            # What was just sent may be answered before the venue's next row.
            soonest = later(sim["request_due_ns"], cursor["answer_least_ns"])
            cursor["local_limit_ns"] = min(cursor["local_limit_ns"], soonest)
        cursor["i"] = next_heard(rows, cursor["i"], cursor["rows"])
        limit = cursor["local_limit_ns"]
        answer_ns, timer_ns = sim["answer_due_ns"], cursor["timer_ns"]
        row_ns = rows[cursor["i"]]["ts_ns"] if cursor["i"] < cursor["rows"] else NEVER
        now = min(row_ns, min(answer_ns, timer_ns))
        code = why_pause(market, lane, sim, cursor, now, row_ns, out, observed)
        if code != -2:
            pass
        elif observed["due_ns"] < now:
            observe_due(market, lane, now, observed)
        elif row_ns <= answer_ns and row_ns <= timer_ns:
            bound = min(min(limit, observed["due_ns"]), min(answer_ns, min(timer_ns, cursor["stop_ns"])))
            stop = row_bound(market, lane, cursor, out)
            first, seq, count = cursor["heard"] - cursor["events_first"], market["seq"] + 1, out["count"]
            ended = hear_rows(market, lane, cursor, rows, stop, bound, by_message, out)
            if cursor["record_full"]:
                keep_rows(events, first, cursor["heard"] - cursor["events_first"], seq, count, out)
            if ended:
                wake_feed(market, lane, np.int64(rows[cursor["i"] - 1]["instrument"]), quote, out)
            end_of_input(state, out)
        elif answer_ns <= timer_ns:
            me = sim["answer_at"]
            own = sim["own"][me]
            row = own["answers"][own["answer_first"] & (IN_FLIGHT_MAX - 1)]
            hear_kept(state, row, answer_ns, quote, out)
            observe_answer(market, lane, row, observed)
            drop_answer(sim)
            count_at_once(sim, answer_ns)
        elif anything_left(sim, cursor, now):
            cursor["timer_ns"] = timer_ns + cursor["timer_every_ns"]
            row = observed["timer"]
            row["kind"] = TIMER
            hear_kept(state, row, timer_ns, quote, out)
        else:
            code = ENDED
    return code


@jit_inline
def why_pause(market, lane, sim, cursor, now, row_ns, out, observed):
    """Why the engine cannot hear what comes next, at `now`: what the drive's owner must do, -1 for the venue's turn.

    -2 if it can.  An answer or a timer at the limit itself may be preceded by an answer that the venue has yet to give.
    """
    code = -2
    if lane["fault"] != 0 or sim["fault"] != 0:
        code = FAULT
    elif lane["due"] != 0:
        code = CALL_STRATEGY
    elif cursor["snapshots"] != 0 and cursor["snapped"] != lane["checkpoint_seq"]:
        code = SNAPSHOT
    elif out["count"] >= OUT_RECORDS - OUT_ROOM_MIN:
        code = OUT_FULL
    elif observed["count"] >= OBSERVATIONS_MAX - OBSERVED_ROOM_MIN:
        code = OBSERVED_FULL
    elif cursor["i"] == cursor["rows"] and not cursor["final"]:
        code = NEED_ROWS
    elif now == NEVER:
        # Nothing more to hear, unless the venue has yet to answer or to trade with us.
        cursor["phase"] = PLAN
        code = ENDED if sim["request_due_ns"] == NEVER and cursor["j"] == cursor["rows"] else -1
    elif now > cursor["stop_ns"] or 0 < cursor["market_end_ns"] < now - AFTER_MARKET_NS:
        code = ENDED
    elif now > cursor["local_limit_ns"] or (now == cursor["local_limit_ns"] and now != row_ns):
        cursor["phase"] = PLAN
        code = -1
    return code


@jit_inline
def count_at_once(sim, now_ns):
    """Stop where time stands still: with no latency a strategy can answer each answer at the same instant for ever."""
    sim["at_once"] = sim["at_once"] + 1 if now_ns == sim["at_once_ns"] else 0
    sim["at_once_ns"] = now_ns
    if sim["at_once"] > ANSWERS_AT_ONCE_MAX:
        sim["fault"] = STOP_AT_ONCE


@jit_inner
def hear_kept(state, row, ts_ns, quote, out):
    """An input that history does not hold: it goes into the log, then into the fold."""
    market, lane = state["market"], state["lane"]
    if ts_ns < market["ts_ns"]:
        lane["fault"] = STOP_TIME_BACK
        return
    market["seq"] += 1
    market["ts_ns"] = ts_ns
    keep(row, market["seq"], ts_ns, out)
    hear_other(market, lane, row, quote, out)
    end_of_input(state, out)


@jit_inline
def anything_left(sim, cursor, now_ns):
    """Whether anything at all comes after now: rows, requests or answers.  The venue may have been walked past now."""
    return (
        cursor["i"] < cursor["rows"]
        or cursor["j"] < cursor["rows"]
        or sim["clock_ns"] > now_ns
        or sim["request_due_ns"] != NEVER
        or sim["answer_due_ns"] != NEVER
    )


@jit_inner
def order_by_seq(out, first):
    """Insertion sort of out.rows[first:] by seq, inputs before outputs.  Nearly sorted and short."""
    rows = out["rows"]
    scratch = rows[OUT_RECORDS - 1]
    for k in range(first + 1, out["count"]):
        j = k
        while j > first and later_record(rows[j - 1], rows[j]):
            swap(rows[j - 1], rows[j], scratch)
            j -= 1


@jit_inner
def later_record(a, b):
    """Whether record a belongs after record b in a log."""
    return a["seq"] > b["seq"] or (a["seq"] == b["seq"] and a["kind"] >= 128 and b["kind"] < 128)


@jit_inner
def copy_record(source, target):
    """Copy all fields of an EVENT record."""
    target["seq"] = source["seq"]
    target["ts_ns"] = source["ts_ns"]
    target["ts_venue_ns"] = source["ts_venue_ns"]
    target["order_id"] = source["order_id"]
    target["price_ticks"] = source["price_ticks"]
    target["qty_lots"] = source["qty_lots"]
    target["aux"] = source["aux"]
    target["kind"] = source["kind"]
    target["side"] = source["side"]
    target["flags"] = source["flags"]
    target["venue"] = source["venue"]
    target["instrument"] = source["instrument"]


@jit_inner
def swap(a, b, scratch):
    """Exchange two records."""
    copy_record(a, scratch)
    copy_record(b, a)
    copy_record(scratch, b)

"""History, simulated venue and engine in one loop, each side in its own time.

The venue may be walked ahead of the engine up to the earliest moment at which a command could reach it, and the
engine up to the earliest moment at which an answer could; within such a stretch each side is a plain run over its
own rows.  Where the stretches end is decided by the data alone, so a run does not depend on how it was fed.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import LAST, TIMER
from pinnacle.kernels.arrive import arrive
from pinnacle.kernels.jit import jit, jit_inline
from pinnacle.kernels.match import hear_venue
from pinnacle.kernels.observe import observe_answer, observe_due
from pinnacle.kernels.outbox import keep
from pinnacle.kernels.state import NEVER, WAKE_FEED, WAKE_ORDER, WAKE_TIMER
from pinnacle.kernels.step import end_of_input, hear_market, hear_other, wake_feed
from pinnacle.kernels.wire import drop_answer, send
from pinnacle.limits import IN_FLIGHT_MAX, OBSERVATIONS_MAX, OUT_RECORDS, OUT_ROOM_MIN

# Where the drive is between two calls, and how it was set up.
CURSOR = np.dtype(
    [
        ("i", "<i8"),  # next row of the local stream
        ("local_rows", "<i8"),
        ("local_final", "<i8"),  # 1: no row comes after these
        ("j", "<i8"),  # next row of the venue's stream
        ("venue_rows", "<i8"),
        ("venue_final", "<i8"),
        ("phase", "<i8"),
        ("venue_limit_ns", "<i8"),  # the venue's rows up to here may be walked, this one included
        ("local_limit_ns", "<i8"),
        ("request_least_ns", "<i8"),  # no request takes less
        ("answer_least_ns", "<i8"),
        ("timer_ns", "<i8"),  # next timer, NEVER if there is none
        ("timer_every_ns", "<i8"),
        ("record_full", "<i8"),  # 1: the market's rows go to the log too
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
NEED_LOCAL = 1
NEED_VENUE = 2
OUT_FULL = 3
OBSERVED_FULL = 4
CALL_STRATEGY = 5
FAULT = 6


@jit
def drive(state, sim, cursor, local, venue, points, quote, out, observed):
    """Run until the owner is needed; returns why (ENDED ..).

    local: EVENT[n] in the order and time in which we hear it.  venue: VENUE_ROW[m] in the venue's.  points: int64[k,
    4], see latency.  quote: the strategy's address.  out, observed: OUT and OBSERVED records that the owner empties.
    """
    while True:
        if cursor["phase"] == PLAN:
            code = plan(state, sim, cursor, local, venue)
            if code >= 0:
                return code
        if cursor["phase"] == VENUE:
            code = walk_venue(sim, cursor, venue, points)
            if code >= 0:
                return code
        code = walk_local(state, sim, cursor, local, points, quote, out, observed)
        if code >= 0:
            return code


@jit
def next_venue_ns(sim, cursor, venue):
    """Time of the venue's next event, row or arrival; NEVER if there is none."""
    due = sim["request_due_ns"]
    if cursor["j"] < cursor["venue_rows"]:
        due = min(due, venue[cursor["j"]]["ts_ns"])
    return due


@jit
def later(ts_ns, delay_ns):
    """ts_ns + delay_ns, where NEVER stays NEVER."""
    return NEVER if ts_ns == NEVER else ts_ns + delay_ns


@jit
def plan(state, sim, cursor, local, venue):
    """How far the venue may be walked: to the earliest moment at which a command not sent yet could reach it."""
    if cursor["i"] == cursor["local_rows"] and not cursor["local_final"]:
        return NEED_LOCAL
    if cursor["j"] == cursor["venue_rows"] and not cursor["venue_final"]:
        return NEED_VENUE
    wake_on = state["lane"]["wake_on"]
    decision = cursor["timer_ns"] if wake_on & WAKE_TIMER else NEVER
    if wake_on & WAKE_FEED and cursor["i"] < cursor["local_rows"]:
        decision = min(decision, local[cursor["i"]]["ts_ns"])
    if wake_on & WAKE_ORDER:
        decision = min(decision, sim["answer_due_ns"])
        decision = min(decision, later(next_venue_ns(sim, cursor, venue), cursor["answer_least_ns"]))
    cursor["venue_limit_ns"] = later(decision, cursor["request_least_ns"])
    cursor["phase"] = VENUE
    return -1


@jit
def walk_venue(sim, cursor, venue, points):
    """The venue's events up to its limit, in time; at equal times the market's before our requests."""
    limit, j, n = cursor["venue_limit_ns"], cursor["j"], cursor["venue_rows"]
    last_ns = sim["clock_ns"]
    while sim["fault"] == 0:
        bound = min(limit, sim["request_due_ns"])
        while j < n:
            row = venue[j]
            if row["ts_ns"] > bound:
                break
            last_ns = row["ts_ns"]
            sim["clock_ns"] = last_ns
            sim["feed_ns"] = row["feed_ns"]
            hear_venue(sim, points, row)
            j += 1
        cursor["j"] = j
        if j == n and not cursor["venue_final"]:
            return NEED_VENUE
        if sim["request_due_ns"] > limit or sim["request_due_ns"] == NEVER:
            cursor["local_limit_ns"] = later(next_venue_ns(sim, cursor, venue), cursor["answer_least_ns"])
            cursor["phase"] = LOCAL
            return -1
        arrive(sim, points)
    return FAULT


@jit_inline
def hear_rows(market, lane, cursor, local, stop, bound_ns, by_message, out):
    """The market's rows up to index `stop` and time bound_ns, or to the end of one message.  True if it ended one."""
    i = cursor["i"]
    first = i
    before = market["seq"] - i + 1
    ended = False
    while i < stop:
        row = local[i]
        ts_ns = row["ts_ns"]
        if ts_ns > bound_ns:
            break
        market["seq"] = before + i
        market["ts_ns"] = ts_ns
        hear_market(market, lane, row, out)
        i += 1
        if by_message and row["flags"] & LAST:
            ended = True
            break
    if i > first:
        cursor["feed_ns"] = local[i - 1]["ts_ns"] - local[i - 1]["ts_venue_ns"]
    cursor["i"] = i
    return ended


@jit
def keep_rows(market, local, first, stop, seq, out):
    """Copy heard rows into the log under their numbers."""
    for k in range(first, stop):
        keep(local[k], seq + k - first, local[k]["ts_ns"], out)


@jit
def row_bound(market, lane, cursor, out):
    """Index at which a run of rows must pause: the next checkpoint, or the room left when rows are recorded."""
    i, stop = cursor["i"], cursor["local_rows"]
    every = lane["checkpoint_every"]
    if every > 0:
        stop = min(stop, i + every - (market["seq"] + 1) % every)
    if cursor["record_full"]:
        stop = min(stop, i + OUT_RECORDS - OUT_ROOM_MIN - out["count"])
    return stop


@jit
def walk_local(state, sim, cursor, local, points, quote, out, observed):
    """The engine's inputs up to its limit; at equal times market rows, then answers, then timers."""
    market, lane = state["market"], state["lane"]
    by_message = lane["wake_on"] & WAKE_FEED != 0
    while True:
        if cursor["sent"] < out["count"]:
            cursor["sent"] = send(sim, points, out, cursor["sent"], cursor["feed_ns"])
        if lane["fault"] != 0 or sim["fault"] != 0:
            return FAULT
        if lane["due"]:
            return CALL_STRATEGY
        if out["count"] >= OUT_RECORDS - OUT_ROOM_MIN:
            return OUT_FULL
        if observed["count"] >= OBSERVATIONS_MAX - 256:
            return OBSERVED_FULL
        if cursor["i"] == cursor["local_rows"] and not cursor["local_final"]:
            return NEED_LOCAL
        limit = cursor["local_limit_ns"]
        answer_ns, timer_ns = sim["answer_due_ns"], cursor["timer_ns"]
        row_ns = local[cursor["i"]]["ts_ns"] if cursor["i"] < cursor["local_rows"] else NEVER
        now = min(row_ns, min(answer_ns, timer_ns))
        if now > cursor["stop_ns"]:
            return ENDED
        # An answer or a timer at the limit itself may be preceded by an answer that the venue has yet to give.
        if now > limit or (now == limit and now != row_ns):
            if now == NEVER:
                return ENDED
            cursor["phase"] = PLAN
            return -1
        if observed["due_ns"] < now:
            observe_due(market, lane, now, observed)
            continue
        if row_ns <= answer_ns and row_ns <= timer_ns:
            bound = min(min(limit, observed["due_ns"]), min(answer_ns, timer_ns))
            stop = row_bound(market, lane, cursor, out)
            first, seq = cursor["i"], market["seq"] + 1
            count = out["count"]
            ended = hear_rows(market, lane, cursor, local, stop, bound, by_message, out)
            if cursor["record_full"]:
                # Rows that made the engine speak by themselves are rare; the log keeps inputs before outputs by seq.
                keep_rows(market, local, first, cursor["i"], seq, out)
                if out["count"] - (cursor["i"] - first) > count:
                    order_by_seq(out, count)
            if ended:
                wake_feed(market, lane, np.int64(local[cursor["i"] - 1]["instrument"]), quote, out)
            end_of_input(state, out)
        elif answer_ns <= timer_ns:
            me = sim["answer_at"]
            own = sim["own"][me]
            row = own["answers"][own["answer_first"] & (IN_FLIGHT_MAX - 1)]
            hear_kept(state, row, answer_ns, quote, out)
            observe_answer(market, lane, row, observed)
            drop_answer(sim, me)
        else:
            if not anything_left(sim, cursor, now):
                return ENDED
            cursor["timer_ns"] = timer_ns + cursor["timer_every_ns"]
            row = observed["timer"]
            row["kind"] = TIMER
            hear_kept(state, row, timer_ns, quote, out)


@jit
def hear_kept(state, row, ts_ns, quote, out):
    """An input that history does not hold: it goes into the log, then into the fold."""
    market, lane = state["market"], state["lane"]
    market["seq"] += 1
    market["ts_ns"] = ts_ns
    keep(row, market["seq"], ts_ns, out)
    hear_other(market, lane, row, quote, out)
    end_of_input(state, out)


@jit
def anything_left(sim, cursor, now_ns):
    """Whether anything at all comes after now: rows, requests or answers.  The venue may have been walked past now."""
    return (
        cursor["i"] < cursor["local_rows"]
        or cursor["j"] < cursor["venue_rows"]
        or sim["clock_ns"] > now_ns
        or sim["request_due_ns"] != NEVER
        or sim["answer_due_ns"] != NEVER
    )


@jit
def order_by_seq(out, first):
    """Insertion sort of out.rows[first:] by seq, inputs before outputs.  Nearly sorted and short."""
    rows = out["rows"]
    scratch = rows[OUT_RECORDS - 1]
    for k in range(first + 1, out["count"]):
        j = k
        while j > first and later_record(rows[j - 1], rows[j]):
            swap(rows[j - 1], rows[j], scratch)
            j -= 1


@jit
def later_record(a, b):
    """Whether record a belongs after record b in a log."""
    return a["seq"] > b["seq"] or (a["seq"] == b["seq"] and a["kind"] >= 128 and b["kind"] < 128)


@jit
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


@jit
def swap(a, b, scratch):
    """Exchange two records."""
    copy_record(a, scratch)
    copy_record(b, a)
    copy_record(scratch, b)

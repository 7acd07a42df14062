"""History, simulated venue and engine in one loop, each side in its own time.

The venue may be walked ahead of the engine up to the earliest moment at which a command could reach it, and the
engine up to the earliest moment at which an answer could; within such a stretch each side is a plain run over its
own rows.  Where the stretches end is decided by the data alone, so a run does not depend on how it was fed.

Many lanes, each a parameter set of its own, may walk one market: books are kept once, each lane has its own orders,
account and lines to the venue.  No lane can see another, so each does exactly what it would do alone.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BOOK_LEVEL, FUNDING, LAST, LINK_DOWN, LINK_STALE, TIMER
from pinnacle.kernels.arrive import arrive
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.match import hear_venue_rows, withdraw
from pinnacle.kernels.observe import FUNDED, observe_answer, observe_due, write
from pinnacle.kernels.outbox import keep
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import NEVER, STOP_AT_ONCE, STOP_TIME_BACK, WAKE_FEED, WAKE_ORDER, WAKE_TIMER
from pinnacle.kernels.step import (
    end_of_input,
    hear_level,
    hear_market_own,
    hear_market_rare,
    hear_other,
    refresh_tops,
    wake_all,
    wake_feed,
)
from pinnacle.kernels.wire import drop_answer, least_of, send
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
        ("own_row", "<i8"),  # index of the row at which hear_rows paused because our own side hears it too, or -1
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
def drive(market, lanes, sim, desks, resting, cursor, rows, events, points, quote, out, observed):
    """Run until the owner is needed; returns why (ENDED ..).

    market, sim, cursor: records.  lanes, desks, resting: the first of their arrays, sim.lanes lanes long.  rows:
    WOVEN[n], the market.  events: EVENT[m], the same as it goes to the log when rows are recorded, from number
    cursor.events_first on.  points: int64[k, 4], see latency.  quote: the strategy's address.  out, observed: OUT and
    OBSERVED records that the owner empties.  Of several lanes nothing is logged and no strategy is called outside.
    """
    while True:
        code = -1
        if cursor["phase"] == PLAN:
            code = plan(lanes, sim, cursor, rows)
        if code < 0 and cursor["phase"] == VENUE:
            code = walk_venue(sim, desks, resting, cursor, rows, points)
        if code < 0:
            code = walk_local(market, lanes, sim, desks, resting, cursor, rows, events, points, quote, out, observed)
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
def next_lived(rows, j, stop, i):
    """Index of the next row that happens at the venue; rows for the engine alone are stepped over.

    Not those after i, the engine's next, at which a link is lost: see hear_venue_rows.
    """
    while j < stop and rows[j]["venue_kind"] == 0 and (j < i or not LINK_DOWN <= rows[j]["kind"] <= LINK_STALE):
        j += 1
    return j


@jit_inline
def plan(lanes, sim, cursor, rows):
    """How far the venue may be walked: to the earliest moment at which a command not sent yet could reach it."""
    code = -1
    cursor["i"] = next_heard(rows, cursor["i"], cursor["rows"])
    cursor["j"] = next_lived(rows, cursor["j"], cursor["rows"], cursor["i"])
    if max(cursor["i"], cursor["j"]) == cursor["rows"] and not cursor["final"]:
        code = NEED_ROWS
    else:
        wake_on = lanes["wake_on"]
        decision = cursor["timer_ns"] if wake_on & WAKE_TIMER else NEVER
        if wake_on & WAKE_FEED and cursor["i"] < cursor["rows"]:
            decision = min(decision, max(rows[cursor["i"]]["ts_ns"], lanes["start_ns"]))
        if wake_on & WAKE_ORDER:
            decision = min(decision, sim["answer_due_ns"])
            decision = min(decision, later(next_venue_ns(sim, cursor, rows), cursor["answer_least_ns"]))
        cursor["venue_limit_ns"] = later(decision, cursor["request_least_ns"])
        cursor["phase"] = VENUE
    return code


@jit_inline
def walk_venue(sim, desks, resting, cursor, rows, points):
    """The venue's events up to its limit, in time; at equal times the market's before our requests."""
    n, i, least_ns = cursor["rows"], cursor["i"], cursor["request_least_ns"]
    code = -2
    while code == -2:
        bound = min(cursor["venue_limit_ns"], sim["request_due_ns"])
        j, link_ns = hear_venue_rows(sim, desks, resting, points, rows, cursor["j"], n, bound, i, least_ns)
        cursor["venue_limit_ns"] = min(cursor["venue_limit_ns"], link_ns)
        j = next_lived(rows, j, n, i)
        cursor["j"] = j
        if sim["lanes"] == 1 and desks["fault"] != 0:
            code = FAULT
        elif j == n and not cursor["final"]:
            code = NEED_ROWS
        elif sim["request_due_ns"] > cursor["venue_limit_ns"] or sim["request_due_ns"] == NEVER:
            cursor["local_limit_ns"] = later(next_venue_ns(sim, cursor, rows), cursor["answer_least_ns"])
            cursor["phase"] = LOCAL
            code = -1
        else:
            requests_arrive(sim, desks, resting, points)
    return code


@jit_inline
def requests_arrive(sim, desks, resting, points):
    """The requests that are due next arrive: of each lane all that come at this same time."""
    now = sim["request_due_ns"]
    for k in range(sim["lanes"]):
        if sim["request_due"][k] == now:
            desk = nth(desks, k)
            while sim["request_due"][k] == now and desk["fault"] == 0:
                arrive(sim, desk, desks, resting, points)
            if desk["fault"] != 0 and sim["lanes"] > 1:
                withdraw(sim, desk, resting)
    sim["request_due_ns"] = least_of(sim["request_due"], sim["lanes"])


@jit_inner
def hear_rows(market, cursor, rows, stop, bound_ns, by_message):
    """The market's rows up to index `stop` and time bound_ns, or to the end of one message.  True if it ended one.

    Levels are most rows and touch nothing but their book; the clock is set where somebody could read it.  It pauses
    after a row that our own side hears too, funding or a lost link, and leaves it in cursor.own_row.
    """
    i = cursor["i"]
    heard_before = market["seq"] - cursor["heard"]
    seq = market["seq"]
    last, dated = -1, -1
    ended = False
    cursor["own_row"] = -1
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
            hear_market_rare(market, me, kind, side, row["price_ticks"], row["qty_lots"])
            last = i
            if row["venue_kind"] != 0:
                dated = i
            if kind >= FUNDING:
                cursor["own_row"] = i
                ended = by_message and row["flags"] & LAST != 0
                i += 1
                break
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


@jit_inline
def keep_rows(events, first, stop, seq, out):
    """Copy heard events[first:stop] into the log under their numbers."""
    for k in range(first, stop):
        keep(events[k], seq + k - first, events[k]["ts_ns"], out)


@jit_inline
def row_bound(market, lane, cursor, out):
    """Index at which a run of rows must pause: the next checkpoint, or the room left when rows are recorded."""
    i, stop = cursor["i"], cursor["rows"]
    stop = min(stop, i + lane["checkpoint_seq"] - market["seq"])
    if cursor["record_full"]:
        stop = min(stop, i + OUT_RECORDS - OUT_ROOM_MIN - out["count"])
    return stop


@jit_inline
def walk_local(market, lanes, sim, desks, resting, cursor, rows, events, points, quote, out, observed):
    """The engine's inputs up to its limit; at equal times market rows, then answers, then timers."""
    by_message = lanes["wake_on"] & WAKE_FEED != 0
    code = -2
    while code == -2:
        if cursor["sent"] < out["count"]:
            # What a strategy outside has asked for.
            send_out(sim, desks, cursor, points, out)
        cursor["i"] = next_heard(rows, cursor["i"], cursor["rows"])
        limit = cursor["local_limit_ns"]
        answer_ns, timer_ns = sim["answer_due_ns"], cursor["timer_ns"]
        row_ns = rows[cursor["i"]]["ts_ns"] if cursor["i"] < cursor["rows"] else NEVER
        now = min(row_ns, min(answer_ns, timer_ns))
        code = why_pause(lanes, sim, desks, cursor, now, row_ns, out, observed)
        if code != -2:
            pass
        elif observed["due_ns"] < now:
            observe_due(market, lanes, now, observed)
        elif row_ns <= answer_ns and row_ns <= timer_ns:
            bound = min(min(limit, observed["due_ns"]), min(answer_ns, min(timer_ns, cursor["stop_ns"])))
            stop = row_bound(market, lanes, cursor, out)
            first, seq = cursor["heard"] - cursor["events_first"], market["seq"] + 1
            ended = hear_rows(market, cursor, rows, stop, bound, by_message)
            if cursor["record_full"]:
                keep_rows(events, first, cursor["heard"] - cursor["events_first"], seq, out)
            if cursor["own_row"] >= 0:
                lanes_hear_row(market, lanes, sim, desks, resting, cursor, rows, points, out, observed)
            if ended and market["ts_ns"] >= lanes["start_ns"]:
                me = np.int64(rows[cursor["i"] - 1]["instrument"])
                lanes_wake_feed(market, lanes, sim, desks, resting, cursor, me, points, quote, out)
            if sim["lanes"] == 1:
                end_of_input(market, lanes, out)
        elif answer_ns <= timer_ns:
            lanes_hear_answers(market, lanes, sim, desks, resting, cursor, points, quote, out, observed)
        else:
            cursor["timer_ns"] = timer_ns + cursor["timer_every_ns"]
            timer = observed["timer"]
            timer["kind"] = TIMER
            lanes_hear_timer(market, lanes, sim, desks, resting, cursor, timer, timer_ns, points, quote, out)
            if sim["running"] == 0:
                code = ENDED
    return code


@jit_inline
def last_ns(cursor):
    """Nothing is heard after this time: the stop, or so long after the market's end."""
    end = cursor["market_end_ns"]
    return min(cursor["stop_ns"], end + AFTER_MARKET_NS) if end > 0 else cursor["stop_ns"]


@jit_inline
def why_pause(lanes, sim, desks, cursor, now, row_ns, out, observed):
    """Why the engine cannot hear what comes next, at `now`: what the drive's owner must do, -1 for the venue's turn.

    -2 if it can.  An answer or a timer at the limit itself may be preceded by an answer that the venue has yet to give.
    """
    code = -2
    if sim["lanes"] == 1 and (lanes["fault"] != 0 or desks["fault"] != 0):
        code = FAULT
    elif lanes["due"] != 0:
        code = CALL_STRATEGY
    elif cursor["snapshots"] != 0 and cursor["snapped"] != lanes["checkpoint_seq"]:
        code = SNAPSHOT
    elif out["count"] >= OUT_RECORDS - OUT_ROOM_MIN:
        code = OUT_FULL
    elif observed["count"] >= OBSERVATIONS_MAX - OBSERVED_ROOM_MIN - sim["lanes"]:
        code = OBSERVED_FULL
    elif cursor["i"] == cursor["rows"] and not cursor["final"]:
        code = NEED_ROWS
    elif now == NEVER:
        # Nothing more to hear, unless the venue has yet to answer or to trade with us.
        cursor["phase"] = PLAN
        code = ENDED if sim["request_due_ns"] == NEVER and cursor["j"] == cursor["rows"] else -1
    elif min(now, cursor["local_limit_ns"]) > last_ns(cursor):
        # Not before everything up to there was heard: the venue may have to be walked on for it.
        code = ENDED
    elif now > cursor["local_limit_ns"] or (now == cursor["local_limit_ns"] and now != row_ns):
        cursor["phase"] = PLAN
        code = -1
    return code


@jit_inner
def send_out(sim, desk, cursor, points, out):
    """Send a lane's commands that stand in `out` beyond those that were sent."""
    cursor["sent"] = send(sim, desk, points, out, cursor["sent"], cursor["feed_ns"])
    # What was just sent may be answered before the venue's next row.
    soonest = later(sim["request_due"][desk["lane"]], cursor["answer_least_ns"])
    cursor["local_limit_ns"] = min(cursor["local_limit_ns"], soonest)


@jit_inline
def after_input(market, lane, sim, desk, resting, cursor, points, out):
    """What follows an input that one lane has heard: its commands leave, and of many lanes a broken one is set aside.

    Of many lanes nothing is logged: what was sent is forgotten at once.
    """
    if cursor["sent"] < out["count"]:
        send_out(sim, desk, cursor, points, out)
    if sim["lanes"] > 1:
        out["count"] = cursor["sent"] = 0
        if (lane["fault"] != 0 or desk["fault"] != 0) and desk["ended"] == 0:
            withdraw(sim, desk, resting)


@jit_inline
def number_input(market, desk, cursor):
    """The number of a lane's next input: its own so far, and the market's rows heard."""
    market["seq"] = cursor["heard"] + desk["inputs"] - 1


@jit_inner
def lanes_hear_row(market, lanes, sim, desks, resting, cursor, rows, points, out, observed):
    """Funding, or a link that is lost: each lane hears it."""
    row = rows[cursor["own_row"]]
    me, kind = np.int64(row["instrument"]), np.int64(row["kind"])
    for k in range(sim["lanes"]):
        desk, lane = nth(desks, k), nth(lanes, k)
        if desk["ended"] == 0:
            number_input(market, desk, cursor)
            hear_market_own(market, lane, me, kind, row["price_ticks"], row["qty_lots"], out)
            if kind == FUNDING and observed["lanes"] > 1 and lane["own"][me]["position_lots"] != 0:
                write(market, lane, k, me, row["ts_ns"], FUNDED, -1, -1, observed)
            after_input(market, lane, sim, desk, resting, cursor, points, out)


@jit_inline
def lanes_wake_feed(market, lanes, sim, desks, resting, cursor, me, points, quote, out):
    """A whole message was heard: each lane quotes anew."""
    refresh_tops(market)
    for k in range(sim["lanes"]):
        desk, lane = nth(desks, k), nth(lanes, k)
        if desk["ended"] == 0:
            number_input(market, desk, cursor)
            wake_feed(market, lane, me, quote, out)
            after_input(market, lane, sim, desk, resting, cursor, points, out)


@jit_inline
def lanes_hear_answers(market, lanes, sim, desks, resting, cursor, points, quote, out, observed):
    """The answers that are heard next: of each lane one that is due at this time, of several lanes as room is left."""
    now = sim["answer_due_ns"]
    for k in range(sim["lanes"]):
        if sim["answer_due"][k] == now and observed["count"] < OBSERVATIONS_MAX:
            desk, lane = nth(desks, k), nth(lanes, k)
            own = desk["own"][desk["answer_at"]]
            row = own["answers"][own["answer_first"] & (IN_FLIGHT_MAX - 1)]
            hear_kept(market, lane, desk, cursor, row, now, sim["lanes"], quote, out)
            observe_answer(market, lane, k, row, observed)
            drop_answer(sim, desk)
            count_at_once(desk, now)
            after_input(market, lane, sim, desk, resting, cursor, points, out)
    sim["answer_due_ns"] = least_of(sim["answer_due"], sim["lanes"])


@jit_inline
def lanes_hear_timer(market, lanes, sim, desks, resting, cursor, timer, now, points, quote, out):
    """A timer: each lane that has anything left to come is woken; the others have ended."""
    # What the venue did later than that is answered after now, wherever it has been walked to.
    going = cursor["i"] < cursor["rows"] or cursor["j"] < cursor["rows"]
    going = going or sim["row_ns"] > now - cursor["answer_least_ns"]
    if sim["lanes"] > 1:
        refresh_tops(market)
    for k in range(sim["lanes"]):
        desk, lane = nth(desks, k), nth(lanes, k)
        if desk["ended"] == 0:
            if going or anything_left(sim, desk):
                if sim["lanes"] == 1:
                    hear_kept(market, lane, desk, cursor, timer, now, 1, quote, out)
                else:
                    desk["inputs"] += 1
                    number_input(market, desk, cursor)
                    market["ts_ns"] = now
                    wake_all(market, lane, quote, out)
                after_input(market, lane, sim, desk, resting, cursor, points, out)
            else:
                desk["ended"] = 1
                sim["running"] -= 1


@jit_inline
def count_at_once(desk, now_ns):
    """Stop where time stands still: with no latency a strategy can answer each answer at the same instant for ever."""
    desk["at_once"] = desk["at_once"] + 1 if now_ns == desk["at_once_ns"] else 0
    desk["at_once_ns"] = now_ns
    if desk["at_once"] > ANSWERS_AT_ONCE_MAX:
        desk["fault"] = STOP_AT_ONCE


@jit_inner
def hear_kept(market, lane, desk, cursor, row, ts_ns, lanes, quote, out):
    """An input that history does not hold: it goes into the log, of one lane, then into the fold."""
    if ts_ns < market["ts_ns"]:
        lane["fault"] = STOP_TIME_BACK
        return
    desk["inputs"] += 1
    number_input(market, desk, cursor)
    market["ts_ns"] = ts_ns
    if lanes == 1:
        keep(row, market["seq"], ts_ns, out)
    hear_other(market, lane, row, quote, out)
    if lanes == 1:
        end_of_input(market, lane, out)


@jit_inline
def anything_left(sim, desk):
    """Whether a request or an answer of a lane is on its way, its market being over."""
    lane = desk["lane"]
    return sim["request_due"][lane] != NEVER or sim["answer_due"][lane] != NEVER

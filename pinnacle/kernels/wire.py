"""The two first-in first-out lines between the engine and each simulated venue: requests out, answers back.

A message never overtakes another in its direction, as on one session of a real venue.
"""

from __future__ import annotations

from pinnacle.event import CANCEL, PLACE
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.latency import CANCEL_ENTRY, ENTRY, RESPONSE, delay_ns
from pinnacle.kernels.state import NEVER, STOP_RING_FULL
from pinnacle.limits import IN_FLIGHT_MAX

_MASK = IN_FLIGHT_MAX - 1


@jit_inner
def send(sim, points, out, first, feed_ns):
    """Put the commands among out.rows[first:] on their way.  Returns the index after the last.

    points: int64[n, 4], see latency.  feed_ns: the feed's latency as we last saw it.
    """
    for k in range(first, out["count"]):
        row = out["rows"][k]
        kind = int(row["kind"])
        if kind != PLACE and kind != CANCEL:
            continue
        own = sim["own"][int(row["instrument"])]
        end = own["request_end"]
        if end - own["request_first"] >= IN_FLIGHT_MAX:
            sim["fault"] = STOP_RING_FULL
            return k
        leg = ENTRY if kind == PLACE else CANCEL_ENTRY
        due = row["ts_ns"] + delay_ns(own["latency"], points, leg, row["ts_ns"], feed_ns)
        # What the engine decides on hearing of a gap may come while the venue has been walked further already.
        due = max(due, own["request_due_ns"], sim["clock_ns"])
        own["request_due_ns"] = due
        request = own["requests"][end & _MASK]
        request["due_ns"] = due
        request["order_id"] = row["order_id"]
        request["price_ticks"] = row["price_ticks"]
        request["qty_lots"] = row["qty_lots"]
        request["kind"] = kind
        request["side"] = row["side"]
        request["flags"] = row["flags"]
        own["request_end"] = end + 1
        if due < sim["request_due_ns"]:
            sim["request_due_ns"], sim["request_at"] = due, int(row["instrument"])
    return out["count"]


@jit_inline
def drop_request(sim):
    """Take the first request of all off its line and find the next one."""
    sim["own"][sim["request_at"]]["request_first"] += 1
    sim["request_due_ns"] = NEVER
    for k in range(sim["instruments"]):
        own = sim["own"][k]
        if own["request_first"] < own["request_end"]:
            due = own["requests"][own["request_first"] & _MASK]["due_ns"]
            if due < sim["request_due_ns"]:
                sim["request_due_ns"], sim["request_at"] = due, k


@jit_inner
def answer(sim, points, me, kind, order_id, side, price_ticks, qty_lots, aux, flags):
    """Send one answer from the venue, dated now, to be heard after the response delay."""
    own = sim["own"][me]
    end = own["answer_end"]
    if end - own["answer_first"] >= IN_FLIGHT_MAX:
        sim["fault"] = STOP_RING_FULL
        return
    now = sim["clock_ns"]
    due = max(now + delay_ns(own["latency"], points, RESPONSE, now, sim["feed_ns"]), own["answer_due_ns"])
    own["answer_due_ns"] = due
    row = own["answers"][end & _MASK]
    row["ts_ns"] = due
    row["ts_venue_ns"] = now
    row["order_id"] = order_id
    row["price_ticks"] = price_ticks
    row["qty_lots"] = qty_lots
    row["aux"] = aux
    row["kind"] = kind
    row["side"] = side
    row["flags"] = flags
    row["venue"] = own["venue"]
    row["instrument"] = me
    own["answer_end"] = end + 1
    if due < sim["answer_due_ns"]:
        sim["answer_due_ns"], sim["answer_at"] = due, me


@jit_inline
def drop_answer(sim):
    """Take the first answer of all off its line and find the next one."""
    sim["own"][sim["answer_at"]]["answer_first"] += 1
    sim["answer_due_ns"] = NEVER
    for k in range(sim["instruments"]):
        own = sim["own"][k]
        if own["answer_first"] < own["answer_end"]:
            due = own["answers"][own["answer_first"] & _MASK]["ts_ns"]
            if due < sim["answer_due_ns"]:
                sim["answer_due_ns"], sim["answer_at"] = due, k

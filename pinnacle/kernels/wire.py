"""The two first-in first-out lines between each lane and each simulated venue: requests out, answers back.

A message never overtakes another in its direction, as on one session of a real venue.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import CANCEL, PLACE
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.latency import CANCEL_ENTRY, ENTRY, RESPONSE, delay_ns
from pinnacle.kernels.state import NEVER, STOP_RING_FULL
from pinnacle.limits import IN_FLIGHT_MAX

_MASK = IN_FLIGHT_MAX - 1


@jit_inner
def send(sim, desk, points, out, first, feed_ns):
    """Put the commands among out.rows[first:] of one lane on their way.  Returns the index after the last.

    points: int64[n, 4], see latency.  feed_ns: the feed's latency as we last saw it.
    """
    lane = desk["lane"]
    for k in range(first, out["count"]):
        row = out["rows"][k]
        kind = np.int64(row["kind"])
        if kind != PLACE and kind != CANCEL:
            continue
        me = np.int64(row["instrument"])
        own = desk["own"][me]
        end = own["request_end"]
        if end - own["request_first"] >= IN_FLIGHT_MAX:
            desk["fault"] = STOP_RING_FULL
            return k
        leg = ENTRY if kind == PLACE else CANCEL_ENTRY
        due = row["ts_ns"] + delay_ns(sim["site"][me]["latency"], own, points, leg, row["ts_ns"], feed_ns)
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
        if due < sim["request_due"][lane]:
            sim["request_due"][lane], desk["request_at"] = due, me
            sim["request_due_ns"] = min(sim["request_due_ns"], due)
    return out["count"]


@jit_inline
def drop_request(sim, desk):
    """Take a lane's first request off its line and find its next one."""
    first = desk["own"][desk["request_at"]]
    first["request_first"] += 1
    if first["request_first"] == first["request_end"]:
        first["request_first"] = first["request_end"] = 0  # an empty ring begins again where it is in cache
    due = NEVER
    for k in range(sim["instruments"]):
        own = desk["own"][k]
        if own["request_first"] < own["request_end"]:
            one = own["requests"][own["request_first"] & _MASK]["due_ns"]
            if one < due:
                due, desk["request_at"] = one, k
    sim["request_due"][desk["lane"]] = due


@jit_inner
def answer(sim, desk, points, me, kind, order_id, side, price_ticks, qty_lots, aux, flags):
    """Send one answer from the venue to a lane, dated now, to be heard after the response delay."""
    own, lane = desk["own"][me], desk["lane"]
    end = own["answer_end"]
    if end - own["answer_first"] >= IN_FLIGHT_MAX:
        desk["fault"] = STOP_RING_FULL
        return
    now, site = sim["clock_ns"], sim["site"][me]
    due = max(now + delay_ns(site["latency"], own, points, RESPONSE, now, sim["feed_ns"]), own["answer_due_ns"])
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
    row["venue"] = site["venue"]
    row["instrument"] = me
    own["answer_end"] = end + 1
    if due < sim["answer_due"][lane]:
        sim["answer_due"][lane], desk["answer_at"] = due, me
        sim["answer_due_ns"] = min(sim["answer_due_ns"], due)


@jit_inline
def drop_answer(sim, desk):
    """Take a lane's first answer off its line and find its next one."""
    first = desk["own"][desk["answer_at"]]
    first["answer_first"] += 1
    if first["answer_first"] == first["answer_end"]:
        first["answer_first"] = first["answer_end"] = 0
    due = NEVER
    for k in range(sim["instruments"]):
        own = desk["own"][k]
        if own["answer_first"] < own["answer_end"]:
            one = own["answers"][own["answer_first"] & _MASK]["ts_ns"]
            if one < due:
                due, desk["answer_at"] = one, k
    sim["answer_due"][desk["lane"]] = due


@jit_inline
def least_of(dues, lanes):
    """The least of the first `lanes` due times."""
    least = dues[0]
    for k in range(1, lanes):
        least = min(least, dues[k])
    return least

"""What each lane's fills add up to, summed as they come: money, mark-outs, and what stood at the end of each bucket.

Whole numbers only, so that no sum depends on how lanes were dealt out or in which pieces their fills came.
"""

from __future__ import annotations

import numpy as np

from pinnacle.kernels.fingerprint import mix
from pinnacle.kernels.jit import jit, jit_inner
from pinnacle.kernels.observe import FILL, HORIZONS

# One lane on one instrument.
LEDGER = np.dtype(
    [
        ("heard", "<i8"),  # 1 once anything was
        ("position_lots", "<i8"),  # after the last fill
        ("cash_units", "<i8"),
        ("fees_units", "<i8"),
        ("turnover_units", "<i8"),
        ("fills", "<i8"),
        ("maker_fills", "<i8"),
        ("hash", "<i8"),  # of every fill
        ("edges2_units", "<i8", (HORIZONS,)),  # twice what fills were better than the mid a horizon later
        ("values_units", "<i8", (HORIZONS,)),  # of the fills in edges2_units
        ("waiting", "<i8"),  # mark-outs that come later than what was asked for so far
    ]
)
# What stood at the end of a bucket in which something happened.
STOOD = np.dtype([("touched", "<i8"), ("position_lots", "<i8"), ("cash_units", "<i8")])
# A mark-out that is still to come.
WAITING = np.dtype([("due_ns", "<i8"), ("lots", "<i8"), ("paid_units", "<i8"), ("horizon", "<i8")])


@jit
def tally(rows, first, me, unit, ledgers, stood, waiting, tops, hints, begin_ns, bucket_ns, horizons_ns, stop_ns):
    """Add rows[first:] of instrument `me` to the ledgers of their lanes.

    rows: OBSERVATION[n], of all lanes in the order of time.  unit: money units of a tick of a lot.  ledgers:
    LEDGER[lanes].  stood: STOOD[lanes, buckets + 1], the last for what comes after the last bucket.  waiting:
    WAITING[lanes, room].  tops: CHANGE[m] of the instrument.  hints: int64[HORIZONS], where in tops the last search
    ended.  stop_ns: mark-outs after it wait.  Returns the index of the first row not added: rows.size, or earlier if a
    lane's `waiting` is full.
    """
    for k in range(first, rows.size):
        row = rows[k]
        if row["instrument"] != me:
            continue
        lane = np.int64(row["lane"])
        ledger = ledgers[lane]
        if ledger["waiting"] + HORIZONS > waiting.shape[1]:
            return k
        ledger["heard"] = 1
        ledger["fees_units"] = row["fees_units"]
        bucket = (row["ts_ns"] - begin_ns + bucket_ns - 1) // bucket_ns - 1
        one = stood[lane, min(max(bucket, 0), stood.shape[1] - 1)]
        one["touched"] = 1
        one["position_lots"] = row["position_lots"]
        one["cash_units"] = row["cash_units"] - row["fees_units"] + row["funding_units"]
        if row["kind"] == FILL:
            add_fill(row, unit, ledger, waiting[lane], tops, hints, horizons_ns, stop_ns)
    return rows.size


@jit_inner
def add_fill(row, unit, ledger, waiting, tops, hints, horizons_ns, stop_ns):
    """One fill: what it moved, its hash, and its mark-outs or their waiting."""
    lots = row["position_lots"] - ledger["position_lots"]
    paid = row["cash_units"] - ledger["cash_units"]
    ledger["position_lots"] = row["position_lots"]
    ledger["cash_units"] = row["cash_units"]
    ledger["turnover_units"] += abs(paid)
    ledger["fills"] += 1
    ledger["maker_fills"] += row["horizon"]
    h = mix(ledger["hash"], row["ts_ns"])
    h = mix(mix(h, row["position_lots"]), row["cash_units"])
    ledger["hash"] = mix(h, row["fees_units"])
    for horizon in range(HORIZONS):
        due_ns = row["ts_ns"] + horizons_ns[horizon]
        if due_ns <= stop_ns:
            hints[horizon] = mark_out(ledger, unit, tops, hints[horizon], horizon, due_ns, lots, paid)
        else:
            later = waiting[ledger["waiting"]]
            later["due_ns"], later["lots"], later["paid_units"], later["horizon"] = due_ns, lots, paid, horizon
            ledger["waiting"] += 1


@jit_inner
def mark_out(ledger, unit, tops, hint, horizon, due_ns, lots, paid):
    """Add one mark-out; returns where in tops it was found.  Nothing is added where no mid is known yet."""
    k = min(hint, tops.size - 1)
    while k >= 0 and tops[k]["ts_ns"] > due_ns:
        k -= 1
    while k + 1 < tops.size and tops[k + 1]["ts_ns"] <= due_ns:
        k += 1
    if k < 0:
        return 0
    mid2 = tops[k]["bid_ticks"] + tops[k]["ask_ticks"]
    ledger["edges2_units"][horizon] += lots * mid2 * unit + 2 * paid
    ledger["values_units"][horizon] += abs(paid)
    return k


@jit
def mark_waiting(unit, ledgers, waiting, tops, stop_ns):
    """Add the mark-outs that waited for stop_ns or earlier; the others stay."""
    for lane in range(ledgers.size):
        ledger = ledgers[lane]
        kept, hint = 0, 0
        for k in range(ledger["waiting"]):
            one = waiting[lane, k]
            if one["due_ns"] <= stop_ns:
                hint = mark_out(ledger, unit, tops, hint, one["horizon"], one["due_ns"], one["lots"], one["paid_units"])
            else:
                there = waiting[lane, kept]
                there["due_ns"], there["lots"] = one["due_ns"], one["lots"]
                there["paid_units"], there["horizon"] = one["paid_units"], one["horizon"]
                kept += 1
        ledger["waiting"] = kept

"""Writing outputs: every command, alert and checkpoint is a record with the seq of the input that caused it."""

from __future__ import annotations

from pinnacle.kernels.jit import jit_inner


@jit_inner
def say(market, me, kind, order_id, side, price_ticks, qty_lots, aux, flags, out):
    """Append one output.  The owner has asked for limits.OUT_ROOM_MIN free rows before the input, so there is room."""
    n = out["count"]
    row = out["rows"][n]
    row["seq"] = market["seq"]
    row["ts_ns"] = market["ts_ns"]
    row["ts_venue_ns"] = 0
    row["order_id"] = order_id
    row["price_ticks"] = price_ticks
    row["qty_lots"] = qty_lots
    row["aux"] = aux
    row["kind"] = kind
    row["side"] = side
    row["flags"] = flags
    row["venue"] = market["venue_of"][me]
    row["instrument"] = me
    out["count"] = n + 1


@jit_inner
def keep(source, seq, ts_ns, out):
    """Append a copy of an input under its number and the time at which it was heard."""
    n = out["count"]
    row = out["rows"][n]
    row["seq"] = seq
    row["ts_ns"] = ts_ns
    row["ts_venue_ns"] = source["ts_venue_ns"]
    row["order_id"] = source["order_id"]
    row["price_ticks"] = source["price_ticks"]
    row["qty_lots"] = source["qty_lots"]
    row["aux"] = source["aux"]
    row["kind"] = source["kind"]
    row["side"] = source["side"]
    row["flags"] = source["flags"]
    row["venue"] = source["venue"]
    row["instrument"] = source["instrument"]
    out["count"] = n + 1

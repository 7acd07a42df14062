"""Scanner of recorded Binance streams: gunzipped bytes to 64-byte records, without one Python object a message.

A day of a busy symbol is tens of gigabytes of JSON.  Decoding it into dicts costs more than every later step of a
backtest together, and binary floats on the way lose digits; here decimal text becomes ticks and lots directly.
"""

import numpy as np

from pinnacle.event import ASK, BID, LAST, TICKER, TRADE
from pinnacle.kernels.jit import jit
from pinnacle.kernels.stream import (
    BOOK_SNAPSHOT,
    DEPTH,
    ERROR_DECIMAL,
    ERROR_FIELD,
    ERROR_JSON,
    ERROR_ROOM,
    OTHER,
    SYMBOL_BYTES_MAX,
    TOP,
    TRADED,
    blank,
    fail,
    head,
    kind_of,
    line_end,
    price,
    put,
    qty,
    venue_ns,
    walk,
    wanted,
)

SYMBOLS_MAX = 256
_NEWLINE, _QUOTE = 10, 34

# One message of the wanted symbol: which rows it became and where it stands in the venue's chain of update ids.
MESSAGE = np.dtype(
    [
        ("line", "<i8"), ("row", "<i8"), ("rows", "<i8"), ("local_ns", "<i8"), ("venue_ns", "<i8"),
        ("first_id", "<i8"), ("last_id", "<i8"), ("previous_id", "<i8"),  # -1 where the message has none
        ("kind", "<i8"),
    ]
)  # fmt: skip

# What one pass over a file learns: enough to fix the clock, and to refuse before the first row is given away.
SURVEY = np.dtype(
    [
        ("depth", "<i8"), ("snapshots", "<i8"), ("trades", "<i8"), ("tickers", "<i8"),
        ("latency_ns_min", "<i8"), ("futures", "<i8"), ("symbols", "<i8"),
        ("names", "u1", (SYMBOLS_MAX, SYMBOL_BYTES_MAX)), ("sizes", "<i8", (SYMBOLS_MAX,)),
        ("counts", "<i8", (SYMBOLS_MAX,)),
    ]
)  # fmt: skip


@jit
def _trade_row(data, fields, line, spec, problems, rows, count):
    """One TRADE row, or none if it is off the tick or no trade of the market: rows so far, -1 after an error."""
    if fields["p"] < 0 or fields["q"] < 0 or fields["t"] < 0 or fields["maker"] < 0:
        return fail(spec, ERROR_FIELD, line)
    if fields["market"] == 0:
        spec["not_market"] += 1
        return count
    stop, ticks = price(data, fields["p"], spec, problems)
    if stop < 0 or data[stop] != _QUOTE:
        return stop if stop < 0 else fail(spec, ERROR_DECIMAL, fields["p"])
    stop, lots = qty(data, fields["q"], spec, problems)
    if stop < 0 or data[stop] != _QUOTE:
        return stop if stop < 0 else fail(spec, ERROR_DECIMAL, fields["q"])
    spec["prices"] += 1
    if ticks >= 0:
        put(rows, count, TRADE, ASK if fields["maker"] == 1 else BID, ticks, lots, fields["t"], 0)
        count += 1
    return count


@jit
def _ticker_rows(data, fields, line, spec, problems, rows, count):
    """Two TICKER rows, bid then ask: rows so far, -1 after an error."""
    if fields["b"] < 0 or fields["a"] < 0 or fields["B"] < 0 or fields["A"] < 0 or fields["u"] < 0:
        return fail(spec, ERROR_FIELD, line)
    for side in (BID, ASK):
        at = fields["b"] if side == BID else fields["a"]
        stop, ticks = price(data, at, spec, problems)
        if stop < 0 or data[stop] != _QUOTE:
            return stop if stop < 0 else fail(spec, ERROR_DECIMAL, at)
        at = fields["B"] if side == BID else fields["A"]
        stop, lots = qty(data, at, spec, problems)
        if stop < 0 or data[stop] != _QUOTE:
            return stop if stop < 0 else fail(spec, ERROR_DECIMAL, at)
        spec["prices"] += 1
        if ticks >= 0:
            put(rows, count, TICKER, side, ticks, lots, fields["u"], 0)
            count += 1
    return count


@jit
def _count_symbol(data, fields, survey):
    """Count one message of its symbol; symbols beyond the table are not listed."""
    start = fields["symbol"]
    size = min(fields["symbol_stop"] - start, SYMBOL_BYTES_MAX)
    for slot in range(survey["symbols"]):
        same = survey["sizes"][slot] == size
        i = 0
        while same and i < size:
            same = survey["names"][slot, i] == data[start + i]
            i += 1
        if same:
            survey["counts"][slot] += 1
            return
    slot = survey["symbols"]
    if slot == SYMBOLS_MAX:
        return
    for i in range(size):
        survey["names"][slot, i] = data[start + i]
    survey["sizes"][slot] = size
    survey["counts"][slot] = 1
    survey["symbols"] = slot + 1


@jit
def _count(fields, kind, local_ns, survey):
    """Count one message of the wanted symbol, and its latency where its venue time is the event's own."""
    if kind == BOOK_SNAPSHOT:
        survey["snapshots"] += 1
    elif kind == TOP:
        survey["tickers"] += 1
    elif kind == DEPTH or fields["market"] != 0:
        if kind == DEPTH:
            survey["depth"] += 1
            if fields["pu"] >= 0:
                survey["futures"] = 1
        else:
            survey["trades"] += 1
        survey["latency_ns_min"] = min(survey["latency_ns_min"], local_ns - venue_ns(fields, kind))


@jit
def _finish(data, fields, kind, line, local_ns, spec, problems, rows, first, count, message):
    """Complete the rows of one message and its entry in the table: rows so far, -1 after an error."""
    last_id = fields["u"]
    if kind == TRADED:
        count = _trade_row(data, fields, line, spec, problems, rows, first)
        last_id = fields["t"]
    elif kind == TOP:
        count = first
        if spec["tickers"] != 0:
            count = _ticker_rows(data, fields, line, spec, problems, rows, first)
    elif kind == BOOK_SNAPSHOT:
        last_id = fields["last_update"]
    elif fields["U"] < 0 or last_id < 0 or fields["E"] < 0 or fields["arrays"] != 2:
        return fail(spec, ERROR_FIELD, line)
    if count < 0:
        return count
    time_ns = venue_ns(fields, kind)
    for row in range(first, count):
        rows[row]["ts_ns"] = local_ns
        rows[row]["ts_venue_ns"] = time_ns
        rows[row]["aux"] = last_id
    if count > first:
        rows[count - 1]["flags"] |= LAST
    message["line"] = spec["line"]
    message["row"] = first
    message["rows"] = count - first
    message["local_ns"] = local_ns
    message["venue_ns"] = time_ns
    message["first_id"] = fields["U"]
    message["last_id"] = last_id
    message["previous_id"] = fields["pu"]
    message["kind"] = kind
    return count


@jit
def scan(data, size, surveying, spec, fields, survey, rows, messages, problems):
    """Walk whole lines: (rows, messages) written; spec["error"] tells if and where it stopped.

    data: u1[>= size], data[size - 1] is a newline.  spec: one SPEC record, survey: one SURVEY record, both changed.
    fields: one FIELDS record, scratch.  surveying 1: only `survey` is filled and no row is written.  surveying 0: also
    rows: EVENT[>= size / 9 + 8] and messages: MESSAGE[>= size / 32 + 8] are filled from 0, and problems: PROBLEM[n]
    with the first n of this block.  Rows carry the recorder's own time; seq, the bridge and the clock's offset
    are the caller's.  Bounded by size; after an error the rows of the messages before it are whole.
    """
    at = 0
    count = 0
    table = 0
    spec["problems"] = 0
    while at < size:
        spec["line"] += 1
        if data[at] == _NEWLINE:
            at += 1
            continue
        line = at
        at, local_ns = head(data, at, spec)
        if at < 0:
            return count, table
        if surveying == 0 and (count + 8 > rows.size or table >= messages.size):
            fail(spec, ERROR_ROOM, line)
            return count, table
        blank(fields)
        first = count
        at, count = walk(data, at, fields, 1 - surveying, spec, problems, rows, count)
        if at >= 0:
            at = line_end(data, at)
            if at < 0:
                fail(spec, ERROR_JSON, line)
        if at < 0:
            return first, table
        kind = kind_of(fields)
        if fields["symbol"] >= 0:
            _count_symbol(data, fields, survey)
        if kind == OTHER:
            spec["other"] += 1
            count = first
        elif not wanted(data, fields, spec):
            spec["other_symbol"] += 1
            count = first
        else:
            _count(fields, kind, local_ns, survey)
            if surveying == 1:
                continue
            count = _finish(data, fields, kind, line, local_ns, spec, problems, rows, first, count, messages[table])
            if count < 0:
                return first, table
            table += 1
    return count, table

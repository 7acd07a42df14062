"""One line of a recorded Binance stream: walks its JSON once, where it stands, without a Python object.

Levels become records as they are met, other fields are remembered by place.  The order of keys inside a message does
not matter; unknown keys are stepped over.
"""

import numpy as np

from pinnacle.event import ASK, BID, BOOK_CLEAR, BOOK_LEVEL, SNAPSHOT
from pinnacle.kernels.digits import EXACT, NINE, NOT_DECIMAL, OFF_STEP, ZERO, decimal_steps, integer, scaled_ns
from pinnacle.kernels.jit import jit, jit_inline
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX

# --- what a line turned out to be ---------------------------------------------------------------------------------
OTHER = 0
DEPTH = 1
BOOK_SNAPSHOT = 2
TRADED = 3
TOP = 4

# --- what stops the scanner (spec["error"]) -----------------------------------------------------------------------
ERROR_TIME = 1  # a line does not begin with the recorder's time
ERROR_JSON = 2  # not the JSON that a stream sends
ERROR_DECIMAL = 3  # a price or quantity that is not plain decimal text
ERROR_LARGE = 4  # a price or quantity beyond limits.py
ERROR_FIELD = 5  # a message without a field that it must have
ERROR_ROOM = 6  # more levels than the bytes of the block can hold: the caller's buffer is too small

# --- what it noticed and went on (problem["code"]) ----------------------------------------------------------------
OFF_TICK = 1
OFF_LOT = 2

SYMBOL_BYTES_MAX = 32

# What the scanner is told, and where it is: survives from block to block.
SPEC = np.dtype(
    [
        ("price_digits", "<i8"), ("price_step", "<i8"), ("qty_digits", "<i8"), ("qty_step", "<i8"),
        ("tickers", "<i8"),  # 1: bookTicker messages become rows
        ("snapshots", "<i8"),  # 1: snapshots become rows; they do not say their symbol
        ("symbol", "u1", (SYMBOL_BYTES_MAX,)), ("symbol_size", "<i8"),  # upper case; size 0 takes every symbol
        ("line", "<i8"),  # lines begun so far, so the number of the current one counted from 1
        ("error", "<i8"), ("error_at", "<i8"),  # byte in the block
        ("off_tick", "<i8"), ("off_lot", "<i8"), ("not_market", "<i8"), ("other", "<i8"), ("other_symbol", "<i8"),
        ("prices", "<i8"), ("problems", "<i8"),
    ]
)  # fmt: skip

PROBLEM = np.dtype([("code", "<i8"), ("line", "<i8"), ("start", "<i8"), ("stop", "<i8")])

# What one JSON object said; positions are bytes of the block, -1 where the key is absent.
FIELDS = np.dtype(
    [
        ("event", "<i8"), ("E", "<i8"), ("T", "<i8"), ("U", "<i8"), ("u", "<i8"), ("pu", "<i8"), ("t", "<i8"),
        ("last_update", "<i8"), ("maker", "<i8"), ("market", "<i8"), ("symbol", "<i8"), ("symbol_stop", "<i8"),
        ("p", "<i8"), ("q", "<i8"), ("b", "<i8"), ("B", "<i8"), ("a", "<i8"), ("A", "<i8"), ("arrays", "<i8"),
    ]
)  # fmt: skip

_QUOTE, _BACKSLASH, _COMMA, _COLON, _OPEN, _CLOSE, _LIST, _END = 34, 92, 44, 58, 123, 125, 91, 93
_NEWLINE, _SPACE, _RETURN = 10, 32, 13

EVENT_OTHER, EVENT_DEPTH, EVENT_TRADE, EVENT_TICKER = 1, 2, 3, 4


@jit_inline
def _string_end(data, at):
    """Index of the closing quote of the string whose text begins at data[at]; of the newline if it is not closed."""
    c = data[at]
    while c != _QUOTE and c != _NEWLINE:
        if c == _BACKSLASH and data[at + 1] != _NEWLINE:
            at += 1
        at += 1
        c = data[at]
    return at


@jit
def _skip(data, at):
    """Index after the JSON value at data[at]; -1 if the line ends first.  Brackets are counted, not matched by kind."""
    depth = 0
    while True:
        c = data[at]
        if c == _QUOTE:
            at = _string_end(data, at + 1)
            if data[at] == _NEWLINE:
                return -1
            at += 1
        elif c in (_OPEN, _LIST):
            depth += 1
            at += 1
        elif c in (_CLOSE, _END):
            if depth == 0:
                return at
            depth -= 1
            at += 1
        elif c == _NEWLINE:
            return -1
        elif c == _COMMA and depth == 0:
            return at
        else:
            at += 1
            continue
        if depth == 0 and c != _COMMA and c != _COLON:
            return at


@jit
def _note(spec, problems, code, start, stop):
    """Keep the first few problems with their place in the block; all of them are counted."""
    count = spec["problems"]
    if count < problems.size:
        problems[count]["code"] = code
        problems[count]["line"] = spec["line"]
        problems[count]["start"] = start
        problems[count]["stop"] = stop
        spec["problems"] = count + 1
    if code == OFF_TICK:
        spec["off_tick"] += 1
    else:
        spec["off_lot"] += 1


@jit
def fail(spec, error, at):
    """Remember why the scanner stops; returns -1 for the caller to return."""
    spec["error"] = error
    spec["error_at"] = at
    return -1


@jit
def price(data, at, spec, problems):
    """(next byte, ticks) of the price at data[at]; next byte -1 after an error.  Off the tick: -1 ticks."""
    stop, ticks, status = decimal_steps(data, at, spec["price_digits"], spec["price_step"])
    if status != EXACT or ticks >= PRICE_TICKS_MAX:
        if status == OFF_STEP:
            _note(spec, problems, OFF_TICK, at, stop)
            ticks = np.int64(-1)
        else:
            stop = fail(spec, ERROR_DECIMAL if status == NOT_DECIMAL else ERROR_LARGE, at)
    return stop, ticks


@jit
def qty(data, at, spec, problems):
    """(next byte, lots) of the quantity at data[at]; next byte -1 after an error.  Off the lot: rounded down."""
    stop, lots, status = decimal_steps(data, at, spec["qty_digits"], spec["qty_step"])
    if status != EXACT or lots >= QTY_LOTS_MAX:
        if status == OFF_STEP:
            _note(spec, problems, OFF_LOT, at, stop)
        else:
            stop = fail(spec, ERROR_DECIMAL if status == NOT_DECIMAL else ERROR_LARGE, at)
    return stop, lots


@jit_inline
def put(rows, row, kind, side, price_ticks, qty_lots, aux, flags):
    """One record, all but its times."""
    rows[row]["seq"] = 0
    rows[row]["order_id"] = 0
    rows[row]["price_ticks"] = price_ticks
    rows[row]["qty_lots"] = qty_lots
    rows[row]["aux"] = aux
    rows[row]["kind"] = kind
    rows[row]["side"] = side
    rows[row]["flags"] = flags
    rows[row]["venue"] = 0
    rows[row]["instrument"] = 0


@jit
def _levels(data, at, side, snapshot, spec, problems, rows, count):
    """`[["price","size"],...]` at data[at] into rows from `count` on: (next byte, count); next byte -1 after an error.

    A snapshot's side is preceded by a BOOK_CLEAR row up to its worst price.  Rows off the tick are left out.
    """
    clear = count
    worst = np.int64(-1)
    flags = SNAPSHOT if snapshot else 0
    if snapshot:
        count += 1
    begin = count
    at += 1
    while data[at] != _END:
        if data[at] != _LIST or data[at + 1] != _QUOTE:
            return fail(spec, ERROR_JSON, at), count
        at, ticks = price(data, at + 2, spec, problems)
        if at < 0:
            return at, count
        if data[at] != _QUOTE or data[at + 1] != _COMMA or data[at + 2] != _QUOTE:
            return fail(spec, ERROR_JSON, at), count
        at, lots = qty(data, at + 3, spec, problems)
        if at < 0:
            return at, count
        if data[at] != _QUOTE or data[at + 1] != _END:
            return fail(spec, ERROR_JSON, at), count
        at += 2
        if count >= rows.size:
            return fail(spec, ERROR_ROOM, at), count
        if ticks >= 0:
            put(rows, count, BOOK_LEVEL, side, ticks, lots, 0, flags)
            count += 1
            if worst < 0 or (ticks < worst) == (side > 0):
                worst = ticks
        if data[at] == _COMMA:
            at += 1
        elif data[at] != _END:
            return fail(spec, ERROR_JSON, at), count
    if snapshot:
        if count == begin:
            return at + 1, clear
        put(rows, clear, BOOK_CLEAR, side, worst, 0, 0, flags)
    spec["prices"] += count - begin
    return at + 1, count


@jit_inline
def blank(fields):
    """No key seen yet."""
    fields["event"] = 0
    fields["E"] = -1
    fields["T"] = -1
    fields["U"] = -1
    fields["u"] = -1
    fields["pu"] = -1
    fields["t"] = -1
    fields["last_update"] = -1
    fields["maker"] = -1
    fields["market"] = 1
    fields["symbol"] = -1
    fields["symbol_stop"] = -1
    fields["p"] = -1
    fields["q"] = -1
    fields["b"] = -1
    fields["B"] = -1
    fields["a"] = -1
    fields["A"] = -1
    fields["arrays"] = 0


@jit_inline
def _string_key(fields, data, key, at, stop):
    """Remember the string value data[at:stop] of a one-letter key."""
    if key == 112:  # p
        fields["p"] = at
    elif key == 113:  # q
        fields["q"] = at
    elif key == 98:  # b
        fields["b"] = at
    elif key == 66:  # B
        fields["B"] = at
    elif key == 97:  # a
        fields["a"] = at
    elif key == 65:  # A
        fields["A"] = at
    elif key == 115:  # s
        fields["symbol"] = at
        fields["symbol_stop"] = stop
    elif key == 88:  # X: futures say MARKET for a trade, and other words for insurance fund and deleveraging
        fields["market"] = 1 if stop - at == 6 and data[at] == 77 and data[at + 1] == 65 else 0
    elif key == 101:  # e
        size = stop - at
        if size == 11 and data[at] == 100:
            fields["event"] = EVENT_DEPTH
        elif size == 5 and data[at] == 116:
            fields["event"] = EVENT_TRADE
        elif size == 10 and data[at] == 98:
            fields["event"] = EVENT_TICKER
        else:
            fields["event"] = EVENT_OTHER


@jit_inline
def _number_key(fields, key, size, value):
    """Remember the integer value of a key."""
    if size == 1:
        if key == 69:  # E
            fields["E"] = value
        elif key == 84:  # T
            fields["T"] = value
        elif key == 85:  # U
            fields["U"] = value
        elif key == 117:  # u
            fields["u"] = value
        elif key == 116:  # t
            fields["t"] = value
    elif size == 2 and key == 112:  # pu
        fields["pu"] = value
    elif size == 12 and key == 108:  # lastUpdateId
        fields["last_update"] = value


@jit_inline
def wanted(data, fields, spec):
    """Whether the message is of the wanted symbol; a snapshot does not say its symbol."""
    size = spec["symbol_size"]
    if size == 0 or fields["symbol"] < 0:
        return True
    start = fields["symbol"]
    if fields["symbol_stop"] - start != size:
        return False
    same = True
    for i in range(size):
        same = same and data[start + i] == spec["symbol"][i]
    return same


@jit_inline
def _is_levels(data, fields, key, size, spec):
    """Whether an array under this key holds levels to keep: b, a of the wanted symbol, or bids, asks of a snapshot."""
    if key != 98 and key != 97:
        return False
    return (size == 1 and wanted(data, fields, spec)) or (size == 4 and spec["snapshots"] != 0)


@jit
def walk(data, at, fields, levels, spec, problems, rows, count):
    """Walk the JSON object of one line from its brace: (next byte, rows so far); next byte -1 after an error.

    levels: 1 turns arrays of levels into rows, 0 steps over them.  The envelope's "data" is walked as if its keys
    stood in the envelope itself.  Bounded by the line, which ends with a newline.
    """
    nesting = 1
    at += 1
    while nesting > 0:
        c = data[at]
        if c in (_COMMA, _SPACE):
            at += 1
            continue
        if c == _CLOSE:
            nesting -= 1
            at += 1
            continue
        if c != _QUOTE:
            return fail(spec, ERROR_JSON, at), count
        begin = at + 1
        at = _string_end(data, begin)
        size = at - begin
        key = data[begin]
        if data[at] != _QUOTE or data[at + 1] != _COLON:
            return fail(spec, ERROR_JSON, at), count
        at += 2
        while data[at] == _SPACE:
            at += 1
        c = data[at]
        if c == _QUOTE:
            stop = _string_end(data, at + 1)
            if data[stop] != _QUOTE:
                return fail(spec, ERROR_JSON, at), count
            if size == 1:
                _string_key(fields, data, key, at + 1, stop)
            at = stop + 1
        elif ZERO <= c <= NINE:
            at, value = integer(data, at)
            _number_key(fields, key, size, value)
            if data[at] != _COMMA and data[at] != _CLOSE:
                at = _skip(data, at)
        elif c == _LIST and levels != 0 and _is_levels(data, fields, key, size, spec):
            fields["arrays"] += 1
            at, count = _levels(data, at, BID if key == 98 else ASK, size == 4, spec, problems, rows, count)
            if at < 0:
                return at, count
        elif c == _OPEN and size == 4 and key == 100:  # data
            nesting += 1
            at += 1
        else:
            if size == 1 and key == 109:  # m
                fields["maker"] = 1 if c == 116 else 0
            if c == _LIST:
                fields["arrays"] += 1
            start = at
            at = _skip(data, at)
            if at == start:
                at = -1
        if at < 0:
            return fail(spec, ERROR_JSON, begin), count
    return at, count


@jit_inline
def head(data, at, spec):
    """The recorder's time at the head of a line: (byte of the JSON, local_ns); byte -1 after an error."""
    stop, local = integer(data, at)
    if local <= 0 or data[stop] != _SPACE or data[stop + 1] != _OPEN:
        return np.int64(fail(spec, ERROR_TIME if local <= 0 or data[stop] != _SPACE else ERROR_JSON, at)), local
    return np.int64(stop + 1), scaled_ns(local)


@jit_inline
def kind_of(fields):
    """What the walked line is, by its event name or, where the venue sends none, by the keys it has."""
    event = fields["event"]
    if event == EVENT_DEPTH:
        return DEPTH
    if event == EVENT_TRADE:
        return TRADED
    if event == EVENT_TICKER:
        return TOP
    if event == 0:
        if fields["last_update"] >= 0 and fields["arrays"] == 2:
            return BOOK_SNAPSHOT
        if fields["u"] >= 0 and fields["b"] >= 0 and fields["a"] >= 0 and fields["B"] >= 0 and fields["A"] >= 0:
            return TOP
    return OTHER


@jit_inline
def venue_ns(fields, kind):
    """Time of the matching engine where the message has it (T), else the time it was sent (E), else 0."""
    if fields["T"] >= 0:
        return scaled_ns(fields["T"])
    if kind != TOP and fields["E"] >= 0:
        return scaled_ns(fields["E"])
    return np.int64(0)


@jit_inline
def line_end(data, at):
    """Index after the newline that ends the line, or -1 if more than blanks stand before it."""
    while data[at] == _SPACE or data[at] == _RETURN:
        at += 1
    return at + 1 if data[at] == _NEWLINE else -1

"""The levels of one message, from the venue's JSON text to records, without a Python object for each.

A message is mostly its levels.  Its envelope is decoded as a typed struct that keeps their text as it is; the text is
walked once here, decimal text becoming ticks and lots directly.  What is odd (an exponent, a price off the tick, a
field that is missing) is left to the caller, who has the words for it.
"""

import numpy as np

from pinnacle.event import BOOK_LEVEL, LAST
from pinnacle.kernels.digits import EXACT, NINE, OFF_STEP, ZERO, decimal_steps
from pinnacle.kernels.jit import jit, jit_inline
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX

KEY_BYTES_MAX = 24
_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _LIST, _END = 34, 44, 58, 123, 125, 91, 93
_SPACE, _NEWLINE, _RETURN, _TAB, _BACKSLASH = 32, 10, 13, 9, 92
_B, _UPPER_B = 98, 66

# How one instrument's levels are written by its venue.  Arrays: which element is the price, the quantity and the side
# (-1: the array is of one side).  Objects: the keys of the same, padded with zeros; of the side it may be empty.
LEVELS = np.dtype(
    [
        ("price_digits", "<i8"),  # the tick is price_step * 10^-price_digits
        ("price_step", "<i8"),
        ("qty_digits", "<i8"),
        ("qty_step", "<i8"),
        ("objects", "<i8"),  # 1: a level is an object, 0: an array
        ("price_at", "<i8"),
        ("qty_at", "<i8"),
        ("side_at", "<i8"),
        ("keys", "u1", (3, KEY_BYTES_MAX)),  # of price, quantity, side
        ("key_bytes", "<i8", (3,)),
        ("loose", "<i8"),  # 1: a quantity off the step is rounded down, a price beyond the bound is left out
        ("rounded", "<i8"),  # how many of each there were
        ("left_out", "<i8"),
        ("venue", "<u2"),
        ("instrument", "<u2"),
        ("pad", "u1", (4,)),
    ]
)


@jit_inline
def blanks(data, at):
    """The first byte from data[at] on that is no white space; a text ends with one that is none."""
    while data[at] == _SPACE or data[at] == _NEWLINE or data[at] == _RETURN or data[at] == _TAB:
        at += 1
    return at


@jit_inline
def key_of(data, begin, end, keys, key_bytes):
    """Which of the three keys data[begin:end] is, -1 for another."""
    found = -1
    for k in range(3):
        if key_bytes[k] == end - begin and key_bytes[k] > 0:
            same = True
            for i in range(end - begin):
                if data[begin + i] != keys[k, i]:
                    same = False
                    break
            if same:
                found = k
    return found


@jit
def after_value(data, at):
    """The byte after the JSON value that begins at data[at]; the text is known to be valid JSON."""
    c = data[at]
    if c == _QUOTE:
        at += 1
        while data[at] != _QUOTE:
            at += 2 if data[at] == _BACKSLASH else 1
        return at + 1
    if c == _OPEN or c == _LIST:
        depth = 0
        while True:
            c = data[at]
            if c == _QUOTE:
                at += 1
                while data[at] != _QUOTE:
                    at += 2 if data[at] == _BACKSLASH else 1
            elif c == _OPEN or c == _LIST:
                depth += 1
            elif c == _CLOSE or c == _END:
                depth -= 1
                if depth == 0:
                    return at + 1
            at += 1
    while data[at] != _COMMA and data[at] != _CLOSE and data[at] != _END and data[at] != _SPACE:
        at += 1
    return at


@jit
def level_rows(data, levels, side, ts_ns, ts_venue_ns, flags, last, events, count):
    """Write a BOOK_LEVEL for each level of a JSON array; returns the count of rows after it, -1 if it is odd.

    data: u1[n], valid JSON; what is no array is odd.  levels: LEVELS[1].  side: of all of
    them, 0 where each says its own (buy, bid, b: +1; else -1).  flags: of each; last: 1 adds LAST to the final one.
    events: EVENT[], room for n / 6 + 1 rows after `count`.  Odd is what is not plain decimal text on the tick and lot
    and below their bounds, or lacks a field; rows from `count` on are then undefined.  Bounded by the bytes.
    """
    return rows_of_levels(data, levels[0], side, ts_ns, ts_venue_ns, flags, last, events, count)


@jit
def rows_of_levels(data, spec, side, ts_ns, ts_venue_ns, flags, last, events, count):
    """level_rows with data as bytes or u1[n], and the one LEVELS record, whose counts are mutated where it is loose."""
    loose = spec["loose"] != 0
    rounded = left_out = 0
    stop = len(data)
    if stop < 2 or data[0] != _LIST or data[stop - 1] != _END:
        return -1
    objects = spec["objects"] != 0
    at = blanks(data, 1)
    first = count
    while at < stop - 1:
        c = data[at]
        if c == _COMMA:
            at = blanks(data, at + 1)
            c = data[at]
        if c != (_OPEN if objects else _LIST):
            return -1
        at = blanks(data, at + 1)
        end = _CLOSE if objects else _END
        position = 0
        price, lots, own_side = np.int64(-1), np.int64(-1), side
        while data[at] != end:
            field = -1
            if objects:
                close = after_value(data, at)
                field = key_of(data, at + 1, close - 1, spec["keys"], spec["key_bytes"])
                at = blanks(data, close)
                at = blanks(data, at + 1)
            elif position == spec["price_at"]:
                field = 0
            elif position == spec["qty_at"]:
                field = 1
            elif position == spec["side_at"]:
                field = 2
            quoted = data[at] == _QUOTE
            if field == 0 or field == 1:
                begin = at + 1 if quoted else at
                if not ZERO <= data[begin] <= NINE:
                    return -1
                if field == 0:
                    at, price, status = decimal_steps(data, begin, spec["price_digits"], spec["price_step"])
                else:
                    at, lots, status = decimal_steps(data, begin, spec["qty_digits"], spec["qty_step"])
                    if loose and status == OFF_STEP:
                        rounded += 1
                        status = EXACT
                if status != EXACT:
                    return -1
                if quoted:
                    if data[at] != _QUOTE:
                        return -1
                    at += 1
                elif data[at] != _COMMA and data[at] != end and data[at] != _SPACE:
                    return -1
            else:
                if field == 2:
                    if not quoted:
                        return -1
                    own_side = 1 if data[at + 1] == _B or data[at + 1] == _UPPER_B else -1
                at = after_value(data, at)
            at = blanks(data, at)
            if data[at] == _COMMA:
                at = blanks(data, at + 1)
            position += 1
        if loose and price >= PRICE_TICKS_MAX and lots >= 0 and own_side != 0:
            left_out += 1
            at = blanks(data, at + 1)
            continue
        if price <= 0 or price >= PRICE_TICKS_MAX or lots < 0 or lots >= QTY_LOTS_MAX or own_side == 0:
            return -1
        row = events[count]
        row["seq"] = 0
        row["ts_ns"] = ts_ns
        row["ts_venue_ns"] = ts_venue_ns
        row["order_id"] = 0
        row["price_ticks"] = price
        row["qty_lots"] = lots
        row["aux"] = 0
        row["kind"] = BOOK_LEVEL
        row["side"] = own_side
        row["flags"] = flags
        row["venue"] = spec["venue"]
        row["instrument"] = spec["instrument"]
        count += 1
        at = blanks(data, at + 1)
    if last and count > first:
        events[count - 1]["flags"] = flags | LAST
    if rounded + left_out > 0:
        spec["rounded"] += rounded
        spec["left_out"] += left_out
    return count

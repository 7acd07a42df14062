"""Coinbase's commonest message, an `l2update` of a few levels, from its bytes to records in one call.

Such a message is mostly envelope: decoding it, reading its time and writing its one level take longer than the level is
worth.  Here its exact bytes are expected, in the order the venue writes them; anything else (another order of keys, a
blank, an exponent, a price off the tick) is left to the parser that understands JSON, with nothing heard.
"""

import numpy as np

from pinnacle.event import BOOK_LEVEL, LAST
from pinnacle.kernels.digits import EXACT, NINE, ZERO, decimal_steps
from pinnacle.kernels.jit import jit, jit_inner
from pinnacle.kernels.own_levels import heard
from pinnacle.limits import FEED_LAG_NS_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX


def _text(word):
    return np.frombuffer(word, np.uint8)


_CHANGES = _text(b'","changes":[')
_BUY, _SELL = _text(b'["buy","'), _text(b'["sell","')
_BETWEEN, _AFTER, _TIME = _text(b'","'), _text(b'"]'), _text(b'],"time":"')
# 2021-04-17T16:43:29.571587Z"} at the end of a message; 0 stands for a digit.
_STAMP = _text(b'0000-00-00T00:00:00.000000Z"}')
_STAMP_BYTES = 29
_COMMA, _B = 44, 98


@jit_inner
def follows(data, at, stop, word):
    """Whether these bytes stand at data[at], all of them before stop."""
    if at + word.size > stop:
        return False
    same = True
    for i in range(word.size):
        same = same and data[at + i] == word[i]
    return same


@jit_inner
def two(data, at):
    """The number of two digits."""
    return (np.int64(data[at]) - ZERO) * 10 + np.int64(data[at + 1]) - ZERO


@jit_inner
def stamp_ns(data, at):
    """The time at data[at], ns since 1970; -1 if it is not written just so or cannot be.  (See venues/iso.)"""
    for i in range(_STAMP_BYTES):
        if _STAMP[i] == ZERO:
            if not ZERO <= data[at + i] <= NINE:
                return -1
        elif data[at + i] != _STAMP[i]:
            return -1
    year = two(data, at) * 100 + two(data, at + 2)
    month, day = two(data, at + 5), two(data, at + 8)
    hour, minute, second = two(data, at + 11), two(data, at + 14), two(data, at + 17)
    if year < 1970 or year > 2255 or month < 1 or month > 12 or day < 1 or day > 28:
        return -1  # the last days of months are left to the parser that knows how long they are
    if hour > 23 or minute > 59 or second > 59:
        return -1
    micros = (two(data, at + 20) * 100 + two(data, at + 22)) * 100 + two(data, at + 24)
    a = (14 - month) // 12
    y, m = year + 4800 - a, month + 12 * a - 3
    days = day + (153 * m + 2) // 5 + 365 * y + y // 4 - y // 100 + y // 400 - 32045 - 2440588
    return ((days * 86400 + hour * 3600 + minute * 60 + second) * 1000000 + micros) * 1000


@jit
def update_said(data, at, ts_ns, least_age_ns, events, count, own):
    """Write and hear an l2update; returns 4 * (count of rows after) + crossed, -1 if it is not just as expected.

    data: bytes; at: of the quote after the product's name.  least_age_ns: of the connection; an update that is fresher
    or far older is left to the caller.  events: EVENT[], room for a row per ten bytes.  own: OWN[1], of a live book,
    whose time_ns must not go back; mutated.  Bounded by the bytes, of which the last is read first: it is no digit.
    """
    stop = len(data)
    stamp = stop - _STAMP_BYTES
    if stamp < at or not follows(data, at, stop, _CHANGES):
        return -1
    ts_venue_ns = stamp_ns(data, stamp)
    age_ns = ts_ns - ts_venue_ns
    book = own[0]
    if ts_venue_ns < book["time_ns"] or age_ns < least_age_ns or age_ns - least_age_ns > FEED_LAG_NS_MAX:
        return -1
    spec = book["levels"]
    at += _CHANGES.size
    end = count
    while True:
        if follows(data, at, stop, _BUY):
            side = 1
            at += _BUY.size
        elif follows(data, at, stop, _SELL):
            side = -1
            at += _SELL.size
        else:
            return -1
        at, price, status = decimal_steps(data, at, spec["price_digits"], spec["price_step"])
        if status != EXACT or price <= 0 or price >= PRICE_TICKS_MAX or not follows(data, at, stop, _BETWEEN):
            return -1
        at, lots, status = decimal_steps(data, at + _BETWEEN.size, spec["qty_digits"], spec["qty_step"])
        if status != EXACT or lots >= QTY_LOTS_MAX or not follows(data, at, stop, _AFTER):
            return -1
        at += _AFTER.size
        row = events[end]
        row["seq"] = 0
        row["ts_ns"] = ts_ns
        row["ts_venue_ns"] = ts_venue_ns
        row["order_id"] = 0
        row["price_ticks"] = price
        row["qty_lots"] = lots
        row["aux"] = 0
        row["kind"] = BOOK_LEVEL
        row["side"] = side
        row["flags"] = 0
        row["venue"] = spec["venue"]
        row["instrument"] = spec["instrument"]
        end += 1
        if at < stop and data[at] == _COMMA:
            at += 1
        else:
            break
    if at + _TIME.size != stamp or not follows(data, at, stop, _TIME):
        return -1
    events[end - 1]["flags"] = LAST
    book["time_ns"] = ts_venue_ns
    return 4 * end + heard(events, count, end, 0, book)

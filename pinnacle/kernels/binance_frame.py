"""One Binance message from bytes to records in one pass: what nearly every message is, written as it always is.

A call of a kernel and a walk of the bytes take as long as decoding the same message into Python objects, and then the
records are there already.  Whatever is written in another way (white space, an escape, a key that is not known, a
number off the tick, a diff that does not follow) is left to the caller untouched, who has a parser for it.
"""

import numpy as np

from pinnacle.event import ASK, BID, BOOK_LEVEL, BUY, LAST, SELL, TICKER, TRADE
from pinnacle.kernels.digits import EXACT, NINE, ZERO, decimal_steps, integer
from pinnacle.kernels.jit import jit, jit_inline
from pinnacle.kernels.own_book import is_crossed, set_own
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX

DEPTH, TOP, TRADED, AGGREGATED = 1, 2, 3, 4
# What is returned instead of a count of rows.
ODD = -1
CROSSED = -2
NO_ROOM = -3

HEAD_BYTES_MAX = 96
SYMBOL_BYTES_MAX = 32
_MS_MAX = (1 << 63) // 1_000_000
_ID_MAX = 1 << 62
_QUOTE, _COMMA, _COLON, _CLOSE, _LIST, _END, _BACKSLASH = 34, 44, 58, 125, 91, 93, 92
_TRUE, _FALSE = 116, 102
# Keys: the letter, and one more for pu.
_A, _B, _E, _M, _T, _U, _X = 65, 66, 69, 77, 84, 85, 88
_LOW_A, _LOW_B, _LOW_L, _LOW_M, _LOW_P, _LOW_Q, _LOW_S, _LOW_T, _LOW_U = 97, 98, 108, 109, 112, 113, 115, 116, 117
_PU = 125

# One stream of one symbol.
WAY = np.dtype(
    [
        ("kind", "<i8"),
        ("futures", "<i8"),
        ("ready", "<i8"),  # of diffs: 1 if the next one must follow last_id, 0 while the book is not live or not joined
        ("last_id", "<i8"),
        ("price_digits", "<i8"),  # the tick is price_step * 10^-price_digits
        ("price_step", "<i8"),
        ("qty_digits", "<i8"),
        ("qty_step", "<i8"),
        ("head_bytes", "<i8"),
        ("symbol_bytes", "<i8"),
        ("head", "u1", (HEAD_BYTES_MAX,)),  # {"stream":"btcusdt@trade","data":{
        ("symbol", "u1", (SYMBOL_BYTES_MAX,)),
        ("venue", "<u2"),
        ("instrument", "<u2"),
        ("pad", "u1", (4,)),
    ]
)


@jit_inline
def put(events, count, way, ts_ns, ts_venue_ns, price_ticks, qty_lots, aux, kind, side, flags):
    """Write one record."""
    row = events[count]
    row["seq"] = 0
    row["ts_ns"] = ts_ns
    row["ts_venue_ns"] = ts_venue_ns
    row["order_id"] = 0
    row["price_ticks"] = price_ticks
    row["qty_lots"] = qty_lots
    row["aux"] = aux
    row["kind"] = kind
    row["side"] = side
    row["flags"] = flags
    row["venue"] = way["venue"]
    row["instrument"] = way["instrument"]


@jit_inline
def _failed(code):
    """What parse returns when it gives a message up."""
    return np.int64(code), np.int64(-1), np.int64(-1), np.int64(-1), np.int64(0)


@jit
def level_list(data, at, way, side, ts_ns, events, count):
    """[["price","qty"],..] at data[at] as rows: (next byte, rows after), next byte -1 if it is written in another way.

    Never steps over a closing brace, so it ends within the message, whose last byte is one.
    """
    at += 1
    if data[at] == _END:
        return at + 1, count
    while True:
        if data[at] != _LIST or data[at + 1] != _QUOTE:
            return -1, count
        at, price, off_tick = decimal_steps(data, at + 2, way["price_digits"], way["price_step"])
        if off_tick != EXACT or data[at] != _QUOTE or data[at + 1] != _COMMA or data[at + 2] != _QUOTE:
            return -1, count
        at, lots, off_lot = decimal_steps(data, at + 3, way["qty_digits"], way["qty_step"])
        if off_lot != EXACT or data[at] != _QUOTE or data[at + 1] != _END:
            return -1, count
        if not (0 < price < PRICE_TICKS_MAX and 0 <= lots < QTY_LOTS_MAX):
            return -1, count
        put(events, count, way, ts_ns, 0, price, lots, 0, BOOK_LEVEL, side, 0)
        count += 1
        at += 2
        if data[at] == _END:
            return at + 1, count
        if data[at] != _COMMA:
            return -1, count
        at += 1


@jit
def single(data, ways, events, ts_ns, count):
    """A trade or ticker: append its records to events[count:]; the count after them, or ODD, NO_ROOM.

    data: bytes.  ways: WAY[1] of its stream.  events: EVENT[].  Without an own book among its arguments, because each
    array costs a tenth of the call.  After ODD and NO_ROOM nothing has changed.  Bounded by the bytes.
    """
    return parse(data, ways[0], events, ts_ns, count)[0]


@jit
def diff(data, ways, books, events, ts_ns, count):
    """A diff: the same, or CROSSED.

    books: OWN_BOOK[1], the feed's own copy, changed by the diff; after CROSSED it is lost, and all else as before.
    """
    way = ways[0]
    row, first_id, last_id, before_id, venue_ns = parse(data, way, events, ts_ns, count)
    if row < 0:
        return row
    return _followed(count, row, way, books[0], events, first_id, last_id, before_id, venue_ns)


@jit
def parse(data, way, events, ts_ns, count):
    """(count of rows after the message's, ODD or NO_ROOM; U, u, pu and venue time of a diff)."""
    n = len(data)
    head = way["head_bytes"]
    if n < head + 8 or data[n - 1] != _CLOSE or data[n - 2] != _CLOSE:
        return _failed(ODD)
    if events.size - count < n // 9 + 2:
        return _failed(NO_ROOM)
    for i in range(head):
        if data[i] != way["head"][i]:
            return _failed(ODD)
    kind = way["kind"]
    at = head
    seen = np.int64(0)
    row = count
    named = False
    sent_ms, traded_ms, number = np.int64(0), np.int64(0), np.int64(-1)
    first_id, last_id, before_id = np.int64(-1), np.int64(-1), np.int64(-1)
    price, lots, bid, bid_lots, ask, ask_lots = -1, -1, -1, -1, -1, -1
    maker = -1
    while True:
        if at + 5 > n or data[at] != _QUOTE:
            return _failed(ODD)
        key = np.int64(data[at + 1])
        if data[at + 2] == _QUOTE:
            at += 3
        elif key == _LOW_P and data[at + 2] == _LOW_U and data[at + 3] == _QUOTE:
            key = _PU
            at += 4
        else:
            return _failed(ODD)
        if not _A <= key <= _PU or data[at] != _COLON:
            return _failed(ODD)
        bit = np.int64(1) << (key - _A)
        if seen & bit:
            return _failed(ODD)
        seen |= bit
        at += 1
        c = data[at]
        if c == _QUOTE:
            if key == _E or key == _T or key == _U or key == _LOW_U or key == _PU:
                return _failed(ODD)
            if kind == DEPTH and (key == _LOW_B or key == _LOW_A):
                return _failed(ODD)
            at += 1
            of_price = key == _LOW_P or key == _LOW_B or key == _LOW_A
            if of_price or key == _LOW_Q or key == _B or key == _A:
                digits = way["price_digits"] if of_price else way["qty_digits"]
                step = way["price_step"] if of_price else way["qty_step"]
                at, steps, off = decimal_steps(data, at, digits, step)
                if off != EXACT or steps >= (PRICE_TICKS_MAX if of_price else QTY_LOTS_MAX):
                    return _failed(ODD)
                if key == _LOW_P:
                    price = steps
                elif key == _LOW_Q:
                    lots = steps
                elif key == _LOW_B:
                    bid = steps
                elif key == _B:
                    bid_lots = steps
                elif key == _LOW_A:
                    ask = steps
                else:
                    ask_lots = steps
            else:
                begin = at
                while 32 <= data[at] < _CLOSE and data[at] != _QUOTE and data[at] != _BACKSLASH:
                    at += 1
                if key == _LOW_S:
                    if at - begin != way["symbol_bytes"]:
                        return _failed(ODD)
                    for i in range(at - begin):
                        if data[begin + i] != way["symbol"][i]:
                            return _failed(ODD)
                    named = True
                elif key == _X and (at - begin != 6 or data[begin] != _M or data[begin + 1] != _A):
                    return _failed(ODD)
            if data[at] != _QUOTE:
                return _failed(ODD)
            at += 1
        elif ZERO <= c <= NINE:
            begin = at
            at, value = integer(data, at)
            if value < 0 or value >= _ID_MAX or (c == ZERO and at - begin > 1):
                return _failed(ODD)
            if key == _E or key == _T:
                if value >= _MS_MAX:
                    return _failed(ODD)
                if key == _E:
                    sent_ms = value
                else:
                    traded_ms = value
            elif key == _U:
                first_id = value
            elif key == _LOW_U:
                last_id = value
            elif key == _PU:
                before_id = value
            elif key == (_LOW_L if kind == AGGREGATED else _LOW_T):
                number = value
            elif key == _LOW_S or key == _LOW_P or key == _LOW_Q or key == _X:
                return _failed(ODD)
        elif c == _LIST and kind == DEPTH and (key == _LOW_B or key == _LOW_A):
            if key == _LOW_B:
                if ask == 0:
                    return _failed(ODD)
                bid = 0
            else:
                ask = 0
            at, row = level_list(data, at, way, BID if key == _LOW_B else ASK, ts_ns, events, row)
            if at < 0:
                return _failed(ODD)
        elif c == _TRUE and at + 5 < n and data[at + 1] == 114 and data[at + 2] == 117 and data[at + 3] == 101:
            if key == _LOW_M:
                maker = 1
            elif key != _M:
                return _failed(ODD)
            at += 4
        elif c == _FALSE and at + 6 < n and data[at + 1] == 97 and data[at + 2] == 108 and data[at + 3] == 115:
            if data[at + 4] != 101:
                return _failed(ODD)
            if key == _LOW_M:
                maker = 0
            elif key != _M:
                return _failed(ODD)
            at += 5
        else:
            return _failed(ODD)
        if data[at] == _COMMA:
            at += 1
        elif data[at] == _CLOSE and at == n - 2:
            break
        else:
            return _failed(ODD)
    if not named:
        return _failed(ODD)
    venue_ns = traded_ms * 1_000_000
    if kind == DEPTH:
        if sent_ms > 0 and traded_ms == 0:
            venue_ns = sent_ms * 1_000_000
        if bid < 0 or ask < 0 or first_id < 0:
            return _failed(ODD)
        return np.int64(row), first_id, last_id, before_id, venue_ns
    if kind == TOP:
        if last_id < 0 or bid <= 0 or ask <= 0 or bid_lots < 0 or ask_lots < 0:
            return _failed(ODD)
        put(events, count, way, ts_ns, venue_ns, bid, bid_lots, last_id, TICKER, BID, 0)
        put(events, count + 1, way, ts_ns, venue_ns, ask, ask_lots, last_id, TICKER, ASK, LAST)
        return np.int64(count + 2), first_id, last_id, before_id, venue_ns
    if number < 0 or price <= 0 or lots < 0 or maker < 0 or not seen & (np.int64(1) << (_T - _A)):
        return _failed(ODD)
    put(events, count, way, ts_ns, venue_ns, price, lots, number, TRADE, SELL if maker == 1 else BUY, LAST)
    return np.int64(count + 1), first_id, last_id, before_id, venue_ns


@jit
def _followed(begin, end, way, book, events, first_id, last_id, before_id, venue_ns):
    """A diff whose levels are events[begin:end] follows the book and becomes part of it: the count of rows after it."""
    book_id = way["last_id"]
    if not way["ready"] or last_id <= book_id:
        return np.int64(ODD)
    if way["futures"]:
        if before_id != book_id:
            return np.int64(ODD)
    elif first_id > book_id + 1:
        return np.int64(ODD)
    for k in range(begin, end):
        row = events[k]
        row["aux"] = last_id
        row["ts_venue_ns"] = venue_ns
        set_own(book, row["side"], row["price_ticks"], row["qty_lots"])
    if end > begin:
        events[end - 1]["flags"] = LAST
    if is_crossed(book):
        return np.int64(CROSSED)
    way["last_id"] = last_id
    return np.int64(end)

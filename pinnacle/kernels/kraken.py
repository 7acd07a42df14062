"""Kraken's book messages (websocket v2, and v1 of old recordings) as records: text, depth and checksum in one call.

A call from Python costs as much as the work on a message, and decoding the message into objects more than both.  So
what is written exactly as Kraken writes it is read here byte by byte; anything else is ODD and is left to the caller,
who decodes it as JSON.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BOOK_LEVEL, EVENT, SNAPSHOT
from pinnacle.kernels.depth import DEPTH, ODD, depth_rows
from pinnacle.kernels.digits import DOT, EXACT, NINE, ZERO, decimal_steps, integer
from pinnacle.kernels.jit import jit, jit_inline
from pinnacle.kernels.levels import level_rows

_BRACE, _COMMA, _LIST, _END, _QUOTE, _A, _B = 125, 44, 91, 93, 34, 97, 98


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


_UPDATE = _bytes('{"channel":"book","type":"update","data":[{"symbol":"')
_BIDS, _ASKS = _bytes('","bids":['), _bytes(',"asks":[')
_CHECKSUM, _TIME = _bytes(',"checksum":'), _bytes(',"timestamp":"')
_PRICE, _QTY = _bytes('{"price":'), _bytes(',"qty":')
_CLOSE = _bytes('"}]}')
_V1_LEVEL, _V1_NEXT = _bytes('["'), _bytes('","')
_V1_AGAIN, _V1_END = _bytes('","r"]'), _bytes('"]')
_V1_PAYLOAD, _V1_LEVELS, _V1_MORE = _bytes(',{"'), _bytes('":['), _bytes('},{"')
_V1_CHECKSUM, _V1_CLOSE, _V1_BOOK = _bytes(',"c":"'), _bytes('"}'), _bytes(',"book-')


@jit_inline
def after(data, at, literal):
    """The byte after `literal`, if that is what stands at data[at]; else -1.  An `at` of -1 stays -1."""
    if at < 0 or at + literal.size > data.size:
        return -1
    for k in range(literal.size):
        if data[at + k] != literal[k]:
            return -1
    return at + literal.size


@jit_inline
def two_digits(text, at):
    """The number that two bytes write; out of 0..99 if they are no digits."""
    tens, ones = np.int64(text[at]) - ZERO, np.int64(text[at + 1]) - ZERO
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else 1000


@jit
def rfc3339_ns(text, at, stop):
    """ns since 1970 of `2026-08-16T23:37:04.316445Z` at text[at:stop], with up to nine decimals; -1 if it is not that.

    Days by the civil calendar's 400-year era, as in H. Hinnant, chrono-Compatible Low-Level Date Algorithms.
    """
    if stop - at < 20 or text[stop - 1] != 90:
        return -1
    year = two_digits(text, at) * 100 + two_digits(text, at + 2)
    month, day = two_digits(text, at + 5), two_digits(text, at + 8)
    hour, minute, second = two_digits(text, at + 11), two_digits(text, at + 14), two_digits(text, at + 17)
    if year > 2200 or year < 1970 or month > 12 or month < 1 or day > 31 or day < 1 or hour > 23 or minute > 59:
        return -1
    if second > 60:
        return -1
    fraction, decimals = 0, 0
    at += 19
    if text[at] == DOT:
        at += 1
        while at < stop - 1 and decimals < 9:
            digit = np.int64(text[at]) - ZERO
            if digit < 0 or digit > 9:
                return -1
            fraction = fraction * 10 + digit
            decimals += 1
            at += 1
    if at != stop - 1:
        return -1
    for _ in range(9 - decimals):
        fraction *= 10
    y = year - 1 if month <= 2 else year
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return ((days * 24 + hour) * 60 + minute) * 60_000_000_000 + second * 1_000_000_000 + fraction


@jit
def plain_levels(data, at, one, side, ts_ns, flags, events, count):
    """Rows of `{"price":1.5,"qty":0.3},...]` from data[at] on: (the byte after the bracket or -1, count of rows).

    data ends with a brace, so a number ends within it.  Rows lack their venue's time.
    """
    if at >= 0 and data[at] == _END:
        return at + 1, count
    while at >= 0:
        at = after(data, at, _PRICE)
        if at < 0 or not ZERO <= data[at] <= NINE:
            break
        at, price_ticks, status = decimal_steps(data, at, one["price_digits"], one["price_step"])
        if status != EXACT or price_ticks == 0:
            break
        at = after(data, at, _QTY)
        if at < 0 or not ZERO <= data[at] <= NINE:
            break
        at, qty_lots, status = decimal_steps(data, at, one["qty_digits"], one["qty_step"])
        if status != EXACT or data[at] != _BRACE:
            break
        row = events[count]
        row["seq"] = row["order_id"] = row["aux"] = 0
        row["ts_ns"] = ts_ns
        row["price_ticks"], row["qty_lots"] = price_ticks, qty_lots
        row["kind"], row["side"], row["flags"] = BOOK_LEVEL, side, flags
        row["venue"], row["instrument"] = one["venue"], one["instrument"]
        count += 1
        if at + 1 >= data.size:
            break
        if data[at + 1] == _END:
            return at + 2, count
        if data[at + 1] != _COMMA:
            break
        at += 2
    return -1, count


@jit
def kraken_update(message, octets, ts_ns, event_octets, count):
    """An update of a book that is live: rows of its levels, then of those that fell out of the depth.

    message: bytes.  octets: u1[], the bytes of DEPTH[n], the books of the connection; event_octets: those of EVENT[],
    with room for len(message) / 8 + 4 rows after `count` (an array of records costs three times as much to hand over).
    Returns the count of rows after it, or as wrong_with says; ODD of book 0 also if it is no such update at all, or is
    not written as Kraken writes it.  Then rows from `count` on are undefined.
    """
    if len(message) == 0:
        return ODD
    data = np.frombuffer(message, np.uint8)
    books = octets.view(DEPTH)
    events = event_octets.view(EVENT)
    symbol = after(data, 0, _UPDATE)
    if symbol < 0 or data[data.size - 1] != _BRACE:
        return ODD
    k, at = 0, -1
    while k < books.size:
        at = after(data, after(data, symbol, books[k]["symbol"][: books[k]["symbol_bytes"]]), _BIDS)
        if at >= 0:
            break
        k += 1
    if at < 0 or books[k]["live"] == 0:
        return ODD
    one, first = books[k], count
    at, count = plain_levels(data, at, one, 1, ts_ns, 0, events, count)
    at, count = plain_levels(data, after(data, at, _ASKS), one, -1, ts_ns, 0, events, count)
    at = after(data, at, _CHECKSUM)
    if at < 0:
        return ODD
    at, checksum = integer(data, at)
    at = after(data, at, _TIME)
    if at < 0 or checksum < 0 or after(data, data.size - _CLOSE.size, _CLOSE) < 0:
        return ODD
    ts_venue_ns = rfc3339_ns(data, at, data.size - _CLOSE.size)
    if ts_venue_ns < 0:
        return ODD
    for i in range(first, count):
        events[i]["ts_venue_ns"] = ts_venue_ns
    return depth_rows(books, k, 0, 0, checksum, events, first, count)


@jit
def plain_levels_v1(data, at, one, side, ts_ns, events, count):
    """Rows of `["1.5","0.3","1617666424.123456"],..]` from data[at] on: (the byte after the bracket or -1, count of
    rows, the latest time in ns).  data ends with a bracket, so a number ends within it.  Rows lack their venue's time.
    """
    latest_ns = np.int64(0)
    while at >= 0:
        at = after(data, at, _V1_LEVEL)
        if at < 0 or not ZERO <= data[at] <= NINE:
            break
        at, price_ticks, status = decimal_steps(data, at, one["price_digits"], one["price_step"])
        if status != EXACT or price_ticks == 0:
            break
        at = after(data, at, _V1_NEXT)
        if at < 0 or not ZERO <= data[at] <= NINE:
            break
        at, qty_lots, status = decimal_steps(data, at, one["qty_digits"], one["qty_step"])
        if status != EXACT:
            break
        at = after(data, at, _V1_NEXT)
        if at < 0 or not ZERO <= data[at] <= NINE:
            break
        at, micros, status = decimal_steps(data, at, 6, 1)
        if status != EXACT:
            break
        latest_ns = max(latest_ns, micros * 1000)
        republished = after(data, at, _V1_AGAIN)
        at = republished if republished >= 0 else after(data, at, _V1_END)
        if at < 0 or at >= data.size:
            break
        row = events[count]
        row["seq"] = row["order_id"] = row["aux"] = 0
        row["ts_ns"] = ts_ns
        row["price_ticks"], row["qty_lots"] = price_ticks, qty_lots
        row["kind"], row["side"], row["flags"] = BOOK_LEVEL, side, 0
        row["venue"], row["instrument"] = one["venue"], one["instrument"]
        count += 1
        if data[at] == _END:
            return at + 1, count, latest_ns
        if data[at] != _COMMA:
            break
        at += 1
    return -1, count, latest_ns


@jit
def kraken_v1_update(message, octets, ts_ns, event_octets, count):
    """The same as kraken_update for websocket v1: `[320,{"a":[..]},{"b":[..],"c":"974"},"book-1000","XBT/USD"]`."""
    if len(message) < 16:
        return ODD
    data = np.frombuffer(message, np.uint8)
    books = octets.view(DEPTH)
    events = event_octets.view(EVENT)
    if data[0] != _LIST or data[data.size - 1] != _END or data[data.size - 2] != _QUOTE:
        return ODD
    k = 0
    while k < books.size:
        size = books[k]["symbol_bytes"]
        at = data.size - 3 - size
        if at > 0 and data[at] == _QUOTE and after(data, at + 1, books[k]["symbol"][:size]) >= 0:
            break
        k += 1
    if k == books.size or books[k]["live"] == 0:
        return ODD
    one, first = books[k], count
    at, _ = integer(data, 1)
    at = after(data, at, _V1_PAYLOAD)
    checksum = np.int64(-1)
    time_ns = np.int64(0)
    for _ in range(2):
        if at < 0 or at + 5 > data.size or data[at + 1] != _QUOTE or (data[at] != _A and data[at] != _B):
            return ODD
        side = -1 if data[at] == _A else 1
        at = after(data, at + 1, _V1_LEVELS)
        at, count, latest_ns = plain_levels_v1(data, at, one, side, ts_ns, events, count)
        if at < 0 or at >= data.size:
            return ODD
        time_ns = max(time_ns, latest_ns)
        if data[at] == _COMMA:
            at = after(data, at, _V1_CHECKSUM)
            if at < 0:
                return ODD
            at, checksum = integer(data, at)
            at = after(data, at, _V1_CLOSE)
            break
        at = after(data, at, _V1_MORE)
    if checksum < 0 or after(data, at, _V1_BOOK) < 0:
        return ODD
    for i in range(first, count):
        events[i]["ts_venue_ns"] = time_ns
    return depth_rows(books, k, 0, 0, checksum, events, first, count)


@jit
def kraken_levels(bids, asks, levels, books, k, ts_ns, ts_venue_ns, flags, checksum, events, count):
    """The levels of any book message, decoded this far by the caller: returns as kraken_update.

    bids, asks: bytes, JSON arrays of levels, valid.  levels: LEVELS[1].  books: DEPTH[n], k: which.  flags: of each
    row; with SNAPSHOT the message is the whole book.  checksum: -1 if the message has none.  events: room for
    (len(bids) + len(asks)) / 3 + 4 rows.
    """
    first = count
    if len(bids) > 2:
        count = level_rows(np.frombuffer(bids, np.uint8), levels, 1, ts_ns, ts_venue_ns, flags, 0, events, count)
        if count < 0:
            return ODD
    if len(asks) > 2:
        count = level_rows(np.frombuffer(asks, np.uint8), levels, -1, ts_ns, ts_venue_ns, flags, 0, events, count)
        if count < 0:
            return ODD
    return depth_rows(books, k, flags & SNAPSHOT, flags, checksum, events, first, count)

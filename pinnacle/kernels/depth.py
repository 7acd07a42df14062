"""The first levels of a book as Kraken keeps them: a message applied, cut to the depth, its checksum compared.

Kraken numbers nothing.  What it sends is right exactly if the CRC32 over the ten best levels of each side, written as
decimal digits, is the one it sent.  It says nothing of levels that fall out of the depth one subscribed to, so they
are removed here, and said as removed.

A side lies in a row sorted so that the best is last (asks by their negative), in the middle of more room than it
needs: an insertion moves the shorter of its two sides, and what falls out moves nothing.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import BOOK_LEVEL, LAST
from pinnacle.kernels.digits import ZERO
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.limits import DEPTH_ROOM_LEVELS

CHECKSUM_LEVELS = 10
# Digits of ten levels: two numbers of at most nineteen digits each.
_TEXT = 400
ROOM = DEPTH_ROOM_LEVELS
SYMBOL_BYTES_MAX = 32

DEPTH = np.dtype(
    [
        ("depth", "<i8"),  # levels a side that the venue keeps for us; above 0
        ("price_digits", "<i8"),  # the tick is price_step * 10^-price_digits
        ("price_step", "<i8"),
        ("qty_digits", "<i8"),
        ("qty_step", "<i8"),
        ("venue", "<i8"),
        ("instrument", "<i8"),
        ("live", "<i8"),  # 1: updates apply to it
        ("heard_ns", "<i8"),  # when the last message came, and what the venue dated it
        ("dated_ns", "<i8"),
        ("symbol", "u1", (SYMBOL_BYTES_MAX,)),  # as the venue writes it
        ("symbol_bytes", "<i8"),
        ("price_unit", "<i8"),  # price_ticks * price_unit is the price in the last decimal that the venue writes
        ("qty_unit", "<i8"),
        ("first", "<i8", (2,)),  # bids, asks: where the row begins, its worst level
        ("count", "<i8", (2,)),
        ("changed", "<i8", (2,)),  # 1: text is older than the levels
        ("text_at", "<i8", (2,)),  # where text begins; it ends with the array
        ("asks_crc", "<i8"),  # register after the asks' text, see crc_of
        ("checksum", "<i8"),
        ("keys", "<i8", (2, ROOM)),  # price_ticks of a bid, -price_ticks of an ask, rising
        ("lots", "<i8", (2, ROOM)),
        ("text", "u1", (2, _TEXT)),
    ]
)

# What was found wrong with a message; returned instead of a count.
ODD = -1  # it is not written as it mostly is
TOO_MANY = -2  # more levels than the room holds
CHECKSUM_DIFFERS = -3
CROSSED = -4
WRONG_STEP = 8  # so much lower for each book before the one it is about, see wrong_with


_PAIRS = np.array([ord(c) for k in range(100) for c in f"{k:02d}"], np.uint8)


def _crc_tables() -> np.ndarray:
    """u4[8, 256] of CRC-32 (polynomial 0xEDB88320), row k for a byte that k more bytes follow (slicing by eight)."""
    tables = np.zeros((8, 256), np.uint32)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
        tables[0, byte] = crc
    for k in range(1, 8):
        tables[k] = tables[k - 1] >> 8 ^ tables[0][tables[k - 1] & 255]
    return tables


_CRC = _crc_tables()


@jit_inline
def crc_of(register, text, at, stop):
    """The CRC-32 register (begun at 0xFFFFFFFF, to be inverted at the end) after text[at:stop]."""
    while at + 8 <= stop:
        register = np.int64(
            _CRC[7, (register ^ text[at]) & 255]
            ^ _CRC[6, (register >> 8 ^ text[at + 1]) & 255]
            ^ _CRC[5, (register >> 16 ^ text[at + 2]) & 255]
            ^ _CRC[4, (register >> 24 ^ text[at + 3]) & 255]
            ^ _CRC[3, text[at + 4]]
            ^ _CRC[2, text[at + 5]]
            ^ _CRC[1, text[at + 6]]
            ^ _CRC[0, text[at + 7]]
        )
        at += 8
    while at < stop:
        register = register >> 8 ^ np.int64(_CRC[0, (register ^ text[at]) & 255])
        at += 1
    return register


@jit_inline
def digits_before(text, at, number):
    """Write the digits of number > 0 so that they end before text[at]; returns where they begin."""
    left = np.uint64(number)
    while left >= np.uint64(100):
        rest = left // np.uint64(100)
        pair = np.int64(left - rest * np.uint64(100))
        at -= 2
        text[at] = _PAIRS[2 * pair]
        text[at + 1] = _PAIRS[2 * pair + 1]
        left = rest
    pair = np.int64(left)
    if pair >= 10:
        at -= 1
        text[at] = _PAIRS[2 * pair + 1]
    at -= 1
    text[at] = _PAIRS[2 * pair] if pair >= 10 else ZERO + pair
    return at


@jit_inner
def checksum_of(book):
    """CRC-32 of the ten best asks upwards, then the ten best bids downwards: price and quantity of each as digits
    without point and leading zeros.  book: DEPTH, in which the work of the last time is kept.
    """
    for s in range(2):
        if book["changed"][s] == 0:
            continue
        text, at = book["text"][s], _TEXT
        stop = book["first"][s] + book["count"][s]
        sign = 1 if s == 0 else -1
        for k in range(max(book["first"][s], stop - CHECKSUM_LEVELS), stop):
            at = digits_before(text, at, book["lots"][s, k] * book["qty_unit"])
            at = digits_before(text, at, sign * book["keys"][s, k] * book["price_unit"])
        book["text_at"][s] = at
        if s == 1:
            book["asks_crc"] = crc_of(np.int64(0xFFFFFFFF), text, at, _TEXT)
    if book["changed"][0] != 0 or book["changed"][1] != 0:
        book["checksum"] = crc_of(book["asks_crc"], book["text"][0], book["text_at"][0], _TEXT) ^ 0xFFFFFFFF
        book["changed"][0] = book["changed"][1] = 0
    return book["checksum"]


@jit_inner
def empty_depth(book):
    """No levels, at the middle of the room."""
    for s in range(2):
        book["first"][s], book["count"][s], book["changed"][s] = ROOM // 2, 0, 1


@jit_inline
def move(book, s, begin, stop, by):
    """Shift the levels begin..stop-1 of a side by one place up or down."""
    keys, lots = book["keys"][s], book["lots"][s]
    if by > 0:
        for k in range(stop - 1, begin - 1, -1):
            keys[k + 1], lots[k + 1] = keys[k], lots[k]
    else:
        for k in range(begin, stop):
            keys[k - 1], lots[k - 1] = keys[k], lots[k]


@jit_inner
def set_depth(book, s, key, lots):
    """The quantity at a key becomes lots, 0 removes it; False if the room is full.  Work bounded by the depth."""
    first, count = book["first"][s], book["count"][s]
    stop = first + count
    at, end = first, stop
    while at < end:
        middle = (at + end) >> 1
        if book["keys"][s, middle] < key:
            at = middle + 1
        else:
            end = middle
    if at >= stop - CHECKSUM_LEVELS:
        book["changed"][s] = 1
    if at < stop and book["keys"][s, at] == key:
        if lots != 0:
            book["lots"][s, at] = lots
            return True
        if at - first < stop - at:
            move(book, s, first, at, 1)
            book["first"][s] = first + 1
        else:
            move(book, s, at + 1, stop, -1)
        book["count"][s] = count - 1
        return True
    if lots == 0:
        return True
    if first > 0 and (at - first <= stop - at or stop == ROOM):
        move(book, s, first, at, -1)
        book["first"][s] = first - 1
        at -= 1
    elif stop < ROOM:
        move(book, s, at, stop, 1)
    else:
        return False
    book["keys"][s, at], book["lots"][s, at] = key, lots
    book["count"][s] = count + 1
    return True


@jit_inline
def recentre_depth(book, s):
    """Put a side back into the middle of its room when it has wandered to an end of it; once in a thousand changes."""
    first, count = book["first"][s], book["count"][s]
    if first > ROOM // 8 and first + count < ROOM - ROOM // 8:
        return
    target = (ROOM - count) // 2
    if target < first:
        for k in range(count):
            book["keys"][s, target + k], book["lots"][s, target + k] = (
                book["keys"][s, first + k],
                book["lots"][s, first + k],
            )
    else:
        for k in range(count - 1, -1, -1):
            book["keys"][s, target + k], book["lots"][s, target + k] = (
                book["keys"][s, first + k],
                book["lots"][s, first + k],
            )
    book["first"][s] = target


@jit_inner
def drop_beyond(book, s, example, events, count):
    """Remove what is beyond the depth and write a row of quantity 0 for each, like the row `example`."""
    while book["count"][s] > book["depth"]:
        key = book["keys"][s, book["first"][s]]
        book["first"][s] += 1
        book["count"][s] -= 1
        row = events[count]
        row["seq"] = row["order_id"] = row["qty_lots"] = row["aux"] = 0
        row["ts_ns"], row["ts_venue_ns"] = example["ts_ns"], example["ts_venue_ns"]
        row["price_ticks"] = key if s == 0 else -key
        row["kind"] = BOOK_LEVEL
        row["side"] = 1 if s == 0 else -1
        row["flags"] = example["flags"]
        row["venue"], row["instrument"] = example["venue"], example["instrument"]
        count += 1
    return count


@jit
def depth_rows(books, k, whole, flags, checksum, events, first, count):
    """Apply the BOOK_LEVEL rows events[first:count] of one message: the count of rows after it, or what is wrong.

    books: DEPTH[n], k: which.  whole: the rows are all of the book.  flags: as the rows have them; the final row gets
    LAST unless the book is whole.  checksum: what the venue says it is now, -1 if it does not say.  events: room for
    as many rows again.  After anything wrong the book is of no use until it is whole again.
    """
    one = books[k]
    if whole:
        empty_depth(one)
    for i in range(first, count):
        row = events[i]
        s = 0 if row["side"] > 0 else 1
        key = row["price_ticks"] if s == 0 else -row["price_ticks"]
        if not set_depth(one, s, key, row["qty_lots"]):
            return TOO_MANY - WRONG_STEP * k
    if count > first:
        one["heard_ns"], one["dated_ns"] = events[first]["ts_ns"], events[first]["ts_venue_ns"]
        for s in range(2):
            if one["count"][s] > one["depth"]:
                count = drop_beyond(one, s, events[first], events, count)
            recentre_depth(one, s)
        if not whole:
            events[count - 1]["flags"] = flags | LAST
    if checksum >= 0 and checksum_of(one) != checksum:
        return CHECKSUM_DIFFERS - WRONG_STEP * k
    if one["count"][0] > 0 and one["count"][1] > 0:
        bid = one["keys"][0, one["first"][0] + one["count"][0] - 1]
        ask = one["keys"][1, one["first"][1] + one["count"][1] - 1]
        if bid + ask >= 0:
            return CROSSED - WRONG_STEP * k
    return count


def wrong_with(result: int) -> tuple[int, int]:
    """(what is wrong, which book) of a negative result."""
    k = -(result + 1) // WRONG_STEP
    return result + WRONG_STEP * k, k


@jit
def depth_side(books, k, s, price_ticks, qty_lots):
    """Copy a side (0 bids, 1 asks) out, best first, into i8[ROOM] each; returns how many.  For readers and tests."""
    one = books[k]
    count = one["count"][s]
    stop = one["first"][s] + count
    for i in range(count):
        key = one["keys"][s, stop - 1 - i]
        price_ticks[i] = key if s == 0 else -key
        qty_lots[i] = one["lots"][s, stop - 1 - i]
    return count

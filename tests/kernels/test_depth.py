"""A book cut to its depth equals the sorted dict, and its checksum the one of zlib."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import ASK, BID, BOOK_LEVEL, empty
from pinnacle.kernels.depth import CHECKSUM_DIFFERS, CROSSED, DEPTH, ROOM, TOO_MANY, depth_rows, depth_side, wrong_with
from pinnacle.kernels.kraken import rfc3339_ns


def books(depth, price_unit=1, qty_unit=1):
    array = np.zeros(2, DEPTH)
    array["depth"], array["price_unit"], array["qty_unit"] = depth, price_unit, qty_unit
    return array


def rows_of(changes):
    events = empty(2 * len(changes) + 2)
    for k, (side, ticks, lots) in enumerate(changes):
        events[k] = (0, 7, 9, 0, ticks, lots, 0, BOOK_LEVEL, side, 0, 3, 5)
    return events


def side_of(array, k, s):
    ticks, lots = np.zeros(ROOM, np.int64), np.zeros(ROOM, np.int64)
    count = depth_side(array, k, s, ticks, lots)
    return list(zip(ticks[:count].tolist(), lots[:count].tolist()))


def checksum(bids, asks, price_unit, qty_unit):
    text = "".join(f"{p * price_unit}{q * qty_unit}" for side in (asks, bids) for p, q in side[:10])
    return zlib.crc32(text.encode())


CHANGE = st.tuples(st.sampled_from([BID, ASK]), st.integers(0, 40), st.integers(0, 3))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(CHANGE, min_size=1, max_size=12), max_size=25), st.integers(1, 15), st.integers(0, 4))
def test_depth_equals_the_sorted_dict(messages, depth, scale):
    """After each message the window, the rows said and the checksum are those of dicts that are sorted and cut."""
    unit = 10**scale
    array, naive, said = books(depth, unit, 7), {BID: {}, ASK: {}}, {BID: {}, ASK: {}}
    assert depth_rows(array, 1, 1, 2, -1, empty(2), 0, 0) == 0
    for message in messages:
        changes = [(side, 1000 - off if side == BID else 1001 + off, lots) for side, off, lots in message]
        for side, ticks, lots in changes:
            naive[side][ticks] = lots
            if not lots:
                del naive[side][ticks]
        for side in naive:
            naive[side] = dict(sorted(naive[side].items(), reverse=side == BID)[:depth])
        bids, asks = list(naive[BID].items()), list(naive[ASK].items())
        events = rows_of(changes)
        right = checksum(bids, asks, unit, 7)
        count = depth_rows(array, 1, 0, 0, right, events, 0, len(changes))
        assert count >= len(changes)
        assert side_of(array, 1, 0) == bids and side_of(array, 1, 1) == asks
        for row in events[:count]:
            said[row["side"]][int(row["price_ticks"])] = int(row["qty_lots"])
            assert (row["ts_ns"], row["ts_venue_ns"], row["venue"], row["instrument"]) == (7, 9, 3, 5)
        assert events["flags"][:count].tolist() == [0] * (count - 1) + [1]
        for side in said:
            said[side] = {ticks: lots for ticks, lots in said[side].items() if lots}
        assert said == naive
        assert wrong_with(depth_rows(array, 1, 0, 0, right ^ 1, events, 0, 0)) == (CHECKSUM_DIFFERS, 1)


def test_a_side_that_wanders_stays_whole():
    """Thousands of changes in one direction, more than the room holds at once, keep the book and the order."""
    array, naive = books(20), []
    depth_rows(array, 0, 1, 2, -1, empty(2), 0, 0)
    for step in range(3 * ROOM):
        ticks = 1_000_000 + (step if step < 2 * ROOM else 4 * ROOM - 2 * (step - 2 * ROOM))
        gone = [(BID, naive[0], 0)] if step >= 2 * ROOM else []
        changes = [*gone, (BID, ticks, step + 1)]
        assert depth_rows(array, 0, 0, 0, -1, rows_of(changes), 0, len(changes)) > 0
        naive = sorted({ticks, *naive[len(gone) :]}, reverse=True)[:20]
    assert [ticks for ticks, _ in side_of(array, 0, 0)] == naive


def test_too_many_levels_and_a_crossed_book_are_said():
    """A message of more levels than the room, and a bid at the ask, are told with the book they are of."""
    array = books(1000)
    changes = [(BID, 10_000 - k, 1) for k in range(ROOM + 1)]
    assert wrong_with(depth_rows(array, 1, 1, 2, -1, rows_of(changes), 0, len(changes))) == (TOO_MANY, 1)
    crossed = rows_of([(BID, 100, 1), (ASK, 100, 1)])
    assert wrong_with(depth_rows(array, 0, 1, 2, -1, crossed, 0, 2)) == (CROSSED, 0)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)), st.integers(0, 9), st.integers(0, 999_999_999))
def test_times_as_the_calendar_has_them(moment, decimals, fraction):
    """RFC 3339 text to ns equals datetime's, with any number of decimals."""
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    digits = f"{fraction:09d}"[:decimals]
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (f".{digits}" if digits else "") + "Z"
    expected = int(moment.timestamp()) * 10**9 + int(digits.ljust(9, "0"))
    octets = np.frombuffer(f'"{text}"'.encode(), np.uint8)
    assert rfc3339_ns(octets, 1, octets.size - 1) == expected


@pytest.mark.parametrize(
    "text", ["", "Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:0xZ",
             "2026-01-01T00:00:00.1234567890Z", "x026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+Z"],
)  # fmt: skip
def test_what_is_no_time(text):
    """Anything else is refused, not guessed."""
    octets = np.frombuffer(f'"{text}"'.encode(), np.uint8)
    assert rfc3339_ns(octets, 1, octets.size - 1) == -1

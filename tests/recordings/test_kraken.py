"""What the Kraken recordings prove of the integer book: every checksum the venue sent."""

from __future__ import annotations

import json
import zlib

import pytest

from pinnacle.instrument import Instrument
from tests.recordings import kraken_v1
from tests.recordings.tapes import ASK, BID, RecordedBook, digits, instruments, received


def test_v1_every_checksum(recordings):
    """CRC32 over ticks and lots written back as text equals the venue's on 14,496 of 14,496 updates of ten books."""
    pairs = instruments(recordings, "kraken")
    books, decimals, equal, compared = {}, {}, 0, 0
    for message in received(recordings / "kraken" / "recorded_20210405" / "book.raw"):
        told = kraken_v1.payloads(message)
        if told is None:
            continue
        pair, payload = told
        if pair not in books:
            books[pair], decimals[pair] = RecordedBook(pairs[pair]), kraken_v1.decimals_of(payload)
        book = books[pair]
        kraken_v1.apply(book, payload)
        if "c" in payload:
            compared += 1
            equal += kraken_v1.checksum(book, decimals[pair]) == int(payload["c"])
    assert (equal, compared, len(books)) == (14_496, 14_496, 10)


@pytest.mark.parametrize(
    ("file", "symbol", "tick", "depth", "checksums"),
    [
        ("kraken_v2_btcusd_d10_20260816.ndjson", "BTC/USD", "0.1", 10, 54),
        ("kraken_v2_minagbp_d25_20260816.ndjson", "MINA/GBP", "0.0001", 25, 30),
    ],
)
def test_v2_every_checksum(recordings, file, symbol, tick, depth, checksums):
    """Bare JSON numbers read as text: every checksum equal, the snapshot's included."""
    from decimal import Decimal

    book = RecordedBook(Instrument("kraken", symbol, Decimal(tick), Decimal("0.00000001")))
    decimals = (-Decimal(tick).as_tuple().exponent, 8)
    equal = compared = 0
    for line in (recordings / "kraken" / file).read_text().splitlines()[1:]:
        frame = json.loads(line, parse_float=str).get("frame")
        if not isinstance(frame, dict) or frame.get("channel") != "book":
            continue
        (data,) = frame["data"]
        for key, side in (("bids", BID), ("asks", ASK)):
            for level in data[key]:
                book.set(side, str(level["price"]), str(level["qty"]))
        book.keep(depth)
        text = "".join(
            digits(ticks, book.instrument.tick, decimals[0]) + digits(lots, book.instrument.lot, decimals[1])
            for side in (ASK, BID)
            for ticks, lots in book.top(side, 10)
        )
        compared += 1
        equal += zlib.crc32(text.encode()) == data["checksum"]
    assert (equal, compared) == (checksums, checksums)

"""Kraken's first WebSocket protocol, as much as its recording needs: list messages with a checksum on every update."""

from __future__ import annotations

import zlib

from tests.recordings.tapes import ASK, BID, RecordedBook, digits

DEPTH = 1000


def payloads(message):
    """(pair, whole book or changes) of a book message, asks and bids of one message together; None otherwise."""
    if not isinstance(message, list) or not message[-2].startswith("book-"):
        return None
    merged = {}
    for part in message[1:-2]:
        merged |= part
    return message[-1], merged


def decimals_of(payload):
    """(decimals of prices, decimals of volumes) as the venue writes them."""
    price, volume = next(rows for rows in payload.values() if isinstance(rows, list) and rows)[0][:2]
    return len(price.split(".")[1]), len(volume.split(".")[1])


def apply(book: RecordedBook, payload) -> None:
    """Levels of a payload into the book, kept to the depth subscribed."""
    for key, side in (("as", ASK), ("bs", BID), ("a", ASK), ("b", BID)):
        for row in payload.get(key, ()):
            book.set(side, row[0], row[1])
    book.keep(DEPTH)


def checksum(book: RecordedBook, decimals) -> int:
    """CRC32 of the first ten asks upwards and bids downwards, out of ticks and lots."""
    text = "".join(
        digits(ticks, book.instrument.tick, decimals[0]) + digits(lots, book.instrument.lot, decimals[1])
        for side in (ASK, BID)
        for ticks, lots in book.top(side, 10)
    )
    return zlib.crc32(text.encode())

"""Kraken's book messages to records, against msgspec decoding the same bytes into typed structs.

    python -m benchmarks.kraken_feed

Input: the 53 updates of the recorded BTC/USD book of depth 10, one after the other, the book whole before each round.
Ours checks every checksum, msgspec's structs (prices as floats, or as exact decimals) do nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

import msgspec

from benchmarks.conditions import print_conditions, recordings
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import LIVE, Followed, Rows
from pinnacle.venues.kraken import KrakenFeed

ROUNDS, REPEATS = 9, 200
NOW_NS = 1_786_923_430_000_000_000


class Level(msgspec.Struct):
    """A level as most would have it."""

    price: float
    qty: float


class ExactLevel(msgspec.Struct):
    """A level with its digits."""

    price: Decimal
    qty: Decimal


class Book(msgspec.Struct):
    """One book."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    checksum: int
    timestamp: str


class ExactBook(msgspec.Struct):
    """The same, exact."""

    symbol: str
    bids: list[ExactLevel]
    asks: list[ExactLevel]
    checksum: int
    timestamp: str


class Message(msgspec.Struct):
    """A message."""

    channel: str
    type: str
    data: list[Book]


class ExactMessage(msgspec.Struct):
    """The same, exact."""

    channel: str
    type: str
    data: list[ExactBook]


def main() -> None:
    """Print microseconds a message and ratios; rounds alternate, the best of each counts."""
    lines = (recordings() / "kraken" / "kraken_v2_btcusd_d10_20260816.ndjson").read_text().splitlines()[1:]
    frames = [line[line.index('"frame": ') + 9 : -1].encode() for line in lines if '"dir": "tx"' not in line]
    books = [frame for frame in frames if frame.startswith(b'{"channel":"book"')]
    snapshot, updates = books[0], books[1:]
    print_conditions(f"Kraken v2 book, {len(updates)} updates of {sum(map(len, updates)) / len(updates):.0f} bytes")
    feed, rows = (
        KrakenFeed([Followed(Instrument("kraken", "BTC/USD", Decimal("0.1"), Decimal("0.00000001")), 0, 0, 10)]),
        Rows(),
    )
    feed.opened(NOW_NS, rows)

    def ours() -> float:
        spent = 0.0
        for _ in range(REPEATS):
            feed.received(snapshot, NOW_NS, rows)
            rows.take()
            begun = time.perf_counter()
            for update in updates:
                feed.received(update, NOW_NS, rows)
                rows.count = 0
            spent += time.perf_counter() - begun
        assert feed.states() == [LIVE]
        return spent

    def theirs(kind: type) -> Callable[[], float]:
        decode = msgspec.json.Decoder(kind).decode

        def run() -> float:
            begun = time.perf_counter()
            for _ in range(REPEATS):
                for update in updates:
                    decode(update)
            return time.perf_counter() - begun

        return run

    runs = {"feed": ours, "msgspec, floats": theirs(Message), "msgspec, decimals": theirs(ExactMessage)}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            best[name] = min(best[name], run())
    for name, spent in best.items():
        ratio = "" if name == "feed" else f"   feed takes {best['feed'] / spent:.2f} times that"
        print(f"{name:20} {spent / REPEATS / len(updates) * 1e6:6.2f} us a message{ratio}")


if __name__ == "__main__":
    main()

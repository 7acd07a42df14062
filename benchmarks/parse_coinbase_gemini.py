"""Parsing Coinbase's and Gemini's market data: bytes to records, beside msgspec decoding the same bytes to structs.

    python benchmarks/parse_coinbase_gemini.py [ROUNDS]

Floor: one msgspec decoder with every field typed, levels as lists of texts.  Ours: the same bytes to 64-byte records,
prices and sizes as whole numbers, losses and crossings looked for.  Rounds alternate in one process; the best of each.

Inputs: the recordings of 2021 (Coinbase: one level a message; Gemini: two on average), and the same Coinbase levels as
today's channels send them: batches of some levels, in the shapes of level2_batch, Advanced l2_data and Gemini @depth.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchmarks.conditions import print_conditions, recordings
from pinnacle.instrument import Instrument
from pinnacle.venues import coinbase_messages as messages
from pinnacle.venues.coinbase import CoinbaseFeed
from pinnacle.venues.coinbase_advanced import AdvancedFeed
from pinnacle.venues.feed import Feed, Followed, Rows
from pinnacle.venues.gemini import GeminiFeed
from pinnacle.venues.gemini_2021 import Gemini2021Feed
from tests.recordings.tapes import instruments
from tests.venues.tape import lines

BATCH = 12  # levels of a message of today: what 50 to 100 ms of a busy book are
Pairs = list[tuple[str, str]]
Triples = list[tuple[str, str, str]]


class Snapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    product_id: str
    bids: Pairs
    asks: Pairs


class Update(msgspec.Struct, tag_field="type", tag="l2update"):
    product_id: str
    changes: Triples
    time: str


EXCHANGE = (
    Snapshot | Update | messages.Match | messages.LastMatch | messages.Ticker | messages.Heartbeat
    | messages.Subscriptions
)  # fmt: skip


class Level(msgspec.Struct):
    side: str
    event_time: str
    price_level: str
    new_quantity: str


class Event(msgspec.Struct):
    type: str
    product_id: str
    updates: list[Level]


class Advanced(msgspec.Struct):
    channel: str
    timestamp: str
    sequence_num: int
    events: list[Event]


class Depth(msgspec.Struct):
    e: str
    E: int
    s: str
    U: int
    u: int
    b: Pairs
    a: Pairs


class Levels2(msgspec.Struct, tag_field="type", tag="l2_updates"):
    symbol: str
    changes: Triples
    trades: list[dict[str, object]] = []
    auction_events: list[dict[str, object]] = []


class Trade(msgspec.Struct, tag_field="type", tag="trade"):
    symbol: str
    event_id: int
    timestamp: int
    price: str
    quantity: str
    side: str


class Heartbeat(msgspec.Struct, tag_field="type", tag="heartbeat"):
    timestamp: int


def batches(tape: list[tuple[int, bytes]], product: str) -> Iterator[Triples]:
    """The recorded levels of one product, the whole book first, then so many at a time; the last of a price counts."""
    decoder = msgspec.json.Decoder(EXCHANGE)
    held: dict[tuple[str, str], str] = {}
    for _, data in tape:
        message = decoder.decode(data)
        if isinstance(message, Snapshot) and message.product_id == product:
            yield [("buy", *level) for level in message.bids] + [("sell", *level) for level in message.asks]
        elif isinstance(message, Update) and message.product_id == product:
            held |= {(side, price): size for side, price, size in message.changes}
            if len(held) >= BATCH:
                yield [(side, price, size) for (side, price), size in held.items()]
                held = {}


def level2_batch(groups: list[Triples], product: str) -> Iterator[bytes]:
    """As Coinbase Exchange sends them."""
    for k, levels in enumerate(groups):
        if k == 0:
            bids, asks = ([level[1:] for level in levels if level[0] == side] for side in ("buy", "sell"))
            yield msgspec.json.encode({"type": "snapshot", "product_id": product, "bids": bids, "asks": asks})
        else:
            stamp = "2021-04-17T16:43:29.571587Z"
            yield msgspec.json.encode({"type": "l2update", "product_id": product, "changes": levels, "time": stamp})


def l2_data(groups: list[Triples], product: str) -> Iterator[bytes]:
    """As Coinbase Advanced sends them."""
    stamp = "2026-04-07T14:30:01.456789Z"
    for k, levels in enumerate(groups):
        updates = [
            {
                "side": "bid" if side == "buy" else "offer",
                "event_time": stamp,
                "price_level": price,
                "new_quantity": qty,
            }
            for side, price, qty in levels
        ]
        event = {"type": "update" if k else "snapshot", "product_id": product, "updates": updates}
        yield msgspec.json.encode(
            {"channel": "l2_data", "client_id": "", "timestamp": stamp, "sequence_num": k, "events": [event]}
        )


def depth(groups: list[Triples], product: str) -> Iterator[bytes]:
    """As Gemini sends them."""
    for k, levels in enumerate(groups):
        bids, asks = ([level[1:] for level in levels if level[0] == side] for side in ("buy", "sell"))
        first = 100 * max(k - 1, 0) + 100
        frame = {"e": "depthUpdate", "E": 1_700_000_000_123_456_789, "s": product, "U": first, "u": 100 * k + 100}
        yield msgspec.json.encode(frame | {"b": bids, "a": asks})


def timed(made: Iterator[bytes]) -> list[tuple[int, bytes]]:
    """With a time of receipt each, all the same as far as lateness goes."""
    return [(1_800_000_000_000_000_000, data) for data in made]


def measure(
    name: str, tape: list[tuple[int, bytes]], floor: Callable[[bytes], object], make: Callable[[], Feed], rounds: int
) -> None:
    """Print microseconds a message of both, and their ratio."""
    best = [float("inf"), float("inf")]
    written = 0
    for _ in range(rounds):
        start = time.perf_counter()
        for _, data in tape:
            floor(data)
        best[0] = min(best[0], time.perf_counter() - start)
        feed, rows = make(), Rows()
        feed.opened(tape[0][0], rows)
        written = 0
        start = time.perf_counter()
        for ts_ns, data in tape:
            feed.received(data, ts_ns, rows)
            written += rows.count
            rows.count = 0
        best[1] = min(best[1], time.perf_counter() - start)
        assert not feed.restart
    us = [1e6 * seconds / len(tape) for seconds in best]
    print(
        f"{name:34} {len(tape):6} messages {written:7} records   msgspec {us[0]:6.2f} us   ours {us[1]:6.2f} us   "
        f"ratio {us[1] / us[0]:.2f}"
    )


def main(rounds: int) -> None:
    """Every input."""
    print_conditions("parsing of Coinbase and Gemini market data, one message after the other")
    folder: Path = recordings()
    tape = list(lines(folder / "coinbase" / "recorded_20210417" / "ws.raw"))
    known = instruments(folder, "coinbase")
    names = ["SKL-USD", "DASH-BTC", "BAND-BTC", "NMR-EUR", "YFI-BTC", "SKL-GBP"]
    measure(
        "coinbase recording of 2021", tape, msgspec.json.Decoder(EXCHANGE).decode,
        lambda: CoinbaseFeed([Followed(known[name], 0, k) for k, name in enumerate(names)]), rounds,
    )  # fmt: skip
    product = "SKL-USD"
    groups = list(batches(tape, product))
    one = known[product]
    followed = [Followed(one, 0, 0)]
    measure(
        f"coinbase level2_batch of {BATCH}", timed(level2_batch(groups, product)),
        msgspec.json.Decoder(EXCHANGE).decode,
        lambda: CoinbaseFeed(followed), rounds,
    )  # fmt: skip
    measure(
        f"coinbase advanced l2_data of {BATCH}", timed(l2_data(groups, product)), msgspec.json.Decoder(Advanced).decode,
        lambda: AdvancedFeed(followed), rounds,
    )  # fmt: skip
    symbol = Instrument("gemini", "sklusd", one.tick, one.lot)
    measure(
        f"gemini @depth of {BATCH}", timed(depth(groups, "sklusd")), msgspec.json.Decoder(Depth).decode,
        lambda: GeminiFeed([Followed(symbol, 0, 0)]), rounds,
    )  # fmt: skip
    tape = list(lines(folder / "gemini" / "recorded_20210417" / "ws.raw"))
    found = instruments(folder, "gemini")
    measure(
        "gemini recording of 2021", tape,
        msgspec.json.Decoder(Levels2 | Trade | Heartbeat).decode,
        lambda: Gemini2021Feed([Followed(found[name], 0, k) for k, name in enumerate(sorted(found))]), rounds,
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)

"""Bytes of recorded messages to records, beside msgspec decoding the same bytes, and beside cryptofeed's handlers.

    python benchmarks/parse_venues.py [--rounds 7] [NAME ..]

Floor: msgspec into structs with every field typed and levels as lists of texts, the struct of each message known
beforehand.  Ours: the feed of the venue, from bytes to 64-byte records with books joined, chained or checked.
cryptofeed: its handler with callbacks that do nothing, on those of the messages that it handles.  Each round runs the
three in turn in one process, on a fresh feed each; the median of the rounds' ratios is printed.  What a venue answered
by HTTP is given to all of them outside the time.  Kernels are compiled before.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions, recordings
from pinnacle.history.tape_items import RECEIVED
from pinnacle.venues.feed import Rows
from tests.venues.sample import TAPES, Sample, heard, sample_of, there

FLOOR_BAR, PEER_BAR = 2.5, 5.0
MESSAGES = 40_000
Pairs = list[tuple[str, str]]
Rest = list[Any]


# --- the floor: messages as typed structs ---------------------------------------------------------------------------


class Depth(msgspec.Struct):
    e: str
    E: int
    s: str
    U: int
    u: int
    b: Pairs
    a: Pairs
    T: int = 0
    pu: int = 0


class Top(msgspec.Struct):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int = 0
    E: int = 0


class Trade(msgspec.Struct):
    e: str
    E: int
    T: int
    s: str
    t: int
    p: str
    q: str
    m: bool
    X: str = ""


class AggregateTrade(msgspec.Struct):
    e: str
    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741
    T: int
    m: bool


class Frame(msgspec.Struct):
    stream: str


class DepthFrame(Frame):
    data: Depth


class TopFrame(Frame):
    data: Top


class TradeFrame(Frame):
    data: Trade


class AggregateFrame(Frame):
    data: AggregateTrade


class CoinbaseBook(msgspec.Struct):
    type: str
    product_id: str
    bids: Pairs
    asks: Pairs


class CoinbaseUpdate(msgspec.Struct):
    type: str
    product_id: str
    changes: list[tuple[str, str, str]]
    time: str


class CoinbaseMatch(msgspec.Struct):
    type: str
    trade_id: int
    maker_order_id: str
    taker_order_id: str
    side: str
    size: str
    price: str
    product_id: str
    sequence: int
    time: str


class CoinbaseTicker(msgspec.Struct):
    type: str
    sequence: int
    product_id: str
    price: str
    best_bid: str
    best_ask: str
    time: str = ""


class GeminiLevels(msgspec.Struct):
    type: str
    symbol: str
    changes: list[tuple[str, str, str]]


class GeminiTrade(msgspec.Struct):
    type: str
    symbol: str
    event_id: int
    timestamp: int
    price: str
    quantity: str
    side: str


class BitstampData(msgspec.Struct):
    timestamp: str
    microtimestamp: str
    bids: Pairs
    asks: Pairs


class BitstampBook(msgspec.Struct):
    data: BitstampData
    channel: str
    event: str


class KrakenLevel(msgspec.Struct):
    price: float
    qty: float


class KrakenBook(msgspec.Struct):
    symbol: str
    bids: list[KrakenLevel]
    asks: list[KrakenLevel]
    checksum: int
    timestamp: str = ""


class KrakenV2(msgspec.Struct):
    channel: str
    type: str
    data: list[KrakenBook]


class KrakenSides(msgspec.Struct):
    bids: list[tuple[str, str, str]] = msgspec.field(default=[], name="bs")
    asks: list[tuple[str, str, str]] = msgspec.field(default=[], name="as")
    b: list[tuple[str, ...]] = []
    a: list[tuple[str, ...]] = []
    c: str = ""


# What a message must contain -> its struct; messages of no struct are left out for all three.
STRUCTS: dict[str, list[tuple[bytes, Any]]] = {
    "binance": [
        (b'"depthUpdate"', DepthFrame), (b"@bookTicker", TopFrame), (b'"aggTrade"', AggregateFrame),
        (b'"e":"trade"', TradeFrame),
    ],
    "coinbase": [
        (b'"l2update"', CoinbaseUpdate), (b'"type":"snapshot"', CoinbaseBook), (b'"type":"match"', CoinbaseMatch),
        (b'"type":"ticker"', CoinbaseTicker),
    ],
    "gemini": [(b'"l2_updates"', GeminiLevels), (b'"type":"trade"', GeminiTrade)],
    "bitstamp": [(b'"diff_order_book', BitstampBook)],
    "kraken": [
        (b'"channel":"book"', KrakenV2), (b'"b":', tuple[int, KrakenSides, str, str]),
        (b'"a":', tuple[int, KrakenSides, str, str]), (b'"as":', tuple[int, KrakenSides, str, str]),
    ],
}  # fmt: skip
STRUCTS["binance-usdm"] = STRUCTS["binance"]


def floor_of(bodies: list[bytes], venue: str) -> Callable[[], float]:
    """A round of the floor: seconds."""
    decoders = {kind: msgspec.json.Decoder(kind).decode for _, kind in STRUCTS[venue]}
    pairs = [(decoders[struct_of(body, venue)], body) for body in bodies]

    def run() -> float:
        start = time.perf_counter()
        for decode, body in pairs:
            decode(body)
        return time.perf_counter() - start

    return run


def struct_of(body: bytes, venue: str) -> Any:
    """The struct of a message, None for one of no struct."""
    for text, kind in STRUCTS[venue]:
        if text in body:
            try:
                msgspec.json.decode(body, type=kind)
            except msgspec.ValidationError:
                continue
            return kind
    return None


# --- ours -----------------------------------------------------------------------------------------------------------


def ours_of(sample: Sample, bodies: list[bytes]) -> Callable[[], float]:
    """A round of ours: a fresh feed gets the whole sample once untimed up to its answers, then the messages."""

    def run() -> float:
        rows = Rows()
        feed = sample.feed()
        answers = [item for item in sample.items if item[0] != RECEIVED]
        # Books that come by HTTP are live from the first message on.
        for _ in heard(feed, answers, rows):
            rows.take()
        received = feed.received
        ts_ns = 3_000_000_000
        start = time.perf_counter()
        for body in bodies:
            ts_ns += 1000
            received(body, ts_ns, rows)
            rows.count = 0
        return time.perf_counter() - start

    return run


# --- cryptofeed -----------------------------------------------------------------------------------------------------

PEERS = {
    "binance": "Binance", "binance-2024": "Binance", "binance-usdm": "BinanceFutures", "bitstamp": "Bitstamp",
    "gemini-2021": "Gemini", "kraken-v1": "Kraken",
}  # fmt: skip


def peer_of(name: str, sample: Sample, bodies: list[bytes]) -> Callable[[], float] | None:
    """A round of cryptofeed's handler; None for a protocol that the installed version does not speak."""
    if name not in PEERS:
        return None
    logging.disable(logging.CRITICAL)
    try:
        exchanges = importlib.import_module("cryptofeed.exchanges")
        defines = importlib.import_module("cryptofeed.defines")
        symbols = importlib.import_module("cryptofeed.symbols").Symbols
    except ImportError:
        return None
    kind = getattr(exchanges, PEERS[name])
    names = {f"S{k}-USD": one.instrument.symbol for k, one in enumerate(sample.followed)}
    if name == "gemini-2021":
        names = {key: symbol.upper() for key, symbol in names.items()}
    symbols.set(kind.id, names, {"instrument_type": dict.fromkeys(names, "spot"), "tick_size": {}})
    answers = {re.sub(r"\W", "", url.lower()): body.decode() for what, url, body in sample.items if what != RECEIVED}
    texts = [body.decode() for body in bodies]

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    async def round_() -> float:
        channels = [defines.L2_BOOK, defines.TICKER, defines.TRADES]
        if name in ("bitstamp", "gemini-2021"):
            channels.remove(defines.TICKER)
        feed = kind(symbols=list(names), channels=channels, callbacks=dict.fromkeys(channels, nothing))
        if name == "gemini-2021":
            feed.subscription = {defines.L2_BOOK: list(names.values())}

        async def read(url: str, **_: Any) -> str:
            symbol = next(one for one in names.values() if one in url)
            return next(body for key, body in answers.items() if symbol.lower() in key or not key)

        feed.http_conn.read = read
        if name == "bitstamp":
            feed.last_update_id = {}
            for std, symbol in names.items():
                book = next((body for key, body in answers.items() if symbol in key), None)
                if book is not None:
                    loaded = msgspec.json.decode(book)
                    order_book = importlib.import_module("cryptofeed.types").OrderBook
                    feed.last_update_id[std] = loaded["timestamp"]
                    feed._l2_book[std] = order_book(feed.id, std, bids={}, asks={})
        elif name == "gemini-2021":
            order_book = importlib.import_module("cryptofeed.types").OrderBook
            for std in names:
                feed._l2_book[std] = order_book(feed.id, std)
        elif name.startswith("binance"):
            for symbol in names.values():
                await feed._snapshot(symbol)
        handle = feed.message_handler
        start = time.perf_counter()
        for text in texts:
            await handle(text, None, 1.0)
        return time.perf_counter() - start

    return lambda: asyncio.run(round_())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TAPES)}; all that there are")
    chosen = parser.parse_args()
    print_conditions("parsing of recorded messages, bytes to records")
    print(
        f"{'tape':<14}{'messages':>9}{'bytes':>8}{'msgspec':>9}{'ours':>8}{'ratio':>7}  {'cryptofeed':>10}{'faster':>8}"
    )
    print(f"{'':<14}{'':>9}{'each':>8}{'us each':>9}{'us each':>8}{f'<= {FLOOR_BAR}':>7}  {'us each':>10}{'>= 5':>8}")
    for name in chosen.names or [name for name in TAPES if there(name)]:
        sample = sample_of(name, recordings(), MESSAGES)
        venue = sample.venue
        bodies = [body for what, _, body in sample.items if what == RECEIVED and struct_of(body, venue)]
        # cryptofeed knows trades of Binance only as aggregates.
        known = [body for body in bodies if not (venue.startswith("binance") and b'"e":"trade"' in body)]
        floor, ours, ours_known = floor_of(bodies, venue), ours_of(sample, bodies), ours_of(sample, known)
        peer = peer_of(name, sample, known)
        rounds = []
        for _ in range(chosen.rounds + 1):
            rounds.append((floor(), ours(), ours_known() if peer else 0.0, peer() if peer else 0.0))
        rounds = rounds[1:]
        per = 1e6 / len(bodies)
        ratio = statistics.median(one[1] / one[0] for one in rounds)
        line = (
            f"{name:<14}{len(bodies):>9,}{sum(map(len, bodies)) // len(bodies):>8,}"
            f"{statistics.median(one[0] for one in rounds) * per:>9.2f}"
            f"{statistics.median(one[1] for one in rounds) * per:>8.2f}{ratio:>7.2f}"
        )
        if peer:
            faster = statistics.median(one[3] / one[2] for one in rounds)
            line += f"  {statistics.median(one[3] for one in rounds) * 1e6 / len(known):>10.2f}{faster:>8.1f}"
        else:
            line += f"  {'speaks another protocol':>18}"
        print(line)


if __name__ == "__main__":
    main()

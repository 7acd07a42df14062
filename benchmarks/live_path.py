"""The live path: a message's bytes to a command's bytes, the journal, recovery, and over loopback against raw echo.

    python benchmarks/live_path.py [--messages 20000] [--rounds 3]

Input: the recorded Binance USD-M stream (depth, trades, tickers of BTCUSDT), fed as the venue would send it; the
fixed-spread strategy, woken by every message.  What is measured against what, in the same run:

- bytes to command: `FeedConnection.received` of one message until its commands are in the journal and encoded;
- loopback: the same over a websocket, as the server sees it, against the same transport echoing the message, and
  against the websockets library's coroutine client echoing it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import multiprocessing
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions, recordings
from pinnacle.config import parse_config
from pinnacle.config_live import Live
from pinnacle.engine.strategy import bind, load_strategy
from pinnacle.event import CANCEL, LAST, MARKET_KIND_MAX, PLACE, empty
from pinnacle.log.manifest import Manifest, Versions
from pinnacle.log.reader import LogReader
from pinnacle.resources import find_file
from pinnacle.run.connections import FeedConnection
from pinnacle.run.keeper import Keeper
from pinnacle.run.livelog import LiveLog
from pinnacle.run.loop import Engine
from pinnacle.run.recovery import Files, fold_again, put_in_order
from pinnacle.run.refold import Refold
from pinnacle.run.settings import engine_state
from pinnacle.transport.clock import Clock
from pinnacle.transport.http import Http
from pinnacle.transport.websocket import Route, WebSocket, connect
from pinnacle.venues import binance_usdm
from pinnacle.venues.feed import Address, Followed

RAW: dict[str, Any] = {
    "strategy": {"path": "fixed_spread", "params": {"half_spread_bps": 0.2, "order_qty": 0.01, "position_max": 0.05}},
    "wake": {"every_ms": 100, "on_book": True},
    "run": {"record": "full"},
    # Messages follow each other here faster than any venue answers; with a delay most would find orders in flight.
    "latency": {"entry_ms": 0, "response_ms": 0},
    "instruments": [{"venue": "binance-usdm", "symbol": "BTCUSDT", "tick": "0.1", "lot": "0.001"}],
}
_ASKED = "btcusdt@depth@0ms/btcusdt@trade/btcusdt@bookTicker"


class ActingLog(LiveLog):
    """Compute, record, act: what was appended is looked at for commands, which are encoded for a venue."""

    commands: list[bytes]

    def append(self, records: np.ndarray) -> None:
        super().append(records)
        kinds = records["kind"]
        said = records[(kinds == PLACE) | (kinds == CANCEL)]
        for _, _, _, order_id, price, qty, _, kind, side, *_ in said.tolist() if said.size else ():
            what = b"place" if kind == PLACE else b"cancel"
            self.commands.append(
                b'{"id":%d,"method":"order.%s","params":{"symbol":"BTCUSDT","side":%d,"price":%d,"qty":%d}}'
                % (order_id, what, side, price, qty)
            )


class Bench:
    """A session without sockets, on a log in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = parse_config(RAW, "the benchmark")
        one = self.config.instruments[0].instrument("the benchmark")
        assert one is not None
        self.instruments = [one]
        self.strategy = load_strategy(find_file("fixed_spread", None, "strategies", ".py"))
        manifest = Manifest(
            run_id="00" * 16, mode="paper", status="running", code_hash="", versions=Versions("", "", "", "", "")
        )
        (folder / "log").mkdir(parents=True)
        self.log = ActingLog(folder / "log", "00" * 16, Live(), Keeper(folder, manifest, None), 0, 0, None)
        self.log.commands = []
        state = engine_state(self.config, self.instruments, self.strategy, "the benchmark")
        self.engine = Engine(self.config, "the benchmark", self.instruments, self.strategy, state, self.log)
        feed = binance_usdm.recorded([Followed(one, 0, 0)], _ASKED)
        self.clock = Clock()
        self.connection = FeedConnection(
            "binance/0", feed, Address("", ""), Route(), Http(Route()), self.clock, random.Random(1), self.engine.hear,
            raise_it, lambda what, **fields: None, None,
        )  # fmt: skip
        self.engine.begin(self.clock.now_ns())
        self.feed, self.rows = feed, self.connection._rows
        self.feed.opened(self.clock.now_ns(), self.rows)

    def refold(self, state: np.ndarray | None) -> Refold:
        state = engine_state(self.config, self.instruments, self.strategy, "") if state is None else state
        return Refold(state, self.strategy, bind(self.strategy, len(state[0]["lane"]["own"])), self.instruments)

    def answer(self, body: bytes) -> None:
        """A whole book, where the feed waits for one."""
        for fetch in list(self.feed.fetches):
            now_ns = self.clock.now_ns()
            self.feed.answered(fetch.tag, 200, body, now_ns, self.rows)
            if self.rows.count:
                self.engine.hear(self.rows.take(), now_ns)
        self.feed.fetches.clear()


def raise_it(error: BaseException) -> None:
    raise error


def tape(count: int) -> tuple[list[bytes], bytes, int]:
    """The stream's first messages, the whole book among them and its index."""
    lines: list[bytes] = []
    snapshot, at = b"", 0
    with gzip.open(recordings() / "binance" / "usdm_btcusdt_20240808.gz") as source:
        for line in source:
            text = line.partition(b" ")[2].strip()
            if text.startswith(b'{"lastUpdateId"'):
                if not snapshot:
                    snapshot, at = text, len(lines)
                continue
            lines.append(text)
            if len(lines) >= count:
                break
    return lines, snapshot, at


def begun(folder: Path, lines: list[bytes], snapshot: bytes, at: int) -> Bench:
    """A session whose book is live: the messages up to the whole book were heard."""
    bench = Bench(folder)
    # The tape's book is fetched where its recorder fetched it.
    held = list(bench.feed.fetches)
    bench.feed.fetches.clear()
    for text in lines[:at]:
        bench.feed.received(text, bench.clock.now_ns(), bench.rows)
        if bench.rows.count:
            bench.engine.hear(bench.rows.take(), bench.clock.now_ns())
        held += bench.feed.fetches
        bench.feed.fetches.clear()
    bench.feed.fetches.extend(held[:1])
    bench.answer(snapshot)
    return bench


def percentiles(ns: list[int]) -> str:
    us = np.array(ns) / 1e3
    return f"{np.median(us):7.1f} us   99% {np.percentile(us, 99):7.1f} us   max {us.max():8.1f} us   n {us.size:,}"


def bytes_to_command(folder: Path, lines: list[bytes], snapshot: bytes, at: int) -> Bench:
    bench = begun(folder, lines, snapshot, at)
    received, commands = bench.connection.received, bench.log.commands
    depth: list[int] = []
    depth_said: list[int] = []
    said_sizes: list[int] = []
    others_said: list[int] = []
    others: list[int] = []
    for k, text in enumerate(lines[at:]):
        before = len(commands)
        start = time.perf_counter_ns()
        received(text)
        took = time.perf_counter_ns() - start
        if k < 500:
            continue
        if text.startswith(b'{"stream":"btcusdt@depth'):
            depth.append(took)
            if len(commands) > before:
                depth_said.append(took)
                said_sizes.append(len(text))
        else:
            others.append(took)
            if len(commands) > before:
                others_said.append(took)
    sizes = [len(text) for text in lines if text.startswith(b'{"stream":"btcusdt@depth')]
    print(f"\nbytes received to command bytes ready (depth messages of {np.median(sizes):.0f} bytes, median)")
    print(f"  depth, all             {percentiles(depth)}")
    print(f"  depth, with commands   {percentiles(depth_said)}; of {np.median(said_sizes):.0f} bytes, median")
    print(f"  trades and tickers     {percentiles(others)}")
    print(f"  these, with commands   {percentiles(others_said)}")
    print(f"  book {bench.feed.states()}, commands {len(commands):,}; wanted: median < 40 us, 99% < 150 us")
    return bench


def journal_append(folder: Path) -> None:
    """One batch of 24 records (a depth message of some 20 levels), without and with fsync."""
    from pinnacle.log.journal import Journal

    journal = Journal.create(folder / "append.journal", bytes(16))
    batch = empty(24)
    took = []
    for _ in range(50_000):
        start = time.perf_counter_ns()
        journal.append(batch)
        took.append(time.perf_counter_ns() - start)
    print("\njournal append of 24 records")
    print(f"  memory-mapped          {percentiles(took)}; wanted: < 2 us")
    took = []
    for _ in range(50):
        journal.append(batch)
        start = time.perf_counter_ns()
        journal.sync()
        took.append(time.perf_counter_ns() - start)
    print(f"  fsync after each       {percentiles(took)}")
    journal.close()


def repeat(bench: Bench, records: int) -> None:
    """Let the session hear its own messages again, until its log is so long."""
    heard = np.concatenate(list(LogReader(bench.folder / "log" / "log-000000.journal").records()))
    market = heard[heard["kind"] <= MARKET_KIND_MAX]
    messages = np.split(market, np.flatnonzero(market["flags"] & LAST) + 1)[:-1]
    while bench.log.records < records:
        for message in messages:
            now_ns = bench.clock.now_ns()
            message["ts_ns"] = now_ns
            bench.engine.hear(message, now_ns)


def recovery(bench: Bench) -> None:
    """The log of the session above, repeated to some millions, folded again as a start does."""
    repeat(bench, 2_000_000)
    records = bench.log.records
    bench.log.abandon()
    best = 0.0
    folded = 0
    for _ in range(3):
        start = time.perf_counter()
        files = put_in_order(bench.folder / "log")
        opened = time.perf_counter()
        refold, _ = fold_again(Files(journal=files.journal), bench.folder, bench.refold)
        took = time.perf_counter() - start
        fold_s = time.perf_counter() - opened
        assert files.journal is not None
        files.journal.close()
        best = max(best, records / took)
        folded = refold.inputs
    print(f"\nrecovery: {records:,} records ({folded:,} inputs), every checksum, every output compared")
    print(f"  {best / 1e6:.2f} M records/s in all; reading and folding alone {records / fold_s / 1e6:.2f} M/s;"
          " wanted: 5 M/s")  # fmt: skip


# --- over loopback --------------------------------------------------------------------------------------------------
def serve(pipe: Connection, lines: list[bytes]) -> None:
    """A server process: sends each message, waits for one answer, and tells how long each took."""
    from websockets.sync.server import serve as serving

    def talk(connection: Any) -> None:
        sock: socket.socket = connection.socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took = []
        connection.recv()
        for text in lines:
            start = time.perf_counter_ns()
            connection.send(text, text=True)
            connection.recv()
            took.append(time.perf_counter_ns() - start)
        pipe.send(took[200:])

    with serving(talk, "127.0.0.1", 0, compression=None) as server:
        pipe.send(server.socket.getsockname()[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pipe.recv()
        server.shutdown()


async def converse(port: int, pipe: Connection, answer: Callable[[WebSocket, bytes], None]) -> list[int]:
    """One conversation over our transport."""
    ended = asyncio.Event()
    opened: list[WebSocket] = []
    url = f"ws://127.0.0.1:{port}/"
    opened.append(await connect(url, {}, Route(), lambda data: answer(opened[0], data), lambda why: ended.set()))
    opened[0].send(b"begin")
    await ended.wait()
    return list(pipe.recv())


async def coroutines(port: int, pipe: Connection) -> list[int]:
    """The same echo with the library's coroutine client."""
    from websockets.asyncio.client import connect as library_connect

    async with library_connect(f"ws://127.0.0.1:{port}/", compression=None, ping_interval=None) as connection:
        await connection.send("begin")
        async for data in connection:
            await connection.send(data)
    return list(pipe.recv())


def loopback(folder: Path, lines: list[bytes], snapshot: bytes, at: int, rounds: int) -> None:
    import uvloop

    depth = [text for text in lines[at:] if text.startswith(b'{"stream":"btcusdt@depth')][:1500]
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    server = context.Process(target=serve, args=(other, depth), daemon=True)
    server.start()
    port = int(pipe.recv())
    took: dict[str, list[int]] = {"raw echo, our transport": [], "raw echo, coroutine API": [], "feed to order": []}

    def echo(connection: WebSocket, data: bytes) -> None:
        connection.send(data)

    for number in range(rounds):
        bench = begun(folder / str(number), lines, snapshot, at)
        commands = bench.log.commands

        def order(connection: WebSocket, data: bytes, bench: Bench = bench, commands: list[bytes] = commands) -> None:
            before = len(commands)
            bench.connection.received(data)
            # Where the strategy has nothing to say an order's worth of bytes goes out all the same.
            connection.send(commands[before] if len(commands) > before else commands[0] if commands else b"none yet")

        took["raw echo, our transport"] += uvloop.run(converse(port, pipe, echo))
        took["raw echo, coroutine API"] += uvloop.run(coroutines(port, pipe))
        took["feed to order"] += uvloop.run(converse(port, pipe, order))
        bench.log.abandon()
    pipe.send("end")
    server.join(5)
    print(f"\nover loopback, as the server sees it ({rounds} alternating rounds of {len(depth):,} depth messages)")
    for name, ns in took.items():
        print(f"  {name:<24} {percentiles(ns)}")
    floor, path = (np.median(took[name]) for name in ("raw echo, our transport", "feed to order"))
    print(f"  feed to order is {path / floor:.2f} times the raw echo; wanted: within 2.5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    print_conditions("live path")
    lines, snapshot, at = tape(said.messages)
    print(f"input    {len(lines):,} messages of usdm_btcusdt_20240808, whole book after {at}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = bytes_to_command(folder / "first", lines, snapshot, at)
        journal_append(folder)
        recovery(bench)
        loopback(folder / "loopback", lines, snapshot, at, said.rounds)


if __name__ == "__main__":
    main()

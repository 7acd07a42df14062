"""The local exchange: feed messages a second to one client that keeps up.

    python benchmarks/local_exchange.py [--seconds 5] [--rate 9000]

The exchange is the real one (`pinnacle simulate --listen .. --dialect binance`) in a process of its own, its background
at `--rate` commands a second for each of two symbols.  One client, in another process, subscribes trade, aggTrade and
bookTicker of both over one combined stream and counts whole websocket frames; a message is one frame with one JSON
event (about 150 bytes).  It keeps up if the venue's time in the last message is within 100 ms of the clock, and if
nothing was left out: trade ids are checked to follow one another.

Beside it, in the same run and with the same client, the same bytes from a bare aiohttp server that sends recorded
messages one `send_str` after another, as fast as it can: what a server without an exchange behind it would do.  CPU is
each process's own time over the wall's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions

STREAMS = "/".join(
    f"{symbol}@{what}" for symbol in ("btcusdt", "ethusdt") for what in ("trade", "aggTrade", "bookTicker")
)


class FrameClient:
    """A websocket client that takes whole frames off a socket and does nothing else with them."""

    def __init__(self, port: int, target: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.socket.recv(65536)
        assert self.rest.startswith(b"HTTP/1.1 101"), self.rest
        self.rest = self.rest.partition(b"\r\n\r\n")[2]

    def frames(self) -> list[bytes]:
        """The payloads of the frames that came."""
        data = self.rest + self.socket.recv(1 << 20)
        found, at, size = [], 0, len(data)
        while at + 2 <= size:
            length, head = data[at + 1], 2
            if length == 126:
                if at + 4 > size:
                    break
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            elif length == 127:
                length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
            if at + head + length > size:
                break
            found.append(data[at + head : at + head + length])
            at += head + length
        self.rest = data[at:]
        return found


def listen(port: int, target: str, seconds: float, server: int, sink: Any) -> None:
    """The client's process: count for so long, and say what was seen."""
    client = FrameClient(port, target)
    kept: list[bytes] = []
    trades: dict[str, list[int]] = {}
    warm = time.monotonic() + 1.0
    while time.monotonic() < warm:
        client.frames()
    count = size = 0
    lags_ms: list[float] = []
    begin, cpu, server_cpu = time.monotonic(), time.process_time(), cpu_s(server)
    while time.monotonic() < begin + seconds:
        frames = client.frames()
        count += len(frames)
        size += sum(map(len, frames))
        if len(kept) < 200_000:
            kept += frames
        for frame in reversed(frames):
            if b'"E":' in frame[:80]:
                lags_ms.append(time.time() * 1000 - int(frame.partition(b'"E":')[2][:13]))
                break
    spent = time.monotonic() - begin
    cpu, server_cpu = time.process_time() - cpu, cpu_s(server) - server_cpu
    for frame in kept:
        if b'"e":"trade"' in frame:
            said = json.loads(frame)["data"]
            trades.setdefault(said["s"], []).append(said["t"])
    whole = all(ids == list(range(ids[0], ids[0] + len(ids))) for ids in trades.values())
    sink.put((count / spent, size / max(1, count), cpu / spent, server_cpu / spent, lags_ms, whole, kept[:20_000]))


def in_process(port: int, target: str, seconds: float, server: int) -> Any:
    """`listen` in another process."""
    context = multiprocessing.get_context("spawn")
    sink = context.Queue()
    process = context.Process(target=listen, args=(port, target, seconds, server, sink))
    process.start()
    found = sink.get(timeout=seconds + 60)
    process.join()
    return found


def bare(messages: list[bytes], port_sink: Any, uv: bool) -> None:
    """A plain aiohttp server that sends the messages over and over."""
    from aiohttp import web

    texts = [one.decode() for one in messages]

    async def handle(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        try:
            while True:
                for text in texts:
                    await client.send_str(text)
                # Others must get their turn too.
                await asyncio.sleep(0)
        except (ConnectionError, RuntimeError):
            pass
        return client

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/stream", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port_sink.put(runner.addresses[0][1])
        await asyncio.sleep(3600)

    if uv:
        import uvloop

        uvloop.run(serve())
    else:
        asyncio.run(serve())


def cpu_s(pid: int) -> float:
    """User and system time of another process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def exchange(rate: float, seconds: float) -> Any:
    """What the client saw at a background of `rate` commands a second and symbol."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "pinnacle.cli",
        "simulate",
        "--listen",
        f"127.0.0.1:{port}",
        "--dialect",
        "binance",
    ]
    for setting in ("model=plain", f"per_s={rate}", "distance_ticks=5", "taking=0.3"):
        command += ["--set", f"flow.{setting}"]
    server = subprocess.Popen([*command, "--quiet"])
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.2)
        time.sleep(1.0)
        return in_process(port, f"/stream?streams={STREAMS}", seconds, server.pid)
    finally:
        server.terminate()
        server.wait(20)


def bare_speed(messages: list[bytes], seconds: float) -> tuple[float, float, float]:
    """(messages/s, CPU of the client, CPU of the server) of the bare one."""
    context = multiprocessing.get_context("spawn")
    sink = context.Queue()
    process = context.Process(target=bare, args=(messages, sink, True))
    process.start()
    try:
        port = sink.get(timeout=60)
        assert process.pid is not None
        found = in_process(port, "/stream", seconds, process.pid)
        return found[0], found[2], found[3]
    finally:
        process.terminate()
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, nargs="*", default=[4_000.0, 9_000.0, 14_000.0])
    chosen = parser.parse_args()
    print_conditions(f"local exchange: feed of one client over {chosen.seconds:g} s, {STREAMS.count('@')} streams")
    best, best_cpu, messages = 0.0, 0.0, []
    for rate in chosen.rate:
        speed, size, client_cpu, server_cpu, lags, whole, kept = exchange(rate, chosen.seconds)
        late = statistics.median(lags[-50:]) if lags else float("nan")
        keeps_up = whole and late < 100
        if keeps_up and speed > best:
            best, best_cpu, messages = speed, server_cpu, kept
        print(
            f"exchange {speed:,.0f} messages/s of {size:.0f} bytes at {2 * rate:,.0f} commands/s: age of the newest "
            f"{late:.0f} ms (worst {max(lags):.0f}), trade ids {'whole' if whole else 'WITH HOLES'}, CPU exchange "
            f"{server_cpu:.2f}, client {client_cpu:.2f}{'' if keeps_up else '; FALLS BEHIND'}"
        )
    if not messages:
        sys.exit("no rate at which the client kept up")
    speed, client_cpu, server_cpu = bare_speed(messages, chosen.seconds)
    print(f"bare     {speed:,.0f} messages/s by aiohttp alone, CPU server {server_cpu:.2f}, client {client_cpu:.2f}")
    here, there = best_cpu / best * 1e6, server_cpu / speed * 1e6
    print(
        f"ratio    {here:.1f} us of CPU a message with the market behind it, {there:.2f} us to send one alone: "
        f"{here / there:.0f} times; asked: 20,000 messages/s without falling behind"
    )
    print(f"memory   {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB at most of any process")


if __name__ == "__main__":
    main()

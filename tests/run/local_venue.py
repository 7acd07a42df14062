"""A venue of our own for the tests: a tiny protocol of JSON, its feed, and a server that speaks it on loopback.

The server can lose a message, hang up, fall silent or send rubbish; each client gets a whole book first.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from websockets.sync.server import Server, ServerConnection, serve

from pinnacle.event import (
    ASK,
    BID,
    BOOK_CLEAR,
    BOOK_LEVEL,
    LAST,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    SNAPSHOT,
    TRADE,
)
from pinnacle.instrument import Instrument
from pinnacle.venues import venues
from pinnacle.venues.feed import (
    CAUSE_CLOSED,
    CAUSE_SEQUENCE,
    CAUSE_SILENCE,
    EMPTY,
    LIVE,
    STALE,
    SYNCING,
    Address,
    Feed,
    Fetch,
    Followed,
    Malformed,
    Rows,
)

ADDRESS = Address(websocket="ws://localhost:1", rest="http://localhost:1")
NAME = "testing"
ROOT = Path(__file__).resolve().parent.parent.parent


class LocalFeed:
    """One connection, one book.  A gap in `n` makes the book stale and asks for a new connection."""

    def __init__(self, followed: Followed) -> None:
        self.followed = followed
        self.url = f"/{followed.instrument.symbol}"
        self.headers: Mapping[str, str] = {}
        self.sends: list[bytes] = []
        self.fetches: list[Fetch] = []
        self.restart = ""
        self.counts: dict[str, int] = {"whole": 0, "change": 0, "trade": 0}
        self.silence_ns = 5_000_000_000
        self.state, self.number, self.heard_ns = EMPTY, 0, 0

    def opened(self, ts_ns: int, rows: Rows) -> None:
        self.state, self.heard_ns = SYNCING, ts_ns
        self.sends.append(b'{"do": "subscribe"}')

    def received(self, data: bytes, ts_ns: int, rows: Rows) -> None:
        self.heard_ns = ts_ns
        try:
            said: dict[str, Any] = json.loads(data)
            what, venue_ns = said["what"], said["ts"]
            self.counts[what] += 1
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"{NAME}: {error}: {data[:40]!r}") from None
        add = rows.add
        if what == "trade":
            add(self.followed, ts_ns, venue_ns, TRADE, said["side"], said["ticks"], said["lots"], said["n"])
            return
        if what == "change" and said["n"] != self.number + 1:
            if self.state == LIVE:
                add(self.followed, ts_ns, venue_ns, LINK_GAP, aux=CAUSE_SEQUENCE)
            self.state, self.restart = STALE, "a message is missing"
            return
        self.number = said["n"]
        levels = [(BID, t, q) for t, q in said["bids"]] + [(ASK, t, q) for t, q in said["asks"]]
        if what == "whole":
            add(self.followed, ts_ns, venue_ns, BOOK_CLEAR, flags=SNAPSHOT)
            for side, ticks, lots in levels:
                add(self.followed, ts_ns, venue_ns, BOOK_LEVEL, side, ticks, lots, flags=SNAPSHOT)
            add(self.followed, ts_ns, venue_ns, LINK_UP)
            self.state = LIVE
        elif self.state == LIVE:
            for k, (side, ticks, lots) in enumerate(levels):
                last = LAST if k == len(levels) - 1 else 0
                add(self.followed, ts_ns, venue_ns, BOOK_LEVEL, side, ticks, lots, flags=last)

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int, rows: Rows) -> None:
        raise AssertionError("nothing is fetched")

    def tick(self, ts_ns: int, rows: Rows) -> None:
        if self.state in (LIVE, SYNCING) and ts_ns - self.heard_ns > self.silence_ns:
            rows.add(self.followed, ts_ns, 0, LINK_STALE, aux=CAUSE_SILENCE)
            self.state, self.restart = STALE, "silence"

    def closed(self, ts_ns: int, rows: Rows) -> None:
        if self.state != EMPTY:
            rows.add(self.followed, ts_ns, 0, LINK_DOWN, aux=CAUSE_CLOSED)
        self.state = EMPTY

    def states(self) -> Sequence[int]:
        return [self.state]


def feeds(followed: Sequence[Followed], address: Address) -> list[Feed]:
    return [LocalFeed(one) for one in followed]


def instruments_path(symbols: Sequence[str]) -> str:
    return f"/instruments?symbols={','.join(symbols)}"


def instruments(body: bytes) -> list[Instrument]:
    return [
        Instrument(NAME, one["symbol"], Decimal(one["tick"]), Decimal(one["lot"]), base="AAA", quote="USD")
        for one in json.loads(body)
    ]


def install() -> None:
    """Let `live.venues` and [[instruments]] name the testing venue, as they name any other."""
    venues.VENUES[NAME] = __name__


class Market:
    """A seeded market of one symbol: a whole book, then changes and trades near its best."""

    def __init__(self, seed: int, depth: int = 10) -> None:
        self.chance = random.Random(seed)
        self.mid, self.number = 10_000, 0
        self.depth = depth
        self.levels: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        for k in range(depth):
            self.levels[BID][self.mid - 1 - k] = self.levels[ASK][self.mid + 1 + k] = self.chance.randint(1, 50)

    def whole(self, ts_ns: int) -> dict[str, Any]:
        return self._said("whole", ts_ns, self.levels[BID], self.levels[ASK])

    def _said(self, what: str, ts_ns: int, bids: dict[int, int], asks: dict[int, int]) -> dict[str, Any]:
        return {"what": what, "n": self.number, "ts": ts_ns, "bids": [*bids.items()], "asks": [*asks.items()]}

    def next(self, ts_ns: int) -> dict[str, Any]:
        chance = self.chance
        if chance.random() < 0.3:
            side = chance.choice((BID, ASK))
            there = self.levels[-side]
            best = min(there) if side == BID else max(there)
            lots = chance.randint(1, 20)
            return {"what": "trade", "n": self.number, "ts": ts_ns, "side": side, "ticks": best, "lots": lots}
        changed: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        if chance.random() < 0.2:
            step = chance.choice((-1, 1))
            self.mid += step
            for side in (BID, ASK):
                wanted = {self.mid - side * (1 + k) for k in range(self.depth)}
                for ticks in set(self.levels[side]) - wanted:
                    changed[side][ticks] = 0
                    del self.levels[side][ticks]
                for ticks in sorted(wanted - set(self.levels[side])):
                    changed[side][ticks] = self.levels[side][ticks] = chance.randint(1, 50)
        else:
            side = chance.choice((BID, ASK))
            ticks = chance.choice(sorted(self.levels[side]))
            changed[side][ticks] = self.levels[side][ticks] = chance.randint(1, 50)
        self.number += 1
        return self._said("change", ts_ns, changed[BID], changed[ASK])


class LocalExchange:
    """Serves Market(seed) to each client, `rate` messages a second.  faults: what happens at which message of a client
    ("lose", "hang up", "rubbish", "silence")."""

    def __init__(self, seed: int = 1, rate: float = 500, faults: Mapping[int, str] | None = None) -> None:
        self.seed, self.rate, self.faults = seed, rate, dict(faults or {})
        self.clients = 0
        self.port = 0
        self._server: Server | None = None
        self._ending = threading.Event()

    def _serve(self, connection: ServerConnection) -> None:
        self.clients += 1
        faults = dict(self.faults) if self.clients == 1 else {}
        market = Market(self.seed + self.clients)
        connection.recv(timeout=60)
        connection.send(json.dumps(market.whole(time.time_ns())))
        sent = 0
        while not self._ending.is_set():
            time.sleep(1 / self.rate)
            said = market.next(time.time_ns())
            sent += 1
            fault = faults.pop(sent, "")
            if fault == "lose" and said["what"] == "trade":
                # A trade that is missing shows in nothing; the next change does.
                faults[sent + 1] = fault
            if fault == "lose":
                continue
            if fault == "hang up":
                connection.close()
                return
            if fault == "silence":
                self._ending.wait(30)
                return
            connection.send("}rubbish" if fault == "rubbish" else json.dumps(said))

    def _handler(self, connection: ServerConnection) -> None:
        try:
            self._serve(connection)
        except Exception:  # noqa: BLE001 - a client that goes away ends its thread, whatever it says
            return

    @contextmanager
    def running(self) -> Iterator[LocalExchange]:
        with serve(self._handler, "localhost", 0, compression=None) as server:
            self.port = server.socket.getsockname()[1]
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._ending.set()
                server.shutdown()
                thread.join(20)

    def settings(self) -> list[str]:
        """The --set of a config that follows this exchange."""
        return [f"live.venues.{NAME}.websocket=ws://localhost:{self.port}"]


CONFIG = """
[strategy]
path = "fixed_spread"
[strategy.params]
half_spread_bps = 1.0
order_qty = 0.05
position_max = 1
[wake]
every_ms = 20
on_book = true
[latency]
entry_ms = 3
response_ms = 3
[run]
checkpoint_every = 997
[live]
disk_free_mb = 0
[[instruments]]
venue = "testing"
symbol = "AAAUSD"
tick = "0.01"
lot = "0.01"
"""


def main() -> None:
    """The command line with the testing venue known to it, for tests that kill a process of their own."""
    install()
    from pinnacle.cli import main as command

    command(args=sys.argv[1:])


if __name__ == "__main__":
    # Run as a file, the module must also be found under its own name.
    sys.modules["tests.run.local_venue"] = sys.modules["__main__"]
    venues.VENUES[NAME] = "tests.run.local_venue"
    main()

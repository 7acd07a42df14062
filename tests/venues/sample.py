"""Recorded messages of every venue for tests that bend them, and a small run of them through a fresh feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.event import BOOK_CLEAR, BOOK_LEVEL, LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP
from pinnacle.history.tape import Tape
from pinnacle.history.tape_items import ANSWERED, RECEIVED, items_of
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Feed, Followed, Malformed, Rows
from pinnacle.venues.venues import VENUES, recorded_feeds

# venue and protocol -> (venue, files below the recordings, tick and lot where no listing says them)
TAPES: dict[str, tuple[str, tuple[str, ...], tuple[str, str] | None]] = {
    "binance": ("binance", ("binance/recorded_20210417/ws.raw",), None),
    "binance-2024": ("binance", ("binance/spot_btcusdt_20240808.gz",), ("0.01", "0.00001")),
    "binance-usdm": ("binance-usdm", ("binance/usdm_btcusdt_20240718.gz",), ("0.1", "0.001")),
    "bitstamp": ("bitstamp", ("bitstamp/recorded_20210417/ws.raw",), None),
    "coinbase": ("coinbase", ("coinbase/recorded_20210417/ws.raw",), None),
    "gemini-2021": ("gemini", ("gemini/recorded_20210417/ws.raw", "gemini/symbol_details_20210623.raw"), None),
    "kraken": ("kraken", ("kraken/kraken_v2_btcusd_d10_20260816.ndjson",), ("0.1", "0.00000001")),
    "kraken-v1": ("kraken", ("kraken/recorded_20210405/book.raw", "kraken/assetpairs_20210417.raw"), None),
}


def there(name: str) -> bool:
    """Whether the venue's file exists."""
    return find_spec(VENUES[TAPES[name][0]]) is not None


@dataclass
class Sample:
    """The first items of a tape: (what, address, body), and how a fresh feed for them is made."""

    venue: str
    followed: list[Followed]
    asked: str
    items: list[tuple[int, str, bytes]]

    def feed(self) -> Feed:
        """A feed that has heard nothing yet, open."""
        (feed,) = recorded_feeds(self.venue, self.followed, self.asked)
        feed.opened(1, Rows())
        return feed


def sample_of(name: str, recordings: Path, count: int) -> Sample:
    """The sample of one tape.  count: items received or answered."""
    venue, files, steps = TAPES[name]
    tape = Tape([recordings / file for file in files], venue)
    given = Instrument(venue, "any", Decimal(steps[0]), Decimal(steps[1])) if steps else None
    instruments = tape.instruments([], given)
    asked = "\n".join(text for texts in tape.asked.values() for text in texts)
    found = (item for item in items_of(tape.paths) if item.what in (RECEIVED, ANSWERED))
    books = ((item.what, item.url, item.body) for item in found if item.what == RECEIVED or b'"bids"' in item.body)
    return Sample(
        venue, [Followed(one, 0, index) for index, one in enumerate(instruments)], asked, list(islice(books, count))
    )


def heard(feed: Feed, items: list[tuple[int, str, bytes]], rows: Rows) -> Iterator[tuple[int, Malformed | None]]:
    """Give a feed its items; after each (index, what it raised).  Answers are given to who asks for their symbol."""
    ready: list[tuple[str, bytes]] = []
    for index, (what, url, body) in enumerate(items):
        ts_ns = 2_000_000_000 + index * 1_000_000
        error = None
        if what == ANSWERED:
            ready.append((url.lower(), body))
        else:
            error = guarded(feed.received, body, ts_ns, rows)
        yield index, error
        for fetch in list(feed.fetches):
            wanted = fetch.tag.split()[0].lower()
            for one in ready:
                if one[0] == "" or wanted in one[0]:
                    ready.remove(one)
                    feed.fetches.remove(fetch)
                    yield (
                        index,
                        guarded(feed.answered, fetch.tag, 200, one[1], ts_ns, rows),
                    )
                    break


def guarded(call: Callable[..., None], *words: Any) -> Malformed | None:
    """What the call raised, if it is the one error that a parser has; any other goes on."""
    try:
        call(*words)
    except Malformed as error:
        return error
    return None


class Books:
    """The books that follow from records: plain dicts, one an instrument."""

    def __init__(self, count: int) -> None:
        self.levels: list[dict[tuple[int, int], int]] = [{} for _ in range(count)]
        self.live = [False] * count

    def hear(self, rows: np.ndarray) -> set[int]:
        """Take the records; the instruments that were touched."""
        touched = set()
        for kind, side, price, qty, index in rows[["kind", "side", "price_ticks", "qty_lots", "instrument"]].tolist():
            if kind == BOOK_CLEAR:
                self.levels[index] = {}
            elif kind == BOOK_LEVEL and qty:
                self.levels[index][side, price] = qty
            elif kind == BOOK_LEVEL:
                self.levels[index].pop((side, price), None)
            elif kind in (LINK_UP, LINK_DOWN, LINK_GAP, LINK_STALE):
                self.live[index] = kind == LINK_UP
            touched.add(index)
        return touched

    def state(self, index: int, depth: int) -> frozenset[tuple[tuple[int, int], int]]:
        """The book's levels: the best `depth` of each side, all of them for 0."""
        levels = self.levels[index]
        if not depth:
            return frozenset(levels.items())
        bids = sorted((item for item in levels.items() if item[0][0] > 0), key=lambda item: -item[0][1])
        asks = sorted((item for item in levels.items() if item[0][0] < 0), key=lambda item: item[0][1])
        return frozenset(bids[:depth] + asks[:depth])

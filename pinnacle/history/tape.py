"""A tape through the feed of its venue, as if the connection were there: the live parser reads what was recorded.

So a recording proves the live path, and becomes history by the same code.  HTTP answers on the tape answer what the
feed asks for; an answer that the recorder had before our feed asks for it is given when it does.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from pinnacle.errors import HistoryError, VenueError
from pinnacle.history.report import EXAMPLES_MAX
from pinnacle.history.tape_items import (
    ANSWERED,
    OPENED,
    RECEIVED,
    SENT,
    Item,
    answers_beside,
    items_of,
)
from pinnacle.instrument import Instrument
from pinnacle.limits import MESSAGE_BYTES_MAX
from pinnacle.venues.feed import Feed, Followed, Malformed, Rows
from pinnacle.venues.venues import Venue, recorded_feeds, venue

# Messages of a recording without an address that are looked at for the names of its streams.
_LOOKED_AT_MAX = 2000
# Words of an address that say a version or a door, not what is asked for.
_NO_WORD = re.compile(r"(v?\d+|api|fapi|public|market|stream|ws)$")
_SYMBOL_KEYS = {"product_ids", "product_id", "symbols", "symbol", "pair", "pairs"}
# Kraken's first websocket protocol and its REST listing against its second.
_RENAMED = {"xbt": "btc", "xdg": "doge"}
_DEPTH = re.compile(r'"depth":\s*(\d{1,5})\b')
_CHANNELS = ("diff_order_book_", "live_trades_", "live_orders_", "detail_order_book_", "order_book_")


@dataclass(slots=True)
class TapeCounts:
    """What became of a tape's items.

    bytes: of what was received.  answers: used of those that books were asked for; asked_in_vain: books asked for whose
    answer is not on the tape.  restarts: reasons for which the feed wanted a new connection, how often.
    """

    received: int = 0
    bytes: int = 0
    connections: int = 0
    answers_used: int = 0
    answers_unused: int = 0
    asked_in_vain: int = 0
    malformed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def example(self, text: str) -> None:
        """Keep the first few."""
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)


class Tape:
    """Files that one recorder wrote about one venue, read together.

    venue_name: whose feed is to read them.  Other .raw files of the same folder that hold nothing but answers are
    read as well.  asked: for each connection what it asked for, as text; symbols: as the recorder wrote them.
    Raises HistoryError for a file that is no tape.
    """

    def __init__(self, paths: Sequence[Path], venue_name: str) -> None:
        self.venue_name = venue_name
        self.venue: Venue = venue(venue_name)
        self.paths = [*paths, *answers_beside(paths)]
        self.asked: dict[int, list[str]] = {}
        self.listed: dict[str, Instrument] = {}
        self.answers = 0
        self._look()
        texts = [text for one in self.asked.values() for text in one]
        self.symbols = list(dict.fromkeys(symbol for text in texts for symbol in symbols_in(text)))

    def _look(self) -> None:
        """What was subscribed to, and the instruments that an answer lists."""
        looked = 0
        for item in items_of(self.paths):
            if item.what in (OPENED, SENT):
                self.asked.setdefault(item.connection, []).append(
                    item.body.decode("utf-8", "replace") if item.what == SENT else item.url
                )
            elif item.what == ANSWERED:
                self.answers += 1
                self._listing(item)
            elif self.asked.get(item.connection) == [""] or looked:
                looked += 1
                name = item.body[:64].partition(b'"stream":"')[2].partition(b'"')[0].decode("ascii", "replace")
                if name and name not in self.asked[item.connection]:
                    self.asked[item.connection].append(name)
                if looked >= _LOOKED_AT_MAX:
                    return

    def _listing(self, item: Item) -> None:
        if _is_book(item.body):
            return
        try:
            found = self.venue.instruments(item.body)
        except VenueError:
            return
        self.listed |= {_plain(one.symbol): one for one in found}

    def instruments(self, symbols: Sequence[str], tick: Instrument | None) -> list[Instrument]:
        """The instruments to follow: those named, else those subscribed to.

        tick: its tick and lot are taken for all of them; None: they are taken from a listing on the tape or beside it.
        Raises HistoryError naming what is missing.
        """
        wanted = list(symbols) or self.symbols
        if not wanted:
            raise HistoryError(f"{self.paths[0]}: nothing on it says a symbol; name one with --symbol")
        if tick is not None:
            return [_with_steps(tick, self.venue_name, symbol) for symbol in wanted]
        found = [self._known(symbol) for symbol in wanted]
        missing = [symbol for symbol, one in zip(wanted, found) if one is None]
        if missing:
            raise HistoryError(
                f"{self.paths[0]}: tick and lot of {', '.join(missing[:10])} are not known: no listing of instruments "
                "is on the tape or beside it; give --tick and --lot, with --symbol where they differ, or the file of "
                "the listing too"
            )
        return [one for one in found if one is not None]

    def _known(self, symbol: str) -> Instrument | None:
        """The listed instrument that the recorder calls so."""
        same = self.listed.get(_plain(symbol))
        if same is None and (renamed := self.listed.get(_renamed_since(symbol))) is not None:
            same = _with_steps(renamed, self.venue_name, symbol)
        return same

    def run(self, instruments: Sequence[Instrument], counts: TapeCounts) -> Iterator[np.ndarray]:
        """Records of the whole tape in order of arrival, `instrument` being the index in `instruments`.

        Each array holds until the next one is asked for; a message that says nothing gives none.
        """
        depths = [int(found) for texts in self.asked.values() for text in texts for found in _DEPTH.findall(text)]
        # A venue that cuts its books to the depth subscribed to does not say what falls out of it.
        depth = depths[0] if depths else 0
        followed = [Followed(one, 0, index, depth) for index, one in enumerate(instruments)]
        run = _Run(self, followed, counts)
        for item in items_of(self.paths):
            run.take(item)
            if run.rows.count:
                yield run.rows.take()
        run.finish()


class _Run:
    """One pass: a feed for each connection, answers that wait for a question, and questions that wait for an answer."""

    def __init__(self, tape: Tape, followed: Sequence[Followed], counts: TapeCounts) -> None:
        self.tape, self.followed, self.counts = tape, followed, counts
        self.rows = Rows()
        self.feeds: dict[int, Feed] = {}
        self.open: set[int] = set()
        self._ready: dict[frozenset[str], bytes] = {}
        self._asked: dict[frozenset[str], list[tuple[Feed, str]]] = {}

    def take(self, item: Item) -> None:
        """One item, and what the feed wants because of it."""
        if item.what == OPENED:
            self._opened(item)
        elif item.what == RECEIVED and item.connection in self.feeds:
            self.counts.received += 1
            self.counts.bytes += len(item.body)
            feed = self.feeds[item.connection]
            self._heard(feed, item.ts_ns, partial(feed.received, item.body, item.ts_ns, self.rows))
        elif item.what == ANSWERED:
            self._answered(item)

    def _opened(self, item: Item) -> None:
        self.counts.connections += 1
        if item.connection not in self.feeds:
            self.feeds[item.connection] = self._feed(item.connection)
        feed = self.feeds[item.connection]
        if item.connection in self.open:
            feed.closed(item.ts_ns, self.rows)
        self.open.add(item.connection)
        feed.opened(item.ts_ns, self.rows)
        self._settle(feed, item.ts_ns)

    def _feed(self, connection: int) -> Feed:
        """The venue's feed for all that a recorded connection carries."""
        asked = "\n".join(self.tape.asked.get(connection, []))
        feeds = recorded_feeds(self.tape.venue_name, self.followed, asked)
        if len(feeds) != 1:
            raise HistoryError(
                f"{self.tape.venue_name}: {len(self.followed)} instruments are more than one connection of this venue "
                "carries; name fewer with --symbol"
            )
        return feeds[0]

    def _heard(self, feed: Feed, ts_ns: int, call: Callable[[], None]) -> None:
        try:
            call()
        except Malformed as error:
            # Its owner would drop the connection; the recorder's went on, so it is opened again here.
            self.counts.malformed += 1
            self.counts.example(str(error))
            feed.closed(ts_ns, self.rows)
            feed.opened(ts_ns, self.rows)
        self._settle(feed, ts_ns)

    def _settle(self, feed: Feed, ts_ns: int) -> None:
        """What the feed wants: its questions meet the answers that are there already."""
        feed.sends.clear()
        if feed.restart:
            self.counts.restarts[feed.restart] += 1
            feed.restart = ""
        while feed.fetches:
            fetch = feed.fetches.pop(0)
            key = _words(fetch.path)
            body = self._ready.pop(key, None)
            if body is None:
                body = self._ready.pop(frozenset(), None)
            if body is None:
                self._asked.setdefault(key, []).append((feed, fetch.tag))
                continue
            self.counts.answers_used += 1
            self._heard(feed, ts_ns, partial(feed.answered, fetch.tag, 200, body, ts_ns, self.rows))

    def _answered(self, item: Item) -> None:
        key = _words(item.url)
        waiting = self._asked.pop(key, None)
        if waiting is None and not key and self._asked:
            waiting = self._asked.pop(next(iter(self._asked)))
        if waiting is None:
            if _is_book(item.body):
                self._ready[key] = item.body
            return
        for feed, tag in waiting:
            self.counts.answers_used += 1
            self._heard(feed, item.ts_ns, partial(feed.answered, tag, 200, item.body, item.ts_ns, self.rows))

    def finish(self) -> None:
        """The tape is over: what the feeds counted."""
        self.counts.answers_unused = len(self._ready)
        self.counts.asked_in_vain = sum(len(waiting) for waiting in self._asked.values())
        for feed in self.feeds.values():
            self.counts.kinds.update(feed.counts)
            off_grid = getattr(feed, "off_grid", None)
            if off_grid is not None:
                self.counts.kinds.update(off_grid())


def symbols_in(text: str) -> list[str]:
    """Symbols that an address or a subscription names, in their order."""
    found: list[str] = []

    def walk(value: Any, key: str, depth: int) -> None:
        if depth > 8:
            return
        if isinstance(value, dict):
            for name, each in value.items():
                walk(each, name, depth + 1)
        elif isinstance(value, list):
            for each in value:
                walk(each, key, depth + 1)
        elif isinstance(value, str):
            if key in _SYMBOL_KEYS:
                found.append(value)
            elif "@" in value:
                found.append(value.partition("@")[0].upper())
            else:
                found.extend(value.removeprefix(one) for one in _CHANNELS if value.startswith(one))

    try:
        walk(json.loads(text), "", 0)
    except (ValueError, RecursionError):
        try:
            asked = dict(parse_qsl(urlsplit(text).query))
        except ValueError:
            asked = {}  # no address at all
        streams = asked.get("streams", text if "/" not in text else "")
        found = [one.partition("@")[0].upper() for one in streams.split("/") if "@" in one]
    return [one for one in dict.fromkeys(found) if one]


def _words(url: str) -> frozenset[str]:
    """What an address asks for, whatever the host, version and limit: its words."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    return frozenset(word.lower() for word in words if word and not _NO_WORD.match(word.lower()))


def _is_book(body: bytes) -> bool:
    """Whether an answer is a snapshot of a book rather than a listing."""
    head = body[:MESSAGE_BYTES_MAX]
    return b'"bids"' in head and b'"asks"' in head


def _plain(symbol: str) -> str:
    """A symbol without what differs from one of a venue's spellings to the next."""
    return re.sub(r"[^a-z0-9]", "", symbol.lower())


def _renamed_since(symbol: str) -> str:
    """The plain symbol as a listing has it whose venue wrote some currencies otherwise when the tape was made."""
    plain = _plain(symbol)
    for old, new in _RENAMED.items():
        plain = plain.replace(old, new)
    return plain


def _with_steps(steps: Instrument, venue_name: str, symbol: str) -> Instrument:
    """The same steps for another symbol."""
    return Instrument(
        venue_name, symbol, steps.tick, steps.lot, steps.contract, steps.qty_min, steps.notional_min, steps.base,
        steps.quote,
    )  # fmt: skip

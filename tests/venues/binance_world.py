"""A Binance of a few prices that keeps a true book, sends diffs of it and answers with snapshots; and who hears it."""

from __future__ import annotations

import json
import random
from decimal import Decimal

from pinnacle.event import BID, BOOK_CLEAR, BOOK_LEVEL, LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Followed, Rows

INSTRUMENT = Instrument("binance", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
FOLLOWED = Followed(INSTRUMENT, 1, 2)


class World:
    """The venue's side of one symbol.  futures: chained by pu, ids with holes."""

    def __init__(self, seed: int, futures: bool) -> None:
        self.chance, self.futures = random.Random(seed), futures
        self.levels: dict[tuple[int, int], int] = {(BID, 990): 5, (-BID, 1010): 5}
        self.id = 100
        self.history = {self.id: dict(self.levels)}

    def diff(self) -> bytes:
        """Some levels change; the message that says so."""
        first, before = self.id + 1 + (self.chance.randrange(3) if self.futures else 0), self.id
        changed: dict[tuple[int, int], int] = {}
        for _ in range(self.chance.randrange(4)):
            side = self.chance.choice((BID, -BID))
            price = self.chance.randrange(985, 1000) if side == BID else self.chance.randrange(1000, 1015)
            changed[side, price] = self.chance.choice((0, 0, 1, 2, 30))
        self.id = first + self.chance.randrange(3)
        self.levels |= changed
        self.levels = {key: lots for key, lots in self.levels.items() if lots}
        self.history[self.id] = dict(self.levels)
        data = {"e": "depthUpdate", "E": self.id, "s": "BTCUSDT", "U": first, "u": self.id}
        data |= {"pu": before} if self.futures else {}
        for key, side in (("b", BID), ("a", -BID)):
            data[key] = [_level(price, lots) for (own, price), lots in changed.items() if own == side]
        return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}, separators=(",", ":")).encode()

    def snapshot(self) -> bytes:
        """The whole book as it is now."""
        book = {"lastUpdateId": self.id}
        for key, side in (("bids", BID), ("asks", -BID)):
            book[key] = [_level(price, lots) for (own, price), lots in sorted(self.levels.items()) if own == side]
        return json.dumps(book).encode()


def _level(price: int, lots: int) -> list[str]:
    return [INSTRUMENT.price_text(price), INSTRUMENT.qty_text(lots)]


class Hearer:
    """The book that follows from a feed's records, and whether it is live: dicts and nothing else."""

    def __init__(self) -> None:
        self.levels: dict[tuple[int, int], int] = {}
        self.live, self.update_id = False, 0
        self.said: list[tuple[int, int]] = []  # (LINK_* kind, cause)

    def hear(self, rows: Rows) -> None:
        """Take the records; what is said of a book that is not live must be the whole of it."""
        for row in rows.take():
            kind = int(row["kind"])
            if kind == BOOK_CLEAR:
                self.levels = {}
                self.live = False
            elif kind == BOOK_LEVEL:
                key = int(row["side"]), int(row["price_ticks"])
                self.levels[key] = int(row["qty_lots"])
                self.levels = {one: lots for one, lots in self.levels.items() if lots}
                assert self.live or row["flags"] & 2, "a level of a book that is not live"
                self.update_id = int(row["aux"])
            elif kind in (LINK_UP, LINK_DOWN, LINK_GAP, LINK_STALE):
                assert row["flags"] & 1
                self.live = kind == LINK_UP
                self.said.append((kind, int(row["aux"])))

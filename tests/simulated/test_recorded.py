"""A recorded market as background: with nobody else there, the exchange's book is the recorded one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle.event import ASK, BID, BOOK_CLEAR, BOOK_LEVEL, LAST, SELL, TRADE, empty
from pinnacle.history.catalog import list_catalog
from pinnacle.history.history import segment_instrument
from pinnacle.kernels.book import W
from pinnacle.log.segment import read_segment
from pinnacle.run.market import GeneratedMarket
from tests.simulated.scene import INSTRUMENT, NS, START_NS
from tests.simulated.test_facts import CONFIG

DAY = next(day.path for day in list_catalog(CONFIG.parent.parent / "data" / "catalog") if day.venue == "binance-usdm")


def played(rows: np.ndarray, cuts: int = 1) -> GeneratedMarket:
    """A market of these rows, handed over in so many parts."""
    return GeneratedMarket(
        INSTRUMENT, iter(np.array_split(rows, cuts)), seed=0, start_ns=START_NS, price_ticks=1_000, participants=3
    )


def levels(made: GeneratedMarket) -> dict[tuple[int, int], int]:
    """The exchange's book: lots by side and price."""
    book = made.exchange.exchange[0]["l3"]["book"]
    return {
        (1 - 2 * s, int(book["base_ticks"]) + (int(x) if s == 0 else W - 1 - int(x))): int(book["lots"][s, x])
        for s in range(2)
        for x in np.flatnonzero(book["lots"][s])
    }


def history(*listed: tuple[int, int, int, int]) -> np.ndarray:
    """EVENT[n] of (kind, side, price_ticks, qty_lots), a millisecond apart."""
    rows = empty(len(listed))
    for field, column in zip(("kind", "side", "price_ticks", "qty_lots"), zip(*listed)):
        rows[field] = column
    rows["ts_ns"] = START_NS + np.arange(rows.size) * 1_000_000
    rows["ts_venue_ns"], rows["flags"] = rows["ts_ns"], LAST
    return rows


def recorded_book(path: Path, until_ns: int) -> dict[tuple[int, int], int]:
    """What a plain reader of the levels makes of a day file."""
    book: dict[tuple[int, int], int] = {}
    for row in _rows(path, until_ns):
        side, price, lots = int(row["side"]), int(row["price_ticks"]), int(row["qty_lots"])
        if row["kind"] == BOOK_CLEAR:
            gone = [key for key in book if side in (0, key[0]) and (price == 0 or (key[1] - price) * key[0] >= 0)]
            for key in gone:
                del book[key]
        elif lots:
            book[side, price] = lots
        else:
            book.pop((side, price), None)
    return book


def _rows(path: Path, until_ns: int) -> Iterator[np.void]:
    for batch in read_segment(path):
        kept = batch[(batch["ts_ns"] <= until_ns) & np.isin(batch["kind"], (BOOK_LEVEL, BOOK_CLEAR))]
        yield from kept
        if batch["ts_ns"][-1] > until_ns:
            return


def test_the_recorded_book_is_rebuilt_from_orders() -> None:
    """Half a minute on, the levels near the best are the recorded ones, but for what trades ran ahead of."""
    first_ns = int(next(iter(read_segment(DAY)))["ts_ns"][0])
    made = GeneratedMarket(
        segment_instrument(DAY), read_segment(DAY), seed=0, start_ns=first_ns, price_ticks=618_000
    )  # fmt: skip
    made.skip(first_ns + 30 * NS)
    truth, found = recorded_book(DAY, first_ns + 30 * NS), levels(made)
    best = max(price for side, price in truth if side == BID)
    near = [key for key in truth if abs(key[1] - best) < 500]
    assert len(near) > 200
    assert sum(found.get(key) == truth[key] for key in near) >= 0.99 * len(near)
    assert made.exchange.exchange[0]["trades"] > 100


def test_levels_trades_and_clears_become_orders() -> None:
    """A level is one order of its lots, a trade takes from the queue at its price, a clear removes what it covers."""
    rows = history(
        (BOOK_LEVEL, BID, 1_000, 10), (BOOK_LEVEL, BID, 999, 20), (BOOK_LEVEL, ASK, 1_001, 30),
        (BOOK_LEVEL, ASK, 1_002, 5), (BOOK_LEVEL, BID, 1_000, 7), (TRADE, SELL, 1_000, 3), (BOOK_LEVEL, BID, 999, 0),
        (BOOK_CLEAR, ASK, 1_001, 0), (BOOK_LEVEL, BID, 998, 1),
    )  # fmt: skip
    made = played(rows, 3)
    made.skip(START_NS + NS)
    assert levels(made) == {(BID, 1_000): 4, (BID, 998): 1, (ASK, 1_002): 5}
    assert made.exchange.exchange[0]["trades"] == 1


def test_a_level_that_comes_through_the_other_side_replaces_it() -> None:
    """The background never trades with itself where the record only moved: the newer level wins."""
    rows = history((BOOK_LEVEL, BID, 1_000, 10), (BOOK_LEVEL, ASK, 1_001, 30), (BOOK_LEVEL, BID, 1_001, 8))
    made = played(rows)
    made.skip(START_NS + NS)
    assert levels(made) == {(BID, 1_000): 10, (BID, 1_001): 8}
    assert made.exchange.exchange[0]["trades"] == 0


def test_cuts_of_the_history_change_nothing() -> None:
    """Handed over whole or in parts, the same market to the byte."""
    batch = next(iter(read_segment(DAY)))[:20_000].copy()
    until_ns = START_NS + int(batch["ts_ns"][-1] - batch["ts_ns"][0])

    def said(cuts: int) -> bytes:
        made = GeneratedMarket(
            segment_instrument(DAY), iter(np.array_split(batch, cuts)), seed=0, start_ns=START_NS, price_ticks=618_000
        )
        return bytes(made.advance(until_ns)[0].tobytes())

    assert said(1) == said(137) and len(said(1)) > 64 * 1_000

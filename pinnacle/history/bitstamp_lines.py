"""Lines of Bitstamp's order stream (`<local_ms> <event> <json>`) with their numbers as ticks and lots.

What a line says is read here, what follows from the lines before it in `bitstamp.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.blocks import DamagedFile, LineBlocks
from pinnacle.history.exact import whole_steps
from pinnacle.history.options import ImportOptions
from pinnacle.history.report import ImportReport
from pinnacle.instrument import Instrument
from pinnacle.limits import INT64_MAX

_CREATED, _CHANGED, _DELETED, _TRADE, _BOOK = (
    b"order_created",
    b"order_changed",
    b"order_deleted",
    b"trade",
    b"order_book",
)
_KINDS = {_CREATED: event.ORDER_ADD, _CHANGED: event.ORDER_MODIFY, _DELETED: event.ORDER_DELETE}
_SIDES = (event.BID, event.ASK)


class _Order(msgspec.Struct):
    id: int
    order_type: int
    price: str
    amount: str


class _Trade(msgspec.Struct):
    """Binary floats on the wire; the shortest text of each is what was traded."""

    id: int
    price: float
    amount: float


class Book(msgspec.Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_ORDER, _TRADED, _LEVELS = msgspec.json.Decoder(_Order), msgspec.json.Decoder(_Trade), msgspec.json.Decoder(Book)


class Line(NamedTuple):
    """One event.  kind: of event.py; TICKER for one side of the venue's own book: its best, id the book's number."""

    number: int
    ts_ns: int
    kind: int
    id: int
    side: int
    ticks: int
    lots: int


class Lines:
    """One pass over a file.  Iterating gives blocks of lines; `books` are the venue's own books of the last block.

    with_books: read them at all, which is most of the work.
    """

    def __init__(
        self, path: Path, instrument: Instrument, options: ImportOptions, report: ImportReport, with_books: bool = True
    ) -> None:
        self.blocks = LineBlocks(path)
        self.path, self.instrument, self.options, self.report = path, instrument, options, report
        self.with_books = with_books
        self.books: dict[int, tuple[int, Book]] = {}  # by number of the book: the line, the book
        self.book_count = 0
        self.number = 0
        self.damage = ""

    def __iter__(self) -> Iterator[list[Line]]:
        try:
            for block in self.blocks:
                yield self._block(block)
        except DamagedFile as damage:
            self.damage = f"{damage.what}; {self.number:,} lines before it are intact"
            if not self.options.partial:
                raise HistoryError(f"{self.path}: {self.damage}; import them alone with --partial") from None

    def _block(self, block: bytes) -> list[Line]:
        found: list[tuple[int, int, int, int, int]] = []
        prices: list[str] = []
        amounts: list[str] = []
        self.books.clear()
        for line in block.split(b"\n"):
            self.number += 1
            if not line.strip():
                continue
            try:
                at, word, body = line.split(b" ", 2)
                ts_ns = int(at) * 1_000_000
                if not 0 < ts_ns < INT64_MAX:
                    raise ValueError("its time is not in ms")
                if word == _BOOK:
                    if self.with_books:
                        self.book_count += 1
                        book = _LEVELS.decode(body)
                        self.books[self.book_count] = (self.number, book)
                        for side, levels in ((event.BID, book.bids[:1]), (event.ASK, book.asks[:1])):
                            for price, amount in levels:
                                found.append((self.number, ts_ns, event.TICKER, self.book_count, side))
                                prices.append(price)
                                amounts.append(amount)
                    continue
                if word == _TRADE:
                    trade = _TRADED.decode(body)
                    found.append((self.number, ts_ns, event.TRADE, trade.id, 0))
                    price, amount = _text(trade.price), _text(trade.amount)
                else:
                    order = _ORDER.decode(body)
                    if not 0 < order.id <= INT64_MAX or order.order_type not in (0, 1):
                        raise ValueError("its id or order_type is none of Bitstamp's")
                    found.append((self.number, ts_ns, _KINDS[word], order.id, _SIDES[order.order_type]))
                    price, amount = order.price, order.amount
            except (ValueError, KeyError, msgspec.MsgspecError) as error:
                near = line[:60].decode("ascii", "replace")
                why = f"; {error}" if isinstance(error, msgspec.MsgspecError) else ""
                raise HistoryError(
                    f"{self.path}: line {self.number:,} is not `<local_ms> <event> <json>` as Bitstamp's order stream "
                    f"is recorded (it begins with {near!r}{why}); the {self.number - 1:,} lines before it are intact"
                ) from None
            prices.append(price)
            amounts.append(amount)
        # A block ends with a newline, behind which the split sees one line more.
        self.number -= 1
        ticks, kept = self.steps(prices, "price", [one[0] for one in found])
        lots, _ = self.steps(amounts, "quantity", [one[0] for one in found])
        return [
            Line(*one, price, qty) for one, price, qty, keep in zip(found, ticks.tolist(), lots.tolist(), kept) if keep
        ]

    def steps(self, texts: list[str], noun: str, lines: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """(whole ticks or lots, whether to keep it) of decimal texts; lines: the line of each."""
        return whole_steps(self.path, self.instrument, texts, noun, lines, self.options, self.report)

    def levels(self, line: int, levels: list[tuple[str, str]]) -> list[tuple[int, int]]:
        """(ticks, lots) of the levels of a book of this line."""
        ticks, _ = self.steps([price for price, _ in levels], "price", [line] * len(levels))
        lots, _ = self.steps([amount for _, amount in levels], "quantity", [line] * len(levels))
        return list(zip(ticks.tolist(), lots.tolist()))


def _text(number: float) -> str:
    """The shortest decimal text that reads back as the same float, without an exponent."""
    return np.format_float_positional(number, trim="-")

"""Bitstamp order by order (`<local_ms> <event> <json>` lines) as rows in order of arrival.

The stream has no snapshot and no sequence, and a creation may arrive after its deletion.  By default (bridge
"snapshot") what the file proves of its own start is put there: an order that is deleted with so much still open was
resting with that much since it was created, so if that was before the recording it stands in front of the first row;
creations that come after their deletion, and deletions of orders that are not known, are left out and counted.
"as-received" gives every line as it stands.

A trade is told after the two changes that it made, so a TRADE row never changes the book.  It names neither side;
the two orders that lost exactly its quantity just before are its sides, and the older of them is the one that rested.
The whole seconds of `datetime` are when an order was created, whatever happened to it now, so rows have no venue time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle import event
from pinnacle.history.bitstamp_lines import Line, Lines
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.history.venue_book import VenueBook, refuse_other_venue
from pinnacle.instrument import Instrument

# Reductions that a trade may still explain: the two it made come right before it, at most some lines earlier.
_RECENT_REDUCTIONS = 8
# Deleted ids that are remembered, so that a creation that comes late is known to be late.
_DELETED_IDS_MAX = 1 << 16


def read_bitstamp(
    path: Path, instrument: Instrument, options: ImportOptions, report: ImportReport, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Rows of one recording, seq not set yet.  ORDER_* rows carry the venue's order ids, TICKER rows the best of the
    venue's own books with the number of the book in aux.  Raises HistoryError for a file that is damaged or another's.
    """
    refuse_other_venue(path, instrument, "Bitstamp")
    report.offset_ns = options.offset_ns or 0
    stream = _Stream(report, options)
    if options.bridge == "snapshot":
        lines = Lines(path, instrument, options, ImportReport(), with_books=False)
        start = _resting_before(lines)
        if lines.blocks.bytes_total and progress is not None:
            progress(lines.blocks.bytes_total, 2 * lines.blocks.bytes_total, 0)
        if start.size:
            stream.begin(start)
            start["ts_ns"] += report.offset_ns
            yield start
    lines = Lines(path, instrument, options, report)
    total = lines.blocks.bytes_total
    for block in lines:
        rows = stream.rows(block, lines)
        rows["ts_ns"] += report.offset_ns
        yield rows
        if progress is not None:
            progress(total + lines.blocks.bytes_done, 2 * total, report.rows)
    if lines.damage:
        report.note(f"{lines.damage} and were used")
    if progress is not None:
        progress(2 * total, 2 * total, report.rows)


def venue_books(path: Path, instrument: Instrument, options: ImportOptions) -> Iterator[VenueBook]:
    """The venue's own aggregated books in the file, numbered from 1 as their TICKER rows are."""
    lines = Lines(path, instrument, options, ImportReport())
    for _ in lines:
        for number, (line, book) in lines.books.items():
            bids, asks = lines.levels(line, book.bids), lines.levels(line, book.asks)
            yield VenueBook(number, bids, asks)


def _resting_before(lines: Lines) -> np.ndarray:
    """ORDER_ADD rows of the orders that the file proves to have rested when it began; one pass over the file.

    Ids rise with the time of creation, so only ids below the first created one can be older than the recording.
    """
    first_id = first_ts_ns = 0
    known: set[int] = set()
    resting: list[Line] = []
    for block in lines:
        for line in block:
            first_ts_ns = first_ts_ns or line.ts_ns
            if line.kind == event.ORDER_ADD:
                first_id = first_id or line.id
            elif line.kind not in (event.ORDER_MODIFY, event.ORDER_DELETE):
                continue
            if line.id in known or (first_id and line.id >= first_id):
                continue
            known.add(line.id)
            if line.kind == event.ORDER_DELETE and line.lots:
                resting.append(line)
    rows = event.empty(len(resting))
    resting.sort(key=lambda line: line.id)  # the older rests in front
    for name, field in (("order_id", "id"), ("side", "side"), ("price_ticks", "ticks"), ("qty_lots", "lots")):
        rows[name] = [getattr(line, field) for line in resting]
    rows["ts_ns"], rows["kind"], rows["flags"] = first_ts_ns, event.ORDER_ADD, event.SNAPSHOT
    rows["flags"][-1:] |= event.LAST
    return rows


class _Stream:
    """What must be remembered between lines to make rows of them."""

    def __init__(self, report: ImportReport, options: ImportOptions) -> None:
        self.report, self.options = report, options
        self.open: dict[int, int] = {}  # lots by id
        self.deleted: dict[int, None] = {}  # oldest first
        self.reduced: deque[tuple[int, int, int, int]] = deque(maxlen=_RECENT_REDUCTIONS)  # id, side, ticks, lots

    def begin(self, rows: np.ndarray) -> None:
        """Orders that rested before the first line."""
        self.open.update(zip(rows["order_id"].tolist(), rows["qty_lots"].tolist()))
        self.report.repaired["orders resting since before the recording began, put at its start"] += rows.size

    def rows(self, block: list[Line], lines: Lines) -> np.ndarray:
        """EVENT rows of a block."""
        out: list[tuple[int, int, int, int, int, int, int, int]] = []  # ts, id, ticks, lots, aux, kind, side, flags
        joined = self.options.bridge == "snapshot"
        found = self.report.found
        for line in block:
            if line.kind == event.TICKER:
                if self.options.tickers:
                    last = event.LAST if line.side == event.ASK or not lines.books[line.id][1].asks else 0
                    out.append((line.ts_ns, 0, line.ticks, line.lots, line.id, event.TICKER, line.side, last))
                continue
            if line.kind == event.TRADE:
                side, resting = self._sides(line)
                out.append((line.ts_ns, resting, line.ticks, line.lots, line.id, event.TRADE, side, event.LAST))
            else:
                kind = self._kind(line) if joined else line.kind
                self._remember(line)
                if kind:
                    out.append((line.ts_ns, line.id, line.ticks, line.lots, 0, kind, line.side, event.LAST))
            found[_NOUNS[line.kind]] += 1
        found["books of the venue's own"] += len(lines.books)
        made = event.empty(len(out))
        if out:
            columns = list(zip(*out))
            names = ("ts_ns", "order_id", "price_ticks", "qty_lots", "aux", "kind", "side", "flags")
            for name, column in zip(names, columns):
                made[name] = column
        return made

    def _kind(self, line: Line) -> int:
        """The kind of the row that a line becomes when the start is joined; 0 for none."""
        if line.kind == event.ORDER_ADD:
            if line.id not in self.deleted:
                return line.kind
            self.report.skipped["creations that came after their deletion"] += 1
        elif line.id in self.open:
            return line.kind
        elif line.id in self.deleted:
            self.report.skipped["changes and deletions of orders that were deleted before"] += 1
        elif line.kind == event.ORDER_MODIFY:
            self.report.repaired["orders known since their first change only, added there"] += 1
            return event.ORDER_ADD
        else:
            self.report.skipped["deletions of orders that were never known"] += 1
        return 0

    def _remember(self, line: Line) -> None:
        before = self.open.get(line.id)
        if line.kind == event.ORDER_DELETE:
            self.open.pop(line.id, None)
            self.deleted[line.id] = None
            if len(self.deleted) > _DELETED_IDS_MAX:
                del self.deleted[next(iter(self.deleted))]
            if before is None and line.lots == 0:
                self.reduced.append((line.id, line.side, line.ticks, -1))  # filled: with how much is not known
        elif line.id not in self.deleted:
            self.open[line.id] = line.lots
        if before is not None and before > line.lots:
            self.reduced.append((line.id, line.side, line.ticks, before - line.lots))

    def _sides(self, trade: Line) -> tuple[int, int]:
        """(the aggressor's side, the resting order's id) of a trade, 0 for what is not known."""
        pair: dict[int, tuple[int, int, int, int]] = {}
        for one in self.reduced:
            if one[3] == trade.lots or (one[3] < 0 and one[2] == trade.ticks):
                pair[one[1]] = one
        if len(pair) < 2:
            self.report.found["trades of which one order is not known, so that they have no side"] += 1
            return 0, 0
        resting = min(pair.values())
        for one in pair.values():
            self.reduced.remove(one)
        return -resting[1], resting[0]


_NOUNS = {
    event.ORDER_ADD: "orders created", event.ORDER_MODIFY: "orders changed", event.ORDER_DELETE: "orders deleted",
    event.TRADE: "trades",
}  # fmt: skip

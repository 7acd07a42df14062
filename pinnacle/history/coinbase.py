"""Coinbase book snapshots of one product as rows: level 3 as orders, level 2 as price levels.

A level 2 snapshot given together with a level 3 one makes no rows: it is what the orders are held to, since their sum
at each price must be its levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.blocks import DamagedFile, LineBlocks
from pinnacle.history.exact import whole_steps
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.history.venue_book import VenueBook, refuse_other_venue
from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase_orders import order_id_of


class Snapshot(msgspec.Struct):
    """One file.  Rows are [price, size, number of orders] at level 2, [price, size, order id] at level 3."""

    product: str
    level: int
    captured_at: str
    sequence: int
    bids: list[tuple[str, str, int | str]]
    asks: list[tuple[str, str, int | str]]

    @property
    def ts_ns(self) -> int:
        """When it was captured, by the recorder's clock, in whole seconds."""
        return int(datetime.fromisoformat(self.captured_at).timestamp()) * 1_000_000_000

    def sides(self) -> Iterator[tuple[int, list[tuple[str, str, int | str]]]]:
        """(side, rows) of bids and asks."""
        yield event.BID, self.bids
        yield event.ASK, self.asks


def read_coinbase(
    paths: list[Path], instrument: Instrument, options: ImportOptions, report: ImportReport, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Rows of one snapshot: BOOK_CLEAR, then ORDER_ADD in queue order or BOOK_LEVEL, LAST on the last.

    aux is the snapshot's sequence.  Raises HistoryError for a file that is damaged, of another product, or whose order
    ids fall together in 63 bits.
    """
    snapshots = _chosen(paths, instrument)
    path, snapshot = snapshots[0]
    parts = []
    for side, levels in snapshot.sides():
        rows = event.empty(len(levels))
        rows["kind"] = event.ORDER_ADD if snapshot.level == 3 else event.BOOK_LEVEL
        rows["side"] = side
        rows["price_ticks"], rows["qty_lots"], on_tick = _numbers(path, instrument, levels, options, report)
        if snapshot.level == 3:
            rows["order_id"] = [order_id_of(str(level[2])) for level in levels]
        parts.append(rows[on_tick])
    clear = event.empty(1)
    clear["kind"] = event.BOOK_CLEAR
    rows = np.concatenate((clear, *parts))
    if snapshot.level == 3:
        _refuse_collisions(path, snapshot)
        report.found["orders"] += rows.size - 1
    else:
        report.found["levels"] += rows.size - 1
    report.found["snapshots"] += 1
    report.offset_ns = options.offset_ns or 0
    rows["ts_ns"] = snapshot.ts_ns + report.offset_ns
    rows["aux"], rows["flags"] = snapshot.sequence, event.SNAPSHOT
    rows["flags"][-1] |= event.LAST
    for other, _ in snapshots[1:]:
        report.note(f"{other.name}: a level 2 snapshot, compared by `data check` and not imported")
    if progress is not None:
        size = sum(one.stat().st_size for one in paths)
        progress(size, size, rows.size)
    yield rows


def venue_books(paths: list[Path], instrument: Instrument, options: ImportOptions) -> Iterator[VenueBook]:
    """The level 2 snapshot given beside a level 3 one, if there is one."""
    snapshots = _chosen(paths, instrument)
    for path, snapshot in snapshots[1:]:
        bids, asks = (
            list(zip(ticks.tolist(), lots.tolist()))
            for ticks, lots, _ in (
                _numbers(path, instrument, levels, options, ImportReport()) for _, levels in snapshot.sides()
            )
        )
        yield VenueBook(0, bids, asks, abs(snapshot.sequence - snapshots[0][1].sequence))


def _numbers(
    path: Path,
    instrument: Instrument,
    levels: list[tuple[str, str, int | str]],
    options: ImportOptions,
    report: ImportReport,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ticks, lots, whether to keep it) of the levels of a side; a snapshot is one line."""
    lines = [1] * len(levels)
    ticks, on_tick = whole_steps(path, instrument, [level[0] for level in levels], "price", lines, options, report)
    lots, _ = whole_steps(path, instrument, [level[1] for level in levels], "quantity", lines, options, report)
    return ticks, lots, on_tick


def _chosen(paths: list[Path], instrument: Instrument) -> list[tuple[Path, Snapshot]]:
    """The snapshot that makes the rows, then what it is compared with.  Raises HistoryError for other combinations."""
    read = sorted(((path, _read(path, instrument)) for path in paths), key=lambda pair: -pair[1].level)
    levels = [snapshot.level for _, snapshot in read]
    if levels not in ([3], [2], [3, 2]):
        raise HistoryError(
            f"{', '.join(path.name for path in paths)}: Coinbase snapshots of level {' and '.join(map(str, levels))}; "
            "give one, or one of level 3 with one of level 2 to compare it with"
        )
    return read


def _read(path: Path, instrument: Instrument) -> Snapshot:
    refuse_other_venue(path, instrument, "Coinbase")
    try:
        text = b"".join(LineBlocks(path))
    except DamagedFile as damage:
        raise HistoryError(f"{path}: {damage.what}; a snapshot is of use only whole, fetch it again") from None
    try:
        snapshot = msgspec.json.decode(text, type=Snapshot)
        if not snapshot.ts_ns:
            raise ValueError("captured_at is not a time")
    except (msgspec.MsgspecError, ValueError) as error:
        raise HistoryError(
            f"{path}: line 1 of {len(text):,} bytes is not a Coinbase book snapshot ({error}); fetch it again"
        ) from None
    if snapshot.product.upper() != instrument.symbol.upper():
        raise HistoryError(f"{path}: is of {snapshot.product}, not of {instrument.symbol}; give --symbol as it is")
    return snapshot


def _refuse_collisions(path: Path, snapshot: Snapshot) -> None:
    """Two text ids with one hash would be one order: never seen, and never silent."""
    texts: dict[int, str] = {}
    for _, levels in snapshot.sides():
        for _, _, text in levels:
            other = texts.setdefault(order_id_of(str(text)), str(text))
            if other != text:
                raise HistoryError(
                    f"{path}: order ids {other} and {text} have one hash of 63 bits; leave one of them out"
                )

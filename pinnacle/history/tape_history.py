"""One instrument's rows of a tape, as history: what its feed said, on a clock that hears nothing before it happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pinnacle.event import BOOK_LEVEL, LINK_GAP, LINK_UP, SNAPSHOT, TICKER, TRADE
from pinnacle.history.binance import KEEP_BYTES_MAX, clock_offset_ns
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.history.tape import Tape, TapeCounts
from pinnacle.instrument import Instrument
from pinnacle.limits import ROW_GROUP_ROWS


def read_tape(
    paths: Sequence[Path],
    instrument: Instrument,
    options: ImportOptions,
    report: ImportReport,
    progress: Progress | None,
) -> Iterator[np.ndarray]:
    """Rows of one instrument, seq not set yet.  Raises HistoryError for what is no tape, OperatorError for its venue.

    The tape is run once for the smallest latency; its rows are kept while they fit into memory, else it is run again.
    """
    tape = Tape(paths, instrument.venue)
    total = sum(path.stat().st_size for path in tape.paths)
    latency_ns_min: int | None = None
    kept: list[np.ndarray] | None = []
    kept_bytes = 0
    counts = TapeCounts()
    for rows in gathered(tape.run([instrument], counts)):
        latency_ns_min = _least(rows, latency_ns_min)
        kept_bytes += rows.nbytes
        if kept is not None:
            kept.append(rows)
            kept = kept if kept_bytes <= KEEP_BYTES_MAX else None
    _tell(counts, report)
    report.latency_ns_min = latency_ns_min
    report.offset_ns = clock_offset_ns(latency_ns_min, options)
    if options.bridge == "as-received":
        report.note("a tape's books are always joined to their snapshots; as-received was not used")
    for rows in kept if kept is not None else gathered(tape.run([instrument], TapeCounts())):
        report.found["whole books"] += int((rows["kind"] == LINK_UP).sum())
        report.gaps["gaps or checksums that failed"] += int((rows["kind"] == LINK_GAP).sum())
        report.found["trades"] += int((rows["kind"] == TRADE).sum())
        if not options.tickers:
            rows = rows[rows["kind"] != TICKER]
        rows["ts_ns"] += report.offset_ns
        yield rows
    if progress is not None:
        progress(total, total, report.rows)


def gathered(batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The rows of many messages in one array."""
    waiting: list[np.ndarray] = []
    count = 0
    for rows in batches:
        waiting.append(rows.copy())
        count += rows.size
        if count >= ROW_GROUP_ROWS:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _least(rows: np.ndarray, known: int | None) -> int | None:
    """The smallest latency of diffs and trades; snapshots and tickers are often older than they are new."""
    kinds = rows["kind"]
    told = (rows["ts_venue_ns"] > 0) & ((kinds == TRADE) | ((kinds == BOOK_LEVEL) & (rows["flags"] & SNAPSHOT == 0)))
    if not told.any():
        return known
    least = int((rows["ts_ns"] - rows["ts_venue_ns"])[told].min())
    return least if known is None else min(known, least)


def _tell(counts: TapeCounts, report: ImportReport) -> None:
    report.found["messages received"] += counts.received
    report.found["messages that are none"] += counts.malformed
    for why, count in counts.restarts.items():
        report.note(f"the feed asked for a new connection {count} times: {why}")
    if counts.asked_in_vain:
        report.note(f"{counts.asked_in_vain} whole books that the feed asked for are not on the tape")
    for example in counts.examples:
        report.example(example)

"""Reads a history once and says what is wrong with it.  It reports and never repairs.

What an import repaired or left out is in the import's own report, which is repeated here, so that one page tells
whether a recording can be traded on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle import event
from pinnacle.history.history import History, open_history
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.order_check import ORDER_KINDS, OrderCheck
from pinnacle.history.source import venue_books
from pinnacle.history.venue_book import VenueBook
from pinnacle.instrument import Instrument
from pinnacle.kernels import inspect as kernel
from pinnacle.kernels.state import BOOK, reset_book

# Silences listed, the longest first, and from how long one counts as a silence.
SILENCES_MAX = 5
SILENCE_S = 10.0


@dataclass(slots=True)
class HistoryReport:
    """What one pass over a history found.

    kinds: rows by kind.  problems: what is wrong, as (what, how many), worst first; empty means that nothing is.
    facts: numbers that are neither right nor wrong.  orders: what the book of single orders proves, and verdict the
    sentence that sums it up; empty where there are none.  silences: (start ns, length ns), longest first.
    imports: the reports of the imports that made it.
    """

    name: str
    rows: int = 0
    messages: int = 0
    first_ts_ns: int = 0
    last_ts_ns: int = 0
    venue_floor_ns: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)
    facts: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    verdict: str = ""
    latency_ns: dict[str, int] = field(default_factory=dict)
    silences: list[tuple[int, int]] = field(default_factory=list)
    imports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not any(self.problems.values())

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        out = {name: getattr(self, name) for name in HistoryReport.__dataclass_fields__}
        out["silences"] = [{"start_ns": start, "length_ns": length} for start, length in self.silences]
        return {**out, "ok": self.ok}

    def lines(self) -> list[str]:
        """The report for a person."""
        span = (self.last_ts_ns - self.first_ts_ns) / 1e9
        out = [
            f"{self.name}: {self.rows:,} rows in {self.messages:,} messages, {span:,.1f} s "
            f"from {_utc(self.first_ts_ns)} to {_utc(self.last_ts_ns)}",
            "  rows: " + ", ".join(f"{count:,} {name}" for name, count in self.kinds.items() if count),
        ]
        if self.latency_ns:
            out.append("  latency: " + ", ".join(f"{name} {ns / 1e6:,.3f} ms" for name, ns in self.latency_ns.items()))
        out += [f"  {name}: {count:,}" for name, count in self.facts.items() if count]
        out += [f"  {name}: {count:,}" for name, count in self.orders.items()]
        out += [f"  silent for {length / 1e9:,.1f} s from {_utc(start)}" for start, length in self.silences]
        for one in self.imports:
            for part in ("repaired", "skipped", "gaps"):
                out += [f"  import {part}: {count:,} {name}" for name, count in one[part].items()]
            out += [f"  import: {text}" for text in one["notes"]]
        out += [f"  WRONG: {count:,} {name}" for name, count in self.problems.items() if count]
        if self.ok:
            out.append("  nothing wrong was found")
        return [*out, f"  {self.verdict}"] if self.verdict else out


def check_history(
    path: Path | str | Sequence[Path | str],
    instrument: Instrument | None = None,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
) -> HistoryReport:
    """Check a recording or a day file; for days of a catalog give `find(...)` as the path, each is read in turn.

    Raises HistoryError for what cannot be read at all.
    """
    history = open_history(path, instrument, options, progress)
    first = Path(path) if isinstance(path, str | Path) else Path(path[0])
    books = None
    if isinstance(history, History):
        books = venue_books(history.source, history.instrument, history.options)
    report = check_rows(history, first.name, books)
    metadata = history.metadata()
    report.imports = [one["report"] for one in json.loads(metadata.get("imports", "[]"))]
    return report


def check_rows(batches: Iterable[np.ndarray], name: str, books: Iterator[VenueBook] | None = None) -> HistoryReport:
    """Check EVENT arrays in order of arrival.  books: the venue's own, to hold a book of single orders to."""
    check = RowCheck(name, books)
    for rows in batches:
        check.rows(rows)
    return check.finish()


class RowCheck:
    """The check of one instrument's rows, array by array.  books: see check_rows."""

    def __init__(self, name: str, books: Iterator[VenueBook] | None = None) -> None:
        self.report = HistoryReport(name)
        self._books = books
        self._orders: OrderCheck | None = None
        self._book, self._state = np.zeros(1, BOOK), np.zeros(1, kernel.INSPECTION)
        reset_book(self._book[0])
        self._floor: int | None = None

    def rows(self, rows: np.ndarray) -> None:
        """EVENT[n], the next in order of arrival."""
        if not rows.size:
            return
        report = self.report
        if report.rows == 0:
            report.first_ts_ns = int(rows["ts_ns"][0])
        report.silences = _silences(report.silences, rows, report.last_ts_ns)
        venue = rows["ts_venue_ns"]
        least = int(np.where(venue != 0, venue, rows["ts_ns"]).min())
        self._floor = least if self._floor is None else min(self._floor, least)
        kernel.inspect(rows, self._book[0], self._state[0])
        if self._orders is None and np.isin(rows["kind"], ORDER_KINDS).any():
            self._orders = OrderCheck(self._books)
        if self._orders is not None:
            self._orders.rows(rows)
        report.rows += rows.size
        report.last_ts_ns = int(rows["ts_ns"][-1])

    def finish(self) -> HistoryReport:
        """The report; nothing may follow."""
        report = self.report
        kernel.settle(self._state[0], np.iinfo(np.int64).max)
        report.venue_floor_ns = self._floor or 0
        _fill(report, self._state[0], self._book[0])
        if self._orders is not None:
            self._orders.finish()
            report.problems |= self._orders.problems
            report.orders, report.verdict = self._orders.facts(), self._orders.verdict()
        return report


def _fill(report: HistoryReport, state: np.void, book: np.void) -> None:
    """The kernel's counts in words."""
    report.messages = int(state["messages"])
    report.kinds = {event.KIND_NAMES[k]: int(n) for k, n in enumerate(state["kinds"]) if n and k in event.KIND_NAMES}
    report.problems = {
        "rows of kinds that no market sends": int(state["other_kinds"]),
        "gaps in the venue's update ids": int(state["gaps"]),
        "messages after which the book is crossed": int(state["crossed"]),
        "local times that go back": int(state["ts_back"]),
        "trade ids repeated": int(state["trade_id_repeats"]),
        "depth update ids repeated": int(state["depth_id_repeats"]),
        "negative quantities": int(state["negative_qty"]),
        "prices that are not positive": int(state["not_positive_price"]),
        "trades of nothing": int(state["empty_trades"]),
        "negative latencies": int(state["latencies"] > 0 and state["latency_ns_min"] < 0),
        "levels outside the book's window that could not be kept": int(book["lost"]),
    }
    report.facts = {
        "trade ids compared with the one before": int(state["trade_id_links"]),
        "trade ids that are not the next one": int(state["trade_id_jumps"]),
        "messages with an earlier venue time than one before": int(state["venue_back"]),
        "most that venue time went back, ns": int(state["venue_back_ns_max"]),
        "book messages": int(state["book_messages"]),
        "book messages with a side empty": int(state["one_sided"]),
        "book tops without a ticker to compare with": int(state["not_compared"]),
        "book tops compared with the ticker": int(state["compared"]),
        "of these equal in price": int(state["agree_price"]),
        "of these equal in price and size": int(state["agree_size"]),
    }
    if state["crossed"]:
        report.facts["first crossed at, ns"] = int(state["crossed_first_ns"])
    if state["latencies"]:
        report.latency_ns = {
            "min": int(state["latency_ns_min"]),
            "median": _quantile(state, 0.5),
            "p99": _quantile(state, 0.99),
            "max": int(state["latency_ns_max"]),
        }


def _quantile(state: np.void, share: float) -> int:
    """The latency that `share` of the messages do not exceed, to the kernel's 3%."""
    counts = np.cumsum(state["latency_counts"])
    bucket = int(np.searchsorted(counts, share * counts[-1]))
    width = kernel.OCTAVE_BUCKETS
    if bucket < 2 * width:
        middle = bucket
    else:
        shift = bucket // width - 1
        middle = ((bucket - shift * width) << shift) + (1 << shift) // 2
    return min(max(middle, int(state["latency_ns_min"])), int(state["latency_ns_max"]))


def _silences(known: list[tuple[int, int]], rows: np.ndarray, last_ns: int) -> list[tuple[int, int]]:
    """The longest stretches without any row so far."""
    times = rows["ts_ns"] if last_ns == 0 else np.concatenate(([last_ns], rows["ts_ns"]))
    lengths = np.diff(times)
    long = np.flatnonzero(lengths > SILENCE_S * 1e9)
    long = long[np.argsort(lengths[long])[::-1][:SILENCES_MAX]]
    found = known + [(int(times[i]), int(lengths[i])) for i in long]
    return sorted(found, key=lambda silence: -silence[1])[:SILENCES_MAX]


def _utc(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")

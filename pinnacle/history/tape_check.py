"""What a tape proves: its messages, its books and how they were joined, held and lost, and its instruments one by one.

Everything is seen through the venue's live feed, so a clean report is a statement about that feed too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.event import LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP, TRADE
from pinnacle.history.check import HistoryReport, RowCheck
from pinnacle.history.options import Progress
from pinnacle.history.tape import Tape, TapeCounts
from pinnacle.history.tape_history import gathered
from pinnacle.instrument import Instrument
from pinnacle.kernels.state import BOOK, reset_book
from pinnacle.kernels.ticker_check import TICKERS, compare_tickers
from pinnacle.venues.feed import CAUSE_CLOSED, CAUSE_NAMES

_AT_TICKERS = ("compared", "agree_price", "agree_size")


@dataclass(slots=True)
class TapeReport:
    """One tape through one venue's feed.

    whole: books that came whole, by instrument, how often; lost: by cause (the end of a connection is none).
    rows: a report on each instrument's records; absent: symbols subscribed to of which the tape has nothing.
    at_tickers: where a ticker carries no update id of the book: the book at the moment of each.
    """

    name: str
    venue: str
    counts: TapeCounts
    answers: int = 0
    whole: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    trades: int = 0
    instruments: list[Instrument] = field(default_factory=list)
    rows: list[HistoryReport] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    at_tickers: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.lost and not self.counts.malformed and all(one.ok for one in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        counts = {name: getattr(self.counts, name) for name in TapeCounts.__dataclass_fields__}
        return {
            "name": self.name, "venue": self.venue, "ok": self.ok, **counts, "answers": self.answers,
            "whole": self.whole, "lost": self.lost, "trades": self.trades,
            "absent": self.absent, "at_tickers": self.at_tickers,
            "instruments": [one.as_dict() for one in self.rows],
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The report for a person."""
        counts = self.counts
        kinds = ", ".join(f"{count:,} {name}" for name, count in counts.kinds.items() if count)
        whole = sum(count > 0 for count in self.whole.values())
        out = [
            f"{self.name} through the feed of {self.venue}: {counts.received:,} messages on "
            f"{counts.connections} connections, {counts.answers_used} of {self.answers} answers used",
            f"  the feed counted: {kinds}",
            f"  books: {whole} of {len(self.rows)} came whole, {sum(self.whole.values())} times in all",
            f"  trades: {self.trades:,}",
        ]
        compared = sum(one.facts["book tops compared with the ticker"] for one in self.rows)
        if compared:
            equal = sum(one.facts["of these equal in price and size"] for one in self.rows)
            prices = sum(one.facts["of these equal in price"] for one in self.rows)
            out.append(f"  books against tickers: {compared:,} compared, {prices:,} equal in price, {equal:,} in size")
        if any(self.at_tickers.values()):
            at, prices, sizes = (self.at_tickers[name] for name in _AT_TICKERS)
            out.append(f"  books at a ticker's moment: {at:,} compared, {prices:,} equal in price, {sizes:,} in size")
        out += [f"  new connection wanted {count} times: {why}" for why, count in counts.restarts.items()]
        if self.absent:
            out.append(f"  subscribed to and not on the tape: {', '.join(self.absent)}")
        if counts.asked_in_vain:
            out.append(f"  whole books asked for that are not on the tape: {counts.asked_in_vain}")
        out += [f"  WRONG: {count:,} books lost: {cause}" for cause, count in self.lost.items()]
        if counts.malformed:
            out.append(f"  WRONG: {counts.malformed:,} messages that are none ({'; '.join(counts.examples)})")
        return [*out, *(line for one in self.rows for line in one.lines())]


def check_tape(
    paths: Sequence[Path],
    venue_name: str,
    symbols: Sequence[str] = (),
    steps: Instrument | None = None,
    progress: Progress | None = None,
) -> TapeReport:
    """Run a tape through its venue's feed and say what it proves.

    symbols, steps: see Tape.instruments.  Raises HistoryError, OperatorError.
    """
    tape = Tape(paths, venue_name)
    instruments = tape.instruments(symbols, steps)
    report = TapeReport(", ".join(path.name for path in tape.paths), venue_name, TapeCounts(), tape.answers)
    done = 0
    checks = [RowCheck(one.name) for one in instruments]
    tickers = [_Tickers() for _ in instruments]
    report.whole.update({one.name: 0 for one in instruments})
    total = sum(path.stat().st_size for path in tape.paths)
    for rows in gathered(tape.run(instruments, report.counts)):
        done += rows.size
        if progress is not None:
            progress(min(report.counts.bytes, total), total, done)
        _links(rows, instruments, report)
        for index, check in enumerate(checks):
            own = rows[rows["instrument"] == index]
            check.rows(own)
            compare_tickers(own, tickers[index].book, tickers[index].state)
    for one, check, ticker in zip(instruments, checks, tickers):
        if not check.report.rows:
            report.absent.append(one.symbol)
            continue
        report.instruments.append(one)
        found = check.finish()
        # Lost books are said by cause above, and a recorder's clock is moved only when its tape becomes history.
        found.problems["gaps in the venue's update ids"] = found.problems["negative latencies"] = 0
        report.rows.append(found)
        if not found.facts["book tops compared with the ticker"]:
            report.at_tickers += Counter({name: int(ticker.state[0][name]) for name in _AT_TICKERS})
    return report


class _Tickers:
    """The book and the counts of one instrument's comparison."""

    def __init__(self) -> None:
        self.book, self.state = np.zeros(1, BOOK), np.zeros(1, TICKERS)
        reset_book(self.book[0])


def _links(rows: np.ndarray, instruments: Sequence[Instrument], report: TapeReport) -> None:
    report.trades += int((rows["kind"] == TRADE).sum())
    for row in rows[np.isin(rows["kind"], (LINK_UP, LINK_DOWN, LINK_GAP, LINK_STALE))]:
        if row["kind"] == LINK_UP:
            report.whole[instruments[row["instrument"]].name] += 1
        elif row["aux"] != CAUSE_CLOSED:
            report.lost[CAUSE_NAMES.get(int(row["aux"]), f"cause {row['aux']}")] += 1

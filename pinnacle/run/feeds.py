"""The market of a run: sealed history of one or many instruments, merged by the time at which we heard it.

Read one row group at a time and handed on as woven rows, so a history of any length takes the memory of a few groups.
A history of single orders is heard as the levels that they make, and tells the venue who stands where in the queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnacle.errors import HistoryError
from pinnacle.event import EVENT, FUNDING, LAST
from pinnacle.kernels.order_rows import pack_orders
from pinnacle.kernels.weave import WOVEN, merge, pack, weave
from pinnacle.limits import REORDER_ROWS_MAX
from pinnacle.log.segment import read_segment, segment_info
from pinnacle.run.order_walk import OrderWalk, has_orders, holds_orders

NEVER = (1 << 63) - 1
_HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True)
class Source:
    """History of one instrument of a run.  paths: its day files in order.  funding_ppb, funding_every_ns: a fixed
    funding schedule of the run (0: none).  exact: of single orders, whether the venue is told who stands where; else it
    hears levels alone, as a queue model of levels wants them."""

    paths: Sequence[Path]
    instrument: int
    venue: int
    funding_ppb: int = 0
    funding_every_ns: int = 0
    exact: bool = True


class Feed:
    """Market events of all sources in one order.

    `events()` gives EVENT arrays as the engine hears them; `woven()` gives the same as the drive walks them.
    """

    def __init__(self, sources: Sequence[Source], progress: Callable[[int, int], None] | None = None) -> None:
        self.sources = list(sources)
        self.segments = [[segment_info(path) for path in source.paths] for source in self.sources]
        self.rows_total = sum(segment.rows for segments in self.segments for segment in segments)
        self.rows_read = 0
        # By source: the book of its orders, None for one of levels.
        self.walks = [OrderWalk() if holds_orders(source.paths) else None for source in self.sources]
        self._any_orders = any(self.walks)
        self._progress = progress
        self._batches = self._merged()
        self._woven: np.ndarray = np.zeros(0, WOVEN)
        self._late: np.ndarray = np.zeros(0, WOVEN)
        self._latest_ns = -NEVER
        self.first_ns = self._first_ns()

    def _first_ns(self) -> int:
        """Time of the first event on either clock: where the run's timers start.  Raises HistoryError without one.

        Each source must have rows: one that is silent for the whole run is a wrong file, not a quiet market.
        """
        first_ns = NEVER
        for source, segments in zip(self.sources, self.segments):
            begins = next((segment for segment in segments if segment.rows), None)
            if begins is None:
                raise HistoryError(f"{source.paths[0]}: holds no rows; import a recording that does")
            first_ns = min(first_ns, begins.first_ts_ns, begins.venue_floor_ns[0])
        return int(first_ns)

    def events(self) -> Iterator[np.ndarray]:
        """EVENT arrays of the whole run, ts_ns rising over all of them."""
        for events, _ in self._batches:
            yield events

    def woven(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Woven rows of the whole run, each batch with the events it was made of.

        Rows are held back while one that the venue dated earlier may still be on its way.
        """
        while (batch := self._next_woven()) is not None:
            yield batch

    def _next_woven(self) -> tuple[np.ndarray, np.ndarray] | None:
        batch = next(self._batches, None)
        if batch is None:
            if self._woven.size == 0 and self._late.size == 0:
                return None
            events, floor_ns = np.zeros(0, EVENT), NEVER
        else:
            events, floor_ns = batch
            self._pack(events)
        target = np.empty(self._woven.size + self._late.size, WOVEN)
        taken, taken_late, written = weave(self._woven, self._late, floor_ns, target)
        self._woven, self._late = self._woven[taken:].copy(), self._late[taken_late:].copy()
        if self._woven.size > REORDER_ROWS_MAX:
            raise HistoryError(
                f"{self.sources[0].paths[0]}: {self._woven.size} rows wait for one that the venue dated earlier; "
                "its venue times are broken, check it with `pinnacle data check`"
            )
        return target[:written], events

    def _pack(self, events: np.ndarray) -> None:
        size = 2 * events.size if self._any_orders else events.size
        woven: np.ndarray = np.empty(size, WOVEN)
        late: np.ndarray = np.empty(size, WOVEN)
        if self._any_orders:
            written, count, self._latest_ns, back = pack_orders(events, woven, late, self._latest_ns)
            woven = woven[:written]
        else:
            count, self._latest_ns, back = pack(events, woven, late, self._latest_ns)
        if back >= 0:
            raise HistoryError(
                f"{self.sources[0].paths[0]}: time goes back at row {self.rows_read - events.size + back}; "
                "import the recording again, which repairs that and says so"
            )
        self._woven = np.concatenate((self._woven, woven)) if self._woven.size else woven
        if count:
            joined = np.concatenate((self._late, late[:count]))
            self._late = joined[np.argsort(joined["ts_venue_ns"], kind="stable")]

    def _chunks(self, index: int) -> Iterator[tuple[np.ndarray, int]]:
        """One source's row groups, and the least venue time of what is still to come of it."""
        source, segments = self.sources[index], self.segments[index]
        floors = [floor for segment in segments for floor in segment.venue_floor_ns]
        after: np.ndarray = (
            np.append(np.minimum.accumulate(floors[::-1])[::-1], NEVER)[1:] if floors else np.zeros(0, np.int64)
        )
        group = 0
        for path in source.paths:
            # Checked as it is read: a changed byte would otherwise be a changed market, and nobody would know.
            for events in read_segment(path, verify=True):
                events["instrument"], events["venue"] = source.instrument, source.venue
                self.rows_read += events.size
                if self._progress is not None:
                    self._progress(self.rows_read, self.rows_total)
                yield _with_funding(self._heard(index, events, path), source), int(after[group])
                group += 1

    def _heard(self, index: int, events: np.ndarray, path: Path) -> np.ndarray:
        """A source's rows as the engine hears them: levels as they are, single orders as the levels that they make."""
        walk = self.walks[index]
        if walk is not None:
            events = walk.heard(events, path)
        elif has_orders(events):
            raise HistoryError(
                f"{path}: holds single orders, and the history of its instrument begins with levels; a run takes one "
                "or the other, import the days of one kind alone"
            )
        if self._any_orders and (walk is None or not self.sources[index].exact):
            # A number that is left over would be taken for a stamp.
            events["seq"] = 0
        return events

    def _merged(self) -> Iterator[tuple[np.ndarray, int]]:
        """Batches of all sources by ts_ns, the earlier source first at equal times, with the venue floor after each."""
        chunks = [self._chunks(k) for k in range(len(self.sources))]
        if len(chunks) == 1:
            yield from chunks[0]
            return
        held: list[np.ndarray] = [np.zeros(0, EVENT)] * len(chunks)
        floors = [-NEVER] * len(chunks)
        open_: list[bool] = [True] * len(chunks)
        while True:
            for k, chunk in enumerate(chunks):
                while open_[k] and held[k].size == 0:
                    batch = next(chunk, None)
                    if batch is None:
                        open_[k], floors[k] = False, NEVER
                    else:
                        held[k], floors[k] = batch
            if not any(rows.size for rows in held):
                return
            # A source that goes on may bring more rows at its last time, so only what is before that is complete.
            bound = min((int(rows["ts_ns"][-1]) for k, rows in enumerate(held) if open_[k]), default=NEVER)
            cuts = [int(np.searchsorted(rows["ts_ns"], bound, side="left")) for rows in held]
            if not any(cuts):
                k = next(k for k, rows in enumerate(held) if open_[k] and int(rows["ts_ns"][-1]) == bound)
                batch = next(chunks[k], None)
                if batch is None:
                    open_[k], floors[k] = False, NEVER
                else:
                    held[k], floors[k] = np.concatenate((held[k], batch[0])), batch[1]
                continue
            together = _merged_parts([rows[:cut] for rows, cut in zip(held, cuts) if cut])
            held = [rows[cut:] for rows, cut in zip(held, cuts)]
            rest = min((int(_venue_ns(rows).min()) for rows in held if rows.size), default=NEVER)
            yield together, min(rest, *floors)


def _merged_parts(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays that are in order each, as one in order; of equal times the earlier array's come first."""
    together = parts[0]
    for part in parts[1:]:
        target = np.empty(together.size + part.size, EVENT)
        merge(together, part, target)
        together = target
    return together


def _venue_ns(events: np.ndarray) -> np.ndarray:
    return np.where(events["ts_venue_ns"] != 0, events["ts_venue_ns"], events["ts_ns"])


def _with_funding(events: np.ndarray, source: Source) -> np.ndarray:
    """The rows with a FUNDING event at each time of the source's schedule that falls among them."""
    every = source.funding_every_ns
    if every == 0 or events.size == 0:
        return events
    first, last = int(events["ts_ns"][0]), int(events["ts_ns"][-1])
    times = np.arange(-(-first // every) * every, last + 1, every, dtype=np.int64)
    if times.size == 0:
        return events
    rows = np.zeros(times.size, EVENT)
    rows["ts_ns"] = rows["ts_venue_ns"] = times
    rows["kind"], rows["qty_lots"], rows["flags"] = FUNDING, source.funding_ppb, LAST
    rows["instrument"], rows["venue"] = source.instrument, source.venue
    return np.insert(events, np.searchsorted(events["ts_ns"], times, side="left"), rows)


def funding_schedule(rate_bps: float, every_h: float) -> tuple[int, int]:
    """(rate in parts per 1e9, interval in ns) of a schedule in a config; (0, 0) for none."""
    if every_h <= 0 or rate_bps == 0:
        return 0, 0
    return round(rate_bps * 100_000), round(every_h * _HOUR_NS)

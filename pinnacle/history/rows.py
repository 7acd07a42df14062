"""Columns of text to records, by a column map: the reader of every tabular format.

A message of the venue is the rows that share one local time, so its last row is known only when the next one is
seen, over the border of a block too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.columns import UNIT_DIGITS, ColumnMap
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.history.steps import decimal_step
from pinnacle.history.table import Table, text_buffers
from pinnacle.instrument import Instrument
from pinnacle.kernels.digits import EXACT, NOT_DECIMAL, OFF_STEP, decimal_column
from pinnacle.limits import INT64_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX

if TYPE_CHECKING:
    import pyarrow as pa


class RowReader:
    """Rows of one table.  Raises HistoryError naming file and row for what cannot be read."""

    def __init__(
        self, table: Table, columns: ColumnMap, instrument: Instrument, options: ImportOptions, report: ImportReport
    ) -> None:
        table.require(columns.names())
        self.table, self.columns, self.instrument, self.options, self.report = (
            table,
            columns,
            instrument,
            options,
            report,
        )
        self.row = 0  # rows of the file read before the current block
        self._in_snapshot = False
        floats = [name for name in columns.names() if name in table.floats]
        if floats:
            report.note(
                f"{table.path.name}: {', '.join(floats)} are binary floats, read as their shortest decimal text"
            )

    def latency_ns_min(self) -> int | None:
        """The smallest local minus venue time of the file, None if it has no venue time; one pass over two columns."""
        if not self.columns.ts_venue or self.columns.ts_venue == self.columns.ts:
            return None
        least = INT64_MAX
        self.row = 0
        for block in self.table.blocks([self.columns.ts, self.columns.ts_venue]):
            local, venue = self._times(block)
            known = venue > 0
            if known.any():
                least = min(least, int((local - venue)[known].min()))
            self.row += local.size
        return None if least == INT64_MAX else least

    def rows(self, offset_ns: int, progress: Progress | None = None) -> Iterator[np.ndarray]:
        """Records with LAST on the last row of each message; local times moved by offset_ns."""
        self.row = 0
        self._in_snapshot = False
        carried = event.empty(0)
        for block in self.table.blocks(self.columns.names(), progress):
            made = self._block(block)
            made["ts_ns"] += offset_ns
            made = np.concatenate((carried, made)) if carried.size else made
            if made.size == 0:
                continue
            made["flags"][:-1] |= np.where(np.diff(made["ts_ns"]) != 0, event.LAST, 0).astype(np.uint16)
            carried = made[-1:].copy()
            if made.size > 1:
                yield made[:-1]
        if carried.size:
            carried["flags"] |= event.LAST
            yield carried
        if self.table.damage:
            self.report.note(f"{self.table.path.name}: {self.table.damage} and were used")

    def _block(self, block: dict[str, pa.Array]) -> np.ndarray:
        local, venue = self._times(block)
        keep = np.ones(local.size, bool)
        if self.columns.symbol:
            symbols = block[self.columns.symbol].to_numpy(zero_copy_only=False)
            keep = np.char.upper(symbols.astype("U")) == self.instrument.symbol.upper()
            self.report.skipped["rows of other symbols"] += int((~keep).sum())
        if self.columns.kind:
            kinds = np.full(local.size, self.columns.kind)
        else:
            text = block[self.columns.kind_column].to_numpy(zero_copy_only=False).astype("U")
            kinds = np.zeros(local.size, "U8")
            for word, kind in self.columns.kind_values.items():
                kinds[text == word] = kind
            self.report.skipped["rows of other kinds"] += int((keep & (kinds == "")).sum())
            keep &= kinds != ""
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for kind in self.columns.kinds:
            which = np.flatnonzero(keep & (kinds == kind))
            if which.size:
                make = self._quotes if kind == "quote" else self._levels_or_trades
                parts.append(make(block, which, kind == "trade"))
                self.report.found[f"{kind} rows"] += which.size
        self.row += local.size
        if not parts:
            return event.empty(0)
        source = np.concatenate([index for index, _ in parts])
        made = np.concatenate([rows for _, rows in parts])
        made["ts_ns"], made["ts_venue_ns"] = local[source], venue[source]
        return made[np.argsort(source, kind="stable")] if len(parts) > 1 else made

    def _levels_or_trades(
        self, block: dict[str, pa.Array], which: np.ndarray, trade: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """(row of the block each record came of, records) of book or trade rows."""
        columns = self.columns
        made = event.empty(which.size)
        made["kind"] = event.TRADE if trade else event.BOOK_LEVEL
        made["side"] = self._sides(block, which, trade)
        made["price_ticks"], on_tick = self._steps(block, columns.price, which, "price")
        made["qty_lots"], _ = self._steps(block, columns.qty, which, "quantity")
        if columns.id:
            made["aux"] = self._ids(block, which)
        if trade or not columns.snapshot:
            return which[on_tick], made[on_tick]
        flagged = np.isin(
            block[columns.snapshot].to_numpy(zero_copy_only=False)[which].astype("U"), columns.snapshot_values
        )
        made["flags"][flagged] = event.SNAPSHOT
        begins = flagged & ~np.concatenate(([self._in_snapshot], flagged[:-1]))
        self._in_snapshot = bool(flagged[-1])
        clears = event.empty(int(begins.sum()))
        clears["kind"], clears["flags"] = event.BOOK_CLEAR, event.SNAPSHOT
        source = np.concatenate((which[begins], which[on_tick]))
        order = np.argsort(source, kind="stable")
        return source[order], np.concatenate((clears, made[on_tick]))[order]

    def _quotes(self, block: dict[str, pa.Array], which: np.ndarray, trade: bool) -> tuple[np.ndarray, np.ndarray]:
        """Two TICKER records a row, bid then ask; a side whose price is empty gives none."""
        columns = self.columns
        sources, parts = [], []
        for side, price, qty in (
            (event.BID, columns.bid_price, columns.bid_qty), (event.ASK, columns.ask_price, columns.ask_qty),
        ):  # fmt: skip
            _, offsets = text_buffers(block[price])
            there = which[(offsets[1:] > offsets[:-1])[which]]
            made = event.empty(there.size)
            made["kind"], made["side"] = event.TICKER, side
            made["price_ticks"], on_tick = self._steps(block, price, there, "price")
            made["qty_lots"], _ = self._steps(block, qty, there, "quantity")
            sources.append(there[on_tick])
            parts.append(made[on_tick])
        source = np.concatenate(sources)
        order = np.argsort(source, kind="stable")
        return source[order], np.concatenate(parts)[order]

    def _times(self, block: dict[str, pa.Array]) -> tuple[np.ndarray, np.ndarray]:
        """(local ns, venue ns); the venue's is 0 where it is not given."""
        columns = self.columns
        local = self._time(block, columns.ts, columns.ts_unit, True)
        if not columns.ts_venue:
            return local, np.zeros(local.size, np.int64)
        if columns.ts_venue == columns.ts:
            return local, local
        return local, self._time(block, columns.ts_venue, columns.ts_venue_unit or columns.ts_unit, False)

    def _time(self, block: dict[str, pa.Array], name: str, unit: str, required: bool) -> np.ndarray:
        values, status = numbers(block[name], UNIT_DIGITS[unit], 1)
        bad = status < 0
        if not required:
            _, offsets = text_buffers(block[name])
            bad &= offsets[1:] > offsets[:-1]
        if bad.any():
            self._refuse(block, name, int(np.flatnonzero(bad)[0]), f"is not a time in {unit}")
        return values

    def _steps(
        self, block: dict[str, pa.Array], name: str, which: np.ndarray, noun: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """(whole steps, whether to keep the row) of the wanted rows of a price or quantity column."""
        price = noun == "price"
        step, most = (self.instrument.tick, PRICE_TICKS_MAX) if price else (self.instrument.lot, QTY_LOTS_MAX)
        values, status = numbers(block[name], *decimal_step(step))
        values, status = values[which], status[which]
        bad = (status < 0) | (values < 0) | (values >= most)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            what = (
                "is not a decimal number" if status[first] == NOT_DECIMAL else f"is negative or beyond {most:,} steps"
            )
            self._refuse(block, name, int(which[first]), what)
        off = status == OFF_STEP
        if not off.any():
            return values, np.ones(values.size, bool)
        for one in np.flatnonzero(off)[:5]:
            text = block[name][int(which[one])].as_py()
            self.report.example(
                f"{self.table.path.name} row {self.row + int(which[one]) + 1:,}: {noun} {text} is off the step {step}"
            )
        if not price:
            self.report.repaired["quantities off the lot rounded down to it"] += int(off.sum())
            return values, np.ones(values.size, bool)
        if self.options.off_tick == "refuse":
            raise HistoryError(
                f"{self.table.path}: {self.instrument.symbol}: {int(off.sum()):,} of {off.size:,} prices are not "
                f"multiples of the tick {step} ({self.report.examples[-1]}); set the instrument's "
                "tick to the venue's, or leave such rows out with off_tick drop if the venue once had a finer one"
            )
        self.report.skipped["rows off the tick"] += int(off.sum())
        return values, ~off

    def _sides(self, block: dict[str, pa.Array], which: np.ndarray, trade: bool) -> np.ndarray:
        text = block[self.columns.side].to_numpy(zero_copy_only=False)[which].astype("U")
        sides = np.full(which.size, 9, np.int8)
        for word, side in self.columns.side_values.items():
            sides[text == word] = side
        unknown = np.flatnonzero(sides == 9)
        if unknown.size and not trade:
            words = ", ".join(self.columns.side_values)
            self._refuse(block, self.columns.side, int(which[unknown[0]]), f"is not a side; known are {words}")
        if unknown.size:
            self.report.note(f"{self.table.path.name}: trades whose side is not known have side 0")
            sides[unknown] = 0
        return sides

    def _ids(self, block: dict[str, pa.Array], which: np.ndarray) -> np.ndarray:
        values, status = numbers(block[self.columns.id], 0, 1)
        values, status = values[which], status[which]
        unkept = status != EXACT
        if unkept.any():
            self.report.note(f"{self.table.path.name}: ids that are not whole numbers were not kept")
            values[unkept] = 0
        return values

    def _refuse(self, block: dict[str, pa.Array], name: str, index: int, what: str) -> None:
        raise HistoryError(
            f"{self.table.path}: row {self.row + index + 1:,}: {name} {block[name][index].as_py()!r} {what}"
        )


def numbers(column: pa.Array, digits: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """(whole steps of step * 10^-digits, status) of a column of decimal texts, see kernels.digits."""
    data, offsets = text_buffers(column)
    values, status = np.empty(offsets.size - 1, np.int64), np.empty(offsets.size - 1, np.int64)
    decimal_column(data, offsets, digits, step, values, status)
    return values, status

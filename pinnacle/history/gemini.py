"""Days of Gemini as one-second best prices and single trades (`market_depth.csv` beside `trade.csv`).

A depth row says the best bid and ask only, so the book made of it holds exactly one level a side: the old best is
removed when the price moved.  The row stamped second s is what the book was when second s began: of the trades within
second s, a buy is at the ask of row s in 45% and of row s - 1 in 29% of 25,222 trades.  So rows keep their stamps, and
a trade at the same nanosecond comes before the row, which tells what the trade left.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.columns import ColumnMap
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.history.rows import numbers
from pinnacle.history.steps import decimal_step
from pinnacle.history.table import Table
from pinnacle.instrument import Instrument
from pinnacle.kernels.digits import EXACT, OFF_STEP
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX

if TYPE_CHECKING:
    import pyarrow as pa

DEPTH_COLUMNS = ("time_seconds", "bid_price_bid_size", "ask_price_ask_size")
TRADE_COLUMNS = ("time_seconds", "price", "size", "is_buyer_maker")
# The venue's own time is the only one there is, so it is the local time too.
TRADES = ColumnMap(
    ts="time_seconds", ts_unit="s", ts_venue="time_seconds", kind="trade", side="is_buyer_maker",
    side_values={"1": event.SELL, "0": event.BUY}, price="price", qty="size",
)  # fmt: skip


def gemini_files(folder: Path) -> list[Path]:
    """The two files of a day's folder, trades first; empty if this is no such folder."""
    files = [folder / "trade.csv", folder / "market_depth.csv"]
    return files if all(file.is_file() for file in files) else []


class TopOfBook:
    """Rows of `market_depth.csv`: at most two levels a side, the removed and the new, LAST on the last."""

    def __init__(self, table: Table, instrument: Instrument, options: ImportOptions, report: ImportReport) -> None:
        table.require(list(DEPTH_COLUMNS))
        self.table, self.instrument, self.options, self.report = table, instrument, options, report
        self._best = [-1, -1]  # price of the only level of each side, bids and asks
        self._row = 0

    def rows(self, offset_ns: int, progress: Progress | None) -> Iterator[np.ndarray]:
        """Records in order of the file; a side that did not change is not said again."""
        for block in self.table.blocks(list(DEPTH_COLUMNS), progress):
            times, status = numbers(block["time_seconds"], 9, 1)
            if (status < 0).any():
                first = int(np.flatnonzero(status < 0)[0])
                raise HistoryError(f"{self.table.path}: row {self._row + first + 1:,}: time_seconds is not a time in s")
            sides = [self._side(block, name) for name in DEPTH_COLUMNS[1:]]
            made = np.concatenate([self._levels(index, *side) for index, side in enumerate(sides)])
            # Removals before what is new, so that the book does not cross itself on the way.
            made = made[np.lexsort((made["qty_lots"] != 0, made["order_id"]))]
            source = made["order_id"].copy()
            made["order_id"] = 0
            made["ts_ns"] = made["ts_venue_ns"] = times[source]
            made["ts_ns"] += offset_ns
            made["flags"] = np.where(np.append(np.diff(source) != 0, True), event.LAST, 0)
            self._row += times.size
            self.report.found["top of book rows"] += times.size
            yield made

    def _side(self, block: dict[str, pa.Array], name: str) -> tuple[np.ndarray, np.ndarray]:
        """(ticks, lots) of a `price_size` column."""
        import pyarrow.compute as pc

        parts = pc.split_pattern(block[name], "_")
        if pc.any(pc.not_equal(pc.list_value_length(parts), 2)).as_py():
            raise HistoryError(f"{self.table.path}: {name} must be `price_size` in every row")
        ticks, status = numbers(pc.list_element(parts, 0), *decimal_step(self.instrument.tick))
        self._refuse(block, name, (status != EXACT) | (ticks >= PRICE_TICKS_MAX), "price", self.instrument.tick)
        lots, status = numbers(pc.list_element(parts, 1), *decimal_step(self.instrument.lot))
        self._refuse(block, name, (status < 0) | (lots >= QTY_LOTS_MAX) | (lots < 0), "quantity", self.instrument.lot)
        off = np.flatnonzero(status == OFF_STEP)
        self.report.repaired["quantities off the lot rounded down to it"] += off.size
        if off.size:
            text = block[name][int(off[0])].as_py()
            self.report.example(f"row {self._row + int(off[0]) + 1:,}: {name} {text} is finer than the lot")
        return ticks, lots

    def _refuse(self, block: dict[str, pa.Array], name: str, bad: np.ndarray, noun: str, step: Decimal) -> None:
        """Raises HistoryError for the first bad row, if there is one."""
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise HistoryError(
                f"{self.table.path}: row {self._row + first + 1:,}: the {noun} in {block[name][first].as_py()!r} is "
                f"not a decimal multiple of {step}; set the instrument's tick and lot to the venue's"
            )

    def _levels(self, index: int, ticks: np.ndarray, lots: np.ndarray) -> np.ndarray:
        """Removals and new levels of one side, with the row they came of in order_id."""
        before = np.concatenate(([self._best[index]], ticks[:-1]))
        lots_before = np.concatenate(([-1], lots[:-1]))
        moved = ticks != before
        gone = np.flatnonzero(moved & (before >= 0))
        new = np.flatnonzero(moved | (lots != lots_before))
        if ticks.size:
            self._best[index] = int(ticks[-1])
        made = event.empty(gone.size + new.size)
        made["kind"], made["side"] = event.BOOK_LEVEL, event.BID if index == 0 else event.ASK
        made["order_id"] = np.concatenate((gone, new))
        made["price_ticks"] = np.concatenate((before[gone], ticks[new]))
        made["qty_lots"] = np.concatenate((np.zeros(gone.size, np.int64), lots[new]))
        return made

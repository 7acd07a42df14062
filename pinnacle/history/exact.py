"""Decimal texts of a recording as whole ticks or lots, refused by their line where they are not.

Recordings of single orders say each price and size as text; this is what all of them do with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pinnacle.errors import HistoryError
from pinnacle.history.options import ImportOptions
from pinnacle.history.report import ImportReport
from pinnacle.history.rows import numbers
from pinnacle.history.steps import decimal_step
from pinnacle.instrument import Instrument
from pinnacle.kernels.digits import OFF_STEP
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX


def whole_steps(
    path: Path,
    instrument: Instrument,
    texts: list[str],
    noun: str,
    lines: Sequence[int],
    options: ImportOptions,
    report: ImportReport,
) -> tuple[np.ndarray, np.ndarray]:
    """(int64 ticks or lots, whether to keep it) of decimal texts.  noun: "price" or "quantity"; lines: of each text.

    A quantity off the lot is rounded down to it; a price off the tick is refused, or told not to be kept.
    Raises HistoryError naming the line of the first text that is no number, negative or too large.
    """
    price = noun == "price"
    step, most = (instrument.tick, PRICE_TICKS_MAX) if price else (instrument.lot, QTY_LOTS_MAX)
    values, status = numbers(pa.array(texts, pa.string()), *decimal_step(step))
    bad = np.flatnonzero((status < 0) | (values < 0) | (values >= most))
    if bad.size:
        first = int(bad[0])
        raise HistoryError(
            f"{path}: line {lines[first]:,}: {noun} {texts[first]!r} is no decimal number of this instrument"
        )
    off = np.flatnonzero(status == OFF_STEP)
    for one in off[:5]:
        report.example(f"line {lines[one]:,}: {noun} {texts[one]} is not a multiple of {step}")
    if price and off.size and options.off_tick == "refuse":
        raise HistoryError(
            f"{path}: {instrument.symbol}: {off.size:,} of {values.size:,} prices are not multiples of the tick {step} "
            f"(line {lines[off[0]]:,}: {texts[off[0]]}); set the instrument's tick to the venue's, or leave such rows "
            "out with off_tick drop if the venue once had a finer one"
        )
    told, what = (
        (report.skipped, "rows off the tick")
        if price
        else (report.repaired, "quantities off the lot rounded down to it")
    )
    told[what] += off.size
    return values, (status != OFF_STEP) | (not price)

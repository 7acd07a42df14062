"""The market of a log as history: what a session heard yesterday is what a backtest hears today.

Only what the market said is taken, of one instrument, in the order in which it was heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle.errors import HistoryError
from pinnacle.event import MARKET_KIND_MAX
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import MANIFEST_NAME, instrument_rows, instruments_of
from pinnacle.log.reader import LogReader


def is_log(path: Path) -> bool:
    """Whether a path is the folder of a run, or the log folder in one."""
    run = path.parent if path.name == "log" else path
    return (run / MANIFEST_NAME).is_file() and (run / "log").is_dir()


class LogHistory:
    """Market rows of one instrument out of a run's log, renumbered; ts_venue_ns is never after ts_ns.

    Raises HistoryError if the log knows no such instrument, or holds nothing of its market.
    """

    def __init__(self, path: Path, venue: str, symbol: str) -> None:
        self.path = path
        self._reader = LogReader(path)
        assert self._reader.manifest is not None
        instruments = instruments_of(self._reader.manifest.instruments)
        names = [one.name for one in instruments]
        if f"{venue}:{symbol}" not in names:
            raise HistoryError(f"{path}: its log is of {', '.join(names)}, and not of {venue}:{symbol}")
        self._index = names.index(f"{venue}:{symbol}")
        self.instrument: Instrument = instruments[self._index]

    def __iter__(self) -> Iterator[np.ndarray]:
        count = 0
        for records in self._reader.records():
            rows = records[(records["kind"] <= MARKET_KIND_MAX) & (records["instrument"] == self._index)]
            if rows.size:
                rows["seq"] = np.arange(count, count + rows.size)
                rows["ts_venue_ns"] = np.minimum(rows["ts_venue_ns"], rows["ts_ns"])
                rows["venue"] = rows["instrument"] = 0
                count += rows.size
                yield rows
        if count == 0:
            raise HistoryError(
                f"{self.path}: its log holds no market of {self.instrument.name}; a backtest's does with --record full"
            )

    def metadata(self) -> dict[str, str]:
        """What is kept beside the rows: the instrument, and which run heard them."""
        manifest = self._reader.manifest
        assert manifest is not None
        told = {"log": manifest.run_id, "mode": manifest.mode}
        return {"instrument": json.dumps(instrument_rows([self.instrument])[0]), "imports": json.dumps([told])}

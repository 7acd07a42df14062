"""The local exchange's own log: what everyone heard, and what clients commanded, in one order and the usual format.

Market records are inputs and numbered; a client's command carries the number of the market record before it, as an
output does.  ts_ns is when the exchange passed it on, ts_venue_ns when its matching engine did it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle import event as e
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Update
from pinnacle.errors import DiskError, OperatorError
from pinnacle.event import EVENT
from pinnacle.kernels.jit import CODE_HASH
from pinnacle.log.manifest import Informational, Manifest, instrument_rows, write_manifest
from pinnacle.run.backtest import versions
from pinnacle.run.logbook import Logbook


class ExchangeLog:
    """Listens to a house and writes until finished.  Raises OperatorError or DiskError for the folder."""

    def __init__(self, folder: Path, house: House, config: dict[str, Any], seed: int, first_ns: int) -> None:
        new_folder(folder)
        self._folder, self._house = folder, house
        identity = f"{CODE_HASH}:{config}:{seed}:{first_ns}"
        self._manifest = Manifest(
            run_id=hashlib.sha256(identity.encode()).hexdigest()[:32],
            mode="exchange",
            status="running",
            code_hash=CODE_HASH,
            versions=versions(),
            config=config,
            instruments=instrument_rows([listing.instrument for listing in house.listings]),
            seed=seed,
            informational=Informational(started=_now()),
        )
        write_manifest(folder, self._manifest)
        self._book = Logbook(folder / "log", self._manifest.run_id)
        self._seq = -1
        self._counts: dict[str, int] = {"records": 0, "inputs": 0, "outputs": 0}
        begin = np.zeros(len(house.listings), EVENT)
        begin["kind"], begin["instrument"], begin["ts_ns"] = e.LINK_UP, np.arange(begin.size), first_ns
        self._write(begin)
        for index in range(len(house.listings)):
            book = [(side, *level) for side in (e.BID, e.ASK) for level in house.levels(index, side)]
            rows = np.zeros(len(book), EVENT)
            rows["kind"], rows["flags"], rows["instrument"], rows["ts_ns"] = e.BOOK_LEVEL, e.SNAPSHOT, index, first_ns
            for name, column in zip(("side", "price_ticks", "qty_lots"), zip(*book)):
                rows[name] = column
            rows["flags"][-1:] |= e.LAST
            self._write(rows)
        house.listeners.append(self)
        house.obeyed = self.command

    def market(self, batch: Batch) -> None:
        """Write what everyone heard."""
        rows = batch.rows.copy()
        rows["ts_ns"], rows["venue"] = batch.ts_ns, 0
        self._write(rows)

    def private(self, update: Update) -> None:
        """Reports to accounts are in the commands' consequences, and not written."""

    def command(self, instrument: int, command: np.ndarray) -> None:
        """Write a client's command; what the operator says of the market is heard by everyone, and written as that."""
        if command["kind"][0] == e.MARKET_STATE:
            return
        row = command.copy()
        row["instrument"], row["seq"], row["venue"] = instrument, self._seq, 0
        self._book.append(row)
        self._count(row)

    def _write(self, rows: np.ndarray) -> None:
        rows["seq"] = self._seq + 1 + np.arange(rows.size)
        self._seq += rows.size
        self._book.append(rows)
        self._count(rows)

    def _count(self, rows: np.ndarray) -> None:
        kinds, counts = np.unique(rows["kind"], return_counts=True)
        self._counts["records"] += rows.size
        for kind, count in zip(kinds.tolist(), counts.tolist()):
            self._counts["outputs" if kind >= e.OUTPUT_KIND_MIN else "inputs"] += count
            name = e.KIND_NAMES[kind]
            self._counts[name] = self._counts.get(name, 0) + count

    def finish(self) -> None:
        """Seal the log."""
        self._house.listeners.remove(self)
        self._house.obeyed = None
        self._manifest.segments = self._book.finish()
        self._manifest.counts, self._manifest.status = self._counts, "complete"
        self._manifest.informational.ended = _now()
        write_manifest(self._folder, self._manifest)


def new_folder(folder: Path) -> None:
    """Make the folder of --out.  Raises OperatorError where it holds something, DiskError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        full = any(folder.iterdir())
    except OSError as error:
        raise DiskError(f"--out {folder}: cannot be made: {error.strerror or error}") from error
    if full:
        raise OperatorError(f"--out {folder}: holds something already; give a new folder")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""What a finished or interrupted run left behind, read for a report: its manifest, its own records, its observations.

Everything a report says is computed from these three, so that a report can be made on any machine, at any time, without
the engine and without compiling anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pinnacle import event
from pinnacle.errors import DiskError
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import Manifest, instruments_of, read_manifest
from pinnacle.log.reader import LogReader

OBSERVATIONS_NAME = "observations.parquet"
# What an observation is, as its column `kind` says.
SAMPLE, FILL, MARKOUT = 1, 2, 3
HORIZONS_NS = (1_000_000_000, 5_000_000_000, 30_000_000_000)
# A price column's value where that side of the book was empty, or where we had no quote.
NO_PRICE = -(1 << 62)

OBSERVATION_FIELDS = (
    "ts_ns", "kind", "instrument", "bid_ticks", "ask_ticks", "position_lots", "cash_units", "fees_units",
    "funding_units", "buy_ticks", "sell_ticks", "number", "horizon",
)  # fmt: skip
OBSERVED = np.dtype([(name, "<i8") for name in OBSERVATION_FIELDS])

# Our requests, what we heard of them, and what the engine noticed.  Market rows, timers and checkpoints say nothing
# that an observation does not say better.
_OWN_KINDS = (
    *range(event.ORDER_ACKNOWLEDGED, event.ORDER_UNKNOWN + 1), event.PLACE, event.CANCEL, event.ALERT,
)  # fmt: skip
_IS_OWN = np.zeros(256, bool)
_IS_OWN[list(_OWN_KINDS)] = True


@dataclass(slots=True)
class Recorded:
    """One run, as its folder has it.

    events: EVENT[n], our requests and the answers to them and alerts, in log order.  observed: OBSERVED[m] in the order
    of the file, None where the run has no such file.  counts: records of the whole log by name of kind.
    first_ts_ns, last_ts_ns: of the whole log, 0 where it is empty.  warnings: sentences a reader must know.
    """

    run_dir: Path
    manifest: Manifest
    instruments: list[Instrument]
    events: np.ndarray
    observed: np.ndarray | None
    counts: dict[str, int]
    first_ts_ns: int
    last_ts_ns: int
    warnings: list[str] = field(default_factory=list)


def read_run(run_dir: str | Path) -> Recorded:
    """Read a run's folder.  Raises OperatorError where it is none, DiskError (LogDamaged) where a file of it is bad."""
    run_dir = Path(run_dir)
    manifest = read_manifest(run_dir)
    instruments = instruments_of(manifest.instruments)
    events, counts, first_ts_ns, last_ts_ns = _read_own_events(run_dir)
    observed = read_observations(run_dir / OBSERVATIONS_NAME)
    for what, rows in (("log", events), (OBSERVATIONS_NAME, observed)):
        if rows is not None and rows.size and int(rows["instrument"].max()) >= len(instruments):
            raise DiskError(
                f"{run_dir}: the {what} has instrument {int(rows['instrument'].max())}, and the manifest knows "
                f"{len(instruments)}; restore the files of one run"
            )
    run = Recorded(run_dir, manifest, instruments, events, observed, counts, first_ts_ns, last_ts_ns)
    if manifest.status != "complete":
        run.warnings.append(f"The run's status is '{manifest.status}': this report covers what its log holds so far.")
    if observed is None:
        run.warnings.append(
            f"The run has no {OBSERVATIONS_NAME}: equity, drawdown, Sharpe ratio and mark-outs are not measured."
        )
    return run


def _read_own_events(run_dir: Path) -> tuple[np.ndarray, dict[str, int], int, int]:
    """Our own records of a log, and of the whole of it the counts by kind and the first and last time."""
    kept, counts = [event.empty(0)], np.zeros(256, np.int64)
    first_ts_ns = last_ts_ns = 0
    for batch in LogReader(run_dir).records():
        if not batch.size:
            continue
        if not counts.any():
            first_ts_ns = int(batch["ts_ns"][0])
        last_ts_ns = int(batch["ts_ns"][-1])
        kinds = batch["kind"]
        counts += np.bincount(kinds, minlength=256)
        kept.append(batch[_IS_OWN[kinds]])
    names = {event.KIND_NAMES.get(kind, f"kind_{kind}"): int(counts[kind]) for kind in np.flatnonzero(counts).tolist()}
    return np.concatenate(kept), names, first_ts_ns, last_ts_ns


def read_observations(path: Path) -> np.ndarray | None:
    """OBSERVED[m], or None where there is no such file.  Raises DiskError for one that is not what a run writes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path) as opened:
            missing = [name for name in OBSERVATION_FIELDS if name not in opened.schema_arrow.names]
            if missing:
                raise DiskError(f"{path}: has no column {missing[0]}; it is not what a run writes, restore it")
            table = opened.read(columns=list(OBSERVATION_FIELDS))
        rows = np.empty(table.num_rows, OBSERVED)
        for name in OBSERVATION_FIELDS:
            column = table.column(name)
            if column.null_count or not pa.types.is_integer(column.type):
                raise DiskError(f"{path}: column {name} is not whole numbers throughout; restore the file")
            rows[name] = column.to_numpy()
    except (pa.ArrowException, OSError, ValueError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DiskError(f"{path}: cannot be read ({what}); restore it, or remove it to report the log alone") from None
    return rows

"""A run's market on disk as the drive walks it: decoded once, mapped by every pass and every process.

Reading Parquet costs more than walking a hundred lanes over a row does each; the mapped rows are in the system's page
cache once, whatever the number of processes that walk them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinnacle.errors import DiskError
from pinnacle.kernels.state import new_state
from pinnacle.kernels.tops import CHANGE, record_tops
from pinnacle.kernels.weave import WOVEN
from pinnacle.run.feeds import Feed, Source
from pinnacle.run.settings import capacity_for

_ABOUT = "tape.json"
_CHANGES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Tape:
    """rows: WOVEN[n], mapped.  tops: by instrument, CHANGE[m], mapped.  first_ns: of the first event on either clock.
    end_ns: of the last row.  bytes_read: of the history files it was made of."""

    folder: Path
    rows: np.ndarray
    tops: list[np.ndarray]
    first_ns: int
    end_ns: int
    bytes_read: int


def make_tape(
    folder: Path, sources: Sequence[Source], key: str, progress: Callable[[int, int], None] | None = None
) -> Tape:
    """The tape of `sources` in `folder`: the one that is there if its key is the same, else a new one.

    key: names the history's bytes and the code that reads them.  Raises DiskError, HistoryError.
    """
    about = folder / _ABOUT
    try:
        if about.exists() and json.loads(about.read_text()).get("key") == key:
            return open_tape(folder)
        # Beside its place and then moved there whole: others may want the same tape at the same time.
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            found = _write(partial, sources, progress)
            (partial / _ABOUT).write_text(json.dumps({"key": key, **found}))
            shutil.rmtree(folder, ignore_errors=True)
            try:
                partial.rename(folder)
            except OSError:
                if not about.exists():
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (OSError, ValueError) as error:
        raise DiskError(f"{folder}: the decoded history cannot be kept: {error}; free space and run again") from None
    return open_tape(folder)


def spare_folder(key: str) -> Path:
    """Where a machine that cannot reach a tape keeps its own: a folder of this user in the system's temporary one."""
    return Path(tempfile.gettempdir()) / f"pinnacle-{os.getuid()}" / key[:32]


def open_tape(folder: Path) -> Tape:
    """Map a finished tape.  Raises DiskError."""
    try:
        about = json.loads((folder / _ABOUT).read_text())
        rows = _mapped(folder / "rows.bin", WOVEN, about["rows"])
        tops = [_mapped(folder / f"tops{k}.bin", CHANGE, count) for k, count in enumerate(about["tops"])]
        return Tape(folder, rows, tops, about["first_ns"], about["end_ns"], about["bytes_read"])
    except (OSError, ValueError, KeyError) as error:
        raise DiskError(f"{folder}: the decoded history cannot be read: {error}; remove it and run again") from None


def _mapped(path: Path, dtype: np.dtype, count: int) -> np.ndarray:
    if path.stat().st_size != count * dtype.itemsize:
        raise ValueError(f"{path.name} holds {path.stat().st_size} bytes, and must hold {count * dtype.itemsize}")
    return np.asarray(np.memmap(path, dtype, "r", shape=(count,))) if count else np.zeros(0, dtype)


def _write(folder: Path, sources: Sequence[Source], progress: Callable[[int, int], None] | None) -> dict[str, object]:
    """Decode the sources once; returns what opening needs."""
    feed = Feed(sources, progress)
    state = new_state(capacity_for(len(sources)))
    market = state[0]["market"]
    market["instruments"] = len(sources)
    changes = np.zeros(_CHANGES_AT_ONCE, CHANGE)
    rows_written, tops = 0, [0] * len(sources)
    end_ns = 0
    files = [(folder / f"tops{k}.bin").open("wb") for k in range(len(sources))]
    try:
        with (folder / "rows.bin").open("wb") as target:
            for rows, _ in feed.woven():
                if not rows.size:
                    continue
                target.write(rows.tobytes())
                rows_written += rows.size
                end_ns = max(end_ns, int(rows["ts_ns"].max()))
                at = 0
                while at < rows.size:
                    at, count = record_tops(market, rows, at, changes)
                    for k, file in enumerate(files):
                        mine = changes[:count][changes[:count]["instrument"] == k]
                        file.write(mine.tobytes())
                        tops[k] += mine.size
    finally:
        for file in files:
            file.close()
    read = sum(path.stat().st_size for source in sources for path in source.paths)
    return {"rows": rows_written, "tops": tops, "first_ns": feed.first_ns, "end_ns": end_ns, "bytes_read": read}

"""Several streams of rows in one order: by local time, the earlier named first where times are equal.

Only as much of each stream is held as is needed to know that nothing earlier can come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pinnacle.history.report import ImportReport


def hold_time(rows: np.ndarray, last_ns: int, report: ImportReport) -> int:
    """Local time never goes back, and nothing is heard before it happened: changes rows, counts what it changed.

    last_ns: the last time before these rows.  Returns their last time.
    """
    times = rows["ts_ns"]
    if rows.size and (times[0] < last_ns or (times[1:] < times[:-1]).any()):
        held = np.maximum(np.maximum.accumulate(times), last_ns)
        report.repaired["local times that went back, held at the one before"] += int((held != times).sum())
        rows["ts_ns"] = held
        times = rows["ts_ns"]
    early = rows["ts_venue_ns"] > times
    if early.any():
        report.repaired["venue times after the local time, set to it"] += int(early.sum())
        rows["ts_venue_ns"][early] = times[early]
    return int(times[-1]) if rows.size else last_ns


def merged(streams: Sequence[Iterator[np.ndarray]], report: ImportReport) -> Iterator[np.ndarray]:
    """Rows of all streams by ts_ns.  Each stream's own times are held first, so that each is in order by itself."""
    if len(streams) == 1:
        yield from streams[0]
        return
    ordered = [_in_order(stream, report) for stream in streams]
    waiting = [next(stream, None) for stream in ordered]
    while any(rows is not None for rows in waiting):
        # A stream that goes on can still bring rows at its last time, so only what is before the least of these goes.
        bound = min(int(rows["ts_ns"][-1]) for rows in waiting if rows is not None)
        ready, rest = [], []
        for rows in waiting:
            count = 0 if rows is None else int(np.searchsorted(rows["ts_ns"], bound, side="left"))
            ready.append(rows[:count] if rows is not None else None)
            rest.append(rows[count:] if rows is not None else None)
        parts = [rows for rows in ready if rows is not None and rows.size]
        if parts:
            together = np.concatenate(parts)
            yield together[np.argsort(together["ts_ns"], kind="stable")]
        ended: list[np.ndarray] = []
        for index, rows in enumerate(rest):
            if rows is not None and int(rows["ts_ns"][-1]) == bound:
                more = next(ordered[index], None)
                # Every row of this stream at the bound is here once it has moved past it.
                while more is not None and int(more["ts_ns"][-1]) == bound:
                    rows = np.concatenate((rows, more))
                    more = next(ordered[index], None)
                split = 0 if more is None else int(np.searchsorted(more["ts_ns"], bound, side="right"))
                ended.append(rows if more is None else np.concatenate((rows, more[:split])))
                rest[index] = None if more is None else more[split:]
            elif rows is not None:
                split = int(np.searchsorted(rows["ts_ns"], bound, side="right"))
                ended.append(rows[:split])
                rest[index] = rows[split:]
        yield np.concatenate(ended)
        waiting = rest


def _in_order(stream: Iterator[np.ndarray], report: ImportReport) -> Iterator[np.ndarray]:
    last_ns = 0
    for rows in stream:
        if rows.size:
            last_ns = hold_time(rows, last_ns, report)
            yield rows

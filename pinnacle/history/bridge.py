"""Joins Binance depth messages to the snapshot that was fetched beside them, by update ids.

A recorder subscribes first and asks for the snapshot second, so some messages before it are older and some after it
too.  Joined wrongly, the book holds levels that were gone, and a backtest trades against them.  The rule is the
venue's own (spot and futures differ), see "How to manage a local order book correctly" in its documentation.
"""

from __future__ import annotations

import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.report import ImportReport
from pinnacle.kernels import stream
from pinnacle.limits import BRIDGE_MESSAGES_MAX

# LOOSE: no snapshot to come, every message passes.  WAITING: messages are held back until the snapshot.
# JOINING: the snapshot has passed, the next message that is not older must contain its id.  JOINED: each message
# must follow the one before it.
LOOSE, WAITING, JOINING, JOINED = "loose", "waiting", "joining", "joined"


class Bridge:
    """The state of one symbol's chain through a file.

    futures: ids chain by `pu` == previous `u`; otherwise by `U` == previous `u` + 1.
    snapshots_ahead: snapshots that the rest of the file holds, so that holding back for one is no dead end.
    """

    def __init__(self, name: str, futures: bool, snapshots_ahead: int, report: ImportReport) -> None:
        self.name, self.futures, self.snapshots_ahead, self.report = name, futures, snapshots_ahead, report
        self.state = WAITING if snapshots_ahead else LOOSE
        self.last_id = -1
        self._held: list[tuple[np.void, np.ndarray]] = []
        if not snapshots_ahead:
            report.note("no snapshot: the book starts empty and is known only where it has been touched")

    def joined(self, rows: np.ndarray, messages: np.ndarray) -> np.ndarray:
        """The rows of one block, in their order of arrival, without what the snapshot already contained."""
        kinds = messages["kind"]
        depth = messages[kinds == stream.DEPTH]
        if self.state == JOINED and not (kinds == stream.BOOK_SNAPSHOT).any() and self._follows(depth):
            if depth.size:
                self.last_id = int(depth["last_id"][-1])
            return rows
        out: list[np.ndarray] = []
        for index, message in enumerate(messages):
            part = rows[message["row"] : message["row"] + message["rows"]]
            if message["kind"] == stream.DEPTH:
                joining = self.state == JOINING
                self._depth(message, part, out)
                if joining and self.state == JOINED:
                    rest = messages[index + 1 :]
                    out.append(self.joined(rows[message["row"] + message["rows"] :], _from_row_0(rest)))
                    break
            elif message["kind"] == stream.BOOK_SNAPSHOT:
                self._snapshot(message, part, out)
            elif part.size:
                out.append(part)
        return _concatenated(out) if out else rows[:0]

    def _follows(self, depth: np.ndarray) -> bool:
        before = np.concatenate(([self.last_id], depth["last_id"][:-1]))
        if self.futures:
            return bool((depth["previous_id"] == before).all())
        return bool(((depth["first_id"] == before + 1) & (depth["last_id"] > before)).all())

    def _snapshot(self, message: np.void, part: np.ndarray, out: list[np.ndarray]) -> None:
        self.snapshots_ahead -= 1
        if self.state in (JOINING, JOINED) and int(message["last_id"]) <= self.last_id:
            self.report.skipped["snapshots older than the book"] += 1
            return
        out.append(part)
        self.state, self.last_id = JOINING, int(message["last_id"])
        held, self._held = self._held, []
        for earlier, its_rows in held:
            its_rows["ts_ns"] = message["local_ns"]
            self._depth(earlier, its_rows, out)

    def _depth(self, message: np.void, part: np.ndarray, out: list[np.ndarray]) -> None:
        first, last, previous = (int(message[name]) for name in ("first_id", "last_id", "previous_id"))
        if self.state == WAITING:
            self._hold(message, part)
            return
        if self.state == JOINING:
            if last < self.last_id or (last == self.last_id and not self.futures):
                self.report.skipped["depth messages older than the snapshot"] += 1
                return
            follows = first <= self.last_id + (0 if self.futures else 1)
        elif self.last_id < 0:
            follows = True
        elif last <= self.last_id:
            self.report.skipped["depth messages sent again"] += 1
            return
        else:
            follows = previous == self.last_id if self.futures else first <= self.last_id + 1
        if not follows:
            self._gap(message, first, previous, out)
            if self.state == WAITING:
                self._hold(message, part)
                return
        elif self.state == JOINING:
            self.state = JOINED
        self.last_id = last
        if part.size:
            out.append(part)

    def _hold(self, message: np.void, part: np.ndarray) -> None:
        if len(self._held) == BRIDGE_MESSAGES_MAX:
            raise HistoryError(
                f"{self.name}: line {int(message['line'])}: more than {BRIDGE_MESSAGES_MAX:,} depth messages wait for "
                "a snapshot; the snapshot came too late to be of use, import with the bridge as-received"
            )
        self._held.append((message.copy(), part.copy()))

    def _gap(self, message: np.void, first: int, previous: int, out: list[np.ndarray]) -> None:
        """A LINK_GAP row where messages are missing: the book is not known again until a snapshot."""
        missing = (previous if self.futures and self.state != JOINING else first - 1) - self.last_id
        row = event.empty(1)
        row["ts_ns"], row["ts_venue_ns"] = message["local_ns"], message["venue_ns"]
        row["kind"], row["flags"], row["aux"] = event.LINK_GAP, event.LAST, missing
        out.append(row)
        self.report.repaired["gaps in depth ids marked by a LINK_GAP row"] += 1
        self.report.example(f"line {int(message['line'])}: depth message {first} does not follow {self.last_id}")
        self.state = WAITING if self.snapshots_ahead > 0 else LOOSE


def _from_row_0(messages: np.ndarray) -> np.ndarray:
    """The same messages, of rows counted from the first of them."""
    rest = messages.copy()
    if rest.size:
        rest["row"] -= rest["row"][0]
    return rest


def _concatenated(parts: list[np.ndarray]) -> np.ndarray:
    """Rows one after the other; as plain bytes, because numpy compares the fields of every part otherwise."""
    return np.concatenate([part.view("V64") for part in parts]).view(event.EVENT)

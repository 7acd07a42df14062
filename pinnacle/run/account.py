"""From the fills of many lanes to what each earned: equity over time, mark-outs and the figures of a window.

Cash, fees, funding and position stand beside each fill as whole numbers; between fills they do not change, and the
mid at any time is read from the changes of the best prices.  So nothing has to be sampled while the lanes run.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from pinnacle.instrument import Instrument
from pinnacle.kernels.observe import FILL
from pinnacle.kernels.state import NO_PRICE
from pinnacle.run.window import Window

HORIZONS_S = (1, 5, 30)
METRICS = (
    "net_quote", "fees_quote", "turnover_quote", "fills", "maker_fills", "orders", "sharpe", "max_drawdown_quote",
    "position_mean_abs_qty", "position_end_qty", "inventory_risk_quote",
    "markout_1s_bps", "markout_5s_bps", "markout_30s_bps",
)  # fmt: skip
_YEAR_NS = 365 * 86_400 * 1_000_000_000
_HASHED = ("ts_ns", "instrument", "position_lots", "cash_units", "fees_units")


class Mids:
    """The mid of one instrument at any time, in half ticks: bid + ask.  tops: CHANGE[n] of this instrument."""

    def __init__(self, tops: np.ndarray) -> None:
        both = (tops["bid_ticks"] != NO_PRICE) & (tops["ask_ticks"] != NO_PRICE)
        # While a side is empty the last mid stands.
        self._ts_ns = np.ascontiguousarray(tops["ts_ns"][both])
        self._mid2 = (tops["bid_ticks"] + tops["ask_ticks"])[both]

    def at(self, ts_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(bid + ask in ticks after everything heard up to each time, whether it is known: not before the first)."""
        k = np.searchsorted(self._ts_ns, ts_ns, side="right") - 1
        mid2 = self._mid2[np.maximum(k, 0)] if self._mid2.size else np.zeros(k.size, np.int64)
        return mid2, k >= 0


class Accounts:
    """The accounts of all lanes of one window: `add` what was observed as it comes, then ask for each result.

    Memory is bounded by lanes, instruments and buckets, not by fills: what is kept of a fill is its sum, and those
    whose mark-outs are still to come.
    """

    def __init__(
        self, instruments: Sequence[Instrument], tops: Sequence[np.ndarray], lanes: int, window: Window, bucket_ns: int
    ) -> None:
        self._instruments = list(instruments)
        self._mids = [Mids(top) for top in tops]
        self._window, self._bucket_ns = window, bucket_ns
        count = (window.stop_ns - window.first_ns) // bucket_ns
        self._grid = window.first_ns + bucket_ns * np.arange(1, count + 1, dtype=np.int64)
        self._ledgers = [[_Ledger(self._grid, mids) for mids in self._mids] for _ in range(lanes)]

    def add(self, rows: np.ndarray, stop_ns: int) -> None:
        """Rows of OBSERVATION as the drive wrote them, none after stop_ns; each lane's in order."""
        if not rows.size:
            return
        order = np.lexsort((rows["instrument"], rows["lane"]))
        rows = rows[order]
        key = rows["lane"].astype(np.int64) * len(self._instruments) + rows["instrument"]
        edges = np.flatnonzero(np.diff(key)) + 1
        for mine in np.split(rows, edges):
            me = int(mine["instrument"][0])
            self._ledgers[int(mine["lane"][0])][me].add(mine, self._instruments[me], stop_ns)

    def close(self, stop_ns: int) -> None:
        """Value everything as of stop_ns."""
        buckets = int((stop_ns - self._window.first_ns) // self._bucket_ns)
        # The last time is the end itself, where the result is read.
        self._times = np.append(self._grid[:buckets], stop_ns)
        self._mid2 = [np.where(known, mid2, np.nan) for mid2, known in (mids.at(self._times) for mids in self._mids)]
        for ledgers in self._ledgers:
            for ledger, instrument in zip(ledgers, self._instruments):
                ledger.mark_out(instrument, stop_ns)

    def result(self, lane: int) -> tuple[dict[str, float], np.ndarray, int]:
        """(metrics but `orders`, equity after each full bucket, hash of the fills) of one lane as of the last close."""
        size = self._times.size
        equity, held, moved = np.zeros(size), np.zeros(size), np.zeros(size)
        sums = dict.fromkeys(("fees_quote", "turnover_quote", "fills", "maker_fills", "position_end_qty"), 0.0)
        edges, values = np.zeros(len(HORIZONS_S)), np.zeros(len(HORIZONS_S))
        digest = hashlib.blake2b(digest_size=8)
        for ledger, instrument, mid2 in zip(self._ledgers[lane], self._instruments, self._mid2):
            digest.update(ledger.digest.digest())
            if not ledger.heard:
                continue
            scale, lot = 10.0**-instrument.money_digits, float(instrument.lot)
            unit = instrument.units_per_ticklot
            position, cash = ledger.at(size)
            # A mid that is not known matters only to who holds something.
            worth2 = np.where(position != 0, position * mid2 * unit, 0.0)
            equity += (2 * cash + worth2) / 2 * scale
            held += np.abs(position) * lot
            before = np.concatenate(([0], position[:-1]))
            moves = np.diff(mid2, prepend=mid2[:1]) * unit / 2 * scale
            moved += np.where(before != 0, before * moves, 0.0)
            sums["position_end_qty"] += float(position[-1]) * lot
            sums["fees_quote"] += ledger.fees * scale
            sums["turnover_quote"] += ledger.turnover * scale
            sums["fills"] += ledger.fills
            sums["maker_fills"] += ledger.maker_fills
            edges += np.array(ledger.edges2) / 2 * scale
            values += np.array(ledger.values) * scale
        metrics = self._figures(equity, moved) | sums | {"position_mean_abs_qty": float(held.mean())}
        for h, horizon_s in enumerate(HORIZONS_S):
            metrics[f"markout_{horizon_s}s_bps"] = float(1e4 * edges[h] / values[h]) if values[h] else math.nan
        full = np.concatenate(([0.0], equity[:-1]))
        return metrics, full, int.from_bytes(digest.digest(), "little") >> 1

    def _figures(self, equity: np.ndarray, moved: np.ndarray) -> dict[str, float]:
        """Net, drawdown, Sharpe ratio and inventory risk of an equity curve on the grid, its end last."""
        peaks = np.maximum.accumulate(np.concatenate(([0.0], equity)))
        changes = np.diff(np.concatenate(([0.0], equity[:-1])))
        sharpe = math.nan
        if changes.size > 1:
            deviation = float(changes.std(ddof=1))
            if deviation > 0:
                sharpe = float(changes.mean()) / deviation * math.sqrt(_YEAR_NS / self._bucket_ns)
        return {
            "net_quote": float(equity[-1]),
            "max_drawdown_quote": float((peaks[1:] - equity).max()),
            "sharpe": sharpe,
            "inventory_risk_quote": float(np.sqrt(np.square(moved).sum())),
        }


class _Ledger:
    """One lane on one instrument.  Money in units, positions in lots; of mark-outs by horizon twice the edge, and the
    value.  All whole numbers, so that no sum depends on the order in which it was made."""

    def __init__(self, grid: np.ndarray, mids: Mids) -> None:
        self._grid, self._mids = grid, mids
        # By bucket: what stood at its end if anything happened in it; one more for after the last.
        self._position = np.zeros(grid.size + 1, np.int64)
        self._cash = np.zeros(grid.size + 1, np.int64)
        self._touched = np.zeros(grid.size + 1, bool)
        self._last_position = self._last_paid = 0
        self._waiting: list[tuple[np.ndarray, ...]] = []
        self.heard = False
        self.fees = self.turnover = self.fills = self.maker_fills = 0
        self.edges2, self.values = [0] * len(HORIZONS_S), [0] * len(HORIZONS_S)
        self.digest = hashlib.blake2b(digest_size=8)

    def add(self, rows: np.ndarray, instrument: Instrument, stop_ns: int) -> None:
        """Rows of this lane and instrument, in order."""
        self.heard = True
        bucket = np.searchsorted(self._grid, rows["ts_ns"], side="left")
        # Of several rows of one bucket the last assignment stands.
        self._position[bucket] = rows["position_lots"]
        self._cash[bucket] = rows["cash_units"] - rows["fees_units"] + rows["funding_units"]
        self._touched[bucket] = True
        self.fees = int(rows["fees_units"][-1])
        fills = rows[rows["kind"] == FILL]
        if not fills.size:
            return
        lots = np.diff(fills["position_lots"], prepend=self._last_position)
        paid = np.diff(fills["cash_units"], prepend=self._last_paid)
        self._last_position, self._last_paid = int(fills["position_lots"][-1]), int(fills["cash_units"][-1])
        self.turnover += int(np.abs(paid).sum())
        self.fills += fills.size
        self.maker_fills += int(fills["horizon"].sum())
        self.digest.update(np.stack([fills[name].astype("<i8") for name in _HASHED], axis=1).tobytes())
        for h, horizon_s in enumerate(HORIZONS_S):
            self._waiting.append((np.full(fills.size, h), fills["ts_ns"] + horizon_s * 1_000_000_000, lots, paid))
        self.mark_out(instrument, stop_ns)

    def mark_out(self, instrument: Instrument, stop_ns: int) -> None:
        """Add what fills were better than the mid a horizon later, as far as that is up to stop_ns; the rest waits."""
        if not self._waiting:
            return
        horizon, due_ns, lots, paid = (np.concatenate(parts) for parts in zip(*self._waiting))
        inside = due_ns <= stop_ns
        late = ~inside
        self._waiting = [(horizon[late], due_ns[late], lots[late], paid[late])] if late.any() else []
        mid2, known = self._mids.at(due_ns[inside])
        edge2 = lots[inside] * mid2 * instrument.units_per_ticklot + 2 * paid[inside]
        for h in range(len(HORIZONS_S)):
            mine = known & (horizon[inside] == h)
            self.edges2[h] += int(edge2[mine].sum())
            self.values[h] += int(np.abs(paid[inside][mine]).sum())

    def at(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """int64[size] each: position and cash (fees and funding included) after each bucket, the last as of now."""
        latest = np.where(self._touched, np.arange(self._touched.size), -1)
        latest = np.maximum.accumulate(latest)
        # The last time is the end of what was heard, which may be inside a bucket.
        k = np.append(latest[: size - 1], latest[-1])
        there = k >= 0
        return self._position[np.maximum(k, 0)] * there, self._cash[np.maximum(k, 0)] * there

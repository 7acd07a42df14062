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
from pinnacle.kernels.observe import FILL, OBSERVATION
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

    def at(self, ts_ns: np.ndarray) -> np.ndarray:
        """float64[n]: bid + ask in ticks after everything heard up to each time; NaN before the first."""
        k = np.searchsorted(self._ts_ns, ts_ns, side="right") - 1
        known = self._mid2[np.maximum(k, 0)] if self._mid2.size else np.zeros(k.size)
        return np.where(k >= 0, known, np.nan).astype(np.float64)


class Accounts:
    """The accounts of all lanes of one window.  `add` what was observed, `close` at a time, then ask for each result."""

    def __init__(
        self, instruments: Sequence[Instrument], tops: Sequence[np.ndarray], lanes: int, window: Window, bucket_ns: int
    ) -> None:
        self._instruments = list(instruments)
        self._mids = [Mids(top) for top in tops]
        self._window, self._bucket_ns = window, bucket_ns
        self._seen: list[np.ndarray] = []
        self._lanes = lanes

    def add(self, rows: np.ndarray) -> None:
        """Rows of OBSERVATION as the drive wrote them; each lane's in order."""
        if rows.size:
            self._seen.append(rows.copy())

    def close(self, stop_ns: int) -> None:
        """Value everything as of stop_ns."""
        rows = np.concatenate(self._seen) if self._seen else np.zeros(0, OBSERVATION)
        self._seen = [rows]
        order = np.argsort(rows["lane"], kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(self._rows["lane"], np.arange(self._lanes + 1))
        buckets = max(0, (stop_ns - self._window.first_ns) // self._bucket_ns)
        grid = self._window.first_ns + self._bucket_ns * np.arange(1, buckets + 1, dtype=np.int64)
        # The last time is the end itself, where the result is read.
        self._grid = np.append(grid, stop_ns)
        self._stop_ns = stop_ns
        self._grid_mid2 = [mids.at(self._grid) for mids in self._mids]

    def result(self, lane: int) -> tuple[dict[str, float], np.ndarray, int]:
        """(metrics but `orders`, equity after each full bucket, hash of the fills) of one lane."""
        rows = self._rows[self._starts[lane] : self._starts[lane + 1]]
        equity = np.zeros(self._grid.size)
        held_abs, end_qty = np.zeros(self._grid.size), 0.0
        moved = np.zeros(self._grid.size)
        fees = turnover = 0.0
        edges = np.zeros(len(HORIZONS_S))
        values = np.zeros(len(HORIZONS_S))
        digest = hashlib.blake2b(digest_size=8)
        for me, instrument in enumerate(self._instruments):
            mine = rows[rows["instrument"] == me]
            if not mine.size:
                continue
            unit = instrument.units_per_ticklot
            scale = 10.0**-instrument.money_digits
            k = np.searchsorted(mine["ts_ns"], self._grid, side="right") - 1
            there = k >= 0
            cash = (mine["cash_units"] - mine["fees_units"] + mine["funding_units"])[np.maximum(k, 0)] * there
            position = mine["position_lots"][np.maximum(k, 0)] * there
            mid2 = self._grid_mid2[me]
            # Twice the money, whole as long as the mid is; the product stays below 2**53 for what floats must tell.
            worth2 = np.where(position != 0, position * mid2 * unit, 0.0)
            equity += (2 * cash + worth2) / 2 * scale
            lot = float(instrument.lot)
            held_abs += np.abs(position) * lot
            end_qty += float(position[-1]) * lot
            held_before = np.concatenate(([0], position[:-1]))
            steps = np.diff(mid2, prepend=mid2[:1]) * unit / 2 * scale
            moved += np.where(held_before != 0, held_before * steps, 0.0)
            fees += float(mine["fees_units"][-1]) * scale
            fills = mine[mine["kind"] == FILL]
            paid = np.diff(fills["cash_units"], prepend=0)
            turnover += float(np.abs(paid).sum()) * scale
            self._mark_out(me, fills, paid, edges, values)
            digest.update(np.stack([fills[name].astype("<i8") for name in _HASHED]).tobytes())
        metrics = self._figures(equity, moved)
        fills = rows[rows["kind"] == FILL]
        metrics |= {
            "fees_quote": fees, "turnover_quote": turnover, "fills": float(fills.size),
            "maker_fills": float(fills["horizon"].sum()),
            "position_mean_abs_qty": float(held_abs.mean()), "position_end_qty": end_qty,
        }  # fmt: skip
        for h, horizon_s in enumerate(HORIZONS_S):
            metrics[f"markout_{horizon_s}s_bps"] = float(1e4 * edges[h] / values[h]) if values[h] else math.nan
        full = np.concatenate(([0.0], equity[:-1]))
        return metrics, full, int.from_bytes(digest.digest(), "little") >> 1

    def _mark_out(
        self, me: int, fills: np.ndarray, paid: np.ndarray, edges: np.ndarray, values: np.ndarray
    ) -> None:
        """Add what each fill was better than the mid a horizon later, and its value, in money units."""
        lots = np.diff(fills["position_lots"], prepend=0)
        for h, horizon_s in enumerate(HORIZONS_S):
            due = fills["ts_ns"] + horizon_s * 1_000_000_000
            inside = due <= self._stop_ns
            mid2 = self._mids[me].at(due[inside])
            worth = lots[inside] * mid2 / 2 * self._instruments[me].units_per_ticklot
            edge = worth + paid[inside]
            known = ~np.isnan(edge)
            edges[h] += edge[known].sum()
            values[h] += np.abs(paid[inside][known]).sum()

    def _figures(self, equity: np.ndarray, moved: np.ndarray) -> dict[str, float]:
        """Net, drawdown, Sharpe ratio and inventory risk of an equity curve on the grid, its end last."""
        peaks = np.maximum.accumulate(np.concatenate(([0.0], equity)))
        drawdown = float((peaks[1:] - equity).max()) if equity.size else 0.0
        changes = np.diff(np.concatenate(([0.0], equity[:-1])))
        sharpe = math.nan
        if changes.size > 1:
            deviation = float(changes.std(ddof=1))
            if deviation > 0:
                sharpe = float(changes.mean()) / deviation * math.sqrt(_YEAR_NS / self._bucket_ns)
        return {
            "net_quote": float(equity[-1]), "max_drawdown_quote": drawdown, "sharpe": sharpe,
            "inventory_risk_quote": float(np.sqrt(np.square(moved).sum())),
        }  # fmt: skip

"""From the fills of many lanes to what each earned: equity over time, mark-outs and the figures of a window.

Cash, fees, funding and position stand beside each fill as whole numbers; between fills they do not change, and the
mid at any time is read from the changes of the best prices.  So nothing has to be sampled while the lanes run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pinnacle.instrument import Instrument
from pinnacle.kernels.tally import LEDGER, STOOD, WAITING, mark_waiting, tally
from pinnacle.run.window import Window

HORIZONS_S = (1, 5, 30)
METRICS = (
    "net_quote", "fees_quote", "turnover_quote", "fills", "maker_fills", "orders", "sharpe", "max_drawdown_quote",
    "position_mean_abs_qty", "position_end_qty", "inventory_risk_quote",
    "markout_1s_bps", "markout_5s_bps", "markout_30s_bps",
)  # fmt: skip
_YEAR_NS = 365 * 86_400 * 1_000_000_000
_HORIZONS_NS = np.array(HORIZONS_S, np.int64) * 1_000_000_000
# Mark-outs of one lane that may wait before more room is made.
_WAITING_ROOM = 192
_MASK = (1 << 63) - 1


class Accounts:
    """The accounts of all lanes of one window: `add` what was observed as it comes, then ask for each result.

    tops: by instrument, CHANGE[m].  Memory is bounded by lanes, instruments and buckets, not by fills: what is kept of
    a fill is its sum, and those whose mark-outs are still to come.
    """

    def __init__(
        self, instruments: Sequence[Instrument], tops: Sequence[np.ndarray], lanes: int, window: Window, bucket_ns: int
    ) -> None:
        self._window, self._bucket_ns = window, bucket_ns
        buckets = (window.stop_ns - window.first_ns) // bucket_ns
        self._books = [_Book(one, top, lanes, buckets) for one, top in zip(instruments, tops)]

    def add(self, rows: np.ndarray, stop_ns: int) -> None:
        """Rows of OBSERVATION as the drive wrote them, none after stop_ns."""
        for me, book in enumerate(self._books):
            book.add(rows, me, self._window.first_ns, self._bucket_ns, stop_ns)

    def close(self, stop_ns: int) -> None:
        """Value everything as of stop_ns: at the mid after each full bucket, and at the end, where the result is."""
        full = int((stop_ns - self._window.first_ns) // self._bucket_ns)
        times: np.ndarray = self._window.first_ns + self._bucket_ns * np.arange(1, full + 1, dtype=np.int64)
        times = np.append(times, stop_ns)
        lanes = self._books[0].ledgers.size
        self._equity, self._held, self._moved = (np.zeros((lanes, full + 1)) for _ in range(3))
        for book in self._books:
            book.close(times, stop_ns)
            self._equity += book.equity
            self._held += book.held
            self._moved += book.moved

    def result(self, lane: int) -> tuple[dict[str, float], np.ndarray, int]:
        """(metrics but `orders`, equity after each full bucket, hash of the fills) of one lane as of the last close."""
        sums = dict.fromkeys(("fees_quote", "turnover_quote", "fills", "maker_fills", "position_end_qty"), 0.0)
        edges, values = np.zeros(len(HORIZONS_S)), np.zeros(len(HORIZONS_S))
        fills_hash = 0
        for book in self._books:
            ledger, scale = book.ledgers[lane], book.scale
            sums["fees_quote"] += int(ledger["fees_units"]) * scale
            sums["turnover_quote"] += int(ledger["turnover_units"]) * scale
            sums["fills"] += int(ledger["fills"])
            sums["maker_fills"] += int(ledger["maker_fills"])
            sums["position_end_qty"] += int(ledger["position_lots"]) * book.lot
            edges += ledger["edges2_units"] / 2 * scale
            values += ledger["values_units"] * scale
            fills_hash = (fills_hash * 31 + int(ledger["hash"])) & _MASK
        metrics = self._figures(self._equity[lane]) | sums
        metrics["position_mean_abs_qty"] = float(self._held[lane].mean())
        metrics["inventory_risk_quote"] = float(np.sqrt(np.square(self._moved[lane]).sum()))
        for h, horizon_s in enumerate(HORIZONS_S):
            metrics[f"markout_{horizon_s}s_bps"] = float(1e4 * edges[h] / values[h]) if values[h] else math.nan
        return metrics, np.concatenate(([0.0], self._equity[lane, :-1])), fills_hash

    def _figures(self, equity: np.ndarray) -> dict[str, float]:
        """Net, drawdown and Sharpe ratio of an equity curve, its end last."""
        peaks = np.maximum(np.maximum.accumulate(equity), 0.0)
        changes = np.diff(equity[:-1], prepend=0.0)
        sharpe = math.nan
        if changes.size > 1:
            deviation = float(changes.std(ddof=1))
            if deviation > 0:
                sharpe = float(changes.mean()) / deviation * math.sqrt(_YEAR_NS / self._bucket_ns)
        return {
            "net_quote": float(equity[-1]),
            "max_drawdown_quote": float((peaks - equity).max()),
            "sharpe": sharpe,
        }


class _Book:
    """All lanes on one instrument.  scale: quote currency of a money unit.  lot: quantity of a lot.

    equity, held, moved: float64[lanes, times] as of the last close: in quote currency what was earned, the quantity
    held either way, and what holding it made since the time before.
    """

    def __init__(self, instrument: Instrument, tops: np.ndarray, lanes: int, buckets: int) -> None:
        self.scale, self.lot = 10.0**-instrument.money_digits, float(instrument.lot)
        self._unit, self._tops = instrument.units_per_ticklot, tops
        self.ledgers = np.zeros(lanes, LEDGER)
        self._stood = np.zeros((lanes, buckets + 1), STOOD)
        self._waiting: np.ndarray = np.zeros((lanes, _WAITING_ROOM), WAITING)
        self._hints = np.zeros(len(HORIZONS_S), np.int64)

    def add(self, rows: np.ndarray, me: int, begin_ns: int, bucket_ns: int, stop_ns: int) -> None:
        """Rows of all lanes and instruments; those of instrument `me` are this book's."""
        at = 0
        while at < rows.size:
            at = tally(
                rows, at, me, self._unit, self.ledgers, self._stood, self._waiting, self._tops, self._hints, begin_ns,
                bucket_ns, _HORIZONS_NS, stop_ns,
            )  # fmt: skip
            if at < rows.size:
                self._waiting = np.concatenate((self._waiting, np.zeros_like(self._waiting)), axis=1)

    def close(self, times: np.ndarray, stop_ns: int) -> None:
        """Value all lanes at times, the last of which is stop_ns."""
        mark_waiting(self._unit, self.ledgers, self._waiting, self._tops, stop_ns)
        lanes, size = self.ledgers.size, times.size
        latest = np.where(self._stood["touched"] != 0, np.arange(self._stood.shape[1]), -1)
        latest = np.maximum.accumulate(latest, axis=1)
        # The last time is the end of what was heard, which may be inside a bucket.
        k = np.concatenate((latest[:, : size - 1], latest[:, -1:]), axis=1)
        there, lane = k >= 0, np.arange(lanes)[:, None]
        position = self._stood["position_lots"][lane, np.maximum(k, 0)] * there
        cash = self._stood["cash_units"][lane, np.maximum(k, 0)] * there
        mid2 = self._mid2(times)
        # A mid that is not known matters only to who holds something.
        worth2 = np.where(position != 0, position * (mid2 * self._unit), 0.0)
        self.equity = (2 * cash + worth2) / 2 * self.scale
        self.held = np.abs(position) * self.lot
        before = np.concatenate((np.zeros((lanes, 1), np.int64), position[:, :-1]), axis=1)
        moves = np.diff(mid2, prepend=mid2[:1]) * self._unit / 2 * self.scale
        self.moved = np.where(before != 0, before * moves, 0.0)

    def _mid2(self, times: np.ndarray) -> np.ndarray:
        """float64[n]: bid + ask in ticks after everything heard up to each time; NaN before the first."""
        if not self._tops.size:
            return np.full(times.size, np.nan)
        k = np.searchsorted(self._tops["ts_ns"], times, side="right") - 1
        at = self._tops[np.maximum(k, 0)]
        return np.where(k >= 0, at["bid_ticks"] + at["ask_ticks"], np.nan)

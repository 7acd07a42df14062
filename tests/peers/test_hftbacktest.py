"""The same strategies on the same rows through hftbacktest and through pinnacle give the same fills, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnacle.event import ORDER_FILLED
from pinnacle.log.reader import LogReader
from pinnacle.run.prepare import prepare_backtest

pytest.importorskip("hftbacktest")
from tests.peers import scenarios

pytestmark = [pytest.mark.peer, pytest.mark.slow]
MS = 1_000_000
GRID = str(Path(__file__).with_name("grid_on_multiples.py"))

# name: (queue model, n, entry ms, response ms, woken by the feed, wake ms, strategy or None for join_best)
CASES: dict[str, tuple[str, float, int, int, bool, int, str | None]] = {
    "power-3": ("power", 3, 10, 10, False, 100, None),
    "power2-2": ("power2", 2, 10, 10, False, 100, None),
    "power3-3": ("power3", 3, 10, 10, False, 100, None),
    "log2": ("log2", 1, 10, 10, False, 100, None),
    "slow-entry": ("log", 1, 50, 20, False, 100, None),
    "fast-wake": ("power", 2, 3, 1, False, 10, None),
    "every-message": ("log", 1, 10, 10, True, 0, None),
    "every-message-risk": ("risk-averse", 1, 2, 7, True, 0, None),
    "grid": ("log", 1, 10, 10, False, 100, GRID),
}


@pytest.fixture(scope="session")
def rows(recordings: Path) -> np.ndarray:
    """The recording as the peer's converter gives it."""
    return scenarios.rows_of(recordings / "binance" / "usdm_btcusdt_20240808.gz")


@pytest.mark.parametrize("name", CASES)
def test_fills_equal_those_of_hftbacktest(name: str, rows: np.ndarray, recordings: Path, tmp_path: Path) -> None:
    """(venue time, side, price, order id) of every fill are equal, for other queues, latencies, wakes and a grid."""
    queue, n, entry_ms, response_ms, by_feed, wake_ms, strategy = CASES[name]
    made = scenarios.asset(rows, queue, n, entry_ms * MS, response_ms * MS)
    if strategy is None:
        arguments: tuple[Any, ...] = (by_feed, wake_ms * MS, 0.01, 0.05)
        expected, _ = scenarios.run(rows, made, scenarios.join_best, *arguments)
    else:
        expected, _ = scenarios.run(rows, made, scenarios.grid, wake_ms * MS, 20, 5, 0.001, 0.05)
    settings = [
        f"queue.model={queue}",
        f"queue.n={n}",
        f"latency.entry_ms={entry_ms}",
        f"latency.response_ms={response_ms}",
        f"wake.every_ms={0 if by_feed else wake_ms}",
        f"wake.on_book={'true' if by_feed else 'false'}",
        "risk={}",
    ]
    recording = recordings / "binance" / "usdm_btcusdt_20240808.gz"
    out = tmp_path / "run"
    prepare_backtest("reference", strategy, [str(recording)], settings, out, None).run()
    fills = np.concatenate([batch[batch["kind"] == ORDER_FILLED] for batch in LogReader(out).records()])
    fields = ("ts_venue_ns", "side", "price_ticks", "order_id")
    found = sorted(tuple(int(fill[field]) for field in fields) for fill in fills)
    assert len(found) > 100
    assert found == expected

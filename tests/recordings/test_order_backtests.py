"""Backtests on recordings of single orders: every fill is the one that a plain list of the recording's orders gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnacle.config import parse_config
from pinnacle.engine.strategy import load_strategy
from pinnacle.event import ORDER_ACKNOWLEDGED, ORDER_ADD
from pinnacle.log.reader import LogReader
from pinnacle.log.segment import read_segment
from pinnacle.run.backtest import Backtest
from pinnacle.run.replay import replay
from tests.kernels.test_fifo import told_by_twin, told_by_venue

JOIN_BEST = Path(__file__).resolve().parent.parent.parent / "strategies" / "join_best.py"
BITSTAMP = {"venue": "bitstamp", "symbol": "BTCUSD", "tick": "0.01", "lot": "0.00000001"}
ESM4 = {"venue": "cme", "symbol": "ESM4", "tick": "0.25", "lot": "1", "contract": 50}


def ran(
    instrument: dict[str, Any], recording: Path, out: Path, order_qty: float, latency_ms: float, **sections: Any
) -> tuple[np.ndarray, np.ndarray]:
    """(the log, the recording's rows) of join_best on a recording, replayed and found equal."""
    raw: dict[str, Any] = {
        "instruments": [{**instrument, "data": str(recording)}],
        "strategy": {"path": "join_best", "params": {"order_qty": order_qty, "position_max": 10 * order_qty}},
        "wake": {"every_ms": 0, "on_book": True},
        "latency": {"entry_ms": latency_ms, "response_ms": latency_ms},
        **sections,
    }
    run = Backtest(parse_config(raw, "test"), "test", None, load_strategy(JOIN_BEST), out)
    run.run()
    replayed = replay(out)
    assert replayed.divergence is None and replayed.fingerprint == replayed.fingerprint_expected
    log = np.concatenate([rows.copy() for rows in LogReader(out / "log").records(0)])
    return log, np.concatenate(list(read_segment(run.paths[0][0])))


def test_bitstamp_fills_are_explained_order_by_order(recordings: Path, tmp_path: Path) -> None:
    """2.8 hours of BTCUSD: each fill's time, quantity and reason is a plain list's; models of levels give others."""
    recording = recordings / "bitstamp" / "l3_btcusd_20150501_part1.log.gz"
    wake = {"every_ms": 500}
    log, events = ran(BITSTAMP, recording, tmp_path / "exact", 0.5, 20, wake=wake)
    exact = told_by_venue(log)
    fronts: dict[int, int] = {}
    assert exact == told_by_twin(events, log, 20_000_000, fronts)
    assert joined_behind(log) == fronts and len(fronts) > 900
    reasons = {fill[5] for fill in exact}
    assert reasons == {"trade_through", "queue_front", "crossing_book"} and len(exact) > 50
    for model in ("risk-averse", "power"):
        other, _ = ran(BITSTAMP, recording, tmp_path / model, 0.5, 20, wake=wake, queue={"model": model})
        assert told_by_venue(other) != exact


def test_cme_orders_join_behind_what_rests_there(recordings: Path, tmp_path: Path) -> None:
    """13,600 orders and two seconds of ESM4: ours join behind exactly the orders there, out of reach of trades."""
    pytest.importorskip("databento_dbn")
    recording = recordings / "mbo" / "esm4_20240508T000000_2s.mbo.dbn.zst"
    log, events = ran(ESM4, recording, tmp_path / "run", 1, 0.01)
    assert (events["kind"] == ORDER_ADD).sum() == 13_678
    fronts: dict[int, int] = {}
    assert told_by_venue(log) == told_by_twin(events, log, 10_000, fronts)
    assert joined_behind(log) == fronts and min(fronts.values()) > 10


def joined_behind(log: np.ndarray) -> dict[int, int]:
    """By own order: the lots that the venue put it behind."""
    rested = log[log["kind"] == ORDER_ACKNOWLEDGED]
    return dict(zip(rested["order_id"].tolist(), rested["aux"].tolist()))

"""Records to log: a random stream that obeys the order of a real one, and small limits so that tests stay small."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pinnacle import event

RUN_ID = bytes(range(16))


@pytest.fixture
def run_id() -> bytes:
    return RUN_ID


@pytest.fixture
def make_records() -> Callable[..., np.ndarray]:
    """make_records(count, seed=0, first_seq=0): inputs, each with up to two outputs it caused; every field busy."""

    def make(count: int, seed: int = 0, first_seq: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        rows = event.empty(count)
        is_input = random.random(count) < 0.5
        is_input[:1] = True
        rows["seq"] = first_seq + np.cumsum(is_input) - 1
        rows["ts_ns"] = 1_700_000_000_000_000_000 + rows["seq"] * 1_000_003
        rows["ts_venue_ns"] = np.where(random.random(count) < 0.2, 0, rows["ts_ns"] - random.integers(0, 10**8, count))
        rows["order_id"] = random.integers(1, 1 << 40, count)
        rows["price_ticks"] = random.integers(580_000, 620_000, count)
        rows["qty_lots"] = random.integers(0, 5_000, count)
        rows["aux"] = random.integers(0, 1 << 50, count)
        inputs = [event.BOOK_LEVEL, event.TRADE, event.TIMER, event.ORDER_FILLED]
        outputs = [event.PLACE, event.CANCEL, event.ALERT, event.CHECKPOINT]
        rows["kind"] = np.where(is_input, random.choice(inputs, count), random.choice(outputs, count))
        rows["side"] = random.choice([-1, 0, 1], count)
        rows["flags"] = random.integers(0, 1 << 12, count)
        rows["venue"] = random.integers(0, 3, count)
        return rows

    return make


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> int:
    """Journals written with frames of at most 4 records, so that few records make many frames."""
    monkeypatch.setattr("pinnacle.log.journal.FRAME_RECORDS_MAX", 4)
    return 4


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> int:
    """Segments written in row groups of 100 rows."""
    monkeypatch.setattr("pinnacle.log.segment.ROW_GROUP_ROWS", 100)
    return 100

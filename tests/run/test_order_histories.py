"""Runs on histories of single orders: logged, replayed, in lanes, in windows and beside levels, on drawn recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnacle.config import parse_config
from pinnacle.engine.strategy import load_strategy
from pinnacle.errors import OperatorError
from pinnacle.event import BOOK_LEVEL, FILL_QUEUE_FRONT, ORDER_FILLED, reason_of
from pinnacle.log.reader import LogReader
from pinnacle.log.segment import write_segment
from pinnacle.run.backtest import Backtest
from pinnacle.run.replay import replay
from pinnacle.run.window import Window
from tests.kernels.order_market import Drawn, heard_and_woven
from tests.kernels.test_fifo import told_by_twin, told_by_venue
from tests.run.test_lanes import same
from tests.run.tracks import LINGER_NS, track_of

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
STRATEGIES = Path(__file__).resolve().parent.parent.parent / "strategies"


def drawn_events(seed: int, count: int = 3000) -> np.ndarray:
    """A drawn recording, a millisecond where it has a nanosecond."""
    events = Drawn(seed, count, odd=0.02).events
    for name in ("ts_ns", "ts_venue_ns"):
        events[name] = START_NS + events[name] * MS
    return events


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Histories: O0 and O1 of single orders, L1 the levels that O1's orders make."""
    made = tmp_path_factory.mktemp("histories")
    for seed in range(2):
        events = drawn_events(seed)
        write_segment(made / f"O{seed}.parquet", [numbered(events)], {})
    write_segment(made / "L1.parquet", [numbered(heard_and_woven(events)[0])], {})
    return made


def numbered(events: np.ndarray) -> np.ndarray:
    """Rows as an import writes them."""
    events["seq"] = np.arange(events.size)
    return events


def prepared(folder: Path, out: Path, *names: str, **sections: Any) -> Backtest:
    """A backtest of join_best on some of the histories, with its histories open."""
    instruments = [
        {"venue": "drawn", "symbol": name, "data": str(folder / f"{name}.parquet"), "tick": "1", "lot": "1"}
        for name in names
    ]
    raw: dict[str, Any] = {
        "instruments": instruments,
        "strategy": {"path": "join_best", "params": {"order_qty": 3, "position_max": 40}},
        "wake": {"every_ms": 0, "on_book": True},
        "latency": {"entry_ms": 10, "response_ms": 10},
    }
    raw.update(sections)
    config = parse_config(raw, "drawn")
    run = Backtest(config, "drawn", None, load_strategy(STRATEGIES / "join_best.py"), out)
    run.open_histories()
    return run


def logged(run: Backtest) -> np.ndarray:
    """The log of a run that is made now."""
    run.paths, run.instruments = [], []
    run.run()
    return np.concatenate([rows.copy() for rows in LogReader(run.out / "log").records(0)])


def test_a_run_on_single_orders_is_exact_and_replays(folder: Path, tmp_path: Path) -> None:
    """Whatever is recorded, the run replays byte for byte; its fills are those of a plain list of the same orders."""
    fills = {}
    for record in ("own", "full"):
        run = prepared(folder, tmp_path / record, "O0", run={"record": record})
        assert run.config.instruments[0].queue.model == "exact"
        log = logged(run)
        fills[record] = told_by_venue(log)
        assert fills[record] == told_by_twin(drawn_events(0), log, 10 * MS)
        replayed = replay(tmp_path / record)
        assert replayed.divergence is None and replayed.fingerprint == replayed.fingerprint_expected
        assert replayed.commands > 200
    assert fills["own"] == fills["full"] and len(fills["own"]) > 50
    assert (log["kind"] == BOOK_LEVEL).sum() > 2000


def test_a_replay_from_the_middle_walks_the_orders_from_the_start(folder: Path, tmp_path: Path) -> None:
    """A kept state continues over the same levels, because the book of orders is walked up to there again."""
    logged(prepared(folder, tmp_path / "run", "O0", run={"checkpoint_every": 1000}))
    replayed = replay(tmp_path / "run", from_checkpoint=-1)
    assert replayed.divergence is None and replayed.fingerprint == replayed.fingerprint_expected


def test_lanes_on_single_orders_are_runs_of_their_own(folder: Path, tmp_path: Path) -> None:
    """Twelve parameter sets in one pass, on the whole and in a window: each is what it is alone, and what is logged."""
    run = prepared(folder, tmp_path / "unused", "O0", "O1")
    track = track_of(run, tmp_path / "tapes")
    sets = [{"order_qty": float(1 + k % 4), "position_max": float(5 + 3 * k)} for k in range(12)]
    begin, end = track.tape.first_ns, track.tape.end_ns
    for window in (Window("all", begin, end + LINGER_NS), Window("part", begin + (end - begin) // 3, end)):
        together = track.run(sets, window)
        assert len({result.fingerprint for result in together}) == 12
        for one, result in zip(sets, together):
            assert same(track.run([one], window)[0], result)
        settings = {"start_ns": 0, "stop_ns": 0}
        if window.name == "part":
            settings = {"start_ns": window.first_ns, "stop_ns": window.stop_ns}
        alone = prepared(
            folder, tmp_path / window.name, "O0", "O1", run=settings, strategy={"path": "join_best", "params": sets[5]}
        )
        log = logged(alone)
        assert (log["kind"] == ORDER_FILLED).sum() == together[5].metrics["fills"] > 20


def test_orders_and_levels_in_one_run_do_not_touch_each_other(folder: Path, tmp_path: Path) -> None:
    """An instrument of orders beside one of levels is filled as it is alone; only the orders' places are exact."""
    run = prepared(folder, tmp_path / "both", "O0", "L1")
    assert [one.queue.model for one in run.config.instruments] == ["exact", "power"]
    both = logged(run)
    assert replay(tmp_path / "both").divergence is None
    for k, name in enumerate(("O0", "L1")):
        alone = logged(prepared(folder, tmp_path / name, name))
        mine = both[both["instrument"] == k]
        ids = {order_id: n for n, order_id in enumerate(dict.fromkeys(mine["order_id"][mine["order_id"] > 0].tolist()))}
        found = [(fill[0], ids[fill[1]], *fill[2:]) for fill in told_by_venue(mine)]
        ids = {
            order_id: n for n, order_id in enumerate(dict.fromkeys(alone["order_id"][alone["order_id"] > 0].tolist()))
        }
        assert found == [(fill[0], ids[fill[1]], *fill[2:]) for fill in told_by_venue(alone)]


def test_the_history_chooses_the_model_unless_the_config_does(folder: Path, tmp_path: Path) -> None:
    """A model of levels runs on single orders and gives other fills; exact places in levels are refused in one line."""
    exact = told_by_venue(logged(prepared(folder, tmp_path / "exact", "O0")))
    for model in ("risk-averse", "power", "log2"):
        run = prepared(folder, tmp_path / model, "O0", queue={"model": model})
        assert run.config.instruments[0].queue.model == model
        log = logged(run)
        assert told_by_venue(log) != exact
        assert any(reason_of(int(row["flags"])) == FILL_QUEUE_FRONT for row in log[log["kind"] == ORDER_FILLED])
        assert replay(tmp_path / model).divergence is None
    assert prepared(folder, tmp_path / "levels", "L1").config.instruments[0].queue.model == "power"
    with pytest.raises(OperatorError, match=r"drawn: queue.model of drawn:L1 is exact, and its history holds levels"):
        prepared(folder, tmp_path / "refused", "L1", queue={"model": "exact"})


def test_days_of_orders_are_one_book(folder: Path, tmp_path: Path) -> None:
    """An order of the first day's file is known in the second's: cut anywhere, a history gives the same rows."""
    from pinnacle.run.feeds import Feed, Source

    events = numbered(drawn_events(0))
    for cut in (1, 700, 2500):
        parts = [tmp_path / f"{cut}-{k}.parquet" for k in range(2)]
        write_segment(parts[0], [events[:cut]], {})
        write_segment(parts[1], [events[cut:]], {})
        rows = np.concatenate([batch for batch, _ in Feed([Source(parts, 0, 0)]).woven()])
        whole = np.concatenate([batch for batch, _ in Feed([Source([folder / "O0.parquet"], 0, 0)]).woven()])
        assert rows.tobytes() == whole.tobytes()

"""Every shipped strategy on the bundled sample: it trades, its books balance, and it is the same however it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pinnacle.event import ALERT, ALERT_ODD_TRANSITION, CANCEL, ORDER_FILLED, PLACE
from pinnacle.log.manifest import instruments_of
from pinnacle.report.source import OBSERVATIONS_NAME
from tests.strategies import sample

POSITION_MAX_LOTS = 50


@pytest.fixture(scope="module", params=sample.NAMES)
def whole(request, tmp_path_factory):
    """(run of one strategy over the whole sample, its folder)."""
    out = tmp_path_factory.mktemp("run") / request.param
    return sample.run(sample.strategy_path(request.param), out), out


@pytest.fixture(scope="module")
def cut(tmp_path_factory) -> Path:
    """The first seconds of the sample."""
    return sample.cut_catalog(tmp_path_factory.mktemp("catalog"), sample.CUT_S)


def fills_of(events: np.ndarray) -> np.ndarray:
    """Executions of the quoted instrument."""
    return events[(events["kind"] == ORDER_FILLED) & (events["instrument"] == 0)]


def test_it_trades_within_its_limits(whole):
    """Orders are placed and filled, the position stays within position_max, and no answer is out of turn."""
    run, _ = whole
    assert run.manifest.status == "complete"
    assert run.manifest.counts["place"] > 100
    fills = fills_of(run.events)
    assert fills.size > 20
    position = np.cumsum(fills["side"] * fills["qty_lots"])
    assert np.abs(position).max() <= POSITION_MAX_LOTS
    alerts = run.events[run.events["kind"] == ALERT]
    assert not (alerts["aux"] == ALERT_ODD_TRANSITION).any()
    # Only the quoted instrument is ever sent anything.
    assert (run.events["instrument"][np.isin(run.events["kind"], (PLACE, CANCEL))] == 0).all()


def test_the_books_balance(whole):
    """The fills sum to the final position, their money to the final cash and fees, and PnL splits exactly.

    Cash plus the position's worth equals what each fill gained to the last mid, and equals the sum over time of the
    position held times the mid's move plus each fill's edge to the mid when it was heard.
    """
    import pyarrow.parquet as pq

    run, out = whole
    fills = fills_of(run.events)
    side, price = fills["side"].astype(np.int64), fills["price_ticks"]
    signed = side * fills["qty_lots"]
    rows = pq.read_table(out / OBSERVATIONS_NAME).to_pydict()
    mine = np.flatnonzero((np.array(rows["instrument"]) == 0) & (np.array(rows["bid_ticks"]) > 0))
    seen = {name: np.array(rows[name])[mine] for name in rows}
    units = instruments_of(run.manifest.instruments)[0].units_per_ticklot
    final = {name: int(values[-1]) for name, values in seen.items()}
    assert final["position_lots"] == signed.sum()
    assert final["cash_units"] == -(signed * price).sum() * units
    assert final["fees_units"] == fills["aux"].sum()

    mid2 = final["bid_ticks"] + final["ask_ticks"]
    pnl2 = 2 * final["cash_units"] + final["position_lots"] * mid2 * units
    assert pnl2 == (signed * (mid2 - 2 * price)).sum() * units

    # The same sum along the way: what was held earns the mid's moves, each fill earns its distance from the mid.
    mids2 = seen["bid_ticks"] + seen["ask_ticks"]
    held = (seen["position_lots"][:-1] * np.diff(mids2)).sum()
    traded = np.diff(seen["position_lots"], prepend=0)
    paid2 = np.diff(seen["cash_units"], prepend=0) * 2 // units
    assert pnl2 == (held + (traded * mids2 + paid2).sum()) * units


def test_compiled_is_interpreted(cut, tmp_path):
    """Every strategy gives byte for byte the same log compiled and interpreted."""
    out = tmp_path / "interpreted"
    out.mkdir()
    command = [sys.executable, "-m", "tests.strategies.sample", str(cut), str(out), *sample.NAMES]
    subprocess.run(command, cwd=sample.ROOT, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, check=True, timeout=240)
    for name in sample.NAMES:
        settings = sample.settings_for(name, {"warmup_s": 1})
        compiled = sample.run(sample.strategy_path(name), tmp_path / name, settings, cut).events
        assert (compiled["kind"] == PLACE).sum() >= 4
        assert compiled.tobytes() == np.load(out / f"{name}.npy").tobytes(), name


@pytest.mark.parametrize("name", ["fixed_spread", "grid"])
def test_a_plain_function_is_a_jitted_one(name, tmp_path):
    """Without the decorator a strategy is called from outside the kernels, and the log is byte for byte the same."""
    source = sample.strategy_path(name).read_text()
    assert "@jit\ndef quote" in source
    plain = tmp_path / f"{name}.py"
    plain.write_text(source.replace("@jit\ndef quote", "def quote"))
    jitted = sample.run(sample.strategy_path(name), tmp_path / "jitted")
    undecorated = sample.run(plain, tmp_path / "plain")
    assert undecorated.events.tobytes() == jitted.events.tobytes()
    assert fills_of(jitted.events).size > 20

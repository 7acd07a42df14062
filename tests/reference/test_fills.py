"""Another engine's fills on a real recording, matched row by row through our importer and our own configs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pinnacle.event import ORDER_FILLED
from pinnacle.log.reader import LogReader
from pinnacle.run.prepare import prepare_backtest
from pinnacle.run.replay import replay

CASES = [("risk", "risk-averse", "-10.0203"), ("power2", "power", "-8.6459"), ("log", "log", "-5.8898")]


@pytest.mark.parametrize(("name", "model", "equity"), CASES)
def test_fills_of_another_engine_are_equal_row_by_row(
    name: str, model: str, equity: str, recordings: Path, reference: Path, tmp_path: Path
) -> None:
    """Venue time, side, price, quantity, and order id of every fill equal the published list.

    Its submit_ts is left out: there it is the time of the last request of an order, a cancel included.
    """
    from pinnacle.report.write import write_report

    recording = recordings / "binance" / "usdm_btcusdt_20240808.gz"
    out = tmp_path / "run"
    settings = [f"queue.model={model}"]
    run = prepare_backtest("reference", None, [str(recording)], settings, out, None)
    manifest = run.run()
    expected = [
        (int(row["exch_ts"]), row["side"], row["price"], row["qty"], int(row["order_id"]))
        for row in csv.DictReader((reference / f"ref1_fills_btcusdt_{name}.csv").open())
    ]
    summary = write_report(out, html=False)
    import pyarrow.parquet as pq

    fills = pq.read_table(out / "fills.parquet").to_pylist()
    instrument = run.instruments[0]
    found = [
        (
            fill["ts_venue_ns"],
            fill["side"],
            instrument.price_text(fill["price_ticks"]),
            instrument.qty_text(fill["qty_lots"]),
            fill["order_id"],
        )
        for fill in fills
    ]
    assert found == expected
    assert manifest.counts["timer"] == 3448 and manifest.counts["wakes"] == 3448
    net = summary["instruments"]["binance-usdm:BTCUSDT"]["pnl"]["net"]
    assert f"{net:.4f}" == equity
    replayed = replay(out)
    assert replayed.divergence is None and replayed.fingerprint == manifest.fingerprint
    assert replayed.commands == manifest.counts["place"] + manifest.counts["cancel"]
    logged = [rows[rows["kind"] == ORDER_FILLED] for rows in LogReader(out).records()]
    assert sum(len(rows) for rows in logged) == len(expected)

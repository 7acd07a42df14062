"""A simulation as a run: repeatable to the byte, replayable, cut anywhere, and a market that answers back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pinnacle.event import (
    BOOK_LEVEL,
    BUY,
    LAST,
    ORDER_ACKNOWLEDGED,
    ORDER_FILLED,
    PLACE,
    SNAPSHOT,
    TIMER,
    TRADE,
    reason_of,
)
from pinnacle.kernels import simulate as loop
from pinnacle.log.manifest import Manifest, read_manifest
from pinnacle.log.reader import LogReader
from pinnacle.run.prepare_simulation import prepare_simulation
from pinnacle.run.replay import replay
from pinnacle.run.simulate import World

MS = 1_000_000
# Latencies of every kind, none among them; wakes of every kind.
WAYS = {
    "timers": ("wake.every_ms=50",),
    "every message": ("wake.on_book=true", "wake.every_ms=0"),
    "answers too": ("wake.on_book=true", "wake.on_order=true", "wake.every_ms=20"),
    "no latency": ("wake.on_book=true", "latency.entry_ms=0", "latency.response_ms=0", "simulate.feed_ms=0"),
    "drawn latency": ("latency.model=fitted", "latency.entry_median_ms=3", "latency.response_median_ms=8"),
    "tickers": ("simulate.tickers=true", "wake.every_ms=50"),
    "excited": ("simulate.excited=true",),
    "orders that excite each other": ("simulate.model=hawkes",),
    "constant rates": ("simulate.model=zero-intelligence",),
}

# Buys a lot at once, once, at any price.
TAKER = """
from pinnacle.event import IOC
from pinnacle.strategy import NO_PRICE, Param, hold

PARAMS = (Param("lots", 0.0, low=0.0, high=1e9, unit="lots", about="how much; 0 for nothing"),)

def quote(market, lane, me, params, memory, want):
    top = market["top"][me]
    if top["ask_ticks"] == NO_PRICE or lane["own"][me]["placed"] or lane["wakes"] < 10 or params["lots"] == 0:
        hold(want)
        return
    want["count"] = 1
    want["price_ticks"][0], want["qty_lots"][0] = top["ask_ticks"] + 2000, int(params["lots"])
    want["side"][0], want["flags"][0] = 1, IOC
"""


def simulated(out: Path, *settings: str, seed: int = 1, seconds: float = 2.0, strategy: str | None = None) -> Manifest:
    """Run the shipped simulation, shorter."""
    said = ["simulate.warm_up_s=2", *settings]
    return prepare_simulation(None, strategy, said, seed, out, seconds, None).run()


def logged(run: Path) -> np.ndarray:
    """Every record of a run."""
    return np.concatenate(list(LogReader(run).records()))


@pytest.mark.parametrize("way", WAYS)
def test_a_simulation_repeats_and_replays(tmp_path: Path, way: str) -> None:
    """The same config and seed give the same log to the byte and the same id; folding its inputs gives its outputs."""
    first = simulated(tmp_path / "a", *WAYS[way])
    second = simulated(tmp_path / "b", *WAYS[way])
    assert (first.run_id, first.fingerprint, first.counts) == (second.run_id, second.fingerprint, second.counts)
    assert logged(tmp_path / "a").tobytes() == logged(tmp_path / "b").tobytes()
    again = replay(tmp_path / "a")
    assert again.divergence is None and again.equal == first.counts["outputs"] > 0
    assert again.fingerprint == first.fingerprint


def test_another_seed_is_another_market(tmp_path: Path) -> None:
    """The seed reaches the orders of the others and the run's identity."""
    first, second = simulated(tmp_path / "a"), simulated(tmp_path / "b", seed=2)
    assert first.run_id != second.run_id and first.fingerprint != second.fingerprint


def test_a_run_is_the_same_wherever_it_pauses() -> None:
    """Coming back to the owner at drawn times, however often, changes no record."""

    def driven(pauses_ns: list[int]) -> bytes:
        run = prepare_simulation(None, None, ["simulate.warm_up_s=1", "wake.on_book=true"], 3, None, 1.0, None)
        world = World(run)
        record, cursor = world.out[0], world.cursor[0]
        times = iter([run.start_ns + pause for pause in pauses_ns])
        cursor["pause_ns"] = next(times, 1 << 62)
        said = []
        while True:
            code = world.run()
            if code in (loop.PAUSED, loop.OUT_FULL, loop.ENDED):
                said.append(record["rows"][: int(record["count"])].tobytes())
                record["count"] = cursor["sent"] = 0
            if code == loop.PAUSED:
                cursor["pause_ns"] = next(times, 1 << 62)
            elif code == loop.OBSERVED_FULL:
                world.observed[0]["count"] = 0
            elif code == loop.KEEP_STATE:
                cursor["snapped"] = world.state[0]["lane"]["checkpoint_seq"]
            elif code == loop.ENDED:
                return b"".join(said)

    whole = driven([])
    draw = np.random.default_rng(5)
    assert driven(sorted(draw.integers(0, 1000 * MS, 300).tolist())) == whole
    assert len(whole) > 64 * 1000


def test_the_engine_joins_a_market_that_is_going_on(tmp_path: Path) -> None:
    """First comes one message with a whole book of both sides, then what happens; each after the feed's delay."""
    simulated(tmp_path / "run", "simulate.feed_ms=7")
    rows = logged(tmp_path / "run")
    inputs = rows[rows["kind"] < 128]
    joined = int(np.flatnonzero(inputs["flags"] & LAST)[0]) + 1
    assert (inputs["kind"][:joined] == BOOK_LEVEL).all() and (inputs["flags"][:joined] & SNAPSHOT != 0).all()
    bids, asks = (inputs[:joined][inputs["side"][:joined] == side]["price_ticks"] for side in (1, -1))
    assert bids.size > 100 < asks.size and bids.max() < asks.min()
    market = inputs[(inputs["kind"] == BOOK_LEVEL) | (inputs["kind"] == TRADE)]
    assert (market["ts_ns"] - market["ts_venue_ns"] == 7 * MS).all()
    assert (np.diff(inputs["ts_ns"]) >= 0).all() and (np.diff(inputs["seq"]) == 1).all()
    # At equal times market rows come first, then answers, then timers.
    rank = np.where(inputs["kind"] == TIMER, 2, np.where(inputs["kind"] < TIMER, 0, 1))
    same = np.diff(inputs["ts_ns"]) == 0
    assert (np.diff(rank)[same] >= 0).all()


def test_requests_and_answers_take_their_time(tmp_path: Path) -> None:
    """An order is acknowledged at the exchange after the entry delay and heard after the response delay."""
    simulated(tmp_path / "run", "latency.entry_ms=3", "latency.response_ms=4")
    rows = logged(tmp_path / "run")
    placed = {int(row["order_id"]): int(row["ts_ns"]) for row in rows[rows["kind"] == PLACE]}
    heard = rows[rows["kind"] == ORDER_ACKNOWLEDGED]
    assert heard.size > 3
    for row in heard:
        assert row["ts_venue_ns"] - placed[int(row["order_id"])] == 3 * MS
        assert row["ts_ns"] - row["ts_venue_ns"] == 4 * MS


def test_a_large_order_of_ours_walks_the_book_and_the_market_differs_ever_after(tmp_path: Path) -> None:
    """Until our taker arrives the market is that of the run without it; then it fills us at ever worse prices, and its
    best offer is beyond the last of them."""
    strategy = tmp_path / "taker.py"
    strategy.write_text(TAKER)
    seen = {}
    for lots in (0, 60_000):
        out = tmp_path / str(lots)
        settings = [f"strategy.params.lots={lots}.0", "risk.position_max=1000", "risk.band_pct=100"]
        settings += ["wake.every_ms=100"]
        simulated(out, *settings, strategy=str(strategy), seconds=3.0)
        seen[lots] = logged(out)
        assert replay(out).divergence is None
    rows = seen[60_000]
    fills = rows[rows["kind"] == ORDER_FILLED]
    assert fills.size > 20 and (fills["side"] == BUY).all() and (np.diff(fills["price_ticks"]) >= 0).all()
    assert fills["price_ticks"][-1] - fills["price_ticks"][0] > 100
    assert {reason_of(flags) for flags in fills["flags"]} == {4}
    arrived_ns = int(fills["ts_venue_ns"][0])

    def market(all_rows: np.ndarray) -> np.ndarray:
        kept = all_rows[(all_rows["kind"] == BOOK_LEVEL) | (all_rows["kind"] == TRADE)]
        return kept[["ts_venue_ns", "kind", "side", "price_ticks", "qty_lots"]]

    with_us, without = market(rows), market(seen[0])
    before = int((with_us["ts_venue_ns"] < arrived_ns).sum())
    assert before > 500 and (with_us[:before] == without[:before]).all()
    traded = with_us[(with_us["ts_venue_ns"] == arrived_ns) & (with_us["kind"] == TRADE)]
    assert int(traded["qty_lots"].sum()) == int(fills["qty_lots"].sum())
    n = min(with_us.size, without.size)
    assert (with_us[before:n] != without[before:n]).any()


def test_a_makers_fills_lose_to_the_next_move(tmp_path: Path) -> None:
    """With informed takers about, a maker's fills are worth less a second later than the half-spread it quoted."""
    import json

    from pinnacle.report.write import write_report

    out = tmp_path / "run"
    simulated(out, "strategy.params.half_spread_bps=0.02", seconds=300.0)
    summary = write_report(out, html=False)
    (figures,) = summary["instruments"].values()
    markout = figures["markouts"]["1s"]["all"]
    assert markout["count"] > 200
    assert markout["mean_bps"] + 2.0 * markout["error_bps"] < 0.02
    told = json.loads((out / "facts.json").read_text())
    assert told["generated"]["facts"]["maker.loss_over_half_spread_1s"]["value"] > 1.0


def test_a_recorded_market_is_a_background(tmp_path: Path) -> None:
    """A history's levels and trades as orders: its trades reach our orders, and a replay needs no history."""
    out = tmp_path / "run"
    catalog = Path(__file__).resolve().parent.parent.parent / "data" / "catalog"
    made = simulated(out, "simulate.model=recorded", "simulate.start=", f"data.catalog={catalog}", seconds=60.0)
    assert made.counts["order_filled"] > 5 and made.counts["trade"] > 100
    assert read_manifest(out).histories
    assert replay(out).divergence is None

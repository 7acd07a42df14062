"""Lanes: each of many does exactly what a backtest of it alone does, whatever its neighbours do."""

from __future__ import annotations

import numpy as np
import pytest

from pinnacle.event import ORDER_FILLED
from pinnacle.kernels.fingerprint import own_fingerprint
from pinnacle.log.reader import LogReader
from pinnacle.report.write import write_report
from pinnacle.run.account import METRICS
from pinnacle.run.window import Window
from tests.run.tracks import candidates, prepared, track_of, whole

STRATEGIES = ("fixed_spread", "join_best", "basic_market_maker", "avellaneda_stoikov", "glft", "grid")
SETTINGS = {
    "timer": (),
    "feed": ("wake.on_book=true", "wake.every_ms=0"),
    "answers": ("wake.on_order=true", "wake.listen=all"),
    "whole fills": ("fills.model=whole", "queue.model=log"),
    "fitted latency": ("latency.model=fitted", "fees.maker_bps=-0.5"),
    "funding": ("funding.rate_bps=1", "funding.every_h=0.02"),
    "takers": ("fills.self_trade=expire-both", "latency.entry_ms=400"),
}


@pytest.fixture(scope="module")
def tapes(tmp_path_factory):
    """Where the sample is decoded once."""
    return tmp_path_factory.mktemp("tapes")


def same(one, other):
    """Whether two results are equal to the last bit, where NaN equals NaN."""
    return (
        (one.fault, one.fills_hash, one.fingerprint) == (other.fault, other.fills_hash, other.fingerprint)
        and list(one.metrics) == list(other.metrics)
        and np.array_equal(list(one.metrics.values()), list(other.metrics.values()), equal_nan=True)
        and np.array_equal(one.equity_quote, other.equity_quote)
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_64_lanes_are_64_backtests(strategy, tapes, tmp_path):
    """64 parameter sets in one pass: fills, figures, curves and own side equal those of 64 passes of one each."""
    track = track_of(prepared(strategy, tmp_path / "run"), tapes)
    sets = candidates(track, 64)
    together = track.run(sets, whole(track))
    traded = 0
    for one, result in zip(sets, together):
        assert same(track.run([one], whole(track))[0], result)
        assert set(result.metrics) == set(METRICS)
        traded += result.metrics["fills"] > 0
    assert traded > 32 and len({result.fingerprint for result in together}) > 32


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_lanes_are_backtests_in_every_mode(settings, tapes, tmp_path):
    """However strategies are woken and orders filled, delayed and charged, lanes do not see each other."""
    track = track_of(prepared("basic_market_maker", tmp_path / "run", *settings), tapes)
    window = Window("part", track.tape.first_ns, track.tape.first_ns + 60_000_000_000)
    sets = candidates(track, 12, seed=3)
    for one, result in zip(sets, track.run(sets, window)):
        assert same(track.run([one], window)[0], result)


@pytest.mark.parametrize("strategy", ["glft", "grid"])
@pytest.mark.parametrize("part", [False, True], ids=["whole", "window"])
def test_a_lane_is_the_run_that_is_logged(strategy, part, tapes, tmp_path):
    """A lane's fills are those that `pinnacle backtest` logs with its parameters, and the report's figures its own."""
    track = track_of(prepared(strategy, tmp_path / "unused"), tapes)
    one = candidates(track, 5, seed=2)[4]
    settings = [f"strategy.params.{name}={value!r}" for name, value in one.items()]
    window = whole(track)
    if part:
        begin = track.tape.first_ns + 100_000_000_000
        window = Window("part", begin, begin + 150_000_000_000)
        settings += [f"run.start_ns={window.first_ns}", f"run.stop_ns={window.stop_ns}"]
    result = track.run(candidates(track, 5, seed=2), window)[4]
    run = prepared(strategy, tmp_path / "run", *settings)
    run.paths, run.instruments = [], []
    run.run()
    events = np.concatenate([rows.copy() for rows in LogReader(run.out / "log").records(0)])
    fills = events[events["kind"] == ORDER_FILLED]
    assert fills.size == result.metrics["fills"] > 20
    if part:
        assert fills["ts_ns"].min() > window.first_ns and events["ts_ns"].max() <= window.stop_ns
    summary = write_report(run.out, html=False)["instruments"]["binance-usdm:BTCUSDT"]
    assert summary["pnl"]["net"] == pytest.approx(result.metrics["net_quote"], abs=1e-9)
    assert summary["fills"]["turnover_quote"] == pytest.approx(result.metrics["turnover_quote"], rel=1e-12)


def test_fingerprint_is_that_of_the_run(tapes, tmp_path):
    """A lane's own side at the end has the fingerprint of the state that a backtest of it ends with."""
    from pinnacle.run import backtest

    run = prepared("fixed_spread", tmp_path / "run", "run.checkpoint_every=1000000000")
    track = track_of(run, tapes)
    result = track.run([run.strategy.values(run.config.strategy.params, "x")] * 3, whole(track))[2]
    kept = []
    before = backtest.fingerprint_text
    backtest.fingerprint_text = lambda state: kept.append(state.copy()) or before(state)
    try:
        run.paths, run.instruments = [], []
        run.run()
    finally:
        backtest.fingerprint_text = before
    assert int(own_fingerprint(kept[-1][0]["lane"], 2)) == result.fingerprint


def test_stages_and_neighbours_change_nothing(tapes, tmp_path):
    """Stopping on the way and dropping others leaves the rest as they are; a stage is as if its window ended there."""
    track = track_of(prepared("avellaneda_stoikov", tmp_path / "run"), tapes)
    window = whole(track)
    sets = candidates(track, 8, seed=5)
    straight = track.run(sets, window)
    middle = track.tape.first_ns + 130_000_000_000
    under_way = track.start(sets, window)
    first = under_way.advance(middle)
    under_way.drop([0, 3])
    last = under_way.advance(window.stop_ns)
    assert last[0] is None and last[3] is None
    assert all(same(last[k], straight[k]) for k in (1, 2, 4, 5, 6, 7))
    short = track.run(sets, Window("short", window.first_ns, middle))
    assert all(same(one, other) for one, other in zip(first, short))


def test_a_lane_that_breaks_is_marked_and_leaves_the_others(tapes, tmp_path):
    """A strategy that raises, or wants what is no number, with some parameters fails there alone, with its reason."""
    text = (
        "from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid\n"
        "PARAMS = (Param('at', 1.0, low=0.0, high=9.0, unit='', about=''),)\n\n"
        "@jit\ndef quote(market, lane, me, params, memory, want):\n"
        "    top = market['top'][me]\n"
        "    if top['bid_ticks'] == NO_PRICE or top['ask_ticks'] == NO_PRICE:\n        hold(want)\n        return\n"
        "    if params['at'] == 2.0 and lane['wakes'] > 500:\n        raise ValueError('no quote for two')\n"
        "    skew = 0.0 / (params['at'] - params['at']) if params['at'] == 3.0 else params['at']\n"
        "    want_bid(want, top['bid_ticks'] - skew, 10)\n    want_ask(want, top['ask_ticks'] + skew, 10)\n"
    )
    path = tmp_path / "breaks.py"
    path.write_text(text)
    track = track_of(prepared(str(path), tmp_path / "run"), tapes)
    sets = [{"at": float(at)} for at in (1, 2, 3, 4)]
    results = track.run(sets, whole(track))
    assert [bool(one.fault) for one in results] == [False, True, True, False]
    assert "no quote for two" in results[1].fault and "not a number" in results[2].fault
    assert np.isnan(results[1].metrics["net_quote"]) and np.isnan(results[2].metrics["fills"])
    for k in (0, 3):
        assert same(track.run([sets[k]], whole(track))[0], results[k])


def test_a_plain_python_strategy_runs_one_by_one(tapes, tmp_path):
    """A strategy that is not compiled gives the results of its compiled twin."""
    text = (
        "from pinnacle.strategy import NO_PRICE, Param, hold, jit, want_ask, want_bid\n"
        "PARAMS = (Param('ticks', 1.0, low=0.0, high=90.0, unit='', about=''),)\n\n"
        "DECORATOR\ndef quote(market, lane, me, params, memory, want):\n"
        "    top = market['top'][me]\n"
        "    if top['bid_ticks'] == NO_PRICE or top['ask_ticks'] == NO_PRICE:\n        hold(want)\n        return\n"
        "    want_bid(want, top['bid_ticks'] - params['ticks'], 10)\n"
        "    want_ask(want, top['ask_ticks'] + params['ticks'], 10)\n"
    )
    results = []
    for name, decorator in (("plain", ""), ("compiled", "@jit")):
        path = tmp_path / f"{name}.py"
        path.write_text(text.replace("DECORATOR", decorator))
        track = track_of(prepared(str(path), tmp_path / name, "wake.every_ms=1000"), tapes)
        results.append(track.run([{"ticks": 2.0}, {"ticks": 9.0}], whole(track)))
    assert all(same(one, other) and one.metrics["fills"] > 0 for one, other in zip(*results))

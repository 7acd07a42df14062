"""The fold and the drive: cut anywhere, replay anything, and the same state and bytes come out."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.engine.strategy import bind, load_strategy
from pinnacle.event import (
    ALERT,
    ALERT_ODD_TRANSITION,
    ALERT_STALE,
    ASK,
    BID,
    BOOK_LEVEL,
    CANCEL,
    CHECKPOINT,
    LAST,
    LINK_DOWN,
    LINK_UP,
    OPERATOR_KILL,
    OPERATOR_PAUSE,
    OPERATOR_RESUME,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_FILLED,
    OUTPUT_KIND_MIN,
    PARAMETER_SET,
    PLACE,
    TIMER,
)
from pinnacle.kernels import jit
from pinnacle.kernels.latency import FEED, FITTED
from pinnacle.kernels.state import NO_PRICE, OUT, STOP_TIME_BACK, WAKE_FEED, WAKE_ORDER, WAKE_TIMER, new_state
from pinnacle.kernels.step import answer_external, step
from pinnacle.limits import AFTER_MARKET_NS
from pinnacle.run.feeds import Feed, Source
from tests.kernels.scene import Scene, add_want, ask, bid, bought, event, market, sold, wake, woven

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS = 400 if jit.INTERPRETED else 25_000
WAKES = {"timer": WAKE_TIMER, "feed": WAKE_FEED, "order": WAKE_ORDER | WAKE_TIMER, "all": 7}
MS = 1_000_000


@cache
def sample():
    """The first rows of the bundled sample: (events, woven rows, address of a strategy that joins the best)."""
    day = ROOT / "data" / "catalog" / "binance-usdm" / "BTCUSDT" / "2024-08-08.parquet"
    events = next(Feed([Source([day], 0, 0)]).events())[:ROWS].copy()
    strategy = load_strategy(ROOT / "strategies" / "join_best.py")
    return events, woven(events), bind(strategy, 1)


def sample_run(wake_on, sizes, latency=0, checkpoint_every=0):
    """A run over the sample, fed in batches."""
    events, rows, quote = sample()
    first_ns = int(min(events["ts_ns"][0], rows["ts_venue_ns"][0]))
    ran = Scene(
        quote=quote,
        delays=(2 * MS, MS, MS),
        wake_on=wake_on,
        timer_every_ns=50 * MS,
        first_ns=first_ns,
        linger_ns=500 * MS,
    )
    own = ran.checkpoints(checkpoint_every).own
    own["params"][:2] = 10.0, 50.0
    model = ran.venue["latency"]
    model["model"], model["multiplier"][:], model["seed"] = latency, 0.5, 3
    model["mu"][:], model["sigma"][:] = np.log(2 * MS), 0.7
    return ran.run_woven(rows, sizes, events)


@cache
def whole_run(wake_on, latency, checkpoint_every=0):
    """The run that is not cut."""
    return sample_run(wake_on, (), latency, checkpoint_every)


@pytest.mark.parametrize("latency", [0, FITTED], ids=["constant", "fitted"])
@pytest.mark.parametrize("sizes", [(1,), (7,), (1000,), (1, 331, 7, 4096)], ids=str)
@pytest.mark.parametrize("wake_on", WAKES.values(), ids=WAKES)
def test_cut_anywhere(wake_on, sizes, latency):
    """Any batches of the market give the same log bytes and the same state."""
    if sizes == (1,) and latency == FITTED:
        pytest.skip("batches of one are slow and shown with the constant latency")
    whole = whole_run(wake_on, latency, 500)
    cut = sample_run(wake_on, sizes, latency, 500)
    assert (len(whole.kinds(PLACE)) > 3 and len(whole.kinds(CHECKPOINT)) > 3) or jit.INTERPRETED
    assert cut.records.tobytes() == whole.records.tobytes()
    assert cut.fingerprint() == whole.fingerprint() and cut.fault == whole.fault == 0


@pytest.mark.parametrize("wake_on", WAKES.values(), ids=WAKES)
def test_replay_gives_the_same_outputs(wake_on):
    """Folding a run's inputs gives its outputs, byte for byte, and its state; the venue takes no part in that."""
    ran = whole_run(wake_on, 0, 500)
    outputs, print_ = ran.replayed(sample()[0])
    assert outputs.tobytes() == ran.records[ran.records["kind"] >= OUTPUT_KIND_MIN].tobytes()
    assert print_ == ran.fingerprint()


@pytest.mark.parametrize("wake_on", WAKES.values(), ids=WAKES)
def test_log_is_in_order(wake_on):
    """A log's numbers and times never fall, an output follows its input, and the sum of fills is the position."""
    ran = whole_run(wake_on, 0, 500)
    records = ran.records
    assert (np.diff(records["seq"]) >= 0).all() and (np.diff(records["ts_ns"]) >= 0).all()
    inputs = records[records["kind"] < OUTPUT_KIND_MIN]
    assert (np.diff(inputs["seq"]) > 0).all()
    fills = ran.kinds(ORDER_FILLED)
    assert (fills["side"] * fills["qty_lots"]).sum() == ran.own["position_lots"]
    assert ran.own["odd"] == 0


PAUSE = st.integers(0, 30)
RAW = st.lists(
    st.tuples(PAUSE, st.integers(0, 3), st.integers(0, 9), st.integers(0, 5), st.integers(0, 25)), max_size=60
)


def small_market(raw):
    """A wild little market: crossing levels, trades, rows that end messages and rows that do not, late venue times."""
    rows, now = [bid(50, 95, 5), ask(50, 105, 5)], 100
    for pause, what, price, lots, lag in raw:
        now += pause
        how = {"ts_venue_ns": now - lag, "flags": LAST * (price % 2)}
        make = (bid, ask, bought, sold)[what]
        rows.append(make(now, 95 + price + what % 2, max(lots, what // 2), **how))
    return market(*rows, wake(now + 40), wake(now + 400))


def restless(state, me):
    """A strategy that moves its quotes with the time and the best, so that everything is always on its way."""
    own, top = state["lane"]["own"][me], state["market"]["top"][me]
    if min(top["bid_ticks"], top["ask_ticks"]) == NO_PRICE:
        return
    turn = int(state["market"]["seq"]) % 3
    add_want(own["want"], BID, int(top["bid_ticks"]) - turn, 3, (16, 0, 32)[turn])
    add_want(own["want"], ASK, int(top["ask_ticks"]) + turn, 2, 16)


def small_run(events, wake_on, latency, sizes, sample_every_ns=0, checkpoint_every=5):
    """A run of the restless strategy."""
    ran = Scene(restless, delays=(3, 2, 4), wake_on=wake_on, timer_every_ns=9, first_ns=50, linger_ns=200)
    model = ran.venue["latency"]
    model["model"], model["multiplier"][:], model["mu"][:], model["sigma"][:] = latency, 0.5, 2.0, 0.5
    ran.checkpoints(checkpoint_every)
    if sample_every_ns:
        ran.observed[0]["sample_every_ns"] = sample_every_ns
        ran.observed[0]["sample_ns"] = ran.observed[0]["due_ns"] = 50
    return ran.run(events, sizes)


@settings(max_examples=60, deadline=None)
@given(
    RAW,
    st.sampled_from(sorted(WAKES)),
    st.sampled_from((0, FITTED)),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_small_markets_cut_and_replayed(raw, wake_on, latency, sizes):
    """Whatever the market does, where it is cut does not matter, and its log replays."""
    events = small_market(raw)
    whole = small_run(events, WAKES[wake_on], latency, ())
    cut = small_run(events, WAKES[wake_on], latency, sizes)
    assert whole.fault == cut.fault == 0
    assert cut.records.tobytes() == whole.records.tobytes()
    assert cut.fingerprint() == whole.fingerprint()
    outputs, print_ = whole.replayed(events)
    assert outputs.tobytes() == whole.records[whole.records["kind"] >= OUTPUT_KIND_MIN].tobytes()
    assert print_ == whole.fingerprint()


@settings(max_examples=40, deadline=None)
@given(RAW, st.sampled_from(sorted(WAKES)), st.sampled_from((0, FEED, FITTED)), st.integers(3, 40))
def test_watching_changes_nothing(raw, wake_on, latency, every_ns):
    """Samples of the book and the account are taken beside the run: its log is the same without them."""
    events = small_market(raw)
    plain = small_run(events, WAKES[wake_on], latency, ())
    watched = small_run(events, WAKES[wake_on], latency, (), every_ns)
    assert watched.records.tobytes() == plain.records.tobytes()


def test_feed_latency_cut_anywhere():
    """A latency that follows the feed's is the same wherever the market is cut."""
    for seed in range(16):
        draw = random.Random(seed)
        most = (31, 4, 10, 6, 26)
        events = small_market([tuple(map(draw.randrange, most)) for _ in range(draw.randrange(40))])
        for wake_on in WAKES.values():
            whole, cut = (small_run(events, wake_on, FEED, sizes) for sizes in ((), (1,)))
            assert cut.records.tobytes() == whole.records.tobytes()


def test_feed_heard_before_it_happened():
    """A venue whose clock is ahead of ours stops no run: the engine never runs past an answer that is due."""
    ran = Scene(restless, delays=(900, 900, 900))
    ran.venue["latency"]["model"], ran.venue["latency"]["multiplier"][:] = FEED, 1.0
    rows = [bid(50, 95, 5), ask(50, 105, 5)]
    rows += [bid(100 + 20 * k, 96 + k % 4, 3, ts_venue_ns=100 + 20 * k + 700, flags=LAST) for k in range(90)]
    assert ran.run(market(*rows)).fault == 0
    assert (np.diff(ran.records["ts_ns"]) >= 0).all()


def test_run_ends_after_its_market():
    """A strategy whose orders the venue rejects again and again does not keep a run going when the market has ended."""

    def stubborn(state, me):
        add_want(state["lane"]["own"][me]["want"], BID, 95, 3)

    delays, wakes = (10_000_000,) * 3, WAKE_TIMER | WAKE_ORDER
    ran = Scene(stubborn, delays, wake_on=wakes, timer_every_ns=1_000_000_000, first_ns=50, linger_ns=1 << 60)
    ran.venue["qty_min_lots"] = 10
    end_ns = 1_000_000_100
    ran.run(market(bid(50, 95, 5), ask(60, 105, 5), wake(end_ns)))
    assert end_ns < ran.records["ts_ns"].max() <= end_ns + AFTER_MARKET_NS


def test_the_last_commands_are_answered():
    """What is sent on the market's last row is still answered: the log does not end with an order nobody heard of."""
    ran = Scene({100: [(BID, 96, 2)]}).run(market(bid(50, 95, 5), ask(60, 105, 5), wake(100)))
    assert ran.tale() == ["100 place #1 buy 2 @ 96", "120 acknowledged #1 buy 2 @ 96"]


def heard(scene, kind, ts_ns, **fields):
    """Fold one input into a scene's state, asking its script if it is due; returns the outputs it caused."""
    out = scene.out[0]
    out["count"] = 0
    step(scene.state[0], event(kind, ts_ns, **fields)[0], 0, out)
    if scene.state[0]["lane"]["due"]:
        scene._ask()
    rows = out["rows"][: int(out["count"])].copy()
    out["count"] = 0
    return rows


def quoting(wake_on=WAKE_FEED):
    """A scene whose state quotes both sides of 95 | 105, the orders being acknowledged."""
    scene = Scene({0: [(BID, 95, 2), (ASK, 105, 2)]}, wake_on=wake_on)
    book = {"side": BID, "price": 95, "lots": 5}
    assert heard(scene, 2, 10, **book).size == 0
    placed = heard(scene, 2, 11, side=ASK, price=105, lots=5, flags=LAST)
    assert placed["kind"].tolist() == [PLACE, PLACE]
    for order in placed:
        heard(scene, ORDER_ACKNOWLEDGED, 20, order_id=int(order["order_id"]), side=int(order["side"]))
    return scene, placed["order_id"].tolist()


def test_time_that_goes_back_stops_the_engine():
    """An event dated before the last one is not heard: the engine stops and nothing else has changed."""
    scene, _ids = quoting()
    seq = int(scene.state[0]["market"]["seq"])
    assert heard(scene, TIMER, 19).size == 0
    assert scene.state[0]["lane"]["fault"] == STOP_TIME_BACK and scene.state[0]["market"]["seq"] == seq


@pytest.mark.parametrize("kind", [OPERATOR_PAUSE, OPERATOR_KILL])
def test_operator_stops_the_quotes(kind):
    """A pause or a kill cancels what works at once and nothing is placed after it; only a pause can be resumed."""
    scene, ids = quoting()
    scene.script = {0: [(BID, 94, 2)], 30: [(BID, 94, 2)], 60: [(BID, 94, 2)]}
    scene.asked.clear()
    stopped = heard(scene, kind, 30)
    assert stopped["kind"].tolist() == [CANCEL, CANCEL] and stopped["order_id"].tolist() == ids
    assert heard(scene, 2, 40, side=BID, price=94, lots=5, flags=LAST).size == 0
    for order_id in ids:
        heard(scene, 23, 45, order_id=order_id)
    heard(scene, OPERATOR_RESUME, 50)
    resumed = heard(scene, 2, 60, side=BID, price=94, lots=6, flags=LAST)
    assert resumed["kind"].tolist() == ([PLACE] if kind == OPERATOR_PAUSE else [])


def test_stale_link_pulls_the_quotes():
    """A link that goes down is said and pulls the quotes; nothing is quoted on it before it is up again."""
    scene, ids = quoting()
    down = heard(scene, LINK_DOWN, 30)
    assert down["kind"].tolist() == [ALERT, CANCEL, CANCEL] and down["aux"][0] == ALERT_STALE
    scene.script, scene.asked = {0: [(BID, 94, 2)]}, set()
    assert heard(scene, 2, 40, side=BID, price=94, lots=5, flags=LAST).size == 0
    for order_id in ids:
        heard(scene, 23, 45, order_id=order_id)
    heard(scene, LINK_UP, 50)
    assert heard(scene, 2, 60, side=BID, price=94, lots=5, flags=LAST)["kind"].tolist() == [PLACE]


def test_fill_of_a_forgotten_order_is_money():
    """A fill for an order that we believed gone is booked and said as odd; it moves no other order."""
    scene, ids = quoting()
    heard(scene, 23, 30, order_id=ids[0], side=BID)
    odd = heard(scene, ORDER_FILLED, 40, order_id=ids[0], side=BID, price=95, lots=2, aux=7)
    assert odd["kind"].tolist() == [ALERT] and odd["aux"].tolist() == [ALERT_ODD_TRANSITION]
    assert (scene.own["position_lots"], scene.own["fees_units"], scene.own["odd"]) == (2, 7, 1)
    assert scene.own["live_count"].tolist() == [0, 1]


def test_parameter_is_set_in_millionths():
    """A learner's or an operator's parameter takes effect as the event says, exactly."""
    scene, _ids = quoting()
    heard(scene, PARAMETER_SET, 30, aux=3, price=1_250_000)
    assert scene.own["params"][3] == 1.25


@pytest.mark.parametrize("wake_on, kinds", [(WAKE_TIMER, TIMER), (WAKE_ORDER, ORDER_ACKNOWLEDGED)])
def test_wakes_are_those_that_were_asked_for(wake_on, kinds):
    """The strategy is woken by what the run listens to and by nothing else."""
    scene = Scene({0: []}, wake_on=wake_on)
    heard(scene, 2, 10, side=BID, price=95, lots=5, flags=LAST)
    assert scene.state[0]["lane"]["wakes"] == 0
    heard(scene, kinds, 11)
    assert scene.state[0]["lane"]["wakes"] == 1


def test_checkpoint_after_every_so_many_inputs():
    """A checkpoint is said after each so many inputs and is the state's fingerprint then."""
    scene, _ids = quoting()
    scene.checkpoints(3)
    said = [heard(scene, TIMER, 30 + k) for k in range(9)]
    with_one = [rows for rows in said if rows.size]
    assert len(with_one) == 3
    assert all(rows["kind"].tolist() == [CHECKPOINT] for rows in with_one)
    assert np.diff([int(rows["seq"][0]) for rows in with_one]).tolist() == [3, 3]
    assert len({int(rows["aux"][0]) for rows in with_one}) == 3


@pytest.mark.parametrize("listen_all", [0, 1])
def test_a_lost_book_silences_who_listens_to_it(listen_all):
    """Where all instruments listen to each other a lost link pulls the quotes of all, and none quotes before every
    link is up; where each listens to its own, only its own."""
    state, out = new_state(2), np.zeros(1, OUT)
    market_, lane = state[0]["market"], state[0]["lane"]
    market_["instruments"], lane["wake_on"], lane["external"], lane["listen_all"] = 2, WAKE_FEED, 1, listen_all
    lane["own"]["traded"] = lane["own"]["units_per_ticklot"] = 1

    def hear(kind, ts_ns, instrument, **fields):
        """What one event makes: kinds and instruments of its outputs, the strategy wanting a bid of 95 everywhere."""
        out[0]["count"] = 0
        step(state[0], event(kind, ts_ns, instrument=instrument, flags=LAST, **fields)[0], 0, out[0])
        for me in range(2):
            if lane["own"][me]["due"]:
                add_want(lane["own"][me]["want"], BID, 95, 1)
        if lane["due"]:
            answer_external(state[0], out[0])
        rows = out[0]["rows"][: int(out[0]["count"])]
        return [(int(row["kind"]), int(row["instrument"])) for row in rows]

    placed = hear(BOOK_LEVEL, 1, 0, side=BID, price=95, lots=5) + hear(BOOK_LEVEL, 2, 1, side=BID, price=95, lots=5)
    assert sorted(placed) == [(PLACE, 0), (PLACE, 1)]
    for me in range(2):
        for order_id in lane["own"][me]["orders"]["order_id"][lane["own"][me]["live"][0, :1]].tolist():
            hear(ORDER_ACKNOWLEDGED, 3, me, order_id=order_id, lots=1, side=BID)
    lost = hear(LINK_DOWN, 4, 1)
    assert lost == [(ALERT, 1), *([(CANCEL, 0)] if listen_all else []), (CANCEL, 1)]
    for me, kind in ((0, ORDER_CANCELLED), (1, ORDER_CANCELLED)):
        if lane["own"][me]["live_count"][0] and (listen_all or me == 1):
            order_id = int(lane["own"][me]["orders"]["order_id"][lane["own"][me]["live"][0, 0]])
            hear(kind, 5, me, order_id=order_id, lots=1, side=BID)
    assert hear(BOOK_LEVEL, 6, 0, side=BID, price=95, lots=6) == []
    up = hear(LINK_UP, 7, 1)
    assert (PLACE, 1) in up and ((PLACE, 0) in up) == bool(listen_all)

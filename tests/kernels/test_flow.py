"""Measures of the order flow: against the obvious computation, and against flows whose truth is known."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.kernels import flow

NS = 1_000_000_000
START_NS = 1_723_075_200_123_456_789
AT = 3
lots = st.integers(0, 1 << 40)
ticks = st.integers(1, 1 << 39)

# Prints what must not depend on how it is run.
SCRIPT = """
import numpy as np
from pinnacle.kernels import flow
memory, ts_ns = np.zeros(60), 1723075200123456789
x = 1
for i in range(400):
    x = x * 6364136223846793005 % 2**64
    a, b, c = x >> 20 & 15, x >> 30 & 15, x >> 40 & 31
    ts_ns += a * b * c * 1_000_003
    print(flow.ofi_update(memory, 2, 100 + a % 3, 1 + b, 103 + c % 3, 1 + a), flow.imbalance(a, c),
          float(flow.micro_price(100, b, 103, c)).hex(),
          float(flow.variance_update(memory, 10, ts_ns, 100 + a / 2, 3.0, 50_000_000)).hex())
    flow.reach_update(memory, 20, 30, ts_ns, c / 3.0 - 1.0, 0.5, 20.0)
    print(*(float(v).hex() for v in flow.reach_fit(memory, 20, 30, 0.5, 1, 2)))
print(*(float(v).hex() for v in memory))
"""


def test_compiled_equals_interpreted():
    """Every measure, and the memory it keeps, has the same bits compiled and interpreted."""
    printed = []
    for switch in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": switch}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.replace(" 0 ", " 0.0 "))
    assert printed[0] == printed[1]
    assert printed[0].count("\n") == 801


# --- of one moment ------------------------------------------------------------------------------------------------
@given(lots, lots)
def test_imbalance_is_odd_and_bounded(bid, ask):
    """Imbalance lies within -1 and 1, changes sign when the sides change places, and is NaN of nothing."""
    value = flow.imbalance(bid, ask)
    if bid + ask == 0:
        assert math.isnan(value)
        return
    assert -1.0 <= value <= 1.0
    assert value == -flow.imbalance(ask, bid)
    assert (value > 0) == (bid > ask)


@given(st.lists(lots, max_size=6), st.lists(lots, max_size=6), st.integers(0, 8))
def test_depth_imbalance_sums_the_first_levels(bids, asks, levels):
    """Depth imbalance is the imbalance of the sums over the first levels, and short sides count whole."""
    bid, ask = np.array(bids, np.int64), np.array(asks, np.int64)
    value, expected = flow.depth_imbalance(bid, ask, levels), flow.imbalance(sum(bids[:levels]), sum(asks[:levels]))
    assert value == expected or (math.isnan(value) and math.isnan(expected))


@given(ticks, st.integers(1, 1000), lots, lots)
def test_micro_price_lies_inside_the_spread(bid, width, bid_lots, ask_lots):
    """The micro-price lies between bid and ask, on the thinner side of the mid, and mirrors with the book."""
    ask = bid + width
    value = flow.micro_price(bid, bid_lots, ask, ask_lots)
    if bid_lots + ask_lots == 0:
        assert math.isnan(value)
        return
    assert bid <= value <= ask
    assert value + flow.micro_price(bid, ask_lots, ask, bid_lots) == pytest.approx(bid + ask, rel=1e-15)
    exact = (bid * ask_lots + ask * bid_lots) / (bid_lots + ask_lots)
    assert value == pytest.approx(exact, rel=1e-15)


# --- order-flow imbalance -----------------------------------------------------------------------------------------
@given(st.lists(st.tuples(ticks, st.integers(1, 1 << 40), ticks, st.integers(1, 1 << 40)), min_size=2, max_size=8))
def test_ofi_is_the_sum_of_the_formula(bests):
    """The running sum is the formula's, term by term, exactly, and so is each returned event."""
    memory, total = np.zeros(AT + flow.OFI_SIZE), 0
    assert flow.ofi_update(memory, AT, *bests[0]) == 0
    for (pb, qb, pa, qa), (bid, bid_lots, ask, ask_lots) in pairwise(bests):
        e = (bid >= pb) * bid_lots - (bid <= pb) * qb - (ask <= pa) * ask_lots + (ask >= pa) * qa
        assert flow.ofi_update(memory, AT, bid, bid_lots, ask, ask_lots) == e
        total += e
    assert memory[AT + flow.OFI_SUM_LOTS] == total
    assert memory[AT + flow.OFI_COUNT] == len(bests)
    assert not memory[:AT].any()


@given(st.integers(2, 50), st.lists(st.tuples(st.booleans(), st.integers(-80, 80)), max_size=300))
def test_constant_depth_bounds_price_against_ofi(depth, changes):
    """With the same depth at every level the mid's change stays within one tick of OFI / (2 depth), always."""
    memory = np.zeros(AT + flow.OFI_SIZE)
    # A side's best and the lots there, 1 to depth; prices grow towards the other side on both.
    price, lots_there = {True: 0, False: -20}, {True: depth, False: depth}

    def update():
        flow.ofi_update(memory, AT, price[True], lots_there[True], -price[False], lots_there[False])
        change = (price[True] - (price[False] + 20)) / 2
        assert abs(change - memory[AT + flow.OFI_SUM_LOTS] / (2 * depth)) < 1.0

    update()
    for side, amount in changes:
        # An order that spans levels is heard as one change a level, as a venue tells it.
        while amount > 0:
            if lots_there[side] == depth:
                if price[side] + 1 >= -price[not side]:
                    break
                price[side] += 1
                lots_there[side] = 0
            added = min(amount, depth - lots_there[side])
            lots_there[side] += added
            amount -= added
            update()
        while amount < 0:
            taken = min(-amount, lots_there[side])
            lots_there[side] -= taken
            amount += taken
            if lots_there[side] == 0:
                price[side] -= 1
                lots_there[side] = depth
            update()


def test_ofi_of_a_missing_side():
    """A side that is empty before or after adds nothing; the other side still counts."""
    memory = np.zeros(AT + flow.OFI_SIZE)
    flow.ofi_update(memory, AT, 10, 5, 0, 0)
    assert flow.ofi_update(memory, AT, 10, 9, 12, 4) == 4
    assert flow.ofi_update(memory, AT, 10, 9, 0, 0) == 0
    assert flow.ofi_update(memory, AT, 10, 9, 12, 4) == 0
    assert flow.ofi_update(memory, AT, 10, 9, 12, 1) == 3


# --- volatility ---------------------------------------------------------------------------------------------------
samples = st.lists(st.tuples(st.integers(0, 5 * NS), st.integers(0, 400)), min_size=2, max_size=40)


@given(samples)
def test_variance_without_forgetting_is_realised_variance(steps):
    """With an infinite half-life the estimate is the sum of squares over the whole time, irregular or not."""
    ts_ns = START_NS + np.cumsum([step for step, _ in steps])
    mids = np.array([half / 2 for _, half in steps])
    memory = np.zeros(AT + flow.VARIANCE_SIZE)
    for t, mid in zip(ts_ns, mids):
        value = flow.variance_update(memory, AT, int(t), mid, math.inf, 0)
    realised = flow.realised_volatility(ts_ns, mids)
    if ts_ns[-1] == ts_ns[0]:
        assert math.isnan(value) and math.isnan(realised)
        return
    assert flow.volatility(value) == pytest.approx(realised, rel=1e-9)
    assert realised**2 == pytest.approx(np.sum(np.diff(mids) ** 2) / ((ts_ns[-1] - ts_ns[0]) / NS), rel=1e-9)
    assert not memory[:AT].any()


@given(samples, st.floats(0.1, 100.0))
def test_variance_is_the_weighted_average_of_the_past(steps, half_life_s):
    """The estimate is the average of squared moves a second, time weighted by 2^(-age / half-life)."""
    ts = np.cumsum([step for step, _ in steps])
    mids = np.array([half / 2 for _, half in steps])
    memory = np.zeros(flow.VARIANCE_SIZE)
    for t, mid in zip(ts, mids):
        value = flow.variance_update(memory, 0, int(t) + START_NS, mid, half_life_s, 0)
    ages = (ts[-1] - ts) / NS / half_life_s * math.log(2.0)
    squares = exposure = 0.0
    for old, new, before, after in zip(ages, ages[1:], mids, mids[1:]):
        # Integral of exp(-age) over the interval; its mean there weights the squared move.
        held = math.exp(-new) * -math.expm1(new - old)
        squares += (after - before) ** 2 * (held / (old - new) if old > new else math.exp(-new))
        exposure += held * half_life_s / math.log(2.0)
    if exposure == 0.0:
        assert math.isnan(value)
        return
    assert value == pytest.approx(squares / exposure, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("half_life_s, tolerance", [(math.inf, 0.05), (200.0, 0.25)])
def test_variance_of_a_brownian_mid(half_life_s, tolerance):
    """A mid of constant volatility, heard at irregular times, is measured as what it is."""
    draws, sigma = np.random.RandomState(5), 1.7
    gaps_s = draws.exponential(0.4, 6000)
    mids = np.cumsum(draws.standard_normal(6000) * sigma * np.sqrt(gaps_s))
    memory = np.zeros(flow.VARIANCE_SIZE)
    for t, mid in zip(START_NS + np.cumsum(gaps_s * NS).astype(np.int64), mids):
        value = flow.variance_update(memory, 0, int(t), mid, half_life_s, 0)
    assert flow.volatility(value) == pytest.approx(sigma, rel=tolerance)


def test_sampling_passes_over_bounces():
    """A mid that bounces between two prices within the sampling time has no variance if sampled, else much."""
    raw, sampled = np.zeros(flow.VARIANCE_SIZE), np.zeros(flow.VARIANCE_SIZE)
    for i in range(1001):
        flow.variance_update(raw, 0, START_NS + i * 1_000_000, 100.0 + 0.5 * (i % 2), math.inf, 0)
        flow.variance_update(sampled, 0, START_NS + i * 1_000_000, 100.0 + 0.5 * (i % 2), math.inf, 100_000_000)
    assert flow.variance_of(raw, 0) == pytest.approx(250.0)
    assert flow.variance_of(sampled, 0) == 0.0


def test_variance_of_too_little():
    """One sample, no time, or a NaN mid is no data; a NaN mid changes nothing that is kept."""
    memory = np.zeros(flow.VARIANCE_SIZE)
    assert math.isnan(flow.variance_update(memory, 0, START_NS, math.nan, 1.0, 0))
    assert not memory.any()
    assert math.isnan(flow.variance_update(memory, 0, START_NS, 100.0, 1.0, 0))
    assert math.isnan(flow.variance_update(memory, 0, START_NS, 101.0, 1.0, 0))
    assert flow.variance_update(memory, 0, START_NS + NS, 101.0, math.inf, 0) == 1.0
    kept = memory.copy()
    flow.variance_update(memory, 0, START_NS + 2 * NS, math.nan, 1.0, 0)
    assert (memory == kept).all()
    assert math.isnan(flow.volatility(math.nan))
    assert math.isnan(flow.realised_volatility(np.array([5]), np.array([1.0])))


# --- how far trades reach -----------------------------------------------------------------------------------------
def observe(a, k, seconds, half_life_s, buckets=40, bucket_ticks=0.5, seed=9):
    """Memory after arrivals at rate a whose distance is exponential with rate k."""
    draws = np.random.RandomState(seed)
    times = np.sort(draws.random_sample(draws.poisson(a * seconds)) * seconds)
    distances = draws.exponential(1.0 / k, times.size)
    memory = np.zeros(AT + flow.reach_size(buckets))
    flow.reach_advance(memory, AT, buckets, START_NS, half_life_s)
    for t, distance in zip(START_NS + (times * NS).astype(np.int64), distances):
        flow.reach_update(memory, AT, buckets, int(t), distance, bucket_ticks, half_life_s)
    flow.reach_advance(memory, AT, buckets, START_NS + int(seconds * NS), half_life_s)
    return memory


@pytest.mark.parametrize("a, k", [(0.9, 0.3), (20.0, 1.5), (3.0, 0.05)])
@pytest.mark.parametrize("half_life_share, tolerance", [(math.inf, 0.06), (0.25, 0.15)])
def test_intensity_is_recovered(a, k, half_life_share, tolerance):
    """Arrivals of rate a exp(-k d) give back a and k, with and without forgetting, in buckets of a tenth of 1/k."""
    bucket_ticks = 0.1 / k
    seconds = 8000.0 / a
    memory = observe(a, k, seconds, half_life_share * seconds, bucket_ticks=bucket_ticks)
    found_a, found_k = flow.reach_fit(memory, AT, 40, bucket_ticks, 0, 1)
    assert found_a == pytest.approx(a, rel=tolerance)
    assert found_k == pytest.approx(k, rel=tolerance)
    both_a, both_k = flow.reach_fit(memory, AT, 40, bucket_ticks, 0, 2)
    assert both_a == pytest.approx(found_a / 2) and both_k == pytest.approx(found_k)
    assert not memory[:AT].any()


def test_fit_is_the_weighted_line():
    """The fit is NumPy's weighted line through the logarithms of the rates of arrival at each distance or beyond."""
    buckets, bucket_ticks, first = 40, 0.5, 3
    memory = observe(2.0, 0.4, 2000.0, math.inf)
    counts = memory[AT + flow.REACH_HEADER :]
    reached = counts[::-1].cumsum()[::-1]
    used = [i for i in range(first, buckets) if reached[i] >= 1.0]
    slope, level = np.polyfit(
        [i * bucket_ticks for i in used], np.log(reached[used] / 2000.0), 1, w=np.sqrt(reached[used])
    )
    a, k = flow.reach_fit(memory, AT, buckets, bucket_ticks, first, 1)
    assert a == pytest.approx(math.exp(level), rel=1e-9)
    assert k == pytest.approx(-slope, rel=1e-9)


def test_a_sweep_is_one_arrival():
    """Trades of one instant count once, at the deepest, in whatever order they come; the next instant counts anew."""
    for distances in ([0.5, 1.5, 2.5], [2.5, 0.5, 1.5], [2.5, 2.5]):
        memory = np.zeros(AT + flow.reach_size(8))
        flow.reach_advance(memory, AT, 8, START_NS, math.inf)
        for distance in distances:
            flow.reach_update(memory, AT, 8, START_NS + 1, distance, 1.0, math.inf)
        assert list(memory[AT + flow.REACH_HEADER :]) == [0, 0, 1, 0, 0, 0, 0, 0]
        flow.reach_update(memory, AT, 8, START_NS + 2, 0.0, 1.0, math.inf)
        assert list(memory[AT + flow.REACH_HEADER :]) == [1, 0, 1, 0, 0, 0, 0, 0]


def test_odd_distances():
    """A distance beyond the last bucket, infinity included, reached them all; one below 0 or NaN reached none."""
    memory = np.zeros(flow.reach_size(4))
    for i, distance in enumerate((3.5, 4.0, 1e9, math.inf, -0.5, math.nan)):
        flow.reach_update(memory, 0, 4, START_NS + i, distance, 1.0, math.inf)
    assert list(memory[flow.REACH_HEADER :]) == [0, 0, 0, 4]


def test_no_fit_from_too_little():
    """Nothing observed, no time, one distance only, or a rate that does not fall is no fit."""
    memory = np.zeros(flow.reach_size(4))
    assert all(map(math.isnan, flow.reach_fit(memory, 0, 4, 1.0, 0, 1)))
    flow.reach_update(memory, 0, 4, START_NS, 0.5, 1.0, math.inf)
    assert all(map(math.isnan, flow.reach_fit(memory, 0, 4, 1.0, 0, 1)))
    flow.reach_advance(memory, 0, 4, START_NS + NS, math.inf)
    assert all(map(math.isnan, flow.reach_fit(memory, 0, 4, 1.0, 0, 1)))
    beyond = np.zeros(flow.reach_size(4))
    for i in range(9):
        flow.reach_update(beyond, 0, 4, START_NS + i * NS, 9.0, 1.0, math.inf)
    assert all(map(math.isnan, flow.reach_fit(beyond, 0, 4, 1.0, 0, 1)))


def test_time_does_not_go_back():
    """A time before the last one is our own mistake and stops the kernel."""
    variance, reach = np.zeros(flow.VARIANCE_SIZE), np.zeros(flow.reach_size(4))
    flow.variance_update(variance, 0, START_NS, 1.0, 1.0, 0)
    flow.reach_advance(reach, 0, 4, START_NS, 1.0)
    with pytest.raises(AssertionError):
        flow.variance_update(variance, 0, START_NS - 1, 1.0, 1.0, 0)
    with pytest.raises(AssertionError):
        flow.reach_advance(reach, 0, 4, START_NS - 1, 1.0)

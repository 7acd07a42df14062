"""What the shipped strategies want, asked directly on states made by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.engine.strategy import Strategy, load_strategy, quote_outside
from pinnacle.event import POST_ONLY
from pinnacle.kernels.book import set_price
from pinnacle.kernels.state import new_state
from tests.strategies import sample

MID = 600_000
NS = 1_000_000_000
STRATEGIES = {name: load_strategy(sample.strategy_path(name)) for name in sample.NAMES}


@dataclass
class Asked:
    """One strategy on an instrument with a tick of 0.1 and a lot of 0.001, asked as the engine would."""

    strategy: Strategy
    given: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = new_state(1)
        self.market, self.own = self.state[0]["market"], self.state[0]["lane"]["own"][0]
        self.market["instruments"], self.market["ts_ns"] = 1, 1_700_000_000 * NS
        self.own["tick"], self.own["lot"], self.own["traded"] = 0.1, 0.001, 1
        known = {param.name for param in self.strategy.params}
        values = self.strategy.values({k: v for k, v in self.given.items() if k in known}, "test")
        self.own["params"][: len(values)] = list(values.values())

    def book(self, bid_ticks: int, ask_ticks: int, bid_lots: int = 10, ask_lots: int = 10) -> None:
        """The book becomes one level a side."""
        top, book = self.market["top"][0], self.market["book"][0]
        for side, ticks in ((1, "bid_ticks"), (-1, "ask_ticks")):
            if top[ticks] > 0:
                set_price(book, side, int(top[ticks]), 0)
        set_price(book, 1, bid_ticks, bid_lots)
        set_price(book, -1, ask_ticks, ask_lots)
        top["bid_ticks"], top["ask_ticks"], top["bid_lots"], top["ask_lots"] = bid_ticks, ask_ticks, bid_lots, ask_lots

    def trade(self, side: int, price_ticks: int) -> None:
        """A trade is heard."""
        top = self.market["top"][0]
        top["trade_side"], top["trade_ticks"], top["trade_lots"] = side, price_ticks, 1
        top["trade_count"] += 1

    def wants(self, position_lots: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """([bids], [asks]) as (price, lots), best first."""
        want = self.own["want"]
        want["count"], want["hold"], want["fault"] = 0, 0, 0
        self.own["position_lots"] = position_lots
        quote_outside(self.strategy, self.state[0], 0)
        assert want["fault"] == 0
        rows = [
            tuple(int(want[name][k]) for name in ("side", "price_ticks", "qty_lots", "flags"))
            for k in range(want["count"])
        ]
        assert all(flags == POST_ONLY for _, _, _, flags in rows)
        bids = sorted(((price, lots) for side, price, lots, _ in rows if side > 0), reverse=True)
        return bids, sorted((price, lots) for side, price, lots, _ in rows if side < 0)

    def centre2(self, position_lots: int) -> int:
        """Best bid plus best ask wanted at a position."""
        bids, asks = self.wants(position_lots)
        return bids[0][0] + asks[0][0]


def watched(name: str, swing_ticks: int = 50, **given: float) -> Asked:
    """A strategy that has watched a minute of a mid swinging by so much, with trades around it, and is back at MID."""
    asked = Asked(STRATEGIES[name], given)
    rng = np.random.default_rng(7)
    for k in range(121):
        mid = MID + swing_ticks * (k % 2)
        asked.market["ts_ns"] += NS // 2
        if k:
            side = 1 if k % 4 < 2 else -1
            before = MID + swing_ticks * ((k - 1) % 2)
            asked.trade(side, before + side * (1 + int(rng.exponential(40))))
        asked.book(mid - 1, mid + 1)
        asked.wants()
    return asked


@pytest.fixture(scope="module")
def basic() -> Asked:
    """The basic market maker after its minute."""
    return watched("basic_market_maker", position_max=0.05)


@pytest.mark.parametrize("name", sample.NAMES)
def test_no_book_no_change(name):
    """Without a two-sided book a strategy holds: it wants nothing new and leaves what works."""
    asked = Asked(STRATEGIES[name])
    assert asked.wants() == ([], [])
    assert asked.own["want"]["hold"] == 1


@pytest.mark.parametrize("name", ["basic_market_maker", "avellaneda_stoikov", "glft"])
def test_nothing_before_it_has_watched(name):
    """A strategy that measures quotes nothing, and nothing that is no number, until its warm-up is over."""
    asked = Asked(STRATEGIES[name], {"warmup_s": 5.0})
    rng = np.random.default_rng(1)
    quoted = []
    for k in range(200):
        asked.market["ts_ns"] += NS // 10
        asked.book(MID + k % 3, MID + 2 + k % 3)
        asked.trade(1 if k % 2 else -1, MID + (1 if k % 2 else -1) * int(rng.exponential(40)))
        quoted.append(asked.wants() != ([], []))
    first = quoted.index(True)
    assert 45 <= first <= 70
    assert all(quoted[first:])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sample.NAMES), st.integers(-60, 60), st.integers(0, 400), st.integers(1, 40), st.integers(0, 1000),
    st.integers(0, 1000), st.data(),
)  # fmt: skip
def test_what_is_wanted_can_be(name, position, swing, spread, bid_lots, ask_lots, data):
    """Within the parameters' bounds, wants are on the book's own side and take the position no further than its limit.

    position_max is 0.05, fifty lots; an order never exceeds what is left to it, all levels of a side together.
    """
    strategy = STRATEGIES[name]
    given = {
        param.name: data.draw(st.floats(param.low, min(param.high, param.default * 10 + param.low)), label=param.name)
        for param in strategy.params
        if not param.whole and param.name not in ("position_max", "order_qty", "half_life_s", "warmup_s")
    }
    asked = Asked(strategy, {**given, "position_max": 0.05, "order_qty": 0.01, "warmup_s": 0.5})
    rng = np.random.default_rng(3)
    for k in range(12):
        mid = MID + swing * (k % 2)
        asked.market["ts_ns"] += NS // 2
        asked.trade(1 if k % 4 < 2 else -1, mid + int(rng.normal(0, 100)))
        asked.book(mid - spread, mid + spread, 1 + bid_lots, 1 + ask_lots)
        bids, asks = asked.wants(position)
        if name != "join_best":  # which stops a side at the limit instead of cutting its last order
            assert sum(lots for _, lots in bids) <= max(0, 50 - position)
            assert sum(lots for _, lots in asks) <= max(0, 50 + position)
        assert all(lots > 0 for _, lots in bids + asks)
        assert not bids or bids[0][0] < mid + spread
        assert not asks or asks[0][0] > mid - spread
        if name != "fixed_spread":  # which may be told to quote both sides at the mid
            assert not (bids and asks) or bids[0][0] < asks[0][0]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 300), st.integers(1, 300))
def test_volatility_widens(calm, more):
    """The basic market maker's spread grows with the volatility it watched, by the deviations it was told to."""
    spreads = []
    for swing in (calm, calm + more):
        bids, asks = watched("basic_market_maker", swing, imbalance_bps=0.0).wants()
        spreads.append(asks[0][0] - bids[0][0])
        # A mid that swings by s each half second has a volatility of s sqrt(2); half a deviation of one second a side.
        assert spreads[-1] == pytest.approx(2 * (0.2 * 60 + 0.5 * swing * math.sqrt(2)), abs=2.5)
    assert spreads[0] < spreads[1] or more < 3


def test_it_leans_against_the_position(basic):
    """Both quotes of the basic market maker go down as the position grows, alike on either side of none."""
    quotes = [basic.wants(position) for position in range(-45, 50, 5)]
    for side in range(2):
        prices = [one[side][0][0] for one in quotes]
        assert prices == sorted(prices, reverse=True) and prices[0] > prices[-1]
    for position in (10, 25, 40):
        assert abs(basic.centre2(position) + basic.centre2(-position) - 4 * MID) <= 2


def test_it_leans_with_the_book(basic):
    """More bids than asks lift the basic market maker's quotes, more asks than bids lower them."""
    centres = []
    for bid_lots, ask_lots in ((1, 1000), (10, 10), (1000, 1)):
        basic.book(MID - 1, MID + 1, bid_lots, ask_lots)
        centres.append(basic.centre2(0))
    basic.book(MID - 1, MID + 1)
    assert centres[0] < centres[1] < centres[2]


@pytest.mark.parametrize("name", ["avellaneda_stoikov", "glft"])
def test_the_reservation_price_leans_against_the_position(name):
    """The quotes' middle is below the mid when long, above when short, in proportion to the position."""
    asked = watched(name, gamma=0.005)
    assert abs(asked.centre2(0) - 2 * MID) <= 1
    shifts = [asked.centre2(position) - 2 * MID for position in (-30, -10, 10, 30)]  # in half ticks
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[1] > 1 and shifts[2] < -1
    assert abs(shifts[0] + shifts[3]) <= 2
    assert abs(shifts[3] - 3 * shifts[2]) <= 4


def test_avellaneda_stoikov_by_hand():
    """Reservation price and spread are the paper's, (29) and (30), with the volatility of the watched mid."""
    given = {"gamma": 0.1, "intensity_k": 1.5, "horizon_s": 5.0, "half_life_s": 3600.0}
    asked = watched("avellaneda_stoikov", 30, **given)
    variance = (30 / 60) ** 2 * 2  # bps^2 per s: a swing of 30 ticks, half a bps, each half second
    bids, asks = asked.wants(20)
    assert (bids[0][0] + asks[0][0]) / 2 == pytest.approx(MID - 60 * 2 * 0.1 * variance * 5, abs=1)
    spread = 0.1 * variance * 5 + 2 / 0.1 * math.log(1 + 0.1 / 1.5)
    assert asks[0][0] - bids[0][0] == pytest.approx(60 * spread, abs=2)


def test_glft_widens_with_volatility():
    """With the same trades and more volatility GLFT quotes wider and leans more."""

    def half_and_lean(swing: int) -> tuple[int, int]:
        asked = watched("glft", swing)
        bids, asks = asked.wants()
        return asks[0][0] - bids[0][0], -(asked.centre2(20) - 2 * MID)

    calm, wild = half_and_lean(5), half_and_lean(100)
    assert calm[0] < wild[0] and calm[1] < wild[1]


def test_glft_stops_when_trades_give_no_fit():
    """Without a trade there is no intensity, so GLFT quotes nothing rather than a guess."""
    asked = Asked(STRATEGIES["glft"])
    for _ in range(300):
        asked.market["ts_ns"] += NS // 10
        asked.book(MID - 1, MID + 1)
        assert asked.wants() == ([], [])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20), st.floats(0.02, 5.0), st.floats(0.0, 5.0), st.integers(-400, 400), st.integers(-50, 50),
)  # fmt: skip
def test_grid_levels(levels, spacing_bps, half_spread_bps, offset, position):
    """A grid with room has exactly `levels` distinct prices a side, on multiples of the spacing."""
    given = {"levels": levels, "spacing_bps": spacing_bps, "half_spread_bps": half_spread_bps, "position_max": 10.0}
    asked = Asked(STRATEGIES["grid"], {**given, "skew_bps": 0.0})
    mid = MID + offset
    asked.book(mid - 1, mid + 1)
    step = max(1, round(spacing_bps * mid / 10_000))
    bids, asks = asked.wants(position)
    for side, quotes in ((-1, bids), (1, asks)):
        prices = [price for price, _ in quotes]
        assert len(set(prices)) == levels
        assert all(price % step == 0 for price in prices)
        assert np.array_equal(np.diff(prices), [side * step] * (levels - 1))
        assert side * (prices[0] - mid) >= half_spread_bps * mid / 10_000 - 1e-6
        assert side * (prices[0] - mid) < max(half_spread_bps * mid / 10_000, 1) + step + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.lists(st.integers(-60, 60), min_size=1, max_size=10))
def test_grid_does_not_churn(levels, offsets):
    """While the mid moves by less than the spacing, at most one level of a side changes."""
    asked = Asked(STRATEGIES["grid"], {"levels": levels, "position_max": 10.0})
    before: Any = None
    mid = MID
    for offset in offsets:
        mid += offset
        asked.book(mid - 1, mid + 1)
        now = asked.wants()
        if before is not None:
            for side in range(2):
                assert len(set(before[side]) - set(now[side])) <= (1 if abs(offset) <= 59 else 2)
        before = now


@pytest.mark.parametrize("growth", [0.5, 1.0, 1.5])
def test_grid_sizes(growth):
    """Sizes grow by the factor from level to level, floored to lots, until the side's room is used up."""
    asked = Asked(STRATEGIES["grid"], {"levels": 20, "growth": growth, "order_qty": 0.016, "position_max": 0.2})
    asked.book(MID - 1, MID + 1)
    room, expected = 200 - 30, []
    for level in range(20):
        lots = min(int(16 * growth**level), room)
        room -= lots
        if lots:
            expected.append(lots)
    bids, _ = asked.wants(30)
    assert [lots for _, lots in bids] == expected

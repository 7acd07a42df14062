"""The generated background: its sums are those of a recount, it repeats, and it does what its rates say."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from pinnacle.event import (
    BOOK_LEVEL,
    BUY,
    CANCEL_REJECTED,
    EVENT,
    MARKET,
    ORDER_ACKNOWLEDGED,
    ORDER_FILLED,
    ORDER_REJECTED,
    PLACE,
    SELL,
    TRADE,
)
from pinnacle.kernels.background import WEIGHT_ONE
from pinnacle.kernels.book import W
from pinnacle.models.events import order_flow
from pinnacle.models.generator import Generator
from pinnacle.models.hawkes import fit_hawkes, points
from pinnacle.models.zero_intelligence import fit_zero_intelligence
from pinnacle.run.market import GeneratedMarket
from tests.naive.exchange_naive import ExchangeNaive, Person
from tests.simulated.capture import captured
from tests.simulated.scene import (
    CANCEL_PER_S,
    EDGES,
    GENERATORS,
    INSTRUMENT,
    LIMIT_PER_S,
    NS,
    START_NS,
    hawkes,
    market,
    sizes,
    watched,
    zero_intelligence,
)

MODELS = pytest.mark.parametrize("name", GENERATORS)


def recounted(made: GeneratedMarket) -> tuple[Counter, int]:
    """Orders by side and bucket of distance, and the sum of their weights, from the pool of orders alone."""
    flow, l3 = made.flow[0], made.exchange.exchange[0]["l3"]
    counts: Counter = Counter()
    weight = 0
    for order in made.exchange.book.orders[: int(l3["fresh"])]:
        if order["order_id"] != 0:
            s = int(order["s"])
            distance = int(flow["best_ticks"][1 - s] - order["price_ticks"]) * (1 if s == 0 else -1)
            if distance < EDGES[-1]:
                bucket = max(b for b, edge in enumerate(EDGES) if edge <= max(distance, 1))
                counts[s, bucket] += 1
                weight += round(CANCEL_PER_S[bucket] * WEIGHT_ONE)
    return counts, weight


def orders_of(*listed: tuple[int, int, int, int, int, int, int]) -> np.ndarray:
    """EVENT[n] of (ts_ns, participant, order_id, side, price_ticks, qty_lots, flags), all new orders."""
    rows = np.zeros(len(listed), EVENT)
    for field, column in zip(("ts_ns", "aux", "order_id", "side", "price_ticks", "qty_lots", "flags"), zip(*listed)):
        rows[field] = column
    rows["kind"] = PLACE
    return rows


@MODELS
def test_what_rests_is_counted_as_it_is(name: str) -> None:
    """After any stretch, with strangers' orders too, the sums by bucket are those of counting every order anew."""
    made = market(GENERATORS[name], 3, participants=3)
    for k in range(30):
        now = START_NS + k * NS // 4
        made.advance(now)
        bid, ask = (int(price) for price in made.flow[0]["best_ticks"])
        # Orders that rest, that improve the best, and that eat deep into the book.
        made.submit(
            orders_of(
                (now, 2, 2 * k + 1, BUY, bid - k % 7, 5, 0),
                (now, 2, 2 * k + 2, SELL if k % 3 else BUY, 0, 40 * (k % 11) + 1, MARKET),
            )
        )
        counts, weight = recounted(made)
        resting = made.flow[0]["resting"]
        assert {key: n for key, n in counts.items() if n} == {
            (s, b): int(resting[s, b]) for s in range(2) for b in range(len(EDGES) - 1) if resting[s, b]
        }, f"after {k + 1} stretches"
        assert int(made.flow[0]["cancel_sum"]) == weight
        assert ask > bid


@MODELS
def test_the_same_seed_is_the_same_market_however_it_is_cut(name: str) -> None:
    """One call or many, at drawn times: the same bytes; another seed: another market."""
    whole, to = market(GENERATORS[name], 7).advance(START_NS + 10 * NS)
    draw = np.random.default_rng(1)
    cut = market(GENERATORS[name], 7)
    times = np.unique(np.append(draw.integers(START_NS, START_NS + 10 * NS, 200), START_NS + 10 * NS))
    parts = [cut.advance(int(ts_ns)) for ts_ns in times]
    assert np.concatenate([rows for rows, _ in parts]).tobytes() == whole.tobytes()
    assert np.concatenate([one for _, one in parts]).tobytes() == to.tobytes()
    other, _ = market(GENERATORS[name], 8).advance(START_NS + 10 * NS)
    assert other.tobytes() != whole.tobytes()


@MODELS
def test_a_plain_engine_says_the_same_to_the_same_orders(name: str) -> None:
    """The background's commands, obeyed by the plain matching engine, give the book that the background traded in."""
    made = market(GENERATORS[name], 11)
    exchange = made.exchange.exchange[0]
    low, high, most = (int(exchange[field]) for field in ("price_min_ticks", "price_max_ticks", "qty_max_lots"))
    plain = ExchangeNaive([Person() for _ in range(3)], low, high, most, int(exchange["units_per_ticklot"]))
    plain.publish = int(exchange["publish"])
    commands = captured(made, 3_000)
    for command in (*made.first_orders, *commands):
        plain.obey(command)
    book = exchange["l3"]["book"]
    for s, side in ((0, BUY), (1, SELL)):
        levels = {
            int(book["base_ticks"]) + (int(x) if s == 0 else W - 1 - int(x)): int(book["lots"][s, x])
            for x in np.flatnonzero(book["lots"][s])
        }
        assert levels == {price: plain.level(side, price) for price in plain.queues[side]}
    # Everything it sends is an order that may be: nothing is refused, nothing is cancelled that is not there.
    kinds = Counter(record[8] for record in plain.said if record[0] == 1)
    assert not {CANCEL_REJECTED, ORDER_REJECTED} & kinds.keys(), kinds


def test_rates_are_those_it_was_given() -> None:
    """A refit of zero-intelligence flow finds each rate within its own error: limit orders, cancels, market orders."""
    made = market(GENERATORS["zero-intelligence"], 5)
    fit = fit_zero_intelligence(order_flow(watched(made, 400.0), INSTRUMENT, depth_ticks=EDGES[-1] - 1))
    edges = np.array(fit.edges_ticks)
    for truth, found, error, slack in (
        (LIMIT_PER_S, fit.limit_per_s, fit.limit_per_s_se, 0.02),
        (CANCEL_PER_S, fit.cancel_per_s, fit.cancel_per_s_se, 0.05),
    ):
        for k, (value, se) in enumerate(zip(found, error)):
            b = max(b for b, edge in enumerate(EDGES) if edge <= edges[k])
            if edges[k + 1] <= EDGES[b + 1] and edges[k] < 20:
                assert abs(value - truth[b]) < 4.0 * se + slack * truth[b], (edges[k], value, truth[b], se)
    assert abs(fit.market_per_s - 6.0) < 4.0 * fit.market_per_s_se + 0.1
    assert abs(fit.market_sizes.mean_lots / 40.0 - 1.0) < 0.1
    assert abs(fit.limit_sizes.mean_lots / 20.0 - 1.0) < 0.05


def test_waits_between_orders_are_exponential_at_the_rate_of_the_moment() -> None:
    """With no cancels to speak of the sum of rates is constant: the waits have its mean and their own as deviation."""
    lasting = tuple(1e-6 for _ in CANCEL_PER_S)
    made = market(Generator(zero_intelligence(cancel_per_s=lasting)), 2)
    times = captured(made, 20_000)["ts_ns"].astype(float)
    waits = np.diff(times) / NS
    rate = 2.0 * (sum(a * w for a, w in zip(LIMIT_PER_S, np.diff(EDGES))) + 6.0)
    assert abs(waits.mean() * rate - 1.0) < 4.0 / math.sqrt(waits.size)
    assert abs(waits.std() * rate - 1.0) < 0.05


def test_how_much_orders_cause_each_other_is_found_again() -> None:
    """A refit of self-exciting flow finds each branching number within its error, and the share that others caused.

    In a market whose best hardly ever empties, so that each order it draws can be sent.
    """
    share = 0.5
    calm = zero_intelligence(
        limit_per_s=(0.5,) + (0.001,) * 6, cancel_per_s=(0.01,) * 7, market_sizes=sizes(20.0)
    )  # fmt: skip
    made = market(Generator(calm, hawkes(share, base=20.0, decays=(50.0,))), 9)
    flow = order_flow(watched(made, 300.0), INSTRUMENT)
    fit = fit_hawkes(*points(flow, resolution_ns=1), decays_per_s=(50.0,))
    errors = np.sqrt((np.array(fit.offspring_se) ** 2).sum(2))
    assert abs(fit.endogenous_share - share) < 0.03, fit.endogenous_share
    truth = share * np.array([[0.7 if a == b else 0.3 if a == b ^ 1 else 0.0 for b in range(6)] for a in range(6)])
    # Parameters that the data pushed to 0 have no error of their own.
    beyond = np.abs(fit.branching - truth) / np.maximum(errors, 0.01)
    assert beyond.max() < 4.0, fit.branching.round(3)
    assert np.abs(fit.rates_per_s[:4] / np.array([40.0, 40.0, 28.0, 28.0]) - 1.0).max() < 0.1


def test_a_large_order_walks_the_book_and_moves_the_market() -> None:
    """A stranger's market order takes level after level at ever worse prices, and the background quotes around what
    is left."""
    made = market(GENERATORS["zero-intelligence"], 4, participants=3)
    made.advance(START_NS + 5 * NS)
    bid, ask = (int(price) for price in made.flow[0]["best_ticks"])
    book = made.exchange.exchange[0]["l3"]["book"]
    x = int(book["best"][1])
    wanted = int(book["lots"][1, x - 10 : x + 1].sum()) + 1
    rows, to = made.submit(orders_of((made.now_ns, 2, 1, BUY, 0, wanted, MARKET)))
    fills = rows[(to == 2) & (rows["kind"] == ORDER_FILLED)]
    assert int(fills["qty_lots"].sum()) == wanted
    prices = fills["price_ticks"]
    assert (np.diff(prices) >= 0).all() and prices[0] == ask and prices[-1] > ask + 10
    assert made.flow[0]["best_ticks"][1] >= prices[-1] and made.flow[0]["best_ticks"][0] == bid
    assert (rows[(to == 0) & (rows["kind"] == TRADE)]["side"] == BUY).all()


def test_informed_takers_never_pay_more_than_the_value() -> None:
    """Whoever knows takes what is on the wrong side of the value, and quotes come back around it."""
    made = market(GENERATORS["informed"], 6)
    flow = made.flow[0]
    apart = []
    for k in range(1, 400):
        made.advance(START_NS + k * NS // 10)
        apart.append(abs(float(flow["best_ticks"].mean()) - float(flow["value_ticks"])))
    assert flow["takers_informed"] > 20 and flow["withdrawn"] > 50 and flow["news"] > 40
    assert np.median(apart) < 3.0 and max(apart) < 200.0


def test_a_stranger_rests_among_the_others_and_is_met() -> None:
    """A stranger's order at the best is acknowledged, waits its turn, and is filled by the background."""
    made = market(GENERATORS["zero-intelligence"], 12, participants=3)
    made.advance(START_NS + NS)
    bid = int(made.flow[0]["best_ticks"][0])
    rows, to = made.submit(orders_of((made.now_ns, 2, 1, BUY, bid, 7, 0)))
    assert rows[to == 2]["kind"].tolist() == [ORDER_ACKNOWLEDGED]
    rows, to = made.advance(made.now_ns + 60 * NS)
    fills = rows[(to == 2) & (rows["kind"] == ORDER_FILLED)]
    assert int(fills["qty_lots"].sum()) == 7 and (fills["price_ticks"] == bid).all()
    assert (rows["kind"] == BOOK_LEVEL).any()

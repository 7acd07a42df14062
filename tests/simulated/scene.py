"""A small market whose truth is known, for tests of generated flow: few buckets, few sizes, brisk rates."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from pinnacle.event import BOOK_LEVEL, LAST, SNAPSHOT, TRADE, empty
from pinnacle.instrument import Instrument
from pinnacle.kernels.book import W
from pinnacle.models.generator import Generator
from pinnacle.models.hawkes import KINDS, Hawkes
from pinnacle.models.value import Value
from pinnacle.models.zero_intelligence import Sizes, ZeroIntelligence
from pinnacle.run.market import GeneratedMarket

NS = 1_000_000_000
START_NS = 1_000 * NS
INSTRUMENT = Instrument("sim", "XY", Decimal("0.1"), Decimal("0.001"), quote="Q")
EDGES = (1, 2, 3, 4, 6, 10, 20, 41)
LIMIT_PER_S = (20.0, 8.0, 5.0, 3.0, 2.0, 1.0, 0.5)
CANCEL_PER_S = (1.5, 1.2, 1.0, 0.8, 0.6, 0.4, 0.3)


def sizes(mean: float) -> Sizes:
    """Mostly around a mean, some five times that."""
    quantiles = [mean * f for f in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0)]
    return Sizes(1000, mean, float(np.log(mean)), 0.01, 0.5, tuple(quantiles))


def zero_intelligence(**changes: object) -> ZeroIntelligence:
    """The scene's rates."""
    n = len(EDGES) - 1
    depth = tuple(20.0 * a / c for a, c in zip(LIMIT_PER_S, CANCEL_PER_S))
    fields: dict[str, object] = {
        "venue": "sim", "symbol": "XY", "seconds": 100.0, "edges_ticks": EDGES, "limit_per_s": LIMIT_PER_S,
        "limit_per_s_se": (0.0,) * n, "cancel_per_s": CANCEL_PER_S, "cancel_per_s_se": (0.0,) * n,
        "cancel_orders_per_s": (0.0,) * n, "limit_mean_lots": (20.0,) * n, "cancel_mean_lots": (20.0,) * n,
        "depth_lots": depth, "limit_within_per_s": 0.0, "limit_beyond_per_s": 0.0, "tail_scale": 1.0, "tail_power": 1.0,
        "tail_power_se": 0.1, "tail_from_ticks": 1, "market_per_s": 6.0, "market_per_s_se": 0.1,
        "limit_sizes": sizes(20.0), "cancel_sizes": sizes(20.0), "market_sizes": sizes(40.0),
    }  # fmt: skip
    return ZeroIntelligence(**{**fields, **changes})  # type: ignore[arg-type]


def hawkes(share: float = 0.5, base: float = 10.0, decays: tuple[float, ...] = (5.0, 100.0)) -> Hawkes:
    """Each kind excites itself and its mirror: a share of all orders is caused by others."""
    n, k = len(KINDS), len(decays)
    offspring = np.zeros((n, n, k))
    for kind in range(n):
        offspring[kind, kind] = 0.7 * share / k
        offspring[kind ^ 1, kind] = 0.3 * share / k
    # Somewhat more orders come to the best than leave it, and few trade.
    bases = base * np.array([1.0, 1.0, 0.7, 0.7, 0.2, 0.2])
    nested = tuple(tuple(tuple(float(v) for v in child) for child in parent) for parent in offspring)
    zeros = tuple(tuple((0.0,) * k for _ in range(n)) for _ in range(n))
    return Hawkes(
        KINDS, tuple(map(float, bases)), (0.0,) * n, nested, zeros, decays, 0.0, 0.0, 1000, 100.0, share, share,
        False, (0.0,) * n, (1.0,) * n,
    )  # fmt: skip


VALUE = Value(
    news_per_s=2.0, news_log_mean=1.2, news_log_sd=0.5, informed_share=0.3, informed_per_s=20.0, withdraw_per_s=10.0
)
GENERATORS = {
    "zero-intelligence": Generator(zero_intelligence()),
    "hawkes": Generator(zero_intelligence(), hawkes()),
    "informed": Generator(zero_intelligence(), value=VALUE),
    "informed and excited": Generator(zero_intelligence(), hawkes(), VALUE),
}


def market(generator: Generator, seed: int, **options: object) -> GeneratedMarket:
    """A market of this background from START_NS on, at 10,000 ticks."""
    return GeneratedMarket(
        INSTRUMENT, generator, seed=seed, start_ns=START_NS, price_ticks=10_000, **options  # type: ignore[arg-type]
    )  # fmt: skip


def snapshot(made: GeneratedMarket) -> np.ndarray:
    """The book's levels as one message of the market."""
    book = made.exchange.exchange[0]["l3"]["book"]
    rows = []
    for s in range(2):
        for x in np.flatnonzero(book["lots"][s]):
            price = int(book["base_ticks"]) + (int(x) if s == 0 else W - 1 - int(x))
            rows.append((1 - 2 * s, price, int(book["lots"][s, x])))
    told = empty(len(rows))
    for name, column in zip(("side", "price_ticks", "qty_lots"), zip(*rows)):
        told[name] = column
    told["kind"], told["flags"], told["ts_ns"], told["ts_venue_ns"] = BOOK_LEVEL, SNAPSHOT, made.now_ns, made.now_ns
    told["flags"][-1] |= LAST
    return told


def watched(made: GeneratedMarket, seconds: float, warm_up_s: float = 5.0) -> list[np.ndarray]:
    """What the market says over a stretch of time after a warm-up, as a recorder would have it: EVENT batches."""
    made.advance(made.now_ns + round(warm_up_s * NS))
    first = snapshot(made)
    rows, to = made.advance(made.now_ns + round(seconds * NS))
    kinds = rows["kind"]
    return [first, rows[(to == 0) & ((kinds == BOOK_LEVEL) | (kinds == TRADE))]]

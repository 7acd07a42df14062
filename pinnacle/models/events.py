"""History into order flow: level changes and trades become limit orders, cancels and market orders.

A venue that publishes levels says what rests and what traded, never what was sent.  Models of order flow are about
what was sent, so the two are joined here once, with a count of everything that the joining could not explain.

A level that rises by q is a limit order of q; one that falls is a cancel, but for what trades at that price explain.
Trades and depth travel on streams of their own and in batches (Binance spot sends depth every 100 ms), so a fall and
its trade wait for each other: `window_ns` on either side, and never a fall that the venue dates before the trade.  A
trade that met no fall in that time was refilled between two messages, or hit what was never shown: as much must have
arrived, and is written as a limit order with the flag INFERRED at the time of the trade.  So at every moment limits -
cancels - trades = the book, to the lot.

What this cannot see: an order that came and went between two messages; a cancel and a limit order of one level in one
message (only their difference shows); two market orders of one side in one millisecond of the venue (they count as
one).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from pinnacle.errors import HistoryError
from pinnacle.instrument import Instrument
from pinnacle.kernels.fit import (
    CANCEL,
    FLOW,
    INFERRED,
    LIMIT,
    MARKET,
    REMOVED_MAX,
    TOPS,
    WAITING,
    WAITING_MAX,
    WALK,
    expire,
    walk_rows,
)
from pinnacle.kernels.state import BOOK, reset_book
from pinnacle.limits import ROW_GROUP_ROWS

__all__ = ["CANCEL", "FLOW", "INFERRED", "KINDS", "LIMIT", "MARKET", "TOPS", "Flow", "Matching", "order_flow"]

KINDS = ("limit", "cancel", "market")
NS = 1_000_000_000
# Twice the slowest batching of depth that we read (100 ms).
WINDOW_NS = 200_000_000
SAMPLE_NS = 100_000_000
# Blocks of time over which averages are compared to get their standard errors.
BLOCK_NS = 5 * NS
# Orders kept of one history (48 bytes each); whoever wants more of a day reads it in parts.
ORDERS_MAX = 10_000_000
# Share of the traded lots without a fall of their level, above which the depth is no record of the book.
UNEXPLAINED_MAX = 0.5
_ROOM = 2 * REMOVED_MAX + WAITING_MAX + 2 * ROW_GROUP_ROWS


def distance_edges(depth_ticks: int) -> np.ndarray:
    """Edges int64[b + 1] of distance buckets: 1, 2, ... 8 ticks alone, then about five to a doubling, to
    depth_ticks.
    """
    edges = [*range(1, 9)]
    while edges[-1] < depth_ticks:
        edges.append(max(edges[-1] + 1, math.ceil(edges[-1] * 1.15)))
    return np.array([*(edge for edge in edges if edge <= depth_ticks), depth_ticks + 1], np.int64)


@dataclass(frozen=True, slots=True)
class Matching:
    """What was joined and what was not.  Lots are sums; rows are counts of rows of the history.

    level_rows: none means that best prices alone were recorded: arrivals and cancels cannot be told from them.
    matched_lots: of traded_lots, met by falls of their level.  unexplained_lots: of traded_lots, met by none within the
    window, and so inferred arrivals.  stale_rows: depth or tickers older, by update id, than what was known already.
    sideless_trades: without an aggressor, left out.  unknown_rows: trades before the book was known.
    resets: clears and gaps.  overflows: times a bound was reached (0 or the flow is not to be trusted).
    """

    level_rows: int
    trade_rows: int
    traded_lots: int
    matched_lots: int
    unexplained_trades: int
    unexplained_lots: int
    stale_rows: int
    sideless_trades: int
    unknown_rows: int
    resets: int
    overflows: int

    @property
    def unexplained_share(self) -> float:
        """Of the traded lots, those that no fall of a level explains; NaN without trades."""
        return self.unexplained_lots / self.traded_lots if self.traded_lots else math.nan

    def as_dict(self) -> dict[str, int]:
        """Plain numbers by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Order flow of one instrument over one stretch of time, in which its book was known.

    orders: FLOW[n] by time.  tops: TOPS[m], the best prices after each message that changed them.  edges_ticks:
    int64[b + 1]; depth_lots: float64[blocks, 2, b], mean lots resting per bucket of distance from the other side's best
    (0 bids, 1 asks), over samples[blocks] moments sample_ns apart in each block of block_ns.  truncated: the history
    went on after orders_max orders.
    """

    instrument: Instrument
    orders: np.ndarray
    tops: np.ndarray
    edges_ticks: np.ndarray
    depth_lots: np.ndarray
    samples: np.ndarray
    block_ns: int
    first_ns: int
    last_ns: int
    rows: int
    truncated: bool
    matching: Matching

    @property
    def seconds(self) -> float:
        """Length of the stretch in s."""
        return (self.last_ns - self.first_ns) / NS

    @property
    def depth_known(self) -> bool:
        """Whether limit orders and cancels can be told: levels were recorded, and they explain most of what traded.

        Best prices alone, or books a second apart, do not show what arrives and goes between.
        """
        unexplained = self.matching.unexplained_share
        return self.matching.level_rows > 0 and not unexplained > UNEXPLAINED_MAX

    def need_depth(self) -> None:
        """Raises HistoryError unless depth_known, for whoever counts limit orders and cancels."""
        if not self.depth_known:
            raise HistoryError(
                f"{self.instrument.name}: the depth of this history explains less than half of what traded, so its "
                "limit orders and cancels are not known; give a recording of every change of the book"
            )

    def kind(self, kind: int, inferred: bool = True) -> np.ndarray:
        """Orders of one kind, with or without those that were inferred."""
        keep = self.orders["kind"] == kind
        return self.orders[keep if inferred else keep & (self.orders["flags"] & INFERRED == 0)]

    def own_ticks(self, orders: np.ndarray) -> np.ndarray:
        """Distance of orders behind the best of their own side; below 0 an order improved it."""
        return np.where(
            orders["side"] > 0, orders["bid_ticks"] - orders["price_ticks"], orders["price_ticks"] - orders["ask_ticks"]
        )

    def opposite_ticks(self, orders: np.ndarray) -> np.ndarray:
        """Distance from the other side's best, above 0 for what rests; of a market order minus what it went beyond."""
        return np.where(
            orders["side"] > 0, orders["ask_ticks"] - orders["price_ticks"], orders["price_ticks"] - orders["bid_ticks"]
        )

    def best_ticks(self, ts_ns: np.ndarray, before: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(bid, ask) in ticks at given times (before: just before them); NaN where they were not known yet."""
        at = np.searchsorted(self.tops["ts_ns"], ts_ns, side="left" if before else "right") - 1
        top = self.tops[np.maximum(at, 0)]
        return np.where(at >= 0, top["bid_ticks"], np.nan), np.where(at >= 0, top["ask_ticks"], np.nan)

    def mid_ticks(self, ts_ns: np.ndarray, before: bool = False) -> np.ndarray:
        """Mid in ticks at given times (before: just before them); NaN where it was not known yet."""
        bid, ask = self.best_ticks(ts_ns, before)
        return (bid + ask) / 2.0


def order_flow(
    batches: Iterable[np.ndarray],
    instrument: Instrument,
    *,
    window_ns: int = WINDOW_NS,
    depth_ticks: int = 2048,
    sample_ns: int = SAMPLE_NS,
    block_ns: int = BLOCK_NS,
    orders_max: int = ORDERS_MAX,
    index: int | None = None,
) -> Flow:
    """The order flow of one instrument from EVENT arrays in order of arrival.

    window_ns: how long a fall of a level and a trade wait for each other.  depth_ticks: farthest distance at which
    resting lots are averaged.  orders_max: reading stops after so many orders, and the flow says so.  index: keep rows
    of this instrument of the run only.  Raises HistoryError if no two-sided book was seen, or none of any length.
    """
    book_array: np.ndarray = np.zeros(1, BOOK)
    reset_book(book_array[0])
    walk_array = np.zeros(1, WALK)
    walk = walk_array[0]
    walk["market_order"] = -1
    trades, falls = np.zeros(WAITING_MAX, WAITING), np.zeros(WAITING_MAX, WAITING)
    orders, tops = np.zeros(_ROOM, FLOW), np.zeros(_ROOM, TOPS)
    edges = distance_edges(depth_ticks)
    depth, samples = np.zeros((64, 2, edges.size - 1)), np.zeros(64, np.int64)
    rows_read, truncated = 0, False
    for batch in batches:
        part = batch if index is None else batch[batch["instrument"] == index]
        while part.size and not truncated:
            if walk["known"]:
                blocks = int((part["ts_ns"][-1] - walk["first_ns"]) // block_ns) + 2
            else:
                blocks = int((part["ts_ns"][-1] - part["ts_ns"][0]) // block_ns) + 2
            depth, samples = _grown(depth, blocks), _grown(samples, blocks)
            orders, tops = _grown(orders, int(walk["orders"]) + _ROOM), _grown(tops, int(walk["tops"]) + part.size + 1)
            taken = walk_rows(
                walk,
                book_array[0],
                orders,
                tops,
                trades,
                falls,
                edges,
                depth,
                samples,
                part,
                window_ns,
                sample_ns,
                block_ns,
            )
            assert taken > 0
            rows_read += taken
            part = part[taken:]
            truncated = int(walk["orders"]) >= orders_max
        if truncated:
            break
    orders = _grown(orders, int(walk["orders"]) + _ROOM)
    expire(walk, orders, trades, falls, np.iinfo(np.int64).max)
    return _sealed(instrument, walk, orders, tops, edges, depth, samples, block_ns, rows_read, truncated)


def _sealed(
    instrument: Instrument, walk: np.void, orders: np.ndarray, tops: np.ndarray, edges: np.ndarray, depth: np.ndarray,
    samples: np.ndarray, block_ns: int, rows: int, truncated: bool,
) -> Flow:  # fmt: skip
    """The walk's arrays cut to what was written, in order of time, without cancels that trades explained whole."""
    first_ns, last_ns = int(walk["first_ns"]), int(walk["last_ns"])
    if not walk["known"] or last_ns <= first_ns:
        raise HistoryError(
            f"{instrument.name}: {rows} rows hold no stretch of time with a two-sided book; "
            "begin with a recording that has a snapshot"
        )
    found = orders[: int(walk["orders"])]
    found = found[found["qty_lots"] > 0]
    found = found[np.argsort(found["ts_ns"], kind="stable")]
    blocks = int((last_ns - first_ns) // block_ns) + 1
    samples = samples[:blocks]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_lots = depth[:blocks] / samples[:, None, None]
    return Flow(
        instrument=instrument, orders=found, tops=tops[: int(walk["tops"])].copy(), edges_ticks=edges,
        depth_lots=mean_lots, samples=samples, block_ns=block_ns, first_ns=first_ns, last_ns=last_ns, rows=rows,
        truncated=truncated, matching=Matching(**{name: int(walk[name]) for name in Matching.__slots__}),
    )  # fmt: skip


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    """The array with room for `size` along its first axis, at least doubled when it must move."""
    if size <= array.shape[0]:
        return array
    grown = np.zeros((max(size, 2 * array.shape[0]), *array.shape[1:]), array.dtype)
    grown[: array.shape[0]] = array
    return grown

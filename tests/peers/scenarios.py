"""Scenarios that hftbacktest and pinnacle run on the same rows: queue models, wakes, grids, and orders that take.

hftbacktest's strategies are written here as its own documentation shows them; each reports its fills as
(venue time, side, price in ticks, order id).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

TICK, LOT = 0.1, 0.001
GTC, GTX, LIMIT = 0, 1, 0
BUY = 1


def rows_of(recording: Path) -> np.ndarray:
    """The recording as hftbacktest's converter gives it."""
    from hftbacktest.data.utils.binancefutures import convert

    return convert(str(recording), None, opt="", base_latency=0, buffer_size=2_000_000)


def asset(data: np.ndarray, queue: str, n: float, entry_ns: int, response_ns: int) -> Any:
    """One linear contract with the fees of configs/reference.toml."""
    from hftbacktest import BacktestAsset

    made = (
        BacktestAsset()
        .data([data])
        .linear_asset(1.0)
        .constant_order_latency(entry_ns, response_ns)
        .no_partial_fill_exchange()
        .trading_value_fee_model(-0.00005, 0.0007)
        .tick_size(TICK)
        .lot_size(LOT)
        .roi_lb(0.0)
        .roi_ub(200_000.0)
        .last_trades_capacity(0)
    )
    models = {
        "risk-averse": lambda: made.risk_adverse_queue_model(),
        "power": lambda: made.power_prob_queue_model(n),
        "power2": lambda: made.power_prob_queue_model2(n),
        "power3": lambda: made.power_prob_queue_model3(n),
        "log": lambda: made.log_prob_queue_model(),
        "log2": lambda: made.log_prob_queue_model2(),
    }
    return models[queue]()


@njit
def _note(hbt, fills, count, known):
    """Write down orders that were filled since the last look; nothing if there is no room for any, as when timed."""
    if fills.shape[0] == 0:
        return count
    orders = hbt.orders(0).values()
    while orders.has_next():
        order = orders.get()
        if order.status == 3 and not known[order.order_id]:
            known[order.order_id] = True
            fills[count, 0] = order.exch_timestamp
            fills[count, 1] = order.side
            fills[count, 2] = order.exec_price_tick
            fills[count, 3] = order.order_id
            count += 1
    return count


@njit
def join_best(hbt, by_feed, wake_ns, qty, limit, fills):
    """One order a side at the best, moved when it moves; at every message or every wake_ns."""
    next_id, count = np.uint64(1), 0
    known = np.zeros(1_000_000, np.bool_)
    while True:
        code = hbt.wait_next_feed(False, 10**15) if by_feed else hbt.elapse(wake_ns)
        if (by_feed and code != 2) or (not by_feed and code != 0):
            break
        count = _note(hbt, fills, count, known)
        hbt.clear_inactive_orders(0)
        depth, position = hbt.depth(0), hbt.position(0)
        best_bid, best_ask = depth.best_bid_tick, depth.best_ask_tick
        if best_bid < -(10**9) or best_ask > 10**9:
            continue
        for side in range(2):
            target = best_bid if side == 0 else best_ask
            want = position < limit - 1e-9 if side == 0 else position > -limit + 1e-9
            found = False
            orders = hbt.orders(0).values()
            while orders.has_next():
                order = orders.get()
                if (order.side == 1) == (side == 0):
                    found = True
                    if (not want or order.price_tick != target) and order.cancellable:
                        hbt.cancel(0, order.order_id, False)
            if not found and want:
                if side == 0:
                    hbt.submit_buy_order(0, next_id, target * 0.1, qty, 1, 0, False)
                else:
                    hbt.submit_sell_order(0, next_id, target * 0.1, qty, 1, 0, False)
                next_id += np.uint64(1)
    return _note(hbt, fills, count, known)


@njit
def grid(hbt, wake_ns, levels, spacing, qty, limit, fills):
    """`levels` orders a side on multiples of `spacing` ticks; a level is placed once the side has room for it.

    A side never has more orders than levels: one that is being cancelled holds its place until its end was heard.
    """
    next_id, count = np.uint64(1), 0
    known = np.zeros(4_000_000, np.bool_)
    wanted = np.zeros(levels, np.int64)
    held = np.zeros(levels, np.bool_)
    while hbt.elapse(wake_ns) == 0:
        count = _note(hbt, fills, count, known)
        hbt.clear_inactive_orders(0)
        depth, position = hbt.depth(0), hbt.position(0)
        best_bid, best_ask = depth.best_bid_tick, depth.best_ask_tick
        if best_bid < -(10**9) or best_ask > 10**9:
            continue
        for side in range(2):
            room = position < limit - 1e-9 if side == 0 else position > -limit + 1e-9
            first = best_bid // spacing * spacing if side == 0 else -(-best_ask // spacing) * spacing
            n = levels if room else 0
            for k in range(n):
                wanted[k] = first - k * spacing if side == 0 else first + k * spacing
                held[k] = False
            live = 0
            orders = hbt.orders(0).values()
            while orders.has_next():
                order = orders.get()
                if (order.side == 1) != (side == 0):
                    continue
                live += 1
                keep = False
                if order.req != 4:
                    for k in range(n):
                        if wanted[k] == order.price_tick and not held[k]:
                            held[k] = True
                            keep = True
                            break
                if not keep and order.cancellable:
                    hbt.cancel(0, order.order_id, False)
            for k in range(n):
                if held[k]:
                    continue
                if live >= n:
                    break
                if side == 0:
                    hbt.submit_buy_order(0, next_id, wanted[k] * 0.1, qty, 1, 0, False)
                else:
                    hbt.submit_sell_order(0, next_id, wanted[k] * 0.1, qty, 1, 0, False)
                next_id += np.uint64(1)
                live += 1
    return _note(hbt, fills, count, known)


def run(
    data: np.ndarray, made: Any, algorithm: Any, *arguments: Any, timed: bool = False
) -> tuple[list[tuple[int, int, int, int]], float]:
    """(fills sorted by venue time and order id, seconds of the run alone).  timed: write no fills down."""
    import time

    from hftbacktest import ROIVectorMarketDepthBacktest

    hbt = ROIVectorMarketDepthBacktest([made])
    fills = np.zeros((0 if timed else 1_000_000, 4), np.int64)
    start = time.perf_counter()
    count = algorithm(hbt, *arguments, fills)
    seconds = time.perf_counter() - start
    hbt.close()
    return sorted(tuple(int(value) for value in row) for row in fills[:count]), seconds

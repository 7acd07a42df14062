"""Order-by-order replay: records a second through the book of single orders, and a backtest on them, on real rows.

    python benchmarks/l3_replay.py [--records 2000000] [--rounds 7]

Two inputs, as imported: Bitstamp BTCUSD of 2015-05-01 (15,000 orders over 2.8 hours, some hundreds open at once) and
the CME ESM4 sample (a snapshot of 13,600 orders and two seconds, so that it is mostly a book being built and, here,
taken down).  Neither is long, so each is repeated up to --records rows: every copy has order ids of its own and comes
later, and what is open at the end of a copy is deleted before the next, which is the least that makes each copy true;
those deletions count as the records they are.  What repetition flatters: prices come back to the same levels, so these
stay in cache.

book     rows with an order (add, modify, delete) through kernels/book_l3 alone, in memory
levels   the same through run/order_walk, which says the levels that the engine hears
backtest feed rows of a backtest of join_best with exact places, reading and weaving left out; beside it the same rows
         as a history of levels with the power model, in the same run

Compiling is left out everywhere.  The plain twin of the tests runs the first rows, for scale.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions, recordings
from benchmarks.drive_vs_hftbacktest import Ours
from pinnacle.config import parse_config
from pinnacle.engine.strategy import load_strategy
from pinnacle.event import EVENT, ORDER_ADD, ORDER_DELETE, ORDER_MODIFY, SNAPSHOT
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument
from pinnacle.kernels.book_l3 import add, new_book_l3, remove, replace
from pinnacle.kernels.jit import jit
from pinnacle.limits import L3_WALK_ORDERS_START
from pinnacle.log.segment import write_segment
from pinnacle.run.backtest import Backtest
from pinnacle.run.feeds import Feed
from pinnacle.run.order_walk import OrderWalk
from tests.naive.book_l3_naive import BookL3Naive

ORDER_KINDS = (ORDER_ADD, ORDER_MODIFY, ORDER_DELETE)
ROOT = Path(__file__).resolve().parent.parent
INPUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bitstamp": (
        "bitstamp/l3_btcusd_20150501_part1.log.gz",
        {"venue": "bitstamp", "symbol": "BTCUSD", "tick": "0.01", "lot": "0.00000001"},
    ),
    "esm4": (
        "mbo/esm4_20240508T000000_2s.mbo.dbn.zst",
        {"venue": "cme", "symbol": "ESM4", "tick": "0.25", "lot": "1"},
    ),
}


@jit
def replayed(l3, orders, table, rows, first):  # type: ignore[no-untyped-def]
    """rows[first:] through the book while it has room; returns (index of the next row, refused among them)."""
    refused = 0
    for k in range(first, rows.size):
        row = rows[k]
        if row["kind"] == ORDER_ADD and l3["count"] == l3["capacity"]:
            return k, refused
        kind = row["kind"]
        if kind == ORDER_ADD:
            side = np.int64(row["side"])
            code = add(l3, orders, table, row["order_id"], side, row["price_ticks"], row["qty_lots"], 0, 0)
        elif kind == ORDER_MODIFY:
            code = replace(l3, orders, table, row["order_id"], row["price_ticks"], row["qty_lots"])
        else:
            code = remove(l3, orders, table, row["order_id"])
        if code < 0:
            refused += 1
    return rows.size, refused


def one_copy(rows: np.ndarray) -> np.ndarray:
    """Rows with ids from 1 on, and what is open at their end deleted, so that a copy can follow."""
    rows = rows.copy()
    known = rows["order_id"] > 0
    _, dense = np.unique(rows["order_id"][known], return_inverse=True)
    rows["order_id"][known] = dense + 1
    open_: dict[int, np.void] = {}
    for row in rows[np.isin(rows["kind"], ORDER_KINDS)]:
        if row["kind"] == ORDER_DELETE:
            open_.pop(int(row["order_id"]), None)
        elif row["kind"] == ORDER_ADD or int(row["order_id"]) in open_:
            open_[int(row["order_id"])] = row
    closing = np.array(list(open_.values()), EVENT) if open_ else np.zeros(0, EVENT)
    closing["kind"], closing["flags"] = ORDER_DELETE, 1
    closing["ts_ns"] = rows["ts_ns"][-1]
    closing["ts_venue_ns"] = 0
    return np.concatenate((rows, closing))


def repeated(rows: np.ndarray, count: int) -> np.ndarray:
    """Copies until there are `count` rows, each with ids and times of its own."""
    copy = one_copy(rows)
    times = max(1, -(-count // copy.size))
    ids, span_ns = int(copy["order_id"].max()), int(copy["ts_ns"][-1] - copy["ts_ns"].min()) + 1_000_000_000
    parts = []
    for k in range(times):
        part = copy.copy()
        part["order_id"][part["order_id"] > 0] += k * ids
        part["ts_ns"] += k * span_ns
        part["ts_venue_ns"][part["ts_venue_ns"] != 0] += k * span_ns
        if k:
            part["flags"] &= 0xFFFF ^ SNAPSHOT
        parts.append(part)
    whole = np.concatenate(parts)
    whole["seq"] = np.arange(whole.size)
    return whole


def book_speed(rows: np.ndarray) -> tuple[float, int]:
    """(records a second, refused among them) of a book that begins small and grows."""
    book = new_book_l3(L3_WALK_ORDERS_START)
    start, at, refused = time.perf_counter_ns(), 0, 0
    while at < rows.size:
        at, more = replayed(*book.args, rows, at)
        refused += more
        if at < rows.size and not book.grow():
            sys.exit("error: more orders are open than a book holds")
    return rows.size / (time.perf_counter_ns() - start) * 1e9, refused


def walk_speed(rows: np.ndarray) -> float:
    """Rows a second through the walk that a feed does, in batches as it reads them."""
    walk, path = OrderWalk(), Path("benchmark")
    start = time.perf_counter_ns()
    for at in range(0, rows.size, 1 << 16):
        walk.heard(rows[at : at + (1 << 16)], path)
    return rows.size / (time.perf_counter_ns() - start) * 1e9


def naive_speed(rows: np.ndarray) -> float:
    """Records a second of the plain twin."""
    naive = BookL3Naive()
    names = ("kind", "order_id", "side", "price_ticks", "qty_lots")
    plain = list(zip(*(rows[name].tolist() for name in names)))
    start = time.perf_counter_ns()
    for kind, order_id, side, price, lots in plain:
        if kind == ORDER_ADD:
            naive.add(order_id, side, price, lots)
        elif kind == ORDER_MODIFY:
            naive.replace(order_id, price, lots)
        else:
            naive.remove(order_id)
    return rows.size / (time.perf_counter_ns() - start) * 1e9


def backtest_of(path: Path, instrument: dict[str, Any], model: str, every_ms: float, out: Path) -> Backtest:
    """A backtest of join_best on a day file, ready to be driven."""
    order_qty = 1.0 if instrument["lot"] == "1" else 0.5
    raw = {
        "instruments": [{**instrument, "data": str(path)}],
        "strategy": {"path": "join_best", "params": {"order_qty": order_qty, "position_max": 5 * order_qty}},
        "queue": {"model": model},
        "run": {"checkpoint_every": 1 << 50},
        "wake": {"every_ms": every_ms},
    }
    strategy = load_strategy(ROOT / "strategies" / "join_best.py")
    run = Backtest(parse_config(raw, "benchmark"), "benchmark", None, strategy, out)
    run.open_histories()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    print_conditions(f"order-by-order replay, {chosen.records:,} records of each input, {chosen.rounds} rounds")
    for name, (recording, known) in INPUTS.items():
        path = recordings() / recording
        instrument = Instrument(known["venue"], known["symbol"], Decimal(known["tick"]), Decimal(known["lot"]))
        imported = np.concatenate(list(open_history(path, instrument, ImportOptions(tickers=False))))
        rows = repeated(imported, chosen.records)
        report(name, imported, rows, known, chosen.rounds)


def report(name: str, imported: np.ndarray, rows: np.ndarray, known: dict[str, Any], rounds: int) -> None:
    """Measure one input and print what came of it."""
    orders = rows[np.isin(rows["kind"], ORDER_KINDS)]
    kinds = ", ".join(f"{100 * (orders['kind'] == k).mean():.0f} % {noun}" for k, noun in zip(ORDER_KINDS, NOUNS))
    times = rows.size / one_copy(imported).size
    print(f"\n{name}: {imported.size:,} rows imported, {times:.0f} copies, {orders.size:,} records of orders ({kinds})")
    found, walks, plain = [], [], []
    book_speed(orders[:1000])
    for _ in range(rounds):
        speed, refused = book_speed(orders)
        found.append(speed)
        walks.append(walk_speed(rows))
    few = orders[: min(orders.size, 30_000)]
    plain.append(naive_speed(few))
    here = statistics.median(found)
    print(
        f"  book      {here / 1e6:6.1f} M records/s ({min(found) / 1e6:.1f} to {max(found) / 1e6:.1f}), asked: 20; "
        f"{refused:,} refused; {here / plain[0]:,.0f} times the plain twin ({plain[0] / 1e6:.3f} M on {few.size:,})"
    )
    print(f"  levels    {statistics.median(walks) / 1e6:6.1f} M rows/s through run/order_walk")
    with tempfile.TemporaryDirectory() as folder:
        backtests(Path(folder), rows, known, rounds)


def backtests(folder: Path, rows: np.ndarray, known: dict[str, Any], rounds: int) -> None:
    """The drive on orders and on the levels that they make, alternating."""
    write_segment(folder / "orders.parquet", [rows], {})
    levels = OrderWalk().heard(rows.copy(), folder)
    levels["seq"] = np.arange(levels.size)
    write_segment(folder / "levels.parquet", [levels], {})
    # A wake in about 500 rows, as the fastest recording of levels has at 100 ms.
    every_ms = float(max(1, round((rows["ts_ns"][-1] - rows["ts_ns"][0]) / rows.size * 500 / 1e6)))
    made = {}
    for model, file in (("exact", "orders"), ("power", "levels")):
        run = backtest_of(folder / f"{file}.parquet", known, model, every_ms, folder / model)
        feed = Feed(run.sources())
        woven = np.concatenate([batch[0] for batch in feed.woven()])
        made[model] = (Ours(run, woven, feed.first_ns), woven.size)
    spent: dict[str, list[float]] = {model: [] for model in made}
    fills = {}
    for turn in range(rounds + 1):
        for model, (ours, _) in made.items():
            done, seconds = ours.once()
            fills[model] = len(done)
            if turn:
                spent[model].append(seconds)
    for model, (_, size) in made.items():
        seconds = statistics.median(spent[model])
        what = "single orders, exact" if model == "exact" else "their levels, power"
        print(
            f"  backtest  {rows.size / seconds / 1e6:6.1f} M recorded rows/s on {what}: {size:,} woven rows at "
            f"{seconds / size * 1e9:.1f} ns, {fills[model]:,} fills"
        )


NOUNS = ("added", "modified", "deleted")


if __name__ == "__main__":
    main()

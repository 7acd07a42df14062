"""Market rows to orders: against markets whose orders are known one by one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import HistoryError
from pinnacle.event import ASK, BID, BOOK_LEVEL, LAST, SNAPSHOT, TICKER, TRADE
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument
from pinnacle.models.events import CANCEL, INFERRED, LIMIT, MARKET, distance_edges, order_flow
from tests.models.market import INSTRUMENT, NS, START_NS, NaiveMarket, cut, rows_of

RATES = np.array([2.0, 1.5, 1.0, 0.7, 0.4])
SAMPLE = Path(__file__).resolve().parents[2] / "data" / "catalog"
QUOTES = [(START_NS, BOOK_LEVEL, BID, 100, 10, SNAPSHOT), (START_NS, BOOK_LEVEL, ASK, 102, 10, SNAPSHOT | LAST)]
MS = 1_000_000


def market(seed: int, seconds: float = 60.0) -> NaiveMarket:
    return NaiveMarket(seed, RATES, 0.2, 1.0).run(seconds)


def signed_lots(flow) -> int:
    """Limits - cancels - trades."""
    return sum(int(flow.kind(kind)["qty_lots"].sum()) * (1 if kind == LIMIT else -1) for kind in (0, 1, 2))


@pytest.mark.parametrize("seed", range(4))
def test_every_order_is_found(seed):
    """A venue that tells every order at once: kind, side, price, size, time and the best prices met are all found,
    however the rows are cut into batches."""
    truth = market(seed)
    flow = order_flow(cut(truth.rows(), seed, 9), INSTRUMENT)
    fields = ("ts_ns", "kind", "side", "price_ticks", "qty_lots", "bid_ticks", "ask_ticks")
    assert [tuple(int(order[name]) for name in fields) for order in flow.orders] == truth.truth
    assert not flow.orders["flags"].any()
    assert flow.matching.unexplained_lots == 0
    assert flow.matching.matched_lots == flow.matching.traded_lots
    limits = flow.kind(LIMIT)
    assert (flow.opposite_ticks(limits) >= 1).all() and (flow.opposite_ticks(limits) <= RATES.size).all()
    assert (flow.own_ticks(flow.kind(CANCEL)) >= 0).all()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), batch_ms=st.integers(1, 150), late_ms=st.integers(0, 150))
def test_nothing_is_lost_or_invented(seed, batch_ms, late_ms):
    """Levels in batches and trades on a stream of their own: limits - cancels - trades is still the change of the
    book, to the lot, and every traded lot is either matched or said to be unexplained."""
    truth = market(seed, 20.0)
    before = sum(lots for row in truth.messages[:1] for *_, lots, _ in row)
    flow = order_flow(cut(truth.rows(batch_ms * MS, late_ms * MS), seed, 5), INSTRUMENT)
    assert signed_lots(flow) == sum(truth.levels().values()) - before
    matching = flow.matching
    assert matching.matched_lots + matching.unexplained_lots == matching.traded_lots
    assert int(flow.kind(MARKET)["qty_lots"].sum()) == matching.traded_lots
    inferred = flow.orders[flow.orders["flags"] == INFERRED]
    assert int(inferred["qty_lots"].sum()) == matching.unexplained_lots
    assert (np.diff(flow.orders["ts_ns"]) >= 0).all() and (flow.orders["qty_lots"] > 0).all()


@pytest.mark.parametrize("late_ms", [0, 90])
def test_a_fall_and_its_trade_meet_within_the_window(late_ms):
    """Depth every 50 ms, trades before or after it: nearly every traded lot is explained, and without a window far
    fewer are."""
    rows = market(3, 300.0).rows(50 * MS, late_ms * MS)
    assert order_flow([rows], INSTRUMENT).matching.unexplained_share < 0.12
    assert order_flow([rows], INSTRUMENT, window_ns=1).matching.unexplained_share > 0.5


def test_a_refill_between_two_messages_is_inferred():
    """A level that looks the same after a trade at it was refilled: a limit order of that size, flagged, at the
    time of the trade."""
    rows = rows_of(
        [*QUOTES, (START_NS + NS, TRADE, BID, 102, 4, LAST), (START_NS + 2 * NS, BOOK_LEVEL, BID, 99, 1, LAST)]
    )
    flow = order_flow([rows], INSTRUMENT)
    found = flow.kind(LIMIT)
    assert [(int(o["ts_ns"]), int(o["side"]), int(o["qty_lots"]), int(o["flags"])) for o in found] == [
        (START_NS + NS, ASK, 4, INFERRED), (START_NS + 2 * NS, BID, 1, 0),
    ]  # fmt: skip
    assert flow.kind(LIMIT, inferred=False).size == 1
    assert flow.matching.unexplained_lots == 4


def test_trades_of_one_moment_are_one_market_order():
    """A sweep of two prices in one millisecond of the venue is one market order, with its worst price."""
    rows = rows_of(
        [
            *QUOTES,
            (START_NS, BOOK_LEVEL, ASK, 103, 5, LAST),
            (START_NS + NS, TRADE, BID, 102, 10, LAST),
            (START_NS + NS, TRADE, BID, 103, 2, LAST),
            (START_NS + NS, BOOK_LEVEL, ASK, 102, 0, 0),
            (START_NS + NS, BOOK_LEVEL, ASK, 103, 3, LAST),
        ]
    )
    taken = order_flow([rows], INSTRUMENT).kind(MARKET)
    assert (taken.size, int(taken["qty_lots"][0]), int(taken["price_ticks"][0])) == (1, 12, 103)
    assert order_flow([rows], INSTRUMENT).kind(CANCEL).size == 0


def test_best_prices_told_between_depth_messages():
    """A ticker that leaves the best behind takes away what was better; depth that is older than it is not believed."""
    rows = rows_of(
        [
            *QUOTES,
            (START_NS, BOOK_LEVEL, BID, 98, 7, LAST),
            (START_NS + NS, TICKER, BID, 98, 6, 0),
            (START_NS + NS, TICKER, ASK, 102, 10, LAST),
            (START_NS + 2 * NS, BOOK_LEVEL, BID, 100, 10, LAST),
            (START_NS + 3 * NS, BOOK_LEVEL, BID, 99, 2, LAST),
        ]
    )
    rows["aux"] = [10, 10, 11, 20, 20, 19, 21]
    flow = order_flow([rows], INSTRUMENT)
    found = [(int(o["kind"]), int(o["price_ticks"]), int(o["qty_lots"])) for o in flow.orders]
    assert found == [(LIMIT, 98, 7), (CANCEL, 100, 10), (CANCEL, 98, 1), (LIMIT, 99, 2)]
    assert flow.matching.stale_rows == 1
    assert flow.tops["bid_ticks"].tolist() == [100, 98, 99]


def test_depth_is_the_average_over_time():
    """Resting lots by distance are the time average of the naive book's, sampled at the same moments."""
    truth = market(5, 120.0)
    flow = order_flow([truth.rows()], INSTRUMENT, depth_ticks=6, sample_ns=10 * MS)
    book: dict[tuple[int, int], int] = {}
    sums, moments, due = np.zeros((2, 6)), 0, START_NS
    for message in truth.messages:
        while due < message[0][0] and book:
            for s, side in enumerate((BID, ASK)):
                other = -side * max(-side * price for one, price in book if one == -side)
                sums[s] += [book.get((side, other - side * d), 0) for d in range(1, 7)]
            moments += 1
            due += 10 * MS
        for _, kind, side, price, lots, _ in message:
            if kind == BOOK_LEVEL:
                book[side, price] = lots
        book = {level: lots for level, lots in book.items() if lots}
    assert flow.edges_ticks.tolist() == [1, 2, 3, 4, 5, 6, 7]
    mean = (flow.depth_lots * flow.samples[:, None, None]).sum(0) / flow.samples.sum()
    np.testing.assert_allclose(mean, sums / moments, rtol=2e-3, atol=2e-3)


@given(st.integers(1, 5000))
def test_distances_are_covered_once(depth):
    """Buckets of distance rise, begin at 1 and end after depth_ticks."""
    edges = distance_edges(depth)
    assert edges[0] == 1 and edges[-1] == depth + 1 and (np.diff(edges) > 0).all()


def test_a_history_without_a_book_is_refused():
    """Trades alone, or an instant alone, are no flow: the error says what is missing."""
    with pytest.raises(HistoryError, match="two-sided book"):
        order_flow([rows_of([(START_NS, TRADE, BID, 100, 1, LAST)])], INSTRUMENT)
    with pytest.raises(HistoryError, match="two-sided book"):
        order_flow([rows_of(QUOTES)], INSTRUMENT)


def test_reading_stops_at_the_bound():
    """A flow that was cut at orders_max says so and reads no further."""
    rows = market(1).rows()
    flow = order_flow(np.array_split(rows, 20), INSTRUMENT, orders_max=200)
    assert flow.truncated and 200 <= flow.orders.size < 600 and flow.rows < rows.size
    assert not order_flow([rows], INSTRUMENT).truncated


@pytest.mark.parametrize("market_name, tick, unexplained", [("binance-usdm", "0.1", 0.03), ("binance", "0.01", 0.08)])
def test_the_bundled_sample_is_explained(market_name, tick, unexplained):
    """On real depth of 50 and 100 ms nearly every traded lot meets the fall of its level."""
    instrument = Instrument(market_name, "BTCUSDT", Decimal(tick), Decimal("0.00001"))
    flow = order_flow(open_history(SAMPLE / market_name / "BTCUSDT" / "2024-08-08.parquet"), instrument)
    assert flow.matching.unexplained_share < unexplained
    assert flow.matching.overflows == 0
    assert (flow.tops["ask_ticks"] > flow.tops["bid_ticks"]).all()
    assert (flow.own_ticks(flow.kind(CANCEL)) >= 0).all()


def test_a_recording_is_explained(recordings):
    """A quiet day's recording, read as it was received, is explained as well."""
    instrument = Instrument("binance-usdm", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
    flow = order_flow(open_history(recordings / "binance" / "usdm_btcusdt_20240718.gz", instrument), instrument)
    assert flow.matching.unexplained_share < 0.02
    assert flow.seconds > 170

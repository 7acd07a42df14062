"""What the recordings of single orders prove: Bitstamp against its own books, CME by itself, Coinbase L3 against L2."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import numpy as np
import pytest

from pinnacle import event
from pinnacle.history.catalog import import_history
from pinnacle.history.check import check_history
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument
from tests.naive import l3_checker

BTCUSD = Instrument("bitstamp", "BTCUSD", Decimal("0.01"), Decimal("0.00000001"))
BTC_USD = Instrument("coinbase", "BTC-USD", Decimal("0.01"), Decimal("0.00000001"))
ESM4 = Instrument("cme", "ESM4", Decimal("0.25"), Decimal(1), contract=Decimal(50))
COMPARED = "comparisons with the venue's book"


@pytest.fixture(scope="module")
def bitstamp(recordings):
    return recordings / "bitstamp" / "l3_btcusd_20150501_part1.log.gz"


@pytest.fixture(scope="module")
def esm4(recordings):
    pytest.importorskip("databento_dbn")
    return recordings / "mbo" / "esm4_20240508T000000_2s.mbo.dbn.zst"


def test_bitstamp_naive_rates(bitstamp):
    """The obvious checker: the best 91% equal while unknown orders rest, then 99.8% to 100%; five levels 99.7%."""
    tops = l3_checker.bitstamp_tops(bitstamp)
    best, five = l3_checker.rates_by_fifth(tops, 1), l3_checker.rates_by_fifth(tops, 5)
    assert len(tops) == 3060 and best[0] > 0.91 and min(best[1:]) > 0.998 and min(five[3:]) > 0.996
    tops = l3_checker.bitstamp_tops(bitstamp, changes_add=False)
    as_received = check_history(bitstamp, BTCUSD, ImportOptions(bridge="as-received"))
    for depth, words in ((1, "1 level"), (5, "5 levels"), (20, "20 levels")):
        equal = sum(all(ours[:depth] == said[:depth] for ours, said in sides) for sides in tops)
        assert as_received.orders[f"of the comparisons, equal in the best {words} a side"] == equal


def test_bitstamp_every_difference_has_a_reason(bitstamp):
    """3,032 of 3,060 books are the venue's but for orders from before the recording; the rest are other moments."""
    report = check_history(bitstamp, BTCUSD)
    assert report.ok and report.verdict.startswith("verdict: the orders make the venue's own book in 3,032 of 3,060")
    orders = report.orders
    assert orders[COMPARED] == 3060
    assert orders["comparisons that differ by the moment at which the venue's book was taken"] == 27
    assert "comparisons that differ for no known reason" not in orders
    assert orders["changes of unknown ids"] == orders["deletions of unknown ids"] == 0
    assert orders["deleted ids used again"] == 0
    assert orders["longest crossing, ns"] == 451_000_000
    # Better than the file as it arrived, whose best are equal in 3,001.
    assert orders["of the comparisons, equal in the best 1 level a side"] == 3021


def test_bitstamp_as_received_says_what_is_wrong_with_it(bitstamp):
    """Without repair the three creations that came after their deletions are found, and the unknown ids counted."""
    report = check_history(bitstamp, BTCUSD, ImportOptions(bridge="as-received"))
    assert not report.ok and "WRONG" in report.verdict
    assert report.problems["orders added under an id that was deleted"] == 3
    assert report.orders["orders added"] == 15_092 and report.orders["orders deleted"] == 15_101
    assert report.orders["orders changed"] == 387


def test_bitstamp_trades_take_from_the_resting_order(bitstamp):
    """345 of 360 trades name the order that rested: the older of the two, at its price, on the other side."""
    rows = np.concatenate(list(open_history(bitstamp, BTCUSD)))
    placed = {}
    named = 0
    for row in rows:
        if row["kind"] in (event.ORDER_ADD, event.ORDER_MODIFY, event.ORDER_DELETE):
            placed[int(row["order_id"])] = (int(row["side"]), int(row["price_ticks"]))
        elif row["kind"] == event.TRADE and row["order_id"]:
            named += 1
            assert placed.get(int(row["order_id"]), (-int(row["side"]), int(row["price_ticks"]))) == (
                -int(row["side"]),
                int(row["price_ticks"]),
            )
    assert named == 345


def test_imported_day_is_checked_too(bitstamp, tmp_path):
    """A day file made of it keeps the orders and the venue's best, and its check compares these."""
    _, segments = import_history(bitstamp, tmp_path, BTCUSD)
    report = check_history([segment.path for segment in segments])
    assert report.orders[COMPARED] == 3060 and report.orders["orders added"] == 15_231
    assert report.orders["of the comparisons, equal in the best 1 level a side"] == 3021


def test_cme_orders_make_one_book(esm4):
    """No unknown id, no crossing; every fill at the best price and first in its queue, or behind an order that left."""
    report = check_history(esm4, ESM4)
    assert report.ok
    orders = report.orders
    assert (orders["orders added"], orders["orders changed"], orders["orders deleted"]) == (13_678, 27, 80)
    assert orders["changes of unknown ids"] == orders["deletions of unknown ids"] == orders["crossings"] == 0
    assert orders["fills of an order in the book"] == orders["of these at its price"] == 5
    assert orders["of these at the best price of its side"] == 5
    assert orders["of these of the first order in the queue"] == 4
    assert orders["fills past an order in front that left in the same message"] == 1


def test_cme_events_are_the_venues(esm4):
    """LAST stands once for each F_LAST: the snapshot, then 184 events; trades carry the resting order's id."""
    rows = np.concatenate(list(open_history(esm4, ESM4)))
    assert (rows["flags"] & event.LAST > 0).sum() == 185
    snapshot = rows["flags"] & event.SNAPSHOT > 0
    assert snapshot.sum() == 13_601 and (rows["ts_venue_ns"][snapshot] == 0).all()
    trades = rows[rows["kind"] == event.TRADE]
    assert (trades["side"] == event.BUY).all() and (trades["order_id"] > 0).all() and trades["qty_lots"].sum() == 6


def test_coinbase_orders_sum_to_levels(recordings):
    """L3 by price is L2: 18,323 of 18,376 bids and 26,967 of 27,017 asks, counts too; the rest fit 2,070 messages."""
    folder = recordings / "coinbase" / "book_snapshots_20260807"
    l2, l3 = folder / "btcusd_l2.json.gz", folder / "btcusd_l3.json.gz"
    report = check_history([l3, l2], BTC_USD)
    assert report.ok and report.orders["orders added"] == 57_419 + 53_187
    assert report.orders["levels compared with the venue's book"] == 18_376 + 27_017
    assert report.orders["messages between the two books"] == 2_070
    single, whole = (json.loads(gzip.decompress(path.read_bytes())) for path in (l3, l2))
    sized = 0
    for side, both in (("bids", 18_323), ("asks", 26_967)):
        summed = l3_checker.coinbase_levels(single[side])
        said = {Decimal(price): (Decimal(qty), count) for price, qty, count in whole[side]}
        assert sum(summed.get(price) == level for price, level in said.items()) == both
        sized += sum(price in summed and summed[price][0] == level[0] for price, level in said.items())
    assert report.orders["levels that are equal"] == sized
    rows = np.concatenate(list(open_history(l3, BTC_USD)))
    assert np.unique(rows["order_id"][1:]).size == rows.size - 1 and (rows["order_id"][1:] > 0).all()

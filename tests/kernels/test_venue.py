"""The simulated venue, told as tales: what an order meets, and why it was filled or refused."""

from __future__ import annotations

import numpy as np
import pytest

from pinnacle.event import (
    ASK,
    BID,
    FOK,
    IOC,
    ORDER_ACKNOWLEDGED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_REJECTED,
    PLACE,
    POST_ONLY,
)
from pinnacle.kernels.latency import FEED, FITTED, RECORDED
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE
from pinnacle.limits import BOOK_WINDOW_TICKS
from tests.kernels.scene import Scene, ask, bid, bought, cleared, funded, market, sold, wake

GTC = 0
# 5 lots a level, 98 99 | 101 102: a book that every scene begins with.
BOOK = (bid(1, 98, 5), bid(1, 99, 5), ask(1, 101, 5), ask(1, 102, 5))


def scene(script, *rows, **how):
    """Run a script over the book and what happens after it, to a last wake at 10,000."""
    return Scene(script, **how).run(market(*BOOK, *(wake(time) for time in script), *rows, wake(10_000)))


def test_post_only_rests_or_expires():
    """A post-only order that would take expires; one tick less and it rests behind what is there."""
    assert scene({100: [(BID, 101, 2)]}).tale() == [
        "100 place #1 buy 2 @ 101",
        "120 expired #1 buy 2 @ 101 would_cross",
    ]
    rested = scene({100: [(BID, 99, 2)]})
    assert rested.tale() == ["100 place #1 buy 2 @ 99", "120 acknowledged #1 buy 2 @ 99"]
    assert rested.kinds(ORDER_ACKNOWLEDGED)["aux"] == [5]


@pytest.mark.parametrize(
    "flags, price, lots, told",
    [
        (IOC, 101, 3, ["filled #1 buy 3 @ 101 taker"]),
        (IOC, 101, 7, ["filled #1 buy 5 @ 101 taker", "expired #1 buy 2 @ 101 unfilled"]),
        (IOC, 102, 7, ["filled #1 buy 5 @ 101 taker", "filled #1 buy 2 @ 102 taker"]),
        (IOC, 100, 3, ["expired #1 buy 3 @ 100 no_liquidity"]),
        (FOK, 101, 5, ["filled #1 buy 5 @ 101 taker"]),
        (FOK, 102, 10, ["filled #1 buy 5 @ 101 taker", "filled #1 buy 5 @ 102 taker"]),
        (FOK, 102, 11, ["expired #1 buy 11 @ 102 unfilled"]),
        (FOK, 100, 1, ["expired #1 buy 1 @ 100 no_liquidity"]),
        (GTC, 101, 3, ["acknowledged #1 buy 3 @ 101", "filled #1 buy 3 @ 101 taker"]),
        (GTC, 101, 7, ["acknowledged #1 buy 7 @ 101", "filled #1 buy 5 @ 101 taker"]),
    ],
)
def test_time_in_force(flags, price, lots, told):
    """What rests is taken from the best on, never beyond the limit; the remainder ends as its time in force says."""
    ran = scene({100: [(BID, price, lots, flags)]})
    assert ran.tale()[1:] == [f"120 {line}" for line in told]
    mirrored = scene({100: [(ASK, 200 - price, lots, flags)]})
    assert len(mirrored.tale()) == len(ran.tale())
    assert list(mirrored.kinds(ORDER_FILLED)["price_ticks"]) == [
        200 - p for p in ran.kinds(ORDER_FILLED)["price_ticks"]
    ]


def test_gtc_remainder_rests_at_its_price():
    """What a crossing order could not take rests, and is the first in line at its price."""
    ran = scene({100: [(BID, 101, 7, GTC)]}, sold(500, 101, 1), sold(600, 100, 9))
    assert ran.tale(200) == ["510 filled #1 buy 1 @ 101 queue_front", "610 filled #1 buy 1 @ 101 trade_through"]


def test_consumed_liquidity_stays_consumed_until_refreshed():
    """A second taker finds nothing where the first one took all, until the venue sets the level anew."""
    buys = {time: [(BID, 101, 4, IOC)] for time in (100, 200, 300)}
    assert scene(buys, ask(250, 101, 5)).tale() == [
        "100 place #1 buy 4 @ 101",
        "120 filled #1 buy 4 @ 101 taker",
        "200 place #2 buy 4 @ 101",
        "220 filled #2 buy 1 @ 101 taker",
        "220 expired #2 buy 3 @ 101 unfilled",
        "300 place #3 buy 4 @ 101",
        "320 filled #3 buy 4 @ 101 taker",
    ]


def test_whole_fills_take_any_size():
    """With whole fills a taker gets all it asked for at the best price, and a maker all it has left."""
    ran = Scene({100: [(BID, 101, 50, IOC)], 200: [(BID, 98, 9)]}).whole()
    ran.run(market(*BOOK, wake(100), wake(200), sold(500, 98, 6)))
    assert ran.tale() == [
        "100 place #1 buy 50 @ 101",
        "120 filled #1 buy 50 @ 101 taker",
        "200 place #2 buy 9 @ 98",
        "220 acknowledged #2 buy 9 @ 98",
        "510 filled #2 buy 9 @ 98 queue_front",
    ]


def test_reasons_of_maker_fills():
    """A fill says why: the queue's front was reached, a trade went through, or the other side came to the price."""
    rest = {100: [(BID, 99, 4)]}
    assert scene(rest, sold(500, 99, 7)).tale(200) == ["510 filled #1 buy 2 @ 99 queue_front"]
    assert scene(rest, sold(500, 98, 7)).tale(200) == ["510 filled #1 buy 4 @ 99 trade_through"]
    assert scene(rest, sold(500, 98, 3)).tale(200) == ["510 filled #1 buy 3 @ 99 trade_through"]
    assert scene(rest, ask(500, 99, 3)).tale(200) == ["510 filled #1 buy 3 @ 99 crossing_book"]
    assert scene(rest, ask(500, 97, 9)).tale(200) == ["510 filled #1 buy 4 @ 99 crossing_book"]
    assert scene(rest, bought(500, 99, 9)).tale(200) == []
    assert scene(rest, sold(500, 100, 9)).tale(200) == []


def test_queue_is_eaten_from_the_front():
    """Nothing is ours before what stood there first has traded, and a cancel behind us brings us no nearer."""
    rest = {100: [(BID, 99, 4)]}
    ran = scene(rest, sold(500, 99, 3), bid(501, 99, 2), sold(600, 99, 2), sold(700, 99, 1))
    assert ran.tale(200) == ["710 filled #1 buy 1 @ 99 queue_front"]
    # The level grew by 9 behind us: 5 are still ahead.
    assert scene(rest, bid(500, 99, 14), sold(600, 99, 5)).tale(200) == []
    assert scene(rest, bid(500, 99, 14), sold(600, 99, 6)).tale(200) == ["610 filled #1 buy 1 @ 99 queue_front"]


def test_two_orders_at_one_price_share_a_queue():
    """One trade fills our orders of a price in the order in which they came, and no lot of it twice."""
    both = {100: [(BID, 99, 4), (BID, 99, 4)]}
    assert scene(both, sold(500, 99, 11)).tale(200) == [
        "510 filled #1 buy 4 @ 99 queue_front",
        "510 filled #2 buy 2 @ 99 queue_front",
    ]
    assert scene(both, sold(500, 98, 6)).tale(200) == [
        "510 filled #1 buy 4 @ 99 trade_through",
        "510 filled #2 buy 2 @ 99 trade_through",
    ]


@pytest.mark.parametrize(
    "field, limit, quote, told",
    [
        ("price_max_ticks", 50, (BID, 99, 4), "price_filter"),
        ("price_min_ticks", 100, (BID, 99, 4), "price_filter"),
        ("qty_min_lots", 5, (BID, 99, 4), "qty_filter"),
        ("qty_max_lots", 3, (BID, 99, 4), "qty_filter"),
        ("notional_min_units", 397, (BID, 99, 4), "notional_filter"),
    ],
)
def test_filters_refuse_what_breaks_them(field, limit, quote, told):
    """An order that breaks one of the venue's filters is rejected with that reason, and frees its slot."""
    ran = Scene({100: [quote]})
    ran.venue[field] = limit
    ran.run(market(*BOOK, wake(100), wake(900)))
    assert ran.tale(110) == [f"120 rejected #1 buy 4 @ 99 {told}"]
    assert ran.own["live_count"].sum() == 0 and ran.own["rejected"] == 1
    # The bound itself is allowed.
    at = {"price_max_ticks": 99, "price_min_ticks": 99, "qty_min_lots": 4, "qty_max_lots": 4, "notional_min_units": 396}
    ran = Scene({100: [quote]})
    ran.venue[field] = at[field]
    ran.run(market(*BOOK, wake(100), wake(900)))
    assert ran.tale(110) == ["120 acknowledged #1 buy 4 @ 99"]


def test_venue_holds_no_more_orders_than_its_maximum():
    """The order beyond the venue's maximum is rejected; the ones before it rest."""
    ran = Scene({100: [(BID, 99, 1), (BID, 98, 1), (ASK, 101, 1)]})
    ran.venue["orders_max"] = 2
    ran.run(market(*BOOK, wake(100), wake(900)))
    assert ran.tale(110) == [
        "120 acknowledged #1 buy 1 @ 99",
        "120 acknowledged #2 buy 1 @ 98",
        "120 rejected #3 sell 1 @ 101 orders_max",
    ]


@pytest.mark.parametrize(
    "mode, told",
    [
        (STP_EXPIRE_TAKER, ["expired #2 sell 3 @ 100 self_trade"]),
        (STP_EXPIRE_MAKER, ["expired #1 buy 2 @ 100 self_trade", "acknowledged #2 sell 3 @ 100"]),
        (STP_EXPIRE_BOTH, ["expired #1 buy 2 @ 100 self_trade", "expired #2 sell 3 @ 100 self_trade"]),
        (STP_NONE, ["acknowledged #2 sell 3 @ 100"]),
    ],
)
def test_self_trade_prevention(mode, told):
    """Our own order in our own way: the mode says which of the two expires, and neither is ever filled by the other."""
    ran = Scene({100: [(BID, 100, 2)], 200: [(BID, 100, 2), (ASK, 100, 3, GTC)]})
    ran.venue["stp"] = mode
    ran.run(market(*BOOK, wake(100), wake(200), wake(900)))
    assert ran.tale(210) == [f"220 {line}" for line in told]


def test_fees_by_role():
    """A maker pays the maker's rate and a taker the taker's, each rounded against us; a rebate is a negative fee."""
    ran = Scene({100: [(BID, 101, 3, IOC)], 200: [(BID, 99, 2)]})
    ran.venue["maker_ppb"], ran.venue["taker_ppb"] = -100_000, 500_000
    ran.own["units_per_ticklot"] = ran.venue["units_per_ticklot"] = 1_001
    ran.run(market(*BOOK, wake(100), wake(200), sold(500, 98, 9), wake(900)))
    # 3 * 101 * 1001 * 0.0005 = 151.65 up to 152; 2 * 99 * 1001 * 0.0001 = 19.8 of rebate down to 19.
    assert list(ran.kinds(ORDER_FILLED)["aux"]) == [152, -19]
    assert (ran.own["fees_units"], ran.own["rebates_units"], ran.own["maker_fills"]) == (133, 19, 1)


def test_latencies_are_separate():
    """A place travels the entry delay, a cancel the cancel delay, and every answer the response delay."""
    ran = scene({100: [(BID, 99, 2)], 1000: []}, delays=(40, 70, 300))
    assert ran.tale() == [
        "100 place #1 buy 2 @ 99",
        "440 acknowledged #1 buy 2 @ 99",
        "1000 cancel #1 buy 2 @ 99",
        "1370 cancelled #1 buy 2 @ 99",
    ]
    assert list(ran.kinds(ORDER_ACKNOWLEDGED, ORDER_CANCELLED)["ts_venue_ns"]) == [140, 1070]


def test_messages_never_overtake():
    """A quick cancel behind a slow place arrives with it and not before; the answers keep that order too."""
    ran = scene({100: [(BID, 99, 2)], 400: [], 410: [(BID, 98, 2)]}, delays=(200, 10, 50))
    assert ran.tale()[:4] == [
        "100 place #1 buy 2 @ 99",
        "350 acknowledged #1 buy 2 @ 99",
        "400 cancel #1 buy 2 @ 99",
        "460 cancelled #1 buy 2 @ 99",
    ]
    # Falling delays: what was sent later would arrive earlier.
    ran = Scene({100: [(BID, 99, 2)], 150: [(BID, 99, 2), (BID, 98, 1)]})
    ran.venue["latency"]["model"], ran.venue["latency"]["points_stop"] = RECORDED, 2
    ran.points = np.array([[100, 400, 400, 5], [200, 50, 50, 5]], np.int64)
    ran.run(market(*BOOK, wake(100), wake(150), wake(5_000)))
    assert list(ran.kinds(ORDER_ACKNOWLEDGED)["ts_venue_ns"]) == [500, 500]
    assert list(ran.kinds(ORDER_ACKNOWLEDGED)["order_id"]) == [1, 2]


def test_cancel_races_a_fill():
    """A fill that happens while the cancel is on its way stands; the cancel is refused, or ends what is left."""
    late = {100: [(BID, 99, 4)], 1000: []}
    assert scene(late, sold(1005, 98, 4)).tale(1000) == [
        "1000 cancel #1 buy 4 @ 99",
        "1015 filled #1 buy 4 @ 99 trade_through",
        "1020 cancel_rejected #1 buy unknown_order",
    ]
    assert scene(late, sold(1005, 98, 3)).tale(1000) == [
        "1000 cancel #1 buy 4 @ 99",
        "1015 filled #1 buy 3 @ 99 trade_through",
        "1020 cancelled #1 buy 1 @ 99",
    ]
    assert scene(late, sold(1011, 98, 4)).tale(1000) == ["1000 cancel #1 buy 4 @ 99", "1020 cancelled #1 buy 4 @ 99"]
    raced = scene(late, sold(1005, 98, 4))
    assert raced.own["odd"] == 0 and raced.own["live_count"].sum() == 0 and raced.own["position_lots"] == 4


def test_funding_moves_money_by_the_position():
    """Longs pay a positive rate and shorts receive it, on the mark price, or on our mid where none is given."""
    long = scene({100: [(BID, 101, 5, IOC)]}, funded(500, 10_000_000, 1_000), funded(600, 10_000_000))
    assert long.own["funding_units"] == -(50 + 5)  # 1 % of 5 * 1000; 1 % of 5 * 100
    short = scene({100: [(ASK, 99, 5, IOC)]}, funded(500, 10_000_000, 1_000), funded(600, -10_000_000))
    assert short.own["funding_units"] == 50 - 5


def test_recorded_latency_is_interpolated_at_the_time_of_sending():
    """A recorded latency curve delays each message by its value at the time it was sent."""
    ran = Scene({100: [(BID, 99, 2)], 1100: []})
    ran.venue["latency"]["model"], ran.venue["latency"]["points_stop"] = RECORDED, 2
    ran.points = np.array([[100, 10, 20, 30], [2100, 1010, 520, 30]], np.int64)
    ran.run(market(*BOOK, wake(100), wake(1100), wake(9_000)))
    assert list(ran.kinds(ORDER_ACKNOWLEDGED, ORDER_CANCELLED)["ts_venue_ns"]) == [110, 1100 + 270]
    assert list(ran.kinds(ORDER_ACKNOWLEDGED, ORDER_CANCELLED)["ts_ns"]) == [140, 1370 + 30]


def test_feed_latency_scales_the_feed_of_the_moment():
    """A feed latency is the multiple of what the last market row took to reach us, plus a constant."""
    ran = Scene({100: [(BID, 99, 2)]}, delays=(7, 7, 3))
    ran.venue["latency"]["model"], ran.venue["latency"]["multiplier"][:] = FEED, (2.0, 1.0, 0.5)
    ran.run(market(*BOOK, bid(100, 90, 1, ts_venue_ns=80, flags=1), bid(200, 90, 2, ts_venue_ns=160), wake(5_000)))
    heard = ran.kinds(ORDER_ACKNOWLEDGED)
    assert heard["ts_venue_ns"] == [100 + 2 * 20 + 7]
    assert heard["ts_ns"] == [147 + 10 + 3]


def test_fitted_latency_repeats_and_differs():
    """Drawn latencies repeat with the seed and differ from message to message, and never undercut their shift."""

    def heard(seed):
        ran = Scene({100 * k: [(BID, 98 + k % 2, 1)] for k in range(1, 40)}, delays=(5, 5, 5))
        latency = ran.venue["latency"]
        latency["model"], latency["seed"], latency["mu"][:], latency["sigma"][:] = FITTED, seed, 3.0, 0.5
        ran.run(market(*BOOK, *(wake(100 * k) for k in range(1, 40)), wake(9_000)))
        answers = ran.kinds(ORDER_ACKNOWLEDGED)
        return (answers["ts_ns"] - answers["ts_venue_ns"]).tolist()

    assert heard(1) == heard(1) != heard(2)
    assert len(set(heard(1))) > 5 and min(heard(1)) >= 5


def test_cleared_levels_do_not_fill_or_move_us():
    """A side that the venue empties and sends again neither fills an order that rests there nor lets it jump ahead."""
    rest = {100: [(BID, 99, 4)]}
    resent = (cleared(500, 0, 0), bid(501, 99, 5), ask(501, 101, 5))
    assert scene(rest, *resent, sold(600, 99, 5)).tale(200) == []
    assert scene(rest, *resent, sold(600, 99, 6)).tale(200) == ["610 filled #1 buy 1 @ 99 queue_front"]


def test_venue_follows_a_falling_market():
    """When bids sink below the venue's window while the asks are still in it, there is still something to sell to."""
    low = 99 + 2 * BOOK_WINDOW_TICKS - BOOK_WINDOW_TICKS // 2 - 5
    top = 99 + 2 * BOOK_WINDOW_TICKS
    fallen = (bid(3, low, 5), bid(4, top, 0), ask(5, low + 10, 5))
    ran = Scene({100: [(ASK, low, 3, IOC)]}).run(
        market(bid(1, top, 5), ask(2, top + 2, 5), *fallen, wake(100), wake(900))
    )
    assert ran.tale(110) == [f"120 filled #1 sell 3 @ {low} taker"]


def test_trade_before_any_book_changes_nothing():
    """Trades at a venue that has shown no book yet fill nothing, and requests are refused: no price is known there."""
    ran = Scene({100: [(BID, 99, 4), (ASK, 103, 1, IOC)]})
    ran.run(market(sold(50, 99, 5), wake(100), sold(500, 99, 3), bid(600, 98, 1), wake(900)))
    assert ran.tale(110) == [
        "120 rejected #1 buy 4 @ 99 price_filter",
        "120 rejected #2 sell 1 @ 103 price_filter",
    ]


def test_every_order_ends_at_most_once():
    """Each placed order is rejected, expired, cancelled or filled in full once, or it is still live."""
    times = range(100, 3_100, 50)
    script = {t: [(BID, 90 + k % 12, 1 + k % 9, (POST_ONLY, IOC, FOK, GTC)[k % 4])] for k, t in enumerate(times)}
    ran = Scene(script)
    ran.venue["qty_min_lots"] = 2
    ran.run(market(*BOOK, *map(wake, times), *(sold(1_000 + 90 * k, 95, 2) for k in range(20)), wake(9_000)))
    live = {int(order["order_id"]) for order in ran.own["orders"] if order["status"] != 0}
    for order in ran.kinds(PLACE):
        rows = ran.records[(ran.records["order_id"] == order["order_id"]) & (ran.records["kind"] < 128)]
        filled = rows["qty_lots"][rows["kind"] == ORDER_FILLED].sum()
        ends = np.isin(rows["kind"], (ORDER_REJECTED, ORDER_EXPIRED, ORDER_CANCELLED)).sum() + (
            filled == order["qty_lots"]
        )
        assert ends == (0 if int(order["order_id"]) in live else 1)
    assert ran.own["odd"] == 0 and ran.own["placed"] > 20

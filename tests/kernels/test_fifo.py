"""Exact places in a recorded queue: own orders among single orders, against a plain list and as tales to be read."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pytest

from pinnacle.event import (
    ASK,
    BID,
    CANCEL,
    FILL_REASON_NAMES,
    IOC,
    ORDER_ADD,
    ORDER_DELETE,
    ORDER_EXPIRED,
    ORDER_FILLED,
    ORDER_MODIFY,
    PLACE,
    TRADE,
    reason_of,
)
from pinnacle.kernels.book import best_ticks, lots_at
from pinnacle.kernels.queue import MODELS
from tests.kernels.order_market import (
    Drawn,
    add,
    change,
    cleared,
    delete,
    heard_and_woven,
    ordered_scene,
    shown,
    traded,
)
from tests.kernels.scene import Scene, wake
from tests.naive.fifo_naive import FifoNaive

WORLDS = int(os.environ.get("PINNACLE_FIFO_WORLDS", "300"))
ENTRY_NS = 10
Told = tuple[int, int, int, int, int, str]  # venue time, order id, side, price, lots, why


def drawn_script(seed: int, last_ns: int) -> dict[int, list[tuple[int, int, int]]]:
    """Quotes wanted from drawn times on: up to three a side, near the market, often two at one price."""
    draw, script, now = random.Random(seed), {}, 10
    while now < last_ns:
        quotes = []
        for side in (BID, ASK):
            price = 100 - side * draw.randint(0, 3)
            for _ in range(draw.randint(0, 3)):
                quotes.append((side, price, draw.randint(1, 8)))
                price -= side * draw.choice((0, 1))
        script[now] = quotes
        now += draw.randint(5, 120)
    return script


def told_by_twin(
    events: np.ndarray, log: np.ndarray, entry_ns: int = ENTRY_NS, fronts: dict[int, int] | None = None
) -> list[Told]:
    """What the plain list fills when it is told the recording, and a log's commands at the time of their arrival.

    fronts: by own order, filled with the lots ahead of it when it came to rest.
    """
    fills: list[Told] = []
    now = 0
    twin = FifoNaive(lambda *fill: fills.append((now, fill[0], fill[1], fill[2], fill[3], fill[4])))
    expired = set(log["order_id"][log["kind"] == ORDER_EXPIRED].tolist())
    requests = log[np.isin(log["kind"], (PLACE, CANCEL))]

    def arrive(request: np.void) -> None:
        order_id = int(request["order_id"])
        if request["kind"] == CANCEL:
            if order_id in twin.own:
                twin.cancel(order_id)
        elif order_id not in expired:
            twin.rest(order_id, int(request["side"]), int(request["price_ticks"]), int(request["qty_lots"]))
            if fronts is not None:
                fronts[order_id] = twin.ahead(order_id)

    at = 0
    for row in events:
        while at < requests.size and requests[at]["ts_ns"] + entry_ns < row["ts_ns"]:
            now = int(requests[at]["ts_ns"]) + entry_ns
            arrive(requests[at])
            at += 1
        now = int(row["ts_ns"])
        order_id, side, price, lots = (int(row[name]) for name in ("order_id", "side", "price_ticks", "qty_lots"))
        if row["kind"] == ORDER_ADD:
            twin.add(order_id, side, price, lots)
        elif row["kind"] == ORDER_MODIFY:
            twin.modify(order_id, price, lots)
        elif row["kind"] == ORDER_DELETE:
            twin.delete(order_id)
        elif row["kind"] == TRADE:
            twin.trade(side, price, lots, order_id)
    return fills


def told_by_venue(log: np.ndarray) -> list[Told]:
    """The same from the run's log."""
    names = ("ts_venue_ns", "order_id", "side", "price_ticks", "qty_lots")
    return [
        (*(int(row[name]) for name in names), FILL_REASON_NAMES[reason_of(int(row["flags"]))])
        for row in log[log["kind"] == ORDER_FILLED]
    ]


def run_world(seed: int, count: int = 160) -> tuple[list[Told], list[Told], np.ndarray]:
    """(fills of the plain list, fills of the venue, the recording) of one drawn world."""
    events = Drawn(seed, count, odd=(seed % 4) * 0.05).events
    ran = ordered_scene(drawn_script(seed, int(events["ts_ns"][-1])), events)
    assert ran.fault == 0
    return told_by_twin(events, ran.records), told_by_venue(ran.records), events


def test_own_orders_in_drawn_queues_are_filled_as_in_a_plain_list() -> None:
    """In every drawn recording each fill, its time, quantity and reason are those of a list that holds our orders."""
    reasons: dict[str, int] = {}
    for seed in range(WORLDS):
        expected, found, _ = run_world(seed)
        assert found == expected, f"seed {seed}: run_world({seed})"
        for fill in found:
            reasons[fill[5]] = reasons.get(fill[5], 0) + 1
    assert min(reasons.get(why, 0) for why in ("trade_through", "queue_front", "crossing_book")) > WORLDS // 3, reasons


def test_interpreted_worlds_are_the_same() -> None:
    """Without the compiler the same fills come out, so the plain list judges what is written and not what is built."""
    show = "print(*run_world(seed, 90)[:2], sep=chr(10))"
    code = f"from tests.kernels.test_fifo import run_world; [{show} for seed in range(3)]"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines == [str(fills) for seed in range(3) for fills in run_world(seed, 90)[:2]]
    assert lines[0::2] == lines[1::2] and any(line != "[]" for line in lines)


def test_the_careful_model_never_fills_before_the_exact_place() -> None:
    """One order that rests, at each model: where both sides stay apart, risk-averse is never filled first.

    It is what an exact place is worth: fills that the careful model comes to later, or never.
    """
    filled = {"exact": 0, "risk-averse": 0}
    later = 0
    for seed in range(WORLDS // 2):
        events = Drawn(seed, 160, odd=0, apart=True).events
        draw = random.Random(seed)
        side = draw.choice((BID, ASK))
        script = {draw.randint(20, 200): [(side, 100 - side * draw.randint(1, 2), 3)]}
        first: dict[str, int] = {}
        for model in filled:
            fills = ordered_scene(script, events, queue_model=MODELS[model]).kinds(ORDER_FILLED)
            filled[model] += fills.size > 0
            first[model] = int(fills["ts_venue_ns"][0]) if fills.size else 1 << 60
        assert first["exact"] <= first["risk-averse"], f"seed {seed}"
        later += first["exact"] < first["risk-averse"]
    assert filled["exact"] >= filled["risk-averse"] > WORLDS // 10 and later > WORLDS // 50, (filled, later)


def test_levels_heard_are_the_levels_of_the_orders() -> None:
    """However batches are cut, the engine's levels are sums of the orders, and its best theirs wherever they do not
    overlap.

    That holds of hidden levels too, which a feed of levels would say anew and a feed of orders never does.
    """
    checked = 0
    for seed in range(WORLDS // 5):
        events = Drawn(seed, 160, odd=(seed % 4) * 0.05).events
        sizes = (1 + seed % 7, 3)
        heard, driven = heard_and_woven(events, sizes)
        whole = heard_and_woven(events)
        assert heard.tobytes() == whole[0].tobytes() and driven.tobytes() == whole[1].tobytes()
        ran = Scene({}).run_woven(driven, (), heard)
        twin = FifoNaive(lambda *fill: None)
        for row in events:
            order_id, side, price, lots = (int(row[name]) for name in ("order_id", "side", "price_ticks", "qty_lots"))
            if row["kind"] == ORDER_ADD:
                twin.add(order_id, side, price, lots)
            elif row["kind"] == ORDER_MODIFY:
                twin.modify(order_id, price, lots)
            elif row["kind"] == ORDER_DELETE:
                twin.delete(order_id)
        book = ran.state[0]["market"]["book"][0]
        for side in (BID, ASK):
            for price in range(90, 111):
                assert lots_at(book, 0 if side == BID else 1, price) == twin.lots(side, price), f"seed {seed}"
        bids, asks = twin.prices(BID), twin.prices(ASK)
        if bids and asks and bids[0] < asks[0]:
            assert (best_ticks(book, 0), best_ticks(book, 1)) == (bids[0], asks[0]), f"seed {seed}"
            checked += 1
    assert checked > WORLDS // 10


# --- tales --------------------------------------------------------------------------------------------------------
# Orders 1 and 2 share the bid at 99, 3 is behind at 98, 4 and 5 the asks.  Ours joins the bid at 99 at 110,
# behind 5 lots.
BOOK = (
    add(1, 1, BID, 99, 3),
    add(1, 2, BID, 99, 2),
    add(1, 3, BID, 98, 4),
    add(1, 4, ASK, 101, 5),
    add(1, 5, ASK, 102, 5),
)


def tale(*rows: np.ndarray, script=None, **how) -> list[str]:
    """What our bid of 4 at 99 is told after it came to rest."""
    return ordered_scene(script or {100: [(BID, 99, 4)]}, *BOOK, wake(100), *rows, wake(10_000), **how).tale(200)


def test_who_stands_ahead_and_cancels_brings_us_forward() -> None:
    """Order 1 cancels: two lots are ahead instead of five, so the trade with order 6 behind us is ours, as far as it
    goes.
    """
    assert tale(
        add(300, 6, BID, 99, 9), delete(400, 1, BID, 99, 3), traded(500, ASK, 99, 2, 2), delete(501, 2, BID, 99),
        traded(600, ASK, 99, 3, 6), change(601, 6, BID, 99, 6),
    ) == ["610 filled #1 buy 3 @ 99 queue_front"]  # fmt: skip


def test_who_stands_behind_and_cancels_changes_nothing() -> None:
    """Order 6 came after us and leaves; the next trade still takes order 1 first, and not us."""
    assert (
        tale(add(300, 6, BID, 99, 9), delete(400, 6, BID, 99, 9), traded(500, ASK, 99, 3, 1), delete(501, 1, BID, 99))
        == []
    )


def test_an_execution_ahead_is_counted_once() -> None:
    """Three of the five lots ahead trade, told by a trade and by a change in either order: two are still ahead.

    A trade that names nobody then needs more than those two to reach us.
    """
    trade, left = traded(500, ASK, 99, 3, 1), delete(500, 1, BID, 99)
    for told in ((trade, left), (left, trade)):
        assert tale(*told, traded(600, ASK, 99, 2), delete(601, 2, BID, 99)) == []
        assert tale(*told, traded(600, ASK, 99, 3), delete(601, 2, BID, 99)) == ["610 filled #1 buy 1 @ 99 queue_front"]


def test_part_of_an_order_ahead_is_executed() -> None:
    """One lot of order 1 trades: four are ahead, so five that trade with nobody named leave one for us."""
    assert tale(traded(500, ASK, 99, 1, 1), change(501, 1, BID, 99, 2), traded(600, ASK, 99, 5)) == [
        "610 filled #1 buy 1 @ 99 queue_front"
    ]


@pytest.mark.parametrize(
    "how, price, lots, ahead",
    [("shrinks", 99, 1, True), ("grows", 99, 7, False), ("goes away and comes back", 98, 3, False)],
)
def test_a_change_that_loses_priority_goes_behind_us(how: str, price: int, lots: int, ahead: bool) -> None:
    """Order 1 shrinks and stays ahead; it grows, or moves away and back, and what trades with it then is ours first."""
    back = [] if price == 99 else [change(450, 1, BID, 99, 3)]
    told = tale(change(400, 1, BID, price, lots), *back, traded(500, ASK, 99, 1, 1))
    assert told == ([] if ahead else ["510 filled #1 buy 1 @ 99 queue_front"])


def test_a_trade_below_us_went_past_us() -> None:
    """A trade at 98 has gone past our bid at 99, whoever stood ahead of us, and whether or not it says its side."""
    for aggressor in (ASK, 0):
        assert tale(traded(500, aggressor, 98, 3, 3 if aggressor else 0)) == ["510 filled #1 buy 3 @ 99 trade_through"]
    assert tale(traded(500, 0, 99, 3)) == []


def test_an_executed_order_that_nobody_knows_stands_ahead() -> None:
    """It rested since before the recording began, so a trade with it proves nothing about us."""
    assert tale(traded(500, ASK, 99, 9, 77)) == []


def test_a_match_under_way_meets_nobody_and_its_rest_meets_us() -> None:
    """An ask of 9 at 99 comes into the book first: bids of 5 ahead of us trade with it, then we get the four it has
    left.
    """
    assert tale(
        add(500, 6, ASK, 99, 9), delete(501, 1, BID, 99), change(502, 6, ASK, 99, 6), traded(503, ASK, 99, 3, 1),
        change(504, 6, ASK, 99, 4), delete(505, 2, BID, 99), traded(506, ASK, 99, 2, 2),
    ) == ["516 filled #1 buy 4 @ 99 crossing_book"]  # fmt: skip


def test_own_orders_at_one_price_share_one_queue() -> None:
    """Two bids of ours at 99, one behind the other: three lots that trade behind both fill the first and one of the
    second.
    """
    told = tale(
        add(300, 6, BID, 99, 9), traded(500, ASK, 99, 3, 6), change(501, 6, BID, 99, 6),
        script={100: [(BID, 99, 2), (BID, 99, 2)]},
    )  # fmt: skip
    assert told == ["510 filled #1 buy 2 @ 99 queue_front", "510 filled #2 buy 1 @ 99 queue_front"]


def test_whole_fills_need_the_same_proof() -> None:
    """An order that is filled whole is filled by the first trade that reaches it, however small."""
    rows = (add(300, 6, BID, 99, 9), traded(400, ASK, 99, 1, 1), traded(500, ASK, 99, 1, 6))
    assert tale(*rows, whole=True) == ["510 filled #1 buy 4 @ 99 queue_front"]


def test_what_we_took_is_gone_until_others_come() -> None:
    """We take 3 of the 5 asks at 101.  Orders that join can be taken, what we took cannot, until the recording loses
    it.
    """
    take = (BID, 101, 3, IOC)
    script = {100: [take], 200: [(BID, 101, 9, IOC)], 400: [(BID, 101, 9, IOC)], 600: [(BID, 101, 9, IOC)]}
    told = tale(add(300, 7, ASK, 101, 4), delete(500, 4, ASK, 101), wake(200), wake(400), wake(600), script=script)
    filled = [line.split(" ", 1)[1] for line in told if line.split(" ")[1] == "filled"]
    assert filled == ["filled #2 buy 2 @ 101 taker", "filled #3 buy 4 @ 101 taker"]


def test_a_snapshot_after_a_clear_puts_its_orders_ahead() -> None:
    """The book is told anew: nobody knows who of it came before us, so all of it is held to be ahead."""
    rows = (cleared(300, 0), shown(301, 1, BID, 99, 3), shown(301, 8, BID, 99, 2), shown(301, 4, ASK, 101, 5))
    assert tale(*rows, traded(500, ASK, 99, 5, 8)) == []
    assert tale(*rows, traded(500, ASK, 99, 6)) == ["510 filled #1 buy 1 @ 99 queue_front"]
    assert tale(cleared(300, BID), traded(500, ASK, 99, 1)) == ["510 filled #1 buy 1 @ 99 queue_front"]


def test_a_clear_from_a_price_on_keeps_what_is_worse() -> None:
    """Bids at 99 and better are emptied: order 3 at 98 is there still, and is the best bid."""
    ran = ordered_scene({}, *BOOK, cleared(300, BID, 99))
    book = ran.state[0]["market"]["book"][0]
    assert (best_ticks(book, 0), lots_at(book, 0, 98), lots_at(book, 0, 99)) == (98, 4, 0)


def test_models_of_levels_hear_the_levels_of_orders() -> None:
    """Any other model runs over the same recording; a careful one does not know that order 1 was ahead and left."""
    rows = (add(300, 6, BID, 99, 9), delete(400, 1, BID, 99, 3), traded(500, ASK, 99, 5, 2))
    assert tale(*rows, queue_model=MODELS["risk-averse"]) == []
    assert tale(*rows, traded(600, ASK, 99, 1, 6)) == ["610 filled #1 buy 1 @ 99 queue_front"]


def test_a_price_beyond_the_window_moves_it_and_no_level_is_lost() -> None:
    """The market jumps two million ticks up and comes back: levels are right there, and right again after."""
    far = 2_000_000
    up = (
        delete(300, 4, ASK, 101, 5),
        delete(300, 5, ASK, 102, 5),
        add(301, 10, ASK, far + 1, 2),
        add(302, 11, BID, far, 1),
    )
    heard, driven = heard_and_woven(np.concatenate([*BOOK, *up]))
    book = Scene({}).run_woven(driven, (), heard).state[0]["market"]["book"][0]
    assert (best_ticks(book, 0), best_ticks(book, 1)) == (far, far + 1)
    down = (delete(400, 10, ASK, far + 1), delete(401, 11, BID, far), add(402, 12, ASK, 101, 1))
    heard, driven = heard_and_woven(np.concatenate([*BOOK, *up, *down]))
    book = Scene({}).run_woven(driven, (), heard).state[0]["market"]["book"][0]
    assert (best_ticks(book, 0), best_ticks(book, 1)) == (99, 101)
    assert [lots_at(book, 0, price) for price in (99, 98)] == [5, 4]

"""The matching engine against dicts and lists, byte for byte; what must always hold; and drawn scenes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.event import ASK, BID, BUY, EVENT, KIND_NAMES, SELL
from pinnacle.kernels import book_l3 as l3s
from pinnacle.kernels import exchange as exchanges
from pinnacle.kernels import jit
from pinnacle.kernels.book import set_price
from pinnacle.kernels.exchange_state import (
    PUBLISH_LEVELS,
    PUBLISH_ORDERS,
    PUBLISH_TRADES,
    STP_DECREMENT,
    new_exchange,
)
from pinnacle.kernels.state import NO_PRICE, new_state
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE
from pinnacle.limits import EXCHANGE_OUT_RECORDS
from tests.naive.book_l3_naive import BookL3Naive
from tests.naive.book_naive import BookNaive
from tests.naive.exchange_naive import ExchangeNaive, Person

ROOT = Path(__file__).resolve().parent.parent.parent
PEOPLE = 6
LOW, HIGH, MIDDLE = 9_000, 11_000, 10_000
MODES = (STP_EXPIRE_TAKER, STP_EXPIRE_MAKER, STP_EXPIRE_BOTH, STP_NONE, STP_DECREMENT)


def pair(orders=1 << 10, publish=15):
    """The compiled engine and the plain one, with the same rules: fee tiers, limits and self-trade modes differ by
    participant."""
    venue = new_exchange(PEOPLE, LOW, HIGH, 200, 7, orders)
    record = venue.exchange[0]
    record["maker_ppb"][:3] = (-12_345, 100_000, 0)
    record["taker_ppb"][:3] = (400_001, 1_000_000, 7)
    record["notional_min_units"], record["notional_max_units"] = 2 * MIDDLE * 7, 120 * MIDDLE * 7
    record["publish"] = publish
    people = [Person()]
    for k in range(1, PEOPLE + 1):
        person = venue.participants[k]
        person["tier"], person["stp"], person["orders_max"] = k % 3, MODES[k % 5], 3 + 4 * k
        tier = k % 3
        people.append(Person(int(record["maker_ppb"][tier]), int(record["taker_ppb"][tier]), MODES[k % 5], 3 + 4 * k))
    naive = ExchangeNaive(people, LOW, HIGH, 200, 7)
    naive.notional_min, naive.notional_max, naive.publish = 2 * MIDDLE * 7, 120 * MIDDLE * 7, publish
    return venue, naive


def commands_of(rows):
    """EVENT[n] from (kind, participant, order_id, side, price, lots, flags); seq and time count on."""
    found = np.zeros(len(rows), EVENT)
    for k, (kind, who, order_id, side, price, lots, flags) in enumerate(rows):
        row = found[k]
        row["seq"], row["ts_ns"], row["kind"], row["aux"] = k, 1_000 * k, kind, who
        row["order_id"], row["side"], row["price_ticks"], row["qty_lots"], row["flags"] = (
            order_id, side, price, lots, flags,
        )  # fmt: skip
    return found


TIMES_IN_FORCE = (0, 0, 0, e.POST_ONLY, e.IOC, e.FOK, e.MARKET, e.MARKET | e.IOC, e.POST_ONLY | e.IOC, e.MARKET | e.FOK)


def stream(seed, count, spread=12):
    """Random commands of all kinds, most of them sensible, around a wandering middle."""
    draw = random.Random(seed)
    rows, live, next_id, middle = [], [], 1, MIDDLE
    for _ in range(count):
        middle += draw.choice((-1, 0, 0, 1)) if LOW + 50 < middle < HIGH - 50 else (1 if middle < MIDDLE else -1)
        who, side, chance = draw.randrange(1, PEOPLE + 1), draw.choice((BUY, SELL)), draw.random()
        price = middle - side * int(draw.expovariate(2 / spread)) + draw.randrange(-4, 5)
        lots = draw.choice((1, 2, 3, 5, 8, 30))
        flags = draw.choice(TIMES_IN_FORCE)
        if draw.random() < 0.1:
            flags |= draw.randrange(0, 7) << e.STP_SHIFT
        if chance < 0.45 or not live:
            live.append((who, next_id))
            if flags & e.MARKET and draw.random() < 0.7:
                price = 0
            rows.append((e.PLACE, who, next_id, side, price, lots, flags))
            next_id += 1
        elif chance < 0.70:
            who, order_id = live[max(0, len(live) - 1 - draw.randrange(30))]
            rows.append((e.REPLACE, who, order_id, side, price, lots, draw.choice((0, 0, e.POST_ONLY, e.IOC))))
        elif chance < 0.95:
            who, order_id = live[max(0, len(live) - 1 - draw.randrange(60))]
            rows.append((e.CANCEL, who, order_id, side, 0, 0, 0))
        elif chance < 0.97:
            rows.append((e.CANCEL_ALL, who, 0, draw.choice((0, BUY, SELL)), 0, 0, 0))
        elif chance < 0.985:
            odd = draw.choice((LOW - 1, HIGH + 1, 0, -5, 1 << 60))
            who, order_id = draw.choice(live)
            kind = draw.choice((e.PLACE, e.REPLACE, e.CANCEL))
            who, order_id = draw.choice((who, 0, PEOPLE + 1)), draw.choice((order_id, 0, 1 << 40))
            price, lots = draw.choice((odd, price)), draw.choice((0, -3, 500, lots))
            rows.append((kind, who, order_id, draw.choice((side, 0)), price, lots, flags))
        elif chance < 0.988:
            rows.append((e.MARKET_STATE, draw.choice((0, 1, 2, 3, 9)), 0, 0, 0, 0, 0))
        else:
            rows.append((e.MARKET_STATE, 0, 0, 0, 0, 0, 0))
    return commands_of(rows)


def resting(venue):
    """{(side, price): [(participant, own id, venue id, lots)]} of the compiled book, first to last."""
    record, found = venue.exchange[0]["l3"], {}
    for s, side in ((0, BID), (1, ASK)):
        for x in np.flatnonzero(record["queue_head"][s]).tolist():
            place = int(record["queue_head"][s, x]) - 1
            while place >= 0:
                order = venue.book.orders[place]
                entry = (int(order["owner"]), int(order["order_id"]) & ((1 << 40) - 1), int(order["tag"]))
                found.setdefault((side, int(order["price_ticks"])), []).append((*entry, int(order["qty_lots"])))
                place = int(order["next"])
    return found


def assert_books_equal(venue, naive):
    """The same orders in the same places, the same sums of each participant, and its limit kept."""
    assert resting(venue) == {
        (side, price): [(o.owner, o.order_id, o.venue_id, o.lots) for o in queue]
        for side in (BID, ASK)
        for price, queue in naive.queues[side].items()
    }
    for k in range(1, PEOPLE + 1):
        person, plain = venue.participants[k], naive.people[k]
        assert (person["bought_lots"], person["sold_lots"], person["fees_units"]) == (
            plain.bought, plain.sold, plain.fees,
        )  # fmt: skip
        assert person["open_orders"].sum() == len(plain.orders) <= person["orders_max"]


def assert_same(venue, naive, commands):
    """Both engines obey; they say the same bytes to the same ears.  Returns what was said."""
    rows, to = exchanges.submit(venue, commands)
    for command in commands:
        naive.obey(command)
    expected, expected_to = naive.take_said()
    if rows.tobytes() != expected.tobytes():
        for k in range(min(rows.size, expected.size)):
            assert (to[k], rows[k]) == (expected_to[k], expected[k]), (k, commands[int(rows[k]["seq"])])
    assert rows.size == expected.size and np.array_equal(to, expected_to)
    assert_books_equal(venue, naive)
    return rows, to


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_engine_equals_lists(seed):
    """A long stream of commands of all kinds: the same bytes, and the same book after each tenth of it."""
    venue, naive = pair(orders=4)
    kinds = set()
    for part in np.array_split(stream(seed, 1_500 if jit.INTERPRETED else 40_000), 10):
        rows, _ = assert_same(venue, naive, part)
        kinds |= set(rows["kind"].tolist())
    assert {KIND_NAMES[kind] for kind in kinds} >= {
        "order_acknowledged", "order_rejected", "order_filled", "order_cancelled", "order_expired", "order_replaced",
        "cancel_rejected", "replace_rejected", "order_add", "order_modify", "order_delete", "book_level", "trade",
        "ticker", "market_state",
    }  # fmt: skip


sides = st.sampled_from((BUY, SELL))
people = st.integers(1, 3)
ids = st.integers(1, 8)
close = st.integers(MIDDLE - 3, MIDDLE + 3)
small = st.integers(1, 9)
modes = st.sampled_from((0, 0, 1, 2, 3, 4, 5)).map(lambda mode: mode << e.STP_SHIFT)
placed = st.tuples(
    st.just(e.PLACE), people, ids, sides, close, small, st.tuples(st.sampled_from(TIMES_IN_FORCE), modes).map(sum)
)
any_command = st.one_of(
    placed,
    placed,
    st.tuples(st.just(e.REPLACE), people, ids, sides, close, small, modes),
    st.tuples(st.just(e.CANCEL), people, ids, sides, st.just(0), st.just(0), st.just(0)),
    st.tuples(
        st.just(e.CANCEL_ALL), people, st.just(0), st.sampled_from((0, 1, -1)), st.just(0), st.just(0), st.just(0)
    ),
    st.tuples(st.just(e.MARKET_STATE), st.sampled_from((0, 0, 0, 1, 2, 3)), *[st.just(0)] * 5),
)


@settings(max_examples=30 if jit.INTERPRETED else 200, deadline=None)
@given(st.lists(any_command, max_size=40))
def test_any_commands(rows):
    """Any few commands of a few participants at a few prices: after each one the same bytes and the same book."""
    venue, naive = pair(orders=2)
    for command in commands_of(rows):
        assert_same(venue, naive, np.array([command]))


def heard(rows, to, commands):
    """Walk what was said and check it against itself; returns {(participant, id): open lots} of what must rest."""
    open_lots, done, side_of = {}, defaultdict(int), {}
    bought = sold = 0
    for row, who in zip(rows, to):
        kind, key, lots = int(row["kind"]), (int(who), int(row["order_id"])), int(row["qty_lots"])
        command = commands[int(row["seq"])]
        if who == 0:
            continue
        if kind == e.ORDER_ACKNOWLEDGED:
            assert key not in open_lots
            open_lots[key], side_of[key] = lots, int(row["side"])
        elif kind == e.ORDER_REPLACED:
            if key in open_lots:
                open_lots[key] = lots
        elif kind == e.ORDER_FILLED:
            if row["side"] > 0:
                bought += lots
            else:
                sold += lots
            if not row["flags"] & e.MAKER:
                done[int(row["seq"])] += lots
                assert done[int(row["seq"])] <= command["qty_lots"]
                # A taker never pays more than it said, and never gets less.
                if command["price_ticks"] != 0:
                    assert (command["price_ticks"] - row["price_ticks"]) * row["side"] >= 0
            if key in open_lots:
                open_lots[key] -= lots
        elif kind in (e.ORDER_CANCELLED, e.ORDER_EXPIRED) and key in open_lots:
            open_lots[key] -= lots
            assert open_lots[key] == 0
        if open_lots.get(key) == 0:
            del open_lots[key]
    assert bought == sold
    return open_lots


@pytest.mark.parametrize("seed", [11, 12])
def test_quantity_is_conserved(seed):
    """From the reports alone: what was bought was sold, and what was placed is filled, ended or rests."""
    venue, _ = pair()
    venue.participants["stp"] = [0, *(mode for mode in (0, 1, 2, 3, 3, 3))]
    commands = stream(seed, 1_000 if jit.INTERPRETED else 20_000)
    rows, to = exchanges.submit(venue, commands)
    rests = {(who, own): lots for queue in resting(venue).values() for who, own, _, lots in queue}
    assert heard(rows, to, commands) == rests
    assert venue.participants["bought_lots"].sum() == venue.participants["sold_lots"].sum() > 0


@pytest.mark.parametrize("seed", [21, 22])
def test_price_time_priority(seed):
    """Every trade is at the best price, with the order that waited longest there; nothing rests crossed."""
    venue, _ = pair()
    commands = stream(seed, 500 if jit.INTERPRETED else 10_000)
    rows, to = exchanges.submit(venue, commands)
    book = BookL3Naive()
    for row in rows[to == 0]:
        kind, order_id, side = int(row["kind"]), int(row["order_id"]), int(row["side"])
        if kind == e.TRADE:
            queue = book.queues[-side, int(row["price_ticks"])]
            assert queue[0] == order_id and book.view.best_ticks[-side] == row["price_ticks"]
        elif kind == e.ORDER_ADD:
            book.add(order_id, side, int(row["price_ticks"]), int(row["qty_lots"]))
        elif kind == e.ORDER_MODIFY:
            book.replace(order_id, int(row["price_ticks"]), int(row["qty_lots"]))
        elif kind == e.ORDER_DELETE:
            book.remove(order_id)
        if row["flags"] & e.LAST:
            bid, ask = book.view.best_ticks[BID], book.view.best_ticks[ASK]
            assert bid is None or ask is None or bid < ask


def test_market_data_rebuilds_the_book():
    """A listener that hears orders, one that hears levels, and one that hears tickers know the venue's own book."""
    venue, _ = pair()
    commands = stream(31, 1_000 if jit.INTERPRETED else 20_000)
    rows, to = exchanges.submit(venue, commands)
    orders, levels, tops = l3s.new_book_l3(1 << 12), BookNaive(), {BID: NO_PRICE, ASK: NO_PRICE}
    state = new_state(1)
    book = state[0]["market"]["book"][0]
    for row in rows[to == 0]:
        kind, order_id, side = int(row["kind"]), int(row["order_id"]), int(row["side"])
        price, lots = int(row["price_ticks"]), int(row["qty_lots"])
        if kind == e.ORDER_ADD:
            assert l3s.add(*orders.args, order_id, side, price, lots, 0, 0) >= 0
        elif kind == e.ORDER_MODIFY:
            assert l3s.replace(*orders.args, order_id, price, lots) == l3s.DONE
        elif kind == e.ORDER_DELETE:
            assert l3s.remove(*orders.args, order_id) == l3s.DONE
        elif kind == e.BOOK_LEVEL:
            levels.level(side, price, lots)
            set_price(book, side, price, lots)
        elif kind == e.TICKER:
            tops[side] = price
    expected = {key: [(venue_id, lots) for _, _, venue_id, lots in q] for key, q in resting(venue).items()}
    found = {}
    for side, s in ((BID, 0), (ASK, 1)):
        for x in np.flatnonzero(orders.books[0]["queue_head"][s]).tolist():
            place = int(orders.books[0]["queue_head"][s, x]) - 1
            while place >= 0:
                order = orders.orders[place]
                key = (side, int(order["price_ticks"]))
                found.setdefault(key, []).append((int(order["order_id"]), int(order["qty_lots"])))
                place = int(order["next"])
        assert dict(levels.stored(side)) == {
            price: sum(lots for _, lots in q) for (one, price), q in expected.items() if one == side
        }
        best = levels.best_ticks[side]
        assert tops[side] == (NO_PRICE if best is None else best)
    assert found == expected
    assert book["crossings"] == orders.books[0]["book"]["crossings"] == 0


@pytest.mark.parametrize("publish", [15, PUBLISH_ORDERS, PUBLISH_LEVELS, PUBLISH_LEVELS | PUBLISH_TRADES])
def test_market_data_of_a_command_is_one_message(publish):
    """LAST stands on the last market record of a command and nowhere else, whatever is published."""
    venue, naive = pair(publish=publish)
    rows, to = assert_same(venue, naive, stream(41, 500 if jit.INTERPRETED else 5_000))
    market = rows[to == 0]
    ends = np.append(market["seq"][1:] != market["seq"][:-1], True)
    assert np.array_equal((market["flags"] & e.LAST) != 0, ends)


@pytest.mark.parametrize("kind", [e.PLACE, e.CANCEL_ALL, e.REPLACE])
@pytest.mark.parametrize("publish", [15, PUBLISH_ORDERS, PUBLISH_LEVELS])
def test_a_command_larger_than_the_outputs(kind, publish):
    """One command that says more than `out` holds is gone on with, and says what it would have said at once."""
    count = EXCHANGE_OUT_RECORDS
    venue, naive = pair(publish=publish)
    for k in (1, 2):
        venue.participants["orders_max"][k] = naive.people[k].orders_max = 1 << 30
    venue.exchange[0]["notional_max_units"] = naive.notional_max = 1 << 61
    venue.exchange[0]["qty_max_lots"] = naive.qty_max = 1 << 20
    rows = [(e.PLACE, 1, k + 1, SELL, MIDDLE + k % 7, 2 + k % 5, 0) for k in range(count)]
    rows.append((e.PLACE, 2, 1, BUY, MIDDLE - 1, 5, 0))
    if kind == e.PLACE:
        rows.append((kind, 2, 2, BUY, MIDDLE + 5, 1 << 19, 0))
    elif kind == e.REPLACE:
        rows.append((kind, 2, 1, BUY, MIDDLE + 8, 1 << 19, 0))
    else:
        rows.append((kind, 1, 0, SELL, 0, 0, 0))
    rows.append((e.PLACE, 2, 3, BUY, MIDDLE + 9, 3, 0))
    said, to = assert_same(venue, naive, commands_of(rows))
    one = said[said["seq"] == count + 1]
    assert one.size > EXCHANGE_OUT_RECORDS
    assert np.count_nonzero(one["flags"][to[said["seq"] == count + 1] == 0] & e.LAST) == 1


def test_same_input_same_bytes():
    """The same commands give the same bytes, however they are cut into batches."""
    commands = stream(51, 300 if jit.INTERPRETED else 5_000)
    venue, _ = pair(orders=3)
    whole, whole_to = exchanges.submit(venue, commands)
    for pieces in (7, 250):
        other, _ = pair()
        parts = [exchanges.submit(other, part) for part in np.array_split(commands, pieces)]
        assert np.concatenate([rows for rows, _ in parts]).tobytes() == whole.tobytes()
        assert np.array_equal(np.concatenate([to for _, to in parts]), whole_to)


# --- scenes -------------------------------------------------------------------------------------------------------
NAMES = {1: "ann", 2: "bob", 3: "cat", 0: "all"}


class Scene:
    """A small venue whose participants speak in lines, and whose answers are lines too."""

    def __init__(self):
        self.venue = new_exchange(3, 1, 1_000, 1_000)
        self.count = 0

    def say(self, who, kind, order_id, side=0, price=0, lots=0, flags=0):
        """Obey one command; returns what each participant hears, market data apart."""
        rows, to = exchanges.submit(self.venue, commands_of([(kind, who, order_id, side, price, lots, flags)]))
        self.market = [self.line(row, 0) for row, ear in zip(rows, to) if ear == 0]
        return [self.line(row, int(ear)) for row, ear in zip(rows, to) if ear != 0]

    def line(self, row, who):
        """One record as a line."""
        kind = int(row["kind"])
        text = f"{NAMES[who]}: {KIND_NAMES[kind].removeprefix('order_')} #{row['order_id']}"
        text += f" {row['qty_lots']}@{row['price_ticks']}"
        reason = e.reason_of(row["flags"])
        if kind == e.ORDER_FILLED:
            return f"{text} {'maker' if row['flags'] & e.MAKER else 'taker'}"
        return f"{text} {e.END_REASON_NAMES[reason]}" if reason else text

    def buy(self, who, order_id, price, lots, flags=0):
        return self.say(who, e.PLACE, order_id, BUY, price, lots, flags)

    def sell(self, who, order_id, price, lots, flags=0):
        return self.say(who, e.PLACE, order_id, SELL, price, lots, flags)

    def queues(self):
        """'101 sell  5(ann) 3(bob)', the highest price first."""
        return [
            f"{price} {'buy' if side > 0 else 'sell'}  "
            + " ".join(f"{lots}({NAMES[who]})" for who, _, _, lots in queue)
            for (side, price), queue in sorted(resting(self.venue).items(), key=lambda item: -item[0][1])
        ]


def test_drawn_sweep():
    """A large order walks up the book: best price first, first come first, each trade at the resting price."""
    scene = Scene()
    scene.sell(1, 1, 101, 5)
    scene.sell(2, 1, 101, 3)
    scene.sell(2, 2, 102, 4)
    scene.buy(3, 1, 99, 1)
    assert scene.queues() == ["102 sell  4(bob)", "101 sell  5(ann) 3(bob)", "99 buy  1(cat)"]
    assert scene.buy(3, 2, 102, 14) == [
        "cat: acknowledged #2 14@102",
        "ann: filled #1 5@101 maker",
        "cat: filled #2 5@101 taker",
        "bob: filled #1 3@101 maker",
        "cat: filled #2 3@101 taker",
        "bob: filled #2 4@102 maker",
        "cat: filled #2 4@102 taker",
    ]
    assert scene.queues() == ["102 buy  2(cat)", "99 buy  1(cat)"]
    assert [line for line in scene.market if "level" in line] == [
        "all: book_level #0 0@101",
        "all: book_level #0 0@102",
        "all: book_level #0 2@102",
    ]


def test_drawn_times_in_force():
    """Post-only never takes, IOC takes what is there, FOK all or nothing, a market order stops at its protection."""
    scene = Scene()
    scene.sell(1, 1, 101, 5)
    scene.sell(1, 2, 103, 5)
    assert scene.buy(2, 1, 101, 2, e.POST_ONLY) == ["bob: expired #1 2@101 would_cross"]
    assert scene.buy(2, 2, 101, 6, e.FOK) == ["bob: expired #2 6@101 unfilled"]
    assert scene.buy(2, 3, 100, 6, e.IOC) == ["bob: expired #3 6@100 no_liquidity"]
    assert scene.buy(2, 4, 101, 2, e.IOC) == ["ann: filled #1 2@101 maker", "bob: filled #4 2@101 taker"]
    assert scene.buy(2, 5, 102, 4, e.MARKET) == [
        "ann: filled #1 3@101 maker", "bob: filled #5 3@101 taker", "bob: expired #5 1@102 unfilled",
    ]  # fmt: skip
    assert scene.buy(2, 6, 0, 4, e.MARKET) == ["ann: filled #2 4@103 maker", "bob: filled #6 4@103 taker"]
    assert scene.sell(2, 7, 0, 4, e.MARKET) == ["bob: expired #7 4@0 no_liquidity"]
    assert scene.queues() == ["103 sell  1(ann)"]


def test_drawn_replace():
    """Less at the same price keeps the place; more, or another price, goes to the end; through the spread it trades."""
    scene = Scene()
    for who, lots in ((1, 5), (2, 3), (3, 4)):
        scene.buy(who, 1, 100, lots)
    assert scene.say(1, e.REPLACE, 1, BUY, 100, 2) == ["ann: replaced #1 2@100"]
    assert scene.queues() == ["100 buy  2(ann) 3(bob) 4(cat)"]
    scene.say(1, e.REPLACE, 1, BUY, 100, 3)
    assert scene.queues() == ["100 buy  3(bob) 4(cat) 3(ann)"]
    scene.say(2, e.REPLACE, 1, BUY, 99, 3)
    assert scene.queues() == ["100 buy  4(cat) 3(ann)", "99 buy  3(bob)"]
    scene.sell(1, 2, 102, 2)
    assert scene.say(2, e.REPLACE, 1, BUY, 102, 5, e.POST_ONLY) == ["bob: replace_rejected #1 5@102 would_cross"]
    assert scene.say(2, e.REPLACE, 1, BUY, 102, 5) == [
        "bob: replaced #1 5@102", "ann: filled #2 2@102 maker", "bob: filled #1 2@102 taker",
    ]  # fmt: skip
    assert scene.queues() == ["102 buy  3(bob)", "100 buy  4(cat) 3(ann)"]
    assert scene.say(2, e.REPLACE, 9, BUY, 102, 5) == ["bob: replace_rejected #9 5@102 unknown_order"]


@pytest.mark.parametrize(
    "mode, said, left",
    [
        (STP_EXPIRE_TAKER, ["ann: expired #2 4@101 self_trade"], ["101 sell  3(ann) 9(bob)"]),
        (
            STP_EXPIRE_MAKER,
            ["ann: expired #1 3@101 self_trade", "bob: filled #1 4@101 maker", "ann: filled #2 4@101 taker"],
            ["101 sell  5(bob)"],
        ),
        (
            STP_EXPIRE_BOTH,
            ["ann: expired #1 3@101 self_trade", "ann: expired #2 4@101 self_trade"],
            ["101 sell  9(bob)"],
        ),
        (
            STP_DECREMENT,
            ["ann: expired #1 3@101 self_trade", "ann: replaced #2 1@101 self_trade",
             "bob: filled #1 1@101 maker", "ann: filled #2 1@101 taker"],
            ["101 sell  8(bob)"],
        ),
        (
            STP_NONE,
            ["ann: filled #1 3@101 maker", "ann: filled #2 3@101 taker",
             "bob: filled #1 1@101 maker", "ann: filled #2 1@101 taker"],
            ["101 sell  8(bob)"],
        ),
    ],
)  # fmt: skip
def test_drawn_self_trade(mode, said, left):
    """Each way to keep a participant from trading with itself, said by the order."""
    scene = Scene()
    scene.sell(1, 1, 101, 3)
    scene.sell(2, 1, 101, 9)
    assert scene.buy(1, 2, 101, 4, e.IOC | (1 + mode) << e.STP_SHIFT) == said
    assert scene.queues() == left


@pytest.mark.parametrize("mode", MODES)
def test_drawn_fill_or_kill_over_own_orders(mode):
    """All or nothing counts only what it may trade with; if it cannot have all of that, its own orders stay too."""
    scene = Scene()
    scene.sell(1, 1, 101, 3)
    scene.sell(2, 1, 101, 4)
    flags = e.FOK | (1 + mode) << e.STP_SHIFT
    too_much = 8 if mode == STP_NONE else 5
    assert scene.buy(1, 2, 101, too_much, flags) == [f"ann: expired #2 {too_much}@101 unfilled"]
    assert scene.queues() == ["101 sell  3(ann) 4(bob)"]
    said = scene.buy(1, 3, 101, 4, flags)
    if mode in (STP_EXPIRE_MAKER, STP_NONE):
        assert said[-1].startswith("ann: filled #3")
        assert scene.queues() == (["101 sell  3(bob)"] if mode == STP_NONE else [])
    else:
        assert said == ["ann: expired #3 4@101 unfilled"]
        assert scene.queues() == ["101 sell  3(ann) 4(bob)"]
    # What stands before its own orders it may have all the same.
    scene.sell(3, 1, 100, 2)
    assert scene.buy(1, 4, 101, 2, flags)[-1] == "ann: filled #4 2@100 taker"


def test_drawn_halt():
    """What a venue takes in each state; nothing that rests is lost while it is halted."""
    scene = Scene()
    scene.sell(1, 1, 101, 3)
    scene.sell(1, 2, 102, 3)
    scene.say(e.STATE_HALTED, e.MARKET_STATE, 0)
    assert scene.market == ["all: market_state #0 0@0"]
    assert scene.buy(2, 1, 100, 1) == ["bob: rejected #1 1@100 state"]
    assert scene.say(1, e.CANCEL, 1) == ["ann: cancel_rejected #1 0@0 state"]
    assert scene.say(1, e.CANCEL_ALL, 0) == ["ann: cancel_rejected #0 0@0 state"]
    scene.say(e.STATE_CANCEL_ONLY, e.MARKET_STATE, 0)
    assert scene.buy(2, 1, 100, 1) == ["bob: rejected #1 1@100 state"]
    assert scene.say(1, e.CANCEL, 1) == ["ann: cancelled #1 3@101"]
    scene.say(e.STATE_POST_ONLY, e.MARKET_STATE, 0)
    assert scene.buy(2, 1, 102, 1) == ["bob: expired #1 1@102 would_cross"]
    assert scene.buy(2, 1, 102, 1, e.IOC) == ["bob: rejected #1 1@102 state"]
    assert scene.buy(2, 1, 100, 1) == ["bob: acknowledged #1 1@100"]
    scene.say(e.STATE_OPEN, e.MARKET_STATE, 0)
    assert scene.buy(2, 2, 102, 1, e.IOC) == ["ann: filled #2 1@102 maker", "bob: filled #2 1@102 taker"]
    assert scene.queues() == ["102 sell  2(ann)", "100 buy  1(bob)"]


def test_drawn_refusals():
    """Each rule turns an order away with its own reason, and changes nothing."""
    scene = Scene()
    record = scene.venue.exchange[0]
    record["qty_min_lots"], record["notional_min_units"], record["notional_max_units"] = 2, 500, 50_000
    scene.venue.participants[1]["orders_max"] = 1
    assert scene.buy(1, 1, 100, 5) == ["ann: acknowledged #1 5@100"]
    assert scene.buy(1, 1, 100, 5) == ["ann: rejected #1 5@100 duplicate"]
    assert scene.buy(1, 2, 100, 5) == ["ann: rejected #2 5@100 orders_max"]
    assert scene.buy(2, 1, 1_001, 5) == ["bob: rejected #1 5@1001 price_filter"]
    assert scene.buy(2, 1, 100, 1) == ["bob: rejected #1 1@100 qty_filter"]
    assert scene.buy(2, 1, 100, 4) == ["bob: rejected #1 4@100 notional_filter"]
    assert scene.buy(2, 1, 100, 501) == ["bob: rejected #1 501@100 notional_filter"]
    assert scene.buy(2, 1, 100, 5, e.IOC | e.FOK) == ["bob: rejected #1 5@100 malformed"]
    assert scene.buy(2, 1 << 40, 100, 5) == ["bob: rejected #1099511627776 5@100 malformed"]
    assert scene.buy(4, 1, 100, 5) == [] and record["strangers"] == 1
    assert scene.queues() == ["100 buy  5(ann)"]
    # An order that does not rest needs no place among the open ones.
    assert scene.sell(1, 3, 100, 5, e.IOC | (1 + STP_NONE) << e.STP_SHIFT)[-1] == "ann: filled #3 5@100 taker"


def test_interpreted_engine_equals_lists():
    """The same tests hold when the kernels run as plain Python."""
    if jit.INTERPRETED or jit.BOUNDSCHECK:
        pytest.skip("this is the inner run")
    run_again({"NUMBA_DISABLE_JIT": "1"}, "equals_lists or any_commands or drawn or same_input")


def test_bounds_checked_engine():
    """The same tests hold with every index checked."""
    if jit.INTERPRETED or jit.BOUNDSCHECK:
        pytest.skip("this is the inner run")
    run_again({"NUMBA_BOUNDSCHECK": "1"}, "equals_lists or any_commands or larger")


def run_again(environment, chosen):
    """This file's tests in another process with other switches of numba."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", __file__, "-k", chosen],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout

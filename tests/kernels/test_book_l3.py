"""The order-by-order book against dicts and lists, and queues drawn as a trader would draw them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import ASK, BID
from pinnacle.kernels import book as books
from pinnacle.kernels import book_l3 as l3s
from pinnacle.kernels import jit
from pinnacle.kernels.jit import jit as kernel
from pinnacle.limits import BOOK_WINDOW_TICKS
from tests.naive.book_l3_naive import BookL3Naive

W = BOOK_WINDOW_TICKS
START = 3 * W
ROOT = Path(__file__).resolve().parent.parent.parent
ADD, REMOVE, REDUCE, REPLACE, EXECUTE, CLEAR = range(6)

COMMAND = np.dtype([("op", "<i8"), ("order_id", "<i8"), ("side", "<i8"), ("price", "<i8"), ("lots", "<i8")])
SEEN = np.dtype([("code", "<i8"), ("bid", "<i8"), ("ask", "<i8")])


@kernel
def walk(l3, orders, table, commands, seen, start):
    """Obey commands from `start` on, writing down what each returned and the bests after it; stops at a full pool."""
    for k in range(start, commands.size):
        command = commands[k]
        op, order_id, lots, price = command["op"], command["order_id"], command["lots"], command["price"]
        code = 0
        if op == ADD:
            code = l3s.add(l3, orders, table, order_id, command["side"], price, lots, order_id % 7, 0)
            if code == l3s.L3_FULL:
                return k
        elif op == REMOVE:
            code = l3s.remove(l3, orders, table, order_id)
        elif op == REDUCE:
            code = l3s.reduce(l3, orders, table, order_id, lots)
        elif op == REPLACE:
            code = l3s.replace(l3, orders, table, order_id, price, lots)
        elif op == EXECUTE:
            code = l3s.execute(l3, orders, table, order_id, lots)
        else:
            l3s.clear(l3, orders, table, command["side"])
        seen[k]["code"] = min(code, 0) if op == ADD else code
        seen[k]["bid"] = l3s.level_ticks(l3, 0, l3["book"]["best"][0])
        seen[k]["ask"] = l3s.level_ticks(l3, 1, l3["book"]["best"][1])
    return commands.size


def obey(naive, command):
    """The same command to the naive book."""
    op, order_id, side, price, lots = command
    if op == ADD:
        return naive.add(order_id, side, price, lots, order_id % 7)
    if op == REMOVE:
        return naive.remove(order_id)
    if op == REDUCE:
        return naive.reduce(order_id, lots)
    if op == REPLACE:
        return naive.replace(order_id, price, lots)
    if op == EXECUTE:
        return naive.execute(order_id, lots)
    naive.clear(side)
    return 0


def walk_all(book, commands):
    """All commands, with more room whenever it is wanted; what was seen after each."""
    seen = np.zeros(commands.size, SEEN)
    k = 0
    while True:
        k = walk(*book.args, commands, seen, k)
        if k == commands.size:
            return seen
        book.grow()


def queue(book, s, x):
    """[(order id, lots, price)] at a window index, first to last; every link is checked on the way."""
    head = int(book.books[0]["queue_head"][s, x] if x >= 0 else book.books[0]["aside_head"][s]) - 1
    found, place, before = [], head, -1
    while place >= 0:
        order = book.orders[place]
        assert (order["s"], order["x"]) == (s, x)
        if before >= 0:
            assert order["previous"] == before
        found.append((int(order["order_id"]), int(order["qty_lots"]), int(order["price_ticks"])))
        place, before = int(order["next"]), place
    if head >= 0:
        assert book.orders[head]["previous"] == before
    return found


def queues(book):
    """{(side, price): [(order id, lots)]} of the whole book, orders outside the window included."""
    record, found = book.books[0], {}
    for s, side in ((0, BID), (1, ASK)):
        for x in [-1, *np.flatnonzero(record["queue_head"][s]).tolist()]:
            for order_id, lots, price in queue(book, s, x):
                found.setdefault((side, price), []).append((order_id, lots))
                assert x < 0 or price == int(record["book"]["base_ticks"]) + (x if s == 0 else W - 1 - x)
    return found


def best(book, side):
    """The view's best price of a side, None where it shows nothing."""
    s = 0 if side == BID else 1
    x, base = int(book.books[0]["book"]["best"][s]), int(book.books[0]["book"]["base_ticks"])
    return None if x < 0 else base + (x if s == 0 else W - 1 - x)


def assert_whole(book, naive):
    """The same queues, ids, levels and bests; a level is the sum of its orders, and the table finds each order."""
    record = book.books[0]
    expected = {key: [(order_id, naive.orders[order_id].lots) for order_id in ids] for key, ids in naive.queues.items()}
    assert queues(book) == expected
    assert record["count"] == len(naive.orders)
    base = int(record["book"]["base_ticks"])
    for s, side in ((0, BID), (1, ASK)):
        x = np.flatnonzero(record["book"]["lots"][s])
        prices = base + (x if s == 0 else W - 1 - x)
        levels = dict(zip(prices.tolist(), record["book"]["lots"][s][x].tolist()))
        assert levels == {p: lots for p, lots in naive.view.lots[side].items() if 0 <= p - base < W}
    live = book.table[book.table["order_id"] != 0]
    assert dict(zip(live["order_id"].tolist(), live["place"].tolist())) == {
        int(order["order_id"]): place for place, order in enumerate(book.orders) if order["order_id"]
    }
    for order_id in list(naive.orders)[:50]:
        place = l3s.find(*book.args, order_id)
        order = book.orders[place]
        assert (order["order_id"], order["owner"]) == (order_id, naive.orders[order_id].owner)
        assert l3s.ahead_lots(*book.args, order_id) == naive.ahead_lots(order_id)
    assert l3s.find(*book.args, 1 << 50) == l3s.ahead_lots(*book.args, 1 << 50) == l3s.L3_UNKNOWN


def assert_walks_alike(book, naive, commands):
    """After every command the same answer and the same bests, as far as the window shows them."""
    seen = walk_all(book, commands)
    base = int(book.books[0]["book"]["base_ticks"])
    for k, (command, (code, bid, ask)) in enumerate(zip(commands.tolist(), seen.tolist())):
        assert obey(naive, command) == code, (k, command)
        for side, price in ((BID, bid), (ASK, ask)):
            wanted = naive.view.best_ticks[side]
            assert price == (books.NO_PRICE if wanted is None else wanted), (k, command, side)
    assert base == int(book.books[0]["book"]["base_ticks"])
    assert_whole(book, naive)


def stream(seed, count, crossing=6):
    """Random commands around a wandering middle: unknown and repeated ids, growing and shrinking, crossings."""
    draw = random.Random(seed)
    commands = np.zeros(count, COMMAND)
    middle, next_id, live = START, 1, []
    rows = []
    for _ in range(count):
        middle += draw.choice((-1, 0, 0, 0, 1))
        side = draw.choice((BID, ASK))
        price = middle - side * int(draw.expovariate(0.1)) + draw.randrange(-crossing, crossing + 1)
        lots = draw.choice((1, 2, 3, 50))
        chance = draw.random()
        if not live or chance < 0.45:
            # Some venues number one by one, others by large steps, and some say an id twice.
            order_id = draw.choice(live) if live and chance < 0.004 else next_id
            next_id += draw.choice((1, 1, 1, 4096))
            live.append(order_id)
            rows.append((ADD, order_id, side, price, lots if chance < 0.449 else 0))
            continue
        k = draw.randrange(len(live)) if draw.random() < 0.5 else max(0, len(live) - 1 - draw.randrange(40))
        order_id = live[k] if chance < 0.99 else draw.randrange(1, next_id)
        if chance < 0.70:
            live[k] = live[-1]
            live.pop()
            rows.append((REMOVE, order_id, 0, 0, 0))
        elif chance < 0.80:
            rows.append((REDUCE, order_id, 0, 0, draw.choice((0, 1, 2, 60))))
        elif chance < 0.90:
            rows.append((REPLACE, order_id, 0, price, draw.choice((0, 1, 2, 60))))
        elif chance < 0.9999:
            rows.append((EXECUTE, order_id, 0, 0, draw.choice((1, 1, 2, 3, 50))))
        else:
            rows.append((CLEAR, 0, draw.choice((BID, ASK, 0)), 0, 0))
    commands[:] = rows
    return commands


@pytest.mark.parametrize("seed", [1, 2])
def test_book_equals_lists(seed):
    """After each of a long stream of commands the book answers and shows what dicts and lists do."""
    book, naive = l3s.new_book_l3(16), BookL3Naive()
    commands = stream(seed, 3_000 if jit.INTERPRETED else 60_000)
    for part in np.array_split(commands, 6):
        assert_walks_alike(book, naive, part)
    record = book.books[0]
    assert min(record["unknown"], record["duplicates"], record["refused"], record["book"]["crossings"]) > 0


def test_millions_of_commands():
    """Four million commands: each pass is answered as dicts and lists answer, and leaves the same queues."""
    if jit.INTERPRETED:
        pytest.skip("compiled only")
    book, naive = l3s.new_book_l3(1 << 10), BookL3Naive()
    commands = stream(10, 200_000)
    answers = np.array([obey(naive, command) for command in commands.tolist()])
    for k in range(20):
        l3s.clear(*book.args, 0)
        assert not np.count_nonzero(book.table["order_id"])
        # Each pass has ids of its own, so that the table fills in another pattern.
        shifted = commands.copy()
        shifted["order_id"] += k * 1_000_003
        assert np.array_equal(walk_all(book, shifted)["code"], answers)
    naive_queues = {key: [(i + k * 1_000_003, naive.orders[i].lots) for i in q] for key, q in naive.queues.items()}
    assert queues(book) == naive_queues


prices = st.integers(START - 3, START + 3)
ids = st.integers(1, 12)
sizes = st.integers(0, 4)
command = st.one_of(
    st.tuples(st.just(ADD), ids, st.sampled_from((BID, ASK)), prices, sizes),
    st.tuples(st.just(REMOVE), ids, st.just(0), st.just(0), st.just(0)),
    st.tuples(st.just(REDUCE), ids, st.just(0), st.just(0), sizes),
    st.tuples(st.just(REPLACE), ids, st.just(0), prices, sizes),
    st.tuples(st.just(EXECUTE), ids, st.just(0), st.just(0), sizes),
    st.tuples(st.just(CLEAR), st.just(0), st.sampled_from((BID, ASK, 0)), st.just(0), st.just(0)),
)


@settings(max_examples=30 if jit.INTERPRETED else 150, deadline=None)
@given(st.lists(command, max_size=60))
def test_any_commands(commands):
    """Whatever is said, in whatever order, the book is that of dicts and lists; few ids and prices collide much."""
    assert_walks_alike(l3s.new_book_l3(2), BookL3Naive(), np.array(commands, COMMAND))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80), st.sampled_from((1, 3, 8, 1 << 20, 1 << 59))
)
def test_table_of_ids(steps, stride):
    """Ids in any pattern are found after any sequence of adds and removes in a table that is as full as it gets."""
    book = l3s.new_book_l3(16)
    there = set()
    for add, k in steps:
        order_id = 1 + k * stride if 1 + k * stride < 1 << 63 else k + 1
        if add and len(there) < 16:
            code = l3s.add(*book.args, order_id, BID, START, 1, 0, 0)
            assert (code == l3s.L3_DUPLICATE) == (order_id in there)
            there.add(order_id)
        elif not add:
            assert l3s.remove(*book.args, order_id) == (l3s.DONE if order_id in there else l3s.L3_UNKNOWN)
            there.discard(order_id)
        for one in there:
            assert book.orders[l3s.find(*book.args, one)]["order_id"] == one
    assert np.count_nonzero(book.table["order_id"]) == len(there)


@pytest.mark.parametrize("direction", [1, -1])
def test_drift_beyond_the_window(direction):
    """A market that drifts over several windows and back loses no order, and none loses its place in its queue."""
    book, naive = l3s.new_book_l3(8), BookL3Naive()
    draw = random.Random(5)
    step = W // 32
    path = [*range(3 * 32), *range(3 * 32, 0, -1)]
    next_id, waited = 1, 0
    for k in path:
        middle = START + W + direction * k * step
        for order_id in [i for i, o in naive.orders.items() if (o.price_ticks - middle) * o.side > 0]:
            assert l3s.remove(*book.args, order_id) == naive.remove(order_id)
        for _ in range(4):
            for side in (BID, ASK):
                price = middle - side * draw.choice((1, 1, 1, 2, step))
                while l3s.add(*book.args, next_id, side, price, 1 + next_id % 3, 0, 0) == l3s.L3_FULL:
                    book.grow()
                naive.add(next_id, side, price, 1 + next_id % 3)
                next_id += 1
        if draw.random() < 0.5:
            victim = draw.choice(list(naive.orders))
            l3s.reduce(*book.args, victim, 0)
            naive.reduce(victim, 0)
        l3s.follow(book.books[0], book.orders[0])
        waited = max(waited, int(book.books[0]["aside_count"].sum()))
        assert (best(book, BID), best(book, ASK)) == (naive.view.best_ticks[BID], naive.view.best_ticks[ASK])
        if k % 16 == 0:
            assert_whole(book, naive)
    assert_whole(book, naive)
    assert book.books[0]["book"]["recentres"] >= 4 and waited > 0


def test_orders_far_away_wait_aside():
    """An order outside the window is kept, found and answered for, but shown only when the window comes to it."""
    book, naive = l3s.new_book_l3(8), BookL3Naive()
    far = START - 2 * W
    for order_id, price, lots in ((1, START, 5), (2, far, 7), (3, far - 1, 1), (4, far, 2)):
        l3s.add(*book.args, order_id, BID, price, lots, 0, 0)
        naive.add(order_id, BID, price, lots)
    assert best(book, BID) == START and book.books[0]["aside_count"][0] == 3
    assert l3s.ahead_lots(*book.args, 4) == 7
    assert l3s.execute(*book.args, 2, 3) == naive.execute(2, 3) == 4
    l3s.remove(*book.args, 1)
    naive.remove(1)
    assert best(book, BID) is None
    l3s.move_window(book.books[0], book.orders[0], far)
    assert best(book, BID) == far and book.books[0]["aside_count"][0] == 0
    assert l3s.ahead_lots(*book.args, 4) == 4
    assert_whole(book, naive)


def test_full_pool_says_so():
    """A full pool changes nothing and says so; with more room the same command is obeyed, and places have not moved."""
    book = l3s.new_book_l3(2)
    assert [l3s.add(*book.args, k, BID, START, 1, 0, 0) for k in (1, 2, 3)] == [0, 1, l3s.L3_FULL]
    assert book.books[0]["count"] == 2
    book.grow()
    assert l3s.add(*book.args, 3, BID, START, 1, 0, 0) == 2
    assert [l3s.find(*book.args, k) for k in (1, 2, 3)] == [0, 1, 2]
    assert l3s.ahead_lots(*book.args, 3) == 2


def draw_queues(book):
    """Each price from the highest down: '101 ask  5(a) 3(b)' are five lots of order a, then three of order b."""
    lines = []
    for (side, price), orders in sorted(queues(book).items(), key=lambda item: -item[0][1]):
        text = " ".join(f"{lots}({chr(96 + order_id)})" for order_id, lots in orders)
        lines.append(f"{price} {'bid' if side == BID else 'ask'}  {text}")
    return lines


def drawn():
    """Three bids at 100 and one at 99, two asks at 101."""
    book = l3s.new_book_l3(16)
    for name, side, price, lots in (("a", BID, 100, 5), ("b", BID, 100, 3), ("c", BID, 100, 4), ("d", BID, 99, 9)):
        l3s.add(*book.args, ord(name) - 96, side, price, lots, 0, 0)
    for name, price, lots in (("e", 101, 2), ("f", 101, 6)):
        l3s.add(*book.args, ord(name) - 96, ASK, price, lots, 0, 0)
    assert draw_queues(book) == ["101 ask  2(e) 6(f)", "100 bid  5(a) 3(b) 4(c)", "99 bid  9(d)"]
    return book


def test_drawn_reduce_keeps_its_place():
    """An order that shrinks stays where it is; who stands behind it has less ahead."""
    book = drawn()
    assert l3s.ahead_lots(*book.args, 3) == 8
    l3s.reduce(*book.args, 2, 1)
    assert draw_queues(book)[1] == "100 bid  5(a) 1(b) 4(c)"
    assert l3s.ahead_lots(*book.args, 3) == 6
    assert l3s.replace(*book.args, 1, 100, 2) == l3s.DONE
    assert draw_queues(book)[1] == "100 bid  2(a) 1(b) 4(c)"
    assert l3s.reduce(*book.args, 2, 2) == l3s.L3_REFUSED
    assert draw_queues(book)[1] == "100 bid  2(a) 1(b) 4(c)"


def test_drawn_replace_goes_to_the_end():
    """An order that grows, or goes to another price, stands at the end of the queue there."""
    book = drawn()
    l3s.replace(*book.args, 1, 100, 6)
    assert draw_queues(book)[1] == "100 bid  3(b) 4(c) 6(a)"
    l3s.replace(*book.args, 2, 99, 3)
    assert draw_queues(book) == ["101 ask  2(e) 6(f)", "100 bid  4(c) 6(a)", "99 bid  9(d) 3(b)"]
    assert books.lots_at(book.books[0]["book"], 0, 100) == 10
    assert books.lots_at(book.books[0]["book"], 0, 99) == 12


def test_drawn_execution():
    """Trades eat the front of the queue; the level that is gone gives way to the next."""
    book = drawn()
    assert l3s.execute(*book.args, 1, 5) == 0
    assert l3s.execute(*book.args, 2, 1) == 2
    assert draw_queues(book) == ["101 ask  2(e) 6(f)", "100 bid  2(b) 4(c)", "99 bid  9(d)"]
    assert l3s.execute(*book.args, 2, 3) == l3s.L3_REFUSED
    l3s.execute(*book.args, 2, 2)
    l3s.execute(*book.args, 3, 4)
    assert draw_queues(book) == ["101 ask  2(e) 6(f)", "99 bid  9(d)"]
    assert best(book, BID) == 99


def test_drawn_crossing_shows_again():
    """An order that crosses hides what it crosses, and what it hid shows again when it leaves."""
    book = drawn()
    l3s.add(*book.args, 7, ASK, 99, 1, 0, 0)
    assert (best(book, BID), best(book, ASK)) == (None, 99)
    l3s.add(*book.args, 8, BID, 98, 1, 0, 0)
    assert (best(book, BID), best(book, ASK)) == (98, 99)
    l3s.remove(*book.args, 7)
    assert (best(book, BID), best(book, ASK)) == (100, 101)


def test_drawn_clear():
    """A side that is cleared forgets its orders, and their ids may come again."""
    book = drawn()
    l3s.clear(*book.args, BID)
    assert draw_queues(book) == ["101 ask  2(e) 6(f)"]
    assert (best(book, BID), book.books[0]["count"]) == (None, 2)
    assert l3s.add(*book.args, 1, BID, 98, 1, 0, 0) >= 0
    assert draw_queues(book) == ["101 ask  2(e) 6(f)", "98 bid  1(a)"]


def test_interpreted_book_equals_naive():
    """The same tests hold when the kernels run as plain Python."""
    if jit.INTERPRETED or jit.BOUNDSCHECK:
        pytest.skip("this is the inner run")
    chosen = "equals_lists or any_commands or table or drawn or full_pool or aside"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", __file__, "-W", "error::RuntimeWarning", "-k", chosen],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout

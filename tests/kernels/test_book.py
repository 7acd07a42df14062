"""The price-level book: the window of ticks against two dicts, and drawn books a trader can read."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pinnacle.event import ASK, BID
from pinnacle.kernels import book as books
from pinnacle.kernels import jit
from pinnacle.kernels.fingerprint import book_fingerprint
from pinnacle.kernels.state import NO_PRICE, new_state
from pinnacle.limits import BOOK_ASIDE_LEVELS, BOOK_WINDOW_TICKS
from tests.naive.book_naive import BookNaive

W = BOOK_WINDOW_TICKS
START = 3 * W
ROWS = 300 if jit.INTERPRETED else 30_000
ROOT = Path(__file__).resolve().parent.parent.parent


def new_book():
    """An empty book and the array that owns it."""
    state = new_state(1)
    return state, state[0]["market"]["book"][0]


def best(book, side):
    """Best price of a side, None where it shows nothing."""
    s = 0 if side == BID else 1
    x = int(book["best"][s])
    if x < 0:
        return None
    return int(book["base_ticks"]) + (x if s == 0 else W - 1 - x)


def stored(book, side):
    """(price, lots) of a side, best first: what the window holds and what is kept aside, hidden levels included."""
    s = 0 if side == BID else 1
    x = np.flatnonzero(book["lots"][s])
    prices = int(book["base_ticks"]) + (x if s == 0 else W - 1 - x)
    levels = list(zip(prices.tolist(), book["lots"][s][x].tolist()))
    aside = int(book["aside_count"][s])
    levels += list(zip(book["aside_ticks"][s, :aside].tolist(), book["aside_lots"][s, :aside].tolist()))
    return sorted(levels, reverse=side == BID)


def shown(book, naive, side):
    """The best of two dicts as far as a window shows it: what lies outside is kept and never quoted on."""
    price = naive.best_ticks[side]
    return price if price is not None and 0 <= price - book["base_ticks"] < W else None


def assert_equal(book, naive, whole=False):
    """The same bests and best quantities; with `whole` every stored level too."""
    for side in (BID, ASK):
        s = 0 if side == BID else 1
        expected = shown(book, naive, side)
        assert best(book, side) == expected
        if expected is not None:
            assert books.lots_at(book, s, expected) == naive.best_lots(side)
        if whole:
            assert stored(book, side) == naive.stored(side)
    if whole:
        naive.check()


def stream(seed, rows, far):
    """Random levels and clears around a wandering middle: crossings, hidden levels, removals and, if `far`, prices
    outside the window.  Yields (side, price, lots), or (side, price, None) for a clear."""
    draw = random.Random(seed)
    middle = START
    for _ in range(rows):
        middle += draw.choice((-3, -1, 0, 0, 1, 3))
        side = draw.choice((BID, ASK))
        chance = draw.random()
        price = middle - side * int(draw.expovariate(0.1)) + draw.randrange(-6, 7)
        if chance < 0.01:
            yield draw.choice((BID, ASK, 0)), draw.choice((0, price, price)), None
        elif far and chance < 0.03:
            yield side, START - side * (W + draw.randrange(400)), draw.choice((0, 1, 2))
        else:
            yield side, price, draw.choice((0, 0, 0, 1, 2, 3, 50))


@pytest.mark.parametrize("seed, far", [(1, False), (2, False), (3, True), (4, True)])
def test_window_equals_two_dicts(seed, far):
    """After every row the window shows the same bests as two dicts do, and in the end holds the same levels."""
    state, book = new_book()
    naive = BookNaive()
    books.set_price(book, BID, START, 1)
    naive.level(BID, START, 1)
    for k, (side, price, lots) in enumerate(stream(seed, ROWS, far)):
        if lots is None:
            books.clear(book, side, price)
            naive.clear(side, price)
        else:
            was = shown(book, naive, side)
            better = lots > 0 and (was is None or price * side > was * side)
            in_window = 0 <= price - book["base_ticks"] < W
            assert books.set_price(book, side, price, lots) == (better and in_window)
            naive.level(side, price, lots)
        assert_equal(book, naive, whole=k % 997 == 0)
    assert_equal(book, naive, whole=True)
    assert book["crossings"] > 0 and (book["outside"] > 0) == far and book["lost"] == 0
    del state


@pytest.mark.parametrize("direction", [1, -1])
def test_drift_beyond_the_window(direction):
    """A market that drifts by several windows, followed as the engine follows it, loses no level on the way."""
    state, book = new_book()
    naive = BookNaive()
    draw = random.Random(9)
    step = W // 32
    for k in range(3 * 32):
        middle = START + direction * k * step
        rows = [(draw.choice((BID, ASK)), draw.randrange(2, 40), draw.choice((0, 1, 2, 3))) for _ in range(8)]
        for side, away, lots in [(BID, 1, 5), (ASK, 1, 5), *rows]:
            books.set_price(book, side, middle - side * away, lots)
            naive.level(side, middle - side * away, lots)
            assert_equal(book, naive)
        # The engine looks at the end of each message whether a best has come near the window's edge.
        edge = W // 16
        if any(x >= 0 and (x < edge or x >= W - edge) for x in book["best"]):
            books.recentre(book, best(book, BID))
        assert_equal(book, naive)
    assert_equal(book, naive, whole=True)
    assert book["recentres"] >= 2
    del state


@pytest.mark.parametrize("side", [BID, ASK])
def test_best_follows_a_market_that_leaves_the_window(side):
    """A better price beyond the window moves the window there, and what was shown before is kept."""
    state, book = new_book()
    naive = BookNaive()
    for price in (START, START - side * 5, START + side * (W + 7), START + side * (3 * W)):
        assert books.set_price(book, side, price, 4) == (naive.best_ticks[side] is None or price != START - side * 5)
        naive.level(side, price, 4)
        assert_equal(book, naive, whole=True)
    # The market comes back: the levels that had fallen out are there again.
    for price in (START + side * (3 * W), START + side * (W + 7)):
        books.set_price(book, side, price, 0)
        naive.level(side, price, 0)
    books.recentre(book, START)
    assert_equal(book, naive, whole=True)
    del state


def test_aside_is_bounded():
    """Levels outside the window are kept up to the bound; beyond it they are counted as lost, and none is confused."""
    state, book = new_book()
    books.set_price(book, BID, START, 1)
    for k in range(BOOK_ASIDE_LEVELS + 3):
        assert not books.set_price(book, BID, START - W - k, 7)
    assert (book["aside_count"][0], book["lost"]) == (BOOK_ASIDE_LEVELS, 3)
    books.set_price(book, BID, START - W, 0)
    assert book["aside_count"][0] == BOOK_ASIDE_LEVELS - 1
    assert books.lots_at(book, 0, START - W - 1) == 0  # outside the window nothing is quoted on
    books.recentre(book, START - W)
    assert books.lots_at(book, 0, START - W - 1) == 7 and book["aside_count"][0] == 1
    assert best(book, BID) == START - W - 1
    del state


def draw_book(book, low, high):
    """A book as a trader draws it: bids left of the price, asks right, '.' for a level that is stored but hidden."""
    lines = []
    for price in range(high, low - 1, -1):
        bid, ask = int(books.lots_at(book, 0, price)), int(books.lots_at(book, 1, price))
        bid_best, ask_best = best(book, BID), best(book, ASK)
        left = "" if not bid else str(bid) + ("." if bid_best is None or price > bid_best else "")
        right = "" if not ask else ("." if ask_best is None or price < ask_best else "") + str(ask)
        lines.append(f"{left:>3} {price} {right}".rstrip())
    return lines


def test_drawn_crossing():
    """A bid through two asks hides them; they show again only when the venue sets them anew."""
    state, book = new_book()
    for price, lots in ((101, 5), (102, 6), (103, 7)):
        books.set_price(book, ASK, price, lots)
    books.set_price(book, BID, 100, 4)
    assert draw_book(book, 100, 103) == ["    103 7", "    102 6", "    101 5", "  4 100"]
    assert books.set_price(book, BID, 102, 9)
    assert draw_book(book, 100, 103) == ["    103 7", "  9 102 .6", "    101 .5", "  4 100"]
    books.set_price(book, BID, 102, 0)
    assert draw_book(book, 100, 103) == ["    103 7", "    102 .6", "    101 .5", "  4 100"]
    # The quantity of a hidden level comes again: it is the newest news, and shows itself.
    assert books.set_price(book, ASK, 101, 5)
    assert draw_book(book, 100, 103) == ["    103 7", "    102 6", "    101 5", "  4 100"]
    assert book["crossings"] == 1
    del state


def test_drawn_clear():
    """A clear removes a side at a price and better, hidden levels too; a best that was worse already stays."""
    state, book = new_book()
    for price in (98, 99, 100):
        books.set_price(book, BID, price, price)
    books.set_price(book, ASK, 99, 7)  # hides 99 and 100
    assert draw_book(book, 98, 100) == ["100. 100", "99. 99 7", " 98 98"]
    books.clear(book, BID, 100)
    assert draw_book(book, 98, 100) == ["    100", "99. 99 7", " 98 98"]
    books.clear(book, BID, 98)
    assert draw_book(book, 98, 100) == ["    100", "    99 7", "    98"]
    books.clear(book, 0, 0)
    assert best(book, ASK) is None and stored(book, ASK) == []
    del state


def test_side_that_empties_shows_no_price():
    """Without a level a side has no best, and the next level whatever its price becomes it."""
    state, book = new_book()
    assert books.next_below(book, 0, W) == -1 and book["base_ticks"] == NO_PRICE
    books.clear(book, 0, 100)
    books.set_price(book, ASK, 5, 1)
    books.set_price(book, ASK, 5, 0)
    assert best(book, ASK) is None
    books.set_price(book, ASK, 900, 2)
    assert best(book, ASK) == 900 and book["base_ticks"] == 0
    del state


def test_fingerprint_sees_every_level():
    """Books differ in fingerprint when any level differs, and agree when the same levels came another way."""
    state, one = new_book()
    other_state, other = new_book()
    for price, lots in ((START, 3), (START - 7, 2), (START - W - 4, 9)):
        books.set_price(one, BID, price, lots)
    for price, lots in ((START, 1), (START - W - 4, 9), (START - 7, 2), (START, 3)):
        books.set_price(other, BID, price, lots)
    assert book_fingerprint(1, one) == book_fingerprint(1, other)
    for price in (START, START - 7, START - W - 4):
        books.set_price(other, BID, price, 50)
        assert book_fingerprint(1, one) != book_fingerprint(1, other)
        books.set_price(other, BID, price, {START: 3, START - 7: 2, START - W - 4: 9}[price])
        assert book_fingerprint(1, one) == book_fingerprint(1, other)
    del state, other_state


def test_recentring_hides_what_was_hidden():
    """Moving the window changes no best: a side whose levels are all hidden still shows nothing."""
    state, book = new_book()
    books.set_price(book, ASK, START + 1, 5)
    books.set_price(book, BID, START + 2, 1)
    assert (best(book, BID), best(book, ASK)) == (START + 2, None)
    books.recentre(book, START + 100)
    assert (best(book, BID), best(book, ASK)) == (START + 2, None)
    del state


def test_interpreted_book_equals_naive():
    """The same tests hold when the kernels run as plain Python."""
    if jit.INTERPRETED or jit.BOUNDSCHECK:
        pytest.skip("this is the inner run")
    run_again({"NUMBA_DISABLE_JIT": "1"}, "equals_two_dicts or drawn or aside or empties")


def test_bounds_checked_book(tmp_path):
    """The same tests hold with every index checked; and the checked kernels are others, in a folder of their own."""
    if jit.INTERPRETED or jit.BOUNDSCHECK:
        pytest.skip("this is the inner run")
    run_again({"NUMBA_BOUNDSCHECK": "1"}, "equals_two_dicts or drawn or aside or empties")
    program = (
        "from pinnacle.kernels import book, jit, state\n"
        "b = state.new_state(1)[0]['market']['book'][0]\n"
        "b['low'][0] = -10\n"
        "try:\n"
        "    book.next_below(b, 0, 1 << 30)\n"
        "except IndexError:\n"
        "    print('checked', jit.CACHE_DIR)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_BOUNDSCHECK": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    word, folder = done.stdout.split()
    assert word == "checked" and folder != str(jit.CACHE_DIR)


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

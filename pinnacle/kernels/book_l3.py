"""Order-by-order book (L3): every order of the venue, in its place in the queue at its price.

Who stands where in a queue decides who is filled, and levels do not show it.  The orders live in one pool, linked in
sequence at each price, and are found by the venue's id through a table; the price-level book is kept beside them as
their view, so all that reads levels reads the same book whether orders or levels were heard.

All work is O(1) except where a docstring says otherwise.  What Python owns: `books` (one BOOK_L3), `orders` (the pool)
and `table`; kernels are given the first record of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinnacle.kernels.book import W, best_ticks, near_edge, next_below, place_window, set_level, ticks_of, x_of
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.rows import nth
from pinnacle.kernels.state import BOOK, NO_PRICE, reset_book, zeroed
from pinnacle.limits import BOOK_WINDOW_TICKS, L3_ORDERS_MAX, L3_ORDERS_START, PRICE_TICKS_MAX, QTY_LOTS_MAX

ORDER_L3 = np.dtype(
    [
        ("order_id", "<i8"),  # the venue's; 0: this place of the pool is free
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),  # open
        ("owner", "<i8"),  # 0: the market; else a participant
        ("tag", "<i8"),  # the caller's own word for the order; the book never reads it
        ("next", "<i4"),  # behind it in the queue, -1 for the last; of a free place: the next free one
        ("previous", "<i4"),  # ahead of it; of the first: the last
        ("x", "<i4"),  # window index of its price, -1 outside the window
        ("chain_next", "<i4"),  # a list of the caller's own; the book never reads it
        ("chain_previous", "<i4"),
        ("flags", "<u2"),
        ("s", "i1"),  # 0 bids, 1 asks
        ("pad", "u1", (1,)),
    ]
)
assert ORDER_L3.itemsize == 64

# One entry of the table of ids: open addressing, at most half full, no tombstones.
PLACE_L3 = np.dtype([("order_id", "<i8"), ("place", "<i8")])

BOOK_L3 = np.dtype(
    [
        ("capacity", "<i8"),  # places of the pool
        ("count", "<i8"),  # orders in it
        ("free", "<i8"),  # a place that was given back, -1 if none
        ("fresh", "<i8"),  # places from here on were never used
        ("table_mask", "<i8"),
        ("table_shift", "<i8"),
        ("unknown", "<i8"),  # ids that were asked for and are not in the book
        ("duplicates", "<i8"),  # orders that came under an id which is in the book already
        ("refused", "<i8"),  # numbers that make no sense: more executed than was open, no quantity, no price
        ("outside", "<i8"),  # orders that came for a price outside the window
        ("hidden", "<i8"),  # 1: some level may be hidden by a crossing
        ("crossings_seen", "<i8"),
        ("aside_head", "<i8", (2,)),  # 1 + place of the first order outside the window, 0 if there is none
        ("aside_count", "<i8", (2,)),
        ("queue_head", "<i4", (2, BOOK_WINDOW_TICKS)),  # 1 + place of the first order at x, 0 if there is none
        ("queue_count", "<i4", (2, BOOK_WINDOW_TICKS)),  # orders at x
        ("book", BOOK),  # the view: at each x the sum of its orders
    ]
)

DONE = 0
L3_UNKNOWN = -1  # no order has this id
L3_FULL = -2  # the pool is full: grow it and say it again
L3_DUPLICATE = -3  # an order with this id is in the book
L3_REFUSED = -4  # a quantity, price or id that cannot be

# Fibonacci hashing (Knuth, The Art of Computer Programming 6.4): ids that follow one another spread evenly.
_SPREAD = 0x9E3779B97F4A7C15 - (1 << 64)


# --- ids ----------------------------------------------------------------------------------------------------------
@jit_inline
def home_of(l3, order_id):
    """The table's entry at which the search for an id begins."""
    return ((int(order_id) * _SPREAD) >> int(l3["table_shift"])) & int(l3["table_mask"])


@jit_inner
def entry_of(l3, table, order_id):
    """The table's entry that holds an id, -1 if none does."""
    mask = l3["table_mask"]
    k = home_of(l3, order_id)
    while True:
        known = nth(table, k)["order_id"]
        if known == order_id:
            return k
        if known == 0:
            return -1
        k = (k + 1) & mask


@jit
def find(l3, orders, table, order_id):
    """The place in the pool of the order with this id, -1 (L3_UNKNOWN) if there is none."""
    k = entry_of(l3, table, order_id)
    return nth(table, k)["place"] if k >= 0 else -1


@jit_inner
def enter_id(l3, table, order_id, place):
    """Remember where an order is.  Its id must not be in the table."""
    mask = l3["table_mask"]
    k = home_of(l3, order_id)
    while nth(table, k)["order_id"] != 0:
        k = (k + 1) & mask
    entry = nth(table, k)
    entry["order_id"] = order_id
    entry["place"] = place


@jit_inner
def forget_id(l3, table, hole):
    """Empty a table's entry, and move back those that had been pushed past it."""
    mask = l3["table_mask"]
    k = hole
    while True:
        k = (k + 1) & mask
        entry = nth(table, k)
        order_id = entry["order_id"]
        if order_id == 0:
            break
        if ((k - home_of(l3, order_id)) & mask) >= ((k - hole) & mask):
            empty = nth(table, hole)
            empty["order_id"] = order_id
            empty["place"] = entry["place"]
            hole = k
    nth(table, hole)["order_id"] = 0


# --- queues -------------------------------------------------------------------------------------------------------
@jit_inline
def head_of(l3, s, x):
    """Place of the first order at window index x (-1: of those outside the window), -1 if there is none."""
    return (np.int64(l3["queue_head"][s, x]) if x >= 0 else l3["aside_head"][s]) - 1


@jit_inline
def set_head(l3, s, x, place):
    """The first order at x is now at this place; -1: there is none."""
    if x >= 0:
        l3["queue_head"][s, x] = place + 1
    else:
        l3["aside_head"][s] = place + 1


@jit_inner
def join(l3, orders, s, x, place):
    """Put an order at the end of the queue at x."""
    order = nth(orders, place)
    head = head_of(l3, s, x)
    order["x"] = x
    order["next"] = -1
    if head < 0:
        set_head(l3, s, x, place)
        order["previous"] = place
    else:
        first = nth(orders, head)
        last = np.int64(first["previous"])
        order["previous"] = last
        nth(orders, last)["next"] = place
        first["previous"] = place
    if x < 0:
        l3["aside_count"][s] += 1
    else:
        l3["queue_count"][s, x] += 1


@jit_inner
def leave(l3, orders, s, x, place):
    """Take an order out of the queue at x."""
    order = nth(orders, place)
    head = head_of(l3, s, x)
    following, before = np.int64(order["next"]), np.int64(order["previous"])
    if place == head:
        set_head(l3, s, x, following)
        if following >= 0:
            nth(orders, following)["previous"] = before
    else:
        nth(orders, before)["next"] = following
        nth(orders, following if following >= 0 else head)["previous"] = before
    if x < 0:
        l3["aside_count"][s] -= 1
    else:
        l3["queue_count"][s, x] -= 1


@jit_inner
def change_level(l3, s, x, lots):
    """The view's level at x changes by `lots`; nothing outside the window, which the view does not show.

    A best that goes may scan to the next, see book.next_below.
    """
    if x < 0:
        return
    book = l3["book"]
    left = book["lots"][s, x] + lots
    set_level(book, s, x, left)
    if l3["hidden"] != 0:
        if left == 0:
            show_again(l3, s)
    elif book["crossings"] != l3["crossings_seen"]:
        l3["hidden"] = 1
    l3["crossings_seen"] = book["crossings"]


@jit_inner
def show_again(l3, s):
    """Side s lost a level: what its best hid of the other side shows again, as far as the new best lets it.

    A venue that speaks of orders never says a level anew, so what was hidden must come back by itself.
    """
    book = l3["book"]
    o = 1 - s
    best = book["best"][s]
    shown = next_below(book, o, W if best < 0 else W - 1 - best)
    if shown > book["best"][o]:
        book["best"][o] = shown
    l3["hidden"] = 0
    for side in range(2):
        if next_below(book, side, min(book["high"][side], W - 1) + 1) != book["best"][side]:
            l3["hidden"] = 1


@jit_inner
def x_for(l3, orders, s, price_ticks):
    """Window index for an order's price; the window is placed or moved if it must be, -1 if it stays outside.

    As in the price-level book: a price better than the window moves it there, a worse one is kept aside.
    """
    book = l3["book"]
    if book["base_ticks"] == NO_PRICE:
        place_window(book, price_ticks)
    x = x_of(book, s, price_ticks)
    if 0 <= x < W:
        return x
    l3["outside"] += 1
    if x < 0:
        return -1
    move_window(l3, orders, price_ticks)
    return x_of(book, s, price_ticks)


@jit_inner
def unhook(l3, orders, s):
    """Take every order of a side out of its queue; returns the first of one chain of them all, -1 if there are none.

    The chain runs through `next` and keeps each price's sequence.  Bounded by the side's span and its orders.
    """
    book = l3["book"]
    low, high = book["low"][s], min(book["high"][s], W - 1)
    span = max(0, high - low + 1)
    first, last = -1, -1
    for k in range(span + 1):
        x = high - k if k < span else -1
        head = head_of(l3, s, x)
        if head < 0:
            continue
        set_head(l3, s, x, -1)
        if x >= 0:
            book["lots"][s, x] = 0
            l3["queue_count"][s, x] = 0
        if first < 0:
            first = head
        else:
            nth(orders, last)["next"] = head
        last = np.int64(nth(orders, head)["previous"])
    l3["aside_count"][s] = 0
    book["low"][s], book["high"][s] = W, -1
    return first


@jit
def move_window(l3, orders, price_ticks):
    """Move the window so that price_ticks is in its middle.

    No order is lost and none loses its place: those that fall out wait aside, unseen by the view, and come back in
    sequence when the window does.  Bounded by the window's span and the pool; rare.
    """
    book = l3["book"]
    base = max(0, price_ticks - W // 2)
    if base == book["base_ticks"]:
        return
    book["recentres"] += 1
    best_bid, best_ask = best_ticks(book, 0), best_ticks(book, 1)
    bids, asks = unhook(l3, orders, 0), unhook(l3, orders, 1)
    book["base_ticks"] = base
    for s in range(2):
        place = bids if s == 0 else asks
        while place >= 0:
            order = nth(orders, place)
            following = np.int64(order["next"])
            x = x_of(book, s, order["price_ticks"])
            if x < 0 or x >= W:
                x = -1
            join(l3, orders, s, x, place)
            if x >= 0:
                book["lots"][s, x] += order["qty_lots"]
                book["low"][s], book["high"][s] = min(book["low"][s], x), max(book["high"][s], x)
            place = following
    for s in range(2):
        best = best_bid if s == 0 else best_ask
        book["best"][s] = -1
        if best != NO_PRICE:
            x = x_of(book, s, best)
            book["best"][s] = x if 0 <= x < W else next_below(book, s, W)
    # A side that showed nothing may show what came back in; what crosses the other side's best was hidden and stays so.
    for s in range(2):
        if (best_bid if s == 0 else best_ask) == NO_PRICE:
            other = book["best"][1 - s]
            book["best"][s] = next_below(book, s, W if other < 0 else W - 1 - other)
    l3["hidden"] = 1


@jit
def follow(l3, orders):
    """Move the window if a best has come near its edge; for the end of each message.  True if it moved."""
    book = l3["book"]
    if book["base_ticks"] == NO_PRICE or not near_edge(book):
        return False
    move_window(l3, orders, best_ticks(book, 0 if book["best"][0] >= 0 else 1))
    return True


# --- orders by place ----------------------------------------------------------------------------------------------
@jit_inner
def enter(l3, orders, table, order_id, s, x, price_ticks, qty_lots, owner, flags):
    """A new order at the end of its queue; returns its place.  The pool has room and does not know the id; x fits."""
    place = l3["free"]
    if place >= 0:
        l3["free"] = np.int64(nth(orders, place)["next"])
    else:
        place = l3["fresh"]
        l3["fresh"] = place + 1
    order = nth(orders, place)
    order["order_id"] = order_id
    order["price_ticks"] = price_ticks
    order["qty_lots"] = qty_lots
    order["owner"] = owner
    order["tag"] = 0
    order["flags"] = flags
    order["s"] = s
    l3["count"] += 1
    enter_id(l3, table, order_id, place)
    join(l3, orders, s, x, place)
    change_level(l3, s, x, qty_lots)
    return place


@jit_inner
def take_out(l3, orders, table, place):
    """Remove the order at a place, whatever is open of it."""
    order = nth(orders, place)
    s, x = np.int64(order["s"]), np.int64(order["x"])
    forget_id(l3, table, entry_of(l3, table, order["order_id"]))
    leave(l3, orders, s, x, place)
    change_level(l3, s, x, -order["qty_lots"])
    order["order_id"] = 0
    order["next"] = l3["free"]
    l3["free"] = place
    l3["count"] -= 1


@jit_inner
def shrink(l3, orders, place, to_lots):
    """The order at a place has fewer lots open (> 0) and stays where it is."""
    order = nth(orders, place)
    less = to_lots - order["qty_lots"]
    order["qty_lots"] = to_lots
    change_level(l3, np.int64(order["s"]), np.int64(order["x"]), less)


@jit_inner
def move(l3, orders, place, x, price_ticks, qty_lots):
    """The order at a place goes to the end of the queue at x, with a new price and quantity; x fits the price."""
    order = nth(orders, place)
    s, from_x = np.int64(order["s"]), np.int64(order["x"])
    leave(l3, orders, s, from_x, place)
    change_level(l3, s, from_x, -order["qty_lots"])
    order["price_ticks"] = price_ticks
    order["qty_lots"] = qty_lots
    join(l3, orders, s, x, place)
    change_level(l3, s, x, qty_lots)


# --- what is heard ------------------------------------------------------------------------------------------------
@jit_inline
def possible(price_ticks, qty_lots):
    """Whether a price and an open quantity can be those of an order."""
    return 0 < price_ticks <= PRICE_TICKS_MAX and 0 < qty_lots <= QTY_LOTS_MAX


@jit
def add(l3, orders, table, order_id, side, price_ticks, qty_lots, owner, flags):
    """A new order (id > 0) joins the end of the queue at its price.

    Returns its place in the pool (>= 0), or L3_DUPLICATE, L3_REFUSED or L3_FULL with nothing changed but a counter.
    """
    if order_id <= 0 or not possible(price_ticks, qty_lots):
        l3["refused"] += 1
        return L3_REFUSED
    if entry_of(l3, table, order_id) >= 0:
        l3["duplicates"] += 1
        return L3_DUPLICATE
    if l3["count"] == l3["capacity"]:
        return L3_FULL
    s = 0 if side > 0 else 1
    x = x_for(l3, orders, s, price_ticks)
    return enter(l3, orders, table, order_id, s, x, price_ticks, qty_lots, owner, flags)


@jit
def remove(l3, orders, table, order_id):
    """The order leaves the book.  Returns DONE or L3_UNKNOWN."""
    k = entry_of(l3, table, order_id)
    if k < 0:
        l3["unknown"] += 1
        return L3_UNKNOWN
    take_out(l3, orders, table, nth(table, k)["place"])
    return DONE


@jit
def reduce(l3, orders, table, order_id, to_lots):
    """to_lots are open now, no more than before: the order keeps its place; 0 removes it.

    Returns DONE, L3_UNKNOWN, or L3_REFUSED for more than was open.
    """
    k = entry_of(l3, table, order_id)
    if k < 0:
        l3["unknown"] += 1
        return L3_UNKNOWN
    place = nth(table, k)["place"]
    if to_lots < 0 or to_lots > nth(orders, place)["qty_lots"]:
        l3["refused"] += 1
        return L3_REFUSED
    if to_lots == 0:
        take_out(l3, orders, table, place)
    else:
        shrink(l3, orders, place, to_lots)
    return DONE


@jit
def replace(l3, orders, table, order_id, price_ticks, qty_lots):
    """The order has a new price and open quantity.

    It keeps its place in the queue if the price is the same and the quantity did not grow; else it goes to the end of
    the queue at its price.  0 lots remove it.  Returns DONE, L3_UNKNOWN or L3_REFUSED.
    """
    k = entry_of(l3, table, order_id)
    if k < 0:
        l3["unknown"] += 1
        return L3_UNKNOWN
    place = nth(table, k)["place"]
    order = nth(orders, place)
    if qty_lots == 0:
        take_out(l3, orders, table, place)
        return DONE
    if not possible(price_ticks, qty_lots):
        l3["refused"] += 1
        return L3_REFUSED
    if price_ticks == order["price_ticks"] and qty_lots <= order["qty_lots"]:
        shrink(l3, orders, place, qty_lots)
    else:
        x = x_for(l3, orders, np.int64(order["s"]), price_ticks)
        move(l3, orders, place, x, price_ticks, qty_lots)
    return DONE


@jit
def execute(l3, orders, table, order_id, lots):
    """`lots` (> 0) of the order were traded; an order with nothing left leaves.

    Returns what is left open (>= 0), L3_UNKNOWN, or L3_REFUSED for more than was open.
    """
    k = entry_of(l3, table, order_id)
    if k < 0:
        l3["unknown"] += 1
        return L3_UNKNOWN
    place = nth(table, k)["place"]
    left = nth(orders, place)["qty_lots"] - lots
    if lots <= 0 or left < 0:
        l3["refused"] += 1
        return L3_REFUSED
    if left == 0:
        take_out(l3, orders, table, place)
    else:
        shrink(l3, orders, place, left)
    return left


@jit
def ahead_lots(l3, orders, table, order_id):
    """Lots ahead of the order in the queue at its price, exactly; L3_UNKNOWN if there is no such order.

    Walks the orders ahead of it; outside the window, all of its side there that came before it.
    """
    k = entry_of(l3, table, order_id)
    if k < 0:
        return L3_UNKNOWN
    place = nth(table, k)["place"]
    order = nth(orders, place)
    price = order["price_ticks"]
    head = head_of(l3, np.int64(order["s"]), np.int64(order["x"]))
    total = 0
    while place != head:
        place = np.int64(nth(orders, place)["previous"])
        ahead = nth(orders, place)
        if ahead["price_ticks"] == price:
            total += ahead["qty_lots"]
    return total


@jit
def clear(l3, orders, table, side):
    """Every order of a side (0: of both) leaves.  Bounded by the side's span and its orders."""
    for s in range(2):
        if (side > 0 and s == 1) or (side < 0 and s == 0):
            continue
        place = unhook(l3, orders, s)
        while place >= 0:
            order = nth(orders, place)
            following = np.int64(order["next"])
            forget_id(l3, table, entry_of(l3, table, order["order_id"]))
            order["order_id"] = 0
            order["next"] = l3["free"]
            l3["free"] = place
            l3["count"] -= 1
            place = following
        l3["book"]["best"][s] = -1
        if l3["hidden"] != 0:
            show_again(l3, s)


@jit
def level_ticks(l3, s, x):
    """Price at a window index of side s, NO_PRICE for x < 0: what a reader of the view needs."""
    return ticks_of(l3["book"], s, x)


@jit
def refill_table(l3, orders, table):
    """Enter every order of the pool into an empty table."""
    for place in range(l3["fresh"]):
        order_id = nth(orders, place)["order_id"]
        if order_id != 0:
            enter_id(l3, table, order_id, place)


# --- what Python owns ---------------------------------------------------------------------------------------------
@dataclass
class BookL3:
    """The arrays of one order-by-order book; kernels are given `books[0]`, `orders[0]` and `table[0]`."""

    books: np.ndarray
    orders: np.ndarray
    table: np.ndarray

    @property
    def args(self) -> tuple:
        """The three records that every function here begins with."""
        return self.books[0], self.orders[0], self.table[0]

    def grow(self) -> bool:
        """Twice the room, after L3_FULL; False at limits.L3_ORDERS_MAX, where the caller must decide what to give up.

        Places stay, so what a caller remembers stays right.
        """
        capacity = 2 * self.orders.size
        if capacity > L3_ORDERS_MAX:
            return False
        orders = zeroed(ORDER_L3, capacity)
        orders[: self.orders.size] = self.orders
        self.orders, self.table = orders, _table_for(self.books, capacity)
        refill_table(*self.args)
        return True


def _table_for(books: np.ndarray, capacity: int) -> np.ndarray:
    """An empty table for a pool of `capacity`, never more than half full."""
    bits = max(1, (2 * capacity - 1).bit_length())
    books["capacity"], books["table_mask"], books["table_shift"] = capacity, (1 << bits) - 1, 64 - bits
    return zeroed(PLACE_L3, 1 << bits)


def reset_book_l3(l3: np.void) -> None:
    """No orders, and a window that is not placed yet, in a record of zeros whose capacity is set."""
    l3["free"] = -1
    reset_book(l3["book"])


def new_book_l3(capacity: int = L3_ORDERS_START, books: np.ndarray | None = None) -> BookL3:
    """An empty book with room for `capacity` orders; books: BOOK_L3[1] of zeros, where it is part of another record.

    Untouched pages take no memory.
    """
    if books is None:
        books = zeroed(BOOK_L3)
    table = _table_for(books, capacity)
    reset_book_l3(books[0])
    return BookL3(books, zeroed(ORDER_L3, capacity), table)

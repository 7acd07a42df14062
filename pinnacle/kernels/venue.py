"""What the simulated venue remembers: its book, our orders as they rest there, and what is on its way.

It lives in venue time; the engine lives in local time and knows nothing of these records.  One venue serves many
lanes: the book and the lists of orders at each price are shared, what belongs to one lane is its desk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from pinnacle.event import EVENT
from pinnacle.kernels.latency import LATENCY
from pinnacle.kernels.state import BOOK, NEVER, reset_book, zeroed
from pinnacle.limits import BOOK_WINDOW_TICKS, IN_FLIGHT_MAX, LANES_MAX, ORDERS_MAX, TAKEN_LEVELS_MAX

# Our orders at the venue, of all lanes in one pool: what rests now is close together whatever the ids are.
RESTING = np.dtype(
    [
        ("order_id", "<i8"),  # 0: free
        ("x", "<i8"),  # window index of its price
        ("open_lots", "<i8"),
        ("front", "<f8"),  # lots ahead of it, by the queue model
        ("explained_lots", "<i8"),  # traded at its price since the level was last set
        ("next", "<i4"),  # the next order at the same price, -1 for the last; of a free one: the next free one
        ("previous", "<i4"),  # the one before; of the first: the last
        ("lane", "<i4"),
        ("s", "<i2"),
        ("instrument", "<i2"),
        ("entry", "<i8"),  # entries into recorded queues when it came to rest, see fifo
    ]
)
assert RESTING.itemsize == 64

REQUEST = np.dtype(
    [
        ("due_ns", "<i8"),
        ("order_id", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("kind", "<i8"),
        ("side", "<i8"),
        ("flags", "<i8"),
    ]
)

FILL_PARTIAL = 0  # an execution takes what was there to take
FILL_WHOLE = 1  # an order is filled whole or not at all, whatever was traded
STP_EXPIRE_TAKER = 0
STP_EXPIRE_MAKER = 1
STP_EXPIRE_BOTH = 2
STP_NONE = 3

# One instrument at its venue: the rules that hold there, and the orders of all lanes by price.
SITE = np.dtype(
    [
        ("venue", "<i8"),
        ("fill_model", "<i8"),
        ("queue_model", "<i8"),
        ("queue_n", "<f8"),
        ("lot_qty", "<f8"),  # size of a lot, for the queue models that are not free of scale
        ("stp", "<i8"),
        ("maker_ppb", "<i8"),  # fee on value in parts per 1e9; negative is a rebate
        ("taker_ppb", "<i8"),
        ("units_per_ticklot", "<i8"),
        ("qty_min_lots", "<i8"),
        ("qty_max_lots", "<i8"),
        ("notional_min_units", "<i8"),
        ("price_min_ticks", "<i8"),
        ("price_max_ticks", "<i8"),
        ("orders_max", "<i8"),
        ("entries", "<i8"),  # stamps given to orders of a recording so far, see fifo
        ("mover", "<i8"),  # stamp of the order that the next row is about, 0 if none was said
        ("latency", LATENCY),
        ("best", "<i8", (2,)),  # greatest x with an order of ours, -1 if none
        ("low", "<i8", (2,)),  # least x with an order of ours, the window's size if none
        ("count", "<i8", (2,)),  # of our orders, all lanes
        ("taken_count", "<i8"),  # levels that a lane took from and the venue has not set again, over all lanes
        ("taken", "<u2", (2, BOOK_WINDOW_TICKS)),  # lanes that took from x since the venue set it
        ("head", "<i4", (2, BOOK_WINDOW_TICKS)),  # 1 + place in the pool of the first order at x, 0 if there is none
    ]
)

# One lane on one instrument, as the venue sees it.
DESK_OWN = np.dtype(
    [
        ("count", "<i8", (2,)),  # orders that rest
        ("drawn", "<i8", (3,)),  # random delays drawn so far, by leg
        ("taken_count", "<i8"),
        ("request_first", "<i8"),  # rings: the next to leave, and one past the last that joined
        ("request_end", "<i8"),
        ("request_due_ns", "<i8"),  # of the last that joined: a message never overtakes
        ("answer_first", "<i8"),
        ("answer_end", "<i8"),
        ("answer_due_ns", "<i8"),
        ("place", "<i4", (ORDERS_MAX,)),  # by the low bits of the order id: 1 + its place in the pool, 0 if none
        ("taken_s", "<i8", (TAKEN_LEVELS_MAX,)),
        ("taken_x", "<i8", (TAKEN_LEVELS_MAX,)),
        ("taken_lots", "<i8", (TAKEN_LEVELS_MAX,)),
        ("taken_entry", "<i8", (TAKEN_LEVELS_MAX,)),  # entries into recorded queues when it was taken
        ("requests", REQUEST, (IN_FLIGHT_MAX,)),
        ("answers", EVENT, (IN_FLIGHT_MAX,)),
    ]
)

# The venues of a run, as all lanes share them.
SIM_FIELDS = [
    ("clock_ns", "<i8"),  # time of the last venue event
    ("row_ns", "<i8"),  # time of the last market row
    ("feed_ns", "<i8"),  # the feed's latency at that row
    ("instruments", "<i8"),
    ("lanes", "<i8"),
    ("running", "<i8"),  # lanes for which something may still come
    ("free", "<i8"),  # first free order of the pool, -1 if none
    ("free_count", "<i8"),
    ("stamp", "<i8"),  # number of the execution under way, see DESK left_lots
    ("request_due_ns", "<i8"),  # least of request_due
    ("answer_due_ns", "<i8"),
    ("request_due", "<i8", (LANES_MAX,)),  # by lane: when its next request arrives, NEVER if none is in flight
    ("answer_due", "<i8", (LANES_MAX,)),
]


@cache
def sim_dtype(instruments: int) -> np.dtype:
    """The simulated venues of a run, for a capacity of `instruments`."""
    return np.dtype([*SIM_FIELDS, ("book", BOOK, (instruments,)), ("site", SITE, (instruments,))])


@cache
def desk_dtype(instruments: int) -> np.dtype:
    """One lane's side of the venues, for a capacity of `instruments`."""
    return np.dtype(
        [
            ("lane", "<i8"),
            ("inputs", "<i8"),  # what this lane has heard besides the market: answers and timers
            ("fault", "<i8"),
            ("ended", "<i8"),  # 1: nothing more comes for it
            ("request_at", "<i8"),  # the instrument its next request is for
            ("answer_at", "<i8"),
            ("at_once", "<i8"),  # answers heard at one instant
            ("at_once_ns", "<i8"),
            ("stamp", "<i8"),
            ("left_lots", "<i8"),  # of the execution `stamp`: what is left for this lane's next order
            ("own", DESK_OWN, (instruments,)),
        ]
    )


@dataclass(frozen=True)
class Venues:
    """The simulated venues of a run: `sim` (one record), `desks` (one a lane), `resting` (the pool of all lanes)."""

    sim: np.ndarray
    desks: np.ndarray
    resting: np.ndarray


def new_venues(instruments: int, lanes: int = 1) -> Venues:
    """Venues at which nothing rests and nothing is on its way."""
    assert 1 <= lanes <= LANES_MAX
    sim = zeroed(sim_dtype(instruments))
    desks = zeroed(desk_dtype(instruments), lanes)
    resting = zeroed(RESTING, lanes * instruments * ORDERS_MAX)
    record = sim[0]
    record["lanes"] = record["running"] = lanes
    record["request_due_ns"] = record["answer_due_ns"] = NEVER
    record["request_due"][:] = record["answer_due"][:] = NEVER
    resting["next"] = np.arange(1, resting.size + 1)
    resting["next"][-1] = -1
    record["free_count"] = resting.size
    desks["lane"] = np.arange(lanes)
    for k in range(instruments):
        reset_book(record["book"][k])
        site = record["site"][k]
        site["best"][:] = -1
        site["low"][:] = BOOK_WINDOW_TICKS
        site["qty_max_lots"] = site["price_max_ticks"] = NEVER
        site["price_min_ticks"] = site["entries"] = 1
        site["orders_max"] = ORDERS_MAX
    return Venues(sim, desks, resting)

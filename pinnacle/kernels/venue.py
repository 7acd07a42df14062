"""What the simulated venue remembers: its book, our orders as they rest there, and what is on its way.

It lives in venue time; the engine lives in local time and knows nothing of this record.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from pinnacle.event import EVENT
from pinnacle.kernels.latency import LATENCY
from pinnacle.kernels.state import BOOK, NEVER, reset_book, zeroed
from pinnacle.limits import BOOK_WINDOW_TICKS, IN_FLIGHT_MAX, ORDERS_MAX, TAKEN_LEVELS_MAX

RESTING = np.dtype(
    [
        ("order_id", "<i8"),  # 0: the slot is free
        ("x", "<i8"),  # window index of its price
        ("s", "<i8"),
        ("open_lots", "<i8"),
        ("front", "<f8"),  # lots ahead of it, by the queue model
        ("explained_lots", "<i8"),  # traded at its price since the level was last set
        ("next", "<i8"),  # slot of the next own order at the same price, -1 for the last
    ]
)

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

SIM_OWN = np.dtype(
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
        ("latency", LATENCY),
        ("best", "<i8", (2,)),  # greatest x with an own order, -1 if none
        ("low", "<i8", (2,)),  # least x with an own order, the window's size if none
        ("count", "<i8", (2,)),
        ("taken_count", "<i8"),
        ("taken_s", "<i8", (TAKEN_LEVELS_MAX,)),
        ("taken_x", "<i8", (TAKEN_LEVELS_MAX,)),
        ("taken_lots", "<i8", (TAKEN_LEVELS_MAX,)),
        ("request_first", "<i8"),  # rings: the next to leave, and one past the last that joined; never wrapped
        ("request_end", "<i8"),
        ("request_due_ns", "<i8"),  # of the last that joined: a message never overtakes
        ("answer_first", "<i8"),
        ("answer_end", "<i8"),
        ("answer_due_ns", "<i8"),
        ("resting", RESTING, (ORDERS_MAX,)),
        ("requests", REQUEST, (IN_FLIGHT_MAX,)),
        ("answers", EVENT, (IN_FLIGHT_MAX,)),
        ("head", "<i2", (2, BOOK_WINDOW_TICKS)),  # 1 + slot of the first own order at x, 0 if there is none
    ]
)


@cache
def sim_dtype(instruments: int) -> np.dtype:
    """The simulated venues of a run, for a capacity of `instruments`."""
    return np.dtype(
        [
            ("clock_ns", "<i8"),  # time of the last venue event
            ("fault", "<i8"),
            ("feed_ns", "<i8"),  # the feed's latency at the venue's present row
            ("instruments", "<i8"),
            ("at_once", "<i8"),  # answers heard at one instant
            ("at_once_ns", "<i8"),
            ("request_due_ns", "<i8"),  # least due time of all requests in flight, NEVER if none
            ("request_at", "<i8"),  # the instrument it is for
            ("answer_due_ns", "<i8"),
            ("answer_at", "<i8"),
            ("book", BOOK, (instruments,)),
            ("own", SIM_OWN, (instruments,)),
        ]
    )


def new_sim(instruments: int) -> np.ndarray:
    """Venues at which nothing rests and nothing is on its way: an array of one record."""
    sim = zeroed(sim_dtype(instruments))
    record = sim[0]
    record["request_due_ns"] = record["answer_due_ns"] = NEVER
    for k in range(instruments):
        reset_book(record["book"][k])
        own = record["own"][k]
        own["best"][:] = -1
        own["low"][:] = BOOK_WINDOW_TICKS
        own["qty_max_lots"] = own["price_max_ticks"] = NEVER
        own["price_min_ticks"] = 1
        own["orders_max"] = ORDERS_MAX
    return sim

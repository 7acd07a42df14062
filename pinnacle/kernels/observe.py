"""What a report needs of the market and the account at given moments, written down as the drive passes them.

Reading the history a second time would cost more than the run.  Nothing here is read by the engine.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import ASK, BID, EVENT, MAKER, ORDER_FILLED
from pinnacle.kernels.book import best_ticks
from pinnacle.kernels.jit import jit, jit_inline, jit_inner
from pinnacle.kernels.state import NEVER, NO_PRICE
from pinnacle.limits import MARKOUTS_PENDING_MAX, OBSERVATIONS_MAX, ORDERS_MAX

SAMPLE = 1  # at a fixed interval
FILL = 2  # an own fill was heard
MARKOUT = 3  # a horizon after a fill; `number` is the fill's, `horizon` the index of the horizon
FUNDED = 4  # funding was paid or received; lanes only, where no samples show it

OBSERVATION = np.dtype(
    [
        ("ts_ns", "<i8"),
        ("kind", "<i4"),
        ("instrument", "<i4"),
        ("bid_ticks", "<i8"),
        ("ask_ticks", "<i8"),  # NO_PRICE where a side is empty
        ("position_lots", "<i8"),
        ("cash_units", "<i8"),
        ("fees_units", "<i8"),
        ("funding_units", "<i8"),
        ("buy_ticks", "<i8"),  # our best working quotes, NO_PRICE if none
        ("sell_ticks", "<i8"),
        ("number", "<i8"),  # of the fill, from 0 over all instruments
        ("horizon", "<i4"),
        ("lane", "<i4"),
    ]
)
HORIZONS = 3

OBSERVED = np.dtype(
    [
        ("due_ns", "<i8"),  # least time at which something is to be written down
        ("sample_ns", "<i8"),
        ("sample_every_ns", "<i8"),
        ("lanes", "<i8"),  # above 1: fills and funding of every lane are written down, and nothing else
        ("fills", "<i8"),
        ("dropped", "<i8"),  # mark-outs for which there was no room
        ("horizon_ns", "<i8", (HORIZONS,)),
        ("first", "<i8", (HORIZONS,)),  # rings of fills whose mark-out at that horizon is still to come
        ("end", "<i8"),
        ("fill_ns", "<i8", (MARKOUTS_PENDING_MAX,)),
        ("fill_instrument", "<i8", (MARKOUTS_PENDING_MAX,)),
        ("timer", EVENT),  # the timer record that is handed to the engine
        ("count", "<i8"),
        ("rows", OBSERVATION, (OBSERVATIONS_MAX,)),
    ]
)

_MASK = MARKOUTS_PENDING_MAX - 1


@jit_inner
def write(market, lane, number_of_lane, me, ts_ns, kind, number, horizon, observed):
    """Write down the book's top and the account of one instrument in one lane."""
    book, own = market["book"][me], lane["own"][me]
    row = observed["rows"][observed["count"]]
    row["ts_ns"] = ts_ns
    row["kind"] = kind
    row["instrument"] = me
    row["bid_ticks"] = best_ticks(book, 0)
    row["ask_ticks"] = best_ticks(book, 1)
    row["position_lots"] = own["position_lots"]
    row["cash_units"] = own["cash_units"]
    row["fees_units"] = own["fees_units"]
    row["funding_units"] = own["funding_units"]
    row["buy_ticks"] = best_quote(own, BID)
    row["sell_ticks"] = best_quote(own, ASK)
    row["number"] = number
    row["horizon"] = horizon
    row["lane"] = number_of_lane
    observed["count"] += 1


@jit_inline
def best_quote(own, side):
    """Best price of our live orders on a side, NO_PRICE if there is none.  Bounded by ORDERS_MAX."""
    s = 0 if side > 0 else 1
    best = NO_PRICE
    for k in range(min(own["live_count"][s], ORDERS_MAX)):
        price = own["orders"][own["live"][s, k]]["price_ticks"]
        if best == NO_PRICE or side * price > side * best:
            best = price
    return best


@jit_inner
def observe_due(market, lane, now_ns, observed):
    """Write down what is due before now_ns, once: the state is that after every event up to the due time."""
    if observed["sample_ns"] == observed["due_ns"]:
        for me in range(market["instruments"]):
            write(market, lane, 0, me, observed["sample_ns"], SAMPLE, -1, -1, observed)
        # Nothing happened in the samples that were passed over, so one in a long silence is enough.
        every = observed["sample_every_ns"]
        passed = (now_ns - 1 - observed["sample_ns"]) // every
        observed["sample_ns"] += every * max(1, passed)
    for h in range(HORIZONS):
        k = observed["first"][h]
        if k < observed["end"] and observed["fill_ns"][k & _MASK] + observed["horizon_ns"][h] == observed["due_ns"]:
            me = observed["fill_instrument"][k & _MASK]
            write(market, lane, 0, me, observed["due_ns"], MARKOUT, k, h, observed)
            observed["first"][h] = k + 1
    set_due(observed)


@jit
def observe_end(market, lane, observed):
    """Write down the end: what is held is worth what the last event says, not what the last sample said."""
    if observed["sample_ns"] != NEVER:
        for me in range(market["instruments"]):
            write(market, lane, 0, me, market["ts_ns"], SAMPLE, -1, -1, observed)


@jit_inner
def set_due(observed):
    """The least of the next sample and the first mark-out of each horizon."""
    due = observed["sample_ns"]
    for h in range(HORIZONS):
        k = observed["first"][h]
        if k < observed["end"]:
            due = min(due, observed["fill_ns"][k & _MASK] + observed["horizon_ns"][h])
    observed["due_ns"] = due


@jit_inner
def observe_answer(market, lane, number_of_lane, event, observed):
    """An own fill was heard: write it down, and remember to look again at each horizon.

    Of many lanes the fills alone are written: what the market did at other times is the same for all of them.
    """
    if event["kind"] != ORDER_FILLED:
        return
    me, number = np.int64(event["instrument"]), observed["end"]
    if observed["lanes"] > 1:
        # A lane's horizon is free: 1 for a fill as maker.
        maker = 1 if event["flags"] & MAKER else 0
        write(market, lane, number_of_lane, me, event["ts_ns"], FILL, number, maker, observed)
        return
    write(market, lane, number_of_lane, me, event["ts_ns"], FILL, number, -1, observed)
    for h in range(HORIZONS):
        if number - observed["first"][h] >= MARKOUTS_PENDING_MAX:
            observed["first"][h] += 1
            observed["dropped"] += 1
    observed["fill_ns"][number & _MASK] = event["ts_ns"]
    observed["fill_instrument"][number & _MASK] = me
    observed["end"] = number + 1
    observed["fills"] += 1
    set_due(observed)


def new_observed(sample_every_ns: int, horizons_ns: tuple[int, ...], lanes: int = 1) -> np.ndarray:
    """An observer that samples at a fixed interval (0: never) and marks fills out at the given horizons."""
    observed = np.zeros(1, OBSERVED)
    record = observed[0]
    record["lanes"] = lanes
    record["sample_every_ns"] = sample_every_ns
    record["sample_ns"] = record["due_ns"] = NEVER
    record["horizon_ns"][:] = horizons_ns
    return observed


assert NO_PRICE < 0

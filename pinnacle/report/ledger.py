"""What became of every order and every execution of a run, joined from the log and its observations.

All numbers stay whole ticks, lots and money units here; quote currency appears only where something is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinnacle import event
from pinnacle.errors import DiskError
from pinnacle.report.source import FILL, HORIZONS_NS, MARKOUT, NO_PRICE, OBSERVATIONS_NAME, Recorded

# Twice the mid, in ticks, where the book had an empty side.
NO_MID = 2 * NO_PRICE

FILLED, CANCELLED, EXPIRED, REJECTED, OPEN, UNKNOWN = 0, 1, 2, 3, 4, 5
STATUS_NAMES = ("filled", "cancelled", "expired", "rejected", "open", "unknown")

FILLS = np.dtype(
    [
        ("number", "<i8"),  # from 0 over all instruments, in log order
        ("ts_ns", "<i8"),  # when we heard it
        ("ts_venue_ns", "<i8"),  # when it happened at the venue, 0 if the venue did not say
        ("order_id", "<i8"),
        ("submitted_ns", "<i8"),  # when the order was decided, 0 if that is not in this log
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("fee_units", "<i8"),  # negative for a rebate
        ("position_lots", "<i8"),  # after the fill
        ("mid2_ticks", "<i8"),  # bid + ask when it was heard, NO_MID if there was none
        ("after2_ticks", "<i8", (len(HORIZONS_NS),)),  # bid + ask each horizon later, NO_MID if not seen
        ("instrument", "<i4"),
        ("side", "i1"),
        ("reason", "u1"),
        ("maker", "?"),
        ("observed", "?"),  # whether an observation says what the market was
    ]
)

ORDERS = np.dtype(
    [
        ("order_id", "<i8"),
        ("placed_ns", "<i8"),
        ("acknowledged_ns", "<i8"),  # times are 0 where it did not happen
        ("acknowledged_venue_ns", "<i8"),
        ("cancel_sent_ns", "<i8"),
        ("cancelled_ns", "<i8"),  # the cancel was answered
        ("ended_ns", "<i8"),
        ("first_fill_ns", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("filled_lots", "<i8"),
        ("ahead_lots", "<i8"),  # in the queue when it began to rest, -1 if it never did
        ("instrument", "<i4"),
        ("flags", "<u2"),
        ("side", "i1"),
        ("status", "u1"),  # FILLED and so on
        ("reason", "u1"),  # why it expired or was rejected
    ]
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """fills: FILLS[n] in log order.  orders: ORDERS[k] in the order of their ids.  alerts: count by name.

    cancels_sent, cancels_refused: by instrument.  strays: executions of orders that this log does not place.
    """

    fills: np.ndarray
    orders: np.ndarray
    alerts: dict[str, int]
    cancels_sent: np.ndarray
    cancels_refused: np.ndarray
    strays: int


def make_ledger(run: Recorded) -> Ledger:
    """Join a run's records.  Raises DiskError where the log and the observations are not of the same run."""
    events = run.events
    kinds = events["kind"]
    orders = _orders(events)
    fills = _fills(events[kinds == event.ORDER_FILLED], orders)
    if run.observed is not None:
        _add_mids(fills, run.observed)
    alerts: dict[str, int] = {}
    for code, count in zip(*np.unique(events["aux"][kinds == event.ALERT], return_counts=True)):
        alerts[event.ALERT_NAMES.get(int(code), f"alert_{code}")] = int(count)
    instruments = len(run.instruments)
    sent = np.bincount(events["instrument"][kinds == event.CANCEL], minlength=instruments)
    refused = np.bincount(events["instrument"][kinds == event.CANCEL_REJECTED], minlength=instruments)
    strays = int((fills["submitted_ns"] == 0).sum())
    return Ledger(fills, orders, alerts, sent, refused, strays)


def mid2_of(observed: np.ndarray) -> np.ndarray:
    """int64[n], bid + ask in ticks, NO_MID where a side is empty."""
    bid, ask = observed["bid_ticks"], observed["ask_ticks"]
    return np.where((bid != NO_PRICE) & (ask != NO_PRICE), bid + ask, NO_MID)


def _fills(heard: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """FILLS of the executions heard, their mids still unknown."""
    fills = np.zeros(heard.size, FILLS)
    fills["number"] = np.arange(heard.size)
    for name in ("ts_ns", "ts_venue_ns", "order_id", "price_ticks", "qty_lots", "instrument", "side"):
        fills[name] = heard[name]
    fills["fee_units"] = heard["aux"]
    fills["reason"] = (heard["flags"] >> event.REASON_SHIFT) & 15
    fills["maker"] = (heard["flags"] & event.MAKER) != 0
    fills["mid2_ticks"] = NO_MID
    fills["after2_ticks"] = NO_MID
    for instrument in np.unique(fills["instrument"]):
        mine = fills["instrument"] == instrument
        fills["position_lots"][mine] = np.cumsum(fills["side"][mine] * fills["qty_lots"][mine])
    row, known = _rows_of(orders, heard["order_id"])
    fills["submitted_ns"][known] = orders["placed_ns"][row[known]]
    return fills


def _add_mids(fills: np.ndarray, observed: np.ndarray) -> None:
    """Write the mid at hearing and at each horizon into the fills."""
    seen = observed[observed["kind"] == FILL]
    later = observed[observed["kind"] == MARKOUT]
    for rows in (seen, later):
        if rows.size and not (rows["number"].min() >= 0 and rows["number"].max() < fills.size):
            raise _of_another_run(f"it has fill {int(rows['number'].max())}, and the log has {fills.size} fills")
    if later.size and not (later["horizon"].min() >= 0 and later["horizon"].max() < len(HORIZONS_NS)):
        raise _of_another_run(f"it has a mark-out horizon {int(later['horizon'].max())}")
    mine = fills[seen["number"]]
    for name in ("ts_ns", "instrument", "position_lots"):
        wrong = np.flatnonzero(seen[name] != mine[name])
        if wrong.size:
            k = int(wrong[0])
            raise _of_another_run(
                f"at fill {int(seen['number'][k])} its {name} is {int(seen[name][k])}, the log's {int(mine[name][k])}"
            )
    fills["observed"][seen["number"]] = True
    fills["mid2_ticks"][seen["number"]] = mid2_of(seen)
    fills["after2_ticks"][later["number"], later["horizon"]] = mid2_of(later)


def _of_another_run(what: str) -> DiskError:
    return DiskError(f"{OBSERVATIONS_NAME} does not belong to this log: {what}; restore the files of one run")


def _rows_of(orders: np.ndarray, order_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of each order id in orders (sorted by id), and whether it is there."""
    if not orders.size:
        return np.zeros(order_id.size, np.int64), np.zeros(order_id.size, bool)
    row = np.minimum(np.searchsorted(orders["order_id"], order_id), orders.size - 1)
    return row, orders["order_id"][row] == order_id


def _orders(events: np.ndarray) -> np.ndarray:
    """ORDERS of every place in the log, with what was heard of each."""
    kinds = events["kind"]
    places = events[kinds == event.PLACE]
    places = places[np.argsort(places["order_id"], kind="stable")]
    twice = np.flatnonzero(places["order_id"][1:] == places["order_id"][:-1])
    if twice.size:
        raise DiskError(f"the log places order {int(places['order_id'][twice[0]])} twice; it is damaged, restore it")
    orders = np.zeros(places.size, ORDERS)
    for name in ("order_id", "price_ticks", "qty_lots", "instrument", "flags", "side"):
        orders[name] = places[name]
    orders["placed_ns"] = places["ts_ns"]
    orders["ahead_lots"] = -1

    def heard(kind: int) -> tuple[np.ndarray, np.ndarray]:
        """Records of a kind that belong to a known order, and the order's row, last record first."""
        rows = events[kinds == kind]
        row, known = _rows_of(orders, rows["order_id"])
        return rows[known][::-1], row[known][::-1]

    # Written last record first, so that the first acknowledgement, cancel and fill are what stays.
    rows, row = heard(event.ORDER_ACKNOWLEDGED)
    orders["acknowledged_ns"][row], orders["acknowledged_venue_ns"][row] = rows["ts_ns"], rows["ts_venue_ns"]
    orders["ahead_lots"][row] = rows["aux"]
    rows, row = heard(event.CANCEL)
    orders["cancel_sent_ns"][row] = rows["ts_ns"]
    fills, fill_row = heard(event.ORDER_FILLED)
    orders["first_fill_ns"][fill_row] = fills["ts_ns"]
    np.add.at(orders["filled_lots"], fill_row, fills["qty_lots"])
    orders["status"] = OPEN
    for kind, status in (
        (event.ORDER_UNKNOWN, UNKNOWN),
        (event.ORDER_CANCELLED, CANCELLED),
        (event.ORDER_EXPIRED, EXPIRED),
        (event.ORDER_REJECTED, REJECTED),
    ):
        rows, row = heard(kind)
        if status == UNKNOWN:
            # An acknowledgement that came after it settled the question.
            still = orders["acknowledged_ns"][row] <= rows["ts_ns"]
            rows, row = rows[still], row[still]
        orders["status"][row] = status
        orders["reason"][row] = (rows["flags"] >> event.REASON_SHIFT) & 15
        if status != UNKNOWN:
            orders["ended_ns"][row] = rows["ts_ns"]
        if status == CANCELLED:
            orders["cancelled_ns"][row] = rows["ts_ns"]
    whole = orders["filled_lots"] >= orders["qty_lots"]
    last_fill_ns = np.zeros(orders.size, np.int64)
    np.maximum.at(last_fill_ns, fill_row, fills["ts_ns"])
    orders["status"][whole] = FILLED
    orders["ended_ns"][whole] = last_fill_ns[whole]
    return orders

"""A typed config into the numbers of the state and of the simulated venue: every unit is converted here, once."""

from __future__ import annotations

import csv
import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.config import Config, Exact, InstrumentConfig, Latency, Queue, exact_decimal
from pinnacle.engine.strategy import Strategy
from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument
from pinnacle.kernels import latency as latency_kernel
from pinnacle.kernels import queue as queue_kernel
from pinnacle.kernels.latency import least_ns
from pinnacle.kernels.state import WAKE_FEED, WAKE_ORDER, WAKE_TIMER, new_state
from pinnacle.kernels.venue import (
    FILL_PARTIAL,
    FILL_WHOLE,
    STP_EXPIRE_BOTH,
    STP_EXPIRE_MAKER,
    STP_EXPIRE_TAKER,
    STP_NONE,
    Venues,
    new_venues,
)
from pinnacle.limits import CASH_UNITS_MAX, INSTRUMENT_CAPACITIES, LATENCY_POINTS_MAX, QTY_LOTS_MAX

_MS = 1_000_000
_LEGS = ("entry", "cancel", "response")
_SELF_TRADE = {
    "expire-taker": STP_EXPIRE_TAKER,
    "expire-maker": STP_EXPIRE_MAKER,
    "expire-both": STP_EXPIRE_BOTH,
    "none": STP_NONE,
}


def capacity_for(count: int) -> int:
    """The smallest state that holds `count` instruments.  Raises OperatorError beyond the largest."""
    for capacity in INSTRUMENT_CAPACITIES:
        if count <= capacity:
            return capacity
    raise OperatorError(f"{count} instruments in one run, and at most {INSTRUMENT_CAPACITIES[-1]} fit; split the run")


def engine_state(config: Config, instruments: list[Instrument], strategy: Strategy, where: str) -> np.ndarray:
    """The engine's state before the first event: an array of one record."""
    state = new_state(capacity_for(len(instruments)))
    market, lane = state[0]["market"], state[0]["lane"]
    market["instruments"] = len(instruments)
    venues = venue_table(instruments)
    wake = config.wake
    lane["wake_on"] = (
        (WAKE_TIMER if wake.every_ms > 0 else 0)
        | (WAKE_FEED if wake.on_book else 0)
        | (WAKE_ORDER if wake.on_order else 0)
    )
    lane["listen_all"] = wake.listen == "all"
    lane["overlap"] = 0
    lane["start_ns"] = config.run.start_ns
    lane["external"] = strategy.external
    lane["checkpoint_every"] = config.run.checkpoint_every
    lane["checkpoint_seq"] = config.run.checkpoint_every - 1
    for k, (one, instrument) in enumerate(zip(config.instruments, instruments)):
        market["venue_of"][k] = venues.index(instrument.venue)
        own = lane["own"][k]
        own["traded"] = one.trade
        own["units_per_ticklot"] = instrument.units_per_ticklot
        own["tick"], own["lot"] = float(instrument.tick), float(instrument.lot)
        values = strategy.values({**config.strategy.params, **one.params}, where)
        own["params"][: len(values)] = list(values.values())
        _set_risk(own["risk"], one, instrument, where)
    return state


def choose_queue_model(one: InstrumentConfig, orders: bool, where: str) -> None:
    """Settle an instrument's queue model by what its history holds: single orders or levels.

    Raises OperatorError for exact places in the queues of a history that does not show them.
    """
    if one.queue.model == "auto":
        # A table of its own: instruments share the section that they inherit.
        one.queue = Queue(model="exact" if orders else "power", n=one.queue.n)
    elif one.queue.model == "exact" and not orders:
        raise OperatorError(
            f"{where}: queue.model of {one.name} is exact, and its history holds levels, which do not show who stands "
            "where; choose risk-averse, power or another model, or import a recording of single orders"
        )


def venue_table(instruments: list[Instrument]) -> list[str]:
    """The run's venues, in order of first appearance."""
    return list(dict.fromkeys(instrument.venue for instrument in instruments))


def _set_risk(risk: np.void, one: InstrumentConfig, instrument: Instrument, where: str) -> None:
    limits = one.risk
    if limits.position_max is not None:
        risk["position_max_lots"] = _lots(limits.position_max, instrument, f"{where}: risk.position_max")
    if limits.order_max is not None:
        risk["order_max_lots"] = _lots(limits.order_max, instrument, f"{where}: risk.order_max")
    if limits.open_orders_max is not None:
        risk["open_orders_max"] = limits.open_orders_max
    if limits.band_pct is not None:
        risk["band_ppm"] = round(limits.band_pct * 10_000)
    if limits.notional_max is not None:
        notional = exact_decimal(limits.notional_max, f"{where}: risk.notional_max")
        units = int(notional.scaleb(instrument.money_digits).to_integral_value(ROUND_FLOOR))
        if not 0 <= units < CASH_UNITS_MAX:
            raise OperatorError(f"{where}: risk.notional_max is {notional}, out of range; leave it out for no limit")
        risk["notional_max_units"] = units
    if limits.rate_max is not None:
        risk["rate_max"] = limits.rate_max
    risk["rate_window_ns"] = round(limits.rate_window_ms * _MS)


def _lots(value: Exact, instrument: Instrument, what: str, rounding: str = ROUND_FLOOR) -> int:
    quantity: Decimal = exact_decimal(value, what)
    if quantity < 0:
        raise OperatorError(f"{what} is {value}, and must not be negative")
    lots = int((quantity / instrument.lot).to_integral_value(rounding))
    if lots >= QTY_LOTS_MAX:
        raise OperatorError(f"{what} is {value}, more than {QTY_LOTS_MAX} lots; leave it out for no limit")
    return lots


def simulated_venue(
    config: Config, instruments: list[Instrument], where: str, lanes: int = 1
) -> tuple[Venues, np.ndarray]:
    """The simulated venues before the first event, and the points of recorded latencies."""
    made = new_venues(capacity_for(len(instruments)), lanes)
    record = made.sim[0]
    record["instruments"] = len(instruments)
    venues = venue_table(instruments)
    points: list[np.ndarray] = [np.zeros((0, 4), np.int64)]
    for k, (one, instrument) in enumerate(zip(config.instruments, instruments)):
        site = record["site"][k]
        site["venue"] = venues.index(instrument.venue)
        site["fill_model"] = FILL_WHOLE if one.fills.model == "whole" else FILL_PARTIAL
        assert one.queue.model != "auto", "the histories decide it before anything is set up"
        site["queue_model"] = queue_kernel.MODELS[one.queue.model]
        site["queue_n"] = one.queue.n
        site["lot_qty"] = float(instrument.lot)
        site["stp"] = _SELF_TRADE[one.fills.self_trade]
        site["maker_ppb"] = round(one.fees.maker_bps * 100_000)
        site["taker_ppb"] = round(one.fees.taker_bps * 100_000)
        site["units_per_ticklot"] = instrument.units_per_ticklot
        site["qty_min_lots"] = max(1, _lots(str(instrument.qty_min), instrument, f"{where}: qty_min", ROUND_CEILING))
        site["notional_min_units"] = math.ceil(instrument.notional_min.scaleb(instrument.money_digits))
        _set_latency(site["latency"], one.latency, config.run.seed + k, points, where)
    return made, np.concatenate(points)


def _set_latency(record: np.void, model: Latency, seed: int, points: list[np.ndarray], where: str) -> None:
    """Fill a LATENCY record; a cancel takes what an order takes unless it is said apart."""

    def legs(suffix: str) -> list[float]:
        entry = getattr(model, f"entry_{suffix}")
        cancel = getattr(model, f"cancel_{suffix}")
        return [entry, entry if cancel is None else cancel, getattr(model, f"response_{suffix}")]

    record["model"] = latency_kernel.MODELS[model.model]
    record["constant_ns"][:] = [round(ms * _MS) for ms in legs("ms")]
    record["multiplier"][:] = legs("multiplier")
    medians, sigmas = legs("median_ms"), legs("sigma")
    if model.model == "fitted" and (min(medians) <= 0 or min(sigmas) < 0):
        raise OperatorError(f"{where}: latency medians must be above 0 and sigmas not negative")
    record["mu"][:] = [math.log(ms * _MS) if ms > 0 else 0.0 for ms in medians]
    record["sigma"][:] = sigmas
    record["seed"] = seed
    if model.model == "recorded":
        rows = _latency_points(model.file, where)
        record["points_start"] = sum(len(part) for part in points)
        record["points_stop"] = record["points_start"] + len(rows)
        points.append(rows)


def _latency_points(file: str, where: str) -> np.ndarray:
    """Recorded order latencies: int64[n, 4] of ts_ns, entry_ns, cancel_ns, response_ns, ts_ns rising."""
    if not file:
        raise OperatorError(
            f"{where}: latency.model is recorded, so latency.file must name a CSV of measured latencies"
        )
    columns = ("ts_ns", "entry_ns", "cancel_ns", "response_ns")
    try:
        with Path(file).open(newline="") as source:
            rows = [[int(row[name]) for name in columns] for row in csv.DictReader(source)]
    except OSError as error:
        raise OperatorError(f"{file}: latency.file of {where} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise OperatorError(f"{file}: must be a CSV of whole ns with columns {', '.join(columns)} ({error})") from None
    points = np.array(rows, np.int64).reshape(-1, 4)
    if len(points) == 0 or len(points) > LATENCY_POINTS_MAX:
        raise OperatorError(f"{file}: holds {len(points)} latencies, and must hold 1 to {LATENCY_POINTS_MAX}")
    if (np.diff(points[:, 0]) <= 0).any() or (points[:, 1:] < 0).any():
        raise OperatorError(f"{file}: ts_ns must rise from row to row, and no latency may be negative")
    return points


def least_latency(venues: Venues, points: np.ndarray, count: int) -> tuple[int, int]:
    """(no request takes less, no answer takes less), in ns, over the instruments of a run."""
    latencies: list[Any] = [venues.sim[0]["site"][k]["latency"] for k in range(count)]
    return (
        min(int(least_ns(one, points, False)) for one in latencies),
        min(int(least_ns(one, points, True)) for one in latencies),
    )

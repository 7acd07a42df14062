"""A market on this machine that others may take part in: a matching engine and the background that trades at it.

For whoever is not the simulation's own loop: a server that shows the exchange to foreign clients, a test, a notebook.

    market = GeneratedMarket(instrument, generator, seed=1, start_ns=0, price_ticks=600_000, participants=10)
    rows, to = market.advance(5_000_000_000)      # what the exchange said up to then: market data and reports
    rows, to = market.submit(commands)            # EVENT rows of participants 2 .. at times not before that

The background is participant 1.  `to` beside each row is 0 for everyone or the participant it is for.  A market is the
same bytes for the same seed and the same commands, however its time is cut into calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from pinnacle.errors import EngineStopped, OperatorError
from pinnacle.event import empty
from pinnacle.instrument import Instrument
from pinnacle.kernels import simulate as loop
from pinnacle.kernels.background import BACKGROUND, FLOW_STATE, begin
from pinnacle.kernels.exchange_state import (
    PAUSE_POOL_FULL,
    PUBLISH_LEVELS,
    PUBLISH_ORDERS,
    PUBLISH_TRADES,
    Exchange,
    new_exchange,
)
from pinnacle.kernels.state import zeroed
from pinnacle.kernels.venue import STP_EXPIRE_MAKER
from pinnacle.limits import BOOK_WINDOW_TICKS, CASH_UNITS_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from pinnacle.models.generator import Generator

Said = tuple[np.ndarray, np.ndarray]


class GeneratedMarket:
    """One instrument at one venue with its background.

    background: a Generator, or a recorded history as EVENT arrays in order of ts_ns (see kernels/recorded.py for what
    that can do).  price_ticks: where the generated book begins, and the middle of the million ticks that orders may
    have.  participants: how many, the background included.  start_ns: time of the first order; of a history, its first
    row is played then.  publish: PUBLISH_* of exchange_state.
    first_orders: EVENT[n], the orders of the book that a generated market begins with.
    exchange: the engine's own records; fees, filters, states and limits may be set before the first call.
    """

    def __init__(
        self,
        instrument: Instrument,
        background: Generator | Iterator[np.ndarray],
        *,
        seed: int,
        start_ns: int,
        price_ticks: int,
        participants: int = 2,
        publish: int = PUBLISH_LEVELS | PUBLISH_TRADES,
    ) -> None:
        self.instrument = instrument
        self.exchange = _exchange(instrument, price_ticks, participants, publish)
        self.now_ns = start_ns
        self._history: Iterator[np.ndarray] | None = None
        self.rows = empty(1)
        self.first_orders = empty(0)
        if isinstance(background, Generator):
            self.flow = background.state(seed)
            flow = self.flow[0]
            flow["best_ticks"][:] = price_ticks, price_ticks + 1
            flow["value_ticks"] = price_ticks + 0.5
            least = int(self.exchange.exchange[0]["price_min_ticks"])
            flow["least_lots"] = _least_lots(self.exchange.exchange[0], price_ticks)
            first = background.first_orders(flow, seed, price_ticks, least, start_ns)
            most = self.exchange.exchange[0]["qty_max_lots"]
            first["qty_lots"] = np.clip(first["qty_lots"], flow["least_lots"], most)
            self.first_orders = first
            self.submit(first)
            begin(flow, self.exchange.exchange[0], start_ns)
        else:
            self.flow = zeroed(FLOW_STATE)
            self._history = background
            flow = self.flow[0]
            flow["recorded"] = 1
            flow["best_ticks"][:] = price_ticks, price_ticks + 1
            flow["buckets"], flow["edges"][:2] = 1, (1, 2)
            self.exchange.participants[BACKGROUND]["stp"] = STP_EXPIRE_MAKER
            # A level may be smaller than the least order.
            record = self.exchange.exchange[0]
            record["qty_min_lots"], record["notional_min_units"] = 1, 0
            self.more_rows()
            if self.rows.size and flow["rows"]:
                flow["shift_ns"] = start_ns - int(self.rows["ts_ns"][0])

    def advance(self, to_ns: int) -> Said:
        """The background alone up to a time, that time included.

        Returns (EVENT[n], int32[n]): what the exchange said, and to whom.  Raises EngineStopped if its pool is full.
        """
        assert to_ns >= self.now_ns
        self.now_ns = to_ns
        out = self.exchange.out[0]
        said: list[Said] = []
        while True:
            code = loop.advance(self.flow[0], *self.exchange.args, self.rows, out, to_ns)
            said.append(_taken(out))
            if code == loop.ENDED:
                return _joined(said)
            self.attend(code)

    def submit(self, commands: np.ndarray) -> Said:
        """Obey EVENT[n] of other participants (aux), whose ts_ns do not fall and are not before the last call's time.

        Returns what the exchange said, as `advance` does; the background has heard it too.
        """
        if commands.size == 0:
            return empty(0), np.zeros(0, np.int32)
        assert int(commands["ts_ns"][0]) >= self.now_ns
        self.now_ns = int(commands["ts_ns"][-1])
        out = self.exchange.out[0]
        said: list[Said] = []
        done = 0
        while done < commands.size:
            done = loop.intrude(
                self.flow[0], *self.exchange.args, self.rows, commands[0], done, commands.size, out
            )  # fmt: skip
            said.append(_taken(out))
            if self.exchange.exchange[0]["pause"] == PAUSE_POOL_FULL:
                self.attend(loop.POOL_FULL)
        return _joined(said)

    def attend(self, code: int) -> None:
        """Do what a kernel asked for, if it is for this market to do."""
        if code == loop.POOL_FULL:
            if not self.exchange.book.grow():
                raise EngineStopped(
                    f"{self.instrument.name}: limits.L3_ORDERS_MAX orders rest in the generated market; its limit "
                    "orders come faster than its cancels, so lower zero_intelligence.limit_per_s or raise cancel_per_s"
                )
        elif code == loop.NEED_ROWS:
            self.more_rows()

    def more_rows(self) -> None:
        """Hand the history's next rows to the background."""
        assert self._history is not None
        flow = self.flow[0]
        batch = next(self._history, None)
        while batch is not None and batch.size == 0:
            batch = next(self._history, None)
        flow["row"] = 0
        if batch is None:
            flow["rows"], flow["final"] = 0, 1
        else:
            self.rows = np.ascontiguousarray(batch)
            flow["rows"] = batch.size
        flow["next_ns"] = 0


def _exchange(instrument: Instrument, price_ticks: int, participants: int, publish: int) -> Exchange:
    """An open exchange for prices around price_ticks, with the instrument's filters."""
    assert publish & (PUBLISH_LEVELS | PUBLISH_ORDERS)
    if not 0 < price_ticks < PRICE_TICKS_MAX:
        raise OperatorError(f"{instrument.name}: a generated market cannot begin at {price_ticks} ticks")
    low = max(1, price_ticks - BOOK_WINDOW_TICKS // 2)
    high = low + BOOK_WINDOW_TICKS - 1
    units = instrument.units_per_ticklot
    most = min(QTY_LOTS_MAX - 1, CASH_UNITS_MAX // (high * units))
    made = new_exchange(participants, low, high, most, units)
    record = made.exchange[0]
    record["publish"] = publish
    record["qty_min_lots"] = max(1, math.ceil(instrument.qty_min / instrument.lot))
    record["notional_min_units"] = int(
        (instrument.notional_min * Decimal(10) ** instrument.money_digits).to_integral_value()
    )
    return made


def _least_lots(exchange: np.void, price_ticks: int) -> int:
    """The smallest order that the filters take at nine tenths of a price and above."""
    value = max(1, price_ticks * 9 // 10) * int(exchange["units_per_ticklot"])
    return max(int(exchange["qty_min_lots"]), -(-int(exchange["notional_min_units"]) // value))


def _taken(out: np.void) -> Said:
    count = int(out["count"])
    rows, to = out["rows"][:count].copy(), out["to"][:count].copy()
    out["count"] = 0
    return rows, to


def _joined(said: list[Said]) -> Said:
    return np.concatenate([rows for rows, _ in said]), np.concatenate([to for _, to in said])

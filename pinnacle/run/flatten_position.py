"""`pinnacle flatten VENUE SYMBOL --position QTY`: a position taken off with no log at hand, as when the disk is lost.

What the log would know is told by a person: how much is held.  Never more than that is sent: one IOC order at a time,
each of what is left when every fill of the one before is known, and an outcome that is unknown is asked about before
anything else is sent.  All of that the desk does for live sessions already, and here it has a person instead of an
engine above it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from pinnacle import interrupt
from pinnacle.errors import HistoryError, OperatorError, VenueError
from pinnacle.event import (
    BUY,
    CANCEL,
    IOC,
    LINK_UP,
    ORDER_FILLED,
    PLACE,
    REDUCE,
    SELL,
    STOP_NAMES,
    empty,
)
from pinnacle.execution.desk import Desk
from pinnacle.execution.safety import Safety
from pinnacle.instrument import Instrument
from pinnacle.limits import FLATTEN_PACE_S, FLATTEN_REFUSALS_MAX, FLATTEN_S, PRICE_TICKS_MAX, REAL_STOP_S_MAX, TICK_S
from pinnacle.log.told_book import ToldBook
from pinnacle.run.cancel_all import Place, Sweep, instruments_of
from pinnacle.run.connections import FeedConnection
from pinnacle.run.flatten import refused_in_vain, too_small
from pinnacle.run.gateway_connection import GatewayConnection
from pinnacle.run.real_orders import gateway_for
from pinnacle.transport.clock import Clock
from pinnacle.transport.http import Http
from pinnacle.transport.websocket import Route
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.venues import venue

_LOOK_S = 0.02
_BPS = 10_000


@dataclass
class Sold:
    """What came of it.  left_lots: of the position, with its sign.  why: it is not flat, "" if it is, or almost."""

    instrument: Instrument
    left_lots: int
    why: str = ""


def limit_ticks(best_ticks: int, side: int, through_bps: Decimal) -> int:
    """The worst price that an order takes: through_bps through the other side's best, rounded towards it."""
    exact = best_ticks * (_BPS + side * through_bps) / _BPS
    ticks = int(exact.to_integral_value(ROUND_FLOOR if side == BUY else ROUND_CEILING))
    return min(max(ticks, 1), PRICE_TICKS_MAX - 1)


def flatten_position(
    place: Place, qty: str, through_bps: Decimal, for_s: float | None, route: Route, say: Callable[..., None]
) -> Sold:
    """Cancel all of the account's orders on the one symbol of a place, then sell QTY of it, or buy back -QTY.

    say: told of each cancel ("cancel"), fill ("fill") and trouble.  Raises OperatorError for what cannot be begun,
    VenueError where the orders cannot be cancelled; from then on what is left is told in the result.
    """
    assert len(place.symbols) == 1
    with only_one(place):
        return asyncio.run(_Flattening(place, qty, through_bps, for_s, route, say).run())


@contextmanager
def only_one(place: Place) -> Iterator[None]:
    """While the block runs, nobody else on this machine takes off the same position: each would sell all of it.  Raises
    OperatorError.  A name of a socket, which goes with its process however that ends."""
    key = f"{place.name} {place.symbols[0]} {place.account.api_key}".encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as name:
        try:
            name.bind(f"\0pinnacle-flatten-{hashlib.sha256(key).hexdigest()[:32]}")
        except OSError:
            raise OperatorError(
                f"another `pinnacle flatten {place.name} {place.symbols[0]}` runs, and both would trade all of it; "
                "nothing was sent"
            ) from None
        yield


class _Flattening:
    """One go at it."""

    def __init__(
        self, place: Place, qty: str, through_bps: Decimal, for_s: float | None, route: Route, say: Callable[..., None]
    ) -> None:
        self._place, self._qty, self._through_bps = place, qty, through_bps
        self._for_s = FLATTEN_S if for_s is None else for_s
        self._route, self._say = route, say
        self._book = ToldBook()
        self._failure: BaseException | None = None
        self._order_id, self._next_s = 0, 0.0

    async def run(self) -> Sold:
        interrupt.check()
        self._stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self._deadline_s = loop.time() + self._for_s
        for number in interrupt.stopping():
            loop.add_signal_handler(number, self._stop.set)
        async with Http(self._route) as http:
            (instrument,) = await instruments_of(self._place, http)
            lots = lots_of(instrument, self._qty)
            self.sold = Sold(instrument, lots)
            place = replace(self._place, instruments=(instrument,))
            count = await self._cancelled(Sweep(place, self._route, self._say, self._for_s))
            self._say("cancelled", orders=count)
            if not self._stop.is_set():
                await self._sell(http, instrument)
            elif not self.sold.why:
                self.sold.why = "it was interrupted before anything was sent"
        return self.sold

    async def _cancelled(self, sweep: Sweep) -> int:
        """Whoever interrupts it wants nothing to rest, so it is given a moment more even then."""
        sweeping = asyncio.create_task(sweep.run())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((sweeping, stopping), return_when=asyncio.FIRST_COMPLETED)
            return await asyncio.wait_for(sweeping, REAL_STOP_S_MAX)
        except TimeoutError:
            raise VenueError(
                f"{self._place.name}: interrupted before the venue showed that no order rests; look there"
            ) from None
        finally:
            stopping.cancel()

    # --- the sale -------------------------------------------------------------------------------------------------
    async def _sell(self, http: Http, instrument: Instrument) -> None:
        place, clock = self._place, Clock()
        self._followed, self._clock = Followed(instrument, 0, 0), clock
        ids = ClientIds(os.urandom(16).hex())
        self._say("orders", client_ids=f"{ids.prefix}...")
        gateway = gateway_for(place.name, [self._followed], ids, place.account)
        # A dead-man's switch takes other people's orders along, and nothing of ours rests.
        gateway.capabilities = replace(gateway.capabilities, dead_man_ns=0)
        self._safety = Safety()
        self._desk = Desk(gateway, [self._followed], ids, self._safety)
        line = self._line = GatewayConnection(
            f"{place.name}/account", gateway, place.address, self._route, http, clock, random.Random(), self._heard,
            self._fail, self._say,
        )  # fmt: skip
        feeds: list[FeedConnection] = []
        for n, feed in enumerate(venue(place.name).feeds([self._followed], place.public)):
            connection = FeedConnection(
                f"{place.name}/{n}", feed, place.public, self._route, http, clock, random.Random(), self._hear_market,
                self._fail, self._say, None,
            )  # fmt: skip
            feeds.append(connection)
        self._desk.begin(clock.now_ns())
        tasks = [asyncio.create_task(one.run()) for one in (line.connection, *(each.connection for each in feeds))]
        ticking = asyncio.create_task(self._ticks(line, feeds))
        try:
            await self._until_sold()
            await self._end_orders()
        finally:
            for task in (ticking, *tasks):
                task.cancel()
            await asyncio.gather(ticking, *tasks, return_exceptions=True)

    async def _ticks(self, line: GatewayConnection, feeds: list[FeedConnection]) -> None:
        connections: list[GatewayConnection | FeedConnection] = [line, *feeds]
        while True:
            await asyncio.sleep(TICK_S)
            if self._clock.check():
                for one in connections:
                    one.connection.restart("the clock jumped")
            for one in connections:
                one.tick()

    async def _until_sold(self) -> None:
        """Orders one after the other, until nothing is left or there is a reason to end."""
        loop, sold = asyncio.get_running_loop(), self.sold
        while True:
            now_ns = self._clock.now_ns()
            self._settle(now_ns)
            side = SELL if sold.left_lots > 0 else BUY
            best_ticks = self._best(-side)
            if self._failure is not None:
                sold.why = f"it failed ({self._failure})"
            elif self._safety.killed:
                sold.why = f"the venue's answers stopped it ({STOP_NAMES.get(self._safety.why, '?')}{self._words()})"
            elif self._stop.is_set():
                sold.why = "it was interrupted"
            elif loop.time() > self._deadline_s:
                sold.why = self._too_late()
            elif refused_in_vain([self._desk]) >= FLATTEN_REFUSALS_MAX:
                sold.why = f"the venue refuses the order{self._words()}"
            if sold.why:
                return
            if not self._desk.orders and self._desk.settled:
                if not sold.left_lots or too_small(sold.instrument, sold.left_lots, best_ticks):
                    return
                if best_ticks is not None and not self._safety.held and loop.time() >= self._next_s:
                    self._next_s = loop.time() + FLATTEN_PACE_S
                    self._send(side, limit_ticks(best_ticks, side, self._through_bps), now_ns)
            elif loop.time() >= self._next_s + 1:
                # An IOC that is said to rest, at a venue that took it for another kind.
                self._cancel_all(now_ns)
            await asyncio.sleep(_LOOK_S)

    def _too_late(self) -> str:
        if not self._desk.gateway.ready:
            return f"the venue's account could not be reached in {self._for_s:g} s"
        if self._best(BUY if self.sold.left_lots > 0 else SELL) is None:
            return f"the venue's book has nobody to trade with, or was not seen, after {self._for_s:g} s"
        return f"{self._for_s:g} s are over"

    def _words(self) -> str:
        """What the venue said last in refusing, if it did."""
        said = [note.text for note in self._desk.notes if note.what in ("refused", "permission")]
        return f": {said[-1]}" if said else ""

    async def _end_orders(self) -> None:
        """Nothing may rest, and how each order ended is to be known; both take as long as with a session."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + REAL_STOP_S_MAX
        while self._desk.orders and loop.time() < deadline_s:
            now_ns = self._clock.now_ns()
            self._cancel_all(now_ns)
            self._settle(now_ns)
            await asyncio.sleep(0.25)
        if self._desk.orders:
            unknown = ", ".join(live.order.client_id for live in self._desk.orders.values())
            self.sold.why += f"; order {unknown} is of unknown outcome: look at the venue before anything else"

    # --- orders ---------------------------------------------------------------------------------------------------
    def _send(self, side: int, price_ticks: int, now_ns: int) -> None:
        assert not self._desk.orders and self.sold.left_lots * side < 0
        self._order_id += 1
        self._command(PLACE, self._order_id, side, price_ticks, abs(self.sold.left_lots), now_ns)

    def _cancel_all(self, now_ns: int) -> None:
        for live in list(self._desk.orders.values()):
            if live.sent and live.end is None and not live.due_ns and not live.cancel_ns and not live.doubt:
                one = live.order
                self._command(CANCEL, one.order_id, one.side, one.price_ticks, live.open_lots, now_ns)

    def _command(self, kind: int, order_id: int, side: int, price_ticks: int, lots: int, now_ns: int) -> None:
        record = empty(1)[0]
        record["kind"], record["order_id"], record["side"] = kind, order_id, side
        record["price_ticks"], record["qty_lots"], record["flags"] = price_ticks, lots, IOC | REDUCE
        self._desk.command(record, now_ns)
        self._line.do_wishes()

    # --- what is heard --------------------------------------------------------------------------------------------
    def _hear_market(self, events: np.ndarray, now_ns: int) -> None:
        for row in events:
            self._book.hear(row)
        stale = self._desk.stale
        (stale.discard if self._book.link == LINK_UP else stale.add)(self._followed.index)

    def _best(self, side: int) -> int | None:
        """The best price of a side, of a book that is whole."""
        return self._book.best(side) if self._book.link == LINK_UP else None

    def _heard(self, now_ns: int) -> None:
        self._settle(now_ns)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def _settle(self, now_ns: int) -> None:
        """All that the venue said, and what time brings."""
        desk = self._desk
        self._safety.tick(now_ns)
        while desk.gateway.said:
            desk.hear(desk.gateway.said.pop(0), now_ns)
        desk.tick(now_ns)
        self._safety.rows.clear()
        while desk.rows:
            for row in desk.rows.popleft():
                if row["kind"] == ORDER_FILLED:
                    self._filled(row)
        self._line.do_wishes()

    def _filled(self, row: np.void) -> None:
        sold, side, lots = self.sold, int(row["side"]), int(row["qty_lots"])
        price_ticks, fee_units = int(row["price_ticks"]), int(row["aux"])
        sold.left_lots += side * lots
        self._say(
            "fill", instrument=sold.instrument, side=side, lots=lots, price_ticks=price_ticks, fee_units=fee_units
        )  # fmt: skip


def lots_of(instrument: Instrument, qty: str) -> int:
    """A position typed by a person.  Raises OperatorError."""
    try:
        lots = instrument.lots(qty)
    except HistoryError:
        raise OperatorError(
            f"--position {qty}: must be a number and a multiple of the lot of {instrument.name}, {instrument.lot:f}; "
            "above 0 to sell, below 0 to buy back"
        ) from None
    if lots == 0:
        raise OperatorError("--position 0: nothing is held; `pinnacle cancel-all` cancels what rests")
    if too_small(instrument, lots, None):
        raise OperatorError(
            f"--position {qty}: {instrument.name} takes no order below {instrument.qty_min:f}; nothing was sent"
        )
    return lots

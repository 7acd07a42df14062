"""Cancelling what rests at a venue with no engine at hand: for a person in a hurry, and for the watchdog.

It uses the gateway and nothing else: no log, no state, no strategy.  Orders are cancelled one by one and asked for
again until the venue shows none: one request to cancel everything would take other people's orders along unseen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pinnacle.errors import OperatorError, VenueError
from pinnacle.instrument import Instrument
from pinnacle.limits import CANCEL_ALL_S_MAX
from pinnacle.run.gateway_connection import GatewayConnection
from pinnacle.run.real_orders import Account, gateway_for
from pinnacle.transport.clock import Clock
from pinnacle.transport.http import Http
from pinnacle.transport.websocket import Route
from pinnacle.venues.client_id import NO_RUN, ClientIds
from pinnacle.venues.feed import Address, Followed
from pinnacle.venues.gateway import Answer, Order, Standing
from pinnacle.venues.private.said import Note
from pinnacle.venues.venues import venue

_AGAIN_S = 0.5


@dataclass(frozen=True)
class Place:
    """Where and as whom.  run_id: only orders of this run; "" for all of the account on the symbols."""

    name: str
    symbols: tuple[str, ...]
    address: Address
    public: Address
    account: Account
    run_id: str = ""
    instruments: tuple[Instrument, ...] = ()


def cancel_all(place: Place, route: Route, say: Callable[..., None]) -> int:
    """Cancel and see that they are gone; returns how many were cancelled.  Raises VenueError if any still rests."""
    return asyncio.run(Sweep(place, route, say).run())


async def instruments_of(place: Place, http: Http) -> Sequence[Instrument]:
    """The symbols of a place as its venue lists them.  Raises OperatorError for one that it does not, VenueError."""
    protocol, wanted = venue(place.name), place.symbols
    url = place.public.rest + protocol.instruments_path(wanted)
    status, text = await http.call("GET", url)
    if 400 <= status < 500:
        said = text[:100].decode(errors="replace")
        raise OperatorError(f"{place.name} lists no {' or '.join(wanted)} ({said}); see the venue's own list")
    if status != 200:
        said = text[:200].decode(errors="replace")
        raise VenueError(f"{place.name}: {f'{url}: status {status}: {said}' if status else said}")
    listed = {one.symbol: one for one in protocol.instruments(text)}
    for symbol in wanted:
        if symbol not in listed:
            raise OperatorError(f"{place.name} lists no instrument {symbol}; see the venue's own list")
    return [listed[symbol] for symbol in wanted]


class Sweep:
    """One go at it, for_s seconds at most."""

    def __init__(self, place: Place, route: Route, say: Callable[..., None], for_s: float = CANCEL_ALL_S_MAX) -> None:
        self._place, self._route, self._say, self._for_s = place, route, say, for_s
        self._answers: dict[int, Answer] = {}
        self._failure: BaseException | None = None

    async def run(self) -> int:
        """How many were cancelled, once the venue shows none.  Raises VenueError."""
        place = self._place
        async with Http(self._route) as http:
            found = place.instruments or await instruments_of(place, http)
            followed = [Followed(one, 0, k) for k, one in enumerate(found)]
            ids = ClientIds(place.run_id or NO_RUN)
            self._gateway = gateway_for(place.name, followed, ids, place.account)
            self._clock = Clock()
            line = self._line = GatewayConnection(
                f"{place.name}/account", self._gateway, place.address, self._route, http, self._clock,
                random.Random(), self._heard, self._fail, self._say,
            )  # fmt: skip
            task = asyncio.create_task(line.connection.run())
            try:
                return await asyncio.wait_for(self._sweep(followed), self._for_s)
            except TimeoutError:
                raise VenueError(
                    f"{place.name}: orders may rest after {self._for_s:.0f} s; look there, and cancel by hand"
                ) from None
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _heard(self, now_ns: int) -> None:
        for one in self._gateway.said:
            if isinstance(one, Answer):
                self._answers[one.number] = one
            elif isinstance(one, Note) and one.what == "permission":
                self._fail(VenueError(f"{self._place.name}: refuses the key: {one.text}; orders may rest"))
        self._gateway.said.clear()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error

    async def _sweep(self, followed: Sequence[Followed]) -> int:
        cancelled: set[int] = set()
        while True:
            await self._until_ready()
            resting = [one for each in followed for one in await self._open(each)]
            if not resting:
                return len(cancelled)
            for one in resting:
                if one.venue_id not in cancelled:
                    cancelled.add(one.venue_id)
                    self._say("cancel", order=one.client_id, instrument=one.followed.instrument.name)
                order = Order(
                    one.followed, one.order_id or 0, one.client_id, one.side, one.price_ticks, one.qty_lots, 0,
                    one.venue_id,
                )  # fmt: skip
                self._gateway.cancel(order, self._clock.now_ns())
            self._line.do_wishes()
            await asyncio.sleep(_AGAIN_S)

    async def _until_ready(self) -> None:
        while not self._gateway.ready:
            await asyncio.sleep(0.05)
            self._line.tick()
            if self._failure is not None:
                raise self._failure

    async def _open(self, followed: Followed) -> list[Standing]:
        """What rests, as the venue shows it now."""
        while True:
            number = self._gateway.ask_open(followed, self._clock.now_ns())
            self._line.do_wishes()
            for _ in range(60):
                await asyncio.sleep(0.05)
                self._line.tick()
                answer = self._answers.pop(number, None)
                if answer is not None and not answer.cause:
                    return [one for one in answer.standings if not self._place.run_id or one.order_id is not None]
                if answer is not None or not self._gateway.ready:
                    break
            await asyncio.sleep(_AGAIN_S)
            await self._until_ready()

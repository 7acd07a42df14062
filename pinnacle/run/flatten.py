"""`pinnacle flatten RUN`: a dead session, started once more to do nothing but cancel and take off what it holds.

It is the session itself and no tool beside it: the same recovery, desks, limits and log, so whatever happens stands in
the one log and replays.  Only the strategy is never asked: before anything else is heard every book is stale, and then
the operator says flatten, which the fold knows how to do.  The log is folded with the strategy's text as the manifest
keeps it, because its outputs follow from it; so the file may be broken, edited or gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np

from pinnacle.config_live import VenueAddress
from pinnacle.errors import DiskError, LogDamaged, OperatorError, PinnacleError
from pinnacle.event import LINK_DOWN, OPERATOR_PAUSE, ORDER_FILLED, STOP_NAMES
from pinnacle.execution.compare import STRANGE
from pinnacle.execution.desk import Desk
from pinnacle.instrument import Instrument
from pinnacle.kernels.state import NO_PRICE
from pinnacle.limits import FLATTEN_REFUSALS_MAX, FLATTEN_S
from pinnacle.log.manifest import Manifest, instruments_of, read_manifest
from pinnacle.log.reader import LogReader
from pinnacle.run.livelog import FolderLock
from pinnacle.run.opening import Opening
from pinnacle.run.real_orders import RealOrders
from pinnacle.run.replay import config_of, load_replayed
from pinnacle.run.session import Session
from pinnacle.venues.feed import CAUSE_START

# Causes of a refusal that no waiting mends.
IN_VAIN = ("funds", "price_filter", "qty_filter", "notional_filter")


@dataclass(frozen=True)
class Left:
    """What one instrument still has.  lots: the position; small: below the venue's smallest order."""

    instrument: Instrument
    lots: int
    small: bool


@dataclass
class FlattenSession(Session):
    """A session that ends by itself when nothing is held and nothing rests, at the latest after for_s (see patience_s).

    records_before: of its log when it began, -1 while it has not.
    """

    for_s: float | None = None
    records_before: int = -1
    finished: bool = False
    _reached: bool = False

    def run(self) -> Manifest:
        try:
            return super().run()
        except PinnacleError as error:
            if self.records_before >= 0:
                raise
            # Nothing was sent yet.  A log that cannot be gone on with must not be the end of it.
            kind = DiskError if isinstance(error, LogDamaged) else type(error)
            raise kind(f"{error}; {_by_hand(self.instruments)}") from error

    def _opening(self) -> Opening:
        opening = super()._opening()
        opening.stopped_too = True
        return opening

    def _begin(self) -> None:
        ear, now_ns = self.ear, self.clock.now_ns()
        assert isinstance(ear, RealOrders)
        self.records_before = self.log.records
        ear.trader.hear(self._link_rows(LINK_DOWN, CAUSE_START, now_ns), now_ns)
        ear.safety.reopen(now_ns)
        ear.begin(now_ns, self.say)
        self.stop_after_s = patience_s(self.for_s, ear.desks.values())
        self.say("started", mode="flatten", out=str(self.out), held=[_text(one) for one in self.left()])

    def hear(self, events: np.ndarray, now_ns: int) -> None:
        if self._look():
            return  # what is below the venue's smallest order would be wanted again and again
        super().hear(events, now_ns)
        self._look()

    def _look(self) -> bool:
        """Whether it is over."""
        ear = self.ear
        assert isinstance(ear, RealOrders)
        if not self.finished and all(desk.settled for desk in ear.desks.values()) and not ear.open_orders():
            self.finished = all(one.lots == 0 or one.small for one in self.left())
        if self.finished or ear.safety.killed or refused_in_vain(ear.desks.values()) >= FLATTEN_REFUSALS_MAX:
            self._stop.set()
        return self.finished

    async def _pull_quotes(self) -> None:
        ear = self.ear
        assert isinstance(ear, RealOrders)
        self._reached = all(desk.gateway.ready for desk in ear.desks.values())
        if not self.finished and not ear.safety.killed:
            self._operator(OPERATOR_PAUSE)

    # --- what there is to say -------------------------------------------------------------------------------------
    def left(self) -> list[Left]:
        """By traded instrument, as the engine has it."""
        assert isinstance(self.ear, RealOrders)
        record, found = self.ear.state[0], []
        for k, instrument in enumerate(self.instruments):
            own, top = record["lane"]["own"][k], record["market"]["top"][k]
            if own["traded"]:
                lots = int(own["position_lots"])
                price_ticks = int(top["bid_ticks"] if lots > 0 else top["ask_ticks"])
                known = price_ticks if price_ticks != NO_PRICE else None
                found.append(Left(instrument, lots, bool(lots) and too_small(instrument, lots, known)))
        return found

    def outcome(self) -> str:
        """Why it is not flat, or not for certain; "" if it is."""
        assert isinstance(self.ear, RealOrders)
        desks, rest = list(self.ear.desks.values()), self.ear.open_orders()
        if self.finished and not rest:
            strange = sum(desk.counts.get(STRANGE, 0) for desk in desks)
            if not strange:
                return ""
            return (
                f"{self.out}: flat by its log, but fills of orders that it does not know were found ({strange}), made "
                f"by hand or lost with the log's end in a power cut; look at the venue: {_by_hand(self.instruments)}"
            )
        held = ", ".join(_text(one) for one in self.left() if one.lots) or "nothing"
        orders = (
            f"the end of orders was not heard ({rest}), so look at the venue" if rest else "none of its orders rests"
        )
        return f"{self.out}: not flat{self._cause()}: {held} is held by its fills, {orders}; run it again"

    def _cause(self) -> str:
        assert isinstance(self.ear, RealOrders)
        desks = list(self.ear.desks.values())
        if self.ear.safety.killed:
            return f"; trading was stopped ({STOP_NAMES.get(self.ear.safety.why, '?')})"
        if refused_in_vain(desks):
            causes = [one for one in IN_VAIN if any(f"cause {one}" in desk.counts for desk in desks)]
            return f"; the venue refuses its orders ({', '.join(causes)})"
        return "" if self._reached else "; the venue's account could not be reached"

    def fills(self) -> Iterator[tuple[Instrument, int, int, int, int]]:
        """(instrument, side, lots, price_ticks, fee_units) of what was filled since it began, out of the log, with what
        the comparison with the account found."""
        for part in LogReader(self.out).records(self.records_before):
            for record in part[part["kind"] == ORDER_FILLED]:
                side, lots, price_ticks = int(record["side"]), int(record["qty_lots"]), int(record["price_ticks"])
                yield self.instruments[int(record["instrument"])], side, lots, price_ticks, int(record["aux"])


def refused_in_vain(desks: Iterable[Desk]) -> int:
    """Refusals so far that no waiting mends."""
    return sum(desk.counts.get(f"cause {cause}", 0) for desk in desks for cause in IN_VAIN)


def patience_s(for_s: float | None, desks: Iterable[Desk]) -> float:
    """How long to try, as it was said, or (None) as long as it may take.

    An order of unknown outcome is proven not to be there only when it can arrive no more, which takes minutes at a
    venue that takes old requests, and begins anew with each process: whoever gave up sooner would give up each time.
    """
    life_ns = max((desk.gateway.capabilities.order_life_ns for desk in desks if desk.orders), default=0)
    return max(FLATTEN_S, life_ns / 1e9 + FLATTEN_S / 2) if for_s is None else for_s


def too_small(instrument: Instrument, lots: int, price_ticks: int | None) -> bool:
    """Whether the venue takes no order of so many lots; by value only where a price is known."""
    qty = abs(lots) * instrument.lot
    if qty < instrument.qty_min:
        return True
    return (
        price_ticks is not None and qty * instrument.contract * price_ticks * instrument.tick < instrument.notional_min
    )


def prepare_flatten(
    run: Path, for_s: float | None, say: Callable[..., None], websocket: str = "", rest: str = ""
) -> FlattenSession:
    """The session of a folder, to be flattened.  websocket, rest: where its venues are now, "": where they were.

    Raises OperatorError where there is none, it is not of real orders, or it runs; what a damaged folder raises says
    how to do without it.
    """
    try:
        manifest = read_manifest(run)
    except DiskError as error:
        raise DiskError(f"{error}; {_by_hand([])}") from None
    if manifest.mode != "live":
        raise OperatorError(f"{run}: is a run of mode {manifest.mode}, which has no real orders and holds nothing")
    try:
        FolderLock(run).release()
    except OperatorError:
        raise OperatorError(
            f"{run}: its session runs; tell it so: pinnacle live flatten {run}, or where it was stopped for good: "
            f"pinnacle live stop {run}, and then this again"
        ) from None
    instruments = instruments_of(manifest.instruments)
    try:
        config, source = config_of(manifest), manifest.strategy
        if source is None:
            raise OperatorError(f"{run}: manifest.json names no strategy; it was edited, restore it")
        strategy = load_replayed(source.path, source.source)
    except PinnacleError as error:
        raise type(error)(f"{error}; {_by_hand(instruments)}") from error
    # A loss or a lost book that stopped the session must not stop what ends the loss; nor must a dead-man's switch that
    # cannot be set: no order of it rests, and the one that the session set runs on.
    config.live = msgspec.structs.replace(config.live, loss_max="", stale_s_max=0, dead_man_s=0)
    for name in dict.fromkeys(one.venue for one in instruments):
        config.live.venues[name] = moved(config.live.venues.get(name, VenueAddress()), websocket, rest)
    return FlattenSession(config, str(run), "live", strategy, run, say, instruments=instruments, for_s=for_s)


def moved(was: VenueAddress, websocket: str, rest: str) -> VenueAddress:
    """The same at other addresses, where they are given; the account's tier goes along."""
    return msgspec.structs.replace(was, websocket=websocket or was.websocket, rest=rest or was.rest)


def _by_hand(instruments: list[Instrument]) -> str:
    """What can be done without the log."""
    one = f"{instruments[0].venue} {instruments[0].symbol}" if instruments else "VENUE SYMBOL"
    return f"without the log: pinnacle flatten {one} --position QTY, with the QTY that the venue shows"


def _text(one: Left) -> str:
    return f"{Decimal(one.lots) * one.instrument.lot:+f} {one.instrument.name}"

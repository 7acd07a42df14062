"""Mistakes that a process could make, planted one at a time: the auditor must catch each, or it proves nothing.

Each has the troubles in which it shows, and the places where it can.  Without the mistake the same world breaks no
rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pinnacle.event import (
    HOLD_LINK,
    HOLD_SWITCH,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    OPERATOR_RESUME,
    ORDER_FILLED,
    OUTPUT_KIND_MIN,
)
from pinnacle.execution.desk import Desk
from pinnacle.execution.live_order import LiveOrder
from pinnacle.venues.gateway import ASK_FILLS, Answer, Order
from pinnacle.venues.private.said import Step
from tests.storm.auditor import Violation
from tests.storm.network import MS, Weather
from tests.storm.places import PLACES
from tests.storm.plan import SECOND, Pace, Plan
from tests.storm.process import Process
from tests.storm.world import World

# Worlds in which a mistake must show itself.
TRIES = 24


class _CountsTwice(Desk):
    """A fill is counted each time it is heard."""

    def _counted(self, instrument: int, trade_id: int) -> bool:
        return False


class _SendsAgain(Desk):
    """An order whose outcome is unknown is sent again."""

    def _doubt(self, live: LiveOrder, ts_ns: int) -> None:
        placing = not live.acknowledged and live.expires_ns is not None
        super()._doubt(live, ts_ns)
        if placing and self.gateway.ready:
            self.gateway.place(live.order, ts_ns)


class _LosesFills(Desk):
    """Only the stream's fills are counted, not those that answers show."""

    def hear(self, said: Any, ts_ns: int) -> None:
        if isinstance(said, Answer) and said.what == ASK_FILLS:
            said = Answer(said.number, said.what)
        super().hear(said, ts_ns)

    @property
    def settled(self) -> bool:
        return self._synced or self.safety.killed


class _ForgetsOrders(Desk):
    """What was on its way when the process died is forgotten."""

    def adopt(self, order: Order, status: int, filled_lots: int) -> None:
        pass


class _KeepsResting(Desk):
    """After a kill nothing is cancelled."""

    def _cancel(self, live: LiveOrder, ts_ns: int) -> None:
        if not self.safety.killed:
            super()._cancel(live, ts_ns)


class _CancelsAll(Desk):
    """A kill cancels everything on the account, other people's orders with it."""

    def sweep(self, ts_ns: int) -> None:
        self.gateway.cancel_all(None, ts_ns)


class _TrustsStale(Process):
    """The engine does not hear that its book is lost."""

    def of_feed(self, call: Callable[[], None], now_ns: int) -> None:
        def deaf() -> None:
            call()
            rows = self.rows.events[: self.rows.count]
            kept = rows[~np.isin(rows["kind"], (LINK_DOWN, LINK_GAP, LINK_STALE))].copy()
            self.rows.events[: kept.size], self.rows.count = kept, kept.size

        super().of_feed(deaf, now_ns)


class _ForgetsToWrite(Process):
    """Commands are sent and not written down."""

    def __init__(self, venue: Any, disk: Any, *rest: Any) -> None:
        super().__init__(venue, disk, *rest)
        write = disk.append
        log = self.trader._log = type("Careless", (), {})()  # type: ignore[assignment]
        log.append = lambda records: write(records[records["kind"] < OUTPUT_KIND_MIN])  # type: ignore[method-assign]


class _IgnoresLimits(Process):
    """The engine's limits are ten times what was configured."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        risk = self.trader.state[0]["lane"]["own"][0]["risk"]
        own = self.trader.state[0]["lane"]["own"][0]
        risk["position_max_lots"], risk["order_max_lots"] = 20_000, 4_000
        own["params"][0] = 900.0


class _EndsEarly(Desk):
    """An order's end is told as soon as it is heard, whatever of its fills is missing."""

    def _settle(self, live: LiveOrder, ts_ns: int) -> None:
        if live.end is not None:
            live.end.done_lots, live.done_lots = 0, 0
        super()._settle(live, ts_ns)


class _CountsStrangers(Desk):
    """A fill of somebody else's order is taken for one of ours."""

    def owner(self, step: Step) -> int | None:
        found = super().owner(step)
        return next(iter(self.orders), None) if found is None and step.kind == ORDER_FILLED else found


class _AsksNothing(Desk):
    """What is in doubt is left so."""

    def _ask(self, live: LiveOrder, ts_ns: int) -> None:
        live.doubt, live.ask_ns = False, ts_ns + SECOND


class _CancelsOnce(Desk):
    """A cancel that came to nothing is not sent again."""

    def _cancel(self, live: LiveOrder, ts_ns: int) -> None:
        if live.cancels == 0:
            super()._cancel(live, ts_ns)
        else:
            live.cancel_ns = 0


class _Resumes(Desk):
    """The account is compared, all is well, and so trading goes on: also after a kill."""

    def compared(self, ts_ns: int) -> None:
        if self.safety.killed:
            self.safety.killed = False
            self.safety.operator(OPERATOR_RESUME, ts_ns)
        super().compared(ts_ns)


class _ComparesNothing(Desk):
    """The account is taken to be what it was when the connection broke."""

    def _sense(self, ts_ns: int) -> None:
        new = self.gateway.ready and not self._was_ready
        super()._sense(ts_ns)
        if new:
            self.compared(ts_ns)


class _LogsNoIds(Desk):
    """A fill is written without its id before it."""

    def fill(self, step: Step, order_id: int, ts_ns: int) -> bool:
        before = len(self.rows)
        news = super().fill(step, order_id, ts_ns)
        if news:
            self.rows[before] = self.rows[before][1:].copy()
        return news


class _BelievesAtOnce(Desk):
    """An order that the venue does not know yet is believed never to have come."""

    def _proven(self, live: LiveOrder) -> bool:
        return True


class _SendsAnother(Desk):
    """An order leaves at another price than was decided."""

    def _place(self, live: LiveOrder, ts_ns: int) -> None:
        if not live.sent:
            live.order = replace(live.order, price_ticks=live.order.price_ticks + 1)
        super()._place(live, ts_ns)


class _WindsOnce(Process):
    """The dead-man's switch is set once and taken to be so for ever."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        switch = self.desk.dead_man
        tick = switch.tick

        def once(ts_ns: int) -> None:
            if not switch._set_ns:
                tick(ts_ns)

        switch.tick = once  # type: ignore[method-assign]
        switch.holds = lambda ts_ns: not switch._set_ns  # type: ignore[method-assign]


class _HoldsNothing(Process):
    """The venue said that it is halted or that we ask too much, and we go on."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        hold = self.safety.hold

        def heedless(venue: int, reason: int, until_ns: int, ts_ns: int) -> None:
            if reason in (HOLD_LINK, HOLD_SWITCH):
                hold(venue, reason, until_ns, ts_ns)

        self.safety.hold = heedless  # type: ignore[method-assign]


def _with(desk: type[Desk]) -> type[Process]:
    return type(desk.__name__, (Process,), {"desk_of": desk})


# Calm enough that no budget of the venue's stands in the way, and with others who trade with us.
_PACE = Pace("quick", 80.0, 80.0, 50 * MS, 40 * MS, 100 * MS, SECOND, 0.8)


# Kraken's counter of orders takes what is cancelled young for eight.
_PACES = {"kraken": replace(_PACE, calm_s=6.0, per_s=30.0, lively_per_s=30.0)}


# More than a minute of it costs little.
_SLOW = Pace("slow", 2.0, 2.0, 250 * MS, 100 * MS, SECOND, 30 * SECOND, 3.0)


def _troubled(seconds: float = 2.0, lots: int = 150, slow: bool = False, **troubles: Any) -> Callable[[str], Plan]:
    """A plan with some troubles, of the weather and of the plan by their names, as it is at a place."""
    weather = {name: troubles.pop(name) for name in list(troubles) if hasattr(Weather(), name)}

    def at(place: str) -> Plan:
        pace = _SLOW if slow else _PACES.get(place, _PACE)
        return Plan(seconds + pace.calm_s, Weather(**weather), pace, lots=lots, **troubles)

    return at


_LOSSES = _troubled(6.0, lost=0.1, lost_up=0.15, http_lost=0.3, breaks=[(2.5, "api")])
# Where orders go by HTTP, each on its own: on a websocket what comes later arrives later.
_BY_HTTP = ("binance-usdm", "bitstamp", "coinbase", "coinbase-advanced")


@dataclass(frozen=True)
class Mistake:
    """plan: makes the troubles in which it shows.  places: where it can."""

    process: type[Process]
    plan: Callable[[str], Plan]
    places: tuple[str, ...] = tuple(sorted(PLACES))


MISTAKES = {
    "fills are counted twice": Mistake(_with(_CountsTwice), _troubled(3.0, lots=40, doubled=0.1, lost=0.02)),
    "unknown orders are sent again": Mistake(_with(_SendsAgain), _troubled(5.0, lost_up=0.2, http_lost=0.4)),
    "fills are lost": Mistake(_with(_LosesFills), _troubled(3.0, lost=0.03, breaks=[(1.5, "api")])),
    "orders are forgotten at a crash": Mistake(_with(_ForgetsOrders), _troubled(kills=[0.8, 1.6])),
    "a kill leaves orders resting": Mistake(_with(_KeepsResting), _troubled()),
    # Where all can be cancelled at once.
    "foreign orders are cancelled": Mistake(
        _with(_CancelsAll), _troubled(), ("binance", "bitstamp", "coinbase", "gemini", "kraken")
    ),
    "a stale book is trusted": Mistake(_TrustsStale, _troubled(breaks=[(0.7, "feed"), (1.3, "feed")])),
    "commands are not written down": Mistake(_ForgetsToWrite, _troubled()),
    "limits are ignored": Mistake(_IgnoresLimits, _troubled(3.0)),
    "an end is told before its fills": Mistake(_with(_EndsEarly), _troubled(3.0, lost=0.05, swapped=0.05)),
    "a stranger's fill is counted": Mistake(
        _with(_CountsStrangers), _troubled(strangers=[0.5 + 0.05 * k for k in range(28)])
    ),
    "a doubt is never asked about": Mistake(_with(_AsksNothing), _LOSSES),
    "a cancel is never repeated": Mistake(_with(_CancelsOnce), _troubled(5.0, lots=2, lost_up=0.15, http_lost=0.4)),
    "a kill is lifted by a comparison": Mistake(_with(_Resumes), _troubled(after_stop="api")),
    "nothing is compared after a break": Mistake(_with(_ComparesNothing), _troubled(breaks=[(0.8, "api")])),
    "ids of fills are not written down": Mistake(_with(_LogsNoIds), _troubled()),
    "a late order is believed gone": Mistake(_with(_BelievesAtOnce), _troubled(break_at_order=2, held_s=1.5), _BY_HTTP),
    "another order is sent": Mistake(_with(_SendsAnother), _troubled()),
    "the dead-man's switch is set once": Mistake(_WindsOnce, _troubled(75.0, slow=True), ("kraken",)),
    "a hold is not heeded": Mistake(_HoldsNothing, _troubled(refusals=0.3)),
}


def caught(what: tuple[str, str]) -> tuple[str, str, int]:
    """(place, the rule that the mistake breaks there, "" if none does in TRIES worlds; the seed)."""
    name, place = what
    mistake = MISTAKES[name]
    for seed in range(1, 1 + TRIES):
        try:
            World(seed, mistake.process, mistake.plan(place), PLACES[place]).run()
        except Violation as violation:
            World(seed, Process, mistake.plan(place), PLACES[place]).run()
            return place, str(violation), seed
    return place, "", 0

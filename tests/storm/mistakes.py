"""Mistakes that a process could make, planted one at a time: the auditor must catch each, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pinnacle.event import LINK_DOWN, LINK_GAP, LINK_STALE, OUTPUT_KIND_MIN
from pinnacle.execution.desk import Desk
from pinnacle.execution.live_order import LiveOrder
from pinnacle.venues.gateway import ASK_FILLS, Answer, Order
from tests.storm.process import Process


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
        risk["position_max_lots"] = 20_000
        own["params"][1] = 15_000.0


def _with(desk: type[Desk]) -> type[Process]:
    return type(desk.__name__, (Process,), {"desk_of": desk})


MISTAKES: dict[str, type[Process]] = {
    "fills are counted twice": _with(_CountsTwice),
    "unknown orders are sent again": _with(_SendsAgain),
    "fills are lost": _with(_LosesFills),
    "orders are forgotten at a crash": _with(_ForgetsOrders),
    "a kill leaves orders resting": _with(_KeepsResting),
    "foreign orders are cancelled": _with(_CancelsAll),
    "a stale book is trusted": _TrustsStale,
    "commands are not written down": _ForgetsToWrite,
    "limits are ignored": _IgnoresLimits,
}

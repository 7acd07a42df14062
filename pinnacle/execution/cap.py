"""The operator's cap of a venue: the last word on an order, whatever the engine's own limits say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from pinnacle.execution.live_order import LiveOrder
from pinnacle.venues.feed import Followed


class Cap:
    """most: what may be held or come to be held at the venue, long or short, in quote currency; None for no cap.
    followed: by index.  held: lots since the log began, by instrument, which the desk keeps.  What is held is valued
    at the price of the instrument's last order, or of its last fill where this process has sent none."""

    def __init__(self, most: Decimal | None, followed: Mapping[int, Followed]) -> None:
        self._most, self._followed = most, followed
        self.held: dict[int, int] = {}
        self._price_ticks: dict[int, int] = {}

    def filled(self, instrument: int, side: int, qty_lots: int, price_ticks: int) -> None:
        """Something was."""
        self.held[instrument] = self.held.get(instrument, 0) + side * qty_lots
        self._price_ticks.setdefault(instrument, price_ticks)

    def found(self, instrument: int, lots: int, price_ticks: int) -> None:
        """So much is held by a log that is gone on with, and its last fill was at that price."""
        self.held[instrument] = lots
        if price_ticks:
            self._price_ticks.setdefault(instrument, price_ticks)

    def beyond(self, new: LiveOrder, orders: Iterable[LiveOrder]) -> bool:
        """Whether we would hold more than allowed, were `new` and all others of its side (`orders`, `new` among them)
        filled.  Orders that only take off what is held come to nothing, whatever else is held: what is beyond the
        cap, by its price or by a cap that was lowered, must not keep us from becoming less."""
        side, own = new.order.side, new.order.followed.index
        self._price_ticks[own] = new.order.price_ticks
        if self._most is None:
            return False
        units: dict[int, int] = {}
        lots: dict[int, int] = {}
        for live in orders:
            if live.order.side == side:
                k = live.order.followed.index
                units[k] = units.get(k, 0) + live.open_lots * live.order.price_ticks
                lots[k] = lots.get(k, 0) + live.open_lots
        if side * self.held.get(own, 0) + lots[own] <= 0:
            return False
        worth = Decimal(0)
        for k, followed in self._followed.items():
            before = side * self.held.get(k, 0)
            if before + lots.get(k, 0) > 0:
                value = units.get(k, 0) + before * self._price_ticks.get(k, 0)
                worth += followed.instrument.money(value * followed.instrument.units_per_ticklot)
        return worth > self._most

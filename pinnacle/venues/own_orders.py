"""Orders of ours that may rest or may still arrive at a venue that lets an account trade with itself.

Such a trade costs two fees, moves nothing and is printed as trading, which is forbidden in most places; and both sides
of it have the same trade id.  So before an order is sent it is held against every other one that is not known to have
ended, whether or not the venue has said anything of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnacle.event import MARKET, POST_ONLY
from pinnacle.limits import PRIVATE_ORDERS_MAX
from pinnacle.venues.gateway import Order, Standing


@dataclass(slots=True)
class _Kept:
    """expires_ns: the venue's time after which it cannot arrive any more."""

    order: Order
    expires_ns: int


class OwnOrders:
    """life_ns: how long after it was signed an order may still be taken."""

    def __init__(self, life_ns: int) -> None:
        self._life_ns = life_ns
        self._kept: dict[int, _Kept] = {}

    def meets(self, order: Order) -> bool:
        """Whether an order might trade with one of ours."""
        return any(might_trade(order, kept.order) for kept in self._kept.values())

    def sent(self, order: Order, expires_ns: int) -> None:
        """It left."""
        self._kept[order.order_id] = _Kept(order, expires_ns)
        if len(self._kept) > PRIVATE_ORDERS_MAX:
            del self._kept[next(iter(self._kept))]

    def ended(self, order_id: int | None) -> None:
        """The venue said that it is over, or never was."""
        self._kept.pop(order_id or 0, None)

    def asked(self, order: Order, venue_ns: int) -> None:
        """It is asked about: if nothing is known of it, it is of the process before this one, and signed by now."""
        if order.order_id not in self._kept:
            self.sent(order, venue_ns + self._life_ns)

    def absent(self, order_id: int, asked_venue_ns: int) -> None:
        """The venue knows no such order: the last word only if it could not arrive any more when that was asked."""
        kept = self._kept.get(order_id)
        if kept is not None and asked_venue_ns > kept.expires_ns:
            del self._kept[order_id]

    def shown(self, one: Standing) -> None:
        """The venue shows how an order stands."""
        if one.order_id is None:
            return
        if one.end:
            self.ended(one.order_id)
        elif one.order_id not in self._kept:
            order = Order(one.followed, one.order_id, one.client_id, one.side, one.price_ticks, one.qty_lots)
            self.sent(order, 0)


def might_trade(one: Order, other: Order) -> bool:
    """Whether two orders would trade with each other; of two that never take neither does."""
    if one.side == other.side or one.followed.instrument is not other.followed.instrument:
        return False
    if one.flags & other.flags & POST_ONLY:
        return False
    return bool((one.flags | other.flags) & MARKET) or (one.price_ticks - other.price_ticks) * one.side >= 0

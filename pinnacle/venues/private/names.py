"""What is remembered of orders at a venue that names them by text: the text of a number, and whose order a text is.

Such a venue says the client's id once, when it takes an order up, and later only its own text.  The records and the
owner know orders by a number: 63 bits of the text's hash.  Nobody needs more of the past than the owner remembers, so
this forgets the oldest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pinnacle.limits import ENDED_ORDERS_MAX
from pinnacle.venues.coinbase_orders import order_id_of as number_of_text
from pinnacle.venues.gateway import Order

NAMES_MAX = 4 * ENDED_ORDERS_MAX


@dataclass(slots=True)
class Known:
    """One order.  qty_lots: all of it, 0 where that was not heard.  text: the venue's, "" where it was not heard.
    done_lots: filled as far as was heard; trades: the ids of it."""

    client_id: str
    side: int = 0
    price_ticks: int = 0
    qty_lots: int = 0
    flags: int = 0
    text: str = ""
    done_lots: int = 0
    sent_venue_ns: int = 0
    trades: set[int] = field(default_factory=set)


class Names:
    """Orders by client id and by the venue's text."""

    def __init__(self) -> None:
        self._of_client: dict[str, Known] = {}
        self._of_number: dict[int, Known] = {}

    def placed(self, order: Order, venue_ns: int) -> None:
        """We send it now."""
        known = Known(order.client_id, order.side, order.price_ticks, order.qty_lots, order.flags)
        known.sent_venue_ns = venue_ns
        self._of_client[order.client_id] = known
        _bound(self._of_client)

    def name(self, text: str, client_id: str) -> Known:
        """The venue names an order so; client_id: "" where it does not say it again."""
        number = number_of_text(text)
        known = self._of_client.get(client_id) if client_id else self._of_number.get(number)
        if known is None:
            known = Known(client_id)
            if client_id:
                self._of_client[client_id] = known
                _bound(self._of_client)
        if known.text != text or number not in self._of_number:
            known.text = text
            self._of_number[number] = known
            _bound(self._of_number)
        return known

    def of_client(self, client_id: str) -> Known | None:
        """What is known of a client's id."""
        return self._of_client.get(client_id)

    def of_text(self, text: str) -> Known | None:
        """What is known of a venue's text."""
        return self._of_number.get(number_of_text(text))

    def text(self, order: Order) -> str:
        """The venue's text of an order, "" where it is not known."""
        known = self._of_number.get(order.venue_id) if order.venue_id else None
        known = known or self._of_client.get(order.client_id)
        return known.text if known is not None else ""


def _bound(table: dict[Any, Known]) -> None:
    while len(table) > NAMES_MAX:
        del table[next(iter(table))]

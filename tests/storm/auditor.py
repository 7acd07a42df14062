"""The auditor of a storm: books of its own, kept from what is written, sent and traded, and held against each other.

It shares nothing with what it judges: fills come from the exchange's own account, orders from the bytes that leave, and
beliefs from the records as they reach the disk.  Every rule is checked at the event that could break it.
"""

from __future__ import annotations

import numpy as np

from pinnacle import event as e
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import Happened, Update
from pinnacle.instrument import Instrument
from pinnacle.venues.client_id import ClientIds
from tests.storm.places import Left

ENDS = (e.ORDER_REJECTED, e.ORDER_CANCELLED, e.ORDER_EXPIRED)
STALE = (e.LINK_DOWN, e.LINK_GAP, e.LINK_STALE)


class Violation(AssertionError):
    """A rule was broken: which one, and when."""


class Auditor:
    """account: ours at the exchange.  position_max, order_max, open_max: the limits that were configured."""

    def __init__(
        self, ids: ClientIds, instrument: Instrument, account: int, position_max: int, order_max: int, open_max: int
    ) -> None:
        self.ids, self.instrument, self.account = ids, instrument, account
        self.position_max, self.order_max, self.open_max = position_max, order_max, open_max
        self.venue_fills: dict[int, tuple[int | None, int, int, int]] = {}
        self.log_fills: dict[int, tuple[int, int, int, int]] = {}
        self.placed: dict[int, np.void] = {}
        self.open_lots: dict[int, int] = {}
        self.sent: set[str] = set()
        self.live = False  # by the log
        self.book_live = False  # by the feed itself
        self.killed = False
        self.records = 0
        self.counts: dict[str, int] = {}
        self._fill_id = 0

    # --- what the exchange did (its Listener) ---------------------------------------------------------------------
    def private(self, update: Update) -> None:
        """An update of any account's order."""
        if update.order.account != self.account or update.what is not Happened.FILLED:
            return
        fill = update.fill
        assert fill is not None
        order_id = self.ids.order_id(update.order.client_id)
        if order_id is None:
            return  # somebody else's order on the same account
        if order_id not in self.placed:
            raise Violation(f"order {order_id} traded and stands in no log")
        self.venue_fills[fill.id] = (order_id, fill.side, fill.price_ticks, fill.qty_lots)

    def market(self, batch: Batch) -> None:
        """Not the auditor's matter."""

    # --- what reached the disk ------------------------------------------------------------------------------------
    def wrote(self, records: np.ndarray) -> None:
        """Records that are durable now."""
        self.records += records.size
        for record in records[records["kind"] != e.BOOK_LEVEL]:
            kind = int(record["kind"])
            self.counts[e.KIND_NAMES[kind]] = self.counts.get(e.KIND_NAMES[kind], 0) + 1
            order_id = int(record["order_id"])
            if kind == e.FILL_ID:
                self._fill_id = int(record["aux"])
            elif kind == e.ORDER_FILLED:
                self._filled(record, order_id)
            elif kind in ENDS:
                self.open_lots.pop(order_id, None)
            elif kind == e.PLACE:
                self._decided(record, order_id)
            elif kind == e.LINK_UP:
                self.live = True
            elif kind in STALE:
                self.live = False
            elif kind == e.OPERATOR_KILL:
                self.killed = True

    def _filled(self, record: np.void, order_id: int) -> None:
        trade_id, self._fill_id = self._fill_id, 0
        found = order_id, int(record["side"]), int(record["price_ticks"]), int(record["qty_lots"])
        if trade_id in self.log_fills:
            raise Violation(f"trade {trade_id} was counted twice")
        if self.venue_fills.get(trade_id) != found:
            raise Violation(f"trade {trade_id} is {self.venue_fills.get(trade_id)} at the venue and {found} in the log")
        self.log_fills[trade_id] = found
        left = self.open_lots.get(order_id)
        if left is not None:
            self.open_lots[order_id] = left - found[3]
            if left == found[3]:
                del self.open_lots[order_id]

    def _decided(self, record: np.void, order_id: int) -> None:
        if order_id in self.placed:
            raise Violation(f"order {order_id} was decided twice")
        if not self.live:
            raise Violation(f"order {order_id} was decided on a stale book")
        if self.killed:
            raise Violation(f"order {order_id} was decided after a kill")
        self.placed[order_id] = record.copy()
        lots, side = int(record["qty_lots"]), int(record["side"])
        self.open_lots[order_id] = lots
        if lots > self.order_max:
            raise Violation(f"order {order_id} of {lots} lots is beyond {self.order_max}")
        same = [k for k, left in self.open_lots.items() if int(self.placed[k]["side"]) == side]
        exposed = side * self.position + sum(self.open_lots[k] for k in same)
        if exposed > self.position_max:
            raise Violation(f"order {order_id} could make the position {exposed}, beyond {self.position_max}")
        if len(self.open_lots) > self.open_max:
            raise Violation(f"{len(self.open_lots)} orders are open, beyond {self.open_max}")

    # --- what left ------------------------------------------------------------------------------------------------
    def left(self, order: Left | None) -> None:
        """Something leaves the process by the private side: an order, or not."""
        if order is not None:
            self.ordered(order)

    def ordered(self, order: Left) -> None:
        """An order that leaves the process."""
        name = order.client_id
        if name in self.sent:
            raise Violation(f"{name} was sent twice")
        self.sent.add(name)
        order_id = self.ids.order_id(name)
        record = self.placed.get(order_id or 0)
        if record is None:
            raise Violation(f"{name} was sent and stands in no log")
        wanted = (
            "BUY" if record["side"] > 0 else "SELL",
            self.instrument.price_text(int(record["price_ticks"])),
            self.instrument.qty_text(int(record["qty_lots"])),
        )
        if (order.side, order.price, order.quantity) != wanted:
            raise Violation(f"{name} is not what was decided: {order}")
        if not (self.live and self.book_live):
            raise Violation(f"{name} was sent on a stale book")
        if self.killed:
            raise Violation(f"{name} was sent after a kill")

    # --- the end --------------------------------------------------------------------------------------------------
    @property
    def position(self) -> int:
        """By the fills of the log."""
        return sum(side * lots for _, side, _, lots in self.log_fills.values())

    def settled(self, engine_position: int) -> None:
        """Nothing is on its way any more: the books must agree."""
        lost = sorted(self.venue_fills.keys() - self.log_fills.keys())
        if lost:
            raise Violation(f"trades {lost} of the venue were never heard")
        if engine_position != self.position:
            raise Violation(f"the engine holds {engine_position} lots, the fills make {self.position}")
        if self.open_lots:
            raise Violation(f"orders {sorted(self.open_lots)} are open in the log and not at the venue")

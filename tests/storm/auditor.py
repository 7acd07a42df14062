"""The auditor of a storm: books of its own, kept from what is written, sent and traded, and held against each other.

It shares nothing with what it judges: fills come from the exchange's own account, orders from the bytes that leave, and
beliefs from the records as they reach the disk.  Every rule is checked at the event that could break it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pinnacle import event as e
from pinnacle.dialects.market import Batch, among
from pinnacle.dialects.orders import Happened, Update
from pinnacle.instrument import Instrument
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.private.said import CAUSES
from tests.storm.places import Left

ENDS = (e.ORDER_REJECTED, e.ORDER_CANCELLED, e.ORDER_EXPIRED)
STALE = (e.LINK_DOWN, e.LINK_GAP, e.LINK_STALE)
OVER = (Happened.FILLED, Happened.CANCELLED, Happened.EXPIRED, Happened.REJECTED)
# Causes of a refusal after which nothing is sent for a while, where the log tells them, and for how long.
_HOLDING = {CAUSES[cause] for cause in ("halted", "rate_limit", "busy", "funds", "clock")} - {0}
HELD_NS = 1_900_000_000
# Kinds of record that a rule is about; the others are only counted.
_LOOKED_AT = among(
    (*ENDS, *STALE, e.FILL_ID, e.ORDER_FILLED, e.PLACE, e.LINK_UP, e.OPERATOR_KILL, e.OPERATOR_PAUSE,
     e.OPERATOR_RESUME, e.RECONCILED)
)  # fmt: skip


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
        self.venue_lots: dict[int, int] = {}  # order -> filled at the venue
        self.resting: set[int] = set()  # ours that the venue took and that have not ended there
        self.log_fills: dict[int, tuple[int, int, int, int]] = {}
        self.log_lots: dict[int, int] = {}
        self.placed: dict[int, np.void] = {}
        self.open_lots: dict[int, int] = {}
        self.ended: set[int] = set()  # in the log
        self.sent: set[str] = set()
        self.live = False  # by the log
        self.book_live = False  # by the feed itself
        self.killed = False
        self.paused = self._paused_then = False
        self.compared = False  # since the private connection was last opened
        self._held_ns = self._held_then_ns = 0  # until when, by what the venue refused
        self.records = 0
        self._kinds = np.zeros(256, np.int64)
        self._fill_id = self._position = 0
        # Whether the venue's dead-man's switch is set; always, where there is none.
        self.switched: Callable[[], bool] = lambda: True

    @property
    def counts(self) -> dict[str, int]:
        """How many records of each kind were written."""
        return {e.KIND_NAMES[kind]: int(self._kinds[kind]) for kind in np.flatnonzero(self._kinds).tolist()}

    # --- what the exchange did (its Listener) ---------------------------------------------------------------------
    def private(self, update: Update) -> None:
        """An update of any account's order."""
        if update.order.account != self.account:
            return
        order_id = self.ids.order_id(update.order.client_id)
        if order_id is None:
            return  # somebody else's order on the same account
        if order_id not in self.placed:
            raise Violation(f"order {order_id} reached the venue and stands in no log")
        if order_id in self.ended and update.what is not Happened.REJECTED:
            raise Violation(f"order {order_id} was {update.what.name} at the venue after its end was told")
        if update.what is Happened.ACCEPTED:
            self.resting.add(order_id)
            if not self.switched():
                raise Violation(f"order {order_id} came to rest without the dead-man's switch")
        if update.what in OVER and not update.order.live:
            self.resting.discard(order_id)
        fill = update.fill
        if fill is not None:
            self.venue_fills[fill.id] = (order_id, fill.side, fill.price_ticks, fill.qty_lots)
            self.venue_lots[order_id] = self.venue_lots.get(order_id, 0) + fill.qty_lots

    def market(self, batch: Batch) -> None:
        """Not the auditor's matter."""

    # --- what reached the disk ------------------------------------------------------------------------------------
    def wrote(self, records: np.ndarray) -> None:
        """Records that are durable now."""
        self.records += records.size
        kinds = records["kind"]
        self._kinds += np.bincount(kinds, minlength=256)
        looked_at = _LOOKED_AT[kinds]
        if looked_at.any():
            for record in records[looked_at]:
                self._read(record, int(record["kind"]), int(record["order_id"]))

    def _read(self, record: np.void, kind: int, order_id: int) -> None:
        if kind == e.FILL_ID:
            self._fill_id = int(record["aux"])
        elif kind == e.ORDER_FILLED:
            self._filled(record, order_id)
        elif kind in ENDS:
            self._ended(kind, order_id)
            if e.reason_of(int(record["flags"])) in _HOLDING and self.ids.text(order_id) in self.sent:
                self._held_ns = int(record["ts_ns"]) + HELD_NS
        elif kind == e.PLACE:
            self._decided(record, order_id)
        elif kind == e.LINK_UP:
            self.live = True
        elif kind in STALE:
            self.live = False
        elif kind == e.OPERATOR_KILL:
            self.killed = True
        elif kind in (e.OPERATOR_PAUSE, e.OPERATOR_RESUME):
            if self.killed and kind == e.OPERATOR_RESUME:
                raise Violation("a kill was lifted")
            self.paused = kind == e.OPERATOR_PAUSE
            self._paused_then &= self.paused
        elif int(record["aux"]) == e.DIFFERENCE_NONE:
            self.compared = True

    def _filled(self, record: np.void, order_id: int) -> None:
        trade_id, self._fill_id = self._fill_id, 0
        found = order_id, int(record["side"]), int(record["price_ticks"]), int(record["qty_lots"])
        if trade_id in self.log_fills:
            raise Violation(f"trade {trade_id} was counted twice")
        if self.venue_fills.get(trade_id) != found:
            raise Violation(f"trade {trade_id} is {self.venue_fills.get(trade_id)} at the venue and {found} in the log")
        self.log_fills[trade_id] = found
        self._position += found[1] * found[3]
        self.log_lots[order_id] = self.log_lots.get(order_id, 0) + found[3]
        left = self.open_lots.get(order_id)
        if left is not None:
            self.open_lots[order_id] = left - found[3]
            if left == found[3]:
                del self.open_lots[order_id]
                self.ended.add(order_id)

    def _ended(self, kind: int, order_id: int) -> None:
        self.open_lots.pop(order_id, None)
        self.ended.add(order_id)
        heard, traded = self.log_lots.get(order_id, 0), self.venue_lots.get(order_id, 0)
        if heard != traded:
            raise Violation(f"the end of order {order_id} was told with {heard} of its {traded} lots filled")
        if order_id in self.resting:
            raise Violation(f"order {order_id} ended as {e.KIND_NAMES[kind]} and rests at the venue")

    def _decided(self, record: np.void, order_id: int) -> None:
        if order_id in self.placed:
            raise Violation(f"order {order_id} was decided twice")
        if not self.live:
            raise Violation(f"order {order_id} was decided on a stale book")
        if self.killed:
            raise Violation(f"order {order_id} was decided after a kill")
        if self.paused:
            raise Violation(f"order {order_id} was decided in a hold")
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
    def turn(self) -> None:
        """Our process is about to do something; what it then sends, it decided with what stood in the log by now."""
        self._paused_then, self._held_then_ns = self.paused, self._held_ns

    def born(self) -> None:
        """Our process begins, and knows of the past what stands in the log."""
        self._held_ns = 0

    def opened(self) -> None:
        """Our process hears that its private connection is open: what happened meanwhile it does not know."""
        self.compared = False

    def ordered(self, order: Left, now_ns: int) -> None:
        """An order that leaves the process, whose clock says now_ns."""
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
        if self._paused_then:
            raise Violation(f"{name} was sent in a hold")
        if now_ns < self._held_then_ns:
            raise Violation(f"{name} was sent {(self._held_then_ns - now_ns) / 1e9:.1f} s before we may ask again")
        if not self.compared:
            raise Violation(f"{name} was sent before the account was compared")

    # --- the end --------------------------------------------------------------------------------------------------
    @property
    def position(self) -> int:
        """By the fills of the log."""
        return self._position

    def settled(self, engine_position: int) -> None:
        """Nothing is on its way any more: the books must agree."""
        lost = sorted(self.venue_fills.keys() - self.log_fills.keys())
        if lost:
            raise Violation(f"trades {lost} of the venue were never heard")
        if engine_position != self.position:
            raise Violation(f"the engine holds {engine_position} lots, the fills make {self.position}")
        if self.open_lots:
            raise Violation(f"orders {sorted(self.open_lots)} are open in the log and not at the venue")

"""Walks order-by-order rows with a book of its own and says whether the orders make the book that the venue says.

Whatever differs has a reason, see `compare.py`, or is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pinnacle import event
from pinnacle.event import ASK, BID
from pinnacle.history.compare import COMPARED, DEPTHS, EQUAL, REASONS, Comparisons
from pinnacle.history.orders import OrderBook
from pinnacle.history.venue_book import VenueBook

ORDER_KINDS = (event.ORDER_ADD, event.ORDER_MODIFY, event.ORDER_DELETE)
# A taking order is announced as resting by some venues, and trades some messages later; longer than this is no trade.
CROSSED_S_MAX = 2.0
# Deleted ids that are remembered: none of a venue's is used again within so many.
DELETED_IDS_MAX = 1 << 20
_FIELDS = ("ts_ns", "kind", "side", "flags", "order_id", "price_ticks", "qty_lots", "aux")
_ALWAYS = (
    "orders added", "orders changed", "orders deleted", "changes of unknown ids", "deletions of unknown ids",
    "deleted ids used again", "crossings",
)  # fmt: skip
_COUNTS = (
    "messages after which the book is crossed", "long crossings", "ids added twice", "orders of nothing",
    "trades", "trades whose resting order is named", "fills of an order in the book", "of these at its price",
    "of these at the best price of its side", "of these of the first order in the queue",
    "fills past an order in front that left in the same message", "fills past an order in front that stayed",
    "fills of another quantity",
    "levels compared with the venue's book", "levels that are equal", "levels that only the orders have",
    "messages between the two books", "levels too many that differ",
)  # fmt: skip


@dataclass(slots=True)
class OrderCheck:
    """Counts of one pass; `rows` any number of times, then `finish`.

    books: the venue's own, in order of their numbers; without them the best of the TICKER rows is compared.
    """

    books: Iterator[VenueBook] | None = None
    book: OrderBook = field(default_factory=OrderBook)
    complete: bool = False  # whether the rows began with the whole book
    count: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*_ALWAYS, *_COUNTS), 0))
    compared: Comparisons = field(init=False)
    crossed_since_ns: int = -1
    crossed_ns_max: int = 0
    _deleted: dict[int, None] = field(default_factory=dict)
    _ticker: dict[int, tuple[int, int]] = field(default_factory=dict)
    _fills: dict[int, int] = field(default_factory=dict)
    _passed: list[set[int]] = field(default_factory=list)  # orders in front of those filled in this message
    _last_ns: int = 0

    def __post_init__(self) -> None:
        self.compared = Comparisons(self.book)

    def rows(self, rows: np.ndarray) -> None:
        """Walk EVENT[n], which is not changed."""
        for ts_ns, kind, side, flags, order_id, ticks, lots, aux in zip(*(rows[name].tolist() for name in _FIELDS)):
            last = bool(flags & event.LAST)
            if kind in ORDER_KINDS:
                self._order(kind, order_id, side, ticks, lots)
                if last:
                    self._after_message(ts_ns)
            elif kind == event.TRADE:
                self._trade(order_id, ticks, lots)
            elif kind == event.TICKER:
                self._ticker[side] = (ticks, lots)
                if last:
                    self._venue_book(aux)
            elif kind == event.BOOK_CLEAR:
                self.complete |= side == 0 and ticks == 0
                self.compared.complete = self.complete
                self.book.clear(side, ticks)

    def finish(self) -> None:
        """After the last row: books of the venue's that are said at the end, and doubts that found no reason."""
        if self.books is not None:
            for venue in self.books:
                if venue.number == 0:
                    self._whole_book(venue)
        self.compared.finish()
        if self.crossed_since_ns >= 0:
            self._uncrossed(self._last_ns)

    @property
    def problems(self) -> dict[str, int]:
        """What is wrong, by what it is."""
        unknown = self.count["changes of unknown ids"] + self.count["deletions of unknown ids"]
        return {
            "changes or deletions of unknown orders after a whole book": unknown if self.complete else 0,
            "orders added under an id that is in the book": self.count["ids added twice"],
            "orders added under an id that was deleted": self.count["deleted ids used again"],
            "orders added of nothing": self.count["orders of nothing"],
            "fills of another quantity than the order lost": self.count["fills of another quantity"],
            f"crossings that last longer than {CROSSED_S_MAX:.0f} s": self.count["long crossings"],
            "comparisons with the venue's book that differ for no known reason": self.compared.count[
                REASONS["unexplained"]
            ]
            + self.count["levels too many that differ"],
        }

    def facts(self) -> dict[str, int]:
        """The counts in words, in the order of the report; zeros that tell something are kept."""
        compared = self.compared
        shown = {name: count for name, count in self.count.items() if count or name in _ALWAYS}
        shown |= {name: count for name, count in compared.count.items() if count}
        if self.crossed_ns_max:
            shown["longest crossing, ns"] = self.crossed_ns_max
        if compared.count[COMPARED]:
            for depth in DEPTHS:
                if depth <= compared.depth:
                    shown[f"of the comparisons, equal in the best {depth} level{'s' if depth > 1 else ''} a side"] = (
                        compared.equal_to_depth[depth]
                    )
        return shown

    def verdict(self) -> str:
        """One sentence for a person."""
        wrong = sum(self.problems.values())
        compared, equal = self.compared.count[COMPARED], self.compared.count[EQUAL]
        levels = self.count["levels compared with the venue's book"]
        if wrong:
            return f"verdict: {wrong:,} findings are WRONG; do not trust this book"
        if compared:
            known = equal + self.compared.count[REASONS["older"]]
            aside = ", orders from before the recording left aside" if known > equal else ""
            rest = f"; the {compared - known:,} others have a reason" if compared > known else ""
            return (
                f"verdict: the orders make the venue's own book in {known:,} of {compared:,} comparisons{aside}{rest}"
            )
        if levels:
            return (
                f"verdict: the orders make the venue's own book in {self.count['levels that are equal']:,} of "
                f"{levels:,} levels, and the messages between the two can have made the rest"
            )
        fills = self.count["fills of an order in the book"]
        what = f"; {fills:,} fills agree with it" if fills else ""
        return f"verdict: the orders make one book without contradiction{what}; the venue's own book is not in the data"

    def _order(self, kind: int, order_id: int, side: int, ticks: int, lots: int) -> None:
        count, book = self.count, self.book
        if kind == event.ORDER_ADD:
            count["orders added"] += 1
            count["orders of nothing"] += lots <= 0
            if order_id in self._deleted:
                count["deleted ids used again"] += 1
                return
            count["ids added twice"] += not book.add(order_id, side, ticks, lots)
        elif kind == event.ORDER_MODIFY:
            count["orders changed"] += 1
            self._filled(order_id, lots)
            count["changes of unknown ids"] += not book.modify(order_id, side, ticks, lots)
        else:
            count["orders deleted"] += 1
            self._filled(order_id, lots)
            count["deletions of unknown ids"] += not book.delete(order_id)
            for passed in self._passed:
                passed.discard(order_id)
            self._deleted[order_id] = None
            if len(self._deleted) > DELETED_IDS_MAX:
                del self._deleted[next(iter(self._deleted))]
        self.compared.changed()

    def _after_message(self, ts_ns: int) -> None:
        self.compared.message_ended()
        if self.book.crossed():
            self.count["messages after which the book is crossed"] += 1
            if self.crossed_since_ns < 0:
                self.crossed_since_ns = ts_ns
                self.count["crossings"] += 1
        elif self.crossed_since_ns >= 0:
            self._uncrossed(ts_ns)
        self._last_ns = ts_ns
        for passed in self._passed:
            self.count["fills past an order in front that left in the same message"] += not passed
            self.count["fills past an order in front that stayed"] += bool(passed)
        self._passed.clear()

    def _uncrossed(self, ts_ns: int) -> None:
        length_ns = ts_ns - self.crossed_since_ns
        self.crossed_ns_max = max(self.crossed_ns_max, length_ns)
        self.count["long crossings"] += length_ns > CROSSED_S_MAX * 1e9
        self.crossed_since_ns = -1

    def _trade(self, order_id: int, ticks: int, lots: int) -> None:
        """A trade that is told before the order it took from is changed can be held to the book."""
        self.count["trades"] += 1
        self.count["trades whose resting order is named"] += order_id > 0
        resting = self.book.orders.get(order_id)
        if resting is None or not self.complete:
            return
        side = resting[0]
        self.count["fills of an order in the book"] += 1
        self.count["of these at its price"] += resting[1] == ticks
        self.count["of these at the best price of its side"] += self.book.best(side) == ticks
        first = self.book.first_in_queue(side, resting[1]) == order_id
        self.count["of these of the first order in the queue"] += first
        if not first:
            queue = self.book.queues[side][resting[1]]
            self._passed.append(set(itertools.takewhile(lambda one: one != order_id, queue)))
        self._fills[order_id] = self._fills.get(order_id, 0) + lots

    def _filled(self, order_id: int, lots_left: int) -> None:
        """An order that was filled must lose that quantity, before its row is applied."""
        filled = self._fills.pop(order_id, 0)
        before = self.book.orders.get(order_id)
        if filled and before is not None:
            self.count["fills of another quantity"] += before[2] - filled < lots_left

    def _venue_book(self, number: int) -> None:
        """The venue has said its own book: the next of `books`, or the best that the TICKER rows say."""
        if self.books is None or number == 0:
            sides = {side: [self._ticker[side]] if side in self._ticker else [] for side in (BID, ASK)}
        else:
            venue = next((one for one in self.books if one.number >= number), None)
            if venue is None or venue.number != number:
                return
            sides = {BID: venue.bids, ASK: venue.asks}
        self._ticker = {}
        self.compared.compare(sides)

    def _whole_book(self, venue: VenueBook) -> None:
        """A book of every level, said once."""
        differ = 0
        for side, levels in ((BID, venue.bids), (ASK, venue.asks)):
            mine = self.book.lots[side]
            equal = sum(mine.get(ticks) == lots for ticks, lots in levels)
            differ += len(levels) - equal + len(mine.keys() - dict(levels).keys())
            self.count["levels compared with the venue's book"] += len(levels)
            self.count["levels that are equal"] += equal
            self.count["levels that only the orders have"] += len(mine.keys() - dict(levels).keys())
        # A message changes one level, or two where it moves an order.
        self.count["messages between the two books"] += venue.messages_apart
        self.count["levels too many that differ"] += max(0, differ - 2 * venue.messages_apart)

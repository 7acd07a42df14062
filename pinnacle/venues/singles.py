"""Trades and tickers of one instrument into records: one or two a message, so a kernel's call would cost more.

Their numbers repeat (a ticker that moves on one side says the other again), so a text seen lately is not read twice.
"""

from __future__ import annotations

from decimal import Decimal
from struct import Struct
from struct import error as StructError

from pinnacle.errors import HistoryError
from pinnacle.event import ASK, BID, EVENT, LAST, TICKER, TRADE
from pinnacle.limits import NUMBER_TEXTS_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from pinnacle.venues.feed import Followed, Malformed, Rows

# The fields of EVENT in their order.
_ROW = Struct("<qqqqqqqBbHHH")
_ROW_PAIR = Struct("<qqqqqqqBbHHHqqqqqqqBbHHH")
_BYTES = EVENT.itemsize
assert _ROW.size == _BYTES and _ROW_PAIR.size == 2 * _BYTES


class Numbers(dict[str, int]):
    """Decimal text -> whole steps, exact; `numbers[text]`.  Raises Malformed for what is no multiple of the step.

    quantities: a quantity off the step is rounded down to it, because venues do send such, and `off` counts them.
    """

    def __init__(self, followed: Followed, quantities: bool) -> None:
        super().__init__()
        self.followed, self.quantities, self.off = followed, quantities, 0
        step = followed.instrument.lot if quantities else followed.instrument.tick
        self._digits = max(0, -int(step.as_tuple().exponent))
        self._step = int(step.scaleb(self._digits))

    def __missing__(self, text: str) -> int:
        number = self._read(text)
        if len(self) >= NUMBER_TEXTS_MAX:
            self.clear()
        if len(text) <= 32:
            self[text] = number
        return number

    def _read(self, text: str) -> int:
        whole, _, fraction = text.partition(".")
        most = QTY_LOTS_MAX if self.quantities else PRICE_TICKS_MAX
        kept, rest = fraction[: self._digits].ljust(self._digits, "0"), fraction[self._digits :]
        digits = whole + kept
        if whole and len(digits) < 40 and digits.isascii() and digits.isdigit() and not rest.strip("0"):
            number, remainder = divmod(int(digits), self._step)
            if remainder == 0 and number < most:
                return number
        return self._odd(text)

    def _odd(self, text: str) -> int:
        instrument = self.followed.instrument
        try:
            if not self.quantities:
                return instrument.ticks(text)
            try:
                return instrument.lots(text)
            except HistoryError:
                value = Decimal(text)
                if not value.is_finite() or not 0 < value < QTY_LOTS_MAX * instrument.lot:
                    raise
                self.off += 1
                return int(value // instrument.lot)
        except (HistoryError, ArithmeticError) as error:
            raise Malformed(f"{instrument.name}: {error or text[:40]}") from None


class Singles:
    """Writes trades and tickers of one followed instrument."""

    __slots__ = ("_events", "_followed", "_instrument", "_memory", "_venue", "price_ticks", "qty_lots")

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self._venue, self._instrument = followed.venue, followed.index
        self.price_ticks, self.qty_lots = Numbers(followed, False), Numbers(followed, True)
        self._events: object = None
        self._memory = memoryview(b"")

    def trade(
        self,
        price: str,
        qty: str,
        side: int,
        trade_id: int,
        ts_ns: int,
        ts_venue_ns: int,
        rows: Rows,
        order_id: int = 0,
        flags: int = LAST,
    ) -> None:
        """Append a TRADE.  side: the aggressor's.  Raises Malformed for a price that is none, or nothing traded."""
        ticks, lots = self.price_ticks[price], self.qty_lots[qty]
        if ticks <= 0 or lots < 0:
            raise Malformed(f"{self._followed.instrument.name}: a trade of {qty[:40]} at {price[:40]}")
        try:
            _ROW.pack_into(
                self._room(1, rows), rows.count * _BYTES,
                0, ts_ns, ts_venue_ns, order_id, ticks, lots, trade_id, TRADE, side, flags, self._venue,
                self._instrument,
            )  # fmt: skip
        except StructError:
            raise self._too_large(trade_id, ts_venue_ns) from None
        rows.count += 1

    def ticker(
        self,
        bid: str,
        bid_qty: str,
        ask: str,
        ask_qty: str,
        update_id: int,
        ts_ns: int,
        ts_venue_ns: int,
        rows: Rows,
    ) -> None:
        """Append a TICKER for each side, bid first; a side whose price is 0 is empty and gives none."""
        bid_ticks, bid_lots = self.price_ticks[bid], self.qty_lots[bid_qty]
        ask_ticks, ask_lots = self.price_ticks[ask], self.qty_lots[ask_qty]
        if bid_ticks < 0 or bid_lots < 0 or ask_ticks < 0 or ask_lots < 0:
            raise Malformed(f"{self._followed.instrument.name}: a ticker with negative numbers")
        memory = self._room(2, rows)
        try:
            if bid_ticks and ask_ticks:
                _ROW_PAIR.pack_into(
                    memory, rows.count * _BYTES,
                    0, ts_ns, ts_venue_ns, 0, bid_ticks, bid_lots, update_id, TICKER, BID, 0, self._venue,
                    self._instrument,
                    0, ts_ns, ts_venue_ns, 0, ask_ticks, ask_lots, update_id, TICKER, ASK, LAST, self._venue,
                    self._instrument,
                )  # fmt: skip
                rows.count += 2
            elif bid_ticks or ask_ticks:
                side, ticks, lots = (BID, bid_ticks, bid_lots) if bid_ticks else (ASK, ask_ticks, ask_lots)
                _ROW.pack_into(
                    memory, rows.count * _BYTES,
                    0, ts_ns, ts_venue_ns, 0, ticks, lots, update_id, TICKER, side, LAST, self._venue,
                    self._instrument,
                )  # fmt: skip
                rows.count += 1
        except StructError:
            raise self._too_large(update_id, ts_venue_ns) from None

    def _too_large(self, number: int, ts_venue_ns: int) -> Malformed:
        return Malformed(
            f"{self._followed.instrument.name}: id {number} or time {ts_venue_ns} ns is more than can be kept"[:200]
        )

    def _room(self, count: int, rows: Rows) -> memoryview:
        """The bytes of the rows' array, with room for so many more; kept as long as the array is the same."""
        events = rows.events
        if rows.count + count > events.size:
            events = rows.room(count)
        if events is not self._events:
            self._events, self._memory = events, memoryview(events.view("u1").data)
        return self._memory

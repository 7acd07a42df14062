"""The books of one Kraken connection, each as deep as it was subscribed to: kernels/depth.py, kernels/kraken.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec
import numpy as np

from pinnacle.errors import OperatorError
from pinnacle.event import ASK, BID, SNAPSHOT
from pinnacle.kernels.depth import (
    CHECKSUM_DIFFERS,
    CROSSED,
    DEPTH,
    ODD,
    ROOM,
    SYMBOL_BYTES_MAX,
    TOO_MANY,
    depth_rows,
    depth_side,
    wrong_with,
)
from pinnacle.kernels.kraken import kraken_levels, kraken_update
from pinnacle.venues.feed import CAUSE_CHECKSUM, CAUSE_CROSSED, Followed, Malformed, Rows
from pinnacle.venues.levels import Levels

DEPTHS = (10, 25, 100, 500, 1000)
_CAUSES = {CHECKSUM_DIFFERS: CAUSE_CHECKSUM, CROSSED: CAUSE_CROSSED}


class Depths:
    """The books of what is followed, by their place in it.

    columns: how levels are written, see levels.Levels.  kernel: reads the usual message at once.  A message that fails
    its checksum, or crosses its book, leaves no rows; the book must then be written whole again before it takes
    another.
    """

    def __init__(
        self,
        followed: Sequence[Followed],
        columns: tuple[int, int, int] | tuple[str, str, str],
        kernel: Callable[..., int] = kraken_update,
    ) -> None:
        self.followed, self._kernel = followed, kernel
        self.levels = [Levels(one, columns) for one in followed]
        self._books = np.zeros(len(followed), DEPTH)
        self._octets = self._books.view(np.uint8)
        self._events: np.ndarray = np.zeros(0, np.uint8)
        self._event_octets: np.ndarray = self._events
        for k, one in enumerate(followed):
            book, symbol = self._books[k], one.instrument.symbol.encode()
            if len(symbol) > SYMBOL_BYTES_MAX:
                raise OperatorError(f"{one.instrument.name}: a symbol has at most {SYMBOL_BYTES_MAX} characters")
            book["depth"] = depth_of(one)
            book["price_digits"], book["price_step"] = _step(one.instrument.tick)
            book["qty_digits"], book["qty_step"] = _step(one.instrument.lot)
            book["price_unit"], book["qty_unit"] = book["price_step"], book["qty_step"]
            book["venue"], book["instrument"] = one.venue, one.index
            book["symbol"][: len(symbol)] = np.frombuffer(symbol, np.uint8)
            book["symbol_bytes"] = len(symbol)

    def live(self, k: int, live: bool) -> None:
        """Whether `update` may write to a book."""
        self._books[k]["live"] = live

    def decimals(self, k: int, price: int, qty: int) -> bool:
        """How many decimals the venue writes, which its checksum depends on; False if the steps do not fit in them."""
        book, instrument = self._books[k], self.followed[k].instrument
        units = [step.scaleb(n) for step, n in ((instrument.tick, price), (instrument.lot, qty))]
        if any(unit != int(unit) or unit > 10**9 for unit in units):
            return False
        book["price_unit"], book["qty_unit"] = int(units[0]), int(units[1])
        book["changed"] = 1
        return True

    def update(self, message: bytes, ts_ns: int, rows: Rows) -> int:
        """Append the rows of a whole message, if it is the update of a live book and written as Kraken writes it.

        Returns 0 or more if they were; else see depth.wrong_with: ODD if it is anything else, for the caller to decode.
        """
        events = rows.events
        if rows.count + len(message) // 8 + 4 > events.size:
            events = rows.room(len(message) // 8 + 4)
        if events is not self._events:
            self._events, self._event_octets = events, events.view(np.uint8)
        result = self._kernel(message, self._octets, ts_ns, self._event_octets, rows.count)
        if result >= 0:
            rows.count = result
        return result

    def whole(
        self, k: int, bids: msgspec.Raw, asks: msgspec.Raw, time_ns: int, checksum: int, ts_ns: int, rows: Rows
    ) -> int:
        """Append the levels of a whole book; returns 0, or the CAUSE_* for which it cannot be trusted."""
        return self._levels(k, bids, asks, ts_ns, time_ns, SNAPSHOT, checksum, rows)

    def changes(
        self, k: int, bids: msgspec.Raw, asks: msgspec.Raw, time_ns: int, checksum: int, ts_ns: int, rows: Rows
    ) -> int:
        """Append changed levels, and those that fell out of the depth; returns as `whole`."""
        return self._levels(k, bids, asks, ts_ns, time_ns, 0, checksum, rows)

    def cause(self, k: int, wrong: int) -> int:
        """The CAUSE_* of what is wrong with book k's last message.  Raises Malformed where it is none."""
        if wrong == TOO_MANY:
            raise Malformed(f"{self.followed[k].instrument.name}: a message of more than {ROOM} levels")
        return _CAUSES[wrong]

    def dated(self, k: int) -> tuple[int, int]:
        """(when the last message of a book came, what the venue dated it); zeros if none came."""
        return int(self._books[k]["heard_ns"]), int(self._books[k]["dated_ns"])

    def side(self, k: int, side: int) -> list[tuple[int, int]]:
        """(price_ticks, qty_lots) of a side, best first."""
        ticks, lots = np.zeros(ROOM, np.int64), np.zeros(ROOM, np.int64)
        count = depth_side(self._books, k, 0 if side > 0 else 1, ticks, lots)
        return list(zip(ticks[:count].tolist(), lots[:count].tolist()))

    def _levels(
        self, k: int, bids: msgspec.Raw, asks: msgspec.Raw, ts_ns: int, time_ns: int, flags: int, checksum: int,
        rows: Rows,
    ) -> int:  # fmt: skip
        texts = bytes(bids), bytes(asks)
        if not texts[0].startswith(b"[") or not texts[1].startswith(b"["):
            raise Malformed(f"{self.followed[k].instrument.name}: levels that are none: {texts[0][:40]!r}")
        events = rows.room((len(texts[0]) + len(texts[1])) // 3 + 4)
        first, levels = rows.count, self.levels[k]
        result: int = kraken_levels(
            texts[0], texts[1], levels.spec, self._books, k, ts_ns, time_ns, flags, checksum, events, first
        )
        if result == ODD:
            try:
                for text, side in zip(texts, (BID, ASK)):
                    levels.write(text, side, ts_ns, time_ns, flags, False, rows)
                events = rows.room(rows.count - first)
                result = depth_rows(self._books, k, flags, flags, checksum, events, first, rows.count)
            finally:
                rows.count = first
        if result >= 0:
            rows.count = result
            return 0
        return self.cause(k, wrong_with(result)[0])


def depth_of(followed: Followed) -> int:
    """The depth that a subscription asks for: the least that the venue offers and that is enough."""
    return next((depth for depth in DEPTHS if 0 < followed.depth <= depth), DEPTHS[-1])


def _step(step: Decimal) -> tuple[int, int]:
    """(digits, units) with step == units * 10^-digits."""
    digits = max(0, -int(step.as_tuple().exponent))
    return digits, int(step.scaleb(digits))

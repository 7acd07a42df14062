"""Levels as a venue writes them, into records: a kernel for what is plain, decimals and words for what is odd."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from pinnacle.errors import HistoryError
from pinnacle.event import ASK, BID, BOOK_LEVEL, LAST
from pinnacle.kernels.levels import KEY_BYTES_MAX, LEVELS, level_rows
from pinnacle.venues.feed import Followed, Malformed, Rows

# The shortest level, [1,2], and its comma.
_LEVEL_BYTES_MIN = 6
# JSON numbers as they are written: a binary float would lose digits.
_exact = msgspec.json.Decoder(list[Any], float_hook=Decimal)


class Levels:
    """Writes the levels of one followed instrument.

    columns: places of price, quantity and side in an array (side -1 where an array is of one side), or the keys of the
    three in an object (side "" likewise).
    """

    def __init__(self, followed: Followed, columns: tuple[int, int, int] | tuple[str, str, str] = (0, 1, -1)) -> None:
        self.followed, self._columns = followed, columns
        self._spec = np.zeros(1, LEVELS)
        spec, instrument = self._spec[0], followed.instrument
        spec["price_digits"], spec["price_step"] = _step(instrument.tick)
        spec["qty_digits"], spec["qty_step"] = _step(instrument.lot)
        spec["venue"], spec["instrument"] = followed.venue, followed.index
        if isinstance(columns[0], str):
            spec["objects"] = 1
            for k, key in enumerate(columns):
                text = str(key).encode()
                assert len(text) <= KEY_BYTES_MAX
                spec["keys"][k, : len(text)] = np.frombuffer(text, np.uint8)
                spec["key_bytes"][k] = len(text)
        else:
            spec["price_at"], spec["qty_at"], spec["side_at"] = columns

    @property
    def spec(self) -> np.ndarray:
        """How the levels are written, for kernels that read them themselves: LEVELS[1]."""
        return self._spec

    def told_odd(self, rounded: int, left_out: int) -> None:
        """A kernel rounded or left out levels of this book, as a loose spec lets it."""
        assert not self._spec[0]["loose"]

    def write(
        self, text: bytes | msgspec.Raw, side: int, ts_ns: int, ts_venue_ns: int, flags: int, last: bool, rows: Rows
    ) -> int:
        """Append a BOOK_LEVEL for each level of a JSON array of levels; returns how many.  Raises Malformed.

        side: of all, 0 where each says its own.  last: the final row carries LAST (nothing does if there are none).
        """
        size = len(memoryview(text))
        events = rows.room(size // _LEVEL_BYTES_MIN + 1)
        before = rows.count
        data = np.frombuffer(text, np.uint8)
        count = level_rows(data, self._spec, side, ts_ns, ts_venue_ns, flags, last, events, before)
        if count < 0:
            return self._odd(bytes(text), side, ts_ns, ts_venue_ns, flags, last, rows)
        rows.count = int(count)
        return int(count) - before

    def _odd(self, text: bytes, side: int, ts_ns: int, ts_venue_ns: int, flags: int, last: bool, rows: Rows) -> int:
        """The same with exact decimals, level by level, or the error that says what is wrong."""
        name = self.followed.instrument.name
        before = rows.count
        try:
            for level in _exact.decode(text):
                price, qty, own_side = self._fields(level, side)
                ticks, lots = self.followed.instrument.ticks(price), self.followed.instrument.lots(qty)
                if ticks <= 0 or lots < 0:
                    raise Malformed(f"{name}: a level of price {price} and quantity {qty}; it was not taken")
                rows.add(self.followed, ts_ns, ts_venue_ns, BOOK_LEVEL, own_side, ticks, lots, flags=flags)
        except HistoryError as error:
            rows.count = before
            raise Malformed(str(error)) from None
        except Malformed:
            rows.count = before
            raise
        except (msgspec.DecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError):
            rows.count = before
            raise Malformed(f"{name}: levels that are none: {text[:80]!r}") from None
        if last and rows.count > before:
            rows.events[rows.count - 1]["flags"] = flags | LAST
        return rows.count - before

    def _fields(self, level: Any, side: int) -> tuple[str, str, int]:
        """(price, quantity, side) of one level, the numbers as text."""
        price_at, qty_at, side_at = self._columns
        price, qty = level[price_at], level[qty_at]
        for number in (price, qty):
            if isinstance(number, bool) or not isinstance(number, (str, int, Decimal)):
                raise TypeError
        if side == 0:
            side = BID if str(level[side_at])[0] in "bB" else ASK
        return str(price), str(qty), side


def _step(step: Decimal) -> tuple[int, int]:
    """(digits, units) with step == units * 10^-digits."""
    digits = max(0, -int(step.as_tuple().exponent))
    return digits, int(step.scaleb(digits))

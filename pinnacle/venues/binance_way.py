"""What the kernel of simple messages knows of one stream of one symbol, see kernels/binance_frame.py."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from pinnacle.kernels.binance_frame import (
    AGGREGATED,
    DEPTH,
    HEAD_BYTES_MAX,
    SYMBOL_BYTES_MAX,
    TOP,
    TRADED,
    WAY,
)
from pinnacle.venues.feed import Followed

KINDS = {"depth": DEPTH, "bookTicker": TOP, "trade": TRADED, "aggTrade": AGGREGATED}


def way_of(followed: Followed, kind: str, futures: bool) -> np.ndarray[Any, Any]:
    """WAY[1] of a kind of stream, its name not known yet."""
    way = np.zeros(1, WAY)
    one, instrument = way[0], followed.instrument
    one["kind"], one["futures"], one["last_id"] = KINDS[kind], futures, -1
    one["price_digits"], one["price_step"] = _step(instrument.tick)
    one["qty_digits"], one["qty_step"] = _step(instrument.lot)
    one["venue"], one["instrument"] = followed.venue, followed.index
    _text(one, "symbol", instrument.symbol.encode(), SYMBOL_BYTES_MAX)
    return way


def name_way(way: np.ndarray[Any, Any], stream: str) -> None:
    """Messages of this stream go this way; one whose name is too long never does."""
    _text(way[0], "head", b'{"stream":"%s","data":{' % stream.encode(), HEAD_BYTES_MAX)


def _text(one: np.void, field: str, text: bytes, most: int) -> None:
    kept = text if len(text) <= most else b"?"
    one[field][: len(kept)] = np.frombuffer(kept, np.uint8)
    one[f"{field}_bytes"] = len(kept)


def _step(step: Decimal) -> tuple[int, int]:
    """(digits, units) with step == units * 10^-digits."""
    digits = max(0, -int(step.as_tuple().exponent))
    return digits, int(step.scaleb(digits))

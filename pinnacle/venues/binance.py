"""Binance's spot market: where it is, and what follows it (binance_feed.py).  USD-M futures are binance_usdm.py."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from pinnacle.instrument import Instrument
from pinnacle.venues.binance_feed import BinanceFeed, feeds_of, recorded_of
from pinnacle.venues.binance_market import SPOT, instruments_of
from pinnacle.venues.feed import Address, Followed

ADDRESS = Address("wss://stream.binance.com:9443", "https://api.binance.com")


def feeds(followed: Sequence[Followed], address: Address) -> list[BinanceFeed]:
    """One feed a connection."""
    return feeds_of(SPOT, followed)


def recorded(followed: Sequence[Followed], asked: str) -> BinanceFeed:
    """One feed for all that a recorded connection carries; asked: what its recorder subscribed to."""
    return recorded_of(SPOT, followed, asked)


def instruments_path(symbols: Sequence[str]) -> str:
    """Where the instruments are listed; all of them if none is named."""
    names = ",".join(f'"{symbol}"' for symbol in symbols)
    return SPOT.listing + (f"?symbols={quote(f'[{names}]')}" if symbols else "")


def instruments(body: bytes) -> list[Instrument]:
    """The instruments of a listing.  Raises Malformed."""
    return instruments_of(SPOT, body)

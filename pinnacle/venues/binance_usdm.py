"""Binance's USD-M futures: the feed of binance_feed.py under the venue's other addresses, with funding.

Since April 2026 depth and tickers come under /public, trades and mark prices under /market; the old address is silent.
The venue documents aggregated trades alone there, so those are followed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pinnacle.instrument import Instrument
from pinnacle.venues.binance_feed import BinanceFeed, feeds_of, recorded_of
from pinnacle.venues.binance_market import Market, instruments_of
from pinnacle.venues.feed import Address, Followed

ADDRESS = Address("wss://fstream.binance.com", "https://fapi.binance.com")
USDM = Market(
    "binance-usdm",
    True,
    (("/public", ("depth@100ms", "bookTicker")), ("/market", ("aggTrade", "markPrice"))),
    "/fapi/v1/depth?symbol={symbol}&limit={limit}",
    ((100, 5), (500, 10), (1000, 20)),
    1200,
    "/fapi/v1/exchangeInfo",
)


def feeds(followed: Sequence[Followed], address: Address) -> list[BinanceFeed]:
    """Two feeds for each part of the instruments: books and tickers, trades and funding."""
    return feeds_of(USDM, followed)


def recorded(followed: Sequence[Followed], asked: str) -> BinanceFeed:
    """One feed for all that a recorded connection carries; asked: what its recorder subscribed to."""
    return recorded_of(USDM, followed, asked)


def instruments_path(symbols: Sequence[str]) -> str:
    """Where the instruments are listed; this venue lists them only all together."""
    return USDM.listing


def instruments(body: bytes) -> list[Instrument]:
    """The instruments of a listing.  Raises Malformed."""
    return instruments_of(USDM, body)

"""The venues by name: which file speaks for which, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Address, Feed, Followed

VENUES = {
    "binance": "pinnacle.venues.binance",
    "binance-usdm": "pinnacle.venues.binance_usdm",
    "bitstamp": "pinnacle.venues.bitstamp",
    "coinbase": "pinnacle.venues.coinbase",
    "gemini": "pinnacle.venues.gemini",
    "kraken": "pinnacle.venues.kraken",
}


class Venue(Protocol):
    """What a venue's file offers."""

    ADDRESS: Address

    def feeds(self, followed: Sequence[Followed], address: Address) -> Sequence[Feed]:
        """One feed a connection."""

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path of the REST call that lists the instruments."""

    def instruments(self, body: bytes) -> list[Instrument]:
        """The instruments of its answer.  Raises Malformed."""


def venue(name: str) -> Venue:
    """The venue of a name.  Raises OperatorError naming the known ones."""
    if name not in VENUES:
        raise OperatorError(f"venue {name!r} is not known; known are {', '.join(VENUES)}")
    return cast(Venue, import_module(VENUES[name]))

"""Which file speaks for which venue, and what such a file offers.

A table, so that a venue is added by writing its file and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol, cast

from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Address, Feed, Followed

MODULES = {
    "binance": "pinnacle.venues.binance",
    "bitstamp": "pinnacle.venues.bitstamp",
    "coinbase": "pinnacle.venues.coinbase",
    "gemini": "pinnacle.venues.gemini",
    "kraken": "pinnacle.venues.kraken",
}


class Venue(Protocol):
    """A venue's file.  ADDRESS: its public hosts."""

    ADDRESS: Address

    def feeds(self, followed: Sequence[Followed], address: Address) -> list[Feed]:
        """The connections that together follow these instruments."""

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """What to GET below the REST address to learn of these symbols."""

    def instruments(self, body: bytes) -> list[Instrument]:
        """The instruments in its answer.  Raises Malformed."""


def venue_named(name: str) -> Venue:
    """The file of a venue.  Raises OperatorError naming those there are."""
    module = MODULES.get(name)
    if module is None:
        raise OperatorError(f"{name}: no live feed of this venue; there are {', '.join(sorted(MODULES))}")
    try:
        return cast(Venue, importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise OperatorError(f"{name}: its live feed is not written yet") from None

"""The venues by name: which file speaks for which, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Address, Feed, Followed
from pinnacle.venues.gateway import Gateway

VENUES = {
    "binance": "pinnacle.venues.binance",
    "binance-usdm": "pinnacle.venues.binance_usdm",
    "bitstamp": "pinnacle.venues.bitstamp",
    "coinbase": "pinnacle.venues.coinbase",
    "coinbase-advanced": "pinnacle.venues.coinbase_advanced",
    "gemini": "pinnacle.venues.gemini",
    "kraken": "pinnacle.venues.kraken",
}

# Protocols that recordings speak and venues do no more, or another one of the same venue: what such a recorder asked
# for contains the text, and the file reads it.
OTHER_PROTOCOLS = {
    "coinbase": (('"channel":', "pinnacle.venues.coinbase_advanced"),),
    "gemini": (('"subscriptions":', "pinnacle.venues.gemini_2021"),),
}


# Who speaks for an account at which venue; those without a line take no real orders yet.
GATEWAYS = {
    "binance": "pinnacle.venues.binance_gateway",
    "binance-usdm": "pinnacle.venues.binance_usdm_gateway",
    "bitstamp": "pinnacle.venues.bitstamp_gateway",
    "kraken": "pinnacle.venues.kraken_gateway",
    "coinbase": "pinnacle.venues.coinbase_gateway",
    "coinbase-advanced": "pinnacle.venues.coinbase_advanced_gateway",
    "gemini": "pinnacle.venues.gemini_gateway",
}

# Whose requests carry a nonce: their gateways take a `nonces` too, see nonce.py.
NONCES = ("bitstamp", "gemini", "kraken")

# Whose limits depend on the account's tier, the lowest first: their gateways take a `tier` too.
TIERS = {"kraken": ("starter", "intermediate", "pro")}


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


def gateway_of(name: str) -> Callable[..., Gateway]:
    """Makes a gateway of (followed, client ids, key id, what signs, passphrase), see NONCES.  Raises OperatorError."""
    return cast("Callable[..., Gateway]", _gateway_module(name).gateway)


def gateway_address(name: str) -> Address:
    """The public hosts of a venue's private side."""
    return cast(Address, _gateway_module(name).ADDRESS)


def _gateway_module(name: str) -> Any:
    if name not in GATEWAYS:
        raise OperatorError(
            f"real orders at {name} are not sent by this version, only at {', '.join(GATEWAYS)}; trade it on paper"
        )
    return import_module(GATEWAYS[name])


def recorded_feeds(name: str, followed: Sequence[Followed], asked: str) -> Sequence[Feed]:
    """The feeds that can read a recorded connection.  asked: its address and what was sent on it, as text.

    Raises OperatorError for a venue that is not known.
    """
    module = venue(name)
    told = asked.replace(" ", "")
    for text, path in OTHER_PROTOCOLS.get(name, ()):
        if text in told:
            module = cast(Venue, import_module(path))
    recorded = getattr(module, "recorded", None)
    if recorded is not None:
        return [cast(Feed, recorded(followed, asked))]
    return module.feeds(followed, module.ADDRESS)

"""A generated market as the local exchange's house drives it: fitted order flow around the clients' own orders.

The background is the matching engine's first participant; the house's accounts come after it.
"""

from __future__ import annotations

import numpy as np

from pinnacle.dialects.house import list_at
from pinnacle.dialects.orders import Listing
from pinnacle.kernels.exchange_state import PUBLISH_LEVELS, PUBLISH_TRADES, Exchange
from pinnacle.models.generator import Generator
from pinnacle.run.market import GeneratedMarket


class FlowMarket:
    """One instrument with a generated background; the book it begins with is there before anyone can hear of it."""

    first = 2

    def __init__(
        self,
        listing: Listing,
        generator: Generator,
        seed: int,
        first_ns: int,
        price_ticks: int,
        accounts: int,
        publish: int,
    ) -> None:
        # The background follows the levels, whatever a dialect wants to hear.
        self._market = GeneratedMarket(
            listing.instrument, generator, seed=seed, start_ns=first_ns, price_ticks=price_ticks,
            participants=1 + max(1, accounts), publish=publish | PUBLISH_LEVELS | PUBLISH_TRADES,
        )  # fmt: skip
        record = self.venue.exchange[0]
        record["qty_min_lots"], record["notional_min_units"] = 1, 0
        list_at(self.venue, listing, self.first, accounts)

    @property
    def venue(self) -> Exchange:
        return self._market.exchange

    def submit(self, commands: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Obey the clients' commands, at the time of the last advance or later."""
        return self._market.submit(commands)

    def advance(self, to_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Let the background act up to to_ns."""
        return self._market.advance(to_ns)

"""The dialects by the name that the command line takes: one line each.

They are imported when asked for, so that one dialect's needs are not every command's.
"""

from __future__ import annotations

import difflib
from importlib import import_module

from pinnacle.dialects.dialect import Dialect
from pinnacle.errors import OperatorError

# name -> module:class
DIALECTS = {
    "binance": "pinnacle.dialects.binance:Binance",
    "binance-usdm": "pinnacle.dialects.binance_usdm:BinanceUsdm",
    "coinbase": "pinnacle.dialects.coinbase:Coinbase",
    "coinbase-advanced": "pinnacle.dialects.coinbase_advanced:CoinbaseAdvanced",
    "gemini": "pinnacle.dialects.gemini:Gemini",
}


def dialect_class(name: str) -> type[Dialect]:
    """The dialect of a venue.  Raises OperatorError with what there is."""
    where = DIALECTS.get(name)
    if where is None:
        near = difflib.get_close_matches(name, list(DIALECTS), 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise OperatorError(f"--dialect {name}: no such dialect{meant}; there are {', '.join(DIALECTS)}")
    module, _, attribute = where.partition(":")
    found = getattr(import_module(module), attribute)
    assert issubclass(found, Dialect) and found.name == name
    return found

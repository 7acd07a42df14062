"""What a strategy file imports: its parameters' bounds, the decorator, and how to say what it wants.

A strategy is one file with three names: PARAMS, optionally MEMORY, and `quote`.  See strategies/fixed_spread.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnacle.event import ASK, BID, FOK, IOC, POST_ONLY
from pinnacle.kernels.jit import jit
from pinnacle.kernels.state import NO_PRICE
from pinnacle.kernels.want import hold, want_ask, want_bid, want_order

__all__ = [
    "ASK", "BID", "FOK", "IOC", "NO_PRICE", "POST_ONLY", "Param", "hold", "jit", "want_ask", "want_bid", "want_order",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Param:
    """One number a strategy can be tuned by: the single source of its default, its bounds and its documentation.

    log: the search walks it on a logarithmic scale.  whole: only whole numbers make sense.  search: what `optimize`
    walks unless its config says otherwise: True for low to high, (from, to) for the part of it that makes sense, False
    for a number that is chosen rather than tuned, such as a size, a limit or a warm-up.
    """

    name: str
    default: float
    low: float
    high: float
    unit: str
    about: str
    log: bool = False
    whole: bool = False
    search: tuple[float, float] | bool = True

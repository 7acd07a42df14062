"""What is done about a refusal, by its cause: one table, so that no venue's file decides it by itself.

Nothing is ever sent again because it was refused: the strategy wants anew, from the book as it is then.  What is
decided here is whether it may, when, and whether a person is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnacle.event import HOLD_CLOCK, HOLD_FUNDS, HOLD_HALTED, HOLD_RATE, KILL_MISTAKE, KILL_REFUSED
from pinnacle.venues.private.said import CAUSES


@dataclass(frozen=True, slots=True)
class Reaction:
    """hold: HOLD_*, no quotes for a while.  kill: KILL_*, none any more.  doubt: the outcome is unknown, ask.
    compare: our picture of the account is wrong somewhere, compare it.  counted: among the refusals of which too many
    stop trading."""

    hold: int = 0
    kill: int = 0
    doubt: bool = False
    compare: bool = False
    counted: bool = True


REACTIONS = {
    "": Reaction(),
    "would_cross": Reaction(counted=False),  # the book moved; the next wake quotes it as it is
    "unfilled": Reaction(counted=False),
    "no_liquidity": Reaction(),
    "self_trade": Reaction(counted=False),  # our own quote was in the way: the next wake sees it
    "price_filter": Reaction(),
    "qty_filter": Reaction(),
    "notional_filter": Reaction(),
    "orders_max": Reaction(compare=True),
    "unknown_order": Reaction(doubt=True, counted=False),  # it ended while the request was on its way
    "duplicate": Reaction(doubt=True),  # it is there: look what became of it
    "halted": Reaction(hold=HOLD_HALTED),
    "malformed": Reaction(kill=KILL_MISTAKE),
    "funds": Reaction(hold=HOLD_FUNDS, compare=True),
    "rate_limit": Reaction(hold=HOLD_RATE),
    "clock": Reaction(hold=HOLD_CLOCK),
    "permission": Reaction(kill=KILL_REFUSED),
    "busy": Reaction(hold=HOLD_RATE),
    "amend": Reaction(),
    "outcome_unknown": Reaction(doubt=True, counted=False),
    "other": Reaction(kill=KILL_MISTAKE),
}
assert REACTIONS.keys() == CAUSES.keys()

"""What the private side of any venue says, in one form: steps of orders, balances, and notes on all the rest.

Why not records at once: a fill may come twice (by the stream and by an answer) and must be counted once by its trade
id, an order may not be ours, and a refused request has a cause that decides what to do next.  None of that fits the 64
bytes of a record, and all of it is needed before one is written (`Step.write`).  Nothing is dropped: what is no step
and no balance is a Note, with its kind to count it by.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from pinnacle import limits
from pinnacle.event import (
    END_BUSY,
    END_DUPLICATE,
    END_FUNDS,
    END_MALFORMED,
    END_NO_LIQUIDITY,
    END_NOTIONAL_FILTER,
    END_ORDERS_MAX,
    END_PRICE_FILTER,
    END_QTY_FILTER,
    END_SELF_TRADE,
    END_STATE,
    END_UNFILLED,
    END_UNKNOWN_ORDER,
    END_WOULD_CROSS,
    LAST,
    REASON_SHIFT,
)
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Followed, Rows

# Notes on the dead-man's switch: what was asked of it holds now, or it was not done.
SWITCH_SET, SWITCH_REFUSED = "switch_set", "switch_refused"
# Digits before or behind the point of any fee there is; a number with more is no fee.
_FEE_DIGITS_MAX = 40

# Why a venue refused or ended something: by this name it is decided what to do next.  The number is the record's
# reason; 0 where the record has none of its own.
CAUSES = {
    "": 0,  # the venue gives none
    "would_cross": END_WOULD_CROSS,  # quote again from the book as it is now
    "unfilled": END_UNFILLED,
    "no_liquidity": END_NO_LIQUIDITY,
    "self_trade": END_SELF_TRADE,
    "price_filter": END_PRICE_FILTER,
    "qty_filter": END_QTY_FILTER,
    "notional_filter": END_NOTIONAL_FILTER,
    "orders_max": END_ORDERS_MAX,
    "unknown_order": END_UNKNOWN_ORDER,  # it is gone already: look what became of it
    "duplicate": END_DUPLICATE,  # it is there already: treat it as placed, and look
    "halted": END_STATE,  # wait for the market to open
    "malformed": END_MALFORMED,  # a mistake of ours: stop
    "funds": END_FUNDS,  # balances are not what we think: reconcile
    "rate_limit": END_BUSY,  # wait as long as the venue says
    "clock": 0,  # our clock is off: measure it again before anything else is sent
    "permission": 0,  # the key, its rights or our address: stop, and tell the operator
    "busy": END_BUSY,  # not looked at: the same request with the same id may be sent again
    "amend": 0,  # this order cannot be amended so: cancel and place
    "outcome_unknown": 0,  # it may have been done: ask by client id, never send again blindly
    "other": 0,  # not in our table: stop what asked for it, and tell the operator
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one order's life.

    kind: ORDER_* or *_REJECTED of event.py.  order_id: ours, None for an order that somebody else placed on the same
    account: reported, never adopted.  price_ticks, qty_lots: of the fill, or the order's price and what is or was still
    open.  fee_units: money units, negative for a rebate.  flags: with LAST.  trade_id: by which a fill is counted once,
    0 for none.  done_lots: filled of this order in all by now, which shows a fill that was missed.  cause: of CAUSES.
    """

    kind: int
    followed: Followed
    order_id: int | None
    client_id: str
    venue_id: int
    side: int
    price_ticks: int
    qty_lots: int
    ts_venue_ns: int
    fee_units: int = 0
    flags: int = LAST
    trade_id: int = 0
    done_lots: int = 0
    cause: str = ""

    def write(self, rows: Rows, ts_ns: int) -> None:
        """Append it as a record; of our own orders only."""
        assert self.order_id is not None
        flags = self.flags | CAUSES[self.cause] << REASON_SHIFT
        rows.add(
            self.followed, ts_ns, self.ts_venue_ns, self.kind, self.side, self.price_ticks, self.qty_lots,
            self.fee_units, self.order_id, flags,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds of an asset.  free, locked: decimal text; delta: what it changed by, where that is all."""

    asset: str
    free: str = ""
    locked: str = ""
    delta: str = ""
    ts_venue_ns: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is neither: what to count it by, and the least that a person needs to look into it."""

    what: str
    text: str


Said = Step | Balance | Note


def fee_of(instrument: Instrument, amount: str, asset: str, price_ticks: int) -> tuple[int, Note | None]:
    """(money units, a note) of a fee; rounded against us.

    A fee in the quote currency is exact up to that rounding.  One in the base currency is valued at the fill's price,
    and noted, because it also makes the position smaller than the fills say.  One in any other asset cannot be valued
    here: it counts as 0 and is noted.
    """
    decimal = Decimal(amount or "0")
    if not decimal.is_finite() or abs(decimal.adjusted()) > _FEE_DIGITS_MAX:
        raise ValueError(f"a fee of {amount} {asset}")
    fee = Fraction(decimal)
    if not fee:
        return 0, None
    note = Note("fee_elsewhere", f"{instrument.name}: a fee of {amount} {asset}")
    if asset == instrument.quote:
        value, note_or_none = fee, None
    elif asset == instrument.base:
        value, note_or_none = fee * price_ticks * Fraction(instrument.tick), note
    else:
        return 0, note
    units = -(-value * 10**instrument.money_digits // 1)
    if abs(units) > limits.CASH_UNITS_MAX:
        raise ValueError(f"a fee of {amount} {asset}")
    return int(units), note_or_none

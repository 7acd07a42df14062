"""Position, cash, fees and funding of one instrument, in whole lots and money units.

The sum of fills always equals the position, because both are integers and nothing else changes it.
"""

from __future__ import annotations

from pinnacle.event import MAKER
from pinnacle.kernels.jit import jit
from pinnacle.kernels.state import NO_PRICE
from pinnacle.limits import CASH_UNITS_MAX

PPB = 1_000_000_000


@jit
def fee_units(value_units, rate_ppb):
    """Fee on a value at a rate in parts per 1e9, rounded up: against us, for a fee and for a rebate alike.

    value_units: 0 .. CASH_UNITS_MAX.  The value is split so that no product passes int64.
    """
    whole, rest = value_units // PPB, value_units % PPB
    return whole * rate_ppb - (-(rest * rate_ppb) // PPB)


@jit
def book_fill(own, side, price_ticks, qty_lots, fee, flags):
    """Account for one execution.  False if money would leave its range; then nothing was changed."""
    # In steps, so that no product wraps before it is looked at.
    unit = own["units_per_ticklot"]
    if qty_lots > CASH_UNITS_MAX // unit or price_ticks > CASH_UNITS_MAX // max(1, qty_lots * unit):
        return False
    value = price_ticks * qty_lots * unit
    cash = own["cash_units"] - side * value
    if abs(cash) > CASH_UNITS_MAX or own["turnover_units"] + value > CASH_UNITS_MAX:
        return False
    own["cash_units"] = cash
    own["position_lots"] += side * qty_lots
    own["fees_units"] += fee
    if fee < 0:
        own["rebates_units"] -= fee
    own["turnover_units"] += value
    own["fills"] += 1
    if flags & MAKER:
        own["maker_fills"] += 1
    if side > 0:
        own["bought_lots"] += qty_lots
    else:
        own["sold_lots"] += qty_lots
    return True


@jit
def book_funding(own, rate_ppb, price_ticks):
    """Longs pay a positive rate on the position's value, shorts receive it; rounded against us."""
    position = own["position_lots"]
    value = abs(position) * price_ticks * own["units_per_ticklot"]
    signed_rate = rate_ppb if position > 0 else -rate_ppb
    own["funding_units"] -= fee_units(value, signed_rate)


@jit
def equity2_units(own, mid2_ticks):
    """Twice the equity: cash plus position at the mid, less fees, plus funding.  mid2_ticks: bid + ask."""
    held = 0
    if mid2_ticks != 2 * NO_PRICE:
        held = own["position_lots"] * mid2_ticks * own["units_per_ticklot"]
    return 2 * (own["cash_units"] - own["fees_units"] + own["funding_units"]) + held

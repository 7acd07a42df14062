"""The obvious account: decimals, one fill after another, every sum written out."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal


class AccountNaive:
    """Position, cash, fees and funding in whole units, from exact decimals."""

    def __init__(self, units_per_ticklot: int) -> None:
        self.units = Decimal(units_per_ticklot)
        self.position = self.bought = self.sold = 0
        self.cash = self.fees = self.rebates = self.funding = self.turnover = Decimal(0)

    def fill(self, side: int, price_ticks: int, qty_lots: int, rate_ppb: int) -> Decimal:
        """One execution at a fee rate in parts per 1e9; returns the fee, a whole unit rounded against us."""
        value = Decimal(price_ticks) * qty_lots * self.units
        fee = fee_naive(value, rate_ppb)
        self.cash -= side * value
        self.position += side * qty_lots
        self.fees += fee
        self.rebates += max(Decimal(0), -fee)
        self.turnover += value
        if side > 0:
            self.bought += qty_lots
        else:
            self.sold += qty_lots
        return fee

    def fund(self, rate_ppb: int, price_ticks: int) -> None:
        """Longs pay a positive rate on the value of what they hold; what is paid is rounded up, what comes in down."""
        self.funding -= fee_naive(Decimal(self.position) * price_ticks * self.units, rate_ppb)

    def equity2(self, mid2_ticks: int) -> Decimal:
        """Twice what the account is worth with its position at the mid."""
        return 2 * (self.cash - self.fees + self.funding) + self.position * self.units * mid2_ticks


def fee_naive(value: Decimal, rate_ppb: int) -> Decimal:
    """value * rate, up to the next whole unit: a fee grows by it and a rebate shrinks."""
    return (value * rate_ppb).scaleb(-9).to_integral_value(ROUND_CEILING)

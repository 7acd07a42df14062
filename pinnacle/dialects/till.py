"""The exchange's till: what orders cost, what is held for them, what accounts have: whole units of each currency.

Kept apart from the house's orders and news, which it knows nothing of.  What an order could cost at most is held from
its account while it is open, so that no balance ever goes below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from pinnacle import event as e
from pinnacle.dialects.market import Market
from pinnacle.dialects.orders import Account, Balance, Listing, Order
from pinnacle.dialects.views import levels
from pinnacle.event import BUY
from pinnacle.kernels.account import PPB


class Till:
    """fees_in: whether a fee is taken from what an execution brings, or always in quote currency.  fees_taken: by
    currency."""

    def __init__(
        self,
        listings: Sequence[Listing],
        accounts: Sequence[Account],
        markets: Sequence[Market],
        fees_in: Literal["received", "quote"],
    ) -> None:
        self.listings, self.accounts, self.markets = list(listings), list(accounts), list(markets)
        self.fees_in = fees_in
        self.digits = self._currency_digits()
        for account in self.accounts:
            for currency in self.digits:
                account.balances.setdefault(currency, Balance())
        self.fees_taken: dict[str, int] = dict.fromkeys(self.digits, 0)

    def levels(self, instrument: int, side: int, depth: int = 0) -> list[tuple[int, int]]:
        """(price_ticks, lots), best first, at most `depth` (0: all).  It is the book as of `sequence(instrument)`."""
        return levels(self.markets[instrument].venue, side, depth)

    def _currency_digits(self) -> dict[str, int]:
        """Decimals of each currency: enough for every instrument's money and lots, in sequence of listing."""
        digits: dict[str, int] = {}
        for listing in self.listings:
            one = listing.instrument
            lot_digits = max(0, -int((one.lot * one.contract).normalize().as_tuple().exponent))
            digits[one.base] = max(digits.get(one.base, 9), lot_digits)
            digits[one.quote] = max(digits.get(one.quote, 9), one.money_digits)
        return digits

    def amount(self, currency: str, units: int) -> Decimal:
        """Units of a currency as a decimal number, exact."""
        return Decimal(units).scaleb(-self.digits[currency])

    def units(self, currency: str, amount: Decimal) -> int:
        """A decimal amount as units, cut below the last."""
        return int(amount.scaleb(self.digits[currency]))

    def deposit(self, account: int, currency: str, amount: Decimal) -> None:
        """Put money into an account."""
        self.accounts[account - 1].balances[currency].total_units += self.units(currency, amount)

    def money(self, instrument: int, price_ticks: int, lots: int) -> int:
        """Value in units of the quote currency."""
        one = self.listings[instrument].instrument
        return price_ticks * lots * one.units_per_ticklot * 10 ** (self.digits[one.quote] - one.money_digits)

    def base_units(self, instrument: int, lots: int) -> int:
        """Lots in units of the base currency."""
        one = self.listings[instrument].instrument
        return int(lots * one.lot * one.contract * 10 ** self.digits[one.base])

    def rates(self, account: int, instrument: int) -> tuple[int, int]:
        """(maker, taker) fee of an account, parts per 1e9."""
        fees = self.listings[instrument].fees
        return fees[min(self.accounts[account - 1].tier, len(fees) - 1)]

    def _pays_with(self, order: Order) -> str:
        one = self.listings[order.instrument].instrument
        return one.quote if order.side == BUY else one.base

    def _need(self, order: Order, lots: int) -> int:
        """Units of the currency it pays with that `lots` at its price could cost at most."""
        if order.side != BUY:
            return self.base_units(order.instrument, lots)
        if order.flags & e.MARKET:
            value = self.cost(order.instrument, BUY, lots, order.price_ticks)[0]
        else:
            value = self.money(order.instrument, order.price_ticks, lots)
        if self.fees_in == "received":
            return value
        rate = max(0, *self.rates(order.account, order.instrument))
        # Each execution rounds its fee up by less than a unit, and there are at most `lots` of them.
        return value + fee_of(value, rate) + (lots if rate else 0)

    def cost(self, instrument: int, side: int, lots: int, limit_ticks: int = 0) -> tuple[int, int]:
        """(value in quote units, lots) of what an order would take now from the book, at limit_ticks or better."""
        value = taken = 0
        for price, there in self.levels(instrument, -side):
            if taken == lots or (limit_ticks and (price - limit_ticks) * side > 0):
                break
            some = min(lots - taken, there)
            value += self.money(instrument, price, some)
            taken += some
        return value, taken

    def lots_for(self, instrument: int, side: int, quote_units: int) -> int:
        """Lots that an order worth quote_units would take now from the book."""
        lots = 0
        for price, there in self.levels(instrument, -side):
            one = self.money(instrument, price, 1)
            some = min(there, quote_units // one)
            lots += some
            quote_units -= some * one
            if some < there:
                break
        return lots

    def _hold(self, order: Order, units: int) -> None:
        balance = self.accounts[order.account - 1].balances[self._pays_with(order)]
        balance.held_units += units - order.held_units
        order.held_units = units

    def _free(self, order: Order) -> int:
        return self.accounts[order.account - 1].balances[self._pays_with(order)].free_units + order.held_units


def fee_of(value_units: int, rate_ppb: int) -> int:
    """Fee on a value at parts per 1e9, rounded up: as the matching engine's own, but of any size."""
    return -(-value_units * rate_ppb // PPB)

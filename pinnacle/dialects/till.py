"""The exchange's till: what orders cost, what is held for them, what accounts have: whole units of each currency.

Kept apart from the house's orders and news, which it knows nothing of.  What an order could cost at most is held from
its account while it is open, so that no balance ever goes below zero.

On margin an account holds positions instead, and a share of their worth of the quote currency is held for them and for
the orders that could make them larger.  What is not kept there: funding, and liquidation, so a balance may go below
zero; the share is the same for all sizes; and of several orders that each reduce a position, each is taken to be alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from pinnacle import event as e
from pinnacle.dialects.market import Market
from pinnacle.dialects.orders import Account, Balance, Listing, Order, Position
from pinnacle.dialects.views import levels
from pinnacle.event import BUY
from pinnacle.kernels.account import PPB


class Till:
    """fees_in: whether a fee is taken from what an execution brings, or always in quote currency.  fees_taken: by
    currency.  leverage: of all positions, where trading is on margin (`trade_on_margin`), else 0."""

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
        self.leverage = 0
        self._positions = [[Position() for _ in self.listings] for _ in range(len(self.accounts) + 1)]

    def trade_on_margin(self, leverage: int) -> None:
        """From now on executions make positions, and fees and what is won go to the quote currency."""
        assert leverage > 0 and not any(
            account.balances[c].held_units for account in self.accounts for c in self.digits
        )
        self.leverage, self.fees_in = leverage, "quote"

    def position(self, account: int, instrument: int) -> Position:
        """What an account holds of an instrument, on margin."""
        return self._positions[account][instrument]

    def unrealised(self, account: int, instrument: int) -> int:
        """Units of the quote currency that a position would win at the middle of the book; 0 where there is none."""
        held = self._positions[account][instrument]
        best = [self.levels(instrument, side, 1) for side in (1, -1)]
        if not held.lots or not all(best):
            return 0
        twice = self.money(instrument, sum(level[0][0] for level in best), held.lots)
        return twice // 2 - (held.cost_units if held.lots > 0 else -held.cost_units)

    def margin(self, account: int, currency: str) -> tuple[int, int]:
        """(unrealised, held for positions) units of a quote currency."""
        won = held = 0
        for k, listing in enumerate(self.listings):
            if listing.instrument.quote == currency and self._positions[account][k].lots:
                won += self.unrealised(account, k)
                held += -(-self._positions[account][k].cost_units // self.leverage)
        return won, held

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
        return one.quote if order.side == BUY or self.leverage else one.base

    def _opening(self, order: Order, lots: int) -> int:
        """How many of an order's lots could make its account's position larger."""
        if order.flags & e.REDUCE:
            return 0
        against = -order.side * self._positions[order.account][order.instrument].lots
        return lots - min(lots, max(0, against))

    def _need_margin(self, order: Order, lots: int) -> int:
        """As `_need`, on margin: the share of what it could open, and the fee."""
        opening = self._opening(order, lots)
        if not opening:
            return 0
        if order.flags & e.MARKET:
            value = self.cost(order.instrument, order.side, opening, order.price_ticks)[0]
        else:
            value = self.money(order.instrument, order.price_ticks, opening)
        rate = max(0, *self.rates(order.account, order.instrument))
        return -(-value // self.leverage) + fee_of(value, rate) + (opening if rate else 0)

    def _book(self, order: Order, price_ticks: int, lots: int, maker: bool) -> tuple[int, str, int]:
        """Take an execution into its account: (fee units, their currency, what closing won in quote units)."""
        one = self.listings[order.instrument].instrument
        value, base = self.money(order.instrument, price_ticks, lots), self.base_units(order.instrument, lots)
        rate = self.rates(order.account, order.instrument)[0 if maker else 1]
        in_base = self.fees_in == "received" and order.side == BUY
        currency = one.base if in_base else one.quote
        fee = fee_of(base if in_base else value, rate)
        balances = self.accounts[order.account - 1].balances
        won = 0
        if self.leverage:
            won = self._positions[order.account][order.instrument].trade(order.side, lots, value)
            balances[one.quote].total_units += won
        else:
            balances[one.base].total_units += order.side * base
            balances[one.quote].total_units -= order.side * value
        balances[currency].total_units -= fee
        self.fees_taken[currency] += fee
        order.fees[currency] = order.fees.get(currency, 0) + fee
        return fee, currency, won

    def _need(self, order: Order, lots: int) -> int:
        """Units of the currency it pays with that `lots` at its price could cost at most."""
        if self.leverage:
            return self._need_margin(order, lots)
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

    def free_units(self, account: int, currency: str) -> int:
        """What an account may still use of a currency; on margin with what its positions won or lost."""
        free = self.accounts[account - 1].balances[currency].free_units
        if not self.leverage:
            return free
        won, held = self.margin(account, currency)
        return free + won - held

    def _free(self, order: Order) -> int:
        return self.free_units(order.account, self._pays_with(order)) + order.held_units


def fee_of(value_units: int, rate_ppb: int) -> int:
    """Fee on a value at parts per 1e9, rounded up: as the matching engine's own, but of any size."""
    return -(-value_units * rate_ppb // PPB)

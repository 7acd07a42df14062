"""The account: whole units against exact decimals, every rounding against us, and no sum that wraps in silence."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import ASK, BID, MAKER
from pinnacle.kernels import account
from pinnacle.kernels.state import NO_PRICE, OWN
from pinnacle.limits import CASH_UNITS_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX
from tests.kernels.scene import Scene, ask, bid, cleared, funded, market, wake
from tests.naive.account_naive import AccountNaive, fee_naive

SIDES = st.sampled_from((BID, ASK))
FILL = st.tuples(SIDES, st.integers(1, 10**7), st.integers(1, 10**5), st.integers(-(10**6), 10**7))
FUND = st.tuples(st.just(0), st.integers(1, 10**7), st.integers(-(10**8), 10**8), st.just(0))


def new_own(units=1):
    """An account that has done nothing; returns the array that owns it and the record."""
    owner = np.zeros(1, OWN)
    owner[0]["units_per_ticklot"] = units
    return owner, owner[0]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 1000), st.lists(st.one_of(FILL, FUND), max_size=40))
def test_equals_decimals(units, steps):
    """After every fill and funding, of either sign, the account is the one that exact decimals give."""
    with localcontext(Context(prec=60)):
        _owner, own = new_own(units)
        naive = AccountNaive(units)
        for side, price, amount, rate in steps:
            if side:
                fee = naive.fill(side, price, amount, rate)
                paid = account.fee_units(price * amount * units, rate)
                assert paid == fee
                assert account.book_fill(own, side, price, amount, paid, MAKER if rate < 0 else 0)
            else:
                naive.fund(amount, price)
                account.book_funding(own, amount, price)
            for field in ("cash", "fees", "rebates", "funding", "turnover"):
                assert own[f"{field}_units"] == getattr(naive, field)
            assert own["position_lots"] == naive.position == own["bought_lots"] - own["sold_lots"]
            assert (own["bought_lots"], own["sold_lots"]) == (naive.bought, naive.sold)
            assert account.equity2_units(own, 12_345) == naive.equity2(12_345)
        assert own["fills"] == sum(1 for step in steps if step[0])
        assert own["maker_fills"] == sum(1 for step in steps if step[0] and step[3] < 0)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, CASH_UNITS_MAX), st.integers(-(10**9), 10**9))
def test_fee_is_exact_and_against_us(value, rate):
    """A fee over the whole range of money is the exact product, up to the next unit: fees grow, rebates shrink."""
    with localcontext(Context(prec=60)):
        assert account.fee_units(value, rate) == fee_naive(Decimal(value), rate)


@pytest.mark.parametrize(
    "value, rate, fee", [(1, 1, 1), (1, -1, 0), (10**9, 1, 1), (10**9 + 1, 1, 2), (10**9 + 1, -1, -1), (0, 5, 0)]
)
def test_fee_of_little_is_still_against_us(value, rate, fee):
    """The smallest fee is one unit, the smallest rebate none."""
    assert account.fee_units(value, rate) == fee


def test_money_beyond_its_range_is_refused():
    """A fill that would take cash or turnover out of range is refused and changes no byte, on either side."""
    owner, own = new_own()
    assert account.book_fill(own, BID, 1 << 30, 1 << 31, 0, 0)
    assert own["cash_units"] == -CASH_UNITS_MAX
    for side in (BID, ASK):  # turnover never falls, so even the fill that brings the cash back is too much
        before = owner.tobytes()
        assert not account.book_fill(own, side, 1, 1, 5, MAKER)
        assert owner.tobytes() == before


@pytest.mark.parametrize("price, lots, units", [(1 << 39, 1 << 25, 1), (1 << 39, 1 << 51, 1), (1 << 32, 1 << 31, 3)])
def test_value_that_wraps_is_refused(price, lots, units):
    """A fill whose value alone passes 64 bits is refused as well: a venue may say anything within the limits."""
    assert price < PRICE_TICKS_MAX and lots < QTY_LOTS_MAX and price * lots * units > CASH_UNITS_MAX
    owner, own = new_own(units)
    before = owner.tobytes()
    assert not account.book_fill(own, BID, price, lots, 0, 0)
    assert owner.tobytes() == before


def test_no_mid_values_the_cash_alone():
    """Without a price on either side what is held is worth nothing yet, and the cash is what it is."""
    _owner, own = new_own()
    account.book_fill(own, BID, 100, 3, 1, 0)
    assert account.equity2_units(own, 2 * NO_PRICE) == 2 * (-300 - 1)


@pytest.mark.parametrize("side", [BID, ASK, 0])
def test_funding_without_a_mid_moves_no_absurd_money(side):
    """Funding that names no price, heard while a side of the book is empty, cannot take the middle of nothing."""
    ran = Scene({100: [(BID, 101, 5, 32)]})
    ran.venue["fill_model"] = 1
    book = (bid(1, 99, 5), bid(2, 98, 5), ask(3, 101, 5), ask(4, 102, 5))
    ran.run(market(*book, wake(100), cleared(400, side, 0), funded(500, 10_000_000), wake(900)))
    assert ran.own["position_lots"] == 5
    assert abs(int(ran.own["funding_units"])) < 1_000

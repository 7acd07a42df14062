"""The house: money is conserved and never below zero, orders have one fate, and what everyone hears is the book."""

from __future__ import annotations

import random
from decimal import Decimal

import numpy as np
import pytest

from pinnacle import event as e
from pinnacle.dialects.binance import Binance
from pinnacle.dialects.market import Batch
from pinnacle.dialects.orders import LIVE, Happened, Refused, Status, Update, Why
from pinnacle.event import BUY, SELL
from pinnacle.kernels.venue import STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NONE
from tests.dialects.rig import NS, Rig

MIDDLE = 6_000_000
SYMBOLS = ("BTCUSD", "ETHUSD")


class Ears:
    """Hears everything: builds levels from batches, and counts updates."""

    def __init__(self) -> None:
        self.levels: dict[tuple[int, int, int], int] = {}
        self.sequence: dict[int, int] = {}
        self.updates: list[tuple[int, Happened, int]] = []
        self.queues: dict[int, dict[int, tuple[int, int, int]]] = {}

    def market(self, batch: Batch) -> None:
        assert batch.first_sequence == self.sequence.get(batch.instrument, 0) + 1
        self.sequence[batch.instrument] = batch.last_sequence
        for event in batch.events(e.BOOK_LEVEL):
            key = (batch.instrument, event.side, event.price_ticks)
            self.levels[key] = event.qty_lots
            if event.qty_lots == 0:
                del self.levels[key]

    def private(self, update: Update) -> None:
        self.updates.append((update.number, update.what, update.order.id))


def quiet(fees_in: str = "quote") -> Rig:
    rig = Rig(Binance, SYMBOLS)
    rig.house.fees_in = fees_in  # type: ignore[assignment]
    return rig


def play(rig: Rig, seed: int, count: int) -> None:
    """Random commands of both accounts; refusals are part of it."""
    draw, house = random.Random(seed), rig.house
    for k in range(count):
        rig.now_ns += draw.randrange(1, NS // 100)
        house.advance(rig.now_ns)
        account, instrument = draw.choice((1, 2)), draw.choice((0, 1))
        middle = MIDDLE if instrument == 0 else 300_000
        mine = house.open_orders(account, instrument)
        try:
            if draw.random() < 0.6 or not mine:
                flags = draw.choice((0, 0, 0, e.POST_ONLY, e.IOC, e.FOK, e.MARKET))
                price = 0 if flags == e.MARKET else middle + draw.randrange(-30, 31)
                house.place(
                    account, instrument, draw.choice((BUY, SELL)), draw.choice((100, 1_000, 40_000, 10_000_000)), price,
                    flags, f"c{k}", draw.choice((None, STP_NONE, STP_EXPIRE_MAKER, STP_EXPIRE_BOTH, STP_EXPIRE_TAKER)),
                )  # fmt: skip
            elif draw.random() < 0.5:
                house.cancel(draw.choice(mine))
            elif draw.random() < 0.9:
                house.replace(draw.choice(mine), middle + draw.randrange(-30, 31), draw.randrange(1, 50_000))
            else:
                house.cancel_all(account, instrument)
        except Refused:
            pass


@pytest.mark.parametrize("fees_in", ["quote", "received"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_money_is_conserved(fees_in: str, seed: int) -> None:
    """Whatever two accounts do with each other, their money and the fees taken sum to what was paid in; none is below
    zero, free or in all, and what is held is what open orders need.  seed: the parameter."""
    rig = quiet(fees_in)
    house = rig.house
    before = {c: sum(a.balances[c].total_units for a in house.accounts) for c in house.digits}
    for _ in range(20):
        play(rig, seed, 40)
        seed += 1000
        for currency, total in before.items():
            here = sum(account.balances[currency].total_units for account in house.accounts)
            assert here + house.fees_taken[currency] == total
        for account in house.accounts:
            for currency, balance in account.balances.items():
                held = [o.held_units for o in house.open_orders(account.index) if house._pays_with(o) == currency]
                assert balance.free_units >= 0 and balance.held_units == sum(held)
    assert any(house.fees_taken.values())


def test_the_others_have_what_the_accounts_gave() -> None:
    """Against a background, what an account bought is what the others sold, less what they bought."""
    rig = Rig(Binance, SYMBOLS, per_s=2_000)
    for k in range(30):
        rig.step(NS // 50)
        side = BUY if k % 3 else SELL
        rig.house.place(1, 0, side, 500, 0, e.MARKET)
    people = rig.house.markets[0].venue.participants
    others = people[3:]
    mine = int(people[1]["bought_lots"]) - int(people[1]["sold_lots"])
    assert mine == int(others["sold_lots"].sum()) - int(others["bought_lots"].sum())
    fees = rig.accounts[0].balances["BTC"].total_units - rig.house.units("BTC", Decimal(10))
    assert fees == rig.house.base_units(0, mine) - rig.house.fees_taken["BTC"]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_everyone_heard_is_the_book(seed: int) -> None:
    """Levels built from batches, whose numbers have no gap, equal the house's views, and those sum the queues."""
    rig = Rig(Binance, SYMBOLS, per_s=1_000, seed=seed)
    ears = Ears()
    rig.house.listeners.append(ears)
    fresh = Rig(Binance, SYMBOLS)
    assert fresh.house.levels(0, BUY) == []
    rig.house.advance(rig.now_ns)
    # What was there before the ears were.
    for instrument in (0, 1):
        ears.sequence[instrument] = rig.house.sequence(instrument)
        for side in (BUY, SELL):
            ears.levels |= {(instrument, side, p): n for p, n in rig.house.levels(instrument, side)}
    for _ in range(5):
        rig.step(NS // 20)
        play(rig, seed, 30)
        for instrument in (0, 1):
            for side in (BUY, SELL):
                levels = rig.house.levels(instrument, side)
                heard = [(p, n) for (i, s, p), n in ears.levels.items() if (i, s) == (instrument, side)]
                assert levels == sorted(heard, reverse=side == BUY)
                assert rig.house.levels(instrument, side, 3) == levels[:3]
                sums: dict[int, int] = {}
                for _, price, lots in rig.house.resting(instrument, side):
                    sums[price] = sums.get(price, 0) + lots
                assert list(sums.items()) == levels
    numbers = [number for number, _, _ in ears.updates]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_an_order_has_one_fate() -> None:
    """Each order is accepted at most once, ends at most once, and nothing is said of it afterwards."""
    rig = quiet()
    ears = Ears()
    rig.house.listeners.append(ears)
    play(rig, 7, 400)
    ends = (Happened.CANCELLED, Happened.EXPIRED, Happened.REJECTED)
    for order_id in {one for _, _, one in ears.updates}:
        story = [what for _, what, one in ears.updates if one == order_id]
        assert story.count(Happened.ACCEPTED) <= 1
        assert all(what not in ends for what in story[:-1])
        order = rig.house.order(1, order_id) or rig.house.order(2, order_id)
        if order is not None and order.status is Status.FILLED:
            assert story[-1] is Happened.FILLED and order.filled_lots == order.qty_lots
        if order is not None and order.status in LIVE:
            assert order in rig.house.open_orders(order.account)


def test_refusals_change_nothing() -> None:
    """Too little money, a client id in use, a price outside, no quantity: each has its reason, and nothing is left."""
    rig = quiet()
    house = rig.house
    first = house.place(1, 0, BUY, 100, MIDDLE - 10, client_id="one")
    before = [(b.total_units, b.held_units) for b in rig.accounts[0].balances.values()]
    for why, arguments in (
        (Why.CLIENT_ID, (1, 0, BUY, 100, MIDDLE - 10, 0, "one")),
        (Why.FUNDS, (1, 0, BUY, 10_000_000, MIDDLE)),
        (Why.FUNDS, (1, 0, SELL, 1_000_001, MIDDLE)),
        (Why.PRICE, (1, 0, BUY, 100, 100)),
        (Why.QTY, (1, 0, BUY, 0, MIDDLE)),
        (Why.NOTIONAL, (1, 0, BUY, 1, MIDDLE)),
    ):
        with pytest.raises(Refused) as found:
            house.place(*arguments)  # type: ignore[arg-type]
        assert found.value.why is why
    for why, act in (
        (Why.FUNDS, lambda: house.replace(first, MIDDLE, 9_000_000)),
        (Why.PRICE, lambda: house.replace(first, 1, 100)),
    ):
        with pytest.raises(Refused) as found:
            act()
        assert found.value.why is why
    assert [(b.total_units, b.held_units) for b in rig.accounts[0].balances.values()] == before
    assert house.open_orders(1) == [first]
    house.cancel(first)
    with pytest.raises(Refused):
        house.cancel(first)
    house.set_state(0, e.STATE_HALTED)
    with pytest.raises(Refused) as found:
        house.place(1, 0, BUY, 100, MIDDLE)
    assert found.value.why is Why.STATE


def test_stepping_in_any_parts_is_the_same() -> None:
    """The background's events do not depend on how time is cut, and clients' commands at equal times get equal ids."""
    books = []
    for parts in (1, 7):
        rig = Rig(Binance, SYMBOLS, per_s=500, seed=3)
        heard: list[bytes] = []

        class All(Ears):
            def market(self, batch: Batch) -> None:
                if batch.instrument == 0:
                    heard.extend(row.tobytes() for row in batch.rows)  # noqa: B023

        rig.house.listeners.append(All())
        for k in range(4):
            begin = rig.now_ns
            for part in range(1, parts + 1):
                rig.house.advance(begin + NS * part // (10 * parts))
            rig.now_ns = rig.house.now_ns
            rig.house.place(1, 0, BUY, 100 + k, 0, e.MARKET)
        books.append(heard)
    assert books[0] == books[1] and len(books[0]) > 200


def test_memory_of_ended_orders_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many ended orders are remembered; the oldest are forgotten, and open ones never."""
    from pinnacle.dialects import house as module

    monkeypatch.setattr(module, "HOUSE_ENDED_ORDERS_MAX", 10)
    rig = quiet()
    kept = rig.house.place(1, 0, BUY, 100, MIDDLE - 500)
    for k in range(50):
        rig.house.cancel(rig.house.place(1, 0, BUY, 100, MIDDLE - 100 - k))
    assert len(rig.house.ended_orders(1)) == 10 == len(rig.house._ended)
    assert rig.house.order(1, kept.id) is kept
    assert not np.any([rig.house.order(2, o.id) for o in rig.house.ended_orders(1)])

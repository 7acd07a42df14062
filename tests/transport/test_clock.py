"""The clock rises always, follows the wall, and tells of a jump once."""

from __future__ import annotations

import itertools
import random

from pinnacle.transport.clock import JUMP_NS, SLEW, Clock

SECOND = 1_000_000_000


class Hands:
    """A wall clock and a steady one in the hand."""

    def __init__(self) -> None:
        self.wall_ns, self.steady_ns = 1_700_000_000 * SECOND, 5 * SECOND

    def clock(self, floor_ns: int = 0) -> Clock:
        return Clock(floor_ns, lambda: self.wall_ns, lambda: self.steady_ns)

    def pass_(self, ns: int) -> None:
        self.wall_ns += ns
        self.steady_ns += ns


def test_it_never_goes_back_whatever_the_wall_does(seed: int) -> None:
    """Random steps of the wall clock, checks in between: every reading is at least the one before."""
    chance, hands = random.Random(seed), Hands()
    clock, before = hands.clock(), 0
    for _ in range(3000):
        hands.pass_(chance.randrange(SECOND))
        if chance.random() < 0.1:
            hands.wall_ns += chance.randrange(-20 * SECOND, 20 * SECOND)
        if chance.random() < 0.5:
            clock.check()
        now = clock.now_ns()
        assert now >= before
        before = now


def test_a_jump_is_told_once_and_a_step_ahead_is_followed() -> None:
    """A step of the wall clock beyond JUMP_NS is told by one check; ahead it is followed at once, back it is not."""
    hands = Hands()
    clock = hands.clock()
    hands.wall_ns += 3 * SECOND
    assert clock.check() == 3 * SECOND and clock.now_ns() == hands.wall_ns
    hands.pass_(SECOND)
    assert clock.check() == 0
    hands.wall_ns -= 2 * SECOND
    assert clock.check() < -JUMP_NS and clock.now_ns() > hands.wall_ns
    hands.pass_(SECOND)
    assert clock.check() == 0 and clock.jumps == 2


def test_a_small_difference_is_worked_off() -> None:
    """A drift below a jump disappears at no more than SLEW of the time that passes."""
    hands = Hands()
    clock = hands.clock()
    hands.wall_ns += 10_000_000
    away = []
    for _ in range(100):
        hands.pass_(SECOND)
        assert clock.check() == 0
        away.append(abs(hands.wall_ns - clock.now_ns()))
    assert away[-1] == 0 and max(a - b for a, b in itertools.pairwise(away)) <= SLEW * SECOND + 1


def test_it_starts_above_its_floor() -> None:
    """A log whose last record is ahead of the wall clock is not preceded."""
    hands = Hands()
    floor = hands.wall_ns + 60 * SECOND
    assert hands.clock(floor).now_ns() >= floor

"""A feed's own book knows its best prices and whether they cross, as two sets of prices would."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import ASK, BID, BOOK_LEVEL, EVENT, LAST
from pinnacle.kernels.own_book import OWN_BOOK, OWN_TICKS, follow

LEVEL = st.tuples(st.sampled_from([BID, ASK]), st.integers(-70, 70) | st.integers(-5000, 5000), st.integers(0, 2))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(LEVEL, max_size=12), max_size=12), st.sampled_from([10_000, OWN_TICKS, 7 * OWN_TICKS + 63]))
def test_crossed_is_what_two_sets_say(messages, middle):
    """After each message, with prices anywhere in the window and of any word's border: aux, LAST and the verdict."""
    own = np.zeros(1, OWN_BOOK)
    own["best"] = -1
    sides: dict[int, set[int]] = {BID: set(), ASK: set()}
    for number, message in enumerate(messages, 1):
        rows = np.zeros(len(message), EVENT)
        rows["kind"] = BOOK_LEVEL
        for row, (side, offset, lots) in zip(rows, message):
            row["side"], row["price_ticks"], row["qty_lots"] = side, middle + offset, lots
            (sides[side].add if lots else sides[side].discard)(middle + offset)
        crossed = follow(rows, 0, rows.size, number, True, own)
        assert bool(crossed) == bool(sides[BID] and sides[ASK] and max(sides[BID]) >= min(sides[ASK]))
        assert (rows["aux"] == number).all() and rows["flags"].tolist() == [0] * (rows.size - 1) + [LAST] * bool(
            message
        )


def test_the_window_goes_where_the_market_goes():
    """A price better than the window holds begins it anew; one far behind the market is left aside."""
    own = np.zeros(1, OWN_BOOK)
    own["best"] = -1

    def say(side, price, lots=1):
        rows = np.zeros(1, EVENT)
        rows["kind"], rows["side"], rows["price_ticks"], rows["qty_lots"] = BOOK_LEVEL, side, price, lots
        return follow(rows, 0, 1, 0, True, own)

    start = 4 * OWN_TICKS
    assert say(BID, start) == 0 and say(ASK, start + 10) == 0
    assert say(ASK, start + 3 * OWN_TICKS) == 0  # far behind: not kept
    assert say(BID, start + 2 * OWN_TICKS) == 0  # the old ask is beyond the new window
    assert say(ASK, start + 2 * OWN_TICKS) == 1
    assert say(ASK, start + 2 * OWN_TICKS, 0) == 0

"""A book as records tell it, beside a plain one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.log.told_book import ToldBook


@given(st.lists(st.tuples(st.sampled_from((e.BID, e.ASK)), st.integers(1, 9), st.integers(0, 3), st.booleans())))
def test_the_best_price_is_that_of_a_plain_book(steps: list[tuple[int, int, int, bool]]) -> None:
    """Levels set, removed and cleared up to a price: the best of each side as a list of levels has it."""
    told, plain = ToldBook(), {e.BID: {}, e.ASK: {}}  # type: ignore[var-annotated]
    rows = e.empty(len(steps))
    for row, (side, price, lots, clears) in zip(rows, steps):
        row["kind"], row["side"], row["price_ticks"] = e.BOOK_CLEAR if clears else e.BOOK_LEVEL, side, price
        row["qty_lots"] = lots
        if clears:
            plain[side] = {p: q for p, q in plain[side].items() if side * p < side * price}
        else:
            plain[side][price] = lots
    for row in rows:
        told.hear(row)
    for side, pick in ((e.BID, max), (e.ASK, min)):
        there = [price for price, lots in plain[side].items() if lots]
        assert told.best(side) == (pick(there) if there else None)

"""The obvious reconciliation: two lists a side, what they have in common is kept, the rest goes and comes."""

from __future__ import annotations

from collections.abc import Sequence

Quote = tuple[int, int, int]  # side, price_ticks, qty_lots


def commands_naive(working: Sequence[tuple[int, Quote]], wanted: Sequence[Quote]) -> tuple[list[int], list[Quote]]:
    """(ids to cancel, quotes to place) by which working orders become what is wanted, buys first.

    working: (order id, its side, price and open lots), oldest first, one at a price at most.  An order is kept if its
    price is wanted with at least its open lots.  A place waits for the cancel that makes room for it, so a side never
    has more orders than wants.
    """
    cancels: list[int] = []
    places: list[Quote] = []
    for side in (1, -1):
        mine = [(order_id, quote) for order_id, quote in working if quote[0] == side]
        wants = [quote for quote in wanted if quote[0] == side and quote[2] > 0]
        kept = {
            order_id: want for order_id, quote in mine for want in wants if want[1] == quote[1] and quote[2] <= want[2]
        }
        cancels += [order_id for order_id, _ in mine if order_id not in kept]
        missing = [want for want in wants if want not in kept.values()]
        places += missing[: max(0, len(wants) - len(mine))]
    return cancels, places

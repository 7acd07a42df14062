"""The obvious order-by-order checker: JSON, Decimals and dictionaries, a sort for every comparison."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import defaultdict
from decimal import Decimal


def bitstamp_tops(path, changes_add=True):
    """(our levels, the venue's levels) for bids and asks at each of the venue's books; deleted ids are remembered.

    changes_add: the change of an unknown order adds it.
    """
    orders, deleted, out = {}, set(), []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        _, word, body = line.split(" ", 2)
        message = json.loads(body)
        if word == "order_book":
            said = [[(Decimal(p), Decimal(q)) for p, q in message[key]] for key in ("bids", "asks")]
            out.append(
                [(levels(orders.values(), side)[: len(side_said)], side_said) for side, side_said in enumerate(said)]
            )
        elif word == "order_deleted":
            orders.pop(message["id"], None)
            deleted.add(message["id"])
        elif word in ("order_created", "order_changed") and message["id"] not in deleted:
            if word == "order_created" or message["id"] in orders or changes_add:
                orders[message["id"]] = (message["order_type"], Decimal(message["price"]), Decimal(message["amount"]))
    return out


def levels(orders, side):
    """(price, quantity) of a side of (side, price, quantity) orders, best first; side 0 is the bids."""
    total = defaultdict(Decimal)
    for its_side, price, qty in orders:
        if its_side == side:
            total[price] += qty
    return sorted(total.items(), reverse=side == 0)


def rates_by_fifth(tops, depth):
    """Share of the comparisons equal to a depth on both sides, in each fifth of them."""
    equal = [all(ours[:depth] == said[:depth] for ours, said in sides) for sides in tops]
    bounds = [len(equal) * n // 5 for n in range(6)]
    return [sum(equal[a:b]) / (b - a) for a, b in itertools.pairwise(bounds)]


def coinbase_levels(rows):
    """{price: (quantity, number of orders)} of one side of a level 3 snapshot."""
    out = {}
    for price, qty, _ in rows:
        before = out.get(Decimal(price), (Decimal(0), 0))
        out[Decimal(price)] = (before[0] + Decimal(qty), before[1] + 1)
    return out

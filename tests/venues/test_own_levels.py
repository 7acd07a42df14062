"""The short ways of a feed's levels say what the long ways say, and see every crossed book."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import numpy as np
import pytest

from pinnacle.event import ASK, BID, BOOK_LEVEL
from pinnacle.instrument import Instrument
from pinnacle.kernels.own_levels import OWN, hear_levels
from pinnacle.limits import OWN_LEVELS_MAX
from pinnacle.venues.coinbase import CoinbaseFeed
from pinnacle.venues.feed import Followed, Malformed, Rows
from pinnacle.venues.iso import iso_of_ns, ns_of_iso

INSTRUMENT = Instrument("coinbase", "A-B", Decimal("0.05"), Decimal("0.001"))


@pytest.mark.parametrize("seed", range(20))
def test_a_crossed_book_is_seen(seed):
    """Random books of random messages: crossed exactly when plain sets of prices are."""
    print("seed", seed)
    chance = random.Random(seed)
    own, rows = np.zeros(1, OWN), Rows()
    plain = {BID: set(), ASK: set()}
    for _ in range(60):
        begin = rows.count
        for _ in range(chance.choice([1, 2, 50])):
            side, lots = chance.choice([BID, ASK]), chance.choice([0, 0, 1])
            ticks = chance.randrange(50, 101) if side == BID else chance.randrange(99, 150)
            rows.add(Followed(INSTRUMENT, 0, 0), 1, 1, BOOK_LEVEL, side, ticks, lots, flags=0)
            (plain[side].add if lots else plain[side].discard)(ticks)
        crossed = bool(plain[BID] and plain[ASK] and max(plain[BID]) >= min(plain[ASK]))
        assert bool(hear_levels(rows.events, begin, rows.count, 7, own)) == crossed
        assert (rows.events["aux"][begin : rows.count] == 7).all()
        for s, side in enumerate((BID, ASK)):
            assert own[0]["keys"][s, : own[0]["count"][s]].tolist() == sorted(side * ticks for ticks in plain[side])


@pytest.mark.parametrize("best_first", [True, False])
def test_more_levels_than_are_kept(best_first):
    """A whole book larger than the bound keeps the prices nearest the best, in whatever order it comes."""
    own, rows = np.zeros(1, OWN), Rows()
    prices = range(5000, 5000 - 2 * OWN_LEVELS_MAX, -1)
    for ticks in prices if best_first else reversed(prices):
        rows.add(Followed(INSTRUMENT, 0, 0), 1, 1, BOOK_LEVEL, BID, ticks, 1, flags=0)
    assert not hear_levels(rows.events, 0, rows.count, 0, own)
    assert own[0]["count"].tolist() == [OWN_LEVELS_MAX, 0]
    assert own[0]["keys"][0].tolist() == list(range(5001 - OWN_LEVELS_MAX, 5001))


@pytest.mark.parametrize("seed", range(30))
def test_the_short_way_of_an_update_is_the_long_way(seed):
    """Random and damaged l2updates: the same said and done as with a blank, which the short way refuses."""
    print("seed", seed)
    chance = random.Random(seed)
    feeds = [CoinbaseFeed([Followed(INSTRUMENT, 1, 2)]) for _ in range(2)]
    rows = [Rows(), Rows()]
    start_ns = ns_of_iso("2024-02-27T23:59:58Z")
    whole = {"type": "snapshot", "product_id": "A-B", "bids": [["10.00", "1"]], "asks": [["20.00", "1"]]}
    for feed, own_rows in zip(feeds, rows):
        feed.opened(start_ns, own_rows)
        feed.received(json.dumps(whole).encode(), start_ns, own_rows)
    ts_ns = start_ns
    for _ in range(60):
        ts_ns += chance.randrange(0, 10**9)
        changes = [
            [chance.choice(["buy", "sell"]),
             chance.choice([f"{chance.randrange(1, 300) * 5 / 100:.2f}", "1e1", "10.010", "7"]),
             chance.choice(["0", "0.00000000", "1.5", "12.0010", "0.0005", "99999999999999999999"])]
            for _ in range(chance.choice([1, 1, 3]))
        ] if chance.random() < 0.3 else [
            [side, f"{5 + chance.randrange(0, 100) * 0.05:.2f}" if side == "buy" else "15.50", f"{chance.randrange(9)}"]
            for side in chance.choices(["buy", "sell"], k=chance.randrange(1, 4))
        ]  # fmt: skip
        time = iso_of_ns(ts_ns - chance.randrange(0, 10**6), chance.choice([6, 6, 6, 3, 9]))
        text = json.dumps(
            {"type": "l2update", "product_id": "A-B", "changes": changes, "time": time}, separators=(",", ":")
        ).encode()
        if chance.random() < 0.1:
            at = chance.randrange(len(text))
            text = text[:at] + bytes([chance.randrange(256)]) + text[at + chance.randrange(2) :]
        said = []
        for feed, own_rows, data in ((feeds[0], rows[0], text), (feeds[1], rows[1], b" " + text)):
            try:
                feed.received(data, ts_ns, own_rows)
                error = ""
            except Malformed:
                error = "malformed"
            said.append((error, own_rows.take().tobytes(), feed.states(), feed.restart, feed.sends))
        assert said[0] == said[1], text
        if said[0][0] or said[0][2] != [2]:
            for feed, own_rows in zip(feeds, rows):
                feed.closed(ts_ns, own_rows)
                feed.opened(ts_ns, own_rows)
                feed.received(json.dumps(whole).encode(), ts_ns, own_rows)
                own_rows.take()


def test_times_as_text_and_back():
    """Each day of four centuries and odd fractions: text -> ns -> text, against the calendar of numpy."""
    days = np.arange("1970-01-01", "2255-12-31", dtype="datetime64[D]")[::37]
    for day in days:
        text = f"{day}T23:59:59.000001Z"
        ns = ns_of_iso(text)
        assert ns == int(day.astype("datetime64[us]").astype(np.int64) + 86_399_000_001) * 1000
        assert iso_of_ns(ns) == text
    assert ns_of_iso("2026-04-07 14:30:10.000000000+00:00") == ns_of_iso("2026-04-07T14:30:10Z")
    assert iso_of_ns(1, 9).endswith("00.000000001Z") and iso_of_ns(1, 0).endswith("00:00Z")
    for text in (
        "",
        "2024-02-30T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:00.1x",
        "x" * 30,
        "2300-01-01T00:00:00Z",
    ):
        with pytest.raises(ValueError, match="no time"):
            ns_of_iso(text)

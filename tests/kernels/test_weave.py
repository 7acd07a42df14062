"""Weaving: one walk that is our order for the engine and the venue's order for the venue, however it is fed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import BOOK_CLEAR, BOOK_LEVEL, EVENT, FUNDING, LAST, LINK_GAP, TICKER, TRADE
from pinnacle.kernels.weave import WOVEN, pack, weave

KINDS = (BOOK_LEVEL, TRADE, BOOK_CLEAR, TICKER, FUNDING, LINK_GAP)
LIVED = (BOOK_LEVEL, TRADE, BOOK_CLEAR)
NEVER = (1 << 63) - 1
ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 12), st.sampled_from(KINDS)), max_size=80)


def events_of(rows):
    """EVENTs with rising ts_ns; each is told apart by its price.  A venue time of 0 means that the venue says none."""
    events, now = np.zeros(len(rows), EVENT), 100
    for k, (pause, lag, kind) in enumerate(rows):
        now += pause
        events[k]["ts_ns"], events[k]["ts_venue_ns"] = now, 0 if lag == 12 else now - lag
        events[k]["kind"], events[k]["price_ticks"], events[k]["flags"] = kind, 1 + k, LAST * (k % 3 == 0)
    return events


def venue_ns(events):
    """When each event happens at the venue."""
    return np.where(events["ts_venue_ns"] != 0, events["ts_venue_ns"], events["ts_ns"])


def fed(events, sizes):
    """All woven rows when events come in batches, with the floor that what is still to come sets."""
    done, held, late, latest, at, k = [], np.zeros(0, WOVEN), np.zeros(0, WOVEN), -NEVER, 0, 0
    while at < events.size or held.size or late.size:
        batch = events[at : at + sizes[k % len(sizes)]]
        at, k = at + batch.size, k + 1
        rows, out = np.zeros(batch.size, WOVEN), np.zeros(batch.size, WOVEN)
        count, latest, back = pack(batch, rows, out, latest)
        assert back == -1
        held = np.concatenate((held, rows))
        late = np.concatenate((late, out[:count]))
        late = late[np.argsort(late["ts_venue_ns"], kind="stable")]
        floor = int(venue_ns(events[at:]).min()) if at < events.size else NEVER
        target = np.zeros(held.size + late.size, WOVEN)
        i, j, n = weave(held, late, floor, target)
        assert n == i + j
        done.append(target[:n].copy())
        held, late = held[i:], late[j:]
    return np.concatenate(done) if done else np.zeros(0, WOVEN)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_each_clock_hears_everything_once_and_in_order(rows, sizes):
    """The engine's rows are the events as they came; the venue's are a stable sort by its time; nothing is twice."""
    events = events_of(rows)
    woven = fed(events, sizes)
    heard = woven[woven["kind"] != 0]
    for name in ("ts_ns", "price_ticks", "kind", "flags"):
        assert heard[name].tolist() == events[name].tolist()
    lived = woven[woven["venue_kind"] != 0]
    at_venue = events[np.isin(events["kind"], LIVED)]
    expected = at_venue[np.argsort(venue_ns(at_venue), kind="stable")]
    assert lived["price_ticks"].tolist() == expected["price_ticks"].tolist()
    assert lived["venue_kind"].tolist() == expected["kind"].tolist()
    assert lived["ts_venue_ns"].tolist() == venue_ns(expected).tolist()
    assert not ((woven["kind"] == 0) & (woven["venue_kind"] == 0)).any()


@settings(max_examples=60, deadline=None)
@given(ROWS, st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_batches_do_not_matter(rows, sizes):
    """Any batches give the same two walks as all events at once."""
    events = events_of(rows)
    whole, cut = fed(events, [1000]), fed(events, sizes)
    for kind in ("kind", "venue_kind"):
        assert whole[whole[kind] != 0].tobytes() == cut[cut[kind] != 0].tobytes()


def test_market_in_order_stays_as_it_is():
    """Where both orders agree there is one row an event."""
    events = events_of([(1, 0, BOOK_LEVEL)] * 20)
    woven = fed(events, [7])
    assert woven.size == 20 and (woven["kind"] == woven["venue_kind"]).all()


@pytest.mark.parametrize("at", [1, 5, 9])
def test_time_that_goes_back_is_named(at):
    """The first event that is dated before the one in front of it is given by its index."""
    events = events_of([(1, 0, BOOK_LEVEL)] * 10)
    events["ts_ns"][at] = 3
    assert pack(events, np.zeros(10, WOVEN), np.zeros(10, WOVEN), -NEVER)[2] == at

"""Walks history once and counts what is wrong with it; changes nothing.

Its book is the engine's own, so what it proves of a recording holds for the book that a strategy will see.
"""

import numpy as np

from pinnacle.event import BID, BOOK_CLEAR, BOOK_LEVEL, LAST, LINK_GAP, MARKET_KIND_MAX, SNAPSHOT, TICKER, TRADE
from pinnacle.kernels.book import W, clear, lots_at, next_below, set_price, ticks_of
from pinnacle.kernels.jit import jit
from pinnacle.kernels.state import NO_PRICE

# Latencies are counted in buckets whose width is 1/32 of their octave: every quantile is right to 3.2%.
OCTAVE_BUCKETS = 32
LATENCY_BUCKETS = 64 * OCTAVE_BUCKETS
# Ids are remembered by their low bits: a repeat within so many successive ids is always seen.
RECENT_IDS = 1 << 16
# Depth messages whose ticker has not come yet; the tickers of a venue are some milliseconds behind its depth.
PENDING_MAX = 1 << 12
# Tickers remembered, for depth that arrives after tickers which are newer than it.
TICKERS_MAX = 1 << 12

TOP_OF_BOOK = np.dtype(
    [("id", "<i8"), ("bid_ticks", "<i8"), ("bid_lots", "<i8"), ("ask_ticks", "<i8"), ("ask_lots", "<i8")]
)

INSPECTION = np.dtype(
    [
        ("kinds", "<i8", (MARKET_KIND_MAX + 1,)), ("other_kinds", "<i8"), ("messages", "<i8"),
        ("last_ts_ns", "<i8"), ("ts_back", "<i8"), ("ts_back_ns_max", "<i8"),
        ("last_venue_ns", "<i8"), ("venue_back", "<i8"), ("venue_back_ns_max", "<i8"),
        ("latencies", "<i8"), ("latency_ns_min", "<i8"), ("latency_ns_max", "<i8"),
        ("latency_counts", "<i8", (LATENCY_BUCKETS,)),
        ("trade_id", "<i8"), ("trade_id_links", "<i8"), ("trade_id_jumps", "<i8"), ("trade_id_repeats", "<i8"),
        ("depth_id_repeats", "<i8"), ("negative_qty", "<i8"), ("not_positive_price", "<i8"), ("empty_trades", "<i8"),
        ("gaps", "<i8"), ("snapshots", "<i8"), ("suspect", "<i8"), ("crossed", "<i8"), ("crossed_first_ns", "<i8"),
        ("one_sided", "<i8"), ("book_messages", "<i8"),
        ("compared", "<i8"), ("agree_price", "<i8"), ("agree_size", "<i8"), ("not_compared", "<i8"),
        ("tickers_seen", "<i8"), ("tickers", TOP_OF_BOOK, (TICKERS_MAX,)),
        ("pending_first", "<i8"), ("pending_count", "<i8"), ("pending", TOP_OF_BOOK, (PENDING_MAX,)),
        ("trade_ids", "<i8", (RECENT_IDS,)), ("depth_ids", "<i8", (RECENT_IDS,)),
        ("crossings_seen", "<i8"),
    ]
)  # fmt: skip


@jit
def latency_bucket(latency_ns):
    """Bucket of a latency (>= 0): whole values below OCTAVE_BUCKETS, then OCTAVE_BUCKETS to each doubling."""
    if latency_ns < OCTAVE_BUCKETS:
        return latency_ns
    shift = 0
    while latency_ns >> shift >= 2 * OCTAVE_BUCKETS:
        shift += 1
    return shift * OCTAVE_BUCKETS + (latency_ns >> shift)


@jit
def _true_best(book, s):
    """x of the best level of a side, those included that a crossing hid; -1 if there is none."""
    return next_below(book, s, min(book["high"][s], W - 1) + 1)


@jit
def _top(book, s, suspect):
    """Best price of a side as the messages said it, NO_PRICE if empty."""
    return ticks_of(book, s, _true_best(book, s) if suspect != 0 else book["best"][s])


@jit
def _after_message(record, book, state):
    """The book is whole: is it crossed, one-sided, the same as the ticker will say?"""
    state["book_messages"] += 1
    if book["crossings"] != state["crossings_seen"]:
        state["crossings_seen"] = book["crossings"]
        state["suspect"] = 1
    if state["suspect"] != 0:
        bid, ask = _true_best(book, 0), _true_best(book, 1)
        if bid >= 0 and ask >= 0 and bid + ask >= W - 1:
            state["crossed"] += 1
            if state["crossed_first_ns"] == 0:
                state["crossed_first_ns"] = record["ts_ns"]
        elif bid == book["best"][0] and ask == book["best"][1]:
            state["suspect"] = 0
    bid_ticks, ask_ticks = _top(book, 0, state["suspect"]), _top(book, 1, state["suspect"])
    if bid_ticks == NO_PRICE or ask_ticks == NO_PRICE:
        state["one_sided"] += 1
    if record["flags"] & SNAPSHOT or record["aux"] == 0 or state["tickers_seen"] == 0:
        return
    if state["pending_count"] == PENDING_MAX:
        state["not_compared"] += 1
        return
    top = state["pending"][(state["pending_first"] + state["pending_count"]) % PENDING_MAX]
    state["pending_count"] += 1
    top["id"] = record["aux"]
    top["bid_ticks"] = bid_ticks
    top["ask_ticks"] = ask_ticks
    top["bid_lots"] = lots_at(book, 0, bid_ticks)
    top["ask_lots"] = lots_at(book, 1, ask_ticks)


@jit
def _compare(top, state):
    """Compare one top with the last ticker whose id is at most its own.  Bounded by the tickers remembered."""
    seen = state["tickers_seen"]
    for k in range(seen - 1, max(-1, seen - 1 - TICKERS_MAX), -1):
        ticker = state["tickers"][k % TICKERS_MAX]
        if ticker["id"] <= top["id"]:
            state["compared"] += 1
            if top["bid_ticks"] == ticker["bid_ticks"] and top["ask_ticks"] == ticker["ask_ticks"]:
                state["agree_price"] += 1
                if top["bid_lots"] == ticker["bid_lots"] and top["ask_lots"] == ticker["ask_lots"]:
                    state["agree_size"] += 1
            return
    state["not_compared"] += 1


@jit
def settle(state, ticker_id):
    """Compare the waiting tops whose ticker is known now, because one with the later id ticker_id has come."""
    while state["pending_count"] > 0:
        top = state["pending"][state["pending_first"]]
        if top["id"] >= ticker_id:
            return
        _compare(top, state)
        state["pending_first"] = (state["pending_first"] + 1) % PENDING_MAX
        state["pending_count"] -= 1


@jit
def _ticker(record, state):
    """One side of the venue's own best bid and ask; both sides of one message have the same id."""
    if record["aux"] == 0:
        return
    seen = state["tickers_seen"]
    if seen == 0 or state["tickers"][(seen - 1) % TICKERS_MAX]["id"] != record["aux"]:
        settle(state, record["aux"])
        state["tickers"][seen % TICKERS_MAX]["id"] = record["aux"]
        state["tickers_seen"] = seen + 1
    ticker = state["tickers"][(state["tickers_seen"] - 1) % TICKERS_MAX]
    if record["side"] == BID:
        ticker["bid_ticks"] = record["price_ticks"]
        ticker["bid_lots"] = record["qty_lots"]
    else:
        ticker["ask_ticks"] = record["price_ticks"]
        ticker["ask_lots"] = record["qty_lots"]


@jit
def _trade(record, state):
    """Ids of trades: numbered one by one at most venues, so a jump is a lost trade and a repeat a doubled one."""
    if record["qty_lots"] == 0:
        state["empty_trades"] += 1
    identity = record["aux"]
    if identity <= 0:
        return
    if state["trade_ids"][identity & (RECENT_IDS - 1)] == identity:
        state["trade_id_repeats"] += 1
        return
    state["trade_ids"][identity & (RECENT_IDS - 1)] = identity
    if state["trade_id"] > 0:
        state["trade_id_links"] += 1
        if identity != state["trade_id"] + 1:
            state["trade_id_jumps"] += 1
    state["trade_id"] = identity


@jit
def _times(record, state):
    """Disorder, and the latency of whole messages."""
    back = state["last_ts_ns"] - record["ts_ns"]
    if back > 0:
        state["ts_back"] += 1
        state["ts_back_ns_max"] = max(state["ts_back_ns_max"], back)
    state["last_ts_ns"] = record["ts_ns"]
    if record["ts_venue_ns"] == 0 or not record["flags"] & LAST:
        return
    back = state["last_venue_ns"] - record["ts_venue_ns"]
    if back > 0:
        state["venue_back"] += 1
        state["venue_back_ns_max"] = max(state["venue_back_ns_max"], back)
    else:
        state["last_venue_ns"] = record["ts_venue_ns"]
    latency = record["ts_ns"] - record["ts_venue_ns"]
    if state["latencies"] == 0 or latency < state["latency_ns_min"]:
        state["latency_ns_min"] = latency
    if state["latencies"] == 0 or latency > state["latency_ns_max"]:
        state["latency_ns_max"] = latency
    state["latencies"] += 1
    state["latency_counts"][min(latency_bucket(max(latency, 0)), LATENCY_BUCKETS - 1)] += 1


@jit
def inspect(rows, book, state):
    """Walk EVENT[n]: state (one INSPECTION) and book (one state.BOOK) are changed, the rows are not."""
    for k in range(rows.size):
        record = rows[k]
        kind = record["kind"]
        if kind > MARKET_KIND_MAX:
            state["other_kinds"] += 1
            continue
        state["kinds"][kind] += 1
        _times(record, state)
        if record["qty_lots"] < 0:
            state["negative_qty"] += 1
        last = (record["flags"] & LAST) != 0
        if last:
            state["messages"] += 1
        if kind == BOOK_LEVEL:
            if record["price_ticks"] <= 0:
                state["not_positive_price"] += 1
            else:
                set_price(book, record["side"], record["price_ticks"], max(record["qty_lots"], 0))
            if last:
                identity = record["aux"]
                if identity > 0 and not record["flags"] & SNAPSHOT:
                    if state["depth_ids"][identity & (RECENT_IDS - 1)] == identity:
                        state["depth_id_repeats"] += 1
                    state["depth_ids"][identity & (RECENT_IDS - 1)] = identity
                _after_message(record, book, state)
        elif kind == TRADE:
            if record["price_ticks"] <= 0:
                state["not_positive_price"] += 1
            _trade(record, state)
        elif kind == TICKER:
            _ticker(record, state)
        elif kind == BOOK_CLEAR:
            if record["side"] >= 0:
                state["snapshots"] += 1
            clear(book, record["side"], record["price_ticks"])
        elif kind == LINK_GAP:
            state["gaps"] += 1

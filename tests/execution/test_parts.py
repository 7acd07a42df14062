"""The desk's smaller parts: budgets, nonces, client ids, what is remembered from a log, holds and the kill switch."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.errors import OperatorError
from pinnacle.event import EVENT
from pinnacle.execution.budget import Budget
from pinnacle.execution.cap import Cap
from pinnacle.execution.live_order import LiveOrder
from pinnacle.execution.memory import Memory
from pinnacle.execution.safety import FOR_EVER, Safety
from pinnacle.instrument import Instrument
from pinnacle.run.real_orders import check_quotes
from pinnacle.venues.client_id import ORDER_ID_MAX, ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import Capabilities, Order, Window
from pinnacle.venues.nonce import Nonces

RUN = "6d1b345e282140e2ad834ecb18a06876"
PAIR = [
    Followed(Instrument("binance", symbol, Decimal("0.01"), Decimal(1), base=symbol, quote="USDT"), 0, k)
    for k, symbol in enumerate(("ONE", "TWO"))
]
LIMITED = Capabilities(
    "test",
    windows=(Window("weight", 10, 1_000, 4), Window("pair", 5, 0, 0, True, 1.0)),
    costs={"place": (("weight", 2), ("pair", 1)), "cancel": (("weight", 1),)},
)


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=60))
def test_no_window_is_ever_overdrawn(asked: list[tuple[int, bool]]) -> None:
    """In every stretch of a window's length what was sent weighs no more than the limit, places less than it."""
    budget, now, sent = Budget(LIMITED), 0, deque[tuple[int, int, bool]]()
    for wait, cancel in asked:
        now += wait
        if budget.take("cancel" if cancel else "place", 0, now, cancel):
            sent.append((now, 1 if cancel else 2, cancel))
        last = [(w, c) for at, w, c in sent if at > now - 1_000]
        assert sum(w for w, _ in last) <= 10
        assert sum(w for w, c in last if not c) <= 6


def test_cancels_have_a_reserve() -> None:
    """When no more places may be sent, four cancels still may."""
    budget = Budget(LIMITED)
    places = [budget.take("place", k, 0, False) for k in range(6)]
    assert places == [True] * 3 + [False] * 3
    assert [budget.take("cancel", 0, 0, True) for _ in range(5)] == [True] * 4 + [False]


def test_a_decaying_counter_is_kept_for_each_instrument() -> None:
    """Five places on a pair fill its counter, which falls by one a second; another pair has its own."""
    roomy = Capabilities("test", windows=(Window("pair", 5, 0, 0, True, 1.0),), costs={"place": (("pair", 1),)})
    budget = Budget(roomy)
    assert [budget.take("place", 0, 0, False) for _ in range(6)] == [True] * 5 + [False]
    assert budget.take("place", 1, 0, False)
    assert budget.take("place", 0, 1_000_000_000, False) and not budget.take("place", 0, 1_000_000_000, False)


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_nonces_rise_whatever_the_clock_does(times: list[int]) -> None:
    """Each nonce is above the last."""
    nonces = Nonces(1_000)
    made = [nonces.next(ts) for ts in times]
    assert all(a < b for a, b in pairwise(made))


@given(st.lists(st.tuples(st.integers(0, 10**13), st.booleans()), max_size=40))
def test_a_nonce_that_was_refused_is_left_far_behind(asked: list[tuple[int, bool]]) -> None:
    """Refusals take the next one up, never down and never further ahead of the time than the venue allows."""
    most_ns = 20_000_000_000
    nonces, last, latest_ns = Nonces(1_000_000, ahead_ns_max=most_ns), 0, 0
    for ts_ns, refused in asked:
        latest_ns = max(latest_ns, ts_ns)
        if refused:
            nonces.refused(ts_ns)
        given_one = nonces.next(ts_ns)
        assert last < given_one <= (latest_ns + most_ns) // 1_000_000 + len(asked)
        if refused and last * 1_000_000 < ts_ns:
            assert given_one * 1_000_000 >= ts_ns + 999_000_000
        last = given_one


def ordered(cap: Cap, index: int, side: int, lots: int, price_ticks: int) -> bool:
    """Whether the cap lets one order out, where no other rests."""
    live = LiveOrder(Order(PAIR[index], 1, "", side, price_ticks, lots))
    return not cap.beyond(live, [live])


def test_what_takes_off_is_let_out_however_much_is_held_elsewhere() -> None:
    """Short of one instrument beyond the cap, as when its price rose or the cap was lowered: what is held of another
    can still be sold, and nothing can be sold beyond it."""
    cap = Cap(Decimal(100), dict(enumerate(PAIR)))
    cap.filled(0, e.BUY, 50, 100)
    cap.filled(1, e.SELL, 500, 100)
    assert ordered(cap, 0, e.SELL, 50, 100) and ordered(cap, 1, e.BUY, 500, 100)
    assert not ordered(cap, 0, e.SELL, 51, 100)


def test_what_a_log_holds_counts_before_its_instrument_is_quoted() -> None:
    """A session that goes on holds something of one instrument, whose book has not come yet: at the price of its last
    fill it counts against the cap when another is quoted."""
    memory, fill = Memory(), records((e.FILL_ID, 1, 7), (e.ORDER_FILLED, 1, 0))
    fill["price_ticks"] = 100
    memory.take(fill, Safety())
    cap = Cap(Decimal(100), dict(enumerate(PAIR)))
    cap.found(0, 90, memory.price_ticks[0])
    assert ordered(cap, 1, e.BUY, 10, 100) and not ordered(cap, 1, e.BUY, 11, 100)


def test_one_cap_is_of_one_currency() -> None:
    """Instruments of a venue that are paid in different currencies are refused; at different venues they are not."""
    one, other = PAIR[0].instrument, replace(PAIR[1].instrument, quote="BTC")
    check_quotes([one, PAIR[1].instrument, replace(other, venue="kraken")], "here")
    with pytest.raises(OperatorError, match="quoted in BTC and USDT"):
        check_quotes([one, other], "here")


RULES = {
    "binance": r"[a-zA-Z0-9-_]{1,36}",
    "coinbase": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "gemini": r"[:\-_.#a-zA-Z0-9]{1,99}",
    "kraken": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}


@given(st.integers(1, ORDER_ID_MAX), st.sampled_from(sorted(RULES)))
def test_a_client_id_says_run_and_order_and_suits_every_venue(order_id: int, venue: str) -> None:
    """The text is within the venue's rule, gives back the order, and to another run it is foreign."""
    text = ClientIds(RUN).text(order_id)
    assert re.fullmatch(RULES[venue], text)
    assert ClientIds(RUN).order_id(text) == order_id
    assert ClientIds("0" * 32).order_id(text) is None


@given(st.text(max_size=40))
def test_other_texts_are_nobodys(text: str) -> None:
    """Whatever else stands there is not ours, and does no harm."""
    ids = ClientIds(RUN)
    assert ids.order_id(text) is None
    if not re.fullmatch("[0-9a-f]{12}", text):
        assert ids.order_id(ids.prefix + text) is None


def records(*rows: tuple[int, int, int]) -> np.ndarray:
    """EVENT[n] of (kind, order_id, aux), each of 10 lots."""
    out = np.zeros(len(rows), EVENT)
    for row, (kind, order_id, aux) in zip(out, rows):
        row["kind"], row["order_id"], row["aux"], row["qty_lots"] = kind, order_id, aux, 10
    return out


LOG = records(
    (e.ORDER_ACKNOWLEDGED, 1, 900), (e.FILL_ID, 1, 7), (e.ORDER_FILLED, 1, 0), (e.RECONCILED, 5, 0),
    (e.FILL_ID, 1, 8), (e.ORDER_FILLED, 1, 0), (e.OPERATOR_FLATTEN, 0, 0), (e.FILL_ID, 1, 9),
)  # fmt: skip


@pytest.mark.parametrize("cut", range(LOG.size + 1))
def test_what_is_remembered_depends_on_the_log_alone(cut: int) -> None:
    """However the log is cut into batches; a fill's id that is the last record was not counted."""
    memory, safety = Memory(), Safety()
    memory.take(LOG[:cut], safety)
    memory.take(LOG[cut:], safety)
    assert [7 in memory.of(0), 8 in memory.of(0), 9 in memory.of(0)] == [True, True, False]
    assert memory.venue_ids == {1: 900} and memory.filled == {1: 20} and memory.watermark == {0: 5}


def heard(safety: Safety) -> list[int]:
    kinds = [int(row[0]["kind"]) for row in safety.rows]
    safety.rows.clear()
    return kinds


@pytest.mark.parametrize("wish", [e.OPERATOR_PAUSE, e.OPERATOR_RESUME, e.OPERATOR_FLATTEN])
def test_the_end_of_a_hold_gives_back_what_the_operator_wanted(wish: int) -> None:
    """Said before or during the hold, the operator's word is what counts after it."""
    for during in (False, True):
        safety = Safety()
        if not during:
            safety.operator(wish, 0)
        safety.hold(0, e.HOLD_LINK, FOR_EVER, 0)
        safety.hold(0, e.HOLD_RATE, 100, 0)
        if during:
            safety.operator(wish, 0)
        heard(safety)
        safety.release(0, e.HOLD_LINK, 50)
        assert heard(safety) == []
        safety.tick(101)
        assert heard(safety) == ([] if wish == e.OPERATOR_PAUSE else [wish])


def test_a_kill_latches_across_a_restart() -> None:
    """Nothing that is said after a kill resumes trading, in this process or in the next one."""
    safety = Safety()
    safety.kill(e.KILL_LOSS, 0)
    safety.operator(e.OPERATOR_RESUME, 1)
    assert heard(safety) == [e.OPERATOR_KILL]
    again, log = Safety(), records((e.OPERATOR_KILL, 0, 0), (e.OPERATOR_RESUME, 0, 0))
    log["flags"][0] = e.KILL_LOSS << e.REASON_SHIFT
    Memory().take(log, again)
    assert again.killed and again.why == e.KILL_LOSS

"""The desk: three outcomes, fills counted once, ends told last, nothing sent twice, a kill that cancels."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.event import KIND_NAMES, reason_of
from pinnacle.execution.desk import Limits
from pinnacle.execution.reactions import REACTIONS
from pinnacle.limits import ANSWER_NS_MAX, REFUSALS_MAX, UNSENT_NS_MAX
from pinnacle.venues.private.said import CAUSES, Step
from tests.execution.scripted import FOLLOWED, INSTRUMENT, LIFE_NS, MS, SECOND, Scene


def kinds(scene: Scene) -> list[str]:
    """What the engine heard, but for the ids of fills."""
    return [KIND_NAMES[kind] for kind in scene.heard if kind != e.FILL_ID]


def test_nothing_is_sent_before_the_account_is_known() -> None:
    """Until open orders, balances and fills were compared, a place is refused and never leaves."""
    scene = Scene()
    scene.desk.begin(scene.now_ns)
    scene.take()
    scene.command(e.PLACE, 1)
    assert scene.count("place") == 0 and kinds(scene) == ["operator_pause", "order_rejected"]


def test_the_comparison_gives_trading_free() -> None:
    """After all three answers the hold ends, and the comparison says how far fills are known."""
    scene = Scene().compared()
    assert not scene.safety.held
    scene.command(e.PLACE, 1)
    assert scene.count("place") == 1


def test_a_key_that_may_not_ask_stops_trading() -> None:
    """A comparison that the key's rights do not allow would be asked for for ever: a person has to look."""
    scene = Scene()
    scene.desk.begin(scene.now_ns)
    scene.tick()
    scene.answer("open", cause="permission")
    assert scene.safety.killed and scene.safety.why == e.KILL_REFUSED


def test_fills_may_come_before_the_acknowledgement() -> None:
    """A fill, then the acknowledgement, then the rest: each is heard, in that order."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.fill(1, 30, 7)
    scene.step(e.ORDER_ACKNOWLEDGED, 1, 70)
    scene.fill(1, 70, 8)
    assert kinds(scene) == ["order_filled", "order_acknowledged", "order_filled"]
    assert not scene.desk.orders and not scene.status


def test_a_fill_is_counted_once_whichever_way_it_comes() -> None:
    """The stream, an answer and the stream again say one trade: one record, behind its id."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    for _ in range(3):
        scene.fill(1, 40, 7)
    assert scene.heard == [e.FILL_ID, e.ORDER_FILLED]
    assert int(scene.records[-2]["aux"]) == 7


def test_an_end_waits_for_the_fills_it_counts() -> None:
    """Cancelled with 60 filled, 20 of them heard: the rest is asked for, told, and only then the end."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_ACKNOWLEDGED, 1)
    scene.fill(1, 20, 7)
    scene.command(e.CANCEL, 1)
    scene.step(e.ORDER_CANCELLED, 1, 40, done_lots=60)
    assert kinds(scene)[-1] == "order_filled"
    scene.wait(SECOND)
    scene.answer("fills", fills=(_fill(20, 7), _fill(40, 8)))
    assert kinds(scene)[-2:] == ["order_filled", "order_cancelled"]
    assert not scene.desk.orders


def _fill(lots: int, trade_id: int) -> Step:
    return Step(e.ORDER_FILLED, FOLLOWED, None, "", 1001, 1, 6_000_000, lots, 0, trade_id=trade_id)


def test_a_fill_after_the_end_is_money() -> None:
    """A fill of an order that has ended is told all the same."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_ACKNOWLEDGED, 1)
    scene.command(e.CANCEL, 1)
    scene.step(e.ORDER_CANCELLED, 1)
    scene.fill(1, 10, 7)
    assert kinds(scene)[-2:] == ["order_cancelled", "order_filled"]


def test_an_unknown_outcome_is_asked_about_and_never_sent_again() -> None:
    """Without an answer the order is asked about; "no such order" counts only when it can no longer arrive."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.wait(ANSWER_NS_MAX - 100 * MS)
    assert kinds(scene) == []
    scene.gateway.venue_ns -= 10 * SECOND  # the venue's clock is what counts, not ours
    scene.wait(SECOND)
    assert kinds(scene) == ["order_unknown"]
    scene.answer("order", "unknown_order")
    assert 1 in scene.desk.orders
    scene.gateway.venue_ns += 10 * SECOND + LIFE_NS
    scene.wait(SECOND)
    scene.answer("order", "unknown_order")
    assert kinds(scene) == ["order_unknown", "order_rejected"]
    assert scene.count("place") == 1


@pytest.mark.parametrize("end", [0, e.ORDER_CANCELLED, e.ORDER_EXPIRED])
def test_an_unknown_outcome_becomes_what_the_venue_shows(end: int) -> None:
    """Asked by client id, an order that is there rests or has ended, as the venue says."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_UNKNOWN, 1, cause="outcome_unknown")
    scene.tick()
    scene.answer("order", standings=(scene.standing(1, end=end),))
    assert kinds(scene) == ["order_unknown", KIND_NAMES[end or e.ORDER_ACKNOWLEDGED]]


def test_a_lost_connection_makes_what_was_on_its_way_unknown() -> None:
    """Requests without an answer are in doubt when the stream goes; what rests is left as it is; quotes are held."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_ACKNOWLEDGED, 1)
    scene.command(e.PLACE, 2)
    scene.gateway.closed(scene.now_ns)
    scene.tick()
    assert kinds(scene) == ["order_acknowledged", "order_unknown", "operator_pause"] or kinds(scene) == [
        "order_acknowledged", "operator_pause", "order_unknown"
    ]  # fmt: skip


def test_a_cancel_that_was_not_looked_at_is_sent_again() -> None:
    """A busy venue: the engine hears nothing, the cancel goes out once more; the order's end follows."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_ACKNOWLEDGED, 1)
    scene.command(e.CANCEL, 1)
    scene.step(e.CANCEL_REJECTED, 1, cause="busy")
    scene.wait(2 * SECOND)
    assert scene.count("cancel") == 2 and "cancel_rejected" not in kinds(scene)


def test_a_cancel_of_an_order_that_is_gone_asks_what_became_of_it() -> None:
    """Unknown order: not the cancel but the order is in question."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_ACKNOWLEDGED, 1)
    scene.command(e.CANCEL, 1)
    scene.step(e.CANCEL_REJECTED, 1, cause="unknown_order")
    scene.tick()
    assert kinds(scene)[-1] == "order_unknown" and scene.count("order") == 1


def test_every_cause_has_a_reaction() -> None:
    """The tables of causes and of reactions have the same rows."""
    assert REACTIONS.keys() == CAUSES.keys()


@pytest.mark.parametrize("cause", sorted(REACTIONS))
def test_a_refusal_does_what_the_table_says(cause: str) -> None:
    """A hold pauses, a kill latches, a doubt asks, and nothing is sent again."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_REJECTED, 1, cause=cause)
    reaction = REACTIONS[cause]
    assert scene.safety.killed == bool(reaction.kill) and scene.safety.why == reaction.kill
    assert scene.safety.holds() == ([reaction.hold] if reaction.hold else [])
    assert kinds(scene)[0] == ("order_unknown" if reaction.doubt else "order_rejected")
    assert scene.count("place") == 1
    if not reaction.doubt:
        assert reason_of(int(scene.records[-1]["flags"])) == CAUSES[cause] or reaction.kill or reaction.hold


def test_too_many_refusals_stop_trading() -> None:
    """A loop of refused orders ends in a kill."""
    scene = Scene().compared()
    for order_id in range(1, REFUSALS_MAX + 2):
        scene.command(e.PLACE, order_id)
        scene.step(e.ORDER_REJECTED, order_id, cause="price_filter")
        scene.tick(100 * MS)
    assert scene.safety.killed and scene.safety.why == e.KILL_ERRORS


def test_orders_beyond_the_budget_wait_and_are_given_up_unsent() -> None:
    """The 51st order in ten seconds waits; what waits too long is refused here; cancels are not held back."""
    scene = Scene().compared()
    for order_id in range(1, 53):
        scene.command(e.PLACE, order_id)
    assert scene.count("place") == 50
    scene.command(e.CANCEL, 1)
    assert scene.count("cancel") == 1
    scene.wait(UNSENT_NS_MAX + 200 * MS)
    assert scene.count("place") == 50 and kinds(scene) == ["order_rejected"] * 2
    assert {int(row["order_id"]) for row in scene.records[-2:]} == {51, 52}


def test_the_cap_of_a_venue_is_the_last_word() -> None:
    """An order beyond what the operator allows is never sent, and stops trading: a limit before it failed."""
    scene = Scene(Limits(notional_max=Decimal(100))).compared()
    scene.command(e.PLACE, 1)  # 60 of quote currency
    scene.command(e.PLACE, 2)
    assert scene.count("place") == 1 and scene.safety.why == e.KILL_CAP


@given(st.lists(st.tuples(st.sampled_from((e.BUY, e.SELL)), st.integers(1, 100), st.booleans()), max_size=12))
def test_no_fills_of_what_was_sent_make_us_hold_more_than_the_cap(orders: list[tuple[int, int, bool]]) -> None:
    """Whatever of the orders sent is filled, in whatever order, what is held is worth the cap at most; and an order
    that only takes off what is held is never in its way."""
    scene = Scene(Limits(notional_max=Decimal(150))).compared()
    held, resting = 0, {e.BUY: 0, e.SELL: 0}
    for order_id, (side, lots, fills) in enumerate(orders, 1):
        allowed = max(0, side * held + resting[side] + lots) * 6_000_000 * INSTRUMENT.units_per_ticklot
        scene.command(e.PLACE, order_id, side=side, lots=lots)
        sent = scene.count("place") == order_id
        assert sent == (INSTRUMENT.money(allowed) <= 150)
        if not sent:
            assert scene.safety.why == e.KILL_CAP
            return
        if fills:
            scene.fill(order_id, lots, order_id, side=side)
            held += side * lots
        else:
            resting[side] += lots


def test_foreign_orders_are_reported_once_and_left_alone() -> None:
    """Somebody else's order on the account: one record with the venue's number, and no cancel, even at a kill."""
    scene = Scene().compared()
    for _ in range(3):
        scene.step(e.ORDER_ACKNOWLEDGED, None, venue_id=77)
    assert scene.heard == [e.RECONCILED]
    assert (int(scene.records[-1]["aux"]), int(scene.records[-1]["order_id"])) == (e.DIFFERENCE_FOREIGN, 77)
    scene.safety.kill(e.KILL_LOSS, scene.now_ns)
    scene.wait(3 * SECOND)
    assert scene.count("cancel") == scene.count("cancel all") == 0


def test_a_kill_cancels_what_may_rest_until_its_end_is_heard() -> None:
    """Placed but not acknowledged, or in doubt: cancelled by client id, again and again; nothing new is sent."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.command(e.PLACE, 2)
    scene.step(e.ORDER_UNKNOWN, 2, cause="outcome_unknown")
    scene.safety.kill(e.KILL_LOSS, scene.now_ns)
    scene.wait(2 * SECOND)
    cancelled = {order.order_id for name, order in scene.gateway.did if name == "cancel"}
    assert cancelled == {1, 2}
    scene.step(e.ORDER_CANCELLED, 1)
    scene.step(e.ORDER_CANCELLED, 2)
    before = scene.count("cancel")
    scene.wait(3 * SECOND)
    assert scene.count("cancel") == before and not scene.desk.orders


def test_an_order_that_rests_though_it_was_given_up_is_cancelled() -> None:
    """An order of this run that the engine believes gone is reported and cancelled, and its fills are counted."""
    scene = Scene().compared()
    scene.command(e.PLACE, 1)
    scene.step(e.ORDER_REJECTED, 1, cause="would_cross", venue_id=0)
    scene.step(e.ORDER_ACKNOWLEDGED, 1)
    assert scene.count("cancel") == 1 and scene.heard[-1] == e.RECONCILED
    scene.fill(1, 10, 9)
    assert scene.heard[-1] == e.ORDER_FILLED


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ack", "fill", "cancelled", "expired", "rejected", "cancel", "refused", "unknown", "tick", "shown", "none"]
        ),
        st.integers(1, 3),
        st.integers(1, 100),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_is_said_the_engine_has_a_row_for_it(steps: list[tuple[str, int, int]]) -> None:
    """Any sequence of steps, possible or not: no record without a row, no order sent twice, fills counted once."""
    scene = Scene().compared()
    for order_id in (1, 2, 3):
        scene.command(e.PLACE, order_id)
    trades: dict[int, int] = {}
    for what, order_id, number in steps:
        if what == "fill":
            left = 100 - sum(lots for trade, lots in trades.items() if trade // 1000 == order_id)
            trade_id = 1000 * order_id + number
            lots = trades.get(trade_id) or min(left, number)
            if lots:
                trades[trade_id] = lots
                scene.fill(order_id, lots, trade_id)
        elif what == "cancel":
            if scene.status.get(order_id) == 2:
                scene.command(e.CANCEL, order_id)
        elif what == "tick":
            scene.tick(number * 20 * MS)
        elif what in ("shown", "none"):
            asked = [about for name, about in scene.gateway.did if name == "order"]
            if asked:
                scene.answer(
                    "order", "unknown_order" if what == "none" else "",
                    standings=() if what == "none" else (scene.standing(asked[-1][1].order_id),),
                )  # fmt: skip
        else:
            kind = {
                "ack": e.ORDER_ACKNOWLEDGED, "cancelled": e.ORDER_CANCELLED, "expired": e.ORDER_EXPIRED,
                "rejected": e.ORDER_REJECTED, "refused": e.CANCEL_REJECTED, "unknown": e.ORDER_UNKNOWN,
            }[what]  # fmt: skip
            scene.step(kind, order_id, cause="unknown_order" if what == "refused" else "")
    filled = [int(row["qty_lots"]) for row in scene.records if row["kind"] == e.ORDER_FILLED]
    assert sum(filled) == sum(trades.values())
    assert scene.count("place") == 3

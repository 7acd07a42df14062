"""The dead-man's switch: wound while we live, trusted only while it is known to be set, let go when nothing rests."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.execution.desk import Limits
from pinnacle.venues.private.said import SWITCH_REFUSED, SWITCH_SET, Note
from tests.execution.scripted import MS, SECOND, Scene

TIMEOUT_NS = 20 * SECOND
SET = Note(SWITCH_SET, "in 20 s")


def scene_with_switch() -> Scene:
    """A venue that has a switch, and an account that was compared."""
    return Scene(Limits(dead_man_ns=TIMEOUT_NS), dead_man_ns=3600 * SECOND).compared()


def test_nothing_is_placed_before_the_switch_is_set() -> None:
    """The account is known and the switch is not: a place is refused unsent; after it is set it goes out."""
    scene = scene_with_switch()
    assert scene.safety.holds() == [e.HOLD_SWITCH]
    scene.command(e.PLACE, 1)
    assert scene.count("place") == 0
    scene.wait(2 * SECOND)
    assert ("dead man", TIMEOUT_NS) in scene.gateway.did
    scene.say(SET)
    assert not scene.safety.held
    scene.command(e.PLACE, 2)
    assert scene.count("place") == 1


def test_a_switch_that_cannot_be_set_keeps_quotes_back() -> None:
    """Refused, or never answered: it is asked for again and again, and nothing is placed."""
    for answer in (Note(SWITCH_REFUSED, "no"), None):
        scene = scene_with_switch()
        for order_id in range(1, 20):
            scene.wait(SECOND)
            if answer is not None:
                scene.say(answer)
            scene.command(e.PLACE, order_id)
        assert scene.count("place") == 0 and scene.count("dead man") >= 15


def test_it_is_wound_long_before_its_time() -> None:
    """In ten times its length every stretch between two windings is less than a third of it."""
    scene = scene_with_switch()
    at = [scene.now_ns]
    scene.say(SET)
    for _ in range(10 * TIMEOUT_NS // (50 * MS)):
        before = scene.count("dead man")
        scene.tick()
        if scene.count("dead man") > before:
            at.append(scene.now_ns)
            scene.say(SET)
        assert not scene.safety.held
    assert max(b - a for a, b in pairwise(at)) < TIMEOUT_NS // 3


@given(st.lists(st.booleans(), min_size=30, max_size=120))
def test_it_is_never_trusted_for_longer_than_it_runs(answered: list[bool]) -> None:
    """Whichever windings arrive: an order goes out only if the venue would still cancel it without us."""
    scene = scene_with_switch()
    scene.say(SET)
    ends_ns = scene.now_ns + TIMEOUT_NS  # by the venue: not before we sent, so this is at the latest what is trusted
    for order_id, arrives in enumerate(answered, 1):
        before = scene.count("dead man")
        scene.wait(SECOND)
        if scene.count("dead man") > before and arrives:
            ends_ns = scene.now_ns + TIMEOUT_NS
            scene.say(SET)
        sent = scene.count("place")
        scene.command(e.PLACE, order_id)
        if scene.count("place") > sent:
            assert scene.now_ns < ends_ns
            scene.step(e.ORDER_CANCELLED, order_id)


def test_it_is_wound_at_once_when_the_connection_is_back() -> None:
    """A lost connection does not unset it; the first thing on a new one is to wind it."""
    scene = scene_with_switch()
    scene.say(SET)
    scene.gateway.ready = False
    scene.wait(3 * SECOND)
    before = scene.count("dead man")
    scene.gateway.ready = True
    scene.tick()
    scene.tick()
    assert scene.count("dead man") == before + 1


def test_it_is_let_go_only_with_nothing_resting() -> None:
    """A session that ends with an order of unknown fate leaves the switch set; one with none lets it go."""
    scene = scene_with_switch()
    scene.say(SET)
    scene.command(e.PLACE, 1)
    scene.desk.leave(scene.now_ns)
    assert ("dead man", 0) not in scene.gateway.did
    scene.step(e.ORDER_CANCELLED, 1)
    scene.desk.leave(scene.now_ns)
    assert scene.gateway.did[-1] == ("dead man", 0) and not scene.desk.dead_man.left
    scene.say(Note(SWITCH_SET, "off"))
    scene.wait(TIMEOUT_NS)
    assert scene.desk.dead_man.left and scene.gateway.did[-1] != ("dead man", TIMEOUT_NS)


def test_it_is_let_go_before_the_venue_has_said_that_it_is_set() -> None:
    """A session that ends within its first second: what it asked for may be set, and would take other people's orders
    along a minute later."""
    scene = scene_with_switch()
    scene.desk.leave(scene.now_ns)
    assert scene.gateway.did[-1] == ("dead man", 0) and not scene.desk.dead_man.left
    scene.say(Note(SWITCH_SET, "off"))
    assert scene.desk.dead_man.left


def test_it_can_be_left_off() -> None:
    """Where the operator does not want it, or the venue has none, it is never touched and holds nothing back."""
    for scene in (Scene(Limits(dead_man_ns=0), dead_man_ns=3600 * SECOND).compared(), Scene().compared()):
        scene.command(e.PLACE, 1)
        scene.wait(2 * SECOND)
        scene.desk.leave(scene.now_ns)
        assert scene.count("place") == 1 and scene.count("dead man") == 0 and scene.desk.dead_man.left

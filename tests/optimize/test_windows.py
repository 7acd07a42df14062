"""Windows follow one another with the gap between them, are whole buckets, and nothing reaches into the last one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pinnacle.errors import OperatorError
from pinnacle.optimize.windows import BUCKETS_MIN, Plan, plan_windows, rung_stops_ns
from pinnacle.run.window import Window

S = 1_000_000_000
plans = st.fixed_dictionaries(
    {
        "first_ns": st.integers(0, 2**61),
        "span_ns": st.integers(100 * S, 10**6 * S),
        "purge_s": st.sampled_from([0.0, 0.5, 1.0, 7.25, 60.0]),
        "buckets": st.integers(60, 2000),
        "folds": st.integers(0, 6),
        "anchored": st.booleans(),
        "shares": st.tuples(*[st.integers(1, 10)] * 3),
    }
)


def planned(first_ns: int, span_ns: int, shares: tuple[int, ...], **rest: Any) -> Plan:
    split = [share / sum(shares) for share in shares]
    return plan_windows(first_ns, first_ns + span_ns, split, where="my.toml", **rest)


@given(plans)
def test_no_window_meets_another(given_plan: dict[str, Any]) -> None:
    """Train, validation and test lie in the data in that order, purge_s apart, and the folds before the test."""
    try:
        plan = planned(**given_plan)
    except OperatorError:
        assume(False)
    last_ns, purge_ns = given_plan["first_ns"] + given_plan["span_ns"], round(given_plan["purge_s"] * 1e9)
    assert plan.train.first_ns == given_plan["first_ns"] and plan.test.stop_ns <= last_ns
    assert last_ns - plan.test.stop_ns < plan.bucket_ns, "no more than a bucket is left over"
    assert plan.validation.first_ns - plan.train.stop_ns == purge_ns == plan.test.first_ns - plan.validation.stop_ns
    assert len(plan.folds) == given_plan["folds"]
    for fold, after in zip(plan.folds, [*plan.folds[1:], None]):
        assert fold.test.first_ns - fold.train.stop_ns >= purge_ns
        assert fold.train.first_ns >= plan.train.first_ns and fold.test.stop_ns <= plan.test.first_ns - purge_ns
        assert not given_plan["anchored"] or fold.train.first_ns == plan.train.first_ns
        assert after is None or after.test.first_ns == fold.test.stop_ns, "tests follow one another"
    windows = [plan.train, plan.validation, plan.test, *(w for fold in plan.folds for w in (fold.train, fold.test))]
    for window in windows:
        count, rest = divmod(window.stop_ns - window.first_ns, plan.bucket_ns)
        assert rest == 0 and count >= BUCKETS_MIN
    assert len({window.name for window in windows}) == len(windows)
    if not given_plan["anchored"]:
        assert len({fold.train.stop_ns - fold.train.first_ns for fold in plan.folds}) <= 1


@given(plans)
def test_the_shares_are_those_asked_for(given_plan: dict[str, Any]) -> None:
    """Each window is its share of the time that the gaps leave, to within two buckets."""
    try:
        plan = planned(**given_plan)
    except OperatorError:
        assume(False)
    whole_ns = given_plan["span_ns"] - 2 * round(given_plan["purge_s"] * 1e9)
    for window, share in zip((plan.train, plan.validation, plan.test), given_plan["shares"]):
        wanted_ns = whole_ns * share / sum(given_plan["shares"])
        assert abs(window.stop_ns - window.first_ns - wanted_ns) <= 2 * plan.bucket_ns


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"span_ns": 0}, "the data is 0.0 s long, and the train window"),
        ({"span_ns": 100 * S}, "the data is 100.0 s long"),
        ({"shares": (98, 1, 1), "buckets": 100}, "the validation window would be 1 buckets of"),
        ({"folds": 60}, "fewer optimize.folds"),
        ({"folds": 3, "anchored": False, "purge_s": 250.0}, "a purge_s below 250"),
    ],
)
def test_too_short_is_said_with_the_length_of_the_data(changes: dict[str, Any], said: str) -> None:
    """A window of too few buckets is refused with how long the data is and what to change."""
    usual = {
        "first_ns": 5, "span_ns": 1000 * S, "purge_s": 60.0, "buckets": 500, "folds": 0, "anchored": True,
        "shares": (3, 1, 1),
    }  # fmt: skip
    with pytest.raises(OperatorError) as caught:
        planned(**{**usual, **changes})
    assert said in str(caught.value) and str(caught.value).startswith("my.toml: the data is")


@given(st.integers(0, 10**18), st.integers(1, 5000), st.integers(1, 10**9), st.integers(2, 64))
def test_rungs_are_nearly_equal_parts(first_ns: int, count: int, bucket_ns: int, rungs: int) -> None:
    """Rungs rise on whole buckets to the window's end, and no part is a bucket longer than another."""
    window = Window("train", first_ns, first_ns + count * bucket_ns)
    stops_ns = rung_stops_ns(window, rungs, bucket_ns)
    parts = [b - a for a, b in zip([first_ns, *stops_ns], stops_ns)]
    assert stops_ns[-1] == window.stop_ns and len(stops_ns) == min(rungs, count)
    assert all(part % bucket_ns == 0 for part in parts) and min(parts) > 0 and max(parts) - min(parts) <= bucket_ns

"""A search is believed only if everything speaks for it: each doubt, and each thing not known, is reason enough."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.optimize.objectives import objectives_of
from pinnacle.optimize.overfitting import deflated_sharpe, moments, sharpes
from pinnacle.optimize.stability import Stability
from pinnacle.optimize.verdict import Evidence, judge, nothing_to_judge, rank_correlation

TRAIN, VALIDATION, TEST, TRIALS = 600, 200, 200, 40
BUCKET_NS = 60_000_000_000
YEAR = math.sqrt(365 * 86_400 / 60)
NET = objectives_of(["net"], 1.0)
PLATEAU = Stability([], 0.9, 0.9, 20, 0.1, "zero", "plateau")
WALK = {
    "folds": [{"number": k, "params": {}, "train": {}, "test": {"net_quote": net}} for k, net in ((1, 5.0), (2, 3.0))],
    "net_quote": 8.0, "sharpe": 2.0,
}  # fmt: skip


def metrics_of(changes: np.ndarray, fills: float = 200.0) -> dict[str, float | None]:
    equity = np.cumsum(changes)
    sharpe = float(changes.mean() / changes.std(ddof=1)) * YEAR
    drawdown = float((np.maximum(np.maximum.accumulate(equity), 0) - equity).max())
    return {"net_quote": float(equity[-1]), "fills": fills, "sharpe": sharpe, "max_drawdown_quote": drawdown}


def evidence(seed: int = 1, edge: float = 0.5, **changed: Any) -> Evidence:
    """Trials on one market, of skills near each other, the first the best: an honest search, unless told otherwise."""
    rng = np.random.default_rng(seed)
    skill = edge - 0.1 * np.linspace(0, 1, TRIALS)
    changes = rng.normal(size=(TRAIN + VALIDATION, 1)) + 0.1 * rng.normal(size=(TRAIN + VALIDATION, TRIALS)) + skill
    test = edge + rng.normal(size=TEST)
    whole = Evidence(
        objectives=NET,
        quote="USDT",
        bucket_ns=BUCKET_NS,
        lengths_s={"train": TRAIN * 60.0, "validation": VALIDATION * 60.0, "test": TEST * 60.0},
        metrics={
            "train": metrics_of(changes[:TRAIN, 0]), "validation": metrics_of(changes[TRAIN:, 0]),
            "test": metrics_of(test),
        },
        faults={"train": "", "validation": "", "test": ""},
        changes=changes,
        train_rows=TRAIN,
        chosen=0,
        train_values=changes[:TRAIN].sum(axis=0),
        validation_values=changes[TRAIN:].sum(axis=0),
        test_changes=test,
        trials_tried=TRIALS,
        stability=PLATEAU,
        walk_forward=WALK,
    )  # fmt: skip
    return replace(whole, **changed)


def with_metrics(one: Evidence, window: str, **changed: float | None) -> Evidence:
    return replace(one, metrics={**one.metrics, window: {**one.metrics[window], **changed}})


def test_an_honest_edge_may_be_traded() -> None:
    """With an edge that is there in every window, and known to be, there is no reason against and the text says so."""
    found = judge(evidence())
    assert found.verdict["reasons"] == [] and found.verdict["trade"] is True and found.warnings == []
    text = found.verdict["text"]
    assert text.startswith("in sample net ") and text.endswith(" USDT an hour: trade this")


SPOILED: dict[str, tuple[Any, str]] = {
    "test lost": (lambda e: with_metrics(e, "test", net_quote=-4.0), "it lost 4 USDT in the test window"),
    "validation lost": (lambda e: with_metrics(e, "validation", net_quote=-4.0), "4 USDT in the validation window"),
    "train lost": (lambda e: with_metrics(e, "train", net_quote=-4.0), "even in sample"),
    "decay": (lambda e: with_metrics(e, "test", net_quote=20.0), "in the test window"),
    "no fills": (lambda e: with_metrics(e, "test", fills=0.0), "the test run made no fills: nothing is known"),
    "few fills": (lambda e: with_metrics(e, "test", fills=7.0), "the test run made 7 fills"),
    "fills unknown": (lambda e: with_metrics(e, "test", fills=None), "no number of fills: nothing is known"),
    "net unknown": (lambda e: with_metrics(e, "test", net_quote=math.nan), "no net result: nothing is known"),
    "no test": (lambda e: replace(e, metrics={**e.metrics, "test": {}}, test_changes=None), "test window was not run"),
    "no validation": (lambda e: replace(e, metrics={**e.metrics, "validation": {}}), "validation window was not run"),
    "fault": (lambda e: replace(e, faults={**e.faults, "test": "it fell"}), "the test run stopped early: it fell"),
    "flat test": (lambda e: replace(e, test_changes=np.zeros(TEST)), "the test run has no Sharpe ratio"),
    "short test": (lambda e: replace(e, test_changes=np.array([1.0, -0.9, 1.1, -0.8])), "too short to tell"),
    "many tries": (lambda e: replace(e, changes=e.changes + np.linspace(0, 3, TRIALS) ** 3 * -1.0), "deflated Sharpe"),
    "flat train": (lambda e: replace(e, changes=np.zeros_like(e.changes)), "the deflated Sharpe ratio has no value"),
    "fell early": (lambda e: replace(e, changes=nan_after(e.changes, slice(0, 1))), "the chosen trial stopped early"),
    "most fell": (lambda e: replace(e, changes=nan_after(e.changes, slice(5, None))), "35 of 40 trials stopped early"),
    "one trial": (lambda e: alone(e), "the probability of overfitting is not known"),
    "reversed": (lambda e: replace(e, validation_values=-e.train_values), "rank correlation -1"),
    "all alike": (lambda e: replace(e, validation_values=np.ones(TRIALS)), "cannot be compared"),
    "spike": (lambda e: replace(e, stability=replace(PLATEAU, shape="spike", share=0.1)), "keep 10% of it"),
    "shape unknown": (lambda e: replace(e, stability=replace(PLATEAU, shape="unknown")), "too few trials are near"),
    "not looked at": (lambda e: replace(e, stability=None), "too few trials are near"),
    "walk lost": (lambda e: replace(e, walk_forward={**WALK, "net_quote": -2.5}), "the walk-forward lost 2.5 USDT"),
    "walk unknown": (lambda e: replace(e, walk_forward={**WALK, "net_quote": None}), "walk-forward has no net result"),
    "no folds": (lambda e: replace(e, walk_forward={**WALK, "folds": []}), "walk-forward has no net result"),
    "fold unknown": (lambda e: replace(e, walk_forward={**WALK, "folds": folds(5.0, None)}), "no result in fold 2"),
    "lucky fold": (lambda e: replace(e, walk_forward={**WALK, "folds": folds(9.0, -1.0, -1.0)}), "only 1 of 3 folds"),
}  # fmt: skip


def nan_after(changes: np.ndarray, columns: slice) -> np.ndarray:
    spoiled = changes.copy()
    spoiled[TRAIN + 3 :, columns] = math.nan
    return spoiled


def alone(one: Evidence) -> Evidence:
    cut = {"changes": one.changes[:, :1], "train_values": one.train_values[:1]}
    return replace(one, **cut, validation_values=one.validation_values[:1], trials_tried=1)


def folds(*nets: float | None) -> list[dict[str, Any]]:
    return [{"number": k, "test": {"net_quote": net}} for k, net in enumerate(nets, 1)]


@pytest.mark.parametrize("what", SPOILED)
def test_each_doubt_forbids_the_trade_by_itself(what: str) -> None:
    """Whatever single thing is bad or unknown, the answer turns to no, and says why."""
    spoil, told = SPOILED[what]
    found = judge(spoil(evidence()))
    assert found.verdict["trade"] is False and found.verdict["text"].endswith(": do not trade this")
    assert any(told in reason for reason in found.verdict["reasons"]), found.verdict["reasons"]
    json.dumps([found.judgement, found.verdict, found.warnings], allow_nan=False)


@pytest.mark.parametrize("seed", range(12))
def test_noise_is_never_traded(seed: int) -> None:
    """The best of many trials without skill is refused, as good as it looks in sample."""
    rng = np.random.default_rng([7, seed])
    changes, test = rng.normal(size=(TRAIN + VALIDATION, TRIALS)), rng.normal(size=TEST)
    changes = changes[:, np.argsort(-changes[:TRAIN].sum(axis=0))]
    one = evidence(
        changes=changes, test_changes=test, train_values=changes[:TRAIN].sum(axis=0),
        validation_values=changes[TRAIN:].sum(axis=0), metrics={
            "train": metrics_of(changes[:TRAIN, 0]), "validation": metrics_of(changes[TRAIN:, 0]),
            "test": metrics_of(test),
        },
    )  # fmt: skip
    found = judge(one)
    assert one.metric("train", "net_quote") > 0 and not found.verdict["trade"]
    assert any("deflated Sharpe" in reason for reason in found.verdict["reasons"])


def test_the_figures_are_those_of_the_train_window() -> None:
    """Deflated and expected Sharpe ratios are of the chosen trial's train part, over all tried, and by the year."""
    one = evidence(trials_tried=500)
    told, own = judge(one).judgement, moments(one.changes[:TRAIN, 0])
    variance = sharpes(one.changes[:TRAIN]).var(ddof=1)
    assert told["trials_counted"] == 500 and 1 <= told["trials_effective"] < TRIALS
    assert told["deflated_sharpe"] == deflated_sharpe(own.sharpe, variance, 500, TRAIN, own.skew, own.kurtosis)
    assert told["deflated_sharpe"] <= told["deflated_sharpe_effective"] <= told["probabilistic_sharpe"]
    assert told["sharpe_train"] == pytest.approx(own.sharpe * YEAR)
    assert told["pbo_splits"] == 12_870 == len(told["pbo_logits"]) and told["pbo_parts"] == 16


def test_windows_of_any_length_are_compared_by_the_hour() -> None:
    """Net of a window half as long is no decay, a ratio and a mark-out are compared as they are."""
    one = evidence()
    for window in ("train", "validation", "test"):
        hours = one.lengths_s[window] / 3600
        one = with_metrics(one, window, net_quote=30.0 * hours)
    assert judge(one).verdict["text"] == "in sample net 30 USDT an hour, out of sample 30 USDT an hour: trade this"
    one = replace(one, objectives=objectives_of(["sharpe"], 1.0))
    one = with_metrics(with_metrics(one, "train", sharpe=3.1), "test", sharpe=0.4)
    found = judge(one).verdict
    assert found["text"] == "in sample sharpe 3.1, out of sample 0.4: do not trade this"
    assert found["reasons"] == ["sharpe goes from 3.1 in sample to 0.4 in the test window"]


def test_a_cost_may_fall_and_may_not_double() -> None:
    """A drawdown that shrinks has held; one over twice as deep for its time has not; a loss is a loss."""
    one = evidence(objectives=objectives_of(["drawdown"], 1.0))
    for window, drawdown in (("train", 10.0), ("validation", 5.0), ("test", 0.0)):
        one = with_metrics(one, window, max_drawdown_quote=drawdown)
    assert judge(one).verdict["trade"]
    deep = with_metrics(one, "test", max_drawdown_quote=15.0)
    assert judge(deep).verdict["reasons"] == ["drawdown goes from 10 USDT in sample to 15 USDT in the test window"]
    assert not judge(with_metrics(one, "test", net_quote=-1.0)).verdict["trade"]
    reversed_ranks = judge(one).judgement["rank_correlation"]
    assert reversed_ranks == rank_correlation(one.train_values, one.validation_values), "both are turned alike"


def test_every_objective_must_hold() -> None:
    """With several, one that is lost out of sample is enough; the sentence is about the first."""
    one = evidence(objectives=objectives_of(["net", "sharpe"], 1.0))
    lost = with_metrics(one, "test", sharpe=None)
    assert judge(one).verdict["trade"] and judge(lost).verdict["reasons"] == ["sharpe has no value in the test window"]


def test_what_was_not_asked_for_is_a_warning() -> None:
    """Without a walk-forward the verdict stands, and the reader is told what was not done; so with trials that fell."""
    found = judge(evidence(walk_forward=None))
    assert found.verdict["trade"] and any("no walk-forward" in one for one in found.warnings)
    one = evidence()
    found = judge(replace(one, changes=nan_after(one.changes, slice(30, None))))
    assert found.verdict["trade"] and any("10 of 40 trials stopped early" in one for one in found.warnings)


def test_the_needed_length_is_enough() -> None:
    """A test that is too short says how long it must be; repeated to that length it can tell."""
    short = evidence(test_changes=np.tile([1.0, -0.8, 0.3, -0.2], 5))
    told = judge(short)
    assert any("too short to tell" in reason for reason in told.verdict["reasons"])
    repeats = math.ceil(told.judgement["test_needed_s"] / 60 / 4) + 1
    assert judge(evidence(test_changes=np.tile([1.0, -0.8, 0.3, -0.2], repeats))).verdict["trade"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 40), st.data())
def test_nothing_makes_it_fall_and_no_gap_passes(seed: int, trials: int, rows: int, data: st.DataObject) -> None:
    """Whatever is missing, there is an answer in JSON, and trade stands only where no metric is missing."""
    rng = np.random.default_rng(seed)
    values = st.one_of(st.none(), st.just(math.nan), st.just(math.inf), st.floats(-1e6, 1e6))
    names = ("net_quote", "fills", "sharpe")
    metrics = {
        window: data.draw(st.one_of(st.just({}), st.fixed_dictionaries(dict.fromkeys(names, values))))
        for window in ("train", "validation", "test")
    }
    changes = rng.normal(size=(2 * rows, trials)) * rng.choice([0.0, 1.0], trials)
    changes[rows:, rng.random(trials) < 0.2] = math.nan
    found = judge(evidence(
        metrics=metrics, changes=changes, train_rows=rows, chosen=int(rng.integers(trials)),
        train_values=rng.normal(size=trials), validation_values=rng.choice([math.nan, 1.0, 2.0], trials),
        test_changes=data.draw(st.sampled_from([None, np.zeros(0), np.zeros(1), np.full(9, 0.1), np.arange(9.0)])),
    ))  # fmt: skip
    json.dumps([found.judgement, found.verdict, found.warnings], allow_nan=False)
    assert found.verdict["trade"] == (not found.verdict["reasons"])
    known = all(isinstance(metrics[window].get(name), float) and math.isfinite(metrics[window][name])
                for window in metrics for name in ("net_quote", "fills"))  # fmt: skip
    assert known or not found.verdict["trade"]


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=30))
def test_rank_correlation_is_that_of_mean_ranks(pairs: list[tuple[int, int]]) -> None:
    """With ties it is the correlation of mean ranks; NaN where one side is all equal."""
    columns = [np.array(one, dtype=np.float64) for one in zip(*pairs)]
    ranks = [[np.mean([k for k, x in enumerate(sorted(one)) if x == value]) for value in one] for one in columns]
    found = rank_correlation(*columns)
    if min(np.ptp(one) for one in ranks) == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(ranks)[0, 1])


def test_a_trial_without_a_value_ranks_last() -> None:
    """Trials that have no value in the validation did not hold: if those were the best, the correlation is negative."""
    assert rank_correlation(np.arange(5.0), np.array([1.0, 2.0, 3.0, math.nan, math.nan])) < 0
    assert rank_correlation(np.arange(5.0), np.array([math.nan, math.nan, 1.0, 2.0, 3.0])) > 0.9
    assert math.isnan(rank_correlation(np.arange(2.0), np.arange(2.0)))


def test_nothing_complete_says_why() -> None:
    """Without a complete trial there is a verdict all the same, with the commonest reason."""
    assert nothing_to_judge(256, "0 fills") == {
        "trade": False, "text": "none of 256 trials is complete: there is nothing to trade", "reasons": ["0 fills"],
    }  # fmt: skip
    assert nothing_to_judge(0, "") == {
        "trade": False, "text": "no trial was run: there is nothing to trade", "reasons": [],
    }  # fmt: skip

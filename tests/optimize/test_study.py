"""A search finds what there is to find, asks the same whatever interrupts it, and loses nothing it was told."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinnacle.config_optimize import Optimize
from pinnacle.errors import DiskError, OperatorError
from pinnacle.optimize import storage as storage_module
from pinnacle.optimize.outcome import Outcome, best, pareto
from pinnacle.optimize.space import Axis, Space
from pinnacle.optimize.storage import Store, without_password
from pinnacle.optimize.study import Search
from pinnacle.run.window import Window

TRAIN, VALIDATION = Window("train", 0, 400), Window("validation", 450, 550)
BUCKET_NS = 10
SPACE = Space((Axis("a", -4.0, 4.0), Axis("b", 0.01, 100.0, log=True), Axis("n", 1, 9, whole=True)), {"size": 2.0})
IDENTITY = {"strategy": "abc", "data": ["d1"]}


@dataclass
class Lane:
    """What a candidate did: the evaluator's result, as far as the search looks at it."""

    fault: str
    metrics: dict[str, float]
    equity_quote: np.ndarray


@dataclass
class Hill:
    """A strategy whose net is a hill over its parameters, grown in proportion to the time it is run.

    faults, silent: conditions on the parameters under which a candidate stops early, or has no fills.
    """

    faults: Any = lambda params: False
    silent: Any = lambda params: False
    calls: list[tuple[int, str, bool]] = field(default_factory=list)
    advanced: int = 0

    def __call__(self, params: list[dict[str, float]], window: Window, stopped: bool) -> _HillRun:
        self.calls.append((len(params), window.name, stopped))
        return _HillRun(self, params, window)


class _HillRun:
    def __init__(self, hill: Hill, params: list[dict[str, float]], window: Window) -> None:
        self.hill, self.params, self.window, self.dropped = hill, params, window, set()

    def advance(self, stop_ns: int) -> list[Lane | None]:
        assert self.window.first_ns < stop_ns <= self.window.stop_ns
        return [None if i in self.dropped else self.lane(one, stop_ns) for i, one in enumerate(self.params)]

    def drop(self, indices: list[int]) -> None:
        assert not self.dropped & set(indices)
        self.dropped |= set(indices)

    def lane(self, params: dict[str, float], stop_ns: int) -> Lane:
        self.hill.advanced += 1
        assert params["size"] == 2.0
        height = height_of(params)
        share = (stop_ns - self.window.first_ns) / (self.window.stop_ns - self.window.first_ns)
        if self.hill.faults(params):
            return Lane("its account was empty", {"net_quote": math.nan, "fills": math.nan}, np.zeros(1))
        fills = 0.0 if self.hill.silent(params) else 10.0 * share
        count = (stop_ns - self.window.first_ns) // BUCKET_NS
        equity = np.linspace(0, height * share, count + 1)
        metrics = {"net_quote": height * share, "fills": fills, "sharpe": math.nan, "max_drawdown_quote": params["n"]}
        return Lane("", metrics, equity)


def height_of(params: dict[str, float]) -> float:
    """At most 10, at a = 1, b = 2, n = 7."""
    return 10 - (params["a"] - 1) ** 2 - math.log(params["b"] / 2) ** 2 - (params["n"] - 7) ** 2 / 10


def settings(**changes: Any) -> Optimize:
    return Optimize(**{"trials": 64, "batch": 16, "seed": 3, **changes})


def searched(folder: Path, evaluate: Any = None, *, name: str = "main", **changes: Any) -> Search:
    """A study brought to its end, in that folder or further in it."""
    optimize = settings(**changes)
    with Store(optimize.storage, folder) as store:
        search = Search(store, name, SPACE, optimize, IDENTITY, "my.toml")
        search.run(evaluate or Hill(), TRAIN, VALIDATION, BUCKET_NS)
    return search


def refusal(folder: Path, kind: type[Exception] = OperatorError, **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        searched(folder, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what it finds ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random", "grid"])
def test_a_search_finds_the_hill(tmp_path: Path, sampler: str) -> None:
    """Every sampler ends near the top of a hill, and the model-based ones nearer than a tenth of its height."""
    search = searched(tmp_path, sampler=sampler, trials=160)
    top = search.best()
    assert top is not None
    assert top.values[0] == max(one.values[0] for one in search.outcomes)
    assert top.values[0] == height_of(top.params) > (9.0 if sampler == "tpe" else 7.0)
    assert [one.number for one in search.outcomes] == list(range(search.total))


def test_every_trial_has_both_windows_and_its_curves(tmp_path: Path) -> None:
    """A complete trial's metrics of both windows are in the storage, and its curves were handed over before."""
    seen = []
    optimize = settings(trials=10)
    with Store("journal", tmp_path) as store:
        search = Search(store, "main", SPACE, optimize, IDENTITY, "my.toml")

        def keep(batch: list[Any]) -> None:
            assert len(search.outcomes) == len(seen), "kept before it is told"
            seen.extend(batch)

        search.run(Hill(), TRAIN, VALIDATION, BUCKET_NS, keep=keep)
    with Store("journal", tmp_path) as store:
        again = Search(store, "main", SPACE, optimize, IDENTITY, "my.toml").outcomes
    for one, kept in zip(again, seen, strict=True):
        assert repr(one) == repr(kept.outcome)
        assert one.train["net_quote"] == one.validation["net_quote"] == one.values[0] == height_of(one.params)
        assert math.isnan(one.train["sharpe"])
        assert kept.train_equity_quote.size == 41 and kept.validation_equity_quote.size == 11


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_what_has_no_value_is_failed_with_its_reason(tmp_path: Path, pruner: str) -> None:
    """A fault, or too few fills, is a failed trial that says why, never a value; the search goes on around it."""
    hill = Hill(faults=lambda p: p["n"] <= 2, silent=lambda p: p["n"] >= 8)
    search = searched(tmp_path, hill, pruner=pruner)
    for one in search.outcomes:
        if one.params["n"] <= 2:
            assert (one.state, one.reason, one.values) == ("failed", "its account was empty", ())
        elif one.params["n"] >= 8:
            assert (one.state, one.values) == ("failed", ()) and "0 fills" in one.reason
        else:
            assert one.state in ("complete", "pruned") and one.values
        assert (one.reason == "") == (one.state == "complete")
    assert {one.state for one in search.outcomes} >= {"failed", "complete"}


def test_a_search_in_which_all_fail_has_no_best(tmp_path: Path) -> None:
    """When nothing has a value there is no best, and no front."""
    search = searched(tmp_path, Hill(faults=lambda p: True), trials=20)
    assert search.best() is None and search.pareto() == [] and len(search.outcomes) == 20


def test_a_grid_is_each_point_once(tmp_path: Path) -> None:
    """A grid ends when it is exhausted, and holds every combination once."""
    search = searched(tmp_path, sampler="grid", grid_points=3, trials=1000)
    points = [tuple(one.params.values()) for one in search.outcomes]
    assert len(points) == len(set(points)) == search.total == 27
    assert {point[0] for point in points} == {-4.0, 0.0, 4.0} and {point[2] for point in points} == {1, 5, 9}


# --- the same again -----------------------------------------------------------------------------------------------
MODES = [
    {"sampler": "tpe"},
    {"sampler": "nsga2"},
    {"sampler": "grid"},
    {"sampler": "tpe", "pruner": "median"},
    {"sampler": "tpe", "pruner": "successive-halving"},
    {"sampler": "random", "pruner": "hyperband"},
    {"sampler": "tpe", "objectives": ["net", "drawdown"]},
]


def straight_and_cut(tmp_path: Path, cut: Any, mode: dict[str, Any]) -> tuple[list[Outcome], list[Outcome]]:
    """The trials of a search run in one go, and of the same one after `cut` worked on its folder."""
    straight = searched(tmp_path / "straight", **mode)
    cut(tmp_path / "cut", mode)
    return straight.outcomes, searched(tmp_path / "cut", **mode).outcomes


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(map(str, mode.values())))
@pytest.mark.parametrize("trials", [32, 41])
def test_a_search_that_goes_on_is_the_search_that_never_stopped(tmp_path: Path, mode: Any, trials: int) -> None:
    """Two batches, or two and a part, then the rest by a new process: trial for trial what one run gives."""
    straight, cut = straight_and_cut(tmp_path, lambda f, m: searched(f, **m, trials=trials), mode)
    assert repr(straight) == repr(cut)


class Cable(Exception):
    """Somebody fell over it."""


@pytest.mark.parametrize("mode", [MODES[0], MODES[4]], ids=["plain", "pruned"])
@pytest.mark.parametrize(
    ("kind", "when"), [("journal", "train"), ("journal", "validation"), ("journal", "tell"), ("sqlite", "tell")]
)
def test_a_search_cut_off_anywhere_loses_no_told_trial_and_changes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any, when: str, kind: str
) -> None:
    """Whatever fails in the middle of a batch, what was told before stays, and going on gives the same trials."""
    straight = searched(tmp_path / "straight", **mode).outcomes
    mode = {**mode, "storage": kind}
    hill = Hill()

    def falls(params: Any, window: Window, stopped: bool) -> Any:
        if len(hill.calls) >= 2 and window.name == when:
            raise Cable
        return hill(params, window, stopped)

    with monkeypatch.context() as patch:
        if when == "tell":
            write = Search._trial

            def torn(self: Search, outcome: Outcome, drawn: Any) -> Any:
                if outcome.number == 20:
                    raise KeyboardInterrupt
                return write(self, outcome, drawn)

            patch.setattr(Search, "_trial", torn)
        with pytest.raises((Cable, KeyboardInterrupt)):
            searched(tmp_path / "cut", falls, **mode)
    with Store(kind, tmp_path / "cut") as store:
        kept = Search(store, "main", SPACE, settings(**mode), IDENTITY, "my.toml").outcomes
    assert repr(kept) == repr(straight[: len(kept)]) and len(kept) in (16, 20)
    again = Hill()
    assert repr(searched(tmp_path / "cut", again, **mode).outcomes) == repr(straight)
    judged = sum(count for count, window, _ in again.calls if window == "train")
    assert judged == 64 - (len(kept) if "pruner" not in mode else 16), "nothing that need not be is judged again"


def test_a_torn_journal_goes_on_after_its_last_whole_trial(tmp_path: Path) -> None:
    """A last line cut at any byte is the trial that was being written: it is asked for and judged again."""
    straight = searched(tmp_path / "straight", trials=32).outcomes
    searched(tmp_path / "cut", trials=32)
    path = tmp_path / "cut" / "study.journal"
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in (1, len(last) // 2, len(last) - 1):
        path.write_bytes(whole[:-cut])
        hill = Hill()
        assert repr(searched(tmp_path / "cut", hill, trials=32).outcomes) == repr(straight)
        assert hill.calls[0][0] == 1


def test_the_same_seed_is_the_same_search_and_another_is_another(tmp_path: Path) -> None:
    """The trials depend on the seed and on nothing else that differs between two folders and storages."""
    first, second = (searched(tmp_path / name, storage=name).outcomes for name in ("journal", "sqlite"))
    other = searched(tmp_path / "other", seed=4).outcomes
    assert repr(first) == repr(second)
    assert not {one.params["a"] for one in first} & {one.params["a"] for one in other}


# --- pruning ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pruner", ["median", "percentile", "successive-halving", "hyperband"])
def test_a_pruner_saves_work_and_keeps_the_good(tmp_path: Path, pruner: str) -> None:
    """Dropped candidates are not run further, say at which rung they fell behind, and keep the value they had there."""
    hill = Hill()
    search = searched(tmp_path, hill, pruner=pruner, sampler="random", trials=96)
    pruned = [one for one in search.outcomes if one.state == "pruned"]
    complete = [one for one in search.outcomes if one.state == "complete"]
    assert pruned and complete
    for one in pruned:
        rung = int(one.reason.split()[4])
        assert one.reason == f"fell behind at rung {rung} of 4" and one.train == {} == one.validation
        assert one.values[0] == pytest.approx(height_of(one.params) * rung / 4)
    rungs = sum(int(one.reason.split()[4]) for one in pruned) + 4 * len(complete)
    assert hill.advanced == rungs + len(complete), "a dropped candidate is not run further"
    middle = sorted(height_of(one.params) for one in search.outcomes)[48]
    assert np.mean([one.values[0] for one in complete]) > middle


# --- several objectives -------------------------------------------------------------------------------------------
def test_the_front_is_what_no_other_beats(tmp_path: Path) -> None:
    """The Pareto front equals the naive one, and the chosen trial is the front's nearest to its ideal point."""
    search = searched(tmp_path, objectives=["net", "drawdown"], sampler="nsga2")
    points = {one.number: (one.values[0], -one.values[1]) for one in search.outcomes}
    naive = [
        number
        for number, own in points.items()
        if not any(
            all(x >= y for x, y in zip(other, own)) and (other != own or rival < number)
            for rival, other in points.items()
            if rival != number
        )
    ]
    assert search.pareto() == naive
    ideal = [max(points[number][k] for number in naive) for k in range(2)]
    worst = [min(points[number][k] for number in naive) for k in range(2)]

    def distance(number: int) -> float:
        return sum(((ideal[k] - points[number][k]) / ((ideal[k] - worst[k]) or 1)) ** 2 for k in range(2))

    chosen = search.best()
    assert chosen is not None and chosen.number == min(naive, key=distance)


def test_equal_trials_are_settled_by_number(tmp_path: Path) -> None:
    """Of equals the first is the best and alone on the front."""
    objectives = searched(tmp_path, trials=1).objectives
    same = [Outcome(number, {}, "complete", values=(1.0,)) for number in (4, 2, 3)]
    chosen = best(sorted(same, key=lambda one: one.number), objectives)
    assert chosen is not None and chosen.number == 2
    assert pareto(sorted(same, key=lambda one: one.number), objectives) == [2]


# --- stopping -----------------------------------------------------------------------------------------------------
def test_a_search_stops_between_batches(tmp_path: Path) -> None:
    """Asked to stop, or out of time, it ends after a whole batch, and says why."""
    with Store("journal", tmp_path) as store:
        reports: list[Any] = []
        search = Search(store, "main", SPACE, settings(), IDENTITY, "my.toml")
        stop = lambda: len(reports) == 2  # noqa: E731
        assert search.run(Hill(), TRAIN, None, BUCKET_NS, stop=stop, progress=reports.append) == "stopped"
        assert [(one.done, one.total, one.judged) for one in reports] == [(16, 64, 16), (32, 64, 32)]
        assert reports[-1].best == search.best() and reports[-1].complete == 32
        timed = Search(store, "timed", SPACE, settings(timeout_s=1e-9), IDENTITY, "my.toml")
        assert timed.run(Hill(), TRAIN, None, BUCKET_NS) == "timeout"
        assert search.run(Hill(), TRAIN, None, BUCKET_NS) == "complete" and len(search.outcomes) == 64


# --- refused ------------------------------------------------------------------------------------------------------
def test_another_search_does_not_go_on_in_a_study(tmp_path: Path) -> None:
    """Going on with another space, objective, seed, strategy or data is refused, and what differs is named."""
    searched(tmp_path, trials=16)
    assert "seed 3 (now 4)" in refusal(tmp_path, seed=4)
    assert "batch 16 (now 8)" in refusal(tmp_path, batch=8)
    assert "objectives" in refusal(tmp_path, objectives=["drawdown"])
    assert "pruner" in refusal(tmp_path, pruner="median")
    assert "--out" in refusal(tmp_path, sampler="random")
    other = Space((Axis("a", -4.0, 5.0), *SPACE.axes[1:]), SPACE.fixed)
    for space, identity, said in (
        (other, IDENTITY, "space.a.high 4.0 (now 5.0)"),
        (Space(SPACE.axes, {"size": 3.0}), IDENTITY, "fixed.size 2.0 (now 3.0)"),
        (SPACE, {**IDENTITY, "strategy": "xyz"}, 'strategy "abc" (now "xyz")'),
        (SPACE, {**IDENTITY, "data": ["d2"]}, 'data ["d1"] (now ["d2"])'),
    ):
        with Store("journal", tmp_path) as store, pytest.raises(OperatorError) as caught:
            Search(store, "main", space, settings(), identity, "my.toml")
        assert said in str(caught.value) and "'main'" in str(caught.value)


def test_more_trials_are_no_other_search(tmp_path: Path) -> None:
    """What has no effect on the trials may change: more of them, another timeout, lanes, unused settings."""
    searched(tmp_path, trials=16)
    assert len(searched(tmp_path, trials=48, timeout_s=1000, lanes=3, rungs=9, grid_points=3).outcomes) == 48


def test_a_file_is_written_by_one_search_at_a_time(tmp_path: Path) -> None:
    """A second search on the same file is refused at once; after the first it may go on, whatever was left behind."""
    with Store("journal", tmp_path):
        assert "another search is writing" in refusal(tmp_path)
    (tmp_path / "study.journal.lock").symlink_to("nothing")
    assert len(searched(tmp_path, trials=16).outcomes) == 16


def test_another_program_in_the_study_is_noticed(tmp_path: Path) -> None:
    """Trials that somebody else writes, before or meanwhile, end the search with one error."""
    import optuna

    searched(tmp_path, storage="sqlite", trials=16)
    url = f"sqlite:///{tmp_path / 'study.db'}"

    def meddle(params: Any, window: Window, stopped: bool) -> Any:
        optuna.load_study(study_name="main", storage=url).ask()
        return Hill()(params, window, stopped)

    with pytest.raises(OperatorError, match="another program has written"):
        searched(tmp_path, meddle, storage="sqlite")
    assert "trial 16 of study 'main' is running" in refusal(tmp_path, storage="sqlite")
    study = optuna.create_study(study_name="theirs", storage=url, direction="maximize")
    study.tell(study.ask(), 1.0)
    assert "was begun with space none" in refusal(tmp_path, storage="sqlite", name="theirs")


def test_a_storage_that_fails_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked, damaged, unwritable, unreachable, unknown: one sentence that names the storage and what to do."""
    monkeypatch.setattr(storage_module, "WAIT_S", 0.1)
    searched(tmp_path, storage="sqlite", trials=16)
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert "has locked it" in refusal(tmp_path, storage="sqlite")
    other.close()

    (tmp_path / "study.db").write_bytes(b"no database" * 1000)
    assert "damaged" in refusal(tmp_path, DiskError, storage="sqlite")

    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(tmp_path / "file" / "folder", DiskError)

    assert "cannot be used" in refusal(tmp_path, storage="nothing://me:secret@here/x")
    message = refusal(tmp_path, storage="postgresql+psycopg2://me:secret@127.0.0.1:1/x")
    assert "secret" not in message and "me:***@127.0.0.1" in message


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b'{"op_code": 99}\n', b'{"op_code": 4}\n', b"\xff\n"])
def test_a_damaged_journal_is_the_disks_error(tmp_path: Path, line: bytes) -> None:
    """A line that is not what was written is named, and nothing is written after it."""
    searched(tmp_path, trials=16)
    path = tmp_path / "study.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[5] = line
    path.write_bytes(b"".join(lines))
    assert str(path) in refusal(tmp_path, DiskError)
    assert path.read_bytes() == b"".join(lines)


def test_a_full_disk_keeps_what_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up in the middle of a batch the search ends with one error and can go on."""
    from optuna.storages.journal import JournalFileBackend

    write, left = JournalFileBackend.append_logs, [30]

    def full(self: Any, logs: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(self, logs)

    with monkeypatch.context() as patch:
        patch.setattr(JournalFileBackend, "append_logs", full)
        assert "No space left" in refusal(tmp_path / "full", DiskError)
    straight = searched(tmp_path / "straight").outcomes
    with Store("journal", tmp_path / "full") as store:
        kept = Search(store, "main", SPACE, settings(), IDENTITY, "my.toml").outcomes
    assert 16 < len(kept) < 32 and repr(kept) == repr(straight[: len(kept)])
    assert repr(searched(tmp_path / "full").outcomes) == repr(straight)


def test_a_sampler_that_is_not_installed_is_refused_with_its_remedy(tmp_path: Path, monkeypatch: Any) -> None:
    """cma-es without its package, or over what it cannot walk, is refused before anything runs."""
    find = "pinnacle.optimize.sampler.importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    assert "pip install cmaes" in refusal(tmp_path, sampler="cma-es")
    monkeypatch.setattr(find, lambda name: object())
    for axes, said in (
        ((Axis("a", 1, 2, choices=(1.0, 2.0)), Axis("b", 0, 1)), "has choices"),
        ((Axis("a", 1, 2),), "two parameters"),
    ):
        with Store("journal", tmp_path) as store, pytest.raises(OperatorError, match=said):
            Search(store, "x", Space(axes, {}), settings(sampler="cma-es"), IDENTITY, "my.toml")


def test_a_password_is_not_shown() -> None:
    """A storage is named without its password, and otherwise as it is."""
    assert without_password("postgresql://me:se@cret@host:5/db") == "postgresql://me:***@host:5/db"
    for storage in ("journal", "sqlite", "postgresql://host/db", "postgresql://me@host/db", "sqlite:////a/b.db"):
        assert without_password(storage) == storage

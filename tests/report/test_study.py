"""The report of a study: read from its folder, drawn, and told on a terminal."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import HistoryError, OperatorError, PinnacleError
from pinnacle.report.html import plotly_js
from pinnacle.report.importance import bins, effects, explained, rank_correlation, ranks
from pinnacle.report.study import read_study
from pinnacle.report.study_charts import BEST_KEPT, TRIALS_MAX, short
from pinnacle.report.study_files import Axis
from pinnacle.report.study_html import write_study_report
from pinnacle.report.study_slices import cell_medians
from pinnacle.report.study_terminal import lines, print_study
from pinnacle.report.study_words import compared, reasons
from pinnacle.report.terminal import WIDTH
from tests.report.study_folder import SPACE, write_study_folder

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "folds": {"folds": 3},
    "several": {"objectives": ("net", "sharpe", "drawdown"), "trials": 40},
    "three trials": {"trials": 3, "pruned": 0, "failed": 0},
    "one trial": {"trials": 1, "pruned": 0, "failed": 0},
    "many": {"trials": 2000, "outliers": True, "trade": True},
    "all failed": {"trials": 30, "pruned": 0, "failed": 1.0},
    "all pruned": {"trials": 30, "pruned": 1.0, "failed": 0, "objectives": ("net", "drawdown")},
    "no trial": {"trials": 0},
    "interrupted": {"status": "interrupted", "logits": False},
}


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def page_of(folder: Path) -> tuple[str, dict[str, Any]]:
    """The page without the library in it, and its payload."""
    page = (folder / "report.html").read_text().replace(plotly_js().read_text(), "")
    return page, json.loads(re.search(r'id="payload">(.*?)</script>', page, re.S)[1])  # type: ignore[index]


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_study_gives_a_whole_page(tmp_path: Path, kind: str) -> None:
    """Each figure has its place and each place its figure, references resolve, and the verdict comes first."""
    folder = write_study_folder(tmp_path / "s", **KINDS[kind])
    assert write_study_report(folder) == folder / "report.html"
    page, payload = page_of(folder)
    assert set(re.findall(r'class="chart[^"]*" id="([^"]+)"', page)) == set(payload["figures"])
    assert set(re.findall(r'"@([^"]+)"', json.dumps(payload["figures"]))) <= set(payload["columns"])
    verdict = json.loads((folder / "summary.json").read_text())["verdict"]["text"]
    assert page.index(verdict) < page.index('<section class="view"')
    assert "http://" not in page and "https://" not in page and "NaN" not in page
    for name, figure in payload["figures"].items():
        assert figure["data"], name
        for trace in figure["data"]:
            lengths = {len(v) for v in (_followed(payload, trace.get(key)) for key in ("x", "y", "customdata")) if v}
            assert len(lengths) == 1 or trace["type"] == "heatmap", name
    if KINDS[kind].get("trials", 60) == 0:
        assert "No trial was made" in page


def _followed(payload: dict[str, Any], value: Any) -> list[Any] | None:
    return payload["columns"][value[1:]] if isinstance(value, str) else value


@pytest.mark.parametrize("kind", KINDS)
def test_the_terminal_fits_and_says_the_verdict_first(tmp_path: Path, kind: str) -> None:
    """No line is wider than 80 columns but a path; the first says the verdict; a pipe gets no escape code."""
    folder = write_study_folder(tmp_path / "s", **KINDS[kind])
    told = list(lines(read_study(folder)))
    assert max(len(line.text) for line in told if str(folder) not in line.text) <= WIDTH == 80
    trade = KINDS[kind].get("trade", False)
    assert told[0].text.startswith("TRADE: " if trade else "DO NOT TRADE: ")
    assert told[0].style == ("bold green" if trade else "bold red")
    pipe, screen = io.StringIO(), Screen()
    print_study(folder, pipe)
    print_study(folder, screen)
    assert "\x1b" not in pipe.getvalue()
    for words in ("best.toml", "candidates a second"):
        assert words in pipe.getvalue() and words in screen.getvalue()


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    """Writing the report twice changes no byte and leaves nothing else behind."""
    folder = write_study_folder(tmp_path / "s", folds=2)
    first = write_study_report(folder).read_bytes()
    before = sorted(folder.iterdir())
    assert write_study_report(folder).read_bytes() == first
    assert sorted(folder.iterdir()) == before


def test_five_thousand_trials_stay_small(tmp_path: Path) -> None:
    """The page of a large study is hardly larger than the library in it, and keeps the chosen and the best trials."""
    folder = write_study_folder(tmp_path / "s", 5000, objectives=("net", "drawdown"), folds=4)
    page = write_study_report(folder)
    assert page.stat().st_size < plotly_js().stat().st_size + 300_000
    _, payload = page_of(folder)
    shown = payload["columns"]["o0.n"]
    study = read_study(folder)
    complete = study.trials.where("complete")
    assert len(shown) <= TRIALS_MAX + len(study.found.pareto)
    for name, sign in (("net", -1), ("drawdown", 1)):
        order = np.argsort(sign * study.trials.values[name][complete])[: BEST_KEPT // 2]
        assert set(study.trials.number[complete[order]].tolist()) <= set(shown)
    assert set(study.found.pareto) <= set(shown)


def test_the_history_has_the_best_so_far_of_all_trials(tmp_path: Path) -> None:
    """The line of the best so far ends at the best value there is, for either direction."""
    folder = write_study_folder(tmp_path / "s", 300, objectives=("net", "drawdown"))
    write_study_report(folder)
    _, payload = page_of(folder)
    study = read_study(folder)
    for prefix, name, best in (("o0", "net", max), ("o1", "drawdown", min)):
        values = study.trials.values[name][study.trials.where("complete")]
        line = payload["columns"][f"{prefix}.so_far"]
        assert line[-1] == short(np.array([best(values)]))[0] and len(line) < values.size
        assert line == sorted(line, reverse=best is min)


def test_windows_of_different_length_are_compared_by_the_hour(tmp_path: Path) -> None:
    """What grows with time is divided by each window's own length; a ratio is not."""
    study = read_study(write_study_folder(tmp_path / "s", objectives=("net", "sharpe")))
    net, sharpe = (compared(study, one) for one in study.made.objectives)
    assert net is not None and sharpe is not None
    np.testing.assert_allclose(net[0] * 6, study.trials.train["net_quote"])
    np.testing.assert_allclose(net[1] * 1.95, study.trials.validation["net_quote"])
    assert net[2] == "net result, USDT an hour" and sharpe[2] == "Sharpe ratio, a year"
    np.testing.assert_array_equal(sharpe[0], study.trials.train["sharpe"])


def test_equity_goes_on_from_window_to_window(tmp_path: Path) -> None:
    """Each window's curve begins where the one before ended, and only the chosen trial's is read."""
    folder = write_study_folder(tmp_path / "s")
    write_study_report(folder)
    columns = page_of(folder)[1]["columns"]
    names = ("train", "validation", "test")
    for before, after in pairwise(names):
        assert columns[f"c.{after}_equity"][0] == columns[f"c.{before}_equity"][-1]
        assert columns[f"c.{after}_t"][0] > columns[f"c.{before}_t"][-1]
    table = pq.read_table(folder / "curves.parquet").to_pylist()
    best = json.loads((folder / "summary.json").read_text())["best"]["number"]
    assert sum(row["number"] == best for row in table) == sum(len(columns[f"c.{name}_t"]) for name in names)


def test_text_of_a_folder_cannot_enter_the_page(tmp_path: Path) -> None:
    """Names, reasons, verdicts and warnings are shown as text, whatever they hold."""
    bad = "</script><script>alert(1)</script><img src=x>"
    folder = write_study_folder(tmp_path / "s", name=bad)
    edit(folder / "summary.json", warnings=[bad], verdict={"trade": False, "text": bad, "reasons": [bad]})
    table = pq.read_table(folder / "trials.parquet")
    reason = [bad if state != "complete" else "" for state in table["state"].to_pylist()]
    index = table.column_names.index("reason")
    pq.write_table(table.set_column(index, "reason", pa.array(reason)), folder / "trials.parquet")
    write_study_report(folder)
    page, payload = page_of(folder)

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag != "img" and not any(name in ("src", "href", "onerror") for name, _ in attrs)

    Tags().feed(re.sub(r"<script.*", "", page, flags=re.S))
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert "<img" not in json.dumps(payload["columns"])


def test_reasons_that_differ_in_numbers_are_one(tmp_path: Path) -> None:
    """Every trial that did not complete is counted once, under the sentence of the first of its kind."""
    study = read_study(write_study_folder(tmp_path / "s", 200, failed=0.5))
    told = reasons(study)
    assert sum(number for _, _, number, _ in told) == int((study.trials.state != "complete").sum())
    assert len(told) == 3 and [number for *_, number, _ in told] == sorted((n for *_, n, _ in told), reverse=True)
    for state, text, _, first in told:
        index = int(np.flatnonzero(study.trials.number == first)[0])
        assert study.trials.state[index] == state and study.trials.reason[index] == text


BROKEN = (
    "no folder", "no study.json", "no summary.json", "no trials.parquet", "no curves.parquet",
    "no walk_forward.parquet", "version", "not json", "wrong type", "cut trials", "cut curves", "column", "state",
    "other best", "twice", "text for numbers", "value missing", "range", "parameter",
)  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_bad_folder_is_an_error_a_person_can_read(tmp_path: Path, what: str) -> None:
    """A missing or damaged file is named in one sentence, and no page is left that looks like a report."""
    folder = write_study_folder(tmp_path / "s", folds=2)
    study, summary, trials = (folder / name for name in ("study.json", "summary.json", "trials.parquet"))
    kind: type[PinnacleError] = HistoryError
    table = pq.read_table(trials)

    def put(name: str, values: list[Any]) -> None:
        pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), trials)

    if what == "no folder":
        folder, kind = tmp_path / "elsewhere", OperatorError
    elif what.startswith("no "):
        (folder / what[3:]).unlink()
        kind = OperatorError
    elif what == "version":
        edit(study, format_version=2)
        kind = OperatorError
    elif what == "not json":
        summary.write_text("{")
    elif what == "wrong type":
        edit(summary, verdict={"trade": "yes", "text": ""})
    elif what.startswith("cut"):
        path = folder / f"{what[4:]}.parquet"
        path.write_bytes(path.read_bytes()[:-20])
    elif what == "column":
        pq.write_table(table.drop_columns(["param_skew"]), trials)
    elif what == "state":
        put("state", ["lost"] * table.num_rows)
    elif what == "other best":
        edit(summary, pareto=[100_000])
    elif what == "twice":
        put("number", [0] * table.num_rows)
    elif what == "text for numbers":
        put("value_net", ["much"] * table.num_rows)
    elif what == "value missing":
        put("value_net", [math.nan] * table.num_rows)
    elif what == "range":
        edit(study, space={"skew": {**SPACE["skew"], "low": 9.0}})
    elif what == "parameter":
        edit(summary, best=json.loads(summary.read_text())["best"] | {"params": {}})
    with pytest.raises(kind) as raised:
        write_study_report(folder)
    assert str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)
    assert not (folder / "report.html").exists()


def test_what_a_later_search_adds_is_passed_over(tmp_path: Path) -> None:
    """Unknown fields and columns change nothing; what was not judged is left out."""
    folder = write_study_folder(tmp_path / "s")
    edit(folder / "study.json", later={"a": 1})
    edit(folder / "summary.json", judgement=None, stability=None, later=1)
    write_study_report(folder)
    page, payload = page_of(folder)
    assert "c-sharpe" not in payload["figures"] and "c-stability" not in payload["figures"]
    assert "Best parameters" in page


def test_a_walk_forward_that_tested_nothing_needs_no_curve(tmp_path: Path) -> None:
    """Where no fold could be tested there is no file of its equity, and the page says the folds all the same."""
    folder = write_study_folder(tmp_path / "s", folds=1)
    (folder / "walk_forward.parquet").unlink()
    edit(folder / "summary.json", walk_forward={"folds": [{"number": 1, "params": None}], "net_quote": 0.0})
    write_study_report(folder)
    page, payload = page_of(folder)
    assert "c-walk" not in payload["figures"] and "fold 1" in page


def test_a_fault_of_the_chosen_one_is_said(tmp_path: Path) -> None:
    """Where the chosen trial stopped early, the page and the terminal say where and why."""
    folder = write_study_folder(tmp_path / "s")
    best = json.loads((folder / "summary.json").read_text())["best"]
    edit(folder / "summary.json", best=best | {"test": {}, "test_fault": "the loss limit was reached"})
    write_study_report(folder)
    stream = io.StringIO()
    print_study(folder, stream)
    for said in (page_of(folder)[0], " ".join(stream.getvalue().split())):
        assert "It stopped early in test: the loss limit was reached" in said


def test_importing_the_report_of_a_study_draws_nothing() -> None:
    """It is imported without plotly, pyarrow, polars, optuna or rich."""
    code = (
        "import sys, pinnacle.report.study_html, pinnacle.report.study_terminal\n"
        "bad = {'numba', 'plotly', 'pyarrow', 'polars', 'optuna', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


# --- importance -------------------------------------------------------------------------------------------------------

FEW = st.lists(st.integers(-5, 5).map(float), min_size=3, max_size=40)


@settings(max_examples=60, deadline=None)
@given(FEW)
def test_ranks_are_those_of_counting(values: list[float]) -> None:
    """A value's rank is one more than the number below it, and half of the others that equal it."""
    expected = [
        1 + sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]
    assert ranks(np.array(values)).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5).map(float)), min_size=6, max_size=40))
def test_the_explained_share_is_that_of_the_sums_of_squares(rows: list[tuple[int, float]]) -> None:
    """Epsilon squared from loops over groups gives the same, and lies from 0 to 1."""
    groups, values = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    mine: dict[int, list[float]] = {}
    for group, value in rows:
        mine.setdefault(group, []).append(value)
    mean = sum(values) / len(rows)
    total = sum((value - mean) ** 2 for value in values)
    within = sum((value - sum(one) / len(one)) ** 2 for one in mine.values() for value in one)
    found = explained(groups, values)
    if total == 0:
        assert found == 0
    else:
        chance = (len(mine) - 1) * within / (len(rows) - len(mine))
        assert found == pytest.approx(max(0.0, (total - within - chance) / total), abs=1e-9)
        assert 0 <= found <= 1


def test_importance_finds_what_was_put_in() -> None:
    """What matters comes first, noise explains nearly nothing, and a pair that acts only together is found as one."""
    rng = np.random.default_rng(3)
    params = {name: rng.uniform(-1, 1, 600) for name in ("strong", "weak", "noise", "one", "other")}
    values = 4 * params["strong"] + 2 * params["weak"] + 3 * np.sign(params["one"] * params["other"])
    found = effects(params, values + 0.1 * rng.normal(size=600))
    shares = {effect.params: effect.share for effect in found}
    assert [effect.share for effect in found] == sorted(shares.values(), reverse=True)
    assert shares["strong",] > shares["weak",] > shares["noise",] and shares["noise",] < 0.03
    assert max((e for e in found if len(e.params) == 2), key=lambda e: e.share).params == ("one", "other")
    assert shares["one",] < 0.05 and shares["one", "other"] > 0.2
    assert next(e for e in found if e.params == ("strong",)).direction > 0.5


def test_importance_is_of_ranks_and_needs_enough_trials() -> None:
    """A rising change of the values, however ruinous, changes no share; few or equal values have none."""
    rng = np.random.default_rng(4)
    params = {"a": rng.uniform(size=80), "b": rng.integers(0, 3, 80).astype(float)}
    values = params["a"] + params["b"]
    plain = [(e.params, e.share) for e in effects(params, values)]
    assert plain == [(e.params, e.share) for e in effects(params, np.exp(20 * values))]
    assert effects({"a": params["a"][:10]}, values[:10]) == []
    assert effects(params, np.ones(80)) == []


@settings(max_examples=60, deadline=None)
@given(FEW, st.integers(2, 8))
def test_equal_values_share_a_bin(values: list[float], most: int) -> None:
    """Bins rise with the values, equal values are never parted, and there are not more than asked for."""
    column = np.array(values)
    found = bins(column, most)
    assert found.min() >= 0 and found.max() < most
    order = np.argsort(column, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    for value in set(values):
        assert np.unique(found[column == value]).size == 1


def test_rank_correlation_knows_its_ends() -> None:
    """The same order gives 1, the reverse -1, and what does not vary gives no number."""
    values = np.array([3.0, 1.0, 2.0, 9.0])
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert math.isnan(rank_correlation(values, np.ones(4))) and math.isnan(rank_correlation(values[:2], values[:2]))


# --- small parts ------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-1e200, 1e200).filter(lambda v: v == 0 or abs(v) > 1e-200), min_size=1, max_size=20))
def test_short_keeps_five_digits(values: list[float]) -> None:
    """A shortened number differs by less than one in its fifth digit, at any size."""
    found = short(np.array(values))
    assert all(abs(new - old) <= abs(old) * 5.1e-5 for new, old in zip(found.tolist(), values))


def test_places_on_an_axis() -> None:
    """Ends are 0 and 1; the middle of a logarithmic axis is the geometric mean; choices are evenly spaced."""
    assert Axis(1, 100, log=True).place([1, 10, 100, 1000]).tolist() == pytest.approx([0, 0.5, 1, 1])
    assert Axis(1, 60, choices=[1.0, 5.0, 60.0]).place([1, 5, 60]).tolist() == [0, 0.5, 1]
    assert Axis(2, 2).place([2]).tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(-9, 9).map(float)), min_size=1, max_size=30)
)
def test_cells_hold_the_median_and_gaps_stay_gaps(rows: list[tuple[int, int, float]]) -> None:
    """Each cell has the median of its own values; a cell without one has NaN and a count of 0."""
    row, column, values = (np.array([one[k] for one in rows]) for k in range(3))
    medians, numbers = cell_medians(row, column, values, (3, 4))
    for y in range(3):
        for x in range(4):
            mine = sorted(v for a, b, v in rows if (a, b) == (y, x))
            assert numbers[y, x] == len(mine)
            if mine:
                assert medians[y, x] == (mine[(len(mine) - 1) // 2] + mine[len(mine) // 2]) / 2
            else:
                assert math.isnan(medians[y, x])

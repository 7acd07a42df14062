"""The space is what the strategy says and the config changes of it; what cannot be searched is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.config_optimize import SearchRange
from pinnacle.engine.strategy import load_strategy
from pinnacle.errors import OperatorError, StrategyError
from pinnacle.optimize.sampler import Grid
from pinnacle.optimize.space import Axis, Space, search_space
from pinnacle.strategy import Param

ROOT = Path(__file__).resolve().parent.parent.parent
PARAMS = (
    Param("spread", 1.0, 0.0, 100.0, "bps", "distance", search=(0.0, 5.0)),
    Param("gamma", 0.1, 1e-6, 100.0, "per bps", "aversion", log=True),
    Param("levels", 5, 1, 20, "orders", "a side", whole=True),
    Param("size", 0.01, 1e-9, 1e6, "BTC", "of an order", log=True, search=False),
    Param("zero", 1.0, 0.0, 10.0, "s", "a logarithm that starts at nothing", log=True, search=False),
    Param("nailed", 2.0, 2.0, 2.0, "s", "no room"),
)


def space(search: dict[str, dict[str, Any]] | None = None, params: Any = PARAMS, **rest: Any) -> Space:
    ranges = {name: SearchRange(**one) for name, one in (search or {}).items()}
    return search_space(params, ranges, rest.get("given", {}), rest.get("own", {}), "my.toml")


def test_the_strategy_says_what_is_searched() -> None:
    """Without a word in the config: True is the whole range, a range is that, False and no room are left out."""
    assert space(given={"size": 0.5, "spread": 3.0}) == Space(
        (Axis("spread", 0.0, 5.0), Axis("gamma", 1e-6, 100.0, log=True), Axis("levels", 1, 20, whole=True)),
        {"size": 0.5, "zero": 1.0, "nailed": 2.0},
    )


def test_the_config_changes_what_it_names() -> None:
    """An end, a scale, a step, choices or a fixed value replace the strategy's; the rest of it stays."""
    got = space(
        {
            "spread": {"high": 50.0},
            "gamma": {"low": 1.0, "step": 0.1, "high": 1.25},
            "levels": {"choices": [9.0, 3.0]},
            "size": {},
            "zero": {"log": False},
        }
    )
    assert got.axes == (
        Axis("spread", 0.0, 50.0),
        Axis("gamma", 1.0, 1.2, step=0.1),
        Axis("levels", 3, 9, whole=True, choices=(3, 9)),
        Axis("size", 1e-9, 1e6, log=True),
        Axis("zero", 0.0, 10.0),
    )
    assert space({"gamma": {"fixed": 0.7}}).fixed["gamma"] == 0.7


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"spred": {}}, "optimize.search.spred: the strategy has no parameter 'spred' (did you mean spread?)"),
        ({"spread": {"high": 101.0}}, "optimize.search.spread.high is 101, and must be from 0 to 100 bps"),
        ({"spread": {"low": -1.0}}, "optimize.search.spread.low is -1, and must be from 0 to 100 bps"),
        ({"spread": {"low": 7.0}}, "goes from low 7 to high 5, and low must be below high; the strategy itself says"),
        ({"spread": {"log": True}}, "optimize.search.spread is logarithmic from 0"),
        ({"zero": {}}, "optimize.search.zero is logarithmic from 0"),
        ({"nailed": {}}, "optimize.search.nailed goes from low 2 to high 2"),
        ({"spread": {"step": 6.0}}, "optimize.search.spread.step is 6, and must be at most 5"),
        ({"levels": {"low": 1.5}}, "optimize.search.levels.low is 1.5, and must be a whole number (orders)"),
        ({"levels": {"step": 0.5}}, "optimize.search.levels.step is 0.5, and must be a whole number"),
        ({"levels": {"choices": [1.0, 30.0]}}, "optimize.search.levels.choices is 30, and must be from 1 to 20"),
        ({"levels": {"choices": [1.0, 1.5]}}, "optimize.search.levels.choices is 1.5, and must be a whole number"),
        ({"gamma": {"fixed": 1000.0}}, "optimize.search.gamma.fixed is 1000, and must be from 1e-06 to 100"),
    ],
)
def test_what_cannot_be_searched_is_refused(search: dict[str, dict[str, Any]], said: str) -> None:
    """A range that the strategy does not allow is refused with file, key, what was found and what belongs there."""
    with pytest.raises(OperatorError) as caught:
        space(search)
    assert str(caught.value).startswith("my.toml: ") and said in str(caught.value)


def test_an_empty_space_is_refused_with_its_remedy() -> None:
    """Nothing to search is an error that names what could be."""
    with pytest.raises(OperatorError, match=r"nothing is searched.*\[optimize.search.size\].*it has size, zero"):
        space(params=PARAMS[3:])
    with pytest.raises(OperatorError, match="has none that could be searched"):
        space(params=())


def test_what_an_instrument_sets_itself_is_not_searched() -> None:
    """A searched parameter that an instrument sets is refused, for no candidate could change it there."""
    own = {"here:A": {"gamma": 0.5}}
    with pytest.raises(
        OperatorError, match=r"gamma is searched, and here:A sets it to 0.5.*optimize.search.gamma.fixed"
    ):
        space(own=own)
    assert "gamma" in space({"gamma": {"fixed": 0.1}}, own=own).fixed


ends = st.tuples(st.floats(1e-6, 1e5), st.floats(1e-6, 1e5)).filter(lambda e: e[0] * 1.001 < e[1]).map(tuple)
axes = st.one_of(
    st.builds(lambda e, log: Axis("x", *e, log=log), ends, st.booleans()),
    st.builds(lambda low, n, log: Axis("x", low, low + n, log=log, whole=True), st.integers(1, 50), st.integers(1, 50),
              st.booleans()),
    st.builds(lambda low, k, step: Axis("x", *_steps(low, k, step)), st.integers(0, 9), st.integers(1, 40),
              st.sampled_from([0.1, 0.25, 0.3, 7.0])),
    st.sets(st.floats(-1e6, 1e6), min_size=2, max_size=6).map(
        lambda c: Axis("x", min(c), max(c), choices=tuple(sorted(c)))),
)  # fmt: skip


def _steps(low: int, count: int, step: float) -> tuple[Any, ...]:
    wide = Param("x", low, low, 1e9, "s", "")
    axis = search_space([wide], {"x": SearchRange(low=low, high=low + count * step + step / 2, step=step)}, {}, {}, "")
    return axis.axes[0].low, axis.axes[0].high, False, step


@given(axes, st.integers(2, 30))
def test_the_points_of_a_grid_are_on_the_axis(axis: Axis, count: int) -> None:
    """Grid points rise from the first end to the last, and Optuna finds each of them in the axis's distribution."""
    points = axis.points(count)
    assert points[0] == axis.low and points[-1] == axis.high and list(points) == sorted(set(points))
    assert len(points) <= max(count, len(axis.choices or ()))
    distribution = axis.distribution()
    for point in points:
        assert distribution._contains(distribution.to_internal_repr(point))


@given(axes, st.integers(2, 30))
def test_normalised_values_keep_order_and_ends(axis: Axis, count: int) -> None:
    """An axis goes from 0 to 1 in the order of its values, evenly in ratio where it is logarithmic."""
    points = axis.points(count)
    places = axis.normalise(np.array(points, dtype=np.float64))
    assert places[0] == 0 and places[-1] == pytest.approx(1) and (np.diff(places) > 0).all()
    if axis.log and not axis.whole:
        assert places == pytest.approx(np.linspace(0, 1, count), abs=1e-9)


@given(axes, axes)
def test_a_space_survives_json(one: Axis, other: Axis) -> None:
    """A space written as JSON and read again is the same, and two spaces are equal when their axes are."""
    got = Space((one,), {"y": 2.5})
    assert Space.from_json(json.loads(json.dumps(got.as_json())), {"y": 2.5}) == got
    assert (Space((other,), {}).as_json() == Space((one,), {}).as_json()) == (one == other)


@given(st.lists(st.integers(2, 5), min_size=1, max_size=4), st.integers(0, 9))
def test_a_grid_holds_every_combination_once(sizes: list[int], seed: int) -> None:
    """A grid's candidates are all combinations, each once, whatever the seed."""
    levels = [Axis(f"x{i}", 0, size - 1, whole=True) for i, size in enumerate(sizes)]
    grid = Grid(Space(tuple(levels), {}), 5, seed)
    seen = {tuple(grid.candidate(number).values()) for number in range(grid.size)}
    assert len(seen) == grid.size == np.prod(sizes)


# --- what a strategy may say --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("(1.0, 3.0)", "goes from 1.0 to 3.0, and must rise within its own bounds, 0.0 to 2"),
        ("(-1.0, 1.0)", "goes from -1.0 to 1.0"),
        ("(1.0, 1.0)", "goes from 1.0 to 1.0"),
        ("(0.0, 1.0), log=True", "starts at 0.0, which has no logarithm"),
        ("(0.5, 2.0), whole=True", "must be whole numbers"),
        ("(1.0,)", "must be True, False or (from, to)"),
        ("'yes'", "must be True, False or (from, to)"),
        ("1", "must be True, False or (from, to)"),
    ],
)
def test_a_strategys_own_range_is_checked(tmp_path: Path, search: str, said: str) -> None:
    """A search range that does not fit its parameter is the strategy file's error, by name."""
    path = tmp_path / "mine.py"
    path.write_text(
        "from pinnacle.strategy import Param\n"
        f'PARAMS = (Param("a", 1.0, 0.0, 2.0, "s", "x", search={search}),)\n'
        "def quote(market, lane, me, params, memory, want):\n    pass\n"
    )
    with pytest.raises(StrategyError) as caught:
        load_strategy(path)
    assert str(caught.value).startswith(f"{path}: search of a ") and said in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "strategies").glob("*.py")), ids=lambda path: path.stem)
def test_a_shipped_strategy_is_searched_as_it_is(path: Path) -> None:
    """Sizes, limits and warm-ups of the shipped strategies are chosen, everything else is tuned around its default."""
    params = load_strategy(path).params
    if path.stem == "join_best":
        with pytest.raises(OperatorError, match="nothing is searched"):
            space(params=params)
        return
    got = space(params=params)
    assert set(got.fixed) <= {"order_qty", "position_max", "warmup_s"}
    for axis, param in zip(got.axes, [param for param in params if param.search is not False], strict=True):
        assert axis.low <= param.default <= axis.high and axis.log == param.log and axis.whole == param.whole

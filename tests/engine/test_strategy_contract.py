"""What is wrong with a strategy file is told in one error that names the file, the line and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnacle.config import parse_config
from pinnacle.engine.strategy import bind, load_strategy
from pinnacle.errors import OperatorError, PinnacleError, StrategyError
from pinnacle.run.settings import engine_state
from tests.strategies import sample

IMPORTS = "import math\nfrom pinnacle.strategy import BID, Param, jit, want_bid, want_order\n"
QUOTE = "def quote(market, lane, me, params, memory, want):\n"
JITTED = IMPORTS + "@jit\n" + QUOTE


def written(folder: Path, source: str) -> Path:
    """A strategy file with that text."""
    path = folder / "mine.py"
    path.write_text(source)
    return path


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Path:
    """The first second of the sample: enough for a strategy to be asked."""
    return sample.cut_catalog(tmp_path_factory.mktemp("catalog"), 1.0)


# source, then what the error says: the line first where there is one.
UNLOADABLE = {
    "syntax": (IMPORTS + "def quote(market:\n    pass\n", "line 3: SyntaxError"),
    "no quote": (IMPORTS, "defines no function `quote`"),
    "quote no function": (IMPORTS + "class quote:\n    pass\n", "defines no function `quote`"),
    "too few arguments": (IMPORTS + "def quote(market, want):\n    pass\n", "must take (market, lane, me, params,"),
    "raises at import": (IMPORTS + "x = 1 / 0\n" + QUOTE + "    pass\n", "line 3: ZeroDivisionError: division by zero"),
    "imports nothing": ("import nothing_of_this_name\n", "line 1: ModuleNotFoundError"),
    "exits": ("raise SystemExit(3)\n", "line 1: SystemExit"),
    "params a list": ("PARAMS = []\n" + JITTED + "    pass\n", "PARAMS must be a tuple"),
    "no tuple": (IMPORTS + 'PARAMS = Param("a", 1, 0, 2, "s", "x")\n' + QUOTE + "    pass\n", "PARAMS must be"),
    "default out of bounds": (
        IMPORTS + 'PARAMS = (Param("a", 5, 0, 2, "s", "x"),)\n' + QUOTE + "    pass\n",
        "the default of a, 5, is outside its own bounds, 0 to 2",
    ),
    "default no number": (
        IMPORTS + 'PARAMS = (Param("a", "5", 0, 2, "s", "x"),)\n' + QUOTE + "    pass\n", "of a must be numbers",
    ),
    "two of a name": (
        IMPORTS + 'PARAMS = (Param("a", 1, 0, 2, "s", "x"),) * 2\n' + QUOTE + "    pass\n", "each needs a name",
    ),
    "memory no dict": (IMPORTS + 'MEMORY = ["a"]\n' + QUOTE + "    pass\n", "MEMORY must be a dict"),
    "memory by number": (IMPORTS + "MEMORY = {3: 1}\n" + QUOTE + "    pass\n", "MEMORY must be a dict"),
    "memory too big": (IMPORTS + 'MEMORY = {"a": 257}\n' + QUOTE + "    pass\n", "room for 256"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNLOADABLE)
def test_a_file_that_does_not_load(case, tmp_path):
    """A file that breaks the contract before it is called is refused by name, with the line it is wrong at."""
    source, said = UNLOADABLE[case]
    path = written(tmp_path, source)
    with pytest.raises(StrategyError) as error:
        load_strategy(path)
    assert str(error.value).startswith(f"{path}: ") and said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    """A missing file is an error of the same kind."""
    with pytest.raises(StrategyError, match="cannot be read"):
        load_strategy(tmp_path / "none.py")


UNCOMPILABLE = {
    "wrong type": ('    want_bid(want, "text", 1)\n', "isnan(unicode_type)"),
    "no such field": ('    want_bid(want, market["top"][me]["bud_ticks"], 1)\n', "Field 'bud_ticks' was not found"),
    "no such parameter": ('    want_bid(want, params["width"], 1)\n', "Field 'width' was not found"),
    "no such name": ("    want_bid(want, nothing, 1)\n", "name 'nothing' is not defined"),
    "not for numba": ("    import os\n", "unsupported opcode"),
}


@pytest.mark.parametrize("case", UNCOMPILABLE)
def test_a_quote_that_does_not_compile(case, tmp_path):
    """What numba complains of is told with the strategy's own line, and the ways out."""
    body, said = UNCOMPILABLE[case]
    path = written(tmp_path, JITTED + body)
    with pytest.raises(StrategyError) as error:
        bind(load_strategy(path), 1)
    told = str(error.value)
    assert told.startswith(f"{path}: line 5: does not compile: ") and said in told and "--no-jit" in told
    assert "\n" not in told


def test_a_quote_with_a_result(tmp_path):
    """A jitted quote that returns something is refused: the kernels call it as a function without a result."""
    with pytest.raises(StrategyError, match="must return nothing"):
        bind(load_strategy(written(tmp_path, JITTED + "    return 1.0\n")), 1)


RAISING = {
    "jitted": (JITTED + '    if me == 0:\n        raise ValueError("enough")\n', "line 6: ValueError: enough"),
    "jitted assertion": (JITTED + '    assert market["seq"] < 0\n', "line 5: AssertionError"),
    "plain": (IMPORTS + QUOTE + '    {}["nothing"]\n', "line 4: KeyError: 'nothing'"),
    "plain, of a kernel": (
        IMPORTS + QUOTE + "    want_bid(want, None, 1.0)\n",
        "line 4: TypingError: nothing implements",
    ),
}


@pytest.mark.parametrize("case", RAISING)
def test_a_quote_that_raises(case, tmp_path, catalog):
    """An exception inside quote ends the run with the strategy's file, line and reason; the log is kept."""
    source, said = RAISING[case]
    path = written(tmp_path, source)
    with pytest.raises(StrategyError) as error:
        sample.run(path, tmp_path / "out", catalog=catalog)
    assert str(error.value).startswith(f"{path}: quote raised: ") and said in str(error.value)
    assert '"status": "failed"' in (tmp_path / "out" / "manifest.json").read_text()


ASKING = {
    "price not a number": ("    want_bid(want, math.nan, 1.0)\n", "a price, size or side that is not a number"),
    "price infinite": ("    want_bid(want, math.inf, 1.0)\n", "a price, size or side that is not a number"),
    "size not a number": ("    want_bid(want, 1000.0, math.nan)\n", "a price, size or side that is not a number"),
    "too many": ("    for k in range(129):\n        want_bid(want, 1000 + k, 1)\n", "WANTED_QUOTES_MAX"),
}


@pytest.mark.parametrize("decorated", [True, False], ids=["jitted", "plain"])
@pytest.mark.parametrize("case", ASKING)
def test_a_quote_that_asks_for_what_cannot_be(case, decorated, tmp_path, catalog):
    """A want that is no number, or one too many, stops the run by the strategy's name and sends nothing."""
    body, said = ASKING[case]
    path = written(tmp_path, (JITTED if decorated else IMPORTS + QUOTE) + body)
    with pytest.raises(PinnacleError) as error:
        sample.run(path, tmp_path / "out", catalog=catalog)
    assert str(error.value).startswith(f"{path}: ") and said in str(error.value)


@pytest.mark.parametrize("name", sample.NAMES)
def test_parameters_outside_their_bounds(name):
    """Each parameter of each shipped strategy is refused beyond its bounds, and as text, by name, bounds and unit."""
    strategy = load_strategy(sample.strategy_path(name))
    for param in strategy.params:
        for value in (param.low - 1, param.high * 2 + 1, float("nan"), "much"):
            with pytest.raises(OperatorError, match=f"mine.toml: {param.name} is {value!r}".replace("'", ".")) as error:
                strategy.values({param.name: value}, "mine.toml")
            assert param.unit in str(error.value)
        assert strategy.values({param.name: param.high}, "mine.toml")[param.name] == param.high
    with pytest.raises(OperatorError, match="has no parameter 'width'"):
        strategy.values({"width": 1.0}, "mine.toml")


def test_a_config_outside_the_bounds():
    """A run's state is not made from a config whose parameter is out of bounds, or of an instrument's own table."""
    strategy = load_strategy(sample.strategy_path("grid"))
    one = {"venue": "v", "symbol": "s", "tick": "0.1", "lot": "0.001"}
    for tables in (
        {"strategy": {"params": {"levels": 21}}, "instruments": [one]},
        {"instruments": [{**one, "params": {"levels": 2.5}}]},
    ):
        config = parse_config(tables, "mine.toml")
        instrument = config.instruments[0].instrument("mine.toml")
        assert instrument is not None
        with pytest.raises(OperatorError, match=r"mine.toml: levels is (21\.0|2\.5), and must be"):
            engine_state(config, [instrument], strategy, "mine.toml")

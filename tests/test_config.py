"""A config says what it means or is refused in one sentence: the file, the key, what was found, what belongs there."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.config import (
    INHERITED,
    Config,
    InstrumentConfig,
    apply_settings,
    exact_decimal,
    parse_config,
    read_toml,
)
from pinnacle.errors import OperatorError

ROOT = Path(__file__).resolve().parent.parent
FILE = "my.toml"
ONE = '[[instruments]]\nvenue = "here"\nsymbol = "A"\n'
TWO = ONE + '[[instruments]]\nvenue = "here"\nsymbol = "B"\n'


def parsed(text: str, *settings: str) -> Config:
    tables = tomllib.loads(text)
    apply_settings(tables, settings)
    return parse_config(tables, FILE)


def refusal(text: str, *settings: str) -> str:
    """What a person reads, which is one line."""
    with pytest.raises(OperatorError) as caught:
        parsed(text, *settings)
    message = str(caught.value)
    assert "\n" not in message and "msgspec" not in message and "Expected" not in message
    return message


# --- refused ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ("seeed = 1\n" + ONE, "'seeed' in the top level", "latency"),
        (ONE + "[run]\nsede = 1", "'sede' in run", "did you mean seed?"),
        (ONE + "[latency]\nentri_ms = 1", "'entri_ms' in latency", "did you mean entry_ms?"),
        (ONE + "tik = 1", "'tik' in instruments[0]", "did you mean tick?"),
        (TWO + "[instruments.latency]\nentri_ms = 1", "'entri_ms' in instruments[1].latency", "did you mean entry_ms?"),
        (ONE + "[instruments.risk]\nband = 1", "'band' in instruments[0].risk", "band_pct"),
    ],
)
def test_an_unknown_key_is_named_with_those_that_are_known(text: str, key: str, remedy: str) -> None:
    """An unknown key is refused where the file has it, and the keys of that place, with the nearest, are said."""
    message = refusal(text)
    assert message.startswith(f"{FILE}: unknown key {key}")
    assert remedy in message and "known there: " in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE + '[run]\nseed = "x"', "run.seed is 'x', and must be a whole number"),
        (ONE + "[run]\nseed = true", "run.seed is True, and must be a whole number"),
        (ONE + "[run]\nseed = 1.5", "run.seed is 1.5, and must be a whole number"),
        (ONE + "trade = 3", "instruments[0].trade is 3, and must be true or false"),
        (ONE + '[latency]\nentry_ms = "x"', "latency.entry_ms is 'x', and must be a number"),
        (ONE + "[instruments.fees]\nmaker_bps = []", "instruments[0].fees.maker_bps is [], and must be a number"),
        (ONE + '[strategy.params]\ngood = 1\nbad = "x"', "strategy.params.bad is 'x', and must be a number"),
        (ONE + '[instruments.params]\nbad = "x"', "instruments[0].params.bad is 'x', and must be a number"),
        (ONE + "tick = true", "instruments[0].tick is True, and must be a number or text"),
        ("latency = 3\n" + ONE, "latency is 3, and must be a table"),
        (ONE + "latency = 3", "instruments[0].latency is 3, and must be a table"),
        ("run = 3\n" + ONE, "run is 3, and must be a table"),
        ("instruments = [1]", "instruments[0] is 1, and must be a table"),
        ("instruments = [1]\n[latency]\nentry_ms = 1", "instruments[0] is 1, and must be a table"),
        ('[[instruments]]\nvenue = ""\nsymbol = "A"', "instruments[0].venue is '', and must be a text"),
    ],
)
def test_a_wrong_type_is_said_in_words(text: str, said: str) -> None:
    """A value of the wrong type is refused with its key, itself, and the right type in plain words."""
    assert refusal(text).startswith(f"{FILE}: {said}")


@pytest.mark.parametrize(
    ("text", "key", "one_of"),
    [
        (ONE + '[queue]\nmodel = "powr"', "queue.model is 'powr'", "risk-averse, power, power2, power3, log, log2"),
        (ONE + '[run]\nrecord = "all"', "run.record is 'all'", "own, full"),
        (ONE + '[instruments.fills]\nmodel = ""', "instruments[0].fills.model is ''", "partial, whole"),
        (ONE + '[data]\nbridge = "x"', "data.bridge is 'x'", "snapshot, as-received"),
        (ONE + '[wake]\nlisten = "x"', "wake.listen is 'x'", "own, all"),
    ],
)
def test_a_wrong_choice_lists_the_choices(text: str, key: str, one_of: str) -> None:
    """A word that is no choice is refused with all that are."""
    assert refusal(text) == f"{FILE}: {key}, and must be one of {one_of}"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (ONE + "[latency]\nentry_ms = -1", "latency.entry_ms is -1"),
        (ONE + "[instruments.latency]\ncancel_ms = -0.5", "instruments[0].latency.cancel_ms is -0.5"),
        (ONE + "[latency]\nresponse_ms = nan", "latency.response_ms is nan"),
        (ONE + "[latency]\nentry_ms = inf", "latency.entry_ms is inf"),
        (ONE + "[latency]\nentry_ms = 1e18", "latency.entry_ms is 1e+18"),
        (ONE + "[latency]\nentry_sigma = -1", "latency.entry_sigma is -1"),
        (ONE + "[queue]\nn = 0", "queue.n is 0"),
        (ONE + "[run]\nseed = -1", "run.seed is -1"),
        (ONE + "[run]\nseed = 99999999999999999999", "run.seed is 99999999999999999999"),
        (ONE + "[run]\nsample_ms = 0", "run.sample_ms is 0"),
        (ONE + "[run]\ncheckpoint_every = 0", "run.checkpoint_every is 0"),
        (ONE + "[run]\nstop_ns = -1", "run.stop_ns is -1"),
        (ONE + "[wake]\nevery_ms = -1", "wake.every_ms is -1"),
        (ONE + "[fees]\ntaker_bps = nan", "fees.taker_bps is nan"),
        (ONE + "[funding]\nevery_h = -8", "funding.every_h is -8"),
        (ONE + "[risk]\nopen_orders_max = -1", "risk.open_orders_max is -1"),
        (ONE + '[risk]\nposition_max = "-1"', "risk.position_max of here:A is -1"),
        (ONE + '[risk]\nnotional_max = "a lot"', "risk.notional_max of here:A is 'a lot'"),
        (ONE + "[strategy.params]\nx = nan", "strategy.params.x is nan"),
        (ONE + 'tick = "0"\nlot = 1', "here:A: tick is 0"),
        (ONE + 'tick = "1e12"\nlot = "1e12"', "here:A: tick 1E+12 times lot 1E+12"),
        (ONE + "tick = nan\nlot = 1", "instruments[0].tick is nan"),
        (ONE + 'contract = "-1"', "contract of here:A is -1"),
        (ONE + '[data]\nfirst = "yesterday"', "data.first is 'yesterday'"),
    ],
)
def test_a_value_out_of_range_is_refused(text: str, key: str) -> None:
    """A number that cannot be meant is refused before anything runs, with its key and itself."""
    message = refusal(text)
    assert message.startswith(f"{FILE}: {key}")
    assert len(message) > len(f"{FILE}: {key}, and ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no [[instruments]]"),
        ("instruments = []", "no [[instruments]]"),
        ('[instruments]\nvenue = "here"', "no [[instruments]]"),
        ('[[instruments]]\nvenue = "here"', "instruments[0] has no symbol"),
        (ONE + ONE, "here:A is listed twice"),
        (ONE + "trade = false", "nothing to quote"),
        (ONE + "[wake]\nevery_ms = 0", "would never be asked"),
        (ONE + "tick = 1", "instruments.lot of here:A is missing"),
        (ONE + "lot = 1", "instruments.tick of here:A is missing"),
    ],
)
def test_what_does_not_make_a_run_is_refused(text: str, said: str) -> None:
    """A config whose values are right one by one and make no run together is refused."""
    message = refusal(text)
    assert message.startswith(f"{FILE}: ") and said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[run\nseed = 1", "line 1"),
        (b"a = \xff", "cannot be read"),
        (b"a = 1\na = 2\n", "no valid TOML"),
        (None, "no such config"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A broken or missing file is refused with its name and, where there is one, the line."""
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OperatorError) as caught:
        read_toml(path)
    assert str(path) in str(caught.value) and said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[optimize]\ntrals = 3", "unknown key 'trals' in optimize (did you mean trials?)"),
        ("[optimize]\nsampler = 'tp'", "optimize.sampler is 'tp', and must be one of tpe, cma-es"),
        ("[optimize]\npruner = 'x'", "optimize.pruner is 'x', and must be one of none, median"),
        ("[optimize]\nbatch = 0", "optimize.batch is 0, and must be a whole number of at least 1"),
        ("[optimize]\nrungs = 1", "optimize.rungs is 1"),
        ("[optimize]\nobjectives = 'net'", "optimize.objectives is 'net', and must be a list"),
        ("[optimize]\nobjectives = [3]", "optimize.objectives[0] is 3, and must be text"),
        ("[optimize]\nobjectives = []", "optimize.objectives is empty"),
        ("[optimize]\nobjectives = ['nett']", "optimize.objectives has 'nett' (did you mean net?)"),
        ("[optimize]\nobjectives = ['net', 'net']", "optimize.objectives names net twice"),
        (
            "[optimize]\nobjectives = ['net', 'fills']\nsampler = 'cma-es'",
            "optimize.sampler cma-es knows one objective",
        ),
        ("[optimize]\nobjectives = ['net', 'fills']\npruner = 'median'", "optimize.pruner median judges one objective"),
        ("[optimize]\nsplit = [0.5, 0.5]", "optimize.split is [0.5, 0.5]"),
        ("[optimize]\nsplit = [1.2, -0.1, -0.1]", "optimize.split is [1.2, -0.1, -0.1]"),
        ("[optimize]\nsplit = [0.5, 0.2, 0.2]", "optimize.split is [0.5, 0.2, 0.2]"),
        ("[optimize]\nsplit = [nan, 0.2, 0.2]", "optimize.split[0] is nan"),
        ("[optimize]\nstorage = 'x'", "optimize.storage is 'x'"),
        ("[optimize]\nsearch = 3", "optimize.search is 3, and must be a table"),
        ("[optimize.search]\na = 3", "optimize.search.a is 3, and must be a table"),
        ("[optimize.search.a]\nlow = 1\n[optimize.search.b]\nhigh = true", "optimize.search.b.high is True"),
        ("[optimize.search.a]\nlo = 1", "unknown key 'lo' in optimize.search.a (did you mean low?)"),
        ("[optimize.search.a]\nhigh = inf", "optimize.search.a.high is inf"),
        ("[optimize.search.a]\nlow = 2\nhigh = 1", "optimize.search.a goes from low 2.0 to high 1.0"),
        ("[optimize.search.a]\nlow = 0\nlog = true", "optimize.search.a.low is 0.0, which has no logarithm"),
        ("[optimize.search.a]\nstep = 0", "optimize.search.a.step is 0.0"),
        ("[optimize.search.a]\nstep = 1\nlog = true", "optimize.search.a has log and step"),
        ("[optimize.search.a]\nfixed = 1\nlow = 0", "optimize.search.a has fixed and low"),
        ("[optimize.search.a]\nchoices = [1, 1]", "optimize.search.a.choices is [1.0, 1.0]"),
        ("[run]\nstart_ns = 5\nstop_ns = 5", "run.start_ns is 5 and run.stop_ns 5"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused(text: str, said: str) -> None:
    """What [optimize] says wrongly is refused before anything runs, by its key, with what belongs there."""
    message = refusal(ONE + text)
    assert message.startswith(f"{FILE}: {said}")


# --- settings -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("queue.model", "must be key=value"),
        ("=1", "must be key=value"),
        ("a..b=1", "is no key"),
        (".a=1", "is no key"),
        ("instruments.5.tick=1", "no index of a list of 1"),
        ("instruments.x.tick=1", "no index of a list of 1"),
        ("instruments.0=1", "whole element"),
        ("instruments.0.venue.x=1", "is a value, not a table"),
    ],
)
def test_a_bad_setting_is_refused_by_its_own_name(setting: str, said: str) -> None:
    """A setting that names no place is refused, quoted as it was typed."""
    message = refusal(ONE, setting)
    assert message.startswith(f"--set {setting}: ") and said in message


@pytest.mark.parametrize(
    "setting", ["run.sede=1", "run.seed=x", "queue.model=powr", "run=1", "run.seed.x=1", "run.seed=1\nx=2"]
)
def test_a_setting_is_checked_like_the_file(setting: str) -> None:
    """What a setting writes passes the same checks as what the file says."""
    assert refusal(ONE, setting).startswith(FILE)


def test_settings_win_and_need_no_quotes() -> None:
    """A setting overrides the file, its value read as TOML or else taken as text; later ones win."""
    config = parsed(
        TWO + '[queue]\nmodel = "power"', "queue.model=log", "run.seed=1", "run.seed=7", 'strategy.path="grid"',
        "instruments.1.trade=false", "instruments.quote=USD", "strategy.params.width=2", "risk.position_max=0.1",
    )  # fmt: skip
    assert [one.queue.model for one in config.instruments] == ["log", "log"]
    assert (config.run.seed, config.strategy.path, config.strategy.params) == (7, "grid", {"width": 2})
    assert [one.trade for one in config.instruments] == [True, False]
    assert [one.quote for one in config.instruments] == ["USD", "USD"]
    assert [one.risk.position_max for one in config.instruments] == [0.1, 0.1]


# --- meaning ------------------------------------------------------------------------------------------------------
_EXAMPLE: dict[str, tuple[str, Any, Any]] = {
    "latency": ("entry_ms", 3.0, 4.0), "queue": ("n", 2.0, 5.0), "fills": ("model", "whole", "partial"),
    "fees": ("maker_bps", -1.0, 1.0), "funding": ("rate_bps", 1.0, 2.0), "risk": ("rate_max", 5, 6),
}  # fmt: skip


@pytest.mark.parametrize("section", INHERITED)
def test_an_instrument_inherits_a_section_and_may_override_any_key_of_it(section: str) -> None:
    """Every key of a section holds for all instruments; one that names it alone changes that key and keeps the rest."""
    key, common, own = _EXAMPLE[section]
    tables = tomllib.loads(TWO)
    tables[section] = {key: common}
    tables["instruments"][1][section] = {key: own}
    config = parse_config(tables, FILE)
    got = [getattr(getattr(one, section), key) for one in config.instruments]
    assert got == [common, own]
    rest = [msgspec.structs.asdict(getattr(one, section)) for one in config.instruments]
    assert {**rest[0], key: None} == {**rest[1], key: None}
    assert tables["instruments"][0] == {"venue": "here", "symbol": "A"}, "the caller's tables are not changed"


def test_a_search_without_a_word_is_the_default_one() -> None:
    """No [optimize] gives the documented defaults, and a table of it changes what it names alone."""
    default, changed = parsed(ONE).optimize, parsed(ONE + "[optimize]\ntrials = 7", "optimize.search.a.low=1").optimize
    assert (default.trials, default.objectives, default.split, default.search) == (256, ["net"], [0.6, 0.2, 0.2], {})
    assert changed.search["a"].low == 1.0 and changed.search["a"].high is None
    assert msgspec.structs.replace(changed, trials=256, search={}) == default


decimals = st.decimals(min_value="0.00000001", max_value="1000000", places=8).filter(
    lambda d: len(str(d.normalize())) < 15
)


@given(decimals, decimals)
def test_a_number_and_its_text_mean_the_same_exact_decimal(tick: Decimal, lot: Decimal) -> None:
    """Steps written as TOML numbers or as text give the same decimals: what was written, never a binary float."""
    numbers = f"tick = {tick:f}\nlot = {lot:f}\n"
    texts = f'tick = "{tick:f}"\nlot = "{lot:f}"\n'
    got = []
    for steps in (numbers, texts):
        config = msgspec.convert(tomllib.loads(f'venue = "v"\nsymbol = "s"\n{steps}'), InstrumentConfig)
        got.append((exact_decimal(config.tick or "", "tick"), exact_decimal(config.lot or "", "lot")))
    assert got == [(tick, lot), (tick, lot)]


def test_a_config_without_steps_leaves_them_to_the_history() -> None:
    """No tick and no lot means that the data decides; both together make the instrument."""
    assert parsed(ONE).instruments[0].instrument(FILE) is None
    made = parsed(ONE + 'tick = 0.1\nlot = "0.001"').instruments[0].instrument(FILE)
    assert made is not None and (made.tick, made.lot, made.name) == (Decimal("0.1"), Decimal("0.001"), "here:A")


# exchange.toml is no run's: tests/run/test_local_exchange.py reads it.
RUNS = sorted(path for path in (ROOT / "configs").glob("*.toml") if path.stem != "exchange")


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_shipped_config_is_whole_and_survives_a_manifest(path: Path) -> None:
    """Every shipped config parses, and the plain values that a manifest keeps give the same config again."""
    config = parse_config(read_toml(path), path.name)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(config)), Config) == config

"""Bad input: one line that says who, what and what to do; an exit code; and no output that looks whole."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pinnacle.log.segment import segment_info, write_segment
from tests.cli.command import PERP, SPOT, Said, edit_manifest, manifest, pinnacle, ran, refused

HEAD = "from pinnacle.strategy import Param, jit, want_bid, want_ask\n"
QUOTE = "def quote(market, lane, me, params, memory, want):\n"


@pytest.fixture
def own_catalog(tmp_path: Path, catalog: Path) -> Path:
    """A copy of the small catalog that a test may damage."""
    return Path(shutil.copytree(catalog, tmp_path / "catalog"))


def day_of(catalog: Path, name: str = PERP) -> Path:
    return next(catalog.glob(f"{name.replace(':', '/')}/*.parquet"))


def no_result(out: Path) -> None:
    """Nothing was left, or a manifest that says the run is not whole."""
    if (out / "manifest.json").exists():
        assert manifest(out)["status"] == "failed"
    else:
        assert not out.exists() or not any(path.is_file() for path in out.rglob("*"))


def attempt(tmp_path: Path, *args: str | Path) -> str:
    """A backtest that must refuse and leave no result; returns what it said."""
    out = tmp_path / "refused"
    shutil.rmtree(out, ignore_errors=True)
    message = refused(pinnacle("backtest", *args, "--out", out, "--quiet"))
    no_result(out)
    return message


# --- words --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere.toml"], "nowhere.toml: no such file in configs or at that path; shipped: default"),
        (["--strategy", "nowhere.py"], "shipped: "),
        (["--data", "nowhere.gz"], "--data nowhere.gz: no such file"),
        (["--data", "gemini:BTCUSD=configs/default.toml"], "it has binance-usdm:BTCUSDT, binance:BTCUSDT"),
        (["--data", "pyproject.toml"], "has 2 instruments; say whose data"),
        (["--set", "queue.model=powr"], "default.toml --set queue.model=powr: queue.model is 'powr'"),
        (["--set", "queue.modle=log"], "unknown key 'modle' in queue (did you mean model?)"),
        (["--set", "run.seed=x"], "run.seed is 'x', and must be a whole number"),
        (["--set", "strategy.params.half_spread_bps=-1"], "must be from 0.0 to 100.0 bps"),
        (["--set", "strategy.params.half_spred=1"], "has no parameter 'half_spred'; it has half_spread_bps"),
        (["--set", "instruments=[1]", "--data", "data/catalog"], "instruments[0] is 1, and must be a table"),
        (["--set", "instruments=[1]", "--data", PERP + "=pyproject.toml"], "instruments[0] is 1"),
        (["--set", "data.first=2024-13-01"], "data.first is '2024-13-01'"),
        (["--set", "data.first=2031-01-01"], "no day of binance-usdm:BTCUSDT from 2031-01-01"),
        (["--set", "data.catalog=nowhere"], "no such catalog"),
        (["--set", "data.catalog="], "has no data"),
        (["--set", "instruments.0.symbol=NONE"], "no day of binance-usdm:NONE"),
        (["--set", "latency.model=recorded"], "latency.file"),
        (["--set", "latency.model=recorded", "--set", "latency.file=README.md"], "README.md"),
        (["--set", "latency.model=recorded", "--set", "latency.file=nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_word_that_fits_nothing_is_refused(
    tmp_path: Path, args: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config, strategy, file or value that is not there or not allowed is refused by name."""
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    assert said in attempt(tmp_path, *args)


def test_a_config_of_another_shape_is_refused(tmp_path: Path) -> None:
    """A config file whose sections are no tables is refused whatever else is asked for."""
    config = tmp_path / "odd.toml"
    for text, words in (
        ("run = 3\n[[instruments]]\nvenue = 'v'\nsymbol = 's'", ["--record", "full"]),
        (
            "data = 3\n[[instruments]]\nvenue = 'v'\nsymbol = 's'",
            ["--data", str(Path(__file__).parents[2] / "data/catalog")],
        ),
        ("strategy = 3\n[[instruments]]\nvenue = 'v'\nsymbol = 's'", []),
        ("instruments = 3", ["--data", str(config)]),
        ("[run\n", []),
        ("", []),
    ):
        config.write_text(text)
        assert "odd.toml" in attempt(tmp_path, config, *words)


# --- data ---------------------------------------------------------------------------------------------------------
def flipped(path: Path, where: float) -> None:
    """One byte of a file changed, at a fraction of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("where", [0.0, 0.02, 0.3, 0.6, 0.9, 0.97])
def test_a_changed_byte_of_a_day_file_is_refused(tmp_path: Path, own_catalog: Path, where: float) -> None:
    """A day file with one byte changed is refused by name, wherever the byte is."""
    flipped(day_of(own_catalog), where)
    assert day_of(own_catalog).name in attempt(tmp_path, "--data", own_catalog)


@pytest.mark.parametrize("keep", [0.0, 0.0001, 0.5, 0.999])
def test_a_cut_day_file_is_refused(tmp_path: Path, own_catalog: Path, keep: float) -> None:
    """A day file cut short is refused by name."""
    day = day_of(own_catalog)
    day.write_bytes(day.read_bytes()[: int(day.stat().st_size * keep)])
    assert day.name in attempt(tmp_path, "--data", own_catalog)


def test_another_parquet_is_refused(tmp_path: Path, own_catalog: Path) -> None:
    """A Parquet file that is not ours is refused with what to do."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"price": [1.5]}), day_of(own_catalog))
    assert "import" in attempt(tmp_path, "--data", own_catalog)


@pytest.mark.parametrize("name", [PERP, SPOT])
def test_an_empty_history_is_no_run(tmp_path: Path, own_catalog: Path, name: str) -> None:
    """A day file without rows gives an error and never an empty result, also beside one that has rows."""
    day = day_of(own_catalog, name)
    write_segment(day, [], segment_info(day).metadata)
    assert "no rows" in attempt(tmp_path, "--data", own_catalog)


RECORDING = b'1723161255362652722 {"stream":"x","data":{"e":"trade"}}\n'


@pytest.mark.parametrize(
    "content",
    [b"", b"not a recording\n", gzip.compress(b""), gzip.compress(RECORDING * 5000)[:-40], b"\x1f\x8b" + bytes(100),
     bytes(range(256)) * 40, b"PAR1", b'{"a":1}\n', b"timestamp,price\n1,2\n"],
)  # fmt: skip
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty, foreign, cut or damaged recording is refused by name, by a backtest, an import and a check alike."""
    raw = tmp_path / "raw.gz"
    raw.write_bytes(content)
    assert "raw.gz" in attempt(tmp_path, "reference", "--data", raw)
    whole = ["--venue", "v", "--symbol", "s", "--tick", "1", "--lot", "1"]
    assert "raw.gz" in refused(pinnacle("data", "import", raw, "--catalog", tmp_path / "catalog", *whole))
    assert not list((tmp_path / "catalog").rglob("*.parquet"))


def test_a_damaged_recording_is_refused(tmp_path: Path, recordings: Path) -> None:
    """A real recording with a byte changed in its middle, or off the tick, is refused and leaves no run."""
    whole = (recordings / "binance" / "usdm_btcusdt_20240718.gz").read_bytes()
    raw = tmp_path / "raw.gz"
    raw.write_bytes(whole)
    assert "tick 1000" in attempt(tmp_path, "reference", "--data", raw, "--set", "instruments.tick=1000")
    flipped(raw, 0.5)
    assert "raw.gz" in attempt(tmp_path, "reference", "--data", raw)
    raw.write_bytes(whole[: len(whole) // 2])
    assert "raw.gz" in attempt(tmp_path, "reference", "--data", raw)


def test_another_instrument_than_the_file_holds_is_refused(tmp_path: Path, catalog: Path) -> None:
    """A day file given for another instrument is refused with the one it holds."""
    args = ["--data", f"{PERP}={day_of(catalog, SPOT)}", "--data", f"{SPOT}={day_of(catalog, SPOT)}"]
    assert f"is of {SPOT}" in attempt(tmp_path, *args)


# --- strategies ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x =", "line 1: SyntaxError"),
        ("import nowhere", "line 1: ModuleNotFoundError: No module named 'nowhere'"),
        ("a = 1\nraise RuntimeError('no')", "line 2: RuntimeError: no"),
        ("raise SystemExit(0)", "SystemExit"),
        ("PARAMS = ()", "defines no function `quote`"),
        ("quote = 3", "defines no function `quote`"),
        ("class quote: pass", "quote"),
        ("quote = len", "quote"),
        ("def quote(market): pass", "must take (market, lane, me, params, memory, want)"),
        (QUOTE + "    pass\nPARAMS = [1]", "PARAMS must be a tuple"),
        (HEAD + QUOTE + "    pass\nPARAMS = (Param('a', 5, 0, 1, '', ''),)", "outside its own bounds"),
        (HEAD + QUOTE + "    pass\nPARAMS = (Param('a', 0, 0, 1, '', ''),) * 2", "a"),
        (QUOTE + "    pass\nMEMORY = {'a': 0}", "MEMORY must be a dict"),
        (QUOTE + "    pass\nMEMORY = {'a': 100000}", "there is room for"),
        (HEAD + "@jit\n" + QUOTE + "    return undefined_name", "does not compile"),
        (HEAD + "@jit\n" + QUOTE + "    want_bid(want, 'text', 1)", "does not compile"),
        (HEAD + "@jit\n" + QUOTE + "    x = params['none']", "does not compile"),
        (HEAD + "@jit\n" + QUOTE + "    want_bid(want, float('nan'), 1.0)", "not a number or out of range"),
        (HEAD + "@jit\n" + QUOTE + "    want_bid(want, 1e300, 1.0)", "not a number or out of range"),
        (HEAD + QUOTE + "    want_bid(want, float('nan'), 1.0)", "not a number or out of range"),
        (HEAD + QUOTE + "    want_bid(want, 1.0, float('inf'))", "not a number or out of range"),
        (
            HEAD + "@jit\n" + QUOTE + "    for i in range(500):\n        want_bid(want, 1.0 + i, 1.0)",
            "more quotes at once",
        ),
        (HEAD + QUOTE + "    raise ValueError('two\\nlines')", "line 3: ValueError: two"),
        (HEAD + QUOTE + "    return 1 // int(market['seq'] * 0)", "line 3: ZeroDivisionError"),
        (HEAD + QUOTE + "    return params['none']", "quote raised: line 3: "),
    ],
)
def test_a_bad_strategy_is_refused(tmp_path: Path, catalog: Path, text: str, said: str) -> None:
    """A strategy that does not load, compile, keep the contract or give numbers is refused with file and line."""
    strategy = tmp_path / "mine.py"
    strategy.write_text(text + "\n")
    message = attempt(tmp_path, "--strategy", strategy, "--data", catalog)
    assert "mine.py" in message and said in message


def test_a_strategy_that_raises_late_leaves_a_log_that_says_how_far_it_came(tmp_path: Path, catalog: Path) -> None:
    """A run that fails in the middle is marked failed; its log is intact and replays up to there."""
    strategy = tmp_path / "mine.py"
    strategy.write_text(
        HEAD + QUOTE + "    if lane['wakes'] > 60:\n        raise ValueError('enough')\n"
        "    if market['top'][me]['bid_ticks'] > 0:\n"
        "        want_bid(want, market['top'][me]['bid_ticks'] - lane['wakes'] % 3, 10.0)\n"
    )
    out = tmp_path / "refused"
    assert "enough" in attempt(tmp_path, "--strategy", strategy, "--data", catalog)
    told = manifest(out)
    assert told["status"] == "failed" and told["informational"]["ended"] and told["counts"]["place"] > 10
    assert ran("log", "verify", out).out.endswith("intact\n")
    assert ran("report", out, "--json").json["run"]["status"] == "failed"
    said = ran("replay", out)
    assert said.out.startswith("equal: ") and said.err.startswith("note: the run is failed: replayed up to input ")


# --- folders ------------------------------------------------------------------------------------------------------
def test_a_run_never_overwrites(tmp_path: Path, catalog: Path) -> None:
    """A folder that holds anything, or a file of that name, is refused and stays as it is; an empty one is used."""
    out = tmp_path / "there"
    out.mkdir()
    ran("backtest", "--data", catalog, "--out", out, "--quiet", "--no-report")
    before = sorted(path.name for path in out.iterdir())
    assert "choose a new --out" in refused(pinnacle("backtest", "--data", catalog, "--out", out))
    assert sorted(path.name for path in out.iterdir()) == before
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        assert "--out" in refused(pinnacle("backtest", "--data", catalog, "--out", out))
    assert file.read_text() == "mine"
    assert "/proc" in refused(pinnacle("backtest", "--data", catalog, "--out", "/proc/nowhere/run"))


Damage = Callable[[Path], object]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run / "manifest.json").unlink(), "manifest"),
        (lambda run: (run / "manifest.json").write_text("{"), "no valid JSON"),
        (lambda run: (run / "manifest.json").write_text("[]"), "format version"),
        (lambda run: edit_manifest(run, format_version=99), "format version 99"),
        (lambda run: edit_manifest(run, status="odd"), "manifest was edited"),
        (lambda run: edit_manifest(run, strategy=None), "manifest"),
        (lambda run: edit_manifest(run, instruments=[]), ""),
        (lambda run: edit_manifest(run, config={}), "config"),
        (lambda run: edit_manifest(run, config={**manifest(run)["config"], "odd": 1}), "config"),
        (lambda run: shutil.rmtree(run / "log"), "log"),
        (lambda run: next((run / "log").iterdir()).unlink(), "log"),
        (lambda run: _truncate(next((run / "log").iterdir())), "log-000000.parquet"),
        (lambda run: flipped(next((run / "log").iterdir()), 0.4), "log-000000.parquet"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(tmp_path: Path, short_run: Path, damage: Damage, said: str) -> None:
    """A run whose manifest or log is missing, foreign, edited or damaged is not replayed, and the file is named."""
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    damage(run)
    message = refused(pinnacle("replay", run))
    assert (said in message and str(run) in message) or "manifest.json" in message


@pytest.mark.parametrize("verb", [["replay"], ["report"], ["log", "verify"], ["log", "inspect"]])
@pytest.mark.parametrize("what", ["empty", "missing", "file"])
def test_what_is_no_run_is_refused(tmp_path: Path, verb: list[str], what: str) -> None:
    """An empty folder, a missing one and a file are no run, whichever command is asked."""
    run = tmp_path / what
    if what == "empty":
        run.mkdir()
    if what == "file":
        run.write_text("mine")
    assert str(run) in refused(pinnacle(*verb, run))


def test_lists_and_diffs_of_nothing_are_refused(tmp_path: Path, short_run: Path) -> None:
    """A catalog or a log that is not there is refused by name."""
    nowhere = tmp_path / "nowhere"
    said: list[Said] = [
        pinnacle("data", "list", nowhere), pinnacle("data", "check", nowhere),
        pinnacle("log", "diff", short_run, nowhere), pinnacle("data", "import", nowhere),
    ]  # fmt: skip
    assert all(str(nowhere) in refused(one) for one in said)


def test_numbers_that_overflow_are_refused_and_never_wrap(tmp_path: Path, catalog: Path) -> None:
    """A limit beyond 64 bits is refused by its key; none is silently cut."""
    for key in ("position_max", "order_max", "notional_max"):
        assert f"risk.{key}" in attempt(tmp_path, "--data", catalog, "--set", f"risk.{key}=1e300")

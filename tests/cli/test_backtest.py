"""`pinnacle backtest`: what it writes, what it prints, and what each option changes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.command import FIRST_NS, PERP, SPOT, backtest, manifest, pinnacle, process, ran


def test_help_answers_without_loading_what_is_slow() -> None:
    """--help of every command imports neither numba nor pyarrow nor polars, so that it answers at once."""
    from pinnacle.cli import main

    def paths(group: object, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        commands = getattr(group, "commands", {})
        return [prefix] + [path for name, one in commands.items() for path in paths(one, (*prefix, name))]

    for path in paths(main):
        said = ran(*path, "--help")
        assert said.out.startswith("Usage: pinnacle") and said.err == ""
    asked = "import sys; from pinnacle.cli import main; main(['backtest', '--help'], standalone_mode=False);"
    loaded = "sys.exit(' '.join({'numba', 'pyarrow', 'polars', 'plotly'} & set(sys.modules)) or 0)"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", asked + loaded], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_backtest_leaves_a_whole_run_directory(sample_run: Path) -> None:
    """Without a config the sample is run, and the run's folder holds everything that a reader may ask for."""
    names = {path.name for path in sample_run.iterdir()}
    assert names == {
        "manifest.json", "log", "observations.parquet", "fills.parquet", "orders.parquet", "equity.parquet",
        "summary.json", "report.html",
    }  # fmt: skip
    assert [path.name for path in (sample_run / "log").iterdir()] == ["log-000000.parquet"]
    told = manifest(sample_run)
    assert told["status"] == "complete" and told["mode"] == "backtest"
    assert [f"{one['venue']}:{one['symbol']}" for one in told["instruments"]] == [PERP, SPOT]
    assert all(Path(one["path"]).is_file() for one in told["histories"])
    fills = pq.read_table(sample_run / "fills.parquet")
    assert fills.num_rows == told["counts"]["order_filled"] > 0


def test_what_is_printed_names_the_run_and_the_next_steps(
    tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without --out makes a folder of its own under runs/ and says how to replay it."""
    monkeypatch.chdir(tmp_path)
    said = ran("backtest", "--data", catalog)
    (run,) = (tmp_path / "runs").iterdir()
    shown = f"runs/{run.name}"
    assert f"run     {shown}\nreport  {shown}/report.html\nreplay  pinnacle replay {shown}\n" in said.out
    assert (run / "report.html").stat().st_size > 10_000
    assert ran("replay", shown).out.startswith("equal: ")


def test_json_is_json_and_nothing_else(tmp_path: Path, catalog: Path) -> None:
    """--json prints the summary that is in the run's folder, and not one word more on either stream."""
    said = ran("backtest", "--data", catalog, "--out", tmp_path / "run", "--json", "--no-report")
    assert said.json == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert said.err == "" and not (tmp_path / "run" / "report.html").exists()


def test_quiet_prints_nothing(tmp_path: Path, catalog: Path) -> None:
    """--quiet prints nothing at all and writes the same run."""
    said = backtest(tmp_path / "run", "--data", catalog)
    assert said.out + said.err == ""


def test_settings_reach_the_run_and_its_identity(tmp_path: Path, catalog: Path, short_run: Path) -> None:
    """--set changes what the manifest keeps, the result, and the run's id; without it both are equal."""
    backtest(tmp_path / "same", "--data", catalog)
    backtest(tmp_path / "other", "--data", catalog, "--set", "queue.model=risk-averse", "--set", "latency.entry_ms=30")
    same, other, first = (manifest(run) for run in (tmp_path / "same", tmp_path / "other", short_run))
    assert [one["queue"]["model"] for one in other["config"]["instruments"]] == ["risk-averse"] * 2
    assert same["run_id"] == first["run_id"] != other["run_id"]
    assert same["fingerprint"] == first["fingerprint"] != other["fingerprint"]


def test_a_strategy_is_chosen_by_name_or_by_path(tmp_path: Path, catalog: Path) -> None:
    """--strategy takes a shipped strategy's name or any file, with that file's defaults; both are the same run."""
    from pinnacle.resources import shipped

    copy = tmp_path / "mine.py"
    copy.write_text((shipped("strategies") / "join_best.py").read_text())
    backtest(tmp_path / "a", "--data", catalog, "--strategy", "join_best")
    backtest(tmp_path / "b", "--data", catalog, "--strategy", copy)
    a, b = manifest(tmp_path / "a"), manifest(tmp_path / "b")
    assert (a["strategy"]["name"], b["strategy"]["name"]) == ("join_best", "mine")
    assert a["params"] == b["params"] == {"order_qty": 0.01, "position_max": 0.05}
    assert a["fingerprint"] == b["fingerprint"] and a["counts"]["place"] > 0
    assert b["strategy"]["source"] == copy.read_text()


def test_a_full_record_holds_the_market_too(tmp_path: Path, catalog: Path, short_run: Path) -> None:
    """--record full logs every input and changes no decision: our own records are those of --record own."""
    backtest(tmp_path / "full", "--data", catalog, "--record", "full")
    own, full = manifest(short_run), manifest(tmp_path / "full")
    assert full["fingerprint"] == own["fingerprint"]
    assert full["counts"]["inputs"] == full["counts"]["heard"] > own["counts"]["inputs"]
    assert full["counts"]["outputs"] == own["counts"]["outputs"]
    assert ran("log", "verify", tmp_path / "full").out.endswith("intact\n")


def test_data_names_one_instrument_or_a_catalog(tmp_path: Path, catalog: Path, short_run: Path) -> None:
    """--data takes VENUE:SYMBOL=PATH for each of several instruments; a day file so named equals its catalog."""
    days = {one: next(catalog.glob(f"{one.replace(':', '/')}/*.parquet")) for one in (PERP, SPOT)}
    given = [word for one, path in days.items() for word in ("--data", f"{one}={path}")]
    backtest(tmp_path / "run", *given)
    assert manifest(tmp_path / "run")["fingerprint"] == manifest(short_run)["fingerprint"]


def test_a_raw_recording_runs_and_is_kept(tmp_path: Path, recordings: Path) -> None:
    """--data takes a raw recording: it is imported into the run's own folder, which can then be moved and replayed."""
    raw = recordings / "binance" / "usdm_btcusdt_20240718.gz"
    stop = "--set", "run.checkpoint_every=1000000000"
    backtest(tmp_path / "run", "reference", "--data", raw, *stop)
    told = manifest(tmp_path / "run")
    assert [one["path"] for one in told["histories"]] == ["history/binance-usdm_BTCUSDT.parquet"]
    assert told["counts"]["order_filled"] > 0
    (tmp_path / "run").rename(tmp_path / "moved")
    assert ran("replay", tmp_path / "moved").out.startswith("equal: ")


def test_stop_ends_the_market_there(tmp_path: Path, catalog: Path) -> None:
    """run.stop_ns: nothing after that time is heard."""
    stop_ns = FIRST_NS + 5_000_000_000
    backtest(tmp_path / "run", "--data", catalog, "--set", f"run.stop_ns={stop_ns}", "--record", "full")
    from pinnacle.log.reader import LogReader

    last = max(int(batch["ts_ns"].max()) for batch in LogReader(tmp_path / "run").records())
    assert stop_ns - 1_000_000_000 < last <= stop_ns


def test_interpreted_equals_compiled(tmp_path: Path, catalog: Path) -> None:
    """--no-jit comes to the same state and the same log, byte for byte."""
    words = ["--data", catalog, "--set", f"run.stop_ns={FIRST_NS + 1_500_000_000}", "--set", "wake.every_ms=20"]
    backtest(tmp_path / "compiled", *words)
    said = process("backtest", *words, "--out", tmp_path / "interpreted", "--no-jit", "--no-report", "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")
    logs = [(tmp_path / run / "log" / "log-000000.parquet").read_bytes() for run in ("compiled", "interpreted")]
    assert logs[0] == logs[1]
    assert manifest(tmp_path / "compiled")["fingerprint"] == manifest(tmp_path / "interpreted")["fingerprint"]
    assert manifest(tmp_path / "compiled")["counts"]["place"] > 0


@pytest.mark.parametrize("word", ["--strange", "strange"])
def test_an_unknown_word_is_refused(word: str) -> None:
    """An unknown option or command is refused with the usage, exit 2."""
    said = pinnacle(word)
    assert said.code == 2 and "Usage:" in said.err

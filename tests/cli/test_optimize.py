"""`pinnacle optimize` from end to end: what it leaves, that it repeats and resumes, and how it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.command import command, ended, pinnacle, ran, refused, wait_until

# Small enough to be quick, large enough for three batches.
FEW = ("--trials", "48", "--batch", "16", "--set", "optimize.purge_s=5", "--quiet")
TABLES = ("trials.parquet", "curves.parquet", "walk_forward.parquet")


def optimize(out: Path, *words: str | Path) -> dict[str, Any]:
    """A search that succeeds; its summary."""
    found: dict[str, Any] = ran("optimize", *FEW, "--out", out, "--json", "--no-report", *words).json
    return found


def same_tables(one: Path, other: Path) -> bool:
    """Whether two studies have the same tables, to the last bit."""
    frames = [
        [pl.read_parquet(folder / name) for name in TABLES if (folder / name).exists()] for folder in (one, other)
    ]
    return len(frames[0]) == len(frames[1]) and all(a.equals(b, null_equal=True) for a, b in zip(*frames))


def test_what_a_search_leaves(tmp_path: Path) -> None:
    """A page, tables, a summary, and a config of the best parameters, whose backtest gives the search's numbers."""
    out = tmp_path / "study"
    said = ran("optimize", *FEW[:-1], "--strategy", "fixed_spread", "--folds", "2", "--out", out)
    assert "do not trade this" in " ".join(said.out.split()) and all(len(line) <= 80 for line in said.out.splitlines())
    assert (out / "report.html").stat().st_size > 10_000
    page = (out / "report.html").read_bytes()
    assert ran("report", out).out == said.out and (out / "report.html").read_bytes() == page
    summary = json.loads((out / "summary.json").read_text())
    study = json.loads((out / "study.json").read_text())
    assert study["status"] == "complete" and not (out / "tape").exists() and not (out / "curves").exists()
    trials = pl.read_parquet(out / "trials.parquet")
    assert trials.filter(pl.col("fold") == 0).height == 48 and set(trials["fold"]) == {0, 1, 2}
    assert len(summary["walk_forward"]["folds"]) == 2 and (out / "walk_forward.parquet").exists()
    assert summary["verdict"]["trade"] is False and summary["verdict"]["reasons"]
    for name in ("train", "validation", "test"):
        window, best = study["windows"][name], summary["best"][name]
        stop = ("--set", f"run.stop_ns={window['stop_ns']}", "--set", f"run.start_ns={window['first_ns']}")
        run = ran("backtest", out / "best.toml", *stop, "--no-report", "--json", "--out", tmp_path / name).json
        mine = run["instruments"]["binance-usdm:BTCUSDT"]
        assert mine["pnl"]["net"] == pytest.approx(best["net_quote"], abs=1e-9)
        assert mine["fills"]["count"] == best["fills"] > 0


def test_workers_change_nothing(tmp_path: Path) -> None:
    """The same seed and batch give the same tables and best parameters with one process and two, pruning or not."""
    for name, words in {"plain": (), "pruned": ("--pruner", "median", "--set", "optimize.rungs=3")}.items():
        for workers in ("1", "2"):
            optimize(tmp_path / f"{name}{workers}", "--strategy", "avellaneda_stoikov", "--workers", workers, *words)
        assert same_tables(tmp_path / f"{name}1", tmp_path / f"{name}2")
        best = [(tmp_path / f"{name}{workers}" / "best.toml").read_text().splitlines()[1:] for workers in "12"]
        assert best[0] == best[1]
    assert "pruned" in pl.read_parquet(tmp_path / "pruned1" / "trials.parquet")["state"].to_list()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill"])
def test_a_search_that_was_stopped_goes_on(how: signal.Signals, tmp_path: Path) -> None:
    """Stopped by Ctrl-C or a kill and begun again, it ends with the tables of one that was not stopped."""
    words = ["--strategy", "glft", "--trials", "400", "--batch", "16", "--set", "optimize.purge_s=5", "--no-report"]
    out = tmp_path / "stopped"
    process = subprocess.Popen(
        command("optimize", *words, "--out", out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(process, lambda: len(list((out / "curves").glob("*.parquet"))) >= 3)
    process.send_signal(how)
    _, complained = ended(process)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), complained
    assert "Traceback" not in complained
    if how == signal.SIGINT:
        assert f"--out {out}" in complained
        assert json.loads((out / "study.json").read_text())["status"] == "interrupted"
    told = ran("optimize", *words, "--trials", "64", "--out", out, "--json").json
    ran("optimize", *words, "--trials", "64", "--out", tmp_path / "straight", "--json")
    assert told["study"]["trials_complete"] > 0
    assert same_tables(out, tmp_path / "straight")


def test_a_finished_search_is_extended(tmp_path: Path) -> None:
    """More trials of a finished study keep those it has, curves too."""
    optimize(tmp_path / "study", "--trials", "32")
    before = pl.read_parquet(tmp_path / "study" / "trials.parquet")
    optimize(tmp_path / "study", "--trials", "48")
    optimize(tmp_path / "straight", "--trials", "48")
    after = pl.read_parquet(tmp_path / "study" / "trials.parquet")
    assert after.head(32).equals(before, null_equal=True)
    assert same_tables(tmp_path / "study", tmp_path / "straight")


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    """With two objectives the trials that no other beats are named, and one of them is chosen."""
    words = ("--objective", "net", "--objective", "drawdown", "--sampler", "nsga2", "--strategy", "fixed_spread")
    found = optimize(tmp_path / "study", *words)
    assert found["best"]["number"] in found["pareto"] and len(found["pareto"]) > 1
    assert set(found["best"]["values"]) == {"net", "drawdown"}


def test_no_fills_is_no_zero(tmp_path: Path) -> None:
    """Where no candidate trades there is no best, the exit code says so, and the table says why of each."""
    out = tmp_path / "study"
    words = ("--set", "optimize.search.half_spread_bps={low=50.0,high=99.0}", "--no-report")
    said = pinnacle("optimize", *FEW, *words, "--out", out)
    assert said.code == 2 and "none of 48 trials is complete" in refused(said)
    trials = pl.read_parquet(out / "trials.parquet")
    assert set(trials["state"]) == {"failed"} and all("0 fills" in reason for reason in trials["reason"])
    assert not (out / "best.toml").exists() and json.loads((out / "summary.json").read_text())["best"] is None


REFUSED = {
    "bounds that cross": (("--set", "optimize.search.half_spread_bps={low=2.0,high=1.0}"), "half_spread_bps"),
    "outside the strategy's own": (("--set", "optimize.search.half_spread_bps={low=0.1,high=1000.0}"), "100"),
    "too fine a step": (("--set", "optimize.search.half_spread_bps={low=0.1,high=5.0,step=1e-12}"), "step"),
    "an empty span": (("--set", "run.stop_ns=5"), "run.stop_ns"),
    "unknown parameter": (("--set", "optimize.search.half_sprea_bps={low=0.1,high=1.0}"), "half_spread_bps"),
    "unknown objective": (("--objective", "profit"), "net"),
    "unknown sampler": (("--sampler", "tpa"), "tpe"),
    "too short": (("--set", "optimize.purge_s=170"), "long"),
    "too many folds": (("--folds", "60"), "folds"),
    "nothing to search": (("--strategy", "join_best"), "search"),
    "no server": (("--storage", "postgresql+nodriver://nobody@127.0.0.1:1/none"), "storage"),
    "no workers": (("--workers", "-3"), "workers"),
    "no trials": (("--trials", "0"), "trials"),
    "split": (("--set", "optimize.split=[0.5,0.5,0.5]"), "split"),
    "no cluster": (("--ray", "127.0.0.1:1"), "ray"),
}


@pytest.mark.parametrize("words, named", REFUSED.values(), ids=REFUSED)
def test_bad_input_is_one_clear_error(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    """What does not fit together is refused in one line that names it, with an exit code that is not 0."""
    said = pinnacle("optimize", *FEW, "--out", tmp_path / "study", "--no-report", *words)
    assert named in refused(said) and said.code != 0


def test_another_search_is_not_mixed_in(tmp_path: Path) -> None:
    """A folder with a study of another space, seed or market is refused, naming what differs; nothing is changed."""
    out = tmp_path / "study"
    optimize(out)
    before = (out / "trials.parquet").read_bytes()
    for words, named in {
        ("--seed", "7"): "seed",
        ("--set", "optimize.search.half_spread_bps={low=0.1,high=1.0}"): "space",
        ("--set", "fees.maker_bps=1"): "market",
        ("--objective", "sharpe"): "objectives",
    }.items():
        said = pinnacle("optimize", *FEW, *words, "--out", out, "--no-report")
        assert named in refused(said) and "--out" in said.err
    assert (out / "trials.parquet").read_bytes() == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert "choose a new --out" in refused(pinnacle("optimize", *FEW, "--out", other))


def test_what_a_failed_start_left_is_gone_on_with(tmp_path: Path) -> None:
    """A folder that holds parts of a study only, without its description, is no reason to refuse; lost curves are."""
    out = tmp_path / "study"
    optimize(out)
    (out / "curves.parquet").unlink()
    assert "lacks" in refused(pinnacle("optimize", *FEW, "--out", out, "--no-report"))
    early = tmp_path / "early"
    early.mkdir()
    (early / "study.journal").touch()
    assert optimize(early)["best"]["number"] >= 0


def test_a_locked_study_is_refused(tmp_path: Path) -> None:
    """Two searches at once in one folder: the second is told that the first is writing."""
    import fcntl

    out = tmp_path / "study"
    optimize(out)
    with (out / "study.journal").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = pinnacle("optimize", *FEW, "--trials", "64", "--out", out)
    assert "another search" in refused(said)


def test_walk_forward_on_the_gemini_day(recordings: Path, tmp_path: Path) -> None:
    """A day of another venue, imported on the way: folds, a final test, and a verdict with its reasons."""
    config = tmp_path / "gemini.toml"
    config.write_text(
        f"""
[strategy]
path = "fixed_spread"
[strategy.params]
order_qty = 0.5
position_max = 5
[wake]
every_ms = 5000
[[instruments]]
venue = "gemini"
symbol = "ETHUSD"
tick = "0.01"
lot = "0.000001"
base = "ETH"
quote = "USD"
data = "{recordings / "gemini" / "ethusd_20210701"}"
[latency]
entry_ms = 50
response_ms = 50
[queue]
model = "risk-averse"
"""
    )
    words = ("--folds", "4", "--set", "optimize.purge_s=600", "--set", "optimize.search.half_spread_bps.high=30.0")
    found = ran("optimize", config, *FEW, *words, "--out", tmp_path / "study", "--json", "--no-report").json
    assert found["study"]["quote"] == "USD" and found["study"]["rows"] > 90_000
    folds = found["walk_forward"]["folds"]
    assert [fold["number"] for fold in folds] == [1, 2, 3, 4] and all(fold["test"]["fills"] > 0 for fold in folds)
    walked = pl.read_parquet(tmp_path / "study" / "walk_forward.parquet")
    assert walked["equity_quote"][-1] == pytest.approx(found["walk_forward"]["net_quote"], rel=0.05, abs=5)
    assert found["best"]["test"]["fills"] > 0 and found["verdict"]["text"].startswith("in sample net ")
    # The same command goes on with what is there: nothing is imported or judged twice.
    again = ran("optimize", config, *FEW, *words, "--out", tmp_path / "study", "--json", "--no-report").json
    assert again["best"] == found["best"]

"""`pinnacle simulate`: what it writes, what it prints, what it refuses, and a market fitted to a history."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pinnacle.config import read_toml
from pinnacle.event import BOOK_LEVEL
from pinnacle.history.catalog import list_catalog
from pinnacle.log.segment import read_segment, segment_info, write_segment
from tests.cli.command import command, ended, manifest, pinnacle, process, ran, refused, sliced, wait_until
from tests.cli.test_interrupt import SLOW

SHORT = ("--duration", "1", "--set", "simulate.warm_up_s=1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short simulation with its page."""
    out = tmp_path_factory.mktemp("simulated") / "run"
    ran("simulate", "--out", out, "--duration", "5", "--quiet")
    return out


def test_a_simulation_leaves_a_whole_run_directory(run: Path) -> None:
    """Everything that a backtest leaves, and the facts of its market; the log is intact and replays."""
    assert {path.name for path in run.iterdir()} == {
        "manifest.json", "log", "observations.parquet", "fills.parquet", "orders.parquet", "equity.parquet",
        "summary.json", "report.html", "facts.json",
    }  # fmt: skip
    told = manifest(run)
    assert (told["status"], told["mode"], told["seed"]) == ("complete", "simulate", 1)
    assert told["config"]["simulate"]["zero_intelligence"]["market_per_s"] > 0
    assert told["counts"]["background_commands"] > 1000 < told["counts"]["book_level"]
    assert ran("log", "verify", run).out.endswith("intact\n")
    assert ran("replay", run).out.startswith("equal: ")


def test_the_page_and_the_summary_set_the_market_beside_the_real_one(run: Path) -> None:
    """Facts with verdicts are in facts.json, in the summary and in a view of the page, and are the same numbers."""
    facts = json.loads((run / "facts.json").read_text())
    summary = json.loads((run / "summary.json").read_text())["generated_market"]
    page = (run / "report.html").read_text()
    assert summary["in_range"] == facts["comparison"]["in_range"] > 30
    assert summary["claimed"] >= 20 and 0 < summary["claimed_in_range"] <= summary["claimed"]
    assert 'data-view="market"' in page and "The generated market beside the real one" in page
    for chart in ("spread", "depth", "gaps", "returns", "tails", "clustering", "signature", "impact", "signs", "maker"):
        assert f'id="market-{chart}"' in page
    assert page.count("in range") > 30
    before = (run / "summary.json").read_bytes()
    ran("report", run)
    assert (run / "summary.json").read_bytes() == before


def test_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without --out makes a folder, says how it compares and how to replay it; --json is JSON alone."""
    monkeypatch.chdir(tmp_path)
    said = ran("simulate", *SHORT)
    (folder,) = (tmp_path / "runs").iterdir()
    shown = f"runs/{folder.name}"
    assert f"run     {shown}\nreport  {shown}/report.html\nreplay  pinnacle replay {shown}\n" in said.out
    assert "Generated market (informed): " in said.out
    told = ran("simulate", *SHORT, "--out", "other", "--json", "--no-report")
    assert told.json["run"]["mode"] == "simulate" and told.err == "" and not Path("other/report.html").exists()


def test_interpreted_and_paced_runs_write_the_same_bytes(tmp_path: Path) -> None:
    """--no-jit and --speed change how long a run takes and no byte of its log, nor its id."""
    short = ("--duration", "0.2", "--set", "simulate.warm_up_s=0.2", "--no-report", "--quiet")
    short += ("--set", "simulate.excited=true")
    ran("simulate", *short, "--out", tmp_path / "a")
    said = process("simulate", *short, "--out", tmp_path / "b", "--no-jit")
    assert said.code == 0, said.err
    ran("simulate", *short, "--out", tmp_path / "c", "--speed", "2")
    logs = [(tmp_path / name / "log" / "log-000000.parquet").read_bytes() for name in "abc"]
    assert logs[0] == logs[1] == logs[2]
    assert len({manifest(tmp_path / name)["run_id"] for name in "abc"}) == 1


def test_a_plain_python_strategy_does_what_the_compiled_one_does(tmp_path: Path) -> None:
    """The same strategy without its decorator, called from outside the kernels, writes the same records."""
    import pinnacle.resources

    source = (pinnacle.resources.shipped("strategies") / "fixed_spread.py").read_text()
    plain = tmp_path / "fixed_spread.py"
    plain.write_text(source.replace("@jit\ndef quote", "def quote"))
    short = ("--duration", "2", "--set", "simulate.warm_up_s=1", "--no-report", "--quiet")
    ran("simulate", *short, "--out", tmp_path / "a")
    ran("simulate", *short, "--out", tmp_path / "b", "--strategy", plain)
    counts = [manifest(tmp_path / name)["counts"] for name in "ab"]
    assert counts[0] == counts[1]
    assert ran("replay", tmp_path / "b").out.startswith("equal: ")


def test_ctrl_c_leaves_a_run_that_replays_as_far_as_it_came(tmp_path: Path) -> None:
    """Interrupted: exit 130, status interrupted, an intact log, a replay up to the last whole input."""
    strategy = tmp_path / "slow.py"
    strategy.write_text(SLOW)
    out = tmp_path / "run"
    words = ["--strategy", strategy, "--out", out, "--duration", "3600", "--set", "run.checkpoint_every=2000"]
    started = subprocess.Popen(command("simulate", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(started, (out / "checkpoints").exists)
    started.send_signal(signal.SIGINT)
    said, complained = ended(started)
    assert (started.returncode, said) == (130, b"") and b"Traceback" not in complained
    assert manifest(out)["status"] == "interrupted"
    assert ran("log", "verify", out).out.endswith("intact\n")
    assert ran("replay", out).out.startswith("equal: ")
    assert ran("replay", out, "--from-checkpoint", "-1").out.startswith("equal: ")
    assert "choose a new --out" in refused(pinnacle("simulate", *words))


AGAIN = """
from pinnacle.strategy import NO_PRICE, jit, want_bid

@jit
def quote(market, lane, me, params, memory, want):
    top = market["top"][me]
    if top["bid_ticks"] != NO_PRICE:
        want_bid(want, top["bid_ticks"] - lane["wakes"] % 3, 10.0)
"""


def test_time_that_stands_still_stops_the_run(tmp_path: Path) -> None:
    """With no latency a strategy that answers each answer never lets time pass: one error, not a run without end."""
    strategy = tmp_path / "again.py"
    strategy.write_text(AGAIN)
    words = ["latency.entry_ms=0", "latency.response_ms=0", "wake.on_order=true", "risk.rate_max=100000000"]
    said = [word for one in words for word in ("--set", one)]
    error = refused(pinnacle("simulate", "--strategy", strategy, "--out", tmp_path / "run", "--duration", "2", *said))
    assert "same instant without end" in error
    assert manifest(tmp_path / "run")["status"] == "failed"


def edited(tmp_path: Path, change: Any) -> Path:
    """The shipped config, changed."""
    from pinnacle.resources import shipped
    from pinnacle.run.toml_text import toml_text

    raw = read_toml(shipped("configs") / "simulate.toml")
    change(raw)
    path = tmp_path / "market.toml"
    path.write_text(toml_text(raw, "changed"))
    return path


REFUSALS = {
    "unknown model": (lambda raw: raw["simulate"].update(model="garch"), "must be one of zero-intelligence, hawkes"),
    "no section": (lambda raw: raw.pop("simulate"), "has no [simulate]"),
    "missing table": (lambda raw: raw["simulate"].pop("value"), "has no [simulate.value]"),
    "missing parameter": (
        lambda raw: raw["simulate"]["zero_intelligence"].pop("market_per_s"),
        "[simulate.zero_intelligence]: zero-intelligence model",
    ),
    "negative rate": (
        lambda raw: raw["simulate"]["zero_intelligence"].update(market_per_s=-1.0),
        "zero_intelligence.market_per_s has -1",
    ),
    "no limit orders": (
        lambda raw: raw["simulate"]["zero_intelligence"].update(limit_per_s=[0.0] * 45),
        "a market needs limit orders",
    ),
    "sizes that fall": (
        lambda raw: raw["simulate"]["zero_intelligence"]["limit_sizes"]["quantiles_lots"].reverse(),
        "quantiles_lots must be 15 sizes",
    ),
    "never ends": (
        lambda raw: raw["simulate"].update(
            model="hawkes", hawkes={**raw["simulate"]["hawkes"], "offspring": [[[0.2, 0.2]] * 6] * 6}
        ),
        "spectral radius of 2.400",
    ),
    "value that is no number": (
        lambda raw: raw["simulate"]["value"].update(news_per_s="often"),
        "news_per_s is 'often'",
    ),
    "no price": (lambda raw: raw["simulate"].update(price=""), "simulate.price is missing"),
    "off the tick": (lambda raw: raw["simulate"].update(price="61800.25"), "is not a multiple of the tick"),
    "no tick": (lambda raw: [raw["instruments"][0].pop(key) for key in ("tick", "lot")], "has no tick and lot"),
    "two instruments": (
        lambda raw: raw["instruments"].append({**raw["instruments"][0], "symbol": "ETHUSDT"}),
        "a simulation has one instrument",
    ),
    "nothing to play": (
        lambda raw: [raw["simulate"].update(model="recorded"), raw.pop("data")],
        "needs a history to play",
    ),
    "a time that is none": (lambda raw: raw["simulate"].update(start="yesterday"), "simulate.start is 'yesterday'"),
    "a window of a backtest": (lambda raw: raw["run"].update(stop_ns=5), "are a backtest's"),
    "a fact without an error": (
        lambda raw: raw["simulate"]["real_facts"].update({"spread.mean": [1.0]}),
        "must be [value, standard error]",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_simulated_is_one_clear_error(tmp_path: Path, name: str) -> None:
    """Each refusal names the file and what is wrong with it, and makes no folder."""
    change, text = REFUSALS[name]
    path = edited(tmp_path, change)
    said = refused(pinnacle("simulate", path, "--out", tmp_path / "run"))
    assert text in said and "market.toml" in said
    assert not (tmp_path / "run").exists()


def test_a_market_is_fitted_to_a_history_and_runs(tmp_path: Path) -> None:
    """--calibrate writes a config that simulate takes as it is, its fits and the real facts beside it, once."""
    catalog = sliced(tmp_path / "catalog", 60.0)
    target = tmp_path / "mine.toml"
    said = ran("simulate", "--calibrate", catalog, "--out", target)
    assert "market orders/s" in said.out and f"pinnacle simulate {target}" in said.out
    raw, fits = read_toml(target), json.loads((tmp_path / "mine.json").read_text())
    assert raw["simulate"]["fitted_on"].startswith("binance-usdm:BTCUSDT, 59 s from 2024-08-08")
    assert raw["simulate"]["hawkes"]["radius"] < 1.0 and fits["hawkes"]["ks"]
    assert fits["real"]["facts"]["spread.mean"]["value"] == pytest.approx(
        raw["simulate"]["real_facts"]["spread.mean"][0]
    )
    lines = target.read_text().splitlines()
    keys = [k for k, line in enumerate(lines) if " = " in line and not line.startswith(("#", '"'))]
    unsaid = [lines[k] for k in keys if "  # " not in lines[k] and not lines[k - 1].startswith("# ")]
    assert not unsaid
    ran("simulate", target, "--out", tmp_path / "run", *SHORT, "--quiet", "--no-report")
    assert ran("replay", tmp_path / "run").out.startswith("equal: ")
    assert "is there already" in refused(pinnacle("simulate", "--calibrate", catalog, "--out", target))
    assert "runs no strategy" in refused(pinnacle("simulate", "--calibrate", catalog, "--seed", "1"))


def test_a_history_without_depth_cannot_be_fitted(tmp_path: Path) -> None:
    """Best prices alone do not say what arrives and is cancelled: one error, nothing written."""
    catalog = sliced(tmp_path / "catalog", 20.0)
    bare = tmp_path / "bare"
    for day in list_catalog(catalog):
        target = bare / day.venue / day.symbol / day.path.name
        target.parent.mkdir(parents=True)
        rows = [batch[batch["kind"] != BOOK_LEVEL] for batch in read_segment(day.path)]
        write_segment(target, rows, segment_info(day.path).metadata)
    said = refused(pinnacle("simulate", "--calibrate", bare, "--out", tmp_path / "x.toml"))
    assert "limit orders and cancels are not known" in said
    assert not (tmp_path / "x.toml").exists()
    assert "no such file" in refused(pinnacle("simulate", "--calibrate", tmp_path / "nowhere"))

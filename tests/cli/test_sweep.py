"""`pinnacle backtest --sweep`: a run for each day and traded instrument, one table, whoever does the work."""

from __future__ import annotations

import json
import math
import shutil
import signal
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pinnacle.log.segment import read_segment, segment_info, write_segment
from tests.cli.command import CATALOG, FIRST_NS, backtest, command, ended, manifest, pinnacle, ran, refused, wait_until

DAYS = ("2024-08-08", "2024-08-09", "2024-08-10")
DAY_NS = 86_400_000_000_000
# Two traded symbols of one venue, one of them on fewer days, and a watched one.
CONFIG = """
[strategy]
path = "fixed_spread"
[strategy.params]
half_spread_bps = 0.2
order_qty = 0.01
position_max = 0.05
[data]
catalog = "catalog"
[[instruments]]
venue = "binance-usdm"
symbol = "BTCUSDT"
[[instruments]]
venue = "binance-usdm"
symbol = "ETHUSDT"
[[instruments]]
venue = "binance"
symbol = "BTCUSDT"
trade = false
"""


def shifted(source: Path, target: Path, days: int, symbol: str, seconds: float = 8) -> None:
    """The first seconds of a sample's day as the day file of another day, and of another symbol."""
    until_ns = FIRST_NS + round(seconds * 1e9)

    def rows() -> Any:
        for batch in read_segment(source):
            part = batch[batch["ts_ns"] < until_ns].copy()
            part["ts_ns"] += days * DAY_NS
            part["ts_venue_ns"] += days * DAY_NS * (part["ts_venue_ns"] != 0)
            yield part

    metadata = dict(segment_info(source).metadata)
    metadata["instrument"] = json.dumps({**json.loads(metadata["instrument"]), "symbol": symbol})
    target.parent.mkdir(parents=True, exist_ok=True)
    write_segment(target, rows(), metadata)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with its catalog: three days of BTC, two of ETH, three of what is watched.  Not to be changed."""
    folder = tmp_path_factory.mktemp("sweep")
    perp, spot = (CATALOG / venue / "BTCUSDT" / f"{DAYS[0]}.parquet" for venue in ("binance-usdm", "binance"))
    for number, day in enumerate(DAYS):
        seconds = 6 + 2 * number
        shifted(perp, folder / f"catalog/binance-usdm/BTCUSDT/{day}.parquet", number, "BTCUSDT", seconds)
        shifted(spot, folder / f"catalog/binance/BTCUSDT/{day}.parquet", number, "BTCUSDT", seconds)
        if number:
            shifted(perp, folder / f"catalog/binance-usdm/ETHUSDT/{day}.parquet", number, "ETHUSDT", seconds)
    (folder / "sweep.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def swept(folder: Path) -> Path:
    """The sweep of that config with one worker.  Not to be changed."""
    ran("backtest", folder / "sweep.toml", "--sweep", "--out", folder / "one", "--quiet")
    return folder / "one"


def told(sweep: Path) -> dict[str, Any]:
    return dict(json.loads((sweep / "sweep.json").read_text()))


def expected_runs() -> list[str]:
    btc = [f"binance-usdm_BTCUSDT/{day}" for day in DAYS]
    return btc + [f"binance-usdm_ETHUSDT/{day}" for day in DAYS[1:]]


def test_a_sweep_is_a_run_for_each_day_and_traded_instrument(swept: Path) -> None:
    """Every day that all of an instrument's histories have is one whole run of it, with report, and replays."""
    sweep = told(swept)
    assert [run["folder"] for run in sweep["runs"]] == expected_runs() and sweep["status"] == "complete"
    for run in sweep["runs"]:
        made = manifest(swept / run["folder"])
        assert made["status"] == "complete" and run["status"] == "complete" and run["error"] == ""
        traded = [f"{one['venue']}:{one['symbol']}" for one in made["config"]["instruments"] if one["trade"]]
        assert traded == [run["instrument"]] and len(made["instruments"]) == 2
        assert {Path(one["path"]).stem for one in made["histories"]} == {run["day"]}
        assert (swept / run["folder"] / "report.html").stat().st_size > 10_000
    assert ran("replay", swept / expected_runs()[-1]).out.startswith("equal: ")


def test_a_run_of_a_sweep_is_the_run_of_that_day_alone(folder: Path, swept: Path, tmp_path: Path) -> None:
    """The same config with that instrument and that day gives the same run id, fingerprint and summary."""
    text = CONFIG.replace('symbol = "BTCUSDT"\n[[instruments]]\nvenue = "binance-usdm"\nsymbol = "ETHUSDT"',
                          'symbol = "ETHUSDT"')  # fmt: skip
    (folder / "alone.toml").write_text(text)
    days = ["--set", f"data.first={DAYS[2]}", "--set", f"data.last={DAYS[2]}"]
    backtest(tmp_path / "alone", folder / "alone.toml", *days)
    alone, among = (path / "summary.json" for path in (tmp_path / "alone", swept / expected_runs()[-1]))
    assert json.loads(alone.read_text()) == json.loads(among.read_text())


def test_the_table_is_what_the_runs_say(swept: Path) -> None:
    """Each row is its run's summary, the totals are theirs by day, and the Parquet file has the same rows."""
    sweep = told(swept)
    for run in sweep["runs"]:
        of = json.loads((swept / run["folder"] / "summary.json").read_text())["instruments"][run["instrument"]]
        assert (run["net_quote"], run["fills"]) == (of["pnl"]["net"], of["fills"]["count"]) and run["fills"] > 0
        assert (run["sharpe"], run["quote"]) == (of["risk"]["sharpe"], "USDT")
        assert run["markout_5s_bps"] == of["markouts"]["5s"]["all"]["mean_bps"]
    daily = [sum(run["net_quote"] for run in sweep["runs"] if run["day"] == day) for day in DAYS]
    ((currency, total),) = sweep["totals"].items()
    assert currency == "USDT" and total["days"] == 3 and total["runs"] == 5
    assert total["net_quote"] == pytest.approx(sum(daily), abs=1e-9)
    assert total["days_won"] == sum(net > 0 for net in daily)
    assert total["worst_day"] == DAYS[daily.index(min(daily))]
    assert total["daily_mean_quote"] == pytest.approx(sum(daily) / 3)
    assert total["daily_error_quote"] == pytest.approx(statistics.stdev(daily) / math.sqrt(3))
    assert pq.read_table(swept / "sweep.parquet").to_pylist() == sweep["runs"]


def test_workers_change_nothing(folder: Path, swept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two processes, called by relative paths from elsewhere, leave the same table and the same runs as one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG.replace('"catalog"', '"here"'))
    shutil.copytree(folder / "catalog", tmp_path / "here")
    two = ran("backtest", "config.toml", "--sweep", "--workers", "2", "--out", "two", "--json", "--no-report")
    assert two.json == told(tmp_path / "two") == told(swept) and two.err == ""
    for run in expected_runs():
        fingerprints = {manifest(sweep / run)["fingerprint"] for sweep in (swept, tmp_path / "two")}
        assert len(fingerprints) == 1 and not (tmp_path / "two" / run / "report.html").exists()


def test_what_is_printed_fits_and_names_every_run(folder: Path, swept: Path) -> None:
    """The table has a line a run and a total, in 80 columns; what is there already is not run again."""
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("manifest.json")}
    said = ran("backtest", folder / "sweep.toml", "--sweep", "--out", swept)
    lines = said.out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert [line.split()[:2] for line in lines[1:6]] == [[r["day"], r["instrument"]] for r in told(swept)["runs"]]
    assert lines[6].startswith("total") and "USDT" in lines[6] and "of 3 days won" in lines[7]
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("manifest.json")} == before


def test_a_run_that_fails_is_marked_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    """A damaged day is one row with its sentence and exit code 1; mended, the same command does only what is left."""
    shutil.copytree(folder / "catalog", tmp_path / "catalog")
    (tmp_path / "sweep.toml").write_text(CONFIG)
    broken = tmp_path / f"catalog/binance-usdm/BTCUSDT/{DAYS[1]}.parquet"
    good = broken.read_bytes()
    broken.write_bytes(good[: len(good) // 2])
    words = ["backtest", tmp_path / "sweep.toml", "--sweep", "--out", tmp_path / "out", "--no-report"]
    said = pinnacle(*words)
    assert said.code == 1 and "Traceback" not in said.err + said.out
    assert said.err.splitlines()[-1].startswith("error: 1 of 5 runs failed, the first: ")
    sweep = told(tmp_path / "out")
    failed = [run for run in sweep["runs"] if run["status"] == "failed"]
    assert [run["folder"] for run in failed] == [expected_runs()[1]] and str(broken) in failed[0]["error"]
    assert failed[0]["net_quote"] is None and sweep["days_incomplete"] == [DAYS[1]]
    assert sweep["totals"]["USDT"]["runs"] == 4 and "failed" in said.out
    broken.write_bytes(good)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("manifest.json")}
    assert {run["status"] for run in ran(*words, "--json").json["runs"]} == {"complete"}
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items()) and len(kept) == 4


def test_where_all_fail_the_exit_code_is_the_errors(folder: Path, tmp_path: Path) -> None:
    """Where no run came to its end the exit code says whose fault the first one was; no total is made up."""
    (tmp_path / "raises.py").write_text(
        'def quote(market, lane, me, params, memory, want):\n    raise ValueError("x")\n'
    )
    words = ["--strategy", tmp_path / "raises.py", "--set", f"data.last={DAYS[1]}", "--out", tmp_path / "out"]
    said = pinnacle("backtest", folder / "sweep.toml", "--sweep", *words, "--json")
    assert said.code == 2 and {run["status"] for run in said.json["runs"]} == {"failed"} and said.json["totals"] == {}
    assert all((tmp_path / "out" / run["folder"] / "error.txt").exists() for run in said.json["runs"])


def test_days_that_something_watched_lacks_are_told(folder: Path, tmp_path: Path) -> None:
    """A day without history of a watched instrument is not run, and the table says so."""
    shutil.copytree(folder / "catalog", tmp_path / "catalog")
    (tmp_path / "sweep.toml").write_text(CONFIG)
    (tmp_path / f"catalog/binance/BTCUSDT/{DAYS[2]}.parquet").unlink()
    said = ran("backtest", tmp_path / "sweep.toml", "--sweep", "--out", tmp_path / "out", "--no-report")
    assert {run["day"] for run in told(tmp_path / "out")["runs"]} == set(DAYS[:2])
    assert [text[:10] for text in told(tmp_path / "out")["left_out"]] == [DAYS[2]] * 2
    assert "the catalog has no binance:BTCUSDT then" in " ".join(said.out.split())


def test_a_file_instead_of_the_catalog_is_one_run(folder: Path, tmp_path: Path) -> None:
    """An instrument whose data is a file is run once, under the day that the file begins."""
    file = folder / f"catalog/binance-usdm/ETHUSDT/{DAYS[1]}.parquet"
    words = [
        "--data",
        f"binance-usdm:ETHUSDT={file}",
        "--set",
        f"data.first={DAYS[1]}",
        "--set",
        f"data.last={DAYS[1]}",
    ]
    said = ran("backtest", folder / "sweep.toml", "--sweep", *words, "--out", tmp_path / "out", "--json", "--no-report")
    assert [(run["folder"], run["day"]) for run in said.json["runs"]] == [
        (f"binance-usdm_BTCUSDT/{DAYS[1]}", DAYS[1]), ("binance-usdm_ETHUSDT/file", DAYS[1])
    ]  # fmt: skip


def test_what_a_sweep_refuses(folder: Path, swept: Path, tmp_path: Path) -> None:
    """Workers without a sweep, other inputs or strange files in its folder, moments of one day: one line, exit 2."""
    config = folder / "sweep.toml"
    for words in (["--workers", "2"], ["--ray", "auto"]):
        assert "add --sweep" in refused(pinnacle("backtest", config, *words))
    again = ["backtest", config, "--sweep", "--out", swept]
    assert "another config" in refused(pinnacle(*again, "--set", "wake.every_ms=50"))
    assert "no run of this sweep" in refused(pinnacle(*again, "--set", f"data.last={DAYS[1]}"))
    (tmp_path / "notes.txt").write_text("mine")
    assert "holds notes.txt" in refused(pinnacle("backtest", config, "--sweep", "--out", tmp_path))
    assert "whole days" in refused(pinnacle("backtest", config, "--sweep", "--set", f"run.start_ns={FIRST_NS}"))
    assert "from 1 to" in refused(pinnacle("backtest", config, "--sweep", "--workers", "-1", "--out", tmp_path / "x"))
    assert not (tmp_path / "x").exists() and told(swept)["status"] == "complete"


def test_a_sweep_that_is_ended_still_tells_what_failed(folder: Path, tmp_path: Path) -> None:
    """The table of an ended sweep is made from the folders: complete, failed with its sentence, or missing."""
    from pinnacle.sweep import prepare_sweep

    shutil.copytree(folder / "catalog", tmp_path / "catalog")
    (tmp_path / "sweep.toml").write_text(CONFIG)
    broken = tmp_path / f"catalog/binance-usdm/BTCUSDT/{DAYS[0]}.parquet"
    broken.write_bytes(broken.read_bytes()[:1000])
    sweep = prepare_sweep(str(tmp_path / "sweep.toml"), None, (), (), tmp_path / "out", None, html=False)

    def end(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    sweep.progress = end
    with pytest.raises(KeyboardInterrupt):
        sweep.run()
    runs = told(tmp_path / "out")["runs"]
    assert [run["status"] for run in runs] == ["failed", "complete", "missing", "missing", "missing"]
    assert str(broken) in runs[0]["error"] and runs[1]["fills"] > 0


def test_an_ended_sweep_counts_what_an_earlier_one_had_finished(folder: Path, tmp_path: Path) -> None:
    """A sweep of finished runs that is ended at once still has them all in its table."""
    from pinnacle.sweep import prepare_sweep

    sweep = prepare_sweep(str(folder / "sweep.toml"), None, (), (), tmp_path / "out", None, html=False)
    whole = sweep.run()

    def end(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    sweep.progress = end
    with pytest.raises(KeyboardInterrupt):
        sweep.run()
    assert told(tmp_path / "out") == whole


SLOW = """
import time
from pinnacle.strategy import NO_PRICE, want_bid

def quote(market, lane, me, params, memory, want):
    time.sleep(0.008)
    top = market["top"][me]
    if top["bid_ticks"] != NO_PRICE:
        want_bid(want, top["bid_ticks"] - lane["wakes"] % 3, 10.0)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_sweep_keeps_what_is_done_and_goes_on(folder: Path, tmp_path: Path, workers: int) -> None:
    """Ctrl-C leaves finished runs and a table that says what is missing; the same command does the rest."""
    (tmp_path / "slow.py").write_text(SLOW)
    out = tmp_path / "out"
    words = [
        "backtest", folder / "sweep.toml", "--sweep", "--strategy", tmp_path / "slow.py", "--out", out, "--no-report",
        "--workers", str(workers),
    ]  # fmt: skip
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(process, lambda: any(out.rglob("summary.json")))
    process.send_signal(signal.SIGINT)
    said, complained = ended(process)
    assert (process.returncode, said) == (130, b"") and b"Traceback" not in complained
    states = [run["status"] for run in told(out)["runs"]]
    assert told(out)["status"] == "interrupted" and {"complete", "missing"} >= set(states) and "missing" in states
    assert {run["status"] for run in ran(*words, "--json").json["runs"]} == {"complete"}


def test_a_raw_recording_is_imported_once_and_must_stay_the_same(tmp_path: Path, recordings: Path) -> None:
    """A sweep of a recording is one run; repeated it is kept, and refused when the recording is another."""
    import gzip
    from itertools import islice

    raw = tmp_path / "tape.gz"
    with gzip.open(recordings / "binance" / "usdm_btcusdt_20240718.gz") as whole:
        lines = list(islice(whole, 4000))
    raw.write_bytes(gzip.compress(b"".join(lines), mtime=0))
    words = ["backtest", "reference", "--sweep", "--data", raw, "--out", tmp_path / "out", "--no-report"]
    first = ran(*words, "--json").json
    assert [run["folder"].rpartition("/")[2] for run in first["runs"]] == ["file"]
    assert first["runs"][0]["day"].startswith("2024-07-")
    made = tmp_path / "out" / first["runs"][0]["folder"] / "manifest.json"
    at = made.stat().st_mtime_ns
    assert ran(*words, "--json").json == first and made.stat().st_mtime_ns == at
    raw.write_bytes(gzip.compress(b"".join(lines[:3900]), mtime=0))
    assert "another config, strategy, history" in refused(pinnacle(*words))

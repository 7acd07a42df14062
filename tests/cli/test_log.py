"""`pinnacle log` and `pinnacle report`: reading a run that is there."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from pinnacle.log.reader import LogReader
from tests.cli.command import command, killed_after, manifest, pinnacle, ran, refused


def test_verify_says_intact_or_where_not(tmp_path: Path, short_run: Path) -> None:
    """A whole log is intact, exit 0; with one byte changed it is not, exit 5, and the file is named."""
    records = manifest(short_run)["counts"]["records"]
    assert ran("log", "verify", short_run).out.splitlines()[-1] == f"{short_run}: {records} records, intact"
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    file = run / "log" / "log-000000.parquet"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    said = pinnacle("log", "verify", run)
    assert said.code == 5 and "NOT INTACT" in said.out and file.name in said.out


def test_inspect_prints_records_and_filters_them(short_run: Path) -> None:
    """A line a record, at most --limit; --kind, --order, --from and --to keep those that fit."""
    total = sum(batch.size for batch in LogReader(short_run).records())
    everything = ran("log", "inspect", short_run, "--limit", "0").out.splitlines()
    assert len(everything) == total
    assert len(ran("log", "inspect", short_run, "--limit", "5").out.splitlines()) == 5
    places = ran("log", "inspect", short_run, "--kind", "place", "--limit", "0").out.splitlines()
    assert places and all(" place binance-usdm:BTCUSDT " in line for line in places)
    order = next(word for word in places[0].split() if word.startswith("order=")).removeprefix("order=")
    of_order = ran("log", "inspect", short_run, "--order", order).out.splitlines()
    assert of_order == [line for line in everything if f" order={order} " in f"{line} "]
    seqs = [int(line.split("seq=")[1].split()[0]) for line in everything]
    some = ran("log", "inspect", short_run, "--from", str(seqs[9]), "--to", str(seqs[20]), "--limit", "0")
    assert some.out.splitlines() == [line for line, n in zip(everything, seqs) if seqs[9] <= n <= seqs[20]]


def test_inspect_refuses_an_unknown_kind(short_run: Path) -> None:
    """A kind that is none is refused with those there are."""
    assert "place" in refused(pinnacle("log", "inspect", short_run, "--kind", "plaice"))


def test_diff_of_a_log_with_itself_is_equal(short_run: Path) -> None:
    """A log is equal to itself and to its own log folder."""
    assert ran("log", "diff", short_run, short_run / "log").out == "equal\n"


def test_a_reader_that_leaves_early_is_no_error(short_run: Path) -> None:
    """`pinnacle log inspect RUN | head -1` ends without a word of complaint."""
    first = command("log", "inspect", short_run, "--limit", "0")
    writer = subprocess.Popen(first, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None and writer.stderr is not None
    with killed_after(writer):
        assert writer.stdout.readline().strip().startswith(b"0 ")
        writer.stdout.close()
        assert writer.stderr.read() == b""
        writer.stderr.close()
        assert writer.wait(60) in (0, 1)


def test_a_report_is_made_again_with_the_same_bytes(tmp_path: Path, short_run: Path) -> None:
    """`report` writes tables, summary and page anew from the folder alone, twice the same bytes."""
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    said = ran("report", run)
    assert said.out.endswith("report.html\n") and (run / "report.html").is_file()
    names = ("report.html", "summary.json", "fills.parquet", "orders.parquet", "equity.parquet")
    before = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names}
    assert ran("report", run, "--json").json == json.loads((run / "summary.json").read_text())
    assert {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names} == before

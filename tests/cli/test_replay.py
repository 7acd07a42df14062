"""`pinnacle replay`: equal means equal byte for byte, and what is not equal is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pinnacle import event
from pinnacle.log.reader import LogReader
from pinnacle.log.segment import segment_info, write_segment
from tests.cli.command import backtest, edit_manifest, manifest, pinnacle, process, ran, refused, sliced


def test_a_run_replays_equal(sample_run: Path) -> None:
    """Every output and the state after the last input are those of the run; exit 0."""
    counts = manifest(sample_run)["counts"]
    said = ran("replay", sample_run)
    assert said.out == (
        f"equal: {counts['place'] + counts['cancel']:,} commands, {counts['outputs']:,} outputs from "
        f"{counts['heard']:,} inputs, state {manifest(sample_run)['fingerprint']}\n"
    )
    assert ran("replay", sample_run, "--quiet").out == ""


def test_a_replay_interpreted_is_equal_too(tmp_path: Path, catalog: Path) -> None:
    """--no-jit folds what compiled kernels logged to the same outputs."""
    backtest(tmp_path / "run", "--data", sliced(tmp_path / "catalog", 2), "--set", "wake.every_ms=20")
    said = process("replay", tmp_path / "run", "--no-jit")
    assert said.code == 0 and said.out.startswith("equal: ") and not said.out.startswith("equal: 0 commands")


def tampered(run: Path, to: Path, change: Callable[[np.ndarray], None]) -> Path:
    """A copy of a run whose log says something else, with every checksum and count right again."""
    shutil.copytree(run, to)
    records = np.concatenate(list(LogReader(run).records()))
    change(records)
    file = to / "log" / "log-000000.parquet"
    segment = write_segment(file, [records], segment_info(file).metadata)
    entry = {"name": file.name, "rows": segment.rows, "sha256": segment.sha256, "kind": "parquet"}
    edit_manifest(to, segments=[entry])
    return to


def test_one_changed_price_is_found(tmp_path: Path, short_run: Path) -> None:
    """A log with one command's price changed is intact to every checksum, and the replay names that command; exit 1."""
    places = [batch[batch["kind"] == event.PLACE] for batch in LogReader(short_run).records()]
    place = np.concatenate(places)[7]

    def change(records: np.ndarray) -> None:
        records["price_ticks"][(records["kind"] == event.PLACE) & (records["order_id"] == place["order_id"])] += 1

    run = tampered(short_run, tmp_path / "run", change)
    assert ran("log", "verify", run).code == 0
    said = pinnacle("replay", run)
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0].startswith(f"diverged at input {place['seq']}, after ")
    ticks = int(place["price_ticks"])
    assert f"price={(ticks + 1) / 10:.1f} " in lines[1] and f"price={ticks / 10:.1f} " in lines[2]
    assert lines[1].strip().startswith("expected") and lines[2].strip().startswith("found")
    found = pinnacle("log", "diff", short_run, run)
    assert found.code == 1 and "price_ticks" in found.out


@pytest.mark.parametrize("kind", [event.PLACE, event.ORDER_FILLED])
def test_a_record_too_many_or_too_few_is_found(tmp_path: Path, short_run: Path, kind: int) -> None:
    """A command that was never given, and a fill that is other than it was, both part the replay from the log."""

    def change(records: np.ndarray) -> None:
        at = np.flatnonzero(records["kind"] == kind)[3]
        if kind == event.PLACE:
            records["kind"][at] = event.CANCEL
        else:
            records["qty_lots"][at] -= 1

    said = pinnacle("replay", tampered(short_run, tmp_path / "run", change))
    assert said.code == 1 and ("diverged" in said.out or "but the state after the last input" in said.out)


def test_until_stops_early(short_run: Path) -> None:
    """--until folds up to that input and compares what came so far."""
    commands = np.concatenate([batch[batch["kind"] == event.PLACE] for batch in LogReader(short_run).records()])
    seq = int(commands["seq"][4])
    said = ran("replay", short_run, "--until", str(seq))
    assert f"from {seq + 1:,} inputs" in said.out
    assert ran("replay", short_run, "--until", "0").out.startswith("equal: 0 commands, 0 outputs from 1 inputs")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the whole sample that keeps its state every 50,000 inputs."""
    out = tmp_path_factory.mktemp("kept") / "run"
    backtest(out, "--set", "run.checkpoint_every=50000")
    return out


def places(run: Path) -> list[str]:
    """Every order placed, as text without its number in the log."""
    lines = ran("log", "inspect", run, "--kind", "place", "--limit", "0").out.splitlines()
    return [line.split(maxsplit=1)[1] for line in lines]


def test_a_replay_from_a_kept_state_equals_the_whole(kept: Path, sample_run: Path) -> None:
    """From each state that was kept the rest of the run comes out the same, state included."""
    kept_seqs = sorted(int(path.name.split(".")[0]) for path in (kept / "checkpoints").iterdir())
    heard = manifest(kept)["counts"]["heard"]
    assert kept_seqs == list(range(49_999, heard, 50_000))
    assert places(kept) == places(sample_run), "keeping states changes no decision"
    for seq in (kept_seqs[0], kept_seqs[7], -1):
        first = kept_seqs[-1] if seq == -1 else seq
        said = ran("replay", kept, "--from-checkpoint", str(seq))
        assert f"from {heard - first - 1:,} inputs, state {manifest(kept)['fingerprint']}" in said.out


def test_a_state_that_was_not_kept_is_refused(kept: Path, short_run: Path) -> None:
    """A number that is no kept state is refused with those there are, and a run without any says how to get some."""
    assert "there are 49999, 99999, " in refused(pinnacle("replay", kept, "--from-checkpoint", "17"))
    assert "run.checkpoint_every" in refused(pinnacle("replay", short_run, "--from-checkpoint", "-1"))


def test_a_damaged_state_is_refused(tmp_path: Path, kept: Path) -> None:
    """A kept state with a byte changed, or cut, is refused; the replay from the start still works."""
    run = tmp_path / "run"
    shutil.copytree(kept, run)
    last = max((run / "checkpoints").iterdir())
    whole = last.read_bytes()
    for bad in (whole[:-100], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], b"", whole[:5]):
        last.write_bytes(bad)
        said = pinnacle("replay", run, "--from-checkpoint", "-1")
        assert "replay from the start" in refused(said)


def test_a_full_record_needs_no_history(tmp_path: Path) -> None:
    """A run with --record full replays after the history and the strategy file are gone, --record own does not."""
    catalog = sliced(tmp_path / "catalog", 4)
    strategy = tmp_path / "mine.py"
    strategy.write_text((Path(__file__).parents[2] / "strategies" / "fixed_spread.py").read_text())
    for record in ("own", "full"):
        backtest(tmp_path / record, "--data", catalog, "--strategy", strategy, "--record", record)
    shutil.rmtree(catalog)
    strategy.unlink()
    said = ran("replay", tmp_path / "full")
    assert said.out.startswith("equal: ") and manifest(tmp_path / "full")["fingerprint"] in said.out
    assert "no such file" in refused(pinnacle("replay", tmp_path / "own"))


def test_a_changed_history_is_refused(tmp_path: Path) -> None:
    """A history file that is not the very one the run read is refused by name before anything is compared."""
    catalog = sliced(tmp_path / "catalog", 4)
    backtest(tmp_path / "run", "--data", catalog)
    shutil.rmtree(catalog)
    sliced(catalog, 3)
    message = refused(pinnacle("replay", tmp_path / "run"))
    assert str(catalog) in message and "sha256" in message and "restore" in message


def test_a_changed_strategy_file_changes_nothing(tmp_path: Path, catalog: Path) -> None:
    """The strategy is replayed as the manifest keeps it, whatever has become of its file."""
    strategy = tmp_path / "mine.py"
    strategy.write_text((Path(__file__).parents[2] / "strategies" / "fixed_spread.py").read_text())
    backtest(tmp_path / "run", "--data", catalog, "--strategy", strategy)
    strategy.write_text("raise RuntimeError('edited since')")
    assert ran("replay", tmp_path / "run").out.startswith("equal: ")


def test_other_kernels_are_noted(tmp_path: Path, short_run: Path) -> None:
    """A log made by other kernels is replayed all the same, with a note."""
    shutil.copytree(short_run, tmp_path / "run")
    edit_manifest(tmp_path / "run", code_hash="0" * 64)
    said = ran("replay", tmp_path / "run")
    assert said.err.startswith("note: the kernels are not those")


def test_a_plain_strategy_replays_equal_interpreted(tmp_path: Path) -> None:
    """A run of a plain Python strategy replays equal with and without the compiler."""
    text = (Path(__file__).parents[2] / "strategies" / "fixed_spread.py").read_text()
    (tmp_path / "plain.py").write_text(text.replace("@jit\ndef quote", "def quote"))
    words = ["--data", sliced(tmp_path / "catalog", 2), "--strategy", tmp_path / "plain.py"]
    backtest(tmp_path / "run", *words, "--set", "wake.every_ms=20")
    assert ran("replay", tmp_path / "run").out.startswith("equal: ")
    assert process("replay", tmp_path / "run", "--no-jit").code == 0

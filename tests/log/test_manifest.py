"""A manifest comes back as it was written, replaces the old one at once, and says what is wrong with a bad one."""

from __future__ import annotations

import errno
import json
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from pinnacle.errors import DiskError, HistoryError, OperatorError
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import (
    HistoryFile,
    Informational,
    Manifest,
    SegmentEntry,
    StrategySource,
    Versions,
    file_sha256,
    instrument_rows,
    instruments_of,
    read_manifest,
    write_manifest,
)

BTC = Instrument("binance", "BTCUSDT", Decimal("0.10"), Decimal("0.001"), base="BTC", quote="USDT")


def full_manifest() -> Manifest:
    """A manifest with something in every field."""
    return Manifest(
        run_id="00" * 16,
        mode="backtest",
        status="complete",
        code_hash="c0de",
        versions=Versions(pinnacle="0.1.0", numba="0.6", numpy="2.0", python="3.11", cpu="some"),
        config={"risk": {"position_max": "1.5", "bands": [1, 2]}},
        strategy=StrategySource(path="s.py", name="s", sha256="ab", source="def quote():\n    ...\n"),
        params={"half_spread_ticks": 3},
        instruments=instrument_rows([BTC]),
        histories=[HistoryFile(path="d.parquet", sha256="cd", rows=(1 << 53) + 1, instruments=[0])],
        seed=(1 << 63) - 1,
        segments=[SegmentEntry(name="log-000000.parquet", rows=3, sha256="ef", kind="parquet")],
        counts={"records": 3},
        fingerprint="00ff",
        informational=Informational(started="2024-08-09T00:00:00Z", ended="2024-08-09T00:01:00Z"),
    )


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    """Written and read, a manifest is equal in every field, its text sorted and for people to read."""
    write_manifest(tmp_path, full_manifest())
    assert read_manifest(tmp_path) == full_manifest()
    text = (tmp_path / "manifest.json").read_text()
    assert list(json.loads(text)) == sorted(msgspec.structs.asdict(full_manifest())) and '\n  "code_hash"' in text
    assert os.listdir(tmp_path) == ["manifest.json"]


def test_equal_runs_differ_in_informational_only(tmp_path: Path) -> None:
    """Two manifests of equal runs are the same JSON but for the sub-struct that may differ."""
    for name, started in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        manifest = full_manifest()
        manifest.informational = Informational(started=started)
        write_manifest(tmp_path / name, manifest)
    a, b = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in "ab")
    assert a.pop("informational") != b.pop("informational") and a == b


def test_instruments_keep_their_decimals() -> None:
    """Instruments survive as text, with the zeros their steps are written with."""
    assert instrument_rows([BTC])[0]["tick"] == "0.10"
    assert instruments_of(instrument_rows([BTC])) == [BTC]
    with pytest.raises(OperatorError, match="instrument 0 has no lot"):
        instruments_of([{"venue": "v", "symbol": "s", "tick": "1"}])
    with pytest.raises(OperatorError, match="tick of instrument 0 is 'x'"):
        instruments_of([{"venue": "v", "symbol": "s", "tick": "x", "lot": "1"}])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda text: text[:-30], DiskError, "no valid JSON"),
        (lambda text: "[]", OperatorError, "format version None"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 2'), OperatorError, "version 2"),
        (lambda text: text.replace('"complete"', '"done"'), DiskError, "status"),
        (lambda text: text.replace('"seed"', '"sead"'), DiskError, "sead"),
        (lambda text: text.replace('"rows": 3', '"rows": "3"'), DiskError, "rows"),
    ],
)
def test_a_bad_manifest_is_named(tmp_path: Path, change: object, error: type[Exception], message: str) -> None:
    """Broken text, another version, a wrong or unknown field: one sentence with the path and what is wrong."""
    write_manifest(tmp_path, full_manifest())
    path = tmp_path / "manifest.json"
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(error, match=message) as caught:
        read_manifest(tmp_path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    """A manifest overwritten with binary is a DiskError, a missing one an OperatorError."""
    with pytest.raises(OperatorError, match="no such file"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b'{"mode": "\xff\xfe"}')
    with pytest.raises(DiskError, match="no valid JSON"):
        read_manifest(tmp_path)


def test_a_failed_write_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk full while replacing keeps the manifest that was there, and no partial file."""
    write_manifest(tmp_path, full_manifest())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    changed = full_manifest()
    changed.status = "failed"
    with pytest.raises(DiskError, match="disk is full"):
        write_manifest(tmp_path, changed)
    assert read_manifest(tmp_path).status == "complete" and os.listdir(tmp_path) == ["manifest.json"]


def test_hash_of_a_missing_file(tmp_path: Path) -> None:
    """Hashing a history that is gone says so."""
    with pytest.raises(HistoryError, match="no such file"):
        file_sha256(tmp_path / "gone.parquet")

"""What a run was made of, as manifest.json beside its log: enough to repeat the run and to check that nothing changed.

Everything that decides the outcome is here, and two equal runs differ in `informational` alone.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from pinnacle.errors import DiskError, HistoryError, OperatorError
from pinnacle.instrument import Instrument, decimal_of

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
_INSTRUMENT_TEXTS = ("venue", "symbol", "base", "quote")
_INSTRUMENT_DECIMALS = ("tick", "lot", "contract", "qty_min", "notional_min")


class StrategySource(msgspec.Struct, forbid_unknown_fields=True):
    """The strategy as it was run: its whole text, so that a later edit of the file loses nothing."""

    path: str
    name: str
    sha256: str
    source: str


class HistoryFile(msgspec.Struct, forbid_unknown_fields=True):
    """One file of recorded history the run read.  instruments: indices into the run's table, in the file's order."""

    path: str
    sha256: str
    rows: int
    instruments: list[int] = []


class SegmentEntry(msgspec.Struct, forbid_unknown_fields=True):
    """One finished file of the log, by its name in the log's folder."""

    name: str
    rows: int
    sha256: str
    kind: Literal["journal", "parquet"]


class Versions(msgspec.Struct, forbid_unknown_fields=True):
    """What compiled and ran the kernels."""

    pinnacle: str
    numba: str
    numpy: str
    python: str
    cpu: str


class Informational(msgspec.Struct, forbid_unknown_fields=True):
    """What may differ between two equal runs.  started, ended: wall time, ISO 8601 in UTC; "" if it did not end."""

    started: str = ""
    ended: str = ""


class Manifest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One run.

    run_id: 32 hex digits, the journal's 16 bytes.  code_hash: of kernels, record and limits.  config: as loaded,
    decimals as text.  instruments: the run's table, decimal texts by field name (see instrument_rows).
    counts: records by name; "records", "inputs", "outputs" and names of kinds are checked by `verify`.
    fingerprint: hex of the engine's state after the last input, "" before the end.
    """

    format_version: int = FORMAT_VERSION
    run_id: str
    mode: str
    status: Literal["running", "complete", "interrupted", "failed"]
    code_hash: str
    versions: Versions
    config: dict[str, Any] = {}
    strategy: StrategySource | None = None
    params: dict[str, Any] = {}
    instruments: list[dict[str, str]] = []
    histories: list[HistoryFile] = []
    seed: int = 0
    segments: list[SegmentEntry] = []
    counts: dict[str, int] = {}
    fingerprint: str = ""
    informational: Informational = msgspec.field(default_factory=Informational)


def instrument_rows(instruments: list[Instrument]) -> list[dict[str, str]]:
    """The instrument table as a manifest keeps it: decimals as text."""
    fields = _INSTRUMENT_TEXTS + _INSTRUMENT_DECIMALS
    return [{field: str(getattr(instrument, field)) for field in fields} for instrument in instruments]


def instruments_of(rows: list[dict[str, str]]) -> list[Instrument]:
    """The instrument table out of a manifest.  Raises OperatorError for a row that is no instrument."""
    instruments = []
    for index, row in enumerate(rows):
        missing = [field for field in ("venue", "symbol", "tick", "lot") if field not in row]
        if missing:
            raise OperatorError(f"{MANIFEST_NAME}: instrument {index} has no {missing[0]}; restore the manifest")
        texts = {field: row[field] for field in _INSTRUMENT_TEXTS if field in row}
        decimals = {
            field: decimal_of(row[field], f"{MANIFEST_NAME}: {field} of instrument {index}")
            for field in _INSTRUMENT_DECIMALS
            if field in row
        }
        instruments.append(Instrument(**texts, **decimals))  # type: ignore[arg-type]
    return instruments


def read_manifest(directory: str | Path) -> Manifest:
    """The manifest of a run.  directory: the run's folder.

    Raises OperatorError where there is none or it is of another version, DiskError where its text is broken.
    """
    path = Path(directory) / MANIFEST_NAME
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise OperatorError(f"{path}: no such file; give the folder of a run, which holds {MANIFEST_NAME}") from None
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DiskError(f"{path}: no valid JSON ({error}); the log beside it can still be read file by file") from None
    version = raw.get("format_version") if isinstance(raw, Mapping) else None
    if version != FORMAT_VERSION:
        raise OperatorError(
            f"{path}: format version {version!r}, and this pinnacle reads {FORMAT_VERSION}; "
            "read the run with the pinnacle that wrote it"
        )
    try:
        return msgspec.convert(raw, Manifest)
    except msgspec.ValidationError as error:
        raise DiskError(f"{path}: {error}; the manifest was edited or damaged, restore it") from None


def write_manifest(directory: str | Path, manifest: Manifest) -> None:
    """Write or replace the manifest of a run, at once or not at all.  Raises DiskError."""
    text = json.dumps(msgspec.to_builtins(manifest, str_keys=True), indent=2, sort_keys=True, ensure_ascii=False)
    with replacing(Path(directory) / MANIFEST_NAME) as sink:
        sink.write(text.encode() + b"\n")


def file_sha256(path: str | Path) -> str:
    """sha256 of a file's bytes, in hex.  Raises HistoryError where there is none, DiskError where it is unreadable."""
    try:
        with open(path, "rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except FileNotFoundError:
        raise HistoryError(f"{path}: no such file; restore it, or name it where it is now") from None
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error.strerror}") from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well, and leaves no trace when it does not.

    On the disk before it has the name, so that a crash leaves the old file or the new one.  Raises DiskError.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with saying(path, "what was there before is untouched"):
            with open(partial, "wb") as sink:
                yield sink
                sink.flush()
                os.fsync(sink.fileno())
            os.replace(partial, path)
            sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def saying(path: Path, state: str) -> Iterator[None]:
    """Turn the system's refusal to write into a DiskError.  state: what is still good, one clause."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what, remedy = ("the disk is full", "free space") if full else (error.strerror or str(error), "see to it")
        raise DiskError(f"{path}: cannot be written: {what}; {state}, so {remedy} and start again") from error


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

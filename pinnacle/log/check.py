"""What `pinnacle log verify`, `inspect` and `diff` do: is a log whole, what does it say, where do two logs part.

They read a log as anyone does, front to back in bounded memory, and trust nothing that they can check.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pinnacle import event
from pinnacle.errors import PinnacleError
from pinnacle.event import EVENT, KIND_NAMES, OUTPUT_KIND_MIN
from pinnacle.instrument import Instrument
from pinnacle.log.journal import JournalReader, NotClosed
from pinnacle.log.manifest import Manifest, file_sha256, instruments_of
from pinnacle.log.reader import SEGMENT_SUFFIX, LogReader, first_record
from pinnacle.log.segment import read_segment

_INT64_MIN = -(1 << 63)
_FIELDS: tuple[str, ...] = tuple(EVENT.names or ())
_FLAG_NAMES = ("LAST", "SNAPSHOT", "MAKER", "REDUCE", "POST_ONLY", "IOC", "FOK")
_REASON_NAMES = {
    event.ORDER_FILLED: event.FILL_REASON_NAMES,
    event.ORDER_REJECTED: event.END_REASON_NAMES,
    event.ORDER_EXPIRED: event.END_REASON_NAMES,
    event.CANCEL_REJECTED: event.END_REASON_NAMES,
}


# --- verify -------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class FileCheck:
    """One file of a log.  frames: frames or row groups; records: those that are good; error: what stopped it."""

    path: Path
    frames: int = 0
    records: int = 0
    error: PinnacleError | None = None

    def __str__(self) -> str:
        noun = "row groups" if self.path.suffix == SEGMENT_SUFFIX else "frames"
        state = "ok" if self.error is None else str(self.error)
        return f"{self.path.name}: {self.frames} {noun}, {self.records} records: {state}"


@dataclass(slots=True)
class VerifyResult:
    """What verify found.  problems: what is wrong beyond single files, one sentence each; counts: records by name."""

    path: Path
    files: list[FileCheck] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    going_on: bool = False

    @property
    def records(self) -> int:
        """Records that are good."""
        return sum(file.records for file in self.files)

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written.  The last journal of a run that goes on need not be closed."""
        errors = [file.error for file in self.files if file.error is not None]
        if self.going_on and self.files and isinstance(self.files[-1].error, NotClosed):
            errors.pop()
        return not errors and not self.problems

    def lines(self) -> Iterator[str]:
        """The result for a person to read: each file, each problem, the verdict."""
        yield from (str(file) for file in self.files)
        yield from (f"problem: {problem}" for problem in self.problems)
        verdict = "intact" if self.ok else "NOT INTACT"
        yield f"{self.path}: {self.records} records, {verdict}{', still running' if self.ok and self.going_on else ''}"


def verify(path: str | Path) -> VerifyResult:
    """Read every byte of a log and check all of it: checksums, order, and what the manifest promises.

    Damage is in the result and not raised; raises OperatorError where there is no log to check.
    """
    log = LogReader(path)
    running = log.manifest is not None and log.manifest.status == "running"
    result = VerifyResult(log.path, going_on=running)
    order = _Order(causes_recorded=log.manifest is not None and not log.manifest.histories)
    for file in log.files:
        check = FileCheck(file)
        result.files.append(check)
        if not (running and file == log.files[-1]):
            _check_follows(result, file)
        try:
            for batch in _verified(file, check):
                order.take(batch, result)
        except PinnacleError as error:
            check.error = error
            order.forget()
    if log.manifest is not None and log.path.is_dir():
        _check_manifest(log.manifest, log.folder, result)
    return result


def _verified(file: Path, check: FileCheck) -> Iterator[np.ndarray]:
    """The file's records, every checksum compared; counts into `check` as it goes."""
    if file.suffix == SEGMENT_SUFFIX:
        for batch in read_segment(file, verify=True):
            check.frames += 1
            check.records += batch.size
            yield batch
        return
    with JournalReader(file) as reader:
        try:
            for batch in reader.read():
                yield batch
            reader.require_closed()
        finally:
            check.frames, check.records = reader.frames, reader.records


def _check_follows(result: VerifyResult, file: Path) -> None:
    """Note a file that does not begin where those before it end."""
    if len(result.files) < 2 or any(earlier.error for earlier in result.files):
        return
    try:
        first = first_record(file)
    except PinnacleError:
        return  # Reading the file says the same, and more.
    ended = (first_record(result.files[0].path) or 0) + result.records
    if first is not None and first != ended:
        result.problems.append(f"{file.name} begins at record {first}, but the files before it end at {ended}")


class _Order:
    """The order of a log, checked batch by batch: each rule's first violation becomes a problem.

    causes_recorded: every input is in the log (no history beside it), so an output stands right behind its cause.
    """

    def __init__(self, causes_recorded: bool) -> None:
        self.causes_recorded = causes_recorded
        self.index = 0
        self.broken: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """After damage: what comes next follows nothing that is known."""
        self.seq = self.input_seq = self.input_ts_ns = _INT64_MIN
        self.knows_input = False

    def take(self, batch: np.ndarray, result: VerifyResult) -> None:
        """Check EVENT[n], n > 0, against what came before, and count it."""
        seq, kind = batch["seq"], batch["kind"]
        is_input = kind < OUTPUT_KIND_MIN
        before = np.concatenate(([self.seq], seq[:-1]))
        self._rule("seq goes back", seq < before, batch, result)
        repeated = is_input & (seq == before) & (kind != event.BLOB)
        if self.seq == _INT64_MIN:  # nothing came before
            repeated[0] = False
        self._rule("an input does not come after what it caused, or comes twice", repeated, batch, result)
        times, at = batch["ts_ns"][is_input], np.flatnonzero(is_input)
        back = np.zeros(batch.size, bool)
        back[at] = times < np.concatenate(([self.input_ts_ns], times[:-1]))[: times.size]
        self._rule("ts_ns of an input goes back", back, batch, result)
        if self.causes_recorded:
            last = np.maximum.accumulate(np.where(is_input, np.arange(batch.size), -1))
            cause = np.where(last >= 0, seq[last], self.input_seq)
            known = (last >= 0) | self.knows_input
            self._rule("an output does not follow its input", ~is_input & known & (cause != seq), batch, result)
        self.seq = int(seq[-1])
        if at.size:
            self.input_seq, self.input_ts_ns, self.knows_input = int(seq[at[-1]]), int(times[-1]), True
        self.index += batch.size
        _count(batch, result.counts)

    def _rule(self, rule: str, violated: np.ndarray, batch: np.ndarray, result: VerifyResult) -> None:
        if rule not in self.broken and violated.any():
            self.broken.add(rule)
            at = int(np.argmax(violated))
            result.problems.append(f"{rule}: record {self.index + at}, {record_text(batch[at])}")


def _count(batch: np.ndarray, counts: dict[str, int]) -> None:
    """Add a batch to counts by "records", "inputs", "outputs" and the names of kinds."""
    kinds = np.bincount(batch["kind"], minlength=256)
    outputs = int(kinds[OUTPUT_KIND_MIN:].sum())
    found = {"records": batch.size, "inputs": batch.size - outputs, "outputs": outputs}
    found |= {KIND_NAMES.get(int(kind), f"kind_{kind}"): int(kinds[kind]) for kind in np.flatnonzero(kinds)}
    for name, count in found.items():
        counts[name] = counts.get(name, 0) + count


def _check_manifest(manifest: Manifest, folder: Path, result: VerifyResult) -> None:
    """Compare what was read with what the manifest says was written."""
    checks = {check.path.name: check for check in result.files}
    for entry in manifest.segments:
        check = checks.pop(entry.name, None)
        if check is None:
            result.problems.append(f"{entry.name} is in the manifest and not in {folder}")
        elif check.records != entry.rows:
            result.problems.append(f"{entry.name} has {check.records} good records, the manifest says {entry.rows}")
        elif file_sha256(check.path) != entry.sha256:
            result.problems.append(f"{entry.name} is not the file that the manifest names (its sha256 differs)")
    if manifest.status != "running":
        if checks and manifest.segments:
            result.problems.append(f"{', '.join(checks)} is not in the manifest")
        names = {"records", "inputs", "outputs", *KIND_NAMES.values()}
        for name in sorted(names & manifest.counts.keys()):
            if manifest.counts[name] != result.counts.get(name, 0):
                found = result.counts.get(name, 0)
                result.problems.append(f"{found} {name} were read, the manifest says {manifest.counts[name]}")


# --- inspect ------------------------------------------------------------------------------------------------------
def inspect(
    path: str | Path,
    kinds: Collection[int] = (),
    seq_first: int | None = None,
    seq_last: int | None = None,
    order_id: int | None = None,
    limit: int | None = None,
) -> Iterator[str]:
    """The records of a log as lines for a person, each with its index: those that pass every filter given.

    kinds: empty for all.  seq_first, seq_last: both included.  limit: lines at most.  Prices and quantities are decimal
    text where the manifest has the instruments, else counts of ticks and lots.  Raises as LogReader.records does.
    """
    log = LogReader(path)
    instruments = instruments_of(log.manifest.instruments) if log.manifest else []
    wanted = np.zeros(256, bool)
    wanted[list(kinds) or slice(None)] = True
    index = lines = 0
    for batch in log.records():
        keep = wanted[batch["kind"]]
        if seq_first is not None:
            keep &= batch["seq"] >= seq_first
        if seq_last is not None:
            keep &= batch["seq"] <= seq_last
        if order_id is not None:
            keep &= batch["order_id"] == order_id
        for at in np.flatnonzero(keep):
            if limit is not None and lines >= limit:
                return
            yield f"{index + at:>9}  {record_text(batch[at], instruments)}"
            lines += 1
        index += batch.size


def record_text(record: np.void, instruments: list[Instrument] | None = None) -> str:
    """One record on one line: seq, time, kind, and those fields that say something."""
    kind, which = int(record["kind"]), int(record["instrument"])
    instrument = instruments[which] if instruments and which < len(instruments) else None
    parts = [f"seq={record['seq']}", time_text(int(record["ts_ns"])), KIND_NAMES.get(kind, f"kind_{kind}")]
    if kind == event.BLOB:
        words = [int(record[name]).to_bytes(8, "little", signed=True) for name in _BLOB_FIELDS]
        return " ".join([*parts, repr(b"".join(words).rstrip(b"\0"))])
    if instrument is not None:
        parts.append(instrument.name)
    elif which or record["venue"]:
        parts.append(f"venue={record['venue']} instrument={which}")
    if record["side"]:
        side = int(record["side"])
        parts.append({1: "buy", -1: "sell"}.get(side, f"side={side}"))
    parts += _amounts(record, kind, instrument)
    if record["order_id"]:
        parts.append(f"order={record['order_id']}")
    parts += _flags(record, kind)
    if record["ts_venue_ns"]:
        parts.append(f"venue_time={time_text(int(record['ts_venue_ns']))}")
    return " ".join(parts)


_BLOB_FIELDS = ("order_id", "price_ticks", "qty_lots", "aux")


def _amounts(record: np.void, kind: int, instrument: Instrument | None) -> list[str]:
    """Price, quantity and aux in the words of the kind."""
    price, qty, aux = int(record["price_ticks"]), int(record["qty_lots"]), int(record["aux"])
    if kind == event.PARAMETER_SET:
        return [f"parameter={aux}", f"value_millionths={price}"]
    parts = []
    if price:
        parts.append(f"price={instrument.price_text(price)}" if instrument else f"price_ticks={price}")
    if qty or kind == event.BOOK_LEVEL:
        parts.append(f"qty={instrument.qty_text(qty)}" if instrument else f"qty_lots={qty}")
    if kind == event.ORDER_FILLED:
        parts.append(f"fee={instrument.money(aux):f}" if instrument else f"fee_units={aux}")
    elif kind == event.CHECKPOINT:
        parts.append(f"fingerprint={aux & 0xFFFF_FFFF_FFFF_FFFF:016x}")
    elif kind == event.ALERT:
        parts.append(event.ALERT_NAMES.get(aux, f"alert_{aux}"))
    elif aux:
        parts.append(f"aux={aux}")
    return parts


def _flags(record: np.void, kind: int) -> list[str]:
    """Names of the flags set, and of the reason."""
    flags = int(record["flags"])
    names = [name for bit, name in enumerate(_FLAG_NAMES) if flags >> bit & 1]
    reason = event.reason_of(flags)
    if reason:
        names.append(_REASON_NAMES.get(kind, {}).get(reason, f"reason_{reason}"))
    rest = flags & ~(15 << event.REASON_SHIFT) & ~((1 << len(_FLAG_NAMES)) - 1)
    if rest:
        names.append(f"flags={rest:#x}")
    return ["|".join(names)] if names else []


def time_text(ts_ns: int) -> str:
    """Nanoseconds since 1970 as ISO 8601 in UTC with nine decimals, exact."""
    seconds, nanoseconds = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


# --- diff ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Divergence:
    """The first record in which two logs differ.

    index: of the record in both.  seq: of the input at which they part.  a_text, b_text: the record in each, "" where
    that log has ended.  fields: those that differ.  a_records, b_records: lengths of the logs.
    """

    index: int
    seq: int
    a_text: str
    b_text: str
    fields: tuple[str, ...]
    a_records: int
    b_records: int

    def lines(self) -> Iterator[str]:
        """The divergence for a person to read."""
        what = ", ".join(self.fields) or "one log ends here"
        yield f"first difference at record {self.index}, seq {self.seq}: {what}"
        yield f"  a: {self.a_text or '(ended)'}"
        yield f"  b: {self.b_text or '(ended)'}"
        yield f"  a has {self.a_records} records, b has {self.b_records}"


def diff(a: str | Path, b: str | Path) -> Divergence | None:
    """The first difference between two logs, None if every record is equal, byte for byte.

    Raises as LogReader.records does: a damaged log has no difference, it has damage.
    """
    left, right = LogReader(a), LogReader(b)
    index = 0
    for ours, theirs in _aligned(left.records(), right.records()):
        common = min(ours.size, theirs.size)
        unequal = (_words(ours[:common]) != _words(theirs[:common])).any(axis=1)
        if unequal.any() or ours.size != theirs.size:
            at = int(np.argmax(unequal)) if unequal.any() else common
            return _divergence(left, right, index + at, ours[at : at + 1], theirs[at : at + 1])
        index += common
    return None


def _words(records: np.ndarray) -> np.ndarray:
    """u8[n, 8]: the records' bytes, for comparing them without knowing their fields."""
    return np.ascontiguousarray(records).view("<u8").reshape(-1, EVENT.itemsize // 8)


def _divergence(left: LogReader, right: LogReader, index: int, ours: np.ndarray, theirs: np.ndarray) -> Divergence:
    texts = []
    for log, record in ((left, ours), (right, theirs)):
        instruments = instruments_of(log.manifest.instruments) if log.manifest else []
        texts.append(record_text(record[0], instruments) if record.size else "")
    both = ours.size and theirs.size
    fields = tuple(name for name in _FIELDS if ours[0][name] != theirs[0][name]) if both else ()
    seq = min(int(record[0]["seq"]) for record in (ours, theirs) if record.size)
    return Divergence(index, seq, texts[0], texts[1], fields, left.rows, right.rows)


def _aligned(a: Iterator[np.ndarray], b: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of equally long arrays of two streams cut differently; lengths differ only where one stream has ended."""
    empty: np.ndarray = np.empty(0, EVENT)
    ours, theirs = empty, empty
    while True:
        ours = ours if ours.size else next(a, empty)
        theirs = theirs if theirs.size else next(b, empty)
        common = min(ours.size, theirs.size)
        if common == 0:
            if ours.size or theirs.size:
                yield ours, theirs
            return
        yield ours[:common], theirs[:common]
        ours, theirs = ours[common:], theirs[common:]

"""A tape's lines as items in order of time: what was opened, sent, received and answered, as bytes and nothing more.

Three recorders' formats are known; each is seen in the file itself.

    url <-> t | url <- t: {..} | t: {..} | url -> t: {..}   one item a line, t in seconds (files named .raw)
    {"captured_at": ..} then {"rx_ns": 1, "frame": {..}}     with "dir": "tx" for what was sent (files named .ndjson)
    t {..}                                                    t in ns, a snapshot among the stream's frames (Binance)
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.history.blocks import LineBlocks

# At equal times what was asked is known before what came of it.
OPENED, SENT, ANSWERED, RECEIVED = range(4)

RAW, NDJSON, STREAM, DOCUMENT = "raw tape", "ndjson tape", "stream tape", "document"
_Number = Callable[[str], int]  # address -> number of the connection
_RAW_LINE = re.compile(rb"(?:(\S+) (<->|<-|->) )?(\d{9,11}(?:\.\d{1,9})?)(?:: (.*))?$", re.DOTALL)
_FIRST = {
    RAW: re.compile(rb"\s*(configuration: |\S+://\S+ (<->|<-|->) \d|\d{9,11}\.\d+: [\[{])"),
    STREAM: re.compile(rb"\s*\d{13,19} \{"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a recorder wrote down.

    connection: number of the connection among the tape's, which is a file and an address; -1 for an answer.
    url: of what was opened or answered, empty where the recorder does not say it.
    """

    ts_ns: int
    what: int
    connection: int
    url: str
    body: bytes


class _Envelope(msgspec.Struct, gc=False):
    frame: msgspec.Raw
    rx_ns: int = 0
    tx_ns: int = 0
    dir: str = ""


_envelope = msgspec.json.Decoder(_Envelope)


def format_of(path: Path) -> str:
    """Which of the formats a file has, "" for none of them.  Raises HistoryError for a file that cannot be read."""
    first = LineBlocks(path).first().lstrip()
    line = first.partition(b"\n")[0]
    for known, begins in _FIRST.items():
        if begins.match(line):
            return known
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and {"captured_at", "url"} <= set(value):
        return NDJSON
    return DOCUMENT if path.suffix == ".json" and first[:1] in (b"{", b"[") else ""


def is_tape(path: Path, streams: bool) -> bool:
    """Whether a file is a tape of a venue's feed.  streams: count lines of `<ns> <json>` as one too.

    False for what cannot be read: whoever reads it says why.
    """
    try:
        return path.is_file() and format_of(path) in ({RAW, NDJSON, STREAM} if streams else {RAW, NDJSON})
    except (HistoryError, OSError):
        return False


def answers_beside(paths: Sequence[Path]) -> list[Path]:
    """Files of the same folders that hold nothing but answers, where only some files of a recording were named."""
    given = {path.resolve() for path in paths}
    found = []
    for folder in dict.fromkeys(path.parent for path in paths if path.suffix == ".raw"):
        for path in sorted(folder.glob("*.raw")):
            if path.resolve() not in given and all(item.what == ANSWERED for item in _first_items(path)):
                found.append(path)
    return found


def _first_items(path: Path) -> Iterator[Item]:
    """The first item, none for a file that is no tape."""
    try:
        if format_of(path) != RAW:
            return
        for item in items_of([path]):
            yield item
            return
    except HistoryError:
        return


def items_of(paths: Sequence[Path]) -> Iterator[Item]:
    """Items of all the files, by time; the earlier named file first where times are equal."""
    numbers: dict[tuple[int, str], int] = {}
    streams = [_items(path, index, numbers) for index, path in enumerate(paths)]
    return heapq.merge(*streams, key=attrgetter("ts_ns"))


def _items(path: Path, index: int, numbers: dict[tuple[int, str], int]) -> Iterator[Item]:
    def number(url: str) -> int:
        return numbers.setdefault((index, url), len(numbers))

    kind = format_of(path)
    if kind == RAW:
        yield from _raw(path, number)
    elif kind == NDJSON:
        yield from _ndjson(path, number)
    elif kind == STREAM:
        yield from _stream(path, number)
    elif kind == DOCUMENT:
        yield Item(0, ANSWERED, -1, path.name, path.read_bytes())
    else:
        raise HistoryError(f"{path}: no tape of a known recorder; known are .raw, .ndjson and lines of `<ns> <json>`")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, text) of every line that is not blank, without its end."""
    count = 0
    for block in LineBlocks(path):
        for line in block.splitlines():
            count += 1
            if line.strip():
                yield count, line


def _raw(path: Path, number: _Number) -> Iterator[Item]:
    connection = -1
    for at, line in _lines(path):
        if line.startswith(b"configuration: "):
            continue
        match = _RAW_LINE.match(line)
        if match is None:
            raise HistoryError(f"{path}: line {at:,} is not what this recorder writes: {line[:60]!r}")
        address, sign, time, body = match.groups()
        ts_ns, url = _ns(time), (address or b"").decode("utf-8", "replace")
        if sign == b"->":
            yield Item(ts_ns, ANSWERED, -1, url, body or b"")
        elif sign == b"<->":
            connection = number(url)
            yield Item(ts_ns, OPENED, connection, url, b"")
        elif sign == b"<-":
            connection = number(url)
            yield Item(ts_ns, SENT, connection, url, body or b"")
        elif body is not None:
            if connection < 0:
                raise HistoryError(f"{path}: line {at:,} was received on a connection that was never opened")
            yield Item(ts_ns, RECEIVED, connection, "", body)
        else:
            raise HistoryError(f"{path}: line {at:,} is not what this recorder writes: {line[:60]!r}")


def _ndjson(path: Path, number: _Number) -> Iterator[Item]:
    """The recorder's clock counts from an unknown moment; the first item is put at the moment of the header."""
    connection, start_ns, offset_ns = -1, 0, None
    for at, line in _lines(path):
        if connection < 0:
            try:
                header = json.loads(line)
                start_ns = _utc_ns(header["captured_at"])
                connection = number(header["url"])
            except (ValueError, KeyError, TypeError):
                raise HistoryError(f"{path}: line {at:,} is no header of a recording: {line[:60]!r}") from None
            yield Item(start_ns, OPENED, connection, header["url"], b"")
            continue
        try:
            envelope = _envelope.decode(line)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise HistoryError(f"{path}: line {at:,} is not what this recorder writes: {line[:60]!r}") from None
        clock = envelope.rx_ns or envelope.tx_ns
        if offset_ns is None:
            offset_ns = start_ns - clock
        what = SENT if envelope.dir == "tx" else RECEIVED
        yield Item(clock + offset_ns, what, connection, "", bytes(envelope.frame))


def _stream(path: Path, number: _Number) -> Iterator[Item]:
    connection = -1
    for at, line in _lines(path):
        time, _, body = line.strip().partition(b" ")
        if not time.isdigit() or len(time) > 19 or not body.startswith(b"{"):
            raise HistoryError(f"{path}: line {at:,} is not what this recorder writes: {line[:60]!r}")
        ts_ns = int(time) * 10 ** (19 - max(13, len(time)))
        if connection < 0:
            connection = number("")
            yield Item(ts_ns, OPENED, connection, "", b"")
        snapshot = body.startswith(b'{"lastUpdateId"')
        yield Item(ts_ns, ANSWERED if snapshot else RECEIVED, -1 if snapshot else connection, "", body)


def _ns(seconds: bytes) -> int:
    """Seconds as decimal text, exactly in ns."""
    whole, _, fraction = seconds.partition(b".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, b"0"))


def _utc_ns(text: str) -> int:
    """ISO 8601 with an offset, in ns.  Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000

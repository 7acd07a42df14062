"""A recorded tape as something to be served: what was received, when, on which URL, and who would hear it.

Three formats: `.raw` lines of cryptofeed, `.gz` lines of `<ns> <json>` (Binance), and `.ndjson` with `rx_ns` and
`frame`.  Messages stay the bytes that were recorded; of each only the names are read that say which subscription it
belongs to.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from pinnacle.errors import HistoryError
from pinnacle.limits import MESSAGE_BYTES_MAX, TAPE_BYTES_MAX

NS = 1_000_000_000
_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"
_OPENED = re.compile(rf"(?P<url>\S+) <-> (?P<t>{_NUMBER})")
_SENT = re.compile(rf"(?P<url>\S+) <- (?P<t>{_NUMBER}): (?P<body>.*)")
_ANSWERED = re.compile(rf"(?P<url>\S+) -> (?P<t>{_NUMBER}): (?P<body>.*)")
_RECEIVED = re.compile(rf"(?P<t>{_NUMBER}): (?P<body>.*)")
# What a message's type is called in a subscription, where that is another word.
_CHANNELS = {
    "l2update": "level2", "snapshot": "level2", "match": "matches", "last_match": "matches", "l2_updates": "l2",
    "received": "full", "open": "full", "done": "full", "change": "full",
}  # fmt: skip
_SPEED = re.compile(r"@[0-9]+ms$")


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of a websocket.  at_ns: of the recorder.  symbol, channel: which subscription it belongs to, in lower
    case; "" where it says none, and then it is for everyone.  stream: the name of a combined stream's frame."""

    at_ns: int
    path: str
    body: bytes
    symbol: str = ""
    channel: str = ""
    stream: str = ""


@dataclass(slots=True)
class Tape:
    """Everything recorded.  answers: (path, query) -> bodies, in sequence.  heard: in sequence of time."""

    name: str
    heard: list[Heard] = field(default_factory=list)
    answers: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    def answer(self, path: str, query: str) -> bytes | None:
        """The body that was recorded for a request: the same path and query, else the same path where every parameter
        that both have is equal, but for a limit; None if there is none."""
        exact = self.answers.get((path, query))
        if exact is not None:
            return exact[0]
        asked = dict(parse_qsl(query))
        for (there, recorded), bodies in self.answers.items():
            known = dict(parse_qsl(recorded))
            both = (asked.keys() & known.keys()) - {"limit"}
            needed = known.keys() - asked.keys() - {"limit"}
            if _same_path(there, path) and not needed and all(asked[key] == known[key] for key in both):
                return bodies[0]
        return None


def _same_path(one: str, other: str) -> bool:
    """Whether two paths are one, whatever the version of Binance's interface and the slash at the end."""
    plain = [path.rstrip("/").replace("/api/v1/", "/api/v3/") for path in (one, other)]
    return plain[0] == plain[1]


def read_tape(paths: list[Path]) -> Tape:
    """A tape from files and folders, together in sequence of time.  Raises HistoryError naming the file and line."""
    files = [one for path in paths for one in (sorted(path.iterdir()) if path.is_dir() else [path])]
    files = [one for one in files if one.name.endswith((".raw", ".gz", ".ndjson"))]
    if not files:
        raise HistoryError(f"--tape {paths[0]}: no recording; there are .raw, .gz and .ndjson files")
    tape = Tape(", ".join(path.name for path in paths))
    for path in files:
        reader = _raw if path.suffix == ".raw" else _gzip if path.suffix == ".gz" else _ndjson
        reader(path, tape)
    tape.heard.sort(key=lambda one: one.at_ns)
    if not tape.heard and not tape.answers:
        raise HistoryError(f"--tape {tape.name}: holds no messages")
    return tape


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, bounded in size each and together."""
    size = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as source:
            for number, line in enumerate(source, 1):
                size += len(line)
                if len(line) > MESSAGE_BYTES_MAX or size > TAPE_BYTES_MAX:
                    raise HistoryError(f"{path}:{number}: more than a tape may hold ({TAPE_BYTES_MAX >> 20} MiB)")
                if line.strip():
                    yield number, line.strip()
    except FileNotFoundError:
        raise HistoryError(f"{path}: no such tape") from None
    except (OSError, EOFError) as error:
        raise HistoryError(f"{path}: cannot be read: {error}") from None


def _json(body: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HistoryError(f"{where}: no JSON: {error}") from None


def _time(text: str) -> int:
    """Seconds since 1970 as ns, exact."""
    whole, _, part = text.partition(".")
    if "e" in text:
        return int(float(text) * NS)
    return int(whole) * NS + int(part[:9].ljust(9, "0"))


def _raw(path: Path, tape: Tape) -> None:
    at = "/"
    for number, line in _lines(path):
        text = line.decode("utf-8", "replace")
        where = f"{path}:{number}"
        if text.startswith("configuration: "):
            continue
        if (found := _OPENED.fullmatch(text)) is not None:
            at = urlsplit(found["url"]).path or "/"
        elif (found := _ANSWERED.fullmatch(text)) is not None:
            url = urlsplit(found["url"])
            tape.answers.setdefault((url.path or "/", url.query), []).append(found["body"].encode())
        elif _SENT.fullmatch(text) is not None:
            continue
        elif (found := _RECEIVED.fullmatch(text)) is not None:
            tape.heard.append(named(_time(found["t"]), at, found["body"].encode(), where))
        else:
            raise HistoryError(f"{where}: no line of a recording")


def _gzip(path: Path, tape: Tape) -> None:
    snapshots: list[bytes] = []
    symbol, futures = "", False
    for number, line in _lines(path):
        stamp, _, body = line.partition(b" ")
        where = f"{path}:{number}"
        if not stamp.isdigit():
            raise HistoryError(f"{where}: no `<ns> <json>`")
        if body.startswith(b'{"stream"'):
            one = named(int(stamp), "/stream", body, where)
            symbol = symbol or one.symbol
            futures = futures or b'"pu":' in body
            tape.heard.append(one)
        else:
            _json(body, where)
            snapshots.append(body)
    if snapshots:
        place = "/fapi/v1/depth" if futures else "/api/v3/depth"
        tape.answers.setdefault((place, f"symbol={symbol.upper()}"), []).extend(snapshots)


def _ndjson(path: Path, tape: Tape) -> None:
    at = "/"
    for number, line in _lines(path):
        where = f"{path}:{number}"
        try:
            row = msgspec.json.decode(line, type=_Row)
        except (msgspec.DecodeError, RecursionError) as error:
            raise HistoryError(f"{where}: {error}") from None
        if not bytes(row.frame):
            at = urlsplit(row.url).path or "/"
        elif row.dir != "tx":
            tape.heard.append(named(row.rx_ns, at, bytes(row.frame), where))


class _Row(msgspec.Struct):
    rx_ns: int = 0
    frame: msgspec.Raw = msgspec.Raw()
    dir: str = "rx"
    url: str = ""


def named(at_ns: int, path: str, body: bytes, where: str) -> Heard:
    """A message with the names it says."""
    said = _json(body, where)
    symbol = channel = stream = ""
    if isinstance(said, list) and len(said) > 2 and isinstance(said[-1], str) and isinstance(said[-2], str):
        # Kraken's first protocol: [id, payload .., channel, pair].
        symbol, channel = said[-1], said[-2].split("-")[0]
    elif isinstance(said, dict):
        data = said.get("data")
        if "stream" in said:
            stream = _SPEED.sub("", str(said["stream"]))
            symbol, _, channel = stream.partition("@")
        elif isinstance(said.get("channel"), str):
            channel = said["channel"]
            rows = data if isinstance(data, list) else []
            if rows and isinstance(rows[0], dict):
                symbol = str(rows[0].get("symbol", ""))
        elif said.get("event") == "subscriptionStatus":
            symbol, channel = str(said.get("pair", "")), str(said.get("channelName", "")).split("-")[0]
        else:
            symbol = str(said.get("product_id") or said.get("symbol") or "")
            kind = str(said.get("type", ""))
            channel = _CHANNELS.get(kind, kind) if symbol else ""
    return Heard(at_ns, path, body, symbol.lower(), channel.lower(), stream.lower())


class Wanted:
    """What a client has subscribed to: every text in what it said, in lower case, and streams in its URL."""

    def __init__(self, streams: str = "") -> None:
        self.names: set[str] = set()
        for name in streams.split("/"):
            if name:
                self.names.add(_SPEED.sub("", name.lower()))

    def add(self, said: Any) -> None:
        """Take in a subscription."""
        if isinstance(said, dict):
            for value in said.values():
                self.add(value)
        elif isinstance(said, list):
            for value in said:
                self.add(value)
        elif isinstance(said, str) and len(self.names) < 10_000:
            self.names.add(_SPEED.sub("", said.lower()))

    def has(self, heard: Heard) -> bool:
        """Whether a message belongs to it."""
        if heard.stream:
            return heard.stream in self.names
        if heard.channel and not heard.symbol:
            # A channel of its own name (Bitstamp), or news for all (status, heartbeat).
            return heard.channel in self.names or "_" not in heard.channel
        if not heard.symbol:
            return True
        return heard.symbol in self.names and (not heard.channel or heard.channel in self.names)

"""A recorded Binance stream (`<local_ns> <json>` lines) as rows in order of arrival.

Everything is read once before the first row is given: for the smallest latency of the whole file, for its symbols and
for any damage, so that times are right from the first row on and a refusal does not come in the middle of a backtest.
The rows of that pass are kept while they fit into memory; a longer recording is read a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.blocks import DamagedFile, LineBlocks
from pinnacle.history.bridge import Bridge
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import EXAMPLES_MAX, ImportReport
from pinnacle.history.steps import decimal_step
from pinnacle.instrument import Instrument
from pinnacle.kernels import scan, stream
from pinnacle.limits import INT64_MAX

_ERRORS = {
    stream.ERROR_TIME: "does not begin with the recorder's time",
    stream.ERROR_JSON: "is not JSON as the stream sends it",
    stream.ERROR_DECIMAL: "has a price or quantity that is not plain decimal text",
    stream.ERROR_LARGE: "has a price or quantity with more digits than can be kept",
    stream.ERROR_FIELD: "lacks a field that its kind of message must have",
    stream.ERROR_ROOM: "has more levels than its length allows",
}
# Bytes of rows that are kept between the passes: four million rows, a quiet day of a busy symbol.
KEEP_BYTES_MAX = 256 << 20
_KINDS = {stream.DEPTH: "depth", stream.BOOK_SNAPSHOT: "snapshot", stream.TRADED: "trade", stream.TOP: "bookTicker"}


Scanned = tuple[np.ndarray, np.ndarray]  # rows and the table of their messages


class Scanner:
    """One pass of the kernel over a file: owns the kernel's records and turns its error codes into sentences."""

    def __init__(
        self, path: Path, instrument: Instrument, options: ImportOptions, report: ImportReport, snapshots: bool
    ) -> None:
        self.path, self.instrument, self.options, self.report = path, instrument, options, report
        self.spec = np.zeros(1, stream.SPEC)
        self.fields = np.zeros(1, stream.FIELDS)
        self.survey = np.zeros(1, scan.SURVEY)
        self.survey["latency_ns_min"] = INT64_MAX
        self.problems = np.zeros(EXAMPLES_MAX, stream.PROBLEM)
        spec = self.spec[0]
        spec["price_digits"], spec["price_step"] = decimal_step(instrument.tick)
        spec["qty_digits"], spec["qty_step"] = decimal_step(instrument.lot)
        spec["tickers"], spec["snapshots"] = options.tickers, snapshots
        name = instrument.symbol.upper().encode()
        if not 0 < len(name) <= stream.SYMBOL_BYTES_MAX:
            raise HistoryError(f"{path}: a symbol has 1 to {stream.SYMBOL_BYTES_MAX} bytes, not {instrument.symbol!r}")
        spec["symbol"][: len(name)] = np.frombuffer(name, np.uint8)
        spec["symbol_size"] = len(name)

    def block(self, block: bytes, surveying: bool) -> Scanned:
        """Rows and messages of one block of whole lines; empty when surveying."""
        data = np.frombuffer(block, np.uint8)
        # The shortest level, ["1","0"] and a comma, has ten bytes, and a row comes of nothing shorter.
        rows = np.empty(0 if surveying else data.size // 9 + 8, event.EVENT)
        messages = np.empty(0 if surveying else data.size // 32 + 8, scan.MESSAGE)
        spec, fields, survey = self.spec[0], self.fields[0], self.survey[0]
        count, table = scan.scan(data, data.size, int(surveying), spec, fields, survey, rows, messages, self.problems)
        self._raise_if_stopped(block)
        for problem in self.problems[: spec["problems"]]:
            text = block[problem["start"] : problem["stop"]].decode("ascii", "replace")
            price = problem["code"] == stream.OFF_TICK
            noun, step = ("price", self.instrument.tick) if price else ("quantity", self.instrument.lot)
            self.report.example(f"line {int(problem['line']):,}: {noun} {text} is not a multiple of {step}")
        # Gives the rest of the memory back in place, where a slice would keep all of it.
        rows.resize(count, refcheck=False)
        messages.resize(table, refcheck=False)
        return rows, messages

    def refuse_off_tick(self) -> None:
        """Raises HistoryError if a price was off the tick and such rows are not to be dropped."""
        spec = self.spec[0]
        if spec["off_tick"] and self.options.off_tick == "refuse":
            raise HistoryError(
                f"{self.path}: {self.instrument.symbol}: {int(spec['off_tick']):,} of "
                f"{int(spec['prices'] + spec['off_tick']):,} prices are not multiples of the tick "
                f"{self.instrument.tick} ({self.report.examples[0]}); set the instrument's tick to the venue's, "
                "or leave such rows out with off_tick drop if the venue once had a finer one"
            )

    def _raise_if_stopped(self, block: bytes) -> None:
        """Raises HistoryError naming the line that stopped the kernel, with what stands there."""
        spec = self.spec[0]
        if spec["error"] == 0:
            return
        at = int(spec["error_at"])
        start = block.rfind(b"\n", 0, at) + 1
        size = block.find(b"\n", start) - start
        near = block[max(start, at - 20) : at + 30].split(b"\n")[0].decode("ascii", "replace")
        raise HistoryError(
            f"{self.path}: line {int(spec['line']):,} {_ERRORS[int(spec['error'])]} (near {near!r}, column "
            f"{at - start + 1} of {size}); the {int(spec['line']) - 1:,} lines before it are intact"
        )


class FirstPass:
    """What one pass over the whole file found, and its rows where they fit.

    latency_ns_min: None where no depth or trade message of the symbol was seen.  kept: None when the rows must be
    scanned again, because there were too many, or because they hold snapshots of nobody knows which symbol.
    """

    def __init__(self, scanner: Scanner, blocks: LineBlocks, progress: Progress | None) -> None:
        self.kept: list[Scanned] | None = []
        kept_bytes = 0
        self.damage = ""
        try:
            for block in blocks:
                scanned = scanner.block(block, self.kept is None)
                kept_bytes += scanned[0].nbytes
                if kept_bytes > KEEP_BYTES_MAX:
                    self.kept = None
                if self.kept is not None:
                    self.kept.append(scanned)
                if progress is not None:
                    progress(blocks.bytes_done, 2 * blocks.bytes_total, 0)
        except DamagedFile as damage:
            self.damage = f"{damage.what}; {int(scanner.spec[0]['line']):,} lines before it are intact"
            if not scanner.options.partial:
                raise HistoryError(f"{blocks.path}: {self.damage}; import them alone with --partial") from None
        found = scanner.survey[0]
        self.messages = sum(int(found[name]) for name in ("depth", "trades", "tickers"))
        self.snapshots, self.futures = int(found["snapshots"]), bool(found["futures"])
        latency = int(found["latency_ns_min"])
        self.latency_ns_min = None if latency == INT64_MAX else latency
        self.symbols = sorted(
            bytes(found["names"][slot][: found["sizes"][slot]]).decode("ascii", "replace")
            for slot in range(int(found["symbols"]))
        )
        self.other_snapshots = 0
        if len(self.symbols) > 1 and self.snapshots:
            self.other_snapshots, self.snapshots, self.kept = self.snapshots, 0, None

    def refuse_other_symbols(self, path: Path, symbol: str) -> None:
        """Raises HistoryError naming the symbols found, if the one asked for is not among them."""
        if self.messages:
            return
        if self.symbols:
            raise HistoryError(f"{path}: holds no message of {symbol}; the symbols in it are {', '.join(self.symbols)}")
        raise HistoryError(f"{path}: holds no depth, trade or bookTicker message; is it a Binance stream?")


def read_binance(
    path: Path, instrument: Instrument, options: ImportOptions, report: ImportReport, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Rows of one recording, seq not set yet.  Raises HistoryError for a file that is damaged or of other symbols."""
    blocks = LineBlocks(path)
    scanner = Scanner(path, instrument, options, report, snapshots=True)
    first = FirstPass(scanner, blocks, progress)
    first.refuse_other_symbols(path, instrument.symbol)
    if first.kept is None:
        report.examples.clear()
        scanner = Scanner(path, instrument, options, report, snapshots=first.other_snapshots == 0)
    else:
        scanner.refuse_off_tick()
    report.skipped["snapshots without a symbol in a file of several symbols"] += first.other_snapshots
    if first.damage:
        report.note(f"{first.damage} and were used")
    report.latency_ns_min = first.latency_ns_min
    report.offset_ns = clock_offset_ns(first.latency_ns_min, options)
    bridge = None
    if options.bridge == "snapshot":
        bridge = Bridge(path.name, first.futures, first.snapshots, report)
    ids = _Chains(report, first.futures)
    for rows, messages in _second_pass(first, scanner, blocks):
        ids.follow(messages)
        if bridge is not None:
            rows = bridge.joined(rows, messages)
        if rows.size:
            rows["ts_ns"] += report.offset_ns
            yield rows
        if progress is not None and first.kept is None:
            progress(blocks.bytes_total + blocks.bytes_done, 2 * blocks.bytes_total, report.rows)
    if progress is not None:
        progress(2 * blocks.bytes_total, 2 * blocks.bytes_total, report.rows)
    _report_counts(scanner, report)


def _second_pass(first: FirstPass, scanner: Scanner, blocks: LineBlocks) -> Iterator[Scanned]:
    """Rows and messages block by block: those kept, each let go once it is given, or scanned again."""
    if first.kept is not None:
        first.kept.reverse()
        while first.kept:
            yield first.kept.pop()
        return
    try:
        for block in blocks:
            rows, messages = scanner.block(block, False)
            scanner.refuse_off_tick()
            if first.other_snapshots:
                messages = messages[messages["kind"] != stream.BOOK_SNAPSHOT]
            yield rows, messages
    except DamagedFile:
        return  # said after the first pass, which let it pass only on request


def clock_offset_ns(latency_ns_min: int | None, options: ImportOptions) -> int:
    """What to add to every local time: as told, or just enough that no event is heard before it happened."""
    if options.offset_ns is not None:
        return options.offset_ns
    if latency_ns_min is None:
        return 0
    return max(0, options.latency_floor_ns - latency_ns_min)


class _Chains:
    """Counts the links of depth ids and of trade ids as they were received, whatever the bridge makes of them."""

    def __init__(self, report: ImportReport, futures: bool) -> None:
        self.report, self.futures = report, futures
        self._last = {stream.DEPTH: -1, stream.TRADED: -1}

    def follow(self, messages: np.ndarray) -> None:
        """Compare each id with the one before it, over the border of blocks too."""
        kinds = messages["kind"]
        for kind, name in _KINDS.items():
            self.report.found[f"{name} messages"] += int((kinds == kind).sum())
        for kind, name in ((stream.DEPTH, "depth ids"), (stream.TRADED, "trade ids")):
            part = messages[kinds == kind]
            if not part.size:
                continue
            before = np.concatenate(([self._last[kind]], part["last_id"][:-1]))
            if kind == stream.TRADED:
                gap = part["last_id"] != before + 1
            else:
                gap = part["previous_id"] != before if self.futures else part["first_id"] != before + 1
            gap &= before >= 0
            self.report.links[name] += int((before >= 0).sum())
            self.report.gaps[name] += int(gap.sum())
            self._last[kind] = int(part["last_id"][-1])


def _report_counts(scanner: Scanner, report: ImportReport) -> None:
    spec = scanner.spec[0]
    report.repaired["quantities off the lot rounded down to it"] += int(spec["off_lot"])
    report.skipped["rows off the tick"] += int(spec["off_tick"])
    report.skipped["trades that are not of the market (X is not MARKET)"] += int(spec["not_market"])
    report.skipped["messages of other kinds"] += int(spec["other"])
    report.skipped["messages of other symbols"] += int(spec["other_symbol"])

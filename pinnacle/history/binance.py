"""A recorded Binance stream (`<local_ns> <json>` lines) as rows in order of arrival.

Two passes.  The first reads everything once for the smallest latency, the symbols and any damage, so that the second
can give rows with corrected times, and refuse before the first row instead of in the middle of a backtest.
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
from pinnacle.history.report import ImportReport
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
_KINDS = {stream.DEPTH: "depth", stream.BOOK_SNAPSHOT: "snapshot", stream.TRADED: "trade", stream.TOP: "bookTicker"}


class Scanner:
    """One pass of the kernel over a file: owns the kernel's records and turns its error codes into sentences."""

    def __init__(self, path: Path, symbol: str, instrument: Instrument | None, tickers: bool) -> None:
        self.path = path
        self.spec = np.zeros(1, stream.SPEC)
        self.fields = np.zeros(1, stream.FIELDS)
        self.survey = np.zeros(1, scan.SURVEY)
        self.problems = np.zeros(8, stream.PROBLEM)
        spec = self.spec[0]
        tick, lot = (instrument.tick, instrument.lot) if instrument else (1, 1)
        spec["price_digits"], spec["price_step"] = decimal_step(tick)
        spec["qty_digits"], spec["qty_step"] = decimal_step(lot)
        spec["tickers"] = tickers
        spec["snapshots"] = 1
        name = symbol.upper().encode()
        if len(name) > stream.SYMBOL_BYTES_MAX:
            raise HistoryError(f"{path}: symbol {symbol} is longer than {stream.SYMBOL_BYTES_MAX} bytes")
        spec["symbol"][: len(name)] = np.frombuffer(name, np.uint8)
        spec["symbol_size"] = len(name)

    def scan(self, data: np.ndarray, surveying: int, rows: np.ndarray, messages: np.ndarray) -> tuple[int, int]:
        """One block of whole lines: (rows, messages) written."""
        spec, fields, survey = self.spec[0], self.fields[0], self.survey[0]
        written = scan.scan(data, data.size, surveying, spec, fields, survey, rows, messages, self.problems)
        return int(written[0]), int(written[1])

    def raise_if_stopped(self, block: bytes) -> None:
        """Raises HistoryError naming the line that stopped the kernel, with its beginning."""
        spec = self.spec[0]
        if spec["error"] == 0:
            return
        at = int(spec["error_at"])
        start = block.rfind(b"\n", 0, at) + 1
        seen = block[start : block.find(b"\n", start)]
        near = block[max(start, at - 20) : at + 30].split(b"\n")[0].decode("ascii", "replace")
        raise HistoryError(
            f"{self.path}: line {int(spec['line']):,} {_ERRORS[int(spec['error'])]} (near {near!r}, column "
            f"{at - start + 1} of {len(seen)}); the {int(spec['line']) - 1:,} lines before it are intact"
        )


class Survey:
    """What the first pass found.  latency_ns_min is None where no depth or trade message of the symbol was seen."""

    def __init__(self, blocks: LineBlocks, symbol: str, partial: bool, progress: Progress | None) -> None:
        scanner = Scanner(blocks.path, symbol, None, False)
        found = scanner.survey[0]
        found["latency_ns_min"] = INT64_MAX
        nothing, none = event.empty(0), np.empty(0, scan.MESSAGE)
        self.damage = ""
        try:
            for block in blocks:
                data = np.frombuffer(block, np.uint8)
                scanner.scan(data, 1, nothing, none)
                scanner.raise_if_stopped(block)
                if progress is not None:
                    progress(blocks.bytes_done, 2 * blocks.bytes_total, 0)
        except DamagedFile as damage:
            self.damage = f"{damage.what}; {int(scanner.spec[0]['line']):,} lines before it are intact"
            if not partial:
                raise HistoryError(f"{blocks.path}: {self.damage}; import them alone with --partial") from None
        self.depth, self.snapshots, self.trades, self.tickers = (
            int(found[name]) for name in ("depth", "snapshots", "trades", "tickers")
        )
        self.futures = bool(found["futures"])
        self.other_snapshots = 0
        latency = int(found["latency_ns_min"])
        self.latency_ns_min = None if latency == INT64_MAX else latency
        self.symbols = {
            bytes(found["names"][slot][: found["sizes"][slot]]).decode("ascii", "replace"): int(found["counts"][slot])
            for slot in range(int(found["symbols"]))
        }
        if len(self.symbols) > 1:  # a snapshot does not say its symbol, so it cannot be given to one of several
            self.other_snapshots, self.snapshots = self.snapshots, 0


def read_binance(
    path: Path, instrument: Instrument, options: ImportOptions, report: ImportReport, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Rows of one recording, seq not set yet.  Raises HistoryError for a file that is damaged or of other symbols."""
    blocks = LineBlocks(path)
    survey = Survey(blocks, instrument.symbol, options.partial, progress)
    _refuse_other_symbols(path, instrument, survey)
    report.skipped["snapshots without a symbol in a file of several symbols"] += survey.other_snapshots
    if survey.damage:
        report.note(f"{survey.damage} and were used")
    report.latency_ns_min = survey.latency_ns_min
    report.offset_ns = clock_offset_ns(survey.latency_ns_min, options)
    bridge = None
    if options.bridge == "snapshot":
        bridge = Bridge(path.name, survey.futures, survey.snapshots, report)
    scanner = Scanner(path, instrument.symbol, instrument, options.tickers)
    scanner.spec[0]["snapshots"] = survey.snapshots > 0
    ids = _Chains(report, survey.futures)
    try:
        for block in blocks:
            rows, messages = _scanned(scanner, block, instrument, options, report)
            ids.follow(messages)
            if bridge is not None:
                rows = bridge.joined(rows, messages)
            if rows.size:
                rows["ts_ns"] += report.offset_ns
                yield rows
            if progress is not None:
                done = blocks.bytes_done if blocks.bytes_done < blocks.bytes_total else blocks.bytes_total
                progress(blocks.bytes_total + done, 2 * blocks.bytes_total, report.rows)
    except DamagedFile:
        pass  # said by the survey, which let it pass only on request
    _report_counts(scanner, report)


def clock_offset_ns(latency_ns_min: int | None, options: ImportOptions) -> int:
    """What to add to every local time: as told, or just enough that no event is heard before it happened."""
    if options.offset_ns is not None:
        return options.offset_ns
    if latency_ns_min is None:
        return 0
    return max(0, options.latency_floor_ns - latency_ns_min)


def _scanned(
    scanner: Scanner, block: bytes, instrument: Instrument, options: ImportOptions, report: ImportReport
) -> tuple[np.ndarray, np.ndarray]:
    """Records and message table of one block."""
    data = np.frombuffer(block, np.uint8)
    # The shortest level, ["1","0"] and a comma, has ten bytes, and a row comes of nothing shorter.
    rows = np.empty(data.size // 9 + 8, event.EVENT)
    messages = np.empty(data.size // 32 + 8, scan.MESSAGE)
    spec = scanner.spec[0]
    count, table = scanner.scan(data, 0, rows, messages)
    scanner.raise_if_stopped(block)
    for problem in scanner.problems[: spec["problems"]]:
        text = block[problem["start"] : problem["stop"]].decode("ascii", "replace")
        noun, step = ("price", instrument.tick) if problem["code"] == stream.OFF_TICK else ("quantity", instrument.lot)
        report.example(f"line {int(problem['line']):,}: {noun} {text} is not a multiple of {step}")
    if spec["off_tick"] and options.off_tick == "refuse":
        raise HistoryError(
            f"{scanner.path}: {instrument.symbol}: {int(spec['off_tick']):,} of the first "
            f"{int(spec['prices'] + spec['off_tick']):,} prices are not multiples of the tick {instrument.tick} "
            f"({report.examples[0]}); set the instrument's tick to the venue's, or leave such rows "
            "out with off_tick drop if the venue once had a finer one"
        )
    table_of_ours = messages[:table]
    if spec["snapshots"] == 0:
        table_of_ours = table_of_ours[table_of_ours["kind"] != stream.BOOK_SNAPSHOT]
    return rows[:count], table_of_ours


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


def _refuse_other_symbols(path: Path, instrument: Instrument, survey: Survey) -> None:
    if survey.depth + survey.trades + survey.tickers > 0:
        return
    if survey.symbols:
        found = ", ".join(sorted(survey.symbols))
        raise HistoryError(f"{path}: holds no message of {instrument.symbol}; the symbols in it are {found}")
    raise HistoryError(f"{path}: holds no depth, trade or bookTicker message; is it a Binance stream?")


def _report_counts(scanner: Scanner, report: ImportReport) -> None:
    spec = scanner.spec[0]
    report.repaired["quantities off the lot rounded down to it"] += int(spec["off_lot"])
    report.skipped["rows off the tick"] += int(spec["off_tick"])
    report.skipped["trades that are not of the market (X is not MARKET)"] += int(spec["not_market"])
    report.skipped["messages of other kinds"] += int(spec["other"])
    report.skipped["messages of other symbols"] += int(spec["other_symbol"])

"""A sweep: the same backtest over every day and traded instrument of a config, each an ordinary run, and one table.

One day proves nothing; the same program over many days and symbols, spread over workers, says whether a result holds.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import fmean, stdev
from textwrap import wrap
from typing import Any, TextIO
from urllib.parse import quote

import msgspec

from pinnacle.config import InstrumentConfig
from pinnacle.errors import HistoryError, OperatorError, PinnacleError
from pinnacle.history.catalog import find
from pinnacle.log.manifest import MANIFEST_NAME, file_sha256, read_manifest, replacing, saying
from pinnacle.log.segment import segment_info
from pinnacle.report.terminal import WIDTH
from pinnacle.report.wording import NOT_MEASURED, amount, count, plain
from pinnacle.report.write import HTML_NAME, SUMMARY_NAME, write_report
from pinnacle.resources import find_file, shipped
from pinnacle.run.backtest import Backtest, make_run_folder
from pinnacle.run.feeds import Feed
from pinnacle.run.prepare import prepare_backtest
from pinnacle.run.workers import open_workers

FORMAT_VERSION = 1
JSON_NAME, PARQUET_NAME, ERROR_NAME = "sweep.json", "sweep.parquet", "error.txt"
# The day of a run over a file, until the run says when the file begins.
_WHOLE = "file"
_FIGURES = (
    "net_quote", "fees_quote", "turnover_quote", "sharpe", "max_drawdown_quote", "markout_1s_bps", "markout_5s_bps",
    "markout_30s_bps",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One run: what prepare_backtest is given, every path absolute, and what of it is run.

    instrument: the traded one, venue:symbol.  day: YYYY-MM-DD, or "file" where an instrument's data is a file.
    """

    config: str
    strategy: str | None
    data: tuple[str, ...]
    settings: tuple[str, ...]
    record: str | None
    out: str
    instrument: str
    day: str
    html: bool

    def prepare(self) -> Backtest:
        """The backtest of this task, ready to run.  Raises OperatorError."""
        run = prepare_backtest(
            self.config, self.strategy, self.data, self.settings, Path(self.out) / self.folder, self.record
        )
        run.config.instruments = _needed(run.config.instruments, self.instrument)
        if self.day != _WHOLE:
            run.config.data.first = run.config.data.last = self.day
        return run

    @property
    def folder(self) -> str:
        """Of the run, within that of the sweep; signs that a path may not hold are percent-encoded."""
        return f"{quote(self.instrument.replace(':', '_', 1), safe='')}/{self.day}"


@dataclass(frozen=True)
class Look:
    """Asks whether the folder of a task may be used: True for a finished run of it."""

    task: Task


class Row(msgspec.Struct, kw_only=True):
    """One run of a sweep.  folder: within the sweep's.  status: complete, failed, or missing if it never came to it.

    error: one sentence where it failed.  quote: the currency of the figures.  net_quote, fees_quote (paid less
    rebates), turnover_quote, fills, sharpe (annualised), max_drawdown_quote and the mean mark-outs are those of the
    traded instrument, None where there is no value.
    """

    folder: str
    day: str
    instrument: str
    status: str
    error: str = ""
    quote: str = ""
    fills: int | None = None
    net_quote: float | None = None
    fees_quote: float | None = None
    turnover_quote: float | None = None
    sharpe: float | None = None
    max_drawdown_quote: float | None = None
    markout_1s_bps: float | None = None
    markout_5s_bps: float | None = None
    markout_30s_bps: float | None = None


# --- at a worker ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class SweepWorkplace:
    """paths: files that every node must have."""

    paths: tuple[str, ...]

    def open(self) -> SweepBench:
        return SweepBench()


class SweepBench:
    """Runs a task (or looks whether it is done already): its row, and the exit code of its error or 0."""

    def run(self, task: Task | Look) -> Any:
        if isinstance(task, Look):
            return _finished(task.task)
        out = Path(task.out) / task.folder
        try:
            if not _finished(task):
                if out.is_dir():
                    # Begun before, by this very sweep, and cut; _finished refuses anything else.
                    with saying(out, "what was there is partly removed"):
                        shutil.rmtree(out)
                task.prepare().run()
            row = row_of(task, _summary(out, task.html))
            (out / ERROR_NAME).unlink(missing_ok=True)
            return row, 0
        except PinnacleError as error:
            if out.is_dir():
                _leave(out / ERROR_NAME, str(error))
            return Row(folder=task.folder, day=task.day, instrument=task.instrument, status="failed",
                       error=" ".join(str(error).split())), error.exit_code  # fmt: skip

    def close(self) -> None:
        return None


def _leave(path: Path, text: str) -> None:
    """Leave an error in the run's folder, for a sweep that is ended before it hears of it."""
    # On a disk without room for it the error itself still reaches a sweep that goes on.
    with contextlib.suppress(OSError):
        path.write_text(text + "\n")


def _finished(task: Task) -> bool:
    """Whether the run of a task is there and complete; False where there is nothing, or the same run cut short.

    Raises OperatorError where something else is there.
    """
    out = Path(task.out) / task.folder
    if not out.exists():
        return False
    if not out.is_dir():
        raise OperatorError(f"{out}: is no folder of a run; move it away, or choose a new --out")
    if not (out / MANIFEST_NAME).exists():
        strange = sorted(path.name for path in out.iterdir() if path.name not in ("history", ERROR_NAME))
        if strange:
            raise OperatorError(f"{out}: holds {strange[0]} and is no run; move it away, or choose a new --out")
        return False
    manifest = read_manifest(out)
    if manifest.run_id != _run_id(task):
        raise OperatorError(
            f"{out}: is a run of another config, strategy, history or pinnacle; choose a new --out, or repeat the "
            "command that began it"
        )
    return manifest.status == "complete"


def _run_id(task: Task) -> str:
    """The id that the run of a task would have; its imported recordings, if any, are those in its folder."""
    run = task.prepare()
    run.open_histories()
    for one, paths in zip(run.config.instruments, run.paths):
        given = _located(one.data, run.beside)
        if one.data and given.is_file() and paths[0].is_relative_to(run.out.resolve()):
            imports = json.loads(segment_info(paths[0]).metadata["imports"])
            if file_sha256(given) not in {source["sha256"] for part in imports for source in part["sources"]}:
                return ""
    return run.manifest(Feed(run.sources())).run_id


def _summary(out: Path, html: bool) -> dict[str, Any]:
    """The summary of a finished run; written anew unless it is there with everything that is wanted."""
    if (out / SUMMARY_NAME).exists() and ((out / HTML_NAME).exists() or not html):
        try:
            summary: dict[str, Any] = json.loads((out / SUMMARY_NAME).read_text())
            return summary
        except ValueError:
            pass
    return write_report(out, html=html)


def row_of(task: Task, summary: dict[str, Any]) -> Row:
    """The row of a finished run, from the summary in its folder."""
    of = summary["instruments"][task.instrument]
    begins = datetime.fromtimestamp(summary["span"]["first_ns"] // 1_000_000_000, UTC).date().isoformat()
    return Row(
        folder=task.folder,
        day=begins if task.day == _WHOLE else task.day,
        instrument=task.instrument,
        status="complete",
        quote=of["currency"],
        fills=of["fills"]["count"],
        net_quote=of["pnl"]["net"],
        fees_quote=of["pnl"]["fees"],
        turnover_quote=of["fills"]["turnover_quote"],
        sharpe=of["risk"]["sharpe"],
        max_drawdown_quote=of["risk"]["drawdown_max_quote"],
        **{f"markout_{horizon}_bps": of["markouts"][horizon]["all"]["mean_bps"] for horizon in ("1s", "5s", "30s")},
    )


# --- what is run ---------------------------------------------------------------------------------------------------
@dataclass
class Sweep:
    """A sweep that is ready to run.

    paths: files that are read.  left_out: sentences on days that cannot be run.  progress: runs done, runs in all.
    codes: exit codes of the runs that failed.
    """

    out: Path
    tasks: list[Task]
    paths: tuple[str, ...]
    left_out: list[str]
    workers: int
    ray: str
    progress: Callable[[int, int], None] | None = None
    codes: list[int] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Run what is not done yet; what sweep.json holds.  A run that fails is a marked row, and its code in `codes`.

        Raises OperatorError where the folder holds anything else; whatever ends the sweep itself, KeyboardInterrupt
        too, is raised after the table of what is done was written.
        """
        with open_workers(SweepWorkplace(self.paths), self.workers, self.ray) as crew:
            if self.out.is_dir() and any(self.out.iterdir()):
                self._check_folder()
                there = crew.map([Look(task) for task in self.tasks])
            else:
                make_run_folder(self.out)
                there = [False] * len(self.tasks)
            done: list[int] = []

            def note(index: int) -> None:
                done.append(index)
                if self.progress is not None:
                    self.progress(len(done), len(self.tasks))

            if self.progress is not None:
                self.progress(0, len(self.tasks))
            try:
                results = crew.map(self.tasks, note)
            except BaseException:
                heard = set(done)
                self._write([self._found(task, k in heard, there[k]) for k, task in enumerate(self.tasks)])
                raise
        for row, _ in results:
            if row.status == "complete" and not (self.out / row.folder / MANIFEST_NAME).exists():
                raise OperatorError(
                    f"{self.out / row.folder}: was written on another machine and is not seen here; give --out a "
                    "folder that all machines of the cluster share"
                )
        self.codes = [code for _, code in results if code]
        return self._write([row for row, _ in results])

    def _check_folder(self) -> None:
        """Refuse a folder with anything in it that this sweep would not have written."""
        runs = {task.folder for task in self.tasks}
        known = {JSON_NAME, PARQUET_NAME, *runs, *(run.partition("/")[0] for run in runs)}
        found = [*self.out.iterdir(), *(path for run in sorted(self.out.iterdir()) if run.is_dir()
                 for path in run.iterdir())]  # fmt: skip
        for path in sorted(found):
            name = path.relative_to(self.out).as_posix()
            if name not in known and not name.endswith(".partial"):
                raise OperatorError(
                    f"{self.out}: holds {name}, which is no run of this sweep; choose a new --out, or repeat the "
                    "command that began it"
                )

    def _found(self, task: Task, done: bool, there: bool) -> Row:
        """The row of a task out of its folder, when the sweep was ended before it could say.

        done: this sweep has run it.  there: an earlier one has.
        """
        out = self.out / task.folder
        row = Row(folder=task.folder, day=task.day, instrument=task.instrument, status="missing")
        if (done or there) and (out / SUMMARY_NAME).exists() and not (out / ERROR_NAME).exists():
            return row_of(task, json.loads((out / SUMMARY_NAME).read_text()))
        if not done:
            return row
        row.status = "failed"
        left = (
            (out / ERROR_NAME).read_text() if (out / ERROR_NAME).exists() else "failed; repeat the command to see why"
        )
        row.error = " ".join(left.split())
        return row

    def _write(self, rows: list[Row]) -> dict[str, Any]:
        told = {
            "format_version": FORMAT_VERSION,
            "status": "interrupted" if any(row.status == "missing" for row in rows) else "complete",
            "runs": [msgspec.structs.asdict(row) for row in rows],
            "totals": totals(rows),
            "days_incomplete": sorted({row.day for row in rows if row.status != "complete"}),
            "left_out": self.left_out,
        }
        with replacing(self.out / JSON_NAME) as sink:
            sink.write((json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
        _write_parquet(self.out / PARQUET_NAME, rows)
        return told


def prepare_sweep(
    config: str | None,
    strategy: str | None,
    data: Sequence[str],
    settings: Sequence[str],
    out: Path | None,
    record: str | None,
    workers: int = 1,
    ray: str = "",
    html: bool = True,
) -> Sweep:
    """A sweep that is ready to run: a task for each traded instrument and day, by instrument and then by day.

    The days of an instrument are those of the catalog, within data.first and data.last, on which it and every watched
    one have history.  Where one of them has a file of its own instead, there is one run over what the config says.
    Raises OperatorError, HistoryError.
    """
    run = prepare_backtest(config, strategy, data, settings, None, record)
    path = find_file(config or "default", None, "configs", ".toml")
    folder = out or Path("runs") / f"sweep-{run.strategy.name}-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}"
    folder = folder.expanduser().absolute()
    whole = Task(
        config=str(path),
        strategy=_strategy_said(run, strategy, path.parent),
        data=tuple(_absolute_data(given) for given in data),
        settings=(*settings, *_settled(run)),
        record=record,
        out=str(folder),
        instrument="",
        day=_WHOLE,
        html=html,
    )
    tasks, left_out, files = [], [], {str(path), run.strategy.path}
    for one in run.config.instruments:
        if not one.trade:
            continue
        days, reasons, needed = _days(run, one)
        tasks += [_replace(whole, instrument=one.name, day=day) for day in days]
        left_out += reasons
        files |= needed
    if (run.config.run.start_ns or run.config.run.stop_ns) and any(task.day != _WHOLE for task in tasks):
        raise OperatorError(
            f"{run.where}: run.start_ns and run.stop_ns are moments of one day, and a sweep runs whole days; leave "
            "them out, and choose days with data.first and data.last"
        )
    return Sweep(folder, tasks, tuple(sorted(files)), left_out, workers, ray)


def _replace(task: Task, **changes: str) -> Task:
    return Task(**{**vars(task), **changes})


def _needed(instruments: Iterable[InstrumentConfig], traded: str) -> list[InstrumentConfig]:
    """Of a config's instruments the traded one and those that are only watched."""
    return [one for one in instruments if one.name == traded or not one.trade]


def _days(run: Backtest, traded: InstrumentConfig) -> tuple[list[str], list[str], set[str]]:
    """(days to run, sentences on those left out, files read) of one traded instrument."""
    needed = _needed(run.config.instruments, traded.name)
    files = {str(path) for one in needed if one.data and (path := _located(one.data, run.beside)).is_file()}
    if any(one.data for one in needed):
        return [_WHOLE], [], files
    data = run.config.data
    if not data.catalog:
        raise OperatorError(f"{run.where}: {traded.name} has no data; give --data CATALOG, or set data.catalog")
    catalog = _located(data.catalog, run.beside)
    first, last = (date.fromisoformat(day) if day else None for day in (data.first, data.last))
    paths = {one.name: {path.stem: path for path in find(catalog, one.venue, one.symbol, first, last)}
             for one in needed}  # fmt: skip
    days, left_out = [], []
    for day in paths[traded.name]:
        lacking = [name for name, there in paths.items() if day not in there]
        if lacking:
            left_out.append(f"{day} of {traded.name} is left out: the catalog has no {' and no '.join(lacking)} then.")
        else:
            days.append(day)
            files |= {str(there[day].resolve()) for there in paths.values()}
    if not days:
        raise HistoryError(
            f"{catalog}: has no day with all of {', '.join(paths)}; import what is missing, or remove what need not be "
            "watched"
        )
    return days, left_out, files


def failure(sweep: Sweep, told: dict[str, Any]) -> PinnacleError | None:
    """The error to end with where runs failed: exit code 1, or that of the first one's class if all did."""
    failed = [row for row in told["runs"] if row["status"] == "failed"]
    if not failed:
        return None
    runs = len(told["runs"])
    error = PinnacleError(f"{len(failed)} of {runs} runs failed, the first: {failed[0]['error']}")
    error.exit_code = sweep.codes[0] if len(failed) == runs else PinnacleError.exit_code
    return error


# --- paths that mean the same in every process ---------------------------------------------------------------------
def _located(name: str, beside: Path | None) -> Path:
    """A data path as a backtest looks for it: from here, else beside the config."""
    path = Path(name).expanduser()
    if not path.is_absolute() and not path.exists() and beside is not None and (beside / path).exists():
        path = beside / path
    return path.absolute()


def _strategy_said(run: Backtest, given: str | None, beside: Path) -> str | None:
    """The strategy as every process finds it: what was said if it is shipped or beside the config, else its path."""
    found = Path(run.strategy.path).resolve()
    if found.is_relative_to(shipped("strategies").resolve()) and not Path(run.config.strategy.path).exists():
        return given
    if given is None and (beside / run.config.strategy.path).exists():
        return None
    return str(found)


def _absolute_data(given: str) -> str:
    """A --data with its path made absolute."""
    name, equals, rest = given.partition("=")
    if equals and ":" in name:
        return f"{name}={Path(rest).expanduser().absolute()}"
    return str(Path(given).expanduser().absolute())


def _settled(run: Backtest) -> Iterator[str]:
    """Settings that make the relative paths of a config that start here, and not beside it, absolute."""
    config = run.config
    named = [("data.catalog", config.data.catalog)]
    for index, one in enumerate(config.instruments):
        named += [(f"instruments.{index}.data", one.data), (f"instruments.{index}.latency.file", one.latency.file)]
    for key, name in named:
        path = Path(name).expanduser()
        if name and not path.is_absolute() and path.exists():
            yield f"{key}={json.dumps(str(path.absolute()), ensure_ascii=False)}"


# --- the table -----------------------------------------------------------------------------------------------------
def totals(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By quote currency, over runs that are complete.  Amounts of different currencies are never added.

    net_quote, fees_quote, turnover_quote, fills: sums.  days: on which a result was measured, with days_won, the
    worst_day and its worst_day_net_quote, and the mean of the daily net with its standard error (None below two days;
    daily net is the sum over the instruments).  runs_without_result: complete, but nothing was filled or valued.
    """
    found: dict[str, dict[str, Any]] = {}
    for currency in sorted({row.quote for row in rows if row.status == "complete"}):
        mine = [row for row in rows if row.status == "complete" and row.quote == currency]
        daily: dict[str, list[float]] = {}
        for row in mine:
            if row.net_quote is not None:
                daily.setdefault(row.day, []).append(row.net_quote)
        nets = {day: _sum(daily[day]) for day in sorted(daily)}
        worst = min(nets, key=lambda day: nets[day], default=None)
        several = len(nets) > 1
        found[currency] = {
            "runs": len(mine),
            "runs_without_result": sum(row.net_quote is None for row in mine),
            "fills": sum(row.fills or 0 for row in mine),
            "net_quote": _sum(nets.values()) if nets else None,
            "fees_quote": _sum(row.fees_quote for row in mine if row.fees_quote is not None) if nets else None,
            "turnover_quote": _sum(row.turnover_quote or 0.0 for row in mine),
            "days": len(nets),
            "days_won": sum(net > 0 for net in nets.values()),
            "worst_day": worst,
            "worst_day_net_quote": None if worst is None else nets[worst],
            "daily_mean_quote": fmean(nets.values()) if nets else None,
            "daily_error_quote": stdev(nets.values()) / math.sqrt(len(nets)) if several else None,
        }
    return found


def _sum(amounts: Iterable[float]) -> float:
    """A sum of decimal amounts as a decimal, so that adding leaves no dust behind."""
    return float(sum((Decimal(repr(one)) for one in amounts), Decimal(0)))


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [(name, pa.string()) for name in ("folder", "day", "instrument", "status", "error", "quote")]
    schema = pa.schema([*texts, ("fills", pa.int64()), *((name, pa.float64()) for name in _FIGURES)])
    with replacing(path) as sink:
        pq.write_table(pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows], schema), sink)


def print_sweep(told: dict[str, Any], stream: TextIO | None = None) -> None:
    """Write what sweep.json holds as a table of 80 columns to a stream (the standard output)."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = stream or sys.stdout
    page = stream if stream.isatty() else io.StringIO()
    console = Console(file=page, highlight=False, width=WIDTH)
    plain_box = box.SIMPLE_HEAD if stream.isatty() else None
    table = Table(box=plain_box, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("day", no_wrap=True)
    table.add_column("instrument", no_wrap=True, overflow="ellipsis")
    for name in ("fills", "net", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    table.add_column("Sharpe", justify="right", no_wrap=True)
    for row in told["runs"]:
        table.add_row(*_cells(row))
    for currency, total in told["totals"].items():
        runs = f"{total['runs']} run{'s' if total['runs'] != 1 else ''}"
        net = Text(amount(total["net_quote"], True), style=_colour(total["net_quote"]))
        table.add_row("total", runs, count(total["fills"]), net, currency, "", style="bold")
    console.print(table)
    for line, style in _remarks(told):
        console.print(Text(line, style=style), soft_wrap=True)
    if isinstance(page, io.StringIO):
        text = "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"
        stream.write(_writable(text, stream))


def _cells(row: dict[str, Any]) -> list[Any]:
    from rich.text import Text

    if row["status"] != "complete":
        style = "red" if row["status"] == "failed" else "yellow"
        return [row["day"], row["instrument"], Text(row["status"], style=style), NOT_MEASURED, "", NOT_MEASURED]
    net = Text(amount(row["net_quote"], True), style=_colour(row["net_quote"]))
    return [row["day"], row["instrument"], count(row["fills"]), net, row["quote"], plain(row["sharpe"], 1)]


def _colour(net: float | None) -> str:
    return "" if not net else "green" if net > 0 else "red"


def _remarks(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What stands below the table, as lines of at most WIDTH characters with their style."""
    for currency, total in told["totals"].items():
        if total["days"]:
            error = total["daily_error_quote"]
            spread = "" if error is None else f" ± {amount(error)}"
            text = (
                f"{currency}: {total['days_won']} of {total['days']} days won, worst "
                f"{amount(total['worst_day_net_quote'], True)} on {total['worst_day']}, "
                f"mean {amount(total['daily_mean_quote'], True)}{spread} a day"
            )
            yield from ((line, "") for line in wrap(text, WIDTH, subsequent_indent="  "))
    for row in told["runs"]:
        if row["error"]:
            text = f"! {row['day']} {row['instrument']}: {row['error']}"
            yield from ((line, "red") for line in _wrapped(text))
    if told["days_incomplete"] and told["totals"]:
        days = len(told["days_incomplete"])
        text = f"! {days} day{'s lack runs' if days > 1 else ' lacks a run'}, failed or missing; the totals go without."
        yield from ((line, "yellow") for line in _wrapped(text))
    for text in told["left_out"]:
        yield from ((line, "yellow") for line in _wrapped(f"! {text}"))


def _wrapped(text: str) -> list[str]:
    # A path is never broken, or it could not be copied.
    return wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _writable(text: str, stream: TextIO) -> str:
    """The text in what the stream can write: a pipe in an ASCII locale has no minus sign."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        marks = {0x2212: "-", 0x2013: "-", 0xB1: "+/-", 0x2026: "."}
        return text.translate(marks).encode("ascii", "replace").decode()
    return text

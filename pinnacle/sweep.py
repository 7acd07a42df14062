"""A sweep: the same backtest over every day and traded instrument of a config, each an ordinary run, and one table.

One day proves nothing; the same program over many days and symbols, spread over workers, says whether a result holds.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from pinnacle.config import InstrumentConfig
from pinnacle.errors import HistoryError, OperatorError, PinnacleError
from pinnacle.history.catalog import find
from pinnacle.log.manifest import MANIFEST_NAME, file_sha256, read_manifest, replacing, saying
from pinnacle.log.segment import segment_info
from pinnacle.report.sweep import Row, totals, write_rows
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
        write_rows(self.out / PARQUET_NAME, rows)
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

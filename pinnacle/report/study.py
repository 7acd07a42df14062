"""A finished or interrupted study, read from its folder: typed, checked, and complete enough to draw.

Everything a study's report says comes from here, so that it can be made on any machine at any time, without the search
that left the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.report.study_files import StudyFile, SummaryFile

FORMAT_VERSION = 1
STUDY_NAME, SUMMARY_NAME = "study.json", "summary.json"
TRIALS_NAME, CURVES_NAME, WALK_NAME = "trials.parquet", "curves.parquet", "walk_forward.parquet"
STATES = ("complete", "pruned", "failed")


@dataclass(frozen=True, slots=True)
class Trials:
    """Trials as columns, in the order of the file.  values, params, train, validation: float64[n] by name."""

    number: np.ndarray
    state: np.ndarray
    reason: np.ndarray
    values: dict[str, np.ndarray]
    params: dict[str, np.ndarray]
    train: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]

    def where(self, state: str) -> np.ndarray:
        """Rising indices of the trials of one state."""
        return np.flatnonzero(self.state == state)


@dataclass(frozen=True, slots=True)
class Curve:
    """Equity in quote currency by time.  label: float or text by point: its window, or its fold."""

    label: np.ndarray
    ts_ns: np.ndarray
    equity_quote: np.ndarray


@dataclass(frozen=True, slots=True)
class Study:
    """A study's folder.  trials: of the main study, without the folds'.  fold_trials: how many those are.

    curve: of the chosen trial, by window; None where there is none.  walk: None without a walk-forward.
    """

    folder: Path
    made: StudyFile
    found: SummaryFile
    trials: Trials
    fold_trials: int
    curve: Curve | None
    walk: Curve | None


def read_study(folder: str | Path) -> Study:
    """Read a study's folder.

    Raises OperatorError where a file is missing or of another version, HistoryError where one is damaged or they do not
    belong together.
    """
    folder = Path(folder)
    made = _read_json(folder / STUDY_NAME, StudyFile)
    found = _read_json(folder / SUMMARY_NAME, SummaryFile)
    trials, fold_trials = _read_trials(folder / TRIALS_NAME, made)
    _check_together(folder, made, found, trials)
    curve = None if found.best is None else _read_curve(folder / CURVES_NAME, "window", found.best.number)
    # A walk-forward in which nothing could be tested leaves no curve.
    walked = found.walk_forward is not None and any(fold.tested for fold in found.walk_forward.folds)
    walk = _read_curve(folder / WALK_NAME, "fold") if walked else None
    return Study(folder, made, found, trials, fold_trials, curve, walk)


def _check_together(folder: Path, made: StudyFile, found: SummaryFile, trials: Trials) -> None:
    """Raises HistoryError where the files are not of one study."""
    if not made.objectives:
        raise HistoryError(f"{folder / STUDY_NAME}: names no objective; it was edited or damaged, restore it")
    for name, axis in made.space.items():
        if not axis.low <= axis.high or (axis.log and axis.low <= 0):
            raise HistoryError(f"{folder / STUDY_NAME}: {name} goes from {axis.low:g} to {axis.high:g}; restore it")
    complete = set(trials.number[trials.where("complete")].tolist())
    named = list(found.pareto) if found.best is None else [found.best.number, *found.pareto]
    for number in named:
        if number not in complete:
            raise HistoryError(
                f"{folder}: {SUMMARY_NAME} names trial {number}, which is no complete trial of {TRIALS_NAME}; restore "
                "the files of one study"
            )
    if found.best is not None and (missing := set(made.space) - set(found.best.params)):
        raise HistoryError(
            f"{folder / SUMMARY_NAME}: the best has no parameter {min(missing)}; restore the files of one study"
        )


_Read = TypeVar("_Read", StudyFile, SummaryFile)


def _read_json(path: Path, kind: type[_Read]) -> _Read:
    try:
        raw = msgspec.json.decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read ({error.strerror}); allow it, and ask again") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path}: no valid JSON ({error}); restore it, or run the search again") from None
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise OperatorError(
            f"{path}: format version {version!r}, and this pinnacle reads {FORMAT_VERSION}; read the study with the "
            "pinnacle that wrote it"
        )
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise HistoryError(f"{path}: {error}; it was edited or damaged, restore it") from None


def _missing(path: Path) -> OperatorError:
    return OperatorError(
        f"{path}: no such file; give the folder of a study, which holds {STUDY_NAME}, {SUMMARY_NAME} and {TRIALS_NAME}"
    )


def _read_table(path: Path, needed: list[str], numbers: dict[str, int] | None = None) -> Any:
    """A pyarrow table with at least these columns, and only the rows that have these numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        missing = [name for name in needed if name not in names]
        if missing:
            raise HistoryError(f"{path}: has no column {missing[0]}; it is not what a search writes, restore it")
        filters = [(name, "=", number) for name, number in numbers.items()] if numbers else None
        return pq.read_table(path, filters=filters)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise HistoryError(f"{path}: cannot be read ({what}); restore it, or run the search again") from None


def _column(path: Path, table: Any, name: str, whole: bool = False) -> np.ndarray:
    """A column as float64, NaN where it is null, or as int64.  Raises HistoryError where it is no such thing."""
    import pyarrow as pa

    column = table.column(name)
    fits = pa.types.is_integer(column.type) if whole else pa.types.is_floating(column.type)
    if pa.types.is_integer(column.type) and not whole:
        fits = not column.null_count
    if not fits or (whole and column.null_count):
        raise HistoryError(f"{path}: column {name} is not {'whole ' if whole else ''}numbers throughout; restore it")
    return column.to_numpy().astype(np.int64 if whole else np.float64)


def _read_trials(path: Path, made: StudyFile) -> tuple[Trials, int]:
    """The trials of the main study, by number, and how many the folds have."""
    values = {one.name: f"value_{one.name}" for one in made.objectives}
    params = {name: f"param_{name}" for name in made.space}
    table = _read_table(path, ["fold", "number", "state", "reason", *values.values(), *params.values()])
    fold = _column(path, table, "fold", whole=True)
    number = _column(path, table, "number", whole=True)
    main = np.flatnonzero(fold == 0)
    main = main[np.argsort(number[main], kind="stable")]
    state = np.array(table.column("state").to_pylist(), dtype=object)
    reason = np.array([text or "" for text in table.column("reason").to_pylist()], dtype=object)
    unknown = set(state.tolist()) - set(STATES)
    if unknown:
        raise HistoryError(f"{path}: a trial is {min(map(str, unknown))!r}, and can be {', '.join(STATES)}; restore it")
    if np.unique(number[main]).size != main.size:
        raise HistoryError(f"{path}: two trials of the main study have one number; restore it")
    metrics: dict[str, dict[str, np.ndarray]] = {"train": {}, "validation": {}}
    for column in table.column_names:
        window, _, metric = column.partition("_")
        if window in metrics:
            metrics[window][metric] = _column(path, table, column)[main]
    trials = Trials(
        number[main],
        state[main],
        reason[main],
        {name: _column(path, table, column)[main] for name, column in values.items()},
        {name: _column(path, table, column)[main] for name, column in params.items()},
        metrics["train"],
        metrics["validation"],
    )
    for name in values:
        bad = trials.where("complete")[~np.isfinite(trials.values[name][trials.where("complete")])]
        if bad.size:
            raise HistoryError(
                f"{path}: trial {trials.number[bad[0]]} is complete without a value of {name}; restore it"
            )
    return trials, int((fold > 0).sum())


def _read_curve(path: Path, label: str, number: int | None = None) -> Curve | None:
    """The equity of one trial of the main study, or of all folds (number None); None where it has no point."""
    needed = [label, "ts_ns", "equity_quote"]
    only = None if number is None else {"fold": 0, "number": number}
    table = _read_table(path, [*needed, *(only or ())], only)
    if not table.num_rows:
        return None
    text = label == "window"
    labels = np.array(table.column(label).to_pylist(), dtype=object) if text else _column(path, table, label, True)
    ts_ns = _column(path, table, "ts_ns", whole=True)
    order = np.argsort(ts_ns, kind="stable")
    return Curve(labels[order], ts_ns[order], _column(path, table, "equity_quote")[order])

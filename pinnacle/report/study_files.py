"""What study.json and summary.json hold, as types.

A reader of a study is told by these what it may count on; a field that a later search adds is passed over.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

Metrics = dict[str, float | None]


class Window(msgspec.Struct, frozen=True):
    """A stretch of time, from first_ns until before stop_ns."""

    first_ns: int
    stop_ns: int

    @property
    def length_s(self) -> float:
        return (self.stop_ns - self.first_ns) / 1e9


class Objective(msgspec.Struct, frozen=True):
    """One thing that was wanted."""

    name: str
    direction: Literal["maximize", "minimize"]

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1


class Axis(msgspec.Struct, frozen=True):
    """The range of one parameter."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False
    choices: list[float] | None = None

    def drawn(self, values: Any) -> np.ndarray:
        """Where values are drawn: choices by their order, since they may lie far apart, all else as it is."""
        found = np.asarray(values, dtype=np.float64)
        return found if self.choices is None else np.interp(found, self.choices, np.arange(len(self.choices)))

    def place(self, values: Any) -> np.ndarray:
        """Where values lie between the ends, 0 to 1, on the axis's own scale."""
        found = self.drawn(values)
        low, high = self.drawn([self.low, self.high])
        if self.log and self.choices is None:
            low, high, found = np.log(low), np.log(high), np.log(np.maximum(found, np.finfo(float).tiny))
        return np.clip((found - low) / (high - low if high > low else 1.0), 0.0, 1.0)


class Fold(msgspec.Struct, frozen=True):
    number: int
    train: Window
    test: Window


class Source(msgspec.Struct, frozen=True):
    """The strategy as it was searched."""

    name: str
    path: str = ""
    sha256: str = ""
    source: str = ""


class History(msgspec.Struct, frozen=True):
    path: str
    sha256: str = ""
    rows: int | None = None


class StudyFile(msgspec.Struct, frozen=True, kw_only=True):
    """study.json: what was searched, and how."""

    format_version: int
    status: str
    strategy: Source
    config: dict[str, Any] = {}
    code_hash: str = ""
    instruments: list[str]
    quote: str
    space: dict[str, Axis]
    fixed: dict[str, float] = {}
    objectives: list[Objective]
    seed: int
    batch: int | None = None
    lanes: int | None = None
    sampler: str = ""
    pruner: str = "none"
    bucket_ns: int = 0
    windows: dict[str, Window] = {}
    folds: list[Fold] = []
    histories: list[History] = []
    versions: dict[str, Any] = {}
    started: str = ""
    ended: str | None = ""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    trials_complete: int
    trials_pruned: int
    trials_failed: int
    seconds: float | None = None
    candidates_per_s: float | None = None
    rows: int | None = None
    bytes_read: int | None = None


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen trial.  values: by objective, on the train window.  Faults: why it stopped early there, or ""."""

    number: int
    params: dict[str, float]
    values: Metrics = {}
    train: Metrics | None = None
    validation: Metrics | None = None
    test: Metrics | None = None
    validation_fault: str = ""
    test_fault: str = ""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """How far the choice may be luck; None where it could not be measured.

    sharpe_chosen: of train and validation together.  test_needed_s: the
    length of test that would tell its profit from chance.  logits: of the rank out of sample, over all ways to halve
    the data, or evenly spaced quantiles of them.
    """

    deflated_sharpe: float | None = None
    probabilistic_sharpe: float | None = None
    expected_max_sharpe: float | None = None
    trials_counted: float | None = None
    trials_effective: float | None = None
    pbo: float | None = None
    pbo_splits: float | None = None
    logits: list[float] | None = None
    rank_correlation: float | None = None
    sharpe_chosen: float | None = None
    sharpe_train: float | None = None
    sharpe_validation: float | None = None
    sharpe_test: float | None = None
    test_needed_s: float | None = None


class Stability(msgspec.Struct, frozen=True, kw_only=True):
    """The range of one parameter among the neighbours that keep the result.

    share_of_best: what the neighbours a step away along it keep of the result, 1 to -1.
    """

    param: str
    value: float
    low: float | None = None
    high: float | None = None
    share_of_best: float | None = None


class Neighbourhood(msgspec.Struct, frozen=True, kw_only=True):
    """How the trials nearest to the best do.  share: what they keep of its result, 1 to -1."""

    share: float | None = None
    shape: str = "unknown"
    neighbours: int = 0


class WalkFold(msgspec.Struct, frozen=True, kw_only=True):
    """One fold.  params: None where none of its trials was complete.  fault: why its test stopped early, or ""."""

    number: int
    params: dict[str, float] | None = None
    train: Metrics | None = None
    test: Metrics | None = None
    fault: str = ""

    @property
    def tested(self) -> bool:
        """Whether it left a curve."""
        return bool(self.test) and not self.fault


class WalkForward(msgspec.Struct, frozen=True, kw_only=True):
    folds: list[WalkFold]
    net_quote: float | None = None
    sharpe: float | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    trade: bool
    text: str
    reasons: list[str] = []


class SummaryFile(msgspec.Struct, frozen=True, kw_only=True):
    """summary.json: what came out."""

    format_version: int
    study: Totals
    best: Best | None = None
    pareto: list[int] = []
    judgement: Judgement | None = None
    stability: list[Stability] | None = None
    neighbourhood: Neighbourhood | None = None
    walk_forward: WalkForward | None = None
    verdict: Verdict
    warnings: list[str] = []

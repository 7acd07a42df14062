"""Judging one batch of candidates: rung by rung on the train window, and the survivors on the validation window.

Apart from the search, because it knows nothing of storages: it needs candidates that can be reported on and somebody
who runs them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from optuna.trial import Trial

from pinnacle.optimize.objectives import Objective, Result, judge
from pinnacle.optimize.outcome import Outcome, State
from pinnacle.run.window import Window


class Evaluation(Protocol):
    """One batch under way."""

    def advance(self, stop_ns: int) -> Sequence[Result | None]:
        """A result for each candidate, None for dropped ones: what it did so far, as if the window ended there."""

    def drop(self, indices: list[int]) -> None:
        """These candidates need not be run any further."""


# Every parameter by name of each candidate, the window, and whether it will be stopped on the way (rungs).
Evaluate = Callable[[list[dict[str, float]], Window, bool], Evaluation]


@dataclass(frozen=True)
class Evaluated:
    """A candidate judged just now, with its equity curves: None where the window was not run to its end."""

    outcome: Outcome
    train_equity_quote: np.ndarray | None
    validation_equity_quote: np.ndarray | None


@dataclass
class _Racer:
    """A candidate on its way.  state: None while it is still in the race.  train, validation: of whole windows."""

    trial: Trial
    state: State | None = None
    reason: str = ""
    values: tuple[float, ...] = ()
    train: Result | None = None
    validation: Result | None = None

    def evaluated(self) -> Evaluated:
        assert self.state is not None
        train, validation = self.train, self.validation
        outcome = Outcome(
            number=self.trial.number,
            params={name: float(value) for name, value in self.trial.params.items()},
            state=self.state,
            reason=self.reason,
            values=self.values,
            train={} if train is None else dict(train.metrics),
            validation={} if validation is None else dict(validation.metrics),
            validation_fault="" if validation is None else validation.fault,
        )
        curves = [None if result is None or result.fault else result.equity_quote for result in (train, validation)]
        return Evaluated(outcome, *curves)


@dataclass(frozen=True)
class Race:
    """How a batch is judged.

    stops_ns: the ends of the train window's parts; with one there is no pruning.  validation: None to leave it out.
    fills_min: fewer give no value.
    """

    objectives: Sequence[Objective]
    fills_min: int
    train: Window
    stops_ns: Sequence[int]
    validation: Window | None

    def run(self, trials: Sequence[Trial], params: list[dict[str, float]], evaluate: Evaluate) -> list[Evaluated]:
        """What became of each candidate, in order.  Raises what evaluate raises."""
        racers = [_Racer(trial) for trial in trials]
        evaluation = evaluate(params, self.train, len(self.stops_ns) > 1)
        for rung, stop_ns in enumerate(self.stops_ns, start=1):
            results = evaluation.advance(stop_ns)
            assert len(results) == len(racers)
            running = [index for index, racer in enumerate(racers) if racer.state is None]
            for index in running:
                result = results[index]
                assert result is not None, "no result of a candidate that was not dropped"
                self._judge(racers[index], result, rung)
            over = [index for index in running if racers[index].state is not None]
            if over and rung < len(self.stops_ns):
                evaluation.drop(over)
            if len(over) == len(running):
                break
        self._validate(racers, params, evaluate)
        return [racer.evaluated() for racer in racers]

    def _judge(self, racer: _Racer, result: Result, rung: int) -> None:
        """One candidate at one rung.  A part of the window without a value is not held against it; the whole is."""
        rungs = len(self.stops_ns)
        values = judge(result, self.objectives, self.fills_min)
        if isinstance(values, str):
            if result.fault or rung == rungs:
                racer.state, racer.reason, racer.values, racer.train = "failed", values, (), result
            return
        racer.values = values
        if rungs > 1:
            with quiet():
                racer.trial.report(values[0], rung)
        if rung == rungs:
            racer.state, racer.train = "complete", result
        elif racer.trial.should_prune():
            racer.state, racer.reason = "pruned", f"fell behind at rung {rung} of {rungs}"

    def _validate(self, racers: list[_Racer], params: list[dict[str, float]], evaluate: Evaluate) -> None:
        """The complete ones on the validation window; what they do there decides nothing here."""
        complete = [index for index, racer in enumerate(racers) if racer.state == "complete"]
        if self.validation is None or not complete:
            return
        evaluation = evaluate([params[index] for index in complete], self.validation, False)
        for index, result in zip(complete, evaluation.advance(self.validation.stop_ns), strict=True):
            racers[index].validation = result


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna's advice to programmers does not reach the operator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""The search: asks for candidates in batches, has them judged by whoever can, tells the storage, goes on after a stop.

What is asked depends only on the space, the settings, the seed and what was told, never on clocks, on how the judging
is spread over workers, or on where a search was interrupted.  Two studies make that so.  Optuna draws from a study in
memory; the storage gets each finished trial whole, in order of number.  To go on, the memory is filled with the whole
batches that the storage holds, and a batch that was cut short is asked for again, which gives the same candidates:
without a pruner those that are stored are not judged again, with one the batch is, for its members prune each other.

Not reproducible: a search whose timeout or interruption came elsewhere has another number of trials, and another
version of Optuna, numpy or the data is another search.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pinnacle.config_optimize import Optimize
from pinnacle.errors import OperatorError
from pinnacle.optimize.batch import Evaluate, Evaluated, Race, quiet
from pinnacle.optimize.objectives import Objective, objectives_of
from pinnacle.optimize.outcome import Outcome, State, best, numbers, pareto, plain
from pinnacle.optimize.sampler import Grid, check_sampler, pruner_of, sampler_for
from pinnacle.optimize.space import Space
from pinnacle.optimize.storage import Store
from pinnacle.optimize.windows import rung_stops_ns
from pinnacle.run.window import Window

_STATES: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
Ended = Literal["complete", "timeout", "stopped"]


@dataclass(frozen=True)
class Progress:
    """After a batch.  done: trials of the study, of `total`.  judged: of them in this run, in `seconds`."""

    done: int
    total: int
    complete: int
    pruned: int
    failed: int
    best: Outcome | None
    judged: int
    seconds: float

    @property
    def candidates_per_s(self) -> float:
        """0 before anything was judged."""
        return self.judged / self.seconds if self.seconds > 0 else 0.0


class Search:
    """One study: the main one, or a fold's.  Several may share a store under different names."""

    def __init__(
        self, store: Store, name: str, space: Space, optimize: Optimize, identity: Mapping[str, Any], where: str
    ) -> None:
        """Begin the study of that name, or go on with it.

        identity: what else must be the same to go on, as JSON: hashes of strategy and data, windows.  where: the config
        file.  Raises OperatorError if the study there was begun with anything else, naming it.
        """
        check_sampler(optimize, space, where)
        self.space, self.optimize = space, optimize
        self.objectives: tuple[Objective, ...] = objectives_of(optimize.objectives, optimize.inventory_penalty)
        self.grid = Grid(space, optimize.grid_points, optimize.seed) if optimize.sampler == "grid" else None
        self._store, self._name, self._distributions = store, name, space.distributions()
        self._directions = [one.direction for one in self.objectives]
        with store.guarded():
            self._kept = optuna.create_study(
                storage=store.storage, study_name=name, directions=self._directions, load_if_exists=True
            )
            self._agree({**_settings(space, self.objectives, optimize), **identity})
        self._outcomes = [self._outcome(trial) for trial in self._trials()]

    @property
    def total(self) -> int:
        """Trials that the study will have: optimize.trials, or the whole grid if that is fewer."""
        return self.optimize.trials if self.grid is None else min(self.optimize.trials, self.grid.size)

    @property
    def outcomes(self) -> list[Outcome]:
        """Every trial told so far, by number."""
        return list(self._outcomes)

    def best(self) -> Outcome | None:
        """The chosen trial, by the rule of `outcome.best`; None if none is complete."""
        return best(self._outcomes, self.objectives)

    def pareto(self) -> list[int]:
        """Numbers of the trials that no other beats; with one objective the best alone."""
        return pareto(self._outcomes, self.objectives)

    def run(
        self,
        evaluate: Evaluate,
        train: Window,
        validation: Window | None,
        bucket_ns: int,
        *,
        keep: Callable[[list[Evaluated]], None] | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Ended:
        """Search until the study has `total` trials, the timeout has passed or stop() says so, batch by batch.

        validation: run for complete trials, None to leave it out.  keep: called with each batch before it is told, so
        that every told trial was kept first; a batch may come again after a stop.  Whatever is raised on the way, an
        interrupt too, leaves the storage with whole trials only.  Raises OperatorError or DiskError if the storage
        fails, and what evaluate raises.
        """
        began_s, judged = time.monotonic(), 0
        size = self.optimize.batch
        pruning = self.optimize.pruner != "none"
        stops_ns = rung_stops_ns(train, self.optimize.rungs, bucket_ns) if pruning else [train.stop_ns]
        race = Race(self.objectives, self.optimize.min_fills, train, stops_ns, validation)
        memory = self._memory(len(self._outcomes) // size * size)
        while len(self._outcomes) < self.total:
            if 0 < self.optimize.timeout_s <= time.monotonic() - began_s:
                return "timeout"
            if stop is not None and stop():
                return "stopped"
            first = len(self._outcomes) // size * size
            with quiet():
                trials = [self._ask(memory, number) for number in range(first, min(first + size, self.total))]
            ready = self._ready(trials)
            params = [self.space.whole_params(trial.params) for trial in trials[ready:]]
            evaluated = race.run(trials[ready:], params, evaluate)
            if keep is not None:
                keep(evaluated)
            self._tell(memory, trials, evaluated)
            judged += len(evaluated)
            if progress is not None:
                progress(self._progress(judged, time.monotonic() - began_s))
        return "complete"

    # --- one batch ------------------------------------------------------------------------------------------------
    def _ask(self, memory: optuna.Study, number: int) -> Trial:
        """Candidate `number`, drawn by a sampler of its own."""
        if self.grid is not None:
            memory.enqueue_trial(self.grid.candidate(number))
        memory.sampler = sampler_for(self.optimize, number)
        trial = memory.ask(self._distributions)
        assert trial.number == number
        return trial

    def _ready(self, trials: Sequence[Trial]) -> int:
        """How many of a batch, from its first, need not be judged: those stored, unless its members prune each other.

        Raises OperatorError if what is stored is not what was asked for.
        """
        stored = self._outcomes[trials[0].number :]
        for trial, outcome in zip(trials, stored):
            if dict(trial.params) != outcome.params:
                raise OperatorError(
                    f"{self._store.where}: trial {trial.number} of study {self._name!r} is not what this seed asks for "
                    f"with Optuna {optuna.__version__} and numpy {np.__version__}; take the versions it was begun "
                    "with, or begin anew with another --out"
                )
        return len(stored) if self.optimize.pruner == "none" else 0

    # --- telling --------------------------------------------------------------------------------------------------
    def _tell(self, memory: optuna.Study, trials: Sequence[Trial], evaluated: Sequence[Evaluated]) -> None:
        """Tell the memory of the whole batch, then the storage of what it does not have, in order of number."""
        told = {one.outcome.number: one.outcome for one in evaluated}
        for trial in trials:
            outcome = told.get(trial.number) or self._outcomes[trial.number]
            values = outcome.values if outcome.state == "complete" else None
            with quiet():
                memory.tell(trial, values=values, state=_STATES[outcome.state])
        drawn = memory.get_trials(deepcopy=False)
        with self._store.guarded():
            if len(self._kept.get_trials(deepcopy=False)) != len(self._outcomes):
                raise OperatorError(
                    f"{self._store.where}: another program has written to study {self._name!r}; end it, and use "
                    "another --out or optimize.name for one of the two"
                )
        for one in evaluated:
            if one.outcome.number == len(self._outcomes):
                with self._store.guarded():
                    self._kept.add_trial(self._trial(one.outcome, drawn[one.outcome.number]))
                self._outcomes.append(one.outcome)

    def _trial(self, outcome: Outcome, drawn: FrozenTrial) -> FrozenTrial:
        """An outcome as the storage holds it, with what samplers and pruners remember by it."""
        return create_trial(
            state=_STATES[outcome.state],
            values=list(outcome.values) or None if outcome.state != "failed" else None,
            params=drawn.params,
            distributions=self._distributions,
            user_attrs={
                "train": plain(outcome.train),
                "validation": plain(outcome.validation),
                "reason": outcome.reason,
                "validation_fault": outcome.validation_fault,
            },
            system_attrs=drawn.system_attrs,
            intermediate_values=drawn.intermediate_values,
        )

    def _outcome(self, trial: FrozenTrial) -> Outcome:
        names = {state: name for name, state in _STATES.items()}
        if trial.state not in names:
            raise OperatorError(
                f"{self._store.where}: trial {trial.number} of study {self._name!r} is {trial.state.name.lower()}, and "
                "only finished ones are written here; another program uses this study, take another --out or name"
            )
        attrs = trial.user_attrs
        return Outcome(
            number=trial.number,
            params={name: float(value) for name, value in trial.params.items()},
            state=names[trial.state],
            reason=attrs.get("reason", ""),
            values=tuple(trial.values or ()),
            train=numbers(attrs.get("train")),
            validation=numbers(attrs.get("validation")),
            validation_fault=attrs.get("validation_fault", ""),
        )

    def _progress(self, judged: int, seconds: float) -> Progress:
        states = [one.state for one in self._outcomes]
        counts = {state: states.count(state) for state in _STATES}
        return Progress(
            len(states),
            self.total,
            counts["complete"],
            counts["pruned"],
            counts["failed"],
            self.best(),
            judged,
            seconds,
        )

    # --- the two studies ------------------------------------------------------------------------------------------
    def _trials(self) -> list[FrozenTrial]:
        with self._store.guarded():
            return self._kept.get_trials(deepcopy=False)

    def _memory(self, count: int) -> optuna.Study:
        """The study that is drawn from, with the first `count` trials of the storage."""
        # Hyperband deals the trials to its brackets by the study's name, which therefore must not tell folders apart.
        memory = optuna.create_study(study_name="search", directions=self._directions, pruner=pruner_of(self.optimize))
        memory.add_trials(self._trials()[:count])
        return memory

    def _agree(self, identity: dict[str, Any]) -> None:
        """Write down what the study is, or compare it with what it was begun as.  Raises OperatorError."""
        now = json.loads(json.dumps(identity))
        there = self._kept.user_attrs
        if not self._kept.get_trials(deepcopy=False):
            # Nothing is lost yet, and a search that was killed while writing these is mended.
            for key, value in now.items():
                self._kept.set_user_attr(key, value)
            return
        differing = [_difference(key, there.get(key), value) for key, value in now.items() if there.get(key) != value]
        if differing:
            raise OperatorError(
                f"{self._store.where}: study {self._name!r} was begun with {'; '.join(differing)}; make it the same to "
                "go on with it, or begin anew with another --out or optimize.name"
            )


def _settings(space: Space, objectives: Sequence[Objective], optimize: Optimize) -> dict[str, Any]:
    """What a study's trials depend on; a setting that has no effect is left out."""
    settings: dict[str, Any] = {
        "space": space.as_json(),
        "fixed": dict(space.fixed),
        "objectives": [one.as_json() for one in objectives],
        "seed": optimize.seed,
        "batch": optimize.batch,
        "sampler": optimize.sampler,
        "pruner": optimize.pruner,
        "min_fills": optimize.min_fills,
    }
    if optimize.pruner != "none":
        settings["rungs"] = optimize.rungs
    if optimize.sampler == "grid":
        settings["grid_points"] = optimize.grid_points
    if "net_minus_inventory" in optimize.objectives:
        settings["inventory_penalty"] = optimize.inventory_penalty
    return settings


def _difference(key: str, there: Any, now: Any) -> str:
    """One thing that differs, down to the parameter, as `seed 1 (now 2)`."""
    if isinstance(there, dict) and isinstance(now, dict):
        names = [name for name in {**there, **now} if there.get(name) != now.get(name)]
        return ", ".join(_difference(f"{key}.{name}", there.get(name), now.get(name)) for name in names)
    shown = ["none" if value is None else json.dumps(value) for value in (there, now)]
    was, is_now = (text if len(text) <= 60 else f"{text[:57]}..." for text in shown)
    return f"{key} {was} (now {is_now})"

"""`pinnacle optimize`: from a prepared run to a folder with a study in it, judged on data that the search never saw.

A short wiring: the search is in `study`, the lanes in `evaluate`, the files in `results`, the judgement in `verdict`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pinnacle import interrupt
from pinnacle.errors import OperatorError, PinnacleError
from pinnacle.kernels.jit import CODE_HASH
from pinnacle.log.manifest import file_sha256
from pinnacle.optimize.evaluate import Judges, Place
from pinnacle.optimize.outcome import Outcome
from pinnacle.optimize.results import Curves, FoldResult, Study, write_best, write_results, write_study
from pinnacle.optimize.space import Space, search_space
from pinnacle.optimize.storage import Store, without_password
from pinnacle.optimize.study import Ended, Progress, Search
from pinnacle.optimize.windows import plan_windows
from pinnacle.run.backtest import Backtest, make_run_folder, versions
from pinnacle.run.feeds import Source
from pinnacle.run.lanes import LaneResult
from pinnacle.run.tape import Tape, make_tape
from pinnacle.run.window import Window
from pinnacle.run.workers import open_workers

STUDY_NAME = "study.json"
_PARTS = ("study.journal", "study.journal.lock", "study.db", "history", "tape", "curves")


@dataclass
class Optimization:
    """What one optimisation is made of.  run: the prepared backtest whose `out` is the study's folder.

    workers, ray: see `workers.open_workers`.  told: a line about what is being done.  reading: rows decoded, in all.
    progress: (what is searched, how far) after each batch.
    """

    run: Backtest
    workers: int = 1
    ray: str = ""
    told: Callable[[str], None] | None = None
    reading: Callable[[int, int], None] | None = None
    progress: Callable[[str, Progress], None] | None = None
    _judges: Judges | None = field(default=None, init=False)

    def optimize(self) -> dict[str, Any]:
        """Search, judge, write the study's folder; returns its summary.

        A folder with the same study in it is gone on with.  Raises PinnacleError, and KeyboardInterrupt after what
        was found has been kept; either leaves a folder that can be gone on with.
        """
        run = self.run
        space = self.space()
        began_s = time.time()
        make_study_folder(run)
        with Store(run.config.optimize.storage, run.out) as store:
            run.told = self.told
            run.open_histories()
            self._check_currency()
            study, tape, sources = self._study(space, began_s)
            write_study(run.out, study)
            try:
                summary = self._search(store, study, tape, sources)
                study.status = "complete"
                # Derived, large, and made again in seconds.
                shutil.rmtree(tape.folder, ignore_errors=True)
            except BaseException as error:
                study.status = "interrupted" if interrupt.is_behind(error) else "failed"
                raise
            finally:
                study.ended = time.time()
                _write_last(run, study)
        return summary

    def space(self) -> Space:
        """What is searched.  Raises OperatorError."""
        config = self.run.config
        own = {one.name: one.params for one in config.instruments}
        optimize = config.optimize
        return search_space(self.run.strategy.params, optimize.search, config.strategy.params, own, self.run.where)

    def _check_currency(self) -> None:
        """Profits of different currencies have no sum.  Raises OperatorError."""
        pairs = zip(self.run.config.instruments, self.run.instruments)
        quotes = {instrument.quote for one, instrument in pairs if one.trade}
        if len(quotes) > 1:
            raise OperatorError(
                f"{self.run.where}: instruments in {', '.join(sorted(quotes))} are traded, whose profits have no sum; "
                "set trade = false for those of all but one quote currency"
            )
        if not quotes:
            raise OperatorError(f"{self.run.where}: no instrument is traded; set trade = true for at least one")

    def _study(self, space: Space, began_s: float) -> tuple[Study, Tape, list[Source]]:
        """Decode the history, cut its time into windows, and say what the study is."""
        run = self.run
        if self.told is not None:
            self.told("decoding the history")
        sources = run.sources()
        histories = [
            {"path": str(path), "sha256": file_sha256(path), "size": path.stat().st_size}
            for paths in run.paths
            for path in paths
        ]
        market = msgspec.to_builtins(run.config)
        for apart in ("optimize", "strategy"):
            market.pop(apart)
        decoded = [(one["funding"], one["queue"]["model"] == "exact") for one in market["instruments"]]
        key = _hash([CODE_HASH, histories, decoded])
        tape = make_tape(run.out / "tape", sources, key, self.reading)
        first_ns, last_ns = max(tape.first_ns, run.config.run.start_ns), tape.end_ns + 1
        if run.config.run.stop_ns:
            last_ns = min(last_ns, run.config.run.stop_ns)
        optimize = run.config.optimize
        plan = plan_windows(
            first_ns, last_ns, optimize.split, purge_s=optimize.purge_s, buckets=optimize.buckets,
            folds=optimize.folds, anchored=optimize.anchored, where=run.where,
        )  # fmt: skip
        config = msgspec.to_builtins(run.config)
        config["optimize"]["storage"] = without_password(optimize.storage)
        traded = next(i for one, i in zip(run.config.instruments, run.instruments) if one.trade)
        study = Study(
            folder=run.out, config=config, beside=run.beside, strategy=run.strategy, space=space, plan=plan,
            instruments=run.instruments, quote=traded.quote or "quote", histories=histories, tape_key=key,
            versions=msgspec.to_builtins(versions()), market_hash=_hash([CODE_HASH, market]), began=began_s,
            rows=int(tape.rows.size), bytes_read=tape.bytes_read,
        )  # fmt: skip
        return study, tape, sources

    def _search(self, store: Store, study: Study, tape: Tape, sources: list[Source]) -> dict[str, Any]:
        """The main search, the folds, the last run on the test window, and the files that say what came of it."""
        run, plan = self.run, study.plan
        optimize = run.config.optimize
        place = Place(
            run.config, run.where, run.strategy.path, run.strategy.source, run.instruments, sources,
            tape.folder.resolve(), study.tape_key, plan.bucket_ns,
        )  # fmt: skip
        with open_workers(place, self.workers, self.ray) as workers:
            judges = self._judges = Judges(workers, optimize.lanes)
            main, ended = self._one(store, study, 0, plan.train, plan.validation)
            folds = []
            for fold in plan.folds:
                search, _ = self._one(store, study, fold.number, fold.train, None)
                best = search.best()
                tested = None if best is None else self._tested(study, best, fold.test)
                folds.append(FoldResult(fold, search.outcomes, best, tested))
            best = main.best()
            tested = None if best is None else self._tested(study, best, plan.test)
        study.passes, study.candidate_windows = judges.passes, judges.lane_windows
        summary = write_results(study, main, ended, best, tested, folds)
        if best is not None:
            write_best(study, best)
        return summary

    def _one(
        self, store: Store, study: Study, number: int, train: Window, validation: Window | None
    ) -> tuple[Search, Ended]:
        """One search: the main one (number 0), or a fold's."""
        optimize = self.run.config.optimize
        name = optimize.name or self.run.out.resolve().name
        identity = {
            "strategy": study.strategy.sha256,
            "history": [one["sha256"] for one in study.histories],
            "market": study.market_hash,
            "train": [train.first_ns, train.stop_ns],
            "validation": None if validation is None else [validation.first_ns, validation.stop_ns],
        }
        if number:
            name += f", fold {number}"
        search = Search(store, name, study.space, optimize, identity, self.run.where)
        curves = Curves(study.folder, number, study.plan.bucket_ns, train, validation)

        def progress(now: Progress) -> None:
            if self.progress is not None:
                self.progress("search" if number == 0 else f"fold {number} of {len(study.plan.folds)}", now)

        assert self._judges is not None
        ended = search.run(
            self._judges.evaluate, train, validation, study.plan.bucket_ns, keep=curves.keep, progress=progress
        )
        return search, ended

    def _tested(self, study: Study, best: Outcome, window: Window) -> LaneResult:
        """The chosen candidate on a window that no search saw."""
        assert self._judges is not None
        params = study.space.whole_params(best.params)
        result = self._judges.evaluate([params], window, False).advance(window.stop_ns)[0]
        assert result is not None
        return result


def make_study_folder(run: Backtest) -> None:
    """The study's folder: new, or one that holds a study.  Raises OperatorError, DiskError."""
    if (run.out / STUDY_NAME).exists():
        return
    # A first try that failed early leaves parts of a study and nothing of anybody else's.
    if run.out.is_dir() and all(one.name in _PARTS for one in run.out.iterdir()):
        return
    make_run_folder(run.out)


def _write_last(run: Backtest, study: Study) -> None:
    """The study's last word; a disk that refuses even that leaves it marked as running."""
    try:
        write_study(run.out, study)
    except PinnacleError:
        return


def _hash(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()

"""Observations of a session, made from its log when a report is wanted.

A backtest writes them down as it goes; a session may be killed and go on, and its log is the one thing that survives
that whole, so they are made from it: the same samples and mark-outs, by the same kernels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinnacle.engine.strategy import bind
from pinnacle.errors import OperatorError
from pinnacle.kernels.observe import new_observed, observe_end
from pinnacle.log.manifest import instruments_of
from pinnacle.log.reader import LogReader
from pinnacle.run.backtest import HORIZONS_NS
from pinnacle.run.observations import ObservationFile
from pinnacle.run.refold import Refold
from pinnacle.run.replay import config_of, load_replayed
from pinnacle.run.settings import engine_state

SESSION_MODES = ("paper", "live")


def observe_session(run: Path) -> None:
    """Write observations.parquet of a session that has none yet; of a backtest nothing is done.

    Raises Diverged where the log is not what its inputs make, OperatorError and DiskError for what cannot be read.
    """
    reader = LogReader(run)
    manifest = reader.manifest
    if manifest is None or manifest.mode not in SESSION_MODES or manifest.strategy is None:
        return
    if manifest.status == "complete" and (run / "observations.parquet").exists():
        return
    config, instruments = config_of(manifest), instruments_of(manifest.instruments)
    strategy = load_replayed(manifest.strategy.path, manifest.strategy.source)
    state = engine_state(config, instruments, strategy, str(run))
    observed = new_observed(config.run.sample_ms * 1_000_000, HORIZONS_NS)
    record = observed[0]
    with ObservationFile(run / "observations.parquet") as file:

        def full(rows: np.ndarray) -> None:
            file.append(rows)

        refold = Refold(state, strategy, bind(strategy, len(state[0]["lane"]["own"])), instruments, observed, full)
        for records in reader.records():
            if records.size and refold.inputs == 0:
                record["sample_ns"] = record["due_ns"] = int(records["ts_ns"][0]) + int(record["sample_every_ns"])
            refold.take(records)
        if refold.inputs == 0:
            raise OperatorError(f"{run}: its log is empty, so there is nothing to report")
        observe_end(state[0]["market"], state[0]["lane"], record)
        file.append(observed)

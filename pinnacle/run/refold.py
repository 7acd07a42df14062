"""A log folded again, record by record, each recorded output held to what the state says.

Recovery, the states kept beside a sealed segment, and the observations of a report are all this one walk: none of them
takes anything from the process that wrote the log.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pinnacle.engine.strategy import Strategy, raised
from pinnacle.errors import Diverged, PinnacleError
from pinnacle.event import EVENT, empty
from pinnacle.instrument import Instrument
from pinnacle.kernels import turn as turns
from pinnacle.kernels.observe import new_observed
from pinnacle.kernels.state import OUT
from pinnacle.log.check import record_text
from pinnacle.run.backtest import HORIZONS_NS, call_strategy, stopped


class Refold:
    """state: an array of one record, moved by `take`.  inputs: folded so far."""

    def __init__(
        self,
        state: np.ndarray,
        strategy: Strategy,
        quote: int,
        instruments: list[Instrument],
        observed: np.ndarray | None = None,
        observed_full: Callable[[np.ndarray], None] | None = None,
    ) -> None:
        self.state, self._strategy, self._quote, self._instruments = state, strategy, quote, instruments
        self._observed = new_observed(0, HORIZONS_NS) if observed is None else observed
        self._observed_full = observed_full
        self._out = np.zeros(1, OUT)
        self._check = np.zeros(1, turns.REFOLD)
        # Compiled or loaded now, and not in a thread beside a running session.
        self.take(empty(0))

    @property
    def inputs(self) -> int:
        return int(self._check[0]["inputs"])

    def take(self, records: np.ndarray) -> None:
        """The next records of the log.  Raises Diverged at the first that is not what the inputs before it make."""
        at = 0
        while True:
            at, code = self._fold(records, at)
            if code == turns.CALL_STRATEGY:
                call_strategy(self._strategy, self.state, self._out)
            elif code == turns.OBSERVED_FULL:
                assert self._observed_full is not None
                self._observed_full(self._observed)
            elif code == turns.DIVERGED:
                raise self._diverged(records[at])
            elif code == turns.FAULT:
                raise self._fault()
            elif at == records.size:
                return

    def _fold(self, records: np.ndarray, at: int) -> tuple[int, int]:
        try:
            at, code = turns.refold(
                self.state[0], records, at, self._quote, self._out[0], self._check[0], self._observed[0]
            )
        except Exception as error:
            if self.state[0]["lane"]["calling"]:
                raise raised(self._strategy, error) from error
            raise
        return at, code

    def unsaid(self) -> np.ndarray:
        """Outputs of the last input that were not among the records taken: EVENT[n]."""
        record = self._out[0]
        rows: np.ndarray = record["rows"][int(self._check[0]["checked"]) : int(record["count"])]
        return rows.copy()

    def _diverged(self, record: np.void) -> Diverged:
        out, checked = self._out[0], int(self._check[0]["checked"])
        due = out["rows"][checked] if checked < int(out["count"]) else None
        expected = record_text(due, self._instruments) if due is not None else "an input that follows"
        found = np.array([record], EVENT)[0]
        return Diverged(
            f"input {int(self.state[0]['market']['seq'])}: the log has {record_text(found, self._instruments)} where "
            f"its inputs make {expected}; the log or the strategy is not what it was"
        )

    def _fault(self) -> PinnacleError:
        return stopped(self._strategy, self._instruments, int(self.state[0]["lane"]["fault"]), self.state)

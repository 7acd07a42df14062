"""A session held to a backtest of the market it recorded: where the difference of their results comes from.

Every execution is valued at one mark for both runs, so the difference is a sum over executions and each goes into one
part: the same order filled in both at another price or fee; an order filled in one while in the other it was not there
yet or not any more (latency), or was there and was not reached (queue); an order that the other run never placed.
The parts add up to the difference to the last money unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument
from pinnacle.report.ledger import NO_MID, Ledger, make_ledger, mid2_of
from pinnacle.report.source import SAMPLE, Recorded, read_run

PARTS = ("fills", "fees", "latency", "queue", "missed quotes")


@dataclass
class Difference:
    """One instrument.  All in half money units, so that a mid between two ticks is exact.

    one2, other2: results at the common mark.  parts2: by name, of `one` less `other`.  counts: lots' worth of orders
    behind each part.
    """

    instrument: Instrument
    one2: int = 0
    other2: int = 0
    parts2: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    matched: int = 0

    def lines(self) -> Iterator[str]:
        """For a person to read, in quote currency."""
        quote = self.instrument.quote or "quote"

        def money(units2: int) -> str:
            return f"{self.instrument.money(units2) / 2:>+18,.8f} {quote}"

        yield f"{self.instrument.name}: {self.matched:,} orders are in both"
        yield f"  {'result':<16}{money(self.one2)}"
        yield f"  {'other':<16}{money(self.other2)}"
        yield f"  {'difference':<16}{money(self.one2 - self.other2)}"
        for name in PARTS:
            yield f"    {name:<14}{money(self.parts2[name])}   {self.counts[name]:,} orders"


def compare_runs(one: Path, other: Path, within_ns: int) -> list[Difference]:
    """Split the difference of two runs over the same instruments.

    within_ns: two orders of one side and price are the same if they were decided no further apart.  Raises
    OperatorError where the runs are not of the same instruments, or have no mark.
    """
    runs = [read_run(one), read_run(other)]
    names = [[instrument.name for instrument in run.instruments] for run in runs]
    if names[0] != names[1]:
        raise OperatorError(f"{one} is of {', '.join(names[0])}, and {other} of {', '.join(names[1])}")
    ledgers = [make_ledger(run) for run in runs]
    return [
        _difference(k, instrument, ledgers[0], ledgers[1], _mark2(runs[0], k), within_ns)
        for k, instrument in enumerate(runs[0].instruments)
    ]


def _mark2(run: Recorded, instrument: int) -> int:
    """Twice the last mid that the first run saw."""
    if run.observed is not None:
        mine = run.observed[(run.observed["kind"] == SAMPLE) & (run.observed["instrument"] == instrument)]
        mids = mid2_of(mine)
        mids = mids[mids != NO_MID]
        if mids.size:
            return int(mids[-1])
    raise OperatorError(f"{run.run_dir}: has no mid to value positions at; write its report first")


@dataclass
class _Side:
    """One run's order with its executions: lists of (lots, price, fee, time)."""

    order: np.void
    fills: list[tuple[int, int, int, int]]

    @property
    def lots(self) -> int:
        return sum(fill[0] for fill in self.fills)

    def split(self, lots: int) -> tuple[list[tuple[int, int, int, int]], list[tuple[int, int, int, int]]]:
        """The executions up to `lots`, and the rest; a fee is shared out by lots, its remainder with the rest."""
        first, rest = [], []
        for qty, price, fee, at_ns in self.fills:
            taken = min(qty, lots)
            lots -= taken
            part = fee * taken // qty
            if taken:
                first.append((taken, price, part, at_ns))
            if taken < qty:
                rest.append((qty - taken, price, fee - part, at_ns))
        return first, rest


def _sides(k: int, ledger: Ledger) -> dict[tuple[int, int], list[_Side]]:
    """The orders of one instrument by side and price, in the sequence of their decisions."""
    fills: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    for fill in ledger.fills[ledger.fills["instrument"] == k]:
        fills[int(fill["order_id"])].append(
            (int(fill["qty_lots"]), int(fill["price_ticks"]), int(fill["fee_units"]), int(fill["ts_ns"]))
        )
    found: dict[tuple[int, int], list[_Side]] = defaultdict(list)
    orders = ledger.orders[ledger.orders["instrument"] == k]
    for order in orders[np.argsort(orders["placed_ns"], kind="stable")]:
        key = int(order["side"]), int(order["price_ticks"])
        found[key].append(_Side(order, fills.get(int(order["order_id"]), [])))
    return found


def _difference(k: int, instrument: Instrument, one: Ledger, other: Ledger, mark2: int, within_ns: int) -> Difference:
    result = Difference(instrument)
    unit = instrument.units_per_ticklot

    def gross2(side: int, fills: list[tuple[int, int, int, int]]) -> int:
        return sum(side * qty * (mark2 - 2 * price) * unit for qty, price, _, _ in fills)

    def fees2(fills: list[tuple[int, int, int, int]]) -> int:
        return sum(2 * fee for _, _, fee, _ in fills)

    def book(part: str, units2: int) -> None:
        result.parts2[part] += units2
        result.counts[part] += 1

    mine, theirs = _sides(k, one), _sides(k, other)
    for key in sorted({*mine, *theirs}):
        side = key[0]
        for a, b in _pairs(mine.get(key, []), theirs.get(key, []), within_ns):
            for run, sign in ((a, 1), (b, -1)):
                if run is not None:
                    worth2 = gross2(side, run.fills) - fees2(run.fills)
                    if sign > 0:
                        result.one2 += worth2
                    else:
                        result.other2 += worth2
            if a is None or b is None:
                alone, sign = (a, 1) if b is None else (b, -1)
                assert alone is not None
                if alone.fills:
                    book("missed quotes", sign * (gross2(side, alone.fills) - fees2(alone.fills)))
                continue
            result.matched += 1
            common = min(a.lots, b.lots)
            (a_both, a_more), (b_both, b_more) = a.split(common), b.split(common)
            if gross2(side, a_both) != gross2(side, b_both):
                book("fills", gross2(side, a_both) - gross2(side, b_both))
            if fees2(a_both) != fees2(b_both):
                book("fees", fees2(b_both) - fees2(a_both))
            for more, absent, sign in ((a_more, b.order, 1), (b_more, a.order, -1)):
                if more:
                    part = "queue" if _was_there(absent, more[0][3]) else "latency"
                    book(part, sign * (gross2(side, more) - fees2(more)))
    return result


def _pairs(mine: list[_Side], theirs: list[_Side], within_ns: int) -> Iterator[tuple[_Side | None, _Side | None]]:
    """Orders of one side and price matched in sequence; None for one that the other run lacks."""
    i = j = 0
    while i < len(mine) or j < len(theirs):
        a = mine[i] if i < len(mine) else None
        b = theirs[j] if j < len(theirs) else None
        apart = 0 if a is None or b is None else int(a.order["placed_ns"]) - int(b.order["placed_ns"])
        if a is not None and (b is None or apart < -within_ns):
            yield a, None
            i += 1
        elif b is not None and (a is None or apart > within_ns):
            yield None, b
            j += 1
        else:
            yield a, b
            i += 1
            j += 1


def _was_there(order: np.void, at_ns: int) -> bool:
    """Whether an order was known to rest at a time."""
    began, ended = int(order["acknowledged_ns"]), int(order["ended_ns"])
    return 0 < began <= at_ns and (ended == 0 or at_ns <= ended)

"""Cutting the data's time into train, validation and test, and into the folds of a walk-forward.

A candidate is chosen on one part and believed on another, so the parts must not touch: a gap between them keeps what
one part ends with (positions, mark-outs, a feature's memory) out of the next.  Lopez de Prado, Advances in Financial
Machine Learning (2018), chapter 7, calls that gap purging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pinnacle.errors import OperatorError
from pinnacle.run.window import Window

# Fewer equity changes make neither a Sharpe ratio nor a curve.
BUCKETS_MIN = 10


@dataclass(frozen=True)
class Fold:
    """One step of the walk-forward: chosen on train, judged on test.  number: from 1, in time's order."""

    number: int
    train: Window
    test: Window


@dataclass(frozen=True)
class Plan:
    """All windows of a search.  Each is a whole number of buckets of bucket_ns.

    Every fold ends before test.first_ns; the folds' tests follow one another without a gap.
    """

    bucket_ns: int
    train: Window
    validation: Window
    test: Window
    folds: tuple[Fold, ...]


def plan_windows(
    first_ns: int,
    last_ns: int,
    split: Sequence[float],
    *,
    purge_s: float,
    buckets: int,
    folds: int,
    anchored: bool,
    where: str,
) -> Plan:
    """The windows of data that goes from first_ns to last_ns.

    split: three shares that sum to 1, of the time that the two gaps of purge_s leave.  buckets: of the whole span.
    folds: 0 for none.  anchored: a fold trains from first_ns to its test, less the gap; else on the block before it.
    Raises OperatorError if a window would be shorter than BUCKETS_MIN buckets, saying how long the data is.
    """
    span_ns, purge_ns = last_ns - first_ns, round(purge_s * 1e9)
    if span_ns < 0:
        raise OperatorError(f"{where}: no data lies between run.start_ns and run.stop_ns; move one, or leave it out")
    bucket_ns = max(1, -(-span_ns // buckets))
    count = max(0, span_ns - 2 * purge_ns) // bucket_ns
    validation_count, test_count = round(count * split[1]), round(count * split[2])
    data = _Data(span_ns, bucket_ns, purge_s, where)
    train = data.window("train", first_ns, count - validation_count - test_count)
    validation = data.window("validation", train.stop_ns + purge_ns, validation_count)
    test = data.window("test", validation.stop_ns + purge_ns, test_count)
    block = (test.first_ns - purge_ns - first_ns) // bucket_ns // (folds + 1)
    gap = -(-purge_ns // bucket_ns)
    steps = []
    for number in range(1, folds + 1):
        # The gap is taken from the end of training, so that the tests follow one another.
        before = number if anchored else 1
        fold_train = data.window(
            f"fold {number} train", first_ns + (number - before) * block * bucket_ns, before * block - gap
        )
        fold_test = data.window(f"fold {number} test", first_ns + number * block * bucket_ns, block)
        steps.append(Fold(number, fold_train, fold_test))
    return Plan(bucket_ns, train, validation, test, tuple(steps))


def rung_stops_ns(window: Window, rungs: int, bucket_ns: int) -> list[int]:
    """Where a window is judged when it is judged in `rungs` nearly equal parts, on whole buckets; the last is its end.

    window: a whole number of buckets, at least rungs of them; with fewer there are as many rungs as buckets.
    """
    count = (window.stop_ns - window.first_ns) // bucket_ns
    assert window.first_ns + count * bucket_ns == window.stop_ns
    rungs = min(rungs, count)
    return [window.first_ns + count * rung // rungs * bucket_ns for rung in range(1, rungs + 1)]


@dataclass(frozen=True)
class _Data:
    """What an error about a window says of the data."""

    span_ns: int
    bucket_ns: int
    purge_s: float
    where: str

    def window(self, name: str, first_ns: int, count: int) -> Window:
        """A window of so many buckets.  Raises OperatorError if they are too few."""
        if count < BUCKETS_MIN:
            fold = name.startswith("fold")
            change = "fewer optimize.folds" if fold else "another optimize.split"
            raise OperatorError(
                f"{self.where}: the data is {self.span_ns / 1e9:.1f} s long, and the {name} window would be "
                f"{max(0, count)} buckets of {self.bucket_ns / 1e9:.3g} s, where {BUCKETS_MIN} are the least; take "
                f"more data, {change}, a purge_s below {self.purge_s:g} or more buckets"
            )
        return Window(name, first_ns, first_ns + count * self.bucket_ns)
